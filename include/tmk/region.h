/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions: mapped pieces of memory of one kind, charged before they exist.
 *
 *	struct tmk_region *r;
 *	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
 *
 *	opts.kind = TMK_KIND_HUGE;
 *	if (tmk_region_create(&r, 64 << 20, &opts))
 *		errx(1, "%s", tmk_error_last());
 *	memset(tmk_region_data(r), 1, tmk_region_bytes(r));
 *	tmk_region_put(r);
 */
#ifndef TMK_REGION_H
#define TMK_REGION_H

#include <tmk/base.h>

struct tmk_region;

/* What a region is made of. */
enum tmk_kind {
	TMK_KIND_PINNED = 1, /* base pages, in RAM, never swapped */
	TMK_KIND_HUGE = 2, /* the same with 2 MiB pages */
	TMK_KIND_HUGETLB = 3, /* pages of the system's hugetlb pools */
	TMK_KIND_FILE = 4, /* a file, mapped */
};
#define TMK_KIND_NR 5

/* Fail with -ENOMEM rather than take smaller pages than asked for. */
#define TMK_REGION_F_REQUIRE (1u << 0)
/* Parts can be given back: tmk_region_trim(). For pinned and huge regions. */
#define TMK_REGION_F_TRIM (1u << 1)
/* Not for creating: it was imported and can only be read. */
#define TMK_REGION_F_READONLY (1u << 2)

#define TMK_NODE_ANY (-1)

/**
 * struct tmk_region_opts - what kind of region
 * @opts_size: sizeof(struct tmk_region_opts), set by TMK_REGION_OPTS_INIT
 * @kind: default TMK_KIND_HUGE
 * @flags: TMK_REGION_F_*
 * @page_bytes: page size, 0 = the kind's own
 * @node: NUMA node, default TMK_NODE_ANY
 * @name: for people, at most TMK_NAME_BYTES - 1 printable characters; or NULL
 * @path: TMK_KIND_FILE: the file, made if it is not there and kept; one that is not
 *	empty must be large enough and is left as it is. NULL: an unnamed one in
 *	TMPDIR or /tmp
 */
struct tmk_region_opts {
	size_t opts_size;
	enum tmk_kind kind;
	uint32_t flags;
	uint64_t page_bytes;
	int32_t node;
	const char *name;
	const char *path;
};
#ifdef __cplusplus
static inline struct tmk_region_opts tmk__region_opts_init(void)
{
	struct tmk_region_opts opts = {};

	opts.opts_size = sizeof(opts);
	opts.kind = TMK_KIND_HUGE;
	opts.node = TMK_NODE_ANY;
	return opts;
}
#define TMK_REGION_OPTS_INIT tmk__region_opts_init()
#else
#define TMK_REGION_OPTS_INIT                                 \
	{                                                    \
		.opts_size = sizeof(struct tmk_region_opts), \
		.kind = TMK_KIND_HUGE, .node = TMK_NODE_ANY  \
	}
#endif

/**
 * struct tmk_region_info - what was really obtained
 * @kind: as created
 * @flags: as created, and TMK_REGION_F_READONLY
 * @node: as created
 * @bytes: length after rounding, which is what is charged
 * @physical_bytes: the part that occupies RAM
 * @bytes_4k: bytes in base pages
 * @bytes_large: bytes in pages between the base page and 2 MiB
 * @bytes_2m: bytes in 2 MiB pages
 * @bytes_1g: bytes in 1 GiB pages
 * @cgroup_id: the cgroup that is charged, 0 where the kernel does not say
 * @name: as created
 */
struct tmk_region_info {
	enum tmk_kind kind;
	uint32_t flags;
	int32_t node;
	uint64_t bytes;
	uint64_t physical_bytes;
	uint64_t bytes_4k;
	uint64_t bytes_large;
	uint64_t bytes_2m;
	uint64_t bytes_1g;
	uint64_t cgroup_id;
	char name[TMK_NAME_BYTES];
};

/**
 * tmk_region_create() - make a region: charged, populated, zeroed and mapped
 * @out: the region, with one reference
 * @bytes: how much, not 0; rounded up to the page size
 * @opts: options or NULL for huge pages where they can be had
 *
 * The process limit is charged first, then the backend's. Thread-safe.
 *
 * Return: 0; -EINVAL for bad options; -EOVERFLOW if @bytes cannot be rounded up;
 * -ENOMEM if the process limit, memory.max, RLIMIT_MEMLOCK or the machine
 * refuses, or if huge pages were required and cannot be had; -EDQUOT if a tmk
 * limit of a cgroup refuses; -EOPNOTSUPP if the backend has no such kind or
 * cannot choose a node; or as tmk_open(). Nothing has changed then. After a
 * refusal tmk_refusal_last() has the numbers.
 */
TMK_API TMK_MUST_CHECK int tmk_region_create(struct tmk_region **out,
					     size_t bytes,
					     const struct tmk_region_opts *opts);

