// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The ledger by itself, and limits on real regions: at equality, one byte
 * above, below what is in use, changed meanwhile, and with eight threads
 * pushing at once. Never above, never negative, zero at the end.
 */
#include <pthread.h>
#include <time.h>

#include "util.h"

#define THREADS 8

TEST(charge_and_uncharge)
{
	struct tmk_stats s;

	ASSERT_EQ(0, tmk__ledger_charge(TMK_KIND_HUGE, TMK_USE_SPILL, 100, 60));
	ASSERT_EQ(0,
		  tmk__ledger_charge(TMK_KIND_PINNED, TMK_USE_GENERAL, 5, 5));
	s = stats_now();
	EXPECT_EQ(105, s.total.current);
	EXPECT_EQ(65, s.physical.current);
	EXPECT_EQ(100, s.by_use[TMK_USE_SPILL].current);
	EXPECT_EQ(5, s.by_use[TMK_USE_GENERAL].current);
	EXPECT_EQ(100, s.by_kind[TMK_KIND_HUGE].current);
	EXPECT_EQ(5, s.by_kind[TMK_KIND_PINNED].current);

	tmk__ledger_move(TMK_USE_SPILL, TMK_USE_WORKSPACE, 40);
	s = stats_now();
	EXPECT_EQ(60, s.by_use[TMK_USE_SPILL].current);
	EXPECT_EQ(40, s.by_use[TMK_USE_WORKSPACE].current);
	EXPECT_EQ(105, s.total.current);
	tmk__ledger_move(TMK_USE_WORKSPACE, TMK_USE_SPILL, 40);

	tmk__ledger_uncharge(TMK_KIND_HUGE, TMK_USE_SPILL, 100, 60);
	tmk__ledger_uncharge(TMK_KIND_PINNED, TMK_USE_GENERAL, 5, 5);
	EXPECT_TRUE(all_zero());
	s = stats_now();
	EXPECT_EQ(105, s.total.peak);
	EXPECT_EQ(65, s.physical.peak);
	EXPECT_EQ(100, s.by_use[TMK_USE_SPILL].peak);
	EXPECT_EQ(40, s.by_use[TMK_USE_WORKSPACE].peak);
	EXPECT_EQ(100, s.by_kind[TMK_KIND_HUGE].peak);
}

TEST(limit_at_equality_and_one_above)
{
	struct tmk_refusal r;

	tmk__ledger_set_limits(1000, TMK_UNLIMITED);
	ASSERT_EQ(0, tmk__ledger_charge(TMK_KIND_HUGE, 0, 600, 600));
	EXPECT_EQ(-ENOMEM, tmk__ledger_charge(TMK_KIND_HUGE, 0, 401, 401));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_PROCESS, r.limit);
	EXPECT_EQ(401, r.asked);
	EXPECT_EQ(600, r.used);
	EXPECT_EQ(1000, r.max);
	EXPECT_STREQ("TMK_MAX_BYTES", r.where);
	EXPECT_EQ(600, held());
	EXPECT_EQ(0, tmk__ledger_charge(TMK_KIND_HUGE, 0, 400, 400));
	EXPECT_EQ(-ENOMEM, tmk__ledger_charge(TMK_KIND_HUGE, 0, 1, 0));
	EXPECT_EQ(0, tmk__ledger_charge(TMK_KIND_HUGE, 0, 0, 0));
	EXPECT_EQ(1000, stats_now().total.peak);
	EXPECT_EQ(2, stats_now().refused);
	tmk__ledger_uncharge(TMK_KIND_HUGE, 0, 1000, 1000);
	EXPECT_TRUE(all_zero());
}

TEST(physical_limit_rolls_back)
{
	struct tmk_refusal r;
	struct tmk_stats s;

	tmk__ledger_set_limits(TMK_UNLIMITED, 100);
	ASSERT_EQ(0, tmk__ledger_charge(TMK_KIND_PINNED, 0, 500, 80));
	EXPECT_EQ(-ENOMEM, tmk__ledger_charge(TMK_KIND_PINNED, 0, 70, 21));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_PROCESS_PHYSICAL, r.limit);
	EXPECT_EQ(21, r.asked);
	EXPECT_EQ(80, r.used);
	EXPECT_EQ(100, r.max);
	EXPECT_STREQ("TMK_MAX_PHYSICAL_BYTES", r.where);
	s = stats_now();
	EXPECT_EQ(500, s.total.current);
	EXPECT_EQ(500, s.total.peak);
	EXPECT_EQ(80, s.physical.peak);
	EXPECT_EQ(500, s.by_use[0].peak);
	EXPECT_EQ(0, tmk__ledger_charge(TMK_KIND_PINNED, 0, 70, 20));
}

