// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * 2 MiB pages for memory that can be shared, without privilege.
 *
 * Whether a memfd gets huge pages when it is touched is decided by
 * /sys/kernel/mm/transparent_hugepage/shmem_enabled, which is "never" on most
 * systems. MADV_COLLAPSE (Linux 6.1) does not ask that file unless it says
 * "deny": it puts a huge page in the place of what is there. It does nothing
 * where nothing is there, so one base page of each 2 MiB is touched first. On
 * 6.1, 6.12 and 6.18 that takes as long as populating private memory under
 * MADV_HUGEPAGE, which cannot be shared.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "backend.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* So many failures in a row, each after compaction, and the rest is left. */
#define FAILURES_MAX 4

static int collapse(char *data, uint64_t bytes)
{
	tmk__calls_add(1);
	if (tmk__fault("collapse") || madvise(data, bytes, MADV_COLLAPSE))
		return -errno;
	return 0;
}

/* One page of each 2 MiB, so that there is something to collapse. */
static int touch_each(char *data, uint64_t bytes)
{
	uint64_t page = tmk__page_bytes(), at;
	int err = 0;

	for (at = 0; !err && at < bytes; at += TMK__HUGE_BYTES)
		err = tmk__map_populate(data + at, page);
	return err;
}

/*
 * The kernel gives up at the first huge page that it cannot have, and when a
 * page happens to be busy. What is huge already costs next to nothing.
 */
static void collapse_each(char *data, uint64_t bytes)
{
	int failures = 0;
	uint64_t at;

	for (at = 0; at < bytes && failures < FAILURES_MAX;
	     at += TMK__HUGE_BYTES) {
		if (collapse(data + at, TMK__HUGE_BYTES))
			failures++;
		else
			failures = 0;
	}
}

/**
 * tmk__thp_populate() - populate a memfd with 2 MiB pages where they can be had
 * @data: its mapping, aligned to 2 MiB; nothing is there yet
 * @bytes: its length
 *
 * Return: 0 whatever pages it got; -ENOMEM if there is no memory; -EOPNOTSUPP;
 * with a sentence.
 */
int tmk__thp_populate(void *data, uint64_t bytes)
{
	int err;

	tmk__calls_add(1);
	/* For shmem_enabled=advise; without it the kernel has no THP at all. */
	if (!madvise(data, bytes, MADV_HUGEPAGE)) {
		err = touch_each(data, bytes);
		if (err)
			return err;
		err = collapse(data, bytes);
		/* EINVAL: this kernel cannot, or is told not to. */
		if (err && err != -EINVAL)
			collapse_each(data, bytes);
	}
	return tmk__map_populate(data, bytes);
}

static int trial(struct tmk__smaps *got)
{
	void *data;
	int fd, err;

	tmk__calls_add(2);
	fd = memfd_create("tmk-trial", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = ftruncate(fd, TMK__HUGE_BYTES) ? -errno : 0;
	if (!err)
		err = tmk__map_fd(&data, fd, TMK__HUGE_BYTES, TMK__HUGE_BYTES,
				  PROT_READ | PROT_WRITE);
	close(fd);
	if (err)
		return err;
	err = tmk__thp_populate(data, TMK__HUGE_BYTES);
	if (!err)
		err = tmk__smaps_read(got, data, TMK__HUGE_BYTES);
	tmk__map_release(data, TMK__HUGE_BYTES);
	return err;
}

/**
 * tmk__thp_works() - can 2 MiB pages be had here, now? Tries one.
 * @why: why, or why not, for people
 * @len: room in @why
 *
 * Return: true if so.
 */
bool tmk__thp_works(char *why, size_t len)
{
	struct tmk__error_state state;
	struct tmk__smaps got = { 0 };
	char mode[128];
	int err;

	tmk__error_save(&state);
	err = trial(&got);
	tmk__error_restore(&state);
	if (!err && got.huge == TMK__HUGE_BYTES) {
		snprintf(why, len, "transparent huge pages by MADV_COLLAPSE");
		return true;
	}
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) > 0)
		snprintf(why, len,
			 "switched off for this process (PR_SET_THP_DISABLE)");
	else if (tmk__file_read(mode, sizeof(mode), SHMEM_ENABLED) <= 0)
		snprintf(why, len, "this kernel has no transparent huge pages");
	else if (strstr(mode, "[deny]"))
		snprintf(why, len, "forbidden by shmem_enabled=deny");
	else if (err)
		snprintf(why, len, "a trial failed: %s", strerror(-err));
	else
		snprintf(why, len,
			 "a trial got base pages: memory is fragmented, or the "
			 "kernel is older than 6.1");
	return false;
}
