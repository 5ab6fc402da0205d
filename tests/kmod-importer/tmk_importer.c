// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * A device that imports dma-bufs, for tests: it attaches, maps, and tells what
 * it was given. Each open file of /dev/tmk_importer holds one import, under its
 * own lock, until it is closed.
 */

#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "importer.h"

struct import {
	struct mutex lock; /* guards all of it */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *table;
	struct iosys_map vmap;
	bool quiet; /* vmap is the exporter's, without the core's count */
};

static struct platform_device *importer_device;

/* The device's limit is that of the last who attached; tests are alone. */
static int import_begin(struct import *im, int fd, unsigned int segment_max)
{
	int err;

	im->dmabuf = dma_buf_get(fd);
	if (IS_ERR(im->dmabuf)) {
		err = PTR_ERR(im->dmabuf);
		goto err_none;
	}
	dma_set_max_seg_size(&importer_device->dev, segment_max);
	im->attach = dma_buf_attach(im->dmabuf, &importer_device->dev);
	if (IS_ERR(im->attach)) {
		err = PTR_ERR(im->attach);
		goto err_put;
	}
	dma_resv_lock(im->dmabuf->resv, NULL);
	im->table = dma_buf_map_attachment(im->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(im->table)) {
		err = PTR_ERR(im->table);
		goto err_detach;
	}
	if (im->quiet)
		err = im->dmabuf->ops->vmap(im->dmabuf, &im->vmap);
	else
		err = dma_buf_vmap(im->dmabuf, &im->vmap);
	if (err)
		goto err_unmap;
	dma_resv_unlock(im->dmabuf->resv);
	return 0;

err_unmap:
	dma_buf_unmap_attachment(im->attach, im->table, DMA_BIDIRECTIONAL);
err_detach:
	dma_resv_unlock(im->dmabuf->resv);
	dma_buf_detach(im->dmabuf, im->attach);
err_put:
	dma_buf_put(im->dmabuf);
err_none:
	im->dmabuf = NULL;
	return err;
}

static void import_end(struct import *im)
{
	if (!im->dmabuf)
		return;
	dma_resv_lock(im->dmabuf->resv, NULL);
	if (im->quiet)
		im->dmabuf->ops->vunmap(im->dmabuf, &im->vmap);
	else
		dma_buf_vunmap(im->dmabuf, &im->vmap);
	dma_buf_unmap_attachment(im->attach, im->table, DMA_BIDIRECTIONAL);
	dma_resv_unlock(im->dmabuf->resv);
	dma_buf_detach(im->dmabuf, im->attach);
	dma_buf_put(im->dmabuf);
	im->dmabuf = NULL;
}

static long import_attach(struct import *im, struct tmk_importer_attach *cmd)
{
	struct scatterlist *sg;
	int err, i;

	if (im->dmabuf)
		return -EBUSY;
	im->quiet = cmd->quiet;
	err = import_begin(im, cmd->fd, cmd->segment_max);
	if (err)
		return err;
	cmd->segments = 0;
	cmd->longest = 0;
	cmd->bytes = 0;
	for_each_sgtable_dma_sg(im->table, sg, i) {
		cmd->segments++;
		cmd->longest = max(cmd->longest, sg_dma_len(sg));
		cmd->bytes += sg_dma_len(sg);
	}
	return 0;
}

/*
 * The word at @offset as the device finds it: by address. The pages of the list
 * are none of an importer's business, and CONFIG_DMABUF_DEBUG garbles them.
 */
static u64 *import_word(struct import *im, u64 offset)
{
	struct device *dev = &importer_device->dev;
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(im->table, sg, i) {
		if (offset < sg_dma_len(sg))
			return phys_to_virt(
				dma_to_phys(dev, sg_dma_address(sg)) + offset);
		offset -= sg_dma_len(sg);
	}
	return NULL;
}

static long import_access(struct import *im, struct tmk_importer_access *cmd)
{
	u64 *device, *vmap;
	int err;

	if (!im->dmabuf)
		return -ENODEV;
	if (cmd->offset % sizeof(u64) || cmd->offset >= im->dmabuf->size)
		return -EINVAL;
	device = import_word(im, cmd->offset);
	if (!device)
		return -ENXIO;
	vmap = im->vmap.vaddr + cmd->offset;
	err = dma_buf_begin_cpu_access(im->dmabuf, DMA_BIDIRECTIONAL);
	if (err)
		return err;
	cmd->device_saw = READ_ONCE(*device);
	cmd->vmap_saw = READ_ONCE(*vmap);
	if (cmd->write)
		WRITE_ONCE(*(cmd->write == 1 ? device : vmap), cmd->value);
	return dma_buf_end_cpu_access(im->dmabuf, DMA_BIDIRECTIONAL);
}

static long importer_ioctl(struct file *file, unsigned int nr,
			   unsigned long arg)
{
	struct import *im = file->private_data;
	void __user *user = (void __user *)arg;
	union {
		struct tmk_importer_attach attach;
		struct tmk_importer_access access;
	} cmd;
	size_t size = _IOC_SIZE(nr);
	long err;

	if (size > sizeof(cmd))
		return -ENOTTY;
	if (size && copy_from_user(&cmd, user, size))
		return -EFAULT;
	mutex_lock(&im->lock);
	switch (nr) {
	case TMK_IMPORTER_ATTACH:
		err = import_attach(im, &cmd.attach);
		break;
	case TMK_IMPORTER_ACCESS:
		err = import_access(im, &cmd.access);
		break;
	case TMK_IMPORTER_DETACH:
		import_end(im);
		err = 0;
		break;
	default:
		err = -ENOTTY;
	}
	mutex_unlock(&im->lock);
	if (!err && size && copy_to_user(user, &cmd, size))
		err = -EFAULT;
	return err;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct import *im = kzalloc(sizeof(*im), GFP_KERNEL);

	if (!im)
		return -ENOMEM;
	mutex_init(&im->lock);
	file->private_data = im;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct import *im = file->private_data;

	import_end(im);
	kfree(im);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tmk_importer",
	.fops = &importer_fops,
};

static int __init importer_init(void)
{
	int err;

	importer_device =
		platform_device_register_simple("tmk_importer", -1, NULL, 0);
	if (IS_ERR(importer_device))
		return PTR_ERR(importer_device);
	err = dma_coerce_mask_and_coherent(&importer_device->dev,
					   DMA_BIT_MASK(64));
	if (!err)
		err = misc_register(&importer_misc);
	if (err)
		platform_device_unregister(importer_device);
	return err;
}

static void __exit importer_exit(void)
{
	misc_deregister(&importer_misc);
	platform_device_unregister(importer_device);
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_DESCRIPTION("Imports dma-bufs and tells what it got, for tests");
MODULE_AUTHOR("the tmk authors");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_BUF);
