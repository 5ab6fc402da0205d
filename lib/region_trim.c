// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Holes: parts of a region whose memory was given back.
 *
 * The ledger is told by those who trim and fill, not by those who touch: a hole
 * cannot be accessed where the region is mapped, so that no byte comes back to
 * RAM that was not charged before. Which pages are holes is known by bits; a
 * region that was never trimmed has none. An imported region's memory is charged
 * to its creator, so its holes are bits only.
 *
 * Lock: trim_lock guards the bits and the bytes charged as physical of all
 * regions. It is held while memory is given back and got, before all locks but the
 * device's. fork() takes it. Nobody waits for room under it.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"

static pthread_mutex_t trim_lock = PTHREAD_MUTEX_INITIALIZER;

/** tmk__region_trim_lock() - for fork(): a child finds it free */
void tmk__region_trim_lock(void)
{
	pthread_mutex_lock(&trim_lock);
}

/** tmk__region_trim_unlock() - the other half */
void tmk__region_trim_unlock(void)
{
	pthread_mutex_unlock(&trim_lock);
}

/**
 * struct part - a part of a region, in pages
 * @region: the region
 * @begin: first page
 * @end: page after the last
 */
struct part {
	struct tmk_region *region;
	uint64_t begin;
	uint64_t end;
};

static int part_take(struct part *out, struct tmk_region *region, size_t offset,
		     size_t bytes)
{
	uint64_t page, length;

	if (!region)
		return tmk__error(-EINVAL, "no region to trim or to fill");
	page = region->b.page_bytes;
	length = region->b.bytes;
	if (!(region->b.flags & TMK_REGION_F_TRIM))
		return tmk__error(-EOPNOTSUPP,
				  "the region was not created with "
				  "TMK_REGION_F_TRIM");
	if (region->b.readonly)
		return tmk__error(-EACCES, "the region can only be read");
	if (!bytes || (offset | bytes) & (page - 1) || offset > length ||
	    bytes > length - offset)
		return tmk__error(-EINVAL,
				  "%zu bytes from %zu on are no pages of a "
				  "region that has %" PRIu64
				  " bytes in pages of %" PRIu64,
				  bytes, offset, length, page);
	*out = (struct part){ region, offset / page, (offset + bytes) / page };
	return 0;
}

static bool hole_at(const struct tmk_region *region, uint64_t page)
{
	return region->holes && region->holes[page / 64] >> page % 64 & 1;
}

static void holes_set(const struct part *part, bool hole)
{
	uint64_t *holes = part->region->holes, page, bit;

	for (page = part->begin; page < part->end; page++) {
		bit = UINT64_C(1) << page % 64;
		if (hole)
			holes[page / 64] |= bit;
		else
			holes[page / 64] &= ~bit;
	}
}

/* Bytes of a part that are holes. */
static uint64_t holes_bytes(const struct part *part)
{
	uint64_t page, nr = 0;

	for (page = part->begin; page < part->end; page++)
		nr += hole_at(part->region, page);
	return nr * part->region->b.page_bytes;
}

static int holes_reserve(struct tmk_region *region)
{
	uint64_t pages = region->b.bytes / region->b.page_bytes;

	if (region->holes)
		return 0;
	region->holes = tmk__fault("holes") ?
				NULL :
				calloc((pages + 63) / 64, sizeof(uint64_t));
	if (!region->holes)
		return tmk__error(-ENOMEM, "no memory to trim a region");
	return 0;
}

/* Under trim_lock. */
static int part_trim(uint64_t *out, const struct part *part)
{
	struct tmk_region *region = part->region;
	uint64_t page = region->b.page_bytes, bytes;
	int err;

	bytes = (part->end - part->begin) * page - holes_bytes(part);
	*out = bytes;
	if (!bytes)
		return 0;
	err = holes_reserve(region);
	if (!err)
		err = region->ops->region_trim(&region->b, part->begin * page,
					       (part->end - part->begin) *
						       page);
	if (err)
		return err;
	holes_set(part, true);
	if (region->imported)
		return 0;
	region->physical -= bytes;
	tmk__ledger_uncharge_physical(bytes);
	return 0;
}

int tmk_region_trim(uint64_t *out, struct tmk_region *region, size_t offset,
		    size_t bytes)
{
	struct part part;
	uint64_t trimmed;
	int err;

	err = part_take(&part, region, offset, bytes);
	if (err)
		return err;
	pthread_mutex_lock(&trim_lock);
	err = part_trim(&trimmed, &part);
	pthread_mutex_unlock(&trim_lock);
	if (!err && out)
		*out = trimmed;
	return err;
}

