// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Every operation that takes tensors, with each of its arguments in turn stale,
 * released or NULL while the others are fine: it is refused, the sentence names
 * that argument, and nothing was written or made.
 */
#include "util.h"

#define ARGS_MAX 3
#define N 4

/* What an argument is, besides an f32 matrix. */
enum sort {
	MATRIX = 0,
	ROW, /* f32, one dimension */
	LABELS, /* i32, one dimension */
	OPTIONAL, /* a matrix, or NULL */
};

struct arg {
	const char *name; /* NULL where there is but one: "the tensor" */
	enum sort sort;
};

struct op {
	const char *name;
	int (*run)(struct tmk_tensor **t);
	int nr;
	struct arg args[ARGS_MAX];
};

static struct tmk_workspace *other; /* open, and not innermost */
static struct tmk_tensor *made; /* by an operation that makes one */

#define RUN(name, call)                              \
	static int run_##name(struct tmk_tensor **t) \
	{                                            \
		return call;                         \
	}

RUN(gemm, tmk_gemm(t[0], 1, t[1], false, t[2], false, 0))
RUN(axpy, tmk_axpy(t[0], 1, t[1]))
RUN(fill, tmk_tensor_fill(t[0], 1))
RUN(zero, tmk_tensor_zero(t[0]))
RUN(copy, tmk_tensor_copy(t[0], t[1]))
RUN(add, tmk_tensor_add(t[0], t[1], t[2]))
RUN(mul, tmk_tensor_mul(t[0], t[1], t[2]))
RUN(scale, tmk_tensor_scale(t[0], 2))
RUN(relu, tmk_tensor_relu(t[0], t[1]))
RUN(relu_grad, tmk_tensor_relu_grad(t[0], t[1], t[2]))
RUN(sum_rows, tmk_tensor_sum_rows(t[0], t[1]))
RUN(softmax, tmk_tensor_softmax(t[0], t[1]))
RUN(argmax_rows, tmk_tensor_argmax_rows(t[0], t[1]))
RUN(slice, tmk_tensor_slice(&made, t[0], 0, 0, 1))
RUN(transpose, tmk_tensor_transpose(&made, t[0], 0, 1))
RUN(reshape, tmk_tensor_reshape(&made, t[0], 1, (int64_t[]){ N * N }))
RUN(dup, tmk_tensor_dup(&made, t[0]))
RUN(detach, tmk_tensor_detach(&made, t[0]))
RUN(migrate, tmk_tensor_migrate(&made, t[0], false))
RUN(migrate_or_detach, tmk_tensor_migrate(&made, t[0], true))
RUN(leverage, tmk_tensor_leverage(&made, t[0]))
RUN(leverage_to, tmk_tensor_leverage_to(&made, t[0], other))
RUN(leverage_or_detach, tmk_tensor_leverage_or_detach(&made, t[0], other))
RUN(close, tmk_tensor_close(t[0]))
RUN(check, tmk_tensor_check(t[0], NULL))

static int run_softmax_xent(struct tmk_tensor **t)
{
	float loss = 7;
	int err = tmk_softmax_xent(&loss, t[0], t[1], t[2]);

	return err && loss != 7 ? 1 : err;
}

static const struct op ops[] = {
	{ "gemm", run_gemm, 3, { { "C", 0 }, { "A", 0 }, { "B", 0 } } },
	{ "axpy", run_axpy, 2, { { "y", 0 }, { "x", 0 } } },
	{ "fill", run_fill, 1, { { "t", 0 } } },
	{ "zero", run_zero, 1, { { "t", 0 } } },
	{ "copy", run_copy, 2, { { "dst", 0 }, { "src", 0 } } },
	{ "add", run_add, 3, { { "out", 0 }, { "a", 0 }, { "b", 0 } } },
	{ "mul", run_mul, 3, { { "out", 0 }, { "a", 0 }, { "b", 0 } } },
	{ "scale", run_scale, 1, { { "t", 0 } } },
	{ "relu", run_relu, 2, { { "out", 0 }, { "x", 0 } } },
	{ "relu_grad",
	  run_relu_grad,
	  3,
	  { { "dx", 0 }, { "dy", 0 }, { "x", 0 } } },
	{ "sum_rows", run_sum_rows, 2, { { "out", ROW }, { "x", 0 } } },
	{ "softmax", run_softmax, 2, { { "out", 0 }, { "x", 0 } } },
	{ "argmax_rows", run_argmax_rows, 2, { { "out", LABELS }, { "x", 0 } } },
	{ "softmax_xent",
	  run_softmax_xent,
	  3,
	  { { "dx", OPTIONAL }, { "x", 0 }, { "labels", LABELS } } },
	{ "slice", run_slice, 1, { { "base", 0 } } },
	{ "transpose", run_transpose, 1, { { "base", 0 } } },
	{ "reshape", run_reshape, 1, { { "base", 0 } } },
	{ "dup", run_dup, 1, { { NULL, 0 } } },
	{ "detach", run_detach, 1, { { NULL, 0 } } },
	{ "migrate", run_migrate, 1, { { NULL, 0 } } },
	{ "migrate_or_detach", run_migrate_or_detach, 1, { { NULL, 0 } } },
	{ "leverage", run_leverage, 1, { { NULL, 0 } } },
	{ "leverage_to", run_leverage_to, 1, { { NULL, 0 } } },
	{ "leverage_or_detach", run_leverage_or_detach, 1, { { NULL, 0 } } },
	{ "close", run_close, 1, { { NULL, 0 } } },
	{ "check", run_check, 1, { { NULL, 0 } } },
};

