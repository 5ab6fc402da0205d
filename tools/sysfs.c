// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Reads /sys/kernel/tmk; see sysfs.h.
 *
 * What does not look as doc/abi/sysfs-kernel-tmk says is an error that names
 * the file: a status with a figure left out would be a wrong status. Only a
 * group that went away while it was read is passed over.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tmk/base.h>

#include "sysfs.h"

#define ROOT_ID 1

static int malformed(const char *dir, const char *file, const char *text)
{
	char shown[48];

	snprintf(shown, sizeof(shown), "%s", text);
	shown[strcspn(shown, "\n")] = '\0';
	return tmkctl_fail(TMKCTL_FAILED,
			   "%s/%s reads '%s', which is not what tmk writes there",
			   dir, file, tmkctl_text(shown));
}

/* Return: 0 or an exit code; -ENOENT if the whole directory is gone. */
static int read_file(char *buf, size_t len, const char *dir, const char *file)
{
	struct stat st;
	int err;

	err = tmkctl_file_read(buf, len, "%s/%s", dir, file);
	if (!err)
		return 0;
	if ((err == -ENOENT && stat(dir, &st)) || err == -ENODEV)
		return -ENOENT;
	return tmkctl_fail(TMKCTL_FAILED, "cannot read %s/%s: %s", dir, file,
			   strerror(-err));
}

static int read_u64(uint64_t *out, const char *dir, const char *file)
{
	char buf[64];
	int err;

	err = read_file(buf, sizeof(buf), dir, file);
	if (err)
		return err;
	if (tmkctl_u64_parse(out, buf))
		return malformed(dir, file, buf);
	return 0;
}

static int read_limit(uint64_t *out, const char *dir, const char *file)
{
	char buf[64];
	int err;

	err = read_file(buf, sizeof(buf), dir, file);
	if (err)
		return err;
	if (!strcmp(buf, "max"))
		*out = TMK_UNLIMITED;
	else if (tmkctl_u64_parse(out, buf))
		return malformed(dir, file, buf);
	return 0;
}

/*
 * The next "<key> <number>" line. Return: 1, or 0 at the end, or -EINVAL.
 * The text is cut into pieces.
 */
static int next_pair(char **key, uint64_t *value, char **text)
{
	char *line, *number;

	line = strsep(text, "\n");
	if (!line)
		return 0;
	number = strchr(line, ' ');
	if (!number || number == line)
		return -EINVAL;
	*number++ = '\0';
	*key = line;
	return tmkctl_u64_parse(value, number) ? -EINVAL : 1;
}

static int read_kinds(struct tmkctl_group *group, const char *dir)
{
	char buf[1024], shown[1024];
	char *text = buf, *key;
	uint64_t value;
	int err;

	err = read_file(buf, sizeof(buf), dir, "by_kind");
	if (err)
		return err;
	memcpy(shown, buf, sizeof(shown));
	while ((err = next_pair(&key, &value, &text)) > 0) {
		struct tmkctl_kind *kind = &group->kinds[group->kinds_nr];

		if (group->kinds_nr == TMKCTL_KINDS_MAX ||
		    strlen(key) >= sizeof(kind->name))
			return malformed(dir, "by_kind", shown);
		strcpy(kind->name, key);
		kind->bytes = value;
		group->kinds_nr++;
	}
	return err ? malformed(dir, "by_kind", shown) : 0;
}

static int read_events(struct tmkctl_events *out, const char *dir,
		       const char *file)
{
	char buf[1024], shown[1024];
	char *text = buf, *key;
	unsigned int seen = 0;
	uint64_t value;
	int err;

	err = read_file(buf, sizeof(buf), dir, file);
	if (err)
		return err;
	memcpy(shown, buf, sizeof(shown));
	while ((err = next_pair(&key, &value, &text)) > 0) {
		/* A newer module may count more than this program knows. */
		if (!strcmp(key, "max")) {
			out->max = value;
			seen |= 1;
		} else if (!strcmp(key, "physical_max")) {
			out->physical_max = value;
			seen |= 2;
		}
	}
	return err || seen != 3 ? malformed(dir, file, shown) : 0;
}

/* Everything but what only a cgroup has. Return: as read_file(). */
static int read_figures(struct tmkctl_group *group, const char *dir)
{
	const struct {
		const char *file;
		uint64_t *value;
		int (*read)(uint64_t *out, const char *dir, const char *file);
	} figures[] = {
		{ "current", &group->current, read_u64 },
		{ "peak", &group->peak, read_u64 },
		{ "max", &group->max, read_limit },
		{ "physical_current", &group->physical_current, read_u64 },
		{ "physical_peak", &group->physical_peak, read_u64 },
		{ "physical_max", &group->physical_max, read_limit },
	};
	size_t i;
	int err;

	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		err = figures[i].read(figures[i].value, dir, figures[i].file);
		if (err)
			return err;
	}
	err = read_kinds(group, dir);
	if (err)
		return err;
	err = read_events(&group->events, dir, "events");
	if (err)
		return err;
	return read_events(&group->events_local, dir, "events.local");
}

