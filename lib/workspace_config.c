// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A workspace's configuration: what is refused, and the block sizes that
 * follow from it. Pure functions, no lock, no memory. A configuration is
 * checked whole when the workspace is created: nothing that was asked for is
 * ignored later, and nothing that this version lacks is accepted.
 *
 * Two options are read only under another one, as documented in
 * <tmk/workspace.h>: overallocation_limit with OVERALLOCATE, and
 * cycles_before_initialization with OVER_TIME.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

#define ALIGNMENT_DEFAULT 64
#define ALIGNMENT_LEAST 8
#define ALIGNMENT_MOST 4096 /* a block begins at a page, not higher */

/* 0 and TMK_UNLIMITED both say that there is no limit. */
static uint64_t limit_or_max(uint64_t limit)
{
	return limit ? limit : TMK_UNLIMITED;
}

/**
 * tmk__align_up() - round up to a power of two, never past the largest one
 * @bytes: what to round
 * @alignment: a power of two
 *
 * Return: the multiple; instead of overflowing, the largest multiple.
 */
uint64_t tmk__align_up(uint64_t bytes, uint64_t alignment)
{
	uint64_t mask = alignment - 1;

	return bytes > UINT64_MAX - mask ? ~mask : (bytes + mask) & ~mask;
}

/**
 * tmk__ws_size_cap() - the largest block that the configuration allows
 * @opts: checked options
 *
 * Return: a multiple of the alignment.
 */
uint64_t tmk__ws_size_cap(const struct tmk_workspace_opts *opts)
{
	uint64_t cap = limit_or_max(opts->max_bytes);

	if (limit_or_max(opts->max_total_bytes) < cap)
		cap = opts->max_total_bytes;
	return cap & ~((uint64_t)opts->alignment - 1);
}

/* need x (1 + limit), truncated; as large as can be instead of overflowing. */
static uint64_t add_headroom(const struct tmk_workspace_opts *opts,
			     uint64_t need)
{
	double extra;

	if (opts->allocation != TMK_WS_OVERALLOCATE)
		return need;
	extra = trunc((double)need * opts->overallocation_limit);
	if (extra >= (double)(UINT64_MAX - need))
		return UINT64_MAX;
	return need + (uint64_t)extra;
}

static uint64_t size_from(const struct tmk_workspace_opts *opts, uint64_t need)
{
	uint64_t size = add_headroom(opts, need);

	if (size < opts->min_bytes)
		size = opts->min_bytes;
	size = tmk__align_up(size, opts->alignment);
	return TMK__MIN(size, tmk__ws_size_cap(opts));
}

/**
 * tmk__ws_size_initial() - the block that a workspace begins with
 * @opts: checked options
 *
 * Return: its bytes, 0 for none.
 */
uint64_t tmk__ws_size_initial(const struct tmk_workspace_opts *opts)
{
	return opts->initial_bytes ? size_from(opts, opts->initial_bytes) : 0;
}

/**
 * tmk__ws_size_learned() - the block for cycles that need so much
 * @opts: checked options
 * @need: bytes of the largest cycle, 0 if none allocated yet
 *
 * Return: its bytes; 0 if nothing was learned and no minimum was given.
 */
uint64_t tmk__ws_size_learned(const struct tmk_workspace_opts *opts,
			      uint64_t need)
{
	return size_from(opts, need);
}

