// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Regions as dma-bufs: what a device is given, who sees whose writing, and that
 * memory and charge last as long as the last who has them. The device is
 * tests/kmod-importer.
 */
#include "tmk_util.h"

#include <linux/dma-buf.h>

#include "../kmod-importer/importer.h"

#define BYTES (64 * MIB)
#define SEGMENT_MAX (1U << 30)
#define MODULE "/vm/tmk_importer.ko"
#define WORD 0x746d6b2d64617461ULL

/* A device; loads its module if need be. -1 with errno. */
static int importer_open(void)
{
	int fd = open("/dev/tmk_importer", O_RDWR | O_CLOEXEC);
	int ko;

	if (fd >= 0 || errno != ENOENT)
		return fd;
	ko = open(MODULE, O_RDONLY | O_CLOEXEC);
	if (ko < 0)
		return -1;
	if (syscall(SYS_finit_module, ko, "", 0) && errno != EEXIST)
		return -1;
	close(ko);
	return open("/dev/tmk_importer", O_RDWR | O_CLOEXEC);
}

static int export(int region)
{
	struct tmk_ioc_region_dmabuf cmd = { .size = sizeof(cmd) };

	return ioctl(region, TMK_IOC_REGION_DMABUF, &cmd) ? -1 : cmd.out_fd;
}

static struct tmk_importer_attach attach(int device, int buf, unsigned int most)
{
	struct tmk_importer_attach cmd = { .fd = buf, .segment_max = most };

	if (ioctl(device, TMK_IMPORTER_ATTACH, &cmd))
		memset(&cmd, 0xff, sizeof(cmd));
	return cmd;
}

static struct tmk_importer_access look(int device, uint64_t offset)
{
	struct tmk_importer_access cmd = { .offset = offset };

	if (ioctl(device, TMK_IMPORTER_ACCESS, &cmd))
		memset(&cmd, 0xff, sizeof(cmd));
	return cmd;
}

static int put(int device, uint64_t offset, uint64_t value, int how)
{
	struct tmk_importer_access cmd = {
		.offset = offset,
		.value = value,
		.write = how,
	};

	return ioctl(device, TMK_IMPORTER_ACCESS, &cmd);
}

FIXTURE(dmabuf)
{
	int dev;
	int device;
	int region;
};

