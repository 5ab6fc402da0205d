// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The parser of the digits example: what it takes, and what it says about each
 * thing that can be wrong. Text is handed over without room behind it, so that
 * a sanitizer sees a read too far.
 */
#include "../harness/tap.h"

#include "../../examples/digits_csv.c"

static char why[192];

static int parse(struct digits_rows *rows, const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, text, len);
	why[0] = '\0';
	err = digits_csv_parse(rows, copy, len, why, sizeof(why));
	free(copy);
	return err;
}

/* A row of @values times "<value>," and the label. */
static char *row(char *to, int values, int value, const char *label)
{
	int i;

	for (i = 0; i < values; i++)
		to += sprintf(to, "%d,", value);
	return to + sprintf(to, "%s", label);
}

/* The sentence about @text, or "no error". */
static const char *complaint(const char *text)
{
	struct digits_rows rows;

	if (!parse(&rows, text, strlen(text))) {
		free(rows.values);
		return "no error";
	}
	return why;
}

TEST(good_rows)
{
	char text[1024], *to = text;
	struct digits_rows rows;

	to = row(to, 64, 0, "9\n");
	to = row(to, 64, 16, "0\r\n");
	to = row(to, 64, 7, "00000004"); /* no newline at the end */
	ASSERT_EQ(0, parse(&rows, text, (size_t)(to - text)));
	ASSERT_EQ(3, rows.nr);
	EXPECT_EQ(0, rows.values[0]);
	EXPECT_EQ(9, rows.values[64]);
	EXPECT_EQ(16, rows.values[65]);
	EXPECT_EQ(0, rows.values[65 + 64]);
	EXPECT_EQ(7, rows.values[2 * 65 + 63]);
	EXPECT_EQ(4, rows.values[2 * 65 + 64]);
	free(rows.values);
}

TEST(what_is_wrong_is_said)
{
	char text[1024], *to;

	EXPECT_STREQ("it is empty", complaint(""));
	EXPECT_STREQ("line 1: 0 values instead of 65", complaint("\n"));
	EXPECT_STREQ("line 1: 1 values instead of 65", complaint("5\n"));
	EXPECT_STREQ("line 1: the file ends after 2 of 65 values",
		     complaint("5,6"));
	EXPECT_STREQ("line 1: the file ends after 2 of 65 values",
		     complaint("5,6,"));
	EXPECT_STREQ("line 1: 2 values instead of 65", complaint("5,6,\n"));
	EXPECT_STREQ("line 1: value 1 begins with '-', not with a digit",
		     complaint("-1,2"));
	EXPECT_STREQ("line 1: value 2 begins with ',', not with a digit",
		     complaint("1,,2"));
	EXPECT_STREQ("line 1: value 1 begins with byte 0x1f, not with a digit",
		     complaint("\x1f\x8b"));
	EXPECT_STREQ("line 1: value 2 is larger than 16", complaint("1,17,"));
	EXPECT_STREQ("line 1: value 2 is larger than 16",
		     complaint("1,99999999999999999999999999,"));
	EXPECT_STREQ("line 1: no comma after value 1", complaint("1;2"));
	EXPECT_STREQ("line 1: no comma after value 1", complaint("1.5,2"));
	EXPECT_STREQ("line 1: no comma after value 1", complaint("1\r2"));

	row(text, 64, 1, "10\n");
	EXPECT_STREQ("line 1: the label, value 65 is larger than 9",
		     complaint(text));
	row(text, 64, 1, "1,\n");
	EXPECT_STREQ("line 1: more than 65 values", complaint(text));
	row(text, 64, 1, "1x\n");
	EXPECT_STREQ("line 1: junk after value 65", complaint(text));
	to = row(text, 64, 1, "1\n");
	row(to, 40, 1, "1\n");
	EXPECT_STREQ("line 2: 41 values instead of 65", complaint(text));
	strcpy(to, "\n");
	EXPECT_STREQ("line 2: 0 values instead of 65", complaint(text));
}

TEST(a_byte_of_zero_is_junk)
{
	struct digits_rows rows;

	EXPECT_EQ(-EINVAL, parse(&rows, "1\0,2", 4));
	EXPECT_STREQ("line 1: no comma after value 1", why);
	EXPECT_EQ(-EINVAL, parse(&rows, "\0", 1));
	EXPECT_STREQ("line 1: value 1 begins with byte 0x00, not with a digit",
		     why);
}

/* Cut after each byte: right only where a row happens to be whole. */
TEST(cut_files)
{
	char text[1024], *end;
	struct digits_rows rows;
	size_t len, first;
	int err;

	end = row(text, 64, 12, "3\n");
	first = (size_t)(end - text);
	end = row(end, 64, 5, "7\n");
	for (len = 0; len <= (size_t)(end - text); len++) {
		err = parse(&rows, text, len);
		if (len == first - 1 || len == first) {
			ASSERT_EQ(0, err);
			EXPECT_EQ(1, rows.nr);
			free(rows.values);
		} else if (len + 1 >= (size_t)(end - text)) {
			ASSERT_EQ(0, err);
			EXPECT_EQ(2, rows.nr);
			free(rows.values);
		} else {
			ASSERT_EQ(-EINVAL, err);
			EXPECT_NE('\0', why[0]);
		}
	}
}

/* The shortest rows that there are, many of them: no write past the end. */
TEST(many_short_rows)
{
	size_t nr = 5000, i;
	char *text = malloc(nr * 130 + 1), *to = text;
	struct digits_rows rows;

	for (i = 0; i < nr; i++)
		to = row(to, 64, (int)(i % 10), "1\n");
	ASSERT_EQ(0, parse(&rows, text, (size_t)(to - text) - 1));
	EXPECT_EQ(nr, rows.nr);
	EXPECT_EQ((nr - 1) % 10, rows.values[(nr - 1) * 65]);
	free(rows.values);
	free(text);
}

/* Whatever comes: an answer, and never a read or write out of bounds. */
TEST(junk)
{
	static const char letters[] = "0123456789,,,,,,,,\n\r-x ";
	unsigned int state = 1;
	struct digits_rows rows;
	char text[600];
	size_t len, i;
	int round;

	for (round = 0; round < 2000; round++) {
		len = round % sizeof(text);
		for (i = 0; i < len; i++) {
			state = state * 1664525 + 1013904223;
			text[i] =
				letters[(state >> 16) % (sizeof(letters) - 1)];
		}
		if (!parse(&rows, text, len))
			free(rows.values);
		else
			ASSERT_NE('\0', why[0]);
	}
}

TEST_HARNESS_MAIN
