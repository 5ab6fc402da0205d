// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Waiting instead of trying again: on /dev/tmk and on a group's events, for
 * refusals and for room that comes back. Whoever waits is another process than
 * the one that refuses or frees, and really sleeps.
 */
#include "cg_util.h"

#include <poll.h>
#include <sys/epoll.h>

#define GROUP "/pw"
#define OTHER "/px"

FIXTURE(poll)
{
	int dev;
	unsigned long long id;
	struct holder holder;
};

FIXTURE_SETUP(poll)
{
	ASSERT_TRUE(settles(0));
	cg_destroy(GROUP "/sub");
	cg_destroy(GROUP);
	cg_destroy(OTHER);
	ASSERT_EQ(0, cg_create(GROUP));
	ASSERT_EQ(0, cg_create(OTHER));
	ASSERT_EQ(0, cg_create(GROUP "/sub"));
	ASSERT_EQ(0, tmk_limit(GROUP, "max", "4M"));
	ASSERT_EQ(0, tmk_limit(OTHER, "max", "4M"));
	self->id = cg_id(GROUP);
	self->holder = hold(GROUP, TMK_IOC_KIND_HUGE, 4 * MIB);
	ASSERT_EQ(0, self->holder.err);
	ASSERT_EQ(0, cg_enter(GROUP "/sub"));
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(poll)
{
	if (self->holder.go >= 0)
		let_go(&self->holder);
	close(self->dev);
	EXPECT_EQ(0, cg_enter(""));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy(GROUP "/sub"));
	EXPECT_EQ(0, cg_destroy(GROUP));
	EXPECT_EQ(0, cg_destroy(OTHER));
}

static int poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Do @what in another process in @ms milliseconds. */
static pid_t later(int ms, void (*what)(void *), void *arg)
{
	pid_t pid = fork();

	if (!pid) {
		sleep_ms(ms);
		what(arg);
		_exit(0);
	}
	return pid;
}

static void do_let_go(void *arg)
{
	struct holder *h = arg;

	tell(h->go);
}

static void do_refuse(void *arg)
{
	int dev = device_open();

	if (cg_enter(arg))
		_exit(1);
	create_simple(dev, TMK_IOC_KIND_HUGE, 64 * MIB);
}

static void do_raise(void *arg)
{
	if (tmk_limit(arg, "max", "64M"))
		_exit(1);
}

static void look(int dev)
{
	struct tmk_ioc_usage usage = { .size = sizeof(usage) };

	EXPECT_EQ(0, ioctl(dev, TMK_IOC_USAGE, &usage));
}

/* Sleep until @events come and see that it took about @ms. */
static void expect_woken(int fd, short events, short want, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	long begin = now_ms();

	EXPECT_EQ(1, poll(&p, 1, 20000));
	EXPECT_EQ(want, p.revents & want);
	/* Not at once: there was something to wait for. */
	EXPECT_GE(now_ms() - begin, ms / 2);
}

TEST_F(poll, quiet_while_nothing_is_refused)
{
	int fd;

	EXPECT_EQ(0, poll_now(self->dev));
	/* Memory that comes and goes wakes nobody who was not refused. */
	let_go(&self->holder);
	self->holder.go = -1;
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, 2 * MIB);
	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(0, poll_now(self->dev));
}

TEST_F(poll, room_after_a_refusal)
{
	pid_t pid;
	int fd;

	test_err(EDQUOT, create_simple(self->dev, TMK_IOC_KIND_HUGE, 1));
	EXPECT_EQ(POLLPRI, poll_now(self->dev));
	pid = later(300, do_let_go, &self->holder);
	expect_woken(self->dev, POLLIN, POLLIN, 300);
	wait_status(self->holder.pid);
	wait_status(pid);
	close(self->holder.go);
	self->holder.go = -1;
	/* It is still said until somebody tries or looks. */
	EXPECT_EQ(POLLIN | POLLPRI, poll_now(self->dev));
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, 1);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(POLLPRI, poll_now(self->dev));
	look(self->dev);
	EXPECT_EQ(0, poll_now(self->dev));
	close(fd);
}

