// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * What the commands of tmkctl share; see common.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tmk/base.h>

#include "common.h"

int tmkctl_fail(int code, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("tmkctl: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	putc('\n', stderr);
	return code;
}

int tmkctl_no_module(const struct tmkctl *ctl)
{
	return tmkctl_fail(
		TMKCTL_NO_DEVICE,
		"the tmk module is not loaded: there is no %s; load tmk.ko, or run 'tmkctl doctor'",
		ctl->sysfs);
}

void tmkctl_json_begin(struct tmkctl_json *json, const struct tmkctl *ctl)
{
	json_begin(json, stdout, ctl->pretty);
	json_object_begin(json, NULL);
	json_u64(json, "version", TMKCTL_JSON_VERSION);
}

void tmkctl_json_end(struct tmkctl_json *json)
{
	json_object_end(json);
	if (json->failed || json->depth)
		abort(); /* a command that writes broken JSON */
}

char *tmkctl_size(char *buf, size_t len, uint64_t bytes)
{
	static const char units[] = "\0KMGTPE";
	unsigned int unit = 0;
	uint64_t tenths;

	if (bytes == TMK_UNLIMITED) {
		snprintf(buf, len, "max");
		return buf;
	}
	while (bytes >> 10 * unit >= 1024)
		unit++;
	if (!unit || !(bytes & ((UINT64_C(1) << 10 * unit) - 1))) {
		snprintf(buf, len, "%" PRIu64 "%.1s", bytes >> 10 * unit,
			 units + unit);
		return buf;
	}
	/* Ten bits more than the unit are enough for one decimal. */
	tenths = ((bytes >> 10 * (unit - 1)) * 10 + 512) >> 10;
	if (tenths >= 10240) {
		tenths = 10;
		unit++;
	}
	snprintf(buf, len, "%" PRIu64 ".%" PRIu64 "%.1s", tenths / 10,
		 tenths % 10, units + unit);
	return buf;
}

char *tmkctl_text(char *text)
{
	char *from = text, *to = text;
	size_t len;

	while (*from) {
		len = json_utf8_len(from);
		/* C1 controls (U+0080 to U+009F) can steer terminals, too. */
		if (!len || (unsigned char)*from < 0x20 || *from == 0x7f ||
		    (len == 2 && !memcmp(from, "\xc2", 1) &&
		     (unsigned char)from[1] < 0xa0)) {
			from += len ? len : 1;
			*to++ = '?';
			continue;
		}
		memmove(to, from, len);
		from += len;
		to += len;
	}
	*to = '\0';
	return text;
}

int tmkctl_text_columns(const char *text)
{
	int columns = 0;

	for (; *text; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80;
	return columns;
}

/* The byte at which column @column begins. */
static char *text_at(char *text, int column)
{
	for (; *text; text++) {
		if (((unsigned char)*text & 0xc0) == 0x80)
			continue;
		if (!column--)
			break;
	}
	return text;
}

void tmkctl_text_clip(char *text, int columns)
{
	int have = tmkctl_text_columns(text);
	int head = (columns - 3) / 2;
	char *to, *tail;

	if (have <= columns)
		return;
	tail = text_at(text, have - (columns - 3 - head));
	to = text_at(text, head);
	memcpy(to, "...", 3);
	memmove(to + 3, tail, strlen(tail) + 1);
}

void tmkctl_term_probe(struct tmkctl_term *out)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	out->colour = isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
		      term && *term && strcmp(term, "dumb");
	setlocale(LC_CTYPE, "");
	out->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

const char *tmkctl_colour(const struct tmkctl_term *term,
			  enum tmkctl_colour colour)
{
	static const char *const sequences[] = {
		[TMKCTL_PLAIN] = "\033[0m",   [TMKCTL_BOLD] = "\033[1m",
		[TMKCTL_DIM] = "\033[2m",     [TMKCTL_RED] = "\033[31m",
		[TMKCTL_YELLOW] = "\033[33m", [TMKCTL_GREEN] = "\033[32m",
	};

	return term->colour ? sequences[colour] : "";
}

int tmkctl_file_read(char *buf, size_t len, const char *fmt, ...)
{
	char path[4096];
	size_t used = 0;
	ssize_t n;
	va_list args;
	int fd, err;

	buf[0] = '\0';
	va_start(args, fmt);
	n = vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + used, len - used);
		if (n > 0)
			used += n;
	} while (n > 0 && used < len);
	err = n < 0 ? -errno : used == len ? -EFBIG : 0;
	close(fd);
	if (err)
		used = 0;
	if (used && buf[used - 1] == '\n')
		used--;
	buf[used] = '\0';
	if (strlen(buf) != used)
		return -EINVAL; /* a NUL inside: no text */
	return err;
}

int tmkctl_u64_parse(uint64_t *out, const char *text)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *text - '0', &value))
			return -ERANGE;
	}
	*out = value;
	return 0;
}
