#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The main job on this machine, in the user backend: what it learns, what it
# costs, what it says when something is wrong. And the README's example.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export LC_ALL=C TMK_BACKEND=user
unset TMK_MAX_BYTES TMK_MAX_PHYSICAL_BYTES TMK_INITIAL_BYTES TMK_BLAS
unset OPENBLAS_NUM_THREADS OPENBLAS_CORETYPE

DATA=$TOP/examples/data/digits.csv.gz

digits() { "$TOP/$B/examples/digits" "$@"; }

test_accuracy_and_cost() {
	run digits --check
	expect_rc 0
	expect_out '^digits: network 64-128-64-10, seed 1; 1437 images to learn, 360 held out'
	expect_out '^backend user: '
	expect_out '^limits of this process: '
	expect_out '^images and weights: 4\.0 MiB in 2 regions, '
	[ "$(grep -c '^epoch' "$TMP/out")" = 12 ]
	# From the second epoch on: no spills, no faults, no calls.
	[ "$(grep -cE '^epoch .* 0 +[0-9.]+ \S+ +[0-9.]+ \S+ +0\.00 +0\.00$' "$TMP/out")" = 11 ] ||
		{ show; fail "an epoch that was not free"; }
	expect_out '^253 warmed-up iterations took 0 page faults, 0 system calls of tmk and 0 spills:'
}

test_json() {
	run digits --json --check
	expect_rc 0
	expect_json 'j["version"] == 1 and j["backend"] == "user"'
	expect_json 'j["accuracy"] >= 0.97 and j["accuracy"] == round(j["held_out_right"] / 360, 6)'
	expect_json 'j["images_learned"] == 1437 and j["images_held_out"] == 360'
	expect_json 'j["warm_iterations"] == 253 and j["warm_free"] is True'
	expect_json '[j["warm_" + k] for k in ("faults", "calls", "spills")] == [0, 0, 0]'
	expect_json 'j["workspace_bytes"] >= j["workspace_high_water"] > 100000'
	expect_json 'j["region_bytes"] == j["region_bytes_huge"] + j["region_bytes_small"] == 6 << 20'
	[ "$(wc -l <"$TMP/out")" = 1 ]
}

# Everything but the time is the same in each run.
test_same_figures_again() {
	digits --json | sed 's/"seconds":[0-9.]*//' >"$TMP/a"
	digits --json | sed 's/"seconds":[0-9.]*//' >"$TMP/b"
	cmp "$TMP/a" "$TMP/b"
	# And another seed is another network on the same split.
	digits --json --seed 2 | sed 's/"seconds":[0-9.]*//' >"$TMP/b"
	! cmp -s "$TMP/a" "$TMP/b" || fail "the seed has no effect"
}

# Plain C arithmetic rounds otherwise, but learns the same.
test_reference_arithmetic() {
	TMK_BLAS=ref run digits --json --check
	expect_rc 0
	expect_json 'j["blas"] == "reference" and j["accuracy"] >= 0.96'
}

# By the kernel's account: between the readings of the counters around a
# warmed-up epoch there is no system call at all, of whomever.
test_system_calls_counted_by_strace() {
	command -v strace >/dev/null || skip "no strace(1)"
	export OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Nehalem
	strace -f -o "$TMP/trace" true 2>/dev/null || skip "strace may not trace here"
	run strace -f -o "$TMP/trace" "$TOP/$B/examples/digits" --epochs 4
	expect_rc 0
	# One getrusage() before and one after each epoch.
	awk '/ getrusage\(/ { if (++nr % 2) calls = 0; else print calls; next }
		nr % 2 { calls++ }' "$TMP/trace" >"$TMP/calls"
	[ "$(wc -l <"$TMP/calls")" = 4 ] || fail "not two readings for each epoch"
	[ "$(head -n 1 "$TMP/calls")" -gt 0 ] || fail "no system call in the first epoch"
	[ "$(tail -n 3 "$TMP/calls" | sort -u)" = 0 ] || {
		cat "$TMP/calls"
		fail "system calls in a warmed-up epoch"
	}
}

