// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmk_alloc() beside malloc() of glibc, mimalloc, jemalloc and tcmalloc, each
 * with its defaults and tuned to keep what it has. Prints one JSON object;
 * decides nothing.
 *
 *	host_alloc [ROUNDS [TRACES [WEIGHTS]]]
 *
 * Every allocator runs the same code (alloc_work.c) in a process of its own,
 * peers by LD_PRELOAD; they take turns, ROUNDS times (7), and medians are shown.
 * A peer that is not installed is left out and named in "missing". The machine's
 * free memory is touched before each process, because a virtual machine may have
 * given it to its host. What one thread does is timed by its processor time.
 *
 *	pair_N       ns for allocating and freeing N bytes, one byte written
 *	trace_T      ms for an iteration of a trace, one store to each page
 *	bare_T       ns for allocating and freeing a block of it, nothing written
 *	written_T    ms for an iteration, every byte written
 *	varied_T     as trace_T, each iteration of another length
 *	held_T       bytes held at most, over the trace's peak live bytes: what tmk
 *		     counts, what of a peer is in RAM; held_varied_T likewise
 *	scale_2_W    what two threads do in the time in which one does 1;
 *		     scale_2_cpu_W in the processor time, which has no waiting
 *	handover     ns for a block that another thread frees
 *	bookkeeping_N  the library's own memory for many blocks of N bytes, over
 *		     theirs
 *	pack_W       one region for all weights of a model, over their bytes;
 *		     pack_power_of_two_W is a block of a power of two for each
 *	calls_X, faults_X  system calls (as a tracer sees them) and page faults of
 *		     100 pairs, and of an iteration of a trace
 *
 * "against" has what tmk's median is of that of the best peer, and of the best
 * one that is tuned; for traces also how many times as long glibc and jemalloc
 * take by default.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host_peers.h"
#include "host_util.h"

#define RESULTS_MAX 160
#define ROUNDS_MAX 31

static const char *work, *traces, *weights;

static void die(const char *what)
{
	fprintf(stderr, "host_alloc: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Results of a peer: a name, and a value for each round. */
struct result {
	char name[64];
	double values[ROUNDS_MAX];
	size_t nr;
};

static struct result results[NR(peers)][RESULTS_MAX];

static void result_add(size_t peer, const char *what, const char *name,
		       double value)
{
	struct result *r = results[peer], *end = r + RESULTS_MAX - 1;
	char full[64];

	if (snprintf(full, sizeof(full), "%s%s", what, name) >=
	    (int)sizeof(full))
		die("a name is too long");
	while (r < end && r->name[0] && strcmp(r->name, full) != 0)
		r++;
	if (r == end)
		die("too many results");
	strcpy(r->name, full);
	if (r->nr < ROUNDS_MAX)
		r->values[r->nr++] = value;
}

/* The median of a peer's values of that name; a negative number if none. */
static double result_get(size_t peer, const char *name)
{
	struct result *r = results[peer];

	for (; r->name[0]; r++)
		if (!strcmp(r->name, name))
			return median(r->values, r->nr);
	return -1;
}

static size_t peer_find(const char *name)
{
	size_t i;

	for (i = 0; strcmp(peers[i].name, name) != 0; i++)
		;
	return i;
}

static void peer_exec(const struct peer *peer, bool count)
{
	const char *which = peer->preload ? "malloc" : "tmk";

	peer_set(peer);
	if (count && !ptrace(PTRACE_TRACEME, 0, 0, 0))
		execl(work, work, "--count", which, traces, (char *)NULL);
	else if (!count)
		execl(work, work, which, traces, weights, (char *)NULL);
	_exit(127);
}

/* Start a peer. Return: what it prints. */
static FILE *peer_start(pid_t *pid, size_t nr, bool count)
{
	int fds[2];
	FILE *f;

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	*pid = fork();
	if (!*pid) {
		dup2(fds[1], STDOUT_FILENO);
		peer_exec(&peers[nr], count);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	if (*pid < 0 || !f)
		die("no process");
	return f;
}

static void peer_run(size_t nr)
{
	char line[256], name[64];
	double value;
	int status;
	pid_t pid;
	FILE *f;

	f = peer_start(&pid, nr, false);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lf", name, &value) == 2)
			result_add(nr, "", name, value);
	fclose(f);
	if (waitpid(pid, &status, 0) < 0 || status)
		fprintf(stderr, "host_alloc: %s failed\n", peers[nr].name);
}

/*
 * Let it run, and count its system calls between each two of getppid(). Return:
 * how many counts, or a negative number if it failed.
 */
static int trace_calls(pid_t pid, long *counts, int max)
{
	struct user_regs_struct regs;
	bool enters = false, in = false;
	int status, nr = 0;

	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		return -1;
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) ||
		    waitpid(pid, &status, 0) < 0)
			return -1;
		if (WIFEXITED(status) || WIFSIGNALED(status))
			return status ? -1 : nr;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		enters = !enters;
		if (!enters || ptrace(PTRACE_GETREGS, pid, 0, &regs))
			continue;
		if (regs.orig_rax != SYS_getppid) {
			if (in)
				counts[nr - 1]++;
			continue;
		}
		in = !in;
		if (in && nr == max)
			return -1;
		if (in)
			counts[nr++] = 0;
	}
}

