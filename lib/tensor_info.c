// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Tensors: asking, and the sentence for one that may not be used. Whether it
 * may is decided in one place, tmk__handle_header(); a tensor that may not is
 * never looked into: what is said of it comes from the tables (handle.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "internal.h"
#include "tensor.h"

/* The sentence for a tensor of a workspace that still lives. */
static int stale_alive(const char *what, const struct tmk__ws_epitaph *it,
		       const struct tmk__handle_origin *from)
{
	const struct tmk__cell *cell = &tmk__handles.cells[from->cell];
	uint64_t met = __atomic_load_n(&cell->gen, __ATOMIC_RELAXED);
	bool open = __atomic_load_n(&cell->valid, __ATOMIC_RELAXED);

	if (it->inherited)
		return tmk__error(-ESTALE,
				  "%s: its workspace \"%s\" is of the parent "
				  "process, it was made there in generation "
				  "%" PRIu64,
				  what, it->id, from->gen - it->gen_base);
	if (open && from->gen == met)
		return tmk__error(-ESTALE,
				  "%s was released before, in "
				  "workspace \"%s\"",
				  what, it->id);
	return tmk__error(-ESTALE,
			  "%s: its workspace \"%s\" is at generation %" PRIu64
			  "%s, it was made in %" PRIu64,
			  what, it->id, met - it->gen_base,
			  open ? "" : " (closed)", from->gen - it->gen_base);
}

/**
 * tmk__tensor_stale() - say why a tensor may not be used
 * @handle: tmk__handle_header() found nothing for it
 * @name: what to call it, or NULL
 *
 * Return: -EINVAL if it never was a tensor, else -ESTALE; with a sentence.
 */
int tmk__tensor_stale(const struct tmk_tensor *handle, const char *name)
{
	struct tmk__handle_origin from;
	struct tmk__ws_epitaph it = { .id = "" };
	char what[64];

	snprintf(what, sizeof(what), "%s%s", name ? "argument " : "the tensor",
		 name ? name : "");
	if (!handle)
		return tmk__error(-EINVAL, "%s is NULL", what);
	tmk__handle_origin(&from, handle);
	if (!from.known)
		return tmk__error(-EINVAL, "%s is no tensor (%p)", what,
				  handle);
	if (!from.attached)
		return tmk__error(-ESTALE, "%s was released before", what);
	if (from.cell)
		tmk__ws_epitaph(&it, from.cell - TMK__CELL_FIRST, from.life);
	if (!*it.id)
		return tmk__error(-ESTALE, "%s: its workspace was destroyed",
				  what);
	if (!it.alive)
		return tmk__error(-ESTALE,
				  "%s: its workspace \"%s\" was destroyed, it "
				  "was made in generation %" PRIu64,
				  what, it.id, from.gen - it.gen_base);
	return stale_alive(what, &it, &from);
}

int tmk_tensor_check(const struct tmk_tensor *tensor, const char *name)
{
	return tmk__handle_header(tensor) ? 0 : tmk__tensor_stale(tensor, name);
}

bool tmk_tensor_is_attached(const struct tmk_tensor *tensor)
{
	struct tmk__handle_origin from;

	if (tmk__handle_header(tensor))
		return tmk__tensor_ws(tensor);
	tmk__handle_origin(&from, tensor);
	return from.attached;
}

struct tmk_workspace *tmk_tensor_workspace(const struct tmk_tensor *tensor)
{
	struct tmk__handle_origin from;
	struct tmk_workspace *handle;
	struct tmk__ws *ws;

	tmk__handle_origin(&from, tensor);
	if (!from.cell)
		return NULL;
	handle = tmk__ws_handle_make(from.cell - TMK__CELL_FIRST, from.life);
	return tmk__ws_is_alive(&ws, handle) ? handle : NULL;
}

void *tmk_tensor_data(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;

	return tmk__tensor_get_valid(&t, tensor, NULL) ? NULL : t->data;
}

enum tmk_dtype tmk_tensor_dtype(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;

	return tmk__tensor_get_valid(&t, tensor, NULL) ? 0 : t->dtype;
}

int tmk_tensor_rank(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;
	int err = tmk__tensor_get_valid(&t, tensor, NULL);

	return err ? err : t->rank;
}

const int64_t *tmk_tensor_shape(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;

	return tmk__tensor_get_valid(&t, tensor, NULL) ? NULL : t->shape;
}

const int64_t *tmk_tensor_strides(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;

	return tmk__tensor_get_valid(&t, tensor, NULL) ? NULL : t->strides;
}

int64_t tmk_tensor_nr(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;
	int err = tmk__tensor_get_valid(&t, tensor, NULL);

	return err ? err : t->nr;
}

bool tmk_tensor_is_dense(const struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;

	return !tmk__tensor_get_valid(&t, tensor, NULL) && t->dense;
}
