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

#include "heap.h"

/* How many of a size a thread keeps: so many bytes of it, within bounds. */
#define SMALL_KEEP (UINT64_C(256) << 10)
/* Blocks from here on are large: see tmk__tcache_miss(). */
#define LARGE (UINT64_C(160) << 10)
#define LARGE_KEEP (UINT64_C(256) << 20)
/* So many blocks decide whether any are kept; so many times as many to begin. */
#define DECIDE 32u
#define DECIDE_MUCH 3u
/* When to get memory, not to take it out of caches, see tmk__tcache_collect(). */
#define COLLECT_MS 100u
#define EMPTIED 64u
#define EMPTIED_SOON 32u /* blocks from one time to the next */
#define KEEP_FEW 8u
#define KEEP_LEAST 4u

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

static void flush(struct tmk__tcache *cache);

static void tcache_exit(void *arg)
{
	struct tmk__tcache *cache = arg;

	tmk__heap_lock();
	exiting = true;
	tmk__tcache = NULL;
	flush(cache);
	disown(cache);
	tmk__heap_unlock();
}

static void exit_register(void)
{
	exit_err = pthread_key_create(&exit_key, tcache_exit);
	if (!exit_err && !barrier_register())
		exit_err = ENOSYS;
}

/* In bytes of its slots. */
static uint32_t bin_max(uint64_t bytes)
{
	bool small = bytes <= TMK__SMALL_MAX;
	uint64_t nr = (small ? SMALL_KEEP : LARGE_KEEP) / bytes;

	nr = TMK__MAX(nr, small ? KEEP_FEW : KEEP_LEAST);
	return (uint32_t)(TMK__MIN(nr, TMK__KEEP) * sizeof(struct tmk__slot));
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
	unsigned int i;

	tmk__calls_add(1);
	/* Only what is used of it becomes memory. */
	cache = tmk__fault("tcache") ?
			MAP_FAILED :
			mmap(NULL, sizeof(*cache), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cache == MAP_FAILED)
		return NULL;
	for (i = 0; i < TMK__BINS && bin_bytes(i) < LARGE; i++)
		cache->bins[i].max = bin_max(bin_bytes(i));
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

/* A block goes back to the heap. Return: its bytes. */
static uint64_t block_give(const struct tmk__slot *slot, uint32_t now)
{
	struct tmk__block *block = tmk__slot_block(slot);
	uint64_t bytes = tmk__block_bytes(block);

	/* Somebody else has it: freed twice at the same moment. */
	if (tmk__state_get(slot->state) != TMK__CACHED)
		return 0;
	tmk__state_set(slot->state, TMK__GONE);
	tmk__pages_free(tmk__heap, (uint32_t)(block - tmk__heap->blocks), false,
			now);
	return bytes;
}

/*
 * Give what is longest in a bin back to the heap, all but @keep. What is of another
 * shard than @shard stays, unless that is TMK__ALL, and @foreign says so.
 */
static void bin_flush(struct tmk__tcache *cache, unsigned int bin,
		      unsigned int keep, unsigned int shard)
{
	struct tmk__slot *slots = cache->bins[bin].slots;
	unsigned int i, nr = tmk__bin_nr(&cache->bins[bin]), left = 0;
	unsigned int out = nr > keep ? nr - keep : 0;
	uint64_t bytes = 0;
	uint32_t now;

	if (!out)
		return;
	now = tmk__heap_now();
	for (i = 0; i < out; i++) {
		unsigned int of = tmk__slot_arena(&slots[i]);

		if (shard != TMK__ALL && of != shard) {
			cache->foreign |= 1u << of;
			slots[left++] = slots[i];
			continue;
		}
		bytes += bin < TMK__SMALL_BINS ? tmk__slot_give(&slots[i]) :
						 block_give(&slots[i], now);
	}
	cache->balance -= (int64_t)bytes;
	if (nr > out)
		memmove(slots + left, slots + out, (nr - out) * sizeof(*slots));
	cache->bins[bin].count -= (out - left) * (uint32_t)sizeof(*slots);
}

/* While none are kept: what there would be had gone back with the next miss. */
static void bin_would(struct tmk__tcache *cache, struct tmk__bin *at)
{
	if (at->misses == cache->misses)
		return;
	at->misses = cache->misses;
	cache->lost += at->would;
	at->would = 0;
}

/**
 * tmk__tcache_room() - may something be put into a bin? Under @shard's lock
 * @cache: this thread's
 * @bin: the bin
 * @shard: what may go back there to make room; TMK__ALL with heap_lock
 *
 * Return: true, and there is room; false if nothing of that size is kept, or if it
 * is full of what is not of that shard: @foreign says of which, then.
 */
bool tmk__tcache_room(struct tmk__tcache *cache, unsigned int bin,
		      unsigned int shard)
{
	struct tmk__bin *at = &cache->bins[bin];

	if (at->count < at->max)
		return true;
	if (at->max) {
		bin_flush(cache, bin, tmk__bin_nr(at) / 2, shard);
		return at->count < at->max;
	}
	if (cache->shut) {
		bin_would(cache, at);
		at->would += at->would < TMK__KEEP;
		return false;
	}
	at->max = bin_max(bin_bytes(bin));
	if (!at->listed)
		cache->open[cache->open_nr++] = (uint8_t)bin;
	at->listed = true;
	return true;
}

/* More or less memory than there was: what was decided was for other steps. */
static void flush(struct tmk__tcache *cache)
{
	unsigned int i;

	for (i = 0; i < TMK__BINS; i++)
		bin_flush(cache, i, 0, TMK__ALL);
	cache->shut = false;
	cache->taken = 0;
	cache->lost = 0;
}

static void flush_all(void)
{
	struct tmk__tcache *cache;

	for (cache = caches; cache; cache = cache->next)
		flush(cache);
}

/* Does nearly everything that it allocates begin with emptying its cache? */
static bool starved(const struct tmk__tcache *cache)
{
	return cache && cache->emptied >= EMPTIED;
}

/**
 * tmk__tcache_flush_own() - empty this thread's cache; under heap_lock
 *
 * Return: false if there was nothing in it, or that was done each of the last times
 * when something was missing: then what it keeps is not much, but all there is.
 */
bool tmk__tcache_flush_own(void)
{
	struct tmk__tcache *cache = tmk__tcache;
	uint32_t served = 0;
	bool any = false;
	unsigned int i;

	for (i = 0; cache && i < TMK__BINS; i++) {
		any = any || tmk__bin_nr(&cache->bins[i]);
		served += cache->bins[i].taken;
		cache->bins[i].taken = 0;
	}
	if (!any || starved(cache))
		return false;
	served += cache->asked + cache->taken;
	flush(cache);
	cache->emptied = served > EMPTIED_SOON ? 0 : cache->emptied + 1;
	cache->asked = 0;
	return true;
}

/* Large blocks that are kept go back, those of other shards soon. */
static void flush_large(struct tmk__tcache *cache, unsigned int shard)
{
	unsigned int i, nr;

	for (i = 0; i < cache->open_nr; i++) {
		struct tmk__bin *at = &cache->bins[cache->open[i]];

		nr = tmk__bin_nr(at);
		cache->taken += TMK__MIN(at->taken, DECIDE);
		cache->lost += nr;
		at->taken = 0;
		if (nr)
			bin_flush(cache, cache->open[i], 0, shard);
	}
}

/* The same, as though there were some. */
static void flush_none(struct tmk__tcache *cache, uint32_t pages)
{
	bool large = pages <= TMK__LARGE_MAX >> TMK__PAGE_SHIFT;
	struct tmk__bin *at = &cache->bins[large ? tmk__pages_bin(pages) : 0];

	bin_would(cache, at);
	if (at->would) {
		at->would--;
		cache->taken++;
	} else {
		cache->misses++;
	}
}

/* To keep them or not is worth a look when much was taken and went back. */
static void decide(struct tmk__tcache *cache)
{
	unsigned int i;
	bool shut;

	if (cache->taken + cache->lost < DECIDE)
		return;
	shut = cache->lost >= cache->taken / (cache->shut ? DECIDE_MUCH : 1);
	for (i = 0; shut != cache->shut && i < cache->open_nr; i++) {
		cache->bins[cache->open[i]].max = 0;
		cache->bins[cache->open[i]].would = 0;
	}
	cache->shut = shut;
	cache->taken = 0;
	cache->lost = 0;
}

/**
 * tmk__tcache_miss() - have no large block in this thread's cache; under @shard's lock
 * @pages: what is missing
 * @shard: what goes back at once; @foreign says what has to, else
 *
 * Before one is taken out of the heap: otherwise those that are kept would be in
 * the way of others, which would be put where there is less room.
 *
 * Where more of them go back like that than are taken, none are kept any more. It
 * takes about as long, and what a step leaves behind does not depend on the order in
 * which it frees: the next one is placed as it was, and finds in the processor's
 * caches what it left there. That goes on being counted as though they were kept.
 */
void tmk__tcache_miss(uint32_t pages, unsigned int shard)
{
	struct tmk__tcache *cache = tmk__tcache;

	if (!cache)
		return;
	cache->asked++;
	if (cache->shut)
		flush_none(cache, pages);
	else
		flush_large(cache, shard);
	decide(cache);
}

/**
 * tmk__tcache_foreign() - give back what @foreign says; under no lock
 * @cache: this thread's
 * @bin: half of that bin, or of all large ones all if it is TMK__BIN_NONE
 */
void tmk__tcache_foreign(struct tmk__tcache *cache, unsigned int bin)
{
	uint32_t shards = cache->foreign;
	unsigned int shard, i;

	for (; shards; shards &= shards - 1) {
		shard = (unsigned int)__builtin_ctz(shards);
		tmk__shard_lock(shard);
		for (i = 0; bin == TMK__BIN_NONE && i < cache->open_nr; i++)
			bin_flush(cache, cache->open[i], 0, shard);
		if (bin != TMK__BIN_NONE)
			bin_flush(cache, bin,
				  tmk__bin_nr(&cache->bins[bin]) / 2, shard);
		tmk__shard_unlock(shard);
	}
	cache->foreign = 0;
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

	if (starved(tmk__tcache)) {
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
