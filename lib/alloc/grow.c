// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Where pages come from: regions, mapped into an arena next to what is there
 * already.
 *
 * Memory is got where the least of it makes room for the request, usually after
 * the last run, together with a thirty-second of what the arena has.
 *
 * An arena of kind 0 takes huge pages for each whole 2 MiB, and base pages for
 * the parts before and after as long as those are few: they may be subject to
 * RLIMIT_MEMLOCK. Once a huge page or more is had to spare, new memory ends where
 * one does, and what follows it has no such part before.
 *
 * All of it under grow_lock; heap_lock is let go of while regions are made.
 */
#include <errno.h>
#include <string.h>

#include "tcache.h"

/* Base pages that an arena of kind 0 may have, beside an eighth of the rest. */
#define BASE_PAGES ((UINT64_C(4) << 20) >> TMK__PAGE_SHIFT)
/* What part of the memory is had to spare, and where threads lack memory. */
#define SPARE 32u
#define SPARE_SHORT 4u
/* Pages from which on some are had to spare: before, one more is too many. */
#define SPARE_FROM ((UINT32_C(1) << 20) >> TMK__PAGE_SHIFT)
/*
 * A thread that moves to another shard is in the middle of what it does, and finds
 * nothing there: it gets at least so much at once.
 */
#define SPARE_MOVED SPARE_FROM
/* The largest region: what is free in smaller pieces goes back in such. */
#define REGION_PAGES ((UINT32_C(64) << 20) >> TMK__PAGE_SHIFT)

/**
 * struct place - where a request would go
 * @absent: the absent run that has to get memory
 * @lo: from this page
 * @hi: to this one
 */
struct place {
	uint32_t absent;
	uint32_t lo;
	uint32_t hi;
};

/* The size and alignment of new memory in an arena. */
static uint32_t arena_grain(const struct tmk__arena *arena, bool base)
{
	if (arena->kind == TMK_KIND_PINNED || arena->kind == TMK_KIND_FILE)
		return TMK__GRAIN;
	return !arena->kind && base ? TMK__GRAIN : TMK__HUGE_PAGES;
}

/* Could the request go here, and with how much new memory? */
static bool place_try(struct place *out, const struct tmk__heap *heap,
		      const struct tmk__arena *arena, uint32_t index,
		      uint32_t pages, uint32_t align, bool base)
{
	const struct tmk__block *absent = &heap->blocks[index];
	uint64_t end = (uint64_t)absent->page + absent->pages, lo, start, hi;
	uint32_t grain = arena_grain(arena, base), near = 0;

	lo = TMK__ALIGN_UP((uint64_t)absent->page, grain);
	start = lo;
	if (lo == absent->page && absent->page > arena->first)
		near = tmk__pages_near(heap, arena, absent->page - 1);
	if (near && heap->blocks[near].type == TMK__RUN_FREE)
		start = heap->blocks[near].page;
	start = TMK__ALIGN_UP(start, align);
	if (start + pages <= lo)
		return false;
	if (start > lo)
		lo = start & ~(uint64_t)(grain - 1);
	hi = TMK__ALIGN_UP(start + pages, grain);
	if (hi > end || lo >= hi)
		return false;
	*out = (struct place){ index, (uint32_t)lo, (uint32_t)hi };
	return true;
}

/* Where the least new memory is needed. */
static bool place_find(struct place *out, const struct tmk__heap *heap,
		       const struct tmk__arena *arena, uint32_t pages,
		       uint32_t align, bool base)
{
	uint32_t index = arena->absent;
	struct place place;
	bool found = false;

	for (; index; index = heap->blocks[index].next) {
		if (!place_try(&place, heap, arena, index, pages, align, base))
			continue;
		if (!found || place.hi - place.lo < out->hi - out->lo ||
		    (place.hi - place.lo == out->hi - out->lo &&
		     place.lo < out->lo))
			*out = place;
		found = true;
	}
	return found;
}

