// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What a region is made of: a file on a private tmpfs.
 *
 * A region's descriptor *is* a shmem file whose file operations were replaced.
 * Its vm_ops and address space operations stay shmem's, because that is the
 * only kind of memory of a module that every user of get_user_pages() takes on
 * all supported kernels: io_uring before 6.2 looks at vma->vm_ops. memcg
 * charging, PMD mappings and read() come for free.
 *
 * While a region lives, one reference is held on each of its folios, and its
 * mapping is unevictable: neither swapped nor migrated. There is no array of
 * folios, because nobody but us can take any out of the mapping: it cannot be
 * resized (seals), punched (no ->fallocate) or reclaimed.
 *
 * shmem owns inode->i_private; ours is mapping->i_private_data.
 */

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <uapi/linux/fcntl.h>

#include "ktmk.h"

/*
 * One mount for each way in which shmem itself is to allocate: huge or not, and
 * on which node. Made on first use, by mount_key().
 */
static DEFINE_XARRAY(ktmk_mounts);
static DEFINE_MUTEX(ktmk_mounts_lock);
static struct file_system_type *ktmk_tmpfs;
static const struct file_operations *ktmk_shmem_fops;

static unsigned long mount_key(bool huge, int node)
{
	return (node + 1) * 2 + huge;
}

static struct vfsmount *mount_create(bool huge, int node)
{
	char options[48];

	snprintf(options, sizeof(options), "huge=%s",
		 huge ? "always" : "never");
	if (node != TMK_IOC_NODE_ANY)
		snprintf(options + strlen(options),
			 sizeof(options) - strlen(options), ",mpol=bind:%d",
			 node);
	return vfs_kern_mount(ktmk_tmpfs, SB_KERNMOUNT, "tmk", options);
}

static struct vfsmount *mount_get(bool huge, int node)
{
	unsigned long key = mount_key(huge, node);
	struct vfsmount *mnt;
	int err;

	mutex_lock(&ktmk_mounts_lock);
	mnt = xa_load(&ktmk_mounts, key);
	if (mnt)
		goto out;
	mnt = mount_create(huge, node);
	if (IS_ERR(mnt))
		goto out;
	err = xa_insert(&ktmk_mounts, key, mnt, GFP_KERNEL);
	if (err) {
		kern_unmount(mnt);
		mnt = ERR_PTR(err);
	}
out:
	mutex_unlock(&ktmk_mounts_lock);
	return mnt;
}

/**
 * ktmk_backing_fops() - shmem's own file operations, to build on
 *
 * Return: them; valid while the module is loaded.
 */
const struct file_operations *ktmk_backing_fops(void)
{
	return ktmk_shmem_fops;
}

/**
 * ktmk_backing_open() - an empty file of the right size on the right mount
 * @params: kind, length and node
 * @fops: what to replace the file's operations by, or NULL to leave them
 *
 * With @fops the file holds a reference on this module, as do those that are
 * opened from its inode later. shmem reserves the whole length against the
 * overcommit limit.
 *
 * Return: the file or an ERR_PTR().
 */
struct file *ktmk_backing_open(const struct ktmk_region_params *params,
			       const struct file_operations *fops)
{
	bool huge = params->kind == TMK_IOC_KIND_HUGE;
	char name[sizeof("tmk:") + TMK_IOC_NAME_LEN];
	struct vfsmount *mnt;
	struct inode *inode;
	struct file *file;

	/* A folio of our own goes where we allocate it, whatever the mount. */
	mnt = mount_get(huge,
			ktmk_populate_own ? TMK_IOC_NODE_ANY : params->node);
	if (IS_ERR(mnt))
		return ERR_CAST(mnt);

	snprintf(name, sizeof(name), "tmk:%s", params->name);
	file = shmem_file_setup_with_mnt(mnt, name, params->length,
					 ktmk_kind_is_mapped(params->kind) ?
						 VM_NORESERVE :
						 0);
	/* shmem says "no space" for an inode that it could not allocate. */
	if (file == ERR_PTR(-ENOSPC))
		return ERR_PTR(-ENOMEM);
	if (IS_ERR(file))
		return file;

	inode = file_inode(file);
	inode->i_mode = S_IFREG | 0600;
	SHMEM_I(inode)->seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	/* Not movable: a held page in a movable zone defeats long-term pins. */
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	/* Before the first folio comes, or it ends on the wrong LRU list. */
	mapping_set_unevictable(inode->i_mapping);

	if (fops) {
		/* The kernel did not open this file for us; fput() puts. */
		__module_get(THIS_MODULE);
		file->f_op = fops;
		/* As if it had been opened by name: pread() works. */
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
		file->f_mode &= ~FMODE_CAN_WRITE;
		inode->i_fop = fops;
	}
	return file;
}

/**
 * ktmk_backing_hold() - note that we hold a reference on a folio
 * @mapping: the region's
 * @folio: in @mapping, with a reference that the mapping takes over
 */
