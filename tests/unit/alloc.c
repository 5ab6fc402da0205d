// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The allocator: sizes and what they waste, alignment, clearing, kinds, moving,
 * what is charged and given back, and pointers that are none.
 */
#include "util.h"

static uint64_t general(void)
{
	return stats_now().by_use[TMK_USE_GENERAL].current;
}

static uint64_t usable(const void *p)
{
	size_t bytes = 0;

	if (tmk_alloc_usable_bytes(&bytes, p))
		TH_LOG("%s", tmk_error_last());
	return bytes;
}

static bool is_filled(const char *p, size_t bytes, char with)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (p[i] != with)
			return false;
	return true;
}

TEST(sizes_waste_at_most_an_eighth)
{
	size_t bytes;
	void *p;

	for (bytes = 1; bytes < 40 * MIB; bytes += bytes / 7 + 1) {
		ASSERT_EQ(0, tmk_alloc(&p, bytes, NULL));
		ASSERT_GE(usable(p), bytes);
		if (bytes > 512)
			EXPECT_LE(usable(p) - bytes, usable(p) / 8);
		EXPECT_EQ(0, (uintptr_t)p % 64);
		memset(p, 0x5a, bytes);
		EXPECT_EQ(usable(p), general());
		ASSERT_EQ(0, tmk_free(p));
	}
	EXPECT_EQ(0, general());
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(blocks_do_not_overlap)
{
	static char *blocks[400];
	size_t sizes[400], i, nr = TMK__ARRAY_SIZE(blocks);
	unsigned int seed = 1, round;

	for (i = 0; i < nr; i++)
		blocks[i] = NULL;
	for (round = 0; round < 8000; round++) {
		i = (size_t)rand_r(&seed) % nr;
		if (blocks[i]) {
			ASSERT_TRUE(is_filled(blocks[i], sizes[i], (char)i));
			ASSERT_EQ(0, tmk_free(blocks[i]));
			blocks[i] = NULL;
			continue;
		}
		sizes[i] =
			(size_t)rand_r(&seed) % (1u << (rand_r(&seed) % 18)) +
			1;
		ASSERT_EQ(0, tmk_alloc((void **)&blocks[i], sizes[i], NULL));
		memset(blocks[i], (char)i, sizes[i]);
		if (round % 1000 == 999)
			tmk_trim(0);
	}
	for (i = 0; i < nr; i++)
		EXPECT_EQ(0, tmk_free(blocks[i]));
	EXPECT_EQ(0, general());
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(alignment)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	size_t align;
	void *p, *q;

	for (align = 1; align <= TMK_ALLOC_ALIGN_MAX; align *= 2) {
		opts.alignment = align;
		ASSERT_EQ(0, tmk_alloc(&p, 100, &opts));
		ASSERT_EQ(0, tmk_alloc(&q, 70000, &opts));
		EXPECT_EQ(0, (uintptr_t)p % align);
		EXPECT_EQ(0, (uintptr_t)q % align);
		memset(p, 1, 100);
		memset(q, 1, 70000);
		EXPECT_EQ(0, tmk_free(p));
		EXPECT_EQ(0, tmk_free(q));
	}
	/* Alignment costs address space and no memory. */
	EXPECT_LE(stats_now().total.peak, 8 * MIB);
	opts.alignment = 2 * TMK_ALLOC_ALIGN_MAX;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 100, &opts));
	opts.alignment = 48;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 100, &opts));
	EXPECT_TRUE(says("alignment of 48"));
	EXPECT_EQ(0, tmk_close());
}

TEST(blocks_begin_in_different_places)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	uint64_t places = 0;
	char *p[8];
	int i;

	/* Out of memory that is there; the first of all begins with a page. */
	ASSERT_EQ(0, tmk_alloc((void **)&p[0], 16 * MIB, NULL));
	ASSERT_EQ(0, tmk_free(p[0]));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, tmk_alloc((void **)&p[i], MIB, NULL));
		EXPECT_EQ(0, (uintptr_t)p[i] % 64);
		EXPECT_EQ(MIB, usable(p[i]));
		memset(p[i], i, MIB);
		places |= UINT64_C(1) << (uintptr_t)p[i] % 4096 / 64;
	}
	EXPECT_GE(__builtin_popcountll(places), 6);
	EXPECT_EQ(8 * MIB, general());
	for (i = 0; i < 8; i++) {
		EXPECT_TRUE(is_filled(p[i], MIB, (char)i));
		EXPECT_EQ(-EINVAL, tmk_free(p[i] - (uintptr_t)p[i] % 4096));
		EXPECT_EQ(0, tmk_free(p[i]));
	}
	/* Not one of those that are kept. */
	opts.alignment = 4096;
	ASSERT_EQ(0, tmk_alloc((void **)&p[0], MIB, &opts));
	EXPECT_EQ(0, (uintptr_t)p[0] % 4096);
	EXPECT_EQ(0, tmk_free(p[0]));
	EXPECT_EQ(0, general());
}

