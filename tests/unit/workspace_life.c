// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The life of workspaces beyond opening and closing: scope macros however they
 * are left, longjmp(), borrowing and scope-out used wrongly, toggling, the report
 * and the dump.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>

#include "conform.h"

TEST(macros_close_however_they_are_left)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_workspace *inner = make("inner", strict(1024));
	int i, rounds = 0;

	for (i = 0; i < 3; i++) {
		TMK_WORKSPACE_SCOPE(ws) {
			if (i == 1)
				break; /* leaves the scope, not the loop */
			if (i == 2)
				continue;
			rounds++;
		}
		EXPECT_TRUE(!tmk_workspace_current());
	}
	EXPECT_EQ(1, rounds);
	EXPECT_EQ(3, in(ws).cycles);
	TMK_WORKSPACE_SCOPE(ws) {
		TMK_WORKSPACE_SCOPE(inner) {
			TMK_WORKSPACE_BORROW(ws)
			{
				EXPECT_TRUE(tmk_workspace_current() == ws);
				TMK_WORKSPACE_SCOPE_OUT()
				{
					EXPECT_TRUE(!tmk_workspace_current());
					goto out;
				}
			}
		}
	}
out:
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(4, in(ws).cycles);
	EXPECT_EQ(1, in(inner).cycles);
	enter(ws);
	ASSERT_EQ(0, tmk_workspace_borrow(ws)); /* nothing is left borrowed */
	leave(ws);
	leave(ws);
}

TEST(macros_skip_what_cannot_be_opened)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_workspace *inner = make("inner", strict(1024));
	bool ran = false;

	enter(ws);
	enter(inner);
	TMK_WORKSPACE_SCOPE(ws)
		ran = true;
	EXPECT_TRUE(says("open already"));
	TMK_WORKSPACE_SCOPE(NULL)
		ran = true;
	leave(inner);
	leave(ws);
	TMK_WORKSPACE_BORROW(ws) ran = true;
	EXPECT_FALSE(ran);
}

/* What was pushed inside of a macro's scope and left open ends with it. */
TEST(macros_unwind_what_is_inside)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_workspace *inner = make("inner", strict(1024));

	TMK_WORKSPACE_SCOPE(ws) {
		enter(inner);
		enter(inner);
		ASSERT_EQ(0, tmk_workspace_scope_out());
	}
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(1, in(inner).cycles);
	EXPECT_FALSE(in(inner).open);
}

static jmp_buf jump;

static __attribute__((noinline)) void deep(struct tmk_workspace *ws)
{
	TMK_WORKSPACE_SCOPE(ws) {
		bytes(100);
		longjmp(jump, 1);
	}
}

TEST(longjmp_is_noticed_at_the_next_open)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_workspace *other = make("other", strict(1024));

	if (!setjmp(jump))
		deep(ws);
	EXPECT_TRUE(tmk_workspace_current() == ws);
	EXPECT_EQ(-EBUSY, tmk_workspace_push(other));
	EXPECT_TRUE(says("the scope of workspace \"w\" was left without being "
			 "closed"));
	EXPECT_EQ(-EBUSY, tmk_workspace_push(ws));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, tmk_workspace_push(other));
	EXPECT_EQ(0, tmk_workspace_pop(other));
	EXPECT_EQ(1, in(ws).cycles);
}

TEST(longjmp_inside_of_a_scope_ends_with_it)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_workspace *outer = make("outer", strict(1024));

	TMK_WORKSPACE_SCOPE(outer) {
		if (!setjmp(jump))
			deep(ws);
		EXPECT_TRUE(tmk_workspace_current() == ws);
	}
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(1, in(ws).cycles);
	TMK_WORKSPACE_SCOPE(ws)
		EXPECT_TRUE(tmk_workspace_current() == ws);
}

TEST(ends_without_beginnings)
{
	struct tmk_workspace *ws = make("w", strict(1024));

	EXPECT_EQ(-EINVAL, tmk_workspace_scope_in());
	EXPECT_EQ(-EINVAL, tmk_workspace_pop(ws));
	enter(ws);
	EXPECT_EQ(-EINVAL, tmk_workspace_scope_in());
	EXPECT_TRUE(says("\"w\" must be closed first"));
	ASSERT_EQ(0, tmk_workspace_scope_out());
	EXPECT_EQ(-EINVAL, tmk_workspace_pop(ws));
	EXPECT_TRUE(says("scope-out"));
	/* Out of scope it is open, and not innermost. */
	EXPECT_EQ(-EBUSY, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_borrow(ws));
	EXPECT_TRUE(tmk_workspace_current() == ws);
	leave(ws);
	EXPECT_TRUE(!tmk_workspace_current());
	ASSERT_EQ(0, tmk_workspace_scope_in());
	leave(ws);
}

static void *trespass(void *arg)
{
	struct tmk_workspace *ws = arg;
	struct tmk_tensor *t, *out;
	intptr_t bad = 0;

	t = doubles(4, 1);
	bad |= tmk_workspace_borrow(ws) != -EPERM;
	bad |= (tmk_workspace_toggle(ws, false) != -EPERM) << 1;
	bad |= (tmk_tensor_leverage_to(&out, t, ws) != -EPERM) << 2;
	bad |= !says("another thread") << 3;
	/* Not open for this thread: it stays detached. */
	bad |= (tmk_tensor_leverage_or_detach(&out, t, ws) != 0 || out != t)
	       << 4;
	tmk_tensor_put(t);
	tmk_tensor_put(t);
	return (void *)bad;
}