void ktmk_backing_hold(struct address_space *mapping, struct folio *folio)
{
	xa_lock_irq(&mapping->i_pages);
	__xa_set_mark(&mapping->i_pages, folio->index, KTMK_MARK_HELD);
	xa_unlock_irq(&mapping->i_pages);
}

/**
 * ktmk_backing_unhold() - the reverse of ktmk_backing_hold()
 * @mapping: the region's
 * @folio: in @mapping; its reference is dropped
 */
void ktmk_backing_unhold(struct address_space *mapping, struct folio *folio)
{
	xa_lock_irq(&mapping->i_pages);
	__xa_clear_mark(&mapping->i_pages, folio->index, KTMK_MARK_HELD);
	xa_unlock_irq(&mapping->i_pages);
	folio_put(folio);
}

/**
 * ktmk_backing_is_held() - is there a folio of ours?
 * @mapping: the region's
 * @index: any page of the folio
 *
 * Return: true if we hold a reference on it.
 */
bool ktmk_backing_is_held(struct address_space *mapping, pgoff_t index)
{
	return xa_get_mark(&mapping->i_pages, index, KTMK_MARK_HELD);
}

/**
 * ktmk_backing_is_busy() - does somebody beside the mapping and us hold a folio?
 * @folio: one that we hold and nobody has mapped
 *
 * Small folios may sit in a per-CPU batch for long, so only real pins count
 * there; what else can hold one (a pipe) is bounded by its own limits.
 *
 * Return: true if its memory would not go away.
 */
bool ktmk_backing_is_busy(struct folio *folio)
{
	if (folio_maybe_dma_pinned(folio))
		return true;
	return folio_test_large(folio) &&
	       folio_ref_count(folio) > folio_nr_pages(folio) + 1;
}

static void backing_truncate(struct inode *inode, pgoff_t begin, pgoff_t end)
{
	if (begin < end)
		shmem_truncate_range(inode, (loff_t)begin << PAGE_SHIFT,
				     ((loff_t)end << PAGE_SHIFT) - 1);
}

/**
 * ktmk_backing_release() - give the folios back that nobody holds any more
 * @inode: the file, which nobody has open or mapped
 * @length: its length
 *
 * Truncating here, and not leaving it to the eviction of the inode, means that
 * an O_PATH descriptor cannot keep the memory when the charge is gone.
 *
 * Context: may sleep.
 * Return: bytes that somebody still holds and that are to stay charged; call
 * again later until it is 0.
 */
u64 ktmk_backing_release(struct inode *inode, u64 length)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long index = 0;
	struct folio *folio;
	pgoff_t done = 0;
	u64 held = 0;

	while ((folio = xa_find(&mapping->i_pages, &index, ULONG_MAX,
				XA_PRESENT))) {
		if (WARN_ON_ONCE(xa_is_value(folio))) {
			index++;
			continue;
		}
		index = folio->index;
		if (!ktmk_backing_is_held(mapping, index)) {
			/* Not ours: see trim.c. Truncation takes it. */
			index += folio_nr_pages(folio);
		} else if (ktmk_backing_is_busy(folio)) {
			backing_truncate(inode, done, index);
			held += folio_size(folio);
			done = index + folio_nr_pages(folio);
			index = done;
		} else {
			index += folio_nr_pages(folio);
			ktmk_backing_unhold(mapping, folio);
		}
		cond_resched();
	}
	backing_truncate(inode, done, length >> PAGE_SHIFT);
	return held;
}

/**
 * ktmk_backing_init() - look at shmem
 *
 * Return: 0, or a negative errno if there is no tmpfs that can do it.
 */
int ktmk_backing_init(void)
{
	struct ktmk_region_params params = {
		.kind = TMK_IOC_KIND_HUGE,
		.node = TMK_IOC_NODE_ANY,
		.length = KTMK_HUGE_BYTES,
	};
	struct file *file;

	ktmk_tmpfs = get_fs_type("tmpfs");
	if (!ktmk_tmpfs)
		return -ENODEV;
	file = ktmk_backing_open(&params, NULL);
	if (IS_ERR(file)) {
		ktmk_backing_exit();
		return PTR_ERR(file);
	}
	ktmk_shmem_fops = file->f_op;
	fput(file);
	return 0;
}

/*
 * O_PATH descriptors hold neither a region nor the module. What they lead to
 * must not lead to us any more.
 */
static void mount_cut_off(struct vfsmount *mnt)
{
	struct super_block *sb = mnt->mnt_sb;
	struct inode *inode;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list)
		if (S_ISREG(inode->i_mode))
			make_bad_inode(inode);
	spin_unlock(&sb->s_inode_list_lock);
}

/**
 * ktmk_backing_exit() - unmount
 */
void ktmk_backing_exit(void)
{
	struct vfsmount *mnt;
	unsigned long key;

	xa_for_each(&ktmk_mounts, key, mnt) {
		mount_cut_off(mnt);
		kern_unmount(mnt);
	}
	xa_destroy(&ktmk_mounts);
}
