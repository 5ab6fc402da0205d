/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the tests of TMK_DEBUG share: programs that run in a process of their
 * own, which is looked at from outside: how it ended and what it printed.
 */
#ifndef TMK_TESTS_UNIT_DEBUG_H
#define TMK_TESTS_UNIT_DEBUG_H

#include "util.h"

#include <signal.h>

#define ALL "leaks,poison,guard"
#define TRAPPED 77 /* exit status: a signal, at the address that was expected */
#define NOINLINE __attribute__((noinline))
/* What the program may not do is to reach the memory, not the sanitizer. */
#define BAD __attribute__((noinline, no_sanitize("address", "thread")))

/* What a process printed on standard error, and how it ended. */
struct seen {
	int status; /* exit status; 128 + the signal that killed it */
	char text[65536];
};

/* Run a program under TMK_DEBUG=@debug (NULL: not set), until it exits. */
static TAP_UNUSED void see(struct seen *out, const char *debug,
			   void (*program)(void))
{
	int fd = memfd_create("stderr", MFD_CLOEXEC), status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(fd, 2);
		if (debug)
			setenv("TMK_DEBUG", debug, 1);
		else
			unsetenv("TMK_DEBUG");
		program();
		exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	out->status = WIFEXITED(status) ? WEXITSTATUS(status) :
					  128 + WTERMSIG(status);
	n = pread(fd, out->text, sizeof(out->text) - 1, 0);
	out->text[n < 0 ? 0 : n] = '\0';
	close(fd);
}

static TAP_UNUSED int times(const struct seen *seen, const char *word)
{
	const char *at = seen->text;
	int nr = 0;

	for (; (at = strstr(at, word)); at++)
		nr++;
	return nr;
}

static TAP_UNUSED bool printed(const struct seen *seen, const char *word)
{
	if (times(seen, word))
		return true;
	TH_LOG("\"%s\" was not printed, but \"%s\"", word, seen->text);
	return false;
}

/* It ended well and printed nothing. */
static TAP_UNUSED bool silent(const struct seen *seen)
{
	if (!seen->status && !seen->text[0])
		return true;
	TH_LOG("status %d, \"%s\"", seen->status, seen->text);
	return false;
}

/* In such a program: what must hold. */
#define MUST(x)                                                                \
	do {                                                                   \
		if (!(x)) {                                                    \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, \
				#x, tmk_error_last());                         \
			fflush(stderr);                                        \
			_exit(99);                                             \
		}                                                              \
	} while (0)

static const volatile char *trap_at;

static void trapped(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	_exit(info->si_addr == (void *)trap_at ? TRAPPED : TRAPPED + 1);
}

static TAP_UNUSED void trap_set(void)
{
	struct sigaction action = { .sa_sigaction = trapped,
				    .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static TAP_UNUSED BAD void poke(volatile char *p, int value)
{
	*p = (char)value;
}

static TAP_UNUSED BAD int peek(const volatile char *p)
{
	return (unsigned char)*p;
}

/* Does a process that touches an address end by it? */
static TAP_UNUSED bool traps(const volatile char *p, bool write)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		trap_set();
		trap_at = p;
		if (write)
			poke((volatile char *)p, 1);
		else
			(void)peek(p);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == TRAPPED;
}

static TAP_UNUSED int block(void *out, size_t bytes, uint32_t flags,
			    size_t alignment, const char *purpose)
{
	struct tmk_alloc_opts opts = TMK_ALLOC_OPTS_INIT;

	opts.flags = flags;
	opts.alignment = alignment;
	opts.purpose = purpose;
	return tmk_alloc(out, bytes, &opts);
}

/* Is memory full of one byte? */
static TAP_UNUSED BAD bool is_full(const volatile char *p, size_t n, int value)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((unsigned char)p[i] != value)
			return false;
	return true;
}

#endif /* TMK_TESTS_UNIT_DEBUG_H */
