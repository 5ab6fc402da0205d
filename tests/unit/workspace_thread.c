// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Workspaces and threads, and fork(): whose they are, who is refused, and that
 * nothing is left when a thread ends.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tmk/tmk.h>

#include "../harness/sanitize.h"
#include "../harness/tap.h"

static const int64_t shape[2] = { 4, 6 };

static struct tmk_workspace *make(const char *id, uint64_t initial)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.initial_bytes = initial;
	if (tmk_workspace_create(&ws, id, &o))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_stats stats(void)
{
	struct tmk_stats s = { .stats_size = sizeof(s) };

	if (tmk_stats_snapshot(&s))
		TH_LOG("%s", tmk_error_last());
	return s;
}

static uint64_t held(void)
{
	return stats().total.current;
}

/* Runs @f in a thread of its own to its end. */
static void *in_thread(void *(*f)(void *), void *arg)
{
	pthread_t thread;
	void *ret = (void *)-1;

	if (pthread_create(&thread, NULL, f, arg) || pthread_join(thread, &ret))
		TH_LOG("no thread");
	return ret;
}

struct foreign {
	struct tmk_workspace *ws;
	struct tmk_tensor *tensor;
};

/* All that another thread may not do. Returns a bit for each that it could. */
static void *trespass(void *arg)
{
	const struct foreign *f = arg;
	struct tmk_workspace_info info;
	struct tmk_tensor *t;
	uintptr_t bad = 0;
	void *p;

	bad |= tmk_workspace_push(f->ws) != -EPERM;
	bad |= (uintptr_t)(tmk_workspace_pop(f->ws) != -EPERM) << 1;
	bad |= (uintptr_t)(tmk_workspace_alloc(&p, f->ws, 8, 0) != -EPERM) << 2;
	bad |= (uintptr_t)(tmk_workspace_info(&info, f->ws) != -EPERM) << 3;
	bad |= (uintptr_t)(tmk_workspace_initialize(f->ws) != -EPERM) << 4;
	bad |= (uintptr_t)(tmk_workspace_destroy(f->ws) != -EPERM) << 5;
	bad |= (uintptr_t)(tmk_tensor_create_in(&t, f->ws, NULL, TMK_F32, 2,
						shape) != -EPERM)
	       << 6;
	bad |= (uintptr_t)(tmk_tensor_slice(&t, f->tensor, 0, 0, 1) != -EPERM)
	       << 7;
	bad |= (uintptr_t)!strstr(tmk_error_last(), "another thread") << 8;
	/* Using a tensor of an open scope is allowed. */
	bad |= (uintptr_t)(tmk_tensor_check(f->tensor, "A") != 0) << 9;
	bad |= (uintptr_t)(tmk_tensor_fill(f->tensor, 3) != 0) << 10;
	bad |= (uintptr_t) !!tmk_workspace_current() << 11;
	bad |= (uintptr_t)(tmk_workspace_lookup(&(struct tmk_workspace *){ 0 },
						"mine") != -ENOENT)
	       << 12;
	bad |= (uintptr_t) !!strcmp(tmk_workspace_id(f->ws), "mine") << 13;
	return (void *)bad;
}

TEST(rule8_other_threads_are_refused)
{
	struct foreign f = { .ws = make("mine", 4096) };

	ASSERT_EQ(0, tmk_workspace_push(f.ws));
	ASSERT_EQ(0, tmk_tensor_create(&f.tensor, TMK_F32, 2, shape));
	EXPECT_EQ(0, (uintptr_t)in_thread(trespass, &f));
	EXPECT_TRUE(((float *)tmk_tensor_data(f.tensor))[23] == 3);
	EXPECT_EQ(0, tmk_workspace_pop(f.ws));
	EXPECT_EQ(0, tmk_workspace_destroy(f.ws));
}

static void *same_id(void *arg)
{
	struct tmk_workspace *ws = make("same", 0);

	(void)arg;
	return ws;
}

/* Also what has a thread of the same stack after it: nothing is inherited. */
TEST(p03_each_thread_has_its_own)
{
	struct tmk_workspace *mine = make("same", 0), *other[20];
	int i, j;

	for (i = 0; i < 20; i++) {
		other[i] = in_thread(same_id, NULL);
		ASSERT_TRUE(other[i] && other[i] != mine);
		for (j = 0; j < i; j++)
			ASSERT_TRUE(other[i] != other[j]);
		EXPECT_EQ(-ESTALE, tmk_workspace_push(other[i]));
	}
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(0, tmk_workspace_destroy(mine));
}

struct left {
	struct tmk_workspace *closed;
	struct tmk_workspace *open;
	struct tmk_tensor *tensor;
};

static void *leave_all(void *arg)
{
	struct left *left = arg;
	void *p;

	left->closed = make("closed", 1000000);
	left->open = make("open", 4096);
	if (tmk_workspace_push(left->open) || tmk_workspace_push(left->open) ||
	    tmk_tensor_create(&left->tensor, TMK_F32, 2, shape) ||
	    tmk_workspace_alloc(&p, left->open, 100000, true))
		return (void *)1;
	return NULL;
}

