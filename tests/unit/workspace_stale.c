// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A tensor whose scope has ended is told from a valid one, in every build,
 * however its header was reused since: by the sequence in its handle. Also the
 * tables' own corner: what happens when the sequences of a header run out.
 */
#include <errno.h>
#include <string.h>

#include <tmk/tmk.h>

#include "../harness/tap.h"
#include "handle.h"

static const int64_t shape[2] = { 3, 5 };

static struct tmk_workspace *make(const char *id)
{
	struct tmk_workspace *ws = NULL;

	if (tmk_workspace_create(&ws, id, NULL))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_tensor *tensor(void)
{
	struct tmk_tensor *t = NULL;

	if (tmk_tensor_create(&t, TMK_F32, 2, shape))
		TH_LOG("%s", tmk_error_last());
	return t;
}

/* Is @t stale, and everywhere, and is this what is said of it? */
static int stale(struct tmk_tensor *t, const char *sentence)
{
	struct tmk_tensor *out = (void *)7;
	float loss = 7;
	int bad = 0;

	if (tmk_tensor_check(t, "A") != -ESTALE)
		bad |= 1;
	if (strcmp(tmk_error_last(), sentence)) {
		TH_LOG("\"%s\" must be \"%s\"", tmk_error_last(), sentence);
		bad |= 2;
	}
	if (tmk_tensor_data(t) || tmk_tensor_shape(t) || tmk_tensor_strides(t))
		bad |= 4;
	if (tmk_tensor_rank(t) != -ESTALE || tmk_tensor_nr(t) != -ESTALE ||
	    tmk_tensor_dtype(t) || tmk_tensor_is_dense(t))
		bad |= 8;
	if (tmk_tensor_slice(&out, t, 0, 0, 1) != -ESTALE ||
	    tmk_tensor_transpose(&out, t, 0, 1) != -ESTALE ||
	    tmk_tensor_reshape(&out, t, 2, shape) != -ESTALE ||
	    tmk_tensor_dup(&out, t) != -ESTALE ||
	    tmk_tensor_detach(&out, t) != -ESTALE)
		bad |= 16;
	if (tmk_tensor_zero(t) != -ESTALE || tmk_tensor_fill(t, 1) != -ESTALE ||
	    tmk_gemm(t, 1, t, false, t, false, 0) != -ESTALE ||
	    tmk_axpy(t, 1, t) != -ESTALE ||
	    tmk_tensor_add(t, t, t) != -ESTALE ||
	    tmk_softmax_xent(&loss, NULL, t, t) != -ESTALE)
		bad |= 32;
	if (out != (void *)7 || loss != 7)
		bad |= 64;
	/* Giving it back is nothing, taking it is nothing. */
	tmk_tensor_put(t);
	if (tmk_tensor_get(t) != t || !tmk_tensor_check(t, "A"))
		bad |= 128;
	return bad;
}

TEST(b13_g10_after_its_scope)
{
	struct tmk_workspace *ws = make("step");
	struct tmk_tensor *t;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	t = tensor();
	EXPECT_EQ(0, tmk_tensor_check(t, "A"));
	EXPECT_TRUE(tmk_tensor_data(t));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, stale(t, "argument A: its workspace \"step\" is at "
			      "generation 1 (closed), it was made in 1"));
	/* It is still known where it was. */
	EXPECT_TRUE(tmk_tensor_is_attached(t));
	EXPECT_TRUE(tmk_tensor_workspace(t) == ws);
}

TEST(b32_g11_in_a_later_generation)
{
	struct tmk_workspace *ws = make("step");
	struct tmk_tensor *t = NULL, *now;
	int i;

	for (i = 1; i <= 7; i++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		if (i == 6)
			t = tensor();
		if (i == 7)
			break;
		EXPECT_EQ(0, tmk_workspace_pop(ws));
	}
	EXPECT_EQ(0, stale(t, "argument A: its workspace \"step\" is at "
			      "generation 7, it was made in 6"));
	/* The very same header serves this generation, with another shape. */
	now = tensor();
	EXPECT_EQ(tmk__handle_slot(t), tmk__handle_slot(now));
	EXPECT_EQ(0, tmk_tensor_check(now, "B"));
	EXPECT_EQ(0, stale(t, "argument A: its workspace \"step\" is at "
			      "generation 7, it was made in 6"));
	EXPECT_EQ(0, tmk_tensor_check(now, "B"));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
}

TEST(g12_in_a_nested_scope_while_open)
{
	struct tmk_workspace *a = make("a"), *b = make("b");
	struct tmk_tensor *t, *view;

	ASSERT_EQ(0, tmk_workspace_push(a));
	t = tensor();
	ASSERT_EQ(0, tmk_workspace_push(b));
	EXPECT_EQ(0, tmk_tensor_check(t, "A"));
	/* A view has its base's scope, not the innermost one. */
	ASSERT_EQ(0, tmk_tensor_slice(&view, t, 0, 0, 1));
	EXPECT_EQ(0, tmk_workspace_pop(b));
	EXPECT_EQ(0, tmk_tensor_check(view, "view"));
	EXPECT_TRUE(tmk_tensor_workspace(view) == a);
	EXPECT_EQ(0, tmk_workspace_pop(a));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(view, "view"));
}

