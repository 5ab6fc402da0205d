// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Blocks that are put together from what is free in pieces: that they take no new
 * memory, hold what is written into them and nothing else, cost nothing when they
 * are had again, and that nothing of them is left.
 */
#include "stitch.h"

TEST(a_block_of_what_is_free_in_pieces)
{
	char *live[2], *p, *q;
	uint64_t before;
	size_t usable;
	long had;

	ASSERT_EQ(0, lay(live));
	before = held();
	ASSERT_EQ(0, tmk_alloc((void **)&p, WHOLE, NULL));
	EXPECT_EQ(before, held());
	EXPECT_EQ(1, stitches());
	EXPECT_EQ(0, tmk_alloc_usable_bytes(&usable, p));
	EXPECT_EQ(WHOLE, usable);
	EXPECT_EQ(WHOLE + 2 * LIVE, general());
	had = faults();
	number(p, WHOLE, 7);
	if (!SANITIZED)
		EXPECT_EQ(had, faults());
	/* What is left is not a part of it. */
	ASSERT_EQ(0, tmk_alloc((void **)&q, MIB, NULL));
	memset(q, 0xee, MIB);
	EXPECT_TRUE(is_numbered(p, WHOLE, 7));
	EXPECT_TRUE(is_live(live));
	EXPECT_EQ(0, tmk_free(q));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(2 * LIVE, general());
	/* The pieces are there for others. */
	ASSERT_EQ(0, tmk_alloc((void **)&p, 8 * MIB, NULL));
	ASSERT_EQ(0, tmk_alloc((void **)&q, 8 * MIB, NULL));
	EXPECT_EQ(before, held());
	memset(p, 1, 8 * MIB);
	memset(q, 2, 8 * MIB);
	EXPECT_TRUE(is_live(live));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_free(q));
	EXPECT_TRUE(finish(live));
}

TEST(what_is_missing_is_new_memory)
{
	char *live[2], *p;
	uint64_t before;

	ASSERT_EQ(0, lay(live));
	before = held();
	ASSERT_EQ(0, tmk_alloc((void **)&p, MORE, NULL));
	EXPECT_EQ(1, stitches());
	EXPECT_LT(before, held());
	/* It is not more than the most that is in use, and a huge page. */
	EXPECT_GE(MORE + 2 * LIVE + 2 * MIB, held());
	number(p, MORE, 9);
	EXPECT_TRUE(is_numbered(p, MORE, 9));
	EXPECT_TRUE(is_live(live));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_TRUE(finish(live));
}

/* The next step: something else is in the pieces meanwhile. */
static int again(void **out, size_t bytes)
{
	void *p;

	return tmk_alloc(&p, 7 * MIB, NULL) || tmk_free(p) ||
	       tmk_alloc(out, bytes, NULL);
}

TEST(the_second_time_costs_nothing)
{
	uint64_t calls = 0;
	char *live[2];
	void *p, *q;
	long had = 0;
	int i;

	ASSERT_EQ(0, lay(live));
	ASSERT_EQ(0, tmk_alloc(&p, WHOLE, NULL));
	for (i = 0; i < 20; i++) {
		memset(p, i, WHOLE);
		ASSERT_EQ(0, tmk_free(p));
		ASSERT_EQ(0, again(&q, WHOLE - (size_t)(i % 4) * MIB / 2));
		EXPECT_EQ(p, q);
		if (i == 3) {
			calls = stats_now().backend_calls;
			had = faults();
		}
	}
	EXPECT_EQ(calls, stats_now().backend_calls);
	if (!SANITIZED)
		EXPECT_EQ(had, faults());
	EXPECT_EQ(1, stitches());
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_TRUE(is_live(live));
	EXPECT_TRUE(finish(live));
}

TEST(one_that_is_asked_for_less_is_no_larger)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	char *live[2], *p, *q;
	size_t usable;

	ASSERT_EQ(0, lay(live));
	opts.flags = TMK_ALLOC_F_EXACT | TMK_ALLOC_F_ZERO;
	ASSERT_EQ(0, tmk_alloc((void **)&p, WHOLE, &opts));
	EXPECT_EQ(1, stitches());
	EXPECT_TRUE(is_zero(p, WHOLE));
	memset(p, 0xff, WHOLE);
	ASSERT_EQ(0, tmk_free(p));
	ASSERT_EQ(0, tmk_alloc((void **)&q, 7 * MIB, NULL));
	ASSERT_EQ(0, tmk_free(q));
	ASSERT_EQ(0, tmk_alloc((void **)&q, WHOLE - MIB, &opts));
	EXPECT_EQ(p, q);
	EXPECT_EQ(0, tmk_alloc_usable_bytes(&usable, q));
	EXPECT_EQ(WHOLE - MIB, usable);
	EXPECT_TRUE(is_zero(q, WHOLE - MIB));
	EXPECT_EQ(0, tmk_free(q));
	/* Far too large for this one. */
	ASSERT_EQ(0, again((void **)&q, WHOLE - 4 * MIB));
	EXPECT_NE(p, q);
	EXPECT_EQ(0, tmk_free(q));
	EXPECT_TRUE(finish(live));
}

