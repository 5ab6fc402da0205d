// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/* What may and may not be done with a region's descriptor and mappings. */
#include "tmk_util.h"

#include <sys/sendfile.h>

#define BYTES (2 * HUGE_BYTES)

FIXTURE(mmap)
{
	int dev;
	int fd;
	char *p;
};

FIXTURE_SETUP(mmap)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->fd = create_simple(self->dev, TMK_IOC_KIND_HUGE, BYTES);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
}

FIXTURE_TEARDOWN(mmap)
{
	munmap(self->p, BYTES);
	close(self->fd);
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

static long try_map(int fd, size_t bytes, int flags, off_t offset)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);

	if (p == MAP_FAILED)
		return -1;
	munmap(p, bytes);
	return 0;
}

TEST_F(mmap, only_shared_and_only_inside)
{
	EXPECT_EQ(0, try_map(self->fd, BYTES, MAP_SHARED, 0));
	EXPECT_EQ(0, try_map(self->fd, PAGE_BYTES, MAP_SHARED,
			     BYTES - PAGE_BYTES));
	test_err(EINVAL, try_map(self->fd, PAGE_BYTES, MAP_PRIVATE, 0));
	test_err(EINVAL, try_map(self->fd, BYTES + 1, MAP_SHARED, 0));
	test_err(EINVAL, try_map(self->fd, BYTES, MAP_SHARED, PAGE_BYTES));
	test_err(EINVAL, try_map(self->fd, PAGE_BYTES, MAP_SHARED, BYTES));
	test_err(EOVERFLOW, try_map(self->fd, PAGE_BYTES, MAP_SHARED,
				    INT64_MAX & ~(PAGE_BYTES - 1)));
}

TEST_F(mmap, two_mappings_show_the_same_memory)
{
	char *q = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       self->fd, HUGE_BYTES);

	ASSERT_NE(MAP_FAILED, (void *)q);
	self->p[HUGE_BYTES + 5] = 55;
	EXPECT_EQ(55, q[5]);
	q[6] = 66;
	EXPECT_EQ(66, self->p[HUGE_BYTES + 6]);
	munmap(q, HUGE_BYTES);
}

TEST_F(mmap, size_is_for_ever)
{
	struct stat st;

	test_err(EPERM, ftruncate(self->fd, 0));
	test_err(EPERM, ftruncate(self->fd, BYTES / 2));
	test_err(EPERM, ftruncate(self->fd, 2 * BYTES));
	test_err(EOPNOTSUPP, fallocate(self->fd, 0, 0, 2 * BYTES));
	test_err(EOPNOTSUPP,
		 fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   0, BYTES));
	test_err(EPERM, fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(BYTES, st.st_size);
}

/* Each way to copy from one file to another ends before a byte is written. */
static void no_way_in(int fd)
{
	int other = memfd_create("other", 0);
	off_t from = 0, to = 0;
	char path[64];
	int again;

	ASSERT_EQ(4, write(other, "abcd", 4));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	ASSERT_GE(again, 0);
	EXPECT_EQ(-1, sendfile(fd, other, &from, 4));
	EXPECT_EQ(-1, sendfile(again, other, &from, 4));
	EXPECT_EQ(-1, copy_file_range(other, &from, fd, &to, 4, 0));
	EXPECT_EQ(-1, copy_file_range(other, &from, again, &to, 4, 0));
	EXPECT_EQ(-1, pwrite(again, "x", 1, 0));
	EXPECT_EQ(-1, ftruncate(again, 0));
	EXPECT_EQ(-1, truncate(path, 0));
	close(again);
	close(other);
}

TEST_F(mmap, write_calls_do_not_write)
{
	int pipes[2];
	char c = 1;

	ASSERT_EQ(0, pipe(pipes));
	self->p[0] = 9;
	test_err(EINVAL, write(self->fd, &c, 1));
	test_err(EINVAL, pwrite(self->fd, &c, 1, 0));
	tell(pipes[1]);
	test_err(EINVAL, splice(pipes[0], NULL, self->fd, NULL, 1, 0));
	EXPECT_EQ(9, self->p[0]);
	no_way_in(self->fd);
	EXPECT_EQ(9, self->p[0]);
	/* Reading is harmless. */
	EXPECT_EQ(1, pread(self->fd, &c, 1, 0));
	EXPECT_EQ(9, c);
}

