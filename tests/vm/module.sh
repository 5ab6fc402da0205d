#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=512
#
# Loading and unloading: what is refused leaves nothing behind, what is accepted
# shows, and it can be done again and again. The runner brings the module of the
# other kernel in /vm/other/.
# Tests are called by name.
# shellcheck disable=SC2317

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# Nothing of the module is there.
absent() {
	! grep -q '^tmk ' /proc/modules && [ ! -e /dev/tmk ] && [ ! -e /sys/kernel/tmk ] &&
		[ ! -e /sys/module/tmk ]
}

# insmod refuses, says why, and leaves nothing.
refused() {
	pattern=$1
	shift
	said=$(insmod "$@" 2>&1) && return 1
	echo "$said"
	echo "$said" | grep -q "$pattern" && absent
}

unload() { rmmod tmk && absent; }

module_of_another_kernel() {
	dmesg -c >/dev/null
	refused 'invalid module format' /vm/other/tmk.ko || return 1
	# The kernel says why.
	dmesg | grep -E 'tmk: (version magic|disagrees about version of symbol|.*section size must match)'
}

not_a_module() {
	head -c 5000 /vm/tmk.ko >/tmp/cut.ko
	refused "can't insert" /tmp/cut.ko && refused "can't insert" /vm/conf
}

junk_parameters() {
	for p in physical_max=junk max=-1 physical_max=101% max=10X populate=junk \
		populate= max=; do
		echo "$p"
		refused 'Invalid argument' /vm/tmk.ko "$p" || return 1
	done
}

parameters_show() {
	insmod /vm/tmk.ko max=100M physical_max=25% populate=shmem || return 1
	total=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	max=$(cat /sys/kernel/tmk/max)
	physical_max=$(cat /sys/kernel/tmk/physical_max)
	how=$(cat /sys/kernel/tmk/populate)
	echo "max $max, physical_max $physical_max of $total kB, $how"
	unload || return 1
	[ "$max" = 104857600 ] && [ "$how" = shmem ] &&
		[ $((physical_max / 1024)) -gt $((total / 5)) ] &&
		[ $((physical_max / 1024)) -lt $((total * 3 / 10)) ]
}

busy_while_open() {
	insmod /vm/tmk.ko || return 1
	exec 3</dev/tmk
	if rmmod tmk; then
		exec 3<&-
		return 1
	fi
	exec 3<&-
	unload
}

unloaded_under_o_path() {
	insmod /vm/tmk.ko || return 1
	TMK_UNLOAD=1 /vm/tests/unload && absent
}

twenty_times() {
	before=$(grep -c . /proc/mounts)
	i=0
	while [ "$i" -lt 20 ]; do
		insmod /vm/tmk.ko && unload || return 1
		i=$((i + 1))
	done
	[ "$(grep -c . /proc/mounts)" = "$before" ] && ! grep tmk /proc/slabinfo /proc/misc
}

plan 8
check unload
check module_of_another_kernel
check not_a_module
check junk_parameters
check parameters_show
check busy_while_open
check unloaded_under_o_path
check twenty_times
exit "$failed"
