// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Operations on the rows of a matrix: sums, softmax, cross-entropy, argmax.
 * Sums are kept in double. Any strides; a row is read before it is written, so
 * that softmax and its gradient may be computed in place.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "blas.h"

#define COLS_AT_ONCE 64

/* A matrix by element: f32 or i32, any strides. */
static inline float *at(const struct tmk__tensor *t, int64_t row, int64_t col)
{
	return (float *)(void *)t->data + row * t->strides[0] +
	       col * t->strides[1];
}

static inline int32_t *at_i32(const struct tmk__tensor *t, int64_t i)
{
	return (int32_t *)(void *)t->data + i * t->strides[0];
}

/* An argument that is one value for each of @nr rows or columns. */
static int check_vector(const struct tmk__tensor *t, const char *name,
			int64_t nr)
{
	int err = tmk__arg_rank(t, name, 1);

	if (!err && t->shape[0] != nr)
		err = tmk__error(-EINVAL,
				 "%s has %" PRId64 " elements, must have "
				 "%" PRId64,
				 name, t->shape[0], nr);
	return err;
}

int tmk_tensor_sum_rows(struct tmk_tensor *out_handle,
			const struct tmk_tensor *x_handle)
{
	double sum[COLS_AT_ONCE];
	struct tmk__tensor *out, *x;
	int64_t row, col, i, n;
	float *to;
	int err;

	err = tmk__arg_get(&out, out_handle, "out", TMK_F32);
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = tmk__arg_rank(x, "x", 2);
	if (!err)
		err = check_vector(out, "out", x->shape[1]);
	if (!err)
		err = tmk__arg_apart(out, "out", x, "x");
	if (err)
		return err;
	to = (void *)out->data;
	for (col = 0; col < x->shape[1]; col += n) {
		n = x->shape[1] - col;
		if (n > COLS_AT_ONCE)
			n = COLS_AT_ONCE;
		for (i = 0; i < n; i++)
			sum[i] = 0;
		for (row = 0; row < x->shape[0]; row++) {
			const float *p = at(x, row, col);

			for (i = 0; i < n; i++)
				sum[i] += (double)p[i * x->strides[1]];
		}
		for (i = 0; i < n; i++)
			to[(col + i) * out->strides[0]] = (float)sum[i];
	}
	return 0;
}

static float row_max(const struct tmk__tensor *x, int64_t row)
{
	float max = *at(x, row, 0);
	int64_t col;

	for (col = 1; col < x->shape[1]; col++) {
		if (*at(x, row, col) > max)
			max = *at(x, row, col);
	}
	return max;
}

/* The largest element is taken off first: no exponential can overflow. */
static double row_exp_sum(const struct tmk__tensor *x, int64_t row, float max)
{
	double sum = 0;
	int64_t col;

	for (col = 0; col < x->shape[1]; col++)
		sum += (double)expf(*at(x, row, col) - max);
	return sum;
}

int tmk_tensor_softmax(struct tmk_tensor *out_handle,
		       const struct tmk_tensor *x_handle)
{
	struct tmk__tensor *out, *x;
	int64_t row, col;
	double scale;
	float max;
	int err;

	err = tmk__arg_get(&out, out_handle, "out", TMK_F32);
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = tmk__arg_rank(x, "x", 2);
	if (!err)
		err = tmk__arg_shape(out, "out", x, "x");
	if (!err)
		err = tmk__arg_apart_or_same(out, "out", x, "x");
	if (err || !x->nr)
		return err;
	for (row = 0; row < x->shape[0]; row++) {
		max = row_max(x, row);
		scale = 1 / row_exp_sum(x, row, max);
		for (col = 0; col < x->shape[1]; col++)
			*at(out, row, col) =
				(float)(expf(*at(x, row, col) - max) * scale);
	}
	return 0;
}

static int check_labels(const struct tmk__tensor *labels,
			const struct tmk__tensor *x)
{
	int64_t row;

	if (!x->nr)
		return tmk__error(-EINVAL, "x has no elements: there is no "
					   "mean over its rows");
	for (row = 0; row < x->shape[0]; row++) {
		int32_t label = *at_i32(labels, row);

		if (label < 0 || label >= x->shape[1])
			return tmk__error(-ERANGE,
					  "label %" PRId64 " is %" PRId32
					  ", must be 0 to %" PRId64,
					  row, label, x->shape[1] - 1);
	}
	return 0;
}

/* One row: returns its loss, writes its gradient divided by the rows. */
static double xent_row(struct tmk__tensor *dx, const struct tmk__tensor *x,
		       int64_t row, int32_t label)
{
	double sum, loss, rows = (double)x->shape[0];
	float max = row_max(x, row);
	int64_t col;

	sum = row_exp_sum(x, row, max);
	loss = log(sum) - (double)(*at(x, row, label) - max);
	for (col = 0; dx && col < x->shape[1]; col++) {
		double p = (double)expf(*at(x, row, col) - max) / sum;

		*at(dx, row, col) = (float)((p - (col == label)) / rows);
	}
	return loss;
}

int tmk_softmax_xent(float *loss, struct tmk_tensor *dx_handle,
		     const struct tmk_tensor *x_handle,
		     const struct tmk_tensor *labels_handle)
{
	struct tmk__tensor *dx = NULL, *x, *labels;
	double sum = 0;
	int64_t row;
	int err;

	err = dx_handle ? tmk__arg_get(&dx, dx_handle, "dx", TMK_F32) : 0;
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = tmk__arg_get(&labels, labels_handle, "labels", TMK_I32);
	if (!err)
		err = tmk__arg_rank(x, "x", 2);
	if (!err && dx)
		err = tmk__arg_shape(dx, "dx", x, "x");
	if (!err)
		err = check_vector(labels, "labels", x->shape[0]);
	if (!err && dx)
		err = tmk__arg_apart_or_same(dx, "dx", x, "x");
	if (!err && dx)
		err = tmk__arg_apart(dx, "dx", labels, "labels");
	if (!err)
		err = check_labels(labels, x);
	if (err)
		return err;
	for (row = 0; row < x->shape[0]; row++)
		sum += xent_row(dx, x, row, *at_i32(labels, row));
	*loss = (float)(sum / (double)x->shape[0]);
	return 0;
}

int tmk_tensor_argmax_rows(struct tmk_tensor *out_handle,
			   const struct tmk_tensor *x_handle)
{
	struct tmk__tensor *out, *x;
	int64_t row, col, best;
	int err;

	err = tmk__arg_get(&out, out_handle, "out", TMK_I32);
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = tmk__arg_rank(x, "x", 2);
	if (!err)
		err = check_vector(out, "out", x->shape[0]);
	if (!err)
		err = tmk__arg_apart(out, "out", x, "x");
	if (err)
		return err;
	if (x->shape[1] < 1 || x->shape[1] > INT32_MAX)
		return tmk__error(-EINVAL,
				  "the rows of x have %" PRId64 " elements: "
				  "no i32 can say which is the largest",
				  x->shape[1]);
	for (row = 0; row < x->shape[0]; row++) {
		best = 0;
		for (col = 1; col < x->shape[1]; col++) {
			if (*at(x, row, col) > *at(x, row, best))
				best = col;
		}
		*at_i32(out, row) = (int32_t)best;
	}
	return 0;
}
