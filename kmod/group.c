// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Groups: one for each cgroup v2 group that has charges or limits.
 *
 * A group's counters add up into those of its parent, so groups are created
 * for a cgroup together with all of its ancestors and a child holds its parent.
 * A region belongs to the group that its creator was in at the time, wherever
 * the creator or the file descriptor go later, and keeps it alive even if the
 * cgroup's directory is removed.
 *
 * ktmk_groups_lock guards the tree and the reference counts; regions are made
 * rarely, so one mutex will do. Charging needs no lock: whoever charges holds a
 * reference. ktmk_limits_lock makes setting a limit and the death of a group
 * exclude each other, so that a limit is never written into a group that is
 * about to go.
 *
 * Modules are not told when a cgroup is removed. A group that is kept by a
 * limit alone is therefore looked at now and then and dropped when its cgroup
 * is offline.
 */

#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "ktmk.h"

#define KTMK_REAP_PERIOD (5 * HZ)

static DEFINE_XARRAY(ktmk_groups); /* by cgroup id; ktmk_groups_lock */
static DEFINE_MUTEX(ktmk_groups_lock);
static DEFINE_MUTEX(ktmk_limits_lock);
static struct ktmk_group *ktmk_root;

static void group_reap_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(ktmk_reap, group_reap_work);

/**
 * ktmk_group_root() - the group that stands for the machine
 *
 * Return: it; valid while the module is loaded.
 */
struct ktmk_group *ktmk_group_root(void)
{
	return ktmk_root;
}

/* Did somebody say something of this group that is to be remembered? */
static bool group_is_set(const struct ktmk_group *group)
{
	return uid_valid(group->owner) ||
	       ktmk_counter_max(&group->counter[KTMK_TOTAL]) !=
		       KTMK_UNLIMITED ||
	       ktmk_counter_max(&group->counter[KTMK_PHYSICAL]) !=
		       KTMK_UNLIMITED;
}

static bool group_is_online(const struct ktmk_group *group)
{
	return group->cgrp->self.flags & CSS_ONLINE;
}

static struct ktmk_group *group_lookup(const struct cgroup *cgrp)
{
	return xa_load(&ktmk_groups, cgroup_id(cgrp));
}

/* A group without references, not in the tree yet. Takes over nothing. */
static struct ktmk_group *group_alloc(struct cgroup *cgrp,
				      struct ktmk_group *parent)
{
	struct ktmk_group *group;
	int i;

	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < KTMK_COUNTERS; i++)
		ktmk_counter_init(&group->counter[i],
				  parent ? &parent->counter[i] : NULL);
	cgroup_get(cgrp);
	group->cgrp = cgrp;
	group->owner = INVALID_UID;
	group->parent = parent;
	if (parent)
		parent->refs++;
	kobject_init(&group->kobj, &ktmk_group_ktype);
	return group;
}

static struct ktmk_group *group_create(struct cgroup *cgrp,
				       struct ktmk_group *parent)
{
	struct ktmk_group *group;
	int err;

	lockdep_assert_held(&ktmk_groups_lock);
	group = group_alloc(cgrp, parent);
	if (IS_ERR(group))
		return group;
	err = xa_insert(&ktmk_groups, cgroup_id(cgrp), group,
			GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_put;
	err = ktmk_sysfs_add_group(group);
	if (err)
		goto err_erase;
	return group;

err_erase:
	xa_erase(&ktmk_groups, cgroup_id(cgrp));
err_put:
	if (parent)
		parent->refs--;
	kobject_put(&group->kobj);
	return ERR_PTR(err);
}

/*
 * Drop groups that nothing needs, from @group upwards. A group that only a
 * limit or an owner keeps goes as well once its cgroup is gone.
 */
static void group_prune(struct ktmk_group *group)
{
	lockdep_assert_held(&ktmk_groups_lock);
	while (group != ktmk_root && !group->refs) {
		struct ktmk_group *parent = group->parent;

		mutex_lock(&ktmk_limits_lock);
		group->dead = !group_is_set(group) || !group_is_online(group);
		mutex_unlock(&ktmk_limits_lock);
		if (!group->dead)
			return;
		xa_erase(&ktmk_groups, ktmk_group_id(group));
		kobject_del(&group->kobj);
		kobject_put(&group->kobj);
		parent->refs--;
		group = parent;
	}
}

static void group_reap_work(struct work_struct *work)
{
	struct ktmk_group *group;
	unsigned long id = 0;
	bool again = false;

	mutex_lock(&ktmk_groups_lock);
	while ((group = xa_find(&ktmk_groups, &id, ULONG_MAX, XA_PRESENT))) {
		if (group != ktmk_root)
			again = true;
		group_prune(group);
		id++;
	}
	mutex_unlock(&ktmk_groups_lock);
	if (again)
		schedule_delayed_work(&ktmk_reap, KTMK_REAP_PERIOD);
}

/* The group of @cgrp with a new reference; made if need be. */
static struct ktmk_group *group_get(struct cgroup *cgrp)
{
	struct ktmk_group *group = ktmk_root;
	int level;

