// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Conformance with ND4J's workspaces: WorkspaceProviderTests without the rings,
 * debug modes, closing and accounting, and libnd4j's own workspace. See conform.h.
 */
#include <errno.h>
#include <pthread.h>

#include "conform.h"

struct of_thread {
	pthread_t thread;
	struct tmk_workspace *ws;
	int err;
};

static pthread_barrier_t all_have_one;

static void *make_default(void *arg)
{
	struct of_thread *t = arg;

	t->err = tmk_workspace_ensure(&t->ws, "default", NULL);
	pthread_barrier_wait(&all_have_one);
	return NULL;
}

TEST(P_03_a_workspace_for_each_thread)
{
	struct of_thread t[20];
	int i, k;

	pthread_barrier_init(&all_have_one, NULL, 20);
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, pthread_create(&t[i].thread, NULL, make_default,
					    &t[i]));
	for (i = 0; i < 20; i++)
		pthread_join(t[i].thread, NULL);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, t[i].err);
		for (k = 0; k < i; k++)
			EXPECT_TRUE(t[i].ws != t[k].ws);
	}
	EXPECT_TRUE(!tmk_workspace_current());
}

TEST(P_04_borrowing_in_a_nest)
{
	struct tmk_workspace *ws1, *ws2, *found;
	struct tmk_tensor *t, *copy;

	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, "WS1"));
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, "WS2"));
	ws1 = make("WS1", opts_pb());
	enter(ws1);
	doubles(5, 1);
	EXPECT_EQ(48, in(ws1).offset);
	ws2 = make("WS2", opts_pb());
	enter(ws2);
	t = doubles(5, 2);
	EXPECT_EQ(48, in(ws1).offset);
	EXPECT_EQ(48, in(ws2).offset);
	ASSERT_EQ(0, tmk_workspace_lookup(&found, "WS1"));
	EXPECT_TRUE(found == ws1);
	ASSERT_EQ(0, tmk_workspace_borrow(found));
	EXPECT_TRUE(tmk_workspace_current() == ws1);
	ASSERT_EQ(0, tmk_tensor_dup(&copy, t));
	EXPECT_EQ(96, in(ws1).offset);
	EXPECT_EQ(48, in(ws2).offset);
	leave(ws1);
	EXPECT_TRUE(tmk_workspace_current() == ws2);
	leave(ws2);
	EXPECT_EQ(10, (int)sum(copy));
	leave(ws1);
	EXPECT_TRUE(!tmk_workspace_current());
}

/* The same with floats, five of which are no multiple of the alignment. */
TEST(P_05_borrowing_in_a_nest_of_floats)
{
	struct tmk_workspace *ws1 = make("WS1", opts_pb()),
			     *ws2 = make("WS2", opts_pb());
	struct tmk_tensor *t, *copy;
	const int64_t n = 5;

	enter(ws1);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	EXPECT_EQ(32, in(ws1).offset);
	enter(ws2);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_tensor_fill(t, 2));
	EXPECT_EQ(32, in(ws2).offset);
	ASSERT_EQ(0, tmk_workspace_borrow(ws1));
	ASSERT_EQ(0, tmk_tensor_dup(&copy, t));
	EXPECT_EQ(64, in(ws1).offset);
	EXPECT_EQ(32, in(ws2).offset);
	leave(ws1);
	EXPECT_TRUE(tmk_workspace_current() == ws2);
	leave(ws2);
	EXPECT_TRUE(((float *)tmk_tensor_data(copy))[4] == 2);
	leave(ws1);
	EXPECT_TRUE(!tmk_workspace_current());
}

TEST(P_06_nothing_goes_in_while_scoped_out)
{
	struct tmk_workspace *ws = make("w", opts_pb());
	struct tmk_tensor *t = NULL;

	enter(ws);
	TMK_WORKSPACE_SCOPE_OUT() t = doubles(10, 1);
	EXPECT_EQ(0, in(ws).offset);
	leave(ws);
	EXPECT_EQ(10, (int)sum(t));
	tmk_tensor_put(t);
}

