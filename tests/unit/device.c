// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Opening and closing the library, which backend it takes and why, what it says
 * of it, and the report of what was not given back.
 */
#include <pthread.h>

#include "util.h"

TEST(open_and_close_count)
{
	EXPECT_EQ(0, tmk_close());
	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(0, tmk_close());
	/* Still open: options are refused. */
	EXPECT_EQ(-EBUSY, tmk_open(&(struct tmk_open_opts)TMK_OPEN_OPTS_INIT));
	EXPECT_TRUE(says("open already"));
	EXPECT_EQ(0, tmk_close());
	EXPECT_EQ(0, tmk_open(&(struct tmk_open_opts)TMK_OPEN_OPTS_INIT));
	EXPECT_EQ(0, tmk_close());
	EXPECT_EQ(0, tmk_close());
}

/* What opened itself is closed by one tmk_close(), with or without tmk_open(). */
TEST(opening_itself_does_not_count)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_limits limits;

	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(-EBUSY, tmk_open(&opts));
	EXPECT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(0, tmk_close());
	EXPECT_EQ(0, tmk_open(&opts));
	EXPECT_EQ(0, tmk_close());
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(0, tmk_close());
	EXPECT_EQ(0, tmk_open(&opts));
}

#define OPTS(...)                                                      \
	{                                                              \
		.opts_size = sizeof(struct tmk_open_opts), __VA_ARGS__ \
	}

#pragma GCC diagnostic ignored "-Woverride-init"
static const struct bad {
	struct tmk_open_opts opts;
	int err;
	const char *word;
} bads[] = {
	{ OPTS(.opts_size = 0), -EINVAL, "opts_size is 0" },
	{ OPTS(.opts_size = 8), -EINVAL, "opts_size is 8" },
	{ OPTS(.opts_size = SIZE_MAX), -EINVAL, "opts_size" },
	{ OPTS(.flags = 1), -EINVAL, "flags 0x1" },
	{ OPTS(.flags = 1u << 31), -EINVAL, "flags" },
	{ OPTS(.backend = 3), -EINVAL, "no backend 3" },
	{ OPTS(.backend = -1), -EINVAL, "no backend -1" },
	{ OPTS(.initial_bytes = TMK_UNLIMITED), -EINVAL, "max" },
	{ OPTS(.initial_bytes = UINT64_MAX - 1), -EOVERFLOW, "initial" },
	{ OPTS(.initial_bytes = 4 << 20, .max_bytes = 2 << 20), -ENOMEM,
	  "cannot reserve the initial bytes: cannot create a huge region of "
	  "4.0 MiB: the process limit of 2.0 MiB" },
	{ OPTS(.initial_bytes = 4 << 20, .max_physical_bytes = 1), -ENOMEM,
	  "TMK_MAX_PHYSICAL_BYTES" },
	{ OPTS(.backend = TMK_BACKEND_DEV, .device_path = "/nowhere"), -ENODEV,
	  "the program asks for it: there is no /nowhere: the module "
	  "is not loaded" },
	{ OPTS(.backend = TMK_BACKEND_DEV, .device_path = "/dev/null/x"),
	  -ENODEV, "tmkctl doctor" },
	{ OPTS(.backend = TMK_BACKEND_DEV, .device_path = "/dev/null"), -ENODEV,
	  "/dev/null is not the device of tmk" },
};

TEST(every_bad_option_is_refused)
{
	int fds = fds_nr();
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(bads); i++) {
		EXPECT_EQ(bads[i].err, tmk_open(&bads[i].opts));
		EXPECT_TRUE(says(bads[i].word));
	}
	EXPECT_EQ(fds, fds_nr());
	EXPECT_TRUE(all_zero());
	/* It is not open: options are taken. */
	EXPECT_EQ(0, tmk_open(&(struct tmk_open_opts)TMK_OPEN_OPTS_INIT));
}

TEST(no_device)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_backend_info info;

	unsetenv("TMK_BACKEND");
	opts.device_path = "/nowhere/tmk";
	ASSERT_EQ(0, tmk_open(&opts));
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_EQ(TMK_BACKEND_USER, info.backend);
	EXPECT_STREQ("there is no /nowhere/tmk: the module is not loaded "
		     "(insmod tmk.ko loads it, tmkctl doctor says more)",
		     info.reason);
	EXPECT_EQ(0, tmk_close());
	/* Asked for by name it is an error, never another backend. */
	setenv("TMK_BACKEND", "dev", 1);
	EXPECT_EQ(-ENODEV, tmk_open(&opts));
	EXPECT_TRUE(says("TMK_BACKEND=dev asks for it: there is no"));
}

