/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * The ways through the module that failnth.c fails at every point: each command,
 * sysfs file and mapping, from a state that is made before and undone after, both
 * without a failure.
 */
#ifndef TMK_KSELFTEST_WAYS_H
#define TMK_KSELFTEST_WAYS_H

#include "cg_util.h"

#include <poll.h>
#include <setjmp.h>
#include <sys/syscall.h>

#include "../kmod-importer/importer.h"

#define GROUP "/failnth"

static int dev = -1;

/* One way: 0 or the errno of what failed. Cleans up after itself. */
struct way {
	const char *name;
	int (*run)(void);
	void (*before)(void); /* without failures */
	void (*after)(void);
	int end; /* what it gives without a failure */
};

static int region = -1;
static int backing = -1; /* the file that it is over */
static int buf = -1; /* its dma-buf */
static int device = -1; /* the importer */
static char *mapped;

static void no_region(void)
{
	if (mapped)
		munmap(mapped, HUGE_BYTES);
	mapped = NULL;
	if (buf >= 0)
		close(buf);
	buf = -1;
	if (region >= 0)
		close(region);
	region = -1;
	if (backing >= 0)
		close(backing);
	backing = -1;
}

static void with_region(void)
{
	region = create_simple(dev, TMK_IOC_KIND_HUGE, HUGE_BYTES);
	ASSERT_GE(region, 0);
}

static void with_trimmable(void)
{
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_HUGE, HUGE_BYTES);

	c.flags = TMK_IOC_REGION_F_TRIM;
	region = create(dev, &c);
	ASSERT_GE(region, 0);
}

/* An importer of its own each time: what it took it keeps until it is closed. */
static void with_importer(void)
{
	struct tmk_ioc_region_dmabuf c = { .size = sizeof(c) };
	int ko = open("/vm/tmk_importer.ko", O_RDONLY | O_CLOEXEC);

	ASSERT_GE(ko, 0);
	ASSERT_TRUE(!syscall(SYS_finit_module, ko, "", 0) || errno == EEXIST);
	close(ko);
	device = open("/dev/tmk_importer", O_RDWR | O_CLOEXEC);
	ASSERT_GE(device, 0);
	with_region();
	ASSERT_EQ(0, ioctl(region, TMK_IOC_REGION_DMABUF, &c));
	buf = c.out_fd;
}

static void no_importer(void)
{
	close(device);
	device = -1;
	no_region();
}

static void with_mapping(void)
{
	with_region();
	mapped = map(region, HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)mapped);
	memset(mapped, 1, HUGE_BYTES);
}

/*
 * A fork that cannot get a stack says so with a stack trace, which would count
 * as a complaint: warnings stay off the console for that way. KASAN and lockdep
 * speak louder than that.
 */
static void with_quiet_mapping(void)
{
	with_mapping();
	ASSERT_EQ(0, write_text("/proc/sys/kernel/printk", "4"));
}

static void no_quiet_region(void)
{
	ASSERT_EQ(0, write_text("/proc/sys/kernel/printk", "7"));
	no_region();
}

static void leave_group(void)
{
	no_region();
	ASSERT_EQ(0, cg_enter(""));
	ASSERT_EQ(0, cg_destroy(GROUP));
}

static void with_group(void)
{
	ASSERT_EQ(0, cg_create(GROUP));
	ASSERT_EQ(0, cg_enter(GROUP));
}

static void with_full_group(void)
{
	with_group();
	ASSERT_EQ(0, tmk_limit(GROUP, "max", "4096"));
}

static int create_close(unsigned int kind, uint64_t bytes, unsigned int flags,
			int node)
{
	struct tmk_ioc_region_create c = create_cmd(kind, bytes);
	int fd;

	c.flags = flags;
	c.node = node;
	fd = create(dev, &c);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int way_open(void)
{
	int fd = device_open();

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int way_info(void)
{
	struct tmk_ioc_info c = { .size = sizeof(c) };

	return ioctl(dev, TMK_IOC_INFO, &c) ? errno : 0;
}

static int way_usage(void)
{
	struct tmk_ioc_usage c = { .size = sizeof(c) };

	return ioctl(dev, TMK_IOC_USAGE, &c) ? errno : 0;
}

static int way_pinned(void)
{
	return create_close(TMK_IOC_KIND_PINNED, 3 * PAGE_BYTES, 0,
			    TMK_IOC_NODE_ANY);
}

static int way_huge(void)
{
	return create_close(TMK_IOC_KIND_HUGE, HUGE_BYTES, 0, TMK_IOC_NODE_ANY);
}

static int way_require(void)
{
	return create_close(TMK_IOC_KIND_HUGE, HUGE_BYTES,
			    TMK_IOC_REGION_F_REQUIRE, 0);
}

static int way_hugetlb(void)
{
	return create_close(TMK_IOC_KIND_HUGETLB, HUGE_BYTES, 0,
			    TMK_IOC_NODE_ANY);
}

static void with_pages(void)
{
	ASSERT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "2"));
}

