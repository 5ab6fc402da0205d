// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What a process can do to a region without asking tmk, all of it at once: the
 * memory calls race on the same addresses, descriptors are closed under the
 * commands that use them, and there are no descriptors to be had. The contents
 * and the charge stay; afterwards nothing does.
 */
#include "cg_util.h"

#include <grp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define THREADS 6
#define SECONDS 1
#define BYTES (2 * HUGE_BYTES)
#define ARENA (4 * BYTES)
#define POOL "/proc/sys/vm/nr_hugepages"

static char *arena; /* where all threads map and unmap */
static int region;
static volatile bool over;
static __thread sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* A page-aligned place in the arena, and a length that stays in it. */
static char *place(unsigned int *seed, size_t *bytes)
{
	size_t at = (size_t)rand_r(seed) % (ARENA / PAGE_BYTES);
	size_t left = ARENA / PAGE_BYTES - at;

	*bytes = (1 + (size_t)rand_r(seed) % left) * PAGE_BYTES;
	return arena + at * PAGE_BYTES;
}

static void do_map(unsigned int *seed)
{
	char *at = arena + (size_t)rand_r(seed) % 4 * BYTES;

	mmap(at, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, region,
	     0);
}

static void do_unmap(unsigned int *seed)
{
	size_t bytes;
	char *at = place(seed, &bytes);

	mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
}

static void do_remap(unsigned int *seed)
{
	size_t bytes, ignored;
	char *at = place(seed, &bytes), *to = place(seed, &ignored);

	bytes = bytes % HUGE_BYTES + PAGE_BYTES;
	if (to + bytes <= arena + ARENA)
		mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

/* All there is, but for what takes the machine's memory away. */
static int advice(unsigned int *seed)
{
	return rand_r(seed) % 32;
}

static void do_advise(unsigned int *seed)
{
	size_t bytes;
	char *at = place(seed, &bytes);

	madvise(at, bytes, advice(seed));
}

static void do_advise_process(unsigned int *seed)
{
	struct iovec v;
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	v.iov_base = place(seed, &v.iov_len);
	syscall(SYS_process_madvise, fd, &v, 1, advice(seed), 0);
	close(fd);
}

static void do_protect(unsigned int *seed)
{
	size_t bytes;
	char *at = place(seed, &bytes);

	mprotect(at, bytes, rand_r(seed) % 8);
}

static void do_lock(unsigned int *seed)
{
	size_t bytes;
	char *at = place(seed, &bytes);

	if (rand_r(seed) % 2)
		mlock(at, bytes);
	else
		munlock(at, bytes);
}

static void do_bind(unsigned int *seed)
{
	unsigned long nodes = 1;
	size_t bytes;
	char *at = place(seed, &bytes);

	syscall(SYS_mbind, at, bytes, rand_r(seed) % 6,
		rand_r(seed) % 2 ? &nodes : NULL, 64UL, rand_r(seed) % 8);
}

static void do_fork(unsigned int *seed)
{
	pid_t pid = fork();

	(void)seed;
	if (pid)
		waitpid(pid, NULL, 0);
	else
		_exit(0);
}

/* A child that is held and poked at by its parent. */
static void do_trace(unsigned int *seed)
{
	size_t bytes;
	char *at = place(seed, &bytes);
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, WUNTRACED);
	errno = 0;
	bytes = (size_t)ptrace(PTRACE_PEEKDATA, pid, at, NULL);
	if (!errno)
		ptrace(PTRACE_POKEDATA, pid, at, (void *)bytes);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void do_splice(unsigned int *seed)
{
	struct iovec v;
	loff_t from = 0;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return;
	v.iov_base = place(seed, &v.iov_len);
	vmsplice(pipes[1], &v, 1, SPLICE_F_NONBLOCK);
	splice(region, &from, pipes[1], NULL, HUGE_BYTES, SPLICE_F_NONBLOCK);
	close(pipes[0]);
	close(pipes[1]);
}

/* Of a range that others may have mapped anew meanwhile. */
static void unregister(int fd, uint64_t start, uint64_t bytes)
{
	struct uffdio_range range = { .start = start, .len = bytes };
	uint64_t middle = start + bytes / 2;

	middle -= middle % (middle - middle % HUGE_BYTES > start ? HUGE_BYTES :
								   PAGE_BYTES);
	if (!ioctl(fd, UFFDIO_UNREGISTER, &range) || middle == start)
		return;
	unregister(fd, start, middle - start);
	unregister(fd, middle, start + bytes - middle);
}

/*
 * Faults in a place wait, or are answered with what is there, until it is let go.
 * Write protection is left out: with shared memory that is mapped meanwhile, of
 * whatever origin, it hangs Linux 6.1. So does closing while the place is still
 * registered and somebody takes its pages (mlock, ptrace, vmsplice): both turn in
 * circles, one with the lock that the other waits for.
 */
static void do_handle(unsigned int *seed)
{
	static char page[PAGE_BYTES] __attribute__((aligned(4096)));
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_MISSING_SHMEM |
					      UFFD_FEATURE_MINOR_SHMEM };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_register reg = { 0 };
	struct uffdio_continue more = { 0 };
	struct uffdio_copy copy = { .src = (uintptr_t)page, .len = PAGE_BYTES };
	size_t bytes;

	reg.range.start = (uintptr_t)place(seed, &bytes);
	reg.range.len = bytes;
	reg.mode = rand_r(seed) % 2 ? UFFDIO_REGISTER_MODE_MISSING :
				      UFFDIO_REGISTER_MODE_MINOR;
	more.range = reg.range;
	copy.dst = reg.range.start;
	if (!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg)) {
		madvise((void *)(uintptr_t)reg.range.start, bytes,
			MADV_DONTNEED);
		sched_yield();
		ioctl(fd, UFFDIO_COPY, &copy);
		ioctl(fd, UFFDIO_CONTINUE, &more);
		unregister(fd, reg.range.start, reg.range.len);
	}
	close(fd);
}