TEST(numbers_that_overflow)
{
	ASSERT_EQ(0, tmk__ledger_charge(TMK_KIND_HUGE, 0, 10, 10));
	EXPECT_EQ(-ENOMEM, tmk__ledger_charge(TMK_KIND_HUGE, 0, UINT64_MAX, 0));
	EXPECT_EQ(-ENOMEM,
		  tmk__ledger_charge(TMK_KIND_HUGE, 0, UINT64_MAX - 9, 0));
	EXPECT_EQ(10, held());
}

static int take_out_too_much(void *arg)
{
	(void)arg;
	close(2);
	tmk__ledger_uncharge(TMK_KIND_HUGE, 0, 1, 0);
	return 0;
}

TEST(below_zero_stops_the_program)
{
	EXPECT_EQ(126, in_child(take_out_too_much, NULL));
}

TEST(sentence_of_a_refusal)
{
	tmk__ledger_set_limits(100 * MIB, TMK_UNLIMITED);
	ASSERT_EQ(0, tmk__ledger_charge(TMK_KIND_HUGE, 0, 80 * MIB, 0));
	EXPECT_EQ(-ENOMEM, tmk__ledger_charge(TMK_KIND_HUGE, 0, 64 * MIB, 0));
	EXPECT_STREQ("cannot create a huge region of 64.0 MiB: the process "
		     "limit of 100.0 MiB (TMK_MAX_BYTES) has 80.0 MiB in use",
		     tmk_error_last());
}

