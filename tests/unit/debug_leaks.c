// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * TMK_DEBUG=leaks: what is left when a program ends is told with its size, its
 * kind, its age and where it came from; a program that leaves nothing, and one
 * that is not asked, print nothing.
 */
#include "debug.h"

#include <pthread.h>
#include <stdatomic.h>

static struct seen seen;
static void *held_on[300]; /* not lost for a leak checker */

static NOINLINE void leak_a_block(void)
{
	MUST(!block(&held_on[0], 5000, 0, 0, "weights"));
	/* Or the call would be a jump, and this function nowhere. */
	__asm__ volatile("");
}

static NOINLINE void leak_many(int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		MUST(!tmk_alloc(&held_on[i + 1], 100000, NULL));
}

static NOINLINE void leak_a_region(void)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region *region;

	opts.name = "table";
	opts.kind = TMK_KIND_PINNED;
	MUST(!tmk_region_create(&region, 8192, &opts));
	held_on[20] = region;
}

static NOINLINE void leak_tensors(void)
{
	struct tmk_tensor *tensor, *view;
	int64_t shape[2] = { 30, 40 }, flat = 1200;

	MUST(!tmk_tensor_create(&tensor, TMK_F32, 2, shape));
	MUST(!tmk_tensor_reshape(&view, tensor, 1, &flat));
}

static NOINLINE void leak_a_workspace(void)
{
	struct tmk_workspace_opts opts = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace *ws;

	opts.initial_bytes = 12800;
	MUST(!tmk_workspace_create(&ws, "step", &opts));
	__asm__ volatile("");
}

/* A little of everything, and all of it given back. */
static void clean(void)
{
	struct tmk_workspace *ws;
	struct tmk_region *region, *again;
	struct tmk_tensor *t, *d;
	int64_t n = 1000;
	void *p, *q;
	int i;

	MUST(!tmk_open(NULL));
	MUST(!tmk_alloc(&p, 100, NULL) && !tmk_alloc(&q, 3 * MIB, NULL));
	MUST(!tmk_realloc(&p, p, 100000, NULL) && !tmk_free(q));
	MUST(!tmk_region_create(&region, 100, NULL));
	MUST(!tmk_region_import(&again, tmk_region_fd(region)));
	MUST(!tmk_workspace_create(&ws, "clean", NULL));
	for (i = 0; i < 5; i++) {
		MUST(!tmk_workspace_push(ws));
		MUST(!tmk_tensor_create(&t, TMK_F32, 1, &n));
		MUST(!tmk_tensor_detach(&d, t));
		MUST(!tmk_workspace_pop(ws));
		tmk_tensor_put(d);
	}
	MUST(!tmk_tensor_from_region(&t, region, 0, TMK_U8, 1,
				     &(int64_t){ 9 }));
	tmk_region_put(region);
	tmk_region_put(again);
	tmk_tensor_put(t);
	MUST(!tmk_workspace_destroy(ws));
	MUST(!tmk_free(p));
	MUST(!tmk_close());
	MUST(all_zero());
}

TEST(a_clean_program_prints_nothing)
{
	static const char *const modes[] = { NULL,     "",	"leaks",
					     "poison", "guard", ALL };
	size_t i;

	for (i = 0; i < TMK__ARRAY_SIZE(modes); i++) {
		see(&seen, modes[i], clean);
		EXPECT_TRUE(silent(&seen));
	}
}

TEST(a_leak_is_told_with_its_function)
{
	see(&seen, "leaks", leak_a_block);
	EXPECT_EQ(0, seen.status);
	EXPECT_TRUE(printed(&seen, "tmk: check: leaks at exit: 1 holder of "
				   "5000 bytes in all"));
	EXPECT_TRUE(printed(&seen, "1 block \"weights\", 5000 bytes, 0."));
	EXPECT_TRUE(printed(&seen, "s old, from\n"));
	EXPECT_TRUE(printed(&seen, "    leak_a_block+0x"));
	EXPECT_TRUE(printed(&seen, " (debug_leaks+0x"));
	/* Not where the library looked. */
	EXPECT_EQ(0, times(&seen, "tmk__"));
}

static void leak_all(void)
{
	leak_a_block();
	leak_many(10);
	leak_a_region();
	leak_tensors();
	leak_a_workspace();
	held_on[21] = NULL;
}

/* Where a line that has a word begins; -1 if there is none. */
static long place(const char *word)
{
	const char *at = strstr(seen.text, word);

	return at ? at - seen.text : -1;
}

