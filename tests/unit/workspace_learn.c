// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Block sizes and counters, with the numbers of the ND4J test suites at
 * alignment 16: tests are named for their case, those of design rules for the
 * rule. Where a rule changes a case the comment says so.
 */
#include <errno.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"

#define MIB (1024 * 1024UL)

/* ND4J's names for what the cases start from. */
static struct tmk_workspace_opts conf(enum tmk_ws_allocation allocation,
				      enum tmk_ws_learning learning,
				      uint64_t initial, double limit)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	o.alignment = 16;
	o.allocation = allocation;
	o.learning = learning;
	o.initial_bytes = initial;
	o.overallocation_limit = limit;
	return o;
}

static struct tmk_workspace_opts conf_bc(void)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 10 * MIB, .1);

	o.max_bytes = 10 * MIB;
	return o;
}

static struct tmk_workspace_opts conf_lf(void)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .1);

	o.max_bytes = 10 * MIB;
	return o;
}

static struct tmk_workspace *make(const char *id,
				  const struct tmk_workspace_opts *o)
{
	struct tmk_workspace *ws = NULL;

	if (tmk_workspace_create(&ws, id, o))
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

static int alloc(struct tmk_workspace *ws, size_t bytes)
{
	void *p;
	int err = tmk_workspace_alloc(&p, ws, bytes, false);

	if (!err)
		memset(p, 0x5a, bytes);
	return err;
}

/* One scope with one allocation, or none. Returns what the pop returns. */
static int cycle(struct tmk_workspace *ws, size_t bytes)
{
	int err = tmk_workspace_push(ws);

	if (err)
		return err;
	err = bytes ? alloc(ws, bytes) : 0;
	if (err)
		TH_LOG("%s", tmk_error_last());
	return tmk_workspace_pop(ws) | err;
}

TEST(b02_min_size)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, 1.0);
	struct tmk_workspace *ws;

	o.min_bytes = 10 * MIB;
	ws = make("b02", &o);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(0, info(ws).size);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(10 * MIB, info(ws).size);
	EXPECT_EQ(800, info(ws).offset);
	EXPECT_EQ(800, info(ws).block);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(b14_learns_in_the_first_loop)
{
	struct tmk_workspace_opts o = conf_lf();
	struct tmk_workspace *ws = make("b14", &o);

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(0, info(ws).size);
	EXPECT_EQ(0, info(ws).offset);
	EXPECT_EQ(800, info(ws).spilled_bytes);
	EXPECT_EQ(1, info(ws).spilled_count);
	EXPECT_EQ(800, info(ws).cycle);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(800, info(ws).size);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(800, info(ws).offset);
	EXPECT_EQ(0, info(ws).spilled_bytes);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_FALSE(info(ws).open);
}

TEST(b17_initial_size_is_overallocated)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_NONE, 1024, 1.0);

	o.max_bytes = 10 * MIB;
	EXPECT_EQ(2048, info(make("b17", &o)).size);
}

TEST(b18_learned_size_is_overallocated)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, 1.0);
	struct tmk_workspace *ws = make("b18", &o);

	EXPECT_EQ(0, info(ws).size);
	EXPECT_EQ(0, cycle(ws, 800));
	EXPECT_EQ(1600, info(ws).size);
}

TEST(b21_two_allocations)
{
	struct tmk_workspace_opts o = conf_lf();
	struct tmk_workspace *ws = make("b21", &o);

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, info(ws).offset);
	EXPECT_EQ(1600, info(ws).size);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 800));
	EXPECT_EQ(800, info(ws).offset);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, info(ws).offset);
}

