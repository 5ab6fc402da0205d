#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The last thing in a machine with the debug kernel: look for memory that nobody
# points to any more, and bring the counts of gcov to the host. What is found
# goes to the kernel's log, where tests/qemu/vm sees it.

leaks=/sys/kernel/debug/kmemleak
if grep -q 'kmemleak=on' /proc/cmdline; then
	# Only what two scans do not find, some seconds apart, is lost.
	for wait in 6 6 0; do
		echo scan >$leaks
		sleep $wait
	done
	if grep -q . $leaks; then
		head -n 60 $leaks >/dev/kmsg
	fi
	echo "kmemleak: $(grep -c '^unreferenced' $leaks) leaks"
fi

counts=/sys/kernel/debug/gcov
if [ -d /host ] && [ -d $counts ]; then
	find $counts -name '*.gcda' | while read -r f; do
		cat "$f" >"/host/${f##*/}"
	done
fi
