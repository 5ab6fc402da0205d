// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * TMK_DEBUG=poison and guard, for blocks: what reaches beyond them, what uses
 * them after they were freed, and what frees them wrongly is trapped or named;
 * and a program that does nothing wrong works as it does without, within its
 * limits and to the last byte of the ledger.
 */
#include "debug.h"

#include <pthread.h>

static struct seen seen;

static const size_t sizes[] = { 1,    63,   64,	   100,	  1000,	   4000,
				4096, 5000, 40960, 70001, 1 << 20, 2500000 };

static bool shut(const volatile char *p)
{
	return traps(p, false) && traps(p, true);
}

static void overrun(void)
{
	size_t i, a, end, align;
	char *p, *page;

	for (a = 64; a <= 65536; a *= 1024) {
		for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
			MUST(!block(&p, sizes[i], 0, a, NULL));
			MUST((uintptr_t)p % a == 0);
			align = TMK__MIN(a, 4096);
			end = TMK__ALIGN_UP(sizes[i], align);
			MUST((uintptr_t)(p + end) % 4096 == 0);
			MUST(traps(p + end, i % 2) && traps(p + end + 4095, 1));
			page = (char *)((uintptr_t)p & ~(uintptr_t)4095);
			MUST(traps(page - 1, i % 2));
			memset(p, 1, sizes[i]);
		}
	}
}

TEST(an_overrun_traps_at_the_access)
{
	see(&seen, "guard", overrun);
	EXPECT_TRUE(silent(&seen));
	see(&seen, ALL, overrun);
	EXPECT_EQ(0, seen.status);
}

/* The signal itself, as a program gets it that does not catch it. */
static void overrun_uncaught(void)
{
	char *p;

	MUST(!tmk_alloc((void **)&p, 4096, NULL));
	signal(SIGSEGV, SIG_DFL);
	poke(p + 4096, 1);
}

TEST(an_overrun_is_a_signal)
{
	see(&seen, "guard", overrun_uncaught);
	EXPECT_EQ(128 + SIGSEGV, seen.status);
	see(&seen, "poison", overrun_uncaught);
	EXPECT_EQ(0, seen.status);
}

static void freed_traps(void)
{
	char *p, *q;
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
		MUST(!block(&p, sizes[i], 0, 0, NULL));
		MUST(!block(&q, sizes[i], 0, 0, NULL));
		MUST(!tmk_free(p));
		MUST(traps(p, false) && traps(p + sizes[i] - 1, true));
		memset(q, 1, sizes[i]);
		MUST(!tmk_free(q));
	}
	/* Nor does anybody get it at once. */
	MUST(!tmk_alloc((void **)&p, 5000, NULL) && !tmk_free(p));
	MUST(!tmk_alloc((void **)&q, 5000, NULL));
	MUST(p != q && shut(p));
	MUST(!tmk_free(q));
}

TEST(what_is_freed_traps)
{
	see(&seen, "guard", freed_traps);
	EXPECT_TRUE(silent(&seen));
}

static void patterns(void)
{
	size_t i, usable;
	char *p, *q;

	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
		MUST(!block(&p, sizes[i], 0, 0, NULL));
		MUST(is_full(p, sizes[i], TMK__POISON_NEW));
		MUST(!block(&q, sizes[i], TMK_ALLOC_F_ZERO, 0, NULL));
		MUST(is_full(q, sizes[i], 0));
		/* What may be used is what was asked for. */
		MUST(!tmk_alloc_usable_bytes(&usable, p) && usable == sizes[i]);
		memset(p, 1, sizes[i]);
		MUST(!tmk_free(p) && !tmk_free(q));
		MUST(is_full(p, sizes[i], TMK__POISON_FREE));
		MUST(is_full(q, sizes[i], TMK__POISON_FREE));
	}
}

TEST(new_and_free_memory_look_it)
{
	see(&seen, "poison", patterns);
	EXPECT_TRUE(silent(&seen));
}

static NOINLINE void give_it_back(void *p)
{
	MUST(!tmk_free(p));
	__asm__ volatile("");
}

static NOINLINE char *have_one(size_t bytes)
{
	char *p;

	MUST(!block(&p, bytes, 0, 0, "batch"));
	return p;
}

