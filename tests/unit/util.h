/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What tests of regions and limits share. They run on both backends: without
 * options the library takes the one that TMK_BACKEND names.
 */
#ifndef TMK_TESTS_UNIT_UTIL_H
#define TMK_TESTS_UNIT_UTIL_H

#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <tmk/tmk.h>

#include "../harness/sanitize.h"
#include "internal.h"

#define MIB ((uint64_t)1 << 20)
#define NOBODY 65534

/* A path below /tmp that is the test's own, made as a file or as a directory. */
#define TEMP_PATH 32

static TAP_UNUSED int temp_file(char path[TEMP_PATH])
{
	strcpy(path, "/tmp/tmk-test-XXXXXX");
	return mkstemp(path);
}

static TAP_UNUSED bool temp_dir(char path[TEMP_PATH])
{
	strcpy(path, "/tmp/tmk-test-XXXXXX");
	return mkdtemp(path) != NULL;
}

static TAP_UNUSED struct tmk_stats stats_now(void)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };

	if (tmk_stats_snapshot(&stats))
		TH_LOG("%s", tmk_error_last());
	return stats;
}

/* All bytes that the ledger has. */
static TAP_UNUSED uint64_t held(void)
{
	return stats_now().total.current;
}

/* Does the ledger have nothing at all? */
static TAP_UNUSED bool all_zero(void)
{
	struct tmk_stats stats = stats_now();
	uint64_t sum = stats.total.current | stats.physical.current |
		       stats.regions;
	int i;

	for (i = 0; i < TMK_USE_NR; i++)
		sum |= stats.by_use[i].current;
	for (i = 0; i < TMK_KIND_NR; i++)
		sum |= stats.by_kind[i].current;
	return !sum;
}

static TAP_UNUSED bool on_dev(void)
{
	struct tmk_backend_info info;

	return !tmk_backend_info(&info) && info.backend == TMK_BACKEND_DEV;
}

/* Can the backend do that here? */
static TAP_UNUSED bool feature(const char *name)
{
	struct tmk_backend_info info;
	size_t i;

	if (tmk_backend_info(&info))
		return false;
	for (i = 0; i < info.features_nr; i++)
		if (!strcmp(info.features[i].name, name))
			return info.features[i].available;
	return false;
}

static TAP_UNUSED bool says(const char *word)
{
	if (strstr(tmk_error_last(), word))
		return true;
	TH_LOG("\"%s\" does not say \"%s\"", tmk_error_last(), word);
	return false;
}

static TAP_UNUSED int create(struct tmk_region **out, uint64_t bytes,
			     enum tmk_kind kind, uint32_t flags)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;

	opts.kind = kind;
	opts.flags = flags;
	return tmk_region_create(out, bytes, &opts);
}

/* Set the limit on all bytes, and leave the other one aside. */
static TAP_UNUSED int limit(uint64_t max)
{
	struct tmk_limits limits = { max, TMK_UNLIMITED };

	return tmk_limits_set(&limits);
}

static TAP_UNUSED int memlock_set(uint64_t bytes)
{
	struct rlimit limit_now = { bytes, bytes };

	return setrlimit(RLIMIT_MEMLOCK, &limit_now) ? -errno : 0;
}

/* Become an ordinary user who can still read his own files in /proc. */
static TAP_UNUSED int become_nobody(void)
{
	if (geteuid())
		return 0;
	if (setgid(NOBODY) || setuid(NOBODY))
		return -errno;
	return prctl(PR_SET_DUMPABLE, 1) ? -errno : 0;
}

static TAP_UNUSED int fds_nr(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (dir && (entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return nr;
}

/* Mappings of regions; all mappings where no sanitizer makes its own. */
static TAP_UNUSED int maps_nr(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int nr = 0;

	while (f && fgets(line, sizeof(line), f))
		nr += !SANITIZED || strstr(line, "tmk:");
	if (f)
		fclose(f);
	return nr;
}

/* Write a small file, making the directories above it. */
static TAP_UNUSED TMK__PRINTF(2, 3) int put_file(const char *text,
						 const char *fmt, ...)
{
	char path[600], *slash;
	va_list args;
	int fd, err;

	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	for (slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -EIO;
	close(fd);
	return err;
}

#define CGROUPS "/sys/fs/cgroup"

/*
 * A cgroup of our own with a limit of the module's, NULL for none; in it from now
 * on. One below another is entered from it.
 */
static TAP_UNUSED int enter_group(const char *name, const char *key,
				  const char *max)
{
	char path[128];

	if (access(CGROUPS "/cgroup.procs", W_OK) ||
	    access("/sys/kernel/tmk/control", W_OK))
		return -ENOENT;
	snprintf(path, sizeof(path), CGROUPS "/%s", name);
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	if (put_file("0", "%s/cgroup.procs", path))
		return -EIO;
	if (!key)
		return 0;
	snprintf(path, sizeof(path), "/%s %s=%s", name, key, max);
	return put_file(path, "/sys/kernel/tmk/control");
}

static TAP_UNUSED void leave_group(const char *name)
{
	char path[128];

	if (put_file("0", CGROUPS "/cgroup.procs"))
		TH_LOG("cannot leave %s", name);
	snprintf(path, sizeof(path), CGROUPS "/%s", name);
	rmdir(path);
}

/* Run a function in a child. Return: its result, 0 to 125, or 126 if killed. */
static TAP_UNUSED int in_child(int (*run)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		int ret = run(arg);

		fflush(stdout);
		_exit(ret);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

#endif /* TMK_TESTS_UNIT_UTIL_H */
