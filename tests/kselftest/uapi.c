// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * The ioctl contract: sizes and tails of every command, every wrong field,
 * wrong kinds of descriptor, bad pointers, compat callers.
 */
#include "tmk_util.h"

#include <grp.h>

FIXTURE(uapi)
{
	int dev;
	int region;
};

FIXTURE_SETUP(uapi)
{
	struct tmk_ioc_region_create cmd = create_cmd(TMK_IOC_KIND_PINNED, 1);

	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	cmd.flags = TMK_IOC_REGION_F_TRIM;
	self->region = create(self->dev, &cmd);
	ASSERT_GE(self->region, 0);
}

FIXTURE_TEARDOWN(uapi)
{
	close(self->region);
	close(self->dev);
}

/* What becomes of a command whose structure is as it should be. */
struct command {
	const char *name;
	unsigned long nr;
	uint32_t size;
	bool on_region;
	int err; /* of the exact structure: 0 or an errno */
};

static const struct command commands[] = {
	{ "INFO", TMK_IOC_INFO, sizeof(struct tmk_ioc_info), false, 0 },
	{ "REGION_CREATE", TMK_IOC_REGION_CREATE,
	  sizeof(struct tmk_ioc_region_create), false, 0 },
	{ "USAGE", TMK_IOC_USAGE, sizeof(struct tmk_ioc_usage), false, 0 },
	{ "REGION_INFO", TMK_IOC_REGION_INFO,
	  sizeof(struct tmk_ioc_region_info), true, 0 },
	{ "REGION_DMABUF", TMK_IOC_REGION_DMABUF,
	  sizeof(struct tmk_ioc_region_dmabuf), true, 0 },
	{ "REGION_TRIM", TMK_IOC_REGION_TRIM,
	  sizeof(struct tmk_ioc_region_trim), true, 0 },
	{ "REGION_READONLY", TMK_IOC_REGION_READONLY,
	  sizeof(struct tmk_ioc_region_readonly), true, 0 },
	{ "REGION_SEAL", TMK_IOC_REGION_SEAL,
	  sizeof(struct tmk_ioc_region_seal), true, 0 },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void fill(const struct command *c, unsigned char *buf, uint32_t size)
{
	struct tmk_ioc_region_create cmd =
		create_cmd(TMK_IOC_KIND_PINNED, PAGE_BYTES);
	struct tmk_ioc_region_trim trim = { .length = PAGE_BYTES };

	memset(buf, 0, PAGE_BYTES);
	if (c->nr == TMK_IOC_REGION_CREATE)
		memcpy(buf, &cmd, sizeof(cmd));
	if (c->nr == TMK_IOC_REGION_TRIM)
		memcpy(buf, &trim, sizeof(trim));
	memcpy(buf, &size, sizeof(size));
}

static int issue(int fd, const struct command *c, unsigned char *buf)
{
	struct tmk_ioc_region_readonly readonly;
	struct tmk_ioc_region_dmabuf dmabuf;
	struct tmk_ioc_region_create cmd;

	if (ioctl(fd, c->nr, buf))
		return errno;
	if (c->nr == TMK_IOC_REGION_READONLY) {
		memcpy(&readonly, buf, sizeof(readonly));
		close(readonly.out_fd);
	}
	if (c->nr == TMK_IOC_REGION_DMABUF) {
		memcpy(&dmabuf, buf, sizeof(dmabuf));
		close(dmabuf.out_fd);
	}
	if (c->nr == TMK_IOC_REGION_CREATE) {
		memcpy(&cmd, buf, sizeof(cmd));
		close(cmd.out_fd);
	}
	return 0;
}

TEST_F(uapi, length_and_tail_of_every_command)
{
	unsigned char buf[PAGE_BYTES];
	size_t i;

	for (i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];
		int fd = c->on_region ? self->region : self->dev;
		uint32_t size;

		for (size = 0; size < c->size; size++) {
			fill(c, buf, size);
			EXPECT_EQ(EINVAL, issue(fd, c, buf));
		}
		fill(c, buf, c->size);
		EXPECT_EQ(c->err, issue(fd, c, buf));
		fill(c, buf, c->size + 8);
		EXPECT_EQ(c->err, issue(fd, c, buf));
		fill(c, buf, c->size + 8);
		buf[c->size + 7] = 1;
		EXPECT_EQ(E2BIG, issue(fd, c, buf));
		fill(c, buf, PAGE_BYTES);
		EXPECT_EQ(c->err, issue(fd, c, buf));
		fill(c, buf, PAGE_BYTES + 8);
		EXPECT_EQ(E2BIG, issue(fd, c, buf));
		fill(c, buf, UINT32_MAX);
		EXPECT_EQ(E2BIG, issue(fd, c, buf));
		fill(c, buf, c->size);
		buf[c->size] = 1; /* not part of the structure */
		EXPECT_EQ(c->err, issue(fd, c, buf));
		if (tap_result->failed) {
			TH_LOG("at command %s", c->name);
			return;
		}
	}
}

