// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Where there is memory: runs that get some or lose it, parts of them that stitches
 * take, and blocks that change their size where they are. Under the lock of the arena.
 */
#include "run.h"

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
	struct tmk__block *block = &heap->blocks[index];

	tmk__run_take(heap, index, page, pages);
	block->type = TMK__RUN_PIECE;
	block->stitch = 0;
	tmk__run_map(heap, index);
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

	tmk__run_take(heap, index, page, pages)->held += pages;
	block->fresh = true;
	block->stamp = tmk__heap_now();
	return tmk__run_merge(heap, index, TMK__RUN_FREE);
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
	const struct tmk__block *block;

	tmk__run_take(heap, index, page, pages)->held -= pages;
	block = &heap->blocks[tmk__run_merge(heap, index, TMK__RUN_ABSENT)];
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
	tmk__run_insert(heap, &heap->arenas[block->arena], index);
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
	uint32_t near =
		tmk__run_neighbour(heap, arena, block, true, TMK__RUN_FREE);
	uint32_t more = pages - block->pages;

	if (!near || heap->blocks[near].pages < more)
		return false;
	tmk__run_take(heap, near, heap->blocks[near].page, more);
	tmk__pages_entry_free(heap, arena, near);
	block->pages = pages;
	tmk__block_size(block);
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
	tmk__block_size(block);
	tmk__map_set(heap, block->page + pages - 1, index);
	tmk__pages_free(heap, new, false, tmk__heap_now());
}
