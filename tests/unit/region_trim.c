// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Parts of regions that are given back and had again, on either backend: the
 * ledger follows exactly, what was given back cannot be touched, and filling is
 * refused and waits as creating does.
 */
#define _GNU_SOURCE /* vmsplice() */
#include <pthread.h>
#include <sys/uio.h>

#include "util.h"

#define PAGES 8

static uint64_t page_of(enum tmk_kind kind)
{
	return kind == TMK_KIND_HUGE ? 2 * MIB : 4096;
}

static uint64_t physical(void)
{
	return stats_now().physical.current;
}

static uint64_t really(const struct tmk_region *region)
{
	struct tmk_region_info info;

	return tmk_region_info(&info, region) ? UINT64_MAX :
						info.physical_bytes;
}

/* A region of eight pages, each full of its number. */
static struct tmk_region *make(enum tmk_kind kind)
{
	uint64_t page = page_of(kind), i;
	struct tmk_region *region;

	if (create(&region, PAGES * page, kind, TMK_REGION_F_TRIM)) {
		TH_LOG("%s", tmk_error_last());
		abort();
	}
	for (i = 0; i < PAGES; i++)
		memset((char *)tmk_region_data(region) + i * page, (int)i + 1,
		       page);
	return region;
}

static int touch(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	return *(volatile unsigned char *)arg;
}

/* What is at the page, 126 if it cannot be touched. */
static int at_page(const struct tmk_region *region, uint64_t nr)
{
	struct tmk_region_info info;

	if (tmk_region_info(&info, region))
		return -1;
	return in_child(touch, (char *)tmk_region_data(region) +
				       nr * page_of(info.kind) + 4095);
}

static void figures(enum tmk_kind kind)
{
	uint64_t page = page_of(kind), trimmed = 1;
	struct tmk_region *region = make(kind);
	struct tmk_stats before = stats_now(), s;

	EXPECT_EQ(PAGES * page, physical());
	ASSERT_EQ(0, tmk_region_trim(&trimmed, region, 2 * page, 3 * page));
	EXPECT_EQ(3 * page, trimmed);
	s = stats_now();
	EXPECT_EQ((PAGES - 3) * page, s.physical.current);
	EXPECT_EQ(before.total.current, s.total.current);
	EXPECT_EQ(before.by_kind[kind].current, s.by_kind[kind].current);
	EXPECT_EQ((PAGES - 3) * page, really(region));
	/* What was given back is not there to be given back. */
	ASSERT_EQ(0, tmk_region_trim(&trimmed, region, 3 * page, page));
	EXPECT_EQ(0, trimmed);
	ASSERT_EQ(0, tmk_region_trim(&trimmed, region, 4 * page, 2 * page));
	EXPECT_EQ(page, trimmed);
	EXPECT_EQ((PAGES - 4) * page, physical());
	EXPECT_EQ((PAGES - 4) * page, really(region));
	/* A part of the hole, and what was no hole. */
	ASSERT_EQ(0, tmk_region_fill(region, 0, 3 * page));
	EXPECT_EQ((PAGES - 3) * page, physical());
	EXPECT_EQ((PAGES - 3) * page, really(region));
	ASSERT_EQ(0, tmk_region_fill(region, 0, PAGES * page));
	EXPECT_EQ(PAGES * page, physical());
	EXPECT_EQ(PAGES * page, really(region));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, PAGES * page));
	EXPECT_EQ(0, physical());
	EXPECT_EQ(0, really(region));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(before.physical.peak, stats_now().physical.peak);
}

TEST(figures_of_pinned)
{
	figures(TMK_KIND_PINNED);
}

TEST(figures_of_huge)
{
	figures(TMK_KIND_HUGE);
}

