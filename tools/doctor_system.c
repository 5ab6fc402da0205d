// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Doctor's look at the kernel and the machine. Everything that is read lies
 * below @ctl->root, so that machines of other kinds can be shown to it.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tmk/base.h>

#include "doctor.h"

#define THP "/sys/kernel/mm/transparent_hugepage/"
#define CAP_IPC_LOCK_BIT 14

/* "6.12.117+deb12" as 6 << 16 | 12; 0 if it is no version. */
static unsigned int parse_version(const char *text)
{
	unsigned int major, minor;

	if (sscanf(text, "%u.%u", &major, &minor) != 2 || major > 999 ||
	    minor > 999)
		return 0;
	return major << 16 | minor;
}

/**
 * doctor_kernel() - is it one that the module is tested on?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_kernel(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	unsigned int version, min = parse_version(TMK_META_KERNEL_MIN);
	unsigned int max = parse_version(TMK_META_KERNEL_MAX);
	char release[128];

	tmkctl_file_read(release, sizeof(release),
			 "%s/proc/sys/kernel/osrelease", ctl->root);
	version = parse_version(release);
	if (version >= min && version <= max) {
		doctor_found(out, TMKCTL_STATE_OK,
			     "Linux %s, in the range that the module supports (%s to %s)",
			     release, TMK_META_KERNEL_MIN, TMK_META_KERNEL_MAX);
		return;
	}
	doctor_found(out, TMKCTL_STATE_LIMITED,
		     "Linux %s; the module is tested on %s to %s",
		     *release ? release : "(unknown)", TMK_META_KERNEL_MIN,
		     TMK_META_KERNEL_MAX);
	if (version > max)
		doctor_advise(
			out,
			"the user backend runs; the module may build, and is untested here");
	else
		doctor_advise(
			out,
			"the user backend runs; the module needs Linux %s or newer",
			TMK_META_KERNEL_MIN);
}

/* The chosen word of "always [madvise] never". */
static void read_choice(char *buf, size_t len, const struct tmkctl *ctl,
			const char *path)
{
	char text[256], *begin, *end;

	buf[0] = '\0';
	if (tmkctl_file_read(text, sizeof(text), "%s%s", ctl->root, path))
		return;
	begin = strchr(text, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (end)
		snprintf(buf, len, "%.*s", (int)(end - begin - 1), begin + 1);
}

/**
 * doctor_huge() - transparent huge pages, which the user backend asks for
 * @out: the finding
 * @ctl: where to look
 */
void doctor_huge(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char enabled[32], defrag[32];

	read_choice(enabled, sizeof(enabled), ctl, THP "enabled");
	read_choice(defrag, sizeof(defrag), ctl, THP "defrag");
	if (!*enabled) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "this kernel has no transparent huge pages");
		doctor_advise(
			out,
			"a kernel with CONFIG_TRANSPARENT_HUGEPAGE; regions take 4 KiB pages here");
	} else if (!strcmp(enabled, "never")) {
		doctor_found(out, TMKCTL_STATE_LIMITED,
			     "enabled=never: the user backend gets none");
		doctor_advise(out, "echo madvise > " THP "enabled");
	} else {
		doctor_found(out, TMKCTL_STATE_OK, "enabled=%s, defrag=%s",
			     enabled, defrag);
	}
}

/**
 * doctor_huge_shmem() - the same for shared memory, which the module uses
 * @out: the finding
 * @ctl: where to look
 *
 * The module's own mount asks for huge pages, so that only "deny" matters.
 */
void doctor_huge_shmem(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char choice[32];

	read_choice(choice, sizeof(choice), ctl, THP "shmem_enabled");
	if (!*choice) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "this kernel has no huge pages for shared memory");
		doctor_advise(
			out,
			"a kernel with CONFIG_TRANSPARENT_HUGEPAGE and CONFIG_SHMEM");
	} else if (!strcmp(choice, "deny")) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "shmem_enabled=deny: the module gets none");
		doctor_advise(out, "echo never > " THP "shmem_enabled");
	} else {
		doctor_found(out, TMKCTL_STATE_OK,
			     "shmem_enabled=%s does not keep the module from them",
			     choice);
	}
}

/**
 * doctor_hugetlb() - the reserved pools
 * @out: the finding
 * @ctl: where to look
 */
