// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Blocks while something is checked (TMK_DEBUG). The allocator underneath is the
 * same, and so are the ledger and its limits; but no thread keeps anything, so
 * that all requests and all blocks come by here, and each block is remembered.
 *
 * What is free is not to be touched, and looks it:
 *
 *	poison   all memory that is free holds a pattern, from when it comes from
 *		 the backend on. What is handed out is looked at first: what has
 *		 changed was written after it was freed. So is the rest of its
 *		 pages when a block is freed: that was beyond its ends.
 *	guard    all memory that is free is inaccessible. A block has pages of its
 *		 own and one more, which stays inaccessible, and lies at the end of
 *		 its pages. Before it is the last page of another block, or memory
 *		 that is free, or none.
 *
 * With either, blocks that were freed wait in a queue for their memory to be
 * used again. They are charged as cache and are the first to go when memory is
 * short.
 *
 * A child shares the memory of what it inherits with its parent, and so leaves
 * it as it is when it frees it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

#define KEPT_MAX 256
#define KEPT_BYTES (UINT64_C(32) << 20)
#define NO_LEAKS "; with leaks in TMK_DEBUG it could be said where"

/* Freed, and not to be used again yet: oldest at @first. Under heap_lock. */
static struct {
	struct tmk__slot slots[KEPT_MAX];
	uint64_t sizes[KEPT_MAX];
	uint32_t first;
	uint32_t nr;
	uint64_t bytes;
} kept;

/**
 * struct plan - what is asked of the allocator for a block
 * @bytes: how much the program wants
 * @ask: how much is asked for
 * @opts: options
 * @room: with guards: the pages that are accessible; 0 without
 * @offset: where in them the block begins
 * @zero: it shall be clear
 */
struct plan {
	size_t bytes;
	size_t ask;
	struct tmk_alloc_opts opts;
	uint64_t room;
	uint64_t offset;
	bool zero;
};

static int protect(void *data, uint64_t bytes, int prot)
{
	tmk__calls_add(1);
	return tmk__fault("protect") || mprotect(data, bytes, prot) ? -ENOMEM :
								      0;
}

/* Huge pages of the pools cannot be protected piece by piece. */
static bool can_guard(enum tmk_kind kind)
{
	return tmk__debug() & TMK__DEBUG_GUARD && kind != TMK_KIND_HUGETLB &&
	       tmk__page_bytes() == TMK__PAGE;
}

/* Return: false if the request is bad in a way that the allocator will tell. */
static bool plan_make(struct plan *plan, size_t bytes,
		      const struct tmk_alloc_opts *given)
{
	static const struct tmk_alloc_opts defaults = TMK_ALLOC_OPTS_INIT;
	struct tmk_alloc_opts *o = &plan->opts;

	*plan = (struct plan){ bytes, bytes, .opts = defaults };
	if (!bytes || bytes > TMK__BYTES_MAX ||
	    (given && tmk__opts_take(o, given, sizeof(*o), sizeof(*o),
				     "struct tmk_alloc_opts")) ||
	    o->alignment & (o->alignment - 1))
		return false;
	plan->zero = o->flags & TMK_ALLOC_F_ZERO;
	/* Not before it is accessible. */
	o->flags &= ~TMK_ALLOC_F_ZERO;
	if (!can_guard(o->kind) || bytes > TMK__BYTES_MAX - TMK__PAGE)
		return true;
	plan->room = TMK__ALIGN_UP(bytes, TMK__PAGE);
	plan->ask = plan->room + TMK__PAGE;
	if (o->alignment < TMK__PAGE)
		plan->offset = (plan->room - bytes) &
			       ~(TMK__MAX(o->alignment, 64) - 1);
	o->alignment = TMK__MAX(o->alignment, TMK__PAGE);
	return true;
}

/* "; it was freed in ..." or why that is not known. */
static const char *where(char *buf, size_t len, const char *before,
			 uint32_t stack)
{
	tmk__stack_text(buf, len, before, stack);
	if (!buf[0] && !(tmk__debug() & TMK__DEBUG_LEAKS))
		snprintf(buf, len, "%s", NO_LEAKS);
	return buf;
}

static const char *named(char *buf, size_t len, const struct tmk__holder *h)
{
	buf[0] = '\0';
	if (h->name[0])
		snprintf(buf, len, " \"%s\"", h->name);
	return buf;
}

