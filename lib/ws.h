/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The inside of workspaces, shared by the workspace_*.c files and tensors.
 *
 *	workspace.c         the public calls
 *	workspace_config.c  options: what is refused, and the sizes that follow
 *	workspace_table.c   handles of workspaces and the places behind them
 *	workspace_thread.c  what a thread has: its workspaces, its scope stack
 *	workspace_scope.c   a scope's beginning and end
 *	workspace_shared.c  workspaces of all threads: their names, their lock
 *	workspace_block.c   the block: learning, growth, its region
 *	workspace_alloc.c   where an allocation goes when the fast path says no
 *	workspace_spill.c   memory beside the block
 *	workspace_ring.c    rings: reset policy ENDOFBUFFER
 *	workspace_file.c    blocks in files
 *	workspace_report.c  a table of everybody's workspaces
 *	workspace_check.c   what TMK_DEBUG asks for
 *
 * A workspace is used by the thread that made it and by no other, so nothing
 * here is locked; what other threads may read (handle, thread) is atomic. One
 * that was created shared has a lock, which is held wherever its inside is looked
 * at: from tmk__ws_enter() to tmk__ws_leave(). Lock order: a workspace's, then
 * that of the table, then that of the tables of handles.
 *
 * A struct tmk_workspace * is no address but (place << 44 | life): a place in
 * the table is used again, a life is not.
 */
#ifndef TMK_WS_H
#define TMK_WS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tmk/workspace.h>

#include "handle.h"

#define TMK__LIFE_BITS 44
#define TMK__LIFE_MAX ((UINT64_C(1) << TMK__LIFE_BITS) - 1)
#define TMK__WS_ID_BYTES 64
#define TMK__SPILL_INLINE 4

struct tmk__thread;

/* Memory beside the block. Allocations of one age share chunks. */
struct tmk__spill_chunk {
	struct tmk_region *region;
	char *base;
	size_t bytes;
	uint64_t age; /* the cycle or step that it is of */
	uint64_t used; /* bytes handed out, in */
	uint64_t count; /* so many allocations */
};

/* Filled from the last chunk, freed from the oldest age on. */
struct tmk__spill {
	struct tmk__spill_chunk *chunks; /* oldest first */
	uint32_t chunks_nr;
	uint32_t chunks_room;
	uint32_t filling; /* the chunk that is being filled: its */
	size_t offset; /* room begins here */
	size_t next_bytes; /* how large the next chunk shall be */
	enum tmk_use use; /* what the ledger shows */
	uint64_t used; /* bytes handed out and not freed, in */
	uint64_t count; /* so many allocations */
};

/* A block in a file; workspace_file.c. */
struct tmk__ws_file {
	char *base; /* NULL: there is none */
	uint64_t bytes; /* mapped, and charged as TMK_KIND_FILE */
};

/*
 * Where a ring is. Positions grow for ever: lap + offset. A tensor's mark is
 * the position of its memory; it is stale once the ring was handed out beyond
 * mark + end, which is kept as the cell's floor.
 */
struct tmk__ring {
	uint64_t end; /* it wraps here: a multiple of the ring's block */
	uint64_t lap; /* position of offset 0 */
	uint64_t start; /* offset at which the present scope began */
	uint64_t trimmed_step; /* when @trimmed began */
	bool trimmed; /* a cycle was too large: all is pinned for a while */
	bool wrapped; /* in this scope, over memory of earlier ones */
	uint32_t head; /* headers of tensors, oldest first; 0 = none */
	uint32_t tail;
	uint32_t fresh; /* headers [fresh, fresh_end) were never used */
	uint32_t fresh_end;
};

/* What is checked, of a block in RAM that is no ring; workspace_check.c. */
struct tmk__ws_check {
	bool on; /* something is: each allocation is to be looked at */
	bool shut; /* the block is inaccessible */
	size_t used; /* handed out in this scope; what is behind it, up to */
	size_t stale; /* here, holds a pattern that nobody may write over */
};

struct tmk__ws {
	/* What an allocation in a warmed-up workspace touches. */
	struct tmk_workspace_room; /* its members are members here */
	char *base; /* the block, NULL while there is none */
	struct tmk__thread *thread; /* whose it is, or was */