/* What was deserialised there is migrated here; shapes are in the headers. */
TEST(P_07_ten_doubles_take_eighty_bytes)
{
	struct tmk_tensor *stored = doubles(10, 3), *t;
	struct tmk_workspace *ws = make("w", opts_pb());

	EXPECT_EQ(90112, in(ws).size);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_migrate(&t, stored, false));
	EXPECT_EQ(80, in(ws).offset);
	EXPECT_EQ(30, (int)sum(t));
	leave(ws);
	tmk_tensor_put(stored);
}

TEST(P_08_a_large_one)
{
	struct tmk_workspace_opts o = opts_pb();
	int64_t shape[3] = { 17, 57, 79 };
	struct tmk_workspace *ws;
	struct tmk_tensor *t;

	o.initial_bytes = 20971520;
	ws = make("w", o);
	EXPECT_EQ(23068672, in(ws).size);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F64, 3, shape));
	EXPECT_EQ(612416, in(ws).offset);
	leave(ws);
}

TEST(P_19_reallocate_by_hand)
{
	struct tmk_workspace *ws = make("w", opts_pr());

	cycle_of(ws, 800);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(800, in(ws).size);
	cycle_of(ws, 8000);
	EXPECT_EQ(8000, in(ws).max);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(8000, in(ws).size);
	enter(ws);
	bytes(4000);
	EXPECT_EQ(4000, in(ws).offset);
	EXPECT_EQ(0, in(ws).spilled_count);
	leave(ws);
}

TEST(P_20_entered_re_entered_borrowed)
{
	struct tmk_workspace *ws = make("w", opts_pb());

	enter(ws);
	doubles(10, 1);
	enter(ws);
	ASSERT_EQ(0, tmk_workspace_borrow(ws));
	doubles(10, 1);
	EXPECT_EQ(160, in(ws).offset);
	leave(ws);
	EXPECT_TRUE(tmk_workspace_current() == ws);
	leave(ws);
	EXPECT_EQ(160, in(ws).offset);
	leave(ws);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(1, in(ws).cycles);
}

TEST(P_22_external_stays_as_it_is)
{
	struct tmk_workspace *ws = make("w", opts_pl());

	cycle_of(ws, 800);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(800, in(ws).size);
	cycle_of(ws, 8000);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(800, in(ws).size);
}

TEST(P_23_who_owns_what_in_a_nest)
{
	struct tmk_workspace *ext = make("External", opts_pb());
	struct tmk_workspace *ff = make("FeedForward", opts_pb());
	struct tmk_tensor *a3, *a4, *a5;

	enter(ext);
	enter(ff);
	ASSERT_EQ(0, tmk_workspace_borrow(ext));
	a3 = doubles(1, 1);
	ASSERT_EQ(0, tmk_workspace_scope_out());
	a4 = doubles(1, 1);
	ASSERT_EQ(0, tmk_workspace_scope_in());
	a5 = doubles(1, 1);
	leave(ext);
	EXPECT_TRUE(tmk_tensor_workspace(a3) == ext);
	EXPECT_TRUE(!tmk_tensor_workspace(a4));
	EXPECT_TRUE(tmk_tensor_workspace(a5) == ext);
	leave(ff);
	leave(ext);
	tmk_tensor_put(a4);
}

TEST(P_24_attached_without_a_block)
{
	struct tmk_workspace *ext = make("External", opts_pf());
	struct tmk_workspace *ff = make("FeedForward", opts_pf());
	struct tmk_tensor *out;

	enter(ext);
	EXPECT_TRUE(tmk_tensor_is_attached(doubles(10, 1)));
	enter(ff);
	EXPECT_TRUE(tmk_tensor_is_attached(doubles(10, 1)));
	ASSERT_EQ(0, tmk_workspace_borrow(ext));
	EXPECT_TRUE(tmk_tensor_workspace(doubles(10, 1)) == ext);
	ASSERT_EQ(0, tmk_workspace_scope_out());
	out = doubles(10, 1);
	EXPECT_FALSE(tmk_tensor_is_attached(out));
	ASSERT_EQ(0, tmk_workspace_scope_in());
	leave(ext);
	EXPECT_EQ(0, in(ext).size);
	leave(ff);
	leave(ext);
	EXPECT_EQ(160, in(ext).size);
	tmk_tensor_put(out);
}

