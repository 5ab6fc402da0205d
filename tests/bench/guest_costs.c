// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * What single commands of the module cost: a smallest region made and let go at
 * several depths of cgroups, asking, reading sysfs. Prints one JSON object.
 *
 * For a guest whose time-stamp counter counts instructions. The median of single
 * runs leaves out interrupts and what is put off to later; the mean of all has
 * both. What a charge and its return cost is told twice: by a command that is refused
 * right after its charge less one that is refused right before, which has the region's
 * own coming and going in it as well; and by what a level of cgroups adds, since all of
 * it is done level by level, the machine's own being one more.
 *
 * Only the first level has the memory controller, so deeper ones differ by tmk's
 * work alone. A region is held in the group meanwhile; without one the group's own
 * coming and going is paid for as well, which is measured on its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "guest_util.h"

#define WARM 64
#define RUNS 1001
#define DEPTH_MAX 16
#define NO_FD 1000

struct cost {
	long long median;
	long long mean;
};

/**
 * struct subject - what the operations work on
 * @dev: the device
 * @region: a region
 * @file: an open file of sysfs
 * @path: its path
 */
struct subject {
	int dev;
	int region;
	int file;
	char path[PATH_MAX];
};

static int by_size(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static struct cost measure(void (*op)(struct subject *s), struct subject *s)
{
	static long long runs[RUNS];
	struct cost cost = { 0 };
	long long begin;
	int i;

	for (i = 0; i < WARM; i++)
		op(s);
	for (i = 0; i < RUNS; i++) {
		begin = now();
		op(s);
		runs[i] = now() - begin;
		cost.mean += runs[i];
	}
	cost.mean /= RUNS;
	qsort(runs, RUNS, sizeof(runs[0]), by_size);
	cost.median = runs[RUNS / 2];
	return cost;
}

static void op_syscall(struct subject *s)
{
	(void)s;
	getppid();
}

static void op_region(struct subject *s)
{
	close(region_create(s->dev));
}

static void op_memfd(struct subject *s)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	(void)s;
	if (fd < 0 || fallocate(fd, 0, 0, PAGE_BYTES))
		die("memfd");
	close(fd);
}

/* Charged and refused at once: by a file that is not there. */
static void op_charge(struct subject *s)
{
	struct tmk_ioc_region_create cmd = {
		.size = sizeof(cmd),
		.length = PAGE_BYTES,
		.kind = TMK_IOC_KIND_FILE,
		.node = TMK_IOC_NODE_ANY,
		.backing_fd = NO_FD,
	};

	if (!ioctl(s->dev, TMK_IOC_REGION_CREATE, &cmd) || errno != EBADF)
		die("TMK_IOC_REGION_CREATE");
}

/* The same, refused before it is charged. */
static void op_no_charge(struct subject *s)
{
	struct tmk_ioc_region_create cmd = {
		.size = sizeof(cmd),
		.length = PAGE_BYTES,
		.kind = TMK_IOC_KIND_FILE,
		.node = 0,
		.backing_fd = NO_FD,
	};

	if (!ioctl(s->dev, TMK_IOC_REGION_CREATE, &cmd) || errno != EOPNOTSUPP)
		die("TMK_IOC_REGION_CREATE");
}

static void op_info(struct subject *s)
{
	struct tmk_ioc_region_info cmd = { .size = sizeof(cmd) };

	if (ioctl(s->region, TMK_IOC_REGION_INFO, &cmd))
		die("TMK_IOC_REGION_INFO");
}

static void op_usage(struct subject *s)
{
	struct tmk_ioc_usage cmd = { .size = sizeof(cmd) };

	if (ioctl(s->dev, TMK_IOC_USAGE, &cmd))
		die("TMK_IOC_USAGE");
}

static void op_sysfs(struct subject *s)
{
	read_number(s->path);
}

static void op_pread(struct subject *s)
{
	char text[64];

	if (pread(s->file, text, sizeof(text), 0) <= 0)
		die(s->path);
}

static void print_cost(const char *name, struct cost c)
{
	printf(",\n  \"%s\": {\"median\": %lld, \"mean\": %lld}", name,
	       c.median, c.mean);
}

/* What a level adds between the depths of 1, 4 and 16. */
static void print_levels(const char *name, const struct cost *at)
{
	printf(",\n  \"%s\": {\"1_to_4\": %.1f, \"4_to_16\": %.1f}", name,
	       (double)(at[1].median - at[0].median) / 3,
	       (double)(at[2].median - at[1].median) / 12);
}

static void group_at(char *group, int depth)
{
	int i;

	group[0] = '\0';
	for (i = 0; i < depth; i++)
		strcat(group, "/d");
}

/* In the group of that depth: with nothing in it, then with a region held. */
static void measure_depth(struct subject *s, int depth, struct cost *kept,
			  struct cost *charge)
{
	struct cost none;
	char group[64], name[64];

	group_at(group, depth);
	cgroup_enter(group);
	snprintf(name, sizeof(name), "first_region_depth_%d", depth);
	print_cost(name, measure(op_region, s));
	s->region = region_create(s->dev);
	*kept = measure(op_region, s);
	snprintf(name, sizeof(name), "region_depth_%d", depth);
	print_cost(name, *kept);
	none = measure(op_no_charge, s);
	*charge = measure(op_charge, s);
	charge->median -= none.median;
	charge->mean -= none.mean;
	snprintf(name, sizeof(name), "charge_and_return_depth_%d", depth);
	print_cost(name, *charge);
	snprintf(name, sizeof(name), "usage_depth_%d", depth);
	print_cost(name, measure(op_usage, s));
	if (depth == 1) {
		print_cost("memfd_4k", measure(op_memfd, s));
		print_cost("region_info", measure(op_info, s));
		snprintf(s->path, sizeof(s->path),
			 SYSFS "/cgroups/%llu/current", cgroup_id(group));
		s->file = open(s->path, O_RDONLY | O_CLOEXEC);
		print_cost("sysfs_open_read_close", measure(op_sysfs, s));
		print_cost("sysfs_read", measure(op_pread, s));
		close(s->file);
	}
	close(s->region);
	cgroup_enter("");
}

int main(void)
{
	static const int depths[] = { 1, 4, DEPTH_MAX };
	struct subject s = { .dev = device_open() };
	struct cost kept[3], charge[3];
	char group[64];
	int i;

	for (i = 1; i <= DEPTH_MAX; i++) {
		group_at(group, i);
		cgroup_make(group);
	}
	printf("{\"runs\": %d", RUNS);
	print_cost("syscall", measure(op_syscall, &s));
	for (i = 0; i < 3; i++)
		measure_depth(&s, depths[i], &kept[i], &charge[i]);
	/* By difference, so that nothing but the levels is in it. */
	print_levels("per_level", kept);
	print_levels("charge_per_level", charge);
	printf("\n}\n");
	for (i = DEPTH_MAX; i > 0; i--) {
		group_at(group, i);
		cgroup_remove(group);
	}
	return 0;
}