void doctor_hugetlb(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	static const char *const sizes[] = { "2048", "1048576" };
	unsigned long long total[2] = { 0 }, unused[2] = { 0 };
	bool known = false;
	char text[32];
	size_t i;

	for (i = 0; i < 2; i++) {
		if (tmkctl_file_read(
			    text, sizeof(text),
			    "%s/sys/kernel/mm/hugepages/hugepages-%skB/nr_hugepages",
			    ctl->root, sizes[i]))
			continue;
		known = true;
		total[i] = strtoull(text, NULL, 10);
		tmkctl_file_read(
			text, sizeof(text),
			"%s/sys/kernel/mm/hugepages/hugepages-%skB/free_hugepages",
			ctl->root, sizes[i]);
		unused[i] = strtoull(text, NULL, 10);
	}
	if (total[0] || total[1]) {
		doctor_found(out, TMKCTL_STATE_OK,
			     "2 MiB: %llu pages, %llu free; 1 GiB: %llu pages, %llu free",
			     total[0], unused[0], total[1], unused[1]);
	} else if (known) {
		doctor_found(out, TMKCTL_STATE_MISSING, "the pools are empty");
		doctor_advise(
			out,
			"only if guaranteed huge pages are wanted: echo 64 > /proc/sys/vm/nr_hugepages");
	} else {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "this kernel has no hugetlb pools");
		doctor_advise(out, "a kernel with CONFIG_HUGETLBFS");
	}
}

/* May this process lock as much as it likes? */
static bool can_lock(const struct tmkctl *ctl)
{
	char status[8192], *line;

	if (tmkctl_file_read(status, sizeof(status), "%s/proc/self/status",
			     ctl->root))
		return false;
	line = strstr(status, "\nCapEff:");
	return line && strtoull(line + 8, NULL, 16) >> CAP_IPC_LOCK_BIT & 1;
}

/**
 * doctor_memlock() - how much may this process hold in RAM without the module?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_memlock(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	struct rlimit limit;
	char size[24];

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY) {
		doctor_found(out, TMKCTL_STATE_OK,
			     "RLIMIT_MEMLOCK is unlimited");
		return;
	}
	tmk_bytes_format(size, sizeof(size), limit.rlim_cur);
	if (can_lock(ctl)) {
		doctor_found(out, TMKCTL_STATE_OK,
			     "RLIMIT_MEMLOCK is %s, and CAP_IPC_LOCK lifts it for this process",
			     size);
		return;
	}
	doctor_found(out, TMKCTL_STATE_LIMITED,
		     "RLIMIT_MEMLOCK: %s of pinned memory in the user backend; none needed with the module",
		     size);
	doctor_advise(
		out,
		"for more, and for io_uring: ulimit -l, limits.conf, or LimitMEMLOCK= of systemd");
}

/**
 * struct mounts - which cgroup file systems there are
 * @v1: at least one of version 1
 * @v2: where version 2 is mounted, "" if nowhere
 */
struct mounts {
	bool v1;
	char v2[1024];
};

static void find_mounts(struct mounts *out, const struct tmkctl *ctl)
{
	char path[4096], line[4096], at[1024], type[64];
	FILE *file;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "%s/proc/self/mounts", ctl->root);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %1023s %63s", at, type) != 2)
			continue;
		if (!strcmp(type, "cgroup"))
			out->v1 = true;
		if (!strcmp(type, "cgroup2") && !*out->v2)
			strcpy(out->v2, at);
	}
	fclose(file);
}

/* The path of this process in the v2 hierarchy, "" if unknown. */
static void own_group(char *buf, size_t len, const struct tmkctl *ctl)
{
	char text[8192], *line, *next = text;

	buf[0] = '\0';
	if (tmkctl_file_read(text, sizeof(text), "%s/proc/self/cgroup",
			     ctl->root))
		return;
	while ((line = strsep(&next, "\n")))
		if (!strncmp(line, "0::", 3))
			snprintf(buf, len, "%s", line + 3);
}

