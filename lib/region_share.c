// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Regions for others: as dma-bufs for devices, through descriptors that can only
 * be read, and sealed.
 */
#include <errno.h>

#include "region.h"

/* Files have owners and modes, hugetlb pages no pages of the module's. */
static int kind_check(const struct tmk_region *region, const char *what)
{
	if (!region)
		return tmk__error(-EINVAL, "no region for %s", what);
	if (region->b.kind == TMK_KIND_PINNED ||
	    region->b.kind == TMK_KIND_HUGE)
		return 0;
	return tmk__error(-EOPNOTSUPP,
			  "only pinned and huge regions have %s, and it is of "
			  "kind %s",
			  what, tmk_kind_name(region->b.kind));
}

static int backend_lacks(const struct tmk_region *region, const char *what)
{
	return tmk__error(-EOPNOTSUPP,
			  "the %s backend has no %s: load the module",
			  region->ops->name, what);
}

int tmk_region_dmabuf(int *out, struct tmk_region *region)
{
	int err;

	err = kind_check(region, "dma-bufs");
	if (err)
		return err;
	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the dma-buf");
	if (!region->ops->ext_region_dmabuf)
		return backend_lacks(region, "dma-bufs");
	if (region->b.readonly)
		return tmk__error(-EACCES, "the region can only be read");
	/* The module would fill the holes, and the ledger not know of it. */
	if (region->b.flags & TMK_REGION_F_TRIM)
		err = tmk_region_fill(region, 0, region->b.bytes);
	return err ? err : region->ops->ext_region_dmabuf(out, &region->b);
}

int tmk_region_readonly(int *out, const struct tmk_region *region)
{
	int err;

	err = kind_check(region, "descriptors to be read");
	if (err)
		return err;
	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the descriptor");
	if (!region->ops->ext_region_readonly)
		return backend_lacks(region, "descriptors to be read");
	return region->ops->ext_region_readonly(out, &region->b);
}

int tmk_region_seal(const struct tmk_region *region)
{
	int err;

	err = kind_check(region, "seals");
	if (err)
		return err;
	/* Sealed before, or not to be changed through this descriptor. */
	if (region->b.readonly)
		return tmk__error(-EACCES, "the region can only be read");
	return region->ops->region_seal(&region->b);
}
