/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the commands of tmkctl share: exit codes, options, messages, printing.
 *
 * Data goes to stdout, words for people about what went wrong go to stderr as
 * one sentence that begins with "tmkctl: ". A command returns its exit code.
 */
#ifndef TMKCTL_COMMON_H
#define TMKCTL_COMMON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

#define TMKCTL_OK 0
#define TMKCTL_FAILED 1
#define TMKCTL_USAGE 2
#define TMKCTL_NO_DEVICE 3

#define TMKCTL_SYSFS "/sys/kernel/tmk"

/* The version of the JSON that every command prints, as its key "version". */
#define TMKCTL_JSON_VERSION 1

/* The options that a command takes, beside --help. */
#define TMKCTL_OPT_JSON (1u << 0)
#define TMKCTL_OPT_SYSFS (1u << 1)
#define TMKCTL_OPT_WATCH (1u << 2)
#define TMKCTL_OPT_ROOT (1u << 3)
#define TMKCTL_OPT_STRICT (1u << 4)

/**
 * struct tmkctl - what the command line said
 * @sysfs: --sysfs, TMK_SYSFS or /sys/kernel/tmk (below @root)
 * @root: --root: prefix of every path that doctor looks at, "" by default
 * @json: --json
 * @pretty: --pretty: the JSON on many lines
 * @strict: --strict: stop at the first error
 * @watch: --watch: seconds between two tables, 0 = print once
 */
struct tmkctl {
	const char *sysfs;
	const char *root;
	bool json;
	bool pretty;
	bool strict;
	double watch;
};

/**
 * struct tmkctl_cmd - a command of an object, a row of its cmds[]
 * @name: the word on the command line; NULL if the object is the command
 * @args: its arguments as the usage shows them
 * @help: what it does, in one line
 * @opts: TMKCTL_OPT_* that it takes
 * @args_min: fewest arguments
 * @args_max: most arguments
 * @run: does it; returns the exit code
 */
struct tmkctl_cmd {
	const char *name;
	const char *args;
	const char *help;
	unsigned int opts;
	int args_min;
	int args_max;
	int (*run)(const struct tmkctl *ctl, int argc, char **argv);
};

/* cmd_status.c, cmd_limit.c, cmd_replay.c, cmd_doctor.c: each ends with a nameless row. */
extern const struct tmkctl_cmd tmkctl_status_cmds[];
extern const struct tmkctl_cmd tmkctl_limit_cmds[];
extern const struct tmkctl_cmd tmkctl_replay_cmds[];
extern const struct tmkctl_cmd tmkctl_doctor_cmds[];

/**
 * tmkctl_fail() - say on stderr what went wrong
 * @code: the exit code that it means
 * @fmt: one sentence, no full stop, no newline
 *
 * Return: @code.
 */
int tmkctl_fail(int code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * tmkctl_no_module() - say that there is no /sys/kernel/tmk
 * @ctl: where it was looked for
 *
 * Return: TMKCTL_NO_DEVICE.
 */
int tmkctl_no_module(const struct tmkctl *ctl);

/** tmkctl_json_begin() - start the one JSON object that a command prints */
void tmkctl_json_begin(struct tmkctl_json *json, const struct tmkctl *ctl);

/** tmkctl_json_end() - finish it */
void tmkctl_json_end(struct tmkctl_json *json);

/**
 * tmkctl_size() - print a size in at most 7 characters
 * @buf: where to
 * @len: its room
 * @bytes: the size; TMK_UNLIMITED is "max"
 *
 * What is a whole number of units has no decimals, so "64M" is exactly that.
 *
 * Return: @buf.
 */
char *tmkctl_size(char *buf, size_t len, uint64_t bytes);

/**
 * tmkctl_text() - make text from outside fit for a terminal
 * @text: control characters and what is not UTF-8 become '?', in place
 *
 * Return: @text.
 */
char *tmkctl_text(char *text);

/** tmkctl_text_columns() - how many columns a UTF-8 text takes */
int tmkctl_text_columns(const char *text);

/**
 * tmkctl_text_clip() - shorten a text, "..." in its middle
 * @text: UTF-8, in place
 * @columns: what it may take, at least 5
 */
void tmkctl_text_clip(char *text, int columns);

/* What stdout can show. */
struct tmkctl_term {
	bool colour;
	bool utf8;
};

/** tmkctl_term_probe() - a tty? NO_COLOR? UTF-8? */
void tmkctl_term_probe(struct tmkctl_term *out);

enum tmkctl_colour {
	TMKCTL_PLAIN = 0,
	TMKCTL_BOLD,
	TMKCTL_DIM,
	TMKCTL_RED,
	TMKCTL_YELLOW,
	TMKCTL_GREEN,
};

/** tmkctl_colour() - the sequence that switches to a colour, "" if none may be */
const char *tmkctl_colour(const struct tmkctl_term *term,
			  enum tmkctl_colour colour);

/**
 * tmkctl_file_read() - read a small file whole
 * @buf: its text, NUL-terminated, without the last newline
 * @len: room in @buf; what does not fit is -EFBIG
 * @fmt: its path
 *
 * Return: 0 or -errno; @buf is "" then.
 */
int tmkctl_file_read(char *buf, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * tmkctl_u64_parse() - a decimal number and nothing else
 * @out: the number
 * @text: digits
 *
 * Return: 0, -EINVAL or -ERANGE.
 */
int tmkctl_u64_parse(uint64_t *out, const char *text);

#endif /* TMKCTL_COMMON_H */
