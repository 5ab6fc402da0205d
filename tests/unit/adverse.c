// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * When things go wrong around the library: /proc and /sys are not there, there are
 * no descriptors left, one of two that share a region is killed, and every step
 * of a fence fails. What is refused is told and has changed nothing.
 */
#include "machine.h"

#include <sys/eventfd.h>

static int make_and_put(enum tmk_kind kind, uint32_t flags)
{
	struct tmk_region *region = NULL;
	int err = create(&region, 2 * MIB, kind, flags);

	if (err)
		return err;
	memset(tmk_region_data(region), 1, 2 * MIB);
	tmk_region_put(region);
	return 0;
}

/* The module needs none of it; the user backend will not guess. */
TEST(proc_goes_away)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	int fds;
	void *p;

	ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_HUGE, 0));
	fds = fds_nr();
	tmk__proc_root = "/nowhere";
	EXPECT_EQ(on_dev() ? 0 : -ENOENT, make_and_put(TMK_KIND_PINNED, 0));
	EXPECT_EQ(on_dev() ? 0 : -ENOENT, make_and_put(TMK_KIND_HUGE, 0));
	EXPECT_EQ(on_dev() ? 0 : -ENOENT, tmk_region_info(&info, region));
	if (!on_dev())
		EXPECT_TRUE(says("/proc/self/smaps"));
	EXPECT_EQ(on_dev() ? 0 : -ENOENT, tmk_alloc(&p, 300000, NULL));
	if (on_dev())
		EXPECT_EQ(0, tmk_free(p));
	EXPECT_EQ(fds, fds_nr());
	/* What is there can be used and given back. */
	memset(tmk_region_data(region), 1, 2 * MIB);
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
	tmk__proc_root = "";
	EXPECT_EQ(0, make_and_put(TMK_KIND_PINNED, 0));
}

/* What huge pages were got is not known then: required ones are refused. */
TEST(nobody_says_which_pages_they_are)
{
	int err;

	if (on_dev() || !feature("huge"))
		SKIP(return, "the module says it itself");
	/* A machine that has all but that file. */
	ASSERT_EQ(0, machine_make(V2, "0::/\n"));
	err = make_and_put(TMK_KIND_HUGE, TMK_REGION_F_REQUIRE);
	EXPECT_EQ(-ENOENT, err);
	EXPECT_TRUE(says("/proc/self/smaps"));
	EXPECT_EQ(0, make_and_put(TMK_KIND_HUGE, 0));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* No /sys, as in a container that hides it. */
TEST(sys_is_not_there)
{
	struct tmk_backend_info info;
	struct tmk_region *region = NULL;

	ASSERT_EQ(0, machine_make("", ""));
	setenv("TMK_BACKEND", "user", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_FALSE(feature("hugetlb"));
	EXPECT_FALSE(feature("memory_max"));
	EXPECT_EQ(0, make_and_put(TMK_KIND_PINNED, 0));
	EXPECT_EQ(-ENOMEM, create(&region, 512 * MIB, TMK_KIND_HUGETLB, 0));
	EXPECT_NULL(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

static struct tmk_region *shared; /* to be asked about, and imported */

static int do_open(void)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	int err = tmk_open(&opts);

	return err ? err : tmk_close();
}

static int do_pinned(void)
{
	return make_and_put(TMK_KIND_PINNED, 0);
}

static int do_huge(void)
{
	return make_and_put(TMK_KIND_HUGE, 0);
}

static int do_file(void)
{
	return make_and_put(TMK_KIND_FILE, 0);
}

static int do_import(void)
{
	struct tmk_region *region;
	int err = tmk_region_import(&region, tmk_region_fd(shared));

	if (!err)
		tmk_region_put(region);
	return err;
}

static int do_dmabuf(void)
{
	int fd, err = tmk_region_dmabuf(&fd, shared);

	return err ? err : close(fd);
}

static int do_fence(void)
{
	struct tmk_fence *fence;
	int fd = eventfd(1, EFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = tmk_fence_create(&fence, fd);
	close(fd);
	if (!err)
		tmk_fence_put(fence);
	return err;
}

/* What takes descriptors, and has to say that there are none. */
static const struct {
	const char *name;
	int (*run)(void);
	const char *feature;
} takers[] = {
	{ "pinned", do_pinned, NULL },	   { "huge", do_huge, NULL },
	{ "file", do_file, "file" },	   { "import", do_import, NULL },
	{ "dmabuf", do_dmabuf, "dmabuf" }, { "fence", do_fence, NULL },
};

TEST(no_more_descriptors)
{
	struct rlimit had, none;
	uint64_t before;
	size_t i;
	int err;

	ASSERT_EQ(0, create(&shared, 2 * MIB, TMK_KIND_PINNED, 0));
	before = held();
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &had));
	for (i = 0; i < TMK__ARRAY_SIZE(takers); i++) {
		if (takers[i].feature && !feature(takers[i].feature))
			continue;
		none = (struct rlimit){ 3, had.rlim_max };
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
		err = takers[i].run();
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &had));
		/* /proc cannot be read, either, and may be first. */
		if (err != -EMFILE)
			TH_LOG("%s: %d, %s", takers[i].name, err,
			       tmk_error_last());
		EXPECT_EQ(-EMFILE, err);
		EXPECT_EQ(before, held());
		EXPECT_EQ(0, takers[i].run());
	}
	tmk_region_put(shared);
	EXPECT_EQ(0, tmk_close());
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE,
			       &(struct rlimit){ 3, had.rlim_max }));
	EXPECT_EQ(-EMFILE, do_open());
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &had));
	EXPECT_EQ(0, do_open());
	EXPECT_TRUE(all_zero());
}

