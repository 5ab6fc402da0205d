// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Views: tensors over another tensor's elements. A view's header comes from
 * where its base's comes from, so a view has its base's scope and generation
 * whichever workspace is innermost; outside of workspaces it holds a reference
 * of the region of its own, and the base may be put before it.
 */
#include <errno.h>
#include <inttypes.h>

#include "internal.h"
#include "tensor.h"

/* A header that will be a view of @base: to be filled in, then committed. */
struct view {
	struct tmk_tensor *handle;
	struct tmk__tensor *header;
	struct tmk__tensor *base;
	struct tmk__ws *ws; /* NULL if detached */
};

/* The base is in a shared workspace, which is locked until the view is made. */
static int enter_other(struct view *v, const struct tmk_tensor *base)
{
	int err =
		tmk__ws_enter(&v->ws, tmk__ws_handle(v->ws), "make a view in");
	int stale = tmk_tensor_check(base, "base");

	/* From here on its cycle cannot end, but it may have. */
	if (!err && stale)
		tmk__ws_leave(v->ws);
	return stale ? stale : err;
}

static int view_begin(struct view *v, const struct tmk_tensor *base)
{
	struct tmk__tensor *t;
	int err;

	err = tmk__tensor_get_valid(&t, base, "base");
	if (err)
		return err;
	v->base = t;
	v->ws = tmk__tensor_ws(base);
	if (!v->ws)
		return tmk__detached_take(&v->handle, &v->header);
	if (!tmk__ws_is_mine(v->ws)) {
		err = enter_other(v, base);
		if (err)
			return err;
	}
	err = tmk__ws_slot_take(&v->handle, &v->header, v->ws);
	if (err)
		tmk__ws_leave(v->ws);
	return err;
}

static void view_commit(struct tmk_tensor **out, struct view *v)
{
	struct tmk__tensor *t = v->header;

	t->dtype = v->base->dtype;
	t->dense = tmk__layout_is_dense(t->rank, t->shape, t->strides);
	if (v->ws) {
		tmk__ws_slot_commit(t, v->ws, v->base->mark);
		tmk__ws_leave(v->ws);
	} else {
		t->owner = false;
		__atomic_store_n(&v->base->viewed, true, __ATOMIC_RELAXED);
		if (v->base->region)
			tmk__tensor_region_set(t,
					       tmk_region_get(v->base->region));
	}
	*out = v->handle;
}

static void copy_shape(struct tmk__tensor *t, const struct tmk__tensor *base)
{
	int i;

	t->data = base->data;
	t->nr = base->nr;
	t->rank = base->rank;
	for (i = 0; i < base->rank; i++) {
		t->shape[i] = base->shape[i];
		t->strides[i] = base->strides[i];
	}
}

static int check_dim(const struct tmk__tensor *t, int dim)
{
	if (dim < 0 || dim >= t->rank)
		return tmk__error(-EINVAL,
				  "dimension %d of a tensor of rank %d", dim,
				  t->rank);
	return 0;
}

int tmk_tensor_slice(struct tmk_tensor **out, struct tmk_tensor *base, int dim,
		     int64_t begin, int64_t end)
{
	struct tmk__tensor *b, *t;
	struct view v;
	int err;

	err = tmk__tensor_get_valid(&b, base, "base");
	if (!err)
		err = check_dim(b, dim);
	if (err)
		return err;
	if (begin < 0 || begin > end || end > b->shape[dim])
		return tmk__error(-ERANGE,
				  "slice %" PRId64 "..%" PRId64 " of "
				  "dimension %d, which has %" PRId64,
				  begin, end, dim, b->shape[dim]);
	err = view_begin(&v, base);
	if (err)
		return err;
	t = v.header;
	copy_shape(t, b);
	t->shape[dim] = end - begin;
	if (b->nr) {
		t->nr = b->nr / b->shape[dim] * (end - begin);
		/* An empty view has no first element to point at. */
		if (t->nr)
			t->data += begin * b->strides[dim] *
				   (int64_t)tmk_dtype_bytes(b->dtype);
	}
	view_commit(out, &v);
	return 0;
}

int tmk_tensor_transpose(struct tmk_tensor **out, struct tmk_tensor *base,
			 int dim_a, int dim_b)
{
	struct tmk__tensor *b, *t;
	struct view v;
	int err;

	err = tmk__tensor_get_valid(&b, base, "base");
	if (!err)
		err = check_dim(b, dim_a);
	if (!err)
		err = check_dim(b, dim_b);
	if (!err)
		err = view_begin(&v, base);
	if (err)
		return err;
	t = v.header;
	copy_shape(t, b);
	t->shape[dim_a] = b->shape[dim_b];
	t->shape[dim_b] = b->shape[dim_a];
	t->strides[dim_a] = b->strides[dim_b];
	t->strides[dim_b] = b->strides[dim_a];
	view_commit(out, &v);
	return 0;
}

int tmk_tensor_reshape(struct tmk_tensor **out, struct tmk_tensor *base,
		       int rank, const int64_t *shape)
{
	struct tmk__layout l;
	struct tmk__tensor *b, *t;
	struct view v;
	int err, i;

	err = tmk__tensor_get_valid(&b, base, "base");
	if (!err)
		err = tmk__layout_dense(&l, b->dtype, rank, shape);
	if (err)
		return err;
	if (l.nr != b->nr)
		return tmk__error(-EINVAL,
				  "reshape from %" PRId64 " elements to "
				  "%" PRId64,
				  b->nr, l.nr);
	if (!b->dense)
		return tmk__error(-EINVAL,
				  "reshape of a view with gaps: make a copy "
				  "with tmk_tensor_dup() first");
	err = view_begin(&v, base);
	if (err)
		return err;
	t = v.header;
	t->data = b->data;
	t->nr = l.nr;
	t->rank = (uint8_t)rank;
	for (i = 0; i < rank; i++) {
		t->shape[i] = l.shape[i];
		t->strides[i] = l.strides[i];
	}
	view_commit(out, &v);
	return 0;
}
