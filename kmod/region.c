// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions: memory that was handed out, as a file.
 *
 * The region hangs off its inode's mapping. Each open file of the inode holds
 * a reference on it, however it came about (dup and fork share a file, opening
 * /proc/self/fd/N makes another), and a mapping holds its file. The last
 * release gives the memory and the charge back, except for folios that a device
 * or io_uring still has pinned: the region then waits on the list of orphans,
 * charged with those, until they are let go.
 */

#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "ktmk.h"
#include "trace.h"

#define KTMK_ORPHAN_DELAY_MIN msecs_to_jiffies(10)
#define KTMK_ORPHAN_DELAY_MAX HZ

static struct file_operations ktmk_region_fops __ro_after_init;
static atomic64_t ktmk_region_last_id = ATOMIC64_INIT(0);

static LIST_HEAD(ktmk_orphans); /* ktmk_orphans_lock */
static DEFINE_MUTEX(ktmk_orphans_lock);
static unsigned long ktmk_orphan_delay; /* only the work below touches it */

static void orphan_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(ktmk_orphan_work, orphan_work);

static struct ktmk_region *region_of(const struct inode *inode)
{
	return READ_ONCE(inode->i_mapping->i_private_data);
}

/**
 * ktmk_region_of_file() - the region behind a file
 * @file: any file
 *
 * Return: the region, or NULL if the file is none.
 */
struct ktmk_region *ktmk_region_of_file(const struct file *file)
{
	if (file->f_op != &ktmk_region_fops && !ktmk_mapped_is(file))
		return NULL;
	return region_of(file_inode(file));
}

/* Reduce the charge to @bytes. */
static void region_uncharge_to(struct ktmk_region *region, u64 bytes)
{
	u64 physical = min(bytes, region->physical);

	ktmk_group_uncharge(region->group, region->params.kind,
			    region->charged - bytes,
			    region->physical - physical);
	region->charged = bytes;
	region->physical = physical;
}

static void region_free(struct ktmk_region *region)
{
	ktmk_debugfs_del(region);
	ktmk_group_put(region->group);
	kfree_rcu(region, rcu);
}

static void orphan_add(struct ktmk_region *region, struct inode *inode)
{
	/* The file goes; inode, if there still is one, and module must not. */
	if (inode)
		ihold(inode);
	region->inode = inode;
	__module_get(THIS_MODULE);

	mutex_lock(&ktmk_orphans_lock);
	list_add_tail(&region->orphan, &ktmk_orphans);
	mutex_unlock(&ktmk_orphans_lock);
	mod_delayed_work(system_wq, &ktmk_orphan_work, KTMK_ORPHAN_DELAY_MIN);
}

/* Return: true if the orphan is gone for good. */
static bool orphan_retry(struct ktmk_region *region)
{
	u64 held;

	if (region->inode)
		held = ktmk_backing_release(region->inode,
					    region->params.length);
	else
		held = ktmk_hugetlb_release(region);
	region_uncharge_to(region, held);
	if (held)
		return false;
	list_del(&region->orphan);
	if (region->inode)
		iput(region->inode);
	region_free(region);
	return true;
}

static void orphan_work(struct work_struct *work)
{
	struct ktmk_region *region, *tmp;
	unsigned int gone = 0;
	bool left;

	mutex_lock(&ktmk_orphans_lock);
	list_for_each_entry_safe(region, tmp, &ktmk_orphans, orphan)
		gone += orphan_retry(region);
	left = !list_empty(&ktmk_orphans);
	mutex_unlock(&ktmk_orphans_lock);

	/* Pins last for microseconds or for hours: look less and less often. */
	ktmk_orphan_delay = gone ? KTMK_ORPHAN_DELAY_MIN :
				   min_t(unsigned long, ktmk_orphan_delay * 2,
					 KTMK_ORPHAN_DELAY_MAX);
	if (left)
		schedule_delayed_work(&ktmk_orphan_work,
				      max_t(unsigned long, ktmk_orphan_delay,
					    KTMK_ORPHAN_DELAY_MIN));
	/* ktmk_region_exit() waits for this work, so the code stays. */
	while (gone--)
		module_put(THIS_MODULE);
}

/**
 * ktmk_region_end() - nobody has the region open or mapped any more
 * @region: the region; goes, or waits as an orphan
 * @inode: the inode that has its pages, or NULL if it has gone already
 * @held: bytes that somebody still has pinned, and that stay charged
 */
void ktmk_region_end(struct ktmk_region *region, struct inode *inode, u64 held)
{
	region_uncharge_to(region, held);
	trace_region_destroy(region, held);
	if (held)
		orphan_add(region, inode);
	else
		region_free(region);
}

