// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The backend on /dev/tmk: the kernel charges, limits and enforces. This is the
 * only file that knows the ioctls. What the module offers is asked by feature
 * bits; its version is shown to people and never looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/tmk.h>

#include "backend.h"

#define DEVICE_PATH "/dev/tmk"

/**
 * struct dev - the backend while it is open
 * @fd: the device
 * @info: what it said of itself
 */
struct dev {
	int fd;
	struct tmk_ioc_info info;
};

static int dev_ioctl(int fd, unsigned long command, void *arg)
{
	tmk__calls_add(1);
	if (tmk__fault("ioctl") || ioctl(fd, command, arg))
		return -errno;
	return 0;
}

/* The name of a group, from the local file only. */
static void group_name(char *out, size_t len, gid_t gid)
{
	struct group *entry;
	FILE *f;

	snprintf(out, len, "%u", gid);
	f = tmk__file_open("/etc/group");
	if (!f)
		return;
	while ((entry = fgetgrent(f)))
		if (entry->gr_gid == gid)
			break;
	if (entry)
		snprintf(out, len, "%s", entry->gr_name);
	fclose(f);
}

static int open_denied(const char *path)
{
	struct stat st;
	char group[64];

	tmk__calls_add(1);
	if (stat(path, &st))
		return tmk__error(-EACCES, "no permission to reach %s", path);
	group_name(group, sizeof(group), st.st_gid);
	return tmk__error(-EACCES,
			  "no permission to open %s: it is of group %s with "
			  "mode %04o; join the group, or have an "
			  "administrator change it",
			  path, group, st.st_mode & 07777);
}

static int open_failed(int err, const char *path)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENXIO:
	case -ENODEV:
		return tmk__error(-ENODEV,
				  "there is no %s: the module is not loaded "
				  "(insmod tmk.ko loads it, tmkctl doctor "
				  "says more)",
				  path);
	case -EACCES:
	case -EPERM:
		return open_denied(path);
	default:
		return tmk__error(err, "cannot open %s: %s", path,
				  strerror(-err));
	}
}

/* Is this the device, and does it speak as we do? */
static int dev_greet(struct dev *dev, const char *path)
{
	int err;

	dev->info.size = sizeof(dev->info);
	err = dev_ioctl(dev->fd, TMK_IOC_INFO, &dev->info);
	if (err == -ENOTTY || err == -EINVAL)
		return tmk__error(-ENODEV, "%s is not the device of tmk: %s",
				  path, strerror(-err));
	if (err)
		return tmk__error(err, "cannot ask %s what it offers: %s", path,
				  strerror(-err));
	if (dev->info.out_abi_version != TMK_IOC_ABI_VERSION)
		return tmk__error(-ENODEV,
				  "the module behind %s has ABI version %u, "
				  "this library needs %d",
				  path, dev->info.out_abi_version,
				  TMK_IOC_ABI_VERSION);
	return 0;
}

static bool offers(const struct dev *dev, enum tmk_ioc_feature feature)
{
	return dev->info.out_features & feature;
}

static int dev_open(void **state, const char *device_path, char *why,
		    size_t len)
{
	const char *path = device_path ? device_path : DEVICE_PATH;
	struct dev *dev;
	int err;

	dev = tmk__fault("open") ? NULL : calloc(1, sizeof(*dev));
	if (!dev)
		return tmk__error(-ENOMEM, "no memory to open a backend");
	tmk__calls_add(1);
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0) {
		err = open_failed(-errno, path);
		goto err_free;
	}
	err = dev_greet(dev, path);
	if (err)
		goto err_close;
	snprintf(why, len, "%s works: tmk %.*s, ABI %u", path,
		 (int)sizeof(dev->info.out_version),
		 (const char *)dev->info.out_version,
		 dev->info.out_abi_version);
	*state = dev;
	return 0;

err_close:
	close(dev->fd);
err_free:
	free(dev);
	return err;
}

static void dev_close(void *state)
{
	struct dev *dev = state;

	tmk__calls_add(1);
	close(dev->fd);
	free(dev);
}

