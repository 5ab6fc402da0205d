// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * A request that is larger than something, under every spill policy: than what is
 * left of the block, than the whole block, than a ring's block and a ring, than
 * max_total_bytes, and than the process may have. What the cgroups have to say is
 * in tests/vm/workspace-limits.sh.
 *
 * Whatever is refused leaves every counter as it was, and what was there before
 * usable; the sentence says which limit it was.
 */
#include "util.h"

#define KIB 1024UL
#define BLOCK (64 * KIB)

FIXTURE(policy)
{
	struct tmk_workspace_opts opts;
	struct tmk_workspace *ws;
};

FIXTURE_VARIANT(policy)
{
	enum tmk_ws_spill spill;
	bool spills;
};

FIXTURE_VARIANT_ADD(policy, external){ TMK_WS_SPILL_EXTERNAL, true };
FIXTURE_VARIANT_ADD(policy, reallocate){ TMK_WS_SPILL_REALLOCATE, true };
FIXTURE_VARIANT_ADD(policy, fail){ TMK_WS_SPILL_FAIL, false };

FIXTURE_SETUP(policy)
{
	struct tmk_workspace_opts o = TMK_WORKSPACE_OPTS_INIT;

	o.alignment = 16;
	o.initial_bytes = BLOCK;
	o.allocation = TMK_WS_STRICT;
	o.spill = variant->spill;
	o.region.kind = TMK_KIND_PINNED; /* base pages: exact numbers */
	self->opts = o;
	self->ws = NULL;
}

FIXTURE_TEARDOWN(policy)
{
	EXPECT_EQ(0, tmk_workspace_destroy(self->ws));
}

static struct tmk_workspace *begin(const struct tmk_workspace_opts *o)
{
	struct tmk_workspace *ws = NULL;

	if (tmk_workspace_create(&ws, "it", o) || tmk_workspace_push(ws))
		TH_LOG("%s", tmk_error_last());
	return ws;
}

static struct tmk_workspace_info info(const struct tmk_workspace *ws)
{
	struct tmk_workspace_info now = { .size = UINT64_MAX };

	if (tmk_workspace_info(&now, ws))
		TH_LOG("%s", tmk_error_last());
	return now;
}

static unsigned char *had(struct tmk_workspace *ws, size_t bytes)
{
	unsigned char *p = NULL;

	if (tmk_workspace_alloc((void **)&p, ws, bytes, false))
		TH_LOG("%s", tmk_error_last());
	else
		memset(p, 0x5a, bytes);
	return p;
}

/* Is it refused, with this limit, and without a trace? Return: 0 if so. */
static int refused(struct tmk_workspace *ws, size_t bytes, enum tmk_limit limit)
{
	struct tmk_workspace_info before = info(ws), after;
	struct tmk_refusal why = { .limit = TMK_LIMIT_NONE };
	uint64_t all = held();
	void *p = &before;
	int err;

	err = tmk_workspace_alloc(&p, ws, bytes, true);
	if (err != -ENOMEM && err != -EDQUOT)
		return err ? err : -EPROTO;
	if (!says("\"it\"") || p != &before)
		return 1;
	if (tmk_refusal_last(&why) || why.limit != limit || why.asked < bytes) {
		TH_LOG("%s: %s", tmk_limit_name(why.limit), tmk_error_last());
		return 2;
	}
	after = info(ws);
	return memcmp(&before, &after,
		      offsetof(struct tmk_workspace_info, open)) ||
			       all != held() ?
		       3 :
		       0;
}

TEST_F(policy, larger_than_what_is_left)
{
	unsigned char *first, *second;

	self->ws = begin(&self->opts);
	first = had(self->ws, BLOCK - 1000);
	ASSERT_TRUE(first);
	if (variant->spills) {
		second = had(self->ws, 2000);
		ASSERT_TRUE(second);
		EXPECT_EQ(2000, info(self->ws).spilled_bytes);
		EXPECT_EQ(0x5a, first[BLOCK - 1001]);
	} else {
		EXPECT_EQ(0, refused(self->ws, 2000, TMK_LIMIT_WORKSPACE));
	}
	/* What still fits has its place in the block. */
	EXPECT_EQ(first + BLOCK - 992, had(self->ws, 992));
	EXPECT_EQ(BLOCK, info(self->ws).offset);
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	EXPECT_EQ(0, info(self->ws).spilled_bytes);
}