/* What is written is what was read, so that the contents stay. */
static void do_touch(unsigned int *seed)
{
	size_t bytes, i;
	char *at = place(seed, &bytes);

	if (sigsetjmp(fault, 1))
		return;
	for (i = 0; i < bytes; i += 16 * PAGE_BYTES)
		__atomic_fetch_or(at + i, 0, __ATOMIC_RELAXED);
}

static void (*const deeds[])(unsigned int *seed) = {
	do_map,	    do_map,    do_map,	  do_unmap, do_remap,
	do_advise,  do_advise, do_touch,  do_touch, do_touch,
	do_protect, do_lock,   do_bind,	  do_fork,  do_advise_process,
	do_trace,   do_splice, do_handle,
};

static void *misbehave(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!over)
		deeds[(size_t)rand_r(&seed) % (sizeof(deeds) / sizeof(*deeds))](
			&seed);
	return NULL;
}

/* The process in which it happens; some of it may well be its end. */
static void misbehave_all(void)
{
	struct sigaction sa = { .sa_handler = on_fault };
	pthread_t threads[THREADS];
	uintptr_t i;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	arena = mmap(NULL, ARENA + HUGE_BYTES, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		_exit(1);
	arena += -(uintptr_t)arena % HUGE_BYTES;
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, misbehave,
				   (void *)(i + 1)))
			_exit(2);
	sleep(SECONDS);
	over = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

FIXTURE(hostile)
{
	int dev;
};

FIXTURE_VARIANT(hostile)
{
	unsigned int kind, flags;
};

FIXTURE_VARIANT_ADD(hostile, pinned){ .kind = TMK_IOC_KIND_PINNED };

FIXTURE_VARIANT_ADD(hostile, huge){ .kind = TMK_IOC_KIND_HUGE };

FIXTURE_VARIANT_ADD(hostile, trimmable){ .kind = TMK_IOC_KIND_HUGE,
					 .flags = TMK_IOC_REGION_F_TRIM };

