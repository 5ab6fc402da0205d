/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the files of the module know of each other, grouped by file.
 *
 * Objects and lifetimes:
 *
 *	file descriptors, mappings --> struct file --> region --> group --> parent
 *
 * A region lives as long as an open file of its inode; a mapping holds its
 * file. At the last release its memory goes back; folios that somebody still
 * has pinned then stay charged, and the region stays on the orphan list until
 * they are let go. Regions with an inner file are held by more: see mapped.c.
 * A group lives while a region or a child group refers to it or a limit is set
 * on it. Each region holds a reference on the module.
 *
 * Lock order: ktmk_orphans_lock (list of orphans) -> ktmk_groups_lock (tree of
 * groups, their reference counts) -> ktmk_limits_lock (limits against the death
 * of a group). ktmk_mounts_lock, ktmk_regions_lock and pool.lock are leaves.
 * Counters need no lock (acct.c). The sysfs callbacks of a group take ktmk_limits_lock at
 * most, because its directory is removed under ktmk_groups_lock, which waits for
 * them.
 */
#ifndef KTMK_H
#define KTMK_H

#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <linux/tmk.h>

#include "acct.h"

#define KTMK_KIND_NR (TMK_IOC_KIND_FILE + 1)
#define KTMK_HUGE_BYTES (2UL << 20)
#define KTMK_GIGANTIC_BYTES SZ_1G

/* Which of a group's two counters. */
enum ktmk_counter_id {
	KTMK_TOTAL,
	KTMK_PHYSICAL,
	KTMK_COUNTERS,
};

/**
 * struct ktmk_refusal - what refused a request, for the caller
 * @reason: enum tmk_ioc_refusal
 * @cgroup: id of the group whose limit it is, or 0
 * @used: bytes in use under that limit
 * @limit: the limit in bytes
 */
struct ktmk_refusal {
	u32 reason;
	u64 cgroup;
	u64 used;
	u64 limit;
};

/**
 * struct ktmk_group - what tmk keeps for a cgroup
 * @counter: the two counters
 * @by_kind: the part of KTMK_TOTAL by kind
 * @events: refusals by limits of this group and its descendants, by counter
 * @events_local: refusals by this group's own limits, by counter
 * @room: how often limits that had refused had room again, here and below
 * @room_local: the same of this group's own limits
 * @starved: a limit of this group refused, and no room was seen since
 * @cgrp: the cgroup, referenced
 * @parent: the parent's, referenced; NULL for the root of the hierarchy
 * @refs: regions and child groups; guarded by ktmk_groups_lock
 * @dead: taken out of the tree; guarded by ktmk_limits_lock
 * @owner: who administers it and what is below, INVALID_UID if nobody was named;
 *	written under ktmk_groups_lock
 * @kobj: its directory in sysfs, which owns the memory
 */
struct ktmk_group {
	struct ktmk_counter counter[KTMK_COUNTERS];
	atomic64_t by_kind[KTMK_KIND_NR];
	atomic64_t events[KTMK_COUNTERS];
	atomic64_t events_local[KTMK_COUNTERS];
	atomic64_t room;
	atomic64_t room_local;
	atomic_t starved;
	struct cgroup *cgrp;
	struct ktmk_group *parent;
	unsigned long refs;
	bool dead;
	kuid_t owner;
	struct kobject kobj;
};

/**
 * struct ktmk_region_params - a checked request for a region
 * @kind: enum tmk_ioc_kind
 * @flags: enum tmk_ioc_region_flags
 * @node: NUMA node or TMK_IOC_NODE_ANY
 * @length: bytes, a multiple of @page_size
 * @page_size: bytes
 * @asked: the length before it was rounded up
 * @backing_fd: the caller's file, for the file kind
 * @name: for people
 */
struct ktmk_region_params {
	u32 kind;
	u32 flags;
	int node;
	u64 length;
	u64 page_size;
	u64 asked;
	int backing_fd;
	char name[TMK_IOC_NAME_LEN];
};

/* Index of &ktmk_region.bytes. */
enum ktmk_page_class {
	KTMK_PAGES_BASE,
	KTMK_PAGES_LARGE,
	KTMK_PAGES_2M,
	KTMK_PAGES_1G,
	KTMK_PAGE_CLASSES,
};

/**
 * struct ktmk_region - memory that was handed out
 * @params: what was asked for
 * @id: for people
 * @group: who is charged
 * @charged: bytes charged to KTMK_TOTAL of @group
 * @physical: bytes charged to KTMK_PHYSICAL of @group
 * @bytes: bytes obtained, by enum ktmk_page_class
 * @inode: the shmem inode; referenced only while the region is an orphan
 * @inner: what its mappings map (mapped.c); NULL for a region of shmem pages
 * @held: room for pinned pages whose inode is gone (hugetlb.c)
 * @held_nr: how many there are
 * @seals: enum tmk_ioc_seals; guarded by the inode's lock
 * @readonly: a read-only descriptor was handed out
 * @users: of a region with an inner file; see mapped.c
 * @exports: dma-bufs of it (dmabuf.c)
 * @pid: who created it, as the initial PID namespace shows it
 * @list: link in the list of all regions (debugfs.c)
 * @ref: one for each open file
 * @orphan: link in the list of orphans
 * @rcu: for freeing: opening a file races with the last release
 */
