// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Conformance with ND4J's workspaces: what follows from its code (cases D-01 to
 * D-33). Much of it is a trap there; what tmk does instead is asserted, with the
 * rule of doc/workspaces.md that says so. See conform.h.
 */
#include <errno.h>
#include <math.h>

#include "conform.h"

/* Rule 1: 1312, a multiple of 16, where there it is 1310. */
TEST(D_01_defaults)
{
	struct tmk_workspace *ws = make("w", base());

	cycle_of(ws, 1000);
	EXPECT_EQ(1008, in(ws).block);
	EXPECT_EQ(1312, in(ws).size);
}

static struct tmk_workspace *capped(void)
{
	struct tmk_workspace_opts o = base();

	o.allocation = TMK_WS_STRICT;
	o.spill = TMK_WS_SPILL_REALLOCATE;
	o.max_bytes = 10000;
	return make("w", o);
}

TEST(D_03a_growing)
{
	struct tmk_workspace *ws = capped();

	cycle_of(ws, 4000);
	EXPECT_EQ(4000, in(ws).size);
	cycle_of(ws, 9000);
	EXPECT_EQ(9008, in(ws).size);
}

/* Rule 2: there it stays at 4000 for ever. */
TEST(D_03c_growing_clamps_at_max)
{
	struct tmk_workspace *ws = capped();

	cycle_of(ws, 4000);
	cycle_of(ws, 12000);
	EXPECT_EQ(10000, in(ws).size);
	cycle_of(ws, 12000);
	EXPECT_EQ(10000, in(ws).size);
}

TEST(D_03e_first_is_too_large)
{
	struct tmk_workspace *ws = capped();

	cycle_of(ws, 12000);
	EXPECT_EQ(10000, in(ws).size);
	EXPECT_EQ(10000, in(ws).block);
}

/* Rule 3. */
TEST(D_04_contradicting_sizes)
{
	struct tmk_workspace_opts o = base();
	struct tmk_workspace *ws;

	o.min_bytes = 20000;
	o.max_bytes = 10000;
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "w", &o));
	EXPECT_TRUE(says("min_bytes is 20000 and max_bytes is 10000"));
}

/* Rule 2: there it is 1300, the minimum is not looked at. */
TEST(D_04b_minimum_lifts_the_initial_size)
{
	struct tmk_workspace_opts o = base();

	o.initial_bytes = 1000;
	o.min_bytes = 1 << 20;
	EXPECT_EQ(1 << 20, in(make("w", o)).size);
}

TEST(D_05_an_empty_scope_teaches_nothing)
{
	struct tmk_workspace *ws = make("w", base());

	cycle_of(ws, 0);
	EXPECT_EQ(0, in(ws).size);
	cycle_of(ws, 64);
	EXPECT_EQ(96, in(ws).size); /* 83 there */
}

static struct tmk_workspace *over_time(uint32_t cycles)
{
	struct tmk_workspace_opts o = opts_pl();

	o.cycles_before_initialization = cycles;
	return make("w", o);
}

TEST(D_06_the_largest_of_three)
{
	struct tmk_workspace *ws = over_time(3);

	cycle_of(ws, 64);
	cycle_of(ws, 128);
	EXPECT_EQ(0, in(ws).size);
	cycle_of(ws, 0);
	EXPECT_EQ(128, in(ws).size);
}

/* Rule 5: there it stays 0 for ever. */
TEST(D_06b_the_first_that_is_not_empty)
{
	struct tmk_workspace *ws = over_time(3);
	int i;

	for (i = 0; i < 3; i++)
		cycle_of(ws, 0);
	EXPECT_EQ(0, in(ws).size);
	cycle_of(ws, 64);
	EXPECT_EQ(64, in(ws).size);
	cycle_of(ws, 64);
	EXPECT_EQ(0, in(ws).spilled_count);
}

