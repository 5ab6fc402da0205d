# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# shellcheck shell=bash
#
# What the scripts share. Source it; it changes to the top of the tree.

TMK_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$TMK_TOP" || exit 1

say() { printf '%s\n' "$*"; }
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# META's value for a key.
meta() { sed -n "s/^$1: *//p" "$TMK_TOP/META"; }

# The kernel series that are supported, oldest first.
kernels() { printf '%s %s\n' "$(meta Kernel-Min)" "$(meta Kernel-Max)"; }

# Run a command as root: directly, or through sudo without asking.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
	else
		die "'$*' needs root: run me as root, or where sudo asks for no password"
	fi
}

# Print those of the named packages that are not installed.
packages_missing() {
	local p
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || printf '%s\n' "$p"
	done
}

# Install what is missing of the named packages; silent when nothing is.
packages_need() {
	local missing
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086
	set -- $missing
	say "installing: $*"
	export DEBIAN_FRONTEND=noninteractive
	mkdir -p build/log
	if ! { as_root apt-get update && as_root apt-get install -y \
		--no-install-recommends "$@"; } >build/log/apt.log 2>&1; then
		tail -n 5 build/log/apt.log >&2
		die "apt could not install: $* (build/log/apt.log)"
	fi
}
