// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Warm pages: the pool reaches its target, is used, is given back, keeps off
 * memory that others need, and never shows anybody a bit of anybody else's.
 */
#include "cg_util.h"

#include <grp.h>

#define POOL SYSFS "/pool/"
#define TARGET (32 * MIB)
#define SOON 500 /* hundredths of a second */
#ifndef MPOL_BIND
#define MPOL_BIND 2
#endif

static unsigned long long figure(const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), POOL "%s", file);
	return read_number(path);
}

static int set(const char *file, unsigned long long value)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), POOL "%s", file);
	snprintf(text, sizeof(text), "%llu", value);
	return write_text(path, text);
}

static bool becomes(const char *file, unsigned long long value, int tries)
{
	for (; tries; tries--) {
		if (figure(file) == value)
			return true;
		sleep_ms(10);
	}
	TH_LOG("%s is %llu, not %llu", file, figure(file), value);
	return false;
}

static bool state_is(const char *want)
{
	char text[32];

	if (read_text(POOL "state", text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, want))
		TH_LOG("state is %s", text);
	return !strcmp(text, want);
}

static bool populate_is_own(void)
{
	char text[16];

	return read_text(SYSFS "/populate", text, sizeof(text)) > 0 &&
	       !strcmp(text, "own\n");
}

TEST(shmem_leaves_it_unused)
{
	int dev, fd;

	if (populate_is_own()) {
		EXPECT_FALSE(state_is("unused"));
		return;
	}
	EXPECT_TRUE(state_is("unused"));
	EXPECT_EQ(-EOPNOTSUPP, set("target", TARGET));
	EXPECT_EQ(0, set("target", 0));
	dev = device_open();
	fd = create_simple(dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(0, figure("have"));
	EXPECT_EQ(0, figure("hits"));
	EXPECT_EQ(0, figure("misses"));
	close(fd);
}

FIXTURE(pool)
{
	int dev;
	unsigned long long min_available;
};

FIXTURE_SETUP(pool)
{
	if (!populate_is_own())
		SKIP(return, "populate=shmem has no use for the pool");
	ASSERT_TRUE(settles(0));
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->min_available = figure("min_available");
	ASSERT_EQ(0, figure("have"));
	/* What an earlier test shrank it by has been forgotten by then. */
	ASSERT_EQ(0, set("target", TARGET));
	ASSERT_TRUE(becomes("have", TARGET, 3 * SOON));
}

static unsigned int nodes(void)
{
	return access("/sys/devices/system/node/node1", F_OK) ? 1 : 2;
}

FIXTURE_TEARDOWN(pool)
{
	EXPECT_EQ(0, set("target", 0));
	EXPECT_EQ(0, set("share", 50));
	EXPECT_EQ(0, set("min_available", self->min_available));
	EXPECT_EQ(0, figure("have"));
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

TEST_F(pool, is_filled_used_and_filled_again)
{
	unsigned long long hits = figure("hits"), misses = figure("misses");
	unsigned long long filled = figure("filled");
	int fd;

	EXPECT_TRUE(state_is("full"));
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, TARGET / 2);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(TARGET / 2, region_info(fd).out_bytes_2m);
	EXPECT_EQ(hits + 8, figure("hits"));
	EXPECT_EQ(misses, figure("misses"));
	EXPECT_TRUE(becomes("have", TARGET, SOON));
	EXPECT_EQ(filled + 8, figure("filled"));
	close(fd);
	/* What a region gives back does not come here. */
	EXPECT_EQ(TARGET, figure("have"));
}

TEST_F(pool, more_than_it_has_is_allocated)
{
	unsigned long long hits = figure("hits"), misses = figure("misses");
	int fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, 2 * TARGET);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(2 * TARGET, region_info(fd).out_bytes_2m);
	/* Of the nearest node: elsewhere it would be further than a cold one. */
	EXPECT_LE(hits + 16 / nodes(), figure("hits"));
	EXPECT_EQ(hits + misses + 32, figure("hits") + figure("misses"));
	close(fd);
}

TEST_F(pool, small_pages_do_not_take)
{
	unsigned long long hits = figure("hits"), misses = figure("misses");
	int fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, HUGE_BYTES);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(hits, figure("hits"));
	EXPECT_EQ(misses, figure("misses"));
	close(fd);
}

TEST_F(pool, nodes_and_policies_are_obeyed)
{
	struct tmk_ioc_region_create cmd =
		create_cmd(TMK_IOC_KIND_HUGE, HUGE_BYTES);
	unsigned long long hits = figure("hits"), misses = figure("misses");
	unsigned long mask = 1;
	int fd;

	cmd.node = 0;
	fd = create(self->dev, &cmd);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(hits + 1, figure("hits"));
	close(fd);
	/* A task's own policy is the page allocator's to follow. */
	if (syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 8))
		SKIP(return, "this kernel has no memory policies");
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(hits + 1, figure("hits"));
	EXPECT_EQ(misses + 1, figure("misses"));
	close(fd);
}

