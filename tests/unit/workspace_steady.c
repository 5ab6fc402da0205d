// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Steady state is free: in a warmed-up cycle no malloc, no page fault, no call
 * to the backend and no system call at all. The last is proved by a seccomp
 * filter that ends the process at the first one.
 *
 * Sanitizers allocate, map and call the system behind the program's back: there
 * the counters of the library are all that is looked at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tmk/tmk.h>

#include "../harness/sanitize.h"
#include "../harness/tap.h"
#include "seccomp.h"

#define CYCLES 1000

static unsigned long mallocs;

#if !SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t nr, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	mallocs++;
	return __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	mallocs++;
	return __libc_calloc(nr, size);
}

void *realloc(void *p, size_t size)
{
	mallocs++;
	return __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	mallocs++;
	return __libc_memalign(alignment, size);
}
#endif

static struct tmk_workspace *step, *layer;
static struct tmk_tensor *weights, *labels;

static int set_up(uint64_t initial)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	int64_t shape[2] = { 32, 10 }, nr = 16;
	int err;

	o.initial_bytes = initial;
	err = tmk_workspace_create(&step, "step", &o);
	if (!err)
		err = tmk_workspace_create(&layer, "layer", &o);
	if (!err)
		err = tmk_tensor_create(&weights, TMK_F32, 2, shape);
	if (!err)
		err = tmk_tensor_fill(weights, 0.01);
	if (!err)
		err = tmk_tensor_create(&labels, TMK_I32, 1, &nr);
	if (!err)
		err = tmk_tensor_fill(labels, 3);
	if (err)
		TH_LOG("%s", tmk_error_last());
	return err;
}

/* What an iteration of a small training loop does, and more tensors. */
static int cycle(void)
{
	int64_t xs[2] = { 16, 32 }, ys[2] = { 16, 10 }, nr = 10, i;
	struct tmk_tensor *x, *y, *dy, *dw, *db, *view, *many;
	float loss;
	void *raw;
	int err = tmk_workspace_push(step);

	err |= tmk_tensor_create(&x, TMK_F32, 2, xs);
	err |= tmk_tensor_fill(x, 0.5);
	err |= tmk_tensor_create(&y, TMK_F32, 2, ys);
	err |= tmk_gemm(y, 1, x, false, weights, false, 0);
	err |= tmk_workspace_push(layer);
	err |= tmk_tensor_create(&db, TMK_F32, 1, &nr);
	err |= tmk_tensor_dup(&dy, y);
	err |= tmk_softmax_xent(&loss, dy, y, labels);
	err |= tmk_tensor_create_in(&dw, step, NULL, TMK_F32, 2,
				    tmk_tensor_shape(weights));
	err |= tmk_gemm(dw, 1, x, true, dy, false, 0);
	err |= tmk_tensor_sum_rows(db, dy);
	err |= tmk_tensor_transpose(&view, dw, 0, 1);
	err |= tmk_tensor_slice(&view, view, 0, 2, 5);
	err |= tmk_tensor_scale(view, 0.5f);
	err |= tmk_workspace_push(layer);
	for (i = 0; i < 200; i++) {
		err |= tmk_tensor_create(&many, TMK_F32, 1, &nr);
		err |= tmk_tensor_zero(many);
		if (i & 1)
			tmk_tensor_put(many);
	}
	err |= tmk_workspace_alloc(&raw, layer, 1000, true);
	err |= tmk_workspace_pop(layer);
	err |= tmk_workspace_pop(layer);
	err |= tmk_tensor_check(dy, "dy") != -ESTALE;
	err |= tmk_axpy(weights, -0.01f, dw);
	err |= tmk_workspace_pop(step);
	return err;
}

static struct tmk_stats stats(void)
{
	struct tmk_stats s = { .stats_size = sizeof(s) };

	if (tmk_stats_snapshot(&s))
		TH_LOG("%s", tmk_error_last());
	return s;
}

static int warm_up(void)
{
	int i, err = 0;

	for (i = 0; i < 20; i++)
		err |= cycle();
	if (err)
		TH_LOG("%s", tmk_error_last());
	return err;
}

static int measure(struct tap_test *_metadata)
{
	struct tmk_workspace_info before, after;
	struct rusage from, to;
	struct tmk_stats s, t;
	unsigned long allocated;
	int i, err = 0;

	(void)_metadata;
	EXPECT_EQ(0, warm_up());
	err |= tmk_workspace_info(&before, layer);
	s = stats();
	getrusage(RUSAGE_THREAD, &from);
	getrusage(RUSAGE_THREAD, &from);
	allocated = mallocs;
	for (i = 0; i < CYCLES; i++)
		err |= cycle();
	allocated = mallocs - allocated;
	getrusage(RUSAGE_THREAD, &to);
	t = stats();
	err |= tmk_workspace_info(&after, layer);
	EXPECT_EQ(0, err);
	EXPECT_EQ(s.backend_calls, t.backend_calls);
	EXPECT_EQ(s.regions_created, t.regions_created);
	EXPECT_EQ(s.total.current, t.total.current);
	EXPECT_EQ(CYCLES, after.cycles - before.cycles);
	EXPECT_EQ(0, after.spilled_total - before.spilled_total);
	if (!SANITIZED) {
		EXPECT_EQ(0, allocated);
		EXPECT_EQ(0, to.ru_minflt - from.ru_minflt);
		EXPECT_EQ(0, to.ru_majflt - from.ru_majflt);
	}
	return err;
}

static int tear_down(void)
{
	tmk_tensor_put(weights);
	tmk_tensor_put(labels);
	return tmk_workspace_destroy_all();
}

TEST_TIMEOUT(learned_cycles_cost_nothing, 180)
{
	ASSERT_EQ(0, set_up(0));
	EXPECT_EQ(0, measure(_metadata));
	EXPECT_EQ(0, tear_down());
}

TEST_TIMEOUT(preset_cycles_cost_nothing, 180)
{
	ASSERT_EQ(0, set_up(4 << 20));
	EXPECT_EQ(0, measure(_metadata));
	EXPECT_EQ(0, tear_down());
}

#if !SANITIZED
TEST_TIMEOUT(no_system_call_at_all, 180)
{
	int i, err = 0;

	ASSERT_EQ(0, set_up(0));
	ASSERT_EQ(0, warm_up());
	if (forbid_system_calls())
		SKIP(return, "no seccomp filter: %s", strerror(errno));
	for (i = 0; i < CYCLES; i++)
		err |= cycle();
	/* Not by the harness's road: it writes and unmaps. */
	_exit(!!err);
}

/* The filter does what it says: creating a region ends the process. */
TEST(the_filter_bites)
{
	struct tmk_workspace *ws;
	void *p;
	int status;
	pid_t pid;

	ASSERT_EQ(0, tmk_workspace_create(&ws, "a", NULL));
	ASSERT_EQ(0, tmk_workspace_destroy(ws));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (tmk_workspace_create(&ws, "a", NULL) ||
		    tmk_workspace_push(ws) || forbid_system_calls())
			_exit(2);
		_exit(tmk_workspace_alloc(&p, ws, 1, false)); /* a spill */
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		SKIP(return, "no seccomp filter");
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
#endif

TEST_HARNESS_MAIN
