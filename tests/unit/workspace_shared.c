// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Shared workspaces, one thing at a time: two threads that take turns. What many
 * threads do to one at once is in workspace_crowd.c.
 */
#include "util.h"

#include <pthread.h>
#include <setjmp.h>

static const int64_t shape[2] = { 4, 6 };

/* A second thread, which does what it is told while this one waits. */
static struct {
	pthread_t thread;
	pthread_barrier_t turn;
	int (*run)(void);
	int ret;
} other;

static void *other_main(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_barrier_wait(&other.turn);
		if (!other.run)
			return NULL;
		other.ret = other.run();
		pthread_barrier_wait(&other.turn);
	}
}

static void other_begin(void)
{
	ASSERT_EQ(0, pthread_barrier_init(&other.turn, NULL, 2));
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, other_main, NULL));
}

/* There: run it in the second thread. Return: what it returned. */
static int there(int (*run)(void))
{
	other.run = run;
	pthread_barrier_wait(&other.turn);
	if (!run)
		return pthread_join(other.thread, NULL);
	pthread_barrier_wait(&other.turn);
	return other.ret;
}

static int other_end(void)
{
	return there(NULL);
}

/* What both threads look at; one after the other. */
static struct tmk_workspace *ws;
static struct tmk_tensor *tensor;

static int open_it(void)
{
	return tmk_workspace_push(ws);
}

static int close_it(void)
{
	return tmk_workspace_pop(ws);
}

static int borrow_it(void)
{
	return tmk_workspace_borrow(ws);
}

static int destroy_it(void)
{
	return tmk_workspace_destroy(ws);
}

static int alloc_it(void)
{
	void *p;

	return tmk_workspace_alloc(&p, ws, 64, true);
}

static int make_tensor(void)
{
	return tmk_tensor_create(&tensor, TMK_F32, 2, shape);
}

static int check_tensor(void)
{
	return tmk_tensor_check(tensor, "A");
}

static struct tmk_workspace_opts shared(uint64_t initial)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	o.flags = TMK_WS_F_SHARED;
	o.initial_bytes = initial;
	return o;
}

static void make(const struct tmk_workspace_opts *o)
{
	if (tmk_workspace_create(&ws, "all", o))
		TH_LOG("%s", tmk_error_last());
	ASSERT_TRUE(ws);
}

static struct tmk_workspace_info info(void)
{
	struct tmk_workspace_info now = { .size = UINT64_MAX };

	if (tmk_workspace_info(&now, ws))
		TH_LOG("%s", tmk_error_last());
	return now;
}

TEST(cycle_is_from_the_first_opening_to_the_last_closing)
{
	struct tmk_workspace_opts o = shared(4096);

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, make_tensor());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(1, info().generation);
	EXPECT_EQ(0, there(check_tensor));
	EXPECT_EQ(0, close_it());
	/* Still open there: nothing has ended. */
	EXPECT_TRUE(info().open);
	EXPECT_EQ(0, info().cycles);
	EXPECT_EQ(0, check_tensor());
	EXPECT_EQ(0, there(close_it));
	EXPECT_FALSE(info().open);
	EXPECT_EQ(1, info().cycles);
	EXPECT_EQ(-ESTALE, check_tensor());
	EXPECT_STREQ("argument A: its workspace \"all\" is at generation 1 "
		     "(closed), it was made in 1",
		     tmk_error_last());
	EXPECT_EQ(-ESTALE, there(check_tensor));
	/* And in the next one, which another thread begins. */
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(-ESTALE, check_tensor());
	EXPECT_TRUE(says("is at generation 2, it was made in 1"));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, destroy_it());
	EXPECT_EQ(0, other_end());
}

/* From the workspace that is innermost into the shared one. */
static int own_to_it(void)
{
	struct tmk_tensor *t, *copy;
	int err = tmk_tensor_create(&t, TMK_F32, 2, shape);

	return err ? err : tmk_tensor_leverage_to(&copy, t, ws);
}

