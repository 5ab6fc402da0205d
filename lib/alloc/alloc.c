// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The allocator's public functions. What a thread has in its cache is handed out
 * and taken back here without a lock or an atomic instruction; everything else
 * goes to the heap under heap_lock.
 *
 * Each block and each object has a byte of state, outside of its memory. It
 * says who has it, and for what; so what is freed twice, or never was a block,
 * is noticed and nothing happens to it. Should two threads free the same block
 * at the same moment, both may put it into their caches: the state is looked at
 * again before it is handed out, and the second one lets go of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tcache.h"

/* A processor fetches its instructions by so many bytes: one time less for each call. */
#define FETCHED __attribute__((aligned(64)))

static inline struct tmk__tcache *cache_enter(void)
{
	struct tmk__tcache *cache = tmk__tcache;

	if (__builtin_expect(!cache, 0))
		return NULL;
	atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
	/* For others membarrier() makes a full barrier of it. */
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&cache->stop,
						  memory_order_acquire),
			     0)) {
		atomic_store_explicit(&cache->busy, 0, memory_order_release);
		return NULL;
	}
	return cache;
}

static inline void cache_leave(struct tmk__tcache *cache)
{
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/*
 * A slot is read right after it was written: each half by itself, because a
 * processor cannot forward two narrow stores to one wide load.
 */
static inline void slot_put(struct tmk__slot *to, const struct tmk__slot *slot)
{
	__atomic_store_n(&to->data, slot->data, __ATOMIC_RELAXED);
	__atomic_store_n(&to->state, slot->state, __ATOMIC_RELAXED);
}

static inline void slot_get(struct tmk__slot *out, const struct tmk__slot *from)
{
	out->data = __atomic_load_n(&from->data, __ATOMIC_RELAXED);
	out->state = __atomic_load_n(&from->state, __ATOMIC_RELAXED);
}

/* Computed here: the compiler would do it again for each slot. */
static inline struct tmk__bin *bin_at(struct tmk__tcache *cache, size_t bin)
{
	struct tmk__bin *at = &cache->bins[bin];

	__asm__("" : "+r"(at));
	return at;
}

/* The same of a slot, for its halves; @used bytes of slots are below it. */
static inline struct tmk__slot *slot_at(struct tmk__bin *bin, size_t used)
{
	char *at = (char *)bin + used;

	return (struct tmk__slot *)(void *)(at +
					    offsetof(struct tmk__bin, slots));
}

/* Take what is on top of a bin, a block if it has more than @page. Return: false if not. */
static inline __attribute__((always_inline)) bool bin_take(void **out,
							   struct tmk__bin *bin,
							   bool is_block,
							   uint32_t page)
{
	uint64_t all = bin->used;
	size_t used = (uint32_t)all;
	struct tmk__slot slot;

	if (__builtin_expect(!used, 0))
		return false;
	slot_get(&slot, slot_at(bin, used) - 1);
	if (is_block &&
	    __builtin_expect(tmk__slot_block(&slot)->room <= page, 0))
		return false;
	bin->used = all + TMK__TAKEN - sizeof(slot);
	/* Or somebody else has it: freed twice at the same moment. */
	if (__builtin_expect(tmk__state_get(slot.state) != TMK__CACHED, 0))
		return false;
	tmk__state_set(slot.state, TMK__LIVE);
	*out = slot.data;
	return true;
}

/* Put something of the program's on top of a bin. Return: false if that is full. */
static inline __attribute__((always_inline)) bool bin_put(
	struct tmk__bin *bin, void *ptr, _Atomic uint8_t *state)
{
	struct tmk__slot slot = { ptr, state };
	uint64_t all = bin->used;
	uint32_t used = (uint32_t)all;

	if (__builtin_expect(used == bin->max, 0))
		return false;
	tmk__state_set(state, TMK__CACHED);
	slot_put(slot_at(bin, used), &slot);
	bin->used = all + sizeof(slot);
	return true;
}

static __attribute__((noinline)) int alloc_slow(
	void **out, size_t bytes, const struct tmk_alloc_opts *opts)
{
	return tmk__debug() ? tmk__checked_alloc(out, bytes, opts) :
			      tmk__block_alloc(out, bytes, opts);
}

/*
 * All ways to the end in one piece: a jump costs more than what it would save. That
 * for most blocks comes first, and has one comparison of sizes.
 */
FETCHED int tmk_alloc(void **out, size_t bytes,
		      const struct tmk_alloc_opts *opts)
{
	const size_t few = TMK__ARRAY_SIZE(tmk__page_bins) - 1; /* pages */
	size_t last = bytes - 1;
	uint32_t page = (uint32_t)(last >> TMK__PAGE_SHIFT);
	struct tmk__tcache *cache;
	struct tmk__bin *bin;

	if (__builtin_expect(opts || !out, 0))
		goto slow;
	cache = cache_enter();
	if (__builtin_expect(!cache, 0))
		goto slow;
	if (__builtin_expect(last - TMK__SMALL_MAX <
				     few * TMK__PAGE - TMK__SMALL_MAX,
			     1)) {
		bin = bin_at(cache, tmk__page_bins[page + 1]);
		if (__builtin_expect(!bin_take(out, bin, true, page), 0))
			goto miss;
		cache_leave(cache);
		return 0;
	}
	if (last < TMK__SMALL_MAX) {
		bin = bin_at(cache, tmk__slab_bins[(bytes + 63) >> 6]);
		if (__builtin_expect(!bin_take(out, bin, false, 0), 0))
			goto miss;
		cache_leave(cache);
		return 0;
	}
	if (last >= TMK__LARGE_MAX)
		goto miss;
	bin = bin_at(cache, tmk__page64_bins[(page + 1) >> 6]);
	if (__builtin_expect(!bin_take(out, bin, true, page), 0))
		goto miss;
	cache_leave(cache);
	return 0;

miss:
	cache_leave(cache);
slow:
	return alloc_slow(out, bytes, opts);
}

/*
 * The entry that the map has for an address, and how far behind the window's
 * beginning that is. Return: the entry, of any type; NULL for a foreign address.
 */
static inline struct tmk__block *entry_at(uint64_t *at,
					  const struct tmk__heap *heap,
					  const void *ptr)
{
	*at = (uintptr_t)ptr - (uintptr_t)heap->base;
	if (__builtin_expect(*at >= heap->bytes, 0))
		return NULL;
	return &heap->blocks[atomic_load_explicit(&heap->map[*at >>
							     TMK__PAGE_SHIFT],
						  memory_order_relaxed)];
}

/* The state of the object that begins there. Return: NULL if none does. */
static inline _Atomic uint8_t *object_at(struct tmk__block *block, uint64_t at)
{
	uint64_t object;

	at -= (uint64_t)block->page << TMK__PAGE_SHIFT;
	object = at * block->recip >> 32;
	/* With that many none lies outside of it, and what is no slab has none. */
	return object * block->size == at && object < block->objects ?
		       &block->states[object] :
		       NULL;
}

/*
 * Which block or object begins at an address: where its state is and how large
 * it is. Return: its block; NULL if none does.
 */
static struct tmk__block *lookup(_Atomic uint8_t **state, uint64_t *bytes,
				 const struct tmk__heap *heap, const void *ptr)
{
	uint64_t at;
	struct tmk__block *block = entry_at(&at, heap, ptr);

	if (block && block->type == TMK__RUN_LARGE) {
		*state = &block->state;
		*bytes = tmk__block_bytes(block);
		return at == block->begin ? block : NULL;
	}
	*state = block ? object_at(block, at) : NULL;
	if (!*state)
		return NULL;
	*bytes = block->size;
	return block;
}

/* A block or an object goes back to the heap; under its arena's lock. */
static void give(struct tmk__heap *heap, struct tmk__block *block,
		 _Atomic uint8_t *state)
{
	tmk__state_set(state, TMK__GONE);
	if (block->type == TMK__RUN_SLAB)
		tmk__slab_give(heap, block,
			       (unsigned int)(state - block->states));
	else
		tmk__pages_free(heap, (uint32_t)(block - heap->blocks), false,
				tmk__heap_now());
}

/**
 * tmk__slot_give() - what a thread kept goes back to the heap; under its arena's lock
 * @slot: where it is
 *
 * Return: its bytes, 0 if it was not there any more.
 */
uint64_t tmk__slot_give(const struct tmk__slot *slot)
{
	struct tmk__heap *heap = tmk__heap_of(slot->data);
	_Atomic uint8_t *state;
	struct tmk__block *block;
	uint64_t bytes;

	/* Somebody else has it: freed twice at the same moment. */
	if (tmk__state_get(slot->state) != TMK__CACHED)
		return 0;
	block = lookup(&state, &bytes, heap, slot->data);
	if (!block)
		tmk__bug("a thread kept %p, which is no block", slot->data);
	give(heap, block, state);
	return bytes;
}

/**
 * tmk__block_retire() - the program has a block no more, and nobody else yet;
 * under heap_lock
 * @out: to be given to tmk__slot_give() later
 * @bytes: how large it is
 * @ptr: the block
 *
 * Return: 0; -EALREADY, -EINVAL with a sentence.
 */
int tmk__block_retire(struct tmk__slot *out, uint64_t *bytes, void *ptr)
{
	struct tmk__heap *heap = tmk__heap_of(ptr);
	struct tmk__slot slot = { ptr, NULL };
	struct tmk__block *block = NULL;
	uint8_t state = TMK__GONE;

	if (heap)
		block = lookup(&slot.state, bytes, heap, ptr);
	if (block)
		state = tmk__state_get(slot.state);
	if (state < TMK__LIVE)
		return tmk__misuse(heap, ptr);
	tmk__tcache_count(state - TMK__LIVE, -(int64_t)*bytes);
	tmk__state_set(slot.state, TMK__CACHED);
	*out = slot;
	return 0;
}

/* Under heap_lock. @later: memory can be given back now. */
static int free_locked(void *ptr, bool *later)
{
	struct tmk__heap *heap = tmk__heap_of(ptr);
	struct tmk__slot slot = { ptr, NULL };
	struct tmk__block *block = NULL;
	struct tmk__tcache *cache;
	uint64_t bytes = 0;
	uint8_t state = TMK__GONE, bin;

	if (heap)
		block = lookup(&slot.state, &bytes, heap, ptr);
	if (block)
		state = tmk__state_get(slot.state);
	if (state < TMK__LIVE)
		return tmk__misuse(heap, ptr);
	tmk__tcache_count(state - TMK__LIVE, -(int64_t)bytes);
	cache = heap == tmk__heap ? tmk__tcache_get() : NULL;
	bin = block->keep;
	if (cache && bin < TMK__BIN_NONE && !atomic_load(&cache->stop) &&
	    tmk__keep_room(cache, bin, TMK__ALL)) {
		tmk__state_set(slot.state, TMK__CACHED);
		tmk__bin_push(&cache->bins[bin], &slot);
		cache->balance += (int64_t)bytes;
		return 0;
	}
	give(heap, block, slot.state);
	*later = tmk__heap_tight() || heap != tmk__heap;
	return 0;
}

static __attribute__((noinline)) int free_slow(void *ptr)
{
	bool later = false;
	int err;

	if (!ptr)
		return 0;
	if (tmk__debug())
		return tmk__checked_free(ptr);
	tmk__heap_lock();
	err = free_locked(ptr, &later);
	tmk__heap_unlock();
	if (err)
		tmk__log(TMK__LOG_ERROR, "%s", tmk_error_last());
	if (later)
		tmk__trim_all(0);
	return err;
}

/*
 * Something for which there is no room in the thread's cache: make some, or give it
 * back, under the lock of its shard alone. All of it is looked at again, because the
 * thread had no lock before. Return: false if it takes more than that.
 */
static __attribute__((noinline)) bool free_shard(void *ptr,
						 struct tmk__block *block,
						 struct tmk__tcache *cache)
{
	unsigned int shard = block->arena, bin = TMK__BIN_NONE;
	struct tmk__slot slot = { ptr, NULL };
	bool done = false;
	uint64_t bytes;

	if (shard >= TMK__SHARDS)
		return false;
	tmk__shard_lock(shard);
	if (lookup(&slot.state, &bytes, tmk__heap, ptr) == block &&
	    tmk__state_get(slot.state) == TMK__LIVE &&
	    !atomic_load_explicit(&cache->stop, memory_order_relaxed)) {
		bin = block->keep;
		done = true;
		if (tmk__keep_room(cache, bin, shard)) {
			tmk__state_set(slot.state, TMK__CACHED);
			tmk__bin_push(&cache->bins[bin], &slot);
		} else {
			cache->balance -= (int64_t)bytes;
			give(tmk__heap, block, slot.state);
		}
	}
	tmk__shard_unlock(shard);
	if (__builtin_expect(cache->foreign, 0))
		tmk__keep_foreign(cache, bin);
	return done;
}

/* In two pieces, as tmk_alloc() is. */
FETCHED int tmk_free(void *ptr)
{
	struct tmk__tcache *cache = cache_enter();
	struct tmk__block *block;
	_Atomic uint8_t *state;
	struct tmk__bin *bin;
	uint64_t at;

	if (__builtin_expect(!cache, 0))
		return free_slow(ptr);
	block = entry_at(&at, tmk__heap, ptr);
	if (__builtin_expect(!block, 0))
		goto slow;
	/* What was allocated for a named purpose is counted elsewhere. */
	if (__builtin_expect(tmk__state_get(&block->state) == TMK__LIVE, 1)) {
		bin = bin_at(cache, block->keep);
		if (__builtin_expect(at != block->begin, 0))
			goto slow;
		if (__builtin_expect(!bin_put(bin, ptr, &block->state), 0))
			goto full;
		cache_leave(cache);
		return 0;
	}
	state = object_at(block, at);
	if (__builtin_expect(!state, 0))
		goto slow;
	bin = bin_at(cache, block->keep);
	if (__builtin_expect(tmk__state_get(state) != TMK__LIVE ||
				     !bin_put(bin, ptr, state),
			     0))
		goto full;
	/* Or the compiler makes this the end of the other piece, and jumps there. */
	__asm__ volatile("");
	cache_leave(cache);
	return 0;

full:
	cache_leave(cache);
	if (block->keep < TMK__BIN_NONE && free_shard(ptr, block, cache))
		return 0;
	return free_slow(ptr);

slow:
	cache_leave(cache);
	return free_slow(ptr);
}

/**
 * tmk__block_find() - a block of the program's; under heap_lock
 * @out: the block, or the slab that it is an object of
 * @bytes: how large it is
 * @purpose: what for
 * @ptr: any value
 *
 * Return: 0; -EALREADY, -EINVAL with a sentence.
 */
int tmk__block_find(struct tmk__block **out, uint64_t *bytes, uint8_t *purpose,
		    const void *ptr)
{
	struct tmk__heap *heap = tmk__heap_of(ptr);
	_Atomic uint8_t *state;
	struct tmk__block *block = NULL;

	if (heap)
		block = lookup(&state, bytes, heap, ptr);
	if (!block || tmk__state_get(state) < TMK__LIVE)
		return tmk__misuse(heap, ptr);
	*purpose = (uint8_t)(tmk__state_get(state) - TMK__LIVE);
	*out = block;
	return 0;
}

uint64_t tmk_trim(uint32_t age_ms)
{
	return tmk__trim_all(age_ms);
}
