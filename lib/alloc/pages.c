// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Runs of pages: free runs by size, best fit, merging. All of it under the lock of
 * the arena: a shard's own, or heap_lock.
 *
 * The runs of an arena lie next to one another without gaps, from its first page
 * to its last: what has no memory is a run of type ABSENT. The map leads to a
 * run from its first and its last page, so its neighbours are found at once.
 * Neighbouring free runs are merged, absent ones too.
 *
 * Free runs are listed by size, eight lists to each power of two; the best of
 * the first list that has a fitting one is at most an eighth too large, or it is
 * the best of all.
 */
#include "heap.h"

/* Places in a page where blocks begin, those of neighbours far from each other. */
#define SHIFT_BYTES 64u
#define SHIFTS ((uint32_t)TMK__PAGE / SHIFT_BYTES - 1)
#define SHIFT_STEP 5u
/* Blocks of more pages than that begin at the same place for so many pages. */
#define ZONE_FROM ((UINT32_C(4) << 20) >> TMK__PAGE_SHIFT)
#define ZONE_PAGES ((UINT32_C(32) << 20) >> TMK__PAGE_SHIFT)

/* Done for each block that is in no cache: the calls would take a tenth of the time. */
#define INLINED inline __attribute__((always_inline))

/* Put a run into its list, and at its ends into the map. */
static INLINED void run_list(struct tmk__heap *heap, struct tmk__arena *arena,
			     uint32_t index)
{
	struct tmk__block *block = &heap->blocks[index];
	uint32_t *head = &arena->absent;

	if (block->type == TMK__RUN_FREE) {
		block->bin = (uint8_t)tmk__pages_list(block->pages);
		head = &arena->lists[block->bin];
		arena->bits[block->bin / 64] |= UINT64_C(1)
						<< (block->bin % 64);
	}
	block->prev = 0;
	block->next = *head;
	if (*head)
		heap->blocks[*head].prev = index;
	*head = index;
}

static INLINED void run_map(struct tmk__heap *heap, uint32_t index)
{
	const struct tmk__block *block = &heap->blocks[index];

	tmk__map_set(heap, block->page, index);
	tmk__map_set(heap, block->page + block->pages - 1, index);
}

/* A run that its type, place and size are known of. */
static INLINED void run_insert(struct tmk__heap *heap, struct tmk__arena *arena,
			       uint32_t index)
{
	run_list(heap, arena, index);
	run_map(heap, index);
}

static INLINED void run_remove(struct tmk__heap *heap, struct tmk__arena *arena,
			       uint32_t index)
{
	struct tmk__block *block = &heap->blocks[index];

	if (block->next)
		heap->blocks[block->next].prev = block->prev;
	if (block->prev) {
		heap->blocks[block->prev].next = block->next;
		return;
	}
	if (block->type != TMK__RUN_FREE) {
		arena->absent = block->next;
		return;
	}
	arena->lists[block->bin] = block->next;
	if (!block->next)
		arena->bits[block->bin / 64] &=
			~(UINT64_C(1) << (block->bin % 64));
}

/* The neighbour on a side, if it is of a type; 0 if not. */
static INLINED uint32_t neighbour(const struct tmk__heap *heap,
				  const struct tmk__arena *arena,
				  const struct tmk__block *block, bool right,
				  enum tmk__run_type type)
{
	uint32_t page = right ? block->page + block->pages : block->page - 1;
	uint32_t index;

	if (right ? page == arena->first + arena->pages :
		    block->page == arena->first)
		return 0;
	index = tmk__map_get(heap, page);
	return heap->blocks[index].type == type ? index : 0;
}

/* One end of a run that is listed has moved: in which list is it now? */
static INLINED void run_change(struct tmk__heap *heap, struct tmk__arena *arena,
			       uint32_t index, uint32_t page, uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	bool move = block->bin != tmk__pages_list(pages);

	if (move)
		run_remove(heap, arena, index);
	if (block->page != page)
		tmk__map_set(heap, page, index);
	else
		tmk__map_set(heap, page + pages - 1, index);
	block->page = page;
	block->pages = pages;
	if (move)
		run_list(heap, arena, index);
}

/*
 * Make a run free or absent, one with its neighbours, of which one stays in the
 * list where it is if it can. Return: the number of what it is then.
 */
