#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The harness itself: a failure, a crash, a hang and a skip each look like one,
# with whatever sanitizer is in.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

# build FLAG...: the program below, with these flags
build() {
	"${CC:-gcc}" -std=gnu11 -O1 -g -Wall -Wextra -Wshadow -Wmissing-prototypes \
		-Werror -Itests/harness "$@" -o "$TMP/prog" -x c - <<-'END'
		#include "tap.h"

		FIXTURE(fix)
		{
			int value;
		};
		FIXTURE_VARIANT(fix)
		{
			int value;
		};
		FIXTURE_VARIANT_ADD(fix, one){ .value = 1 };
		FIXTURE_VARIANT_ADD(fix, two){ .value = 2 };
		FIXTURE_SETUP(fix)
		{
			self->value = variant->value;
		}
		FIXTURE_TEARDOWN(fix)
		{
			printf("# down %d\n", self->value);
		}
		TEST_F(fix, passes)
		{
			EXPECT_EQ(variant->value, self->value);
		}
		TEST_F(fix, fails_for_two)
		{
			EXPECT_EQ(1, self->value);
			printf("# after\n");
		}
		TEST(asserts)
		{
			ASSERT_STREQ("left", "right");
			printf("# never\n");
		}
		TEST(crashes)
		{
			raise(SIGSEGV);
		}
		TEST_TIMEOUT(hangs, 1)
		{
			/* Neither it nor its child may survive. */
			fork();
			for (;;)
				pause();
		}
		TEST(skips)
		{
			SKIP(return, "no %s here", "luck");
		}
		TEST(fails_in_a_child)
		{
			pid_t pid = fork();

			if (!pid) {
				EXPECT_TRUE(0);
				_exit(0);
			}
			waitpid(pid, NULL, 0);
		}
		TEST(exits)
		{
			exit(7);
		}
		TEST_HARNESS_MAIN
	END
}

# The program's report, whatever it was built with.
looks_right() {
	run "$TMP/prog"
	expect_rc 1
	expect_out '^KTAP version 1$'
	expect_out '^1\.\.10$'
	expect_out '^ok 1 fix\.passes\.one$'
	expect_out '^ok 2 fix\.passes\.two$'
	expect_out '^ok 3 fix\.fails_for_two\.one$'
	expect_out '^not ok 4 fix\.fails_for_two\.two$'
	expect_out '^# <stdin>:[0-9]+: expected 1 \(1\) == self->value \(2\)$'
	[ "$(grep -c '^# after$' "$TMP/out")" = 2 ] || fail "EXPECT ends a test"
	[ "$(grep -c '^# down 2$' "$TMP/out")" = 2 ] || fail "no teardown"
	expect_out '^not ok 5 asserts$'
	expect_out 'expected "left", got "right" "right"$'
	expect_no_out '^# never$'
	expect_out '^not ok 6 crashes$'
	expect_out '^# hangs: time limit of 1 s$'
	expect_out '^not ok 7 hangs$'
	expect_out '^ok 8 skips # SKIP no luck here$'
	expect_out '^not ok 9 fails_in_a_child$'
	expect_out '^# exits: exit status 7$'
	expect_out '^not ok 10 exits$'
	! pgrep -f "^$TMP/prog" || fail "something is left running"
}

test_plain() {
	build
	looks_right
	expect_out '^# crashes: killed by signal 11 \(Segmentation fault\)$'
}

test_address_sanitizer() {
	build -fsanitize=address,undefined
	looks_right
	expect_err 'AddressSanitizer: SEGV'
}

test_thread_sanitizer() {
	build -fsanitize=thread
	looks_right
}

test_clang() {
	command -v clang-14 >/dev/null || skip "there is no clang-14"
	CC=clang-14 build
	looks_right
}

test_selection() {
	build
	run "$TMP/prog" -l
	expect_rc 0
	[ "$(wc -l <"$TMP/out")" = 10 ] || fail "not all are listed"
	expect_out '^fix\.passes\.one$'
	run "$TMP/prog" fix.passes
	expect_rc 0
	expect_out '^1\.\.2$'
	run "$TMP/prog" fix.passes.one skips
	expect_rc 0
	expect_out '^ok 2 skips # SKIP '
}

test_all_skipped() {
	build
	run "$TMP/prog" skips
	expect_rc 4
}

# A name that nothing matches is a mistake, not a success.
test_nothing_to_run() {
	build
	run "$TMP/prog" no-such-test
	expect_rc 1
	expect_out '^# nothing to run$'
}

ktap_main
