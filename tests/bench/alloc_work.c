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
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tmk/tmk.h>

#include "host_util.h"

#define EVENTS_MAX 4096
#define BLOCKS_MAX 131072
#define PLACES 4096
#define VARIED 10
/* What each thread does: long enough for the scheduler to give it a processor. */
#define PAIRS 1000000
#define STEPS 1000

static const size_t sizes[] = {
	64,	512,	 4096,	  32768,    65536,    131072,
	262144, 1048576, 4194304, 16777216, 67108864,
};

struct event {
	bool alloc;
	unsigned int id;
	size_t bytes;
};

struct trace {
	char name[64];
	struct event events[EVENTS_MAX];
	size_t nr;
	size_t peak; /* bytes live */
	size_t total; /* bytes allocated */
};

static bool use_tmk;
static int replays; /* of each trace, when that is all */
/* What is replayed, and the blocks of two threads; see places_move(). */
static char trace_room[sizeof(struct trace) + PLACES]
	__attribute__((aligned(PLACES)));
static struct trace *trace = (struct trace *)(void *)trace_room;
static char *blocks[2][EVENTS_MAX + PLACES / sizeof(char *)];
static char **into = blocks[0];

static void die(const char *what)
{
	fprintf(stderr, "alloc_work: %s: %s\n", what,
		use_tmk ? tmk_error_last() : strerror(errno));
	exit(1);
}

static inline char *get(size_t bytes)
{
	void *p = NULL;

	if (use_tmk && tmk_alloc(&p, bytes, NULL))
		die("no memory");
	if (!use_tmk)
		p = malloc(bytes);
	if (!p)
		die("no memory");
	return p;
}

static inline void put(char *p)
{
	if (!use_tmk)
		free(p);
	else if (tmk_free(p))
		die("cannot free");
}

static uint64_t faults_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

/* --- one block at a time --- */

/* Not with get() and put(), which ask for each pair which allocator it is. */
static void pair_times_tmk(size_t bytes, long n)
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

static void pair_times_malloc(size_t bytes, long n)
{
	while (n--) {
		char *p = malloc(bytes);

		if (!p)
			die("no memory");
		*(volatile char *)p = 1;
		free(p);
	}
}

static __attribute__((noinline)) void pair_times(size_t bytes, long n)
{
	if (use_tmk)
		pair_times_tmk(bytes, n);
	else
		pair_times_malloc(bytes, n);
}

/*
 * The same with the stack somewhere else: where it lies makes a tenth of what is
 * measured here, and depends on nothing more than the length of the environment.
 */
static __attribute__((noinline)) void pair_times_at(size_t bytes, long n,
						    size_t at)
{
	volatile char *stack = __builtin_alloca(at);

	stack[0] = 1;
	pair_times(bytes, n);
}

/* The median of some batches, after one that warms up; slow ones are short. */
static double pair(size_t bytes)
{
	double times[15], start, each;
	long n = 2000;
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
		pair_times_at(bytes, n, 16 + 272 * i);
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

/* --- recorded steps --- */

static void trace_load(const char *dir, const char *file)
{
	char path[600], line[256], op;
	size_t live = 0, sizes_of[EVENTS_MAX];
	FILE *f;

	memset(trace, 0, sizeof(*trace));
	snprintf(trace->name, sizeof(trace->name), "%.*s",
		 (int)strcspn(file, "."), file);
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		struct event *e = &trace->events[trace->nr];

		if (sscanf(line, "%c\t%u\t%zu", &op, &e->id, &e->bytes) != 3)
			continue;
		if (e->id >= EVENTS_MAX || trace->nr + 1 == EVENTS_MAX)
			die("a trace is too long");
		e->alloc = op == 'a';
		if (e->alloc) {
			sizes_of[e->id] = e->bytes;
			live += e->bytes;
			trace->total += e->bytes;
		} else {
			live -= sizes_of[e->id];
		}
		if (live > trace->peak)
			trace->peak = live;
		trace->nr++;
	}
	fclose(f);
}

enum touch {
	BARE,
	PAGES, /* one store to each page */
	WRITTEN, /* all of it */
};

/* One step, its sizes multiplied by @eighths / 8. */
static void replay(enum touch touch, char **to, size_t eighths)
{
	const struct trace *t = trace;
	size_t i, at, bytes;

	for (i = 0; i < t->nr; i++) {
		const struct event *e = &t->events[i];
		char *p;

		if (!e->alloc) {
			put(to[e->id]);
			continue;
		}
		bytes = (e->bytes * eighths + 7) / 8;
		p = get(bytes);
		to[e->id] = p;
		if (touch == WRITTEN)
			memset(p, (int)i, bytes);
		for (at = 0; touch == PAGES && at < bytes; at += 4096)
			*(volatile char *)(p + at) = 1;
	}
}

/*
 * What is replayed to another place in a page. Stores to each page of a block hold up all
 * loads that have its place: a step takes up to a tenth longer where that lies there.
 */
static void places_move(size_t at)
{
	trace = memmove(trace_room + at, trace, sizeof(*trace));
	into = blocks[0] + at / sizeof(char *);
}

static double replay_time(enum touch touch, int times)
{
	double start = cpu_now();
	int i;

	for (i = 0; i < times; i++)
		replay(touch, into, 8);
	return (cpu_now() - start) / times;
}

/* The same step with another length each time, as sentences have. */
static void replay_varied(void)
{
	static const size_t eighths[] = { 8, 3, 5, 2, 7, 4, 8, 6, 1, 7 };
	size_t i;

	for (i = 0; i < VARIED; i++)
		replay(PAGES, into, eighths[i % NR(eighths)]);
}

/*
 * Bytes that the allocator has held at most since @again was true: by its own
 * count, or, of a peer, by what was in RAM.
 */
