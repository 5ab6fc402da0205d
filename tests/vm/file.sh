#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768 disk=48:ext4 modprobe=brd
#
# A machine with a disk whose file system can be full.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

plan 1
check file whole file
exit "$failed"
