// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Which kind of pages memory gets when nobody said: huge pages where they cost
 * little, base pages where rounding up to huge ones would waste. Pure.
 */
#include "internal.h"

#define HUGE_BYTES ((uint64_t)2 << 20)

/**
 * tmk__kind_for() - the kind for so many bytes
 * @bytes: how many
 *
 * Return: TMK_KIND_HUGE if rounding up to 2 MiB adds at most an eighth, else
 * TMK_KIND_PINNED.
 */
enum tmk_kind tmk__kind_for(uint64_t bytes)
{
	uint64_t waste = -bytes & (HUGE_BYTES - 1);

	return waste <= bytes / 8 ? TMK_KIND_HUGE : TMK_KIND_PINNED;
}
