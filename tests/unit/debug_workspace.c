// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * TMK_DEBUG=poison and guard, for workspaces: what was kept from a scope that
 * ended reads as a pattern or traps, and a write to it is named; what a program
 * does right comes out as without.
 */
#include "debug.h"

static struct seen seen;
static struct tmk_workspace *ws;

static void make(const char *id, size_t initial)
{
	struct tmk_workspace_opts opts = TMK_WORKSPACE_OPTS_INIT;

	opts.initial_bytes = initial;
	opts.overallocation_limit = 0;
	MUST(!tmk_workspace_create(&ws, id, &opts));
}

static char *have(size_t bytes, bool zero)
{
	void *p;

	MUST(!tmk_workspace_alloc(&p, ws, bytes, zero));
	return p;
}

static size_t offset(void)
{
	struct tmk_workspace_info info;

	MUST(!tmk_workspace_info(&info, ws));
	return info.offset;
}

static void patterns(void)
{
	char *p, *q;
	int i;

	make("p", 100000);
	for (i = 0; i < 4; i++) {
		MUST(!tmk_workspace_push(ws));
		p = have(5000, false);
		q = have(3000, true);
		MUST(is_full(p, 5000, TMK__POISON_NEW));
		MUST(is_full(q, 3000, 0));
		MUST(offset() == 5056 + 3008);
		memset(p, i, 5000);
		memset(q, i, 3000);
		MUST(!tmk_workspace_pop(ws));
		MUST(is_full(p, 5000, TMK__POISON_FREE));
		MUST(is_full(q, 3000, TMK__POISON_FREE));
	}
	/* Of what no scope had yet nothing was written. */
	MUST(is_full(q + 3008, 4096, 0));
	MUST(!tmk_workspace_destroy(ws));
}

TEST(memory_of_an_ended_scope_looks_it)
{
	see(&seen, "poison", patterns);
	EXPECT_TRUE(silent(&seen));
}

static void closed(void)
{
	struct tmk_region_info info;
	struct tmk_tensor *t;
	int64_t n = 100;
	char *p, *q;
	void *data;
	int i;

	make("g", 100000);
	for (i = 0; i < 4; i++) {
		MUST(!tmk_workspace_push(ws));
		p = have(5000, true);
		memset(p, i, 5000);
		/* Nested, it stays open. */
		MUST(!tmk_workspace_push(ws));
		MUST(!tmk_tensor_create(&t, TMK_F32, 1, &n));
		MUST(!tmk_workspace_pop(ws));
		MUST(is_full(p, 5000, i));
		MUST((data = tmk_tensor_data(t)) != NULL);
		MUST(!tmk_workspace_pop(ws));
		MUST(traps(p, false) && traps(p, true) && traps(data, false));
		MUST(traps(p + 99999, true));
		/* What is shut can be asked about. */
		MUST(!tmk_region_info(&info, tmk_workspace_region(ws)));
		MUST(info.bytes_2m + info.bytes_4k == info.bytes);
		/* An open scope that has nothing yet has nothing of before. */
		MUST(!tmk_workspace_push(ws));
		MUST(traps(p, false));
		q = have(64, false);
		MUST(q == p);
		memset(q, 0, 64);
		MUST(!tmk_workspace_pop(ws));
	}
	MUST(!tmk_workspace_destroy(ws) && all_zero());
}

TEST(memory_of_an_ended_scope_traps)
{
	see(&seen, "guard", closed);
	EXPECT_TRUE(silent(&seen));
	see(&seen, ALL, closed);
	EXPECT_TRUE(silent(&seen));
}

static void write_late(void)
{
	char *p;

	make("late", 100000);
	MUST(!tmk_workspace_push(ws));
	(void)have(640, false);
	p = have(640, false);
	MUST(!tmk_workspace_pop(ws));
	poke(p + 10, 1);
	poke(p + 12, 1);
	MUST(!tmk_workspace_push(ws));
	(void)have(640, false);
	/* In the next scope too, until it is handed out again. */
	poke(p + 14, 1);
	MUST(have(640, false) == p);
	poke(p + 10, 1);
	(void)have(640, false);
	MUST(!tmk_workspace_pop(ws));
	MUST(!tmk_workspace_push(ws));
	(void)have(1920, false);
	MUST(!tmk_workspace_pop(ws));
}

TEST(a_write_after_the_scope_is_named)
{
	see(&seen, "poison", write_late);
	EXPECT_EQ(0, seen.status);
	EXPECT_TRUE(printed(&seen,
			    "was written to after its scope ended, and "
			    "up to 5 bytes from there on: offset 650 of "
			    "the block of workspace \"late\", handed out "
			    "again in generation 2"));
	EXPECT_EQ(1, times(&seen, "tmk: check: "));
}

/* Cycles of all sorts, with sums that do not depend on what is checked. */
static uint64_t sum;

static void add_up(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)p[i];
}

static void cycle(int round, size_t bytes, bool ring)
{
	struct tmk_workspace_info info;
	struct tmk_tensor *t, *out;
	int64_t n = (int64_t)bytes;
	char *p, *q;

	MUST(!tmk_workspace_push(ws));
	p = have(bytes, false);
	memset(p, round, bytes);
	MUST(!tmk_tensor_create(&t, TMK_U8, 1, &n));
	memset(tmk_tensor_data(t), round + 1, bytes);
	MUST(!tmk_workspace_toggle(ws, false));
	q = have(2 * bytes, true);
	MUST(!tmk_workspace_toggle(ws, true));
	MUST(!tmk_workspace_scope_out());
	MUST(!tmk_workspace_borrow(ws));
	MUST(!tmk_tensor_dup(&out, t));
	add_up(tmk_tensor_data(out), bytes);
	MUST(!tmk_workspace_pop(ws));
	MUST(!tmk_workspace_scope_in());
	MUST(!tmk_tensor_detach(&out, t));
	add_up(p, bytes);
	add_up(q, 2 * bytes);
	MUST(!tmk_workspace_info(&info, ws));
	add_up((char *)&info,
	       offsetof(struct tmk_workspace_info, region_bytes));
	MUST(!tmk_workspace_pop(ws));
	add_up(tmk_tensor_data(out), bytes);
	tmk_tensor_put(out);
	/* Of a ring tensors live on. */
	MUST(ring || tmk_tensor_check(t, NULL) == -ESTALE);
}