/* Memory that was free was not as it was left. */
static void tell_written(const char *at, size_t bytes)
{
	char name[TMK__HOLDER_NAME + 4], freed[300], made[300];
	struct tmk__holder h;

	if (!tmk__holder_around(&h, at, TMK__HOLDER_FREED)) {
		tmk__debug_tell("%p was written to while it was free, and up "
				"to %zu bytes from there on",
				(const void *)at, bytes);
		return;
	}
	tmk__debug_tell("%p was written to after it was freed, and up to %zu "
			"bytes from there on: offset %zu of what was the block "
			"%p of %" PRIu64 " bytes%s%s%s",
			(const void *)at, bytes, (size_t)(at - h.data),
			(void *)h.data, h.bytes, named(name, sizeof(name), &h),
			where(freed, sizeof(freed), ", freed in ", h.freed),
			tmk__stack_text(made, sizeof(made), ", allocated in ",
					h.made));
}

/* Something beyond the ends of a block was not as it was left. */
static void tell_beyond(const struct tmk__holder *h, const char *at,
			size_t bytes)
{
	bool before = at < h->data;
	uint64_t far = before ? (uint64_t)(h->data - at) :
				(uint64_t)(at - h->data) - h->bytes;
	char name[TMK__HOLDER_NAME + 4], made[300];

	tmk__debug_tell("%p was written to, and up to %zu bytes from there on: "
			"%" PRIu64 " bytes %s the block %p of %" PRIu64
			" bytes%s%s",
			(const void *)at, bytes, far,
			before ? "before" : "behind the end of",
			(void *)h->data, h->bytes, named(name, sizeof(name), h),
			where(made, sizeof(made), ", allocated in ", h->made));
}

/* What can be said of an address that is no block. Under heap_lock. */
static int refuse(const void *ptr, const void *base)
{
	char name[TMK__HOLDER_NAME + 4], text[300];
	struct tmk__holder h;
	int err;

	if (tmk__holder_find(&h, TMK__HOLDER_BLOCK, (uintptr_t)base) &&
	    h.data == ptr && h.state != TMK__HOLDER_LIVE)
		err = tmk__error(-EALREADY,
				 "%p is free already: a block of %" PRIu64
				 " bytes%s%s; nothing was done",
				 ptr, h.bytes, named(name, sizeof(name), &h),
				 where(text, sizeof(text), ", freed first in ",
				       h.freed));
	else if (tmk__holder_around(&h, ptr, TMK__HOLDER_LIVE))
		err = tmk__error(-EINVAL,
				 "%p is not the beginning of a block, it is "
				 "%zu bytes into one of %" PRIu64
				 "%s%s; nothing was done",
				 ptr, (size_t)((const char *)ptr - h.data),
				 h.bytes, named(name, sizeof(name), &h),
				 where(text, sizeof(text), ", allocated in ",
				       h.made));
	else
		err = tmk__misuse(tmk__heap_of(ptr), ptr);
	tmk__debug_tell("%s", tmk_error_last());
	return err;
}

/* What a block is remembered by: its first page, or itself without guards. */
static void *key_of(const void *ptr)
{
	uintptr_t at = (uintptr_t)ptr;
	struct tmk__holder h;

	if (can_guard(0) &&
	    !tmk__holder_find(&h, TMK__HOLDER_BLOCK, (uintptr_t)ptr))
		at &= ~(uintptr_t)(TMK__PAGE - 1);
	return (void *)at;
}

/* A block of the program's. Under heap_lock. */
static int block_find(struct tmk__holder *out, const void *ptr)
{
	void *base = key_of(ptr);

	if (tmk__holder_find(out, TMK__HOLDER_BLOCK, (uintptr_t)base) &&
	    out->data == ptr && out->state == TMK__HOLDER_LIVE)
		return 0;
	return refuse(ptr, base);
}

/* Something of the allocator's that never became the program's goes back. */
static void take_back(char *base, const struct plan *plan)
{
	struct tmk__slot slot;
	uint64_t bytes;

	if (tmk__debug() & TMK__DEBUG_POISON)
		tmk__poison_hide(base + plan->offset, plan->bytes);
	if (plan->room)
		(void)protect(base, plan->room, PROT_NONE);
	tmk__heap_lock();
	if (tmk__block_retire(&slot, &bytes, base))
		tmk__bug("%p is no block, and was handed out", base);
	tmk__slot_give(&slot);
	tmk__heap_unlock();
}

