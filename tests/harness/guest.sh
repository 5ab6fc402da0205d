# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# shellcheck shell=sh disable=SC2034 # failed is for the scripts
#
# KTAP for the scripts of tests/vm, which run in a guest's busybox:
#
#	. /vm/guest.sh
#	limits_hold() { ...; }
#	plan 2
#	check limits_hold
#	check status_is_a_table tmkctl status
#	exit "$failed"

nr=0
failed=0

plan() {
	echo "KTAP version 1"
	echo "1..$1"
}

# check NAME [COMMAND...]: passes as the command does, the function NAME if there
# is none; what it prints is shown if it fails.
check() {
	name=$1
	[ $# = 1 ] || shift
	nr=$((nr + 1))
	if out=$("$@" 2>&1); then
		echo "ok $nr $name"
	else
		failed=1
		echo "$out" | sed 's/^/# /'
		echo "not ok $nr $name"
	fi
}

# A kselftest that this machine was made for, or those of its tests whose names have
# a word in them: whole NAME [WORD]. Here it may not skip anything.
whole() {
	program=/vm/tests/$1
	shift
	"$program" "$@" >/tmp/out
	rc=$?
	cat /tmp/out
	[ "$rc" = 0 ] && grep -q '^ok ' /tmp/out && ! grep -q '# SKIP' /tmp/out
}

# The same with a module loaded anew: whole_with own NAME [WORD]
whole_with() {
	rmmod tmk && insmod /vm/tmk.ko populate="$1" && shift && whole "$@"
}
