#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768
#
# The pool of warm pages from loading to unloading.
# Tests are called by name.
# shellcheck disable=SC2317

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh
# What the machine itself takes or frees in between, in kB.
noise=4096

free_kb_once() {
	kept=$(sed -n 's/^ *count: *\([0-9]*\)$/\1/p' /proc/zoneinfo)
	sum=$(sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	for pages in $kept; do
		sum=$((sum + 4 * pages))
	done
	echo "$sum"
}

# Free memory in kB, with the pages that each CPU keeps for itself. Those that go
# from there in between are counted twice, so the least of three counts.
free_kb() {
	for _ in 1 2 3; do
		free_kb_once
		usleep 50000
	done | sort -n | head -n 1
}

# The pool has that many bytes, within 20 s.
has() {
	i=0
	while [ "$(cat /sys/kernel/tmk/pool/have)" != "$1" ]; do
		i=$((i + 1))
		[ "$i" -lt 200 ] || return 1
		usleep 100000
	done
}

off_by_default() {
	insmod /vm/tmk.ko populate=own || return 1
	state=$(cat /sys/kernel/tmk/pool/state)
	target=$(cat /sys/kernel/tmk/pool/target)
	echo "$state $target"
	rmmod tmk && [ "$state" = off ] && [ "$target" = 0 ]
}

a_full_pool_is_freed() {
	for round in 1 2 3; do
		before=$(free_kb)
		insmod /vm/tmk.ko populate=own pool=128M || return 1
		has 134217728 || return 1
		full=$(free_kb)
		rmmod tmk || return 1
		after=$(free_kb)
		echo "round $round: $before kB, full $full kB, after $after kB"
		[ $((before - full)) -gt $((131072 - 2 * noise)) ] || return 1
		[ $((before - after)) -lt "$noise" ] || return 1
	done
	! grep -q tmk-pool /proc/[0-9]*/comm
}

unloading_interrupts_the_filler() {
	for round in 1 2 3 4 5; do
		insmod /vm/tmk.ko populate=own pool=256M && rmmod tmk || return 1
	done
}

the_filler_has_the_lowest_priority() {
	insmod /vm/tmk.ko populate=own || return 1
	for stat in /proc/[0-9]*/stat; do
		case $(cat "$stat") in
		*"(tmk-pool)"*) nice=$(sed 's/.*) //' "$stat" | cut -d' ' -f17) ;;
		esac
	done
	rmmod tmk
	echo "nice $nice"
	[ "$nice" = 19 ]
}

# refused SENTENCE PARAMETER...
refused() {
	said=$1
	shift
	insmod /vm/tmk.ko "$@" 2>/dev/null && return 1
	dmesg | grep "$said" && [ ! -e /sys/kernel/tmk ]
}

what_cannot_be_is_refused() {
	refused 'pool=134217728: needs populate=own' pool=128M populate=shmem &&
		refused 'more than half of RAM' pool=60% && refused 'not a size' pool=junk
}

rmmod tmk
plan 5
check off_by_default
check a_full_pool_is_freed
check unloading_interrupts_the_filler
check the_filler_has_the_lowest_priority
check what_cannot_be_is_refused
exit "$failed"
