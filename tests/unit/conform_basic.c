// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Conformance with ND4J's workspaces: BasicWorkspaceTests, cases B-01 to B-33.
 * See conform.h. B-34 needs a device.
 */
#include <errno.h>

#include "conform.h"

TEST(B_01_cold)
{
	struct tmk_tensor *t = doubles(10, 0);

	set_all(t, 1);
	EXPECT_EQ(10, (int)sum(t));
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	EXPECT_TRUE(!tmk_workspace_current());
	tmk_tensor_put(t);
}

TEST(B_02_min_size_is_for_the_learned_block)
{
	struct tmk_workspace_opts o = learned(1);
	struct tmk_workspace *ws;

	o.min_bytes = TEN_MIB;
	ws = make("w", o);
	enter(ws);
	doubles(100, 0);
	EXPECT_EQ(0, in(ws).size);
	leave(ws);
	enter(ws);
	doubles(100, 0);
	EXPECT_EQ(TEN_MIB, in(ws).size);
	EXPECT_EQ(800, in(ws).offset);
	EXPECT_EQ(800, in(ws).block);
	leave(ws);
}

TEST(B_03_tensor_that_leaves_its_scope_stays_attached_and_is_stale)
{
	struct tmk_workspace *ws = make("EXT", opts_bc());
	struct tmk_tensor *t;

	enter(ws);
	t = doubles(10, 1);
	leave(ws);
	EXPECT_TRUE(tmk_tensor_is_attached(t));
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
}

static int leaves_early(struct tmk_workspace *ws)
{
	TMK_WORKSPACE_SCOPE(ws) {
		doubles(10, 1);
		return 1;
	}
	return 0;
}

TEST(B_04_leaving_early_closes_the_scope)
{
	struct tmk_workspace *ws = make("w", opts_bc());

	EXPECT_EQ(1, leaves_early(ws));
	EXPECT_TRUE(!tmk_workspace_current());
	EXPECT_EQ(1, in(ws).cycles);
}

TEST(B_05_leverage_of_a_view)
{
	struct tmk_workspace *ext = make("EXT", opts_bc());
	struct tmk_workspace *inner = make("INT", opts_bc());
	int64_t shape[3] = { 32, 1, 40 }, nr = 40;
	struct tmk_tensor *t, *view, *copy;

	enter(ext);
	enter(inner);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F64, 3, shape));
	set_all(t, 0);
	ASSERT_EQ(0, tmk_tensor_slice(&view, t, 0, 3, 4));
	ASSERT_EQ(0, tmk_tensor_reshape(&view, view, 1, &nr));
	set_all(view, 1);
	EXPECT_EQ(40, (int)sum(view));
	EXPECT_EQ(40, (int)sum(t));
	ASSERT_EQ(0, tmk_tensor_leverage_to(&copy, view, ext));
	leave(inner);
	EXPECT_EQ(40, (int)sum(copy));
	EXPECT_TRUE(tmk_tensor_workspace(copy) == ext);
	leave(ext);
}

TEST(B_06_leverage_to_a_workspace_without_a_block)
{
	struct tmk_workspace *ext = make("EXT", opts_lt());
	struct tmk_workspace *inner = make("INT", opts_bc());
	struct tmk_tensor *t, *copy;

	enter(ext);
	enter(inner);
	t = doubles(5, 3);
	ASSERT_EQ(0, tmk_tensor_leverage_to(&copy, t, ext));
	EXPECT_EQ(0, in(ext).size);
	EXPECT_EQ(48, in(ext).spilled_bytes);
	set_all(t, 0);
	leave(inner);
	EXPECT_EQ(15, (int)sum(copy));
	enter(inner);
	doubles(100, 7);
	leave(inner);
	EXPECT_EQ(15, (int)sum(copy));
	EXPECT_EQ(0, in(ext).size);
	leave(ext);
	EXPECT_EQ(0, in(ext).size);
}

TEST(B_07_leverage_to_moves_the_offset)
{
	struct tmk_workspace *ext = make("EXT", opts_bc());
	struct tmk_workspace *inner = make("INT", opts_bc());
	struct tmk_tensor *t, *copy;

	enter(ext);
	doubles(5, 1);
	EXPECT_EQ(48, in(ext).offset);
	enter(inner);
	t = doubles(5, 2);
	EXPECT_EQ(48, in(inner).offset);
	ASSERT_EQ(0, tmk_tensor_leverage_to(&copy, t, ext));
	EXPECT_EQ(96, in(ext).offset);
	leave(inner);
	EXPECT_EQ(10, (int)sum(copy));
	leave(ext);
}

