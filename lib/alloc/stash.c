// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What a thread has too much of another one may lack: where one allocates what
 * another frees, the one's cache is always full and the other's always empty. What
 * the one gives back of small and middling sizes lies in its shard for a while, as it
 * is, and whoever lacks that size there fetches as many at once as it may keep. So
 * neither are they merged with their neighbours only to be cut off again, nor is the
 * lock taken for each (Bonwick and Adams, Magazines and Vmem, USENIX 2001).
 *
 * Not where the thread that gives back allocates itself: what it has too much of would
 * only be in the way of larger blocks.
 *
 * It is free, and charged as such; before more memory is got, or something goes back
 * to the kernel, it goes back to the heap. All of it under the shard's lock.
 */
#include "tcache.h"

/**
 * tmk__stash_put() - leave something for others
 * @bin: of which size, below TMK__STASH_BINS
 * @slot: what a thread kept
 *
 * Return: its bytes; 0 if there is no room, or somebody else has it: freed twice at
 * the same moment.
 */
uint64_t tmk__stash_put(unsigned int bin, const struct tmk__slot *slot)
{
	struct tmk__arena *arena = &tmk__heap->arenas[tmk__slot_arena(slot)];
	struct tmk__stash *stash = &arena->stash[bin];

	if (stash->nr == TMK__STASH ||
	    tmk__state_get(slot->state) != TMK__CACHED)
		return 0;
	stash->slots[stash->nr++] = *slot;
	arena->stashed++;
	return tmk__slot_bytes(bin, slot);
}

/**
 * tmk__stash_fetch() - take what others have left
 * @cache: this thread's, which has nothing of that size
 * @bin: which size
 * @shard: where
 *
 * Return: true if there is something in the cache now.
 */
bool tmk__stash_fetch(struct tmk__tcache *cache, unsigned int bin,
		      unsigned int shard)
{
	struct tmk__arena *arena = &tmk__heap->arenas[shard];
	struct tmk__stash *stash = &arena->stash[bin];
	struct tmk__bin *at = &cache->bins[bin];

	if (bin >= TMK__STASH_BINS || !stash->nr || tmk__bin_used(at) ||
	    atomic_load_explicit(&cache->stop, memory_order_relaxed))
		return false;
	while (stash->nr && tmk__bin_used(at) < at->max) {
		const struct tmk__slot *slot = &stash->slots[--stash->nr];

		arena->stashed--;
		cache->balance += (int64_t)tmk__slot_bytes(bin, slot);
		tmk__bin_push(at, slot);
	}
	return tmk__bin_used(at);
}

/**
 * tmk__stash_flush() - give back what is left for others
 * @shard: where
 *
 * Return: false if there is nothing.
 */
bool tmk__stash_flush(unsigned int shard)
{
	struct tmk__arena *arena = &tmk__heap->arenas[shard];
	struct tmk__stash *stash = arena->stash;

	if (!arena->stashed)
		return false;
	for (; stash < arena->stash + TMK__STASH_BINS; stash++)
		while (stash->nr)
			tmk__slot_give(&stash->slots[--stash->nr]);
	arena->stashed = 0;
	return true;
}
