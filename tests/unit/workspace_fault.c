// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Every internal step of workspaces and tensors fails once, one after the
 * other: each failure is told, changes no counter, leaves the workspace usable
 * and leaves nothing behind.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"
#include "internal.h"

#define SPILLS 40

static uint64_t held(void)
{
	struct tmk_stats s = { .stats_size = sizeof(s) };

	if (tmk_stats_snapshot(&s))
		TH_LOG("%s", tmk_error_last());
	return s.total.current;
}

/* Padding is not looked at. */
static bool same(const struct tmk_workspace_info *a,
		 const struct tmk_workspace_info *b)
{
	return !memcmp(a, b, offsetof(struct tmk_workspace_info, open)) &&
	       a->open == b->open;
}

static int told(int err)
{
	if (err && !*tmk_error_last()) {
		TH_LOG("%d without a sentence", err);
		return -EPROTO;
	}
	return err;
}

/* An allocation that fails changes nothing; without the fault it works. */
static int alloc(struct tmk_workspace *ws, size_t bytes)
{
	struct tmk_workspace_info before, after;
	void *p = &before;
	int err;

	if (tmk_workspace_info(&before, ws))
		return -EPROTO;
	err = tmk_workspace_alloc(&p, ws, bytes, false);
	if (!err) {
		memset(p, 1, bytes);
		return 0;
	}
	if (tmk_workspace_info(&after, ws) || p != &before ||
	    !same(&before, &after))
		return -EPROTO;
	if (tmk_workspace_alloc(&p, ws, bytes, false))
		return -EPROTO;
	return told(err);
}

static int tensors(struct tmk_workspace *ws)
{
	struct tmk_workspace_info before, after;
	struct tmk_tensor *t = NULL, *view = NULL;
	int64_t shape[2] = { 3, 4 };
	int i, err = 0;

	/* More than one extent of headers. */
	for (i = 0; !err && i < 70; i++) {
		if (tmk_workspace_info(&before, ws))
			return -EPROTO;
		err = tmk_tensor_create(&t, TMK_F32, 2, shape);
		if (!err)
			err = tmk_tensor_slice(&view, t, 0, 0, 1);
		else if (tmk_workspace_info(&after, ws) ||
			 !same(&before, &after))
			return -EPROTO;
	}
	return told(err);
}

static int detached(void)
{
	struct tmk_tensor *t[70] = { NULL };
	int64_t shape[2] = { 30, 40 };
	uint64_t before = held();
	int i, err = 0;

	/* Two with memory of their own, and their views. */
	for (i = 0; !err && i < 70; i++)
		err = i % 35 ?
			      tmk_tensor_slice(&t[i], t[i / 35 * 35], 0, 1, 2) :
			      tmk_tensor_create_in(&t[i], NULL, NULL, TMK_F32,
						   2, shape);
	for (i = 0; i < 70; i++)
		tmk_tensor_put(t[i]);
	if (held() != before)
		return -EPROTO;
	return told(err);
}

/* A ring: learned, pinned, trimmed, made anew; and what moves in and out. */
static int ring(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_tensor *t, *out = NULL, *copy = NULL;
	int64_t n = 3000;
	struct tmk_workspace *ws;
	int i, err, first;

	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	o.overallocation_limit = 1;
	o.spill = TMK_WS_SPILL_REALLOCATE;
	first = told(tmk_workspace_create(&ws, "ring", &o));
	for (i = 0; !first && i < 11; i++) {
		err = tmk_workspace_push(ws);
		if (err)
			return told(err);
		err = alloc(ws, i == 2 ? 9000 : 2000);
		first = first ? first : err;
		err = tmk_tensor_create(&t, TMK_U8, 1, &n);
		if (!err && !i)
			err = tmk_tensor_detach(&out, t);
		if (!err && i == 3)
			err = tmk_tensor_migrate(&copy, out, false);
		first = first ? first : told(err);
		tmk_workspace_toggle(ws, false);
		err = alloc(ws, 100);
		first = first ? first : err;
		err = tmk_workspace_pop(ws);
		first = first ? first : told(err);
	}
	if (out && tmk_tensor_is_closeable(out) && tmk_tensor_close(out))
		return -EPROTO;
	return first;
}

static int file(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;
	int err;

	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	o.initial_bytes = 8192;
	err = told(tmk_workspace_create(&ws, "file", &o));
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	err = told(tmk_workspace_push(ws));
	if (err)
		return err;
	err = alloc(ws, 8192);
	if (!err)
		err = alloc(ws, 100);
	if (tmk_workspace_borrow(ws) == 0 && tmk_workspace_pop(ws))
		return -EPROTO;
	return tmk_workspace_pop(ws) ? -EPROTO : err;
}

