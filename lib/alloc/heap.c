// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The window of address space, its arenas, fork(), and who is told how much of
 * the memory that the ledger calls cache the program has.
 *
 * A child does not allocate from what it inherits, because its parent does and
 * it is the same memory. It gives back at once what is wholly free, keeps the
 * rest until it is freed, and opens a window of its own when it first needs one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../base/atfork.h"
#include "tcache.h"

#define GIB (UINT64_C(1) << 30)
#define ARENA_MAX (UINT64_C(1) << 40)

struct tmk__heap *tmk__heap;

static struct tmk__heap first_heap;
static struct tmk__heap *inherited; /* a child's, newest first */
static pthread_mutex_t grow_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool closed;
static bool over; /* more is held than a limit allows, or somebody waits */
static bool known; /* the tables, and we to the ledger */

/** tmk__heap_grow_unlock() - the other half */
void tmk__heap_grow_unlock(void)
{
	pthread_mutex_unlock(&grow_mutex);
}

/** tmk__heap_now() - a clock for ages. Return: milliseconds. */
uint32_t tmk__heap_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)((uint64_t)now.tv_sec * 1000 +
			  (uint64_t)now.tv_nsec / 1000000);
}

/** tmk__heap_tight() - is nothing to be kept? Under heap_lock. */
bool tmk__heap_tight(void)
{
	return closed || over;
}

/** tmk__heap_reopen() - the library is in use again; under heap_lock */
void tmk__heap_reopen(void)
{
	closed = false;
	tmk__heap_look();
}

/** tmk__heap_look() - is anything to be kept from now on? Under heap_lock. */
void tmk__heap_look(void)
{
	over = tmk__ledger_over() || tmk__wait_busy();
	/* Not to be decided by a fork() of a program that has no block. */
	tmk__tcache_mode(closed || over || (known && tmk__debug()));
}

/* Tell of what the ledger has as cache and the program has got. */
static void lent(int64_t *by_purpose)
{
	tmk__heap_lock();
	tmk__tcache_live(by_purpose);
	tmk__heap_unlock();
}

static const struct tmk__lender lender = { .lent = lent };

static bool pool_drop(void)
{
	return tmk__trim_all(0);
}

static void pool_shut(void)
{
	tmk__fence_shut();
	tmk__heap_lock();
	closed = true;
	tmk__heap_look();
	tmk__heap_unlock();
	tmk__trim_all(0);
}

static void pool_limits(void)
{
	bool tight;

	tmk__heap_lock();
	tmk__heap_look();
	tight = over;
	tmk__heap_unlock();
	if (tight)
		tmk__trim_all(0);
}

static void pool_fork_prepare(void)
{
	tmk__fence_lock();
	tmk__heap_grow_lock();
	tmk__heap_lock();
	tmk__tcache_stop();
}

static void pool_fork_parent(void)
{
	tmk__tcache_go();
	tmk__heap_unlock();
	tmk__heap_grow_unlock();
	tmk__fence_unlock(false);
}

static void pool_fork_child(void)
{
	tmk__tcache_child();
	if (tmk__heap) {
		tmk__heap->older = inherited;
		inherited = tmk__heap;
		tmk__heap = NULL;
	}
	tmk__heap_unlock();
	tmk__heap_grow_unlock();
	tmk__fence_unlock(true);
	tmk__trim_all(0);
}

static const struct tmk__pool pool = {
	.drop = pool_drop,
	.shut = pool_shut,
	.limits = pool_limits,
	.fork_prepare = pool_fork_prepare,
	.fork_parent = pool_fork_parent,
	.fork_child = pool_fork_child,
};

TMK__AT_LOAD(HEAP)
static void ready(void)
{
	tmk__cache_pool(&pool);
}

/** tmk__heap_grow_lock() - to get memory or to give it back; before heap_lock */
void tmk__heap_grow_lock(void)
{
	pthread_mutex_lock(&grow_mutex);
}

/*
 * Room for four times the machine's memory in each arena, if there is: three times,
 * and what stitches have.
 */
static uint64_t arena_bytes(void)
{
	struct tmk__error_state before;
	uint64_t total, bytes = GIB;

	tmk__error_save(&before);
	if (tmk__meminfo(&total, NULL)) {
		tmk__error_restore(&before);
		total = 16 * GIB;
	}
	while (bytes < 4 * total && bytes < ARENA_MAX)
		bytes *= 2;
	return bytes;
}

