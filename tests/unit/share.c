// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Regions in more than one process: fork(), descriptors that are passed on,
 * and what each process's ledger says of it.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <pthread.h>
#include <sys/socket.h>

#include "fdpass.h"
#include "util.h"

static int child_writes(void *arg)
{
	struct tmk_region *region = arg, *own;
	uint64_t *p = tmk_region_data(region);
	struct tmk_region_info info;

	/* The child counts what it inherited, as the parent does. */
	EXPECT_EQ(tmk_region_bytes(region), held());
	EXPECT_EQ(1, p[0]);
	p[1] = 2;
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(tmk_region_bytes(region), info.physical_bytes);
	EXPECT_EQ(info.bytes, info.bytes_4k + info.bytes_large + info.bytes_2m);
	if (info.kind == TMK_KIND_HUGE && feature("huge"))
		EXPECT_EQ(info.bytes, info.bytes_2m);
	ASSERT_EQ(0, create(&own, 4096, TMK_KIND_PINNED, 0));
	EXPECT_EQ(tmk_region_bytes(region) + 4096, held());
	EXPECT_EQ(-EBUSY, tmk_close());
	tmk_region_put(own);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	return 0;
}

static void fork_with(struct tap_test *_metadata, enum tmk_kind kind)
{
	struct tmk_region *region;
	uint64_t *p;

	(void)_metadata;
	ASSERT_EQ(0, create(&region, 2 * MIB, kind, 0));
	p = tmk_region_data(region);
	p[0] = 1;
	EXPECT_EQ(0, in_child(child_writes, region));
	/* What the child gave back is gone for the child alone. */
	EXPECT_EQ(2, p[1]);
	EXPECT_EQ(2 * MIB, held());
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, tmk_close());
}

TEST(fork_shares_pinned)
{
	fork_with(_metadata, TMK_KIND_PINNED);
}

TEST(fork_shares_huge)
{
	fork_with(_metadata, TMK_KIND_HUGE);
}

static int child_with_limit(void *arg)
{
	struct tmk_region *region = NULL;
	struct tmk_refusal r;

	(void)arg;
	EXPECT_EQ(-ENOMEM, create(&region, 2 * MIB, TMK_KIND_PINNED, 0));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(MIB, r.used);
	EXPECT_EQ(2 * MIB, r.max);
	/* Its limits are its own. */
	ASSERT_EQ(0, limit(8 * MIB));
	ASSERT_EQ(0, create(&region, 2 * MIB, TMK_KIND_PINNED, 0));
	tmk_region_put(region);
	return 0;
}

TEST(fork_copies_limits)
{
	struct tmk_limits limits;
	struct tmk_region *region;

	ASSERT_EQ(0, limit(2 * MIB));
	ASSERT_EQ(0, create(&region, MIB, TMK_KIND_PINNED, 0));
	EXPECT_EQ(0, in_child(child_with_limit, NULL));
	ASSERT_EQ(0, tmk_limits_get(&limits));
	EXPECT_EQ(2 * MIB, limits.max_bytes);
	tmk_region_put(region);
}

static atomic_bool stop;

static void *churn(void *arg)
{
	struct tmk_backend_info info;
	struct tmk_region *region;

	while (!atomic_load(&stop)) {
		if (arg && tmk_backend_info(&info))
			continue;
		if (create(&region, 4096, TMK_KIND_PINNED, 0))
			continue;
		tmk_region_put(region);
	}
	return NULL;
}

static int child_uses_all(void *arg)
{
	struct tmk_backend_info info;
	struct tmk_region *region;

	(void)arg;
	alarm(20);
	if (tmk_backend_info(&info))
		return 1;
	if (create(&region, 4096, TMK_KIND_PINNED, 0))
		return 2;
	tmk_region_put(region);
	tmk_close();
	if (tmk_open(NULL))
		return 3;
	return 0;
}

/* Whatever other threads were doing, the child finds no lock held. */
TEST(fork_while_threads_are_busy)
{
	pthread_t threads[2];
	int i;

	if (!CHILD_MAY_MALLOC)
		SKIP(return, NO_MALLOC_IN_CHILD);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn,
					    (void *)(uintptr_t)i));
	for (i = 0; i < 50; i++)
		EXPECT_EQ(0, in_child(child_uses_all, NULL));
	atomic_store(&stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_TRUE(all_zero());
}

/* What two processes that pass a region have between them. */
struct pass {
	int socks[2];
	enum tmk_kind kind;
};

static int child_sends(void *arg)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct pass *pass = arg;
	struct tmk_region *region;
	uint64_t *p;
	char byte;

	opts.kind = pass->kind;
	opts.name = "passed on";
	ASSERT_EQ(0, tmk_region_create(&region, 2 * MIB, &opts));
	p = tmk_region_data(region);
	p[0] = 11;
	ASSERT_EQ(0, fd_send(pass->socks[1], tmk_region_fd(region), 0));
	EXPECT_EQ(1, read(pass->socks[1], &byte, 1));
	EXPECT_EQ(22, p[1]);
	tmk_region_put(region);
	return 0;
}

static void import_check(struct tmk_region *region, const struct pass *pass)
{
	struct tmk_region_info info;
	struct tmk_stats s = stats_now();
	uint64_t *p = tmk_region_data(region);

	EXPECT_EQ(2 * MIB, tmk_region_bytes(region));
	EXPECT_EQ(11, p[0]);
	p[1] = 22;
	/* Mapped here, in RAM on somebody else's account. */
	EXPECT_EQ(2 * MIB, s.total.current);
	EXPECT_EQ(0, s.physical.current);
	EXPECT_EQ(2 * MIB, s.by_kind[pass->kind].current);
	ASSERT_EQ(0, tmk_region_info(&info, region));
	EXPECT_EQ(pass->kind, info.kind);
	EXPECT_STREQ("passed on", info.name);
	EXPECT_EQ(2 * MIB, info.bytes);
	if (pass->kind == TMK_KIND_HUGE && feature("huge"))
		EXPECT_EQ(2 * MIB, info.bytes_2m);
}

