#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# Every public function that takes a tensor is given stale ones by a test: that
# it checks its arguments is not a matter of having thought of it.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

# Functions of the headers that have a tensor among their parameters, by name.
functions() {
	sed -e 's:/\*.*\*/::' -e '/\/\*/,/\*\//d' -e '/^#/d' include/tmk/tensor.h include/tmk/blas.h |
		tr -s '[:space:]' ' ' | tr ';' '\n' |
		sed -n 's/.*TMK_API.* \**\(tmk_[a-z0-9_]*\)( *\(.*struct tmk_tensor \*[a-z].*\)/\1/p'
}

test_every_function_is_tried_with_stale_tensors() {
	local name nr=0

	for name in $(functions); do
		nr=$((nr + 1))
		grep -qE "\\<$name\\(" tests/unit/stale_args.c tests/unit/workspace_stale.c ||
			fail "$name is not in tests/unit/stale_args.c"
	done
	echo "$nr functions"
	[ "$nr" -ge 35 ]
}

ktap_main
