/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What a backend has to supply, and what the two of them share. Nothing above
 * this directory knows which one runs.
 */
#ifndef TMK_BACKEND_H
#define TMK_BACKEND_H

#include "../internal.h"

#define TMK__BACKEND_VERSION 1
#define TMK__FEATURES_MAX 16

/**
 * struct tmk__backend_region - a region as its backend sees it
 * @fd: its descriptor, which can be mapped and passed on; owned
 * @data: where it is mapped; aligned to its page size
 * @at: where to map it, in address space that the caller reserved, or NULL; it
 *	is then given back as inaccessible address space, and has no guards
 * @bytes: its length
 * @page_bytes: its page size
 * @path: the file of a file region, NULL for an unnamed one; while it is made
 * @kind: as created
 * @flags: as created
 * @node: as created
 * @locked: this process locked it (user backend)
 * @readonly: it is mapped to be read: its descriptor allows no more
 */
struct tmk__backend_region {
	int fd;
	void *data;
	void *at;
	uint64_t bytes;
	uint64_t page_bytes;
	const char *path;
	enum tmk_kind kind;
	uint32_t flags;
	int32_t node;
	bool locked;
	bool readonly;
};

/**
 * struct tmk__features - what a backend can do, filled in row by row
 * @rows: as tmk_backend_info() hands them out
 * @reasons: behind the rows
 * @nr: how many
 */
struct tmk__features {
	struct tmk_backend_feature rows[TMK__FEATURES_MAX];
	char reasons[TMK__FEATURES_MAX][200];
	size_t nr;
};

/**
 * struct tmk__backend_ops - one sort of backend
 * @version: TMK__BACKEND_VERSION
 * @backend: its name for programs
 * @name: its name for people
 *
 * Every function that returns int returns 0, or a negative errno with the
 * sentence set and nothing changed. All of them may be called by several
 * threads at once. Those that take no state work also after close(): regions
 * outlive the library's being open. Members whose names begin with ext_ may be
 * NULL, which means -EOPNOTSUPP.
 */
struct tmk__backend_ops {
	uint32_t version;
	enum tmk_backend backend;
	const char *name;

	/*
	 * Get ready. @device_path: the device node, or NULL for the usual.
	 * @why: says, for people, what was found.
	 * Fails with -ENODEV or -EACCES where it cannot work here.
	 */
	int (*open)(void **state, const char *device_path, char *why,
		    size_t len);

	/* Undo open(). */
	void (*close)(void *state);

	/* What it can do here. May make a trial, so it may take milliseconds. */
	void (*features)(void *state, struct tmk__features *out);

	/*
	 * Offer every limit that regions of this process meet, but for its own:
	 * those on all bytes to @out->all, those on bytes in RAM to
	 * @out->physical, those on locked ones to @out->pinned.
	 */
	int (*limits)(void *state, struct tmk_limits_effective *out);

	/*
	 * A descriptor that is readable when a limit that had refused has room
	 * again since ext_watch_look() or another attempt; -1 if there is none.
	 */
	int (*ext_watch_fd)(void *state);
	void (*ext_watch_look)(void *state);

	/*
	 * Make a region. kind, flags, node and bytes of @region are set, checked
	 * and rounded; the rest is filled in. The memory is charged to whoever
	 * the backend charges, zeroed, populated and mapped writable, with no
	 * fault to come, and shared with children and with whoever gets the
	 * descriptor. With TMK_REGION_F_REQUIRE it has 2 MiB pages only.
	 * A limit that refuses is told by tmk__refuse().
	 */
	int (*region_create)(void *state, struct tmk__backend_region *region,
			     const char *name);

	/*
	 * Map the region behind @region->fd, fill in the rest of @region, and
	 * its name. The descriptor is the region's on success, the caller's
	 * otherwise. -EINVAL if it is no region of this backend.
	 */
	int (*region_import)(void *state, struct tmk__backend_region *region,
			     char name[TMK_NAME_BYTES]);

	/* Unmap and close. Cannot fail. */
	void (*region_destroy)(const struct tmk__backend_region *region);

