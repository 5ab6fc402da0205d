// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What the program has: blocks, regions, detached tensors and workspaces, while
 * something is checked. Blocks are remembered for a while after they are freed,
 * the last FREED_MAX of them, so that it can be said whose memory it was that
 * somebody wrote to.
 *
 * Entries are found by what they are and a key, through a hash. All of it under
 * tmk__debug_lock(), which each function takes.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "reserve.h"

#define HOLDERS_MAX (1u << 22)
#define HOLDERS_LEAST (1u << 10)
#define BUCKETS (1u << 14)
#define FREED_MAX 4096

static struct {
	struct tmk__reserve room;
	uint32_t buckets[BUCKETS];
	uint32_t nr; /* entries used at some time; 0 is none */
	uint32_t unused; /* list of those that are not now */
	uint32_t live; /* not freed */
	uint32_t freed; /* entries of freed blocks, */
	uint32_t oldest; /* which are dropped from here */
	uint32_t newest;
} table = { .nr = 1 };

static struct tmk__holder *at(uint32_t nr)
{
	return (struct tmk__holder *)table.room.base + nr;
}

static uint32_t *bucket(enum tmk__holder_what what, uint64_t key)
{
	uint64_t hash = (key ^ what) * UINT64_C(0x9e3779b97f4a7c15);

	return &table.buckets[(hash >> 40) % BUCKETS];
}

static uint32_t find(enum tmk__holder_what what, uint64_t key)
{
	uint32_t i = *bucket(what, key);

	while (i && (at(i)->what != what || at(i)->key != key))
		i = at(i)->next;
	return i;
}

static int entry_take(uint32_t *out)
{
	size_t bytes = sizeof(struct tmk__holder);

	*out = table.unused;
	if (*out) {
		table.unused = at(*out)->next;
		return 0;
	}
	if (tmk__fault("holder") ||
	    tmk__reserve_init(&table.room, HOLDERS_MAX * bytes,
			      HOLDERS_LEAST * bytes) ||
	    tmk__reserve_grow(&table.room, (table.nr + 1) * bytes))
		return -ENOMEM;
	*out = table.nr++;
	return 0;
}

static void freed_unlist(struct tmk__holder *h)
{
	if (h->older)
		at(h->older)->newer = h->newer;
	else
		table.oldest = h->newer;
	if (h->newer)
		at(h->newer)->older = h->older;
	else
		table.newest = h->older;
	table.freed--;
}

static void freed_list(uint32_t nr)
{
	struct tmk__holder *h = at(nr);

	h->newer = 0;
	h->older = table.newest;
	if (table.newest)
		at(table.newest)->newer = nr;
	else
		table.oldest = nr;
	table.newest = nr;
	table.freed++;
}

static void forget(uint32_t nr)
{
	struct tmk__holder *h = at(nr);
	uint32_t *link = bucket((enum tmk__holder_what)h->what, h->key);

	while (*link != nr)
		link = &at(*link)->next;
	*link = h->next;
	if (h->state == TMK__HOLDER_FREED)
		freed_unlist(h);
	else
		table.live--;
	h->what = 0;
	h->next = table.unused;
	table.unused = nr;
}

/**
 * tmk__holder_add() - remember something
 * @from: key, data, bytes, room, made, what, kind and name
 *
 * What had the same key, and is free, is forgotten.
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__holder_add(const struct tmk__holder *from)
{
	uint32_t *head = bucket((enum tmk__holder_what)from->what, from->key);
	struct tmk__holder *h;
	uint32_t nr;
	int err;

	tmk__debug_lock();
	nr = find((enum tmk__holder_what)from->what, from->key);
	if (nr)
		forget(nr);
	err = entry_take(&nr);
	if (!err) {
		h = at(nr);
		*h = *from;
		h->born = tmk__debug_now();
		h->epoch = tmk__debug_epoch();
		h->state = TMK__HOLDER_LIVE;
		h->next = *head;
		*head = nr;
		table.live++;
	}
	tmk__debug_unlock();
	if (err)
		return tmk__error(err, "no memory to remember what the program "
				       "has, as TMK_DEBUG asks for");
	return 0;
}

/**
 * tmk__holder_find() - what is known of something
 * @out: a copy of it
 * @what: what it is
 * @key: its key
 *
 * Return: false if there is no such thing.
 */
