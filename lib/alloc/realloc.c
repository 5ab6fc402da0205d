// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Blocks that are there already: how large one is, and making it larger or
 * smaller, where it is if its neighbour allows.
 */
#include <errno.h>
#include <string.h>

#include "tcache.h"

int tmk_alloc_usable_bytes(size_t *out, const void *ptr)
{
	struct tmk__block *block;
	uint64_t bytes = 0;
	uint8_t purpose;
	int err;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the size");
	tmk__heap_lock();
	err = tmk__debug() ? tmk__checked_bytes(&bytes, ptr) :
			     tmk__block_find(&block, &bytes, &purpose, ptr);
	tmk__heap_unlock();
	if (!err)
		*out = bytes;
	return err;
}

/* Where it is? Return: false if it has to be moved. Under heap_lock. */
static bool resize_in_place(struct tmk__block *block, uint64_t had,
			    uint8_t purpose, size_t bytes)
{
	struct tmk__heap *heap = tmk__heap;
	uint32_t index, pages;

	if (bytes <= had && bytes >= had - had / 8)
		return true;
	/* What is stitched has nothing of its own beside it. */
	if (block->type != TMK__RUN_LARGE || block->stitch ||
	    bytes <= TMK__SMALL_MAX || bytes > TMK__BYTES_MAX || !heap ||
	    block < heap->blocks || block >= heap->blocks + heap->blocks_nr)
		return false;
	if (tmk__pages_room(heap, &heap->arenas[block->arena], 2))
		return false;
	index = (uint32_t)(block - heap->blocks);
	pages = (uint32_t)((bytes + TMK__PAGE - 1) >> TMK__PAGE_SHIFT);
	pages += block->pages - block->room;
	if (pages < block->pages)
		tmk__pages_shrink(heap, index, pages);
	else if (!tmk__pages_extend(heap, index, pages))
		return false;
	tmk__tcache_count(purpose, (int64_t)(tmk__block_bytes(block) - had));
	return true;
}

static int move(void **out, void *ptr, size_t bytes, uint64_t had,
		const struct tmk_alloc_opts *opts)
{
	void *data;
	int err;

	err = tmk_alloc(&data, bytes, opts);
	if (err)
		return err;
	memcpy(data, ptr, TMK__MIN(bytes, had));
	*out = data;
	return tmk_free(ptr);
}

int tmk_realloc(void **out, void *ptr, size_t bytes,
		const struct tmk_alloc_opts *opts)
{
	struct tmk__error_state before;
	struct tmk__block *block;
	uint8_t purpose = 0;
	uint64_t had = 0;
	bool done;
	int err;

	if (!ptr)
		return tmk_alloc(out, bytes, opts);
	if (!out || !bytes)
		return tmk__error(-EINVAL, "%s",
				  out ? "a block of 0 bytes was asked for" :
					"nowhere to put the block");
	tmk__error_save(&before);
	tmk__heap_lock();
	/* What is checked moves each time: stale pointers are to be noticed. */
	if (tmk__debug()) {
		err = tmk__checked_bytes(&had, ptr);
		done = false;
	} else {
		err = tmk__block_find(&block, &had, &purpose, ptr);
		done = !err && !opts &&
		       resize_in_place(block, had, purpose, bytes);
	}
	tmk__heap_unlock();
	if (err)
		return err;
	tmk__error_restore(&before);
	if (!done)
		return move(out, ptr, bytes, had, opts);
	*out = ptr;
	return 0;
}
