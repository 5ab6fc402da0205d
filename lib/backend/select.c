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

static int refuse_kind(const struct tmk_region_opts *o)
{
	switch (o->kind) {
	case TMK_KIND_HUGETLB:
	case TMK_KIND_FILE:
		return tmk__error(-EOPNOTSUPP,
				  "this version has no regions of kind %s",
				  tmk_kind_name(o->kind));
	default:
		return tmk__error(-EINVAL, "there is no region kind %d",
				  (int)o->kind);
	}
}

/**
 * tmk__backend_round() - round a length to the page size of its kind
 * @bytes: the length
 * @o: the kind, and the page size that was asked for
 *
 * Return: 0; -EINVAL for a page size that the kind does not have; -EOVERFLOW;
 * -EOPNOTSUPP for a kind that neither backend offers.
 */
int tmk__backend_round(uint64_t *bytes, const struct tmk_region_opts *o)
{
	uint64_t page;

	if (o->kind == TMK_KIND_PINNED)
		page = tmk__page_bytes();
	else if (o->kind == TMK_KIND_HUGE)
		page = TMK__HUGE_BYTES;
	else
		return refuse_kind(o);
	if (o->page_bytes && o->page_bytes != page)
		return tmk__error(-EINVAL,
				  "regions of kind %s have pages of %" PRIu64
				  " bytes, not %" PRIu64,
				  tmk_kind_name(o->kind), page, o->page_bytes);
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
