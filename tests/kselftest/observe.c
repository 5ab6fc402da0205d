// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * What can be seen of a region from outside: fdinfo, the list in debugfs, and
 * tracepoints, of which the text is compared with what really happened.
 */
#include "cg_util.h"

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/mount.h>

#define TRACE "/sys/kernel/tracing"
#define DEBUG "/sys/kernel/debug"

FIXTURE(observe)
{
	int dev;
};

FIXTURE_SETUP(observe)
{
	self->dev = device_open();
	ASSERT_GE(self->dev, 0);
	EXPECT_TRUE(settles(0));
}

FIXTURE_TEARDOWN(observe)
{
	EXPECT_TRUE(settles(0));
	close(self->dev);
}

/* The value behind "KEY:\t" in the fdinfo of @fd. */
static const char *fdinfo(int fd, const char *key)
{
	static char text[1024];
	char path[64], want[64], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_text(path, text, sizeof(text)) <= 0)
		return "unreadable";
	snprintf(want, sizeof(want), "\ntmk-%s:\t", key);
	at = strstr(text, want);
	if (!at)
		return "absent";
	at += strlen(want);
	at[strcspn(at, "\n")] = '\0';
	return at;
}

TEST_F(observe, fdinfo_of_every_kind)
{
	static const unsigned int kinds[] = { TMK_IOC_KIND_PINNED,
					      TMK_IOC_KIND_HUGE,
					      TMK_IOC_KIND_FILE };
	size_t i;

	for (i = 0; i < 3; i++) {
		struct tmk_ioc_region_create c =
			create_cmd(kinds[i], 2 * HUGE_BYTES);
		struct tmk_ioc_region_seal seal = { .size = sizeof(seal),
						    .seals = 1 };
		bool in_ram = kinds[i] != TMK_IOC_KIND_FILE;
		struct tmk_ioc_region_info info;
		int fd, memfd = -1;

		if (!in_ram)
			memfd = syscall(SYS_memfd_create, "o", 0);
		c.backing_fd = memfd;
		strcpy((char *)c.name, "seen from outside");
		fd = create(self->dev, &c);
		ASSERT_GE(fd, 0);
		info = region_info(fd);
		EXPECT_EQ(info.out_id, strtoull(fdinfo(fd, "id"), NULL, 10));
		EXPECT_EQ(kinds[i], strtoul(fdinfo(fd, "kind"), NULL, 10));
		EXPECT_STREQ("seen from outside", fdinfo(fd, "name"));
		EXPECT_EQ(4 * MIB, strtoull(fdinfo(fd, "charged"), NULL, 10));
		EXPECT_EQ(in_ram ? 4 * MIB : 0,
			  strtoull(fdinfo(fd, "physical"), NULL, 10));
		EXPECT_EQ(info.out_page_size,
			  strtoull(fdinfo(fd, "page-size"), NULL, 10));
		EXPECT_EQ(1, strtoull(fdinfo(fd, "cgroup"), NULL, 10));
		EXPECT_STREQ("0x0", fdinfo(fd, "seals"));
		EXPECT_EQ(0, ioctl(fd, TMK_IOC_REGION_SEAL, &seal));
		EXPECT_STREQ("0x1", fdinfo(fd, "seals"));
		close(fd);
		close(memfd);
	}
}

/* The line of region @id in the list, without its number; "" if there is none. */
static const char *listed(uint64_t id)
{
	static char line[512];
	char begin[32];
	FILE *f = fopen(DEBUG "/tmk/regions", "r");

	snprintf(begin, sizeof(begin), "%llu ", (unsigned long long)id);
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, begin, strlen(begin))) {
			fclose(f);
			line[strcspn(line, "\n")] = '\0';
			return line + strlen(begin);
		}
	}
	if (f)
		fclose(f);
	return "";
}

