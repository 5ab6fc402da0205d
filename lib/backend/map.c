// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Mappings of regions: aligned to their page size, with an inaccessible page on
 * either side that catches overruns.
 */
#define _GNU_SOURCE /* F_GET_SEALS, mincore(), mremap() */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* So many pages are asked about at once. */
#define LOOK_PAGES 512

/* Address space, inaccessible as yet, with its guards around it. */
static int map_reserve(void **out, uint64_t bytes, uint64_t align)
{
	uint64_t guard = tmk__page_bytes();
	uint64_t room = bytes + align + 2 * guard;
	uintptr_t begin, data, end;
	char *p;

	tmk__calls_add(3);
	if (room < bytes)
		return -ENOMEM;
	p = tmk__fault("reserve") ?
		    MAP_FAILED :
		    mmap(NULL, room, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	begin = (uintptr_t)p;
	data = TMK__ALIGN_UP(begin + guard, align);
	end = data + bytes + guard;
	if (data - guard > begin)
		munmap(p, data - guard - begin);
	if (begin + room > end)
		munmap((void *)end, begin + room - end);
	*out = (void *)data;
	return 0;
}

/**
 * tmk__map_release() - unmap a region, guards and all
 * @data: where it is mapped
 * @bytes: its length
 */
void tmk__map_release(void *data, uint64_t bytes)
{
	uint64_t guard = tmk__page_bytes();

	tmk__calls_add(1);
	munmap((char *)data - guard, bytes + 2 * guard);
}

/**
 * tmk__map_fd() - map a descriptor whole
 * @out: where
 * @fd: the descriptor
 * @bytes: its length, a multiple of the page size
 * @align: a power of two, at least the page size
 * @prot: PROT_*
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__map_fd(void **out, int fd, uint64_t bytes, uint64_t align, int prot)
{
	void *data = NULL;
	int err;

	err = map_reserve(&data, bytes, align);
	if (err)
		return tmk__error(err,
				  "no address space for a region of %" PRIu64
				  " bytes: %s",
				  bytes, strerror(-err));
	tmk__calls_add(1);
	if (tmk__fault("mmap") ||
	    mmap(data, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED) {
		err = tmk__error(-errno,
				 "cannot map a region of %" PRIu64 " bytes: %s",
				 bytes, strerror(errno));
		tmk__map_release(data, bytes);
		return err;
	}
	*out = data;
	return 0;
}

/* Into address space that somebody else reserved. */
static int map_at(struct tmk__backend_region *region)
{
	tmk__calls_add(1);
	if (tmk__fault("mmap") ||
	    mmap(region->at, region->bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, region->fd, 0) == MAP_FAILED)
		return tmk__error(-errno,
				  "cannot map a region of %" PRIu64
				  " bytes: %s",
				  region->bytes, strerror(errno));
	region->data = region->at;
	return 0;
}

/**
 * tmk__map_region() - map what @region->fd is, where @region->at says
 * @region: data is filled in
 * @align: a power of two, at least the page size; for a place of our own choice
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__map_region(struct tmk__backend_region *region, uint64_t align)
{
	if (region->at)
		return map_at(region);
	return tmk__map_fd(&region->data, region->fd, region->bytes, align,
			   region->readonly ? PROT_READ :
					      PROT_READ | PROT_WRITE);
}

/**
 * tmk__map_none() - have nothing mapped in address space that is reserved
 * @at: where it begins
 * @bytes: its length
 *
 * Return: 0; -ENOMEM, and it is as it was.
 */
int tmk__map_none(void *at, uint64_t bytes)
{
	tmk__calls_add(1);
	if (mmap(at, bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return -ENOMEM;
	return 0;
}

/**
 * tmk__unmap_region() - the reverse; the address space goes back to its owner
 * @region: as mapped
 */
void tmk__unmap_region(const struct tmk__backend_region *region)
{
	if (!region->at)
		tmk__map_release(region->data, region->bytes);
	/* Where even that fails the memory goes, and the place stays used. */
	else if (tmk__map_none(region->at, region->bytes))
		(void)madvise(region->at, region->bytes, MADV_REMOVE);
}

static int populate(void *data, uint64_t bytes, int advice)
{
	int err = 0;

	tmk__calls_add(1);
	do {
		if (tmk__fault("populate") || madvise(data, bytes, advice))
			err = errno;
		else
			return 0;
	} while (err == EINTR || err == EAGAIN);
	if (err == EINVAL)
		return tmk__error(-EOPNOTSUPP,
				  "memory cannot be populated here: that needs "
				  "Linux 5.14 or newer");
	/* EFAULT is what a page that would be a SIGBUS comes out as. */
	return tmk__error(-ENOMEM,
			  "no memory to populate a region of %" PRIu64
			  " bytes: %s",
			  bytes, strerror(err));
}

/**
 * tmk__map_populate() - have every page there and mapped, without any signal
 * @data: a shared writable mapping
 * @bytes: its length
 *
 * Where memory cannot be had this fails, and a plain touch would not: it would
 * be a SIGBUS.
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP on a kernel before 5.14; with a sentence.
 */
int tmk__map_populate(void *data, uint64_t bytes)
{
	return populate(data, bytes, MADV_POPULATE_WRITE);
}

/*
 * A second mapping of what is mapped, without a descriptor. Where it is refused
 * nothing is unmapped at @at, as the kernel might if it were told to go there at
 * once: somebody else's mapping could be there before we know.
 */
static int map_twice(const struct tmk__backend_region *region, uint64_t offset,
		     uint64_t bytes, void *at)
{
	void *p;

	tmk__calls_add(2);
	p = tmk__fault("alias") ? MAP_FAILED :
				  mremap((char *)region->data + offset, 0,
					 bytes, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return -errno;
	/* The first mapping's lock keeps the pages; this is not to count again. */
	if (region->locked)
		tmk__unlock(p, bytes);
	if (mremap(p, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) ==
	    MAP_FAILED) {
		int err = -errno;

		munmap(p, bytes);
		return err;
	}
	return 0;
}

/**
 * tmk__map_alias() - have a part of a region at a second address, populated
 * @region: mapped
 * @offset: of the part
 * @bytes: its length
 * @at: where, in address space that the caller reserved
 *
 * Return: 0, or a negative errno with a sentence; what is at @at may have changed.
 */
int tmk__map_alias(const struct tmk__backend_region *region, uint64_t offset,
		   uint64_t bytes, void *at)
{
	int err = map_twice(region, offset, bytes, at);

	if (err)
		return tmk__error(err,
				  "cannot map %" PRIu64
				  " bytes of a region again: %s",
				  bytes, strerror(-err));
	/* What is there is mapped several pages at a time if it is only read. */
	tmk__calls_add(1);
	(void)madvise(at, bytes, MADV_POPULATE_READ);
	return tmk__map_populate(at, bytes);
}

/* What is in RAM of a region that may have holes, and no hole is filled. */
static void look_between_holes(const struct tmk__backend_region *region)
{
	uint64_t page = tmk__page_bytes(), at, nr, i, end;
	unsigned char there[LOOK_PAGES];
	char *data;

	for (at = 0; at < region->bytes; at += nr * page) {
		data = (char *)region->data + at;
		nr = TMK__MIN((region->bytes - at) / page, LOOK_PAGES);
		tmk__calls_add(2);
		if (mincore(data, nr * page, there))
			return;
		for (i = 0; i < nr; i = end) {
			end = i + 1;
			while (end < nr && !((there[end] ^ there[i]) & 1))
				end++;
			/* What is hidden here and filled by others stays so. */
			if (there[i] & 1)
				(void)madvise(data + i * page, (end - i) * page,
					      MADV_POPULATE_READ);
		}
	}
}

/**
 * tmk__map_look() - have the pages of a region mapped that are there
 * @region: mapped
 *
 * Return: 0, or as tmk__map_populate().
 */
int tmk__map_look(const struct tmk__backend_region *region)
{
	if (region->flags & TMK_REGION_F_TRIM) {
		look_between_holes(region);
		return 0;
	}
	return populate(region->data, region->bytes,
			region->readonly ? MADV_POPULATE_READ :
					   MADV_POPULATE_WRITE);
}

static int protect(const struct tmk__backend_region *region, uint64_t offset,
		   uint64_t bytes, int prot)
{
	tmk__calls_add(1);
	if (tmk__fault("mprotect") ||
	    mprotect((char *)region->data + offset, bytes, prot))
		return tmk__error(-errno,
				  "cannot change the protection of %" PRIu64
				  " bytes of a region: %s",
				  bytes, strerror(errno));
	return 0;
}

/**
 * tmk__map_hide() - have a part of a region inaccessible
 * @region: mapped
 * @offset: of the part
 * @bytes: its length
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__map_hide(const struct tmk__backend_region *region, uint64_t offset,
		  uint64_t bytes)
{
	return protect(region, offset, bytes, PROT_NONE);
}

/**
 * tmk__map_show() - have it accessible again
 * @region: mapped
 * @offset: of the part
 * @bytes: its length
 *
 * Return: 0, or a negative errno with a sentence.
 */
int tmk__map_show(const struct tmk__backend_region *region, uint64_t offset,
		  uint64_t bytes)
{
	return protect(region, offset, bytes, PROT_READ | PROT_WRITE);
}

/**
 * tmk__map_is_readonly() - can a region's descriptor be mapped to be read only?
 * @fd: the descriptor
 *
 * Return: true if so: it is open for reading, or the region is sealed.
 */
bool tmk__map_is_readonly(int fd)
{
	int mode, seals;

	tmk__calls_add(2);
	mode = fcntl(fd, F_GETFL);
	seals = fcntl(fd, F_GET_SEALS);
	return (mode >= 0 && (mode & O_ACCMODE) == O_RDONLY) ||
	       (seals >= 0 && seals & F_SEAL_FUTURE_WRITE);
}