static void peer_count(size_t nr)
{
	char line[256], name[64];
	long counts[64], faults;
	int n, i;
	pid_t pid;
	FILE *f;

	f = peer_start(&pid, nr, true);
	n = trace_calls(pid, counts, NR(counts));
	for (i = 0; i < n && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, "%63s %ld", name, &faults) != 2)
			break;
		result_add(nr, "calls_", name, (double)counts[i]);
		result_add(nr, "faults_", name, (double)faults);
	}
	if (n <= 0 || i != n)
		fprintf(stderr, "host_alloc: %s cannot be traced\n",
			peers[nr].name);
	fclose(f);
}

static bool starts(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

/* The peer that is best at it; 0 if there is none. More is better if @most. */
static size_t best_peer(const char *name, bool most, bool tuned)
{
	size_t i, best = 0;

	for (i = 1; i < NR(peers); i++) {
		double value = result_get(i, name), than;

		if (value < 0 || (tuned && !strstr(peers[i].name, "_tuned")))
			continue;
		than = best ? result_get(best, name) : 0;
		if (!best || (most ? value > than : value < than))
			best = i;
	}
	return best;
}

/* What is held for so little that none of it is seen in RAM has no multiple. */
static void print_of(const char *key, double ours, double theirs)
{
	if (theirs > 0)
		printf(", \"%s\": %.3g", key, ours / theirs);
	else
		printf(", \"%s\": null", key);
}

static void print_against(const char *name)
{
	static const char *const defaults[] = { "glibc", "jemalloc" };
	bool most = starts(name, "scale");
	size_t best = best_peer(name, most, false);
	size_t tuned = best_peer(name, most, true), i, peer;
	double ours = result_get(0, name);

	printf("\"%s\": {\"best\": \"%s\"", name, peers[best].name);
	print_of("of_best", ours, result_get(best, name));
	if (tuned) {
		printf(", \"best_tuned\": \"%s\"", peers[tuned].name);
		print_of("of_best_tuned", ours, result_get(tuned, name));
	}
	for (i = 0; starts(name, "trace_") && i < NR(defaults); i++) {
		peer = peer_find(defaults[i]);
		if (results[peer][0].nr)
			printf(", \"times_%s\": %.3g", defaults[i],
			       result_get(peer, name) / ours);
	}
	printf("}");
}

static void print_all_against(void)
{
	size_t k, nr = 0;

	for (k = 0; results[0][k].nr; k++) {
		const char *name = results[0][k].name;

		if (starts(name, "calls_") || starts(name, "faults_") ||
		    !best_peer(name, false, false))
			continue;
		printf(nr++ ? ",\n  " : ",\n \"against\": {\n  ");
		print_against(name);
	}
	if (nr)
		printf("}");
}

static void print_all(int rounds)
{
	const char *comma = "";
	size_t i, k;

	printf("{\"benchmark\": \"host_alloc\", \"rounds\": %d, \"missing\": [",
	       rounds);
	for (i = 0; i < NR(peers); i++) {
		if (peer_there(&peers[i]))
			continue;
		printf("%s\"%s\"", comma, peers[i].name);
		comma = ", ";
	}
	printf("]");
	for (i = 0; i < NR(peers); i++) {
		if (!results[i][0].nr)
			continue;
		printf(",\n \"%s\": {", peers[i].name);
		for (k = 0; results[i][k].nr; k++)
			printf("%s\"%s\": %.5g", k ? ", " : "",
			       results[i][k].name,
			       median(results[i][k].values, results[i][k].nr));
		printf("}");
	}
	print_all_against();
	printf("}\n");
}

/* A file or folder of the tree: build/tests/bench/host_alloc is four below it. */
static const char *in_tree(const char *self, const char *path)
{
	char full[PATH_MAX];
	const char *real;

	snprintf(full, sizeof(full), "%s/../../../../%s", self, path);
	real = realpath(full, NULL);
	return real ? real : path;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 7, round;
	char self[512], program[600];
	ssize_t len;
	size_t i;

	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0 || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	self[len] = '\0';
	traces = argc > 2 ? argv[2] : in_tree(self, "tests/traces");
	weights = argc > 3 ? argv[3] : in_tree(self, "tests/bench/weights");
	snprintf(program, sizeof(program), "%.*s/alloc_work",
		 (int)(strrchr(self, '/') - self), self);
	work = program;
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < NR(peers); i++) {
			if (!peer_there(&peers[i]))
				continue;
			prewarm();
			peer_run(i);
			if (!round)
				peer_count(i);
		}
	}
	print_all(rounds);
	return 0;
}