static INLINED uint32_t run_merge(struct tmk__heap *heap, uint32_t index,
				  enum tmk__run_type type)
{
	struct tmk__block *block = &heap->blocks[index], *keep;
	struct tmk__arena *arena = &heap->arenas[block->arena];
	uint32_t page = block->page, pages = block->pages;
	bool fresh = block->fresh;
	uint32_t left, right, stays;

	left = neighbour(heap, arena, block, false, type);
	right = neighbour(heap, arena, block, true, type);
	block->type = (uint8_t)type;
	if (!left && !right) {
		run_insert(heap, arena, index);
		return index;
	}
	stays = left ? left : right;
	if (right) {
		pages += heap->blocks[right].pages;
		fresh = fresh && heap->blocks[right].fresh;
	}
	if (left) {
		page = heap->blocks[left].page;
		pages += heap->blocks[left].pages;
		fresh = fresh && heap->blocks[left].fresh;
	}
	if (left && right) {
		run_remove(heap, arena, right);
		tmk__pages_entry_free(heap, arena, right);
	}
	keep = &heap->blocks[stays];
	keep->fresh = fresh;
	keep->stamp = block->stamp;
	tmk__pages_entry_free(heap, arena, index);
	run_change(heap, arena, stays, page, pages);
	return stays;
}

/* An unused entry becomes a run that is a part of another. */
static void run_part(struct tmk__block *part, const struct tmk__block *whole,
		     uint32_t page, uint32_t pages)
{
	part->type = whole->type;
	part->fresh = whole->fresh;
	part->stamp = whole->stamp;
	part->page = page;
	part->pages = pages;
}

/*
 * Cut [page, page + pages) out of a run that is in no list; what is left on
 * either side is listed again. Two entries must be at hand.
 */
static void run_cut(struct tmk__heap *heap, uint32_t index, uint32_t page,
		    uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__arena *arena = &heap->arenas[block->arena];
	uint32_t before = page - block->page;
	uint32_t after = block->pages - before - pages;
	uint32_t side;

	for (side = 0; side < 2; side++) {
		uint32_t nr = side ? after : before, new;

		if (!nr)
			continue;
		new = tmk__pages_entry(heap, arena);
		run_part(&heap->blocks[new], block,
			 side ? page + pages : block->page, nr);
		run_insert(heap, arena, new);
	}
	block->page = page;
	block->pages = pages;
}

static INLINED bool fits(const struct tmk__block *block, uint32_t pages,
			 uint32_t align)
{
	uint64_t begin = TMK__ALIGN_UP((uint64_t)block->page, align);

	return begin + pages <= (uint64_t)block->page + block->pages;
}

/* The smallest of a list that fits, the first of those; 0 if none does. */
static INLINED uint32_t list_best(const struct tmk__heap *heap, uint32_t index,
				  uint32_t pages, uint32_t align)
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

static INLINED uint32_t best_fit(const struct tmk__heap *heap,
				 const struct tmk__arena *arena, uint32_t pages,
				 uint32_t align)
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

static void block_size(struct tmk__block *block)
{
	tmk__pages_size(block, block->pages - (block->offset ? 1 : 0));
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
static INLINED uint32_t block_alloc(struct tmk__heap *heap,
				    struct tmk__arena *arena, uint32_t pages,
				    uint32_t align, bool shift)
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
		run_change(heap, arena, from, page + pages,
			   whole->pages - pages);
	} else {
		run_remove(heap, arena, index);
		run_cut(heap, index, page, pages);
	}
	block->offset = shift ? block_shift(page, pages) : 0;
	block->begin = ((uint64_t)page << TMK__PAGE_SHIFT) + block->offset;
	block->objects = 0;
	block_size(block);
	tmk__state_set(block->states, TMK__GONE);
	/* Who frees what it has not got looks without a lock. */
	__atomic_store_n(&block->type, TMK__RUN_LARGE, __ATOMIC_RELEASE);
	run_map(heap, index);
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

	if (__builtin_expect(block->objects, 0)) {
		tmk__stitch_give(heap, index, now);
		return;
	}
	block->fresh = fresh;
	block->stamp = now;
	run_merge(heap, index, TMK__RUN_FREE);
}

/**
 * tmk__pages_cut() - have a part of a free run for a stitch
 * @heap: the heap
 * @index: the run
 * @page: where it begins
 * @pages: how much
 *
 * tmk__pages_room(heap, 2) comes first.
 */