/* Something stays, so that its region does; then what was freed is handed out. */
static void use_after_free(void)
{
	char *stay = have_one(500), *big = have_one(200000);
	char *p = have_one(500), *q;
	int i;

	fprintf(stderr, "%p\n", (void *)p);
	give_it_back(p);
	poke(p + 77, 1);
	poke(p + 80, 2);
	tmk_trim(0);
	for (i = 0; i < 100; i++) {
		q = have_one(500);
		MUST(is_full(q, 500, TMK__POISON_NEW));
	}
	give_it_back(stay);
	give_it_back(big);
}

TEST(a_write_after_free_is_named)
{
	char line[200];
	unsigned long at;

	see(&seen, "poison,leaks", use_after_free);
	EXPECT_EQ(0, seen.status);
	at = strtoul(seen.text, NULL, 16);
	snprintf(line, sizeof(line),
		 "%#lx was written to after it was freed, and up to 4 bytes "
		 "from there on: offset 77 of what was the block %#lx of 500 "
		 "bytes \"batch\", freed in give_it_back() < ",
		 at + 77, at);
	EXPECT_TRUE(printed(&seen, line));
	EXPECT_TRUE(printed(&seen, ", allocated in have_one() < "));
	EXPECT_EQ(1, times(&seen, "was written to"));
	see(&seen, "poison", use_after_free);
	EXPECT_TRUE(printed(&seen, "with leaks in TMK_DEBUG it could be said "
				   "where"));
	see(&seen, NULL, patterns);
	EXPECT_EQ(99, seen.status);
}

/* Memory of which nobody remembers whose it was. */
static void write_to_new_memory(void)
{
	char *p = have_one(300), *q;
	int i;

	for (i = 1; i < 14; i++)
		poke(p + i * 320 + 5, i);
	for (i = 0; i < 30; i++) {
		q = have_one(300);
		MUST(is_full(q, 300, TMK__POISON_NEW));
	}
}

TEST(a_write_to_memory_that_was_never_a_block)
{
	see(&seen, "poison", write_to_new_memory);
	EXPECT_EQ(0, seen.status);
	EXPECT_TRUE(printed(&seen, "was written to while it was free, and up "
				   "to 1 bytes from there on"));
}

static void beyond(void)
{
	char *p = have_one(1000), *q = have_one(65000);

	poke(p + 1003, 1);
	poke(q + 65000, 1);
	poke(q + 65100, 1);
	give_it_back(p);
	give_it_back(q);
}

static void before(void)
{
	char *p = have_one(1000);

	poke(p - 7, 1);
	poke(p - 20, 1);
	give_it_back(p);
}

TEST(beyond_a_blocks_ends_within_its_pages)
{
	see(&seen, "poison,leaks", beyond);
	EXPECT_TRUE(printed(&seen, "up to 1 bytes from there on: 3 bytes "
				   "behind the end of the block "));
	EXPECT_TRUE(printed(&seen, "up to 101 bytes from there on: 0 bytes "
				   "behind the end of the block "));
	EXPECT_TRUE(printed(&seen, "of 65000 bytes \"batch\", allocated in "
				   "have_one() < beyond()"));
	see(&seen, "poison,guard", before);
	EXPECT_TRUE(printed(&seen, "7 bytes before the block "));
}

static void misuse(void)
{
	int local;
	char *p = have_one(700), *q = have_one(100000);
	struct tmk_fence *fence;
	size_t usable;

	MUST(tmk_free(p + 3) == -EINVAL);
	MUST(says("is not the beginning of a block, it is 3 bytes into one of "
		  "700 \"batch\""));
	MUST(tmk_free(q + 50000) == -EINVAL && says("it is 50000 bytes into"));
	MUST(tmk_free(&local) == -EINVAL);
	MUST(says("is no block of this library"));
	MUST(tmk_realloc((void **)&q, &local, 10, NULL) == -EINVAL);
	give_it_back(p);
	MUST(tmk_free(p) == -EALREADY);
	MUST(says("is free already: a block of 700 bytes \"batch\""));
	MUST(tmk_alloc_usable_bytes(&usable, p) == -EALREADY);
	MUST(tmk_realloc((void **)&p, p, 10, NULL) == -EALREADY);
	MUST(!tmk_fence_create(&fence, -1));
	MUST(tmk_free_after(p, fence) == -EALREADY);
	MUST(!tmk_free_after(q, fence));
	MUST(tmk_free(q) == -EALREADY);
	MUST(tmk_free_after(q, fence) == -EALREADY);
	tmk_fence_put(fence);
	MUST(tmk_free(q) == -EALREADY);
	MUST(!tmk_free(NULL));
}

