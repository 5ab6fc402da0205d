/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/* Copyright (c) 2026 the tmk authors */
#ifndef _UAPI_LINUX_TMK_H
#define _UAPI_LINUX_TMK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: General ioctl format
 *
 * Commands are issued on /dev/tmk or, where said so, on the region file
 * descriptors that it hands out. Each passes a pointer to a structure whose
 * first member is its size in bytes as the caller knows it:
 *
 *  - shorter than the first published version: -EINVAL;
 *  - longer than the kernel knows: allowed as long as the unknown tail is
 *    zero and the whole is no longer than a page, -E2BIG otherwise;
 *  - structures grow by appending members, never in another way.
 *
 * Members named ``out_*`` are written by the kernel and ignored on input, all
 * others are read. Reserved members and unknown flag bits must be zero. The
 * layout is the same for 64-bit and compat callers and has no holes. Which
 * kinds and features exist is asked from TMK_IOC_INFO; a program tests bits,
 * never a kernel version.
 *
 * Error codes, the same for every command:
 *
 *  - ENOTTY: no such command on this kind of file descriptor;
 *  - E2BIG: unknown members at the end of the structure are not zero, or it is
 *    longer than a page;
 *  - EOPNOTSUPP: the command, kind or feature is defined but this module does
 *    not offer it, or not for this region;
 *  - EBUSY: somebody needs the memory to stay;
 *  - EINVAL: a member is understood and its value makes no sense;
 *  - EOVERFLOW: a size cannot be represented after rounding;
 *  - EFAULT: the structure is not readable or writable;
 *  - EDQUOT: a tmk limit refused (see out_refusal in the structure);
 *  - ENOMEM: memory.max or the machine's free memory refused (dito);
 *  - EINTR: a fatal signal arrived, everything was undone;
 *  - EACCES: the descriptor can only be read and the command needs to write;
 *  - EPERM: the region is sealed;
 *  - EBADF, ENOSPC, EFBIG: of the file behind TMK_IOC_KIND_FILE;
 *  - EMFILE, ENFILE: no file descriptor or file could be had.
 *
 * Every command either succeeds or changes nothing.
 *
 * /dev/tmk can be polled. EPOLLIN: since the last TMK_IOC_REGION_CREATE or
 * TMK_IOC_USAGE on this descriptor a limit of the caller's group or of an
 * ancestor that had refused somebody has room again. EPOLLPRI: since it was
 * opened or the last TMK_IOC_USAGE such a limit refused somebody.
 */

#define TMK_IOC_TYPE 0xE7

/* The ABI generation. It changes only if an existing program would break. */
#define TMK_IOC_ABI_VERSION 1

enum {
	TMK_IOC_NR_BASE = 0x80,
	TMK_IOC_NR_INFO = TMK_IOC_NR_BASE,
	TMK_IOC_NR_REGION_CREATE,
	TMK_IOC_NR_REGION_INFO,
	TMK_IOC_NR_REGION_DMABUF,
	TMK_IOC_NR_REGION_TRIM,
	TMK_IOC_NR_USAGE,
	TMK_IOC_NR_REGION_READONLY,
	TMK_IOC_NR_REGION_SEAL,
};

/* Length of a region's name, its terminating NUL included. */
#define TMK_IOC_NAME_LEN 32

/**
 * enum tmk_ioc_kind - what a region is made of
 * @TMK_IOC_KIND_PINNED: base pages, populated at creation, never swapped or
 *	moved
 * @TMK_IOC_KIND_HUGE: the same with 2 MiB pages
 * @TMK_IOC_KIND_HUGETLB: 2 MiB or 1 GiB pages from the system's hugetlb pools
 * @TMK_IOC_KIND_FILE: a regular file of the caller's, mapped through
 */
enum tmk_ioc_kind {
	TMK_IOC_KIND_PINNED = 1,
	TMK_IOC_KIND_HUGE = 2,
	TMK_IOC_KIND_HUGETLB = 3,
	TMK_IOC_KIND_FILE = 4,
};

