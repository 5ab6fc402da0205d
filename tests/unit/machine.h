/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Made-up machines: a tree of files that stands in for / (tmk__proc_root). To be
 * included first.
 */
#ifndef TMK_TESTS_UNIT_MACHINE_H
#define TMK_TESTS_UNIT_MACHINE_H

#define _GNU_SOURCE
#include <ftw.h>

#include "util.h"

static char machine[TEMP_PATH];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static TAP_UNUSED void machine_remove(void)
{
	nftw(machine, remove_one, 10, FTW_DEPTH | FTW_PHYS);
}

#define V2 \
	"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"

/* A machine of 1 GiB with 900 MiB available. */
static TAP_UNUSED int machine_make(const char *mountinfo, const char *cgroup)
{
	int err = 0;

	if (!temp_dir(machine))
		return -errno;
	atexit(machine_remove);
	err |= put_file("MemTotal:        1048576 kB\n"
			"MemFree:           10000 kB\n"
			"MemAvailable:     921600 kB\n",
			"%s/proc/meminfo", machine);
	err |= put_file(mountinfo, "%s/proc/self/mountinfo", machine);
	err |= put_file(cgroup, "%s/proc/self/cgroup", machine);
	tmk__proc_root = machine;
	return err;
}

static TAP_UNUSED int group(const char *path, const char *max,
			    const char *current)
{
	int err = put_file(max, "%s/sys/fs/cgroup%s/memory.max", machine, path);

	if (current)
		err |= put_file(current, "%s/sys/fs/cgroup%s/memory.current",
				machine, path);
	return err;
}

#endif /* TMK_TESTS_UNIT_MACHINE_H */
