#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=384 swap=256
#
# Little memory and a disk to swap to, with either answer to who allocates the
# pages.

failed=0

# with NR POPULATE
with() {
	rmmod tmk
	insmod /vm/tmk.ko populate="$2"
	# A program that skips all of its tests has not seen the swap.
	if /vm/tests/swap >/tmp/out; then
		echo "ok $1 $2"
	else
		sed 's/^/# /' /tmp/out
		echo "not ok $1 $2"
		failed=1
	fi
}

echo "KTAP version 1"
echo "1..2"
with 1 own
with 2 shmem
exit $failed
