// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The effective limits: of all that apply, the one with the least room, for what
 * does not occupy RAM, for what does, and for what is pinned. What there is room
 * for is had, and a page more is refused by the limit that was named.
 */
#include "machine.h"

static struct tmk_limits_effective now(void)
{
	struct tmk_limits_effective limits;

	memset(&limits, 0xff, sizeof(limits));
	if (tmk_limits_effective(&limits))
		TH_LOG("%s", tmk_error_last());
	return limits;
}

static bool same(const struct tmk_limit_state *a,
		 const struct tmk_limit_state *b)
{
	return a->limit == b->limit && a->max == b->max && a->used == b->used &&
	       a->room == b->room && !strcmp(a->where, b->where);
}

static bool is(const struct tmk_limit_state *state, enum tmk_limit limit,
	       uint64_t used, uint64_t max, const char *where)
{
	if (state->limit == limit && state->used == used && state->max == max &&
	    !strcmp(state->where, where))
		return true;
	TH_LOG("%s of \"%s\": %llu of %llu used", tmk_limit_name(state->limit),
	       state->where, (unsigned long long)state->used,
	       (unsigned long long)state->max);
	return false;
}

/* What there is room for is had; a page more is refused by that limit. */
static void room_is_exact(enum tmk_kind kind)
{
	uint64_t page = kind == TMK_KIND_HUGE ? 2 * MIB : 4096, room;
	struct tmk_limits_effective limits = now();
	struct tmk_limit_state *row = &limits.all;
	struct tmk_region *region = NULL;
	struct tmk_refusal r;
	int err;

	if (kind != TMK_KIND_FILE)
		row = kind == TMK_KIND_HUGE ? &limits.physical : &limits.pinned;
	room = row->room & ~(page - 1);
	err = create(&region, room + page, kind, 0);
	EXPECT_EQ(row->limit == TMK_LIMIT_CGROUP ||
				  row->limit == TMK_LIMIT_CGROUP_PHYSICAL ?
			  -EDQUOT :
			  -ENOMEM,
		  err);
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(row->limit, r.limit);
	EXPECT_EQ(row->max, r.max);
	EXPECT_EQ(row->used, r.used);
	EXPECT_STREQ(row->where, r.where);
	EXPECT_NULL(region);
	if (!room)
		return;
	EXPECT_EQ(0, create(&region, room, kind, 0));
	tmk_region_put(region);
}

TEST(limit_on_all_bytes)
{
	struct tmk_limits_effective limits;
	struct tmk_region *region;

	ASSERT_EQ(0, limit(16 * MIB));
	ASSERT_EQ(0, create(&region, 4 * MIB, TMK_KIND_HUGE, 0));
	limits = now();
	EXPECT_TRUE(is(&limits.all, TMK_LIMIT_PROCESS, 4 * MIB, 16 * MIB,
		       "TMK_MAX_BYTES"));
	EXPECT_EQ(12 * MIB, limits.all.room);
	/* Bytes in RAM are among them. */
	EXPECT_TRUE(same(&limits.all, &limits.physical));
	room_is_exact(TMK_KIND_HUGE);
	/* Below what is in use there is none. */
	ASSERT_EQ(0, limit(MIB));
	limits = now();
	EXPECT_TRUE(is(&limits.all, TMK_LIMIT_PROCESS, 4 * MIB, MIB,
		       "TMK_MAX_BYTES"));
	EXPECT_EQ(0, limits.all.room);
	room_is_exact(TMK_KIND_HUGE);
	tmk_region_put(region);
}

TEST(limit_on_bytes_in_ram)
{
	struct tmk_limits own = { TMK_UNLIMITED, 8 * MIB };
	struct tmk_limits_effective limits;

	ASSERT_EQ(0, tmk_limits_set(&own));
	limits = now();
	EXPECT_TRUE(is(&limits.physical, TMK_LIMIT_PROCESS_PHYSICAL, 0, 8 * MIB,
		       "TMK_MAX_PHYSICAL_BYTES"));
	EXPECT_EQ(8 * MIB, limits.physical.room);
	/* It is none on files. */
	EXPECT_TRUE(is(&limits.all, TMK_LIMIT_NONE, 0, TMK_UNLIMITED, ""));
	EXPECT_TRUE(limits.all.room == TMK_UNLIMITED);
	room_is_exact(TMK_KIND_HUGE);
}