FIXTURE_VARIANT(dmabuf)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(dmabuf, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(dmabuf, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_SETUP(dmabuf)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->device = importer_open();
	if (self->device < 0)
		SKIP(return, "no importer: %s", strerror(errno));
	self->region = create_simple(self->dev, variant->kind, BYTES);
	ASSERT_GE(self->region, 0);
}

FIXTURE_TEARDOWN(dmabuf)
{
	if (self->device < 0)
		return;
	close(self->device);
	close(self->region);
	EXPECT_TRUE(settles(0));
	close(self->dev);
}

/* How many runs of adjacent page frames a region is made of, 0 if not known. */
static unsigned int runs_of(int region)
{
	static uint64_t entry[BYTES / PAGE_BYTES];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *p = map(region, BYTES);
	unsigned int runs = 0;
	size_t i;

	if (p == MAP_FAILED)
		return 0;
	for (i = 0; i < BYTES; i += PAGE_BYTES)
		p[i];
	if (pread(fd, entry, sizeof(entry),
		  (off_t)((uintptr_t)p / PAGE_BYTES * sizeof(entry[0]))) ==
	    sizeof(entry))
		for (i = 0; i < BYTES / PAGE_BYTES; i++)
			runs += !i || entry[i] << 9 != (entry[i - 1] + 1) << 9;
	munmap((void *)p, BYTES);
	close(fd);
	return runs;
}

TEST_F(dmabuf, segments_are_as_long_as_can_be)
{
	struct tmk_ioc_region_info info = region_info(self->region);
	unsigned int pages = info.out_bytes_4k / PAGE_BYTES +
			     info.out_bytes_large / 65536 +
			     info.out_bytes_2m / HUGE_BYTES;
	struct tmk_importer_attach a;
	int buf = export(self->region);

	ASSERT_GE(buf, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(buf, F_GETFD));
	EXPECT_EQ(BYTES, lseek(buf, 0, SEEK_END));
	a = attach(self->device, buf, SEGMENT_MAX);
	EXPECT_EQ(BYTES, a.bytes);
	/* Adjacent folios go together, whatever their size. */
	EXPECT_EQ(runs_of(self->region), a.segments);
	if (info.out_bytes_2m == BYTES) {
		EXPECT_LE(a.segments, BYTES / HUGE_BYTES);
		EXPECT_GE(a.longest, HUGE_BYTES);
	}
	TH_LOG("%u segments of %u pages, the longest of %u KiB", a.segments,
	       pages, a.longest >> 10);
	ASSERT_EQ(0, ioctl(self->device, TMK_IMPORTER_DETACH));

	/* A device that takes little at once. */
	a = attach(self->device, buf, 65536);
	EXPECT_EQ(BYTES, a.bytes);
	EXPECT_LE(a.longest, 65536);
	EXPECT_GE(a.segments, BYTES / 65536);
	close(buf);
}

TEST_F(dmabuf, contents_are_the_same_from_every_side)
{
	struct tmk_importer_access seen;
	int buf = export(self->region);
	uint64_t offset, i;
	char *p, *q;

	ASSERT_GE(buf, 0);
	p = map(self->region, BYTES);
	q = map(buf, BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	ASSERT_EQ(BYTES, attach(self->device, buf, SEGMENT_MAX).bytes);
	for (i = 0; i < BYTES / PAGE_BYTES; i++)
		*(uint64_t *)(p + i * PAGE_BYTES) = WORD + i;
	for (i = 0; i < BYTES / PAGE_BYTES; i += 511) {
		offset = i * PAGE_BYTES;
		seen = look(self->device, offset);
		EXPECT_EQ(WORD + i, seen.device_saw);
		EXPECT_EQ(WORD + i, seen.vmap_saw);
		EXPECT_EQ(WORD + i, *(uint64_t *)(q + offset));
		EXPECT_EQ(0, put(self->device, offset, ~i, 1));
		EXPECT_EQ(~i, *(uint64_t *)(p + offset));
		EXPECT_EQ(0, put(self->device, offset, i ^ WORD, 2));
		EXPECT_EQ(i ^ WORD, *(uint64_t *)(q + offset));
		*(uint64_t *)(q + offset) = i;
		EXPECT_EQ(i, look(self->device, offset).device_saw);
		EXPECT_EQ(frame(p + offset), frame(q + offset));
	}
	munmap(p, BYTES);
	munmap(q, BYTES);
	close(buf);
}

TEST_F(dmabuf, mapping_the_dmabuf_follows_the_region)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START |
					      DMA_BUF_SYNC_RW };
	int buf = export(self->region);
	char *p;

	ASSERT_GE(buf, 0);
	EXPECT_EQ(0, ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync));
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	EXPECT_EQ(0, ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync));
	test_err(EINVAL, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, buf, 0));
	test_err(EINVAL,
		 mmap(NULL, BYTES + 4096, PROT_READ, MAP_SHARED, buf, 0));
	p = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, buf,
		 BYTES - HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 7, HUGE_BYTES);
	/* The mapping alone is enough. */
	close(buf);
	close(self->region);
	self->region = -1;
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(7, p[HUGE_BYTES - 1]);
	munmap(p, HUGE_BYTES);
}

