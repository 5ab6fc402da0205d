/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * Stand-in for the kernel's header. Ordering is what the kernel promises, no
 * more: plain operations are relaxed, so that ThreadSanitizer sees a race that
 * a stronger stand-in would hide; those that return a value are full barriers.
 */
#ifndef TMK_SHIM_LINUX_ATOMIC_H
#define TMK_SHIM_LINUX_ATOMIC_H

#include <linux/types.h>

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELAXED)

static inline s64 atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic64_set(atomic64_t *v, s64 value)
{
	__atomic_store_n(&v->counter, value, __ATOMIC_RELAXED);
}

static inline s64 atomic64_sub_return(s64 value, atomic64_t *v)
{
	return __atomic_sub_fetch(&v->counter, value, __ATOMIC_SEQ_CST);
}

/*
 * How often another thread gets in between is left to the scheduler, unless a
 * test wants to be that other thread at an exact point.
 */
static void (*shim_before_cmpxchg)(atomic64_t *v);

static inline bool atomic64_try_cmpxchg(atomic64_t *v, s64 *old, s64 new)
{
	if (shim_before_cmpxchg)
		shim_before_cmpxchg(v);
	return __atomic_compare_exchange_n(&v->counter, old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

#endif /* TMK_SHIM_LINUX_ATOMIC_H */
