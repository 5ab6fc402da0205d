// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Recorded steps of networks (tests/traces) as cyclic workloads: a workspace
 * beside the least that any allocator could do (a bounds check and an add), and
 * beside malloc() and free() of peers that are told to keep what they have. Prints
 * one JSON object; decides nothing.
 *
 *	host_trace [ROUNDS]
 *
 * Each peer, and tmk, is a process of its own; they take turns, ROUNDS times (5).
 * A process measures in batches, of which the least counts, so that a busy machine
 * is not what is measured; of the rounds the median is shown.
 *
 *	ns	 for one allocation of the step, nothing written; of malloc() with
 *		 its free()
 *	page_ms	 for the step, one store to each page of each piece
 *	full_ms	 for the step, every byte written
 *
 * "goal" is what the project wants of the number before it. Where the bare bump
 * itself is not "goal" times as fast as the best peer, no bump allocator can be:
 * "ratio_of_bump" shows that.
 *
 * The workspace is STRICT and bumps only. With the data really written pure bump
 * allocation takes new memory for each tensor where a reusing allocator hands out
 * what is in the cache still: it touches "memory_of_peak" times as much, and is
 * slower by "full_of_peer" on traces that release much.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/wait.h>

#include <tmk/tmk.h>

#include "host_peers.h"
#include "host_util.h"
#include "trace.h"

#define ALIGNMENT 64
#define BLOCK_MAX ((uint64_t)2 << 30)
#define BATCHES 101 /* that write nothing */
#define ALLOCS 5000 /* in each */
#define BATCHES_WRITTEN 7
#define WRITTEN ((uint64_t)64 << 20) /* bytes in each, at most a step more */
#define PAGE 4096
#define ROUNDS_MAX 31

enum touch {
	BARE,
	PAGES,
	FULL,
	TOUCHES
};

static struct trace trace;
static char *pieces[TRACE_EVENTS];
static char *block; /* of the bare bump: the workspace's own */
static size_t block_bytes;
static struct tmk_workspace *ws;

static void die(const char *what)
{
	fprintf(stderr, "host_trace: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void die_tmk(const char *what)
{
	fprintf(stderr, "host_trace: %s: %s\n", what, tmk_error_last());
	exit(1);
}

/* --- a step, in each way --- */

static inline void write_to(uint32_t id, char *p, uint64_t bytes,
			    enum touch touch)
{
	uint64_t at;

	*(char *volatile *)&pieces[id] = p;
	if (touch == FULL)
		memset(p, (int)id, bytes);
	for (at = 0; touch == PAGES && at < bytes; at += PAGE)
		*(volatile char *)(p + at) = 1;
}

static inline void bump(enum touch touch)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	size_t offset = 0, n;

	for (e = trace.events; e < end; e++) {
		if (e->release)
			continue;
		n = (e->bytes + ALIGNMENT - 1) & -(size_t)ALIGNMENT;
		if (n > block_bytes - offset)
			die("the block is too small");
		write_to(e->id, block + offset, e->bytes, touch);
		offset += n;
	}
}

static inline void workspace(enum touch touch)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	void *p;

	if (tmk_workspace_push(ws))
		die_tmk("push");
	for (e = trace.events; e < end; e++) {
		if (e->release)
			continue;
		if (tmk_workspace_alloc(&p, ws, e->bytes, false))
			die_tmk("alloc");
		write_to(e->id, p, e->bytes, touch);
	}
	if (tmk_workspace_pop(ws))
		die_tmk("pop");
}

static inline void tensor(enum touch touch)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	struct tmk_tensor *t;
	int64_t n;

	if (tmk_workspace_push(ws))
		die_tmk("push");
	for (e = trace.events; e < end; e++) {
		n = (int64_t)e->bytes;
		if (e->release)
			continue;
		if (tmk_tensor_create(&t, TMK_U8, 1, &n))
			die_tmk("create");
		write_to(e->id, tmk_tensor_data(t), e->bytes, touch);
	}
	if (tmk_workspace_pop(ws))
		die_tmk("pop");
}

static inline void peer(enum touch touch)
{
	const struct trace_event *e, *end = trace.events + trace.nr;
	uint32_t i;
	char *p;

	for (e = trace.events; e < end; e++) {
		if (e->release) {
			free(pieces[e->id]);
			pieces[e->id] = NULL;
			continue;
		}
		p = malloc(e->bytes);
		if (!p)
			die("malloc");
		write_to(e->id, p, e->bytes, touch);
	}
	for (i = 0; i < trace.ids; i++) {
		free(pieces[i]);
		pieces[i] = NULL;
	}
}

/* A function for each touch, which the compiler knows. */
#define STEPS(way)                    \
	static void way##_bare(void)  \
	{                             \
		way(BARE);            \
	}                             \
	static void way##_pages(void) \
	{                             \
		way(PAGES);           \
	}                             \
	static void way##_full(void)  \
	{                             \
		way(FULL);            \
	}
STEPS(bump)
STEPS(workspace)
STEPS(tensor)
STEPS(peer)

struct way {
	const char *name;
	void (*step[TOUCHES])(void);
};

