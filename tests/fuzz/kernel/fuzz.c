// SPDX-License-Identifier: MIT
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

#include "calls.h"

#define CALLS_MAX 24
#define PER_PROCESS 200 /* sequences, then everything is let go */
#define COVER_WORDS (64 << 10)
#define EDGES (1 << 16)
#define CORPUS_MAX 4096

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
static int last_fd = -1;
static uint64_t *cover;
static uint64_t seed = 88172645463325252ULL;

static uint32_t roll(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

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
	while (s->nr < CALLS_MAX && fscanf(f, "%31s %u %u %u", name, &c.arg[0],
					   &c.arg[1], &c.arg[2]) == 4) {
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