static void all_sorts(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	int i, sort;

	sum = 0;
	for (sort = 0; sort < 6; sort++) {
		o = (struct tmk_workspace_opts)TMK_WORKSPACE_OPTS_INIT;
		if (sort == 1)
			o.spill = TMK_WS_SPILL_REALLOCATE;
		if (sort == 2) {
			o.reset = TMK_WS_RESET_ENDOFBUFFER;
			o.overallocation_limit = 2;
		}
		if (sort == 3) {
			o.location = TMK_WS_LOCATION_FILE;
			o.learning = TMK_WS_LEARN_NONE;
			o.initial_bytes = 1 << 20;
		}
		if (sort == 4)
			o.debug = TMK_WS_DEBUG_SPILL_EVERYTHING;
		if (sort == 5)
			o.initial_bytes = 4096;
		MUST(!tmk_workspace_create(&ws, "sorts", &o));
		for (i = 0; i < 12; i++)
			cycle(i, 3000 + (i == 7 ? 50000 : 0), sort == 2);
		MUST(!tmk_workspace_destroy(ws));
	}
	MUST(all_zero());
	fprintf(stderr, "%llx\n", (unsigned long long)sum);
}

TEST(what_is_right_comes_out_as_ever)
{
	static const char *const modes[] = { "leaks", "poison", "guard", ALL };
	char expected[100];
	size_t i;

	see(&seen, NULL, all_sorts);
	EXPECT_EQ(0, seen.status);
	snprintf(expected, sizeof(expected), "%.*s", 99, seen.text);
	for (i = 0; i < TMK__ARRAY_SIZE(modes); i++) {
		see(&seen, modes[i], all_sorts);
		EXPECT_EQ(0, seen.status);
		EXPECT_STREQ(expected, seen.text);
	}
}

static void in_a_file(void)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;
	char *p;

	o.location = TMK_WS_LOCATION_FILE;
	o.learning = TMK_WS_LEARN_NONE;
	o.initial_bytes = 65536;
	MUST(!tmk_workspace_create(&ws, "file", &o));
	MUST(!tmk_workspace_push(ws));
	p = have(1000, false);
	MUST(is_full(p, 1000, 0));
	memset(p, 5, 1000);
	MUST(!tmk_workspace_pop(ws));
	MUST(is_full(p, 1000, 5));
	MUST(!tmk_workspace_push(ws));
	MUST(have(1000, false) == p && is_full(p, 1000, 5));
	MUST(!tmk_workspace_pop(ws));
	MUST(!tmk_workspace_destroy(ws));
}

TEST(a_files_contents_stay)
{
	see(&seen, ALL, in_a_file);
	EXPECT_TRUE(silent(&seen));
}

static void family(void)
{
	struct tmk_workspace *mine = NULL;
	int status;
	char *p;
	pid_t pid;

	make("parent", 100000);
	MUST(!tmk_workspace_push(ws));
	p = have(1000, false);
	memset(p, 8, 1000);
	pid = fork();
	if (!pid) {
		MUST(tmk_workspace_pop(ws) == -EPERM);
		MUST(is_full(p, 1000, 8));
		mine = ws;
		make("child", 100000);
		MUST(!tmk_workspace_push(ws));
		(void)have(100, false);
		MUST(!tmk_workspace_pop(ws));
		MUST(mine != ws);
		exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid && !status);
	MUST(is_full(p, 1000, 8));
	MUST(!tmk_workspace_pop(ws));
	MUST(!tmk_workspace_destroy(ws));
}

TEST(a_child_has_its_own)
{
	see(&seen, ALL, family);
	EXPECT_EQ(0, seen.status);
	EXPECT_EQ(1, times(&seen, "1 workspace \"child\", 100032 bytes") +
			     times(&seen, "1 workspace \"child\", 100000 "
					  "bytes"));
	EXPECT_EQ(0, times(&seen, "parent\""));
}

static void cannot_open(void)
{
	void *p = NULL;

	make("shut", 100000);
	MUST(!tmk_workspace_push(ws));
	(void)have(1000, false);
	MUST(!tmk_workspace_pop(ws));
	MUST(!tmk_workspace_push(ws));
	tmk__fault_arm("protect", 1);
	MUST(tmk_workspace_alloc(&p, ws, 100, false) == -ENOMEM && !p);
	MUST(says("the block of workspace \"shut\" cannot be made accessible"));
	MUST(!offset());
	tmk__fault_arm(NULL, 0);
	memset(have(1000, false), 1, 1000);
	/* Not shut at the end: no harm is done, but that it does not trap. */
	tmk__fault_arm("protect", 1);
	MUST(!tmk_workspace_pop(ws));
	MUST(tmk__fault_fired());
	tmk__fault_arm(NULL, 0);
	MUST(!tmk_workspace_push(ws));
	memset(have(1000, false), 1, 1000);
	MUST(!tmk_workspace_pop(ws));
	MUST(!tmk_workspace_destroy(ws) && all_zero());
}

TEST(a_block_that_cannot_be_opened)
{
	see(&seen, "guard", cannot_open);
	EXPECT_TRUE(silent(&seen));
}

TEST_HARNESS_MAIN
