// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * key=value: the options of a workspace and the counters that are expected of
 * it. One table each; a word that is not in it is an error.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "replay.h"

enum option_kind {
	OPTION_BYTES,
	OPTION_U32,
	OPTION_DOUBLE,
	OPTION_WORD,
	OPTION_TEXT,
};

/* @words: from 0 on; those after a NULL are other names of them, by number. */
struct option_row {
	const char *key;
	enum option_kind kind;
	size_t offset;
	const char *words[5];
	const char *other; /* one more name of word 1 */
};

#define AT(member) offsetof(struct tmk_workspace_opts, member)

static const struct option_row options[] = {
	{ "initial", OPTION_BYTES, AT(initial_bytes), { NULL }, NULL },
	{ "min", OPTION_BYTES, AT(min_bytes), { NULL }, NULL },
	{ "max", OPTION_BYTES, AT(max_bytes), { NULL }, NULL },
	{ "max_total", OPTION_BYTES, AT(max_total_bytes), { NULL }, NULL },
	{ "limit", OPTION_DOUBLE, AT(overallocation_limit), { NULL }, NULL },
	{ "cycles_before_initialization",
	  OPTION_U32,
	  AT(cycles_before_initialization),
	  { NULL },
	  NULL },
	{ "alignment", OPTION_U32, AT(alignment), { NULL }, NULL },
	{ "allocation",
	  OPTION_WORD,
	  AT(allocation),
	  { "OVERALLOCATE", "STRICT" },
	  NULL },
	{ "spill",
	  OPTION_WORD,
	  AT(spill),
	  { "EXTERNAL", "REALLOCATE", "FAIL" },
	  NULL },
	{ "learning",
	  OPTION_WORD,
	  AT(learning),
	  { "FIRST_LOOP", "OVER_TIME", "NONE" },
	  NULL },
	{ "reset",
	  OPTION_WORD,
	  AT(reset),
	  { "BLOCK_LEFT", "ENDOFBUFFER_REACHED" },
	  "ENDOFBUFFER" },
	{ "mirroring",
	  OPTION_WORD,
	  AT(mirroring),
	  { "FULL", "HOST_ONLY" },
	  NULL },
	{ "kind",
	  OPTION_WORD,
	  AT(region.kind),
	  { "auto", "pinned", "huge", "hugetlb", "file" },
	  NULL },
	{ "location", OPTION_WORD, AT(location), { "RAM", "FILE" }, "MMAP" },
	{ "path", OPTION_TEXT, AT(path), { NULL }, NULL },
	{ "temp_dir", OPTION_TEXT, AT(temp_dir), { NULL }, NULL },
	{ "debug",
	  OPTION_WORD,
	  AT(debug),
	  { "DISABLED", "SPILL_EVERYTHING", "BYPASS_EVERYTHING" },
	  NULL },
};
#define OPTIONS_NR (sizeof(options) / sizeof(options[0]))

static int bad_value(struct replay *r, const char *key, const char *value)
{
	return replay_error(r, -EINVAL, "%s is no value of %s", value, key);
}

static int set_word(void *at, struct replay *r, const struct option_row *row,
		    const char *value)
{
	size_t i, nr = sizeof(row->words) / sizeof(row->words[0]);
	unsigned int number;

	for (i = 0; i < nr && row->words[i]; i++)
		if (!strcasecmp(value, row->words[i]))
			break;
	if (row->other && !strcasecmp(value, row->other))
		i = 1;
	if (i == nr || !row->words[i])
		return bad_value(r, row->key, value);
	number = (unsigned int)i;
	memcpy(at, &number, sizeof(number));
	return 0;
}

static int set_number(void *at, struct replay *r, const struct option_row *row,
		      const char *value)
{
	uint32_t small;
	uint64_t bytes;
	double limit;
	char *end;

	if (row->kind == OPTION_DOUBLE) {
		limit = strtod(value, &end);
		if (end == value || *end)
			return bad_value(r, row->key, value);
		memcpy(at, &limit, sizeof(limit));
		return 0;
	}
	if (tmk_bytes_parse(&bytes, value, 0))
		return bad_value(r, row->key, value);
	if (row->kind == OPTION_BYTES) {
		memcpy(at, &bytes, sizeof(bytes));
		return 0;
	}
	if (bytes > UINT32_MAX)
		return bad_value(r, row->key, value);
	small = (uint32_t)bytes;
	memcpy(at, &small, sizeof(small));
	return 0;
}

/* Splits "key=value". Return: the value, or NULL. */
static const char *split(char *key, size_t len, const char *word)
{
	const char *equals = strchr(word, '=');

	if (!equals || (size_t)(equals - word) >= len || equals == word)
		return NULL;
	memcpy(key, word, (size_t)(equals - word));
	key[equals - word] = '\0';
	return equals + 1;
}