TEST_F(uapi, flags_and_reserved_must_be_zero)
{
	struct tmk_ioc_info info = { .size = sizeof(info) };
	struct tmk_ioc_usage usage = { .size = sizeof(usage) };
	struct tmk_ioc_region_info ri = { .size = sizeof(ri) };
	struct tmk_ioc_region_create c;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		info.flags = usage.flags = ri.flags = 1u << bit;
		test_err(EINVAL, ioctl(self->dev, TMK_IOC_INFO, &info));
		test_err(EINVAL, ioctl(self->dev, TMK_IOC_USAGE, &usage));
		test_err(EINVAL, ioctl(self->region, TMK_IOC_REGION_INFO, &ri));
		c = create_cmd(TMK_IOC_KIND_PINNED, 4096);
		c.flags = 1u << bit;
		if (c.flags &
		    ~(TMK_IOC_REGION_F_REQUIRE | TMK_IOC_REGION_F_TRIM))
			test_err(EINVAL, create(self->dev, &c));
		c = create_cmd(TMK_IOC_KIND_PINNED, 4096);
		c.__reserved = 1u << bit;
		test_err(EINVAL, create(self->dev, &c));
	}
	ri.flags = 0;
	ri.__reserved = 1;
	test_err(EINVAL, ioctl(self->region, TMK_IOC_REGION_INFO, &ri));
}

TEST_F(uapi, unknown_and_misplaced_commands)
{
	unsigned char buf[PAGE_BYTES] = { 0 };
	size_t i;

	test_err(ENOTTY, ioctl(self->dev, _IO(TMK_IOC_TYPE, 0x7f), buf));
	test_err(ENOTTY, ioctl(self->dev, _IO(TMK_IOC_TYPE, 0xff), buf));
	test_err(ENOTTY, ioctl(self->region, _IO(TMK_IOC_TYPE, 0xff), buf));
	test_err(ENOTTY, ioctl(self->dev, _IO('T', TMK_IOC_NR_INFO), buf));
	for (i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];
		int wrong = c->on_region ? self->dev : self->region;

		fill(c, buf, c->size);
		test_err(ENOTTY, ioctl(wrong, c->nr, buf));
	}
}

TEST_F(uapi, info_advertises_what_there_is)
{
	struct tmk_ioc_info info = { .size = sizeof(info) };
	struct tmk_ioc_region_create c;
	unsigned int kind;

	ASSERT_EQ(0, ioctl(self->dev, TMK_IOC_INFO, &info));
	EXPECT_EQ(TMK_IOC_ABI_VERSION, info.out_abi_version);
	EXPECT_EQ(1u << TMK_IOC_KIND_PINNED | 1u << TMK_IOC_KIND_HUGE |
			  1u << TMK_IOC_KIND_HUGETLB | 1u << TMK_IOC_KIND_FILE,
		  info.out_kinds);
	EXPECT_TRUE(info.out_features & TMK_IOC_FEATURE_REFUSAL);
	EXPECT_TRUE(info.out_features & TMK_IOC_FEATURE_TRIM);
	EXPECT_TRUE(info.out_features & TMK_IOC_FEATURE_DMABUF);
	EXPECT_EQ(PAGE_BYTES | HUGE_BYTES, info.out_page_sizes & ~(1ULL << 30));
	EXPECT_TRUE(info.out_features & TMK_IOC_FEATURE_SEAL);
	EXPECT_EQ(machine("max"), info.out_max);
	EXPECT_EQ(machine("physical_max"), info.out_physical_max);
	EXPECT_LE(info.out_physical_max, info.out_total_ram / 2);
	EXPECT_GT(strlen((char *)info.out_version), 4);
	for (kind = 0; kind < 8; kind++) {
		c = create_cmd(kind, 4096);
		if (kind == TMK_IOC_KIND_HUGETLB) {
			/* The pool is empty. */
			test_err(ENOMEM, create(self->dev, &c));
			EXPECT_EQ(TMK_IOC_REFUSAL_POOL, c.out_refusal);
		} else if (info.out_kinds & 1u << kind) {
			int fd, memfd = -1;

			if (kind == TMK_IOC_KIND_FILE)
				memfd = syscall(SYS_memfd_create, "f", 0);
			c.backing_fd = memfd;
			fd = create(self->dev, &c);
			EXPECT_GE(fd, 0);
			close(fd);
			close(memfd);
		} else {
			test_err(EINVAL, create(self->dev, &c));
		}
	}
}

