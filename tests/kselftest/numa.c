// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Memory comes from the node that was asked for, or there is none; without a
 * node the task's policy decides. Needs two nodes (tests/vm/numa.sh).
 */
#include "tmk_util.h"

#include <linux/mempolicy.h>

#define BYTES (8 * MIB)

FIXTURE(numa)
{
	int dev;
};

FIXTURE_VARIANT(numa)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(numa, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(numa, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_SETUP(numa)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "this machine has one node");
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(numa)
{
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

/* The node that all pages of a region are on; -1 if they are on several. */
static int node_of(int fd)
{
	char *p = map(fd, BYTES);
	int node = -2;
	size_t at;

	for (at = 0; p != MAP_FAILED && at < BYTES; at += PAGE_BYTES) {
		void *page = p + at;
		int status = -3;

		*(volatile char *)page;
		if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0))
			status = -4;
		if (node == -2)
			node = status;
		if (node != status)
			node = -1;
	}
	munmap(p, BYTES);
	return node;
}

static int create_on(int dev, unsigned int kind, int node)
{
	struct tmk_ioc_region_create c = create_cmd(kind, BYTES);

	c.node = node;
	return create(dev, &c);
}

/* The policy of this task: MPOL_x and one node. */
static int set_policy(int mode, int node)
{
	unsigned long mask = 1UL << node;

	return syscall(SYS_set_mempolicy, mode, mode ? &mask : NULL,
		       mode ? sizeof(mask) * 8 : 0UL);
}

static unsigned long free_on(int node)
{
	char path[64], text[4096], key[64], *at;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node);
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	snprintf(key, sizeof(key), "Node %d MemFree:", node);
	at = strstr(text, key);
	return at ? strtoul(at + strlen(key), NULL, 10) << 10 : 0;
}

TEST_F(numa, the_node_that_was_asked_for)
{
	int node;

	for (node = 0; node < 2; node++) {
		int fd = create_on(self->dev, variant->kind, node);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(node, region_info(fd).out_node);
		EXPECT_EQ(node, node_of(fd));
		close(fd);
	}
}

/* An explicit node wins over the policy. */
TEST_F(numa, the_policy_decides_where_nothing_was_asked_for)
{
	int node, fd;

	for (node = 0; node < 2; node++) {
		ASSERT_EQ(0, set_policy(MPOL_BIND, node));
		fd = create_on(self->dev, variant->kind, TMK_IOC_NODE_ANY);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(TMK_IOC_NODE_ANY, region_info(fd).out_node);
		EXPECT_EQ(node, node_of(fd));
		close(fd);
		ASSERT_EQ(0, set_policy(MPOL_PREFERRED, node));
		fd = create_on(self->dev, variant->kind, TMK_IOC_NODE_ANY);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(node, node_of(fd));
		close(fd);
		ASSERT_EQ(0, set_policy(MPOL_PREFERRED, !node));
		fd = create_on(self->dev, variant->kind, node);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(node, node_of(fd));
		close(fd);
	}
	ASSERT_EQ(0, set_policy(MPOL_DEFAULT, 0));
}

TEST_F(numa, no_such_node)
{
	int node;

	for (node = 2; node < 2048; node = node * 2 + 1)
		test_err(EINVAL, create_on(self->dev, variant->kind, node));
}

/* A full node is a refusal, and the other one is not touched. */
TEST_F(numa, more_than_the_node_has)
{
	struct tmk_ioc_region_create c;
	unsigned long before = free_on(0);
	char old[64];

	ASSERT_GT(read_text(SYSFS "/physical_max", old, sizeof(old)), 0);
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", "max"));
	c = create_cmd(variant->kind, free_on(1) + 64 * MIB);
	c.node = 1;
	test_err(ENOMEM, create(self->dev, &c));
	EXPECT_EQ(TMK_IOC_REFUSAL_MEMORY, c.out_refusal);
	EXPECT_TRUE(settles(0));
	EXPECT_LT(before, free_on(0) + 32 * MIB);
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", old));
}

/* Held pages cannot be sent to another node. */
TEST_F(numa, pages_stay_where_they_are)
{
	int fd = create_on(self->dev, variant->kind, 0);
	char *p = map(fd, BYTES);
	unsigned long other = 1UL << 1;
	uint64_t pfn;

	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 1, BYTES);
	pfn = frame(p);
	ASSERT_NE(0, pfn);
	test_err(EIO,
		 syscall(SYS_mbind, p, BYTES, MPOL_BIND, &other,
			 sizeof(other) * 8, MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_EQ(pfn, frame(p));
	munmap(p, BYTES);
	EXPECT_EQ(0, node_of(fd));
	close(fd);
}

#define HUGETLB_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

/* hugetlb takes no node; where its pages come from is up to the task's policy. */
TEST(hugetlb_follows_the_policy)
{
	int dev = device_open(), node, fd;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "this machine has one node");
	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, write_text(HUGETLB_POOL, "16"));
	if (read_number(HUGETLB_POOL) != 16)
		SKIP(return, "no room for a pool of huge pages");
	for (node = 0; node < 2; node++) {
		test_err(EOPNOTSUPP,
			 create_on(dev, TMK_IOC_KIND_HUGETLB, node));
		ASSERT_EQ(0, set_policy(MPOL_BIND, node));
		fd = create_on(dev, TMK_IOC_KIND_HUGETLB, TMK_IOC_NODE_ANY);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(node, node_of(fd));
		close(fd);
		ASSERT_EQ(0, set_policy(MPOL_DEFAULT, 0));
	}
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, write_text(HUGETLB_POOL, "0"));
	close(dev);
}

TEST_HARNESS_MAIN
