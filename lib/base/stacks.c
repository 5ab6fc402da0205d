// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Call stacks, each of them kept once: things that were made in the same place
 * have the same number. None is forgotten; a program has as many as it has ways
 * to ask for memory.
 */
#include <string.h>
#include <unwind.h>

#include "internal.h"
#include "reserve.h"

#define STACKS_MAX (1u << 18)
#define STACKS_LEAST (1u << 10)
#define BUCKETS (1u << 12)
#define SENTENCE_FRAMES 4
#define OWN_FRAMES 8 /* of the library, at most, before the program's */

struct stack {
	uint32_t next; /* of the same hash */
	uint32_t nr;
	void *pc[TMK__STACK_FRAMES];
};

/* All under tmk__debug_lock(). */
static struct tmk__reserve room;
static uint32_t buckets[BUCKETS];
static uint32_t stacks_nr = 1; /* 0 is none */

static struct stack *stack_at(uint32_t nr)
{
	return (struct stack *)room.base + nr;
}

static uint32_t stack_hash(void *const *pc, uint32_t nr)
{
	uint64_t hash = nr;
	uint32_t i;

	for (i = 0; i < nr; i++)
		hash = (hash ^ (uintptr_t)pc[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(hash >> 52) % BUCKETS;
}

/* Return: its number; 0 if there is no memory for one more. */
static uint32_t stack_intern(void *const *pc, uint32_t nr)
{
	uint32_t *bucket = &buckets[stack_hash(pc, nr)], i;
	size_t bytes = sizeof(struct stack);
	struct stack *stack;

	for (i = *bucket; i; i = stack_at(i)->next)
		if (stack_at(i)->nr == nr &&
		    !memcmp(stack_at(i)->pc, pc, nr * sizeof(*pc)))
			return i;
	if (tmk__fault("stack") ||
	    tmk__reserve_init(&room, STACKS_MAX * bytes,
			      STACKS_LEAST * bytes) ||
	    tmk__reserve_grow(&room, (stacks_nr + 1) * bytes))
		return 0;
	i = stacks_nr++;
	stack = stack_at(i);
	stack->nr = nr;
	memcpy(stack->pc, pc, nr * sizeof(*pc));
	stack->next = *bucket;
	*bucket = i;
	return i;
}

/* A stack while it is walked. */
struct walk {
	void *pc[TMK__STACK_FRAMES + 1];
	uint32_t nr;
};

/* One frame more; anything but NO_REASON ends the walk. */
static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *frame, void *arg)
{
	struct walk *walk = arg;
	uintptr_t pc = _Unwind_GetIP(frame);

	if (!pc || walk->nr == TMK__ARRAY_SIZE(walk->pc))
		return _URC_END_OF_STACK;
	walk->pc[walk->nr++] = (void *)pc;
	return _URC_NO_REASON;
}

/**
 * tmk__stack_take() - the call stack of the caller; not under the lock
 *
 * Not by backtrace(3), which opens the library that does it at its first call,
 * allocates for that, and has nothing to say where that library is not.
 *
 * Return: its number; 0 if nobody wants to know, or there is no memory.
 */
uint32_t tmk__stack_take(void)
{
	struct walk walk = { .nr = 0 };
	uint32_t stack;

	if (!(tmk__debug() & TMK__DEBUG_LEAKS))
		return 0;
	(void)_Unwind_Backtrace(walk_frame, &walk);
	/* The first is this one. */
	if (walk.nr < 2)
		return 0;
	tmk__debug_lock();
	stack = stack_intern(walk.pc + 1, walk.nr - 1);
	tmk__debug_unlock();
	return stack;
}

/* How many frames, from the innermost, are the library's? */
static uint32_t own_frames(void *const *pc, uint32_t nr)
{
	struct tmk__symbol symbol;
	uint32_t i, own = 0;

	for (i = 0; i < TMK__MIN(nr, OWN_FRAMES); i++) {
		tmk__symbol_find(&symbol, pc[i]);
		if (symbol.ours || !strncmp(symbol.name, "tmk_", 4))
			own = i + 1;
	}
	return own < nr ? own : 0;
}

/**
 * tmk__stack_frames() - a call stack, from the program's innermost call on
 * @out: return addresses
 * @stack: its number
 *
 * Return: how many.
 */
uint32_t tmk__stack_frames(void *out[TMK__STACK_FRAMES], uint32_t stack)
{
	void *pc[TMK__STACK_FRAMES];
	uint32_t nr = 0, own;

	if (!stack || !tmk__debug_try_lock())
		return 0;
	nr = stack_at(stack)->nr;
	memcpy(pc, stack_at(stack)->pc, nr * sizeof(*pc));
	tmk__debug_unlock();
	own = own_frames(pc, nr);
	memcpy(out, pc + own, (nr - own) * sizeof(*pc));
	return nr - own;
}

/**
 * tmk__stack_text() - the innermost calls of a stack, for a sentence
 * @buf: for the text
 * @len: its length
 * @before: what comes before it
 * @stack: its number
 *
 * Return: @buf: "" if the stack is not known.
 */
const char *tmk__stack_text(char *buf, size_t len, const char *before,
			    uint32_t stack)
{
	void *pc[TMK__STACK_FRAMES];
	uint32_t nr = tmk__stack_frames(pc, stack), i;
	struct tmk__symbol symbol;
	size_t used = 0;

	buf[0] = '\0';
	for (i = 0; i < TMK__MIN(nr, SENTENCE_FRAMES); i++) {
		tmk__symbol_find(&symbol, pc[i]);
		used += (size_t)snprintf(buf + used, len - used, "%s",
					 i ? " < " : before);
		if (used >= len)
			break;
		if (symbol.name[0])
			used += (size_t)snprintf(buf + used, len - used, "%s()",
						 symbol.name);
		else
			used += (size_t)snprintf(buf + used, len - used,
						 "%s+0x%llx", symbol.object,
						 (unsigned long long)symbol.at);
		if (used >= len || !strcmp(symbol.name, "main"))
			break;
	}
	return buf;
}
