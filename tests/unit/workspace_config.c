// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Workspace options: every contradiction and every junk value is refused when the
 * workspace is created, with a sentence that names the option, and leaves nothing
 * behind.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"

static struct tmk_workspace_opts defaults(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	return o;
}

/* 0 if creating is refused with @err, @word in the sentence and no trace. */
static int refused(const struct tmk_workspace_opts *o, int err,
		   const char *word)
{
	struct tmk_workspace *ws = NULL, *found = NULL;
	int ret = tmk_workspace_create(&ws, "c", o);

	if (ret != err) {
		TH_LOG("returned %d (%s), must be %d", ret, tmk_error_last(),
		       err);
		return 1;
	}
	if (!strstr(tmk_error_last(), word)) {
		TH_LOG("\"%s\" does not say \"%s\"", tmk_error_last(), word);
		return 2;
	}
	if (ws || !tmk_workspace_lookup(&found, "c")) {
		TH_LOG("a workspace was left behind");
		return 3;
	}
	return 0;
}

TEST(defaults_are_accepted)
{
	struct tmk_workspace_opts o = defaults();
	struct tmk_workspace *ws;

	ASSERT_EQ(0, tmk_workspace_create(&ws, "null", NULL));
	ASSERT_EQ(0, tmk_workspace_create(&ws, "init", &o));
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

TEST(rule3_min_above_max)
{
	struct tmk_workspace_opts o = defaults();

	o.min_bytes = 2048;
	o.max_bytes = 1024;
	EXPECT_EQ(0, refused(&o, -EINVAL, "min_bytes"));
}

TEST(rule3_d04_min_above_max)
{
	struct tmk_workspace_opts o = defaults();

	o.min_bytes = 20000;
	o.max_bytes = 10000;
	EXPECT_EQ(0, refused(&o, -EINVAL, "20000"));
}

TEST(rule3_initial_above_max)
{
	struct tmk_workspace_opts o = defaults();

	o.initial_bytes = 2048;
	o.max_bytes = 1024;
	EXPECT_EQ(0, refused(&o, -EINVAL, "initial_bytes"));
}

TEST(rule3_sizes_above_max_total)
{
	struct tmk_workspace_opts o = defaults();

	o.max_total_bytes = 1024;
	o.initial_bytes = 2048;
	EXPECT_EQ(0, refused(&o, -EINVAL, "max_total_bytes"));
	o.initial_bytes = 0;
	o.min_bytes = 2048;
	EXPECT_EQ(0, refused(&o, -EINVAL, "max_total_bytes"));
}

TEST(rule3_limits_below_the_alignment)
{
	struct tmk_workspace_opts o = defaults();

	o.max_bytes = 63;
	EXPECT_EQ(0, refused(&o, -EINVAL, "alignment"));
	o.max_bytes = 0;
	o.max_total_bytes = 63;
	EXPECT_EQ(0, refused(&o, -EINVAL, "alignment"));
}

TEST(rule3_d32_negative_or_not_finite_limit)
{
	static const double bad[] = { -1, -0.001, INFINITY, -INFINITY, NAN };
	struct tmk_workspace_opts o = defaults();
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.overallocation_limit = bad[i];
		EXPECT_EQ(0, refused(&o, -EINVAL, "overallocation_limit"));
	}
}

TEST(rule3_d30_ring_needs_whole_number)
{
	static const double bad[] = { 0, 0.3, 0.999, 1.5, 2.7 };
	struct tmk_workspace_opts o = defaults();
	size_t i;

	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.overallocation_limit = bad[i];
		EXPECT_EQ(0, refused(&o, -EINVAL, "ring"));
	}
}

TEST(rule3_fail_without_initial_and_learning)
{
	struct tmk_workspace_opts o = defaults();

	o.spill = TMK_WS_SPILL_FAIL;
	o.learning = TMK_WS_LEARN_NONE;
	EXPECT_EQ(0, refused(&o, -EINVAL, "FAIL"));
}

TEST(rule3_s15_file_with_learning)
{
	struct tmk_workspace_opts o = defaults();

	o.location = TMK_WS_LOCATION_FILE;
	EXPECT_EQ(0, refused(&o, -EINVAL, "learn"));
}

TEST(rule3_file_on_a_ring)
{
	struct tmk_workspace_opts o = defaults();

	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	o.reset = TMK_WS_RESET_ENDOFBUFFER;
	o.overallocation_limit = 1;
	EXPECT_EQ(0, refused(&o, -EINVAL, "ring"));
}

TEST(paths_need_location_file)
{
	struct tmk_workspace_opts o = defaults();

	o.path = "/tmp/x";
	EXPECT_EQ(0, refused(&o, -EINVAL, "path"));
	o.path = NULL;
	o.temp_dir = "/tmp";
	EXPECT_EQ(0, refused(&o, -EINVAL, "temp_dir"));
}

TEST(rule1_alignment_is_a_power_of_two)
{
	static const uint32_t bad[] = { 1,  4,	12,   24,	  63,
					65, 96, 8192, 0x80000000, 0xffffffff };
	struct tmk_workspace_opts o = defaults();
	struct tmk_workspace *ws;
	uint32_t a;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.alignment = bad[i];
		EXPECT_EQ(0, refused(&o, -EINVAL, "alignment"));
	}
	for (a = 8; a <= 4096; a *= 2) {
		o.alignment = a;
		EXPECT_EQ(0, tmk_workspace_create(&ws, "c", &o));
		EXPECT_EQ(0, tmk_workspace_destroy(ws));
	}
}

