// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Refusals that come from the kernel: RLIMIT_MEMLOCK, huge pages, and on the
 * module the limits of cgroups. Each names what was asked, used and allowed.
 */
#include "util.h"

static int nothing_may_be_locked(void *arg)
{
	struct tmk_region *region = NULL;
	struct tmk_refusal r;

	(void)arg;
	ASSERT_EQ(0, memlock_set(0));
	ASSERT_EQ(0, become_nobody());
	EXPECT_EQ(-ENOMEM, create(&region, MIB, TMK_KIND_PINNED, 0));
	EXPECT_STREQ("cannot create a pinned region of 1.0 MiB: RLIMIT_MEMLOCK "
		     "allows this process to lock 0 B and 0 B are locked "
		     "already (ulimit -l, limits.conf or LimitMEMLOCK= raise "
		     "it)",
		     tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMLOCK, r.limit);
	EXPECT_EQ(MIB, r.asked);
	EXPECT_EQ(0, r.used);
	EXPECT_EQ(0, r.max);
	EXPECT_NULL(region);
	EXPECT_FALSE(feature("pinned"));
	/* Huge regions do without, and say so. */
	EXPECT_FALSE(feature("huge_locked"));
	ASSERT_EQ(0, create(&region, 16 * MIB, TMK_KIND_HUGE, 0));
	memset(tmk_region_data(region), 1, 16 * MIB);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	return 0;
}

