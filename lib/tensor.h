/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The inside of tensors, shared by tensor*.c and the arithmetic in blas/.
 * handle.h has the header and says what a handle is.
 */
#ifndef TMK_TENSOR_INSIDE_H
#define TMK_TENSOR_INSIDE_H

#include "handle.h"
#include "ws.h"

/* What a tensor's header says of its shape. */
struct tmk__layout {
	enum tmk_dtype dtype;
	int rank;
	int64_t nr;
	size_t bytes;
	int64_t shape[TMK_RANK_MAX];
	int64_t strides[TMK_RANK_MAX];
};

/*
 * Visits tensors of one shape row by row, the last dimension being a row: for
 * each row the address in each tensor. Where all are dense the whole is one
 * row. A tensor of fewer dimensions is visited again for each row of the rest.
 */
#define TMK__ROWS_MAX 3

struct tmk__rows {
	int64_t n; /* elements in a row */
	int64_t left; /* rows to come, this one included */
	int outer; /* dimensions that are counted through */
	int nr; /* tensors */
	int64_t index[TMK_RANK_MAX];
	int64_t shape[TMK_RANK_MAX];
	char *at[TMK__ROWS_MAX]; /* the row in each tensor */
	int64_t step[TMK__ROWS_MAX]; /* from element to element, in elements */
	int64_t skip[TMK__ROWS_MAX][TMK_RANK_MAX]; /* in bytes */
};

/* tensor.c */
int tmk__layout_dense(struct tmk__layout *out, enum tmk_dtype dtype, int rank,
		      const int64_t *shape);
bool tmk__layout_is_dense(int rank, const int64_t *shape,
			  const int64_t *strides);

/* tensor_info.c */
int tmk__tensor_stale(const struct tmk_tensor *handle, const char *name);

/* tensor_copy.c */
void tmk__tensor_copy(struct tmk__tensor *dst, const struct tmk__tensor *src);
bool tmk__tensor_overlaps(const struct tmk__tensor *a,
			  const struct tmk__tensor *b);
bool tmk__tensor_same_shape(const struct tmk__tensor *a,
			    const struct tmk__tensor *b);
bool tmk__tensor_same_place(const struct tmk__tensor *a,
			    const struct tmk__tensor *b);
void tmk__rows_begin(struct tmk__rows *rows, int nr,
		     const struct tmk__tensor *const *tensors);
void tmk__rows_next(struct tmk__rows *rows);

/**
 * tmk__tensor_get_valid() - the header of an argument
 * @out: the header
 * @handle: the argument
 * @name: what to call it in the sentence
 *
 * Return: 0; -EINVAL or -ESTALE with a sentence.
 */
static inline int tmk__tensor_get_valid(struct tmk__tensor **out,
					const struct tmk_tensor *handle,
					const char *name)
{
	struct tmk__tensor *t = tmk__handle_header(handle);

	*out = t; /* NULL on failure */
	return __builtin_expect(!t, 0) ? tmk__tensor_stale(handle, name) : 0;
}

/** tmk__tensor_region_set() - of a detached one; see tmk__detached_end() */
static inline void tmk__tensor_region_set(struct tmk__tensor *t,
					  struct tmk_region *region)
{
	__atomic_store_n(&t->region, region, __ATOMIC_RELAXED);
}

/** tmk__tensor_ws() - the workspace of a valid tensor, NULL if detached */
static inline struct tmk__ws *tmk__tensor_ws(const struct tmk_tensor *handle)
{
	uint32_t extent = tmk__handle_slot(handle) / TMK__EXTENT_SLOTS;
	uint64_t cell = __atomic_load_n(&tmk__handles.extents[extent].word,
					__ATOMIC_ACQUIRE) >>
			TMK__SEQ_BITS;

	if (cell == TMK__CELL_DETACHED)
		return NULL;
	return &tmk__ws_table.ws[cell - TMK__CELL_FIRST];
}

#endif /* TMK_TENSOR_INSIDE_H */
