// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Which checks are on, the lock of what is remembered for them, patterns in
 * memory, and lines for people: those who set TMK_DEBUG want to read what it
 * finds, whatever TMK_LOG says.
 */
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "atfork.h"
#include "internal.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

#define EXIT_WAIT 2 /* seconds, for a lock that another thread holds */

_Atomic uint32_t tmk__debug_word;

static pthread_mutex_t debug_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t epoch; /* so many times a child of itself; under the lock */

static void fork_child(void)
{
	epoch++;
	tmk__debug_unlock();
}

TMK__AT_LOAD(DEBUG)
static void fork_register(void)
{
	(void)pthread_atfork(tmk__debug_lock, tmk__debug_unlock, fork_child);
}

/**
 * tmk__debug_choose() - decide which checks are on; the first answer stays
 *
 * Return: TMK__DEBUG_*, with TMK__DEBUG_CHOSEN.
 */
uint32_t tmk__debug_choose(void)
{
	uint32_t word = TMK__DEBUG_CHOSEN |
			tmk__env_list(TMK__ENV_DEBUG, false);
	uint32_t none = 0;

	return atomic_compare_exchange_strong(&tmk__debug_word, &none, word) ?
		       word :
		       none;
}

/** tmk__debug_warn() - the log is there: tell of words that mean nothing */
void tmk__debug_warn(void)
{
	(void)tmk__env_list(TMK__ENV_DEBUG, true);
}

/** tmk__debug_lock() - for all tables of this directory's */
void tmk__debug_lock(void)
{
	pthread_mutex_lock(&debug_lock);
}

/**
 * tmk__debug_try_lock() - the same as the process ends, when whoever has it may
 * never let go
 *
 * Return: false if that took too long.
 */
bool tmk__debug_try_lock(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += EXIT_WAIT;
	return !pthread_mutex_timedlock(&debug_lock, &until);
}

/** tmk__debug_unlock() - the other half of both */
void tmk__debug_unlock(void)
{
	pthread_mutex_unlock(&debug_lock);
}

/** tmk__debug_epoch() - which process this is; under the lock. Return: that. */
uint32_t tmk__debug_epoch(void)
{
	return epoch;
}

/** tmk__debug_now() - a clock for ages. Return: milliseconds. */
uint64_t tmk__debug_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/**
 * tmk__debug_tell() - print a line, in one piece
 * @fmt: the line, without its end
 */
void tmk__debug_tell(const char *fmt, ...)
{
	char line[1200] = "tmk: check: ";
	size_t len = strlen(line);
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	va_end(args);
	len += TMK__MIN((size_t)n, sizeof(line) - len - 2);
	line[len++] = '\n';
	/* Nobody is left who could be told that this failed. */
	(void)!write(STDERR_FILENO, line, len);
}

/**
 * tmk__poison_fill() - write a pattern
 * @data: where
 * @bytes: how much
 * @pattern: TMK__POISON_*
 */
void tmk__poison_fill(void *data, size_t bytes, int pattern)
{
	memset(data, pattern, bytes);
}

/**
 * tmk__poison_hide() - the address sanitizer, where there is one, is to stop
 * whoever touches this
 * @data: where
 * @bytes: how much
 */
void tmk__poison_hide(void *data, size_t bytes)
{
	ASAN_POISON_MEMORY_REGION(data, bytes);
}

/**
 * tmk__poison_show() - and now nobody any more
 * @data: where
 * @bytes: how much
 */
void tmk__poison_show(void *data, size_t bytes)
{
	ASAN_UNPOISON_MEMORY_REGION(data, bytes);
}

/**
 * tmk__poison_find() - has free memory been written to?
 * @first: offset of the first byte that is not the pattern of free memory
 * @last: of the last such byte
 * @data: the memory
 * @bytes: how much
 *
 * Return: false if all of it is as it was left.
 */
bool tmk__poison_find(size_t *first, size_t *last, const void *data,
		      size_t bytes)
{
	const unsigned char *p = data;
	size_t from = 0, to = bytes;

	if (!bytes ||
	    (p[0] == TMK__POISON_FREE && !memcmp(p, p + 1, bytes - 1)))
		return false;
	while (p[from] == TMK__POISON_FREE)
		from++;
	while (p[to - 1] == TMK__POISON_FREE)
		to--;
	*first = from;
	*last = to - 1;
	return true;
}
