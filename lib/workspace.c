// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Workspaces from outside: creating, finding, destroying, asking. ws.h says
 * which file has the rest. A workspace is on its owner's list from its creation
 * to its destruction; opening and closing do not move it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

/* Regions are named for people: as asked, or the id in plain characters. */
static void name_region(struct tmk__ws *ws)
{
	const char *name = ws->opts.region.name;
	char *p;

	snprintf(ws->region_name, sizeof(ws->region_name), "%.*s",
		 TMK_NAME_BYTES - 1, name ? name : ws->id);
	for (p = ws->region_name; *p; p++) {
		if ((unsigned char)*p > 0x7e)
			*p = '?';
	}
	/* The caller's strings are not ours to keep. */
	ws->opts.region.name = NULL;
	ws->opts.path = NULL;
	ws->opts.temp_dir = NULL;
}

static void take_opts(struct tmk__ws *ws, const char *id,
		      const struct tmk_workspace_opts *opts)
{
	snprintf(ws->id, sizeof(ws->id), "%s", id);
	ws->opts = *opts;
	ws->mask = opts->alignment - 1;
	ws->is_ring = opts->reset == TMK_WS_RESET_ENDOFBUFFER;
	ws->special = ws->is_ring;
	ws->bypass = opts->debug == TMK_WS_DEBUG_BYPASS_EVERYTHING;
	ws->shared = opts->flags & TMK_WS_F_SHARED;
	name_region(ws);
}

static int first_block(struct tmk__ws *ws,
		       const struct tmk_workspace_opts *opts)
{
	if (ws->bypass)
		return 0;
	if (opts->location == TMK_WS_LOCATION_FILE)
		return tmk__ws_file_create(ws, opts->path, opts->temp_dir);
	return tmk__ws_block_create(ws, tmk__ws_size_initial(opts));
}

static int create(struct tmk_workspace **out, const char *id,
		  const struct tmk_workspace_opts *opts)
{
	bool shared = opts->flags & TMK_WS_F_SHARED;
	struct tmk__thread *self;
	struct tmk__ws *ws;
	int err;

	err = tmk__thread_self(&self);
	if (!err)
		err = tmk__ws_place_take(&ws);
	if (err)
		return err;
	take_opts(ws, id, opts);
	tmk__ws_lock(ws);
	err = tmk__ws_enlist(ws);
	if (!err) {
		err = tmk__ws_check_init(ws);
		if (!err)
			err = first_block(ws, opts);
		if (err) {
			tmk__ws_check_exit(ws);
			tmk__ws_delist(ws);
		}
	}
	if (!err)
		*out = tmk__ws_handle(ws);
	else
		tmk__ws_place_free(ws);
	if (shared)
		pthread_mutex_unlock(&ws->lock);
	return err;
}

int tmk_workspace_create(struct tmk_workspace **out, const char *id,
			 const struct tmk_workspace_opts *opts)
{
	struct tmk_workspace_opts checked;
	int err;

	err = tmk__ws_id_check(id);
	if (!err)
		err = tmk__ws_opts_check(&checked, opts);
	return err ? err : create(out, id, &checked);
}

/* The members that a second caller can ask for again. */
static bool same_opts(const struct tmk_workspace_opts *a,
		      const struct tmk_workspace_opts *b)
{
	return a->flags == b->flags && a->alignment == b->alignment &&
	       a->initial_bytes == b->initial_bytes &&
	       a->min_bytes == b->min_bytes && a->max_bytes == b->max_bytes &&
	       a->max_total_bytes == b->max_total_bytes &&
	       a->overallocation_limit == b->overallocation_limit &&
	       a->cycles_before_initialization ==
		       b->cycles_before_initialization &&
	       a->allocation == b->allocation && a->spill == b->spill &&
	       a->learning == b->learning && a->reset == b->reset &&
	       a->mirroring == b->mirroring && a->location == b->location &&
	       a->debug == b->debug && a->region.kind == b->region.kind &&
	       a->region.flags == b->region.flags &&
	       a->region.page_bytes == b->region.page_bytes &&
	       a->region.node == b->region.node;
}

/* The one that exists, if it is as asked for. */
static int find_same(struct tmk_workspace **out, const char *id,
		     const struct tmk_workspace_opts *opts)
{
	bool shared = opts->flags & TMK_WS_F_SHARED, same;
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_find(&ws, id, shared);
	if (err)
		return err;
	same = same_opts(opts, &ws->opts);
	if (same)
		*out = tmk__ws_handle(ws);
	tmk__ws_leave(ws);
	if (same)
		return 0;
	return tmk__error(-EEXIST,
			  "%s workspace \"%s\" with another configuration",
			  shared ? "the process has a shared" :
				   "this thread has a",
			  id);
}

