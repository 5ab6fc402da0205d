/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Tensor handles: what a struct tmk_tensor * really is. See handle.c for why.
 *
 *	63            40 39                                  0
 *	+---------------+-------------------------------------+
 *	| header number |        sequence, never 0            |
 *	+---------------+-------------------------------------+
 *
 * Headers come in extents of 64. An extent belongs to a cell: the generation
 * counter of one workspace, or one of two fixed cells. Its word says which, and
 * how sequence and generation are related:
 *
 *	sequence = (generation + bias) mod 2^40
 */
#ifndef TMK_HANDLE_H
#define TMK_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include <tmk/tensor.h>

#define TMK__SEQ_BITS 40
#define TMK__SEQ_MAX ((UINT64_C(1) << TMK__SEQ_BITS) - 1)
#define TMK__EXTENT_SLOTS 64
#define TMK__EXTENT_NONE 0 /* extent 0 is never given out */
#define TMK__HANDLES_MAX (1u << 24)
#define TMK__CELLS_MAX (1u << 18)

#define TMK__CELL_DETACHED 0 /* tensors outside of all workspaces */
#define TMK__CELL_NOBODY 1 /* free extents: nothing in them is valid */
#define TMK__CELL_FIRST 2 /* from here on: one for each workspace */

/* In cell.valid: each header says by itself whether it is valid (rings). */
#define TMK__GEN_EACH UINT64_MAX

/* A tensor's header, three cache lines; the third and second by rank only. */
struct tmk__tensor {
	uint64_t seq; /* of the handle that it belongs to, 0 = released */
	char *data;
	int64_t nr;
	struct tmk_region *region; /* one reference; NULL in a workspace */
	uint64_t last_seq; /* detached only: the last one given out */
	uint32_t refs;
	uint32_t next_free; /* detached only */
	uint8_t dtype;
	uint8_t rank;
	bool dense;
	bool owner; /* detached only: the region was made for this tensor */
	bool viewed; /* and there have been views of it */
	uint64_t mark; /* in a ring only: where its memory is; ws.h */
	int64_t shape[TMK_RANK_MAX] __attribute__((aligned(64)));
	int64_t strides[TMK_RANK_MAX];
} __attribute__((aligned(64)));

/* Its own cache line each: a scope's beginning and end write it. */
struct tmk__cell {
	uint64_t valid; /* the generation that is open now, 0 = none */
	uint64_t gen; /* the last one that was open: grows for ever */
	uint64_t floor; /* of a ring: tensors with a lower mark are stale */
} __attribute__((aligned(64)));

struct tmk__extent {
	uint64_t word; /* cell << 40 | bias */
	uint64_t first; /* the first sequence of its present or last owner, */
	uint64_t gen; /* and the generation that it stands for */
	uint64_t last; /* the last sequence of the owner before */
	uint64_t life; /* its present or last owner, for messages: */
	uint32_t cell; /* which workspace of which cell */
	uint32_t next; /* of the same workspace, or free */
};

struct tmk__handles {
	struct tmk__tensor *slots;
	struct tmk__extent *extents;
	struct tmk__cell *cells;
	uint32_t slots_nr; /* how many may be read: whole extents */
	uint32_t cells_nr;
	uint32_t free_nr; /* free extents */
};

/* Nobody else has it: no detour by the table of addresses to it. */
#define TMK__INSIDE __attribute__((visibility("hidden")))

extern struct tmk__handles tmk__handles TMK__INSIDE;

/* Where a tensor's handle leads, for messages. */
struct tmk__handle_origin {
	bool known; /* there is such a header */
	bool attached; /* it is or was of a workspace */
	uint32_t cell; /* of that workspace, 0 if unknown */
	uint64_t life;
	uint64_t gen; /* the cell's generation that it was made in */
};

static inline struct tmk_tensor *tmk__handle_make(uint32_t slot, uint64_t seq)
{
	uint64_t v = (uint64_t)slot << TMK__SEQ_BITS | seq;

	return (struct tmk_tensor *)(uintptr_t)v;
}

