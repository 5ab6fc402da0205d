// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Tensors: creating and giving back. A tensor's header comes from
 * its workspace's extents or from the detached ones (handle.c), its elements
 * from the workspace or from a region of which the header holds a reference.
 */
#include <errno.h>
#include <inttypes.h>

#include "internal.h"
#include "tensor.h"

/* Where tensors without elements point: not NULL, never read or written. */
static char nowhere[64] __attribute__((aligned(64)));

/* All can be held, copied and viewed; arithmetic says itself what it takes. */
static const struct {
	const char *name;
	size_t bytes;
} dtypes[] = {
	[TMK_F32] = { "f32", 4 }, [TMK_F64] = { "f64", 8 },
	[TMK_F16] = { "f16", 2 }, [TMK_BF16] = { "bf16", 2 },
	[TMK_I64] = { "i64", 8 }, [TMK_I32] = { "i32", 4 },
	[TMK_I16] = { "i16", 2 }, [TMK_I8] = { "i8", 1 },
	[TMK_U8] = { "u8", 1 },	  [TMK_BOOL] = { "bool", 1 },
	[TMK_C64] = { "c64", 8 }, [TMK_C128] = { "c128", 16 },
};

static bool dtype_known(enum tmk_dtype dtype)
{
	return (unsigned int)dtype < sizeof(dtypes) / sizeof(dtypes[0]) &&
	       dtypes[dtype].name;
}

size_t tmk_dtype_bytes(enum tmk_dtype dtype)
{
	return dtype_known(dtype) ? dtypes[dtype].bytes : 0;
}

const char *tmk_dtype_name(enum tmk_dtype dtype)
{
	return dtype_known(dtype) ? dtypes[dtype].name : "?";
}

/* Say what is wrong with a type and a shape; something is. */
static __attribute__((noinline)) int layout_refuse(enum tmk_dtype dtype,
						   int rank,
						   const int64_t *shape)
{
	int i;

	if (!dtype_known(dtype))
		return tmk__error(-EINVAL, "%d is no tensor type", (int)dtype);
	if (rank < 0 || rank > TMK_RANK_MAX)
		return tmk__error(-EINVAL,
				  "a tensor of rank %d: 0 to %d are "
				  "possible",
				  rank, TMK_RANK_MAX);
	if (rank && !shape)
		return tmk__error(-EINVAL, "a tensor of rank %d needs a shape",
				  rank);
	for (i = 0; i < rank; i++) {
		if (shape[i] < 0)
			return tmk__error(-EINVAL,
					  "size %d of the shape is negative "
					  "(%" PRId64 ")",
					  i, shape[i]);
	}
	return tmk__error(-EOVERFLOW,
			  "a tensor of this shape has more elements than "
			  "memory can hold");
}

/* Where a layout is written to: into a tensor's header, or aside. */
struct dense {
	int64_t *shape;
	int64_t *strides;
	int64_t nr;
	size_t bytes;
};

/*
 * Row-major strides and byte count. Strides are made as if empty dimensions had
 * one element, so that they, too, are bounded. Return: false if something is wrong.
 */
static inline bool dense_fill(struct dense *out, enum tmk_dtype dtype, int rank,
			      const int64_t *shape)
{
	int64_t stride = 1, bytes, n;
	bool empty = false;
	int i;

	if (!dtype_known(dtype) || (unsigned int)rank > TMK_RANK_MAX)
		return false;
	if (__builtin_expect(!shape, 0) && rank)
		return false;
	for (i = rank - 1; i >= 0; i--) {
		n = shape[i];
		out->shape[i] = n;
		out->strides[i] = stride;
		if (n > 0 && !__builtin_mul_overflow(stride, n, &stride))
			continue;
		if (n)
			return false;
		empty = true;
	}
	if (__builtin_mul_overflow(stride, (int64_t)dtypes[dtype].bytes,
				   &bytes))
		return false;
	out->nr = empty ? 0 : stride;
	out->bytes = empty ? 0 : (size_t)bytes;
	return true;
}

/**
 * tmk__layout_dense() - row-major strides and byte count for a shape
 * @out: the layout
 * @dtype: element type
 * @rank: how many sizes
 * @shape: the sizes
 *
 * Return: 0; -EINVAL or -EOVERFLOW with a sentence.
 */