TEST_F(mmap, advice_does_not_lose_data)
{
	static const int works[] = { MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT,
				     MADV_NOHUGEPAGE, MADV_HUGEPAGE };
	uint64_t before;
	int advice;
	size_t i;

	memset(self->p, 0x5a, BYTES);
	before = frame(self->p);
	for (i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		EXPECT_EQ(0, madvise(self->p, BYTES, works[i]));
	test_err(EOPNOTSUPP, madvise(self->p, BYTES, MADV_REMOVE));
	test_err(EINVAL, madvise(self->p, BYTES, MADV_FREE));
	/* Known to this kernel or not, welcome or not: the data stays. */
	for (advice = 0; advice < 64; advice++)
		madvise(self->p, BYTES, advice);
	for (i = 0; i < BYTES; i += 512)
		if (self->p[i] != 0x5a)
			break;
	EXPECT_EQ(BYTES, i);
	EXPECT_EQ(before, frame(self->p));
	EXPECT_EQ(BYTES, machine("physical_current"));
}

TEST_F(mmap, moved_split_protected_locked)
{
	char *q;

	self->p[PAGE_BYTES] = 1;
	self->p[BYTES - 1] = 2;
	EXPECT_EQ(0, mlock(self->p, BYTES));
	EXPECT_EQ(0, mprotect(self->p + PAGE_BYTES, PAGE_BYTES, PROT_READ));
	EXPECT_EQ(0, mprotect(self->p, BYTES, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, munmap(self->p, PAGE_BYTES));
	EXPECT_EQ(1, self->p[PAGE_BYTES]);
	q = mremap(self->p + PAGE_BYTES, BYTES - PAGE_BYTES, BYTES - PAGE_BYTES,
		   MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(1, q[0]);
	EXPECT_EQ(2, q[BYTES - PAGE_BYTES - 1]);
	EXPECT_EQ(BYTES, region_info(self->fd).out_bytes_2m +
				 region_info(self->fd).out_bytes_large +
				 region_info(self->fd).out_bytes_4k);
	munmap(q, BYTES - PAGE_BYTES);
}

/* A mapping can be made longer than the file; there is nothing behind it. */
TEST_F(mmap, nothing_behind_the_end)
{
	char *q = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       self->fd, HUGE_BYTES);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)q);
	q[HUGE_BYTES - 1] = 4;
	pid = fork();
	if (!pid) {
		q = mremap(q, HUGE_BYTES, 2 * HUGE_BYTES, MREMAP_MAYMOVE);
		if (q == MAP_FAILED)
			_exit(1);
		if (q[HUGE_BYTES - 1] != 4)
			_exit(2);
		q[HUGE_BYTES] = 1;
		_exit(3);
	}
	EXPECT_EQ(SIGBUS, WTERMSIG(wait_status(pid)));
	EXPECT_EQ(BYTES, machine("current"));
	munmap(q, HUGE_BYTES);
}

TEST_F(mmap, read_only_mappings_stay_read_only)
{
	char path[64], *q;
	pid_t pid;
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	ro = open(path, O_RDONLY);
	ASSERT_GE(ro, 0);
	q = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, (void *)q);
	self->p[0] = 5;
	EXPECT_EQ(5, q[0]);
	test_err(EACCES, mprotect(q, BYTES, PROT_READ | PROT_WRITE));
	pid = fork();
	if (!pid) {
		q[0] = 6;
		_exit(0);
	}
	EXPECT_EQ(SIGSEGV, WTERMSIG(wait_status(pid)));
	EXPECT_EQ(5, self->p[0]);
	munmap(q, BYTES);
	close(ro);
}

TEST_F(mmap, compaction_and_cache_dropping_do_not_move_it)
{
	uint64_t before;

	self->p[0] = 1;
	before = frame(self->p);
	ASSERT_NE(0, before);
	EXPECT_EQ(0, write_text("/proc/sys/vm/compact_memory", "1"));
	EXPECT_EQ(0, write_text("/proc/sys/vm/drop_caches", "3"));
	EXPECT_EQ(0, madvise(self->p, BYTES, MADV_DONTNEED));
	EXPECT_EQ(1, self->p[0]);
	EXPECT_EQ(before, frame(self->p));
}

TEST_F(mmap, mapping_alone_keeps_memory_and_charge)
{
	int other = create_simple(self->dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	char *q = map(other, HUGE_BYTES);

	ASSERT_NE(MAP_FAILED, (void *)q);
	close(other);
	EXPECT_EQ(BYTES + HUGE_BYTES, machine("current"));
	q[HUGE_BYTES - 1] = 3;
	EXPECT_EQ(3, q[HUGE_BYTES - 1]);
	munmap(q, HUGE_BYTES);
	EXPECT_TRUE(settles(BYTES));
}

TEST_HARNESS_MAIN