TEST(everything_is_told_by_place_largest_first)
{
	static const char *const lines[] = {
		"10 blocks, 1000000 bytes, up to 0.",
		"1 workspace \"step\", 16640 bytes, 0.",
		"1 region \"table\", 8192 bytes, pinned, 0.",
	};
	long last = 0;
	size_t i;

	see(&seen, ALL, leak_all);
	EXPECT_EQ(0, seen.status);
	for (i = 0; i < TMK__ARRAY_SIZE(lines); i++) {
		EXPECT_TRUE(printed(&seen, lines[i]));
		EXPECT_LE(last, place(lines[i]));
		last = place(lines[i]);
	}
	EXPECT_TRUE(printed(&seen, "1 tensor \"f32 30 x 40\", 8192 bytes, "
				   "pinned, 0."));
	EXPECT_TRUE(printed(&seen, "1 tensor of memory that is another's, 0 "
				   "bytes"));
	EXPECT_TRUE(printed(&seen, "    leak_many+0x"));
	EXPECT_TRUE(printed(&seen, "    leak_a_region+0x"));
	EXPECT_TRUE(printed(&seen, "    leak_tensors+0x"));
	EXPECT_TRUE(printed(&seen, "    leak_a_workspace+0x"));
	/* The block of the workspace is not the program's. */
	EXPECT_EQ(1, times(&seen, "1 region"));
	EXPECT_EQ(6, times(&seen, " old, from"));
}

TEST(nobody_asked)
{
	see(&seen, NULL, leak_all);
	EXPECT_TRUE(silent(&seen));
	see(&seen, "poison,guard", leak_all);
	EXPECT_TRUE(silent(&seen));
}

static void leak_then_close(void)
{
	MUST(!tmk_open(NULL));
	MUST(!tmk_open(NULL));
	leak_a_block();
	MUST(!tmk_close());
	fprintf(stderr, "one more\n");
	MUST(tmk_close() == -EBUSY);
	fprintf(stderr, "closed\n");
	leak_a_region();
}

TEST(told_when_the_library_is_closed_and_not_again)
{
	see(&seen, "leaks", leak_then_close);
	EXPECT_EQ(0, seen.status);
	EXPECT_TRUE(printed(&seen, "leaks at tmk_close(): 1 holder of 5000 "));
	EXPECT_LT(place("one more"), place("at tmk_close()"));
	EXPECT_LT(place("at tmk_close()"), place("closed"));
	EXPECT_TRUE(printed(&seen, "leaks at exit: 1 holder of 8192 "));
	EXPECT_EQ(1, times(&seen, "weights"));
}

static void free_late(void)
{
	MUST(!tmk_free(held_on[0]));
	fprintf(stderr, "freed\n");
}

static void leave_it_to_atexit(void)
{
	leak_a_block();
	MUST(!atexit(free_late));
}

TEST(after_what_the_program_does_at_exit)
{
	see(&seen, "leaks", leave_it_to_atexit);
	EXPECT_EQ(0, seen.status);
	EXPECT_STREQ("freed\n", seen.text);
}

static void fork_and_leak(void)
{
	int status;
	pid_t pid;

	leak_a_block();
	leak_tensors();
	leak_a_workspace();
	pid = fork();
	if (!pid) {
		fprintf(stderr, "child\n");
		leak_many(3);
		/* What the child frees is not freed for its parent. */
		MUST(!tmk_free(held_on[0]));
		exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid && !status);
	fprintf(stderr, "parent\n");
}

TEST(a_child_is_told_of_its_own)
{
	char *parent;

	see(&seen, "leaks", fork_and_leak);
	EXPECT_EQ(0, seen.status);
	EXPECT_TRUE(printed(&seen, "parent\n"));
	parent = strstr(seen.text, "parent\n");
	ASSERT_TRUE(parent != NULL);
	EXPECT_TRUE(strstr(parent, "weights") != NULL);
	EXPECT_TRUE(strstr(parent, "4 holders") != NULL);
	EXPECT_TRUE(strstr(parent, "leak_many") == NULL);
	*parent = '\0';
	EXPECT_TRUE(printed(&seen, "leaks at exit: 3 holders of 300000 "));
	EXPECT_EQ(0, times(&seen, "weights"));
	EXPECT_EQ(0, times(&seen, "workspace"));
}

static atomic_int running;

static void *never_stop(void *arg)
{
	void *p;

	(void)arg;
	atomic_fetch_add(&running, 1);
	for (;;) {
		MUST(!tmk_alloc(&p, 3000, NULL));
		MUST(!tmk_free(p));
	}
	return NULL;
}

