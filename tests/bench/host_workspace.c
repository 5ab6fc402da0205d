// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * A cycle of allocations, given back together: a workspace beside the least that
 * any allocator could do (a bounds check and an add), and beside malloc() and
 * free(). Prints one JSON object of nanoseconds for one allocation; decides
 * nothing.
 *
 *	host_workspace [CYCLES]
 *
 * Every way hands out the same sizes and writes one byte to each piece. Of
 * several rounds the median counts, and the least is shown beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tmk/tmk.h>

#define ROUNDS 15
#define PIECES 64
#define ALIGNMENT 64

static size_t sizes[PIECES];
static char *pieces[PIECES]; /* so that nothing is optimised away */

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

static int bump(long cycles)
{
	static char block[PIECES * 4096] __attribute__((aligned(ALIGNMENT)));
	size_t offset, n;
	int i;

	while (cycles--) {
		offset = 0;
		for (i = 0; i < PIECES; i++) {
			n = (sizes[i] + ALIGNMENT - 1) & -(size_t)ALIGNMENT;
			if (n > sizeof(block) - offset)
				return -1;
			use(i, block + offset);
			offset += n;
		}
	}
	return 0;
}

static int workspace(long cycles)
{
	struct tmk_workspace *ws;
	void *p;
	int i;

	if (tmk_workspace_create(&ws, "bench", NULL))
		return -1;
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
	return tmk_workspace_destroy(ws);
}

static int tensors(long cycles)
{
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	int64_t shape[2] = { 1, 1 };
	int i;

	if (tmk_workspace_create(&ws, "bench", NULL))
		return -1;
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
	return tmk_workspace_destroy(ws);
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

static const struct {
	const char *name;
	int (*run)(long cycles);
} ways[] = {
	{ "bump", bump },
	{ "tmk_workspace_alloc", workspace },
	{ "tmk_tensor_create", tensors },
	{ "malloc and free", malloc_free },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int measure(size_t way, long cycles)
{
	double ns[ROUNDS];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		double begin = now();

		if (ways[way].run(cycles)) {
			fprintf(stderr, "host_workspace: %s: %s\n",
				ways[way].name, tmk_error_last());
			return -1;
		}
		ns[i] = (now() - begin) / (double)(cycles * PIECES);
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("%s\n  {\"way\": \"%s\", \"ns_median\": %.2f, \"ns_least\": %.2f}",
	       way ? "," : "", ways[way].name, ns[ROUNDS / 2], ns[0]);
	return 0;
}

int main(int argc, char **argv)
{
	long cycles = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
	uint32_t random = 1;
	size_t way;
	int i;

	if (cycles < 1) {
		fprintf(stderr, "host_workspace: a number of cycles\n");
		return 2;
	}
	for (i = 0; i < PIECES; i++) {
		random = random * 1664525 + 1013904223;
		sizes[i] = 64 + (random >> 8) % 4000 / 4 * 4;
	}
	printf("{\"bench\": \"workspace\", \"pieces\": %d, \"cycles\": %ld, \"ways\": [",
	       PIECES, cycles);
	for (way = 0; way < WAYS; way++)
		if (measure(way, cycles))
			return 1;
	printf("\n]}\n");
	return tmk_close() ? 1 : 0;
}
