// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The files behind file regions, and the pools behind hugetlb ones.
 *
 * A file is opened or made with its space reserved, so that a full disk is an
 * error here and no signal later. What a user's file holds stays as it is: it is
 * never cut and never cleared; one that is not empty has to be large enough.
 */
#define _GNU_SOURCE /* O_TMPFILE */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"

static int file_unnamed(int *out)
{
	const char *dir;
	int fd;

	tmk__calls_add(1);
	fd = tmk__tmpfile(NULL, &dir);
	if (fd < 0)
		return tmk__error(fd,
				  "cannot make an unnamed file in %.200s: %s",
				  dir, strerror(-fd));
	*out = fd;
	return 0;
}

static int file_named(int *out, const char *path)
{
	int fd;

	tmk__calls_add(1);
	fd = tmk__fault("file") ?
		     -1 :
		     open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return tmk__error(-errno, "cannot open %.200s: %s", path,
				  strerror(errno));
	*out = fd;
	return 0;
}

/* It has the length, or is empty and gets it. */
static int file_length(int fd, uint64_t bytes, const char *what)
{
	uint64_t page = tmk__page_bytes();
	struct stat st;
	int err;

	tmk__calls_add(2);
	if (tmk__fault("fstat") || fstat(fd, &st))
		return tmk__error(-errno, "cannot ask about %.200s: %s", what,
				  strerror(errno));
	if (!S_ISREG(st.st_mode))
		return tmk__error(-EINVAL, "%.200s is no regular file", what);
	if (st.st_size && (uint64_t)st.st_size + page <= bytes)
		return tmk__error(-EINVAL,
				  "%.200s has %lld bytes and %" PRIu64
				  " were asked for: a file that is not empty "
				  "is left as it is",
				  what, (long long)st.st_size, bytes);
	if (st.st_size)
		return 0;
	err = tmk__fault("fallocate") ? ENOMEM :
					posix_fallocate(fd, 0, (off_t)bytes);
	if (err)
		return tmk__error(-err,
				  "cannot reserve %" PRIu64
				  " bytes for %.200s: %s",
				  bytes, what, strerror(err));
	return 0;
}

/**
 * tmk__file_region() - the file of a file region
 * @out: its descriptor
 * @path: the file, made if it is not there; NULL for an unnamed one in TMPDIR
 * @bytes: its length, a multiple of the page size
 *
 * Return: 0; -EINVAL for a file that is too short or none; what open() or
 * fallocate() failed with; with a sentence.
 */
int tmk__file_region(int *out, const char *path, uint64_t bytes)
{
	int fd = -1, err;

	err = path ? file_named(&fd, path) : file_unnamed(&fd);
	if (err)
		return err;
	err = file_length(fd, bytes, path ? path : "an unnamed file");
	if (err) {
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

static uint64_t pool_read(uint64_t page, const char *what)
{
	char path[120], text[32];
	uint64_t nr = 0;

	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s",
		 page >> 10, what);
	if (tmk__file_read(text, sizeof(text), path) > 0)
		(void)sscanf(text, "%" SCNu64, &nr);
	return nr;
}

/**
 * tmk__hugetlb_pool() - the system's pool of hugetlb pages
 * @free: how many nobody has or has reserved
 * @page: their size
 *
 * Return: how many there are.
 */
uint64_t tmk__hugetlb_pool(uint64_t *free, uint64_t page)
{
	uint64_t reserved = pool_read(page, "resv_hugepages");

	*free = pool_read(page, "free_hugepages");
	*free -= TMK__MIN(*free, reserved);
	return pool_read(page, "nr_hugepages");
}

/**
 * tmk__hugetlb_refuse() - tell that the pool has too few pages
 * @err: negative errno
 * @region: what was asked for
 *
 * Return: @err.
 */
int tmk__hugetlb_refuse(int err, const struct tmk__backend_region *region)
{
	char asked[16], page[16];
	uint64_t free, all;

	all = tmk__hugetlb_pool(&free, region->page_bytes);
	tmk__refusal(TMK_LIMIT_HUGE, region->bytes,
		     (all - TMK__MIN(all, free)) * region->page_bytes,
		     all * region->page_bytes, "hugetlb");
	tmk_bytes_format(asked, sizeof(asked), region->bytes);
	tmk_bytes_format(page, sizeof(page), region->page_bytes);
	return tmk__error(err,
			  "cannot create a hugetlb region of %s: the system's "
			  "pool of %s pages has %" PRIu64 ", %" PRIu64
			  " of them free (vm.nr_hugepages)",
			  asked, page, all, free);
}
