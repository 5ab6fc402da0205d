// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * How much room each limit leaves that both backends meet: the machine's memory
 * and memory.max. A look, not a reservation: others may take it meanwhile.
 */
#include <string.h>

#include "backend.h"

/**
 * tmk__room_set() - a limit, and the room that it leaves
 * @out: filled in
 * @limit: which
 * @used: bytes in use under it
 * @max: its bytes; TMK_UNLIMITED for none
 * @where: whose it is; "" for the machine
 */
void tmk__room_set(struct tmk_limit_state *out, enum tmk_limit limit,
		   uint64_t used, uint64_t max, const char *where)
{
	*out = (struct tmk_limit_state){
		.limit = limit,
		.used = used,
		.max = max,
		.room = used < max ? max - used : 0,
	};
	if (max == TMK_UNLIMITED)
		*out = TMK__ROOM_NONE;
	else
		snprintf(out->where, sizeof(out->where), "%s", where);
}

/**
 * tmk__room_offer() - one more limit: it counts if it leaves the least room
 * @row: what counts so far
 * @state: the limit
 */
void tmk__room_offer(struct tmk_limit_state *row,
		     const struct tmk_limit_state *state)
{
	if (state->room < row->room)
		*row = *state;
}

/**
 * tmk__room_machine() - what the machine has left
 * @out: filled in
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__room_machine(struct tmk_limit_state *out)
{
	uint64_t total, available;
	int err;

	err = tmk__meminfo(&total, &available);
	if (err)
		return err;
	tmk__room_set(out, TMK_LIMIT_MEMORY, total - TMK__MIN(total, available),
		      total, "");
	return 0;
}

/* Without what the kernel needs to keep track of them, as memcg counts. */
static uint64_t without_overhead(uint64_t bytes)
{
	bytes -= TMK__MIN(bytes, UINT64_C(512) << 10);
	return bytes - bytes / 129;
}

/**
 * tmk__room_memcg() - what the tightest memory.max leaves
 * @out: filled in: none if there is none, or no cgroup v2
 * @mount: from tmk__cgroup_find()
 */
void tmk__room_memcg(struct tmk_limit_state *out,
		     const struct tmk__cgroup_mount *mount)
{
	struct tmk__memcg memcg;

	(void)tmk__cgroup_tightest(&memcg, mount);
	tmk__room_set(out, TMK_LIMIT_MEMCG, memcg.used, memcg.max, memcg.path);
	if (out->limit)
		out->room = without_overhead(out->room);
}

/**
 * tmk__room_look() - both of them, on what occupies RAM
 * @out: what counts so far
 * @mount: from tmk__cgroup_find()
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__room_look(struct tmk_limits_effective *out,
		   const struct tmk__cgroup_mount *mount)
{
	struct tmk_limit_state state;
	int err;

	err = tmk__room_machine(&state);
	if (err)
		return err;
	tmk__room_offer(&out->physical, &state);
	tmk__room_memcg(&state, mount);
	tmk__room_offer(&out->physical, &state);
	return 0;
}