/**
 * enum tmk_ioc_feature - bits of &tmk_ioc_info.out_features
 * @TMK_IOC_FEATURE_REFUSAL: a refused TMK_IOC_REGION_CREATE says what refused
 * @TMK_IOC_FEATURE_CGROUP: charges are per cgroup v2 group (otherwise the
 *	machine's totals are all there is)
 * @TMK_IOC_FEATURE_POPULATE_OWN: regions are filled with folios that the
 *	module clears once by itself; otherwise shmem fills them
 * @TMK_IOC_FEATURE_TRIM: TMK_IOC_REGION_TRIM is there
 * @TMK_IOC_FEATURE_DMABUF: TMK_IOC_REGION_DMABUF is there
 * @TMK_IOC_FEATURE_SEAL: TMK_IOC_REGION_READONLY and TMK_IOC_REGION_SEAL are
 *	there
 * @TMK_IOC_FEATURE_POLL: /dev/tmk can be polled
 */
enum tmk_ioc_feature {
	TMK_IOC_FEATURE_REFUSAL = 1 << 0,
	TMK_IOC_FEATURE_CGROUP = 1 << 1,
	TMK_IOC_FEATURE_POPULATE_OWN = 1 << 2,
	TMK_IOC_FEATURE_TRIM = 1 << 3,
	TMK_IOC_FEATURE_DMABUF = 1 << 4,
	TMK_IOC_FEATURE_SEAL = 1 << 5,
	TMK_IOC_FEATURE_POLL = 1 << 6,
};

/**
 * struct tmk_ioc_info - ioctl(TMK_IOC_INFO) on /dev/tmk
 * @size: sizeof(struct tmk_ioc_info)
 * @flags: must be 0
 * @out_abi_version: TMK_IOC_ABI_VERSION of the module
 * @out_kinds: bit 1 << TMK_IOC_KIND_x for each kind that can be created
 * @out_features: enum tmk_ioc_feature bits
 * @out_page_sizes: the page sizes that regions may have, in bytes, OR-ed
 * @out_max: the machine's limit on all bytes; U64_MAX means none
 * @out_physical_max: the machine's limit on bytes that occupy RAM
 * @out_total_ram: bytes of RAM that the kernel manages
 * @out_version: the module's version, NUL-terminated
 */
struct tmk_ioc_info {
	__u32 size;
	__u32 flags;
	__u32 out_abi_version;
	__u32 out_kinds;
	__aligned_u64 out_features;
	__aligned_u64 out_page_sizes;
	__aligned_u64 out_max;
	__aligned_u64 out_physical_max;
	__aligned_u64 out_total_ram;
	__u8 out_version[TMK_IOC_NAME_LEN];
};

#define TMK_IOC_INFO _IO(TMK_IOC_TYPE, TMK_IOC_NR_INFO)

/**
 * enum tmk_ioc_region_flags - flags of &struct tmk_ioc_region_create
 * @TMK_IOC_REGION_F_REQUIRE: fail with -ENOMEM where a page of the asked size
 *	cannot be had; without it a smaller page is taken and reported
 * @TMK_IOC_REGION_F_TRIM: TMK_IOC_REGION_TRIM works on the region, which is to
 *	be PINNED or HUGE. Its mappings cannot grow by mremap(2), userfaultfd does
 *	not take them, nor does io_uring as registered buffers before Linux 6.2
 */
enum tmk_ioc_region_flags {
	TMK_IOC_REGION_F_REQUIRE = 1 << 0,
	TMK_IOC_REGION_F_TRIM = 1 << 1,
};

