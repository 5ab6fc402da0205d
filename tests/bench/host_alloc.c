// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmk_alloc() beside malloc() of glibc, mimalloc, jemalloc and tcmalloc, each
 * with its defaults and tuned to keep what it has. Prints one JSON object;
 * decides nothing.
 *
 *	host_alloc [ROUNDS [TRACES]]
 *
 * Every allocator runs the same code in a process of its own, peers by
 * LD_PRELOAD; they take turns, ROUNDS times (7), and medians are shown. A peer
 * that is not installed is left out and named in "missing". The machine's free
 * memory is touched before each process, because a virtual machine may have
 * given it to its host.
 *
 *	pair_N       ns for allocating and freeing N bytes, one byte written
 *	trace_T      ms for an iteration of a trace, one store to each page
 *	held_T       bytes held at most, over the trace's peak live bytes
 *	scale_2      pairs a second of two threads over those of one
 *	handover     ns for a block that another thread frees
 *	faults, calls  page faults and the library's calls in the pair loops
 *	pack_W       one region for all weights of a model, over their bytes
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tmk/tmk.h>

#define NR(a) (sizeof(a) / sizeof((a)[0]))
#define LIBS "/usr/lib/x86_64-linux-gnu/"
#define EVENTS_MAX 4096
#define RESULTS_MAX 128
#define ROUNDS_MAX 31

/* An allocator: what is preloaded, and how it is told to keep memory. */
struct peer {
	const char *name;
	const char *preload; /* NULL: tmk; "": glibc */
	const char *env[4];
};

static const struct peer peers[] = {
	{ "tmk", NULL, { NULL } },
	{ "glibc", "", { NULL } },
	{ "glibc_tuned",
	  "",
	  { "MALLOC_MMAP_THRESHOLD_=1073741824",
	    "MALLOC_TRIM_THRESHOLD_=17179869184",
	    "MALLOC_TOP_PAD_=268435456" } },
	{ "mimalloc", LIBS "libmimalloc.so.2", { NULL } },
	{ "mimalloc_tuned",
	  LIBS "libmimalloc.so.2",
	  { "MIMALLOC_ALLOW_DECOMMIT=0", "MIMALLOC_PAGE_RESET=0",
	    "MIMALLOC_LARGE_OS_PAGES=1" } },
	{ "jemalloc", LIBS "libjemalloc.so.2", { NULL } },
	{ "jemalloc_tuned",
	  LIBS "libjemalloc.so.2",
	  { "MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always,"
	    "oversize_threshold:0,lg_tcache_max:23" } },
	{ "tcmalloc", LIBS "libtcmalloc_minimal.so.4", { NULL } },
	{ "tcmalloc_tuned",
	  LIBS "libtcmalloc_minimal.so.4",
	  { "TCMALLOC_RELEASE_RATE=0",
	    "TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES=1073741824" } },
};

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
	size_t peak;
};

static bool use_tmk;
static struct trace trace;
static char *blocks[EVENTS_MAX];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "host_alloc: %s: %s\n", what,
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

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
}

/* The median of some batches, after one that warms up; slow ones are short. */
static double pair(size_t bytes)
{
	enum {
		BATCHES = 15
	};
	double times[BATCHES], start;
	long n = 2000, i;
	int batch;

	for (batch = -1; batch < BATCHES; batch++) {
		start = now();
		for (i = 0; i < n; i++) {
			char *p = get(bytes);

			*(volatile char *)p = 1;
			put(p);
		}
		if (batch >= 0)
			times[batch] = (now() - start) / (double)n;
		else if (now() - start > 2e6)
			n = 100;
	}
	return median(times, BATCHES);
}

static void pairs(void)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };
	uint64_t calls = 0, faults = 0;
	struct rusage usage;
	size_t i;

	for (i = 0; i < NR(sizes); i++) {
		char *p = get(sizes[i]);

		*(volatile char *)p = 1;
		put(p);
		p = get(sizes[i]);
		put(p);
		getrusage(RUSAGE_SELF, &usage);
		faults -= (uint64_t)usage.ru_minflt;
		if (use_tmk && !tmk_stats_snapshot(&stats))
			calls -= stats.backend_calls;
		printf("pair_%zu %.3f\n", sizes[i], pair(sizes[i]));
		getrusage(RUSAGE_SELF, &usage);
		faults += (uint64_t)usage.ru_minflt;
		if (use_tmk && !tmk_stats_snapshot(&stats))
			calls += stats.backend_calls;
	}
	printf("faults %llu\n", (unsigned long long)faults);
	if (use_tmk)
		printf("calls %llu\n", (unsigned long long)calls);
}