#define WAY(way, name)                                      \
	{                                                   \
		name,                                       \
		{                                           \
			way##_bare, way##_pages, way##_full \
		}                                           \
	}
static const struct way tmk_ways[] = {
	WAY(bump, "bump"),
	WAY(workspace, "tmk_workspace_alloc"),
	WAY(tensor, "tmk_tensor_create"),
};

static const struct way malloc_ways[] = { WAY(peer, "malloc") };

/* --- measuring, in a process of its own: a line for each number --- */

/* Batches of all ways in turn, after one that warms up: the least counts. */
static void measure_touch(const struct way *ways, size_t nr, enum touch touch)
{
	int b, batches = touch == BARE ? BATCHES : BATCHES_WRITTEN;
	long times = ALLOCS / trace.allocs + 1, i;
	double least[NR(tmk_ways)], start, t;
	size_t k;

	if (touch != BARE)
		times = (long)(WRITTEN / trace.total) + 1;
	for (b = -1; b < batches; b++) {
		for (k = 0; k < nr; k++) {
			start = now();
			for (i = 0; i < (b < 0 ? 2 : times); i++)
				ways[k].step[touch]();
			t = (now() - start) / (double)times;
			if (b <= 0 || t < least[k])
				least[k] = t;
		}
	}
	for (k = 0; k < nr; k++)
		printf("%s %s %d %.5f\n", trace.name, ways[k].name, touch,
		       least[k] / (touch == BARE ? trace.allocs : 1e6));
}

static void make_workspace(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	o.allocation = TMK_WS_STRICT;
	o.initial_bytes = trace.aligned;
	o.learning = TMK_WS_LEARN_NONE;
	if (tmk_workspace_create(&ws, trace.name, &o))
		die_tmk("create");
	block = tmk_region_data(tmk_workspace_region(ws));
	block_bytes = trace.aligned;
}

/* Read trace @i, its sizes divided until it fits. Return: the divisor. */
static uint64_t trace_fit(int i, uint64_t most)
{
	uint64_t divisor;

	for (divisor = 1;; divisor *= 2) {
		if (!trace_read(&trace, i, divisor))
			die("a trace");
		if (trace.aligned <= most)
			return divisor;
	}
}

static int measure(bool tmk, uint64_t most)
{
	enum touch touch;
	int i;

	for (i = 0; i < TRACES_NR; i++) {
		trace_fit(i, most);
		if (tmk)
			make_workspace();
		for (touch = BARE; touch < TOUCHES; touch++)
			measure_touch(tmk ? tmk_ways : malloc_ways,
				      tmk ? NR(tmk_ways) : NR(malloc_ways),
				      touch);
		if (tmk && tmk_workspace_destroy(ws))
			die_tmk("destroy");
	}
	return 0;
}

/* --- all of them, and what came of it --- */

/* The ways of tmk, then the peers after tmk itself. */
#define WAYS (NR(tmk_ways) + NR(peers) - 1)

struct result {
	double values[ROUNDS_MAX];
	size_t nr;
};

static struct result results[TRACES_NR][WAYS][TOUCHES];

static const char *way_name(size_t way)
{
	return way < NR(tmk_ways) ? tmk_ways[way].name :
				    peers[way - NR(tmk_ways) + 1].name;
}

/* A median; 0 of a peer that is not there. */
static double value(int i, size_t way, enum touch touch)
{
	struct result *r = &results[i][way][touch];

	return r->nr ? median(r->values, r->nr) : 0;
}

static void result_add(size_t peer_nr, const char *line)
{
	char name[64], way[64];
	struct result *r;
	unsigned int touch;
	double number;
	size_t k = 0;
	int i = 0;

	if (sscanf(line, "%63s %63s %u %lf", name, way, &touch, &number) != 4 ||
	    touch >= TOUCHES)
		die("a line");
	while (i < TRACES_NR - 1 && strcmp(trace_name(i), name) != 0)
		i++;
	while (!peer_nr && k < NR(tmk_ways) - 1 &&
	       strcmp(tmk_ways[k].name, way) != 0)
		k++;
	if (peer_nr)
		k = NR(tmk_ways) + peer_nr - 1;
	r = &results[i][k][touch];
	if (r->nr < ROUNDS_MAX)
		r->values[r->nr++] = number;
}

/* tmk, and peers that are tuned. */
static bool is_asked(const struct peer *it)
{
	return !it->preload || it->env[0];
}

static void become(const struct peer *it, const char *self, uint64_t most)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", (unsigned long)most);
	peer_set(it);
	execl(self, self, "--measure", it->preload ? "malloc" : "tmk", text,
	      (char *)NULL);
	_exit(127);
}

static void run(size_t peer_nr, const char *self, uint64_t most)
{
	int fds[2], status;
	char line[256];
	pid_t pid;
	FILE *f;

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		become(&peers[peer_nr], self, most);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	while (f && fgets(line, sizeof(line), f))
		result_add(peer_nr, line);
	if (f)
		fclose(f);
	if (waitpid(pid, &status, 0) < 0 || status)
		fprintf(stderr, "host_trace: %s failed\n", peers[peer_nr].name);
}

