/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * When the handlers around fork() are registered: as the library is loaded, and
 * so before any of its locks can be held or any thread of its user can run. A
 * pthread_once() at first use would be one more lock that a child can inherit.
 *
 * The constructors run in the order of these numbers; fork() takes the locks of
 * the last one first. Whoever takes a lock of an earlier part while it holds one
 * of its own must therefore have the larger number.
 */
#ifndef TMK_BASE_ATFORK_H
#define TMK_BASE_ATFORK_H

#define TMK__ATFORK_DEBUG 101
#define TMK__ATFORK_DEVICE 102
#define TMK__ATFORK_HANDLE 103
#define TMK__ATFORK_THREAD 104
#define TMK__ATFORK_HEAP 105

#define TMK__AT_LOAD(when) __attribute__((constructor(TMK__ATFORK_##when)))

#endif /* TMK_BASE_ATFORK_H */
