// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * The counters of kmod/acct.c, in user space and under sanitizers:
 *
 *	root
 *	├── left
 *	│   ├── a
 *	│   └── b
 *	└── right
 *
 * What the module promises stands on these: a limit is exact, a refusal names
 * the first limit from below and leaves no trace, the sum never drifts.
 */
#include "tap.h"

#include <pthread.h>

#include "acct.c"

FIXTURE(acct)
{
	struct ktmk_counter root, left, right, a, b;
};

FIXTURE_SETUP(acct)
{
	ktmk_counter_init(&self->root, NULL);
	ktmk_counter_init(&self->left, &self->root);
	ktmk_counter_init(&self->right, &self->root);
	ktmk_counter_init(&self->a, &self->left);
	ktmk_counter_init(&self->b, &self->left);
}

/* What was warned about and should not have been. */
FIXTURE_TEARDOWN(acct)
{
	EXPECT_EQ(0, shim_warnings);
}

static bool charge(struct ktmk_counter *counter, u64 bytes)
{
	struct ktmk_counter *fail;

	return ktmk_counter_try_charge(counter, bytes, &fail);
}

/* Who refuses, NULL if nobody does. */
static struct ktmk_counter *refuser(struct ktmk_counter *counter, u64 bytes)
{
	struct ktmk_counter *fail = NULL;

	if (ktmk_counter_try_charge(counter, bytes, &fail))
		return NULL;
	return fail;
}

/* Usage and peak of all, to see that nothing changed. */
struct state {
	u64 usage[5], peak[5];
};

static struct state state_of(const FIXTURE_DATA(acct) * self)
{
	const struct ktmk_counter *all[] = { &self->root, &self->left,
					     &self->right, &self->a, &self->b };
	struct state s;
	int i;

	for (i = 0; i < 5; i++) {
		s.usage[i] = ktmk_counter_read(all[i]);
		s.peak[i] = ktmk_counter_peak(all[i]);
	}
	return s;
}

TEST_F(acct, new_counters_are_empty_and_unlimited)
{
	EXPECT_EQ(0, ktmk_counter_read(&self->a));
	EXPECT_EQ(0, ktmk_counter_peak(&self->a));
	EXPECT_EQ(KTMK_UNLIMITED, ktmk_counter_max(&self->a));
	EXPECT_NULL(ktmk_counter_tightest(&self->a));
}

TEST_F(acct, a_charge_counts_in_every_ancestor)
{
	ASSERT_TRUE(charge(&self->a, 100));
	ASSERT_TRUE(charge(&self->b, 10));
	ASSERT_TRUE(charge(&self->right, 1));
	EXPECT_EQ(100, ktmk_counter_read(&self->a));
	EXPECT_EQ(10, ktmk_counter_read(&self->b));
	EXPECT_EQ(110, ktmk_counter_read(&self->left));
	EXPECT_EQ(1, ktmk_counter_read(&self->right));
	EXPECT_EQ(111, ktmk_counter_read(&self->root));
	ktmk_counter_uncharge(&self->a, 60);
	EXPECT_EQ(40, ktmk_counter_read(&self->a));
	EXPECT_EQ(50, ktmk_counter_read(&self->left));
	EXPECT_EQ(51, ktmk_counter_read(&self->root));
	EXPECT_EQ(1, ktmk_counter_read(&self->right));
}

TEST_F(acct, a_limit_is_exact)
{
	ktmk_counter_set_max(&self->a, 100);
	EXPECT_TRUE(charge(&self->a, 99));
	EXPECT_FALSE(charge(&self->a, 2));
	EXPECT_TRUE(charge(&self->a, 1));
	EXPECT_FALSE(charge(&self->a, 1));
	EXPECT_EQ(100, ktmk_counter_read(&self->a));
	ktmk_counter_uncharge(&self->a, 1);
	EXPECT_TRUE(charge(&self->a, 1));
}

TEST_F(acct, limit_zero_refuses_all)
{
	ktmk_counter_set_max(&self->a, 0);
	EXPECT_FALSE(charge(&self->a, 1));
	EXPECT_TRUE(charge(&self->b, 1));
}