/* Is the next piece one of base pages, and where does it end? */
static bool piece_is_base(uint32_t *end, uint32_t lo, uint32_t hi)
{
	uint32_t slot = TMK__ALIGN_UP(lo + 1, TMK__HUGE_PAGES);
	uint32_t whole = (hi - lo) / TMK__HUGE_PAGES * TMK__HUGE_PAGES;

	if (lo % TMK__HUGE_PAGES == 0 && whole) {
		*end = lo + TMK__MIN(whole, REGION_PAGES);
		return false;
	}
	*end = TMK__MIN(slot, hi);
	return true;
}

/* Would a place need no more base pages than there should be? */
static bool base_allowed(const struct tmk__arena *arena,
			 const struct place *place)
{
	uint64_t base = arena->base_held, all = arena->held;
	uint32_t lo, end;

	for (lo = place->lo; lo < place->hi; lo = end) {
		if (piece_is_base(&end, lo, place->hi))
			base += end - lo;
		all += end - lo;
	}
	return base <= TMK__MAX(BASE_PAGES, all / 8);
}

static int place_choose(struct place *out, const struct tmk__heap *heap,
			const struct tmk__arena *arena, uint32_t pages,
			uint32_t align, uint32_t spare)
{
	bool base = !arena->kind && !arena->no_base;
	bool found = place_find(out, heap, arena, pages, align, base);
	uint64_t more, end;

	if (found && base && !base_allowed(arena, out)) {
		base = false;
		found = place_find(out, heap, arena, pages, align, base);
	}
	if (!found)
		return tmk__error(-ENOMEM,
				  "no address space for a block of %llu bytes",
				  (unsigned long long)pages << TMK__PAGE_SHIFT);
	if (!spare)
		return 0;
	more = arena->held < SPARE_FROM ? 0 : arena->held / spare;
	if (arena > heap->arenas && arena < &heap->arenas[TMK__SHARDS])
		more = TMK__MAX(more, SPARE_MOVED);
	more -= more % arena_grain(arena, base);
	end = heap->blocks[out->absent].page + heap->blocks[out->absent].pages;
	/* To the end of a huge page: what comes next is made of such, too. */
	if (more >= TMK__HUGE_PAGES && out->hi + more < end)
		more -= (out->hi + more) % TMK__HUGE_PAGES;
	out->hi = (uint32_t)TMK__MIN(out->hi + more, end);
	return 0;
}

/* Regions are listed in the order of their addresses. */
static void region_list(struct tmk__heap *heap, struct tmk__arena *arena,
			uint32_t index)
{
	struct tmk__block *region = &heap->blocks[index];
	uint32_t *at = &arena->regions;

	while (*at && heap->blocks[*at].page < region->page)
		at = &heap->blocks[*at].next;
	region->next = *at;
	*at = index;
}

static int region_make(struct tmk_region **out, struct tmk__device *device,
		       const struct tmk__heap *heap,
		       const struct tmk__arena *arena, bool base, uint32_t lo,
		       uint32_t hi)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	size_t bytes = (size_t)(hi - lo) << TMK__PAGE_SHIFT;
	int err;

	opts.kind = arena->kind;
	if (!arena->kind)
		opts.kind = base ? TMK_KIND_PINNED : TMK_KIND_HUGE;
	opts.flags = arena->flags;
	opts.node = arena->node;
	opts.name = "alloc";
	err = tmk__region_create_at(out, device, tmk__page_address(heap, lo),
				    bytes, &opts);
	if (!err && tmk__debug())
		tmk__checked_fresh(tmk__page_address(heap, lo), bytes,
				   opts.kind);
	return err;
}

/* There is a region at [lo, hi) of an absent run: tell the tables. */
static void region_add(struct tmk__heap *heap, struct tmk__arena *arena,
		       struct tmk_region *region, bool base, uint32_t lo,
		       uint32_t hi)
{
	uint32_t index = tmk__pages_entry(heap, arena), run = arena->absent;
	struct tmk__block *entry = &heap->blocks[index];

	entry->type = TMK__RUN_REGION;
	entry->fresh = base; /* here: of base pages beside huge ones */
	entry->region = region;
	entry->page = lo;
	entry->pages = hi - lo;
	region_list(heap, arena, index);
	if (base)
		arena->base_held += hi - lo;
	while (heap->blocks[run].page > lo ||
	       heap->blocks[run].page + heap->blocks[run].pages < hi)
		run = heap->blocks[run].next;
	tmk__pages_present(heap, run, lo, hi - lo);
}

