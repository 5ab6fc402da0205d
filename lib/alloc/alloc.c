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

#include "heap.h"

#define BYTES_MAX ((uint64_t)1 << 42)

/**
 * struct request - what is asked for
 * @bytes: how much, not 0
 * @pages: of a block that large; 0 for an object
 * @align: of a block, in pages
 * @kind: of the memory, 0 for what fits
 * @flags: TMK_ALLOC_F_*
 * @node: NUMA node
 * @purpose: what for
 * @name: the same, before its number is known
 * @clear: so many bytes have to be cleared, when no lock is held
 */
struct request {
	size_t bytes;
	uint32_t pages;
	uint32_t align;
	enum tmk_kind kind;
	uint32_t flags;
	int32_t node;
	uint8_t purpose;
	const char *name;
	size_t clear;
};

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

static inline void cache_count(struct tmk__tcache *cache, unsigned int purpose,
			       int64_t bytes)
{
	int64_t now = atomic_load_explicit(&cache->live[purpose],
					   memory_order_relaxed);

	atomic_store_explicit(&cache->live[purpose], now + bytes,
			      memory_order_relaxed);
}

static inline uint8_t state_get(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_relaxed);
}

static inline void state_set(_Atomic uint8_t *state, unsigned int value)
{
	atomic_store_explicit(state, (uint8_t)value, memory_order_relaxed);
}

