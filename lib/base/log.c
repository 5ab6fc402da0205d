// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Lines on standard error, for those who set TMK_LOG. The library prints
 * nothing else, anywhere, but a bug of its own and what TMK_DEBUG finds (debug.c).
 */
#include <stdarg.h>
#include <stdlib.h>

#include "internal.h"

static atomic_int log_level = TMK__LOG_OFF;

/**
 * tmk__log_set_level() - print lines of this level and more urgent ones
 * @level: TMK__LOG_OFF prints nothing
 */
void tmk__log_set_level(enum tmk__log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

/**
 * tmk__log() - print a line
 * @level: how urgent
 * @fmt: the line, without its end
 */
void tmk__log(enum tmk__log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "", "error", "warning", "info",
					     "debug" };
	char line[640];
	va_list args;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	/* One call, so that lines of several threads stay whole. */
	fprintf(stderr, "tmk: %s: %s\n", names[level], line);
}

/**
 * tmk__bug() - stop: the library contradicts itself
 * @fmt: what is wrong
 *
 * A ledger that is wrong would let limits be exceeded from now on; there is
 * nothing sensible that a caller could do about that.
 */
void tmk__bug(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fprintf(stderr, "tmk: bug in libtmk " TMK_VERSION_STRING ": %s\n",
		line);
	abort();
}
