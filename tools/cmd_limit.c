// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmkctl limit: reads and sets the two limits of a cgroup.
 *
 * A group that has a directory in sysfs gets its limit through its own file,
 * any other through /sys/kernel/tmk/control. The whole command line is checked
 * before the first limit is written.
 */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tmk/base.h>

#include "sysfs.h"

/* The keys of control, which are the names of the files as well. */
static const char *const keys[] = { "max", "physical_max" };
#define KEYS_NR (sizeof(keys) / sizeof(keys[0]))

/**
 * struct request - what "limit set" was asked for
 * @given: the key stands on the command line
 * @bytes: its value
 */
struct request {
	bool given[KEYS_NR];
	uint64_t bytes[KEYS_NR];
};

/*
 * Where cgroup v2 is mounted, so that a path below it can be given as it
 * stands in the file system; "" if it is not.
 */
static void find_mount(char *buf, size_t len)
{
	char line[4096], at[2048], type[64];
	FILE *file;

	buf[0] = '\0';
	file = fopen("/proc/self/mounts", "re");
	if (!file)
		return;
	while (!*buf && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %2047s %63s", at, type) == 2 &&
		    !strcmp(type, "cgroup2"))
			snprintf(buf, len, "%s", at);
	fclose(file);
}

/* Is @path @dir or below? Then what follows, "" or "/...". */
static const char *strip_dir(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (!len || strncmp(path, dir, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

/**
 * normalise() - the path of a cgroup as the kernel writes it
 * @out: "/a/b": one slash before each name, none at the end; to be freed
 * @text: "a/b", "/a/b" or "/sys/fs/cgroup/a/b"
 *
 * Return: 0 or an exit code.
 */
static int normalise(char **out, const char *text)
{
	const char *rest = NULL, *p = text;
	char mount[2048], *to;

	if (!*text)
		return tmkctl_fail(TMKCTL_USAGE, "the cgroup path is empty");
	find_mount(mount, sizeof(mount));
	if (*text == '/')
		rest = strip_dir(text, mount);
	if (*text == '/' && !rest)
		rest = strip_dir(text, "/sys/fs/cgroup");
	if (rest)
		p = rest;
	*out = to = malloc(strlen(p) + 2);
	if (!to)
		return tmkctl_fail(TMKCTL_FAILED, "out of memory");
	while (*p) {
		size_t n = strcspn(p, "/");

		if ((n == 1 && *p == '.') || memchr(p, '\n', n)) {
			free(*out);
			return tmkctl_fail(TMKCTL_USAGE,
					   "'%s' is no cgroup path", text);
		}
		if (n) {
			*to++ = '/';
			memcpy(to, p, n);
			to += n;
		}
		p += n + (p[n] == '/');
	}
	if (to == *out)
		*to++ = '/';
	*to = '\0';
	return 0;
}

static int parse_limit(struct request *out, const char *word)
{
	const char *value = strchr(word, '=');
	size_t i, len = value ? (size_t)(value - word) : 0;
	int err;

	if (!value)
		return tmkctl_fail(
			TMKCTL_USAGE,
			"'%s' is no limit; write max=SIZE or physical_max=SIZE",
			word);
	for (i = 0; i < KEYS_NR; i++)
		if (strlen(keys[i]) == len && !strncmp(keys[i], word, len))
			break;
	if (i == KEYS_NR)
		return tmkctl_fail(
			TMKCTL_USAGE,
			"there is no limit '%.*s'; there are max and physical_max",
			(int)len, word);
	if (out->given[i])
		return tmkctl_fail(TMKCTL_USAGE, "%s is given twice", keys[i]);
	err = tmk_bytes_parse(&out->bytes[i], ++value, 0);
	if (err == -ERANGE)
		return tmkctl_fail(TMKCTL_USAGE, "%s=%s is too large", keys[i],
				   value);
	if (err)
		return tmkctl_fail(
			TMKCTL_USAGE,
			"'%s' is no size for %s: write a number of bytes with K, M, G or T, or max",
			value, keys[i]);
	out->given[i] = true;
	return 0;
}

/* One write of one line, as sysfs wants it. Return: 0 or -errno. */
static int write_line(const char *path, const char *line)
{
	size_t len = strlen(line);
	ssize_t n;
	int fd, err;

	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, line, len);
	err = n < 0 ? -errno : (size_t)n != len ? -EIO : 0;
	close(fd);
	return err;
}

static int explain(int err, const char *path, const char *key)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return tmkctl_fail(
			TMKCTL_FAILED,
			"%s of %s was not set: no permission, it needs CAP_SYS_RESOURCE (root), or the owner and no lower limit above",
			key, path);
	case -ENOENT:
		return tmkctl_fail(TMKCTL_FAILED,
				   "%s of %s was not set: there is no such cgroup",
				   key, path);
	default:
		return tmkctl_fail(TMKCTL_FAILED, "%s of %s was not set: %s",
				   key, path, strerror(-err));
	}
}

