/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * Shims, included before every file of the module. The driver is written for
 * the newest kernel; whatever an older one lacks is supplied here and nowhere
 * else. compat/README.md says when each can go.
 */
#ifndef KTMK_COMPAT_H
#define KTMK_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "tmk needs Linux 6.1 or newer (see META)"
#endif

/* mapping->i_private_data was called private_data before 6.8. */
#ifndef KTMK_HAVE_I_PRIVATE_DATA
#define i_private_data private_data
#endif

#endif /* KTMK_COMPAT_H */
