/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The allocator's insides.
 *
 *	alloc.c    the public functions: the fast path, and freeing
 *	realloc.c  blocks that become larger or smaller
 *	request.c  requests that the fast path does not serve
 *	tcache.c   what each thread keeps for itself
 *	keep.c     how much of it, and for how long
 *	fence.c    blocks that are freed later
 *	misuse.c   what to say of addresses that are no blocks
 *	slab.c     objects up to 32 KiB, several to a run of pages
 *	run.h      runs of pages, merged with their neighbours
 *	pages.c    blocks out of them: best fit
 *	present.c  where there is memory
 *	table.c    unused entries of the table of blocks
 *	grow.c     where pages come from: regions
 *	trim.c     where they go
 *	stitch.c   large blocks put together from pieces that are free
 *	stitch_plan.c  when that is done, and out of which
 *	checked.c  blocks while something is checked (TMK_DEBUG)
 *	stash.c    what one thread gives back and another fetches
 *	shard.c    what threads allocate from, each for itself, and the locks
 *	heap.c     the window of address space, fork(), counters
 *
 * A heap is one window of address space, cut into arenas, one for each kind and
 * node that is used, and some, the shards, for requests that name none. Regions
 * are mapped into an arena next to one another, so a run of pages may span
 * several of them. Nothing is written into memory that is
 * handed out or kept: what the allocator knows of a run is in a table of struct
 * tmk__block, which the map leads to from its first and last page (from each of
 * its pages for slabs).
 *
 * Locks: grow_lock, held while memory is got or given back, then heap_lock, for
 * all tables. heap_lock is the locks of all shards: one of them is enough for that
 * shard's tables, for the states of what is in it, and for a thread's own cache. A
 * thread has no more than one of them, or all. A thread's cache is its own; others
 * reach into it under heap_lock after tmk__tcache_stop(). No lock is held while
 * another part of the library may wait.
 */
#ifndef TMK_ALLOC_HEAP_H
#define TMK_ALLOC_HEAP_H

#include "../base/reserve.h"
#include "../internal.h"

#define TMK__PAGE_SHIFT 12
#define TMK__PAGE ((uint64_t)1 << TMK__PAGE_SHIFT)
#define TMK__HUGE_PAGES 512u /* pages in 2 MiB */
#define TMK__GRAIN 4u /* pages that small regions are a multiple of */
#define TMK__SHARDS 8u
#define TMK__ALL \
	TMK__SHARDS /* in the place of a shard's number: heap_lock is held */
#define TMK__ARENAS 15 /* shards first; with 1 TiB each, pages are 32 bits */
#define TMK__ENTRIES 64u /* of the table, that an arena gets at once */
#define TMK__LISTS 240 /* of free runs, by size */
#define TMK__STITCHES 16 /* of an arena */
#define TMK__PIECES 16 /* of a stitch */

#define TMK__BYTES_MAX ((uint64_t)1 << 42) /* of a block */

#define TMK__SMALL_MAX ((size_t)32 << 10)
#define TMK__SMALL_BINS 55
#define TMK__LARGE_MAX ((size_t)1 << 30) /* that a thread keeps */
#define TMK__LARGE_BINS 121
#define TMK__BINS (TMK__SMALL_BINS + TMK__LARGE_BINS)
#define TMK__BIN_NONE TMK__BINS /* blocks that no thread keeps */
#define TMK__SLAB_MAX 28 /* objects in a slab */
#define TMK__ANYBODY UINT16_MAX /* for a slab's owner */
#define TMK__STASH_BINS 73u /* of what is smaller than 160 KiB */
#define TMK__STASH 62u /* of a size, left for others */
#define TMK__KEEP 31u /* of a size that a thread keeps, at most */

/* What a block or an object is: free, in a thread's cache, or the program's. */
#define TMK__GONE 0
#define TMK__CACHED 1
#define TMK__LIVE 2 /* + number of its purpose */
_Static_assert(TMK__LIVE + TMK__PURPOSES <= 256, "a state is a byte");

