// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Where an allocation goes. The block has room: ws.h, tmk__ws_alloc(), an add.
 * It has none: here, by the spill policy. A counter changes only when memory
 * was really handed out, so that a refusal leaves everything as it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

static int refuse_full(const struct tmk__ws *ws, size_t n)
{
	tmk__refusal(TMK_LIMIT_WORKSPACE, n, ws->offset, ws->size, ws->id);
	return tmk__error(-ENOMEM,
			  "workspace \"%s\" is full: %zu bytes asked, %zu of "
			  "%" PRIu64 " used, and its spill policy is FAIL",
			  ws->id, n, ws->offset, ws->size);
}

static int refuse_total(const struct tmk__ws *ws, size_t n)
{
	uint64_t used = ws->size + ws->spilled_bytes;
	uint64_t max = ws->opts.max_total_bytes;

	tmk__refusal(TMK_LIMIT_WORKSPACE, n, used, max, ws->id);
	return tmk__error(-ENOMEM,
			  "workspace \"%s\" has reached its max_total_bytes: "
			  "%zu bytes asked, %" PRIu64 " of %" PRIu64 " used",
			  ws->id, n, used, max);
}

/* Would @n bytes more beside the block go over max_total_bytes? */
static bool over_total(const struct tmk__ws *ws, size_t n)
{
	uint64_t max = ws->opts.max_total_bytes;
	uint64_t used = ws->size + ws->spilled_bytes;

	return max && (used > max || n > max - used);
}

/**
 * tmk__ws_alloc_slow() - an allocation that the block has no room for
 * @out: the memory
 * @ws: a living workspace of this thread
 * @bytes: any number
 *
 * Memory beside the block is fresh: it is clear without being asked to be.
 *
 * Return: as tmk_workspace_alloc().
 */
int tmk__ws_alloc_slow(void **out, struct tmk__ws *ws, size_t bytes)
{
	size_t n;
	int err;

	if (!bytes)
		return tmk__error(-EINVAL, "0 bytes asked of workspace \"%s\"",
				  ws->id);
	if (!ws->open)
		return tmk__error(-ENOTCONN, "workspace \"%s\" is not open",
				  ws->id);
	if (bytes > (size_t)PTRDIFF_MAX - ws->mask)
		return tmk__error(-EOVERFLOW,
				  "%zu bytes asked of workspace \"%s\" are "
				  "more than memory can hold",
				  bytes, ws->id);
	n = tmk__ws_align(ws, bytes);
	/* While there is no block yet, all policies let the cycle be learned. */
	if (ws->size && ws->opts.spill == TMK_WS_SPILL_FAIL)
		return refuse_full(ws, n);
	if (over_total(ws, n))
		return refuse_total(ws, n);
	err = tmk__ws_spill_alloc(out, ws, n);
	if (err)
		return err;
	ws->spilled_bytes += n;
	ws->spilled_count++;
	ws->spilled_total++;
	ws->allocations++;
	return 0;
}

/**
 * tmk__ws_clear() - zero memory that was asked for so; apart, to keep it out of
 * the way of what was not
 * @p: the memory
 * @bytes: how much
 *
 * Return: 0.
 */
int tmk__ws_clear(void *p, size_t bytes)
{
	memset(p, 0, bytes);
	return 0;
}

static __attribute__((noinline)) int refuse_handle(
	const struct tmk_workspace *handle)
{
	struct tmk__ws *ws;

	return tmk__ws_mine(&ws, handle, "allocate from");
}

int tmk_workspace_alloc(void **out, struct tmk_workspace *handle, size_t bytes,
			bool zero)
{
	struct tmk__ws *ws;

	if (__builtin_expect(!tmk__ws_is_alive(&ws, handle) ||
				     !tmk__ws_is_mine(ws),
			     0))
		return refuse_handle(handle);
	return tmk__ws_alloc(out, ws, bytes, zero);
}

/**
 * tmk__ws_slot_slow() - headers for more tensors in this generation
 * @ws: open; its present extent is used up
 *
 * Takes the next extent of the cycle before, or a new one.
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__ws_slot_slow(struct tmk__ws *ws)
{
	uint32_t nr = TMK__EXTENT_NONE;
	int err;

	if (ws->extent != TMK__EXTENT_NONE)
		nr = tmk__handles.extents[ws->extent].next;
	if (nr == TMK__EXTENT_NONE) {
		err = tmk__extent_take(&nr, ws->cell_nr, ws->life,
				       ws->cell->gen, &ws->gen_end);
		if (err)
			return err;
		if (ws->extent == TMK__EXTENT_NONE)
			ws->extent_first = nr;
		else
			tmk__handles.extents[ws->extent].next = nr;
	}
	ws->extent = nr;
	ws->slot = nr * TMK__EXTENT_SLOTS;
	ws->slot_end = ws->slot + TMK__EXTENT_SLOTS;
	ws->seq = tmk__extent_seq(nr, ws->cell->gen);
	return 0;
}