	lockdep_assert_held(&ktmk_groups_lock);
	for (level = 1; level <= cgrp->level; level++) {
		struct cgroup *ancestor = cgroup_ancestor(cgrp, level);
		struct ktmk_group *next = group_lookup(ancestor);

		if (!next)
			next = group_create(ancestor, group);
		if (IS_ERR(next)) {
			group_prune(group);
			return next;
		}
		group = next;
	}
	group->refs++;
	schedule_delayed_work(&ktmk_reap, KTMK_REAP_PERIOD);
	return group;
}

static struct cgroup *cgroup_get_current(void)
{
	struct cgroup *cgrp;

	/* A task's group cannot go, but the task can be moved meanwhile. */
	rcu_read_lock();
	do {
		cgrp = task_dfl_cgroup(current);
	} while (!cgroup_tryget(cgrp));
	rcu_read_unlock();
	return cgrp;
}

/**
 * ktmk_group_get_current() - the group that the calling task is in
 * @out: the group, with a reference
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int ktmk_group_get_current(struct ktmk_group **out)
{
	struct cgroup *cgrp = cgroup_get_current();
	struct ktmk_group *group;

	mutex_lock(&ktmk_groups_lock);
	group = group_get(cgrp);
	mutex_unlock(&ktmk_groups_lock);
	cgroup_put(cgrp);
	if (IS_ERR(group))
		return PTR_ERR(group);
	*out = group;
	return 0;
}

/**
 * ktmk_group_put() - give a reference back
 * @group: the group; it goes if nothing else needs it
 *
 * Context: may sleep.
 */
void ktmk_group_put(struct ktmk_group *group)
{
	mutex_lock(&ktmk_groups_lock);
	group->refs--;
	group_prune(group);
	mutex_unlock(&ktmk_groups_lock);
}

static void group_notify(struct ktmk_group *group)
{
	sysfs_notify(&group->kobj, NULL, "events.local");
	for (; group; group = group->parent)
		sysfs_notify(&group->kobj, NULL, "events");
}

/*
 * A limit of @at has room again. That is news only if it refused somebody since
 * it last was: most of the time nobody waits, and then this is one read.
 */
static void group_room(struct ktmk_group *at)
{
	struct ktmk_group *group;

	if (!atomic_read(&at->starved) || !atomic_xchg(&at->starved, 0))
		return;
	atomic64_inc(&at->room_local);
	for (group = at; group; group = group->parent)
		atomic64_inc(&group->room);
	group_notify(at);
	ktmk_poll_wake(EPOLLIN | EPOLLRDNORM);
}

static bool group_fits(const struct ktmk_counter *counter, u64 bytes)
{
	u64 max = ktmk_counter_max(counter);
	u64 used = ktmk_counter_read(counter);

	return used <= max && bytes <= max - used;
}

/* Tell the world, and the caller, which limit refused. */
static void group_refused(enum ktmk_counter_id id, struct ktmk_counter *fail,
			  u64 bytes, struct ktmk_refusal *refusal)
{
	struct ktmk_group *at =
		container_of(fail, struct ktmk_group, counter[id]);
	struct ktmk_group *group;

	refusal->reason = id == KTMK_TOTAL ? TMK_IOC_REFUSAL_MAX :
					     TMK_IOC_REFUSAL_PHYSICAL_MAX;
	refusal->cgroup = ktmk_group_id(at);
	refusal->used = ktmk_counter_read(fail);
	refusal->limit = ktmk_counter_max(fail);

	atomic64_inc(&at->events_local[id]);
	for (group = at; group; group = group->parent)
		atomic64_inc(&group->events[id]);
	group_notify(at);
	ktmk_poll_wake(EPOLLPRI);

	/* Whoever gave something back before this did not know of us. */
	atomic_set(&at->starved, 1);
	smp_mb(); /* pairs with the atomics of ktmk_counter_uncharge() */
	if (group_fits(fail, bytes))
		group_room(at);
}

/**
 * ktmk_group_charge() - charge a group and all of its ancestors
 * @group: the group, referenced by the caller
 * @kind: enum tmk_ioc_kind, for the statistics
 * @bytes: bytes of KTMK_TOTAL
 * @physical: bytes of KTMK_PHYSICAL
 * @refusal: filled in if a limit refuses
 *
 * Context: may sleep.
 * Return: 0, or -EDQUOT and nothing is charged.
 */
int ktmk_group_charge(struct ktmk_group *group, u32 kind, u64 bytes,
		      u64 physical, struct ktmk_refusal *refusal)
{
	struct ktmk_counter *fail;
	struct ktmk_group *g;

	if (!ktmk_counter_try_charge(&group->counter[KTMK_TOTAL], bytes,
				     &fail)) {
		group_refused(KTMK_TOTAL, fail, bytes, refusal);
		return -EDQUOT;
	}
	if (!ktmk_counter_try_charge(&group->counter[KTMK_PHYSICAL], physical,
				     &fail)) {
		ktmk_counter_uncharge(&group->counter[KTMK_TOTAL], bytes);
		group_refused(KTMK_PHYSICAL, fail, physical, refusal);
		return -EDQUOT;
	}
	for (g = group; g; g = g->parent)
		atomic64_add(bytes, &g->by_kind[kind]);
	return 0;
}

/**
 * ktmk_group_uncharge() - the reverse of ktmk_group_charge()
 * @group: the group that was charged
 * @kind: as charged
 * @bytes: bytes of KTMK_TOTAL
 * @physical: bytes of KTMK_PHYSICAL
 *
 * Context: may sleep.
 */
void ktmk_group_uncharge(struct ktmk_group *group, u32 kind, u64 bytes,
			 u64 physical)
{
	struct ktmk_group *g;

	for (g = group; g; g = g->parent)
		atomic64_sub(bytes, &g->by_kind[kind]);
	ktmk_counter_uncharge(&group->counter[KTMK_PHYSICAL], physical);
	ktmk_counter_uncharge(&group->counter[KTMK_TOTAL], bytes);
	if (bytes || physical)
		for (g = group; g; g = g->parent)
			group_room(g);
}

/**
 * ktmk_group_set_max() - set a limit
 * @group: the group
 * @id: which limit
 * @max: bytes, or KTMK_UNLIMITED
 *
 * Return: 0, or -ENODEV if the group is on its way out.
 */
int ktmk_group_set_max(struct ktmk_group *group, enum ktmk_counter_id id,
		       u64 max)
{
	bool higher = false;
	int err = 0;

	mutex_lock(&ktmk_limits_lock);
	if (group->dead) {
		err = -ENODEV;
	} else {
		higher = max > ktmk_counter_max(&group->counter[id]);
		ktmk_counter_set_max(&group->counter[id], max);
		/* Not after unlocking: the group may be gone then. */
		if (higher)
			group_room(group);
	}
	mutex_unlock(&ktmk_limits_lock);

	/* Without its limits the group may not be needed any more. */
	if (!err && max == KTMK_UNLIMITED)
		mod_delayed_work(system_wq, &ktmk_reap, 0);
	return err;
}

/**
 * ktmk_group_set_max_by_path() - set a limit of any cgroup
 * @path: as the caller's cgroup namespace shows it
 * @id: which limit
 * @max: bytes, or KTMK_UNLIMITED
 *
 * Return: 0, -ENOENT or -ENOTDIR for a bad path, -ENOMEM.
 */
int ktmk_group_set_max_by_path(const char *path, enum ktmk_counter_id id,
			       u64 max)
{
	struct cgroup *cgrp = cgroup_get_from_path(path);
	struct ktmk_group *group;
	int err;

	if (IS_ERR(cgrp))
		return PTR_ERR(cgrp);
	mutex_lock(&ktmk_groups_lock);
	group = group_get(cgrp);
	if (IS_ERR(group)) {
		err = PTR_ERR(group);
	} else {
		err = ktmk_group_set_max(group, id, max);
		group->refs--;
		group_prune(group);
	}
	mutex_unlock(&ktmk_groups_lock);
	cgroup_put(cgrp);
	return err;
}

/* Name the owner of @group, and give away what is the owner's to write. */
static int group_set_owner(struct ktmk_group *group, kuid_t owner)
{
	struct ktmk_group *below;
	unsigned long id;
	int err = 0;

	lockdep_assert_held(&ktmk_groups_lock);
	WRITE_ONCE(group->owner, owner);
	xa_for_each(&ktmk_groups, id, below) {
		struct ktmk_group *g = below;

		while (g && g != group)
			g = g->parent;
		if (g)
			err = ktmk_sysfs_set_owner(below) ?: err;
	}
	return err;
}

/**
 * ktmk_group_set_owner_by_path() - delegate a cgroup, or take it back
 * @path: as the caller's cgroup namespace shows it
 * @owner: who may set the limits there and below; INVALID_UID for nobody
 *
 * Return: 0; -EINVAL for the machine, above which no limit would hold; -ENOENT or
 * -ENOTDIR for a bad path; -ENOMEM, and the owner is the former one.
 */
int ktmk_group_set_owner_by_path(const char *path, kuid_t owner)
{
	struct cgroup *cgrp = cgroup_get_from_path(path);
	struct ktmk_group *group;
	kuid_t former;
	int err;

	if (IS_ERR(cgrp))
		return PTR_ERR(cgrp);
	mutex_lock(&ktmk_groups_lock);
	group = group_get(cgrp);
	if (IS_ERR(group)) {
		err = PTR_ERR(group);
		goto out;
	}
	former = group->owner;
	err = group == ktmk_root ? -EINVAL : group_set_owner(group, owner);
	if (err && group != ktmk_root)
		group_set_owner(group, former);
	group->refs--;
	group_prune(group);
out:
	mutex_unlock(&ktmk_groups_lock);
	cgroup_put(cgrp);
	return err;
}

/**
 * ktmk_group_lock_nearest() - the caller's group, or whom its charges would reach
 * @id: set to the id of the caller's cgroup
 *
 * Asking must not create anything, so a group that tmk does not know yet is
 * answered for by its nearest ancestor that it knows.
 *
 * Context: may sleep; no group comes or goes until ktmk_group_unlock().
 * Return: a group; it is the caller's own if its id is @id.
 */
struct ktmk_group *ktmk_group_lock_nearest(u64 *id)
{
	struct cgroup *cgrp = cgroup_get_current(), *known;
	struct ktmk_group *group;

