// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Memory beside the block: spills, pinned entries of rings, and what was had
 * while use was toggled off. It is collected in chunks, each a region, and
 * freed by age: what was had in one cycle (of a ring, in one step) shares
 * chunks and goes together. The first chunk of an age is small and each next one
 * twice as large, up to a limit; a request that is larger than the next chunk
 * would be gets a region of its own size. What the workspace counts are the
 * bytes that were handed out; what the ledger counts are the regions.
 *
 * Every chunk is fresh from the region layer and handed out once, so memory
 * from here always reads as zero.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

#define CHUNK_FIRST ((size_t)64 << 10)
#define CHUNK_MOST ((size_t)8 << 20)

/* Room in the list of chunks for one more. */
static int chunks_reserve(struct tmk__spill *spill)
{
	uint32_t room = spill->chunks_room ? 2 * spill->chunks_room : 8;
	struct tmk__spill_chunk *chunks;

	if (spill->chunks_nr < spill->chunks_room)
		return 0;
	chunks = tmk__fault("spill") ?
			 NULL :
			 realloc(spill->chunks, room * sizeof(*chunks));
	if (!chunks)
		return tmk__error(-ENOMEM,
				  "no memory for a list of %u spill "
				  "chunks",
				  room);
	spill->chunks = chunks;
	spill->chunks_room = room;
	return 0;
}

/* A region for @n bytes, and more where more can be had. */
static int chunk_region(struct tmk_region **out, struct tmk__ws *ws,
			const struct tmk__spill *spill, size_t n)
{
	size_t more = spill->next_bytes;
	struct tmk__error_state state;

	if (n < more) {
		tmk__error_save(&state);
		if (!tmk__ws_region(out, ws, more, spill->use))
			return 0;
		/* A limit is near: no more than what is needed, or the error. */
		tmk__error_restore(&state);
	}
	return tmk__ws_region(out, ws, n, spill->use);
}

/* One more chunk, the last one. */
static int chunk_create(struct tmk__ws *ws, struct tmk__spill *spill, size_t n,
			uint64_t age)
{
	struct tmk_region *region;
	int err;

	if (!spill->next_bytes)
		spill->next_bytes = CHUNK_FIRST;
	err = chunks_reserve(spill);
	if (!err)
		err = chunk_region(&region, ws, spill, n);
	if (err)
		return err;
	if (n < spill->next_bytes && spill->next_bytes < CHUNK_MOST)
		spill->next_bytes *= 2;
	spill->chunks[spill->chunks_nr++] = (struct tmk__spill_chunk){
		.region = region,
		.base = tmk_region_data(region),
		.bytes = tmk_region_bytes(region),
		.age = age,
	};
	return 0;
}

/* Room in the chunk that is being filled, for memory of this age. */
static size_t room(const struct tmk__spill *spill, uint64_t age)
{
	const struct tmk__spill_chunk *chunk;

	if (spill->filling >= spill->chunks_nr)
		return 0;
	chunk = &spill->chunks[spill->filling];
	return chunk->age == age ? chunk->bytes - spill->offset : 0;
}

static void *take(struct tmk__spill *spill, uint32_t nr, size_t offset,
		  size_t n)
{
	struct tmk__spill_chunk *chunk = &spill->chunks[nr];

	chunk->used += n;
	chunk->count++;
	spill->used += n;
	spill->count++;
	return chunk->base + offset;
}

/**
 * tmk__ws_spill_alloc() - memory beside the block
 * @out: the memory, all zero
 * @ws: open
 * @spill: which of its collections
 * @n: bytes, a multiple of the alignment
 * @age: at least as large as any before
 *
 * Counts in the collection; the workspace's own counters are the caller's.
 *
 * Return: 0, or what tmk_region_create() returns, with a sentence.
 */
int tmk__ws_spill_alloc(void **out, struct tmk__ws *ws,
			struct tmk__spill *spill, size_t n, uint64_t age)
{
	size_t left = room(spill, age);
	uint32_t last;
	int err;

	if (n > left) {
		err = chunk_create(ws, spill, n, age);
		if (err)
			return tmk__error_wrap(err,
					       "workspace \"%s\" could not "
					       "spill %zu bytes",
					       ws->id, n);
		/* Go on with the chunk that has more room left. */
		last = spill->chunks_nr - 1;
		if (spill->chunks[last].bytes - n <= left) {
			*out = take(spill, last, 0, n);
			return 0;
		}
		spill->filling = last;
		spill->offset = 0;
	}
	*out = take(spill, spill->filling, spill->offset, n);
	spill->offset += n;
	return 0;
}

/**
 * tmk__ws_spill_free() - give back what is old
 * @spill: the collection
 * @age: all that is of this age or older
 */
void tmk__ws_spill_free(struct tmk__spill *spill, uint64_t age)
{
	uint32_t nr = 0;

	while (nr < spill->chunks_nr && spill->chunks[nr].age <= age) {
		spill->used -= spill->chunks[nr].used;
		spill->count -= spill->chunks[nr].count;
		tmk_region_put(spill->chunks[nr++].region);
	}
	if (!nr)
		return;
	spill->chunks_nr -= nr;
	memmove(spill->chunks, spill->chunks + nr,
		spill->chunks_nr * sizeof(*spill->chunks));
	if (spill->filling >= nr) {
		spill->filling -= nr;
	} else {
		spill->filling = 0;
		/* Whatever is first now is not to be filled on. */
		spill->offset = spill->chunks_nr ? spill->chunks[0].bytes : 0;
	}
	if (!spill->chunks_nr)
		spill->next_bytes = 0;
}

/**
 * tmk__ws_spill_destroy() - give everything back, the list itself too
 * @spill: the collection
 */
void tmk__ws_spill_destroy(struct tmk__spill *spill)
{
	tmk__ws_spill_free(spill, UINT64_MAX);
	free(spill->chunks);
	spill->chunks = NULL;
	spill->chunks_room = 0;
}
