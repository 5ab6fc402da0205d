// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Rings (rule 6): how long a tensor in one is valid, and that nothing grows. The
 * numbers are in conform_ring.c.
 */
#include <errno.h>
#include <pthread.h>

#include "conform.h"
#include "handle.h"

/* @blocks blocks of 1312 bytes, made from a cycle of 1000. */
static struct tmk_workspace *ring(double blocks)
{
	struct tmk_workspace_opts o = opts_pa();
	struct tmk_workspace *ws;

	o.overallocation_limit = blocks - 1;
	o.spill = TMK_WS_SPILL_EXTERNAL;
	ws = make("ring", o);
	cycle_of(ws, 1000);
	return ws;
}

TEST(rule6_valid_until_the_slot_is_handed_out)
{
	struct tmk_workspace *ws = ring(3);
	struct tmk_tensor *t[5];
	int i;

	for (i = 0; i < 3; i++) {
		enter(ws);
		t[i] = bytes(1000);
		leave(ws);
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, tmk_tensor_check(t[i], "t"));
	enter(ws); /* opening alone takes nothing */
	EXPECT_EQ(0, tmk_tensor_check(t[0], "t"));
	t[3] = bytes(1000);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t[0], "t0"));
	EXPECT_TRUE(says("argument t0: its workspace \"ring\" is at "
			 "generation 5, it was made in 2"));
	EXPECT_TRUE(!tmk_tensor_data(t[0]));
	leave(ws);
	for (i = 1; i < 4; i++)
		EXPECT_TRUE(tmk_tensor_is_in_scope(t[i]));
}

TEST(rule6_of_a_slot_only_what_is_handed_out)
{
	struct tmk_workspace *ws = ring(2);
	struct tmk_tensor *a, *b, *c;

	enter(ws);
	a = bytes(400);
	b = bytes(400);
	leave(ws);
	cycle_of(ws, 1000);
	enter(ws);
	c = bytes(400);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(a, "a"));
	EXPECT_EQ(0, tmk_tensor_check(b, "b"));
	bytes(16);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(b, "b"));
	EXPECT_EQ(0, tmk_tensor_check(c, "c"));
	leave(ws);
}

TEST(views_end_with_their_base)
{
	struct tmk_workspace *ws = ring(2);
	struct tmk_tensor *base, *view, *late, *empty;

	enter(ws);
	base = bytes(1000);
	ASSERT_EQ(0, tmk_tensor_slice(&view, base, 0, 900, 1000));
	leave(ws);
	/* A view made in a later scope is of the base's age. */
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_slice(&late, base, 0, 990, 1000));
	ASSERT_EQ(0, tmk_tensor_slice(&empty, base, 0, 5, 5));
	bytes(1000);
	leave(ws);
	EXPECT_EQ(0, tmk_tensor_check(late, "late"));
	enter(ws);
	bytes(16);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(base, "base"));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(view, "view"));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(late, "late"));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(empty, "empty"));
	EXPECT_EQ(-ESTALE, tmk_tensor_slice(&late, base, 0, 0, 1));
	leave(ws);
}

TEST(what_was_spilled_ends_when_it_wraps)
{
	struct tmk_workspace_opts o = opts_pa();
	struct tmk_tensor *t, *view;
	struct tmk_workspace *ws;

	o.overallocation_limit = 1;
	ws = make("ring", o);
	enter(ws);
	t = bytes(1000);
	ASSERT_EQ(0, tmk_tensor_slice(&view, t, 0, 10, 20));
	leave(ws);
	cycle_of(ws, 1000);
	cycle_of(ws, 1000);
	EXPECT_EQ(0, tmk_tensor_check(t, "t"));
	memset(tmk_tensor_data(t), 7, 1000);
	enter(ws);
	EXPECT_EQ(0, tmk_tensor_check(view, "view"));
	bytes(16);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(view, "view"));
	leave(ws);
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_SPILL].current);
}

TEST(what_was_pinned_ends_with_its_age)
{
	struct tmk_workspace *ws = ring(2);
	struct tmk_tensor *t;
	int i;

	enter(ws);
	t = bytes(5000);
	EXPECT_EQ(1, in(ws).pinned_count);
	leave(ws);
	for (i = 0; i < 10 && in(ws).step < 3; i++) {
		EXPECT_EQ(0, tmk_tensor_check(t, "t"));
		cycle_of(ws, 1000);
	}
	EXPECT_EQ(3, in(ws).step);
	EXPECT_EQ(0, in(ws).pinned_count);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
}

TEST(a_ring_made_anew_ends_what_was_in_it)
{
	struct tmk_workspace *ws = make("ring", opts_pa());
	struct tmk_tensor *in_ring, *pinned;
	int i;

	cycle_of(ws, 1000);
	enter(ws);
	in_ring = bytes(1000);
	leave(ws);
	cycle_of(ws, 9000);
	for (i = 0; i < 8; i++)
		cycle_of(ws, 16);
	EXPECT_EQ(0, tmk_tensor_check(in_ring, "in_ring"));
	enter(ws);
	pinned = bytes(16);
	leave(ws);
	EXPECT_EQ(2, in(ws).step);
	cycle_of(ws, 16);
	EXPECT_EQ(3, in(ws).step);
	EXPECT_EQ(11712, in(ws).block);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(in_ring, "in_ring"));
	/* An entry of a later step lives on. */
	EXPECT_EQ(0, tmk_tensor_check(pinned, "pinned"));
}

