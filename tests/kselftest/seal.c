// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Handing memory out for reading: a descriptor through which nothing can be
 * written by any road, and a seal after which nobody can begin to write.
 */
#include "tmk_util.h"

#include <sys/uio.h>

#define BYTES HUGE_BYTES

FIXTURE(seal)
{
	int dev;
	int fd;
	int backing;
	char *p;
};

FIXTURE_VARIANT(seal)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(seal, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(seal, huge){ .kind = TMK_IOC_KIND_HUGE };
FIXTURE_VARIANT_ADD(seal, hugetlb){ .kind = TMK_IOC_KIND_HUGETLB };
FIXTURE_VARIANT_ADD(seal, file){ .kind = TMK_IOC_KIND_FILE };

FIXTURE_SETUP(seal)
{
	struct tmk_ioc_region_create c = create_cmd(variant->kind, BYTES);

	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->backing = -1;
	if (variant->kind == TMK_IOC_KIND_FILE)
		self->backing = syscall(SYS_memfd_create, "seal", 0);
	if (variant->kind == TMK_IOC_KIND_HUGETLB)
		ASSERT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "1"));
	c.backing_fd = self->backing;
	self->fd = create(self->dev, &c);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	self->p[7] = 7;
}

FIXTURE_TEARDOWN(seal)
{
	munmap(self->p, BYTES);
	close(self->fd);
	close(self->backing);
	EXPECT_TRUE(settles(0));
	if (variant->kind == TMK_IOC_KIND_HUGETLB)
		EXPECT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "0"));
	close(self->dev);
}

static int readonly(int fd)
{
	struct tmk_ioc_region_readonly cmd = { .size = sizeof(cmd) };

	return ioctl(fd, TMK_IOC_REGION_READONLY, &cmd) ? -1 : cmd.out_fd;
}

/* The seals of a region after adding some, or a negative errno. */
static int seal(int fd, unsigned int seals)
{
	struct tmk_ioc_region_seal cmd = { .size = sizeof(cmd),
					   .seals = seals };

	return ioctl(fd, TMK_IOC_REGION_SEAL, &cmd) ? -errno :
						      (int)cmd.out_seals;
}

static void *map_prot(int fd, int prot)
{
	return mmap(NULL, BYTES, prot, MAP_SHARED, fd, 0);
}

static int open_again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* Every way to write to the read-only mapping at @p. */
static void expect_no_way_to_write(char *p)
{
	char byte = 66;
	struct iovec local = { &byte, 1 }, remote = { p + 7, 1 };
	int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	test_err(EACCES, mprotect(p, BYTES, PROT_READ | PROT_WRITE));
	test_err(EFAULT, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, pwrite(mem, &byte, 1, (off_t)(uintptr_t)(p + 7)));
	EXPECT_EQ(-1, read(null, p + 7, 1));
	EXPECT_EQ(-1, madvise(p, BYTES, MADV_REMOVE));
	close(null);
	close(mem);
	EXPECT_EQ(7, p[7]);
}

/* What a command that changes the region answers; some kinds know none. */
static int refusal(unsigned int kind, int err)
{
	return kind == TMK_IOC_KIND_PINNED || kind == TMK_IOC_KIND_HUGE ?
		       err :
		       EOPNOTSUPP;
}

TEST_F(seal, readonly_descriptor_reads)
{
	struct tmk_ioc_region_info info;
	int fd = readonly(self->fd);
	char *q;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	info = region_info(fd);
	EXPECT_EQ(region_info(self->fd).out_id, info.out_id);
	EXPECT_EQ(BYTES, machine("current"));
	q = map_prot(fd, PROT_READ);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(7, q[7]);
	/* It is the same memory, not a copy. */
	self->p[8] = 8;
	EXPECT_EQ(8, q[8]);
	munmap(q, BYTES);
	close(fd);
}

TEST_F(seal, readonly_descriptor_keeps_the_region)
{
	int fd = readonly(self->fd);
	char *q;

	ASSERT_GE(fd, 0);
	munmap(self->p, BYTES);
	close(self->fd);
	sleep_ms(50);
	EXPECT_EQ(BYTES, machine("current"));
	q = map_prot(fd, PROT_READ);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(7, q[7]);
	munmap(q, BYTES);
	/* For the teardown. */
	self->fd = fd;
	self->p = map_prot(fd, PROT_READ);
}

