// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Workspaces in files (rule 13): whose file it is, what happens to it, and every
 * way in which it cannot be had. A file that is larger than RAM and a disk that
 * is full are in tests/vm/file-workspace.sh.
 */
#include <errno.h>

#include "conform.h"

static struct tmk_workspace_opts in_file(uint64_t initial, const char *path)
{
	struct tmk_workspace_opts o = strict(initial);

	o.location = TMK_WS_LOCATION_FILE;
	o.path = path;
	return o;
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "/tmp/tmk-file-%d-%s", (int)getpid(),
		 name);
	return path;
}

static int64_t length_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -errno : st.st_size;
}

/* Creating is refused so, and nothing is left. */
static int refused(const struct tmk_workspace_opts *o, int err,
		   const char *word)
{
	struct tmk_workspace *ws = NULL;
	int fds = fds_nr(), ret = tmk_workspace_create(&ws, "f", o);

	if (ret != err || ws)
		TH_LOG("returned %d (%s)", ret, tmk_error_last());
	return ret != err || ws || !says(word) || !all_zero() ||
	       fds_nr() != fds;
}

TEST(rule13_new_file_of_exactly_the_size)
{
	const char *path = path_of("new");
	struct tmk_workspace *ws = make("f", in_file(1000000, path));
	struct stat st;

	EXPECT_EQ(1000000, length_of(path));
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(0600, st.st_mode & 0777);
	/* Reserved, not sparse. */
	EXPECT_TRUE(st.st_blocks * 512 >= 1000000);
	EXPECT_EQ(1000000, in(ws).size);
	EXPECT_EQ(1000000, in(ws).region_bytes);
	EXPECT_EQ(1000000, stats_now().by_kind[TMK_KIND_FILE].current);
	EXPECT_EQ(1000000, stats_now().by_use[TMK_USE_WORKSPACE].current);
	EXPECT_EQ(0, stats_now().physical.current);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(1000000, length_of(path));
	EXPECT_TRUE(all_zero());
	unlink(path);
}

TEST(rule13_contents_stay)
{
	const char *path = path_of("stay");
	struct tmk_workspace *ws;
	char buf[6] = "";
	char *p;
	int fd;

	ASSERT_EQ(0, put_file("hello, this is a user's file", "%s", path));
	/* Longer than it is: made longer, nothing cleared. */
	ws = make("f", in_file(4096, path));
	EXPECT_EQ(4096, length_of(path));
	enter(ws);
	ASSERT_EQ(0, tmk_workspace_alloc((void **)&p, ws, 64, false));
	EXPECT_TRUE(!memcmp(p, "hello, this", 11));
	memcpy(p, "HELLO", 5);
	leave(ws);
	enter(ws);
	ASSERT_EQ(0, tmk_workspace_alloc((void **)&p, ws, 64, false));
	EXPECT_TRUE(!memcmp(p, "HELLO, this", 11));
	leave(ws);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	/* Shorter than it is: not shortened. */
	ws = make("f", in_file(16, path));
	EXPECT_EQ(16, in(ws).size);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	EXPECT_EQ(4096, length_of(path));
	fd = open(path, O_RDONLY);
	EXPECT_EQ(5, read(fd, buf, 5));
	EXPECT_STREQ("HELLO", buf);
	close(fd);
	unlink(path);
}

TEST(unnamed_files_have_no_name)
{
	char dir[TEMP_PATH];
	struct tmk_workspace_opts o = in_file(8192, NULL);
	struct tmk_workspace *ws;

	ASSERT_TRUE(temp_dir(dir));
	o.temp_dir = dir;
	ws = make("f", o);
	EXPECT_EQ(0, rmdir(dir)); /* nothing in it */
	cycle_of(ws, 100);
	EXPECT_EQ(0, tmk_workspace_destroy(ws));
	/* TMPDIR is where they are otherwise. */
	setenv("TMPDIR", "/nonexistent/place", 1);
	o.temp_dir = NULL;
	EXPECT_EQ(0, refused(&o, -ENOENT, "/nonexistent/place"));
	o.temp_dir = "/tmp";
	ws = make("f", o);
	EXPECT_EQ(8192, in(ws).size);
}

