#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768 swap=640 cmdline=hibernate=nocompress
#
# What is done to the whole machine, with room for an image of it.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

plan 1
check power whole power
exit "$failed"
