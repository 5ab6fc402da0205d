// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Conformance with ND4J's workspaces: SpecialWorkspaceTests, cases S-01 to S-16,
 * and the rings among WorkspaceProviderTests. See conform.h.
 *
 * A ring's block is a multiple of the alignment (rule 6), so 10,400 bytes and
 * not 10,408 as there. S-10 is about time.
 */
#include <errno.h>

#include "conform.h"

static struct tmk_workspace *series(void)
{
	struct tmk_workspace_opts o = opts_pa();
	struct tmk_workspace *ws;

	o.spill = TMK_WS_SPILL_EXTERNAL;
	ws = make("w", o);
	enter(ws);
	doubles(500, 0);
	doubles(500, 0);
	leave(ws);
	return ws;
}

TEST(S_01_series_are_learned)
{
	struct tmk_workspace *ws = series();

	EXPECT_EQ(0, in(ws).step);
	EXPECT_EQ(8000, in(ws).spilled_bytes);
	EXPECT_EQ(10400, in(ws).block);
	EXPECT_EQ(41600, in(ws).size);
	EXPECT_EQ(2, in(ws).external_count);
	EXPECT_EQ(1, in(ws).cycles);
}

TEST(S_02_a_longer_one_is_pinned)
{
	struct tmk_workspace *ws = series();

	cycle_of(ws, 16000);
	EXPECT_EQ(0, in(ws).step);
	EXPECT_EQ(8000, in(ws).spilled_bytes);
	EXPECT_EQ(16000, in(ws).pinned_bytes);
	EXPECT_EQ(1, in(ws).pinned_count);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(0, in(ws).cycle);
}

/* Offsets, steps and pinned entries of four rounds. */
TEST(S_03_rounds)
{
	static const uint64_t steps[4][4] = {
		{ 0, 0, 1, 1 }, { 1, 1, 2, 2 }, { 2, 2, 3, 3 }, { 3, 3, 4, 4 }
	};
	static const uint64_t pinned[4] = { 1, 1, 0, 0 };
	struct tmk_workspace *ws = series();
	uint64_t i, e;

	cycle_of(ws, 16000);
	for (e = 0; e < 4; e++) {
		for (i = 0; i < 4; i++) {
			enter(ws);
			doubles(500, 0);
			doubles(500, 0);
			leave(ws);
			EXPECT_EQ((i + 1) * 10400, in(ws).offset);
			EXPECT_EQ(steps[e][i], in(ws).step);
			EXPECT_EQ(e ? 0 : 8000, in(ws).spilled_bytes);
			if (e == 2)
				EXPECT_EQ(i < 2, in(ws).pinned_count);
		}
		EXPECT_EQ(pinned[e], in(ws).pinned_count);
	}
}

TEST(S_04_nothing_is_left_beside)
{
	struct tmk_workspace *ws = series();
	int i;

	cycle_of(ws, 16000);
	for (i = 0; i < 16; i++)
		cycle_of(ws, 8000);
	EXPECT_EQ(0, in(ws).spilled_bytes);
	EXPECT_EQ(0, in(ws).pinned_bytes);
	EXPECT_EQ(0, in(ws).pinned_count);
	EXPECT_EQ(0, in(ws).external_count);
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_SPILL].current);
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_PINNED_ENTRY].current);
}

TEST(S_08_detaching_a_view)
{
	struct tmk_workspace_opts o = learned(3);
	int64_t shape[2] = { 10, 10 };
	struct tmk_tensor *t, *view, *copy;
	struct tmk_workspace *ws;

	o.initial_bytes = 10000000;
	ws = make("w", o);
	EXPECT_EQ(40000000, in(ws).size);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F64, 2, shape));
	set_all(t, 2);
	ASSERT_EQ(0, tmk_tensor_slice(&view, t, 1, 2, 3));
	EXPECT_TRUE(tmk_tensor_is_attached(view));
	EXPECT_FALSE(tmk_tensor_is_dense(view));
	ASSERT_EQ(0, tmk_tensor_detach(&copy, view));
	leave(ws);
	EXPECT_FALSE(tmk_tensor_is_attached(copy));
	EXPECT_TRUE(tmk_tensor_is_dense(copy));
	EXPECT_EQ(20, (int)sum(copy));
	tmk_tensor_put(copy);
}

