// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The JSON writer of the tools: what it prints, byte by byte, and that wrong
 * calls are noticed.
 */
#include "../harness/tap.h"

#include "../../tools/json.c"

FIXTURE(json)
{
	struct tmkctl_json w;
	FILE *out;
	char *text;
	size_t len;
};

FIXTURE_SETUP(json)
{
	self->out = open_memstream(&self->text, &self->len);
	ASSERT_TRUE(self->out);
	json_begin(&self->w, self->out, false);
}

FIXTURE_TEARDOWN(json)
{
	fclose(self->out);
	free(self->text);
}

static const char *printed(FIXTURE_DATA(json) * self)
{
	fflush(self->out);
	return self->text;
}

TEST_F(json, every_value)
{
	json_object_begin(&self->w, NULL);
	json_u64(&self->w, "zero", 0);
	json_u64(&self->w, "most", UINT64_MAX);
	json_limit(&self->w, "limit", 4096);
	json_limit(&self->w, "none", UINT64_MAX);
	json_bool(&self->w, "yes", true);
	json_bool(&self->w, "no", false);
	json_null(&self->w, "null");
	json_text(&self->w, "text", "a");
	json_text(&self->w, "no text", NULL);
	json_array_begin(&self->w, "list");
	json_u64(&self->w, NULL, 1);
	json_object_begin(&self->w, NULL);
	json_object_end(&self->w);
	json_array_begin(&self->w, NULL);
	json_array_end(&self->w);
	json_array_end(&self->w);
	json_object_end(&self->w);
	EXPECT_FALSE(self->w.failed);
	EXPECT_EQ(0, self->w.depth);
	EXPECT_STREQ("{\"zero\":0,\"most\":18446744073709551615,"
		     "\"limit\":4096,\"none\":null,\"yes\":true,\"no\":false,"
		     "\"null\":null,\"text\":\"a\",\"no text\":null,"
		     "\"list\":[1,{},[]]}\n",
		     printed(self));
}

TEST_F(json, pretty)
{
	self->w.pretty = true;
	json_object_begin(&self->w, NULL);
	json_u64(&self->w, "a", 1);
	json_array_begin(&self->w, "b");
	json_text(&self->w, NULL, "c");
	json_text(&self->w, NULL, "d");
	json_array_end(&self->w);
	json_object_begin(&self->w, "e");
	json_object_end(&self->w);
	json_object_end(&self->w);
	EXPECT_STREQ("{\n  \"a\": 1,\n  \"b\": [\n    \"c\",\n    \"d\"\n  ],"
		     "\n  \"e\": {}\n}\n",
		     printed(self));
}

TEST_F(json, escapes)
{
	json_object_begin(&self->w, NULL);
	json_text(&self->w, "k\"\\\n", "\"\\/\b\t\x1b\x7f");
	json_object_end(&self->w);
	EXPECT_STREQ("{\"k\\\"\\\\\\u000a\":"
		     "\"\\\"\\\\/\\u0008\\u0009\\u001b\\u007f\"}\n",
		     printed(self));
}

/* The sequences of Unicode 15, table 3-7, from both sides of each border. */
TEST(utf8_lengths)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
		{ "a", 1 },
		{ "\xc2\x80", 2 },
		{ "\xdf\xbf", 2 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xee\x80\x80", 3 },
		{ "\xef\xbf\xbf", 3 },
		{ "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\x80", 0 },
		{ "\xbf", 0 },
		{ "\xc0\x80", 0 },
		{ "\xc1\xbf", 0 },
		{ "\xc2", 0 },
		{ "\xc2z", 0 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xe1\x80", 0 },
		{ "\xed\xa0\x80", 0 },
		{ "\xed\xbf\xbf", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf0\x90\x80", 0 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (json_utf8_len(cases[i].text) != cases[i].len) {
			TH_LOG("case %zu: %zu", i,
			       json_utf8_len(cases[i].text));
			EXPECT_TRUE(false);
		}
}

TEST_F(json, wrong_bytes_become_replacement_characters)
{
	json_object_begin(&self->w, NULL);
	json_text(&self->w, "t", "a\xff\xc3\xa9\xe2\x82z\xed\xa0\x80");
	json_object_end(&self->w);
	EXPECT_STREQ("{\"t\":\"a\\ufffd\xc3\xa9\\ufffd\\ufffdz"
		     "\\ufffd\\ufffd\\ufffd\"}\n",
		     printed(self));
}

TEST_F(json, a_key_in_an_array)
{
	json_array_begin(&self->w, NULL);
	json_u64(&self->w, "key", 1);
	EXPECT_TRUE(self->w.failed);
	json_array_end(&self->w);
	EXPECT_TRUE(self->w.failed);
}

TEST_F(json, no_key_in_an_object)
{
	json_object_begin(&self->w, NULL);
	json_u64(&self->w, NULL, 1);
	EXPECT_TRUE(self->w.failed);
	EXPECT_STREQ("{", printed(self));
}

TEST_F(json, wrong_end)
{
	json_array_begin(&self->w, NULL);
	json_object_end(&self->w);
	EXPECT_TRUE(self->w.failed);
}

TEST_F(json, end_without_beginning)
{
	json_object_end(&self->w);
	EXPECT_TRUE(self->w.failed);
}

TEST_F(json, too_deep)
{
	int i;

	for (i = 0; i < TMKCTL_JSON_DEPTH; i++)
		json_array_begin(&self->w, NULL);
	EXPECT_FALSE(self->w.failed);
	json_array_begin(&self->w, NULL);
	EXPECT_TRUE(self->w.failed);
	EXPECT_EQ(TMKCTL_JSON_DEPTH, self->w.depth);
}

TEST_HARNESS_MAIN
