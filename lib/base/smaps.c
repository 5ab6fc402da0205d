// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What pages are really behind a range of addresses, as the kernel says in
 * /proc/self/smaps. Slow in a process with many mappings: asked for when a
 * region requires huge pages, and when somebody wants to know.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "internal.h"

/* Is this the head of a mapping, and does it lie in [begin, end)? */
static bool smaps_head(bool *inside, const char *line, uintptr_t begin,
		       uintptr_t end)
{
	uintptr_t first, last;

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &last) != 2)
		return false;
	*inside = first >= begin && last <= end;
	return true;
}

static void smaps_line(struct tmk__smaps *out, const char *line)
{
	uint64_t kib;

	if (tmk__line_value(&kib, line, "Rss:"))
		out->rss += kib << 10;
	else if (tmk__line_value(&kib, line, "Swap:"))
		out->swap += kib << 10;
	else if (tmk__line_value(&kib, line, "Locked:"))
		out->locked += kib << 10;
	else if (tmk__line_value(&kib, line, "AnonHugePages:") ||
		 tmk__line_value(&kib, line, "ShmemPmdMapped:") ||
		 tmk__line_value(&kib, line, "FilePmdMapped:"))
		out->huge += kib << 10;
}

/**
 * tmk__smaps_read() - what pages are behind a mapping
 * @out: filled in
 * @data: where the mapping begins
 * @bytes: its length
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__smaps_read(struct tmk__smaps *out, const void *data, uint64_t bytes)
{
	uintptr_t begin = (uintptr_t)data, end = begin + bytes;
	bool inside = false;
	char line[512];
	FILE *f;

	memset(out, 0, sizeof(*out));
	f = tmk__file_open("/proc/self/smaps");
	if (!f)
		return tmk__error(-errno, "cannot read /proc/self/smaps: %s",
				  strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		/* A path may be longer than the line: its rest is no key. */
		if (line[0] >= 'A' && line[0] <= 'Z') {
			if (inside)
				smaps_line(out, line);
		} else {
			(void)smaps_head(&inside, line, begin, end);
		}
	}
	fclose(f);
	return 0;
}
