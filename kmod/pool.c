// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Warm pages: 2 MiB folios that were cleared ahead, so that a huge region costs
 * its creator next to nothing.
 *
 *  - Folios come from the page allocator, cleared, and go into regions; what a
 *    region gives back goes to the page allocator. It cannot come back here:
 *    memcg's charge goes when the folio is freed and in no other way. So nothing
 *    that anybody ever wrote to, or that a device still has pinned, is in here.
 *  - Nobody is charged for a folio until it is inserted into a region's file.
 *  - The filler is a thread of the lowest priority that never reclaims and that
 *    stops while less than min_available bytes would be left. A shrinker gives
 *    folios back under pressure, and the filler then rests.
 *  - A group and its descendants may take share percent of the target at once,
 *    and as much again each KTMK_POOL_WINDOW, spread evenly. This holds at every
 *    level below the root, so making more groups does not help. What it took is
 *    remembered by the id of its cgroup, because the group itself goes when it
 *    holds nothing. Processes of the root cgroup itself are not held to it.
 *
 * Everything is guarded by pool.lock, a leaf, taken in reclaim as well: no
 * allocation under it. populate.c takes; main.c starts and stops.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/cpuset.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/topology.h>

#include "ktmk.h"

#define KTMK_POOL_NICE 19
/* Not while a creator is at it: it would pay on a machine with one processor. */
#define KTMK_POOL_REFILL_DELAY msecs_to_jiffies(200)
#define KTMK_POOL_RETRY_DELAY HZ
#define KTMK_POOL_REST (10 * HZ)
#define KTMK_POOL_WINDOW (10UL * HZ)
#define KTMK_POOL_TAKER_BITS 10
#define KTMK_POOL_SHARE 50
#define KTMK_POOL_MIN_AVAILABLE_PERCENT 10
#define KTMK_POOL_MAX_PERCENT 50

/**
 * struct pool_node - the folios of a NUMA node
 * @folios: linked by their lru
 * @have: how many
 * @want: this node's part of the target
 */
struct pool_node {
	struct list_head folios;
	unsigned long have;
	unsigned long want;
};

/**
 * struct pool_taker - what the groups of one hash value took lately
 * @since: when @debt was last looked at, in jiffies
 * @debt: folios times jiffies; it shrinks by a burst's worth each window
 *
 * Groups that share a value share an allowance, which is harmless: each is
 * still bounded, and so is the memory for it.
 */
struct pool_taker {
	unsigned long since;
	u64 debt;
};

static struct pool_taker pool_takers[1 << KTMK_POOL_TAKER_BITS]; /* pool.lock */

/* Numbers are folios, bytes where the name says so; guarded by @lock. */
static struct {
	spinlock_t lock; /* everything here, and pool_takers */
	struct pool_node *nodes;
	unsigned long have;
	unsigned long target;
	unsigned int share; /* percent */
	u64 min_available; /* bytes */
	bool resting;
	unsigned long rest_until; /* jiffies, if @resting */
	u64 hits;
	u64 misses;
	u64 filled;
	u64 shrunk;
	struct kthread_worker *worker;
	struct kthread_delayed_work fill;
	struct shrinker *shrinker;
	struct kobject *kobj;
} pool = {
	.lock = __SPIN_LOCK_UNLOCKED(pool.lock),
	.share = KTMK_POOL_SHARE,
};

static u64 percent_of_ram(unsigned int percent)
{
	return div_u64((u64)totalram_pages() << PAGE_SHIFT, 100) * percent;
}

/* Move the first folio of @pn to @out; pool.lock is held. */
static bool pool_pop(struct pool_node *pn, struct list_head *out)
{
	if (!pn->have)
		return false;
	list_move(pn->folios.next, out);
	pn->have--;
	pool.have--;
	return true;
}

static void pool_free(struct list_head *folios)
{
	struct folio *folio, *next;

	list_for_each_entry_safe(folio, next, folios, lru) {
		list_del(&folio->lru);
		folio_put(folio);
	}
}

static unsigned long group_burst(void)
{
	return max(pool.target * pool.share / 100, 1UL);
}

static struct pool_taker *taker_of(const struct ktmk_group *group)
{
	return &pool_takers[hash_64(ktmk_group_id(group), KTMK_POOL_TAKER_BITS)];
}

