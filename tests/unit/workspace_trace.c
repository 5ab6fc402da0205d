// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Each recorded step as a cyclic workload: once learned, a cycle makes no system
 * call (a seccomp filter would end the process), takes no page fault, and spills
 * nothing; in the order of the trace and with its releases. Where memory is short
 * the sizes are divided, the events are all played.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "conform.h"
#include "seccomp.h"
#include "trace.h"

#define CYCLES 50
#define BYTES_MAX (768 * MIB) /* so that the test does not take minutes */

static struct trace trace;
static struct tmk_tensor *tensors[TRACE_EVENTS];

/* Learning takes the sum once beside the block; a quarter is left for others. */
static bool load(int i)
{
	uint64_t divisor = 1, most = BYTES_MAX;
	struct tmk_limits limits;

	if (tmk_limits_get(&limits))
		return false;
	most = TMK__MIN(most, limits.max_bytes / 8 * 3);
	do {
		if (!trace_read(&trace, i, divisor))
			return false;
		divisor *= 2;
	} while (trace.aligned > most);
	if (divisor > 2)
		TH_LOG("sizes divided by %lu", (unsigned long)divisor / 2);
	return true;
}

static int step(struct tmk_workspace *ws)
{
	const struct trace_event *e = trace.events, *end = e + trace.nr;
	int err = tmk_workspace_push(ws);
	int64_t n;

	for (; !err && e < end; e++) {
		n = (int64_t)e->bytes;
		if (e->release)
			tmk_tensor_put(tensors[e->id]);
		else
			err = tmk_tensor_create(&tensors[e->id], TMK_U8, 1, &n);
	}
	return err | tmk_workspace_pop(ws);
}

static int raw_step(struct tmk_workspace *ws)
{
	const struct trace_event *e = trace.events, *end = e + trace.nr;
	int err = tmk_workspace_push(ws);
	char *p;

	for (; !err && e < end; e++) {
		if (e->release)
			continue;
		err = tmk_workspace_alloc((void **)&p, ws, e->bytes, false);
		if (!err)
			*p = 1;
	}
	return err | tmk_workspace_pop(ws);
}

static struct tmk_workspace *warm(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;
	int i;

	o.allocation = TMK_WS_STRICT;
	ws = make("step", o);
	for (i = 0; i < 3; i++)
		if (step(ws) || raw_step(ws))
			TH_LOG("%s", tmk_error_last());
	return ws;
}

static void counted(int i)
{
	struct tmk_stats before, after;
	struct tmk_workspace *ws;
	struct rusage from, to;
	uint64_t spilled;
	int k, err = 0;

	ASSERT_TRUE(load(i));
	ws = warm();
	EXPECT_EQ(trace.aligned, in(ws).size);
	spilled = in(ws).spilled_total;
	before = stats_now();
	getrusage(RUSAGE_THREAD, &from);
	getrusage(RUSAGE_THREAD, &from);
	for (k = 0; k < CYCLES; k++)
		err |= step(ws) | raw_step(ws);
	getrusage(RUSAGE_THREAD, &to);
	after = stats_now();
	EXPECT_EQ(0, err);
	EXPECT_EQ(spilled, in(ws).spilled_total);
	EXPECT_EQ((uint64_t)trace.allocs, spilled);
	EXPECT_EQ(before.backend_calls, after.backend_calls);
	EXPECT_EQ(before.regions_created, after.regions_created);
	if (!SANITIZED) {
		EXPECT_EQ(0, to.ru_minflt - from.ru_minflt);
		EXPECT_EQ(0, to.ru_majflt - from.ru_majflt);
	}
}

#if !SANITIZED
static int filtered(void *arg)
{
	struct tmk_workspace *ws;
	int i, err = 0;

	if (!load(*(int *)arg))
		return 2;
	ws = warm();
	if (forbid_system_calls())
		return 4;
	for (i = 0; i < CYCLES; i++)
		err |= step(ws) | raw_step(ws);
	_exit(err ? 1 : 0);
}

static void no_calls(int i)
{
	int ret = in_child(filtered, &i);

	if (ret == 4)
		SKIP(return, "no seccomp filter");
	EXPECT_EQ(0, ret);
}
#else
static void no_calls(int i)
{
	(void)i;
}
#endif

#define TRACE_TESTS(name, i)                           \
	TEST_TIMEOUT(name##_without_faults, 200)       \
	{                                              \
		counted(i);                            \
	}                                              \
	TEST_TIMEOUT(name##_without_system_calls, 200) \
	{                                              \
		no_calls(i);                           \
	}

TRACE_TESTS(mlp_train, 0)
TRACE_TESTS(bert_infer, 1)
TRACE_TESTS(resnet50_train, 2)
TRACE_TESTS(gpt2_train, 3)
TRACE_TESTS(llama7b_decode, 4)

TEST_HARNESS_MAIN
