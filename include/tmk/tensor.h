/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Tensors: a type, a shape and strides over memory that a workspace or a
 * region owns.
 *
 * A new tensor goes to the innermost open workspace of the thread, or into a
 * region of its own if none is open. A tensor of a workspace is valid until
 * the scope that it was made in ends: later use is detected and gives -ESTALE.
 * Handles of workspace tensors live as long as their memory and need no
 * tmk_tensor_put(); dropping them early is allowed.
 *
 * A struct tmk_tensor * is a handle and no address. It is told from every
 * other one that ever was, however often its memory was reused: a tensor whose
 * scope has ended, whose workspace is destroyed or that was put for the last
 * time is refused with -ESTALE by every function here, in every build. (A ring
 * keeps its tensors valid beyond the scope, until their memory is handed out
 * again.) Any
 * thread may use a tensor while its scope is open; only the workspace's own
 * thread may make views of it (-EPERM).
 *
 * A tensor with a region of its own takes whole pages: base pages, or huge
 * ones where rounding up to 2 MiB adds at most an eighth. Many small long-lived
 * tensors are better made over one region with tmk_tensor_from_region().
 */
#ifndef TMK_TENSOR_H
#define TMK_TENSOR_H

#include <tmk/base.h>
#include <tmk/region.h>
#include <tmk/workspace.h>

#define TMK_RANK_MAX 8

enum tmk_dtype {
	TMK_F32 = 1,
	TMK_F64,
	TMK_F16,
	TMK_BF16,
	TMK_I64,
	TMK_I32,
	TMK_I16,
	TMK_I8,
	TMK_U8,
	TMK_BOOL,
	TMK_C64,
	TMK_C128,
};

struct tmk_tensor;

/** tmk_dtype_bytes() - size of one element, 0 for an unknown type */
TMK_API size_t tmk_dtype_bytes(enum tmk_dtype dtype);

/** tmk_dtype_name() - "f32", "i32", ... or "?" */
TMK_API const char *tmk_dtype_name(enum tmk_dtype dtype);

/**
 * tmk_tensor_create() - a dense row-major tensor in the current workspace
 * @out: the tensor
 * @dtype: element type
 * @rank: 0..TMK_RANK_MAX
 * @shape: @rank sizes, each not negative
 *
 * Its elements are not initialised; see tmk_tensor_zero().
 *
 * Any type can be held, viewed and copied; functions that compute say which
 * ones they take.
 *
 * Return: 0; -EINVAL; -EOVERFLOW; what tmk_workspace_alloc() or tmk_region_create() return.
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_create(struct tmk_tensor **out,
					     enum tmk_dtype dtype, int rank,
					     const int64_t *shape);

/**
 * tmk_tensor_create_in() - the same in a given place
 * @ws: an open workspace; or NULL for a region of its own (detached)
 * @opts: for a region of its own: its kind; NULL = by size. NULL with @ws
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_create_in(
	struct tmk_tensor **out, struct tmk_workspace *ws,
	const struct tmk_region_opts *opts, enum tmk_dtype dtype, int rank,
	const int64_t *shape);

/**
 * tmk_tensor_from_region() - a tensor over part of a region
 * @region: takes a reference
 * @offset: first byte, a multiple of the element size
 *
 * Return: 0; -EINVAL; -ERANGE if it does not fit.
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_from_region(
	struct tmk_tensor **out, struct tmk_region *region, size_t offset,
	enum tmk_dtype dtype, int rank, const int64_t *shape);

/**
 * tmk_tensor_slice() - a view of a range of one dimension
 * @out: the view; it keeps the base's memory, its scope and its generation
 * @base: what to look at
 * @dim: which dimension
 * @begin: first index
 * @end: one past the last index
 *
 * Return: 0; -EINVAL; -ERANGE; -ESTALE.
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_slice(struct tmk_tensor **out,
					    struct tmk_tensor *base, int dim,
					    int64_t begin, int64_t end);

/** tmk_tensor_transpose() - a view with two dimensions exchanged; as slice */
TMK_API TMK_MUST_CHECK int tmk_tensor_transpose(struct tmk_tensor **out,
						struct tmk_tensor *base, int a,
						int b);

