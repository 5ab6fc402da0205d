// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Many threads in one shared workspace at once, under every configuration: no
 * memory is handed out twice, every count is exact, nothing is left behind. Under
 * ThreadSanitizer it also shows that there is no race.
 */
#include "util.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 6
#define ROUNDS 40
#define PIECES 8

static struct tmk_workspace *ws;
static pthread_barrier_t start;
static uint64_t max_total;

struct member {
	unsigned int number;
	uint64_t opened; /* so often */
	uint64_t refused;
	bool bad;
};

#define MUST(member, what)                                            \
	do {                                                          \
		if (!(what)) {                                        \
			TH_LOG("%u: %s: %s", (member)->number, #what, \
			       tmk_error_last());                     \
			(member)->bad = true;                         \
		}                                                     \
	} while (0)

static bool holds(const unsigned char *p, size_t n, unsigned char value)
{
	while (n--)
		if (*p++ != value)
			return false;
	return true;
}

static size_t piece_bytes(unsigned int number, int round, int i)
{
	return 1 + (number * 7919u + (unsigned int)round * 613u +
		    (unsigned int)i * 131u) %
			   3000;
}

/* Memory in a cycle that this thread is part of: its own until it closes. */
static void pieces(struct member *m, int round)
{
	unsigned char *p[PIECES];
	struct tmk_workspace_info info;
	uint64_t total;
	size_t n;
	int i, err;

	for (i = 0; i < PIECES; i++) {
		n = piece_bytes(m->number, round, i);
		p[i] = NULL;
		err = tmk_workspace_alloc((void **)&p[i], ws, n, i & 1);
		MUST(m, !err || err == -ENOMEM);
		m->refused += err == -ENOMEM;
		if (err)
			continue;
		if (i & 1)
			MUST(m, holds(p[i], n, 0));
		memset(p[i], (int)(m->number * PIECES) + i, n);
		MUST(m, !tmk_workspace_info(&info, ws));
		MUST(m, info.open && info.generation == info.cycles + 1);
		total = info.size + info.spilled_bytes + info.pinned_bytes;
		MUST(m, !max_total || total <= max_total);
	}
	sched_yield();
	for (i = 0; i < PIECES; i++)
		if (p[i])
			MUST(m, holds(p[i], piece_bytes(m->number, round, i),
				      (unsigned char)(m->number * PIECES + i)));
}

static void tensors(struct member *m)
{
	const int64_t shape[2] = { 3, 5 };
	struct tmk_tensor *t, *view, *out;
	const float *data;
	int err;

	err = tmk_tensor_create(&t, TMK_F32, 2, shape);
	MUST(m, !err || err == -ENOMEM);
	m->refused += err == -ENOMEM;
	if (err)
		return;
	MUST(m, !tmk_tensor_fill(t, m->number));
	MUST(m, !tmk_tensor_slice(&view, t, 0, 1, 2));
	MUST(m, !tmk_tensor_detach(&out, view));
	data = tmk_tensor_data(out);
	MUST(m, data && data[0] == (float)m->number);
	tmk_tensor_put(out);
	MUST(m, tmk_tensor_workspace(view) == ws);
	tmk_tensor_put(view);
	MUST(m, !tmk_tensor_check(t, "t"));
	MUST(m, tmk_tensor_check(view, "view") == -ESTALE);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		/* Nobody has it open here: the cycle ends in each round. */
		pthread_barrier_wait(&start);
		MUST(m, !tmk_workspace_push(ws));
		pieces(m, round);
		tensors(m);
		/* The last time, half of them leave that to the thread's end. */
		if (round + 1 < ROUNDS || m->number % 2)
			MUST(m, !tmk_workspace_pop(ws));
	}
	return NULL;
}

/* Return: how many requests were refused. */
static uint64_t crowd(const struct tmk_workspace_opts *opts)
{
	struct tmk_workspace_opts o = *opts;
	struct tmk_workspace_info info;
	struct member m[THREADS] = { 0 };
	uint64_t before = held(), refused = 0;
	pthread_t threads[THREADS];
	unsigned int i;

	o.flags |= TMK_WS_F_SHARED;
	max_total = o.max_total_bytes;
	if (tmk_workspace_create(&ws, "crowd", &o))
		TH_LOG("%s", tmk_error_last());
	ASSERT_TRUE(ws);
	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, THREADS));
	for (i = 0; i < THREADS; i++) {
		m[i].number = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, member_main,
					    &m[i]));
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_FALSE(m[i].bad);
		refused += m[i].refused;
	}
	ASSERT_EQ(0, tmk_workspace_info(&info, ws));
	EXPECT_FALSE(info.open);
	EXPECT_EQ(info.cycles, info.generation);
	EXPECT_EQ(0, info.cycle);
	EXPECT_LE(ROUNDS, info.cycles);
	EXPECT_GE(THREADS * ROUNDS, info.cycles);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(before, held());
	return refused;
}

