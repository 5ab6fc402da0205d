// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * A cycle of allocations, given back together: a workspace beside the least that
 * any allocator could do (a bounds check and an add), and beside malloc() and
 * free() with thresholds that keep it from giving memory back. Prints one JSON
 * object; decides nothing. host_trace has recorded steps and other allocators.
 *
 *	host_workspace [CYCLES]
 *	host_workspace --count alloc|call|tensor|data|scope TIMES
 *
 * "ways" are 64 pieces of mixed sizes, nanoseconds for one allocation, opening and
 * closing the scope included; "scope" is that alone, and "alloc_in_scope" what
 * is left without it. "close" is a scope with so many tensors, nanoseconds for its
 * end. Of many rounds the median counts, and the least is shown beside it.
 * "threads" is many workspaces that live at once, on many threads: microseconds of
 * processors for creating, cycling 20 times and destroying one of them, the thread
 * included, and what is left in the end.
 * "goal" is what the project wants of the number after it.
 */
#include <malloc.h>
#include <pthread.h>

#include <tmk/tmk.h>

#include "host_util.h"

#define ROUNDS 101
#define PIECES 64
#define ALIGNMENT 64
#define BLOCK_BYTES ((size_t)PIECES * 4096)
#define CLOSED 20 /* scopes of one value */

static size_t sizes[PIECES];
static char *pieces[PIECES]; /* so that nothing is optimised away */
static char *block; /* of the bare bump */
static size_t block_bytes = BLOCK_BYTES;
static struct tmk_workspace *ws;
static struct tmk_tensor *kept;

typedef int alloc_fn(void **out, struct tmk_workspace *from, size_t bytes,
		     bool zero);

static alloc_fn *volatile const by_call = tmk_workspace_alloc;

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

/* The same code for both, so that they differ in nothing else. */
static inline __attribute__((always_inline)) int fill(long cycles, bool inlined)
{
	void *p;
	int i;

	while (cycles--) {
		if (tmk_workspace_push(ws))
			return -1;
		for (i = 0; i < PIECES; i++) {
			if (inlined ? tmk_workspace_alloc(&p, ws, sizes[i],
							  false) :
				      by_call(&p, ws, sizes[i], false))
				return -1;
			use(i, p);
		}
		if (tmk_workspace_pop(ws))
			return -1;
	}
	return 0;
}

static int workspace(long cycles)
{
	return fill(cycles, true);
}

static int called(long cycles)
{
	return fill(cycles, false);
}

/* An empty one, once for each piece of the others. */
static int scope(long cycles)
{
	for (cycles *= PIECES; cycles--;)
		if (tmk_workspace_push(ws) || tmk_workspace_pop(ws))
			return -1;
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
	    tmk_tensor_create(&kept, TMK_F32, 0, NULL))
		return -1;
	for (i = 0; i < n; i++)
		bad |= tmk_tensor_check(kept, NULL);
	return bad | tmk_workspace_pop(ws);
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

enum {
	BUMP,
	ALLOC,
	CALLED,
	SCOPE,
	TENSOR,
	CHECK,
	MALLOC,
	WAYS
};

static const struct way ways[WAYS] = {
	[BUMP] = { "bump", bump },
	[ALLOC] = { "tmk_workspace_alloc", workspace },
	[CALLED] = { "tmk_workspace_alloc, not inlined", called },
	[SCOPE] = { "scope", scope },
	[TENSOR] = { "tmk_tensor_create with tmk_tensor_data", tensor },
	[CHECK] = { "tmk_tensor_check", check },
	[MALLOC] = { "malloc and free", malloc_free },
};

