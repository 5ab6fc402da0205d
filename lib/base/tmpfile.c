// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Files without a name, for memory that is too large for RAM: gone with their
 * last descriptor, however the program ends.
 */
#define _GNU_SOURCE /* O_TMPFILE */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

#define FALLBACK "/tmp"

/* Where O_TMPFILE cannot be had: a name that is gone at once. */
static int open_unlinked(const char *directory)
{
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/tmk-XXXXXX", directory) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

/**
 * tmk__tmpfile() - make an unnamed file that can be read and written
 * @directory: where; NULL for the directory of TMPDIR, else /tmp
 * @where: what was taken, for the caller's sentence
 *
 * Return: its descriptor, closed by exec, or a negative errno.
 */
int tmk__tmpfile(const char *directory, const char **where)
{
	int fd;

	if (!directory)
		directory = tmk__env_get(TMK__ENV_TMPDIR);
	if (!directory || !*directory)
		directory = FALLBACK;
	*where = directory;
	if (tmk__fault("tmpfile"))
		return -errno;
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* File systems and kernels that do not know the flag. */
	if (errno == EOPNOTSUPP || errno == EISDIR)
		return open_unlinked(directory);
	return -errno;
}
