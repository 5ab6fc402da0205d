#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=1024 cmdline=init_on_alloc=0
#
# Debian's kernels clear every page that is allocated, so that memory which the
# module forgot to clear would never be seen. Here they do not.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# shellcheck disable=SC2317 # check calls it
not_cleared_by_the_kernel() {
	dmesg | grep 'heap alloc:off'
}

plan 4
check not_cleared_by_the_kernel
check pool whole_with own pool no_bit_is_ever_stale
check trim whole_with own trim
check region whole_with own region
exit "$failed"
