// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The table of workspaces: places that are used again, lives that are not.
 *
 * A destroyed workspace's place keeps its id as a tombstone, so that an old
 * handle, of the workspace or of a tensor in it, can still be told by name.
 * Destroyed places queue up, oldest first, and are used again only when the
 * queue is longer than QUARANTINE. A place whose lives are used up is left.
 *
 * Lock: table_lock guards taking and freeing places, reading tombstones, and the
 * names of shared workspaces. It is taken after a shared workspace's own lock and
 * before that of the tables of handles.
 */
#define _GNU_SOURCE /* gettid() */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/reserve.h"
#include "internal.h"
#include "ws.h"

#define QUARANTINE 64
#define PLACES_LEAST 64

struct tmk__ws_table tmk__ws_table;

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tmk__reserve places;
static uint32_t free_head, free_tail, free_nr; /* place 0 is never used */

/* A place that was never used. Called with the lock. */
static int place_fresh(uint32_t *out)
{
	uint32_t nr = tmk__ws_table.nr ? tmk__ws_table.nr : 1;
	size_t bytes = sizeof(struct tmk__ws);
	int err;

	if (nr + TMK__CELL_FIRST >= TMK__CELLS_MAX)
		return tmk__error(-ENOMEM,
				  "%u workspaces exist, which is the "
				  "most that there can be",
				  nr - 1);
	err = tmk__reserve_init(&places, TMK__CELLS_MAX * bytes,
				PLACES_LEAST * bytes);
	if (!err)
		err = tmk__reserve_grow(&places, (nr + 1) * bytes);
	if (err)
		return tmk__error(-ENOMEM,
				  "no memory for the table of "
				  "workspaces (%u entries)",
				  nr);
	err = tmk__cell_grow(nr + TMK__CELL_FIRST + 1);
	if (err)
		return err;
	if (!tmk__ws_table.ws) {
		tmk__ws_table.ws = (void *)places.base;
		tmk__ws_table.ws[0].handle = UINT64_MAX; /* not NULL */
	}
	pthread_mutex_init(&tmk__ws_table.ws[nr].lock, NULL);
	__atomic_store_n(&tmk__ws_table.nr, nr + 1, __ATOMIC_RELEASE);
	*out = nr;
	return 0;
}

/* The oldest tombstone, if enough others keep their names. With the lock. */
static uint32_t place_recycle(void)
{
	uint32_t nr = free_head;

	if (free_nr <= QUARANTINE)
		return 0;
	free_head = tmk__ws_table.ws[nr].next_free;
	free_nr--;
	return nr;
}

/* All of it but what other threads may look at with an old handle. */
static void place_clear(struct tmk__ws *ws)
{
	char *next = (char *)&ws->next, *seq = (char *)&ws->seq;

	memset(next, 0, (size_t)((char *)&ws->thread - next));
	__atomic_store_n(&ws->thread, NULL, __ATOMIC_RELAXED);
	memset(seq, 0, (size_t)((char *)&ws->lock - seq));
}

/**
 * tmk__ws_place_take() - a place for a new workspace
 * @out: its inside: all zero but for who it is
 *
 * The calling thread has its record: tmk__thread_self() made the tables.
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__ws_place_take(struct tmk__ws **out)
{
	struct tmk__ws *ws;
	uint64_t life;
	uint32_t nr;
	int err = 0;

	pthread_mutex_lock(&table_lock);
	nr = place_recycle();
	if (!nr)
		err = tmk__fault("place") ?
			      tmk__error(-ENOMEM, "no memory for the table of "
						  "workspaces") :
			      place_fresh(&nr);
	if (!err) {
		ws = &tmk__ws_table.ws[nr];
		life = ws->life + 1;
		place_clear(ws);
		ws->life = life;
		ws->cell_nr = nr + TMK__CELL_FIRST;
		ws->cell = &tmk__handles.cells[ws->cell_nr];
		ws->gen_base = ws->cell->gen;
		ws->gen_end = UINT64_MAX;
		ws->spill.use = TMK_USE_SPILL;
		ws->pinned.use = TMK_USE_PINNED_ENTRY;
		ws->outside.use = TMK_USE_GENERAL;
		ws->pid = getpid();
		ws->tid = gettid();
		__atomic_store_n(&ws->handle,
				 (uintptr_t)tmk__ws_handle_make(nr, life),
				 __ATOMIC_RELEASE);
		*out = ws;
	}
	pthread_mutex_unlock(&table_lock);
	return err;
}

/**
 * tmk__ws_place_free() - end a workspace's life
 * @ws: it holds no memory any more; its id stays as the tombstone
 */
