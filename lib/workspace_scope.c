// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A scope's beginning and end. Scopes are a real stack per thread: the
 * innermost workspace may be entered again (it nests, nothing is reset), one
 * that is open further out may not, and only the innermost scope can be closed.
 *
 * A beginning makes the next generation valid, an end makes none valid: that
 * one store is what makes every tensor of the scope stale. A scope's end gives
 * the spills back, learns, and takes the offset back to 0.
 */
#include <errno.h>
#include <inttypes.h>

#include "internal.h"
#include "ws.h"

/**
 * tmk__ws_not_mine() - say that a workspace is another thread's
 * @ws: the workspace, alive
 * @what: what was asked for, as a verb
 *
 * Return: -EPERM with a sentence.
 */
int tmk__ws_not_mine(const struct tmk__ws *ws, const char *what)
{
	if (ws->inherited)
		return tmk__error(-EPERM,
				  "workspace \"%s\" is of the parent process "
				  "%d: its child cannot %s it",
				  ws->id, (int)ws->pid, what);
	return tmk__error(-EPERM,
			  "workspace \"%s\" is of another thread: this one "
			  "cannot %s it",
			  ws->id, what);
}

/**
 * tmk__ws_mine() - the inside of a living workspace of this thread
 * @out: the inside
 * @handle: what the caller has
 * @what: what was asked for, as a verb
 *
 * Return: 0; -EINVAL, -ESTALE or -EPERM with a sentence.
 */
int tmk__ws_mine(struct tmk__ws **out, const struct tmk_workspace *handle,
		 const char *what)
{
	struct tmk__ws *ws;

	if (!tmk__ws_is_alive(&ws, handle))
		return tmk__ws_stale(handle);
	if (!tmk__ws_is_mine(ws))
		return tmk__ws_not_mine(ws, what);
	*out = ws;
	return 0;
}

/* The present extents have no sequence for the next generation. */
static void gen_renew(struct tmk__ws *ws)
{
	tmk__extent_free(ws->extent_first, ws->cell->gen);
	ws->extent_first = TMK__EXTENT_NONE;
	ws->gen_end = UINT64_MAX;
}

static void gen_begin(struct tmk__ws *ws)
{
	uint64_t gen;

	if (__builtin_expect(ws->cell->gen + 1 >= ws->gen_end, 0))
		gen_renew(ws);
	gen = ws->cell->gen + 1;
	__atomic_store_n(&ws->cell->gen, gen, __ATOMIC_RELAXED);
	__atomic_store_n(&ws->cell->valid, gen, __ATOMIC_RELEASE);
	/* The headers of the cycle before are used again, in the same order. */
	ws->extent = ws->extent_first;
	ws->slot = ws->extent * TMK__EXTENT_SLOTS;
	ws->slot_end = ws->slot;
	if (ws->extent != TMK__EXTENT_NONE) {
		ws->slot_end += TMK__EXTENT_SLOTS;
		ws->seq = tmk__extent_seq(ws->extent, gen);
	}
}

int tmk_workspace_push(struct tmk_workspace *handle)
{
	struct tmk__thread *self;
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_mine(&ws, handle, "open");
	if (err)
		return err;
	self = tmk__self;
	if (ws->open) {
		if (tmk__ws_innermost() != ws)
			return tmk__error(-EBUSY,
					  "workspace \"%s\" is open already, "
					  "outside of \"%s\"",
					  ws->id, tmk__ws_innermost()->id);
		return tmk__thread_frame_push(self, ws, TMK__FRAME_REENTER);
	}
	err = tmk__thread_frame_push(self, ws, TMK__FRAME_OPEN);
	if (err)
		return err;
	ws->open = true;
	ws->offset = 0;
	ws->end = ws->size;
	gen_begin(ws);
	return 0;
}

/* The outermost scope of a workspace ends. */
static int scope_end(struct tmk__ws *ws)
{
	uint64_t cycle = tmk__ws_cycle(ws);

	__atomic_store_n(&ws->cell->valid, 0, __ATOMIC_RELEASE);
	ws->open = false;
	if (ws->cycles++)
		ws->step++;
	ws->last = cycle;
	ws->max = TMK__MAX(ws->max, cycle);
	if (ws->spilled_count)
		tmk__ws_spill_free(ws);
	ws->offset = 0;
	ws->end = 0;
	return tmk__ws_block_close(ws);
}

int tmk_workspace_pop(struct tmk_workspace *handle)
{
	struct tmk__frame *top;
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_mine(&ws, handle, "close");
	if (err)
		return err;
	if (!ws->open)
		return tmk__error(-EINVAL, "workspace \"%s\" is not open",
				  ws->id);
	if (tmk__ws_innermost() != ws)
		return tmk__error(-EINVAL,
				  "workspace \"%s\" is not the innermost one: "
				  "\"%s\" must be closed first",
				  ws->id, tmk__ws_innermost()->id);
	top = &tmk__self->frames[--tmk__self->depth];
	return top->kind == TMK__FRAME_OPEN ? scope_end(ws) : 0;
}

struct tmk_workspace *tmk_workspace_current(void)
{
	struct tmk__ws *ws = tmk__ws_innermost();

	return ws ? tmk__ws_handle(ws) : NULL;
}