# --check can fail: with bad learning, and where nothing could warm up.
test_check_fails() {
	run digits --check --quiet --epochs 2 --lr 0.000001
	expect_rc 1
	expect_err '^digits: --check: the accuracy [0-9.]+ % is below 96 %$'
	run digits --check --epochs 1
	expect_rc 2
	run digits --epochs 1
	expect_rc 0
	expect_out '^one epoch only warms up'
}

test_other_sizes() {
	local batch

	for batch in 1 7 1000 1437; do
		run digits --epochs 2 --batch "$batch" --json
		expect_rc 0
		expect_json "j['warm_iterations'] == -(-1437 // $batch) and j['warm_free'] is True"
	done
	run digits --batch 1438
	expect_rc 1
	expect_err '^digits: --batch 1438 is more than the 1437 images to learn$'
}

test_diverging() {
	run digits --lr 10 --batch 1 --epochs 3 --quiet
	expect_rc 1
	expect_one_sentence
	expect_err '^digits: the training diverged in epoch [0-9]: lower --lr$'
}

test_plain_file() {
	gzip -dc "$DATA" >"$TMP/plain.csv"
	digits --quiet --epochs 2 | sed 's/, after.*//' >"$TMP/a"
	digits --quiet --epochs 2 --data "$TMP/plain.csv" | sed 's/, after.*//' >"$TMP/b"
	cmp "$TMP/a" "$TMP/b"
}

# wrong FILE PATTERN: refused whole, with one sentence, before anything began
wrong() {
	run digits --data "$1"
	expect_rc 1
	expect_one_sentence
	expect_err "^digits: $1 $2"
}

test_wrong_files() {
	local f=$TMP/f

	wrong "$TMP/none" 'cannot be opened: No such file or directory$'
	wrong "$TMP" 'cannot be (opened|read): Is a directory$'
	: >"$f"
	wrong "$f" 'is no digits file: it is empty$'
	# Cut while compressed; at several places, and its checksum spoilt.
	for n in 20 1000 57000 57511; do
		head -c "$n" "$DATA" >"$f"
		wrong "$f" 'cannot be read: it ends too early$'
	done
	{ head -c 57504 "$DATA" && printf 'xxxx' && tail -c 4 "$DATA"; } >"$f"
	wrong "$f" 'cannot be read: incorrect data check$'
	{ head -c 5000 "$DATA" && head -c 9000 /dev/zero && tail -c 40000 "$DATA"; } >"$f"
	wrong "$f" 'cannot be read: '
	# Cut when plain, in the middle of line 1001 (of 65 values).
	gzip -dc "$DATA" >"$TMP/plain.csv"
	{ head -n 1000 "$TMP/plain.csv" && printf '1,2,3'; } >"$f"
	wrong "$f" 'is no digits file: line 1001: the file ends after 3 of 65 values$'
	sed '500s/,[0-9]*$//' "$TMP/plain.csv" >"$f"
	wrong "$f" 'is no digits file: line 500: 64 values instead of 65$'
	sed '1797s/^[0-9]*/17/' "$TMP/plain.csv" >"$f"
	wrong "$f" 'is no digits file: line 1797: value 1 is larger than 16$'
	sed '3s/,/;/' "$TMP/plain.csv" >"$f"
	wrong "$f" 'is no digits file: line 3: no comma after value 1$'
	head -n 719 "$TMP/plain.csv" >"$f"
	wrong "$f" 'has 719 images, too few: 360 are held out'
	head -n 720 "$TMP/plain.csv" >"$f"
	run digits --data "$f" --epochs 2 --json
	expect_rc 0
	expect_json 'j["images_learned"] == 360'
	cp "$TOP/$B/examples/digits" "$f"
	wrong "$f" 'is no digits file: line 1: value 1 begins with byte 0x7f, not with a digit$'
	# A bomb: a gigabyte of zeros in a megabyte.
	head -c 1073741824 /dev/zero | gzip -1 >"$f"
	wrong "$f" 'is no digits file: it has more than 64 MiB$'
}

test_no_file_found() {
	[ ! -e /usr/share/tmk/digits.csv.gz ] || skip "tmk is installed here"
	mkdir "$TMP/bin"
	cp -r "$TOP/$B/lib" "$TMP/lib"
	cp "$TOP/$B/examples/digits" "$TMP/bin/"
	run "$TMP/bin/digits"
	expect_rc 1
	expect_one_sentence
	expect_err '^digits: there is no digits\.csv\.gz near this program; name it with --data FILE$'
	# Installed, it is found below share/.
	mkdir -p "$TMP/share/tmk"
	cp "$DATA" "$TMP/share/tmk/"
	run "$TMP/bin/digits" --quiet --epochs 1
	expect_rc 0
}

