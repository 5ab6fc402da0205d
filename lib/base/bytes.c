// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Sizes as people write and read them. Pure, but for the sentence of an error.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

/* How far a suffix shifts: "", "B", "K", "KB", "KiB" and so on; -1 for junk. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGT";
	const char *letter;

	if (!*suffix || !strcasecmp(suffix, "B"))
		return 0;
	letter = strchr(letters, toupper((unsigned char)*suffix));
	if (!letter)
		return -1;
	suffix++;
	if (*suffix && strcasecmp(suffix, "B") && strcasecmp(suffix, "iB"))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

/* Digits only: strtoull() would take spaces, signs and what not. */
static int digits_parse(uint64_t *out, const char **text)
{
	const char *p = *text;
	uint64_t value = 0;
	bool fits = true;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++)
		fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
		       !__builtin_add_overflow(value, *p - '0', &value);
	*out = value;
	*text = p;
	return fits ? 0 : -ERANGE;
}

static int parse(uint64_t *out, const char *text, uint64_t whole)
{
	uint64_t value;
	int shift, err;

	if (!strcasecmp(text, "max")) {
		*out = TMK_UNLIMITED;
		return 0;
	}
	err = digits_parse(&value, &text);
	if (err == -EINVAL)
		return err;
	if (!strcmp(text, "%")) {
		if (!whole || err || value > 100)
			return -EINVAL;
		/* Without overflow, and exact for 100 %. */
		*out = whole / 100 * value + whole % 100 * value / 100;
		return 0;
	}
	shift = suffix_shift(text);
	if (shift < 0)
		return -EINVAL;
	if (err || value > UINT64_MAX >> shift)
		return -ERANGE;
	*out = value << shift;
	return 0;
}

int tmk_bytes_parse(uint64_t *out, const char *text, uint64_t whole)
{
	int err;

	if (!out || !text)
		return tmk__error(-EINVAL, "there is no text to read a size "
					   "from, or nowhere to put it");
	err = parse(out, text, whole);
	if (err == -ERANGE)
		return tmk__error(err, "\"%.64s\" does not fit in 64 bits",
				  text);
	if (err)
		return tmk__error(err,
				  "\"%.64s\" is not a size such as 8G, "
				  "512M, %s123 or max",
				  text, whole ? "10%, " : "");
	return 0;
}

char *tmk_bytes_format(char *buf, size_t len, uint64_t bytes)
{
	static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	if (!buf || !len)
		return buf;
	/* What would be rounded to 1024.0 is 1.0 of the next unit. */
	while (value >= 1023.95 && unit + 1 < TMK__ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	if (bytes == TMK_UNLIMITED)
		snprintf(buf, len, "max");
	else if (unit)
		snprintf(buf, len, "%.1f %s", value, units[unit]);
	else
		snprintf(buf, len, "%" PRIu64 " B", bytes);
	return buf;
}
