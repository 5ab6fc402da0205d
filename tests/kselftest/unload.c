// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * The module cannot go while anything of it lives, and can once nothing does.
 * It is really removed only where TMK_UNLOAD says so (tests/vm/module.sh);
 * otherwise the runner does that at the end.
 */
#include "tmk_util.h"

#include <linux/io_uring.h>
#include <sys/uio.h>

static int refs(void)
{
	char text[32];

	if (read_text("/sys/module/tmk/refcnt", text, sizeof(text)) <= 0)
		return -1;
	return atoi(text);
}

static bool refs_settle(int want)
{
	int i;

	for (i = 0; i < 300; i++) {
		if (refs() == want)
			return true;
		sleep_ms(10);
	}
	TH_LOG("%d references", refs());
	return false;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "tmk", O_NONBLOCK) ? errno : 0;
}

TEST(device_region_mapping_each_hold_it)
{
	int dev, fd;
	char *p;

	ASSERT_TRUE(refs_settle(0));
	dev = device_open();
	EXPECT_EQ(1, refs());
	EXPECT_EQ(EAGAIN, unload());
	fd = create_simple(dev, TMK_IOC_KIND_HUGE, 1);
	ASSERT_GE(fd, 0);
	close(dev);
	EXPECT_TRUE(refs_settle(1));
	EXPECT_EQ(EAGAIN, unload());
	p = map(fd, HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	close(fd);
	EXPECT_TRUE(refs_settle(1));
	EXPECT_EQ(EAGAIN, unload());
	munmap(p, HUGE_BYTES);
	EXPECT_TRUE(refs_settle(0));
}

TEST(pinned_pages_hold_it)
{
	struct io_uring_params params = { 0 };
	int ring = syscall(SYS_io_uring_setup, 4, &params);
	int dev = device_open();
	int fd = create_simple(dev, TMK_IOC_KIND_HUGE, 1);
	struct iovec iov = { map(fd, HUGE_BYTES), HUGE_BYTES };

	ASSERT_GE(ring, 0);
	ASSERT_EQ(0, syscall(SYS_io_uring_register, ring,
			     IORING_REGISTER_BUFFERS, &iov, 1));
	munmap(iov.iov_base, HUGE_BYTES);
	close(fd);
	close(dev);
	sleep_ms(100);
	EXPECT_EQ(1, refs());
	EXPECT_EQ(EAGAIN, unload());
	close(ring);
	EXPECT_TRUE(refs_settle(0));
	EXPECT_TRUE(settles(0));
}

TEST(refused_requests_hold_nothing)
{
	int dev = device_open();
	int i;

	for (i = 0; i < 100; i++)
		create_simple(dev, TMK_IOC_KIND_HUGE, 1ULL << 50);
	close(dev);
	EXPECT_TRUE(refs_settle(0));
}

/* An O_PATH descriptor holds nothing, and leads nowhere once we are gone. */
TEST(o_path_descriptors_do_not)
{
	static const unsigned int kinds[] = { TMK_IOC_KIND_PINNED,
					      TMK_IOC_KIND_HUGE,
					      TMK_IOC_KIND_FILE };
	int dev = device_open(), memfd = syscall(SYS_memfd_create, "u", 0);
	char path[3][64];
	int i;

	for (i = 0; i < 3; i++) {
		struct tmk_ioc_region_create c = create_cmd(kinds[i], MIB);
		int fd, o_path;

		c.backing_fd = kinds[i] == TMK_IOC_KIND_FILE ? memfd : -1;
		fd = create(dev, &c);
		ASSERT_GE(fd, 0);
		snprintf(path[i], sizeof(path[i]), "/proc/self/fd/%d", fd);
		o_path = open(path[i], O_PATH);
		ASSERT_GE(o_path, 0);
		snprintf(path[i], sizeof(path[i]), "/proc/self/fd/%d", o_path);
		close(fd);
		test_err(ENXIO, open(path[i], O_RDWR));
	}
	close(dev);
	EXPECT_TRUE(refs_settle(0));
	if (!getenv("TMK_UNLOAD"))
		return;
	ASSERT_EQ(0, unload());
	for (i = 0; i < 3; i++) {
		test_err(EIO, open(path[i], O_RDWR));
		test_err(EIO, chmod(path[i], 0700));
	}
}

TEST_HARNESS_MAIN
