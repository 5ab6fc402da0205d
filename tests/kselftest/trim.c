// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Giving memory back: what the figures say, that a hole is charged before it is
 * filled again, that nothing happens to memory that somebody needs.
 */
#include "cg_util.h"

#include <linux/if_xdp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define BYTES (16 * MIB)
#define BEGIN (4 * MIB)
#define PART (8 * MIB)
#define GROUP "/tmk-trim"

static int trim(int fd, uint64_t offset, uint64_t length, uint64_t *trimmed)
{
	struct tmk_ioc_region_trim cmd = {
		.size = sizeof(cmd),
		.offset = offset,
		.length = length,
		.out_trimmed = ~0ULL,
	};
	int err = ioctl(fd, TMK_IOC_REGION_TRIM, &cmd);

	if (trimmed)
		*trimmed = cmd.out_trimmed;
	return err;
}

static int create_trimmable(int dev, unsigned int kind, uint64_t length)
{
	struct tmk_ioc_region_create cmd = create_cmd(kind, length);

	cmd.flags = TMK_IOC_REGION_F_TRIM;
	return create(dev, &cmd);
}

static uint64_t page_size(unsigned int kind)
{
	return kind == TMK_IOC_KIND_HUGE ? HUGE_BYTES : PAGE_BYTES;
}

/* What the region says, what it is charged, and what its file really holds. */
static bool holds(int fd, uint64_t bytes)
{
	struct tmk_ioc_region_info info = region_info(fd);
	struct stat st;

	if (fstat(fd, &st))
		return false;
	if (info.out_physical == bytes && info.out_charged == info.out_length &&
	    info.out_bytes_4k + info.out_bytes_large + info.out_bytes_2m ==
		    bytes &&
	    (uint64_t)st.st_blocks * 512 == bytes)
		return true;
	TH_LOG("physical %llu, 4k %llu, large %llu, 2m %llu, file %llu, not %llu",
	       (unsigned long long)info.out_physical,
	       (unsigned long long)info.out_bytes_4k,
	       (unsigned long long)info.out_bytes_large,
	       (unsigned long long)info.out_bytes_2m,
	       (unsigned long long)st.st_blocks * 512,
	       (unsigned long long)bytes);
	return false;
}

static bool is_filled(const char *p, size_t bytes, char with)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (p[i] != with)
			return false;
	return true;
}

FIXTURE(trim)
{
	int dev;
	int fd;
	uint64_t page;
	char *p;
};

