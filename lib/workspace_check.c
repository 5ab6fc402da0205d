// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Workspaces while something is checked (TMK_DEBUG). Such a one has no room for
 * the fast path, so that every allocation comes by here.
 *
 * A scope's end leaves the part of the block that was handed out filled with a
 * pattern (poison), and the whole block inaccessible (guard) until the next
 * scope asks for memory: whoever kept an address reads no number that could be
 * taken for one, or gets a signal. What is handed out again is looked at first:
 * what has changed was written after the scope ended.
 *
 * A ring's memory is not stale when a scope ends, and a file's stays as it is:
 * of a ring only what is handed out is filled, of a file nothing. Memory beside
 * the block is unmapped when it is given back, in every build.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "ws.h"

static bool poisons(void)
{
	return tmk__debug() & TMK__DEBUG_POISON;
}

static int protect(const struct tmk__ws *ws, int prot)
{
	tmk__calls_add(1);
	return tmk__fault("protect") ||
			       mprotect(ws->base, tmk_region_bytes(ws->region),
					prot) ?
		       -ENOMEM :
		       0;
}

/**
 * tmk__ws_check_init() - decide what is checked, and remember the workspace
 * @ws: with its configuration
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__ws_check_init(struct tmk__ws *ws)
{
	struct tmk__holder h = {
		.key = ws->handle,
		.what = TMK__HOLDER_WORKSPACE,
	};

	if (!tmk__debug())
		return 0;
	ws->check.on = !ws->bypass &&
		       ws->opts.location == TMK_WS_LOCATION_RAM &&
		       tmk__debug() & (TMK__DEBUG_POISON | TMK__DEBUG_GUARD);
	ws->special = ws->is_ring || ws->check.on;
	h.made = tmk__stack_take();
	snprintf(h.name, sizeof(h.name), "%s", ws->id);
	return tmk__holder_add(&h);
}

/**
 * tmk__ws_check_exit() - it is being destroyed, or could not be made
 * @ws: of this thread
 */
void tmk__ws_check_exit(const struct tmk__ws *ws)
{
	if (tmk__debug())
		tmk__holder_remove(TMK__HOLDER_WORKSPACE, ws->handle);
}

/**
 * tmk__ws_check_block() - it has another block, or none any more
 * @ws: with that block, or with the one that is about to be given back
 * @bytes: how large it is; 0 if it is about to be given back
 */
void tmk__ws_check_block(struct tmk__ws *ws, uint64_t bytes)
{
	if (!tmk__debug())
		return;
	if (ws->region && ws->check.on)
		tmk__poison_show(ws->base, tmk_region_bytes(ws->region));
	ws->check.shut = false;
	ws->check.used = 0;
	ws->check.stale = 0;
	tmk__holder_describe(TMK__HOLDER_WORKSPACE, ws->handle, bytes, 0,
			     ws->id);
}

/* Memory of a scope that ended is not as it was left. */
static void tell_written(const struct tmk__ws *ws, size_t offset, size_t bytes)
{
	tmk__debug_tell("%p was written to after its scope ended, and up to %zu "
			"bytes from there on: offset %zu of the block of "
			"workspace \"%s\", handed out again in generation "
			"%llu",
			(void *)(ws->base + offset), bytes, offset, ws->id,
			(unsigned long long)tmk__ws_gen(ws));
}

static int open_up(struct tmk__ws *ws)
{
	int err;

	err = protect(ws, PROT_READ | PROT_WRITE);
	if (err)
		return tmk__error(err,
				  "the block of workspace \"%s\" cannot be made "
				  "accessible again",
				  ws->id);
	ws->check.shut = false;
	return 0;
}

/**
 * tmk__ws_check_take() - memory of the block
 * @out: the memory
 * @ws: open, checked, no ring; with so much room
 * @n: bytes, a multiple of the alignment
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__ws_check_take(void **out, struct tmk__ws *ws, size_t n)
{
	size_t from = tmk__ws_offset(ws),
	       to = TMK__MIN(from + n, ws->check.stale);
	size_t first, last;
	int err = 0;

	if (ws->check.shut)
		err = open_up(ws);
	if (err)
		return err;
	tmk__poison_show(ws->base + from, n);
	if (poisons() && from < to &&
	    tmk__poison_find(&first, &last, ws->base + from, to - from))
		tell_written(ws, from + first, last - first + 1);
	*out = ws->base + from;
	tmk__ws_offset_set(ws, from + n);
	ws->check.used = from + n;
	ws->untidy = true;
	return 0;
}

/**
 * tmk__ws_check_fill() - what was handed out becomes what it is to be
 * @data: where
 * @bytes: how much
 * @zero: clear it
 */
void tmk__ws_check_fill(void *data, size_t bytes, bool zero)
{
	if (zero)
		memset(data, 0, bytes);
	else if (poisons())
		tmk__poison_fill(data, bytes, TMK__POISON_NEW);
}

/**
 * tmk__ws_check_end() - a scope has ended
 * @ws: with its block
 */
void tmk__ws_check_end(struct tmk__ws *ws)
{
	size_t used = ws->check.used;

	if (!used)
		return;
	if (poisons()) {
		tmk__poison_fill(ws->base, used, TMK__POISON_FREE);
		tmk__poison_hide(ws->base, used);
		ws->check.stale = TMK__MAX(ws->check.stale, used);
	}
	/* Where that fails it is accessible, and may still be poisoned. */
	if (tmk__debug() & TMK__DEBUG_GUARD)
		ws->check.shut = !protect(ws, PROT_NONE);
	ws->check.used = 0;
}
