// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * TMK_INITIAL_BYTES: reserved and populated when the library opens, charged as
 * cache, handed out where it fits, given back before anything is refused.
 */
#include "util.h"

#define INITIAL (16 * MIB)

static int open_with(uint64_t initial, uint64_t max)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;

	opts.initial_bytes = initial;
	opts.max_bytes = max;
	return tmk_open(&opts);
}

TEST(charged_as_cache)
{
	struct tmk_stats s;

	setenv("TMK_INITIAL_BYTES", "16M", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	s = stats_now();
	EXPECT_EQ(INITIAL, s.total.current);
	EXPECT_EQ(INITIAL, s.physical.current);
	EXPECT_EQ(INITIAL, s.by_use[TMK_USE_CACHE].current);
	EXPECT_EQ(1, s.regions);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(percent_of_what_there_is)
{
	setenv("TMK_INITIAL_BYTES", "0%", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(0, held());
}

TEST(handed_out_whole)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region_info info;
	struct tmk_region *region;
	struct tmk_stats s;
	const char *p;
	uint64_t i;

	ASSERT_EQ(0, open_with(INITIAL, 0));
	s = stats_now();
	opts.name = "block";
	/* A little less does as well: at most an eighth may be unused. */
	ASSERT_EQ(0, tmk_region_create(&region, 14 * MIB, &opts));
	EXPECT_EQ(INITIAL, tmk_region_bytes(region));
	EXPECT_EQ(s.regions_created, stats_now().regions_created);
	EXPECT_EQ(s.backend_calls, stats_now().backend_calls);
	s = stats_now();
	EXPECT_EQ(INITIAL, s.total.current);
	EXPECT_EQ(INITIAL, s.by_use[TMK_USE_GENERAL].current);
	EXPECT_EQ(0, s.by_use[TMK_USE_CACHE].current);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_STREQ("block", info.name);
	EXPECT_EQ(INITIAL, info.bytes);
	p = tmk_region_data(region);
	for (i = 0; i < INITIAL; i += 512)
		EXPECT_EQ(0, p[i]);
	EXPECT_LE(0, tmk_region_fd(region));
	EXPECT_EQ(-EBUSY, tmk_close());
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

TEST(not_for_what_does_not_fit)
{
	struct tmk_region *region;

	ASSERT_EQ(0, open_with(INITIAL, 0));
	ASSERT_EQ(0, create(&region, 12 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_EQ(12 * MIB, tmk_region_bytes(region));
	EXPECT_EQ(INITIAL + 12 * MIB, held());
	tmk_region_put(region);
	ASSERT_EQ(0, create(&region, INITIAL + 1, TMK_KIND_HUGE, 0));
	EXPECT_EQ(18 * MIB, tmk_region_bytes(region));
	tmk_region_put(region);
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(INITIAL, stats_now().by_use[TMK_USE_CACHE].current);
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(require_gets_it_only_if_it_is_huge)
{
	struct tmk_region_info info;
	struct tmk_region *region;

	if (!feature("huge"))
		return;
	EXPECT_EQ(0, tmk_close());
	ASSERT_EQ(0, open_with(INITIAL, 0));
	ASSERT_EQ(0, create(&region, INITIAL, TMK_KIND_HUGE,
			    TMK_REGION_F_REQUIRE));
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(TMK_REGION_F_REQUIRE, info.flags);
	EXPECT_EQ(INITIAL, info.bytes_2m);
	tmk_region_put(region);
}

TEST(given_back_before_anything_is_refused)
{
	struct tmk_region *a, *b = NULL;
	struct tmk_refusal r;

	ASSERT_EQ(0, open_with(INITIAL, INITIAL));
	ASSERT_EQ(0, create(&a, 4 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(4 * MIB, held());
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_CACHE].current);
	/* What was got in the end is no failure. */
	EXPECT_STREQ("", tmk_error_last());
	EXPECT_EQ(-ENODATA, tmk_refusal_last(&r));
	EXPECT_EQ(0, stats_now().refused);
	EXPECT_EQ(-ENOMEM, create(&b, 14 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(1, stats_now().refused);
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(4 * MIB, r.used);
	tmk_region_put(a);
	EXPECT_TRUE(all_zero());
}

static int in_fork(void *arg)
{
	struct tmk_region *region;
	char *p;

	(void)arg;
	/* The parent's, and the same memory: the child has none. */
	if (stats_now().by_use[TMK_USE_CACHE].current || held())
		return 1;
	if (create(&region, INITIAL, TMK_KIND_HUGE, 0))
		return 2;
	p = tmk_region_data(region);
	memset(p, 0x55, INITIAL);
	tmk_region_put(region);
	return all_zero() ? 0 : 3;
}

TEST(a_child_has_none)
{
	struct tmk_region *region;
	const char *p;

	ASSERT_EQ(0, open_with(INITIAL, 0));
	EXPECT_EQ(0, in_child(in_fork, NULL));
	EXPECT_EQ(INITIAL, stats_now().by_use[TMK_USE_CACHE].current);
	ASSERT_EQ(0, create(&region, INITIAL, TMK_KIND_HUGE, 0));
	p = tmk_region_data(region);
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(0, p[INITIAL - 1]);
	tmk_region_put(region);
}

TEST_HARNESS_MAIN
