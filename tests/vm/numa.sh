#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=1024 numa=2
#
# Two NUMA nodes, with either answer to who allocates the pages, and the library on
# both backends.
# Tests are called by name.
# shellcheck disable=SC2317

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# The library puts memory on each of them.
library_on() {
	echo 1G >/sys/kernel/tmk/physical_max
	TMK_BACKEND=$1 /vm/unit/node >/tmp/out
	rc=$?
	cat /tmp/out
	[ "$rc" = 0 ] && [ "$(grep -c ' 2 nodes$' /tmp/out)" = 2 ] &&
		! grep -q 'more_than_the_node_has # SKIP' /tmp/out
}

plan 4
check own whole_with own numa
check shmem whole_with shmem numa
check library_dev library_on dev
check library_user library_on user
exit "$failed"