static int dev_limits(void *state, struct tmk_limits_effective *out)
{
	const struct dev *dev = state;
	struct tmk_ioc_usage cmd = { .size = sizeof(cmd) };
	struct tmk__cgroup_mount mount;
	struct tmk_limit_state tight;
	char where[sizeof(tight.where)];
	int err;

	err = dev_ioctl(dev->fd, TMK_IOC_USAGE, &cmd);
	if (err)
		return tmk__error(err, "cannot ask the module about limits: %s",
				  strerror(-err));
	/* To ask is to look: who waits for what is new may have missed it. */
	tmk__wait_release();
	tmk__cgroup_tmk_path(where, sizeof(where), cmd.out_tight_cgroup);
	tmk__room_set(&tight, TMK_LIMIT_CGROUP, cmd.out_tight_current,
		      cmd.out_tight_max, where);
	tmk__room_offer(&out->all, &tight);
	tmk__cgroup_tmk_path(where, sizeof(where),
			     cmd.out_physical_tight_cgroup);
	tmk__room_set(&tight, TMK_LIMIT_CGROUP_PHYSICAL,
		      cmd.out_physical_tight_current,
		      cmd.out_physical_tight_max, where);
	tmk__room_offer(&out->physical, &tight);
	(void)tmk__cgroup_find(&mount);
	return tmk__room_look(out, &mount);
}

static int dev_watch_fd(void *state)
{
	const struct dev *dev = state;

	return offers(dev, TMK_IOC_FEATURE_POLL) ? dev->fd : -1;
}

static void dev_watch_look(void *state)
{
	const struct dev *dev = state;
	struct tmk_ioc_usage cmd = { .size = sizeof(cmd) };

	/* If it cannot be done, it was not needed: it wakes once too often. */
	(void)dev_ioctl(dev->fd, TMK_IOC_USAGE, &cmd);
}

static enum tmk_limit limit_of(uint32_t refusal)
{
	switch (refusal) {
	case TMK_IOC_REFUSAL_MAX:
		return TMK_LIMIT_CGROUP;
	case TMK_IOC_REFUSAL_PHYSICAL_MAX:
		return TMK_LIMIT_CGROUP_PHYSICAL;
	case TMK_IOC_REFUSAL_MEMCG:
		return TMK_LIMIT_MEMCG;
	case TMK_IOC_REFUSAL_HUGE:
		return TMK_LIMIT_HUGE;
	case TMK_IOC_REFUSAL_MEMORY:
		return TMK_LIMIT_MEMORY;
	}
	return TMK_LIMIT_NONE;
}

static int create_failed(int err, const struct tmk__backend_region *region,
			 const struct tmk_ioc_region_create *cmd)
{
	struct tmk_refusal r = {
		.limit = limit_of(cmd->out_refusal),
		.asked = region->bytes,
		.used = cmd->out_refusal_used,
		.max = cmd->out_refusal_limit,
	};
	char asked[16];

	tmk_bytes_format(asked, sizeof(asked), region->bytes);
	if (r.limit == TMK_LIMIT_NONE)
		return tmk__error(err, "cannot create %s of %s: %s",
				  tmk__backend_what(region->kind), asked,
				  strerror(-err));
	tmk__cgroup_tmk_path(r.where, sizeof(r.where), cmd->out_refusal_cgroup);
	if (r.limit == TMK_LIMIT_HUGE) {
		/* The module says what is free, not what could be had. */
		tmk__refusal(r.limit, r.asked, r.used, r.max, r.where);
		return tmk__error(err,
				  "cannot create %s of %s: it requires 2 MiB "
				  "pages and memory is too fragmented",
				  tmk__backend_what(region->kind), asked);
	}
	return tmk__refuse(err, tmk__backend_what(region->kind), &r);
}

/*
 * Map it, and have it in the page tables before anybody waits for it; what is
 * @there may have holes, or be for reading.
 */
static int dev_map(struct tmk__backend_region *region, bool there)
{
	int err;

	err = tmk__map_region(region, region->page_bytes);
	if (err || region->kind == TMK_KIND_FILE)
		return err;
	err = there ? tmk__map_look(region) :
		      tmk__map_populate(region->data, region->bytes);
	if (err)
		tmk__unmap_region(region);
	return err;
}

static int dev_region_create(void *state, struct tmk__backend_region *region,
			     const char *name)
{
	const struct dev *dev = state;
	struct tmk_ioc_region_create cmd = {
		.size = sizeof(cmd),
		.length = region->bytes,
		.kind = (uint32_t)region->kind,
		.node = region->node,
		.backing_fd = -1,
		.out_fd = -1,
	};
	int err;

	if (!(dev->info.out_kinds & 1u << cmd.kind))
		return tmk__error(-EOPNOTSUPP,
				  "this module has no regions of kind %s",
				  tmk_kind_name(region->kind));
	if (region->flags & TMK_REGION_F_TRIM &&
	    !offers(dev, TMK_IOC_FEATURE_TRIM))
		return tmk__error(-EOPNOTSUPP, "this module trims no regions");
	if (region->flags & TMK_REGION_F_REQUIRE)
		cmd.flags |= TMK_IOC_REGION_F_REQUIRE;
	if (region->flags & TMK_REGION_F_TRIM)
		cmd.flags |= TMK_IOC_REGION_F_TRIM;
	if (region->kind == TMK_KIND_HUGETLB)
		cmd.page_size = region->page_bytes;
	if (region->kind == TMK_KIND_FILE) {
		err = tmk__file_region(&cmd.backing_fd, region->path,
				       region->bytes);
		if (err)
			return err;
	}
	snprintf((char *)cmd.name, sizeof(cmd.name), "%s", name);
	err = dev_ioctl(dev->fd, TMK_IOC_REGION_CREATE, &cmd);
	if (cmd.backing_fd >= 0)
		close(cmd.backing_fd);
	if (err)
		return create_failed(err, region, &cmd);
	/* The ledger was charged with what is asked for. */
	if (cmd.out_length != region->bytes) {
		err = tmk__error(-EIO, "the module rounded %llu bytes to %llu",
				 (unsigned long long)region->bytes,
				 (unsigned long long)cmd.out_length);
		goto err_close;
	}
	region->fd = cmd.out_fd;
	err = dev_map(region, false);
	if (err)
		goto err_close;
	return 0;

err_close:
	close(cmd.out_fd);
	return err;
}