static int open_up(char *base, const struct plan *plan)
{
	char text[16];
	int err;

	if (!plan->room)
		return 0;
	err = protect(base, plan->room, PROT_READ | PROT_WRITE);
	if (!err)
		err = protect(base + plan->room, TMK__PAGE, PROT_NONE);
	if (!err)
		return 0;
	return tmk__error(err,
			  "cannot allocate %s with guards around it: the kernel "
			  "has no room for more mappings of this process "
			  "(vm.max_map_count)",
			  tmk_bytes_format(text, sizeof(text), plan->bytes));
}

static int remember(char *base, const struct plan *plan, uint32_t stack)
{
	struct tmk__holder h = {
		.key = (uintptr_t)base,
		.data = base + plan->offset,
		.bytes = plan->bytes,
		.room = plan->room,
		.made = stack,
		.what = TMK__HOLDER_BLOCK,
		.kind = (uint8_t)plan->opts.kind,
	};

	if (plan->opts.purpose)
		snprintf(h.name, sizeof(h.name), "%s", plan->opts.purpose);
	return tmk__holder_add(&h);
}

/* Was what is about to be handed out left alone while it was free? */
static void look(char *data, size_t bytes)
{
	size_t first, last;

	if (!(tmk__debug() & TMK__DEBUG_POISON))
		return;
	tmk__poison_show(data, bytes);
	if (!tmk__poison_find(&first, &last, data, bytes))
		return;
	tell_written(data + first, last - first + 1);
	tmk__poison_fill(data, bytes, TMK__POISON_FREE);
}

/**
 * tmk__checked_alloc() - tmk_alloc() while something is checked
 * @out: the block
 * @bytes: how much
 * @given: options, or NULL
 *
 * Return: as tmk_alloc(); -ENOMEM too if it cannot be remembered or guarded.
 */
int tmk__checked_alloc(void **out, size_t bytes,
		       const struct tmk_alloc_opts *given)
{
	uint32_t stack = tmk__stack_take();
	struct plan plan;
	void *base;
	char *data;
	int err;

	if (!out || !plan_make(&plan, bytes, given))
		return tmk__block_alloc(out, bytes, given);
	err = tmk__block_alloc(&base, plan.ask, &plan.opts);
	if (err)
		return err;
	data = (char *)base + plan.offset;
	err = open_up(base, &plan);
	if (!err) {
		/* Before it is forgotten whose memory it was. */
		look(data, bytes);
		err = remember(base, &plan, stack);
	}
	if (err) {
		take_back(base, &plan);
		return err;
	}
	if (plan.zero)
		memset(data, 0, bytes);
	else if (tmk__debug() & TMK__DEBUG_POISON)
		tmk__poison_fill(data, bytes, TMK__POISON_NEW);
	*out = data;
	return 0;
}

/**
 * tmk__checked_retire() - tmk__block_retire() while something is checked; under
 * heap_lock
 * @out: to be given to tmk__checked_give()
 * @bytes: how large it is for the allocator
 * @ptr: any value
 * @stack: from where
 *
 * Return: 0; -EALREADY, -EINVAL with a sentence, which is printed as well.
 */
int tmk__checked_retire(struct tmk__slot *out, uint64_t *bytes, void *ptr,
			uint32_t stack)
{
	struct tmk__holder h;
	int err;

	err = block_find(&h, ptr);
	if (!err)
		err = tmk__block_retire(out, bytes, (void *)(uintptr_t)h.key);
	if (!err)
		tmk__holder_change(TMK__HOLDER_BLOCK, h.key, TMK__HOLDER_WAITS,
				   stack);
	return err;
}

/* Is all that is beyond a block's ends as it was? */
static void look_beyond(const struct tmk__holder *h, char *base, uint64_t room)
{
	char *end = h->data + h->bytes;
	size_t first, last;

	if (tmk__poison_find(&first, &last, base, (size_t)(h->data - base)))
		tell_beyond(h, base + last, last - first + 1);
	if (tmk__poison_find(&first, &last, end, (size_t)(base + room - end)))
		tell_beyond(h, end + first, last - first + 1);
}

