// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Element by element and row by row: every operation on random views against
 * an oracle that goes by index, in place, on special values, and with every
 * argument that is wrong.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"
#include "tensor.h"

static uint64_t seed = 5150;

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
	if (tmk_workspace_create(&ws, "e", &o) || tmk_workspace_push(ws))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_tensor *make(enum tmk_dtype dtype, int64_t rows, int64_t cols,
			       double value)
{
	int64_t shape[2] = { rows, cols };
	struct tmk_tensor *t = NULL;

	if (tmk_tensor_create(&t, dtype, cols < 0 ? 1 : 2, shape) ||
	    tmk_tensor_fill(t, value))
		TH_LOG("%s", tmk_error_last());
	return t;
}

/* A random view of that shape, filled with numbers from -2 to 2. */
static struct tmk_tensor *view(int64_t rows, int64_t cols)
{
	bool t = pick(2);
	int64_t r0 = pick(3), c0 = pick(3), i, j;
	struct tmk_tensor *v = make(TMK_F32, (t ? cols : rows) + r0 + pick(2),
				    (t ? rows : cols) + c0 + pick(2), 99);

	if (tmk_tensor_slice(&v, v, 0, r0, r0 + (t ? cols : rows)) ||
	    tmk_tensor_slice(&v, v, 1, c0, c0 + (t ? rows : cols)) ||
	    (t && tmk_tensor_transpose(&v, v, 0, 1)))
		TH_LOG("%s", tmk_error_last());
	for (i = 0; i < rows; i++) {
		for (j = 0; j < cols; j++)
			((float *)tmk_tensor_data(
				v))[i * tmk_tensor_strides(v)[0] +
				    j * tmk_tensor_strides(v)[1]] =
				(float)pick(4001) / 1000 - 2;
	}
	return v;
}

static float *at(struct tmk_tensor *t, int64_t i, int64_t j)
{
	return (float *)tmk_tensor_data(t) + i * tmk_tensor_strides(t)[0] +
	       j * tmk_tensor_strides(t)[1];
}

static bool said(const char *sentence)
{
	if (!strcmp(tmk_error_last(), sentence))
		return true;
	TH_LOG("\"%s\" must be \"%s\"", tmk_error_last(), sentence);
	return false;
}

static bool close_to(double want, float got)
{
	return fabs(want - (double)got) < 1e-6;
}

