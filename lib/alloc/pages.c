// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Blocks out of free runs of pages, and back: best fit. Under the lock of the arena: a
 * shard's own, or heap_lock.
 *
 * Free runs are listed by size, eight lists to each power of two; the best of
 * the first list that has a fitting one is at most an eighth too large, or it is
 * the best of all.
 */
#include "run.h"

/* Places in a page where blocks begin, those of neighbours far from each other. */
#define SHIFT_BYTES 64u
#define SHIFTS ((uint32_t)TMK__PAGE / SHIFT_BYTES - 1)
#define SHIFT_STEP 5u
/* Blocks of more pages than that begin at the same place for so many pages. */
#define ZONE_FROM ((UINT32_C(4) << 20) >> TMK__PAGE_SHIFT)
#define ZONE_PAGES ((UINT32_C(32) << 20) >> TMK__PAGE_SHIFT)

static TMK__INLINED bool fits(const struct tmk__block *block, uint32_t pages,
			      uint32_t align)
{
	uint64_t begin = TMK__ALIGN_UP((uint64_t)block->page, align);

	return begin + pages <= (uint64_t)block->page + block->pages;
}

/* The smallest of a list that fits, the first of those; 0 if none does. */
static TMK__INLINED uint32_t list_best(const struct tmk__heap *heap,
				       uint32_t index, uint32_t pages,
				       uint32_t align)
{
	uint32_t best = 0, best_pages = UINT32_MAX;

	for (; index; index = heap->blocks[index].next) {
		const struct tmk__block *block = &heap->blocks[index];

		if (block->pages > best_pages ||
		    (block->pages == best_pages &&
		     block->page > heap->blocks[best].page) ||
		    !fits(block, pages, align))
			continue;
		best = index;
		best_pages = block->pages;
	}
	return best;
}

static TMK__INLINED uint32_t best_fit(const struct tmk__heap *heap,
				      const struct tmk__arena *arena,
				      uint32_t pages, uint32_t align)
{
	unsigned int list = tmk__pages_list(pages), word = list / 64;
	uint64_t bits = arena->bits[word] & ~UINT64_C(0) << (list % 64);
	uint32_t best;

	for (;;) {
		for (; bits; bits &= bits - 1) {
			list = word * 64 + (unsigned int)__builtin_ctzll(bits);
			best = list_best(heap, arena->lists[list], pages,
					 align);
			if (best)
				return best;
		}
		if (++word == TMK__ARRAY_SIZE(arena->bits))
			return 0;
		bits = arena->bits[word];
	}
}

/**
 * tmk__pages_size() - how much a block can hold, and which bin of a thread's cache
 * it goes to
 * @block: the block
 * @room: whole pages
 */
void tmk__pages_size(struct tmk__block *block, uint32_t room)
{
	block->room = room;
	block->keep = TMK__BIN_NONE;
	if (block->arena < TMK__SHARDS && block->room >= 8 &&
	    block->room <= TMK__LARGE_MAX >> TMK__PAGE_SHIFT)
		block->keep = (uint8_t)(TMK__SMALL_BINS +
					tmk__pages_list(block->room) - 8);
}

/*
 * Where in its first page a block begins that has a page more than it needs.
 *
 * A cache has few places for addresses that are whole pages apart. Blocks that
 * all begin with a page push each other's beginnings out of it, and so on from
 * page to page. What begins with the same page begins at the same place of it, so
 * that it finds in the cache what was there before.
 *
 * Of large blocks, with a store to each page, nothing is left in the caches of one
 * processor when they are used again. There is in the one that it shares, and the
 * fewer lines are used of each page the more: so these begin at the same place as
 * their neighbours do, and those far away at another one.
 */
static inline uint32_t block_shift(uint32_t page, uint32_t pages)
{
	uint32_t at = pages > ZONE_FROM + 1 ? page / ZONE_PAGES : page;

	return (at * SHIFT_STEP % SHIFTS + 1) * SHIFT_BYTES;
}

/* The two functions below. */
static TMK__INLINED uint32_t block_alloc(struct tmk__heap *heap,
					 struct tmk__arena *arena,
					 uint32_t pages, uint32_t align,
					 bool shift)
{
	uint32_t index = best_fit(heap, arena, pages, align), from, page;
	struct tmk__block *block, *whole;

	if (!index)
		return 0;
	from = index;
	block = whole = &heap->blocks[from];
	page = TMK__ALIGN_UP(whole->page, align);
	if (page == whole->page && pages < whole->pages) {
		/* What is left of it mostly stays in its list. */
		index = tmk__pages_entry_pop(heap, arena);
		block = &heap->blocks[index];
		block->fresh = whole->fresh;
		block->page = page;
		block->pages = pages;
		tmk__run_change(heap, arena, from, page + pages,
				whole->pages - pages);
	} else {
		tmk__run_take(heap, index, page, pages);
	}
	block->offset = (uint16_t)(shift ? block_shift(page, pages) : 0);
	block->begin = ((uint64_t)page << TMK__PAGE_SHIFT) + block->offset;
	block->stitch = 0;
	tmk__block_size(block);
	block->type = TMK__RUN_LARGE;
	tmk__run_map(heap, index);
	return index;
}

/**
 * tmk__pages_alloc() - a block out of the memory that is there
 * @heap: the heap
 * @arena: which kind
 * @pages: how much
 * @align: in pages, a power of two
 *
 * tmk__pages_room(heap, arena, 2) comes first.
 *
 * Return: the block, of type LARGE and gone; 0 if there is none.
 */
uint32_t tmk__pages_alloc(struct tmk__heap *heap, struct tmk__arena *arena,
			  uint32_t pages, uint32_t align)
{
	return block_alloc(heap, arena, pages, align, false);
}

/**
 * tmk__pages_alloc_shifted() - the same of a block that begins within a page
 * @heap: the heap
 * @arena: which kind
 * @pages: how much; a page more is taken
 */
uint32_t tmk__pages_alloc_shifted(struct tmk__heap *heap,
				  struct tmk__arena *arena, uint32_t pages)
{
	return block_alloc(heap, arena, pages + 1, 1, true);
}

/**
 * tmk__pages_free() - a block's memory is nobody's again
 * @heap: the heap
 * @index: the block, in no list
 * @fresh: it was never written to
 * @now: tmk__heap_now()
 */
void tmk__pages_free(struct tmk__heap *heap, uint32_t index, bool fresh,
		     uint32_t now)
{
	struct tmk__block *block = &heap->blocks[index];

	if (__builtin_expect(block->stitch, 0)) {
		tmk__stitch_give(heap, index, now);
		return;
	}
	block->fresh = fresh;
	block->stamp = now;
	tmk__run_merge(heap, index, TMK__RUN_FREE);
}
