#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tmkctl replay: the scenarios of tests/replay hold, and the tool says when one
# does not. What it prints is JSON, an object a line.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export LC_ALL=C TMK_BACKEND=user
unset TMK_MAX_BYTES TMK_MAX_PHYSICAL_BYTES TMK_INITIAL_BYTES TMK_WORKSPACES_DEBUG TMK_DUMP_ON_OOM

replay() { run "$TOP/$B/tools/tmkctl" replay "$@"; }

# scenario LINE...: a file of these lines, played
scenario() {
	printf '%s\n' "$@" >"$TMP/scn"
	replay "$TMP/scn"
}

# Every line of the output is JSON: a Python expression over all, a list.
expect_lines() {
	python3 -c 'import json, sys
all = [json.loads(line) for line in open(sys.argv[1])]
sys.exit(not eval(sys.argv[2]))' "$TMP/out" "$1" || {
		show
		fail "not true of the lines: $1"
	}
}

holds() {
	replay --strict "tests/replay/$1.scn"
	expect_rc 0
	[ ! -s "$TMP/err" ] || { show; fail "something on stderr"; }
	expect_lines 'len(all) > 10'
}

test_learning() {
	holds learning
}

test_ring() {
	holds ring
}

test_scopes() {
	holds scopes
}

test_spill() {
	holds spill
}