/* Under both locks; heap_lock is let go of meanwhile. */
static int place_fill(struct tmk__heap *heap, struct tmk__arena *arena,
		      struct tmk__device *device, const struct place *place)
{
	struct tmk_region *region;
	uint32_t lo, end;
	bool base;
	int err;

	for (lo = place->lo; lo < place->hi; lo = end) {
		base = piece_is_base(&end, lo, place->hi);
		if (arena->kind) {
			base = false;
			end = TMK__MIN(lo + REGION_PAGES, place->hi);
		}
		tmk__heap_unlock();
		err = region_make(&region, device, heap, arena, base, lo, end);
		tmk__heap_lock();
		if (!err && tmk__pages_room(heap, arena, 3)) {
			tmk_region_put(region);
			err = -ENOMEM;
		}
		if (err) {
			struct tmk_refusal refusal;

			if (base && !tmk_refusal_last(&refusal) &&
			    refusal.limit == TMK_LIMIT_MEMLOCK) {
				arena->no_base = true;
				return -EAGAIN;
			}
			return err;
		}
		region_add(heap, arena, region, base, lo, end);
	}
	return 0;
}

/* So much new memory in one run, behind a free one if there is one. */
static bool place_more(struct place *out, const struct tmk__heap *heap,
		       const struct tmk__arena *arena, uint32_t pages,
		       bool base)
{
	uint32_t index = arena->absent, grain = arena_grain(arena, base);
	bool found = false;

	for (; index; index = heap->blocks[index].next) {
		const struct tmk__block *absent = &heap->blocks[index];
		uint64_t lo = TMK__ALIGN_UP((uint64_t)absent->page, grain);
		uint64_t hi = lo + TMK__ALIGN_UP((uint64_t)pages, grain);

		if (hi > (uint64_t)absent->page + absent->pages ||
		    (found && lo > out->lo))
			continue;
		*out = (struct place){ index, (uint32_t)lo, (uint32_t)hi };
		found = true;
	}
	return found;
}

static bool refused(int err)
{
	return err == -ENOMEM || err == -EDQUOT;
}

/* Is there room for a request now that was not before? */
static bool make_room(void)
{
	bool any = tmk__checked_flush();

	return tmk__trim_locked(0) || any || tmk__cache_drop_initial();
}

/* Out of another shard, if the arena is one. Return: 0 if there is none there. */
static uint32_t other_shard(struct tmk__heap *heap, struct tmk__arena *arena,
			    uint32_t pages, uint32_t align)
{
	struct tmk__arena *end = &heap->arenas[TMK__SHARDS], *other;
	uint32_t index;

	for (other = heap->arenas; arena < end && other < end; other++) {
		if (other == arena || !other->held ||
		    tmk__pages_room(heap, other, 2))
			continue;
		index = tmk__pages_alloc(heap, other, pages, align);
		if (index)
			return index;
	}
	return 0;
}

/*
 * A block out of what is free in pieces, with no more new memory than is missing.
 * Return: 0 if that cannot be, or saves too little of @most.
 */
static uint32_t stitch(struct tmk__heap *heap, struct tmk__arena *arena,
		       struct tmk__device *device, uint32_t pages,
		       uint32_t most)
{
	uint32_t lack = tmk__stitch_lack(heap, arena, pages);
	bool base = !arena->kind && !arena->no_base;
	struct place place = { 0, 0, 0 };
	struct tmk__error_state before;
	bool found = true;

	if (lack)
		found = place_more(&place, heap, arena, lack, base);
	if (lack && found && base && !base_allowed(arena, &place))
		found = place_more(&place, heap, arena, lack, false);
	if (!found || !tmk__stitch_saves(arena, most, place.hi - place.lo))
		return 0;
	tmk__error_save(&before);
	if (place_fill(heap, arena, device, &place)) {
		tmk__error_restore(&before);
		return 0;
	}
	return tmk__stitch_make(heap, arena, pages);
}

