// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Smallest regions made and let go by one processor and by two at once, in one
 * group and in two. Prints one JSON object.
 *
 * Counting instructions makes a guest run one processor at a time, so this goes by
 * the clock and wants a guest with two processors and a machine with two to spare.
 * What two gain over one says something only beside the same of a memfd with a page,
 * which the kernel makes and drops without tmk. The best of several rounds counts.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_util.h"

#define ROUNDS 7
#define ROUND_NS 400000000LL

/* Where the processes of a round report, and when they begin. */
struct board {
	volatile int ready;
	volatile int go;
	volatile long done[2];
};

static long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void make_region(int dev)
{
	close(region_create(dev));
}

static void make_memfd(int dev)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	(void)dev;
	if (fd < 0 || fallocate(fd, 0, 0, PAGE_BYTES))
		die("memfd");
	close(fd);
}

static const struct {
	const char *name;
	void (*make)(int dev);
	bool apart;
} ways[] = {
	{ "tmk region, one group", make_region, false },
	{ "tmk region, two groups", make_region, true },
	{ "memfd, one group", make_memfd, false },
	{ "memfd, two groups", make_memfd, true },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void work(struct board *b, size_t way, int me)
{
	int dev = device_open();
	long long end;
	cpu_set_t cpus;
	long n = 0;
	int i;

	CPU_ZERO(&cpus);
	CPU_SET(me, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");
	cgroup_enter(ways[way].apart && me ? "/two" : "/one");
	/* Keeps the group, which would come and go with each region otherwise. */
	region_create(dev);
	__atomic_add_fetch(&b->ready, 1, __ATOMIC_SEQ_CST);
	while (!b->go)
		sched_yield();
	end = clock_ns() + ROUND_NS;
	while (clock_ns() < end)
		for (i = 0; i < 8; i++, n++)
			ways[way].make(dev);
	b->done[me] = n;
	_exit(0);
}

/* Return: how many all of them made in a second. */
static double run_round(struct board *b, size_t way, int nr)
{
	int i, status, failed = 0;

	memset((void *)b, 0, sizeof(*b));
	for (i = 0; i < nr; i++)
		if (!fork())
			work(b, way, i);
	while (b->ready < nr)
		usleep(1000);
	b->go = 1;
	for (i = 0; i < nr; i++)
		if (wait(&status) < 0 || status)
			failed++;
	if (failed)
		exit(1);
	return (double)(b->done[0] + b->done[1]) * 1e9 / ROUND_NS;
}

int main(void)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double best[WAYS][2] = { 0 };
	int round, nr;
	size_t way;

	if (b == MAP_FAILED)
		die("mmap");
	cgroup_make("/one");
	cgroup_make("/two");
	for (round = 0; round < ROUNDS; round++)
		for (way = 0; way < WAYS; way++)
			for (nr = 0; nr < 2; nr++) {
				double got = run_round(b, way, nr + 1);

				if (got > best[way][nr])
					best[way][nr] = got;
			}
	printf("{\"rounds\": %d, \"ways\": [", ROUNDS);
	for (way = 0; way < WAYS; way++)
		printf("%s\n  {\"way\": \"%s\", \"one\": %.0f, \"two\": %.0f, \"gain\": %.2f}",
		       way ? "," : "", ways[way].name, best[way][0],
		       best[way][1], best[way][1] / best[way][0]);
	printf("\n]}\n");
	cgroup_remove("/one");
	cgroup_remove("/two");
	return 0;
}
