/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Workspaces: memory for work that comes in cycles. A workspace learns in its
 * first cycle how much one cycle needs; from then on an allocation is a bounds
 * check and an add, and closing the scope gives everything back at once.
 *
 *	struct tmk_workspace *ws;
 *
 *	if (tmk_workspace_create(&ws, "step", NULL))
 *		errx(1, "%s", tmk_error_last());
 *	for (int i = 0; i < steps; i++) {
 *		TMK_WORKSPACE_SCOPE(ws) {
 *			struct tmk_tensor *x;
 *
 *			tmk_tensor_create(&x, TMK_F32, 2, shape);
 *			...
 *		}
 *	}
 *	tmk_workspace_destroy(ws);
 *
 * Scopes are a stack per thread. A workspace belongs to the thread that
 * created it unless it was created shared: other threads are refused with
 * -EPERM. When its thread exits it is destroyed, open or not.
 *
 * One that was created with TMK_WS_F_SHARED belongs to the process. Any thread
 * may open it, several at a time: its cycle begins when the first one opens it and
 * ends when the last one closes it, and until then the tensors in it are valid in
 * all threads. It lives until it is destroyed. A thread that exits closes it.
 *
 * A destroyed workspace is gone: its handle gives -ESTALE for ever, also when
 * other workspaces have been created since. A handle is no address.
 *
 * After fork() the parent's workspaces are the parent's: the child is refused
 * with -EPERM and finds the tensors in them stale. It may create its own.
 *
 * A scope that is left by longjmp() stays open. If it was opened with
 * TMK_WORKSPACE_SCOPE, the thread's next scope is refused with -EBUSY until it
 * has been closed with tmk_workspace_pop(); or the macro's next scope further out
 * ends and closes it with itself.
 */
#ifndef TMK_WORKSPACE_H
#define TMK_WORKSPACE_H

#include <tmk/base.h>
#include <tmk/region.h>

struct tmk_workspace;

enum tmk_ws_allocation {
	TMK_WS_OVERALLOCATE = 0, /* learned size x (1 + limit) */
	TMK_WS_STRICT, /* exactly the learned size */
};

enum tmk_ws_spill {
	TMK_WS_SPILL_EXTERNAL = 0, /* beside the block until the scope ends */
	TMK_WS_SPILL_REALLOCATE, /* and grow the block at the scope's end */
	TMK_WS_SPILL_FAIL, /* -ENOMEM once a block exists */
};

enum tmk_ws_learning {
	TMK_WS_LEARN_FIRST_LOOP = 0, /* size from the first non-empty cycle */
	TMK_WS_LEARN_OVER_TIME, /* size from the largest of N cycles */
	TMK_WS_LEARN_NONE, /* initial_bytes, for ever */
};

enum tmk_ws_reset {
	TMK_WS_RESET_BLOCK_LEFT = 0, /* offset returns to 0 with each scope */
	TMK_WS_RESET_ENDOFBUFFER, /* ring: offset runs on and wraps */
};

enum tmk_ws_mirroring {
	TMK_WS_MIRROR_FULL = 0,
	TMK_WS_MIRROR_HOST_ONLY,
};

enum tmk_ws_location {
	TMK_WS_LOCATION_RAM = 0,
	TMK_WS_LOCATION_FILE,
};

enum tmk_ws_debug {
	TMK_WS_DEBUG_DISABLED = 0,
	TMK_WS_DEBUG_SPILL_EVERYTHING,
	TMK_WS_DEBUG_BYPASS_EVERYTHING,
};

/* The workspace is the process's: each of its threads may use it, at any time. */
#define TMK_WS_F_SHARED (1u << 0)

