// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Whatever is written to whichever file of /sys/kernel/tmk: it is a limit that
 * then holds, or it is refused and nothing changed.
 */
#include "cg_util.h"

static const char *const limits[] = { "max", "physical_max" };
static const char *const read_only[] = {
	"path",	   "online", "owner",	     "current", "physical_current",
	"by_kind", "events", "events.local",
};

#define NR(a) (sizeof(a) / sizeof((a)[0]))

struct junk {
	const char *text;
	size_t len; /* 0: a string */
};

static const struct junk junk[] = {
	{ " ", 0 },
	{ "\n", 0 },
	{ "x", 0 },
	{ "-1", 0 },
	{ "+1", 0 },
	{ "1.5M", 0 },
	{ "5 M", 0 },
	{ "5MM", 0 },
	{ "5MiB", 0 },
	{ "M", 0 },
	{ "5X", 0 },
	{ "0x10", 0 },
	{ "50%", 0 },
	{ "maximum", 0 },
	{ "MAX", 0 },
	{ "max max", 0 },
	{ "1 2", 0 },
	{ "5\n6", 0 },
	{ "18446744073709551615", 0 },
	{ "18446744073709551616", 0 },
	{ "16777216T", 0 },
	{ "99999999999999999999999999", 0 },
	{ "\0", 1 },
	{ "\0005M", 3 },
	{ "\xff\xfe", 2 },
};

/* 0 or a negative errno. */
static int write_bytes(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = write(fd, data, len) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static void refuses_junk(const char *path)
{
	char before[256], after[256], page[5000];
	size_t i;

	ASSERT_GT(read_text(path, before, sizeof(before)), 0);
	for (i = 0; i < NR(junk); i++) {
		const struct junk *j = &junk[i];
		int err = write_bytes(path, j->text,
				      j->len ? j->len : strlen(j->text));

		if (err != -EINVAL && err != -ERANGE)
			TH_LOG("%s takes junk %zu \"%s\"", path, i, j->text);
		EXPECT_TRUE(err == -EINVAL || err == -ERANGE);
	}
	memset(page, '7', sizeof(page));
	EXPECT_GT(0, write_bytes(path, page, sizeof(page)));
	EXPECT_GT(0, write_bytes(path, page, 4096));
	ASSERT_GT(read_text(path, after, sizeof(after)), 0);
	EXPECT_STREQ(before, after);
}

static void takes_limits(const char *path)
{
	static const struct {
		const char *text;
		unsigned long long bytes;
	} rows[] = {
		{ "0", 0 },
		{ "00012", 12 },
		{ "1K", 1024 },
		{ "3m\n", 3 << 20 },
		{ "\t2G \n", 2ULL << 30 },
		{ "16777215T", 16777215ULL << 40 },
		{ "18446744073709551614", 18446744073709551614ULL },
		{ "max\n", ULLONG_MAX },
	};
	char old[64];
	size_t i;

	ASSERT_GT(read_text(path, old, sizeof(old)), 0);
	for (i = 0; i < NR(rows); i++) {
		EXPECT_EQ(0, write_text(path, rows[i].text));
		EXPECT_EQ(rows[i].bytes, read_number(path));
	}
	/* What was read can be written. */
	EXPECT_EQ(0, write_text(path, old));
	EXPECT_EQ(0, write_text(path, "123456789"));
	ASSERT_EQ(0, write_text(path, old));
}

/* The files of a group, of which the machine is one. */
static void check_files(const char *dir)
{
	char path[PATH_MAX], before[256], after[256];
	size_t i;

	for (i = 0; i < NR(limits); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, limits[i]);
		refuses_junk(path);
		takes_limits(path);
	}
	for (i = 0; i < NR(read_only); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, read_only[i]);
		ASSERT_GT(read_text(path, before, sizeof(before)), 0);
		EXPECT_GT(0, write_text(path, "0"));
		EXPECT_GT(0, write_text(path, "max"));
		ASSERT_GT(read_text(path, after, sizeof(after)), 0);
		EXPECT_STREQ(before, after);
	}
}

