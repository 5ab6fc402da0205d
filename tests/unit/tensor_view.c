// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Views: slices, transposes and reshapes in any combination, against an oracle
 * that keeps the index of each element by hand; their lifetimes; and whether
 * two views share an element, against trying all pairs.
 */
#include <errno.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"
#include "tensor.h"

#define NR_MAX 4096

static uint64_t seed = 20260101;

static int64_t pick(int64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((seed >> 33) % (uint64_t)n);
}

/* A tensor as its elements in order: which element of the base each one is. */
struct oracle {
	int rank;
	int64_t shape[TMK_RANK_MAX];
	int64_t nr;
	int32_t of[NR_MAX];
};

static int64_t oracle_nr(const struct oracle *o)
{
	int64_t nr = 1;
	int i;

	for (i = 0; i < o->rank; i++)
		nr *= o->shape[i];
	return nr;
}

/* Splits element number @n into indices. */
static void unravel(const struct oracle *o, int64_t n, int64_t *index)
{
	int i;

	for (i = o->rank - 1; i >= 0; i--) {
		index[i] = n % o->shape[i];
		n /= o->shape[i];
	}
}

static int64_t ravel(const struct oracle *o, const int64_t *index)
{
	int64_t n = 0;
	int i;

	for (i = 0; i < o->rank; i++)
		n = n * o->shape[i] + index[i];
	return n;
}

static void oracle_slice(struct oracle *o, int dim, int64_t begin, int64_t end)
{
	struct oracle from = *o;
	int64_t index[TMK_RANK_MAX], n;

	o->shape[dim] = end - begin;
	o->nr = oracle_nr(o);
	for (n = 0; n < o->nr; n++) {
		unravel(o, n, index);
		index[dim] += begin;
		o->of[n] = from.of[ravel(&from, index)];
	}
}

static void oracle_transpose(struct oracle *o, int a, int b)
{
	struct oracle from = *o;
	int64_t index[TMK_RANK_MAX], n, swap;

	o->shape[a] = from.shape[b];
	o->shape[b] = from.shape[a];
	for (n = 0; n < o->nr; n++) {
		unravel(o, n, index);
		swap = index[a];
		index[a] = index[b];
		index[b] = swap;
		o->of[n] = from.of[ravel(&from, index)];
	}
}

/* Is the view what the oracle says? Elements of the base hold their number. */
static int differs(struct tmk_tensor *t, const struct oracle *o,
		   const int32_t *base)
{
	const int32_t *data = tmk_tensor_data(t);
	int64_t index[TMK_RANK_MAX], n, at;
	bool dense = true;
	int i;

	if (tmk_tensor_rank(t) != o->rank || tmk_tensor_nr(t) != o->nr)
		return 1;
	for (i = 0; i < o->rank; i++) {
		if (tmk_tensor_shape(t)[i] != o->shape[i])
			return 2;
	}
	for (n = 0; n < o->nr; n++) {
		unravel(o, n, index);
		at = 0;
		for (i = 0; i < o->rank; i++)
			at += index[i] * tmk_tensor_strides(t)[i];
		if (data[at] != o->of[n] || &data[at] != base + o->of[n])
			return 3;
		dense &= o->of[n] - o->of[0] == n;
	}
	return o->nr && dense != tmk_tensor_is_dense(t) ? 4 : 0;
}

static struct tmk_tensor *numbered(struct oracle *o, int rank,
				   const int64_t *shape)
{
	struct tmk_tensor *t = NULL;
	int32_t *data;
	int64_t n;

	o->rank = rank;
	memcpy(o->shape, shape, (size_t)rank * sizeof(*shape));
	o->nr = oracle_nr(o);
	if (tmk_tensor_create(&t, TMK_I32, rank, shape)) {
		TH_LOG("%s", tmk_error_last());
		return NULL;
	}
	data = tmk_tensor_data(t);
	for (n = 0; n < o->nr; n++) {
		data[n] = (int32_t)n;
		o->of[n] = (int32_t)n;
	}
	return t;
}

