// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * What it costs to have so much memory populated, mapped and touched, in several
 * ways side by side. Prints one JSON object; decides nothing.
 *
 *	guest_populate [MiB [PASSES [WORDS...]]]
 *
 * Words choose: a way is left out if its name contains none of them.
 *
 * It is made for a guest whose time-stamp counter counts instructions
 * (tests/bench/run-guest); elsewhere the figures are the processor's ticks. The
 * kernel's clocks will not do: a guest calibrates them while it boots, and again
 * a second later. Whatever else the machine does meanwhile is counted as well, so
 * it waits until the machine has nothing else to do; a guest that has just booted
 * has.
 *
 * Each way is gone through several times: the first pass also pays for what is
 * done once (mounts, page tables of the kernel, caches), the later ones do not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <x86intrin.h>

#include <linux/tmk.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PASSES_MAX 16
#define POOL "/sys/kernel/tmk/pool/"
#define HUGE_BYTES ((size_t)2 << 20)
#define TOUCH_BYTES 4096

/**
 * struct memory - what a way made
 * @data: where it is mapped, MAP_FAILED if it could not be had
 * @reserved: where its address space begins
 * @reserved_bytes: and how much that is
 * @fd: its descriptor or -1
 */
struct memory {
	char *data;
	char *reserved;
	size_t reserved_bytes;
	int fd;
};

/**
 * struct pass - the cost of one pass
 * @create: until it is made and mapped
 * @touch: one store to each 4 KiB
 * @release: until it is gone
 * @faults: page faults of creating and of touching
 */
struct pass {
	long long create;
	long long touch;
	long long release;
	long faults[2];
};

static long long now(void)
{
	return (long long)__rdtsc();
}

static long faults(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt + r.ru_majflt;
}

/* Address space aligned for huge pages, then whatever goes there. */
static void map_aligned(struct memory *m, size_t bytes, int flags)
{
	uintptr_t at;

	m->reserved_bytes = bytes + HUGE_BYTES;
	m->reserved = mmap(NULL, m->reserved_bytes, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->reserved == MAP_FAILED)
		return;
	at = ((uintptr_t)m->reserved + HUGE_BYTES - 1) & -HUGE_BYTES;
	m->data = mmap((void *)at, bytes, PROT_READ | PROT_WRITE,
		       MAP_FIXED | flags, m->fd, 0);
}

static void tmk_region(struct memory *m, size_t bytes, uint32_t kind,
		       int map_flags)
{
	struct tmk_ioc_region_create cmd = {
		.size = sizeof(cmd),
		.length = bytes,
		.kind = kind,
		.flags = TMK_IOC_REGION_F_REQUIRE,
		.node = TMK_IOC_NODE_ANY,
		.backing_fd = -1,
	};
	int dev = open("/dev/tmk", O_RDWR | O_CLOEXEC);

	if (dev < 0)
		return;
	if (!ioctl(dev, TMK_IOC_REGION_CREATE, &cmd)) {
		m->fd = cmd.out_fd;
		map_aligned(m, bytes, MAP_SHARED | map_flags);
	}
	close(dev);
}

static void tmk_huge(struct memory *m, size_t bytes)
{
	tmk_region(m, bytes, TMK_IOC_KIND_HUGE, 0);
}

static void tmk_huge_mapped(struct memory *m, size_t bytes)
{
	tmk_region(m, bytes, TMK_IOC_KIND_HUGE, MAP_POPULATE);
}

static void tmk_pinned(struct memory *m, size_t bytes)
{
	tmk_region(m, bytes, TMK_IOC_KIND_PINNED, 0);
}

static void anon_thp(struct memory *m, size_t bytes)
{
	map_aligned(m, bytes, MAP_PRIVATE | MAP_ANONYMOUS);
	if (m->data != MAP_FAILED)
		madvise(m->data, bytes, MADV_HUGEPAGE);
}

static void memfd(struct memory *m, size_t bytes, unsigned int memfd_flags,
		  int map_flags)
{
	m->fd = memfd_create("bench", MFD_CLOEXEC | memfd_flags);
	if (m->fd >= 0 && !ftruncate(m->fd, (off_t)bytes))
		map_aligned(m, bytes, MAP_SHARED | map_flags);
}

static void memfd_hugetlb(struct memory *m, size_t bytes)
{
	memfd(m, bytes, MFD_HUGETLB, MAP_POPULATE);
}

static void memfd_mlock(struct memory *m, size_t bytes)
{
	memfd(m, bytes, 0, 0);
	if (m->data != MAP_FAILED && mlock(m->data, bytes))
		m->data = MAP_FAILED;
}

/* As the user backend of the library does it. */
static void memfd_collapse(struct memory *m, size_t bytes)
{
	size_t i;

	memfd(m, bytes, 0, 0);
	if (m->data == MAP_FAILED)
		return;
	madvise(m->data, bytes, MADV_HUGEPAGE);
	for (i = 0; i < bytes; i += HUGE_BYTES)
		*(volatile char *)(m->data + i) = 0;
	if (madvise(m->data, bytes, MADV_COLLAPSE))
		m->data = MAP_FAILED;
}

