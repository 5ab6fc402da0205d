// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions over a file of the caller's: mapped through, counted but not in RAM,
 * never cleared, cut off or pinned; and every file that will not do.
 */
#include "cg_util.h"

#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define DIR "/tmp/tmk-file"
#define DISK "/mnt/0"
#define BYTES (4 * MIB)

FIXTURE(file)
{
	int dev;
	int file;
};

FIXTURE_VARIANT(file)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(file, tmpfs){ .fs = "tmpfs" };
FIXTURE_VARIANT_ADD(file, ext4){ .fs = "ext4" };

FIXTURE_SETUP(file)
{
	mkdir(DIR, 0755);
	if (!strcmp(variant->fs, "ext4")) {
		if (mount(DISK, DIR, "", MS_BIND, ""))
			SKIP(return, "no disk; tests/vm/file.sh has one");
	} else {
		ASSERT_EQ(0, mount("none", DIR, "tmpfs", 0, "size=16M"));
	}
	self->dev = device_open();
	self->file =
		open(DIR "/data", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(self->file, 0);
	EXPECT_TRUE(settles(0));
}

FIXTURE_TEARDOWN(file)
{
	int i;

	EXPECT_TRUE(settles(0));
	close(self->file);
	close(self->dev);
	for (i = 0; i < 100 && umount(DIR); i++)
		sleep_ms(10);
	/* Nothing of ours holds the file system. */
	EXPECT_LT(i, 100);
}

static int create_file(int dev, int backing, uint64_t length)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_FILE, length);

	c.backing_fd = backing;
	return create(dev, &c);
}

static unsigned long long physical(void)
{
	return machine("physical_current");
}

static bool current_settles(unsigned long long bytes)
{
	int i;

	for (i = 0; i < 300; i++) {
		if (machine("current") == bytes)
			return true;
		sleep_ms(10);
	}
	TH_LOG("current is %llu", machine("current"));
	return false;
}

TEST_F(file, counted_but_not_in_ram)
{
	int fd = create_file(self->dev, self->file, BYTES - 100);
	struct tmk_ioc_region_info info;
	struct stat st;
	char *p, c = 0;

	ASSERT_GE(fd, 0);
	info = region_info(fd);
	EXPECT_EQ(TMK_IOC_KIND_FILE, info.out_kind);
	EXPECT_EQ(BYTES, info.out_length);
	EXPECT_EQ(BYTES, info.out_charged);
	EXPECT_EQ(0, info.out_physical);
	EXPECT_EQ(0, info.out_bytes_4k + info.out_bytes_2m);
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(0, physical());
	EXPECT_EQ(BYTES, read_key(SYSFS "/by_kind", "file"));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(BYTES, st.st_size);
	/* The file has what was asked for, and the space for it. */
	EXPECT_EQ(0, fstat(self->file, &st));
	EXPECT_EQ(BYTES - 100, st.st_size);
	EXPECT_GE(st.st_blocks * 512UL, BYTES - PAGE_BYTES);

	p = map(fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	p[12345] = 42;
	EXPECT_EQ(1, pread(self->file, &c, 1, 12345));
	EXPECT_EQ(42, c);
	munmap(p, BYTES);
	close(fd);
}

TEST_F(file, what_it_holds_is_not_touched)
{
	char data[5000], back[5000];
	struct stat st;
	char *p;
	int fd;

	memset(data, 0x5a, sizeof(data));
	ASSERT_EQ(5000, pwrite(self->file, data, 5000, 0));
	fd = create_file(self->dev, self->file, 5000);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, fstat(self->file, &st));
	EXPECT_EQ(5000, st.st_size);
	p = map(fd, 2 * PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, memcmp(p, data, 5000));
	munmap(p, 2 * PAGE_BYTES);
	close(fd);
	EXPECT_TRUE(settles(0));
	/* A region of less does not make it smaller. */
	fd = create_file(self->dev, self->file, 100);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(0, fstat(self->file, &st));
	EXPECT_EQ(5000, st.st_size);
	EXPECT_EQ(5000, pread(self->file, back, 5000, 0));
	EXPECT_EQ(0, memcmp(back, data, 5000));
}

