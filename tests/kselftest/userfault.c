// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * userfaultfd: whoever handles the faults on a region sees what is there and
 * cannot put anything else in its place; and a command whose structure lies in
 * memory that somebody is slow to provide holds up nobody but its caller.
 */
#include "cg_util.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>

#define BYTES HUGE_BYTES
#define SOON 5000 /* milliseconds, and as many more as the machine is slow */

/* Shared memory can be write-protected since Linux 5.19. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

static int userfault_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int watch(int uffd, void *at, size_t bytes, uint64_t mode)
{
	struct uffdio_register reg = { { (uintptr_t)at, bytes }, mode, 0 };

	return ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static int protect(int uffd, void *at, size_t bytes, bool on)
{
	struct uffdio_writeprotect wp = { { (uintptr_t)at, bytes },
					  on ? UFFDIO_WRITEPROTECT_MODE_WP :
					       0 };

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

/* The address of the next fault, without its place in the page. */
static char *fault_wait(int uffd)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&p, 1, SOON * (int)tap_slow()) != 1 ||
	    read(uffd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		return NULL;
	return (char *)(uintptr_t)(msg.arg.pagefault.address &
				   ~(PAGE_BYTES - 1));
}

static bool nothing_waits(int uffd)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };

	return poll(&p, 1, 100) == 0;
}

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i / PAGE_BYTES * 7 + 3);
}

FIXTURE(userfault)
{
	int dev;
	int fd;
	char *p;
};

