/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * One snapshot of everything that the library counts in this process.
 */
#ifndef TMK_STATS_H
#define TMK_STATS_H

#include <tmk/base.h>
#include <tmk/region.h>

/* What memory is held for. Every charged byte has exactly one use. */
enum tmk_use {
	TMK_USE_GENERAL = 0, /* regions and tensors of the program */
	TMK_USE_WORKSPACE, /* workspace blocks */
	TMK_USE_SPILL, /* what did not fit in a workspace's block */
	TMK_USE_PINNED_ENTRY, /* what did not fit in a ring's block */
	TMK_USE_CACHE, /* free memory that the library keeps */
	TMK_USE_DEVICE, /* mirrors on a device */
	TMK_USE_NR
};

/**
 * struct tmk_counter - one counter of the ledger
 * @current: bytes now
 * @peak: the most bytes at any time
 */
struct tmk_counter {
	uint64_t current;
	uint64_t peak;
};

/**
 * struct tmk_stats - the snapshot
 * @stats_size: sizeof(struct tmk_stats) as the caller knows it; set by caller
 * @total: all bytes charged to the process limit
 * @physical: those that occupy RAM
 * @by_use: @total by use
 * @by_kind: @total by enum tmk_kind
 * @max_bytes: the process limit on @total; TMK_UNLIMITED until the library is
 *	opened for the first time
 * @max_physical_bytes: the process limit on @physical
 * @refused: requests that a limit refused; one that then found another way, for
 *	example by dropping the reservation, does not count
 * @regions: regions alive
 * @regions_created: regions ever created: flat in a warmed-up loop
 * @backend_calls: system calls made by the library: flat in a warmed-up loop
 */
struct tmk_stats {
	size_t stats_size;
	struct tmk_counter total;
	struct tmk_counter physical;
	struct tmk_counter by_use[TMK_USE_NR];
	struct tmk_counter by_kind[TMK_KIND_NR];
	uint64_t max_bytes;
	uint64_t max_physical_bytes;
	uint64_t refused;
	uint64_t regions;
	uint64_t regions_created;
	uint64_t backend_calls;
};

/**
 * tmk_stats_snapshot() - read all counters
 * @out: filled in up to @out->stats_size, which the caller sets
 *
 * Each counter is read atomically, all of them together are not. Does not open
 * the library.
 *
 * Return: 0, -EINVAL if @stats_size is too small or too large.
 */
TMK_API int tmk_stats_snapshot(struct tmk_stats *out);

/** tmk_use_name() - "general", "workspace", "spill", ... */
TMK_API const char *tmk_use_name(enum tmk_use use);

/* How statistics are written. */
enum tmk_stats_format {
	TMK_STATS_TEXT = 0, /* for people */
	TMK_STATS_JSON, /* one object */
	TMK_STATS_PROMETHEUS, /* the text exposition format */
};

/**
 * tmk_stats_holders() - who holds how much, the largest first
 * @nr: how many there are, at most @max
 * @out: filled in: names of regions, purposes of blocks, uses of what has neither
 * @max: room in @out
 *
 * Together they are all bytes that are charged. Peaks of blocks are those that
 * were seen when somebody asked.
 *
 * Return: 0 or -EINVAL.
 */
TMK_API int tmk_stats_holders(size_t *nr, struct tmk_holder *out, size_t max);

/**
 * tmk_stats_write() - write all counters to a descriptor
 * @fd: where to
 * @format: how
 *
 * With TMK_STATS=exit in the environment a program that uses the library does
 * so on its standard error when it exits.
 *
 * Return: 0; -EINVAL for another format; -ENOMEM; or what write() failed with.
 */
TMK_API int tmk_stats_write(int fd, enum tmk_stats_format format);

#endif /* TMK_STATS_H */
