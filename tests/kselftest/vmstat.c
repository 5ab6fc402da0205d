// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What the kernel itself counts. The module puts folios into shmem's files that
 * shmem did not allocate; if it did not leave them exactly as shmem would have,
 * these counters drift with every region that comes and goes.
 */
#include "cg_util.h"

#define BYTES (8 * MIB)
#define PAGES (BYTES / PAGE_BYTES)

static const char *const names[] = {
	"nr_file_pages",     "nr_shmem",       "nr_shmem_hugepages",
	"nr_file_hugepages", "nr_unevictable", "nr_isolated_anon",
	"nr_isolated_file",  "nr_dirty",       "nr_inactive_file",
	"nr_active_file",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

enum {
	FILE_PAGES,
	SHMEM,
	SHMEM_HUGE,
	FILE_HUGE,
	UNEVICTABLE
};

struct counters {
	long long nr[NAMES];
};

/* Small pages reach the LRU list in batches, one for each CPU: empty them. */
static void drain(void)
{
	write_text("/proc/sys/vm/drop_caches", "1");
}

static struct counters counters(void)
{
	static char text[65536];
	struct counters c;
	char line[64];
	size_t i;

	drain();
	/* Fold what each CPU has not told yet. */
	write_text("/proc/sys/vm/stat_refresh", "1");
	if (read_text("/proc/vmstat", text, sizeof(text)) <= 0)
		abort();
	for (i = 0; i < NAMES; i++) {
		char *at;

		snprintf(line, sizeof(line), "%s ", names[i]);
		at = strstr(text, line);
		c.nr[i] = at ? strtoll(at + strlen(line), NULL, 10) : -1;
	}
	return c;
}

FIXTURE(vmstat)
{
	int dev;
	int ballast; /* shows a drift below, which is clamped at 0 otherwise */
};

FIXTURE_VARIANT(vmstat)
{
	unsigned int kind;
	long long huge; /* counter of huge pages for each region of BYTES */
};

FIXTURE_VARIANT_ADD(vmstat, pinned){ .kind = TMK_IOC_KIND_PINNED };
FIXTURE_VARIANT_ADD(vmstat, huge){ .kind = TMK_IOC_KIND_HUGE,
				   .huge = BYTES / HUGE_BYTES };

FIXTURE_SETUP(vmstat)
{
	ASSERT_TRUE(settles(0));
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	self->ballast = create_simple(self->dev, TMK_IOC_KIND_HUGE, 16 * MIB);
	ASSERT_GE(self->ballast, 0);
	ASSERT_EQ(16 * MIB, region_info(self->ballast).out_bytes_2m);
}

FIXTURE_TEARDOWN(vmstat)
{
	close(self->ballast);
	close(self->dev);
	EXPECT_TRUE(settles(0));
}

/* Which counter is not at @before + @plus; NAMES if all are. */
static size_t moved(const struct counters *before, const long long *plus)
{
	struct counters now = counters();
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (now.nr[i] != before->nr[i] + (plus ? plus[i] : 0))
			break;
	return i;
}

/*
 * The guest is idle but not dead: somebody else may read a file just then. What
 * is wrong with the module is wrong every time, so one clean round of some is
 * enough.
 */
#define ROUNDS 5

TEST_F(vmstat, a_region_counts_as_shmem)
{
	const long long plus[NAMES] = {
		[FILE_PAGES] = PAGES,
		[SHMEM] = PAGES,
		[SHMEM_HUGE] = variant->huge,
		[UNEVICTABLE] = PAGES,
	};
	size_t held = 0, after = 0;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		struct counters before = counters();
		int fd = create_simple(self->dev, variant->kind, BYTES);

		ASSERT_GE(fd, 0);
		held = moved(&before, plus);
		close(fd);
		ASSERT_TRUE(settles(16 * MIB));
		after = moved(&before, NULL);
		if (held == NAMES && after == NAMES)
			return;
	}
	EXPECT_STREQ("none", held < NAMES ? names[held] : "none");
	EXPECT_STREQ("none", after < NAMES ? names[after] : "none");
}

/*
 * shmem's own count of a file's pages: fstat() has it compared with the mapping,
 * and what it thinks too much it takes back from what is committed.
 */
TEST_F(vmstat, the_file_counts_its_pages)
{
	unsigned long before = 0, after = 0;
	struct stat st;
	int round, i, fd;

	for (round = 0; round < ROUNDS; round++) {
		before = meminfo("Committed_AS:");
		for (i = 0; i < 8; i++) {
			fd = create_simple(self->dev, variant->kind, BYTES);
			ASSERT_GE(fd, 0);
			ASSERT_EQ(0, fstat(fd, &st));
			EXPECT_EQ(BYTES / 512, st.st_blocks);
			EXPECT_LE(before + BYTES / 2, meminfo("Committed_AS:"));
			ASSERT_EQ(0, fstat(fd, &st));
			EXPECT_EQ(BYTES / 512, st.st_blocks);
			close(fd);
		}
		ASSERT_TRUE(settles(16 * MIB));
		after = meminfo("Committed_AS:");
		if (after < before + MIB && before < after + MIB)
			return;
	}
	TH_LOG("%lu KiB were committed, %lu are", before >> 10, after >> 10);
	EXPECT_EQ(before, after);
}

