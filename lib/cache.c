// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What tmk_open() reserved: one huge region, populated and charged as
 * TMK_USE_CACHE.
 *
 * It is handed out whole, to the first huge region that is asked for with no
 * preference of node and that leaves at most an eighth of it unused. Before any
 * request is refused it is given back and the request tried once more. What was
 * handed out does not come back here, so what is here was never written to.
 *
 * After fork() the child has none: what it would hand out, the parent may hand
 * out as well, and it is the same memory.
 *
 * Lock: cache_lock guards the variables here; nothing is locked inside.
 */
#include <pthread.h>

#include "internal.h"

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tmk_region *cache_region; /* NULL: none */
static bool cache_all_huge; /* 2 MiB pages only: good enough for REQUIRE */

/* Set once, when the allocator is first used. */
static _Atomic(const struct tmk__pool *) cache_pool;
static const struct tmk__pool *forking; /* who is at rest for a fork() */

/**
 * tmk__cache_pool() - somebody else keeps free memory
 * @pool: what to call
 */
void tmk__cache_pool(const struct tmk__pool *pool)
{
	atomic_store(&cache_pool, pool);
}

static bool region_drop(void)
{
	struct tmk_region *region;

	pthread_mutex_lock(&cache_lock);
	region = cache_region;
	cache_region = NULL;
	pthread_mutex_unlock(&cache_lock);
	tmk_region_put(region);
	return region;
}

/** tmk__cache_fork_prepare() - for fork(): hold the locks */
void tmk__cache_fork_prepare(void)
{
	tmk__region_trim_lock();
	forking = atomic_load(&cache_pool);
	if (forking)
		forking->fork_prepare();
	pthread_mutex_lock(&cache_lock);
	tmk__purpose_lock();
	tmk__wait_lock();
}

/** tmk__cache_fork_parent() - in the parent: let go of the locks */
void tmk__cache_fork_parent(void)
{
	tmk__wait_unlock(false);
	tmk__purpose_unlock();
	pthread_mutex_unlock(&cache_lock);
	if (forking)
		forking->fork_parent();
	tmk__region_trim_unlock();
}

/** tmk__cache_fork_child() - in the child: let go, keep nothing of the parent */
void tmk__cache_fork_child(void)
{
	tmk__wait_unlock(true);
	tmk__purpose_unlock();
	pthread_mutex_unlock(&cache_lock);
	region_drop();
	if (forking)
		forking->fork_child();
	tmk__region_trim_unlock();
}

/** tmk__cache_shut() - the library is being closed: keep nothing */
void tmk__cache_shut(void)
{
	const struct tmk__pool *pool = atomic_load(&cache_pool);

	if (pool)
		pool->shut();
}

/** tmk__cache_limits() - the limits have been changed, maybe to less than held */
void tmk__cache_limits(void)
{
	const struct tmk__pool *pool = atomic_load(&cache_pool);

	if (tmk__ledger_over())
		region_drop();
	if (pool)
		pool->limits();
}

/**
 * tmk__cache_fill() - make the reservation
 * @device: the library, being opened
 * @bytes: how much
 *
 * Return: 0, or as tmk_region_create().
 */
int tmk__cache_fill(struct tmk__device *device, uint64_t bytes)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region_info info;
	struct tmk_region *region;
	int err;

	opts.name = "initial";
	err = tmk__region_create_on(&region, device, bytes, &opts,
				    TMK_USE_CACHE);
	if (err)
		return tmk__error_wrap(err, "cannot reserve the initial bytes");
	err = tmk_region_info(&info, region);
	pthread_mutex_lock(&cache_lock);
	cache_region = region;
	cache_all_huge = !err && info.bytes_2m == info.bytes;
	pthread_mutex_unlock(&cache_lock);
	return 0;
}

static bool cache_fits(const struct tmk_region_opts *opts, uint64_t bytes)
{
	uint64_t room;

	if (!cache_region || opts->kind != TMK_KIND_HUGE ||
	    opts->node != TMK_NODE_ANY || opts->flags & TMK_REGION_F_TRIM ||
	    (opts->flags & TMK_REGION_F_REQUIRE && !cache_all_huge))
		return false;
	room = tmk_region_bytes(cache_region);
	return bytes <= room && room - bytes <= room / 8;
}

/**
 * tmk__cache_take() - the reservation, if it does for a request
 * @opts: the request, checked
 * @bytes: its length, rounded
 *
 * Return: the region, still charged as TMK_USE_CACHE; or NULL.
 */
struct tmk_region *tmk__cache_take(const struct tmk_region_opts *opts,
				   uint64_t bytes)
{
	struct tmk_region *region = NULL;

	pthread_mutex_lock(&cache_lock);
	if (cache_fits(opts, bytes)) {
		region = cache_region;
		cache_region = NULL;
	}
	pthread_mutex_unlock(&cache_lock);
	return region;
}

/**
 * tmk__cache_drop_initial() - give the reservation back
 *
 * Return: true if there was one.
 */
bool tmk__cache_drop_initial(void)
{
	return region_drop();
}

/**
 * tmk__cache_drop() - give back all that is held for nobody
 *
 * Return: true if there was anything.
 */
bool tmk__cache_drop(void)
{
	const struct tmk__pool *pool = atomic_load(&cache_pool);
	bool dropped = region_drop();

	if (pool && pool->drop())
		dropped = true;
	return dropped;
}
