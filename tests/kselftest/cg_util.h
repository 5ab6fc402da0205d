/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * cgroup v2 for tests, in the vocabulary of the kernel's own cgroup selftests.
 */
#ifndef TMK_KSELFTEST_CG_UTIL_H
#define TMK_KSELFTEST_CG_UTIL_H

#include "tmk_util.h"

#define CG_ROOT "/sys/fs/cgroup"

static inline void cg_path(char *buf, const char *group, const char *file)
{
	snprintf(buf, PATH_MAX, CG_ROOT "%s%s%s", group, file ? "/" : "",
		 file ? file : "");
}

static inline int cg_create(const char *group)
{
	char path[PATH_MAX];

	cg_path(path, group, NULL);
	return mkdir(path, 0755);
}

static inline int cg_destroy(const char *group)
{
	char path[PATH_MAX];
	int i;

	cg_path(path, group, NULL);
	for (i = 0; i < 200; i++) {
		if (!rmdir(path))
			return 0;
		if (errno != EBUSY)
			break;
		sleep_ms(10);
	}
	return -errno;
}

static inline int cg_write(const char *group, const char *file,
			   const char *text)
{
	char path[PATH_MAX];

	cg_path(path, group, file);
	return write_text(path, text);
}

static inline int cg_enter(const char *group)
{
	return cg_write(group, "cgroup.procs", "0");
}

static inline unsigned long long cg_id(const char *group)
{
	char path[PATH_MAX];
	struct stat st;

	cg_path(path, group, NULL);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* tmk's directory of a group. */
static inline void tmk_path(char *buf, unsigned long long id, const char *file)
{
	snprintf(buf, PATH_MAX, SYSFS "/cgroups/%llu%s%s", id, file ? "/" : "",
		 file ? file : "");
}

static inline unsigned long long tmk_number(unsigned long long id,
					    const char *file)
{
	char path[PATH_MAX];

	tmk_path(path, id, file);
	return read_number(path);
}

static inline bool tmk_known(unsigned long long id)
{
	char path[PATH_MAX];

	tmk_path(path, id, NULL);
	return !access(path, F_OK);
}

/* Set a limit through control, which works before the first charge. */
static inline int tmk_limit(const char *group, const char *key,
			    const char *value)
{
	char line[PATH_MAX];

	snprintf(line, sizeof(line), "%s %s=%s", group, key, value);
	return write_text(SYSFS "/control", line);
}

/*
 * A child in @group that holds a region until it is told to go.
 */
struct holder {
	pid_t pid;
	int go; /* closing it lets the child exit */
	int err; /* 0 or the errno that creating gave */
	struct tmk_ioc_region_create cmd;
};

struct holder_report {
	int err;
	struct tmk_ioc_region_create cmd;
};

static inline struct holder hold(const char *group, unsigned int kind,
				 uint64_t length)
{
	struct holder_report report = { .err = ECHILD };
	struct holder h = { .pid = -1 };
	int go[2], done[2];

	if (pipe2(go, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
		abort();
	h.pid = fork();
	if (!h.pid) {
		int dev;

		close(go[1]);
		report.cmd = create_cmd(kind, length);
		report.err = 0;
		if (cg_enter(group)) {
			report.err = ESRCH;
		} else {
			dev = device_open();
			if (create(dev, &report.cmd) < 0)
				report.err = errno;
		}
		if (write(done[1], &report, sizeof(report)) < 0)
			_exit(1);
		hear(go[0]);
		_exit(0);
	}
	close(go[0]);
	close(done[1]);
	if (read(done[0], &report, sizeof(report)) != sizeof(report))
		report.err = ECHILD;
	close(done[0]);
	h.go = go[1];
	h.err = report.err;
	h.cmd = report.cmd;
	return h;
}

static inline void let_go(struct holder *h)
{
	/* Closing would not do: a later holder may have inherited it. */
	tell(h->go);
	close(h->go);
	wait_status(h->pid);
}

#endif /* TMK_KSELFTEST_CG_UTIL_H */
