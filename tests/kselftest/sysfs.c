// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/* /sys/kernel/tmk has the files that its ABI file lists, and no others. */
#include "cg_util.h"

#include <dirent.h>

struct file {
	const char *name;
	mode_t mode;
};

static const struct file group_files[] = {
	{ "path", 0444 },
	{ "online", 0444 },
	{ "owner", 0444 },
	{ "current", 0444 },
	{ "peak", 0644 },
	{ "max", 0644 },
	{ "physical_current", 0444 },
	{ "physical_peak", 0644 },
	{ "physical_max", 0644 },
	{ "by_kind", 0444 },
	{ "events", 0444 },
	{ "events.local", 0444 },
};

static const struct file machine_files[] = {
	{ "control", 0200 },
	{ "version", 0444 },
	{ "populate", 0444 },
};

#define NR(a) (sizeof(a) / sizeof((a)[0]))

static const struct file *find(const struct file *files, size_t nr,
			       const char *name)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(files[i].name, name))
			return &files[i];
	return NULL;
}

/* Count the files of @dir; complain about those that should not be there. */
static size_t check_dir(const char *dir, bool is_machine)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	size_t seen = 0;

	ASSERT_NE(NULL, d);
	while ((e = readdir(d))) {
		const struct file *f;
		char path[PATH_MAX];
		struct stat st;

		if (e->d_type != DT_REG)
			continue;
		f = find(group_files, NR(group_files), e->d_name);
		if (!f && is_machine)
			f = find(machine_files, NR(machine_files), e->d_name);
		if (!f) {
			TH_LOG("%s/%s is not documented", dir, e->d_name);
			EXPECT_TRUE(f);
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		EXPECT_EQ(0, stat(path, &st));
		EXPECT_EQ(f->mode, st.st_mode & 07777);
		seen++;
	}
	closedir(d);
	return seen;
}

TEST(files_and_modes)
{
	struct holder h;
	char path[PATH_MAX];

	EXPECT_EQ(NR(group_files) + NR(machine_files), check_dir(SYSFS, true));
	ASSERT_EQ(0, cg_create("/files"));
	h = hold("/files", TMK_IOC_KIND_PINNED, 1);
	ASSERT_EQ(0, h.err);
	tmk_path(path, cg_id("/files"), NULL);
	EXPECT_EQ(NR(group_files), check_dir(path, false));
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/files"));
}

TEST(the_machine_is_the_root_group)
{
	struct stat root, link;
	char text[64];

	ASSERT_EQ(0, lstat(SYSFS "/cgroups/1", &link));
	EXPECT_TRUE(S_ISLNK(link.st_mode));
	ASSERT_EQ(0, stat(SYSFS, &root));
	ASSERT_EQ(0, stat(SYSFS "/cgroups/1", &link));
	EXPECT_EQ(root.st_ino, link.st_ino);
	ASSERT_GT(read_text(SYSFS "/path", text, sizeof(text)), 0);
	EXPECT_STREQ("/\n", text);
	EXPECT_EQ(1, machine("online"));
	EXPECT_EQ(0, access("/sys/class/misc/tmk/accounting/current", R_OK));
}

TEST(version_and_populate)
{
	struct tmk_ioc_info info = { .size = sizeof(info) };
	char text[64], param[64];
	int dev = device_open();

	ASSERT_EQ(0, ioctl(dev, TMK_IOC_INFO, &info));
	ASSERT_GT(read_text(SYSFS "/version", text, sizeof(text)), 0);
	text[strcspn(text, "\n")] = '\0';
	EXPECT_STREQ((char *)info.out_version, text);
	ASSERT_GT(read_text(SYSFS "/populate", text, sizeof(text)), 0);
	EXPECT_EQ(!strcmp(text, "own\n"),
		  !!(info.out_features & TMK_IOC_FEATURE_POPULATE_OWN));
	/* What was asked for at load is what runs. */
	ASSERT_GT(read_text("/sys/module/tmk/parameters/populate", param,
			    sizeof(param)),
		  0);
	if (strcmp(param, "auto\n"))
		EXPECT_STREQ(param, text);
}

TEST(machine_limit_is_half_of_ram_by_default)
{
	struct tmk_ioc_info info = { .size = sizeof(info) };
	int dev = device_open();

	ASSERT_EQ(0, ioctl(dev, TMK_IOC_INFO, &info));
	EXPECT_GE(info.out_total_ram / 2, machine("physical_max"));
	EXPECT_LT(info.out_total_ram / 2 - machine("physical_max"), 4096);
	EXPECT_EQ(ULLONG_MAX, machine("max"));
}

TEST(usage_is_what_sysfs_shows)
{
	struct tmk_ioc_usage u = { .size = sizeof(u) };
	int dev = device_open();
	unsigned long long id;
	pid_t pid;

	ASSERT_EQ(0, cg_create("/use"));
	ASSERT_EQ(0, cg_create("/use/sub"));
	ASSERT_EQ(0, tmk_limit("/use", "max", "64M"));
	ASSERT_EQ(0, tmk_limit("/use", "physical_max", "32M"));
	id = cg_id("/use/sub");
	pid = fork();
	if (!pid) {
		unsigned long long parent = cg_id("/use");

		ASSERT_EQ(0, cg_enter("/use/sub"));
		/* Asking creates nothing; the tightest is above. */
		ASSERT_EQ(0, ioctl(dev, TMK_IOC_USAGE, &u));
		EXPECT_EQ(id, u.out_cgroup_id);
		EXPECT_EQ(0, u.out_current);
		EXPECT_EQ(UINT64_MAX, u.out_max);
		EXPECT_EQ(parent, u.out_tight_cgroup);
		EXPECT_EQ(64 * MIB, u.out_tight_max);
		EXPECT_EQ(parent, u.out_physical_tight_cgroup);
		EXPECT_EQ(32 * MIB, u.out_physical_tight_max);
		EXPECT_FALSE(tmk_known(id));

		ASSERT_GE(create_simple(dev, TMK_IOC_KIND_HUGE, 6 * MIB), 0);
		ASSERT_EQ(0, ioctl(dev, TMK_IOC_USAGE, &u));
		EXPECT_EQ(6 * MIB, u.out_current);
		EXPECT_EQ(tmk_number(id, "current"), u.out_current);
		EXPECT_EQ(tmk_number(id, "peak"), u.out_peak);
		EXPECT_EQ(6 * MIB, u.out_physical_current);
		EXPECT_EQ(6 * MIB, u.out_physical_peak);
		EXPECT_EQ(6 * MIB, u.out_tight_current);
		/* Its own limit is tighter now. */
		ASSERT_EQ(0, tmk_limit("/use/sub", "max", "8M"));
		ASSERT_EQ(0, ioctl(dev, TMK_IOC_USAGE, &u));
		EXPECT_EQ(8 * MIB, u.out_max);
		EXPECT_EQ(id, u.out_tight_cgroup);
		exit(tap_result->failed);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_TRUE(settles(0));
	tmk_limit("/use", "max", "max");
	tmk_limit("/use", "physical_max", "max");
	tmk_limit("/use/sub", "max", "max");
	cg_destroy("/use/sub");
	EXPECT_EQ(0, cg_destroy("/use"));
}

TEST_HARNESS_MAIN
