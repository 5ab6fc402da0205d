/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Arithmetic on tensors. Every function checks type, shape and validity of each
 * argument first and names the one that is wrong; nothing is written then.
 * Arguments are f32 unless said otherwise. Output arguments come first. Views
 * with any strides are taken everywhere. An output may be the very same tensor
 * as an input where an operation goes element by element or row by row; it may
 * not otherwise share memory with an input (-EINVAL).
 *
 * Matrix products run on OpenBLAS, or on plain C with TMK_BLAS=ref in the
 * environment. OpenBLAS' number of threads is the process's own affair and is
 * not changed (OPENBLAS_NUM_THREADS sets it). A matrix that has a stride of 1
 * in neither direction, or a size beyond 2^31 - 1, cannot be said in cblas: its
 * product is computed by the plain C code. Slices and transposes of a matrix
 * never are such.
 */
#ifndef TMK_BLAS_H
#define TMK_BLAS_H

#include <tmk/base.h>
#include <tmk/tensor.h>

/**
 * tmk_gemm() - C = alpha * op(A) * op(B) + beta * C
 * @c: m x n
 * @alpha: factor
 * @a: m x k, or k x m with @trans_a
 * @trans_a: use the transpose of A
 * @b: k x n, or n x k with @trans_b
 * @trans_b: use the transpose of B
 * @beta: 0 ignores what C held
 *
 * Return: 0; -EINVAL for shapes or types that do not match; -ESTALE.
 */
TMK_API TMK_MUST_CHECK int tmk_gemm(struct tmk_tensor *c, float alpha,
				    const struct tmk_tensor *a, bool trans_a,
				    const struct tmk_tensor *b, bool trans_b,
				    float beta);

/** tmk_axpy() - y += alpha * x, same shape */
TMK_API TMK_MUST_CHECK int tmk_axpy(struct tmk_tensor *y, float alpha,
				    const struct tmk_tensor *x);

/**
 * tmk_tensor_fill() - set every element (f32, i32)
 *
 * Return: 0; -EINVAL; -ERANGE if @value is no i32 and @t is; -ESTALE.
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_fill(struct tmk_tensor *t, double value);

/** tmk_tensor_zero() - set every byte to 0, any type */
TMK_API TMK_MUST_CHECK int tmk_tensor_zero(struct tmk_tensor *t);

/** tmk_tensor_copy() - dst = src, same type and shape, any strides */
TMK_API TMK_MUST_CHECK int tmk_tensor_copy(struct tmk_tensor *dst,
					   const struct tmk_tensor *src);

/** tmk_tensor_add() - out = a + b; b may be one row, added to each row of a */
TMK_API TMK_MUST_CHECK int tmk_tensor_add(struct tmk_tensor *out,
					  const struct tmk_tensor *a,
					  const struct tmk_tensor *b);

/** tmk_tensor_mul() - out = a * b, element by element */
TMK_API TMK_MUST_CHECK int tmk_tensor_mul(struct tmk_tensor *out,
					  const struct tmk_tensor *a,
					  const struct tmk_tensor *b);

/** tmk_tensor_scale() - t *= alpha */
TMK_API TMK_MUST_CHECK int tmk_tensor_scale(struct tmk_tensor *t, float alpha);

/** tmk_tensor_relu() - out = max(x, 0); NaN stays NaN */
TMK_API TMK_MUST_CHECK int tmk_tensor_relu(struct tmk_tensor *out,
					   const struct tmk_tensor *x);

/** tmk_tensor_relu_grad() - dx = x > 0 ? dy : 0 */
TMK_API TMK_MUST_CHECK int tmk_tensor_relu_grad(struct tmk_tensor *dx,
						const struct tmk_tensor *dy,
						const struct tmk_tensor *x);

/** tmk_tensor_sum_rows() - out[n] = sum over the rows of x[m][n] */
TMK_API TMK_MUST_CHECK int tmk_tensor_sum_rows(struct tmk_tensor *out,
					       const struct tmk_tensor *x);

/** tmk_tensor_softmax() - each row of x[m][n], stable for large values */
TMK_API TMK_MUST_CHECK int tmk_tensor_softmax(struct tmk_tensor *out,
					      const struct tmk_tensor *x);

/**
 * tmk_softmax_xent() - mean cross-entropy of logits and its gradient
 * @loss: the mean over the rows
 * @dx: (softmax(x) - onehot(labels)) / m, or NULL
 * @x: logits, m x n
 * @labels: i32, m, each 0..n-1
 *
 * Return: 0; -EINVAL, also without any row; -ERANGE for a label out of range;
 * -ESTALE. @loss is written last.
 */
TMK_API TMK_MUST_CHECK int tmk_softmax_xent(float *loss, struct tmk_tensor *dx,
					    const struct tmk_tensor *x,
					    const struct tmk_tensor *labels);

/** tmk_tensor_argmax_rows() - out[m] (i32) = index of the largest of each row */
TMK_API TMK_MUST_CHECK int tmk_tensor_argmax_rows(struct tmk_tensor *out,
						  const struct tmk_tensor *x);

/** tmk_blas_name() - "openblas", "reference", or "?" if TMK_BLAS is neither */
TMK_API const char *tmk_blas_name(void);

#endif /* TMK_BLAS_H */