TEST(what_is_aligned_is_in_one_piece)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	char *live[2];
	void *p;

	ASSERT_EQ(0, lay(live));
	opts.alignment = TMK__HUGE_BYTES;
	ASSERT_EQ(0, tmk_alloc(&p, WHOLE, &opts));
	EXPECT_EQ(0, (uintptr_t)p % TMK__HUGE_BYTES);
	EXPECT_EQ(0, stitches());
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_TRUE(finish(live));
}

TEST(a_thread_keeps_it)
{
	char *live[2];
	uint64_t calls;
	void *p, *q;
	int i;

	ASSERT_EQ(0, lay(live));
	ASSERT_EQ(0, tmk_alloc(&p, WHOLE, NULL));
	calls = stats_now().backend_calls;
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, tmk_free(p));
		/* Nobody else has taken a look at it, nor at its pieces. */
		EXPECT_TRUE(tmk__heap->arenas[0].stitches[0].busy);
		ASSERT_EQ(0, tmk_alloc(&q, WHOLE, NULL));
		EXPECT_EQ(p, q);
	}
	EXPECT_EQ(calls, stats_now().backend_calls);
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_TRUE(finish(live));
}

TEST(misuse_is_told)
{
	char *live[2], *p, *piece;
	void *q;

	ASSERT_EQ(0, lay(live));
	ASSERT_EQ(0, tmk_alloc((void **)&piece, 7 * MIB, NULL));
	ASSERT_EQ(0, tmk_free(piece));
	ASSERT_EQ(0, tmk_alloc((void **)&p, WHOLE, NULL));
	EXPECT_EQ(-EINVAL, tmk_free(p + 64));
	EXPECT_TRUE(says("64 bytes into one of 18874368"));
	EXPECT_EQ(-EINVAL, tmk_free(p + 9 * MIB));
	EXPECT_TRUE(says("not the beginning of a block"));
	EXPECT_EQ(-EINVAL, tmk_free(p + WHOLE - 64));
	EXPECT_TRUE(says("not the beginning of a block"));
	EXPECT_EQ(-EINVAL, tmk_free(p + WHOLE));
	EXPECT_TRUE(says("no block of this library"));
	/* Where one of its pieces is, and was a block. */
	EXPECT_EQ(-EALREADY, tmk_free(piece));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(-EALREADY, tmk_free(p));
	EXPECT_TRUE(says("free already"));
	/* Not kept by the thread either. */
	ASSERT_EQ(0, tmk_alloc(&q, 7 * MIB, NULL));
	EXPECT_EQ(-EALREADY, tmk_free(p));
	EXPECT_EQ(-EALREADY, tmk_free(p + 9 * MIB));
	EXPECT_EQ(0, tmk_free(q));
	EXPECT_EQ(2 * LIVE, general());
	EXPECT_TRUE(finish(live));
	/* No stitch any more. */
	ASSERT_EQ(0, tmk_alloc(&q, 7 * MIB, NULL));
	EXPECT_EQ(-EINVAL, tmk_free(p));
	EXPECT_TRUE(says("no block of this library"));
	EXPECT_EQ(0, tmk_free(q));
}

TEST(what_is_given_back_is_gone)
{
	uint64_t before;
	char *live[2];
	int maps;
	void *p;

	/* Once for all tables. */
	ASSERT_EQ(0, tmk_alloc(&p, 64 * MIB, NULL));
	ASSERT_EQ(0, tmk_free(p));
	tmk_trim(0);
	maps = maps_nr();
	ASSERT_EQ(0, lay(live));
	ASSERT_EQ(0, tmk_alloc(&p, WHOLE, NULL));
	memset(p, 1, WHOLE);
	before = held();
	/* None of its pieces goes while it is in use. */
	tmk_trim(0);
	EXPECT_LE(held(), before);
	memset(p, 2, WHOLE);
	EXPECT_EQ(1, stitches());
	ASSERT_EQ(0, tmk_free(p));
	tmk_trim(0);
	EXPECT_EQ(0, stitches());
	EXPECT_LT(held(), before);
	EXPECT_TRUE(is_live(live));
	/* It can be had again. */
	ASSERT_EQ(0, tmk_alloc(&p, WHOLE, NULL));
	memset(p, 3, WHOLE);
	EXPECT_TRUE(is_live(live));
	ASSERT_EQ(0, tmk_free(p));
	ASSERT_EQ(0, tmk_free(live[0]));
	ASSERT_EQ(0, tmk_free(live[1]));
	tmk_trim(0);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(maps, maps_nr());
}