int tmk_workspace_ensure(struct tmk_workspace **out, const char *id,
			 const struct tmk_workspace_opts *opts)
{
	struct tmk_workspace_opts checked;
	int err;

	err = tmk__ws_id_check(id);
	if (!err)
		err = tmk__ws_opts_check(&checked, opts);
	if (err)
		return err;
	if (!opts && !tmk_workspace_lookup(out, id))
		return 0;
	for (;;) {
		err = find_same(out, id, &checked);
		if (err != -ENOENT)
			return err;
		err = create(out, id, &checked);
		/* Then another thread was faster, and the name is looked up. */
		if (err != -EEXIST || !(checked.flags & TMK_WS_F_SHARED))
			return err;
	}
}

int tmk_workspace_lookup(struct tmk_workspace **out, const char *id)
{
	struct tmk__ws *ws;

	if (!id)
		id = "";
	if (tmk__ws_find(&ws, id, false) && tmk__ws_find(&ws, id, true))
		return tmk__error(-ENOENT,
				  "this thread has no workspace \"%s\", and "
				  "the process has no shared one",
				  id);
	*out = tmk__ws_handle(ws);
	tmk__ws_leave(ws);
	return 0;
}

/**
 * tmk__ws_destroy() - end a workspace, open or not
 * @ws: entered. If it is open, the caller has emptied the scope stack. If it is
 *	shared it stays locked, and its place may be another one's
 */
void tmk__ws_destroy(struct tmk__ws *ws)
{
	__atomic_store_n(&ws->cell->valid, 0, __ATOMIC_RELEASE);
	tmk__ws_delist(ws);
	tmk__ws_check_exit(ws);
	tmk__ws_spill_destroy(&ws->spill);
	tmk__ws_spill_destroy(&ws->pinned);
	tmk__ws_spill_destroy(&ws->outside);
	tmk__ws_block_destroy(ws);
	tmk__extent_free(ws->extent_first, ws->cell->gen);
	ws->extent_first = TMK__EXTENT_NONE;
	tmk__ws_place_free(ws);
}

static int refuse_open(const struct tmk__ws *ws)
{
	if (ws->shared)
		return tmk__error(-EBUSY,
				  "workspace \"%s\" is open in %u threads: "
				  "each must close it before it is destroyed",
				  ws->id, ws->openers);
	return tmk__error(-EBUSY,
			  "workspace \"%s\" is open: close it before "
			  "destroying it",
			  ws->id);
}

int tmk_workspace_destroy(struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	bool shared;
	int err;

	if (!handle)
		return 0;
	err = tmk__ws_enter(&ws, handle, "destroy");
	if (err)
		return err;
	shared = ws->shared;
	if (ws->open)
		err = refuse_open(ws);
	else
		tmk__ws_destroy(ws);
	if (shared)
		pthread_mutex_unlock(&ws->lock);
	return err;
}

int tmk_workspace_destroy_all(void)
{
	struct tmk__thread *self = tmk__self;
	struct tmk__ws *ws;

	for (ws = self ? self->first : NULL; ws; ws = ws->sibling) {
		if (ws->open)
			return tmk__error(-EBUSY,
					  "workspace \"%s\" is open: close it "
					  "before destroying all",
					  ws->id);
	}
	while (self && self->first)
		tmk__ws_destroy(self->first);
	return 0;
}

const char *tmk_workspace_id(const struct tmk_workspace *handle)
{
	struct tmk__ws *ws;

	return tmk__ws_is_alive(&ws, handle) ? ws->id : "";
}

int tmk_workspace_info(struct tmk_workspace_info *out,
		       const struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_enter(&ws, handle, "read");
	if (err)
		return err;
	*out = (struct tmk_workspace_info){
		.size = ws->size,
		.offset = tmk__ws_offset(ws),
		.block = ws->block,
		.cycle = tmk__ws_cycle(ws),
		.last = ws->last,
		.max = ws->max,
		.cycles = ws->cycles,
		.step = ws->step,
		.generation = tmk__ws_gen(ws),
		.spilled_bytes = ws->spill.used,
		.spilled_count = ws->spill.count,
		.spilled_total = ws->spilled_total,
		.pinned_bytes = ws->pinned.used,
		.pinned_count = ws->pinned.count,
		.external_count = ws->spill.count + ws->outside.count,
		.region_bytes = ws->region ? tmk_region_bytes(ws->region) :
					     ws->file.bytes,
		.open = ws->open,
	};
	tmk__ws_leave(ws);
	return 0;
}

const struct tmk_region *tmk_workspace_region(const struct tmk_workspace *handle)
{
	const struct tmk_region *region;
	struct tmk__ws *ws;

	if (tmk__ws_enter(&ws, handle, "read"))
		return NULL;
	region = ws->region;
	tmk__ws_leave(ws);
	return region;
}