enum tmk__run_type {
	TMK__RUN_NONE = 0, /* an unused entry of the table */
	TMK__RUN_FREE, /* memory that nobody has */
	TMK__RUN_ABSENT, /* address space without memory */
	TMK__RUN_LARGE, /* one block */
	TMK__RUN_SLAB, /* objects */
	TMK__RUN_PIECE, /* a part of a block that is stitched together */
	TMK__RUN_REGION, /* not a run: an entry in the list of regions */
};

/**
 * struct tmk__block - a run of pages, and what is in it
 * @bin: of a slab: which size; of a free run: which list
 * @stitch: of a large block that is stitched: which one, from 1; 0 for others
 * @keep: which bin of a thread's cache it goes to, TMK__BIN_NONE for none
 * @arena: whose, for as long as the table is there
 * @type: enum tmk__run_type
 * @page: the first page, counted from the window's beginning
 * @pages: how many
 * @next: in its list; 0 ends it
 * @prev: in its list; 0: it is the first
 * @size: of each object
 * @offset: of a large block: where in its first page it begins
 * @fresh: of a free run, and a block out of it: it was never used and reads as zero
 * @recip: 2^32 / @size, rounded up
 * @room: of a large block: whole pages that it can hold
 * @objects: how many; 0 if it is no slab, so that none is found in it
 * @state: of a large block; of all else TMK__GONE, so that one look is enough to know
 *	that it is one, and whose
 * @owner: of a slab: the number of the cache whose thread takes from it
 * @free_mask: objects that are free
 * @stamp: when a free run was last used, in ms
 * @states: of the objects
 * @begin: of a large block: its address, counted from the window's beginning
 * @region: the region
 */
struct tmk__block {
	union {
		uint8_t bin;
		uint8_t stitch;
	};
	uint8_t keep;
	uint8_t arena;
	uint8_t type;
	uint32_t page;
	uint32_t pages;
	uint32_t next;
	uint32_t prev;
	union {
		uint32_t size;
		struct {
			uint16_t offset;
			bool fresh;
		};
	};
	union {
		uint32_t recip;
		uint32_t room;
	};
	uint8_t objects;
	_Atomic uint8_t state;
	uint16_t owner;
	union {
		struct {
			uint32_t free_mask;
			_Atomic uint8_t states[TMK__SLAB_MAX];
		};
		uint64_t begin;
		uint32_t stamp;
		struct tmk_region *region;
	};
};
_Static_assert(sizeof(struct tmk__block) == 64, "one cache line");

/**
 * struct tmk__piece - a part of a stitched block
 * @run: where the free run begins that it is cut out of
 * @page: where it begins itself
 * @pages: how large it is
 */
struct tmk__piece {
	uint32_t run;
	uint32_t page;
	uint32_t pages;
};

/**
 * struct tmk__stitch - pieces that are mapped one after the other
 * @block: the block that they make; 0 for none
 * @used: when it was used last, counted in such uses
 * @busy: the block is in use, or is being made
 * @pieces_nr: how many
 * @pieces: them
 */
struct tmk__stitch {
	uint32_t block;
	uint32_t used;
	bool busy;
	uint8_t pieces_nr;
	struct tmk__piece pieces[TMK__PIECES];
};

/**
 * struct tmk__choice - free runs, the largest first
 * @nr: how many
 * @pages: in all of them
 * @runs: them
 */
struct tmk__choice {
	unsigned int nr;
	uint64_t pages;
	uint32_t runs[TMK__PIECES];
};

/* Something in a thread's cache: where it is, and where its state is. */
struct tmk__slot {
	void *data;
	_Atomic uint8_t *state;
};

/* Some of a size that one thread has given back and another may fetch. */
struct tmk__stash {
	uint32_t nr;
	struct tmk__slot slots[TMK__STASH];
};

