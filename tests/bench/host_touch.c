// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The first use of 1 GiB: had, one byte of each page written, and that is timed.
 * A huge region of tmk beside malloc(), and beside the fastest ways to have huge
 * pages of one's own. Prints one JSON object; decides nothing.
 *
 *	host_touch [ROUNDS [MIB]]
 *
 * The ways take turns in another order each round; before each the machine's free
 * memory is touched, because a virtual machine may have given it to its host.
 * hugetlb needs root, who reserves the pages here and gives them back; where they
 * cannot be had it is named in "missing".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/mman.h>

#include <tmk/tmk.h>

#include "host_util.h"

#define ROUNDS_MAX 31
#define NR_HUGEPAGES "/proc/sys/vm/nr_hugepages"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static size_t bytes;
static struct tmk_region *region;

static char *way_tmk(void)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;

	opts.kind = TMK_KIND_HUGE;
	if (tmk_region_create(&region, bytes, &opts)) {
		fprintf(stderr, "host_touch: %s\n", tmk_error_last());
		return NULL;
	}
	return tmk_region_data(region);
}

static void end_tmk(char *p)
{
	(void)p;
	tmk_region_put(region);
}

static char *way_malloc(void)
{
	return malloc(bytes);
}

static void end_malloc(char *p)
{
	free(p);
}

static char *map(int flags)
{
	char *p = mmap(NULL, bytes + 2 * MIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void end_map(char *p)
{
	munmap(p, bytes);
}

/* Huge pages want an address that they fit. */
static char *map_thp(void)
{
	char *p = map(0), *at;

	if (!p)
		return NULL;
	at = (char *)(((uintptr_t)p + 2 * MIB - 1) & ~(2 * MIB - 1));
	if (at > p)
		munmap(p, (size_t)(at - p));
	munmap(at + bytes, 2 * MIB - (size_t)(at - p));
	if (madvise(at, bytes, MADV_HUGEPAGE))
		perror("host_touch: MADV_HUGEPAGE");
	return at;
}

static char *way_thp_populate(void)
{
	char *p = map_thp();

	if (p && madvise(p, bytes, MADV_POPULATE_WRITE)) {
		end_map(p);
		return NULL;
	}
	return p;
}

static char *way_hugetlb(void)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static char *way_hugetlb_populate(void)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static const struct way {
	const char *name;
	char *(*have)(void);
	void (*end)(char *p);
	bool hugetlb;
} ways[] = {
	{ "tmk", way_tmk, end_tmk, false },
	{ "malloc", way_malloc, end_malloc, false },
	{ "thp", map_thp, end_map, false },
	{ "thp_populate", way_thp_populate, end_map, false },
	{ "hugetlb", way_hugetlb, end_map, true },
	{ "hugetlb_populate", way_hugetlb_populate, end_map, true },
};

static double times[NR(ways)][ROUNDS_MAX];
static size_t times_nr[NR(ways)];

/* How many huge pages there are; as many as @more of them more, if not 0. */
static long hugepages(long more)
{
	FILE *f = fopen(NR_HUGEPAGES, more ? "r+e" : "re");
	long nr = -1;

	if (!f || fscanf(f, "%ld", &nr) != 1)
		nr = -1;
	if (nr >= 0 && more) {
		rewind(f);
		fprintf(f, "%ld\n", nr + more);
	}
	if (f && fclose(f))
		nr = -1;
	return nr;
}

static void way_run(size_t nr)
{
	const struct way *way = &ways[nr];
	long pages = (long)(bytes / (2 * MIB)), had = 0;
	double begin;
	size_t at;
	char *p;

	prewarm();
	if (way->hugetlb) {
		had = hugepages(pages);
		if (had < 0)
			return;
	}
	begin = now();
	p = way->have();
	for (at = 0; p && at < bytes; at += 4096)
		*(volatile char *)(p + at) = 1;
	if (p)
		times[nr][times_nr[nr]++] = (now() - begin) / 1e6;
	if (p)
		way->end(p);
	if (way->hugetlb)
		hugepages(had - hugepages(0));
}

static void print_all(int rounds, double scale)
{
	double ms[NR(ways)], huge = 0;
	const char *comma = "";
	size_t i;

	printf("{\"benchmark\": \"host_touch\", \"rounds\": %d, \"mib\": %zu, \"missing\": [",
	       rounds, bytes / MIB);
	for (i = 0; i < NR(ways); i++) {
		ms[i] = times_nr[i] ? median(times[i], times_nr[i]) * scale : 0;
		if (ms[i] > 0)
			continue;
		printf("%s\"%s\"", comma, ways[i].name);
		comma = ", ";
	}
	printf("],\n \"ms_per_gib\": {");
	comma = "";
	for (i = 0; i < NR(ways); i++) {
		if (!(ms[i] > 0))
			continue;
		printf("%s\n  \"%s\": {\"median\": %.1f, \"least\": %.1f}",
		       comma, ways[i].name, ms[i], times[i][0] * scale);
		comma = ",";
		/* The best of what malloc() and tmk are not. */
		if (i > 1 && (!(huge > 0) || ms[i] < huge))
			huge = ms[i];
	}
	printf("},\n \"malloc_of_tmk\": %.3f, \"tmk_of_best_huge\": %.3f}\n",
	       ms[1] / ms[0], ms[0] / huge);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 7, round;
	size_t order[NR(ways)], i, k, other;

	bytes = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1024) * MIB &
		~(2 * MIB - 1);
	if (rounds < 1 || rounds > ROUNDS_MAX || !bytes)
		return 2;
	/* As it comes, whatever was freed before. */
	mallopt(M_MMAP_THRESHOLD, (int)MIB);
	for (i = 0; i < NR(ways); i++)
		order[i] = i;
	for (round = 0; round < rounds; round++) {
		for (i = NR(ways) - 1; i; i--) {
			k = (size_t)rand() % (i + 1);
			other = order[i];
			order[i] = order[k];
			order[k] = other;
		}
		for (i = 0; i < NR(ways); i++)
			way_run(order[i]);
	}
	print_all(rounds, 1024.0 * (double)MIB / (double)bytes);
	return 0;
}