/* New memory, if that would be too much, even without any to spare; 0 if not. */
static uint32_t too_much(const struct place *with, const struct tmk__heap *heap,
			 const struct tmk__arena *arena, uint32_t pages,
			 uint32_t align)
{
	struct place place;

	if (!tmk__stitch_wanted(heap, arena, pages, align,
				with->hi - with->lo) ||
	    place_choose(&place, heap, arena, pages, align, 0) ||
	    !tmk__stitch_wanted(heap, arena, pages, align, place.hi - place.lo))
		return 0;
	return place.hi - place.lo;
}

/*
 * One way after the other: what threads keep, and other shards have; what is free
 * in pieces, where new memory would be too much; new memory, some of it to spare; no
 * more than is needed; what else is free; and all that is free in pieces.
 */
static int grow(uint32_t *out, struct tmk__heap *heap, struct tmk__arena *arena,
		struct tmk__device *device, uint32_t pages, uint32_t align,
		bool collected)
{
	uint32_t spare = collected ? SPARE : SPARE_SHORT;
	struct tmk__error_state before;
	struct place place;
	uint32_t most;
	int attempt = 0, tried = 0, err = 0;

	tmk__error_save(&before);
	for (;;) {
		if (!err)
			err = tmk__pages_room(heap, arena, 4);
		if (err)
			return err;
		*out = tmk__pages_alloc(heap, arena, pages, align);
		if (!*out)
			*out = tmk__stitch_take(heap, arena, pages, align);
		/* Not again and again: the threads there would lack it next. */
		if (!*out && (collected || attempt))
			*out = other_shard(heap, arena, pages, align);
		if (*out)
			return 0;
		err = place_choose(&place, heap, arena, pages, align,
				   attempt ? 0 : spare);
		if (err)
			return err;
		if (attempt < 2)
			most = too_much(&place, heap, arena, pages, align);
		else
			most = tmk__stitch_can(heap, arena, pages, align) ?
				       UINT32_MAX :
				       0;
		if (most && tried < 1 + attempt / 2) {
			tried = 1 + attempt / 2;
			*out = stitch(heap, arena, device, pages, most);
			if (*out)
				return 0;
			/* What was where has changed. */
			continue;
		}
		err = place_fill(heap, arena, device, &place);
		if (refused(err) && ++attempt <= 2) {
			bool room = attempt == 2 && make_room();

			if (attempt < 2 || room ||
			    tmk__stitch_can(heap, arena, pages, align))
				err = -EAGAIN;
		}
		if (err == -EAGAIN) {
			tmk__error_restore(&before);
			err = 0;
		}
	}
}

/**
 * tmk__grow() - a block, with new memory if need be; under no lock
 * @out: the block, of type LARGE and gone; maybe another shard's, if @arena is one
 * @heap: the heap
 * @arena: which kind
 * @pages: how much
 * @align: in pages, a power of two
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__grow(uint32_t *out, struct tmk__heap *heap, struct tmk__arena *arena,
	      uint32_t pages, uint32_t align)
{
	struct tmk__error_state before;
	struct tmk__device *device;
	bool collected;
	int err;

	tmk__error_save(&before);
	err = tmk__device_get(&device);
	if (err)
		return err;
	tmk__heap_grow_lock();
	tmk__heap_lock();
	tmk__heap_reopen();
	collected = tmk__tcache_collect();
	tmk__stitch_look(heap, arena, pages);
	err = grow(out, heap, arena, device, pages, align, collected);
	/* A part of it may have been had. */
	if (err)
		tmk__trim_locked(0);
	else
		tmk__error_restore(&before);
	tmk__heap_unlock();
	tmk__heap_grow_unlock();
	tmk__device_put(device);
	return err;
}