/**
 * struct tmk__arena - memory of one kind on one node
 * @first: first page
 * @pages: address space; behind it is what stitches have
 * @unused: list of unused entries of the table
 * @unused_nr: how many, so that none of them need be looked at
 * @stitches_nr: stitches that there are
 * @bits: which lists have something
 * @lists: free runs by size
 * @absent: runs without memory
 * @slabs: slabs with a free object, by bin
 * @kind: 0 for huge pages and base pages, as it fits
 * @flags: TMK_REGION_F_*
 * @node: NUMA node
 * @held: pages that are there
 * @base_held: those in regions of base pages, where the kind is 0
 * @no_base: base pages were refused
 * @growing: that was just now
 * @regions: in the order of their addresses
 * @used_peak: pages in use at most, of the times when something did not fit
 * @stitches_used: how often one was
 * @stitches_vain: making some costs so much more than using them again has saved
 * @stitches: them
 * @stashed: how many there are in @stash
 * @stash: of a shard: what threads have given back, by size
 *
 * What is looked at for each block comes first, in one line of the processor's caches.
 */
struct tmk__arena {
	uint32_t first;
	uint32_t pages;
	uint32_t unused;
	uint32_t unused_nr;
	uint32_t stitches_nr;
	uint64_t bits[(TMK__LISTS + 63) / 64];
	uint32_t lists[TMK__LISTS];
	uint32_t absent;
	uint32_t slabs[TMK__SMALL_BINS];
	enum tmk_kind kind;
	uint32_t flags;
	int32_t node;
	uint64_t held;
	uint64_t base_held;
	bool no_base;
	bool growing;
	uint32_t regions;
	uint64_t used_peak;
	uint32_t stitches_used;
	uint32_t stitches_vain;
	struct tmk__stitch stitches[TMK__STITCHES];
	uint32_t stashed;
	struct tmk__stash stash[TMK__STASH_BINS];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct tmk__arena, lists) <= 64, "one cache line");

/**
 * struct tmk__heap - a window of address space, and what is in it
 * @base: where it begins
 * @bytes: its length, 0 while there is none
 * @map: from page to block, 0 for none
 * @blocks: the table
 * @room: behind @blocks
 * @blocks_nr: entries that arenas have got; this and @room change under table_lock
 * @arena_pages: address space of each arena
 * @arenas: those with pages are in use
 * @older: the parent's, in a child
 */
struct tmk__heap {
	char *base;
	uint64_t bytes;
	_Atomic uint32_t *map;
	struct tmk__block *blocks;
	struct tmk__reserve room;
	uint32_t blocks_nr;
	uint32_t arena_pages;
	struct tmk__arena arenas[TMK__ARENAS];
	struct tmk__heap *older;
};

/* heap.c */
extern __attribute__((visibility("hidden"))) struct tmk__heap
	*tmk__heap; /* where a thread with a cache allocates */

int tmk__heap_get(void);
void tmk__heap_grow_lock(void);
void tmk__heap_grow_unlock(void);
bool tmk__heap_tight(void);
void tmk__heap_look(void);
void tmk__heap_reopen(void);
int tmk__heap_arena(struct tmk__arena **out, enum tmk_kind kind, uint32_t flags,
		    int32_t node);
struct tmk__heap *tmk__heap_of(const void *ptr);
struct tmk__heap *tmk__heap_inherited(void);
uint32_t tmk__heap_now(void);

/* shard.c */
bool tmk__shard_lock(unsigned int shard);
void tmk__shard_unlock(unsigned int shard);
void tmk__heap_lock(void);
void tmk__heap_unlock(void);
void tmk__shard_begin(void);

/* table.c: under the arena's lock */
/* Tables, because counting zeroes waits for what was in its target before. */
extern uint8_t tmk__page_bins[512];
extern uint8_t tmk__page64_bins[(TMK__LARGE_MAX >> TMK__PAGE_SHIFT) / 64 + 1];

void tmk__pages_init(void);
int tmk__pages_entries(struct tmk__heap *heap, struct tmk__arena *arena);
uint32_t tmk__pages_entry(struct tmk__heap *heap, struct tmk__arena *arena);