TEST(memory_is_for_threads_that_have_it_open)
{
	struct tmk_workspace_opts o = shared(4096);
	struct tmk_workspace *mine;
	struct tmk_tensor *t, *kept;

	make(&o);
	ASSERT_EQ(0, tmk_workspace_create(&mine, "mine", NULL));
	other_begin();
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(make_tensor));
	EXPECT_EQ(-ENOTCONN, alloc_it());
	EXPECT_STREQ("workspace \"all\" is not open in this thread",
		     tmk_error_last());
	EXPECT_EQ(-ENOTCONN,
		  tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 2, shape));
	EXPECT_TRUE(says("in this thread"));
	EXPECT_EQ(-ENOTCONN, borrow_it());
	EXPECT_TRUE(says("in this thread"));
	EXPECT_EQ(-EINVAL, close_it());
	EXPECT_TRUE(says("in this thread"));
	EXPECT_EQ(0, tmk_tensor_leverage_or_detach(&kept, tensor, ws));
	EXPECT_FALSE(tmk_tensor_is_attached(kept));
	EXPECT_EQ(-ENOTCONN, tmk_workspace_push(mine) ? 0 : own_to_it());
	EXPECT_EQ(0, tmk_workspace_pop(mine));
	EXPECT_EQ(0, tmk_tensor_migrate(&t, kept, false));
	EXPECT_EQ(kept, t);
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(128, info().offset);
	/* Reading, viewing and the like need no scope of one's own. */
	EXPECT_EQ(0, tmk_tensor_slice(&t, tensor, 0, 0, 1));
	EXPECT_EQ(ws, tmk_tensor_workspace(t));
	EXPECT_EQ(0, tmk_tensor_fill(t, 3));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_EQ(-ESTALE, tmk_tensor_slice(&t, tensor, 0, 0, 1));
	EXPECT_EQ(0, other_end());
}

static int fill_tensor(void)
{
	return tmk_tensor_fill(tensor, 7);
}

static int leverage_it(void)
{
	struct tmk_workspace *own;
	int err;

	err = tmk_workspace_create(&own, "own", NULL);
	if (!err)
		err = tmk_workspace_push(own);
	if (!err)
		err = make_tensor();
	if (!err)
		err = fill_tensor();
	if (!err)
		err = tmk_tensor_leverage_to(&tensor, tensor, ws);
	return err ? err : tmk_workspace_pop(own);
}

TEST(leveraging_hands_over_to_another_thread)
{
	struct tmk_workspace_opts o = shared(4096);

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(leverage_it));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, other_end());
	/* Its thread and the workspace that it came from are gone. */
	ASSERT_EQ(0, check_tensor());
	EXPECT_EQ(ws, tmk_tensor_workspace(tensor));
	EXPECT_TRUE(((float *)tmk_tensor_data(tensor))[23] == 7);
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(-ESTALE, check_tensor());
}

TEST(leveraging_from_a_workspace_nested_in_it)
{
	struct tmk_workspace_opts o = shared(4096);
	struct tmk_workspace *own;
	struct tmk_tensor *t;

	make(&o);
	other_begin();
	ASSERT_EQ(0, tmk_workspace_create(&own, "own", NULL));
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, tmk_workspace_push(own));
	ASSERT_EQ(0, make_tensor());
	ASSERT_EQ(0, tmk_tensor_leverage(&t, tensor));
	EXPECT_EQ(ws, tmk_tensor_workspace(t));
	EXPECT_EQ(0, tmk_workspace_pop(own));
	tensor = t;
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, there(check_tensor));
	EXPECT_EQ(0, there(fill_tensor));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(-ESTALE, check_tensor());
	EXPECT_EQ(0, other_end());
}