/* Fewer lines of the cache for all of them; far from each other they differ. */
TEST(large_blocks_begin_as_their_neighbours_do)
{
	uint64_t places = 0;
	char *p[15];
	int i;

	ASSERT_EQ(0, tmk_alloc((void **)&p[0], 128 * MIB, NULL));
	ASSERT_EQ(0, tmk_free(p[0]));
	for (i = 0; i < 15; i++) {
		ASSERT_EQ(0, tmk_alloc((void **)&p[i], 8 * MIB, NULL));
		EXPECT_NE(0, (uintptr_t)p[i] % 4096);
		EXPECT_EQ(8 * MIB, usable(p[i]));
		places |= UINT64_C(1) << (uintptr_t)p[i] % 4096 / 64;
	}
	EXPECT_GE(__builtin_popcountll(places), 3);
	EXPECT_LE(__builtin_popcountll(places), 6);
	for (i = 0; i < 15; i++)
		EXPECT_EQ(0, tmk_free(p[i]));
	EXPECT_EQ(0, general());
}

/* Not where each piece of it ended when it was got, in the midst of a huge page. */
TEST(a_large_heap_is_made_of_huge_pages)
{
	struct tmk_stats s;
	void *p[64];
	int i;

	for (i = 0; i < 64; i++)
		ASSERT_EQ(0,
			  tmk_alloc(&p[i], 2500000 + (size_t)i * 4096, NULL));
	s = stats_now();
	EXPECT_GE(s.total.current, 160 * MIB);
	EXPECT_LE(s.by_kind[TMK_KIND_PINNED].current, 14 * MIB);
	EXPECT_GE(s.by_kind[TMK_KIND_HUGE].current, s.total.current * 9 / 10);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(0, tmk_free(p[i]));
}

TEST(clearing)
{
	static const size_t sizes[] = { 100, 5000, 40000, 3 * MIB };
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	size_t i, round;
	char *p;

	opts.flags = TMK_ALLOC_F_ZERO;
	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
		for (round = 0; round < 3; round++) {
			ASSERT_EQ(0, tmk_alloc((void **)&p, sizes[i], &opts));
			EXPECT_TRUE(is_filled(p, sizes[i], 0));
			memset(p, 0xff, usable(p));
			ASSERT_EQ(0, tmk_free(p));
			if (round)
				tmk_trim(0);
		}
	}
}

TEST(exact_is_exact)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	void *p;

	ASSERT_EQ(0, tmk_alloc(&p, 17 * 65536, NULL));
	EXPECT_EQ(0, tmk_free(p));
	opts.flags = TMK_ALLOC_F_EXACT;
	ASSERT_EQ(0, tmk_alloc(&p, 16 * 65536 + 1, &opts));
	EXPECT_EQ(16 * 65536 + 4096, usable(p));
	EXPECT_EQ(0, tmk_free(p));
}

TEST(a_kept_block_serves_smaller_requests)
{
	void *p, *q;

	ASSERT_EQ(0, tmk_alloc(&p, 17 * 65536, NULL));
	EXPECT_EQ(0, tmk_free(p));
	ASSERT_EQ(0, tmk_alloc(&q, 16 * 65536 + 1, NULL));
	EXPECT_EQ(p, q);
	EXPECT_EQ(17 * 65536, usable(q));
	EXPECT_EQ(0, tmk_free(q));
}

