// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/* Many at once: the limit holds at every instant and nothing drifts. */
#include "cg_util.h"

#include <pthread.h>

#define WORKERS 8
#define LIMIT (16 * MIB)

/* Until told to stop: take and give back regions of any size. */
static void hammer(int dev, unsigned int seed, volatile int *stop)
{
	int fds[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };

	while (!*stop) {
		int *fd = &fds[rand_r(&seed) % 8];
		uint64_t bytes = (rand_r(&seed) % 1024 + 1) * PAGE_BYTES;
		unsigned int kind = rand_r(&seed) % 4 ? TMK_IOC_KIND_PINNED :
							TMK_IOC_KIND_HUGE;

		if (*fd >= 0)
			close(*fd);
		*fd = create_simple(dev, kind, bytes);
		if (*fd < 0 && errno != EDQUOT && errno != ENOMEM)
			_exit(2);
	}
}

TEST_TIMEOUT(eight_processes_one_limit, 120)
{
	int *stop = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long long id, highest = 0, seen = 0;
	int dev = device_open();
	struct timespec begin, now;
	pid_t pids[WORKERS];
	int i;

	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, cg_create("/storm"));
	id = cg_id("/storm");
	ASSERT_EQ(0, tmk_limit("/storm", "max", "16M"));
	for (i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			if (cg_enter("/storm"))
				_exit(1);
			hammer(dev, i + 1, stop);
			_exit(0);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		seen = tmk_number(id, "current");
		highest = seen > highest ? seen : highest;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 5);
	EXPECT_LE(highest, LIMIT);
	EXPECT_GT(highest, LIMIT / 4);
	EXPECT_LE(tmk_number(id, "peak"), LIMIT);
	*stop = 1;
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, wait_status(pids[i]));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, tmk_number(id, "current"));
	EXPECT_EQ(0, tmk_number(id, "physical_current"));
	EXPECT_EQ(0, read_key(SYSFS "/by_kind", "pinned"));
	EXPECT_EQ(0, read_key(SYSFS "/by_kind", "huge"));
	ASSERT_EQ(0, tmk_limit("/storm", "max", "max"));
	EXPECT_EQ(0, cg_destroy("/storm"));
}

static void *churn(void *arg)
{
	int dev = *(int *)arg;
	long bad = 0;
	int i;

	for (i = 0; i < 400; i++) {
		int fd = create_simple(dev, TMK_IOC_KIND_PINNED, PAGE_BYTES);

		if (fd < 0)
			bad++;
		else
			close(fd);
	}
	return (void *)bad;
}

TEST_TIMEOUT(threads_create_and_close, 120)
{
	pthread_t threads[WORKERS];
	int dev = device_open();
	void *bad;
	int i;

	ASSERT_GE(dev, 0);
	for (i = 0; i < WORKERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &dev));
	for (i = 0; i < WORKERS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &bad));
		EXPECT_EQ(0, (long)bad);
	}
	EXPECT_TRUE(settles(0));
}

#define PAIRS 50000

/*
 * Charged, then refused by a file that is not there, so that a charge and its
 * return is all that is done. Return: how often that was not so.
 */
static int charge_and_return(int dev, int nr)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_FILE, 1);
	int bad = 0;

	c.backing_fd = 1000;
	for (; nr; nr--)
		bad += create(dev, &c) >= 0 ||
		       (errno != EBADF && errno != EDQUOT);
	return bad;
}

/* Hundreds of thousands of charges, from all processors, in nested groups. */
TEST_TIMEOUT(nothing_drifts, 120)
{
	static const char *const groups[] = { "/drift", "/drift/a",
					      "/drift/a/b" };
	int nr = PAIRS / (int)tap_slow(), dev = device_open(), i;
	struct holder keep;
	pid_t pids[4];

	ASSERT_GE(dev, 0);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, cg_create(groups[i]));
	/* Now and then one of three finds no room. */
	ASSERT_EQ(0, tmk_limit("/drift/a", "max", "12K"));
	keep = hold("/drift/a/b", TMK_IOC_KIND_PINNED, PAGE_BYTES);
	ASSERT_EQ(0, keep.err);
	for (i = 0; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(cg_enter(groups[i % 3]) ||
			      charge_and_return(dev, nr));
	}
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, wait_status(pids[i]));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(PAGE_BYTES, tmk_number(cg_id(groups[i]), "current"));
		EXPECT_EQ(PAGE_BYTES,
			  tmk_number(cg_id(groups[i]), "physical_current"));
	}
	EXPECT_EQ(PAGE_BYTES, machine("current"));
	EXPECT_EQ(0, read_key(SYSFS "/by_kind", "file"));
	EXPECT_EQ(PAGE_BYTES, read_key(SYSFS "/by_kind", "pinned"));
	let_go(&keep);
	EXPECT_TRUE(settles(0));
	ASSERT_EQ(0, tmk_limit("/drift/a", "max", "max"));
	for (i = 2; i >= 0; i--)
		EXPECT_EQ(0, cg_destroy(groups[i]));
}