TEST(p31_rule9_thread_exit_gives_everything_back)
{
	uint64_t before = held();
	struct left left;
	int i;

	for (i = 0; i < 10; i++) {
		EXPECT_TRUE(!in_thread(leave_all, &left));
		EXPECT_EQ(before, held());
		EXPECT_EQ(-ESTALE, tmk_workspace_push(left.closed));
		EXPECT_EQ(-ESTALE, tmk_workspace_push(left.open));
		EXPECT_EQ(-ESTALE, tmk_tensor_check(left.tensor, "A"));
		EXPECT_STREQ("argument A: its workspace \"open\" was destroyed, "
			     "it was made in generation 1",
			     tmk_error_last());
	}
}

static pthread_key_t late_key;
static int late_err = -1;

/* Another library's destructor, which may run after ours and use tmk again. */
static void late_destructor(void *arg)
{
	struct tmk_workspace *ws = make("late", 4096);

	(void)arg;
	late_err = ws ? tmk_workspace_push(ws) : -1;
}

static void *use_late(void *arg)
{
	struct tmk_workspace *ws = make("early", 4096);

	pthread_setspecific(late_key, arg);
	return ws ? NULL : (void *)1;
}

TEST(workspaces_made_while_a_thread_exits)
{
	uint64_t before = held();

	/* Our key first, so that our destructor runs first. */
	EXPECT_EQ(0, tmk_workspace_destroy(make("x", 0)));
	ASSERT_EQ(0, pthread_key_create(&late_key, late_destructor));
	EXPECT_TRUE(!in_thread(use_late, &late_key));
	EXPECT_EQ(0, late_err);
	EXPECT_EQ(before, held());
}

static void *busy_thread(void *arg)
{
	uintptr_t number = (uintptr_t)arg, bad = 0;
	struct tmk_tensor *t, *kept = NULL;
	struct tmk_workspace *ws[3];
	char id[32];
	int i, k;

	for (k = 0; k < 3; k++) {
		snprintf(id, sizeof(id), "t%d", k);
		ws[k] = make(id, k == 1 ? 1000 : 0);
	}
	for (i = 0; i < 200; i++) {
		for (k = 0; k < 3; k++) {
			bad |= !!tmk_workspace_push(ws[k]);
			bad |= !!tmk_tensor_create(&t, TMK_F32, 2, shape);
			bad |= !!tmk_tensor_fill(t, (double)number);
			if (kept)
				bad |= tmk_tensor_check(kept, "A") != -ESTALE;
		}
		for (k = 2; k >= 0; k--) {
			bad |= !!tmk_tensor_check(t, "A") ==
			       (tmk_tensor_workspace(t) == ws[2] && k == 2);
			bad |= !!tmk_workspace_pop(ws[k]);
			if (k == 2)
				kept = t;
		}
		if (i % 50 == 49) {
			bad |= !!tmk_workspace_destroy(ws[1]);
			snprintf(id, sizeof(id), "again%d", i);
			ws[1] = make(id, 500);
		}
	}
	return (void *)bad;
}

TEST_TIMEOUT(many_threads_at_once, 180)
{
	uint64_t before = held();
	pthread_t threads[16];
	void *ret;
	uintptr_t i;

	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, busy_thread,
					    (void *)i));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &ret));
		EXPECT_TRUE(!ret);
	}
	EXPECT_EQ(before, held());
}

#define CROWD 100
#define PER_THREAD 10

static pthread_barrier_t all_live;

static bool cycle_all(struct tmk_workspace *ws[PER_THREAD])
{
	struct tmk_tensor *t;
	int i, k;

	for (k = 0; k < 3; k++)
		for (i = 0; i < PER_THREAD; i++)
			if (tmk_workspace_push(ws[i]) ||
			    tmk_tensor_create(&t, TMK_F32, 2, shape) ||
			    tmk_workspace_pop(ws[i]))
				return false;
	return true;
}

/* Learned workspaces that wait for those of all others, and are used again. */
static void *one_of_many(void *arg)
{
	struct tmk_workspace *ws[PER_THREAD];
	char id[32];
	bool good;
	int i;

	for (i = 0; i < PER_THREAD; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		ws[i] = make(id, 0);
	}
	good = cycle_all(ws);
	pthread_barrier_wait(&all_live);
	pthread_barrier_wait(&all_live);
	return good && cycle_all(ws) ? NULL : arg;
}

