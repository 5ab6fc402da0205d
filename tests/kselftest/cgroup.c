// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Accounting by cgroup: who is charged, which limit refuses, what remains.
 *
 *	/  (machine)
 *	└── a
 *	    └── b
 *	        └── c
 */
#include "cg_util.h"

#include <poll.h>

#define C "/a/b/c"

FIXTURE(cgroup)
{
	int dev;
	unsigned long long a, b, c;
};

FIXTURE_SETUP(cgroup)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	ASSERT_TRUE(settles(0));
	cg_destroy(C);
	cg_destroy("/a/b");
	cg_destroy("/a");
	ASSERT_EQ(0, cg_create("/a"));
	ASSERT_EQ(0, cg_create("/a/b"));
	ASSERT_EQ(0, cg_create("/a/b/c"));
	self->a = cg_id("/a");
	self->b = cg_id("/a/b");
	self->c = cg_id(C);
}

FIXTURE_TEARDOWN(cgroup)
{
	EXPECT_TRUE(settles(0));
	tmk_limit("/a", "max", "max");
	tmk_limit("/a", "physical_max", "max");
	cg_destroy(C);
	cg_destroy("/a/b");
	EXPECT_EQ(0, cg_destroy("/a"));
	close(self->dev);
}

TEST_F(cgroup, a_charge_counts_in_every_ancestor)
{
	struct holder h1 = hold(C, TMK_IOC_KIND_HUGE, 4 * MIB);
	struct holder h2 = hold("/a", TMK_IOC_KIND_PINNED, MIB);

	ASSERT_EQ(0, h1.err);
	ASSERT_EQ(0, h2.err);
	EXPECT_EQ(4 * MIB, tmk_number(self->c, "current"));
	EXPECT_EQ(4 * MIB, tmk_number(self->b, "current"));
	EXPECT_EQ(5 * MIB, tmk_number(self->a, "current"));
	EXPECT_EQ(5 * MIB, machine("current"));
	EXPECT_EQ(5 * MIB, tmk_number(self->a, "physical_current"));
	EXPECT_EQ(1, tmk_number(self->c, "online"));
	let_go(&h1);
	EXPECT_TRUE(settles(MIB));
	EXPECT_EQ(MIB, tmk_number(self->a, "current"));
	EXPECT_FALSE(tmk_known(self->c));
	EXPECT_FALSE(tmk_known(self->b));
	EXPECT_EQ(5 * MIB, tmk_number(self->a, "peak"));
	EXPECT_EQ(5 * MIB, tmk_number(self->a, "physical_peak"));
	let_go(&h2);
	EXPECT_TRUE(settles(0));
	EXPECT_FALSE(tmk_known(self->a));
}

TEST_F(cgroup, path_and_kind_are_shown)
{
	struct holder h = hold(C, TMK_IOC_KIND_PINNED, 3 * PAGE_BYTES);
	char path[PATH_MAX], text[256];

	ASSERT_EQ(0, h.err);
	tmk_path(path, self->c, "path");
	ASSERT_GT(read_text(path, text, sizeof(text)), 0);
	EXPECT_STREQ(C "\n", text);
	tmk_path(path, self->c, "by_kind");
	EXPECT_EQ(3 * PAGE_BYTES, read_key(path, "pinned"));
	EXPECT_EQ(0, read_key(path, "huge"));
	EXPECT_EQ(0, read_key(path, "hugetlb"));
	EXPECT_EQ(0, read_key(path, "file"));
	let_go(&h);
}

