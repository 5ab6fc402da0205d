// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * gemm and axpy: both engines against a naive oracle on random shapes and
 * views, against each other, and every argument that is wrong. What must not
 * be written is watched: matrices are views into larger ones full of marks.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"
#include "blas/blas.h"

#define MARK 777.0f

static uint64_t seed = 31337;

static int64_t pick(int64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((seed >> 33) % (uint64_t)n);
}

static float number(void)
{
	return (float)pick(2001) / 1000 - 1;
}

/* A rows x cols matrix somewhere in a marked larger one, maybe transposed. */
static int matrix(struct tmk_tensor **out, int64_t rows, int64_t cols)
{
	bool transpose = pick(2);
	int64_t shape[2] = { (transpose ? cols : rows) + pick(4),
			     (transpose ? rows : cols) + pick(4) };
	int64_t r0 = pick(shape[0] - (transpose ? cols : rows) + 1);
	int64_t c0 = pick(shape[1] - (transpose ? rows : cols) + 1);
	struct tmk_tensor *t;
	int err;

	err = tmk_tensor_create(&t, TMK_F32, 2, shape);
	if (!err)
		err = tmk_tensor_fill(t, MARK);
	if (!err)
		err = tmk_tensor_slice(&t, t, 0, r0,
				       r0 + (transpose ? cols : rows));
	if (!err)
		err = tmk_tensor_slice(&t, t, 1, c0,
				       c0 + (transpose ? rows : cols));
	if (!err && transpose)
		err = tmk_tensor_transpose(&t, t, 0, 1);
	*out = t;
	return err;
}

static float *at(struct tmk_tensor *t, int64_t i, int64_t j)
{
	return (float *)tmk_tensor_data(t) + i * tmk_tensor_strides(t)[0] +
	       j * tmk_tensor_strides(t)[1];
}

static void fill_random(struct tmk_tensor *t)
{
	int64_t i, j;

	for (i = 0; i < tmk_tensor_shape(t)[0]; i++) {
		for (j = 0; j < tmk_tensor_shape(t)[1]; j++)
			*at(t, i, j) = number();
	}
}

