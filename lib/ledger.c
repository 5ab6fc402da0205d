// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The ledger: every byte that this process holds through the library, and the
 * two limits on them. Bytes are charged before they are asked of a backend and
 * uncharged after they are gone, so that what the ledger says is never less
 * than what is held.
 *
 * There is no lock. A counter with a limit is raised by compare and exchange
 * and never exceeds the limit that was in force when it was read, not even for
 * a moment. A request that the second limit refuses is taken out of the first
 * counter again: for that moment another request may be refused, none may be
 * let in. by_use and by_kind have no limits and follow right after; a reader in
 * between may find that they do not add up.
 *
 * fork(): the child starts with a copy of the ledger that it alone changes.
 * What it inherits stays mapped in both, so both count it, and each takes its
 * own count back with its own mapping. Limits are per process.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "internal.h"

struct counter {
	_Atomic uint64_t current;
	_Atomic uint64_t peak;
};

static struct {
	struct counter total;
	struct counter physical;
	struct counter by_use[TMK_USE_NR];
	struct counter by_kind[TMK_KIND_NR];
	_Atomic uint64_t max;
	_Atomic uint64_t physical_max;
	_Atomic uint64_t regions;
	_Atomic uint64_t regions_created;
} ledger = { .max = TMK_UNLIMITED, .physical_max = TMK_UNLIMITED };

static void counter_raise_peak(struct counter *c, uint64_t value)
{
	uint64_t peak = atomic_load_explicit(&c->peak, memory_order_relaxed);

	while (value > peak)
		if (atomic_compare_exchange_weak(&c->peak, &peak, value))
			break;
}

/*
 * Return: false if that would exceed @max; @now is what is in use then, and
 * what is in use with @bytes otherwise.
 */
static bool counter_try_add(struct counter *c, uint64_t bytes, uint64_t max,
			    uint64_t *now)
{
	uint64_t old = atomic_load(&c->current);

	do {
		*now = old;
		if (old > max || bytes > max - old)
			return false;
	} while (!atomic_compare_exchange_weak(&c->current, &old, old + bytes));
	*now = old + bytes;
	return true;
}

static void counter_add(struct counter *c, uint64_t bytes)
{
	counter_raise_peak(c, atomic_fetch_add(&c->current, bytes) + bytes);
}

static void counter_sub(struct counter *c, uint64_t bytes)
{
	uint64_t old = atomic_fetch_sub(&c->current, bytes);

	if (old < bytes)
		tmk__bug("%" PRIu64 " bytes taken out of a counter of %" PRIu64,
			 bytes, old);
}

static int refuse(enum tmk_kind kind, enum tmk_limit limit, uint64_t asked,
		  uint64_t used, uint64_t max)
{
	enum tmk__env env = limit == TMK_LIMIT_PROCESS ?
				    TMK__ENV_MAX_BYTES :
				    TMK__ENV_MAX_PHYSICAL_BYTES;
	struct tmk_refusal r = {
		.limit = limit,
		.asked = asked,
		.used = used,
		.max = max,
	};
	char what[32];

	r.holders_nr = tmk__purpose_top(r.holders, TMK_HOLDERS_NR);
	snprintf(r.where, sizeof(r.where), "%s", tmk__env_name(env));
	snprintf(what, sizeof(what), "a %s region", tmk_kind_name(kind));
	return tmk__refuse(-ENOMEM, what, &r);
}

/**
 * tmk__ledger_set_limits() - set both limits, also below what is in use
 * @max: on all bytes
 * @physical_max: on bytes that occupy RAM
 */
void tmk__ledger_set_limits(uint64_t max, uint64_t physical_max)
{
	atomic_store(&ledger.max, max);
	atomic_store(&ledger.physical_max, physical_max);
	tmk__wait_release();
}

/**
 * tmk__ledger_over() - is more held than the limits allow by now?
 *
 * Return: true if a limit was set below what was in use.
 */
bool tmk__ledger_over(void)
{
	return atomic_load(&ledger.total.current) > atomic_load(&ledger.max) ||
	       atomic_load(&ledger.physical.current) >
		       atomic_load(&ledger.physical_max);
}

/**
 * tmk__ledger_charge() - charge bytes that are about to be allocated
 * @kind: of which kind
 * @use: what for
 * @bytes: how many
 * @physical: how many of them occupy RAM
 *
 * Return: 0, or -ENOMEM with a sentence, and nothing is charged.
 */
