// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions of the system's pools of huge pages: what is taken is charged, goes
 * back, and cannot be more than was charged. The 2 MiB pool is filled here; a
 * machine with 1 GiB pages is made by tests/vm/hugetlb.sh.
 */
#include "cg_util.h"

#include <linux/io_uring.h>
#include <sys/time.h>
#include <sys/uio.h>

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define GIGANTIC_POOL "/sys/kernel/mm/hugepages/hugepages-1048576kB/"
#define PAGES 16UL
#define GIB (1UL << 30)

FIXTURE(hugetlb)
{
	int dev;
};

FIXTURE_SETUP(hugetlb)
{
	char text[16];

	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	snprintf(text, sizeof(text), "%lu", PAGES);
	ASSERT_EQ(0, write_text(POOL "nr_hugepages", text));
	if (read_number(POOL "free_hugepages") != PAGES)
		SKIP(return, "no room for a pool of huge pages");
}

FIXTURE_TEARDOWN(hugetlb)
{
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(read_number(POOL "nr_hugepages"),
		  read_number(POOL "free_hugepages"));
	EXPECT_EQ(0, read_number(POOL "resv_hugepages"));
	EXPECT_EQ(0, write_text(POOL "nr_hugepages", "0"));
	close(self->dev);
}

static bool pool_settles(unsigned long long free_pages)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (read_number(POOL "free_hugepages") == free_pages)
			return true;
		sleep_ms(10);
	}
	TH_LOG("%llu pages are free", read_number(POOL "free_hugepages"));
	return false;
}

TEST_F(hugetlb, taken_charged_mapped_and_given_back)
{
	struct tmk_ioc_region_info info;
	struct stat st;
	long before;
	size_t i;
	char *p;
	int fd;

	fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB, 7 * MIB);
	ASSERT_GE(fd, 0);
	info = region_info(fd);
	EXPECT_EQ(TMK_IOC_KIND_HUGETLB, info.out_kind);
	EXPECT_EQ(8 * MIB, info.out_length);
	EXPECT_EQ(8 * MIB, info.out_charged);
	EXPECT_EQ(8 * MIB, info.out_physical);
	EXPECT_EQ(8 * MIB, info.out_bytes_2m);
	EXPECT_EQ(0, info.out_bytes_4k + info.out_bytes_large);
	EXPECT_EQ(HUGE_BYTES, info.out_page_size);
	EXPECT_EQ(8 * MIB, machine("current"));
	EXPECT_EQ(8 * MIB, machine("physical_current"));
	EXPECT_EQ(8 * MIB, read_key(SYSFS "/by_kind", "hugetlb"));
	EXPECT_EQ(PAGES - 4, read_number(POOL "free_hugepages"));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(8 * MIB, st.st_size);
	EXPECT_EQ(0600, st.st_mode & 0777);

	p = map(fd, 8 * MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	before = faults();
	for (i = 0; i < 8 * MIB; i += PAGE_BYTES) {
		if (p[i])
			break;
		p[i] = 1;
	}
	EXPECT_EQ(8 * MIB, i);
	EXPECT_LE(faults() - before, 6);
	/* The mapping keeps it all. */
	close(fd);
	sleep_ms(50);
	EXPECT_EQ(8 * MIB, machine("current"));
	EXPECT_EQ(1, p[8 * MIB - PAGE_BYTES]);
	munmap(p, 8 * MIB);
	EXPECT_TRUE(settles(0));
	EXPECT_TRUE(pool_settles(PAGES));
}

TEST_F(hugetlb, is_zero_after_other_use)
{
	int round;

	for (round = 0; round < 3; round++) {
		int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB,
				       PAGES * HUGE_BYTES);
		unsigned long *p, i, bad = 0;

		ASSERT_GE(fd, 0);
		p = map(fd, PAGES * HUGE_BYTES);
		ASSERT_NE(MAP_FAILED, (void *)p);
		for (i = 0; i < PAGES * HUGE_BYTES / sizeof(*p); i += 64)
			bad += p[i] != 0;
		EXPECT_EQ(0, bad);
		memset(p, 0xa5, PAGES * HUGE_BYTES);
		munmap(p, PAGES * HUGE_BYTES);
		close(fd);
	}
}

TEST_F(hugetlb, an_empty_pool_says_what_it_has)
{
	struct tmk_ioc_region_create c;
	int fd, i;

	fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB, 6 * HUGE_BYTES);
	ASSERT_GE(fd, 0);
	for (i = 0; i < 3; i++) {
		c = create_cmd(TMK_IOC_KIND_HUGETLB, (PAGES - 5) * HUGE_BYTES);
		test_err(ENOMEM, create(self->dev, &c));
		EXPECT_EQ(TMK_IOC_REFUSAL_POOL, c.out_refusal);
		EXPECT_EQ(PAGES * HUGE_BYTES, c.out_refusal_limit);
		EXPECT_EQ(6 * HUGE_BYTES, c.out_refusal_used);
		EXPECT_EQ(0, c.out_refusal_cgroup);
	}
	EXPECT_TRUE(settles(6 * HUGE_BYTES));
	EXPECT_TRUE(pool_settles(PAGES - 6));
	/* The others can still be had, to the last one. */
	c = create_cmd(TMK_IOC_KIND_HUGETLB, (PAGES - 6) * HUGE_BYTES);
	i = create(self->dev, &c);
	EXPECT_GE(i, 0);
	close(i);
	close(fd);
}

