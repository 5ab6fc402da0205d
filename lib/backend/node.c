// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The NUMA node of a memfd's memory: a policy on the mapping, which the kernel
 * keeps with the file, so that whoever touches it gets pages of that node. It is
 * the kernel's mbind(); libnuma is not needed for that.
 *
 * A policy that allows one node only has the kernel kill somebody when that is
 * full, so a look comes before, as with the machine's memory.
 */
#define _GNU_SOURCE /* syscall() */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"

/* Of linux/mempolicy.h. */
#define POLICY_DEFAULT 0
#define POLICY_BIND 2

#define NODES_MAX 1024
#define WORD_BITS (8 * sizeof(unsigned long))

/* So many pages are asked about at once. */
#define CHECK_PAGES 512

static int node_unknown(int32_t node)
{
	return tmk__error(-EINVAL, "there is no NUMA node %d", node);
}

static int node_denied(int err)
{
	return tmk__error(-EOPNOTSUPP,
			  "a NUMA node cannot be chosen here: mbind(): %s",
			  strerror(err));
}

/**
 * tmk__node_bind() - have a region's pages come from its node
 * @region: mapped, nothing is there yet; its node is not TMK_NODE_ANY
 *
 * Return: 0; -EINVAL if there is no such node; -EOPNOTSUPP if the process may not;
 * with a sentence.
 */
int tmk__node_bind(const struct tmk__backend_region *region)
{
	unsigned long mask[NODES_MAX / WORD_BITS] = { 0 };
	uint32_t node = (uint32_t)region->node;

	if (node >= NODES_MAX)
		return node_unknown(region->node);
	mask[node / WORD_BITS] = 1UL << node % WORD_BITS;
	tmk__calls_add(1);
	if (!tmk__fault("mbind") &&
	    !syscall(SYS_mbind, region->data, region->bytes, POLICY_BIND, mask,
		     (unsigned long)NODES_MAX + 1, 0))
		return 0;
	return errno == EINVAL ? node_unknown(region->node) :
				 node_denied(errno);
}

/* "Node 0 MemFree:    12 kB" */
static uint64_t meminfo_value(const char *text, int32_t node, const char *what)
{
	uint64_t kib = 0;
	char key[64];

	snprintf(key, sizeof(key), "Node %d %s:", node, what);
	(void)tmk__line_value(&kib, text, key);
	return kib << 10;
}

/**
 * tmk__node_room() - what a node has left
 * @out: filled in; where it is "node 1"
 * @node: which
 *
 * Half of what is cached counts, and a little is left to the kernel.
 *
 * Return: 0, or -EINVAL if there is no such node, with a sentence.
 */
int tmk__node_room(struct tmk_limit_state *out, int32_t node)
{
	uint64_t total, left, cached, keep;
	char path[80], text[4096];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node);
	if (tmk__file_read(text, sizeof(text), path) <= 0)
		return node_unknown(node);
	total = meminfo_value(text, node, "MemTotal");
	cached = meminfo_value(text, node, "Active(file)") +
		 meminfo_value(text, node, "Inactive(file)") +
		 meminfo_value(text, node, "SReclaimable");
	left = meminfo_value(text, node, "MemFree") + cached / 2;
	keep = total / 64;
	left -= TMK__MIN(left, keep);
	snprintf(path, sizeof(path), "node %d", node);
	tmk__room_set(out, TMK_LIMIT_MEMORY, total - TMK__MIN(total, left),
		      total, path);
	return 0;
}

static int pages_check(char *data, uint64_t nr, int32_t node)
{
	int status[CHECK_PAGES];
	void *pages[CHECK_PAGES];
	uint64_t i;

	for (i = 0; i < nr; i++)
		pages[i] = data + i * tmk__page_bytes();
	tmk__calls_add(1);
	/* Where it is not allowed, the policy has to do. */
	if (syscall(SYS_move_pages, 0, nr, pages, NULL, status, 0))
		return 0;
	for (i = 0; i < nr; i++)
		if (status[i] >= 0 && status[i] != node)
			return tmk__error(-ENOMEM,
					  "memory was asked for on NUMA node "
					  "%d, and some of it is on node %d",
					  node, status[i]);
	return 0;
}

/**
 * tmk__node_check() - are a region's pages where they should be?
 * @region: populated
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__node_check(const struct tmk__backend_region *region)
{
	uint64_t pages = region->bytes / tmk__page_bytes(), at, nr;
	int err = 0;

	for (at = 0; !err && at < pages; at += nr) {
		nr = TMK__MIN(pages - at, CHECK_PAGES);
		err = pages_check((char *)region->data + at * tmk__page_bytes(),
				  nr, region->node);
	}
	return err;
}

/**
 * tmk__node_works() - may this process choose nodes?
 * @why: why, or why not, for people
 * @len: room in @why
 *
 * Return: true if so.
 */
bool tmk__node_works(char *why, size_t len)
{
	uint64_t page = tmk__page_bytes();
	bool works = false;
	void *p;

	tmk__calls_add(3);
	p = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED) {
		works = !syscall(SYS_mbind, p, page, POLICY_DEFAULT, NULL, 0,
				 0);
		snprintf(why, len, "%s",
			 works ? "by a policy on the memory, mbind()" :
				 strerror(errno));
		munmap(p, page);
	} else {
		snprintf(why, len, "%s", strerror(errno));
	}
	return works;
}