TEST(scopes_are_a_stack_in_each_thread)
{
	struct tmk_workspace_opts o = shared(4096);
	struct tmk_workspace *mine;

	make(&o);
	other_begin();
	ASSERT_EQ(0, tmk_workspace_create(&mine, "mine", NULL));
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, tmk_workspace_push(mine));
	EXPECT_EQ(-EBUSY, open_it());
	EXPECT_STREQ("workspace \"all\" is open already, outside of \"mine\"",
		     tmk_error_last());
	EXPECT_EQ(-EINVAL, close_it());
	/* That is so here, and not there, where it nests. */
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, borrow_it());
	EXPECT_EQ(-EBUSY, borrow_it());
	EXPECT_EQ(0, there(borrow_it));
	EXPECT_EQ(-EBUSY, there(borrow_it));
	EXPECT_EQ(ws, tmk_workspace_current());
	EXPECT_EQ(0, make_tensor());
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(mine, tmk_workspace_current());
	EXPECT_EQ(0, tmk_workspace_pop(mine));
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(-EINVAL, close_it());
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, check_tensor());
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(-EINVAL, there(close_it));
	EXPECT_EQ(-ESTALE, check_tensor());
	EXPECT_EQ(1, info().generation);
	EXPECT_EQ(0, other_end());
}

TEST(it_is_destroyed_by_anybody_when_nobody_has_it_open)
{
	struct tmk_workspace_opts o = shared(1 << 20);
	uint64_t before = held();

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(-EBUSY, destroy_it());
	EXPECT_STREQ("workspace \"all\" is open in 2 threads: each must close "
		     "it before it is destroyed",
		     tmk_error_last());
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(-EBUSY, destroy_it());
	EXPECT_TRUE(says("in 1 thread"));
	EXPECT_EQ(0, tmk_workspace_destroy_all());
	EXPECT_EQ(0, there(make_tensor));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, there(destroy_it));
	EXPECT_EQ(before, held());
	EXPECT_EQ(-ESTALE, open_it());
	EXPECT_EQ(-ESTALE, there(open_it));
	EXPECT_EQ(-ESTALE, destroy_it());
	EXPECT_EQ(-ESTALE, check_tensor());
	EXPECT_TRUE(says("\"all\" was destroyed"));
	EXPECT_EQ(0, other_end());
}

static int make_there(void)
{
	struct tmk_workspace_opts o = shared(0);

	return tmk_workspace_create(&ws, "all", &o);
}

TEST(it_outlives_the_thread_that_made_it)
{
	uint64_t before = held();
	struct tmk_workspace *found;

	other_begin();
	EXPECT_EQ(0, there(make_there));
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(alloc_it));
	/* It is open there, and the thread ends: that counts as closing it. */
	EXPECT_EQ(0, other_end());
	EXPECT_FALSE(info().open);
	EXPECT_EQ(1, info().cycles);
	EXPECT_EQ(128, info().size);
	EXPECT_EQ(0, tmk_workspace_lookup(&found, "all"));
	EXPECT_EQ(ws, found);
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, alloc_it());
	EXPECT_EQ(64, info().offset);
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, destroy_it());
	EXPECT_EQ(before, held());
}

/* A thread ends with it open further out, nested and borrowed; others go on. */
static int pile_up(void)
{
	struct tmk_workspace *own;
	int err;

	err = tmk_workspace_push(ws);
	if (!err)
		err = tmk_workspace_push(ws);
	if (!err)
		err = tmk_workspace_create(&own, "own", NULL);
	if (!err)
		err = tmk_workspace_push(own);
	if (!err)
		err = tmk_workspace_borrow(ws);
	return err ? err : tmk_workspace_scope_out();
}

TEST(thread_that_ends_closes_once)
{
	struct tmk_workspace_opts o = shared(4096);

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, make_tensor());
	EXPECT_EQ(0, there(pile_up));
	EXPECT_EQ(0, other_end());
	EXPECT_EQ(0, check_tensor());
	EXPECT_TRUE(info().open);
	EXPECT_EQ(0, alloc_it());
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(1, info().cycles);
	EXPECT_EQ(0, destroy_it());
}

static int lookup_there(void)
{
	struct tmk_workspace *found;
	int err = tmk_workspace_lookup(&found, "all");

	return err ? err : found == ws ? 0 : 1;
}

static int ensure_there(void)
{
	struct tmk_workspace_opts o = shared(4096);
	struct tmk_workspace *found;
	int err = tmk_workspace_ensure(&found, "all", &o);

	return err ? err : found == ws ? 0 : 1;
}