void tmk__ws_place_free(struct tmk__ws *ws)
{
	uint32_t nr = (uint32_t)(ws - tmk__ws_table.ws);

	pthread_mutex_lock(&table_lock);
	__atomic_store_n(&ws->handle, 0, __ATOMIC_RELEASE);
	if (ws->life < TMK__LIFE_MAX) {
		ws->next_free = 0;
		if (free_nr)
			tmk__ws_table.ws[free_tail].next_free = nr;
		else
			free_head = nr;
		free_tail = nr;
		free_nr++;
	}
	pthread_mutex_unlock(&table_lock);
}

/**
 * tmk__ws_stale() - say why a workspace handle leads nowhere
 * @handle: tmk__ws_is_alive() said no
 *
 * Return: -EINVAL if it never was a workspace, else -ESTALE; with a sentence.
 */
int tmk__ws_stale(const struct tmk_workspace *handle)
{
	uint64_t v = (uint64_t)(uintptr_t)handle;
	uint64_t place = v >> TMK__LIFE_BITS, life = v & TMK__LIFE_MAX;
	struct tmk__ws_epitaph it = { .known = false };

	if (!handle)
		return tmk__error(-EINVAL, "the workspace is NULL");
	if (place && life &&
	    place < __atomic_load_n(&tmk__ws_table.nr, __ATOMIC_ACQUIRE))
		tmk__ws_epitaph(&it, (uint32_t)place, life);
	if (!it.known)
		return tmk__error(-EINVAL, "this is no workspace (%p)", handle);
	if (!*it.id)
		return tmk__error(-ESTALE, "the workspace was destroyed");
	return tmk__error(-ESTALE, "workspace \"%s\" was destroyed", it.id);
}

/**
 * tmk__ws_epitaph() - what is still known of a workspace, living or not
 * @out: filled in; the id is "" if the place was used again since
 * @place: its place
 * @life: its life
 */
void tmk__ws_epitaph(struct tmk__ws_epitaph *out, uint32_t place, uint64_t life)
{
	const struct tmk__ws *ws = &tmk__ws_table.ws[place];

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&table_lock);
	out->known = life <= ws->life;
	if (life == ws->life) {
		snprintf(out->id, sizeof(out->id), "%s", ws->id);
		out->alive = ws->handle;
		out->gen_base = ws->gen_base;
		out->inherited = ws->inherited;
	}
	pthread_mutex_unlock(&table_lock);
}

/** tmk__ws_table_lock() - hold what guards the table: for fork(), and for names */
void tmk__ws_table_lock(void)
{
	pthread_mutex_lock(&table_lock);
}

/** tmk__ws_table_unlock() - the other half of tmk__ws_table_lock() */
void tmk__ws_table_unlock(void)
{
	pthread_mutex_unlock(&table_lock);
}

/**
 * tmk__ws_table_disown() - in a child after fork(): no workspace is usable
 *
 * The parent goes on using the same memory, so every tensor in a workspace is
 * stale here from now on. What other threads were doing to shared ones is never
 * seen: none is looked into, only their locks are taken, so these are made anew.
 */
void tmk__ws_table_disown(void)
{
	uint32_t nr;

	for (nr = 1; nr < tmk__ws_table.nr; nr++) {
		tmk__handles.cells[nr + TMK__CELL_FIRST].valid = 0;
		tmk__ws_table.ws[nr].inherited = true;
		pthread_mutex_init(&tmk__ws_table.ws[nr].lock, NULL);
	}
	tmk__everybody.first = NULL;
}
