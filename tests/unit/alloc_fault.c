// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Every internal step of the allocator fails once, one after the other. Whatever
 * fails, the request is refused as a whole or served as if nothing had been; the
 * ledger returns to its former value and the next attempt works.
 */
#include "util.h"

/**
 * struct op - something that is swept
 * @name: for the log
 * @run: does it and undoes it; 0 or a negative errno
 * @steps: the fewest steps it must have
 */
struct op {
	const char *name;
	int (*run)(void);
	int steps;
};

static int run_bytes(size_t bytes, const struct tmk_alloc_opts *opts)
{
	void *p = NULL;
	int err = tmk_alloc(&p, bytes, opts);

	if (err)
		return p ? 1 : err;
	memset(p, 1, bytes);
	return tmk_free(p);
}

static int run_object(void)
{
	return run_bytes(700, NULL);
}

static int run_block(void)
{
	return run_bytes(300000, NULL);
}

static int run_huge(void)
{
	return run_bytes(5 * MIB + 100000, NULL);
}

static int run_kind(void)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;

	opts.kind = TMK_KIND_PINNED;
	opts.alignment = 65536;
	opts.flags = TMK_ALLOC_F_ZERO;
	opts.purpose = "sweep";
	return run_bytes(100000, &opts);
}

static int run_move(void)
{
	void *p = NULL, *other = NULL;
	int err = tmk_alloc(&p, 100000, NULL);

	if (err)
		return err;
	memset(p, 2, 100000);
	err = tmk_alloc(&other, 100000, NULL);
	if (!err)
		err = tmk_realloc(&p, p, 3 * MIB, NULL);
	if (((char *)p)[99999] != 2)
		return 1;
	if (other && tmk_free(other))
		return 1;
	return tmk_free(p) ? 1 : err;
}

static int run_trim(void)
{
	int err = run_bytes(3 * MIB, NULL);

	tmk_trim(0);
	return err;
}

static int run_first(void)
{
	int err = run_bytes(70000, NULL);
	int close = tmk_close();

	return err ? err : close;
}

static const struct op ops[] = {
	{ "first", run_first, 5 }, { "object", run_object, 5 },
	{ "block", run_block, 5 }, { "huge", run_huge, 8 },
	{ "kind", run_kind, 5 },   { "move", run_move, 8 },
	{ "trim", run_trim, 5 },
};

static void sweep(const struct op *op)
{
	unsigned long nth;
	int err, fds;

	/* The one that opens the library, if it is not. */
	ASSERT_EQ(0, op->run());
	tmk_trim(0);
	fds = fds_nr();
	for (nth = 1;; nth++) {
		tmk__fault_arm(NULL, nth);
		err = op->run();
		tmk__fault_arm(NULL, 0);
		if (!tmk__fault_fired())
			break;
		if (err > 0 || (err && !tmk_error_last()[0])) {
			TH_LOG("%s, step %lu: %d", op->name, nth, err);
			ASSERT_LE(err, 0);
		}
		EXPECT_EQ(0, stats_now().by_use[TMK_USE_GENERAL].current);
		tmk_trim(0);
		if (!all_zero() || fds_nr() > fds) {
			TH_LOG("%s, step %lu: %lu bytes, %d of %d descriptors are left",
			       op->name, nth, (unsigned long)held(), fds_nr(),
			       fds);
			ASSERT_TRUE(false);
		}
		ASSERT_EQ(0, op->run());
		tmk_trim(0);
		ASSERT_LT(nth, 10000);
	}
	EXPECT_EQ(0, err);
	TH_LOG("%s: %lu steps", op->name, nth - 1);
	/* The module makes and fills a region in one. */
	EXPECT_GE(nth - 1 + on_dev(), op->steps);
}

TEST(every_step_of_the_first_block)
{
	unsigned long nth;
	int status;

	/* In a process that has no allocator yet, again and again. */
	for (nth = 1; nth < 100; nth++) {
		pid_t pid = fork();

		if (!pid) {
			int err;

			tmk__fault_arm(NULL, nth);
			err = run_first();
			tmk__fault_arm(NULL, 0);
			if (!tmk__fault_fired())
				_exit(err ? 2 : 1);
			if (err > 0 || !all_zero() || run_first())
				_exit(3);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		if (WEXITSTATUS(status) == 1)
			break;
		ASSERT_EQ(0, WEXITSTATUS(status));
	}
	TH_LOG("%lu steps", nth - 1);
	EXPECT_GE(nth, 15);
}

TEST(every_step_of_every_call)
{
	size_t i;

	ASSERT_EQ(0, tmk_open(NULL));
	for (i = 0; i < TMK__ARRAY_SIZE(ops); i++)
		sweep(&ops[i]);
	tmk_close();
	EXPECT_TRUE(all_zero());
}

TEST(no_descriptors)
{
	struct rlimit before, none;
	void *p, *q = NULL;

	ASSERT_EQ(0, tmk_alloc(&p, 100000, NULL));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
	none = (struct rlimit){ 0, before.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_NE(0, tmk_alloc(&q, 8 * MIB, NULL));
	EXPECT_EQ(NULL, q);
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, tmk_alloc(&p, 100000, NULL));
	EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
}

static int as_nobody(void *arg)
{
	struct rlimit none = { 0, 0 };
	void *p, *q;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &none) || become_nobody())
		return 4;
	if (tmk_open(NULL))
		return 4;
	/* No base pages can be locked: huge regions then, for any size. */
	if (tmk_alloc(&p, 1000, NULL) || tmk_alloc(&q, 100000, NULL))
		return 1;
	if (stats_now().by_kind[TMK_KIND_PINNED].current)
		return on_dev() ? 0 : 2;
	return tmk_free(p) || tmk_free(q) || tmk_close() ? 3 : 0;
}

TEST(nothing_can_be_locked)
{
	int status = in_child(as_nobody, NULL);

	if (status == 4)
		SKIP(return, "cannot become an ordinary user here");
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
