/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * A streaming JSON writer: what is said is printed at once, nothing is kept but
 * the nesting. Every value takes a key, which is NULL inside of an array.
 *
 * Text that is not UTF-8 (a cgroup may be called anything) is written with
 * U+FFFD for each wrong byte, so that the output is always valid JSON.
 */
#ifndef TMKCTL_JSON_H
#define TMKCTL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TMKCTL_JSON_DEPTH 16

/**
 * struct tmkctl_json - where we are
 * @out: what is written to
 * @pretty: on many lines, indented
 * @depth: how many objects and arrays are open
 * @closing: the bracket that closes each of them
 * @filled: they have a value already
 * @failed: it was called wrongly: a key in an array, none in an object, too
 *	deep, or an end without its beginning; stays set
 */
struct tmkctl_json {
	FILE *out;
	bool pretty;
	unsigned int depth;
	char closing[TMKCTL_JSON_DEPTH];
	bool filled[TMKCTL_JSON_DEPTH];
	bool failed;
};

void json_begin(struct tmkctl_json *json, FILE *out, bool pretty);
void json_object_begin(struct tmkctl_json *json, const char *key);
void json_object_end(struct tmkctl_json *json);
void json_array_begin(struct tmkctl_json *json, const char *key);
void json_array_end(struct tmkctl_json *json);
void json_null(struct tmkctl_json *json, const char *key);
void json_bool(struct tmkctl_json *json, const char *key, bool value);
void json_u64(struct tmkctl_json *json, const char *key, uint64_t value);
/* A text; NULL is written as null. */
void json_text(struct tmkctl_json *json, const char *key, const char *value);
/* A limit in bytes: null where there is none (TMK_UNLIMITED). */
void json_limit(struct tmkctl_json *json, const char *key, uint64_t value);

/**
 * json_utf8_len() - how many bytes the character at the head of a text takes
 * @text: not ""
 *
 * Return: 1 to 4, or 0 if it does not begin with a UTF-8 character.
 */
size_t json_utf8_len(const char *text);

#endif /* TMKCTL_JSON_H */
