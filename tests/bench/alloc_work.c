// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * What host_alloc has each allocator do, in a process of its own. Prints a name
 * and a number a line.
 *
 *	alloc_work tmk|malloc TRACES WEIGHTS
 *	alloc_work --count tmk|malloc TRACES
 *	alloc_work --replay tmk|malloc TRACES TIMES
 *	alloc_work --alone tmk|malloc TRACES
 *
 * The second form is for a tracer that counts system calls: of each thing to be
 * counted it calls getppid(), does it, calls getppid() again, and prints what it
 * was and how many page faults it took. The third replays every trace so often,
 * for a program that counts instructions. The fourth times what one thread does and
 * takes a second, so that it may be run before all others on a busy machine:
 * chrt -f 50 taskset -c 1 alloc_work --alone ...
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc_work.h"

#define BLOCKS_MAX 131072

bool use_tmk;

static int replays; /* of each trace, when that is all */

void die(const char *what)
{
	fprintf(stderr, "alloc_work: %s: %s\n", what,
		use_tmk ? tmk_error_last() : strerror(errno));
	exit(1);
}

static uint64_t faults_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

/* --- one block at a time --- */

#define PAIRS_INLINE inline __attribute__((always_inline))

/* Not with get() and put(), which ask for each pair which allocator it is. */
static PAIRS_INLINE void pairs_tmk(size_t bytes, long n)
{
	while (n--) {
		void *p;

		if (tmk_alloc(&p, bytes, NULL))
			die("no memory");
		*(volatile char *)p = 1;
		if (tmk_free(p))
			die("cannot free");
	}
}

static PAIRS_INLINE void pairs_malloc(size_t bytes, long n)
{
	while (n--) {
		char *p = malloc(bytes);

		if (!p)
			die("no memory");
		*(volatile char *)p = 1;
		free(p);
	}
}

/*
 * So many bytes behind the beginning of a line of instructions: that decides about a
 * twentieth of what is measured here. So does where the stack lies, which depends on nothing
 * more than the length of the environment.
 */
#define PAIRS_AT(who, at)                                                    \
	static __attribute__((noinline,                                      \
			      aligned(64))) void who##_at_##at(size_t bytes, \
							       long n)       \
	{                                                                    \
		__asm__ volatile(".skip " #at ", 0x90");                     \
		pairs_##who(bytes, n);                                       \
	}
PAIRS_AT(tmk, 8)
PAIRS_AT(tmk, 24)
PAIRS_AT(tmk, 40)
PAIRS_AT(tmk, 56)
PAIRS_AT(malloc, 8)
PAIRS_AT(malloc, 24)
PAIRS_AT(malloc, 40)
PAIRS_AT(malloc, 56)

typedef void pairs_fn(size_t bytes, long n);

static __attribute__((noinline)) void pair_times_at(size_t bytes, long n,
						    size_t i)
{
	static pairs_fn *const of_tmk[] = { tmk_at_8, tmk_at_24, tmk_at_40,
					    tmk_at_56 };
	static pairs_fn *const of_malloc[] = { malloc_at_8, malloc_at_24,
					       malloc_at_40, malloc_at_56 };
	volatile char *stack = __builtin_alloca(16 + 272 * i);

	stack[0] = 1;
	(use_tmk ? of_tmk : of_malloc)[i % NR(of_tmk)](bytes, n);
}

static void pair_times(size_t bytes, long n)
{
	pair_times_at(bytes, n, 0);
}

/* The median of some batches, after one that warms up; slow ones are short. */
static double pair(size_t bytes)
{
	double times[16], start, each;
	long n = 20000;
	size_t i;

	pair_times(bytes, 3);
	start = cpu_now();
	pair_times(bytes, 10);
	each = (cpu_now() - start) / 10;
	if (each * (double)n > 2e6)
		n = each > 1e6 ? 2 : (long)(2e6 / each);
	pair_times(bytes, n);
	for (i = 0; i < NR(times); i++) {
		start = cpu_now();
		pair_times_at(bytes, n, i);
		times[i] = (cpu_now() - start) / (double)n;
	}
	return median(times, NR(times));
}

static void pairs(void)
{
	size_t i;

	for (i = 0; i < NR(sizes); i++)
		printf("pair_%zu %.3f\n", sizes[i], pair(sizes[i]));
}

/* --- memory --- */

/*
 * The library's own memory for so many blocks, over theirs; in a child, which
 * begins with an allocator of its own. Blocks are shared memory, so all that is
 * anonymous is bookkeeping.
 */
static void bookkeeping(size_t bytes)
{
	static const char rollup[] = "/proc/self/smaps_rollup";
	static char *many[BLOCKS_MAX];
	size_t nr = 256 * MIB / bytes, before, i;

	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	nr = nr < BLOCKS_MAX ? nr : BLOCKS_MAX;
	memset(many, 1, sizeof(many));
	before = proc_bytes(rollup, "Anonymous");
	for (i = 0; i < nr; i++)
		many[i] = get(bytes);
	printf("bookkeeping_%zu %.5f\n", bytes,
	       (double)(proc_bytes(rollup, "Anonymous") - before) /
		       (double)(nr * bytes));
	fflush(stdout);
	_exit(0);
}

static size_t power_of_two(size_t bytes)
{
	size_t power = 1;

	while (power < bytes)
		power *= 2;
	return power;
}

/*
 * All weights of a model in one region, or the region's size if it is too large
 * for this machine, beside each in a block of a power of two.
 */
static void pack(const char *dir, const char *file)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	size_t sum = 0, used = 0, powers = 0, bytes, held;
	struct tmk_region *region;
	char path[600], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' ||
		    sscanf(line, "%*s %*s %*s %zu", &bytes) != 1)
			continue;
		sum += bytes;
		powers += power_of_two(bytes);
		used = ((used + 63) & ~(size_t)63) + bytes;
	}
	fclose(f);
	held = (used + 2 * MIB - 1) & ~(2 * MIB - 1);
	if (held < 1024 * MIB) {
		if (tmk_region_create(&region, used, &opts))
			die("no region");
		held = tmk_region_bytes(region);
		tmk_region_put(region);
	}
	printf("pack_%.*s %.5f\n", (int)strcspn(file, "."), file,
	       (double)held / (double)sum);
	printf("pack_power_of_two_%.*s %.5f\n", (int)strcspn(file, "."), file,
	       (double)powers / (double)sum);
}