struct ktmk_region {
	struct ktmk_region_params params;
	u64 id;
	struct ktmk_group *group;
	u64 charged;
	u64 physical;
	u64 bytes[KTMK_PAGE_CLASSES];
	struct inode *inode;
	struct file *inner;
	struct folio **held;
	u64 held_nr;
	u32 seals;
	bool readonly;
	refcount_t users;
	atomic_t exports;
	pid_t pid;
	struct list_head list;
	struct kref ref;
	struct list_head orphan;
	struct rcu_head rcu;
};

/* main.c */
extern bool ktmk_populate_own;

/* ioctl.c */
/**
 * struct ktmk_ucmd - a command on its way through the dispatcher
 * @ubuffer: the caller's structure
 * @user_size: its size as the caller knows it
 * @cmd: the kernel's copy
 * @file: the file that it was issued on
 */
struct ktmk_ucmd {
	void __user *ubuffer;
	u32 user_size;
	void *cmd;
	struct file *file;
};

int ktmk_ucmd_respond(struct ktmk_ucmd *ucmd, size_t cmd_len);
long ktmk_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long ktmk_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long ktmk_mapped_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* region.c */
struct file *ktmk_region_create(const struct ktmk_region_params *params,
				struct ktmk_refusal *refusal);
int ktmk_ioc_region_create(struct ktmk_ucmd *ucmd);
int ktmk_ioc_region_info(struct ktmk_ucmd *ucmd);
struct ktmk_region *ktmk_region_of_file(const struct file *file);
void ktmk_region_end(struct ktmk_region *region, struct inode *inode, u64 held);
int ktmk_region_open(struct inode *inode, struct file *file);
int ktmk_region_release(struct inode *inode, struct file *file);
void ktmk_region_show_fdinfo(struct seq_file *m, struct file *file);
int ktmk_region_init(void);
void ktmk_region_exit(void);

/* mapped.c */
struct file *ktmk_mapped_create(struct ktmk_region *region,
				struct ktmk_refusal *refusal);
void ktmk_region_put(struct ktmk_region *region);
bool ktmk_mapped_is(const struct file *file);
void ktmk_mapped_exit(void);

/**
 * ktmk_kind_is_mapped() - do regions of a kind map another file?
 * @kind: enum tmk_ioc_kind
 *
 * Return: true if mapped.c makes them.
 */
static inline bool ktmk_kind_is_mapped(u32 kind)
{
	return kind == TMK_IOC_KIND_HUGETLB || kind == TMK_IOC_KIND_FILE;
}

/* file.c */
struct file *ktmk_file_open(struct ktmk_region *region);
int ktmk_fallocate(struct file *file, int mode, u64 offset, u64 length);

/* hugetlb.c */
#ifdef CONFIG_HUGETLBFS
bool ktmk_hugetlb_has(u64 page_size);
struct file *ktmk_hugetlb_open(struct ktmk_region *region,
			       struct ktmk_refusal *refusal);
u64 ktmk_hugetlb_release(struct ktmk_region *region);
void ktmk_hugetlb_init(void);
void ktmk_hugetlb_exit(void);
#else
static inline bool ktmk_hugetlb_has(u64 page_size)
{
	return false;
}

static inline struct file *ktmk_hugetlb_open(struct ktmk_region *region,
					     struct ktmk_refusal *refusal)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline u64 ktmk_hugetlb_release(struct ktmk_region *region)
{
	return 0;
}

static inline void ktmk_hugetlb_init(void)
{
}

static inline void ktmk_hugetlb_exit(void)
{
}
#endif

/* seal.c */
int ktmk_seal_check_open(const struct ktmk_region *region, fmode_t mode);
int ktmk_seal_check_vma(const struct ktmk_region *region,
			struct vm_area_struct *vma);
int ktmk_seal_check_change(const struct file *file);
int ktmk_ioc_region_readonly(struct ktmk_ucmd *ucmd);
int ktmk_ioc_region_seal(struct ktmk_ucmd *ucmd);

/* poll.c */
struct poll_table_struct;
int ktmk_poll_open(struct file *file);
void ktmk_poll_release(struct file *file);
__poll_t ktmk_poll(struct file *file, struct poll_table_struct *wait);
void ktmk_poll_seen(struct file *file, bool refusals);
void ktmk_poll_wake(__poll_t events);