bool tmk__holder_find(struct tmk__holder *out, enum tmk__holder_what what,
		      uint64_t key)
{
	uint32_t nr;

	tmk__debug_lock();
	nr = find(what, key);
	if (nr)
		*out = *at(nr);
	tmk__debug_unlock();
	return nr;
}

/* Is an address in the memory that a block has, or had? */
static bool is_around(const struct tmk__holder *h, const void *ptr)
{
	return h->what == TMK__HOLDER_BLOCK &&
	       (uintptr_t)ptr - (uintptr_t)h->data < h->bytes;
}

/**
 * tmk__holder_around() - the block that an address is in, or was; slow
 * @out: a copy of it
 * @ptr: the address
 * @state: TMK__HOLDER_LIVE, or TMK__HOLDER_FREED: the last one freed there
 *
 * Return: false if none is known.
 */
bool tmk__holder_around(struct tmk__holder *out, const void *ptr,
			enum tmk__holder_state state)
{
	uint32_t nr;

	tmk__debug_lock();
	if (state == TMK__HOLDER_FREED) {
		nr = table.newest;
		while (nr && !is_around(at(nr), ptr))
			nr = at(nr)->older;
	} else {
		for (nr = table.nr - 1; nr; nr--)
			if (at(nr)->state == state && is_around(at(nr), ptr))
				break;
	}
	if (nr)
		*out = *at(nr);
	tmk__debug_unlock();
	return nr;
}

/**
 * tmk__holder_describe() - say more of something than was known at first
 * @what: what it is
 * @key: its key
 * @bytes: how large it is
 * @kind: of the memory
 * @name: what for
 */
void tmk__holder_describe(enum tmk__holder_what what, uint64_t key,
			  uint64_t bytes, int kind, const char *name)
{
	struct tmk__holder *h;
	uint32_t nr;

	tmk__debug_lock();
	nr = find(what, key);
	if (nr) {
		h = at(nr);
		h->bytes = bytes;
		h->kind = (uint8_t)kind;
		snprintf(h->name, sizeof(h->name), "%s", name);
	}
	tmk__debug_unlock();
}

/**
 * tmk__holder_change() - a block is freed, or about to be
 * @what: what it is
 * @key: its key
 * @state: the state that it comes to
 * @stack: from where; 0: that stays as it is
 */
void tmk__holder_change(enum tmk__holder_what what, uint64_t key,
			enum tmk__holder_state state, uint32_t stack)
{
	uint32_t nr;

	tmk__debug_lock();
	nr = find(what, key);
	if (nr) {
		at(nr)->state = (uint8_t)state;
		if (stack)
			at(nr)->freed = stack;
	}
	if (nr && state == TMK__HOLDER_FREED) {
		table.live--;
		freed_list(nr);
		if (table.freed > FREED_MAX)
			forget(table.oldest);
	}
	tmk__debug_unlock();
}

/**
 * tmk__holder_remove() - something is gone
 * @what: what it is
 * @key: its key; of something that was never added, too
 */
void tmk__holder_remove(enum tmk__holder_what what, uint64_t key)
{
	uint32_t nr;

	tmk__debug_lock();
	nr = find(what, key);
	if (nr)
		forget(nr);
	tmk__debug_unlock();
}

/**
 * tmk__holder_is_ours() - did this process make it?
 * @holder: a copy
 *
 * Return: false if it was inherited over fork().
 */
bool tmk__holder_is_ours(const struct tmk__holder *holder)
{
	bool ours;

	tmk__debug_lock();
	ours = holder->epoch == tmk__debug_epoch();
	tmk__debug_unlock();
	return ours;
}

/**
 * tmk__holders_left() - what this process made, has, and was not told of
 * @out: copies; they count as told from then on. NULL: only how many there are
 * @room: for so many
 *
 * Return: how many; 0 too if another thread keeps the lock.
 */
uint32_t tmk__holders_left(struct tmk__holder *out, uint32_t room)
{
	uint32_t nr = 0, i;
	struct tmk__holder *h;

	if (!tmk__debug_try_lock())
		return 0;
	for (i = 1; i < table.nr && (!out || nr < room); i++) {
		h = at(i);
		if (!h->what || h->state == TMK__HOLDER_FREED || h->told ||
		    h->epoch != tmk__debug_epoch())
			continue;
		if (out) {
			out[nr] = *h;
			h->told = true;
		}
		nr++;
	}
	tmk__debug_unlock();
	return nr;
}
