// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Requests that a thread cannot serve from the top of its cache: those with
 * options, and those for which it keeps nothing. From what it keeps further down,
 * from what is free, with what all threads keep, and at last with new memory.
 */
#include <errno.h>
#include <string.h>

#include "tcache.h"

/* Pages of a block that may begin within one: one more is little beside them. */
#define SHIFT_FROM 32u

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

/* Something of the heap's, gone until now, is the program's. */
static void *hand_out(const struct tmk__slot *slot, const struct request *req,
		      uint64_t bytes)
{
	tmk__state_set(slot->state, TMK__LIVE + req->purpose);
	tmk__tcache_count(req->purpose, (int64_t)bytes);
	return slot->data;
}

/* Have some more of a size at hand. */
static void bin_fill(struct tmk__heap *heap, struct tmk__arena *arena,
		     unsigned int bin)
{
	struct tmk__tcache *cache = tmk__tcache_get();
	struct tmk__slot slot;
	struct tmk__bin *at;

	if (!cache || atomic_load(&cache->stop))
		return;
	at = &cache->bins[bin];
	while (tmk__bin_used(at) < at->max / 2) {
		if (!tmk__slab_take(&slot, heap, arena, bin, cache->number))
			break;
		tmk__state_set(slot.state, TMK__CACHED);
		cache->balance += tmk__slab_size(bin);
		tmk__bin_push(at, &slot);
	}
}

/*
 * An object, out of @index if that is a new slab, or with @any out of one that
 * another thread takes from. Under the arena's lock.
 */
static void *object_take(struct tmk__heap *heap, struct tmk__arena *arena,
			 struct request *req, uint32_t index, bool any)
{
	unsigned int bin = tmk__slab_bins[(req->bytes + 63) / 64];
	struct tmk__tcache *cache = tmk__tcache_get();
	uint16_t owner = cache ? cache->number : 0;
	struct tmk__slot slot;
	void *data;

	if (index)
		tmk__slab_make(heap, index, bin, owner);
	if (!tmk__slab_take(&slot, heap, arena, bin,
			    any ? TMK__ANYBODY : owner))
		return NULL;
	data = hand_out(&slot, req, tmk__slab_size(bin));
	if (arena < &heap->arenas[TMK__SHARDS])
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
		heap->base + ((uint64_t)block->page << TMK__PAGE_SHIFT) +
			block->offset,
		&block->state,
	};

	if (req->flags & TMK_ALLOC_F_ZERO && !block->fresh)
		req->clear = req->bytes;
	block->fresh = false;
	return hand_out(&slot, req, tmk__block_bytes(block));
}

/* A block that the thread kept, not only the one on top. */
static void *kept_take(struct request *req)
{
	struct tmk__tcache *cache = tmk__tcache_get();
	struct tmk__slot slot, *slots;
	struct tmk__block *block;
	unsigned int bin, i;

	if (!cache || req->align > 1 || req->bytes > TMK__LARGE_MAX ||
	    req->pages < 8)
		return NULL;
	bin = TMK__SMALL_BINS + tmk__pages_list(req->pages) - 8;
	slots = cache->bins[bin].slots;
	for (i = tmk__bin_nr(&cache->bins[bin]); i; i--) {
		slot = slots[i - 1];
		block = tmk__slot_block(&slot);
		if (block->room < req->pages || block->offset ||
		    (req->flags & TMK_ALLOC_F_EXACT &&
		     block->room > req->pages))
			continue;
		memmove(&slots[i - 1], &slots[i],
			(tmk__bin_nr(&cache->bins[bin]) - i) * sizeof(slot));
		cache->bins[bin].used -= sizeof(slot);
		if (tmk__state_get(slot.state) != TMK__CACHED)
			continue;
		cache->balance -= (int64_t)tmk__block_bytes(block);
		if (req->flags & TMK_ALLOC_F_ZERO)
			req->clear = req->bytes;
		return hand_out(&slot, req, tmk__block_bytes(block));
	}
	return NULL;
}

