#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# needs: kernels
#
# The module's sources as DKMS gets them: built for every kernel of META, refused
# outside of them, in trees of this test.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL

meta() { sed -n "s/^$1: *//p" "$TOP/META"; }

VERSION=$(meta Version)

install_sources() {
	run make -s -C "$TOP" install-dkms install-system DESTDIR="$TMP/dest"
	expect_rc 0
	mkdir "$TMP/tree"
}

# dkms for a kernel by its release, with the headers of a series.
dkms_build() {
	run dkms build --dkmstree "$TMP/tree" --sourcetree "$TMP/dest/usr/src" \
		--kernelsourcedir "$TOP/build/kernels/$1/build" -m tmk -v "$VERSION" -k "$2"
}

test_builds_for_every_kernel() {
	local series release ko

	[ "$(id -u)" = 0 ] || skip "needs root"
	install_sources
	for series in "$(meta Kernel-Min)" "$(meta Kernel-Max)"; do
		release=$(cat "$TOP/build/kernels/$series/release")
		dkms_build "$series" "$release"
		expect_rc 0
		ko=$(find "$TMP/tree/tmk/$VERSION/$release" -name 'tmk.ko*')
		[ -n "$ko" ] || fail "no module for $release"
		modinfo -F vermagic "$ko" | grep -qF "$release " || fail "wrong vermagic"
		modinfo -F version "$ko" | grep -qxF "$VERSION" || fail "wrong version"
	done
}

test_refused_outside_the_range() {
	local release

	[ "$(id -u)" = 0 ] || skip "needs root"
	install_sources
	for release in 5.10.0-9-amd64 6.0.0-1-amd64 6.13.0-1-amd64 7.1.0-1-amd64; do
		dkms_build 6.1 "$release"
		[ "$RC" != 0 ] || { show; fail "accepted for $release"; }
		cat "$TMP/out" "$TMP/err" | grep -q 'BUILD_EXCLUSIVE' || { show; fail "no reason"; }
	done
}

test_what_is_installed() {
	install_sources
	for f in udev/rules.d/60-tmk.rules sysusers.d/tmk.conf modprobe.d/tmk.conf \
		modules-load.d/tmk.conf; do
		[ -f "$TMP/dest/usr/lib/$f" ] || fail "no $f"
	done
	# The options that it names are the module's.
	modinfo "$TOP/build/kmod/6.12/tmk.ko" >"$TMP/info"
	sed -n 's/^#options tmk //p' "$TOP/packaging/modprobe.d/tmk.conf" |
		tr ' ' '\n' | while read -r option; do
		grep -q "^parm: *${option%%=*}:" "$TMP/info" ||
			fail "no parameter ${option%%=*}"
	done
}

ktap_main