TEST(what_is_freed_wrongly_is_told)
{
	static const char *const modes[] = { "leaks", "poison", "guard", ALL };
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(modes); i++) {
		see(&seen, modes[i], misuse);
		EXPECT_EQ(0, seen.status);
		EXPECT_TRUE(printed(&seen, "tmk: check: 0x"));
		/* Each refusal is printed, whatever TMK_LOG says. */
		EXPECT_EQ(11, times(&seen, "nothing was done"));
	}
	EXPECT_TRUE(printed(&seen, "of 700 bytes \"batch\", freed first in "
				   "give_it_back() < misuse() < "));
	EXPECT_TRUE(printed(&seen, "bytes into one of 700 \"batch\", allocated "
				   "in have_one() < misuse() < "));
}

static void sizes_change(void)
{
	char *p = NULL, *old;
	size_t i, was = 0;

	for (i = 0; i < TMK__ARRAY_SIZE(sizes); i++) {
		old = p;
		MUST(!tmk_realloc((void **)&p, p, sizes[i], NULL));
		MUST(p != old && is_full(p, was, 0x5a));
		MUST(!old || tmk_free(old) == -EALREADY);
		memset(p, 0x5a, sizes[i]);
		was = sizes[i];
	}
	/* Also to the same size: whoever kept the old address is to notice. */
	old = p;
	MUST(!tmk_realloc((void **)&p, p, was, NULL) && p != old);
	MUST(!tmk_realloc((void **)&p, p, 10, NULL) && is_full(p, 10, 0x5a));
	MUST(!tmk_free(p));
}

TEST(realloc_moves_and_keeps_what_is_there)
{
	see(&seen, ALL, sizes_change);
	EXPECT_EQ(0, seen.status);
	EXPECT_EQ(11, times(&seen, "is free already"));
	EXPECT_EQ(0, times(&seen, "leaks"));
}

static void fences(void)
{
	struct tmk_fence *fence;
	char *p = have_one(9000);

	memset(p, 3, 9000);
	MUST(!tmk_fence_create(&fence, -1));
	MUST(!tmk_free_after(p, fence));
	/* A device may write to it until then. */
	tmk_trim(0);
	MUST(is_full(p, 9000, 3));
	memset(p, 4, 9000);
	tmk_fence_signal(fence);
	MUST(is_full(p, 9000, TMK__POISON_FREE));
	tmk_fence_put(fence);
}

TEST(a_block_is_the_devices_until_its_fence)
{
	see(&seen, "poison,leaks", fences);
	EXPECT_TRUE(silent(&seen));
}

static void within_limits(void)
{
	void *p[64], *q = NULL;
	struct tmk_refusal r;
	int i, nr;

	MUST(!tmk_open(NULL) && !limit(16 * MIB));
	for (nr = 0; nr < 64 && !tmk_alloc(&p[nr], MIB, NULL); nr++)
		memset(p[nr], nr, MIB);
	MUST(nr >= 12 && nr <= 16 && held() <= 16 * MIB);
	MUST(!tmk_refusal_last(&r) && r.limit == TMK_LIMIT_PROCESS);
	for (i = 0; i < nr; i++)
		MUST(is_full(p[i], MIB, i) && !tmk_free(p[i]));
	MUST(!stats_now().by_use[TMK_USE_GENERAL].current);
	/* What waits for its memory to be used again is in nobody's way. */
	for (i = 0; i < 4; i++) {
		MUST(!tmk_alloc(&q, 13 * MIB, NULL));
		MUST(!tmk_free(q));
		MUST(held() <= 16 * MIB);
	}
	tmk_trim(0);
	MUST(all_zero());
}

TEST(limits_hold_and_nothing_is_kept_from_them)
{
	static const char *const modes[] = { "leaks", "poison", "guard", ALL };
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(modes); i++) {
		see(&seen, modes[i], within_limits);
		EXPECT_TRUE(silent(&seen));
	}
}