TEST(it_moves_to_become_larger_or_smaller)
{
	static const size_t sizes[] = { WHOLE - MIB, WHOLE, WHOLE / 2,
					WHOLE + MIB };
	char *live[2], *p, *q;
	size_t i;

	ASSERT_EQ(0, lay(live));
	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, again((void **)&p, WHOLE));
		number(p, WHOLE, i);
		q = p;
		ASSERT_EQ(0, tmk_realloc((void **)&q, q, sizes[i], NULL));
		/* Where nothing changes it stays. */
		EXPECT_EQ(i < 2, p == q);
		EXPECT_TRUE(is_numbered(q, TMK__MIN(sizes[i], WHOLE), i));
		EXPECT_TRUE(is_live(live));
		ASSERT_EQ(0, tmk_free(q));
	}
	EXPECT_TRUE(finish(live));
}

/**
 * struct family - what a parent hands its child
 * @live: blocks in the middle
 * @p: the stitched block
 */
struct family {
	char *live[2];
	char *p;
};

static int as_child(void *arg)
{
	struct family *f = arg;
	void *q;

	if (!is_numbered(f->p, WHOLE, 3))
		return 1;
	number(f->p, WHOLE, 4);
	if (tmk_free(f->p) || !tmk_free(f->p))
		return 2;
	/* Its own, not from what it inherited. */
	if (tmk_alloc(&q, WHOLE, NULL) || tmk_free(q))
		return 3;
	if (!is_live(f->live) || tmk_free(f->live[0]) || tmk_free(f->live[1]))
		return 4;
	tmk_trim(0);
	return all_zero() ? 0 : 5;
}

TEST(a_child_frees_it)
{
	struct family f;

	ASSERT_EQ(0, lay(f.live));
	ASSERT_EQ(0, tmk_alloc((void **)&f.p, WHOLE, NULL));
	number(f.p, WHOLE, 3);
	EXPECT_EQ(0, in_child(as_child, &f));
	/* It is the same memory, and still here. */
	EXPECT_TRUE(is_numbered(f.p, WHOLE, 4));
	EXPECT_TRUE(is_live(f.live));
	EXPECT_EQ(0, tmk_free(f.p));
	EXPECT_EQ(2 * LIVE, general());
	EXPECT_TRUE(finish(f.live));
}

/* Any step of making one fails: then it is had in one piece, or refused. */
static unsigned long sweep(size_t bytes, unsigned long *served)
{
	unsigned long nth;
	char *live[2], *p;
	int err;

	*served = 0;
	for (nth = 1; nth < 1000; nth++) {
		if (lay(live))
			return 0;
		tmk__fault_arm(NULL, nth);
		p = NULL;
		err = tmk_alloc((void **)&p, bytes, NULL);
		tmk__fault_arm(NULL, 0);
		EXPECT_EQ(!err, p != NULL);
		*served += !err;
		if (!err) {
			number(p, bytes, nth);
			EXPECT_TRUE(is_numbered(p, bytes, nth));
			EXPECT_EQ(0, tmk_free(p));
		}
		EXPECT_TRUE(is_live(live));
		EXPECT_EQ(2 * LIVE, general());
		EXPECT_EQ(0, tmk_free(live[0]));
		EXPECT_EQ(0, tmk_free(live[1]));
		tmk_trim(0);
		if (!all_zero())
			return 0;
		if (!tmk__fault_fired())
			break;
	}
	TH_LOG("%lu steps", nth - 1);
	return nth;
}

TEST(every_step_of_making_one)
{
	unsigned long nr, served;

	nr = sweep(WHOLE, &served);
	EXPECT_GE(nr, 5);
	/* None of them is a reason to refuse. */
	EXPECT_EQ(nr, served);
	EXPECT_GE(sweep(MORE, &served), 5);
}

/* A mapping fails. Return: whether what there is then is as it should be. */
static bool is_whole(size_t bytes, unsigned long nth)
{
	char *live[2], *p, *q;
	uint64_t before;
	int maps;

	if (lay(live))
		return false;
	before = held();
	maps = maps_nr();
	tmk__fault_arm("alias", nth);
	if (tmk_alloc((void **)&p, bytes, NULL))
		return false;
	tmk__fault_arm(NULL, 0);
	EXPECT_TRUE(tmk__fault_fired());
	EXPECT_STREQ("", tmk_error_last());
	EXPECT_LT(before, held());
	EXPECT_EQ(0, stitches());
	EXPECT_GE(maps + 8, maps_nr());
	/* And what was free is still, and no part of it. */
	if (tmk_alloc((void **)&q, 8 * MIB, NULL))
		return false;
	number(p, bytes, 1);
	memset(q, 2, 8 * MIB);
	EXPECT_TRUE(is_numbered(p, bytes, 1));
	EXPECT_TRUE(is_live(live));
	return !tmk_free(p) && !tmk_free(q) && finish(live);
}

TEST(what_cannot_be_mapped_twice_is_had_in_one_piece)
{
	unsigned long nth;

	for (nth = 1; nth < 3; nth++) {
		EXPECT_TRUE(is_whole(WHOLE, nth));
		EXPECT_TRUE(is_whole(MORE, nth));
	}
}

TEST_HARNESS_MAIN