static void region_last_release(struct ktmk_region *region, struct inode *inode)
{
	/* An O_PATH descriptor can outlive us; opening it finds nothing then. */
	WRITE_ONCE(inode->i_mapping->i_private_data, NULL);
	if (region->inner) {
		fput(region->inner);
		ktmk_region_put(region);
	} else {
		ktmk_region_end(region, inode,
				ktmk_backing_release(inode,
						     region->params.length));
	}
}

/**
 * ktmk_region_open() - ->open of a region's inode, that is by way of /proc
 * @inode: the inode
 * @file: the new file
 *
 * Return: 0; -ENXIO if the region is gone; -EPERM or -EACCES if it cannot be
 * opened for writing.
 */
int ktmk_region_open(struct inode *inode, struct file *file)
{
	const struct file_operations *base = ktmk_backing_fops();
	struct ktmk_region *region;
	int err;

	rcu_read_lock();
	region = region_of(inode);
	if (region && !kref_get_unless_zero(&region->ref))
		region = NULL;
	rcu_read_unlock();
	if (!region)
		return -ENXIO;

	err = ktmk_seal_check_open(region, file->f_mode);
	if (!err)
		err = base->open ? base->open(inode, file) :
				   generic_file_open(inode, file);
	if (err && refcount_dec_and_test(&region->ref.refcount))
		region_last_release(region, inode);
	return err;
}

/**
 * ktmk_region_release() - ->release of a region
 * @inode: its inode
 * @file: the file
 *
 * Return: 0.
 */
int ktmk_region_release(struct inode *inode, struct file *file)
{
	struct ktmk_region *region = region_of(inode);

	if (refcount_dec_and_test(&region->ref.refcount))
		region_last_release(region, inode);
	return 0;
}

/*
 * shmem maps beyond the end and privately; neither makes sense here. @shared is
 * VM_MAYSHARE, because a read-only descriptor's shared mapping lacks VM_SHARED.
 */
static int region_mmap_check(struct file *file, unsigned long pgoff,
			     unsigned long bytes, bool shared)
{
	unsigned long pages = bytes >> PAGE_SHIFT;
	unsigned long end;

	if (!shared)
		return -EINVAL;
	if (check_add_overflow(pgoff, pages, &end) ||
	    end > i_size_read(file_inode(file)) >> PAGE_SHIFT)
		return -EINVAL;
	return 0;
}

static bool region_can_be_trimmed(const struct file *file)
{
	return region_of(file_inode(file))->params.flags &
	       TMK_IOC_REGION_F_TRIM;
}

static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	int err = region_mmap_check(file, vma->vm_pgoff,
				    vma->vm_end - vma->vm_start,
				    vma->vm_flags & VM_MAYSHARE);

	if (!err)
		err = ktmk_seal_check_vma(region_of(file_inode(file)), vma);
	if (!err)
		err = ktmk_backing_fops()->mmap(file, vma);
	if (!err && region_can_be_trimmed(file))
		err = ktmk_trim_mmap(vma);
	return err;
}

#ifdef KTMK_HAVE_MMAP_PREPARE
static int region_mmap_prepare(struct vm_area_desc *desc)
{
	int err = region_mmap_check(desc->file, desc->pgoff,
				    desc->end - desc->start,
				    desc->vm_flags & VM_MAYSHARE);

	if (!err)
		err = ktmk_backing_fops()->mmap_prepare(desc);
	if (!err && region_can_be_trimmed(desc->file))
		err = ktmk_trim_mmap_prepare(desc);
	return err;
}
#endif

/**
 * ktmk_region_show_fdinfo() - what /proc/PID/fdinfo/N shows of a region
 * @m: where to
 * @file: the region
 */
void ktmk_region_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct ktmk_region *region = region_of(file_inode(file));

	seq_printf(m, "tmk-id:\t%llu\n", region->id);
	seq_printf(m, "tmk-kind:\t%u\n", region->params.kind);
	seq_printf(m, "tmk-name:\t%s\n", region->params.name);
	seq_printf(m, "tmk-charged:\t%llu\n", region->charged);
	seq_printf(m, "tmk-physical:\t%llu\n", region->physical);
	seq_printf(m, "tmk-page-size:\t%llu\n", region->params.page_size);
	seq_printf(m, "tmk-seals:\t%#x\n", region->seals);
	seq_printf(m, "tmk-cgroup:\t%llu\n", ktmk_group_id(region->group));
}

/**
 * ktmk_region_create() - make a region of what was asked for
 * @params: checked
 * @refusal: says who refused on -EDQUOT and -ENOMEM
 *
 * The caller's group is charged before the first page is touched.
 *
 * Context: may sleep; can be interrupted by a fatal signal.
 * Return: its file, which owns the region, or an ERR_PTR().
 */
