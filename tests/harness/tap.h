/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * A small test harness that prints KTAP.
 *
 * The macros have the names and the meaning of the kernel's
 * kselftest_harness.h, so that a test can be built against either. Each test
 * runs in a child process with a time limit: it may crash, leak or hang without
 * harm to the next one. Differences that matter: a skip says its name and its
 * reason, and a signal is named.
 *
 *	TEST(adds) { EXPECT_EQ(4, 2 + 2); }
 *	TEST_HARNESS_MAIN
 *
 * EXPECT_x goes on after a failure, ASSERT_x ends the test, without teardown:
 * its process goes, and with it whatever it started. The first argument is what
 * is expected. Exit status: 0 all passed, 1 something failed or nothing was
 * run, 4 all were skipped. `prog -l` lists the tests, `prog NAME...` runs some.
 */
#ifndef TMK_TESTS_TAP_H
#define TMK_TESTS_TAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* EXPECT_EQ(0, size): a literal is compared with whatever is seen. */
#pragma GCC diagnostic ignored "-Wsign-compare"

#define TAP_TIMEOUT_DEFAULT 60 /* seconds; generous, emulators are slow */
#define TAP_SKIP 4
#define TAP_UNUSED __attribute__((unused))

/* One test, with the variant that it runs on. */
struct tap_test {
	const char *name;
	void (*run)(struct tap_test *test);
	const void *variant;
	const char *variant_name;
	unsigned int timeout;
	struct tap_test *next;
};

/* Shared with the child that runs a test. */
struct tap_result {
	bool failed;
	bool skipped;
	char reason[200];
};

static struct tap_test *tap_first;
static struct tap_test **tap_last = &tap_first;
static struct tap_result *tap_result;

static TAP_UNUSED void tap_register(struct tap_test *test)
{
	*tap_last = test;
	tap_last = &test->next;
}