/* There is always one: the machine is not without end. */
TEST(no_limit_is_set)
{
	struct tmk_limits own = { TMK_UNLIMITED, TMK_UNLIMITED };
	struct tmk_limits_effective limits;
	uint64_t total;

	ASSERT_EQ(0, tmk__meminfo(&total, NULL));
	ASSERT_EQ(0, tmk_limits_set(&own));
	limits = now();
	EXPECT_TRUE(limits.physical.limit == TMK_LIMIT_MEMORY ||
		    limits.physical.limit == TMK_LIMIT_MEMCG ||
		    (on_dev() &&
		     limits.physical.limit == TMK_LIMIT_CGROUP_PHYSICAL));
	EXPECT_LT(0, limits.physical.room);
	EXPECT_LE(limits.physical.room, total);
	EXPECT_LE(limits.pinned.room, limits.physical.room);
}

static void unlimited_user(void)
{
	setenv("TMK_BACKEND", "user", 1);
	setenv("TMK_MAX_BYTES", "max", 1);
	setenv("TMK_MAX_PHYSICAL_BYTES", "max", 1);
}

/* The tightest memory.max, wherever above the process it is. */
TEST(memory_max)
{
	struct tmk_limits_effective limits;

	ASSERT_EQ(0, machine_make(V2, "0::/team/job\n"));
	ASSERT_EQ(0, group("/team", "33554432\n", "20971520\n"));
	ASSERT_EQ(0, group("/team/job", "25165824\n", "0\n"));
	unlimited_user();
	limits = now();
	EXPECT_TRUE(is(&limits.physical, TMK_LIMIT_MEMCG, 20 * MIB, 32 * MIB,
		       "/team"));
	/* Twelve of which the kernel needs some itself. */
	EXPECT_LT(11 * MIB, limits.physical.room);
	EXPECT_LT(limits.physical.room, 12 * MIB);
	EXPECT_EQ(TMK_LIMIT_NONE, limits.all.limit);
	room_is_exact(TMK_KIND_HUGE);
	ASSERT_EQ(0, group("/team/job", "25165824\n", "16777216\n"));
	limits = now();
	EXPECT_TRUE(is(&limits.physical, TMK_LIMIT_MEMCG, 16 * MIB, 24 * MIB,
		       "/team/job"));
	/* Less than the kernel needs itself, and more than there is. */
	ASSERT_EQ(0, group("/team", "33554432\n", "33454432\n"));
	EXPECT_EQ(0, now().physical.room);
	ASSERT_EQ(0, group("/team", "33554432\n", "43554432\n"));
	limits = now();
	EXPECT_EQ(0, limits.physical.room);
	EXPECT_STREQ("/team", limits.physical.where);
	/* The process's own, which it takes its part of, may be tighter. */
	ASSERT_EQ(0, group("/team", "max\n", "0\n"));
	ASSERT_EQ(0, limit(2 * MIB));
	limits = now();
	EXPECT_EQ(TMK_LIMIT_PROCESS, limits.physical.limit);
	EXPECT_EQ(2 * MIB, limits.physical.room);
}

TEST(cgroup_v1_only)
{
	struct tmk_limits_effective limits;

	ASSERT_EQ(0, machine_make("30 23 0:26 / /sys/fs/cgroup/memory rw - "
				  "cgroup cgroup rw,memory\n",
				  "4:memory:/a\n"));
	unlimited_user();
	limits = now();
	EXPECT_TRUE(is(&limits.physical, TMK_LIMIT_MEMORY, 124 * MIB,
		       1024 * MIB, ""));
	EXPECT_EQ(900 * MIB, limits.physical.room);
}

