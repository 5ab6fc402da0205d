// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Memory pressure that swaps everybody else out does not touch a region. Needs
 * swap and little memory (tests/vm/swap.sh).
 */
#include "tmk_util.h"

#define BYTES (16 * MIB)
#define PAGES (BYTES / PAGE_BYTES)

FIXTURE(swap)
{
	int dev;
};

FIXTURE_SETUP(swap)
{
	if (!meminfo("SwapTotal:"))
		SKIP(return, "this machine has no swap");
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(swap)
{
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

/* What this process's parent has in swap. */
static unsigned long parents_swap(void)
{
	char path[64], text[4096], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", getppid());
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, "VmSwap:");
	return at ? strtoul(at + 7, NULL, 10) << 10 : 0;
}

/* A child that takes memory until @bytes of its parent's are in swap. */
static int eat(unsigned long bytes)
{
	pid_t pid = fork();

	if (pid)
		return wait_status(pid);
	while (parents_swap() < bytes) {
		char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || meminfo("SwapFree:") < 32 * MIB)
			_exit(1);
		memset(p, 1, MIB);
	}
	_exit(0);
}

struct watched {
	int fd;
	char *p;
	uint64_t frames[PAGES];
};

static void fill(struct watched *w, int dev, unsigned int kind)
{
	size_t i;

	w->fd = create_simple(dev, kind, BYTES);
	ASSERT_GE(w->fd, 0);
	w->p = map(w->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)w->p);
	for (i = 0; i < PAGES; i++) {
		*(size_t *)(w->p + i * PAGE_BYTES) = i;
		w->frames[i] = frame(w->p + i * PAGE_BYTES);
		ASSERT_NE(0, w->frames[i]);
	}
	/* Not mapped while it happens, and so not kept by being used. */
	ASSERT_EQ(0, munmap(w->p, BYTES));
}

static void check(struct watched *w)
{
	unsigned char resident[PAGES];
	size_t i, present = 0, lost = 0, moved = 0;

	w->p = map(w->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)w->p);
	ASSERT_EQ(0, mincore(w->p, BYTES, resident));
	for (i = 0; i < PAGES; i++) {
		char *at = w->p + i * PAGE_BYTES;

		present += resident[i] & 1;
		lost += *(size_t *)at != i;
		moved += frame(at) != w->frames[i];
	}
	EXPECT_EQ(PAGES, present);
	EXPECT_EQ(0, lost);
	EXPECT_EQ(0, moved);
	EXPECT_EQ(BYTES, region_info(w->fd).out_physical);
	munmap(w->p, BYTES);
	close(w->fd);
}

TEST_F_TIMEOUT(swap, regions_are_not_touched, 200)
{
	static struct watched pinned, huge;
	char *victim;

	fill(&pinned, self->dev, TMK_IOC_KIND_PINNED);
	fill(&huge, self->dev, TMK_IOC_KIND_HUGE);
	/* Ordinary memory of the same age, to see that the pressure is real. */
	victim = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)victim);
	memset(victim, 1, BYTES);
	ASSERT_EQ(0, eat(8 * MIB));
	ASSERT_EQ(0, write_text("/proc/sys/vm/drop_caches", "3"));
	ASSERT_EQ(0, write_text("/proc/sys/vm/compact_memory", "1"));
	check(&pinned);
	check(&huge);
	munmap(victim, BYTES);
}

TEST_HARNESS_MAIN