TEST_F(observe, debugfs_lists_who_lives)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_HUGE, 4 * MIB);
	char want[128];
	struct stat st;
	uint64_t id;
	int fd, many[50], i;

	mount("none", DEBUG, "debugfs", 0, NULL);
	if (access(DEBUG "/tmk/regions", F_OK))
		SKIP(return, "no debugfs");
	EXPECT_EQ(0, stat(DEBUG "/tmk/regions", &st));
	EXPECT_EQ(0400, st.st_mode & 0777);
	c.flags = TMK_IOC_REGION_F_REQUIRE;
	strcpy((char *)c.name, "in a list");
	fd = create(self->dev, &c);
	ASSERT_GE(fd, 0);
	id = region_info(fd).out_id;
	snprintf(want, sizeof(want),
		 "huge 1 %d 4194304 4194304 4194304 0 0 4194304 0 in a list",
		 getpid());
	EXPECT_STREQ(want, listed(id));
	for (i = 0; i < 50; i++)
		many[i] = create_simple(self->dev, TMK_IOC_KIND_PINNED, 1);
	EXPECT_NE('\0', *listed(id + 50));
	EXPECT_STREQ("", listed(id + 51));
	for (i = 0; i < 50; i++)
		close(many[i]);
	close(fd);
	EXPECT_TRUE(settles(0));
	EXPECT_STREQ("", listed(id));
	EXPECT_STREQ("", listed(id + 50));
}

static bool traced(const char *want)
{
	static char text[65536];

	if (read_text(TRACE "/trace", text, sizeof(text)) <= 0)
		return false;
	if (strstr(text, want))
		return true;
	TH_LOG("no \"%s\" in: %s", want, text);
	return false;
}

TEST_F(observe, tracepoints_tell_what_happened)
{
	struct tmk_ioc_region_create c = create_cmd(TMK_IOC_KIND_HUGE, 4 * MIB);
	unsigned long long id, group;
	struct holder h;
	char want[256];
	int fd;

	mount("none", TRACE, "tracefs", 0, NULL);
	if (access(TRACE "/events", F_OK))
		SKIP(return, "no tracefs");
	ASSERT_EQ(0, access(TRACE "/events/tmk/region_create", F_OK));
	ASSERT_EQ(0, write_text(TRACE "/trace", "\n"));
	ASSERT_EQ(0, write_text(TRACE "/events/tmk/enable", "1"));

	c.flags = TMK_IOC_REGION_F_REQUIRE;
	fd = create(self->dev, &c);
	ASSERT_GE(fd, 0);
	id = region_info(fd).out_id;
	snprintf(want, sizeof(want),
		 "region_create: id=%llu cgroup=1 kind=huge flags=0x1 length=4194304 bytes_2m=4194304",
		 id);
	EXPECT_TRUE(traced(want));
	close(fd);
	EXPECT_TRUE(settles(0));
	snprintf(want, sizeof(want),
		 "region_destroy: id=%llu cgroup=1 length=4194304 held=0", id);
	EXPECT_TRUE(traced(want));

	ASSERT_EQ(0, cg_create("/traced"));
	ASSERT_EQ(0, tmk_limit("/traced", "physical_max", "1M"));
	group = cg_id("/traced");
	h = hold("/traced", TMK_IOC_KIND_PINNED, 2 * MIB);
	EXPECT_EQ(EDQUOT, h.err);
	let_go(&h);
	snprintf(want, sizeof(want),
		 "charge_fail: cgroup=%llu reason=physical_max asked=2097152 used=0 limit=1048576",
		 group);
	EXPECT_TRUE(traced(want));
	EXPECT_EQ(0, cg_destroy("/traced"));

	test_err(ENOMEM,
		 create_simple(self->dev, TMK_IOC_KIND_HUGETLB, HUGE_BYTES));
	EXPECT_TRUE(traced("charge_fail: cgroup=0 reason=pool asked=2097152"));
	ASSERT_EQ(0, write_text(TRACE "/events/tmk/enable", "0"));
}