#define TH_LOG(fmt, ...)                                         \
	do {                                                     \
		printf("# %s:%d: " fmt "\n", __FILE__, __LINE__, \
		       ##__VA_ARGS__);                           \
		fflush(stdout);                                  \
	} while (0)

/* As in the kernel's: SKIP(return, "why %s", ...). */
#define SKIP(statement, fmt, ...)                                             \
	do {                                                                  \
		tap_result->skipped = true;                                   \
		snprintf(tap_result->reason, sizeof(tap_result->reason), fmt, \
			 ##__VA_ARGS__);                                      \
		statement;                                                    \
	} while (0)

static TAP_UNUSED void tap_fail(const char *file, int line, bool fatal)
{
	(void)file;
	(void)line;
	tap_result->failed = true;
	fflush(stdout);
	if (fatal)
		_exit(1);
}

/* clang-format off */
#define TAP_CMP(fatal, expected, op, seen)                                     \
	do {                                                                   \
		__auto_type tap_e = (expected);                                \
		__auto_type tap_s = (seen);                                    \
		if (!(tap_e op tap_s)) {                                       \
			printf("# %s:%d: expected %s (%lld) %s %s (%lld)\n",   \
			       __FILE__, __LINE__, #expected,                  \
			       (long long)(intptr_t)tap_e, #op, #seen,         \
			       (long long)(intptr_t)tap_s);                    \
			tap_fail(__FILE__, __LINE__, fatal);                   \
		}                                                              \
	} while (0)
#define TAP_BOOL(fatal, want, seen)                                            \
	do {                                                                   \
		if ((!!(seen)) != (want)) {                                    \
			printf("# %s:%d: expected %s to be %s\n", __FILE__,    \
			       __LINE__, #seen, (want) ? "true" : "false");    \
			tap_fail(__FILE__, __LINE__, fatal);                   \
		}                                                              \
	} while (0)
#define TAP_STR(fatal, expected, seen, same)                                   \
	do {                                                                   \
		const char *tap_e = (expected), *tap_s = (seen);               \
		if ((tap_e && tap_s && !strcmp(tap_e, tap_s)) != (same)) {     \
			printf("# %s:%d: expected %s\"%s\", got %s \"%s\"\n",  \
			       __FILE__, __LINE__, (same) ? "" : "not ",       \
			       tap_e ? tap_e : "(null)", #seen,                \
			       tap_s ? tap_s : "(null)");                      \
			tap_fail(__FILE__, __LINE__, fatal);                   \
		}                                                              \
	} while (0)
/* clang-format on */

#define EXPECT_EQ(expected, seen) TAP_CMP(false, expected, ==, seen)
#define EXPECT_NE(expected, seen) TAP_CMP(false, expected, !=, seen)
#define EXPECT_LT(expected, seen) TAP_CMP(false, expected, <, seen)
#define EXPECT_LE(expected, seen) TAP_CMP(false, expected, <=, seen)
#define EXPECT_GT(expected, seen) TAP_CMP(false, expected, >, seen)
#define EXPECT_GE(expected, seen) TAP_CMP(false, expected, >=, seen)
#define EXPECT_NULL(seen) TAP_CMP(false, (void *)NULL, ==, seen)
#define EXPECT_TRUE(seen) TAP_BOOL(false, true, seen)
#define EXPECT_FALSE(seen) TAP_BOOL(false, false, seen)
#define EXPECT_STREQ(expected, seen) TAP_STR(false, expected, seen, true)
#define EXPECT_STRNE(expected, seen) TAP_STR(false, expected, seen, false)
#define ASSERT_EQ(expected, seen) TAP_CMP(true, expected, ==, seen)
#define ASSERT_NE(expected, seen) TAP_CMP(true, expected, !=, seen)
#define ASSERT_LT(expected, seen) TAP_CMP(true, expected, <, seen)
#define ASSERT_LE(expected, seen) TAP_CMP(true, expected, <=, seen)
#define ASSERT_GT(expected, seen) TAP_CMP(true, expected, >, seen)
#define ASSERT_GE(expected, seen) TAP_CMP(true, expected, >=, seen)
#define ASSERT_NULL(seen) TAP_CMP(true, (void *)NULL, ==, seen)
#define ASSERT_TRUE(seen) TAP_BOOL(true, true, seen)
#define ASSERT_FALSE(seen) TAP_BOOL(true, false, seen)
#define ASSERT_STREQ(expected, seen) TAP_STR(true, expected, seen, true)
#define ASSERT_STRNE(expected, seen) TAP_STR(true, expected, seen, false)

#define TAP_CONSTRUCTOR static void __attribute__((constructor))

#define TEST(name) TEST_TIMEOUT(name, TAP_TIMEOUT_DEFAULT)
#define TEST_TIMEOUT(test_name, seconds)                   \
	static void test_name(struct tap_test *_metadata); \
	TAP_CONSTRUCTOR tap_register_##test_name(void)     \
	{                                                  \
		static struct tap_test test = {            \
			.name = #test_name,                \
			.run = test_name,                  \
			.timeout = seconds,                \
		};                                         \
		tap_register(&test);                       \
	}                                                  \
	static void test_name(TAP_UNUSED struct tap_test *_metadata)

#define FIXTURE_DATA(fixture) struct tap_fixture_##fixture
#define FIXTURE(fixture)                                               \
	static const void *tap_variants_##fixture[64] TAP_UNUSED;      \
	static const char *tap_variant_names_##fixture[64] TAP_UNUSED; \
	static int tap_variants_nr_##fixture;                          \
	FIXTURE_DATA(fixture)
#define FIXTURE_VARIANT(fixture) struct tap_variant_##fixture
#define FIXTURE_VARIANT_ADD(fixture, variant_name)               \
	extern const FIXTURE_VARIANT(fixture)                    \
		tap_variant_##fixture##_##variant_name;          \
	static void __attribute__((constructor(200)))            \
	tap_add_##fixture##_##variant_name(void)                 \
	{                                                        \
		int nr = tap_variants_nr_##fixture++;            \
		tap_variants_##fixture[nr] =                     \
			&tap_variant_##fixture##_##variant_name; \
		tap_variant_names_##fixture[nr] = #variant_name; \
	}                                                        \
	const FIXTURE_VARIANT(fixture) tap_variant_##fixture##_##variant_name =
#define FIXTURE_SETUP(fixture)                                                    \
	struct tap_variant_##fixture;                                             \
	static void                                                               \
		tap_setup_##fixture(TAP_UNUSED struct tap_test *_metadata,        \
				    TAP_UNUSED FIXTURE_DATA(fixture) * self,      \
				    TAP_UNUSED const struct tap_variant_##fixture \
					    *variant)
#define FIXTURE_TEARDOWN(fixture)                        \
	static void tap_teardown_##fixture(              \
		TAP_UNUSED struct tap_test *_metadata,   \
		TAP_UNUSED FIXTURE_DATA(fixture) * self, \
		TAP_UNUSED const struct tap_variant_##fixture *variant)

#define TEST_F(fixture, name) TEST_F_TIMEOUT(fixture, name, TAP_TIMEOUT_DEFAULT)
#define TEST_F_TIMEOUT(fixture, test_name, seconds)                                 \
	static void fixture##_##test_name(struct tap_test *_metadata,               \
					  FIXTURE_DATA(fixture) * self,             \
					  const struct tap_variant_##fixture        \
						  *variant);                        \
	static void tap_wrap_##fixture##_##test_name(struct tap_test *test)         \
	{                                                                           \
		FIXTURE_DATA(fixture) self;                                         \
		memset(&self, 0, sizeof(self));                                     \
		tap_setup_##fixture(test, &self, test->variant);                    \
		if (tap_result->failed || tap_result->skipped)                      \
			return;                                                     \
		fixture##_##test_name(test, &self, test->variant);                  \
		tap_teardown_##fixture(test, &self, test->variant);                 \
	}                                                                           \
	static void __attribute__((constructor(300)))                               \
	tap_register_##fixture##_##test_name(void)                                  \
	{                                                                           \
		int i, nr = tap_variants_nr_##fixture;                              \
		for (i = 0; i < (nr ? nr : 1); i++) {                               \
			struct tap_test *test = calloc(1, sizeof(*test));           \
			test->name = #fixture "." #test_name;                       \
			test->run = tap_wrap_##fixture##_##test_name;               \
			test->timeout = seconds;                                    \
			if (nr) {                                                   \
				test->variant = tap_variants_##fixture[i];          \
				test->variant_name =                                \
					tap_variant_names_##fixture[i];             \
			}                                                           \
			tap_register(test);                                         \
		}                                                                   \
	}                                                                           \
	static void                                                                 \
		fixture##_##test_name(TAP_UNUSED struct tap_test *_metadata,        \
				      TAP_UNUSED FIXTURE_DATA(fixture) * self,      \
				      TAP_UNUSED const struct tap_variant_##fixture \
					      *variant)

