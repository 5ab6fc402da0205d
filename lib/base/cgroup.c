// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What cgroup v2 allows this process: every memory.max from its own group up to
 * the root, as far as its cgroup namespace and its mounts let it see. Where
 * there is no cgroup v2, or no memory controller in it, there is no such limit;
 * those of cgroup v1 are not read.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/**
 * struct walk - on the way from the process's group to the root
 * @mount: where the hierarchy is mounted
 * @dir: the directory of the present group
 * @top: length of the part of @dir that is the mount point
 */
struct walk {
	const struct tmk__cgroup_mount *mount;
	char dir[PATH_MAX];
	size_t top;
};

/* The process's path in cgroup v2: the line "0::/path". */
static int cgroup_self(char *path, size_t len)
{
	char text[PATH_MAX + 1024];
	const char *at;
	size_t n;

	if (tmk__file_read(text, sizeof(text), "/proc/self/cgroup") < 0)
		return -ENOENT;
	at = !strncmp(text, "0::/", 4) ? text : strstr(text, "\n0::/");
	if (!at)
		return -ENOENT;
	at = strchr(at, '/');
	n = strcspn(at, "\n");
	if (n >= len)
		return -ENAMETOOLONG;
	memcpy(path, at, n);
	path[n] = '\0';
	return 0;
}

/* mountinfo writes blanks and backslashes as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && isdigit((unsigned char)text[1]) &&
		    isdigit((unsigned char)text[2]) &&
		    isdigit((unsigned char)text[3])) {
			*to++ = (char)((text[1] - '0') * 64 +
				       (text[2] - '0') * 8 + (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* Is @line a mount of cgroup v2? Then where, and of which of its groups. */
static bool mount_parse(char *line, char **root, char **point)
{
	char *rest = strstr(line, " - cgroup2 ");
	char *save, *word;
	int i;

	if (!rest)
		return false;
	*rest = '\0';
	*root = NULL;
	*point = NULL;
	word = strtok_r(line, " ", &save);
	for (i = 0; word && i < 5; i++) {
		if (i == 3)
			*root = word;
		if (i == 4)
			*point = word;
		word = strtok_r(NULL, " ", &save);
	}
	if (!*point)
		return false;
	unescape(*root);
	unescape(*point);
	return true;
}

static int mount_set(struct tmk__cgroup_mount *out, const char *root,
		     const char *point)
{
	if (!strcmp(root, "/"))
		root = "";
	if (strlen(root) >= sizeof(out->root) ||
	    strlen(point) >= sizeof(out->point))
		return -ENAMETOOLONG;
	snprintf(out->root, sizeof(out->root), "%s", root);
	snprintf(out->point, sizeof(out->point), "%s", point);
	return 0;
}

/**
 * tmk__cgroup_find() - find out where cgroup v2 is mounted
 * @out: filled in
 *
 * Return: 0; -ENOENT if it is nowhere to be seen.
 */
int tmk__cgroup_find(struct tmk__cgroup_mount *out)
{
	char *line = NULL, *root, *point;
	size_t room = 0;
	int err = -ENOENT;
	FILE *f;

	memset(out, 0, sizeof(*out));
	f = tmk__file_open("/proc/self/mountinfo");
	if (!f)
		return -ENOENT;
	while (err && getline(&line, &room, f) > 0)
		if (mount_parse(line, &root, &point))
			err = mount_set(out, root, point);
	free(line);
	fclose(f);
	return err ? -ENOENT : 0;
}

/* What is left of @path below @root; "" if it is not below. */
static const char *path_below(const char *path, const char *root)
{
	size_t n = strlen(root);

	/* Out of sight of the namespace: all that is mounted is above us. */
	if (!strncmp(path, "/..", 3))
		return "";
	if (strncmp(path, root, n) != 0 || (path[n] && path[n] != '/'))
		return "";
	return strcmp(path + n, "/") ? path + n : "";
}

static int walk_begin(struct walk *w, const struct tmk__cgroup_mount *mount)
{
	char path[PATH_MAX];
	int n, err;

	if (!mount->point[0])
		return -ENOENT;
	err = cgroup_self(path, sizeof(path));
	if (err)
		return err;
	n = snprintf(w->dir, sizeof(w->dir), "%s%s", mount->point,
		     path_below(path, mount->root));
	if (n < 0 || (size_t)n >= sizeof(w->dir))
		return -ENAMETOOLONG;
	w->mount = mount;
	w->top = strlen(mount->point);
	return 0;
}