int tmk__layout_dense(struct tmk__layout *out, enum tmk_dtype dtype, int rank,
		      const int64_t *shape)
{
	struct dense dense = { .shape = out->shape, .strides = out->strides };

	if (!dense_fill(&dense, dtype, rank, shape))
		return layout_refuse(dtype, rank, shape);
	out->dtype = dtype;
	out->rank = rank;
	out->nr = dense.nr;
	out->bytes = dense.bytes;
	return 0;
}

/**
 * tmk__layout_is_dense() - are the elements in row-major order without gaps?
 * @rank: how many dimensions
 * @shape: their sizes
 * @strides: their strides in elements; of no meaning where the size is 1
 */
bool tmk__layout_is_dense(int rank, const int64_t *shape,
			  const int64_t *strides)
{
	int64_t expect = 1;
	bool dense = true;
	int i;

	for (i = rank - 1; i >= 0; i--) {
		if (!shape[i])
			return true;
		if (shape[i] != 1 && strides[i] != expect)
			dense = false;
		expect *= shape[i];
	}
	return dense;
}

static void header_fill(struct tmk__tensor *t, const struct tmk__layout *l,
			void *data)
{
	int i;

	t->data = data;
	t->nr = l->nr;
	t->dtype = (uint8_t)l->dtype;
	t->rank = (uint8_t)l->rank;
	t->dense = true;
	for (i = 0; i < l->rank; i++) {
		t->shape[i] = l->shape[i];
		t->strides[i] = l->strides[i];
	}
}

/* Where it is remembered what the program has: what this tensor is. */
static void describe(const struct tmk_tensor *handle,
		     const struct tmk__layout *l, size_t bytes, int kind)
{
	char name[TMK__HOLDER_NAME];
	size_t len;
	int i;

	if (!tmk__debug())
		return;
	len = (size_t)snprintf(name, sizeof(name), "%s", dtypes[l->dtype].name);
	for (i = 0; i < l->rank && len < sizeof(name); i++)
		len += (size_t)snprintf(name + len, sizeof(name) - len,
					"%s%" PRId64, i ? " x " : " ",
					l->shape[i]);
	tmk__holder_describe(TMK__HOLDER_TENSOR, (uintptr_t)handle, bytes, kind,
			     name);
}

static int create_detached(struct tmk_tensor **out,
			   const struct tmk_region_opts *opts,
			   const struct tmk__layout *l)
{
	struct tmk_region_opts defaults = TMK_REGION_OPTS_INIT;
	struct tmk_region *region = NULL;
	struct tmk_tensor *handle;
	struct tmk__tensor *t;
	void *data = nowhere;
	int err;

	err = tmk__detached_take(&handle, &t);
	if (err)
		return err;
	if (l->bytes) {
		defaults.kind = tmk__kind_for(l->bytes);
		defaults.name = "tensor";
		err = tmk__region_create_for(&region, l->bytes,
					     opts ? opts : &defaults,
					     TMK_USE_GENERAL);
		if (err) {
			tmk__detached_free(handle);
			return err;
		}
		data = tmk_region_data(region);
	}
	header_fill(t, l, data);
	tmk__tensor_region_set(t, region);
	t->owner = region;
	t->viewed = false;
	describe(handle, l, region ? tmk_region_bytes(region) : 0,
		 opts ? (int)opts->kind : (int)defaults.kind);
	*out = handle;
	return 0;
}

/*
 * @ws is open, not bypassed, and locked if it is shared. The header is written in
 * place: nobody has a handle of it until it is committed.
 */
static inline int create_attached(struct tmk_tensor **out, struct tmk__ws *ws,
				  enum tmk_dtype dtype, int rank,
				  const int64_t *shape)
{
	struct tmk_tensor *handle;
	void *data = nowhere, *beside;
	struct tmk__tensor *t;
	struct dense dense;
	int err;

	err = tmk__ws_slot_take(&handle, &t, ws);
	if (err)
		return err;
	dense.shape = t->shape;
	dense.strides = t->strides;
	if (!dense_fill(&dense, dtype, rank, shape))
		return layout_refuse(dtype, rank, shape);
	if (tmk__ws_has_room(ws, dense.bytes)) {
		data = tmk__ws_bump(ws, dense.bytes);
	} else if (dense.bytes) {
		err = tmk__ws_alloc_slow(&beside, ws, dense.bytes, false);
		if (err)
			return err;
		data = beside;
	}
	t->data = data;
	t->nr = dense.nr;
	t->dtype = (uint8_t)dtype;
	t->rank = (uint8_t)rank;
	t->dense = true;
	tmk__ws_slot_commit(t, ws, 0);
	*out = handle;
	return 0;
}