static int dev_region_import(void *state, struct tmk__backend_region *region,
			     char name[TMK_NAME_BYTES])
{
	struct tmk_ioc_region_info cmd = { .size = sizeof(cmd) };

	(void)state;
	if (dev_ioctl(region->fd, TMK_IOC_REGION_INFO, &cmd))
		return tmk__error(-EINVAL, "the descriptor is not a region of "
					   "the module");
	region->kind = (enum tmk_kind)cmd.out_kind;
	if (cmd.out_flags & TMK_IOC_REGION_F_REQUIRE)
		region->flags |= TMK_REGION_F_REQUIRE;
	if (cmd.out_flags & TMK_IOC_REGION_F_TRIM)
		region->flags |= TMK_REGION_F_TRIM;
	region->node = cmd.out_node;
	region->bytes = cmd.out_length;
	region->page_bytes =
		tmk__backend_page(region->kind,
				  cmd.out_bytes_1g ? UINT64_C(1) << 30 : 0);
	if (!region->page_bytes)
		return tmk__error(-EINVAL, "the descriptor is a region of a "
					   "kind that is unknown here");
	snprintf(name, TMK_NAME_BYTES, "%.*s", TMK_NAME_BYTES - 1,
		 (const char *)cmd.out_name);
	region->readonly = tmk__map_is_readonly(region->fd);
	return dev_map(region, true);
}

static void dev_region_destroy(const struct tmk__backend_region *region)
{
	tmk__unmap_region(region);
	if (region->fd < 0)
		return;
	tmk__calls_add(1);
	close(region->fd);
}

static int dev_region_info(struct tmk_region_info *out,
			   const struct tmk__backend_region *region)
{
	struct tmk_ioc_region_info cmd = { .size = sizeof(cmd) };
	int err;

	err = dev_ioctl(region->fd, TMK_IOC_REGION_INFO, &cmd);
	if (err)
		return tmk__error(err, "cannot ask about a region: %s",
				  strerror(-err));
	out->physical_bytes = cmd.out_physical;
	out->bytes_4k = cmd.out_bytes_4k;
	out->bytes_large = cmd.out_bytes_large;
	out->bytes_2m = cmd.out_bytes_2m;
	out->bytes_1g = cmd.out_bytes_1g;
	out->cgroup_id = cmd.out_cgroup_id;
	return 0;
}

static int trim_failed(int err)
{
	if (err == -EBUSY)
		return tmk__error(err, "cannot trim a region: a device, "
				       "io_uring or a dma-buf has that memory");
	return tmk__error(err, "cannot trim a region: %s", strerror(-err));
}

static int dev_region_trim(const struct tmk__backend_region *region,
			   uint64_t offset, uint64_t bytes)
{
	struct tmk_ioc_region_trim cmd = {
		.size = sizeof(cmd),
		.offset = offset,
		.length = bytes,
	};
	int err;

	err = tmk__map_hide(region, offset, bytes);
	if (err)
		return err;
	err = dev_ioctl(region->fd, TMK_IOC_REGION_TRIM, &cmd);
	if (!err)
		return 0;
	(void)tmk__map_show(region, offset, bytes);
	return trim_failed(err);
}

/* The module charges and fills what is touched. */
static int dev_region_fill(const struct tmk__backend_region *region,
			   uint64_t offset, uint64_t bytes)
{
	struct tmk__error_state state;
	int err;

	err = tmk__map_show(region, offset, bytes);
	if (err)
		return err;
	err = tmk__map_populate((char *)region->data + offset, bytes);
	if (!err)
		return 0;
	tmk__error_save(&state);
	(void)dev_region_trim(region, offset, bytes);
	tmk__error_restore(&state);
	return err;
}

