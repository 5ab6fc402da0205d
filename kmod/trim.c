// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Holes: memory of a region that was given back and comes again when touched.
 *
 * A page of the region's page size is either held (allocated by populate.c, one
 * reference of ours on each folio, charged) or a hole (nothing of ours, not
 * charged to KTMK_PHYSICAL). What makes the difference is the mapping's
 * invalidate_lock: held for writing to trim and to fill, for reading while a
 * fault looks whether the page is there and takes it. So a hole is never filled
 * without having been charged before, and a page is never taken from somebody
 * who is about to map it.
 *
 * shmem would fill a hole by itself, charged to nobody. Regions that can be
 * trimmed therefore have vm_ops of their own, which ask for the charge and call
 * shmem's. That has a price, which is why trimming is asked for at creation:
 * userfaultfd, and io_uring before 6.2, know shmem by its vm_ops and refuse such
 * mappings. They are VM_DONTEXPAND as well, because that keeps khugepaged and
 * MADV_COLLAPSE from filling holes. What else can put a page into a hole,
 * without a mapping and with rights of its own (udmabuf, iommufd), has no mark
 * in the page cache, is not ours to release, and goes when the hole is filled.
 *
 * Lock order: mmap_lock -> invalidate_lock -> folio lock.
 */

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/xarray.h>

#include "ktmk.h"

/* How often to look again at a folio that somebody may be looking at. */
#define KTMK_TRIM_LOOKS 5

static const struct vm_operations_struct *trim_host_ops; /* trim_ops_lock */
static struct vm_operations_struct trim_ops; /* constant once the above is set */
static DEFINE_MUTEX(trim_ops_lock);

static bool trim_is_hole(struct address_space *mapping, pgoff_t index)
{
	return !ktmk_backing_is_held(mapping, index);
}

/* Give everything of ours in a range back. Return: bytes. */
static u64 trim_drop(struct ktmk_region *region, struct inode *inode,
		     pgoff_t begin, pgoff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long index = begin;
	struct folio *folio;
	u64 bytes = 0;

	while ((folio = xa_find(&mapping->i_pages, &index, end - 1,
				KTMK_MARK_HELD))) {
		ktmk_populate_count(region, folio, -1);
		bytes += folio_size(folio);
		index = folio_next_index(folio);
		/* The page cache has another one until the range is gone. */
		ktmk_backing_unhold(mapping, folio);
		cond_resched();
	}
	shmem_truncate_range(inode, (loff_t)begin << PAGE_SHIFT,
			     ((loff_t)end << PAGE_SHIFT) - 1);
	return bytes;
}

/* Fill one page of the region's page size, which is a hole. */
static int trim_fill_page(struct ktmk_region *region, struct inode *inode,
			  pgoff_t index)
{
	u64 bytes = region->params.page_size;
	pgoff_t end = index + (bytes >> PAGE_SHIFT);
	struct ktmk_refusal refusal = {};
	int err;

	err = ktmk_group_charge(region->group, region->params.kind, 0, bytes,
				&refusal);
	if (err)
		return err;
	/* What came by other ways than ours is in the way. */
	trim_drop(region, inode, index, end);
	err = ktmk_populate_range(region, inode, index, end, &refusal);
	if (err) {
		trim_drop(region, inode, index, end);
		ktmk_group_uncharge(region->group, region->params.kind, 0,
				    bytes);
		return err;
	}
	region->physical += bytes;
	return 0;
}

static vm_fault_t trim_fault(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct ktmk_region *region = ktmk_region_of_file(file);
	struct address_space *mapping = file->f_mapping;
	pgoff_t index =
		round_down(vmf->pgoff, region->params.page_size >> PAGE_SHIFT);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	filemap_invalidate_lock_shared(mapping);
	if (!trim_is_hole(mapping, vmf->pgoff)) {
		ret = trim_host_ops->fault(vmf);
		filemap_invalidate_unlock_shared(mapping);
		return ret;
	}
	filemap_invalidate_unlock_shared(mapping);

	/* Refused is refused: an OOM kill would not make room under a limit. */
	filemap_invalidate_lock(mapping);
	if (!trim_is_hole(mapping, vmf->pgoff) ||
	    !trim_fill_page(region, file_inode(file), index))
		ret = trim_host_ops->fault(vmf);
	filemap_invalidate_unlock(mapping);
	return ret;
}

/* Only what is there anyway. May be called where sleeping is not allowed. */
static vm_fault_t trim_map_pages(struct vm_fault *vmf, pgoff_t start,
				 pgoff_t last)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	vm_fault_t ret;

	if (!filemap_invalidate_trylock_shared(mapping))
		return 0;
	ret = trim_host_ops->map_pages(vmf, start, last);
	filemap_invalidate_unlock_shared(mapping);
	return ret;
}

/* Build on shmem's, which are seen for the first time in a mapping. */
static bool trim_ops_ready(const struct vm_operations_struct *host)
{
	bool fits;

	mutex_lock(&trim_ops_lock);
	if (!trim_host_ops && host && host->fault && !host->huge_fault &&
	    !host->page_mkwrite && !host->pfn_mkwrite) {
		trim_ops = *host;
		trim_ops.fault = trim_fault;
		if (host->map_pages)
			trim_ops.map_pages = trim_map_pages;
		trim_host_ops = host;
	}
	fits = host && host == trim_host_ops;
	mutex_unlock(&trim_ops_lock);
	return fits;
}

