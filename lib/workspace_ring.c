// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Rings (reset policy ENDOFBUFFER): the offset runs on from cycle to cycle and
 * wraps, so that what a cycle made lives on while the next ones are filled.
 *
 *	│ block │ block │ block │ block │░░│
 *	0                               end  size
 *
 * With a learned size each cycle has one block, begun at its head; a cycle that
 * does not fit in a block goes on in pinned entries beside it, which are freed
 * after three steps (rounds of the ring). With an initial size there are no
 * blocks and a cycle takes what it needs, up to all of the ring; the rest spills.
 *
 * Tensors outlive their scope here, until their memory is handed out again. So
 * a generation does not tell whether one is valid: the cell says "each header
 * by itself", and a header has the position of its memory (mark) to compare with
 * the cell's floor. Headers wait in a queue, oldest first, until they are stale.
 *
 * The ring never hands out what the present scope has: the memory between the
 * scope's start and the offset is not passed.
 */
#include <errno.h>
#include <inttypes.h>

#include "internal.h"
#include "ws.h"

#define RING_HEADROOM 1.3
#define PINNED_STEPS 2 /* an entry lives on while step <= its own + this */

static struct tmk__tensor *header_of(uint32_t slot)
{
	return &tmk__handles.slots[slot];
}

/**
 * tmk__ring_block() - the block for cycles that need so much
 * @ws: a ring
 * @need: bytes of the largest cycle
 *
 * Return: align(need x 1.3), at most what the configuration allows.
 */
uint64_t tmk__ring_block(const struct tmk__ws *ws, uint64_t need)
{
	double block = (double)need * RING_HEADROOM;
	uint64_t cap = tmk__ws_size_cap(&ws->opts);
	uint64_t bytes;

	if (block >= (double)cap)
		return cap;
	bytes = tmk__align_up((uint64_t)block, ws->opts.alignment);
	return TMK__MIN(bytes, cap);
}

/**
 * tmk__ring_size() - the ring of such blocks
 * @ws: a ring
 * @block: from tmk__ring_block()
 *
 * Return: block x (limit + 1), at least min_bytes, at most what is allowed.
 */
uint64_t tmk__ring_size(const struct tmk__ws *ws, uint64_t block)
{
	uint64_t cap = tmk__ws_size_cap(&ws->opts);
	double size = (double)block;
	uint64_t bytes;

	if (ws->opts.allocation == TMK_WS_OVERALLOCATE)
		size *= ws->opts.overallocation_limit + 1;
	if (size >= (double)cap)
		return cap;
	bytes = TMK__MAX((uint64_t)size, ws->opts.min_bytes);
	bytes = tmk__align_up(bytes, ws->opts.alignment);
	return TMK__MIN(bytes, cap);
}

/**
 * tmk__ring_length() - how many cycles make one step
 * @ws: any workspace
 *
 * Return: blocks in the ring; what was asked for while there are none; 1
 * without a ring.
 */
uint64_t tmk__ring_length(const struct tmk__ws *ws)
{
	if (!ws->is_ring)
		return 1;
	if (ws->size && ws->block)
		return ws->ring.end / ws->block;
	if (ws->opts.allocation == TMK_WS_OVERALLOCATE)
		return (uint64_t)ws->opts.overallocation_limit + 1;
	return 1;
}

/**
 * tmk__ring_block_made() - there is memory: a new ring, or the first
 * @ws: with base, size and block; what was in the ring before is gone
 */
void tmk__ring_block_made(struct tmk__ws *ws)
{
	struct tmk__ring *ring = &ws->ring;
	uint64_t old = ring->lap + ring->end;

	ring->end = ws->block ? ws->size / ws->block * ws->block : ws->size;
	/* All older marks are below; the first lap does not wrap over them. */
	ring->lap = old + ring->end + 1;
	ring->start = 0;
	ring->wrapped = false;
	__atomic_store_n(&ws->cell->floor, ring->lap, __ATOMIC_RELEASE);
}

