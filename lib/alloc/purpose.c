// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What blocks are for: names, each with a number that fits into a block's state.
 * A name that was given once is known for ever. Under heap_lock.
 */
#include <string.h>

#include "heap.h"

#define OTHER 1u /* 0 is for blocks without a purpose */

static char names[TMK__PURPOSES][TMK_NAME_BYTES] = { "", "other" };
static unsigned int names_nr = OTHER + 1;

/**
 * tmk__purpose_find() - the number of a name
 * @name: the name, checked; NULL for none
 *
 * Return: its number; that of "other" if there are too many.
 */
uint8_t tmk__purpose_find(const char *name)
{
	unsigned int i;

	if (!name || !*name)
		return 0;
	for (i = OTHER; i < names_nr; i++)
		if (!strcmp(names[i], name))
			return (uint8_t)i;
	if (i == TMK__PURPOSES)
		return OTHER;
	snprintf(names[i], sizeof(names[i]), "%s", name);
	names_nr++;
	return (uint8_t)i;
}

/**
 * tmk__purpose_name() - the name of a number
 * @purpose: the number
 *
 * Return: the name; NULL if there are fewer; "" for blocks without one.
 */
const char *tmk__purpose_name(unsigned int purpose)
{
	return purpose < names_nr ? names[purpose] : NULL;
}
