// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Recorded steps of networks, with the allocator that is measured: how long they take,
 * and how much it holds for them.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc_work.h"

#define VARIED 10

static char trace_room[sizeof(struct trace) + PLACES]
	__attribute__((aligned(PLACES)));

/* Both are moved in between, see places_move(). */
struct trace *trace = (struct trace *)(void *)trace_room;
char **into = blocks[0];

char *blocks[2][EVENTS_MAX + PLACES / sizeof(char *)];

void trace_load(const char *dir, const char *file)
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
		} else {
			live -= sizes_of[e->id];
		}
		if (live > trace->peak)
			trace->peak = live;
		trace->nr++;
	}
	fclose(f);
}

/* With @tmk known when this is compiled: there is no load of it for each block. */
static inline __attribute__((always_inline)) void replay_with(bool tmk,
							      enum touch touch,
							      char **to,
							      size_t eighths)
{
	const struct trace *t = trace;
	size_t i, at, bytes;

	for (i = 0; i < t->nr; i++) {
		const struct event *e = &t->events[i];
		char *p;

		if (!e->alloc) {
			put_with(tmk, to[e->id]);
			continue;
		}
		bytes = (e->bytes * eighths + 7) / 8;
		p = get_with(tmk, bytes);
		to[e->id] = p;
		if (touch == WRITTEN)
			memset(p, (int)i, bytes);
		for (at = 0; touch == PAGES && at < bytes; at += 4096)
			*(volatile char *)(p + at) = 1;
	}
}

/* One step, its sizes multiplied by @eighths / 8. */
void replay(enum touch touch, char **to, size_t eighths)
{
	if (use_tmk)
		replay_with(true, touch, to, eighths);
	else
		replay_with(false, touch, to, eighths);
}

/*
 * Move what is replayed to another place in a page. Stores to each page of a block hold
 * up loads from the same place in other pages: a step takes up to a tenth longer where
 * the trace has that place.
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
void trace_held(const char *dir, const char *file)
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

void trace_run(const char *dir, const char *file)
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

void varied_run(const char *dir, const char *file)
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