TEST(moving)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	size_t bytes;
	void *other;
	char *p = NULL;

	ASSERT_EQ(0, tmk_realloc((void **)&p, NULL, 100, NULL));
	for (bytes = 100; bytes < 8 * MIB; bytes *= 3) {
		memset(p, 0x11, bytes);
		ASSERT_EQ(0, tmk_realloc((void **)&p, p, bytes * 3, NULL));
		EXPECT_TRUE(is_filled(p, bytes, 0x11));
		EXPECT_GE(usable(p), bytes * 3);
		EXPECT_EQ(usable(p), general());
	}
	memset(p, 0x22, bytes);
	/* In the way of growing where it is. */
	ASSERT_EQ(0, tmk_alloc(&other, 100000, NULL));
	for (; bytes > 100; bytes /= 3) {
		ASSERT_EQ(0, tmk_realloc((void **)&p, p, bytes, NULL));
		EXPECT_TRUE(is_filled(p, bytes, 0x22));
		EXPECT_LE(usable(p), bytes + bytes / 4 + 512);
	}
	opts.flags = TMK_ALLOC_F_ZERO;
	ASSERT_EQ(0, tmk_free(p));
	ASSERT_EQ(0, tmk_alloc((void **)&p, 64, NULL));
	memset(p, 0x33, 128);
	ASSERT_EQ(0, tmk_realloc((void **)&p, p, 3 * MIB, &opts));
	EXPECT_TRUE(is_filled(p, 64, 0x33));
	EXPECT_TRUE(is_filled(p + 128, 3 * MIB - 128, 0));
	EXPECT_EQ(-EINVAL, tmk_realloc((void **)&p, p, 0, NULL));
	EXPECT_EQ(-EINVAL, tmk_realloc((void **)&p, p + 64, 10, NULL));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_free(other));
	EXPECT_EQ(0, general());
}

TEST(bad_requests)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	void *p = &opts;

	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 0, NULL));
	EXPECT_EQ(-EINVAL, tmk_alloc(NULL, 64, NULL));
	EXPECT_EQ(-EOVERFLOW, tmk_alloc(&p, SIZE_MAX, NULL));
	EXPECT_EQ(-EOVERFLOW, tmk_alloc(&p, SIZE_MAX - 4095, NULL));
	EXPECT_EQ(-EOVERFLOW, tmk_alloc(&p, (size_t)1 << 63, NULL));
	EXPECT_EQ(-ENOMEM, tmk_alloc(&p, (size_t)1 << 42, NULL));
	opts.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 64, &opts));
	opts.flags = TMK_ALLOC_F_REQUIRE;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 64, &opts));
	opts.flags = 0;
	opts.kind = 77;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 64, &opts));
	opts.kind = 0;
	opts.node = -2;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 64, &opts));
	opts.node = TMK_NODE_ANY;
	opts.purpose = "a name that is longer than the names of regions may be";
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 64, &opts));
	opts.purpose = NULL;
	opts.opts_size = 3;
	EXPECT_EQ(-EINVAL, tmk_alloc(&p, 64, &opts));
	EXPECT_EQ((void *)&opts, p);
	EXPECT_EQ(0, general());
}

static void kind_check(enum tmk_kind kind)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	struct tmk_stats stats;
	void *p, *q;

	opts.kind = kind;
	ASSERT_EQ(0, tmk_alloc(&p, 100, &opts));
	ASSERT_EQ(0, tmk_alloc(&q, 300000, &opts));
	stats = stats_now();
	EXPECT_EQ(stats.by_kind[kind].current, stats.total.current);
	EXPECT_EQ(usable(p) + usable(q), general());
	memset(p, 1, 100);
	memset(q, 1, 300000);
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_free(q));
	EXPECT_EQ(stats.total.current, tmk_trim(0));
	EXPECT_TRUE(all_zero());
}

TEST(kinds)
{
	kind_check(TMK_KIND_PINNED);
	kind_check(TMK_KIND_HUGE);
}

TEST(what_is_free_is_given_back)
{
	struct tmk_stats stats;
	void *p, *q;

	ASSERT_EQ(0, tmk_alloc(&p, 5 * MIB, NULL));
	ASSERT_EQ(0, tmk_alloc(&q, 5 * MIB, NULL));
	EXPECT_EQ(0, tmk_free(p));
	stats = stats_now();
	EXPECT_EQ(5 * MIB, stats.by_use[TMK_USE_GENERAL].current);
	EXPECT_GE(stats.by_use[TMK_USE_CACHE].current, 5 * MIB);
	EXPECT_EQ(0, tmk_trim(60000));
	EXPECT_GE(tmk_trim(0), 3 * MIB);
	EXPECT_LE(held(), 8 * MIB);
	memset(q, 1, 5 * MIB);
	EXPECT_EQ(0, tmk_free(q));
	usleep(50000);
	EXPECT_EQ(0, tmk_trim(60000));
	usleep(50000);
	EXPECT_GE(tmk_trim(20), 5 * MIB);
	EXPECT_TRUE(all_zero());
}