/*
 * The machine has a limit before anybody sets one, and below all of its memory:
 * populating past it would have the OOM killer take processes at random.
 */
TEST(limited_from_the_start)
{
	unsigned long long limit = machine("physical_max");
	struct tmk_ioc_region_create c;
	int dev = device_open();

	ASSERT_GE(dev, 0);
	ASSERT_NE(ULLONG_MAX, limit);
	EXPECT_LT(limit, meminfo("MemTotal:"));
	c = create_cmd(TMK_IOC_KIND_HUGE,
		       limit / HUGE_BYTES * HUGE_BYTES + HUGE_BYTES);
	test_err(EDQUOT, create(dev, &c));
	EXPECT_EQ(TMK_IOC_REFUSAL_PHYSICAL_MAX, c.out_refusal);
	EXPECT_EQ(limit, c.out_refusal_limit);
	EXPECT_TRUE(settles(0));
	close(dev);
}

TEST(files_of_the_machine)
{
	check_files(SYSFS);
	EXPECT_GT(0, write_text(SYSFS "/version", "2"));
	EXPECT_GT(0, write_text(SYSFS "/populate", "own"));
}

TEST(files_of_a_group)
{
	char dir[PATH_MAX];

	cg_destroy("/files");
	ASSERT_EQ(0, cg_create("/files"));
	/* A second limit, so that lifting the first does not remove it. */
	ASSERT_EQ(0, tmk_limit("/files", "max", "1G"));
	ASSERT_EQ(0, tmk_limit("/files", "physical_max", "1G"));
	tmk_path(dir, cg_id("/files"), NULL);
	check_files(dir);
	EXPECT_EQ(0, cg_destroy("/files"));
}

TEST(control_takes_no_junk)
{
	static const struct {
		const char *line;
		int err;
	} rows[] = {
		{ " ", -EINVAL },
		{ "\n", -EINVAL },
		{ "/", -EINVAL },
		{ "/=", -EINVAL },
		{ "/ =", -EINVAL },
		{ "/ max", -EINVAL },
		{ "/ =5M", -EINVAL },
		{ "/ max=", -EINVAL },
		{ "/ max==5M", -EINVAL },
		{ "/ max=5M=6M", -EINVAL },
		{ "/ Max=5M", -EINVAL },
		{ "/ current=5M", -EINVAL },
		{ "/ max=5M physical_max=x", -EINVAL },
		{ "/ max=-1", -EINVAL },
		{ "/ max=18446744073709551616", -ERANGE },
		{ "ctl max=5M", -EINVAL },
		{ "../ctl max=5M", -EINVAL },
		{ "max=5M", -EINVAL },
		{ "/ctl/none max=5M", -ENOENT },
		{ "/ctl/../none max=5M", -ENOENT },
	};
	char before[64], after[64];
	size_t i;

	cg_destroy("/ctl");
	ASSERT_EQ(0, cg_create("/ctl"));
	ASSERT_GT(read_text(SYSFS "/max", before, sizeof(before)), 0);
	for (i = 0; i < NR(rows); i++) {
		int err = write_text(SYSFS "/control", rows[i].line);

		if (err != rows[i].err)
			TH_LOG("\"%s\" gave %d", rows[i].line, err);
		EXPECT_EQ(rows[i].err, err);
	}
	EXPECT_FALSE(tmk_known(cg_id("/ctl")));
	ASSERT_GT(read_text(SYSFS "/max", after, sizeof(after)), 0);
	EXPECT_STREQ(before, after);
	EXPECT_EQ(0, cg_destroy("/ctl"));
}