	/* And a tensor's header. Slots [slot, slot_end) of @extent are free. */
	uint64_t seq; /* of handles in @extent in this generation */
	uint32_t slot;
	uint32_t slot_end;
	uint32_t extent;
	uint32_t extent_first; /* the chain of all extents */
	struct tmk__cell *cell;
	uint64_t life; /* the present one, or the last */
	uint64_t gen_base; /* the generation shown to users = gen - gen_base */
	uint64_t gen_end; /* the first generation that needs new extents */
	uint32_t cell_nr;
	bool open;
	bool is_ring;
	bool special; /* a ring, or checked: each allocation is a case */
	bool untidy; /* this scope's end has more to do than to go back to 0 */
	bool off; /* use is toggled off for this scope */
	bool bypass; /* debug: whatever is asked for is had outside */
	bool shared;
	uint32_t openers; /* shared: so many threads have it open */

	/* Counters: names as in struct tmk_workspace_info. */
	size_t cycle_base; /* this cycle in the block: from here, */
	uint64_t beside; /* and beside it */
	uint64_t size;
	uint64_t block;
	uint64_t last;
	uint64_t max;
	uint64_t cycles;
	uint64_t step;
	uint64_t spilled_total;

	struct tmk_region *region; /* behind the block; or */
	struct tmk__ws_file file;
	struct tmk__ring ring;
	struct tmk__ws_check check;
	struct tmk__spill spill; /* aged in cycles */
	struct tmk__spill pinned; /* aged in steps */
	struct tmk__spill outside; /* had while use was toggled off */
	struct tmk_workspace_opts opts; /* checked, normalised */
	struct tmk__ws *sibling; /* of the same thread, or shared as well */
	uint32_t next_free; /* of the table */
	pid_t tid; /* the thread that made it, for people */
	pid_t pid; /* the process that made it, */
	bool inherited; /* which is the parent of this one */
	char region_name[TMK_NAME_BYTES];
	char id[TMK__WS_ID_BYTES];
	pthread_mutex_t lock; /* of the place: never taken unless shared */
} __attribute__((aligned(64)));

enum tmk__frame_kind {
	TMK__FRAME_OPEN = 1, /* the workspace was opened here */
	TMK__FRAME_REENTER, /* it was open and innermost already */
	TMK__FRAME_BORROW, /* it was open further out */
	TMK__FRAME_OUT, /* no workspace is current */
};

struct tmk__frame {
	struct tmk__ws *ws; /* whose scope it is; NULL: scope-out */
	struct tmk__ws *current; /* what new tensors go to, or NULL */
	const struct tmk_workspace_scope *guard; /* NULL: plain begin and end */
	enum tmk__frame_kind kind;
};

#define TMK__FRAMES_INLINE 16

/* A thread's workspaces and its scope stack. Used by that thread only. */
struct tmk__thread {
	struct tmk__frame *frames; /* [depth - 1] is innermost */
	uint32_t depth;
	uint32_t room;
	struct tmk__ws *first; /* latest first */
	struct tmk__thread *next; /* all threads: workspace_thread.c */
	struct tmk__thread *prev;
	struct tmk__frame frames_inline[TMK__FRAMES_INLINE];
};

/* Whose shared workspaces are. It is no thread and has no scope stack. */
extern struct tmk__thread tmk__everybody;

/* Initial-exec: a plain load, and one pointer fits in any static TLS block. */
extern __thread struct tmk__thread *tmk__self
	__attribute__((tls_model("initial-exec")));

extern struct tmk__ws tmk__ws_nobody TMK__INSIDE; /* never open */

struct tmk__ws_table {
	struct tmk__ws *ws;
	uint32_t nr; /* places that were used at least once */
};

extern struct tmk__ws_table tmk__ws_table TMK__INSIDE;

/* What is known of a workspace that may be gone, for messages. */
struct tmk__ws_epitaph {
	char id[TMK__WS_ID_BYTES];
	bool known; /* there was such a workspace */
	bool alive;
	bool inherited;
	uint64_t gen_base;
};

static inline struct tmk_workspace *tmk__ws_handle_make(uint32_t place,
							uint64_t life)
{
	uint64_t v = (uint64_t)place << TMK__LIFE_BITS | life;

	return (struct tmk_workspace *)(uintptr_t)v;
}

static inline struct tmk_workspace *tmk__ws_handle(const struct tmk__ws *ws)
{
	uint64_t v = __atomic_load_n(&ws->handle, __ATOMIC_RELAXED);

	return (struct tmk_workspace *)(uintptr_t)v;
}

/**
 * tmk__ws_is_alive() - is there a living workspace behind a handle?
 * @out: its inside
 * @handle: any value at all
 */
