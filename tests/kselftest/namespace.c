// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Containers: paths are shown and taken relative to the cgroup namespace, and
 * the root of a user namespace may not lift what was imposed on it.
 */
#include "cg_util.h"

FIXTURE(namespace)
{
	unsigned long long ns, sub;
};

FIXTURE_SETUP(namespace)
{
	ASSERT_TRUE(settles(0));
	cg_destroy("/ns/sub");
	cg_destroy("/ns");
	ASSERT_EQ(0, cg_create("/ns"));
	ASSERT_EQ(0, cg_create("/ns/sub"));
	self->ns = cg_id("/ns");
	self->sub = cg_id("/ns/sub");
	ASSERT_EQ(0, tmk_limit("/ns/sub", "max", "64M"));
}

FIXTURE_TEARDOWN(namespace)
{
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/ns/sub"));
	EXPECT_EQ(0, cg_destroy("/ns"));
}

/* Is the path of the group @id, as this process sees it, @expected? */
static bool path_is(unsigned long long id, const char *expected)
{
	char path[PATH_MAX], text[256];

	tmk_path(path, id, "path");
	if (read_text(path, text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return !strcmp(text, expected);
}

TEST_F(namespace, paths_are_those_of_the_reader)
{
	pid_t pid;

	EXPECT_TRUE(path_is(self->sub, "/ns/sub"));
	pid = fork();
	if (!pid) {
		if (cg_enter("/ns") || unshare(CLONE_NEWCGROUP))
			_exit(1);
		if (!path_is(self->ns, "/") || !path_is(self->sub, "/sub"))
			_exit(2);
		_exit(path_is(1, "/..") ? 0 : 3);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_TRUE(path_is(self->sub, "/ns/sub"));
}

TEST_F(namespace, control_takes_paths_of_the_writer)
{
	pid_t pid = fork();

	if (!pid) {
		if (cg_enter("/ns") || unshare(CLONE_NEWCGROUP))
			_exit(1);
		if (tmk_limit("/sub", "max", "5M"))
			_exit(2);
		if (tmk_limit("/", "physical_max", "7M"))
			_exit(3);
		/* The name outside means nothing in here. */
		_exit(tmk_limit("/ns", "max", "1M") == -ENOENT ? 0 : 4);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(5 * MIB, tmk_number(self->sub, "max"));
	EXPECT_EQ(7 * MIB, tmk_number(self->ns, "physical_max"));
	EXPECT_EQ(ULLONG_MAX, machine("max"));
}

/* Ids do not depend on who looks. */
TEST_F(namespace, ids_are_the_same_inside)
{
	pid_t pid = fork();

	if (!pid) {
		struct tmk_ioc_usage u = { .size = sizeof(u) };
		struct tmk_ioc_region_create c =
			create_cmd(TMK_IOC_KIND_HUGE, 65 * MIB);
		int dev;

		if (cg_enter("/ns/sub") || unshare(CLONE_NEWCGROUP))
			_exit(1);
		dev = device_open();
		if (ioctl(dev, TMK_IOC_USAGE, &u))
			_exit(2);
		if (u.out_cgroup_id != self->sub ||
		    u.out_tight_cgroup != self->sub)
			_exit(3);
		if (create(dev, &c) >= 0 || errno != EDQUOT)
			_exit(4);
		_exit(c.out_refusal_cgroup == self->sub ? 0 : 5);
	}
	EXPECT_EQ(0, wait_status(pid));
}

static int become_root_of_a_user_namespace(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWCGROUP))
		return -1;
	if (write_text("/proc/self/setgroups", "deny") ||
	    write_text("/proc/self/uid_map", "0 0 1") ||
	    write_text("/proc/self/gid_map", "0 0 1"))
		return -1;
	return 0;
}

TEST_F(namespace, root_of_a_user_namespace_sets_no_limit)
{
	char path[PATH_MAX];
	pid_t pid;

	tmk_path(path, self->sub, "max");
	pid = fork();
	if (!pid) {
		if (cg_enter("/ns/sub") || become_root_of_a_user_namespace())
			_exit(1);
		if (write_text(path, "max") != -EPERM)
			_exit(2);
		if (tmk_limit("/", "max", "max") != -EPERM)
			_exit(3);
		if (write_text(SYSFS "/physical_max", "max") != -EPERM)
			_exit(4);
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(64 * MIB, tmk_number(self->sub, "max"));
}

/* And is charged and limited like anybody else. */
TEST_F(namespace, root_of_a_user_namespace_is_limited)
{
	pid_t pid = fork();

	if (!pid) {
		int dev;

		if (cg_enter("/ns/sub") || become_root_of_a_user_namespace())
			_exit(1);
		dev = device_open();
		if (create_simple(dev, TMK_IOC_KIND_HUGE, 65 * MIB) >= 0 ||
		    errno != EDQUOT)
			_exit(2);
		if (create_simple(dev, TMK_IOC_KIND_HUGE, 2 * MIB) < 0)
			_exit(3);
		_exit(tmk_number(self->sub, "current") == 2 * MIB ? 0 : 4);
	}
	EXPECT_EQ(0, wait_status(pid));
}

TEST_HARNESS_MAIN
