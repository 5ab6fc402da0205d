// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Hierarchical byte counters with limits.
 *
 * The shape is that of mm/page_counter.c, which modules cannot use, with one
 * difference: page_counter adds first and looks at the limit afterwards, so
 * that a reader can see more than the limit for a moment. Here a compare and
 * exchange never lets the usage of a counter exceed its limit. The price is
 * paid where nobody notices it: regions are created rarely.
 *
 * There is no lock. The tree above a counter must stay in place while it is
 * charged; group.c guarantees that by reference counts. This file knows
 * nothing of cgroups or memory, so that it can be compiled and hammered in
 * user space (tests/shim).
 */

#include <linux/bug.h>

#include "acct.h"

/* Larger charges would let sums of a few of them overflow. */
#define KTMK_CHARGE_MAX ((u64)S64_MAX / 2)

/**
 * ktmk_counter_init() - an unlimited counter with nothing in use
 * @counter: the counter
 * @parent: what it adds up into, or NULL
 */
void ktmk_counter_init(struct ktmk_counter *counter,
		       struct ktmk_counter *parent)
{
	atomic64_set(&counter->usage, 0);
	atomic64_set(&counter->peak, 0);
	counter->max = KTMK_UNLIMITED;
	counter->parent = parent;
}

/* Add @bytes to one counter if its limit allows that. */
static bool counter_add(struct ktmk_counter *counter, u64 bytes)
{
	s64 old = atomic64_read(&counter->usage);

	do {
		u64 max = READ_ONCE(counter->max);

		/* A limit below the use refuses everything but nothing. */
		if (bytes && ((u64)old > max || bytes > max - old))
			return false;
		if (bytes > KTMK_CHARGE_MAX - old)
			return false;
	} while (!atomic64_try_cmpxchg(&counter->usage, &old, old + bytes));

	return true;
}

static void counter_sub(struct ktmk_counter *counter, u64 bytes)
{
	s64 left = atomic64_sub_return(bytes, &counter->usage);

	/* Only a bug of ours gets here; zero is better than 16 EiB in use. */
	if (WARN_ONCE(left < 0, "tmk: counter underflow: %lld\n", left))
		atomic64_set(&counter->usage, 0);
}

static void counter_raise_peak(struct ktmk_counter *counter)
{
	s64 usage = atomic64_read(&counter->usage);
	s64 peak = atomic64_read(&counter->peak);

	while (usage > peak)
		if (atomic64_try_cmpxchg(&counter->peak, &peak, usage))
			break;
}

/**
 * ktmk_counter_try_charge() - charge a counter and everything above it
 * @counter: the lowest counter
 * @bytes: how much
 * @fail: set to the first counter, from below, whose limit refused
 *
 * While a charge that an ancestor is about to refuse is on its way up, the
 * counters below carry it, and a concurrent charge may be refused by them that
 * would have fitted a moment later. That is the only imprecision, it errs on
 * the safe side, and a retry clears it up.
 *
 * Peaks are raised after the whole path agreed, so that a refused charge leaves
 * no trace of its own. A concurrent uncharge can hide a peak that lasted an
 * instant, and what a concurrent charge carried for an instant before an
 * ancestor refused it can be part of one; no peak ever exceeds its own limit.
 *
 * Context: any.
 * Return: true if charged; false if refused, in which case nothing changed.
 */
bool ktmk_counter_try_charge(struct ktmk_counter *counter, u64 bytes,
			     struct ktmk_counter **fail)
{
	struct ktmk_counter *c;

	for (c = counter; c; c = c->parent) {
		if (!counter_add(c, bytes)) {
			*fail = c;
			goto undo;
		}
	}
	for (c = counter; c; c = c->parent)
		counter_raise_peak(c);
	return true;

undo:
	for (c = counter; c != *fail; c = c->parent)
		counter_sub(c, bytes);
	return false;
}

/**
 * ktmk_counter_uncharge() - give back what was charged
 * @counter: the counter that was charged
 * @bytes: how much of it
 *
 * Context: any.
 */
void ktmk_counter_uncharge(struct ktmk_counter *counter, u64 bytes)
{
	for (; counter; counter = counter->parent)
		counter_sub(counter, bytes);
}

/**
 * ktmk_counter_reset_peak() - begin again with what is in use now
 * @counter: the counter
 *
 * A charge that came in between may have seen the old peak and left it; so the
 * use is looked at once more afterwards.
 *
 * Context: any.
 */
void ktmk_counter_reset_peak(struct ktmk_counter *counter)
{
	s64 peak = atomic64_read(&counter->peak);
	s64 usage;

	do {
		usage = atomic64_read(&counter->usage);
	} while (!atomic64_try_cmpxchg(&counter->peak, &peak, usage));
	counter_raise_peak(counter);
}

/**
 * ktmk_counter_set_max() - change the limit
 * @counter: the counter
 * @max: the new limit, possibly below the use: that refuses later charges only
 */
void ktmk_counter_set_max(struct ktmk_counter *counter, u64 max)
{
	WRITE_ONCE(counter->max, max);
}

/**
 * ktmk_counter_tightest() - the limit that a charge would hit first
 * @counter: where to start
 *
 * Return: of @counter and everything above it the counter with the least room,
 * the lowest of several; NULL if none has a limit.
 */
struct ktmk_counter *ktmk_counter_tightest(struct ktmk_counter *counter)
{
	struct ktmk_counter *tightest = NULL;
	u64 least = KTMK_UNLIMITED;

	for (; counter; counter = counter->parent) {
		u64 max = ktmk_counter_max(counter);
		u64 usage = ktmk_counter_read(counter);
		u64 room = usage < max ? max - usage : 0;

		if (max != KTMK_UNLIMITED && room < least) {
			least = room;
			tightest = counter;
		}
	}
	return tightest;
}
