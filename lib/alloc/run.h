/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Runs of pages: their lists, the map, cutting and merging. All of it under the lock of
 * the arena: a shard's own, or heap_lock.
 *
 * The runs of an arena lie next to one another without gaps, from its first page
 * to its last: what has no memory is a run of type ABSENT. The map leads to a
 * run from its first and its last page, so its neighbours are found at once.
 * Neighbouring free runs are merged, absent ones too.
 */
#ifndef TMK_ALLOC_RUN_H
#define TMK_ALLOC_RUN_H

#include "heap.h"

/* Done for each block that is in no cache: the calls would take a tenth of the time. */
#define TMK__INLINED inline __attribute__((always_inline))

/* Put a run into its list. */
static TMK__INLINED void tmk__run_list(struct tmk__heap *heap,
				       struct tmk__arena *arena, uint32_t index)
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

/* Have the map lead to it from both ends. */
static TMK__INLINED void tmk__run_map(struct tmk__heap *heap, uint32_t index)
{
	const struct tmk__block *block = &heap->blocks[index];

	tmk__map_set(heap, block->page, index);
	tmk__map_set(heap, block->page + block->pages - 1, index);
}

/* A run that its type, place and size are known of. */
static TMK__INLINED void tmk__run_insert(struct tmk__heap *heap,
					 struct tmk__arena *arena,
					 uint32_t index)
{
	tmk__run_list(heap, arena, index);
	tmk__run_map(heap, index);
}

static TMK__INLINED void tmk__run_remove(struct tmk__heap *heap,
					 struct tmk__arena *arena,
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
static TMK__INLINED uint32_t tmk__run_neighbour(const struct tmk__heap *heap,
						const struct tmk__arena *arena,
						const struct tmk__block *block,
						bool right,
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
static TMK__INLINED void tmk__run_change(struct tmk__heap *heap,
					 struct tmk__arena *arena,
					 uint32_t index, uint32_t page,
					 uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	bool move = block->bin != tmk__pages_list(pages);

	if (move)
		tmk__run_remove(heap, arena, index);
	if (block->page != page)
		tmk__map_set(heap, page, index);
	else
		tmk__map_set(heap, page + pages - 1, index);
	block->page = page;
	block->pages = pages;
	if (move)
		tmk__run_list(heap, arena, index);
}

/*
 * Make a run free or absent, one with its neighbours, of which one stays in the
 * list where it is if it can. Return: the number of what it is then.
 */
static TMK__INLINED uint32_t tmk__run_merge(struct tmk__heap *heap,
					    uint32_t index,
					    enum tmk__run_type type)
{
	struct tmk__block *block = &heap->blocks[index], *keep;
	struct tmk__arena *arena = &heap->arenas[block->arena];
	uint32_t page = block->page, pages = block->pages;
	bool fresh = block->fresh;
	uint32_t left, right, stays;

	left = tmk__run_neighbour(heap, arena, block, false, type);
	right = tmk__run_neighbour(heap, arena, block, true, type);
	block->type = (uint8_t)type;
	if (!left && !right) {
		tmk__run_insert(heap, arena, index);
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
		tmk__run_remove(heap, arena, right);
		tmk__pages_entry_free(heap, arena, right);
	}
	keep = &heap->blocks[stays];
	keep->fresh = fresh;
	keep->stamp = block->stamp;
	tmk__pages_entry_free(heap, arena, index);
	tmk__run_change(heap, arena, stays, page, pages);
	return stays;
}

/* An unused entry becomes a run that is a part of another. */
static inline void tmk__run_part(struct tmk__block *part,
				 const struct tmk__block *whole, uint32_t page,
				 uint32_t pages)
{
	part->type = whole->type;
	part->fresh = whole->fresh;
	part->stamp = whole->stamp;
	part->page = page;
	part->pages = pages;
}

/*
 * Take [page, page + pages) out of a run, which is in no list then; what is left on
 * either side is. Two entries must be at hand. Return: its arena.
 */
static inline struct tmk__arena *tmk__run_take(struct tmk__heap *heap,
					       uint32_t index, uint32_t page,
					       uint32_t pages)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__arena *arena = &heap->arenas[block->arena];
	uint32_t before = page - block->page;
	uint32_t after = block->pages - before - pages;
	uint32_t side;

	tmk__run_remove(heap, arena, index);
	for (side = 0; side < 2; side++) {
		uint32_t nr = side ? after : before, new;

		if (!nr)
			continue;
		new = tmk__pages_entry(heap, arena);
		tmk__run_part(&heap->blocks[new], block,
			      side ? page + pages : block->page, nr);
		tmk__run_insert(heap, arena, new);
	}
	block->page = page;
	block->pages = pages;
	return arena;
}

/* Of a block that has got another size. */
static inline void tmk__block_size(struct tmk__block *block)
{
	tmk__pages_size(block, block->pages - (block->offset ? 1 : 0));
}

#endif /* TMK_ALLOC_RUN_H */
