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
	snprintf(ws->id, sizeof(ws->id), "%s", id);
	ws->opts = checked;
	ws->mask = checked.alignment - 1;
	name_region(ws);
	err = tmk__ws_block_create(ws, tmk__ws_size_initial(&ws->opts));
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
	tmk__ws_spill_free(ws);
	free(ws->spill.chunks);
	ws->spill.chunks = NULL;
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
		.spilled_bytes = ws->spilled_bytes,
		.spilled_count = ws->spilled_count,
		.spilled_total = ws->spilled_total,
		.external_count = ws->spilled_count,
		.allocations = ws->allocations,
		.region_bytes = ws->region ? tmk_region_bytes(ws->region) : 0,
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