static void pass_one(struct tap_test *_metadata, enum tmk_kind kind)
{
	struct pass pass = { .kind = kind };
	struct tmk_region *region;
	int status, fd;
	pid_t pid;

	(void)_metadata;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pass.socks));
	pid = fork();
	if (!pid)
		_exit(child_sends(&pass));
	fd = fd_receive(pass.socks[0], MSG_CMSG_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, tmk_region_import(&region, fd));
	/* The caller keeps its own descriptor. */
	EXPECT_NE(fd, tmk_region_fd(region));
	EXPECT_EQ(0, close(fd));
	import_check(region, &pass);
	EXPECT_EQ(1, write(pass.socks[0], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* Its creator is gone; the memory is not. */
	EXPECT_EQ(22, ((uint64_t *)tmk_region_data(region))[1]);
	tmk_region_put(region);
	EXPECT_TRUE(all_zero());
	EXPECT_EQ(0, tmk_close());
}

TEST(pass_pinned)
{
	pass_one(_metadata, TMK_KIND_PINNED);
}

TEST(pass_huge)
{
	pass_one(_metadata, TMK_KIND_HUGE);
}

TEST(import_counts_against_the_limit)
{
	struct tmk_region *region, *again = NULL;
	struct tmk_refusal r;
	int fds;

	ASSERT_EQ(0, create(&region, MIB, TMK_KIND_PINNED, 0));
	fds = fds_nr();
	ASSERT_EQ(0, limit(2 * MIB - 1));
	EXPECT_EQ(-ENOMEM, tmk_region_import(&again, tmk_region_fd(region)));
	EXPECT_TRUE(says("cannot import descriptor"));
	ASSERT_EQ(0, tmk_refusal_last(&r));
	EXPECT_EQ(MIB, r.used);
	EXPECT_NULL(again);
	EXPECT_EQ(fds, fds_nr());
	ASSERT_EQ(0, limit(2 * MIB));
	ASSERT_EQ(0, tmk_region_import(&again, tmk_region_fd(region)));
	EXPECT_EQ(2 * MIB, held());
	EXPECT_EQ(MIB, stats_now().physical.current);
	*(char *)tmk_region_data(again) = 7;
	EXPECT_EQ(7, *(char *)tmk_region_data(region));
	tmk_region_put(region);
	tmk_region_put(again);
	EXPECT_TRUE(all_zero());
}

#define SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* Descriptors that are no region, however much some look like one. */
static const struct impostor {
	const char *name;
	off_t bytes;
	int seals;
} impostors[] = {
	{ "plain", 4096, SEALS },
	{ "tmk:pinned:0:not sealed", 4096, 0 },
	{ "tmk:pinned:0:can shrink", 4096, SEALS & ~F_SEAL_SHRINK },
	{ "tmk:pinned:0:empty", 0, SEALS },
	{ "tmk:pinned:0:odd length", 4097, SEALS },
	{ "tmk:huge:0:odd length", 4096, SEALS },
	{ "tmk:other:0:no kind", 4096, SEALS },
	{ "tmk:file:0:no such kind", 4096, SEALS },
	{ "tmk:pinned:no flags", 4096, SEALS },
	{ "tmk:pinned:0:a name that is longer than a name may be", 4096,
	  SEALS },
};

static int impostor_make(const struct impostor *it)
{
	int fd = memfd_create(it->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (ftruncate(fd, it->bytes) ||
			(it->seals && fcntl(fd, F_ADD_SEALS, it->seals))))
		TH_LOG("cannot make %s", it->name);
	return fd;
}

TEST(import_refuses_what_is_no_region)
{
	struct tmk_region *region = NULL;
	int fds[3], fd, before;
	size_t i;

	ASSERT_EQ(0, tmk_open(NULL));
	fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	fds[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	fds[2] = open("/", O_PATH | O_CLOEXEC);
	before = fds_nr();
	for (i = 0; i < TMK__ARRAY_SIZE(fds); i++) {
		EXPECT_EQ(-EINVAL, tmk_region_import(&region, fds[i]));
		EXPECT_TRUE(says("cannot import descriptor"));
	}
	for (i = 0; i < TMK__ARRAY_SIZE(impostors); i++) {
		fd = impostor_make(&impostors[i]);
		if (tmk_region_import(&region, fd) != -EINVAL)
			TH_LOG("%s was taken", impostors[i].name);
		EXPECT_NULL(region);
		close(fd);
	}
	EXPECT_EQ(-EBADF, tmk_region_import(&region, -1));
	EXPECT_EQ(-EBADF, tmk_region_import(&region, 1000000));
	EXPECT_EQ(-EINVAL, tmk_region_import(NULL, fds[0]));
	EXPECT_NULL(region);
	EXPECT_EQ(before, fds_nr());
	EXPECT_TRUE(all_zero());
}

static int child_holds(void *arg)
{
	struct tmk_region *region;

	(void)arg;
	if (create(&region, MIB, TMK_KIND_PINNED, 0))
		return 1;
	raise(SIGKILL);
	return 0;
}

TEST(killed_holders_leave_nothing)
{
	EXPECT_EQ(126, in_child(child_holds, NULL));
	EXPECT_TRUE(all_zero());
}

TEST_HARNESS_MAIN
