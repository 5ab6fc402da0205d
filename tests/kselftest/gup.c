// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Everybody who takes pages by get_user_pages(): direct I/O, registered buffers
 * of io_uring, other processes' memory calls, pipes. And what is still pinned
 * when everything is closed stays charged.
 */
#include "tmk_util.h"

#include <linux/io_uring.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define BYTES (4 * MIB)
#define DISK "/dev/ram0"
#define FILE_BYTES MIB

FIXTURE(gup)
{
	int dev;
	int fd;
	char *p;
};

FIXTURE_VARIANT(gup)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(gup, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(gup, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_SETUP(gup)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->fd = create_simple(self->dev, variant->kind, BYTES);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
}

FIXTURE_TEARDOWN(gup)
{
	if (self->p)
		munmap(self->p, BYTES);
	if (self->fd >= 0)
		close(self->fd);
	EXPECT_TRUE(settles(0));
	close(self->dev);
}

/* Direct I/O on a RAM disk: there is no cache in between. */
TEST_F(gup, direct_io)
{
	int disk = open(DISK, O_RDWR | O_DIRECT);
	size_t i;

	ASSERT_GE(disk, 0);
	for (i = 0; i < FILE_BYTES; i++)
		self->p[i] = (char)(i * 7);
	ASSERT_EQ(FILE_BYTES, pwrite(disk, self->p, FILE_BYTES, 0));
	ASSERT_EQ(FILE_BYTES, pread(disk, self->p + 2 * MIB, FILE_BYTES, 0));
	EXPECT_EQ(0, memcmp(self->p, self->p + 2 * MIB, FILE_BYTES));
	close(disk);
}

struct ring {
	int fd;
	char *rings;
	unsigned int *sq_tail, *sq_mask, *cq_head, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static int ring_open(struct ring *r)
{
	struct io_uring_params params = { 0 };
	char *rings;

	r->fd = syscall(SYS_io_uring_setup, 4, &params);
	if (r->fd < 0)
		return -1;
	rings = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (rings == MAP_FAILED || r->sqes == MAP_FAILED ||
	    !(params.features & IORING_FEAT_SINGLE_MMAP))
		return -1;
	r->rings = rings;
	r->sq_tail = (void *)(rings + params.sq_off.tail);
	r->sq_mask = (void *)(rings + params.sq_off.ring_mask);
	r->cq_head = (void *)(rings + params.cq_off.head);
	r->cq_mask = (void *)(rings + params.cq_off.ring_mask);
	r->cqes = (void *)(rings + params.cq_off.cqes);
	((unsigned int *)(rings + params.sq_off.array))[0] = 0;
	return 0;
}

/* Its mappings hold it as well. */
static void ring_close(struct ring *r)
{
	munmap(r->rings, 65536);
	munmap(r->sqes, 4096);
	close(r->fd);
}

static int ring_register(struct ring *r, void *p, size_t bytes)
{
	struct iovec iov = { p, bytes };

	return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS,
		       &iov, 1);
}

static int ring_unregister(struct ring *r)
{
	return syscall(SYS_io_uring_register, r->fd, IORING_UNREGISTER_BUFFERS,
		       NULL, 0);
}

/* One READ_FIXED from the disk. Return: what it read. */
static int ring_read(struct ring *r, int disk, void *to, unsigned int bytes)
{
	struct io_uring_sqe *sqe = &r->sqes[0];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_READ_FIXED;
	sqe->fd = disk;
	sqe->addr = (uintptr_t)to;
	sqe->len = bytes;
	sqe->buf_index = 0;
	__atomic_fetch_add(r->sq_tail, 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -errno;
	return r->cqes[__atomic_fetch_add(r->cq_head, 1, __ATOMIC_RELEASE) &
		       *r->cq_mask]
		.res;
}

TEST_F(gup, io_uring_registered_buffer)
{
	int disk = open(DISK, O_RDWR | O_DIRECT);
	struct ring r;

	ASSERT_GE(disk, 0);
	ASSERT_EQ(0, ring_open(&r));
	memset(self->p, 0x3c, FILE_BYTES);
	ASSERT_EQ(FILE_BYTES, pwrite(disk, self->p, FILE_BYTES, 0));
	ASSERT_EQ(0, ring_register(&r, self->p, BYTES));
	EXPECT_EQ(FILE_BYTES,
		  ring_read(&r, disk, self->p + 2 * MIB, FILE_BYTES));
	EXPECT_EQ(0, memcmp(self->p, self->p + 2 * MIB, FILE_BYTES));
	EXPECT_EQ(0, ring_unregister(&r));
	ring_close(&r);
	close(disk);
}

/* Registering and closing must not be a way around the limit. */
TEST_F(gup, pinned_after_close_stays_charged)
{
	struct ring r;

	ASSERT_EQ(0, ring_open(&r));
	ASSERT_EQ(0, ring_register(&r, self->p, BYTES));
	munmap(self->p, BYTES);
	close(self->fd);
	self->p = NULL;
	self->fd = -1;
	sleep_ms(300);
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(BYTES, machine("physical_current"));
	EXPECT_EQ(0, ring_unregister(&r));
	EXPECT_TRUE(settles(0));
	ring_close(&r);
}

/* Only what is pinned stays: the rest goes at once. */
TEST_F(gup, partly_pinned_after_close)
{
	struct ring r;

	ASSERT_EQ(0, ring_open(&r));
	ASSERT_EQ(0, ring_register(&r, self->p + HUGE_BYTES, PAGE_BYTES));
	munmap(self->p, BYTES);
	close(self->fd);
	self->p = NULL;
	self->fd = -1;
	EXPECT_TRUE(settles(variant->kind == TMK_IOC_KIND_HUGE ? HUGE_BYTES :
								 PAGE_BYTES));
	ring_close(&r);
	EXPECT_TRUE(settles(0));
}

TEST_F(gup, other_processes_read_and_write)
{
	char buf[256] = "hello from outside";
	struct iovec local = { buf, sizeof(buf) };
	struct iovec remote = { self->p + HUGE_BYTES - 128, sizeof(buf) };
	char path[64];
	pid_t pid;
	int mem;

	pid = fork();
	if (!pid) {
		if (process_vm_writev(getppid(), &local, 1, &remote, 1, 0) !=
		    sizeof(buf))
			_exit(1);
		memset(buf, 0, sizeof(buf));
		if (process_vm_readv(getppid(), &local, 1, &remote, 1, 0) !=
		    sizeof(buf))
			_exit(2);
		_exit(strcmp(buf, "hello from outside") ? 3 : 0);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_STREQ("hello from outside", self->p + HUGE_BYTES - 128);

	snprintf(path, sizeof(path), "/proc/%d/mem", getpid());
	mem = open(path, O_RDWR);
	ASSERT_GE(mem, 0);
	EXPECT_EQ(5, pwrite(mem, "mem!", 5, (off_t)(uintptr_t)self->p));
	EXPECT_STREQ("mem!", self->p);
	close(mem);
}

TEST_F(gup, pages_in_a_pipe)
{
	struct iovec iov = { self->p, PAGE_BYTES };
	char buf[PAGE_BYTES];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	memset(self->p, 0x77, PAGE_BYTES);
	ASSERT_EQ(PAGE_BYTES, vmsplice(pipes[1], &iov, 1, 0));
	munmap(self->p, BYTES);
	close(self->fd);
	self->p = NULL;
	self->fd = -1;
	/* A whole huge page hangs on the pipe's reference, so it is charged. */
	if (variant->kind == TMK_IOC_KIND_HUGE) {
		sleep_ms(200);
		EXPECT_EQ(HUGE_BYTES, machine("current"));
	}
	EXPECT_EQ(PAGE_BYTES, read(pipes[0], buf, PAGE_BYTES));
	EXPECT_EQ(0x77, buf[PAGE_BYTES - 1]);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_HARNESS_MAIN