TEST(add_mul_scale_relu_on_random_views)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *a, *b, *out, *row, *old;
	int64_t m, n, i, j;
	int round;

	for (round = 0; round < 1000; round++) {
		float k = (float)pick(100) / 10;

		m = pick(10);
		n = pick(10);
		a = view(m, n);
		b = view(m, n);
		out = view(m, n);
		row = view(1, n);
#define EACH(want)                                                           \
	do {                                                                 \
		for (i = 0; i < m; i++) {                                    \
			for (j = 0; j < n; j++)                              \
				ASSERT_TRUE(close_to(want, *at(out, i, j))); \
		}                                                            \
	} while (0)
#define A ((double)*at(a, i, j))
#define B ((double)*at(b, i, j))
		ASSERT_EQ(0, tmk_tensor_add(out, a, b));
		EACH(A + B);
		ASSERT_EQ(0, tmk_tensor_mul(out, a, b));
		EACH(A * B);
		ASSERT_EQ(0, tmk_tensor_add(out, a, row));
		EACH(A + (double)*at(row, 0, j));
		ASSERT_EQ(0, tmk_tensor_relu(out, a));
		EACH(A > 0 ? A : 0);
		ASSERT_EQ(0, tmk_tensor_relu_grad(out, b, a));
		EACH(A > 0 ? B : 0);
		ASSERT_EQ(0, tmk_tensor_copy(out, a));
		EACH(A);
		ASSERT_EQ(0, tmk_tensor_scale(out, k));
		EACH(A * (double)k);
		/* In place. */
		ASSERT_EQ(0, tmk_tensor_copy(out, a));
		ASSERT_EQ(0, tmk_tensor_add(out, out, b));
		EACH(A + B);
		ASSERT_EQ(0, tmk_tensor_dup(&old, out));
		ASSERT_EQ(0, tmk_tensor_mul(out, out, out));
		EACH((double)*at(old, i, j) * (double)*at(old, i, j));
		ASSERT_EQ(0, tmk_tensor_fill(out, 2.5));
		EACH(2.5);
		ASSERT_EQ(0, tmk_tensor_zero(out));
		EACH(0.0);
#undef A
#undef B
#undef EACH
		ASSERT_EQ(0, tmk_workspace_pop(ws));
		ASSERT_EQ(0, tmk_workspace_push(ws));
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

/* What lies around a view is not touched by writing it. */
TEST(views_are_written_and_nothing_else)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *whole = make(TMK_F32, 5, 6, 1), *v;
	int64_t i, j;
	int step;

	ASSERT_EQ(0, tmk_tensor_slice(&v, whole, 0, 1, 4));
	ASSERT_EQ(0, tmk_tensor_slice(&v, v, 1, 2, 4));
	for (step = 0; step < 4; step++) {
		ASSERT_EQ(0, step == 0 ? tmk_tensor_zero(v) :
			     step == 1 ? tmk_tensor_fill(v, 3) :
			     step == 2 ? tmk_tensor_scale(v, 2) :
					 tmk_tensor_add(v, v, v));
		for (i = 0; i < 5; i++) {
			for (j = 0; j < 6; j++) {
				bool in = i >= 1 && i < 4 && j >= 2 && j < 4;
				float want = step == 0 ? 0 :
					     step == 1 ? 3 :
					     step == 2 ? 6 :
							 12;

				EXPECT_TRUE(*at(whole, i, j) ==
					    (in ? want : 1));
			}
		}
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(higher_ranks)
{
	struct tmk_workspace *ws = open_workspace();
	int64_t shape[4] = { 3, 4, 5, 6 }, six = 6, i, j, k, l;
	struct tmk_tensor *a, *b, *out, *row, *t;

	ASSERT_EQ(0, tmk_tensor_create(&a, TMK_F32, 4, shape));
	ASSERT_EQ(0, tmk_tensor_create(&b, TMK_F32, 4, shape));
	ASSERT_EQ(0, tmk_tensor_create(&row, TMK_F32, 1, &six));
	for (i = 0; i < 360; i++)
		((float *)tmk_tensor_data(a))[i] = (float)i;
	for (i = 0; i < 6; i++)
		((float *)tmk_tensor_data(row))[i] = 1000.0f * (float)i;
	ASSERT_EQ(0, tmk_tensor_fill(b, 0.5));
	ASSERT_EQ(0, tmk_tensor_dup(&out, a));
	ASSERT_EQ(0, tmk_tensor_transpose(&t, a, 1, 2));
	EXPECT_EQ(-EINVAL, tmk_tensor_add(out, t, b));
	ASSERT_EQ(0, tmk_tensor_transpose(&out, out, 1, 2));
	ASSERT_EQ(0, tmk_tensor_transpose(&b, b, 1, 2));
	ASSERT_EQ(0, tmk_tensor_mul(out, t, b));
	ASSERT_EQ(0, tmk_tensor_add(out, out, row));
	for (i = 0; i < 3; i++) {
		for (j = 0; j < 5; j++) {
			for (k = 0; k < 4; k++) {
				for (l = 0; l < 6; l++) {
					const int64_t *s =
						tmk_tensor_strides(out);
					float got = ((float *)tmk_tensor_data(
						out))[i * s[0] + j * s[1] +
						      k * s[2] + l * s[3]];
					int64_t n =
						((i * 4 + k) * 5 + j) * 6 + l;

					EXPECT_TRUE(got ==
						    0.5f * (float)n +
							    1000.0f * (float)l);
				}
			}
		}
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(special_values)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *x = make(TMK_F32, 1, 4, 0), *out, *dy;
	float *p = tmk_tensor_data(x), *q;

	p[0] = NAN;
	p[1] = INFINITY;
	p[2] = -INFINITY;
	p[3] = -0.0f;
	out = make(TMK_F32, 1, 4, 5);
	q = tmk_tensor_data(out);
	ASSERT_EQ(0, tmk_tensor_relu(out, x));
	EXPECT_TRUE(isnan(q[0]) && isinf(q[1]) && q[2] == 0 && q[3] == 0);
	dy = make(TMK_F32, 1, 4, 3);
	ASSERT_EQ(0, tmk_tensor_relu_grad(out, dy, x));
	EXPECT_TRUE(q[0] == 0 && q[1] == 3 && q[2] == 0 && q[3] == 0);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(fill_and_zero_types)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *i32 = make(TMK_I32, 2, 3, 1), *v;
	static const double bad[] = { 0.5, 2147483648.0, -2147483649.0,
				      NAN, INFINITY,	 -INFINITY };
	int32_t *p = tmk_tensor_data(i32);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_EQ(-ERANGE, tmk_tensor_fill(i32, bad[i]));
	EXPECT_EQ(1, p[5]);
	EXPECT_EQ(0, tmk_tensor_fill(i32, INT32_MIN));
	EXPECT_EQ(INT32_MIN, p[0]);
	EXPECT_EQ(0, tmk_tensor_fill(i32, INT32_MAX));
	ASSERT_EQ(0, tmk_tensor_transpose(&v, i32, 0, 1));
	ASSERT_EQ(0, tmk_tensor_slice(&v, v, 0, 1, 2));
	EXPECT_EQ(0, tmk_tensor_zero(v));
	EXPECT_TRUE(p[0] == INT32_MAX && !p[1] && p[2] == INT32_MAX && !p[4]);
	EXPECT_EQ(-EINVAL, tmk_tensor_scale(i32, 2));
	EXPECT_TRUE(said("t is i32, must be f32"));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(copies_of_every_element_size)
{
	static const enum tmk_dtype dtypes[] = { TMK_U8, TMK_F16, TMK_F32,
						 TMK_F64, TMK_C128 };
	static unsigned char from[3 * 4 * 16], to[3 * 4 * 16];
	struct tmk__tensor a = { .rank = 2 }, b = { .rank = 2 };
	size_t d, size, i, j;

	for (d = 0; d < sizeof(dtypes) / sizeof(dtypes[0]); d++) {
		size = tmk_dtype_bytes(dtypes[d]);
		for (i = 0; i < sizeof(from); i++)
			from[i] = (unsigned char)(i * 37);
		memset(to, 0, sizeof(to));
		a = (struct tmk__tensor){ .data = (char *)from,
					  .nr = 12,
					  .rank = 2,
					  .dense = true,
					  .dtype = (uint8_t)dtypes[d],
					  .shape = { 3, 4 },
					  .strides = { 4, 1 } };
		b = a;
		b.data = (char *)to;
		b.dense = false;
		b.strides[0] = 1;
		b.strides[1] = 3;
		tmk__tensor_copy(&b, &a);
		for (i = 0; i < 3; i++) {
			for (j = 0; j < 4; j++)
				EXPECT_EQ(0, memcmp(from + (i * 4 + j) * size,
						    to + (j * 3 + i) * size,
						    size));
		}
	}
}

TEST(elementwise_names_what_is_wrong)
{
	struct tmk_workspace *ws = open_workspace();
	struct tmk_tensor *a = make(TMK_F32, 3, 4, 1);
	struct tmk_tensor *other = make(TMK_F32, 4, 3, 1);
	struct tmk_tensor *out = make(TMK_F32, 3, 4, 1), *x, *y;
	struct tmk_tensor *row = make(TMK_F32, 4, -1, 1);
	struct tmk_tensor *three = make(TMK_F32, 3, -1, 1);

	EXPECT_EQ(-EINVAL, tmk_tensor_add(out, a, other));
	EXPECT_TRUE(said("b is 4x3, must be 3x4 as out is"));
	EXPECT_EQ(-EINVAL, tmk_tensor_add(out, other, a));
	EXPECT_TRUE(said("a is 4x3, must be 3x4 as out is"));
	EXPECT_EQ(-EINVAL, tmk_tensor_add(out, a, three));
	EXPECT_TRUE(said("b is 3, must be 3x4 as out is"));
	EXPECT_EQ(-EINVAL, tmk_tensor_mul(out, a, row)); /* add only */
	EXPECT_EQ(0, tmk_tensor_add(out, a, row));
	EXPECT_EQ(-EINVAL, tmk_tensor_add(other, a, row));
	EXPECT_EQ(-EINVAL, tmk_tensor_copy(out, other));
	EXPECT_EQ(-EINVAL, tmk_tensor_copy(out, make(TMK_I32, 3, 4, 0)));
	EXPECT_TRUE(said("src is i32, must be f32"));
	EXPECT_EQ(-EINVAL, tmk_tensor_relu(out, NULL));
	EXPECT_TRUE(said("argument x is NULL"));
	EXPECT_EQ(-EINVAL, tmk_tensor_relu_grad(out, other, a));
	/* Shifted by a row: neither the same nor apart. */
	ASSERT_EQ(0, tmk_tensor_slice(&x, a, 0, 0, 2));
	ASSERT_EQ(0, tmk_tensor_slice(&y, a, 0, 1, 3));
	EXPECT_EQ(-EINVAL, tmk_tensor_copy(x, y));
	EXPECT_TRUE(said("dst shares some memory with src without being the "
			 "same"));
	EXPECT_EQ(-EINVAL, tmk_tensor_relu(x, y));
	EXPECT_EQ(-EINVAL, tmk_tensor_mul(x, y, y));
	/* The row that is added may not be a part of the sum. */
	ASSERT_EQ(0, tmk_tensor_slice(&y, a, 0, 0, 1));
	EXPECT_EQ(-EINVAL, tmk_tensor_add(a, a, y));
	EXPECT_TRUE(said("out shares memory with b"));
	/* The same tensor, and halves of one, are fine. */
	EXPECT_EQ(0, tmk_tensor_copy(a, a));
	ASSERT_EQ(0, tmk_tensor_slice(&x, a, 1, 0, 2));
	ASSERT_EQ(0, tmk_tensor_slice(&y, a, 1, 2, 4));
	EXPECT_EQ(0, tmk_tensor_copy(x, y));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST_HARNESS_MAIN
