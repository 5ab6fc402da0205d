// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Shards: what threads without options allocate from, so that those that do it at
 * the same time need not wait for each other. Each is an arena and a lock.
 *
 * All threads begin in the first one, because memory that is free in one shard does
 * nothing for those in another. A thread that keeps meeting others that allocate at
 * its shard's lock moves to the shard with the fewest threads, and what it allocated
 * before goes back to where it came from. There are no more shards than processors.
 *
 * heap_lock is the locks of all shards, taken in order. So whoever holds one of them
 * keeps out all that is done under heap_lock.
 */
#define _GNU_SOURCE /* a mutex that waits a moment before it sleeps */
#include <pthread.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "tcache.h"

/* A wait counts so many locks that there was none at. */
#define WAIT 32u
/* So much more waiting than that, and the thread moves. */
#define MOVE (8 * WAIT)
/* How often to look whether a lock is free before sleeping: some microseconds. */
#define SPIN 200

#define SHARD                                                  \
	{                                                      \
		PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, 0, NULL \
	}

/* Each in lines of its own, and the line that a processor fetches beside it. */
static struct {
	pthread_mutex_t mutex;
	uint32_t threads; /* that allocate from it; under heap_lock */
	const struct tmk__tcache *last; /* of those the last one that did */
} __attribute__((aligned(128))) shards[TMK__SHARDS] = {
	SHARD, SHARD, SHARD, SHARD, SHARD, SHARD, SHARD, SHARD,
};
static unsigned int shards_nr = 1; /* changes under heap_lock */
static unsigned int shards_max = TMK__SHARDS;
static bool alone; /* a lock is held, and there was no need to take it */

static inline void pause_a_moment(void)
{
#if __has_builtin(__builtin_ia32_pause)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/*
 * It is held for less than a microsecond nearly always, and to sleep takes fifty.
 * Return: true if somebody else had it.
 */
static bool lock(pthread_mutex_t *mutex)
{
	int i;

	if (!pthread_mutex_trylock(mutex))
		return false;
	for (i = 0; i < SPIN; i++) {
		pause_a_moment();
		if (!pthread_mutex_trylock(mutex))
			return true;
	}
	pthread_mutex_lock(mutex);
	return true;
}

/**
 * tmk__shard_lock() - for the tables of one shard, and for the thread's own cache
 * @shard: its number
 *
 * Where there is one thread there is nobody to keep out, and no second one is made
 * before the lock is let go of: the two atomic instructions are saved.
 *
 * Return: true if somebody else had it.
 */
bool tmk__shard_lock(unsigned int shard)
{
	if (__libc_single_threaded) {
		alone = true;
		return false;
	}
	return lock(&shards[shard].mutex);
}

/** tmk__shard_unlock() - the other half */
void tmk__shard_unlock(unsigned int shard)
{
	if (alone)
		alone = false;
	else
		pthread_mutex_unlock(&shards[shard].mutex);
}

/** tmk__heap_lock() - for all tables: those of each shard, and those of no shard */
void tmk__heap_lock(void)
{
	unsigned int i;

	if (__libc_single_threaded) {
		alone = true;
		return;
	}
	/* With the first one held there will not be more of them. */
	lock(&shards[0].mutex);
	for (i = 1; i < shards_nr; i++)
		lock(&shards[i].mutex);
}

/** tmk__heap_unlock() - the other half */
void tmk__heap_unlock(void)
{
	unsigned int i;

	if (alone) {
		alone = false;
		return;
	}
	for (i = shards_nr - 1; i > 0; i--)
		pthread_mutex_unlock(&shards[i].mutex);
	pthread_mutex_unlock(&shards[0].mutex);
}

/**
 * tmk__shard_join() - a thread has a cache now; under heap_lock
 * @cache: its cache, maybe of a thread that is gone: then it goes where that was,
 *	if nobody else does, since there is memory
 */
void tmk__shard_join(struct tmk__tcache *cache)
{
	if (shards[cache->shard].threads)
		cache->shard = 0;
	shards[cache->shard].threads++;
	cache->waits = 0;
}

/**
 * tmk__shard_leave() - it has none any more; under heap_lock
 * @cache: its cache
 */
void tmk__shard_leave(const struct tmk__tcache *cache)
{
	shards[cache->shard].threads--;
}

/**
 * tmk__shard_begin() - there is a heap from now on; under heap_lock
 *
 * Not when a second shard is wanted: a program may have given up files by then.
 */
void tmk__shard_begin(void)
{
	long nr;

	tmk__calls_add(1);
	/* Not those that this thread may use: others may be told to use others. */
	nr = sysconf(_SC_NPROCESSORS_ONLN);
	if (nr >= 1)
		shards_max = (unsigned int)TMK__MIN(nr, (long)TMK__SHARDS);
}

/* The shard with the fewest threads. Under heap_lock. */
static unsigned int shard_choose(void)
{
	unsigned int i, best = 0;

	for (i = 1; i < shards_nr; i++)
		if (shards[i].threads < shards[best].threads)
			best = i;
	if (!shards[best].threads || shards_nr >= shards_max)
		return best;
	/* heap_lock is its lock, too. */
	if (!alone)
		pthread_mutex_lock(&shards[shards_nr].mutex);
	return shards_nr++;
}

/**
 * tmk__shard_enter() - take the lock of this thread's shard, to allocate
 * @cache: its cache
 *
 * Return: true if it was in the way of another one that allocates, to be told to
 * tmk__shard_met() when the lock is let go of. Who only frees what this thread has
 * allocated would do it wherever that is.
 */
bool tmk__shard_enter(struct tmk__tcache *cache)
{
	unsigned int shard = cache->shard;
	bool met = tmk__shard_lock(shard) && shards[shard].last != cache;

	shards[shard].last = cache;
	return met;
}

/**
 * tmk__shard_is_anothers() - does somebody else allocate there? Under its lock
 * @shard: its number
 * @cache: this thread's
 *
 * Return: true if the last one that did is not this thread.
 */
bool tmk__shard_is_anothers(unsigned int shard, const struct tmk__tcache *cache)
{
	return shards[shard].last && shards[shard].last != cache;
}

/**
 * tmk__shard_met() - after tmk__shard_enter(); under no lock
 * @cache: its cache
 * @met: what tmk__shard_enter() returned
 */
void tmk__shard_met(struct tmk__tcache *cache, bool met)
{
	unsigned int to;

	if (!met) {
		cache->waits -= cache->waits > 0;
		return;
	}
	cache->waits += WAIT;
	if (cache->waits < MOVE)
		return;
	tmk__heap_lock();
	cache->waits = 0;
	if (shards[cache->shard].threads > 1) {
		to = shard_choose();
		if (shards[to].threads + 1 < shards[cache->shard].threads) {
			shards[cache->shard].threads--;
			shards[to].threads++;
			cache->shard = (uint8_t)to;
		}
	}
	tmk__heap_unlock();
}
