// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions over a file whose file system is another process: it refuses,
 * says nothing, or dies. The file system here has one file and speaks just
 * enough of the protocol of <linux/fuse.h>, without a library.
 */
#include "cg_util.h"

#include <linux/fuse.h>
#include <setjmp.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define DIR "/tmp/tmk-fuse"
#define BYTES MIB
#define ROOT 1
#define FILE_NODE 2
#define MESSAGE (256 * 1024)
#define AGREES 1
#define SILENT 2 /* to FUSE_FALLOCATE, until told otherwise */

/* What the test and the file system have in common. */
struct shared {
	int answer; /* to FUSE_FALLOCATE: a negative errno, or of the above */
	int asked; /* how often FUSE_FALLOCATE came */
	uint64_t size; /* of the file */
	char data[BYTES];
};

static struct shared *shared;

static void reply(int dev, uint64_t unique, int error, const void *body,
		  size_t len)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + len),
		.error = error,
		.unique = unique,
	};
	struct iovec v[2] = { { &head, sizeof(head) }, { (void *)body, len } };

	if (writev(dev, v, 2) < 0 && errno != ENOENT)
		_exit(2);
}

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr a = { .ino = node, .nlink = 1, .blksize = 4096 };

	a.mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0666;
	a.size = node == ROOT ? 0 : shared->size;
	return a;
}

static void do_init(int dev, const struct fuse_in_header *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 65536,
		.max_write = 65536,
		.flags = FUSE_BIG_WRITES,
		.max_background = 16,
		.congestion_threshold = 12,
	};

	reply(dev, in->unique, 0, &out, sizeof(out));
}

static void do_lookup(int dev, const struct fuse_in_header *in)
{
	struct fuse_entry_out out = { .nodeid = FILE_NODE };

	if (strcmp((const char *)(in + 1), "data")) {
		reply(dev, in->unique, -ENOENT, NULL, 0);
		return;
	}
	out.attr = attributes(FILE_NODE);
	reply(dev, in->unique, 0, &out, sizeof(out));
}

static void do_getattr(int dev, const struct fuse_in_header *in)
{
	struct fuse_attr_out out = { .attr = attributes(in->nodeid) };

	reply(dev, in->unique, 0, &out, sizeof(out));
}

static void do_read(int dev, const struct fuse_in_header *in)
{
	const struct fuse_read_in *arg = (const void *)(in + 1);
	size_t left = arg->offset < BYTES ? BYTES - arg->offset : 0;

	reply(dev, in->unique, 0, shared->data + arg->offset,
	      arg->size < left ? arg->size : left);
}

static void do_write(int dev, const struct fuse_in_header *in)
{
	const struct fuse_write_in *arg = (const void *)(in + 1);
	struct fuse_write_out out = { .size = arg->size };

	if (arg->offset + arg->size > BYTES) {
		reply(dev, in->unique, -EFBIG, NULL, 0);
		return;
	}
	memcpy(shared->data + arg->offset, arg + 1, arg->size);
	reply(dev, in->unique, 0, &out, sizeof(out));
}

static void do_fallocate(int dev, const struct fuse_in_header *in)
{
	const struct fuse_fallocate_in *arg = (const void *)(in + 1);
	int answer = __atomic_load_n(&shared->answer, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&shared->asked, 1, __ATOMIC_SEQ_CST);
	if (answer == SILENT)
		return;
	if (answer == AGREES && !(arg->mode & FALLOC_FL_KEEP_SIZE) &&
	    shared->size < arg->offset + arg->length)
		shared->size = arg->offset + arg->length;
	reply(dev, in->unique, answer == AGREES ? 0 : answer, NULL, 0);
}

static void serve_one(int dev, const struct fuse_in_header *in)
{
	struct fuse_open_out opened = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		do_init(dev, in);
		break;
	case FUSE_LOOKUP:
		do_lookup(dev, in);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		do_getattr(dev, in);
		break;
	case FUSE_OPEN:
		reply(dev, in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		do_read(dev, in);
		break;
	case FUSE_WRITE:
		do_write(dev, in);
		break;
	case FUSE_FALLOCATE:
		do_fallocate(dev, in);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_FSYNC:
		reply(dev, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(dev, in->unique, -ENOSYS, NULL, 0);
	}
}

/* The process that is the file system; it ends when it is unmounted. */
static void serve(int dev)
{
	char *in = malloc(MESSAGE);

	while (in) {
		ssize_t n = read(dev, in, MESSAGE);

		if (n > 0)
			serve_one(dev, (const void *)in);
		else if (errno != EINTR && errno != ENOENT)
			break;
	}
	_exit(0);
}

FIXTURE(fuse)
{
	int dev;
	int file;
	pid_t daemon;
};

FIXTURE_SETUP(fuse)
{
	int conn = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char opts[128];

	if (conn < 0)
		SKIP(return, "the kernel has no FUSE");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	shared->answer = AGREES;
	mkdir(DIR, 0755);
	snprintf(opts, sizeof(opts),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", conn);
	ASSERT_EQ(0, mount("tmk", DIR, "fuse", 0, opts));
	self->daemon = fork();
	if (!self->daemon)
		serve(conn);
	close(conn);
	ASSERT_GT(self->daemon, 0);
	self->dev = device_open();
	self->file = open(DIR "/data", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->file, 0);
	EXPECT_TRUE(settles(0));
}

FIXTURE_TEARDOWN(fuse)
{
	int i;

	EXPECT_TRUE(settles(0));
	close(self->file);
	close(self->dev);
	for (i = 0; i < 100 && umount(DIR); i++)
		sleep_ms(10);
	/* Nothing of ours holds it. */
	EXPECT_LT(i, 100);
	kill(self->daemon, SIGKILL);
	waitpid(self->daemon, NULL, 0);
	munmap(shared, sizeof(*shared));
}

static int create_over(int dev, int file)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_FILE, BYTES);

	c.backing_fd = file;
	return create(dev, &c);
}

