// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What does not fit: spills, their accounting in the workspace and in the
 * ledger, and every limit that may refuse them. A refusal leaves all counters
 * as they were (rule 11), and everything is given back at the scope's end.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"

#define KIB 1024UL
#define MIB (1024 * KIB)

static struct tmk_workspace *make(const char *id, uint64_t initial,
				  enum tmk_ws_learning learning,
				  enum tmk_ws_spill spill, uint64_t max_total)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.alignment = 16;
	o.allocation = TMK_WS_STRICT;
	o.initial_bytes = initial;
	o.learning = learning;
	o.spill = spill;
	o.max_total_bytes = max_total;
	o.region.kind = TMK_KIND_PINNED; /* base pages: exact numbers */
	if (tmk_workspace_create(&ws, id, &o))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_workspace_info info(struct tmk_workspace *ws)
{
	struct tmk_workspace_info i;

	memset(&i, 0xff, sizeof(i));
	if (tmk_workspace_info(&i, ws))
		TH_LOG("%s", tmk_error_last());
	return i;
}

/* Padding is not looked at. */
static bool same(const struct tmk_workspace_info *a,
		 const struct tmk_workspace_info *b)
{
	return !memcmp(a, b, offsetof(struct tmk_workspace_info, open)) &&
	       a->open == b->open;
}

static struct tmk_stats stats(void)
{
	struct tmk_stats s = { .stats_size = sizeof(s) };

	if (tmk_stats_snapshot(&s))
		TH_LOG("%s", tmk_error_last());
	return s;
}

static uint64_t held(enum tmk_use use)
{
	return stats().by_use[use].current;
}

/* Only @bytes more than what is held now. */
static int limit_to(uint64_t bytes)
{
	struct tmk_limits limits;
	int err = tmk_limits_get(&limits);

	if (err)
		return err;
	limits.max_bytes = stats().total.current + bytes;
	return tmk_limits_set(&limits);
}

static int limit_none(void)
{
	struct tmk_limits limits = { TMK_UNLIMITED, TMK_UNLIMITED };

	return tmk_limits_set(&limits);
}

TEST(spills_are_charged_and_given_back)
{
	struct tmk_workspace *ws =
		make("s", 0, TMK_WS_LEARN_NONE, TMK_WS_SPILL_EXTERNAL, 0);
	uint64_t before = held(TMK_USE_SPILL), total = stats().total.current;
	void *p;
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(before, held(TMK_USE_SPILL));
	for (i = 1; i <= 1000; i++) {
		ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 1000, false));
		ASSERT_EQ(i, info(ws).spilled_count);
		ASSERT_EQ(i * 1008, info(ws).spilled_bytes);
		ASSERT_EQ(i * 1008, info(ws).cycle);
		ASSERT_GE(held(TMK_USE_SPILL) - before, info(ws).spilled_bytes);
		ASSERT_EQ(i, info(ws).external_count);
	}
	/* Chunks, not one region each; and not many times the bytes. */
	EXPECT_LE(stats().regions_created, 10);
	EXPECT_LE(held(TMK_USE_SPILL) - before, 2 * 1008000 + 64 * KIB);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(before, held(TMK_USE_SPILL));
	EXPECT_EQ(total, stats().total.current);
	EXPECT_EQ(0, info(ws).spilled_bytes);
	EXPECT_EQ(1000, info(ws).spilled_total);
}

/* Small and large ones mixed: apart from each other, zero, intact to the end. */
TEST(spilled_memory_is_apart_and_zero)
{
	enum {
		NR = 300
	};
	struct tmk_workspace *ws =
		make("s", 0, TMK_WS_LEARN_NONE, TMK_WS_SPILL_EXTERNAL, 0);
	static unsigned char *at[NR];
	static size_t bytes[NR];
	uint64_t seed = 4242, sum = 0;
	size_t k;
	void *p;
	int i, round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		sum = 0;
		for (i = 0; i < NR; i++) {
			seed = seed * 6364136223846793005u +
			       1442695040888963407u;
			bytes[i] = 1 + (seed >> 33) % (i % 25 ? 3000 : 700000);
			ASSERT_EQ(0,
				  tmk_workspace_alloc(&p, ws, bytes[i], i & 1));
			sum += (bytes[i] + 15) / 16 * 16;
			at[i] = p;
			ASSERT_EQ(0, (uintptr_t)p % 16);
			for (k = 0; k < bytes[i]; k++)
				ASSERT_EQ(0, at[i][k]);
			memset(p, i + 1, bytes[i]);
		}
		EXPECT_EQ(sum, info(ws).spilled_bytes);
		for (i = 0; i < NR; i++) {
			for (k = 0; k < bytes[i]; k++)
				ASSERT_EQ((unsigned char)(i + 1), at[i][k]);
		}
		EXPECT_EQ(0, tmk_workspace_pop(ws));
	}
}

