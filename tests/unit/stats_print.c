// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The printers of the statistics, what they say at exit, and that holders are
 * all there is.
 */
#include "util.h"

static char text[1 << 17];

static const char *printed(enum tmk_stats_format format)
{
	FILE *f = tmpfile();
	size_t n;

	text[0] = '\0';
	if (!f || tmk_stats_write(fileno(f), format))
		return text;
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static bool prints(enum tmk_stats_format format, const char *word)
{
	if (strstr(printed(format), word))
		return true;
	TH_LOG("no \"%s\" in\n%s", word, text);
	return false;
}

FIXTURE(stats)
{
	struct tmk_region *region;
	void *block;
};

FIXTURE_SETUP(stats)
{
	struct tmk_region_opts region = TMK_REGION_OPTS_INIT;
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;

	ASSERT_EQ(0, limit(64 * MIB));
	region.name = "a\"name";
	ASSERT_EQ(0, tmk_region_create(&self->region, 4 * MIB, &region));
	opts.purpose = "layers";
	ASSERT_EQ(0, tmk_alloc(&self->block, 3 * MIB, &opts));
}

FIXTURE_TEARDOWN(stats)
{
	tmk_region_put(self->region);
	EXPECT_EQ(0, tmk_free(self->block));
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST_F(stats, holders_are_all_there_is)
{
	struct tmk_holder holders[64];
	uint64_t sum = 0;
	size_t nr, i;

	ASSERT_EQ(0, tmk_stats_holders(&nr, holders, 64));
	for (i = 0; i < nr; i++)
		sum += holders[i].bytes;
	EXPECT_EQ(held(), sum);
	ASSERT_GE(nr, 2);
	EXPECT_STREQ("a\"name", holders[0].name);
	EXPECT_STREQ("layers", holders[1].name);
	EXPECT_EQ(3 * MIB, holders[1].bytes);
	EXPECT_EQ(-EINVAL, tmk_stats_holders(NULL, holders, 64));
}

TEST_F(stats, text)
{
	EXPECT_TRUE(prints(TMK_STATS_TEXT, "layers"));
	EXPECT_TRUE(prints(TMK_STATS_TEXT, "64.0 MiB"));
}

TEST_F(stats, json)
{
	EXPECT_TRUE(prints(TMK_STATS_JSON, "\"max_bytes\": 67108864"));
	EXPECT_TRUE(prints(TMK_STATS_JSON, "\"physical_max_bytes\": null"));
	EXPECT_TRUE(prints(TMK_STATS_JSON,
			   "\"a\\\"name\": {\"current\": 4194304, "));
	EXPECT_TRUE(
		prints(TMK_STATS_JSON, "\"layers\": {\"current\": 3145728"));
	EXPECT_EQ('{', text[0]);
	EXPECT_STREQ("}\n", text + strlen(text) - 2);
	EXPECT_EQ(NULL, strstr(text, ", }"));
	EXPECT_EQ(NULL, strstr(text, "{,"));
}

TEST_F(stats, prometheus)
{
	EXPECT_TRUE(prints(TMK_STATS_PROMETHEUS, "tmk_max_bytes 67108864\n"));
	EXPECT_TRUE(
		prints(TMK_STATS_PROMETHEUS,
		       "tmk_purpose_bytes{purpose=\"a\\\"name\"} 4194304\n"));
	EXPECT_TRUE(
		prints(TMK_STATS_PROMETHEUS, "tmk_physical_max_bytes +Inf\n"));
}

TEST_F(stats, bad_arguments)
{
	EXPECT_EQ(-EINVAL, tmk_stats_write(1, (enum tmk_stats_format)3));
	EXPECT_EQ(-EBADF, tmk_stats_write(-1, TMK_STATS_TEXT));
}

TEST(at_exit)
{
	FILE *f = tmpfile();
	pid_t pid;
	int status;
	size_t n;

	ASSERT_NE(NULL, f);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		void *p;

		setenv("TMK_STATS", "exit", 1);
		dup2(fileno(f), STDERR_FILENO);
		exit(tmk_alloc(&p, MIB, NULL));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	EXPECT_NE(NULL, strstr(text, "general"));
	EXPECT_NE(NULL, strstr(text, "1.0 MiB"));
	fclose(f);
}

TEST_HARNESS_MAIN