static void answer(int how)
{
	__atomic_store_n(&shared->answer, how, __ATOMIC_SEQ_CST);
}

TEST_F(fuse, agrees)
{
	int fd = create_over(self->dev, self->file);
	char *p;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(BYTES, shared->size);
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(0, machine("physical_current"));
	shared->data[5] = 42;
	p = map(fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(42, p[5]);
	p[BYTES - 1] = 43;
	EXPECT_EQ(0, msync(p, BYTES, MS_SYNC));
	EXPECT_EQ(43, shared->data[BYTES - 1]);
	close(fd);
	EXPECT_EQ(BYTES, machine("current"));
	munmap(p, BYTES);
}

/* Whatever it answers is what the caller is told, and no code of the kernel's. */
TEST_F(fuse, refuses)
{
	static const int errors[] = { EIO, ENOSPC, EINTR, EAGAIN, EPERM, EROFS };
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		answer(-errors[i]);
		test_err(errors[i], create_over(self->dev, self->file));
		EXPECT_EQ(0, shared->size);
		EXPECT_EQ(0, machine("current"));
	}
	/* Its word for "never heard of it" is remembered by the kernel. */
	answer(-ENOSYS);
	test_err(EOPNOTSUPP, create_over(self->dev, self->file));
	test_err(EOPNOTSUPP, create_over(self->dev, self->file));
	EXPECT_EQ(0, machine("current"));
}

/* A creation that hangs holds up nobody else, and ends with the daemon. */
TEST_F(fuse, says_nothing)
{
	pid_t stuck;
	int fd, i;

	answer(SILENT);
	stuck = fork();
	if (!stuck)
		_exit(create_over(self->dev, self->file) < 0 ? errno : 0);
	for (i = 0; i < 500 && !shared->asked; i++)
		sleep_ms(10);
	EXPECT_EQ(1, shared->asked);
	/* The charge is made before the file is asked, and visible. */
	EXPECT_EQ(BYTES, machine("current"));
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(BYTES + HUGE_BYTES, machine("current"));
	close(fd);
	EXPECT_EQ(0, cg_create("/fuse"));
	EXPECT_EQ(0, tmk_limit("/fuse", "max", "1M"));
	EXPECT_EQ(0, tmk_limit("/fuse", "max", "max"));
	EXPECT_EQ(0, cg_destroy("/fuse"));
	EXPECT_EQ(0, waitpid(stuck, NULL, WNOHANG));
	kill(self->daemon, SIGKILL);
	EXPECT_EQ(ECONNABORTED << 8, wait_status(stuck));
}

/* Killed meanwhile, it leaves as soon as it has an answer. */
TEST_F(fuse, killed_while_it_says_nothing)
{
	int status, i;
	pid_t stuck;

	answer(SILENT);
	stuck = fork();
	if (!stuck)
		_exit(create_over(self->dev, self->file) < 0 ? errno : 0);
	for (i = 0; i < 500 && !shared->asked; i++)
		sleep_ms(10);
	kill(stuck, SIGKILL);
	sleep_ms(100);
	kill(self->daemon, SIGKILL);
	ASSERT_EQ(stuck, waitpid(stuck, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
}

static sigjmp_buf fault_jump;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(fault_jump, 1);
}

static bool faults_at(volatile char *p)
{
	signal(SIGBUS, on_bus);
	if (sigsetjmp(fault_jump, 1))
		return true;
	(void)*p;
	return false;
}

TEST_F(fuse, dies_under_a_mapping)
{
	int fd = create_over(self->dev, self->file), status;
	char *p;

	ASSERT_GE(fd, 0);
	p = map(fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	p[0] = 1;
	kill(self->daemon, SIGKILL);
	ASSERT_EQ(self->daemon, waitpid(self->daemon, &status, 0));
	/* What is in RAM stays, what is not is lost; the charge is as it was. */
	EXPECT_FALSE(faults_at(p));
	EXPECT_TRUE(faults_at(p + BYTES - 1));
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(BYTES, region_info(fd).out_length);
	close(fd);
	munmap(p, BYTES);
}

TEST_HARNESS_MAIN