FIXTURE_VARIANT(trim)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(trim, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(trim, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_SETUP(trim)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->page = page_size(variant->kind);
	self->fd = create_trimmable(self->dev, variant->kind, BYTES);
	ASSERT_GE(self->fd, 0);
	self->p = map(self->fd, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	memset(self->p, 1, BYTES);
}

FIXTURE_TEARDOWN(trim)
{
	if (self->p)
		munmap(self->p, BYTES);
	close(self->fd);
	EXPECT_TRUE(settles(0));
	close(self->dev);
}

TEST_F(trim, figures_go_down_and_up_exactly)
{
	unsigned long shmem = meminfo("Shmem:");
	char buf[PAGE_BYTES];
	uint64_t trimmed, i;

	EXPECT_TRUE(holds(self->fd, BYTES));
	ASSERT_EQ(0, trim(self->fd, BEGIN, PART, &trimmed));
	EXPECT_EQ(PART, trimmed);
	EXPECT_TRUE(holds(self->fd, BYTES - PART));
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(BYTES - PART, machine("physical_current"));
	/* Not MemFree: what is free may lie on the processors' own lists. */
	EXPECT_LE(meminfo("Shmem:") + PART, shmem + 2 * MIB);
	ASSERT_EQ(0, trim(self->fd, BEGIN, PART, &trimmed));
	EXPECT_EQ(0, trimmed);

	/* Reading the file looks at the hole and leaves it. */
	ASSERT_EQ(PAGE_BYTES, pread(self->fd, buf, PAGE_BYTES, BEGIN));
	EXPECT_TRUE(is_filled(buf, PAGE_BYTES, 0));
	EXPECT_TRUE(holds(self->fd, BYTES - PART));

	/* Touching it brings one page back. */
	EXPECT_EQ(0, self->p[BEGIN + self->page]);
	EXPECT_TRUE(holds(self->fd, BYTES - PART + self->page));
	EXPECT_EQ(BYTES - PART + self->page, machine("physical_current"));
	ASSERT_EQ(0, trim(self->fd, 0, BYTES, &trimmed));
	EXPECT_EQ(BYTES - PART + self->page, trimmed);
	EXPECT_TRUE(holds(self->fd, 0));
	EXPECT_EQ(0, machine("physical_current"));
	EXPECT_EQ(BYTES, machine("current"));

	for (i = 0; i < BYTES; i += PAGE_BYTES)
		self->p[i] = 3;
	EXPECT_TRUE(holds(self->fd, BYTES));
	EXPECT_EQ(BYTES, machine("physical_current"));
}

TEST_F(trim, contents_around_a_hole_stay)
{
	ASSERT_EQ(0, trim(self->fd, BEGIN, PART, NULL));
	EXPECT_TRUE(is_filled(self->p, BEGIN, 1));
	EXPECT_TRUE(is_filled(self->p + BEGIN, PART, 0));
	EXPECT_TRUE(is_filled(self->p + BEGIN + PART, BYTES - BEGIN - PART, 1));
}

/* One process gives back, the other one sees zeros; and the other way. */
TEST_F(trim, shared_by_fork)
{
	int there[2], back[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(there, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(back, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		bool good = is_filled(self->p, BYTES, 1);

		tell(back[1]);
		hear(there[0]);
		good &= is_filled(self->p + BEGIN, PART, 0);
		memset(self->p + BEGIN, 9, self->page);
		good &= !trim(self->fd, 0, self->page, NULL);
		_exit(good ? 0 : 1);
	}
	ASSERT_TRUE(hear(back[0]));
	ASSERT_EQ(0, trim(self->fd, BEGIN, PART, NULL));
	tell(there[1]);
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_TRUE(is_filled(self->p + BEGIN, self->page, 9));
	EXPECT_TRUE(is_filled(self->p, self->page, 0));
	EXPECT_TRUE(holds(self->fd, BYTES));
}

/* The socket's receive area: pinned for as long as the socket is open. */
static int pin(void *at, size_t bytes)
{
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)at,
		.len = bytes,
		.chunk_size = PAGE_BYTES,
	};
	int s = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -1;
	return setsockopt(s, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ? -1 : s;
}

TEST_F(trim, pinned_memory_is_left_alone)
{
	int s = pin(self->p + BEGIN + PAGE_BYTES, PAGE_BYTES);
	int i;

	if (s < 0 && errno == EAFNOSUPPORT)
		SKIP(return, "this kernel has no AF_XDP");
	ASSERT_GE(s, 0);
	test_err(EBUSY, trim(self->fd, 0, BYTES, NULL));
	test_err(EBUSY, trim(self->fd, BEGIN, PART, NULL));
	EXPECT_TRUE(holds(self->fd, BYTES));
	EXPECT_EQ(BYTES, machine("physical_current"));
	EXPECT_TRUE(is_filled(self->p, BYTES, 1));
	/* What is not pinned goes. */
	EXPECT_EQ(0, trim(self->fd, BEGIN + PART, self->page, NULL));
	EXPECT_TRUE(holds(self->fd, BYTES - self->page));
	close(s);
	for (i = 0; i < 200 && trim(self->fd, BEGIN, PART, NULL); i++)
		sleep_ms(10);
	EXPECT_TRUE(holds(self->fd, BYTES - PART - self->page));

	/* A hole is filled, and charged, to be pinned. */
	s = pin(self->p + BEGIN, PAGE_BYTES);
	ASSERT_GE(s, 0);
	EXPECT_TRUE(holds(self->fd, BYTES - PART));
	close(s);
}

TEST_F(trim, an_exported_region_is_left_alone)
{
	struct tmk_ioc_region_dmabuf buf = { .size = sizeof(buf) };
	int i;

	ASSERT_EQ(0, trim(self->fd, BEGIN, PART, NULL));
	if (ioctl(self->fd, TMK_IOC_REGION_DMABUF, &buf))
		SKIP(return, "no dma-bufs: %s", strerror(errno));
	/* A device is given no holes. */
	EXPECT_TRUE(holds(self->fd, BYTES));
	test_err(EBUSY, trim(self->fd, 0, self->page, NULL));
	EXPECT_TRUE(holds(self->fd, BYTES));
	close(buf.out_fd);
	for (i = 0; i < 200 && trim(self->fd, 0, self->page, NULL); i++)
		sleep_ms(10);
	EXPECT_TRUE(holds(self->fd, BYTES - self->page));
}

TEST_F(trim, wrong_requests)
{
	struct tmk_ioc_region_trim *cmd;
	struct tmk_ioc_region_create c;
	char path[64];
	int fd, bit;

	test_err(EINVAL, trim(self->fd, 0, 0, NULL));
	test_err(EINVAL, trim(self->fd, 1, self->page, NULL));
	test_err(EINVAL, trim(self->fd, 0, self->page - 1, NULL));
	test_err(EINVAL, trim(self->fd, self->page / 2, self->page, NULL));
	test_err(EINVAL, trim(self->fd, 0, BYTES + self->page, NULL));
	test_err(EINVAL, trim(self->fd, BYTES, self->page, NULL));
	test_err(EINVAL, trim(self->fd, self->page, BYTES, NULL));
	test_err(EINVAL, trim(self->fd, -self->page, self->page, NULL));
	test_err(EINVAL, trim(self->fd, -self->page, 2 * self->page, NULL));
	test_err(EINVAL, trim(self->fd, self->page, -self->page, NULL));
	test_err(EINVAL, trim(self->fd, 0, 1ULL << 63, NULL));
	test_err(ENOTTY, trim(self->dev, 0, self->page, NULL));

	cmd = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)cmd);
	cmd->size = sizeof(*cmd);
	cmd->length = self->page;
	for (bit = 0; bit < 32; bit++) {
		cmd->flags = 1u << bit;
		test_err(EINVAL, ioctl(self->fd, TMK_IOC_REGION_TRIM, cmd));
	}
	cmd->flags = 0;
	ASSERT_EQ(0, mprotect(cmd, PAGE_BYTES, PROT_READ));
	test_err(EFAULT, ioctl(self->fd, TMK_IOC_REGION_TRIM, cmd));

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	test_err(EACCES, trim(fd, 0, self->page, NULL));
	close(fd);
	EXPECT_TRUE(holds(self->fd, BYTES));
	EXPECT_TRUE(is_filled(self->p, BYTES, 1));

	/* It is asked for at creation, and of these kinds. */
	fd = create_simple(self->dev, variant->kind, self->page);
	ASSERT_GE(fd, 0);
	test_err(EOPNOTSUPP, trim(fd, 0, self->page, NULL));
	close(fd);
	c = create_cmd(TMK_IOC_KIND_FILE, PAGE_BYTES);
	c.flags = TMK_IOC_REGION_F_TRIM;
	c.backing_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	test_err(EOPNOTSUPP, create(self->dev, &c));
	close(c.backing_fd);
}

/* The structure itself lies in what is given back. */
TEST_F(trim, the_command_in_the_hole)
{
	struct tmk_ioc_region_trim *cmd = (void *)(self->p + BEGIN);

	memset(cmd, 0, sizeof(*cmd));
	cmd->size = sizeof(*cmd);
	cmd->length = BYTES;
	ASSERT_EQ(0, ioctl(self->fd, TMK_IOC_REGION_TRIM, cmd));
	/* The answer is what brings a page back. */
	EXPECT_EQ(BYTES, cmd->out_trimmed);
	EXPECT_TRUE(holds(self->fd, self->page));
}

/* Nothing but a charged fault puts pages into a hole. */
TEST_F(trim, no_way_around_the_charge)
{
	struct iovec local = { .iov_len = PAGE_BYTES };
	struct iovec remote = { .iov_base = self->p + BEGIN,
				.iov_len = PAGE_BYTES };
	char buf[PAGE_BYTES];

	ASSERT_EQ(0, trim(self->fd, BEGIN, PART, NULL));
	/* Nowhere to put a large page, or not allowed: all the same. */
	madvise(self->p + BEGIN, PART, MADV_COLLAPSE);
	EXPECT_TRUE(holds(self->fd, BYTES - PART));
	madvise(self->p + BEGIN, PART, MADV_WILLNEED);
	EXPECT_TRUE(holds(self->fd, BYTES - PART));
	EXPECT_EQ(-1, fallocate(self->fd, 0, BEGIN, PART));
	posix_fadvise(self->fd, BEGIN, PART, POSIX_FADV_WILLNEED);
	EXPECT_EQ(-1, ftruncate(self->fd, BYTES * 2));
	EXPECT_EQ(MAP_FAILED,
		  mremap(self->p, BYTES, BYTES * 2, MREMAP_MAYMOVE));
	EXPECT_TRUE(holds(self->fd, BYTES - PART));

	local.iov_base = buf;
	EXPECT_EQ(PAGE_BYTES,
		  process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_TRUE(is_filled(buf, PAGE_BYTES, 0));
	EXPECT_TRUE(holds(self->fd, BYTES - PART + self->page));
}

static int child_of_a_full_group(unsigned int kind)
{
	int dev = device_open(), fd, other;
	pid_t pid;
	char *p;

	if (cg_enter(GROUP))
		return 10;
	fd = create_trimmable(dev, kind, PART);
	p = map(fd, PART);
	if (fd < 0 || p == MAP_FAILED || trim(fd, 0, PART / 2, NULL))
		return 11;
	/* Somebody else takes the room; all bytes still count. */
	other = create_simple(dev, kind, PART / 2);
	if (other < 0)
		return 12;
	pid = fork();
	if (!pid) {
		p[0] = 1; /* SIGBUS */
		_exit(0);
	}
	if (wait_status(pid) != SIGBUS || !holds(fd, PART / 2))
		return 13;
	p[PART / 2] = 1; /* what is there can be used */
	close(other);
	p[0] = 1;
	return holds(fd, PART / 2 + page_size(kind)) ? 0 : 14;
}

TEST_F(trim, a_hole_is_refused_by_physical_max)
{
	char path[PATH_MAX];
	pid_t pid;

	ASSERT_EQ(0, cg_create(GROUP));
	ASSERT_EQ(0, tmk_limit(GROUP, "physical_max", "8M"));
	pid = fork();
	if (!pid)
		_exit(child_of_a_full_group(variant->kind));
	EXPECT_EQ(0, wait_status(pid) >> 8);
	tmk_path(path, cg_id(GROUP), "events");
	EXPECT_GE(read_key(path, "physical_max"), 1);
	EXPECT_EQ(PART, tmk_number(cg_id(GROUP), "physical_peak"));
	EXPECT_EQ(0, tmk_limit(GROUP, "physical_max", "max"));
	EXPECT_EQ(0, cg_destroy(GROUP));
}

struct race {
	char *p;
	int fd;
	uint64_t page;
	atomic_bool stop;
	atomic_ulong bad;
};

static void *race_touch(void *arg)
{
	struct race *r = arg;
	unsigned int seed = (unsigned int)(uintptr_t)&seed;

	while (!atomic_load(&r->stop)) {
		size_t at = rand_r(&seed) % (BYTES / PAGE_BYTES) * PAGE_BYTES;
		char seen = ((volatile char *)r->p)[at];

		if (seen && seen != 5)
			atomic_fetch_add(&r->bad, 1);
		r->p[at] = 5;
	}
	return NULL;
}

static void *race_map(void *arg)
{
	struct race *r = arg;
	unsigned long sum = 0;
	size_t i;

	while (!atomic_load(&r->stop)) {
		char *p = map(r->fd, BYTES);

		for (i = 0; i < BYTES; i += 64 * PAGE_BYTES)
			sum += p[i];
		munmap(p, BYTES);
	}
	return (void *)sum;
}

TEST_F(trim, racing_with_faults)
{
	struct race r = { .p = self->p, .fd = self->fd, .page = self->page };
	unsigned int seed = 1, rounds, busy = 0;
	struct tmk_ioc_region_info info;
	pthread_t threads[3];
	uint64_t i;

	memset(self->p, 5, BYTES);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL,
					 i == 2 ? race_map : race_touch, &r));
	for (rounds = 0; rounds < 400; rounds++) {
		uint64_t pages = BYTES / self->page;
		uint64_t begin = rand_r(&seed) % pages;
		uint64_t nr = 1 + rand_r(&seed) % (pages - begin);

		if (trim(self->fd, begin * self->page, nr * self->page, NULL)) {
			EXPECT_EQ(EBUSY, errno);
			busy++;
		}
	}
	atomic_store(&r.stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&r.bad));
	TH_LOG("%u of %u times busy", busy, rounds);
	EXPECT_LT(busy, rounds / 2);
	info = region_info(self->fd);
	EXPECT_TRUE(holds(self->fd, info.out_physical));
	EXPECT_EQ(info.out_physical, machine("physical_current"));
	EXPECT_EQ(0, trim(self->fd, 0, BYTES, NULL));
	EXPECT_TRUE(holds(self->fd, 0));
}

TEST_F(trim, killed_in_the_middle)
{
	int round;

	munmap(self->p, BYTES);
	self->p = NULL;
	for (round = 0; round < 10; round++) {
		pid_t pid = fork();

		if (!pid) {
			int fd = create_trimmable(self->dev, variant->kind,
						  BYTES);
			char *p = map(fd, BYTES);

			for (;;) {
				memset(p, 1, BYTES);
				trim(fd, 0, BYTES, NULL);
			}
		}
		sleep_ms(20 + 17 * round);
		kill(pid, SIGKILL);
		EXPECT_EQ(SIGKILL, wait_status(pid));
	}
	EXPECT_TRUE(settles(BYTES));
}

TEST_HARNESS_MAIN
