/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The calls that the fuzzer's sequences are made of: a function and a row of
 * ops[] for each. The three numbers of a call choose among the descriptors and
 * mappings that the sequence has so far and among values that matter; a call
 * that makes no sense right now fails, and no call can harm the fuzzer itself.
 */
#ifndef TMK_FUZZ_CALLS_H
#define TMK_FUZZ_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/tmk.h>
#include <linux/userfaultfd.h>

#include "../../harness/fdpass.h"

#define SLOTS 8
#define PAGE 4096UL
#define MAP_BYTES (4UL << 20)

static int dev, fds[SLOTS];
static void *maps[SLOTS]; /* in the arena, or NULL */
static char *arena;

/* Sizes at which something changes, by @n. */
static uint64_t size_of(uint32_t n)
{
	static const uint64_t sizes[] = {
		4096,	    1,	   8192,      2 << 20,	  (2 << 20) + 1,
		4 << 20,    65536, 1 << 20,   0,	  1ULL << 40,
		1ULL << 63, ~0ULL, INT64_MAX, 1ULL << 30, 12288,
	};

	return sizes[n % (sizeof(sizes) / sizeof(sizes[0]))];
}

/* Everything is mapped in here, so that no call can hit the fuzzer itself. */
static char *place(uint32_t slot)
{
	return arena + slot % SLOTS * 2 * MAP_BYTES;
}