static void tap_full_name(const struct tap_test *test, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s%s", test->name, test->variant_name ? "." : "",
		 test->variant_name ? test->variant_name : "");
}

/* In the child: never returns. exit() and not _exit(), for leak checkers. */
static void tap_child(struct tap_test *test)
{
	/* Its own group, so that its children can be ended with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	test->run(test);
	fflush(stdout);
	exit(tap_result->failed ? 1 : 0);
}

static volatile sig_atomic_t tap_late;
static pid_t tap_pid;

static void tap_alarm(int sig)
{
	(void)sig;
	tap_late = 1;
	kill(-tap_pid, SIGKILL);
	kill(tap_pid, SIGKILL);
}

/* TMK_TEST_SLOW says how many times slower than usual this machine is. */
static TAP_UNUSED unsigned int tap_slow(void)
{
	const char *slow = getenv("TMK_TEST_SLOW");
	int times = slow ? atoi(slow) : 1;

	return times > 1 ? times : 1;
}

/* Run one test in a child. @why: what went wrong, "" if nothing did. */
static void tap_run(struct tap_test *test, char *why, size_t len)
{
	int status;

	memset(tap_result, 0, sizeof(*tap_result));
	tap_late = 0;
	fflush(stdout);
	tap_pid = fork();
	if (tap_pid < 0) {
		snprintf(why, len, "cannot fork: %s", strerror(errno));
		return;
	}
	if (!tap_pid)
		tap_child(test);
	alarm(test->timeout * tap_slow());
	while (waitpid(tap_pid, &status, 0) < 0 && errno == EINTR)
		;
	alarm(0);
	/* What it left behind must not disturb the next test. */
	kill(-tap_pid, SIGKILL);
	if (tap_late)
		snprintf(why, len, "time limit of %u s",
			 test->timeout * tap_slow());
	else if (WIFSIGNALED(status))
		snprintf(why, len, "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (tap_result->failed)
		snprintf(why, len, "assertion failed");
	else if (WEXITSTATUS(status))
		snprintf(why, len, "exit status %d", WEXITSTATUS(status));
	else
		why[0] = '\0';
}

static bool tap_selected(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

static int tap_main(int argc, char **argv)
{
	struct tap_test *test;
	int nr = 0, failed = 0, skipped = 0, planned = 0;
	bool list = argc > 1 && !strcmp(argv[1], "-l");
	char name[200], why[200];

	tap_result = mmap(NULL, sizeof(*tap_result), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tap_result == MAP_FAILED)
		return 1;
	signal(SIGALRM, tap_alarm);
	for (test = tap_first; test; test = test->next) {
		tap_full_name(test, name, sizeof(name));
		if (list)
			puts(name);
		else
			planned += tap_selected(name, argc, argv);
	}
	if (list)
		return 0;

	printf("KTAP version 1\n1..%d\n", planned);
	for (test = tap_first; test; test = test->next) {
		tap_full_name(test, name, sizeof(name));
		if (!tap_selected(name, argc, argv))
			continue;
		tap_run(test, why, sizeof(why));
		if (why[0]) {
			printf("# %s: %s\nnot ok %d %s\n", name, why, ++nr,
			       name);
			failed++;
		} else if (tap_result->skipped) {
			printf("ok %d %s # SKIP %s\n", ++nr, name,
			       tap_result->reason);
			skipped++;
		} else {
			printf("ok %d %s\n", ++nr, name);
		}
	}
	if (!nr)
		printf("# nothing to run\n");
	fflush(stdout);
	if (failed || !nr)
		return 1;
	return skipped == nr ? TAP_SKIP : 0;
}

#define TEST_HARNESS_MAIN                    \
	int main(int argc, char **argv)      \
	{                                    \
		return tap_main(argc, argv); \
	}

#endif /* TMK_TESTS_TAP_H */
