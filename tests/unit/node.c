// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Memory on the NUMA node that was asked for, on every node there is, on either
 * backend. tests/vm/numa.sh runs it where there are two.
 */
#include "machine.h"
#include "seccomp.h"

#define NODES "/sys/devices/system/node"

/* The number of a node, from 0 on. Return: -1 after the last. */
static int next_node(int after)
{
	char path[80];
	int node;

	for (node = after + 1; node < 1024; node++) {
		snprintf(path, sizeof(path), NODES "/node%d/meminfo", node);
		if (!access(path, R_OK))
			return node;
	}
	return -1;
}

/* How many of a mapping's pages are elsewhere. */
static int elsewhere(void *data, uint64_t bytes, int node)
{
	int nr = 0, status;
	uint64_t at;
	void *page;

	for (at = 0; at < bytes; at += 4096) {
		page = (char *)data + at;
		status = -1;
		if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0))
			return -1;
		nr += status != node;
	}
	return nr;
}

static int create_on(struct tmk_region **out, uint64_t bytes,
		     enum tmk_kind kind, int node)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;

	opts.kind = kind;
	opts.node = node;
	opts.flags = TMK_REGION_F_TRIM;
	return tmk_region_create(out, bytes, &opts);
}

static void on_each_node(enum tmk_kind kind)
{
	struct tmk_region_info info;
	struct tmk_region *region;
	int node, nodes = 0;

	if (!feature("node"))
		SKIP(return, "nodes cannot be chosen here");
	for (node = next_node(-1); node >= 0; node = next_node(node)) {
		ASSERT_EQ(0, create_on(&region, 8 * MIB, kind, node));
		ASSERT_EQ(0, tmk_region_info(&info, region));
		EXPECT_EQ(node, info.node);
		EXPECT_EQ(8 * MIB, info.physical_bytes);
		if (kind == TMK_KIND_HUGE && feature("huge"))
			EXPECT_EQ(8 * MIB, info.bytes_2m);
		EXPECT_EQ(0, elsewhere(tmk_region_data(region), 8 * MIB, node));
		/* What is had again is there, too. */
		ASSERT_EQ(0, tmk_region_trim(NULL, region, 0, 4 * MIB));
		ASSERT_EQ(0, tmk_region_fill(region, 0, 4 * MIB));
		EXPECT_EQ(0, elsewhere(tmk_region_data(region), 8 * MIB, node));
		tmk_region_put(region);
		nodes++;
	}
	TH_LOG("%d nodes", nodes);
	EXPECT_LT(0, nodes);
	EXPECT_TRUE(all_zero());
}

TEST(pinned_on_each_node)
{
	on_each_node(TMK_KIND_PINNED);
}

TEST(huge_on_each_node)
{
	on_each_node(TMK_KIND_HUGE);
}

TEST(blocks_on_each_node)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;
	void *p;

	if (!feature("node"))
		SKIP(return, "nodes cannot be chosen here");
	for (opts.node = next_node(-1); opts.node >= 0;
	     opts.node = next_node(opts.node)) {
		ASSERT_EQ(0, tmk_alloc(&p, 3 * MIB, &opts));
		EXPECT_EQ(0, elsewhere(p, 3 * MIB, opts.node));
		EXPECT_EQ(0, tmk_free(p));
	}
}

TEST(no_such_node)
{
	static const int nodes[] = { 63, 1000, 1023, 1024, INT32_MAX };
	struct tmk_region *region = NULL;
	size_t i;
	int fds;

	if (!feature("node"))
		SKIP(return, "nodes cannot be chosen here");
	fds = fds_nr();
	for (i = 0; i < TMK__ARRAY_SIZE(nodes); i++)
		EXPECT_EQ(-EINVAL,
			  create_on(&region, MIB, TMK_KIND_PINNED, nodes[i]));
	EXPECT_NULL(region);
	EXPECT_EQ(fds, fds_nr());
	EXPECT_TRUE(all_zero());
}

/* Nobody is killed for it, however much the other one has. */
TEST(more_than_the_node_has)
{
	struct tmk_region *region = NULL;
	uint64_t total, available;
	struct tmk_refusal r;
	int node = next_node(next_node(-1));

	if (node < 0)
		SKIP(return, "one node; tests/vm/numa.sh runs it on two");
	ASSERT_EQ(0, tmk__meminfo(&total, &available));
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	/* More than half of what there is, which is on two nodes. */
	EXPECT_EQ(-ENOMEM, create_on(&region, total / 2 + 32 * MIB,
				     TMK_KIND_PINNED, node));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(TMK_LIMIT_MEMORY, r.limit);
	if (!on_dev())
		EXPECT_TRUE(says(": node 1 has "));
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

/* Where the kernel does not let it be chosen, that is said, and nothing else. */
TEST(not_allowed)
{
	struct tmk_region *region = NULL;

	if (on_dev())
		SKIP(return, "the module chooses it");
	ASSERT_EQ(0, tmk_close());
	ASSERT_EQ(0, forbid_mbind());
	EXPECT_FALSE(feature("node"));
	EXPECT_EQ(-EOPNOTSUPP, create_on(&region, MIB, TMK_KIND_PINNED, 0));
	EXPECT_TRUE(says("a NUMA node cannot be chosen here: mbind(): "
			 "Operation not permitted"));
	EXPECT_NULL(region);
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