static void contents(enum tmk_kind kind)
{
	uint64_t page = page_of(kind), i;
	struct tmk_region *region = make(kind);
	int fds = fds_nr(), maps = maps_nr();
	const char *data = tmk_region_data(region);

	ASSERT_EQ(0, tmk_region_trim(NULL, region, 2 * page, 3 * page));
	EXPECT_EQ(2, at_page(region, 1));
	for (i = 2; i < 5; i++)
		EXPECT_EQ(126, at_page(region, i));
	EXPECT_EQ(6, at_page(region, 5));
	ASSERT_EQ(0, tmk_region_fill(region, page, 2 * page));
	EXPECT_EQ(0, at_page(region, 2));
	EXPECT_EQ(126, at_page(region, 3));
	ASSERT_EQ(0, tmk_region_fill(region, 0, PAGES * page));
	for (i = 0; i < 3 * page; i++)
		if (data[2 * page + i])
			break;
	EXPECT_EQ(3 * page, i);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i >= 2 && i < 5 ? 0 : (int)i + 1, at_page(region, i));
	EXPECT_EQ(fds, fds_nr());
	/* The module's mappings are not merged again before they go. */
	if (!on_dev())
		EXPECT_EQ(maps, maps_nr());
	tmk_region_put(region);
	EXPECT_GE(maps, maps_nr());
}

TEST(contents_of_pinned)
{
	contents(TMK_KIND_PINNED);
}

TEST(contents_of_huge)
{
	contents(TMK_KIND_HUGE);
}

/* What is had again is as what was created: populated, and in huge pages. */
TEST(filled_is_as_created)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	struct rusage before, after;

	if (!feature("huge"))
		SKIP(return, "there are no huge pages");
	ASSERT_EQ(0, create(&region, 8 * MIB, TMK_KIND_HUGE,
			    TMK_REGION_F_TRIM | TMK_REGION_F_REQUIRE));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 2 * MIB, 4 * MIB));
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(4 * MIB, info.bytes_2m);
	EXPECT_EQ(TMK_REGION_F_TRIM | TMK_REGION_F_REQUIRE, info.flags);
	ASSERT_EQ(0, tmk_region_fill(region, 0, 8 * MIB));
	getrusage(RUSAGE_SELF, &before);
	memset(tmk_region_data(region), 1, 8 * MIB);
	getrusage(RUSAGE_SELF, &after);
	if (!SANITIZED)
		EXPECT_EQ(before.ru_minflt, after.ru_minflt);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(8 * MIB, info.bytes_2m);
	tmk_region_put(region);
}

static int without_huge_pages(void *arg)
{
	struct tmk_region *region = arg;
	struct tmk_refusal r;

	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	EXPECT_EQ(-ENOMEM, tmk_region_fill(region, 0, 4 * MIB));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_HUGE, r.limit);
	EXPECT_EQ(4 * MIB, physical());
	EXPECT_EQ(126, in_child(touch, tmk_region_data(region)));
	return 0;
}

/* Require still means require. */
TEST(filled_with_huge_pages_or_not_at_all)
{
	struct tmk_region *region;

	/* The module does not ask whether the process has them switched off. */
	if (on_dev() || !feature("huge"))
		return;
	ASSERT_EQ(0, create(&region, 8 * MIB, TMK_KIND_HUGE,
			    TMK_REGION_F_TRIM | TMK_REGION_F_REQUIRE));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
	EXPECT_EQ(0, in_child(without_huge_pages, region));
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	tmk_region_put(region);
}

