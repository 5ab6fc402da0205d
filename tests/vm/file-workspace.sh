#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=384 disk=520:ext4 disk=64:ext4
#
# Workspaces in files, where files can be larger than RAM, disks full and
# directories read-only.
# Tests are called by name.
# shellcheck disable=SC2317

export TMK_MAX_BYTES=max TMK_MAX_PHYSICAL_BYTES=max
# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# replay LINE...: these statements hold
replay() {
	printf '%s\n' "$@" | tmkctl replay --strict -
}

FILE="location=FILE learning=NONE alignment=64"
used() { df -k "$1" | awk 'END { print $(NF - 3) }'; }

# Written once, read in the next cycle: 448 MiB where there are 384 of RAM.
larger_than_ram() {
	[ "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)" -lt 393216 ] || return 1
	before=$(used /mnt/0)
	replay "workspace big $FILE initial=448M temp_dir=/mnt/0" "expect big size=448M" \
		"open big" "alloc a 448M" "expect big offset=448M spilled_count=0" "fill a 77" \
		"close big" "open big" "alloc b 448M" "verify b 77" "close big" || return 1
	# Only lost+found is left.
	[ "$(find /mnt/0 -mindepth 1 | wc -l)" = 1 ] && [ "$(used /mnt/0)" = "$before" ]
}

full_disk() {
	before=$(used /mnt/1)
	replay "fails ENOSPC workspace w $FILE initial=100M temp_dir=/mnt/1" \
		"fails ENOSPC workspace w $FILE initial=100M path=/mnt/1/new" \
		"workspace w $FILE initial=10M temp_dir=/mnt/1" "expect w size=10M" || return 1
	[ ! -e /mnt/1/new ] && [ "$(used /mnt/1)" = "$before" ]
}

full_disk_keeps_a_file() {
	echo "what the user has" >/mnt/1/mine
	replay "fails ENOSPC workspace w $FILE initial=100M path=/mnt/1/mine" &&
		[ "$(cat /mnt/1/mine)" = "what the user has" ]
}

read_only() {
	mount -o remount,ro /mnt/1 &&
		replay "fails EROFS workspace w $FILE initial=1M temp_dir=/mnt/1" \
			"fails EROFS workspace w $FILE initial=1M path=/mnt/1/other"
}

plan 4
check larger_than_ram larger_than_ram
check full_disk full_disk
check full_disk_keeps_a_file full_disk_keeps_a_file
check read_only read_only
exit "$failed"