TEST_F(hugetlb, pages_beyond_the_pool_where_the_system_allows)
{
	int fd;

	ASSERT_EQ(0, write_text(POOL "nr_overcommit_hugepages", "2"));
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB,
			   (PAGES + 2) * HUGE_BYTES);
	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_TRUE(settles(0));
	test_err(ENOMEM, create_simple(self->dev, TMK_IOC_KIND_HUGETLB,
				       (PAGES + 3) * HUGE_BYTES));
	EXPECT_EQ(0, write_text(POOL "nr_overcommit_hugepages", "0"));
	EXPECT_TRUE(pool_settles(PAGES));
}

TEST_F(hugetlb, the_controller_refuses_before_the_pool)
{
	struct holder h;

	if (cg_write("", "cgroup.subtree_control", "+hugetlb"))
		SKIP(return, "no hugetlb controller");
	ASSERT_EQ(0, cg_create("/hl"));
	ASSERT_EQ(0, cg_write("/hl", "hugetlb.2MB.max", "4M"));
	h = hold("/hl", TMK_IOC_KIND_HUGETLB, 8 * MIB);
	EXPECT_EQ(ENOMEM, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_HUGETLB_MAX, h.cmd.out_refusal);
	let_go(&h);
	h = hold("/hl", TMK_IOC_KIND_HUGETLB, 4 * MIB);
	EXPECT_EQ(0, h.err);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/hl"));
}

TEST_F(hugetlb, limits_of_tmk_hold)
{
	struct holder h;

	ASSERT_EQ(0, cg_create("/hlmax"));
	ASSERT_EQ(0, tmk_limit("/hlmax", "physical_max", "4M"));
	h = hold("/hlmax", TMK_IOC_KIND_HUGETLB, 6 * MIB);
	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_PHYSICAL_MAX, h.cmd.out_refusal);
	let_go(&h);
	h = hold("/hlmax", TMK_IOC_KIND_HUGETLB, 4 * MIB);
	EXPECT_EQ(0, h.err);
	EXPECT_EQ(4 * MIB, tmk_number(cg_id("/hlmax"), "physical_current"));
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/hlmax"));
}

TEST_F(hugetlb, mapped_in_range_and_shared_only)
{
	int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB, 4 * HUGE_BYTES);
	char *p;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, HUGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(MAP_FAILED, map(fd, 5 * HUGE_BYTES));
	EXPECT_EQ(MAP_FAILED, map(fd, PAGE_BYTES));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, HUGE_BYTES, PROT_READ, MAP_SHARED, fd,
				   PAGE_BYTES));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, HUGE_BYTES, PROT_READ, MAP_SHARED, fd,
				   4 * HUGE_BYTES));
	p = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 3 * HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, (uintptr_t)p % HUGE_BYTES);
	EXPECT_EQ(MAP_FAILED,
		  mremap(p, HUGE_BYTES, 2 * HUGE_BYTES, MREMAP_MAYMOVE));
	test_err(EINVAL, read(fd, p, 1));
	test_err(EINVAL, write(fd, p, 1));
	test_err(EPERM, ftruncate(fd, 0));
	test_err(EPERM, ftruncate(fd, 8 * HUGE_BYTES));
	test_err(EOPNOTSUPP, fallocate(fd, 0, 0, 8 * HUGE_BYTES));
	munmap(p, HUGE_BYTES);
	close(fd);
}

/* The kernel maps the file behind the mapping, without asking us. */
TEST_F(hugetlb, nothing_beyond_the_charge_through_the_back_door)
{
	int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB, 2 * HUGE_BYTES);
	size_t page = HUGE_BYTES / PAGE_BYTES;
	char *p;

	ASSERT_GE(fd, 0);
	p = map(fd, 2 * HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 1, 2 * HUGE_BYTES);
	EXPECT_NE(0,
		  syscall(SYS_remap_file_pages, p, HUGE_BYTES, 0, 2 * page, 0));
	EXPECT_EQ(PAGES - 2, read_number(POOL "free_hugepages"));
	EXPECT_EQ(0, read_number(POOL "resv_hugepages"));
	EXPECT_EQ(2 * HUGE_BYTES, machine("current"));
	munmap(p, 2 * HUGE_BYTES);
	close(fd);
}

