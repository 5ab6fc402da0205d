// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Every internal step of opening, creating, importing and asking fails once,
 * one after the other: memory, descriptors, system calls, files. Whatever
 * fails, the ledger returns to its former value, no descriptor and no mapping
 * is left, and the next attempt works.
 */
#include "util.h"

/**
 * struct op - something that is swept
 * @name: for the log
 * @run: does it and undoes it; 0 or a negative errno
 * @steps: the fewest steps it must have
 * @feature: what the backend must be able to do, NULL for nothing
 */
struct op {
	const char *name;
	int (*run)(void);
	int steps;
	const char *feature;
};

static struct tmk_region *shared; /* what is imported and asked about */

static int run_open(void)
{
	int err = tmk_open(NULL);

	return err ? err : tmk_close();
}

static int run_open_initial(void)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	int err;

	opts.initial_bytes = 2 * MIB;
	err = tmk_open(&opts);
	return err ? err : tmk_close();
}

static int run_create(enum tmk_kind kind, uint32_t flags)
{
	struct tmk_region *region;
	int err = create(&region, 2 * MIB, kind, flags);

	if (err)
		return err;
	memset(tmk_region_data(region), 1, 2 * MIB);
	tmk_region_put(region);
	return 0;
}

static int run_pinned(void)
{
	return run_create(TMK_KIND_PINNED, 0);
}

static int run_huge(void)
{
	return run_create(TMK_KIND_HUGE, 0);
}

static int run_require(void)
{
	return run_create(TMK_KIND_HUGE, TMK_REGION_F_REQUIRE);
}

static int run_file(const char *path)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region *region;
	int err;

	opts.kind = TMK_KIND_FILE;
	opts.path = path;
	err = tmk_region_create(&region, MIB, &opts);
	if (err)
		return err;
	memset(tmk_region_data(region), 1, MIB);
	tmk_region_put(region);
	return 0;
}

static int run_unnamed(void)
{
	return run_file(NULL);
}

static int run_named(void)
{
	char path[TEMP_PATH];
	int fd = temp_file(path), err;

	if (fd < 0)
		return 1;
	close(fd);
	err = run_file(path);
	return unlink(path) ? 1 : err;
}

static int run_hugetlb(void)
{
	return run_create(TMK_KIND_HUGETLB, 0);
}

static int run_trim(void)
{
	struct tmk_region *region;
	int err = create(&region, 4 * MIB, TMK_KIND_HUGE, TMK_REGION_F_TRIM);

	if (err)
		return err;
	err = tmk_region_trim(NULL, region, 0, 2 * MIB);
	if (!err)
		err = tmk_region_fill(region, 0, 4 * MIB);
	tmk_region_put(region);
	return err;
}

static int run_dmabuf(void)
{
	int fd, err = tmk_region_dmabuf(&fd, shared);

	return err ? err : close(fd);
}

static int run_readonly(void)
{
	struct tmk_region *region;
	int fd, err = tmk_region_readonly(&fd, shared);

	if (err)
		return err;
	err = tmk_region_import(&region, fd);
	close(fd);
	if (!err)
		tmk_region_put(region);
	return err;
}

static int run_seal(void)
{
	struct tmk_region *region, *again;
	int err = create(&region, 4096, TMK_KIND_PINNED, 0);

	if (err)
		return err;
	err = tmk_region_seal(region);
	if (!err)
		err = tmk_region_import(&again, tmk_region_fd(region));
	if (!err)
		tmk_region_put(again);
	tmk_region_put(region);
	return err;
}

static int run_effective(void)
{
	struct tmk_limits_effective limits;

	return tmk_limits_effective(&limits);
}

static int run_stats(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int err = tmk_stats_write(fd, TMK_STATS_JSON);

	close(fd);
	return err;
}

static int run_import(void)
{
	struct tmk_region *region;
	int err = tmk_region_import(&region, tmk_region_fd(shared));

	if (err)
		return err;
	memset(tmk_region_data(region), 1, 4096);
	tmk_region_put(region);
	return 0;
}

static int run_info(void)
{
	struct tmk_region_info info;

	return tmk_region_info(&info, shared);
}

static int run_backend_info(void)
{
	struct tmk_backend_info info;

	return tmk_backend_info(&info);
}

static const struct op closed_ops[] = {
	{ "open", run_open, 3, NULL },
	{ "open with a reservation", run_open_initial, 6, NULL },
	{ "backend_info", run_backend_info, 3, NULL },
	{ "limits_effective", run_effective, 5, NULL },
};

