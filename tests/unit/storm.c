// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Storms at limits: eight threads take and give back blocks, regions and parts of
 * regions at once, as fast as they can, with more wanted than there is. The sum
 * is never above the limit, however often one looks, nothing is ever negative, and
 * zero is left.
 */
#include <pthread.h>
#include <time.h>

#include "util.h"

#define THREADS 8
#define MAX (32 * MIB)
#define HELD 8

static atomic_bool stop;
static atomic_ulong made, refused, wrong;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A refusal is by a limit that really had no room for it. */
static int take(int err)
{
	struct tmk_refusal r;

	if (!err) {
		atomic_fetch_add(&made, 1);
		return 0;
	}
	atomic_fetch_add(&refused, 1);
	if (tmk_refusal_last(&r) ||
	    (r.used <= r.max && r.asked <= r.max - r.used)) {
		TH_LOG("%d: %s", err, tmk_error_last());
		atomic_fetch_add(&wrong, 1);
	}
	return err;
}

static void need(int err)
{
	if (!err)
		return;
	TH_LOG("%d: %s", err, tmk_error_last());
	atomic_fetch_add(&wrong, 1);
}

/* One thing that a thread holds. */
struct thing {
	unsigned char *block;
	struct tmk_region *region;
	unsigned char mark;
};

static void thing_take(struct thing *thing, unsigned int *seed)
{
	unsigned int bytes = (unsigned int)rand_r(seed) % (2 * MIB) + 1;

	thing->mark = (unsigned char)(rand_r(seed) % 255 + 1);
	if (rand_r(seed) % 4) {
		if (take(tmk_alloc((void **)&thing->block, bytes, NULL)))
			thing->block = NULL;
		else
			*thing->block = thing->mark;
		return;
	}
	if (take(create(&thing->region, bytes,
			rand_r(seed) % 2 ? TMK_KIND_HUGE : TMK_KIND_PINNED,
			TMK_REGION_F_TRIM)))
		thing->region = NULL;
	else
		*(unsigned char *)tmk_region_data(thing->region) = thing->mark;
}

static void thing_give(struct thing *thing, unsigned int *seed)
{
	if (thing->block) {
		if (*thing->block != thing->mark)
			atomic_fetch_add(&wrong, 1);
		need(tmk_free(thing->block));
	}
	if (thing->region) {
		uint64_t bytes = tmk_region_bytes(thing->region);

		if (*(unsigned char *)tmk_region_data(thing->region) !=
		    thing->mark)
			atomic_fetch_add(&wrong, 1);
		if (rand_r(seed) % 2) {
			need(tmk_region_trim(NULL, thing->region, 0, bytes));
			if (!take(tmk_region_fill(thing->region, 0, bytes)) &&
			    *(unsigned char *)tmk_region_data(thing->region))
				atomic_fetch_add(&wrong, 1);
		}
		tmk_region_put(thing->region);
	}
	*thing = (struct thing){ 0 };
}

static void *storm(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg + 5, i;
	struct thing things[HELD] = { 0 };

	while (!atomic_load(&stop)) {
		i = (unsigned int)rand_r(&seed) % HELD;
		if (things[i].block || things[i].region)
			thing_give(&things[i], &seed);
		else
			thing_take(&things[i], &seed);
		if (rand_r(&seed) % 500 == 0)
			tmk_trim(0);
	}
	for (i = 0; i < HELD; i++)
		thing_give(&things[i], &seed);
	return NULL;
}

/* The most that was seen, in all and in RAM. */
static struct tmk_stats look(struct tmk_stats most)
{
	struct tmk_stats s = stats_now();
	int i;

	for (i = 0; i < TMK_USE_NR; i++)
		most.by_use[i].current =
			TMK__MAX(most.by_use[i].current, s.by_use[i].current);
	for (i = 0; i < TMK_KIND_NR; i++)
		most.by_kind[i].current =
			TMK__MAX(most.by_kind[i].current, s.by_kind[i].current);
	most.total.current = TMK__MAX(most.total.current, s.total.current);
	most.physical.current =
		TMK__MAX(most.physical.current, s.physical.current);
	return most;
}

