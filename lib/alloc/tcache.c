// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What each thread keeps for itself, so that it need not ask anybody.
 *
 * The owner looks at its cache between setting @busy and clearing it, and does
 * not where @stop is set. Somebody else, under heap_lock, sets @stop, has every
 * running thread of the process pass a memory barrier (membarrier(2)), waits
 * until @busy is clear, and may then empty the cache. So the owner needs no
 * atomic instruction that would cost it anything, and yet nothing that a thread
 * keeps is out of reach when memory is short, when it is trimmed, or when a
 * child is made. Where there is no membarrier(2) no thread keeps anything.
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

#include "heap.h"

/* How many of a size a thread keeps: 64 KiB to 4 MiB worth of it, or a few. */
#define SMALL_KEEP (UINT32_C(64) << 10)
#define KEEP_MAX 32u
#define KEEP_FEW 8u
#define KEEP_LEAST 4u

__thread struct tmk__tcache *tmk__tcache
	__attribute__((tls_model("initial-exec")));

static struct tmk__tcache *caches; /* all of them; under heap_lock */
static int64_t others[TMK__PURPOSES]; /* not counted by any; under heap_lock */
static bool stopped; /* nobody keeps anything at present */

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

static void tcache_exit(void *arg)
{
	struct tmk__tcache *cache = arg;
	unsigned int i;

	tmk__heap_lock();
	exiting = true;
	tmk__tcache = NULL;
	for (i = 0; i < TMK__BINS; i++)
		tmk__tcache_flush_bin(&cache->bins[i], 0);
	for (i = 0; i < TMK__PURPOSES; i++) {
		others[i] += atomic_load_explicit(&cache->live[i],
						  memory_order_relaxed);
		atomic_store_explicit(&cache->live[i], 0, memory_order_relaxed);
	}
	cache->used = false;
	tmk__heap_unlock();
}

static void exit_register(void)
{
	exit_err = pthread_key_create(&exit_key, tcache_exit);
	if (!exit_err && !barrier_register())
		exit_err = ENOSYS;
}

static uint32_t bin_max(uint64_t bytes)
{
	if (bytes <= TMK__SMALL_MAX)
		return TMK__MAX(TMK__MIN(SMALL_KEEP / (uint32_t)bytes,
					 KEEP_MAX),
				KEEP_FEW);
	return bytes <= UINT64_C(1) << 20 ? KEEP_FEW : KEEP_LEAST;
}

/* The least bytes of a bin's blocks. */
static uint64_t bin_bytes(unsigned int bin)
{
	unsigned int large = bin - TMK__SMALL_BINS;

	if (bin < TMK__SMALL_BINS)
		return tmk__slab_size(bin);
	return (uint64_t)(8 + large % 8) << (TMK__PAGE_SHIFT + large / 8);
}

static struct tmk__tcache *tcache_make(void)
{
	struct tmk__tcache *cache;
	uint32_t nr = 0, max;
	struct tmk__slot *slots;
	size_t bytes;
	unsigned int i;

	for (i = 0; i < TMK__BINS; i++)
		nr += bin_max(bin_bytes(i));
	bytes = sizeof(*cache) + nr * sizeof(*slots);
	tmk__calls_add(1);
	/* Only what is used of it becomes memory. */
	cache = tmk__fault("tcache") ? MAP_FAILED :
				       mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cache == MAP_FAILED)
		return NULL;
	slots = (struct tmk__slot *)(cache + 1);
	for (i = 0; i < TMK__BINS; i++) {
		max = bin_max(bin_bytes(i));
		cache->bins[i].max = i < TMK__SMALL_BINS ? max : 0;
		cache->bins[i].slots = slots;
		if (i < TMK__SMALL_BINS)
			cache->bins[i].size = tmk__slab_size(i);
		slots += max;
	}
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

/**
 * tmk__tcache_bin() - the bin that a free block goes to; under heap_lock
 * @cache: this thread's
 * @bin: which
 *
 * Of large blocks one bin at a time has some: the last one used. More of them
 * would be in the way of others, and be handed out again wherever they are.
 *
 * Return: the bin.
 */
struct tmk__bin *tmk__tcache_bin(struct tmk__tcache *cache, unsigned int bin)
{
	struct tmk__bin *to = &cache->bins[bin];

	if (bin < TMK__SMALL_BINS || to == cache->hot)
		return to;
	if (cache->hot) {
		tmk__tcache_flush_bin(cache->hot, 0);
		cache->hot->max = 0;
	}
	to->max = bin_max(bin_bytes(bin));
	cache->hot = to;
	return to;
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

/**
 * tmk__tcache_flush_bin() - give what is longest in a bin back to the heap
 * @bin: the bin
 * @keep: how many may stay
 */
void tmk__tcache_flush_bin(struct tmk__bin *bin, uint32_t keep)
{
	uint32_t i, out = bin->nr > keep ? bin->nr - keep : 0;

	if (!out)
		return;
	for (i = 0; i < out; i++)
		tmk__slot_give(&bin->slots[i]);
	memmove(bin->slots, bin->slots + out, keep * sizeof(*bin->slots));
	bin->nr = keep;
}

static void flush_all(void)
{
	struct tmk__tcache *cache;
	unsigned int i;

	for (cache = caches; cache; cache = cache->next)
		for (i = 0; i < TMK__BINS; i++)
			tmk__tcache_flush_bin(&cache->bins[i], 0);
}

/**
 * tmk__tcache_flush_own() - empty this thread's cache; under heap_lock
 *
 * Return: false if there was nothing in it.
 */
bool tmk__tcache_flush_own(void)
{
	bool any = false;
	unsigned int i;

	for (i = 0; tmk__tcache && i < TMK__BINS; i++) {
		any = any || tmk__tcache->bins[i].nr;
		tmk__tcache_flush_bin(&tmk__tcache->bins[i], 0);
	}
	return any;
}

/** tmk__tcache_flush_all() - empty every thread's cache; under heap_lock */
void tmk__tcache_flush_all(void)
{
	tmk__tcache_stop();
	flush_all();
	tmk__tcache_go();
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
	unsigned int i;

	flush_all();
	for (cache = caches; cache; cache = cache->next) {
		if (cache == tmk__tcache)
			continue;
		for (i = 0; i < TMK__PURPOSES; i++) {
			others[i] += atomic_load(&cache->live[i]);
			atomic_store(&cache->live[i], 0);
		}
		atomic_store(&cache->busy, 0);
		cache->used = false;
	}
	(void)barrier_register();
	tmk__tcache_go();
}

/**
 * tmk__tcache_count() - bytes were handed out or came back, not through a cache;
 * under heap_lock
 * @purpose: for what
 * @bytes: how many, negative if they came back
 */
void tmk__tcache_count(unsigned int purpose, int64_t bytes)
{
	others[purpose] += bytes;
}

/**
 * tmk__tcache_live() - what the program has; under heap_lock
 * @live: bytes by purpose
 */
void tmk__tcache_live(int64_t *live)
{
	struct tmk__tcache *cache;
	unsigned int i;

	memcpy(live, others, sizeof(others));
	for (cache = caches; cache; cache = cache->next)
		for (i = 0; i < TMK__PURPOSES; i++)
			live[i] += atomic_load_explicit(&cache->live[i],
							memory_order_relaxed);
}
