// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions by themselves: what is obtained, that it is zero, how many faults it
 * takes, what happens when there is no memory or the caller dies.
 */
#include "tmk_util.h"

FIXTURE(region)
{
	int dev;
};

FIXTURE_SETUP(region)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	ASSERT_TRUE(settles(0));
}

FIXTURE_TEARDOWN(region)
{
	EXPECT_TRUE(settles(0));
	close(self->dev);
}

TEST_F(region, pinned_is_base_pages)
{
	struct tmk_ioc_region_info info;
	int fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, 5 * PAGE_BYTES);

	ASSERT_GE(fd, 0);
	info = region_info(fd);
	EXPECT_EQ(TMK_IOC_KIND_PINNED, info.out_kind);
	EXPECT_EQ(5 * PAGE_BYTES, info.out_length);
	EXPECT_EQ(5 * PAGE_BYTES, info.out_bytes_4k);
	EXPECT_EQ(0, info.out_bytes_2m + info.out_bytes_large);
	EXPECT_EQ(5 * PAGE_BYTES, info.out_charged);
	EXPECT_EQ(5 * PAGE_BYTES, info.out_physical);
	EXPECT_EQ(TMK_IOC_NODE_ANY, info.out_node);
	EXPECT_EQ(5 * PAGE_BYTES, machine("current"));
	EXPECT_EQ(5 * PAGE_BYTES, read_key(SYSFS "/by_kind", "pinned"));
	close(fd);
}

TEST_F(region, sizes_are_rounded_up_and_nothing_is_doubled)
{
	static const struct {
		unsigned int kind;
		uint64_t ask, get;
	} rows[] = {
		{ TMK_IOC_KIND_PINNED, 1, PAGE_BYTES },
		{ TMK_IOC_KIND_PINNED, PAGE_BYTES, PAGE_BYTES },
		{ TMK_IOC_KIND_PINNED, PAGE_BYTES + 1, 2 * PAGE_BYTES },
		{ TMK_IOC_KIND_HUGE, 1, HUGE_BYTES },
		{ TMK_IOC_KIND_HUGE, HUGE_BYTES, HUGE_BYTES },
		{ TMK_IOC_KIND_HUGE, HUGE_BYTES + 1, 2 * HUGE_BYTES },
		{ TMK_IOC_KIND_HUGE, 9 * MIB, 10 * MIB },
	};
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tmk_ioc_region_create c =
			create_cmd(rows[i].kind, rows[i].ask);
		int fd = create(self->dev, &c);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(rows[i].get, c.out_length);
		EXPECT_EQ(rows[i].get, machine("current"));
		EXPECT_EQ(0, fstat(fd, &st));
		EXPECT_EQ(rows[i].get, st.st_size);
		EXPECT_EQ(0600, st.st_mode & 0777);
		close(fd);
	}
}

TEST_F(region, each_has_a_number_and_what_it_was_asked_for)
{
	struct tmk_ioc_region_info first, second;
	int a = create_simple(self->dev, TMK_IOC_KIND_PINNED, 1);
	int b = create_simple(self->dev, TMK_IOC_KIND_HUGE, 1), c;

	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	first = region_info(a);
	second = region_info(b);
	EXPECT_LT(0, first.out_id);
	EXPECT_LT(first.out_id, second.out_id);
	EXPECT_EQ(PAGE_BYTES, first.out_page_size);
	EXPECT_EQ(HUGE_BYTES, second.out_page_size);
	EXPECT_EQ(1, first.out_cgroup_id);
	EXPECT_EQ(0, first.out_flags);
	EXPECT_STREQ("", (char *)first.out_name);
	/* A number is not used again, and a copy of a descriptor has none. */
	close(b);
	c = dup(a);
	EXPECT_EQ(first.out_id, region_info(c).out_id);
	close(c);
	c = create_simple(self->dev, TMK_IOC_KIND_PINNED, 1);
	EXPECT_LT(second.out_id, region_info(c).out_id);
	close(c);
	close(a);
}

