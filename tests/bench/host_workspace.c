// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * A cycle of allocations, given back together: a workspace beside the least that
 * any allocator could do (a bounds check and an add), and beside malloc() and
 * free() with thresholds that keep it from giving memory back. Prints one JSON
 * object; decides nothing.
 *
 *	host_workspace [CYCLES]
 *	host_workspace --count alloc|call|tensor|data|scope TIMES
 *
 * "ways" are 64 pieces of mixed sizes, nanoseconds for one allocation; "close" is
 * a scope with so many tensors, nanoseconds for its end; "traces" are recorded
 * steps of networks (tests/traces), nanoseconds for one allocation of the step;
 * "threads" is creating, cycling and destroying workspaces on many threads,
 * microseconds for one workspace. Of several rounds the median counts, and the
 * least is shown beside it.
 *
 * "touched" is the same step with all its bytes written: pure bump allocation
 * takes new memory for each tensor where a reusing allocator hands out what is in
 * the cache still, and loses by the factor shown on traces that release much.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tmk/tmk.h>

#include "trace.h"

#define ROUNDS 15
#define PIECES 64
#define ALIGNMENT 64
#define BLOCK_MAX ((size_t)2 << 30)

static size_t sizes[PIECES];
static char *pieces[TRACE_EVENTS]; /* so that nothing is optimised away */
static char *block; /* of the bare bump */
static size_t block_bytes;
static struct trace trace;
static struct tmk_workspace *ws;
static struct tmk_tensor *tensors[TRACE_EVENTS];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void use(int i, char *p)
{
	*p = (char)i;
	*(char *volatile *)&pieces[i] = p;
}

static inline char *bump_take(size_t *offset, size_t bytes)
{
	size_t n = (bytes + ALIGNMENT - 1) & -(size_t)ALIGNMENT;
	char *p = block + *offset;

	if (n > block_bytes - *offset)
		return NULL;
	*offset += n;
	return p;
}

static int bump(long cycles)
{
	size_t offset;
	char *p;
	int i;

	while (cycles--) {
		offset = 0;
		for (i = 0; i < PIECES; i++) {
			p = bump_take(&offset, sizes[i]);
			if (!p)
				return -1;
			use(i, p);
		}
	}
	return 0;
}

static int workspace(long cycles)
{
	void *p;
	int i;

	while (cycles--) {
		if (tmk_workspace_push(ws))
			return -1;
		for (i = 0; i < PIECES; i++) {
			if (tmk_workspace_alloc(&p, ws, sizes[i], false))
				return -1;
			use(i, p);
		}
		if (tmk_workspace_pop(ws))
			return -1;
	}
	return 0;
}

static int tensor(long cycles)
{
	struct tmk_tensor *t;
	int64_t shape[2] = { 1, 1 };
	int i;

	while (cycles--) {
		if (tmk_workspace_push(ws))
			return -1;
		for (i = 0; i < PIECES; i++) {
			shape[1] = (int64_t)(sizes[i] / sizeof(float));
			if (tmk_tensor_create(&t, TMK_F32, 2, shape))
				return -1;
			use(i, tmk_tensor_data(t));
		}
		if (tmk_workspace_pop(ws))
			return -1;
	}
	return 0;
}

static int malloc_free(long cycles)
{
	int i;

	while (cycles--) {
		for (i = 0; i < PIECES; i++) {
			char *p = malloc(sizes[i]);

			if (!p)
				return -1;
			use(i, p);
		}
		for (i = 0; i < PIECES; i++)
			free(pieces[i]);
	}
	return 0;
}

static int check(long cycles)
{
	long i, n = cycles * PIECES;
	int bad = 0;

	if (tmk_workspace_push(ws) ||
	    tmk_tensor_create(&tensors[0], TMK_F32, 0, NULL))
		return -1;
	for (i = 0; i < n; i++)
		bad |= tmk_tensor_check(tensors[0], NULL);
	return bad | tmk_workspace_pop(ws);
}

/* --- recorded steps --- */

/* What is written to each piece: its first byte, or all of it. */
static bool touch;

static void write_to(uint32_t id, char *p, uint64_t bytes)
{
	if (touch)
		memset(p, (int)id, bytes);
	else
		*p = (char)id;
	*(char *volatile *)&pieces[id] = p;
}

static int trace_bump(long cycles)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	size_t offset;
	char *p;

	while (cycles--) {
		offset = 0;
		for (e = trace.events; e < end; e++) {
			if (e->release)
				continue;
			p = bump_take(&offset, e->bytes);
			if (!p)
				return -1;
			write_to(e->id, p, e->bytes);
		}
	}
	return 0;
}

