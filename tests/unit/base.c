// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Sizes, sentences and options structs: what every other part stands on.
 */
#include <pthread.h>

#include "util.h"

/* What tmk_bytes_parse() makes of a text, -1 for an error that is @err. */
static uint64_t parsed(const char *text, uint64_t whole)
{
	uint64_t out = 12345;
	int err = tmk_bytes_parse(&out, text, whole);

	if (err) {
		TH_LOG("%s: %s", text, tmk_error_last());
		return 12345;
	}
	return out;
}

TEST(bytes_parse_accepts)
{
	EXPECT_EQ(0, parsed("0", 0));
	EXPECT_EQ(123, parsed("123", 0));
	EXPECT_EQ(123, parsed("123B", 0));
	EXPECT_EQ(64 << 10, parsed("64k", 0));
	EXPECT_EQ(64 << 10, parsed("64K", 0));
	EXPECT_EQ(64 << 10, parsed("64kb", 0));
	EXPECT_EQ(64 << 10, parsed("64KiB", 0));
	EXPECT_EQ(512 * MIB, parsed("512M", 0));
	EXPECT_EQ(8192 * MIB, parsed("8G", 0));
	EXPECT_EQ(MIB * MIB, parsed("1T", 0));
	EXPECT_EQ(7, parsed("0000000000000000000000000007", 0));
	EXPECT_TRUE(parsed("max", 0) == TMK_UNLIMITED);
	EXPECT_TRUE(parsed("MAX", 0) == TMK_UNLIMITED);
	EXPECT_TRUE(parsed("18446744073709551615", 0) == UINT64_MAX);
	EXPECT_TRUE(parsed("16777215T", 0) == UINT64_C(16777215) << 40);
}

TEST(bytes_parse_percent)
{
	EXPECT_EQ(0, parsed("0%", 300000));
	EXPECT_EQ(30000, parsed("10%", 300000));
	EXPECT_EQ(300000, parsed("100%", 300000));
	EXPECT_EQ(49, parsed("50%", 99));
	EXPECT_TRUE(parsed("100%", UINT64_MAX) == UINT64_MAX);
	/* Without losing what does not divide by 100. */
	EXPECT_EQ(199, parsed("100%", 199));
}

TEST(bytes_parse_refuses_junk)
{
	static const char *const junk[] = {
		"",
		"%",
		"K",
		"KiB",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1 K",
		"1.5G",
		"0x10",
		"1e3",
		"1KK",
		"1KiBB",
		"1iB",
		"1P",
		"maxx",
		"ma",
		"-max",
		"101%",
		"10%%",
		"-1%",
		"1%K",
		"10 %",
		"1,0",
		"NaN",
		"inf",
		"1\n",
		"10M%",
		"٣",
		"9999999999999999999999999%",
	};
	uint64_t out = 77;
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(junk); i++) {
		if (tmk_bytes_parse(&out, junk[i], 1000) != -EINVAL)
			TH_LOG("\"%s\" was taken", junk[i]);
		EXPECT_EQ(-EINVAL, tmk_bytes_parse(&out, junk[i], 1000));
		EXPECT_TRUE(says(junk[i]));
	}
	EXPECT_EQ(-EINVAL, tmk_bytes_parse(&out, "10%", 0));
	EXPECT_EQ(-EINVAL, tmk_bytes_parse(&out, NULL, 0));
	EXPECT_EQ(-EINVAL, tmk_bytes_parse(NULL, "1", 0));
	EXPECT_EQ(77, out);
}

TEST(bytes_parse_overflow)
{
	static const char *const large[] = {
		"18446744073709551616",
		"18446744073709551615K",
		"16777216T",
		"17179869184G",
		"99999999999999999999M",
		"18014398509481984KiB",
	};
	uint64_t out = 77;
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(large); i++) {
		EXPECT_EQ(-ERANGE, tmk_bytes_parse(&out, large[i], 0));
		EXPECT_TRUE(says(large[i]));
	}
	EXPECT_EQ(77, out);
}

