// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The tables behind tensor handles.
 *
 * A struct tmk_tensor * is not an address. It is the number of a header and a
 * sequence number (handle.h), so that the library can tell a tensor that is
 * valid from one whose scope has ended without reading anything that the
 * tensor owned.
 *
 * Why not plain pointers: a warmed-up cycle must reuse its headers, or it would
 * call malloc or run over ever new memory. A reused header gets a new
 * generation, and a stale pointer to it would look like a valid tensor of
 * another shape. The sequence in the handle is what tells the two apart.
 *
 * How a check works: header number -> extent -> cell of the workspace. The
 * handle is valid if its sequence stands for the generation that is open now.
 * Closing a scope sets the cell's generation to "none", which makes every
 * tensor of the scope stale with one store, however many there were.
 *
 * What is guaranteed, in every build:
 *  - A handle of an ended generation, of a destroyed workspace, of an exited
 *    thread's workspace or of a released tensor is never taken for a valid
 *    one, however often its header was reused since. Sequences of a header
 *    never repeat: an extent whose sequence space is nearly used up is retired.
 *  - Checking any 64-bit value is safe: tables are never unmapped and never
 *    shrink.
 *  - That a tensor stays valid during an operation is guaranteed in the thread
 *    whose scope it is. Another thread that uses a tensor while its owner
 *    closes the scope races with the owner, as with any memory: the check is
 *    safe, the use after it is not.
 *  - The message names the workspace and both generations while the workspace
 *    lives. Of a destroyed one it does so until the header, or the workspace's
 *    place in its table, is used again: queues see to it that this is not
 *    soon. Then it says that the workspace was destroyed.
 *
 * Lock: tables.lock guards taking and freeing extents and detached headers.
 * fork() takes it, so that the child finds whole tables and a free lock.
 * Readers take no lock: words and sequences are atomic, see above.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atfork.h"
#include "base/reserve.h"
#include "handle.h"
#include "internal.h"

/* Fewer sequences than this left: the extent is not worth giving out again. */
#define BUDGET_LEAST (UINT64_C(1) << 20)
/* A ring's tensors would be lost with its extent: it gets one for ages. */
#define BUDGET_RING (UINT64_C(1) << 36)
/* So many free extents keep saying whose they were before one is used again. */
#define QUARANTINE 64
/* Free extents beyond this many give their memory back. */
#define RESIDENT_MAX 128
/* Where address space is limited, be content with this many headers. */
#define HANDLES_LEAST (1u << 12)

#define EXTENT_BYTES (TMK__EXTENT_SLOTS * sizeof(struct tmk__tensor))

_Static_assert(sizeof(void *) == 8, "handles need 64-bit pointers");
_Static_assert(sizeof(struct tmk__tensor) == 192, "a header is 3 cache lines");

struct tmk__handles tmk__handles;

static struct {
	pthread_mutex_t lock;
	struct tmk__reserve slots;
	struct tmk__reserve extents;
	struct tmk__reserve cells;
	uint32_t extents_nr; /* given out at least once */
	uint32_t free_head; /* free extents, oldest first */
	uint32_t free_tail;
	uint32_t detached_free; /* free detached headers, latest first */
	bool trim; /* extents are whole pages */
} tables = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int fork_err;

static struct tmk__extent *extent(uint32_t nr)
{
	return &tmk__handles.extents[nr];
}

static void tables_lock(void)
{
	pthread_mutex_lock(&tables.lock);
}

static void tables_unlock(void)
{
	pthread_mutex_unlock(&tables.lock);
}

TMK__AT_LOAD(HANDLE)
static void fork_register(void)
{
	fork_err = pthread_atfork(tables_lock, tables_unlock, tables_unlock);
}

static int reserve_all(void)
{
	const size_t extent_max = TMK__HANDLES_MAX / TMK__EXTENT_SLOTS;
	const size_t slot = sizeof(struct tmk__tensor);
	int err;

	err = tmk__reserve_init(&tables.slots, TMK__HANDLES_MAX * slot,
				HANDLES_LEAST * slot);
	if (!err)
		err = tmk__reserve_init(&tables.extents,
					extent_max * sizeof(struct tmk__extent),
					4096);
	if (!err)
		err = tmk__reserve_init(&tables.cells,
					TMK__CELLS_MAX *
						sizeof(struct tmk__cell),
					4096);
	if (!err)
		err = tmk__reserve_grow(&tables.cells,
					TMK__CELL_FIRST *
						sizeof(struct tmk__cell));
	return err;
}

int tmk__handle_init(void)
{
	int err;

	tables_lock();
	err = fork_err ? -ENOMEM : 0;
	if (!err && !tmk__handles.slots) {
		err = reserve_all();
		if (!err) {
			tmk__handles.extents = (void *)tables.extents.base;
			tmk__handles.cells = (void *)tables.cells.base;
			tmk__handles.cells_nr = TMK__CELL_FIRST;
			tmk__handles.slots = (void *)tables.slots.base;
			tables.extents_nr = TMK__EXTENT_NONE + 1;
			tables.trim =
				EXTENT_BYTES % (size_t)sysconf(_SC_PAGESIZE) ==
				0;
		}
	}
	tables_unlock();
	if (err)
		return tmk__error(-ENOMEM, "no memory is left for the "
					   "tables of tensors and workspaces");
	return 0;
}

