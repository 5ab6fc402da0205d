// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Regions: what a backend made, charged to the ledger, with a reference count.
 *
 * The order is always: charge the ledger, have the backend make it (which
 * charges whoever it charges); unmap, then uncharge. Whatever fails takes back
 * what came before it.
 *
 * A region knows the operations of the backend that made it and nothing else of
 * the open library, so it stays valid when the library is closed, and when it
 * is opened again with another backend. The count is atomic; what else changes is
 * region_trim.c's.
 *
 * fork(): the child has its own count and its own mapping of the same memory.
 * What either gives back is gone for itself only; the kernel frees the memory
 * with the last mapping and descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "region.h"

const char *tmk_kind_name(enum tmk_kind kind)
{
	switch (kind) {
	case TMK_KIND_PINNED:
		return "pinned";
	case TMK_KIND_HUGE:
		return "huge";
	case TMK_KIND_HUGETLB:
		return "hugetlb";
	case TMK_KIND_FILE:
		return "file";
	}
	return "?";
}

#define REGION_FLAGS (TMK_REGION_F_REQUIRE | TMK_REGION_F_TRIM)

static int name_check(const char *name)
{
	size_t len = strnlen(name, TMK_NAME_BYTES);
	size_t i;

	if (len == TMK_NAME_BYTES)
		return tmk__error(-EINVAL,
				  "the region's name \"%.20s...\" is longer "
				  "than %d characters",
				  name, TMK_NAME_BYTES - 1);
	for (i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~')
			return tmk__error(-EINVAL,
					  "the region's name has the character "
					  "0x%02x, which is no printable ASCII",
					  (unsigned char)name[i]);
	return 0;
}

static int opts_take(struct tmk_region_opts *out,
		     const struct tmk_region_opts *opts)
{
	static const struct tmk_region_opts defaults = TMK_REGION_OPTS_INIT;
	int err;

	*out = defaults;
	err = tmk__opts_take(out, opts, sizeof(*out), sizeof(*out),
			     "struct tmk_region_opts");
	if (err)
		return err;
	if (out->flags & ~REGION_FLAGS)
		return tmk__error(-EINVAL,
				  "unknown flags %#x in "
				  "struct tmk_region_opts",
				  out->flags & ~REGION_FLAGS);
	if (out->flags & TMK_REGION_F_TRIM && out->kind != TMK_KIND_PINNED &&
	    out->kind != TMK_KIND_HUGE)
		return tmk__error(-EOPNOTSUPP,
				  "only pinned and huge regions can be "
				  "trimmed");
	if (out->node < TMK_NODE_ANY)
		return tmk__error(-EINVAL, "there is no NUMA node %d",
				  out->node);
	if (!out->name)
		out->name = "";
	return name_check(out->name);
}

/**
 * tmk__region_opts_check() - could regions be made with these options?
 * @opts: options for regions that will be made later
 *
 * Does not open the library.
 *
 * Return: 0, or what tmk_region_create() would say of them for any length.
 */
int tmk__region_opts_check(const struct tmk_region_opts *opts)
{
	struct tmk_region_opts checked;
	uint64_t length = 1;
	int err;

	err = opts_take(&checked, opts);
	return err ? err : tmk__backend_round(&length, &checked);
}

static int region_alloc(struct tmk_region **out,
			const struct tmk__backend_ops *ops, enum tmk_use use)
{
	struct tmk_region *region;

	region = tmk__fault("region") ? NULL : calloc(1, sizeof(*region));
	if (!region)
		return tmk__error(-ENOMEM, "no memory for a region's handle");
	atomic_init(&region->refs, 1);
	region->ops = ops;
	region->use = use;
	*out = region;
	return 0;
}

/* Whoever refused: what this process could give back itself. */
static void holders_tell(void)
{
	struct tmk_refusal r;

	if (tmk_refusal_last(&r) || r.holders_nr)
		return;
	r.holders_nr = tmk__purpose_top(r.holders, TMK_HOLDERS_NR);
	tmk__refuse_holders(&r);
}

static int region_make(struct tmk_region *region, struct tmk__device *device)
{
	struct tmk__backend_region *b = &region->b;
	/* Pages of a file may go to the disk. */
	uint64_t physical = b->kind == TMK_KIND_FILE ? 0 : b->bytes;
	int err;

	err = tmk__ledger_charge(b->kind, region->use, b->bytes, physical);
	if (err)
		return err;
	err = region->ops->region_create(tmk__device_state(device), b,
					 region->name);
	if (err) {
		tmk__ledger_uncharge(b->kind, region->use, b->bytes, physical);
		holders_tell();
		return err;
	}
	region->physical = physical;
	b->path = NULL;
	return 0;
}

/**
 * struct making - a region to be made
 * @region: the region
 * @device: where
 */
struct making {
	struct tmk_region *region;
	struct tmk__device *device;
};

/* Whatever limit it is that refuses: what is held for nobody goes first. */
static int region_make_hard(void *arg)
{
	struct making *making = arg;
	struct tmk_region *region = making->region;
	struct tmk__device *device = making->device;
	struct tmk__error_state before;
	int err;

	tmk__error_save(&before);
	err = region_make(region, device);
	if (err != -ENOMEM && err != -EDQUOT)
		return err;
	if (!tmk__cache_drop())
		return err;
	tmk__error_restore(&before);
	return region_make(region, device);
}

/* By name, but for what is kept for nobody. */
static void region_purpose(struct tmk_region *region)
{
	region->purpose = tmk__purpose_find(region->use == TMK_USE_CACHE ?
						    "" :
						    region->name,
					    region->use);
	tmk__purpose_add(region->purpose, region->b.bytes);
}

static void region_count(struct tmk_region *region)
{
	region_purpose(region);
	tmk__ledger_region_add();
}

/* Make a region anew. */
static int region_create(struct tmk_region **out, struct tmk__device *device,
			 uint64_t length, const struct tmk_region_opts *opts,
			 enum tmk_use use, void *at)
{
	struct making making;
	struct tmk_region *region = NULL;
	int err;

	err = region_alloc(&region, tmk__device_ops(device), use);
	if (err)
		return err;
	region->b = (struct tmk__backend_region){
		.fd = -1,
		.at = at,
		.bytes = length,
		.kind = opts->kind,
		.flags = opts->flags,
		.node = opts->node,
		.page_bytes = tmk__backend_page(opts->kind, opts->page_bytes),
		.path = opts->path,
	};
	snprintf(region->name, sizeof(region->name), "%s", opts->name);
	making = (struct making){ region, device };
	err = at ? region_make(region, device) :
		   tmk__wait(region_make_hard, &making);
	if (err) {
		free(region);
		return err;
	}
	region_count(region);
	*out = region;
	return 0;
}

/**
 * tmk__region_create_on() - make a region with the library at hand
 * @out: the region
 * @device: the library
 * @bytes: not 0
 * @given: options, or NULL
 * @use: what the ledger shows
 *
 * Return: as tmk_region_create().
 */
int tmk__region_create_on(struct tmk_region **out, struct tmk__device *device,
			  size_t bytes, const struct tmk_region_opts *given,
			  enum tmk_use use)
{
	struct tmk_region_opts opts;
	struct tmk_region *region;
	uint64_t length = bytes;
	int err;

	err = opts_take(&opts, given);
	if (!err && !bytes)
		err = tmk__error(-EINVAL, "a region of 0 bytes was asked for");
	if (!err)
		err = tmk__backend_round(&length, &opts);
	if (err)
		return err;
	region = tmk__cache_take(&opts, length);
	if (!region)
		return region_create(out, device, length, &opts, use, NULL);
	tmk__ledger_move(region->use, use, region->b.bytes);
	tmk__purpose_sub(region->purpose, region->b.bytes);
	region->use = use;
	region->b.flags = opts.flags;
	snprintf(region->name, sizeof(region->name), "%s", opts.name);
	region_purpose(region);
	*out = region;
	return 0;
}

/**
 * tmk__region_create_at() - make a region in address space at hand
 * @out: the region
 * @device: the library
 * @at: where: reserved by the caller, aligned to the page size of the kind
 * @bytes: how much; a multiple of that page size
 * @given: options
 *
 * It is held for the cache, has no descriptor, and leaves inaccessible address
 * space behind. Nothing is dropped to make room for it: the caller does that.
 *
 * Return: as tmk_region_create().
 */
int tmk__region_create_at(struct tmk_region **out, struct tmk__device *device,
			  void *at, size_t bytes,
			  const struct tmk_region_opts *given)
{
	struct tmk_region_opts opts;
	uint64_t length = bytes;
	int err;

	err = opts_take(&opts, given);
	if (!err)
		err = tmk__backend_round(&length, &opts);
	if (!err)
		err = region_create(out, device, length, &opts, TMK_USE_CACHE,
				    at);
	if (err)
		return err;
	/* The mapping holds the memory; descriptors are scarce. */
	tmk__calls_add(1);
	close((*out)->b.fd);
	(*out)->b.fd = -1;
	return 0;
}

/**
 * tmk__region_create_for() - make a region and say what for
 * @out: the region
 * @bytes: not 0
 * @opts: options, or NULL
 * @use: what the ledger shows
 *
 * Return: as tmk_region_create().
 */
int tmk__region_create_for(struct tmk_region **out, size_t bytes,
			   const struct tmk_region_opts *opts, enum tmk_use use)
{
	struct tmk__device *device;
	int err;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the region");
	err = tmk__device_get(&device);
	if (err)
		return err;
	err = tmk__region_create_on(out, device, bytes, opts, use);
	tmk__device_put(device);
	return err;
}

/* It is the program's from now on, which is remembered where that is wanted. */
static int region_hand_out(struct tmk_region **out, struct tmk_region *region,
			   uint32_t stack)
{
	struct tmk__holder h = {
		.key = (uintptr_t)region,
		.bytes = region->b.bytes,
		.made = stack,
		.what = TMK__HOLDER_REGION,
		.kind = (uint8_t)region->b.kind,
	};
	int err = 0;

	if (tmk__debug()) {
		memcpy(h.name, region->name, sizeof(region->name));
		err = tmk__holder_add(&h);
	}
	if (err)
		tmk_region_put(region);
	else
		*out = region;
	return err;
}

int tmk_region_create(struct tmk_region **out, size_t bytes,
		      const struct tmk_region_opts *opts)
{
	struct tmk_region *region;
	int err;

	err = tmk__region_create_for(out ? &region : NULL, bytes, opts,
				     TMK_USE_GENERAL);
	return err ? err : region_hand_out(out, region, tmk__stack_take());
}

/* Map what @region->b.fd is and charge it; the descriptor is ours by then. */
static int region_import(struct tmk_region *region, struct tmk__device *device)
{
	struct tmk__backend_region *b = &region->b;
	int err;

	err = region->ops->region_import(tmk__device_state(device), b,
					 region->name);
	if (err) {
		close(b->fd);
		return err;
	}
	if (b->kind < TMK_KIND_PINNED || b->kind >= TMK_KIND_NR)
		err = tmk__error(-EINVAL,
				 "it is of kind %d, which this "
				 "version does not know",
				 (int)b->kind);
	/* Its creator is charged for the RAM; this process maps it. */
	if (!err)
		err = tmk__ledger_charge(b->kind, region->use, b->bytes, 0);
	if (err)
		region->ops->region_destroy(b);
	return err;
}

static int import_on(struct tmk_region **out, struct tmk__device *device,
		     int fd)
{
	struct tmk_region *region = NULL;
	int err;

	err = region_alloc(&region, tmk__device_ops(device), TMK_USE_GENERAL);
	if (err)
		return err;
	tmk__calls_add(1);
	region->b.fd = tmk__fault("dup") ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (region->b.fd < 0)
		err = tmk__error(-errno, "%s", strerror(errno));
	else
		err = region_import(region, device);
	if (err) {
		free(region);
		return tmk__error_wrap(err, "cannot import descriptor %d", fd);
	}
	region->imported = true;
	region_count(region);
	return region_hand_out(out, region, tmk__stack_take());
}

int tmk_region_import(struct tmk_region **out, int fd)
{
	struct tmk__device *device;
	int err;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the region");
	err = tmk__device_get(&device);
	if (err)
		return err;
	err = import_on(out, device, fd);
	tmk__device_put(device);
	return err;
}

struct tmk_region *tmk_region_get(struct tmk_region *region)
{
	atomic_fetch_add_explicit(&region->refs, 1, memory_order_relaxed);
	return region;
}

void tmk_region_put(struct tmk_region *region)
{
	const struct tmk__backend_region *b;

	if (!region || atomic_fetch_sub_explicit(&region->refs, 1,
						 memory_order_acq_rel) != 1)
		return;
	if (tmk__debug())
		tmk__holder_remove(TMK__HOLDER_REGION, (uintptr_t)region);
	b = &region->b;
	region->ops->region_destroy(b);
	tmk__ledger_uncharge(b->kind, region->use, b->bytes, region->physical);
	tmk__purpose_sub(region->purpose, b->bytes);
	tmk__ledger_region_remove();
	free(region->holes);
	free(region);
}

void *tmk_region_data(const struct tmk_region *region)
{
	return region->b.data;
}

size_t tmk_region_bytes(const struct tmk_region *region)
{
	return region->b.bytes;
}

int tmk_region_fd(const struct tmk_region *region)
{
	return region->b.fd;
}

int tmk_region_info(struct tmk_region_info *out,
		    const struct tmk_region *region)
{
	struct tmk_region_info info = { 0 };
	int err;

	if (!out || !region)
		return tmk__error(-EINVAL, "no region to ask about, or no "
					   "struct tmk_region_info to fill in");
	err = region->ops->region_info(&info, &region->b);
	if (err)
		return err;
	info.kind = region->b.kind;
	info.flags = region->b.flags |
		     (region->b.readonly ? TMK_REGION_F_READONLY : 0);
	info.node = region->b.node;
	info.bytes = region->b.bytes;
	memcpy(info.name, region->name, sizeof(info.name));
	*out = info;
	return 0;
}