/**
 * tmk_region_import() - map a region from a descriptor that another process
 * passed
 * @out: the region, with one reference
 * @fd: the descriptor; duplicated, the caller keeps its own
 *
 * Its creator stays charged for the RAM. The process ledger counts it in all
 * bytes, as it counts what it maps, and not in those that occupy RAM. One whose
 * descriptor can only be read, or that is sealed, is mapped to be read.
 *
 * Return: 0; -EBADF; -EINVAL if it is not a region of this backend; -ENOMEM if
 * the process limit refuses or, for a pinned region of the user backend,
 * RLIMIT_MEMLOCK; or as tmk_open().
 */
TMK_API TMK_MUST_CHECK int tmk_region_import(struct tmk_region **out, int fd);

/** tmk_region_get() - take a reference. Return: @region. Thread-safe. */
TMK_API struct tmk_region *tmk_region_get(struct tmk_region *region);

/** tmk_region_put() - drop a reference; the last one unmaps. NULL is allowed. */
TMK_API void tmk_region_put(struct tmk_region *region);

/**
 * tmk_region_trim() - give the memory of a part of a region back
 * @out: bytes that went back, 0 if all of it had before; or NULL
 * @region: created with TMK_REGION_F_TRIM
 * @offset: first byte, a multiple of the region's page size
 * @bytes: how many, a multiple of it
 *
 * They are not in RAM any more, and are charged as such to nobody: not by the
 * process limit on bytes in RAM, nor by the module. They stay reserved: limits on
 * all bytes count them as before. What they held is lost. Until tmk_region_fill()
 * they cannot be accessed where @region is mapped: touching them is SIGSEGV.
 *
 * Whoever else has the region mapped (a child that was there before, an importer)
 * finds zeros there, and fills what it touches. The module charges that,
 * and has it end in SIGBUS where it is refused; no process limit sees it.
 *
 * Return: 0; -EBUSY if a device, io_uring or a dma-buf has some of it, which the
 * user backend does not notice; -EOPNOTSUPP without TMK_REGION_F_TRIM; -EACCES if
 * it can only be read; -EPERM if it is sealed; -EINVAL; -ENOMEM. Nothing has
 * changed then.
 */
TMK_API int tmk_region_trim(uint64_t *out, struct tmk_region *region,
			    size_t offset, size_t bytes);

/**
 * tmk_region_fill() - have memory again where it was given back
 * @region: created with TMK_REGION_F_TRIM
 * @offset: first byte, a multiple of the region's page size
 * @bytes: how many, a multiple of it
 *
 * What was not given back is left alone. The rest is charged, populated and
 * accessible, as by tmk_region_create(), and waits for room as that does. It is
 * zero unless somebody else wrote there meanwhile.
 *
 * Return: as tmk_region_create() or tmk_region_trim().
 */
TMK_API TMK_MUST_CHECK int tmk_region_fill(struct tmk_region *region,
					   size_t offset, size_t bytes);

/**
 * tmk_region_dmabuf() - a region's memory as a dma-buf
 * @out: a descriptor of the dma-buf, close-on-exec, the caller's
 * @region: pinned or huge; what was given back of it is filled before
 *
 * Memory and its charge to the cgroup last as long as the region or the dma-buf.
 * The process ledger counts it until tmk_region_put().
 *
 * Return: 0; -EOPNOTSUPP for other kinds, or if the backend has none; -EACCES;
 * -EPERM if it is sealed; -EMFILE; or as tmk_region_fill().
 */
TMK_API TMK_MUST_CHECK int tmk_region_dmabuf(int *out,
					     struct tmk_region *region);

/**
 * tmk_region_readonly() - a descriptor through which a region can only be read
 * @out: the descriptor, close-on-exec, the caller's
 * @region: pinned or huge
 *
 * From the first one on nobody opens the region for writing by way of /proc.
 *
 * Return: 0; -EOPNOTSUPP for other kinds, or if the backend cannot see to that;
 * -EMFILE.
 */
TMK_API TMK_MUST_CHECK int tmk_region_readonly(int *out,
					       const struct tmk_region *region);

/**
 * tmk_region_seal() - have nobody map a region writable any more
 * @region: pinned or huge
 *
 * For ever. Mappings that exist, @region's among them, stay as they are. Nothing
 * of it can be given back any more.
 *
 * Return: 0; -EOPNOTSUPP for other kinds; -EACCES if it can only be read.
 */
TMK_API int tmk_region_seal(const struct tmk_region *region);

/** tmk_region_data() - where it is mapped, readable and writable */
TMK_API void *tmk_region_data(const struct tmk_region *region);

/** tmk_region_bytes() - its length in bytes */
TMK_API size_t tmk_region_bytes(const struct tmk_region *region);

/** tmk_region_fd() - its descriptor, owned by the region, to pass on */
TMK_API int tmk_region_fd(const struct tmk_region *region);

/** tmk_region_info() - ask what was really obtained. Return: 0 or -errno. */
TMK_API int tmk_region_info(struct tmk_region_info *out,
			    const struct tmk_region *region);

/** tmk_kind_name() - "pinned", "huge", "hugetlb", "file", or "?" */
TMK_API const char *tmk_kind_name(enum tmk_kind kind);

#endif /* TMK_REGION_H */
