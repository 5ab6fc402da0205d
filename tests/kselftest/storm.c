// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Processes killed in the middle of everything, in groups that are removed
 * meanwhile, with memory short; and afterwards nothing is left: every counter
 * is zero and free memory is what it was, but for NOISE bytes that page tables and
 * slabs of the machine take in between.
 *
 * TMK_STORM_ROUNDS says how often (scripts/test-storm: 1,000), 10 unless told.
 */
#include "cg_util.h"
#include "fdpass.h"

#include <sys/socket.h>

#define NOISE (24 * MIB)
#define WORKERS 4

/* How often the workers of all rounds got so far; shared with them. */
static struct {
	unsigned long passed;
	unsigned long trimmed;
	unsigned long filled; /* holes that were touched */
} * deeds;

static void did(unsigned long *deed)
{
	__atomic_add_fetch(deed, 1, __ATOMIC_RELAXED);
}

static int rounds(void)
{
	const char *text = getenv("TMK_STORM_ROUNDS");
	int nr = text ? atoi(text) : 10;

	return nr > 0 ? nr : 10;
}

/* Pass a region on through a socket and map what comes out at the other end. */
static void pass(int fd)
{
	int pair[2], got;
	char *p;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return;
	if (!fd_send(pair[0], fd, 0)) {
		got = fd_receive(pair[1], 0);
		p = map(got, HUGE_BYTES);
		if (p != MAP_FAILED) {
			p[1] = 1;
			did(&deeds->passed);
			munmap(p, HUGE_BYTES);
		}
		close(got);
	}
	close(pair[0]);
	close(pair[1]);
}

/* Make a hole, and fill it by a call that only fails where an access kills. */
static void trim(int fd, int zero, char *p)
{
	struct tmk_ioc_region_trim cmd = { .size = sizeof(cmd),
					   .length = HUGE_BYTES };

	if (ioctl(fd, TMK_IOC_REGION_TRIM, &cmd))
		return;
	did(&deeds->trimmed);
	if (p != MAP_FAILED && read(zero, p, 1) == 1)
		did(&deeds->filled);
}

/* All of it again and again until somebody kills the process. */
static void work(unsigned int n)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int dev = device_open();

	for (;; n++) {
		unsigned int kind = n % 2 ? TMK_IOC_KIND_PINNED :
					    TMK_IOC_KIND_HUGE;
		size_t bytes = (n % 4 + 1) * HUGE_BYTES;
		struct tmk_ioc_region_create c = create_cmd(kind, bytes);
		size_t i;
		char *p;
		int fd;

		c.flags = n / 2 % 2 ? TMK_IOC_REGION_F_TRIM : 0;
		fd = create(dev, &c);
		if (fd < 0)
			continue;
		p = map(fd, bytes);
		for (i = 0; p != MAP_FAILED && i < bytes; i += PAGE_BYTES)
			p[i] = 1;
		pass(fd);
		if (c.flags)
			trim(fd, zero, p);
		if (p != MAP_FAILED && n % 3)
			munmap(p, bytes);
		else if (p != MAP_FAILED)
			munmap(p + PAGE_BYTES, bytes - PAGE_BYTES);
		close(fd);
	}
}

static pid_t worker(const char *group, unsigned int n)
{
	pid_t pid = fork();

	if (!pid) {
		if (cg_enter(group))
			_exit(1);
		work(n);
	}
	return pid;
}

/* Workers in a group of their own, killed after a while; then it is removed. */
static void one_round(int round)
{
	pid_t pid[WORKERS];
	char group[64];
	int i;

	snprintf(group, sizeof(group), "/storm%d", round);
	ASSERT_EQ(0, cg_create(group));
	if (round % 3 == 0)
		tmk_limit(group, "max", "16M");
	for (i = 0; i < WORKERS; i++)
		pid[i] = worker(group, (unsigned int)(round + i));
	sleep_ms(20 + round % 17 * 10);
	for (i = 0; i < WORKERS; i++)
		kill(pid[i], SIGKILL);
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(SIGKILL, WTERMSIG(wait_status(pid[i])));
	EXPECT_EQ(0, cg_destroy(group));
}

