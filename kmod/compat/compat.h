/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * Shims, included before every file of the module. The driver is written for
 * the newest kernel; whatever an older one lacks is supplied here and nowhere
 * else. compat/README.md says when each can go.
 */
#ifndef KTMK_COMPAT_H
#define KTMK_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "tmk needs Linux 6.1 or newer (see META)"
#endif

/* mapping->i_private_data was called private_data before 6.8. */
#ifndef KTMK_HAVE_I_PRIVATE_DATA
#define i_private_data private_data
#endif

/* kernel_tmpfile_open() was vfs_tmpfile_open() before 6.3. */
#ifndef KTMK_HAVE_KERNEL_TMPFILE_OPEN
#define kernel_tmpfile_open(idmap, path, mode, flags, cred) \
	vfs_tmpfile_open(&init_user_ns, path, mode, flags, cred)
#endif

/* Inode operations got a user namespace before 6.3. */
#ifndef KTMK_HAVE_MNT_IDMAP
#define mnt_idmap user_namespace
#endif

/* vma->vm_flags could be written before 6.3. */
#ifndef KTMK_HAVE_VM_FLAGS_CLEAR
#define vm_flags_clear(vma, flags) ((vma)->vm_flags &= ~(flags))
#endif

/* vfs_mmap() was call_mmap() before 6.17. */
#ifndef KTMK_HAVE_VFS_MMAP
#define vfs_mmap(file, vma) call_mmap(file, vma)
#endif

#ifndef KTMK_HAVE_VM_FLAGS_SET
#define vm_flags_set(vma, flags) ((vma)->vm_flags |= (flags))
#endif

/* The name of a symbol namespace is a string since 6.13. */
#ifdef KTMK_HAVE_IMPORT_NS_STRING
#define KTMK_IMPORT_NS(ns) MODULE_IMPORT_NS(#ns)
#else
#define KTMK_IMPORT_NS(ns) MODULE_IMPORT_NS(ns)
#endif

/* Shrinkers were registered in place before 6.7, which could fail. */
#ifdef KTMK_HAVE_SHRINKER_ALLOC
#define ktmk_shrinker_register(s) (shrinker_register(s), 0)
#else
#define shrinker_alloc(initial_flags, name)                             \
	({                                                              \
		struct shrinker *s_ = kzalloc(sizeof(*s_), GFP_KERNEL); \
		(void)(name);                                           \
		if (s_)                                                 \
			s_->flags = (initial_flags);                    \
		s_;                                                     \
	})
#define ktmk_shrinker_register(s) register_shrinker(s, "tmk-pool")
#define shrinker_free(s)                   \
	do {                               \
		struct shrinker *s_ = (s); \
		unregister_shrinker(s_);   \
		kfree(s_);                 \
	} while (0)
#endif

/* Until 6.13 a worker is started where it is created. */
#ifndef KTMK_HAVE_KTHREAD_RUN_WORKER
#define kthread_run_worker kthread_create_worker
#endif

#endif /* KTMK_COMPAT_H */