TEST(reentry_keeps_tensors_valid)
{
	struct tmk_workspace *ws = make("a");
	struct tmk_tensor *outer, *inner;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	outer = tensor();
	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, tmk_tensor_check(outer, "A"));
	inner = tensor();
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, tmk_tensor_check(inner, "A"));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(inner, "A"));
}

TEST(after_its_workspace_was_destroyed)
{
	struct tmk_workspace *ws = make("gone");
	struct tmk_tensor *t;
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	ASSERT_EQ(0, tmk_workspace_push(ws));
	t = tensor();
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(0, stale(t, "argument A: its workspace \"gone\" was "
			      "destroyed, it was made in generation 2"));
	EXPECT_TRUE(!tmk_tensor_workspace(t));
	EXPECT_TRUE(tmk_tensor_is_attached(t));
	/* Its headers and its place go to others: still stale, less known. */
	for (i = 0; i < 200; i++) {
		/* But not soon. */
		if (i == 60)
			EXPECT_EQ(0, stale(t, "argument A: its workspace "
					      "\"gone\" was destroyed, it was "
					      "made in generation 2"));
		ws = make("next");
		ASSERT_EQ(0, tmk_workspace_push(ws));
		ASSERT_EQ(-ESTALE, tmk_tensor_check(t, "A"));
		tensor();
		ASSERT_EQ(-ESTALE, tmk_tensor_check(t, "A"));
		EXPECT_EQ(0, tmk_workspace_pop(ws));
		EXPECT_EQ(0, tmk_workspace_destroy(ws));
	}
	EXPECT_EQ(0, stale(t, "argument A: its workspace was destroyed"));
	EXPECT_TRUE(!tmk_tensor_workspace(t));
}

TEST(after_it_was_put)
{
	struct tmk_workspace *ws = make("step");
	struct tmk_tensor *t, *u, *twice;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	t = tensor();
	EXPECT_TRUE(tmk_tensor_get(t) == t);
	tmk_tensor_put(t);
	EXPECT_EQ(0, tmk_tensor_check(t, "A"));
	tmk_tensor_put(t);
	EXPECT_EQ(0, stale(t, "argument A was released before, in workspace "
			      "\"step\""));
	/* Putting once too often does no harm to a later tensor. */
	tmk_tensor_put(t);
	u = tensor();
	tmk_tensor_put(t);
	EXPECT_EQ(0, tmk_tensor_check(u, "A"));
	EXPECT_EQ(0, tmk_workspace_pop(ws));

	t = tensor();
	ASSERT_TRUE(!tmk_tensor_is_attached(t));
	tmk_tensor_put(t);
	EXPECT_EQ(0, stale(t, "argument A was released before"));
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	twice = tensor();
	EXPECT_EQ(tmk__handle_slot(t), tmk__handle_slot(twice));
	tmk_tensor_put(t);
	EXPECT_EQ(0, tmk_tensor_check(twice, "A"));
	tmk_tensor_put(twice);
}

TEST(what_never_was_a_tensor)
{
	static const uintptr_t values[] = { 1,
					    2,
					    0x1000,
					    UINTPTR_MAX,
					    UINTPTR_MAX >> 1,
					    1ull << 40,
					    (1ull << 40) | 1,
					    1ull << 46,
					    1ull << 63 };
	struct tmk_tensor *t, *real;
	size_t i;
	int round;

	EXPECT_EQ(-EINVAL, tmk_tensor_check(NULL, "A"));
	EXPECT_STREQ("argument A is NULL", tmk_error_last());
	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			t = (struct tmk_tensor *)values[i];
			EXPECT_NE(0, tmk_tensor_check(t, NULL));
			EXPECT_TRUE(!tmk_tensor_data(t));
			EXPECT_TRUE(!tmk_tensor_workspace(t));
			tmk_tensor_put(t);
		}
		real = tensor();
	}
	/* Any other sequence for a header that exists. */
	for (i = 0; i < 64; i++) {
		t = tmk__handle_make(tmk__handle_slot(real), i);
		EXPECT_EQ(t == real, !tmk_tensor_check(t, NULL));
	}
	tmk_tensor_put(real);
	EXPECT_EQ(-EINVAL, tmk_tensor_check((void *)tmk_gemm, NULL));
}

/*
 * Thousands of generations, tensors and workspaces: only the living pass. Also
 * the last sequence of a header's old owner while its new one is closed.
 */