/**
 * tmk__ws_id_check() - is this a name for a workspace?
 * @id: the name
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int tmk__ws_id_check(const char *id)
{
	size_t i, len;

	if (!id || !*id)
		return tmk__error(-EINVAL, "a workspace needs an id");
	len = strnlen(id, TMK__WS_ID_BYTES);
	if (len == TMK__WS_ID_BYTES)
		return tmk__error(-EINVAL,
				  "the workspace id \"%.20s...\" is longer "
				  "than %d characters",
				  id, TMK__WS_ID_BYTES - 1);
	for (i = 0; i < len; i++) {
		if ((unsigned char)id[i] < 0x20 || id[i] == 0x7f)
			return tmk__error(-EINVAL,
					  "the workspace id has the control "
					  "character 0x%02x at %zu",
					  id[i], i);
	}
	return 0;
}

static int refuse_value(const char *field, int value)
{
	return tmk__error(-EINVAL,
			  "workspace option %s is %d, which is no "
			  "value of it",
			  field, value);
}

static int check_values(const struct tmk_workspace_opts *o)
{
	if (o->flags & ~TMK_WS_F_SHARED)
		return tmk__error(-EINVAL, "workspace flags 0x%x are unknown",
				  o->flags & ~TMK_WS_F_SHARED);
	if ((unsigned int)o->allocation > TMK_WS_STRICT)
		return refuse_value("allocation", (int)o->allocation);
	if ((unsigned int)o->spill > TMK_WS_SPILL_FAIL)
		return refuse_value("spill", (int)o->spill);
	if ((unsigned int)o->learning > TMK_WS_LEARN_NONE)
		return refuse_value("learning", (int)o->learning);
	if ((unsigned int)o->reset > TMK_WS_RESET_ENDOFBUFFER)
		return refuse_value("reset", (int)o->reset);
	if ((unsigned int)o->mirroring > TMK_WS_MIRROR_HOST_ONLY)
		return refuse_value("mirroring", (int)o->mirroring);
	if ((unsigned int)o->location > TMK_WS_LOCATION_FILE)
		return refuse_value("location", (int)o->location);
	if ((unsigned int)o->debug > TMK_WS_DEBUG_BYPASS_EVERYTHING)
		return refuse_value("debug", (int)o->debug);
	return 0;
}

static int check_alignment(const struct tmk_workspace_opts *o)
{
	uint32_t a = o->alignment;

	if (a & (a - 1) || a < ALIGNMENT_LEAST || a > ALIGNMENT_MOST)
		return tmk__error(-EINVAL,
				  "workspace alignment %" PRIu32 " is not a "
				  "power of two from %d to %d",
				  a, ALIGNMENT_LEAST, ALIGNMENT_MOST);
	return 0;
}

/* One "this is larger than that" sentence; a limit of 0 limits nothing. */
static int check_most(const char *what, uint64_t bytes, const char *limit_name,
		      uint64_t limit)
{
	if (bytes <= limit_or_max(limit))
		return 0;
	return tmk__error(-EINVAL,
			  "workspace option %s is %" PRIu64 " and %s is "
			  "%" PRIu64 ": the first must not be larger",
			  what, bytes, limit_name, limit);
}

static int check_sizes(const struct tmk_workspace_opts *o)
{
	int err;

	err = check_most("min_bytes", o->min_bytes, "max_bytes", o->max_bytes);
	if (!err)
		err = check_most("initial_bytes", o->initial_bytes, "max_bytes",
				 o->max_bytes);
	if (!err)
		err = check_most("min_bytes", o->min_bytes, "max_total_bytes",
				 o->max_total_bytes);
	if (!err)
		err = check_most("initial_bytes", o->initial_bytes,
				 "max_total_bytes", o->max_total_bytes);
	if (!err)
		err = check_most("alignment", o->alignment, "max_bytes",
				 o->max_bytes);
	if (!err)
		err = check_most("alignment", o->alignment, "max_total_bytes",
				 o->max_total_bytes);
	return err;
}