/* Has neither @group nor an ancestor had its share? pool.lock is held. */
static bool group_may_take(const struct ktmk_group *group)
{
	u64 burst = group_burst();

	for (; group->parent; group = group->parent) {
		struct pool_taker *t = taker_of(group);
		u64 elapsed = jiffies - t->since;

		t->since = jiffies;
		t->debt -= min(t->debt, elapsed * burst);
		if (t->debt > (burst - 1) * KTMK_POOL_WINDOW)
			return false;
	}
	return true;
}

static void group_took(const struct ktmk_group *group)
{
	for (; group->parent; group = group->parent)
		taker_of(group)->debt += KTMK_POOL_WINDOW;
}

/*
 * Which node's folios will do, or NUMA_NO_NODE. A task's own policy is not ours
 * to interpret: the page allocator does it.
 */
static int pool_node_for(int node)
{
	if (node == TMK_IOC_NODE_ANY) {
#ifdef CONFIG_NUMA
		if (current->mempolicy)
			return NUMA_NO_NODE;
#endif
		node = numa_mem_id();
	}
	return node_isset(node, cpuset_current_mems_allowed) ? node :
							       NUMA_NO_NODE;
}

/**
 * ktmk_pool_take() - a cleared folio, if there is one
 * @group: who is going to be charged
 * @node: NUMA node or TMK_IOC_NODE_ANY
 *
 * Return: a 2 MiB folio like one from the page allocator, or NULL: allocate.
 */
struct folio *ktmk_pool_take(const struct ktmk_group *group, int node)
{
	struct folio *folio;
	LIST_HEAD(taken);

	if (!READ_ONCE(pool.target))
		return NULL;
	node = pool_node_for(node);
	spin_lock(&pool.lock);
	if (node != NUMA_NO_NODE && group_may_take(group) &&
	    pool_pop(&pool.nodes[node], &taken)) {
		group_took(group);
		pool.hits++;
	} else {
		pool.misses++;
	}
	spin_unlock(&pool.lock);
	/* Does nothing if it is to run anyway. */
	kthread_queue_delayed_work(pool.worker, &pool.fill,
				   KTMK_POOL_REFILL_DELAY);

	folio = list_first_entry_or_null(&taken, struct folio, lru);
	if (folio)
		list_del(&folio->lru);
	return folio;
}

/**
 * ktmk_pool_bytes() - bytes that would come back under pressure
 *
 * Return: them.
 */
u64 ktmk_pool_bytes(void)
{
	return (u64)READ_ONCE(pool.have) * KTMK_HUGE_BYTES;
}

static bool pool_rests(void)
{
	return pool.resting && time_before(jiffies, pool.rest_until);
}

/* Taking one more leaves at least min_available. */
static bool pool_has_room(void)
{
	s64 left = (s64)si_mem_available() << PAGE_SHIFT;

	left -= KTMK_HUGE_BYTES;
	return left > 0 && (u64)left >= READ_ONCE(pool.min_available);
}

static bool pool_wants(int node)
{
	bool wants;

	spin_lock(&pool.lock);
	wants = pool.nodes[node].have < pool.nodes[node].want;
	spin_unlock(&pool.lock);
	return wants;
}

/* The target may have been lowered while @folio was being cleared. */
static void pool_put(int node, struct folio *folio)
{
	struct pool_node *pn = &pool.nodes[node];

	spin_lock(&pool.lock);
	if (pn->have < pn->want) {
		list_add(&folio->lru, &pn->folios);
		pn->have++;
		pool.have++;
		pool.filled++;
		folio = NULL;
	}
	spin_unlock(&pool.lock);
	if (folio)
		folio_put(folio);
}

/* Return: true if the node is short of what it wants. */
static bool pool_fill_node(int node)
{
	/* What is there for the asking; nobody is to be reclaimed for it. */
	gfp_t gfp = ((GFP_HIGHUSER | __GFP_ZERO | __GFP_THISNODE |
		      __GFP_NORETRY | __GFP_NOWARN) &
		     ~__GFP_RECLAIM);
	struct folio *folio;

	while (pool_wants(node)) {
		if (pool_rests() || !pool_has_room())
			return true;
		folio = __folio_alloc(gfp, HPAGE_PMD_ORDER, node, NULL);
		if (!folio)
			return true;
		pool_put(node, folio);
		cond_resched();
	}
	return false;
}