static int trace_workspace(long cycles)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	void *p;

	while (cycles--) {
		if (tmk_workspace_push(ws))
			return -1;
		for (e = trace.events; e < end; e++) {
			if (e->release)
				continue;
			if (tmk_workspace_alloc(&p, ws, e->bytes, false))
				return -1;
			write_to(e->id, p, e->bytes);
		}
		if (tmk_workspace_pop(ws))
			return -1;
	}
	return 0;
}

static int trace_tensor(long cycles)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	struct tmk_tensor *t;
	int64_t n;

	while (cycles--) {
		if (tmk_workspace_push(ws))
			return -1;
		for (e = trace.events; e < end; e++) {
			n = (int64_t)e->bytes;
			if (e->release)
				continue;
			if (tmk_tensor_create(&t, TMK_U8, 1, &n))
				return -1;
			write_to(e->id, tmk_tensor_data(t), e->bytes);
		}
		if (tmk_workspace_pop(ws))
			return -1;
	}
	return 0;
}

static int trace_malloc(long cycles)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	uint32_t i;
	char *p;

	while (cycles--) {
		for (e = trace.events; e < end; e++) {
			if (e->release) {
				free(pieces[e->id]);
				pieces[e->id] = NULL;
				continue;
			}
			p = malloc(e->bytes);
			if (!p)
				return -1;
			write_to(e->id, p, e->bytes);
		}
		for (i = 0; i < trace.ids; i++) {
			free(pieces[i]);
			pieces[i] = NULL;
		}
	}
	return 0;
}

/* --- measuring --- */

struct way {
	const char *name;
	int (*run)(long cycles);
};

struct result {
	double median;
	double least;
};

static const struct way ways[] = {
	{ "bump", bump },
	{ "tmk_workspace_alloc", workspace },
	{ "tmk_tensor_create", tensor },
	{ "tmk_tensor_check", check },
	{ "malloc and free", malloc_free },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const struct way trace_ways[] = {
	{ "bump", trace_bump },
	{ "tmk_workspace_alloc", trace_workspace },
	{ "tmk_tensor_create", trace_tensor },
	{ "malloc and free", trace_malloc },
};
#define TRACE_WAYS (sizeof(trace_ways) / sizeof(trace_ways[0]))

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Rounds of all ways in turn, so that all see the same moods of the machine. */
static int measure(struct result *out, const struct way *w, size_t nr,
		   long cycles, double parts, int rounds)
{
	double ns[8][ROUNDS], begin;
	size_t k;
	int i;

	for (i = -1; i < rounds; i++) {
		for (k = 0; k < nr; k++) {
			begin = now();
			if (w[k].run(i < 0 ? 1 : cycles)) {
				fprintf(stderr, "host_workspace: %s: %s\n",
					w[k].name, tmk_error_last());
				return -1;
			}
			if (i >= 0)
				ns[k][i] = (now() - begin) /
					   ((double)cycles * parts);
		}
	}
	for (k = 0; k < nr; k++) {
		qsort(ns[k], (size_t)rounds, sizeof(double), compare);
		out[k] = (struct result){ ns[k][rounds / 2], ns[k][0] };
	}
	return 0;
}

static int print_ways(long cycles)
{
	struct result r[WAYS];
	size_t k;

	if (tmk_workspace_create(&ws, "bench", NULL) ||
	    measure(r, ways, WAYS, cycles, PIECES, ROUNDS))
		return -1;
	printf("\"ways\": [");
	for (k = 0; k < WAYS; k++)
		printf("%s\n  {\"way\": \"%s\", \"ns_median\": %.2f, \"ns_least\": %.2f, \"of_bump\": %.2f}",
		       k ? "," : "", ways[k].name, r[k].median, r[k].least,
		       r[k].median / r[0].median);
	printf("\n],\n");
	return tmk_workspace_destroy(ws);
}

/* The end of a scope, apart from what was done in it. */
static int print_close(void)
{
	static const int held[] = { 0, 1, 64, 4096 };
	double ns[ROUNDS], begin, sum, clock;
	struct tmk_tensor *t;
	int64_t n = 16;
	size_t k;
	int i, c, j;

	begin = now();
	for (i = 0; i < 1000; i++)
		(void)now();
	clock = (now() - begin) / 1000;
	printf("\"close\": [");
	for (k = 0; k < sizeof(held) / sizeof(held[0]); k++) {
		if (tmk_workspace_create(&ws, "bench", NULL))
			return -1;
		for (i = 0; i < ROUNDS; i++) {
			for (c = 0, sum = 0; c < 200; c++) {
				if (tmk_workspace_push(ws))
					return -1;
				for (j = 0; j < held[k]; j++)
					if (tmk_tensor_create(&t, TMK_F32, 1,
							      &n))
						return -1;
				begin = now();
				if (tmk_workspace_pop(ws))
					return -1;
				sum += now() - begin - clock;
			}
			ns[i] = sum / 200;
		}
		qsort(ns, ROUNDS, sizeof(double), compare);
		printf("%s\n  {\"tensors\": %d, \"ns_median\": %.1f, \"ns_least\": %.1f}",
		       k ? "," : "", held[k], ns[ROUNDS / 2], ns[0]);
		if (tmk_workspace_destroy(ws))
			return -1;
	}
	printf("\n],\n");
	return 0;
}

static int print_trace(int i)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct result r[TRACE_WAYS], written[TRACE_WAYS];
	uint64_t divisor = 1;
	long cycles;
	size_t k;

	do {
		if (!trace_read(&trace, i, divisor))
			return -1;
		divisor *= 2;
	} while (trace.aligned > block_bytes);
	o.allocation = TMK_WS_STRICT;
	o.initial_bytes = trace.aligned;
	o.learning = TMK_WS_LEARN_NONE;
	if (tmk_workspace_create(&ws, trace.name, &o))
		return -1;
	touch = false;
	cycles = 200000 / trace.allocs;
	if (measure(r, trace_ways, TRACE_WAYS, cycles, trace.allocs, ROUNDS))
		return -1;
	touch = true;
	cycles = (long)(((uint64_t)256 << 20) / trace.total) + 1;
	if (measure(written, trace_ways, TRACE_WAYS, cycles, 1e6, 5))
		return -1;
	printf("%s\n  {\"trace\": \"%s\", \"allocs\": %d, \"bytes\": %lu, \"sizes_divided_by\": %lu, \"ways\": [",
	       i ? "," : "", trace.name, trace.allocs,
	       (unsigned long)trace.total, (unsigned long)divisor / 2);
	for (k = 0; k < TRACE_WAYS; k++)
		printf("%s\n    {\"way\": \"%s\", \"ns_median\": %.2f, \"ns_least\": %.2f, \"of_bump\": %.2f, \"touched_ms\": %.3f}",
		       k ? "," : "", trace_ways[k].name, r[k].median,
		       r[k].least, r[k].median / r[0].median,
		       written[k].median);
	printf("],\n    \"malloc_of_workspace\": %.1f, \"workspace_of_malloc_touched\": %.2f}",
	       r[3].median / r[1].median,
	       written[1].median / written[3].median);
	return tmk_workspace_destroy(ws);
}