/**
 * enum tmk_ioc_refusal - what refused a region
 * @TMK_IOC_REFUSAL_NONE: nothing did, or the reason is in the errno alone
 * @TMK_IOC_REFUSAL_MAX: ``max`` of the group in out_refusal_cgroup
 * @TMK_IOC_REFUSAL_PHYSICAL_MAX: ``physical_max`` of that group
 * @TMK_IOC_REFUSAL_MEMCG: ``memory.max`` of that group
 * @TMK_IOC_REFUSAL_MEMORY: the machine has not that much memory available
 * @TMK_IOC_REFUSAL_HUGE: memory is there but no contiguous page of the asked
 *	size, and TMK_IOC_REGION_F_REQUIRE was set
 * @TMK_IOC_REFUSAL_POOL: the machine's pool of hugetlb pages of the asked size
 *	has not that many free; out_refusal_limit is the size of the pool
 * @TMK_IOC_REFUSAL_HUGETLB_MAX: ``hugetlb.<size>.max`` of the caller's group or
 *	of an ancestor; which one and its figures are not known
 */
enum tmk_ioc_refusal {
	TMK_IOC_REFUSAL_NONE = 0,
	TMK_IOC_REFUSAL_MAX = 1,
	TMK_IOC_REFUSAL_PHYSICAL_MAX = 2,
	TMK_IOC_REFUSAL_MEMCG = 3,
	TMK_IOC_REFUSAL_MEMORY = 4,
	TMK_IOC_REFUSAL_HUGE = 5,
	TMK_IOC_REFUSAL_POOL = 6,
	TMK_IOC_REFUSAL_HUGETLB_MAX = 7,
};

/* &tmk_ioc_region_create.node: no preference, the task's policy decides. */
#define TMK_IOC_NODE_ANY (-1)

/**
 * struct tmk_ioc_region_create - ioctl(TMK_IOC_REGION_CREATE) on /dev/tmk
 * @size: sizeof(struct tmk_ioc_region_create)
 * @flags: enum tmk_ioc_region_flags
 * @length: bytes wanted, not 0; rounded up to the kind's page size
 * @page_size: page size in bytes, or 0 for the kind's own (base pages for
 *	PINNED and FILE, 2 MiB for HUGE and HUGETLB; HUGETLB takes 1 GiB, too)
 * @kind: enum tmk_ioc_kind
 * @node: NUMA node, or TMK_IOC_NODE_ANY, which is all that HUGETLB and FILE
 *	take
 * @backing_fd: the file of TMK_IOC_KIND_FILE; -1 for all other kinds
 * @out_fd: the region's file descriptor, close-on-exec
 * @name: for people, NUL-terminated printable ASCII, may be empty
 * @out_length: the length after rounding, which is what was charged
 * @out_refusal: enum tmk_ioc_refusal; written on -EDQUOT and -ENOMEM as well
 * @__reserved: must be 0
 * @out_refusal_cgroup: id of the group whose limit refused, 0 if none did
 * @out_refusal_used: bytes in use under the limit that refused
 * @out_refusal_limit: that limit
 *
 * The region is populated with zeroed memory before the command returns and is
 * charged to the caller's cgroup until its last file descriptor, mapping and
 * pin is gone. The descriptor can be mapped with MAP_SHARED, passed on and
 * inherited; it cannot be resized, written to or mapped MAP_PRIVATE.
 *
 * A region of TMK_IOC_KIND_FILE is the first @length bytes of a file that is
 * open for reading and writing. Their space is reserved, and a shorter file
 * grows to @length; nothing that it holds is cleared. It is charged to
 * ``current`` only, for as long as a descriptor or mapping of the region is
 * there.
 */
struct tmk_ioc_region_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	__aligned_u64 page_size;
	__u32 kind;
	__s32 node;
	__s32 backing_fd;
	__s32 out_fd;
	__u8 name[TMK_IOC_NAME_LEN];
	__aligned_u64 out_length;
	__u32 out_refusal;
	__u32 __reserved;
	__aligned_u64 out_refusal_cgroup;
	__aligned_u64 out_refusal_used;
	__aligned_u64 out_refusal_limit;
};

#define TMK_IOC_REGION_CREATE _IO(TMK_IOC_TYPE, TMK_IOC_NR_REGION_CREATE)