TEST_F(seal, nothing_writes_through_a_readonly_descriptor)
{
	struct tmk_ioc_region_trim trim = { .size = sizeof(trim),
					    .length = BYTES };
	struct tmk_ioc_region_dmabuf dmabuf = { .size = sizeof(dmabuf) };
	int fd = readonly(self->fd);
	char *q;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(MAP_FAILED, map_prot(fd, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, map_prot(fd, PROT_WRITE));
	q = map_prot(fd, PROT_READ);
	ASSERT_NE(MAP_FAILED, (void *)q);
	expect_no_way_to_write(q);
	munmap(q, BYTES);
	test_err(refusal(variant->kind, EACCES),
		 ioctl(fd, TMK_IOC_REGION_TRIM, &trim));
	test_err(refusal(variant->kind, EACCES),
		 ioctl(fd, TMK_IOC_REGION_DMABUF, &dmabuf));
	EXPECT_EQ(-EACCES, seal(fd, TMK_IOC_SEAL_FUTURE_WRITE));
	EXPECT_EQ(0, seal(fd, 0));
	EXPECT_EQ(-1, write(fd, "x", 1));
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	close(fd);
}

TEST_F(seal, readonly_is_not_undone_through_proc)
{
	int fd, again;

	/* Before that it could be opened. */
	again = open_again(self->fd, O_RDWR);
	EXPECT_GE(again, 0);
	close(again);
	fd = readonly(self->fd);
	ASSERT_GE(fd, 0);
	test_err(EACCES, open_again(fd, O_RDWR));
	test_err(EACCES, open_again(fd, O_WRONLY));
	test_err(EACCES, open_again(self->fd, O_RDWR));
	again = open_again(fd, O_RDONLY);
	EXPECT_GE(again, 0);
	EXPECT_EQ(MAP_FAILED, map_prot(again, PROT_READ | PROT_WRITE));
	close(again);
	/* One made of it is no better; the creator's own goes on working. */
	again = readonly(fd);
	EXPECT_GE(again, 0);
	EXPECT_EQ(MAP_FAILED, map_prot(again, PROT_READ | PROT_WRITE));
	close(again);
	close(fd);
	self->p[9] = 9;
	EXPECT_EQ(0, munmap(self->p, BYTES));
	self->p = map(self->fd, BYTES);
	EXPECT_NE(MAP_FAILED, (void *)self->p);
}

TEST_F(seal, a_seal_ends_writing_for_everybody)
{
	struct tmk_ioc_region_trim trim = { .size = sizeof(trim),
					    .length = BYTES };
	struct tmk_ioc_region_dmabuf dmabuf = { .size = sizeof(dmabuf) };
	char *q;
	int fd;

	EXPECT_EQ(0, seal(self->fd, 0));
	EXPECT_EQ(TMK_IOC_SEAL_FUTURE_WRITE,
		  seal(self->fd, TMK_IOC_SEAL_FUTURE_WRITE));
	EXPECT_EQ(TMK_IOC_SEAL_FUTURE_WRITE, seal(self->fd, 0));
	EXPECT_TRUE(fcntl(self->fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE);
	EXPECT_EQ(MAP_FAILED, map(self->fd, BYTES));
	EXPECT_EQ(EPERM, errno);
	test_err(EPERM, open_again(self->fd, O_RDWR));
	test_err(refusal(variant->kind, EPERM),
		 ioctl(self->fd, TMK_IOC_REGION_TRIM, &trim));
	/* A device could write. */
	test_err(refusal(variant->kind, EPERM),
		 ioctl(self->fd, TMK_IOC_REGION_DMABUF, &dmabuf));
	q = map_prot(self->fd, PROT_READ);
	ASSERT_NE(MAP_FAILED, (void *)q);
	test_err(EACCES, mprotect(q, BYTES, PROT_READ | PROT_WRITE));
	/* What was mapped before goes on. */
	self->p[10] = 10;
	EXPECT_EQ(10, q[10]);
	munmap(q, BYTES);
	fd = readonly(self->fd);
	EXPECT_GE(fd, 0);
	close(fd);
	fd = open_again(self->fd, O_RDONLY);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(TMK_IOC_SEAL_FUTURE_WRITE, seal(fd, 0));
	close(fd);
}

TEST_F(seal, wrong_requests)
{
	struct tmk_ioc_region_readonly ro = { .size = sizeof(ro) };
	struct tmk_ioc_region_seal s = { .size = sizeof(s) };
	int fds = open_fds();
	struct rlimit none = { 3, 1024 };

	ro.flags = 1;
	test_err(EINVAL, ioctl(self->fd, TMK_IOC_REGION_READONLY, &ro));
	ro.flags = 0;
	ro.__reserved = 1;
	test_err(EINVAL, ioctl(self->fd, TMK_IOC_REGION_READONLY, &ro));
	s.flags = 1;
	test_err(EINVAL, ioctl(self->fd, TMK_IOC_REGION_SEAL, &s));
	s.flags = 0;
	s.seals = 2;
	test_err(EINVAL, ioctl(self->fd, TMK_IOC_REGION_SEAL, &s));
	s.seals = UINT32_MAX;
	test_err(EINVAL, ioctl(self->fd, TMK_IOC_REGION_SEAL, &s));
	EXPECT_EQ(0, seal(self->fd, 0));
	EXPECT_EQ(fds, open_fds());
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-1, readonly(self->fd));
	EXPECT_EQ(EMFILE, errno);
	none.rlim_cur = 1024;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
}

TEST_HARNESS_MAIN
