/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What a test that is built with a sanitizer cannot expect.
 */
#ifndef TMK_TESTS_HARNESS_SANITIZE_H
#define TMK_TESTS_HARNESS_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif
#ifndef ASAN
#define ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifndef TSAN
#define TSAN 0
#endif

/* Memory, time and system calls of its own. */
#define SANITIZED (ASAN || TSAN)

/*
 * ASan's malloc() does not let go of its locks in a child of fork(): where another
 * thread was in it at that moment, the child's first malloc() waits for ever.
 */
#define CHILD_MAY_MALLOC (!ASAN)
#define NO_MALLOC_IN_CHILD \
	"ASan's malloc() is not made for children of busy threads"

#endif /* TMK_TESTS_HARNESS_SANITIZE_H */
