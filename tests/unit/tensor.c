// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Tensors: creating them in each place, wrong shapes and types, references,
 * copies, and where the memory is charged. Case ids are those of the ND4J
 * suites, with f32 elements instead of f64.
 */
#include <errno.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"

#define MIB (1024 * 1024UL)

static struct tmk_workspace *make(const char *id, uint64_t initial)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.alignment = 16;
	o.allocation = TMK_WS_STRICT;
	o.initial_bytes = initial;
	if (tmk_workspace_create(&ws, id, &o))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_workspace_info info(struct tmk_workspace *ws)
{
	struct tmk_workspace_info i;

	memset(&i, 0xff, sizeof(i));
	if (tmk_workspace_info(&i, ws))
		TH_LOG("%s", tmk_error_last());
	return i;
}

static uint64_t held(enum tmk_use use)
{
	struct tmk_stats s = { .stats_size = sizeof(s) };

	if (tmk_stats_snapshot(&s))
		TH_LOG("%s", tmk_error_last());
	return s.by_use[use].current;
}

static float *f32(struct tmk_tensor *t)
{
	return tmk_tensor_data(t);
}

static bool said(const char *word)
{
	if (strstr(tmk_error_last(), word))
		return true;
	TH_LOG("\"%s\" does not say \"%s\"", tmk_error_last(), word);
	return false;
}

TEST(dtypes)
{
	static const struct {
		enum tmk_dtype dtype;
		const char *name;
		size_t bytes;
	} rows[] = {
		{ TMK_F32, "f32", 4 }, { TMK_F64, "f64", 8 },
		{ TMK_F16, "f16", 2 }, { TMK_BF16, "bf16", 2 },
		{ TMK_I64, "i64", 8 }, { TMK_I32, "i32", 4 },
		{ TMK_I16, "i16", 2 }, { TMK_I8, "i8", 1 },
		{ TMK_U8, "u8", 1 },   { TMK_BOOL, "bool", 1 },
		{ TMK_C64, "c64", 8 }, { TMK_C128, "c128", 16 },
	};
	static const int junk[] = { 0, -1, 13, 1000, INT32_MIN };
	struct tmk_tensor *t = NULL;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EXPECT_EQ(rows[i].bytes, tmk_dtype_bytes(rows[i].dtype));
		EXPECT_STREQ(rows[i].name, tmk_dtype_name(rows[i].dtype));
		EXPECT_EQ(0, tmk_tensor_create(&t, rows[i].dtype, 0, NULL));
		EXPECT_EQ(rows[i].dtype, tmk_tensor_dtype(t));
		tmk_tensor_put(t);
	}
	for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		EXPECT_EQ(0, tmk_dtype_bytes((enum tmk_dtype)junk[i]));
		EXPECT_STREQ("?", tmk_dtype_name((enum tmk_dtype)junk[i]));
		EXPECT_EQ(-EINVAL,
			  tmk_tensor_create(&t, (enum tmk_dtype)junk[i], 0,
					    NULL));
	}
}

TEST(b01_detached_when_nothing_is_open)
{
	int64_t shape[2] = { 2, 5 };
	struct tmk_tensor *t;
	uint64_t before;

	before = held(TMK_USE_GENERAL);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 2, shape));
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	EXPECT_TRUE(!tmk_tensor_workspace(t));
	EXPECT_EQ(2, tmk_tensor_rank(t));
	EXPECT_EQ(10, tmk_tensor_nr(t));
	EXPECT_EQ(TMK_F32, tmk_tensor_dtype(t));
	EXPECT_EQ(5, tmk_tensor_shape(t)[1]);
	EXPECT_EQ(5, tmk_tensor_strides(t)[0]);
	EXPECT_EQ(1, tmk_tensor_strides(t)[1]);
	EXPECT_TRUE(tmk_tensor_is_dense(t));
	EXPECT_EQ(0, (uintptr_t)tmk_tensor_data(t) % 64);
	/* Small: one base page, no huge one. */
	EXPECT_EQ(before + 4096, held(TMK_USE_GENERAL));
	tmk_tensor_put(t);
	EXPECT_EQ(before, held(TMK_USE_GENERAL));
}

TEST(detached_pages_follow_the_size)
{
	struct tmk_region_opts huge = TMK_REGION_OPTS_INIT;
	struct tmk_tensor *t;
	int64_t n;

	n = 4 * MIB / 4;
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_EQ(4 * MIB, held(TMK_USE_GENERAL));
	tmk_tensor_put(t);
	n = 100;
	ASSERT_EQ(0, tmk_tensor_create_in(&t, NULL, &huge, TMK_F32, 1, &n));
	EXPECT_EQ(2 * MIB, held(TMK_USE_GENERAL));
	tmk_tensor_put(t);
	EXPECT_EQ(0, held(TMK_USE_GENERAL));
	huge.kind = 99;
	EXPECT_EQ(-EINVAL,
		  tmk_tensor_create_in(&t, NULL, &huge, TMK_F32, 1, &n));
}

