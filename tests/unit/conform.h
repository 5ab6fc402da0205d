/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the conformance tests share: the configurations that their cases name,
 * at alignment 16, and tensors of doubles. A test bears the id of its case; where
 * tmk does something else on purpose it says so and asserts that.
 */
#ifndef TMK_TESTS_UNIT_CONFORM_H
#define TMK_TESTS_UNIT_CONFORM_H

#include "util.h"

#define TEN_MIB 10485760

static TAP_UNUSED struct tmk_workspace_opts base(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	o.alignment = 16;
	return o;
}

/* "basicConfig" */
static TAP_UNUSED struct tmk_workspace_opts opts_bc(void)
{
	struct tmk_workspace_opts o = base();

	o.initial_bytes = TEN_MIB;
	o.max_bytes = TEN_MIB;
	o.overallocation_limit = 0.1;
	o.allocation = TMK_WS_STRICT;
	return o;
}

/* "loopOverTime", by hand only */
static TAP_UNUSED struct tmk_workspace_opts opts_lt(void)
{
	struct tmk_workspace_opts o = opts_bc();

	o.initial_bytes = 0;
	o.learning = TMK_WS_LEARN_OVER_TIME;
	return o;
}

/* "loopFirst" */
static TAP_UNUSED struct tmk_workspace_opts opts_lf(void)
{
	struct tmk_workspace_opts o = opts_lt();

	o.learning = TMK_WS_LEARN_FIRST_LOOP;
	return o;
}

/* Provider basic: 90,112 bytes. */
static TAP_UNUSED struct tmk_workspace_opts opts_pb(void)
{
	struct tmk_workspace_opts o = base();

	o.initial_bytes = 81920;
	o.overallocation_limit = 0.1;
	o.learning = TMK_WS_LEARN_NONE;
	return o;
}

/* Provider loop, over time by hand, strict. */
static TAP_UNUSED struct tmk_workspace_opts opts_pl(void)
{
	struct tmk_workspace_opts o = base();

	o.allocation = TMK_WS_STRICT;
	o.learning = TMK_WS_LEARN_OVER_TIME;
	return o;
}

static TAP_UNUSED struct tmk_workspace_opts opts_pf(void)
{
	struct tmk_workspace_opts o = opts_pl();

	o.learning = TMK_WS_LEARN_FIRST_LOOP;
	return o;
}

static TAP_UNUSED struct tmk_workspace_opts opts_pr(void)
{
	struct tmk_workspace_opts o = opts_pl();

	o.spill = TMK_WS_SPILL_REALLOCATE;
	return o;
}

/* A ring, as strict as can be. */
static TAP_UNUSED struct tmk_workspace_opts opts_pc(void)
{
	struct tmk_workspace_opts o = base();

	o.min_bytes = TEN_MIB;
	o.overallocation_limit = 1;
	o.allocation = TMK_WS_STRICT;
	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	return o;
}

/* A ring of four blocks that may be made anew. */
static TAP_UNUSED struct tmk_workspace_opts opts_pa(void)
{
	struct tmk_workspace_opts o = base();

	o.overallocation_limit = 3;
	o.spill = TMK_WS_SPILL_REALLOCATE;
	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	return o;
}

static TAP_UNUSED struct tmk_workspace_opts strict(uint64_t initial)
{
	struct tmk_workspace_opts o = base();

	o.initial_bytes = initial;
	o.allocation = TMK_WS_STRICT;
	o.learning = TMK_WS_LEARN_NONE;
	return o;
}

static TAP_UNUSED struct tmk_workspace_opts learned(double limit)
{
	struct tmk_workspace_opts o = base();

	o.overallocation_limit = limit;
	return o;
}

/* A workspace, or the end of the test with the library's sentence. */
static TAP_UNUSED struct tmk_workspace *make(const char *id,
					     struct tmk_workspace_opts o)
{
	struct tmk_workspace *ws;

	if (tmk_workspace_create(&ws, id, &o)) {
		TH_LOG("%s", tmk_error_last());
		exit(1);
	}
	return ws;
}

static TAP_UNUSED void enter(struct tmk_workspace *ws)
{
	if (tmk_workspace_push(ws)) {
		TH_LOG("%s", tmk_error_last());
		exit(1);
	}
}

static TAP_UNUSED void leave(struct tmk_workspace *ws)
{
	if (tmk_workspace_pop(ws)) {
		TH_LOG("%s", tmk_error_last());
		exit(1);
	}
}

static TAP_UNUSED struct tmk_workspace_info in(struct tmk_workspace *ws)
{
	struct tmk_workspace_info info;

	if (tmk_workspace_info(&info, ws)) {
		TH_LOG("%s", tmk_error_last());
		exit(1);
	}
	return info;
}

/* A vector of @bytes in the current workspace, not initialised. */
static TAP_UNUSED struct tmk_tensor *bytes(int64_t n)
{
	struct tmk_tensor *t;

	if (tmk_tensor_create(&t, TMK_U8, 1, &n)) {
		TH_LOG("%s", tmk_error_last());
		exit(1);
	}
	return t;
}

static TAP_UNUSED void set_all(struct tmk_tensor *t, double value)
{
	double *p = tmk_tensor_data(t);
	int64_t i;

	for (i = 0; i < tmk_tensor_nr(t); i++)
		p[i] = value;
}

static TAP_UNUSED struct tmk_tensor *doubles(int64_t n, double value)
{
	struct tmk_tensor *t;

	if (tmk_tensor_create(&t, TMK_F64, 1, &n)) {
		TH_LOG("%s", tmk_error_last());
		exit(1);
	}
	set_all(t, value);
	return t;
}

static TAP_UNUSED double sum(struct tmk_tensor *t)
{
	const double *p = tmk_tensor_data(t);
	double s = 0;
	int64_t i;

	for (i = 0; p && i < tmk_tensor_nr(t); i++)
		s += p[i];
	return p ? s : -1;
}

/* A whole scope with one allocation. */
static TAP_UNUSED void cycle_of(struct tmk_workspace *ws, int64_t n)
{
	enter(ws);
	if (n)
		bytes(n);
	leave(ws);
}

#endif /* TMK_TESTS_UNIT_CONFORM_H */