TEST(names_are_the_process_s)
{
	struct tmk_workspace_opts o = shared(4096), p = shared(4096);
	struct tmk_workspace *own, *found;

	make(&o);
	other_begin();
	EXPECT_EQ(0, there(lookup_there));
	EXPECT_EQ(0, there(ensure_there));
	EXPECT_EQ(-EEXIST, there(make_there));
	EXPECT_EQ(-EEXIST, tmk_workspace_create(&found, "all", &o));
	EXPECT_STREQ("the process has a shared workspace \"all\" already",
		     tmk_error_last());
	p.initial_bytes = 8192;
	EXPECT_EQ(-EEXIST, tmk_workspace_ensure(&found, "all", &p));
	EXPECT_TRUE(says("shared workspace \"all\" with another"));
	/* One of the thread's own of that name goes before it, in that thread. */
	EXPECT_EQ(0, tmk_workspace_ensure(&found, "all", NULL));
	EXPECT_EQ(ws, found);
	p.flags = 0;
	EXPECT_EQ(0, tmk_workspace_ensure(&own, "all", &p));
	EXPECT_NE(ws, own);
	EXPECT_EQ(0, tmk_workspace_lookup(&found, "all"));
	EXPECT_EQ(own, found);
	EXPECT_EQ(0, tmk_workspace_ensure(&found, "all", NULL));
	EXPECT_EQ(own, found);
	EXPECT_EQ(0, tmk_workspace_ensure(&found, "all", &o));
	EXPECT_EQ(ws, found);
	EXPECT_EQ(0, there(lookup_there));
	/* A name is free again when its workspace is destroyed. */
	EXPECT_EQ(0, destroy_it());
	EXPECT_EQ(-ENOENT, there(lookup_there));
	EXPECT_EQ(0, tmk_workspace_lookup(&found, "all"));
	EXPECT_EQ(0, there(make_there));
	EXPECT_EQ(0, there(lookup_there));
	EXPECT_EQ(0, other_end());
}

TEST(refused_block_takes_no_name)
{
	struct tmk_workspace_opts o = shared(64 * MIB);
	struct tmk_workspace *none = NULL;
	uint64_t before = held();

	ASSERT_EQ(0, limit(before + 8 * MIB));
	EXPECT_NE(0, tmk_workspace_create(&none, "all", &o));
	EXPECT_TRUE(!none);
	EXPECT_TRUE(says("\"all\""));
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&none, "all"));
	EXPECT_EQ(before, held());
	o.initial_bytes = 4096;
	make(&o);
	EXPECT_EQ(0, destroy_it());
}

TEST(who_closes_last_is_told_of_a_refused_block)
{
	struct tmk_workspace_opts o = shared(0);

	o.overallocation_limit = 10000;
	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, make_tensor());
	ASSERT_EQ(0, limit(held()));
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(-ENOMEM, there(close_it));
	EXPECT_FALSE(info().open);
	EXPECT_EQ(0, info().size);
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(close_it));
	EXPECT_LT(0, info().size);
	EXPECT_EQ(0, other_end());
}

static int toggle_there(void)
{
	return tmk_workspace_toggle(ws, false);
}

TEST(toggling_is_for_all_until_the_cycle_ends)
{
	struct tmk_workspace_opts o = shared(4096);

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(toggle_there));
	EXPECT_EQ(0, alloc_it());
	EXPECT_EQ(0, info().offset);
	EXPECT_EQ(1, info().external_count);
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, there(alloc_it));
	EXPECT_EQ(2, info().external_count);
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, alloc_it());
	EXPECT_EQ(64, info().offset);
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, other_end());
}

TEST(bypassed_it_has_no_memory_of_its_own)
{
	struct tmk_workspace_opts o = shared(4096);

	o.debug = TMK_WS_DEBUG_BYPASS_EVERYTHING;
	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(-EOPNOTSUPP, there(alloc_it));
	EXPECT_EQ(0, there(make_tensor));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, check_tensor());
	EXPECT_FALSE(tmk_tensor_is_attached(tensor));
	EXPECT_EQ(0, other_end());
}

static int initialize_there(void)
{
	return tmk_workspace_initialize(ws);
}

