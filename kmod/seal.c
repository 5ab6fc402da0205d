// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Who may write to a region. There are two tools, as with memfd:
 *
 *  - a descriptor that can only be read, to be handed out while the creator
 *    goes on writing. From the first one on no descriptor can be opened for
 *    writing through /proc, or the receiver would do just that;
 *  - a seal, after which nobody gets a writable mapping any more. Mappings that
 *    exist are not touched.
 */

#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>

#include <uapi/linux/fcntl.h>

#include "ktmk.h"

/**
 * ktmk_seal_check_open() - may a region be opened like this?
 * @region: the region
 * @mode: FMODE_x
 *
 * Return: 0; -EPERM if it is sealed; -EACCES if a read-only descriptor was
 * handed out.
 */
int ktmk_seal_check_open(const struct ktmk_region *region, fmode_t mode)
{
	if (!(mode & FMODE_WRITE))
		return 0;
	if (READ_ONCE(region->seals) & TMK_IOC_SEAL_FUTURE_WRITE)
		return -EPERM;
	return READ_ONCE(region->readonly) ? -EACCES : 0;
}

/**
 * ktmk_seal_check_vma() - may a region be mapped like this?
 * @region: the region
 * @vma: the new mapping; of a sealed region it can never be made writable
 *
 * Return: 0, or -EPERM if it is sealed and the mapping is writable.
 */
int ktmk_seal_check_vma(const struct ktmk_region *region,
			struct vm_area_struct *vma)
{
	if (!(READ_ONCE(region->seals) & TMK_IOC_SEAL_FUTURE_WRITE))
		return 0;
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	vm_flags_clear(vma, VM_MAYWRITE);
	return 0;
}

/**
 * ktmk_seal_check_change() - may a descriptor be used to change a region?
 * @file: the descriptor
 *
 * Return: 0; -EACCES if it can only be read; -EPERM if the region is sealed.
 */
int ktmk_seal_check_change(const struct file *file)
{
	const struct ktmk_region *region = ktmk_region_of_file(file);

	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (READ_ONCE(region->seals) & TMK_IOC_SEAL_FUTURE_WRITE)
		return -EPERM;
	return 0;
}

/**
 * ktmk_ioc_region_readonly() - TMK_IOC_REGION_READONLY
 * @ucmd: the command
 *
 * Return: 0 or a negative errno.
 */
int ktmk_ioc_region_readonly(struct ktmk_ucmd *ucmd)
{
	struct ktmk_region *region = ktmk_region_of_file(ucmd->file);
	struct tmk_ioc_region_readonly *cmd = ucmd->cmd;
	struct file *file;
	int err, fd;

	if (cmd->flags || cmd->__reserved)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = dentry_open(&ucmd->file->f_path, O_RDONLY | O_LARGEFILE,
			   current_cred());
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_fd;
	}
	cmd->out_fd = fd;
	err = ktmk_ucmd_respond(ucmd, sizeof(*cmd));
	if (err)
		goto err_file;
	/* Before anybody can have it. */
	WRITE_ONCE(region->readonly, true);
	fd_install(fd, file);
	return 0;

err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
	return err;
}

/**
 * ktmk_ioc_region_seal() - TMK_IOC_REGION_SEAL
 * @ucmd: the command
 *
 * Return: 0 or a negative errno.
 */
int ktmk_ioc_region_seal(struct ktmk_ucmd *ucmd)
{
	struct ktmk_region *region = ktmk_region_of_file(ucmd->file);
	struct inode *inode = file_inode(ucmd->file);
	struct tmk_ioc_region_seal *cmd = ucmd->cmd;
	int err;

	if (cmd->flags || cmd->seals & ~TMK_IOC_SEAL_FUTURE_WRITE)
		return -EINVAL;
	if (cmd->seals && !(ucmd->file->f_mode & FMODE_WRITE))
		return -EACCES;

	cmd->out_seals = READ_ONCE(region->seals) | cmd->seals;
	err = ktmk_ucmd_respond(ucmd, sizeof(*cmd));
	if (err || !cmd->seals)
		return err;
	inode_lock(inode);
	WRITE_ONCE(region->seals, region->seals | cmd->seals);
	/* fcntl(F_GET_SEALS) is to say so, too. */
	SHMEM_I(inode)->seals |= F_SEAL_FUTURE_WRITE;
	inode_unlock(inode);
	return 0;
}
