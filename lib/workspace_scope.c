// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A scope's beginning and end. Scopes are a real stack per thread: the
 * innermost workspace may be entered again (it nests, nothing is reset), one
 * that is open further out may be borrowed, but not entered, and only the
 * innermost scope can be closed. Whatever is closed, what was current before it
 * was opened is current again. A shared workspace is on the stack of each thread
 * that has it open; the first of them begins its cycle and the last one ends it.
 *
 * A beginning makes the next generation valid, an end makes none valid: that
 * one store is what makes every tensor of the scope stale (of rings see
 * workspace_ring.c). A scope's end gives the spills back, learns, and takes the
 * offset back to 0.
 */
#include <errno.h>
#include <inttypes.h>

#include "internal.h"
#include "ws.h"

/**
 * tmk__ws_has_frame() - has this thread such a scope of the workspace?
 * @ws: entered
 * @kind: which
 */
bool tmk__ws_has_frame(const struct tmk__ws *ws, enum tmk__frame_kind kind)
{
	const struct tmk__thread *self = tmk__self;
	uint32_t i;

	for (i = self ? self->depth : 0; i; i--) {
		if (self->frames[i - 1].ws == ws &&
		    self->frames[i - 1].kind == kind)
			return true;
	}
	return false;
}

/**
 * tmk__ws_refuse_closed() - say that this thread has not opened it
 * @ws: entered
 *
 * Return: -ENOTCONN with a sentence.
 */
int tmk__ws_refuse_closed(const struct tmk__ws *ws)
{
	return tmk__error(-ENOTCONN, "workspace \"%s\" is not open%s", ws->id,
			  ws->shared ? " in this thread" : "");
}

/* The present extents have no sequence for the next generation. */
static void gen_renew(struct tmk__ws *ws)
{
	tmk__extent_free(ws->extent_first, ws->cell->gen);
	ws->extent_first = TMK__EXTENT_NONE;
	ws->extent = TMK__EXTENT_NONE;
	ws->slot = 0;
	ws->slot_end = 0;
	ws->ring.head = 0;
	ws->ring.fresh = 0;
	ws->ring.fresh_end = 0;
	ws->gen_end = UINT64_MAX;
}