FIXTURE_VARIANT_ADD(hostile, file){ .kind = TMK_IOC_KIND_FILE };

FIXTURE_VARIANT_ADD(hostile, hugetlb){ .kind = TMK_IOC_KIND_HUGETLB };

/* Its memory is another file's, with which who has it mapped can do more. */
static bool is_mapped(const FIXTURE_VARIANT(hostile) * v)
{
	return v->kind == TMK_IOC_KIND_FILE || v->kind == TMK_IOC_KIND_HUGETLB;
}

static int make(int dev, const FIXTURE_VARIANT(hostile) * v, uint64_t bytes)
{
	struct tmk_ioc_region_create c = create_cmd(v->kind, bytes);
	int fd;

	c.flags = v->flags;
	if (v->kind == TMK_IOC_KIND_FILE)
		c.backing_fd = (int)syscall(SYS_memfd_create, "h", 0);
	fd = create(dev, &c);
	if (v->kind == TMK_IOC_KIND_FILE) {
		int err = errno;

		close(c.backing_fd);
		errno = err;
	}
	return fd;
}

static unsigned long long in_ram(const FIXTURE_VARIANT(hostile) * v,
				 unsigned long long bytes)
{
	return v->kind == TMK_IOC_KIND_FILE ? 0 : bytes;
}

/* settles(), whether or not the bytes are in RAM. */
static bool charge_settles(const FIXTURE_VARIANT(hostile) * v,
			   unsigned long long bytes)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (machine("current") == bytes &&
		    machine("physical_current") == in_ram(v, bytes))
			return true;
		sleep_ms(10);
	}
	TH_LOG("current is %llu", machine("current"));
	return false;
}

FIXTURE_SETUP(hostile)
{
	ASSERT_TRUE(settles(0));
	if (variant->kind == TMK_IOC_KIND_HUGETLB)
		ASSERT_EQ(0, write_text(POOL, "8"));
	self->dev = device_open();
	region = make(self->dev, variant, BYTES);
	ASSERT_GE(region, 0);
}

FIXTURE_TEARDOWN(hostile)
{
	close(region);
	close(self->dev);
	EXPECT_TRUE(settles(0));
	if (variant->kind == TMK_IOC_KIND_HUGETLB) {
		EXPECT_EQ(0, write_text(POOL, "0"));
		/* All pages had come back. */
		EXPECT_EQ(0, read_number(POOL));
	}
}

TEST_F_TIMEOUT(hostile, memory_calls_race, 300)
{
	size_t i, wrong = 0;
	uint32_t *p = map(region, BYTES);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < BYTES / sizeof(*p); i++)
		p[i] = (uint32_t)i * 2654435761U;
	pid = fork();
	if (!pid)
		misbehave_all();
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_TRUE(charge_settles(variant, BYTES));
	/* MADV_REMOVE empties other people's files, and does not empty ours. */
	for (i = 0; i < BYTES / sizeof(*p) && !is_mapped(variant); i++)
		wrong += p[i] != (uint32_t)i * 2654435761U;
	EXPECT_EQ(0, wrong);
	munmap(p, BYTES);
}

/* Descriptors that one thread closes while others are in their commands. */
#define SLOTS 4
#define CLOSES 50

static int slots[SLOTS];

static void slot_put(size_t i, int fd)
{
	fd = __atomic_exchange_n(&slots[i], fd, __ATOMIC_SEQ_CST);
	if (fd >= 0)
		close(fd);
}