TEST_F(file, charged_while_it_is_mapped)
{
	int fd = create_file(self->dev, self->file, BYTES);
	pid_t pid;
	char *p;
	int go[2];

	ASSERT_GE(fd, 0);
	p = map(fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	close(fd);
	sleep_ms(50);
	EXPECT_EQ(BYTES, machine("current"));
	/* Pieces and copies of the mapping count as well. */
	EXPECT_EQ(0, munmap(p + MIB, MIB));
	EXPECT_EQ(BYTES, machine("current"));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		close(go[1]);
		hear(go[0]);
		p[3 * MIB] = 7;
		_exit(0);
	}
	munmap(p, BYTES);
	EXPECT_EQ(BYTES, machine("current"));
	tell(go[1]);
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_TRUE(settles(0));
	close(go[0]);
	close(go[1]);
}

TEST_F(file, unlinked_and_closed_it_is_still_there)
{
	int fd = create_file(self->dev, self->file, BYTES);
	char *p;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, unlink(DIR "/data"));
	close(self->file);
	self->file = -1;
	p = map(fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 1, BYTES);
	munmap(p, BYTES);
	close(fd);
}

static sigjmp_buf fault_jump;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(fault_jump, 1);
}

static bool faults_at(volatile char *p)
{
	signal(SIGBUS, on_bus);
	if (sigsetjmp(fault_jump, 1))
		return true;
	*p = 1;
	return false;
}

TEST_F(file, truncated_by_its_owner)
{
	int fd = create_file(self->dev, self->file, BYTES);
	char *p;

	ASSERT_GE(fd, 0);
	p = map(fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 1, BYTES);
	ASSERT_EQ(0, ftruncate(self->file, MIB));
	EXPECT_FALSE(faults_at(p));
	EXPECT_TRUE(faults_at(p + 2 * MIB));
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(BYTES, region_info(fd).out_length);
	munmap(p, BYTES);
	close(fd);
}

TEST_F(file, full_is_said_at_once)
{
	struct stat st;
	char c = 9;

	ASSERT_EQ(1, pwrite(self->file, &c, 1, 0));
	test_err(ENOSPC, create_file(self->dev, self->file, 64 * MIB));
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, fstat(self->file, &st));
	EXPECT_EQ(1, st.st_size);
	EXPECT_EQ(1, pread(self->file, &c, 1, 0));
	EXPECT_EQ(9, c);
}

/* A file system that becomes read-only, with a region there and without. */
TEST_F(file, read_only)
{
	int fd = create_file(self->dev, self->file, BYTES), ro;

	ASSERT_GE(fd, 0);
	close(self->file);
	/* A region is one that writes. */
	test_err(EBUSY, mount(NULL, DIR, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY,
			      NULL));
	close(fd);
	EXPECT_TRUE(settles(0));
	ASSERT_EQ(0, mount(NULL, DIR, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY,
			   NULL));
	self->file = open(DIR "/data", O_RDWR | O_CLOEXEC);
	EXPECT_EQ(-1, self->file);
	ro = open(DIR "/data", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(ro, 0);
	test_err(EACCES, create_file(self->dev, ro, BYTES));
	close(ro);
}

TEST_F(file, a_mapping_does_not_grow_beyond_the_region)
{
	int fd = create_file(self->dev, self->file, MIB);
	char *p, *q;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(self->file, BYTES));
	EXPECT_EQ(MAP_FAILED, map(fd, MIB + PAGE_BYTES));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, fd, MIB));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, MIB, PROT_READ, MAP_PRIVATE, fd, 0));
	p = map(fd, MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	q = mremap(p, MIB, 2 * MIB, MREMAP_MAYMOVE);
	if (q != MAP_FAILED) {
		EXPECT_FALSE(faults_at(q + MIB - 1));
		EXPECT_TRUE(faults_at(q + MIB));
		munmap(q, 2 * MIB);
	} else {
		munmap(p, MIB);
	}
	close(fd);
}

