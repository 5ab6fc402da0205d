/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/* Stand-in for the kernel's header: what the files under test use of it. */
#ifndef TMK_SHIM_LINUX_TYPES_H
#define TMK_SHIM_LINUX_TYPES_H

/* Other headers of user space mean the real one. */
#include_next <linux/types.h>

#include <stdbool.h>
#include <stddef.h>

/* long long, not int64_t: the kernel prints these by %lld. */
typedef long long s64;
typedef unsigned long long u64;
typedef unsigned int u32;

typedef struct {
	s64 counter;
} atomic64_t;

#endif /* TMK_SHIM_LINUX_TYPES_H */