/**
 * doctor_cgroup() - can memory be counted by cgroup?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_cgroup(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	struct mounts mounts;
	char group[1024];

	find_mounts(&mounts, ctl);
	own_group(group, sizeof(group), ctl);
	if (*mounts.v2 && !mounts.v1) {
		doctor_found(out, TMKCTL_STATE_OK,
			     "version 2 at %s, this process is in %s",
			     mounts.v2, *group ? group : "an unknown group");
	} else if (*mounts.v2) {
		doctor_found(
			out, TMKCTL_STATE_LIMITED,
			"hybrid: groups of version 1 are not seen, their memory counts machine-wide only");
		doctor_advise(
			out,
			"boot with systemd.unified_cgroup_hierarchy=1, or make groups below %s",
			mounts.v2);
	} else if (mounts.v1) {
		doctor_found(
			out, TMKCTL_STATE_LIMITED,
			"version 1 only: accounting and limits are machine-wide only");
		doctor_advise(
			out,
			"boot with systemd.unified_cgroup_hierarchy=1 to have limits by cgroup");
	} else {
		doctor_found(
			out, TMKCTL_STATE_LIMITED,
			"no cgroup file system is mounted: accounting is machine-wide only");
		doctor_advise(out, "mount -t cgroup2 none /sys/fs/cgroup");
	}
}

/* Is @word one of the words of @text? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *p = text;

	while ((p = strstr(p, word))) {
		if ((p == text || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
		p += len;
	}
	return false;
}

/**
 * doctor_memcg() - does memory.max hold beside tmk's limits?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_memcg(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	struct mounts mounts;
	char text[1024] = "";

	find_mounts(&mounts, ctl);
	if (*mounts.v2)
		tmkctl_file_read(text, sizeof(text), "%s%s/cgroup.controllers",
				 ctl->root, mounts.v2);
	if (has_word(text, "memory")) {
		doctor_found(out, TMKCTL_STATE_OK,
			     "memory.max holds beside tmk's own limits");
		return;
	}
	doctor_found(
		out, TMKCTL_STATE_MISSING,
		"cgroup version 2 has no memory controller: memory.max does not hold");
	doctor_advise(
		out,
		"boot with cgroup_no_v1=all and without cgroup_disable=memory");
}

/**
 * doctor_io_uring() - is the system call there and allowed?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_io_uring(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char sysctl[16];

	tmkctl_file_read(sysctl, sizeof(sysctl),
			 "%s/proc/sys/kernel/io_uring_disabled", ctl->root);
	/* Without parameters it fails with EFAULT, if it gets that far. */
	syscall(SYS_io_uring_setup, 1, NULL);
	if (errno == EFAULT) {
		doctor_found(out, TMKCTL_STATE_OK, "%s%s",
			     "the system call is there and allowed",
			     *sysctl ? "" : " (no sysctl io_uring_disabled)");
	} else if (errno == ENOSYS) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "this kernel does not offer it");
		doctor_advise(
			out,
			"a kernel with CONFIG_IO_URING; files are read with pread here");
	} else {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "not allowed: %s (kernel.io_uring_disabled=%s)",
			     strerror(errno), *sysctl ? sysctl : "unknown");
		doctor_advise(
			out,
			"sysctl kernel.io_uring_disabled=0, or allow it in the container's seccomp profile");
	}
}

/* Does the loader's cache know libcuda.so.1? */
static bool in_loader_cache(const struct tmkctl *ctl)
{
	static const char name[] = "libcuda.so.1";
	char path[4096], *text = NULL;
	bool found = false;
	size_t len = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/etc/ld.so.cache", ctl->root);
	file = fopen(path, "re");
	if (!file)
		return false;
	/* The cache is text between binary numbers; a NUL ends each name. */
	while (!found && getdelim(&text, &len, '\0', file) > 0)
		found = strlen(text) >= sizeof(name) - 1 &&
			!strcmp(text + strlen(text) - (sizeof(name) - 1), name);
	free(text);
	fclose(file);
	return found;
}

static bool in_directories(const struct tmkctl *ctl, const char *directories)
{
	char path[4096];

	while (directories && *directories) {
		size_t n = strcspn(directories, ":");

		snprintf(path, sizeof(path), "%s%.*s/libcuda.so.1", ctl->root,
			 (int)n, directories);
		if (!access(path, R_OK))
			return true;
		directories += n + (directories[n] == ':');
	}
	return false;
}

/**
 * doctor_cuda() - is the driver's library there? Nothing of it is run.
 * @out: the finding
 * @ctl: where to look
 */
void doctor_cuda(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char device[4096];

	snprintf(device, sizeof(device), "%s/dev/nvidiactl", ctl->root);
	if (!in_loader_cache(ctl) &&
	    !in_directories(ctl, getenv("LD_LIBRARY_PATH")) &&
	    !in_directories(ctl, "/usr/lib/x86_64-linux-gnu:/usr/lib64:"
				 "/usr/lib:/usr/lib/wsl/lib:"
				 "/usr/local/cuda/compat")) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "no libcuda.so.1 was found (nothing was run)");
		doctor_advise(
			out,
			"only for an NVIDIA GPU: install its driver; nothing else needs it");
	} else if (access(device, F_OK)) {
		doctor_found(
			out, TMKCTL_STATE_LIMITED,
			"libcuda.so.1 is there, /dev/nvidiactl is not (nothing was run)");
		doctor_advise(
			out,
			"load the NVIDIA driver, or pass the device into the container");
	} else {
		doctor_found(
			out, TMKCTL_STATE_OK,
			"libcuda.so.1 and /dev/nvidiactl are there (nothing was run)");
	}
}

/**
 * doctor_numa() - how many nodes?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_numa(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char pattern[4096];
	size_t nodes = 1;
	glob_t found;

	snprintf(pattern, sizeof(pattern),
		 "%s/sys/devices/system/node/node[0-9]*", ctl->root);
	if (!glob(pattern, 0, NULL, &found)) {
		nodes = found.gl_pathc;
		globfree(&found);
	}
	doctor_found(out, TMKCTL_STATE_OK, "%zu node%s", nodes,
		     nodes == 1 ? "" : "s");
}
