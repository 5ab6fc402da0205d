// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Memory beside the block. Spills of one cycle are collected in chunks, each a
 * region charged as TMK_USE_SPILL, and all freed when the scope closes. The
 * first chunk is small and each next one twice as large, up to a limit; a
 * request that is larger than the next chunk would be gets a region of its own
 * size. What the workspace counts as spilled are the bytes that were handed
 * out; what the ledger counts are the regions.
 *
 * Every chunk is fresh from the region layer and handed out once, so memory
 * from here always reads as zero.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

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
static int chunk_region(struct tmk_region **out, struct tmk__ws *ws, size_t n)
{
	size_t more = ws->spill.next_bytes;
	struct tmk__error_state state;

	if (n < more) {
		tmk__error_save(&state);
		if (!tmk__ws_region(out, ws, more, TMK_USE_SPILL))
			return 0;
		/* A limit is near: no more than what is needed, or the error. */
		tmk__error_restore(&state);
	}
	return tmk__ws_region(out, ws, n, TMK_USE_SPILL);
}

static int chunk_create(struct tmk__spill_chunk *out, struct tmk__ws *ws,
			size_t n)
{
	struct tmk__spill *spill = &ws->spill;
	struct tmk_region *region;
	int err;

	if (!spill->next_bytes)
		spill->next_bytes = CHUNK_FIRST;
	err = chunks_reserve(spill);
	if (!err)
		err = chunk_region(&region, ws, n);
	if (err)
		return err;
	if (n < spill->next_bytes && spill->next_bytes < CHUNK_MOST)
		spill->next_bytes *= 2;
	*out = (struct tmk__spill_chunk){
		.region = region,
		.base = tmk_region_data(region),
		.bytes = tmk_region_bytes(region),
	};
	spill->chunks[spill->chunks_nr++] = *out;
	return 0;
}

/**
 * tmk__ws_spill_alloc() - memory beside the block
 * @out: the memory, all zero
 * @ws: open
 * @n: bytes, a multiple of the alignment
 *
 * Changes no counter of the workspace.
 *
 * Return: 0, or what tmk_region_create() returns, with a sentence.
 */
int tmk__ws_spill_alloc(void **out, struct tmk__ws *ws, size_t n)
{
	struct tmk__spill *spill = &ws->spill;
	struct tmk__spill_chunk chunk;
	int err;

	if (n > spill->bytes - spill->offset) {
		err = chunk_create(&chunk, ws, n);
		if (err)
			return tmk__error_wrap(err,
					       "workspace \"%s\" could not "
					       "spill %zu bytes",
					       ws->id, n);
		/* Go on with the chunk that has more room left. */
		if (chunk.bytes - n <= spill->bytes - spill->offset) {
			*out = chunk.base;
			return 0;
		}
		spill->base = chunk.base;
		spill->bytes = chunk.bytes;
		spill->offset = 0;
	}
	*out = spill->base + spill->offset;
	spill->offset += n;
	return 0;
}

/**
 * tmk__ws_spill_free() - give back all that was spilled in this cycle
 * @ws: its scope ends
 */
void tmk__ws_spill_free(struct tmk__ws *ws)
{
	struct tmk__spill *spill = &ws->spill;

	while (spill->chunks_nr)
		tmk_region_put(spill->chunks[--spill->chunks_nr].region);
	spill->base = NULL;
	spill->offset = 0;
	spill->bytes = 0;
	spill->next_bytes = 0;
	ws->spilled_bytes = 0;
	ws->spilled_count = 0;
}