/* What was given back is somebody else's, and has to be had again. */
TEST(process_limit)
{
	struct tmk_limits limits = { TMK_UNLIMITED, 16 * MIB };
	struct tmk_region *region, *other;
	struct tmk_refusal r;

	ASSERT_EQ(0, tmk_limits_set(&limits));
	region = make(TMK_KIND_HUGE);
	EXPECT_EQ(-ENOMEM, create(&other, 4 * MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
	ASSERT_EQ(0, create(&other, 4 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-ENOMEM, tmk_region_fill(region, 0, 4 * MIB));
	EXPECT_TRUE(says("cannot fill what was trimmed: "));
	EXPECT_TRUE(says("TMK_MAX_PHYSICAL_BYTES"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_PROCESS_PHYSICAL, r.limit);
	EXPECT_EQ(4 * MIB, r.asked);
	EXPECT_EQ(16 * MIB, r.used);
	EXPECT_EQ(126, at_page(region, 0));
	EXPECT_EQ(16 * MIB, physical());
	EXPECT_EQ(12 * MIB, really(region));
	tmk_region_put(other);
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	EXPECT_EQ(0, at_page(region, 0));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

TEST(limit_on_all_bytes_is_not_asked)
{
	struct tmk_region *region = make(TMK_KIND_HUGE);

	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
	ASSERT_EQ(0, limit(MIB));
	/* They stayed reserved. */
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	tmk_region_put(region);
}

TEST(module_limit)
{
	struct tmk_region *region, *other;
	struct tmk_refusal r;

	if (!on_dev())
		SKIP(return, "needs the module");
	ASSERT_EQ(0, enter_group("tmk-trim", "physical_max", "16M"));
	region = make(TMK_KIND_HUGE);
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 6 * MIB));
	ASSERT_EQ(0, create(&other, 4 * MIB, TMK_KIND_HUGE, 0));
	EXPECT_EQ(-EDQUOT, tmk_region_fill(region, 0, 16 * MIB));
	EXPECT_STREQ("cannot fill what was trimmed: cannot create a huge region "
		     "of 6.0 MiB: cgroup /tmk-trim may use 16.0 MiB (tmk "
		     "physical_max) and 14.0 MiB are in use",
		     tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_CGROUP_PHYSICAL, r.limit);
	EXPECT_EQ(14 * MIB, physical());
	EXPECT_EQ(10 * MIB, really(region));
	EXPECT_EQ(126, at_page(region, 0));
	EXPECT_EQ(0, tmk_region_fill(region, 0, 2 * MIB));
	tmk_region_put(other);
	EXPECT_EQ(0, tmk_region_fill(region, 0, 16 * MIB));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	leave_group("tmk-trim");
}

static int memlock_binds(void *arg)
{
	struct tmk_region *region, *other;
	struct tmk_refusal r;

	(void)arg;
	ASSERT_EQ(0, memlock_set(4 * MIB));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0,
		  create(&region, 4 * MIB, TMK_KIND_PINNED, TMK_REGION_F_TRIM));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, MIB, 2 * MIB));
	ASSERT_EQ(0, create(&other, 2 * MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-ENOMEM, tmk_region_fill(region, MIB, MIB));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMLOCK, r.limit);
	EXPECT_EQ(4 * MIB, r.used);
	tmk_region_put(other);
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	EXPECT_EQ(4 * MIB, tmk__memlock_used());
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	return 0;
}

TEST(locked_memory_is_let_go)
{
	if (on_dev())
		SKIP(return, "the module needs no RLIMIT_MEMLOCK");
	ASSERT_EQ(0, tmk_close());
	EXPECT_EQ(0, in_child(memlock_binds, NULL));
}

static void *put_soon(void *arg)
{
	while (!tmk__wait_busy())
		usleep(1000);
	tmk_region_put(arg);
	return NULL;
}

TEST(filling_waits_for_room)
{
	struct tmk_limits limits = { TMK_UNLIMITED, 16 * MIB };
	struct tmk_region *region, *other;
	pthread_t thread;

	ASSERT_EQ(0, tmk_limits_set(&limits));
	region = make(TMK_KIND_HUGE);
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
	ASSERT_EQ(0, create(&other, 4 * MIB, TMK_KIND_HUGE, 0));
	tmk_wait_set(20000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, put_soon, other));
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	pthread_join(thread, NULL);
	/* And what waits for room is told of what is given back. */
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
	ASSERT_EQ(0, create(&other, 4 * MIB, TMK_KIND_HUGE, 0));
	tmk_region_put(other);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

