// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Operations that take each element for itself. An output may be the very same
 * tensor as an input, or share nothing with it.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "blas.h"

static float op_add(float a, float b)
{
	return a + b;
}

static float op_mul(float a, float b)
{
	return a * b;
}

/* NaN is not below 0 and stays what it is. */
static float op_relu(float x, float unused)
{
	(void)unused;
	return x < 0 ? 0 : x;
}

static float op_relu_grad(float dy, float x)
{
	return x > 0 ? dy : 0;
}

/* out = f(a, b). Inlined with a constant f, for the compiler to vectorise. */
static inline __attribute__((always_inline)) void map(
	const struct tmk__tensor *out, const struct tmk__tensor *a,
	const struct tmk__tensor *b, float (*f)(float, float))
{
	const struct tmk__tensor *all[] = { out, a, b };
	struct tmk__rows r;
	int64_t i;

	for (tmk__rows_begin(&r, 3, all); r.left; tmk__rows_next(&r)) {
		float *po = (void *)r.at[0];
		const float *pa = (void *)r.at[1], *pb = (void *)r.at[2];

		if (r.step[0] == 1 && r.step[1] == 1 && r.step[2] == 1) {
			for (i = 0; i < r.n; i++)
				po[i] = f(pa[i], pb[i]);
			continue;
		}
		for (i = 0; i < r.n; i++)
			po[i * r.step[0]] =
				f(pa[i * r.step[1]], pb[i * r.step[2]]);
	}
}

/* Is @b one row that fits each row of @a? */
static bool is_row_of(const struct tmk__tensor *b, const struct tmk__tensor *a)
{
	int i;

	if (a->rank < 2 || (b->rank != 1 && b->rank != a->rank) ||
	    b->shape[b->rank - 1] != a->shape[a->rank - 1])
		return false;
	for (i = 0; i < b->rank - 1; i++) {
		if (b->shape[i] != 1)
			return false;
	}
	return true;
}

static int binary_check(struct tmk__tensor *out, const char *out_name,
			struct tmk__tensor *a, const char *a_name,
			struct tmk__tensor *b, const char *b_name)
{
	int err;

	err = tmk__arg_shape(a, a_name, out, out_name);
	if (!err)
		err = tmk__arg_shape(b, b_name, out, out_name);
	if (!err)
		err = tmk__arg_apart_or_same(out, out_name, a, a_name);
	if (!err)
		err = tmk__arg_apart_or_same(out, out_name, b, b_name);
	return err;
}

int tmk_tensor_add(struct tmk_tensor *out_handle,
		   const struct tmk_tensor *a_handle,
		   const struct tmk_tensor *b_handle)
{
	struct tmk__tensor *out, *a, *b;
	int err;

	err = tmk__arg_get(&out, out_handle, "out", TMK_F32);
	if (!err)
		err = tmk__arg_get(&a, a_handle, "a", TMK_F32);
	if (!err)
		err = tmk__arg_get(&b, b_handle, "b", TMK_F32);
	if (err)
		return err;
	if (is_row_of(b, a) && !tmk__tensor_same_shape(a, b)) {
		err = tmk__arg_shape(a, "a", out, "out");
		if (!err)
			err = tmk__arg_apart_or_same(out, "out", a, "a");
		if (!err)
			err = tmk__arg_apart(out, "out", b, "b");
	} else {
		err = binary_check(out, "out", a, "a", b, "b");
	}
	if (!err)
		map(out, a, b, op_add);
	return err;
}

int tmk_tensor_mul(struct tmk_tensor *out_handle,
		   const struct tmk_tensor *a_handle,
		   const struct tmk_tensor *b_handle)
{
	struct tmk__tensor *out, *a, *b;
	int err;

	err = tmk__arg_get(&out, out_handle, "out", TMK_F32);
	if (!err)
		err = tmk__arg_get(&a, a_handle, "a", TMK_F32);
	if (!err)
		err = tmk__arg_get(&b, b_handle, "b", TMK_F32);
	if (!err)
		err = binary_check(out, "out", a, "a", b, "b");
	if (!err)
		map(out, a, b, op_mul);
	return err;
}

int tmk_tensor_relu(struct tmk_tensor *out_handle,
		    const struct tmk_tensor *x_handle)
{
	struct tmk__tensor *out, *x;
	int err;

	err = tmk__arg_get(&out, out_handle, "out", TMK_F32);
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = binary_check(out, "out", x, "x", x, "x");
	if (!err)
		map(out, x, x, op_relu);
	return err;
}

