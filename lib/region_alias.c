// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Parts of regions at a second address: the same memory, charged once. As long as
 * the second mapping is there the memory is, even if the region is gone. Whoever
 * made it undoes it before that.
 */
#include "region.h"

/**
 * tmk__region_alias() - have a part of a region at a second address too
 * @region: a pinned or huge one
 * @offset: where the part begins, a multiple of the base page size
 * @bytes: its length, the same
 * @at: where to, in address space that the caller reserved
 *
 * All of it is there then, and no fault will come.
 *
 * Return: 0, or a negative errno with a sentence; then tmk__region_unalias() puts
 * right what was there.
 */
int tmk__region_alias(const struct tmk_region *region, uint64_t offset,
		      uint64_t bytes, void *at)
{
	return tmk__map_alias(&region->b, offset, bytes, at);
}

/**
 * tmk__region_unalias() - the reverse, for all that is mapped there
 * @at: where it begins
 * @bytes: how much; inaccessible address space is left behind
 *
 * Return: 0; -ENOMEM, and it is as it was.
 */
int tmk__region_unalias(void *at, uint64_t bytes)
{
	return tmk__map_none(at, bytes);
}