/* Groups come and go under the feet of those who are charged. */
TEST_TIMEOUT(groups_are_removed_meanwhile, 120)
{
	int dev = device_open();
	int round, i;

	ASSERT_GE(dev, 0);
	for (round = 0; round < 20; round++) {
		pid_t pids[4];

		ASSERT_EQ(0, cg_create("/gone"));
		for (i = 0; i < 4; i++) {
			pids[i] = fork();
			if (!pids[i]) {
				if (cg_enter("/gone"))
					_exit(1);
				create_simple(dev, TMK_IOC_KIND_HUGE, 1);
				if (cg_enter("/"))
					_exit(2);
				sleep_ms(20);
				_exit(0);
			}
		}
		cg_destroy("/gone");
		for (i = 0; i < 4; i++) {
			if (i & 1)
				kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
		cg_destroy("/gone");
	}
	EXPECT_TRUE(settles(0));
}

/* Limits change while others charge against them. */
TEST_TIMEOUT(limits_race_with_charges, 120)
{
	int *stop = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int dev = device_open();
	pid_t pids[4];
	int i;

	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, cg_create("/race"));
	for (i = 0; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			if (cg_enter("/race"))
				_exit(1);
			hammer(dev, i + 100, stop);
			_exit(0);
		}
	}
	for (i = 0; i < 300; i++) {
		tmk_limit("/race", i & 1 ? "max" : "physical_max",
			  i % 3 ? "4M" : "max");
		tmk_limit("/race", i & 1 ? "max" : "physical_max", "max");
	}
	*stop = 1;
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, wait_status(pids[i]));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/race"));
}

/* Open a descriptor of this process by its number, until told to stop. */
struct opener {
	int fd;
	bool stop;
	long tries, opened, refused, bad;
};

static void *open_again(void *arg)
{
	struct opener *o = arg;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED)) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		__atomic_add_fetch(&o->tries, 1, __ATOMIC_RELAXED);
		if (fd >= 0) {
			o->opened++;
			close(fd);
		} else if (errno == ENXIO || errno == ENOENT) {
			o->refused++;
		} else {
			o->bad++;
		}
	}
	return NULL;
}

/* Whoever opens a region while it is closed for the last time has it or not. */
TEST_TIMEOUT(opening_races_with_the_last_close, 120)
{
	struct opener o = { .fd = 200 };
	int dev = device_open();
	pthread_t thread;
	long tries;
	int i;

	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_again, &o));
	for (i = 0; i < 1500; i++) {
		int fd = create_simple(dev, TMK_IOC_KIND_PINNED, PAGE_BYTES);

		ASSERT_GE(fd, 0);
		ASSERT_EQ(o.fd, dup2(fd, o.fd));
		close(fd);
		/* Now at once, now in the middle of a later attempt. */
		tries = __atomic_load_n(&o.tries, __ATOMIC_RELAXED) + i % 4;
		while (__atomic_load_n(&o.tries, __ATOMIC_RELAXED) < tries)
			sched_yield();
		close(o.fd);
	}
	__atomic_store_n(&o.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_LT(0, o.opened);
	EXPECT_LT(0, o.refused);
	EXPECT_EQ(0, o.bad);
	EXPECT_TRUE(settles(0));
}

/* Takes regions, maps, fills and forks until somebody kills it. */
static void live(int dev, unsigned int seed)
{
	for (;;) {
		uint64_t bytes = (rand_r(&seed) % 512 + 1) * PAGE_BYTES;
		int fd = create_simple(dev, rand_r(&seed) % 2 + 1, bytes);
		char *p = map(fd, bytes);

		if (p != MAP_FAILED)
			memset(p, 1, bytes);
		if (rand_r(&seed) % 4 == 0 && !fork())
			_exit(0);
		if (rand_r(&seed) % 2 && p != MAP_FAILED)
			munmap(p, bytes);
		close(fd);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* Whatever a process was doing when it was killed, nothing of it is left. */
TEST_TIMEOUT(killed_at_any_moment, 120)
{
	int dev = device_open();
	unsigned int seed = 7;
	int round, i;

	ASSERT_GE(dev, 0);
	for (round = 0; round < 25; round++) {
		pid_t pids[4];

		for (i = 0; i < 4; i++) {
			pids[i] = fork();
			if (!pids[i])
				live(dev, round * 4 + i);
		}
		/* Any moment will do: the shorter, the more often. */
		sleep_ms(rand_r(&seed) % 60);
		for (i = 0; i < 4; i++) {
			kill(pids[i], SIGKILL);
			EXPECT_EQ(SIGKILL, WTERMSIG(wait_status(pids[i])));
		}
	}
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, read_key(SYSFS "/by_kind", "pinned"));
	EXPECT_EQ(0, read_key(SYSFS "/by_kind", "huge"));
}

TEST_HARNESS_MAIN