static int print_traces(void)
{
	int i;

	printf("\"traces_note\": \"STRICT, bump only. With all bytes written, bump "
	       "allocation touches 2 to 31 times the memory of an allocator "
	       "that reuses what was released, and is slower than it where "
	       "workspace_of_malloc_touched is above 1.\",\n");
	printf("\"traces\": [");
	for (i = 0; i < TRACES_NR; i++)
		if (print_trace(i))
			return -1;
	printf("\n],\n");
	return 0;
}

#define THREADS_MAX 100
#define PER_THREAD 10

static void *live(void *arg)
{
	struct tmk_workspace *mine[PER_THREAD];
	struct tmk_tensor *t;
	int64_t n = 1000;
	char id[16];
	int i, c;

	for (i = 0; i < PER_THREAD; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		if (tmk_workspace_create(&mine[i], id, NULL))
			return arg;
	}
	for (c = 0; c < 20; c++)
		for (i = 0; i < PER_THREAD; i++)
			if (tmk_workspace_push(mine[i]) ||
			    tmk_tensor_create(&t, TMK_F32, 1, &n) ||
			    tmk_workspace_pop(mine[i]))
				return arg;
	return NULL;
}

static int print_threads(void)
{
	static const int threads[] = { 1, 10, 100 };
	struct tmk_stats s = { .stats_size = sizeof(s) };
	pthread_t thread[THREADS_MAX];
	uint64_t before;
	size_t k;
	int i;

	if (tmk_stats_snapshot(&s))
		return -1;
	before = s.total.current;
	printf("\"threads\": [");
	for (k = 0; k < 3; k++) {
		double begin = now();
		void *bad = NULL, *ret;

		for (i = 0; i < threads[k]; i++)
			if (pthread_create(&thread[i], NULL, live, &s))
				return -1;
		for (i = 0; i < threads[k]; i++) {
			pthread_join(thread[i], &ret);
			bad = ret ? ret : bad;
		}
		if (bad || tmk_stats_snapshot(&s))
			return -1;
		printf("%s\n  {\"workspaces\": %d, \"us_each\": %.1f, \"bytes_left\": %lu}",
		       k ? "," : "", threads[k] * PER_THREAD,
		       (now() - begin) / 1e3 / (threads[k] * PER_THREAD),
		       (unsigned long)(s.total.current - before));
	}
	printf("\n]\n");
	return 0;
}