int tmk__cell_grow(uint32_t nr)
{
	int err;

	tables_lock();
	err = tmk__reserve_grow(&tables.cells, nr * sizeof(struct tmk__cell));
	if (!err && nr > tmk__handles.cells_nr)
		tmk__handles.cells_nr = nr;
	tables_unlock();
	if (err)
		return tmk__error(-ENOMEM,
				  "no memory for the table of "
				  "workspaces (%u entries)",
				  nr);
	return 0;
}

/* One extent that was never used. Called with the lock. */
static int extent_fresh(uint32_t *out)
{
	uint32_t nr = tables.extents_nr;
	int err;

	err = tmk__reserve_grow(&tables.extents,
				(nr + 1) * sizeof(struct tmk__extent));
	if (!err)
		err = tmk__reserve_grow(&tables.slots, (nr + 1) * EXTENT_BYTES);
	if (err)
		return err;
	tables.extents_nr = nr + 1;
	*out = nr;
	return 0;
}

static int extent_error(int err)
{
	uint32_t nr = tables.extents_nr * TMK__EXTENT_SLOTS;

	if (err == -ENOSPC)
		return tmk__error(-ENOMEM,
				  "%u tensors exist, which is the "
				  "most that there can be",
				  nr);
	return tmk__error(-ENOMEM,
			  "no memory for the headers of more than "
			  "%u tensors",
			  nr);
}

/* Let readers see the extent. Its memory may be read from here on. */
static void extent_publish(uint32_t nr, uint32_t cell, uint64_t bias)
{
	uint32_t slots_nr = (nr + 1) * TMK__EXTENT_SLOTS;

	__atomic_store_n(&extent(nr)->word,
			 (uint64_t)cell << TMK__SEQ_BITS | bias,
			 __ATOMIC_RELEASE);
	if (slots_nr > tmk__handles.slots_nr)
		__atomic_store_n(&tmk__handles.slots_nr, slots_nr,
				 __ATOMIC_RELEASE);
}

int tmk__extent_take(uint32_t *out, uint32_t cell, uint64_t life, uint64_t gen,
		     uint64_t *gen_end, bool ring)
{
	struct tmk__extent *e;
	uint64_t end;
	uint32_t nr;
	int err = 0;

	tables_lock();
	nr = tables.free_head;
	if (tmk__handles.free_nr > QUARANTINE &&
	    (!ring || TMK__SEQ_MAX - extent(nr)->last >= BUDGET_RING)) {
		tables.free_head = extent(nr)->next;
		tmk__handles.free_nr--;
	} else {
		err = tmk__fault("extent") ? -ENOMEM : extent_fresh(&nr);
	}
	if (err) {
		err = extent_error(err);
	} else {
		e = extent(nr);
		e->cell = cell;
		e->life = life;
		e->next = TMK__EXTENT_NONE;
		/* This generation gets the first sequence not yet used here. */
		e->first = e->last + 1;
		e->gen = gen;
		end = gen + (TMK__SEQ_MAX - e->last);
		if (end < *gen_end)
			*gen_end = end;
		extent_publish(nr, cell, (e->first - gen) & TMK__SEQ_MAX);
		*out = nr;
	}
	tables_unlock();
	return err;
}

/* Give the memory behind extents [first, first + nr) back to the system. */
static void extent_trim(uint32_t first, uint32_t nr)
{
	if (nr && tables.trim)
		madvise((char *)tmk__handles.slots + first * EXTENT_BYTES,
			nr * EXTENT_BYTES, MADV_DONTNEED);
}

void tmk__extent_free(uint32_t first, uint64_t gen)
{
	uint32_t nr, next, run = 0, run_nr = 0;
	struct tmk__extent *e;

	tables_lock();
	for (nr = first; nr != TMK__EXTENT_NONE; nr = next) {
		e = extent(nr);
		next = e->next;
		e->last = e->first + (gen - e->gen);
		e->next = TMK__EXTENT_NONE;
		__atomic_store_n(&e->word,
				 (uint64_t)TMK__CELL_NOBODY << TMK__SEQ_BITS,
				 __ATOMIC_RELEASE);
		if (tmk__handles.free_nr >= RESIDENT_MAX ||
		    TMK__SEQ_MAX - e->last < BUDGET_LEAST) {
			if (nr != run + run_nr) {
				extent_trim(run, run_nr);
				run = nr;
				run_nr = 0;
			}
			run_nr++;
		}
		if (TMK__SEQ_MAX - e->last < BUDGET_LEAST)
			continue; /* retired: never given out again */
		if (tables.free_head)
			extent(tables.free_tail)->next = nr;
		else
			tables.free_head = nr;
		tables.free_tail = nr;
		tmk__handles.free_nr++;
	}
	extent_trim(run, run_nr);
	tables_unlock();
}