static struct tmk_workspace_opts opts(uint64_t initial)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	o.initial_bytes = initial;
	return o;
}

TEST_TIMEOUT(learning, 180)
{
	struct tmk_workspace_opts o = opts(0);

	EXPECT_EQ(0, crowd(&o));
	o.spill = TMK_WS_SPILL_REALLOCATE;
	EXPECT_EQ(0, crowd(&o));
	o.learning = TMK_WS_LEARN_OVER_TIME;
	o.cycles_before_initialization = 5;
	EXPECT_EQ(0, crowd(&o));
}

TEST_TIMEOUT(a_block_that_is_too_small, 180)
{
	struct tmk_workspace_opts o = opts(16384);

	o.learning = TMK_WS_LEARN_NONE;
	EXPECT_EQ(0, crowd(&o));
	o.max_total_bytes = 24576;
	EXPECT_LT(0, crowd(&o));
	o.max_total_bytes = 0;
	o.spill = TMK_WS_SPILL_FAIL;
	EXPECT_LT(0, crowd(&o));
}

TEST_TIMEOUT(rings, 180)
{
	struct tmk_workspace_opts o = opts(0);

	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	o.overallocation_limit = 3;
	EXPECT_EQ(0, crowd(&o));
	o.spill = TMK_WS_SPILL_REALLOCATE;
	EXPECT_EQ(0, crowd(&o));
	o.initial_bytes = 40960;
	o.learning = TMK_WS_LEARN_NONE;
	o.spill = TMK_WS_SPILL_EXTERNAL;
	EXPECT_EQ(0, crowd(&o));
}

TEST_TIMEOUT(files, 180)
{
	struct tmk_workspace_opts o = opts(65536);

	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	EXPECT_EQ(0, crowd(&o));
}

TEST_TIMEOUT(everything_spilled, 180)
{
	struct tmk_workspace_opts o = opts(65536);

	o.debug = TMK_WS_DEBUG_SPILL_EVERYTHING;
	EXPECT_EQ(0, crowd(&o));
}

/* Makes, finds, uses and destroys one of a name that all of them know. */
static void *come_and_go(void *arg)
{
	struct tmk_workspace_opts o = opts(4096);
	struct tmk_workspace *it;
	struct member *m = arg;
	int round, err;
	void *p;

	o.flags = TMK_WS_F_SHARED;
	pthread_barrier_wait(&start);
	for (round = 0; round < 10 * ROUNDS; round++) {
		MUST(m, !tmk_workspace_ensure(&it, "it", &o));
		err = tmk_workspace_push(it);
		MUST(m, !err || err == -ESTALE);
		if (!err) {
			MUST(m, !tmk_workspace_alloc(&p, it, 100, true));
			MUST(m, tmk_workspace_destroy(it) == -EBUSY);
			MUST(m, !tmk_workspace_pop(it));
			m->opened++;
		}
		err = tmk_workspace_destroy(it);
		MUST(m, !err || err == -EBUSY || err == -ESTALE);
	}
	return NULL;
}

TEST_TIMEOUT(made_found_and_destroyed_by_all, 180)
{
	struct member m[THREADS] = { 0 };
	uint64_t before = held(), opened = 0;
	pthread_t threads[THREADS];
	struct tmk_workspace *it;
	unsigned int i;

	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, THREADS));
	for (i = 0; i < THREADS; i++) {
		m[i].number = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, come_and_go,
					    &m[i]));
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_FALSE(m[i].bad);
		opened += m[i].opened;
	}
	EXPECT_LT(0, opened);
	if (!tmk_workspace_lookup(&it, "it"))
		EXPECT_EQ(0, tmk_workspace_destroy(it));
	EXPECT_EQ(before, held());
}

/* A slow creation: the others wait for its end and find what came of it. */
static void *ensure_large(void *arg)
{
	struct tmk_workspace_opts o = opts(32 * MIB);
	struct tmk_workspace_info info;
	struct member *m = arg;
	struct tmk_workspace *it = NULL;

	o.flags = TMK_WS_F_SHARED;
	pthread_barrier_wait(&start);
	if (tmk_workspace_ensure(&it, "large", &o)) {
		m->refused++;
		return NULL;
	}
	MUST(m, !tmk_workspace_info(&info, it) && info.size > 32 * MIB);
	return it;
}

