// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * The kernel's own limit, memory.max, beside tmk's: it holds, it refuses and
 * does not kill, what can be reclaimed is reclaimed first, and the answer names
 * the group whose limit it was.
 *
 *	/
 *	└── mem
 *	    └── in
 */
#include "cg_util.h"

FIXTURE(memcg)
{
	unsigned long long mem, in;
};

FIXTURE_VARIANT(memcg)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(memcg, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(memcg, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_SETUP(memcg)
{
	ASSERT_TRUE(settles(0));
	cg_destroy("/mem/in");
	cg_destroy("/mem");
	ASSERT_EQ(0, cg_create("/mem"));
	ASSERT_EQ(0, cg_write("/mem", "cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, cg_create("/mem/in"));
	self->mem = cg_id("/mem");
	self->in = cg_id("/mem/in");
}

static unsigned long long mem_number(const char *group, const char *file)
{
	char path[PATH_MAX];

	cg_path(path, group, file);
	return read_number(path);
}

static unsigned long long mem_event(const char *group, const char *key)
{
	char path[PATH_MAX];

	cg_path(path, group, "memory.events");
	return read_key(path, key);
}

FIXTURE_TEARDOWN(memcg)
{
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, mem_event("/mem", "oom_kill"));
	EXPECT_EQ(0, mem_event("/mem", "oom"));
	EXPECT_EQ(0, cg_destroy("/mem/in"));
	EXPECT_EQ(0, cg_destroy("/mem"));
}

TEST_F(memcg, the_group_that_refused_is_named)
{
	const char *const at[] = { "/mem", "/mem/in" };
	unsigned long long ids[] = { self->mem, self->in };
	int i;

	for (i = 0; i < 2; i++) {
		struct holder h;

		ASSERT_EQ(0, cg_write(at[i], "memory.max", "12M"));
		h = hold("/mem/in", variant->kind, 24 * MIB);
		EXPECT_EQ(ENOMEM, h.err);
		EXPECT_EQ(TMK_IOC_REFUSAL_MEMCG, h.cmd.out_refusal);
		EXPECT_EQ(ids[i], h.cmd.out_refusal_cgroup);
		EXPECT_EQ(12 * MIB, h.cmd.out_refusal_limit);
		/* What the failed request itself had taken is not in use. */
		EXPECT_GT(4 * MIB, h.cmd.out_refusal_used);
		EXPECT_EQ(0, machine("current"));
		EXPECT_GT(4 * MIB, mem_number("/mem", "memory.current"));
		let_go(&h);
		ASSERT_EQ(0, cg_write(at[i], "memory.max", "max"));
	}
}

TEST_F(memcg, what_fits_beside_it_is_had)
{
	struct holder h, more;

	ASSERT_EQ(0, cg_write("/mem", "memory.max", "24M"));
	h = hold("/mem/in", variant->kind, 16 * MIB);
	ASSERT_EQ(0, h.err);
	EXPECT_LE(16 * MIB, mem_number("/mem", "memory.current"));
	more = hold("/mem/in", variant->kind, 16 * MIB);
	EXPECT_EQ(ENOMEM, more.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_MEMCG, more.cmd.out_refusal);
	EXPECT_LE(16 * MIB, more.cmd.out_refusal_used);
	/* The refusal took nothing from the one who was there first. */
	EXPECT_EQ(16 * MIB, tmk_number(self->in, "current"));
	let_go(&more);
	let_go(&h);
	EXPECT_TRUE(settles(0));
	EXPECT_GT(4 * MIB, mem_number("/mem", "memory.current"));
}

#define DISK "/dev/ram1"
#define DISK_BYTES (16 * MIB) /* as brd makes them */

/* Read @disk from inside the group, which pays for the cache of it. */
static int fill_cache(const char *group, int disk)
{
	static char buf[MIB];
	pid_t pid = fork();
	size_t at;

	if (pid)
		return wait_status(pid);
	if (cg_enter(group))
		_exit(1);
	for (at = 0; at < DISK_BYTES; at += sizeof(buf))
		if (pread(disk, buf, sizeof(buf), at) != sizeof(buf))
			_exit(2);
	_exit(0);
}

/* Pages that can be read again are no reason to refuse. */
TEST_F(memcg, page_cache_makes_way)
{
	/* Open all the while: the cache of a disk goes with its last user. */
	int disk = open(DISK, O_RDONLY | O_CLOEXEC);
	struct holder h;

	ASSERT_GE(disk, 0);
	ASSERT_EQ(0, cg_write("/mem", "memory.max", "24M"));
	ASSERT_EQ(0, fill_cache("/mem/in", disk));
	ASSERT_LE(DISK_BYTES - MIB, mem_number("/mem", "memory.current"));
	h = hold("/mem/in", variant->kind, 16 * MIB);
	EXPECT_EQ(0, h.err);
	EXPECT_LE(16 * MIB, mem_number("/mem", "memory.current"));
	EXPECT_LT(0, mem_event("/mem", "max"));
	let_go(&h);
	close(disk);
}

/* Both limits are there: the first that is in the way answers. */
TEST_F(memcg, a_limit_of_tmk_answers_before_memory_is_touched)
{
	struct holder h;

	ASSERT_EQ(0, cg_write("/mem", "memory.max", "12M"));
	ASSERT_EQ(0, tmk_limit("/mem", "max", "16M"));
	h = hold("/mem/in", variant->kind, 24 * MIB);
	EXPECT_EQ(EDQUOT, h.err);
	EXPECT_EQ(TMK_IOC_REFUSAL_MAX, h.cmd.out_refusal);
	EXPECT_EQ(0, mem_event("/mem", "max"));
	let_go(&h);
}

/* The charge of the memory itself goes to the creator, and stays there. */
TEST_F(memcg, memory_stays_with_the_creators_group)
{
	struct holder h = hold("/mem/in", variant->kind, 8 * MIB);
	int pidfd, fd;
	char *p;

	ASSERT_EQ(0, h.err);
	pidfd = syscall(434 /* pidfd_open */, h.pid, 0);
	fd = syscall(438 /* pidfd_getfd */, pidfd, h.cmd.out_fd, 0);
	ASSERT_GE(fd, 0);
	let_go(&h);
	p = map(fd, 8 * MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 1, 8 * MIB);
	EXPECT_LE(8 * MIB, mem_number("/mem/in", "memory.current"));
	munmap(p, 8 * MIB);
	close(fd);
	close(pidfd);
	EXPECT_TRUE(settles(0));
	EXPECT_GT(4 * MIB, mem_number("/mem/in", "memory.current"));
}

/*
 * A page that comes later is charged to whoever touches, as all shared memory
 * is; tmk's own charge is the region's all the same.
 */
TEST_F(memcg, a_hole_is_charged_to_who_touches_it)
{
	struct tmk_ioc_region_create c = create_cmd(variant->kind, 8 * MIB);
	struct tmk_ioc_region_trim cmd = { .size = sizeof(cmd),
					   .length = 8 * MIB };
	int dev = device_open(), fd, go[2];
	pid_t pid;
	char *p;

	c.flags = TMK_IOC_REGION_F_TRIM;
	fd = create(dev, &c);
	ASSERT_GE(fd, 0);
	p = map(fd, 8 * MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, ioctl(fd, TMK_IOC_REGION_TRIM, &cmd));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		if (cg_enter("/mem/in"))
			_exit(1);
		memset(p, 1, 8 * MIB);
		tell(go[1]);
		pause();
	}
	ASSERT_TRUE(hear(go[0]));
	EXPECT_LE(8 * MIB, mem_number("/mem/in", "memory.current"));
	EXPECT_EQ(8 * MIB, machine("physical_current"));
	EXPECT_FALSE(tmk_known(self->in));
	kill(pid, SIGKILL);
	EXPECT_EQ(SIGKILL, wait_status(pid));
	munmap(p, 8 * MIB);
	close(fd);
	close(dev);
	close(go[0]);
	close(go[1]);
}

/* Bytes of slabs that a group is charged with. */
static unsigned long slab(const char *group)
{
	static char text[16384];
	char path[PATH_MAX], *at;

	cg_path(path, group, "memory.stat");
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, "\nslab ");
	return at ? strtoul(at + 6, NULL, 10) : 0;
}

#define OBJECTS 400

/* What a kind of object adds to the caller's group, in bytes each. */
static long slab_of(const char *group, int dev, int (*make)(int dev))
{
	unsigned long before = slab(group), with;
	int fds[OBJECTS], i;

	for (i = 0; i < OBJECTS; i++) {
		fds[i] = make(dev);
		ASSERT_GE(fds[i], 0);
	}
	with = slab(group);
	for (i = 0; i < OBJECTS; i++)
		close(fds[i]);
	/* RCU frees them, which must not be seen in the next measurement. */
	sleep_ms(500);
	return ((long)with - (long)before) / OBJECTS;
}

static int make_memfd(int dev)
{
	int fd = (int)syscall(SYS_memfd_create, "m", 0);

	(void)dev;
	return fd < 0 || fallocate(fd, 0, 0, PAGE_BYTES) ? -1 : fd;
}

static int make_region(int dev)
{
	return create_simple(dev, TMK_IOC_KIND_PINNED, PAGE_BYTES);
}

/* The module's own part of a region is charged beside shmem's. */
TEST(objects_of_the_module_are_charged)
{
	int dev = device_open();
	pid_t pid;

	ASSERT_EQ(0, cg_create("/objects"));
	pid = fork();
	if (!pid) {
		long memfd, region;

		ASSERT_EQ(0, cg_enter("/objects"));
		/* What the first ones leave in caches is not theirs. */
		slab_of("/objects", dev, make_memfd);
		memfd = slab_of("/objects", dev, make_memfd);
		region = slab_of("/objects", dev, make_region);
		if (region < memfd + 128)
			TH_LOG("a memfd has %ld, a region %ld", memfd, region);
		EXPECT_LT(400, memfd);
		EXPECT_LE(memfd + 128, region);
		exit(tap_result->failed);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/objects"));
	close(dev);
}

TEST_HARNESS_MAIN