static int some_may_be_locked(void *arg)
{
	struct tmk_region *a, *b = NULL;
	struct tmk_refusal r;

	(void)arg;
	ASSERT_EQ(0, memlock_set(8 * MIB));
	ASSERT_EQ(0, become_nobody());
	/* Huge ones leave the limit alone. */
	EXPECT_FALSE(feature("huge_locked"));
	ASSERT_EQ(0, create(&a, 16 * MIB, TMK_KIND_HUGE, 0));
	tmk_region_put(a);
	/* At equality; one page more; and again when there is room. */
	ASSERT_EQ(0, create(&a, 6 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-ENOMEM, create(&b, 2 * MIB + 1, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMLOCK, r.limit);
	EXPECT_EQ(2 * MIB + 4096, r.asked);
	EXPECT_EQ(6 * MIB, r.used);
	EXPECT_EQ(8 * MIB, r.max);
	EXPECT_STREQ("RLIMIT_MEMLOCK", r.where);
	ASSERT_EQ(1, r.holders_nr);
	EXPECT_EQ(6 * MIB, r.holders[0].bytes);
	EXPECT_TRUE(says("raise it); this process has general 6.0 MiB"));
	EXPECT_EQ(6 * MIB, held());
	ASSERT_EQ(0, create(&b, 2 * MIB, TMK_KIND_PINNED, 0));
	tmk_region_put(a);
	tmk_region_put(b);
	/* Whoever imports locks for himself. */
	ASSERT_EQ(0, create(&a, 5 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-ENOMEM, tmk_region_import(&b, tmk_region_fd(a)));
	EXPECT_TRUE(says("RLIMIT_MEMLOCK"));
	tmk_region_put(a);
	EXPECT_TRUE(all_zero());
	return 0;
}

/* The module holds pages itself: RLIMIT_MEMLOCK does not bind there. */
static int module_needs_no_memlock(void *arg)
{
	struct tmk_region *region;

	(void)arg;
	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, memlock_set(0));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, create(&region, MIB, TMK_KIND_PINNED, 0));
	tmk_region_put(region);
	return 0;
}

/* Closed again: what a process may lock is found out when it opens. */
static bool dev_is_taken(void)
{
	bool dev = on_dev();

	EXPECT_EQ(0, tmk_close());
	return dev;
}

TEST(memlock_of_zero)
{
	EXPECT_EQ(0, in_child(dev_is_taken() ? module_needs_no_memlock :
					       nothing_may_be_locked,
			      NULL));
}

TEST(memlock_of_some)
{
	if (!dev_is_taken())
		EXPECT_EQ(0, in_child(some_may_be_locked, NULL));
}

static int without_huge_pages(void *arg)
{
	struct tmk_region *region = NULL;
	struct tmk_region_info info;
	struct tmk_refusal r;

	(void)arg;
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	EXPECT_FALSE(feature("huge"));
	/* Preferred: base pages, and it says so. */
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(0, info.bytes_2m);
	EXPECT_EQ(4 * MIB, info.bytes_4k);
	EXPECT_EQ(4 * MIB, info.physical_bytes);
	tmk_region_put(region);
	/* Required: refused, and nothing is left. */
	region = NULL;
	EXPECT_EQ(-ENOMEM, create(&region, 4 * MIB, TMK_KIND_HUGE,
				  TMK_REGION_F_REQUIRE));
	EXPECT_STREQ("cannot create a huge region of 4.0 MiB: it requires "
		     "2 MiB pages and 0 B could be had in such",
		     tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_HUGE, r.limit);
	EXPECT_EQ(4 * MIB, r.asked);
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
	return 0;
}

/* The module does not ask whether the process has them switched off. */
TEST(huge_pages_switched_off)
{
	int fds = fds_nr();

	if (dev_is_taken())
		return;
	EXPECT_EQ(0, in_child(without_huge_pages, NULL));
	EXPECT_EQ(fds, fds_nr());
}

/* What is refused although nothing else is in the way. */
TEST(more_than_the_machine_has)
{
	struct tmk_region *region = NULL;
	uint64_t total, available;
	struct tmk_refusal r;
	int kind, err;

	ASSERT_EQ(0, tmk__meminfo(&total, &available));
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	for (kind = TMK_KIND_PINNED; kind <= TMK_KIND_HUGE; kind++) {
		err = create(&region, total + MIB, (enum tmk_kind)kind, 0);
		/* The module's own ceiling may be the one that says no. */
		EXPECT_TRUE(err == -ENOMEM || (on_dev() && err == -EDQUOT));
		ASSERT_EQ(0, tmk_refusal_last(&r));
		EXPECT_LE(total + MIB, r.asked);
		EXPECT_TRUE(r.limit == TMK_LIMIT_MEMORY ||
			    r.limit == TMK_LIMIT_MEMCG ||
			    r.limit == TMK_LIMIT_CGROUP ||
			    r.limit == TMK_LIMIT_CGROUP_PHYSICAL);
		EXPECT_NULL(region);
	}
	EXPECT_TRUE(all_zero());
}

static void group_refuses(const char *key, enum tmk_limit which)
{
	struct tmk_region *a, *b = NULL;
	struct tmk_refusal r;
	char expected[256];

	if (!on_dev())
		SKIP(return, "needs the module");
	ASSERT_EQ(0, enter_group("tmk-unit", key, "8M"));
	ASSERT_EQ(0, create(&a, 6 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-EDQUOT, create(&b, 4 * MIB, TMK_KIND_HUGE, 0));
	snprintf(expected, sizeof(expected),
		 "cannot create a huge region of 4.0 MiB: cgroup /tmk-unit may "
		 "use 8.0 MiB (tmk %s) and 6.0 MiB are in use; this process "
		 "has general 6.0 MiB",
		 key);
	EXPECT_STREQ(expected, tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(which, r.limit);
	EXPECT_EQ(4 * MIB, r.asked);
	EXPECT_EQ(6 * MIB, r.used);
	EXPECT_EQ(8 * MIB, r.max);
	EXPECT_STREQ("/tmk-unit", r.where);
	/* What could be given back here. */
	ASSERT_EQ(1, r.holders_nr);
	EXPECT_STREQ("general", r.holders[0].name);
	EXPECT_EQ(6 * MIB, r.holders[0].bytes);
	EXPECT_NULL(b);
	EXPECT_EQ(6 * MIB, held());
	EXPECT_EQ(0, create(&b, 2 * MIB, TMK_KIND_HUGE, 0));
	tmk_region_put(a);
	tmk_region_put(b);
	EXPECT_TRUE(all_zero());
	leave_group("tmk-unit");
}

TEST(module_max_of_a_cgroup)
{
	group_refuses("max", TMK_LIMIT_CGROUP);
}

TEST(module_physical_max_of_a_cgroup)
{
	group_refuses("physical_max", TMK_LIMIT_CGROUP_PHYSICAL);
}

TEST_HARNESS_MAIN
