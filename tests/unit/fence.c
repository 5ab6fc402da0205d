// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Blocks that are freed after a fence: when it is signalled, when a descriptor
 * becomes readable, at the end; not before, and not twice.
 */
#include "util.h"

#include <sys/eventfd.h>

static uint64_t deferred(void)
{
	struct tmk_holder holders[64];
	size_t nr, i;

	if (tmk_stats_holders(&nr, holders, 64))
		return 1;
	for (i = 0; i < nr; i++)
		if (!strcmp(holders[i].name, "deferred"))
			return holders[i].bytes;
	return 0;
}

static void over(void)
{
	EXPECT_EQ(0, tmk_close());
	EXPECT_TRUE(all_zero());
}

TEST(signalled)
{
	struct tmk_fence *fence;
	void *p, *q, *other;

	ASSERT_EQ(0, tmk_fence_create(&fence, -1));
	ASSERT_EQ(0, tmk_alloc(&p, 300000, NULL));
	ASSERT_EQ(0, tmk_alloc(&q, 1000, NULL));
	ASSERT_EQ(0, tmk_free_after(p, fence));
	ASSERT_EQ(0, tmk_free_after(q, fence));
	EXPECT_EQ(0, tmk_free_after(NULL, fence));
	EXPECT_EQ(303104 + 1024, deferred());
	EXPECT_EQ(-EALREADY, tmk_free(p));
	EXPECT_EQ(-EALREADY, tmk_free_after(q, fence));
	/* Nobody gets it meanwhile. */
	ASSERT_EQ(0, tmk_alloc(&other, 300000, NULL));
	EXPECT_NE(p, other);
	EXPECT_EQ(0, tmk_free(other));
	EXPECT_EQ(-ETIMEDOUT, tmk_drain(20));
	EXPECT_TRUE(says("2 blocks"));
	tmk_fence_signal(fence);
	EXPECT_EQ(0, deferred());
	EXPECT_EQ(0, tmk_drain(0));
	/* It has passed: at once from now on. */
	ASSERT_EQ(0, tmk_alloc(&p, 300000, NULL));
	ASSERT_EQ(0, tmk_free_after(p, fence));
	EXPECT_EQ(0, deferred());
	tmk_fence_put(fence);
	over();
}

TEST(a_descriptor_becomes_readable)
{
	struct tmk_fence *fence[3];
	int fd[3], i;
	void *p;

	for (i = 0; i < 3; i++) {
		fd[i] = eventfd(0, EFD_CLOEXEC);
		ASSERT_GE(fd[i], 0);
		ASSERT_EQ(0, tmk_fence_create(&fence[i], fd[i]));
		ASSERT_EQ(0, tmk_alloc(&p, MIB, NULL));
		ASSERT_EQ(0, tmk_free_after(p, fence[i]));
		tmk_fence_put(fence[i]);
	}
	EXPECT_EQ(3 * MIB, deferred());
	ASSERT_EQ(0, eventfd_write(fd[1], 1));
	for (i = 0; i < 500 && deferred() == 3 * MIB; i++)
		usleep(10000);
	EXPECT_EQ(2 * MIB, deferred());
	ASSERT_EQ(0, eventfd_write(fd[0], 1));
	ASSERT_EQ(0, eventfd_write(fd[2], 1));
	EXPECT_EQ(0, tmk_drain(10000));
	EXPECT_EQ(0, deferred());
	over();
}

TEST(closing_frees_what_has_passed)
{
	struct tmk_fence *fence, *never;
	int fd = eventfd(0, EFD_CLOEXEC);
	void *p, *q;

	ASSERT_EQ(0, tmk_fence_create(&fence, fd));
	ASSERT_EQ(0, tmk_fence_create(&never, -1));
	ASSERT_EQ(0, tmk_alloc(&p, MIB, NULL));
	ASSERT_EQ(0, tmk_alloc(&q, 2 * MIB, NULL));
	ASSERT_EQ(0, tmk_free_after(p, fence));
	ASSERT_EQ(0, tmk_free_after(q, never));
	ASSERT_EQ(0, eventfd_write(fd, 1));
	EXPECT_EQ(-EBUSY, tmk_close());
	EXPECT_TRUE(says("2.0 MiB"));
	tmk_fence_put(never);
	tmk_fence_put(fence);
	EXPECT_TRUE(all_zero());
}

static int child(void *arg)
{
	struct tmk_fence *fence;
	int fd = eventfd(0, EFD_CLOEXEC);
	void *p;

	(void)arg;
	if (tmk_fence_create(&fence, fd) || tmk_alloc(&p, MIB, NULL) ||
	    tmk_free_after(p, fence) || eventfd_write(fd, 1))
		return 1;
	/* The parent's block still waits here, too. */
	if (tmk_drain(300) != -ETIMEDOUT ||
	    !strstr(tmk_error_last(), "1 blocks"))
		return 2;
	return 0;
}

TEST(children_watch_for_themselves)
{
	struct tmk_fence *fence;
	int fd = eventfd(0, EFD_CLOEXEC);
	void *p;

	ASSERT_EQ(0, tmk_fence_create(&fence, fd));
	ASSERT_EQ(0, tmk_alloc(&p, MIB, NULL));
	ASSERT_EQ(0, tmk_free_after(p, fence));
	EXPECT_EQ(0, in_child(child, NULL));
	ASSERT_EQ(0, eventfd_write(fd, 1));
	EXPECT_EQ(0, tmk_drain(10000));
	tmk_fence_put(fence);
	over();
}

TEST(bad_arguments)
{
	struct tmk_fence *fence;
	char foreign;
	void *p;

	EXPECT_EQ(-EBADF, tmk_fence_create(&fence, 9999));
	EXPECT_EQ(-EINVAL, tmk_fence_create(NULL, -1));
	ASSERT_EQ(0, tmk_fence_create(&fence, -1));
	EXPECT_EQ(-EINVAL, tmk_free_after(&foreign, fence));
	EXPECT_EQ(-EINVAL, tmk_free_after(&foreign, NULL));
	ASSERT_EQ(0, tmk_alloc(&p, 100, NULL));
	tmk__fault_arm("pending", 1);
	EXPECT_EQ(-ENOMEM, tmk_free_after(p, fence));
	tmk__fault_arm(NULL, 0);
	EXPECT_EQ(0, tmk_free(p));
	tmk_fence_put(fence);
	tmk_fence_put(NULL);
	over();
}

TEST_HARNESS_MAIN
