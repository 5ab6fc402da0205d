#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768
#
# The user backend against a real memory.max: what does not fit is refused with
# a sentence before memory is touched, and the kernel kills nobody. What fits
# is had, in 2 MiB pages although shmem_enabled says never, also by an ordinary
# user who may lock nothing.
# Tests are called by name.
# shellcheck disable=SC2317,SC2086

cg=/sys/fs/cgroup/user-backend
export TMK_BACKEND=user TMK_MAX_BYTES=max TMK_MAX_PHYSICAL_BYTES=max
# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# Run in the group. $1: its memory.max
in_group() {
	echo "$1" >$cg/memory.max
	shift
	sh -c "echo 0 >$cg/cgroup.procs && exec \"\$@\"" sh "$@"
}

digits_in() { in_group "$1" digits --epochs 1 --quiet --extra-bytes "$2"; }

fits() { digits_in 192M 96M; }

refused() {
	rc=0
	said=$(digits_in 96M 192M 2>&1) || rc=$?
	echo "$said (status $rc)"
	[ $rc = 1 ] && echo "$said" | grep -q "cannot create a huge region of \
192.0 MiB: cgroup /user-backend may use 96.0 MiB (memory.max) and .* are in use"
}

# Everything between "fits easily" and "cannot fit" is had or refused.
nobody_dies() {
	for mib in 64 72 80 84 88 90 92 93 94 95 96; do
		rc=0
		said=$(digits_in 96M ${mib}M 2>&1) || rc=$?
		echo "$mib MiB: status $rc, $said"
		[ $rc -le 1 ] || return 1
	done
	cat $cg/memory.events
	grep -q '^oom_kill 0$' $cg/memory.events
}

default_limit() {
	said=$(unset TMK_MAX_BYTES && in_group 96M digits --epochs 1)
	echo "$said"
	echo "$said" | grep -q 'limits of this process: 48.0 MiB in all'
}

huge_pages() {
	cat /sys/kernel/mm/transparent_hugepage/shmem_enabled
	said=$(in_group 192M digits --epochs 1)
	echo "$said"
	echo "$said" | grep -q ' 4.0 MiB of it in huge pages'
}

# There are none where they are forbidden, and that is said.
forbidden() {
	echo deny >/sys/kernel/mm/transparent_hugepage/shmem_enabled
	said=$(in_group 192M digits --epochs 1)
	rc=$?
	echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled
	echo "$said"
	[ $rc = 0 ] && echo "$said" | grep -q ' 0 B of it in huge pages'
}

machine_refuses() {
	rc=0
	said=$(in_group max digits --epochs 1 --extra-bytes 2G 2>&1) || rc=$?
	echo "$said (status $rc)"
	[ $rc = 1 ] && echo "$said" | grep -q "the machine has .* of memory and"
}

mkdir $cg
plan 7
check "what fits is had" fits
check "memory.max refuses with a sentence" refused
check "nobody is killed near the limit" nobody_dies
check "the default is half of memory.max" default_limit
check "2 MiB pages with shmem_enabled=never" huge_pages
check "none with shmem_enabled=deny" forbidden
check "the machine refuses with a sentence" machine_refuses
rmdir $cg
exit "$failed"