/* A file region has no bytes in RAM: no limit on RAM may refuse it. */
TEST_F(acct, nothing_is_never_refused)
{
	ASSERT_TRUE(charge(&self->a, 10));
	ktmk_counter_set_max(&self->a, 10);
	EXPECT_TRUE(charge(&self->a, 0));
	ktmk_counter_set_max(&self->a, 5);
	EXPECT_TRUE(charge(&self->a, 0));
	ktmk_counter_set_max(&self->root, 0);
	EXPECT_TRUE(charge(&self->a, 0));
	EXPECT_EQ(10, ktmk_counter_read(&self->root));
}

TEST_F(acct, the_first_limit_from_below_is_named)
{
	ktmk_counter_set_max(&self->a, 100);
	ktmk_counter_set_max(&self->left, 50);
	ktmk_counter_set_max(&self->root, 20);
	EXPECT_EQ(&self->a, refuser(&self->a, 101));
	EXPECT_EQ(&self->left, refuser(&self->a, 51));
	EXPECT_EQ(&self->root, refuser(&self->a, 21));
	EXPECT_NULL(refuser(&self->a, 20));
	EXPECT_EQ(&self->root, refuser(&self->right, 1));
	EXPECT_EQ(&self->a, refuser(&self->a, 81));
}

TEST_F(acct, a_refusal_leaves_no_trace)
{
	struct ktmk_counter *levels[] = { &self->root, &self->left, &self->a };
	struct state before, after;
	int i;

	ASSERT_TRUE(charge(&self->a, 40));
	ktmk_counter_uncharge(&self->a, 10);
	for (i = 0; i < 3; i++) {
		ktmk_counter_set_max(levels[i], 35);
		before = state_of(self);
		EXPECT_EQ(levels[i], refuser(&self->a, 6));
		after = state_of(self);
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
		ktmk_counter_set_max(levels[i], KTMK_UNLIMITED);
	}
}

TEST_F(acct, siblings_share_the_room_above)
{
	ktmk_counter_set_max(&self->left, 100);
	ASSERT_TRUE(charge(&self->a, 70));
	EXPECT_EQ(&self->left, refuser(&self->b, 31));
	EXPECT_TRUE(charge(&self->b, 30));
	EXPECT_TRUE(charge(&self->right, 1000));
	ktmk_counter_uncharge(&self->a, 70);
	EXPECT_TRUE(charge(&self->b, 70));
}

TEST_F(acct, peak_is_the_highest_and_stays)
{
	ASSERT_TRUE(charge(&self->a, 30));
	ktmk_counter_uncharge(&self->a, 30);
	ASSERT_TRUE(charge(&self->b, 20));
	EXPECT_EQ(30, ktmk_counter_peak(&self->a));
	EXPECT_EQ(20, ktmk_counter_peak(&self->b));
	EXPECT_EQ(30, ktmk_counter_peak(&self->left));
	ASSERT_TRUE(charge(&self->a, 11));
	EXPECT_EQ(31, ktmk_counter_peak(&self->left));
	EXPECT_EQ(31, ktmk_counter_peak(&self->root));
	EXPECT_EQ(0, ktmk_counter_peak(&self->right));
}

TEST_F(acct, lowering_below_use_takes_nothing_away)
{
	ASSERT_TRUE(charge(&self->a, 100));
	ktmk_counter_set_max(&self->left, 10);
	EXPECT_EQ(100, ktmk_counter_read(&self->left));
	EXPECT_EQ(&self->left, refuser(&self->a, 1));
	EXPECT_EQ(&self->left, refuser(&self->b, 1));
	ktmk_counter_uncharge(&self->a, 90);
	EXPECT_EQ(&self->left, refuser(&self->b, 1));
	ktmk_counter_uncharge(&self->a, 4);
	EXPECT_TRUE(charge(&self->b, 4));
	EXPECT_FALSE(charge(&self->b, 1));
	ktmk_counter_set_max(&self->left, KTMK_UNLIMITED);
	EXPECT_TRUE(charge(&self->b, 1));
}