TEST_F(file, direct_io_into_it)
{
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);
	int fd = create_file(self->dev, self->file, MIB);
	char *p;

	ASSERT_GE(fd, 0);
	ASSERT_GE(disk, 0);
	p = map(fd, MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 3, PAGE_BYTES);
	EXPECT_EQ(PAGE_BYTES, pwrite(disk, p, PAGE_BYTES, 0));
	EXPECT_EQ(PAGE_BYTES, pread(disk, p + PAGE_BYTES, PAGE_BYTES, 0));
	EXPECT_EQ(0, memcmp(p, p + PAGE_BYTES, PAGE_BYTES));
	munmap(p, MIB);
	close(fd);
	close(disk);
}

TEST_F(file, o_tmpfile_will_do)
{
	int tmp = open(DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int fd;

	ASSERT_GE(tmp, 0);
	fd = create_file(self->dev, tmp, BYTES);
	EXPECT_GE(fd, 0);
	close(tmp);
	close(fd);
}

TEST_F(file, limits_hold)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_FILE, BYTES);
	struct stat st;
	pid_t pid;

	ASSERT_EQ(0, cg_create("/filemax"));
	ASSERT_EQ(0, tmk_limit("/filemax", "max", "2M"));
	ASSERT_EQ(0, tmk_limit("/filemax", "physical_max", "0"));
	pid = fork();
	if (!pid) {
		if (cg_enter("/filemax"))
			_exit(1);
		c.backing_fd = self->file;
		if (create(self->dev, &c) >= 0 || errno != EDQUOT ||
		    c.out_refusal != TMK_IOC_REFUSAL_MAX)
			_exit(2);
		c.length = 2 * MIB;
		_exit(create(self->dev, &c) >= 0 ? 0 : 3);
	}
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(0, fstat(self->file, &st));
	EXPECT_EQ(2 * MIB, st.st_size);
	EXPECT_TRUE(settles(0));
	EXPECT_EQ(0, cg_destroy("/filemax"));
}

TEST_F(file, many_at_once_on_one_file)
{
	int fd[8], i;

	for (i = 0; i < 8; i++) {
		fd[i] = create_file(self->dev, self->file, MIB);
		EXPECT_GE(fd[i], 0);
	}
	EXPECT_EQ(8 * MIB, machine("current"));
	for (i = 0; i < 8; i++)
		close(fd[i]);
	EXPECT_TRUE(current_settles(0));
}

TEST_F(file, no_program_from_a_noexec_file_system)
{
	int fd = create_file(self->dev, self->file, MIB);
	void *p;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, mount(NULL, DIR, NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC,
			   NULL));
	test_err(EPERM,
		 mmap(NULL, MIB, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
	p = map(fd, MIB);
	ASSERT_NE(MAP_FAILED, p);
	test_err(EACCES, mprotect(p, MIB, PROT_READ | PROT_EXEC));
	munmap(p, MIB);
	close(fd);
}

TEST(sizes_that_no_file_has)
{
	static const uint64_t sizes[] = {
		1ULL << 50,	  (1ULL << 62) - 1,  1ULL << 62,
		INT64_MAX - 8191, INT64_MAX - 4096,  INT64_MAX,
		1ULL << 63,	  UINT64_MAX - 4095, UINT64_MAX,
	};
	int dev = device_open();
	int tmp = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat st;
	size_t i;

	ASSERT_EQ(0, ftruncate(tmp, MIB));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		EXPECT_EQ(-1, create_file(dev, tmp, sizes[i]));
		EXPECT_TRUE(errno == EFBIG || errno == ENOSPC ||
			    errno == EDQUOT || errno == EOVERFLOW);
		EXPECT_EQ(0, fstat(tmp, &st));
		EXPECT_EQ(MIB, st.st_size);
		EXPECT_TRUE(settles(0));
	}
	close(tmp);
	close(dev);
}