static struct tmk_workspace *open_workspace(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.initial_bytes = 1 << 20;
	if (tmk_workspace_create(&ws, "blas", &o) || tmk_workspace_push(ws))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

/* How many marks are in the whole block: only inside of C may they change. */
static int64_t marks(struct tmk_workspace *ws)
{
	struct tmk_workspace_info info;
	struct tmk_tensor *t;
	int64_t nr = 0, i, size;

	if (tmk_workspace_info(&info, ws) ||
	    tmk_tensor_from_region(&t,
				   (struct tmk_region *)tmk_workspace_region(ws),
				   0, TMK_F32, 1,
				   &(int64_t){ (int64_t)info.offset / 4 }))
		return -1;
	size = tmk_tensor_nr(t);
	for (i = 0; i < size; i++)
		nr += ((float *)tmk_tensor_data(t))[i] == MARK;
	tmk_tensor_put(t);
	return nr;
}

static double expected(struct tmk_tensor *a, bool ta, struct tmk_tensor *b,
		       bool tb, int64_t i, int64_t j, int64_t k)
{
	double sum = 0;
	int64_t x;

	for (x = 0; x < k; x++)
		sum += (double)(ta ? *at(a, x, i) : *at(a, i, x)) *
		       (double)(tb ? *at(b, j, x) : *at(b, x, j));
	return sum;
}

/* One random product. Returns the largest error, or -1. */
static double one_gemm(struct tmk_workspace *ws)
{
	static const float factors[] = { 0, 1, -1, 0.5f, 2.25f };
	int64_t m = pick(20), n = pick(20), k = pick(20), i, j, before;
	float alpha = factors[pick(5)], beta = factors[pick(5)];
	bool ta = pick(2), tb = pick(2);
	struct tmk_tensor *a, *b, *c, *old;
	double worst = 0, want;

	if (matrix(&a, ta ? k : m, ta ? m : k) ||
	    matrix(&b, tb ? n : k, tb ? k : n) || matrix(&c, m, n))
		return -1;
	fill_random(a);
	fill_random(b);
	fill_random(c);
	if (tmk_tensor_dup(&old, c))
		return -1;
	if (beta == 0 && tmk_tensor_fill(c, NAN)) /* must not be looked at */
		return -1;
	before = marks(ws);
	if (tmk_gemm(c, alpha, a, ta, b, tb, beta)) {
		TH_LOG("%s", tmk_error_last());
		return -1;
	}
	if (marks(ws) != before)
		return -1;
	for (i = 0; i < m; i++) {
		for (j = 0; j < n; j++) {
			want = (double)alpha * expected(a, ta, b, tb, i, j, k);
			if (beta != 0)
				want += (double)beta * (double)*at(old, i, j);
			want = fabs(want - (double)*at(c, i, j));
			if (isnan(want))
				want = INFINITY;
			worst = fmax(worst, want);
		}
	}
	return worst;
}

static double many_gemms(int nr)
{
	double worst = 0, one;
	struct tmk_workspace *ws = open_workspace();

	while (nr--) {
		one = one_gemm(ws);
		if (one < 0)
			return one;
		worst = fmax(worst, one);
		if (tmk_workspace_pop(ws) || tmk_workspace_push(ws))
			return -1;
	}
	return tmk_workspace_pop(ws) ? -1 : worst;
}

TEST(gemm_openblas_against_the_oracle)
{
	double worst;

	EXPECT_STREQ("openblas", tmk_blas_name());
	worst = many_gemms(3000);
	EXPECT_TRUE(worst >= 0 && worst < 2e-5);
}

TEST(gemm_reference_against_the_oracle)
{
	double worst;

	ASSERT_EQ(0, setenv("TMK_BLAS", "ref", 1));
	EXPECT_STREQ("reference", tmk_blas_name());
	worst = many_gemms(3000);
	EXPECT_TRUE(worst >= 0 && worst < 2e-6);
}

/* Sizes where OpenBLAS uses its blocked kernels and its threads. */
TEST_TIMEOUT(gemm_large_engines_agree, 180)
{
	int64_t ab[2] = { 200, 333 }, bb[2] = { 333, 170 },
		cb[2] = { 200, 170 };
	struct tmk_tensor *a, *b, *c, *d;
	struct tmk__matrix ma, mb, mc;
	int64_t i, j;
	float worst = 0;

	ASSERT_EQ(0, tmk_tensor_create(&a, TMK_F32, 2, ab));
	ASSERT_EQ(0, tmk_tensor_create(&b, TMK_F32, 2, bb));
	ASSERT_EQ(0, tmk_tensor_create(&c, TMK_F32, 2, cb));
	ASSERT_EQ(0, tmk_tensor_create(&d, TMK_F32, 2, cb));
	fill_random(a);
	fill_random(b);
	ASSERT_EQ(0, tmk_gemm(c, 1, a, false, b, false, 0));
	ma = (struct tmk__matrix){ tmk_tensor_data(a), 200, 333, 333, 1 };
	mb = (struct tmk__matrix){ tmk_tensor_data(b), 333, 170, 170, 1 };
	mc = (struct tmk__matrix){ tmk_tensor_data(d), 200, 170, 170, 1 };
	ASSERT_TRUE(tmk__blas_ref.gemm(&mc, 1, &ma, &mb, 0));
	for (i = 0; i < 200; i++) {
		for (j = 0; j < 170; j++) {
			float e = fabsf(*at(c, i, j) - *at(d, i, j));

			worst = fmaxf(worst, isnan(e) ? INFINITY : e);
		}
	}
	EXPECT_TRUE(worst < 1e-4f);
	tmk_tensor_put(a);
	tmk_tensor_put(b);
	tmk_tensor_put(c);
	tmk_tensor_put(d);
}

/* Strides that cblas cannot say are refused by that engine, and done right by
 * the other. No view of a matrix has them, so they are made by hand. */
TEST(gemm_strides_beyond_cblas)
{
	float a[64], b[64], c[64], d[64];
	struct tmk__matrix ma = { a, 3, 4, 16, 3 }, mb = { b, 4, 2, 10, 4 };
	struct tmk__matrix mc = { c, 3, 2, 20, 7 }, md = { d, 3, 2, 2, 1 };
	int64_t i, j, k;

	for (i = 0; i < 64; i++) {
		a[i] = number();
		b[i] = number();
		c[i] = d[i] = MARK;
	}
	EXPECT_FALSE(tmk__blas_openblas.gemm(&mc, 1, &ma, &mb, 0));
	EXPECT_FALSE(tmk__blas_openblas.gemm(&md, 1, &ma, &mb, 0));
	for (i = 0; i < 64; i++)
		EXPECT_TRUE(c[i] == MARK && d[i] == MARK);
	EXPECT_TRUE(tmk__blas_ref.gemm(&mc, 1, &ma, &mb, 0));
	for (i = 0; i < 3; i++) {
		for (j = 0; j < 2; j++) {
			double sum = 0;

			for (k = 0; k < 4; k++)
				sum += (double)a[i * 16 + k * 3] *
				       (double)b[k * 10 + j * 4];
			EXPECT_TRUE(fabs(sum - (double)c[i * 20 + j * 7]) <
				    1e-6);
		}
	}
	/* Lines that overlap, or sizes beyond an int. */
	ma = (struct tmk__matrix){ a, 3, 4, 2, 1 };
	EXPECT_FALSE(tmk__blas_openblas.gemm(&md, 1, &ma, &mb, 0));
	ma = (struct tmk__matrix){ a, 1ll << 40, 4, 4, 1 };
	md.rows = 1ll << 40;
	EXPECT_FALSE(tmk__blas_openblas.gemm(&md, 1, &ma, &mb, 0));
	EXPECT_FALSE(tmk__blas_openblas.axpy(1ll << 40, 1, a, 1, b, 1));
}

/* One row or column: its other stride means nothing, whatever it is. */
TEST(gemm_lines_go_to_cblas)
{
	float a[64] = { 1, 2, 3, 4 }, b[64] = { 5, 6, 7, 8 }, c[64] = { 0 };
	struct tmk__matrix row = { a, 1, 4, 2, 1 }, col = { b, 4, 1, 1, 2 };
	struct tmk__matrix one = { c, 1, 1, 0, 0 };

	EXPECT_TRUE(tmk__blas_openblas.gemm(&one, 1, &row, &col, 0));
	EXPECT_TRUE(c[0] == 5 + 12 + 21 + 32);
	/* Elements apart from each other in the only line there is. */
	row = (struct tmk__matrix){ a, 1, 2, 2, 3 };
	col = (struct tmk__matrix){ b, 2, 1, 3, 2 };
	EXPECT_TRUE(tmk__blas_openblas.gemm(&one, 1, &row, &col, 0));
	EXPECT_TRUE(c[0] == 5 + 32);
}

static struct tmk_tensor *make(enum tmk_dtype dtype, int64_t rows, int64_t cols)
{
	int64_t shape[2] = { rows, cols };
	struct tmk_tensor *t = NULL;

	if (tmk_tensor_create(&t, dtype, cols ? 2 : 1, shape) ||
	    tmk_tensor_fill(t, 7))
		TH_LOG("%s", tmk_error_last());
	return t;
}

static bool said(const char *sentence)
{
	if (!strcmp(tmk_error_last(), sentence))
		return true;
	TH_LOG("\"%s\" must be \"%s\"", tmk_error_last(), sentence);
	return false;
}

TEST(gemm_names_what_is_wrong)
{
	struct tmk_workspace *ws = open_workspace(), *gone;
	struct tmk_tensor *a = make(TMK_F32, 6, 4), *b = make(TMK_F32, 4, 5);
	struct tmk_tensor *c = make(TMK_F32, 6, 5), *bad = make(TMK_F32, 3, 4);
	struct tmk_tensor *vec = make(TMK_F32, 4, 0),
			  *i32 = make(TMK_I32, 4, 5);
	struct tmk_tensor *part, *stale;
	int64_t i;

#define REFUSED(err, sentence, ...)                    \
	do {                                           \
		EXPECT_EQ(err, tmk_gemm(__VA_ARGS__)); \
		EXPECT_TRUE(said(sentence));           \
	} while (0)
	REFUSED(-EINVAL, "argument C is NULL", NULL, 1, a, 0, b, 0, 0);
	REFUSED(-EINVAL, "argument B is NULL", c, 1, a, 0, NULL, 0, 0);
	REFUSED(-EINVAL, "B is i32, must be f32", c, 1, a, 0, i32, 0, 0);
	REFUSED(-EINVAL, "A is 4, must have 2 dimensions", c, 1, vec, 0, b, 0,
		0);
	REFUSED(-EINVAL, "B is 3x4, must be 4x5", c, 1, a, 0, bad, 0, 0);
	REFUSED(-EINVAL, "A is 3x4, must be 6x4", c, 1, bad, 0, b, 0, 0);
	REFUSED(-EINVAL, "B is 3x4, must be 5x4 (it is transposed)", c, 1, a, 0,
		bad, 1, 0);
	REFUSED(-EINVAL, "A is 4x5, must be 4x6 (it is transposed)", c, 1, b, 1,
		b, 0, 0);
	REFUSED(-EINVAL, "C shares memory with A", c, 1, c, 0,
		make(TMK_F32, 5, 5), 0, 0);
	ASSERT_EQ(0, tmk_tensor_slice(&part, c, 0, 1, 5));
	REFUSED(-EINVAL, "C shares memory with B", c, 1, a, 0, part, 0, 0);
#undef REFUSED
	ASSERT_EQ(0, tmk_workspace_create(&gone, "step", NULL));
	ASSERT_EQ(0, tmk_workspace_push(gone));
	stale = make(TMK_F32, 6, 4);
	ASSERT_EQ(0, tmk_workspace_pop(gone));
	ASSERT_EQ(0, tmk_workspace_push(gone));
	EXPECT_EQ(-ESTALE, tmk_gemm(c, 1, stale, 0, b, 0, 0));
	EXPECT_TRUE(said("argument A: its workspace \"step\" is at generation "
			 "2, it was made in 1"));
	ASSERT_EQ(0, tmk_workspace_pop(gone));
	/* Nothing was written. */
	for (i = 0; i < 30; i++)
		EXPECT_TRUE(((float *)tmk_tensor_data(c))[i] == 7);
	EXPECT_EQ(0, tmk_gemm(c, 1, a, 0, b, 0, 0));
	EXPECT_TRUE(((float *)tmk_tensor_data(c))[29] == 4 * 49);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

/* Two blocks of one matrix are apart though their bytes are interleaved. */
TEST(gemm_into_a_neighbour)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *whole = make(TMK_F32, 4, 8), *a, *b, *c;

	ASSERT_EQ(0, tmk_tensor_slice(&a, whole, 1, 0, 4));
	ASSERT_EQ(0, tmk_tensor_slice(&c, whole, 1, 4, 8));
	b = make(TMK_F32, 4, 4);
	ASSERT_EQ(0, tmk_gemm(c, 1, a, false, b, false, 0));
	EXPECT_TRUE(*at(whole, 3, 3) == 7 && *at(whole, 3, 4) == 196);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(axpy_on_views)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x, *y, *old, *row;
	int64_t m, n, i, j, before;
	int round;

	for (round = 0; round < 500; round++) {
		float alpha = number();

		m = pick(12);
		n = pick(12);
		ASSERT_EQ(0, matrix(&x, m, n));
		ASSERT_EQ(0, matrix(&y, m, n));
		fill_random(x);
		fill_random(y);
		ASSERT_EQ(0, tmk_tensor_dup(&old, y));
		before = marks(ws);
		ASSERT_EQ(0, tmk_axpy(y, alpha, x));
		ASSERT_EQ(before, marks(ws));
		for (i = 0; i < m; i++) {
			for (j = 0; j < n; j++)
				ASSERT_TRUE(fabsf(*at(old, i, j) +
						  alpha * *at(x, i, j) -
						  *at(y, i, j)) < 1e-6f);
		}
		ASSERT_EQ(0, tmk_workspace_pop(ws));
		ASSERT_EQ(0, tmk_workspace_push(ws));
	}
	y = make(TMK_F32, 3, 4);
	x = make(TMK_F32, 4, 3);
	EXPECT_EQ(-EINVAL, tmk_axpy(y, 1, x));
	EXPECT_TRUE(said("x is 4x3, must be 3x4 as y is"));
	EXPECT_EQ(-EINVAL, tmk_axpy(y, 1, make(TMK_I32, 3, 4)));
	EXPECT_EQ(0, tmk_axpy(y, 1, y)); /* in place: doubled */
	EXPECT_TRUE(*at(y, 2, 3) == 14);
	ASSERT_EQ(0, tmk_tensor_slice(&x, y, 0, 0, 2));
	ASSERT_EQ(0, tmk_tensor_slice(&row, y, 0, 1, 3));
	EXPECT_EQ(-EINVAL, tmk_axpy(x, 1, row));
	EXPECT_TRUE(said("y shares some memory with x without being the same"));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(axpy_reference_engine)
{
	struct tmk_tensor *x, *y;

	ASSERT_EQ(0, setenv("TMK_BLAS", "ref", 1));
	x = make(TMK_F32, 3, 4);
	y = make(TMK_F32, 3, 4);
	ASSERT_EQ(0, tmk_axpy(y, 0.5f, x));
	EXPECT_TRUE(*at(y, 0, 0) == 10.5f);
	ASSERT_EQ(0, tmk_axpy(y, 0, x));
	EXPECT_TRUE(*at(y, 2, 3) == 10.5f);
	tmk_tensor_put(x);
	tmk_tensor_put(y);
}

TEST(junk_in_the_environment_is_said)
{
	struct tmk_tensor *a;

	ASSERT_EQ(0, setenv("TMK_BLAS", "mkl", 1));
	a = make(TMK_F32, 2, 2);
	EXPECT_STREQ("?", tmk_blas_name());
	EXPECT_EQ(-EINVAL, tmk_axpy(a, 1, a));
	EXPECT_TRUE(said("the environment has TMK_BLAS=mkl: it must be "
			 "openblas or ref"));
	EXPECT_EQ(0, tmk_tensor_fill(a, 1)); /* needs no engine */
	tmk_tensor_put(a);
}

TEST_HARNESS_MAIN