/* Rounds of all ways in turn, so that all see the same moods of the machine. */
static int measure(struct result out[WAYS], long cycles)
{
	static double ns[WAYS][ROUNDS];
	double begin;
	size_t k;
	int i;

	for (i = -1; i < ROUNDS; i++) {
		for (k = 0; k < WAYS; k++) {
			begin = now();
			if (ways[k].run(i < 0 ? 1 : cycles)) {
				fprintf(stderr, "host_workspace: %s: %s\n",
					ways[k].name, tmk_error_last());
				return -1;
			}
			if (i >= 0)
				ns[k][i] = (now() - begin) /
					   ((double)cycles * PIECES);
		}
	}
	for (k = 0; k < WAYS; k++) {
		out[k].median = median(ns[k], ROUNDS);
		out[k].least = ns[k][0];
	}
	return 0;
}

static int print_ways(long cycles)
{
	struct result r[WAYS];
	double in_scope;
	size_t k;

	if (tmk_workspace_create(&ws, "bench", NULL) || measure(r, cycles))
		return -1;
	in_scope = r[ALLOC].median - r[SCOPE].median / PIECES;
	printf("\"ways\": [");
	for (k = 0; k < WAYS; k++)
		printf("%s\n  {\"way\": \"%s\", \"ns_median\": %.2f, \"ns_least\": %.2f, \"of_bump\": %.2f}",
		       k ? "," : "", ways[k].name, r[k].median, r[k].least,
		       r[k].median / r[BUMP].median);
	printf("\n],\n\"goals\": [\n");
	printf("  {\"of\": \"alloc_in_scope over bump\", \"goal\": 2, \"ratio\": %.2f},\n",
	       in_scope / r[BUMP].median);
	printf("  {\"of\": \"tmk_workspace_alloc over bump\", \"goal\": 2, \"ratio\": %.2f},\n",
	       r[ALLOC].median / r[BUMP].median);
	printf("  {\"of\": \"tmk_tensor_create with tmk_tensor_data\", \"goal\": 30, \"ns\": %.2f}\n],\n",
	       r[TENSOR].median);
	return tmk_workspace_destroy(ws);
}

/* The end of a scope with @held tensors, apart from what was done in it. */
static int close_ns(double *out, int held, double clock)
{
	double begin, sum = 0;
	int64_t n = 16;
	int i, j;

	for (i = 0; i < CLOSED; i++) {
		if (tmk_workspace_push(ws))
			return -1;
		for (j = 0; j < held; j++)
			if (tmk_tensor_create(&kept, TMK_F32, 1, &n))
				return -1;
		begin = now();
		if (tmk_workspace_pop(ws))
			return -1;
		sum += now() - begin - clock;
	}
	*out = sum / CLOSED;
	return 0;
}

static int print_close(void)
{
	static const int held[] = { 0, 1, 64, 4096 };
	double ns[ROUNDS], begin, clock;
	size_t k;
	int i;

	begin = now();
	for (i = 0; i < 1000; i++)
		(void)now();
	clock = (now() - begin) / 1000;
	printf("\"close\": [");
	for (k = 0; k < NR(held); k++) {
		if (tmk_workspace_create(&ws, "bench", NULL))
			return -1;
		for (i = -1; i < ROUNDS; i++)
			if (close_ns(&ns[i < 0 ? 0 : i], held[k], clock))
				return -1;
		begin = median(ns, ROUNDS);
		printf("%s\n  {\"tensors\": %d, \"goal\": 50, \"ns\": %.1f, \"ns_least\": %.1f}",
		       k ? "," : "", held[k], begin, ns[0]);
		if (tmk_workspace_destroy(ws))
			return -1;
	}
	printf("\n],\n");
	return 0;
}

/* --- many workspaces at once --- */

#define THREADS_MAX 100
#define PER_THREAD 10
#define CYCLES 20
#define CROWDS 15

static pthread_barrier_t barrier;

static int cycle_all(struct tmk_workspace *mine[PER_THREAD])
{
	struct tmk_tensor *t;
	int64_t n = 1000;
	int i, c;

	for (c = 0; c < CYCLES; c++)
		for (i = 0; i < PER_THREAD; i++)
			if (tmk_workspace_push(mine[i]) ||
			    tmk_tensor_create(&t, TMK_F32, 1, &n) ||
			    tmk_workspace_pop(mine[i]))
				return -1;
	return 0;
}