static void trace_load(const char *dir, const char *file)
{
	char path[600], line[256], op;
	size_t live = 0, sizes_of[EVENTS_MAX];
	FILE *f;

	memset(&trace, 0, sizeof(trace));
	snprintf(trace.name, sizeof(trace.name), "%.*s",
		 (int)strcspn(file, "."), file);
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		struct event *e = &trace.events[trace.nr];

		if (sscanf(line, "%c\t%u\t%zu", &op, &e->id, &e->bytes) != 3)
			continue;
		if (e->id >= EVENTS_MAX || trace.nr + 1 == EVENTS_MAX)
			die("a trace is too long");
		e->alloc = op == 'a';
		if (e->alloc) {
			sizes_of[e->id] = e->bytes;
			live += e->bytes;
		} else {
			live -= sizes_of[e->id];
		}
		if (live > trace.peak)
			trace.peak = live;
		trace.nr++;
	}
	fclose(f);
}

static void replay(bool touch)
{
	size_t i, at;

	for (i = 0; i < trace.nr; i++) {
		const struct event *e = &trace.events[i];
		char *p;

		if (!e->alloc) {
			put(blocks[e->id]);
			continue;
		}
		p = get(e->bytes);
		blocks[e->id] = p;
		for (at = 0; touch && at < e->bytes; at += 4096)
			*(volatile char *)(p + at) = 1;
	}
}

static void trace_run(const char *dir, const char *file)
{
	enum {
		ITERATIONS = 9
	};
	struct tmk_stats before = { .stats_size = sizeof(before) }, after;
	double touched[ITERATIONS], bare[ITERATIONS], start;
	int i, k, times;

	trace_load(dir, file);
	times = trace.peak > 100000000 ? 1 : 20;
	if (use_tmk) {
		tmk_trim(0);
		(void)tmk_stats_snapshot(&before);
	}
	replay(true);
	replay(true);
	for (i = 0; i < ITERATIONS; i++) {
		start = now();
		for (k = 0; k < times; k++)
			replay(true);
		touched[i] = (now() - start) / times;
		start = now();
		for (k = 0; k < times; k++)
			replay(false);
		bare[i] = (now() - start) / times / (double)trace.nr * 2;
	}
	printf("trace_%s %.4f\n", trace.name,
	       median(touched, ITERATIONS) / 1e6);
	printf("bare_%s %.2f\n", trace.name, median(bare, ITERATIONS));
	if (!use_tmk)
		return;
	after = before;
	(void)tmk_stats_snapshot(&after);
	/* Nothing was held before, and what is held is never less than before. */
	printf("held_%s %.4f\n", trace.name,
	       (double)after.total.current / (double)trace.peak);
}

static void *work(void *arg)
{
	long i, n = 300000;

	(void)arg;
	for (i = 0; i < n; i++) {
		char *p = get(sizes[i % 9]);

		*(volatile char *)p = 1;
		put(p);
	}
	return NULL;
}

static double work_time(int threads)
{
	pthread_t thread[2];
	double start = now();
	int i;

	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, NULL))
			die("no thread");
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return now() - start;
}

static _Atomic(char *) ring[256];

static void *taker(void *arg)
{
	long i, n = *(long *)arg;
	char *p;

	for (i = 0; i < n; i++) {
		while (!(p = atomic_exchange(&ring[i % 256], NULL)))
			sched_yield();
		put(p);
	}
	return NULL;
}

static double handover(void)
{
	long i, n = 50000;
	pthread_t thread;
	double start = now();

	if (pthread_create(&thread, NULL, taker, &n))
		die("no thread");
	for (i = 0; i < n; i++) {
		char *p = get(i & 1 ? 4096 : 65536);

		*(volatile char *)p = 1;
		while (atomic_load(&ring[i % 256]))
			sched_yield();
		atomic_store(&ring[i % 256], p);
	}
	pthread_join(thread, NULL);
	return (now() - start) / (double)n;
}

/* All weights of a model in one region, or the region's size if too large. */
static void pack(const char *dir, const char *file)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	size_t sum = 0, used = 0, bytes, held;
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
		used = ((used + 63) & ~(size_t)63) + bytes;
	}
	fclose(f);
	held = (used + (2 << 20) - 1) & ~(((size_t)2 << 20) - 1);
	if (held < (size_t)1 << 30) {
		if (tmk_region_create(&region, used, &opts))
			die("no region");
		held = tmk_region_bytes(region);
		tmk_region_put(region);
	}
	printf("pack_%.*s %.5f\n", (int)strcspn(file, "."), file,
	       (double)held / (double)sum);
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