static void no_pages(void)
{
	no_region();
	ASSERT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "0"));
}

static void with_hugetlb_region(void)
{
	with_pages();
	region = create_simple(dev, TMK_IOC_KIND_HUGETLB, HUGE_BYTES);
	ASSERT_GE(region, 0);
}

static int way_file(void)
{
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_FILE, PAGE_BYTES);
	int fd;

	c.backing_fd = backing;
	fd = create(dev, &c);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void with_file(void)
{
	backing = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_GE(backing, 0);
	ASSERT_EQ(0, ftruncate(backing, PAGE_BYTES));
}

static void with_file_region(void)
{
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_FILE, HUGE_BYTES);

	with_file();
	c.backing_fd = backing;
	region = create(dev, &c);
	ASSERT_GE(region, 0);
}

static int way_region_info(void)
{
	struct tmk_ioc_region_info c = { .size = sizeof(c) };

	return ioctl(region, TMK_IOC_REGION_INFO, &c) ? errno : 0;
}

static int way_dmabuf(void)
{
	struct tmk_ioc_region_dmabuf c = { .size = sizeof(c) };
	void *p;

	if (ioctl(region, TMK_IOC_REGION_DMABUF, &c))
		return errno;
	p = map(c.out_fd, HUGE_BYTES);
	if (p != MAP_FAILED) {
		*(volatile char *)p = 1;
		munmap(p, HUGE_BYTES);
	}
	close(c.out_fd);
	return 0;
}

static int way_trim(void)
{
	struct tmk_ioc_region_trim c = { .size = sizeof(c),
					 .length = HUGE_BYTES };

	return ioctl(region, TMK_IOC_REGION_TRIM, &c) ? errno : 0;
}

static int way_readonly(void)
{
	struct tmk_ioc_region_readonly c = { .size = sizeof(c) };

	if (ioctl(region, TMK_IOC_REGION_READONLY, &c))
		return errno;
	close(c.out_fd);
	return 0;
}

static int way_seal(void)
{
	struct tmk_ioc_region_seal c = { .size = sizeof(c),
					 .seals = TMK_IOC_SEAL_FUTURE_WRITE };

	return ioctl(region, TMK_IOC_REGION_SEAL, &c) ? errno : 0;
}

/* As a device takes and leaves the memory. */
static int way_import(void)
{
	struct tmk_importer_attach a = { .fd = buf,
					 .segment_max = 1 << 20,
					 .quiet = 1 };
	struct tmk_importer_access look = { .offset = 0, .write = 2 };
	int err = 0;

	if (ioctl(device, TMK_IMPORTER_ATTACH, &a))
		return errno;
	if (ioctl(device, TMK_IMPORTER_ACCESS, &look))
		err = errno;
	ioctl(device, TMK_IMPORTER_DETACH);
	return err;
}

/* The one who waits for a limit to be hit or for room. */
static int way_poll(void)
{
	struct pollfd p = { .fd = dev, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) < 0 ? errno : 0;
}

static sigjmp_buf fault;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(fault, 1);
}

/* A fault that has no memory is a signal. */
static int way_map(void)
{
	char *p = map(region, HUGE_BYTES);
	volatile int err = 0;

	if (p == MAP_FAILED)
		return errno;
	signal(SIGBUS, on_bus);
	if (sigsetjmp(fault, 1)) {
		err = ENOMEM;
	} else {
		*(volatile char *)p = 1;
		*(volatile char *)(p + HUGE_BYTES - 1) = 1;
	}
	munmap(p, HUGE_BYTES);
	return err;
}

static void with_hole(void)
{
	with_trimmable();
	ASSERT_EQ(0, way_trim());
}

/* Of small pages, which nothing smaller can take the place of. */
static void with_small_hole(void)
{
	struct tmk_ioc_region_create c =
		create_cmd(TMK_IOC_KIND_PINNED, HUGE_BYTES);

	c.flags = TMK_IOC_REGION_F_TRIM;
	region = create(dev, &c);
	ASSERT_GE(region, 0);
	ASSERT_EQ(0, way_trim());
}

/* A mapping that is cut in pieces and copied: each is one more holder. */
static int way_split(void)
{
	char *p = map(region, HUGE_BYTES);
	int err = 0;

	if (p == MAP_FAILED)
		return errno;
	if (munmap(p + PAGE_BYTES, PAGE_BYTES) ||
	    mprotect(p + MIB, PAGE_BYTES, PROT_READ))
		err = errno;
	munmap(p, HUGE_BYTES);
	return err;
}

static int way_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (!pid)
		_exit(0);
	wait_status(pid);
	return 0;
}