TEST_F(policy, larger_than_the_block)
{
	uint64_t grown =
		variant->spill == TMK_WS_SPILL_REALLOCATE ? 10 * BLOCK : BLOCK;

	self->ws = begin(&self->opts);
	if (variant->spills)
		EXPECT_TRUE(had(self->ws, 10 * BLOCK));
	else
		EXPECT_EQ(0,
			  refused(self->ws, 10 * BLOCK, TMK_LIMIT_WORKSPACE));
	EXPECT_EQ(variant->spills, info(self->ws).spilled_count);
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	EXPECT_EQ(grown, info(self->ws).size);
}

TEST_F(policy, larger_than_a_ring)
{
	unsigned char *kept;

	self->opts.reset = TMK_WS_RESET_ENDOFBUFFER;
	self->opts.learning = TMK_WS_LEARN_NONE;
	self->ws = begin(&self->opts);
	kept = had(self->ws, 1000);
	if (variant->spills)
		EXPECT_TRUE(had(self->ws, 10 * BLOCK));
	else
		EXPECT_EQ(0,
			  refused(self->ws, 10 * BLOCK, TMK_LIMIT_WORKSPACE));
	/* As is what would run over this scope's own memory. */
	EXPECT_TRUE(had(self->ws, BLOCK - 1008));
	if (variant->spills)
		EXPECT_TRUE(had(self->ws, 16));
	else
		EXPECT_EQ(0, refused(self->ws, 16, TMK_LIMIT_WORKSPACE));
	EXPECT_EQ(0x5a, kept[999]);
	EXPECT_EQ(BLOCK, info(self->ws).size);
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
}

TEST_F(policy, larger_than_the_block_of_a_ring)
{
	self->opts.reset = TMK_WS_RESET_ENDOFBUFFER;
	self->opts.allocation = TMK_WS_OVERALLOCATE;
	self->opts.overallocation_limit = 3;
	self->opts.initial_bytes = 0;
	self->ws = begin(&self->opts);
	EXPECT_TRUE(had(self->ws, 10000));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	EXPECT_EQ(4 * 13008, info(self->ws).size);
	ASSERT_EQ(0, tmk_workspace_push(self->ws));
	/* There would be room in the ring: it is other cycles'. */
	if (variant->spills)
		EXPECT_TRUE(had(self->ws, 13009));
	else
		EXPECT_EQ(0, refused(self->ws, 13009, TMK_LIMIT_WORKSPACE));
	EXPECT_EQ(variant->spills, info(self->ws).pinned_count);
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
}

TEST_F(policy, larger_than_max_total)
{
	self->opts.max_total_bytes = 2 * BLOCK;
	self->ws = begin(&self->opts);
	EXPECT_TRUE(had(self->ws, BLOCK));
	EXPECT_EQ(0, refused(self->ws, BLOCK + 16, TMK_LIMIT_WORKSPACE));
	EXPECT_TRUE(says(variant->spills ? "max_total_bytes" : "FAIL"));
	if (variant->spills) {
		EXPECT_TRUE(had(self->ws, BLOCK));
		EXPECT_EQ(0, refused(self->ws, 16, TMK_LIMIT_WORKSPACE));
	}
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	/* And so it is with a block that has grown up to it. */
	EXPECT_LE(info(self->ws).size, 2 * BLOCK);
	ASSERT_EQ(0, tmk_workspace_push(self->ws));
	EXPECT_EQ(0, refused(self->ws, 2 * BLOCK + 16, TMK_LIMIT_WORKSPACE));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
}

/* While it learns FAIL spills, too, and max_total is all that bounds it. */
TEST_F(policy, larger_than_max_total_while_learning)
{
	self->opts.initial_bytes = 0;
	self->opts.max_total_bytes = BLOCK;
	self->ws = begin(&self->opts);
	EXPECT_TRUE(had(self->ws, BLOCK - 16));
	EXPECT_EQ(0, refused(self->ws, 32, TMK_LIMIT_WORKSPACE));
	EXPECT_TRUE(says("max_total_bytes"));
	EXPECT_TRUE(had(self->ws, 16));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	EXPECT_EQ(BLOCK, info(self->ws).size);
}

