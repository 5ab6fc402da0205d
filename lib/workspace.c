// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Workspaces from outside: creating, finding, destroying, asking. ws.h says
 * which file has the rest. A workspace is on its thread's list from its
 * creation to its destruction; opening and closing do not move it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

static struct tmk__ws *find_id(const struct tmk__thread *self, const char *id)
{
	struct tmk__ws *ws;

	for (ws = self ? self->first : NULL; ws; ws = ws->next) {
		if (!strcmp(ws->id, id))
			return ws;
	}
	return NULL;
}

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
	ws->bypass = opts->debug == TMK_WS_DEBUG_BYPASS_EVERYTHING;
	name_region(ws);
}

int tmk_workspace_create(struct tmk_workspace **out, const char *id,
			 const struct tmk_workspace_opts *opts)
{
	struct tmk_workspace_opts checked;
	struct tmk__thread *self;
	struct tmk__ws *ws;
	int err;

	err = tmk__ws_id_check(id);
	if (!err)
		err = tmk__ws_opts_check(&checked, opts);
	if (!err)
		err = tmk__thread_self(&self);
	if (err)
		return err;
	if (find_id(self, id))
		return tmk__error(-EEXIST,
				  "this thread has a workspace \"%s\" already",
				  id);
	err = tmk__ws_place_take(&ws);
	if (err)
		return err;
	take_opts(ws, id, &checked);
	if (ws->bypass)
		err = 0;
	else if (checked.location == TMK_WS_LOCATION_FILE)
		err = tmk__ws_file_create(ws, checked.path, checked.temp_dir);
	else
		err = tmk__ws_block_create(ws, tmk__ws_size_initial(&checked));
	if (err) {
		tmk__ws_place_free(ws);
		return err;
	}
	__atomic_store_n(&ws->thread, self, __ATOMIC_RELAXED);
	ws->next = self->first;
	self->first = ws;
	*out = tmk__ws_handle(ws);
	return 0;
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

int tmk_workspace_ensure(struct tmk_workspace **out, const char *id,
			 const struct tmk_workspace_opts *opts)
{
	struct tmk__ws *ws = id ? find_id(tmk__self, id) : NULL;
	struct tmk_workspace_opts checked;
	int err;

	if (!ws)
		return tmk_workspace_create(out, id, opts);
	if (opts) {
		err = tmk__ws_opts_check(&checked, opts);
		if (err)
			return err;
		if (!same_opts(&checked, &ws->opts))
			return tmk__error(-EEXIST,
					  "this thread has a workspace \"%s\" "
					  "with another configuration",
					  id);
	}
	*out = tmk__ws_handle(ws);
	return 0;
}

int tmk_workspace_lookup(struct tmk_workspace **out, const char *id)
{
	struct tmk__ws *ws = id ? find_id(tmk__self, id) : NULL;

	if (!ws)
		return tmk__error(-ENOENT,
				  "this thread has no workspace "
				  "\"%s\"",
				  id ? id : "");
	*out = tmk__ws_handle(ws);
	return 0;
}

/**
 * tmk__ws_destroy() - end a workspace, open or not
 * @ws: of this thread; if it is open, the caller has emptied the scope stack
 */
void tmk__ws_destroy(struct tmk__ws *ws)
{
	struct tmk__ws **link = &tmk__self->first;

	__atomic_store_n(&ws->cell->valid, 0, __ATOMIC_RELEASE);
	while (*link != ws)
		link = &(*link)->next;
	*link = ws->next;
	tmk__ws_spill_destroy(&ws->spill);
	tmk__ws_spill_destroy(&ws->pinned);
	tmk__ws_spill_destroy(&ws->outside);
	tmk__ws_block_destroy(ws);
	tmk__extent_free(ws->extent_first, ws->cell->gen);
	ws->extent_first = TMK__EXTENT_NONE;
	tmk__ws_place_free(ws);
}

int tmk_workspace_destroy(struct tmk_workspace *handle)
{
	struct tmk__ws *ws;
	int err;

	if (!handle)
		return 0;
	err = tmk__ws_mine(&ws, handle, "destroy");
	if (err)
		return err;
	if (ws->open)
		return tmk__error(-EBUSY,
				  "workspace \"%s\" is open: close it "
				  "before destroying it",
				  ws->id);
	tmk__ws_destroy(ws);
	return 0;
}

int tmk_workspace_destroy_all(void)
{
	struct tmk__thread *self = tmk__self;
	struct tmk__ws *ws;

	for (ws = self ? self->first : NULL; ws; ws = ws->next) {
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

	err = tmk__ws_mine(&ws, handle, "read");
	if (err)
		return err;
	*out = (struct tmk_workspace_info){
		.size = ws->size,
		.offset = ws->offset,
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
		.allocations = ws->allocations,
		.region_bytes = ws->region ? tmk_region_bytes(ws->region) :
					     ws->file.bytes,
		.open = ws->open,
	};
	return 0;
}

const struct tmk_region *tmk_workspace_region(const struct tmk_workspace *handle)
{
	struct tmk__ws *ws;

	if (tmk__ws_mine(&ws, handle, "read"))
		return NULL;
	return ws->region;
}
