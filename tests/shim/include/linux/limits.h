/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * Stand-in for the kernel's header. The C library includes <linux/limits.h> as
 * well, for PATH_MAX, so that the real one is read too.
 */
#ifndef TMK_SHIM_LINUX_LIMITS_H
#define TMK_SHIM_LINUX_LIMITS_H

#include_next <linux/limits.h>

#define U64_MAX ((u64)~0ULL)
#define S64_MAX ((s64)(U64_MAX >> 1))
#define S64_MIN ((s64)(-S64_MAX - 1))

#endif /* TMK_SHIM_LINUX_LIMITS_H */
