#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=2560 gigantic=1
#
# A machine with a page of 1 GiB. Half of its memory is less than that and the
# pool together, so the limit is raised.

echo "KTAP version 1"
echo "1..1"
echo 2G >/sys/kernel/tmk/physical_max
if /vm/tests/hugetlb >/tmp/out && ! grep SKIP /tmp/out; then
	echo "ok 1 hugetlb"
else
	sed 's/^/# /' /tmp/out
	echo "not ok 1 hugetlb"
	exit 1
fi
