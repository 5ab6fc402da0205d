// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The reference engine: what the operations mean, in plain C, for any strides.
 * Sums are kept in double, so that it is the more exact of the two engines and
 * can be the oracle of the other.
 */
#include "blas.h"

static double dot(const struct tmk__matrix *a, int64_t row,
		  const struct tmk__matrix *b, int64_t col)
{
	const float *pa = a->data + row * a->row_stride;
	const float *pb = b->data + col * b->col_stride;
	double sum = 0;
	int64_t k;

	for (k = 0; k < a->cols; k++)
		sum += (double)pa[k * a->col_stride] *
		       (double)pb[k * b->row_stride];
	return sum;
}

static bool ref_gemm(const struct tmk__matrix *c, float alpha,
		     const struct tmk__matrix *a, const struct tmk__matrix *b,
		     float beta)
{
	int64_t i, j;

	for (i = 0; i < c->rows; i++) {
		for (j = 0; j < c->cols; j++) {
			float *out =
				c->data + i * c->row_stride + j * c->col_stride;
			double sum = beta == 0 ? 0 :
						 (double)beta * (double)*out;

			/* As in BLAS: a factor of 0 means "not even looked at". */
			if (alpha != 0)
				sum += (double)alpha * dot(a, i, b, j);
			*out = (float)sum;
		}
	}
	return true;
}

static bool ref_axpy(int64_t n, float alpha, const float *x, int64_t x_step,
		     float *y, int64_t y_step)
{
	int64_t i;

	if (alpha == 0)
		return true;
	for (i = 0; i < n; i++)
		y[i * y_step] = (float)((double)y[i * y_step] +
					(double)alpha * (double)x[i * x_step]);
	return true;
}

const struct tmk__blas tmk__blas_ref = {
	.name = "reference",
	.gemm = ref_gemm,
	.axpy = ref_axpy,
};