static int set_option(struct tmk_workspace_opts *out, struct replay *r,
		      const char *word)
{
	const char *value;
	char key[40];
	void *at;
	size_t i;

	value = split(key, sizeof(key), word);
	if (!value)
		return replay_error(r, -EINVAL, "%s is no key=value", word);
	for (i = 0; i < OPTIONS_NR; i++)
		if (!strcmp(key, options[i].key))
			break;
	if (i == OPTIONS_NR)
		return replay_error(r, -EINVAL, "a workspace has no option %s",
				    key);
	at = (char *)out + options[i].offset;
	switch (options[i].kind) {
	case OPTION_WORD:
		return set_word(at, r, &options[i], value);
	case OPTION_TEXT:
		memcpy(at, &value, sizeof(value));
		return 0;
	default:
		return set_number(at, r, &options[i], value);
	}
}

/**
 * replay_workspace_opts() - the options of a workspace statement
 * @out: the defaults with what it sets
 * @r: the scenario
 * @s: workspace NAME key=value ...
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int replay_workspace_opts(struct tmk_workspace_opts *out, struct replay *r,
			  const struct replay_statement *s)
{
	const struct tmk_workspace_opts defaults = TMK_WORKSPACE_OPTS_INIT;
	int i, err;

	*out = defaults;
	for (i = 2; i < s->argc; i++) {
		err = set_option(out, r, s->argv[i]);
		if (err)
			return err;
	}
	return 0;
}

#define COUNTER(name)                                            \
	{                                                        \
#name, offsetof(struct tmk_workspace_info, name) \
	}

static const struct {
	const char *key;
	size_t offset;
} counters[] = {
	COUNTER(size),
	COUNTER(offset),
	COUNTER(block),
	COUNTER(cycle),
	COUNTER(last),
	COUNTER(max),
	COUNTER(cycles),
	COUNTER(step),
	COUNTER(generation),
	COUNTER(spilled_bytes),
	COUNTER(spilled_count),
	COUNTER(pinned_bytes),
	COUNTER(pinned_count),
	COUNTER(external_count),
	/* Beyond what conformance is about. */
	COUNTER(spilled_total),
	COUNTER(region_bytes),
};
#define COUNTERS_NR (sizeof(counters) / sizeof(counters[0]))

static uint64_t counter(const struct tmk_workspace_info *info, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)info + counters[i].offset, sizeof(value));
	return value;
}

/**
 * replay_counters() - every counter as a member
 * @json: in an object
 * @info: the counters
 */
void replay_counters(struct tmkctl_json *json,
		     const struct tmk_workspace_info *info)
{
	size_t i;

	for (i = 0; i < COUNTERS_NR; i++)
		json_u64(json, counters[i].key, counter(info, i));
	json_bool(json, "open", info->open);
}

/* Looks a word up. Return: its counter's index, COUNTERS_NR for "open". */
static int find_counter(size_t *out, uint64_t *expected, struct replay *r,
			const char *word)
{
	const char *value;
	char key[40];
	size_t i;

	value = split(key, sizeof(key), word);
	if (!value || tmk_bytes_parse(expected, value, 0))
		return replay_error(r, -EINVAL, "%s is no key=number", word);
	for (i = 0; i < COUNTERS_NR; i++)
		if (!strcmp(key, counters[i].key))
			break;
	if (i == COUNTERS_NR && strcmp(key, "open") != 0)
		return replay_error(r, -EINVAL, "a workspace has no counter %s",
				    key);
	*out = i;
	return 0;
}

/* One word of the statement; what is not so is added to the array. */
static int expect_word(struct tmkctl_json *json, bool *ok, struct replay *r,
		       const struct tmk_workspace_info *info, const char *word)
{
	uint64_t expected, met;
	size_t i = 0;
	int err;

	err = find_counter(&i, &expected, r, word);
	if (err) {
		*ok = false;
		return err;
	}
	met = i == COUNTERS_NR ? info->open : counter(info, i);
	if (met == expected)
		return 0;
	*ok = false;
	json_object_begin(json, NULL);
	json_text(json, "key", i == COUNTERS_NR ? "open" : counters[i].key);
	json_u64(json, "expected", expected);
	json_u64(json, "actual", met);
	json_object_end(json);
	return 0;
}

/**
 * replay_expect() - are the counters what they should be?
 * @r: the scenario; its expect_failed is set if not
 * @s: expect NAME key=value ...
 *
 * Return: 0, also if not; -errno if that cannot be told, which is a failure of
 * the expectation as well.
 */
int replay_expect(struct replay *r, const struct replay_statement *s)
{
	struct tmk_workspace_info info;
	struct replay_name *name;
	struct tmkctl_json json;
	bool ok = true;
	int i, err, first = 0;

	err = replay_workspace(&name, r, s->argv[1]);
	if (!err)
		err = tmk_workspace_info(&info, name->ws);
	if (err) {
		r->expect_failed = true;
		return err;
	}
	replay_line_begin(&json, s);
	json_text(&json, "workspace", s->argv[1]);
	json_array_begin(&json, "failed");
	for (i = 2; i < s->argc; i++) {
		err = expect_word(&json, &ok, r, &info, s->argv[i]);
		first = first ? first : err;
	}
	json_array_end(&json);
	json_bool(&json, "ok", ok);
	json_object_end(&json);
	r->expect_failed |= !ok;
	return first;
}