# Each place where memory is asked for can be the one that is refused.
test_refused() {
	local max

	for max in 0 1M 2M 4M 5M; do
		TMK_MAX_BYTES=$max run digits --quiet
		expect_rc 1
		expect_one_sentence
		expect_err "^digits: .*(TMK_MAX_BYTES|process limit).*"
	done
	TMK_MAX_BYTES=6M run digits --quiet --check
	expect_rc 0
	TMK_MAX_BYTES=64M run digits --quiet --extra-bytes 64M
	expect_rc 1
	expect_one_sentence
	TMK_MAX_BYTES=64M run digits --epochs 2 --json --extra-bytes 32M
	expect_rc 0
	expect_json 'j["regions"] == 4 and j["region_bytes"] == 38 << 20'
}

test_junk_limits() {
	TMK_MAX_BYTES=junk run digits
	expect_rc 1
	expect_one_sentence
	expect_err '^digits: .*TMK_MAX_BYTES'
	TMK_BACKEND=dev run digits
	[ -e /dev/tmk ] || {
		expect_rc 1
		expect_one_sentence
		expect_err '^digits: .*/dev/tmk'
	}
}

test_usage_errors() {
	local words
	local -a cases=("--epochs 0" "--epochs -1" "--epochs junk" "--epochs 1.5"
		"--epochs 99999999999999999999" "--epochs" "--batch 0" "--lr 0"
		"--lr -1" "--lr nan" "--lr inf" "--lr 11" "--lr x" "--seed -1"
		"--seed 18446744073709551616" "--extra-bytes junk"
		"--extra-bytes max" "--extra-bytes 10%" "--hold -1" "--hold"
		"--nonsense" "-x" "file.csv" "--data")

	for words in "${cases[@]}"; do
		# shellcheck disable=SC2086
		run digits $words
		expect_rc 2
		expect_one_sentence
		expect_err '^digits: '
	done
	run digits --help
	expect_rc 0
	expect_out '^Usage: digits'
}

# It keeps its memory until a signal comes, then ends in order.
test_hold() {
	local pid signal

	for signal in TERM INT; do
		env -i PATH="$PATH" TMK_BACKEND=user OPENBLAS_NUM_THREADS=1 \
			OPENBLAS_CORETYPE=Nehalem "$TOP/$B/examples/digits" \
			--epochs 2 --hold 60 >"$TMP/out" 2>"$TMP/err" &
		pid=$!
		for _ in $(seq 100); do
			grep -q '^holding' "$TMP/out" && break
			sleep 0.1
		done
		grep -q '^holding 6\.0 MiB for 60 s; SIGTERM ends it$' "$TMP/out" || {
			cat "$TMP/out" "$TMP/err"
			fail "it does not hold"
		}
		# A background job of a script ignores SIGINT; it must not here.
		kill -"$signal" "$pid"
		RC=0
		wait "$pid" || RC=$?
		[ "$RC" = 0 ] || fail "status $RC after SIG$signal"
	done
}

test_output_that_cannot_be_written() {
	[ -e /dev/full ] || skip "no /dev/full"
	RC=0
	digits --epochs 2 >/dev/full 2>"$TMP/err" || RC=$?
	[ "$RC" = 1 ]
	grep -q 'could not be written' "$TMP/err"
}

test_without_rights() {
	[ "$(id -u)" = 0 ] || skip "not root: every other test shows it"
	command -v setpriv >/dev/null || skip "no setpriv(1)"
	cp "$DATA" "$TMP/data"
	ulimit -l 8192
	run_as_nobody "$TOP/$B/examples/digits" --check --quiet --data "$TMP/data"
	expect_rc 0
}

test_hello() {
	run "$TOP/$B/examples/hello"
	expect_rc 0
	[ "$(cat "$TMP/out")" = "1000 iterations in the memory of one" ]
	TMK_MAX_BYTES=0 run "$TOP/$B/examples/hello"
	expect_rc 1
	expect_out '0 B|TMK_MAX_BYTES'
}

ktap_main