test_every_scenario_is_run() {
	local f

	for f in tests/replay/*; do
		grep -q "holds $(basename "$f" .scn)$" tests/host/replay.sh || fail "$f is not run"
	done
}

test_close_prints_every_counter() {
	scenario "workspace w alignment=16" "open w" "alloc a 100" "close w" "show w"
	expect_rc 0
	expect_lines 'all[1]["op"] == "close" and all[2]["op"] == "show"'
	expect_lines 'all[1]["workspace"] == "w"'
	expect_lines '{"size", "offset", "block", "cycle", "last", "max", "cycles", "step",
		"generation", "spilled_bytes", "spilled_count", "pinned_bytes", "pinned_count",
		"external_count"} <= set(all[1])'
	expect_lines 'all[1]["size"] == 160 and all[1]["max"] == 112'
}

test_places() {
	scenario "workspace w alignment=16 initial=64 allocation=STRICT" "alloc o 8" "open w" \
		"alloc a 33" "alloc b 1" "alloc c 16" "close w"
	expect_rc 0
	expect_lines '[x["where"] for x in all[:4]] == ["outside", "workspace", "workspace", "spill"]'
	expect_lines '[x["offset"] for x in all[1:3]] == [0, 48]'
}

test_places_beside_a_ring() {
	scenario "workspace w alignment=16 reset=ENDOFBUFFER_REACHED limit=1" "open w" "alloc a 100" \
		"close w" "open w" "alloc b 1000" "toggle w off" "alloc c 16" "close w"
	expect_rc 0
	expect_lines '[x["where"] for x in all if x["op"] == "alloc"] == ["spill", "pinned", "outside"]'
	expect_lines 'all[-1]["pinned_bytes"] == 1008 and all[-1]["pinned_count"] == 1'
}

# Every key of a workspace, in every word that it may have, and in one that it may not.
test_every_option() {
	local -a lines=()
	local value nr=0

	for value in initial=1K min=4096 max=1M max_total=2M limit=0.5 limit=0 alignment=8 \
		alignment=4096 cycles_before_initialization=7 \
		allocation={OVERALLOCATE,STRICT,strict} \
		spill={EXTERNAL,REALLOCATE,FAIL} learning={FIRST_LOOP,OVER_TIME,NONE} \
		reset=BLOCK_LEFT "reset=ENDOFBUFFER_REACHED limit=1" "reset=ENDOFBUFFER limit=2" \
		mirroring={FULL,HOST_ONLY} kind={auto,pinned,huge,hugetlb} location=RAM \
		"location=FILE learning=NONE initial=1K" "location=MMAP learning=NONE initial=1K" \
		"location=FILE learning=NONE initial=1K path=$TMP/file" \
		"location=FILE learning=NONE initial=1K temp_dir=$TMP" \
		debug={DISABLED,SPILL_EVERYTHING,BYPASS_EVERYTHING}; do
		lines+=("workspace w$nr $value")
		nr=$((nr + 1))
	done
	scenario "${lines[@]}" "show w0"
	expect_rc 0
	expect_lines 'len(all) == 1'
	[ "$(stat -c %s "$TMP/file")" = 1024 ] || fail "path= made no file of the size"
	lines=()
	for value in initial=x min=-1 max=1Q max_total=10% limit=a limit= alignment=5000000000 \
		cycles_before_initialization=x allocation=LAX spill=AWAY learning=BY_HEART \
		reset=NEVER mirroring=HALF kind=soft location=MOON debug=ON; do
		lines+=("workspace w $value")
	done
	scenario "${lines[@]}" "workspace w =1" "workspace w initial"
	expect_rc 0
	expect_lines '[x["error"] for x in all] == ["EINVAL"] * 18'
	expect_lines '["is no value of" in x["message"] for x in all] == [True] * 16 + [False] * 2'
}

test_an_expectation_that_is_not_met() {
	scenario "workspace w initial=1024 allocation=STRICT" "expect w size=1024 offset=1 max=0" \
		"show w"
	expect_rc 1
	expect_lines 'all[0]["ok"] is False'
	expect_lines 'all[0]["failed"] == [{"key": "offset", "expected": 1, "actual": 0}]'
	expect_lines 'all[1]["op"] == "show"'
	scenario "expect nobody size=0"
	expect_rc 1
	scenario "workspace w" "expect w colour=1"
	expect_rc 1
	scenario "workspace w" "fails EBUSY open w"
	expect_rc 1
	scenario "workspace w" "fails EBUSY close w"
	expect_rc 1
	expect_lines 'all[0]["met"] == "EINVAL"'
}

test_errors_go_on_unless_strict() {
	local -a lines=("workspace w" "close w" "open nobody" "use nothing" "alloc a 0" "show w")

	scenario "${lines[@]}"
	expect_rc 0
	expect_lines '[x["error"] for x in all[:4]] == ["EINVAL", "ENOENT", "ENOENT", "EINVAL"]'
	expect_lines 'all[0]["message"] == "workspace \"w\" is not open"'
	expect_lines 'all[4]["op"] == "show"'
	replay --strict "$TMP/scn"
	expect_rc 1
	expect_lines 'len(all) == 1'
}

test_statements_that_are_none() {
	scenario "jump" "workspace w" "open" "show w"
	expect_rc 2
	expect_lines '[x.get("error") for x in all] == ["EINVAL", "EINVAL", None]'
	scenario "repeat 2" "workspace w"
	expect_rc 2
	expect_one_sentence
	scenario "end"
	expect_rc 2
	scenario "repeat often" "end"
	expect_rc 2
	replay "$TMP/no-such-file"
	expect_rc 1
	expect_one_sentence
	printf 'a\0b' >"$TMP/scn"
	replay "$TMP/scn"
	expect_rc 1
	replay
	expect_rc 2
}

test_repeat() {
	scenario "workspace w" "repeat 3" "repeat 2" "open w" "close w" "end" "end" \
		"repeat 0" "open w" "end" "expect w cycles=6 open=0"
	expect_rc 0
	expect_lines 'len(all) == 7'
}

test_what_is_left_open_is_closed() {
	scenario "workspace a" "workspace b" "open a" "scope_out" "open b" "borrow a" "alloc x 10"
	expect_rc 0
	[ ! -s "$TMP/err" ]
}

test_traces() {
	local trace

	for trace in tests/traces/*.tsv; do
		scenario "workspace w" "open w" "trace $TOP/$trace" "close w" "open w" \
			"trace $TOP/$trace" "expect w spilled_count=0" "close w"
		if grep -q TMK_MAX "$TMP/out"; then
			continue # a machine that is too small for it
		fi
		expect_rc 0
		expect_lines 'all[0]["spill"] == all[0]["allocs"] == all[2]["workspace"]'
		expect_lines 'all[0]["peak_live"] <= all[0]["bytes"]'
	done
}

test_broken_traces() {
	printf 'a\t1\t100\tx\nf\t1\t100\t\nz\t1\t2\t\n' >"$TMP/t"
	scenario "trace $TMP/t" "trace $TMP/nothing"
	expect_rc 0
	expect_lines '"t:3: no line" in all[0]["message"] and all[1]["error"] == "ENOENT"'
}

test_debug_mode_from_the_environment() {
	export TMK_WORKSPACES_DEBUG=spill_everything
	scenario "workspace w initial=1024" "open w" "alloc a 64" "expect w spilled_bytes=64" "close w"
	expect_rc 0
	export TMK_WORKSPACES_DEBUG=bypass_everything
	scenario "workspace w initial=1024" "open w" "alloc a 64" "close w" "use a"
	expect_rc 0
	expect_lines 'all[0]["where"] == "outside"'
}

test_dump_on_oom() {
	export TMK_DUMP_ON_OOM=$TMP/dump
	scenario "workspace wanted initial=64 allocation=STRICT spill=FAIL learning=NONE" \
		"open wanted" "alloc a 65"
	expect_lines 'all[0]["error"] == "ENOMEM"'
	grep -q '^tmk: workspace "wanted" is full' "$TMP/dump"
	grep -qE '^wanted +[0-9]+ open +64 ' "$TMP/dump"
	grep -qE '^1 workspaces: 64 bytes in blocks' "$TMP/dump"
}

ktap_main