TEST(D_06c_no_cycles_means_by_hand)
{
	struct tmk_workspace *ws = over_time(0);
	int i;

	for (i = 0; i < 10; i++)
		cycle_of(ws, 64);
	EXPECT_EQ(0, in(ws).size);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(64, in(ws).size);
}

static struct tmk_workspace_opts ring(uint64_t initial)
{
	struct tmk_workspace_opts o = strict(initial);

	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	return o;
}

/* Rule 6: there it never returns. */
TEST(D_07_more_than_the_ring)
{
	struct tmk_workspace_opts o = ring(1008);
	struct tmk_workspace *fail, *spill;
	int64_t n = 2000;
	struct tmk_tensor *t;

	spill = make("spill", o);
	enter(spill);
	bytes(n);
	EXPECT_EQ(2000, in(spill).spilled_bytes);
	EXPECT_EQ(0, in(spill).offset);
	leave(spill);
	o.spill = TMK_WS_SPILL_FAIL;
	fail = make("fail", o);
	enter(fail);
	EXPECT_EQ(-ENOMEM, tmk_tensor_create(&t, TMK_U8, 1, &n));
	EXPECT_TRUE(says("\"fail\" is full: 2000 bytes asked, 0 of 1008"));
	EXPECT_EQ(0, in(fail).spilled_bytes);
	leave(fail);
}

/* 100 bytes become 112, which is a multiple of the alignment. */
TEST(D_07b_half_of_it_spills)
{
	struct tmk_workspace *ws = make("w", strict(100));

	enter(ws);
	bytes(64);
	EXPECT_EQ(64, in(ws).offset);
	bytes(64);
	EXPECT_EQ(64, in(ws).spilled_bytes);
	leave(ws);
}

/* Rule 6: the block is clamped; there it never returns. */
TEST(D_07c_a_block_that_is_larger_than_the_ring)
{
	struct tmk_workspace_opts o = opts_pc();
	struct tmk_workspace *ws;

	o.min_bytes = 0;
	o.max_bytes = 1000;
	ws = make("w", o);
	cycle_of(ws, 960);
	EXPECT_EQ(992, in(ws).size);
	EXPECT_EQ(992, in(ws).block);
	enter(ws);
	bytes(1000);
	EXPECT_EQ(1, in(ws).pinned_count);
	leave(ws);
}

/* Rule 8: a real stack; there the scope-out outlives its end. */
TEST(D_08_scope_out_in_a_nested_scope)
{
	struct tmk_workspace *ws = make("w", opts_pb());

	enter(ws);
	enter(ws);
	ASSERT_EQ(0, tmk_workspace_scope_out());
	EXPECT_TRUE(!tmk_workspace_current());
	ASSERT_EQ(0, tmk_workspace_scope_in());
	EXPECT_TRUE(tmk_workspace_current() == ws);
	leave(ws);
	EXPECT_TRUE(tmk_workspace_current() == ws);
	leave(ws);
	EXPECT_TRUE(!tmk_workspace_current());
}

/* Rule 8: there the second entry overwrites what the first one made. */
TEST(D_09_interleaved_entry_is_refused)
{
	struct tmk_workspace *a = make("A", opts_pb());
	struct tmk_workspace *b = make("B", opts_pb());
	struct tmk_tensor *t;

	enter(a);
	t = doubles(10, 1);
	enter(b);
	EXPECT_EQ(-EBUSY, tmk_workspace_push(a));
	EXPECT_TRUE(says("\"A\" is open already, outside of \"B\""));
	EXPECT_EQ(-EINVAL, tmk_workspace_pop(a));
	EXPECT_TRUE(tmk_workspace_current() == b);
	leave(b);
	EXPECT_EQ(10, (int)sum(t));
	leave(a);
	EXPECT_TRUE(!tmk_workspace_current());
}