TEST_F(poll, a_second_refusal_waits_again)
{
	int fd, kept;

	test_err(EDQUOT, create_simple(self->dev, TMK_IOC_KIND_HUGE, 1));
	let_go(&self->holder);
	self->holder.go = -1;
	EXPECT_EQ(POLLIN, poll_now(self->dev) & POLLIN);
	kept = create_simple(self->dev, TMK_IOC_KIND_HUGE, 4 * MIB);
	ASSERT_GE(kept, 0);
	test_err(EDQUOT, create_simple(self->dev, TMK_IOC_KIND_HUGE, 1));
	/* What was there before is no answer to this one. */
	EXPECT_EQ(0, poll_now(self->dev) & POLLIN);
	close(kept);
	EXPECT_EQ(POLLIN, poll_now(self->dev) & POLLIN);
	fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, 1);
	EXPECT_GE(fd, 0);
	close(fd);
}

TEST_F(poll, a_higher_limit_is_room_as_well)
{
	pid_t pid;

	test_err(EDQUOT, create_simple(self->dev, TMK_IOC_KIND_HUGE, 1));
	pid = later(300, do_raise, GROUP);
	expect_woken(self->dev, POLLIN, POLLIN, 300);
	EXPECT_EQ(0, wait_status(pid));
}

TEST_F(poll, refusals_are_seen_by_others_below_the_limit)
{
	pid_t pid = later(300, do_refuse, GROUP);

	expect_woken(self->dev, POLLPRI, POLLPRI, 300);
	wait_status(pid);
	look(self->dev);
	EXPECT_EQ(0, poll_now(self->dev));
}

TEST_F(poll, other_groups_do_not_matter)
{
	struct pollfd p = { .fd = self->dev, .events = POLLIN | POLLPRI };
	pid_t pid = later(50, do_refuse, OTHER);

	EXPECT_EQ(0, poll(&p, 1, 1000));
	wait_status(pid);
}

TEST_F(poll, epoll_on_an_edge)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	pid_t pid;

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->dev, &ev));
	test_err(EDQUOT, create_simple(self->dev, TMK_IOC_KIND_HUGE, 1));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	pid = later(200, do_let_go, &self->holder);
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 20000));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 100));
	wait_status(self->holder.pid);
	wait_status(pid);
	close(self->holder.go);
	self->holder.go = -1;
	close(ep);
}

static int open_events(const char *path)
{
	char text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text)) < 0)
		return -1;
	return fd;
}

TEST_F(poll, sysfs_says_refusals_and_room)
{
	static const char *const files[] = { "events", "events.local" };
	char path[PATH_MAX];
	pid_t pid;
	int fd, i;

	for (i = 0; i < 2; i++) {
		unsigned long long refused, room;

		tmk_path(path, self->id, files[i]);
		refused = read_key(path, "max");
		room = read_key(path, "room");
		fd = open_events(path);
		ASSERT_GE(fd, 0);
		pid = later(300, do_refuse, GROUP);
		expect_woken(fd, POLLPRI, POLLPRI, 300);
		EXPECT_EQ(0, wait_status(pid));
		EXPECT_EQ(refused + 1, read_key(path, "max"));
		close(fd);

		fd = open_events(path);
		pid = later(300, do_raise, GROUP);
		expect_woken(fd, POLLPRI, POLLPRI, 300);
		EXPECT_EQ(0, wait_status(pid));
		EXPECT_EQ(room + 1, read_key(path, "room"));
		close(fd);
		ASSERT_EQ(0, tmk_limit(GROUP, "max", "4M"));
	}
	/* The machine's file tells of it as well. */
	fd = open_events(SYSFS "/events");
	pid = later(300, do_refuse, GROUP);
	expect_woken(fd, POLLPRI, POLLPRI, 300);
	wait_status(pid);
	close(fd);
}

/* Nobody sleeps for ever, however refusing and freeing fall together. */
TEST_F_TIMEOUT(poll, no_wakeup_is_lost, 120)
{
	int round, fd;

	let_go(&self->holder);
	self->holder.go = -1;
	/* Small regions: the less happens in between, the closer the race. */
	ASSERT_EQ(0, tmk_limit(GROUP, "max", "4K"));
	for (round = 0; round < 200; round++) {
		struct pollfd p = { .fd = self->dev, .events = POLLIN };
		pid_t pid;

		fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, 1);
		ASSERT_GE(fd, 0);
		pid = fork();
		if (!pid) {
			volatile int spin = round * 200;

			while (spin--)
				;
			_exit(0); /* with the last descriptor */
		}
		close(fd);
		for (;;) {
			fd = create_simple(self->dev, TMK_IOC_KIND_PINNED, 1);
			if (fd >= 0)
				break;
			ASSERT_EQ(EDQUOT, errno);
			ASSERT_EQ(1, poll(&p, 1, 10000));
		}
		close(fd);
		wait_status(pid);
	}
}

TEST_HARNESS_MAIN
