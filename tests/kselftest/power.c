// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What an operator does to the whole machine: suspend it, hibernate it, and take
 * memory out of it. A region stays what it is and where it is.
 */
#include "tmk_util.h"

#include <signal.h>
#include <sys/time.h>

/* More than one block of memory, some of which have holes and cannot go. */
#define BYTES (192 * MIB)
#define PAGES (BYTES / PAGE_BYTES)
#define BLOCKS "/sys/devices/system/memory"

FIXTURE(power)
{
	int dev;
	int fd;
	char *p;
};

FIXTURE_VARIANT(power)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(power, pinned){
	.kind = TMK_IOC_KIND_PINNED,
};

FIXTURE_VARIANT_ADD(power, huge){
	.kind = TMK_IOC_KIND_HUGE,
};

FIXTURE_SETUP(power)
{
	size_t i;

	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->fd = create_simple(self->dev, variant->kind, BYTES);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	for (i = 0; i < PAGES; i++)
		*(size_t *)(self->p + i * PAGE_BYTES) = i;
}

FIXTURE_TEARDOWN(power)
{
	size_t i, lost = 0;

	for (i = 0; i < PAGES; i++)
		lost += *(size_t *)(self->p + i * PAGE_BYTES) != i;
	EXPECT_EQ(0, lost);
	EXPECT_EQ(BYTES, region_info(self->fd).out_physical);
	munmap(self->p, BYTES);
	close(self->fd);
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

/* Tasks and devices are suspended and come back after five seconds. */
TEST_F_TIMEOUT(power, suspend_keeps_it, 100)
{
	uint64_t before = frame(self->p);

	if (write_text("/sys/power/pm_test", "devices"))
		SKIP(return, "this kernel cannot try a suspend");
	EXPECT_EQ(0, write_text("/sys/power/state", "freeze"));
	write_text("/sys/power/pm_test", "none");
	EXPECT_EQ(before, frame(self->p));
}

static void wake(int sig)
{
	(void)sig;
}

/* Ask for a block of memory to be emptied, for three seconds. */
static int offline(unsigned long block)
{
	const struct itimerval again = { { 1, 0 }, { 3, 0 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	char path[128], text[64];
	int err;

	snprintf(path, sizeof(path), BLOCKS "/memory%lu/state", block);
	setitimer(ITIMER_REAL, &again, NULL);
	err = write_text(path, "offline");
	setitimer(ITIMER_REAL, &never, NULL);
	if (read_text(path, text, sizeof(text)) <= 0 ||
	    strcmp(text, "online\n") != 0)
		return 0;
	return err;
}

/*
 * The kernel tries to empty a block of memory until it is told to stop: a region
 * in it is neither moved nor lost. Blocks with holes (-EINVAL) never go.
 */
TEST_F_TIMEOUT(power, its_memory_cannot_go_offline, 100)
{
	const struct sigaction act = { .sa_handler = wake };
	unsigned long bytes, block, last = ULONG_MAX;
	int tried = 0, err;
	uint64_t before;
	char text[64];
	size_t i;

	if (read_text(BLOCKS "/block_size_bytes", text, sizeof(text)) <= 0)
		SKIP(return, "this kernel cannot take memory out");
	bytes = strtoul(text, NULL, 16);
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	for (i = 0; i < BYTES && !tried; i += HUGE_BYTES) {
		before = frame(self->p + i);
		block = before * PAGE_BYTES / bytes;
		if (block == last)
			continue;
		last = block;
		err = offline(block);
		EXPECT_TRUE(err == -EINTR || err == -EBUSY || err == -EINVAL);
		tried += err != -EINVAL;
		EXPECT_EQ(before, frame(self->p + i));
	}
	EXPECT_LT(0, tried);
}

static bool can_hibernate(void)
{
	return meminfo("SwapTotal:") &&
	       !write_text("/sys/power/disk", "test_resume");
}

/* A mapped region in which each page has its number. */
static char *numbered(int *fd, int dev, unsigned int kind, size_t bytes)
{
	char *p;
	size_t i;

	*fd = create_simple(dev, kind, bytes);
	ASSERT_GE(*fd, 0);
	p = map(*fd, bytes);
	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < bytes; i += PAGE_BYTES)
		*(size_t *)(p + i) = i;
	return p;
}

static size_t lost(const char *p, size_t bytes)
{
	size_t i, nr = 0;

	for (i = 0; i < bytes; i += PAGE_BYTES)
		nr += *(const size_t *)(p + i) != i;
	return nr;
}

/*
 * The image is written to swap, read back, and the machine goes on from there.
 * Before Linux 6.4 it cannot be read back while it is the machine's own swap, and the
 * machine goes on from where it wrote it.
 */
TEST_TIMEOUT(hibernating_keeps_it, 120)
{
	static const unsigned int kinds[] = { TMK_IOC_KIND_PINNED,
					      TMK_IOC_KIND_HUGE };
	const size_t bytes = 16 * MIB;
	int dev = device_open(), fd[2], i, err;
	uint64_t before[2];
	char *p[2];

	if (!can_hibernate())
		SKIP(return,
			   "nothing to hibernate to; tests/vm/power.sh has it");
	for (i = 0; i < 2; i++) {
		p[i] = numbered(&fd[i], dev, kinds[i], bytes);
		before[i] = frame(p[i]);
	}
	err = write_text("/sys/power/state", "disk");
	EXPECT_TRUE(!err || err == -EBUSY);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, lost(p[i], bytes));
		EXPECT_EQ(before[i], frame(p[i]));
		EXPECT_EQ(bytes, region_info(fd[i]).out_physical);
		munmap(p[i], bytes);
		close(fd[i]);
	}
	EXPECT_TRUE(settles(0));
	close(dev);
}

/* The image has to fit into the other half of memory. */
TEST_TIMEOUT(too_much_to_hibernate, 120)
{
	size_t bytes =
		meminfo("MemTotal:") / 100 * 54 / HUGE_BYTES * HUGE_BYTES;
	int dev = device_open(), fd;
	char old[64], *p;

	if (!can_hibernate())
		SKIP(return,
			   "nothing to hibernate to; tests/vm/power.sh has it");
	ASSERT_GT(read_text(SYSFS "/physical_max", old, sizeof(old)), 0);
	ASSERT_EQ(0, write_text(SYSFS "/physical_max", "max"));
	p = numbered(&fd, dev, TMK_IOC_KIND_HUGE, bytes);
	EXPECT_EQ(-ENOMEM, write_text("/sys/power/state", "disk"));
	EXPECT_EQ(0, lost(p, bytes));
	munmap(p, bytes);
	close(fd);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, write_text(SYSFS "/physical_max", old));
	close(dev);
}

TEST_HARNESS_MAIN
