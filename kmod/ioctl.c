// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * From an ioctl to the function that does it: one table for each kind of file
 * descriptor. Adding a command is one row and one union member.
 *
 * The rules about sizes and unknown tails are those in the uapi header; they
 * are kept here and nowhere else.
 */

#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "ktmk.h"

union ktmk_ucmd_buffer {
	struct tmk_ioc_info info;
	struct tmk_ioc_region_create create;
	struct tmk_ioc_region_info region_info;
	struct tmk_ioc_region_dmabuf dmabuf;
	struct tmk_ioc_region_trim trim;
	struct tmk_ioc_usage usage;
	struct tmk_ioc_region_readonly readonly;
	struct tmk_ioc_region_seal seal;
};

/**
 * struct ktmk_ioctl - a row of the table
 * @cmd: the ioctl number
 * @size: size of the structure today
 * @min_size: size of its first published version
 * @execute: does it; gets the whole structure, unknown members zeroed
 */
struct ktmk_ioctl {
	unsigned int cmd;
	unsigned int size;
	unsigned int min_size;
	int (*execute)(struct ktmk_ucmd *ucmd);
};

/* clang-format off */
#define IOCTL_OP(_cmd, _fn, _struct, _last)                            \
	{                                                              \
		.cmd = _cmd,                                           \
		.size = sizeof(_struct) +                              \
			BUILD_BUG_ON_ZERO(sizeof(union ktmk_ucmd_buffer) < \
					  sizeof(_struct)),            \
		.min_size = offsetofend(_struct, _last),               \
		.execute = _fn,                                        \
	}
/* clang-format on */

/**
 * ktmk_ucmd_respond() - copy the structure back to the caller
 * @ucmd: the command
 * @cmd_len: size of the kernel's structure
 *
 * A caller that knows a shorter structure gets what it knows.
 *
 * Return: 0 or -EFAULT.
 */
int ktmk_ucmd_respond(struct ktmk_ucmd *ucmd, size_t cmd_len)
{
	if (copy_to_user(ucmd->ubuffer, ucmd->cmd,
			 min_t(size_t, ucmd->user_size, cmd_len)))
		return -EFAULT;
	return 0;
}

static int ioc_info(struct ktmk_ucmd *ucmd)
{
	struct ktmk_group *root = ktmk_group_root();
	struct tmk_ioc_info *cmd = ucmd->cmd;

	if (cmd->flags)
		return -EINVAL;
	cmd->out_abi_version = TMK_IOC_ABI_VERSION;
	cmd->out_kinds = 1U << TMK_IOC_KIND_PINNED | 1U << TMK_IOC_KIND_HUGE |
			 1U << TMK_IOC_KIND_FILE;
	cmd->out_features = TMK_IOC_FEATURE_REFUSAL | TMK_IOC_FEATURE_CGROUP |
			    TMK_IOC_FEATURE_SEAL | TMK_IOC_FEATURE_POLL |
			    TMK_IOC_FEATURE_TRIM;
	if (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER))
		cmd->out_features |= TMK_IOC_FEATURE_DMABUF;
	if (ktmk_populate_own)
		cmd->out_features |= TMK_IOC_FEATURE_POPULATE_OWN;
	cmd->out_page_sizes = PAGE_SIZE | KTMK_HUGE_BYTES;
	if (ktmk_hugetlb_has(KTMK_HUGE_BYTES))
		cmd->out_kinds |= 1U << TMK_IOC_KIND_HUGETLB;
	if (ktmk_hugetlb_has(KTMK_GIGANTIC_BYTES))
		cmd->out_page_sizes |= KTMK_GIGANTIC_BYTES;
	cmd->out_max = ktmk_counter_max(&root->counter[KTMK_TOTAL]);
	cmd->out_physical_max = ktmk_counter_max(&root->counter[KTMK_PHYSICAL]);
	cmd->out_total_ram = (u64)totalram_pages() << PAGE_SHIFT;
	strscpy((char *)cmd->out_version, KTMK_VERSION,
		sizeof(cmd->out_version));
	return ktmk_ucmd_respond(ucmd, sizeof(*cmd));
}

/* Defined in the ABI, not offered and not advertised by this module. */
static int ioc_unsupported(struct ktmk_ucmd *ucmd)
{
	return -EOPNOTSUPP;
}

