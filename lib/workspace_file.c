// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A workspace's block in a file, mapped shared. The file is one of the user's,
 * which is never shortened or cleared, or an unnamed one that is gone with the
 * process, however it ends. Its space is reserved when the workspace is made, so
 * that a full disk is an error then and not a signal later.
 *
 * Such memory is no region: it is charged to the process ledger here, as kind
 * "file", in all bytes and not in those that occupy RAM.
 */
#define _GNU_SOURCE /* O_TMPFILE, fallocate() */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "ws.h"

struct file {
	int fd;
	bool created; /* by us, under a name: to be removed on failure */
	uint64_t length; /* that it had */
};

static int file_error(const struct tmk__ws *ws, int err, const char *what,
		      const char *path)
{
	return tmk__error(err, "workspace \"%s\" cannot %s %s: %s", ws->id,
			  what, path, strerror(-err));
}

static int open_unnamed(struct file *out, const struct tmk__ws *ws,
			const char *directory)
{
	int fd = tmk__tmpfile(directory, &directory);

	if (fd < 0)
		return file_error(ws, fd, "make a file in", directory);
	out->fd = fd;
	return 0;
}

static int open_named(struct file *out, const struct tmk__ws *ws,
		      const char *path)
{
	struct stat st;

	out->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out->created = out->fd >= 0;
	if (out->fd < 0 && errno == EEXIST)
		out->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (out->fd < 0)
		return file_error(ws, -errno, "open", path);
	if (fstat(out->fd, &st))
		return file_error(ws, -errno, "look at", path);
	if (!S_ISREG(st.st_mode))
		return tmk__error(-EINVAL,
				  "workspace \"%s\" cannot be in %s, which is "
				  "no regular file",
				  ws->id, path);
	out->length = (uint64_t)st.st_size;
	return 0;
}

/* How large the block is: what was asked for, or what the file has. */
static int block_bytes(uint64_t *out, const struct tmk__ws *ws,
		       const struct file *f, const char *path)
{
	const struct tmk_workspace_opts *o = &ws->opts;
	uint64_t bytes = o->initial_bytes;

	if (!bytes)
		bytes = f->length & ~((uint64_t)o->alignment - 1);
	if (bytes < o->min_bytes)
		bytes = o->min_bytes;
	bytes = tmk__align_up(bytes, o->alignment);
	bytes = TMK__MIN(bytes, tmk__ws_size_cap(o));
	if (!bytes)
		return tmk__error(-EINVAL,
				  "workspace \"%s\" has no initial_bytes, and "
				  "%s has %" PRIu64 " bytes",
				  ws->id, path, f->length);
	if (bytes > (uint64_t)PTRDIFF_MAX)
		return tmk__error(-EOVERFLOW,
				  "workspace \"%s\" asks for a file of "
				  "%" PRIu64 " bytes",
				  ws->id, bytes);
	*out = bytes;
	return 0;
}

/* Space for all of it, without touching what is in it. */
static int reserve_space(const struct tmk__ws *ws, const struct file *f,
			 uint64_t bytes, const char *path)
{
	int err = tmk__fault("fallocate") ? -ENOSPC : 0;

	tmk__calls_add(1);
	if (!err && fallocate(f->fd, 0, 0, (off_t)bytes))
		err = -errno;
	/* No reservation there: writing zeros behind the end is one. */
	if (err == -EOPNOTSUPP && bytes > f->length)
		err = -posix_fallocate(f->fd, (off_t)f->length,
				       (off_t)(bytes - f->length));
	else if (err == -EOPNOTSUPP)
		err = 0;
	if (!err)
		return 0;
	/* A user's file gets the length back that it had. */
	if (ftruncate(f->fd, (off_t)f->length))
		tmk__log(TMK__LOG_WARN, "%s keeps a wrong length: %s", path,
			 strerror(errno));
	return tmk__error(err,
			  "workspace \"%s\" cannot have %" PRIu64 " bytes in "
			  "%s: %s",
			  ws->id, bytes, path, strerror(-err));
}

static int map_file(struct tmk__ws *ws, const struct file *f, uint64_t bytes,
		    const char *path)
{
	void *base;
	int err;

	err = tmk__ledger_charge(TMK_KIND_FILE, TMK_USE_WORKSPACE, bytes, 0);
	if (err)
		return tmk__error_wrap(err, "workspace \"%s\"", ws->id);
	tmk__calls_add(1);
	base = tmk__fault("mmap") ? MAP_FAILED :
				    mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					 MAP_SHARED, f->fd, 0);
	if (base == MAP_FAILED) {
		err = -errno;
		tmk__ledger_uncharge(TMK_KIND_FILE, TMK_USE_WORKSPACE, bytes,
				     0);
		return file_error(ws, err, "map", path);
	}
	ws->file.base = base;
	ws->file.bytes = bytes;
	ws->base = base;
	ws->size = bytes;
	tmk__ws_offset_set(ws, 0);
	tmk__ws_check_block(ws, bytes);
	return 0;
}

/**
 * tmk__ws_file_create() - make the block of a workspace in a file
 * @ws: has none; location FILE
 * @path: a user's file, or NULL for an unnamed one
 * @temp_dir: where an unnamed one is to be; NULL: TMPDIR or /tmp
 *
 * Return: 0; -errno with a sentence, and the file is as it was.
 */
int tmk__ws_file_create(struct tmk__ws *ws, const char *path,
			const char *temp_dir)
{
	const char *name = path ? path : "an unnamed file";
	struct file f = { .fd = -1 };
	uint64_t bytes = 0;
	int err;

	err = path ? open_named(&f, ws, path) : open_unnamed(&f, ws, temp_dir);
	if (!err)
		err = block_bytes(&bytes, ws, &f, name);
	if (!err)
		err = reserve_space(ws, &f, bytes, name);
	if (!err)
		err = map_file(ws, &f, bytes, name);
	if (err && f.created)
		unlink(path);
	else if (err && path && f.fd >= 0 && bytes > f.length &&
		 ftruncate(f.fd, (off_t)f.length))
		tmk__log(TMK__LOG_WARN, "%s keeps a wrong length: %s", path,
			 strerror(errno));
	if (f.fd >= 0)
		close(f.fd);
	return err;
}

/**
 * tmk__ws_file_destroy() - unmap the file; a user's stays as it is
 * @ws: any workspace
 */
void tmk__ws_file_destroy(struct tmk__ws *ws)
{
	if (!ws->file.base)
		return;
	tmk__calls_add(1);
	munmap(ws->file.base, ws->file.bytes);
	tmk__ledger_uncharge(TMK_KIND_FILE, TMK_USE_WORKSPACE, ws->file.bytes,
			     0);
	ws->file.base = NULL;
	ws->file.bytes = 0;
}
