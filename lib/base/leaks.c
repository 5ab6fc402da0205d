// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What is left at the end: when the last tmk_open() is undone, and when the
 * process ends, after all that the program has registered for that. Other
 * threads may go on meanwhile; they are locked out while the table is copied, and
 * no longer.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

#define GROUPS_MAX 100 /* told one by one */

/* Things of one sort from one place: [first, first + nr) of what was copied. */
struct group {
	const struct tmk__holder *first;
	uint32_t nr;
	uint64_t bytes;
};

static const char *const nouns[][2] = {
	[TMK__HOLDER_BLOCK] = { "block", "blocks" },
	[TMK__HOLDER_REGION] = { "region", "regions" },
	[TMK__HOLDER_TENSOR] = { "tensor", "tensors" },
	[TMK__HOLDER_WORKSPACE] = { "workspace", "workspaces" },
};

/* Are they to be told together? By sort, place, kind and name. */
static int sort_compare(const struct tmk__holder *a,
			const struct tmk__holder *b)
{
	if (a->what != b->what)
		return a->what - b->what;
	if (a->made != b->made)
		return a->made < b->made ? -1 : 1;
	if (a->state != b->state)
		return a->state - b->state;
	if (a->kind != b->kind)
		return a->kind - b->kind;
	return strcmp(a->name, b->name);
}

/* And the oldest first. */
static int holder_compare(const void *x, const void *y)
{
	const struct tmk__holder *a = x, *b = y;
	int order = sort_compare(a, b);

	return order ? order : (a->born > b->born) - (a->born < b->born);
}

static int group_compare(const void *x, const void *y)
{
	const struct group *a = x, *b = y;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

static uint32_t groups_make(struct group *groups,
			    const struct tmk__holder *holders, uint32_t nr)
{
	uint32_t i, groups_nr = 0;
	struct group *g = NULL;

	for (i = 0; i < nr; i++) {
		if (!g || sort_compare(g->first, &holders[i]) != 0) {
			g = &groups[groups_nr++];
			*g = (struct group){ &holders[i], 0, 0 };
		}
		g->nr++;
		g->bytes += holders[i].bytes;
	}
	qsort(groups, groups_nr, sizeof(*groups), group_compare);
	return groups_nr;
}

static void stack_tell(uint32_t stack)
{
	void *pc[TMK__STACK_FRAMES];
	uint32_t nr = tmk__stack_frames(pc, stack), i;
	struct tmk__symbol s;

	for (i = 0; i < nr; i++) {
		tmk__symbol_find(&s, pc[i]);
		if (s.name[0])
			tmk__debug_tell("    %s+0x%" PRIx64 " (%s+0x%" PRIx64
					")",
					s.name, s.into, s.object, s.at);
		else
			tmk__debug_tell("    %s+0x%" PRIx64, s.object, s.at);
		/* What calls that is the same in every program. */
		if (!strcmp(s.name, "main"))
			break;
	}
	if (!nr)
		tmk__debug_tell("    where is not known");
}

static void group_tell(const struct group *g)
{
	const struct tmk__holder *h = g->first;
	uint64_t age = tmk__debug_now() - h->born;
	const char *of = h->kind ? tmk_kind_name((enum tmk_kind)h->kind) : "";

	tmk__debug_tell("%u %s%s%s%s%s, %" PRIu64 " bytes%s%s, %s%" PRIu64
			".%" PRIu64 " s old%s, from",
			g->nr, nouns[h->what][g->nr > 1],
			h->name[0] ? " \"" : "", h->name,
			h->name[0] ? "\"" : "",
			h->what == TMK__HOLDER_TENSOR && !g->bytes ?
				" of memory that is another's" :
				"",
			g->bytes, of[0] ? ", " : "", of,
			g->nr > 1 ? "up to " : "", age / 1000, age % 1000 / 100,
			h->state == TMK__HOLDER_WAITS ?
				", freed after a fence that has not passed" :
				"");
	stack_tell(h->made);
}

static void report(struct tmk__holder *holders, struct group *groups,
		   uint32_t nr, const char *when)
{
	uint64_t bytes = 0, rest = 0;
	uint32_t groups_nr, i;

	qsort(holders, nr, sizeof(*holders), holder_compare);
	groups_nr = groups_make(groups, holders, nr);
	for (i = 0; i < groups_nr; i++) {
		bytes += groups[i].bytes;
		if (i >= GROUPS_MAX)
			rest += groups[i].bytes;
	}
	tmk__debug_tell("leaks %s: %u holder%s of %" PRIu64 " bytes in all, "
			"largest first",
			when, nr, &"s"[nr == 1], bytes);
	for (i = 0; i < TMK__MIN(groups_nr, GROUPS_MAX); i++)
		group_tell(&groups[i]);
	if (groups_nr > GROUPS_MAX)
		tmk__debug_tell("and %" PRIu64 " bytes from %u more places",
				rest, groups_nr - GROUPS_MAX);
}

/**
 * tmk__leaks_report() - tell what the program still has, if that is to be told
 * @when: for people
 *
 * What was told once is not told again.
 */
void tmk__leaks_report(const char *when)
{
	const size_t each = sizeof(struct tmk__holder) + sizeof(struct group);
	uint32_t room, nr;
	char *memory;

	if (!(tmk__debug() & TMK__DEBUG_LEAKS))
		return;
	room = tmk__holders_left(NULL, 0);
	if (!room)
		return;
	memory = tmk__fault("leaks") ?
			 MAP_FAILED :
			 mmap(NULL, room * each, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		tmk__debug_tell("leaks %s: %u holder%s, and no memory to list",
				when, room, &"s"[room == 1]);
		return;
	}
	nr = tmk__holders_left((struct tmk__holder *)memory, room);
	if (nr)
		report((struct tmk__holder *)memory,
		       (struct group *)(memory +
					room * sizeof(struct tmk__holder)),
		       nr, when);
	munmap(memory, room * each);
}

/* Behind everything that the program does at its end. */
__attribute__((destructor(101))) static void at_exit(void)
{
	tmk__leaks_report("at exit");
}
