// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What a task can learn of the limits that it is under: TMK_IOC_USAGE, and the
 * counts of what happened at them, which poll.c waits for.
 *
 * Owns nothing; looks at the groups under the lock of group.c.
 */

#include "ktmk.h"

static void usage_tightest(struct ktmk_group *group, enum ktmk_counter_id id,
			   __u64 *cgroup, __u64 *current_bytes, __u64 *max)
{
	struct ktmk_counter *c = ktmk_counter_tightest(&group->counter[id]);

	*cgroup = 0;
	*current_bytes = 0;
	*max = KTMK_UNLIMITED;
	if (c) {
		struct ktmk_group *at =
			container_of(c, struct ktmk_group, counter[id]);

		*cgroup = ktmk_group_id(at);
		*current_bytes = ktmk_counter_read(c);
		*max = ktmk_counter_max(c);
	}
}

/**
 * ktmk_usage_news() - what happened at the limits that the caller is under
 * @refused: how often they refused
 * @room: how often one that had refused had room again
 *
 * Both go up; when a group goes they can go down.
 *
 * Context: may sleep.
 */
void ktmk_usage_news(u64 *refused, u64 *room)
{
	struct ktmk_group *g;
	u64 id;

	*refused = 0;
	*room = 0;
	for (g = ktmk_group_lock_nearest(&id); g; g = g->parent) {
		*refused += atomic64_read(&g->events_local[KTMK_TOTAL]) +
			    atomic64_read(&g->events_local[KTMK_PHYSICAL]);
		*room += atomic64_read(&g->room_local);
	}
	ktmk_group_unlock();
}

/**
 * ktmk_ioc_usage() - TMK_IOC_USAGE
 * @ucmd: the command
 *
 * Return: 0, -EINVAL or -EFAULT.
 */
int ktmk_ioc_usage(struct ktmk_ucmd *ucmd)
{
	struct tmk_ioc_usage *cmd = ucmd->cmd;
	struct ktmk_group *group;
	u64 id;

	if (cmd->flags)
		return -EINVAL;

	ktmk_poll_seen(ucmd->file, true);
	cmd->out_current = 0;
	cmd->out_peak = 0;
	cmd->out_max = KTMK_UNLIMITED;
	cmd->out_physical_current = 0;
	cmd->out_physical_peak = 0;
	cmd->out_physical_max = KTMK_UNLIMITED;

	group = ktmk_group_lock_nearest(&id);
	cmd->out_cgroup_id = id;
	if (ktmk_group_id(group) == id) {
		struct ktmk_counter *total = &group->counter[KTMK_TOTAL];
		struct ktmk_counter *phys = &group->counter[KTMK_PHYSICAL];

		cmd->out_current = ktmk_counter_read(total);
		cmd->out_peak = ktmk_counter_peak(total);
		cmd->out_max = ktmk_counter_max(total);
		cmd->out_physical_current = ktmk_counter_read(phys);
		cmd->out_physical_peak = ktmk_counter_peak(phys);
		cmd->out_physical_max = ktmk_counter_max(phys);
	}
	usage_tightest(group, KTMK_TOTAL, &cmd->out_tight_cgroup,
		       &cmd->out_tight_current, &cmd->out_tight_max);
	usage_tightest(group, KTMK_PHYSICAL, &cmd->out_physical_tight_cgroup,
		       &cmd->out_physical_tight_current,
		       &cmd->out_physical_tight_max);
	ktmk_group_unlock();

	return ktmk_ucmd_respond(ucmd, sizeof(*cmd));
}
