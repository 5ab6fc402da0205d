// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Where an allocation goes. The block has room: ws.h, tmk__ws_bump(), an add.
 * Everything else is decided here: rings, the spill policy, what is toggled off
 * and the debug modes. A counter changes only when memory was really handed
 * out, so that a refusal leaves everything as it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

/**
 * tmk__ws_refuse_full() - say that there is no room and that it may not spill
 * @ws: open, spill policy FAIL
 * @n: bytes asked for
 *
 * Return: -ENOMEM with a sentence.
 */
int tmk__ws_refuse_full(const struct tmk__ws *ws, size_t n)
{
	uint64_t size = ws->is_ring && ws->block ? ws->block : ws->size;
	uint64_t used = tmk__ws_cycle_block(ws);

	tmk__refusal(TMK_LIMIT_WORKSPACE, n, used, size, ws->id);
	return tmk__error(-ENOMEM,
			  "workspace \"%s\" is full: %zu bytes asked, "
			  "%" PRIu64 " of %" PRIu64 " used, and its spill "
			  "policy is FAIL",
			  ws->id, n, used, size);
}

/* Would @n bytes more beside the block go over max_total_bytes? */
static int check_total(const struct tmk__ws *ws, size_t n)
{
	uint64_t max = ws->opts.max_total_bytes;
	uint64_t used = tmk__ws_total(ws);

	if (!max || (used <= max && n <= max - used))
		return 0;
	tmk__refusal(TMK_LIMIT_WORKSPACE, n, used, max, ws->id);
	return tmk__error(-ENOMEM,
			  "workspace \"%s\" has reached its max_total_bytes: "
			  "%zu bytes asked, %" PRIu64 " of %" PRIu64 " used",
			  ws->id, n, used, max);
}

/**
 * tmk__ws_alloc_beside() - memory that is not in the block
 * @out: the memory; it is fresh, so it is clear
 * @ws: open
 * @spill: where it is collected and counted
 * @n: bytes, a multiple of the alignment
 *
 * Return: 0; -ENOMEM or -EDQUOT with a sentence, and nothing has changed.
 */
int tmk__ws_alloc_beside(void **out, struct tmk__ws *ws,
			 struct tmk__spill *spill, size_t n)
{
	uint64_t age = spill == &ws->pinned ? ws->step : ws->cell->gen;
	int err;

	err = check_total(ws, n);
	if (!err)
		err = tmk__ws_spill_alloc(out, ws, spill, n, age);
	if (err)
		return err;
	ws->untidy = true;
	if (spill == &ws->outside)
		return 0;
	ws->beside += n;
	ws->spilled_total++;
	return 0;
}

/* Which memory is it to be? */
static int alloc_case(void **out, struct tmk__ws *ws, size_t n)
{
	if (ws->off)
		return tmk__ws_alloc_beside(out, ws, &ws->outside, n);
	if (ws->opts.debug == TMK_WS_DEBUG_SPILL_EVERYTHING)
		return tmk__ws_alloc_beside(out, ws, &ws->spill, n);
	/* While there is no block yet, all policies let the cycle be learned. */
	if (!ws->size)
		return tmk__ws_alloc_beside(out, ws, &ws->spill, n);
	if (ws->is_ring)
		return tmk__ring_alloc(out, ws, n);
	if (ws->check.on && n <= ws->size - tmk__ws_offset(ws))
		return tmk__ws_check_take(out, ws, n);
	if (ws->opts.spill == TMK_WS_SPILL_FAIL)
		return tmk__ws_refuse_full(ws, n);
	return tmk__ws_alloc_beside(out, ws, &ws->spill, n);
}

/**
 * tmk__ws_alloc_slow() - an allocation that is not just an add
 * @out: the memory
 * @ws: entered
 * @bytes: any number
 * @zero: clear it
 *
 * Return: as tmk_workspace_alloc().
 */
int tmk__ws_alloc_slow(void **out, struct tmk__ws *ws, size_t bytes, bool zero)
{
	int err;

	if (!ws->handle)
		return tmk__ws_stale(NULL);
	if (!bytes)
		return tmk__error(-EINVAL, "0 bytes asked of workspace \"%s\"",
				  ws->id);
	if (!ws->open)
		return tmk__ws_refuse_closed(ws);
	if (ws->bypass)
		return tmk__error(-EOPNOTSUPP,
				  "workspace \"%s\" is bypassed (debug mode "
				  "BYPASS_EVERYTHING): it has no raw memory",
				  ws->id);
	if (bytes > (size_t)PTRDIFF_MAX - ws->mask)
		return tmk__error(-EOVERFLOW,
				  "%zu bytes asked of workspace \"%s\" are "
				  "more than memory can hold",
				  bytes, ws->id);
	err = alloc_case(out, ws, tmk__ws_align(ws, bytes));
	if (err) {
		tmk__ws_dump();
		return err;
	}
	if (ws->check.on) {
		tmk__ws_check_fill(*out, bytes, zero);
		return 0;
	}
	/* Only a ring hands out here what was used before. */
	if (zero && ws->is_ring)
		memset(*out, 0, bytes);
	return 0;
}

/* From a shared one that was entered. The block is cleared when it was left. */
static int alloc_shared(void **out, struct tmk__ws *ws, size_t bytes, bool zero)
{
	bool room = tmk__ws_has_room(ws, bytes);
	void *p = NULL;
	int err = 0;

	if (!tmk__ws_is_open_here(ws))
		err = tmk__ws_refuse_closed(ws);
	else if (room)
		p = tmk__ws_bump(ws, bytes);
	else
		err = tmk__ws_alloc_slow(&p, ws, bytes, zero);
	tmk__ws_leave(ws);
	if (err)
		return err;
	*out = p;
	if (room && zero)
		memset(p, 0, bytes);
	return 0;
}

int tmk_workspace_alloc_slow(void **out, struct tmk_workspace *handle,
			     size_t bytes, bool zero)
{
	struct tmk__ws *ws = tmk__ws_top();
	int err;

	/* Not on top: it may still be one of this thread's, or shared. */
	if ((uintptr_t)handle != ws->handle) {
		err = tmk__ws_enter(&ws, handle, "allocate from");
		if (err)
			return err;
		if (ws->shared)
			return alloc_shared(out, ws, bytes, zero);
	}
	if (!tmk__ws_has_room(ws, bytes))
		return tmk__ws_alloc_slow(out, ws, bytes, zero);
	*out = tmk__ws_bump(ws, bytes);
	if (zero)
		memset(*out, 0, bytes);
	return 0;
}

/* Who did not inline it has it here. */
int tmk_workspace_alloc(void **out, struct tmk_workspace *handle, size_t bytes,
			bool zero)
{
	struct tmk__ws *ws = tmk__ws_top();

	if (__builtin_expect((uintptr_t)handle != ws->handle || zero ||
				     !tmk__ws_has_room(ws, bytes),
			     0))
		return tmk_workspace_alloc_slow(out, handle, bytes, zero);
	*out = tmk__ws_bump(ws, bytes);
	return 0;
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

	if (ws->is_ring)
		return tmk__ring_slot(ws);
	if (ws->extent != TMK__EXTENT_NONE)
		nr = tmk__handles.extents[ws->extent].next;
	if (nr == TMK__EXTENT_NONE) {
		err = tmk__extent_take(&nr, ws->cell_nr, ws->life,
				       ws->cell->gen, &ws->gen_end, false);
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