int tmk__ledger_charge(enum tmk_kind kind, enum tmk_use use, uint64_t bytes,
		       uint64_t physical)
{
	uint64_t max = atomic_load(&ledger.max);
	uint64_t physical_max = atomic_load(&ledger.physical_max);
	uint64_t total_now, physical_now;

	if (!counter_try_add(&ledger.total, bytes, max, &total_now))
		return refuse(kind, TMK_LIMIT_PROCESS, bytes, total_now, max);
	if (!counter_try_add(&ledger.physical, physical, physical_max,
			     &physical_now)) {
		counter_sub(&ledger.total, bytes);
		return refuse(kind, TMK_LIMIT_PROCESS_PHYSICAL, physical,
			      physical_now, physical_max);
	}
	counter_raise_peak(&ledger.total, total_now);
	counter_raise_peak(&ledger.physical, physical_now);
	counter_add(&ledger.by_use[use], bytes);
	counter_add(&ledger.by_kind[kind], bytes);
	return 0;
}

/**
 * tmk__ledger_uncharge() - the reverse, after the bytes are gone
 * @kind: as charged
 * @use: as charged or moved to
 * @bytes: as charged
 * @physical: as charged
 */
void tmk__ledger_uncharge(enum tmk_kind kind, enum tmk_use use, uint64_t bytes,
			  uint64_t physical)
{
	counter_sub(&ledger.by_kind[kind], bytes);
	counter_sub(&ledger.by_use[use], bytes);
	counter_sub(&ledger.physical, physical);
	counter_sub(&ledger.total, bytes);
	tmk__wait_release();
}

/**
 * tmk__ledger_charge_physical() - bytes that are charged are to occupy RAM again
 * @kind: of which kind
 * @bytes: how many
 *
 * Return: 0, or -ENOMEM with a sentence, and nothing is charged.
 */
int tmk__ledger_charge_physical(enum tmk_kind kind, uint64_t bytes)
{
	uint64_t max = atomic_load(&ledger.physical_max), now;

	if (!counter_try_add(&ledger.physical, bytes, max, &now))
		return refuse(kind, TMK_LIMIT_PROCESS_PHYSICAL, bytes, now,
			      max);
	counter_raise_peak(&ledger.physical, now);
	return 0;
}

/**
 * tmk__ledger_uncharge_physical() - they are not in RAM any more
 * @bytes: how many
 */
void tmk__ledger_uncharge_physical(uint64_t bytes)
{
	counter_sub(&ledger.physical, bytes);
	tmk__wait_release();
}

/**
 * tmk__ledger_move() - bytes are held for something else from now on
 * @from: what for until now
 * @to: what for
 * @bytes: how many
 */
void tmk__ledger_move(enum tmk_use from, enum tmk_use to, uint64_t bytes)
{
	counter_sub(&ledger.by_use[from], bytes);
	counter_add(&ledger.by_use[to], bytes);
}

/** tmk__ledger_region_add() - a region was made */
void tmk__ledger_region_add(void)
{
	atomic_fetch_add(&ledger.regions_created, 1);
	atomic_fetch_add(&ledger.regions, 1);
}

/** tmk__ledger_region_remove() - a region is gone */
void tmk__ledger_region_remove(void)
{
	if (!atomic_fetch_sub(&ledger.regions, 1))
		tmk__bug("a region went that never came");
}

static struct tmk_counter counter_read(struct counter *c)
{
	struct tmk_counter out;

	out.current = atomic_load(&c->current);
	out.peak = atomic_load(&c->peak);
	return out;
}

/** tmk__ledger_total() - what is held. Return: bytes. */
uint64_t tmk__ledger_total(void)
{
	return atomic_load(&ledger.total.current);
}

/**
 * tmk__ledger_read() - read every counter
 * @out: filled in, but for stats_size
 */
void tmk__ledger_read(struct tmk_stats *out)
{
	uint64_t held[TMK__PURPOSES], lent, general;
	int i;

	out->total = counter_read(&ledger.total);
	out->physical = counter_read(&ledger.physical);
	for (i = 0; i < TMK_USE_NR; i++)
		out->by_use[i] = counter_read(&ledger.by_use[i]);
	for (i = 0; i < TMK_KIND_NR; i++)
		out->by_kind[i] = counter_read(&ledger.by_kind[i]);
	out->max_bytes = atomic_load(&ledger.max);
	out->max_physical_bytes = atomic_load(&ledger.physical_max);
	out->refused = tmk__refusals();
	out->regions = atomic_load(&ledger.regions);
	out->regions_created = atomic_load(&ledger.regions_created);
	out->backend_calls = tmk__calls();
	/* What the allocator handed out is charged as cache. */
	lent = tmk__purpose_read(held, out->total.current);
	lent = TMK__MIN(lent, out->by_use[TMK_USE_CACHE].current);
	out->by_use[TMK_USE_CACHE].current -= lent;
	/* Read one after the other: what was in both would be more than all. */
	general = out->by_use[TMK_USE_GENERAL].current + lent;
	general = TMK__MIN(general, out->total.current);
	out->by_use[TMK_USE_GENERAL].current = general;
	counter_raise_peak(&ledger.by_use[TMK_USE_GENERAL], general);
	out->by_use[TMK_USE_GENERAL].peak =
		atomic_load(&ledger.by_use[TMK_USE_GENERAL].peak);
}