static size_t held(bool again)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };
	FILE *f;

	if (use_tmk) {
		if (tmk_stats_snapshot(&stats))
			die("no statistics");
		return stats.total.peak;
	}
	f = again ? fopen("/proc/self/clear_refs", "we") : NULL;
	if (again && (!f || fputs("5", f) < 0 || fclose(f)))
		die("clear_refs");
	return proc_bytes("/proc/self/status", "VmHWM");
}

/* In a child, which has not used its allocator for anything else. */
static void trace_held(const char *dir, const char *file)
{
	size_t before;
	int i;

	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	trace_load(dir, file);
	memset(blocks, 1, sizeof(blocks));
	before = held(true);
	for (i = 0; i < 5; i++)
		replay(PAGES, into, 8);
	printf("held_%s %.4f\n", trace->name,
	       (double)(held(false) - before) / (double)trace->peak);
	replay_varied();
	printf("held_varied_%s %.4f\n", trace->name,
	       (double)(held(false) - before) / (double)trace->peak);
	fflush(stdout);
	_exit(0);
}

static void trace_run(const char *dir, const char *file)
{
	double touched[9], bare[9], written[3];
	size_t i;
	int times;

	trace_load(dir, file);
	times = trace->peak > 100000000 ? 1 : 20;
	if (use_tmk)
		tmk_trim(0);
	replay(PAGES, into, 8);
	for (i = 0; i < NR(touched); i++) {
		places_move(i * (PLACES / NR(touched) & ~(size_t)63));
		replay(PAGES, into, 8);
		touched[i] = replay_time(PAGES, times);
		bare[i] = replay_time(BARE, times);
	}
	for (i = 0; i < NR(written); i++)
		written[i] = replay_time(WRITTEN, 1);
	printf("trace_%s %.4f\n", trace->name,
	       median(touched, NR(touched)) / 1e6);
	printf("bare_%s %.2f\n", trace->name,
	       median(bare, NR(bare)) / (double)trace->nr * 2);
	printf("written_%s %.4f\n", trace->name,
	       median(written, NR(written)) / 1e6);
}

static void varied_run(const char *dir, const char *file)
{
	double start;

	trace_load(dir, file);
	if (use_tmk)
		tmk_trim(0);
	replay_varied();
	start = cpu_now();
	replay_varied();
	printf("varied_%s %.4f\n", trace->name,
	       (cpu_now() - start) / VARIED / 1e6);
}

/* --- threads --- */

static void *work_pairs(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < PAIRS; i++) {
		char *p = get(sizes[i % 9]);

		*(volatile char *)p = 1;
		put(p);
	}
	return NULL;
}

static void *work_trace(void *arg)
{
	int i;

	for (i = 0; i < STEPS; i++)
		replay(BARE, arg, 8);
	return NULL;
}

/* What a thread does, and the processor time that it took. */
struct job {
	void *(*work)(void *arg);
	char **arg;
	double cpu;
};

static void *job_run(void *arg)
{
	struct job *job = arg;
	double start = cpu_now();

	job->work(job->arg);
	job->cpu = cpu_now() - start;
	return NULL;
}

/* The time of so many threads, and the processor time of the slowest. */
static void work_time(int threads, void *(*work)(void *), double *wall,
		      double *cpu)
{
	struct job jobs[2] = { { work, blocks[0], 0 }, { work, blocks[1], 0 } };
	pthread_t thread[2];
	double start = now();
	int i;

	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, job_run, &jobs[i]))
			die("no thread");
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	*wall = now() - start;
	*cpu = jobs[0].cpu > jobs[1].cpu ? jobs[0].cpu : jobs[1].cpu;
}

static void least(double *of, double value)
{
	if (!(*of > 0) || value < *of)
		*of = value;
}

/*
 * What two threads do in the time in which one does 1, and the same in processor
 * time, which has no waiting in it. The least times count: others who want the
 * processors only make them longer.
 */
static void scale(const char *name, void *(*work)(void *))
{
	double wall[3] = { 0 }, cpu[3] = { 0 }, w, c;
	int round, threads;

	work_time(2, work, &w, &c);
	for (round = 0; round < 7; round++) {
		for (threads = 1; threads <= 2; threads++) {
			work_time(threads, work, &w, &c);
			least(&wall[threads], w);
			least(&cpu[threads], c);
		}
	}
	printf("scale_2_%s %.3f\n", name, 2 * wall[1] / wall[2]);
	printf("scale_2_cpu_%s %.3f\n", name, 2 * cpu[1] / cpu[2]);
}

static void scale_trace(const char *dir, const char *file)
{
	trace_load(dir, file);
	if (trace->peak < 100000000)
		scale(trace->name, work_trace);
}

static _Atomic(char *) ring[256];

static void *taker(void *arg)
{
	long i, n = *(long *)arg;
	char *p;

	for (i = 0; i < n; i++) {
		while (!(p = atomic_exchange(&ring[i % NR(ring)], NULL)))
			sched_yield();
		put(p);
	}
	return NULL;
}

static double hand_over(long n)
{
	pthread_t thread;
	double start = now();
	long i;

	if (pthread_create(&thread, NULL, taker, &n))
		die("no thread");
	for (i = 0; i < n; i++) {
		char *p = get(i & 1 ? 4096 : 65536);

		*(volatile char *)p = 1;
		while (atomic_load(&ring[i % NR(ring)]))
			sched_yield();
		atomic_store(&ring[i % NR(ring)], p);
	}
	pthread_join(thread, NULL);
	return (now() - start) / (double)n;
}

static double handover(void)
{
	double time = 0;
	int i;

	hand_over(50000);
	for (i = 0; i < 7; i++)
		least(&time, hand_over(50000));
	return time;
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
	scale("pairs", work_pairs);
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
