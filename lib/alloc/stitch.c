// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Stitches: a large block put together from what is free in pieces, at an address
 * of its own where the same memory is mapped a second time, one piece after the
 * other.
 *
 * No placement helps where the last block of a step is nearly as large as all that
 * lives, and something small lives on in the middle of what is free. A stitch is
 * made when there would otherwise be more memory than the most that was in use,
 * and a little. It is kept: when the same pieces are free again its block is taken
 * again, without a system call or a fault.
 *
 * An arena's stitches are mapped behind its runs, each in its own part of that
 * address space. While the block is in use, or a thread keeps it, its pieces are
 * runs of type PIECE. When it is freed they are merged with what is free around
 * them, as any run is; block and mapping stay, and the stitch is idle. An idle one
 * is dissolved before a region that it has a piece of is given back, because the
 * mapping would keep the memory, and to make room for another.
 *
 * Pages are as they are placed, huge ones are mapped piece by piece: so not where
 * huge pages are required, nor while anything is checked (TMK_DEBUG).
 *
 * Stitches are made under grow_lock, with heap_lock let go of; taking and giving
 * back is under the arena's lock.
 */
#include "heap.h"

/* What making one costs, in uses; what is not made up for counts up to there. */
#define MADE 4u
#define VAIN_MOST 64u
/* A block may be so much larger than what was asked for. */
#define LARGER 8u

static struct tmk__arena *arena_of(struct tmk__heap *heap,
				   const struct tmk__block *block)
{
	return &heap->arenas[block->arena];
}

static uint32_t part_begin(const struct tmk__heap *heap,
			   const struct tmk__arena *arena, unsigned int nr)
{
	return arena->first + arena->pages + nr * tmk__stitch_part(heap, arena);
}

/* The stitch is no more, and nothing that it maps is kept by it. */
static void dissolve(struct tmk__heap *heap, struct tmk__arena *arena,
		     struct tmk__stitch *stitch)
{
	struct tmk__block *block = &heap->blocks[stitch->block];

	tmk__map_set(heap, block->page, 0);
	tmk__map_set(heap, block->page + block->pages - 1, 0);
	/* Where that fails, what is mapped next in that place undoes it. */
	(void)tmk__region_unalias(tmk__page_address(heap, block->page),
				  (uint64_t)block->pages << TMK__PAGE_SHIFT);
	block->stitch = 0;
	tmk__pages_entry_free(heap, arena, stitch->block);
	stitch->block = 0;
	arena->stitches_nr--;
}

/* A stitch that is not in use: a new one, or the one unused for longest. */
static struct tmk__stitch *stitch_find(struct tmk__heap *heap,
				       struct tmk__arena *arena)
{
	struct tmk__stitch *stitch = arena->stitches, *oldest = NULL;

	for (; stitch < arena->stitches + TMK__STITCHES; stitch++) {
		if (!stitch->block)
			return stitch;
		if (!stitch->busy && (!oldest || stitch->used < oldest->used))
			oldest = stitch;
	}
	if (oldest)
		dissolve(heap, arena, oldest);
	return oldest;
}

/* The free run that a piece is in, mostly one that begins where it began. */
static uint32_t run_of(const struct tmk__heap *heap,
		       const struct tmk__arena *arena,
		       const struct tmk__piece *piece)
{
	uint32_t index = tmk__map_get(heap, piece->run);
	const struct tmk__block *run = &heap->blocks[index];
	unsigned int list = tmk__pages_list(piece->pages);

	/* Inside of runs the map has what was there before. */
	if (run->type == TMK__RUN_FREE && run->page == piece->run &&
	    run->page + run->pages >= piece->page + piece->pages)
		return index;
	for (; list < TMK__LISTS; list++) {
		for (index = arena->lists[list]; index; index = run->next) {
			run = &heap->blocks[index];
			if (run->page <= piece->page &&
			    run->page + run->pages >=
				    piece->page + piece->pages)
				return index;
		}
	}
	return 0;
}

/* Its pieces are not free any more. Room for two entries each is at hand. */
static void pieces_cut(struct tmk__heap *heap, const struct tmk__arena *arena,
		       struct tmk__stitch *stitch)
{
	struct tmk__piece *piece = stitch->pieces;
	uint32_t index;

	for (; piece < stitch->pieces + stitch->pieces_nr; piece++) {
		index = run_of(heap, arena, piece);
		piece->run = heap->blocks[index].page;
		tmk__pages_cut(heap, index, piece->page, piece->pages);
	}
}

static void pieces_free(struct tmk__heap *heap,
			const struct tmk__stitch *stitch, uint32_t now)
{
	const struct tmk__piece *piece = stitch->pieces;

	for (; piece < stitch->pieces + stitch->pieces_nr; piece++)
		tmk__pages_free(heap, tmk__map_get(heap, piece->page), false,
				now);
}

