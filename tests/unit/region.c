// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Regions: what is asked for is what is got, on either backend; every bad
 * option is refused and changes nothing; references, guards, information.
 */
#include <pthread.h>

#include "util.h"

/* Is every byte zero? */
static bool is_clear(const struct tmk_region *region)
{
	const uint64_t *p = tmk_region_data(region);
	size_t i, nr = tmk_region_bytes(region) / sizeof(*p);

	for (i = 0; i < nr; i++)
		if (p[i])
			return false;
	return true;
}

static bool is_aligned(const struct tmk_region *region, uint64_t align)
{
	return !((uintptr_t)tmk_region_data(region) & (align - 1));
}

TEST(pinned)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	struct tmk_stats s;

	ASSERT_EQ(0, create(&region, 100000, TMK_KIND_PINNED, 0));
	EXPECT_EQ(102400, tmk_region_bytes(region));
	EXPECT_TRUE(is_aligned(region, 4096));
	EXPECT_TRUE(is_clear(region));
	memset(tmk_region_data(region), 0xff, tmk_region_bytes(region));
	EXPECT_LE(0, tmk_region_fd(region));
	s = stats_now();
	EXPECT_EQ(102400, s.total.current);
	EXPECT_EQ(102400, s.physical.current);
	EXPECT_EQ(102400, s.by_kind[TMK_KIND_PINNED].current);
	EXPECT_EQ(102400, s.by_use[TMK_USE_GENERAL].current);
	EXPECT_EQ(1, s.regions);
	EXPECT_EQ(1, s.regions_created);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(TMK_KIND_PINNED, info.kind);
	EXPECT_EQ(102400, info.bytes);
	EXPECT_EQ(102400, info.physical_bytes);
	EXPECT_EQ(102400, info.bytes_4k);
	EXPECT_EQ(0, info.bytes_2m);
	EXPECT_EQ(TMK_NODE_ANY, info.node);
	EXPECT_STREQ("", info.name);
	EXPECT_EQ(on_dev(), info.cgroup_id != 0);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(1, stats_now().regions_created);
}

TEST(huge)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region_info info;
	struct tmk_region *region;

	opts.name = "weights of layer 1, 31 letters.";
	ASSERT_EQ(0, tmk_region_create(&region, 5 * MIB, &opts));
	EXPECT_EQ(6 * MIB, tmk_region_bytes(region));
	EXPECT_TRUE(is_aligned(region, 2 * MIB));
	EXPECT_TRUE(is_clear(region));
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(TMK_KIND_HUGE, info.kind);
	EXPECT_EQ(6 * MIB, info.bytes);
	EXPECT_EQ(6 * MIB, info.physical_bytes);
	EXPECT_EQ(6 * MIB, info.bytes_4k + info.bytes_large + info.bytes_2m);
	EXPECT_STREQ(opts.name, info.name);
	if (feature("huge"))
		EXPECT_EQ(6 * MIB, info.bytes_2m);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

/* Huge pages are not a matter of luck: on these kernels they are there. */
TEST(huge_pages_where_the_kernel_can)
{
	char mode[128], release[64];
	int major = 0, minor = 0;

	if (tmk__file_read(release, sizeof(release),
			   "/proc/sys/kernel/osrelease") <= 0 ||
	    sscanf(release, "%d.%d", &major, &minor) != 2 ||
	    tmk__file_read(mode, sizeof(mode),
			   "/sys/kernel/mm/transparent_hugepage/"
			   "shmem_enabled") <= 0 ||
	    strstr(mode, "[deny]"))
		SKIP(return, "no transparent huge pages for shared memory");
	if (major < 6 || (major == 6 && minor < 1))
		SKIP(return, "no MADV_COLLAPSE before Linux 6.1");
	EXPECT_TRUE(feature("huge"));
}

TEST(defaults_are_huge)
{
	struct tmk_region_info info;
	struct tmk_region *region;

	ASSERT_EQ(0, tmk_region_create(&region, 1, NULL));
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(TMK_KIND_HUGE, info.kind);
	EXPECT_EQ(2 * MIB, info.bytes);
	tmk_region_put(region);
}

