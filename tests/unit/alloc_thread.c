// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The allocator among threads and processes: blocks that change hands, threads
 * that exit, storms at the limit, children.
 */
#include "util.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 8

static uint64_t general(void)
{
	return stats_now().by_use[TMK_USE_GENERAL].current;
}

/* Blocks that one thread allocates and another one frees. */
struct pipe {
	_Atomic(void *) slots[64];
	atomic_bool done;
	atomic_uint failed;
};

static void *consumer(void *arg)
{
	struct pipe *pipe = arg;
	unsigned int i;
	bool last;
	void *p;

	do {
		last = atomic_load(&pipe->done);
		for (i = 0; i < 64; i++) {
			p = atomic_exchange(&pipe->slots[i], NULL);
			if (p && (*(unsigned char *)p != i || tmk_free(p)))
				atomic_fetch_add(&pipe->failed, 1);
		}
	} while (!last);
	return NULL;
}

TEST(blocks_change_hands)
{
	static struct pipe pipe;
	unsigned int i, seed = 3, rounds = SANITIZED ? 20000 : 200000;
	pthread_t thread;
	void *p;

	ASSERT_EQ(0, pthread_create(&thread, NULL, consumer, &pipe));
	for (i = 0; i < rounds; i++) {
		size_t bytes = (size_t)1 << (rand_r(&seed) % 19);

		if (atomic_load(&pipe.slots[i % 64]))
			continue;
		ASSERT_EQ(0, tmk_alloc(&p, bytes, NULL));
		*(unsigned char *)p = (unsigned char)(i % 64);
		atomic_store(&pipe.slots[i % 64], p);
	}
	atomic_store(&pipe.done, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, atomic_load(&pipe.failed));
	EXPECT_EQ(0, general());
	EXPECT_LE(stats_now().total.peak, 64 * MIB);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* Who frees keeps some of it, and is not stopped for that each time. */
TEST(blocks_change_hands_without_system_calls)
{
	static struct pipe pipe;
	uint64_t calls = 0;
	pthread_t thread;
	int round, i;
	void *p;

	ASSERT_EQ(0, pthread_create(&thread, NULL, consumer, &pipe));
	for (round = 0; round < 1100; round++) {
		if (round == 100)
			calls = stats_now().backend_calls;
		for (i = 0; i < 64; i++) {
			ASSERT_EQ(0, tmk_alloc(&p, 64 << 10, NULL));
			*(unsigned char *)p = (unsigned char)i;
			atomic_store(&pipe.slots[i], p);
		}
		for (i = 0; i < 64; i++)
			while (atomic_load(&pipe.slots[i]))
				sched_yield();
	}
	calls = stats_now().backend_calls - calls;
	TH_LOG("%llu calls", (unsigned long long)calls);
	/* A few each time one of them moves to another shard; not one a round. */
	EXPECT_LE(calls, 500);
	atomic_store(&pipe.done, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, atomic_load(&pipe.failed));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* How many objects begin in the page of @arg. */
static void *objects_beside(void *arg)
{
	uintptr_t beside = 0, page = (uintptr_t)arg / 4096;
	void *blocks[20];
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(blocks); i++) {
		if (tmk_alloc(&blocks[i], 64, NULL))
			return (void *)1000;
		beside += (uintptr_t)blocks[i] / 4096 == page;
	}
	for (i = 0; i < TMK__ARRAY_SIZE(blocks); i++)
		tmk_free(blocks[i]);
	return (void *)beside;
}

/* What is known of them is in one line of the processors' caches. */
TEST(objects_of_two_threads_lie_apart)
{
	pthread_t thread;
	void *p, *beside;

	ASSERT_EQ(0, tmk_alloc(&p, 64, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, objects_beside, p));
	pthread_join(thread, &beside);
	EXPECT_EQ(0, (uintptr_t)beside);
	EXPECT_NE(0, (uintptr_t)objects_beside(p));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

static void *fill_and_exit(void *arg)
{
	void *blocks[20];
	size_t i;

	(void)arg;
	for (i = 0; i < TMK__ARRAY_SIZE(blocks); i++)
		if (tmk_alloc(&blocks[i], (i + 1) * 50000, NULL))
			return (void *)1;
	for (i = 0; i < TMK__ARRAY_SIZE(blocks); i++)
		if (tmk_free(blocks[i]))
			return (void *)1;
	return NULL;
}

TEST(an_exiting_thread_leaves_nothing_behind)
{
	uint64_t first = 0;
	pthread_t thread;
	void *result;
	int i;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0,
			  pthread_create(&thread, NULL, fill_and_exit, NULL));
		pthread_join(thread, &result);
		ASSERT_EQ(NULL, result);
		EXPECT_EQ(0, general());
		if (!i)
			first = held();
	}
	/* What the first one left, the others used. */
	EXPECT_EQ(first, held());
	EXPECT_EQ(first, tmk_trim(0));
	EXPECT_TRUE(all_zero());
}