static int memlock_binds(void *arg)
{
	struct tmk_limits_effective limits;
	struct tmk_region *region;

	(void)arg;
	ASSERT_EQ(0, memlock_set(7 * MIB + 100));
	/* The device is root's; what may be locked is found out by opening. */
	if (!on_dev())
		ASSERT_EQ(0, tmk_close());
	ASSERT_EQ(0, become_nobody());
	if (on_dev()) {
		limits = now();
		EXPECT_TRUE(same(&limits.pinned, &limits.physical));
		return 0;
	}
	ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_PINNED, 0));
	limits = now();
	EXPECT_TRUE(is(&limits.pinned, TMK_LIMIT_MEMLOCK, 2 * MIB,
		       7 * MIB + 100, "RLIMIT_MEMLOCK"));
	EXPECT_EQ(5 * MIB, limits.pinned.room);
	EXPECT_NE(TMK_LIMIT_MEMLOCK, limits.physical.limit);
	room_is_exact(TMK_KIND_PINNED);
	tmk_region_put(region);
	ASSERT_EQ(0, memlock_set(0));
	EXPECT_EQ(0, now().pinned.room);
	room_is_exact(TMK_KIND_PINNED);
	return 0;
}

TEST(memlock)
{
	EXPECT_EQ(0, in_child(memlock_binds, NULL));
}

/* One group in another: the tighter one counts, whichever it is. */
TEST(module_limits_of_cgroups)
{
	struct tmk_limits_effective limits;
	struct tmk_region *region;

	if (!on_dev())
		SKIP(return, "needs the module");
	ASSERT_EQ(0, enter_group("tmk-outer", "max", "16M"));
	ASSERT_EQ(0, enter_group("tmk-outer/inner", "physical_max", "12M"));
	ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_HUGE, 0));
	limits = now();
	EXPECT_TRUE(is(&limits.all, TMK_LIMIT_CGROUP, 2 * MIB, 16 * MIB,
		       "/tmk-outer"));
	EXPECT_EQ(14 * MIB, limits.all.room);
	EXPECT_TRUE(is(&limits.physical, TMK_LIMIT_CGROUP_PHYSICAL, 2 * MIB,
		       12 * MIB, "/tmk-outer/inner"));
	EXPECT_EQ(10 * MIB, limits.physical.room);
	EXPECT_TRUE(same(&limits.pinned, &limits.physical));
	room_is_exact(TMK_KIND_HUGE);
	room_is_exact(TMK_KIND_PINNED);
	room_is_exact(TMK_KIND_FILE);
	/* Whoever else is in the group uses it up, too. */
	ASSERT_EQ(0, put_file("/tmk-outer max=9M", "/sys/kernel/tmk/control"));
	limits = now();
	EXPECT_TRUE(is(&limits.physical, TMK_LIMIT_CGROUP, 2 * MIB, 9 * MIB,
		       "/tmk-outer"));
	tmk_region_put(region);
	leave_group("tmk-outer/inner");
	leave_group("tmk-outer");
}

TEST(every_step_fails_once)
{
	struct tmk_limits_effective before, limits;
	unsigned long nth;
	int err, fds;

	ASSERT_EQ(0, tmk_open(NULL));
	memset(&before, 0xaa, sizeof(before));
	fds = fds_nr();
	for (nth = 1; nth < 100; nth++) {
		limits = before;
		tmk__fault_arm(NULL, nth);
		err = tmk_limits_effective(&limits);
		tmk__fault_arm(NULL, 0);
		if (!tmk__fault_fired())
			break;
		if (err)
			EXPECT_EQ(0, memcmp(&before, &limits, sizeof(before)));
		EXPECT_EQ(fds, fds_nr());
	}
	EXPECT_EQ(0, err);
	EXPECT_LE(3, nth);
}

TEST(bad_arguments)
{
	struct tmk_limits_effective limits;

	EXPECT_EQ(-EINVAL, tmk_limits_effective(NULL));
	setenv("TMK_MAX_BYTES", "lots", 1);
	EXPECT_EQ(-EINVAL, tmk_limits_effective(&limits));
	unsetenv("TMK_MAX_BYTES");
	ASSERT_EQ(0, tmk_open(NULL));
	tmk__proc_root = "/nowhere";
	EXPECT_EQ(-ENOENT, tmk_limits_effective(&limits));
	EXPECT_TRUE(says("/proc/meminfo"));
}

TEST_HARNESS_MAIN