TEST(released_in_a_ring)
{
	struct tmk_workspace *ws = ring(2);
	struct tmk_tensor *t;

	enter(ws);
	t = bytes(100);
	tmk_tensor_put(t);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_TRUE(says("released"));
	leave(ws);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	enter(ws);
	t = bytes(100);
	leave(ws);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_TRUE(says("destroyed"));
}

TEST(zero_means_zero)
{
	struct tmk_workspace *ws = ring(2);
	unsigned char *p;
	int i, k;

	for (i = 0; i < 6; i++) {
		enter(ws);
		ASSERT_EQ(0, tmk_workspace_alloc((void **)&p, ws, 1000, true));
		for (k = 0; k < 1000; k++)
			EXPECT_EQ(0, p[k]);
		memset(p, 9, 1000);
		leave(ws);
	}
}

TEST(nothing_grows)
{
	struct tmk_workspace *ws = ring(4);
	uint32_t slots = 0;
	struct tmk_stats before = { 0 }, after;
	struct tmk_tensor *t, *view;
	int i, k;

	for (i = 0; i < 20000; i++) {
		if (i == 100) {
			slots = tmk__handles.slots_nr;
			before = stats_now();
		}
		enter(ws);
		for (k = 0; k < 8; k++) {
			t = bytes(16 * k + 1);
			ASSERT_EQ(0, tmk_tensor_slice(&view, t, 0, 0, 1));
			if (k & 1)
				tmk_tensor_put(view);
		}
		leave(ws);
	}
	after = stats_now();
	EXPECT_EQ(slots, tmk__handles.slots_nr);
	EXPECT_EQ(before.regions_created, after.regions_created);
	EXPECT_EQ(before.backend_calls, after.backend_calls);
	EXPECT_EQ(0, in(ws).spilled_count + in(ws).pinned_count);
}

/* Rings that come and go, among other workspaces: headers are given back. */
TEST(rings_come_and_go)
{
	struct tmk_tensor *t, *old = NULL;
	uint32_t slots = 0;
	int i;

	for (i = 0; i < 3000; i++) {
		struct tmk_workspace *ws = ring(2);

		enter(ws);
		t = bytes(100);
		leave(ws);
		EXPECT_EQ(0, tmk_tensor_check(t, "t"));
		EXPECT_EQ(0, tmk_workspace_destroy(ws));
		EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
		if (old)
			EXPECT_EQ(-ESTALE, tmk_tensor_check(old, "old"));
		old = t;
		if (i == 500)
			slots = tmk__handles.slots_nr;
	}
	EXPECT_EQ(slots, tmk__handles.slots_nr);
}

/* While no ring can wrap yet, spills are kept as long as one would. */
TEST(unlearned_rings_do_not_hoard)
{
	struct tmk_workspace_opts o = opts_pa();
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	int i;

	o.learning = TMK_WS_LEARN_OVER_TIME;
	ws = make("ring", o);
	for (i = 1; i <= 20; i++) {
		enter(ws);
		t = bytes(1000);
		leave(ws);
		EXPECT_EQ(0, tmk_tensor_check(t, "t"));
		EXPECT_EQ(i < 4 ? (uint64_t)i : 4, in(ws).spilled_count);
	}
	EXPECT_EQ(0, in(ws).size);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(1312, in(ws).block);
	EXPECT_EQ(4 * 1312, in(ws).size);
}

struct reader {
	struct tmk_tensor *tensor;
	int reads;
	bool stop;
};

/* A consumer of what a ring's thread prepares: never wrong, at most too late. */
static void *read_along(void *arg)
{
	struct reader *r = arg;
	struct tmk_tensor *t;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		t = __atomic_load_n(&r->tensor, __ATOMIC_ACQUIRE);
		if (t && !tmk_tensor_check(t, "t"))
			r->reads++;
	}
	return NULL;
}

TEST(another_thread_checks_while_the_ring_turns)
{
	struct tmk_workspace *ws = ring(8);
	struct reader r = { 0 };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_along, &r));
	for (i = 0; i < 3000; i++) {
		enter(ws);
		__atomic_store_n(&r.tensor, bytes(1000), __ATOMIC_RELEASE);
		leave(ws);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(3001, in(ws).cycles);
}

TEST(max_total_holds_for_pinned_entries)
{
	struct tmk_workspace_opts o = opts_pa();
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	int64_t n = 5000;

	o.max_total_bytes = 8192;
	o.spill = TMK_WS_SPILL_EXTERNAL;
	ws = make("ring", o);
	cycle_of(ws, 1000); /* 5248 and 1008 beside it */
	EXPECT_EQ(5248, in(ws).size);
	enter(ws);
	EXPECT_EQ(-ENOMEM, tmk_tensor_create(&t, TMK_U8, 1, &n));
	EXPECT_TRUE(says("max_total_bytes"));
	EXPECT_EQ(0, in(ws).pinned_count);
	n = 1900;
	EXPECT_EQ(0, tmk_tensor_create(&t, TMK_U8, 1, &n));
	EXPECT_EQ(1, in(ws).pinned_count);
	leave(ws);
}

TEST_HARNESS_MAIN
