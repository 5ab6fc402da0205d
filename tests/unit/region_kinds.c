// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Regions of the system's hugetlb pools and regions of files: what they are
 * made of, what is charged, what is left of a file, and what is refused.
 */
#include "util.h"

static char dir[64];
static char path[128];

static int file_region(struct tmk_region **out, uint64_t bytes,
		       const char *where)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;

	opts.kind = TMK_KIND_FILE;
	opts.path = where;
	return tmk_region_create(out, bytes, &opts);
}

static int64_t file_size(const char *where)
{
	struct stat st;

	return stat(where, &st) ? -1 : st.st_size;
}

FIXTURE(file)
{
	int unused;
};

FIXTURE_SETUP(file)
{
	ASSERT_TRUE(temp_dir(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	if (!feature("file"))
		SKIP(return, "this module has no file regions");
}

FIXTURE_TEARDOWN(file)
{
	unlink(path);
	rmdir(dir);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_F(file, is_charged_and_not_as_physical)
{
	struct tmk_region *region;
	struct tmk_stats stats;

	ASSERT_EQ(0, file_region(&region, MIB + 1, path));
	EXPECT_EQ(MIB + 4096, tmk_region_bytes(region));
	EXPECT_EQ(MIB + 4096, file_size(path));
	stats = stats_now();
	EXPECT_EQ(MIB + 4096, stats.by_kind[TMK_KIND_FILE].current);
	EXPECT_EQ(MIB + 4096, stats.total.current);
	EXPECT_EQ(0, stats.physical.current);
	tmk_region_put(region);
}

TEST_F(file, keeps_what_is_written)
{
	struct tmk_region *region;
	char *p;

	ASSERT_EQ(0, file_region(&region, 10000, path));
	p = tmk_region_data(region);
	EXPECT_EQ(0, p[9999]);
	memcpy(p + 5000, "here", 5);
	tmk_region_put(region);
	/* Not empty: neither cleared nor cut, and mapped as far as asked. */
	ASSERT_EQ(0, file_region(&region, 8000, path));
	EXPECT_STREQ("here", (char *)tmk_region_data(region) + 5000);
	tmk_region_put(region);
	EXPECT_EQ(12288, file_size(path));
	EXPECT_EQ(-EINVAL, file_region(&region, MIB, path));
	EXPECT_TRUE(says("left as it is"));
	EXPECT_EQ(12288, file_size(path));
}

TEST_F(file, unnamed)
{
	struct tmk_region *region;
	struct tmk_region_info info;

	ASSERT_EQ(0, setenv("TMPDIR", dir, 1));
	ASSERT_EQ(0, file_region(&region, MIB, NULL));
	memset(tmk_region_data(region), 1, MIB);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(TMK_KIND_FILE, info.kind);
	EXPECT_EQ(-1, access(path, F_OK));
	tmk_region_put(region);
	ASSERT_EQ(0, setenv("TMPDIR", "/nowhere", 1));
	EXPECT_EQ(-ENOENT, file_region(&region, MIB, NULL));
	EXPECT_TRUE(says("/nowhere"));
}

TEST_F(file, refused)
{
	struct tmk_region *region;

	EXPECT_EQ(-EISDIR, file_region(&region, MIB, dir));
	EXPECT_EQ(-EINVAL, file_region(&region, 4096, "/dev/null"));
	EXPECT_TRUE(says("no regular file"));
	ASSERT_EQ(0, limit(MIB));
	EXPECT_EQ(-ENOMEM, file_region(&region, 2 * MIB, path));
	EXPECT_LE(file_size(path), 0);
}

TEST_F(file, blocks)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	char *p;

	opts.kind = TMK_KIND_FILE;
	opts.flags = TMK_ALLOC_F_ZERO;
	ASSERT_EQ(0, tmk_alloc((void **)&p, 300000, &opts));
	EXPECT_EQ(0, p[299999]);
	memset(p, 1, 300000);
	EXPECT_EQ(0, stats_now().physical.current);
	EXPECT_EQ(0, tmk_free(p));
}

TEST(hugetlb)
{
	struct tmk_region *region, *other;
	struct tmk_region_info info;
	int err;

	if (!feature("hugetlb"))
		SKIP(return, "there are no pages in the hugetlb pool, or this "
			     "module does not use them");
	err = create(&region, 3 * MIB, TMK_KIND_HUGETLB, 0);
	if (err == -ENOMEM)
		SKIP(return, "%s", tmk_error_last());
	ASSERT_EQ(0, err);
	memset(tmk_region_data(region), 1, 4 * MIB);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(4 * MIB, info.bytes);
	EXPECT_EQ(4 * MIB, info.bytes_2m);
	EXPECT_EQ(4 * MIB, info.physical_bytes);
	EXPECT_EQ(4 * MIB, stats_now().by_kind[TMK_KIND_HUGETLB].current);
	ASSERT_EQ(0, tmk_region_import(&other, tmk_region_fd(region)));
	EXPECT_EQ(1, *(char *)tmk_region_data(other));
	tmk_region_put(other);
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* tests/vm/hugetlb.sh runs it in a machine that has one. */
TEST(gigantic)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region *region, *other;
	struct tmk_region_info info;
	uint64_t gib = 1024 * MIB;
	int err;

	opts.kind = TMK_KIND_HUGETLB;
	opts.page_bytes = gib;
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	err = tmk_region_create(&region, 1, &opts);
	if (err)
		SKIP(return, "%s", tmk_error_last());
	*(char *)tmk_region_data(region) = 1;
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(gib, info.bytes);
	EXPECT_EQ(gib, info.bytes_1g);
	EXPECT_EQ(0, info.bytes_2m);
	EXPECT_EQ(gib, info.physical_bytes);
	EXPECT_EQ(gib, stats_now().by_kind[TMK_KIND_HUGETLB].current);
	EXPECT_EQ(0, (uintptr_t)tmk_region_data(region) % gib);
	ASSERT_EQ(0, tmk_region_import(&other, tmk_region_fd(region)));
	EXPECT_EQ(1, *(char *)tmk_region_data(other));
	tmk_region_put(other);
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(hugetlb_pool_is_named)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region *region;
	struct tmk_refusal r;
	int err;

	if (on_dev() && !feature("hugetlb"))
		SKIP(return, "this module has no hugetlb regions");
	opts.kind = TMK_KIND_HUGETLB;
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	err = tmk_region_create(&region, 512 * MIB, &opts);
	EXPECT_EQ(-ENOMEM, err);
	if (!on_dev()) {
		EXPECT_TRUE(says("vm.nr_hugepages"));
		ASSERT_EQ(0, tmk_refusal_last(&r));
		EXPECT_EQ(TMK_LIMIT_HUGE, r.limit);
	}
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
