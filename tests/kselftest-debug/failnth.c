// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Every allocation and every copy to or from user space fails once, on every
 * way through every command: the first, then the second, until a run ends in
 * which none was left to fail. Each failure is an errno or is absorbed; after
 * it no descriptor is left and nothing is charged. What is lost for good is for
 * kmemleak to find (tests/qemu/debug-finish.sh).
 *
 * Needs the debug kernel: /proc/self/fail-nth.
 */
#include "ways.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define MOST 4000 /* no way is that long */

static int fail_fd = -1;

/* The n-th point of this thread from now on fails; 0: none does. */
static bool arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	return pwrite(fail_fd, text, len, 0) == len;
}

/* Did it? Reading is itself a point that may fail; then it had not. */
static bool fired(void)
{
	char text[16] = "";

	return pread(fail_fd, text, sizeof(text) - 1, 0) > 0 && text[0] == '0';
}

static void set(const char *what, const char *key, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", what, key);
	ASSERT_EQ(0, write_text(path, value));
}

/* One run; true if there was a point left that failed. */
static bool run_once(const struct way *way, unsigned int n, unsigned int *errs)
{
	int fds, err;
	bool hit;

	if (way->before)
		way->before();
	fds = open_fds();
	ASSERT_TRUE(arm(n));
	err = way->run();
	hit = fired();
	/* The point may be the copy of this very zero; then none is left. */
	if (!arm(0))
		ASSERT_TRUE(arm(0));
	if (fds != open_fds()) {
		TH_LOG("%s: %d: a descriptor is left", way->name, n);
		EXPECT_EQ(fds, open_fds());
	}
	if (!hit && err != way->end) {
		TH_LOG("%s: %d: %s", way->name, n, strerror(err));
		EXPECT_EQ(way->end, err);
	}
	/* An injected failure is one of these, and never a limit's. */
	if (hit && err && err != way->end && err != ENOMEM && err != EFAULT &&
	    err != ENFILE && err != EMFILE && err != EAGAIN) {
		TH_LOG("%s: %d: %s", way->name, n, strerror(err));
		EXPECT_EQ(ENOMEM, err);
	}
	*errs += hit && err && err != way->end;
	if (way->after)
		way->after();
	return hit;
}

FIXTURE(failnth)
{
	int unused;
};

FIXTURE_VARIANT(failnth)
{
	const char *name;
};

#define WAY(way)                          \
	FIXTURE_VARIANT_ADD(failnth, way) \
	{                                 \
		.name = #way              \
	}
WAY(open);
WAY(info);
WAY(usage);
WAY(create_pinned);
WAY(create_huge);
WAY(create_huge_required);
WAY(create_hugetlb);
WAY(create_file);
WAY(create_in_new_group);
WAY(usage_in_new_group);
WAY(create_refused);
WAY(region_info);
WAY(dmabuf);
WAY(trim);
WAY(readonly);
WAY(seal);
WAY(import);
WAY(poll);
WAY(map);
WAY(map_file);
WAY(map_hugetlb);
WAY(split_file);
WAY(fill_hole);
WAY(fill_small_hole);
WAY(dmabuf_of_hole);
WAY(fork);
WAY(reopen);
WAY(read);
WAY(fdinfo);
WAY(sysfs);
WAY(debugfs);
WAY(pool);
WAY(control);
WAY(owner);
WAY(max);
WAY(peak);

FIXTURE_SETUP(failnth)
{
	static const char *const faults[] = { "failslab", "fail_page_alloc",
					      "fail_usercopy" };
	size_t i;

	fail_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		SKIP(return, "this kernel does not inject faults");
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		set(faults[i], "verbose", "0");
	/* Those that may wait are the ones that matter here. */
	set("failslab", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_page_alloc", "min-order", "0");
	/* Entering a group waits for RCU, which takes its time in this kernel. */
	ASSERT_EQ(0, write_text("/sys/kernel/rcu_expedited", "1"));
	dev = device_open();
	ASSERT_GE(dev, 0);
	ASSERT_TRUE(settles(0));
}

FIXTURE_TEARDOWN(failnth)
{
	EXPECT_TRUE(settles(0));
	close(dev);
	close(fail_fd);
}

TEST_F_TIMEOUT(failnth, every_point_once, 120)
{
	const struct way *way = NULL;
	unsigned int n, errs = 0;
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].name, variant->name))
			way = &ways[i];
	ASSERT_TRUE(way);
	for (n = 1; n < MOST && run_once(way, n, &errs); n++)
		if (n % 8 == 0 && !settles(0))
			ASSERT_TRUE(settles(0));
	ASSERT_LT(n, MOST);
	TH_LOG("%s: %u points, %u of them errors", way->name, n - 1, errs);
}

TEST_HARNESS_MAIN
