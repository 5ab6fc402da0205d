// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The streaming JSON writer of tmkctl; see json.h.
 *
 * A wrong call writes nothing and is remembered in @failed: the commands are
 * tested for it, so that no user meets it.
 */
#include <inttypes.h>
#include <string.h>

#include "json.h"

static void newline(struct tmkctl_json *json)
{
	if (json->pretty)
		fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
}

/* A continuation byte of UTF-8? */
static bool is_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t json_utf8_len(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t code;
	size_t len, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	code = p[0] & (0xffu >> (len + 1));
	for (i = 1; i < len; i++) {
		if (!is_tail(text[i])) /* the NUL as well */
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	/* Overlong forms, surrogates, and what lies beyond Unicode. */
	if ((len == 3 && code < 0x800) || (len == 4 && code < 0x10000) ||
	    (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
		return 0;
	return len;
}

static void quote(struct tmkctl_json *json, const char *text)
{
	FILE *out = json->out;
	size_t len;

	putc('"', out);
	for (; *text; text += len) {
		len = json_utf8_len(text);
		if (!len) {
			len = 1;
			fputs("\\ufffd", out);
		} else if (*text == '"' || *text == '\\') {
			fprintf(out, "\\%c", *text);
		} else if ((unsigned char)*text < 0x20 || *text == 0x7f) {
			fprintf(out, "\\u%04x", (unsigned int)*text);
		} else {
			fwrite(text, 1, len, out);
		}
	}
	putc('"', out);
}

/* Comma, line and key before a value. Return: the value may be written. */
static bool before(struct tmkctl_json *json, const char *key)
{
	bool in_object = json->depth && json->closing[json->depth - 1] == '}';

	if (json->failed || in_object != !!key) {
		json->failed = true;
		return false;
	}
	if (json->depth) {
		if (json->filled[json->depth - 1])
			putc(',', json->out);
		json->filled[json->depth - 1] = true;
		newline(json);
	}
	if (key) {
		quote(json, key);
		fputs(json->pretty ? ": " : ":", json->out);
	}
	return true;
}

static void open_level(struct tmkctl_json *json, const char *key,
		       const char *pair)
{
	if (json->depth == TMKCTL_JSON_DEPTH) {
		json->failed = true;
		return;
	}
	if (!before(json, key))
		return;
	putc(pair[0], json->out);
	json->closing[json->depth] = pair[1];
	json->filled[json->depth] = false;
	json->depth++;
}

static void close_level(struct tmkctl_json *json, char closing)
{
	bool filled;

	if (json->failed || !json->depth ||
	    json->closing[json->depth - 1] != closing) {
		json->failed = true;
		return;
	}
	filled = json->filled[--json->depth];
	if (filled)
		newline(json);
	putc(closing, json->out);
	if (!json->depth)
		putc('\n', json->out);
}

/**
 * json_begin() - start a document
 * @json: the writer
 * @out: what to write to
 * @pretty: on many lines
 */
void json_begin(struct tmkctl_json *json, FILE *out, bool pretty)
{
	memset(json, 0, sizeof(*json));
	json->out = out;
	json->pretty = pretty;
}

/**
 * json_object_begin() - open an object
 * @json: the writer
 * @key: its key
 */
void json_object_begin(struct tmkctl_json *json, const char *key)
{
	open_level(json, key, "{}");
}

/**
 * json_object_end() - close the innermost object; the outermost ends the line
 * @json: the writer
 */
void json_object_end(struct tmkctl_json *json)
{
	close_level(json, '}');
}

/**
 * json_array_begin() - open an array
 * @json: the writer
 * @key: its key
 */
void json_array_begin(struct tmkctl_json *json, const char *key)
{
	open_level(json, key, "[]");
}

/**
 * json_array_end() - close the innermost array
 * @json: the writer
 */
void json_array_end(struct tmkctl_json *json)
{
	close_level(json, ']');
}

/**
 * json_null() - write null
 * @json: the writer
 * @key: its key
 */
void json_null(struct tmkctl_json *json, const char *key)
{
	if (before(json, key))
		fputs("null", json->out);
}

/**
 * json_bool() - write true or false
 * @json: the writer
 * @key: its key
 * @value: which
 */
void json_bool(struct tmkctl_json *json, const char *key, bool value)
{
	if (before(json, key))
		fputs(value ? "true" : "false", json->out);
}

/**
 * json_u64() - write a number, exactly
 * @json: the writer
 * @key: its key
 * @value: the number
 */
void json_u64(struct tmkctl_json *json, const char *key, uint64_t value)
{
	if (before(json, key))
		fprintf(json->out, "%" PRIu64, value);
}

/**
 * json_text() - write a text
 * @json: the writer
 * @key: its key
 * @value: the text, NULL for null
 */
void json_text(struct tmkctl_json *json, const char *key, const char *value)
{
	if (!value)
		json_null(json, key);
	else if (before(json, key))
		quote(json, value);
}

/**
 * json_limit() - write a limit in bytes
 * @json: the writer
 * @key: its key
 * @value: the limit; UINT64_MAX, which is none, becomes null
 */
void json_limit(struct tmkctl_json *json, const char *key, uint64_t value)
{
	if (value == UINT64_MAX)
		json_null(json, key);
	else
		json_u64(json, key, value);
}