TEST(a_limit_takes_the_cache_first)
{
	struct tmk_refusal refusal;
	struct tmk_region *region;
	void *p;

	ASSERT_EQ(0, limit(20 * MIB));
	ASSERT_EQ(0, tmk_alloc(&p, 12 * MIB, NULL));
	EXPECT_EQ(0, tmk_free(p));
	/* For a region, and for a block that does not fit beside it. */
	ASSERT_EQ(0, create(&region, 16 * MIB, TMK_KIND_HUGE, 0));
	p = NULL;
	EXPECT_EQ(0, stats_now().refused);
	EXPECT_EQ(-ENOMEM, tmk_alloc(&p, 12 * MIB, NULL));
	EXPECT_EQ(1, stats_now().refused);
	EXPECT_TRUE(says("cannot allocate 12.0 MiB"));
	EXPECT_TRUE(says("TMK_MAX_BYTES"));
	ASSERT_EQ(0, tmk_refusal_last(&refusal));
	EXPECT_EQ(TMK_LIMIT_PROCESS, refusal.limit);
	EXPECT_EQ(20 * MIB, refusal.max);
	EXPECT_EQ(NULL, p);
	EXPECT_EQ(16 * MIB, held());
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_alloc(&p, 20 * MIB, NULL));
	EXPECT_EQ(0, tmk_free(p));
	/* Below what is in use: later requests only. */
	ASSERT_EQ(0, tmk_alloc(&p, 4 * MIB, NULL));
	ASSERT_EQ(0, limit(1 * MIB));
	memset(p, 1, 4 * MIB);
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(-ENOMEM, tmk_alloc(&p, 8 * MIB, NULL));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

static void misuse_of(size_t bytes)
{
	char *p, *q;

	ASSERT_EQ(0, tmk_alloc((void **)&p, bytes, NULL));
	ASSERT_EQ(0, tmk_alloc((void **)&q, bytes, NULL));
	memset(q, 0x44, bytes);
	EXPECT_EQ(-EINVAL, tmk_free(p + 1));
	EXPECT_EQ(-EINVAL, tmk_free(p + 64));
	EXPECT_TRUE(says("64 bytes into one of"));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(-EALREADY, tmk_free(p));
	EXPECT_TRUE(says("free already"));
	tmk_trim(0);
	EXPECT_EQ(-EALREADY, tmk_free(p));
	EXPECT_EQ(usable(q), general());
	EXPECT_TRUE(is_filled(q, bytes, 0x44));
	EXPECT_EQ(0, tmk_free(q));
	tmk_trim(0);
	EXPECT_EQ(-EALREADY, tmk_free(q));
	EXPECT_EQ(0, general());
}

/* Far behind in the window, and between two others: it stays a run of its own. */
static void misuse_of_kind(enum tmk_kind kind)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	char *p[3];
	int i;

	opts.kind = kind;
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, tmk_alloc((void **)&p[i], 65536, &opts));
	EXPECT_EQ(-EINVAL, tmk_free(p[1] + 4096));
	EXPECT_EQ(0, tmk_free(p[1]));
	EXPECT_EQ(-EALREADY, tmk_free(p[1]));
	EXPECT_EQ(-EALREADY, tmk_free(p[1] + 4096));
	EXPECT_EQ(2 * 65536, general());
	EXPECT_EQ(0, tmk_free(p[0]));
	EXPECT_EQ(0, tmk_free(p[2]));
	EXPECT_EQ(0, general());
}

TEST(misuse_is_told)
{
	static const size_t sizes[] = { 128, 3000, 32768, 65536, 3 * MIB };
	static char foreign[64];
	size_t bytes = 7, i;
	char *p;

	/* Before there is an allocator, too. */
	EXPECT_EQ(-EINVAL, tmk_free(foreign));
	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++)
		misuse_of(sizes[i]);
	misuse_of_kind(TMK_KIND_PINNED);
	misuse_of_kind(TMK_KIND_HUGE);
	EXPECT_EQ(0, tmk_free(NULL));
	EXPECT_EQ(-EINVAL, tmk_free(foreign));
	EXPECT_TRUE(says("no block of this library"));
	EXPECT_EQ(-EINVAL, tmk_free((void *)1));
	EXPECT_EQ(-EINVAL, tmk_free((void *)~0ul));
	EXPECT_EQ(-EINVAL, tmk_alloc_usable_bytes(&bytes, foreign));
	EXPECT_EQ(7, bytes);
	ASSERT_EQ(0, tmk_alloc((void **)&p, 100, NULL));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(-EALREADY, tmk_alloc_usable_bytes(&bytes, p));
	EXPECT_EQ(-EALREADY, tmk_realloc((void **)&p, p, 10, NULL));
	/* A freed block's memory is nobody's list: writing there does no harm. */
	memset(p, 0xff, 100);
	ASSERT_EQ(0, tmk_alloc((void **)&p, 100, NULL));
	EXPECT_EQ(0, tmk_free(p));
}