/* pages.c: under the arena's lock */
uint32_t tmk__pages_alloc(struct tmk__heap *heap, struct tmk__arena *arena,
			  uint32_t pages, uint32_t align);
uint32_t tmk__pages_alloc_shifted(struct tmk__heap *heap,
				  struct tmk__arena *arena, uint32_t pages);
void tmk__pages_free(struct tmk__heap *heap, uint32_t index, bool fresh,
		     uint32_t now);
void tmk__pages_size(struct tmk__block *block, uint32_t room);

/* present.c: under the arena's lock */
void tmk__pages_cut(struct tmk__heap *heap, uint32_t index, uint32_t page,
		    uint32_t pages);
uint32_t tmk__pages_present(struct tmk__heap *heap, uint32_t index,
			    uint32_t page, uint32_t pages);
uint32_t tmk__pages_absent(struct tmk__heap *heap, uint32_t index,
			   uint32_t page, uint32_t pages);
void tmk__pages_absent_all(struct tmk__heap *heap, uint32_t index);
uint32_t tmk__pages_near(const struct tmk__heap *heap,
			 const struct tmk__arena *arena, uint32_t page);
bool tmk__pages_extend(struct tmk__heap *heap, uint32_t index, uint32_t pages);
void tmk__pages_shrink(struct tmk__heap *heap, uint32_t index, uint32_t pages);

/* slab.c: under the arena's lock */
extern uint8_t tmk__slab_bins[TMK__SMALL_MAX / 64 + 1];

void tmk__slab_init(void);
uint32_t tmk__slab_size(unsigned int bin);
uint32_t tmk__slab_pages(unsigned int bin);
bool tmk__slab_take(struct tmk__slot *out, struct tmk__heap *heap,
		    struct tmk__arena *arena, unsigned int bin, uint16_t owner);
void tmk__slab_make(struct tmk__heap *heap, uint32_t index, unsigned int bin,
		    uint16_t owner);
void tmk__slab_give(struct tmk__heap *heap, struct tmk__block *slab,
		    unsigned int object);

/* grow.c */
int tmk__grow(uint32_t *out, struct tmk__heap *heap, struct tmk__arena *arena,
	      uint32_t pages, uint32_t align);

/* trim.c: under no lock, or under both */
uint64_t tmk__trim_all(uint32_t age_ms);
uint64_t tmk__trim_locked(uint32_t age_ms);

/* stitch_plan.c: under heap_lock */
uint32_t tmk__stitch_space(const struct tmk__arena *arena, uint32_t pages);
void tmk__stitch_look(const struct tmk__heap *heap, struct tmk__arena *arena,
		      uint32_t pages);
bool tmk__stitch_can(const struct tmk__heap *heap,
		     const struct tmk__arena *arena, uint32_t pages,
		     uint32_t align);
bool tmk__stitch_wanted(const struct tmk__heap *heap,
			const struct tmk__arena *arena, uint32_t pages,
			uint32_t align, uint32_t more);
bool tmk__stitch_saves(const struct tmk__arena *arena, uint32_t plain,
		       uint32_t more);
uint32_t tmk__stitch_lack(const struct tmk__heap *heap,
			  const struct tmk__arena *arena, uint32_t pages);
uint32_t tmk__stitch_part(const struct tmk__heap *heap,
			  const struct tmk__arena *arena);
void tmk__stitch_choose(struct tmk__choice *out, const struct tmk__heap *heap,
			const struct tmk__arena *arena, unsigned int most);

/* stitch.c: under the arena's lock, those that make and drop under heap_lock */
uint32_t tmk__stitch_make(struct tmk__heap *heap, struct tmk__arena *arena,
			  uint32_t pages);
uint32_t tmk__stitch_take(struct tmk__heap *heap, struct tmk__arena *arena,
			  uint32_t pages, uint32_t align);
void tmk__stitch_give(struct tmk__heap *heap, uint32_t index, uint32_t now);
void tmk__stitch_drop(struct tmk__heap *heap, struct tmk__arena *arena,
		      uint32_t page, uint32_t pages);