static const struct ktmk_ioctl device_ioctls[] = {
	IOCTL_OP(TMK_IOC_INFO, ioc_info, struct tmk_ioc_info, out_version),
	IOCTL_OP(TMK_IOC_REGION_CREATE, ktmk_ioc_region_create,
		 struct tmk_ioc_region_create, out_refusal_limit),
	IOCTL_OP(TMK_IOC_USAGE, ktmk_ioc_usage, struct tmk_ioc_usage,
		 out_physical_tight_max),
};

static const struct ktmk_ioctl region_ioctls[] = {
	IOCTL_OP(TMK_IOC_REGION_INFO, ktmk_ioc_region_info,
		 struct tmk_ioc_region_info, out_name),
	IOCTL_OP(TMK_IOC_REGION_DMABUF, ktmk_ioc_region_dmabuf,
		 struct tmk_ioc_region_dmabuf, __reserved),
	IOCTL_OP(TMK_IOC_REGION_TRIM, ktmk_ioc_region_trim,
		 struct tmk_ioc_region_trim, out_trimmed),
	IOCTL_OP(TMK_IOC_REGION_READONLY, ktmk_ioc_region_readonly,
		 struct tmk_ioc_region_readonly, __reserved),
	IOCTL_OP(TMK_IOC_REGION_SEAL, ktmk_ioc_region_seal,
		 struct tmk_ioc_region_seal, out_seals),
};

/* Of a region with an inner file: what needs pages of our own is not there. */
static const struct ktmk_ioctl mapped_ioctls[] = {
	IOCTL_OP(TMK_IOC_REGION_INFO, ktmk_ioc_region_info,
		 struct tmk_ioc_region_info, out_name),
	IOCTL_OP(TMK_IOC_REGION_DMABUF, ioc_unsupported,
		 struct tmk_ioc_region_dmabuf, __reserved),
	IOCTL_OP(TMK_IOC_REGION_TRIM, ioc_unsupported,
		 struct tmk_ioc_region_trim, out_trimmed),
	IOCTL_OP(TMK_IOC_REGION_READONLY, ktmk_ioc_region_readonly,
		 struct tmk_ioc_region_readonly, __reserved),
	IOCTL_OP(TMK_IOC_REGION_SEAL, ktmk_ioc_region_seal,
		 struct tmk_ioc_region_seal, out_seals),
};

static long ioctl_dispatch(const struct ktmk_ioctl *table, size_t nr,
			   struct file *file, unsigned int cmd,
			   void __user *ubuffer)
{
	union ktmk_ucmd_buffer buffer;
	struct ktmk_ucmd ucmd = {
		.ubuffer = ubuffer,
		.cmd = &buffer,
		.file = file,
	};
	const struct ktmk_ioctl *op;
	int err;

	for (op = table; op < table + nr; op++)
		if (op->cmd == cmd)
			break;
	if (op == table + nr)
		return -ENOTTY;

	if (get_user(ucmd.user_size, (u32 __user *)ubuffer))
		return -EFAULT;
	if (ucmd.user_size < op->min_size)
		return -EINVAL;
	/* Looking whether 4 GiB of tail are zero would take seconds. */
	if (ucmd.user_size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&buffer, op->size, ubuffer, ucmd.user_size);
	if (err)
		return err;
	return op->execute(&ucmd);
}

/**
 * ktmk_device_ioctl() - ->unlocked_ioctl of /dev/tmk
 * @file: the file
 * @cmd: the command
 * @arg: address of its structure
 *
 * Return: 0 or a negative errno as listed in the uapi header.
 */
long ktmk_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ioctl_dispatch(device_ioctls, ARRAY_SIZE(device_ioctls), file,
			      cmd, (void __user *)arg);
}

/**
 * ktmk_region_ioctl() - ->unlocked_ioctl of a region
 * @file: the file
 * @cmd: the command
 * @arg: address of its structure
 *
 * Return: 0 or a negative errno as listed in the uapi header.
 */
long ktmk_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	int err = 0;

	if (cmd == TMK_IOC_REGION_TRIM || cmd == TMK_IOC_REGION_DMABUF)
		err = ktmk_seal_check_change(file);
	if (err)
		return err;
	return ioctl_dispatch(region_ioctls, ARRAY_SIZE(region_ioctls), file,
			      cmd, (void __user *)arg);
}

/**
 * ktmk_mapped_ioctl() - ->unlocked_ioctl of a region with an inner file
 * @file: the file
 * @cmd: the command
 * @arg: address of its structure
 *
 * Return: 0 or a negative errno as listed in the uapi header.
 */
long ktmk_mapped_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ioctl_dispatch(mapped_ioctls, ARRAY_SIZE(mapped_ioctls), file,
			      cmd, (void __user *)arg);
}
