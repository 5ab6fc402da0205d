// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The environment: every junk value of every limit is an error that names it;
 * every other junk value is told and the default taken; what a program says
 * itself wins; privileged programs do not listen.
 */
#include "util.h"

static const char *const limit_names[] = {
	"TMK_MAX_BYTES",
	"TMK_MAX_PHYSICAL_BYTES",
	"TMK_INITIAL_BYTES",
};

static const char *const junk[] = {
	"",
	" ",
	"%",
	"-1",
	"-5%",
	"+5",
	" 5",
	"5 ",
	"K",
	"1.5G",
	"10%%",
	"101%",
	"0x10",
	"1e9",
	"abc",
	"maxx",
	"1KK",
	"1iB",
	"5 GiB",
	"NaN",
	"1G\n",
	"none",
	"1,000",
	"5E",
	"-0",
	"0%%",
	"50%M",
	"'1G'",
	"1G;2G",
	"all",
	"$HOME/",
	"1Q",
	"99999999999999999999", /* more than 64 bits, here and below */
	"18446744073709551616",
	"17179869184G",
	"16777216T",
};

TEST(junk_limits_are_errors)
{
	size_t i, j;

	for (i = 0; i < TMK__ARRAY_SIZE(limit_names); i++) {
		for (j = 0; j < TMK__ARRAY_SIZE(junk); j++) {
			setenv(limit_names[i], junk[j], 1);
			if (tmk_open(NULL) != -EINVAL) {
				TH_LOG("%s=%s was taken", limit_names[i],
				       junk[j]);
				tap_fail(__FILE__, __LINE__, true);
			}
			EXPECT_TRUE(says(limit_names[i]));
			EXPECT_TRUE(says(junk[j]));
		}
		unsetenv(limit_names[i]);
	}
	EXPECT_TRUE(all_zero());
	/* Nothing is left open, and the error does not stick. */
	EXPECT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(0, tmk_close());
}