/* Each level in turn has the limit that refuses. */
TEST_F(cgroup, limit_at_each_level_refuses_and_says_so)
{
	static const char *const groups[] = { "/a", "/a/b", C };
	unsigned long long ids[] = { self->a, self->b, self->c };
	char path[PATH_MAX];
	int i;

	for (i = 0; i < 3; i++) {
		struct holder h, ok;

		ASSERT_EQ(0, tmk_limit(groups[i], "max", "6M"));
		ok = hold(C, TMK_IOC_KIND_HUGE, 4 * MIB);
		ASSERT_EQ(0, ok.err);
		h = hold(C, TMK_IOC_KIND_HUGE, 4 * MIB);
		EXPECT_EQ(EDQUOT, h.err);
		EXPECT_EQ(TMK_IOC_REFUSAL_MAX, h.cmd.out_refusal);
		EXPECT_EQ(ids[i], h.cmd.out_refusal_cgroup);
		EXPECT_EQ(4 * MIB, h.cmd.out_refusal_used);
		EXPECT_EQ(6 * MIB, h.cmd.out_refusal_limit);
		EXPECT_EQ(-1, h.cmd.out_fd);
		EXPECT_EQ(4 * MIB, machine("current"));
		EXPECT_EQ(4 * MIB, tmk_number(self->c, "peak"));
		tmk_path(path, ids[i], "events.local");
		EXPECT_EQ(1, read_key(path, "max"));
		EXPECT_EQ(0, read_key(path, "physical_max"));
		tmk_path(path, ids[i], "events");
		EXPECT_EQ(1, read_key(path, "max"));
		let_go(&h);
		/* Exactly what is left fits. */
		h = hold(C, TMK_IOC_KIND_HUGE, 2 * MIB);
		EXPECT_EQ(0, h.err);
		EXPECT_EQ(6 * MIB, tmk_number(ids[i], "current"));
		let_go(&h);
		let_go(&ok);
		EXPECT_TRUE(settles(0));
		ASSERT_EQ(0, tmk_limit(groups[i], "max", "max"));
	}
}

TEST_F(cgroup, physical_limit_refuses)
{
	struct holder h;
	char path[PATH_MAX];

	ASSERT_EQ(0, tmk_limit("/a", "physical_max", "1M"));
	h = hold(C, TMK_IOC_KIND_PINNED, MIB + 1);
	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_PHYSICAL_MAX, h.cmd.out_refusal);
	EXPECT_EQ(self->a, h.cmd.out_refusal_cgroup);
	EXPECT_EQ(MIB, h.cmd.out_refusal_limit);
	tmk_path(path, self->a, "events");
	EXPECT_EQ(1, read_key(path, "physical_max"));
	EXPECT_EQ(0, machine("current"));
	let_go(&h);
	h = hold(C, TMK_IOC_KIND_PINNED, MIB);
	EXPECT_EQ(0, h.err);
	let_go(&h);
}

TEST_F(cgroup, machine_ceiling_refuses)
{
	unsigned long long ceiling = machine("physical_max");
	unsigned long long fails = read_key(SYSFS "/events", "physical_max");
	struct holder h = hold("/a", TMK_IOC_KIND_HUGE, ceiling + HUGE_BYTES);

	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_PHYSICAL_MAX, h.cmd.out_refusal);
	EXPECT_EQ(1, h.cmd.out_refusal_cgroup);
	EXPECT_EQ(ceiling, h.cmd.out_refusal_limit);
	EXPECT_EQ(fails + 1, read_key(SYSFS "/events", "physical_max"));
	let_go(&h);
}

TEST_F(cgroup, limits_before_the_first_charge_and_below_use)
{
	struct holder h, more;

	ASSERT_EQ(0, tmk_limit(C, "max", "8M"));
	EXPECT_TRUE(tmk_known(self->c));
	EXPECT_EQ(8 * MIB, tmk_number(self->c, "max"));
	EXPECT_EQ(0, tmk_number(self->c, "current"));
	h = hold(C, TMK_IOC_KIND_HUGE, 8 * MIB);
	ASSERT_EQ(0, h.err);
	ASSERT_EQ(0, tmk_limit(C, "max", "1M"));
	EXPECT_EQ(8 * MIB, tmk_number(self->c, "current"));
	more = hold(C, TMK_IOC_KIND_PINNED, 1);
	EXPECT_EQ(EDQUOT, more.err);
	EXPECT_EQ(8 * MIB, more.cmd.out_refusal_used);
	EXPECT_EQ(MIB, more.cmd.out_refusal_limit);
	let_go(&more);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	more = hold(C, TMK_IOC_KIND_PINNED, MIB);
	EXPECT_EQ(0, more.err);
	let_go(&more);
	ASSERT_EQ(0, tmk_limit(C, "max", "0"));
	more = hold(C, TMK_IOC_KIND_PINNED, 1);
	EXPECT_EQ(EDQUOT, more.err);
	EXPECT_EQ(0, more.cmd.out_refusal_limit);
	let_go(&more);
	ASSERT_EQ(0, tmk_limit(C, "max", "max"));
}