TEST(shapes_that_are_wrong)
{
	static const int64_t negative[2] = { 3, -1 };
	static const int64_t nine[9] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	static const int64_t large[2] = { INT64_MAX, 2 };
	static const int64_t bytes[1] = { INT64_MAX / 2 };
	static const int64_t hidden[3] = { INT64_MAX / 8, 16, 0 };
	struct tmk_tensor *t = (void *)5;

	EXPECT_EQ(-EINVAL, tmk_tensor_create(&t, TMK_F32, -1, nine));
	EXPECT_EQ(-EINVAL, tmk_tensor_create(&t, TMK_F32, 9, nine));
	EXPECT_EQ(-EINVAL, tmk_tensor_create(&t, TMK_F32, 1, NULL));
	EXPECT_EQ(-EINVAL, tmk_tensor_create(&t, TMK_F32, 2, negative));
	EXPECT_TRUE(said("size 1") && said("-1"));
	EXPECT_EQ(-EOVERFLOW, tmk_tensor_create(&t, TMK_F32, 2, large));
	EXPECT_EQ(-EOVERFLOW, tmk_tensor_create(&t, TMK_F32, 1, bytes));
	/* Empty, but its strides would not be numbers. */
	EXPECT_EQ(-EOVERFLOW, tmk_tensor_create(&t, TMK_F32, 3, hidden));
	EXPECT_TRUE(t == (void *)5);
}

TEST(scalars_and_empty_ones)
{
	struct tmk_workspace *ws = make("e", 1024);
	int64_t empty[3] = { 4, 0, 2 };
	struct tmk_tensor *t, *e, *copy;
	int round;

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, tmk_tensor_create(&t, TMK_I32, 0, NULL));
		EXPECT_EQ(0, tmk_tensor_rank(t));
		EXPECT_EQ(1, tmk_tensor_nr(t));
		EXPECT_EQ(0, tmk_tensor_fill(t, 7));
		EXPECT_EQ(7, *(int32_t *)tmk_tensor_data(t));
		ASSERT_EQ(0, tmk_tensor_create(&e, TMK_F32, 3, empty));
		EXPECT_EQ(0, tmk_tensor_nr(e));
		EXPECT_TRUE(tmk_tensor_data(e));
		EXPECT_TRUE(tmk_tensor_is_dense(e));
		EXPECT_EQ(0, tmk_tensor_zero(e));
		EXPECT_EQ(0, tmk_tensor_fill(e, 1));
		ASSERT_EQ(0, tmk_tensor_dup(&copy, e));
		EXPECT_EQ(0, tmk_tensor_copy(copy, e));
		EXPECT_EQ(0, tmk_tensor_shape(copy)[1]);
		if (!round) {
			tmk_tensor_put(copy);
			tmk_tensor_put(e);
			tmk_tensor_put(t);
			EXPECT_EQ(0, held(TMK_USE_GENERAL));
			ASSERT_EQ(0, tmk_workspace_push(ws));
		}
	}
	EXPECT_EQ(16, info(ws).offset); /* the scalar's */
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(b25_in_the_innermost_workspace)
{
	struct tmk_workspace *a = make("a", 4096), *b = make("b", 4096);
	struct tmk_tensor *t;
	int64_t n = 10;

	ASSERT_EQ(0, tmk_workspace_push(a));
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_EQ(48, info(a).offset);
	EXPECT_TRUE(tmk_tensor_is_attached(t));
	EXPECT_TRUE(tmk_tensor_workspace(t) == a);
	ASSERT_EQ(0, tmk_workspace_push(b));
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_TRUE(tmk_tensor_workspace(t) == b);
	EXPECT_EQ(48, info(a).offset);
	EXPECT_EQ(48, info(b).offset);
	/* By name: an outer one, or none. */
	ASSERT_EQ(0, tmk_tensor_create_in(&t, a, NULL, TMK_F32, 1, &n));
	EXPECT_TRUE(tmk_tensor_workspace(t) == a);
	EXPECT_EQ(96, info(a).offset);
	ASSERT_EQ(0, tmk_tensor_create_in(&t, NULL, NULL, TMK_F32, 1, &n));
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	EXPECT_EQ(96, info(a).offset);
	EXPECT_EQ(48, info(b).offset);
	tmk_tensor_put(t);
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_EQ(0, tmk_workspace_pop(a));
}