static struct tmk_workspace *make(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.initial_bytes = 1 << 20;
	if (tmk_workspace_create(&ws, "v", &o))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static int random_step(struct tmk_tensor **t, struct oracle *o)
{
	int dim = (int)pick(o->rank ? o->rank : 1), other, i;
	int64_t begin, end, shape[TMK_RANK_MAX];
	int rank;

	switch (o->rank ? pick(4) : 3) {
	case 0:
	case 1:
		begin = pick(o->shape[dim] + 1);
		end = begin + pick(o->shape[dim] - begin + 1);
		if (begin == end && pick(10))
			return 0;
		oracle_slice(o, dim, begin, end);
		return tmk_tensor_slice(t, *t, dim, begin, end);
	case 2:
		other = (int)pick(o->rank);
		oracle_transpose(o, dim, other);
		return tmk_tensor_transpose(t, *t, dim, other);
	default:
		/* Join all, or put a 1 somewhere: a reshape if it is dense. */
		if (!tmk_tensor_is_dense(*t) || !o->nr)
			return 0;
		rank = 0;
		if (pick(2) && o->rank < TMK_RANK_MAX) {
			for (i = 0; i < o->rank; i++) {
				if (i == dim)
					shape[rank++] = 1;
				shape[rank++] = o->shape[i];
			}
		} else {
			shape[rank++] = o->nr;
		}
		o->rank = rank;
		memcpy(o->shape, shape, sizeof(shape));
		return tmk_tensor_reshape(t, *t, rank, shape);
	}
}

TEST(random_views_follow_the_oracle)
{
	static struct oracle o;
	struct tmk_workspace *ws = make();
	struct tmk_tensor *base, *t, *copy;
	int64_t shape[TMK_RANK_MAX], n;
	int round, i, rank;

	for (round = 0; round < 2000; round++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		rank = (int)pick(5);
		for (i = 0; i < rank; i++)
			shape[i] = 1 + pick(7);
		base = t = numbered(&o, rank, shape);
		ASSERT_TRUE(t);
		for (i = 0; i < 6; i++) {
			ASSERT_EQ(0, random_step(&t, &o));
			ASSERT_EQ(0, differs(t, &o, tmk_tensor_data(base)));
		}
		/* A copy of it is dense, with the same elements in order. */
		ASSERT_EQ(0, tmk_tensor_dup(&copy, t));
		ASSERT_TRUE(tmk_tensor_is_dense(copy));
		for (n = 0; n < o.nr; n++)
			ASSERT_EQ(o.of[n],
				  ((int32_t *)tmk_tensor_data(copy))[n]);
		/* And what is written back is where it came from. */
		ASSERT_EQ(0, tmk_tensor_fill(copy, -1));
		ASSERT_EQ(0, tmk_tensor_copy(t, copy));
		for (n = 0; n < o.nr; n++)
			ASSERT_EQ(-1,
				  ((int32_t *)tmk_tensor_data(base))[o.of[n]]);
		EXPECT_EQ(0, tmk_workspace_pop(ws));
	}
}

TEST(b10_permuted_and_reshaped)
{
	int64_t shape[4] = { 5, 4, 3, 2 }, flat[2] = { 12, 10 };
	struct tmk_workspace *ws = make();
	static struct oracle o;
	struct tmk_tensor *t, *copy, *r;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	t = numbered(&o, 4, shape);
	ASSERT_EQ(0, tmk_tensor_transpose(&t, t, 0, 3));
	EXPECT_EQ(-EINVAL, tmk_tensor_reshape(&r, t, 2, flat));
	EXPECT_TRUE(strstr(tmk_error_last(), "tmk_tensor_dup()"));
	ASSERT_EQ(0, tmk_tensor_dup(&copy, t));
	EXPECT_EQ(0, tmk_tensor_reshape(&r, copy, 2, flat));
	EXPECT_EQ(10, tmk_tensor_strides(r)[0]);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(wrong_arguments)
{
	int64_t shape[2] = { 3, 4 }, twelve = 12, eleven = 11, minus = -12;
	struct tmk_tensor *t, *v = (void *)9;
	static struct oracle o;

	t = numbered(&o, 2, shape);
	EXPECT_EQ(-EINVAL, tmk_tensor_slice(&v, t, 2, 0, 1));
	EXPECT_EQ(-EINVAL, tmk_tensor_slice(&v, t, -1, 0, 1));
	EXPECT_EQ(-ERANGE, tmk_tensor_slice(&v, t, 0, -1, 1));
	EXPECT_EQ(-ERANGE, tmk_tensor_slice(&v, t, 0, 0, 4));
	EXPECT_EQ(-ERANGE, tmk_tensor_slice(&v, t, 0, 2, 1));
	EXPECT_EQ(-ERANGE, tmk_tensor_slice(&v, t, 1, INT64_MIN, INT64_MAX));
	EXPECT_EQ(-EINVAL, tmk_tensor_transpose(&v, t, 0, 2));
	EXPECT_EQ(-EINVAL, tmk_tensor_transpose(&v, t, -1, 0));
	EXPECT_EQ(-EINVAL, tmk_tensor_reshape(&v, t, 1, &eleven));
	EXPECT_EQ(-EINVAL, tmk_tensor_reshape(&v, t, 1, &minus));
	EXPECT_EQ(-EINVAL, tmk_tensor_reshape(&v, t, 9, shape));
	EXPECT_EQ(-EINVAL, tmk_tensor_reshape(&v, t, 0, NULL));
	EXPECT_EQ(-EINVAL, tmk_tensor_slice(&v, NULL, 0, 0, 1));
	EXPECT_TRUE(v == (void *)9);
	EXPECT_EQ(0, tmk_tensor_reshape(&v, t, 1, &twelve));
	tmk_tensor_put(v);
	tmk_tensor_put(t);
}

TEST(detached_views_keep_the_memory)
{
	struct tmk_stats s = { .stats_size = sizeof(s) };
	int64_t shape[2] = { 3, 4 };
	struct tmk_tensor *t, *v, *vv;
	static struct oracle o;

	t = numbered(&o, 2, shape);
	ASSERT_EQ(0, tmk_tensor_slice(&v, t, 0, 1, 3));
	tmk_tensor_put(t);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_EQ(0, tmk_tensor_check(v, "v"));
	EXPECT_EQ(4, *(int32_t *)tmk_tensor_data(v));
	ASSERT_EQ(0, tmk_tensor_transpose(&vv, v, 0, 1));
	tmk_tensor_put(v);
	EXPECT_EQ(4, *(int32_t *)tmk_tensor_data(vv));
	ASSERT_EQ(0, tmk_stats_snapshot(&s));
	EXPECT_EQ(1, s.regions);
	tmk_tensor_put(vv);
	ASSERT_EQ(0, tmk_stats_snapshot(&s));
	EXPECT_EQ(0, s.regions);
}

TEST(attached_views_take_no_memory)
{
	struct tmk_workspace *ws = make();
	struct tmk_workspace_info before, after;
	int64_t shape[2] = { 3, 4 };
	static struct oracle o;
	struct tmk_tensor *t, *v;
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	t = numbered(&o, 2, shape);
	ASSERT_EQ(0, tmk_workspace_info(&before, ws));
	for (i = 0; i < 500; i++)
		ASSERT_EQ(0, tmk_tensor_slice(&v, t, 0, 0, 1 + i % 3));
	ASSERT_EQ(0, tmk_workspace_info(&after, ws));
	EXPECT_EQ(before.offset, after.offset);
	EXPECT_EQ(before.cycle, after.cycle);
	/* Releasing the base does not touch its views: the scope has both. */
	tmk_tensor_put(t);
	EXPECT_EQ(0, tmk_tensor_check(v, "v"));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(v, "v"));
}

/* Exact where strides agree; never "apart" where they are not. */
TEST(overlap_against_all_pairs)
{
	static struct oracle oa, ob, whole;
	struct tmk_workspace *ws = make();
	struct tmk_tensor *base, *a, *b;
	int64_t shape[3], i, k;
	int round, step, exact = 0, shared_nr = 0;

	for (round = 0; round < 3000; round++) {
		bool shared = false, seen;

		ASSERT_EQ(0, tmk_workspace_push(ws));
		for (i = 0; i < 3; i++)
			shape[i] = 1 + pick(6);
		base = numbered(&whole, 3, shape);
		oa = ob = whole;
		a = b = base;
		/* Slices only: both keep the base's strides. */
		for (step = 0; step < 3; step++) {
			int dim = (int)pick(3);
			int64_t begin = pick(oa.shape[dim]);
			int64_t end = begin + 1 + pick(oa.shape[dim] - begin);

			oracle_slice(&oa, dim, begin, end);
			ASSERT_EQ(0, tmk_tensor_slice(&a, a, dim, begin, end));
			dim = (int)pick(3);
			begin = pick(ob.shape[dim]);
			end = begin + 1 + pick(ob.shape[dim] - begin);
			oracle_slice(&ob, dim, begin, end);
			ASSERT_EQ(0, tmk_tensor_slice(&b, b, dim, begin, end));
		}
		if (round % 2) {
			oracle_transpose(&ob, 0, 2);
			ASSERT_EQ(0, tmk_tensor_transpose(&b, b, 0, 2));
		}
		for (i = 0; i < oa.nr; i++) {
			for (k = 0; k < ob.nr; k++)
				shared |= oa.of[i] == ob.of[k];
		}
		seen = tmk__tensor_overlaps(tmk__handle_header(a),
					    tmk__handle_header(b));
		if (shared)
			ASSERT_TRUE(seen);
		else if (!(round % 2))
			ASSERT_FALSE(seen);
		exact += shared == seen;
		shared_nr += shared;
		EXPECT_EQ(0, tmk_workspace_pop(ws));
	}
	/* The cases were not all of one sort. */
	EXPECT_LT(300, shared_nr);
	EXPECT_LT(shared_nr, 2700);
	EXPECT_LT(2400, exact);
}

TEST_HARNESS_MAIN