/* debugfs.c */
void ktmk_debugfs_add(struct ktmk_region *region);
void ktmk_debugfs_del(struct ktmk_region *region);
void ktmk_debugfs_init(void);
void ktmk_debugfs_exit(void);

/* backing.c */
/* A folio in the page cache on which we hold a reference. */
#define KTMK_MARK_HELD XA_MARK_2

struct file *ktmk_backing_open(const struct ktmk_region_params *params,
			       const struct file_operations *fops);
const struct file_operations *ktmk_backing_fops(void);
u64 ktmk_backing_release(struct inode *inode, u64 length);
void ktmk_backing_hold(struct address_space *mapping, struct folio *folio);
void ktmk_backing_unhold(struct address_space *mapping, struct folio *folio);
bool ktmk_backing_is_held(struct address_space *mapping, pgoff_t index);
bool ktmk_backing_is_busy(struct folio *folio);
int ktmk_backing_init(void);
void ktmk_backing_exit(void);

/* trim.c */
int ktmk_ioc_region_trim(struct ktmk_ucmd *ucmd);
int ktmk_trim_fill(struct ktmk_region *region, struct inode *inode);
int ktmk_trim_mmap(struct vm_area_struct *vma);
#ifdef KTMK_HAVE_MMAP_PREPARE
int ktmk_trim_mmap_prepare(struct vm_area_desc *desc);
#endif

/* dmabuf.c */
#ifdef CONFIG_DMA_SHARED_BUFFER
int ktmk_ioc_region_dmabuf(struct ktmk_ucmd *ucmd);
#else
static inline int ktmk_ioc_region_dmabuf(struct ktmk_ucmd *ucmd)
{
	return -EOPNOTSUPP;
}
#endif

/* populate.c */
int ktmk_populate_room(struct ktmk_region *region,
		       struct ktmk_refusal *refusal);
int ktmk_populate(struct ktmk_region *region, struct inode *inode,
		  struct ktmk_refusal *refusal);
int ktmk_populate_range(struct ktmk_region *region, struct inode *inode,
			pgoff_t begin, pgoff_t end,
			struct ktmk_refusal *refusal);
void ktmk_populate_count(struct ktmk_region *region, struct folio *folio,
			 int sign);
bool ktmk_populate_own_works(void);

/* pool.c */
struct folio *ktmk_pool_take(const struct ktmk_group *group, int node);
u64 ktmk_pool_bytes(void);
int ktmk_pool_init(u64 target);
void ktmk_pool_exit(void);

/* group.c */
int ktmk_group_get_current(struct ktmk_group **out);
void ktmk_group_put(struct ktmk_group *group);
int ktmk_group_charge(struct ktmk_group *group, u32 kind, u64 bytes,
		      u64 physical, struct ktmk_refusal *refusal);
void ktmk_group_uncharge(struct ktmk_group *group, u32 kind, u64 bytes,
			 u64 physical);
int ktmk_group_set_max(struct ktmk_group *group, enum ktmk_counter_id id,
		       u64 max);
int ktmk_group_set_max_by_path(const char *path, enum ktmk_counter_id id,
			       u64 max);
int ktmk_group_set_owner_by_path(const char *path, kuid_t owner);
struct ktmk_group *ktmk_group_lock_nearest(u64 *id);
void ktmk_group_unlock(void);
struct ktmk_group *ktmk_group_root(void);
int ktmk_group_init(u64 max, u64 physical_max);
void ktmk_group_exit(void);

/**
 * ktmk_group_id() - the id of a group's cgroup
 * @group: the group
 *
 * Return: the inode number of the cgroup's directory.
 */
static inline u64 ktmk_group_id(const struct ktmk_group *group)
{
	return cgroup_id(group->cgrp);
}

/* usage.c */
void ktmk_usage_news(u64 *refused, u64 *room);
int ktmk_ioc_usage(struct ktmk_ucmd *ucmd);

/* delegate.c */
kuid_t ktmk_group_owner(const struct ktmk_group *group);
bool ktmk_may_administer(const struct ktmk_group *group);
bool ktmk_may_set_max(const struct ktmk_group *group, enum ktmk_counter_id id,
		      u64 max);
int ktmk_owner_parse(kuid_t *out, const char *text);

/* sysfs.c */
extern struct kobj_type ktmk_group_ktype;
const char *ktmk_kind_name(u32 kind);
int ktmk_limit_parse(u64 *out, const char *text, u64 whole);
int ktmk_sysfs_add_root(struct ktmk_group *root);
int ktmk_sysfs_add_group(struct ktmk_group *group);
int ktmk_sysfs_set_owner(struct ktmk_group *group);
void ktmk_sysfs_remove_root(struct ktmk_group *root);
int ktmk_sysfs_link_device(struct kobject *device);
void ktmk_sysfs_unlink_device(struct kobject *device);

#endif /* KTMK_H */