TEST(b15_attached_although_spilled)
{
	struct tmk_workspace *ws = make("l", 0);
	struct tmk_tensor *t;
	int64_t n = 25;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
		EXPECT_TRUE(tmk_tensor_is_attached(t));
		EXPECT_EQ(i ? 0 : 112, info(ws).spilled_bytes);
		EXPECT_EQ(0, tmk_tensor_fill(t, 1));
		EXPECT_EQ(0, tmk_workspace_pop(ws));
	}
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	tmk_tensor_put(t);
}

TEST(create_in_wrong_places)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_workspace *ws = make("a", 4096);
	struct tmk_tensor *t;
	int64_t n = 1, none = 0;

	EXPECT_EQ(-ENOTCONN,
		  tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 1, &n));
	EXPECT_EQ(-ENOTCONN,
		  tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 1, &none));
	EXPECT_EQ(-EINVAL, tmk_tensor_create_in(&t, ws, &opts, TMK_F32, 1, &n));
	EXPECT_EQ(-EINVAL,
		  tmk_tensor_create_in(&t, (void *)3, NULL, TMK_F32, 1, &n));
}

/* Also by name a tensor of a bypassed workspace is a detached one. */
TEST(create_in_a_bypassed_one)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	int64_t n = 10, wrong = -1;

	o.initial_bytes = 4096;
	o.debug = TMK_WS_DEBUG_BYPASS_EVERYTHING;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "a", &o));
	EXPECT_EQ(-ENOTCONN,
		  tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(-EINVAL,
		  tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 1, &wrong));
	ASSERT_EQ(0, tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	EXPECT_EQ(0, tmk_tensor_check(t, NULL));
	tmk_tensor_put(t);
}

TEST(b27_dup_goes_to_the_innermost)
{
	struct tmk_workspace *ws = make("a", 4096);
	struct tmk_tensor *t, *copy, *out;
	int64_t n = 10;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_tensor_fill(t, 1.5));
	EXPECT_EQ(48, info(ws).offset);
	ASSERT_EQ(0, tmk_tensor_dup(&copy, t));
	EXPECT_EQ(96, info(ws).offset);
	EXPECT_TRUE(f32(copy) != f32(t));
	EXPECT_TRUE(f32(copy)[9] == 1.5f);
	ASSERT_EQ(0, tmk_tensor_fill(t, 2));
	EXPECT_TRUE(f32(copy)[9] == 1.5f);
	ASSERT_EQ(0, tmk_tensor_detach(&out, copy));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	ASSERT_EQ(0, tmk_tensor_dup(&copy, out));
	EXPECT_FALSE(tmk_tensor_is_attached(copy));
	EXPECT_TRUE(f32(copy)[0] == 1.5f);
	tmk_tensor_put(copy);
	tmk_tensor_put(out);
}

TEST(b12_b11_detach)
{
	struct tmk_workspace *ws = make("a", 4096);
	struct tmk_tensor *t, *out, *again, *view;
	int64_t shape[2] = { 2, 5 };
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 2, shape));
	for (i = 0; i < 10; i++)
		f32(t)[i] = (float)i;
	EXPECT_EQ(48, info(ws).offset);
	ASSERT_EQ(0, tmk_tensor_detach(&out, t));
	EXPECT_EQ(48, info(ws).offset);
	EXPECT_FALSE(tmk_tensor_is_attached(out));
	/* A detached one is itself, with one more reference. */
	ASSERT_EQ(0, tmk_tensor_detach(&again, out));
	EXPECT_TRUE(again == out);
	tmk_tensor_put(again);
	EXPECT_EQ(0, tmk_tensor_check(out, "out"));
	/* S-08: a view with gaps becomes a dense copy. */
	ASSERT_EQ(0, tmk_tensor_slice(&view, t, 1, 1, 3));
	EXPECT_FALSE(tmk_tensor_is_dense(view));
	ASSERT_EQ(0, tmk_tensor_detach(&again, view));
	EXPECT_TRUE(tmk_tensor_is_dense(again));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_TRUE(f32(out)[7] == 7);
	EXPECT_TRUE(f32(again)[0] == 1 && f32(again)[1] == 2 &&
		    f32(again)[2] == 6 && f32(again)[3] == 7);
	tmk_tensor_put(out);
	tmk_tensor_put(again);
	EXPECT_EQ(0, held(TMK_USE_GENERAL));
}

