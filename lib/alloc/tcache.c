// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What each thread keeps for itself, so that it need not ask anybody.
 *
 * The owner looks at its cache between setting @busy and clearing it, and does
 * not where @stop is set; or while it holds the lock of a shard. Somebody else,
 * under heap_lock, sets @stop, has every running thread of the process pass a
 * memory barrier (membarrier(2)), waits until @busy is clear, and may then empty
 * the cache. So the owner needs no atomic instruction that would cost it anything,
 * and yet nothing that a thread keeps is out of reach when memory is short, when it
 * is trimmed, or when a child is made. Where there is no membarrier(2) no thread
 * keeps anything.
 *
 * A thread that exits empties its cache; the cache itself is used again.
 */
#define _GNU_SOURCE /* syscall() */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tcache.h"

/* Not to take memory out of caches again, see tmk__tcache_collect(). */
#define COLLECT_MS 100u

__thread struct tmk__tcache *tmk__tcache
	__attribute__((tls_model("initial-exec")));

static struct tmk__tcache *caches; /* all of them; under heap_lock */
static int64_t others[TMK__PURPOSES]; /* not counted by any; under heap_lock */
static bool stopped; /* nobody keeps anything at present */
static uint32_t collected; /* when tmk__tcache_collect() took from all; or 0 */

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int exit_err;
static __thread bool exiting;

static bool barrier(void)
{
	tmk__calls_add(1);
	return !syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0,
			0);
}