TEST_F(acct, no_sum_overflows)
{
	static const u64 sizes[] = { U64_MAX, U64_MAX - 1, (u64)S64_MAX + 1,
				     S64_MAX, (u64)S64_MAX / 2 + 1 };
	const u64 most = (u64)S64_MAX / 2;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		EXPECT_EQ(&self->a, refuser(&self->a, sizes[i]));
		EXPECT_EQ(0, ktmk_counter_read(&self->a));
	}
	/* Each fits, both together do not: the one they meet in refuses. */
	ASSERT_TRUE(charge(&self->a, most));
	EXPECT_EQ(&self->left, refuser(&self->b, 1));
	EXPECT_EQ(&self->root, refuser(&self->right, most));
	EXPECT_EQ(most, ktmk_counter_read(&self->root));
	EXPECT_EQ(0, ktmk_counter_read(&self->b));
	EXPECT_EQ(0, ktmk_counter_read(&self->right));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		EXPECT_EQ(&self->a, refuser(&self->a, sizes[i]));
	ktmk_counter_uncharge(&self->a, most);
	EXPECT_EQ(0, ktmk_counter_read(&self->root));
	/* A limit near the top is a limit. */
	ktmk_counter_set_max(&self->a, most - 1);
	EXPECT_FALSE(charge(&self->a, most));
	EXPECT_TRUE(charge(&self->a, most - 1));
	ktmk_counter_uncharge(&self->a, most - 1);
}

TEST_F(acct, underflow_warns_and_clamps)
{
	ASSERT_TRUE(charge(&self->a, 10));
	ASSERT_TRUE(charge(&self->b, 5));
	ktmk_counter_uncharge(&self->a, 12);
	EXPECT_EQ(1, shim_warnings);
	EXPECT_TRUE(strstr(shim_warning, "underflow: -2"));
	EXPECT_EQ(0, ktmk_counter_read(&self->a));
	EXPECT_EQ(3, ktmk_counter_read(&self->left));
	shim_warnings = 0;
	EXPECT_TRUE(charge(&self->a, 7));
	EXPECT_EQ(7, ktmk_counter_read(&self->a));
}

TEST_F(acct, tightest_is_the_least_room_and_the_lowest_of_equals)
{
	ASSERT_TRUE(charge(&self->a, 10));
	ktmk_counter_set_max(&self->root, 100);
	EXPECT_EQ(&self->root, ktmk_counter_tightest(&self->a));
	ktmk_counter_set_max(&self->left, 60);
	EXPECT_EQ(&self->left, ktmk_counter_tightest(&self->a));
	EXPECT_EQ(&self->root, ktmk_counter_tightest(&self->right));
	ktmk_counter_set_max(&self->a, 60);
	EXPECT_EQ(&self->a, ktmk_counter_tightest(&self->a));
	EXPECT_EQ(&self->left, ktmk_counter_tightest(&self->b));
	/* Below its use it has no room at all. */
	ktmk_counter_set_max(&self->root, 3);
	EXPECT_EQ(&self->root, ktmk_counter_tightest(&self->a));
	ktmk_counter_set_max(&self->root, 0);
	EXPECT_EQ(&self->root, ktmk_counter_tightest(&self->right));
}

/* The tightest is who refuses, whatever is charged and limited. */
TEST_F(acct, tightest_agrees_with_who_refuses)
{
	struct ktmk_counter *leaf[] = { &self->a, &self->b, &self->right };
	struct ktmk_counter *all[] = { &self->a, &self->b, &self->left,
				       &self->right, &self->root };
	u64 held[3] = { 0 };
	unsigned int seed = 1;
	int i, disagree = 0;

	for (i = 0; i < 20000; i++) {
		int l = rand_r(&seed) % 3;
		u64 bytes = rand_r(&seed) % 64 + 1;
		struct ktmk_counter *t, *r;
		u64 room;

		if (rand_r(&seed) % 4 == 0) {
			u64 max = rand_r(&seed) % 8 ? rand_r(&seed) % 300 :
						      KTMK_UNLIMITED;
			ktmk_counter_set_max(all[rand_r(&seed) % 5], max);
		}
		t = ktmk_counter_tightest(leaf[l]);
		room = KTMK_UNLIMITED;
		if (t)
			room = ktmk_counter_max(t) > ktmk_counter_read(t) ?
				       ktmk_counter_max(t) -
					       ktmk_counter_read(t) :
				       0;
		r = refuser(leaf[l], bytes);
		disagree += !!r != (bytes > room);
		if (!r)
			held[l] += bytes;
		if (rand_r(&seed) % 2 && held[l]) {
			ktmk_counter_uncharge(leaf[l], held[l]);
			held[l] = 0;
		}
	}
	EXPECT_EQ(0, disagree);
	EXPECT_EQ(held[0], ktmk_counter_read(&self->a));
	EXPECT_EQ(held[0] + held[1], ktmk_counter_read(&self->left));
	EXPECT_EQ(held[0] + held[1] + held[2], ktmk_counter_read(&self->root));
}

