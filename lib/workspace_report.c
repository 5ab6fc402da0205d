// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A table of all workspaces of the process, whoever made them: on demand, and
 * when memory was refused and TMK_DUMP_ON_OOM names a file.
 *
 * The table of workspaces is locked meanwhile, so that none appears or goes.
 * Their counters are their threads', which do not stop: they are read word by
 * word, each as it is at that moment, and so are those of shared ones: who is
 * refused memory may hold the lock of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "ws.h"

#define DUMP_PAUSE 1 /* seconds, at least, between two dumps */

#define READ(x) (*(const volatile __typeof__(x) *)&(x))

/* What a line of the table says. */
struct line {
	char id[TMK__WS_ID_BYTES];
	int tid; /* 0: of all threads */
	const char *state;
	uint64_t size;
	uint64_t offset;
	uint64_t max;
	uint64_t cycles;
	uint64_t generation;
	uint64_t spilled;
	uint64_t pinned;
	uint64_t outside;
};

/* Another thread's words, while it writes them: no race that tears anything. */
__attribute__((no_sanitize("thread"))) static void line_read(
	struct line *out, const struct tmk__ws *ws)
{
	snprintf(out->id, sizeof(out->id), "%s", ws->id);
	out->tid = ws->shared ? 0 : ws->tid;
	out->state = ws->inherited  ? "parent's" :
		     READ(ws->open) ? "open" :
				      "closed";
	out->size = READ(ws->size);
	out->offset = (uint64_t)(READ(ws->next) - READ(ws->base));
	if (out->offset > out->size)
		out->offset = 0; /* its block was replaced meanwhile */
	out->max = READ(ws->max);
	out->cycles = READ(ws->cycles);
	out->generation = READ(ws->cell->gen) - ws->gen_base;
	out->spilled = READ(ws->spill.used);
	out->pinned = READ(ws->pinned.used);
	out->outside = READ(ws->outside.used);
}

static int put(int fd, const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int put_line(int fd, const struct line *l)
{
	char text[512], thread[16] = "shared";
	int len;

	if (l->tid)
		snprintf(thread, sizeof(thread), "%d", l->tid);
	len = snprintf(text, sizeof(text),
		       "%-20s %8s %-8s %14" PRIu64 " %14" PRIu64 " %14" PRIu64
		       " %8" PRIu64 " %8" PRIu64 " %12" PRIu64 " %12" PRIu64
		       " %12" PRIu64 "\n",
		       l->id, thread, l->state, l->size, l->offset, l->max,
		       l->cycles, l->generation, l->spilled, l->pinned,
		       l->outside);
	return put(fd, text, TMK__MIN((size_t)len, sizeof(text) - 1));
}

static int put_head(int fd)
{
	char text[512];
	int len;

	len = snprintf(text, sizeof(text),
		       "%-20s %8s %-8s %14s %14s %14s %8s %8s %12s %12s %12s\n",
		       "workspace", "thread", "state", "size", "offset",
		       "max cycle", "cycles", "gen", "spilled", "pinned",
		       "outside");
	return put(fd, text, (size_t)len);
}

static int put_sum(int fd, const struct line *sum, uint32_t nr)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };
	char text[512];
	int len;

	tmk__ledger_read(&stats);
	len = snprintf(text, sizeof(text),
		       "%" PRIu32 " workspaces: %" PRIu64 " bytes in blocks, "
		       "%" PRIu64 " spilled, %" PRIu64 " pinned, %" PRIu64
		       " outside; the process holds %" PRIu64 " bytes\n",
		       nr, sum->size, sum->spilled, sum->pinned, sum->outside,
		       stats.total.current);
	return put(fd, text, TMK__MIN((size_t)len, sizeof(text) - 1));
}

/* Living workspace @place, if there is one. */
static bool line_take(struct line *out, uint32_t place)
{
	const struct tmk__ws *ws = &tmk__ws_table.ws[place];
	bool alive;

	tmk__ws_table_lock();
	alive = __atomic_load_n(&ws->handle, __ATOMIC_ACQUIRE) != 0;
	if (alive)
		line_read(out, ws);
	tmk__ws_table_unlock();
	return alive;
}

int tmk_workspace_report(int fd)
{
	struct line sum = { .id = "" }, l;
	uint32_t place, nr = 0, places;
	int err;

	places = __atomic_load_n(&tmk__ws_table.nr, __ATOMIC_ACQUIRE);
	err = put_head(fd);
	for (place = 1; !err && place < places; place++) {
		if (!line_take(&l, place))
			continue;
		nr++;
		sum.size += l.size;
		sum.spilled += l.spilled;
		sum.pinned += l.pinned;
		sum.outside += l.outside;
		err = put_line(fd, &l);
	}
	if (!err)
		err = put_sum(fd, &sum, nr);
	return err ? tmk__error(err, "cannot write the report: %s",
				strerror(-err)) :
		     0;
}

/* A program that is refused again and again is not to fill the disk. */
static bool dump_is_due(void)
{
	static atomic_llong last;
	struct timespec now;
	long long before = atomic_load(&last);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (before && now.tv_sec - before < DUMP_PAUSE)
		return false;
	return atomic_compare_exchange_strong(&last, &before,
					      now.tv_sec ?
						      (long long)now.tv_sec :
						      1);
}

static void dump_to(const char *path, const char *why)
{
	bool standard = !strcmp(path, "-");
	int fd = STDERR_FILENO;

	if (!standard)
		fd = open(path,
			  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
			  0600);
	if (fd < 0) {
		tmk__log(TMK__LOG_WARN, "cannot write %s: %s", path,
			 strerror(errno));
		return;
	}
	if (!put(fd, "tmk: ", 5) && !put(fd, why, strlen(why)) &&
	    !put(fd, "\n", 1))
		(void)tmk_workspace_report(fd);
	if (!standard)
		close(fd);
}

/**
 * tmk__ws_dump() - memory was refused: write the report if that is wanted
 *
 * Changes nothing that the caller sees, the last error and errno included.
 */
void tmk__ws_dump(void)
{
	const char *path = tmk__env_get(TMK__ENV_DUMP_ON_OOM);
	struct tmk__error_state state;
	int saved = errno;

	if (!path || !*path || !dump_is_due())
		return;
	tmk__error_save(&state);
	dump_to(path, state.text);
	tmk__error_restore(&state);
	errno = saved;
}
