// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * hugetlb regions: pages of the system's 2 MiB and 1 GiB pools.
 *
 * The inner file is an unnamed one on a private hugetlbfs mount, one for each
 * page size. It is filled by fallocate, which takes the pages from the pool and
 * clears them; the hugetlb controller charges them as well. The region lives
 * until the inner inode is evicted: our copy of the superblock's operations
 * tells us. Pages that are pinned then are held by us too and stay charged.
 *
 * The inner file cannot be kept from growing: remap_file_pages() maps it
 * directly. So each mount has a subpool with as many pages as its regions are
 * charged for, and hugetlbfs itself refuses whatever is more.
 */

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <uapi/linux/fcntl.h>

#include "ktmk.h"

/* The mounts, made at load and never changed: 2 MiB and 1 GiB. */
static struct vfsmount *hugetlb_mounts[2] __ro_after_init;
static struct super_operations hugetlb_sops __ro_after_init; /* a copy */
static const struct super_operations *hugetlb_host_sops __ro_after_init;

static struct vfsmount *hugetlb_mount(u64 page_size)
{
	if (page_size == KTMK_HUGE_BYTES)
		return hugetlb_mounts[0];
	return page_size == KTMK_GIGANTIC_BYTES ? hugetlb_mounts[1] : NULL;
}

static struct hugetlbfs_sb_info *hugetlb_info(u64 page_size)
{
	return HUGETLBFS_SB(hugetlb_mount(page_size)->mnt_sb);
}

static u64 hugetlb_pages(const struct ktmk_region *region)
{
	return div64_u64(region->params.length, region->params.page_size);
}

static void hugetlb_allow(u64 page_size, long pages)
{
	struct hugepage_subpool *spool = hugetlb_info(page_size)->spool;

	spin_lock_irq(&spool->lock);
	spool->max_hpages += pages;
	spin_unlock_irq(&spool->lock);
}

/* Keep what is pinned; called while the inode still has its pages. */
static void hugetlb_hold_pinned(struct ktmk_region *region, struct inode *inode)
{
	struct folio *folio;
	unsigned long index;

	xa_for_each(&inode->i_mapping->i_pages, index, folio) {
		if (!folio_maybe_dma_pinned(folio))
			continue;
		if (WARN_ON_ONCE(region->held_nr == hugetlb_pages(region)))
			return;
		folio_get(folio);
		region->held[region->held_nr++] = folio;
	}
}

static void hugetlb_evict_inode(struct inode *inode)
{
	struct ktmk_region *region = inode->i_private;

	if (region)
		hugetlb_hold_pinned(region, inode);
	hugetlb_host_sops->evict_inode(inode);
	if (region)
		ktmk_region_put(region);
}

/**
 * ktmk_hugetlb_release() - let go of pages that are no longer pinned
 * @region: a region whose inner inode is gone, if it had one
 *
 * Return: bytes that somebody still has pinned; call again later until it is 0.
 */
u64 ktmk_hugetlb_release(struct ktmk_region *region)
{
	u64 i, left = 0;

	for (i = 0; i < region->held_nr; i++) {
		if (folio_maybe_dma_pinned(region->held[i]))
			region->held[left++] = region->held[i];
		else
			folio_put(region->held[i]);
	}
	region->held_nr = left;
	if (!left && region->held) {
		kvfree(region->held);
		region->held = NULL;
		hugetlb_allow(region->params.page_size,
			      -(long)hugetlb_pages(region));
	}
	return left * region->params.page_size;
}

/**
 * ktmk_hugetlb_has() - does this machine know hugetlb pages of that size?
 * @page_size: in bytes
 *
 * Return: true if regions of it can be asked for, whatever the pool holds.
 */
bool ktmk_hugetlb_has(u64 page_size)
{
	return hugetlb_mount(page_size);
}

/* Pages that can still be had, and in @total those there are or may be. */
static u64 hugetlb_available(const struct hstate *h, u64 *total)
{
	u64 nr = READ_ONCE(h->nr_huge_pages);
	u64 free = READ_ONCE(h->free_huge_pages);
	u64 resv = READ_ONCE(h->resv_huge_pages);
	u64 over = READ_ONCE(h->nr_overcommit_huge_pages);
	u64 surplus = READ_ONCE(h->surplus_huge_pages);
	u64 more = over > surplus ? over - surplus : 0;

	*total = nr + more;
	return (free > resv ? free - resv : 0) + more;
}

static bool hugetlb_pool_lacks(const struct ktmk_region *region, u64 pages,
			       struct ktmk_refusal *refusal)
{
	const struct hstate *h = hugetlb_info(region->params.page_size)->hstate;
	u64 total, available = hugetlb_available(h, &total);

	if (pages <= available)
		return false;
	refusal->reason = TMK_IOC_REFUSAL_POOL;
	refusal->cgroup = 0;
	refusal->limit = total * region->params.page_size;
	refusal->used = (total - available) * region->params.page_size;
	return true;
}

static int hugetlb_fill(struct ktmk_region *region, struct file *file,
			struct ktmk_refusal *refusal)
{
	u64 page_size = region->params.page_size;
	u64 offset;
	int err;

