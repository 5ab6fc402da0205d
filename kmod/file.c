// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * File regions: the caller's regular file, mapped through and never pinned.
 *
 * They count in ``current``, not in ``physical_current``: the page cache may
 * drop and read back what it likes. What tmk adds to a plain mapping is the
 * limit, and that the space is there: it is reserved at creation, so a full
 * disk is an error then and not a SIGBUS later. What the file holds is never
 * cleared or cut off; a file shorter than the region grows. Its owner can still
 * truncate it under the mapping, as under any mapping of a file.
 */

#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "ktmk.h"

static int file_check(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode) || !file->f_op->mmap)
		return -EINVAL;
	/* A region is no file to make another region of. */
	if (ktmk_region_of_file(file))
		return -EINVAL;
	/* hugetlb pages have a kind of their own, which accounts for them. */
	if (inode->i_sb->s_magic == HUGETLBFS_MAGIC)
		return -EINVAL;
	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) !=
	    (FMODE_READ | FMODE_WRITE))
		return -EACCES;
	return 0;
}

/**
 * ktmk_fallocate() - vfs_fallocate() that only a fatal signal interrupts
 * @file: the file
 * @mode: FALLOC_FL_x
 * @offset: first byte
 * @length: bytes
 *
 * shmem and hugetlbfs give up on any signal. A command must not: the caller
 * would not know what to do but to try again.
 *
 * Context: may sleep.
 * Return: 0 or a negative errno; -EINTR for a fatal signal.
 */
int ktmk_fallocate(struct file *file, int mode, u64 offset, u64 length)
{
	sigset_t only_kill, old;
	int err;

	siginitsetinv(&only_kill, sigmask(SIGKILL));
	sigprocmask(SIG_SETMASK, &only_kill, &old);
	err = vfs_fallocate(file, mode, offset, length);
	sigprocmask(SIG_SETMASK, &old, NULL);
	/*
	 * Work was queued for the task: do it, and come back. Without work there
	 * is no restart, and -EINTR is what the file system itself had to say.
	 */
	if (err == -EINTR && !fatal_signal_pending(current) &&
	    signal_pending(current))
		err = -ERESTARTNOINTR;
	return err;
}

/*
 * Space first, so that a full disk leaves the file's size alone. Not every file
 * system can do that without changing the size.
 */
static int file_reserve(struct file *file, u64 length)
{
	int err = ktmk_fallocate(file, FALLOC_FL_KEEP_SIZE, 0, length);

	if (err && err != -EOPNOTSUPP)
		return err;
	if (!err && i_size_read(file_inode(file)) >= length)
		return 0;
	return ktmk_fallocate(file, 0, 0, length);
}

/**
 * ktmk_file_open() - take the caller's file for a region
 * @region: the region
 *
 * Space for all that was asked for is reserved; a shorter file grows.
 *
 * Context: may sleep.
 * Return: the file with a reference, or an ERR_PTR(): -EBADF no such
 * descriptor, -EINVAL not a regular file, -EACCES not open for reading and
 * writing, -ENOSPC, -EFBIG, -EOPNOTSUPP if the file system cannot reserve.
 */
struct file *ktmk_file_open(struct ktmk_region *region)
{
	struct file *file = fget(region->params.backing_fd);
	int err;

	if (!file)
		return ERR_PTR(-EBADF);
	err = file_check(file);
	if (!err)
		err = file_reserve(file, region->params.asked);
	if (err) {
		fput(file);
		return ERR_PTR(err);
	}
	return file;
}
