// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Regions for others: sealed, through descriptors that can only be read, and as
 * dma-bufs. What the user backend has not is told with a reason.
 */
#include <sys/mman.h>

#include "util.h"

static int write_to(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)arg = 1;
	return 0;
}

static bool maps_writable(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, 4096);
	return true;
}

/* Whoever imports it can read it, and nothing else. */
static void imported_is_for_reading(int fd)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	char *data;

	ASSERT_EQ(0, tmk_region_import(&region, fd));
	data = tmk_region_data(region);
	EXPECT_EQ(7, data[0]);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(TMK_REGION_F_READONLY | TMK_REGION_F_TRIM, info.flags);
	EXPECT_EQ(info.bytes, info.physical_bytes);
	EXPECT_EQ(126, in_child(write_to, data));
	EXPECT_EQ(-EACCES, tmk_region_trim(NULL, region, 0, 4096));
	EXPECT_EQ(-EACCES, tmk_region_seal(region));
	tmk_region_put(region);
}

static struct tmk_region *make(enum tmk_kind kind)
{
	struct tmk_region *region;

	if (create(&region, 4 * MIB, kind, TMK_REGION_F_TRIM)) {
		TH_LOG("%s", tmk_error_last());
		abort();
	}
	memset(tmk_region_data(region), 7, 4 * MIB);
	return region;
}

static void seal(enum tmk_kind kind)
{
	struct tmk_region *region = make(kind);
	char *data = tmk_region_data(region);

	EXPECT_TRUE(maps_writable(tmk_region_fd(region)));
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 2 * MIB, 2 * MIB));
	ASSERT_EQ(0, tmk_region_seal(region));
	EXPECT_EQ(0, tmk_region_seal(region));
	EXPECT_FALSE(maps_writable(tmk_region_fd(region)));
	/* Its own mapping is there, and as it was. */
	data[1] = 8;
	EXPECT_EQ(-EPERM, tmk_region_trim(NULL, region, 0, 2 * MIB));
	EXPECT_EQ(2 * MIB, stats_now().physical.current);
	EXPECT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
	data[2 * MIB] = 8;
	imported_is_for_reading(tmk_region_fd(region));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

TEST(seal_of_pinned)
{
	seal(TMK_KIND_PINNED);
}

TEST(seal_of_huge)
{
	seal(TMK_KIND_HUGE);
}

TEST(readonly)
{
	struct tmk_region *region = make(TMK_KIND_HUGE);
	char path[64];
	int fd = -2;

	if (!feature("readonly")) {
		EXPECT_EQ(-EOPNOTSUPP, tmk_region_readonly(&fd, region));
		EXPECT_TRUE(says("the user backend has no descriptors to be "
				 "read: load the module"));
		EXPECT_EQ(-2, fd);
		tmk_region_put(region);
		return;
	}
	ASSERT_EQ(0, tmk_region_readonly(&fd, region));
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_FALSE(maps_writable(fd));
	imported_is_for_reading(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(EACCES, errno);
	/* The creator goes on writing. */
	*(char *)tmk_region_data(region) = 9;
	tmk_region_put(region);
	close(fd);
	EXPECT_TRUE(all_zero());
}

TEST(dmabuf)
{
	struct tmk_region *region = make(TMK_KIND_PINNED);
	int fd = -2;

	if (!feature("dmabuf")) {
		EXPECT_EQ(-EOPNOTSUPP, tmk_region_dmabuf(&fd, region));
		EXPECT_TRUE(says("has no dma-bufs: load the module"));
		EXPECT_EQ(-2, fd);
		tmk_region_put(region);
		return;
	}
	ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 2 * MIB));
	ASSERT_EQ(0, tmk_region_dmabuf(&fd, region));
	/* All of it is there, and charged by the ledger. */
	EXPECT_EQ(4 * MIB, stats_now().physical.current);
	EXPECT_EQ(4 * MIB, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	/* The device may write to it: nothing of it goes. */
	EXPECT_EQ(-EBUSY, tmk_region_trim(NULL, region, 0, 4096));
	EXPECT_TRUE(says("a dma-buf has that memory"));
	close(fd);
	EXPECT_EQ(0, tmk_region_trim(NULL, region, 0, 4096));
	/* Where the rest cannot be had there is none. */
	ASSERT_EQ(0, tmk_limits_set(&(struct tmk_limits){ TMK_UNLIMITED, 0 }));
	EXPECT_EQ(-ENOMEM, tmk_region_dmabuf(&fd, region));
	EXPECT_TRUE(says("TMK_MAX_PHYSICAL_BYTES"));
	ASSERT_EQ(0, tmk_region_seal(region));
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
}

/* A file has an owner, who decides on that. */
TEST(wrong_requests)
{
	struct tmk_region *region;
	int fd = -2;

	EXPECT_EQ(-EINVAL, tmk_region_seal(NULL));
	EXPECT_EQ(-EINVAL, tmk_region_dmabuf(&fd, NULL));
	EXPECT_EQ(-EINVAL, tmk_region_readonly(&fd, NULL));
	ASSERT_EQ(0, create(&region, 4096, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-EINVAL, tmk_region_dmabuf(NULL, region));
	EXPECT_EQ(-EINVAL, tmk_region_readonly(NULL, region));
	tmk_region_put(region);
	ASSERT_EQ(0, create(&region, 4096, TMK_KIND_FILE, 0));
	EXPECT_EQ(-EOPNOTSUPP, tmk_region_seal(region));
	EXPECT_EQ(-EOPNOTSUPP, tmk_region_dmabuf(&fd, region));
	EXPECT_TRUE(says("it is of kind file"));
	EXPECT_EQ(-EOPNOTSUPP, tmk_region_readonly(&fd, region));
	tmk_region_put(region);
	EXPECT_EQ(-2, fd);
	EXPECT_TRUE(all_zero());
}

TEST(every_step_fails_once)
{
	struct tmk_region *region = make(TMK_KIND_PINNED);
	int fds = fds_nr(), fd = -1;

	tmk__fault_arm(NULL, 1);
	EXPECT_EQ(-ENOMEM, tmk_region_seal(region));
	EXPECT_TRUE(says("cannot seal a region"));
	EXPECT_TRUE(maps_writable(tmk_region_fd(region)));
	if (feature("dmabuf")) {
		tmk__fault_arm("ioctl", 1);
		EXPECT_EQ(-ENOMEM, tmk_region_dmabuf(&fd, region));
		tmk__fault_arm("ioctl", 1);
		EXPECT_EQ(-ENOMEM, tmk_region_readonly(&fd, region));
	}
	tmk__fault_arm(NULL, 0);
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(fds, fds_nr());
	tmk_region_put(region);
}

TEST_HARNESS_MAIN
