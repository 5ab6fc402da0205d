// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Delegation: who was named the owner of a group sets its limits and those of
 * what is below, never above what the groups above allow.
 */
#include "cg_util.h"

#include <grp.h>

#define OWNER 4321
#define STRANGER 4322

FIXTURE(delegate)
{
	unsigned long long above, own;
};

FIXTURE_SETUP(delegate)
{
	ASSERT_TRUE(settles(0));
	cg_destroy("/above/own/below");
	cg_destroy("/above/own");
	cg_destroy("/above");
	ASSERT_EQ(0, cg_create("/above"));
	ASSERT_EQ(0, cg_create("/above/own"));
	ASSERT_EQ(0, tmk_limit("/above", "max", "64M"));
	ASSERT_EQ(0, tmk_limit("/above/own", "owner", "4321"));
	self->above = cg_id("/above");
	self->own = cg_id("/above/own");
}

FIXTURE_TEARDOWN(delegate)
{
	tmk_limit("/above/own", "owner", "none");
	tmk_limit("/above/own", "max", "max");
	tmk_limit("/above/own", "physical_max", "max");
	tmk_limit("/above", "max", "max");
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/above/own"));
	EXPECT_EQ(0, cg_destroy("/above"));
}

/* Write as somebody without privileges. Return: 0 or -errno. */
static int write_as(uid_t uid, unsigned long long id, const char *file,
		    const char *text)
{
	char path[PATH_MAX];
	pid_t pid;

	tmk_path(path, id, file);
	pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
			_exit(255);
		_exit(-write_text(path, text));
	}
	return -(wait_status(pid) >> 8);
}

static bool reads(unsigned long long id, const char *file, const char *expected)
{
	char path[PATH_MAX], text[64];

	tmk_path(path, id, file);
	if (read_text(path, text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, expected))
		TH_LOG("%s is %s", file, text);
	return !strcmp(text, expected);
}

TEST_F(delegate, the_owner_sets_what_the_parent_allows)
{
	EXPECT_TRUE(reads(self->own, "owner", "4321"));
	EXPECT_EQ(0, write_as(OWNER, self->own, "max", "32M"));
	EXPECT_TRUE(reads(self->own, "max", "33554432"));
	EXPECT_EQ(0, write_as(OWNER, self->own, "max", "64M"));
	EXPECT_EQ(-EPERM, write_as(OWNER, self->own, "max", "67108865"));
	EXPECT_EQ(-EPERM, write_as(OWNER, self->own, "max", "max"));
	EXPECT_EQ(-EINVAL, write_as(OWNER, self->own, "max", "junk"));
	EXPECT_TRUE(reads(self->own, "max", "67108864"));
	EXPECT_EQ(0, write_as(OWNER, self->own, "physical_max", "1M"));
	/* The machine has a limit, and it is above all. */
	EXPECT_EQ(-EPERM, write_as(OWNER, self->own, "physical_max", "max"));
	EXPECT_TRUE(reads(self->own, "physical_max", "1048576"));
}

TEST_F(delegate, nobody_else_does)
{
	EXPECT_EQ(-EACCES, write_as(STRANGER, self->own, "max", "1M"));
	EXPECT_EQ(-EACCES, write_as(STRANGER, self->own, "peak", "0"));
	EXPECT_EQ(-EACCES, write_as(OWNER, self->above, "max", "1M"));
	EXPECT_EQ(-EACCES, write_as(OWNER, 1, "max", "1M"));
	EXPECT_TRUE(reads(self->own, "max", "max"));
	EXPECT_TRUE(reads(self->above, "max", "67108864"));
	EXPECT_TRUE(reads(self->above, "owner", "none"));
	EXPECT_TRUE(reads(1, "owner", "none"));
}

TEST_F(delegate, opening_is_not_enough)
{
	char path[PATH_MAX];

	tmk_path(path, self->own, "max");
	ASSERT_EQ(0, chmod(path, 0666));
	EXPECT_EQ(-EPERM, write_as(STRANGER, self->own, "max", "1M"));
	EXPECT_TRUE(reads(self->own, "max", "max"));
}