static int as_nobody(void *path)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_backend_info info;

	opts.device_path = path;
	ASSERT_EQ(0, become_nobody());
	opts.backend = TMK_BACKEND_DEV;
	EXPECT_EQ(-EACCES, tmk_open(&opts));
	EXPECT_TRUE(says("no permission to open /"));
	EXPECT_TRUE(says("it is of group "));
	EXPECT_TRUE(says(path ? "with mode 0040" : "with mode"));
	/* Where any backend will do, another is taken, and it says why. */
	opts.backend = TMK_BACKEND_AUTO;
	unsetenv("TMK_BACKEND");
	ASSERT_EQ(0, tmk_open(&opts));
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_EQ(TMK_BACKEND_USER, info.backend);
	EXPECT_TRUE(strstr(info.reason, "no permission") != NULL);
	EXPECT_EQ(0, tmk_close());
	return 0;
}

/* As an ordinary user, on the module's device or on what looks like it. */
TEST(no_permission)
{
	char path[TEMP_PATH];
	bool module = !access("/dev/tmk", F_OK);
	int fd = temp_file(path);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fchmod(fd, 0040));
	EXPECT_EQ(0, in_child(as_nobody, module ? NULL : path));
	close(fd);
	unlink(path);
}

TEST(backend_info)
{
	static const char *const rows[] = {
		"cgroup_limits", "memory_max", "pinned",   "huge",
		"huge_locked",	 "node",       "share_fd", "shared_after_fork",
		"hugetlb",	 "file",       "trim",	   "dmabuf",
		"readonly",	 "seal",
	};
	struct tmk_backend_info info, again;
	size_t i, j, found;

	EXPECT_EQ(-EINVAL, tmk_backend_info(NULL));
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_STREQ(info.backend == TMK_BACKEND_DEV ? "dev" : "user",
		     info.name);
	EXPECT_LT(0, strlen(info.reason));
	/* Both backends answer the same questions, each with a reason. */
	for (i = 0; i < TMK__ARRAY_SIZE(rows); i++) {
		for (found = j = 0; j < info.features_nr; j++)
			found += !strcmp(rows[i], info.features[j].name);
		if (found != 1)
			TH_LOG("%s: %zu rows", rows[i], found);
		EXPECT_EQ(1, found);
	}
	for (j = 0; j < info.features_nr; j++) {
		EXPECT_LT(0, strlen(info.features[j].reason));
		TH_LOG("%s: %s: %s, %s", info.name, info.features[j].name,
		       info.features[j].available ? "yes" : "no",
		       info.features[j].reason);
	}
	EXPECT_EQ(info.backend == TMK_BACKEND_DEV, feature("cgroup_limits"));
	/* Asking leaves nothing behind, and the strings stay where they are. */
	EXPECT_TRUE(all_zero());
	ASSERT_EQ(0, tmk_backend_info(&again));
	EXPECT_TRUE(again.features == info.features);
}

TEST(close_reports_what_is_held)
{
	struct tmk_region *a, *b;
	struct tmk_refusal r;

	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, create(&a, MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk__region_create_for(&b, 2 * MIB, NULL, TMK_USE_SPILL));
	EXPECT_EQ(-EBUSY, tmk_close());
	EXPECT_STREQ("the library is closed, and the program still holds "
		     "1.0 MiB of general, 2.0 MiB of spill in 2 regions",
		     tmk_error_last());
	EXPECT_EQ(-ENODATA, tmk_refusal_last(&r));
	/* It stays valid and charged until it is given back. */
	memset(tmk_region_data(a), 1, MIB);
	EXPECT_EQ(3 * MIB, held());
	tmk_region_put(a);
	tmk_region_put(b);
	EXPECT_TRUE(all_zero());
	ASSERT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(0, tmk_close());
}

/* Regions outlive the library, and another backend than theirs. */
TEST(regions_outlive_the_library)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_region *old, *new;
	struct tmk_region_info info;

	ASSERT_EQ(0, create(&old, MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(-EBUSY, tmk_close());
	ASSERT_EQ(0, tmk_region_info(&info, old));
	EXPECT_EQ(MIB, info.physical_bytes);
	opts.backend = TMK_BACKEND_USER;
	ASSERT_EQ(0, tmk_open(&opts));
	ASSERT_EQ(0, create(&new, MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(2 * MIB, held());
	ASSERT_EQ(0, tmk_region_info(&info, old));
	tmk_region_put(old);
	tmk_region_put(new);
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

static atomic_bool stop;
static atomic_int wrong;

static void *use_library(void *arg)
{
	struct tmk_region *region;

	(void)arg;
	while (!atomic_load(&stop)) {
		if (create(&region, 4096, TMK_KIND_PINNED, 0)) {
			atomic_fetch_add(&wrong, 1);
			continue;
		}
		tmk_region_put(region);
	}
	return NULL;
}

TEST(close_while_others_use_it)
{
	pthread_t threads[4];
	int fds = fds_nr(), i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, use_library, NULL));
	for (i = 0; i < 200; i++) {
		int err = tmk_open(NULL);

		EXPECT_EQ(0, err);
		err = tmk_close();
		/* A thread may hold its page right now. */
		EXPECT_TRUE(err == 0 || err == -EBUSY);
	}
	atomic_store(&stop, true);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&wrong));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(fds, fds_nr());
}

TEST_HARNESS_MAIN