	*id = cgroup_id(cgrp);
	mutex_lock(&ktmk_groups_lock);
	for (known = cgrp; !(group = group_lookup(known));)
		known = cgroup_parent(known);
	/* It holds a cgroup of its own. */
	cgroup_put(cgrp);
	return group;
}

/**
 * ktmk_group_unlock() - done with what ktmk_group_lock_nearest() returned
 */
void ktmk_group_unlock(void)
{
	mutex_unlock(&ktmk_groups_lock);
}

/**
 * ktmk_group_init() - make the machine's group
 * @max: its limit on all bytes
 * @physical_max: its limit on bytes that occupy RAM
 *
 * Return: 0 or -ENOMEM.
 */
int ktmk_group_init(u64 max, u64 physical_max)
{
	struct ktmk_group *root = group_alloc(&cgrp_dfl_root.cgrp, NULL);
	int err;

	if (IS_ERR(root))
		return PTR_ERR(root);
	ktmk_counter_set_max(&root->counter[KTMK_TOTAL], max);
	ktmk_counter_set_max(&root->counter[KTMK_PHYSICAL], physical_max);
	err = xa_insert(&ktmk_groups, ktmk_group_id(root), root, GFP_KERNEL);
	if (err)
		goto err_put;
	ktmk_root = root;
	err = ktmk_sysfs_add_root(root);
	if (err)
		goto err_erase;
	return 0;

err_erase:
	ktmk_root = NULL;
	xa_erase(&ktmk_groups, ktmk_group_id(root));
err_put:
	kobject_put(&root->kobj);
	return err;
}

/**
 * ktmk_group_exit() - undo ktmk_group_init(); no region is left
 */
void ktmk_group_exit(void)
{
	struct ktmk_group *group;
	unsigned long id;
	u64 left;

	/* Limits and owners are all that can keep a group now. Forget them. */
	mutex_lock(&ktmk_groups_lock);
	xa_for_each(&ktmk_groups, id, group) {
		group->owner = INVALID_UID;
		ktmk_counter_set_max(&group->counter[KTMK_TOTAL],
				     KTMK_UNLIMITED);
		ktmk_counter_set_max(&group->counter[KTMK_PHYSICAL],
				     KTMK_UNLIMITED);
	}
	id = 0;
	while ((group = xa_find(&ktmk_groups, &id, ULONG_MAX, XA_PRESENT))) {
		group_prune(group);
		id++;
	}
	mutex_unlock(&ktmk_groups_lock);

	left = ktmk_counter_read(&ktmk_root->counter[KTMK_TOTAL]);
	WARN_ONCE(left, "tmk: %llu bytes still charged at unload\n", left);
	WARN_ON_ONCE(ktmk_root->refs);
	xa_erase(&ktmk_groups, ktmk_group_id(ktmk_root));
	ktmk_sysfs_remove_root(ktmk_root);
	kobject_put(&ktmk_root->kobj);
	/* No store can schedule it now; a last run would find nothing. */
	cancel_delayed_work_sync(&ktmk_reap);
	xa_destroy(&ktmk_groups);
}