/* In a process of its own: measure, and print a name and a number a line. */
static int measure(bool tmk, const char *dir)
{
	use_tmk = tmk;
	pairs();
	each_file(dir, ".trace.tsv", trace_run);
	work_time(1);
	printf("scale_2 %.3f\n", 2 * work_time(1) / work_time(2));
	printf("handover %.1f\n", handover());
	if (tmk) {
		each_file(dir, ".weights.tsv", pack);
		if (tmk_close())
			die("closing");
	}
	return 0;
}

/* Results of a peer: a name, and a value for each round. */
struct result {
	char name[64];
	double values[ROUNDS_MAX];
	size_t nr;
};

static struct result results[NR(peers)][RESULTS_MAX];

static void result_add(size_t peer, const char *name, double value)
{
	struct result *r = results[peer];

	while (r->name[0] && strcmp(r->name, name) != 0)
		r++;
	snprintf(r->name, sizeof(r->name), "%s", name);
	if (r->nr < ROUNDS_MAX)
		r->values[r->nr++] = value;
}

/* Have free memory here, not at the host. */
static void prewarm(void)
{
	size_t bytes = (size_t)1 << 30;
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	(void)madvise(p, bytes, MADV_HUGEPAGE);
	memset(p, 1, bytes);
	munmap(p, bytes);
}

static bool peer_there(const struct peer *peer)
{
	return !peer->preload || !*peer->preload ||
	       !access(peer->preload, R_OK);
}

static void peer_exec(const struct peer *peer, const char *self,
		      const char *dir)
{
	size_t i;

	for (i = 0; i < NR(peer->env) && peer->env[i]; i++)
		putenv((char *)peer->env[i]);
	if (peer->preload && *peer->preload)
		setenv("LD_PRELOAD", peer->preload, 1);
	execl(self, self, "--measure", peer->preload ? "malloc" : "tmk", dir,
	      (char *)NULL);
	_exit(127);
}

static void peer_run(size_t nr, const char *self, const char *dir)
{
	char line[256], name[64];
	int fds[2], status;
	double value;
	pid_t pid;
	FILE *f;

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		peer_exec(&peers[nr], self, dir);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lf", name, &value) == 2)
			result_add(nr, name, value);
	if (f)
		fclose(f);
	if (waitpid(pid, &status, 0) < 0 || status)
		fprintf(stderr, "host_alloc: %s failed\n", peers[nr].name);
}

static void print_all(int rounds)
{
	const char *comma = "";
	size_t i, k;

	printf("{\"benchmark\": \"host_alloc\", \"rounds\": %d, \"missing\": [",
	       rounds);
	for (i = 0; i < NR(peers); i++) {
		if (peer_there(&peers[i]))
			continue;
		printf("%s\"%s\"", comma, peers[i].name);
		comma = ", ";
	}
	printf("]");
	for (i = 0; i < NR(peers); i++) {
		if (!results[i][0].nr)
			continue;
		printf(",\n \"%s\": {", peers[i].name);
		for (k = 0; results[i][k].nr; k++)
			printf("%s\"%s\": %.5g", k ? ", " : "",
			       results[i][k].name,
			       median(results[i][k].values, results[i][k].nr));
		printf("}");
	}
	printf("}\n");
}

int main(int argc, char **argv)
{
	char self[512], traces[600];
	int rounds = argc > 1 ? atoi(argv[1]) : 7, round;
	const char *dir = argc > 2 ? argv[2] : NULL;
	ssize_t len;
	size_t i;

	if (argc == 4 && !strcmp(argv[1], "--measure"))
		return measure(!strcmp(argv[2], "tmk"), argv[3]);
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0 || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	self[len] = '\0';
	/* build/tests/bench/host_alloc is four levels below the tree. */
	snprintf(traces, sizeof(traces), "%s/../../../../tests/bench/traces",
		 self);
	if (!dir)
		dir = realpath(traces, NULL);
	if (!dir)
		dir = "tests/bench/traces";
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < NR(peers); i++) {
			if (!peer_there(&peers[i]))
				continue;
			prewarm();
			peer_run(i, self, dir);
		}
	}
	print_all(rounds);
	return 0;
}