/* The way of a peer that is fastest, or 0. */
static size_t best_peer(int i, enum touch touch)
{
	size_t k, best = 0;

	for (k = NR(tmk_ways); k < WAYS; k++)
		if (value(i, k, touch) > 0 &&
		    (!best || value(i, k, touch) < value(i, best, touch)))
			best = k;
	return best;
}

static uint64_t trace_peak(void)
{
	uint64_t sizes[TRACE_EVENTS] = { 0 }, live = 0, peak = 0;
	int i;

	for (i = 0; i < trace.nr; i++) {
		const struct trace_event *e = &trace.events[i];

		if (e->release)
			live -= sizes[e->id];
		else
			live += sizes[e->id] = e->bytes;
		peak = live > peak ? live : peak;
	}
	return peak;
}

static void print_goals(int i)
{
	double bump_ns = value(i, 0, BARE), ns = value(i, 1, BARE);
	size_t best = best_peer(i, BARE), full = best_peer(i, FULL),
	       pages = best_peer(i, PAGES);

	printf("],\n   \"goals\": [\n");
	printf("    {\"of\": \"tmk_workspace_alloc\", \"goal\": 4, \"ns\": %.2f},\n",
	       ns);
	printf("    {\"of\": \"tmk_workspace_alloc over bump\", \"goal\": 2, \"ratio\": %.2f},\n",
	       ns / bump_ns);
	printf("    {\"of\": \"tmk_tensor_create with tmk_tensor_data\", \"goal\": 30, \"ns\": %.2f}",
	       value(i, 2, BARE));
	if (best)
		printf(",\n    {\"of\": \"%s over tmk_workspace_alloc\", \"goal\": 5, "
		       "\"ratio\": %.2f, \"ratio_of_bump\": %.2f}",
		       way_name(best), value(i, best, BARE) / ns,
		       value(i, best, BARE) / bump_ns);
	printf("]");
	if (best)
		printf(",\n   \"page_of_peer\": %.2f, \"page_peer\": \"%s\", "
		       "\"full_of_peer\": %.2f, \"full_peer\": \"%s\"",
		       value(i, 1, PAGES) / value(i, pages, PAGES),
		       way_name(pages),
		       value(i, 1, FULL) / value(i, full, FULL),
		       way_name(full));
	printf("}");
}

static void print_trace(int i, uint64_t most)
{
	uint64_t divisor = trace_fit(i, most);
	const char *comma = "";
	size_t k;

	printf("%s\n  {\"trace\": \"%s\", \"allocs\": %d, \"bytes\": %lu, "
	       "\"memory_of_peak\": %.1f, \"sizes_divided_by\": %lu,\n   \"ways\": [",
	       i ? "," : "", trace.name, trace.allocs,
	       (unsigned long)trace.total,
	       (double)trace.total / (double)trace_peak(),
	       (unsigned long)divisor);
	for (k = 0; k < WAYS; k++) {
		if (!results[i][k][BARE].nr)
			continue;
		printf("%s\n    {\"way\": \"%s\", \"ns\": %.2f, \"page_ms\": %.4f, \"full_ms\": %.3f}",
		       comma, way_name(k), value(i, k, BARE),
		       value(i, k, PAGES), value(i, k, FULL));
		comma = ",";
	}
	print_goals(i);
}

static void print_all(int rounds, uint64_t most)
{
	const char *comma = "";
	size_t k;
	int i;

	printf("{\"bench\": \"trace\", \"rounds\": %d, \"missing\": [", rounds);
	for (k = 0; k < NR(peers); k++) {
		if (!is_asked(&peers[k]) || peer_there(&peers[k]))
			continue;
		printf("%s\"%s\"", comma, peers[k].name);
		comma = ", ";
	}
	printf("],\n \"note\": \"A STRICT workspace, bump only. With all bytes "
	       "written, bump allocation touches memory_of_peak times the "
	       "memory of an allocator that reuses what was released, and "
	       "loses to the best of those where full_of_peer is above 1. "
	       "Where ratio_of_bump is below 5, no bump allocator can be 5 "
	       "times as fast as that peer.\",\n");
	printf(" \"traces\": [");
	for (i = 0; i < TRACES_NR; i++)
		print_trace(i, most);
	printf("\n ]}\n");
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5, round;
	struct tmk_limits limits;
	uint64_t most = BLOCK_MAX;
	char self[512];
	ssize_t len;
	size_t i;

	if (argc == 4 && !strcmp(argv[1], "--measure"))
		return measure(!strcmp(argv[2], "tmk"),
			       strtoull(argv[3], NULL, 10));
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0 || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	self[len] = '\0';
	if (tmk_limits_get(&limits))
		die_tmk("limits");
	if (most > limits.max_bytes / 2)
		most = limits.max_bytes / 2;
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < NR(peers); i++) {
			if (!is_asked(&peers[i]) || !peer_there(&peers[i]))
				continue;
			prewarm();
			run(i, self, most);
		}
	}
	print_all(rounds, most);
	return 0;
}