static inline bool tmk__ws_is_alive(struct tmk__ws **out,
				    const struct tmk_workspace *handle)
{
	uint64_t v = (uint64_t)(uintptr_t)handle;
	uint64_t place = v >> TMK__LIFE_BITS;

	if (place >= __atomic_load_n(&tmk__ws_table.nr, __ATOMIC_ACQUIRE))
		return false;
	*out = &tmk__ws_table.ws[place];
	return __atomic_load_n(&(*out)->handle, __ATOMIC_ACQUIRE) == v;
}

static inline bool tmk__ws_is_mine(const struct tmk__ws *ws)
{
	return __atomic_load_n(&ws->thread, __ATOMIC_RELAXED) == tmk__self;
}

/**
 * tmk__ws_top() - the innermost open workspace of the thread
 *
 * Who names it is its thread, and it lives.
 *
 * Return: its inside; one whose handle is 0 and which has no room if there is
 * none, or a shared one.
 */
static inline struct tmk__ws *tmk__ws_top(void)
{
	return (struct tmk__ws *)tmk_workspace_innermost;
}

/** tmk__ws_innermost() - the innermost open workspace of the thread, or NULL */
static inline struct tmk__ws *tmk__ws_innermost(void)
{
	struct tmk__thread *self = tmk__self;

	if (!self || !self->depth)
		return NULL;
	return self->frames[self->depth - 1].current;
}

/** tmk__ws_gen() - the generation as users see it */
static inline uint64_t tmk__ws_gen(const struct tmk__ws *ws)
{
	return ws->cell->gen - ws->gen_base;
}

static inline size_t tmk__ws_align(const struct tmk__ws *ws, size_t bytes)
{
	return ((bytes - 1) | ws->mask) + 1;
}

/** tmk__ws_offset() - where in the block the next allocation goes */
static inline size_t tmk__ws_offset(const struct tmk__ws *ws)
{
	return (size_t)(ws->next - ws->base);
}

/**
 * tmk__ws_offset_set() - where the next allocation goes, which is a case of its
 * own until tmk__ws_room_set()
 */
static inline void tmk__ws_offset_set(struct tmk__ws *ws, size_t offset)
{
	ws->next = ws->base + offset;
	ws->end = ws->next;
}

/** tmk__ws_cycle_block() - what this cycle has allocated in the block */
static inline size_t tmk__ws_cycle_block(const struct tmk__ws *ws)
{
	return tmk__ws_offset(ws) - ws->cycle_base;
}

/** tmk__ws_cycle() - what this cycle has allocated, in the block and beside */
static inline uint64_t tmk__ws_cycle(const struct tmk__ws *ws)
{
	return tmk__ws_cycle_block(ws) + ws->beside;
}

/** tmk__ws_total() - what counts against max_total_bytes */
static inline uint64_t tmk__ws_total(const struct tmk__ws *ws)
{
	return ws->size + ws->spill.used + ws->pinned.used + ws->outside.used;
}

/** tmk__ws_room_set() - the offset or the state changed: how far is it free? */
static inline void tmk__ws_room_set(struct tmk__ws *ws)
{
	bool plain = ws->open && !ws->special && !ws->off && !ws->bypass &&
		     ws->opts.debug == TMK_WS_DEBUG_DISABLED;

	ws->end = plain ? ws->base + ws->size : ws->next;
}

/* workspace_alloc.c */
int tmk__ws_alloc_slow(void **out, struct tmk__ws *ws, size_t bytes, bool zero);
int tmk__ws_alloc_beside(void **out, struct tmk__ws *ws,
			 struct tmk__spill *spill, size_t n);
int tmk__ws_refuse_full(const struct tmk__ws *ws, size_t n);
int tmk__ws_slot_slow(struct tmk__ws *ws);

/**
 * tmk__ws_has_room() - is an allocation just an add?
 * @ws: any
 * @bytes: any number
 *
 * If @bytes is at most the room then so is @bytes rounded up, because room is
 * a multiple of the alignment: nothing can overflow. 0 bytes wrap around: they are
 * no case of an add, as are rings and a workspace that is closed (no room).
 */
static inline bool tmk__ws_has_room(const struct tmk__ws *ws, size_t bytes)
{
	return __builtin_expect(bytes - 1 < (size_t)(ws->end - ws->next), 1);
}

/** tmk__ws_bump() - the add */
static inline void *tmk__ws_bump(struct tmk__ws *ws, size_t bytes)
{
	char *p = ws->next;

	ws->next = p + tmk__ws_align(ws, bytes);
	return p;
}