TEST(S_09_whatever_follows_is_aligned)
{
	struct tmk_workspace *ws = make("w", strict(TEN_MIB));
	struct tmk_tensor *t;
	int64_t x, n;
	int i;

	for (x = 0; x < 100; x++) {
		enter(ws);
		for (i = 0; i < 10; i++) {
			t = doubles(10, 1);
			EXPECT_EQ(0, (uintptr_t)tmk_tensor_data(t) % 16);
			EXPECT_EQ(10, (int)sum(t));
			n = x + 1;
			ASSERT_EQ(0, tmk_tensor_create(&t, TMK_BOOL, 1, &n));
			memset(tmk_tensor_data(t), 1, (size_t)n);
		}
		leave(ws);
	}
}

TEST(S_11_order_of_borrowing_and_scope_out)
{
	struct tmk_workspace_opts o = base();
	struct tmk_workspace *outer, *inner;

	o.initial_bytes = 1000000;
	o.overallocation_limit = 0.05;
	o.learning = TMK_WS_LEARN_NONE;
	outer = make("outer", o);
	inner = make("inner", o);
	enter(outer);
	enter(inner);
	ASSERT_EQ(0, tmk_workspace_borrow(outer));
	EXPECT_TRUE(tmk_workspace_current() == outer);
	ASSERT_EQ(0, tmk_workspace_scope_out());
	EXPECT_TRUE(!tmk_workspace_current());
	ASSERT_EQ(0, tmk_workspace_scope_in());
	EXPECT_TRUE(tmk_workspace_current() == outer);
	leave(outer);
	EXPECT_TRUE(tmk_workspace_current() == inner);
	leave(inner);
	EXPECT_TRUE(tmk_workspace_current() == outer);
	leave(outer);
	EXPECT_TRUE(!tmk_workspace_current());
}

static struct tmk_workspace_opts in_file(uint64_t initial)
{
	struct tmk_workspace_opts o = strict(initial);

	o.location = TMK_WS_LOCATION_FILE;
	return o;
}

TEST(S_12_more_than_the_file_has)
{
	struct tmk_workspace *ws = make("w", in_file(209715200));
	struct tmk_tensor *t;
	int64_t n = 52429800;

	EXPECT_EQ(209715200, in(ws).size);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_EQ(209719200, in(ws).spilled_bytes);
	EXPECT_EQ(0, in(ws).offset);
	((float *)tmk_tensor_data(t))[n - 1] = 1;
	leave(ws);
	EXPECT_EQ(0, in(ws).spilled_bytes);
}

TEST(S_13_a_long_name)
{
	struct tmk_workspace_opts o = in_file(4096);
	struct tmk_workspace *ws;
	char path[200];

	memset(path, 'x', sizeof(path));
	memcpy(path, "/tmp/tmk-test-", 14);
	snprintf(path + 180, 20, "%d", (int)getpid());
	o.path = path;
	ws = make("w", o);
	EXPECT_EQ(4096, in(ws).size);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(0, unlink(path));
}

TEST(S_14_the_file_is_let_go)
{
	struct tmk_workspace_opts o = in_file(4096);
	char path[64];
	int fds = fds_nr(), maps;

	snprintf(path, sizeof(path), "/tmp/tmk-test-%d", (int)getpid());
	o.path = path;
	maps = maps_nr();
	make("w", o);
	EXPECT_EQ(0, tmk_workspace_destroy_all());
	EXPECT_EQ(0, unlink(path));
	EXPECT_EQ(fds, fds_nr());
	if (!SANITIZED)
		EXPECT_TRUE(maps_nr() <= maps + 8); /* tables stay */
	EXPECT_TRUE(all_zero());
}

TEST(S_15_a_file_does_not_learn)
{
	struct tmk_workspace_opts o = base();
	struct tmk_workspace *ws;

	o.initial_bytes = 4096;
	o.location = TMK_WS_LOCATION_FILE;
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "w", &o));
	EXPECT_TRUE(says("learn"));
}

TEST(S_16_migrating_a_detached_tensor)
{
	struct tmk_workspace *ws = make("w", base());
	struct tmk_tensor *t, *copy, *again;
	int64_t n = 2;

	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_I64, 1, &n));
	((int64_t *)tmk_tensor_data(t))[0] = 1;
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_migrate(&copy, t, false));
	EXPECT_TRUE(tmk_tensor_workspace(copy) == ws);
	EXPECT_EQ(TMK_I64, tmk_tensor_dtype(copy));
	EXPECT_EQ(1, ((int64_t *)tmk_tensor_data(copy))[0]);
	ASSERT_EQ(0, tmk_tensor_migrate(&again, copy, true));
	EXPECT_TRUE(again == copy);
	leave(ws);
	ASSERT_EQ(0, tmk_tensor_migrate(&again, t, false));
	EXPECT_TRUE(again == t);
	tmk_tensor_put(t);
	tmk_tensor_put(again);
}

