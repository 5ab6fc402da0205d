// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The allocator under what networks do: recorded steps with their true lifetimes,
 * how much is held for them, that a training step is placed as the one before it,
 * and that a warmed-up step takes no page fault and no system call. The last is
 * proved by a filter that ends the process at the first one, so not under
 * sanitizers, which make their own.
 */
#include "util.h"

#include "seccomp.h"
#include "trace.h"

#define PEAK_MAX (64 * MIB) /* so that it fits into a small machine */

static struct trace trace;
static char *blocks[TRACE_EVENTS];

static uint64_t peak_of(const struct trace *t)
{
	static uint64_t bytes[TRACE_EVENTS];
	uint64_t live = 0, peak = 0;
	int i;

	for (i = 0; i < t->nr; i++) {
		const struct trace_event *e = &t->events[i];

		if (!e->release)
			bytes[e->id] = e->bytes;
		live += e->release ? -bytes[e->id] : e->bytes;
		peak = TMK__MAX(peak, live);
	}
	return peak;
}

/* Trace @nr, made smaller if need be. Return: bytes live at most. */
static uint64_t load(int nr)
{
	uint64_t divisor = 1;

	do {
		if (!trace_read(&trace, nr, divisor))
			return 0;
		divisor *= 2;
	} while (peak_of(&trace) > PEAK_MAX);
	return peak_of(&trace);
}

/* Is no more than an eighth of a block what was not asked for? */
static bool tight(const void *p, uint64_t bytes)
{
	size_t usable = 0;

	return bytes <= 64 << 10 || (!tmk_alloc_usable_bytes(&usable, p) &&
				     usable - bytes <= usable / 8);
}

/*
 * One step with sizes multiplied by @eighths / 8. Return: 0, or a number that
 * says what failed.
 */
static int step(unsigned int eighths)
{
	uint64_t bytes;
	int i;

	for (i = 0; i < trace.nr; i++) {
		const struct trace_event *e = &trace.events[i];
		void *p;

		if (e->release) {
			if (*blocks[e->id] != (char)e->id ||
			    tmk_free(blocks[e->id]))
				return -1;
			continue;
		}
		bytes = (e->bytes * eighths + 7) / 8;
		if (tmk_alloc(&p, bytes, NULL))
			return -2;
		if (!tight(p, bytes))
			return -3;
		blocks[e->id] = p;
		blocks[e->id][bytes - 1] = 0;
		blocks[e->id][0] = (char)e->id;
	}
	return 0;
}

TEST(a_step_holds_a_tenth_more_than_lives)
{
	uint64_t peak;
	int nr, i;

	for (nr = 0; nr < TRACES_NR; nr++) {
		peak = load(nr);
		ASSERT_NE(0, peak);
		for (i = 0; i < 20; i++)
			ASSERT_EQ(0, step(8));
		TH_LOG("%s: %.4f of the peak", trace.name,
		       (double)held() / (double)peak);
		EXPECT_LE(held(), peak + peak / 10);
		tmk_trim(0);
		EXPECT_TRUE(all_zero());
	}
}

TEST(steps_of_varied_length_hold_half_more)
{
	static const unsigned int eighths[] = { 8, 3, 5, 2, 7, 4, 8, 6, 1, 7 };
	uint64_t peak;
	int nr, i;

	for (nr = 0; nr < TRACES_NR; nr++) {
		peak = load(nr);
		for (i = 0; i < 40; i++)
			ASSERT_EQ(0, step(eighths[i % 10]));
		TH_LOG("%s: %.4f of the peak", trace.name,
		       (double)held() / (double)peak);
		EXPECT_LE(held(), peak + peak / 2);
		tmk_trim(0);
	}
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

/* Training keeps most of what it makes for later: nothing is to be had at once. */
TEST(a_warm_training_step_is_placed_as_the_one_before)
{
	static char *before[TRACE_EVENTS];
	int nr, i;

	for (nr = 0; nr < TRACES_NR; nr++) {
		ASSERT_NE(0, load(nr));
		if (strncmp(trace.name, "gpt2", 4) != 0)
			continue;
		for (i = 0; i < 20; i++) {
			memcpy(before, blocks, sizeof(before));
			ASSERT_EQ(0, step(8));
		}
		for (i = 0; i < trace.nr; i++)
			if (trace.events[i].bytes > 160 << 10)
				EXPECT_EQ(before[trace.events[i].id],
					  blocks[trace.events[i].id]);
	}
	tmk_trim(0);
}

/* In a child: every trace warms up, then everything again with calls forbidden. */
static int steady(void *arg)
{
	static struct trace traces[TRACES_NR];
	size_t bytes, round;
	int nr, i;
	void *p;

	(void)arg;
	for (i = 0; i < 4; i++) {
		if (i == 3 && forbid_system_calls())
			return 4;
		for (nr = 0; nr < TRACES_NR; nr++) {
			if (!i && !load(nr))
				return 1;
			if (!i)
				traces[nr] = trace;
			trace = traces[nr];
			if (step(8))
				return 2;
		}
		for (bytes = 64 << 10; bytes <= 64 * MIB; bytes *= 4) {
			for (round = 0; round < 100; round++) {
				if (tmk_alloc(&p, bytes, NULL))
					return 3;
				*(char *)p = 1;
				if (tmk_free(p))
					return 3;
			}
		}
	}
	_exit(0);
}

TEST(a_warm_step_takes_no_system_call)
{
	if (SANITIZED)
		SKIP(return, "sanitizers make system calls of their own");
	EXPECT_EQ(0, in_child(steady, NULL));
}

TEST(a_warm_step_takes_no_page_fault)
{
	struct rusage before, after;
	int nr, i;

	for (nr = 0; nr < TRACES_NR; nr++) {
		ASSERT_NE(0, load(nr));
		for (i = 0; i < 30; i++) {
			getrusage(RUSAGE_SELF, &before);
			ASSERT_EQ(0, step(8));
			getrusage(RUSAGE_SELF, &after);
		}
		if (!SANITIZED)
			EXPECT_EQ(before.ru_minflt, after.ru_minflt);
	}
}

TEST_HARNESS_MAIN