static const struct {
	const char *name;
	void (*make)(struct memory *m, size_t bytes);
	bool warm;
} ways[] = {
	{ "tmk region, huge", tmk_huge, false },
	{ "tmk region, huge, MAP_POPULATE", tmk_huge_mapped, false },
	{ "tmk region, huge, warm", tmk_huge, true },
	{ "tmk region, pinned", tmk_pinned, false },
	{ "anonymous THP, first touch", anon_thp, false },
	{ "memfd MFD_HUGETLB, MAP_POPULATE", memfd_hugetlb, false },
	{ "memfd, MADV_COLLAPSE", memfd_collapse, false },
	{ "memfd, mlock, 4 KiB pages", memfd_mlock, false },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Seconds that the processors were idle since the machine started. */
static double idle(void)
{
	double up, seconds = 0;
	FILE *f = fopen("/proc/uptime", "r");

	if (f && fscanf(f, "%lf %lf", &up, &seconds) != 2)
		seconds = 0;
	if (f)
		fclose(f);
	return seconds;
}

/* Wait for a tenth of a second in which nobody wants a processor. */
static bool settle(void)
{
	double before;
	int i;

	for (i = 0; i < 200; i++) {
		before = idle();
		usleep(100000);
		if (idle() - before >= 0.09)
			return true;
	}
	return false;
}

static int pool_target(size_t bytes)
{
	FILE *f = fopen(POOL "target", "w");
	bool ok = f && fprintf(f, "%zu\n", bytes) > 0;

	if (f && fclose(f))
		ok = false;
	return ok ? 0 : -1;
}

static size_t pool_have(void)
{
	FILE *f = fopen(POOL "have", "r");
	size_t bytes = 0;

	if (f && fscanf(f, "%zu", &bytes) != 1)
		bytes = 0;
	if (f)
		fclose(f);
	return bytes;
}

/* The pool is filled, and the filler done; that is not part of the cost. */
static int warm_up(size_t bytes)
{
	int i;

	if (pool_target(bytes))
		return -1;
	for (i = 0; i < 3000 && pool_have() < bytes; i++)
		usleep(100000);
	return pool_have() < bytes || !settle() ? -1 : 0;
}

static int run_pass(struct pass *out, size_t way, size_t bytes)
{
	struct memory m = { .data = MAP_FAILED,
			    .reserved = MAP_FAILED,
			    .fd = -1 };
	long long begin = now();
	long before = faults();
	size_t i;

	ways[way].make(&m, bytes);
	out->create = now() - begin;
	out->faults[0] = faults() - before;
	before = faults();
	begin = now();
	if (m.data != MAP_FAILED)
		for (i = 0; i < bytes; i += TOUCH_BYTES)
			*(volatile char *)(m.data + i) = 1;
	out->touch = now() - begin;
	out->faults[1] = faults() - before;
	begin = now();
	if (m.reserved != MAP_FAILED)
		munmap(m.reserved, m.reserved_bytes);
	if (m.fd >= 0)
		close(m.fd);
	out->release = now() - begin;
	return m.data == MAP_FAILED ? -1 : 0;
}

static void print_pass(const struct pass *pass, int nr)
{
	printf("%s\n    {\"create\": %lld, \"touch\": %lld, \"release\": %lld, ",
	       nr ? "," : "", pass->create, pass->touch, pass->release);
	printf("\"faults_create\": %ld, \"faults_touch\": %ld}",
	       pass->faults[0], pass->faults[1]);
}

/* Is a way asked for? All are if nobody says which. */
static bool wanted(size_t way, char **words)
{
	char **word;

	for (word = words; *word; word++)
		if (strstr(ways[way].name, *word))
			return true;
	return word == words;
}

static void measure(size_t way, size_t bytes, int nr, bool first)
{
	struct pass passes[PASSES_MAX];
	int i, err = 0;

	for (i = 0; !err && i < nr; i++) {
		err = ways[way].warm ? warm_up(bytes) : 0;
		if (!err)
			err = run_pass(&passes[i], way, bytes);
	}
	if (ways[way].warm)
		pool_target(0);
	printf("%s\n  {\"way\": \"%s\", \"passes\": [", first ? "" : ",",
	       ways[way].name);
	for (i = 0; !err && i < nr; i++)
		print_pass(&passes[i], i);
	printf("]}");
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
	int passes = argc > 2 ? atoi(argv[2]) : 4;
	char **words = argv + (argc > 3 ? 3 : argc);
	bool first = true;
	size_t way;

	if (!mib || mib % 2 || passes < 1 || passes > PASSES_MAX) {
		fprintf(stderr, "guest_populate: an even number of MiB\n");
		return 2;
	}
	printf("{\"bytes\": %zu, \"settled\": %s, \"ways\": [", mib << 20,
	       settle() ? "true" : "false");
	for (way = 0; way < WAYS; way++) {
		if (!wanted(way, words))
			continue;
		measure(way, mib << 20, passes, first);
		first = false;
	}
	printf("\n]}\n");
	return 0;
}
