#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=1024 numa=2
#
# Two NUMA nodes, with either answer to who allocates the pages.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

plan 2
check own whole_with own numa
check shmem whole_with shmem numa
exit "$failed"
