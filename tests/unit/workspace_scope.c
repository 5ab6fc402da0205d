// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Scopes: the stack, nesting, order, the scope idiom, and what a workspace
 * answers at each point of its life.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"

static struct tmk_workspace *make(const char *id, uint64_t initial)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws = NULL;

	o.initial_bytes = initial;
	o.allocation = TMK_WS_STRICT;
	o.alignment = 16;
	if (tmk_workspace_create(&ws, id, &o))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_workspace_info info(struct tmk_workspace *ws)
{
	struct tmk_workspace_info i;

	memset(&i, 0xff, sizeof(i));
	if (tmk_workspace_info(&i, ws))
		TH_LOG("%s", tmk_error_last());
	return i;
}

/* Padding is not looked at. */
static bool same(const struct tmk_workspace_info *a,
		 const struct tmk_workspace_info *b)
{
	return !memcmp(a, b, offsetof(struct tmk_workspace_info, open)) &&
	       a->open == b->open;
}

static bool said(const char *word)
{
	if (strstr(tmk_error_last(), word))
		return true;
	TH_LOG("\"%s\" does not say \"%s\"", tmk_error_last(), word);
	return false;
}

TEST(push_pop_current)
{
	struct tmk_workspace *ws = make("a", 0);

	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_FALSE(info(ws).open);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_TRUE(tmk_workspace_current() == ws);
	EXPECT_TRUE(info(ws).open);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_FALSE(info(ws).open);
}

TEST(nested_workspaces_restore_the_outer_one)
{
	struct tmk_workspace *a = make("a", 0), *b = make("b", 0);

	ASSERT_EQ(0, tmk_workspace_push(a));
	ASSERT_EQ(0, tmk_workspace_push(b));
	EXPECT_TRUE(tmk_workspace_current() == b);
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_TRUE(tmk_workspace_current() == a);
	EXPECT_EQ(0, tmk_workspace_pop(a));
}

/* Re-entry continues the cycle: same generation, offset runs on. */
TEST(rule8_reentering_the_innermost_nests)
{
	struct tmk_workspace *ws = make("a", 4096);
	void *p;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 800, false));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(800, info(ws).offset);
	EXPECT_EQ(1, info(ws).generation);
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 800, false));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(1600, info(ws).offset);
	EXPECT_TRUE(info(ws).open);
	EXPECT_EQ(0, info(ws).cycles);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, info(ws).offset);
	EXPECT_EQ(1, info(ws).cycles);
	EXPECT_EQ(1600, info(ws).last);
}

/* ND4J resets the offset and overwrites live arrays. */
TEST(d09_rule8_entering_an_outer_one_is_busy)
{
	struct tmk_workspace *a = make("outer", 4096), *b = make("inner", 4096);
	void *p;

	ASSERT_EQ(0, tmk_workspace_push(a));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, a, 100, false));
	ASSERT_EQ(0, tmk_workspace_push(b));
	EXPECT_EQ(-EBUSY, tmk_workspace_push(a));
	EXPECT_TRUE(said("\"outer\"") && said("\"inner\""));
	EXPECT_EQ(112, info(a).offset);
	EXPECT_TRUE(tmk_workspace_current() == b);
	/* Allocating from an outer one is no scope: it is allowed. */
	EXPECT_EQ(0, tmk_workspace_alloc(&p, a, 100, false));
	EXPECT_EQ(224, info(a).offset);
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_EQ(0, tmk_workspace_pop(a));
}

TEST(rule8_closing_out_of_order_is_refused)
{
	struct tmk_workspace *a = make("a", 0), *b = make("b", 0);

	EXPECT_EQ(-EINVAL, tmk_workspace_pop(a));
	EXPECT_TRUE(said("not open"));
	ASSERT_EQ(0, tmk_workspace_push(a));
	ASSERT_EQ(0, tmk_workspace_push(b));
	EXPECT_EQ(-EINVAL, tmk_workspace_pop(a));
	EXPECT_TRUE(said("\"b\" must be closed first"));
	EXPECT_TRUE(info(a).open && info(b).open);
	EXPECT_TRUE(tmk_workspace_current() == b);
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_EQ(0, tmk_workspace_pop(a));
}

TEST(deep_stacks)
{
	struct tmk_workspace *ws[100];
	char id[16];
	int i, round;

	for (i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		ws[i] = make(id, 0);
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 100; i++)
			ASSERT_EQ(0, tmk_workspace_push(ws[i]));
		for (i = 99; i >= 0; i--) {
			ASSERT_TRUE(tmk_workspace_current() == ws[i]);
			ASSERT_EQ(0, tmk_workspace_pop(ws[i]));
		}
	}
	/* And one workspace entered very often. */
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, tmk_workspace_push(ws[0]));
	EXPECT_EQ(4, info(ws[0]).generation);
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, tmk_workspace_pop(ws[0]));
	EXPECT_EQ(-EINVAL, tmk_workspace_pop(ws[0]));
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

