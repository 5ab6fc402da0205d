// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Reserved address space. Owns nothing but the calls: each table keeps its own
 * struct tmk__reserve and its own lock. The mapping is made inaccessible first,
 * so that it costs neither memory nor commit charge, and opened up from the
 * start in large steps. It is private: after fork() parent and child each have
 * their own copy.
 */
#include <errno.h>
#include <sys/mman.h>

#include "reserve.h"

#define STEP ((size_t)256 << 10)

/*
 * Only there under a leak checker. What a table points to is not leaked: a
 * workspace may well live until its process ends.
 */
extern void __lsan_register_root_region(const void *p, size_t size)
	__attribute__((weak));

static size_t round_step(size_t bytes)
{
	return (bytes + STEP - 1) & ~(STEP - 1);
}

int tmk__reserve_init(struct tmk__reserve *r, size_t want, size_t least)
{
	void *p;

	if (r->base)
		return 0;
	/* RLIMIT_AS or RLIMIT_MEMLOCK under mlockall() may say no: ask for less. */
	for (; want >= least; want /= 2) {
		p = mmap(NULL, round_step(want), PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			continue;
		r->base = p;
		r->reserved = round_step(want);
		return 0;
	}
	return -ENOMEM;
}

int tmk__reserve_grow(struct tmk__reserve *r, size_t bytes)
{
	size_t target;

	if (bytes <= r->usable)
		return 0;
	if (bytes > r->reserved)
		return -ENOSPC;
	target = round_step(bytes);
	if (mprotect(r->base + r->usable, target - r->usable,
		     PROT_READ | PROT_WRITE))
		return -ENOMEM;
	if (__lsan_register_root_region)
		__lsan_register_root_region(r->base + r->usable,
					    target - r->usable);
	r->usable = target;
	return 0;
}
