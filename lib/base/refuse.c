// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The sentences of refusals: what was asked, which limit refused, how much it
 * allows and how much of that is in use. One place, so that the same refusal
 * reads the same whoever found out.
 */
#include "internal.h"

static int refuse_memlock(int err, const char *what, const char *asked,
			  const char *used, const char *max)
{
	return tmk__error(err,
			  "cannot create %s of %s: RLIMIT_MEMLOCK allows this "
			  "process to lock %s and %s are locked already "
			  "(ulimit -l, limits.conf or LimitMEMLOCK= raise it)",
			  what, asked, max, used);
}

static int refuse_huge(int err, const char *what, const char *asked,
		       const struct tmk_refusal *r)
{
	char had[16];

	tmk_bytes_format(had, sizeof(had), r->max);
	return tmk__error(err,
			  "cannot create %s of %s: it requires 2 MiB pages "
			  "and %s could be had in such",
			  what, asked, had);
}

/* @before "a 3.0 MiB, b 1.0 MiB"; "" if there are none */
static const char *holders_text(char *text, size_t len, const char *before,
				const struct tmk_refusal *r)
{
	size_t at = 0;
	char bytes[16];
	uint32_t i;

	text[0] = '\0';
	for (i = 0; i < r->holders_nr && i < 3 && at < len; i++) {
		tmk_bytes_format(bytes, sizeof(bytes), r->holders[i].bytes);
		at += (size_t)snprintf(text + at, len - at, "%s%s %s",
				       i ? ", " : before, r->holders[i].name,
				       bytes);
	}
	return text;
}

/**
 * tmk__refuse() - tell that a limit refused
 * @err: negative errno
 * @what: what was asked for, with its article: "a huge region"
 * @r: the numbers; @r->where is the variable of a process limit, else the
 *	cgroup; empty stands for the machine. For TMK_LIMIT_HUGE, @r->max is
 *	what could be had
 *
 * Return: @err.
 */
int tmk__refuse(int err, const char *what, const struct tmk_refusal *r)
{
	char asked[16], used[16], max[16], holders[256];

	tmk_bytes_format(asked, sizeof(asked), r->asked);
	tmk_bytes_format(used, sizeof(used), r->used);
	tmk_bytes_format(max, sizeof(max), r->max);
	tmk__refusal(r->limit, r->asked, r->used, r->max, r->where);
	tmk__refusal_holders(r);

	switch (r->limit) {
	case TMK_LIMIT_PROCESS:
	case TMK_LIMIT_PROCESS_PHYSICAL:
		return tmk__error(err,
				  "cannot create %s of %s: the process limit "
				  "of %s (%s) has %s in use%s",
				  what, asked, max, r->where, used,
				  holders_text(holders, sizeof(holders),
					       ", most of it for ", r));
	case TMK_LIMIT_MEMLOCK:
		return refuse_memlock(err, what, asked, used, max);
	case TMK_LIMIT_HUGE:
		return refuse_huge(err, what, asked, r);
	case TMK_LIMIT_MEMORY:
		return tmk__error(err,
				  "cannot create %s of %s: %s has %s of "
				  "memory and %s are in use",
				  what, asked,
				  r->where[0] ? r->where : "the machine", max,
				  used);
	default:
		break;
	}
	return tmk__error(err,
			  "cannot create %s of %s: %s%s may use %s (%s) and "
			  "%s are in use",
			  what, asked, r->where[0] == '/' ? "cgroup " : "",
			  r->where[0] ? r->where : "the machine", max,
			  tmk_limit_name(r->limit), used);
}

/**
 * tmk__refuse_holders() - the last sentence also tells what this process holds
 * @r: the numbers of the refusal, with holders
 *
 * For limits that others may have used up as well.
 */
void tmk__refuse_holders(const struct tmk_refusal *r)
{
	char holders[256];

	tmk__refusal_holders(r);
	holders_text(holders, sizeof(holders), "; this process has ", r);
	tmk__error_append(holders);
}
