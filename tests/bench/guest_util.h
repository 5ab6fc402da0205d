/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the benchmarks that run in a guest share: the counter of instructions,
 * files with a number, regions, cgroups. Whatever fails ends the program: half a
 * measurement is none.
 */
#ifndef TMK_BENCH_GUEST_UTIL_H
#define TMK_BENCH_GUEST_UTIL_H

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include <linux/tmk.h>

#define SYSFS "/sys/kernel/tmk"
#define CGROUPS "/sys/fs/cgroup"
#define PAGE_BYTES 4096

/* Instructions, if the guest's counter counts them; ticks otherwise. */
static inline long long now(void)
{
	return (long long)__rdtsc();
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static inline unsigned long long read_number(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n;

	if (fd < 0)
		die(path);
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		die(path);
	close(fd);
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

static inline int device_open(void)
{
	int dev = open("/dev/tmk", O_RDWR | O_CLOEXEC);

	if (dev < 0)
		die("/dev/tmk");
	return dev;
}

/* A region of one base page. */
static inline int region_create(int dev)
{
	struct tmk_ioc_region_create cmd = {
		.size = sizeof(cmd),
		.length = PAGE_BYTES,
		.kind = TMK_IOC_KIND_PINNED,
		.node = TMK_IOC_NODE_ANY,
		.backing_fd = -1,
	};

	if (ioctl(dev, TMK_IOC_REGION_CREATE, &cmd))
		die("TMK_IOC_REGION_CREATE");
	return cmd.out_fd;
}

/* @group begins with a slash; "" is the root. */
static inline void cgroup_make(const char *group)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), CGROUPS "%s", group);
	if (mkdir(path, 0755))
		die(path);
}

static inline void cgroup_remove(const char *group)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), CGROUPS "%s", group);
	if (rmdir(path))
		die(path);
}

static inline void cgroup_enter(const char *group)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), CGROUPS "%s/cgroup.procs", group);
	write_text(path, "0");
}

static inline unsigned long long cgroup_id(const char *group)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), CGROUPS "%s", group);
	if (stat(path, &st))
		die(path);
	return st.st_ino;
}

#endif /* TMK_BENCH_GUEST_UTIL_H */
