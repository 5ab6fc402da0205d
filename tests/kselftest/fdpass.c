// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * A region's descriptor in other hands: the charge stays with its creator.
 *
 *	creator (/giver)  --SCM_RIGHTS-->  taker (/taker)
 */
#include "cg_util.h"
#include "fdpass.h"

#include <sys/socket.h>
#include <sys/un.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

FIXTURE(fdpass)
{
	int dev;
	unsigned long long giver, taker;
};

FIXTURE_SETUP(fdpass)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, cg_create("/giver"));
	ASSERT_EQ(0, cg_create("/taker"));
	self->giver = cg_id("/giver");
	self->taker = cg_id("/taker");
}

FIXTURE_TEARDOWN(fdpass)
{
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/giver"));
	EXPECT_EQ(0, cg_destroy("/taker"));
	close(self->dev);
}

/* A process in /giver that makes a region, sends it and dies. */
static pid_t giver_start(int dev, int sock, uint64_t bytes)
{
	pid_t pid = fork();
	char *p;
	int fd;

	if (pid)
		return pid;
	if (cg_enter("/giver"))
		_exit(1);
	fd = create_simple(dev, TMK_IOC_KIND_HUGE, bytes);
	p = map(fd, bytes);
	if (fd < 0 || p == MAP_FAILED)
		_exit(2);
	strcpy(p, "from the giver");
	_exit(fd_send(sock, fd, 0) ? 3 : 0);
}

TEST_F(fdpass, receiver_uses_it_and_giver_stays_charged)
{
	int sock[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = giver_start(self->dev, sock[1], 4 * MIB);
	ASSERT_EQ(0, wait_status(pid));
	pid = fork();
	if (!pid) {
		char *p;

		if (cg_enter("/taker"))
			_exit(1);
		fd = fd_receive(sock[0], 0);
		p = map(fd, 4 * MIB);
		if (p == MAP_FAILED || strcmp(p, "from the giver"))
			_exit(2);
		memset(p, 1, 4 * MIB);
		if (tmk_number(self->giver, "current") != 4 * MIB)
			_exit(3);
		if (tmk_known(self->taker))
			_exit(4);
		if (region_info(fd).out_cgroup_id != self->giver)
			_exit(5);
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	close(sock[0]);
	close(sock[1]);
}

TEST_F(fdpass, held_by_a_socket_queue_alone)
{
	int sock[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = giver_start(self->dev, sock[1], 2 * MIB);
	ASSERT_EQ(0, wait_status(pid));
	EXPECT_EQ(2 * MIB, tmk_number(self->giver, "current"));
	fd = fd_receive(sock[0], 0);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_TRUE(settles(0));

	/* Never received: it goes with the socket. */
	pid = giver_start(self->dev, sock[1], 2 * MIB);
	ASSERT_EQ(0, wait_status(pid));
	EXPECT_EQ(2 * MIB, machine("current"));
	close(sock[0]);
	close(sock[1]);
	EXPECT_TRUE(settles(0));
}

/* A descriptor for a socket that carries it: only the collector frees it. */
TEST_F(fdpass, cycle_through_sockets)
{
	int sock[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, fd_send(sock[0], fd, 0));
	EXPECT_EQ(0, fd_send(sock[0], sock[1], 0));
	EXPECT_EQ(0, fd_send(sock[1], sock[0], 0));
	close(fd);
	close(sock[0]);
	close(sock[1]);
	EXPECT_EQ(HUGE_BYTES, machine("current"));
	/* The kernel collects such cycles when another socket is closed. */
	close(socket(AF_UNIX, SOCK_STREAM, 0));
	EXPECT_TRUE(settles(0));
}

TEST_F(fdpass, pidfd_getfd)
{
	struct holder h = hold("/giver", TMK_IOC_KIND_PINNED, MIB);
	int pidfd, fd;

	ASSERT_EQ(0, h.err);
	pidfd = syscall(SYS_pidfd_open, h.pid, 0);
	ASSERT_GE(pidfd, 0);
	fd = syscall(SYS_pidfd_getfd, pidfd, h.cmd.out_fd, 0);
	ASSERT_GE(fd, 0);
	let_go(&h);
	EXPECT_EQ(MIB, tmk_number(self->giver, "current"));
	EXPECT_EQ(MIB, region_info(fd).out_length);
	close(fd);
	close(pidfd);
}

TEST_F(fdpass, dup_counts_once)
{
	int fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB);
	int other = dup(fd);

	ASSERT_GE(other, 0);
	EXPECT_EQ(MIB, machine("current"));
	close(fd);
	EXPECT_EQ(MIB, machine("current"));
	close(other);
}

TEST_HARNESS_MAIN