#define EACH 40

static const size_t mixed[] = { 64, 1000, 8192, 40000 };

/* Blocks of several sizes. Return: 0, and how much they hold. */
static int mixed_alloc(char **p, uint64_t *bytes)
{
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(mixed) * EACH; i++) {
		if (tmk_alloc((void **)&p[i], mixed[i / EACH], NULL))
			return -1;
		memset(p[i], 0x21, mixed[i / EACH]);
	}
	*bytes = general();
	return 0;
}

/* What others had, as blocks and objects of other sizes, is found nowhere. */
TEST(memory_that_is_used_again_has_none_of_its_blocks)
{
	char *old[TMK__ARRAY_SIZE(mixed) * EACH], *large[4];
	char *p[TMK__ARRAY_SIZE(mixed) * EACH];
	uint64_t bytes;
	size_t i, k, at, freed = 0;

	ASSERT_EQ(0, mixed_alloc(old, &bytes));
	for (i = 0; i < TMK__ARRAY_SIZE(old); i++)
		ASSERT_EQ(0, tmk_free(old[i]));
	tmk_trim(0);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, tmk_alloc((void **)&large[i], MIB, NULL));
		memset(large[i], 0x42, MIB);
	}
	for (i = 0; i < TMK__ARRAY_SIZE(old); i++) {
		for (k = 0; k < 4 && old[i] != large[k]; k++)
			;
		if (k == 4)
			freed += !tmk_free(old[i]);
	}
	EXPECT_EQ(0, freed);
	EXPECT_EQ(4 * MIB, general());
	for (i = 0; i < 4; i++) {
		EXPECT_TRUE(is_filled(large[i], MIB, 0x42));
		EXPECT_EQ(0, tmk_free(large[i]));
	}

	/* And the other way round. */
	tmk_trim(0);
	ASSERT_EQ(0, mixed_alloc(p, &bytes));
	for (i = 0; i < 4; i++) {
		for (at = 0; at < MIB; at += MIB / 32) {
			for (k = 0;
			     k < TMK__ARRAY_SIZE(p) && p[k] != large[i] + at;
			     k++)
				;
			if (k == TMK__ARRAY_SIZE(p))
				freed += !tmk_free(large[i] + at);
		}
	}
	EXPECT_EQ(0, freed);
	EXPECT_EQ(bytes, general());
	for (i = 0; i < TMK__ARRAY_SIZE(p); i++) {
		EXPECT_TRUE(is_filled(p[i], mixed[i / EACH], 0x21));
		EXPECT_EQ(0, tmk_free(p[i]));
	}
	EXPECT_EQ(0, general());
}

TEST(a_warm_loop_makes_no_calls)
{
	static const size_t sizes[] = { 100, 65536, 300000, 2 * MIB, 16 * MIB };
	struct tmk_stats before;
	struct rusage usage, after;
	size_t i, round;
	void *p;

	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, tmk_alloc(&p, sizes[i], NULL));
		EXPECT_EQ(0, tmk_free(p));
	}
	for (round = 0; round < 1000; round++) {
		if (round == 100) {
			before = stats_now();
			getrusage(RUSAGE_SELF, &usage);
		}
		for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
			ASSERT_EQ(0, tmk_alloc(&p, sizes[i], NULL));
			memset(p, 1, 64);
			ASSERT_EQ(0, tmk_free(p));
		}
	}
	getrusage(RUSAGE_SELF, &after);
	EXPECT_EQ(before.backend_calls, stats_now().backend_calls);
	if (!SANITIZED)
		EXPECT_EQ(usage.ru_minflt, after.ru_minflt);
}

TEST(closing_tells_of_blocks)
{
	void *p;

	ASSERT_EQ(0, tmk_alloc(&p, 3 * MIB, NULL));
	EXPECT_EQ(-EBUSY, tmk_close());
	EXPECT_TRUE(says("3.0 MiB of general"));
	memset(p, 1, 3 * MIB);
	EXPECT_EQ(0, tmk_free(p));
	/* At once: there is nobody to keep it for. */
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, tmk_alloc(&p, 3 * MIB, NULL));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