struct file *ktmk_region_create(const struct ktmk_region_params *params,
				struct ktmk_refusal *refusal)
{
	u64 physical = params->kind == TMK_IOC_KIND_FILE ? 0 : params->length;
	struct ktmk_region *region;
	struct file *file;
	int err;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->params = *params;
	region->id = atomic64_inc_return(&ktmk_region_last_id);
	kref_init(&region->ref);
	refcount_set(&region->users, 1);

	err = ktmk_group_get_current(&region->group);
	if (err)
		goto err_free;
	err = ktmk_group_charge(region->group, params->kind, params->length,
				physical, refusal);
	if (err)
		goto err_group;
	region->charged = params->length;
	region->physical = physical;
	ktmk_debugfs_add(region);
	if (ktmk_kind_is_mapped(params->kind))
		return ktmk_mapped_create(region, refusal);

	err = ktmk_populate_room(region, refusal);
	if (err)
		goto err_uncharge;
	file = ktmk_backing_open(params, &ktmk_region_fops);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_uncharge;
	}
	/* From here on fput() undoes everything, the charge included. */
	file->f_mapping->i_private_data = region;

	err = ktmk_populate(region, file_inode(file), refusal);
	if (err) {
		fput(file);
		return ERR_PTR(err);
	}
	return file;

err_uncharge:
	region_uncharge_to(region, 0);
	ktmk_debugfs_del(region);
err_group:
	ktmk_group_put(region->group);
err_free:
	kfree(region);
	return ERR_PTR(err);
}

static int region_check_name(const u8 *name)
{
	size_t len = strnlen((const char *)name, TMK_IOC_NAME_LEN);
	size_t i;

	if (len == TMK_IOC_NAME_LEN)
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || !isprint(name[i]))
			return -EINVAL;
	return 0;
}

static int region_check_node(int node)
{
	if (node == TMK_IOC_NODE_ANY)
		return 0;
	if (node < 0 || node >= MAX_NUMNODES || !node_state(node, N_MEMORY))
		return -EINVAL;
	return 0;
}

static int region_page_size(const struct tmk_ioc_region_create *cmd,
			    u64 *page_size)
{
	switch (cmd->kind) {
	case TMK_IOC_KIND_PINNED:
	case TMK_IOC_KIND_FILE:
		*page_size = PAGE_SIZE;
		break;
	case TMK_IOC_KIND_HUGE:
		*page_size = KTMK_HUGE_BYTES;
		break;
	case TMK_IOC_KIND_HUGETLB:
		*page_size = cmd->page_size ?: KTMK_HUGE_BYTES;
		if (*page_size != KTMK_HUGE_BYTES &&
		    *page_size != KTMK_GIGANTIC_BYTES)
			return -EINVAL;
		if (!ktmk_hugetlb_has(*page_size))
			return -EOPNOTSUPP;
		break;
	default:
		return -EINVAL;
	}
	return cmd->page_size && cmd->page_size != *page_size ? -EINVAL : 0;
}

/* What is asked of REGION_CREATE, checked and rounded. */
static int region_check(const struct tmk_ioc_region_create *cmd,
			struct ktmk_region_params *params)
{
	bool is_file = cmd->kind == TMK_IOC_KIND_FILE;
	u64 page_size;
	int err;

	err = region_page_size(cmd, &page_size);
	if (err)
		return err;
	if (cmd->flags & ~(TMK_IOC_REGION_F_REQUIRE | TMK_IOC_REGION_F_TRIM) ||
	    cmd->__reserved || !cmd->length)
		return -EINVAL;
	if (is_file ? cmd->backing_fd < 0 : cmd->backing_fd != -1)
		return -EINVAL;
	if (region_check_name(cmd->name) || region_check_node(cmd->node))
		return -EINVAL;
	/* Where these pages lie is up to the task's policy or the page cache. */
	if (cmd->node != TMK_IOC_NODE_ANY && ktmk_kind_is_mapped(cmd->kind))
		return -EOPNOTSUPP;
	/* Nor have they pages of ours to give back. */
	if (cmd->flags & TMK_IOC_REGION_F_TRIM &&
	    ktmk_kind_is_mapped(cmd->kind))
		return -EOPNOTSUPP;
	if (cmd->length > MAX_LFS_FILESIZE - page_size)
		return -EOVERFLOW;

	params->kind = cmd->kind;
	params->flags = cmd->flags;
	params->node = cmd->node;
	params->page_size = page_size;
	params->asked = cmd->length;
	params->backing_fd = cmd->backing_fd;
	params->length = round_up(cmd->length, page_size);
	memcpy(params->name, cmd->name, sizeof(params->name));
	return 0;
}