/* Everything that takes memory, once. Left open and undestroyed. */
static int scenario(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws, *re;
	int i, err, first = 0;

	err = told(tmk_workspace_create(&ws, "learn", NULL));
	if (!err) {
		o.spill = TMK_WS_SPILL_REALLOCATE;
		o.initial_bytes = 4096;
		o.region.kind = TMK_KIND_PINNED;
		err = told(tmk_workspace_create(&re, "re", &o));
	}
	if (err)
		return err;
	for (i = 0; i < 2; i++) {
		err = tmk_workspace_push(ws);
		if (err)
			return told(err);
		err = tensors(ws);
		first = first ? first : err;
		err = alloc(ws, 200000 * (size_t)(i + 1));
		first = first ? first : err;
		err = tmk_workspace_pop(ws);
		first = first ? first : told(err);
	}
	err = tmk_workspace_push(re);
	for (i = 0; !err && i < SPILLS; i++)
		err = alloc(re, 6000 * (size_t)(i % 7 + 1));
	first = first ? first : err;
	for (err = 0, i = 0; !err && i < 40; i++)
		err = tmk_workspace_push(re);
	first = first ? first : told(err);
	err = detached();
	first = first ? first : err;
	/* As deep as it was entered, and no deeper. */
	for (; i >= 0 && tmk_workspace_current(); i--)
		if (i && tmk_workspace_pop(re) && !first)
			first = told(-ENOMEM);
	return first;
}

static int rings_and_files(void)
{
	int err = ring(), second = file();

	return err ? err : second;
}

/* Opens a shared one as well, and ends with it open. */
static void *guest(void *arg)
{
	struct tmk_workspace *ws = arg;
	int i, err;

	err = told(tmk_workspace_push(ws));
	for (i = 0; !err && i < 20; i++)
		err = told(tmk_workspace_push(ws));
	if (!err)
		err = alloc(ws, 100000);
	if (!err)
		err = tensors(ws);
	return (void *)(intptr_t)err;
}

static int shared(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;
	void *ret = (void *)-1;
	pthread_t thread;
	int i, err, first;

	o.flags = TMK_WS_F_SHARED;
	o.spill = TMK_WS_SPILL_REALLOCATE;
	first = told(tmk_workspace_ensure(&ws, "shared", &o));
	if (first)
		return first;
	for (i = 0; i < 2; i++) {
		err = told(tmk_workspace_push(ws));
		if (!err) {
			err = tensors(ws);
			first = first ? first : err;
			if (pthread_create(&thread, NULL, guest, ws) ||
			    pthread_join(thread, &ret))
				return -EPROTO;
			first = first ? first : (int)(intptr_t)ret;
			err = told(tmk_workspace_pop(ws));
		}
		first = first ? first : err;
	}
	/* Nobody's end destroys it. */
	return tmk_workspace_destroy(ws) ? -EPROTO : first;
}

static int (*what)(void); /* is swept */

static void *in_thread(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)what();
}

static int run(void)
{
	pthread_t thread;
	void *ret = (void *)-1;

	if (pthread_create(&thread, NULL, in_thread, NULL) ||
	    pthread_join(thread, &ret))
		return -EPROTO;
	return (int)(intptr_t)ret;
}

/* Each in a process of its own, so that tables are made anew every time. */
static int run_with_fault(unsigned long nr, bool *hit)
{
	int pipes[2], report[2] = { -EPROTO, 0 }, status;
	pid_t pid;

	if (pipe(pipes))
		return -EPROTO;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		uint64_t before = held();

		tmk__fault_arm(NULL, (unsigned long)nr);
		report[0] = run();
		report[1] = tmk__fault_fired();
		tmk__fault_arm(NULL, 0);
		if (held() != before)
			report[0] = -EBADE;
		/* And after it all is as if nothing had been. */
		if (run())
			report[0] = -EBADE;
		if (write(pipes[1], report, sizeof(report)) < 0)
			_exit(2);
		exit(0);
	}
	close(pipes[1]);
	if (pid < 0 || read(pipes[0], report, sizeof(report)) < 0 ||
	    waitpid(pid, &status, 0) != pid || status)
		report[0] = -EPROTO;
	close(pipes[0]);
	*hit = report[1];
	return report[0];
}

/* Return: how many steps there were. */
static unsigned long sweep(int (*run_it)(void), int *wrong)
{
	bool hit = true;
	unsigned long nr;
	int err;

	what = run_it;
	for (nr = 1; hit && nr < 1000; nr++) {
		err = run_with_fault(nr, &hit);
		/* A larger spill chunk that was refused is no error. */
		if (!err || (hit && err == -ENOMEM))
			continue;
		TH_LOG("step %lu: %d", nr, err);
		++*wrong;
	}
	*wrong += hit;
	TH_LOG("%lu steps", nr - 2);
	return nr - 2;
}

TEST_TIMEOUT(every_step_fails_once, 300)
{
	int wrong = 0;

	/* That there were steps to fail. */
	EXPECT_LT(40, sweep(scenario, &wrong));
	EXPECT_EQ(0, wrong);
}

TEST_TIMEOUT(every_step_of_shared_ones_fails_once, 300)
{
	int wrong = 0;

	EXPECT_LT(20, sweep(shared, &wrong));
	EXPECT_EQ(0, wrong);
}

TEST_TIMEOUT(every_step_of_rings_and_files_fails_once, 300)
{
	int wrong = 0;

	EXPECT_LT(20, sweep(rings_and_files, &wrong));
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
