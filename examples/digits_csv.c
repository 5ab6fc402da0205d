// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The parser of the digits file: lines of 65 whole numbers between commas, 64
 * grey values from 0 to 16 and the label from 0 to 9. A pure function; a file
 * with anything else in it is refused whole.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

/* Where the parser is; @why takes the sentence when something is wrong. */
struct cursor {
	const char *at;
	const char *end;
	size_t line;
	char *why;
	size_t why_len;
};

static int wrong(struct cursor *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(struct cursor *c, const char *fmt, ...)
{
	char what[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	snprintf(c->why, c->why_len, "line %zu: %s", c->line, what);
	return -EINVAL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Does the line end here? Return: how many characters that takes, or 0. */
static size_t line_end(const struct cursor *c)
{
	if (c->at < c->end && *c->at == '\n')
		return 1;
	if (c->end - c->at >= 2 && c->at[0] == '\r' && c->at[1] == '\n')
		return 2;
	return 0;
}

static int bad_value(struct cursor *c, unsigned int column)
{
	unsigned char byte;

	if (c->at == c->end)
		return wrong(c, "the file ends after %u of %u values", column,
			     DIGITS_ROW);
	if (line_end(c))
		return wrong(c, "%u values instead of %u", column, DIGITS_ROW);
	byte = (unsigned char)*c->at;
	if (byte > 0x20 && byte < 0x7f)
		return wrong(c, "value %u begins with '%c', not with a digit",
			     column + 1, byte);
	return wrong(c, "value %u begins with byte 0x%02x, not with a digit",
		     column + 1, byte);
}

static int parse_value(uint8_t *out, struct cursor *c, unsigned int column)
{
	unsigned int max = column == DIGITS_PIXELS ? DIGITS_CLASSES - 1 :
						     DIGITS_GREY_MAX;
	unsigned int value = 0;

	if (c->at == c->end || !is_digit(*c->at))
		return bad_value(c, column);
	/* Cut off long before it could overflow. */
	while (c->at < c->end && is_digit(*c->at) && value <= max)
		value = value * 10 + (unsigned int)(*c->at++ - '0');
	if (value > max)
		return wrong(c, "%s %u is larger than %u",
			     column == DIGITS_PIXELS ? "the label, value" :
						       "value",
			     column + 1, max);
	*out = (uint8_t)value;
	return 0;
}

static int parse_row(uint8_t *row, struct cursor *c)
{
	unsigned int column;
	int err;

	for (column = 0; column < DIGITS_ROW; column++) {
		if (column) {
			if (c->at == c->end || line_end(c))
				return bad_value(c, column);
			if (*c->at != ',')
				return wrong(c, "no comma after value %u",
					     column);
			c->at++;
		}
		err = parse_value(&row[column], c, column);
		if (err)
			return err;
	}
	if (c->at < c->end && !line_end(c))
		return wrong(c,
			     *c->at == ',' ? "more than %u values" :
					     "junk after value %u",
			     DIGITS_ROW);
	c->at += line_end(c);
	return 0;
}

int digits_csv_parse(struct digits_rows *out, const char *text, size_t len,
		     char *why, size_t why_len)
{
	struct cursor c = { text, text + len, 1, why, why_len };
	struct digits_rows rows = { 0 };
	int err = 0;

	/* No row is shorter than this, so there cannot be more of them. */
	rows.values = malloc((len / (2 * DIGITS_ROW - 1) + 1) * DIGITS_ROW);
	if (!rows.values)
		return -ENOMEM;
	for (; !err && c.at < c.end; c.line++) {
		err = parse_row(rows.values + rows.nr * DIGITS_ROW, &c);
		rows.nr++;
	}
	if (!err && !rows.nr) {
		snprintf(why, why_len, "it is empty");
		err = -EINVAL;
	}
	if (err)
		free(rows.values);
	else
		*out = rows;
	return err;
}