TEST(lookup_finds_by_id)
{
	struct tmk_workspace *a = make("a", 0), *b = make("b", 0), *found;

	ASSERT_EQ(0, tmk_workspace_lookup(&found, "a"));
	EXPECT_TRUE(found == a);
	ASSERT_EQ(0, tmk_workspace_lookup(&found, "b"));
	EXPECT_TRUE(found == b);
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, "c"));
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, NULL));
	EXPECT_TRUE(found == b);
	EXPECT_EQ(0, tmk_workspace_destroy(a));
	EXPECT_EQ(-ENOENT, tmk_workspace_lookup(&found, "a"));
	EXPECT_STREQ("b", tmk_workspace_id(b));
}

TEST(an_id_may_be_used_again)
{
	struct tmk_workspace *a = make("a", 0), *again;

	EXPECT_EQ(0, tmk_workspace_destroy(a));
	again = make("a", 0);
	ASSERT_TRUE(again);
	EXPECT_TRUE(again != a);
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

TEST(destroying_an_open_one_is_busy)
{
	struct tmk_workspace *a = make("a", 64), *b = make("b", 64);

	ASSERT_EQ(0, tmk_workspace_push(a));
	EXPECT_EQ(-EBUSY, tmk_workspace_destroy(a));
	EXPECT_EQ(-EBUSY, tmk_workspace_destroy_all());
	EXPECT_TRUE(said("\"a\""));
	EXPECT_EQ(64, info(a).size);
	EXPECT_EQ(64, info(b).size);
	EXPECT_EQ(0, tmk_workspace_destroy(b));
	EXPECT_EQ(0, tmk_workspace_pop(a));
	EXPECT_EQ(0, tmk_workspace_destroy(a));
	EXPECT_EQ(0, tmk_workspace_destroy(NULL));
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

TEST(allocating_from_a_closed_one)
{
	struct tmk_workspace *ws = make("a", 4096);
	void *p = &p;

	EXPECT_EQ(-ENOTCONN, tmk_workspace_alloc(&p, ws, 1, false));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, tmk_workspace_alloc(&p, ws, 1, false));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	p = &p;
	EXPECT_EQ(-ENOTCONN, tmk_workspace_alloc(&p, ws, 1, false));
	EXPECT_TRUE(said("\"a\" is not open"));
	EXPECT_TRUE(p == &p); /* untouched on failure */
	EXPECT_EQ(0, info(ws).cycle);
}

TEST(junk_requests_change_nothing)
{
	static const size_t sizes[] = { SIZE_MAX,      SIZE_MAX - 1,
					SIZE_MAX - 15, SIZE_MAX / 2 + 1,
					SIZE_MAX / 2,  SIZE_MAX / 2 - 14 };
	struct tmk_workspace *ws = make("a", 64);
	struct tmk_workspace_info before, after;
	void *p = &p;
	size_t i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&p, ws, 16, false));
	before = info(ws);
	EXPECT_EQ(-EINVAL, tmk_workspace_alloc(&p, ws, 0, false));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		EXPECT_EQ(-EOVERFLOW,
			  tmk_workspace_alloc(&p, ws, sizes[i], true));
	/* Representable, but nobody has that much. */
	EXPECT_NE(0, tmk_workspace_alloc(&p, ws, SIZE_MAX / 4, true));
	after = info(ws);
	EXPECT_TRUE(same(&before, &after));
	EXPECT_EQ(0, tmk_workspace_alloc(&p, ws, 48, false));
	EXPECT_EQ(64, info(ws).offset);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(rule12_zeroed_only_where_asked)
{
	struct tmk_workspace *ws = make("a", 4096);
	unsigned char *p, *q;
	void *v;
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&v, ws, 100, false));
	p = v;
	for (i = 0; i < 100; i++)
		EXPECT_EQ(0, p[i]); /* a fresh block is zero */
	memset(p, 0xab, 100);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	ASSERT_EQ(0, tmk_workspace_alloc(&v, ws, 50, true));
	q = v;
	EXPECT_TRUE(q == p);
	for (i = 0; i < 50; i++)
		EXPECT_EQ(0, q[i]);
	EXPECT_EQ(0xab, q[50]);
	ASSERT_EQ(0, tmk_workspace_alloc(&v, ws, 30, false));
	EXPECT_EQ(0xab, *(unsigned char *)v);
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

static struct tmk_workspace *scoped;

static int leave_by_return(void)
{
	TMK_WORKSPACE_SCOPE(scoped) {
		if (tmk_workspace_current() == scoped)
			return 1;
	}
	return 0;
}

static int leave_by_goto(void)
{
	TMK_WORKSPACE_SCOPE(scoped) {
		if (tmk_workspace_current() == scoped)
			goto out;
	}
	return 0;
out:
	return 1;
}