static int check_contradictions(const struct tmk_workspace_opts *o)
{
	double limit = o->overallocation_limit;
	bool ring = o->reset == TMK_WS_RESET_ENDOFBUFFER;

	if (!isfinite(limit) || limit < 0)
		return tmk__error(-EINVAL,
				  "workspace option overallocation_limit is "
				  "%g: it must be a number from 0 on",
				  limit);
	if (ring && o->allocation == TMK_WS_OVERALLOCATE &&
	    (limit < 1 || limit != trunc(limit)))
		return tmk__error(-EINVAL,
				  "workspace option overallocation_limit is "
				  "%g: a ring that overallocates needs a "
				  "whole number from 1 on",
				  limit);
	if (o->spill == TMK_WS_SPILL_FAIL && !o->initial_bytes &&
	    o->learning == TMK_WS_LEARN_NONE)
		return tmk__error(-EINVAL,
				  "a workspace with spill policy FAIL, no "
				  "initial_bytes and no learning could never "
				  "hold anything");
	if (o->location == TMK_WS_LOCATION_FILE &&
	    o->learning != TMK_WS_LEARN_NONE)
		return tmk__error(-EINVAL,
				  "a workspace in a file cannot learn its "
				  "size: set learning to NONE");
	if (o->location == TMK_WS_LOCATION_FILE && ring)
		return tmk__error(-EINVAL,
				  "a workspace in a file cannot be a ring");
	if (o->location == TMK_WS_LOCATION_FILE && o->path && o->temp_dir)
		return tmk__error(-EINVAL,
				  "workspace options path and temp_dir "
				  "contradict each other: one file has one "
				  "place");
	if (o->location == TMK_WS_LOCATION_FILE && !o->path &&
	    !o->initial_bytes)
		return tmk__error(-EINVAL,
				  "a workspace in an unnamed file needs "
				  "initial_bytes");
	if (o->location == TMK_WS_LOCATION_RAM && (o->path || o->temp_dir))
		return tmk__error(-EINVAL,
				  "workspace option %s is for location FILE, "
				  "and location is RAM",
				  o->path ? "path" : "temp_dir");
	return 0;
}

static int check_region(const struct tmk_workspace_opts *o)
{
	struct tmk_region_opts region = o->region;
	int err;

	if (region.kind == TMK_KIND_FILE)
		return tmk__error(-EINVAL,
				  "workspace option region.kind is FILE: a "
				  "workspace in a file is asked for with "
				  "location");
	if (!region.kind && (region.flags || region.page_bytes))
		return tmk__error(-EINVAL,
				  "workspace option region.kind is 0 (chosen "
				  "by size): flags and page_bytes need a kind");
	/* Now, and not when the first block has been learned. */
	if (!region.kind)
		region.kind = tmk__kind_for(1);
	err = tmk__region_opts_check(&region);
	return err ? tmk__error_wrap(err, "workspace option region") : 0;
}

/**
 * tmk__ws_opts_check() - take over a configuration, or say what is wrong
 * @out: the checked and normalised copy
 * @opts: what the caller gave, NULL for defaults
 *
 * Contradictions are looked for before what the backend lacks, so that a
 * configuration that can never work is always called that.
 *
 * Return: 0; -EINVAL or -EOPNOTSUPP with a sentence.
 */
int tmk__ws_opts_check(struct tmk_workspace_opts *out,
		       const struct tmk_workspace_opts *opts)
{
	const struct tmk_workspace_opts defaults = TMK_WORKSPACE_OPTS_INIT;
	int err;

	*out = defaults;
	err = tmk__opts_take(out, opts, sizeof(*out), sizeof(*out),
			     "workspace options");
	if (err)
		return err;
	if (!out->alignment)
		out->alignment = ALIGNMENT_DEFAULT;
	err = check_values(out);
	if (!err)
		err = check_alignment(out);
	if (!err)
		err = check_sizes(out);
	if (!err)
		err = check_contradictions(out);
	if (!err)
		err = check_region(out);
	/* What the program says of one workspace goes before the environment. */
	if (!err && out->debug == TMK_WS_DEBUG_DISABLED)
		out->debug = (enum tmk_ws_debug)
			tmk__env_choice(TMK__ENV_WORKSPACES_DEBUG, NULL);
	return err;
}