/* Return: 0 or -errno. */
static int write_limit(const struct tmkctl *ctl,
		       const struct tmkctl_group *group, const char *path,
		       const char *key, uint64_t bytes)
{
	char number[24] = "max", *file = NULL, *line = NULL;
	int err = -ENOMEM;

	if (bytes != TMK_UNLIMITED)
		snprintf(number, sizeof(number), "%" PRIu64, bytes);
	if (!group) {
		if (asprintf(&file, "%s/control", ctl->sysfs) < 0 ||
		    asprintf(&line, "%s %s=%s\n", path, key, number) < 0)
			goto out;
	} else if (!strcmp(path, "/")) {
		if (asprintf(&file, "%s/%s", ctl->sysfs, key) < 0)
			goto out;
	} else {
		if (asprintf(&file, "%s/cgroups/%" PRIu64 "/%s", ctl->sysfs,
			     group->id, key) < 0)
			goto out;
	}
	if (!line && asprintf(&line, "%s\n", number) < 0)
		goto out;
	err = write_line(file, line);
	/* Its directory went away meanwhile: it held nothing any more. */
	if (group && strcmp(path, "/") && (err == -ENOENT || err == -ENODEV))
		err = write_limit(ctl, NULL, path, key, bytes);
out:
	free(file);
	free(line);
	return err;
}

static int apply(const struct tmkctl *ctl, const char *path,
		 const struct request *request)
{
	struct tmkctl_tree tree;
	char size[24];
	size_t i;
	int err;

	err = tmkctl_tree_read(&tree, ctl);
	for (i = 0; !err && i < KEYS_NR; i++) {
		if (!request->given[i])
			continue;
		err = write_limit(ctl, tmkctl_tree_find(&tree, path), path,
				  keys[i], request->bytes[i]);
		if (err)
			err = explain(err, path, keys[i]);
		else
			printf("%s: %s is now %s\n", path, keys[i],
			       tmk_bytes_format(size, sizeof(size),
						request->bytes[i]));
	}
	tmkctl_tree_free(&tree);
	return err;
}

static int run_set(const struct tmkctl *ctl, int argc, char **argv)
{
	struct request request = { 0 };
	char *path;
	int err, i;

	err = normalise(&path, argv[0]);
	if (err)
		return err;
	for (i = 1; !err && i < argc; i++)
		err = parse_limit(&request, argv[i]);
	if (!err)
		err = apply(ctl, path, &request);
	free(path);
	return err;
}

static void print_limit(const char *key, uint64_t max, uint64_t current)
{
	char sizes[2][24];

	printf("  %-13s%10s   in use %10s\n", key,
	       tmk_bytes_format(sizes[0], sizeof(sizes[0]), max),
	       tmk_bytes_format(sizes[1], sizeof(sizes[1]), current));
}

static void print_limits(const struct tmkctl *ctl, char *path,
			 const struct tmkctl_group *group)
{
	struct tmkctl_json json;

	if (ctl->json) {
		tmkctl_json_begin(&json, ctl);
		json_text(&json, "path", path);
		json_limit(&json, "max", group->max);
		json_u64(&json, "current", group->current);
		json_limit(&json, "physical_max", group->physical_max);
		json_u64(&json, "physical_current", group->physical_current);
		tmkctl_json_end(&json);
		return;
	}
	printf("%s\n", tmkctl_text(path));
	print_limit("max", group->max, group->current);
	print_limit("physical_max", group->physical_max,
		    group->physical_current);
}

/* A group without a directory: no limit, nothing in use, if it exists at all. */
static const struct tmkctl_group *unknown_group(const char *path)
{
	static const struct tmkctl_group none = {
		.max = TMK_UNLIMITED,
		.physical_max = TMK_UNLIMITED,
	};
	char mount[2048], *dir;
	bool exists;

	find_mount(mount, sizeof(mount));
	if (!*mount || asprintf(&dir, "%s%s", mount, path) < 0)
		return NULL;
	exists = !access(dir, F_OK);
	free(dir);
	return exists ? &none : NULL;
}

static int run_get(const struct tmkctl *ctl, int argc, char **argv)
{
	const struct tmkctl_group *group;
	struct tmkctl_tree tree;
	char *path;
	int err;

	(void)argc;
	err = normalise(&path, argv[0]);
	if (err)
		return err;
	err = tmkctl_tree_read(&tree, ctl);
	if (!err) {
		group = tmkctl_tree_find(&tree, path);
		if (!group)
			group = unknown_group(path);
		if (group)
			print_limits(ctl, path, group);
		else
			err = tmkctl_fail(TMKCTL_FAILED,
					  "there is no cgroup %s", path);
	}
	tmkctl_tree_free(&tree);
	free(path);
	return err;
}

/* tmkctl limit ... */
const struct tmkctl_cmd tmkctl_limit_cmds[] = {
	{
		.name = "get",
		.args = "CGROUP",
		.help = "the limits of a cgroup",
		.opts = TMKCTL_OPT_JSON | TMKCTL_OPT_SYSFS,
		.args_min = 1,
		.args_max = 1,
		.run = run_get,
	},
	{
		.name = "set",
		.args = "CGROUP max=SIZE|physical_max=SIZE ...",
		.help = "set one limit or both; needs CAP_SYS_RESOURCE",
		.opts = TMKCTL_OPT_SYSFS,
		.args_min = 2,
		.args_max = 3,
		.run = run_set,
	},
	{ 0 },
};