TEST_F(cgroup, migration_does_not_move_the_charge)
{
	int ready[2], go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		if (cg_enter(C) ||
		    create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB) < 0 ||
		    cg_enter("/") ||
		    create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB) < 0)
			_exit(1);
		tell(ready[1]);
		hear(go[0]);
		_exit(0);
	}
	ASSERT_TRUE(hear(ready[0]));
	EXPECT_EQ(MIB, tmk_number(self->c, "current"));
	EXPECT_EQ(2 * MIB, machine("current"));
	tell(go[1]);
	EXPECT_EQ(0, wait_status(pid));
}

TEST_F(cgroup, removed_group_stays_charged_until_released)
{
	struct holder h = hold(C, TMK_IOC_KIND_HUGE, 4 * MIB);
	int pidfd, fd;

	ASSERT_EQ(0, h.err);
	/* Take the region over, so that the group can lose its process. */
	pidfd = syscall(SYS_pidfd_open, h.pid, 0);
	fd = syscall(SYS_pidfd_getfd, pidfd, h.cmd.out_fd, 0);
	ASSERT_GE(fd, 0);
	let_go(&h);
	ASSERT_EQ(0, cg_destroy(C));
	EXPECT_EQ(0, tmk_number(self->c, "online"));
	EXPECT_EQ(4 * MIB, tmk_number(self->c, "current"));
	EXPECT_EQ(4 * MIB, tmk_number(self->b, "current"));
	/* A new group of the same name is another group. */
	ASSERT_EQ(0, cg_create(C));
	EXPECT_NE(self->c, cg_id(C));
	close(fd);
	close(pidfd);
	EXPECT_TRUE(settles(0));
	EXPECT_FALSE(tmk_known(self->c));
}

TEST_F(cgroup, limited_group_goes_after_rmdir)
{
	int i;

	ASSERT_EQ(0, tmk_limit(C, "max", "1M"));
	ASSERT_TRUE(tmk_known(self->c));
	ASSERT_EQ(0, cg_destroy(C));
	for (i = 0; i < 200 && tmk_known(self->c); i++)
		sleep_ms(100);
	EXPECT_FALSE(tmk_known(self->c));
}

TEST_F(cgroup, sigkill_gives_everything_back)
{
	struct holder h = hold(C, TMK_IOC_KIND_HUGE, 16 * MIB);

	ASSERT_EQ(0, h.err);
	EXPECT_EQ(16 * MIB, tmk_number(self->a, "current"));
	kill(h.pid, SIGKILL);
	EXPECT_EQ(SIGKILL, WTERMSIG(wait_status(h.pid)));
	close(h.go);
	EXPECT_TRUE(settles(0));
	EXPECT_FALSE(tmk_known(self->a));
}

TEST_F(cgroup, memory_max_refuses_and_nobody_is_killed)
{
	char path[PATH_MAX];
	struct holder h;

	ASSERT_EQ(0, cg_write("/a", "memory.max", "16M"));
	h = hold(C, TMK_IOC_KIND_HUGE, 64 * MIB);
	EXPECT_EQ(ENOMEM, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_MEMCG, h.cmd.out_refusal);
	EXPECT_EQ(self->a, h.cmd.out_refusal_cgroup);
	EXPECT_EQ(16 * MIB, h.cmd.out_refusal_limit);
	EXPECT_LT(h.cmd.out_refusal_used, 16 * MIB);
	cg_path(path, "/a", "memory.events");
	EXPECT_EQ(0, read_key(path, "oom_kill"));
	let_go(&h);
	EXPECT_TRUE(settles(0));
	h = hold(C, TMK_IOC_KIND_HUGE, 8 * MIB);
	EXPECT_EQ(0, h.err);
	let_go(&h);
	h = hold(C, TMK_IOC_KIND_PINNED, 32 * MIB);
	EXPECT_EQ(ENOMEM, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_MEMCG, h.cmd.out_refusal);
	let_go(&h);
	EXPECT_EQ(0, read_key(path, "oom_kill"));
	ASSERT_EQ(0, cg_write("/a", "memory.max", "max"));
}

TEST_F(cgroup, memory_is_charged_to_memcg_too)
{
	char path[PATH_MAX];
	struct holder h = hold("/a", TMK_IOC_KIND_HUGE, 16 * MIB);

	ASSERT_EQ(0, h.err);
	cg_path(path, "/a", "memory.stat");
	EXPECT_LE(16 * MIB, tmk_number(self->a, "current"));
	cg_path(path, "/a", "memory.current");
	EXPECT_LE(16 * MIB, read_number(path));
	let_go(&h);
}

