// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Walking over tensors with any strides, copying between them, and finding out
 * whether two of them share an element. Works on headers that were found valid;
 * nothing here fails or allocates. Strides are never negative.
 */
#include <string.h>

#include "internal.h"
#include "tensor.h"

/**
 * tmk__tensor_same_shape() - have both the same rank and sizes?
 * @a: one
 * @b: the other
 */
bool tmk__tensor_same_shape(const struct tmk__tensor *a,
			    const struct tmk__tensor *b)
{
	return a->rank == b->rank &&
	       !memcmp(a->shape, b->shape, a->rank * sizeof(a->shape[0]));
}

/**
 * tmk__tensor_same_place() - is element for element the same memory meant?
 * @a: one
 * @b: the other, of the same shape
 */
bool tmk__tensor_same_place(const struct tmk__tensor *a,
			    const struct tmk__tensor *b)
{
	int i;

	for (i = 0; i < a->rank; i++) {
		if (a->shape[i] > 1 && a->strides[i] != b->strides[i])
			return false;
	}
	return a->data == b->data;
}

/**
 * tmk__rows_begin() - the first row
 * @rows: the walk; @rows->left is 0 if there is nothing to visit
 * @nr: how many tensors, at most TMK__ROWS_MAX
 * @tensors: the first gives the shape; the others have the same, or fewer
 *	dimensions or a size of 1 before the last one
 */
void tmk__rows_begin(struct tmk__rows *rows, int nr,
		     const struct tmk__tensor *const *tensors)
{
	const struct tmk__tensor *t = tensors[0];
	bool whole = true;
	int64_t size;
	int i, k, dim;

	for (k = 0; k < nr; k++)
		whole &= tensors[k]->dense && tensors[k]->nr == t->nr;
	rows->nr = nr;
	rows->outer = whole || !t->rank ? 0 : t->rank - 1;
	rows->n = whole ? t->nr : t->rank ? t->shape[t->rank - 1] : 1;
	rows->left = t->nr ? t->nr / rows->n : 0;
	for (i = 0; i < rows->outer; i++) {
		rows->index[i] = 0;
		rows->shape[i] = t->shape[i];
	}
	for (k = 0; k < nr; k++) {
		size = (int64_t)tmk_dtype_bytes(tensors[k]->dtype);
		rows->at[k] = tensors[k]->data;
		rows->step[k] =
			whole ? 1 : tensors[k]->strides[tensors[k]->rank - 1];
		for (i = 0; i < rows->outer; i++) {
			dim = i - (t->rank - tensors[k]->rank);
			/* Where there is but one row it is visited again. */
			if (dim < 0 || tensors[k]->shape[dim] == 1)
				rows->skip[k][i] = 0;
			else
				rows->skip[k][i] =
					tensors[k]->strides[dim] * size;
		}
	}
}

/**
 * tmk__rows_next() - the next row
 * @rows: the walk; @rows->left tells whether there is one
 */
void tmk__rows_next(struct tmk__rows *rows)
{
	int i, k;

	if (!--rows->left)
		return;
	for (i = rows->outer - 1; i >= 0; i--) {
		for (k = 0; k < rows->nr; k++)
			rows->at[k] += rows->skip[k][i];
		if (++rows->index[i] < rows->shape[i])
			return;
		for (k = 0; k < rows->nr; k++)
			rows->at[k] -= rows->skip[k][i] * rows->shape[i];
		rows->index[i] = 0;
	}
}

/* Constant sizes at each call make this a load and a store an element. */
static inline __attribute__((always_inline)) void copy_row(
	char *dst, int64_t dst_step, const char *src, int64_t src_step,
	int64_t n, size_t size)
{
	int64_t i;

	if (dst_step == 1 && src_step == 1) {
		memcpy(dst, src, (size_t)n * size);
		return;
	}
	for (i = 0; i < n; i++) {
		memcpy(dst, src, size);
		dst += dst_step * (int64_t)size;
		src += src_step * (int64_t)size;
	}
}

/**
 * tmk__tensor_copy() - copy all elements
 * @dst: where to
 * @src: where from: same type and shape, no element in common
 */
