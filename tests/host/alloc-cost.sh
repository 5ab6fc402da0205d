#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# How many instructions an allocation in a warmed-up workspace takes, counted and
# not timed: a number that does not depend on the machine's mood.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export TMK_BACKEND=user
MOST=30

test_instructions_of_an_allocation() {
	local program=$TOP/$B/tests/bench/host_workspace sum

	command -v valgrind >/dev/null || skip "no valgrind"
	run valgrind --tool=callgrind --callgrind-out-file="$TMP/callgrind" \
		--toggle-collect=tmk_workspace_alloc "$program" --count 10000
	expect_rc 0
	sum=$(sed -n 's/^==[0-9]*== Collected : //p' "$TMP/err")
	echo "$sum instructions of 10000 allocations"
	[ "$sum" -ge 100000 ] # it was that function
	[ "$sum" -le $((MOST * 10000)) ]
}

ktap_main
