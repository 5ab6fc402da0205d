#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tests/run on made-up trees: what it counts, and that nothing is counted as
# passed that did not.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

unset TMK_NO_SKIP

# A tree with the runner alone.
tree() {
	T=$TMP/tree
	mkdir -p "$T/tests/qemu" "$T/tests/host" "$T/scripts" "$T/build/tests/unit"
	cp "$TOP/tests/run" "$T/tests/"
	cp "$TOP/tests/qemu/klog.py" "$T/tests/qemu/"
	printf 'Kernel-Min: 6.1\nKernel-Max: 6.12\n' >"$T/META"
	echo "# none" >"$T/tests/allowed-skips"
}

# add NAME STATUS LINE...: a test on the host that prints this
add() {
	local name=$1 status=$2

	shift 2
	{
		echo "#!/bin/sh"
		echo "cat <<'END'"
		printf '%s\n' "$@"
		echo "END"
		echo "exit $status"
	} >"$T/tests/host/$name.sh"
	chmod +x "$T/tests/host/$name.sh"
}

# A machine that answers with a file and a log, and says what it was asked.
fake_vm() {
	cat >"$T/tests/qemu/vm" <<-'END'
		#!/bin/sh
		here=${0%/*}
		echo "$*" >>"$here/asked"
		while [ $# != 0 ]; do
			[ "$1" != --log ] || cp "$here/log" "$2"
			shift
		done
		cat "$here/out"
		exit "$(cat "$here/status")"
	END
	chmod +x "$T/tests/qemu/vm"
}

tests() { run python3 "$T/tests/run" "$@"; }

last_line_is() { [ "$(tail -n 1 "$TMP/out")" = "$1" ] || { show; fail "last line is not: $1"; }; }

test_all_pass() {
	tree
	add a 0 "KTAP version 1" "1..2" "ok 1 one" "ok 2 - two"
	add b 0 "just words"
	tests --quick
	expect_rc 0
	last_line_is "3 passed, 0 failed"
	expect_out '^host a\.sh +ok +2 passed +[0-9.]+ s$'
}

test_nothing_ran() {
	tree
	tests --quick
	expect_rc 1
	last_line_is "0 passed, 0 failed"
	add a 0 "1..1" "ok 1 one"
	tests --quick --only nothing
	expect_rc 1
}

test_failures_are_counted_and_shown() {
	tree
	add a 1 "1..3" "ok 1 one" "# because" "not ok 2 two" "not ok 3 three"
	add b 0 "1..1" "ok 1 one"
	tests --quick
	expect_rc 1
	last_line_is "2 passed, 2 failed"
	expect_out '^host a\.sh +FAILED +1 passed, 2 failed '
	expect_out '^    # because$'
	expect_out '^failed: host a\.sh: two$'
}

# Each of these claims to have passed and must not be believed.
test_what_is_not_a_pass() {
	local status
	local -a lines

	while read -r status line; do
		IFS='|' read -ra lines <<<"$line"
		tree
		add a "$status" "${lines[@]}"
		tests --quick
		[ "$RC" = 1 ] || { show; fail "$status: $line"; }
		grep -q '^failed: ' "$TMP/out" || { show; fail "$status: $line"; }
	done <<-'END'
		0 1..2|ok 1 one
		0 1..1|ok 1 one|ok 2 two
		1 1..1|ok 1 one
		139 1..1|ok 1 one
		4 1..2|ok 1 one|ok 2 two # SKIP no
		0 ok 1 one
		0 1..1|not ok 1 one
		0 1..1|    ok 1 indented
		1 just words
		137 words of one that was killed
	END
}

test_subtests_are_not_counted_twice() {
	tree
	add a 0 "1..1" "    1..2" "    ok 1 x" "    ok 2 y" "ok 1 both"
	tests --quick
	expect_rc 0
	last_line_is "1 passed, 0 failed"
}

test_skips() {
	tree
	add a 0 "1..2" "ok 1 one" "ok 2 two # SKIP no hugepages here"
	add b 4 "1..1" "ok 1 three # SKIP no"
	add c 4 "1..0 # SKIP nothing to do"
	tests --quick
	expect_rc 0
	last_line_is "1 passed, 0 failed, 3 skipped"
	expect_out '^skipped: host a\.sh: two: no hugepages here$'
	expect_out '^skipped: host c\.sh: all: nothing to do$'
	export TMK_NO_SKIP=1
	tests --quick
	expect_rc 1
	last_line_is "1 passed, 3 failed"
	expect_out '^failed: host a\.sh: two \(skipped: no hugepages here\)$'
	printf 'host a.sh: t* -- a machine has none\nhost [bc].sh: * -- as well\n' \
		>"$T/tests/allowed-skips"
	tests --quick
	expect_rc 0
	last_line_is "1 passed, 0 failed, 3 skipped"
	echo 'host x.sh: *' >"$T/tests/allowed-skips"
	tests --quick
	expect_rc 1
	expect_err 'no reason'
}

test_quick_leaves_machines_out() {
	tree
	fake_vm
	add a 0 "1..1" "ok 1 one"
	add b 1 "# needs: kernels"
	sed -i '2i # needs: kernels' "$T/tests/host/b.sh"
	tests --quick
	expect_rc 0
	[ ! -e "$T/tests/qemu/asked" ] || fail "a machine was started"
}

# A batch in both kernels; the second program made the kernel complain.
test_batch() {
	tree
	fake_vm
	mkdir -p "$T/build/tests/kselftest"
	for name in one two; do
		printf '#!/bin/sh\n' >"$T/build/tests/kselftest/$name"
		chmod +x "$T/build/tests/kselftest/$name"
	done
	printf '%s\n' "@@@ begin one" "1..1" "ok 1 x" "@@@ end one 0 1500" \
		"@@@ begin two" "1..1" "ok 1 x" "@@@ end two 0 10" >"$T/tests/qemu/out"
	printf '%s\n' "[ 1.0] vm: program one" "[ 1.1] vm: program two" \
		"[ 1.2] vm: end of programs" "[ 1.3] vm: exit 0" >"$T/tests/qemu/log"
	echo 0 >"$T/tests/qemu/status"
	tests --kernel 6.1 --only "6.1 *"
	expect_rc 0
	expect_out '^6\.1 own one +ok +1 passed +1\.5 s$'
	# Each program and the machine, with both ways of populating.
	last_line_is "6 passed, 0 failed"

	sed -i '2a [ 1.15] BUG: made up' "$T/tests/qemu/log"
	echo 123 >"$T/tests/qemu/status"
	tests --kernel 6.1 --only "6.1 own"
	expect_rc 1
	expect_out '^failed: 6\.1 own two: the kernel complained$'
	last_line_is "3 passed, 1 failed"

	# It dies in the second: the second has failed, and so has the machine.
	sed -i 6,99d "$T/tests/qemu/out"
	echo 125 >"$T/tests/qemu/status"
	tests --kernel 6.1 --only "6.1 own"
	expect_rc 1
	expect_out '^ +no result of two$'
	expect_out '^failed: 6\.1 own machine: exit status 125$'

	# Nothing comes at all.
	: >"$T/tests/qemu/out"
	echo 0 >"$T/tests/qemu/status"
	tests --kernel 6.1 --only "6.1 own"
	expect_rc 1
	expect_out 'no result of one, two$'
}

# A script that passes in a machine that has a complaint has not passed.
test_script_in_a_machine() {
	tree
	fake_vm
	mkdir -p "$T/tests/vm" "$T/build/kmod"
	printf '#!/bin/sh\n# vm: mem=512 no-module param=max=5M\n# /vm/other/\n' >"$T/tests/vm/x.sh"
	printf '1..1\nok 1 y\n' >"$T/tests/qemu/out"
	echo "[ 1.0] boot" >"$T/tests/qemu/log"
	echo 0 >"$T/tests/qemu/status"
	tests --kernel 6.12 --only "6.12 x.sh"
	expect_rc 0
	last_line_is "1 passed, 0 failed"
	grep -q -- '--mem 512 --no-module --param max=5M .*--file build/kmod/6.1/tmk.ko:/vm/other' \
		"$T/tests/qemu/asked" || { cat "$T/tests/qemu/asked"; fail "options"; }
	echo 123 >"$T/tests/qemu/status"
	tests --kernel 6.12 --only "6.12 x.sh"
	expect_rc 1
	last_line_is "1 passed, 1 failed"
}

ktap_main
