// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Waiting for room: woken by a release and by a raised limit, in the order of
 * arrival, until the time is up, until cancelled; what can never be had does not
 * wait.
 */
#include "machine.h"
#include "wish.h"

#define MAX (16 * MIB)

TEST(time_is_up)
{
	struct tmk_region *region;
	struct tmk_refusal r;
	double start;
	void *p;

	ASSERT_EQ(0, limit(MAX));
	tmk_wait_set(150);
	ASSERT_EQ(0, create(&region, MAX, TMK_KIND_HUGE, 0));
	start = now_ms();
	EXPECT_EQ(-ENOMEM, tmk_alloc(&p, MIB, NULL));
	EXPECT_GE(now_ms() - start, 149);
	/* However often it was tried, it is one request. */
	EXPECT_EQ(1, stats_now().refused);
	EXPECT_TRUE(says("waited for 150 ms"));
	EXPECT_TRUE(says("TMK_MAX_BYTES"));
	EXPECT_EQ(0, tmk_refusal_last(&r));
	/* Larger than the limit: it waits for nothing. */
	tmk_wait_set(60000);
	EXPECT_EQ(-ENOMEM, tmk_alloc(&p, 2 * MAX, NULL));
	tmk_wait_set(0);
	start = now_ms();
	EXPECT_EQ(-ENOMEM, tmk_alloc(&p, MIB, NULL));
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* What the ledger was charged with, and gave back, is no release. */
TEST(time_is_up_under_memory_max)
{
	struct tmk_region *region;
	double start = now_ms();
	uint64_t calls;

	ASSERT_EQ(0, machine_make(V2, "0::/job\n"));
	ASSERT_EQ(0, group("/job", "33554432\n", "20971520\n"));
	setenv("TMK_BACKEND", "user", 1);
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	tmk_wait_set(300);
	calls = stats_now().backend_calls;
	EXPECT_EQ(-ENOMEM, create(&region, 16 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_GE(now_ms() - start, 299);
	EXPECT_TRUE(says("waited for 300 ms: cannot create a huge region of "
			 "16.0 MiB: cgroup /job may use 32.0 MiB"));
	/* Not again and again. */
	EXPECT_LT(stats_now().backend_calls, calls + 100);
}

static void woken(bool holder_block, bool waiter_block)
{
	struct wish holder = { 0, MAX - 2 * MIB, holder_block, 0, NULL };
	struct wish wish = { 1, 8 * MIB, waiter_block, 0, NULL };
	pthread_t thread;

	atomic_store(&order_nr, 0);
	ask(&holder);
	ASSERT_EQ(0, holder.err);
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(queued(1));
	EXPECT_EQ(1, atomic_load(&order_nr));
	give_back(&holder);
	pthread_join(thread, NULL);
	ASSERT_EQ(0, wish.err);
	give_back(&wish);
	tmk_trim(0);
	EXPECT_TRUE(all_zero());
}

TEST(woken_by_a_release)
{
	ASSERT_EQ(0, limit(MAX));
	tmk_wait_set(30000);
	woken(false, false);
	woken(false, true);
	woken(true, false);
	woken(true, true);
}

TEST(woken_by_a_higher_limit)
{
	struct wish wish = { 1, 8 * MIB, true, 0, NULL };
	struct tmk_region *region;
	pthread_t thread;

	ASSERT_EQ(0, limit(MAX));
	tmk_wait_set(30000);
	ASSERT_EQ(0, create(&region, MAX, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(queued(1));
	ASSERT_EQ(0, limit(2 * MAX));
	pthread_join(thread, NULL);
	ASSERT_EQ(0, wish.err);
	give_back(&wish);
	tmk_region_put(region);
}

TEST(first_come_first_served)
{
	/* The first wants most: later ones that would fit do not overtake it. */
	struct wish wishes[3] = {
		{ 0, 14 * MIB, false, 0, NULL },
		{ 1, 2 * MIB, true, 0, NULL },
		{ 2, 2 * MIB, false, 0, NULL },
	};
	struct tmk_region *held_region;
	pthread_t threads[3];
	int i;

	ASSERT_EQ(0, limit(MAX));
	tmk_wait_set(30000);
	ASSERT_EQ(0, create(&held_region, 8 * MIB, TMK_KIND_HUGE, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, ask, &wishes[i]));
		ASSERT_TRUE(queued((unsigned int)i + 1));
	}
	EXPECT_EQ(0, atomic_load(&order_nr));
	tmk_region_put(held_region);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ASSERT_EQ(0, wishes[0].err);
	ASSERT_EQ(0, wishes[1].err);
	/* The last one has to wait for more. */
	EXPECT_EQ(2, atomic_load(&order_nr));
	EXPECT_EQ(0 + 1, order[0] + order[1]);
	give_back(&wishes[0]);
	pthread_join(threads[2], NULL);
	EXPECT_EQ(0, wishes[2].err);
	give_back(&wishes[1]);
	give_back(&wishes[2]);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(cancelled)
{
	struct wish wishes[2] = {
		{ 0, 4 * MIB, true, 0, NULL },
		{ 1, 4 * MIB, false, 0, NULL },
	};
	struct tmk_region *region;
	pthread_t threads[2];
	int i;

	EXPECT_EQ(0, tmk_wait_cancel());
	ASSERT_EQ(0, limit(MAX));
	tmk_wait_set(30000);
	ASSERT_EQ(0, create(&region, MAX, TMK_KIND_HUGE, 0));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, ask, &wishes[i]));
	ASSERT_TRUE(queued(2));
	EXPECT_EQ(2, tmk_wait_cancel());
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(-ECANCELED, wishes[i].err);
	}
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(a_child_waits_for_nobody_of_its_parent)
{
	struct wish wish = { 0, 4 * MIB, true, 0, NULL };
	struct tmk_region *region;
	pthread_t thread;
	int status;
	pid_t pid;

	ASSERT_EQ(0, limit(MAX));
	tmk_wait_set(30000);
	ASSERT_EQ(0, create(&region, MAX, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(queued(1));
	pid = fork();
	if (!pid) {
		void *p;

		tmk_region_put(region);
		_exit(tmk_wait_cancel() || tmk_alloc(&p, MIB, NULL) ||
		      tmk_free(p));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	tmk_region_put(region);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, wish.err);
	give_back(&wish);
}

TEST(holders_are_named)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	struct tmk_region_opts region_opts = TMK_REGION_OPTS_INIT;
	struct tmk_region *region;
	struct tmk_refusal r;
	void *p, *q;

	ASSERT_EQ(0, limit(MAX));
	opts.purpose = "activations";
	ASSERT_EQ(0, tmk_alloc(&p, 3 * MIB, &opts));
	region_opts.name = "weights";
	ASSERT_EQ(0, tmk_region_create(&region, 8 * MIB, &region_opts));
	EXPECT_EQ(-ENOMEM, tmk_alloc(&q, 9 * MIB, NULL));
	EXPECT_TRUE(
		says("most of it for weights 8.0 MiB, activations 3.0 MiB"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	ASSERT_GE(r.holders_nr, 2);
	EXPECT_STREQ("weights", r.holders[0].name);
	EXPECT_EQ(8 * MIB, r.holders[0].bytes);
	EXPECT_STREQ("activations", r.holders[1].name);
	EXPECT_EQ(3 * MIB, r.holders[1].bytes);
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_free(p));
}

TEST_HARNESS_MAIN