static void clear_place(uint32_t slot)
{
	if (mmap(place(slot), 2 * MAP_BYTES, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		_exit(1);
	maps[slot % SLOTS] = NULL;
}

static void put_fd(uint32_t slot, int fd)
{
	int *at = &fds[slot % SLOTS];

	if (fd < 0)
		return;
	if (*at >= 0)
		close(*at);
	*at = fd;
}

static int get_fd(uint32_t slot)
{
	return slot % 16 == 15 ? dev : fds[slot % SLOTS];
}

static long do_create(const uint32_t *a)
{
	struct tmk_ioc_region_create c = {
		.size = sizeof(c),
		.kind = a[0] % 6,
		.length = size_of(a[1]),
		.flags = a[2] % 4,
		.node = (int)(a[2] >> 2) % 3 - 1,
		.backing_fd = c.kind == TMK_IOC_KIND_FILE ? get_fd(a[2]) : -1,
		.name = "fuzz",
	};
	long rc;

	if (a[2] % 31 == 30)
		c.page_size = size_of(a[2] >> 8);
	if (a[2] % 61 == 60)
		((unsigned char *)&c)[(a[2] >> 8) % sizeof(c)] = a[2] >> 16;
	rc = ioctl(dev, TMK_IOC_REGION_CREATE, &c);
	if (!rc)
		put_fd(a[0] >> 8, c.out_fd);
	return rc;
}

static long do_region_info(const uint32_t *a)
{
	struct tmk_ioc_region_info c = { .size = sizeof(c) };

	return ioctl(get_fd(a[0]), TMK_IOC_REGION_INFO, &c);
}

static long do_usage(const uint32_t *a)
{
	struct tmk_ioc_usage c = { .size = sizeof(c), .flags = a[0] % 8 == 7 };

	return ioctl(dev, TMK_IOC_USAGE, &c);
}

static long do_info(const uint32_t *a)
{
	struct tmk_ioc_info c = { .size = sizeof(c), .flags = a[0] % 8 == 7 };

	return ioctl(dev, TMK_IOC_INFO, &c);
}

static long do_trim(const uint32_t *a)
{
	struct tmk_ioc_region_trim c = { .size = sizeof(c),
					 .offset = size_of(a[1]),
					 .length = size_of(a[2]) };

	if (a[1] % 3)
		c.offset = 0;
	return ioctl(get_fd(a[0]), TMK_IOC_REGION_TRIM, &c);
}

static long do_dmabuf(const uint32_t *a)
{
	struct tmk_ioc_region_dmabuf c = { .size = sizeof(c) };
	long rc = ioctl(get_fd(a[0]), TMK_IOC_REGION_DMABUF, &c);

	if (!rc)
		put_fd(a[1], c.out_fd);
	return rc;
}

/* Any number of a command, any bytes. */
static long do_ioctl(const uint32_t *a)
{
	uint32_t buf[128];
	size_t i;

	memset(buf, 0, sizeof(buf));
	for (i = 1; i < 128 && a[2] % 2; i++)
		buf[i] = a[2] * (uint32_t)i;
	buf[0] = a[1] % 5 ? a[1] % 512 : a[1];
	return ioctl(get_fd(a[0]),
		     _IO(TMK_IOC_TYPE, TMK_IOC_NR_BASE + a[1] % 9),
		     a[2] % 17 == 16 ? (void *)16 : buf);
}

static long do_mmap(const uint32_t *a)
{
	int prot = a[1] % 8;
	int flags = a[1] & 64 ? MAP_PRIVATE : MAP_SHARED;
	size_t len = size_of(a[2]) % MAP_BYTES + 1;
	off_t off = a[1] & 128 ? (off_t)(size_of(a[1] >> 8) & ~(PAGE - 1)) : 0;
	void *p;

	if (a[1] & 512)
		flags |= MAP_POPULATE;
	p = mmap(place(a[0] >> 8), len, prot, flags | MAP_FIXED, get_fd(a[0]),
		 off);
	if (p == MAP_FAILED)
		return -1;
	maps[(a[0] >> 8) % SLOTS] = p;
	return 0;
}

/* Reads or writes through system calls, which survive what is not mapped. */
static long do_touch(const uint32_t *a)
{
	static int zero = -1;
	char *p = maps[a[0] % SLOTS];

	if (zero < 0)
		zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (!p)
		return -1;
	p += (a[1] % (MAP_BYTES / PAGE)) * PAGE;
	return a[2] & 1 ? read(zero, p, 64) : write(zero, p, 64);
}

static long do_munmap(const uint32_t *a)
{
	char *p = maps[a[0] % SLOTS];

	if (!p)
		return -1;
	if (a[1] & 1) {
		clear_place(a[0]);
		return 0;
	}
	return munmap(p, (a[1] % 8 + 1) * PAGE);
}

static long do_mremap(const uint32_t *a)
{
	void *p = maps[a[0] % SLOTS];
	void *q;
	uint32_t to = a[0] % SLOTS + 1 + (a[2] >> 16) % (SLOTS - 1);

	if (!p)
		return -1;
	q = mremap(p, (a[1] % 600 + 1) * PAGE, (a[2] % 600 + 1) * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, place(to));
	if (q == MAP_FAILED)
		return -1;
	maps[to % SLOTS] = q;
	return 0;
}

static long do_madvise(const uint32_t *a)
{
	/* Not the numbers from 100 on, which poison memory for good. */
	return madvise(maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE,
		       (int)(a[2] % 26));
}

static long do_mprotect(const uint32_t *a)
{
	return mprotect(maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE,
			(int)(a[2] % 8));
}

static long do_mlock(const uint32_t *a)
{
	void *p = maps[a[0] % SLOTS];
	size_t len = (a[1] % 600 + 1) * PAGE;

	return a[2] & 1 ? mlock(p, len) : munlock(p, len);
}

static long do_fork(const uint32_t *a)
{
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (!pid) {
		do_touch(a);
		do_region_info(a);
		_exit(0);
	}
	if (a[2] & 2)
		kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static long do_close(const uint32_t *a)
{
	int *at = &fds[a[0] % SLOTS];
	int fd = *at;

	*at = -1;
	return close(fd);
}

static long do_dup(const uint32_t *a)
{
	int fd = dup(get_fd(a[0]));

	put_fd(a[1], fd);
	return fd;
}

static long do_reopen(const uint32_t *a)
{
	static const int modes[] = { O_RDWR, O_RDONLY, O_WRONLY, O_PATH,
				     O_RDWR | O_TRUNC };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", get_fd(a[0]));
	fd = open(path, modes[a[2] % 5] | O_CLOEXEC);
	put_fd(a[1], fd);
	return fd;
}

/* Through a socket, once or left in it until the socket goes. */
static long do_pass(const uint32_t *a)
{
	int pair[2], fd = a[2] & 4 ? -1 : get_fd(a[0]);
	long rc;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	if (fd < 0)
		fd = pair[1]; /* a cycle */
	rc = fd_send(pair[0], fd, MSG_DONTWAIT);
	if (!rc && a[2] & 1) {
		fd = fd_receive(pair[1], MSG_DONTWAIT);
		if (fd >= 0)
			put_fd(a[1], fd);
	}
	close(pair[0]);
	close(pair[1]);
	return rc;
}

static long do_file(const uint32_t *a)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 && ftruncate(fd, (off_t)(size_of(a[1]) % MAP_BYTES)))
		return -1;
	put_fd(a[0], fd);
	return fd;
}

static long do_file_calls(const uint32_t *a)
{
	char buf[256] = "";
	int fd = get_fd(a[0]);

	switch (a[1] % 6) {
	case 0:
		return pread(fd, buf, sizeof(buf), a[2]);
	case 1:
		return pwrite(fd, buf, 1, a[2]);
	case 2:
		return ftruncate(fd, (off_t)size_of(a[2]));
	case 3:
		return fallocate(fd, (int)(a[2] % 4), 0, PAGE);
	case 4:
		return fcntl(fd, F_ADD_SEALS, a[2] % 32);
	default:
		snprintf(buf, sizeof(buf), "/proc/self/fdinfo/%d", fd);
		fd = open(buf, O_RDONLY | O_CLOEXEC);
		read(fd, buf, sizeof(buf)) < 0 ? errno : 0;
		return close(fd);
	}
}

static long do_sysfs(const uint32_t *a)
{
	static const char *const files[] = { "control",
					     "max",
					     "physical_max",
					     "by_kind",
					     "current",
					     "events",
					     "peak",
					     "physical_current",
					     "cgroups/1/max",
					     "pool/target",
					     "pool/share",
					     "pool/state",
					     "pool/min_available",
					     "physical_peak",
					     "owner",
					     "events.local" };
	static const char *const texts[] = {
		"max",	       "1G", "/ max=64M", "/ max=max", "/ a=b", "junk",
		"/none max=1", "",   "/ owner=7", "8M",	       "0",	"50"
	};
	char path[128], buf[512];
	const char *text = texts[a[1] % 12];
	long rc;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/tmk/%s", files[a[0] % 16]);
	fd = open(path, (a[2] & 1 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = a[2] & 1 ? write(fd, text, strlen(text)) :
			read(fd, buf, sizeof(buf));
	close(fd);
	return rc;
}

static long do_poll(const uint32_t *a)
{
	struct pollfd p = { .fd = get_fd(a[0]), .events = (short)a[1] };

	return poll(&p, 1, 0);
}

static long do_mbind(const uint32_t *a)
{
	unsigned long nodes = 1;

	return syscall(SYS_mbind, maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE,
		       a[2] % 6, a[2] & 64 ? NULL : &nodes, 64UL,
		       (a[2] >> 8) % 8);
}

static long do_advise_process(const uint32_t *a)
{
	struct iovec v = { maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE };
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long rc = syscall(SYS_process_madvise, fd, &v, 1, a[2] % 26, 0);

	close(fd);
	return rc;
}

/* From a mapping or a descriptor into a pipe, and away with it. */
static long do_splice(const uint32_t *a)
{
	struct iovec v = { maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE };
	loff_t from = (loff_t)(size_of(a[1]) % MAP_BYTES);
	int pipes[2];
	long rc;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -1;
	if (a[2] & 1)
		rc = vmsplice(pipes[1], &v, 1, a[2] & 2 ? SPLICE_F_GIFT : 0);
	else
		rc = splice(get_fd(a[0]), &from, pipes[1], NULL, MAP_BYTES,
			    SPLICE_F_NONBLOCK);
	/* Back into whatever the region's own descriptor makes of it. */
	if (a[2] & 4)
		splice(pipes[0], NULL, get_fd(a[0]), &from, PAGE,
		       SPLICE_F_NONBLOCK);
	close(pipes[0]);
	close(pipes[1]);
	return rc;
}

/*
 * Registered, filled or continued, and let go within the call: nobody waits for
 * an answer that does not come.
 */
static long do_userfault(const uint32_t *a)
{
	static char source[4 * PAGE] __attribute__((aligned(4096)));
	uint64_t at = (uint64_t)maps[a[0] % SLOTS];
	uint64_t len = (a[1] % 600 + 1) * PAGE;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { { at, len }, a[2] % 8, 0 };
	struct uffdio_copy copy = { at, (uint64_t)source, PAGE, 0, 0 };
	struct uffdio_zeropage zero = { { at, len }, 0, 0 };
	struct uffdio_continue more = { { at, len }, 0, 0 };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	long rc = -1;

	api.features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
	if (fd < 0)
		return -1;
	if (!ioctl(fd, UFFDIO_API, &api))
		rc = ioctl(fd, UFFDIO_REGISTER, &reg);
	switch (a[2] >> 8 & 3) {
	case 0:
		ioctl(fd, UFFDIO_COPY, &copy);
		break;
	case 1:
		ioctl(fd, UFFDIO_ZEROPAGE, &zero);
		break;
	case 2:
		ioctl(fd, UFFDIO_CONTINUE, &more);
		break;
	default:
		madvise((void *)at, len, MADV_DONTNEED);
		ioctl(fd, UFFDIO_UNREGISTER, &reg.range);
	}
	close(fd);
	return rc;
}

static const struct op {
	const char *name;
	long (*run)(const uint32_t *arg);
} ops[] = {
	{ "create", do_create },
	{ "region_info", do_region_info },
	{ "usage", do_usage },
	{ "info", do_info },
	{ "trim", do_trim },
	{ "dmabuf", do_dmabuf },
	{ "ioctl", do_ioctl },
	{ "mmap", do_mmap },
	{ "touch", do_touch },
	{ "munmap", do_munmap },
	{ "mremap", do_mremap },
	{ "madvise", do_madvise },
	{ "mprotect", do_mprotect },
	{ "mlock", do_mlock },
	{ "fork", do_fork },
	{ "close", do_close },
	{ "dup", do_dup },
	{ "reopen", do_reopen },
	{ "pass", do_pass },
	{ "file", do_file },
	{ "file_calls", do_file_calls },
	{ "sysfs", do_sysfs },
	{ "poll", do_poll },
	{ "mbind", do_mbind },
	{ "advise_process", do_advise_process },
	{ "splice", do_splice },
	{ "userfault", do_userfault },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

#endif /* TMK_FUZZ_CALLS_H */
