#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# How many instructions the work in a warmed-up workspace takes, counted and not
# timed: a number that does not depend on the machine's mood.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export TMK_BACKEND=user
TIMES=10000

# Of one thing at most so many instructions, the loop around it included.
at_most() {
	local program=$TOP/$B/tests/bench/host_workspace sum

	command -v valgrind >/dev/null || skip "no valgrind"
	run valgrind --tool=callgrind --callgrind-out-file="$TMP/callgrind" \
		--toggle-collect="count_$1" "$program" --count "$1" "$TIMES"
	expect_rc 0
	sum=$(sed -n 's/^==[0-9]*== Collected : //p' "$TMP/err")
	echo "$sum instructions for $1, $TIMES times"
	[ "$sum" -ge $((5 * TIMES)) ] # it was that function
	[ "$sum" -le $(($2 * TIMES)) ]
}

test_instructions_of_an_allocation() {
	at_most alloc 30
}

test_instructions_of_an_allocation_that_is_not_inlined() {
	at_most call 40
}

test_instructions_of_a_tensor() {
	at_most tensor 160
}

test_instructions_of_a_scope() {
	at_most scope 260
}

test_instructions_of_the_address_of_a_tensor() {
	at_most data 60
}

ktap_main
