/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/* Stand-in for the kernel's header: a warning is counted and kept. */
#ifndef TMK_SHIM_LINUX_BUG_H
#define TMK_SHIM_LINUX_BUG_H

#include <stdio.h>

static int shim_warnings;
static char shim_warning[200];

/* Not once but each time, so that every test can see its own. */
#define WARN_ONCE(condition, ...)                                    \
	({                                                           \
		bool shim_warn = !!(condition);                      \
		if (shim_warn) {                                     \
			__atomic_add_fetch(&shim_warnings, 1,        \
					   __ATOMIC_RELAXED);        \
			snprintf(shim_warning, sizeof(shim_warning), \
				 __VA_ARGS__);                       \
		}                                                    \
		shim_warn;                                           \
	})

#endif /* TMK_SHIM_LINUX_BUG_H */
