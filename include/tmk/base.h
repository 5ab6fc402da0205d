/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What every part of libtmk shares: the export mark, errors, byte sizes.
 *
 * Every fallible function returns 0 or a negative errno and hands its result
 * out through its first parameter, which is untouched on failure. A sentence
 * for people is kept for the calling thread: tmk_error_last().
 */
#ifndef TMK_BASE_H
#define TMK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TMK_EXTERN extern "C"
#else
#define TMK_EXTERN extern
#endif

#define TMK_API TMK_EXTERN __attribute__((visibility("default")))
#define TMK_MUST_CHECK __attribute__((warn_unused_result))

/* "No limit" wherever a limit in bytes is asked for or reported. */
#define TMK_UNLIMITED UINT64_MAX

/* Which limit refused a request. */
enum tmk_limit {
	TMK_LIMIT_NONE = 0,
	TMK_LIMIT_PROCESS, /* TMK_MAX_BYTES or tmk_open_opts.max_bytes */
	TMK_LIMIT_PROCESS_PHYSICAL, /* TMK_MAX_PHYSICAL_BYTES */
	TMK_LIMIT_WORKSPACE, /* max_total_bytes of a workspace */
	TMK_LIMIT_CGROUP, /* tmk's max of a cgroup (module) */
	TMK_LIMIT_CGROUP_PHYSICAL, /* tmk's physical_max of a cgroup */
	TMK_LIMIT_MEMCG, /* memory.max of a cgroup */
	TMK_LIMIT_MEMLOCK, /* RLIMIT_MEMLOCK of the process */
	TMK_LIMIT_HUGE, /* no huge page to be had and one was required */
	TMK_LIMIT_MEMORY, /* the machine has no more memory */
};

#define TMK_NAME_BYTES 32
#define TMK_HOLDERS_NR 4

/**
 * struct tmk_holder - what memory is held for
 * @name: a region's name, a block's purpose, or the use of what has neither
 * @bytes: held now
 * @peak: the most that was seen to be held
 */
struct tmk_holder {
	char name[TMK_NAME_BYTES];
	uint64_t bytes;
	uint64_t peak;
};

/**
 * struct tmk_refusal - the last refused request of a thread, for programs
 * @limit: which limit refused
 * @asked: bytes asked for, after rounding
 * @used: bytes in use under that limit at the time
 * @max: that limit in bytes
 * @where: the cgroup path, workspace id or resource that the limit belongs to
 * @holders_nr: how many of @holders there are; 0 for a limit of a workspace
 * @holders: what this process held most for, the largest first, whoever's the
 *	limit is
 */
struct tmk_refusal {
	enum tmk_limit limit;
	uint64_t asked;
	uint64_t used;
	uint64_t max;
	char where[128];
	uint32_t holders_nr;
	struct tmk_holder holders[TMK_HOLDERS_NR];
};

/**
 * tmk_error_last() - the sentence that explains the thread's last failure
 *
 * Return: a NUL-terminated sentence, "" if nothing failed yet; valid until the
 * thread's next call into the library.
 */
TMK_API const char *tmk_error_last(void);

/**
 * tmk_refusal_last() - the numbers behind the thread's last refusal
 * @out: filled in
 *
 * Return: 0, or -ENODATA if the thread's last failure was not a refusal.
 */
TMK_API int tmk_refusal_last(struct tmk_refusal *out);

/**
 * tmk_limit_name() - a limit's name as it appears in sentences and JSON
 * @limit: the limit
 */
TMK_API const char *tmk_limit_name(enum tmk_limit limit);

/**
 * tmk_bytes_parse() - read a size as people write it
 * @out: the bytes
 * @text: "8G", "512M", "64k", "123", "10%" or "max"; suffixes K M G T are
 *	powers of 1024, an optional "B" or "iB" may follow, case is ignored
 * @whole: what 100 % stands for; 0 refuses percentages
 *
 * Return: 0; -EINVAL for anything else (junk, a bare "%", a negative number,
 * more than 100 %); -ERANGE if it does not fit in 64 bits.
 */
TMK_API int tmk_bytes_parse(uint64_t *out, const char *text, uint64_t whole);

/**
 * tmk_bytes_format() - print a size for people, as "1.5 GiB" or "max"
 * @buf: where to; always NUL-terminated
 * @len: room in @buf, 16 is enough
 * @bytes: the size
 *
 * Return: @buf.
 */
TMK_API char *tmk_bytes_format(char *buf, size_t len, uint64_t bytes);

/** tmk_version() - the library's version, as "0.1.0" */
TMK_API const char *tmk_version(void);

#endif /* TMK_BASE_H */