TEST(overflow_follows_the_spill_policy)
{
	struct tmk_workspace_opts o = in_file(1024, NULL);
	struct tmk_workspace *external, *fail;
	int64_t n = 2048;
	struct tmk_tensor *t;

	external = make("external", o);
	enter(external);
	bytes(1024);
	bytes(2048);
	EXPECT_EQ(2048, in(external).spilled_bytes);
	EXPECT_TRUE(stats_now().by_use[TMK_USE_SPILL].current >= 2048);
	leave(external);
	EXPECT_EQ(0, in(external).spilled_bytes);
	o.spill = TMK_WS_SPILL_FAIL;
	fail = make("fail", o);
	enter(fail);
	EXPECT_EQ(-ENOMEM, tmk_tensor_create(&t, TMK_U8, 1, &n));
	leave(fail);
}

TEST(places_where_there_can_be_no_file)
{
	struct tmk_workspace_opts o = in_file(4096, "/tmp");
	const char *path;

	EXPECT_EQ(0, refused(&o, -EISDIR, "open /tmp"));
	o.path = "/nonexistent/place/file";
	EXPECT_EQ(0, refused(&o, -ENOENT, "/nonexistent/place/file"));
	o.path = "/dev/null";
	EXPECT_EQ(0, refused(&o, -EINVAL, "no regular file"));
	path = path_of("fifo");
	ASSERT_EQ(0, mkfifo(path, 0600));
	o.path = path;
	EXPECT_EQ(0, refused(&o, -EINVAL, "no regular file"));
	unlink(path);
	o.path = NULL;
	o.temp_dir = "/dev/null";
	EXPECT_EQ(0, refused(&o, -ENOTDIR, "/dev/null"));
}

TEST(directories_that_may_not_be_written)
{
	struct tmk_workspace_opts o = in_file(4096, NULL);
	char dir[TEMP_PATH], path[64];

	ASSERT_TRUE(temp_dir(dir));
	ASSERT_EQ(0, chmod(dir, 0555));
	ASSERT_EQ(0, become_nobody());
	o.temp_dir = dir;
	EXPECT_EQ(0, refused(&o, -EACCES, dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	o.temp_dir = NULL;
	o.path = path;
	EXPECT_EQ(0, refused(&o, -EACCES, path));
	rmdir(dir);
}

TEST(an_empty_file_needs_a_size)
{
	const char *path = path_of("empty");
	struct tmk_workspace_opts o = in_file(0, path);

	ASSERT_EQ(0, put_file("", "%s", path));
	EXPECT_EQ(0, refused(&o, -EINVAL, "has 0 bytes"));
	EXPECT_EQ(0, length_of(path));
	unlink(path);
	/* One that is made and cannot be used does not stay. */
	EXPECT_EQ(0, refused(&o, -EINVAL, "has 0 bytes"));
	EXPECT_EQ(-ENOENT, length_of(path));
}

/* No space, no mapping, no room under the limit: the file is as it was. */
TEST(refused_files_stay_as_they_were)
{
	const char *path = path_of("refused");
	struct tmk_workspace_opts o = in_file(1 << 20, path);

	ASSERT_EQ(0, put_file("content", "%s", path));
	tmk__fault_arm("fallocate", 1);
	EXPECT_EQ(0, refused(&o, -ENOSPC, "cannot have 1048576 bytes"));
	tmk__fault_arm("mmap", 1);
	EXPECT_EQ(0, refused(&o, -ENOMEM, "cannot map"));
	tmk__fault_arm(NULL, 0);
	EXPECT_EQ(7, length_of(path));
	ASSERT_EQ(0, limit(4096));
	EXPECT_EQ(0, refused(&o, -ENOMEM, "limit"));
	EXPECT_EQ(7, length_of(path));
	unlink(path);
	EXPECT_EQ(0, refused(&o, -ENOMEM, "limit"));
	EXPECT_EQ(-ENOENT, length_of(path));
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	o.initial_bytes = UINT64_C(1) << 62;
	EXPECT_TRUE(tmk_workspace_create(&(struct tmk_workspace *){ 0 }, "f",
					 &o) < 0);
	EXPECT_EQ(-ENOENT, length_of(path));
}

static int child(void *arg)
{
	struct tmk_workspace *ws = arg;

	return tmk_workspace_push(ws) == -EPERM ? 0 : 1;
}

TEST(fork_and_exit_leave_the_file)
{
	const char *path = path_of("fork");
	struct tmk_workspace *ws = make("f", in_file(8192, path));
	char *p;

	enter(ws);
	ASSERT_EQ(0, tmk_workspace_alloc((void **)&p, ws, 8192, false));
	memset(p, 5, 8192);
	EXPECT_EQ(0, in_child(child, ws));
	EXPECT_EQ(5, p[8191]);
	leave(ws);
	EXPECT_EQ(8192, length_of(path));
	unlink(path);
}

TEST_HARNESS_MAIN
