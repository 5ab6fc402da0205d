#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tmkctl against made-up trees of /sys/kernel/tmk and of whole machines.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

# What is compared must not depend on who runs it.
export LC_ALL=C
unset NO_COLOR TMK_SYSFS TMK_BACKEND TMK_MAX_BYTES TMK_MAX_PHYSICAL_BYTES TMK_INITIAL_BYTES

tmkctl() { "$TOP/$B/tools/tmkctl" "$@"; }

# put FILE TEXT...: a file with these lines
put() {
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "${@:2}" >"$1"
}

# group DIR CURRENT PEAK MAX: a directory's files; physical ones are the same
group() {
	local dir=$1

	put "$dir/current" "$2"
	put "$dir/peak" "$3"
	put "$dir/max" "$4"
	put "$dir/physical_current" "$2"
	put "$dir/physical_peak" "$3"
	put "$dir/physical_max" max
	put "$dir/by_kind" "pinned 0" "huge $2" "hugetlb 0" "file 0"
	put "$dir/events" "max 0" "physical_max 0"
	put "$dir/events.local" "max 0" "physical_max 0"
}

# cgroup ID PATH CURRENT PEAK MAX
cgroup() {
	local dir=$TMP/tmk/cgroups/$1

	group "$dir" "$3" "$4" "$5"
	put "$dir/path" "$2"
	put "$dir/online" 1
}

# A machine where two teams of a parent hold memory.
tree() {
	export TMK_SYSFS=$TMP/tmk
	group "$TMK_SYSFS" 25165824 41943040 max
	put "$TMK_SYSFS/physical_max" 1073741824
	put "$TMK_SYSFS/version" 0.1.0
	put "$TMK_SYSFS/populate" own
	put "$TMK_SYSFS/control" ""
	put "$TMK_SYSFS/events" "max 3" "physical_max 1"
	cgroup 30 /demo 25165824 41943040 max
	cgroup 42 /demo/team-b 8388608 12582912 33554432
	cgroup 41 /demo/team-a 16777216 29360128 67108864
	put "$TMK_SYSFS/cgroups/42/events.local" "max 3" "physical_max 0"
	ln -s .. "$TMK_SYSFS/cgroups/1"
}

test_status_table() {
	tree
	run tmkctl
	expect_rc 0
	expect_out '^tmk 0\.1\.0: the machine$'
	expect_out '^  all bytes +24\.0 MiB  of max +peak +40\.0 MiB$'
	expect_out '^  in RAM +24\.0 MiB  of 1\.0 GiB +peak +40\.0 MiB +2 % used$'
	expect_out '^  by kind +huge 24M$'
	expect_out '^  refused +4  \(3 by a max, 1 by a physical_max\)$'
	expect_out '^/demo +24M +max +- +40M +24M +max +0  huge 24M$'
	expect_out '^  team-a +16M +64M  ##\.{6}  25 % +28M +16M +max +0  huge 16M$'
	expect_out '^  team-b +8M +32M  ##\.{6}  25 % +12M +8M +max +3  huge 8M$'
	# The same in other words.
	cp "$TMP/out" "$TMP/first"
	run tmkctl status --sysfs "$TMP/tmk"
	expect_rc 0
	cmp "$TMP/out" "$TMP/first"
}

test_status_order_and_width() {
	local name

	tree
	# A name that sorts between "demo" and "demo/..." byte by byte.
	cgroup 50 /demo-x 4096 4096 max
	# One whose parent has no directory, and one with a long name.
	cgroup 51 /deep/inside/it 4096 4096 1125899906842624
	name=$(printf 'x%.0s' {1..200})
	cgroup 52 "/demo/team-a/$name" 1125899906842623 1152921504606846977 18446744073709551614
	run tmkctl
	expect_rc 0
	[ "$(wc -L <"$TMP/out")" -le 100 ] || { show; fail "wider than 100"; }
	expect_out '^/deep/inside/it '
	expect_out '^    x+\.\.\.x+ +1\.0P +16\.0E'
	# A parent, its children, then the next one.
	sed '1,/^CGROUP/d; s/^ *//; s/ .*//; s/^x.*/x/' "$TMP/out" >"$TMP/order"
	printf '%s\n' /deep/inside/it /demo team-a x team-b /demo-x |
		diff - "$TMP/order"
}