/*
 * Somebody else charges between the look at the counter and the exchange: the
 * limit must be looked at again, and an exchange that fails must not be lost.
 */
static struct ktmk_counter *rival;
static u64 rival_bytes;
static int rival_times;

static void rival_charges(atomic64_t *v)
{
	if (v == &rival->usage && rival_times-- > 0)
		v->counter += rival_bytes;
}

TEST_F(acct, a_rival_takes_the_last_room)
{
	ktmk_counter_set_max(&self->left, 100);
	rival = &self->left;
	rival_bytes = 41;
	rival_times = 1;
	shim_before_cmpxchg = rival_charges;
	EXPECT_EQ(&self->left, refuser(&self->a, 60));
	EXPECT_EQ(41, ktmk_counter_read(&self->left));
	EXPECT_EQ(0, ktmk_counter_read(&self->a));
	rival_bytes = 10;
	rival_times = 5;
	EXPECT_TRUE(charge(&self->a, 9));
	EXPECT_EQ(100, ktmk_counter_read(&self->left));
	EXPECT_EQ(9, ktmk_counter_read(&self->a));
	shim_before_cmpxchg = NULL;
}

static void rival_lowers(atomic64_t *v)
{
	if (v == &rival->usage && rival_times-- > 0) {
		v->counter++;
		ktmk_counter_set_max(rival, 1);
	}
}

TEST_F(acct, the_limit_is_lowered_while_a_charge_is_under_way)
{
	ktmk_counter_set_max(&self->root, 1000);
	rival = &self->root;
	rival_times = 1;
	shim_before_cmpxchg = rival_lowers;
	EXPECT_EQ(&self->root, refuser(&self->a, 500));
	EXPECT_EQ(0, ktmk_counter_read(&self->a));
	EXPECT_EQ(0, ktmk_counter_read(&self->left));
	shim_before_cmpxchg = NULL;
}

/* Between looking at the use and writing the peak: a charge the peak covers. */
static void rival_comes_in(atomic64_t *v)
{
	if (v == &rival->peak && rival_times-- > 0)
		rival->usage.counter += 50;
}

TEST_F(acct, a_peak_begins_again_with_what_is_in_use)
{
	ASSERT_TRUE(charge(&self->a, 100));
	ktmk_counter_uncharge(&self->a, 90);
	EXPECT_EQ(100, ktmk_counter_peak(&self->a));
	ktmk_counter_reset_peak(&self->a);
	EXPECT_EQ(10, ktmk_counter_peak(&self->a));
	EXPECT_EQ(100, ktmk_counter_peak(&self->left));
	ktmk_counter_reset_peak(&self->left);
	EXPECT_EQ(10, ktmk_counter_peak(&self->left));

	ASSERT_TRUE(charge(&self->a, 90));
	ktmk_counter_uncharge(&self->a, 100);
	rival = &self->a;
	rival_times = 1;
	shim_before_cmpxchg = rival_comes_in;
	ktmk_counter_reset_peak(&self->a);
	shim_before_cmpxchg = NULL;
	EXPECT_EQ(50, ktmk_counter_peak(&self->a));
	self->a.usage.counter = 0;
}

/* Threads. Each remembers what it holds, so that the end can be checked. */
#define THREADS 8
#define ROUNDS 20000

struct storm {
	struct ktmk_counter *leaf[2], *limited;
	u64 limit;
	bool stop;
};

struct worker {
	struct storm *storm;
	unsigned int seed;
	u64 held[2];
	u64 granted, refused;
};

