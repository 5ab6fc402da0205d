// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Argument checks and their sentences, the choice of the engine, and the two
 * operations that engines do. The engine is chosen once for the process, by
 * the environment variable TMK_BLAS; a value that means nothing is an error of
 * every operation that needs an engine, not a reason to take another one.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#include "blas.h"

static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static const struct tmk__blas *engine; /* NULL: TMK_BLAS is junk */
static char engine_junk[32];

static void engine_choose(void)
{
	const char *want = tmk__env_get(TMK__ENV_BLAS);

	if (!want || !strcasecmp(want, "openblas"))
		engine = &tmk__blas_openblas;
	else if (!strcasecmp(want, "ref"))
		engine = &tmk__blas_ref;
	else
		snprintf(engine_junk, sizeof(engine_junk), "%s", want);
}

static int engine_get(const struct tmk__blas **out)
{
	pthread_once(&engine_once, engine_choose);
	*out = engine;
	if (!engine)
		return tmk__error(-EINVAL,
				  "the environment has TMK_BLAS=%s: it must be "
				  "openblas or ref",
				  engine_junk);
	return 0;
}

const char *tmk_blas_name(void)
{
	const struct tmk__blas *e;

	return engine_get(&e) ? "?" : e->name;
}

/**
 * tmk__shape_text() - a shape for people, as "3x4"
 * @buf: TMK__SHAPE_TEXT_BYTES
 * @t: the tensor
 *
 * Return: @buf.
 */
char *tmk__shape_text(char *buf, const struct tmk__tensor *t)
{
	size_t used = 0;
	int i;

	if (!t->rank)
		snprintf(buf, TMK__SHAPE_TEXT_BYTES, "a scalar");
	for (i = 0; i < t->rank; i++)
		used += (size_t)snprintf(buf + used,
					 TMK__SHAPE_TEXT_BYTES - used,
					 "%s%" PRId64, i ? "x" : "",
					 t->shape[i]);
	return buf;
}

/**
 * tmk__arg_get() - an argument's header: valid, and of the right type
 * @out: the header
 * @handle: the argument
 * @name: what to call it
 * @dtype: the type, or 0 for any
 *
 * Return: 0; -EINVAL or -ESTALE with a sentence.
 */
int tmk__arg_get(struct tmk__tensor **out, const struct tmk_tensor *handle,
		 const char *name, enum tmk_dtype dtype)
{
	int err = tmk__tensor_get_valid(out, handle, name);

	if (err)
		return err;
	if (dtype && (*out)->dtype != dtype)
		return tmk__error(-EINVAL, "%s is %s, must be %s", name,
				  tmk_dtype_name((*out)->dtype),
				  tmk_dtype_name(dtype));
	return 0;
}

/**
 * tmk__arg_shape() - has an argument the shape of another?
 * @t: the argument
 * @name: what to call it
 * @like: the other
 * @like_name: what to call that
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int tmk__arg_shape(const struct tmk__tensor *t, const char *name,
		   const struct tmk__tensor *like, const char *like_name)
{
	char have[TMK__SHAPE_TEXT_BYTES], must[TMK__SHAPE_TEXT_BYTES];

	if (tmk__tensor_same_shape(t, like))
		return 0;
	return tmk__error(-EINVAL, "%s is %s, must be %s as %s is", name,
			  tmk__shape_text(have, t), tmk__shape_text(must, like),
			  like_name);
}

/**
 * tmk__arg_rank() - has an argument so many dimensions?
 * @t: the argument
 * @name: what to call it
 * @rank: how many
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int tmk__arg_rank(const struct tmk__tensor *t, const char *name, int rank)
{
	char have[TMK__SHAPE_TEXT_BYTES];

	if (t->rank == rank)
		return 0;
	return tmk__error(-EINVAL, "%s is %s, must have %d dimension%s", name,
			  tmk__shape_text(have, t), rank, rank == 1 ? "" : "s");
}

/**
 * tmk__arg_apart() - an output must not share elements with an input
 * @out: the output
 * @out_name: what to call it
 * @in: the input
 * @in_name: what to call that
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int tmk__arg_apart(const struct tmk__tensor *out, const char *out_name,
		   const struct tmk__tensor *in, const char *in_name)
{
	if (!tmk__tensor_overlaps(out, in))
		return 0;
	return tmk__error(-EINVAL, "%s shares memory with %s", out_name,
			  in_name);
}

/**
 * tmk__arg_apart_or_same() - the same, but in place is fine
 * @out: the output
 * @out_name: what to call it
 * @in: the input, of the same shape
 * @in_name: what to call that
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int tmk__arg_apart_or_same(const struct tmk__tensor *out, const char *out_name,
			   const struct tmk__tensor *in, const char *in_name)
{
	if (tmk__tensor_same_place(out, in) || !tmk__tensor_overlaps(out, in))
		return 0;
	return tmk__error(-EINVAL,
			  "%s shares some memory with %s without being the "
			  "same",
			  out_name, in_name);
}

static void matrix_make(struct tmk__matrix *m, const struct tmk__tensor *t,
			bool transpose)
{
	int rows = transpose ? 1 : 0, cols = transpose ? 0 : 1;

	*m = (struct tmk__matrix){
		.data = (float *)(void *)t->data,
		.rows = t->shape[rows],
		.cols = t->shape[cols],
		.row_stride = t->strides[rows],
		.col_stride = t->strides[cols],
	};
}

/* Is @t rows x cols, or cols x rows if it will be transposed? */
static int check_matrix(const struct tmk__tensor *t, const char *name,
			int64_t rows, int64_t cols, bool transpose)
{
	int64_t d0 = transpose ? cols : rows, d1 = transpose ? rows : cols;

	if (t->shape[0] == d0 && t->shape[1] == d1)
		return 0;
	return tmk__error(-EINVAL,
			  "%s is %" PRId64 "x%" PRId64 ", must be %" PRId64
			  "x%" PRId64 "%s",
			  name, t->shape[0], t->shape[1], d0, d1,
			  transpose ? " (it is transposed)" : "");
}