/* Meets all others between its steps, so that all live at once. */
static void *live(void *arg)
{
	struct tmk_workspace *mine[PER_THREAD];
	int i, bad = 0;
	char id[16];

	for (i = 0; i < PER_THREAD; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		bad |= tmk_workspace_create(&mine[i], id, NULL);
	}
	pthread_barrier_wait(&barrier);
	bad = bad ? bad : cycle_all(mine);
	pthread_barrier_wait(&barrier);
	bad |= tmk_workspace_destroy_all();
	return bad ? arg : NULL;
}

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Microseconds of processors for a workspace, from its creation to its end. */
static int crowd(double *us, int threads)
{
	pthread_t thread[THREADS_MAX];
	void *bad = NULL, *ret;
	double begin = cpu();
	int i;

	if (pthread_barrier_init(&barrier, NULL, (unsigned int)threads))
		return -1;
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, live, us))
			return -1;
	for (i = 0; i < threads; i++) {
		pthread_join(thread[i], &ret);
		bad = ret ? ret : bad;
	}
	*us = (cpu() - begin) / (threads * PER_THREAD);
	pthread_barrier_destroy(&barrier);
	return bad ? -1 : 0;
}

static int print_threads(void)
{
	static const int threads[] = { 1, 10, 100 };
	struct tmk_stats s = { .stats_size = sizeof(s) };
	double us[NR(threads)][CROWDS];
	uint64_t before;
	size_t k;
	int i;

	if (tmk_stats_snapshot(&s))
		return -1;
	before = s.total.current;
	for (i = 0; i < CROWDS; i++)
		for (k = 0; k < NR(threads); k++)
			if (crowd(&us[k][i], threads[k]))
				return -1;
	if (tmk_stats_snapshot(&s))
		return -1;
	printf("\"threads\": [");
	for (k = 0; k < NR(threads); k++)
		printf("%s\n  {\"workspaces\": %d, \"us_each\": %.2f}",
		       k ? "," : "", threads[k] * PER_THREAD,
		       median(us[k], CROWDS));
	printf("\n],\n\"one_of_1000_over_one_of_10\": {\"linear\": 1, \"ratio\": %.2f},\n\"bytes_left\": %lu\n",
	       us[2][CROWDS / 2] / us[0][CROWDS / 2],
	       (unsigned long)(s.total.current - before));
	return 0;
}

/* --- to count instructions of --- */

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
			p = tmk_tensor_data(kept);
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

/* So many of one thing and little else, in a workspace that is warmed up. */
static int count(const char *name, long n)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	size_t k;

	for (k = 0; k < NR(counted) && strcmp(counted[k].name, name); k++)
		;
	/* In a file, since valgrind does not know how memory is locked. */
	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	o.initial_bytes = ((uint64_t)n + 1) * ALIGNMENT;
	return k == NR(counted) || tmk_workspace_create(&ws, "count", &o) ||
	       tmk_workspace_create(&inner, "inner", &o) ||
	       tmk_workspace_push(ws) || work('t', n) ||
	       tmk_workspace_pop(ws) || tmk_workspace_push(ws) ||
	       tmk_tensor_create(&kept, TMK_F32, 0, NULL) ||
	       counted[k].run(n) || tmk_workspace_pop(ws) ||
	       tmk_workspace_destroy_all();
}

int main(int argc, char **argv)
{
	long cycles = argc > 1 ? strtol(argv[1], NULL, 10) : 500;
	struct tmk_region *region;
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
	if (tmk_region_create(&region, block_bytes, NULL)) {
		fprintf(stderr, "host_workspace: %s\n", tmk_error_last());
		return 1;
	}
	block = tmk_region_data(region);
	printf("{\"bench\": \"workspace\", \"pieces\": %d, \"cycles\": %ld,\n",
	       PIECES, cycles);
	if (print_ways(cycles) || print_close() || print_threads()) {
		fprintf(stderr, "host_workspace: %s\n", tmk_error_last());
		return 1;
	}
	printf("}\n");
	return 0;
}