test_status_full_and_over() {
	tree
	cgroup 41 /demo/team-a 67108864 67108864 67108864
	cgroup 42 /demo/team-b 67108864 67108864 33554432
	cgroup 43 /demo/team-c 0 0 0
	cgroup 44 /demo/team-d 4096 4096 0
	run tmkctl
	expect_rc 0
	expect_out '^  team-a .* #{8} 100 % '
	expect_out '^  team-b .* #{8} 200 % '
	expect_out '^  team-c .* #{8} 100 % .*  -$'
	expect_out '^  team-d .* #{8} 999 % '
}

test_status_kinds() {
	tree
	put "$TMK_SYSFS/by_kind" "pinned 4096" "huge 16777216" "hugetlb 0" "file 65536"
	put "$TMK_SYSFS/cgroups/41/by_kind" "pinned 4096" "huge 16777216" "hugetlb 0" "file 65536"
	run tmkctl
	expect_rc 0
	expect_out '^  by kind +huge 16M, file 64K, pinned 4K$'
	expect_out 'huge 16M \+2$'
}

test_status_removed_group() {
	tree
	put "$TMK_SYSFS/cgroups/41/online" 0
	run tmkctl
	expect_out '^  team-a \(removed\) '
	run tmkctl --json
	expect_json 'j["cgroups"][1]["online"] is False'
}

test_status_without_groups() {
	tree
	rm -r "$TMK_SYSFS"/cgroups/[34]*
	run tmkctl
	expect_rc 0
	expect_out '^No cgroup holds memory or has a limit\.$'
	run tmkctl --json
	expect_json 'j["cgroups"] == []'
}

test_status_json() {
	tree
	run tmkctl status --json
	expect_rc 0
	[ "$(wc -l <"$TMP/out")" = 1 ]
	expect_json 'list(j) == ["version", "module", "machine", "cgroups"]'
	expect_json 'j["version"] == 1 and j["module"] == {"version": "0.1.0", "populate": "own"}'
	expect_json 'j["machine"]["max"] is None and j["machine"]["physical_max"] == 1 << 30'
	expect_json 'j["machine"]["events"] == {"max": 3, "physical_max": 1}'
	expect_json '[g["path"] for g in j["cgroups"]] == ["/demo", "/demo/team-a", "/demo/team-b"]'
	expect_json 'j["cgroups"][1] == {"id": 41, "path": "/demo/team-a", "online": True,
		"current": 16777216, "peak": 29360128, "max": 67108864,
		"physical_current": 16777216, "physical_peak": 29360128, "physical_max": None,
		"by_kind": {"pinned": 0, "huge": 16777216, "hugetlb": 0, "file": 0},
		"events": {"max": 0, "physical_max": 0},
		"events_local": {"max": 0, "physical_max": 0}}'
	cp "$TMP/out" "$TMP/compact"
	run tmkctl --pretty
	[ "$(wc -l <"$TMP/out")" -gt 50 ]
	python3 - "$TMP/compact" "$TMP/out" <<-'END'
		import json, sys
		a, b = (json.load(open(p)) for p in sys.argv[1:])
		assert a == b
	END
	python3 -m json.tool "$TMP/out" >/dev/null
}

