// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Which blocks are put together from what is free in pieces, and how long that is
 * kept: in steps that differ, at a limit, and among threads.
 */
#include "stitch.h"

#include <pthread.h>

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* The same out of many small blocks, so that it is known which two live on. */
static int lay_at(char *live[2], int at)
{
	char *p[108];
	int i, err = 0;
	void *other;

	/* With nothing kept from the step before. */
	if (tmk_alloc(&other, 3 * MIB, NULL) || tmk_free(other))
		return -1;
	for (i = 0; i < 108; i++)
		if (tmk_alloc((void **)&p[i], LIVE, NULL))
			return -1;
	qsort(p, 108, sizeof(*p), by_address);
	for (i = 0; i < 2; i++) {
		live[i] = p[36 * (i + 1) + at];
		memset(live[i], 0x51 + i, LIVE);
	}
	for (i = 0; i < 108; i++)
		if (p[i] != live[0] && p[i] != live[1])
			err |= tmk_free(p[i]);
	return err;
}

/* A step: two blocks in other places each time, and a large one. */
static bool step(size_t bytes, int at)
{
	char *live[2], *p;
	bool good;

	if (lay_at(live, at) || tmk_alloc((void **)&p, bytes, NULL))
		return false;
	number(p, bytes, (uint64_t)at);
	good = is_numbered(p, bytes, (uint64_t)at) && is_live(live);
	return good && !tmk_free(p) && !tmk_free(live[0]) && !tmk_free(live[1]);
}