TEST_F(policy, larger_than_max_total_in_a_ring)
{
	self->opts.reset = TMK_WS_RESET_ENDOFBUFFER;
	self->opts.learning = TMK_WS_LEARN_NONE;
	self->opts.max_total_bytes = BLOCK + 4096;
	self->ws = begin(&self->opts);
	EXPECT_TRUE(had(self->ws, BLOCK));
	EXPECT_EQ(0, refused(self->ws, 4112, TMK_LIMIT_WORKSPACE));
	if (variant->spills)
		EXPECT_TRUE(had(self->ws, 4096));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
}

TEST_F(policy, larger_than_the_process_may_have)
{
	self->ws = begin(&self->opts);
	EXPECT_TRUE(had(self->ws, BLOCK));
	ASSERT_EQ(0, limit(held() + 8 * BLOCK));
	EXPECT_EQ(0, refused(self->ws, 9 * BLOCK,
			     variant->spills ? TMK_LIMIT_PROCESS :
					       TMK_LIMIT_WORKSPACE));
	if (variant->spills)
		EXPECT_TRUE(had(self->ws, BLOCK));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	/* The same while there is no block, where FAIL spills. */
	ASSERT_EQ(0, tmk_workspace_destroy(self->ws));
	self->opts.initial_bytes = 0;
	self->ws = begin(&self->opts);
	ASSERT_EQ(0, limit(held() + 8 * BLOCK));
	EXPECT_EQ(0, refused(self->ws, 9 * BLOCK, TMK_LIMIT_PROCESS));
	EXPECT_TRUE(had(self->ws, BLOCK));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	EXPECT_EQ(BLOCK, info(self->ws).size);
}

TEST_F(policy, larger_than_the_process_may_have_in_ram)
{
	struct tmk_limits limits = { TMK_UNLIMITED, 0 };

	self->opts.initial_bytes = 0;
	self->ws = begin(&self->opts);
	limits.max_physical_bytes = stats_now().physical.current + 4 * BLOCK;
	ASSERT_EQ(0, tmk_limits_set(&limits));
	EXPECT_EQ(0, refused(self->ws, 5 * BLOCK, TMK_LIMIT_PROCESS_PHYSICAL));
	EXPECT_TRUE(had(self->ws, BLOCK));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
}

/* The block that was learned, and the one that shall be larger. */
TEST_F(policy, block_larger_than_the_process_may_have)
{
	int err;

	self->opts.initial_bytes = 0;
	self->opts.allocation = TMK_WS_OVERALLOCATE;
	self->opts.overallocation_limit = 9;
	self->ws = begin(&self->opts);
	EXPECT_TRUE(had(self->ws, BLOCK));
	ASSERT_EQ(0, limit(held() + 2 * BLOCK));
	EXPECT_EQ(-ENOMEM, tmk_workspace_pop(self->ws));
	EXPECT_TRUE(says("its block of 655360 bytes"));
	EXPECT_FALSE(info(self->ws).open);
	EXPECT_EQ(0, info(self->ws).size);
	ASSERT_EQ(0, tmk_workspace_push(self->ws));
	EXPECT_TRUE(had(self->ws, BLOCK));
	ASSERT_EQ(0, limit(TMK_UNLIMITED));
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
	EXPECT_EQ(10 * BLOCK, info(self->ws).size);
	if (variant->spill != TMK_WS_SPILL_REALLOCATE)
		return;
	ASSERT_EQ(0, tmk_workspace_push(self->ws));
	EXPECT_TRUE(had(self->ws, 10 * BLOCK));
	EXPECT_TRUE(had(self->ws, BLOCK));
	ASSERT_EQ(0, limit(held() + 2 * BLOCK));
	err = tmk_workspace_pop(self->ws);
	EXPECT_EQ(-ENOMEM, err);
	EXPECT_EQ(10 * BLOCK, info(self->ws).size);
}

/* What memory can hold at all, and what no number can say. */
TEST_F(policy, larger_than_everything)
{
	void *p;

	self->ws = begin(&self->opts);
	EXPECT_EQ(-EOVERFLOW,
		  tmk_workspace_alloc(&p, self->ws, SIZE_MAX, false));
	EXPECT_EQ(-EOVERFLOW,
		  tmk_workspace_alloc(&p, self->ws, PTRDIFF_MAX, false));
	EXPECT_NE(0, tmk_workspace_alloc(&p, self->ws, (size_t)1 << 62, true));
	EXPECT_EQ(0, info(self->ws).cycle);
	EXPECT_EQ(0, tmk_workspace_pop(self->ws));
}

TEST_HARNESS_MAIN