FIXTURE_VARIANT(userfault)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(userfault, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(userfault, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_SETUP(userfault)
{
	int uffd = userfault_open(0);
	size_t i;

	if (uffd < 0)
		SKIP(return, "this kernel has no userfaultfd");
	close(uffd);
	ASSERT_TRUE(settles(0));
	self->dev = device_open();
	self->fd = create_simple(self->dev, variant->kind, BYTES);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	for (i = 0; i < BYTES; i += PAGE_BYTES)
		self->p[i] = (char)pattern(i);
}

static size_t wrong_pages(const char *p)
{
	size_t i, wrong = 0;

	for (i = 0; i < BYTES; i += PAGE_BYTES)
		wrong += (unsigned char)p[i] != pattern(i);
	return wrong;
}

FIXTURE_TEARDOWN(userfault)
{
	EXPECT_EQ(0, wrong_pages(self->p));
	EXPECT_EQ(BYTES, region_info(self->fd).out_physical);
	EXPECT_EQ(BYTES, machine("physical_current"));
	munmap(self->p, BYTES);
	close(self->fd);
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

/* There is nothing that could be missing, and nothing to be put there. */
TEST_F(userfault, nothing_is_missing)
{
	static char junk[PAGE_BYTES] __attribute__((aligned(4096)));
	struct uffdio_copy copy = { .dst = (uintptr_t)self->p,
				    .src = (uintptr_t)junk,
				    .len = PAGE_BYTES };
	struct uffdio_zeropage zero = { .range = { (uintptr_t)self->p,
						   PAGE_BYTES } };
	int uffd = userfault_open(UFFD_FEATURE_MISSING_SHMEM);

	ASSERT_GE(uffd, 0);
	memset(junk, 0xee, sizeof(junk));
	ASSERT_EQ(0, watch(uffd, self->p, BYTES, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, madvise(self->p, BYTES, MADV_DONTNEED));
	test_err(EEXIST, ioctl(uffd, UFFDIO_COPY, &copy));
	test_err(EEXIST, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	EXPECT_EQ(0, wrong_pages(self->p));
	EXPECT_TRUE(nothing_waits(uffd));
	close(uffd);
}

/* Somebody who reads or writes a page meanwhile. */
struct toucher {
	char *at;
	bool write;
	unsigned char seen;
	pthread_t thread;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;

	t->seen = *(volatile unsigned char *)t->at;
	if (t->write)
		*(volatile char *)t->at = (char)t->seen;
	return NULL;
}

TEST_F(userfault, a_fault_waits_until_it_may_go_on)
{
	struct toucher t = { .at = self->p + 3 * PAGE_BYTES };
	struct uffdio_continue more = { .range = { (uintptr_t)t.at,
						   PAGE_BYTES } };
	int uffd = userfault_open(UFFD_FEATURE_MINOR_SHMEM);

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(0, watch(uffd, self->p, BYTES, UFFDIO_REGISTER_MODE_MINOR));
	ASSERT_EQ(0, madvise(self->p, BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, touch, &t));
	EXPECT_EQ((uintptr_t)t.at, (uintptr_t)fault_wait(uffd));
	EXPECT_EQ(0, t.seen);
	/* Nobody else has to wait for that. */
	EXPECT_EQ(BYTES, region_info(self->fd).out_length);
	EXPECT_EQ(0, ioctl(uffd, UFFDIO_CONTINUE, &more));
	ASSERT_EQ(0, pthread_join(t.thread, NULL));
	EXPECT_EQ(pattern(3 * PAGE_BYTES), t.seen);
	/* Closing lets go of whoever waits. */
	t.at = self->p + 9 * PAGE_BYTES;
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, touch, &t));
	EXPECT_EQ((uintptr_t)t.at, (uintptr_t)fault_wait(uffd));
	close(uffd);
	ASSERT_EQ(0, pthread_join(t.thread, NULL));
	EXPECT_EQ(pattern(9 * PAGE_BYTES), t.seen);
}

TEST_F(userfault, a_write_waits_until_it_is_allowed)
{
	struct toucher t = { .at = self->p + 5 * PAGE_BYTES, .write = true };
	int uffd = userfault_open(UFFD_FEATURE_WP_HUGETLBFS_SHMEM);

	if (uffd < 0)
		SKIP(return, "this kernel protects no shared memory");
	ASSERT_EQ(0, watch(uffd, self->p, BYTES, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, protect(uffd, self->p, BYTES, true));
	EXPECT_EQ(0, wrong_pages(self->p));
	EXPECT_TRUE(nothing_waits(uffd));
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, touch, &t));
	EXPECT_EQ((uintptr_t)t.at, (uintptr_t)fault_wait(uffd));
	EXPECT_EQ(0, protect(uffd, self->p, BYTES, false));
	ASSERT_EQ(0, pthread_join(t.thread, NULL));
	close(uffd);
}

/* Where faults have to ask for a charge nobody may answer them instead. */
TEST_F(userfault, not_where_faults_are_ours)
{
	static const uint64_t modes[] = { UFFDIO_REGISTER_MODE_MISSING,
					  UFFDIO_REGISTER_MODE_MINOR };
	struct tmk_ioc_region_create c = create_cmd(variant->kind, BYTES);
	int uffd = userfault_open(UFFD_FEATURE_MISSING_SHMEM |
				  UFFD_FEATURE_MINOR_SHMEM);
	int fd, file, memfd = (int)syscall(SYS_memfd_create, "u", 0);
	size_t i;
	char *p, *q;

	ASSERT_GE(uffd, 0);
	c.flags = TMK_IOC_REGION_F_TRIM;
	fd = create(self->dev, &c);
	c = create_cmd(TMK_IOC_KIND_FILE, BYTES);
	c.backing_fd = memfd;
	file = create(self->dev, &c);
	p = map(fd, BYTES);
	q = map(file, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	for (i = 0; i < 2; i++) {
		test_err(EINVAL, watch(uffd, p, BYTES, modes[i]));
		test_err(EINVAL, watch(uffd, q, BYTES, modes[i]));
	}
	munmap(p, BYTES);
	munmap(q, BYTES);
	close(fd);
	close(file);
	close(memfd);
	close(uffd);
	/* They are gone before the region that the fixture has is looked at. */
	EXPECT_TRUE(settles(BYTES));
}

/* A command that waits for its answer to be taken. */
struct caller {
	int fd;
	unsigned long nr;
	void *cmd;
	int rc;
	pthread_t thread;
};

static void *issue(void *arg)
{
	struct caller *c = arg;

	c->rc = ioctl(c->fd, c->nr, c->cmd) ? errno : 0;
	return NULL;
}

/* The others go on: the region, its mapping, its group, sysfs. */
static void others_go_on(int dev, int fd, const char *p, unsigned int kind)
{
	struct tmk_ioc_usage usage = { .size = sizeof(usage) };
	int other;

	EXPECT_EQ(BYTES, region_info(fd).out_length);
	EXPECT_EQ(0, wrong_pages(p));
	EXPECT_EQ(0, ioctl(dev, TMK_IOC_USAGE, &usage));
	EXPECT_LE(BYTES, usage.out_current);
	other = create_simple(dev, kind, BYTES);
	EXPECT_GE(other, 0);
	close(other);
	EXPECT_EQ(0, cg_create("/userfault"));
	EXPECT_EQ(0, tmk_limit("/userfault", "max", "1M"));
	EXPECT_EQ(0, tmk_limit("/userfault", "max", "max"));
	EXPECT_EQ(0, cg_destroy("/userfault"));
}

/* A page of the caller's that takes no answer yet; the command is in it. */
static void *slow_page(int uffd, const void *cmd, size_t bytes)
{
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	memcpy(page, cmd, bytes);
	if (watch(uffd, page, PAGE_BYTES, UFFDIO_REGISTER_MODE_WP) ||
	    protect(uffd, page, PAGE_BYTES, true))
		return NULL;
	return page;
}

TEST_F(userfault, an_answer_that_waits_holds_up_nobody)
{
	struct tmk_ioc_region_create create =
		create_cmd(variant->kind, PAGE_BYTES);
	struct tmk_ioc_region_info info = { .size = sizeof(info) };
	struct tmk_ioc_region_dmabuf dmabuf = { .size = sizeof(dmabuf) };
	struct tmk_ioc_region_readonly ro = { .size = sizeof(ro) };
	struct tmk_ioc_region_seal seal = { .size = sizeof(seal) };
	struct tmk_ioc_usage usage = { .size = sizeof(usage) };
	const struct {
		unsigned long nr;
		const void *cmd;
		size_t bytes;
		bool on_device;
		size_t out_fd; /* where its descriptor is, 0: it has none */
	} commands[] = {
		{ TMK_IOC_REGION_CREATE, &create, sizeof(create), true,
		  offsetof(struct tmk_ioc_region_create, out_fd) },
		{ TMK_IOC_USAGE, &usage, sizeof(usage), true, 0 },
		{ TMK_IOC_REGION_INFO, &info, sizeof(info), false, 0 },
		{ TMK_IOC_REGION_DMABUF, &dmabuf, sizeof(dmabuf), false,
		  offsetof(struct tmk_ioc_region_dmabuf, out_fd) },
		{ TMK_IOC_REGION_READONLY, &ro, sizeof(ro), false,
		  offsetof(struct tmk_ioc_region_readonly, out_fd) },
		{ TMK_IOC_REGION_SEAL, &seal, sizeof(seal), false, 0 },
	};
	int uffd = userfault_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP), fd;
	size_t i;

	ASSERT_GE(uffd, 0);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct caller c = { .nr = commands[i].nr };

		c.fd = commands[i].on_device ? self->dev : self->fd;
		c.cmd = slow_page(uffd, commands[i].cmd, commands[i].bytes);
		ASSERT_TRUE(c.cmd);
		ASSERT_EQ(0, pthread_create(&c.thread, NULL, issue, &c));
		EXPECT_EQ((uintptr_t)c.cmd, (uintptr_t)fault_wait(uffd));
		others_go_on(self->dev, self->fd, self->p, variant->kind);
		EXPECT_EQ(0, protect(uffd, c.cmd, PAGE_BYTES, false));
		ASSERT_EQ(0, pthread_join(c.thread, NULL));
		EXPECT_EQ(0, c.rc);
		if (commands[i].out_fd) {
			memcpy(&fd, (char *)c.cmd + commands[i].out_fd,
			       sizeof(fd));
			EXPECT_EQ(0, close(fd));
		}
		munmap(c.cmd, PAGE_BYTES);
	}
	close(uffd);
	EXPECT_TRUE(settles(BYTES));
}

/* Killed while it waits, it has got nothing. */
TEST_F(userfault, killed_before_the_answer)
{
	struct tmk_ioc_region_create c = create_cmd(variant->kind, BYTES);
	pid_t pid = fork();
	int i;

	if (!pid) {
		int uffd = userfault_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
		void *cmd = slow_page(uffd, &c, sizeof(c));

		if (cmd)
			ioctl(self->dev, TMK_IOC_REGION_CREATE, cmd);
		_exit(1);
	}
	for (i = 0; i < 500 && machine("current") != 2 * BYTES; i++)
		sleep_ms(10);
	EXPECT_EQ(2 * BYTES, machine("current"));
	sleep_ms(50);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	EXPECT_EQ(SIGKILL, wait_status(pid));
	EXPECT_TRUE(settles(BYTES));
}

TEST_HARNESS_MAIN
