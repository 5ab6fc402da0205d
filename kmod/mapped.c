// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions whose mappings are those of another file: hugetlb and file regions.
 *
 * The descriptor that the caller gets is an empty file on our tmpfs, so that
 * size, mode, reopening and descriptors that can only be read are as with any
 * other region. Mapping it maps the inner file, in the range that was charged
 * and no further: mapping a hugetlb file beyond its end would silently make it
 * larger. The VMA then belongs to the inner file, so that everybody who looks
 * at vm_file or vm_ops sees what they know, and the descriptor can be closed
 * while the mapping lives. Who holds the region (&ktmk_region.users):
 *
 *  - the open descriptors, together;
 *  - hugetlb: the inner inode, which is private to us, until it is evicted;
 *  - file: each VMA, through a copy of its vm_ops.
 *
 * The last two outlive every file of ours, so such a region itself holds the
 * module, and ktmk_mapped_exit() waits for those who are leaving it.
 */

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include <uapi/linux/fcntl.h>

#include "ktmk.h"

/**
 * struct mapped_vm_ops - the vm_ops of a mapping of a file region
 * @ops: the file system's, with some replaced
 * @host: the file system's
 * @region: holds a reference
 * @ref: VMAs that use this
 */
struct mapped_vm_ops {
	struct vm_operations_struct ops;
	const struct vm_operations_struct *host;
	struct ktmk_region *region;
	refcount_t ref;
};

static struct mapped_vm_ops *mapped_vm_ops_of(struct vm_area_struct *vma)
{
	return container_of(vma->vm_ops, struct mapped_vm_ops, ops);
}

static void mapped_vma_open(struct vm_area_struct *vma)
{
	struct mapped_vm_ops *m = mapped_vm_ops_of(vma);

	refcount_inc(&m->ref);
	if (m->host->open)
		m->host->open(vma);
}

static void mapped_vma_close(struct vm_area_struct *vma)
{
	struct mapped_vm_ops *m = mapped_vm_ops_of(vma);

	if (m->host->close)
		m->host->close(vma);
	vma->vm_ops = m->host;
	if (refcount_dec_and_test(&m->ref)) {
		struct ktmk_region *region = m->region;

		kfree(m);
		ktmk_region_put(region);
	}
}

static pgoff_t mapped_end(const struct mapped_vm_ops *m)
{
	return m->region->params.length >> PAGE_SHIFT;
}

/* mremap() can make a mapping larger without asking us. */
static vm_fault_t mapped_fault(struct vm_fault *vmf)
{
	struct mapped_vm_ops *m = mapped_vm_ops_of(vmf->vma);

	if (vmf->pgoff >= mapped_end(m))
		return VM_FAULT_SIGBUS;
	return m->host->fault(vmf);
}

static vm_fault_t mapped_map_pages(struct vm_fault *vmf, pgoff_t start,
				   pgoff_t last)
{
	struct mapped_vm_ops *m = mapped_vm_ops_of(vmf->vma);

	if (start >= mapped_end(m))
		return 0;
	return m->host->map_pages(vmf, start, min(last, mapped_end(m) - 1));
}

/* Let the charge of a file region live as long as @vma and its descendants. */
static void mapped_wrap_vma(struct mapped_vm_ops *m, struct ktmk_region *region,
			    struct vm_area_struct *vma)
{
	m->host = vma->vm_ops;
	m->ops = *vma->vm_ops;
	m->ops.open = mapped_vma_open;
	m->ops.close = mapped_vma_close;
	if (m->host->fault)
		m->ops.fault = mapped_fault;
	if (m->host->map_pages)
		m->ops.map_pages = mapped_map_pages;
	/* Without it the kernel takes small pages, which we can check. */
	m->ops.huge_fault = NULL;
	m->region = region;
	refcount_inc(&region->users);
	refcount_set(&m->ref, 1);
	vma->vm_ops = &m->ops;
}

static int mapped_check_range(const struct ktmk_region *region,
			      struct vm_area_struct *vma)
{
	u64 page_size = region->params.page_size;
	unsigned long end;

	/* VM_MAYSHARE: a read-only descriptor's mapping lacks VM_SHARED. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (check_add_overflow(vma->vm_pgoff, vma_pages(vma), &end) ||
	    end > region->params.length >> PAGE_SHIFT)
		return -EINVAL;
	if (!IS_ALIGNED(vma->vm_start, page_size) ||
	    !IS_ALIGNED(vma->vm_end, page_size) ||
	    !IS_ALIGNED(vma->vm_pgoff, page_size >> PAGE_SHIFT))
		return -EINVAL;
	return 0;
}

static bool mapped_noexec(const struct file *inner)
{
	return inner->f_path.mnt->mnt_flags & MNT_NOEXEC ||
	       file_inode(inner)->i_sb->s_iflags & SB_I_NOEXEC;
}

/* The rights are those of our descriptor and of the inner file together. */
static int mapped_check_rights(const struct ktmk_region *region,
			       struct vm_area_struct *vma)
{
	if (mapped_noexec(region->inner)) {
		if (vma->vm_flags & VM_EXEC)
			return -EPERM;
		vm_flags_clear(vma, VM_MAYEXEC);
	}
	return ktmk_seal_check_vma(region, vma);
}

static int mapped_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ktmk_region *region = ktmk_region_of_file(file);
	struct mapped_vm_ops *m = NULL;
	int err;