/**
 * ktmk_ioc_region_create() - TMK_IOC_REGION_CREATE
 * @ucmd: the command
 *
 * Return: 0 or a negative errno, and then nothing is left of the attempt.
 */
int ktmk_ioc_region_create(struct ktmk_ucmd *ucmd)
{
	struct tmk_ioc_region_create *cmd = ucmd->cmd;
	struct ktmk_region_params params = {};
	struct ktmk_refusal refusal = {};
	struct file *file;
	int err, fd;

	err = region_check(cmd, &params);
	if (err)
		return err;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	ktmk_poll_seen(ucmd->file, false);
	file = ktmk_region_create(&params, &refusal);
	err = PTR_ERR_OR_ZERO(file);
	if (refusal.reason)
		trace_charge_fail(params.length, &refusal);
	else if (!err)
		trace_region_create(ktmk_region_of_file(file));
	cmd->out_fd = err ? -1 : fd;
	cmd->out_length = params.length;
	cmd->out_refusal = refusal.reason;
	cmd->out_refusal_cgroup = refusal.cgroup;
	cmd->out_refusal_used = refusal.used;
	cmd->out_refusal_limit = refusal.limit;
	if (err) {
		/* The errno matters more than whether this can be written. */
		if (refusal.reason)
			ktmk_ucmd_respond(ucmd, sizeof(*cmd));
		goto err_fd;
	}
	/* The caller must know the number before the descriptor exists. */
	err = ktmk_ucmd_respond(ucmd, sizeof(*cmd));
	if (err)
		goto err_file;
	fd_install(fd, file);
	return 0;

err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
	return err;
}

/**
 * ktmk_ioc_region_info() - TMK_IOC_REGION_INFO
 * @ucmd: the command
 *
 * Return: 0, -EINVAL or -EFAULT.
 */
int ktmk_ioc_region_info(struct ktmk_ucmd *ucmd)
{
	struct ktmk_region *region = region_of(file_inode(ucmd->file));
	struct tmk_ioc_region_info *cmd = ucmd->cmd;

	if (cmd->flags || cmd->__reserved)
		return -EINVAL;
	cmd->out_kind = region->params.kind;
	cmd->out_flags = region->params.flags;
	cmd->out_node = region->params.node;
	cmd->out_id = region->id;
	cmd->out_cgroup_id = ktmk_group_id(region->group);
	cmd->out_length = region->params.length;
	cmd->out_page_size = region->params.page_size;
	cmd->out_charged = region->charged;
	cmd->out_physical = region->physical;
	cmd->out_bytes_4k = region->bytes[KTMK_PAGES_BASE];
	cmd->out_bytes_large = region->bytes[KTMK_PAGES_LARGE];
	cmd->out_bytes_2m = region->bytes[KTMK_PAGES_2M];
	cmd->out_bytes_1g = region->bytes[KTMK_PAGES_1G];
	memcpy(cmd->out_name, region->params.name, sizeof(cmd->out_name));
	return ktmk_ucmd_respond(ucmd, sizeof(*cmd));
}

/**
 * ktmk_region_init() - build the file operations on those of shmem
 *
 * Return: 0, or -EOPNOTSUPP if shmem's do not look as expected.
 */
int __init ktmk_region_init(void)
{
	const struct file_operations *base = ktmk_backing_fops();

	ktmk_region_fops = *base;
	ktmk_region_fops.owner = THIS_MODULE;
	ktmk_region_fops.open = ktmk_region_open;
	ktmk_region_fops.release = ktmk_region_release;
	ktmk_region_fops.unlocked_ioctl = ktmk_region_ioctl;
	ktmk_region_fops.compat_ioctl = compat_ptr_ioctl;
	ktmk_region_fops.show_fdinfo = ktmk_region_show_fdinfo;
	/* shmem's own insists, on debug kernels, that the file is its. */
	ktmk_region_fops.get_unmapped_area = thp_get_unmapped_area;
	/* Written through a mapping only; its size is for ever. */
	ktmk_region_fops.write = NULL;
	ktmk_region_fops.write_iter = NULL;
	ktmk_region_fops.splice_write = NULL;
	ktmk_region_fops.fallocate = NULL;
#ifdef KTMK_HAVE_MMAP_PREPARE
	if (base->mmap_prepare) {
		ktmk_region_fops.mmap_prepare = region_mmap_prepare;
		return 0;
	}
#endif
	if (!base->mmap)
		return -EOPNOTSUPP;
	ktmk_region_fops.mmap = region_mmap;
	return 0;
}

/**
 * ktmk_region_exit() - wait for the last orphan's work
 */
void ktmk_region_exit(void)
{
	cancel_delayed_work_sync(&ktmk_orphan_work);
	/* region_free() leaves memory to RCU, but no code of ours. */
}
