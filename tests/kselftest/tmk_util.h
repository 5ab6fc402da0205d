/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the kselftests of tmk share: commands, regions, faults, sysfs. A test
 * runs as root in a machine where nothing else uses tmk.
 */
#ifndef TMK_KSELFTEST_UTIL_H
#define TMK_KSELFTEST_UTIL_H

#include "tap.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

#include <linux/tmk.h>

#define MIB (1UL << 20)
#define HUGE_BYTES (2 * MIB)
#define PAGE_BYTES 4096UL
#define SYSFS "/sys/kernel/tmk"

#define test_err(expected, call)             \
	({                                   \
		errno = 0;                   \
		EXPECT_EQ(-1, (long)(call)); \
		EXPECT_EQ(expected, errno);  \
	})

static inline int device_open(void)
{
	return open("/dev/tmk", O_RDWR | O_CLOEXEC);
}

static inline struct tmk_ioc_region_create create_cmd(unsigned int kind,
						      uint64_t length)
{
	struct tmk_ioc_region_create cmd;

	memset(&cmd, 0, sizeof(cmd));
	cmd.size = sizeof(cmd);
	cmd.length = length;
	cmd.kind = kind;
	cmd.node = TMK_IOC_NODE_ANY;
	cmd.backing_fd = -1;
	return cmd;
}

/* A region's descriptor, or -1 with errno; @cmd has the details. */
static inline int create(int dev, struct tmk_ioc_region_create *cmd)
{
	if (ioctl(dev, TMK_IOC_REGION_CREATE, cmd))
		return -1;
	return cmd->out_fd;
}

static inline int create_simple(int dev, unsigned int kind, uint64_t length)
{
	struct tmk_ioc_region_create cmd = create_cmd(kind, length);

	return create(dev, &cmd);
}

static inline struct tmk_ioc_region_info region_info(int fd)
{
	struct tmk_ioc_region_info info = { .size = sizeof(info) };

	if (ioctl(fd, TMK_IOC_REGION_INFO, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

static inline void *map(int fd, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static inline long faults(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt + r.ru_majflt;
}

static inline int open_fds(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static inline ssize_t read_text(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	close(fd);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* 0 or a negative errno. */
static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* A number; ULLONG_MAX for "max"; -1 shifted if it cannot be read. */
static inline unsigned long long read_number(const char *path)
{
	char buf[64];

	if (read_text(path, buf, sizeof(buf)) <= 0)
		return ULLONG_MAX - 1;
	if (!strncmp(buf, "max", 3))
		return ULLONG_MAX;
	return strtoull(buf, NULL, 10);
}

static inline unsigned long long machine(const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), SYSFS "/%s", file);
	return read_number(path);
}

/* The value behind a key of a file with "key value" lines. */
static inline unsigned long long read_key(const char *path, const char *key)
{
	char buf[512], *at = buf;
	size_t len = strlen(key);

	if (read_text(path, buf, sizeof(buf)) <= 0)
		return ULLONG_MAX - 1;
	while (at) {
		if (!strncmp(at, key, len) && at[len] == ' ')
			return strtoull(at + len + 1, NULL, 10);
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return ULLONG_MAX - 1;
}

/* A size of /proc/meminfo ("MemFree:") in bytes, 0 if it is not there. */
static inline unsigned long meminfo(const char *key)
{
	char text[4096], *at;

	if (read_text("/proc/meminfo", text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, key);
	return at ? strtoul(at + strlen(key), NULL, 10) << 10 : 0;
}

/* Number of the page frame behind an address, 0 if it is not present. */
static inline uint64_t frame(const void *at)
{
	off_t offset = (off_t)((uintptr_t)at / PAGE_BYTES * sizeof(uint64_t));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), offset) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static inline void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/*
 * Charges of a process that died or of pages that were unpinned go a moment
 * later. True once the machine's current is @bytes.
 */
static inline bool settles(unsigned long long bytes)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (machine("current") == bytes &&
		    machine("physical_current") == bytes)
			return true;
		sleep_ms(10);
	}
	TH_LOG("current is %llu", machine("current"));
	return false;
}

static inline int wait_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}

/* One byte through a pipe: a handshake between processes. */
static inline void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		abort();
}

static inline bool hear(int fd)
{
	char c;

	return read(fd, &c, 1) == 1;
}

#endif /* TMK_KSELFTEST_UTIL_H */