void tmk__pages_cut(struct tmk__heap *heap, uint32_t index, uint32_t page,
		    uint32_t pages)
{
	run_remove(heap, &heap->arenas[heap->blocks[index].arena], index);
	run_cut(heap, index, page, pages);
	heap->blocks[index].type = TMK__RUN_PIECE;
	run_map(heap, index);
}

/**
 * tmk__pages_present() - there is memory in a part of an absent run now
 * @heap: the heap
 * @index: the run
 * @page: where it begins
 * @pages: how much
 *
 * tmk__pages_room(heap, arena, 2) comes first.
 *
 * Return: the free run that it has become part of.
 */
uint32_t tmk__pages_present(struct tmk__heap *heap, uint32_t index,
			    uint32_t page, uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__arena *arena = &heap->arenas[block->arena];

	run_remove(heap, arena, index);
	run_cut(heap, index, page, pages);
	arena->held += pages;
	block->fresh = true;
	block->stamp = tmk__heap_now();
	return run_merge(heap, index, TMK__RUN_FREE);
}

/**
 * tmk__pages_absent() - the memory in a part of a free run is gone
 * @heap: the heap
 * @index: the run
 * @page: where it begins
 * @pages: how much
 *
 * tmk__pages_room(heap, arena, 2) comes first.
 *
 * Return: the page after the absent run that it has become part of.
 */
uint32_t tmk__pages_absent(struct tmk__heap *heap, uint32_t index,
			   uint32_t page, uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__arena *arena = &heap->arenas[block->arena];

	run_remove(heap, arena, index);
	run_cut(heap, index, page, pages);
	arena->held -= pages;
	block = &heap->blocks[run_merge(heap, index, TMK__RUN_ABSENT)];
	return block->page + block->pages;
}

/**
 * tmk__pages_absent_all() - the first run of an arena, which is all of it
 * @heap: the heap
 * @index: the run
 */
void tmk__pages_absent_all(struct tmk__heap *heap, uint32_t index)
{
	struct tmk__block *block = &heap->blocks[index];

	block->type = TMK__RUN_ABSENT;
	run_insert(heap, &heap->arenas[block->arena], index);
}

/**
 * tmk__pages_near() - the run that begins at a page
 * @heap: the heap
 * @arena: the arena
 * @page: a run's first page, or the arena's end
 *
 * Return: the run; 0 at the arena's end.
 */
uint32_t tmk__pages_near(const struct tmk__heap *heap,
			 const struct tmk__arena *arena, uint32_t page)
{
	if (page >= arena->first + arena->pages)
		return 0;
	return tmk__map_get(heap, page);
}

/**
 * tmk__pages_extend() - make a block larger where it is
 * @heap: the heap
 * @index: the block
 * @pages: its new size
 *
 * tmk__pages_room(heap, arena, 2) comes first.
 *
 * Return: false if what follows it is in use or too small.
 */
bool tmk__pages_extend(struct tmk__heap *heap, uint32_t index, uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__arena *arena = &heap->arenas[block->arena];
	uint32_t near = neighbour(heap, arena, block, true, TMK__RUN_FREE);
	uint32_t more = pages - block->pages;

	if (!near || heap->blocks[near].pages < more)
		return false;
	run_remove(heap, arena, near);
	run_cut(heap, near, heap->blocks[near].page, more);
	tmk__pages_entry_free(heap, arena, near);
	block->pages = pages;
	block_size(block);
	tmk__map_set(heap, block->page + pages - 1, index);
	return true;
}

/**
 * tmk__pages_shrink() - make a block smaller where it is
 * @heap: the heap
 * @index: the block
 * @pages: its new size
 *
 * tmk__pages_room(heap, arena, 1) comes first.
 */
void tmk__pages_shrink(struct tmk__heap *heap, uint32_t index, uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	uint32_t new = tmk__pages_entry(heap, &heap->arenas[block->arena]);
	struct tmk__block *rest = &heap->blocks[new];

	rest->page = block->page + pages;
	rest->pages = block->pages - pages;
	block->pages = pages;
	block_size(block);
	tmk__map_set(heap, block->page + pages - 1, index);
	tmk__pages_free(heap, new, false, tmk__heap_now());
}
