// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * The module: its parameters, its parts in the order in which they start, and
 * the character device.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "ktmk.h"

static char *max = "max";
module_param(max, charp, 0444);
MODULE_PARM_DESC(max, "machine limit on all bytes: 8G, 75% or max (max)");

static char *physical_max = "50%";
module_param(physical_max, charp, 0444);
MODULE_PARM_DESC(physical_max, "machine limit on bytes in RAM, as max= (50%)");

static char *populate = "auto";
module_param(populate, charp, 0444);
MODULE_PARM_DESC(populate, "who allocates pages: own, shmem or auto (auto)");

static char *pool = "0";
module_param(pool, charp, 0444);
MODULE_PARM_DESC(pool,
		 "bytes of cleared huge pages to keep ready, as max= (0)");

/* Regions are filled with folios of our own; fixed once the module is loaded. */
bool ktmk_populate_own __ro_after_init;

static int device_open(struct inode *inode, struct file *file)
{
	int err = ktmk_poll_open(file);

	return err ?: nonseekable_open(inode, file);
}

static int device_release(struct inode *inode, struct file *file)
{
	ktmk_poll_release(file);
	return 0;
}

static const struct file_operations ktmk_device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.poll = ktmk_poll,
	.unlocked_ioctl = ktmk_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice ktmk_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tmk",
	.fops = &ktmk_device_fops,
	.mode = 0660,
};

static int __init parse_limit(u64 *out, const char *name, const char *value)
{
	int err = ktmk_limit_parse(out, value,
				   (u64)totalram_pages() << PAGE_SHIFT);

	if (err)
		pr_err("%s=%s is not a size\n", name, value);
	return err;
}

static int __init choose_populate(void)
{
	bool works;

	if (!strcmp(populate, "shmem"))
		return 0;
	if (strcmp(populate, "own") && strcmp(populate, "auto")) {
		pr_err("populate=%s is none of own, shmem, auto\n", populate);
		return -EINVAL;
	}
	works = ktmk_populate_own_works();
	if (!works && !strcmp(populate, "own")) {
		pr_err("populate=own: the self-test failed on this kernel\n");
		return -EOPNOTSUPP;
	}
	if (!works)
		pr_notice("self-test failed, regions are filled by shmem\n");
	ktmk_populate_own = works;
	return 0;
}

static int __init ktmk_init(void)
{
	u64 max_bytes, physical_max_bytes, pool_bytes;
	int err;

	err = parse_limit(&max_bytes, "max", max);
	if (err)
		return err;
	err = parse_limit(&physical_max_bytes, "physical_max", physical_max);
	if (err)
		return err;
	err = parse_limit(&pool_bytes, "pool", pool);
	if (err)
		return err;

	err = ktmk_backing_init();
	if (err)
		return err;
	err = choose_populate();
	if (err)
		goto err_backing;
	err = ktmk_region_init();
	if (err)
		goto err_backing;
	ktmk_hugetlb_init();
	err = ktmk_group_init(max_bytes, physical_max_bytes);
	if (err)
		goto err_hugetlb;
	err = ktmk_pool_init(pool_bytes);
	if (err)
		goto err_group;
	err = misc_register(&ktmk_device);
	if (err)
		goto err_pool;
	err = ktmk_sysfs_link_device(&ktmk_device.this_device->kobj);
	if (err)
		goto err_misc;
	ktmk_debugfs_init();
	return 0;

err_misc:
	misc_deregister(&ktmk_device);
err_pool:
	ktmk_pool_exit();
err_group:
	ktmk_group_exit();
err_hugetlb:
	ktmk_hugetlb_exit();
	ktmk_region_exit();
err_backing:
	ktmk_backing_exit();
	return err;
}

static void __exit ktmk_exit(void)
{
	ktmk_debugfs_exit();
	ktmk_sysfs_unlink_device(&ktmk_device.this_device->kobj);
	misc_deregister(&ktmk_device);
	ktmk_region_exit();
	ktmk_mapped_exit();
	ktmk_pool_exit();
	ktmk_group_exit();
	ktmk_hugetlb_exit();
	ktmk_backing_exit();
}

module_init(ktmk_init);
module_exit(ktmk_exit);
MODULE_DESCRIPTION("Pinned and huge memory regions with limits per cgroup");
MODULE_AUTHOR("the tmk authors");
MODULE_VERSION(KTMK_VERSION);
MODULE_LICENSE("GPL");