static inline uint64_t block_bytes(const struct tmk__block *block)
{
	return (uint64_t)block->pages << TMK__PAGE_SHIFT;
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

/* What is on top of a bin. Return: false if it does not do. */
static inline bool bin_pop(struct tmk__slot *out, int64_t *bytes,
			   struct tmk__bin *bin, size_t want)
{
	if (__builtin_expect(!bin->nr, 0))
		return false;
	slot_get(out, &bin->slots[bin->nr - 1]);
	*bytes = bin->size;
	if (!*bytes) {
		*bytes = (int64_t)block_bytes((struct tmk__block *)out->state);
		if (__builtin_expect((uint64_t)*bytes < want, 0))
			return false;
	}
	bin->nr--;
	/* Or somebody else has it: freed twice at the same moment. */
	return __builtin_expect(state_get(out->state) == TMK__CACHED, 1);
}

/* From the thread's cache, as it is. Return: NULL if there is nothing there. */
static inline void *alloc_fast(size_t bytes)
{
	struct tmk__tcache *cache = cache_enter();
	struct tmk__slot slot = { NULL, NULL };
	int64_t size;

	if (__builtin_expect(!cache, 0))
		return NULL;
	if (bin_pop(&slot, &size, &cache->bins[tmk__bin_of(bytes)], bytes)) {
		state_set(slot.state, TMK__LIVE);
		cache_count(cache, 0, size);
	} else {
		slot.data = NULL;
	}
	cache_leave(cache);
	return slot.data;
}

/* Something of the heap's, gone until now, is the program's. Under heap_lock. */
static void *hand_out(const struct tmk__slot *slot, const struct request *req,
		      uint64_t bytes)
{
	state_set(slot->state, TMK__LIVE + req->purpose);
	tmk__tcache_count(req->purpose, (int64_t)bytes);
	return slot->data;
}

/* Have some more of a size at hand. Under heap_lock. */
static void bin_fill(struct tmk__heap *heap, struct tmk__arena *arena,
		     unsigned int bin)
{
	struct tmk__tcache *cache = tmk__tcache_get();
	struct tmk__bin *to;

	if (!cache || atomic_load(&cache->stop))
		return;
	to = &cache->bins[bin];
	while (to->nr < to->max / 2 &&
	       tmk__slab_take(&to->slots[to->nr], heap, arena, bin)) {
		state_set(to->slots[to->nr].state, TMK__CACHED);
		to->nr++;
	}
}

/* An object, out of @index if that is a new slab. Under heap_lock. */
static void *object_take(struct tmk__heap *heap, struct tmk__arena *arena,
			 struct request *req, uint32_t index)
{
	unsigned int bin = tmk__slab_bins[(req->bytes + 63) / 64];
	struct tmk__slot slot;
	void *data;

	if (index)
		tmk__slab_make(heap, index, bin);
	if (!tmk__slab_take(&slot, heap, arena, bin))
		return NULL;
	data = hand_out(&slot, req, tmk__slab_size(bin));
	if (!arena->kind && arena == heap->arenas)
		bin_fill(heap, arena, bin);
	if (req->flags & TMK_ALLOC_F_ZERO)
		req->clear = req->bytes;
	return data;
}

static void *block_take(struct tmk__heap *heap, struct request *req,
			uint32_t index)
{
	struct tmk__block *block = &heap->blocks[index];
	struct tmk__slot slot = {
		heap->base + ((uint64_t)block->page << TMK__PAGE_SHIFT),
		&block->state,
	};

	if (req->flags & TMK_ALLOC_F_ZERO && !block->fresh)
		req->clear = req->bytes;
	block->fresh = false;
	return hand_out(&slot, req, block_bytes(block));
}

/* A block that the thread kept, not only the one on top. Under heap_lock. */
static void *kept_take(struct request *req)
{
	struct tmk__tcache *cache = tmk__tcache_get();
	struct tmk__block *block;
	struct tmk__slot slot;
	struct tmk__bin *bin;
	uint32_t i;

	if (!cache || req->align > 1 || req->bytes > TMK__LARGE_MAX ||
	    req->pages < 8)
		return NULL;
	bin = &cache->bins[TMK__SMALL_BINS + tmk__pages_list(req->pages) - 8];
	for (i = bin->nr; i; i--) {
		slot = bin->slots[i - 1];
		block = (struct tmk__block *)slot.state;
		if (block->pages < req->pages ||
		    (req->flags & TMK_ALLOC_F_EXACT &&
		     block->pages > req->pages))
			continue;
		memmove(&bin->slots[i - 1], &bin->slots[i],
			(bin->nr - i) * sizeof(slot));
		bin->nr--;
		if (state_get(slot.state) != TMK__CACHED)
			continue;
		if (req->flags & TMK_ALLOC_F_ZERO)
			req->clear = req->bytes;
		return hand_out(&slot, req, block_bytes(block));
	}
	return NULL;
}

/* From what is there. Return: 0 with NULL if there is too little. */
static int alloc_held(void **out, struct tmk__heap *heap,
		      struct tmk__arena *arena, struct request *req)
{
	uint32_t pages = req->pages, index;
	int err;

	*out = NULL;
	if (!pages)
		*out = object_take(heap, arena, req, 0);
	else if (!arena->kind && arena == heap->arenas)
		*out = kept_take(req);
	if (*out)
		return 0;
	err = tmk__pages_room(heap, 2);
	if (err)
		return err;
	if (!pages)
		pages = tmk__slab_pages(tmk__slab_bins[(req->bytes + 63) / 64]);
	index = tmk__pages_alloc(heap, arena, pages, req->align);
	/* What the thread kept may be in the way of something larger. */
	if (!index && tmk__tcache_flush_own() && !tmk__pages_room(heap, 2))
		index = tmk__pages_alloc(heap, arena, pages, req->align);
	if (index)
		*out = req->pages ? block_take(heap, req, index) :
				    object_take(heap, arena, req, index);
	return 0;
}

/* Memory to be got: what tmk__grow() is told and returns. */
struct growth {
	uint32_t index;
	struct tmk__heap *heap;
	struct tmk__arena *arena;
	uint32_t pages;
	uint32_t align;
};

static int grow(void *arg)
{
	struct growth *g = arg;

	return tmk__grow(&g->index, g->heap, g->arena, g->pages, g->align);
}

/* With new memory. */
static int alloc_new(void **out, struct tmk__heap *heap,
		     struct tmk__arena *arena, struct request *req)
{
	struct growth growth = { 0, heap, arena, req->pages, req->align };
	uint32_t index;
	char text[16];
	int err;

	if (!growth.pages)
		growth.pages =
			tmk__slab_pages(tmk__slab_bins[(req->bytes + 63) / 64]);
	err = tmk__wait(grow, &growth);
	index = growth.index;
	if (err)
		return tmk__error_wrap(err, "cannot allocate %s",
				       tmk_bytes_format(text, sizeof(text),
							req->bytes));
	tmk__heap_lock();
	*out = req->pages ? block_take(heap, req, index) :
			    object_take(heap, arena, req, index);
	tmk__heap_unlock();
	return 0;
}

static int alloc_slow(void **out, struct request *req)
{
	struct tmk__arena *arena;
	struct tmk__heap *heap;
	uint32_t flags = 0;
	void *data = NULL;
	int err;

	if (req->bytes > BYTES_MAX)
		return tmk__error(-EOVERFLOW,
				  "%zu bytes are more than a block can have",
				  req->bytes);
	if (req->bytes > TMK__SMALL_MAX || req->pages)
		req->pages = (uint32_t)((req->bytes + TMK__PAGE - 1) >>
					TMK__PAGE_SHIFT);
	if (req->flags & TMK_ALLOC_F_REQUIRE)
		flags |= TMK_REGION_F_REQUIRE;
	tmk__heap_lock();
	err = tmk__heap_get();
	if (!err)
		err = tmk__heap_arena(&arena, req->kind, flags, req->node);
	heap = tmk__heap;
	if (!err) {
		req->purpose = tmk__purpose_find(req->name, TMK_USE_GENERAL);
		err = alloc_held(&data, heap, arena, req);
	}
	tmk__heap_unlock();
	if (!err && !data)
		err = alloc_new(&data, heap, arena, req);
	if (err)
		return err;
	if (req->clear)
		memset(data, 0, req->clear);
	*out = data;
	return 0;
}

static int request_check(struct request *req, const struct tmk_alloc_opts *o)
{
	const uint32_t known = TMK_ALLOC_F_ZERO | TMK_ALLOC_F_EXACT |
			       TMK_ALLOC_F_REQUIRE;
	struct tmk_region_opts region = TMK_REGION_OPTS_INIT;

	if (o->flags & ~known)
		return tmk__error(-EINVAL,
				  "unknown flags %#x in struct tmk_alloc_opts",
				  o->flags & ~known);
	if (o->alignment & (o->alignment - 1) ||
	    o->alignment > TMK_ALLOC_ALIGN_MAX)
		return tmk__error(-EINVAL,
				  "an alignment of %zu is no power of two up to "
				  "1 GiB",
				  o->alignment);
	if (o->flags & TMK_ALLOC_F_REQUIRE && !o->kind)
		return tmk__error(-EINVAL, "TMK_ALLOC_F_REQUIRE without a kind "
					   "requires nothing");
	if (o->kind)
		region.kind = o->kind;
	region.node = o->node;
	region.name = o->purpose;
	req->flags = o->flags;
	req->kind = o->kind;
	req->node = o->node;
	req->name = o->purpose;
	/* Whole pages. */
	if (o->alignment > 64)
		req->pages = 1;
	if (o->alignment > TMK__PAGE)
		req->align = (uint32_t)(o->alignment >> TMK__PAGE_SHIFT);
	return tmk__region_opts_check(&region);
}

static __attribute__((noinline)) int alloc_opts(
	void **out, size_t bytes, const struct tmk_alloc_opts *given)
{
	static const struct tmk_alloc_opts defaults = TMK_ALLOC_OPTS_INIT;
	struct request req = {
		.bytes = bytes,
		.align = 1,
		.node = TMK_NODE_ANY,
	};
	struct tmk_alloc_opts opts = defaults;
	int err = 0;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the block");
	if (!bytes)
		return tmk__error(-EINVAL, "a block of 0 bytes was asked for");
	if (given) {
		err = tmk__opts_take(&opts, given, sizeof(opts), sizeof(opts),
				     "struct tmk_alloc_opts");
		if (!err)
			err = request_check(&req, &opts);
	}
	return err ? err : alloc_slow(out, &req);
}

int tmk_alloc(void **out, size_t bytes, const struct tmk_alloc_opts *opts)
{
	void *data;

	if (__builtin_expect(!opts && bytes - 1 < TMK__LARGE_MAX && out, 1)) {
		data = alloc_fast(bytes);
		if (__builtin_expect(data != NULL, 1)) {
			*out = data;
			return 0;
		}
	}
	return alloc_opts(out, bytes, opts);
}

/*
 * Which block or object begins at an address: where its state is and how large
 * it is. Return: its block; NULL if none does.
 */
static inline struct tmk__block *lookup(_Atomic uint8_t **state,
					uint64_t *bytes,
					const struct tmk__heap *heap,
					const void *ptr)
{
	uint64_t at = (uintptr_t)ptr - (uintptr_t)heap->base, object;
	struct tmk__block *block;
	uint32_t page;

	if (__builtin_expect(at >= heap->bytes, 0))
		return NULL;
	page = (uint32_t)(at >> TMK__PAGE_SHIFT);
	block = &heap->blocks[atomic_load_explicit(&heap->map[page],
						   memory_order_relaxed)];
	at -= (uint64_t)block->page << TMK__PAGE_SHIFT;
	if (block->type == TMK__RUN_LARGE) {
		*state = &block->state;
		*bytes = block_bytes(block);
		return at ? NULL : block;
	}
	if (block->type != TMK__RUN_SLAB || at >= block_bytes(block))
		return NULL;
	object = at * block->recip >> 32;
	*state = &block->states[object];
	*bytes = block->size;
	return object * block->size == at && object < block->objects ? block :
								       NULL;
}

/**
 * tmk__slot_give() - what a thread kept goes back to the heap; under heap_lock
 * @slot: where it is
 */
void tmk__slot_give(const struct tmk__slot *slot)
{
	struct tmk__heap *heap = tmk__heap_of(slot->data);
	_Atomic uint8_t *state;
	struct tmk__block *block;
	uint64_t bytes;

	/* Somebody else has it: freed twice at the same moment. */
	if (state_get(slot->state) != TMK__CACHED)
		return;
	block = lookup(&state, &bytes, heap, slot->data);
	if (!block)
		tmk__bug("a thread kept %p, which is no block", slot->data);
	state_set(state, TMK__GONE);
	if (block->type == TMK__RUN_SLAB)
		tmk__slab_give(heap, block,
			       (unsigned int)(state - block->states));
	else
		tmk__pages_free(heap, (uint32_t)(block - heap->blocks), false);
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
		state = state_get(slot.state);
	if (state < TMK__LIVE)
		return tmk__misuse(heap, ptr);
	tmk__tcache_count(state - TMK__LIVE, -(int64_t)*bytes);
	state_set(slot.state, TMK__CACHED);
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
	struct tmk__bin *bin;
	uint64_t bytes;
	uint8_t state = TMK__GONE;

	if (heap)
		block = lookup(&slot.state, &bytes, heap, ptr);
	if (block)
		state = state_get(slot.state);
	if (state < TMK__LIVE)
		return tmk__misuse(heap, ptr);
	tmk__tcache_count(state - TMK__LIVE, -(int64_t)bytes);
	state_set(slot.state, TMK__CACHED);
	cache = heap == tmk__heap ? tmk__tcache_get() : NULL;
	if (cache && block->bin < TMK__BIN_NONE && !block->arena &&
	    !atomic_load(&cache->stop)) {
		bin = tmk__tcache_bin(cache, block->bin);
		if (bin->nr == bin->max)
			tmk__tcache_flush_bin(bin, bin->max / 2);
		bin->slots[bin->nr++] = slot;
		return 0;
	}
	tmk__slot_give(&slot);
	*later = tmk__heap_tight() || heap != tmk__heap;
	return 0;
}

static __attribute__((noinline)) int free_slow(void *ptr)
{
	bool later = false;
	int err;

	if (!ptr)
		return 0;
	tmk__heap_lock();
	err = free_locked(ptr, &later);
	tmk__heap_unlock();
	if (err)
		tmk__log(TMK__LOG_ERROR, "%s", tmk_error_last());
	if (later)
		tmk__grow_trim(0);
	return err;
}

int tmk_free(void *ptr)
{
	struct tmk__tcache *cache = cache_enter();
	struct tmk__slot slot = { ptr, NULL };
	struct tmk__block *block;
	struct tmk__bin *bin;
	uint64_t bytes;
	uint8_t state;

	if (__builtin_expect(!cache, 0))
		return free_slow(ptr);
	if (__builtin_expect(!tmk__heap, 0))
		goto slow;
	block = lookup(&slot.state, &bytes, tmk__heap, ptr);
	if (__builtin_expect(!block, 0))
		goto slow;
	state = state_get(slot.state);
	bin = &cache->bins[block->bin];
	if (__builtin_expect(state < TMK__LIVE || bin->nr == bin->max ||
				     block->arena,
			     0))
		goto slow;
	state_set(slot.state, TMK__CACHED);
	cache_count(cache, state - TMK__LIVE, -(int64_t)bytes);
	slot_put(&bin->slots[bin->nr++], &slot);
	cache_leave(cache);
	return 0;

slow:
	cache_leave(cache);
	return free_slow(ptr);
}

/* How large a block is, and what for. Under heap_lock. */
static int block_find(struct tmk__block **out, uint64_t *bytes,
		      uint8_t *purpose, const void *ptr)
{
	struct tmk__heap *heap = tmk__heap_of(ptr);
	_Atomic uint8_t *state;
	struct tmk__block *block = NULL;

	if (heap)
		block = lookup(&state, bytes, heap, ptr);
	if (!block || state_get(state) < TMK__LIVE)
		return tmk__misuse(heap, ptr);
	*purpose = (uint8_t)(state_get(state) - TMK__LIVE);
	*out = block;
	return 0;
}

int tmk_alloc_usable_bytes(size_t *out, const void *ptr)
{
	struct tmk__block *block;
	uint64_t bytes = 0;
	uint8_t purpose;
	int err;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the size");
	tmk__heap_lock();
	err = block_find(&block, &bytes, &purpose, ptr);
	tmk__heap_unlock();
	if (!err)
		*out = bytes;
	return err;
}

/* Where it is? Return: false if it has to be moved. Under heap_lock. */
static bool resize_in_place(struct tmk__block *block, uint64_t had,
			    uint8_t purpose, size_t bytes)
{
	struct tmk__heap *heap = tmk__heap;
	uint32_t index, pages;

	if (bytes <= had && bytes >= had - had / 8)
		return true;
	if (block->type != TMK__RUN_LARGE || bytes <= TMK__SMALL_MAX ||
	    bytes > BYTES_MAX || !heap || block < heap->blocks ||
	    block >= heap->blocks + heap->blocks_nr)
		return false;
	if (tmk__pages_room(heap, 2))
		return false;
	index = (uint32_t)(block - heap->blocks);
	pages = (uint32_t)((bytes + TMK__PAGE - 1) >> TMK__PAGE_SHIFT);
	if (pages < block->pages)
		tmk__pages_shrink(heap, index, pages);
	else if (!tmk__pages_extend(heap, index, pages))
		return false;
	tmk__tcache_count(purpose, (int64_t)(block_bytes(block) - had));
	return true;
}

static int move(void **out, void *ptr, size_t bytes, uint64_t had,
		const struct tmk_alloc_opts *opts)
{
	void *data;
	int err;

	err = tmk_alloc(&data, bytes, opts);
	if (err)
		return err;
	memcpy(data, ptr, TMK__MIN(bytes, had));
	*out = data;
	return tmk_free(ptr);
}

int tmk_realloc(void **out, void *ptr, size_t bytes,
		const struct tmk_alloc_opts *opts)
{
	struct tmk__error_state before;
	struct tmk__block *block;
	uint8_t purpose = 0;
	uint64_t had = 0;
	bool done;
	int err;

	if (!ptr)
		return tmk_alloc(out, bytes, opts);
	if (!out || !bytes)
		return tmk__error(-EINVAL, "%s",
				  out ? "a block of 0 bytes was asked for" :
					"nowhere to put the block");
	tmk__error_save(&before);
	tmk__heap_lock();
	err = block_find(&block, &had, &purpose, ptr);
	done = !err && !opts && resize_in_place(block, had, purpose, bytes);
	tmk__heap_unlock();
	if (err)
		return err;
	tmk__error_restore(&before);
	if (!done)
		return move(out, ptr, bytes, had, opts);
	*out = ptr;
	return 0;
}

uint64_t tmk_trim(uint32_t age_ms)
{
	return tmk__grow_trim(age_ms);
}