static bool barrier_register(void)
{
	tmk__calls_add(1);
	return !tmk__fault("membarrier") &&
	       !syscall(__NR_membarrier,
			MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

/* Nobody has a cache any more; it is empty. */
static void disown(struct tmk__tcache *cache)
{
	if (cache->used)
		tmk__shard_leave(cache);
	others[TMK_USE_GENERAL] += cache->balance;
	cache->balance = 0;
	cache->used = false;
}

static void tcache_exit(void *arg)
{
	struct tmk__tcache *cache = arg;

	tmk__heap_lock();
	exiting = true;
	tmk__tcache = NULL;
	tmk__keep_flush(cache);
	disown(cache);
	tmk__heap_unlock();
}

static void exit_register(void)
{
	exit_err = pthread_key_create(&exit_key, tcache_exit);
	if (!exit_err && !barrier_register())
		exit_err = ENOSYS;
}

static struct tmk__tcache *tcache_make(void)
{
	struct tmk__tcache *cache;

	tmk__calls_add(1);
	/* Only what is used of it becomes memory. */
	cache = tmk__fault("tcache") ?
			MAP_FAILED :
			mmap(NULL, sizeof(*cache), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cache == MAP_FAILED)
		return NULL;
	tmk__keep_begin(cache);
	cache->number = caches ? caches->number + 1 : 1;
	cache->next = caches;
	caches = cache;
	return cache;
}

/**
 * tmk__tcache_get() - this thread's cache, made if there is none; under heap_lock
 *
 * Return: the cache; NULL if it cannot have one, and goes without.
 */
struct tmk__tcache *tmk__tcache_get(void)
{
	struct tmk__tcache *cache;

	if (tmk__tcache || exiting)
		return tmk__tcache;
	pthread_once(&exit_once, exit_register);
	if (exit_err)
		return NULL;
	for (cache = caches; cache && cache->used; cache = cache->next)
		;
	if (!cache)
		cache = tcache_make();
	if (!cache || pthread_setspecific(exit_key, cache))
		return NULL;
	cache->used = true;
	tmk__shard_join(cache);
	atomic_store(&cache->stop, stopped);
	tmk__tcache = cache;
	return cache;
}

/* Is there a thread that keeps anything, other than this one? */
static bool others_keep(void)
{
	struct tmk__tcache *cache;

	for (cache = caches; cache; cache = cache->next)
		if (cache->used && cache != tmk__tcache)
			return true;
	return false;
}

/** tmk__tcache_stop() - no thread looks at its cache; under heap_lock */
void tmk__tcache_stop(void)
{
	struct tmk__tcache *cache;

	if (!others_keep())
		return;
	for (cache = caches; cache; cache = cache->next)
		atomic_store(&cache->stop, 1);
	/* It was registered, so it works: nothing may go on if it does not. */
	if (!barrier() && !(barrier_register() && barrier()))
		tmk__bug("membarrier() does not work any more");
	for (cache = caches; cache; cache = cache->next)
		while (atomic_load_explicit(&cache->busy, memory_order_acquire))
			sched_yield();
}

/** tmk__tcache_go() - they may again; under heap_lock */
void tmk__tcache_go(void)
{
	struct tmk__tcache *cache;

	for (cache = caches; cache; cache = cache->next)
		atomic_store_explicit(&cache->stop, stopped,
				      memory_order_release);
}

static void flush_all(void)
{
	struct tmk__tcache *cache;
	unsigned int shard;

	for (cache = caches; cache; cache = cache->next)
		tmk__keep_flush(cache);
	for (shard = 0; tmk__heap && shard < TMK__SHARDS; shard++)
		tmk__stash_flush(shard);
}

/** tmk__tcache_flush_all() - empty every thread's cache; under heap_lock */
void tmk__tcache_flush_all(void)
{
	tmk__tcache_stop();
	flush_all();
	tmk__tcache_go();
}

/**
 * tmk__tcache_collect() - take back what all threads keep, before new memory is
 * got; under heap_lock
 *
 * Not if that was done a moment ago: two threads would go on taking it from each
 * other, and one that hands what it allocates to another would go on fetching it
 * from there, each time with all of them stopped. Then there is too little memory for
 * what they do. If it cannot be had, all is taken back anyway.
 *
 * Return: false if memory is short, and was not taken back.
 */
bool tmk__tcache_collect(void)
{
	uint32_t now = tmk__heap_now() | 1;
	bool more = others_keep();

	if (tmk__keep_starved(tmk__tcache)) {
		tmk__tcache->emptied = 0;
		return false;
	}
	if (more && collected && now - collected < COLLECT_MS)
		return false;
	tmk__tcache_flush_all();
	if (more)
		collected = now;
	return true;
}

/**
 * tmk__tcache_mode() - may threads keep anything? Under heap_lock.
 * @stop: they may not
 */
void tmk__tcache_mode(bool stop)
{
	if (stop == stopped)
		return;
	tmk__tcache_stop();
	flush_all();
	stopped = stop;
	tmk__tcache_go();
}

/**
 * tmk__tcache_child() - in a child, where there is one thread: empty all caches;
 * under heap_lock, and they are stopped
 */
void tmk__tcache_child(void)
{
	struct tmk__tcache *cache;

	flush_all();
	for (cache = caches; cache; cache = cache->next) {
		disown(cache);
		atomic_store(&cache->busy, 0);
	}
	/* Who has a cache has a heap, and there is none now. */
	if (tmk__tcache)
		pthread_setspecific(exit_key, NULL);
	tmk__tcache = NULL;
	(void)barrier_register();
	tmk__tcache_go();
}

/**
 * tmk__tcache_count() - bytes were handed out or came back, not through a cache;
 * under heap_lock, or any shard's if the thread has a cache and the purpose no name
 * @purpose: for what
 * @bytes: how many, negative if they came back
 */
void tmk__tcache_count(unsigned int purpose, int64_t bytes)
{
	if (purpose == TMK_USE_GENERAL && tmk__tcache)
		tmk__tcache->balance += bytes;
	else
		others[purpose] += bytes;
}

/* Bytes that a thread keeps; it is not looking at them. */
static int64_t kept(const struct tmk__tcache *cache)
{
	int64_t bytes = 0;
	unsigned int i, k;

	for (i = 0; i < TMK__SMALL_BINS; i++)
		bytes += (int64_t)tmk__bin_nr(&cache->bins[i]) *
			 tmk__slab_size(i);
	for (; i < TMK__BINS; i++)
		for (k = 0; k < tmk__bin_nr(&cache->bins[i]); k++)
			bytes += (int64_t)tmk__block_bytes(
				tmk__slot_block(&cache->bins[i].slots[k]));
	return bytes;
}

/**
 * tmk__tcache_live() - what the program has; under heap_lock
 * @live: bytes by purpose
 */
void tmk__tcache_live(int64_t *live)
{
	struct tmk__tcache *cache;

	tmk__tcache_stop();
	memcpy(live, others, sizeof(others));
	for (cache = caches; cache; cache = cache->next)
		live[TMK_USE_GENERAL] += cache->balance - kept(cache);
	tmk__tcache_go();
}
