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

failed=0
for t in /vm/tests/*; do
	name=${t##*/}
	echo "vm: program $name" >/dev/kmsg
	echo "@@@ begin $name"
	began=$(uptime_ms)
	timeout -s KILL "$1" "$t"
	rc=$?
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