static const struct op open_ops[] = {
	{ "pinned", run_pinned, 5, NULL },
	{ "huge", run_huge, 5, NULL },
	{ "require", run_require, 5, "huge" },
	{ "unnamed file", run_unnamed, 5, "file" },
	{ "named file", run_named, 6, "file" },
	{ "hugetlb", run_hugetlb, 5, "hugetlb" },
	{ "import", run_import, 4, NULL },
	{ "info", run_info, 1, NULL },
	{ "trim", run_trim, 9, "trim" },
	{ "dmabuf", run_dmabuf, 1, "dmabuf" },
	{ "readonly", run_readonly, 5, "readonly" },
	{ "seal", run_seal, 9, "seal" },
	{ "limits_effective", run_effective, 2, NULL },
	{ "stats", run_stats, 1, NULL },
};

/* Return: how many steps there were. */
static int sweep(const struct op *op, bool close_each)
{
	uint64_t before = held();
	int fds = fds_nr(), maps = maps_nr(), nr, told = 0, err;

	for (nr = 1; nr < 10000; nr++) {
		tmk__fault_arm(NULL, (unsigned long)nr);
		err = op->run();
		tmk__fault_arm(NULL, 0);
		if (!tmk__fault_fired())
			break;
		told += err != 0;
		/* Not every step matters: what is not got is said, or had. */
		if (err && !*tmk_error_last())
			TH_LOG("%s, step %d: %d and no word", op->name, nr,
			       err);
		if (err > 0 || (err && !*tmk_error_last()))
			tap_fail(__FILE__, __LINE__, false);
		if (close_each)
			EXPECT_EQ(0, tmk_close());
		EXPECT_EQ(before, held());
		EXPECT_EQ(fds, fds_nr());
		EXPECT_EQ(maps, maps_nr());
		if (tap_result->failed) {
			TH_LOG("%s, step %d", op->name, nr);
			break;
		}
	}
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, op->run());
	if (close_each)
		EXPECT_EQ(0, tmk_close());
	TH_LOG("%s: %d steps, %d of them told", op->name, nr - 1, told);
	return nr - 1;
}

TEST(everything_that_opens)
{
	size_t i;

	/* Once without faults, for what is made for ever. */
	ASSERT_EQ(0, run_open());
	for (i = 0; i < TMK__ARRAY_SIZE(closed_ops); i++)
		EXPECT_LE(closed_ops[i].steps, sweep(&closed_ops[i], true));
	EXPECT_TRUE(all_zero());
}

TEST(everything_that_makes_regions)
{
	size_t i;

	ASSERT_EQ(0, create(&shared, 2 * MIB, TMK_KIND_HUGE, 0));
	for (i = 0; i < TMK__ARRAY_SIZE(open_ops); i++) {
		if (open_ops[i].feature && !feature(open_ops[i].feature))
			continue;
		/* tests/vm/hugetlb.sh runs this where the pool has some. */
		if (open_ops[i].run == run_hugetlb && run_hugetlb() == -ENOMEM)
			continue;
		EXPECT_LE(open_ops[i].steps, sweep(&open_ops[i], false));
	}
	tmk_region_put(shared);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, tmk_close());
}

/* The same while there is a reservation: it may go, and nothing else. */
TEST(with_a_reservation)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	int nr;

	opts.initial_bytes = 8 * MIB;
	for (nr = 1; nr < 1000; nr++) {
		ASSERT_EQ(0, tmk_open(&opts));
		tmk__fault_arm(NULL, (unsigned long)nr);
		run_pinned();
		tmk__fault_arm(NULL, 0);
		EXPECT_EQ(held(), stats_now().by_use[TMK_USE_CACHE].current);
		EXPECT_EQ(0, tmk_close());
		EXPECT_TRUE(all_zero());
		if (!tmk__fault_fired())
			break;
	}
	EXPECT_LT(5, nr);
}

TEST(a_step_by_its_name)
{
	struct tmk_region *region = NULL;

	ASSERT_EQ(0, tmk_open(NULL));
	tmk__fault_arm("mmap", 1);
	EXPECT_EQ(-ENOMEM, create(&region, 4096, TMK_KIND_PINNED, 0));
	EXPECT_TRUE(tmk__fault_fired());
	EXPECT_EQ(1, tmk__fault_steps());
	EXPECT_TRUE(says("cannot map a region of 4096 bytes"));
	/* Once only. */
	EXPECT_EQ(0, create(&region, 4096, TMK_KIND_PINNED, 0));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

/* A huge page that was busy is tried once more, piece by piece. */
TEST(huge_pages_are_tried_twice)
{
	struct tmk_region *region = NULL;
	struct tmk_region_info info;

	if (on_dev() || !feature("huge"))
		return;
	tmk__fault_arm("collapse", 1);
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	tmk__fault_arm(NULL, 0);
	EXPECT_TRUE(tmk__fault_fired());
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(4 * MIB, info.bytes_2m);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