/* On to the parent. Return: false if that was the root. */
static bool walk_up(struct walk *w)
{
	char *slash = strrchr(w->dir + w->top, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

/* The present group's path; of a long one the end says more. */
static void walk_path(char *out, size_t len, const struct walk *w)
{
	char path[2 * PATH_MAX];
	size_t n;

	n = (size_t)snprintf(path, sizeof(path), "%s%s", w->mount->root,
			     w->dir + w->top);
	if (!n)
		n = (size_t)snprintf(path, sizeof(path), "/");
	if (n < len)
		memcpy(out, path, n + 1);
	else
		snprintf(out, len, "/...%s", path + n - (len - 5));
}

static int walk_read(char *buf, size_t len, const struct walk *w,
		     const char *file)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", w->dir, file);
	return tmk__file_read(buf, len, path);
}

/* Return: false if the group has no such limit. */
static bool group_max(uint64_t *out, const struct walk *w)
{
	char text[64];

	if (walk_read(text, sizeof(text), w, "memory.max") <= 0 ||
	    !isdigit((unsigned char)text[0]))
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}

/* What the group uses and the kernel cannot take back at once. */
static bool group_used(uint64_t *out, const struct walk *w)
{
	static const char *const droppable[] = { "active_file ",
						 "inactive_file ",
						 "slab_reclaimable " };
	char text[8192];
	uint64_t bytes;
	size_t i;

	if (walk_read(text, sizeof(text), w, "memory.current") <= 0)
		return false;
	*out = strtoull(text, NULL, 10);
	if (walk_read(text, sizeof(text), w, "memory.stat") <= 0)
		return true;
	for (i = 0; i < TMK__ARRAY_SIZE(droppable); i++)
		if (tmk__line_value(&bytes, text, droppable[i]))
			*out -= TMK__MIN(*out, bytes);
	return true;
}

/**
 * tmk__cgroup_least() - the least memory.max above the process
 * @out: the limit and its group; max is TMK_UNLIMITED if there is none
 * @mount: from tmk__cgroup_find()
 *
 * Return: 0; -ENOENT if there is no cgroup v2 to be seen here.
 */
int tmk__cgroup_least(struct tmk__memcg *out,
		      const struct tmk__cgroup_mount *mount)
{
	struct walk w;
	uint64_t max;

	*out = (struct tmk__memcg){ .max = TMK_UNLIMITED };
	if (walk_begin(&w, mount))
		return -ENOENT;
	do {
		if (!group_max(&max, &w) || max >= out->max)
			continue;
		out->max = max;
		walk_path(out->path, sizeof(out->path), &w);
	} while (walk_up(&w));
	return 0;
}

/**
 * tmk__cgroup_tightest() - the memory.max with the least room above the process
 * @out: the limit, what is in use under it, and its group; max is TMK_UNLIMITED
 *	if there is none
 * @mount: from tmk__cgroup_find()
 *
 * Return: 0; -ENOENT if there is no cgroup v2 to be seen here.
 */
int tmk__cgroup_tightest(struct tmk__memcg *out,
			 const struct tmk__cgroup_mount *mount)
{
	uint64_t least = TMK_UNLIMITED, max, used, room;
	struct walk w;

	*out = (struct tmk__memcg){ .max = TMK_UNLIMITED };
	if (walk_begin(&w, mount))
		return -ENOENT;
	do {
		if (!group_max(&max, &w) || !group_used(&used, &w))
			continue;
		room = used < max ? max - used : 0;
		if (room >= least)
			continue;
		least = room;
		out->max = max;
		out->used = used;
		walk_path(out->path, sizeof(out->path), &w);
	} while (walk_up(&w));
	return 0;
}

/**
 * tmk__cgroup_tmk_path() - the path of a group that the module names by its id
 * @buf: the path; "cgroup <id>" if it cannot be read; "" for id 0 and for the
 *	root, which stand for the machine
 * @len: room in @buf
 * @id: its id
 */
void tmk__cgroup_tmk_path(char *buf, size_t len, uint64_t id)
{
	char path[80];

	buf[0] = '\0';
	if (id <= 1)
		return;
	snprintf(path, sizeof(path), "/sys/kernel/tmk/cgroups/%" PRIu64 "/path",
		 id);
	if (tmk__file_read(buf, len, path) <= 0)
		snprintf(buf, len, "cgroup %" PRIu64, id);
	else
		buf[strcspn(buf, "\n")] = '\0';
}