TEST(references)
{
	struct tmk_tensor *t;
	int64_t n = 4;

	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_TRUE(tmk_tensor_get(t) == t);
	EXPECT_TRUE(tmk_tensor_get(t) == t);
	tmk_tensor_put(t);
	tmk_tensor_put(t);
	EXPECT_EQ(4096, held(TMK_USE_GENERAL));
	EXPECT_EQ(0, tmk_tensor_check(t, "t"));
	tmk_tensor_put(t);
	EXPECT_EQ(0, held(TMK_USE_GENERAL));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	tmk_tensor_put(NULL);
	EXPECT_TRUE(!tmk_tensor_get(NULL));
}

TEST(from_region)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	int64_t n = 1000, too_many = 1025, one = 1;
	struct tmk_region *region;
	struct tmk_tensor *t;

	opts.kind = TMK_KIND_PINNED;
	ASSERT_EQ(0, tmk_region_create(&region, 4096, &opts));
	EXPECT_EQ(-EINVAL, tmk_tensor_from_region(&t, NULL, 0, TMK_F32, 1, &n));
	EXPECT_EQ(-EINVAL,
		  tmk_tensor_from_region(&t, region, 2, TMK_F32, 1, &n));
	EXPECT_EQ(-ERANGE,
		  tmk_tensor_from_region(&t, region, 100, TMK_F32, 1, &n));
	EXPECT_EQ(-ERANGE,
		  tmk_tensor_from_region(&t, region, 0, TMK_F32, 1, &too_many));
	EXPECT_EQ(-ERANGE, tmk_tensor_from_region(&t, region, SIZE_MAX - 3,
						  TMK_F32, 1, &one));
	EXPECT_EQ(-ERANGE,
		  tmk_tensor_from_region(&t, region, 4096, TMK_F32, 1, &one));
	EXPECT_EQ(-EINVAL,
		  tmk_tensor_from_region(&t, region, 1, TMK_F16, 1, &one));
	ASSERT_EQ(0, tmk_tensor_from_region(&t, region, 96, TMK_F32, 1, &n));
	EXPECT_TRUE((char *)tmk_tensor_data(t) ==
		    (char *)tmk_region_data(region) + 96);
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	/* The tensor keeps the region. */
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_tensor_fill(t, 3));
	EXPECT_EQ(4096, held(TMK_USE_GENERAL));
	tmk_tensor_put(t);
	EXPECT_EQ(0, held(TMK_USE_GENERAL));
}

TEST(refused_detached_tensor)
{
	struct tmk_limits limits = { 8192, TMK_UNLIMITED };
	int64_t n = 1024, big = 4096;
	struct tmk_tensor *t, *u = NULL;

	ASSERT_EQ(0, tmk_limits_set(&limits));
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_EQ(-ENOMEM, tmk_tensor_create(&u, TMK_F32, 1, &big));
	EXPECT_TRUE(!u);
	EXPECT_EQ(4096, held(TMK_USE_GENERAL));
	ASSERT_EQ(0, tmk_tensor_create(&u, TMK_F32, 1, &n));
	tmk_tensor_put(t);
	tmk_tensor_put(u);
}

/* More headers than one extent has, in and out of order. */
TEST(many_tensors)
{
	enum {
		NR = 1000
	};
	static struct tmk_tensor *t[NR];
	struct tmk_workspace *ws = make("m", 64 * NR);
	int64_t n = 3;
	int i, round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		for (i = 0; i < NR; i++) {
			ASSERT_EQ(0, tmk_tensor_create(&t[i], TMK_F32, 1, &n));
			ASSERT_EQ(0, tmk_tensor_fill(t[i], i + round));
		}
		for (i = 0; i < NR; i++)
			ASSERT_TRUE(f32(t[i])[2] == i + round);
		EXPECT_EQ(16 * NR, info(ws).offset);
		EXPECT_EQ(0, tmk_workspace_pop(ws));
		for (i = 0; i < NR; i++)
			ASSERT_EQ(-ESTALE, tmk_tensor_check(t[i], "t"));
	}
	for (i = 0; i < NR; i++)
		ASSERT_EQ(0, tmk_tensor_create(&t[i], TMK_F32, 0, NULL));
	for (i = 0; i < NR; i += 2)
		tmk_tensor_put(t[i]);
	for (i = 0; i < NR; i++)
		ASSERT_EQ(i % 2 ? 0 : -ESTALE, tmk_tensor_check(t[i], "t"));
	for (i = 1; i < NR; i += 2)
		tmk_tensor_put(t[i]);
	EXPECT_EQ(0, held(TMK_USE_GENERAL));
}

TEST_HARNESS_MAIN