/* The next run of holes from @from on. Return: false if there is none. */
static bool run_next(struct part *run, const struct part *part, uint64_t from)
{
	*run = (struct part){ part->region, from, from };
	while (run->begin < part->end && !hole_at(part->region, run->begin))
		run->begin++;
	run->end = run->begin;
	while (run->end < part->end && hole_at(part->region, run->end))
		run->end++;
	return run->begin < run->end;
}

static int run_do(int (*op)(const struct tmk__backend_region *region,
			    uint64_t offset, uint64_t bytes),
		  const struct part *run)
{
	const struct tmk__backend_region *b = &run->region->b;

	return op(b, run->begin * b->page_bytes,
		  (run->end - run->begin) * b->page_bytes);
}

/* All of the holes, or none. */
static int holes_fill(const struct part *part)
{
	const struct tmk__backend_ops *ops = part->region->ops;
	struct part run, done = *part;
	struct tmk__error_state state;
	int err = 0;

	for (run.end = part->begin; run_next(&run, part, run.end);) {
		err = run_do(ops->region_fill, &run);
		if (err)
			break;
	}
	if (!err)
		return 0;
	tmk__error_save(&state);
	done.end = run.begin;
	for (run.end = done.begin; run_next(&run, &done, run.end);)
		(void)run_do(ops->region_trim, &run);
	tmk__error_restore(&state);
	return err;
}

/* Under trim_lock. */
static int part_fill(const struct part *part)
{
	struct tmk_region *region = part->region;
	uint64_t bytes = holes_bytes(part);
	uint64_t charge = region->imported ? 0 : bytes;
	int err;

	if (!bytes)
		return 0;
	err = charge ? tmk__ledger_charge_physical(region->b.kind, charge) : 0;
	if (err)
		return err;
	err = holes_fill(part);
	if (err) {
		tmk__ledger_uncharge_physical(charge);
		return err;
	}
	region->physical += charge;
	holes_set(part, false);
	return 0;
}

/*
 * Memory that was touched and could not be had: the module does not say who
 * refused, so whoever has no room for it is asked for.
 */
static int fill_explain(int err, struct tmk__device *device,
			const struct part *part)
{
	const struct tmk__backend_region *b = &part->region->b;
	struct tmk_limits_effective limits = { TMK__ROOM_NONE, TMK__ROOM_NONE,
					       TMK__ROOM_NONE };
	struct tmk_refusal r;
	int failed;

	if (err != -ENOMEM || !tmk_refusal_last(&r) ||
	    tmk__device_ops(device) != part->region->ops)
		return err;
	failed = part->region->ops->limits(tmk__device_state(device), &limits);
	if (failed || holes_bytes(part) <= limits.physical.room)
		return err;
	r = (struct tmk_refusal){
		.limit = limits.physical.limit,
		.asked = holes_bytes(part),
		.used = limits.physical.used,
		.max = limits.physical.max,
	};
	memcpy(r.where, limits.physical.where, sizeof(r.where));
	return tmk__refuse(r.limit == TMK_LIMIT_CGROUP_PHYSICAL ? -EDQUOT :
								  -ENOMEM,
			   tmk__backend_what(b->kind), &r);
}

/**
 * struct filling - holes to be filled
 * @part: where
 * @device: the library
 */
struct filling {
	struct part part;
	struct tmk__device *device;
};

static int fill_once(const struct filling *filling)
{
	int err;

	pthread_mutex_lock(&trim_lock);
	err = part_fill(&filling->part);
	err = fill_explain(err, filling->device, &filling->part);
	pthread_mutex_unlock(&trim_lock);
	return err;
}

/* What is held for nobody goes first. */
static int fill_hard(void *arg)
{
	const struct filling *filling = arg;
	struct tmk__error_state before;
	struct tmk_refusal r;
	int err;

	tmk__error_save(&before);
	err = fill_once(filling);
	/* Whoever refused has room by now, so that nobody could be named. */
	if (err == -ENOMEM && tmk_refusal_last(&r))
		err = fill_once(filling);
	if ((err != -ENOMEM && err != -EDQUOT) || !tmk__cache_drop())
		return err;
	tmk__error_restore(&before);
	return fill_once(filling);
}

int tmk_region_fill(struct tmk_region *region, size_t offset, size_t bytes)
{
	struct filling filling;
	int err;

	err = part_take(&filling.part, region, offset, bytes);
	if (!err)
		err = tmk__device_get(&filling.device);
	if (err)
		return err;
	err = tmk__wait(fill_hard, &filling);
	tmk__device_put(filling.device);
	return err ? tmk__error_wrap(err, "cannot fill what was trimmed") : 0;
}