/* A child that was there before has its mapping, and finds zeros in it. */
TEST(others_find_zeros)
{
	struct tmk_region *region = make(TMK_KIND_PINNED), *again;
	unsigned char *data = tmk_region_data(region);
	int to[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(to));
	pid = fork();
	if (!pid) {
		if (read(to[0], &byte, 1) != 1)
			_exit(1);
		_exit(data[4096] || data[0] != 1 ? 2 : 0);
	}
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 4096, 4096));
	EXPECT_EQ(1, write(to[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* Whoever imports it fills nothing that he does not touch. */
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 8 * 4096));
	ASSERT_EQ(0, tmk_region_import(&again, tmk_region_fd(region)));
	EXPECT_EQ(0, really(again));
	data = tmk_region_data(again);
	data[4096] = 77;
	EXPECT_EQ(4096, really(again));
	EXPECT_EQ(0, physical());
	/* He gives it back by himself, on nobody's account. */
	ASSERT_EQ(0, tmk_region_trim(NULL, again, 0, 8 * 4096));
	EXPECT_EQ(0, really(again));
	ASSERT_EQ(0, tmk_region_fill(again, 0, 8 * 4096));
	EXPECT_EQ(8 * 4096, really(again));
	EXPECT_EQ(0, physical());
	ASSERT_EQ(0, tmk_region_fill(region, 0, 8 * 4096));
	EXPECT_EQ(8 * 4096, physical());
	tmk_region_put(again);
	EXPECT_EQ(8 * 4096, physical());
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

/* The module notices that a huge page was handed on; the user backend cannot. */
TEST(memory_that_somebody_has)
{
	struct tmk_region *region = make(TMK_KIND_HUGE);
	char *data = tmk_region_data(region);
	struct iovec page = { data, 4096 };
	int ends[2], err;

	if (!feature("huge"))
		SKIP(return, "there are no huge pages");
	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(4096, vmsplice(ends[1], &page, 1, 0));
	err = tmk_region_trim(NULL, region, 0, 4 * MIB);
	if (on_dev()) {
		EXPECT_EQ(-EBUSY, err);
		EXPECT_TRUE(says("cannot trim a region: a device, io_uring"));
		EXPECT_EQ(1, data[0]);
		EXPECT_EQ(2, data[2 * MIB]);
		EXPECT_EQ(16 * MIB, physical());
		EXPECT_EQ(16 * MIB, really(region));
		close(ends[0]);
		close(ends[1]);
		err = tmk_region_trim(NULL, region, 0, 4 * MIB);
	}
	EXPECT_EQ(0, err);
	EXPECT_EQ(12 * MIB, physical());
	tmk_region_put(region);
}

TEST(every_bad_request_is_refused)
{
	static const struct {
		size_t offset;
		size_t bytes;
	} bads[] = {
		{ 0, 0 },
		{ 0, 1 },
		{ 1, 4096 },
		{ 0, 9 * 4096 },
		{ 8 * 4096, 4096 },
		{ 4096, SIZE_MAX - 4095 },
		{ SIZE_MAX - 4095, 4096 },
		{ SIZE_MAX - 4095, 8192 },
	};
	struct tmk_region *region = make(TMK_KIND_PINNED), *other = NULL;
	uint64_t out = 5;
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(bads); i++) {
		EXPECT_EQ(-EINVAL, tmk_region_trim(&out, region, bads[i].offset,
						   bads[i].bytes));
		EXPECT_EQ(-EINVAL, tmk_region_fill(region, bads[i].offset,
						   bads[i].bytes));
	}
	EXPECT_EQ(-EINVAL, tmk_region_trim(&out, NULL, 0, 4096));
	EXPECT_EQ(-EINVAL, tmk_region_fill(NULL, 0, 4096));
	EXPECT_EQ(5, out);
	EXPECT_EQ(8 * 4096, really(region));
	tmk_region_put(region);
	/* A huge page is given back whole. */
	region = make(TMK_KIND_HUGE);
	EXPECT_EQ(-EINVAL, tmk_region_trim(&out, region, 0, 4096));
	tmk_region_put(region);
	ASSERT_EQ(0, create(&region, 8192, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-EOPNOTSUPP, tmk_region_trim(&out, region, 0, 4096));
	EXPECT_TRUE(says("TMK_REGION_F_TRIM"));
	EXPECT_EQ(-EOPNOTSUPP, tmk_region_fill(region, 0, 4096));
	tmk_region_put(region);
	EXPECT_EQ(-EOPNOTSUPP,
		  create(&other, 4096, TMK_KIND_FILE, TMK_REGION_F_TRIM));
	EXPECT_EQ(-EOPNOTSUPP,
		  create(&other, 4096, TMK_KIND_HUGETLB, TMK_REGION_F_TRIM));
	EXPECT_EQ(-EINVAL,
		  create(&other, 4096, TMK_KIND_PINNED, TMK_REGION_F_READONLY));
	EXPECT_NULL(other);
	EXPECT_TRUE(all_zero());
}

/* The reservation was not made to be trimmed. */
TEST(not_out_of_the_reservation)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_region *region;

	opts.initial_bytes = 16 * MIB;
	ASSERT_EQ(0, tmk_open(&opts));
	region = make(TMK_KIND_HUGE);
	EXPECT_EQ(16 * MIB, stats_now().by_use[TMK_USE_CACHE].current);
	EXPECT_EQ(0, tmk_region_trim(NULL, region, 0, 2 * MIB));
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
}