TEST_F(hugetlb, forked_passed_on_and_opened_again)
{
	int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB, HUGE_BYTES);
	char *p, *q, path[64];
	pid_t pid;
	int again;

	ASSERT_GE(fd, 0);
	p = map(fd, HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	pid = fork();
	if (!pid) {
		p[1] = 42;
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(42, p[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	ASSERT_GE(again, 0);
	close(fd);
	munmap(p, HUGE_BYTES);
	sleep_ms(50);
	EXPECT_EQ(HUGE_BYTES, machine("current"));
	q = map(again, HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(42, q[1]);
	close(again);
	munmap(q, HUGE_BYTES);
}

TEST_F(hugetlb, what_is_pinned_stays_charged)
{
	struct io_uring_params params = { 0 };
	int ring = syscall(SYS_io_uring_setup, 4, &params);
	int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB, 3 * HUGE_BYTES);
	struct iovec iov = { NULL, HUGE_BYTES };
	char *p;

	ASSERT_GE(ring, 0);
	ASSERT_GE(fd, 0);
	p = map(fd, 3 * HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	iov.iov_base = p + HUGE_BYTES;
	ASSERT_EQ(0, syscall(SYS_io_uring_register, ring,
			     IORING_REGISTER_BUFFERS, &iov, 1));
	munmap(p, 3 * HUGE_BYTES);
	close(fd);
	EXPECT_TRUE(settles(HUGE_BYTES));
	EXPECT_TRUE(pool_settles(PAGES - 1));
	close(ring);
	EXPECT_TRUE(settles(0));
	EXPECT_TRUE(pool_settles(PAGES));
}

TEST_F(hugetlb, killed_holders_leave_nothing)
{
	int i;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB,
					       PAGES * HUGE_BYTES);
			char *p = map(fd, HUGE_BYTES);

			*p = 1;
			pause();
		}
		sleep_ms(i * 7);
		kill(pid, SIGKILL);
		wait_status(pid);
		EXPECT_TRUE(settles(0));
		EXPECT_TRUE(pool_settles(PAGES));
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A signal does not get in the way, nor does a limit on files. */
TEST_F(hugetlb, signals_and_file_limits_do_not_matter)
{
	struct itimerval timer = { { 0, 1000 }, { 0, 1000 } };
	struct rlimit none = { HUGE_BYTES, HUGE_BYTES };
	int i;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
	setrlimit(RLIMIT_FSIZE, &none);
	for (i = 0; i < 10; i++) {
		int fd = create_simple(self->dev, TMK_IOC_KIND_HUGETLB,
				       PAGES * HUGE_BYTES);

		EXPECT_GE(fd, 0);
		close(fd);
	}
	memset(&timer, 0, sizeof(timer));
	setitimer(ITIMER_REAL, &timer, NULL);
}

TEST_F(hugetlb, wrong_requests)
{
	struct tmk_ioc_region_create c;

	c = create_cmd(TMK_IOC_KIND_HUGETLB, HUGE_BYTES);
	c.page_size = PAGE_BYTES;
	test_err(EINVAL, create(self->dev, &c));
	c.page_size = 4 * MIB;
	test_err(EINVAL, create(self->dev, &c));
	c.page_size = HUGE_BYTES;
	c.node = 0;
	test_err(EOPNOTSUPP, create(self->dev, &c));
	c.node = TMK_IOC_NODE_ANY;
	c.backing_fd = 0;
	test_err(EINVAL, create(self->dev, &c));
	c.backing_fd = -1;
	c.length = 1ULL << 60;
	test_err(EDQUOT, create(self->dev, &c));
}

TEST(gigantic_pages)
{
	struct tmk_ioc_info info = { .size = sizeof(info) };
	struct tmk_ioc_region_create c;
	struct tmk_ioc_region_info ri;
	int dev = device_open(), fd;
	long before;
	char *p;

	ASSERT_EQ(0, ioctl(dev, TMK_IOC_INFO, &info));
	c = create_cmd(TMK_IOC_KIND_HUGETLB, 1);
	c.page_size = GIB;
	EXPECT_EQ(!access(GIGANTIC_POOL, F_OK), !!(info.out_page_sizes & GIB));
	if (read_number(GIGANTIC_POOL "free_hugepages") != 1) {
		EXPECT_EQ(-1, create(dev, &c));
		SKIP(return, "no page of 1 GiB; tests/vm/hugetlb.sh has one");
	}
	fd = create(dev, &c);
	ASSERT_GE(fd, 0);
	ri = region_info(fd);
	EXPECT_EQ(GIB, ri.out_length);
	EXPECT_EQ(GIB, ri.out_page_size);
	EXPECT_EQ(GIB, ri.out_bytes_1g);
	EXPECT_EQ(0, ri.out_bytes_2m);
	EXPECT_EQ(GIB, machine("physical_current"));
	EXPECT_EQ(0, read_number(GIGANTIC_POOL "free_hugepages"));
	p = map(fd, GIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, (uintptr_t)p % GIB);
	before = faults();
	p[0] = p[GIB / 2] = p[GIB - 1] = 1;
	EXPECT_LE(faults() - before, 2);
	test_err(ENOMEM, create(dev, &c));
	EXPECT_EQ(TMK_IOC_REFUSAL_POOL, c.out_refusal);
	EXPECT_EQ(GIB, c.out_refusal_limit);
	munmap(p, GIB);
	close(fd);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(1, read_number(GIGANTIC_POOL "free_hugepages"));
	close(dev);
}

TEST_HARNESS_MAIN
