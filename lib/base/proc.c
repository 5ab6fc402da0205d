// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The few files under /proc that the library reads, never in a fast path, and
 * the count of the system calls that it makes. tmk__proc_root is put before
 * every path, so that a test can show another machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

const char *tmk__proc_root = "";

static _Atomic uint64_t calls;

/**
 * tmk__calls_add() - system calls are about to be made
 * @nr: how many
 */
void tmk__calls_add(unsigned int nr)
{
	atomic_fetch_add_explicit(&calls, nr, memory_order_relaxed);
}

/**
 * tmk__calls() - how many system calls the library made
 *
 * Return: the number.
 */
uint64_t tmk__calls(void)
{
	return atomic_load_explicit(&calls, memory_order_relaxed);
}

static bool path_rooted(char *buf, size_t len, const char *path)
{
	int n = snprintf(buf, len, "%s%s", tmk__proc_root, path);

	return n > 0 && (size_t)n < len;
}

/**
 * tmk__file_read() - read a small file
 * @buf: where to; NUL-terminated
 * @len: room in @buf; what does not fit is left out
 * @path: the file
 *
 * Return: bytes read, or a negative errno without a sentence.
 */
int tmk__file_read(char *buf, size_t len, const char *path)
{
	char rooted[4352];
	size_t have = 0;
	ssize_t n = 0;
	int fd, err;

	if (!path_rooted(rooted, sizeof(rooted), path))
		return -ENAMETOOLONG;
	tmk__calls_add(3);
	fd = tmk__fault("read") ? -1 : open(rooted, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (have + 1 < len) {
		n = read(fd, buf + have, len - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	err = n < 0 ? -errno : 0;
	close(fd);
	buf[have] = '\0';
	return err ? err : (int)have;
}

/**
 * tmk__file_open() - open a file to be read line by line
 * @path: the file
 *
 * Return: the stream, or NULL with errno set.
 */
FILE *tmk__file_open(const char *path)
{
	char rooted[4352];

	if (!path_rooted(rooted, sizeof(rooted), path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	tmk__calls_add(3);
	return tmk__fault("read") ? NULL : fopen(rooted, "re");
}

/**
 * tmk__line_value() - the number after a key at the beginning of a line
 * @out: the number
 * @text: one or more lines
 * @key: the key with what separates it from the number, blanks aside
 *
 * Return: false if there is no such line.
 */
bool tmk__line_value(uint64_t *out, const char *text, const char *key)
{
	const char *at;

	for (at = text; (at = strstr(at, key)); at++) {
		if (at == text || at[-1] == '\n') {
			*out = strtoull(at + strlen(key), NULL, 10);
			return true;
		}
	}
	return false;
}

/**
 * tmk__meminfo() - the machine's memory
 * @total: bytes
 * @available: bytes that can be had without swapping; NULL if not wanted
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__meminfo(uint64_t *total, uint64_t *available)
{
	char text[4096];
	uint64_t kib;
	int n = tmk__file_read(text, sizeof(text), "/proc/meminfo");

	if (n < 0)
		return tmk__error(n, "cannot read /proc/meminfo: %s",
				  strerror(-n));
	if (!tmk__line_value(&kib, text, "MemTotal:"))
		return tmk__error(-EIO, "/proc/meminfo has no MemTotal");
	*total = kib << 10;
	if (!available)
		return 0;
	if (!tmk__line_value(&kib, text, "MemAvailable:"))
		return tmk__error(-EIO, "/proc/meminfo has no MemAvailable");
	*available = kib << 10;
	return 0;
}

/**
 * tmk__memlock_used() - bytes that the process has locked
 *
 * Return: bytes, 0 if that cannot be found out.
 */
uint64_t tmk__memlock_used(void)
{
	char text[4096];
	uint64_t kib = 0;

	if (tmk__file_read(text, sizeof(text), "/proc/self/status") > 0)
		tmk__line_value(&kib, text, "VmLck:");
	return kib << 10;
}

/**
 * tmk__page_bytes() - the base page
 *
 * Return: its size.
 */
uint64_t tmk__page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}