#define BAD(expected, change)                                      \
	do {                                                       \
		struct tmk_ioc_region_create c =                   \
			create_cmd(TMK_IOC_KIND_HUGE, HUGE_BYTES); \
		change;                                            \
		test_err(expected, create(self->dev, &c));         \
	} while (0)

TEST_F(uapi, every_wrong_field_of_create)
{
	unsigned long long before = machine("current");
	int fds = open_fds();

	BAD(EINVAL, c.length = 0);
	BAD(EOVERFLOW, c.length = UINT64_MAX);
	BAD(EOVERFLOW, c.length = UINT64_MAX - HUGE_BYTES + 1);
	BAD(EOVERFLOW, c.length = 1ULL << 63);
	BAD(EDQUOT, c.length = 1ULL << 50);
	BAD(EINVAL, c.page_size = 1);
	BAD(EINVAL, c.page_size = PAGE_BYTES);
	BAD(EINVAL, c.page_size = 1UL << 30);
	BAD(EINVAL, c.kind = 0);
	BAD(EINVAL, c.kind = 99);
	BAD(EINVAL, c.kind = UINT32_MAX);
	BAD(EINVAL, c.node = -2);
	BAD(EINVAL, c.node = INT_MIN);
	BAD(EINVAL, c.node = 63);
	BAD(EINVAL, c.node = INT_MAX);
	BAD(EINVAL, c.backing_fd = 0);
	BAD(EINVAL, c.backing_fd = self->dev);
	BAD(EINVAL, c.backing_fd = -2);
	BAD(EINVAL, memset(c.name, 'a', sizeof(c.name)));
	BAD(EINVAL, c.name[0] = '\n');
	BAD(EINVAL, c.name[0] = 0x7f);
	BAD(EINVAL, c.name[0] = 0xc3);
	BAD(EINVAL, {
		c.kind = TMK_IOC_KIND_PINNED;
		c.page_size = HUGE_BYTES;
	});

	EXPECT_EQ(fds, open_fds());
	EXPECT_EQ(before, machine("current"));
}

/* Lengths and places at the ends of what 64 bits can say, for every kind. */
TEST_F(uapi, numbers_near_the_end)
{
	static const uint64_t ends[] = {
		1ULL << 62,
		(1ULL << 62) + 1,
		INT64_MAX - HUGE_BYTES,
		INT64_MAX - PAGE_BYTES,
		INT64_MAX - 4094,
		INT64_MAX - 1,
		INT64_MAX,
		1ULL << 63,
		(1ULL << 63) + PAGE_BYTES,
		UINT64_MAX - 4095,
		UINT64_MAX - 1,
		UINT64_MAX,
	};
	const size_t nr = sizeof(ends) / sizeof(ends[0]);
	struct tmk_ioc_region_trim t = { .size = sizeof(t) };
	unsigned long long before = machine("current");
	unsigned int kind;
	size_t i;

	for (i = 0; i < nr; i++) {
		for (kind = TMK_IOC_KIND_PINNED; kind <= TMK_IOC_KIND_HUGETLB;
		     kind++) {
			EXPECT_EQ(-1, create_simple(self->dev, kind, ends[i]));
			EXPECT_TRUE(errno == EOVERFLOW || errno == EDQUOT);
		}
		t.offset = ends[i];
		t.length = PAGE_BYTES;
		test_err(EINVAL, ioctl(self->region, TMK_IOC_REGION_TRIM, &t));
		t.offset = 0;
		t.length = ends[i];
		test_err(EINVAL, ioctl(self->region, TMK_IOC_REGION_TRIM, &t));
		/* Together they are as much as the region has. */
		t.offset = ends[i] & ~(PAGE_BYTES - 1);
		t.length = PAGE_BYTES - t.offset;
		test_err(EINVAL, ioctl(self->region, TMK_IOC_REGION_TRIM, &t));
		EXPECT_EQ(MAP_FAILED,
			  mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED,
			       self->region,
			       (off_t)(ends[i] & ~(PAGE_BYTES - 1))));
	}
	EXPECT_EQ(before, machine("current"));
}

TEST_F(uapi, good_corner_values_of_create)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_HUGE, 1);
	struct tmk_ioc_region_info info;
	int fd;

	c.page_size = HUGE_BYTES;
	c.node = 0;
	memset(c.name, '~', sizeof(c.name) - 1);
	fd = create(self->dev, &c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(HUGE_BYTES, c.out_length);
	EXPECT_EQ(TMK_IOC_REFUSAL_NONE, c.out_refusal);
	info = region_info(fd);
	EXPECT_EQ(0, memcmp(info.out_name, c.name, sizeof(c.name)));
	EXPECT_EQ(0, info.out_node);
	close(fd);
}

