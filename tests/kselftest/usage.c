// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * TMK_IOC_USAGE: what a program learns of the room that it has.
 *
 *	/  (machine)
 *	└── use
 *	    ├── sub
 *	    └── other
 */
#include "cg_util.h"

FIXTURE(usage)
{
	int dev;
	unsigned long long use, sub, other;
};

FIXTURE_SETUP(usage)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	ASSERT_TRUE(settles(0));
	cg_destroy("/use/other");
	cg_destroy("/use/sub");
	cg_destroy("/use");
	ASSERT_EQ(0, cg_create("/use"));
	ASSERT_EQ(0, cg_create("/use/sub"));
	ASSERT_EQ(0, cg_create("/use/other"));
	self->use = cg_id("/use");
	self->sub = cg_id("/use/sub");
	self->other = cg_id("/use/other");
}

FIXTURE_TEARDOWN(usage)
{
	EXPECT_EQ(0, cg_enter("/"));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/use/other"));
	EXPECT_EQ(0, cg_destroy("/use/sub"));
	EXPECT_EQ(0, cg_destroy("/use"));
	close(self->dev);
}

static struct tmk_ioc_usage usage(int dev)
{
	struct tmk_ioc_usage u = { .size = sizeof(u) };

	if (ioctl(dev, TMK_IOC_USAGE, &u))
		memset(&u, 0xee, sizeof(u));
	return u;
}

TEST_F(usage, of_the_machine)
{
	struct tmk_ioc_usage u;
	int fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB);

	ASSERT_GE(fd, 0);
	u = usage(self->dev);
	EXPECT_EQ(1, u.out_cgroup_id);
	EXPECT_EQ(MIB, u.out_current);
	EXPECT_EQ(MIB, u.out_physical_current);
	EXPECT_EQ(machine("peak"), u.out_peak);
	EXPECT_EQ(machine("physical_peak"), u.out_physical_peak);
	EXPECT_EQ(UINT64_MAX, u.out_max);
	EXPECT_EQ(machine("physical_max"), u.out_physical_max);
	/* No limit on all bytes anywhere; the machine's on those in RAM. */
	EXPECT_EQ(0, u.out_tight_cgroup);
	EXPECT_EQ(0, u.out_tight_current);
	EXPECT_EQ(UINT64_MAX, u.out_tight_max);
	EXPECT_EQ(1, u.out_physical_tight_cgroup);
	EXPECT_EQ(MIB, u.out_physical_tight_current);
	EXPECT_EQ(machine("physical_max"), u.out_physical_tight_max);
	close(fd);
}

TEST_F(usage, asking_makes_no_directory)
{
	struct tmk_ioc_usage u;

	ASSERT_EQ(0, cg_enter("/use/sub"));
	u = usage(self->dev);
	EXPECT_EQ(self->sub, u.out_cgroup_id);
	EXPECT_EQ(0, u.out_current + u.out_peak);
	EXPECT_EQ(0, u.out_physical_current + u.out_physical_peak);
	EXPECT_EQ(UINT64_MAX, u.out_max);
	EXPECT_EQ(UINT64_MAX, u.out_physical_max);
	EXPECT_FALSE(tmk_known(self->sub));
	EXPECT_FALSE(tmk_known(self->use));
	/* The limits above hold for a group that is not known as well. */
	ASSERT_EQ(0, tmk_limit("/use", "max", "8M"));
	u = usage(self->dev);
	EXPECT_EQ(self->use, u.out_tight_cgroup);
	EXPECT_EQ(8 * MIB, u.out_tight_max);
	EXPECT_FALSE(tmk_known(self->sub));
}