TEST(a_block_is_made_while_others_have_it_open)
{
	struct tmk_workspace_opts o = shared(0);

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, make_tensor());
	EXPECT_EQ(0, there(initialize_there));
	EXPECT_EQ(192, info().size);
	EXPECT_TRUE(tmk_workspace_region(ws));
	EXPECT_EQ(0, check_tensor());
	EXPECT_EQ(0, alloc_it());
	EXPECT_EQ(64, info().offset);
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, other_end());
}

static jmp_buf back;

static __attribute__((noinline)) void jump(void)
{
	TMK_WORKSPACE_SCOPE(ws)
		longjmp(back, 1);
}

TEST(longjmp_over_a_scope_is_noticed)
{
	struct tmk_workspace_opts o = shared(4096);

	make(&o);
	other_begin();
	if (!setjmp(back))
		jump();
	EXPECT_EQ(-EBUSY, open_it());
	EXPECT_TRUE(says("longjmp"));
	/* Another thread has nothing to do with that. */
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(1, info().cycles);
	EXPECT_EQ(0, other_end());
}

TEST(scope_macros_and_zeroing)
{
	struct tmk_workspace_opts o = shared(4096);
	unsigned char *p = NULL;
	int i, k;

	make(&o);
	for (i = 0; i < 3; i++) {
		TMK_WORKSPACE_SCOPE(ws) {
			ASSERT_EQ(0, tmk_workspace_alloc((void **)&p, ws, 100,
							 true));
			for (k = 0; k < 100; k++)
				ASSERT_EQ(0, p[k]);
			memset(p, 0xff, 100);
			EXPECT_EQ(0, tmk_workspace_scope_out());
			EXPECT_TRUE(!tmk_workspace_current());
			EXPECT_EQ(0, tmk_workspace_scope_in());
		}
	}
	EXPECT_EQ(3, info().cycles);
	EXPECT_EQ(0, destroy_it());
}

TEST(report_says_that_it_is_shared)
{
	struct tmk_workspace_opts o = shared(4096);
	char text[2048], *line;
	FILE *f = tmpfile();

	make(&o);
	ASSERT_TRUE(f);
	EXPECT_EQ(0, tmk_workspace_report(fileno(f)));
	rewind(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	line = strstr(text, "\nall ");
	ASSERT_TRUE(line);
	EXPECT_EQ(0, strncmp(strtok(line + 5, " "), "shared", 6));
	fclose(f);
}

/* Return: 0 if a child of fork() finds what it must. */
static int child(void *arg)
{
	struct tmk_workspace_opts o = shared(4096);
	struct tmk_workspace *found, *own;
	struct tmk_workspace_info i;
	int bad = 0;

	(void)arg;
	bad |= open_it() != -EPERM || !says("parent process");
	bad |= (close_it() != -EPERM) << 1;
	bad |= (destroy_it() != -EPERM) << 1;
	bad |= (tmk_workspace_info(&i, ws) != -EPERM) << 1;
	bad |= (check_tensor() != -ESTALE || !says("parent process")) << 2;
	bad |= (tmk_workspace_lookup(&found, "all") != -ENOENT) << 3;
	bad |= !!tmk_workspace_create(&own, "all", &o) << 4;
	bad |= !!tmk_workspace_push(own) << 4;
	bad |= !!tmk_tensor_create(&tensor, TMK_F32, 2, shape) << 4;
	bad |= !!tmk_workspace_pop(own) << 4;
	bad |= !!tmk_workspace_destroy(own) << 4;
	return bad;
}

TEST(fork_leaves_it_to_the_parent)
{
	struct tmk_workspace_opts o = shared(4096);

	make(&o);
	other_begin();
	EXPECT_EQ(0, open_it());
	EXPECT_EQ(0, there(open_it));
	EXPECT_EQ(0, there(make_tensor));
	EXPECT_EQ(0, in_child(child, NULL));
	EXPECT_EQ(0, check_tensor());
	EXPECT_EQ(0, there(close_it));
	EXPECT_EQ(0, close_it());
	EXPECT_EQ(0, destroy_it());
	EXPECT_EQ(0, other_end());
}

TEST_HARNESS_MAIN