	/* What was really obtained: the bytes_* members, physical_bytes and */
	/* cgroup_id of @out. */
	int (*region_info)(struct tmk_region_info *out,
			   const struct tmk__backend_region *region);

	/*
	 * Give the memory of a part back and have it inaccessible. Part and
	 * region are as tmk_region_trim() wants them.
	 */
	int (*region_trim)(const struct tmk__backend_region *region,
			   uint64_t offset, uint64_t bytes);

	/* The reverse, for a part that was trimmed whole: as region_create(). */
	int (*region_fill)(const struct tmk__backend_region *region,
			   uint64_t offset, uint64_t bytes);

	/* No writable mappings from now on, but for those that exist. */
	int (*region_seal)(const struct tmk__backend_region *region);

	/* Descriptors: of a dma-buf, and of the region to be read only. */
	int (*ext_region_dmabuf)(int *out,
				 const struct tmk__backend_region *region);
	int (*ext_region_readonly)(int *out,
				   const struct tmk__backend_region *region);
};

extern const struct tmk__backend_ops tmk__backend_dev;
extern const struct tmk__backend_ops tmk__backend_user;

/* select.c */
int tmk__backend_select(const struct tmk__backend_ops **out, void **state,
			enum tmk_backend wanted, const char *device_path,
			char *why, size_t len);
int tmk__backend_round(uint64_t *bytes, const struct tmk_region_opts *o);
uint64_t tmk__backend_page(enum tmk_kind kind, uint64_t asked);
const char *tmk__backend_what(enum tmk_kind kind);
void tmk__feature_add(struct tmk__features *f, const char *name, bool available,
		      const char *fmt, ...) TMK__PRINTF(4, 5);

/* map.c */
int tmk__map_fd(void **out, int fd, uint64_t bytes, uint64_t align, int prot);
int tmk__map_region(struct tmk__backend_region *region, uint64_t align);
void tmk__unmap_region(const struct tmk__backend_region *region);
int tmk__map_none(void *at, uint64_t bytes);
int tmk__map_alias(const struct tmk__backend_region *region, uint64_t offset,
		   uint64_t bytes, void *at);
int tmk__map_populate(void *data, uint64_t bytes);
int tmk__map_look(const struct tmk__backend_region *region);
int tmk__map_hide(const struct tmk__backend_region *region, uint64_t offset,
		  uint64_t bytes);
int tmk__map_show(const struct tmk__backend_region *region, uint64_t offset,
		  uint64_t bytes);
bool tmk__map_is_readonly(int fd);
void tmk__map_release(void *data, uint64_t bytes);

/* thp.c */
int tmk__thp_populate(void *data, uint64_t bytes);
bool tmk__thp_works(char *why, size_t len);

/* file.c */
int tmk__file_region(int *out, const char *path, uint64_t bytes);
uint64_t tmk__hugetlb_pool(uint64_t *free, uint64_t page);
int tmk__hugetlb_refuse(int err, const struct tmk__backend_region *region);

/* room.c */
#define TMK__ROOM_NONE                                   \
	((struct tmk_limit_state){ .max = TMK_UNLIMITED, \
				   .room = TMK_UNLIMITED })

void tmk__room_set(struct tmk_limit_state *out, enum tmk_limit limit,
		   uint64_t used, uint64_t max, const char *where);
void tmk__room_offer(struct tmk_limit_state *row,
		     const struct tmk_limit_state *state);
int tmk__room_machine(struct tmk_limit_state *out);
void tmk__room_memcg(struct tmk_limit_state *out,
		     const struct tmk__cgroup_mount *mount);
int tmk__room_look(struct tmk_limits_effective *out,
		   const struct tmk__cgroup_mount *mount);

/* node.c */
int tmk__node_bind(const struct tmk__backend_region *region);
int tmk__node_room(struct tmk_limit_state *out, int32_t node);
int tmk__node_check(const struct tmk__backend_region *region);
bool tmk__node_works(char *why, size_t len);

/* lock.c */
int tmk__lock(void *data, uint64_t bytes, const char *what);
void tmk__unlock(void *data, uint64_t bytes);
bool tmk__lock_unlimited(void);
uint64_t tmk__lock_limit(void);

#endif /* TMK_BACKEND_H */