/* The region that a page is in; under grow_lock. */
static const struct tmk__block *region_at(const struct tmk__heap *heap,
					  const struct tmk__arena *arena,
					  uint32_t page)
{
	const struct tmk__block *region = &heap->blocks[arena->regions];

	while (region->page + region->pages <= page)
		region = &heap->blocks[region->next];
	return region;
}

/* Map a piece, region by region; under grow_lock. */
static int piece_map(const struct tmk__heap *heap,
		     const struct tmk__arena *arena,
		     const struct tmk__piece *piece, uint32_t to)
{
	uint32_t page = piece->page, end = page + piece->pages, nr;
	const struct tmk__block *region;
	int err = 0;

	for (; !err && page < end; page += nr, to += nr) {
		region = region_at(heap, arena, page);
		nr = TMK__MIN(end, region->page + region->pages) - page;
		err = tmk__region_alias(region->region,
					(uint64_t)(page - region->page)
						<< TMK__PAGE_SHIFT,
					(uint64_t)nr << TMK__PAGE_SHIFT,
					tmk__page_address(heap, to));
	}
	return err;
}

static int pieces_map(const struct tmk__heap *heap,
		      const struct tmk__arena *arena,
		      const struct tmk__stitch *stitch)
{
	uint32_t to = heap->blocks[stitch->block].page;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < stitch->pieces_nr; i++) {
		err = piece_map(heap, arena, &stitch->pieces[i], to);
		to += stitch->pieces[i].pages;
	}
	return err;
}

/*
 * Of the first piece's run not all is needed: where the next piece continues it as
 * to 2 MiB, huge pages are mapped as such in both.
 */
static uint32_t piece_begin(const struct tmk__block *run, uint32_t pages,
			    uint32_t next)
{
	uint32_t skip = (next - run->page - pages) % TMK__HUGE_PAGES;

	return run->page + (skip <= run->pages - pages ? skip : 0);
}

/* What the stitch will consist of, if there is enough: the smallest run first. */
static bool pieces_choose(struct tmk__stitch *stitch,
			  const struct tmk__heap *heap,
			  const struct tmk__arena *arena, uint32_t pages)
{
	struct tmk__piece *piece = stitch->pieces;
	const struct tmk__block *run;
	struct tmk__choice choice;
	uint32_t next = 0;
	unsigned int i;

	tmk__stitch_choose(&choice, heap, arena, TMK__PIECES);
	if (choice.pages < pages)
		return false;
	for (i = 0; heap->blocks[choice.runs[i]].pages < pages; i++)
		pages -= heap->blocks[choice.runs[i]].pages;
	stitch->pieces_nr = (uint8_t)(i + 1);
	if (i)
		next = heap->blocks[choice.runs[i - 1]].page;
	run = &heap->blocks[choice.runs[i]];
	*piece = (struct tmk__piece){ run->page, piece_begin(run, pages, next),
				      pages };
	while (i--) {
		run = &heap->blocks[choice.runs[i]];
		*++piece =
			(struct tmk__piece){ run->page, run->page, run->pages };
	}
	return true;
}

/* The block: at the same place of 2 MiB as its first piece. */
static uint32_t block_make(struct tmk__heap *heap, struct tmk__arena *arena,
			   const struct tmk__stitch *stitch, uint32_t pages)
{
	unsigned int nr = (unsigned int)(stitch - arena->stitches);
	uint32_t index = tmk__pages_entry(heap, arena);
	struct tmk__block *block = &heap->blocks[index];

	block->type = TMK__RUN_LARGE;
	block->page = part_begin(heap, arena, nr) +
		      stitch->pieces[0].page % TMK__HUGE_PAGES;
	block->pages = pages;
	block->begin = (uint64_t)block->page << TMK__PAGE_SHIFT;
	block->stitch = (uint8_t)(nr + 1);
	tmk__pages_size(block, pages);
	tmk__map_set(heap, block->page, index);
	tmk__map_set(heap, block->page + pages - 1, index);
	return index;
}

/**
 * tmk__stitch_make() - a block out of what is free in pieces; under both locks,
 * heap_lock is let go of meanwhile
 * @heap: the heap
 * @arena: where; tmk__stitch_wanted()
 * @pages: how much
 *
 * Return: the block, of type LARGE and gone; 0 if there is too little, or it
 * cannot be mapped, and nothing has changed.
 */
uint32_t tmk__stitch_make(struct tmk__heap *heap, struct tmk__arena *arena,
			  uint32_t pages)
{
	struct tmk__error_state before;
	struct tmk__stitch *stitch;
	int err;

	tmk__error_save(&before);
	if (tmk__pages_room(heap, arena, 2 * TMK__PIECES + 1)) {
		tmk__error_restore(&before);
		return 0;
	}
	stitch = stitch_find(heap, arena);
	if (!stitch || !pieces_choose(stitch, heap, arena, pages))
		return 0;
	pieces_cut(heap, arena, stitch);
	stitch->block = block_make(heap, arena, stitch, pages);
	stitch->busy = true;
	arena->stitches_nr++;
	tmk__heap_unlock();
	err = pieces_map(heap, arena, stitch);
	tmk__heap_lock();
	if (!err) {
		arena->stitches_vain =
			TMK__MIN(arena->stitches_vain + MADE, VAIN_MOST);
		return stitch->block;
	}
	pieces_free(heap, stitch, tmk__heap_now());
	dissolve(heap, arena, stitch);
	tmk__error_restore(&before);
	return 0;
}

