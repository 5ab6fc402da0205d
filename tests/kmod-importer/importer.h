/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the importer and its test say to each other. For tests only.
 */
#ifndef TMK_TESTS_IMPORTER_H
#define TMK_TESTS_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Import a dma-buf; one for each open file of the importer. */
struct tmk_importer_attach {
	__s32 fd;
	__u32 segment_max; /* bytes that the device takes at once */
	__u32 segments; /* out */
	__u32 longest; /* out: bytes of the longest segment */
	__u64 bytes; /* out: bytes of all segments */
	__u32 quiet; /* not 0: without the core, which warns when a vmap fails */
	__u32 reserved;
};

/* Look at the memory, and change it, as the device and as the processor. */
struct tmk_importer_access {
	__u64 offset;
	__u64 device_saw; /* out: through the segments */
	__u64 vmap_saw; /* out: through dma_buf_vmap() */
	__u64 value; /* written, if write is not 0 */
	__u32 write; /* 1: through the segments, 2: through the vmap */
	__u32 reserved;
};

#define TMK_IMPORTER_ATTACH _IOWR('t', 1, struct tmk_importer_attach)
#define TMK_IMPORTER_ACCESS _IOWR('t', 2, struct tmk_importer_access)
#define TMK_IMPORTER_DETACH _IO('t', 3)

#endif /* TMK_TESTS_IMPORTER_H */
