#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The headers from C++: the guards of tmk.hpp open and close, also by exceptions.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export TMK_BACKEND=user

program() {
	cat <<'END'
#include <cstdio>
#include <tmk/tmk.hpp>

static int failed;

static void check(bool ok, const char *what)
{
	if (!ok)
		std::printf("wrong: %s\n", what), failed = 1;
}

static void throws(tmk_workspace *ws)
{
	tmk::scope in(ws);
	int64_t n = 10;
	tmk_tensor *t;

	check(!tmk_tensor_create(&t, TMK_F32, 1, &n), "create");
	throw 1;
}

int main()
{
	tmk_workspace_opts opts = TMK_WORKSPACE_OPTS_INIT;
	tmk_workspace *a, *b;

	opts.initial_bytes = 4096;
	check(!tmk_workspace_create(&a, "a", &opts), tmk_error_last());
	check(!tmk_workspace_create(&b, "b", nullptr), tmk_error_last());
	try {
		throws(a);
		check(false, "no exception");
	} catch (int) {
	}
	check(!tmk_workspace_current(), "still open");
	{
		tmk::scope outer(a);
		tmk::scope inner(b);
		check(tmk_workspace_current() == b, "inner");
		{
			tmk::borrow back(a);
			check(tmk_workspace_current() == a, "borrow");
			tmk::scope_out out;
			check(!tmk_workspace_current(), "out");
		}
		check(tmk_workspace_current() == b, "inner again");
		try {
			tmk::scope twice(a);
			check(false, "opened what is open");
		} catch (const tmk::error &e) {
			std::puts(e.what());
		}
	}
	check(!tmk_workspace_current(), "open at the end");
	check(!tmk_workspace_destroy_all(), "destroy");
	return failed;
}
END
}

test_guards() {
	local -a flags=()

	command -v "${CXX:-g++}" >/dev/null || skip "no C++ compiler"
	program >"$TMP/guards.cc"
	case $B in
	*/asan) flags=("-fsanitize=address,undefined") ;;
	*/tsan) flags=(-fsanitize=thread) ;;
	esac
	run "${CXX:-g++}" -std=c++11 -Wall -Wextra -Wpedantic -Werror -Iinclude -o "$TMP/guards" \
		"${flags[@]}" "$TMP/guards.cc" -L"$B/lib" -ltmk -Wl,-rpath,"$TOP/$B/lib"
	expect_rc 0
	run "$TMP/guards"
	expect_rc 0
	expect_out '^workspace "a" is open already, outside of "b"$'
}

ktap_main
