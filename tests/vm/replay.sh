#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=1024
#
# The scenarios of tests/replay on the module's memory and on the user backend's:
# the same counters.
# Tests are called by name.
# shellcheck disable=SC2317

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

holds() {
	nr=$((nr + 1))
	if out=$(TMK_BACKEND=$1 tmkctl replay --strict "$2" 2>&1); then
		echo "ok $nr $1 ${2##*/}"
	else
		failed=1
		echo "$out" | tail -n 3 | sed 's/^/# /'
		echo "not ok $nr $1 ${2##*/}"
	fi
}

set -- /vm/replay/*.scn
plan "$(($# * 2))"
for scenario; do
	holds dev "$scenario"
	holds user "$scenario"
done
exit "$failed"
