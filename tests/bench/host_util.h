/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the benchmarks of the host share: a clock, medians, and memory that is
 * here and not at the machine's host.
 */
#ifndef TMK_TESTS_BENCH_HOST_UTIL_H
#define TMK_TESTS_BENCH_HOST_UTIL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define NR(a) (sizeof(a) / sizeof((a)[0]))
#define MIB ((size_t)1 << 20)
#define UNUSED __attribute__((unused))

/* Nanoseconds. */
static UNUSED double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The same of this thread's work alone, whoever else wants the processor. */
static UNUSED double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static UNUSED int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The values are sorted by it: the least is values[0] afterwards. */
static UNUSED double median(double *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
}

/* A number of /proc/meminfo or of another such file, in bytes; 0 if not there. */
static UNUSED size_t proc_bytes(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	size_t kib = 0, len = strlen(name);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			kib = strtoull(line + len + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib << 10;
}

/*
 * A virtual machine gives free memory back to its host, and gets it again at a
 * fraction of the usual speed. Touch as much as is going to be used: 3 GiB, or a
 * quarter of what there is.
 */
static UNUSED void prewarm(void)
{
	size_t bytes = proc_bytes("/proc/meminfo", "MemAvailable") / 4;
	void *p;

	bytes = (bytes < 3072 * MIB ? bytes : 3072 * MIB) & ~(2 * MIB - 1);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	(void)madvise(p, bytes, MADV_HUGEPAGE);
	memset(p, 1, bytes);
	munmap(p, bytes);
}

#endif /* TMK_TESTS_BENCH_HOST_UTIL_H */
