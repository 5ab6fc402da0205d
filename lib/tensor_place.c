// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Tensors: moving between workspaces, and closing. What is asked to move to
 * where it is already is returned as it is, with one more reference; all else
 * is a dense copy. Every function looks at its tensor first.
 */
#include <errno.h>

#include "internal.h"
#include "tensor.h"

/* A dense copy in an open workspace, or outside of all if @ws is NULL. */
static int copy_to(struct tmk_tensor **out, struct tmk_tensor *tensor,
		   struct tmk__ws *ws)
{
	struct tmk__tensor *src;
	struct tmk_tensor *copy;
	int err;

	err = tmk__tensor_get_valid(&src, tensor, NULL);
	if (!err)
		err = tmk_tensor_create_in(&copy,
					   ws ? tmk__ws_handle(ws) : NULL, NULL,
					   src->dtype, src->rank, src->shape);
	if (err)
		return err;
	/* In a ring the new memory may be the old one's. */
	err = tmk__tensor_get_valid(&src, tensor, NULL);
	if (err) {
		tmk_tensor_put(copy);
		return err;
	}
	tmk__tensor_copy(tmk__handle_header(copy), src);
	*out = copy;
	return 0;
}

static int as_it_is(struct tmk_tensor **out, struct tmk_tensor *tensor)
{
	*out = tmk_tensor_get(tensor);
	return 0;
}

bool tmk_tensor_is_in_scope(const struct tmk_tensor *tensor)
{
	return tmk__handle_header(tensor);
}

int tmk_tensor_dup(struct tmk_tensor **out, struct tmk_tensor *tensor)
{
	return copy_to(out, tensor, tmk__ws_innermost());
}

int tmk_tensor_detach(struct tmk_tensor **out, struct tmk_tensor *tensor)
{
	struct tmk__tensor *t;
	int err;

	err = tmk__tensor_get_valid(&t, tensor, NULL);
	if (err)
		return err;
	return tmk__tensor_ws(tensor) ? copy_to(out, tensor, NULL) :
					as_it_is(out, tensor);
}

int tmk_tensor_migrate(struct tmk_tensor **out, struct tmk_tensor *tensor,
		       bool detach)
{
	struct tmk__ws *ws = tmk__ws_innermost();
	struct tmk__tensor *t;
	int err;

	err = tmk__tensor_get_valid(&t, tensor, NULL);
	if (err)
		return err;
	if (!ws && detach)
		return tmk_tensor_detach(out, tensor);
	if (!ws || tmk__tensor_ws(tensor) == ws)
		return as_it_is(out, tensor);
	return copy_to(out, tensor, ws);
}

int tmk_tensor_leverage(struct tmk_tensor **out, struct tmk_tensor *tensor)
{
	struct tmk__ws *parent = tmk__ws_parent(), *own;
	struct tmk__tensor *t;
	int err;

	err = tmk__tensor_get_valid(&t, tensor, NULL);
	if (err)
		return err;
	own = tmk__tensor_ws(tensor);
	if (!own || own == parent)
		return as_it_is(out, tensor);
	return copy_to(out, tensor, parent);
}

int tmk_tensor_leverage_to(struct tmk_tensor **out, struct tmk_tensor *tensor,
			   struct tmk_workspace *handle)
{
	struct tmk__tensor *t;
	struct tmk__ws *ws;
	int err;

	err = tmk__tensor_get_valid(&t, tensor, NULL);
	if (!err)
		err = tmk__ws_enter(&ws, handle, "leverage to");
	if (err)
		return err;
	tmk__ws_leave(ws);
	if (!tmk__tensor_ws(tensor) || tmk__tensor_ws(tensor) == ws)
		return as_it_is(out, tensor);
	return copy_to(out, tensor, ws);
}

int tmk_tensor_leverage_or_detach(struct tmk_tensor **out,
				  struct tmk_tensor *tensor,
				  struct tmk_workspace *handle)
{
	struct tmk__tensor *t;
	struct tmk__ws *ws;
	bool open = false;
	int err;

	err = tmk__tensor_get_valid(&t, tensor, NULL);
	if (err)
		return err;
	if (!tmk__ws_enter(&ws, handle, "leverage to")) {
		open = tmk__ws_is_open_here(ws);
		tmk__ws_leave(ws);
	}
	return open ? tmk_tensor_leverage_to(out, tensor, handle) :
		      tmk_tensor_detach(out, tensor);
}

bool tmk_tensor_is_closeable(const struct tmk_tensor *tensor)
{
	const struct tmk__tensor *t = tmk__handle_header(tensor);

	return t && !tmk__tensor_ws(tensor) && (t->owner || !t->region);
}

int tmk_tensor_close(struct tmk_tensor *tensor)
{
	struct tmk_region *region;
	struct tmk__tensor *t;
	uint32_t refs = 1;
	struct tmk__ws *ws;
	int err;

	err = tmk__tensor_get_valid(&t, tensor, NULL);
	if (err)
		return err;
	ws = tmk__tensor_ws(tensor);
	if (ws)
		return tmk__error(-EINVAL,
				  "the tensor cannot be closed: its memory is "
				  "of workspace \"%s\" and goes with the scope",
				  ws->id);
	if (!tmk_tensor_is_closeable(tensor))
		return tmk__error(-EINVAL,
				  "the tensor cannot be closed: it is a view, "
				  "its memory is another one's");
	region = t->region;
	if (region && __atomic_load_n(&t->viewed, __ATOMIC_RELAXED))
		refs += tmk__detached_end(region);
	tmk__detached_free(tensor);
	while (region && refs--)
		tmk_region_put(region);
	return 0;
}
