// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * When a block is stitched (stitch.c), and out of what: where it would otherwise
 * need more memory than the most that was in use, and a little, and that saves a
 * good part of it. All of it under heap_lock, since it is part of getting memory.
 *
 * A program whose steps are all different would make one stitch after the other.
 * So they are counted against those that are used again, and if it is in vain the
 * arena gets more memory.
 */
#include "heap.h"

/* Smaller requests get new memory. */
#define LEAST_PAGES ((UINT32_C(1) << 20) >> TMK__PAGE_SHIFT)
/* Smaller runs are left alone. */
#define PIECE_LEAST 16u
/* How much more than was in use may be held before one is made. */
#define MORE 16u
/* The same where so many that were made have not been made up for by being used. */
#define MORE_IN_VAIN 2u
#define IN_VAIN 8u
/*
 * What part of what was in use a stitch has to save. A program that comes to use
 * more than ever will soon have new memory anyway.
 */
#define SAVES 16u
#define SAVES_GROWING 6u

/**
 * tmk__stitch_space() - how much of a new arena's address space is for stitches
 * @arena: kind and flags are set
 * @pages: the address space
 *
 * Return: pages at its end.
 */
uint32_t tmk__stitch_space(const struct tmk__arena *arena, uint32_t pages)
{
	bool may = !arena->kind || arena->kind == TMK_KIND_HUGE ||
		   arena->kind == TMK_KIND_PINNED;

	return may && !arena->flags ? pages / 4 : 0;
}

/**
 * tmk__stitch_part() - address space of each of an arena's stitches
 * @heap: the heap
 * @arena: the arena
 *
 * Return: pages, a multiple of 2 MiB; 0 if it has no stitches.
 */
uint32_t tmk__stitch_part(const struct tmk__heap *heap,
			  const struct tmk__arena *arena)
{
	uint32_t pages = (heap->arena_pages - arena->pages) / TMK__STITCHES;

	return pages - pages % TMK__HUGE_PAGES;
}

/**
 * tmk__stitch_look() - remember how much is in use at most
 * @heap: the heap
 * @arena: where a request is, and does not fit
 * @pages: how much it is
 */
void tmk__stitch_look(const struct tmk__heap *heap, struct tmk__arena *arena,
		      uint32_t pages)
{
	uint64_t used = arena->held + pages;
	unsigned int list;
	uint32_t index;

	for (list = 0; list < TMK__LISTS; list++)
		for (index = arena->lists[list]; index;
		     index = heap->blocks[index].next)
			used -= heap->blocks[index].pages;
	arena->growing = used > arena->used_peak;
	if (arena->growing)
		arena->used_peak = used;
}

/**
 * tmk__stitch_can() - could a request be stitched, if there were enough?
 * @heap: the heap
 * @arena: where
 * @pages: of the request
 * @align: in pages
 *
 * Return: true if it is large enough, and not too large.
 */
bool tmk__stitch_can(const struct tmk__heap *heap,
		     const struct tmk__arena *arena, uint32_t pages,
		     uint32_t align)
{
	return pages >= LEAST_PAGES && align == 1 && !tmk__debug() &&
	       pages + TMK__HUGE_PAGES <= tmk__stitch_part(heap, arena);
}

/**
 * tmk__stitch_wanted() - would new memory be too much?
 * @heap: the heap
 * @arena: where
 * @pages: of the request
 * @align: in pages
 * @more: new memory
 *
 * Return: true if the request should rather get what is free in pieces.
 */
bool tmk__stitch_wanted(const struct tmk__heap *heap,
			const struct tmk__arena *arena, uint32_t pages,
			uint32_t align, uint32_t more)
{
	uint32_t part = arena->stitches_vain < IN_VAIN ? MORE : MORE_IN_VAIN;

	return tmk__stitch_can(heap, arena, pages, align) &&
	       arena->held + more > arena->used_peak + arena->used_peak / part;
}

/**
 * tmk__stitch_saves() - is it worth it?
 * @arena: where
 * @plain: new memory that would be needed otherwise
 * @more: new memory that a stitch needs
 *
 * Return: true if the difference is noticed beside what is in use.
 */
bool tmk__stitch_saves(const struct tmk__arena *arena, uint32_t plain,
		       uint32_t more)
{
	uint32_t part = arena->growing ? SAVES_GROWING : SAVES;

	return plain > more && plain - more >= arena->used_peak / part;
}

static void choice_add(struct tmk__choice *choice, const struct tmk__heap *heap,
		       uint32_t index, unsigned int most)
{
	uint32_t pages = heap->blocks[index].pages;
	unsigned int i = choice->nr;

	if (i == most) {
		if (heap->blocks[choice->runs[i - 1]].pages >= pages)
			return;
		choice->pages -= heap->blocks[choice->runs[--i]].pages;
	} else {
		choice->nr++;
	}
	for (; i && heap->blocks[choice->runs[i - 1]].pages < pages; i--)
		choice->runs[i] = choice->runs[i - 1];
	choice->runs[i] = index;
	choice->pages += pages;
}

/**
 * tmk__stitch_choose() - the largest free runs
 * @out: them
 * @heap: the heap
 * @arena: where
 * @most: how many
 */
void tmk__stitch_choose(struct tmk__choice *out, const struct tmk__heap *heap,
			const struct tmk__arena *arena, unsigned int most)
{
	unsigned int list;
	uint32_t index;

	out->nr = 0;
	out->pages = 0;
	for (list = tmk__pages_list(PIECE_LEAST); list < TMK__LISTS; list++)
		for (index = arena->lists[list]; index;
		     index = heap->blocks[index].next)
			choice_add(out, heap, index, most);
}

/**
 * tmk__stitch_lack() - how much new memory does a stitch need?
 * @heap: the heap
 * @arena: where
 * @pages: of the block
 *
 * Return: pages, all in one run; 0 if what is free is enough.
 */
uint32_t tmk__stitch_lack(const struct tmk__heap *heap,
			  const struct tmk__arena *arena, uint32_t pages)
{
	struct tmk__choice choice;

	tmk__stitch_choose(&choice, heap, arena, TMK__PIECES);
	if (choice.pages >= pages)
		return 0;
	/* One more run, if it cannot be added to one of them. */
	tmk__stitch_choose(&choice, heap, arena, TMK__PIECES - 1);
	return choice.pages < pages ? pages - (uint32_t)choice.pages : 0;
}
