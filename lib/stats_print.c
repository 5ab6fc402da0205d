// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The statistics for people, for programs (JSON) and for Prometheus. All three
 * say the same: one table of what there is to say, walked once for each.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define TEXT_MAX ((size_t)128 << 10)
#define HOLDERS_MAX TMK__PURPOSES

/**
 * struct text - what is being written
 * @buf: so far
 * @len: how long that is
 * @format: how
 * @first: no comma is due
 */
struct text {
	char *buf;
	size_t len;
	enum tmk_stats_format format;
	bool first;
};

static void TMK__PRINTF(2, 3) add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->buf + t->len, TEXT_MAX - t->len, fmt, args);
	va_end(args);
	if (n > 0)
		t->len = TMK__MIN(t->len + (size_t)n, TEXT_MAX - 1);
}

/* A name between quotes: JSON and Prometheus escape alike. */
static void add_quoted(struct text *t, const char *name)
{
	add(t, "\"");
	for (; *name; name++)
		add(t, *name == '"' || *name == '\\' ? "\\%c" : "%c", *name);
	add(t, "\"");
}

static void comma(struct text *t)
{
	add(t, "%s", t->first ? "" : ", ");
	t->first = false;
}

/* One number: name, or group and name and which of its two values. */
static void value(struct text *t, const char *name, uint64_t number)
{
	char bytes[16];

	switch (t->format) {
	case TMK_STATS_TEXT:
		if (strstr(name, "bytes"))
			add(t, "%-24s %s\n", name,
			    tmk_bytes_format(bytes, sizeof(bytes), number));
		else
			add(t, "%-24s %" PRIu64 "\n", name, number);
		break;
	case TMK_STATS_JSON:
		comma(t);
		/* A limit that is none has no number. */
		if (number == TMK_UNLIMITED)
			add(t, "\"%s\": null", name);
		else
			add(t, "\"%s\": %" PRIu64, name, number);
		break;
	case TMK_STATS_PROMETHEUS:
		if (number == TMK_UNLIMITED)
			add(t, "# TYPE tmk_%s gauge\ntmk_%s +Inf\n", name,
			    name);
		else
			add(t, "# TYPE tmk_%s gauge\ntmk_%s %" PRIu64 "\n",
			    name, name, number);
		break;
	}
}

static void counter(struct text *t, const char *label, const char *name,
		    const struct tmk_counter *c)
{
	char now[16], peak[16];

	switch (t->format) {
	case TMK_STATS_TEXT:
		add(t, "  %-22s %12s   peak %s\n", name,
		    tmk_bytes_format(now, sizeof(now), c->current),
		    tmk_bytes_format(peak, sizeof(peak), c->peak));
		break;
	case TMK_STATS_JSON:
		comma(t);
		add_quoted(t, name);
		add(t, ": {\"current\": %" PRIu64 ", \"peak\": %" PRIu64 "}",
		    c->current, c->peak);
		break;
	case TMK_STATS_PROMETHEUS:
		add(t, "tmk_%s_bytes{%s=", label, label);
		add_quoted(t, name);
		add(t, "} %" PRIu64 "\n", c->current);
		add(t, "tmk_%s_peak_bytes{%s=", label, label);
		add_quoted(t, name);
		add(t, "} %" PRIu64 "\n", c->peak);
		break;
	}
}

static void group_begin(struct text *t, const char *label)
{
	if (t->format == TMK_STATS_TEXT)
		add(t, "by %s\n", label);
	if (t->format != TMK_STATS_JSON)
		return;
	comma(t);
	add(t, "\"by_%s\": {", label);
	t->first = true;
}

static void group_end(struct text *t)
{
	if (t->format == TMK_STATS_JSON)
		add(t, "}");
	t->first = false;
}

static void groups(struct text *t, const struct tmk_stats *stats,
		   const struct tmk_holder *holders, size_t nr)
{
	struct tmk_counter c;
	size_t i;

	group_begin(t, "use");
	for (i = 0; i < TMK_USE_NR; i++)
		counter(t, "use", tmk_use_name((enum tmk_use)i),
			&stats->by_use[i]);
	group_end(t);
	group_begin(t, "kind");
	for (i = TMK_KIND_PINNED; i < TMK_KIND_NR; i++)
		counter(t, "kind", tmk_kind_name((enum tmk_kind)i),
			&stats->by_kind[i]);
	group_end(t);
	group_begin(t, "purpose");
	for (i = 0; i < nr; i++) {
		c.current = holders[i].bytes;
		c.peak = holders[i].peak;
		counter(t, "purpose", holders[i].name, &c);
	}
	group_end(t);
}

static void all(struct text *t, const struct tmk_stats *stats,
		const struct tmk_holder *holders, size_t nr)
{
	if (t->format == TMK_STATS_JSON)
		add(t, "{");
	t->first = true;
	value(t, "total_bytes", stats->total.current);
	value(t, "total_peak_bytes", stats->total.peak);
	value(t, "max_bytes", stats->max_bytes);
	value(t, "physical_bytes", stats->physical.current);
	value(t, "physical_peak_bytes", stats->physical.peak);
	value(t, "physical_max_bytes", stats->max_physical_bytes);
	value(t, "refused", stats->refused);
	value(t, "regions", stats->regions);
	value(t, "regions_created", stats->regions_created);
	value(t, "backend_calls", stats->backend_calls);
	groups(t, stats, holders, nr);
	if (t->format == TMK_STATS_JSON)
		add(t, "}\n");
}

int tmk_stats_holders(size_t *nr, struct tmk_holder *out, size_t max)
{
	if (!nr || (!out && max))
		return tmk__error(-EINVAL, "nowhere to put the holders");
	*nr = tmk__purpose_top(out, (unsigned int)TMK__MIN(max, HOLDERS_MAX));
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return tmk__error(n ? -errno : -EIO,
					  "cannot write statistics: %s",
					  strerror(n ? errno : EIO));
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int tmk_stats_write(int fd, enum tmk_stats_format format)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };
	struct tmk_holder holders[HOLDERS_MAX];
	struct text t = { .format = format };
	size_t nr;
	int err;

	if ((unsigned int)format > TMK_STATS_PROMETHEUS)
		return tmk__error(-EINVAL, "there is no format %d",
				  (int)format);
	err = tmk_stats_snapshot(&stats);
	if (!err)
		err = tmk_stats_holders(&nr, holders, HOLDERS_MAX);
	if (err)
		return err;
	t.buf = tmk__fault("stats") ? NULL : malloc(TEXT_MAX);
	if (!t.buf)
		return tmk__error(-ENOMEM, "no memory to print statistics");
	all(&t, &stats, holders, nr);
	err = write_all(fd, t.buf, t.len);
	free(t.buf);
	return err;
}

static void at_exit(void)
{
	(void)tmk_stats_write(STDERR_FILENO, TMK_STATS_TEXT);
}

/** tmk__stats_choose() - print statistics at exit if TMK_STATS says so */
void tmk__stats_choose(void)
{
	static atomic_bool chosen;

	if (tmk__env_choice(TMK__ENV_STATS, NULL) == 1 &&
	    !atomic_exchange(&chosen, true))
		(void)atexit(at_exit);
}