/**
 * tmk__ws_slot_take() - a header for a tensor of this generation
 * @out: its handle, not valid before tmk__ws_slot_commit()
 * @header: the header
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
static inline int tmk__ws_slot_take(struct tmk_tensor **out,
				    struct tmk__tensor **header,
				    struct tmk__ws *ws)
{
	int err;

	if (__builtin_expect(ws->slot == ws->slot_end, 0)) {
		err = tmk__ws_slot_slow(ws);
		if (err)
			return err;
	}
	*out = tmk__handle_make(ws->slot, ws->seq);
	*header = &tmk__handles.slots[ws->slot];
	return 0;
}

/* workspace_ring.c */
uint64_t tmk__ring_block(const struct tmk__ws *ws, uint64_t need);
uint64_t tmk__ring_size(const struct tmk__ws *ws, uint64_t block);
uint64_t tmk__ring_length(const struct tmk__ws *ws);
int tmk__ring_alloc(void **out, struct tmk__ws *ws, size_t n);
int tmk__ring_slot(struct tmk__ws *ws);
void tmk__ring_enlist(struct tmk__ws *ws, struct tmk__tensor *header,
		      uint64_t mark);
void tmk__ring_block_made(struct tmk__ws *ws);
void tmk__ring_scope_begin(struct tmk__ws *ws);
void tmk__ring_scope_end(struct tmk__ws *ws, uint64_t cycle);
void tmk__ring_free(struct tmk__ws *ws, struct tmk__spill *spill, uint64_t age);
bool tmk__ring_over(const struct tmk__ws *ws);

/**
 * tmk__ws_slot_commit() - the header is filled in: the handle is valid
 * @header: from tmk__ws_slot_take()
 * @ws: its workspace
 * @mark: of a view its base's, else 0
 *
 * Its region is NULL as in all headers of workspaces: they never have one.
 */
static inline void tmk__ws_slot_commit(struct tmk__tensor *header,
				       struct tmk__ws *ws, uint64_t mark)
{
	header->refs = 1;
	if (__builtin_expect(ws->is_ring, 0))
		tmk__ring_enlist(ws, header, mark);
	ws->slot++;
	__atomic_store_n(&header->seq, ws->seq, __ATOMIC_RELEASE);
}

/* workspace_config.c */
int tmk__ws_opts_check(struct tmk_workspace_opts *out,
		       const struct tmk_workspace_opts *opts);
int tmk__ws_id_check(const char *id);
uint64_t tmk__ws_size_initial(const struct tmk_workspace_opts *opts);
uint64_t tmk__ws_size_learned(const struct tmk_workspace_opts *opts,
			      uint64_t need);
uint64_t tmk__ws_size_cap(const struct tmk_workspace_opts *opts);
uint64_t tmk__align_up(uint64_t bytes, uint64_t alignment);

/* workspace_table.c */
int tmk__ws_place_take(struct tmk__ws **out);
void tmk__ws_place_free(struct tmk__ws *ws);
int tmk__ws_stale(const struct tmk_workspace *handle);
void tmk__ws_epitaph(struct tmk__ws_epitaph *out, uint32_t place,
		     uint64_t life);
void tmk__ws_table_lock(void);
void tmk__ws_table_unlock(void);
void tmk__ws_table_disown(void);

/* workspace_thread.c */
int tmk__thread_self(struct tmk__thread **out);
int tmk__thread_frame_room(struct tmk__thread *self, const void *here);

/**
 * tmk__thread_top_set() - the scope stack of this thread has changed
 * @ws: the innermost open workspace, or NULL
 */
static inline void tmk__thread_top_set(struct tmk__ws *ws)
{
	/* What others use as well is not had without asking. */
	if (!ws || ws->shared)
		ws = &tmk__ws_nobody;
	tmk_workspace_innermost = (void *)ws;
}

/** tmk__thread_is_plain() - can a scope be put on the stack without a look? */
static inline bool tmk__thread_is_plain(const struct tmk__thread *self)
{
	uint32_t depth = self->depth;

	return __builtin_expect(depth != self->room, 1) &&
	       (!depth || !self->frames[depth - 1].guard);
}

/**
 * tmk__thread_frame_push() - one more scope on the stack
 * @self: the thread; tmk__thread_frame_room() said yes, or it is plain
 * @ws: whose scope it is; NULL: scope-out
 * @guard: NULL: plain begin and end
 * @kind: what scope it is
 */