static int way_reopen(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", region);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int way_read(void)
{
	char text[100];

	return pread(region, text, sizeof(text), 0) < 0 ? errno : 0;
}

static int read_once(const char *path)
{
	char text[4096];
	ssize_t n = read_text(path, text, sizeof(text));

	return n < 0 ? -n : 0;
}

static int way_fdinfo(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", region);
	return read_once(path);
}

static int way_sysfs(void)
{
	return read_once(SYSFS "/by_kind")	   ?:
		       read_once(SYSFS "/current") ?:
						     read_once(SYSFS "/max");
}

static int way_debugfs(void)
{
	return read_once("/sys/kernel/debug/tmk/regions");
}

static int way_pool(void)
{
	int err = -write_text(SYSFS "/pool/target", "0");

	return err ?: read_once(SYSFS "/pool/state");
}

static int way_control(void)
{
	int err = -tmk_limit(GROUP, "max", "10M");

	return err ?: -tmk_limit(GROUP, "max", "max");
}

/* No fault point may leave a limit behind that was not there before. */
static void after_control(void)
{
	ASSERT_EQ(0, tmk_limit(GROUP, "max", "max"));
	leave_group();
}

static int way_owner(void)
{
	int err = -tmk_limit(GROUP, "owner", "1000");

	return err ?: -tmk_limit(GROUP, "owner", "none");
}

static void after_owner(void)
{
	ASSERT_EQ(0, tmk_limit(GROUP, "owner", "none"));
	leave_group();
}

static int way_max(void)
{
	return -write_text(SYSFS "/max", "max");
}

static int way_peak(void)
{
	return -write_text(SYSFS "/peak", "0");
}

/* clang-format off */
static const struct way ways[] = {
	{ .name = "open", .run = way_open },
	{ .name = "info", .run = way_info },
	{ .name = "usage", .run = way_usage },
	{ .name = "create_pinned", .run = way_pinned },
	{ .name = "create_huge", .run = way_huge },
	{ .name = "create_huge_required", .run = way_require },
	{ .name = "create_hugetlb", .run = way_hugetlb,
	  .before = with_pages, .after = no_pages },
	{ .name = "create_file", .run = way_file, .before = with_file,
	  .after = no_region },
	{ .name = "create_in_new_group", .run = way_pinned,
	  .before = with_group, .after = leave_group },
	{ .name = "usage_in_new_group", .run = way_usage,
	  .before = with_group, .after = leave_group },
	{ .name = "create_refused", .run = way_pinned, .end = EDQUOT,
	  .before = with_full_group, .after = after_control },
	{ .name = "region_info", .run = way_region_info,
	  .before = with_region, .after = no_region },
	{ .name = "dmabuf", .run = way_dmabuf,
	  .before = with_region, .after = no_region },
	{ .name = "trim", .run = way_trim,
	  .before = with_trimmable, .after = no_region },
	{ .name = "readonly", .run = way_readonly,
	  .before = with_region, .after = no_region },
	{ .name = "seal", .run = way_seal,
	  .before = with_region, .after = no_region },
	{ .name = "import", .run = way_import,
	  .before = with_importer, .after = no_importer },
	{ .name = "poll", .run = way_poll },
	{ .name = "map", .run = way_map,
	  .before = with_region, .after = no_region },
	{ .name = "map_file", .run = way_map,
	  .before = with_file_region, .after = no_region },
	{ .name = "map_hugetlb", .run = way_map,
	  .before = with_hugetlb_region, .after = no_pages },
	{ .name = "split_file", .run = way_split,
	  .before = with_file_region, .after = no_region },
	{ .name = "fill_hole", .run = way_map,
	  .before = with_hole, .after = no_region },
	{ .name = "fill_small_hole", .run = way_map,
	  .before = with_small_hole, .after = no_region },
	{ .name = "dmabuf_of_hole", .run = way_dmabuf,
	  .before = with_hole, .after = no_region },
	{ .name = "fork", .run = way_fork,
	  .before = with_quiet_mapping, .after = no_quiet_region },
	{ .name = "reopen", .run = way_reopen,
	  .before = with_region, .after = no_region },
	{ .name = "read", .run = way_read,
	  .before = with_region, .after = no_region },
	{ .name = "fdinfo", .run = way_fdinfo,
	  .before = with_region, .after = no_region },
	{ .name = "sysfs", .run = way_sysfs },
	{ .name = "debugfs", .run = way_debugfs,
	  .before = with_region, .after = no_region },
	{ .name = "pool", .run = way_pool },
	{ .name = "control", .run = way_control,
	  .before = with_group, .after = after_control },
	{ .name = "owner", .run = way_owner,
	  .before = with_group, .after = after_owner },
	{ .name = "max", .run = way_max },
	{ .name = "peak", .run = way_peak },
};
/* clang-format on */

#endif /* TMK_KSELFTEST_WAYS_H */