TEST(P_26_three_nested)
{
	struct tmk_workspace *ws[3];
	char id[8];
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(id, sizeof(id), "WS%d", i + 1);
		ws[i] = make(id, opts_pb());
		enter(ws[i]);
		doubles(100, 1);
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(800, in(ws[i]).offset);
	leave(ws[2]);
	doubles(100, 1);
	EXPECT_EQ(1600, in(ws[1]).offset);
	leave(ws[1]);
	doubles(100, 1);
	EXPECT_EQ(1600, in(ws[0]).offset);
	leave(ws[0]);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, in(ws[i]).offset);
}

TEST(P_29_two_nested)
{
	struct tmk_workspace *ws1 = make("WS1", opts_pb());
	struct tmk_workspace *ws2 = make("WS2", opts_pb());

	enter(ws1);
	doubles(100, 1);
	EXPECT_EQ(800, in(ws1).offset);
	enter(ws2);
	EXPECT_EQ(0, in(ws2).offset);
	doubles(100, 1);
	EXPECT_EQ(800, in(ws2).offset);
	EXPECT_EQ(800, in(ws1).offset);
	leave(ws2);
	leave(ws1);
}

/* A second configuration is not ignored silently, as it is there. */
TEST(P_30_the_same_one_twice)
{
	struct tmk_workspace_opts o = opts_pb();
	struct tmk_workspace *a, *b;

	ASSERT_EQ(0, tmk_workspace_ensure(&a, "default", &o));
	ASSERT_EQ(0, tmk_workspace_ensure(&b, "default", NULL));
	EXPECT_TRUE(a == b);
	ASSERT_EQ(0, tmk_workspace_ensure(&b, "default", &o));
	EXPECT_TRUE(a == b);
	o.initial_bytes *= 2;
	EXPECT_EQ(-EEXIST, tmk_workspace_ensure(&b, "default", &o));
	EXPECT_TRUE(says("another configuration"));
}

static void *leave_one(void *arg)
{
	struct tmk_workspace_opts o = learned(0.3);

	(void)arg;
	o.initial_bytes = 1000000;
	enter(make("left", o));
	bytes(100);
	return NULL;
}

/* There: whenever the garbage collector finds it. Here: at the thread's exit. */
TEST(P_31_a_thread_that_ends_leaves_nothing)
{
	pthread_t threads[10];
	int i;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, leave_one, NULL));
	for (i = 0; i < 10; i++)
		pthread_join(threads[i], NULL);
	EXPECT_TRUE(all_zero());
}

TEST(G_01_debug_is_disabled_by_default)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	EXPECT_EQ(TMK_WS_DEBUG_DISABLED, o.debug);
	EXPECT_EQ(0, TMK_WS_DEBUG_DISABLED);
}

TEST(G_02_spill_everything_with_a_block)
{
	struct tmk_workspace_opts o = opts_bc();
	struct tmk_workspace *ws;

	o.debug = TMK_WS_DEBUG_SPILL_EVERYTHING;
	ws = make("w", o);
	EXPECT_EQ(TEN_MIB, in(ws).size);
	enter(ws);
	EXPECT_TRUE(tmk_tensor_is_attached(doubles(100, 1)));
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(800, in(ws).spilled_bytes);
	leave(ws);
}

TEST(G_03_spill_everything_never_learns)
{
	struct tmk_workspace_opts o = opts_lf();
	struct tmk_workspace *ws;

	o.debug = TMK_WS_DEBUG_SPILL_EVERYTHING;
	ws = make("w", o);
	enter(ws);
	doubles(100, 1);
	EXPECT_EQ(0, in(ws).size);
	EXPECT_EQ(800, in(ws).spilled_bytes);
	leave(ws);
	enter(ws);
	EXPECT_EQ(0, in(ws).size);
	EXPECT_EQ(0, in(ws).spilled_bytes);
	leave(ws);
}