TEST_F(delegate, what_is_below_belongs_to_the_owner)
{
	unsigned long long below;
	struct holder h;

	ASSERT_EQ(0, cg_create("/above/own/below"));
	below = cg_id("/above/own/below");
	h = hold("/above/own/below", TMK_IOC_KIND_PINNED, 4 * MIB);
	ASSERT_EQ(0, h.err);
	EXPECT_TRUE(reads(below, "owner", "4321"));
	EXPECT_EQ(0, write_as(OWNER, below, "max", "8M"));
	EXPECT_EQ(-EPERM, write_as(OWNER, below, "max", "65M"));
	EXPECT_EQ(-EACCES, write_as(STRANGER, below, "max", "8M"));
	/* Its own limit is one of those above. */
	EXPECT_EQ(0, write_as(OWNER, self->own, "max", "6M"));
	EXPECT_EQ(-EPERM, write_as(OWNER, below, "max", "7M"));
	EXPECT_EQ(0, write_as(OWNER, below, "max", "6M"));
	/* Another may be named there, and then the first has no say. */
	EXPECT_EQ(0, tmk_limit("/above/own/below", "owner", "4322"));
	EXPECT_EQ(-EACCES, write_as(OWNER, below, "max", "1M"));
	EXPECT_EQ(0, write_as(STRANGER, below, "max", "5M"));
	EXPECT_EQ(0, tmk_limit("/above/own/below", "owner", "none"));
	EXPECT_EQ(0, write_as(OWNER, below, "max", "6M"));
	let_go(&h);
	EXPECT_EQ(0, tmk_limit("/above/own/below", "max", "max"));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/above/own/below"));
}

TEST_F(delegate, a_limit_above_holds_whatever_is_below)
{
	struct holder h;

	ASSERT_EQ(0, write_as(OWNER, self->own, "max", "64M"));
	ASSERT_EQ(0, tmk_limit("/above", "max", "1M"));
	h = hold("/above/own", TMK_IOC_KIND_PINNED, 2 * MIB);
	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(self->above, h.cmd.out_refusal_cgroup);
	let_go(&h);
}

TEST_F(delegate, taken_back_it_is_over)
{
	char path[PATH_MAX];
	int go[2], said;
	pid_t pid;

	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	tmk_path(path, self->own, "max");
	pid = fork();
	if (!pid) {
		int fd;

		if (setgroups(0, NULL) || setgid(OWNER) || setuid(OWNER))
			_exit(255);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "9M", 2) != 2)
			_exit(254);
		close(go[1]);
		hear(go[0]);
		/* Still open, but not the owner's any more. */
		_exit(pwrite(fd, "8M", 2, 0) < 0 ? errno : 0);
	}
	close(go[0]);
	for (said = 0; said < 500 && !reads(self->own, "max", "9437184");
	     said++)
		sleep_ms(10);
	EXPECT_EQ(0, tmk_limit("/above/own", "owner", "none"));
	close(go[1]);
	EXPECT_EQ(EPERM, wait_status(pid) >> 8);
	EXPECT_EQ(-EACCES, write_as(OWNER, self->own, "max", "1M"));
	EXPECT_TRUE(reads(self->own, "max", "9437184"));
	EXPECT_TRUE(reads(self->own, "owner", "none"));
}

TEST_F(delegate, being_owned_keeps_the_directory)
{
	sleep_ms(200);
	EXPECT_TRUE(tmk_known(self->own));
	EXPECT_EQ(0, tmk_limit("/above/own", "owner", "none"));
	EXPECT_FALSE(tmk_known(self->own));
}

TEST_F(delegate, junk_is_refused)
{
	static const char *const junk[] = { "",		  "x",	 "-1",
					    "4294967295", "1 2", "0x1",
					    "99999999999" };
	size_t i;

	for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
		EXPECT_GT(0, tmk_limit("/above/own", "owner", junk[i]));
	EXPECT_EQ(-EINVAL, tmk_limit("/", "owner", "4321"));
	EXPECT_EQ(-ENOENT, tmk_limit("/above/none", "owner", "4321"));
	EXPECT_TRUE(reads(self->own, "owner", "4321"));
	EXPECT_TRUE(reads(1, "owner", "none"));
}

TEST_F(delegate, a_peak_begins_again)
{
	struct holder h = hold("/above/own", TMK_IOC_KIND_PINNED, 4 * MIB);

	ASSERT_EQ(0, h.err);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(4 * MIB, tmk_number(self->own, "peak"));
	EXPECT_EQ(4 * MIB, tmk_number(self->own, "physical_peak"));
	EXPECT_EQ(0, write_as(OWNER, self->own, "peak", "0"));
	EXPECT_EQ(0, tmk_number(self->own, "peak"));
	EXPECT_EQ(4 * MIB, tmk_number(self->own, "physical_peak"));
	EXPECT_EQ(-EACCES, write_as(OWNER, self->above, "peak", "0"));
	EXPECT_EQ(4 * MIB, tmk_number(self->above, "peak"));
	h = hold("/above/own", TMK_IOC_KIND_PINNED, MIB);
	ASSERT_EQ(0, h.err);
	EXPECT_EQ(MIB, tmk_number(self->own, "peak"));
	EXPECT_EQ(0, write_text(SYSFS "/peak", "0"));
	EXPECT_EQ(MIB, machine("peak"));
	let_go(&h);
	EXPECT_EQ(MIB, tmk_number(self->own, "peak"));
}

TEST_HARNESS_MAIN