static void command(int fd, unsigned int nr)
{
	struct tmk_ioc_region_info info = { .size = sizeof(info) };
	struct tmk_ioc_region_trim trim = { .size = sizeof(trim),
					    .length = HUGE_BYTES };
	struct tmk_ioc_region_dmabuf buf = { .size = sizeof(buf) };
	struct tmk_ioc_region_readonly ro = { .size = sizeof(ro) };
	char *p;

	switch (nr) {
	case 0:
		ioctl(fd, TMK_IOC_REGION_INFO, &info);
		break;
	case 1:
		ioctl(fd, TMK_IOC_REGION_TRIM, &trim);
		break;
	case 2:
		if (!ioctl(fd, TMK_IOC_REGION_DMABUF, &buf))
			close(buf.out_fd);
		break;
	case 3:
		if (!ioctl(fd, TMK_IOC_REGION_READONLY, &ro))
			close(ro.out_fd);
		break;
	default:
		p = map(fd, HUGE_BYTES);
		if (p != MAP_FAILED) {
			p[0] = 1;
			munmap(p, HUGE_BYTES);
		}
	}
}

static void *commander(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!over)
		command(slots[rand_r(&seed) % SLOTS], rand_r(&seed) % 5);
	return NULL;
}

TEST_F_TIMEOUT(hostile, closed_under_the_commands, 300)
{
	pthread_t threads[THREADS];
	unsigned int seed = 7, nr;
	uintptr_t i;
	int fds;

	for (i = 0; i < SLOTS; i++)
		slots[i] = -1;
	fds = open_fds();
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, commander,
					    (void *)(i + 1)));
	for (nr = 0; nr < CLOSES; nr++) {
		int fd = make(self->dev, variant, HUGE_BYTES);

		/* hugetlb: somebody may still map what was closed. */
		EXPECT_TRUE(fd >= 0 || errno == ENOMEM);
		slot_put((size_t)rand_r(&seed) % SLOTS, fd);
	}
	over = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < SLOTS; i++)
		slot_put(i, -1);
	EXPECT_EQ(fds, open_fds());
	EXPECT_TRUE(charge_settles(variant, BYTES));
}

TEST_F(hostile, no_descriptors_left)
{
	struct tmk_ioc_region_dmabuf buf = { .size = sizeof(buf) };
	struct tmk_ioc_region_readonly ro = { .size = sizeof(ro) };
	struct rlimit old, few;
	int pad[256], nr = 0;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	few.rlim_cur = 64;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	while (nr < 256 && (pad[nr] = dup(self->dev)) >= 0)
		nr++;
	test_err(EMFILE, create_simple(self->dev, TMK_IOC_KIND_PINNED, MIB));
	test_err(EMFILE, create_simple(self->dev, TMK_IOC_KIND_HUGE, MIB));
	test_err(is_mapped(variant) ? EOPNOTSUPP : EMFILE,
		 ioctl(region, TMK_IOC_REGION_DMABUF, &buf));
	test_err(EMFILE, ioctl(region, TMK_IOC_REGION_READONLY, &ro));
	while (nr)
		close(pad[--nr]);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_TRUE(charge_settles(variant, BYTES));
}

/* The machine's table of files is full, for who is not root. */
TEST_F(hostile, no_files_left)
{
	struct tmk_ioc_region_create c = create_cmd(variant->kind, MIB);
	/* The kernel counts roughly: by so many for each processor. */
	int many[256];
	char old[64];
	size_t i;
	pid_t pid;

	if (variant->kind == TMK_IOC_KIND_FILE)
		c.backing_fd = (int)syscall(SYS_memfd_create, "h", 0);
	for (i = 0; i < 256; i++)
		many[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ASSERT_GT(read_text("/proc/sys/fs/file-max", old, sizeof(old)), 0);
	ASSERT_EQ(0, write_text("/proc/sys/fs/file-max", "1"));
	pid = fork();
	if (!pid) {
		c.flags = variant->flags;
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(255);
		_exit(create(self->dev, &c) < 0 ? errno : 0);
	}
	EXPECT_EQ(ENFILE << 8, wait_status(pid));
	EXPECT_EQ(0, write_text("/proc/sys/fs/file-max", old));
	for (i = 0; i < 256; i++)
		close(many[i]);
	close(c.backing_fd);
	EXPECT_TRUE(charge_settles(variant, BYTES));
}

TEST_HARNESS_MAIN