TEST(control_takes_any_path)
{
	static const char *const names[] = { "/with blank", "/max=5M", "/-x",
					     "/a b=c d" };
	size_t i;

	for (i = 0; i < NR(names); i++) {
		unsigned long long id;
		char path[PATH_MAX], text[256];

		cg_destroy(names[i]);
		ASSERT_EQ(0, cg_create(names[i]));
		id = cg_id(names[i]);
		EXPECT_EQ(0, tmk_limit(names[i], "max", "5M\n"));
		EXPECT_EQ(5 * MIB, tmk_number(id, "max"));
		tmk_path(path, id, "path");
		ASSERT_GT(read_text(path, text, sizeof(text)), 0);
		text[strcspn(text, "\n")] = '\0';
		EXPECT_STREQ(names[i], text);
		EXPECT_EQ(0, tmk_limit(names[i], "max", "max"));
		EXPECT_EQ(0, cg_destroy(names[i]));
	}
}

/* Lifting the last limit removes a directory that nothing else keeps. */
TEST(the_directory_goes_with_the_last_limit)
{
	unsigned long long id;
	char path[PATH_MAX];
	int i;

	cg_destroy("/last");
	ASSERT_EQ(0, cg_create("/last"));
	id = cg_id("/last");
	ASSERT_EQ(0, tmk_limit("/last", "max", "1M"));
	ASSERT_EQ(0, tmk_limit("/last", "physical_max", "1M"));
	tmk_path(path, id, "max");
	EXPECT_EQ(0, write_text(path, "max"));
	EXPECT_TRUE(tmk_known(id));
	tmk_path(path, id, "physical_max");
	/* From inside one of its own files. */
	EXPECT_EQ(0, write_text(path, "max"));
	for (i = 0; i < 500 && tmk_known(id); i++)
		sleep_ms(10);
	EXPECT_FALSE(tmk_known(id));
	EXPECT_EQ(0, cg_destroy("/last"));
}

/* An open file of a directory that went is harmless. */
TEST(files_outlive_their_directory)
{
	char path[PATH_MAX], text[64];
	unsigned long long id;
	int fd;

	cg_destroy("/stale");
	ASSERT_EQ(0, cg_create("/stale"));
	id = cg_id("/stale");
	ASSERT_EQ(0, tmk_limit("/stale", "max", "1M"));
	tmk_path(path, id, "max");
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, tmk_limit("/stale", "max", "max"));
	EXPECT_FALSE(tmk_known(id));
	test_err(ENODEV, read(fd, text, sizeof(text)));
	test_err(ENODEV, write(fd, "5M", 2));
	close(fd);
	EXPECT_EQ(0, cg_destroy("/stale"));
}

TEST(as_deep_as_groups_go)
{
	enum {
		DEPTH = 24
	};
	char group[PATH_MAX] = "";
	unsigned long long ids[DEPTH];
	struct holder h;
	int i;

	ASSERT_TRUE(settles(0));
	for (i = 0; i < DEPTH; i++) {
		strcat(group, "/d");
		cg_create(group);
		ids[i] = cg_id(group);
		ASSERT_NE(0, ids[i]);
	}
	ASSERT_EQ(0, tmk_limit("/d", "max", "8K"));
	h = hold(group, TMK_IOC_KIND_PINNED, 8192);
	ASSERT_EQ(0, h.err);
	for (i = 0; i < DEPTH; i++)
		EXPECT_EQ(8192, tmk_number(ids[i], "current"));
	let_go(&h);
	h = hold(group, TMK_IOC_KIND_PINNED, 8193);
	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(ids[0], h.cmd.out_refusal_cgroup);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	for (i = 1; i < DEPTH; i++)
		EXPECT_FALSE(tmk_known(ids[i]));
	ASSERT_EQ(0, tmk_limit("/d", "max", "max"));
	for (i = DEPTH; i > 0; i--) {
		EXPECT_EQ(0, cg_destroy(group));
		group[2 * i - 2] = '\0';
	}
}

TEST_HARNESS_MAIN