TEST(what_is_no_file_to_be_had)
{
	int dev = device_open();
	int region = create_simple(dev, TMK_IOC_KIND_PINNED, MIB);
	int memfd = syscall(SYS_memfd_create, "m", 0);
	int huge = syscall(SYS_memfd_create, "h", 4 /* MFD_HUGETLB */);
	struct tmk_ioc_region_dmabuf buf = { .size = sizeof(buf) };
	int pair[2], pipes[2], fd, inner;

	ASSERT_GE(memfd, 0);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	test_err(EBADF, create_file(dev, 999, MIB));
	test_err(EINVAL, create_file(dev, -1, MIB));
	test_err(EINVAL, create_file(dev, -2, MIB));
	test_err(EINVAL, create_file(dev, pipes[0], MIB));
	test_err(EINVAL, create_file(dev, pair[0], MIB));
	test_err(EINVAL, create_file(dev, dev, MIB));
	test_err(EINVAL, create_file(dev, region, MIB));
	if (huge >= 0)
		test_err(EINVAL, create_file(dev, huge, HUGE_BYTES));
	fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	test_err(EINVAL, create_file(dev, fd, MIB));
	close(fd);
	fd = open("/dev/null", O_RDWR);
	test_err(EINVAL, create_file(dev, fd, MIB));
	close(fd);
	fd = open("/proc/self/status", O_RDONLY);
	EXPECT_EQ(-1, create_file(dev, fd, MIB));
	close(fd);
	fd = open("/tmp", O_PATH);
	test_err(EBADF, create_file(dev, fd, MIB));
	close(fd);
	fd = epoll_create1(0);
	test_err(EINVAL, create_file(dev, fd, MIB));
	close(fd);
	ASSERT_EQ(0, ioctl(region, TMK_IOC_REGION_DMABUF, &buf));
	test_err(EINVAL, create_file(dev, buf.out_fd, MIB));
	close(buf.out_fd);
	/* A regular file that can be mapped, whose space nobody can reserve. */
	fd = (int)syscall(SYS_memfd_secret, 0);
	if (fd >= 0)
		test_err(EOPNOTSUPP, create_file(dev, fd, MIB));
	close(fd);

	/* A file region is no file to make another of, either. */
	inner = create_file(dev, memfd, MIB);
	ASSERT_GE(inner, 0);
	test_err(EINVAL, create_file(dev, inner, MIB));
	close(inner);
	close(region);
	EXPECT_TRUE(settles(0));
	close(dev);
}

TEST(fields_that_a_file_does_not_have)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_FILE, MIB);
	int dev = device_open();

	c.backing_fd = (int)syscall(SYS_memfd_create, "m", 0);
	c.node = 0;
	test_err(EOPNOTSUPP, create(dev, &c));
	c.node = TMK_IOC_NODE_ANY;
	c.page_size = HUGE_BYTES;
	test_err(EINVAL, create(dev, &c));
	c.page_size = PAGE_BYTES;
	EXPECT_GE(create(dev, &c), 0);
	close(c.out_fd);
	c.flags = TMK_IOC_REGION_F_TRIM;
	test_err(EOPNOTSUPP, create(dev, &c));
	close(c.backing_fd);
	EXPECT_TRUE(settles(0));
	close(dev);
}

TEST(a_file_that_cannot_be_written)
{
	int dev = device_open(), fd;

	fd = open("/tmp/tmk-ro", O_RDWR | O_CREAT, 0600);
	ASSERT_EQ(0, ftruncate(fd, MIB));
	close(fd);
	fd = open("/tmp/tmk-ro", O_RDONLY);
	test_err(EACCES, create_file(dev, fd, MIB));
	close(fd);
	fd = open("/tmp/tmk-ro", O_WRONLY);
	test_err(EACCES, create_file(dev, fd, MIB));
	close(fd);
	unlink("/tmp/tmk-ro");
	/* One that cannot grow. */
	fd = syscall(SYS_memfd_create, "m", 2 /* MFD_ALLOW_SEALING */);
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	test_err(EPERM, create_file(dev, fd, MIB));
	close(fd);
	EXPECT_TRUE(settles(0));
	close(dev);
}

TEST_HARNESS_MAIN
