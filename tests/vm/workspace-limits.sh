#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768
#
# Workspaces in a cgroup with limits, under each spill policy: what a limit
# refuses is told with its group, leaves every counter and the workspace as they
# were, and the group has nothing charged afterwards.
# Tests are called by name; lists are meant to be split.
# shellcheck disable=SC2317,SC2086

cg=/sys/fs/cgroup/ws
export TMK_MAX_BYTES=max TMK_MAX_PHYSICAL_BYTES=max
# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# replay LINE...: these statements hold in the group, where SAYS is said by one
replay() {
	said=$(printf '%s\n' "$@" | sh -c "echo 0 >$cg/cgroup.procs &&
		exec tmkctl replay --strict -" 2>&1) || { echo "$said"; return 1; }
	echo "$said"
	echo "$said" | grep -q "\"message\":.*$SAYS"
}

nothing_charged() {
	current=/sys/kernel/tmk/cgroups/$(stat -c %i $cg)/current
	[ ! -e "$current" ] || [ "$(cat "$current")" = 0 ]
}

# What is larger than the limit, and what is not: spilled, if the policy does.
# each_policy ERRNO: as the error of the limit in question
each_policy() {
	for policy in EXTERNAL REALLOCATE FAIL; do
		[ $policy = FAIL ] && error=ENOMEM || error=$1
		w="workspace w kind=pinned allocation=STRICT alignment=64 spill=$policy"
		if [ $policy = FAIL ]; then
			SAYS=full replay "$w initial=4M" "open w" "alloc a 4M" \
				"fails ENOMEM alloc b 32M" "expect w offset=4M cycle=4M" "close w" || return 1
		else
			replay "$w initial=4M" "open w" "alloc a 4M" "fails $error alloc b 32M" \
				"expect w offset=4M cycle=4M spilled_bytes=0 spilled_count=0 spilled_total=0" \
				"alloc c 1M" "expect w spilled_bytes=1M" "use a" "close w" || return 1
		fi
		# Without a block FAIL spills as well, and with the same error.
		replay "$w" "open w" "fails $1 alloc b 32M" "expect w cycle=0 external_count=0" \
			"alloc c 1M" "close w" "expect w size=1M cycles=1" || return 1
		# The block itself: the scope is closed, the next one learns again.
		replay "$w allocation=OVERALLOCATE limit=31" "open w" "alloc a 1M" \
			"fails $1 close w" "expect w size=0 open=0 cycles=1" \
			"open w" "alloc a 64K" "expect w spilled_count=1" "fails $1 close w" || return 1
		replay "fails $1 $w initial=32M" "$w initial=1M" "expect w size=1M" || return 1
		nothing_charged || return 1
	done
}

# A ring that was learned, and more than its block.
rings() {
	for policy in EXTERNAL REALLOCATE; do
		w="workspace w kind=pinned reset=ENDOFBUFFER limit=1 alignment=64 spill=$policy"
		replay "$w" "open w" "alloc a 1M" "close w" "open w" "fails $1 alloc b 32M" \
			"expect w pinned_count=0 pinned_bytes=0" "alloc c 2M" "expect w pinned_count=1" \
			"close w" || return 1
		nothing_charged || return 1
	done
}

of_the_module() {
	export TMK_BACKEND=dev SAYS="cgroup /ws may use 16.0 MiB (tmk max)"
	tmkctl limit set /ws max=16M && each_policy EDQUOT && rings EDQUOT &&
		tmkctl limit set /ws max=max
}

of_the_module_in_ram() {
	export TMK_BACKEND=dev SAYS="cgroup /ws may use 16.0 MiB (tmk physical_max)"
	tmkctl limit set /ws physical_max=16M && each_policy EDQUOT && rings EDQUOT &&
		tmkctl limit set /ws physical_max=max
}

of_memory_max() {
	export TMK_BACKEND=$1 SAYS=$2
	echo 24M >$cg/memory.max
	each_policy ENOMEM && rings ENOMEM && grep -q '^oom_kill 0$' $cg/memory.events
	rc=$?
	echo max >$cg/memory.max
	return $rc
}

mkdir $cg
plan 4
check of_the_module of_the_module
check of_the_module_in_ram of_the_module_in_ram
check of_memory_max of_memory_max dev memory
check of_memory_max_without_the_module of_memory_max user "cgroup /ws may use 24.0 MiB (memory.max)"
exit "$failed"
