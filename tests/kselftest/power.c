// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What an operator does to the whole machine: suspend it, and take memory out of
 * it. A region stays what it is and where it is.
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

TEST_HARNESS_MAIN