/**
 * struct tmk_workspace_opts - configuration, validated whole at creation
 * @opts_size: sizeof(struct tmk_workspace_opts)
 * @flags: TMK_WS_F_*
 * @initial_bytes: size of the block at creation, 0 = learn it
 * @min_bytes: the block is at least this large once it exists
 * @max_bytes: the block is at most this large, 0 = unlimited
 * @max_total_bytes: block, spills and pinned entries together, 0 = unlimited
 * @overallocation_limit: head-room as a fraction, read with OVERALLOCATE; 0.3 by
 *	default
 * @cycles_before_initialization: read with OVER_TIME; 0 = only by hand
 * @alignment: of every allocation, a power of two from 8 to 4096, 0 = 64
 * @allocation: enum tmk_ws_allocation
 * @spill: enum tmk_ws_spill
 * @learning: enum tmk_ws_learning
 * @reset: enum tmk_ws_reset
 * @mirroring: enum tmk_ws_mirroring
 * @location: enum tmk_ws_location
 * @debug: enum tmk_ws_debug
 * @region: kind, flags and node of the memory, of the block and of spills. Kind 0,
 *	the default: huge pages where rounding up to 2 MiB adds at most an eighth,
 *	base pages otherwise. Name NULL: the workspace's id
 * @path: for TMK_WS_LOCATION_FILE: a file, or NULL for an unnamed one. One that
 *	has contents keeps them; it is made longer where @initial_bytes is more
 * @temp_dir: for TMK_WS_LOCATION_FILE without @path, NULL = TMPDIR or /tmp
 *
 * The block is align(need x (1 + overallocation_limit)) bytes, at least
 * @min_bytes, at most @max_bytes and @max_total_bytes rounded down to the
 * alignment; need is @initial_bytes or what was learned. A ring has blocks of
 * align(need x 1.3) and limit + 1 of them. A file has what was asked for.
 *
 * TMK_WORKSPACES_DEBUG in the environment sets @debug where it is DISABLED.
 */
struct tmk_workspace_opts {
	size_t opts_size;
	uint32_t flags;
	uint32_t alignment;
	uint64_t initial_bytes;
	uint64_t min_bytes;
	uint64_t max_bytes;
	uint64_t max_total_bytes;
	double overallocation_limit;
	uint32_t cycles_before_initialization;
	enum tmk_ws_allocation allocation;
	enum tmk_ws_spill spill;
	enum tmk_ws_learning learning;
	enum tmk_ws_reset reset;
	enum tmk_ws_mirroring mirroring;
	enum tmk_ws_location location;
	enum tmk_ws_debug debug;
	struct tmk_region_opts region;
	const char *path;
	const char *temp_dir;
};
#ifdef __cplusplus
static inline struct tmk_workspace_opts tmk__workspace_opts_init(void)
{
	struct tmk_workspace_opts opts = {};

	opts.opts_size = sizeof(opts);
	opts.overallocation_limit = 0.3;
	opts.region.opts_size = sizeof(opts.region);
	opts.region.node = TMK_NODE_ANY;
	return opts;
}
#define TMK_WORKSPACE_OPTS_INIT tmk__workspace_opts_init()
#else
#define TMK_WORKSPACE_OPTS_INIT                                      \
	{                                                            \
		.opts_size = sizeof(struct tmk_workspace_opts),      \
		.overallocation_limit = 0.3, .region = {             \
			.opts_size = sizeof(struct tmk_region_opts), \
			.node = TMK_NODE_ANY                         \
		}                                                    \
	}
#endif

/**
 * struct tmk_workspace_info - every counter of a workspace
 * @size: bytes of the block, 0 while there is none
 * @offset: where in the block the next allocation goes; 0 while closed, except
 *	of rings
 * @block: the need that @size was learned from, without head-room (rings: one
 *	block of the ring); 0 if it was not learned
 * @cycle: bytes allocated in this cycle, spilled ones included
 * @last: @cycle of the cycle before
 * @max: the largest @cycle so far
 * @cycles: scopes that were closed
 * @step: rounds of the ring; cycles after the first otherwise
 * @generation: counts openings; a tensor remembers the one it was made in
 * @spilled_bytes: bytes beside the block now
 * @spilled_count: allocations beside the block now
 * @spilled_total: allocations beside the block, ever
 * @pinned_bytes: bytes of pinned entries (rings)
 * @pinned_count: number of pinned entries
 * @external_count: spilled ones, and those made while use was toggled off
 * @region_bytes: bytes of the region behind the block
 * @open: the workspace is open, a shared one in some thread
 */