/* Two share a region; one is killed while it writes. */
static void killed_beside(enum tmk_kind kind)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	volatile unsigned char *data;
	int ready[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, create(&region, 2 * MIB, kind, 0));
	data = tmk_region_data(region);
	pid = fork();
	if (!pid) {
		data[0] = 1;
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			data[4096]++;
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	/* The other one goes on as if nothing had been. */
	EXPECT_EQ(1, data[0]);
	memset(tmk_region_data(region), 2, 2 * MIB);
	EXPECT_EQ(2 * MIB, held());
	EXPECT_EQ(2 * MIB, stats_now().physical.current);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(2 * MIB, info.physical_bytes);
	tmk_region_put(region);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(killed_beside_pinned)
{
	killed_beside(TMK_KIND_PINNED);
}

TEST(killed_beside_huge)
{
	killed_beside(TMK_KIND_HUGE);
}

/* Whose it was is killed; whoever has the descriptor has all of it. */
TEST(creator_is_killed)
{
	uint64_t charged = 0;
	struct tmk_region_info info;
	struct tmk_region *region;
	char text[32], path[64];
	int ready[2], status, fd;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		if (create(&region, 4 * MIB, TMK_KIND_HUGE, 0))
			_exit(1);
		memset(tmk_region_data(region), 7, 4 * MIB);
		fd = tmk_region_fd(region);
		if (write(ready[1], &fd, sizeof(fd)) != sizeof(fd))
			_exit(2);
		pause();
	}
	ASSERT_EQ((ssize_t)sizeof(fd), read(ready[0], &fd, sizeof(fd)));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, tmk_region_import(&region, fd));
	close(fd);
	EXPECT_EQ(7, ((char *)tmk_region_data(region))[4 * MIB - 1]);
	EXPECT_EQ(4 * MIB, held());
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(4 * MIB, info.physical_bytes);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	/* It was charged until now. */
	if (on_dev() &&
	    tmk__file_read(text, sizeof(text), "/sys/kernel/tmk/current") > 0)
		charged = strtoull(text, NULL, 10);
	EXPECT_EQ(0, charged);
}

/* One block that waits for a descriptor, one for a signal. */
static int run_fences(void)
{
	struct tmk_fence *by_fd = NULL, *by_hand = NULL;
	int fd = eventfd(0, EFD_CLOEXEC), err;
	void *p = NULL, *q = NULL;

	err = tmk_alloc(&p, 300000, NULL);
	if (!err)
		err = tmk_alloc(&q, 1000, NULL);
	if (!err)
		err = tmk_fence_create(&by_fd, fd);
	if (!err)
		err = tmk_fence_create(&by_hand, -1);
	if (!err) {
		err = tmk_free_after(p, by_fd);
		p = err ? p : NULL;
	}
	if (!err) {
		err = tmk_free_after(q, by_hand);
		q = err ? q : NULL;
	}
	if (by_hand)
		tmk_fence_signal(by_hand);
	if (write(fd, &(uint64_t){ 1 }, 8) != 8)
		return 1;
	if (tmk_drain(20000))
		return 2;
	tmk_fence_put(by_fd);
	tmk_fence_put(by_hand);
	close(fd);
	return tmk_free(p) || tmk_free(q) ? 3 : err;
}

TEST_TIMEOUT(every_step_of_fences_fails_once, 120)
{
	unsigned long nth, told = 0;
	int err = 0, fds;

	ASSERT_EQ(0, run_fences());
	fds = fds_nr();
	for (nth = 1; nth < 1000; nth++) {
		tmk_trim(0);
		tmk__fault_arm(NULL, nth);
		err = run_fences();
		tmk__fault_arm(NULL, 0);
		if (!tmk__fault_fired())
			break;
		told += err != 0;
		if (err > 0 || (err && !tmk_error_last()[0])) {
			TH_LOG("step %lu: %d, %s", nth, err, tmk_error_last());
			ASSERT_LE(err, 0);
			ASSERT_TRUE(tmk_error_last()[0]);
		}
		EXPECT_EQ(0, stats_now().by_use[TMK_USE_GENERAL].current);
		EXPECT_EQ(0, run_fences());
		EXPECT_GE(fds, fds_nr());
	}
	EXPECT_EQ(0, err);
	TH_LOG("%lu steps, %lu of them told", nth - 1, told);
	EXPECT_LE(4, told);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