TEST_F(dmabuf, the_charge_stays_until_the_last_is_gone)
{
	int buf = export(self->region);
	char *p = map(self->region, BYTES);

	ASSERT_GE(buf, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	p[BYTES / 2] = 42;
	close(self->region);
	self->region = -1;
	munmap(p, BYTES);
	sleep_ms(100);
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(BYTES, machine("physical_current"));
	test_err(EWOULDBLOCK, syscall(SYS_delete_module, "tmk", O_NONBLOCK));

	/* The device alone is enough as well. */
	ASSERT_EQ(BYTES, attach(self->device, buf, SEGMENT_MAX).bytes);
	close(buf);
	sleep_ms(100);
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(42, look(self->device, BYTES / 2).device_saw);
	test_err(EWOULDBLOCK, syscall(SYS_delete_module, "tmk", O_NONBLOCK));
	ASSERT_EQ(0, ioctl(self->device, TMK_IMPORTER_DETACH));
	EXPECT_TRUE(settles(0));
}

TEST_F(dmabuf, several_exports_and_imports)
{
	int i, buf[4], device[4];

	for (i = 0; i < 4; i++) {
		buf[i] = export(self->region);
		ASSERT_GE(buf[i], 0);
		device[i] = importer_open();
		EXPECT_EQ(BYTES, attach(device[i], buf[i], SEGMENT_MAX).bytes);
	}
	EXPECT_EQ(BYTES, machine("current"));
	EXPECT_EQ(0, put(device[0], 8, WORD, 1));
	EXPECT_EQ(WORD, look(device[3], 8).vmap_saw);
	for (i = 0; i < 4; i++) {
		close(buf[i]);
		close(device[i]);
	}
}

TEST_F(dmabuf, wrong_requests)
{
	struct tmk_ioc_region_dmabuf cmd = { .size = sizeof(cmd) };
	struct rlimit limit, old;
	int bit, ro, fds;
	char path[64];

	fds = open_fds();
	for (bit = 0; bit < 32; bit++) {
		cmd.flags = 1u << bit;
		test_err(EINVAL,
			 ioctl(self->region, TMK_IOC_REGION_DMABUF, &cmd));
		cmd.flags = 0;
		cmd.__reserved = 1u << bit;
		test_err(EINVAL,
			 ioctl(self->region, TMK_IOC_REGION_DMABUF, &cmd));
		cmd.__reserved = 0;
	}
	test_err(ENOTTY, ioctl(self->dev, TMK_IOC_REGION_DMABUF, &cmd));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	limit.rlim_cur = 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	test_err(EMFILE, ioctl(self->region, TMK_IOC_REGION_DMABUF, &cmd));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));

	/* A device could write: reading rights are not enough. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->region);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(ro, 0);
	test_err(EACCES, ioctl(ro, TMK_IOC_REGION_DMABUF, &cmd));
	close(ro);
	EXPECT_EQ(fds, open_fds());
}

TEST_F(dmabuf, no_answer_no_dmabuf)
{
	struct tmk_ioc_region_dmabuf *cmd;
	int fds = open_fds();

	cmd = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)cmd);
	cmd->size = sizeof(*cmd);
	ASSERT_EQ(0, mprotect(cmd, PAGE_BYTES, PROT_READ));
	test_err(EFAULT, ioctl(self->region, TMK_IOC_REGION_DMABUF, cmd));
	EXPECT_EQ(fds, open_fds());
}

TEST_F(dmabuf, killed_while_holding)
{
	int go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		int region = create_simple(self->dev, variant->kind, BYTES);
		int buf = export(region);
		int device = importer_open();
		char *p = map(buf, BYTES);

		if (attach(device, buf, SEGMENT_MAX).bytes != BYTES)
			_exit(1);
		memset(p, 1, BYTES);
		close(region);
		tell(go[1]);
		pause();
	}
	ASSERT_TRUE(hear(go[0]));
	EXPECT_EQ(2 * BYTES, machine("current"));
	kill(pid, SIGKILL);
	EXPECT_EQ(SIGKILL, wait_status(pid));
	EXPECT_TRUE(settles(BYTES));
	close(go[0]);
	close(go[1]);
}

/* Other kinds have no pages of tmk's own. */
TEST(a_file_region_is_not_exported)
{
	struct tmk_ioc_region_dmabuf cmd = { .size = sizeof(cmd) };
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_FILE, PAGE_BYTES);
	int dev = device_open();
	int region;

	c.backing_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_GE(c.backing_fd, 0);
	region = create(dev, &c);
	if (region < 0)
		SKIP(return, "no file regions: %s", strerror(errno));
	test_err(EOPNOTSUPP, ioctl(region, TMK_IOC_REGION_DMABUF, &cmd));
	close(region);
}

TEST_HARNESS_MAIN