/**
 * tmk_tensor_reshape() - a view of a dense tensor with another shape
 *
 * Return: 0; -EINVAL, also if @base is not dense; -EOVERFLOW; -ESTALE.
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_reshape(struct tmk_tensor **out,
					      struct tmk_tensor *base, int rank,
					      const int64_t *shape);

/**
 * tmk_tensor_dup() - a dense copy in the current workspace
 * Return: 0, -ESTALE, or as tmk_tensor_create().
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_dup(struct tmk_tensor **out,
					  struct tmk_tensor *tensor);

/**
 * tmk_tensor_detach() - a dense copy outside of all workspaces; a detached
 * tensor is returned as it is with one more reference
 *
 * Return: 0, -ESTALE, or as tmk_tensor_create().
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_detach(struct tmk_tensor **out,
					     struct tmk_tensor *tensor);

/**
 * tmk_tensor_migrate() - bring it into the current workspace
 * @out: a dense copy there, also of a detached tensor; the tensor as it is, with
 *	one more reference, if it is there already or no workspace is current
 * @tensor: any
 * @detach: detach it if no workspace is current
 *
 * Return: 0, -ESTALE, or as tmk_tensor_create().
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_migrate(struct tmk_tensor **out,
					      struct tmk_tensor *tensor,
					      bool detach);

/**
 * tmk_tensor_leverage() - hand it up to the workspace that was current when the
 * current one was opened
 * @out: a dense copy there, or detached if there is none; the tensor as it is,
 *	with one more reference, if it is there already or detached
 * @tensor: any
 *
 * Return: 0, -ESTALE, or as tmk_tensor_create().
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_leverage(struct tmk_tensor **out,
					       struct tmk_tensor *tensor);

/**
 * tmk_tensor_leverage_to() - bring it into a given open workspace
 * @out: a dense copy there; the tensor as it is, with one more reference, if it
 *	is there already or detached
 * @tensor: any
 * @ws: of this thread, or shared
 *
 * Return: 0; -ESTALE for the tensor or the workspace; -EPERM; -ENOTCONN if this
 * thread has not opened @ws; or as tmk_tensor_create().
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_leverage_to(struct tmk_tensor **out,
						  struct tmk_tensor *tensor,
						  struct tmk_workspace *ws);

/**
 * tmk_tensor_leverage_or_detach() - as leverage_to if this thread has @ws open,
 * else as detach
 *
 * Return: 0, -ESTALE, or as tmk_tensor_create().
 */
TMK_API TMK_MUST_CHECK int tmk_tensor_leverage_or_detach(
	struct tmk_tensor **out, struct tmk_tensor *tensor,
	struct tmk_workspace *ws);

/**
 * tmk_tensor_close() - give its memory back now, whoever has references
 * @tensor: detached, and the one that its memory was made for
 *
 * It and all views of it are stale afterwards.
 *
 * Return: 0; -EINVAL for a view, a tensor of a workspace (its memory goes with
 * the scope) and one over a region; -ESTALE.
 */
TMK_API int tmk_tensor_close(struct tmk_tensor *tensor);

/** tmk_tensor_is_closeable() - could it be closed? false if stale */
TMK_API bool tmk_tensor_is_closeable(const struct tmk_tensor *tensor);

/** tmk_tensor_get() - take a reference. Return: @tensor. */
TMK_API struct tmk_tensor *tmk_tensor_get(struct tmk_tensor *tensor);

/** tmk_tensor_put() - drop a reference; NULL and stale ones are allowed */
TMK_API void tmk_tensor_put(struct tmk_tensor *tensor);

/** tmk_tensor_is_attached() - its memory is of a workspace, or was if stale */
TMK_API bool tmk_tensor_is_attached(const struct tmk_tensor *tensor);

/** tmk_tensor_is_in_scope() - it may be used now: tmk_tensor_check() without words */
TMK_API bool tmk_tensor_is_in_scope(const struct tmk_tensor *tensor);

/** tmk_tensor_workspace() - that workspace, or NULL (also if destroyed) */
TMK_API struct tmk_workspace *tmk_tensor_workspace(
	const struct tmk_tensor *tensor);

/**
 * tmk_tensor_check() - is it valid now?
 * @tensor: the tensor
 * @name: what to call it in the sentence, for example "A"
 *
 * Return: 0; -EINVAL for NULL and for what never was a tensor; -ESTALE with a
 * sentence naming the argument, the workspace, the generation that the tensor
 * is of and the one met.
 */
TMK_API int tmk_tensor_check(const struct tmk_tensor *tensor, const char *name);

/**
 * tmk_tensor_data() - its first element, or NULL with the sentence set if the
 * tensor is stale
 */
TMK_API void *tmk_tensor_data(const struct tmk_tensor *tensor);

/** tmk_tensor_dtype() - its element type, 0 if stale */
TMK_API enum tmk_dtype tmk_tensor_dtype(const struct tmk_tensor *tensor);
/** tmk_tensor_rank() - how many dimensions, -ESTALE or -EINVAL if stale */
TMK_API int tmk_tensor_rank(const struct tmk_tensor *tensor);
/** tmk_tensor_shape() - its sizes, tmk_tensor_rank() of them, NULL if stale */
TMK_API const int64_t *tmk_tensor_shape(const struct tmk_tensor *tensor);
/** tmk_tensor_strides() - its strides in elements, NULL if stale */
TMK_API const int64_t *tmk_tensor_strides(const struct tmk_tensor *tensor);
/** tmk_tensor_nr() - how many elements, -ESTALE or -EINVAL if stale */
TMK_API int64_t tmk_tensor_nr(const struct tmk_tensor *tensor);
/** tmk_tensor_is_dense() - row-major without gaps; false if stale */
TMK_API bool tmk_tensor_is_dense(const struct tmk_tensor *tensor);

#endif /* TMK_TENSOR_H */