static pthread_key_t late_key;

static void late(void *arg)
{
	void *p;

	/* After the allocator's own destructor, maybe: it goes without a cache. */
	if (tmk_free(arg) || tmk_alloc(&p, 70000, NULL) || tmk_free(p))
		abort();
}

static void *late_start(void *arg)
{
	void *p;

	(void)arg;
	if (tmk_alloc(&p, 1000, NULL) || pthread_setspecific(late_key, p))
		abort();
	return NULL;
}

TEST(other_destructors_may_free)
{
	pthread_t thread;
	void *p;

	/* The allocator's key is the older one, and is destroyed first. */
	ASSERT_EQ(0, tmk_alloc(&p, 1000, NULL));
	ASSERT_EQ(0, pthread_key_create(&late_key, late));
	ASSERT_EQ(0, pthread_create(&thread, NULL, late_start, NULL));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, general());
}

static atomic_bool storm_over;
static atomic_ulong storm_made, storm_refused, storm_wrong;
static atomic_uint storm_seeds;

static void *storm(void *arg)
{
	unsigned int seed = atomic_fetch_add(&storm_seeds, 1) + 77, i;
	void *blocks[16] = { NULL };
	size_t bytes;

	(void)arg;
	while (!atomic_load(&storm_over)) {
		i = (unsigned int)rand_r(&seed) % 16;
		if (blocks[i]) {
			if (*(unsigned int *)blocks[i] != i ||
			    tmk_free(blocks[i]))
				atomic_fetch_add(&storm_wrong, 1);
			blocks[i] = NULL;
			continue;
		}
		bytes = (size_t)rand_r(&seed) % (4 * MIB) + 4;
		if (tmk_alloc(&blocks[i], bytes, NULL)) {
			blocks[i] = NULL;
			atomic_fetch_add(&storm_refused, 1);
		} else {
			*(unsigned int *)blocks[i] = i;
			atomic_fetch_add(&storm_made, 1);
		}
		if (rand_r(&seed) % 1000 == 0)
			tmk_trim(0);
	}
	for (i = 0; i < 16; i++)
		if (tmk_free(blocks[i]))
			atomic_fetch_add(&storm_wrong, 1);
	return NULL;
}

TEST_TIMEOUT(storm_at_the_limit, 60)
{
	int seconds = getenv("TMK_TEST_LONG") ? 10 : 3, i;
	uint64_t max = 48 * MIB, seen = 0;
	pthread_t threads[THREADS];
	struct tmk_stats stats;
	time_t end;

	ASSERT_EQ(0, limit(max));
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm, NULL));
	for (end = time(NULL) + seconds; time(NULL) < end; usleep(500)) {
		stats = stats_now();
		seen = TMK__MAX(seen, stats.total.current);
		ASSERT_LE(stats.total.current, max);
		ASSERT_LE(stats.by_use[TMK_USE_GENERAL].current, max);
		ASSERT_LE(stats.by_use[TMK_USE_CACHE].current, max);
	}
	atomic_store(&storm_over, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu blocks, %lu refused, most seen %lu MiB",
	       atomic_load(&storm_made), atomic_load(&storm_refused),
	       (unsigned long)(seen / MIB));
	EXPECT_EQ(0, atomic_load(&storm_wrong));
	EXPECT_GT(atomic_load(&storm_refused), 0);
	EXPECT_GT(atomic_load(&storm_made), 0);
	EXPECT_LE(stats_now().total.peak, max);
	EXPECT_EQ(0, general());
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

