// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Sequences of calls on /dev/tmk, kept when they reach code of the module that
 * none before reached (KCOV). Runs as root in a machine that may break.
 *
 *	fuzz SECONDS FOLDER	(FOLDER/corpus is read and added to)
 *	fuzz --replay FILE
 *
 * Each sequence is in FOLDER/last before it runs: after a crash of the machine
 * that is the culprit, or the end of what the last process did. A sequence is
 * text, a call a line: its name and three numbers. They choose among the
 * descriptors and mappings that the sequence has so far, and among values that
 * matter to the call, so that any numbers are a valid sequence. Commands that a
 * module does not offer are tried all the same.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/kcov.h>
#include <linux/tmk.h>

#define CALLS_MAX 24
#define SLOTS 8
#define PER_PROCESS 200 /* sequences, then everything is let go */
#define COVER_WORDS (64 << 10)
#define EDGES (1 << 16)
#define CORPUS_MAX 4096
#define PAGE 4096UL
#define MAP_BYTES (4UL << 20)

struct call {
	unsigned int op;
	uint32_t arg[3];
};

struct sequence {
	unsigned int nr;
	struct call call[CALLS_MAX];
};

/* Shared by the fuzzer and the process that runs the sequences. */
struct shared {
	uint64_t runs;
	uint64_t calls;
	uint64_t good; /* calls that succeeded */
	unsigned int edges;
	unsigned int corpus_nr;
	unsigned int added;
	unsigned char edge[EDGES];
	struct sequence corpus[CORPUS_MAX];
};

static struct shared *shared;
static int dev, fds[SLOTS], last_fd = -1;
static void *maps[SLOTS]; /* in the arena, or NULL */
static char *arena;
static uint64_t *cover;
static uint64_t seed = 88172645463325252ULL;