static void *reserve(uint64_t bytes, int prot)
{
	void *p;

	tmk__calls_add(1);
	p = tmk__fault("window") ?
		    MAP_FAILED :
		    mmap(NULL, bytes, prot,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* A window, its map and its table, of that size or not at all. */
static bool window_try(struct tmk__heap *heap, uint64_t arena)
{
	uint64_t bytes = arena * TMK__ARENAS, pages = bytes >> TMK__PAGE_SHIFT;
	uint64_t map = pages * sizeof(*heap->map);
	uint64_t table = pages / 4 * sizeof(struct tmk__block);
	char *window = reserve(bytes + GIB, PROT_NONE);

	if (!window)
		return false;
	heap->map = reserve(map, PROT_READ | PROT_WRITE);
	if (!heap->map)
		goto err_window;
	if (tmk__reserve_init(&heap->room, table, table) ||
	    tmk__reserve_grow(&heap->room,
			      TMK__ENTRIES * sizeof(struct tmk__block)))
		goto err_map;
	heap->base = (char *)TMK__ALIGN_UP((uintptr_t)window, GIB);
	heap->bytes = bytes;
	heap->arena_pages = (uint32_t)(arena >> TMK__PAGE_SHIFT);
	heap->blocks = (struct tmk__block *)heap->room.base;
	heap->blocks[0].page = UINT32_MAX;
	heap->blocks_nr = TMK__ENTRIES;
	return true;

err_map:
	munmap(heap->map, map);
err_window:
	munmap(window, bytes + GIB);
	return false;
}

static int window_make(struct tmk__heap *heap)
{
	uint64_t arena;

	for (arena = arena_bytes(); arena >= GIB; arena /= 2)
		if (window_try(heap, arena))
			return 0;
	return tmk__error(-ENOMEM, "no address space for the allocator");
}

static int heap_make(void)
{
	struct tmk__heap *heap = inherited ? NULL : &first_heap;
	int err;

	if (!heap)
		heap = tmk__fault("heap") ? NULL : calloc(1, sizeof(*heap));
	if (!heap)
		return tmk__error(-ENOMEM, "no memory for a heap");
	err = window_make(heap);
	if (err) {
		if (heap != &first_heap)
			free(heap);
		return err;
	}
	if (!known) {
		tmk__shard_begin();
		tmk__slab_init();
		tmk__pages_init();
		tmk__purpose_lender(&lender);
		known = true;
		tmk__heap_look();
	}
	tmk__heap = heap;
	return 0;
}

/* An arena that is not in use yet: all of it is absent. */
static int arena_make(struct tmk__arena *arena, struct tmk__heap *heap,
		      enum tmk_kind kind, uint32_t flags, int32_t node)
{
	uint32_t number = (uint32_t)(arena - heap->arenas), index;
	struct tmk__block *all;
	int err;

	err = tmk__pages_room(heap, arena, 2);
	if (err)
		return err;
	arena->kind = kind;
	arena->flags = flags;
	arena->node = node;
	arena->first = number * heap->arena_pages;
	arena->pages = heap->arena_pages;
	arena->pages -= tmk__stitch_space(arena, arena->pages);
	index = tmk__pages_entry(heap, arena);
	all = &heap->blocks[index];
	all->page = arena->first;
	all->pages = arena->pages;
	tmk__pages_absent_all(heap, index);
	return 0;
}

/**
 * tmk__heap_get() - have a heap to allocate from; under heap_lock
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__heap_get(void)
{
	struct tmk__arena *arena;
	int err;

	err = tmk__heap ? 0 : heap_make();
	if (err)
		return err;
	return tmk__heap_arena(&arena, 0, 0, TMK_NODE_ANY);
}

/**
 * tmk__heap_arena() - the arena of a kind and node; under heap_lock
 * @out: the arena
 * @kind: 0 for what fits
 * @flags: TMK_REGION_F_*
 * @node: NUMA node
 *
 * Without any of them that is this thread's shard.
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__heap_arena(struct tmk__arena **out, enum tmk_kind kind, uint32_t flags,
		    int32_t node)
{
	struct tmk__heap *heap = tmk__heap;
	struct tmk__arena *arena;
	uint32_t i;
	int err;

	i = kind || flags || node != TMK_NODE_ANY ? TMK__SHARDS :
	    tmk__tcache				  ? tmk__tcache->shard :
						    0;
	for (; i < TMK__ARENAS; i++) {
		arena = &heap->arenas[i];
		if (!arena->pages) {
			err = arena_make(arena, heap, kind, flags, node);
			if (err)
				return err;
		}
		if (arena->kind == kind && arena->flags == flags &&
		    arena->node == node) {
			*out = arena;
			return 0;
		}
	}
	return tmk__error(-ENOMEM, "blocks of more than %d kinds and nodes",
			  TMK__ARENAS - TMK__SHARDS);
}

/**
 * tmk__heap_of() - whose address is that? Under heap_lock.
 * @ptr: any value
 *
 * Return: the heap; NULL if it is in none.
 */
struct tmk__heap *tmk__heap_of(const void *ptr)
{
	struct tmk__heap *heap = tmk__heap ? tmk__heap : inherited;

	for (; heap; heap = heap == tmk__heap ? inherited : heap->older)
		if ((uintptr_t)ptr - (uintptr_t)heap->base < heap->bytes)
			return heap;
	return NULL;
}

/** tmk__heap_inherited() - heaps of the parents. Return: the newest. */
struct tmk__heap *tmk__heap_inherited(void)
{
	return inherited;
}