/* --- counting --- */

static void mark(void)
{
	syscall(SYS_getppid);
}

static void count_pairs(void)
{
	uint64_t faults;
	size_t i;

	for (i = 0; i < NR(sizes); i++) {
		pair_times(sizes[i], 10);
		faults = faults_now();
		mark();
		pair_times(sizes[i], 100);
		mark();
		printf("pair_%zu %llu\n", sizes[i],
		       (unsigned long long)(faults_now() - faults));
	}
}

static void count_trace(const char *dir, const char *file)
{
	uint64_t faults;
	int i;

	trace_load(dir, file);
	/* With no more memory than it needs. */
	if (use_tmk)
		tmk_trim(0);
	for (i = 0; i < 5; i++)
		replay(PAGES, into, 8);
	faults = faults_now();
	mark();
	replay(PAGES, into, 8);
	mark();
	printf("trace_%s %llu\n", trace->name,
	       (unsigned long long)(faults_now() - faults));
}

static void replay_only(const char *dir, const char *file)
{
	int i;

	trace_load(dir, file);
	for (i = 0; i < replays; i++)
		replay(BARE, into, 8);
}

static void each_file(const char *dir, const char *suffix,
		      void (*run)(const char *dir, const char *file))
{
	struct dirent **list;
	int i, n = scandir(dir, &list, NULL, alphasort);

	if (n < 0)
		die(dir);
	for (i = 0; i < n; i++) {
		size_t len = strlen(list[i]->d_name), cut = strlen(suffix);

		if (len > cut && !strcmp(list[i]->d_name + len - cut, suffix))
			run(dir, list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

static void measure(const char *traces, const char *weights)
{
	static const char suffix[] = ".trace.tsv";

	each_file(traces, suffix, trace_held);
	pairs();
	each_file(traces, suffix, trace_run);
	each_file(traces, suffix, varied_run);
	scale_pairs();
	each_file(traces, suffix, scale_trace);
	printf("handover %.1f\n", handover());
	if (!use_tmk)
		return;
	bookkeeping(2048);
	bookkeeping(16384);
	bookkeeping(65536);
	bookkeeping(MIB);
	each_file(weights, ".weights.tsv", pack);
	if (tmk_close())
		die("closing");
}

int main(int argc, char **argv)
{
	bool count = argc == 4 && !strcmp(argv[1], "--count");
	bool alone = argc == 4 && !strcmp(argv[1], "--alone");
	bool only = argc == 5 && !strcmp(argv[1], "--replay");

	if (argc != 4 && !only)
		return 2;
	use_tmk = !strcmp(argv[count || alone || only ? 2 : 1], "tmk");
	if (alone) {
		pairs();
		each_file(argv[3], ".trace.tsv", trace_run);
	} else if (only) {
		replays = atoi(argv[4]);
		each_file(argv[3], ".trace.tsv", replay_only);
	} else if (count) {
		count_pairs();
		each_file(argv[3], ".trace.tsv", count_trace);
	} else {
		measure(argv[2], argv[3]);
	}
	return 0;
}