struct family {
	char *kept;
	char *freed;
	char *cached;
};

static int child(void *arg)
{
	struct family *f = arg;
	char *p;
	int i;

	if (memcmp(f->kept, "kept", 5) || memcmp(f->freed, "freed", 6))
		return 1;
	/* What the parent may hand out is not handed out here. */
	for (i = 0; i < 50; i++) {
		if (tmk_alloc((void **)&p, 300000, NULL))
			return 2;
		memset(p, 0xcc, 300000);
		if (i % 2 && tmk_free(p))
			return 3;
	}
	if (tmk_free(f->freed))
		return 4;
	if (tmk_free(f->freed) != -EALREADY)
		return 5;
	memcpy(f->kept, "seen", 5);
	if (tmk_realloc((void **)&p, f->kept, 900000, NULL) ||
	    memcmp(p, "seen", 5))
		return 6;
	return 0;
}

static int child_of_child(void *arg)
{
	struct family *f = arg;
	int status = in_child(child, arg);

	strcpy(f->kept, "kept");
	return status ? status : child(arg) ? 50 : 0;
}

static int child_gives_back(void *arg)
{
	struct family *f = arg;

	if (tmk_free(f->kept) || tmk_free(f->freed))
		return 1;
	if (!all_zero())
		return 2;
	return tmk_close() ? 3 : 0;
}

static int family_make(struct family *f)
{
	int err;

	err = tmk_alloc((void **)&f->kept, 300000, NULL);
	if (!err)
		err = tmk_alloc((void **)&f->freed, 2000, NULL);
	if (!err)
		err = tmk_alloc((void **)&f->cached, 300000, NULL);
	if (err)
		return err;
	strcpy(f->kept, "kept");
	strcpy(f->freed, "freed");
	memset(f->cached, 0x77, 300000);
	return tmk_free(f->cached);
}

static void family_check(int (*run)(void *arg), const char *word)
{
	uint64_t before;
	struct family f;
	char *p;
	int i;

	ASSERT_EQ(0, family_make(&f));
	before = general();
	ASSERT_EQ(0, in_child(run, &f));
	EXPECT_EQ(before, general());
	EXPECT_STREQ(word, f.kept);
	EXPECT_STREQ("freed", f.freed);
	/* The child did not write into what was in the parent's cache. */
	ASSERT_EQ(0, tmk_alloc((void **)&p, 300000, NULL));
	EXPECT_EQ(p, f.cached);
	for (i = 0; i < 300000; i++)
		ASSERT_EQ(0x77, p[i]);
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_free(f.kept));
	EXPECT_EQ(0, tmk_free(f.freed));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(a_child_uses_frees_and_exits)
{
	family_check(child, "seen");
}

TEST(a_childs_child)
{
	family_check(child_of_child, "seen");
}

TEST(a_child_gives_everything_back)
{
	family_check(child_gives_back, "kept");
}

static int quick_child(void *arg)
{
	void *p;

	(void)arg;
	return tmk_alloc(&p, 100000, NULL) || tmk_free(p) ? 1 : 0;
}

TEST_TIMEOUT(children_of_a_busy_process, 60)
{
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm, NULL));
	for (i = 0; i < 20; i++)
		EXPECT_EQ(0, in_child(quick_child, NULL));
	atomic_store(&storm_over, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&storm_wrong));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
