/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Debugging: which checks TMK_DEBUG turns on, and what is remembered for them of
 * everything that the program has.
 *
 *	debug.c    which checks are on; patterns in memory; lines for people
 *	holders.c  what the program has, and what it had, and since when
 *	stacks.c   call stacks, each of them once
 *	symbol.c   names for addresses of code
 *	leaks.c    what is left at the end
 *
 * What is checked is decided when the library is first used and stays so: what
 * was made before would not be known. Where nothing is checked all of this costs
 * a load and a branch, in places that are slow anyway.
 *
 * Lock: one for all tables, tmk__debug_lock(). It is the last one: who holds it
 * takes no other. A child has all tables, and what its parent made is not its own.
 */
#ifndef TMK_BASE_DEBUG_H
#define TMK_BASE_DEBUG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the words in lib/base/env.c. */
#define TMK__DEBUG_LEAKS (1u << 0)
#define TMK__DEBUG_POISON (1u << 1)
#define TMK__DEBUG_GUARD (1u << 2)
#define TMK__DEBUG_ALL ((1u << 3) - 1)
#define TMK__DEBUG_CHOSEN (1u << 31)

/* What memory is filled with: new, and not cleared (no number, as a float); */
/* free. */
#define TMK__POISON_NEW 0xff
#define TMK__POISON_FREE 0xdb

#define TMK__HOLDER_NAME 64

enum tmk__holder_what {
	TMK__HOLDER_BLOCK = 1,
	TMK__HOLDER_REGION,
	TMK__HOLDER_TENSOR,
	TMK__HOLDER_WORKSPACE,
};

enum tmk__holder_state {
	TMK__HOLDER_LIVE,
	TMK__HOLDER_WAITS, /* a block that was freed and waits for its fence */
	TMK__HOLDER_FREED, /* a block, remembered for a while */
};

/**
 * struct tmk__holder - something that the program has, or had
 * @key: what it is found by, among those of its @what
 * @data: a block: where it begins for the program
 * @bytes: how large it is, as asked for
 * @room: a block with guards: the memory between them, which begins at @key; 0
 *	if it has none
 * @born: when it was made, in ms
 * @made: the call stack then
 * @freed: and when it was freed
 * @epoch: the process that made it: tmk__holder_is_ours()
 * @next: of the same hash, or unused
 * @older: freed before this one
 * @newer: and after it
 * @what: enum tmk__holder_what
 * @state: enum tmk__holder_state
 * @kind: of the memory, 0 if that is not known
 * @told: a report had it
 * @name: what for
 */
struct tmk__holder {
	uint64_t key;
	char *data;
	uint64_t bytes;
	uint64_t room;
	uint64_t born;
	uint32_t made;
	uint32_t freed;
	uint32_t epoch;
	uint32_t next;
	uint32_t older;
	uint32_t newer;
	uint8_t what;
	uint8_t state;
	uint8_t kind;
	bool told;
	char name[TMK__HOLDER_NAME];
};

/**
 * struct tmk__symbol - what is at an address of code
 * @name: the function, "" if it is not known
 * @into: how far into it
 * @object: the program or library
 * @at: where in that file's addresses: what addr2line(1) takes
 * @ours: it is this library's, and that is a file of its own
 */
struct tmk__symbol {
	char name[80];
	uint64_t into;
	char object[64];
	uint64_t at;
	bool ours;
};

/* debug.c */
extern _Atomic uint32_t tmk__debug_word;

uint32_t tmk__debug_choose(void);
void tmk__debug_warn(void);
void tmk__debug_lock(void);
bool tmk__debug_try_lock(void);
void tmk__debug_unlock(void);
uint32_t tmk__debug_epoch(void);
uint64_t tmk__debug_now(void);
void tmk__debug_tell(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
void tmk__poison_fill(void *data, size_t bytes, int pattern);
void tmk__poison_hide(void *data, size_t bytes);
void tmk__poison_show(void *data, size_t bytes);
bool tmk__poison_find(size_t *first, size_t *last, const void *data,
		      size_t bytes);

/** tmk__debug() - the checks that are on. Return: TMK__DEBUG_* */
static inline uint32_t tmk__debug(void)
{
	uint32_t word =
		atomic_load_explicit(&tmk__debug_word, memory_order_relaxed);

	if (__builtin_expect(!word, 0))
		word = tmk__debug_choose();
	return word & TMK__DEBUG_ALL;
}

/* holders.c */
int tmk__holder_add(const struct tmk__holder *from);
bool tmk__holder_find(struct tmk__holder *out, enum tmk__holder_what what,
		      uint64_t key);
bool tmk__holder_around(struct tmk__holder *out, const void *ptr,
			enum tmk__holder_state state);
void tmk__holder_describe(enum tmk__holder_what what, uint64_t key,
			  uint64_t bytes, int kind, const char *name);
void tmk__holder_change(enum tmk__holder_what what, uint64_t key,
			enum tmk__holder_state state, uint32_t stack);
void tmk__holder_remove(enum tmk__holder_what what, uint64_t key);
bool tmk__holder_is_ours(const struct tmk__holder *holder);
uint32_t tmk__holders_left(struct tmk__holder *out, uint32_t room);

/* stacks.c */
#define TMK__STACK_FRAMES 20

uint32_t tmk__stack_take(void);
uint32_t tmk__stack_frames(void *out[TMK__STACK_FRAMES], uint32_t stack);
const char *tmk__stack_text(char *buf, size_t len, const char *before,
			    uint32_t stack);

/* symbol.c */
void tmk__symbol_find(struct tmk__symbol *out, const void *pc);

/* leaks.c */
void tmk__leaks_report(const char *when);

#endif /* TMK_BASE_DEBUG_H */
