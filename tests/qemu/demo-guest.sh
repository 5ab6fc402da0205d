#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The part of scripts/demo that runs in the virtual machine. Fails unless both
# teams learn, the third is refused in order, and nothing is left at the end.

export OPENBLAS_NUM_THREADS=1
cg=/sys/fs/cgroup
sys=/sys/kernel/tmk
data=/usr/share/tmk/digits.csv.gz
failed=0

say() { printf '\n== %s\n' "$*"; }
wrong() {
	echo "demo: $*"
	failed=1
}

# sh -c "$in_group" GROUP PROGRAM...: move there, then become the program.
# shellcheck disable=SC2016
in_group='echo 0 >"$0/cgroup.procs" && exec "$@"'

# The number of the last epoch in a run's output, nothing before the first.
epoch() { sed -n 's/^epoch *\([0-9]*\) .*/\1/p' "$1" | tail -n 1; }

say "two teams, two limits on the memory that the kernel pins for them"
mkdir $cg/team-a $cg/team-b $cg/team-c
tmkctl limit set /team-a max=64M physical_max=64M || exit 1
tmkctl limit set /team-b max=32M physical_max=32M || exit 1

say "both train the same network on the same digits, at once (a minute or so)"
sh -c "$in_group" $cg/team-a digits --data $data --hold 300 >/tmp/a.log 2>&1 &
a=$!
sh -c "$in_group" $cg/team-b digits --data $data --hold 300 >/tmp/b.log 2>&1 &
b=$!

# Look in while they train, until both hold still, or one of them has gone.
next=1
waited=0
while [ $waited -lt 200 ]; do
	at=$(epoch /tmp/a.log)
	if [ "${at:-0}" -ge $next ] && [ -n "$(epoch /tmp/b.log)" ]; then
		say "team-a is at epoch $at, team-b at epoch $(epoch /tmp/b.log)"
		[ $next != 1 ] || tmkctl status
		next=$((at + 4))
	fi
	grep -q '^holding' /tmp/a.log && grep -q '^holding' /tmp/b.log && break
	kill -0 $a 2>/dev/null && kill -0 $b 2>/dev/null || break
	sleep 1
	waited=$((waited + 1))
done
[ $next != 1 ] || wrong "they never got to train at once"

say "what team-a printed"
cat /tmp/a.log
say "how it ended for team-b"
tail -n 3 /tmp/b.log
say "both have learned and still hold their memory"
tmkctl status
kill -TERM $a $b 2>/dev/null
wait $a || wrong "team-a ended with status $?"
wait $b || wrong "team-b ended with status $?"

say "team-c may use 4 MiB, which is too little: the kernel refuses"
tmkctl limit set /team-c max=4M || exit 1
sh -c "$in_group" $cg/team-c digits --data $data
rc=$?
echo "(it ended by itself, with exit status $rc)"
[ $rc = 1 ] || wrong "team-c ended with status $rc instead of 1"

say "everybody is gone: nothing may be left, of nobody"
tmkctl status
for f in $sys/current $sys/physical_current \
	"$sys"/cgroups/*/current "$sys"/cgroups/*/physical_current; do
	left=$(cat "$f") || failed=1
	[ "$left" = 0 ] || wrong "$f still says $left"
done
# The machine and three groups, which have their limits yet.
groups=$(find $sys/cgroups -mindepth 1 -maxdepth 1 | wc -l)
[ "$groups" -ge 3 ] || wrong "only $groups groups to look at"
for team in a b c; do
	tmkctl limit set /team-$team max=max physical_max=max >/dev/null || failed=1
	rmdir $cg/team-$team || failed=1
done
[ $failed = 0 ] || exit 1
echo
echo "done: every byte was charged, limited, and given back"
