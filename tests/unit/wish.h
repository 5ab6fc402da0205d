/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Threads that wish for memory and wait for room, for the tests of that.
 */
#ifndef WISH_H
#define WISH_H

#include <pthread.h>

#include "util.h"

static atomic_int order[4];
static atomic_int order_nr;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Until as many wait; a loaded machine takes its time. */
static bool queued(unsigned int nr)
{
	int i;

	for (i = 0; i < 20000 && tmk__wait_busy() != nr; i++)
		usleep(1000);
	return tmk__wait_busy() == nr;
}

/* A region, or a block; @number is noted in @order when it was had. */
struct wish {
	int number;
	uint64_t bytes;
	bool block;
	int err;
	void *got;
};

static void *ask(void *arg)
{
	struct wish *wish = arg;

	if (wish->block)
		wish->err = tmk_alloc(&wish->got, wish->bytes, NULL);
	else
		wish->err = create((struct tmk_region **)&wish->got,
				   wish->bytes, TMK_KIND_HUGE, 0);
	if (!wish->err)
		order[atomic_fetch_add(&order_nr, 1)] = wish->number;
	return NULL;
}

static void give_back(struct wish *wish)
{
	if (wish->block)
		EXPECT_EQ(0, tmk_free(wish->got));
	else
		tmk_region_put(wish->got);
}

#endif /* WISH_H */
