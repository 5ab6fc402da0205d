// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What the README says of the two backends and no other test shows. The table in
 * doc/testing.md has the test for each of its lines.
 */
#include "machine.h"
#include "seccomp.h"

TEST(the_module_is_taken_where_it_works)
{
	struct tmk_backend_info info;

	unsetenv("TMK_BACKEND");
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_EQ(access("/dev/tmk", R_OK | W_OK) ? TMK_BACKEND_USER :
						    TMK_BACKEND_DEV,
		  info.backend);
}

static int child_takes_as_much(void *arg)
{
	struct tmk_region *inherited = arg, *own = NULL;

	tmk_region_put(inherited);
	EXPECT_EQ(0, held());
	EXPECT_EQ(0, create(&own, 6 * MIB, TMK_KIND_HUGE, 0));
	tmk_region_put(own);
	return 0;
}

/* Two processes, each with room for six of eight: both have six. */
TEST(limits_are_each_processs_own)
{
	struct tmk_region *region;

	ASSERT_EQ(0, limit(8 * MIB));
	ASSERT_EQ(0, create(&region, 6 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_EQ(0, in_child(child_takes_as_much, region));
	tmk_region_put(region);
}

static int child_is_refused(void *arg)
{
	struct tmk_region *own = NULL;

	(void)arg;
	EXPECT_EQ(-EDQUOT, create(&own, 6 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_EQ(0, create(&own, 2 * MIB, TMK_KIND_HUGE, 0));
	tmk_region_put(own);
	return 0;
}

/* Those of a group are on all of them together. */
TEST(limits_of_groups_are_on_all_their_processes)
{
	struct tmk_region *region;

	if (!on_dev())
		SKIP(return, "needs the module");
	ASSERT_EQ(0, enter_group("tmk-two", "max", "8M"));
	ASSERT_EQ(0, create(&region, 6 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_EQ(0, in_child(child_is_refused, NULL));
	tmk_region_put(region);
	leave_group("tmk-two");
}

static int child_looks_for_locks(void *arg)
{
	struct tmk_region *region = arg;
	struct tmk__smaps smaps;
	struct tmk_region *own;

	memset(tmk_region_data(region), 1, MIB);
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(region), MIB));
	EXPECT_EQ(MIB, smaps.rss);
	EXPECT_EQ(0, smaps.locked);
	/* Whoever imports it locks for himself; it counts by shares. */
	ASSERT_EQ(0, tmk_region_import(&own, tmk_region_fd(region)));
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(own), MIB));
	EXPECT_EQ(!on_dev(), smaps.locked > 0);
	tmk_region_put(own);
	return 0;
}

TEST(locks_are_not_inherited)
{
	struct tmk_region *region;
	struct tmk__smaps smaps;

	ASSERT_EQ(0, create(&region, MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(0, in_child(child_looks_for_locks, region));
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(region), MIB));
	EXPECT_EQ(on_dev() ? 0 : MIB, smaps.locked);
	tmk_region_put(region);
}

static int huge_of_an_ordinary_user(void *arg)
{
	struct tmk_region *region;
	struct tmk__smaps smaps;

	(void)arg;
	ASSERT_EQ(0, memlock_set(8 * MIB));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_FALSE(feature("huge_locked"));
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(region), 4 * MIB));
	EXPECT_EQ(4 * MIB, smaps.rss);
	EXPECT_EQ(0, smaps.locked);
	tmk_region_put(region);
	return 0;
}

TEST(huge_regions_are_locked_without_a_limit_only)
{
	struct tmk_region *region;
	struct tmk__smaps smaps;
	bool dev = on_dev();

	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(region), 4 * MIB));
	if (!dev)
		EXPECT_EQ(feature("huge_locked") ? 4 * MIB : 0, smaps.locked);
	tmk_region_put(region);
	ASSERT_EQ(0, tmk_close());
	if (!dev)
		EXPECT_EQ(0, in_child(huge_of_an_ordinary_user, NULL));
}

static const char *reason(const char *name)
{
	struct tmk_backend_info info;
	size_t i;

	ASSERT_EQ(0, tmk_backend_info(&info));
	for (i = 0; i < info.features_nr; i++)
		if (!strcmp(info.features[i].name, name))
			return info.features[i].reason;
	return "?";
}

/* Where MADV_COLLAPSE is unknown; tests/vm/user-backend.sh has shmem_enabled. */
TEST(before_linux_6_1)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	char mode[128];

	if (on_dev())
		SKIP(return, "the module makes huge pages by itself");
	if (tmk__file_read(mode, sizeof(mode),
			   "/sys/kernel/mm/transparent_hugepage/"
			   "shmem_enabled") <= 0 ||
	    !strstr(mode, "[never]"))
		SKIP(return, "this system gives huge pages unasked");
	ASSERT_EQ(0, tmk_close());
	ASSERT_EQ(0, forbid_madvise(25));
	EXPECT_FALSE(feature("huge"));
	EXPECT_TRUE(strstr(reason("huge"), "older than 6.1") != NULL);
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(4 * MIB, info.bytes_4k);
	tmk_region_put(region);
	EXPECT_EQ(-ENOMEM, create(&region, 4 * MIB, TMK_KIND_HUGE,
				  TMK_REGION_F_REQUIRE));
	EXPECT_TRUE(all_zero());
}

/* And where MADV_POPULATE_WRITE is. */
TEST(before_linux_5_14)
{
	struct tmk_region *region = NULL;

	ASSERT_EQ(0, forbid_madvise(23));
	EXPECT_EQ(-EOPNOTSUPP, create(&region, 4096, TMK_KIND_PINNED, 0));
	EXPECT_TRUE(says("that needs Linux 5.14 or newer"));
	EXPECT_EQ(-EOPNOTSUPP, create(&region, 4096, TMK_KIND_HUGE, 0));
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

/* Nothing is taken by looking: what two see room for, both go on to take. */
TEST(a_look_is_no_reservation)
{
	struct tmk_region *a, *b;

	ASSERT_EQ(0, machine_make(V2, "0::/job\n"));
	ASSERT_EQ(0, group("/job", "33554432\n", "16777216\n"));
	setenv("TMK_BACKEND", "user", 1);
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	ASSERT_EQ(0, create(&a, 12 * MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, create(&b, 12 * MIB, TMK_KIND_PINNED, 0));
	tmk_region_put(a);
	tmk_region_put(b);
}

TEST(no_node_for_hugetlb_and_file_regions)
{
	static const enum tmk_kind kinds[] = { TMK_KIND_HUGETLB,
					       TMK_KIND_FILE };
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region *region = NULL;
	size_t i;

	opts.node = 0;
	for (i = 0; i < TMK__ARRAY_SIZE(kinds); i++) {
		opts.kind = kinds[i];
		EXPECT_EQ(-EOPNOTSUPP, tmk_region_create(&region, 4096, &opts));
	}
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

/* When this fails, the README has something to say. */
TEST(no_cuda)
{
	EXPECT_STREQ("?", reason("cuda"));
	EXPECT_EQ(0, stats_now().by_use[TMK_USE_DEVICE].peak);
}

TEST_HARNESS_MAIN