/* ShmemPmdMapped of the mapping at @at, in bytes. */
static unsigned long pmd_mapped(void *at)
{
	char line[256], begin[32];
	bool inside = false;
	unsigned long kib = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	snprintf(begin, sizeof(begin), "%lx-", (unsigned long)at);
	while (f && fgets(line, sizeof(line), f)) {
		if (strchr(line, '-') && !strncmp(line, begin, strlen(begin)))
			inside = true;
		else if (inside &&
			 sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib << 10;
}

TEST_F(region, huge_is_mapped_huge_one_fault_each)
{
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_HUGE, 32 * MIB);
	struct tmk_ioc_region_info info;
	long before;
	size_t i;
	char *p;
	int fd;

	c.flags = TMK_IOC_REGION_F_REQUIRE;
	fd = create(self->dev, &c);
	ASSERT_GE(fd, 0);
	info = region_info(fd);
	EXPECT_EQ(32 * MIB, info.out_bytes_2m);
	EXPECT_EQ(TMK_IOC_REGION_F_REQUIRE, info.out_flags);
	p = map(fd, 32 * MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, (unsigned long)p % HUGE_BYTES);
	before = faults();
	for (i = 0; i < 32 * MIB; i += PAGE_BYTES)
		p[i] = 1;
	EXPECT_LE(faults() - before, 16 + 1);
	EXPECT_EQ(32 * MIB, pmd_mapped(p));
	munmap(p, 32 * MIB);
	close(fd);
}

TEST_F(region, memory_is_zero_each_time)
{
	unsigned int kind, round;

	for (kind = TMK_IOC_KIND_PINNED; kind <= TMK_IOC_KIND_HUGE; kind++) {
		for (round = 0; round < 3; round++) {
			int fd = create_simple(self->dev, kind, 16 * MIB);
			uint64_t *p = map(fd, 16 * MIB);
			uint64_t bits = 0;
			size_t i;

			ASSERT_NE(MAP_FAILED, (void *)p);
			for (i = 0; i < 16 * MIB / sizeof(*p); i++) {
				bits |= p[i];
				p[i] = 0xa5a5a5a5a5a5a5a5;
			}
			EXPECT_EQ(0, bits);
			munmap(p, 16 * MIB);
			close(fd);
		}
	}
}

TEST_F(region, fdinfo_names_it)
{
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_PINNED, PAGE_BYTES);
	char path[64], text[1024];
	int fd;

	strcpy((char *)c.name, "weights");
	fd = create(self->dev, &c);
	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	ASSERT_GT(read_text(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "tmk-name:\tweights\n"));
	EXPECT_TRUE(strstr(text, "tmk-charged:\t4096\n"));
	close(fd);
}

TEST_F(region, reopening_shares_and_holds_it)
{
	int fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, PAGE_BYTES);
	char path[64], *p, *q;
	int again, ro;

	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	ASSERT_GE(again, 0);
	ro = open(path, O_RDONLY);
	ASSERT_GE(ro, 0);
	test_err(EPERM, open(path, O_RDWR | O_TRUNC));
	p = map(fd, PAGE_BYTES);
	q = map(again, PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	p[7] = 42;
	EXPECT_EQ(42, q[7]);
	test_err(EACCES,
		 (long)mmap(NULL, PAGE_BYTES, PROT_WRITE, MAP_SHARED, ro, 0));
	munmap(p, PAGE_BYTES);
	munmap(q, PAGE_BYTES);
	close(fd);
	close(ro);
	EXPECT_EQ(PAGE_BYTES, machine("current"));
	EXPECT_EQ(PAGE_BYTES, region_info(again).out_length);
	close(again);
}

