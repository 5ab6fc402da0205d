// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Threads that allocate at the same time: each from a part of the heap of its own,
 * and yet none of the memory is out of another one's reach.
 */
#define _GNU_SOURCE /* CPU_ISSET() */
#include "util.h"

#include <pthread.h>
#include <sched.h>

#include "alloc/tcache.h"

#define LARGE (512 << 10)
#define SMALL ((size_t)64 << 10)
#define MANY 48
#define MEETINGS 500 /* some do without a wait: the second one comes too late */
#define FAR ((ptrdiff_t)1 << 29) /* closer than that is the same shard */

static unsigned int processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ?
		       1 :
		       (unsigned int)CPU_COUNT(&set);
}

/* Sizes of which a thread has kept nothing useful, so they come from the heap. */
static int churn(int rounds)
{
	void *blocks[8];
	int round, i, err = 0;

	for (round = 0; !err && round < rounds; round++) {
		for (i = 0; !err && i < 8; i++)
			err = tmk_alloc(&blocks[i],
					LARGE / 8 * (8 + (round * 5 + i) % 23),
					NULL);
		while (i--)
			tmk_free(blocks[i]);
	}
	return err;
}

/* Two threads, of which the second is made to allocate apart from the first. */
struct pair {
	atomic_int turn; /* times that the first has stood at the lock */
	atomic_int done; /* times that the second has allocated meanwhile */
	atomic_int failed;
	_Atomic(char *) at; /* the second's latest block */
	atomic_bool apart;
	void *met[MEETINGS]; /* of the first */
	void (*then)(struct pair *pair); /* of the second */
	/* For hold_every_other() */
	atomic_bool ready;
	atomic_bool over;
	void *blocks[MANY];
	/* For swap_with_first() */
	struct swap *swap;
};

static bool far(const char *a, const char *b)
{
	return (a > b ? a - b : b - a) > FAR;
}

/* Have the first one in the way each time that it allocates. */
static void second_meets(struct pair *pair)
{
	void *blocks[MEETINGS];
	int nr = 0;

	while (!atomic_load(&pair->apart)) {
		if (atomic_load(&pair->turn) == nr) {
			sched_yield();
			continue;
		}
		if (tmk_alloc(&blocks[nr], SMALL, NULL)) {
			atomic_fetch_add(&pair->failed, 1);
			break;
		}
		atomic_store(&pair->at, blocks[nr++]);
		atomic_store(&pair->done, nr);
	}
	while (nr--)
		tmk_free(blocks[nr]);
}

static void *second(void *arg)
{
	struct pair *pair = arg;

	second_meets(pair);
	pair->then(pair);
	return NULL;
}

/* Has every other one of its blocks left, while it waits. */
static void hold_every_other(struct pair *pair)
{
	int i;

	for (i = 0; i < MANY; i++)
		if (tmk_alloc(&pair->blocks[i], LARGE, NULL))
			atomic_fetch_add(&pair->failed, 1);
	for (i = 0; i < MANY; i += 2)
		if (tmk_free(pair->blocks[i]))
			atomic_fetch_add(&pair->failed, 1);
	atomic_store(&pair->ready, true);
	while (!atomic_load(&pair->over))
		sched_yield();
	for (i = 1; i < MANY; i += 2)
		if (tmk_free(pair->blocks[i]))
			atomic_fetch_add(&pair->failed, 1);
}

/*
 * Allocate, and hold the lock of where that is until the second one, which wants
 * to, has had the time to come upon it. That it does so by itself cannot be waited
 * for: on a busy machine, two threads may take turns for long.
 */
static int first_meets(struct pair *pair, int nr)
{
	const struct timespec moment = { 0, 2000000 };
	int err = tmk_alloc(&pair->met[nr], SMALL, NULL);

	if (err)
		return err;
	tmk__shard_lock(0);
	atomic_store(&pair->turn, nr + 1);
	nanosleep(&moment, NULL);
	tmk__shard_unlock(0);
	while (atomic_load(&pair->done) <= nr && !atomic_load(&pair->failed))
		sched_yield();
	return atomic_load(&pair->failed);
}

/* Has two threads allocate apart. Return: false if they do not. */
static bool apart(struct pair *pair, pthread_t *thread)
{
	bool is = false;
	int nr = 0;

	if (pthread_create(thread, NULL, second, pair))
		return false;
	while (!is && nr < MEETINGS && !first_meets(pair, nr)) {
		is = far(atomic_load(&pair->at), pair->met[nr]);
		nr++;
	}
	atomic_store(&pair->apart, true);
	while (nr--)
		tmk_free(pair->met[nr]);
	return is && !atomic_load(&pair->failed);
}

static void join(struct pair *pair, pthread_t thread)
{
	atomic_store(&pair->over, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, atomic_load(&pair->failed));
}