	for (offset = 0; offset < region->params.length; offset += page_size) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = ktmk_fallocate(file, 0, offset, page_size);
		if (err == -ENOSPC || err == -ENOMEM) {
			/* There is one in the pool: the controller refused. */
			if (!hugetlb_pool_lacks(region, 1, refusal))
				refusal->reason = TMK_IOC_REFUSAL_HUGETLB_MAX;
			return -ENOMEM;
		}
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

static struct file *hugetlb_inner(struct ktmk_region *region)
{
	struct vfsmount *mnt = hugetlb_mount(region->params.page_size);
	struct path path = { .mnt = mnt, .dentry = mnt->mnt_root };
	struct file *file;
	struct inode *inode;

	file = kernel_tmpfile_open(mnt_idmap(mnt), &path, S_IFREG | 0600,
				   O_RDWR | O_LARGEFILE, current_cred());
	if (file == ERR_PTR(-ENOSPC))
		return ERR_PTR(-ENOMEM);
	if (IS_ERR(file))
		return file;
	inode = file_inode(file);
	/* The size that it has already is not checked against RLIMIT_FSIZE. */
	i_size_write(inode, region->params.length);
	HUGETLBFS_I(inode)->seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	refcount_inc(&region->users);
	inode->i_private = region;
	return file;
}

/**
 * ktmk_hugetlb_open() - make and fill the inner file of a region
 * @region: the region; the inode takes a reference
 * @refusal: says who refused on -ENOMEM
 *
 * Context: may sleep; can be interrupted by a fatal signal.
 * Return: the inner file or an ERR_PTR().
 */
struct file *ktmk_hugetlb_open(struct ktmk_region *region,
			       struct ktmk_refusal *refusal)
{
	u64 page_size = region->params.page_size;
	struct file *file;
	int err;

	if (hugetlb_pool_lacks(region, hugetlb_pages(region), refusal))
		return ERR_PTR(-ENOMEM);
	/* Where pinned pages will be kept: it must not fail then. */
	region->held = kvcalloc(hugetlb_pages(region), sizeof(*region->held),
				GFP_KERNEL_ACCOUNT);
	if (!region->held)
		return ERR_PTR(-ENOMEM);
	hugetlb_allow(page_size, hugetlb_pages(region));
	file = hugetlb_inner(region);
	if (IS_ERR(file))
		return file;
	err = hugetlb_fill(region, file, refusal);
	if (err) {
		/* The inode's eviction drops its reference on the region. */
		fput(file);
		return ERR_PTR(err);
	}
	region->bytes[page_size == KTMK_HUGE_BYTES ? KTMK_PAGES_2M :
						     KTMK_PAGES_1G] =
		region->params.length;
	return file;
}

/* Asking hugetlbfs for a size that it does not have makes it complain. */
static bool __init hugetlb_size_plausible(u64 page_size)
{
#ifdef CONFIG_X86
	if (page_size == KTMK_GIGANTIC_BYTES)
		return boot_cpu_has(X86_FEATURE_GBPAGES) &&
		       IS_ENABLED(CONFIG_CONTIG_ALLOC);
#endif
	return page_size <= HPAGE_SIZE || IS_ENABLED(CONFIG_CONTIG_ALLOC);
}

static struct vfsmount *__init hugetlb_mount_create(u64 page_size)
{
	struct file_system_type *type = get_fs_type("hugetlbfs");
	struct vfsmount *mnt;
	char options[48];

	if (!type || !hugetlb_size_plausible(page_size))
		return NULL;
	/* A file is made with the caller's rights; nobody can reach the root. */
	snprintf(options, sizeof(options), "pagesize=%lluM,size=0,mode=777",
		 page_size >> 20);
	mnt = vfs_kern_mount(type, SB_KERNMOUNT, "tmk", options);
	if (IS_ERR(mnt))
		return NULL;
	if (WARN_ON_ONCE(!HUGETLBFS_SB(mnt->mnt_sb)->spool)) {
		kern_unmount(mnt);
		return NULL;
	}
	if (!hugetlb_host_sops) {
		hugetlb_host_sops = mnt->mnt_sb->s_op;
		hugetlb_sops = *hugetlb_host_sops;
		hugetlb_sops.evict_inode = hugetlb_evict_inode;
	}
	mnt->mnt_sb->s_op = &hugetlb_sops;
	return mnt;
}

/**
 * ktmk_hugetlb_init() - make the mounts of the sizes that there are
 *
 * That there is none is no reason not to load: INFO says what there is.
 */
void __init ktmk_hugetlb_init(void)
{
	hugetlb_mounts[0] = hugetlb_mount_create(KTMK_HUGE_BYTES);
	hugetlb_mounts[1] = hugetlb_mount_create(KTMK_GIGANTIC_BYTES);
}

/**
 * ktmk_hugetlb_exit() - unmount; no region is left
 */
void ktmk_hugetlb_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hugetlb_mounts); i++) {
		if (!hugetlb_mounts[i])
			continue;
		hugetlb_mounts[i]->mnt_sb->s_op = hugetlb_host_sops;
		kern_unmount(hugetlb_mounts[i]);
	}
}
