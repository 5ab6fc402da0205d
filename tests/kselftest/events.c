// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Refusals are counted where the limit is and above, and wake who waits there.
 *
 *	/  (machine)
 *	└── ev
 *	    └── sub
 *	        └── leaf	all requests come from here
 */
#include "cg_util.h"

#include <poll.h>

#define LEAF "/ev/sub/leaf"

static const char *const groups[] = { "/ev", "/ev/sub", LEAF };

#define GROUPS 3

FIXTURE(events)
{
	unsigned long long id[GROUPS];
	unsigned long long machine_max, machine_local;
};

FIXTURE_SETUP(events)
{
	int i;

	ASSERT_TRUE(settles(0));
	for (i = GROUPS - 1; i >= 0; i--)
		cg_destroy(groups[i]);
	for (i = 0; i < GROUPS; i++) {
		ASSERT_EQ(0, cg_create(groups[i]));
		/* Known, so that there is something to look at. */
		ASSERT_EQ(0, tmk_limit(groups[i], "max", "1G"));
		self->id[i] = cg_id(groups[i]);
	}
	self->machine_max = read_key(SYSFS "/events", "max");
	self->machine_local = read_key(SYSFS "/events.local", "max");
}

FIXTURE_TEARDOWN(events)
{
	int i;

	EXPECT_TRUE(settles(0));
	for (i = GROUPS - 1; i >= 0; i--)
		EXPECT_EQ(0, cg_destroy(groups[i]));
}

static void refuse(unsigned int kind, uint64_t bytes)
{
	struct holder h = hold(LEAF, kind, bytes);

	EXPECT_EQ(EDQUOT, h.err);
	let_go(&h);
}

static unsigned long long count(unsigned long long id, const char *file,
				const char *key)
{
	char path[PATH_MAX];

	tmk_path(path, id, file);
	return read_key(path, key);
}

TEST_F(events, counted_at_the_limit_and_above)
{
	int level, i;

	for (level = 0; level < GROUPS; level++) {
		ASSERT_EQ(0, tmk_limit(groups[level], "max", "4K"));
		refuse(TMK_IOC_KIND_PINNED, 8192);
		for (i = 0; i < GROUPS; i++) {
			/* Each level refused once so far, down to this one. */
			EXPECT_EQ(i <= level ? 1 : 0,
				  count(self->id[i], "events.local", "max"));
			EXPECT_EQ(i <= level ? level - i + 1 : 0,
				  count(self->id[i], "events", "max"));
			EXPECT_EQ(0,
				  count(self->id[i], "events", "physical_max"));
		}
		ASSERT_EQ(0, tmk_limit(groups[level], "max", "1G"));
		EXPECT_EQ(self->machine_max + level + 1,
			  read_key(SYSFS "/events", "max"));
	}
	EXPECT_EQ(self->machine_local, read_key(SYSFS "/events.local", "max"));
}

TEST_F(events, each_limit_has_its_own_count)
{
	ASSERT_EQ(0, tmk_limit("/ev/sub", "physical_max", "4K"));
	refuse(TMK_IOC_KIND_HUGE, 1);
	refuse(TMK_IOC_KIND_HUGE, 1);
	EXPECT_EQ(2, count(self->id[1], "events.local", "physical_max"));
	EXPECT_EQ(0, count(self->id[1], "events.local", "max"));
	EXPECT_EQ(2, count(self->id[0], "events", "physical_max"));
	EXPECT_EQ(0, count(self->id[0], "events.local", "physical_max"));
}

/* A success and a refusal by memory.max are no events of these limits. */
TEST_F(events, nothing_else_is_counted)
{
	struct holder h = hold(LEAF, TMK_IOC_KIND_HUGE, 1);

	ASSERT_EQ(0, h.err);
	let_go(&h);
	ASSERT_EQ(0, cg_write("/ev", "memory.max", "8M"));
	h = hold(LEAF, TMK_IOC_KIND_HUGE, 32 * MIB);
	EXPECT_EQ(ENOMEM, h.err);
	let_go(&h);
	EXPECT_EQ(0, count(self->id[2], "events", "max"));
	EXPECT_EQ(0, count(self->id[0], "events", "max"));
	EXPECT_EQ(0, count(self->id[0], "events", "physical_max"));
}

/* A file that was read once, and so waits for the next change. */
static struct pollfd watch(unsigned long long id, const char *file)
{
	struct pollfd p = { .events = POLLPRI };
	char path[PATH_MAX], text[128];

	tmk_path(path, id, file);
	p.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p.fd < 0 || read(p.fd, text, sizeof(text)) <= 0)
		abort();
	return p;
}

TEST_F(events, wake_those_who_wait_at_the_limit_and_above)
{
	struct pollfd p[] = {
		watch(1, "events"),
		watch(self->id[0], "events"),
		watch(self->id[1], "events"),
		watch(self->id[1], "events.local"),
		/* Not concerned: */
		watch(self->id[2], "events"),
		watch(self->id[2], "events.local"),
		watch(self->id[0], "events.local"),
	};
	const int nr = sizeof(p) / sizeof(p[0]), concerned = 4;
	int i;

	EXPECT_EQ(0, poll(p, nr, 0));
	ASSERT_EQ(0, tmk_limit("/ev/sub", "max", "0"));
	EXPECT_EQ(0, poll(p, nr, 0));
	refuse(TMK_IOC_KIND_PINNED, 1);
	/* They were woken before the request came back. */
	EXPECT_EQ(concerned, poll(p, nr, 0));
	for (i = 0; i < nr; i++)
		EXPECT_EQ(i < concerned, !!(p[i].revents & POLLPRI));
	for (i = 0; i < nr; i++)
		close(p[i].fd);
}

/* poll() that sleeps is woken, once for each refusal that was read. */
TEST_F(events, a_sleeper_is_woken_each_time)
{
	int ready[2], woken[2], i;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(woken));
	ASSERT_EQ(0, tmk_limit("/ev", "max", "0"));
	pid = fork();
	if (!pid) {
		struct pollfd p = watch(self->id[0], "events.local");
		char text[128];

		for (i = 0; i < 3; i++) {
			tell(ready[1]);
			if (poll(&p, 1, -1) != 1)
				_exit(1);
			if (pread(p.fd, text, sizeof(text), 0) <= 0)
				_exit(2);
			if (strtol(text + 4, NULL, 10) != i + 1)
				_exit(3);
			tell(woken[1]);
		}
		_exit(0);
	}
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(hear(ready[0]));
		refuse(TMK_IOC_KIND_PINNED, 1);
		ASSERT_TRUE(hear(woken[0]));
	}
	EXPECT_EQ(0, wait_status(pid));
}

TEST_HARNESS_MAIN