static void gen_begin(struct tmk__ws *ws)
{
	uint64_t gen;

	if (__builtin_expect(ws->cell->gen + 1 >= ws->gen_end, 0))
		gen_renew(ws);
	gen = ws->cell->gen + 1;
	__atomic_store_n(&ws->cell->gen, gen, __ATOMIC_RELAXED);
	if (ws->is_ring) {
		__atomic_store_n(&ws->cell->valid, TMK__GEN_EACH,
				 __ATOMIC_RELEASE);
		tmk__ring_scope_begin(ws);
		return;
	}
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

/* The innermost scope's name, for messages. */
static const char *innermost_id(void)
{
	const struct tmk__thread *self = tmk__self;
	const struct tmk__ws *ws = self->frames[self->depth - 1].ws;

	return ws ? ws->id : "(scope-out)";
}

/* One more scope. @here: see tmk__thread_frame_room() */
static __attribute__((noinline)) int frame_push(
	struct tmk__ws *ws, const struct tmk_workspace_scope *guard,
	enum tmk__frame_kind kind, const void *here)
{
	struct tmk__thread *self = tmk__self;
	int err;

	err = tmk__thread_frame_room(self, here);
	if (!err)
		tmk__thread_frame_push(self, ws, guard, kind);
	return err;
}

/* @ws is on the stack; its cycle begins unless another thread is in it. */
static inline int cycle_begin(struct tmk__ws *ws)
{
	if (ws->shared && ws->openers++)
		return 0;
	ws->open = true;
	tmk__ws_room_set(ws);
	gen_begin(ws);
	return 0;
}

/* Not as usual: it is open, or the stack is to be looked at. */
static __attribute__((noinline)) int scope_push_other(
	struct tmk__ws *ws, const struct tmk_workspace_scope *guard,
	const void *here)
{
	const struct tmk__thread *self = tmk__self;
	int err;

	if (!tmk__ws_is_open_here(ws)) {
		err = frame_push(ws, guard, TMK__FRAME_OPEN, here);
		return err ? err : cycle_begin(ws);
	}
	if (self->frames[self->depth - 1].ws != ws)
		return tmk__error(-EBUSY,
				  "workspace \"%s\" is open already, "
				  "outside of \"%s\"",
				  ws->id, innermost_id());
	return frame_push(ws, guard, TMK__FRAME_REENTER, here);
}

/* @ws: entered */
static inline int scope_push(struct tmk__ws *ws,
			     const struct tmk_workspace_scope *guard,
			     const void *here)
{
	struct tmk__thread *self = tmk__self;

	if (ws->open || !tmk__thread_is_plain(self))
		return scope_push_other(ws, guard, here);
	tmk__thread_frame_push(self, ws, guard, TMK__FRAME_OPEN);
	return cycle_begin(ws);
}

int tmk_workspace_push(struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_enter(&ws, handle, "open");
	if (err)
		return err;
	err = scope_push(ws, NULL, __builtin_frame_address(0));
	tmk__ws_leave(ws);
	return err;
}

static int scope_borrow(struct tmk__ws *ws,
			const struct tmk_workspace_scope *guard,
			const void *here)
{
	if (!tmk__ws_is_open_here(ws))
		return tmk__error(-ENOTCONN,
				  "workspace \"%s\" is not open%s: only an "
				  "open one can be borrowed",
				  ws->id, ws->shared ? " in this thread" : "");
	if (tmk__ws_has_frame(ws, TMK__FRAME_BORROW))
		return tmk__error(-EBUSY,
				  "workspace \"%s\" is borrowed already",
				  ws->id);
	return frame_push(ws, guard, TMK__FRAME_BORROW, here);
}

int tmk_workspace_borrow(struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_enter(&ws, handle, "borrow");
	if (err)
		return err;
	err = scope_borrow(ws, NULL, __builtin_frame_address(0));
	tmk__ws_leave(ws);
	return err;
}

static int scope_out(const struct tmk_workspace_scope *guard, const void *here)
{
	struct tmk__thread *self;
	int err;

	err = tmk__thread_self(&self);
	return err ? err : frame_push(NULL, guard, TMK__FRAME_OUT, here);
}

int tmk_workspace_scope_out(void)
{
	return scope_out(NULL, __builtin_frame_address(0));
}

/* Give back what is not in the block, as the reset policy has it. */
static void beside_end(struct tmk__ws *ws)
{
	uint64_t gen = ws->cell->gen, length;

	ws->untidy = false;
	if (ws->check.on)
		tmk__ws_check_end(ws);
	tmk__ring_free(ws, &ws->outside, UINT64_MAX);
	if (!ws->is_ring || ws->opts.debug == TMK_WS_DEBUG_SPILL_EVERYTHING) {
		tmk__ring_free(ws, &ws->spill, UINT64_MAX);
		return;
	}
	/* No ring yet that could wrap: as long as one would keep it. */
	length = tmk__ring_length(ws);
	if (!ws->size && gen > length)
		tmk__ring_free(ws, &ws->spill, gen - length);
	/* An entry of step s lives through s + 1 and s + 2. */
	if (ws->step > 2)
		tmk__ring_free(ws, &ws->pinned, ws->step - 3);
}

/* The outermost scope of a workspace ends, in this thread. */
static int scope_end(struct tmk__ws *ws)
{
	uint64_t cycle = tmk__ws_cycle(ws);
	bool first;

	if (ws->shared && --ws->openers)
		return 0;
	ws->open = false;
	ws->off = false;
	ws->last = cycle;
	ws->max = TMK__MAX(ws->max, cycle);
	first = !ws->cycles++;
	if (ws->is_ring) {
		if (!first && !((ws->cycles - 1) % tmk__ring_length(ws)))
			ws->step++;
		tmk__ring_scope_end(ws, cycle);
	} else {
		__atomic_store_n(&ws->cell->valid, 0, __ATOMIC_RELEASE);
		ws->step += !first;
		ws->cycle_base = 0;
		tmk__ws_offset_set(ws, 0);
	}
	ws->beside = 0;
	if (ws->is_ring || ws->untidy)
		beside_end(ws);
	return tmk__ws_block_close(ws);
}

/* The innermost scope ends. Its workspace, if it has one, is entered. */
static int frame_pop(void)
{
	struct tmk__frame *top = &tmk__self->frames[--tmk__self->depth];

	tmk__thread_top_set(tmk__ws_innermost());
	return top->kind == TMK__FRAME_OPEN ? scope_end(top->ws) : 0;
}

static int ws_pop(struct tmk__ws *ws)
{
	if (!tmk__ws_is_open_here(ws))
		return tmk__error(-EINVAL, "workspace \"%s\" is not open%s",
				  ws->id, ws->shared ? " in this thread" : "");
	if (tmk__self->frames[tmk__self->depth - 1].ws != ws)
		return tmk__error(-EINVAL,
				  "workspace \"%s\" is not the innermost one: "
				  "\"%s\" must be closed first",
				  ws->id, innermost_id());
	return frame_pop();
}

int tmk_workspace_pop(struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_enter(&ws, handle, "close");
	if (err)
		return err;
	err = ws_pop(ws);
	tmk__ws_leave(ws);
	return err;
}

int tmk_workspace_scope_in(void)
{
	struct tmk__thread *self = tmk__self;

	if (!self || !self->depth)
		return tmk__error(-EINVAL, "there is no scope-out to end");
	if (self->frames[self->depth - 1].kind != TMK__FRAME_OUT)
		return tmk__error(-EINVAL,
				  "the innermost scope is no scope-out: \"%s\" "
				  "must be closed first",
				  innermost_id());
	return frame_pop();
}

bool tmk_workspace_scope_begin(struct tmk_workspace_scope *scope)
{
	const void *here = __builtin_frame_address(0);
	struct tmk__ws *ws = NULL;
	int err = 0;

	if (scope->state)
		return false;
	if (scope->kind != TMK_SCOPE_OUT)
		err = tmk__ws_enter(&ws, scope->ws, "open");
	if (err)
		return false;
	if (scope->kind == TMK_SCOPE_OUT)
		err = scope_out(scope, here);
	else if (scope->kind == TMK_SCOPE_BORROW)
		err = scope_borrow(ws, scope, here);
	else
		err = scope_push(ws, scope, here);
	if (ws)
		tmk__ws_leave(ws);
	if (err)
		return false;
	scope->state = TMK__SCOPE_OPEN;
	return true;
}

/* The scopes of this thread from the innermost one to that of @depth end. */
static void frames_pop(struct tmk__thread *self, uint32_t depth)
{
	struct tmk__ws *ws;

	while (self->depth >= depth) {
		ws = self->frames[self->depth - 1].ws;
		if (ws)
			tmk__ws_lock(ws);
		(void)frame_pop();
		if (ws)
			tmk__ws_leave(ws);
	}
}

void tmk_workspace_scope_end(struct tmk_workspace_scope *scope)
{
	struct tmk__thread *self = tmk__self;
	uint32_t depth;

	if (scope->state != TMK__SCOPE_OPEN)
		return;
	scope->state = 0;
	/* What was opened inside and not closed ends with it. */
	for (depth = self ? self->depth : 0; depth; depth--) {
		if (self->frames[depth - 1].guard != scope)
			continue;
		frames_pop(self, depth);
		return;
	}
}

/**
 * tmk__ws_scopes_leave() - empty the stack of a thread that ends
 * @self: the calling thread
 *
 * Its own workspaces are to be destroyed; shared ones are closed properly. A
 * block that is refused then is learned by the next cycle.
 */
void tmk__ws_scopes_leave(struct tmk__thread *self)
{
	const struct tmk__frame *top;

	while (self->depth) {
		top = &self->frames[--self->depth];
		if (!top->ws || !top->ws->shared ||
		    top->kind != TMK__FRAME_OPEN)
			continue;
		tmk__ws_lock(top->ws);
		(void)scope_end(top->ws);
		tmk__ws_leave(top->ws);
	}
	tmk__thread_top_set(NULL);
}

struct tmk_workspace *tmk_workspace_current(void)
{
	struct tmk__ws *ws = tmk__ws_innermost();

	return ws ? tmk__ws_handle(ws) : NULL;
}

/**
 * tmk__ws_parent() - what was current when the current one was opened
 *
 * Return: a workspace of this thread, or NULL.
 */
struct tmk__ws *tmk__ws_parent(void)
{
	const struct tmk__ws *ws = tmk__ws_innermost();
	const struct tmk__thread *self = tmk__self;
	uint32_t i;

	for (i = ws ? self->depth : 0; i > 1; i--) {
		if (self->frames[i - 1].ws == ws &&
		    self->frames[i - 1].kind == TMK__FRAME_OPEN)
			return self->frames[i - 2].current;
	}
	return NULL;
}

int tmk_workspace_toggle(struct tmk_workspace *handle, bool on)
{
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_enter(&ws, handle, "toggle");
	if (err)
		return err;
	ws->off = !on;
	tmk__ws_room_set(ws);
	tmk__ws_leave(ws);
	return 0;
}