test_json_of_strange_names() {
	tree
	cgroup 60 "$(printf '/a"b\\c\td\xff\x1b[31m\xc3\xa9')" 0 0 max
	run tmkctl --json
	expect_rc 0
	expect_json '"/a\"b\\c\td\ufffd\x1b[31m\u00e9" in [g["path"] for g in j["cgroups"]]'
	run tmkctl
	! grep -q "$(printf '\x1b')" "$TMP/out" || fail "an escape sequence came through"
	LC_ALL=C.UTF-8 run tmkctl
	expect_out '^/a"b\\c\?d\?\?\[31mé'
}

test_bars_and_colours() {
	tree
	LC_ALL=C.UTF-8 run tmkctl
	expect_out '██░░░░░░  25 %'
	! grep -q "$(printf '\x1b')" "$TMP/out" || fail "colour in a pipe"
	# script(1) gives it a terminal.
	command -v script >/dev/null || skip "no script(1)"
	export TERM=xterm
	script -qec "$B/tools/tmkctl" /dev/null >"$TMP/tty" </dev/null
	grep -q "$(printf '\x1b\\[32m')" "$TMP/tty" || fail "no colour on a terminal"
	NO_COLOR=1 script -qec "$B/tools/tmkctl" /dev/null >"$TMP/tty" </dev/null
	! grep -q "$(printf '\x1b')" "$TMP/tty" || fail "NO_COLOR was not honoured"
	TERM=dumb script -qec "$B/tools/tmkctl" /dev/null >"$TMP/tty" </dev/null
	! grep -q "$(printf '\x1b')" "$TMP/tty" || fail "colour on a dumb terminal"
}

test_watch() {
	tree
	run timeout 2 "$B/tools/tmkctl" --json --watch 0.2
	expect_rc 124
	[ "$(wc -l <"$TMP/out")" -ge 3 ] || { show; fail "it did not repeat"; }
	while read -r line; do
		python3 -m json.tool <<<"$line" >/dev/null
	done <"$TMP/out"
	# It ends when the module goes.
	(sleep 0.5 && mv "$TMK_SYSFS" "$TMP/gone") &
	run timeout 5 "$B/tools/tmkctl" status --watch 0.1
	expect_rc 3
}

test_no_module() {
	export TMK_SYSFS=$TMP/nothing
	for c in status "limit get /a" "limit set /a max=1M"; do
		# shellcheck disable=SC2086
		run tmkctl $c
		expect_rc 3
		expect_one_sentence
		expect_err "^tmkctl: the tmk module is not loaded: there is no $TMP/nothing; "
	done
	run tmkctl version
	expect_rc 0
	expect_out '^module not loaded$'
	run tmkctl version --json
	expect_json 'j["module"] is None and j["tmkctl"] == j["libtmk"]'
}

# Each wrong file is named, and nothing is printed as if it were right.
test_malformed_trees() {
	local case file text many
	local -a cases=(
		"current:" "current:abc" "current:-1" "current:18446744073709551616"
		"current:12 34" "max:64M" "max:" "physical_max:none" "peak:0x10"
		"by_kind:huge" "by_kind:huge x" "by_kind: 5" "by_kind:huge 1 2"
		"events:max 1" "events:nothing" "events.local:physical_max 0"
		"cgroups/41/online:yes" "cgroups/41/path:relative" "cgroups/41/path:"
		"cgroups/41/max:1.5" "cgroups/42/by_kind:pinned -4"
	)

	for case in "${cases[@]}"; do
		file=${case%%:*} text=${case#*:}
		rm -rf "$TMP/tmk"
		tree
		put "$TMK_SYSFS/$file" "$text"
		run tmkctl
		expect_rc 1
		expect_one_sentence
		expect_err "^tmkctl: $TMK_SYSFS/$file reads '.*', which is not what tmk writes there\$"
	done
	for file in version current physical_max by_kind events.local cgroups/41/peak; do
		rm -rf "$TMP/tmk"
		tree
		rm "$TMK_SYSFS/$file"
		run tmkctl --json
		expect_rc 1
		expect_one_sentence
		expect_err "^tmkctl: cannot read $TMK_SYSFS/$file: No such file"
	done
	rm -rf "$TMP/tmk"
	tree
	rm -r "$TMK_SYSFS/cgroups"
	run tmkctl
	expect_rc 1
	expect_err "cannot read $TMK_SYSFS/cgroups: "
	# More kinds than anybody has.
	rm -rf "$TMP/tmk"
	tree
	mapfile -t many < <(seq -f 'kind%g 4096' 17)
	put "$TMK_SYSFS/by_kind" "${many[@]}"
	run tmkctl
	expect_rc 1
	expect_err "^tmkctl: $TMK_SYSFS/by_kind reads "
	# A file of 2 KiB where a number should be, and a NUL.
	rm -rf "$TMP/tmk"
	tree
	head -c 2048 /dev/zero | tr '\0' 1 >"$TMK_SYSFS/current"
	run tmkctl
	expect_rc 1
	expect_err "cannot read $TMK_SYSFS/current: File too large"
	printf '1\0002\n' >"$TMK_SYSFS/current"
	run tmkctl
	expect_rc 1
}

# What a newer module may add is no error.
test_newer_module() {
	tree
	put "$TMK_SYSFS/events" "max 3" "physical_max 1" "pool 7"
	put "$TMK_SYSFS/by_kind" "pinned 0" "huge 4096" "device 8192"
	put "$TMK_SYSFS/cgroups/about" "nothing"
	run tmkctl
	expect_rc 0
	expect_out '^  by kind +device 8K, huge 4K$'
}

test_limit_set_own_file() {
	tree
	run tmkctl limit set /demo/team-a max=128M physical_max=96M
	expect_rc 0
	expect_out '^/demo/team-a: max is now 128\.0 MiB$'
	expect_out '^/demo/team-a: physical_max is now 96\.0 MiB$'
	[ "$(cat "$TMK_SYSFS/cgroups/41/max")" = $((128 << 20)) ]
	[ "$(cat "$TMK_SYSFS/cgroups/41/physical_max")" = $((96 << 20)) ]
	[ -z "$(cat "$TMK_SYSFS/control")" ]
	run tmkctl limit set / max=1G
	expect_rc 0
	[ "$(cat "$TMK_SYSFS/max")" = 1073741824 ]
	run tmkctl limit set / max=max
	[ "$(cat "$TMK_SYSFS/max")" = max ]
}

test_limit_set_control() {
	local path

	tree
	for path in team-z /team-z //team-z/ /sys/fs/cgroup/team-z; do
		run tmkctl limit set "$path" max=32M
		expect_rc 0
		expect_out '^/team-z: max is now 32\.0 MiB$'
		[ "$(cat "$TMK_SYSFS/control")" = "/team-z max=33554432" ]
	done
	run tmkctl limit set "a b/c" physical_max=max
	expect_rc 0
	[ "$(cat "$TMK_SYSFS/control")" = "/a b/c physical_max=max" ]
	# Where version 2 is mounted on this very machine.
	path=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	if [ -n "$path" ]; then
		run tmkctl limit set "$path/team-y" max=1K
		[ "$(cat "$TMK_SYSFS/control")" = "/team-y max=1024" ]
	fi
}

test_limit_set_removed_group() {
	tree
	put "$TMK_SYSFS/cgroups/41/online" 0
	run tmkctl limit set /demo/team-a max=1M
	expect_rc 0
	[ "$(cat "$TMK_SYSFS/cgroups/41/max")" = 67108864 ]
	[ "$(cat "$TMK_SYSFS/control")" = "/demo/team-a max=1048576" ]
}

test_limit_set_refuses_junk() {
	local word
	local -a words=(max= max=-1 max=1.5G max=10% max=5X max=G "max= 5" max=0x10
		physical_max=junk max=20000000T
		min=5 "=5" max junk "" "max=1M max=1M")

	tree
	for word in "${words[@]}"; do
		run tmkctl limit set /demo/team-a physical_max=1M "$word"
		expect_rc 2
		expect_one_sentence
		# Nothing was done by halves.
		[ "$(cat "$TMK_SYSFS/cgroups/41/physical_max")" = max ]
	done
	run tmkctl limit set /demo/team-a max=1M max=2M
	expect_rc 2
	expect_err 'max is given twice'
	for word in "" "a/./b" "$(printf 'a\nb')"; do
		run tmkctl limit set "$word" max=1M
		expect_rc 2
	done
	[ -z "$(cat "$TMK_SYSFS/control")" ]
}

test_limit_set_permission() {
	tree
	if [ "$(id -u)" != 0 ]; then
		chmod 444 "$TMK_SYSFS/cgroups/41/max"
		run tmkctl limit set /demo/team-a max=1M
	else
		command -v setpriv >/dev/null || skip "no setpriv(1)"
		run_as_nobody "$TOP/$B/tools/tmkctl" limit set /demo/team-a max=1M
	fi
	expect_rc 1
	expect_one_sentence
	expect_err '^tmkctl: max of /demo/team-a was not set: no permission, it needs CAP_SYS_RESOURCE'
}

test_limit_set_no_such_group() {
	tree
	# The kernel answers ENOENT; a missing control file does, too.
	rm "$TMK_SYSFS/control"
	run tmkctl limit set /nobody max=1M
	expect_rc 1
	expect_one_sentence
	expect_err '^tmkctl: max of /nobody was not set: there is no such cgroup$'
}

test_limit_get() {
	tree
	run tmkctl limit get demo/team-a
	expect_rc 0
	expect_out '^/demo/team-a$'
	expect_out '^  max +64\.0 MiB +in use +16\.0 MiB$'
	expect_out '^  physical_max +max +in use +16\.0 MiB$'
	run tmkctl limit get / --json
	expect_json 'j == {"version": 1, "path": "/", "max": None, "current": 25165824,
		"physical_max": 1073741824, "physical_current": 25165824}'
	run tmkctl limit get /no/such/group
	expect_rc 1
	expect_one_sentence
	expect_err '^tmkctl: there is no cgroup /no/such/group$'
}

test_usage_errors() {
	local words
	local -a cases=(nothing "status now" "limit" "limit put" "limit set"
		"limit set /a" "limit set /a max=1 physical_max=1 max=2"
		"limit get" "limit get /a /b" "doctor now" "version 2"
		"--nonsense" "-x" "-jx" "--json=1" "--watch" "--watch 0"
		"--watch -1" "--watch junk" "--watch nan" "--watch 1s" "--sysfs"
		"doctor --watch 1" "limit set /a max=1 --json" "status --root /"
		"help nothing" "version --watch 1" "replay" "replay /a /b" "replay /a --json"
		"status --strict")

	tree
	for words in "${cases[@]}"; do
		# shellcheck disable=SC2086
		run tmkctl $words
		expect_rc 2
		expect_one_sentence
		expect_err '^tmkctl: '
	done
}

test_help() {
	local words

	for words in --help help -h "status --help" "limit --help" "limit set --help" \
		"limit get -h" "replay --help" "doctor --help" "help limit" "version --help"; do
		# shellcheck disable=SC2086
		run tmkctl $words
		expect_rc 0
		expect_out '^Usage: tmkctl'
		[ ! -s "$TMP/err" ] || { show; fail "help on stderr"; }
	done
	run tmkctl limit set --help
	expect_out 'limit set CGROUP'
	expect_no_out 'limit get'
}

test_output_that_cannot_be_written() {
	[ -e /dev/full ] || skip "no /dev/full"
	tree
	RC=0
	tmkctl status >/dev/full 2>"$TMP/err" || RC=$?
	[ "$RC" = 1 ]
	expect_err 'cannot write the output'
}

test_completion() {
	# shellcheck source=tools/completion/tmkctl.bash
	. "$TOP/tools/completion/tmkctl.bash"
	complete_words() {
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		COMPREPLY=()
		_tmkctl
		echo "${COMPREPLY[*]}"
	}
	tree
	[ "$(complete_words tmkctl '')" = "status limit replay doctor version help" ]
	[ "$(complete_words tmkctl li)" = limit ]
	[ "$(complete_words tmkctl limit '')" = "get set" ]
	[ "$(complete_words tmkctl limit set /demo/)" = "/demo/team-b /demo/team-a" ] ||
		[ "$(complete_words tmkctl limit set /demo/)" = "/demo/team-a /demo/team-b" ]
	[ "$(complete_words tmkctl limit set /demo m)" = "max=" ]
	[ "$(complete_words tmkctl status --j)" = "--json" ]
	[ "$(complete_words tmkctl doctor --)" = "--json --pretty --sysfs --help" ]
}

ktap_main