/* Tensors whose memory is in one of these chunks are stale from now on. */
static void tensors_end(struct tmk__ws *ws, const struct tmk__spill *spill,
			uint64_t age)
{
	const struct tmk__spill_chunk *chunk;
	struct tmk__tensor *t;
	uint32_t slot, i;

	for (slot = ws->ring.head; slot; slot = t->next_free) {
		t = header_of(slot);
		for (i = 0; t->mark == UINT64_MAX && i < spill->chunks_nr;
		     i++) {
			chunk = &spill->chunks[i];
			if (chunk->age <= age && t->data >= chunk->base &&
			    t->data < chunk->base + chunk->bytes)
				__atomic_store_n(&t->seq, 0, __ATOMIC_RELEASE);
		}
	}
}

/**
 * tmk__ring_free() - give back what is old, and end its tensors
 * @ws: a ring, or none
 * @spill: one of its collections
 * @age: all that is of this age or older
 */
void tmk__ring_free(struct tmk__ws *ws, struct tmk__spill *spill, uint64_t age)
{
	if (!spill->chunks_nr || spill->chunks[0].age > age)
		return;
	if (ws->is_ring)
		tensors_end(ws, spill, age);
	tmk__ws_spill_free(spill, age);
}

/* Whether @n bytes may be had in the ring in this cycle. */
static bool fits(const struct tmk__ws *ws, size_t n)
{
	const struct tmk__ring *ring = &ws->ring;
	uint64_t cycle = tmk__ws_cycle(ws);
	size_t offset = tmk__ws_offset(ws);

	if (ring->trimmed)
		return false;
	if (ws->block && (n > ws->block || cycle > ws->block - n))
		return false;
	if (ring->wrapped)
		return n <= ring->start - offset;
	if (n <= ring->end - offset)
		return true;
	/* It wraps: over everything, or up to where this scope began. */
	return n <= (offset == ws->cycle_base ? ring->end : ring->start);
}

/* Go on at the ring's beginning; what was spilled in earlier cycles goes. */
static void wrap(struct tmk__ws *ws)
{
	struct tmk__ring *ring = &ws->ring;
	size_t used = tmk__ws_cycle_block(ws);

	ring->lap += ring->end;
	ring->wrapped = used;
	if (!used)
		ring->start = 0;
	tmk__ws_offset_set(ws, 0);
	ws->cycle_base = -used;
	tmk__ring_free(ws, &ws->spill, ws->cell->gen - 1);
}

static void *bump(struct tmk__ws *ws, size_t n)
{
	struct tmk__ring *ring = &ws->ring;
	char *p;

	if (!ring->wrapped && n > ring->end - tmk__ws_offset(ws))
		wrap(ws);
	p = ws->next;
	tmk__ws_offset_set(ws, tmk__ws_offset(ws) + n);
	__atomic_store_n(&ws->cell->floor,
			 TMK__MAX(ws->cell->floor,
				  ring->lap + tmk__ws_offset(ws) - ring->end),
			 __ATOMIC_RELEASE);
	return p;
}

/* A cycle that does not fit: the rest of it goes beside the ring. */
static int pin(void **out, struct tmk__ws *ws, size_t n)
{
	bool grow = ws->opts.spill == TMK_WS_SPILL_REALLOCATE &&
		    ws->opts.learning != TMK_WS_LEARN_NONE;
	struct tmk__ring *ring = &ws->ring;
	bool pinned = ws->block || ring->trimmed || grow;
	int err;

	if (ws->opts.spill == TMK_WS_SPILL_FAIL)
		return tmk__ws_refuse_full(ws, n);
	err = tmk__ws_alloc_beside(out, ws, pinned ? &ws->pinned : &ws->spill,
				   n);
	if (!err && grow && !ring->trimmed) {
		ring->trimmed = true;
		ring->trimmed_step = ws->step;
	}
	return err;
}

/**
 * tmk__ring_alloc() - memory from a ring
 * @out: the memory: what was there before is still in it
 * @ws: open, with a ring
 * @n: bytes, a multiple of the alignment
 *
 * Return: 0; as tmk_workspace_alloc().
 */
int tmk__ring_alloc(void **out, struct tmk__ws *ws, size_t n)
{
	if (!fits(ws, n))
		return pin(out, ws, n);
	*out = bump(ws, n);
	return 0;
}