static void pool_fill(struct kthread_work *work)
{
	bool again = false;
	int node;

	for_each_node_state(node, N_MEMORY) again |= pool_fill_node(node);
	if (again)
		kthread_queue_delayed_work(pool.worker, &pool.fill,
					   KTMK_POOL_RETRY_DELAY);
}

/* In base pages, as reclaim thinks. */
static unsigned long pool_shrink_count(struct shrinker *s,
				       struct shrink_control *sc)
{
	unsigned long have = READ_ONCE(pool.nodes[sc->nid].have);

	return have ? have * HPAGE_PMD_NR : SHRINK_EMPTY;
}

static unsigned long pool_shrink_scan(struct shrinker *s,
				      struct shrink_control *sc)
{
	struct pool_node *pn = &pool.nodes[sc->nid];
	unsigned long freed = 0;
	LIST_HEAD(folios);

	spin_lock(&pool.lock);
	while (freed < sc->nr_to_scan && pool_pop(pn, &folios)) {
		freed += HPAGE_PMD_NR;
		pool.shrunk++;
	}
	pool.resting = true;
	pool.rest_until = jiffies + KTMK_POOL_REST;
	spin_unlock(&pool.lock);
	kthread_queue_delayed_work(pool.worker, &pool.fill, KTMK_POOL_REST);

	pool_free(&folios);
	sc->nr_scanned = freed;
	return freed ?: SHRINK_STOP;
}

/* Share @target out to the nodes and let go of what is too much. */
static void pool_set_target(unsigned long target)
{
	unsigned long nodes = num_node_state(N_MEMORY), nr = 0;
	LIST_HEAD(folios);
	int node;

	spin_lock(&pool.lock);
	pool.target = target;
	for (node = 0; node < nr_node_ids; node++) {
		struct pool_node *pn = &pool.nodes[node];

		pn->want = 0;
		if (node_state(node, N_MEMORY)) {
			pn->want = target / nodes + (nr < target % nodes);
			nr++;
		}
		while (pn->have > pn->want)
			pool_pop(pn, &folios);
	}
	spin_unlock(&pool.lock);
	pool_free(&folios);
}

static void pool_kick(void)
{
	kthread_mod_delayed_work(pool.worker, &pool.fill, 0);
}

static const char *pool_state(void)
{
	if (!ktmk_populate_own)
		return "unused";
	if (!pool.target)
		return "off";
	if (pool.have >= pool.target)
		return "full";
	if (pool_rests())
		return "resting";
	return pool_has_room() ? "filling" : "guarded";
}

static ssize_t pool_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	const char *name = attr->attr.name;
	u64 value = 0;

	if (!strcmp(name, "state"))
		return sysfs_emit(buf, "%s\n", pool_state());
	spin_lock(&pool.lock);
	if (!strcmp(name, "target"))
		value = (u64)pool.target * KTMK_HUGE_BYTES;
	else if (!strcmp(name, "have"))
		value = (u64)pool.have * KTMK_HUGE_BYTES;
	else if (!strcmp(name, "min_available"))
		value = pool.min_available;
	else if (!strcmp(name, "share"))
		value = pool.share;
	else if (!strcmp(name, "hits"))
		value = pool.hits;
	else if (!strcmp(name, "misses"))
		value = pool.misses;
	else if (!strcmp(name, "filled"))
		value = pool.filled;
	else
		value = pool.shrunk;
	spin_unlock(&pool.lock);
	return sysfs_emit(buf, "%llu\n", value);
}

static int pool_check_target(u64 bytes)
{
	if (bytes && !ktmk_populate_own)
		return -EOPNOTSUPP;
	if (bytes > percent_of_ram(KTMK_POOL_MAX_PERCENT))
		return -ERANGE;
	return 0;
}

static ssize_t target_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t len)
{
	u64 bytes;
	int err;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	err = ktmk_limit_parse(&bytes, buf, 0);
	if (!err)
		err = pool_check_target(bytes);
	if (err)
		return err;
	pool_set_target(bytes / KTMK_HUGE_BYTES);
	pool_kick();
	return len;
}

static ssize_t min_available_store(struct kobject *kobj,
				   struct kobj_attribute *attr, const char *buf,
				   size_t len)
{
	u64 bytes;
	int err;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	err = ktmk_limit_parse(&bytes, buf, 0);
	if (err)
		return err;
	spin_lock(&pool.lock);
	pool.min_available = bytes;
	spin_unlock(&pool.lock);
	pool_kick();
	return len;
}