TEST(rule8_foreign_threads)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	pthread_t thread;
	void *bad;

	enter(ws);
	ASSERT_EQ(0, pthread_create(&thread, NULL, trespass, ws));
	pthread_join(thread, &bad);
	EXPECT_EQ(0, (intptr_t)bad);
	leave(ws);
}

TEST(leverage_without_a_parent_detaches)
{
	struct tmk_workspace *ws = make("w", strict(1024));
	struct tmk_workspace *closed = make("closed", strict(1024));
	struct tmk_tensor *t, *out;

	enter(ws);
	t = doubles(4, 2);
	ASSERT_EQ(0, tmk_tensor_leverage(&out, t));
	EXPECT_FALSE(tmk_tensor_is_attached(out));
	EXPECT_EQ(8, (int)sum(out));
	tmk_tensor_put(out);
	EXPECT_EQ(-ENOTCONN, tmk_tensor_leverage_to(&out, t, closed));
	EXPECT_EQ(-EINVAL, tmk_tensor_leverage_to(&out, t, NULL));
	ASSERT_EQ(0, tmk_tensor_leverage_or_detach(&out, t, closed));
	EXPECT_FALSE(tmk_tensor_is_attached(out));
	tmk_tensor_put(out);
	EXPECT_EQ(0, tmk_workspace_destroy(closed));
	EXPECT_EQ(-ESTALE, tmk_tensor_leverage_to(&out, t, closed));
	ASSERT_EQ(0, tmk_tensor_leverage_to(&out, t, ws));
	EXPECT_TRUE(out == t);
	leave(ws);
}

TEST(switched_off_in_a_ring_and_over_the_limit)
{
	struct tmk_workspace_opts o = strict(1024);
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	int64_t n = 4096;

	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	o.max_total_bytes = 2048;
	ws = make("w", o);
	EXPECT_EQ(0, tmk_workspace_toggle(ws, false));
	enter(ws);
	t = bytes(512);
	EXPECT_EQ(1, in(ws).external_count);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(-ENOMEM, tmk_tensor_create(&t, TMK_U8, 1, &n));
	leave(ws);
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_EQ(0, in(ws).external_count);
	cycle_of(ws, 512);
	EXPECT_EQ(512, in(ws).offset);
}

TEST(debug_mode_from_the_environment)
{
	struct tmk_workspace_opts o = strict(1024);
	struct tmk_workspace *ws;

	setenv("TMK_WORKSPACES_DEBUG", "SPILL_EVERYTHING", 1);
	ws = make("w", o);
	enter(ws);
	bytes(100);
	EXPECT_EQ(112, in(ws).spilled_bytes);
	leave(ws);
	setenv("TMK_WORKSPACES_DEBUG", "bypass_everything", 1);
	o.debug = TMK_WS_DEBUG_SPILL_EVERYTHING; /* the program's own word */
	ws = make("own", o);
	enter(ws);
	EXPECT_TRUE(tmk_tensor_is_attached(bytes(100)));
	leave(ws);
}

static pthread_barrier_t meet;

static void *have_one(void *arg)
{
	struct tmk_workspace *ws = make(arg, strict(4096));

	enter(ws);
	bytes(5000);
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	leave(ws);
	return NULL;
}

/* What was written to a pipe, as text. */
static char *report(void)
{
	static char text[8192];
	ssize_t n = -1;
	int fds[2];

	if (pipe(fds))
		return NULL;
	if (!tmk_workspace_report(fds[1]))
		n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	close(fds[1]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

TEST(the_report_has_all_threads)
{
	pthread_t a, b;
	char *text;

	pthread_barrier_init(&meet, NULL, 3);
	make("mine", strict(1024));
	ASSERT_EQ(0, pthread_create(&a, NULL, have_one, "first"));
	ASSERT_EQ(0, pthread_create(&b, NULL, have_one, "second"));
	pthread_barrier_wait(&meet);
	text = report();
	EXPECT_TRUE(strstr(text, "\nmine "));
	EXPECT_TRUE(strstr(text, "\nfirst "));
	EXPECT_TRUE(strstr(text, "\nsecond "));
	EXPECT_TRUE(strstr(text, "3 workspaces: 9216 bytes in blocks, 10016 "
				 "spilled"));
	pthread_barrier_wait(&meet);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	EXPECT_TRUE(strstr(report(), "1 workspaces: 1024 bytes in blocks, 0 "
				     "spilled"));
	EXPECT_EQ(-EBADF, tmk_workspace_report(-1));
}

/* The dump is for people: what the program sees is as without it. */
TEST(a_refused_allocation_is_dumped)
{
	struct tmk_workspace_opts o = strict(64);
	char path[64], text[512] = "";
	struct tmk_workspace *ws;
	void *p;
	int fd;

	snprintf(path, sizeof(path), "/tmp/tmk-dump-%d", (int)getpid());
	unlink(path);
	o.spill = TMK_WS_SPILL_FAIL;
	ws = make("w", o);
	enter(ws);
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, 65, false));
	EXPECT_TRUE(access(path, F_OK));
	setenv("TMK_DUMP_ON_OOM", path, 1);
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, 65, false));
	EXPECT_TRUE(says("\"w\" is full"));
	fd = open(path, O_RDONLY);
	ASSERT_TRUE(fd >= 0);
	EXPECT_TRUE(read(fd, text, sizeof(text) - 1) > 0);
	EXPECT_TRUE(strstr(text, "tmk: workspace \"w\" is full"));
	EXPECT_TRUE(strstr(text, "\nw "));
	close(fd);
	setenv("TMK_DUMP_ON_OOM", "/nonexistent/dump", 1);
	EXPECT_EQ(-ENOMEM, tmk_workspace_alloc(&p, ws, 65, false));
	leave(ws);
	unlink(path);
}

TEST_HARNESS_MAIN