TEST(the_one_unused_for_longest_goes)
{
	uint64_t before = 0, calls;
	int i;

	for (i = 0; i < 24; i++) {
		ASSERT_TRUE(step(WHOLE, i));
		EXPECT_EQ(TMK__MIN(i + 1, TMK__STITCHES), stitches());
		if (!i)
			before = held();
		EXPECT_EQ(before, held());
	}
	/* The last ones are there. */
	calls = stats_now().backend_calls;
	for (i = 24 - TMK__STITCHES; i < 24; i++)
		ASSERT_TRUE(step(WHOLE, i));
	EXPECT_EQ(calls, stats_now().backend_calls);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(one_that_is_in_use_stays)
{
	uint64_t calls;
	char *live[2], *p;
	int i;

	for (i = 0; i < TMK__STITCHES; i++)
		ASSERT_TRUE(step(WHOLE, i));
	/* So often that making one more is worth it. */
	for (i = 0; i < 40; i++)
		ASSERT_TRUE(step(WHOLE, TMK__STITCHES - 1));
	/* The one unused for longest. */
	ASSERT_EQ(0, lay_at(live, 0));
	ASSERT_EQ(0, tmk_alloc((void **)&p, WHOLE, NULL));
	number(p, WHOLE, 5);
	/* Another, and there is no room: out of other memory. */
	ASSERT_TRUE(step(WHOLE, 20));
	EXPECT_EQ(TMK__STITCHES, stitches());
	calls = stats_now().backend_calls;
	ASSERT_TRUE(step(WHOLE, 20));
	EXPECT_EQ(calls, stats_now().backend_calls);
	EXPECT_TRUE(tmk__heap->arenas[0].stitches[0].busy);
	EXPECT_TRUE(is_numbered(p, WHOLE, 5));
	EXPECT_TRUE(is_live(live));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_TRUE(finish(live));
}

/* Also where it would otherwise be too little to care about. */
TEST(what_is_free_in_pieces_is_had_before_a_refusal)
{
	struct tmk_limits limits = { TMK_UNLIMITED, TMK_UNLIMITED };
	char *blocks[40], *p;
	int i;

	for (i = 0; i < 40; i++)
		ASSERT_EQ(0, tmk_alloc((void **)&blocks[i], 3 * MIB / 2, NULL));
	ASSERT_EQ(0, tmk_free(blocks[10]));
	ASSERT_EQ(0, tmk_free(blocks[20]));
	ASSERT_EQ(0, tmk_free(blocks[30]));
	limits.max_bytes = held();
	ASSERT_EQ(0, tmk_limits_set(&limits));
	ASSERT_EQ(0, tmk_alloc((void **)&p, 4 * MIB, NULL));
	EXPECT_EQ(1, stitches());
	EXPECT_LE(held(), limits.max_bytes);
	number(p, 4 * MIB, 1);
	EXPECT_TRUE(is_numbered(p, 4 * MIB, 1));
	/* There is no more, in pieces or not, and nothing is lost. */
	EXPECT_EQ(-ENOMEM, tmk_alloc((void **)&blocks[10], 2 * MIB, NULL));
	EXPECT_NE(NULL, strstr(tmk_error_last(), "TMK_MAX_BYTES"));
	EXPECT_EQ(37 * (3 * MIB / 2) + 4 * MIB, general());
	EXPECT_EQ(0, tmk_free(p));
	for (i = 0; i < 40; i++)
		if (i != 10 && i != 20 && i != 30)
			EXPECT_EQ(0, tmk_free(blocks[i]));
	limits.max_bytes = TMK_UNLIMITED;
	ASSERT_EQ(0, tmk_limits_set(&limits));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

static char *tail[40];

static void tail_free(void)
{
	int i;

	for (i = 37; i < 40; i++)
		EXPECT_EQ(0, tmk_free(tail[i]));
}

/* While it is found that one cannot be made, what is needed is freed. */
TEST(what_is_freed_while_making_one_fails_is_had)
{
	struct tmk_limits limits = { TMK_UNLIMITED, TMK_UNLIMITED };
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	char *p;
	int i;

	/* No thread keeps what is said to be of a kind. */
	opts.kind = TMK_KIND_HUGE;
	for (i = 0; i < 40; i++)
		ASSERT_EQ(0, tmk_alloc((void **)&tail[i], 3 * MIB / 2, &opts));
	qsort(tail, 40, sizeof(*tail), by_address);
	for (i = 10; i < 40; i += 10)
		ASSERT_EQ(0, tmk_free(tail[i]));
	limits.max_bytes = held();
	ASSERT_EQ(0, tmk_limits_set(&limits));
	tmk__fault_meanwhile(tail_free);
	tmk__fault_arm("alias", 1);
	ASSERT_EQ(0, tmk_alloc((void **)&p, 4 * MIB, &opts));
	tmk__fault_arm(NULL, 0);
	EXPECT_TRUE(tmk__fault_fired());
	EXPECT_STREQ("", tmk_error_last());
	EXPECT_EQ(0, stitches());
	EXPECT_LE(tail[37], p);
	EXPECT_EQ(34 * (3 * MIB / 2) + 4 * MIB, general());
	EXPECT_EQ(0, tmk_free(p));
	for (i = 0; i < 37; i++)
		if (i % 10 || !i)
			EXPECT_EQ(0, tmk_free(tail[i]));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(none_is_made_for_ever_and_never_used)
{
	uint64_t before = 0, calls = 0;
	int i;

	for (i = 0; i < 16; i++) {
		ASSERT_TRUE(step(10 * MIB + MIB / 2, i));
		if (!i)
			before = held();
		if (i == 10)
			calls = stats_now().backend_calls;
	}
	EXPECT_EQ(calls, stats_now().backend_calls);
	EXPECT_GE(before + before / 2, held());
	EXPECT_GE(8, stitches());
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

#define STORM 24

/* Blocks of all sizes come and go. Return: how many were not as they should be. */
static void *storm(void *arg)
{
	unsigned int seed = *(unsigned int *)arg, round;
	char *blocks[STORM] = { NULL };
	size_t sizes[STORM], i, wrong = 0;

	for (round = 0; round < 600; round++) {
		i = (size_t)rand_r(&seed) % STORM;
		if (blocks[i]) {
			wrong += !is_numbered(blocks[i], sizes[i], i);
			wrong += tmk_free(blocks[i]) != 0;
			blocks[i] = NULL;
			continue;
		}
		sizes[i] = (size_t)(rand_r(&seed) % 300 + 9) << 12;
		if (rand_r(&seed) % 4 == 0)
			sizes[i] *= 8;
		if (tmk_alloc((void **)&blocks[i], sizes[i], NULL)) {
			blocks[i] = NULL;
			wrong++;
			continue;
		}
		number(blocks[i], sizes[i], i);
		if (round % 500 == 250)
			tmk_trim(0);
	}
	for (i = 0; i < STORM; i++) {
		if (!blocks[i])
			continue;
		wrong += !is_numbered(blocks[i], sizes[i], i);
		wrong += tmk_free(blocks[i]) != 0;
	}
	return (void *)wrong;
}

TEST(blocks_of_all_sizes_come_and_go)
{
	unsigned int seeds[2] = { 1, 2 }, i, made = 0;
	pthread_t threads[2];
	void *wrong;

	for (i = 0; i < 20; i++) {
		seeds[0] = i + 3;
		EXPECT_EQ(NULL, storm(seeds));
		made += stitches();
	}
	TH_LOG("%u stitches", made);
	EXPECT_GE(made, 1);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, storm, &seeds[i]));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &wrong));
		EXPECT_EQ(NULL, wrong);
	}
	EXPECT_EQ(0, general());
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
