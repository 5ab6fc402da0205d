// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Every internal step fails once, while everything is checked. Whatever fails,
 * the request is refused as a whole or served as if nothing had been; the ledger
 * returns to its former value, and nothing is taken for a leak at the end.
 */
#include "debug.h"

#include "handle.h"

static struct seen seen;

static int run_block(void)
{
	void *p = NULL, *q = NULL;
	int err = block(&p, 700, 0, 0, "sweep");

	if (!err)
		err = block(&q, 300000, TMK_ALLOC_F_ZERO, 8192, NULL);
	if (!err)
		MUST(is_full(q, 300000, 0));
	MUST(p || !q);
	MUST(!tmk_free(p) && !tmk_free(q));
	return err;
}

static int run_move(void)
{
	char *p = NULL;
	int err = block(&p, 5000, 0, 0, NULL);

	if (err)
		return err;
	memset(p, 2, 5000);
	err = tmk_realloc((void **)&p, p, 100000, NULL);
	MUST(is_full(p, 5000, 2));
	MUST(!tmk_free(p));
	return err;
}

static int run_fence(void)
{
	struct tmk_fence *fence;
	void *p = NULL;
	int err = tmk_fence_create(&fence, -1);

	if (err)
		return err;
	err = tmk_alloc(&p, 9000, NULL);
	if (!err)
		err = tmk_free_after(p, fence);
	if (err)
		MUST(!tmk_free(p));
	tmk_fence_signal(fence);
	tmk_fence_put(fence);
	return err;
}

static int run_region(void)
{
	struct tmk_region *region = NULL, *again = NULL;
	struct tmk_tensor *t = NULL;
	int64_t n = 100;
	int err = create(&region, 10000, TMK_KIND_PINNED, 0);

	if (!err)
		err = tmk_region_import(&again, tmk_region_fd(region));
	if (!err)
		err = tmk_tensor_from_region(&t, region, 0, TMK_U8, 1, &n);
	MUST((region || !again) && (again || !t));
	tmk_tensor_put(t);
	tmk_region_put(again);
	tmk_region_put(region);
	return err;
}

static int run_tensor(void)
{
	struct tmk_tensor *t = NULL, *v = NULL;
	int64_t n = 100;
	int err = tmk_tensor_create(&t, TMK_F32, 1, &n);

	if (!err)
		err = tmk_tensor_reshape(&v, t, 1, &n);
	tmk_tensor_put(v);
	tmk_tensor_put(t);
	return err;
}

static int run_workspace(void)
{
	struct tmk_workspace_opts opts = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;
	struct tmk_tensor *t;
	int64_t n = 1000;
	int err, i;

	opts.initial_bytes = 2000;
	opts.spill = TMK_WS_SPILL_REALLOCATE;
	err = tmk_workspace_create(&ws, "sweep", &opts);
	if (err) {
		MUST(!ws);
		return err;
	}
	for (i = 0; i < 3 && !err; i++) {
		err = tmk_workspace_push(ws);
		if (err)
			break;
		err = tmk_tensor_create(&t, TMK_F32, 1, &n);
		if (!err)
			memset(tmk_tensor_data(t), 1, 4000);
		/* That the block cannot be had yet is told, and no harm. */
		(void)tmk_workspace_pop(ws);
	}
	MUST(!tmk_workspace_destroy(ws));
	return err;
}

static const struct {
	int (*run)(void);
	unsigned long steps; /* the fewest that it must have */
} ops[] = {
	{ run_block, 8 },  { run_move, 6 },   { run_fence, 5 },
	{ run_region, 5 }, { run_tensor, 4 }, { run_workspace, 5 },
};

static size_t op;

/* From a process that has nothing yet, so that all that is made once is. */
static void sweep(void)
{
	unsigned long nth;
	int err, status;
	pid_t pid;

	for (nth = 1; nth < 1000; nth++) {
		pid = fork();
		if (!pid) {
			tmk__fault_arm(NULL, nth);
			err = ops[op].run();
			tmk__fault_arm(NULL, 0);
			if (!tmk__fault_fired())
				exit(err ? 2 : 1);
			MUST(err <= 0 && (!err || tmk_error_last()[0]));
			tmk_trim(0);
			MUST(all_zero());
			MUST(!ops[op].run());
			tmk_trim(0);
			MUST(all_zero());
			(void)tmk_close();
			exit(0);
		}
		MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		if (WEXITSTATUS(status) == 1)
			break;
		if (WEXITSTATUS(status))
			fprintf(stderr, "step %lu: %d\n", nth,
				WEXITSTATUS(status));
		MUST(!WEXITSTATUS(status));
	}
	MUST(nth > ops[op].steps);
}

TEST_TIMEOUT(every_step_fails_once, 120)
{
	static const char *const modes[] = { "leaks", ALL };
	size_t i;

	for (op = 0; op < TMK__ARRAY_SIZE(ops); op++) {
		for (i = 0; i < TMK__ARRAY_SIZE(modes); i++) {
			see(&seen, modes[i], sweep);
			if (!silent(&seen)) {
				TH_LOG("operation %zu, %s", op, modes[i]);
				tap_fail(__FILE__, __LINE__, false);
			}
		}
	}
}

static void same_header_again(void)
{
	struct tmk_tensor *t, *before;
	int64_t n = 100;

	MUST(!tmk_tensor_create(&before, TMK_F32, 1, &n));
	tmk_tensor_put(before);
	MUST(!tmk_tensor_create(&before, TMK_F32, 1, &n));
	/* No entry is left over: the next one has to be made. */
	tmk__fault_arm("holder", 1);
	MUST(tmk_tensor_create(&t, TMK_F32, 1, &n) == -ENOMEM);
	MUST(says("no memory to remember what the program has"));
	tmk__fault_arm(NULL, 0);
	MUST(!tmk_tensor_create(&t, TMK_F32, 1, &n));
	MUST(tmk__handle_slot(t) == tmk__handle_slot(before) + 1);
	tmk_tensor_put(t);
	tmk_tensor_put(before);
}

TEST(a_header_that_was_not_used_is_free)
{
	see(&seen, "leaks", same_header_again);
	EXPECT_TRUE(silent(&seen));
}

static void no_more_mappings(void)
{
	void *p = NULL, *q;

	MUST(!tmk_alloc(&q, 100, NULL));
	tmk__fault_arm("protect", 1);
	MUST(tmk_alloc(&p, 100, NULL) == -ENOMEM && !p);
	MUST(says("cannot allocate 100 B with guards around it"));
	tmk__fault_arm(NULL, 0);
	MUST(!tmk_alloc(&p, 5000, NULL));
	MUST(!tmk_free(p) && !tmk_free(q));
}

TEST(no_more_mappings_are_to_be_had)
{
	see(&seen, "guard", no_more_mappings);
	EXPECT_TRUE(silent(&seen));
}

TEST_HARNESS_MAIN
