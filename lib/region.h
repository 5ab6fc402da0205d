/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What a region is made of: known to region.c, which makes and ends it, to
 * region_trim.c, to region_share.c and to region_alias.c.
 */
#ifndef TMK_REGION_INSIDES_H
#define TMK_REGION_INSIDES_H

#include "backend/backend.h"

/**
 * struct tmk_region - a region
 * @refs: references
 * @ops: the backend that made it
 * @b: what the backend made
 * @use: what it is held for
 * @purpose: the same, by name
 * @imported: another process created it
 * @physical: bytes charged as physical: 0 where it is imported
 * @holes: a bit for each of its pages whose memory was given back; NULL if none
 *	ever was. This and @physical change under region_trim.c's lock
 * @name: for people
 */
struct tmk_region {
	atomic_uint refs;
	const struct tmk__backend_ops *ops;
	struct tmk__backend_region b;
	enum tmk_use use;
	uint8_t purpose;
	bool imported;
	uint64_t physical;
	uint64_t *holes;
	char name[TMK_NAME_BYTES];
};

#endif /* TMK_REGION_INSIDES_H */