static uint32_t roll(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

/* Sizes at which something changes, by @n. */
static uint64_t size_of(uint32_t n)
{
	static const uint64_t sizes[] = {
		4096,	   1,	    8192,	2 << 20,    (2 << 20) + 1,
		4 << 20,   65536,   1 << 20,	0,	    1ULL << 40,
		1ULL << 63, ~0ULL,  INT64_MAX,	1ULL << 30, 12288,
	};

	return sizes[n % (sizeof(sizes) / sizeof(sizes[0]))];
}

/* Everything is mapped in here, so that no call can hit the fuzzer itself. */
static char *place(uint32_t slot)
{
	return arena + slot % SLOTS * 2 * MAP_BYTES;
}

static void clear_place(uint32_t slot)
{
	if (mmap(place(slot), 2 * MAP_BYTES, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		_exit(1);
	maps[slot % SLOTS] = NULL;
}

static void put_fd(uint32_t slot, int fd)
{
	int *at = &fds[slot % SLOTS];

	if (fd < 0)
		return;
	if (*at >= 0)
		close(*at);
	*at = fd;
}

static int get_fd(uint32_t slot)
{
	return slot % 16 == 15 ? dev : fds[slot % SLOTS];
}

static long do_create(const uint32_t *a)
{
	struct tmk_ioc_region_create c = {
		.size = sizeof(c),
		.kind = a[0] % 6,
		.length = size_of(a[1]),
		.flags = a[2] % 4,
		.node = (int)(a[2] >> 2) % 3 - 1,
		.backing_fd = c.kind == TMK_IOC_KIND_FILE ? get_fd(a[2]) : -1,
		.name = "fuzz",
	};
	long rc;

	if (a[2] % 31 == 30)
		c.page_size = size_of(a[2] >> 8);
	if (a[2] % 61 == 60)
		((unsigned char *)&c)[(a[2] >> 8) % sizeof(c)] = a[2] >> 16;
	rc = ioctl(dev, TMK_IOC_REGION_CREATE, &c);
	if (!rc)
		put_fd(a[0] >> 8, c.out_fd);
	return rc;
}

static long do_region_info(const uint32_t *a)
{
	struct tmk_ioc_region_info c = { .size = sizeof(c) };

	return ioctl(get_fd(a[0]), TMK_IOC_REGION_INFO, &c);
}

static long do_usage(const uint32_t *a)
{
	struct tmk_ioc_usage c = { .size = sizeof(c), .flags = a[0] % 8 == 7 };

	return ioctl(dev, TMK_IOC_USAGE, &c);
}

static long do_info(const uint32_t *a)
{
	struct tmk_ioc_info c = { .size = sizeof(c), .flags = a[0] % 8 == 7 };

	return ioctl(dev, TMK_IOC_INFO, &c);
}

static long do_trim(const uint32_t *a)
{
	struct tmk_ioc_region_trim c = { .size = sizeof(c),
					 .offset = size_of(a[1]),
					 .length = size_of(a[2]) };

	if (a[1] % 3)
		c.offset = 0;
	return ioctl(get_fd(a[0]), TMK_IOC_REGION_TRIM, &c);
}

static long do_dmabuf(const uint32_t *a)
{
	struct tmk_ioc_region_dmabuf c = { .size = sizeof(c) };
	long rc = ioctl(get_fd(a[0]), TMK_IOC_REGION_DMABUF, &c);

	if (!rc)
		put_fd(a[1], c.out_fd);
	return rc;
}

/* Any number of a command, any bytes. */
static long do_ioctl(const uint32_t *a)
{
	uint32_t buf[128];
	size_t i;

	memset(buf, 0, sizeof(buf));
	for (i = 1; i < 128 && a[2] % 2; i++)
		buf[i] = a[2] * (uint32_t)i;
	buf[0] = a[1] % 5 ? a[1] % 512 : a[1];
	return ioctl(get_fd(a[0]),
		     _IO(TMK_IOC_TYPE, TMK_IOC_NR_BASE + a[1] % 9),
		     a[2] % 17 == 16 ? (void *)16 : buf);
}

static long do_mmap(const uint32_t *a)
{
	int prot = a[1] % 8;
	int flags = a[1] & 64 ? MAP_PRIVATE : MAP_SHARED;
	size_t len = size_of(a[2]) % MAP_BYTES + 1;
	off_t off = a[1] & 128 ? (off_t)(size_of(a[1] >> 8) & ~(PAGE - 1)) : 0;
	void *p;

	if (a[1] & 512)
		flags |= MAP_POPULATE;
	p = mmap(place(a[0] >> 8), len, prot, flags | MAP_FIXED, get_fd(a[0]),
		 off);
	if (p == MAP_FAILED)
		return -1;
	maps[(a[0] >> 8) % SLOTS] = p;
	return 0;
}

/* Reads or writes through system calls, which survive what is not mapped. */
static long do_touch(const uint32_t *a)
{
	static int zero = -1;
	char *p = maps[a[0] % SLOTS];

	if (zero < 0)
		zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (!p)
		return -1;
	p += (a[1] % (MAP_BYTES / PAGE)) * PAGE;
	return a[2] & 1 ? read(zero, p, 64) : write(zero, p, 64);
}

static long do_munmap(const uint32_t *a)
{
	char *p = maps[a[0] % SLOTS];

	if (!p)
		return -1;
	if (a[1] & 1) {
		clear_place(a[0]);
		return 0;
	}
	return munmap(p, (a[1] % 8 + 1) * PAGE);
}

static long do_mremap(const uint32_t *a)
{
	void *p = maps[a[0] % SLOTS];
	void *q;
	uint32_t to = a[0] % SLOTS + 1 + (a[2] >> 16) % (SLOTS - 1);

	if (!p)
		return -1;
	q = mremap(p, (a[1] % 600 + 1) * PAGE, (a[2] % 600 + 1) * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, place(to));
	if (q == MAP_FAILED)
		return -1;
	maps[to % SLOTS] = q;
	return 0;
}

static long do_madvise(const uint32_t *a)
{
	/* Not the numbers from 100 on, which poison memory for good. */
	return madvise(maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE,
		       (int)(a[2] % 26));
}

static long do_mprotect(const uint32_t *a)
{
	return mprotect(maps[a[0] % SLOTS], (a[1] % 600 + 1) * PAGE,
			(int)(a[2] % 8));
}

static long do_mlock(const uint32_t *a)
{
	void *p = maps[a[0] % SLOTS];
	size_t len = (a[1] % 600 + 1) * PAGE;

	return a[2] & 1 ? mlock(p, len) : munlock(p, len);
}

static long do_fork(const uint32_t *a)
{
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (!pid) {
		do_touch(a);
		do_region_info(a);
		_exit(0);
	}
	if (a[2] & 2)
		kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static long do_close(const uint32_t *a)
{
	int *at = &fds[a[0] % SLOTS];
	int fd = *at;

	*at = -1;
	return close(fd);
}

static long do_dup(const uint32_t *a)
{
	int fd = dup(get_fd(a[0]));

	put_fd(a[1], fd);
	return fd;
}

static long do_reopen(const uint32_t *a)
{
	static const int modes[] = { O_RDWR, O_RDONLY, O_WRONLY, O_PATH,
				     O_RDWR | O_TRUNC };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", get_fd(a[0]));
	fd = open(path, modes[a[2] % 5] | O_CLOEXEC);
	put_fd(a[1], fd);
	return fd;
}

/* Through a socket, once or left in it until the socket goes. */
static long do_pass(const uint32_t *a)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int pair[2], fd = a[2] & 4 ? -1 : get_fd(a[0]);
	long rc;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	if (fd < 0)
		fd = pair[1]; /* a cycle */
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	rc = sendmsg(pair[0], &msg, MSG_DONTWAIT);
	if (rc > 0 && a[2] & 1) {
		msg.msg_controllen = sizeof(control);
		rc = recvmsg(pair[1], &msg, MSG_DONTWAIT);
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
		if (rc > 0 && msg.msg_controllen)
			put_fd(a[1], fd);
	}
	close(pair[0]);
	close(pair[1]);
	return rc;
}

static long do_file(const uint32_t *a)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 && ftruncate(fd, (off_t)(size_of(a[1]) % MAP_BYTES)))
		return -1;
	put_fd(a[0], fd);
	return fd;
}

static long do_file_calls(const uint32_t *a)
{
	char buf[256] = "";
	int fd = get_fd(a[0]);

	switch (a[1] % 6) {
	case 0:
		return pread(fd, buf, sizeof(buf), a[2]);
	case 1:
		return pwrite(fd, buf, 1, a[2]);
	case 2:
		return ftruncate(fd, (off_t)size_of(a[2]));
	case 3:
		return fallocate(fd, (int)(a[2] % 4), 0, PAGE);
	case 4:
		return fcntl(fd, F_ADD_SEALS, a[2] % 32);
	default:
		snprintf(buf, sizeof(buf), "/proc/self/fdinfo/%d", fd);
		fd = open(buf, O_RDONLY | O_CLOEXEC);
		read(fd, buf, sizeof(buf)) < 0 ? errno : 0;
		return close(fd);
	}
}

static long do_sysfs(const uint32_t *a)
{
	static const char *const files[] = {
		"control",	"max",	  "physical_max", "by_kind",
		"current",	"events", "peak",	  "physical_current",
		"cgroups/1/max"
	};
	static const char *const texts[] = { "max",	    "1G",
					     "/ max=64M",   "/ max=max",
					     "/ a=b",	    "junk",
					     "/none max=1", "" };
	char path[128], buf[512];
	const char *text = texts[a[1] % 8];
	long rc;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/tmk/%s", files[a[0] % 9]);
	fd = open(path, (a[2] & 1 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = a[2] & 1 ? write(fd, text, strlen(text)) :
			read(fd, buf, sizeof(buf));
	close(fd);
	return rc;
}

static const struct op {
	const char *name;
	long (*run)(const uint32_t *arg);
} ops[] = {
	{ "create", do_create },     { "region_info", do_region_info },
	{ "usage", do_usage },	     { "info", do_info },
	{ "trim", do_trim },	     { "dmabuf", do_dmabuf },
	{ "ioctl", do_ioctl },	     { "mmap", do_mmap },
	{ "touch", do_touch },	     { "munmap", do_munmap },
	{ "mremap", do_mremap },     { "madvise", do_madvise },
	{ "mprotect", do_mprotect }, { "mlock", do_mlock },
	{ "fork", do_fork },	     { "close", do_close },
	{ "dup", do_dup },	     { "reopen", do_reopen },
	{ "pass", do_pass },	     { "file", do_file },
	{ "file_calls", do_file_calls }, { "sysfs", do_sysfs },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static size_t print_sequence(const struct sequence *s, char *buf, size_t len)
{
	size_t at = 0;
	unsigned int i;

	for (i = 0; i < s->nr && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s %u %u %u\n",
				       ops[s->call[i].op].name,
				       s->call[i].arg[0], s->call[i].arg[1],
				       s->call[i].arg[2]);
	return at < len ? at : len;
}

static bool read_sequence(const char *path, struct sequence *s)
{
	FILE *f = fopen(path, "r");
	char name[32];
	struct call c;

	memset(s, 0, sizeof(*s));
	if (!f)
		return false;
	while (s->nr < CALLS_MAX &&
	       fscanf(f, "%31s %u %u %u", name, &c.arg[0], &c.arg[1],
		      &c.arg[2]) == 4) {
		for (c.op = 0; c.op < OPS; c.op++)
			if (!strcmp(name, ops[c.op].name))
				break;
		if (c.op < OPS)
			s->call[s->nr++] = c;
	}
	fclose(f);
	return s->nr;
}

static void run_sequence(const struct sequence *s)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++) {
		shared->calls++;
		shared->good += ops[s->call[i].op].run(s->call[i].arg) >= 0;
	}
	for (i = 0; i < SLOTS; i++) {
		if (maps[i])
			clear_place(i);
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	shared->runs++;
}

/* Edges of the last run that no run had before. */
static unsigned int new_edges(void)
{
	uint64_t nr = __atomic_load_n(&cover[0], __ATOMIC_RELAXED), i;
	uint64_t before = 0;
	unsigned int fresh = 0;

	for (i = 0; i < nr && i + 1 < COVER_WORDS; i++) {
		uint64_t pc = cover[i + 1];
		uint64_t at = (pc ^ before * 0x9e3779b1) % EDGES;

		before = pc;
		fresh += !shared->edge[at];
		shared->edge[at] = 1;
	}
	return fresh;
}

static struct call random_call(void)
{
	/* Regions and mappings come first, or all else has nothing to do. */
	static const unsigned int often[] = { 0, 0, 7, 7, 8 };
	struct call c = { .op = roll(3) ? roll(OPS) : often[roll(5)] };
	unsigned int i;

	for (i = 0; i < 3; i++)
		c.arg[i] = roll(2) ? roll(16) | roll(8) << 8 : roll(1U << 31);
	return c;
}

static void mutate(struct sequence *s)
{
	unsigned int rounds = 1 + roll(4), at;

	if (!shared->corpus_nr || !roll(8)) {
		s->nr = 1 + roll(CALLS_MAX);
		for (at = 0; at < s->nr; at++)
			s->call[at] = random_call();
		return;
	}
	*s = shared->corpus[roll(shared->corpus_nr)];
	while (rounds--) {
		at = roll(s->nr);
		switch (roll(4)) {
		case 0:
			s->call[at] = random_call();
			break;
		case 1:
			s->call[at].arg[roll(3)] = random_call().arg[0];
			break;
		case 2:
			if (s->nr < CALLS_MAX)
				s->call[s->nr++] = random_call();
			break;
		default:
			if (s->nr > 1)
				s->call[at] = s->call[--s->nr];
		}
	}
}

static void keep(const struct sequence *s, const char *folder)
{
	char path[256], text[4096];
	size_t len = print_sequence(s, text, sizeof(text));
	uint64_t hash = 14695981039346656037ULL;
	size_t i;
	int fd;

	if (shared->corpus_nr == CORPUS_MAX)
		return;
	shared->corpus[shared->corpus_nr++] = *s;
	shared->added++;
	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 1099511628211ULL;
	snprintf(path, sizeof(path), "%s/corpus/%016llx", folder,
		 (unsigned long long)hash);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, len) < 0)
		perror(path);
	close(fd);
}

static void write_last(const struct sequence *s)
{
	char text[4096];
	size_t len = print_sequence(s, text, sizeof(text));

	/* What a longer one left behind is cut off by a blank line. */
	if (len < sizeof(text))
		memset(text + len, '\n', sizeof(text) - len);
	if (pwrite(last_fd, text, sizeof(text), 0) < 0)
		perror("last");
}

/* In a process of its own, with everything that it leaves behind. */
static void run_some(const char *folder, const struct sequence *first,
		     unsigned int nr)
{
	struct sequence s;
	int kcov = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	unsigned int i;

	if (kcov < 0 || ioctl(kcov, KCOV_INIT_TRACE, COVER_WORDS)) {
		perror("kcov");
		_exit(1);
	}
	cover = mmap(NULL, COVER_WORDS * sizeof(*cover), PROT_READ | PROT_WRITE,
		     MAP_SHARED, kcov, 0);
	if (cover == MAP_FAILED || ioctl(kcov, KCOV_ENABLE, KCOV_TRACE_PC)) {
		perror("kcov");
		_exit(1);
	}
	for (i = 0; i < nr; i++) {
		unsigned int fresh;

		if (first)
			s = first[i];
		else
			mutate(&s);
		write_last(&s);
		__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
		run_sequence(&s);
		fresh = new_edges();
		shared->edges += fresh;
		if (fresh && !first)
			keep(&s, folder);
	}
	_exit(0);
}

static void in_process(const char *folder, const struct sequence *first,
		       unsigned int nr)
{
	pid_t pid = fork();
	int status, waited = 0;

	if (!pid) {
		seed ^= (uint64_t)getpid() * 0x9e3779b97f4a7c15ULL;
		run_some(folder, first, nr);
	}
	while (!waitpid(pid, &status, WNOHANG) && waited++ < 60000)
		usleep(1000);
	if (waited >= 60000) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		printf("a process was stuck\n");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status))
		exit(1);
}

