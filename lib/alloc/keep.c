// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What of its cache a thread keeps, and when that goes back: small things until there
 * are too many, large ones as long as they are taken again and are not in the way.
 *
 * All of it under the lock of a shard, by the thread itself, or under heap_lock. What
 * is of another shard than the one whose lock is held goes back later.
 */
#include <string.h>

#include "tcache.h"

/* How many of a size a thread keeps: so many bytes of it, within bounds. */
#define SMALL_KEEP (UINT64_C(256) << 10)
#define LARGE_KEEP (UINT64_C(256) << 20)
#define KEEP_FEW 8u
#define KEEP_LEAST 4u
/* Blocks from here on are large: see tmk__keep_miss(). */
#define LARGE (UINT64_C(160) << 10)
/* So many blocks decide whether any are kept; so many times as many to begin. */
#define DECIDE 32u
#define DECIDE_MUCH 3u
/* When to get memory, not to take it out of the cache, see tmk__tcache_collect(). */
#define EMPTIED 64u
#define EMPTIED_SOON 32u /* blocks from one time to the next */

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

/**
 * tmk__keep_begin() - what a new cache keeps before anything is known
 * @cache: all zero
 */
void tmk__keep_begin(struct tmk__tcache *cache)
{
	unsigned int i;

	for (i = 0; i < TMK__BINS && bin_bytes(i) < LARGE; i++)
		cache->bins[i].max = bin_max(bin_bytes(i));
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

/* It goes back, @lend where somebody else finds it. Return: its bytes. */
static uint64_t slot_return(unsigned int bin, const struct tmk__slot *slot,
			    bool lend, uint32_t now)
{
	uint64_t bytes = 0;

	if (lend && bin < TMK__STASH_BINS)
		bytes = tmk__stash_put(bin, slot);
	if (bytes)
		return bytes;
	return bin < TMK__SMALL_BINS ? tmk__slot_give(slot) :
				       block_give(slot, now);
}

/*
 * Give what is longest in a bin back, all but @keep. What is of another shard than
 * @shard stays, unless that is TMK__ALL, and @foreign says so.
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
		bytes += slot_return(bin, &slots[i],
				     keep && tmk__shard_is_anothers(of, cache),
				     now);
	}
	cache->balance -= (int64_t)bytes;
	if (nr > out)
		memmove(slots + left, slots + out, (nr - out) * sizeof(*slots));
	cache->bins[bin].used -= (out - left) * sizeof(*slots);
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
 * tmk__keep_room() - may something be put into a bin? Under @shard's lock
 * @cache: this thread's
 * @bin: the bin
 * @shard: what may go back there to make room; TMK__ALL with heap_lock
 *
 * Return: true, and there is room; false if nothing of that size is kept, or if it
 * is full of what is not of that shard: @foreign says of which, then.
 */
bool tmk__keep_room(struct tmk__tcache *cache, unsigned int bin,
		    unsigned int shard)
{
	struct tmk__bin *at = &cache->bins[bin];

	if (tmk__bin_used(at) < at->max)
		return true;
	if (at->max) {
		bin_flush(cache, bin, tmk__bin_nr(at) / 2, shard);
		return tmk__bin_used(at) < at->max;
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

/**
 * tmk__keep_flush() - empty a cache; under heap_lock, nobody looks at it
 * @cache: anybody's
 *
 * There is more or less memory then than there was: what was decided was for other
 * steps.
 */
void tmk__keep_flush(struct tmk__tcache *cache)
{
	unsigned int i;

	for (i = 0; i < TMK__BINS; i++)
		bin_flush(cache, i, 0, TMK__ALL);
	cache->shut = false;
	cache->taken = 0;
	cache->lost = 0;
}

/**
 * tmk__keep_starved() - does much of what it allocates begin with emptying its cache?
 * @cache: this thread's, or NULL
 *
 * Return: true if it needs more memory than it has.
 */
bool tmk__keep_starved(const struct tmk__tcache *cache)
{
	return cache && cache->emptied >= EMPTIED;
}

/**
 * tmk__keep_flush_own() - empty this thread's cache; under heap_lock
 *
 * Return: false if there was nothing in it, or that was done each of the last times
 * when something was missing: then what it keeps is not much, but all there is.
 */
bool tmk__keep_flush_own(void)
{
	struct tmk__tcache *cache = tmk__tcache;
	uint32_t served = 0;
	bool any = false;
	unsigned int i;

	for (i = 0; cache && i < TMK__BINS; i++) {
		any = any || tmk__bin_nr(&cache->bins[i]);
		served += tmk__bin_taken(&cache->bins[i]);
	}
	any |= cache && tmk__stash_flush(cache->shard);
	if (!any || tmk__keep_starved(cache))
		return false;
	served += cache->asked + cache->taken;
	tmk__keep_flush(cache);
	cache->emptied = served > EMPTIED_SOON ? 0 : cache->emptied + 1;
	cache->asked = 0;
	return true;
}

/* Large blocks that are kept go back, those of other shards soon. */
static void flush_large(struct tmk__tcache *cache, unsigned int shard)
{
	unsigned int i, nr;
	uint32_t taken;

	for (i = 0; i < cache->open_nr; i++) {
		struct tmk__bin *at = &cache->bins[cache->open[i]];

		taken = tmk__bin_taken(at);
		nr = tmk__bin_nr(at);
		cache->taken += TMK__MIN(taken, DECIDE);
		cache->lost += nr;
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
 * tmk__keep_miss() - have no large block in this thread's cache; under @shard's lock
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
void tmk__keep_miss(uint32_t pages, unsigned int shard)
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
 * tmk__keep_foreign() - give back what @foreign says; under no lock
 * @cache: this thread's
 * @bin: half of that bin, or of all large ones all if it is TMK__BIN_NONE
 */
void tmk__keep_foreign(struct tmk__tcache *cache, unsigned int bin)
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