TEST(B_08_scope_out)
{
	struct tmk_workspace *ext = make("EXT", opts_bc());
	struct tmk_tensor *t, *out = NULL;

	enter(ext);
	t = doubles(5, 1);
	EXPECT_EQ(48, in(ext).offset);
	TMK_WORKSPACE_SCOPE_OUT()
	{
		EXPECT_TRUE(!tmk_workspace_current());
		out = doubles(5, 5);
		EXPECT_FALSE(tmk_tensor_is_attached(out));
	}
	EXPECT_TRUE(tmk_workspace_current() == ext);
	EXPECT_EQ(48, in(ext).offset);
	doubles(5, 1);
	EXPECT_EQ(96, in(ext).offset);
	EXPECT_EQ(30, (int)(sum(t) + sum(out)));
	leave(ext);
	tmk_tensor_put(out);
}

TEST(B_09_leverage_to_the_parent)
{
	struct tmk_workspace *ext = make("EXT", opts_bc());
	struct tmk_workspace *inner = make("INT", opts_bc());
	struct tmk_tensor *t, *copy;

	enter(ext);
	EXPECT_EQ(0, in(ext).offset);
	enter(inner);
	t = doubles(5, 3);
	EXPECT_EQ(48, in(inner).offset);
	EXPECT_EQ(0, in(ext).offset);
	ASSERT_EQ(0, tmk_tensor_leverage(&copy, t));
	EXPECT_EQ(48, in(inner).offset);
	EXPECT_EQ(48, in(ext).offset);
	EXPECT_TRUE(tmk_tensor_is_attached(copy));
	leave(inner);
	EXPECT_EQ(15, (int)sum(copy));
	leave(ext);
}

TEST(B_10_permuted_and_made_dense)
{
	static const enum tmk_dtype dtypes[] = { TMK_F32, TMK_F64 };
	static const int64_t shape[4] = { 50, 64, 8, 8 };
	static const int64_t strides[4] = { 3200, 64, 8, 1 };
	struct tmk_workspace *ws = make("w", base());
	struct tmk_tensor *t, *view, *dense;
	size_t i;

	for (i = 0; i < 2; i++) {
		enter(ws);
		ASSERT_EQ(0, tmk_tensor_create(&t, dtypes[i], 4, shape));
		ASSERT_EQ(0, tmk_tensor_transpose(&view, t, 0, 1));
		EXPECT_FALSE(tmk_tensor_is_dense(view));
		ASSERT_EQ(0, tmk_tensor_dup(&dense, view));
		EXPECT_TRUE(!memcmp(strides, tmk_tensor_strides(dense),
				    sizeof(strides)));
		leave(ws);
	}
}

TEST(B_11_create_detached)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t, *out, *scalar;
	int64_t n = 5;

	enter(ws);
	t = doubles(5, 1);
	EXPECT_EQ(48, in(ws).offset);
	ASSERT_EQ(0, tmk_tensor_create_in(&out, NULL, NULL, TMK_F64, 1, &n));
	EXPECT_EQ(48, in(ws).offset);
	EXPECT_FALSE(tmk_tensor_is_attached(out));
	set_all(out, 1);
	EXPECT_TRUE(!memcmp(tmk_tensor_data(t), tmk_tensor_data(out), 40));
	ASSERT_EQ(0,
		  tmk_tensor_create_in(&scalar, NULL, NULL, TMK_F64, 0, NULL));
	EXPECT_EQ(1, tmk_tensor_nr(scalar));
	leave(ws);
	tmk_tensor_put(out);
	tmk_tensor_put(scalar);
}

TEST(B_12_detach)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t, *copy;

	enter(ws);
	t = doubles(5, 3);
	EXPECT_EQ(48, in(ws).offset);
	ASSERT_EQ(0, tmk_tensor_detach(&copy, t));
	EXPECT_EQ(48, in(ws).offset);
	EXPECT_FALSE(tmk_tensor_is_attached(copy));
	EXPECT_TRUE(tmk_tensor_is_in_scope(copy));
	leave(ws);
	EXPECT_EQ(15, (int)sum(copy));
	tmk_tensor_put(copy);
}

TEST(B_13_in_scope)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t;

	enter(ws);
	t = doubles(5, 3);
	EXPECT_TRUE(tmk_tensor_is_in_scope(t));
	leave(ws);
	EXPECT_FALSE(tmk_tensor_is_in_scope(t));
}

TEST(B_14_in_scope_while_learning)
{
	struct tmk_workspace *ws = make("w", opts_lf());
	struct tmk_tensor *t;

	enter(ws);
	t = doubles(100, 0);
	EXPECT_TRUE(tmk_tensor_is_in_scope(t));
	EXPECT_EQ(0, in(ws).size);
	leave(ws);
	enter(ws);
	t = doubles(100, 0);
	EXPECT_EQ(800, in(ws).offset);
	leave(ws);
	EXPECT_FALSE(tmk_tensor_is_in_scope(t));
}

