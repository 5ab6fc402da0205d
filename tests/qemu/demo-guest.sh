#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The part of scripts/demo that runs in the virtual machine.

export OPENBLAS_NUM_THREADS=1
cg=/sys/fs/cgroup
data=/usr/share/tmk/digits.csv.gz
failed=0

say() { printf '\n== %s\n' "$*"; }

# sh -c "$in_group" GROUP PROGRAM...: move there, then become the program.
# shellcheck disable=SC2016
in_group='echo 0 >"$0/cgroup.procs" && exec "$@"'

say "two teams, two limits on memory that the kernel pins for them"
mkdir $cg/team-a $cg/team-b $cg/team-c
tmkctl limit set /team-a max=64M physical_max=64M || exit 1
tmkctl limit set /team-b max=32M physical_max=32M || exit 1

say "both train the same network on the same digits, at once"
sh -c "$in_group" $cg/team-a digits --data $data --hold 300 >/tmp/a.log 2>&1 &
a=$!
sh -c "$in_group" $cg/team-b digits --data $data --hold 300 >/tmp/b.log 2>&1 &
b=$!

# Show the figures while they train, and once more when both hold still.
waited=0
shown=0
while [ $waited -lt 200 ]; do
	done_a=$(grep -c '^holding' /tmp/a.log)
	done_b=$(grep -c '^holding' /tmp/b.log)
	if [ $shown = 0 ] && grep -q '^epoch' /tmp/a.log &&
		grep -q '^epoch' /tmp/b.log; then
		say "tmkctl status, while both train"
		tmkctl status
		shown=1
	fi
	[ "$done_a" = 0 ] || [ "$done_b" = 0 ] || break
	kill -0 $a 2>/dev/null && kill -0 $b 2>/dev/null || break
	sleep 1
	waited=$((waited + 1))
done
[ $shown = 1 ] || failed=1

say "team-a saw"
cat /tmp/a.log
say "team-b saw"
cat /tmp/b.log
say "tmkctl status, training done, memory still held"
tmkctl status
kill -TERM $a $b 2>/dev/null
wait $a || failed=1
wait $b || failed=1

say "team-c may use 4 MiB, which is too little"
tmkctl limit set /team-c max=4M || exit 1
sh -c "$in_group" $cg/team-c digits --data $data
rc=$?
echo "(exit status $rc)"
[ $rc != 0 ] || failed=1

say "everybody is gone: nothing may be left"
tmkctl limit set /team-a max=max physical_max=max
tmkctl limit set /team-b max=max physical_max=max
tmkctl limit set /team-c max=max
tmkctl status
for f in /sys/kernel/tmk/current /sys/kernel/tmk/physical_current \
	/sys/kernel/tmk/cgroups/*/current \
	/sys/kernel/tmk/cgroups/*/physical_current; do
	[ -e "$f" ] || continue
	left=$(cat "$f")
	[ "$left" = 0 ] || { echo "$f still says $left"; failed=1; }
done
[ $failed = 0 ] && echo && echo "done: every byte was charged, limited, and given back"
exit $failed
