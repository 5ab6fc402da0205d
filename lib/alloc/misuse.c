// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What to say of an address that was given to be freed and is no block: slowly,
 * because nobody is in a hurry then. Under heap_lock.
 */
#include <errno.h>
#include <inttypes.h>

#include "heap.h"

/* The run that an address is in, looked for from the arena's beginning. */
static const struct tmk__block *run_around(const struct tmk__heap *heap,
					   const void *ptr)
{
	uint64_t at = (uintptr_t)ptr - (uintptr_t)heap->base;
	uint32_t page = (uint32_t)(at >> TMK__PAGE_SHIFT), index;
	const struct tmk__block *run = NULL;
	const struct tmk__arena *arena;
	uint32_t first;

	arena = &heap->arenas[page / heap->arena_pages];
	if (!arena->pages)
		return NULL;
	if (page - arena->first >= arena->pages) {
		index = tmk__stitch_at(heap, arena, page);
		return index ? &heap->blocks[index] : NULL;
	}
	for (first = arena->first; first <= page;
	     first = run->page + run->pages) {
		index = tmk__pages_near(heap, arena, first);
		run = &heap->blocks[index];
	}
	return run;
}

/**
 * tmk__misuse() - tell why that is nothing that could be freed; under heap_lock
 * @heap: whose address it is, or NULL
 * @ptr: the address
 *
 * Return: -EALREADY if it is free, -EINVAL if it never was a block.
 */
int tmk__misuse(const struct tmk__heap *heap, const void *ptr)
{
	const struct tmk__block *run = heap ? run_around(heap, ptr) : NULL;
	uint64_t at, size;
	unsigned int object = 0;

	if (!run)
		return tmk__error(-EINVAL,
				  "%p is no block of this library: nothing was "
				  "done",
				  ptr);
	at = (uintptr_t)ptr - (uintptr_t)heap->base -
	     ((uint64_t)run->page << TMK__PAGE_SHIFT);
	size = (uint64_t)run->pages << TMK__PAGE_SHIFT;
	if (run->type == TMK__RUN_LARGE && at >= run->offset) {
		at -= run->offset;
		size = tmk__block_bytes(run);
	}
	if (run->type == TMK__RUN_SLAB) {
		object = (unsigned int)(at / run->size);
		at -= (uint64_t)object * run->size;
		size = run->size;
	}
	if ((run->type != TMK__RUN_SLAB && run->type != TMK__RUN_LARGE) ||
	    (run->type == TMK__RUN_SLAB &&
	     (object >= run->objects ||
	      atomic_load(&run->states[object]) < TMK__LIVE)) ||
	    (run->type == TMK__RUN_LARGE &&
	     atomic_load(&run->state) < TMK__LIVE))
		return tmk__error(-EALREADY,
				  "%p is free already: it was freed twice, or "
				  "never was a block; nothing was done",
				  ptr);
	return tmk__error(-EINVAL,
			  "%p is not the beginning of a block, it is %" PRIu64
			  " bytes into one of %" PRIu64 ": nothing was done",
			  ptr, at, size);
}
