// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The OpenBLAS engine, and the only file that knows cblas.h.
 *
 * How many threads OpenBLAS uses belongs to the process and is left as it is:
 * OPENBLAS_NUM_THREADS or openblas_set_num_threads() set it, and small products
 * stay on the calling thread anyway. Its threads and their buffers are its own:
 * tmk neither counts nor limits them.
 *
 * A matrix with a stride of 1 in either direction can be said in cblas, as
 * itself or as its transpose. That covers every view that slices and
 * transposes make of a matrix; anything else is left to the reference.
 */
#include <cblas.h>
#include <limits.h>

#include "blas.h"

/* How cblas is told about one matrix of a row-major product. */
struct operand {
	enum CBLAS_TRANSPOSE trans;
	int ld;
};

/* The distance of two lines; with one line only, the least that is legal. */
static bool leading(int *ld, int64_t lines, int64_t length, int64_t stride)
{
	if (lines <= 1)
		stride = length > 0 ? length : 1;
	if (stride < length || stride > INT_MAX)
		return false;
	*ld = (int)stride;
	return true;
}

static bool row_major(int *ld, const struct tmk__matrix *m)
{
	return (m->cols <= 1 || m->col_stride == 1) &&
	       leading(ld, m->rows, m->cols, m->row_stride);
}

static struct tmk__matrix transposed(const struct tmk__matrix *m)
{
	return (struct tmk__matrix){ m->data, m->cols, m->rows, m->col_stride,
				     m->row_stride };
}

static bool express(struct operand *out, const struct tmk__matrix *m)
{
	struct tmk__matrix t = transposed(m);

	out->trans = CblasNoTrans;
	if (row_major(&out->ld, m))
		return true;
	out->trans = CblasTrans;
	return row_major(&out->ld, &t);
}

static bool gemm_row_major(const struct tmk__matrix *c, float alpha,
			   const struct tmk__matrix *a,
			   const struct tmk__matrix *b, float beta)
{
	struct operand oa, ob;
	int ldc;

	if (!row_major(&ldc, c) || !express(&oa, a) || !express(&ob, b))
		return false;
	cblas_sgemm(CblasRowMajor, oa.trans, ob.trans, (int)c->rows,
		    (int)c->cols, (int)a->cols, alpha, a->data, oa.ld, b->data,
		    ob.ld, beta, c->data, ldc);
	return true;
}

static bool openblas_gemm(const struct tmk__matrix *c, float alpha,
			  const struct tmk__matrix *a,
			  const struct tmk__matrix *b, float beta)
{
	struct tmk__matrix ct = transposed(c), at = transposed(a),
			   bt = transposed(b);

	if (c->rows > INT_MAX || c->cols > INT_MAX || a->cols > INT_MAX)
		return false;
	if (gemm_row_major(c, alpha, a, b, beta))
		return true;
	/* The transpose of a product is the product of the transposes. */
	return gemm_row_major(&ct, alpha, &bt, &at, beta);
}

static bool openblas_axpy(int64_t n, float alpha, const float *x,
			  int64_t x_step, float *y, int64_t y_step)
{
	if (n > INT_MAX || x_step > INT_MAX || y_step > INT_MAX)
		return false;
	cblas_saxpy((int)n, alpha, x, (int)x_step, y, (int)y_step);
	return true;
}

const struct tmk__blas tmk__blas_openblas = {
	.name = "openblas",
	.gemm = openblas_gemm,
	.axpy = openblas_axpy,
};