TEST_F(pool, nobody_is_charged_but_who_takes)
{
	char path[PATH_MAX];
	struct holder h;

	EXPECT_EQ(0, machine("current"));
	EXPECT_EQ(0, machine("physical_current"));
	cg_destroy("/warm");
	ASSERT_EQ(0, cg_create("/warm"));
	h = hold("/warm", TMK_IOC_KIND_HUGE, TARGET / 2);
	ASSERT_EQ(0, h.err);
	EXPECT_EQ(TARGET / 2, tmk_number(cg_id("/warm"), "current"));
	EXPECT_EQ(TARGET / 2, machine("physical_current"));
	cg_path(path, "/warm", "memory.current");
	EXPECT_LE(TARGET / 2, read_number(path));
	EXPECT_GT(TARGET / 2 + 4 * MIB, read_number(path));
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_GT(4 * MIB, read_number(path));
	EXPECT_EQ(0, cg_destroy("/warm"));
}

/* memory.max holds for warm pages as for any others. */
TEST_F(pool, memory_max_refuses)
{
	struct holder h;

	cg_destroy("/warm");
	ASSERT_EQ(0, cg_create("/warm"));
	ASSERT_EQ(0, cg_write("/warm", "memory.max", "8M"));
	h = hold("/warm", TMK_IOC_KIND_HUGE, TARGET / 2);
	EXPECT_EQ(ENOMEM, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_MEMCG, h.cmd.out_refusal);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/warm"));
}

TEST_F_TIMEOUT(pool, a_lower_target_frees_at_once, 120)
{
	unsigned long before;

	ASSERT_EQ(0, set("target", 4 * TARGET));
	ASSERT_TRUE(becomes("have", 4 * TARGET, 4 * SOON));
	before = meminfo("MemFree:");
	ASSERT_EQ(0, set("target", 4 * MIB));
	EXPECT_EQ(4 * MIB, figure("have"));
	EXPECT_TRUE(state_is("full"));
	/* Half of it may stay in what each CPU keeps back of free pages. */
	EXPECT_LT(before + 2 * TARGET, meminfo("MemFree:"));
}

/*
 * The steps are large, because what lies in processors' lists of free pages is
 * available as soon as it leaves them: tens of MiB come by themselves.
 */
TEST_F_TIMEOUT(pool, the_guard_is_respected, 120)
{
	unsigned long long guard;
	int i;

	ASSERT_EQ(0, set("min_available", 1ULL << 40));
	ASSERT_EQ(0, set("target", 8 * TARGET));
	sleep_ms(1500);
	EXPECT_EQ(TARGET, figure("have"));
	EXPECT_TRUE(state_is("guarded"));
	guard = meminfo("MemAvailable:") - 3 * TARGET;
	ASSERT_EQ(0, set("min_available", guard));
	for (i = 0; i < 4 * SOON && figure("have") < 2 * TARGET; i++)
		sleep_ms(10);
	sleep_ms(1500);
	EXPECT_LE(2 * TARGET, figure("have"));
	EXPECT_GT(8 * TARGET, figure("have"));
	EXPECT_TRUE(state_is("guarded"));
	EXPECT_LE(guard - TARGET, meminfo("MemAvailable:"));
	ASSERT_EQ(0, set("min_available", 0));
	EXPECT_TRUE(becomes("have", 8 * TARGET, 4 * SOON));
}

TEST_F_TIMEOUT(pool, the_shrinker_gives_back_and_rests, 60)
{
	unsigned long long shrunk = figure("shrunk");
	int i;

	for (i = 0; i < 10 && figure("have"); i++)
		ASSERT_EQ(0, write_text("/proc/sys/vm/drop_caches", "2"));
	EXPECT_EQ(0, figure("have"));
	EXPECT_EQ(shrunk + 16, figure("shrunk"));
	EXPECT_TRUE(state_is("resting"));
	sleep_ms(2000);
	EXPECT_EQ(0, figure("have"));
	EXPECT_TRUE(becomes("have", TARGET, 4 * SOON));
}

/* Somebody who needs memory gets the pool's, and nobody is killed. */
TEST_F_TIMEOUT(pool, pressure_empties_it, 230)
{
	unsigned long long shrunk = figure("shrunk");
	size_t i;
	pid_t pid;

	ASSERT_EQ(0, set("target", 8 * TARGET));
	ASSERT_TRUE(becomes("have", 8 * TARGET, 4 * SOON));
	pid = fork();
	if (!pid) {
		while (figure("shrunk") < shrunk + 16) {
			char *p = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p == MAP_FAILED)
				_exit(1);
			madvise(p, 4 * MIB, MADV_HUGEPAGE);
			for (i = 0; i < 4 * MIB; i += PAGE_BYTES)
				p[i] = 1;
		}
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_LE(shrunk + 16, figure("shrunk"));
	EXPECT_GT(8 * TARGET, figure("have"));
}

