/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * A hierarchical byte counter with a limit: see acct.c.
 */
#ifndef KTMK_ACCT_H
#define KTMK_ACCT_H

#include <linux/atomic.h>
#include <linux/limits.h>
#include <linux/types.h>

/* "No limit". Charges are kept below 2^62, so this can never be reached. */
#define KTMK_UNLIMITED U64_MAX

/**
 * struct ktmk_counter - bytes in use by a group and all of its descendants
 * @usage: bytes now
 * @peak: the highest @usage that a successful charge led to
 * @max: limit on @usage
 * @parent: the counter of the parent group, NULL at the top
 */
struct ktmk_counter {
	atomic64_t usage;
	atomic64_t peak;
	u64 max;
	struct ktmk_counter *parent;
};

void ktmk_counter_init(struct ktmk_counter *counter,
		       struct ktmk_counter *parent);
bool ktmk_counter_try_charge(struct ktmk_counter *counter, u64 bytes,
			     struct ktmk_counter **fail);
void ktmk_counter_uncharge(struct ktmk_counter *counter, u64 bytes);
void ktmk_counter_set_max(struct ktmk_counter *counter, u64 max);
void ktmk_counter_reset_peak(struct ktmk_counter *counter);
struct ktmk_counter *ktmk_counter_tightest(struct ktmk_counter *counter);

/**
 * ktmk_counter_read() - bytes in use
 * @counter: the counter
 *
 * Return: bytes.
 */
static inline u64 ktmk_counter_read(const struct ktmk_counter *counter)
{
	return atomic64_read(&counter->usage);
}

/**
 * ktmk_counter_peak() - the highest use
 * @counter: the counter
 *
 * Return: bytes.
 */
static inline u64 ktmk_counter_peak(const struct ktmk_counter *counter)
{
	return atomic64_read(&counter->peak);
}

/**
 * ktmk_counter_max() - the limit
 * @counter: the counter
 *
 * Return: bytes or KTMK_UNLIMITED.
 */
static inline u64 ktmk_counter_max(const struct ktmk_counter *counter)
{
	return READ_ONCE(counter->max);
}

#endif /* KTMK_ACCT_H */