/* 64 more detached headers. Called with the lock. */
static int detached_grow(void)
{
	struct tmk__tensor *t;
	uint32_t nr, i, slot;
	int err;

	/* Fresh ones only: what is detached stays detached. */
	err = tmk__fault("extent") ? -ENOMEM : extent_fresh(&nr);
	if (err)
		return err;
	extent(nr)->cell = TMK__CELL_DETACHED;
	extent_publish(nr, TMK__CELL_DETACHED, 0);
	for (i = TMK__EXTENT_SLOTS; i > 0; i--) {
		slot = nr * TMK__EXTENT_SLOTS + i - 1;
		t = &tmk__handles.slots[slot];
		t->next_free = tables.detached_free;
		tables.detached_free = slot;
	}
	return 0;
}

/* The program has it from now on. */
static int detached_remember(const struct tmk_tensor *handle)
{
	struct tmk__holder h = {
		.key = (uintptr_t)handle,
		.made = tmk__stack_take(),
		.what = TMK__HOLDER_TENSOR,
	};

	return tmk__holder_add(&h);
}

int tmk__detached_take(struct tmk_tensor **out, struct tmk__tensor **header)
{
	struct tmk__tensor *t;
	uint32_t slot;
	int err;

	err = tmk__handle_init();
	if (err)
		return err;
	tables_lock();
	if (!tables.detached_free) {
		err = detached_grow();
		if (err) {
			err = extent_error(err);
			tables_unlock();
			return err;
		}
	}
	slot = tables.detached_free;
	t = &tmk__handles.slots[slot];
	tables.detached_free = t->next_free;
	t->last_seq++;
	t->refs = 1;
	__atomic_store_n(&t->seq, t->last_seq, __ATOMIC_RELEASE);
	*out = tmk__handle_make(slot, t->last_seq);
	*header = t;
	tables_unlock();
	err = tmk__debug() ? detached_remember(*out) : 0;
	if (err)
		tmk__detached_free(*out);
	return err;
}

/* Called with the lock. */
static void detached_release(uint32_t slot)
{
	struct tmk__tensor *t = &tmk__handles.slots[slot];

	if (tmk__debug())
		tmk__holder_remove(TMK__HOLDER_TENSOR,
				   (uintptr_t)tmk__handle_make(slot,
							       t->last_seq));
	__atomic_store_n(&t->seq, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&t->region, NULL, __ATOMIC_RELAXED);
	t->data = NULL;
	if (t->last_seq < TMK__SEQ_MAX) {
		t->next_free = tables.detached_free;
		tables.detached_free = slot;
	}
}

void tmk__detached_free(const struct tmk_tensor *handle)
{
	tables_lock();
	detached_release(tmk__handle_slot(handle));
	tables_unlock();
}

uint32_t tmk__detached_end(const struct tmk_region *region)
{
	struct tmk__tensor *t;
	uint32_t i, slot, nr = 0;

	tables_lock();
	for (i = TMK__EXTENT_NONE + 1; i < tables.extents_nr; i++) {
		if (extent(i)->cell != TMK__CELL_DETACHED)
			continue;
		slot = i * TMK__EXTENT_SLOTS;
		for (; slot < (i + 1) * TMK__EXTENT_SLOTS; slot++) {
			t = &tmk__handles.slots[slot];
			if (__atomic_load_n(&t->region, __ATOMIC_RELAXED) !=
				    region ||
			    t->owner)
				continue;
			detached_release(slot);
			nr++;
		}
	}
	tables_unlock();
	return nr;
}

/* The largest sequence that was ever given out for a header. With the lock. */
static uint64_t newest_seq(const struct tmk__extent *e, uint32_t slot)
{
	const struct tmk__cell *cell = &tmk__handles.cells[e->cell];

	if (e->cell == TMK__CELL_DETACHED)
		return tmk__handles.slots[slot].last_seq;
	if (e->word >> TMK__SEQ_BITS != e->cell)
		return e->last; /* free */
	return e->first +
	       (__atomic_load_n(&cell->gen, __ATOMIC_RELAXED) - e->gen);
}

void tmk__handle_origin(struct tmk__handle_origin *out,
			const struct tmk_tensor *handle)
{
	uint32_t slot = tmk__handle_slot(handle);
	uint64_t seq = tmk__handle_seq(handle);
	struct tmk__extent *e;

	memset(out, 0, sizeof(*out));
	if (slot < TMK__EXTENT_SLOTS || !seq ||
	    slot >= __atomic_load_n(&tmk__handles.slots_nr, __ATOMIC_ACQUIRE))
		return;
	tables_lock();
	e = extent(slot / TMK__EXTENT_SLOTS);
	if (seq <= newest_seq(e, slot)) {
		out->known = true;
		out->attached = e->cell != TMK__CELL_DETACHED;
	}
	/* A smaller sequence is of an owner before: that one is forgotten. */
	if (out->attached && seq >= e->first) {
		out->cell = e->cell;
		out->life = e->life;
		out->gen = e->gen + (seq - e->first);
	}
	tables_unlock();
}