int tmk_tensor_relu_grad(struct tmk_tensor *dx_handle,
			 const struct tmk_tensor *dy_handle,
			 const struct tmk_tensor *x_handle)
{
	struct tmk__tensor *dx, *dy, *x;
	int err;

	err = tmk__arg_get(&dx, dx_handle, "dx", TMK_F32);
	if (!err)
		err = tmk__arg_get(&dy, dy_handle, "dy", TMK_F32);
	if (!err)
		err = tmk__arg_get(&x, x_handle, "x", TMK_F32);
	if (!err)
		err = binary_check(dx, "dx", dy, "dy", x, "x");
	if (!err)
		map(dx, dy, x, op_relu_grad);
	return err;
}

int tmk_tensor_scale(struct tmk_tensor *handle, float alpha)
{
	const struct tmk__tensor *one[1];
	struct tmk__tensor *t;
	struct tmk__rows r;
	int64_t i;
	int err;

	err = tmk__arg_get(&t, handle, "t", TMK_F32);
	if (err)
		return err;
	one[0] = t;
	for (tmk__rows_begin(&r, 1, one); r.left; tmk__rows_next(&r)) {
		float *p = (void *)r.at[0];

		for (i = 0; i < r.n; i++)
			p[i * r.step[0]] *= alpha;
	}
	return 0;
}

/* Every element is 4 bytes: f32 and i32 are filled by their bit pattern. */
static void fill_bits(const struct tmk__tensor *t, uint32_t bits)
{
	const struct tmk__tensor *one[] = { t };
	struct tmk__rows r;
	int64_t i;

	for (tmk__rows_begin(&r, 1, one); r.left; tmk__rows_next(&r)) {
		for (i = 0; i < r.n; i++)
			memcpy(r.at[0] + i * r.step[0] * 4, &bits, 4);
	}
}

int tmk_tensor_fill(struct tmk_tensor *handle, double value)
{
	struct tmk__tensor *t;
	float f32 = (float)value;
	uint32_t bits;
	int32_t i32;
	int err;

	err = tmk__arg_get(&t, handle, "t", 0);
	if (err)
		return err;
	if (t->dtype == TMK_F32) {
		memcpy(&bits, &f32, sizeof(bits));
	} else if (t->dtype == TMK_I32) {
		if (!(value >= INT32_MIN && value <= INT32_MAX) ||
		    value != trunc(value))
			return tmk__error(-ERANGE,
					  "%g cannot be an element of t, which "
					  "is i32",
					  value);
		i32 = (int32_t)value;
		memcpy(&bits, &i32, sizeof(bits));
	} else {
		return tmk__error(-EINVAL, "t is %s, must be f32 or i32",
				  tmk_dtype_name(t->dtype));
	}
	fill_bits(t, bits);
	return 0;
}

int tmk_tensor_zero(struct tmk_tensor *handle)
{
	const struct tmk__tensor *one[1];
	struct tmk__tensor *t;
	struct tmk__rows r;
	int64_t i, size;
	int err;

	err = tmk__arg_get(&t, handle, "t", 0);
	if (err)
		return err;
	size = (int64_t)tmk_dtype_bytes(t->dtype);
	one[0] = t;
	for (tmk__rows_begin(&r, 1, one); r.left; tmk__rows_next(&r)) {
		if (r.step[0] == 1) {
			memset(r.at[0], 0, (size_t)(r.n * size));
			continue;
		}
		for (i = 0; i < r.n; i++)
			memset(r.at[0] + i * r.step[0] * size, 0, (size_t)size);
	}
	return 0;
}

int tmk_tensor_copy(struct tmk_tensor *dst_handle,
		    const struct tmk_tensor *src_handle)
{
	struct tmk__tensor *dst, *src;
	int err;

	err = tmk__arg_get(&dst, dst_handle, "dst", 0);
	if (!err)
		err = tmk__arg_get(&src, src_handle, "src", dst->dtype);
	if (!err)
		err = tmk__arg_shape(src, "src", dst, "dst");
	if (!err)
		err = tmk__arg_apart_or_same(dst, "dst", src, "src");
	if (!err && !tmk__tensor_same_place(dst, src))
		tmk__tensor_copy(dst, src);
	return err;
}
