#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=1024
#
# What scripts/demo does in its machine: it must end well, and say what the
# README says it says.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh
check() {
	nr=$((nr + 1))
	if grep -qE -- "$2" /tmp/demo; then
		echo "ok $nr $1"
	else
		failed=1
		echo "not ok $nr $1"
	fi
}

plan 7
sh /vm/bin/demo-guest.sh >/tmp/demo 2>&1
echo "status $?" >>/tmp/demo
check ends_well '^status 0$'
check both_trained_at_once '^/team-b +6M +32M .* huge 6M$'
check learned '^held-out accuracy: 9[6-9]\.[0-9]+ %'
check steady_state_is_free '0 page faults, 0 system calls of tmk and 0 spills'
check third_is_refused 'digits: .*/team-c may use 4\.0 MiB \(tmk max\)'
check in_order '^\(it ended by itself, with exit status 1\)$'
check nothing_left '^done: every byte was charged, limited, and given back$'
[ $failed = 0 ] || sed 's/^/# /' /tmp/demo
exit "$failed"
