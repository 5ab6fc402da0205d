#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768 disk=48:ext4 modprobe=brd
#
# A machine with a disk whose file system can be full.

echo "KTAP version 1"
echo "1..1"
if /vm/tests/file >/tmp/out && ! grep SKIP /tmp/out; then
	echo "ok 1 file"
else
	sed 's/^/# /' /tmp/out
	echo "not ok 1 file"
	exit 1
fi