TEST(D_10_borrowed_twice)
{
	struct tmk_workspace *a = make("A", opts_pb());
	struct tmk_workspace *b = make("B", opts_pb());

	EXPECT_EQ(-ENOTCONN, tmk_workspace_borrow(a));
	enter(a);
	enter(b);
	ASSERT_EQ(0, tmk_workspace_borrow(a));
	EXPECT_EQ(-EBUSY, tmk_workspace_borrow(a));
	EXPECT_TRUE(says("\"A\" is borrowed already"));
	leave(a);
	ASSERT_EQ(0, tmk_workspace_borrow(a));
	leave(a);
	leave(b);
	leave(a);
}

/* Rule 9: there it spills for ever. */
TEST(D_13_destroyed_is_gone)
{
	struct tmk_workspace *ws = make("w", base());

	cycle_of(ws, 64);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(-ESTALE, tmk_workspace_push(ws));
	EXPECT_TRUE(says("\"w\" was destroyed"));
	EXPECT_EQ(-ESTALE, tmk_workspace_destroy(ws));
	EXPECT_EQ(-ESTALE, tmk_workspace_initialize(ws));
}

/* Rule 10: there it stays until the workspace is destroyed. */
TEST(D_14_switched_off)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_tensor *t, *kept;
	int i;

	for (i = 0; i < 3; i++) {
		enter(ws);
		EXPECT_EQ(0, tmk_workspace_toggle(ws, false));
		t = doubles(8, 2);
		EXPECT_EQ(0, in(ws).offset);
		EXPECT_EQ(0, in(ws).cycle);
		EXPECT_EQ(1, in(ws).external_count);
		EXPECT_EQ(0, in(ws).spilled_count);
		ASSERT_EQ(0, tmk_tensor_detach(&kept, t));
		leave(ws);
		EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
		EXPECT_EQ(16, (int)sum(kept));
		tmk_tensor_put(kept);
		EXPECT_EQ(0, in(ws).external_count);
		EXPECT_EQ(0, stats_now().by_use[TMK_USE_GENERAL].current);
		/* And on again with the next scope. */
		enter(ws);
		doubles(8, 2);
		EXPECT_EQ(64, in(ws).offset);
		leave(ws);
	}
}

TEST(D_17_four_times_as_much)
{
	struct tmk_workspace_opts o = learned(3);

	o.initial_bytes = 10000000;
	EXPECT_EQ(40000000, in(make("w", o)).size);
}

TEST(D_18_a_ring_with_one_slot)
{
	struct tmk_workspace_opts o = opts_pc();
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	void *first = NULL;
	int i;

	o.min_bytes = 0;
	ws = make("w", o);
	cycle_of(ws, 80);
	EXPECT_EQ(112, in(ws).block);
	EXPECT_EQ(112, in(ws).size);
	for (i = 0; i < 4; i++) {
		enter(ws);
		t = doubles(10, 1);
		if (!i)
			first = tmk_tensor_data(t);
		EXPECT_TRUE(tmk_tensor_data(t) == first);
		leave(ws);
	}
}

/* Rule 4: there the first allocation fails and nothing is ever learned. */
TEST(D_21_fail_learns_first)
{
	struct tmk_workspace_opts o = base();
	struct tmk_workspace *ws;
	int64_t n = 80;
	struct tmk_tensor *t;

	o.spill = TMK_WS_SPILL_FAIL;
	o.allocation = TMK_WS_STRICT;
	ws = make("w", o);
	cycle_of(ws, 64);
	EXPECT_EQ(64, in(ws).size);
	enter(ws);
	EXPECT_EQ(-ENOMEM, tmk_tensor_create(&t, TMK_U8, 1, &n));
	leave(ws);
}

/* Rule 7: there the 16 bytes live until the next entry. */
TEST(D_22_exactly_full)
{
	struct tmk_workspace *ws = make("w", strict(1024));

	enter(ws);
	bytes(1024);
	EXPECT_EQ(0, in(ws).spilled_bytes);
	bytes(1);
	EXPECT_EQ(16, in(ws).spilled_bytes);
	leave(ws);
	EXPECT_EQ(0, in(ws).spilled_bytes);
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_SPILL].current);
}