/**
 * struct tmk_ioc_region_info - ioctl(TMK_IOC_REGION_INFO) on a region
 * @size: sizeof(struct tmk_ioc_region_info)
 * @flags: must be 0
 * @out_kind: enum tmk_ioc_kind
 * @out_flags: the flags it was created with
 * @out_node: the NUMA node it was created with
 * @__reserved: must be 0
 * @out_id: number of the region, never used again while the module is loaded
 * @out_cgroup_id: the group that is charged: the inode number of its directory
 * @out_length: bytes
 * @out_page_size: page size that was asked for
 * @out_charged: bytes charged to ``current``
 * @out_physical: bytes charged to ``physical_current``
 * @out_bytes_4k: bytes really held in base pages
 * @out_bytes_large: bytes held in pages between the base page and 2 MiB
 * @out_bytes_2m: bytes held in 2 MiB pages
 * @out_bytes_1g: bytes held in 1 GiB pages
 * @out_name: the name it was created with
 */
struct tmk_ioc_region_info {
	__u32 size;
	__u32 flags;
	__u32 out_kind;
	__u32 out_flags;
	__s32 out_node;
	__u32 __reserved;
	__aligned_u64 out_id;
	__aligned_u64 out_cgroup_id;
	__aligned_u64 out_length;
	__aligned_u64 out_page_size;
	__aligned_u64 out_charged;
	__aligned_u64 out_physical;
	__aligned_u64 out_bytes_4k;
	__aligned_u64 out_bytes_large;
	__aligned_u64 out_bytes_2m;
	__aligned_u64 out_bytes_1g;
	__u8 out_name[TMK_IOC_NAME_LEN];
};

#define TMK_IOC_REGION_INFO _IO(TMK_IOC_TYPE, TMK_IOC_NR_REGION_INFO)

/**
 * struct tmk_ioc_region_dmabuf - ioctl(TMK_IOC_REGION_DMABUF) on a region
 * @size: sizeof(struct tmk_ioc_region_dmabuf)
 * @flags: must be 0
 * @out_fd: a dma-buf of the whole region, close-on-exec
 * @__reserved: must be 0
 *
 * The region is to be PINNED or HUGE (-EOPNOTSUPP otherwise). Holes that
 * TMK_IOC_REGION_TRIM left are charged and filled. Devices get the longest
 * contiguous segments that they take. Memory and charge last as long as the last
 * of descriptors, mappings and dma-bufs; while there is a dma-buf or a device
 * that has it, nothing of the region can be trimmed.
 */
struct tmk_ioc_region_dmabuf {
	__u32 size;
	__u32 flags;
	__s32 out_fd;
	__u32 __reserved;
};

#define TMK_IOC_REGION_DMABUF _IO(TMK_IOC_TYPE, TMK_IOC_NR_REGION_DMABUF)

/**
 * struct tmk_ioc_region_trim - ioctl(TMK_IOC_REGION_TRIM) on a region
 * @size: sizeof(struct tmk_ioc_region_trim)
 * @flags: must be 0
 * @offset: first byte, a multiple of the region's page size
 * @length: bytes, a multiple of the region's page size
 * @out_trimmed: bytes whose memory went back; 0 if there was none to give
 *
 * The region is to be created with TMK_IOC_REGION_F_TRIM (-EOPNOTSUPP
 * otherwise). The range reads as zero from now on, in every mapping, and
 * ``physical_current`` goes down by @out_trimmed; ``current`` does not, the bytes
 * stay reserved. Touching the range charges and fills it again, a page of the
 * region's page size at a time; where ``physical_max``, memory.max or the
 * machine's free memory refuses that, the access gets SIGBUS. read(2) sees the
 * zeros and fills nothing.
 *
 * -EBUSY if a page of the range is pinned (io_uring, a device) or the region is
 * exported as a dma-buf; nothing has changed then.
 */
struct tmk_ioc_region_trim {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 out_trimmed;
};

#define TMK_IOC_REGION_TRIM _IO(TMK_IOC_TYPE, TMK_IOC_NR_REGION_TRIM)