TEST(require_means_require)
{
	struct tmk_region *region = NULL;
	struct tmk_region_info info;
	struct tmk_refusal r;
	int err = create(&region, 4 * MIB, TMK_KIND_HUGE, TMK_REGION_F_REQUIRE);

	if (err) {
		EXPECT_EQ(-ENOMEM, err);
		EXPECT_FALSE(feature("huge"));
		ASSERT_EQ(0, tmk_refusal_last(&r));
		EXPECT_EQ(TMK_LIMIT_HUGE, r.limit);
		EXPECT_NULL(region);
		EXPECT_TRUE(all_zero());
		return;
	}
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(4 * MIB, info.bytes_2m);
	EXPECT_EQ(0, info.bytes_4k);
	EXPECT_EQ(TMK_REGION_F_REQUIRE, info.flags);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

/* Touching everything once more costs no fault. */
TEST(populated_when_it_is_there)
{
	struct tmk_region *pinned, *huge;
	struct rusage before, after;

	ASSERT_EQ(0, create(&pinned, 4 * MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, create(&huge, 4 * MIB, TMK_KIND_HUGE, 0));
	memset(tmk_region_data(pinned), 1, 4096);
	getrusage(RUSAGE_SELF, &before);
	memset(tmk_region_data(pinned), 1, 4 * MIB);
	memset(tmk_region_data(huge), 1, 4 * MIB);
	getrusage(RUSAGE_SELF, &after);
	/* A sanitizer's shadow of it is not populated. */
	if (!SANITIZED)
		EXPECT_EQ(before.ru_minflt, after.ru_minflt);
	tmk_region_put(pinned);
	tmk_region_put(huge);
}

TEST(pinned_is_locked)
{
	struct tmk_region *region;
	struct tmk__smaps smaps;

	ASSERT_EQ(0, create(&region, MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(region), MIB));
	EXPECT_EQ(MIB, smaps.rss);
	/* The module holds pages by itself, without the process's doing. */
	if (!on_dev())
		EXPECT_EQ(MIB, smaps.locked);
	tmk_region_put(region);
	ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_HUGE, 0));
	ASSERT_EQ(0, tmk__smaps_read(&smaps, tmk_region_data(region), 2 * MIB));
	if (!on_dev())
		EXPECT_EQ(feature("huge_locked") ? 2 * MIB : 0, smaps.locked);
	tmk_region_put(region);
}

TEST(two_regions_are_apart)
{
	struct tmk_region *a, *b;
	uint64_t *p, *q;

	ASSERT_EQ(0, create(&a, 65536, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, create(&b, 65536, TMK_KIND_PINNED, 0));
	p = tmk_region_data(a);
	q = tmk_region_data(b);
	p[0] = 1;
	p[8191] = 2;
	EXPECT_EQ(0, q[0]);
	EXPECT_EQ(0, q[8191]);
	EXPECT_NE(tmk_region_fd(a), tmk_region_fd(b));
	tmk_region_put(a);
	EXPECT_EQ(0, q[0]);
	tmk_region_put(b);
}

/* Memory is zero however often it was used before. */
TEST(memory_is_clear_again)
{
	int i;

	for (i = 0; i < 5; i++) {
		struct tmk_region *region;

		ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_HUGE, 0));
		EXPECT_TRUE(is_clear(region));
		memset(tmk_region_data(region), 0xaa, 2 * MIB);
		tmk_region_put(region);
	}
}

struct bad {
	const char *what;
	size_t bytes;
	struct tmk_region_opts opts;
	int err;
	const char *word;
};

#define OPTS(...)                                                          \
	{                                                                  \
		.opts_size = sizeof(struct tmk_region_opts),               \
		.kind = TMK_KIND_PINNED, .node = TMK_NODE_ANY, __VA_ARGS__ \
	}