TEST(regions_at_the_limit)
{
	struct tmk_region *a, *b = NULL;
	struct tmk_refusal r;

	ASSERT_EQ(0, limit(4 * MIB));
	ASSERT_EQ(0, create(&a, 4 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-ENOMEM, create(&b, 1, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_PROCESS, r.limit);
	EXPECT_EQ(4096, r.asked);
	EXPECT_EQ(4 * MIB, r.used);
	EXPECT_EQ(4 * MIB, r.max);
	EXPECT_NULL(b);
	/* Rounding counts: one byte of a huge region is 2 MiB. */
	ASSERT_EQ(0, limit(6 * MIB - 1));
	EXPECT_EQ(-ENOMEM, create(&b, 1, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, limit(6 * MIB));
	EXPECT_EQ(0, create(&b, 1, TMK_KIND_HUGE, 0));
	EXPECT_EQ(6 * MIB, held());
	tmk_region_put(a);
	tmk_region_put(b);
	EXPECT_TRUE(all_zero());
}

TEST(limit_lowered_below_use)
{
	struct tmk_region *a, *b = NULL;
	struct tmk_refusal r;
	struct tmk_limits limits;

	ASSERT_EQ(0, create(&a, 2 * MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, limit(MIB));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(MIB, limits.max_bytes);
	/* What is there stays and works; what comes is refused. */
	memset(tmk_region_data(a), 1, tmk_region_bytes(a));
	EXPECT_EQ(-ENOMEM, create(&b, 4096, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(2 * MIB, r.used);
	EXPECT_EQ(MIB, r.max);
	tmk_region_put(a);
	EXPECT_EQ(0, create(&b, MIB, TMK_KIND_PINNED, 0));
	tmk_region_put(b);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(-EINVAL, tmk_limits_set(NULL));
	EXPECT_EQ(-EINVAL, tmk_limits_get(NULL));
}

/* What the threads of a storm share. */
static struct {
	atomic_bool stop;
	atomic_ulong made;
	atomic_ulong refused;
	atomic_ulong wrong;
	_Atomic uint64_t max;
	_Atomic uint64_t highest;
} storm;

static unsigned int next_random(unsigned int *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void *charge_storm(void *arg)
{
	unsigned int rnd = (unsigned int)(uintptr_t)arg;

	while (!atomic_load(&storm.stop)) {
		uint64_t bytes = 1 + next_random(&rnd) % 500;
		uint64_t physical = bytes / (1 + next_random(&rnd) % 2);

		if (tmk__ledger_charge(TMK_KIND_HUGE, TMK_USE_SPILL, bytes,
				       physical)) {
			atomic_fetch_add(&storm.refused, 1);
			continue;
		}
		tmk__ledger_move(TMK_USE_SPILL, TMK_USE_WORKSPACE, bytes);
		tmk__ledger_uncharge(TMK_KIND_HUGE, TMK_USE_WORKSPACE, bytes,
				     physical);
		atomic_fetch_add(&storm.made, 1);
	}
	return NULL;
}

static void *region_storm(void *arg)
{
	unsigned int rnd = (unsigned int)(uintptr_t)arg;

	while (!atomic_load(&storm.stop)) {
		uint64_t bytes = 4096 * (1 + next_random(&rnd) % 64);
		struct tmk_region *region;
		struct tmk_refusal r;
		int err;

		err = create(&region, bytes, TMK_KIND_PINNED, 0);
		if (!err) {
			*(volatile char *)tmk_region_data(region) = 1;
			tmk_region_put(region);
			atomic_fetch_add(&storm.made, 1);
			continue;
		}
		atomic_fetch_add(&storm.refused, 1);
		if (err != -ENOMEM || tmk_refusal_last(&r) ||
		    r.limit != TMK_LIMIT_PROCESS || r.asked != bytes ||
		    r.used > r.max || r.asked <= r.max - r.used)
			atomic_fetch_add(&storm.wrong, 1);
	}
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * Eight threads for some time, while this one looks; on a busy machine until they
 * met the limit. Return: 0 if all is well.
 */
static int run_storm(void *(*thread)(void *), double seconds)
{
	pthread_t threads[THREADS];
	double end = now() + seconds, late = end + 20;
	unsigned long looks = 0;
	uint64_t seen;
	int i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread,
				   (void *)(uintptr_t)(i + 1)))
			return -1;
	while (now() < end || (!atomic_load(&storm.refused) && now() < late)) {
		seen = held();
		if (seen > atomic_load(&storm.highest))
			atomic_store(&storm.highest, seen);
		looks++;
	}
	atomic_store(&storm.stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu made, %lu refused, %lu looks, highest %llu",
	       atomic_load(&storm.made), atomic_load(&storm.refused), looks,
	       (unsigned long long)atomic_load(&storm.highest));
	return 0;
}

TEST(storm_on_the_ledger)
{
	struct tmk_stats s;

	tmk__ledger_set_limits(1000, 900);
	ASSERT_EQ(0, run_storm(charge_storm, 1));
	s = stats_now();
	EXPECT_LE(s.total.peak, 1000);
	EXPECT_LE(s.physical.peak, 900);
	EXPECT_LE(atomic_load(&storm.highest), 1000);
	EXPECT_LT(0, atomic_load(&storm.made));
	EXPECT_LT(0, atomic_load(&storm.refused));
	EXPECT_TRUE(all_zero());
}

TEST(storm_of_regions)
{
	ASSERT_EQ(0, limit(512 << 10));
	ASSERT_EQ(0, run_storm(region_storm, 1));
	EXPECT_LE(stats_now().total.peak, 512 << 10);
	EXPECT_LE(atomic_load(&storm.highest), 512 << 10);
	EXPECT_EQ(0, atomic_load(&storm.wrong));
	EXPECT_LT(0, atomic_load(&storm.made));
	EXPECT_LT(0, atomic_load(&storm.refused));
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, tmk_close());
}

static void *limits_change(void *arg)
{
	unsigned int rnd = 99;

	(void)arg;
	while (!atomic_load(&storm.stop))
		tmk__ledger_set_limits(next_random(&rnd) % 1000, 1000);
	return NULL;
}

TEST(limits_change_meanwhile)
{
	pthread_t thread;

	/* No time without a limit before the thread sets its first one. */
	tmk__ledger_set_limits(1000, 1000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, limits_change, NULL));
	ASSERT_EQ(0, run_storm(charge_storm, 1));
	pthread_join(thread, NULL);
	EXPECT_LE(stats_now().total.peak, 1000);
	EXPECT_TRUE(all_zero());
}

/* All there is belongs to a region and to the allocator in turn. */
static void *use_changes(void *arg)
{
	(void)arg;
	while (!atomic_load(&storm.stop)) {
		tmk__purpose_add(TMK_USE_GENERAL, 100);
		tmk__ledger_move(TMK_USE_CACHE, TMK_USE_GENERAL, 100);
		tmk__ledger_move(TMK_USE_GENERAL, TMK_USE_CACHE, 100);
		tmk__purpose_sub(TMK_USE_GENERAL, 100);
	}
	return NULL;
}

static void all_lent(int64_t *by_purpose)
{
	by_purpose[TMK_USE_GENERAL] = 100;
}

TEST(what_is_lent_counts_once)
{
	static const struct tmk__lender lender = { .lent = all_lent };
	uint64_t general = 0, top = 0;
	struct tmk_holder holder;
	pthread_t thread;
	int i;

	ASSERT_EQ(0,
		  tmk__ledger_charge(TMK_KIND_HUGE, TMK_USE_CACHE, 100, 100));
	tmk__purpose_add(TMK_USE_CACHE, 100);
	tmk__purpose_lender(&lender);
	ASSERT_EQ(0, pthread_create(&thread, NULL, use_changes, NULL));
	for (i = 0; i < 300000; i++) {
		struct tmk_stats s = stats_now();

		general = TMK__MAX(general, s.by_use[TMK_USE_GENERAL].current);
		if (tmk__purpose_top(&holder, 1))
			top = TMK__MAX(top, holder.peak);
	}
	atomic_store(&storm.stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(100, general);
	EXPECT_EQ(100, top);
	EXPECT_EQ(100, stats_now().by_use[TMK_USE_GENERAL].peak);
}

TEST_HARNESS_MAIN