TEST(b25_b27_offsets_are_aligned)
{
	struct tmk_workspace_opts o = conf_bc();
	struct tmk_workspace *ws = make("b25", &o);

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 40));
	EXPECT_EQ(48, info(ws).offset);
	EXPECT_EQ(0, alloc(ws, 40));
	EXPECT_EQ(96, info(ws).offset);
	EXPECT_EQ(96, info(ws).cycle);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(b28_offsets_of_multiples)
{
	struct tmk_workspace_opts o = conf_bc();
	struct tmk_workspace *ws = make("b28", &o);

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 8000));
	EXPECT_EQ(8000, info(ws).offset);
	EXPECT_EQ(0, alloc(ws, 8000));
	EXPECT_EQ(16000, info(ws).offset);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(p26_three_nested)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_NONE, 81920, .1);
	struct tmk_workspace *a = make("WS1", &o), *b = make("WS2", &o),
			     *c = make("WS3", &o);

	EXPECT_EQ(90112, info(a).size);
	ASSERT_EQ(0, tmk_workspace_push(a));
	EXPECT_EQ(0, alloc(a, 800));
	ASSERT_EQ(0, tmk_workspace_push(b));
	EXPECT_EQ(0, alloc(b, 800));
	ASSERT_EQ(0, tmk_workspace_push(c));
	EXPECT_EQ(0, alloc(c, 800));
	EXPECT_EQ(800, info(a).offset);
	EXPECT_EQ(800, info(b).offset);
	EXPECT_EQ(800, info(c).offset);
	EXPECT_EQ(0, tmk_workspace_pop(c));
	EXPECT_EQ(0, alloc(b, 800));
	EXPECT_EQ(1600, info(b).offset);
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_EQ(0, alloc(a, 800));
	EXPECT_EQ(1600, info(a).offset);
	EXPECT_EQ(0, tmk_workspace_pop(a));
	EXPECT_EQ(0, info(a).offset + info(b).offset + info(c).offset);
	EXPECT_TRUE(!tmk_workspace_current());
}

TEST(p08_big_initial_size)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_NONE, 20 * MIB, .1);

	EXPECT_EQ(23068672, info(make("p08", &o)).size);
}

/* ND4J takes its manual size under OVER_TIME; FIRST_LOOP has the same call. */
TEST(p19_p22_manual_initialize)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ext, *re;

	ext = make("p22", &o);
	o.spill = TMK_WS_SPILL_REALLOCATE;
	re = make("p19", &o);
	EXPECT_EQ(0, cycle(ext, 800));
	EXPECT_EQ(0, tmk_workspace_initialize(ext));
	EXPECT_EQ(800, info(ext).size);
	EXPECT_EQ(0, cycle(ext, 8000));
	EXPECT_EQ(0, tmk_workspace_initialize(ext));
	EXPECT_EQ(800, info(ext).size);
	EXPECT_EQ(8000, info(ext).max);

	EXPECT_EQ(0, cycle(re, 800));
	EXPECT_EQ(800, info(re).size);
	EXPECT_EQ(0, cycle(re, 8000));
	EXPECT_EQ(8000, info(re).max);
	EXPECT_EQ(0, tmk_workspace_initialize(re));
	EXPECT_EQ(8000, info(re).size);
	ASSERT_EQ(0, tmk_workspace_push(re));
	EXPECT_EQ(0, alloc(re, 4000));
	EXPECT_EQ(4000, info(re).offset);
	EXPECT_EQ(0, info(re).spilled_bytes);
	EXPECT_EQ(0, tmk_workspace_pop(re));
}

TEST(initialize_while_open)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws = make("open", &o);
	void *spilled, *p;

	EXPECT_EQ(-ENODATA, tmk_workspace_initialize(ws));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&spilled, ws, 160, true));
	memset(spilled, 7, 160);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(160, info(ws).size);
	EXPECT_EQ(160, info(ws).spilled_bytes);
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 160, true));
	EXPECT_EQ(160, info(ws).offset);
	EXPECT_EQ(7, ((char *)spilled)[159]);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(320, info(ws).max);
	EXPECT_EQ(0, info(ws).spilled_bytes);
}

TEST(initialize_never_moves_a_block_in_use)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws;

	o.spill = TMK_WS_SPILL_REALLOCATE;
	ws = make("busy", &o);
	EXPECT_EQ(0, cycle(ws, 160));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 160));
	EXPECT_EQ(0, alloc(ws, 160));
	EXPECT_EQ(-EBUSY, tmk_workspace_initialize(ws));
	EXPECT_EQ(160, info(ws).size);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(320, info(ws).size);
}