#pragma GCC diagnostic ignored "-Woverride-init"
static const struct bad bads[] = {
	{ "no bytes", 0, OPTS(), -EINVAL, "0 bytes" },
	{ "SIZE_MAX", SIZE_MAX, OPTS(), -EOVERFLOW, "more than" },
	{ "wraps", SIZE_MAX - 4094, OPTS(), -EOVERFLOW, "more than" },
	{ "beyond off_t", (size_t)1 << 63, OPTS(), -EOVERFLOW, "more than" },
	{ "kind 0", 4096, OPTS(.kind = 0), -EINVAL, "kind 0" },
	{ "kind 5", 4096, OPTS(.kind = 5), -EINVAL, "kind 5" },
	{ "kind -1", 4096, OPTS(.kind = -1), -EINVAL, "kind -1" },
	{ "hugetlb", 4096, OPTS(.kind = TMK_KIND_HUGETLB, .page_bytes = 4096),
	  -EINVAL, "hugetlb" },
	{ "path", 4096, OPTS(.kind = TMK_KIND_HUGE, .path = "/x"), -EINVAL,
	  "path" },
	{ "flag 4", 4096, OPTS(.flags = 4), -EINVAL, "flags 0x4" },
	{ "all flags", 4096, OPTS(.flags = ~0u), -EINVAL, "flags" },
	{ "2 MiB pages", 4096, OPTS(.page_bytes = 2 << 20), -EINVAL,
	  "2097152" },
	{ "3-byte pages", 4096, OPTS(.page_bytes = 3), -EINVAL, "not 3" },
	{ "4 KiB pages", 4096, OPTS(.kind = 2, .page_bytes = 4096), -EINVAL,
	  "4096" },
	{ "node -2", 4096, OPTS(.node = -2), -EINVAL, "node -2" },
	{ "name of 32", 4096, OPTS(.name = "12345678901234567890123456789012"),
	  -EINVAL, "name" },
	{ "name with a newline", 4096, OPTS(.name = "a\nb"), -EINVAL, "0x0a" },
	{ "name in UTF-8", 4096, OPTS(.name = "\xc3\xa4"), -EINVAL, "0xc3" },
	{ "options of no size", 4096, OPTS(.opts_size = 0), -EINVAL,
	  "opts_size" },
	{ "options of 1 byte", 4096, OPTS(.opts_size = 1), -EINVAL,
	  "opts_size" },
	{ "huge options", 4096, OPTS(.opts_size = SIZE_MAX), -EINVAL,
	  "opts_size" },
};

TEST(every_bad_option_is_refused)
{
	struct tmk_region *const untouched = (struct tmk_region *)&bads;
	size_t i;

	ASSERT_EQ(0, tmk_open(NULL));
	for (i = 0; i < TMK__ARRAY_SIZE(bads); i++) {
		const struct bad *bad = &bads[i];
		struct tmk_region *region = untouched;
		int err = tmk_region_create(&region, bad->bytes, &bad->opts);

		if (err != bad->err || !says(bad->word))
			TH_LOG("%s: %d", bad->what, err);
		EXPECT_EQ(bad->err, err);
		EXPECT_TRUE(says(bad->word));
		EXPECT_TRUE(region == untouched);
		EXPECT_EQ(-ENODATA,
			  tmk_refusal_last(&(struct tmk_refusal){ 0 }));
	}
	EXPECT_EQ(-EINVAL, tmk_region_create(NULL, 4096, NULL));
	EXPECT_EQ(-EINVAL, tmk_region_info(NULL, NULL));
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, stats_now().regions_created);
	EXPECT_EQ(0, tmk_close());
}

TEST(options_can_be_checked_beforehand)
{
	size_t i;

	EXPECT_EQ(0, tmk__region_opts_check(NULL));
	for (i = 0; i < TMK__ARRAY_SIZE(bads); i++)
		if (bads[i].bytes == 4096)
			EXPECT_EQ(bads[i].err,
				  tmk__region_opts_check(&bads[i].opts));
}

TEST(options_of_a_later_version)
{
	struct {
		struct tmk_region_opts opts;
		uint64_t more[4];
	} later = { .opts = TMK_REGION_OPTS_INIT };
	struct tmk_region *region;

	later.opts.opts_size = sizeof(later);
	later.opts.kind = TMK_KIND_PINNED;
	ASSERT_EQ(0, tmk_region_create(&region, 4096, &later.opts));
	tmk_region_put(region);
	later.more[2] = 1;
	EXPECT_EQ(-EINVAL, tmk_region_create(&region, 4096, &later.opts));
	EXPECT_TRUE(all_zero());
}