TEST(block_and_spill_have_their_uses)
{
	uint64_t block = held(TMK_USE_WORKSPACE), spill = held(TMK_USE_SPILL);
	struct tmk_workspace *ws = make("s", 64 * KIB, TMK_WS_LEARN_NONE,
					TMK_WS_SPILL_EXTERNAL, 0);
	void *p;

	EXPECT_EQ(block + 64 * KIB, held(TMK_USE_WORKSPACE));
	EXPECT_EQ(64 * KIB, info(ws).region_bytes);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 64 * KIB, false));
	EXPECT_EQ(spill, held(TMK_USE_SPILL));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 1, false));
	EXPECT_EQ(spill + 64 * KIB, held(TMK_USE_SPILL));
	EXPECT_EQ(block + 64 * KIB, held(TMK_USE_WORKSPACE));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(block, held(TMK_USE_WORKSPACE));
	EXPECT_EQ(spill, held(TMK_USE_SPILL));
}

TEST(rule7_max_total_bounds_block_and_spills)
{
	struct tmk_workspace *ws =
		make("t", 1024, TMK_WS_LEARN_NONE, TMK_WS_SPILL_EXTERNAL, 2000);
	struct tmk_workspace_info before, after;
	struct tmk_refusal r;
	void *p = NULL;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 1024, false));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 960, false));
	before = info(ws);
	EXPECT_EQ(960, before.spilled_bytes);
	p = NULL;
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, 17, false));
	after = info(ws);
	EXPECT_TRUE(same(&before, &after));
	EXPECT_TRUE(!p);
	EXPECT_STREQ("workspace \"t\" has reached its max_total_bytes: 32 bytes "
		     "asked, 1984 of 2000 used",
		     tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_WORKSPACE, r.limit);
	EXPECT_EQ(32, r.asked);
	EXPECT_EQ(1984, r.used);
	EXPECT_EQ(2000, r.max);
	EXPECT_STREQ("t", r.where);
	EXPECT_EQ(0, tmk_workspace_alloc(&p, ws, 16, false));
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, 1, false));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(max_total_while_learning)
{
	struct tmk_workspace *ws = make("t", 0, TMK_WS_LEARN_FIRST_LOOP,
					TMK_WS_SPILL_EXTERNAL, 4096);
	void *p;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 4096, false));
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, 1, false));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(4096, info(ws).size);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 4096, false));
	EXPECT_EQ(0, info(ws).spilled_bytes);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

/* The process limit refuses in the middle of a cycle, and what is left of it
 * can still be used to the last page. */
TEST(rule11_process_limit_mid_spill)
{
	struct tmk_workspace *ws =
		make("p", 4096, TMK_WS_LEARN_NONE, TMK_WS_SPILL_EXTERNAL, 0);
	struct tmk_workspace_info before, after;
	uint64_t total, refused;
	struct tmk_refusal r;
	int i, err = 0;
	void *p = NULL;

	total = stats().total.current;
	refused = stats().refused;
	ASSERT_EQ(0, limit_to(80 * KIB)); /* one chunk and four pages */
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 4096, false));
	for (i = 0; i < 1000 && !err; i++) {
		before = info(ws);
		p = NULL;
		err = tmk_workspace_alloc(&p, ws, 4096, false);
	}
	EXPECT_EQ(-ENOMEM, err);
	EXPECT_EQ(21, i); /* 16 in the chunk, 4 of the last pages, 1 refused */
	EXPECT_TRUE(!p);
	after = info(ws);
	EXPECT_TRUE(same(&before, &after));
	EXPECT_EQ(20, after.spilled_count);
	EXPECT_TRUE(strstr(tmk_error_last(),
			   "workspace \"p\" could not spill 4096 bytes"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_PROCESS, r.limit);
	EXPECT_EQ(4096, r.asked);
	/* Larger chunks that could not be had, either, are not counted. */
	EXPECT_EQ(refused + 1, stats().refused);
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, MIB, false));
	EXPECT_EQ(refused + 2, stats().refused);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(total, stats().total.current);
	/* After a refusal the workspace goes on as if nothing had been. */
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, tmk_workspace_alloc(&p, ws, 4096, false));
	EXPECT_EQ(0, tmk_workspace_alloc(&p, ws, 4096, false));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(refused_learned_block_is_tried_again)
{
	struct tmk_workspace *ws =
		make("l", 0, TMK_WS_LEARN_FIRST_LOOP, TMK_WS_SPILL_EXTERNAL, 0);
	uint64_t total = stats().total.current;
	void *p;
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, MIB, false));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, MIB, false));
	/* Two regions of 1 MiB are held, one of 2 MiB may not be had. */
	struct tmk_limits limits = { total + 2 * MIB - 4096, TMK_UNLIMITED };

	ASSERT_EQ(0, tmk_limits_set(&limits));
	EXPECT_EQ(-ENOMEM, tmk_workspace_pop(ws));
	EXPECT_TRUE(strstr(tmk_error_last(),
			   "workspace \"l\" could not have its block of "
			   "2097152 bytes"));
	EXPECT_FALSE(info(ws).open);
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(0, info(ws).size);
	EXPECT_EQ(1, info(ws).cycles);
	EXPECT_EQ(2 * MIB, info(ws).max);
	EXPECT_EQ(total, stats().total.current);
	/* A smaller cycle spills, and still the larger one is learned. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 4096, false));
		EXPECT_EQ(4096, info(ws).spilled_bytes);
		if (i)
			ASSERT_EQ(0, limit_none());
		EXPECT_EQ(i ? 0 : -ENOMEM, tmk_workspace_pop(ws));
	}
	EXPECT_EQ(2 * MIB, info(ws).size);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(total, stats().total.current);
}

TEST(refused_regrowth_keeps_the_old_block)
{
	struct tmk_workspace *ws = make("g", 0, TMK_WS_LEARN_FIRST_LOOP,
					TMK_WS_SPILL_REALLOCATE, 0);
	void *p;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 64 * KIB, false));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(64 * KIB, info(ws).size);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 64 * KIB, false));
	ASSERT_EQ(0, limit_to(64 * KIB));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 64 * KIB, false));
	ASSERT_EQ(0, limit_to(0)); /* 128 KiB held: the old one and the spill */
	/* The new block of 128 KiB fits in what is given back for it. */
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(128 * KIB, info(ws).size);
	ASSERT_EQ(0, limit_to(64 * KIB));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 128 * KIB, false));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 64 * KIB, false));
	ASSERT_EQ(0, limit_to(0));
	struct tmk_limits limits = { stats().total.current - 4096,
				     TMK_UNLIMITED };

	ASSERT_EQ(0, tmk_limits_set(&limits));
	EXPECT_EQ(-ENOMEM, tmk_workspace_pop(ws));
	EXPECT_TRUE(strstr(tmk_error_last(), "196608"));
	EXPECT_EQ(128 * KIB, info(ws).size);
	EXPECT_EQ(192 * KIB, info(ws).max);
	/* And it works on. */
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 128 * KIB, true));
	memset(p, 1, 128 * KIB);
	EXPECT_EQ(0, info(ws).spilled_bytes);
	ASSERT_EQ(0, limit_none());
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(192 * KIB, info(ws).size);
}