TEST_F(uapi, unreadable_and_unwritable_structures)
{
	unsigned long long before = machine("current");
	struct tmk_ioc_region_create *ro;
	struct tmk_ioc_info *info;
	int fds = open_fds();
	size_t i;
	char *page;

	for (i = 0; i < COMMANDS; i++) {
		int fd = commands[i].on_region ? self->region : self->dev;

		test_err(EFAULT, ioctl(fd, commands[i].nr, NULL));
		test_err(EFAULT, ioctl(fd, commands[i].nr, (void *)-4096L));
	}
	/* Readable, but the answer cannot be written. */
	page = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	ro = (void *)page;
	*ro = create_cmd(TMK_IOC_KIND_HUGE, HUGE_BYTES);
	ASSERT_EQ(0, mprotect(page, PAGE_BYTES, PROT_READ));
	test_err(EFAULT, ioctl(self->dev, TMK_IOC_REGION_CREATE, ro));
	/* The structure runs into a hole. */
	ASSERT_EQ(0, munmap(page + PAGE_BYTES, PAGE_BYTES));
	ASSERT_EQ(0, mprotect(page, PAGE_BYTES, PROT_READ | PROT_WRITE));
	info = (void *)(page + PAGE_BYTES - 8);
	info->size = sizeof(*info);
	test_err(EFAULT, ioctl(self->dev, TMK_IOC_INFO, info));

	EXPECT_EQ(fds, open_fds());
	EXPECT_TRUE(settles(before));
}

TEST_F(uapi, no_descriptor_left)
{
	struct rlimit limit, old;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	limit.rlim_cur = 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	test_err(EMFILE,
		 create_simple(self->dev, TMK_IOC_KIND_HUGE, HUGE_BYTES));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_TRUE(settles(PAGE_BYTES));
}

/* An ioctl through the 32-bit entry, which takes 32-bit pointers. */
static int compat_ioctl32(int fd, unsigned int nr, void *arg)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(54), "b"((long)fd), "c"((long)nr), "d"(arg)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

TEST_F(uapi, compat_callers_use_the_same_layout)
{
	struct tmk_ioc_region_create *c;
	struct tmk_ioc_region_info *info;
	char *low;
	int fd;

	low = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)low);
	c = (void *)low;
	info = (void *)(low + 1024);
	*c = create_cmd(TMK_IOC_KIND_PINNED, 8192);
	ASSERT_EQ(0, compat_ioctl32(self->dev, TMK_IOC_REGION_CREATE, c));
	fd = c->out_fd;
	EXPECT_EQ(8192, c->out_length);
	info->size = sizeof(*info);
	EXPECT_EQ(0, compat_ioctl32(fd, TMK_IOC_REGION_INFO, info));
	EXPECT_EQ(8192, info->out_length);
	EXPECT_EQ(-EINVAL, compat_ioctl32(self->dev, TMK_IOC_INFO, low + 2048));
	close(fd);
}

/* Who was given the device may have every kind, whoever that is. */
TEST(no_privilege_is_needed)
{
	unsigned int kind;
	int dev = device_open();
	pid_t pid;

	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "1"));
	for (kind = TMK_IOC_KIND_PINNED; kind <= TMK_IOC_KIND_FILE; kind++) {
		struct tmk_ioc_region_create c = create_cmd(kind, PAGE_BYTES);
		char *p;

		pid = fork();
		if (!pid) {
			if (setgroups(0, NULL) || setgid(65534) ||
			    setuid(65534))
				_exit(255);
			if (kind == TMK_IOC_KIND_FILE)
				c.backing_fd =
					syscall(SYS_memfd_create, "u", 0);
			if (create(dev, &c) < 0)
				_exit(errno);
			p = map(c.out_fd, c.out_length);
			if (p == MAP_FAILED)
				_exit(errno);
			memset(p, 1, c.out_length);
			_exit(0);
		}
		EXPECT_EQ(0, wait_status(pid));
	}
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "0"));
	close(dev);
}

TEST(nobody_without_permission)
{
	struct stat st;
	pid_t pid;

	ASSERT_EQ(0, stat("/dev/tmk", &st));
	EXPECT_EQ(0660, st.st_mode & 0777);
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534) || stat("/dev/tmk", &st))
			_exit(1);
		_exit(device_open() < 0 && errno == EACCES ? 0 : 2);
	}
	EXPECT_EQ(0, wait_status(pid));
}

TEST_HARNESS_MAIN