/* What tools learn of an event; "" if there is none. */
static const char *format_of(const char *event)
{
	static char text[8192];
	char path[128];

	mount("none", TRACE, "tracefs", 0, NULL);
	snprintf(path, sizeof(path), TRACE "/events/tmk/%s/format", event);
	return read_text(path, text, sizeof(text)) > 0 ? text : "";
}

/* trace-cmd and perf make text of an event by its format alone. */
TEST_F(observe, formats_mean_something_to_tools)
{
	static const char *const events[] = { "region_create", "region_destroy",
					      "charge_fail" };
	size_t i;

	if (!*format_of(events[0]))
		SKIP(return, "no tracefs");
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(strstr(format_of(events[i]), "\nprint fmt: \""));
		/* Names of enums are known to nobody but the compiler. */
		EXPECT_NULL(strstr(format_of(events[i]), "TMK_IOC_"));
	}
	EXPECT_TRUE(strstr(format_of("region_create"), "{ 2, \"huge\" }"));
	EXPECT_TRUE(strstr(format_of("charge_fail"), "{ 6, \"pool\" }"));
}

/* Where a field is in an event, as bpftrace finds it out; -1 if nowhere. */
static int field_at(const char *event, const char *field)
{
	const char *at = format_of(event);
	char want[64];

	snprintf(want, sizeof(want), "u64 %s;\toffset:", field);
	at = strstr(at, want);
	return at ? atoi(at + strlen(want)) : -1;
}

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int bpf_sum_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = 4,
				.value_size = 8,
				.max_entries = 1 };

	return bpf(BPF_MAP_CREATE, &attr);
}

/* Adds the field at @offset of each event to the only entry of a map. */
static int bpf_sum_program(int map, int offset)
{
	/* clang-format off */
	const struct bpf_insn code[] = {
		/* r6 = the field; the key, 0, goes on the stack */
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6,
		  .src_reg = 1, .off = (short)offset },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2,
		  .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2,
		  .imm = -4 },
		/* r0 = bpf_map_lookup_elem(map, r2) */
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ .code = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		/* if there is one, *r0 += r6; return 0 */
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0,
		  .src_reg = 6, .imm = BPF_ADD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insn_cnt = sizeof(code) / sizeof(code[0]),
				.insns = (uintptr_t)code,
				.license = (uintptr_t) "GPL" };

	return bpf(BPF_PROG_LOAD, &attr);
}

/* Run @program at each @event until what is returned is closed. */
static int bpf_attach(int program, const char *event)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
					.size = sizeof(attr),
					.sample_period = 1 };
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TRACE "/events/tmk/%s/id", event);
	attr.config = read_number(path);
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1,
			  PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0 && (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) ||
			ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* As bpftrace does it: bytes that were asked for, summed up in the kernel. */
TEST_F(observe, a_bpf_program_reads_the_fields)
{
	int at = field_at("region_create", "length"), map, program, link, i;
	uint32_t key = 0;
	uint64_t sum = 0;
	union bpf_attr attr = { .key = (uintptr_t)&key,
				.value = (uintptr_t)&sum };

	if (!*format_of("region_create"))
		SKIP(return, "no tracefs");
	ASSERT_LE(8, at);
	map = bpf_sum_map();
	if (map < 0 && errno == ENOSYS)
		SKIP(return, "no BPF");
	ASSERT_GE(map, 0);
	program = bpf_sum_program(map, at);
	ASSERT_GE(program, 0);
	link = bpf_attach(program, "region_create");
	ASSERT_GE(link, 0);
	for (i = 1; i <= 10; i++)
		close(create_simple(self->dev, TMK_IOC_KIND_PINNED,
				    (uint64_t)i * PAGE_BYTES));
	attr.map_fd = (uint32_t)map;
	ASSERT_EQ(0, bpf(BPF_MAP_LOOKUP_ELEM, &attr));
	EXPECT_EQ(55 * PAGE_BYTES, sum);
	close(link);
	close(program);
	close(map);
}

TEST_HARNESS_MAIN
