/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Blocks of memory out of regions that the library keeps. For single pieces of
 * memory that come and go in no particular order; work in cycles is better
 * served by a workspace, and what is to be shared or exported by a region.
 *
 *	void *p;
 *
 *	if (tmk_alloc(&p, 3 << 20, NULL))
 *		errx(1, "%s", tmk_error_last());
 *	...
 *	tmk_free(p);
 *
 * Once a size has been used, allocating and freeing it again takes no lock, no
 * system call and no page fault, whatever its size up to 1 GiB. Memory that is
 * free stays with the library, charged as TMK_USE_CACHE, until tmk_trim(), until
 * something else would otherwise be refused, or until tmk_close().
 *
 * All functions may be called by any thread; a block may be freed by another
 * thread than the one that allocated it.
 *
 * After fork() the child may use and free what it inherited, which it shares
 * with its parent as it does regions; what the child frees is gone for the child
 * only, and what it allocates is its own.
 */
#ifndef TMK_ALLOC_H
#define TMK_ALLOC_H

#include <tmk/base.h>
#include <tmk/region.h>

/* Clear it. Without, a block holds what its last user left there. */
#define TMK_ALLOC_F_ZERO (1u << 0)
/* Nothing more than the next page size up, even if a larger block is at hand. */
#define TMK_ALLOC_F_EXACT (1u << 1)
/* Huge pages only: TMK_REGION_F_REQUIRE. Needs a kind. */
#define TMK_ALLOC_F_REQUIRE (1u << 2)

#define TMK_ALLOC_ALIGN_MAX ((size_t)1 << 30)

/**
 * struct tmk_alloc_opts - what kind of block
 * @opts_size: sizeof(struct tmk_alloc_opts), set by TMK_ALLOC_OPTS_INIT
 * @kind: of the memory; 0, the default: huge pages, with base pages where whole
 *	huge ones would be too much
 * @flags: TMK_ALLOC_F_*
 * @alignment: a power of two up to TMK_ALLOC_ALIGN_MAX, 0 = 64
 * @node: NUMA node, default TMK_NODE_ANY
 * @purpose: what for: a name to count it under, at most TMK_NAME_BYTES - 1
 *	printable characters; NULL for none. The first 250 names of a process are
 *	told apart, the others are counted together as "other"
 */
struct tmk_alloc_opts {
	size_t opts_size;
	enum tmk_kind kind;
	uint32_t flags;
	size_t alignment;
	int32_t node;
	const char *purpose;
};
#ifdef __cplusplus
static inline struct tmk_alloc_opts tmk__alloc_opts_init(void)
{
	struct tmk_alloc_opts opts = {};

	opts.opts_size = sizeof(opts);
	opts.node = TMK_NODE_ANY;
	return opts;
}
#define TMK_ALLOC_OPTS_INIT tmk__alloc_opts_init()
#else
#define TMK_ALLOC_OPTS_INIT                                 \
	{                                                   \
		.opts_size = sizeof(struct tmk_alloc_opts), \
		.node = TMK_NODE_ANY                        \
	}
#endif

/**
 * tmk_alloc() - allocate a block
 * @out: its address, a multiple of 64 at least
 * @bytes: how much, not 0
 * @opts: options, or NULL for an uncleared block of any kind
 *
 * Blocks above 512 bytes are at most an eighth larger than asked for; those of
 * 32 KiB and more have the size of whole pages, and begin anywhere in one unless
 * an alignment was asked for: at the same place they would be in each other's way
 * in the processor's caches.
 *
 * Return: 0; -EINVAL for 0 bytes and for bad options; -EOVERFLOW for more bytes
 * than there can be; -ENOMEM or -EDQUOT if a limit refused, which
 * tmk_refusal_last() then explains; -EOPNOTSUPP if the backend has no such kind
 * or cannot choose a node; or as tmk_open(). Nothing has changed then.
 */
TMK_API TMK_MUST_CHECK int tmk_alloc(void **out, size_t bytes,
				     const struct tmk_alloc_opts *opts);

/**
 * tmk_free() - give a block back
 * @ptr: from tmk_alloc() or tmk_realloc(), or NULL
 *
 * Anything else is refused and nothing happens to it.
 *
 * Return: 0; -EALREADY if it is free already; -EINVAL if it is no block of this
 * library, or points into the middle of one; with a sentence that says so.
 */
TMK_API int tmk_free(void *ptr);

/**
 * tmk_realloc() - make a block larger or smaller, moving it if need be
 * @out: its new address; the old one is gone if that differs
 * @ptr: the block, or NULL for a new one
 * @bytes: its new size, not 0
 * @opts: of a block that has to be moved: options, or NULL. TMK_ALLOC_F_ZERO
 *	clears what is beyond the old block
 *
 * Return: 0, or as tmk_alloc() and tmk_free(), and the block is as it was.
 */
TMK_API TMK_MUST_CHECK int tmk_realloc(void **out, void *ptr, size_t bytes,
				       const struct tmk_alloc_opts *opts);

/**
 * tmk_alloc_usable_bytes() - how much of a block may be used
 * @out: at least what was asked for
 * @ptr: the block
 *
 * Return: 0; -EALREADY, -EINVAL as tmk_free().
 */
TMK_API int tmk_alloc_usable_bytes(size_t *out, const void *ptr);

/**
 * tmk_trim() - give memory back that nobody uses
 * @age_ms: that has not been used for so many milliseconds; 0 for all of it
 *
 * Return: the bytes given back.
 */
TMK_API uint64_t tmk_trim(uint32_t age_ms);

/* Something that has to be done before blocks may be used again. */
struct tmk_fence;

/**
 * tmk_fence_create() - make a fence
 * @out: the fence, with one reference
 * @fd: a descriptor that is readable once the fence has passed, such as an
 *	eventfd; duplicated. -1: it passes with tmk_fence_signal() only
 *
 * Descriptors are watched by a thread of the library, which there is only while
 * blocks wait for such fences.
 *
 * Return: 0; -EINVAL; -EBADF; -EMFILE; -ENOMEM.
 */
TMK_API TMK_MUST_CHECK int tmk_fence_create(struct tmk_fence **out, int fd);

/**
 * tmk_fence_signal() - the fence passes: its blocks are freed, here
 * @fence: the fence; what is freed after it from now on is freed at once
 */
TMK_API void tmk_fence_signal(struct tmk_fence *fence);

/**
 * tmk_fence_put() - drop the reference
 * @fence: the fence, or NULL. One with a descriptor passes by that; without, it
 *	passes now
 */
TMK_API void tmk_fence_put(struct tmk_fence *fence);

/**
 * tmk_free_after() - give a block back once a fence has passed
 * @ptr: the block, or NULL; not the program's any more
 * @fence: the fence
 *
 * Until then it stays charged, under the purpose "deferred".
 *
 * Return: 0; -EALREADY, -EINVAL as tmk_free(); -ENOMEM or -EAGAIN if it could not
 * be noted or watched, and the block is still the program's.
 */
TMK_API TMK_MUST_CHECK int tmk_free_after(void *ptr, struct tmk_fence *fence);

/**
 * tmk_drain() - wait until no block waits for a fence
 * @timeout_ms: how long at most; 0 only looks
 *
 * tmk_close() frees what has passed by then, and tells of the rest.
 *
 * Return: 0 or -ETIMEDOUT.
 */
TMK_API int tmk_drain(uint32_t timeout_ms);

#endif /* TMK_ALLOC_H */