/* The memory goes with the charge, although the inode does not. */
TEST_F(region, o_path_keeps_no_memory)
{
	unsigned long before = meminfo("ShmemHugePages:");
	int fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, 64 * MIB);
	char path[64];
	int o_path;

	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o_path = open(path, O_PATH);
	ASSERT_GE(o_path, 0);
	EXPECT_EQ(before + 64 * MIB, meminfo("ShmemHugePages:"));
	close(fd);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(before, meminfo("ShmemHugePages:"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", o_path);
	test_err(ENXIO, open(path, O_RDWR));
	close(o_path);
}

TEST_F(region, killed_while_it_is_populated)
{
	unsigned long long bytes =
		machine("physical_max") / HUGE_BYTES * HUGE_BYTES;
	int round;

	for (round = 0; round < 5; round++) {
		pid_t pid = fork();

		if (!pid) {
			create_simple(self->dev, TMK_IOC_KIND_HUGE, bytes);
			pause();
		}
		/* Charged at once, populated for a good while after. */
		while (!machine("current"))
			sched_yield();
		sleep_ms(round * 10);
		kill(pid, SIGKILL);
		EXPECT_EQ(SIGKILL, WTERMSIG(wait_status(pid)));
		EXPECT_TRUE(settles(0));
	}
}

TEST_F(region, more_than_the_machine_has)
{
	struct tmk_ioc_region_create c;
	char old[64];

	ASSERT_GT(read_text(SYSFS "/physical_max", old, sizeof(old)), 0);
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", "max"));
	c = create_cmd(TMK_IOC_KIND_HUGE, 1ULL << 40);
	test_err(ENOMEM, create(self->dev, &c));
	EXPECT_EQ(TMK_IOC_REFUSAL_MEMORY, c.out_refusal);
	EXPECT_EQ(0, c.out_refusal_cgroup);
	EXPECT_LT(c.out_refusal_used, c.out_refusal_limit);
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", old));
}

/*
 * Leave few free 2 MiB behind: one large region takes most of the memory, the
 * rest is filled with small ones, and every other of these is freed. Pinned
 * pages cannot be compacted away. What is free before those are may well be in
 * pieces of 2 MiB, so much more than that is asked for.
 */
#define FILL_BYTES (512 * 1024UL)
#define FILL_ROOM (600 * MIB)
#define FILL_MAX 4096
/* Above what the kernel keeps in reserve, or every page would be fought for. */
#define FREE_BYTES (128 * MIB)
#define MORE_BYTES (128 * MIB)
#define BOOST "/proc/sys/vm/watermark_boost_factor"

static int fragment(int dev, int *fds)
{
	struct rlimit limit = { FILL_MAX + 64, FILL_MAX + 64 };
	uint64_t ballast = meminfo("MemAvailable:") - FILL_ROOM;
	int nr = 0;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	fds[nr] = create_simple(dev, TMK_IOC_KIND_HUGE, ballast);
	if (fds[nr++] < 0)
		return -1;
	while (nr < FILL_MAX && meminfo("MemFree:") > FREE_BYTES) {
		fds[nr] = create_simple(dev, TMK_IOC_KIND_PINNED, FILL_BYTES);
		if (fds[nr] < 0)
			break;
		nr++;
	}
	return nr;
}

TEST_F_TIMEOUT(region, require_fails_whole_where_prefer_takes_less, 180)
{
	int *fds = calloc(FILL_MAX, sizeof(*fds));
	struct tmk_ioc_region_create c;
	struct tmk_ioc_region_info info;
	unsigned long long held, asked;
	char old[64], boost[64];
	int nr, i, fd;

	ASSERT_GT(read_text(SYSFS "/physical_max", old, sizeof(old)), 0);
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", "max"));
	/* Or the kernel holds back as much as is free, for a while. */
	ASSERT_GT(read_text(BOOST, boost, sizeof(boost)), 0);
	ASSERT_EQ(0, write_text(BOOST, "0"));
	ASSERT_EQ(0, write_text("/proc/sys/vm/drop_caches", "3"));
	nr = fragment(self->dev, fds);
	ASSERT_GT(nr, 100);
	asked = (meminfo("MemFree:") + MORE_BYTES) / HUGE_BYTES * HUGE_BYTES;
	for (i = 1; i < nr; i += 2)
		close(fds[i]);
	held = machine("current");

	c = create_cmd(TMK_IOC_KIND_HUGE, asked);
	c.flags = TMK_IOC_REGION_F_REQUIRE;
	test_err(ENOMEM, create(self->dev, &c));
	EXPECT_EQ(TMK_IOC_REFUSAL_HUGE, c.out_refusal);
	EXPECT_TRUE(settles(held));

	c.flags = 0;
	fd = create(self->dev, &c);
	ASSERT_GE(fd, 0);
	info = region_info(fd);
	TH_LOG("%llu MiB of %llu in 2 MiB pages",
	       (unsigned long long)info.out_bytes_2m / MIB, asked / MIB);
	EXPECT_LT(info.out_bytes_2m, asked);
	EXPECT_EQ(asked,
		  info.out_bytes_2m + info.out_bytes_large + info.out_bytes_4k);
	close(fd);
	for (i = 0; i < nr; i += 2)
		close(fds[i]);
	free(fds);
	ASSERT_EQ(0, write_text(BOOST, boost));
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", old));
}

TEST_HARNESS_MAIN
