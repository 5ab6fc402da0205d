// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A workspace's block: one region (or a file), made when the workspace is created with an
 * initial size or when a cycle has shown how much is needed, and made larger by
 * spill policy REALLOCATE between scopes, never while tensors are in it.
 */
#include <errno.h>
#include <inttypes.h>

#include "internal.h"
#include "ws.h"

/**
 * tmk__ws_region() - a region as the workspace's configuration asks for
 * @out: the region
 * @ws: the workspace
 * @bytes: how much
 * @use: what for
 *
 * Return: as tmk_region_create().
 */
int tmk__ws_region(struct tmk_region **out, struct tmk__ws *ws, uint64_t bytes,
		   enum tmk_use use)
{
	struct tmk_region_opts opts = ws->opts.region;

	if (!opts.kind)
		opts.kind = tmk__kind_for(bytes);
	opts.name = ws->region_name;
	return tmk__region_create_for(out, bytes, &opts, use);
}

/**
 * tmk__ws_block_create() - make the block
 * @ws: has none; of a ring @ws->block is set
 * @size: its bytes, a multiple of the alignment; 0 is allowed and does nothing
 *
 * Return: 0, or as tmk_region_create(): nothing changed.
 */
int tmk__ws_block_create(struct tmk__ws *ws, uint64_t size)
{
	int err;

	if (!size)
		return 0;
	err = tmk__ws_region(&ws->region, ws, size, TMK_USE_WORKSPACE);
	if (err) {
		err = tmk__error_wrap(err,
				      "workspace \"%s\" could not have its "
				      "block of %" PRIu64 " bytes",
				      ws->id, size);
		tmk__ws_dump();
		return err;
	}
	ws->base = tmk_region_data(ws->region);
	ws->size = size;
	ws->cycle_base = 0;
	tmk__ws_offset_set(ws, 0);
	if (ws->is_ring)
		tmk__ring_block_made(ws);
	tmk__ws_room_set(ws);
	tmk__ws_check_block(ws, size);
	return 0;
}

/**
 * tmk__ws_block_destroy() - give the block back
 * @ws: closed, or about to be destroyed
 */
void tmk__ws_block_destroy(struct tmk__ws *ws)
{
	tmk__ws_check_block(ws, 0);
	tmk_region_put(ws->region);
	tmk__ws_file_destroy(ws);
	ws->region = NULL;
	ws->base = NULL;
	ws->size = 0;
	ws->cycle_base = 0;
	tmk__ws_offset_set(ws, 0);
}

/*
 * Another block of @size, of which a cycle is meant to take @block. What is
 * there is given back first, so that growing needs room for the new one only; if
 * the new one is refused, the old size is tried again.
 */
static int block_replace(struct tmk__ws *ws, uint64_t size, uint64_t block)
{
	uint64_t old_size = ws->size, old_block = ws->block;
	struct tmk__error_state state;
	int err;

	if (old_size)
		tmk__ws_block_destroy(ws);
	ws->block = block;
	err = tmk__ws_block_create(ws, size);
	if (!err)
		return 0;
	/* The sentence that counts is the first one. */
	tmk__error_save(&state);
	ws->block = old_block;
	(void)tmk__ws_block_create(ws, old_size);
	tmk__error_restore(&state);
	return err;
}

static int ring_learn(struct tmk__ws *ws, uint64_t need)
{
	uint64_t block = tmk__ring_block(ws, need);
	uint64_t size = tmk__ring_size(ws, block);
	int err = 0;

	if (size == ws->size) {
		ws->block = block;
		ws->cycle_base = 0;
		tmk__ws_offset_set(ws, 0);
		tmk__ring_block_made(ws);
		tmk__ws_room_set(ws);
	} else {
		err = block_replace(ws, size, block);
	}
	if (!err)
		ws->ring.trimmed = false;
	return err;
}

/**
 * tmk__ws_block_learn() - make the block that cycles of @need bytes call for
 * @ws: without a block, or closed; what it spilled may still be there
 * @need: a multiple of the alignment
 *
 * Return: 0, or as tmk_region_create().
 */
int tmk__ws_block_learn(struct tmk__ws *ws, uint64_t need)
{
	uint64_t size = tmk__ws_size_learned(&ws->opts, need);

	if (ws->is_ring)
		return ring_learn(ws, need);
	if (size <= ws->size)
		return 0;
	return block_replace(ws, size,
			     TMK__MIN(need, tmk__ws_size_cap(&ws->opts)));
}

/* There is no block: is it time to make one? */
static bool learned_enough(const struct tmk__ws *ws)
{
	uint32_t cycles = ws->opts.cycles_before_initialization;

	switch (ws->opts.learning) {
	case TMK_WS_LEARN_FIRST_LOOP:
		return true;
	case TMK_WS_LEARN_OVER_TIME:
		return cycles && ws->cycles >= cycles;
	default:
		return false;
	}
}

/**
 * tmk__ws_block_close() - learn from the cycle that ended
 * @ws: closed; its counters are those of the cycle, its spills are freed
 *
 * Return: 0, or as tmk_region_create(): tried again at the next cycle's end.
 */
int tmk__ws_block_close(struct tmk__ws *ws)
{
	if (ws->opts.learning == TMK_WS_LEARN_NONE || !ws->max ||
	    ws->opts.debug != TMK_WS_DEBUG_DISABLED)
		return 0;
	if (!ws->size)
		return learned_enough(ws) ? tmk__ws_block_learn(ws, ws->max) :
					    0;
	if (ws->is_ring)
		return tmk__ring_over(ws) ? ring_learn(ws, ws->max) : 0;
	if (ws->opts.spill == TMK_WS_SPILL_REALLOCATE && ws->max > ws->size)
		return tmk__ws_block_learn(ws, ws->max);
	return 0;
}

static int initialize(struct tmk__ws *ws)
{
	uint64_t need = TMK__MAX(ws->max, tmk__ws_cycle(ws));

	if (ws->size &&
	    (ws->is_ring || ws->opts.spill != TMK_WS_SPILL_REALLOCATE ||
	     ws->opts.learning == TMK_WS_LEARN_NONE || need <= ws->size))
		return 0;
	if (ws->size && ws->open)
		return tmk__error(-EBUSY,
				  "workspace \"%s\" is open: its block cannot "
				  "be made larger under its tensors",
				  ws->id);
	if (ws->opts.learning == TMK_WS_LEARN_NONE)
		return tmk__error(-EINVAL,
				  "workspace \"%s\" has no initial_bytes and "
				  "does not learn: there is no block to make",
				  ws->id);
	if (!need && !ws->opts.min_bytes)
		return tmk__error(-ENODATA,
				  "workspace \"%s\" has learned nothing yet",
				  ws->id);
	return tmk__ws_block_learn(ws, need);
}

int tmk_workspace_initialize(struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_enter(&ws, handle, "initialize");
	if (err)
		return err;
	err = initialize(ws);
	tmk__ws_leave(ws);
	return err;
}