/* In the innermost workspace, all 5 but for labels, which are 0. */
static struct tmk_tensor *tensor(enum sort sort)
{
	const int64_t shape[2] = { N, N };
	struct tmk_tensor *t = NULL;

	if (tmk_tensor_create(&t, sort == LABELS ? TMK_I32 : TMK_F32,
			      sort == ROW || sort == LABELS ? 1 : 2, shape) ||
	    tmk_tensor_fill(t, sort == LABELS ? 0 : 5))
		TH_LOG("%s", tmk_error_last());
	return t;
}

static bool untouched(const struct tmk_tensor *t, enum sort sort)
{
	int64_t i, nr = tmk_tensor_nr(t);
	const int32_t *whole = tmk_tensor_data(t);
	const float *data = tmk_tensor_data(t);

	for (i = 0; i < nr; i++)
		if (sort == LABELS ? whole[i] != 0 : data[i] != 5)
			return false;
	return nr > 0;
}

/* @bad in the place of argument @i. Return: is it refused, and as it must be? */
static bool refused(const struct op *op, int i, struct tmk_tensor *bad, int err)
{
	const char *name = op->args[i].name;
	struct tmk_tensor *t[ARGS_MAX];
	char what[40];
	bool ok;
	int k, met;

	snprintf(what, sizeof(what), "%s%s", name ? "argument " : "the tensor",
		 name ? name : "");
	for (k = 0; k < op->nr; k++)
		t[k] = k == i ? bad : tensor(op->args[k].sort);
	made = NULL;
	met = op->run(t);
	ok = met == err && !made && says(what);
	for (k = 0; k < op->nr; k++)
		ok &= k == i || untouched(t[k], op->args[k].sort);
	if (!ok)
		TH_LOG("%s, argument %d: %d, not %d: %s", op->name, i, met, err,
		       tmk_error_last());
	return ok;
}

static struct tmk_workspace *workspace(const char *id)
{
	struct tmk_workspace *ws = NULL;

	if (tmk_workspace_create(&ws, id, NULL))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

/* How a tensor becomes one that may not be used. */
enum end {
	CLOSED,
	REOPENED,
	RELEASED,
	DESTROYED,
	NEVER,
	END_NR,
};

static struct tmk_tensor *ended(enum sort sort, enum end how)
{
	static unsigned int nr;
	struct tmk_workspace *ws;
	struct tmk_tensor *t;
	char id[16];

	if (how == NEVER)
		return NULL;
	if (how == RELEASED) {
		t = tensor(sort);
		tmk_tensor_put(t);
		return t;
	}
	snprintf(id, sizeof(id), "w%u", nr++);
	ws = workspace(id);
	ASSERT_EQ(0, tmk_workspace_push(ws));
	t = tensor(sort);
	ASSERT_EQ(0, tmk_workspace_pop(ws));
	if (how == REOPENED) {
		ASSERT_EQ(0, tmk_workspace_push(ws));
		tensor(sort);
		/* And it stays open, innermost: all else is made there. */
	}
	if (how == DESTROYED)
		ASSERT_EQ(0, tmk_workspace_destroy(ws));
	return t;
}

/* Every operation and argument with one that ended like this. */
static void all_refuse(enum end how)
{
	struct tmk_workspace *here = workspace("here");
	struct tmk_tensor *bad;
	size_t o;
	int i;

	other = workspace("other");
	ASSERT_EQ(0, tmk_workspace_push(other));
	ASSERT_EQ(0, tmk_workspace_push(here));
	for (o = 0; o < TMK__ARRAY_SIZE(ops); o++) {
		for (i = 0; i < ops[o].nr; i++) {
			if (how == NEVER && ops[o].args[i].sort == OPTIONAL)
				continue;
			bad = ended(ops[o].args[i].sort, how);
			EXPECT_TRUE(refused(&ops[o], i, bad,
					    how == NEVER ? -EINVAL : -ESTALE));
			EXPECT_FALSE(tmk_tensor_is_in_scope(bad));
			EXPECT_FALSE(tmk_tensor_is_closeable(bad));
			EXPECT_EQ(how != NEVER, tmk_tensor_is_attached(bad));
		}
	}
}

TEST(scope_has_ended)
{
	all_refuse(CLOSED);
}

TEST(workspace_was_opened_again)
{
	all_refuse(REOPENED);
}

TEST(tensor_was_released)
{
	all_refuse(RELEASED);
}

TEST(workspace_was_destroyed)
{
	all_refuse(DESTROYED);
}

TEST(argument_is_null)
{
	all_refuse(NEVER);
}

/* With nothing wrong, each of them does something: the table is right. */
TEST(all_work_with_what_is_valid)
{
	struct tmk_workspace *here = workspace("here");
	struct tmk_tensor *t[ARGS_MAX];
	size_t o;
	int k;

	other = workspace("other");
	ASSERT_EQ(0, tmk_workspace_push(other));
	ASSERT_EQ(0, tmk_workspace_push(here));
	for (o = 0; o < TMK__ARRAY_SIZE(ops); o++) {
		for (k = 0; k < ops[o].nr; k++)
			t[k] = tensor(ops[o].args[k].sort);
		if (!strcmp(ops[o].name, "close"))
			ASSERT_EQ(0, tmk_tensor_detach(&t[0], t[0]));
		if (ops[o].run(t)) {
			TH_LOG("%s: %s", ops[o].name, tmk_error_last());
			EXPECT_TRUE(false);
		}
	}
}

TEST_HARNESS_MAIN
