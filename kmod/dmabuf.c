// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * A region as a dma-buf, so that devices can be given it.
 *
 * The dma-buf holds the region's file, and with it memory and charge. While one
 * lives, every page of the region is there and stays where it is: holes that
 * were trimmed are filled again at export, and trimming is refused (trim.c).
 * That is why nothing here needs to pin and why the segments can be taken from
 * the page cache without a lock.
 *
 * ktmk_dmabuf.lock guards the list of what devices have mapped, which is needed
 * to give the memory to the processor and back. It nests inside the dma-buf's
 * reservation lock, and nothing nests in it.
 */

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "ktmk.h"

/**
 * struct ktmk_dmabuf - a region's side of a dma-buf
 * @file: the region's file, referenced
 * @region: the region
 * @lock: guards @maps
 * @maps: what devices have mapped
 */
struct ktmk_dmabuf {
	struct file *file;
	struct ktmk_region *region;
	struct mutex lock; /* guards maps */
	struct list_head maps;
};

/**
 * struct dmabuf_map - a region as one device sees it
 * @table: the segments
 * @dev: the device
 * @dir: the direction
 * @list: link in &ktmk_dmabuf.maps
 */
struct dmabuf_map {
	struct sg_table table;
	struct device *dev;
	enum dma_data_direction dir;
	struct list_head list;
};

static struct page *dmabuf_page(const struct ktmk_dmabuf *buf, pgoff_t index,
				unsigned long *left)
{
	struct folio *folio = xa_load(&buf->file->f_mapping->i_pages, index);

	*left = folio_next_index(folio) - index;
	return folio_page(folio, index - folio->index);
}

/* The longest contiguous run of pages from @index that @most allows. */
static struct page *dmabuf_segment(const struct ktmk_dmabuf *buf, pgoff_t index,
				   pgoff_t end, unsigned long most,
				   unsigned long *pages)
{
	unsigned long run, left;
	struct page *first;

	first = dmabuf_page(buf, index, &run);
	while (run < most && index + run < end) {
		struct page *next = dmabuf_page(buf, index + run, &left);

		if (page_to_pfn(next) != page_to_pfn(first) + run ||
		    next != nth_page(first, run))
			break;
		run += left;
		cond_resched();
	}
	*pages = min(run, most);
	return first;
}

static pgoff_t dmabuf_end(const struct ktmk_dmabuf *buf)
{
	return buf->region->params.length >> PAGE_SHIFT;
}

/* Describe the region to a device that takes segments of up to @most pages. */
static int dmabuf_table(const struct ktmk_dmabuf *buf, struct sg_table *table,
			unsigned long most)
{
	pgoff_t index, end = dmabuf_end(buf);
	unsigned int segments = 0;
	struct scatterlist *sg;
	unsigned long pages;
	struct page *page;
	int err;

	for (index = 0; index < end; index += pages) {
		dmabuf_segment(buf, index, end, most, &pages);
		segments++;
	}
	err = sg_alloc_table(table, segments, GFP_KERNEL);
	if (err)
		return err;
	sg = table->sgl;
	for (index = 0; index < end; index += pages) {
		page = dmabuf_segment(buf, index, end, most, &pages);
		sg_set_page(sg, page, pages << PAGE_SHIFT, 0);
		sg = sg_next(sg);
	}
	return 0;
}

static unsigned long dmabuf_segment_max(struct device *dev)
{
	return max(dma_get_max_seg_size(dev) >> PAGE_SHIFT, 1U);
}

static struct sg_table *dmabuf_map(struct dma_buf_attachment *attach,
				   enum dma_data_direction dir)
{
	struct ktmk_dmabuf *buf = attach->dmabuf->priv;
	struct dmabuf_map *map;
	int err;

	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return ERR_PTR(-ENOMEM);
	map->dev = attach->dev;
	map->dir = dir;
	err = dmabuf_table(buf, &map->table, dmabuf_segment_max(attach->dev));
	if (err)
		goto err_free;
	err = dma_map_sgtable(map->dev, &map->table, dir, 0);
	if (err)
		goto err_table;
	mutex_lock(&buf->lock);
	list_add_tail(&map->list, &buf->maps);
	mutex_unlock(&buf->lock);
	return &map->table;

err_table:
	sg_free_table(&map->table);
err_free:
	kfree(map);
	return ERR_PTR(err);
}

static void dmabuf_unmap(struct dma_buf_attachment *attach,
			 struct sg_table *table, enum dma_data_direction dir)
{
	struct ktmk_dmabuf *buf = attach->dmabuf->priv;
	struct dmabuf_map *map = container_of(table, struct dmabuf_map, table);

	mutex_lock(&buf->lock);
	list_del(&map->list);
	mutex_unlock(&buf->lock);
	dma_unmap_sgtable(map->dev, table, dir, 0);
	sg_free_table(table);
	kfree(map);
}