TEST(regions_outlive_the_library)
{
	struct tmk_region *region = make(TMK_KIND_PINNED);

	EXPECT_EQ(-EBUSY, tmk_close());
	EXPECT_EQ(0, tmk_region_trim(NULL, region, 0, 4096));
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4096));
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* Each step fails once: nothing has changed then, or all of it. */
TEST(every_step_fails_once)
{
	struct tmk_region *region = make(TMK_KIND_HUGE);
	unsigned long nth, trims = 0, fills = 0;
	int err = 0, fds = fds_nr();

	for (nth = 1; nth < 100; nth++) {
		tmk__fault_arm(NULL, nth);
		err = tmk_region_trim(NULL, region, 2 * MIB, 6 * MIB);
		tmk__fault_arm(NULL, 0);
		if (!tmk__fault_fired())
			break;
		trims++;
		EXPECT_EQ(err ? 16 * MIB : 10 * MIB, physical());
		EXPECT_EQ(err ? 3 : 126, at_page(region, 2));
		/* Another one, that was never trimmed. */
		tmk_region_put(region);
		region = make(TMK_KIND_HUGE);
	}
	EXPECT_EQ(0, err);
	EXPECT_LE(3, trims);
	/* Two holes: when the second fails, the first is a hole again. */
	for (nth = 1; nth < 100; nth++) {
		ASSERT_EQ(0, tmk_region_trim(NULL, region, 2 * MIB, 6 * MIB));
		ASSERT_EQ(0, tmk_region_fill(region, 4 * MIB, 2 * MIB));
		tmk__fault_arm(NULL, nth);
		err = tmk_region_fill(region, 0, 16 * MIB);
		tmk__fault_arm(NULL, 0);
		if (!tmk__fault_fired())
			break;
		fills++;
		EXPECT_EQ(err ? 12 * MIB : 16 * MIB, physical());
		EXPECT_EQ(err ? 12 * MIB : 16 * MIB, really(region));
		EXPECT_EQ(err ? 126 : 0, at_page(region, 1));
		EXPECT_EQ(0, at_page(region, 2));
		EXPECT_EQ(fds, fds_nr());
	}
	EXPECT_EQ(0, err);
	EXPECT_LE(4, fills);
	TH_LOG("%lu steps of trimming, %lu of filling", trims, fills);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

static atomic_bool stop;
static atomic_int wrong;

/* Its own pages of the region, which others leave alone. */
static void *trim_and_fill(void *arg)
{
	uint64_t nr = (uint64_t)(uintptr_t)arg % PAGES;
	struct tmk_region *region = (struct tmk_region *)((uintptr_t)arg - nr);
	volatile char *at = (char *)tmk_region_data(region) + nr * 4096;

	while (!atomic_load(&stop)) {
		if (tmk_region_trim(NULL, region, nr * 4096, 4096))
			atomic_fetch_add(&wrong, 1);
		/* The limit has room for half of them. */
		if (tmk_region_fill(region, nr * 4096, 4096))
			continue;
		if (*at)
			atomic_fetch_add(&wrong, 1);
		*at = 1;
	}
	return NULL;
}

static int child_trims(void *arg)
{
	alarm(20);
	return tmk_region_trim(NULL, arg, 0, PAGES * 4096) ? 1 : 0;
}

TEST(threads_at_the_limit)
{
	struct tmk_limits limits = { TMK_UNLIMITED, PAGES / 2 * 4096 };
	struct tmk_region *region = make(TMK_KIND_PINNED);
	pthread_t threads[PAGES];
	uintptr_t i;

	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, PAGES * 4096));
	ASSERT_EQ(0, tmk_limits_set(&limits));
	ASSERT_EQ(0, (uintptr_t)region % PAGES);
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, trim_and_fill,
					    (void *)((uintptr_t)region + i)));
	for (i = 0; i < 2000; i++)
		EXPECT_LE(physical(), PAGES / 2 * 4096);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(0, in_child(child_trims, region));
	atomic_store(&stop, true);
	for (i = 0; i < PAGES; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&wrong));
	EXPECT_EQ(physical(), really(region));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