TEST(b04_scope_idiom_closes_on_every_way_out)
{
	int runs = 0, i;

	scoped = make("s", 64);
	TMK_WORKSPACE_SCOPE(scoped) {
		runs++;
		EXPECT_TRUE(tmk_workspace_current() == scoped);
	}
	EXPECT_EQ(1, runs);
	EXPECT_TRUE(!tmk_workspace_current());
	TMK_WORKSPACE_SCOPE(scoped) {
		runs++;
		break;
	}
	EXPECT_TRUE(!tmk_workspace_current());
	TMK_WORKSPACE_SCOPE(scoped) {
		runs++;
		continue;
	}
	EXPECT_TRUE(!tmk_workspace_current());
	for (i = 0; i < 3; i++) {
		TMK_WORKSPACE_SCOPE(scoped) {
			TMK_WORKSPACE_SCOPE(scoped) {
				runs++;
			}
			EXPECT_TRUE(tmk_workspace_current() == scoped);
		}
	}
	EXPECT_EQ(6, runs);
	EXPECT_EQ(1, leave_by_return());
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(1, leave_by_goto());
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(8, info(scoped).cycles);
}

TEST(scope_idiom_skips_what_it_cannot_open)
{
	struct tmk_workspace *a = make("a", 64), *b = make("b", 64);
	int runs = 0;

	ASSERT_EQ(0, tmk_workspace_push(a));
	ASSERT_EQ(0, tmk_workspace_push(b));
	TMK_WORKSPACE_SCOPE(a) {
		runs++;
	}
	EXPECT_EQ(0, runs);
	EXPECT_TRUE(tmk_workspace_current() == b);
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_EQ(0, tmk_workspace_pop(a));
	EXPECT_EQ(0, tmk_workspace_destroy(a));
	TMK_WORKSPACE_SCOPE(a) {
		runs++;
	}
	EXPECT_EQ(0, runs);
}

TEST(rule9_a_destroyed_one_is_stale_everywhere)
{
	struct tmk_workspace *ws = make("gone", 64);
	struct tmk_workspace_info i = { .size = 5 };
	struct tmk_tensor *t = NULL;
	void *p = NULL;
	int64_t n = 1;

	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(-ESTALE, tmk_workspace_push(ws));
	EXPECT_TRUE(said("\"gone\" was destroyed"));
	EXPECT_EQ(-ESTALE, tmk_workspace_pop(ws));
	EXPECT_EQ(-ESTALE, tmk_workspace_alloc(&p, ws, 1, false));
	EXPECT_EQ(-ESTALE, tmk_workspace_initialize(ws));
	EXPECT_EQ(-ESTALE, tmk_workspace_destroy(ws));
	EXPECT_EQ(-ESTALE, tmk_workspace_info(&i, ws));
	EXPECT_EQ(-ESTALE, tmk_tensor_create_in(&t, ws, NULL, TMK_F32, 1, &n));
	EXPECT_EQ(5, i.size);
	EXPECT_TRUE(!p && !t);
}

TEST(what_never_was_a_workspace)
{
	static const uintptr_t values[] = { 0,		 1,
					    2,		 0x1000,
					    UINTPTR_MAX, UINTPTR_MAX - 1,
					    1ull << 44,	 (1ull << 44) | 1,
					    1ull << 63 };
	struct tmk_workspace *ws;
	void *p;
	size_t i;
	int round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			ws = (struct tmk_workspace *)values[i];
			/* Round 1: the first place is taken, by life 1. */
			if (round && values[i] == ((1ull << 44) | 1))
				continue;
			EXPECT_EQ(-EINVAL, tmk_workspace_push(ws));
			EXPECT_EQ(-EINVAL,
				  tmk_workspace_alloc(&p, ws, 1, false));
			EXPECT_STREQ("", tmk_workspace_id(ws));
		}
		ASSERT_TRUE(make(round ? "b" : "a", 0));
	}
	EXPECT_EQ(-EINVAL, tmk_workspace_push((void *)tmk_workspace_push));
}

/* Many lives in few places: an old handle is never a new workspace. */
TEST(rule9_handles_never_come_back)
{
	struct tmk_workspace *old[500];
	int i, j;

	for (i = 0; i < 500; i++) {
		old[i] = make("life", 0);
		ASSERT_TRUE(old[i]);
		for (j = 0; j < i; j++)
			ASSERT_TRUE(old[j] != old[i]);
		ASSERT_EQ(0, tmk_workspace_push(old[i]));
		ASSERT_EQ(0, tmk_workspace_pop(old[i]));
		ASSERT_EQ(0, tmk_workspace_destroy(old[i]));
	}
	for (i = 0; i < 500; i++)
		ASSERT_EQ(-ESTALE, tmk_workspace_push(old[i]));
	EXPECT_TRUE(said("\"life\"")); /* the youngest still has its name */
	EXPECT_EQ(-ESTALE, tmk_workspace_push(old[440]));
	EXPECT_TRUE(said("\"life\""));
	EXPECT_EQ(-ESTALE, tmk_workspace_push(old[0]));
	EXPECT_STREQ("the workspace was destroyed", tmk_error_last());
}

TEST_HARNESS_MAIN