/**
 * ktmk_trim_mmap() - let a new mapping of a region that can be trimmed ask
 * @vma: as shmem made it
 *
 * Return: 0, or -EOPNOTSUPP if shmem's vm_ops do not look as expected.
 */
int ktmk_trim_mmap(struct vm_area_struct *vma)
{
	if (!trim_ops_ready(vma->vm_ops))
		return -EOPNOTSUPP;
	vma->vm_ops = &trim_ops;
	vm_flags_set(vma, VM_DONTEXPAND);
	return 0;
}

#ifdef KTMK_HAVE_MMAP_PREPARE
/**
 * ktmk_trim_mmap_prepare() - the same where a mapping is only described
 * @desc: as shmem filled it in
 *
 * Return: 0, or -EOPNOTSUPP if shmem's vm_ops do not look as expected.
 */
int ktmk_trim_mmap_prepare(struct vm_area_desc *desc)
{
	if (!trim_ops_ready(desc->vm_ops))
		return -EOPNOTSUPP;
	desc->vm_ops = &trim_ops;
	desc->vm_flags |= VM_DONTEXPAND;
	return 0;
}
#endif

/**
 * ktmk_trim_fill() - fill all holes of a region, for one that must have none
 * @region: the region
 * @inode: its file
 *
 * Holes that were filled before one that cannot be stay filled and charged.
 *
 * Context: may sleep; the mapping's invalidate_lock is held for writing.
 * Return: 0, -EDQUOT, -ENOMEM or -EINTR.
 */
int ktmk_trim_fill(struct ktmk_region *region, struct inode *inode)
{
	pgoff_t step = region->params.page_size >> PAGE_SHIFT;
	pgoff_t index, end = region->params.length >> PAGE_SHIFT;
	int err = 0;

	if (region->physical == region->params.length)
		return 0;
	for (index = 0; index < end && !err; index += step)
		if (trim_is_hole(inode->i_mapping, index))
			err = trim_fill_page(region, inode, index);
	return err;
}

/*
 * Does somebody need this folio to stay? Whoever is mapping it right now has it
 * locked; afterwards it is unmapped for good, because faults wait for us.
 */
static bool trim_is_busy(struct address_space *mapping, struct folio *folio)
{
	unsigned int looks;
	bool busy = true;

	for (looks = 0; busy && looks < KTMK_TRIM_LOOKS; looks++) {
		/* A reader, or a munmap() elsewhere, is through in a moment. */
		if (looks)
			usleep_range(500, 1000);
		folio_lock(folio);
		if (folio_mapped(folio))
			unmap_mapping_pages(mapping, folio->index,
					    folio_nr_pages(folio), false);
		busy = ktmk_backing_is_busy(folio);
		folio_unlock(folio);
		if (folio_maybe_dma_pinned(folio))
			break;
	}
	return busy;
}

static int trim_check_busy(struct address_space *mapping, pgoff_t begin,
			   pgoff_t end)
{
	unsigned long index = begin;
	struct folio *folio;

	while ((folio = xa_find(&mapping->i_pages, &index, end - 1,
				KTMK_MARK_HELD))) {
		if (fatal_signal_pending(current))
			return -EINTR;
		index = folio_next_index(folio);
		if (folio->index < begin || index > end ||
		    trim_is_busy(mapping, folio))
			return -EBUSY;
		cond_resched();
	}
	return 0;
}

static int trim_range(struct ktmk_region *region, struct inode *inode,
		      pgoff_t begin, pgoff_t end, u64 *trimmed)
{
	struct address_space *mapping = inode->i_mapping;
	int err = -EBUSY;

	filemap_invalidate_lock(mapping);
	if (atomic_read(&region->exports))
		goto out;
	unmap_mapping_pages(mapping, begin, end - begin, false);
	err = trim_check_busy(mapping, begin, end);
	if (err)
		goto out;
	*trimmed = trim_drop(region, inode, begin, end);
	region->physical -= *trimmed;
	ktmk_group_uncharge(region->group, region->params.kind, 0, *trimmed);
out:
	filemap_invalidate_unlock(mapping);
	return err;
}

/**
 * ktmk_ioc_region_trim() - TMK_IOC_REGION_TRIM
 * @ucmd: the command; the dispatcher has seen to it that the descriptor may be
 * used to change the region
 *
 * Return: 0 or a negative errno, and then nothing has changed.
 */
int ktmk_ioc_region_trim(struct ktmk_ucmd *ucmd)
{
	struct ktmk_region *region = ktmk_region_of_file(ucmd->file);
	struct tmk_ioc_region_trim *cmd = ucmd->cmd;
	u64 length = region->params.length;
	u64 page_size = region->params.page_size;
	u64 trimmed = 0;
	int err;

	if (cmd->flags)
		return -EINVAL;
	if (!(region->params.flags & TMK_IOC_REGION_F_TRIM))
		return -EOPNOTSUPP;
	if (!cmd->length || !IS_ALIGNED(cmd->offset | cmd->length, page_size) ||
	    cmd->offset > length || cmd->length > length - cmd->offset)
		return -EINVAL;

	/* Whether it can be answered must be known before anything is done. */
	cmd->out_trimmed = 0;
	err = ktmk_ucmd_respond(ucmd, sizeof(*cmd));
	if (err)
		return err;
	err = trim_range(region, file_inode(ucmd->file),
			 cmd->offset >> PAGE_SHIFT,
			 (cmd->offset + cmd->length) >> PAGE_SHIFT, &trimmed);
	if (err)
		return err;
	cmd->out_trimmed = trimmed;
	return ktmk_ucmd_respond(ucmd, sizeof(*cmd));
}