static void load_corpus(const char *folder)
{
	char path[512];
	DIR *dir;
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s/corpus", folder);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct sequence s;

		if (entry->d_name[0] == '.' || shared->corpus_nr == CORPUS_MAX)
			continue;
		snprintf(path, sizeof(path), "%s/corpus/%s", folder,
			 entry->d_name);
		if (read_sequence(path, &s))
			shared->corpus[shared->corpus_nr++] = s;
	}
	if (dir)
		closedir(dir);
}

static void report(time_t seconds)
{
	printf("%lld s: %llu sequences, %llu calls (%llu good), %u edges, "
	       "corpus %u (+%u)\n",
	       (long long)seconds, (unsigned long long)shared->runs,
	       (unsigned long long)shared->calls,
	       (unsigned long long)shared->good, shared->edges,
	       shared->corpus_nr, shared->added);
	fflush(stdout);
}

static int replay(const char *path)
{
	struct sequence s;

	if (!read_sequence(path, &s)) {
		fprintf(stderr, "%s is not a sequence\n", path);
		return 1;
	}
	run_sequence(&s);
	printf("%u calls, %llu good\n", s.nr, (unsigned long long)shared->good);
	return 0;
}

int main(int argc, char **argv)
{
	time_t begin = time(NULL), shown = begin, now;
	char path[256];
	int i;

	if (argc != 3)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	dev = open("/dev/tmk", O_RDWR | O_CLOEXEC);
	if (shared == MAP_FAILED || dev < 0) {
		perror("/dev/tmk");
		return 1;
	}
	arena = mmap(NULL, SLOTS * 2 * MAP_BYTES, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		return 1;
	for (i = 0; i < SLOTS; i++)
		fds[i] = -1;
	if (!strcmp(argv[1], "--replay"))
		return replay(argv[2]);

	snprintf(path, sizeof(path), "%s/last", argv[2]);
	last_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	load_corpus(argv[2]);
	seed ^= (uint64_t)begin << 20;
	if (shared->corpus_nr)
		in_process(argv[2], shared->corpus, shared->corpus_nr);
	while ((now = time(NULL)) - begin < atoi(argv[1])) {
		in_process(argv[2], NULL, PER_PROCESS);
		if (now - shown >= 30) {
			report(now - begin);
			shown = now;
		}
	}
	report(now - begin);
	return shared->edges ? 0 : 1;
}