static int dev_region_seal(const struct tmk__backend_region *region)
{
	struct tmk_ioc_region_seal cmd = {
		.size = sizeof(cmd),
		.seals = TMK_IOC_SEAL_FUTURE_WRITE,
	};
	int err;

	err = dev_ioctl(region->fd, TMK_IOC_REGION_SEAL, &cmd);
	if (err)
		return tmk__error(err, "cannot seal a region: %s",
				  strerror(-err));
	return 0;
}

static int dev_region_dmabuf(int *out, const struct tmk__backend_region *region)
{
	struct tmk_ioc_region_dmabuf cmd = { .size = sizeof(cmd) };
	int err;

	err = dev_ioctl(region->fd, TMK_IOC_REGION_DMABUF, &cmd);
	if (err)
		return tmk__error(err, "cannot make a dma-buf of a region: %s",
				  strerror(-err));
	*out = cmd.out_fd;
	return 0;
}

static int dev_region_readonly(int *out,
			       const struct tmk__backend_region *region)
{
	struct tmk_ioc_region_readonly cmd = { .size = sizeof(cmd) };
	int err;

	err = dev_ioctl(region->fd, TMK_IOC_REGION_READONLY, &cmd);
	if (err)
		return tmk__error(err,
				  "cannot make a descriptor of a region to be "
				  "read: %s",
				  strerror(-err));
	*out = cmd.out_fd;
	return 0;
}

static void feature_kind(struct tmk__features *f, const struct dev *dev,
			 const char *name, enum tmk_ioc_kind kind)
{
	bool module = dev->info.out_kinds & 1u << kind;

	tmk__feature_add(f, name, module,
			 module ? "made by the module" :
				  "this module does not offer it");
}

static void feature_ioctl(struct tmk__features *f, const struct dev *dev,
			  const char *name, enum tmk_ioc_feature feature)
{
	tmk__feature_add(f, name, offers(dev, feature),
			 offers(dev, feature) ?
				 "done by the module" :
				 "this module does not offer it");
}

static void dev_features(void *state, struct tmk__features *f)
{
	const struct dev *dev = state;
	bool groups = offers(dev, TMK_IOC_FEATURE_CGROUP);
	bool own = offers(dev, TMK_IOC_FEATURE_POPULATE_OWN);

	tmk__feature_add(f, "cgroup_limits", groups,
			 groups ? "the module charges and limits each cgroup" :
				  "the module keeps the machine's limits only");
	tmk__feature_add(f, "memory_max", true,
			 "memory.max refuses while memory is populated");
	tmk__feature_add(f, "pinned",
			 dev->info.out_kinds & 1u << TMK_IOC_KIND_PINNED,
			 "held by the module while the region lives, whoever "
			 "maps it");
	tmk__feature_add(f, "huge",
			 dev->info.out_kinds & 1u << TMK_IOC_KIND_HUGE,
			 "2 MiB pages, with compaction if need be");
	tmk__feature_add(f, "huge_locked", true,
			 "held by the module while the region lives");
	tmk__feature_add(f, "node", true, "chosen by the module");
	tmk__feature_add(f, "share_fd", true,
			 "every region is a descriptor of the module's");
	tmk__feature_add(f, "shared_after_fork", true,
			 "parent and child see each other's writes");
	tmk__feature_add(f, "populate_own", own,
			 own ? "the module clears each page once" :
			       "shmem populates regions");
	feature_kind(f, dev, "hugetlb", TMK_IOC_KIND_HUGETLB);
	feature_kind(f, dev, "file", TMK_IOC_KIND_FILE);
	feature_ioctl(f, dev, "trim", TMK_IOC_FEATURE_TRIM);
	feature_ioctl(f, dev, "dmabuf", TMK_IOC_FEATURE_DMABUF);
	feature_ioctl(f, dev, "readonly", TMK_IOC_FEATURE_SEAL);
	feature_ioctl(f, dev, "seal", TMK_IOC_FEATURE_SEAL);
}

const struct tmk__backend_ops tmk__backend_dev = {
	.version = TMK__BACKEND_VERSION,
	.backend = TMK_BACKEND_DEV,
	.name = "dev",
	.open = dev_open,
	.close = dev_close,
	.features = dev_features,
	.limits = dev_limits,
	.ext_watch_fd = dev_watch_fd,
	.ext_watch_look = dev_watch_look,
	.region_create = dev_region_create,
	.region_import = dev_region_import,
	.region_destroy = dev_region_destroy,
	.region_info = dev_region_info,
	.region_trim = dev_region_trim,
	.region_fill = dev_region_fill,
	.region_seal = dev_region_seal,
	.ext_region_dmabuf = dev_region_dmabuf,
	.ext_region_readonly = dev_region_readonly,
};