static void *storm_work(void *arg)
{
	struct worker *w = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int l = rand_r(&w->seed) % 2;
		u64 bytes = rand_r(&w->seed) % 700 + 1;

		if (charge(w->storm->leaf[l], bytes)) {
			w->held[l] += bytes;
			w->granted++;
		} else {
			w->refused++;
		}
		if (rand_r(&w->seed) % 2) {
			ktmk_counter_uncharge(w->storm->leaf[l], w->held[l]);
			w->held[l] = 0;
		}
	}
	return NULL;
}

/* Return: how often a limit was seen exceeded. */
static void *storm_watch(void *arg)
{
	struct storm *s = arg;
	long over = 0;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		over += ktmk_counter_read(s->limited) > s->limit;
		over += ktmk_counter_peak(s->limited) > s->limit;
	}
	return (void *)over;
}

static void storm_run(struct storm *s, struct worker *workers)
{
	pthread_t threads[THREADS], watcher;
	void *over;
	int i;

	ASSERT_EQ(0, pthread_create(&watcher, NULL, storm_watch, s));
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .storm = s, .seed = i + 1 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm_work,
					    &workers[i]));
	}
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(watcher, &over));
	EXPECT_EQ(0, (long)over);
}

/* The storm on a fresh tree with the limit at @limited. */
static void storm_check(FIXTURE_DATA(acct) * self, struct ktmk_counter *limited)
{
	struct storm s = {
		.leaf = { &self->a, &self->b },
		.limited = limited,
		.limit = 2000,
	};
	u64 held[2] = { 0 }, granted = 0, refused = 0;
	struct worker w[THREADS];
	int i;

	ktmk_counter_set_max(limited, s.limit);
	storm_run(&s, w);
	for (i = 0; i < THREADS; i++) {
		held[0] += w[i].held[0];
		held[1] += w[i].held[1];
		granted += w[i].granted;
		refused += w[i].refused;
	}
	/* Both happened often, or this proves nothing. */
	EXPECT_LT(1000, granted);
	EXPECT_LT(1000, refused);
	EXPECT_EQ(held[0], ktmk_counter_read(&self->a));
	EXPECT_EQ(held[1], ktmk_counter_read(&self->b));
	EXPECT_EQ(held[0] + held[1], ktmk_counter_read(&self->left));
	EXPECT_EQ(held[0] + held[1], ktmk_counter_read(&self->root));
	for (i = 0; i < THREADS; i++) {
		ktmk_counter_uncharge(&self->a, w[i].held[0]);
		ktmk_counter_uncharge(&self->b, w[i].held[1]);
	}
	EXPECT_EQ(0, ktmk_counter_read(&self->root));
	EXPECT_EQ(0, ktmk_counter_read(&self->left));
	EXPECT_EQ(0, ktmk_counter_read(&self->a));
	EXPECT_EQ(0, ktmk_counter_read(&self->b));
}

TEST_F_TIMEOUT(acct, eight_threads_one_limit_at_the_root, 120)
{
	storm_check(self, &self->root);
}

TEST_F_TIMEOUT(acct, eight_threads_one_limit_in_the_middle, 120)
{
	storm_check(self, &self->left);
}

/* The limit moves meanwhile: nothing drifts, and the highest one holds. */
static void *storm_limits(void *arg)
{
	struct storm *s = arg;
	unsigned int seed = 99;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
		ktmk_counter_set_max(s->leaf[0],
				     rand_r(&seed) % (s->limit + 1));
	return NULL;
}

TEST_F_TIMEOUT(acct, limits_race_with_charges, 120)
{
	struct storm s = {
		.leaf = { &self->a, &self->b },
		.limited = &self->a,
		.limit = 2000,
	};
	struct worker w[THREADS];
	pthread_t setter;
	int i;

	ktmk_counter_set_max(&self->a, s.limit);
	ASSERT_EQ(0, pthread_create(&setter, NULL, storm_limits, &s));
	storm_run(&s, w);
	ASSERT_EQ(0, pthread_join(setter, NULL));
	for (i = 0; i < THREADS; i++) {
		ktmk_counter_uncharge(&self->a, w[i].held[0]);
		ktmk_counter_uncharge(&self->b, w[i].held[1]);
	}
	EXPECT_EQ(0, ktmk_counter_read(&self->a));
	EXPECT_EQ(0, ktmk_counter_read(&self->root));
}

TEST_HARNESS_MAIN