TEST(G_04_bypass_everything)
{
	struct tmk_workspace_opts o = opts_bc();
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	void *p;

	o.debug = TMK_WS_DEBUG_BYPASS_EVERYTHING;
	ws = make("w", o);
	enter(ws);
	t = doubles(100, 1);
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	EXPECT_EQ(-EOPNOTSUPP, tmk_workspace_alloc(&p, ws, 8, false));
	EXPECT_TRUE(says("BYPASS"));
	leave(ws);
	EXPECT_EQ(100, (int)sum(t));
	EXPECT_EQ(0, in(ws).region_bytes);
	tmk_tensor_put(t);
}

TEST(G_07_zeroed_memory_is_zero_in_every_cycle)
{
	struct tmk_workspace_opts o = base();
	struct tmk_workspace *ws;
	int *p;
	int i, k;

	o.mirroring = TMK_WS_MIRROR_HOST_ONLY;
	ws = make("w", o);
	for (i = 0; i < 10; i++) {
		enter(ws);
		ASSERT_EQ(0, tmk_workspace_alloc((void **)&p, ws, 16, true));
		for (k = 0; k < 4; k++) {
			EXPECT_EQ(0, p[k]);
			p[k] = 1;
		}
		leave(ws);
	}
}

TEST(G_10_scope_panic1)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	int64_t n = 5;
	struct tmk_tensor *t, *u;

	ASSERT_EQ(0, tmk_tensor_create(&u, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_tensor_fill(u, 1));
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 1, &n));
	leave(ws);
	EXPECT_EQ(-ESTALE, tmk_tensor_add(u, u, t));
	EXPECT_TRUE(says("\"w\""));
	EXPECT_EQ(-ESTALE, tmk_tensor_fill(t, 1));
	tmk_tensor_put(u);
}

TEST(G_11_scope_panic2)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	int64_t n = 5;
	struct tmk_tensor *old, *now;

	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&old, TMK_F32, 1, &n));
	leave(ws);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&now, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_tensor_fill(now, 1));
	EXPECT_EQ(-ESTALE, tmk_tensor_add(now, now, old));
	EXPECT_TRUE(says("generation 2, it was made in 1"));
	leave(ws);
}

TEST(G_12_scope_panic3)
{
	struct tmk_workspace *outer = make("outer", opts_bc());
	struct tmk_workspace *inner = make("inner", opts_bc());
	struct tmk_tensor *t;

	enter(outer);
	t = doubles(5, 1);
	enter(inner);
	EXPECT_EQ(0, tmk_tensor_check(t, "t"));
	EXPECT_EQ(5, (int)sum(t));
	leave(inner);
	leave(outer);
}

TEST(G_13_closing)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t = doubles(10, 1), *view, *of_view, *attached;
	int64_t shape[2] = { 2, 5 };

	EXPECT_TRUE(tmk_tensor_is_closeable(t));
	ASSERT_EQ(0, tmk_tensor_reshape(&view, t, 2, shape));
	ASSERT_EQ(0, tmk_tensor_slice(&of_view, view, 0, 1, 2));
	EXPECT_FALSE(tmk_tensor_is_closeable(view));
	EXPECT_TRUE(tmk_tensor_is_closeable(t));
	EXPECT_EQ(-EINVAL, tmk_tensor_close(view));
	EXPECT_TRUE(says("view"));
	EXPECT_EQ(0, tmk_tensor_close(t));
	EXPECT_FALSE(tmk_tensor_is_closeable(t));
	EXPECT_EQ(-ESTALE, tmk_tensor_close(t));
	EXPECT_TRUE(!tmk_tensor_data(t));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(view, "view"));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(of_view, "of_view"));
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_GENERAL].current);
	enter(ws);
	attached = doubles(10, 1);
	EXPECT_FALSE(tmk_tensor_is_closeable(attached));
	EXPECT_EQ(-EINVAL, tmk_tensor_close(attached));
	EXPECT_TRUE(says("workspace \"w\""));
	leave(ws);
	tmk_tensor_put(view);
	tmk_tensor_put(t);
}

TEST(G_14_accounting)
{
	uint64_t before = held();
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t;

	EXPECT_TRUE(held() >= before + TEN_MIB);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(before, held());
	t = doubles(1000, 1);
	EXPECT_TRUE(held() >= before + 8000);
	EXPECT_EQ(0, tmk_tensor_close(t));
	EXPECT_EQ(before, held());
}

