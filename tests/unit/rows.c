// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Sums, softmax, cross-entropy and argmax of rows, on random views against an
 * oracle in double, the gradient against differences, and what is refused.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"

static uint64_t seed = 1863;

static int64_t pick(int64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((seed >> 33) % (uint64_t)n);
}

static struct tmk_workspace *open_workspace(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.initial_bytes = 1 << 20;
	if (tmk_workspace_create(&ws, "r", &o) || tmk_workspace_push(ws))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_tensor *make(enum tmk_dtype dtype, int64_t rows, int64_t cols)
{
	int64_t shape[2] = { rows, cols };
	struct tmk_tensor *t = NULL;

	if (tmk_tensor_create(&t, dtype, cols < 0 ? 1 : 2, shape) ||
	    tmk_tensor_zero(t))
		TH_LOG("%s", tmk_error_last());
	return t;
}

static float *at(struct tmk_tensor *t, int64_t i, int64_t j)
{
	return (float *)tmk_tensor_data(t) + i * tmk_tensor_strides(t)[0] +
	       j * tmk_tensor_strides(t)[1];
}

static struct tmk_tensor *view(int64_t rows, int64_t cols)
{
	bool t = pick(2);
	int64_t pad = pick(3), i, j;
	struct tmk_tensor *v =
		make(TMK_F32, t ? cols : rows, (t ? rows : cols) + pad);

	if (tmk_tensor_slice(&v, v, 1, pad, pad + (t ? rows : cols)) ||
	    (t && tmk_tensor_transpose(&v, v, 0, 1)))
		TH_LOG("%s", tmk_error_last());
	for (i = 0; i < rows; i++) {
		for (j = 0; j < cols; j++)
			*at(v, i, j) = (float)pick(8001) / 1000 - 4;
	}
	return v;
}

static double softmax(struct tmk_tensor *x, int64_t i, int64_t j)
{
	double sum = 0, max = -INFINITY;
	int64_t k, n = tmk_tensor_shape(x)[1];

	for (k = 0; k < n; k++)
		max = fmax(max, (double)*at(x, i, k));
	for (k = 0; k < n; k++)
		sum += exp((double)*at(x, i, k) - max);
	return exp((double)*at(x, i, j) - max) / sum;
}

static double loss_of(struct tmk_tensor *x, const int32_t *labels)
{
	int64_t m = tmk_tensor_shape(x)[0], i;
	double sum = 0;

	for (i = 0; i < m; i++)
		sum -= log(softmax(x, i, labels[i]));
	return sum / (double)m;
}

static double sum_of(struct tmk_tensor *x, int64_t col, int64_t m)
{
	double sum = 0;
	int64_t i;

	for (i = 0; i < m; i++)
		sum += (double)*at(x, i, col);
	return sum;
}

TEST(random_views_follow_the_oracle)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x, *out, *sum, *best, *labels, *dx;
	int64_t m, n, i, j;
	int32_t *pl, *pb;
	float loss, *ps;
	double want;
	int round;

	for (round = 0; round < 600; round++) {
		m = 1 + pick(12);
		n = 1 + pick(round % 10 ? 12 : 200);
		x = view(m, n);
		out = view(m, n);
		dx = view(m, n);
		sum = make(TMK_F32, n, -1);
		best = make(TMK_I32, m, -1);
		labels = make(TMK_I32, m, -1);
		pl = tmk_tensor_data(labels);
		pb = tmk_tensor_data(best);
		ps = tmk_tensor_data(sum);
		for (i = 0; i < m; i++)
			pl[i] = (int32_t)pick(n);
		ASSERT_EQ(0, tmk_tensor_sum_rows(sum, x));
		for (j = 0; j < n; j++)
			ASSERT_TRUE(fabs(sum_of(x, j, m) - (double)ps[j]) <
				    1e-5);
		ASSERT_EQ(0, tmk_tensor_softmax(out, x));
		ASSERT_EQ(0, tmk_tensor_argmax_rows(best, x));
		ASSERT_EQ(0, tmk_softmax_xent(&loss, dx, x, labels));
		ASSERT_TRUE(fabs(loss_of(x, pl) - (double)loss) < 1e-5);
		for (i = 0; i < m; i++) {
			for (j = 0; j < n; j++) {
				want = softmax(x, i, j);
				ASSERT_TRUE(fabs(want - (double)*at(out, i,
								    j)) < 1e-6);
				want = (want - (j == pl[i])) / (double)m;
				ASSERT_TRUE(fabs(want - (double)*at(dx, i, j)) <
					    1e-6);
				ASSERT_TRUE(*at(x, i, pb[i]) >= *at(x, i, j));
				/* The first of equals. */
				ASSERT_TRUE(j >= pb[i] ||
					    *at(x, i, j) < *at(x, i, pb[i]));
			}
		}
		/* Without a gradient, and in place. */
		want = (double)loss;
		ASSERT_EQ(0, tmk_softmax_xent(&loss, NULL, x, labels));
		ASSERT_TRUE(want == (double)loss);
		ASSERT_EQ(0, tmk_tensor_copy(out, x));
		ASSERT_EQ(0, tmk_softmax_xent(&loss, out, out, labels));
		ASSERT_TRUE(want == (double)loss);
		for (i = 0; i < m; i++) {
			for (j = 0; j < n; j++)
				ASSERT_TRUE(*at(out, i, j) == *at(dx, i, j));
		}
		ASSERT_EQ(0, tmk_tensor_softmax(x, x));
		ASSERT_EQ(0, tmk_workspace_pop(ws));
		ASSERT_EQ(0, tmk_workspace_push(ws));
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

/* The gradient is the slope of the loss. */
TEST(gradient_against_differences)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x = view(3, 5), *dx = view(3, 5);
	struct tmk_tensor *labels = make(TMK_I32, 3, -1);
	int32_t *pl = tmk_tensor_data(labels);
	double up, down, h = 1e-2;
	float loss, keep;
	int64_t i, j;

	pl[0] = 4;
	pl[1] = 0;
	pl[2] = 2;
	ASSERT_EQ(0, tmk_softmax_xent(&loss, dx, x, labels));
	for (i = 0; i < 3; i++) {
		for (j = 0; j < 5; j++) {
			keep = *at(x, i, j);
			*at(x, i, j) = keep + (float)h;
			up = loss_of(x, pl);
			*at(x, i, j) = keep - (float)h;
			down = loss_of(x, pl);
			*at(x, i, j) = keep;
			EXPECT_TRUE(fabs((up - down) / (2 * h) -
					 (double)*at(dx, i, j)) < 1e-4);
		}
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(large_values_stay_finite)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x = make(TMK_F32, 2, 3), *out = make(TMK_F32, 2, 3);
	struct tmk_tensor *labels = make(TMK_I32, 2, -1);
	float loss;

	*at(x, 0, 0) = 1e38f;
	*at(x, 0, 1) = -1e38f;
	*at(x, 1, 0) = 1000;
	*at(x, 1, 1) = 1000;
	*at(x, 1, 2) = -1000;
	ASSERT_EQ(0, tmk_tensor_softmax(out, x));
	EXPECT_TRUE(*at(out, 0, 0) == 1 && *at(out, 0, 1) == 0);
	EXPECT_TRUE(fabsf(*at(out, 1, 0) - 0.5f) < 1e-6f);
	EXPECT_TRUE(*at(out, 1, 2) == 0);
	ASSERT_EQ(0, tmk_softmax_xent(&loss, out, x, labels));
	EXPECT_TRUE(fabsf(loss - logf(2) / 2) < 1e-6f);
	EXPECT_TRUE(isfinite(*at(out, 1, 2)));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

static bool said(const char *sentence)
{
	if (!strcmp(tmk_error_last(), sentence))
		return true;
	TH_LOG("\"%s\" must be \"%s\"", tmk_error_last(), sentence);
	return false;
}

TEST(labels_out_of_range_write_nothing)
{
	static const int32_t bad[] = { -1, 3, INT32_MIN, INT32_MAX };
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x = make(TMK_F32, 2, 3), *dx = make(TMK_F32, 2, 3);
	struct tmk_tensor *labels = make(TMK_I32, 2, -1);
	float loss = 42;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		((int32_t *)tmk_tensor_data(labels))[1] = bad[i];
		EXPECT_EQ(-ERANGE, tmk_softmax_xent(&loss, dx, x, labels));
	}
	EXPECT_TRUE(said("label 1 is 2147483647, must be 0 to 2"));
	EXPECT_TRUE(loss == 42 && *at(dx, 0, 0) == 0);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(rows_name_what_is_wrong)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x = make(TMK_F32, 2, 3), *t, *one;
	struct tmk_tensor *labels = make(TMK_I32, 2, -1);
	struct tmk_tensor *none = make(TMK_F32, 0, 3), *thin;
	float loss = 1;

	EXPECT_EQ(-EINVAL, tmk_tensor_sum_rows(make(TMK_F32, 2, -1), x));
	EXPECT_TRUE(said("out has 2 elements, must have 3"));
	EXPECT_EQ(-EINVAL, tmk_tensor_sum_rows(x, x));
	EXPECT_TRUE(said("out is 2x3, must have 1 dimension"));
	EXPECT_EQ(-EINVAL, tmk_tensor_sum_rows(make(TMK_I32, 3, -1), x));
	EXPECT_EQ(-EINVAL, tmk_tensor_sum_rows(make(TMK_F32, 3, -1),
					       make(TMK_F32, 3, -1)));
	/* A row of x, as a vector, is x. */
	ASSERT_EQ(0, tmk_tensor_slice(&t, x, 0, 0, 1));
	ASSERT_EQ(0, tmk_tensor_reshape(&one, t, 1, &(int64_t){ 3 }));
	EXPECT_EQ(-EINVAL, tmk_tensor_sum_rows(one, x));
	EXPECT_TRUE(said("out shares memory with x"));
	EXPECT_EQ(-EINVAL, tmk_tensor_softmax(make(TMK_F32, 3, 2), x));
	EXPECT_EQ(-EINVAL, tmk_tensor_softmax(one, one));
	EXPECT_EQ(-EINVAL, tmk_tensor_argmax_rows(make(TMK_I32, 3, -1), x));
	EXPECT_EQ(-EINVAL, tmk_tensor_argmax_rows(make(TMK_F32, 2, -1), x));
	EXPECT_TRUE(said("out is f32, must be i32"));
	EXPECT_EQ(-EINVAL,
		  tmk_softmax_xent(&loss, make(TMK_F32, 3, 2), x, labels));
	EXPECT_EQ(-EINVAL,
		  tmk_softmax_xent(&loss, NULL, x, make(TMK_I32, 3, -1)));
	EXPECT_TRUE(said("labels has 3 elements, must have 2"));
	EXPECT_EQ(-EINVAL,
		  tmk_softmax_xent(&loss, NULL, x, make(TMK_F32, 2, -1)));
	EXPECT_TRUE(said("labels is f32, must be i32"));
	EXPECT_EQ(-EINVAL, tmk_softmax_xent(&loss, labels, x, labels));
	/* Without rows, and without columns. */
	EXPECT_EQ(-EINVAL,
		  tmk_softmax_xent(&loss, NULL, none, make(TMK_I32, 0, -1)));
	EXPECT_EQ(0, tmk_tensor_softmax(none, none));
	thin = make(TMK_F32, 2, 0);
	EXPECT_EQ(-EINVAL, tmk_tensor_argmax_rows(labels, thin));
	EXPECT_EQ(0, tmk_tensor_softmax(thin, thin));
	t = make(TMK_F32, 3, -1);
	ASSERT_EQ(0, tmk_tensor_fill(t, 9));
	EXPECT_EQ(0, tmk_tensor_sum_rows(t, none)); /* a sum of nothing is 0 */
	EXPECT_TRUE(((float *)tmk_tensor_data(t))[2] == 0);
	EXPECT_TRUE(loss == 1);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST_HARNESS_MAIN