/* Room counts, not the size of the limit. */
TEST_F(usage, the_tightest_has_the_least_room)
{
	struct holder h;
	struct tmk_ioc_usage u;

	ASSERT_EQ(0, tmk_limit("/use", "max", "16M"));
	ASSERT_EQ(0, tmk_limit("/use/sub", "max", "8M"));
	ASSERT_EQ(0, cg_enter("/use/sub"));
	u = usage(self->dev);
	EXPECT_EQ(self->sub, u.out_tight_cgroup);
	EXPECT_EQ(8 * MIB, u.out_max);
	/* A sibling takes so much that less is left above. */
	h = hold("/use/other", TMK_IOC_KIND_HUGE, 10 * MIB);
	ASSERT_EQ(0, h.err);
	u = usage(self->dev);
	EXPECT_EQ(self->use, u.out_tight_cgroup);
	EXPECT_EQ(10 * MIB, u.out_tight_current);
	EXPECT_EQ(16 * MIB, u.out_tight_max);
	EXPECT_EQ(0, u.out_current);
	EXPECT_EQ(8 * MIB, u.out_max);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	u = usage(self->dev);
	EXPECT_EQ(self->sub, u.out_tight_cgroup);
}

/* What USAGE calls room is what can be had, to the page. */
TEST_F(usage, room_is_exact)
{
	struct tmk_ioc_usage u;
	int fd, more;

	ASSERT_EQ(0, tmk_limit("/use", "physical_max", "1M"));
	ASSERT_EQ(0, cg_enter("/use/sub"));
	fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, 300 * 1024);
	ASSERT_GE(fd, 0);
	u = usage(self->dev);
	EXPECT_EQ(self->use, u.out_physical_tight_cgroup);
	EXPECT_EQ(0, u.out_tight_cgroup);
	test_err(EDQUOT,
		 create_simple(self->dev, TMK_IOC_KIND_PINNED,
			       u.out_physical_tight_max -
				       u.out_physical_tight_current + 1));
	more = create_simple(self->dev, TMK_IOC_KIND_PINNED,
			     u.out_physical_tight_max -
				     u.out_physical_tight_current);
	ASSERT_GE(more, 0);
	u = usage(self->dev);
	EXPECT_EQ(u.out_physical_tight_max, u.out_physical_tight_current);
	close(more);
	close(fd);
}

TEST_F(usage, a_limit_below_use_leaves_no_room)
{
	struct tmk_ioc_usage u;
	int fd;

	ASSERT_EQ(0, cg_enter("/use/sub"));
	fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, tmk_limit("/use", "max", "4K"));
	ASSERT_EQ(0, tmk_limit("/use/sub", "max", "1025K"));
	u = usage(self->dev);
	EXPECT_EQ(self->use, u.out_tight_cgroup);
	EXPECT_EQ(MIB, u.out_tight_current);
	EXPECT_EQ(4096, u.out_tight_max);
	close(fd);
}

/* It is about the group that the caller is in now. */
TEST_F(usage, follows_the_caller_not_the_charge)
{
	struct tmk_ioc_usage u;
	int fd;

	ASSERT_EQ(0, cg_enter("/use/sub"));
	fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, cg_enter("/use/other"));
	u = usage(self->dev);
	EXPECT_EQ(self->other, u.out_cgroup_id);
	EXPECT_EQ(0, u.out_current);
	EXPECT_EQ(MIB, tmk_number(self->sub, "current"));
	EXPECT_EQ(self->sub, region_info(fd).out_cgroup_id);
	ASSERT_EQ(0, cg_enter("/use/sub"));
	u = usage(self->dev);
	EXPECT_EQ(MIB, u.out_current);
	close(fd);
}

TEST_F(usage, peak_stays_while_the_group_is_known)
{
	struct tmk_ioc_usage u;
	int fd;

	ASSERT_EQ(0, tmk_limit("/use/sub", "max", "64M"));
	ASSERT_EQ(0, cg_enter("/use/sub"));
	fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, 3 * MIB);
	ASSERT_GE(fd, 0);
	close(fd);
	fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB);
	ASSERT_GE(fd, 0);
	u = usage(self->dev);
	EXPECT_EQ(MIB, u.out_current);
	EXPECT_EQ(3 * MIB, u.out_peak);
	EXPECT_EQ(3 * MIB, u.out_physical_peak);
	/* A refusal is no peak. */
	test_err(EDQUOT,
		 create_simple(self->dev, TMK_IOC_KIND_HUGE, 128 * MIB));
	EXPECT_EQ(3 * MIB, usage(self->dev).out_peak);
	close(fd);
}

TEST_HARNESS_MAIN