TEST(B_15_attached_although_spilled)
{
	struct tmk_workspace *ws = make("w", opts_lf());
	struct tmk_tensor *t;

	enter(ws);
	EXPECT_TRUE(tmk_tensor_is_attached(doubles(100, 0)));
	EXPECT_EQ(1, in(ws).spilled_count);
	leave(ws);
	t = doubles(100, 0);
	EXPECT_FALSE(tmk_tensor_is_attached(t));
	tmk_tensor_put(t);
}

TEST(B_16_detached_stays_detached)
{
	struct tmk_workspace *lf = make("LF", opts_lf());
	struct tmk_workspace *bc = make("BC", opts_bc());
	struct tmk_tensor *t = doubles(100, 1), *same;

	enter(lf);
	ASSERT_EQ(0, tmk_tensor_leverage_to(&same, t, lf));
	EXPECT_FALSE(tmk_tensor_is_attached(same));
	tmk_tensor_put(same);
	leave(lf);
	ASSERT_EQ(0, tmk_tensor_leverage_to(&same, t, bc));
	EXPECT_TRUE(same == t);
	EXPECT_FALSE(tmk_tensor_is_attached(same));
	tmk_tensor_put(same);
	EXPECT_EQ(100, (int)sum(t));
	tmk_tensor_put(t);
}

TEST(B_17_overallocation_of_the_initial_size)
{
	struct tmk_workspace_opts o = learned(1);

	o.initial_bytes = 1024;
	o.max_bytes = TEN_MIB;
	o.learning = TMK_WS_LEARN_NONE;
	EXPECT_EQ(2048, in(make("w", o)).size);
}

TEST(B_18_overallocation_of_what_was_learned)
{
	struct tmk_workspace *ws = make("w", learned(1));

	EXPECT_EQ(0, in(ws).size);
	cycle_of(ws, 800);
	EXPECT_EQ(1600, in(ws).size);
}

TEST(B_21_loop4)
{
	struct tmk_workspace *ws = make("w", opts_lf());

	enter(ws);
	doubles(100, 0);
	doubles(100, 0);
	EXPECT_EQ(0, in(ws).offset);
	leave(ws);
	EXPECT_EQ(0, in(ws).offset);
	EXPECT_EQ(1600, in(ws).size);
	enter(ws);
	doubles(100, 0);
	EXPECT_EQ(800, in(ws).offset);
	leave(ws);
	EXPECT_EQ(0, in(ws).offset);
}

TEST(B_23_over_time_by_hand)
{
	struct tmk_workspace *ws = make("w", opts_lt());
	int x;

	for (x = 1; x <= 100; x++) {
		cycle_of(ws, 8 * x);
		EXPECT_EQ(0, in(ws).size);
		EXPECT_EQ(0, in(ws).offset);
	}
	EXPECT_EQ(0, tmk_workspace_initialize(ws));
	EXPECT_EQ(800, in(ws).size);
	enter(ws);
	doubles(10, 0);
	EXPECT_EQ(80, in(ws).offset);
	leave(ws);
}

TEST(B_25_allocation1_values)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t;

	enter(ws);
	t = doubles(5, 3);
	EXPECT_EQ(48, in(ws).offset);
	EXPECT_EQ(15, (int)sum(t));
	leave(ws);
}

TEST(B_25_allocation2_in_scope_macro)
{
	struct tmk_workspace *ws = make("w", opts_bc());

	TMK_WORKSPACE_SCOPE(ws) {
		EXPECT_EQ(15, (int)sum(doubles(5, 3)));
		EXPECT_EQ(48, in(ws).offset);
	}
	EXPECT_EQ(0, in(ws).offset);
}

TEST(B_25_allocation3_added_in_place)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *a, *b;
	int64_t n = 5;

	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&a, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_tensor_create(&b, TMK_F32, 1, &n));
	ASSERT_EQ(0, tmk_tensor_fill(a, 3));
	ASSERT_EQ(0, tmk_tensor_fill(b, 3));
	EXPECT_EQ(64, in(ws).offset);
	ASSERT_EQ(0, tmk_tensor_add(a, a, b));
	EXPECT_EQ(64, in(ws).offset);
	EXPECT_EQ(6, (int)((float *)tmk_tensor_data(a))[4]);
	leave(ws);
}

TEST(B_27_dup)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t, *copy;

	enter(ws);
	t = doubles(5, 1);
	EXPECT_EQ(48, in(ws).offset);
	ASSERT_EQ(0, tmk_tensor_dup(&copy, t));
	EXPECT_EQ(96, in(ws).offset);
	EXPECT_EQ(5, (int)sum(copy));
	leave(ws);
}

TEST(B_28_dup_of_more)
{
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *copy;

	enter(ws);
	ASSERT_EQ(0, tmk_tensor_dup(&copy, doubles(1000, 1)));
	EXPECT_EQ(16000, in(ws).offset);
	leave(ws);
}