/* Rule 6, and D-24: a scope's own memory is never wrapped over. */
TEST(D_24_no_wrap_over_the_present_scope)
{
	struct tmk_workspace *ws = make("w", ring(1024));
	struct tmk_tensor *a, *b, *c;

	cycle_of(ws, 512);
	enter(ws);
	a = doubles(32, 1); /* 512 .. 768 */
	b = doubles(32, 2); /* 768 .. 1024 */
	EXPECT_EQ(1024, in(ws).offset);
	c = doubles(64, 3); /* 0 .. 512: of an earlier scope */
	EXPECT_EQ(512, in(ws).offset);
	EXPECT_EQ(0, in(ws).spilled_count);
	set_all(bytes(8), 0); /* there over a */
	EXPECT_EQ(1, in(ws).spilled_count);
	EXPECT_EQ(32, (int)sum(a));
	EXPECT_EQ(64, (int)sum(b));
	EXPECT_EQ(192, (int)sum(c));
	EXPECT_EQ(1024 + 16, in(ws).cycle);
	leave(ws);
}

TEST(D_25_two_slots_of_a_ring)
{
	static const uint64_t offsets[] = { 0, 400, 0, 400, 0 };
	struct tmk_workspace *ws = make("w", ring(1024));
	int i;

	for (i = 0; i < 5; i++) {
		enter(ws);
		bytes(400);
		EXPECT_EQ(offsets[i], in(ws).offset - 400);
		leave(ws);
	}
}

/* Rule 3: limits that are no whole number are refused. */
TEST(D_30_length_of_a_ring)
{
	struct tmk_workspace_opts o = opts_pa();
	struct tmk_workspace *ws;

	o.overallocation_limit = 0.3;
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "w", &o));
	o.overallocation_limit = 2.7;
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "w", &o));
	EXPECT_TRUE(says("whole number"));
	o.overallocation_limit = 1;
	ws = make("two", o);
	cycle_of(ws, 1600);
	EXPECT_EQ(2 * in(ws).block, in(ws).size);
	o.allocation = TMK_WS_STRICT;
	o.overallocation_limit = 7.5;
	ws = make("one", o);
	cycle_of(ws, 1600);
	EXPECT_EQ(in(ws).block, in(ws).size);
}

/* Rule 1: multiples of 16, where there it is 1, 2, 3, 13 and 1301. */
TEST(D_31_sizes_from_an_initial_size)
{
	static const uint64_t initial[] = { 1, 2, 3, 10, 1001 };
	static const uint64_t size[] = { 16, 16, 16, 16, 1312 };
	struct tmk_workspace_opts o = learned(0.3);
	char id[8];
	int i;

	for (i = 0; i < 5; i++) {
		o.initial_bytes = initial[i];
		snprintf(id, sizeof(id), "w%d", i);
		EXPECT_EQ(size[i], in(make(id, o)).size);
	}
}

/* Rule 3: a negative limit is refused, and so is what is no number. */
TEST(D_32_limits)
{
	static const double bad[] = { -1, NAN, INFINITY };
	struct tmk_workspace_opts o = learned(0);
	struct tmk_workspace *ws;
	int i;

	o.initial_bytes = 1008;
	EXPECT_EQ(1008, in(make("w", o)).size);
	for (i = 0; i < 3; i++) {
		o.overallocation_limit = bad[i];
		EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "x", &o));
	}
}

TEST(D_33_spill_everything_counts)
{
	struct tmk_workspace_opts o = strict(1024);
	struct tmk_workspace *ws;

	o.debug = TMK_WS_DEBUG_SPILL_EVERYTHING;
	ws = make("w", o);
	enter(ws);
	bytes(800);
	EXPECT_EQ(800, in(ws).spilled_bytes);
	EXPECT_EQ(0, in(ws).offset);
	leave(ws);
	EXPECT_EQ(800, in(ws).max);
	EXPECT_EQ(0, in(ws).spilled_bytes);
}

TEST_HARNESS_MAIN
