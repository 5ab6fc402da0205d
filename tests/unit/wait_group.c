// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Waiting for room under the limit of a group, which other processes are in, too:
 * what they give back wakes, and so does a higher limit. Nobody tries in vain
 * meanwhile.
 */
#include "wish.h"

#define GROUP "tmk-wait"

/* Waiting, and asleep as far as one can tell. */
static bool asleep(unsigned int nr)
{
	if (!queued(nr))
		return false;
	usleep(50000);
	return tmk__wait_busy() == nr;
}

/* Another process of the group: it holds 12 of 16 MiB until it is told. */
FIXTURE(group)
{
	pid_t pid;
	int tell;
};

FIXTURE_SETUP(group)
{
	int to[2], from[2];
	char byte;

	if (!on_dev())
		SKIP(return, "needs the module");
	EXPECT_EQ(0, tmk_close());
	ASSERT_EQ(0, enter_group(GROUP, "physical_max", "16M"));
	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	self->pid = fork();
	if (!self->pid) {
		struct tmk_region *region;

		if (create(&region, 12 * MIB, TMK_KIND_HUGE, 0) ||
		    write(from[1], "", 1) != 1 || read(to[0], &byte, 1) != 1)
			_exit(1);
		tmk_region_put(region);
		_exit(0);
	}
	self->tell = to[1];
	ASSERT_EQ(1, read(from[0], &byte, 1));
	tmk_wait_set(20000);
}

static void let_go(FIXTURE_DATA(group) * self)
{
	int status;

	if (write(self->tell, "", 1) != 1)
		TH_LOG("nobody is there");
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	self->pid = 0;
}

FIXTURE_TEARDOWN(group)
{
	if (self->pid)
		let_go(self);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
	leave_group(GROUP);
}

static void woken(FIXTURE_DATA(group) * self, bool block)
{
	struct wish wish = { 0, 8 * MIB, block, 0, NULL };
	double start = now_ms();
	int fds = fds_nr();
	pthread_t thread;
	uint64_t calls;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(asleep(1));
	calls = stats_now().backend_calls;
	usleep(200000);
	/* It sleeps; on a slow machine it may have been about to. */
	EXPECT_LE(stats_now().backend_calls, calls + 10);
	let_go(self);
	pthread_join(thread, NULL);
	ASSERT_EQ(0, wish.err);
	EXPECT_LT(now_ms() - start, 15000);
	EXPECT_EQ(0, stats_now().refused);
	give_back(&wish);
	EXPECT_EQ(0, tmk_close());
	EXPECT_EQ(fds, fds_nr());
}

TEST_F(group, region_woken_by_another_process)
{
	woken(self, false);
}

TEST_F(group, block_woken_by_another_process)
{
	woken(self, true);
}

TEST_F(group, woken_by_a_higher_limit)
{
	struct wish wish = { 0, 8 * MIB, false, 0, NULL };
	double start = now_ms();
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(asleep(1));
	ASSERT_EQ(0, put_file("/" GROUP " physical_max=32M",
			      "/sys/kernel/tmk/control"));
	pthread_join(thread, NULL);
	ASSERT_EQ(0, wish.err);
	EXPECT_LT(now_ms() - start, 15000);
	give_back(&wish);
}

TEST_F(group, woken_by_this_process)
{
	struct wish wish = { 0, 4 * MIB, false, 0, NULL };
	struct tmk_region *region;
	pthread_t thread;

	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(asleep(1));
	tmk_region_put(region);
	pthread_join(thread, NULL);
	ASSERT_EQ(0, wish.err);
	give_back(&wish);
}

TEST_F(group, the_cache_goes_first)
{
	struct tmk_region *region;
	void *p;

	ASSERT_EQ(0, tmk_alloc(&p, 4 * MIB, NULL));
	ASSERT_EQ(0, tmk_free(p));
	EXPECT_LE(4 * MIB, stats_now().by_use[TMK_USE_CACHE].current);
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_CACHE].current);
	tmk_region_put(region);
}

/* Somebody asks for the figures, and so looks at what is new. */
TEST_F(group, woken_although_others_look)
{
	struct wish wish = { 0, 8 * MIB, false, 0, NULL };
	struct tmk_limits_effective limits;
	double start = now_ms();
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(asleep(1));
	let_go(self);
	while (tmk__wait_busy())
		EXPECT_EQ(0, tmk_limits_effective(&limits));
	pthread_join(thread, NULL);
	ASSERT_EQ(0, wish.err);
	EXPECT_LT(now_ms() - start, 15000);
	give_back(&wish);
}

TEST_F(group, filling_waits)
{
	struct tmk_region *region, *other;
	double start = now_ms();
	pid_t pid;

	ASSERT_EQ(0,
		  create(&region, 4 * MIB, TMK_KIND_HUGE, TMK_REGION_F_TRIM));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
	ASSERT_EQ(0, create(&other, 4 * MIB, TMK_KIND_HUGE, 0));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		usleep(300000);
		_exit(write(self->tell, "", 1) != 1);
	}
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	EXPECT_LT(now_ms() - start, 15000);
	EXPECT_GE(now_ms() - start, 250);
	waitpid(pid, NULL, 0);
	waitpid(self->pid, NULL, 0);
	self->pid = 0;
	tmk_region_put(region);
	tmk_region_put(other);
}

TEST_F(group, time_is_up)
{
	struct tmk_region *region;
	struct tmk_refusal r;
	double start = now_ms();
	uint64_t calls;
	int fds;

	tmk_wait_set(300);
	ASSERT_EQ(0, create(&region, 4096, TMK_KIND_PINNED, 0));
	tmk_region_put(region);
	calls = stats_now().backend_calls;
	fds = fds_nr();
	EXPECT_EQ(-EDQUOT, create(&region, 8 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_GE(now_ms() - start, 299);
	EXPECT_TRUE(says("waited for 300 ms: cannot create a huge region of "
			 "8.0 MiB: cgroup /" GROUP " may use 16.0 MiB"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_CGROUP_PHYSICAL, r.limit);
	EXPECT_EQ(1, stats_now().refused);
	/* Not again and again. */
	EXPECT_LT(stats_now().backend_calls, calls + 40);
	EXPECT_EQ(fds, fds_nr());
}

TEST_F(group, cancelled)
{
	struct wish wish = { 0, 8 * MIB, true, 0, NULL };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &wish));
	ASSERT_TRUE(asleep(1));
	EXPECT_EQ(1, tmk_wait_cancel());
	pthread_join(thread, NULL);
	EXPECT_EQ(-ECANCELED, wish.err);
}

/* Without a descriptor to sleep on it waits for this process alone. */
TEST_F(group, nothing_to_watch_with)
{
	struct tmk_region *region;

	tmk_wait_set(300);
	tmk__fault_arm("eventfd", 1);
	EXPECT_EQ(-EDQUOT, create(&region, 8 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_TRUE(tmk__fault_fired());
	tmk__fault_arm(NULL, 0);
	EXPECT_TRUE(says("waited for 300 ms"));
}

TEST_HARNESS_MAIN
