// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * tmk_workspace_alloc() has an inlined part in the header. Inlined, through a
 * pointer to the library's function, and by what the inlined part leaves to the
 * library: all three give the same answers and the same counters, and only an
 * allocation that is an add is done without the library.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "conform.h"

#define BLOCK 8192
#define WAYS 3

typedef int alloc_fn(void **out, struct tmk_workspace *ws, size_t bytes,
		     bool zero);

static int inlined(void **out, struct tmk_workspace *ws, size_t bytes,
		   bool zero)
{
	return tmk_workspace_alloc(out, ws, bytes, zero);
}

/* So that the compiler does not know what is called. */
static alloc_fn *volatile const ways[WAYS] = { inlined, tmk_workspace_alloc,
					       tmk_workspace_alloc_slow };

/* What programs are told of the room: nothing in it is the caller's to write. */
static struct tmk_workspace_room *room(void)
{
	return tmk_workspace_innermost;
}

static size_t room_left(void)
{
	return (size_t)(room()->end - room()->next);
}

static bool same(struct tmk_workspace_info a, struct tmk_workspace_info b)
{
	a.generation = b.generation;
	return !memcmp(&a, &b, offsetof(struct tmk_workspace_info, open)) &&
	       a.open == b.open;
}

/* One and the same story for each way. */
typedef void story_fn(struct tap_test *_metadata, alloc_fn *alloc,
		      struct tmk_workspace *ws);

static void told_alike(struct tap_test *_metadata, story_fn *story,
		       struct tmk_workspace_opts o)
{
	struct tmk_workspace_info info[WAYS];
	struct tmk_workspace *ws;
	int i;

	for (i = 0; i < WAYS; i++) {
		ws = make("told", o);
		story(_metadata, ways[i], ws);
		info[i] = in(ws);
		EXPECT_TRUE(same(info[0], info[i]));
		while (tmk_workspace_current() == ws)
			leave(ws);
		EXPECT_EQ(0, tmk_workspace_destroy(ws));
	}
}

static void ordinary(struct tap_test *_metadata, alloc_fn *alloc,
		     struct tmk_workspace *ws)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 64, 100, 1, 4000 };
	char *first = NULL, *p;
	size_t i, at = 0;

	(void)_metadata;
	enter(ws);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ASSERT_EQ(0, alloc((void **)&p, ws, sizes[i], false));
		first = first ? first : p;
		EXPECT_EQ(at, p - first);
		at += (sizes[i] + 15) / 16 * 16;
		EXPECT_EQ(at, in(ws).offset);
		EXPECT_EQ(at, in(ws).cycle);
		EXPECT_EQ(at, room()->next - first);
		EXPECT_EQ(BLOCK - at, room_left());
	}
	/* To the last byte, and what does not fit beside it. */
	ASSERT_EQ(0, alloc((void **)&p, ws, BLOCK - at - 15, false));
	EXPECT_EQ(BLOCK, in(ws).offset);
	EXPECT_EQ(0, room_left());
	EXPECT_EQ(0, in(ws).spilled_count);
	ASSERT_EQ(0, alloc((void **)&p, ws, 1, false));
	EXPECT_EQ(1, in(ws).spilled_count);
	EXPECT_TRUE(p < first || p >= first + BLOCK);
}

TEST(an_add_is_the_same_by_all_ways)
{
	told_alike(_metadata, ordinary, strict(BLOCK));
}

static void refused(struct tap_test *_metadata, alloc_fn *alloc,
		    struct tmk_workspace *ws)
{
	char *const nothing = (char *)1;
	void *p = nothing;

	(void)_metadata;
	EXPECT_EQ(-ENOTCONN, alloc(&p, ws, 8, false));
	EXPECT_EQ(-EINVAL, alloc(&p, NULL, 8, false));
	EXPECT_TRUE(says("NULL"));
	enter(ws);
	EXPECT_EQ(-EINVAL, alloc(&p, ws, 0, false));
	EXPECT_EQ(-EINVAL, alloc(&p, NULL, 8, false));
	EXPECT_EQ(-EINVAL, alloc(&p, (void *)&p, 8, false));
	EXPECT_EQ(-EOVERFLOW, alloc(&p, ws, SIZE_MAX, false));
	EXPECT_EQ(-EOVERFLOW, alloc(&p, ws, SIZE_MAX - 15, true));
	EXPECT_EQ(-EOVERFLOW, alloc(&p, ws, PTRDIFF_MAX, false));
	EXPECT_EQ(-ENOMEM, alloc(&p, ws, BLOCK + 1, false));
	EXPECT_TRUE(says("is full"));
	leave(ws);
	EXPECT_EQ(-ENOTCONN, alloc(&p, ws, 8, false));
	EXPECT_TRUE(p == nothing);
	EXPECT_EQ(0, in(ws).offset);
}

TEST(refusals_are_the_same_by_all_ways)
{
	struct tmk_workspace_opts o = strict(BLOCK);

	o.spill = TMK_WS_SPILL_FAIL;
	told_alike(_metadata, refused, o);
}

static void cleared(struct tap_test *_metadata, alloc_fn *alloc,
		    struct tmk_workspace *ws)
{
	unsigned char *p;
	int i, dirty;

	(void)_metadata;
	for (i = 0; i < 2; i++) {
		enter(ws);
		ASSERT_EQ(0, alloc((void **)&p, ws, 100, i));
		for (dirty = 0; dirty < 100 && !p[dirty]; dirty++)
			;
		EXPECT_EQ(100, dirty);
		memset(p, 0xff, 112);
		if (i)
			break;
		leave(ws);
	}
}

TEST(memory_is_cleared_when_asked)
{
	told_alike(_metadata, cleared, strict(BLOCK));
}