static struct tmk_workspace_opts ring(uint64_t initial)
{
	struct tmk_workspace_opts o = strict(initial);

	o.overallocation_limit = 1;
	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	return o;
}

TEST(P_02_unbounded_loop)
{
	struct tmk_workspace *ws = make("w", ring(80000));
	uint64_t x;

	for (x = 0; x < 100; x++) {
		cycle_of(ws, 800);
		EXPECT_EQ((x + 1) * 800, in(ws).offset);
	}
	EXPECT_EQ(80000, in(ws).offset);
	cycle_of(ws, 0);
	EXPECT_EQ(80000, in(ws).offset);
	cycle_of(ws, 800);
	EXPECT_EQ(800, in(ws).offset);
}

/* The block is 104,000 (104,008 there), so the ring has 100 of them. */
TEST(P_09_ring_of_a_minimum_size)
{
	struct tmk_workspace *ws = make("w", opts_pc());
	int i;

	enter(ws);
	bytes(80000);
	EXPECT_EQ(0, in(ws).size);
	EXPECT_EQ(1, in(ws).external_count);
	leave(ws);
	EXPECT_EQ(TEN_MIB, in(ws).size);
	EXPECT_EQ(104000, in(ws).block);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(1, in(ws).external_count);
	for (i = 0; i < 145; i++) {
		EXPECT_EQ(i < 101, in(ws).external_count);
		cycle_of(ws, 80000);
	}
	EXPECT_EQ(0, in(ws).external_count);
	EXPECT_EQ(45 * 104000, in(ws).offset);
}

TEST(P_10_variable_input_first)
{
	struct tmk_workspace *ws = make("w", opts_pa());

	cycle_of(ws, 819200);
	EXPECT_EQ(1064960, in(ws).block);
	EXPECT_EQ(4259840, in(ws).size);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(1, in(ws).cycles);
	EXPECT_EQ(0, in(ws).step);
}

TEST(P_11_variable_input_second)
{
	struct tmk_workspace *ws = make("w", opts_pa());

	cycle_of(ws, 819200);
	cycle_of(ws, 819200);
	EXPECT_EQ(1064960, in(ws).offset);
	EXPECT_EQ(2, in(ws).cycles);
	EXPECT_EQ(0, in(ws).step);
}

/* A larger input: all is pinned until three steps have gone, then a new ring. */
TEST(P_12_variable_input_trimmed)
{
	struct tmk_workspace *ws = make("w", opts_pa());
	int i;

	cycle_of(ws, 819200);
	cycle_of(ws, 1638400);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(1638400, in(ws).pinned_bytes);
	for (i = 3; i <= 12; i++) {
		cycle_of(ws, 16);
		EXPECT_EQ(0, in(ws).offset);
		EXPECT_EQ((uint64_t)i - 1, in(ws).pinned_count);
		EXPECT_EQ(1064960, in(ws).block);
	}
	EXPECT_EQ(2, in(ws).step);
	cycle_of(ws, 16);
	EXPECT_EQ(3, in(ws).step);
	EXPECT_EQ(2129920, in(ws).block);
	EXPECT_EQ(4 * 2129920, in(ws).size);
	EXPECT_EQ(0, in(ws).offset);
	cycle_of(ws, 1638400);
	EXPECT_EQ(2129920, in(ws).offset);
}

TEST(P_18_circular_learning)
{
	struct tmk_workspace *ws = make("w", opts_pc());

	cycle_of(ws, 80);
	EXPECT_EQ(TEN_MIB, in(ws).size);
	EXPECT_EQ(0, in(ws).offset);
	cycle_of(ws, 80);
	EXPECT_EQ(TEN_MIB, in(ws).size);
	EXPECT_EQ(in(ws).block, in(ws).offset);
	EXPECT_EQ(112, in(ws).block);
}

TEST(G_09_a_ring_that_fails_when_it_must_not)
{
	struct tmk_workspace_opts o = ring(TEN_MIB);
	struct tmk_workspace *one, *two;
	int i;

	o.spill = TMK_WS_SPILL_FAIL;
	one = make("one", o);
	two = make("two", o);
	for (i = 0; i < 100; i++) {
		cycle_of(one, 4000000);
		enter(two);
		bytes(4000000);
		bytes(4000000);
		leave(two);
	}
	EXPECT_EQ(100, in(one).cycles);
	EXPECT_EQ(0, in(two).spilled_total);
}

TEST_HARNESS_MAIN
