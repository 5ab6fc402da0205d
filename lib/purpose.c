// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What memory is held for, by name: the name of a region, the purpose of a
 * block; what has none is counted under its use. Each charged byte has one.
 *
 * A name gets a number when it is first used and keeps it for ever; a block's
 * number is kept in its state, so there are not more of them than that has room
 * for. Names beyond are "other".
 *
 * Lock: purpose_lock guards the names; a number that was given out may be looked
 * up without. Nothing is locked inside. Counters are atomic.
 */
#include <pthread.h>
#include <string.h>

#include "internal.h"

#define OTHER ((unsigned int)TMK_USE_NR)

static pthread_mutex_t purpose_lock = PTHREAD_MUTEX_INITIALIZER;
static char names[TMK__PURPOSES][TMK_NAME_BYTES]; /* behind those of uses */
static atomic_uint names_nr = OTHER + 1;
static _Atomic uint64_t current[TMK__PURPOSES];
static _Atomic uint64_t peak[TMK__PURPOSES];
static _Atomic(const struct tmk__lender *) lender;

/** tmk__purpose_lock() - for fork(): a child finds it free */
void tmk__purpose_lock(void)
{
	pthread_mutex_lock(&purpose_lock);
}

/** tmk__purpose_unlock() - the other half */
void tmk__purpose_unlock(void)
{
	pthread_mutex_unlock(&purpose_lock);
}

/* Of a number that was given out; the first ones are those of uses. */
static const char *name_of(unsigned int purpose)
{
	if (purpose < OTHER)
		return tmk_use_name((enum tmk_use)purpose);
	return purpose == OTHER ? "other" : names[purpose];
}

/**
 * tmk__purpose_find() - the number of a name
 * @name: the name, checked; NULL or "" for none
 * @use: what is counted under then
 *
 * Return: its number; that of "other" if there are too many.
 */
uint8_t tmk__purpose_find(const char *name, enum tmk_use use)
{
	unsigned int nr, i;

	if (!name || !*name)
		return (uint8_t)use;
	pthread_mutex_lock(&purpose_lock);
	nr = atomic_load(&names_nr);
	for (i = 0; i < nr && strcmp(name_of(i), name) != 0; i++)
		;
	if (i == TMK__PURPOSES) {
		i = OTHER;
	} else if (i == nr) {
		snprintf(names[i], sizeof(names[i]), "%s", name);
		atomic_store(&names_nr, nr + 1);
	}
	pthread_mutex_unlock(&purpose_lock);
	return (uint8_t)i;
}

static void peak_raise(unsigned int purpose, uint64_t value)
{
	uint64_t old =
		atomic_load_explicit(&peak[purpose], memory_order_relaxed);

	while (value > old)
		if (atomic_compare_exchange_weak(&peak[purpose], &old, value))
			break;
}

/**
 * tmk__purpose_add() - bytes are held for something
 * @purpose: its number
 * @bytes: how many
 */
void tmk__purpose_add(unsigned int purpose, uint64_t bytes)
{
	peak_raise(purpose, atomic_fetch_add(&current[purpose], bytes) + bytes);
}

/**
 * tmk__purpose_sub() - they are not any more
 * @purpose: its number
 * @bytes: how many
 */
void tmk__purpose_sub(unsigned int purpose, uint64_t bytes)
{
	atomic_fetch_sub(&current[purpose], bytes);
}

/**
 * tmk__purpose_lender() - who lends out parts of what is charged as cache
 * @who: asked how much
 */
void tmk__purpose_lender(const struct tmk__lender *who)
{
	atomic_store(&lender, who);
}

/**
 * tmk__purpose_read() - what is held for each purpose now
 * @out: bytes by number
 * @total: what is held at a time while this is called, which bounds each of them: what
 *	is lent is known of another moment than the rest, and what was given back and
 *	allocated anew in between would count twice
 *
 * Return: bytes that are charged as cache and held for something else.
 */
uint64_t tmk__purpose_read(uint64_t out[TMK__PURPOSES], uint64_t total)
{
	const struct tmk__lender *who = atomic_load(&lender);
	int64_t by_purpose[TMK__PURPOSES] = { 0 }, sum = 0;
	unsigned int i;
	uint64_t cache;

	if (who)
		who->lent(by_purpose);
	for (i = 0; i < TMK__PURPOSES; i++) {
		/* Threads go on meanwhile: one may have freed already. */
		by_purpose[i] = TMK__MAX(by_purpose[i], 0);
		out[i] = atomic_load(&current[i]) + (uint64_t)by_purpose[i];
		out[i] = TMK__MIN(out[i], total);
		sum += by_purpose[i];
		peak_raise(i, out[i]);
	}
	cache = out[TMK_USE_CACHE];
	out[TMK_USE_CACHE] = cache - TMK__MIN((uint64_t)sum, cache);
	return TMK__MIN((uint64_t)sum, cache);
}

/**
 * tmk__purpose_top() - who holds most
 * @out: the holders, the largest first
 * @nr: how many at most
 *
 * Return: how many there are.
 */
unsigned int tmk__purpose_top(struct tmk_holder *out, unsigned int nr)
{
	uint64_t held[TMK__PURPOSES];
	unsigned int found, best, i;

	(void)tmk__purpose_read(held, tmk__ledger_total());
	for (found = 0; found < nr; found++) {
		best = 0;
		for (i = 1; i < TMK__PURPOSES; i++)
			if (held[i] > held[best])
				best = i;
		if (!held[best])
			break;
		out[found].bytes = held[best];
		out[found].peak = atomic_load(&peak[best]);
		snprintf(out[found].name, sizeof(out[found].name), "%s",
			 name_of(best));
		held[best] = 0;
	}
	return found;
}
