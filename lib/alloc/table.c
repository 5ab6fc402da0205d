// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The table of blocks: which of its entries are unused, those of each arena for
 * itself; and which sizes go together.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "heap.h"

uint8_t tmk__page_bins[512];
uint8_t tmk__page64_bins[(TMK__LARGE_MAX >> TMK__PAGE_SHIFT) / 64 + 1];

/** tmk__pages_init() - fill in the tables of sizes, once */
void tmk__pages_init(void)
{
	uint32_t i;

	for (i = 8; i < TMK__ARRAY_SIZE(tmk__page_bins); i++)
		tmk__page_bins[i] =
			(uint8_t)(TMK__SMALL_BINS + tmk__pages_list(i) - 8);
	for (i = 8; i < TMK__ARRAY_SIZE(tmk__page64_bins); i++)
		tmk__page64_bins[i] = (uint8_t)(TMK__SMALL_BINS +
						tmk__pages_list(i * 64) - 8);
}

/**
 * tmk__pages_entries() - some more entries for an arena, in the order of addresses
 * @heap: the heap
 * @arena: the arena
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__pages_entries(struct tmk__heap *heap, struct tmk__arena *arena)
{
	static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
	uint32_t i, first;
	uint64_t want;
	int err = 0;

	/* Whoever forks has all locks that anybody takes it under. */
	pthread_mutex_lock(&table_lock);
	first = heap->blocks_nr;
	want = (uint64_t)(first + TMK__ENTRIES) * sizeof(struct tmk__block);
	if (want > heap->room.usable) {
		tmk__calls_add(1);
		if (tmk__fault("blocks") ||
		    tmk__reserve_grow(&heap->room, want))
			err = tmk__error(-ENOMEM,
					 "no memory for the table of blocks");
	}
	if (!err)
		heap->blocks_nr += TMK__ENTRIES;
	pthread_mutex_unlock(&table_lock);
	for (i = TMK__ENTRIES; !err && i > 0; i--) {
		heap->blocks[first + i - 1].arena =
			(uint8_t)(arena - heap->arenas);
		tmk__pages_entry_free(heap, arena, first + i - 1);
	}
	return err;
}

/**
 * tmk__pages_entry() - take an unused entry; tmk__pages_room() saw that there is
 * @heap: the heap
 * @arena: for which arena
 *
 * Return: its number. It is all zero but for the arena.
 */
uint32_t tmk__pages_entry(struct tmk__heap *heap, struct tmk__arena *arena)
{
	uint32_t index = tmk__pages_entry_pop(heap, arena);
	struct tmk__block *block = &heap->blocks[index];

	memset(block, 0, sizeof(*block));
	block->arena = (uint8_t)(arena - heap->arenas);
	return index;
}
