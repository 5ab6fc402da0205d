// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The backend without a module: no privilege, no device. A region is a sealed
 * memfd, so it can be shared by descriptor and by fork() exactly as the
 * module's can. What is less than with the module is said by features():
 *
 *  - limits are those of the process ledger, of RLIMIT_MEMLOCK and of
 *    memory.max; no other process's use counts;
 *  - pinned regions are locked by mlock(). That belongs to this process's
 *    mapping: a child's is not locked, and whoever imports locks for himself;
 *  - huge regions (thp.c) are locked only in processes that may lock without
 *    limit. Otherwise a few of them would use up RLIMIT_MEMLOCK, 8 MiB mostly,
 *    which is for pinned ones. It depends on the process, not on the region,
 *    and is found out once, when the library is opened.
 *
 * A request that memory.max or the machine cannot satisfy is refused before
 * anything is touched, because the kernel's answer would be to kill somebody.
 * That is a look, not a reservation: two that look at once can both go on.
 *
 * The memfd's name says what the region was created as: "tmk:huge:0:name".
 */
#define _GNU_SOURCE /* memfd_create(), F_ADD_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* Its length is for ever; region_seal() may come. */
#define SEALS (F_SEAL_GROW | F_SEAL_SHRINK)

/**
 * struct user - the backend while it is open
 * @lock_huge: huge regions are locked
 * @mount: cgroup v2
 */
struct user {
	bool lock_huge;
	struct tmk__cgroup_mount mount;
};

static int user_open(void **state, const char *device_path, char *why,
		     size_t len)
{
	struct user *user;

	(void)device_path;
	user = tmk__fault("open") ? NULL : calloc(1, sizeof(*user));
	if (!user)
		return tmk__error(-ENOMEM, "no memory to open a backend");
	user->lock_huge = tmk__lock_unlimited();
	(void)tmk__cgroup_find(&user->mount);
	snprintf(why, len, "it needs nothing");
	*state = user;
	return 0;
}

static void user_close(void *state)
{
	free(state);
}

static int user_limits(void *state, struct tmk_limits_effective *out)
{
	const struct user *user = state;
	uint64_t page = tmk__page_bytes();
	struct tmk_limit_state lock;

	tmk__room_set(&lock, TMK_LIMIT_MEMLOCK, tmk__memlock_used(),
		      tmk__lock_limit(), "RLIMIT_MEMLOCK");
	/* The kernel counts it in pages. */
	lock.room -= TMK__MIN(lock.room, lock.max % page);
	if (!user->lock_huge)
		tmk__room_offer(&out->pinned, &lock);
	return tmk__room_look(out, &user->mount);
}

static int user_refuse(const struct tmk__backend_region *region,
		       const struct tmk_limit_state *state)
{
	struct tmk_refusal r = {
		.limit = state->limit,
		.asked = region->bytes,
		.used = state->used,
		.max = state->max,
	};

	memcpy(r.where, state->where, sizeof(r.where));
	return tmk__refuse(-ENOMEM, tmk__backend_what(region->kind), &r);
}

/* Refuse what could only be had at somebody's expense. */
static int user_room(const struct tmk__cgroup_mount *mount,
		     const struct tmk__backend_region *region)
{
	struct tmk_limit_state state;
	int err;

	/* Of a pool of its own. */
	if (region->kind == TMK_KIND_HUGETLB)
		return 0;
	err = tmk__room_machine(&state);
	if (err)
		return err;
	if (region->bytes > state.room)
		return user_refuse(region, &state);
	tmk__room_memcg(&state, mount);
	if (region->bytes > state.room)
		return user_refuse(region, &state);
	if (region->node == TMK_NODE_ANY)
		return 0;
	err = tmk__node_room(&state, region->node);
	if (err)
		return err;
	return region->bytes > state.room ? user_refuse(region, &state) : 0;
}

static unsigned int memfd_flags(const struct tmk__backend_region *region)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (region->kind == TMK_KIND_HUGETLB)
		flags |= MFD_HUGETLB |
			 (unsigned int)__builtin_ctzll(region->page_bytes)
				 << MFD_HUGE_SHIFT;
	return flags;
}