TEST(initialize_without_learning)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_NONE, 0, .3);
	struct tmk_workspace *ws = make("none", &o);

	EXPECT_EQ(-EINVAL, tmk_workspace_initialize(ws));
	o.initial_bytes = 64;
	ws = make("some", &o);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(64, info(ws).size);
}

TEST(initialize_from_min_bytes)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws;

	o.min_bytes = 1000;
	ws = make("min", &o);
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(1008, info(ws).size);
}

TEST(n01_n02_n03_native_basics)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_NONE, 1024, 0);
	struct tmk_workspace *ws = make("n01", &o);
	int i;

	EXPECT_EQ(1024, info(ws).size);
	EXPECT_EQ(0, info(ws).offset);
	o.initial_bytes = 0;
	ws = make("n02", &o);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 100));
	EXPECT_EQ(0, info(ws).offset);
	EXPECT_EQ(112, info(ws).spilled_bytes);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, info(ws).size);
	o.initial_bytes = 65536;
	ws = make("n03", &o);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, cycle(ws, 100));
	EXPECT_EQ(65536, info(ws).size);
	EXPECT_EQ(0, info(ws).offset);
	EXPECT_EQ(0, info(ws).spilled_bytes);
}

/* ND4J has 1310; by rule 1 the block is a multiple of the alignment. */
TEST(d01_rule1_learned_size_is_aligned)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws = make("d01", &o);

	EXPECT_EQ(0, cycle(ws, 1000));
	EXPECT_EQ(1008, info(ws).max);
	EXPECT_EQ(1008, info(ws).block);
	EXPECT_EQ(1312, info(ws).size);
}

TEST(d03a_d03b_reallocate)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws;

	o.spill = TMK_WS_SPILL_REALLOCATE;
	o.max_bytes = 10000;
	ws = make("d03", &o);
	EXPECT_EQ(0, cycle(ws, 4000));
	EXPECT_EQ(4000, info(ws).size);
	EXPECT_EQ(0, cycle(ws, 9000));
	EXPECT_EQ(9008, info(ws).size);
}

/* ND4J is stuck at 4000 for ever; by rule 2 growth clamps at max_bytes. */
TEST(d03c_rule2_growth_is_never_stuck)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws;

	o.spill = TMK_WS_SPILL_REALLOCATE;
	o.max_bytes = 10000;
	ws = make("d03c", &o);
	EXPECT_EQ(0, cycle(ws, 4000));
	EXPECT_EQ(0, cycle(ws, 12000));
	EXPECT_EQ(10000, info(ws).size);
	EXPECT_EQ(0, cycle(ws, 12000));
	EXPECT_EQ(10000, info(ws).size);
}

TEST(d03e_first_cycle_above_max)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws;

	o.max_bytes = 10000;
	ws = make("d03e", &o);
	EXPECT_EQ(0, cycle(ws, 12000));
	EXPECT_EQ(10000, info(ws).size);
	EXPECT_EQ(12000, info(ws).max);
}

/* ND4J regrows without head-room: 1310, 2000. Rule 2 applies it again. */
TEST(rule2_regrowth_has_headroom)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws;

	o.spill = TMK_WS_SPILL_REALLOCATE;
	ws = make("rule2", &o);
	EXPECT_EQ(0, cycle(ws, 1000));
	EXPECT_EQ(1312, info(ws).size);
	EXPECT_EQ(0, cycle(ws, 2000));
	EXPECT_EQ(2608, info(ws).size); /* 2600 aligned */
	EXPECT_EQ(2000, info(ws).block);
	EXPECT_EQ(0, cycle(ws, 2016));
	EXPECT_EQ(2608, info(ws).size);
}

/* ND4J ignores minSize here (1300). */
TEST(d04b_rule2_min_lifts_initial)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 1000, .3);

	o.min_bytes = MIB;
	EXPECT_EQ(MIB, info(make("d04b", &o)).size);
}

