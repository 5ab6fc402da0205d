// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/* Regions across fork, exec and the death of either side. */
#include "tmk_util.h"

FIXTURE(fork)
{
	int dev;
	int fd;
	char *p;
};

FIXTURE_SETUP(fork)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
}

FIXTURE_TEARDOWN(fork)
{
	munmap(self->p, HUGE_BYTES);
	close(self->fd);
	EXPECT_TRUE(settles(0));
	close(self->dev);
}

TEST_F(fork, memory_is_shared)
{
	pid_t pid;

	self->p[0] = 1;
	pid = fork();
	if (!pid) {
		self->p[1] = self->p[0] + 1;
		_exit(self->p[0] == 1 ? 0 : 1);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(2, self->p[1]);
	EXPECT_EQ(HUGE_BYTES, machine("current"));
}

TEST_F(fork, child_exit_frees_nothing)
{
	pid_t pid = fork();

	if (!pid) {
		munmap(self->p, HUGE_BYTES);
		close(self->fd);
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	self->p[HUGE_BYTES - 1] = 5;
	EXPECT_EQ(5, self->p[HUGE_BYTES - 1]);
	EXPECT_EQ(HUGE_BYTES, machine("current"));
}

/* The parent's parent sees the charge until the last mapper is gone. */
TEST_F(fork, surviving_child_keeps_it)
{
	int ready[2], go[2];
	pid_t parent;
	char c;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	parent = fork();
	if (!parent) {
		int fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB);
		char *q = map(fd, MIB);

		q[3] = 33;
		if (!fork()) {
			close(fd);
			close(go[1]);
			hear(go[0]);
			c = q[3];
			if (write(ready[1], &c, 1) != 1)
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(parent));
	EXPECT_EQ(HUGE_BYTES + MIB, machine("current"));
	tell(go[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	EXPECT_EQ(33, c);
	EXPECT_TRUE(settles(HUGE_BYTES));
}

TEST_F(fork, exec_closes_and_unmaps)
{
	pid_t pid;

	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	pid = fork();
	if (!pid) {
		if (create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB) < 0)
			_exit(1);
		execl("/bin/busybox", "busybox", "sh", "-c",
		      "exit $(($(cat " SYSFS "/current) != 2097152))", NULL);
		_exit(2);
	}
	EXPECT_EQ(0, wait_status(pid));
}

TEST_F(fork, many_children_at_once)
{
	int i, bad = 0;

	for (i = 0; i < 32; i++) {
		if (!fork()) {
			self->p[i] = i;
			madvise(self->p, HUGE_BYTES, MADV_DONTNEED);
			munmap(self->p + PAGE_BYTES, PAGE_BYTES);
			_exit(self->p[i] == i ? 0 : 1);
		}
	}
	for (i = 0; i < 32; i++)
		bad += wait_status(-1) != 0;
	EXPECT_EQ(0, bad);
	for (i = 0; i < 32; i++)
		EXPECT_EQ(i, self->p[i]);
}

TEST_HARNESS_MAIN
