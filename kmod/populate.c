// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Where the folios of a region come from. There are two answers:
 *
 *  - own: the module allocates them and inserts them into shmem's mapping. Each
 *    is cleared once, compaction is tried for every huge page, and sizes
 *    between the base page and 2 MiB fill the gaps.
 *  - shmem: shmem allocates them. Slower (Debian's kernels clear twice), never
 *    less right. Taken when asked for, or when the self-test at load says that
 *    this kernel's shmem does not look as we expect.
 *
 * Either way a region is filled whole at creation with one reference held on
 * each folio, or the caller closes the file and everything is undone.
 *
 * Inserting a folio into a shmem mapping with filemap_add_folio() leaves four
 * things to be put right, in this order; get one wrong and counters drift or a
 * debug kernel stops:
 *
 *  - the mapping is unevictable before the first insertion (backing.c),
 *    otherwise the folio enters one LRU list and leaves another;
 *  - swapbacked is set after the insertion, never before;
 *  - the page cache counted a file THP: make it a shmem one;
 *  - shmem's own count of pages (alloced, i_blocks) follows.
 */

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/page_counter.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/vmstat.h>

#include "ktmk.h"

/* Between the base page and 2 MiB: 64 KiB, as mTHP and contpte do. */
#define KTMK_LARGE_ORDER 4

/**
 * struct populate - a population on its way
 * @region: the region
 * @inode: its file
 * @refusal: filled in on -ENOMEM
 */
struct populate {
	struct ktmk_region *region;
	struct inode *inode;
	struct ktmk_refusal *refusal;
};

static bool populate_require(const struct populate *p)
{
	return p->region->params.flags & TMK_IOC_REGION_F_REQUIRE;
}

static bool populate_huge(const struct populate *p)
{
	return p->region->params.kind == TMK_IOC_KIND_HUGE;
}

/**
 * ktmk_populate_count() - add a folio to a region's figures by page size
 * @region: the region
 * @folio: the folio
 * @sign: 1, or -1 to take it out
 */
void ktmk_populate_count(struct ktmk_region *region, struct folio *folio,
			 int sign)
{
	enum ktmk_page_class class = KTMK_PAGES_BASE;

	if (folio_order(folio) >= HPAGE_PMD_ORDER)
		class = KTMK_PAGES_2M;
	else if (folio_test_large(folio))
		class = KTMK_PAGES_LARGE;
	region->bytes[class] += sign * (s64)folio_size(folio);
}

static u64 populate_bytes(const struct populate *p)
{
	const u64 *bytes = p->region->bytes;

	return bytes[KTMK_PAGES_BASE] + bytes[KTMK_PAGES_LARGE] +
	       bytes[KTMK_PAGES_2M];
}

static u64 bytes_available(void)
{
	long pages = si_mem_available();

	return pages > 0 ? (u64)pages << PAGE_SHIFT : 0;
}

static u64 bytes_total(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

#ifdef CONFIG_MEMCG
/*
 * memory.max refuses without saying which group's it was. Of the caller's
 * group and its ancestors it is the one that is full, give or take what memcg
 * charges ahead for each CPU.
 */
static bool refused_by_memcg(struct populate *p)
{
	unsigned long slack = MEMCG_CHARGE_BATCH * num_online_cpus();
	struct mem_cgroup *memcg, *m;
	bool found = false;

	if (mem_cgroup_disabled())
		return false;
	slack += populate_huge(p) ? HPAGE_PMD_NR : 1;
	memcg = get_mem_cgroup_from_mm(current->mm);
	for (m = memcg; m && !found; m = parent_mem_cgroup(m)) {
		unsigned long max = READ_ONCE(m->memory.max);
		unsigned long used = page_counter_read(&m->memory);
		u64 ours = populate_bytes(p);

		if (max == PAGE_COUNTER_MAX || used + slack <= max)
			continue;
		p->refusal->reason = TMK_IOC_REFUSAL_MEMCG;
		p->refusal->cgroup = cgroup_id(m->css.cgroup);
		p->refusal->used = (u64)used << PAGE_SHIFT;
		p->refusal->used -= min(ours, p->refusal->used);
		p->refusal->limit = (u64)max << PAGE_SHIFT;
		found = true;
	}
	mem_cgroup_put(memcg);
	return found;
}
#else
static bool refused_by_memcg(struct populate *p)
{
	return false;
}
#endif

static int refuse_memory(struct populate *p, u32 reason)
{
	u64 available = bytes_available();

	p->refusal->reason = reason;
	p->refusal->cgroup = 0;
	p->refusal->limit = bytes_total();
	p->refusal->used = p->refusal->limit - available;
	p->refusal->used -= min(populate_bytes(p), p->refusal->used);
	return -ENOMEM;
}

/* No folio of any size, or none of the size that is required, could be had. */
static int refuse_alloc(struct populate *p)
{
	if (refused_by_memcg(p))
		return -ENOMEM;
	if (populate_huge(p) && populate_require(p) &&
	    bytes_available() >= KTMK_HUGE_BYTES)
		return refuse_memory(p, TMK_IOC_REFUSAL_HUGE);
	return refuse_memory(p, TMK_IOC_REFUSAL_MEMORY);
}

static int refuse_insert(struct populate *p, int err)
{
	if (err == -ENOMEM && !refused_by_memcg(p))
		refuse_memory(p, TMK_IOC_REFUSAL_MEMORY);
	return err;
}

/* Not movable, cleared once, and never a reason to kill anybody. */
static struct folio *own_alloc(unsigned int order, int node)
{
	gfp_t gfp = GFP_HIGHUSER | __GFP_ZERO | __GFP_NOWARN;

	/* The size in between is worth a look, not an effort. */
	gfp |= order == KTMK_LARGE_ORDER ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL;
	if (node == TMK_IOC_NODE_ANY)
		return folio_alloc(gfp, order);
	return __folio_alloc(gfp | __GFP_THISNODE, order, node, NULL);
}

/* Takes over the reference of @folio and keeps it if 0 is returned. */
static int own_insert(struct inode *inode, struct folio *folio, pgoff_t index)
{
	struct shmem_inode_info *info = SHMEM_I(inode);
	long nr = folio_nr_pages(folio);
	int err;

	__folio_mark_uptodate(folio);
	err = filemap_add_folio(inode->i_mapping, folio, index,
				GFP_KERNEL | __GFP_RETRY_MAYFAIL |
					__GFP_NOWARN);
	if (err) {
		folio_clear_uptodate(folio);
		folio_put(folio);
		return err;
	}
	folio_set_swapbacked(folio);
	lruvec_stat_mod_folio(folio, NR_SHMEM, nr);
	if (folio_test_pmd_mappable(folio)) {
		lruvec_stat_mod_folio(folio, NR_FILE_THPS, -nr);
		lruvec_stat_mod_folio(folio, NR_SHMEM_THPS, nr);
	}
	spin_lock_irq(&info->lock);
	info->alloced += nr;
	spin_unlock_irq(&info->lock);
	inode_add_bytes(inode, folio_size(folio));

	folio_mark_dirty(folio);
	ktmk_backing_hold(inode->i_mapping, folio);
	folio_unlock(folio);
	return 0;
}

/* The largest folio that fits at @index and can be had. */
static struct folio *own_alloc_at(struct populate *p, pgoff_t index)
{
	static const unsigned int orders[] = { HPAGE_PMD_ORDER,
					       KTMK_LARGE_ORDER, 0 };
	struct folio *folio;
	size_t i;

	if (!populate_huge(p))
		return own_alloc(0, p->region->params.node);

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		if (!IS_ALIGNED(index, 1UL << orders[i]))
			continue;
		folio = orders[i] < HPAGE_PMD_ORDER ?
				NULL :
				ktmk_pool_take(p->region->group,
					       p->region->params.node);
		if (!folio)
			folio = own_alloc(orders[i], p->region->params.node);
		if (folio || populate_require(p))
			return folio;
	}
	return NULL;
}

static int populate_own_at(struct populate *p, pgoff_t index, pgoff_t *next)
{
	struct folio *folio = own_alloc_at(p, index);
	int err;

	if (!folio)
		return refuse_alloc(p);
	*next = index + folio_nr_pages(folio);
	err = own_insert(p->inode, folio, index);
	if (err)
		return refuse_insert(p, err);
	ktmk_populate_count(p->region, folio, 1);
	return 0;
}

static struct folio *shmem_read_at(struct inode *inode, pgoff_t index)
{
	struct page *page;

	page = shmem_read_mapping_page_gfp(inode->i_mapping, index,
					   GFP_HIGHUSER | __GFP_RETRY_MAYFAIL |
						   __GFP_NOWARN);
	if (IS_ERR(page))
		return ERR_CAST(page);
	return page_folio(page);
}

/*
 * shmem takes a small page without trying hard for a huge one. Give it back,
 * have memory compacted, and let shmem try once more.
 */
static struct folio *shmem_retry_huge(struct populate *p, struct folio *folio,
				      pgoff_t index)
{
	struct folio *room;

	room = folio_alloc((GFP_TRANSHUGE & ~__GFP_MOVABLE) | __GFP_NOWARN,
			   HPAGE_PMD_ORDER);
	if (!room)
		return folio;
	folio_put(folio);
	shmem_truncate_range(p->inode, (loff_t)index << PAGE_SHIFT,
			     ((loff_t)(index + 1) << PAGE_SHIFT) - 1);
	folio_put(room);
	return shmem_read_at(p->inode, index);
}

static int populate_shmem_at(struct populate *p, pgoff_t index, pgoff_t *next)
{
	struct folio *folio = shmem_read_at(p->inode, index);

	if (!IS_ERR(folio) && populate_huge(p) && !folio_test_large(folio) &&
	    IS_ALIGNED(index, HPAGE_PMD_NR))
		folio = shmem_retry_huge(p, folio, index);
	if (IS_ERR(folio)) {
		int err = PTR_ERR(folio);

		return err == -ENOMEM || err == -ENOSPC ? refuse_alloc(p) : err;
	}
	/* It is in the mapping: the release puts the reference on it. */
	ktmk_backing_hold(p->inode->i_mapping, folio);
	if (populate_require(p) && populate_huge(p) &&
	    folio_order(folio) < HPAGE_PMD_ORDER)
		return refuse_alloc(p);
	folio_mark_dirty(folio);
	ktmk_populate_count(p->region, folio, 1);
	*next = index + folio_nr_pages(folio);
	return 0;
}

/**
 * ktmk_populate_room() - is there any point in trying?
 * @region: the region, not populated
 * @refusal: filled in if not
 *
 * What cannot be there need not be looked for at everybody's expense.
 *
 * Return: 0 or -ENOMEM.
 */
int ktmk_populate_room(struct ktmk_region *region, struct ktmk_refusal *refusal)
{
	struct populate p = { .region = region, .refusal = refusal };

	if (region->params.length > bytes_available() + ktmk_pool_bytes())
		return refuse_memory(&p, TMK_IOC_REFUSAL_MEMORY);
	return 0;
}

/**
 * ktmk_populate_range() - fill a part of a region with zeroed folios, held
 * @region: the region, charged; its figures by page size are counted up
 * @inode: its file, which has nothing there
 * @begin: first page; aligned to the region's page size, as is @end
 * @end: behind the last page
 * @refusal: says who refused on -ENOMEM
 *
 * Context: may sleep; can be interrupted by a fatal signal.
 * Return: 0, -ENOMEM, or -EINTR. On failure a part is filled and the caller
 * empties the range or releases the file as a whole.
 */
int ktmk_populate_range(struct ktmk_region *region, struct inode *inode,
			pgoff_t begin, pgoff_t end,
			struct ktmk_refusal *refusal)
{
	struct populate p = {
		.region = region,
		.inode = inode,
		.refusal = refusal,
	};
	pgoff_t index, next;
	int err;

	for (index = begin; index < end; index = next) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (ktmk_populate_own)
			err = populate_own_at(&p, index, &next);
		else
			err = populate_shmem_at(&p, index, &next);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/**
 * ktmk_populate() - fill a new region
 * @region: the region, charged
 * @inode: its empty file
 * @refusal: says who refused on -ENOMEM
 *
 * Context: may sleep; can be interrupted by a fatal signal.
 * Return: as ktmk_populate_range().
 */
int ktmk_populate(struct ktmk_region *region, struct inode *inode,
		  struct ktmk_refusal *refusal)
{
	return ktmk_populate_range(region, inode, 0,
				   region->params.length >> PAGE_SHIFT,
				   refusal);
}

/**
 * ktmk_populate_own_works() - self-test at load for folios of our own
 *
 * Description: inserts one folio into a file and looks at what became of it. Counters are
 * too noisy to be compared on a running machine; the test suite does that.
 *
 * Return: true if the result is what shmem itself would have made.
 */
bool ktmk_populate_own_works(void)
{
	struct ktmk_region_params params = {
		.kind = TMK_IOC_KIND_HUGE,
		.node = TMK_IOC_NODE_ANY,
		.length = KTMK_HUGE_BYTES,
	};
	struct address_space *mapping;
	struct folio *folio, *seen;
	bool works = false;
	struct file *file;
	long nr;

	file = ktmk_backing_open(&params, NULL);
	if (IS_ERR(file))
		return false;
	mapping = file->f_mapping;

	/* Memory may be fragmented right now; a small one shows most of it. */
	folio = own_alloc(HPAGE_PMD_ORDER, TMK_IOC_NODE_ANY);
	if (!folio)
		folio = own_alloc(0, TMK_IOC_NODE_ANY);
	if (!folio)
		goto out;
	nr = folio_nr_pages(folio);
	if (own_insert(file_inode(file), folio, 0))
		goto out;

	seen = shmem_read_at(file_inode(file), 0);
	if (IS_ERR(seen))
		goto out;
	works = seen == folio && folio_test_swapbacked(folio) &&
		folio_test_uptodate(folio) && folio_nr_pages(folio) == nr &&
		mapping->nrpages == nr && shmem_mapping(mapping);
	folio_put(seen);
out:
	ktmk_backing_release(file_inode(file), params.length);
	fput(file);
	return works;
}
