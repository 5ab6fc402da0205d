/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The inside of tensor arithmetic. Each public function checks all of its
 * arguments and names the one that is wrong before it writes anything; what
 * remains is handed to an engine (matrix products) or done here (the rest).
 *
 *	blas.c         checks, engine choice, gemm and axpy
 *	elementwise.c  fill, zero, copy, add, mul, scale, relu
 *	rows.c         sums, softmax, cross-entropy, argmax: row by row
 *	ref.c          engine "reference": plain C, the oracle of the tests
 *	openblas.c     engine "openblas": the only file that knows cblas.h
 */
#ifndef TMK_BLAS_INSIDE_H
#define TMK_BLAS_INSIDE_H

#include <tmk/blas.h>

#include "../internal.h"
#include "../tensor.h"

/* A matrix of f32; a transpose is the same with sizes and strides exchanged. */
struct tmk__matrix {
	float *data;
	int64_t rows;
	int64_t cols;
	int64_t row_stride; /* in elements; of no meaning with one row */
	int64_t col_stride;
};

/*
 * An engine. Sizes match, outputs overlap no input. A function returns false,
 * having done nothing, for sizes or strides that it has no way to express; the
 * reference engine takes everything.
 */
struct tmk__blas {
	const char *name;
	bool (*gemm)(const struct tmk__matrix *c, float alpha,
		     const struct tmk__matrix *a, const struct tmk__matrix *b,
		     float beta);
	bool (*axpy)(int64_t n, float alpha, const float *x, int64_t x_step,
		     float *y, int64_t y_step);
};

extern const struct tmk__blas tmk__blas_ref;
extern const struct tmk__blas tmk__blas_openblas;

#define TMK__SHAPE_TEXT_BYTES 192

/* blas.c */
char *tmk__shape_text(char *buf, const struct tmk__tensor *t);
int tmk__arg_get(struct tmk__tensor **out, const struct tmk_tensor *handle,
		 const char *name, enum tmk_dtype dtype);
int tmk__arg_shape(const struct tmk__tensor *t, const char *name,
		   const struct tmk__tensor *like, const char *like_name);
int tmk__arg_rank(const struct tmk__tensor *t, const char *name, int rank);
int tmk__arg_apart(const struct tmk__tensor *out, const char *out_name,
		   const struct tmk__tensor *in, const char *in_name);
int tmk__arg_apart_or_same(const struct tmk__tensor *out, const char *out_name,
			   const struct tmk__tensor *in, const char *in_name);

#endif /* TMK_BLAS_INSIDE_H */
