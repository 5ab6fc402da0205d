/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What each thread keeps for itself: tcache.c has the caches and who may look at
 * them, keep.c what is in them and for how long, alloc.c the way in and out.
 */
#ifndef TMK_ALLOC_TCACHE_H
#define TMK_ALLOC_TCACHE_H

#include "heap.h"

#define TMK__TAKEN ((uint64_t)1 << 32) /* see struct tmk__bin */

/**
 * struct tmk__bin - what a thread keeps of a size
 * @used: bytes of @slots in use, and TMK__TAKEN for each time that something was taken
 *	since it was last looked at: one store for both
 * @misses: the thread's, when @would was last right; from here on is where struct
 *	tmk__tcache has @busy in another page
 * @would: of large blocks, while none are kept: how many there would be
 * @listed: it is one of @open in struct tmk__tcache
 * @max: how many bytes of @slots may be in use; 0 for large blocks until it has one of
 *	that size, and while none are kept
 * @slots: the last one freed on top
 */
struct tmk__bin {
	uint64_t used;
	uint16_t misses;
	uint8_t would;
	bool listed;
	uint32_t max;
	struct tmk__slot slots[TMK__KEEP];
};
_Static_assert(sizeof(struct tmk__bin) == 512, "eight of them are a page");

/**
 * struct tmk__tcache - what a thread keeps for itself
 * @bins: free blocks and objects; the last one is for those that it does not keep
 * @next: all caches
 * @busy: the thread is looking at it. No slot is a whole number of pages from here: a
 *	processor takes a load for one of what was just stored there, and waits
 * @stop: it may not: somebody else is, or nobody keeps anything at present
 * @balance: bytes that came from the heap less those that went there. What is
 *	not here of them the program has, so that handing out and taking back need
 *	not be counted. Below 0 where blocks come from other threads
 * @used: there is a thread that has it
 * @shut: it keeps no large blocks
 * @number: from 1
 * @misses: how often there was none to take
 * @taken: how often there was one, since it was last decided whether to keep them
 * @lost: how many were in the way of others meanwhile, and went back
 * @shard: where the thread allocates from
 * @open_nr: how many of @open there are
 * @asked: how often something was missing since all was emptied for it
 * @emptied: how often in a row that was soon after the last time
 * @waits: how much it waited for that lately
 * @foreign: shards that something is to go back to, a bit for each
 * @open: the bins of large blocks that it has had some of
 *
 * All but the bins is in one line of the processor's caches, and what is seldom used.
 */
struct tmk__tcache {
	struct tmk__bin bins[TMK__BINS + 1];
	struct tmk__tcache *next;
	_Atomic uint32_t busy;
	_Atomic uint32_t stop;
	int64_t balance;
	bool used;
	bool shut;
	uint16_t number;
	uint16_t misses;
	uint16_t taken;
	uint16_t lost;
	uint8_t shard;
	uint8_t open_nr;
	uint32_t asked;
	uint32_t emptied;
	uint32_t waits;
	uint32_t foreign;
	uint8_t open[TMK__LARGE_BINS];
};
_Static_assert(offsetof(struct tmk__tcache, next) % 64 == 0 &&
		       offsetof(struct tmk__tcache, open) -
				       offsetof(struct tmk__tcache, next) <=
			       64,
	       "one cache line");
_Static_assert(offsetof(struct tmk__tcache, busy) % 512 ==
		       offsetof(struct tmk__bin, misses),
	       "apart from the slots");

/* tcache.c */
struct tmk__tcache *tmk__tcache_get(void);
void tmk__tcache_stop(void);
void tmk__tcache_go(void);
void tmk__tcache_flush_all(void);
bool tmk__tcache_collect(void);
void tmk__tcache_child(void);
void tmk__tcache_mode(bool stopped);
void tmk__tcache_count(unsigned int purpose, int64_t bytes);
void tmk__tcache_live(int64_t *live);

extern __thread struct tmk__tcache *tmk__tcache
	__attribute__((tls_model("initial-exec")));

/* keep.c */
void tmk__keep_begin(struct tmk__tcache *cache);
void tmk__keep_flush(struct tmk__tcache *cache);
bool tmk__keep_starved(const struct tmk__tcache *cache);
bool tmk__keep_flush_own(void);
void tmk__keep_miss(uint32_t pages, unsigned int shard);
void tmk__keep_foreign(struct tmk__tcache *cache, unsigned int bin);
bool tmk__keep_room(struct tmk__tcache *cache, unsigned int bin,
		    unsigned int shard);

/* stash.c: under the shard's lock */
uint64_t tmk__stash_put(unsigned int bin, const struct tmk__slot *slot);
bool tmk__stash_fetch(struct tmk__tcache *cache, unsigned int bin,
		      unsigned int shard);
bool tmk__stash_flush(unsigned int shard);

/* shard.c */
void tmk__shard_join(struct tmk__tcache *cache);
void tmk__shard_leave(const struct tmk__tcache *cache);
bool tmk__shard_enter(struct tmk__tcache *cache);
bool tmk__shard_is_anothers(unsigned int shard,
			    const struct tmk__tcache *cache);
void tmk__shard_met(struct tmk__tcache *cache, bool met);

/* The arena of a block or an object, of which nothing else need be known. */
static inline unsigned int tmk__slot_arena(const struct tmk__slot *slot)
{
	const struct tmk__block *blocks = tmk__heap->blocks;
	size_t at = (size_t)((const char *)slot->state - (const char *)blocks);

	return blocks[at / sizeof(*blocks)].arena;
}

/* Of something kept in a bin of blocks. */
static inline struct tmk__block *tmk__slot_block(const struct tmk__slot *slot)
{
	return (struct tmk__block *)(void *)((char *)slot->state -
					     offsetof(struct tmk__block,
						      state));
}

/* How large something is that is kept in a bin. */
static inline uint64_t tmk__slot_bytes(unsigned int bin,
				       const struct tmk__slot *slot)
{
	return bin < TMK__SMALL_BINS ? tmk__slab_size(bin) :
				       tmk__block_bytes(tmk__slot_block(slot));
}

/* Bytes of its slots. */
static inline uint32_t tmk__bin_used(const struct tmk__bin *bin)
{
	return (uint32_t)bin->used;
}

static inline unsigned int tmk__bin_nr(const struct tmk__bin *bin)
{
	return tmk__bin_used(bin) / (unsigned int)sizeof(struct tmk__slot);
}

/* How often something was taken; from now on it is counted anew. */
static inline uint32_t tmk__bin_taken(struct tmk__bin *bin)
{
	uint32_t taken = (uint32_t)(bin->used / TMK__TAKEN);

	bin->used = tmk__bin_used(bin);
	return taken;
}

/* There is room for it. */
static inline void tmk__bin_push(struct tmk__bin *bin,
				 const struct tmk__slot *slot)
{
	bin->slots[tmk__bin_nr(bin)] = *slot;
	bin->used += sizeof(*slot);
}

/* Which bin of a thread's cache serves blocks of a size, at most the largest. */
static inline unsigned int tmk__pages_bin(size_t pages)
{
	if (__builtin_expect(pages < 512, 1))
		return tmk__page_bins[pages];
	return tmk__page64_bins[pages >> 6];
}

#endif /* TMK_ALLOC_TCACHE_H */
