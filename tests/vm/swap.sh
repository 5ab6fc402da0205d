#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=384 swap=256
#
# Little memory and a disk to swap to, with either answer to who allocates the
# pages.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

plan 2
check own whole_with own swap
check shmem whole_with shmem swap
exit "$failed"
