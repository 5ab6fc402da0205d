// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * /sys/kernel/debug/tmk/regions: every region alive, for root. Pulled, never
 * pushed: all that it costs is a list.
 *
 * The list is what this file owns, under ktmk_regions_lock, which is a leaf. A
 * region is in it for as long as it is charged, so its group is there as well.
 * debugfs is for people: its format is no ABI, and tmk works without it.
 */

#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "ktmk.h"

static LIST_HEAD(ktmk_regions); /* ktmk_regions_lock */
static DEFINE_MUTEX(ktmk_regions_lock);
static struct dentry *ktmk_debugfs;

/**
 * ktmk_debugfs_add() - a region was charged
 * @region: the region
 */
void ktmk_debugfs_add(struct ktmk_region *region)
{
	region->pid = task_tgid_nr(current);
	mutex_lock(&ktmk_regions_lock);
	list_add_tail(&region->list, &ktmk_regions);
	mutex_unlock(&ktmk_regions_lock);
}

/**
 * ktmk_debugfs_del() - a region goes
 * @region: the region, its group still there
 */
void ktmk_debugfs_del(struct ktmk_region *region)
{
	mutex_lock(&ktmk_regions_lock);
	list_del(&region->list);
	mutex_unlock(&ktmk_regions_lock);
}

static void *regions_start(struct seq_file *m, loff_t *pos)
{
	mutex_lock(&ktmk_regions_lock);
	return seq_list_start_head(&ktmk_regions, *pos);
}

static void *regions_next(struct seq_file *m, void *v, loff_t *pos)
{
	return seq_list_next(v, &ktmk_regions, pos);
}

static void regions_stop(struct seq_file *m, void *v)
{
	mutex_unlock(&ktmk_regions_lock);
}

static int regions_show(struct seq_file *m, void *v)
{
	const struct ktmk_region *region;

	if (v == &ktmk_regions) {
		seq_puts(m,
			 "id kind cgroup pid length charged physical 4k large 2m 1g name\n");
		return 0;
	}
	region = list_entry(v, struct ktmk_region, list);
	seq_printf(m, "%llu %s %llu %d %llu %llu %llu %llu %llu %llu %llu %s\n",
		   region->id, ktmk_kind_name(region->params.kind),
		   ktmk_group_id(region->group), region->pid,
		   region->params.length, READ_ONCE(region->charged),
		   READ_ONCE(region->physical), region->bytes[KTMK_PAGES_BASE],
		   region->bytes[KTMK_PAGES_LARGE],
		   region->bytes[KTMK_PAGES_2M], region->bytes[KTMK_PAGES_1G],
		   region->params.name);
	return 0;
}

static const struct seq_operations regions_sops = {
	.start = regions_start,
	.next = regions_next,
	.stop = regions_stop,
	.show = regions_show,
};
DEFINE_SEQ_ATTRIBUTE(regions);

/**
 * ktmk_debugfs_init() - make the directory; failing is no reason not to load
 */
void __init ktmk_debugfs_init(void)
{
	ktmk_debugfs = debugfs_create_dir("tmk", NULL);
	debugfs_create_file("regions", 0400, ktmk_debugfs, NULL, &regions_fops);
}

/**
 * ktmk_debugfs_exit() - remove the directory
 */
void ktmk_debugfs_exit(void)
{
	debugfs_remove(ktmk_debugfs);
}