/* There a buffer grows by itself; here a larger one is made and copied to. */
TEST(G_15_growing_keeps_the_values)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *four, *six, *head;
	int64_t n4 = 4, n6 = 6;
	int inside;

	for (inside = 0; inside < 2; inside++) {
		if (inside)
			enter(ws);
		ASSERT_EQ(0, tmk_tensor_create(&four, TMK_F32, 1, &n4));
		ASSERT_EQ(0, tmk_tensor_fill(four, 4));
		ASSERT_EQ(0, tmk_tensor_create(&six, TMK_F32, 1, &n6));
		ASSERT_EQ(0, tmk_tensor_slice(&head, six, 0, 0, 4));
		ASSERT_EQ(0, tmk_tensor_copy(head, four));
		EXPECT_EQ(4, (int)((float *)tmk_tensor_data(six))[3]);
		if (inside)
			leave(ws);
	}
}

TEST(N_01_initialization)
{
	struct tmk_workspace *ws = make("w", strict(1024));

	EXPECT_EQ(1024, in(ws).size);
	EXPECT_EQ(0, in(ws).offset);
}

TEST(N_02_a_block_and_none)
{
	struct tmk_workspace *with = make("with", strict(65536));
	struct tmk_workspace *without = make("without", strict(0));

	enter(with);
	bytes(100);
	EXPECT_EQ(112, in(with).offset);
	enter(without);
	bytes(100);
	EXPECT_EQ(0, in(without).offset);
	EXPECT_EQ(112, in(without).spilled_bytes);
	leave(without);
	leave(with);
}

TEST(N_03_reset)
{
	struct tmk_workspace *ws = make("w", strict(65536));
	int i;

	for (i = 0; i < 5; i++) {
		cycle_of(ws, 1000);
		EXPECT_EQ(65536, in(ws).size);
		EXPECT_EQ(0, in(ws).offset);
		EXPECT_EQ(0, in(ws).spilled_bytes);
	}
}

TEST(N_05_found_by_its_name)
{
	struct tmk_workspace *ws = make("w", strict(1024)), *found;
	void *p;

	ASSERT_EQ(0, tmk_workspace_lookup(&found, "w"));
	enter(found);
	ASSERT_EQ(0, tmk_workspace_alloc(&p, found, 100, false));
	EXPECT_EQ(112, in(ws).offset);
	leave(found);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, "w"));
}

/* There clone() makes it; here its counters say how large the next must be. */
TEST(N_06_another_one_of_the_size_that_was_needed)
{
	struct tmk_workspace *ws = make("w", strict(65536)), *clone;

	enter(ws);
	bytes(131072);
	EXPECT_EQ(131072, in(ws).spilled_bytes);
	clone = make("clone", strict(in(ws).cycle));
	EXPECT_EQ(131072, in(clone).size);
	EXPECT_EQ(0, in(clone).offset);
	EXPECT_EQ(0, in(clone).spilled_bytes);
	leave(ws);
}

/* There in the caller's buffer; here in the caller's file. */
TEST(N_07_memory_of_the_caller)
{
	struct tmk_workspace_opts o = strict(0);
	char path[TEMP_PATH];
	int64_t shape[2] = { 10, 10 };
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	int fd = temp_file(path);

	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(0, ftruncate(fd, 10000));
	o.location = TMK_WS_LOCATION_FILE;
	o.path = path;
	ws = make("w", o);
	EXPECT_EQ(10000, in(ws).size);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F32, 2, shape));
	EXPECT_EQ(400, in(ws).offset);
	leave(ws);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	unlink(path);
	close(fd);
}

TEST(N_09_limits)
{
	struct tmk_workspace_opts o = strict(10000000);
	struct tmk_workspace *ws;
	uint64_t used = held();

	ASSERT_EQ(0, limit(used + 15728640));
	o.region.kind = TMK_KIND_PINNED;
	ws = make("w", o);
	EXPECT_EQ(used + 10002432, held()); /* whole pages */
	ASSERT_EQ(0, limit(9999900));
	EXPECT_EQ(-ENOMEM, tmk_workspace_create(&ws, "second", &o));
	EXPECT_TRUE(says("second"));
	EXPECT_EQ(used + 10002432, held());
}

TEST_HARNESS_MAIN