uint32_t tmk__stitch_at(const struct tmk__heap *heap,
			const struct tmk__arena *arena, uint32_t page);

/* checked.c */
int tmk__checked_alloc(void **out, size_t bytes,
		       const struct tmk_alloc_opts *given);
int tmk__checked_free(void *ptr);
int tmk__checked_bytes(uint64_t *out, const void *ptr);
int tmk__checked_retire(struct tmk__slot *out, uint64_t *bytes, void *ptr,
			uint32_t stack);
void tmk__checked_give(const struct tmk__slot *slot, uint64_t bytes);
bool tmk__checked_flush(void);
void tmk__checked_fresh(void *data, uint64_t bytes, enum tmk_kind kind);

/* fence.c */
void tmk__fence_lock(void);
void tmk__fence_unlock(bool child);
void tmk__fence_shut(void);

/* misuse.c */
int tmk__misuse(const struct tmk__heap *heap, const void *ptr);

/* request.c: under no lock */
int tmk__block_alloc(void **out, size_t bytes,
		     const struct tmk_alloc_opts *given);

/* alloc.c: under heap_lock */
int tmk__block_find(struct tmk__block **out, uint64_t *bytes, uint8_t *purpose,
		    const void *ptr);
int tmk__block_retire(struct tmk__slot *out, uint64_t *bytes, void *ptr);
uint64_t tmk__slot_give(const struct tmk__slot *slot);

static inline uint8_t tmk__state_get(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_relaxed);
}

static inline void tmk__state_set(_Atomic uint8_t *state, unsigned int value)
{
	atomic_store_explicit(state, (uint8_t)value, memory_order_relaxed);
}

/* Of a large block. */
static inline uint64_t tmk__block_bytes(const struct tmk__block *block)
{
	return (uint64_t)block->room << TMK__PAGE_SHIFT;
}

/*
 * Have so many unused entries at hand, at most TMK__ENTRIES. Return: 0, or -ENOMEM
 * with a sentence.
 */
static inline int tmk__pages_room(struct tmk__heap *heap,
				  struct tmk__arena *arena, unsigned int nr)
{
	return arena->unused_nr >= nr ? 0 : tmk__pages_entries(heap, arena);
}

/* Take one of them, in which everything but its arena is left over. */
static inline uint32_t tmk__pages_entry_pop(struct tmk__heap *heap,
					    struct tmk__arena *arena)
{
	uint32_t index = arena->unused;

	arena->unused = heap->blocks[index].next;
	arena->unused_nr--;
	return index;
}

/* An entry is not used any more. */
static inline void tmk__pages_entry_free(struct tmk__heap *heap,
					 struct tmk__arena *arena,
					 uint32_t index)
{
	struct tmk__block *block = &heap->blocks[index];

	block->type = TMK__RUN_NONE;
	block->page = UINT32_MAX;
	block->next = arena->unused;
	arena->unused = index;
	arena->unused_nr++;
}

/* Which list free runs of a size are in. */
static inline unsigned int tmk__pages_list(uint32_t pages)
{
	unsigned int log = 31 - (unsigned int)__builtin_clz(pages);

	if (pages < 8)
		return pages;
	return ((log - 2) << 3) + ((pages >> (log - 3)) & 7);
}

static inline uint32_t tmk__map_get(const struct tmk__heap *heap, uint32_t page)
{
	return atomic_load_explicit(&heap->map[page], memory_order_relaxed);
}

static inline void tmk__map_set(struct tmk__heap *heap, uint32_t page,
				uint32_t index)
{
	atomic_store_explicit(&heap->map[page], index, memory_order_relaxed);
}

static inline void *tmk__page_address(const struct tmk__heap *heap,
				      uint32_t page)
{
	return heap->base + ((uint64_t)page << TMK__PAGE_SHIFT);
}

#endif /* TMK_ALLOC_HEAP_H */
