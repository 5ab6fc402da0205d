// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * memory.max of cgroup v2, on made-up machines: a tree of files that stands in
 * for / (tmk__proc_root). Default limits, percentages and refusals follow.
 */
#include "machine.h"

static int least(struct tmk__memcg *out)
{
	struct tmk__cgroup_mount mount;

	tmk__cgroup_find(&mount);
	return tmk__cgroup_least(out, &mount);
}

static int tightest(struct tmk__memcg *out)
{
	struct tmk__cgroup_mount mount;

	tmk__cgroup_find(&mount);
	return tmk__cgroup_tightest(out, &mount);
}

TEST(least_of_all_ancestors)
{
	struct tmk__memcg m;

	ASSERT_EQ(0, machine_make(V2, "0::/a/b/c\n"));
	ASSERT_EQ(0, group("/a", "419430400\n", "1000\n"));
	ASSERT_EQ(0, group("/a/b", "max\n", "1000\n"));
	ASSERT_EQ(0, group("/a/b/c", "524288000\n", "1000\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(419430400, m.max);
	EXPECT_STREQ("/a", m.path);
	/* Its own is the least now. */
	ASSERT_EQ(0, group("/a/b/c", "4096\n", "0\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(4096, m.max);
	EXPECT_STREQ("/a/b/c", m.path);
}

TEST(tightest_has_the_least_room)
{
	struct tmk__memcg m;

	ASSERT_EQ(0, machine_make(V2, "0::/a/b\n"));
	ASSERT_EQ(0, group("/a", "1000\n", "999\n"));
	ASSERT_EQ(0, group("/a/b", "500\n", "100\n"));
	ASSERT_EQ(0, tightest(&m));
	EXPECT_STREQ("/a", m.path);
	EXPECT_EQ(1000, m.max);
	EXPECT_EQ(999, m.used);
	/* What is clean cache is not in use: the kernel drops it first. */
	ASSERT_EQ(0, put_file("anon 100\ninactive_file 700\nactive_file 100\n"
			      "slab_reclaimable 9\nslab 10\n",
			      "%s/sys/fs/cgroup/a/memory.stat", machine));
	ASSERT_EQ(0, tightest(&m));
	EXPECT_STREQ("/a/b", m.path);
	EXPECT_EQ(100, m.used);
	/* Over its limit, or with figures that do not fit together. */
	ASSERT_EQ(0, group("/a", "1000\n", "2000\n"));
	ASSERT_EQ(0, tightest(&m));
	EXPECT_STREQ("/a", m.path);
	EXPECT_EQ(1191, m.used);
}

TEST(root_of_a_namespace)
{
	struct tmk__memcg m;

	ASSERT_EQ(0, machine_make(V2, "0::/\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_TRUE(m.max == TMK_UNLIMITED);
	/* In a container the root has files like any other group. */
	ASSERT_EQ(0, group("", "2000\n", "1\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(2000, m.max);
	EXPECT_STREQ("/", m.path);
}

TEST(out_of_sight)
{
	struct tmk__memcg m;

	ASSERT_EQ(0, machine_make(V2, "0::/../../elsewhere\n"));
	ASSERT_EQ(0, group("", "2000\n", "1\n"));
	ASSERT_EQ(0, group("/elsewhere", "10\n", "1\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(2000, m.max);
}

/* Docker without a cgroup namespace: a part of the tree is mounted. */
TEST(part_of_the_tree)
{
	struct tmk__memcg m;

	ASSERT_EQ(0, machine_make("30 23 0:26 /docker/12 /sys/fs/cgroup ro - "
				  "cgroup2 cgroup rw\n",
				  "0::/docker/12/job\n"));
	ASSERT_EQ(0, group("", "3000\n", "1\n"));
	ASSERT_EQ(0, group("/job", "5000\n", "1\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(3000, m.max);
	EXPECT_STREQ("/docker/12", m.path);
	/* /docker/123 is not below /docker/12. */
	ASSERT_EQ(0,
		  put_file("0::/docker/123\n", "%s/proc/self/cgroup", machine));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(3000, m.max);
}

TEST(mounted_elsewhere)
{
	struct tmk__memcg m;

	ASSERT_EQ(0,
		  machine_make("29 23 0:25 / /sys/fs/cgroup rw - tmpfs t rw\n"
			       "30 29 0:26 / /my\\040groups rw a:1 b:2 - "
			       "cgroup2 cgroup rw\n",
			       "4:memory:/x\n0::/a b\n"));
	ASSERT_EQ(0, put_file("777\n", "%s/my groups/a b/memory.max", machine));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(777, m.max);
	EXPECT_STREQ("/a b", m.path);
}

TEST(long_paths_are_shortened)
{
	char path[400] = "", line[420];
	struct tmk__memcg m;

	while (strlen(path) < 300)
		strcat(path, "/group-with-a-long-name");
	strcat(path, "/last");
	snprintf(line, sizeof(line), "0::%s\n", path);
	ASSERT_EQ(0, machine_make(V2, line));
	ASSERT_EQ(0, group(path, "777\n", "1\n"));
	ASSERT_EQ(0, least(&m));
	EXPECT_EQ(sizeof(m.path) - 1, strlen(m.path));
	EXPECT_EQ(0, strncmp(m.path, "/...", 4));
	EXPECT_STREQ("/last", m.path + strlen(m.path) - 5);
}

TEST(cgroup_v1_only)
{
	struct tmk_backend_info info;
	struct tmk_limits limits;
	struct tmk__memcg m;

	ASSERT_EQ(0, machine_make("30 23 0:26 / /sys/fs/cgroup/memory rw - "
				  "cgroup cgroup rw,memory\n",
				  "4:memory:/a\n"));
	EXPECT_EQ(-ENOENT, least(&m));
	EXPECT_EQ(-ENOENT, tightest(&m));
	setenv("TMK_BACKEND", "user", 1);
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(512 * MIB, limits.max_bytes);
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_FALSE(feature("memory_max"));
}

TEST(files_that_are_junk)
{
	static const char *const junk[] = { "", "\n", "-1\n", "maximum\n",
					    "none" };
	struct tmk__memcg m;
	size_t i;

	ASSERT_EQ(0, machine_make(V2, "0::/a\n"));
	for (i = 0; i < TMK__ARRAY_SIZE(junk); i++) {
		ASSERT_EQ(0, group("/a", junk[i], "1\n"));
		EXPECT_EQ(0, least(&m));
		EXPECT_TRUE(m.max == TMK_UNLIMITED);
	}
	for (i = 0; i < TMK__ARRAY_SIZE(junk); i++) {
		ASSERT_EQ(0, put_file(junk[i], "%s/proc/self/cgroup", machine));
		EXPECT_EQ(-ENOENT, least(&m));
	}
	ASSERT_EQ(0, put_file("- cgroup2 \n 1 2 - cgroup2 c\n",
			      "%s/proc/self/mountinfo", machine));
	EXPECT_EQ(-ENOENT, least(&m));
	machine_remove();
	EXPECT_EQ(-ENOENT, least(&m));
}

TEST(default_is_half_of_the_least)
{
	struct tmk_limits limits;

	ASSERT_EQ(0, machine_make(V2, "0::/a/b\n"));
	ASSERT_EQ(0, group("/a", "419430400\n", "0\n"));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(200 * MIB, limits.max_bytes);
	EXPECT_EQ(200 * MIB, limits.max_physical_bytes);
	tmk_close();
	/* Percentages are of the same whole. */
	setenv("TMK_MAX_BYTES", "10%", 1);
	setenv("TMK_MAX_PHYSICAL_BYTES", "100%", 1);
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(40 * MIB, limits.max_bytes);
	EXPECT_EQ(400 * MIB, limits.max_physical_bytes);
	tmk_close();
	/* A memory.max above RAM is no limit. */
	ASSERT_EQ(0, group("/a", "9999999999999\n", "0\n"));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(1024 * MIB, limits.max_physical_bytes);
}

TEST(memory_max_refuses_before_anything_is_touched)
{
	struct tmk_region *region = NULL;
	struct tmk_refusal r;

	ASSERT_EQ(0, machine_make(V2, "0::/team/job\n"));
	ASSERT_EQ(0, group("/team", "33554432\n", "20971520\n"));
	ASSERT_EQ(0, group("/team/job", "max\n", "20971520\n"));
	setenv("TMK_BACKEND", "user", 1);
	setenv("TMK_MAX_BYTES", "max", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(-ENOMEM, create(&region, 16 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_STREQ("cannot create a pinned region of 16.0 MiB: cgroup /team "
		     "may use 32.0 MiB (memory.max) and 20.0 MiB are in use",
		     tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMCG, r.limit);
	EXPECT_EQ(16 * MIB, r.asked);
	EXPECT_EQ(20 * MIB, r.used);
	EXPECT_EQ(32 * MIB, r.max);
	EXPECT_STREQ("/team", r.where);
	/* What fits to the byte does not: the kernel needs some itself. */
	EXPECT_EQ(-ENOMEM, create(&region, 12 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

TEST(machine_refuses_what_it_has_not_got)
{
	struct tmk_region *region = NULL;
	struct tmk_refusal r;

	ASSERT_EQ(0, machine_make(V2, "0::/\n"));
	setenv("TMK_BACKEND", "user", 1);
	setenv("TMK_MAX_BYTES", "max", 1);
	setenv("TMK_MAX_PHYSICAL_BYTES", "max", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(-ENOMEM, create(&region, 901 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_STREQ("cannot create a pinned region of 901.0 MiB: the machine "
		     "has 1.0 GiB of memory and 124.0 MiB are in use",
		     tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMORY, r.limit);
	EXPECT_EQ(124 * MIB, r.used);
	EXPECT_EQ(1024 * MIB, r.max);
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

TEST(no_proc)
{
	tmk__proc_root = "/nowhere";
	EXPECT_EQ(-ENOENT, tmk_open(NULL));
	EXPECT_TRUE(says("cannot read /proc/meminfo"));
	tmk__proc_root = "";
	EXPECT_EQ(0, tmk_open(NULL));
}

TEST(path_that_the_module_shows)
{
	char buf[64];

	ASSERT_EQ(0, machine_make(V2, "0::/\n"));
	ASSERT_EQ(0, put_file("/team-a\n", "%s/sys/kernel/tmk/cgroups/42/path",
			      machine));
	tmk__cgroup_tmk_path(buf, sizeof(buf), 42);
	EXPECT_STREQ("/team-a", buf);
	tmk__cgroup_tmk_path(buf, sizeof(buf), 43);
	EXPECT_STREQ("cgroup 43", buf);
	tmk__cgroup_tmk_path(buf, sizeof(buf), 1);
	EXPECT_STREQ("", buf);
	tmk__cgroup_tmk_path(buf, sizeof(buf), 0);
	EXPECT_STREQ("", buf);
}

TEST_HARNESS_MAIN
