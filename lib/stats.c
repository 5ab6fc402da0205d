// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * One snapshot of what the library counts. Each counter is read atomically, all
 * of them together are not. Does not open the library: until it is open there
 * are no limits.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

/* The struct as it was first published ended here. */
#define STATS_FIRST_BYTES                            \
	(offsetof(struct tmk_stats, backend_calls) + \
	 sizeof(((struct tmk_stats *)NULL)->backend_calls))

int tmk_stats_snapshot(struct tmk_stats *out)
{
	struct tmk_stats all;
	size_t size;

	if (!out)
		return tmk__error(-EINVAL, "no struct tmk_stats to fill in");
	size = out->stats_size;
	if (size < STATS_FIRST_BYTES || size > sizeof(all))
		return tmk__error(-EINVAL,
				  "stats_size is %zu, this library knows %zu "
				  "(set it to sizeof(struct tmk_stats))",
				  size, sizeof(all));
	memset(&all, 0, sizeof(all));
	tmk__ledger_read(&all);
	all.stats_size = size;
	memcpy(out, &all, size);
	return 0;
}

const char *tmk_use_name(enum tmk_use use)
{
	static const char *const names[TMK_USE_NR] = {
		[TMK_USE_GENERAL] = "general",
		[TMK_USE_WORKSPACE] = "workspace",
		[TMK_USE_SPILL] = "spill",
		[TMK_USE_PINNED_ENTRY] = "pinned_entry",
		[TMK_USE_CACHE] = "cache",
		[TMK_USE_DEVICE] = "device",
	};

	return (unsigned int)use < TMK_USE_NR ? names[use] : "?";
}