/* A block for the bare bump, of huge pages as a workspace's, and populated. */
static int make_block(void)
{
	struct tmk_region *region;
	struct tmk_limits limits;

	block_bytes = BLOCK_MAX;
	if (tmk_limits_get(&limits))
		return -1;
	while (block_bytes > limits.max_bytes / 3)
		block_bytes /= 2;
	if (tmk_region_create(&region, block_bytes, NULL))
		return -1;
	block = tmk_region_data(region);
	return 0;
}

/* --- to count instructions of --- */

typedef int alloc_fn(void **out, struct tmk_workspace *from, size_t bytes,
		     bool zero);

static alloc_fn *volatile const by_call = tmk_workspace_alloc;
static struct tmk_workspace *inner;

static inline __attribute__((always_inline)) int work(char way, long n)
{
	static const int64_t shape[2] = { 2, 8 };
	struct tmk_tensor *t;
	void *p = NULL;
	int err = 0;

	while (n-- && !err) {
		if (way == 'a')
			err = tmk_workspace_alloc(&p, ws, ALIGNMENT, false);
		else if (way == 'c')
			err = by_call(&p, ws, ALIGNMENT, false);
		else if (way == 't')
			err = tmk_tensor_create(&t, TMK_F32, 2, shape);
		else if (way == 'd')
			p = tmk_tensor_data(tensors[0]);
		else
			err = tmk_workspace_push(inner) ||
			      tmk_workspace_pop(inner);
		*(void *volatile *)&pieces[0] = p;
	}
	return err;
}

/* Functions of their own, so that a counter can be told to look at one. */
#define COUNTED(name)                                             \
	static __attribute__((noinline)) int count_##name(long n) \
	{                                                         \
		return work(#name[0], n);                         \
	}
COUNTED(alloc)
COUNTED(call)
COUNTED(tensor)
COUNTED(data)
COUNTED(scope)

static const struct way counted[] = {
	{ "alloc", count_alloc },   { "call", count_call },
	{ "tensor", count_tensor }, { "data", count_data },
	{ "scope", count_scope },
};
#define COUNTED_NR (sizeof(counted) / sizeof(counted[0]))

/* So many of one thing and little else, in a workspace that is warmed up. */
static int count(const char *name, long n)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	size_t k;

	for (k = 0; k < COUNTED_NR && strcmp(counted[k].name, name); k++)
		;
	/* In a file, since valgrind does not know how memory is locked. */
	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	o.initial_bytes = ((uint64_t)n + 1) * ALIGNMENT;
	return k == COUNTED_NR || tmk_workspace_create(&ws, "count", &o) ||
	       tmk_workspace_create(&inner, "inner", &o) ||
	       tmk_workspace_push(ws) || work('t', n) ||
	       tmk_workspace_pop(ws) || tmk_workspace_push(ws) ||
	       tmk_tensor_create(&tensors[0], TMK_F32, 0, NULL) ||
	       counted[k].run(n) || tmk_workspace_pop(ws) ||
	       tmk_workspace_destroy_all();
}

int main(int argc, char **argv)
{
	long cycles = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
	uint32_t random = 1;
	int i;

	if (argc == 4 && !strcmp(argv[1], "--count"))
		return count(argv[2], strtol(argv[3], NULL, 10));
	if (cycles < 1) {
		fprintf(stderr, "host_workspace: a number of cycles\n");
		return 2;
	}
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 64 << 20);
	for (i = 0; i < PIECES; i++) {
		random = random * 1664525 + 1013904223;
		sizes[i] = 64 + (random >> 8) % 4000 / 4 * 4;
	}
	if (make_block()) {
		fprintf(stderr, "host_workspace: %s\n", tmk_error_last());
		return 1;
	}
	printf("{\"bench\": \"workspace\", \"pieces\": %d, \"cycles\": %ld,\n",
	       PIECES, cycles);
	if (print_ways(cycles) || print_close() || print_traces() ||
	    print_threads()) {
		fprintf(stderr, "host_workspace: %s\n", tmk_error_last());
		return 1;
	}
	printf("}\n");
	return 0;
}