/* Pages that a processor has freed and keeps at hand are not in MemFree. */
static unsigned long kept_by_processors(void)
{
	unsigned long pages, sum = 0;
	char line[256];
	FILE *f;

	f = fopen("/proc/zoneinfo", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %lu", &pages) == 1)
			sum += pages;
	fclose(f);
	return sum * PAGE_BYTES;
}

static unsigned long free_now(void)
{
	write_text("/proc/sys/vm/drop_caches", "3");
	return meminfo("MemFree:") + kept_by_processors();
}

/*
 * In the debug kernel KASAN keeps a thirty-second of RAM from being used again,
 * and kmemleak something of every object.
 */
static unsigned long noise(void)
{
	if (access("/sys/kernel/debug/kmemleak", F_OK))
		return NOISE;
	return NOISE + meminfo("MemTotal:") / 16;
}

/* Deferred work of the machine may still hold some of it. */
static bool memory_is_back(unsigned long before)
{
	unsigned long now = 0;
	int i;

	for (i = 0; i < 50; i++) {
		now = free_now();
		if (now + noise() >= before)
			return true;
		sleep_ms(100);
	}
	TH_LOG("%lu MiB were free, %lu are", before / MIB, now / MIB);
	return false;
}

static void deeds_begin(void)
{
	deeds = mmap(NULL, sizeof(*deeds), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)deeds);
}

TEST_TIMEOUT(killed_in_groups_that_go, 120)
{
	unsigned long before;
	int round, nr = rounds();

	deeds_begin();
	/* What the first round makes stays: caches, per-CPU lists. */
	one_round(0);
	ASSERT_TRUE(settles(0));
	before = free_now();
	/* As often as was asked for, and until all of it has been done. */
	for (round = 1; round <= nr || !deeds->passed || !deeds->filled;
	     round++)
		one_round(round);
	TH_LOG("%d rounds: %lu passed on, %lu trimmed, %lu filled again",
	       round - 1, deeds->passed, deeds->trimmed, deeds->filled);
	EXPECT_TRUE(settles(0));
	EXPECT_TRUE(memory_is_back(before));
}

/* A child that keeps more ordinary memory in use than is free. */
static pid_t eater(unsigned long bytes)
{
	pid_t pid = fork();
	unsigned long i;
	char *p;

	if (pid)
		return pid;
	write_text("/proc/self/oom_score_adj", "1000");
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	for (;;)
		for (i = 0; i < bytes; i += PAGE_BYTES)
			p[i]++;
}

TEST_TIMEOUT(killed_while_others_are_swapped_out, 120)
{
	unsigned long swap = meminfo("SwapFree:"), before;
	int round, nr = (rounds() + 9) / 10;
	pid_t pid;

	if (!swap)
		SKIP(return, "this machine has no swap");
	deeds_begin();
	before = free_now();
	pid = eater(meminfo("MemAvailable:") - 64 * MIB + swap / 2);
	for (round = 1; round <= nr; round++)
		one_round(round);
	kill(pid, SIGKILL);
	wait_status(pid);
	EXPECT_TRUE(settles(0));
	EXPECT_TRUE(memory_is_back(before));
}

/* What the kernel said since @kmsg was opened must be about OOM alone. */
static void kernel_is_well(int kmsg)
{
	static const char *const bad[] = { "WARNING:", "BUG:", "refcount",
					   "Oops", "Bad page" };
	char line[2048];
	ssize_t n;
	size_t i;

	while ((n = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[n > 0 ? n : 0] = '\0';
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			if (strstr(line, bad[i])) {
				TH_LOG("the kernel said: %s", line);
				EXPECT_NULL(bad[i]);
			}
	}
}

/*
 * The OOM killer takes the one that has the regions: its anonymous memory
 * breaks the group's memory.max. The console is silent meanwhile, because the
 * killer's report is not a complaint; the log is read here instead.
 */
TEST_TIMEOUT(killed_by_the_oom_killer, 120)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int round, nr = (rounds() + 4) / 5, killed = 0;
	char old[64];

	ASSERT_GE(kmsg, 0);
	lseek(kmsg, 0, SEEK_END);
	ASSERT_GT(read_text("/proc/sys/kernel/printk", old, sizeof(old)), 0);
	ASSERT_EQ(0, cg_create("/storm-oom"));
	ASSERT_EQ(0, cg_write("/storm-oom", "memory.max", "32M"));
	cg_write("/storm-oom", "memory.swap.max", "0");
	ASSERT_EQ(0, write_text("/proc/sys/kernel/printk", "2"));
	for (round = 0; round < nr; round++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			char *p;

			cg_enter("/storm-oom");
			create_simple(device_open(), TMK_IOC_KIND_PINNED,
				      4 * MIB);
			p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memset(p, 1, 64 * MIB);
			_exit(0);
		}
		status = wait_status(pid);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	write_text("/proc/sys/kernel/printk", old);
	EXPECT_EQ(nr, killed);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/storm-oom"));
	kernel_is_well(kmsg);
	close(kmsg);
}

TEST_HARNESS_MAIN