/* A memfd of the right length for ever. */
static int user_memfd(int *out, const struct tmk__backend_region *region,
		      const char *name)
{
	char full[TMK_NAME_BYTES + 48];
	int fd, err;

	snprintf(full, sizeof(full), "tmk:%s:%u:%s",
		 tmk_kind_name(region->kind), region->flags, name);
	tmk__calls_add(3);
	fd = tmk__fault("memfd") ? -1 : memfd_create(full, memfd_flags(region));
	if (fd < 0)
		return tmk__error(-errno, "cannot create a memfd: %s",
				  strerror(errno));
	if (tmk__fault("ftruncate") || ftruncate(fd, (off_t)region->bytes) ||
	    tmk__fault("seal") || fcntl(fd, F_ADD_SEALS, SEALS)) {
		err = tmk__error(-errno,
				 "cannot give a memfd its length of %" PRIu64
				 " bytes: %s",
				 region->bytes, strerror(errno));
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

static int user_populate(const struct tmk__backend_region *region,
			 uint64_t offset, uint64_t bytes)
{
	char *data = (char *)region->data + offset;

	switch (region->kind) {
	case TMK_KIND_FILE:
		return 0;
	case TMK_KIND_HUGE:
		return tmk__thp_populate(data, bytes);
	default:
		return tmk__map_populate(data, bytes);
	}
}

/*
 * Map what @region->fd is, lock it if its kind is locked, and populate it; what is
 * @there may have holes, or be for reading.
 */
static int user_map(const struct user *user, struct tmk__backend_region *region,
		    bool there)
{
	int err;

	err = tmk__map_region(region, region->page_bytes);
	if (err)
		return err;
	region->locked = region->kind == TMK_KIND_PINNED ||
			 (region->kind == TMK_KIND_HUGE && user->lock_huge);
	if (region->node != TMK_NODE_ANY)
		err = tmk__node_bind(region);
	if (!err && region->locked)
		err = tmk__lock(region->data, region->bytes,
				tmk__backend_what(region->kind));
	if (err)
		goto err_unmap;
	if (there && (region->readonly || region->flags & TMK_REGION_F_TRIM))
		err = tmk__map_look(region);
	else
		err = user_populate(region, 0, region->bytes);
	if (err)
		goto err_unmap;
	return 0;

err_unmap:
	tmk__unmap_region(region);
	return err;
}

/* Has it huge pages only, as far as it has any? */
static int user_require(const struct tmk__backend_region *region)
{
	struct tmk_refusal r = {
		.limit = TMK_LIMIT_HUGE,
		.asked = region->bytes,
	};
	struct tmk__smaps got;
	int err;

	err = tmk__smaps_read(&got, region->data, region->bytes);
	if (err || got.huge == got.rss)
		return err;
	r.max = got.huge;
	return tmk__refuse(-ENOMEM, tmk__backend_what(region->kind), &r);
}

static int user_region_create(void *state, struct tmk__backend_region *region,
			      const char *name)
{
	const struct user *user = state;
	int err;

	if (region->node != TMK_NODE_ANY && region->kind != TMK_KIND_PINNED &&
	    region->kind != TMK_KIND_HUGE)
		return tmk__error(-EOPNOTSUPP,
				  "the NUMA node of %s cannot be chosen: run "
				  "under numactl",
				  tmk__backend_what(region->kind));
	if (region->kind == TMK_KIND_FILE)
		err = tmk__file_region(&region->fd, region->path,
				       region->bytes);
	else
		err = user_room(&user->mount, region);
	if (!err && region->kind != TMK_KIND_FILE)
		err = user_memfd(&region->fd, region, name);
	if (err)
		return err;
	err = user_map(user, region, false);
	/* The pool refuses with the mapping: it reserves its pages. */
	if (err == -ENOMEM && region->kind == TMK_KIND_HUGETLB)
		err = tmk__hugetlb_refuse(err, region);
	if (err)
		goto err_close;
	if (region->flags & TMK_REGION_F_REQUIRE &&
	    region->kind == TMK_KIND_HUGE)
		err = user_require(region);
	if (!err && region->node != TMK_NODE_ANY)
		err = tmk__node_check(region);
	if (err)
		goto err_unmap;
	return 0;

err_unmap:
	tmk__unmap_region(region);
err_close:
	close(region->fd);
	return err;
}

static bool kind_parse(enum tmk_kind *out, const char *text)
{
	enum tmk_kind kind;

	for (kind = TMK_KIND_PINNED; kind <= TMK_KIND_HUGETLB; kind++) {
		if (!strcmp(text, tmk_kind_name(kind))) {
			*out = kind;
			return true;
		}
	}
	return false;
}

/* What a descriptor was created as, from the name that the kernel shows. */
static bool user_identify(struct tmk__backend_region *region,
			  char name[TMK_NAME_BYTES])
{
	char path[64], link[256], kind[16], rest[sizeof(link)];
	int n, end = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", region->fd);
	tmk__calls_add(1);
	n = (int)readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	if (sscanf(link, "/memfd:tmk:%15[a-z]:%u:%n", kind, &region->flags,
		   &end) != 2 ||
	    !end || !kind_parse(&region->kind, kind))
		return false;
	snprintf(rest, sizeof(rest), "%s", link + end);
	n = (int)(strlen(rest) - strlen(" (deleted)"));
	if (n < 0 || n >= TMK_NAME_BYTES || strcmp(rest + n, " (deleted)"))
		return false;
	memcpy(name, rest, (size_t)n);
	name[n] = '\0';
	return true;
}

static int user_region_import(void *state, struct tmk__backend_region *region,
			      char name[TMK_NAME_BYTES])
{
	uint64_t page;
	struct stat st;
	int seals;

	tmk__calls_add(2);
	seals = fcntl(region->fd, F_GET_SEALS);
	/* Whoever could shrink it could make us fault. */
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(region->fd, &st) ||
	    !user_identify(region, name))
		return tmk__error(-EINVAL, "the descriptor is not a region of "
					   "the user backend");
	/* A hugetlb file's block is its page. */
	page = tmk__backend_page(region->kind,
				 region->kind == TMK_KIND_HUGETLB ?
					 (uint64_t)st.st_blksize :
					 0);
	if (!page)
		return tmk__error(-EINVAL, "the descriptor is a region with "
					   "pages of an unknown size");
	region->page_bytes = page;
	if (st.st_size <= 0 || (uint64_t)st.st_size % page)
		return tmk__error(-EINVAL,
				  "the descriptor is a region of %lld bytes, "
				  "which no region has",
				  (long long)st.st_size);
	region->bytes = (uint64_t)st.st_size;
	region->node = TMK_NODE_ANY;
	region->readonly = tmk__map_is_readonly(region->fd);
	return user_map(state, region, true);
}

static void user_region_destroy(const struct tmk__backend_region *region)
{
	tmk__unmap_region(region);
	if (region->fd < 0)
		return;
	tmk__calls_add(1);
	close(region->fd);
}

static int user_region_info(struct tmk_region_info *out,
			    const struct tmk__backend_region *region)
{
	struct tmk__error_state before;
	struct tmk__smaps got;
	int err;

	if (region->kind == TMK_KIND_HUGETLB) {
		out->physical_bytes = region->bytes;
		if (region->page_bytes == TMK__HUGE_BYTES)
			out->bytes_2m = region->bytes;
		else
			out->bytes_1g = region->bytes;
		return 0;
	}
	/*
	 * After fork() the child has to look first to find the pages there. Not
	 * at what is inaccessible at present (TMK_DEBUG=guard): it is told of as
	 * it was left.
	 */
	tmk__error_save(&before);
	err = region->kind == TMK_KIND_FILE ? 0 : tmk__map_look(region);
	if (err == -EOPNOTSUPP) {
		tmk__error_restore(&before);
		err = 0;
	}
	if (!err)
		err = tmk__smaps_read(&got, region->data, region->bytes);
	if (err)
		return err;
	out->physical_bytes = got.rss;
	out->bytes_2m = got.huge;
	out->bytes_4k = got.rss - TMK__MIN(got.rss, got.huge);
	return 0;
}

static int user_region_trim(const struct tmk__backend_region *region,
			    uint64_t offset, uint64_t bytes)
{
	int err;

	err = tmk__map_hide(region, offset, bytes);
	if (err)
		return err;
	tmk__calls_add(1);
	if (tmk__fault("punch") ||
	    fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)offset, (off_t)bytes)) {
		err = tmk__error(-errno,
				 "cannot give %" PRIu64
				 " bytes of a region back: %s",
				 bytes, strerror(errno));
		(void)tmk__map_show(region, offset, bytes);
		return err;
	}
	if (region->locked)
		tmk__unlock((char *)region->data + offset, bytes);
	return 0;
}