TEST(rule2_max_clamps_overallocation)
{
	struct tmk_workspace_opts o = conf(TMK_WS_OVERALLOCATE,
					   TMK_WS_LEARN_FIRST_LOOP, 10 * MIB,
					   .1);

	o.max_bytes = 10 * MIB;
	EXPECT_EQ(10 * MIB, info(make("clamp", &o)).size);
	o.initial_bytes = 960;
	o.max_bytes = 1000; /* no multiple of 16: rounded down */
	EXPECT_EQ(992, info(make("odd", &o)).size);
}

/* The block never takes more than max_total_bytes leaves for it. */
TEST(rule2_max_total_clamps_the_block)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, 1.0);
	struct tmk_workspace *ws;

	o.max_total_bytes = 1200;
	ws = make("total", &o);
	EXPECT_EQ(0, cycle(ws, 800));
	EXPECT_EQ(1200, info(ws).size);
}

/* ND4J has 83. */
TEST(d05_empty_scope_teaches_nothing)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, .3);
	struct tmk_workspace *ws = make("d05", &o);

	EXPECT_EQ(0, cycle(ws, 0));
	EXPECT_EQ(0, info(ws).size);
	EXPECT_EQ(1, info(ws).cycles);
	EXPECT_EQ(0, cycle(ws, 64));
	EXPECT_EQ(96, info(ws).size);
}

TEST(d07b_initial_100_strict)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_NONE, 100, 0);
	struct tmk_workspace *ws = make("d07b", &o);

	/* Rule 1: 112 instead of 100. The second 64 do not fit either way. */
	EXPECT_EQ(112, info(ws).size);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 64));
	EXPECT_EQ(0, alloc(ws, 64));
	EXPECT_EQ(64, info(ws).offset);
	EXPECT_EQ(64, info(ws).spilled_bytes);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

/* ND4J keeps the spill until the next enter; by rule 7 it goes at close. */
TEST(d22_rule7_exact_fit_then_spill)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_NONE, 1024, 0);
	struct tmk_workspace *ws = make("d22", &o);

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 1024));
	EXPECT_EQ(1024, info(ws).offset);
	EXPECT_EQ(0, info(ws).spilled_bytes);
	EXPECT_EQ(0, alloc(ws, 1));
	EXPECT_EQ(16, info(ws).spilled_bytes);
	EXPECT_EQ(1040, info(ws).cycle);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, info(ws).spilled_bytes);
	EXPECT_EQ(0, info(ws).spilled_count);
	EXPECT_EQ(1, info(ws).spilled_total);
	EXPECT_EQ(1040, info(ws).last);
	EXPECT_EQ(1040, info(ws).max);
}

/* ND4J: 1, 2, 3, 13, 1301, which are no multiples of the alignment. */
TEST(d31_rule1_initial_sizes)
{
	static const uint64_t in[] = { 1, 2, 3, 10, 1001 };
	static const uint64_t out[] = { 16, 16, 16, 16, 1312 };
	struct tmk_workspace_opts o;
	struct tmk_workspace *ws;
	int i;

	for (i = 0; i < 5; i++) {
		o = conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_NONE, in[i], .3);
		ws = make("d31", &o);
		EXPECT_EQ(out[i], info(ws).size);
		EXPECT_EQ(0, tmk_workspace_destroy(ws));
	}
}

TEST(d32_limit_0_adds_nothing)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_NONE, 1000, 0);

	EXPECT_EQ(1008, info(make("d32", &o)).size);
}

TEST(d17_limit_3)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_NONE, 10000000, 3);

	EXPECT_EQ(40000000, info(make("d17", &o)).size);
}

