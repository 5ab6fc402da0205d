// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Delegation: who besides the machine's administrator may set a group's limits.
 *
 * The administrator names a user as the owner of a group. That user may set the
 * limits of the group and of all groups below, to anything that no limit above
 * is lower than. Above all it is the hierarchy that holds an owner: every limit
 * above is charged and refuses as well, whatever stands below. The check here
 * keeps a file from promising what cannot be had.
 *
 * A group without an owner of its own has that of the nearest group above that
 * has one. Files that the owner may write belong to them in sysfs, so that
 * nobody else can have them open: what is written to a file is judged by who
 * writes, and a privileged program can be made to write into a descriptor.
 */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/uidgid.h>

#include "ktmk.h"

/**
 * ktmk_group_owner() - who administers a group
 * @group: the group
 *
 * Return: the user; INVALID_UID if that is the machine's administrator alone.
 */
kuid_t ktmk_group_owner(const struct ktmk_group *group)
{
	kuid_t owner = INVALID_UID;

	for (; group && !uid_valid(owner); group = group->parent)
		owner = READ_ONCE(group->owner);
	return owner;
}

static bool is_owner(const struct ktmk_group *group)
{
	kuid_t owner = ktmk_group_owner(group);

	return uid_valid(owner) && uid_eq(owner, current_euid());
}

/**
 * ktmk_may_administer() - may the caller do what changes no limit?
 * @group: the group
 *
 * Return: yes or no.
 */
bool ktmk_may_administer(const struct ktmk_group *group)
{
	return is_owner(group) || capable(CAP_SYS_RESOURCE);
}

/**
 * ktmk_may_set_max() - may the caller set this limit?
 * @group: the group
 * @id: which limit
 * @max: bytes, or KTMK_UNLIMITED
 *
 * Return: yes or no.
 */
bool ktmk_may_set_max(const struct ktmk_group *group, enum ktmk_counter_id id,
		      u64 max)
{
	const struct ktmk_group *above = group->parent;

	if (is_owner(group)) {
		while (above && max <= ktmk_counter_max(&above->counter[id]))
			above = above->parent;
		if (!above)
			return true;
	}
	/* The mode can be changed by chmod, this cannot. */
	return capable(CAP_SYS_RESOURCE);
}

/**
 * ktmk_owner_parse() - read a user as it stands in control
 * @out: the user, INVALID_UID for "none"
 * @text: "none" or a number, as the writer's user namespace has it
 *
 * Return: 0, -EINVAL for junk and for a user that is none, -ERANGE.
 */
int ktmk_owner_parse(kuid_t *out, const char *text)
{
	unsigned int uid;
	int err;

	if (!strcmp(text, "none")) {
		*out = INVALID_UID;
		return 0;
	}
	err = kstrtouint(text, 10, &uid);
	if (err)
		return err;
	*out = make_kuid(current_user_ns(), uid);
	return uid_valid(*out) ? 0 : -EINVAL;
}
