// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmkctl status: limits and usage of the machine and of each cgroup, as a table
 * of at most 100 columns or as JSON.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tmk/base.h>

#include "sysfs.h"

#define COLUMNS 100
#define PATH_COLUMNS 22
#define BAR_CELLS 8

static void json_events(struct tmkctl_json *json, const char *key,
			const struct tmkctl_events *events)
{
	json_object_begin(json, key);
	json_u64(json, "max", events->max);
	json_u64(json, "physical_max", events->physical_max);
	json_object_end(json);
}

static void json_figures(struct tmkctl_json *json,
			 const struct tmkctl_group *group)
{
	size_t i;

	json_u64(json, "current", group->current);
	json_u64(json, "peak", group->peak);
	json_limit(json, "max", group->max);
	json_u64(json, "physical_current", group->physical_current);
	json_u64(json, "physical_peak", group->physical_peak);
	json_limit(json, "physical_max", group->physical_max);
	json_object_begin(json, "by_kind");
	for (i = 0; i < group->kinds_nr; i++)
		json_u64(json, group->kinds[i].name, group->kinds[i].bytes);
	json_object_end(json);
	json_events(json, "events", &group->events);
	json_events(json, "events_local", &group->events_local);
}

static void print_json(const struct tmkctl *ctl, const struct tmkctl_tree *tree)
{
	struct tmkctl_json json;
	size_t i;

	tmkctl_json_begin(&json, ctl);
	json_object_begin(&json, "module");
	json_text(&json, "version", tree->version);
	json_text(&json, "populate", tree->populate);
	json_object_end(&json);
	json_object_begin(&json, "machine");
	json_figures(&json, &tree->machine);
	json_object_end(&json);
	json_array_begin(&json, "cgroups");
	for (i = 0; i < tree->groups_nr; i++) {
		json_object_begin(&json, NULL);
		json_u64(&json, "id", tree->groups[i].id);
		json_text(&json, "path", tree->groups[i].path);
		json_bool(&json, "online", tree->groups[i].online);
		json_figures(&json, &tree->groups[i]);
		json_object_end(&json);
	}
	json_array_end(&json);
	tmkctl_json_end(&json);
}

/* Per cent of a limit that is in use, rounded down; more than 100 is shown. */
static unsigned int percent(uint64_t used, uint64_t max)
{
	unsigned __int128 hundred = (unsigned __int128)used * 100;

	if (!max)
		return used ? 999 : 100;
	hundred /= max;
	return hundred > 999 ? 999 : (unsigned int)hundred;
}

static enum tmkctl_colour percent_colour(unsigned int value)
{
	if (value >= 90)
		return TMKCTL_RED;
	return value >= 75 ? TMKCTL_YELLOW : TMKCTL_GREEN;
}

/* "huge 16M, pinned 64K", the largest first, or what of it fits. */
static void kinds_text(char *buf, size_t len, const struct tmkctl_group *group,
		       int columns)
{
	bool shown[TMKCTL_KINDS_MAX] = { false };
	size_t i, best, left = 0;
	char size[16], one[64];

	for (i = 0; i < group->kinds_nr; i++)
		left += !!group->kinds[i].bytes;
	snprintf(buf, len, "%s", left ? "" : "-");
	for (; left; left--) {
		best = group->kinds_nr;
		for (i = 0; i < group->kinds_nr; i++)
			if (!shown[i] && group->kinds[i].bytes &&
			    (best == group->kinds_nr ||
			     group->kinds[i].bytes > group->kinds[best].bytes))
				best = i;
		shown[best] = true;
		snprintf(one, sizeof(one), "%s%s %s", *buf ? ", " : "",
			 group->kinds[best].name,
			 tmkctl_size(size, sizeof(size),
				     group->kinds[best].bytes));
		/* Keep room for the " +1" of those that do not fit. */
		if (*buf && (int)(strlen(buf) + strlen(one)) >
				    columns - (left > 1 ? 3 : 0)) {
			snprintf(one, sizeof(one), " +%zu", left);
			left = 1;
		}
		snprintf(buf + strlen(buf), len - strlen(buf), "%s", one);
	}
	tmkctl_text(buf);
}

static void print_counter(const struct tmkctl_term *term, const char *name,
			  uint64_t current, uint64_t max, uint64_t peak)
{
	char sizes[3][24];

	printf("  %-13s%10s  of %-10s  peak %10s", name,
	       tmk_bytes_format(sizes[0], sizeof(sizes[0]), current),
	       tmk_bytes_format(sizes[1], sizeof(sizes[1]), max),
	       tmk_bytes_format(sizes[2], sizeof(sizes[2]), peak));
	if (max != TMK_UNLIMITED)
		printf("  %s%3u %%%s used",
		       tmkctl_colour(term,
				     percent_colour(percent(current, max))),
		       percent(current, max),
		       tmkctl_colour(term, TMKCTL_PLAIN));
	printf("\n");
}

static void print_machine(const struct tmkctl_term *term,
			  struct tmkctl_tree *tree)
{
	const struct tmkctl_group *machine = &tree->machine;
	const struct tmkctl_events *events = &machine->events;
	uint64_t refused = events->max + events->physical_max;
	char kinds[256];

	printf("%stmk %s: the machine%s\n", tmkctl_colour(term, TMKCTL_BOLD),
	       tmkctl_text(tree->version), tmkctl_colour(term, TMKCTL_PLAIN));
	print_counter(term, "all bytes", machine->current, machine->max,
		      machine->peak);
	print_counter(term, "in RAM", machine->physical_current,
		      machine->physical_max, machine->physical_peak);
	kinds_text(kinds, sizeof(kinds), machine, COLUMNS - 16);
	printf("  %-13s%s\n", "by kind", kinds);
	printf("  %-13s%s%llu%s", "refused",
	       tmkctl_colour(term, refused ? TMKCTL_RED : TMKCTL_PLAIN),
	       (unsigned long long)refused, tmkctl_colour(term, TMKCTL_PLAIN));
	if (refused)
		printf("  (%llu by a max, %llu by a physical_max)",
		       (unsigned long long)events->max,
		       (unsigned long long)events->physical_max);
	printf("\n");
}