/* ND4J: the first allocation throws and nothing can ever be learned. */
TEST(d21_rule4_fail_learns_first)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_OVERALLOCATE, TMK_WS_LEARN_FIRST_LOOP, 0, 0);
	struct tmk_workspace *ws;
	struct tmk_refusal r;

	o.spill = TMK_WS_SPILL_FAIL;
	ws = make("d21", &o);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 64));
	EXPECT_EQ(64, info(ws).spilled_bytes);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(64, info(ws).size);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, alloc(ws, 48));
	EXPECT_EQ(-ENOMEM, alloc(ws, 17));
	EXPECT_TRUE(strstr(tmk_error_last(), "\"d21\" is full: 32 bytes"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_WORKSPACE, r.limit);
	EXPECT_EQ(32, r.asked);
	EXPECT_EQ(48, r.used);
	EXPECT_EQ(64, r.max);
	EXPECT_STREQ("d21", r.where);
	/* Rule 11: nothing was handed out, nothing was counted. */
	EXPECT_EQ(0, info(ws).spilled_bytes);
	EXPECT_EQ(48, info(ws).offset);
	EXPECT_EQ(48, info(ws).cycle);
	EXPECT_EQ(0, alloc(ws, 16));
	EXPECT_EQ(64, info(ws).offset);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(rule1_default_alignment_is_64)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;
	void *p;
	int i;

	o.initial_bytes = 4096;
	o.allocation = TMK_WS_STRICT;
	ws = make("a64", &o);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, (size_t)i * 3, false));
		EXPECT_EQ(0, (uintptr_t)p % 64);
		EXPECT_EQ(64 * i, info(ws).offset);
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(counters_over_cycles)
{
	struct tmk_workspace_opts o =
		conf(TMK_WS_STRICT, TMK_WS_LEARN_FIRST_LOOP, 0, 0);
	struct tmk_workspace *ws = make("count", &o);

	EXPECT_EQ(0, info(ws).generation);
	EXPECT_EQ(0, cycle(ws, 320));
	EXPECT_EQ(1, info(ws).cycles);
	EXPECT_EQ(0, info(ws).step);
	EXPECT_EQ(1, info(ws).generation);
	EXPECT_EQ(0, cycle(ws, 160));
	EXPECT_EQ(2, info(ws).cycles);
	EXPECT_EQ(1, info(ws).step);
	EXPECT_EQ(2, info(ws).generation);
	EXPECT_EQ(160, info(ws).last);
	EXPECT_EQ(320, info(ws).max);
	EXPECT_EQ(0, info(ws).cycle);
	EXPECT_EQ(1, info(ws).spilled_total);
	EXPECT_GE(info(ws).region_bytes, info(ws).size);
	EXPECT_EQ(0, info(ws).pinned_bytes);
	EXPECT_EQ(0, info(ws).pinned_count);
}

/* Every size and alignment: addresses, offsets and counters against a model. */
TEST(random_allocations_follow_the_model)
{
	uint64_t seed = 12345, offset, spilled, n, size = 20000;
	struct tmk_workspace_opts o;
	struct tmk_workspace *ws;
	uint32_t a;
	int i;

	for (a = 8; a <= 4096; a *= 2) {
		o = conf(TMK_WS_STRICT, TMK_WS_LEARN_NONE, size, 0);
		o.alignment = a;
		ws = make("model", &o);
		size = (size + a - 1) / a * a;
		ASSERT_EQ(size, info(ws).size);
		ASSERT_EQ(0, tmk_workspace_push(ws));
		offset = 0;
		spilled = 0;
		for (i = 0; i < 200; i++) {
			void *p;

			seed = seed * 6364136223846793005u +
			       1442695040888963407u;
			n = 1 + (seed >> 33) % 700;
			ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, n, i & 1));
			ASSERT_EQ(0, (uintptr_t)p % a);
			memset(p, i, n);
			n = (n + a - 1) / a * a;
			if (offset + n <= size)
				offset += n;
			else
				spilled += n;
			ASSERT_EQ(offset, info(ws).offset);
			ASSERT_EQ(spilled, info(ws).spilled_bytes);
			ASSERT_EQ(offset + spilled, info(ws).cycle);
		}
		EXPECT_EQ(0, tmk_workspace_pop(ws));
		EXPECT_EQ(0, tmk_workspace_destroy(ws));
	}
}

TEST_HARNESS_MAIN