TEST(node)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region_info info;
	struct tmk_region *region;

	opts.node = 0;
	if (feature("node")) {
		ASSERT_EQ(0, tmk_region_create(&region, 1, &opts));
		ASSERT_EQ(0, tmk_region_info(&info, region));
		EXPECT_EQ(0, info.node);
		tmk_region_put(region);
		opts.node = 1000;
		EXPECT_EQ(-EINVAL, tmk_region_create(&region, 1, &opts));
	} else {
		EXPECT_EQ(-EOPNOTSUPP, tmk_region_create(&region, 1, &opts));
		EXPECT_TRUE(says("a NUMA node cannot be chosen here"));
	}
	EXPECT_TRUE(all_zero());
}

static int overrun(void *arg)
{
	char *at = arg;

	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)at = 1;
	return 0;
}

TEST(guards)
{
	struct tmk_region *region;
	char *data;

	ASSERT_EQ(0, create(&region, 8192, TMK_KIND_PINNED, 0));
	data = tmk_region_data(region);
	EXPECT_EQ(0, in_child(overrun, data + 8191));
	EXPECT_EQ(126, in_child(overrun, data + 8192));
	EXPECT_EQ(126, in_child(overrun, data - 1));
	tmk_region_put(region);
	ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_HUGE, 0));
	data = tmk_region_data(region);
	EXPECT_EQ(126, in_child(overrun, data + 2 * MIB));
	EXPECT_EQ(126, in_child(overrun, data - 1));
	tmk_region_put(region);
}

#define REFS 1000

static void *refs_thread(void *arg)
{
	int i;

	for (i = 0; i < REFS; i++)
		tmk_region_put(tmk_region_get(arg));
	tmk_region_put(arg);
	return NULL;
}

TEST(references)
{
	struct tmk_region *region;
	pthread_t threads[4];
	int i;

	ASSERT_EQ(0, create(&region, 4096, TMK_KIND_PINNED, 0));
	EXPECT_TRUE(tmk_region_get(region) == region);
	tmk_region_put(region);
	*(char *)tmk_region_data(region) = 1;
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, refs_thread,
					    tmk_region_get(region)));
	tmk_region_put(region);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EXPECT_TRUE(all_zero());
	tmk_region_put(NULL);
}

TEST(nothing_is_left_of_a_region)
{
	struct tmk_region *region;
	int fds, maps, i;

	ASSERT_EQ(0, tmk_open(NULL));
	fds = fds_nr();
	maps = maps_nr();
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0,
			  create(&region, 1,
				 i % 2 ? TMK_KIND_HUGE : TMK_KIND_PINNED, 0));
		EXPECT_LT(fds, fds_nr());
		EXPECT_LT(maps, maps_nr());
		tmk_region_put(region);
	}
	EXPECT_EQ(fds, fds_nr());
	EXPECT_EQ(maps, maps_nr());
	EXPECT_TRUE(all_zero());
}

/* Asking changes nothing and costs no system call where none is needed. */
TEST(calls_are_counted)
{
	struct tmk_region *region;
	uint64_t calls;

	ASSERT_EQ(0, tmk_open(NULL));
	calls = stats_now().backend_calls;
	ASSERT_EQ(0, create(&region, 1, TMK_KIND_PINNED, 0));
	EXPECT_LT(calls, stats_now().backend_calls);
	calls = stats_now().backend_calls;
	(void)tmk_region_data(region);
	(void)tmk_region_bytes(region);
	(void)tmk_region_fd(region);
	tmk_region_put(tmk_region_get(region));
	EXPECT_EQ(calls, stats_now().backend_calls);
	tmk_region_put(region);
}

TEST(no_more_descriptors)
{
	struct rlimit files;
	struct tmk_region *region = NULL;

	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	EXPECT_EQ(-EMFILE, create(&region, 4096, TMK_KIND_PINNED, 0));
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
	files.rlim_cur = files.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_EQ(0, create(&region, 4096, TMK_KIND_PINNED, 0));
	tmk_region_put(region);
}

TEST_HARNESS_MAIN