TEST_TIMEOUT(threads_that_meet_at_a_lock_allocate_apart, 60)
{
	static struct pair pair = { .then = hold_every_other };
	pthread_t thread;

	if (processors() < 2)
		SKIP(return, "one processor");
	ASSERT_TRUE(apart(&pair, &thread));
	join(&pair, thread);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

static void *alone(void *arg)
{
	void *p;

	if (churn(2000) || tmk_alloc(&p, LARGE, NULL))
		return NULL;
	*(void **)arg = p;
	return p;
}

/* Or what the first has left would lie idle. */
TEST(threads_that_take_turns_share_their_memory)
{
	pthread_t thread;
	uint64_t bytes;
	void *a, *b;
	int i;

	ASSERT_NE(NULL, alone(&a));
	bytes = held();
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, alone, &b));
		pthread_join(thread, NULL);
		ASSERT_NE(NULL, b);
		EXPECT_FALSE(far(a, b));
		EXPECT_EQ(0, tmk_free(b));
	}
	EXPECT_EQ(bytes, held());
	EXPECT_EQ(0, tmk_free(a));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* It is in pieces between blocks, so no region of it can be given back. */
TEST_TIMEOUT(what_is_free_in_another_shard_is_had_before_a_refusal, 60)
{
	struct tmk_limits limits = { TMK_UNLIMITED, TMK_UNLIMITED };
	static struct pair pair = { .then = hold_every_other };
	void *blocks[2 * MANY];
	pthread_t thread;
	uint64_t before;
	int nr;

	if (processors() < 2)
		SKIP(return, "one processor");
	ASSERT_TRUE(apart(&pair, &thread));
	while (!atomic_load(&pair.ready))
		sched_yield();
	tmk_trim(0);
	before = held();
	limits.max_bytes = before;
	ASSERT_EQ(0, tmk_limits_set(&limits));
	for (nr = 0; nr < 2 * MANY; nr++)
		if (tmk_alloc(&blocks[nr], LARGE, NULL))
			break;
	/* A few may be wholly free with their region. */
	EXPECT_GE(nr, MANY / 4);
	EXPECT_LE(nr, MANY);
	EXPECT_LE(held(), before);
	while (nr--)
		EXPECT_EQ(0, tmk_free(blocks[nr]));
	limits.max_bytes = TMK_UNLIMITED;
	EXPECT_EQ(0, tmk_limits_set(&limits));
	join(&pair, thread);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* Blocks of one thread that another one frees, and then stays. */
#define GIVEN 64

struct gift {
	void *blocks[GIVEN];
	atomic_int step;
	atomic_int failed;
};

static void *taker(void *arg)
{
	struct gift *gift = arg;
	int i;

	for (i = 0; i < GIVEN; i++)
		if (tmk_free(gift->blocks[i]))
			atomic_fetch_add(&gift->failed, 1);
	atomic_store(&gift->step, 1);
	while (atomic_load(&gift->step) < 2)
		sched_yield();
	return NULL;
}

static bool was_given(const struct gift *gift, const void *p)
{
	int i;

	for (i = 0; i < GIVEN; i++)
		if (gift->blocks[i] == p)
			return true;
	return false;
}

static uint32_t stashed(void)
{
	return tmk__heap->arenas[0].stashed;
}

static void give(struct gift *gift, pthread_t *thread)
{
	int i;

	for (i = 0; i < GIVEN; i++)
		ASSERT_EQ(0, tmk_alloc(&gift->blocks[i], SMALL, NULL));
	ASSERT_EQ(0, pthread_create(thread, NULL, taker, gift));
	while (!atomic_load(&gift->step))
		sched_yield();
	EXPECT_EQ(0, atomic_load(&gift->failed));
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_GENERAL].current);
	EXPECT_GE(stashed(), 16);
}

TEST(what_one_thread_frees_another_fetches)
{
	static struct gift gift;
	pthread_t thread;
	void *again[16];
	uint64_t before;
	uint32_t had;
	int i;

	give(&gift, &thread);
	before = held();
	had = stashed();
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, tmk_alloc(&again[i], SMALL, NULL));
		EXPECT_TRUE(was_given(&gift, again[i]));
		memset(again[i], i, SMALL);
		/* With the first of them, as many as the thread may keep. */
		if (!i) {
			EXPECT_LE(stashed(), had - 16);
			had = stashed();
		}
	}
	EXPECT_EQ(had, stashed());
	EXPECT_EQ(before, held());
	EXPECT_EQ(16 * SMALL, stats_now().by_use[TMK_USE_GENERAL].current);
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(i, *(unsigned char *)again[i]);
		EXPECT_EQ(0, tmk_free(again[i]));
	}
	EXPECT_EQ(-EALREADY, tmk_free(again[0]));
	atomic_store(&gift.step, 2);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* Nor is it lost to anybody who needs other blocks, or to the kernel. */