TEST(values_outside_of_their_enum)
{
	struct tmk_workspace_opts o;

#define OUTSIDE(field, value)                               \
	do {                                                \
		o = defaults();                             \
		o.field = (value);                          \
		EXPECT_EQ(0, refused(&o, -EINVAL, #field)); \
	} while (0)
	OUTSIDE(allocation, 2);
	OUTSIDE(spill, 3);
	OUTSIDE(learning, 3);
	OUTSIDE(reset, 2);
	OUTSIDE(mirroring, 2);
	OUTSIDE(location, 2);
	OUTSIDE(debug, 3);
#undef OUTSIDE
	o = defaults();
	o.flags = 1u << 7;
	EXPECT_EQ(0, refused(&o, -EINVAL, "flags 0x80"));
}

TEST(a_file_needs_one_place_and_a_size)
{
	struct tmk_workspace_opts o = defaults();

	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	EXPECT_EQ(0, refused(&o, -EINVAL, "initial_bytes"));
	o.initial_bytes = 4096;
	o.path = "/tmp/x";
	o.temp_dir = "/tmp";
	EXPECT_EQ(0, refused(&o, -EINVAL, "contradict"));
}

TEST(region_options_must_make_sense)
{
	struct tmk_workspace_opts o = defaults();

	o.region.kind = TMK_KIND_FILE;
	EXPECT_EQ(0, refused(&o, -EINVAL, "location"));
	o = defaults();
	o.region.flags = TMK_REGION_F_REQUIRE;
	EXPECT_EQ(0, refused(&o, -EINVAL, "kind"));
	o = defaults();
	o.region.opts_size = 0;
	EXPECT_EQ(0, refused(&o, -EINVAL, "region"));
	o = defaults();
	o.region.kind = 77;
	EXPECT_EQ(0, refused(&o, -EINVAL, "77"));
	o = defaults();
	o.region.kind = TMK_KIND_PINNED;
	o.region.flags = 1u << 9;
	EXPECT_EQ(0, refused(&o, -EINVAL, "0x200"));
	o.region.flags = 0;
	o.region.page_bytes = 12345;
	EXPECT_EQ(0, refused(&o, -EINVAL, "12345"));
	o = defaults();
	o.region.node = -7;
	EXPECT_EQ(0, refused(&o, -EINVAL, "-7"));
	o = defaults();
	o.region.name = "a name of more than thirty-one characters";
	EXPECT_EQ(0, refused(&o, -EINVAL, "31"));
	o = defaults();
	o.region.kind = TMK_KIND_HUGETLB;
	o.region.page_bytes = 4096;
	EXPECT_EQ(0, refused(&o, -EINVAL, "hugetlb"));
}

TEST(options_of_another_size)
{
	struct {
		struct tmk_workspace_opts o;
		char tail[16];
	} longer = { .o = TMK_WORKSPACE_OPTS_INIT };
	struct tmk_workspace *ws;

	longer.o.opts_size = sizeof(longer.o) - 1;
	EXPECT_EQ(0, refused(&longer.o, -EINVAL, "opts_size"));
	longer.o.opts_size = 0;
	EXPECT_EQ(0, refused(&longer.o, -EINVAL, "opts_size"));
	longer.o.opts_size = SIZE_MAX;
	EXPECT_EQ(0, refused(&longer.o, -EINVAL, "opts_size"));
	longer.o.opts_size = sizeof(longer);
	EXPECT_EQ(0, tmk_workspace_create(&ws, "c", &longer.o));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	longer.tail[15] = 1;
	EXPECT_EQ(0, refused(&longer.o, -EINVAL, "not know"));
}

TEST(ids_are_checked)
{
	char id[65];
	struct tmk_workspace *ws;

	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, NULL, NULL));
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "", NULL));
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "a\nb", NULL));
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, "a\x7f", NULL));
	memset(id, 'x', sizeof(id));
	id[64] = 0;
	EXPECT_EQ(-EINVAL, tmk_workspace_create(&ws, id, NULL));
	id[63] = 0;
	ASSERT_EQ(0, tmk_workspace_create(&ws, id, NULL));
	EXPECT_STREQ(id, tmk_workspace_id(ws));
	EXPECT_EQ(-EEXIST, tmk_workspace_create(&ws, id, NULL));
	EXPECT_EQ(0, tmk_workspace_destroy_all());
	EXPECT_STREQ("", tmk_workspace_id(NULL));
	EXPECT_STREQ("", tmk_workspace_id(ws));
}

TEST(ids_beyond_ascii_are_fine)
{
	struct tmk_workspace_opts o = defaults();
	struct tmk_workspace *ws;

	o.initial_bytes = 4096;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "schritt-\xc3\xa4", &o));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
}

/* The largest sizes end in a refusal, not in a wrapped-around small block. */
TEST(huge_sizes_do_not_wrap)
{
	struct tmk_workspace_opts o = defaults();
	struct tmk_workspace *ws = NULL;
	int i, ret;

	for (i = 0; i < 4; i++) {
		o = defaults();
		o.initial_bytes = i == 0 ? UINT64_MAX :
				  i == 1 ? UINT64_MAX / 2 + 1 :
				  i == 2 ? UINT64_MAX / 4 :
					   4096;
		o.overallocation_limit = i == 3 ? 1e300 : 1;
		ret = tmk_workspace_create(&ws, "c", &o);
		EXPECT_TRUE(ret == -ENOMEM || ret == -EDQUOT ||
			    ret == -EOVERFLOW);
	}
	EXPECT_TRUE(!ws);
	/* With a cap the same wish is an ordinary workspace of the cap's size. */
	o.max_bytes = 8192;
	ASSERT_EQ(0, tmk_workspace_create(&ws, "c", &o));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
}

TEST_HARNESS_MAIN