/* A block's memory is free from now on. */
static void wipe(const struct tmk__holder *h, char *base, uint64_t bytes)
{
	uint64_t room = h->room ? h->room : bytes;

	if (tmk__debug() & TMK__DEBUG_POISON) {
		tmk__poison_show(base, room);
		look_beyond(h, base, room);
		tmk__poison_fill(base, room, TMK__POISON_FREE);
		tmk__poison_hide(base, room);
	}
	/* Where that fails it is accessible, and may still be poisoned. */
	if (h->room)
		(void)protect(base, room, PROT_NONE);
}

/* The one that was freed first may be used again. */
static void kept_drop(void)
{
	struct tmk__slot slot = kept.slots[kept.first];

	kept.bytes -= kept.sizes[kept.first];
	kept.first = (kept.first + 1) % KEPT_MAX;
	kept.nr--;
	tmk__slot_give(&slot);
}

static void kept_add(const struct tmk__slot *slot, uint64_t bytes)
{
	uint32_t at;

	while (kept.nr == KEPT_MAX ||
	       (kept.nr && kept.bytes + bytes > KEPT_BYTES))
		kept_drop();
	at = (kept.first + kept.nr++) % KEPT_MAX;
	kept.slots[at] = *slot;
	kept.sizes[at] = bytes;
	kept.bytes += bytes;
}

/**
 * tmk__checked_flush() - what was freed may be used again, all of it; under
 * heap_lock
 *
 * Return: false if there was nothing.
 */
bool tmk__checked_flush(void)
{
	bool any = kept.nr;

	while (kept.nr)
		kept_drop();
	return any;
}

/**
 * tmk__checked_give() - tmk__slot_give() of a block that was retired; under
 * heap_lock
 * @slot: the block
 * @bytes: how large it is
 */
void tmk__checked_give(const struct tmk__slot *slot, uint64_t bytes)
{
	bool keep = tmk__debug() & (TMK__DEBUG_POISON | TMK__DEBUG_GUARD);
	uint64_t key = (uintptr_t)slot->data;
	struct tmk__holder h;

	if (tmk__holder_find(&h, TMK__HOLDER_BLOCK, key) &&
	    tmk__holder_is_ours(&h))
		wipe(&h, slot->data, bytes);
	tmk__holder_change(TMK__HOLDER_BLOCK, key, TMK__HOLDER_FREED, 0);
	if (keep && !tmk__heap_tight() && bytes <= KEPT_BYTES &&
	    tmk__heap_of(slot->data) == tmk__heap)
		kept_add(slot, bytes);
	else
		tmk__slot_give(slot);
}

/**
 * tmk__checked_free() - tmk_free() while something is checked
 * @ptr: any value but NULL
 *
 * Return: as tmk_free(); what is wrong is printed as well.
 */
int tmk__checked_free(void *ptr)
{
	uint32_t stack = tmk__stack_take();
	struct tmk__slot slot;
	bool later = false;
	uint64_t bytes;
	int err;

	tmk__heap_lock();
	err = tmk__checked_retire(&slot, &bytes, ptr, stack);
	if (!err) {
		tmk__checked_give(&slot, bytes);
		later = tmk__heap_tight() ||
			tmk__heap_of(slot.data) != tmk__heap;
	}
	tmk__heap_unlock();
	if (later)
		tmk__trim_all(0);
	return err;
}

/**
 * tmk__checked_bytes() - how large a block is while something is checked; under
 * heap_lock
 * @out: as asked for, and nothing more
 * @ptr: any value
 *
 * Return: 0; -EALREADY, -EINVAL with a sentence, which is printed as well.
 */
int tmk__checked_bytes(uint64_t *out, const void *ptr)
{
	struct tmk__holder h;
	int err = block_find(&h, ptr);

	if (!err)
		*out = h.bytes;
	return err;
}

/**
 * tmk__checked_fresh() - new memory is free from now on; under no heap_lock
 * @data: where
 * @bytes: how much
 * @kind: of which kind
 */
void tmk__checked_fresh(void *data, uint64_t bytes, enum tmk_kind kind)
{
	if (tmk__debug() & TMK__DEBUG_POISON) {
		tmk__poison_show(data, bytes);
		tmk__poison_fill(data, bytes, TMK__POISON_FREE);
		tmk__poison_hide(data, bytes);
	}
	if (can_guard(kind))
		(void)protect(data, bytes, PROT_NONE);
}
