// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The sentence, and the numbers, behind a thread's last failure. All of it is
 * thread-local: nothing is locked and nothing allocated, so that an error can
 * be told when memory is short. Nothing is printed unless TMK_LOG=debug asks.
 *
 * A refusal is told in two steps: tmk__refusal() leaves the numbers, the
 * tmk__error() that follows takes them along. Any other tmk__error() makes
 * tmk_refusal_last() say -ENODATA.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "internal.h"

static __thread struct tmk__error_state last;
static __thread bool refusal_pending; /* for the sentence that comes next */

static _Atomic uint64_t refusals;

static void put_dots(char *text, size_t len)
{
	memcpy(text + len - 4, "...", 4);
}

static int TMK__PRINTF(3, 0)
	error_set(int err, bool keep, const char *fmt, va_list args)
{
	char text[sizeof(last.text)];
	size_t len;
	int n;

	n = vsnprintf(text, sizeof(text), fmt, args);
	if (n >= (int)sizeof(text)) {
		put_dots(text, sizeof(text));
	} else if (keep && last.text[0]) {
		len = strlen(text);
		n = snprintf(text + len, sizeof(text) - len, ": %s", last.text);
		if (n >= (int)(sizeof(text) - len))
			put_dots(text, sizeof(text));
	}
	memcpy(last.text, text, sizeof(text));
	if (!keep)
		last.refused = refusal_pending;
	refusal_pending = false;
	tmk__log(TMK__LOG_DEBUG, "%s", last.text);
	return err;
}

/**
 * tmk__error() - tell why something failed
 * @err: negative errno
 * @fmt: the sentence, without a full stop
 *
 * Return: @err.
 */
int tmk__error(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	err = error_set(err, false, fmt, args);
	va_end(args);
	return err;
}

/**
 * tmk__error_wrap() - put what was being done before why it failed
 * @err: negative errno
 * @fmt: what was being done; ": " and the last sentence follow it
 *
 * The numbers of a refusal are kept.
 *
 * Return: @err.
 */
int tmk__error_wrap(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	err = error_set(err, true, fmt, args);
	va_end(args);
	return err;
}

/**
 * tmk__error_append() - put more behind the last sentence
 * @text: it; cut off where the sentence is too long with it
 */
void tmk__error_append(const char *text)
{
	size_t len = strlen(last.text);
	int n;

	n = snprintf(last.text + len, sizeof(last.text) - len, "%s", text);
	if (n >= (int)(sizeof(last.text) - len))
		put_dots(last.text, sizeof(last.text));
}

/**
 * tmk__refusal() - the numbers that go with the next tmk__error()
 * @limit: which limit refused
 * @asked: bytes asked for
 * @used: bytes in use under it
 * @max: the limit
 * @where: cgroup path, workspace id or resource; NULL for none
 */
void tmk__refusal(enum tmk_limit limit, uint64_t asked, uint64_t used,
		  uint64_t max, const char *where)
{
	last.refusal.limit = limit;
	last.refusal.asked = asked;
	last.refusal.used = used;
	last.refusal.max = max;
	snprintf(last.refusal.where, sizeof(last.refusal.where), "%s",
		 where ? where : "");
	last.refusal.holders_nr = 0;
	refusal_pending = true;
	last.refusals++;
	atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
}

/**
 * tmk__refusal_holders() - who holds most of it; after tmk__refusal()
 * @from: the numbers
 */
void tmk__refusal_holders(const struct tmk_refusal *from)
{
	last.refusal.holders_nr = from->holders_nr;
	memcpy(last.refusal.holders, from->holders,
	       sizeof(last.refusal.holders));
}

/**
 * tmk__refusals() - how many requests a limit refused, in all threads
 *
 * Return: the number.
 */
uint64_t tmk__refusals(void)
{
	return atomic_load_explicit(&refusals, memory_order_relaxed);
}

/**
 * tmk__error_save() - put the last failure aside while something else may fail
 * @state: where to
 */
void tmk__error_save(struct tmk__error_state *state)
{
	*state = last;
}

/**
 * tmk__error_restore() - make a failure the last one again
 * @state: as saved by this thread
 *
 * What was refused since then has found another way, or is asked for once more:
 * it does not count.
 */
void tmk__error_restore(const struct tmk__error_state *state)
{
	atomic_fetch_sub_explicit(&refusals, last.refusals - state->refusals,
				  memory_order_relaxed);
	last = *state;
	refusal_pending = false;
}

const char *tmk_error_last(void)
{
	return last.text;
}

int tmk_refusal_last(struct tmk_refusal *out)
{
	if (!out)
		return -EINVAL;
	if (!last.refused)
		return -ENODATA;
	*out = last.refusal;
	return 0;
}

const char *tmk_limit_name(enum tmk_limit limit)
{
	switch (limit) {
	case TMK_LIMIT_NONE:
		return "none";
	case TMK_LIMIT_PROCESS:
		return "process max";
	case TMK_LIMIT_PROCESS_PHYSICAL:
		return "process physical max";
	case TMK_LIMIT_WORKSPACE:
		return "workspace max";
	case TMK_LIMIT_CGROUP:
		return "tmk max";
	case TMK_LIMIT_CGROUP_PHYSICAL:
		return "tmk physical_max";
	case TMK_LIMIT_MEMCG:
		return "memory.max";
	case TMK_LIMIT_MEMLOCK:
		return "RLIMIT_MEMLOCK";
	case TMK_LIMIT_HUGE:
		return "huge pages";
	case TMK_LIMIT_MEMORY:
		return "machine memory";
	}
	return "?";
}