static void toggled(struct tap_test *_metadata, alloc_fn *alloc,
		    struct tmk_workspace *ws)
{
	void *p;

	(void)_metadata;
	enter(ws);
	ASSERT_EQ(0, alloc(&p, ws, 100, false));
	ASSERT_EQ(0, tmk_workspace_toggle(ws, false));
	EXPECT_EQ(0, room_left());
	ASSERT_EQ(0, alloc(&p, ws, 100, false));
	EXPECT_EQ(1, in(ws).external_count);
	EXPECT_EQ(112, in(ws).offset);
	ASSERT_EQ(0, tmk_workspace_toggle(ws, true));
	ASSERT_EQ(0, alloc(&p, ws, 100, false));
	EXPECT_EQ(224, in(ws).offset);
}

TEST(toggled_off_goes_to_the_library)
{
	told_alike(_metadata, toggled, strict(BLOCK));
}

/* Whatever is no plain block has no room that a program could see. */
static void no_room(struct tap_test *_metadata, alloc_fn *alloc,
		    struct tmk_workspace *ws)
{
	void *p;
	int i;

	(void)_metadata;
	enter(ws);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, room_left());
		ASSERT_EQ(0, alloc(&p, ws, 100, false));
	}
	EXPECT_EQ(3 * 112, in(ws).cycle);
	EXPECT_EQ(0, room_left());
}

TEST(rings_learning_and_debug_modes_go_to_the_library)
{
	struct tmk_workspace_opts ring = opts_pc(), spill = strict(BLOCK);

	ring.initial_bytes = BLOCK;
	told_alike(_metadata, no_room, ring);
	told_alike(_metadata, no_room, learned(0));
	spill.debug = TMK_WS_DEBUG_SPILL_EVERYTHING;
	told_alike(_metadata, no_room, spill);
}

static void bypassed(struct tap_test *_metadata, alloc_fn *alloc,
		     struct tmk_workspace *ws)
{
	void *p;

	(void)_metadata;
	enter(ws);
	EXPECT_EQ(0, room()->handle);
	EXPECT_EQ(-EOPNOTSUPP, alloc(&p, ws, 100, false));
	leave(ws);
}

TEST(bypassed_is_nobody)
{
	struct tmk_workspace_opts o = strict(BLOCK);

	o.debug = TMK_WS_DEBUG_BYPASS_EVERYTHING;
	told_alike(_metadata, bypassed, o);
}

/* The room is the innermost one's at each point, and each one's offset its own. */
static void nested(struct tap_test *_metadata, alloc_fn *alloc,
		   struct tmk_workspace *ws)
{
	struct tmk_workspace *inner = make("inner", strict(BLOCK));
	void *p;

	(void)_metadata;
	EXPECT_EQ(0, room()->handle);
	enter(ws);
	EXPECT_EQ((uintptr_t)ws, room()->handle);
	ASSERT_EQ(0, alloc(&p, ws, 16, false));
	enter(inner);
	EXPECT_EQ((uintptr_t)inner, room()->handle);
	ASSERT_EQ(0, alloc(&p, ws, 32, false));
	ASSERT_EQ(0, alloc(&p, inner, 64, false));
	EXPECT_EQ(48, in(ws).offset);
	EXPECT_EQ(64, in(inner).offset);
	ASSERT_EQ(0, tmk_workspace_borrow(ws));
	EXPECT_EQ((uintptr_t)ws, room()->handle);
	ASSERT_EQ(0, alloc(&p, ws, 16, false));
	ASSERT_EQ(0, alloc(&p, inner, 16, false));
	ASSERT_EQ(0, tmk_workspace_scope_out());
	EXPECT_EQ(0, room()->handle);
	ASSERT_EQ(0, alloc(&p, ws, 16, false));
	ASSERT_EQ(0, tmk_workspace_scope_in());
	leave(ws);
	EXPECT_EQ((uintptr_t)inner, room()->handle);
	EXPECT_EQ(80, in(inner).offset);
	leave(inner);
	EXPECT_EQ(-ENOTCONN, alloc(&p, inner, 16, false));
	EXPECT_EQ(0, tmk_workspace_destroy(inner));
	EXPECT_EQ(-ESTALE, alloc(&p, inner, 16, false));
	EXPECT_EQ((uintptr_t)ws, room()->handle);
	EXPECT_EQ(80, in(ws).offset);
}

TEST(the_room_is_the_innermost_ones)
{
	told_alike(_metadata, nested, strict(BLOCK));
}

/* Another thread's room is nobody's, and it is refused what is ours. */
static void *foreign(void *arg)
{
	uintptr_t bad = room()->handle || room_left();
	void *p;
	int i;

	for (i = 0; i < WAYS; i++)
		bad |= ways[i](&p, arg, 8, false) != -EPERM;
	return (void *)bad;
}

TEST(other_threads_have_no_room)
{
	struct tmk_workspace *ws = make("mine", strict(BLOCK));
	pthread_t thread;
	void *bad;

	enter(ws);
	ASSERT_EQ(0, pthread_create(&thread, NULL, foreign, ws));
	ASSERT_EQ(0, pthread_join(thread, &bad));
	EXPECT_TRUE(!bad);
	EXPECT_EQ(0, in(ws).cycle);
	leave(ws);
}

static int child(void *ws)
{
	return !!foreign(ws);
}

TEST(a_child_has_no_room)
{
	struct tmk_workspace *ws = make("mine", strict(BLOCK));

	enter(ws);
	EXPECT_EQ(0, in_child(child, ws));
	EXPECT_EQ(0, in(ws).cycle);
	leave(ws);
}

TEST_HARNESS_MAIN