TEST(bytes_format)
{
	char buf[16], tiny[4];

	EXPECT_STREQ("0 B", tmk_bytes_format(buf, sizeof(buf), 0));
	EXPECT_STREQ("1023 B", tmk_bytes_format(buf, sizeof(buf), 1023));
	EXPECT_STREQ("1.0 KiB", tmk_bytes_format(buf, sizeof(buf), 1024));
	EXPECT_STREQ("64.0 MiB", tmk_bytes_format(buf, sizeof(buf), 64 * MIB));
	EXPECT_STREQ("1.5 GiB", tmk_bytes_format(buf, sizeof(buf), 1536 * MIB));
	/* Never 1024.0 of a unit. */
	EXPECT_STREQ("1.0 MiB", tmk_bytes_format(buf, sizeof(buf), MIB - 1));
	EXPECT_STREQ("1.0 GiB",
		     tmk_bytes_format(buf, sizeof(buf), 1024 * MIB - 1));
	EXPECT_STREQ("max", tmk_bytes_format(buf, sizeof(buf), TMK_UNLIMITED));
	EXPECT_STREQ("16.0 EiB",
		     tmk_bytes_format(buf, sizeof(buf), TMK_UNLIMITED - 1));
	EXPECT_STREQ("64.", tmk_bytes_format(tiny, sizeof(tiny), 64 * MIB));
}

TEST(error_and_refusal)
{
	struct tmk_refusal r;

	EXPECT_STREQ("", tmk_error_last());
	EXPECT_EQ(-ENODATA, tmk_refusal_last(&r));
	EXPECT_EQ(-EINVAL, tmk_refusal_last(NULL));

	tmk__refusal(TMK_LIMIT_MEMCG, 1, 2, 3, "/a");
	EXPECT_EQ(-ENOMEM, tmk__error(-ENOMEM, "no %s", "room"));
	EXPECT_STREQ("no room", tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMCG, r.limit);
	EXPECT_EQ(1, r.asked);
	EXPECT_EQ(2, r.used);
	EXPECT_EQ(3, r.max);
	EXPECT_STREQ("/a", r.where);

	EXPECT_EQ(-EIO, tmk__error_wrap(-EIO, "outer"));
	EXPECT_STREQ("outer: no room", tmk_error_last());
	EXPECT_EQ(0, tmk_refusal_last(&r));

	tmk__error(-EINVAL, "something else");
	EXPECT_EQ(-ENODATA, tmk_refusal_last(&r));
}

TEST(error_save_and_restore)
{
	struct tmk__error_state state;
	struct tmk_refusal r;

	tmk__refusal(TMK_LIMIT_WORKSPACE, 1, 2, 3, "w");
	tmk__error(-ENOMEM, "first");
	EXPECT_EQ(1, tmk__refusals());
	tmk__error_save(&state);
	tmk__error(-EINVAL, "second");
	tmk__refusal(TMK_LIMIT_MEMCG, 4, 5, 6, "/a");
	tmk__error(-ENOMEM, "third");
	EXPECT_EQ(2, tmk__refusals());
	/* It found another way, so it was not refused. */
	tmk__error_restore(&state);
	EXPECT_EQ(1, tmk__refusals());
	EXPECT_STREQ("first", tmk_error_last());
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_WORKSPACE, r.limit);
}

TEST(error_long_sentences_are_cut)
{
	char text[2000];
	size_t len;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	tmk__error(-EIO, "%s", text);
	len = strlen(tmk_error_last());
	EXPECT_LT(len, 512);
	EXPECT_STREQ("...", tmk_error_last() + len - 3);
	tmk__error(-EIO, "short");
	tmk__error_wrap(-EIO, "%s", text);
	len = strlen(tmk_error_last());
	EXPECT_LT(len, 512);
	EXPECT_STREQ("...", tmk_error_last() + len - 3);
}

