#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# Runs in the guest: every program in /vm/tests, each with a marker in the
# kernel's log, and a look at what it left behind.
#
#	batch.sh SECONDS	(that each may take)

sys=/sys/kernel/tmk/current
uptime_ms() { sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime; }

# What a program started and left behind would be in the way of all that follow.
session_end() {
	for stat in /proc/[0-9]*/stat; do
		# Behind the name: state, parent, group, session.
		# shellcheck disable=SC2046
		set -- "$1" $(sed 's/.*) //' "$stat" 2>/dev/null)
		[ "$5" != "$1" ] || kill -KILL "$(basename "${stat%/stat}")"
	done 2>/dev/null
}

failed=0
for t in /vm/tests/*; do
	name=${t##*/}
	echo "vm: program $name" >/dev/kmsg
	echo "@@@ begin $name"
	began=$(uptime_ms)
	setsid timeout -s KILL "$1" "$t" &
	session=$!
	wait $session
	rc=$?
	session_end $session
	# What a killed process held goes in a moment, not at once.
	i=0
	while [ -e $sys ] && [ "$(cat $sys)" != 0 ] && [ $i -lt 50 ]; do
		usleep 100000
		i=$((i + 1))
	done
	left=$(cat $sys 2>/dev/null)
	if [ "${left:-0}" != 0 ]; then
		echo "# $name left $left bytes charged"
		rc=1
	fi
	[ $rc = 0 ] || [ $rc = 4 ] || failed=1
	echo "@@@ end $name $rc $(($(uptime_ms) - began))"
done
echo "vm: end of programs" >/dev/kmsg
exit $failed