void tmk__tensor_copy(struct tmk__tensor *dst, const struct tmk__tensor *src)
{
	const struct tmk__tensor *both[] = { dst, src };
	size_t size = tmk_dtype_bytes(dst->dtype);
	struct tmk__rows r;

	for (tmk__rows_begin(&r, 2, both); r.left; tmk__rows_next(&r)) {
		switch (size) {
		case 1:
			copy_row(r.at[0], r.step[0], r.at[1], r.step[1], r.n,
				 1);
			break;
		case 2:
			copy_row(r.at[0], r.step[0], r.at[1], r.step[1], r.n,
				 2);
			break;
		case 4:
			copy_row(r.at[0], r.step[0], r.at[1], r.step[1], r.n,
				 4);
			break;
		case 8:
			copy_row(r.at[0], r.step[0], r.at[1], r.step[1], r.n,
				 8);
			break;
		default:
			copy_row(r.at[0], r.step[0], r.at[1], r.step[1], r.n,
				 size);
		}
	}
}

/* One past the last byte that a tensor with elements reaches. */
static const char *end_of(const struct tmk__tensor *t)
{
	int64_t last = 0;
	int i;

	for (i = 0; i < t->rank; i++)
		last += (t->shape[i] - 1) * t->strides[i];
	return t->data + (last + 1) * (int64_t)tmk_dtype_bytes(t->dtype);
}

/* A dimension of the difference of two index sets: from @lo to @hi strides. */
struct span {
	int64_t stride;
	int64_t lo;
	int64_t hi;
};

/* Can @distance be made of one multiple of each span's stride? */
static bool reachable(const struct span *spans, int nr, int64_t distance)
{
	int64_t lo = 0, hi = 0, k, last;
	int i;

	if (!nr)
		return !distance;
	/* What the smaller strides can make up for. */
	for (i = 1; i < nr; i++) {
		lo += spans[i].lo * spans[i].stride;
		hi += spans[i].hi * spans[i].stride;
	}
	/* Rounded towards 0: perhaps one more than need be tried, none less. */
	k = -((hi - distance) / spans[0].stride);
	last = (distance - lo) / spans[0].stride;
	if (k < spans[0].lo)
		k = spans[0].lo;
	if (last > spans[0].hi)
		last = spans[0].hi;
	for (; k <= last; k++) {
		if (reachable(spans + 1, nr - 1,
			      distance - k * spans[0].stride))
			return true;
	}
	return false;
}

/* Fills spans by falling stride. False if the strides are of two kinds. */
static bool make_spans(struct span *spans, int *nr, const struct tmk__tensor *a,
		       const struct tmk__tensor *b)
{
	struct span s;
	int i, j;

	*nr = 0;
	for (i = 0; i < a->rank; i++) {
		if (a->shape[i] == 1 && b->shape[i] == 1)
			continue;
		if (a->shape[i] > 1 && b->shape[i] > 1 &&
		    a->strides[i] != b->strides[i])
			return false;
		s.stride = a->shape[i] > 1 ? a->strides[i] : b->strides[i];
		s.lo = 1 - b->shape[i];
		s.hi = a->shape[i] - 1;
		for (j = (*nr)++; j > 0 && spans[j - 1].stride < s.stride; j--)
			spans[j] = spans[j - 1];
		spans[j] = s;
	}
	return true;
}

/**
 * tmk__tensor_overlaps() - may writing one change the other?
 * @a: one
 * @b: the other
 *
 * Exact for two views with the same strides, as two slices of one tensor have;
 * for views of different shape or order, whether the ranges of bytes meet.
 */
bool tmk__tensor_overlaps(const struct tmk__tensor *a,
			  const struct tmk__tensor *b)
{
	int64_t size = (int64_t)tmk_dtype_bytes(a->dtype);
	struct span spans[TMK_RANK_MAX];
	int64_t bytes;
	int nr;

	if (!a->nr || !b->nr || a->data >= end_of(b) || b->data >= end_of(a))
		return false;
	bytes = b->data - a->data;
	if (a->rank != b->rank || a->dtype != b->dtype || bytes % size ||
	    !make_spans(spans, &nr, a, b))
		return true;
	return reachable(spans, nr, bytes / size);
}