TEST(what_nobody_fetches_is_there_for_others)
{
	static struct gift gift;
	pthread_t thread;
	uint64_t before;
	void *p;

	give(&gift, &thread);
	before = held();
	ASSERT_EQ(0, tmk_alloc(&p, before - MIB, NULL));
	EXPECT_EQ(before, held());
	EXPECT_EQ(0, stashed());
	EXPECT_EQ(0, tmk_free(p));
	atomic_store(&gift.step, 2);
	pthread_join(thread, NULL);
	memset(&gift, 0, sizeof(gift));
	give(&gift, &thread);
	EXPECT_LT(0, tmk_trim(0));
	EXPECT_EQ(0, stashed());
	EXPECT_TRUE(all_zero());
	atomic_store(&gift.step, 2);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, tmk_close());
}

/* A queue from each of two threads to the other. */
#define QUEUE 16
#define SWAPS (SANITIZED ? 20000 : 300000)

struct swap {
	_Atomic(void *) queue[2][QUEUE];
	atomic_int failed;
	atomic_bool over; /* for drain() */
};

/* Free what the other one sends, so that two wait for each other's locks. */
static void swap(struct swap *s, int me, int rounds)
{
	void *p;
	int i;

	for (i = 0; i < rounds; i++) {
		_Atomic(void *) *to = &s->queue[me][i % QUEUE];
		size_t bytes = (size_t)64 << (i % 15);

		if (tmk_alloc(&p, bytes, NULL)) {
			atomic_fetch_add(&s->failed, 1);
			break;
		}
		*(size_t *)p = bytes;
		p = atomic_exchange(to, p);
		if (p && tmk_free(p))
			atomic_fetch_add(&s->failed, 1);
		p = atomic_exchange(&s->queue[!me][(i * 7) % QUEUE], NULL);
		if (p && (*(size_t *)p & (*(size_t *)p - 1) || tmk_free(p)))
			atomic_fetch_add(&s->failed, 1);
	}
}

static void swap_with_first(struct pair *pair)
{
	swap(pair->swap, 1, SWAPS);
}

TEST_TIMEOUT(blocks_go_back_to_where_they_came_from, 120)
{
	static struct swap s;
	static struct pair pair = { .then = swap_with_first, .swap = &s };
	pthread_t thread;
	int i;

	if (processors() < 2)
		SKIP(return, "one processor");
	ASSERT_TRUE(apart(&pair, &thread));
	swap(&s, 0, SWAPS);
	pthread_join(thread, NULL);
	for (i = 0; i < QUEUE; i++) {
		EXPECT_EQ(0, tmk_free(atomic_load(&s.queue[0][i])));
		EXPECT_EQ(0, tmk_free(atomic_load(&s.queue[1][i])));
	}
	EXPECT_EQ(0, atomic_load(&pair.failed) + atomic_load(&s.failed));
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_GENERAL].current);
	EXPECT_LE(stats_now().total.peak, 128 * MIB);
	tmk_trim(0);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, tmk_close());
}

/* On the first or second processor: on one they would take turns. */
static void stay(int nr)
{
	cpu_set_t all, one;
	int cpu, at = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	CPU_ZERO(&one);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && at++ == nr)
			CPU_SET(cpu, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

/* Blocks that only the first allocates and only the second frees. */
static void *drain(void *arg)
{
	struct swap *s = arg;
	unsigned int i;
	void *p;

	stay(1);
	for (i = 0; !atomic_load(&s->over); i++) {
		p = atomic_exchange(&s->queue[0][i % QUEUE], NULL);
		if (p && tmk_free(p))
			atomic_fetch_add(&s->failed, 1);
	}
	return NULL;
}

/* It would be in the way wherever the first one allocates. */
TEST_TIMEOUT(who_only_frees_drives_nobody_away, 60)
{
	int i, rounds = SANITIZED ? 20000 : 300000;
	static struct swap s;
	pthread_t thread;
	void *p;

	if (processors() < 2)
		SKIP(return, "one processor");
	ASSERT_EQ(0, pthread_create(&thread, NULL, drain, &s));
	stay(0);
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, tmk_alloc(&p, LARGE / 8 * (8 + i * 5 % 23), NULL));
		p = atomic_exchange(&s.queue[0][i % QUEUE], p);
		if (p)
			EXPECT_EQ(0, tmk_free(p));
		EXPECT_EQ(0, tmk__tcache->shard);
	}
	atomic_store(&s.over, true);
	pthread_join(thread, NULL);
	for (i = 0; i < QUEUE; i++)
		EXPECT_EQ(0, tmk_free(atomic_load(&s.queue[0][i])));
	EXPECT_EQ(0, atomic_load(&s.failed));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
