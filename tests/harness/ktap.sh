# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# shellcheck shell=bash
#
# KTAP for scripts. Source it, write functions test_NAME, call ktap_main:
#
#	test_version() {
#		run tmkctl version
#		expect_rc 0
#		expect_out '^module not loaded$'
#	}
#	ktap_main
#
# Each test runs in a shell of its own with errexit, in the order of the file;
# what it prints is shown if it fails. TMP is a folder of its own for each.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # for the scripts
B=${B:-build}

# End a test as skipped.
skip() {
	echo "SKIP $*"
	exit 4
}

fail() {
	echo "$*"
	exit 1
}

# Run a program; what it prints goes to $TMP/out and $TMP/err, its status to RC.
run() {
	RC=0
	COMMAND="$*"
	"$@" >"$TMP/out" 2>"$TMP/err" </dev/null || RC=$?
}

# The same as a user who owns nothing. The program is copied to where he may read
# it: the sources can lie in a folder that is closed to others.
run_as_nobody() {
	local program=$1

	shift
	mkdir -p "$TMP/bin" "$TMP/lib"
	cp "$program" "$TMP/bin/"
	cp -P "$TOP/$B"/lib/libtmk.so* "$TMP/lib/"
	chmod -R a+rX "$TMP"
	run setpriv --reuid 65534 --clear-groups "$TMP/bin/${program##*/}" "$@"
}

show() {
	echo "after: $COMMAND (status $RC)"
	echo "stdout:" && cat "$TMP/out"
	echo "stderr:" && cat "$TMP/err"
}

expect_rc() {
	[ "$RC" = "$1" ] || { show; fail "expected status $1"; }
}

# The output has a line that matches an extended regular expression.
expect_out() {
	grep -qE -- "$1" "$TMP/out" || { show; fail "stdout lacks: $1"; }
}

expect_err() {
	grep -qE -- "$1" "$TMP/err" || { show; fail "stderr lacks: $1"; }
}

expect_no_out() {
	! grep -qE -- "$1" "$TMP/out" || { show; fail "stdout has: $1"; }
}

# Nothing at all on stdout; and on stderr one line, no more.
expect_one_sentence() {
	[ ! -s "$TMP/out" ] || { show; fail "stdout is not empty"; }
	[ "$(wc -l <"$TMP/err")" = 1 ] || { show; fail "not one line on stderr"; }
}

# A value of the JSON on stdout: a Python expression over j.
expect_json() {
	python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$TMP/out" "$1" || {
		show
		fail "not true of the JSON: $1"
	}
}

ktap_main() {
	local nr=0 failed=0 skipped=0 name names out rc

	cd "$TOP" || exit 1
	# shellcheck disable=SC2207
	names=($(sed -n 's/^test_\([a-z0-9_]*\)() {$/\1/p' "$0"))
	echo "KTAP version 1"
	echo "1..${#names[@]}"
	for name in "${names[@]}"; do
		nr=$((nr + 1))
		TMP=$(mktemp -d)
		out=$(
			set -e
			"test_$name" 2>&1
		)
		rc=$?
		rm -rf "$TMP"
		if [ $rc = 0 ]; then
			echo "ok $nr $name"
		elif [ $rc = 4 ]; then
			skipped=$((skipped + 1))
			echo "ok $nr $name # SKIP ${out##*SKIP }"
		else
			failed=$((failed + 1))
			# shellcheck disable=SC2001
			sed 's/^/# /' <<<"$out"
			echo "not ok $nr $name"
		fi
	done
	[ $failed = 0 ] || exit 1
	[ $skipped != $nr ] || exit 4
	exit 0
}