static int user_region_fill(const struct tmk__backend_region *region,
			    uint64_t offset, uint64_t bytes)
{
	struct tmk__backend_region part = *region;
	struct tmk__cgroup_mount mount;
	struct tmk__error_state state;
	int err;

	part.bytes = bytes;
	(void)tmk__cgroup_find(&mount);
	err = user_room(&mount, &part);
	if (err)
		return err;
	if (region->locked)
		err = tmk__lock((char *)region->data + offset, bytes,
				tmk__backend_what(region->kind));
	if (err)
		return err;
	err = tmk__map_show(region, offset, bytes);
	if (!err)
		err = user_populate(region, offset, bytes);
	if (!err && region->flags & TMK_REGION_F_REQUIRE &&
	    region->kind == TMK_KIND_HUGE)
		err = user_require(region);
	if (!err)
		return 0;
	tmk__error_save(&state);
	(void)user_region_trim(region, offset, bytes);
	tmk__error_restore(&state);
	return err;
}

static int user_region_seal(const struct tmk__backend_region *region)
{
	tmk__calls_add(1);
	if (tmk__fault("seal") ||
	    fcntl(region->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		return tmk__error(-errno, "cannot seal a region: %s",
				  strerror(errno));
	return 0;
}

static void feature_pinned(struct tmk__features *f, const struct user *user)
{
	char limit[16];

	if (user->lock_huge) {
		tmk__feature_add(f, "pinned", true,
				 "locked by mlock() in this process, without "
				 "limit");
		return;
	}
	tmk_bytes_format(limit, sizeof(limit), tmk__lock_limit());
	tmk__feature_add(f, "pinned", tmk__lock_limit() > 0,
			 "locked by mlock() in this process, %s in all "
			 "(RLIMIT_MEMLOCK)",
			 limit);
}

static void feature_memory_max(struct tmk__features *f, const struct user *user)
{
	struct tmk__memcg memcg;
	char max[16];

	if (tmk__cgroup_least(&memcg, &user->mount))
		tmk__feature_add(f, "memory_max", false,
				 "there is no cgroup v2 here; limits of cgroup "
				 "v1 are not read");
	else if (memcg.max == TMK_UNLIMITED)
		tmk__feature_add(f, "memory_max", true,
				 "no group above this process has a "
				 "memory.max");
	else
		tmk__feature_add(f, "memory_max", true,
				 "memory.max of %s is %s; looked at before "
				 "memory is touched",
				 memcg.path,
				 tmk_bytes_format(max, sizeof(max), memcg.max));
}

static void feature_hugetlb(struct tmk__features *f)
{
	uint64_t free, all = tmk__hugetlb_pool(&free, TMK__HUGE_BYTES);

	tmk__feature_add(f, "hugetlb", all > 0,
			 "the system's pool has %" PRIu64
			 " pages of 2 MiB, %" PRIu64
			 " of them free (vm.nr_hugepages)",
			 all, free);
}

static void user_features(void *state, struct tmk__features *f)
{
	const struct user *user = state;
	char why[120], node_why[80];
	bool huge = tmk__thp_works(why, sizeof(why));
	bool node = tmk__node_works(node_why, sizeof(node_why));

	tmk__feature_add(f, "cgroup_limits", false,
			 "limits are kept by each process for itself; the "
			 "module is not there to keep any for a cgroup");
	feature_memory_max(f, user);
	feature_pinned(f, user);
	tmk__feature_add(f, "huge", huge, "%s", why);
	tmk__feature_add(f, "huge_locked", user->lock_huge,
			 user->lock_huge ?
				 "locked by mlock() in this process" :
				 "RLIMIT_MEMLOCK is left to pinned regions: "
				 "the kernel may swap huge ones");
	tmk__feature_add(f, "node", node, "%s", node_why);
	tmk__feature_add(f, "share_fd", true, "every region is a sealed memfd");
	tmk__feature_add(f, "shared_after_fork", true,
			 "parent and child see each other's writes; locks "
			 "are not inherited");
	feature_hugetlb(f);
	tmk__feature_add(f, "file", true,
			 "mapped, never locked; cannot be imported by "
			 "descriptor");
	tmk__feature_add(f, "trim", true,
			 "by punching holes; what a device uses is not "
			 "noticed");
	tmk__feature_add(f, "dmabuf", false, "needs the module");
	tmk__feature_add(f, "readonly", false,
			 "the same user could open the descriptor for writing; "
			 "seal the region instead");
	tmk__feature_add(f, "seal", true, "a seal of the memfd");
}

const struct tmk__backend_ops tmk__backend_user = {
	.version = TMK__BACKEND_VERSION,
	.backend = TMK_BACKEND_USER,
	.name = "user",
	.open = user_open,
	.close = user_close,
	.features = user_features,
	.limits = user_limits,
	.region_create = user_region_create,
	.region_import = user_region_import,
	.region_destroy = user_region_destroy,
	.region_info = user_region_info,
	.region_trim = user_region_trim,
	.region_fill = user_region_fill,
	.region_seal = user_region_seal,
};