/* Are all its pieces free? */
static bool is_free(const struct tmk__heap *heap,
		    const struct tmk__arena *arena,
		    const struct tmk__stitch *stitch)
{
	const struct tmk__piece *piece = stitch->pieces;

	for (; piece < stitch->pieces + stitch->pieces_nr; piece++)
		if (!run_of(heap, arena, piece))
			return false;
	return true;
}

/* The smallest one that does. */
static struct tmk__stitch *stitch_best(struct tmk__heap *heap,
				       struct tmk__arena *arena, uint32_t pages,
				       uint32_t align)
{
	struct tmk__stitch *stitch = arena->stitches, *best = NULL;
	const struct tmk__block *block;

	for (; stitch < arena->stitches + TMK__STITCHES; stitch++) {
		block = &heap->blocks[stitch->block];
		if (!stitch->block || stitch->busy || block->pages < pages ||
		    block->pages > pages + pages / LARGER ||
		    block->page % align ||
		    (best && block->pages >= heap->blocks[best->block].pages) ||
		    !is_free(heap, arena, stitch))
			continue;
		best = stitch;
	}
	return best;
}

/**
 * tmk__stitch_take() - a block that was stitched before, if its pieces are free
 * @heap: the heap
 * @arena: where
 * @pages: how much
 * @align: in pages, a power of two
 *
 * Return: the block, of type LARGE and gone; 0 if there is none.
 */
uint32_t tmk__stitch_take(struct tmk__heap *heap, struct tmk__arena *arena,
			  uint32_t pages, uint32_t align)
{
	struct tmk__error_state before;
	struct tmk__stitch *stitch;

	if (!arena->stitches_nr)
		return 0;
	stitch = stitch_best(heap, arena, pages, align);
	if (!stitch)
		return 0;
	tmk__error_save(&before);
	if (tmk__pages_room(heap, arena, 2 * stitch->pieces_nr)) {
		tmk__error_restore(&before);
		return 0;
	}
	pieces_cut(heap, arena, stitch);
	stitch->busy = true;
	arena->stitches_vain -= TMK__MIN(arena->stitches_vain, 1);
	/* What is more than was asked for is of no use to anybody. */
	tmk__pages_size(&heap->blocks[stitch->block], pages);
	return stitch->block;
}

/**
 * tmk__stitch_give() - nobody has a stitched block: its pieces are free
 * @heap: the heap
 * @index: the block
 * @now: tmk__heap_now()
 */
void tmk__stitch_give(struct tmk__heap *heap, uint32_t index, uint32_t now)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__arena *arena = arena_of(heap, block);
	struct tmk__stitch *stitch = &arena->stitches[block->stitch - 1];

	pieces_free(heap, stitch, now);
	stitch->busy = false;
	stitch->used = ++arena->stitches_used;
}

/**
 * tmk__stitch_drop() - dissolve what is stitched from memory that will be gone
 * @heap: the heap
 * @arena: where
 * @page: where it begins
 * @pages: how much; all of it is free
 */
void tmk__stitch_drop(struct tmk__heap *heap, struct tmk__arena *arena,
		      uint32_t page, uint32_t pages)
{
	struct tmk__stitch *stitch = arena->stitches;
	unsigned int i;

	if (!arena->stitches_nr)
		return;
	for (; stitch < arena->stitches + TMK__STITCHES; stitch++) {
		for (i = 0; stitch->block && i < stitch->pieces_nr; i++) {
			const struct tmk__piece *piece = &stitch->pieces[i];

			if (piece->page < page + pages &&
			    page < piece->page + piece->pages)
				dissolve(heap, arena, stitch);
		}
	}
}

/**
 * tmk__stitch_at() - whose is an address behind an arena's runs?
 * @heap: the heap
 * @arena: the arena
 * @page: the page
 *
 * Return: the stitched block that it is in, in use or not; 0 if in none.
 */
uint32_t tmk__stitch_at(const struct tmk__heap *heap,
			const struct tmk__arena *arena, uint32_t page)
{
	const struct tmk__stitch *stitch = arena->stitches;
	const struct tmk__block *block;

	for (; stitch < arena->stitches + TMK__STITCHES; stitch++) {
		block = &heap->blocks[stitch->block];
		if (stitch->block && page >= block->page &&
		    page - block->page < block->pages)
			return stitch->block;
	}
	return 0;
}