struct tmk_workspace_info {
	uint64_t size;
	uint64_t offset;
	uint64_t block;
	uint64_t cycle;
	uint64_t last;
	uint64_t max;
	uint64_t cycles;
	uint64_t step;
	uint64_t generation;
	uint64_t spilled_bytes;
	uint64_t spilled_count;
	uint64_t spilled_total;
	uint64_t pinned_bytes;
	uint64_t pinned_count;
	uint64_t external_count;
	uint64_t region_bytes;
	bool open;
};

/**
 * tmk_workspace_create() - make a workspace for this thread, or a shared one
 * @out: the workspace
 * @id: its name in messages, at most 63 characters, unique in the thread or among
 *	the shared ones
 * @opts: configuration, NULL for learning in the first loop with 30 % head-room
 *
 * Return: 0; -EINVAL with a sentence naming the contradiction; -EEXIST if there is
 * one of that name; -ENOMEM or -EDQUOT if the initial block was refused;
 * -EOPNOTSUPP for a configuration that the backend does not offer.
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_create(
	struct tmk_workspace **out, const char *id,
	const struct tmk_workspace_opts *opts);

/**
 * tmk_workspace_ensure() - the workspace of that name, made if there is none
 * @out: the workspace
 * @id: its name
 * @opts: its configuration: whether it is shared says where the name is looked
 *	for. NULL takes one that exists as it is, this thread's before a shared one
 *
 * Return: 0; -EEXIST if it exists with another configuration; else as
 * tmk_workspace_create().
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_ensure(
	struct tmk_workspace **out, const char *id,
	const struct tmk_workspace_opts *opts);

/**
 * tmk_workspace_lookup() - find a workspace by its name: this thread's, or else a
 * shared one
 *
 * Return: 0 or -ENOENT.
 */
TMK_API int tmk_workspace_lookup(struct tmk_workspace **out, const char *id);

/**
 * tmk_workspace_destroy() - give everything back; tensors in it become stale
 * @ws: the workspace or NULL; must not be open, in no thread if it is shared
 *
 * Return: 0; -EBUSY if it is open (nothing happened); -EPERM from another
 * thread; -ESTALE if it was destroyed before.
 */
TMK_API int tmk_workspace_destroy(struct tmk_workspace *ws);

/**
 * tmk_workspace_destroy_all() - destroy every workspace of this thread, no shared
 * one
 *
 * Return: 0; -EBUSY if one is open (nothing happened).
 */
TMK_API int tmk_workspace_destroy_all(void);

/**
 * tmk_workspace_push() - open the workspace: a scope begins
 * @ws: the workspace; re-entering the innermost open one nests
 *
 * A shared one that another thread has open is open in this one as well then, in
 * the same cycle.
 *
 * Return: 0; -EBUSY if it is open but not innermost; -EPERM from another
 * thread; -ESTALE if it was destroyed.
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_push(struct tmk_workspace *ws);

/**
 * tmk_workspace_pop() - close the innermost scope, which must be of @ws
 *
 * Return: 0; -EINVAL if @ws is not open or not innermost (nothing happened); -ENOMEM
 * or -EDQUOT if the learned block was refused: the scope is closed, the next
 * cycle spills and learning is tried again at its end.
 */
TMK_API int tmk_workspace_pop(struct tmk_workspace *ws);

/**
 * tmk_workspace_borrow() - make an open workspace current that is further out
 * @ws: new tensors go there until tmk_workspace_pop() gives it back
 *
 * It is a scope of the stack, but no cycle: nothing is reset, nothing freed.
 *
 * Return: 0; -ENOTCONN if this thread has not opened it; -EBUSY if it has borrowed
 * it already; -EPERM; -ESTALE.
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_borrow(struct tmk_workspace *ws);

/**
 * tmk_workspace_scope_out() - no workspace is current until
 * tmk_workspace_scope_in(): new tensors are detached
 *
 * Return: 0; -ENOMEM.
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_scope_out(void);

/**
 * tmk_workspace_scope_in() - what was current before the scope-out is so again
 *
 * Return: 0; -EINVAL if the innermost scope is no scope-out (nothing happened).
 */
TMK_API int tmk_workspace_scope_in(void);

