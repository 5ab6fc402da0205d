/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What tests of stitched blocks share: memory that is free in pieces, and blocks
 * whose every page says which it is.
 */
#ifndef TMK_TESTS_UNIT_STITCH_H
#define TMK_TESTS_UNIT_STITCH_H

#include "util.h"

#include "alloc/heap.h"

#define WHOLE \
	(18 * MIB) /* more than any of the pieces, less than all of them */
#define MORE (WHOLE + 5 * MIB) /* more than all of them */
#define LIVE ((size_t)192 << 10) /* a thread does not keep it for long */

static TAP_UNUSED uint64_t general(void)
{
	return stats_now().by_use[TMK_USE_GENERAL].current;
}

static TAP_UNUSED unsigned int stitches(void)
{
	return tmk__heap->arenas[0].stitches_nr;
}

static TAP_UNUSED long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* What a step leaves: 20 MiB are free, with two blocks in the middle. */
static TAP_UNUSED int lay(char *live[2])
{
	static const size_t sizes[] = { 8 * MIB, LIVE, 8 * MIB, LIVE, 4 * MIB };
	char *p[5];
	int i;

	for (i = 0; i < 5; i++) {
		if (tmk_alloc((void **)&p[i], sizes[i], NULL))
			return -1;
		memset(p[i], 0xee, sizes[i]);
	}
	for (i = 0; i < 2; i++) {
		live[i] = p[2 * i + 1];
		memset(live[i], 0x51 + i, LIVE);
	}
	return tmk_free(p[0]) || tmk_free(p[2]) || tmk_free(p[4]) ? -1 : 0;
}

static TAP_UNUSED bool is_live(char *const live[2])
{
	size_t i;

	for (i = 0; i < 2 * LIVE; i++)
		if (live[i / LIVE][i % LIVE] != 0x51 + (char)(i / LIVE))
			return false;
	return true;
}

static TAP_UNUSED bool is_zero(const char *p, size_t bytes)
{
	return !p[0] && !memcmp(p, p + 1, bytes - 1);
}

/* Each page with a number of its own, at both ends. */
static TAP_UNUSED void number(char *p, size_t bytes, uint64_t from)
{
	size_t at;

	for (at = 0; at < bytes; at += 4096) {
		uint64_t value = from + at;

		memcpy(p + at, &value, sizeof(value));
		memcpy(p + at + 4088, &value, sizeof(value));
	}
}

static TAP_UNUSED bool is_numbered(const char *p, size_t bytes, uint64_t from)
{
	size_t at;

	for (at = 0; at < bytes; at += 4096) {
		uint64_t value = from + at;

		if (memcmp(p + at, &value, sizeof(value)) ||
		    memcmp(p + at + 4088, &value, sizeof(value)))
			return false;
	}
	return true;
}

/* Give everything back. Return: false if something is left. */
static TAP_UNUSED bool finish(char *const live[2])
{
	if (tmk_free(live[0]) || tmk_free(live[1]) || general() || tmk_close())
		return false;
	return all_zero();
}

#endif /* TMK_TESTS_UNIT_STITCH_H */