static void *error_of_thread(void *arg)
{
	(void)arg;
	if (*tmk_error_last())
		return "not empty at first";
	tmk__error(-EIO, "of the thread");
	return NULL;
}

TEST(error_is_of_the_thread)
{
	pthread_t thread;
	void *ret;

	tmk__error(-EIO, "of main");
	ASSERT_EQ(0, pthread_create(&thread, NULL, error_of_thread, NULL));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_NULL(ret);
	EXPECT_STREQ("of main", tmk_error_last());
}

TEST(names)
{
	int i, j;

	for (i = TMK_LIMIT_NONE; i <= TMK_LIMIT_MEMORY; i++) {
		EXPECT_STRNE("?", tmk_limit_name((enum tmk_limit)i));
		for (j = TMK_LIMIT_NONE; j < i; j++)
			EXPECT_STRNE(tmk_limit_name((enum tmk_limit)j),
				     tmk_limit_name((enum tmk_limit)i));
	}
	EXPECT_STREQ("?", tmk_limit_name((enum tmk_limit)99));
	for (i = 0; i < TMK_USE_NR; i++)
		EXPECT_STRNE("?", tmk_use_name((enum tmk_use)i));
	EXPECT_STREQ("?", tmk_use_name(TMK_USE_NR));
	EXPECT_STREQ("?", tmk_use_name((enum tmk_use) - 1));
	EXPECT_STREQ("huge", tmk_kind_name(TMK_KIND_HUGE));
	EXPECT_STREQ("?", tmk_kind_name((enum tmk_kind)0));
	EXPECT_TRUE(strchr(tmk_version(), '.') != NULL);
}

struct old_opts {
	size_t opts_size;
	uint64_t a;
};

struct new_opts {
	size_t opts_size;
	uint64_t a;
	uint64_t b;
	uint64_t c;
};

TEST(opts_grow_at_their_end)
{
	struct new_opts newer = { sizeof(newer), 1, 2, 3 }, out;
	struct old_opts old = { sizeof(old), 7 }, old_out = { 0, 0 };

	/* An old program and a new library: defaults stay. */
	out = (struct new_opts){ sizeof(out), 10, 20, 30 };
	EXPECT_EQ(0, tmk__opts_take(&out, &old, sizeof(out), sizeof(old), "o"));
	EXPECT_EQ(sizeof(out), out.opts_size);
	EXPECT_EQ(7, out.a);
	/* A new program and an old library: only what it knows may be set. */
	EXPECT_EQ(-EINVAL, tmk__opts_take(&old_out, &newer, sizeof(old_out),
					  sizeof(old_out), "o"));
	EXPECT_EQ(0, old_out.a);
	newer.b = newer.c = 0;
	EXPECT_EQ(0, tmk__opts_take(&old_out, &newer, sizeof(old_out),
				    sizeof(old_out), "o"));
	EXPECT_EQ(1, old_out.a);
	EXPECT_EQ(sizeof(old_out), old_out.opts_size);
}

TEST(stats_size)
{
	struct tmk_stats stats = { 0 };

	EXPECT_EQ(-EINVAL, tmk_stats_snapshot(NULL));
	EXPECT_EQ(-EINVAL, tmk_stats_snapshot(&stats));
	stats.stats_size = 8;
	EXPECT_EQ(-EINVAL, tmk_stats_snapshot(&stats));
	stats.stats_size = sizeof(stats) + 8;
	EXPECT_EQ(-EINVAL, tmk_stats_snapshot(&stats));
	stats.stats_size = SIZE_MAX;
	EXPECT_EQ(-EINVAL, tmk_stats_snapshot(&stats));
	stats.stats_size = sizeof(stats);
	EXPECT_EQ(0, tmk_stats_snapshot(&stats));
	EXPECT_TRUE(stats.max_bytes == TMK_UNLIMITED);
	EXPECT_EQ(sizeof(stats), stats.stats_size);
}

TEST_HARNESS_MAIN