/**
 * tmk_workspace_toggle() - switch the use of its block off or on
 * @ws: a workspace of this thread, or a shared one, for all threads; the end of
 *	its scope switches it on again
 * @on: what to do
 *
 * While it is off, memory is had outside of the block: it counts as
 * external_count and not as part of the cycle, and is freed with the scope.
 *
 * Return: 0; -EPERM; -ESTALE.
 */
TMK_API int tmk_workspace_toggle(struct tmk_workspace *ws, bool on);

/** tmk_workspace_current() - the innermost open one of this thread, or NULL */
TMK_API struct tmk_workspace *tmk_workspace_current(void);

/**
 * tmk_workspace_alloc() - raw memory from the open workspace
 * @out: the memory, aligned as configured, not zeroed unless asked
 * @ws: a workspace that this thread has opened
 * @bytes: not 0
 * @zero: clear it
 *
 * Memory in the block holds what an earlier cycle left there unless @zero.
 *
 * Return: 0; -EINVAL for 0 bytes; -EOVERFLOW; -ESTALE or -EPERM as for push;
 * -ENOTCONN if it is not open; -EOPNOTSUPP if it is bypassed; -ENOMEM or -EDQUOT
 * if it did not fit and the spill was refused: no counter has changed then.
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_alloc(void **out,
					       struct tmk_workspace *ws,
					       size_t bytes, bool zero);

/**
 * struct tmk_workspace_room - the part of a workspace that programs allocate in
 * @handle: whose it is, 0 = nobody's
 * @next: where the next allocation goes
 * @end: where the room ends; @next where each request is a case of its own
 * @mask: alignment - 1; @next and @end are multiples of the alignment
 *
 * For the body of tmk_workspace_alloc() below, and part of the ABI therefore. Only
 * the library says how far the room goes.
 */
struct tmk_workspace_room {
	uint64_t handle;
	char *next;
	char *end;
	size_t mask;
};

/*
 * The room of the thread's innermost open workspace; one of nobody with no room if
 * there is none, or a shared one; never NULL. Initial-exec: a plain load, as far as
 * one pointer still fits in the static block of thread-local memory, which is so
 * for dlopen(), too.
 */
TMK_API __thread struct tmk_workspace_room *tmk_workspace_innermost
	__attribute__((tls_model("initial-exec")));

/**
 * tmk_workspace_alloc_slow() - tmk_workspace_alloc() where it is not just an add
 *
 * What the inlined part of that function calls; the two give the same.
 */
TMK_API TMK_MUST_CHECK int tmk_workspace_alloc_slow(void **out,
						    struct tmk_workspace *ws,
						    size_t bytes, bool zero);

/*
 * The same function again for compilers to inline: a bounds check and an add.
 * Where it is not inlined (-O0, a pointer to it, other languages) it is the
 * library's. 0 bytes wrap around and are refused by the library; if @bytes is at
 * most the room then so is @bytes rounded up, because room is a multiple of the
 * alignment.
 */
#ifdef __cplusplus
extern "C" {
#endif
extern inline __attribute__((gnu_inline)) int tmk_workspace_alloc(
	void **out, struct tmk_workspace *ws, size_t bytes, bool zero)
{
	struct tmk_workspace_room *room = tmk_workspace_innermost;
	char *p = room->next;
	void *other;
	int err;

	if (__builtin_expect((uintptr_t)ws != room->handle || zero ||
				     bytes - 1 >= (size_t)(room->end - p),
			     0)) {
		err = tmk_workspace_alloc_slow(&other, ws, bytes, zero);
		if (!err)
			*out = other;
		return err;
	}
	room->next = p + ((bytes - 1) | room->mask) + 1;
	*out = p;
	return 0;
}
#ifdef __cplusplus
}
#endif

/**
 * tmk_workspace_initialize() - make the block now from what was learned
 * @ws: may be open while it has no block; what was spilled stays until the end
 *	of the scope
 *
 * A block that exists is made larger under TMK_WS_SPILL_REALLOCATE only.
 *
 * Return: 0, also if there is nothing to do; -ENODATA if nothing was learned
 * and there is no minimum; -EINVAL if it does not learn and has no block;
 * -EBUSY if it is open and its block would have to be made larger; -EPERM,
 * -ESTALE; -ENOMEM or -EDQUOT if the block was refused.
 */
