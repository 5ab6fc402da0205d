#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=2560 gigantic=1
#
# A machine with a page of 1 GiB, and room for others: the module's regions and the
# library's on both backends. Half of its memory is less than the large page and the
# others together, so the limit is raised.
# Tests are called by name.
# shellcheck disable=SC2317

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# Nothing of it is skipped here.
library_on() {
	echo 16 >/proc/sys/vm/nr_hugepages
	TMK_BACKEND=$1 /vm/unit/region_kinds >/tmp/out
	rc=$?
	cat /tmp/out
	[ "$rc" = 0 ] && ! grep -q '# SKIP' /tmp/out
}

# Every step of making one fails once.
steps_on() {
	TMK_BACKEND=$1 /vm/unit/region_fault >/tmp/out
	rc=$?
	cat /tmp/out
	[ "$rc" = 0 ] && grep -q ' hugetlb: [5-9] steps' /tmp/out
}

plan 5
echo 2G >/sys/kernel/tmk/physical_max
check module whole hugetlb
check library_dev library_on dev
check library_user library_on user
check steps_dev steps_on dev
check steps_user steps_on user
exit "$failed"
