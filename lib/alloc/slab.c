// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Objects up to 32 KiB: runs of a few pages cut into objects of one size. Which
 * are free is in the block's entry, never in the memory itself, so that a
 * program that writes into what it has freed cannot upset the allocator. All of
 * it under the arena's lock.
 *
 * Sizes are eight to each power of two above 512 bytes, so an object is at most
 * an eighth larger than asked for, and multiples of 64 below.
 */
#include "heap.h"

uint8_t tmk__slab_bins[TMK__SMALL_MAX / 64 + 1];

#define LOOK_AT 16 /* slabs of others, before there is a new one */
#define SLAB_LEAST (UINT32_C(20) << 10) /* bytes, or 20 objects */

/**
 * struct slab_class - one size
 * @size: of each object
 * @recip: 2^32 / @size, rounded up
 * @pages: of a slab
 * @objects: in a slab
 */
struct slab_class {
	uint32_t size;
	uint32_t recip;
	uint16_t pages;
	uint16_t objects;
};

static struct slab_class classes[TMK__SMALL_BINS];

/*
 * The fewest pages that waste at most an eighth, and whose entry in the table is
 * little beside them.
 */
static void class_fill(struct slab_class *class, uint32_t size)
{
	uint32_t least = TMK__MIN(SLAB_LEAST, 20 * size);
	uint32_t pages, objects, bytes;

	class->size = size;
	class->recip = (uint32_t)(((UINT64_C(1) << 32) + size - 1) / size);
	for (pages = 1;; pages++) {
		bytes = pages << TMK__PAGE_SHIFT;
		objects = TMK__MIN(bytes / size, TMK__SLAB_MAX);
		if (bytes >= least && bytes - objects * size <= bytes / 8)
			break;
	}
	class->pages = (uint16_t)pages;
	class->objects = (uint16_t)objects;
}

/** tmk__slab_init() - fill in the tables of sizes, once */
void tmk__slab_init(void)
{
	uint32_t size = 128, step = 64, at = 1;
	unsigned int bin;

	for (bin = 0; bin < TMK__SMALL_BINS; bin++) {
		class_fill(&classes[bin], size);
		for (; at <= size / 64; at++)
			tmk__slab_bins[at] = (uint8_t)bin;
		if (size >= 1024 && !(size & (size - 1)))
			step = size / 8;
		size += step;
	}
}

/** tmk__slab_size() - the size of a bin's objects. Return: bytes. */
uint32_t tmk__slab_size(unsigned int bin)
{
	return classes[bin].size;
}

/** tmk__slab_pages() - the size of a bin's slabs. Return: pages. */
uint32_t tmk__slab_pages(unsigned int bin)
{
	return classes[bin].pages;
}

static void slab_list(struct tmk__heap *heap, struct tmk__arena *arena,
		      uint32_t index)
{
	struct tmk__block *slab = &heap->blocks[index];
	uint32_t *head = &arena->slabs[slab->bin];

	slab->prev = 0;
	slab->next = *head;
	if (*head)
		heap->blocks[*head].prev = index;
	*head = index;
}

static void slab_unlist(struct tmk__heap *heap, struct tmk__arena *arena,
			struct tmk__block *slab)
{
	if (slab->next)
		heap->blocks[slab->next].prev = slab->prev;
	if (slab->prev)
		heap->blocks[slab->prev].next = slab->next;
	else
		arena->slabs[slab->bin] = slab->next;
}

static uint32_t all_free(const struct tmk__block *slab)
{
	return (UINT32_C(1) << slab->objects) - 1;
}

/**
 * tmk__slab_make() - cut a block into objects
 * @heap: the heap
 * @index: a block of tmk__slab_pages(@bin) pages
 * @bin: which objects
 * @owner: the number of the thread's cache, 0 for none
 */
void tmk__slab_make(struct tmk__heap *heap, uint32_t index, unsigned int bin,
		    uint16_t owner)
{
	struct tmk__block *slab = &heap->blocks[index];
	const struct slab_class *class = &classes[bin];
	unsigned int i;

	slab->type = TMK__RUN_SLAB;
	slab->bin = (uint8_t)bin;
	slab->owner = owner;
	slab->keep = (uint8_t)(slab->arena < TMK__SHARDS ? bin : TMK__BIN_NONE);
	slab->size = class->size;
	slab->recip = class->recip;
	slab->objects = (uint8_t) class->objects;
	slab->free_mask = all_free(slab);
	for (i = 0; i < class->objects; i++)
		atomic_store_explicit(&slab->states[i], TMK__GONE,
				      memory_order_relaxed);
	/* Pages in the middle lead here too. */
	for (i = 1; i + 1 < slab->pages; i++)
		atomic_store_explicit(&heap->map[slab->page + i], index,
				      memory_order_relaxed);
	slab_list(heap, &heap->arenas[slab->arena], index);
}

/* A slab with a free object, not far down its list. Return: 0 if there is none. */
static uint32_t slab_find(const struct tmk__heap *heap,
			  const struct tmk__arena *arena, unsigned int bin,
			  uint16_t owner)
{
	uint32_t index = arena->slabs[bin];
	unsigned int i;

	if (owner == TMK__ANYBODY)
		return index;
	for (i = 0; index && heap->blocks[index].owner != owner; i++)
		index = i < LOOK_AT ? heap->blocks[index].next : 0;
	return index;
}

/**
 * tmk__slab_take() - a free object, if there is one
 * @out: the object, still gone
 * @heap: the heap
 * @arena: which kind
 * @bin: which size
 * @owner: the number of the thread's cache, 0 for none: the states of a slab's
 *	objects are one line of the processors' caches, which two threads would take
 *	from each other with every object; TMK__ANYBODY where that cannot be helped
 *
 * Return: false if there is none.
 */
bool tmk__slab_take(struct tmk__slot *out, struct tmk__heap *heap,
		    struct tmk__arena *arena, unsigned int bin, uint16_t owner)
{
	uint32_t index = slab_find(heap, arena, bin, owner);
	struct tmk__block *slab = &heap->blocks[index];
	unsigned int i;

	if (!index)
		return false;
	i = (unsigned int)__builtin_ctz(slab->free_mask);
	slab->free_mask &= slab->free_mask - 1;
	if (!slab->free_mask)
		slab_unlist(heap, arena, slab);
	out->data = heap->base + ((uint64_t)slab->page << TMK__PAGE_SHIFT) +
		    i * slab->size;
	out->state = &slab->states[i];
	return true;
}

/**
 * tmk__slab_give() - an object is free again; the slab too if it was the last
 * @heap: the heap
 * @slab: the slab
 * @object: which
 */
void tmk__slab_give(struct tmk__heap *heap, struct tmk__block *slab,
		    unsigned int object)
{
	struct tmk__arena *arena = &heap->arenas[slab->arena];
	uint32_t index = (uint32_t)(slab - heap->blocks);
	bool was_full = !slab->free_mask;
	unsigned int i;

	slab->free_mask |= UINT32_C(1) << object;
	if (slab->free_mask != all_free(slab)) {
		if (was_full)
			slab_list(heap, arena, index);
		return;
	}
	if (!was_full)
		slab_unlist(heap, arena, slab);
	for (i = 1; i + 1 < slab->pages; i++)
		atomic_store_explicit(&heap->map[slab->page + i], 0,
				      memory_order_relaxed);
	slab->objects = 0;
	slab->stitch = 0;
	tmk__pages_free(heap, index, false, tmk__heap_now());
}