static void threads_go_on(void)
{
	pthread_t thread;
	int i;

	leak_a_block();
	for (i = 0; i < 3; i++)
		MUST(!pthread_create(&thread, NULL, never_stop, NULL));
	while (atomic_load(&running) < 3)
		usleep(1000);
}

TEST(threads_that_go_on)
{
	int i;

	for (i = 0; i < 5; i++) {
		see(&seen, ALL, threads_go_on);
		EXPECT_TRUE(printed(&seen, "leak_a_block+0x"));
		EXPECT_EQ(1, times(&seen, "leaks at exit"));
	}
}

static void wait_for_ever(void)
{
	struct tmk_fence *fence;
	void *p;

	MUST(!tmk_alloc(&p, 7000, NULL));
	MUST(!tmk_fence_create(&fence, -1));
	MUST(!tmk_free_after(p, fence));
	held_on[0] = fence;
}

TEST(a_fence_that_never_passed)
{
	see(&seen, "leaks", wait_for_ever);
	EXPECT_TRUE(printed(&seen, "1 block, 7000 bytes"));
	EXPECT_TRUE(printed(&seen, "freed after a fence that has not passed"));
}

static void leak_names(void)
{
	char name[20];
	int i;

	for (i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "name %d", i);
		MUST(!block(&held_on[i], 1000 + (size_t)i, 0, 0, name));
	}
}

TEST(no_more_than_can_be_read)
{
	see(&seen, "leaks", leak_names);
	EXPECT_EQ(0, seen.status);
	EXPECT_TRUE(printed(&seen, "150 holders of 161175 bytes"));
	EXPECT_TRUE(printed(&seen, "\"name 149\", 1149 bytes"));
	EXPECT_EQ(0, times(&seen, "\"name 49\""));
	EXPECT_TRUE(printed(&seen, "and 51225 bytes from 50 more places"));
}

static void no_memory_at_the_end(void)
{
	leak_a_block();
	tmk__fault_arm("leaks", 1);
}

static void no_memory_for_stacks(void)
{
	tmk__fault_arm("stack", 1);
	leak_a_block();
}

static void no_memory_for_symbols(void)
{
	struct tmk__symbol symbol;

	tmk__symbol_find(&symbol, (char *)leak_a_block + 2);
	MUST(!strcmp(symbol.name, "leak_a_block") && symbol.into == 1);
	tmk__fault_arm("symbols", 1);
	tmk__symbol_find(&symbol, (char *)leak_a_block + 2);
	MUST(!symbol.name[0] && !strcmp(symbol.object, "debug_leaks"));
	tmk__symbol_find(&symbol, (void *)16);
	MUST(!symbol.name[0] && symbol.at == 15);
}

TEST(nothing_to_tell_it_with)
{
	see(&seen, "leaks", no_memory_at_the_end);
	EXPECT_TRUE(printed(&seen, "1 holder, and no memory to list\n"));
	see(&seen, "leaks", no_memory_for_stacks);
	EXPECT_TRUE(printed(&seen, "\"weights\", 5000 bytes"));
	EXPECT_TRUE(printed(&seen, "    where is not known"));
	see(&seen, "leaks", no_memory_for_symbols);
	EXPECT_TRUE(silent(&seen));
}

static void leak_opened(void)
{
	MUST(!tmk_open(NULL));
	leak_a_block();
	(void)tmk_close();
	MUST(!tmk_open(NULL));
	(void)tmk_close();
}

TEST(words_that_mean_nothing)
{
	setenv("TMK_LOG", "warn", 1);
	see(&seen, "junk,leaks,,Poison, all", leak_opened);
	EXPECT_EQ(1, times(&seen, "TMK_DEBUG: junk is unknown and left out"));
	EXPECT_EQ(1, times(&seen, "TMK_DEBUG: all is unknown and left out"));
	EXPECT_EQ(2, times(&seen, "is unknown"));
	EXPECT_TRUE(printed(&seen, "leak_a_block"));
	unsetenv("TMK_LOG");
	see(&seen, "leak", leak_opened);
	EXPECT_TRUE(silent(&seen));
}

static void ask_too_late(void)
{
	leak_a_block();
	setenv("TMK_DEBUG", "leaks", 1);
	leak_many(3);
}

static void ask_in_time(void)
{
	setenv("TMK_DEBUG", "leaks", 1);
	leak_many(3);
}

TEST(asked_before_the_first_call)
{
	see(&seen, NULL, ask_too_late);
	EXPECT_TRUE(silent(&seen));
	see(&seen, NULL, ask_in_time);
	EXPECT_TRUE(printed(&seen, "3 blocks, 300000 bytes"));
}

TEST_HARNESS_MAIN
