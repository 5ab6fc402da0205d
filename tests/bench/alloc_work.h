/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the parts of alloc_work share: the allocator that is measured, and recorded
 * steps.
 */
#ifndef TMK_TESTS_BENCH_ALLOC_WORK_H
#define TMK_TESTS_BENCH_ALLOC_WORK_H

#include <stdbool.h>
#include <stdlib.h>

#include <tmk/tmk.h>

#include "host_util.h"

#define EVENTS_MAX 4096
#define PLACES 4096

/* What pairs are measured of; threads take the first nine of them in turn. */
static const size_t sizes[] = {
	64,	512,	 4096,	  32768,    65536,    131072,
	262144, 1048576, 4194304, 16777216, 67108864,
};

enum touch {
	BARE,
	PAGES, /* one store to each page */
	WRITTEN, /* all of it */
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
};

/* alloc_work.c */
extern bool use_tmk;

__attribute__((noreturn)) void die(const char *what);

/* alloc_replay.c */
extern struct trace *trace; /* what is replayed */
extern char *blocks[2][EVENTS_MAX + PLACES / sizeof(char *)]; /* of two threads */
extern char **into; /* the first one's */

void trace_load(const char *dir, const char *file);
void replay(enum touch touch, char **to, size_t eighths);
void trace_held(const char *dir, const char *file);
void trace_run(const char *dir, const char *file);
void varied_run(const char *dir, const char *file);

/* alloc_threads.c */
void scale_pairs(void);
void scale_trace(const char *dir, const char *file);
double handover(void);

static inline char *get_with(bool tmk, size_t bytes)
{
	void *p = NULL;

	if (tmk && tmk_alloc(&p, bytes, NULL))
		die("no memory");
	if (!tmk)
		p = malloc(bytes);
	if (!p)
		die("no memory");
	return p;
}

static inline void put_with(bool tmk, char *p)
{
	if (!tmk)
		free(p);
	else if (tmk_free(p))
		die("cannot free");
}

static inline char *get(size_t bytes)
{
	return get_with(use_tmk, bytes);
}

static inline void put(char *p)
{
	put_with(use_tmk, p);
}

#endif /* TMK_TESTS_BENCH_ALLOC_WORK_H */