static struct tmk_workspace_opts in_file(uint64_t initial)
{
	struct tmk_workspace_opts o = base();

	o.initial_bytes = initial;
	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	return o;
}

TEST(B_29_file_keeps_its_contents)
{
	struct tmk_workspace *ws = make("w", in_file(1000000));
	struct tmk_tensor *t;
	int64_t n = 100;

	EXPECT_EQ(1000000, in(ws).size);
	enter(ws);
	doubles(100, 10);
	leave(ws);
	enter(ws);
	ASSERT_EQ(0, tmk_tensor_create(&t, TMK_F64, 1, &n));
	EXPECT_EQ(1000, (int)sum(t));
	leave(ws);
}

TEST(B_30_file_that_exists)
{
	struct tmk_workspace_opts o = in_file(0);
	char path[TEMP_PATH];
	struct tmk_workspace *ws;
	int fd = temp_file(path);

	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(0, ftruncate(fd, 114688));
	o.path = path;
	ws = make("w", o);
	EXPECT_EQ(114688, in(ws).size);
	enter(ws);
	doubles(5, 1);
	EXPECT_EQ(48, in(ws).offset);
	EXPECT_EQ(0, in(ws).spilled_count);
	leave(ws);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	unlink(path);
	close(fd);
}

/* All ten operations on a tensor that may not be used. */
static int all_refuse(struct tmk_tensor *t, struct tmk_workspace *ws,
		      struct tmk_workspace *other)
{
	struct tmk_tensor *out = NULL;
	int64_t nr = 1;
	int ok = 0;

	ok += tmk_tensor_leverage_to(&out, t, ws) == -ESTALE;
	ok += tmk_tensor_detach(&out, t) == -ESTALE;
	ok += tmk_tensor_migrate(&out, t, true) == -ESTALE;
	ok += tmk_tensor_dup(&out, t) == -ESTALE;
	ok += tmk_tensor_reshape(&out, t, 1, &nr) == -ESTALE;
	ok += tmk_tensor_close(t) == -ESTALE;
	enter(other);
	ok += tmk_tensor_leverage(&out, t) == -ESTALE;
	ok += tmk_tensor_leverage_or_detach(&out, t, ws) == -ESTALE;
	ok += tmk_tensor_migrate(&out, t, false) == -ESTALE;
	ok += tmk_tensor_dup(&out, t) == -ESTALE;
	leave(other);
	return out ? -1 : ok;
}

TEST(B_31_nothing_works_after_the_scope)
{
	struct tmk_workspace *other = make("other", opts_bc());
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t = NULL;
	int i;

	for (i = 0; i < 10; i++) {
		enter(ws);
		t = doubles(1, i);
		leave(ws);
	}
	EXPECT_EQ(10, all_refuse(t, ws, other));
	EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
	EXPECT_TRUE(says("argument t"));
	EXPECT_TRUE(says("\"w\" is at generation 10 (closed)"));
	EXPECT_TRUE(says("made in 10"));
}

TEST(B_32_nothing_works_in_a_later_generation)
{
	struct tmk_workspace *other = make("other", opts_bc());
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_tensor *t = NULL, *now;
	int i;

	for (i = 1; i <= 4; i++) {
		enter(ws);
		now = doubles(1, i);
		if (i == 3)
			t = now;
		if (i == 4) {
			EXPECT_EQ(10, all_refuse(t, ws, other));
			EXPECT_EQ(-ESTALE, tmk_tensor_check(t, "t"));
			EXPECT_TRUE(says("at generation 4, it was made in 3"));
			EXPECT_EQ(0, tmk_tensor_check(now, "now"));
		}
		leave(ws);
	}
}

TEST(B_33_moving_keeps_the_type)
{
	static const enum tmk_dtype dtypes[] = { TMK_F64, TMK_F32, TMK_F16 };
	struct tmk_workspace *ws = make("w", opts_bc());
	struct tmk_workspace *inner = make("inner", opts_bc());
	struct tmk_tensor *t, *copy;
	int64_t n = 3;
	size_t i;

	for (i = 0; i < 3; i++) {
		enter(ws);
		enter(inner);
		ASSERT_EQ(0, tmk_tensor_create(&t, dtypes[i], 1, &n));
		ASSERT_EQ(0, tmk_tensor_leverage_to(&copy, t, ws));
		EXPECT_EQ(dtypes[i], tmk_tensor_dtype(copy));
		EXPECT_TRUE(tmk_tensor_is_attached(copy));
		ASSERT_EQ(0, tmk_tensor_detach(&copy, t));
		EXPECT_EQ(dtypes[i], tmk_tensor_dtype(copy));
		tmk_tensor_put(copy);
		leave(inner);
		leave(ws);
	}
}

TEST_HARNESS_MAIN
