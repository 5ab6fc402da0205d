// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * /sys/kernel/tmk has the files that doc/abi/sysfs-kernel-tmk describes, with the
 * modes that it says, and no others. The machine brings that file along.
 */
#include "cg_util.h"

#include <dirent.h>

#define ABI "/vm/abi"
#define GROUP_DIR SYSFS "/cgroups/<id>/"

/* An entry that is a file. */
struct entry {
	char what[128];
	mode_t mode;
	bool seen;
};

static struct entry entries[64];
static size_t entries_nr;

static mode_t mode_of(const char *description)
{
	static const struct {
		const char *word;
		mode_t mode;
	} modes[] = { { "(RO)", 0444 }, { "(RW)", 0644 }, { "(WO)", 0200 } };
	size_t i;

	for (i = 0; i < 3; i++)
		if (!strncmp(description, modes[i].word, 4))
			return modes[i].mode;
	return 0;
}

/* Read the ABI file; what has no mode is a directory or a link. */
static bool abi_read(void)
{
	char line[512], what[128] = "";
	FILE *f = fopen(ABI, "r");

	while (f && fgets(line, sizeof(line), f)) {
		mode_t mode = mode_of(line + strspn(line, "\t"));

		if (sscanf(line, "What: %127s", what) == 1 || !mode || !*what)
			continue;
		ASSERT_LT(entries_nr, sizeof(entries) / sizeof(entries[0]));
		strcpy(entries[entries_nr].what, what);
		entries[entries_nr++].mode = mode;
		*what = '\0';
	}
	if (f)
		fclose(f);
	return entries_nr;
}

static struct entry *entry_find(const char *prefix, const char *name)
{
	char what[PATH_MAX];
	size_t i;

	snprintf(what, sizeof(what), "%s%s", prefix, name);
	for (i = 0; i < entries_nr; i++)
		if (!strcmp(entries[i].what, what))
			return &entries[i];
	return NULL;
}

/* The files of @dir are entries that begin with @prefix, or with @other. */
static void check_dir(const char *dir, const char *prefix, const char *other)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	ASSERT_NE(NULL, d);
	while ((e = readdir(d))) {
		struct entry *entry;
		char path[PATH_MAX];
		struct stat st;

		if (e->d_type != DT_REG)
			continue;
		entry = entry_find(prefix, e->d_name);
		if (!entry && other)
			entry = entry_find(other, e->d_name);
		if (!entry) {
			TH_LOG("%s/%s is not documented", dir, e->d_name);
			EXPECT_TRUE(entry);
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		EXPECT_EQ(0, stat(path, &st));
		EXPECT_EQ(entry->mode, st.st_mode & 07777);
		entry->seen = true;
	}
	closedir(d);
}

/* @dir has as many files as there are entries that begin with @prefix. */
static void check_whole(const char *dir, const char *prefix)
{
	size_t i;

	for (i = 0; i < entries_nr; i++) {
		char path[PATH_MAX];
		const char *name = entries[i].what + strlen(prefix);

		if (strncmp(entries[i].what, prefix, strlen(prefix)) != 0 ||
		    strchr(name, '/'))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (access(path, F_OK))
			TH_LOG("%s is not there", path);
		EXPECT_EQ(0, access(path, F_OK));
	}
}

TEST(files_and_modes)
{
	struct holder h;
	char path[PATH_MAX];
	size_t i;

	if (!abi_read())
		SKIP(return, "the ABI file is not in this machine");
	check_dir(SYSFS, SYSFS "/", GROUP_DIR);
	check_whole(SYSFS, SYSFS "/");
	check_whole(SYSFS, GROUP_DIR);
	check_dir(SYSFS "/pool", SYSFS "/pool/", NULL);
	ASSERT_EQ(0, cg_create("/files"));
	h = hold("/files", TMK_IOC_KIND_PINNED, 1);
	ASSERT_EQ(0, h.err);
	tmk_path(path, cg_id("/files"), NULL);
	check_dir(path, GROUP_DIR, NULL);
	check_whole(path, GROUP_DIR);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/files"));
	for (i = 0; i < entries_nr; i++) {
		if (!entries[i].seen)
			TH_LOG("%s was not seen", entries[i].what);
		EXPECT_TRUE(entries[i].seen);
	}
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