TEST_F(cgroup, events_can_be_polled)
{
	struct pollfd p = { .events = POLLPRI };
	char path[PATH_MAX], text[128];
	struct holder h;

	ASSERT_EQ(0, tmk_limit("/a", "max", "0"));
	tmk_path(path, self->a, "events");
	p.fd = open(path, O_RDONLY);
	ASSERT_GE(p.fd, 0);
	ASSERT_LT(0, read(p.fd, text, sizeof(text)));
	EXPECT_EQ(0, poll(&p, 1, 50));
	h = hold(C, TMK_IOC_KIND_PINNED, 1);
	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(1, poll(&p, 1, 5000));
	EXPECT_TRUE(p.revents & POLLPRI);
	close(p.fd);
	let_go(&h);
}

TEST_F(cgroup, junk_is_refused_and_changes_nothing)
{
	static const char *const junk[] = {
		"",
		" ",
		"x",
		"-1",
		"+1",
		"1.5M",
		"5 M",
		"5MM",
		"M",
		"5X",
		"0x10",
		"18446744073709551615",
		"18446744073709551616",
		"16777216T",
		"99999999999999999999999999",
		"50%",
		"maximum",
		"max max",
		"5\n6",
	};
	struct holder h = hold("/a", TMK_IOC_KIND_PINNED, 1);
	char path[PATH_MAX];
	size_t i;

	ASSERT_EQ(0, h.err);
	tmk_path(path, self->a, "max");
	ASSERT_EQ(0, write_text(path, "7M"));
	for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		int err = junk[i][0] ? write_text(path, junk[i]) : -EINVAL;

		if (err != -EINVAL && err != -ERANGE) {
			TH_LOG("\"%s\" gave %d", junk[i], err);
			EXPECT_EQ(-EINVAL, err);
		}
		EXPECT_EQ(7 * MIB, read_number(path));
	}
	let_go(&h);
}

TEST_F(cgroup, sizes_take_suffixes)
{
	static const struct {
		const char *text;
		unsigned long long bytes;
	} rows[] = {
		{ "0", 0 },	      { "4096", 4096 },
		{ "1K", 1024 },	      { "3k\n", 3072 },
		{ "2M", 2 * MIB },    { " 5g ", 5ULL << 30 },
		{ "1T", 1ULL << 40 }, { "max", ULLONG_MAX },
	};
	struct holder h = hold("/a", TMK_IOC_KIND_PINNED, 1);
	char path[PATH_MAX];
	size_t i;

	ASSERT_EQ(0, h.err);
	tmk_path(path, self->a, "max");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EXPECT_EQ(0, write_text(path, rows[i].text));
		EXPECT_EQ(rows[i].bytes, read_number(path));
	}
	let_go(&h);
}

TEST_F(cgroup, control_refuses_junk)
{
	static const struct {
		const char *line;
		int err;
	} rows[] = {
		{ "x", -EINVAL },
		{ "/a", -EINVAL },
		{ "/a max", -EINVAL },
		{ "/a max=", -EINVAL },
		{ "/a min=1", -EINVAL },
		{ "/a =1", -EINVAL },
		{ "a max=1", -EINVAL },
		{ "max=1", -EINVAL },
		{ "/a max=1x", -EINVAL },
		{ "/nowhere max=1", -ENOENT },
		{ "/a/cgroup.procs max=1", -ENOTDIR },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		EXPECT_EQ(rows[i].err,
			  write_text(SYSFS "/control", rows[i].line));
	EXPECT_FALSE(tmk_known(self->a));
}

TEST_F(cgroup, writing_needs_the_capability)
{
	struct holder h = hold("/a", TMK_IOC_KIND_PINNED, 1);
	char path[PATH_MAX];
	pid_t pid;

	ASSERT_EQ(0, h.err);
	tmk_path(path, self->a, "max");
	/* Even where somebody made the file writable. */
	ASSERT_EQ(0, chmod(path, 0666));
	ASSERT_EQ(0, chmod(SYSFS "/control", 0222));
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		if (write_text(path, "1G") != -EPERM)
			_exit(2);
		if (write_text(SYSFS "/control", "/a max=1G") != -EPERM)
			_exit(3);
		_exit(read_number(path) == ULLONG_MAX ? 0 : 4);
	}
	EXPECT_EQ(0, wait_status(pid));
	chmod(SYSFS "/control", 0200);
	let_go(&h);
}

TEST_HARNESS_MAIN