	err = mapped_check_range(region, vma);
	if (!err)
		err = mapped_check_rights(region, vma);
	if (err)
		return err;
	if (region->params.kind == TMK_IOC_KIND_FILE) {
		m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
		if (!m)
			return -ENOMEM;
	}
	vma_set_file(vma, region->inner);
	err = vfs_mmap(region->inner, vma);
	if (!err && m && !vma->vm_ops)
		err = -EOPNOTSUPP;
	if (err) {
		kfree(m);
		return err;
	}
	if (m)
		mapped_wrap_vma(m, region, vma);
	return 0;
}

static unsigned long mapped_get_unmapped_area(struct file *file,
					      unsigned long addr,
					      unsigned long len,
					      unsigned long pgoff,
					      unsigned long flags)
{
	struct ktmk_region *region = ktmk_region_of_file(file);
	const struct file_operations *inner = region->inner->f_op;

	if (!IS_ALIGNED(len, region->params.page_size))
		return -EINVAL;
	if (!inner->get_unmapped_area ||
	    region->params.kind != TMK_IOC_KIND_HUGETLB)
		return thp_get_unmapped_area(file, addr, len, pgoff, flags);
	return inner->get_unmapped_area(region->inner, addr, len, pgoff, flags);
}

static const struct file_operations mapped_fops = {
	.owner = THIS_MODULE,
	.open = ktmk_region_open,
	.release = ktmk_region_release,
	.mmap = mapped_mmap,
	.get_unmapped_area = mapped_get_unmapped_area,
	.unlocked_ioctl = ktmk_mapped_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = ktmk_region_show_fdinfo,
	.llseek = generic_file_llseek,
};

/* Its size is for ever, and it has nothing else to change. */
static int mapped_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			  struct iattr *attr)
{
	return -EPERM;
}

static const struct inode_operations mapped_iops = {
	.setattr = mapped_setattr,
};

static struct file *mapped_wrapper(struct ktmk_region *region)
{
	struct file *file = ktmk_backing_open(&region->params, &mapped_fops);
	struct inode *inode;

	if (IS_ERR(file))
		return file;
	inode = file_inode(file);
	inode->i_op = &mapped_iops;
	/* Without F_SEAL_SHRINK nobody takes it for a file with pages. */
	SHMEM_I(inode)->seals = F_SEAL_SEAL | F_SEAL_GROW;
	file->f_mode &= ~(FMODE_CAN_READ | FMODE_PREAD | FMODE_PWRITE);
	file->f_mapping->i_private_data = region;
	return file;
}

/**
 * ktmk_mapped_create() - finish a region that has an inner file
 * @region: charged and owning nothing else yet; taken over
 * @refusal: says who refused on -ENOMEM
 *
 * Return: the file, which owns the region, or an ERR_PTR() and the region is on
 * its way out.
 */
struct file *ktmk_mapped_create(struct ktmk_region *region,
				struct ktmk_refusal *refusal)
{
	struct file *inner, *file;

	__module_get(THIS_MODULE);
	if (region->params.kind == TMK_IOC_KIND_HUGETLB)
		inner = ktmk_hugetlb_open(region, refusal);
	else
		inner = ktmk_file_open(region);
	if (IS_ERR(inner)) {
		ktmk_region_put(region);
		return inner;
	}
	region->inner = inner;
	file = mapped_wrapper(region);
	if (IS_ERR(file)) {
		fput(inner);
		ktmk_region_put(region);
	}
	return file;
}

/**
 * ktmk_region_put() - a user of a region with an inner file is gone
 * @region: the region
 *
 * Context: may sleep.
 */
void ktmk_region_put(struct ktmk_region *region)
{
	if (!refcount_dec_and_test(&region->users))
		return;
	ktmk_region_end(region, NULL, ktmk_hugetlb_release(region));
	module_put(THIS_MODULE);
}

/**
 * ktmk_mapped_is() - is this one of our descriptors?
 * @file: any file
 *
 * Return: true if it belongs to a region with an inner file.
 */
bool ktmk_mapped_is(const struct file *file)
{
	return file->f_op == &mapped_fops;
}

/**
 * ktmk_mapped_exit() - wait for those who just dropped the last reference
 *
 * The last ktmk_region_put() may run without any file of ours, so its caller
 * may still be on its way out of this code.
 */
void ktmk_mapped_exit(void)
{
	synchronize_rcu_tasks();
}