static ssize_t share_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t len)
{
	unsigned int share;
	int err;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	err = kstrtouint(buf, 10, &share);
	if (err)
		return err;
	if (!share || share > 100)
		return -ERANGE;
	spin_lock(&pool.lock);
	pool.share = share;
	spin_unlock(&pool.lock);
	return len;
}

#define POOL_ATTR(_name, _mode, _store)                  \
	static struct kobj_attribute pool_attr_##_name = \
		__ATTR(_name, _mode, pool_show, _store)

POOL_ATTR(state, 0444, NULL);
POOL_ATTR(target, 0644, target_store);
POOL_ATTR(have, 0444, NULL);
POOL_ATTR(min_available, 0644, min_available_store);
POOL_ATTR(share, 0644, share_store);
POOL_ATTR(hits, 0444, NULL);
POOL_ATTR(misses, 0444, NULL);
POOL_ATTR(filled, 0444, NULL);
POOL_ATTR(shrunk, 0444, NULL);

static const struct attribute *const pool_attrs[] = {
	&pool_attr_state.attr,	&pool_attr_target.attr,
	&pool_attr_have.attr,	&pool_attr_min_available.attr,
	&pool_attr_share.attr,	&pool_attr_hits.attr,
	&pool_attr_misses.attr, &pool_attr_filled.attr,
	&pool_attr_shrunk.attr, NULL,
};

static int pool_shrinker_add(void)
{
	int err;

	pool.shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "tmk-pool");
	if (!pool.shrinker)
		return -ENOMEM;
	pool.shrinker->count_objects = pool_shrink_count;
	pool.shrinker->scan_objects = pool_shrink_scan;
	pool.shrinker->batch = HPAGE_PMD_NR;
	pool.shrinker->seeks = DEFAULT_SEEKS;
	err = ktmk_shrinker_register(pool.shrinker);
	if (err)
		shrinker_free(pool.shrinker);
	return err;
}

static int pool_sysfs_add(void)
{
	int err;

	pool.kobj = kobject_create_and_add("pool", &ktmk_group_root()->kobj);
	if (!pool.kobj)
		return -ENOMEM;
	err = sysfs_create_files(pool.kobj, pool_attrs);
	if (err)
		kobject_put(pool.kobj);
	return err;
}

/**
 * ktmk_pool_init() - start the filler and make /sys/kernel/tmk/pool
 * @target: bytes to keep ready, 0 for none
 *
 * Return: 0 or a negative errno, and nothing is left.
 */
int __init ktmk_pool_init(u64 target)
{
	int err = pool_check_target(target);
	int node;

	if (err) {
		pr_err("pool=%llu: %s\n", target,
		       err == -ERANGE ? "more than half of RAM" :
					"needs populate=own");
		return err;
	}
	pool.min_available = percent_of_ram(KTMK_POOL_MIN_AVAILABLE_PERCENT);
	pool.nodes = kcalloc(nr_node_ids, sizeof(*pool.nodes), GFP_KERNEL);
	if (!pool.nodes)
		return -ENOMEM;
	for (node = 0; node < nr_node_ids; node++)
		INIT_LIST_HEAD(&pool.nodes[node].folios);
	kthread_init_delayed_work(&pool.fill, pool_fill);
	pool.worker = kthread_run_worker(0, "tmk-pool");
	err = PTR_ERR_OR_ZERO(pool.worker);
	if (err)
		goto err_nodes;
	set_user_nice(pool.worker->task, KTMK_POOL_NICE);
	err = pool_shrinker_add();
	if (err)
		goto err_worker;
	err = pool_sysfs_add();
	if (err)
		goto err_shrinker;
	pool_set_target(target / KTMK_HUGE_BYTES);
	pool_kick();
	return 0;

err_shrinker:
	shrinker_free(pool.shrinker);
err_worker:
	kthread_cancel_delayed_work_sync(&pool.fill);
	kthread_destroy_worker(pool.worker);
err_nodes:
	kfree(pool.nodes);
	return err;
}

/**
 * ktmk_pool_exit() - give everything back
 */
void ktmk_pool_exit(void)
{
	sysfs_remove_files(pool.kobj, pool_attrs);
	kobject_put(pool.kobj);
	pool_set_target(0);
	shrinker_free(pool.shrinker);
	kthread_cancel_delayed_work_sync(&pool.fill);
	kthread_destroy_worker(pool.worker);
	kfree(pool.nodes);
}