TMK_API int tmk_workspace_initialize(struct tmk_workspace *ws);

/** tmk_workspace_id() - its name; "" for NULL or a destroyed one */
TMK_API const char *tmk_workspace_id(const struct tmk_workspace *ws);

/** tmk_workspace_info() - read all counters. Return: 0, -EPERM, -ESTALE. */
TMK_API int tmk_workspace_info(struct tmk_workspace_info *out,
			       const struct tmk_workspace *ws);

/**
 * tmk_workspace_region() - the region behind the block, to ask about its pages
 * @ws: a workspace of this thread, or a shared one
 *
 * Return: the region, which stays the workspace's own: valid until its block
 * grows or it is destroyed; NULL while there is none, or if @ws is not a
 * workspace of this thread nor shared.
 */
TMK_API const struct tmk_region *tmk_workspace_region(
	const struct tmk_workspace *ws);

/**
 * tmk_workspace_report() - write a table of all threads' workspaces
 * @fd: where to
 *
 * For people. Other threads go on meanwhile, so a line may be a moment old. The
 * same is written when memory is refused, to the file that TMK_DUMP_ON_OOM names
 * ("-" for standard error).
 *
 * Return: 0, or -errno of write().
 */
TMK_API int tmk_workspace_report(int fd);

enum tmk_scope_kind {
	TMK_SCOPE_WORKSPACE = 0, /* push and pop */
	TMK_SCOPE_BORROW,
	TMK_SCOPE_OUT,
};

/**
 * struct tmk_workspace_scope - what the scope macros keep on the stack
 * @ws: the workspace, NULL for TMK_SCOPE_OUT
 * @kind: how it is entered
 * @state: 0 before and after
 */
struct tmk_workspace_scope {
	struct tmk_workspace *ws;
	enum tmk_scope_kind kind;
	int state;
};

#define TMK__SCOPE_OPEN 0x74736370 /* state; improbable on a stack by chance */

/**
 * tmk_workspace_scope_begin() - the beginning of a scope macro
 * @scope: a variable of the function that has the scope
 *
 * Return: true if it was opened just now; false if it cannot be opened (the
 * sentence is set), or was before.
 */
TMK_API bool tmk_workspace_scope_begin(struct tmk_workspace_scope *scope);

/**
 * tmk_workspace_scope_end() - the end of a scope macro
 * @scope: closed, with all that was opened inside of it and left open
 */
TMK_API void tmk_workspace_scope_end(struct tmk_workspace_scope *scope);

/*
 * The scope idiom: TMK_WORKSPACE_SCOPE(ws) { ... } runs the block with @ws open
 * and closes it however the block is left (break, continue, return and goto
 * included; not longjmp). If the workspace cannot be opened the block is
 * skipped: check with tmk_workspace_push() instead where that matters. The same
 * for borrowing and for scope-out.
 */

/* A name of its own for each use: scopes may be nested. */
#define TMK__SCOPE_NAME(number) TMK__SCOPE_NAME_(number)
#define TMK__SCOPE_NAME_(number) tmk__scope_##number
#define TMK__SCOPE(ws, kind, name)                             \
	for (struct tmk_workspace_scope                        \
	     __attribute__((cleanup(tmk_workspace_scope_end))) \
	     name = { ws, kind, 0 };                           \
	     tmk_workspace_scope_begin(&name);)

#define TMK_WORKSPACE_SCOPE(ws) \
	TMK__SCOPE(ws, TMK_SCOPE_WORKSPACE, TMK__SCOPE_NAME(__COUNTER__))
#define TMK_WORKSPACE_BORROW(ws) \
	TMK__SCOPE(ws, TMK_SCOPE_BORROW, TMK__SCOPE_NAME(__COUNTER__))
#define TMK_WORKSPACE_SCOPE_OUT() \
	TMK__SCOPE(NULL, TMK_SCOPE_OUT, TMK__SCOPE_NAME(__COUNTER__))

#endif /* TMK_WORKSPACE_H */
