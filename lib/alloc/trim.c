// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Where pages go: memory is given back region by region, as soon as nothing in a
 * region is in use and somebody asks for it: tmk_trim(), a request that would be
 * refused otherwise, the end.
 *
 * All of it under grow_lock; heap_lock is let go of while regions are ended.
 */
#include "tcache.h"

/* Is that region wholly in free memory that is old enough? Its run, if so. */
static uint32_t region_free(const struct tmk__heap *heap,
			    const struct tmk__arena *arena,
			    const struct tmk__block *region, uint32_t *cursor,
			    uint32_t age_ms)
{
	const struct tmk__block *run;
	uint32_t index;

	for (;;) {
		index = tmk__pages_near(heap, arena, *cursor);
		run = &heap->blocks[index];
		if (run->page + run->pages > region->page)
			break;
		*cursor = run->page + run->pages;
	}
	if (run->type != TMK__RUN_FREE ||
	    run->page + run->pages < region->page + region->pages ||
	    tmk__heap_now() - run->stamp < age_ms)
		return 0;
	return index;
}

/* Take what is free out of an arena. Return: a list of the regions. */
static uint32_t trim_arena(struct tmk__heap *heap, struct tmk__arena *arena,
			   uint32_t age_ms, uint32_t list)
{
	uint32_t *at = &arena->regions, cursor = arena->first;

	while (*at) {
		uint32_t index = *at, run;
		struct tmk__block *region = &heap->blocks[index];

		run = region_free(heap, arena, region, &cursor, age_ms);
		if (!run || tmk__pages_room(heap, arena, 2)) {
			at = &region->next;
			continue;
		}
		tmk__stitch_drop(heap, arena, region->page, region->pages);
		cursor = tmk__pages_absent(heap, run, region->page,
					   region->pages);
		if (region->fresh)
			arena->base_held -= region->pages;
		*at = region->next;
		region->next = list;
		list = index;
	}
	/* What went back is not to be had again for what is over. */
	arena->used_peak = TMK__MIN(arena->used_peak, arena->held);
	if (!arena->held)
		arena->stitches_vain = 0;
	return list;
}

/* Under both locks; heap_lock is let go of meanwhile. */
static uint64_t trim_heap(struct tmk__heap *heap, uint32_t age_ms)
{
	uint32_t list = 0, index, i;
	uint64_t bytes = 0;

	for (i = 0; i < TMK__ARENAS; i++)
		list = trim_arena(heap, &heap->arenas[i], age_ms, list);
	while (list) {
		index = list;
		list = heap->blocks[index].next;
		bytes += (uint64_t)heap->blocks[index].pages << TMK__PAGE_SHIFT;
		tmk__heap_unlock();
		tmk_region_put(heap->blocks[index].region);
		tmk__heap_lock();
		tmk__pages_entry_free(heap,
				      &heap->arenas[heap->blocks[index].arena],
				      index);
	}
	return bytes;
}

/**
 * tmk__trim_locked() - the same as tmk__trim_all(), under both locks
 * @age_ms: that nobody has used for so long
 *
 * Return: bytes.
 */
uint64_t tmk__trim_locked(uint32_t age_ms)
{
	struct tmk__heap *heap = tmk__heap_inherited();
	struct tmk__error_state before;
	uint64_t bytes = 0;

	/* Not to have been able to give something back is no failure. */
	tmk__error_save(&before);
	tmk__tcache_flush_all();
	tmk__checked_flush();
	if (tmk__heap)
		bytes += trim_heap(tmk__heap, age_ms);
	for (; heap; heap = heap->older)
		bytes += trim_heap(heap, 0);
	tmk__error_restore(&before);
	return bytes;
}

/**
 * tmk__trim_all() - give back the regions that nobody uses; under no lock
 * @age_ms: that nobody has used for so long
 *
 * Return: bytes.
 */
uint64_t tmk__trim_all(uint32_t age_ms)
{
	uint64_t bytes;

	tmk__heap_grow_lock();
	tmk__heap_lock();
	bytes = tmk__trim_locked(age_ms);
	tmk__heap_look();
	tmk__heap_unlock();
	tmk__heap_grow_unlock();
	return bytes;
}
