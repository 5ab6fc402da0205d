// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Which backend: the one that was asked for, or the best that works. And the
 * rules that both keep.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "backend.h"

/**
 * tmk__backend_select() - open a backend
 * @out: its operations
 * @state: its state
 * @wanted: TMK_BACKEND_AUTO takes dev where it works, else user
 * @device_path: the device node, or NULL
 * @why: why this one, for people
 * @len: room in @why
 *
 * What was asked for by name is never replaced by another.
 *
 * Return: 0, or why the wanted one cannot be used, with a sentence.
 */
int tmk__backend_select(const struct tmk__backend_ops **out, void **state,
			enum tmk_backend wanted, const char *device_path,
			char *why, size_t len)
{
	const struct tmk__backend_ops *ops = &tmk__backend_dev;
	struct tmk__error_state before;
	char dev_why[300];
	int err;

	if (wanted == TMK_BACKEND_USER)
		ops = &tmk__backend_user;
	tmk__error_save(&before);
	err = ops->open(state, device_path, why, len);
	if (err && wanted == TMK_BACKEND_AUTO) {
		ops = &tmk__backend_user;
		snprintf(dev_why, sizeof(dev_why), "%s", tmk_error_last());
		/* That auto went on to the next is no failure. */
		tmk__error_restore(&before);
		err = ops->open(state, device_path, why, len);
		if (!err)
			snprintf(why, len, "%s", dev_why);
	}
	if (err)
		return err;
	*out = ops;
	return 0;
}

/**
 * tmk__backend_page() - the page size of a kind
 * @kind: the kind
 * @asked: the one that was asked for, 0 for the kind's own
 *
 * Return: it; 0 if the kind has no such pages, or if there is no such kind.
 */
uint64_t tmk__backend_page(enum tmk_kind kind, uint64_t asked)
{
	uint64_t page;

	switch (kind) {
	case TMK_KIND_PINNED:
	case TMK_KIND_FILE:
		page = tmk__page_bytes();
		break;
	case TMK_KIND_HUGE:
		page = TMK__HUGE_BYTES;
		break;
	case TMK_KIND_HUGETLB:
		if (asked == UINT64_C(1) << 30)
			return asked;
		page = TMK__HUGE_BYTES;
		break;
	default:
		return 0;
	}
	return !asked || asked == page ? page : 0;
}

/**
 * tmk__backend_what() - a region of a kind, for sentences
 * @kind: the kind
 *
 * Return: its name with its article.
 */
const char *tmk__backend_what(enum tmk_kind kind)
{
	switch (kind) {
	case TMK_KIND_HUGE:
		return "a huge region";
	case TMK_KIND_HUGETLB:
		return "a hugetlb region";
	case TMK_KIND_FILE:
		return "a file region";
	default:
		return "a pinned region";
	}
}

/**
 * tmk__backend_round() - round a length to the page size of its kind
 * @bytes: the length
 * @o: the kind, and the page size that was asked for
 *
 * Return: 0; -EINVAL for a page size that the kind does not have, and for an
 * unknown kind; -EOVERFLOW.
 */
int tmk__backend_round(uint64_t *bytes, const struct tmk_region_opts *o)
{
	uint64_t own = tmk__backend_page(o->kind, 0);
	uint64_t page = tmk__backend_page(o->kind, o->page_bytes);

	if (!own)
		return tmk__error(-EINVAL, "there is no region kind %d",
				  (int)o->kind);
	if (!page)
		return tmk__error(-EINVAL,
				  "regions of kind %s have pages of %" PRIu64
				  " bytes, not %" PRIu64,
				  tmk_kind_name(o->kind), own, o->page_bytes);
	if (o->path && o->kind != TMK_KIND_FILE)
		return tmk__error(-EINVAL, "a region of kind %s has no path",
				  tmk_kind_name(o->kind));
	/* Addresses and off_t end here. */
	if (*bytes > (uint64_t)INT64_MAX - page)
		return tmk__error(-EOVERFLOW,
				  "%" PRIu64 " bytes are more than a region "
				  "can have",
				  *bytes);
	*bytes = TMK__ALIGN_UP(*bytes, page);
	return 0;
}

/**
 * tmk__feature_add() - one more row
 * @f: the rows
 * @name: the feature
 * @available: is it there?
 * @fmt: why, or why not
 */
void tmk__feature_add(struct tmk__features *f, const char *name, bool available,
		      const char *fmt, ...)
{
	va_list args;

	if (f->nr == TMK__FEATURES_MAX)
		tmk__bug("more than %d features", TMK__FEATURES_MAX);
	va_start(args, fmt);
	vsnprintf(f->reasons[f->nr], sizeof(f->reasons[0]), fmt, args);
	va_end(args);
	f->rows[f->nr] = (struct tmk_backend_feature){
		.name = name,
		.available = available,
		.reason = f->reasons[f->nr],
	};
	f->nr++;
}