static int read_group(struct tmkctl_group *group, const char *dir)
{
	char path[4096];
	uint64_t online;
	int err;

	err = read_file(path, sizeof(path), dir, "path");
	if (err)
		return err;
	if (path[0] != '/')
		return malformed(dir, "path", path);
	err = read_u64(&online, dir, "online");
	if (err)
		return err;
	group->online = online;
	err = read_figures(group, dir);
	if (err)
		return err;
	group->path = strdup(path);
	if (!group->path)
		return tmkctl_fail(TMKCTL_FAILED, "out of memory");
	return 0;
}

/*
 * By path, a '/' before everything else, so that a group is followed by its
 * children and "a-b" does not come between "a" and "a/b".
 */
static int compare_groups(const void *va, const void *vb)
{
	const struct tmkctl_group *a = va, *b = vb;
	const char *p = a->path, *q = b->path;

	while (*p && *p == *q) {
		p++;
		q++;
	}
	if (*p != *q) {
		if (!*p || !*q)
			return *p ? 1 : -1;
		if (*p == '/' || *q == '/')
			return *p == '/' ? -1 : 1;
		return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
	}
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Return: 0 or an exit code. */
static int add_group(struct tmkctl_tree *tree, const char *cgroups,
		     const char *name)
{
	struct tmkctl_group group = { 0 }, *grown;
	char dir[4200];
	int err;

	/* Other names are nothing that this program knows of. */
	if (tmkctl_u64_parse(&group.id, name) || group.id == ROOT_ID)
		return 0;
	snprintf(dir, sizeof(dir), "%s/%" PRIu64, cgroups, group.id);
	err = read_group(&group, dir);
	if (err)
		return err == -ENOENT ? 0 : err;
	grown = reallocarray(tree->groups, tree->groups_nr + 1, sizeof(*grown));
	if (!grown) {
		free(group.path);
		return tmkctl_fail(TMKCTL_FAILED, "out of memory");
	}
	tree->groups = grown;
	tree->groups[tree->groups_nr++] = group;
	return 0;
}

static int read_groups(struct tmkctl_tree *tree, const char *root)
{
	struct dirent *entry;
	char cgroups[4096];
	int err = 0;
	DIR *dir;

	snprintf(cgroups, sizeof(cgroups), "%s/cgroups", root);
	dir = opendir(cgroups);
	if (!dir)
		return tmkctl_fail(TMKCTL_FAILED, "cannot read %s: %s", cgroups,
				   strerror(errno));
	while (!err && (entry = readdir(dir)))
		err = add_group(tree, cgroups, entry->d_name);
	closedir(dir);
	if (!err && tree->groups_nr)
		qsort(tree->groups, tree->groups_nr, sizeof(*tree->groups),
		      compare_groups);
	return err;
}

int tmkctl_tree_read(struct tmkctl_tree *out, const struct tmkctl *ctl)
{
	struct stat st;
	int err;

	memset(out, 0, sizeof(*out));
	if (stat(ctl->sysfs, &st))
		return tmkctl_no_module(ctl);
	err = read_file(out->version, sizeof(out->version), ctl->sysfs,
			"version");
	if (!err)
		err = read_file(out->populate, sizeof(out->populate),
				ctl->sysfs, "populate");
	out->machine.id = ROOT_ID;
	out->machine.online = true;
	if (!err)
		err = read_figures(&out->machine, ctl->sysfs);
	if (!err) {
		out->machine.path = strdup("/");
		if (!out->machine.path)
			return tmkctl_fail(TMKCTL_FAILED, "out of memory");
		err = read_groups(out, ctl->sysfs);
	}
	/* The module went away while it was read. */
	return err == -ENOENT ? tmkctl_no_module(ctl) : err;
}

void tmkctl_tree_free(struct tmkctl_tree *tree)
{
	size_t i;

	for (i = 0; i < tree->groups_nr; i++)
		free(tree->groups[i].path);
	free(tree->groups);
	free(tree->machine.path);
	memset(tree, 0, sizeof(*tree));
}

const struct tmkctl_group *tmkctl_tree_find(const struct tmkctl_tree *tree,
					    const char *path)
{
	size_t i;

	if (!strcmp(path, "/"))
		return &tree->machine;
	for (i = 0; i < tree->groups_nr; i++)
		if (tree->groups[i].online &&
		    !strcmp(tree->groups[i].path, path))
			return &tree->groups[i];
	return NULL;
}