/**
 * struct tmk_ioc_usage - ioctl(TMK_IOC_USAGE) on /dev/tmk
 * @size: sizeof(struct tmk_ioc_usage)
 * @flags: must be 0
 * @out_cgroup_id: the caller's group: the inode number of its directory
 * @out_current: all bytes charged to the group and its descendants
 * @out_peak: the highest @out_current since the group is known to tmk
 * @out_max: the group's own limit on @out_current; U64_MAX means none
 * @out_physical_current: bytes that occupy RAM
 * @out_physical_peak: the highest @out_physical_current
 * @out_physical_max: the group's own limit on @out_physical_current
 * @out_tight_cgroup: of the group and its ancestors, the one with the least
 *	room under ``max``; 0 if none has such a limit
 * @out_tight_current: ``current`` of that group
 * @out_tight_max: ``max`` of that group; U64_MAX if there is none
 * @out_physical_tight_cgroup: the same for ``physical_max``
 * @out_physical_tight_current: ``physical_current`` of that group
 * @out_physical_tight_max: ``physical_max`` of that group
 *
 * A group that never charged anything reads as 0 with no limit.
 */
struct tmk_ioc_usage {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_cgroup_id;
	__aligned_u64 out_current;
	__aligned_u64 out_peak;
	__aligned_u64 out_max;
	__aligned_u64 out_physical_current;
	__aligned_u64 out_physical_peak;
	__aligned_u64 out_physical_max;
	__aligned_u64 out_tight_cgroup;
	__aligned_u64 out_tight_current;
	__aligned_u64 out_tight_max;
	__aligned_u64 out_physical_tight_cgroup;
	__aligned_u64 out_physical_tight_current;
	__aligned_u64 out_physical_tight_max;
};

#define TMK_IOC_USAGE _IO(TMK_IOC_TYPE, TMK_IOC_NR_USAGE)

/**
 * struct tmk_ioc_region_readonly - ioctl(TMK_IOC_REGION_READONLY) on a region
 * @size: sizeof(struct tmk_ioc_region_readonly)
 * @flags: must be 0
 * @out_fd: a descriptor of the same region that can only be read, close-on-exec
 * @__reserved: must be 0
 *
 * It cannot be mapped writable, nor be used to change the region. From then on
 * opening any descriptor of the region through /proc/PID/fd for writing fails
 * with -EACCES, for whoever tries; descriptors and mappings that exist are not
 * touched.
 */
struct tmk_ioc_region_readonly {
	__u32 size;
	__u32 flags;
	__s32 out_fd;
	__u32 __reserved;
};

#define TMK_IOC_REGION_READONLY _IO(TMK_IOC_TYPE, TMK_IOC_NR_REGION_READONLY)

/**
 * enum tmk_ioc_seals - bits of &struct tmk_ioc_region_seal
 * @TMK_IOC_SEAL_FUTURE_WRITE: nobody maps the region writable, opens it for
 *	writing or changes it by a command any more (-EPERM); mappings that exist
 *	stay as they are. The same as F_SEAL_FUTURE_WRITE of memfd
 */
enum tmk_ioc_seals {
	TMK_IOC_SEAL_FUTURE_WRITE = 1 << 0,
};

/**
 * struct tmk_ioc_region_seal - ioctl(TMK_IOC_REGION_SEAL) on a region
 * @size: sizeof(struct tmk_ioc_region_seal)
 * @flags: must be 0
 * @seals: enum tmk_ioc_seals to add; 0 only asks
 * @out_seals: all seals of the region
 *
 * Seals are for ever. Adding one needs a descriptor that can be written.
 */
struct tmk_ioc_region_seal {
	__u32 size;
	__u32 flags;
	__u32 seals;
	__u32 out_seals;
};

#define TMK_IOC_REGION_SEAL _IO(TMK_IOC_TYPE, TMK_IOC_NR_REGION_SEAL)

#endif /* _UAPI_LINUX_TMK_H */