static void kinds(void)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	static const enum tmk_kind each[] = { TMK_KIND_PINNED, TMK_KIND_HUGE,
					      TMK_KIND_FILE, TMK_KIND_HUGETLB };
	size_t i, j, n;
	char *p;

	for (i = 0; i < TMK__ARRAY_SIZE(each); i++) {
		opts.kind = each[i];
		for (j = 0; j < TMK__ARRAY_SIZE(sizes); j++) {
			n = sizes[j];
			/* hugetlb: there may be no page in the pool. */
			if (tmk_alloc((void **)&p, n, &opts)) {
				MUST(each[i] == TMK_KIND_HUGETLB);
				continue;
			}
			MUST(is_full(p, n, TMK__POISON_NEW));
			MUST(each[i] == TMK_KIND_HUGETLB ||
			     traps(p + TMK__ALIGN_UP(n, 64), true));
			memset(p, 6, n);
			MUST(!tmk_free(p));
		}
	}
	tmk_trim(0);
	MUST(all_zero());
}

TEST(every_kind)
{
	see(&seen, ALL, kinds);
	EXPECT_TRUE(silent(&seen));
}

static void family(void)
{
	char *p = have_one(5000), *q;
	int status;
	pid_t pid;

	memset(p, 9, 5000);
	pid = fork();
	if (!pid) {
		MUST(is_full(p, 5000, 9));
		q = have_one(5000);
		MUST(is_full(q, 5000, TMK__POISON_NEW));
		/* The memory is the parent's as well. */
		MUST(!tmk_free(p) && tmk_free(p) == -EALREADY);
		MUST(!tmk_realloc((void **)&q, q, 100000, NULL));
		MUST(!tmk_free(q));
		tmk_trim(0);
		MUST(all_zero());
		exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid && !status);
	MUST(is_full(p, 5000, 9));
	MUST(!tmk_free(p));
	tmk_trim(0);
	MUST(all_zero());
}

TEST(a_child_leaves_its_parents_memory_as_it_is)
{
	see(&seen, ALL, family);
	EXPECT_EQ(0, seen.status);
	EXPECT_EQ(1, times(&seen, "tmk: check: "));
}

#define THREADS 4

static void *shuffle(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	char *p[32] = { NULL };
	size_t n[32] = { 0 };
	int i, round;

	for (round = 0; round < 500; round++) {
		i = rand_r(&seed) % 32;
		MUST(is_full(p[i], n[i], i));
		if (p[i] && round % 3) {
			MUST(!tmk_free(p[i]));
			p[i] = NULL;
			n[i] = 0;
			continue;
		}
		n[i] = 1 + (size_t)rand_r(&seed) % (round % 10 ? 3000 : 100000);
		MUST(!tmk_realloc((void **)&p[i], p[i], n[i], NULL));
		memset(p[i], i, n[i]);
	}
	for (i = 0; i < 32; i++)
		MUST(!tmk_free(p[i]));
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	uintptr_t i;

	for (i = 0; i < THREADS; i++)
		MUST(!pthread_create(&thread[i], NULL, shuffle, (void *)i));
	for (i = 0; i < THREADS; i++)
		MUST(!pthread_join(thread[i], NULL));
	MUST(!stats_now().by_use[TMK_USE_GENERAL].current);
	tmk_trim(0);
	MUST(all_zero());
}

TEST(several_threads)
{
	static const char *const modes[] = { "leaks", "poison", "guard", ALL };
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(modes); i++) {
		see(&seen, modes[i], threads);
		EXPECT_TRUE(silent(&seen));
	}
}

#if ASAN
static void read_after_free(void)
{
	volatile char *p = have_one(700);

	give_it_back((void *)p);
	(void)p[3];
}

static void read_behind(void)
{
	volatile char *p = have_one(700);

	(void)p[701];
}

TEST(the_address_sanitizer_is_told)
{
	see(&seen, "poison", read_after_free);
	EXPECT_TRUE(printed(&seen, "use-after-poison"));
	see(&seen, "poison", read_behind);
	EXPECT_TRUE(printed(&seen, "use-after-poison"));
}
#endif

static void freed_long_ago(void)
{
	static char *others[5000];
	char *stay = have_one(700), *p = have_one(700);
	int i;

	give_it_back(p);
	MUST(tmk_free(p) == -EALREADY && says("a block of 700 bytes"));
	/* More than are remembered after they were freed. */
	for (i = 0; i < 5000; i++)
		others[i] = have_one(100);
	for (i = 0; i < 5000; i++)
		give_it_back(others[i]);
	MUST(tmk_free(p) == -EALREADY && says("it was freed twice, or never"));
	give_it_back(stay);
}

TEST(not_remembered_for_ever)
{
	see(&seen, "leaks,poison", freed_long_ago);
	EXPECT_EQ(0, seen.status);
	EXPECT_EQ(2, times(&seen, "tmk: check: "));
}

TEST_HARNESS_MAIN