/* A user in @group creates, looks for anything but zeroes, and soils it. */
static int look_and_soil(int dev, const char *group, uid_t uid)
{
	pid_t pid = fork();
	uint64_t *p;
	size_t i;
	int fd;

	if (pid)
		return wait_status(pid);
	if (cg_enter(group) || setgroups(0, NULL) || setgid(uid) || setuid(uid))
		_exit(2);
	fd = create_simple(dev, TMK_IOC_KIND_HUGE, TARGET / 2);
	p = fd < 0 ? MAP_FAILED : map(fd, TARGET / 2);
	if (p == MAP_FAILED)
		_exit(3);
	for (i = 0; i < TARGET / 2 / sizeof(*p); i++)
		if (p[i])
			_exit(4);
	memset(p, 0xa5, TARGET / 2);
	_exit(0);
}

TEST_F_TIMEOUT(pool, no_bit_is_ever_stale, 120)
{
	unsigned long long hits = figure("hits");
	int i;

	ASSERT_EQ(0, set("share", 100));
	cg_destroy("/one");
	cg_destroy("/two");
	ASSERT_EQ(0, cg_create("/one"));
	ASSERT_EQ(0, cg_create("/two"));
	for (i = 0; i < 8; i++) {
		bool odd = i & 1;

		EXPECT_EQ(0, look_and_soil(self->dev, odd ? "/one" : "/two",
					   odd ? 1000 : 1001));
		/* The free memory that it is refilled from is soiled. */
		ASSERT_TRUE(settles(0));
		ASSERT_EQ(0, set("target", 0));
		ASSERT_EQ(0, set("target", TARGET));
		ASSERT_TRUE(becomes("have", TARGET, SOON));
	}
	EXPECT_LE(hits + 32, figure("hits"));
	EXPECT_EQ(0, cg_destroy("/one"));
	EXPECT_EQ(0, cg_destroy("/two"));
}

/* Hits of a region of @bytes in @group. */
static unsigned long long taken_by(const char *group, uint64_t bytes)
{
	unsigned long long hits = figure("hits");
	struct holder h = hold(group, TMK_IOC_KIND_HUGE, bytes);

	EXPECT_EQ(0, h.err);
	hits = figure("hits") - hits;
	let_go(&h);
	return hits;
}

TEST_F(pool, no_group_drains_it_for_all)
{
	unsigned long long taken;

	cg_destroy("/greedy/sub");
	cg_destroy("/greedy");
	cg_destroy("/modest");
	ASSERT_EQ(0, cg_create("/greedy"));
	ASSERT_EQ(0, cg_create("/greedy/sub"));
	ASSERT_EQ(0, cg_create("/modest"));
	taken = taken_by("/greedy", TARGET);
	EXPECT_LE(8, taken);
	EXPECT_GE(9, taken);
	/* Giving it back and coming again is no way around it. */
	EXPECT_TRUE(settles(0));
	EXPECT_FALSE(tmk_known(cg_id("/greedy")));
	EXPECT_GE(2, taken_by("/greedy", TARGET));
	/* More groups below it do not get it more, but for what time brings. */
	EXPECT_GE(2, taken_by("/greedy/sub", TARGET));
	EXPECT_LE(4, figure("have") / HUGE_BYTES);
	/* Somebody else finds his share. */
	EXPECT_EQ(4, taken_by("/modest", TARGET / 4));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/greedy/sub"));
	EXPECT_EQ(0, cg_destroy("/greedy"));
	EXPECT_EQ(0, cg_destroy("/modest"));
}

TEST_F(pool, junk_is_refused)
{
	EXPECT_EQ(-EINVAL, write_text(POOL "target", "junk"));
	EXPECT_EQ(-EINVAL, write_text(POOL "target", "-1"));
	EXPECT_EQ(-ERANGE, write_text(POOL "target", "max"));
	EXPECT_EQ(-ERANGE, write_text(POOL "target", "900T"));
	EXPECT_EQ(-EINVAL, write_text(POOL "min_available", "10%"));
	EXPECT_EQ(-ERANGE, write_text(POOL "share", "0"));
	EXPECT_EQ(-ERANGE, write_text(POOL "share", "101"));
	EXPECT_EQ(-EINVAL, write_text(POOL "share", "half"));
	EXPECT_EQ(TARGET, figure("target"));
	EXPECT_EQ(50, figure("share"));
}

TEST_HARNESS_MAIN