/* From what is there. Return: 0 with NULL if there is too little. Under heap_lock. */
static int alloc_held(void **out, struct tmk__heap *heap,
		      struct tmk__arena *arena, struct request *req)
{
	uint32_t pages = req->pages, index;
	int err;

	*out = NULL;
	if (!pages)
		*out = object_take(heap, arena, req, 0, false);
	else if (arena < &heap->arenas[TMK__SHARDS])
		*out = kept_take(req);
	if (*out)
		return 0;
	err = tmk__pages_room(heap, arena, 2);
	if (err)
		return err;
	if (!pages)
		pages = tmk__slab_pages(tmk__slab_bins[(req->bytes + 63) / 64]);
	tmk__keep_miss(pages, TMK__ALL);
	index = tmk__pages_alloc(heap, arena, pages, req->align);
	/* Objects that the thread keeps may be in the way of a block. */
	if (!index && tmk__keep_flush_own() && !tmk__pages_room(heap, arena, 2))
		index = tmk__pages_alloc(heap, arena, pages, req->align);
	if (!index && req->pages)
		index = tmk__stitch_take(heap, arena, pages, req->align);
	if (index)
		*out = req->pages ? block_take(heap, req, index) :
				    object_take(heap, arena, req, index, false);
	return 0;
}

/* Memory to be got: what tmk__grow() is told and returns, or an object instead. */
struct growth {
	uint32_t index;
	struct tmk__heap *heap;
	struct tmk__arena *arena;
	uint32_t pages;
	struct request *req;
	void *object;
};

static int grow(void *arg)
{
	struct tmk__error_state before;
	struct growth *g = arg;
	int err;

	tmk__error_save(&before);
	err = tmk__grow(&g->index, g->heap, g->arena, g->pages, g->req->align);
	if (!err || g->req->pages)
		return err;
	/* Then one of those that are left for another thread. */
	tmk__heap_lock();
	g->object = object_take(g->heap, g->arena, g->req, 0, true);
	tmk__heap_unlock();
	if (!g->object)
		return err;
	tmk__error_restore(&before);
	return 0;
}

/* With new memory. */
static int alloc_new(void **out, struct tmk__heap *heap,
		     struct tmk__arena *arena, struct request *req)
{
	struct growth g = { 0, heap, arena, req->pages, req, NULL };
	char text[16];
	int err;

	if (!g.pages)
		g.pages =
			tmk__slab_pages(tmk__slab_bins[(req->bytes + 63) / 64]);
	err = tmk__wait(grow, &g);
	if (err)
		return tmk__error_wrap(err, "cannot allocate %s",
				       tmk_bytes_format(text, sizeof(text),
							req->bytes));
	*out = g.object;
	if (*out)
		return 0;
	tmk__heap_lock();
	/* Maybe another shard's. */
	arena = &heap->arenas[heap->blocks[g.index].arena];
	*out = req->pages ? block_take(heap, req, g.index) :
			    object_take(heap, arena, req, g.index, false);
	tmk__heap_unlock();
	return 0;
}

static int serve(void **out, struct request *req)
{
	struct tmk__arena *arena;
	struct tmk__heap *heap;
	uint32_t flags = 0;
	void *data = NULL;
	int err;

	if (req->bytes > TMK__BYTES_MAX)
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

static int request_take(struct request *req, const struct tmk_alloc_opts *given)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	int err;

	err = tmk__opts_take(&opts, given, sizeof(opts), sizeof(opts),
			     "struct tmk_alloc_opts");
	return err ? err : request_check(req, &opts);
}

/* What another thread has given back. Return: NULL if there is nothing that does. */
static void *fetched_take(struct tmk__tcache *cache, unsigned int shard,
			  const struct request *req)
{
	unsigned int bin = req->pages ? tmk__pages_bin(req->pages) :
					tmk__slab_bins[(req->bytes + 63) / 64];
	struct tmk__bin *at = &cache->bins[bin];
	struct tmk__slot slot;

	if (!tmk__heap->arenas[shard].stashed ||
	    !tmk__stash_fetch(cache, bin, shard))
		return NULL;
	slot = at->slots[tmk__bin_nr(at) - 1];
	if (req->pages && tmk__slot_block(&slot)->room < req->pages)
		return NULL;
	at->used -= sizeof(slot);
	if (tmk__state_get(slot.state) != TMK__CACHED)
		return NULL;
	tmk__state_set(slot.state, TMK__LIVE);
	return slot.data;
}