static __attribute__((noinline)) int create_outside(
	struct tmk_tensor **out, const struct tmk_region_opts *opts,
	enum tmk_dtype dtype, int rank, const int64_t *shape)
{
	struct tmk__layout l;
	int err;

	err = tmk__layout_dense(&l, dtype, rank, shape);
	return err ? err : create_detached(out, opts, &l);
}

static __attribute__((noinline)) int create_special(struct tmk_tensor **out,
						    struct tmk__ws *ws,
						    enum tmk_dtype dtype,
						    int rank,
						    const int64_t *shape)
{
	int err;

	if (ws->bypass)
		return create_outside(out, NULL, dtype, rank, shape);
	tmk__ws_lock(ws);
	err = create_attached(out, ws, dtype, rank, shape);
	tmk__ws_leave(ws);
	return err;
}

int tmk_tensor_create(struct tmk_tensor **out, enum tmk_dtype dtype, int rank,
		      const int64_t *shape)
{
	struct tmk__ws *ws = tmk__ws_top();

	/* What is on top is open and nothing special. */
	if (__builtin_expect(ws->handle != 0, 1))
		return create_attached(out, ws, dtype, rank, shape);
	ws = tmk__ws_innermost();
	return ws ? create_special(out, ws, dtype, rank, shape) :
		    create_outside(out, NULL, dtype, rank, shape);
}

int tmk_tensor_create_in(struct tmk_tensor **out, struct tmk_workspace *handle,
			 const struct tmk_region_opts *opts,
			 enum tmk_dtype dtype, int rank, const int64_t *shape)
{
	struct tmk__ws *ws;
	int err;

	if (handle && opts)
		return tmk__error(-EINVAL,
				  "region options are for a tensor outside of "
				  "workspaces, and a workspace is given");
	if (!handle)
		return create_outside(out, opts, dtype, rank, shape);
	err = tmk__ws_enter(&ws, handle, "allocate from");
	if (err)
		return err;
	/* If it is, then it stays so, and lives: this thread has it. */
	if (!tmk__ws_is_open_here(ws))
		err = tmk__ws_refuse_closed(ws);
	tmk__ws_leave(ws);
	if (err)
		return err;
	return ws->bypass || ws->shared ?
		       create_special(out, ws, dtype, rank, shape) :
		       create_attached(out, ws, dtype, rank, shape);
}

int tmk_tensor_from_region(struct tmk_tensor **out, struct tmk_region *region,
			   size_t offset, enum tmk_dtype dtype, int rank,
			   const int64_t *shape)
{
	struct tmk__layout l;
	struct tmk_tensor *handle;
	struct tmk__tensor *t;
	size_t room;
	int err;

	if (!region)
		return tmk__error(-EINVAL, "the region is NULL");
	err = tmk__layout_dense(&l, dtype, rank, shape);
	if (err)
		return err;
	if (offset % tmk_dtype_bytes(dtype))
		return tmk__error(-EINVAL,
				  "offset %zu is no multiple of the %zu bytes "
				  "of an element",
				  offset, tmk_dtype_bytes(dtype));
	room = tmk_region_bytes(region);
	if (offset > room || l.bytes > room - offset)
		return tmk__error(-ERANGE,
				  "%zu bytes at offset %zu do not fit in a "
				  "region of %zu bytes",
				  l.bytes, offset, room);
	err = tmk__detached_take(&handle, &t);
	if (err)
		return err;
	header_fill(t, &l, (char *)tmk_region_data(region) + offset);
	t->owner = false;
	tmk__tensor_region_set(t, tmk_region_get(region));
	describe(handle, &l, 0, 0);
	*out = handle;
	return 0;
}

struct tmk_tensor *tmk_tensor_get(struct tmk_tensor *tensor)
{
	struct tmk__tensor *t = tmk__handle_header(tensor);

	if (t)
		__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
	return tensor;
}

void tmk_tensor_put(struct tmk_tensor *tensor)
{
	struct tmk__tensor *t = tmk__handle_header(tensor);
	struct tmk_region *region;

	/* After its scope ended there is nothing left to give back. */
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (tmk__tensor_ws(tensor)) {
		/* The memory stays until the scope ends, the handle does not. */
		__atomic_store_n(&t->seq, 0, __ATOMIC_RELEASE);
		return;
	}
	region = t->region;
	tmk__detached_free(tensor);
	tmk_region_put(region);
}