TEST(refused_initial_block_leaves_nothing)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL, *found;
	uint64_t total;

	ASSERT_TRUE(make("first", 4096, TMK_WS_LEARN_NONE,
			 TMK_WS_SPILL_EXTERNAL, 0));
	total = stats().total.current;
	ASSERT_EQ(0, limit_to(4096));
	o.initial_bytes = 64 * KIB;
	EXPECT_EQ(-ENOMEM, tmk_workspace_create(&ws, "big", &o));
	EXPECT_TRUE(!ws);
	EXPECT_EQ(total, stats().total.current);
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, "big"));
	ASSERT_EQ(0, limit_none());
	EXPECT_EQ(0, tmk_workspace_create(&ws, "big", &o));
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

/* The scope idiom swallows a pop's error; the next cycle simply spills. */
TEST(a_workspace_without_a_block_still_works)
{
	struct tmk_workspace *ws =
		make("n", 0, TMK_WS_LEARN_FIRST_LOOP, TMK_WS_SPILL_EXTERNAL, 0);
	struct tmk_limits limits;
	int i, runs = 0;
	void *p;

	ASSERT_EQ(0, limit_to(64 * KIB));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	for (i = 0; i < 3; i++) {
		TMK_WORKSPACE_SCOPE(ws) {
			EXPECT_EQ(0, tmk_workspace_alloc(&p, ws, 40 * KIB, 0));
			/* No room for the block while this is held. */
			limits.max_bytes = stats().total.current - 64 * KIB;
			EXPECT_EQ(0, tmk_limits_set(&limits));
			runs++;
		}
		EXPECT_EQ(0, info(ws).size);
		limits.max_bytes += 64 * KIB;
		EXPECT_EQ(0, tmk_limits_set(&limits));
	}
	EXPECT_EQ(3, runs);
}

TEST(pages_follow_the_size_by_default)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;

	o.allocation = TMK_WS_STRICT;
	o.initial_bytes = 100000;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "small", &o));
	EXPECT_EQ(102400, info(ws).region_bytes);
	o.initial_bytes = 2 * MIB - 64 * KIB;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "nearly", &o));
	EXPECT_EQ(2 * MIB, info(ws).region_bytes);
	o.initial_bytes = 2 * MIB + 64 * KIB;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "over", &o));
	EXPECT_EQ(2 * MIB + 64 * KIB, info(ws).region_bytes);
	o.region.kind = TMK_KIND_HUGE;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "asked", &o));
	EXPECT_EQ(4 * MIB, info(ws).region_bytes);
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

TEST_HARNESS_MAIN