/* A block out of a shard, under its lock. Return: NULL if there is too little. */
static void *shard_block(struct tmk__heap *heap, unsigned int shard,
			 struct request *req)
{
	struct tmk__arena *arena = &heap->arenas[shard];
	uint32_t index = 0;

	tmk__keep_miss(req->pages, shard);
	if (req->pages >= SHIFT_FROM)
		index = tmk__pages_alloc_shifted(heap, arena, req->pages);
	if (!index)
		index = tmk__pages_alloc(heap, arena, req->pages, 1);
	if (!index)
		index = tmk__stitch_take(heap, arena, req->pages, 1);
	return index ? block_take(heap, req, index) : NULL;
}

/* The same of an object: from a slab of the thread's, or a new one. */
static void *shard_object(struct tmk__heap *heap, unsigned int shard,
			  struct request *req)
{
	struct tmk__arena *arena = &heap->arenas[shard];
	void *data = object_take(heap, arena, req, 0, false);
	uint32_t index, pages;

	if (data)
		return data;
	pages = tmk__slab_pages(tmk__slab_bins[(req->bytes + 63) / 64]);
	tmk__keep_miss(pages, shard);
	index = tmk__pages_alloc(heap, arena, pages, 1);
	return index ? object_take(heap, arena, req, index, false) : NULL;
}

/*
 * Most requests: without options, from what is free in the thread's shard, under
 * that one's lock alone. Return: NULL if it takes more than that.
 */
static void *serve_shard(size_t bytes)
{
	struct tmk__tcache *cache = tmk__tcache;
	struct request req = { .bytes = bytes, .align = 1 };
	struct tmk__arena *arena;
	struct tmk__heap *heap;
	void *data = NULL;
	unsigned int shard;
	bool met;

	if (!cache)
		return NULL;
	shard = cache->shard;
	if (bytes > TMK__SMALL_MAX)
		req.pages =
			(uint32_t)((bytes + TMK__PAGE - 1) >> TMK__PAGE_SHIFT);
	met = tmk__shard_enter(cache);
	heap = tmk__heap;
	arena = &heap->arenas[shard];
	if (arena->pages && !tmk__pages_room(heap, arena, 2)) {
		data = fetched_take(cache, shard, &req);
		if (!data)
			data = req.pages ? shard_block(heap, shard, &req) :
					   shard_object(heap, shard, &req);
	}
	tmk__shard_unlock(shard);
	if (__builtin_expect(cache->foreign, 0))
		tmk__keep_foreign(cache, TMK__BIN_NONE);
	if (met || cache->waits)
		tmk__shard_met(cache, met);
	return data;
}

/* With options, or when memory is got. */
static __attribute__((noinline)) int block_request(
	void **out, size_t bytes, const struct tmk_alloc_opts *given)
{
	struct request req = {
		.bytes = bytes,
		.align = 1,
		.node = TMK_NODE_ANY,
	};
	int err = 0;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the block");
	if (!bytes)
		return tmk__error(-EINVAL, "a block of 0 bytes was asked for");
	if (given)
		err = request_take(&req, given);
	return err ? err : serve(out, &req);
}

/**
 * tmk__block_alloc() - allocate a block that the thread has not at hand; under no lock
 * @out: its address
 * @bytes: how much
 * @given: options, or NULL
 *
 * Return: as tmk_alloc().
 */
int tmk__block_alloc(void **out, size_t bytes,
		     const struct tmk_alloc_opts *given)
{
	void *data = NULL;

	if (!given && out && bytes && bytes <= TMK__LARGE_MAX)
		data = serve_shard(bytes);
	if (!data)
		return block_request(out, bytes, given);
	*out = data;
	return 0;
}
