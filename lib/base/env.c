// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The environment: one table of every variable that the library reads. All are
 * ignored in privileged (set-user-ID) programs.
 *
 * A choice that does not exist is warned about once and the default is taken; of
 * a list the word that means nothing is left out.
 * A limit that cannot be understood is an error: a limit that is silently not
 * there is none.
 */
#define _GNU_SOURCE /* secure_getenv() */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

enum env_kind {
	ENV_CHOICE, /* one of a few words */
	ENV_LIST, /* some of a few words, with commas between them */
	ENV_BYTES, /* a limit or size, as tmk_bytes_parse() reads it */
	ENV_PATH, /* the name of a file or directory */
};

/**
 * struct env_row - a variable
 * @name: its name
 * @kind: what its values are
 * @fallback: what is taken where it is not set, for people
 * @doc: what it does, for people
 * @choices: ENV_CHOICE: the words; the first is the default. ENV_LIST: the words
 */
struct env_row {
	const char *name;
	enum env_kind kind;
	const char *fallback;
	const char *doc;
	const char *choices[6];
};

static const struct env_row rows[TMK__ENV_NR] = {
	[TMK__ENV_BACKEND] = {
		"TMK_BACKEND", ENV_CHOICE, "auto",
		"where memory comes from",
		{ "auto", "dev", "user" },
	},
	[TMK__ENV_BLAS] = {
		"TMK_BLAS", ENV_CHOICE, "openblas",
		"what computes matrix products; another word is an error",
		{ "openblas", "ref" },
	},
	[TMK__ENV_DEBUG] = {
		"TMK_DEBUG", ENV_LIST, "not set",
		"checks of what the program does with memory",
		{ "leaks", "poison", "guard" }, /* as TMK__DEBUG_* */
	},
	[TMK__ENV_DUMP_ON_OOM] = {
		"TMK_DUMP_ON_OOM", ENV_PATH, "not set",
		"file that a refused allocation writes all workspaces to",
		{ NULL },
	},
	[TMK__ENV_INITIAL_BYTES] = {
		"TMK_INITIAL_BYTES", ENV_BYTES, "0",
		"reserved and populated when the library is opened", { NULL },
	},
	[TMK__ENV_LOG] = {
		"TMK_LOG", ENV_CHOICE, "off",
		"what is printed on standard error",
		{ "off", "error", "warn", "info", "debug" },
	},
	[TMK__ENV_MAX_BYTES] = {
		"TMK_MAX_BYTES", ENV_BYTES, "50%",
		"process limit on all bytes", { NULL },
	},
	[TMK__ENV_MAX_PHYSICAL_BYTES] = {
		"TMK_MAX_PHYSICAL_BYTES", ENV_BYTES, "50%",
		"process limit on bytes that occupy RAM", { NULL },
	},
	[TMK__ENV_TMPDIR] = {
		"TMPDIR", ENV_PATH, "/tmp",
		"where unnamed files of workspaces and regions are", { NULL },
	},
	[TMK__ENV_WORKSPACES_DEBUG] = {
		"TMK_WORKSPACES_DEBUG", ENV_CHOICE, "disabled",
		"debug mode of all workspaces that set none",
		{ "disabled", "spill_everything", "bypass_everything" },
	},
	[TMK__ENV_STATS] = {
		"TMK_STATS", ENV_CHOICE, "off",
		"exit: what is held, and was, is printed at exit",
		{ "off", "exit" },
	},
	[TMK__ENV_WAIT_MS] = {
		"TMK_WAIT_MS", ENV_BYTES, "0",
		"how long a request that a limit refuses waits for room",
		{ NULL },
	},
};

static atomic_uint warned; /* of which variables that was said */

/**
 * tmk__env_name() - a variable's name
 * @env: which
 *
 * Return: the name.
 */
const char *tmk__env_name(enum tmk__env env)
{
	return rows[env].name;
}

/**
 * tmk__env_get() - a variable's value as it is set
 * @env: which
 *
 * Return: the value, NULL if it is not set or the program is privileged.
 */
const char *tmk__env_get(enum tmk__env env)
{
	return secure_getenv(rows[env].name);
}

/**
 * tmk__env_choice() - which of its choices a variable names
 * @env: a variable with choices
 * @known: false if it is set to something else, which is warned about once;
 *	or NULL
 *
 * Return: index of the choice; 0, the default, if it is unset or unknown.
 */
int tmk__env_choice(enum tmk__env env, bool *known)
{
	const struct env_row *row = &rows[env];
	const char *value = tmk__env_get(env);
	int i;

	if (known)
		*known = true;
	if (!value)
		return 0;
	for (i = 0; row->choices[i]; i++)
		if (!strcasecmp(value, row->choices[i]))
			return i;
	if (known)
		*known = false;
	if (!(atomic_fetch_or(&warned, 1u << env) & 1u << env))
		tmk__log(TMK__LOG_WARN, "%s=%s is unknown, taking %s",
			 row->name, value, row->choices[0]);
	return 0;
}

/* Which of a row's words is that? Return: its bit, 0 for none. */
static uint32_t word_bit(const struct env_row *row, const char *word,
			 size_t len)
{
	int i;

	for (i = 0; row->choices[i]; i++)
		if (strlen(row->choices[i]) == len &&
		    !strncasecmp(word, row->choices[i], len))
			return UINT32_C(1) << i;
	return 0;
}

/**
 * tmk__env_list() - which of its words a variable has
 * @env: a variable with a list of words
 * @tell: warn of others, once
 *
 * Return: bits, in the order of the words in the table.
 */
uint32_t tmk__env_list(enum tmk__env env, bool tell)
{
	const struct env_row *row = &rows[env];
	const char *word = tmk__env_get(env);
	uint32_t bits = 0, bit;
	size_t len;

	if (tell && word)
		tell = !(atomic_fetch_or(&warned, 1u << env) & 1u << env);
	for (; word && *word; word += len) {
		word += strspn(word, ", ");
		len = strcspn(word, ", ");
		bit = word_bit(row, word, len);
		bits |= bit;
		if (len && !bit && tell)
			tmk__log(TMK__LOG_WARN,
				 "%s: %.*s is unknown and left out", row->name,
				 (int)TMK__MIN(len, 64u), word);
	}
	return bits;
}

/**
 * tmk__env_bytes() - read a variable that is a size
 * @out: the size
 * @env: the variable
 * @whole: what 100 % stands for
 * @unset: taken if it is not set
 *
 * Return: 0; -EINVAL with a sentence that names the variable and its value.
 */
int tmk__env_bytes(uint64_t *out, enum tmk__env env, uint64_t whole,
		   uint64_t unset)
{
	const char *value = tmk__env_get(env);

	if (!value) {
		*out = unset;
		return 0;
	}
	if (tmk_bytes_parse(out, value, whole))
		return tmk__error_wrap(-EINVAL, "%s=%s in the environment",
				       rows[env].name, value);
	return 0;
}