/* Every road into the library, not tmk_open() alone. */
TEST(junk_limits_stop_every_first_call)
{
	struct tmk_region *region = NULL;
	struct tmk_backend_info info;
	struct tmk_limits limits = { 1, 1 };

	setenv("TMK_MAX_BYTES", "lots", 1);
	EXPECT_EQ(-EINVAL, tmk_region_create(&region, 4096, NULL));
	EXPECT_TRUE(says("TMK_MAX_BYTES=lots"));
	EXPECT_EQ(-EINVAL, tmk_region_import(&region, 0));
	EXPECT_EQ(-EINVAL, tmk_backend_info(&info));
	EXPECT_EQ(-EINVAL, tmk_limits_get(&limits));
	EXPECT_EQ(-EINVAL, tmk_limits_set(&limits));
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

TEST(limits_from_the_environment)
{
	struct tmk_limits limits;
	uint64_t ram;

	ASSERT_EQ(0, tmk__meminfo(&ram, NULL));
	setenv("TMK_MAX_BYTES", "96M", 1);
	setenv("TMK_MAX_PHYSICAL_BYTES", "64MiB", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(96 * MIB, limits.max_bytes);
	EXPECT_EQ(64 * MIB, limits.max_physical_bytes);
	EXPECT_EQ(0, tmk_close());

	setenv("TMK_MAX_BYTES", "max", 1);
	setenv("TMK_MAX_PHYSICAL_BYTES", "100%", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_TRUE(limits.max_bytes == TMK_UNLIMITED);
	EXPECT_LE(limits.max_physical_bytes, ram);
	EXPECT_EQ(0, tmk_close());
}

TEST(limit_of_zero_allows_nothing)
{
	struct tmk_region *region = NULL;
	struct tmk_refusal r;

	setenv("TMK_MAX_BYTES", "0", 1);
	ASSERT_EQ(0, tmk_open(NULL));
	EXPECT_EQ(-ENOMEM, create(&region, 1, TMK_KIND_PINNED, 0));
	EXPECT_TRUE(says("the process limit of 0 B (TMK_MAX_BYTES)"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(0, r.max);
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

TEST(program_wins_over_environment)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_backend_info info;
	struct tmk_limits limits;

	setenv("TMK_MAX_BYTES", "junk that is never read", 1);
	setenv("TMK_MAX_PHYSICAL_BYTES", "1M", 1);
	setenv("TMK_BACKEND", "dev", 1);
	opts.max_bytes = 3 * MIB;
	opts.max_physical_bytes = 2 * MIB;
	opts.backend = TMK_BACKEND_USER;
	ASSERT_EQ(0, tmk_open(&opts));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(3 * MIB, limits.max_bytes);
	EXPECT_EQ(2 * MIB, limits.max_physical_bytes);
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_STREQ("user", info.name);
	EXPECT_TRUE(strstr(info.reason, "the program asks for it") != NULL);
}

TEST(backend_from_the_environment)
{
	struct tmk_backend_info info;

	setenv("TMK_BACKEND", "USER", 1);
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_EQ(TMK_BACKEND_USER, info.backend);
	EXPECT_TRUE(strstr(info.reason, "TMK_BACKEND=USER asks") != NULL);
}

/* Standard error while a function runs. */
static char *stderr_of(void (*run)(void))
{
	static char text[4096];
	int saved = dup(2), fd = memfd_create("stderr", MFD_CLOEXEC);
	ssize_t n;

	if (saved < 0 || fd < 0 || dup2(fd, 2) < 0)
		return NULL;
	run();
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	dup2(saved, 2);
	close(saved);
	close(fd);
	return text;
}

static void open_twice(void)
{
	int i;

	for (i = 0; i < 2; i++)
		if (tmk_open(NULL) || tmk_close())
			TH_LOG("%s", tmk_error_last());
}

static int count(const char *text, const char *word)
{
	int nr = 0;

	while ((text = strstr(text, word))) {
		nr++;
		text++;
	}
	return nr;
}

TEST(junk_choice_is_told_once_and_the_default_taken)
{
	struct tmk_backend_info info;
	char *text;

	setenv("TMK_LOG", "warn", 1);
	setenv("TMK_BACKEND", "gpu", 1);
	text = stderr_of(open_twice);
	ASSERT_TRUE(text != NULL);
	EXPECT_EQ(1, count(text, "TMK_BACKEND=gpu is unknown, taking auto"));
	ASSERT_EQ(0, tmk_backend_info(&info));
	EXPECT_TRUE(strstr(info.reason, "TMK_BACKEND=gpu is none of") != NULL);
}

static void use_all_choices(void)
{
	struct tmk_workspace *ws;
	int i;

	for (i = 0; i < 3; i++) {
		if (tmk_open(NULL) || tmk_workspace_create(&ws, "w", NULL))
			TH_LOG("%s", tmk_error_last());
		if (tmk_workspace_destroy(ws) || tmk_close())
			TH_LOG("%s", tmk_error_last());
	}
}

/* TMK_BLAS is an error instead: tests/unit/blas.c. */
TEST(every_junk_choice_is_told_once)
{
	char *text;

	setenv("TMK_LOG", "warn", 1);
	setenv("TMK_BACKEND", "gpu", 1);
	setenv("TMK_STATS", "always", 1);
	setenv("TMK_WORKSPACES_DEBUG", "all", 1);
	text = stderr_of(use_all_choices);
	ASSERT_TRUE(text != NULL);
	EXPECT_EQ(3, count(text, "is unknown, taking"));
	EXPECT_EQ(1, count(text, "TMK_BACKEND=gpu is unknown, taking auto"));
	EXPECT_EQ(1, count(text, "TMK_STATS=always is unknown, taking off"));
	EXPECT_EQ(1, count(text, "TMK_WORKSPACES_DEBUG=all is unknown, taking "
				 "disabled"));
}

TEST(lists_of_words)
{
	static const struct {
		const char *value;
		uint32_t bits;
	} lists[] = {
		{ "", 0 },
		{ "leaks", 1 },
		{ "guard,leaks", 5 },
		{ "LEAKS,Poison,guard", 7 },
		{ ",poison,, poison ,", 2 },
		{ "leak,leakss,poisonguard,7", 0 },
		{ "leaks;guard", 0 },
		{ "all,guard", 4 },
	};
	size_t i;

	EXPECT_EQ(0, tmk__env_list(TMK__ENV_DEBUG, true));
	for (i = 0; i < TMK__ARRAY_SIZE(lists); i++) {
		setenv("TMK_DEBUG", lists[i].value, 1);
		EXPECT_EQ(lists[i].bits, tmk__env_list(TMK__ENV_DEBUG, true));
	}
}

TEST(nothing_is_printed_unless_asked_for)
{
	char *text;

	unsetenv("TMK_LOG");
	setenv("TMK_BACKEND", "gpu", 1);
	text = stderr_of(open_twice);
	ASSERT_TRUE(text != NULL);
	EXPECT_STREQ("", text);

	setenv("TMK_LOG", "info", 1);
	text = stderr_of(open_twice);
	EXPECT_EQ(2, count(text, "tmk: info: backend "));

	setenv("TMK_LOG", "loud", 1);
	text = stderr_of(open_twice);
	EXPECT_TRUE(count(text, "TMK_LOG=loud is unknown, taking warn") > 0);
}

/* Run again as a privileged program, this says which limit it sees, and ends. */
static void __attribute__((constructor)) secure_probe(void)
{
	struct tmk_limits limits;

	if (!getenv("TMK_TEST_PROBE"))
		return;
	if (tmk_limits_get(&limits))
		_exit(100);
	_exit(limits.max_bytes == 5 * MIB ? 1 : 2);
}

static int probe(void *path)
{
	char *argv[] = { path, NULL };

	if (setgid(NOBODY) || setuid(NOBODY))
		return 101;
	setenv("TMK_TEST_PROBE", "1", 1);
	setenv("TMK_BACKEND", "user", 1);
	setenv("TMK_MAX_BYTES", "5M", 1);
	execv(path, argv);
	return 102;
}

static int copy_self(const char *path)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	char buf[65536];
	ssize_t n = -1;

	while (from >= 0 && to >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			break;
	close(from);
	close(to);
	return n ? -EIO : 0;
}

TEST(privileged_programs_do_not_listen)
{
	char dir[TEMP_PATH], path[64];

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_TRUE(temp_dir(dir));
	ASSERT_EQ(0, chmod(dir, 0755));
	snprintf(path, sizeof(path), "%s/probe", dir);
	ASSERT_EQ(0, copy_self(path));
	EXPECT_EQ(1, in_child(probe, path));
	/* Set-user-ID: the default limit, not the 5 MiB of the caller. */
	EXPECT_EQ(0, chown(path, NOBODY - 1, NOBODY - 1));
	EXPECT_EQ(0, chmod(path, 04755));
	EXPECT_EQ(2, in_child(probe, path));
	unlink(path);
	rmdir(dir);
}

TEST_HARNESS_MAIN
