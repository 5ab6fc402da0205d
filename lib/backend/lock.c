// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Locking memory in RAM, and the limit on that: RLIMIT_MEMLOCK, which binds
 * whoever has no CAP_IPC_LOCK in the initial user namespace.
 *
 * Memory is locked with MLOCK_ONFAULT before it is populated, so that the
 * kernel checks the limit before anything was done.
 */
#define _GNU_SOURCE /* mlock2(), syscall() */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"

/**
 * tmk__lock_limit() - RLIMIT_MEMLOCK
 *
 * Return: bytes, TMK_UNLIMITED if there is no limit.
 */
uint64_t tmk__lock_limit(void)
{
	struct rlimit limit;

	tmk__calls_add(1);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) ||
	    limit.rlim_cur == RLIM_INFINITY)
		return TMK_UNLIMITED;
	return limit.rlim_cur;
}

/**
 * tmk__lock_unlimited() - may this process lock as much as it likes?
 *
 * A capability of a user namespace does not count, so it is tried: one page
 * more than the limit, of address space with nothing behind it.
 *
 * Return: true if so.
 */
bool tmk__lock_unlimited(void)
{
	uint64_t limit = tmk__lock_limit();
	uint64_t page = tmk__page_bytes();
	bool may;
	void *p;

	if (limit == TMK_UNLIMITED)
		return true;
	if (limit > (uint64_t)INT64_MAX - 2 * page)
		return false;
	limit = TMK__ALIGN_UP(limit, page) + page;
	tmk__calls_add(3);
	p = mmap(NULL, limit, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	may = !mlock2(p, limit, MLOCK_ONFAULT);
	munmap(p, limit);
	return may;
}

static int lock_refused(int err, uint64_t bytes, const char *what)
{
	struct tmk_refusal r = {
		.limit = TMK_LIMIT_MEMLOCK,
		.asked = bytes,
		.used = tmk__memlock_used(),
		.max = tmk__lock_limit(),
		.where = "RLIMIT_MEMLOCK",
	};

	if (r.max == TMK_UNLIMITED ||
	    (r.used <= r.max && bytes <= r.max - r.used))
		return tmk__error(-ENOMEM, "cannot lock %s in memory: %s", what,
				  strerror(err));
	return tmk__refuse(-ENOMEM, what, &r);
}

/**
 * tmk__lock() - keep a mapping in RAM, from the time on that it is populated
 * @data: the mapping; nothing is there yet
 * @bytes: its length
 * @what: what it is for the sentence: "a pinned region"
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__lock(void *data, uint64_t bytes, const char *what)
{
	tmk__calls_add(1);
	if (tmk__fault("mlock") || mlock2(data, bytes, MLOCK_ONFAULT))
		return lock_refused(errno, bytes, what);
	return 0;
}

/**
 * tmk__unlock() - the reverse, for a part or all of it
 * @data: where it begins
 * @bytes: its length
 *
 * Unmapping does it, too.
 */
void tmk__unlock(void *data, uint64_t bytes)
{
	tmk__calls_add(1);
	/* Sanitizers have munlock() do nothing. */
	(void)syscall(SYS_munlock, data, bytes);
}