/* All that one can do to a mapping on the way. */
static void use(int dev, unsigned int kind)
{
	int fd = create_simple(dev, kind, BYTES);
	char *p = map(fd, BYTES), *q;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)p);
	memset(p, 1, BYTES);
	pid = fork();
	if (!pid) {
		p[0] = 2;
		munmap(p + HUGE_BYTES, PAGE_BYTES);
		madvise(p, HUGE_BYTES, MADV_DONTNEED);
		mlock(p, HUGE_BYTES);
		p[1] = 3;
		_exit(0);
	}
	ASSERT_EQ(0, wait_status(pid));
	madvise(p, BYTES, MADV_PAGEOUT);
	q = mremap(p, BYTES, BYTES / 2, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)q);
	munmap(q, BYTES / 2);
	close(fd);
}

TEST_F(vmstat, nothing_drifts_over_many_regions)
{
	size_t which = 0;
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		struct counters before = counters();

		for (i = 0; i < 8; i++)
			use(self->dev, variant->kind);
		ASSERT_TRUE(settles(16 * MIB));
		which = moved(&before, NULL);
		if (which == NAMES)
			return;
	}
	EXPECT_STREQ("none", names[which]);
}

/* Filled in part, then refused: it must go as if it had never been. */
TEST_F(vmstat, nothing_drifts_over_refusals)
{
	size_t which = 0;
	int round, i;

	cg_destroy("/drift");
	ASSERT_EQ(0, cg_create("/drift"));
	ASSERT_EQ(0, cg_write("/drift", "memory.max", "6M"));
	for (round = 0; round < ROUNDS; round++) {
		struct counters before = counters();

		for (i = 0; i < 4; i++) {
			struct holder h = hold("/drift", variant->kind, BYTES);

			EXPECT_EQ(ENOMEM, h.err);
			let_go(&h);
		}
		ASSERT_TRUE(settles(16 * MIB));
		which = moved(&before, NULL);
		if (which == NAMES)
			break;
	}
	EXPECT_EQ(0, cg_destroy("/drift"));
	EXPECT_STREQ("none", which < NAMES ? names[which] : "none");
}

/* Bits of /proc/kpageflags. */
#define FLAG_UPTODATE (1ULL << 3)
#define FLAG_DIRTY (1ULL << 4)
#define FLAG_LRU (1ULL << 5)
#define FLAG_ANON (1ULL << 12)
#define FLAG_SWAPBACKED (1ULL << 14)
#define FLAG_HEAD (1ULL << 15)
#define FLAG_UNEVICTABLE (1ULL << 18)
#define FLAG_THP (1ULL << 22)

static uint64_t page_flags(uint64_t pfn)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t flags = 0;

	if (pread(fd, &flags, 8, (off_t)pfn * 8) != 8)
		flags = 0;
	close(fd);
	return flags;
}

TEST_F(vmstat, pages_look_like_those_of_shmem)
{
	const uint64_t set = FLAG_UPTODATE | FLAG_DIRTY | FLAG_LRU |
			     FLAG_SWAPBACKED | FLAG_UNEVICTABLE |
			     (variant->huge ? FLAG_HEAD | FLAG_THP : 0);
	int fd = create_simple(self->dev, variant->kind, BYTES);
	char *p = map(fd, BYTES);
	int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	drain();
	for (i = 0; i < 4; i++) {
		char *at = p + i * HUGE_BYTES;

		*at = 1;
		EXPECT_EQ(set, page_flags(frame(at)) & (set | FLAG_ANON));
	}
	munmap(p, BYTES);
	close(fd);
}

/* The kernel's own tool for splitting every huge page cannot split these. */
TEST_F(vmstat, held_pages_are_not_split)
{
	const char *split = "/sys/kernel/debug/split_huge_pages";
	struct counters before;
	uint64_t pfn;
	char *p;

	if (access(split, W_OK))
		SKIP(return, "this kernel has no %s", split);
	p = map(self->ballast, 16 * MIB);
	ASSERT_NE(MAP_FAILED, (void *)p);
	p[0] = 1;
	pfn = frame(p);
	ASSERT_NE(0, pfn);
	before = counters();
	write_text(split, "1");
	EXPECT_EQ(before.nr[SHMEM_HUGE], counters().nr[SHMEM_HUGE]);
	EXPECT_EQ(pfn, frame(p));
	EXPECT_TRUE(page_flags(pfn) & FLAG_THP);
	munmap(p, 16 * MIB);
}

TEST_F(vmstat, memcg_sees_shmem_and_gets_it_back)
{
	static const char *const keys[] = { "file", "shmem", "unevictable" };
	/* memcg lets each CPU be this far behind. */
	const unsigned long slack = 2 * 64 * PAGE_BYTES;
	char path[PATH_MAX];
	struct holder h;
	size_t i;

	cg_destroy("/stat");
	ASSERT_EQ(0, cg_create("/stat"));
	cg_path(path, "/stat", "memory.stat");
	h = hold("/stat", variant->kind, BYTES);
	ASSERT_EQ(0, h.err);
	drain();
	for (i = 0; i < 3; i++) {
		EXPECT_LE(BYTES - slack, read_key(path, keys[i]));
		EXPECT_GT(BYTES + MIB, read_key(path, keys[i]));
	}
	EXPECT_EQ(variant->huge ? BYTES : 0, read_key(path, "shmem_thp"));
	EXPECT_EQ(0, read_key(path, "file_thp"));
	let_go(&h);
	ASSERT_TRUE(settles(16 * MIB));
	cg_path(path, "/stat", "memory.current");
	EXPECT_GT(2 * MIB, read_number(path));
	EXPECT_EQ(0, cg_destroy("/stat"));
}

TEST_HARNESS_MAIN