static int gemm_check(struct tmk__tensor *c, struct tmk__tensor *a,
		      bool trans_a, struct tmk__tensor *b, bool trans_b)
{
	int64_t k;
	int err;

	err = tmk__arg_rank(c, "C", 2);
	if (!err)
		err = tmk__arg_rank(a, "A", 2);
	if (!err)
		err = tmk__arg_rank(b, "B", 2);
	if (err)
		return err;
	k = a->shape[trans_a ? 0 : 1];
	err = check_matrix(a, "A", c->shape[0], k, trans_a);
	if (!err)
		err = check_matrix(b, "B", k, c->shape[1], trans_b);
	if (!err)
		err = tmk__arg_apart(c, "C", a, "A");
	if (!err)
		err = tmk__arg_apart(c, "C", b, "B");
	return err;
}

int tmk_gemm(struct tmk_tensor *c_handle, float alpha,
	     const struct tmk_tensor *a_handle, bool trans_a,
	     const struct tmk_tensor *b_handle, bool trans_b, float beta)
{
	const struct tmk__blas *e;
	struct tmk__tensor *a, *b, *c;
	struct tmk__matrix ma, mb, mc;
	int err;

	err = tmk__arg_get(&c, c_handle, "C", TMK_F32);
	if (!err)
		err = tmk__arg_get(&a, a_handle, "A", TMK_F32);
	if (!err)
		err = tmk__arg_get(&b, b_handle, "B", TMK_F32);
	if (!err)
		err = gemm_check(c, a, trans_a, b, trans_b);
	if (!err)
		err = engine_get(&e);
	if (err)
		return err;
	if (!c->nr)
		return 0;
	matrix_make(&mc, c, false);
	matrix_make(&ma, a, trans_a);
	matrix_make(&mb, b, trans_b);
	/* Strides that cblas has no words for: see tmk/blas.h. */
	if (!e->gemm(&mc, alpha, &ma, &mb, beta))
		tmk__blas_ref.gemm(&mc, alpha, &ma, &mb, beta);
	return 0;
}

int tmk_axpy(struct tmk_tensor *y_handle, float alpha,
	     const struct tmk_tensor *x_handle)
{
	const struct tmk__blas *e;
	const struct tmk__tensor *both[2];
	struct tmk__tensor *y, *x;
	struct tmk__rows r;
	int err;

	err = tmk__arg_get(&y, y_handle, "y", TMK_F32);
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = tmk__arg_shape(x, "x", y, "y");
	if (!err)
		err = tmk__arg_apart_or_same(y, "y", x, "x");
	if (!err)
		err = engine_get(&e);
	if (err)
		return err;
	both[0] = y;
	both[1] = x;
	for (tmk__rows_begin(&r, 2, both); r.left; tmk__rows_next(&r)) {
		float *py = (void *)r.at[0];
		const float *px = (void *)r.at[1];

		if (!e->axpy(r.n, alpha, px, r.step[1], py, r.step[0]))
			tmk__blas_ref.axpy(r.n, alpha, px, r.step[1], py,
					   r.step[0]);
	}
	return 0;
}