TEST(random_lives)
{
	enum {
		NR = 600,
		WS = 5
	};
	struct tmk_workspace *ws[WS] = { NULL };
	struct {
		struct tmk_tensor *t;
		int owner;
		uint64_t gen; /* a number for the scope, in this test */
	} made[NR] = { { NULL, 0, 0 } };
	uint64_t seed = 99, scope[WS] = { 0 }, scopes = 0;
	int step, i, w;

	for (step = 0; step < 20000; step++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		w = (int)((seed >> 33) % WS);
		switch ((seed >> 40) % 8) {
		case 0: /* destroy */
			if (ws[w] && !scope[w]) {
				ASSERT_EQ(0, tmk_workspace_destroy(ws[w]));
				ws[w] = NULL;
			}
			break;
		case 1: /* open or close the only open one */
		case 2:
			for (i = 0; i < WS && !scope[i]; i++)
				;
			if (i < WS) {
				ASSERT_EQ(0, tmk_workspace_pop(ws[i]));
				scope[i] = 0;
			} else if (ws[w]) {
				ASSERT_EQ(0, tmk_workspace_push(ws[w]));
				scope[w] = ++scopes;
			}
			break;
		case 3:
			if (!ws[w])
				ws[w] = make((char[]){ (char)('a' + w), 0 });
			break;
		default:
			if (!scope[w])
				break;
			i = (int)((seed >> 20) % NR);
			made[i].t = tensor();
			made[i].owner = w;
			made[i].gen = scope[w];
		}
		for (i = step % 17; i < NR; i += 17) {
			if (!made[i].t)
				continue;
			ASSERT_EQ(made[i].gen == scope[made[i].owner],
				  !tmk_tensor_check(made[i].t, "A"));
		}
	}
	for (i = 0; i < WS; i++) {
		if (scope[i])
			ASSERT_EQ(0, tmk_workspace_pop(ws[i]));
	}
	EXPECT_EQ(0, tmk_workspace_destroy_all());
}

/* A header's sequences are not unlimited: it is retired, not repeated. */
TEST(sequences_never_repeat)
{
	struct tmk_workspace *ws = make("a");
	struct tmk_tensor *first, *t, *old[50];
	uint32_t extent;
	int i;

	ASSERT_EQ(0, tmk_workspace_push(ws));
	first = tensor();
	extent = tmk__handle_slot(first) / TMK__EXTENT_SLOTS;
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	/* As if that extent had served for years, and its turn came. */
	tmk__handles.extents[extent].last = TMK__SEQ_MAX - 20;
	for (i = 0; i < 64; i++) {
		ws = make("b");
		ASSERT_EQ(0, tmk_workspace_push(ws));
		ASSERT_TRUE(tensor());
		ASSERT_EQ(0, tmk_workspace_pop(ws));
		ASSERT_EQ(0, tmk_workspace_destroy(ws));
	}
	ws = make("b");
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		old[i] = tensor();
		ASSERT_TRUE(old[i]);
		EXPECT_EQ(i < 20,
			  tmk__handle_slot(old[i]) / TMK__EXTENT_SLOTS ==
				  extent);
		EXPECT_EQ(0, tmk_tensor_check(old[i], "A"));
		EXPECT_EQ(-ESTALE, tmk_tensor_check(first, "A"));
		if (i)
			EXPECT_EQ(-ESTALE, tmk_tensor_check(old[i - 1], "A"));
		EXPECT_EQ(0, tmk_workspace_pop(ws));
	}
	for (i = 0; i < 50; i++)
		EXPECT_EQ(-ESTALE, tmk_tensor_check(old[i], "A"));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	/* Retired: no later workspace gets it. */
	ws = make("c");
	ASSERT_EQ(0, tmk_workspace_push(ws));
	for (i = 0; i < 1000; i++) {
		t = tensor();
		ASSERT_NE(extent, tmk__handle_slot(t) / TMK__EXTENT_SLOTS);
	}
	EXPECT_EQ(0, tmk_workspace_pop(ws));
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
}

/* Generations grow for ever; sequences are theirs modulo 2^40. */
TEST(generations_beyond_the_sequence)
{
	struct tmk_workspace *ws = make("a");
	struct tmk_workspace_info info;
	struct tmk_tensor *t, *old = NULL;
	struct tmk__cell *cell;
	int i;

	cell = &tmk__handles.cells[TMK__CELL_FIRST + ((uintptr_t)ws >> 44)];
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	for (i = 0; i < 64; i++)
		EXPECT_EQ(0, tmk_workspace_destroy(make("b")));
	/* The next life of this place begins shortly before. */
	cell->gen = TMK__SEQ_MAX - 3;
	ws = make("a");
	ASSERT_TRUE(
		cell ==
		&tmk__handles.cells[TMK__CELL_FIRST + ((uintptr_t)ws >> 44)]);
	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		t = tensor();
		EXPECT_EQ(0, tmk_tensor_check(t, "A"));
		if (old)
			EXPECT_EQ(-ESTALE, tmk_tensor_check(old, "A"));
		old = t;
		ASSERT_EQ(0, tmk_workspace_info(&info, ws));
		EXPECT_EQ(i, info.generation);
		EXPECT_EQ(0, tmk_workspace_pop(ws));
		EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "A"));
	}
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
}

TEST_HARNESS_MAIN