/* Return: how often the backend was called. */
static uint64_t crowd(struct tap_test *_metadata, int nr)
{
	struct tmk_stats before = stats();
	pthread_t threads[CROWD];
	void *ret;
	int i;

	(void)_metadata;
	pthread_barrier_init(&all_live, NULL, (unsigned int)nr + 1);
	for (i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, one_of_many, threads))
			exit(1);
	pthread_barrier_wait(&all_live);
	EXPECT_EQ(before.regions + (uint64_t)nr * PER_THREAD, stats().regions);
	EXPECT_LT(before.total.current, stats().total.current);
	pthread_barrier_wait(&all_live);
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(0, pthread_join(threads[i], &ret));
		EXPECT_TRUE(!ret);
	}
	pthread_barrier_destroy(&all_live);
	EXPECT_EQ(before.regions, stats().regions);
	EXPECT_EQ(before.total.current, stats().total.current);
	return stats().backend_calls - before.backend_calls;
}

/* Bytes of the process in RAM. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		TH_LOG("no statm");
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* Ten times as many cost ten times as much, and leave nothing. */
TEST_TIMEOUT(thousand_live_workspaces_in_hundred_threads, 180)
{
	uint64_t few, many;
	long before;

	crowd(_metadata, 1); /* what is asked of the system but once */
	few = crowd(_metadata, CROWD / 10);
	many = crowd(_metadata, CROWD);
	EXPECT_LT(0, few);
	EXPECT_EQ(10 * few, many);
	before = resident();
	EXPECT_EQ(many, crowd(_metadata, CROWD));
	/* Of what threads have of the C library some may be left. */
	if (!SANITIZED)
		EXPECT_LT(resident(), before + (1 << 20));
}

/* What a child of fork() may and may not do. Returns 0 if all is as it must. */
static int child(struct tmk_workspace *open, struct tmk_workspace *closed,
		 struct tmk_tensor *attached, struct tmk_tensor *detached)
{
	struct tmk_workspace *own, *found;
	struct tmk_tensor *t;
	int bad = 0;

	bad |= tmk_workspace_current() != NULL;
	bad |= (tmk_workspace_push(closed) != -EPERM) << 1;
	bad |= !strstr(tmk_error_last(), "parent process") << 2;
	bad |= (tmk_workspace_pop(open) != -EPERM) << 3;
	bad |= (tmk_workspace_destroy(closed) != -EPERM) << 4;
	bad |= (tmk_tensor_check(attached, "A") != -ESTALE) << 5;
	bad |= !strstr(tmk_error_last(), "parent process") << 5;
	bad |= (tmk_tensor_check(detached, "B") != 0) << 6;
	bad |= (tmk_workspace_lookup(&found, "closed") != -ENOENT) << 6;
	/* One of its own, even of the same name. */
	own = make("closed", 4096);
	bad |= !own << 7;
	if (own) {
		bad |= !!tmk_workspace_push(own) << 7;
		bad |= !!tmk_tensor_create(&t, TMK_F32, 2, shape) << 7;
		bad |= !!tmk_tensor_fill(t, 5) << 7;
		bad |= !!tmk_tensor_check(t, "t") << 7;
		bad |= (tmk_tensor_check(attached, "A") != -ESTALE) << 5;
		bad |= !!tmk_workspace_pop(own) << 7;
		bad |= !!tmk_workspace_destroy(own) << 7;
	}
	return bad;
}

TEST(fork_leaves_workspaces_to_the_parent)
{
	struct tmk_workspace *closed = make("closed", 4096),
			     *open = make("open", 4096);
	struct tmk_tensor *attached, *detached;
	int status;
	pid_t pid;

	ASSERT_EQ(0, tmk_tensor_create(&detached, TMK_F32, 2, shape));
	ASSERT_EQ(0, tmk_workspace_push(open));
	ASSERT_EQ(0, tmk_tensor_create(&attached, TMK_F32, 2, shape));
	ASSERT_EQ(0, tmk_tensor_fill(attached, 2));
	fflush(stdout);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(child(open, closed, attached, detached));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	/* The parent never noticed. */
	EXPECT_EQ(0, tmk_tensor_check(attached, "A"));
	EXPECT_TRUE(((float *)tmk_tensor_data(attached))[0] == 2);
	EXPECT_TRUE(tmk_workspace_current() == open);
	EXPECT_EQ(0, tmk_workspace_pop(open));
	tmk_tensor_put(detached);
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

static int forking;

static void *churn(void *arg)
{
	struct tmk_workspace *ws;

	(void)arg;
	while (__atomic_load_n(&forking, __ATOMIC_RELAXED)) {
		ws = make("churn", 0);
		if (!ws || tmk_workspace_push(ws) || tmk_workspace_pop(ws) ||
		    tmk_workspace_destroy(ws))
			return (void *)1;
	}
	return NULL;
}

/* The locks are never held by a thread that the child does not have. */
TEST(fork_while_other_threads_work)
{
	pthread_t thread;
	int i, status;
	void *ret;
	pid_t pid;

	if (!CHILD_MAY_MALLOC)
		SKIP(return, NO_MALLOC_IN_CHILD);
	__atomic_store_n(&forking, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, NULL));
	for (i = 0; i < 50; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(!make("child", 0) || tmk_workspace_destroy_all());
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
	}
	__atomic_store_n(&forking, 0, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_TRUE(!ret);
}

TEST_HARNESS_MAIN