static int dmabuf_begin_cpu_access(struct dma_buf *dmabuf,
				   enum dma_data_direction dir)
{
	struct ktmk_dmabuf *buf = dmabuf->priv;
	struct dmabuf_map *map;

	mutex_lock(&buf->lock);
	list_for_each_entry(map, &buf->maps, list)
		dma_sync_sgtable_for_cpu(map->dev, &map->table, map->dir);
	mutex_unlock(&buf->lock);
	return 0;
}

static int dmabuf_end_cpu_access(struct dma_buf *dmabuf,
				 enum dma_data_direction dir)
{
	struct ktmk_dmabuf *buf = dmabuf->priv;
	struct dmabuf_map *map;

	mutex_lock(&buf->lock);
	list_for_each_entry(map, &buf->maps, list)
		dma_sync_sgtable_for_device(map->dev, &map->table, map->dir);
	mutex_unlock(&buf->lock);
	return 0;
}

/* The mapping becomes one of the region itself; all that was said there holds. */
static int dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct ktmk_dmabuf *buf = dmabuf->priv;

	vma_set_file(vma, buf->file);
	return vfs_mmap(buf->file, vma);
}

static int dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct ktmk_dmabuf *buf = dmabuf->priv;
	pgoff_t index, end = dmabuf_end(buf);
	struct page **pages;
	unsigned long left;
	void *at;

	if (end > INT_MAX)
		return -E2BIG;
	pages = kvmalloc_array(end, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (index = 0; index < end; index++)
		pages[index] = dmabuf_page(buf, index, &left);
	at = vmap(pages, end, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	if (!at)
		return -ENOMEM;
	iosys_map_set_vaddr(map, at);
	return 0;
}

static void dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void dmabuf_release(struct dma_buf *dmabuf)
{
	struct ktmk_dmabuf *buf = dmabuf->priv;

	atomic_dec(&buf->region->exports);
	/* The file holds the module until it is gone as well. */
	fput(buf->file);
	mutex_destroy(&buf->lock);
	kfree(buf);
}

static const struct dma_buf_ops dmabuf_ops = {
	.map_dma_buf = dmabuf_map,
	.unmap_dma_buf = dmabuf_unmap,
	.begin_cpu_access = dmabuf_begin_cpu_access,
	.end_cpu_access = dmabuf_end_cpu_access,
	.mmap = dmabuf_mmap,
	.vmap = dmabuf_vmap,
	.vunmap = dmabuf_vunmap,
	.release = dmabuf_release,
};

/* A new dma-buf of the region behind @file. */
static struct dma_buf *dmabuf_create(struct file *file)
{
	struct ktmk_region *region = ktmk_region_of_file(file);
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct ktmk_dmabuf *buf;
	struct dma_buf *dmabuf;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->file = get_file(file);
	buf->region = region;
	mutex_init(&buf->lock);
	INIT_LIST_HEAD(&buf->maps);

	info.ops = &dmabuf_ops;
	info.size = region->params.length;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = buf;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		fput(buf->file);
		kfree(buf);
	}
	return dmabuf;
}

/*
 * From here on nothing of the region is trimmed, and no hole is left, or why
 * not.
 */
static int dmabuf_hold(struct ktmk_region *region, struct inode *inode)
{
	int err;

	filemap_invalidate_lock(inode->i_mapping);
	err = ktmk_trim_fill(region, inode);
	if (!err)
		atomic_inc(&region->exports);
	filemap_invalidate_unlock(inode->i_mapping);
	return err;
}

/**
 * ktmk_ioc_region_dmabuf() - TMK_IOC_REGION_DMABUF
 * @ucmd: the command; the dispatcher has seen to it that the descriptor may be
 * used to change the region, because a device may write to a dma-buf
 *
 * Return: 0 or a negative errno, and then nothing is left of the attempt.
 */
int ktmk_ioc_region_dmabuf(struct ktmk_ucmd *ucmd)
{
	struct ktmk_region *region = ktmk_region_of_file(ucmd->file);
	struct tmk_ioc_region_dmabuf *cmd = ucmd->cmd;
	struct dma_buf *dmabuf;
	int err, fd;

	if (cmd->flags || cmd->__reserved)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	err = dmabuf_hold(region, file_inode(ucmd->file));
	if (err)
		goto err_fd;
	dmabuf = dmabuf_create(ucmd->file);
	if (IS_ERR(dmabuf)) {
		err = PTR_ERR(dmabuf);
		atomic_dec(&region->exports);
		goto err_fd;
	}
	cmd->out_fd = fd;
	err = ktmk_ucmd_respond(ucmd, sizeof(*cmd));
	if (err)
		goto err_dmabuf;
	fd_install(fd, dmabuf->file);
	return 0;

err_dmabuf:
	dma_buf_put(dmabuf);
err_fd:
	put_unused_fd(fd);
	return err;
}

KTMK_IMPORT_NS(DMA_BUF);