static void print_bar(const struct tmkctl_term *term, uint64_t used,
		      uint64_t max)
{
	unsigned int value = percent(used, max), i;
	unsigned int cells = (value * BAR_CELLS + 99) / 100;

	if (max == TMK_UNLIMITED) {
		printf("  %*s", BAR_CELLS + 6, "-");
		return;
	}
	printf("  %s", tmkctl_colour(term, percent_colour(value)));
	for (i = 0; i < BAR_CELLS; i++)
		fputs(i < cells ? (term->utf8 ? "█" : "#") :
				  (term->utf8 ? "░" : "."),
		      stdout);
	printf(" %3u %%%s", value, tmkctl_colour(term, TMKCTL_PLAIN));
}

/* Is @path below @above? */
static bool is_below(const char *path, const char *above)
{
	size_t len = strlen(above);

	return !strncmp(path, above, len) && path[len] == '/';
}

/*
 * The name in the tree: indented under the nearest group that is shown, and as
 * much of the path as that one does not tell.
 */
static void tree_name(char *buf, size_t len, const struct tmkctl_tree *tree,
		      size_t nr)
{
	const char *path = tree->groups[nr].path;
	const char *rest = path;
	const char *above = "";
	int depth = 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		const char *other = tree->groups[i].path;

		/* They are sorted: every group above comes before this one. */
		if (!is_below(path, other) ||
		    (*above && !is_below(other, above)))
			continue;
		above = other;
		rest = path + strlen(other) + 1;
		depth++;
	}
	if (depth > 6)
		depth = 6;
	snprintf(buf, len, "%*s%s%s", depth * 2, "", rest,
		 tree->groups[nr].online ? "" : " (removed)");
	tmkctl_text(buf);
	tmkctl_text_clip(buf, PATH_COLUMNS);
}

static void print_group(const struct tmkctl_term *term,
			const struct tmkctl_tree *tree, size_t nr)
{
	const struct tmkctl_group *group = &tree->groups[nr];
	uint64_t refused =
		group->events_local.max + group->events_local.physical_max;
	char name[4200], size[16], kinds[256];

	tree_name(name, sizeof(name), tree, nr);
	printf("%s%*s", name, PATH_COLUMNS - tmkctl_text_columns(name), "");
	printf(" %8s", tmkctl_size(size, sizeof(size), group->current));
	printf(" %7s", tmkctl_size(size, sizeof(size), group->max));
	print_bar(term, group->current, group->max);
	printf(" %7s", tmkctl_size(size, sizeof(size), group->peak));
	printf(" %7s",
	       tmkctl_size(size, sizeof(size), group->physical_current));
	printf(" %7s", tmkctl_size(size, sizeof(size), group->physical_max));
	printf(" %s%7llu%s",
	       tmkctl_colour(term, refused ? TMKCTL_RED : TMKCTL_PLAIN),
	       (unsigned long long)refused, tmkctl_colour(term, TMKCTL_PLAIN));
	kinds_text(kinds, sizeof(kinds), group, 11);
	printf("  %s\n", kinds);
}

static void print_table(struct tmkctl_tree *tree)
{
	struct tmkctl_term term;
	size_t i;

	tmkctl_term_probe(&term);
	print_machine(&term, tree);
	if (!tree->groups_nr) {
		printf("No cgroup holds memory or has a limit.\n");
		return;
	}
	printf("\n%s%-*s %8s %7s  %*s %7s %7s %7s %7s  %s%s\n",
	       tmkctl_colour(&term, TMKCTL_BOLD), PATH_COLUMNS, "CGROUP",
	       "CURRENT", "MAX", BAR_CELLS + 6, "USED", "PEAK", "IN RAM",
	       "RAM MAX", "REFUSED", "BY KIND",
	       tmkctl_colour(&term, TMKCTL_PLAIN));
	for (i = 0; i < tree->groups_nr; i++)
		print_group(&term, tree, i);
}

static int print_once(const struct tmkctl *ctl)
{
	struct tmkctl_tree tree;
	int err;

	err = tmkctl_tree_read(&tree, ctl);
	if (!err) {
		/* A screen is wiped, a pipe gets one table after the other. */
		if (ctl->watch && !ctl->json && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		if (ctl->json)
			print_json(ctl, &tree);
		else
			print_table(&tree);
	}
	tmkctl_tree_free(&tree);
	return err;
}

static int run_status(const struct tmkctl *ctl, int argc, char **argv)
{
	struct timespec pause;
	int err;

	(void)argc;
	(void)argv;
	pause.tv_sec = (time_t)ctl->watch;
	pause.tv_nsec = (long)((ctl->watch - (double)pause.tv_sec) * 1e9);
	for (;;) {
		err = print_once(ctl);
		if (err || !ctl->watch || fflush(stdout))
			return err;
		nanosleep(&pause, NULL);
		if (!ctl->json && !isatty(STDOUT_FILENO))
			printf("\n");
	}
}

/* tmkctl status */
const struct tmkctl_cmd tmkctl_status_cmds[] = {
	{
		.help = "limits and usage of the machine and of each cgroup",
		.opts = TMKCTL_OPT_JSON | TMKCTL_OPT_SYSFS | TMKCTL_OPT_WATCH,
		.run = run_status,
	},
	{ 0 },
};