static void ensure_at_once(struct member *m, void **found)
{
	pthread_t threads[THREADS];
	unsigned int i;

	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, THREADS));
	for (i = 0; i < THREADS; i++) {
		m[i] = (struct member){ .number = i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, ensure_large,
					    &m[i]));
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &found[i]));
		EXPECT_FALSE(m[i].bad);
	}
	pthread_barrier_destroy(&start);
}

TEST_TIMEOUT(one_makes_it_and_all_have_it, 180)
{
	uint64_t before = held();
	struct member m[THREADS];
	void *found[THREADS];
	int i;

	ensure_at_once(m, found);
	ASSERT_TRUE(found[0]);
	for (i = 0; i < THREADS; i++)
		EXPECT_EQ(found[0], found[i]);
	EXPECT_EQ(0, tmk_workspace_destroy(found[0]));
	EXPECT_EQ(before, held());
	/* Or nobody has it, and each has tried. */
	ASSERT_EQ(0, limit(before + 8 * MIB));
	ensure_at_once(m, found);
	for (i = 0; i < THREADS; i++)
		EXPECT_EQ(1, m[i].refused);
	EXPECT_EQ(before, held());
}

static bool stop;

static void *work_on(void *arg)
{
	struct member *m = arg;
	int round;

	pthread_barrier_wait(&start);
	for (round = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); round++) {
		MUST(m, !tmk_workspace_push(ws));
		pieces(m, round);
		MUST(m, !tmk_workspace_pop(ws));
	}
	return NULL;
}

/* No lock of the child's is held by a thread that it does not have. */
static int child(void *arg)
{
	struct tmk_workspace_opts o = opts(4096);
	struct tmk_workspace *own;
	void *p;

	(void)arg;
	o.flags = TMK_WS_F_SHARED;
	return tmk_workspace_push(ws) != -EPERM ||
	       tmk_workspace_create(&own, "crowd", &o) ||
	       tmk_workspace_push(own) ||
	       tmk_workspace_alloc(&p, own, 100, true) ||
	       tmk_workspace_pop(own) || tmk_workspace_destroy(own);
}

TEST_TIMEOUT(fork_in_the_midst_of_it, 180)
{
	struct tmk_workspace_opts o = opts(0);
	struct member m[2] = { { .number = 1 }, { .number = 2 } };
	pthread_t threads[2];
	int i;

	o.flags = TMK_WS_F_SHARED;
	max_total = 0;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "crowd", &o));
	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 3));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, work_on, &m[i]));
	pthread_barrier_wait(&start);
	for (i = 0; i < 40; i++)
		EXPECT_EQ(0, in_child(child, NULL));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_FALSE(m[i].bad);
	}
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
}

#if !TSAN
static struct tmk_tensor *latest;

static void *cycle_on(void *arg)
{
	const int64_t shape[2] = { 3, 5 };
	struct member *m = arg;
	struct tmk_tensor *t;
	void *p;
	int i;

	pthread_barrier_wait(&start);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		MUST(m, !tmk_workspace_push(ws));
		MUST(m, !tmk_tensor_create(&t, TMK_F32, 2, shape));
		__atomic_store_n(&latest, t, __ATOMIC_RELEASE);
		/* Long enough for a view to be looked at, if it were of this cycle. */
		for (i = 0; i < 50; i++)
			MUST(m, !tmk_workspace_alloc(&p, ws, 64, false));
		MUST(m, !tmk_workspace_pop(ws));
	}
	return NULL;
}

/*
 * Views made without having it open: not safe, but a view is never of another
 * cycle than its base. That it reads a header that may be written meanwhile is
 * what ThreadSanitizer would rightly say.
 */
TEST_TIMEOUT(views_end_with_their_base, 180)
{
	struct tmk_workspace_opts o = opts(65536);
	struct tmk_tensor *base, *view;
	struct member m = { .number = 1 };
	pthread_t thread;
	int i, err, made = 0, ended = 0;

	o.flags = TMK_WS_F_SHARED;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "crowd", &o));
	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, cycle_on, &m));
	pthread_barrier_wait(&start);
	while (!__atomic_load_n(&latest, __ATOMIC_ACQUIRE))
		sched_yield();
	for (i = 0; i < 2000000 && (made < 99999 || ended < 99999); i++) {
		base = __atomic_load_n(&latest, __ATOMIC_ACQUIRE);
		err = tmk_tensor_transpose(&view, base, 0, 1);
		made += !err;
		ended += err == -ESTALE;
		ASSERT_TRUE(!err || err == -ESTALE);
		if (!err && tmk_tensor_check(base, "base"))
			ASSERT_EQ(-ESTALE, tmk_tensor_check(view, "view"));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_FALSE(m.bad);
	EXPECT_LT(0, made);
	EXPECT_LT(0, ended);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
}
#endif

TEST_HARNESS_MAIN