static inline void tmk__thread_frame_push(
	struct tmk__thread *self, struct tmk__ws *ws,
	const struct tmk_workspace_scope *guard, enum tmk__frame_kind kind)
{
	struct tmk__frame *frame = &self->frames[self->depth++];
	struct tmk__ws *current = ws && ws->bypass ? NULL : ws;

	frame->ws = ws;
	frame->current = current;
	frame->guard = guard;
	frame->kind = kind;
	tmk__thread_top_set(current);
}

/* workspace_scope.c */
bool tmk__ws_has_frame(const struct tmk__ws *ws, enum tmk__frame_kind kind);
int tmk__ws_refuse_closed(const struct tmk__ws *ws);
struct tmk__ws *tmk__ws_parent(void);
void tmk__ws_scopes_leave(struct tmk__thread *self);

/* workspace_shared.c */
int tmk__ws_enter_other(struct tmk__ws **out, struct tmk__ws *ws,
			const struct tmk_workspace *handle, const char *what);
int tmk__ws_enlist(struct tmk__ws *ws);
void tmk__ws_delist(struct tmk__ws *ws);
int tmk__ws_find(struct tmk__ws **out, const char *id, bool shared);

/**
 * tmk__ws_is_open_here() - has this thread opened it?
 * @ws: entered
 */
static inline bool tmk__ws_is_open_here(const struct tmk__ws *ws)
{
	return ws->open &&
	       (!ws->shared || tmk__ws_has_frame(ws, TMK__FRAME_OPEN));
}

/** tmk__ws_lock() - for who has it open and so knows that it lives */
static inline void tmk__ws_lock(struct tmk__ws *ws)
{
	if (__builtin_expect(ws->shared, 0))
		pthread_mutex_lock(&ws->lock);
}

/** tmk__ws_leave() - the end of what tmk__ws_enter() began */
static inline void tmk__ws_leave(struct tmk__ws *ws)
{
	if (__builtin_expect(ws->shared, 0))
		pthread_mutex_unlock(&ws->lock);
}

/**
 * tmk__ws_enter() - the inside of a living workspace that this thread may use
 * @out: the inside; if it is shared, locked until tmk__ws_leave()
 * @handle: what the caller has
 * @what: what was asked for, as a verb
 *
 * Return: 0; -EINVAL, -ESTALE or -EPERM with a sentence.
 */
static inline int tmk__ws_enter(struct tmk__ws **out,
				const struct tmk_workspace *handle,
				const char *what)
{
	struct tmk__ws *ws;

	if (!tmk__ws_is_alive(&ws, handle))
		return tmk__ws_stale(handle);
	if (__builtin_expect(!tmk__ws_is_mine(ws), 0))
		return tmk__ws_enter_other(out, ws, handle, what);
	*out = ws;
	return 0;
}

/* workspace.c */
void tmk__ws_destroy(struct tmk__ws *ws);

/* workspace_block.c */
int tmk__ws_block_create(struct tmk__ws *ws, uint64_t size);
void tmk__ws_block_destroy(struct tmk__ws *ws);
int tmk__ws_block_learn(struct tmk__ws *ws, uint64_t need);
int tmk__ws_block_close(struct tmk__ws *ws);
int tmk__ws_region(struct tmk_region **out, struct tmk__ws *ws, uint64_t bytes,
		   enum tmk_use use);

/* workspace_spill.c */
int tmk__ws_spill_alloc(void **out, struct tmk__ws *ws,
			struct tmk__spill *spill, size_t n, uint64_t age);
void tmk__ws_spill_free(struct tmk__spill *spill, uint64_t age);
void tmk__ws_spill_destroy(struct tmk__spill *spill);

/* workspace_file.c */
int tmk__ws_file_create(struct tmk__ws *ws, const char *path,
			const char *temp_dir);
void tmk__ws_file_destroy(struct tmk__ws *ws);

/* workspace_report.c */
void tmk__ws_dump(void);

/* workspace_check.c */
int tmk__ws_check_init(struct tmk__ws *ws);
void tmk__ws_check_exit(const struct tmk__ws *ws);
void tmk__ws_check_block(struct tmk__ws *ws, uint64_t bytes);
int tmk__ws_check_take(void **out, struct tmk__ws *ws, size_t n);
void tmk__ws_check_fill(void *data, size_t bytes, bool zero);
void tmk__ws_check_end(struct tmk__ws *ws);

#endif /* TMK_WS_H */