static inline uint32_t tmk__handle_slot(const struct tmk_tensor *handle)
{
	return (uint32_t)((uint64_t)(uintptr_t)handle >> TMK__SEQ_BITS);
}

static inline uint64_t tmk__handle_seq(const struct tmk_tensor *handle)
{
	return (uint64_t)(uintptr_t)handle & TMK__SEQ_MAX;
}

/**
 * tmk__handle_header() - the header behind a handle if the tensor is valid now
 * @handle: any value at all
 *
 * Reads the tables only, never the tensor's memory, and the header only after
 * the generation was found to be right.
 *
 * Return: the header, or NULL: ask tmk_tensor_check() for the sentence.
 */
static inline struct tmk__tensor *tmk__handle_header(
	const struct tmk_tensor *handle)
{
	uint32_t slot = tmk__handle_slot(handle);
	uint64_t seq = tmk__handle_seq(handle), word, valid, floor = 0;
	const struct tmk__extent *extent;
	const struct tmk__cell *cell;
	struct tmk__tensor *t;

	if (slot >= __atomic_load_n(&tmk__handles.slots_nr, __ATOMIC_ACQUIRE))
		return NULL;
	extent = &tmk__handles.extents[slot / TMK__EXTENT_SLOTS];
	word = __atomic_load_n(&extent->word, __ATOMIC_ACQUIRE);
	if (word >> TMK__SEQ_BITS) {
		cell = &tmk__handles.cells[word >> TMK__SEQ_BITS];
		valid = __atomic_load_n(&cell->valid, __ATOMIC_ACQUIRE);
		if (valid == TMK__GEN_EACH)
			floor = __atomic_load_n(&cell->floor, __ATOMIC_ACQUIRE);
		else if (!valid || ((valid + word) & TMK__SEQ_MAX) != seq)
			return NULL;
	}
	t = &tmk__handles.slots[slot];
	if (__atomic_load_n(&t->seq, __ATOMIC_ACQUIRE) != seq || !seq)
		return NULL;
	return floor && __atomic_load_n(&t->mark, __ATOMIC_RELAXED) < floor ?
		       NULL :
		       t;
}

/**
 * tmk__handle_init() - make the tables, once for the process
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__handle_init(void);

/**
 * tmk__cell_grow() - make the cells below @nr usable; under no lock
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__cell_grow(uint32_t nr);

/**
 * tmk__extent_take() - give a workspace one more extent of headers
 * @out: its number
 * @cell: the workspace's cell
 * @life: which workspace of that cell, for messages
 * @gen: the generation that is open
 * @gen_end: lowered to the first generation that the extent cannot serve
 * @ring: for a ring, whose tensors outlive generations: one that serves many
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__extent_take(uint32_t *out, uint32_t cell, uint64_t life, uint64_t gen,
		     uint64_t *gen_end, bool ring);

/**
 * tmk__extent_free() - take back a workspace's chain of extents
 * @first: the first one; linked by next
 * @gen: the last generation that a handle in it may have
 */
void tmk__extent_free(uint32_t first, uint64_t gen);

/** tmk__extent_seq() - the sequence that stands for @gen in an extent */
static inline uint64_t tmk__extent_seq(uint32_t extent, uint64_t gen)
{
	return (gen + tmk__handles.extents[extent].word) & TMK__SEQ_MAX;
}

/**
 * tmk__detached_take() - a header outside of all workspaces, with one reference
 * @out: its handle
 * @header: the header; all but @seq, @refs and the lists is the caller's
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__detached_take(struct tmk_tensor **out, struct tmk__tensor **header);

/** tmk__detached_free() - its last reference is gone; the handle is dead */
void tmk__detached_free(const struct tmk_tensor *handle);

/**
 * tmk__detached_end() - end every view of a region
 * @region: whose; its owner's header stays
 *
 * Return: how many there were: so many references are the caller's to drop.
 */
uint32_t tmk__detached_end(const struct tmk_region *region);

/** tmk__handle_origin() - where a handle that is not valid came from */
void tmk__handle_origin(struct tmk__handle_origin *out,
			const struct tmk_tensor *handle);

#endif /* TMK_HANDLE_H */
