// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Options structs grow by appending members. Their first member says how large
 * the caller thinks they are; programs built against an older or a newer header
 * are served as long as they ask for nothing that is unknown here.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static bool is_zero(const char *bytes, size_t nr)
{
	while (nr)
		if (bytes[--nr])
			return false;
	return true;
}

/**
 * tmk__opts_take() - copy a caller's options
 * @out: the options as this library knows them, set to their defaults
 * @opts: the caller's, or NULL for the defaults
 * @known: size of @out
 * @first: size of the struct when it was first published
 * @what: what to call it in the sentence
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int tmk__opts_take(void *out, const void *opts, size_t known, size_t first,
		   const char *what)
{
	size_t size;

	if (!opts)
		return 0;
	memcpy(&size, opts, sizeof(size));
	if (size < first || size > known + 4096)
		return tmk__error(-EINVAL,
				  "%s: opts_size is %zu, which is not the "
				  "size of such a struct (initialise it with "
				  "the _INIT macro)",
				  what, size);
	if (size > known && !is_zero((const char *)opts + known, size - known))
		return tmk__error(-EINVAL,
				  "%s: has members set that this version does "
				  "not know",
				  what);
	memcpy(out, opts, TMK__MIN(size, known));
	memcpy(out, &known, sizeof(known));
	return 0;
}