/* So long; @each is done between two looks. */
static void run(double seconds, void (*each)(void))
{
	struct tmk_stats most = { 0 };
	pthread_t threads[THREADS];
	double end = now() + seconds;
	unsigned long looks = 0;
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, storm, (void *)i));
	while (now() < end) {
		most = look(most);
		looks++;
		if (each)
			each();
	}
	atomic_store(&stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu had, %lu refused, %lu looks, at most %llu KiB",
	       atomic_load(&made), atomic_load(&refused), looks,
	       (unsigned long long)most.total.current >> 10);
	/* What was below zero would have been seen as more than all there is. */
	for (i = 0; i < TMK_USE_NR; i++)
		EXPECT_LE(most.by_use[i].current, MAX);
	for (i = 0; i < TMK_KIND_NR; i++)
		EXPECT_LE(most.by_kind[i].current, MAX);
	EXPECT_LE(most.total.current, MAX);
	EXPECT_LE(most.physical.current, MAX);
	EXPECT_LE(stats_now().total.peak, MAX);
	EXPECT_LE(stats_now().physical.peak, MAX);
	EXPECT_EQ(0, atomic_load(&wrong));
	EXPECT_LT(0, atomic_load(&made));
	EXPECT_LT(0, atomic_load(&refused));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_TIMEOUT(ten_seconds_at_the_limit, 60)
{
	ASSERT_EQ(0, limit(MAX));
	run(10, NULL);
}

TEST_TIMEOUT(at_the_limit_on_bytes_in_ram, 60)
{
	struct tmk_limits limits = { MAX, MAX / 2 };

	ASSERT_EQ(0, tmk_limits_set(&limits));
	run(2, NULL);
	EXPECT_LE(stats_now().physical.peak, MAX / 2);
}

static unsigned int limit_seed = 9;

static void limits_change(void)
{
	struct tmk_limits limits;

	limits.max_bytes = (uint64_t)rand_r(&limit_seed) % (MAX + 1);
	limits.max_physical_bytes = (uint64_t)rand_r(&limit_seed) % (MAX + 1);
	need(tmk_limits_set(&limits));
	usleep(1000);
}

/* None is ever above MAX, many are below what is in use at the time. */
TEST_TIMEOUT(limits_change_meanwhile, 60)
{
	struct tmk_limits limits = { MAX, MAX };

	ASSERT_EQ(0, tmk_limits_set(&limits));
	run(3, limits_change);
}

static int storm_of_a_process(void *arg)
{
	(void)arg;
	run(3, NULL);
	return 0;
}

static uint64_t group_value(const char *file)
{
	char path[160], text[32];

	snprintf(path, sizeof(path), "/sys/kernel/tmk/cgroups/%s", file);
	if (tmk__file_read(text, sizeof(text), path) <= 0)
		return 0;
	return strtoull(text, NULL, 10);
}

/* Two processes with a limit together: the kernel's count is never above it. */
TEST_TIMEOUT(two_processes_at_the_limit_of_their_group, 90)
{
	uint64_t seen = 0, max = MAX / 2;
	char file[64];
	struct stat st;
	pid_t pids[2];
	int i, status, left = 2;

	if (!on_dev())
		SKIP(return, "needs the module");
	ASSERT_EQ(0, enter_group("tmk-storm", "max", "16M"));
	ASSERT_EQ(0, stat(CGROUPS "/tmk-storm", &st));
	snprintf(file, sizeof(file), "%llu/current",
		 (unsigned long long)st.st_ino);
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(storm_of_a_process(NULL));
	}
	while (left) {
		seen = TMK__MAX(seen, group_value(file));
		if (waitpid(-1, &status, WNOHANG) <= 0)
			continue;
		left--;
		EXPECT_EQ(0, status);
	}
	EXPECT_LT(0, seen);
	EXPECT_LE(seen, max);
	EXPECT_EQ(0, group_value(file));
	leave_group("tmk-storm");
}

TEST_HARNESS_MAIN