/**
 * tmk__ring_slot() - the next header for a tensor
 * @ws: open
 *
 * The oldest one, if it is stale and not of this generation: a handle of it
 * would be the same. Else one that was never used.
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__ring_slot(struct tmk__ws *ws)
{
	struct tmk__ring *ring = &ws->ring;
	struct tmk__tensor *t;
	uint32_t nr, slot = ring->head;
	int err;

	if (slot) {
		t = header_of(slot);
		ws->seq = tmk__extent_seq(slot / TMK__EXTENT_SLOTS,
					  ws->cell->gen);
		if (t->last_seq != ws->seq &&
		    (!__atomic_load_n(&t->seq, __ATOMIC_RELAXED) ||
		     t->mark < ws->cell->floor)) {
			ring->head = t->next_free;
			goto found;
		}
	}
	if (ring->fresh == ring->fresh_end) {
		err = tmk__extent_take(&nr, ws->cell_nr, ws->life,
				       ws->cell->gen, &ws->gen_end, true);
		if (err)
			return err;
		if (ws->extent == TMK__EXTENT_NONE)
			ws->extent_first = nr;
		else
			tmk__handles.extents[ws->extent].next = nr;
		ws->extent = nr;
		ring->fresh = nr * TMK__EXTENT_SLOTS;
		ring->fresh_end = ring->fresh + TMK__EXTENT_SLOTS;
	}
	slot = ring->fresh++;
	ws->seq = tmk__extent_seq(slot / TMK__EXTENT_SLOTS, ws->cell->gen);
found:
	__atomic_store_n(&header_of(slot)->seq, 0, __ATOMIC_RELEASE);
	ws->slot = slot;
	ws->slot_end = slot + 1;
	return 0;
}

/**
 * tmk__ring_enlist() - a tensor is made: queue its header, mark its memory
 * @ws: a ring
 * @header: filled in, about to be committed
 * @mark: its base's if it is a view, else 0
 */
void tmk__ring_enlist(struct tmk__ws *ws, struct tmk__tensor *header,
		      uint64_t mark)
{
	uint32_t slot = (uint32_t)(header - tmk__handles.slots);
	struct tmk__ring *ring = &ws->ring;

	if (!mark && !header->nr)
		mark = ring->lap + tmk__ws_offset(ws);
	else if (!mark && ws->size && header->data >= ws->base &&
		 header->data < ws->base + ws->size)
		mark = ring->lap + (uint64_t)(header->data - ws->base);
	else if (!mark)
		mark = UINT64_MAX;
	__atomic_store_n(&header->mark, mark, __ATOMIC_RELAXED);
	header->last_seq = ws->seq;
	header->next_free = 0;
	if (ring->head)
		header_of(ring->tail)->next_free = slot;
	else
		ring->head = slot;
	ring->tail = slot;
}

/**
 * tmk__ring_scope_begin() - a cycle begins where the last one ended
 * @ws: a ring, already in its new generation
 */
void tmk__ring_scope_begin(struct tmk__ws *ws)
{
	ws->cycle_base = tmk__ws_offset(ws);
	ws->ring.start = ws->cycle_base;
	ws->ring.wrapped = false;
	/* A header that was taken and not used is of another generation now. */
	if (ws->slot != ws->slot_end)
		ws->seq = tmk__extent_seq(ws->slot / TMK__EXTENT_SLOTS,
					  ws->cell->gen);
}

/**
 * tmk__ring_scope_end() - go to the end of the block that the cycle had
 * @ws: a ring
 * @cycle: what the cycle took
 *
 * A cycle that took nothing passes a block by, except at the very beginning; one
 * that had only pinned entries does not.
 */
void tmk__ring_scope_end(struct tmk__ws *ws, uint64_t cycle)
{
	size_t offset = tmk__ws_offset(ws);
	struct tmk__ring *ring = &ws->ring;

	if (ws->size && ws->block && !ring->trimmed) {
		if (offset != ws->cycle_base)
			offset = ring->start + ws->block;
		else if (!cycle && offset && offset < ring->end)
			offset += ws->block;
	}
	tmk__ws_offset_set(ws, offset);
	ws->cycle_base = offset;
	ring->start = offset;
	ring->wrapped = false;
}

/**
 * tmk__ring_over() - has a trimmed ring waited long enough to be made anew?
 * @ws: any workspace
 */
bool tmk__ring_over(const struct tmk__ws *ws)
{
	return ws->ring.trimmed &&
	       ws->ring.trimmed_step + PINNED_STEPS < ws->step;
}
