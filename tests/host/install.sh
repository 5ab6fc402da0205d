#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The library as a user gets it: installed, found by pkg-config, compiled
# against from C and from C++, linked dynamically and statically, and run.
#
# shellcheck disable=SC2317 # the functions are called by check()
set -u
cd "$(dirname "$0")/../.." || exit 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=/opt/tmk
root=$work/root
lib=$root$prefix/lib
export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
export TMK_BACKEND=user OPENBLAS_NUM_THREADS=1
unset MAKEFLAGS MAKELEVEL

nr=0
failed=0
check() {
	local name=$1 out
	shift
	nr=$((nr + 1))
	if out=$("$@" 2>&1); then
		echo "ok $nr $name"
	else
		printf '%s\n' "$out" | sed 's/^/# /'
		echo "not ok $nr $name"
		failed=1
	fi
}

cat >"$work/smoke.c" <<'EOF'
#include <stdio.h>
#include <string.h>
#include <linux/tmk.h>
#include <tmk/tmk.h>

int main(void)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
	struct tmk_region_opts region_opts = TMK_REGION_OPTS_INIT;
	struct tmk_workspace_opts ws_opts = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_region *region;
	struct tmk_workspace *ws;
	struct tmk_tensor *a, *b;
	int64_t shape[2] = { 2, 2 };
	float *c;

	opts.max_bytes = 64u << 20;
	region_opts.kind = TMK_KIND_HUGE;
	region_opts.name = "smoke";
	if (tmk_open(&opts) ||
	    tmk_region_create(&region, 1 << 20, &region_opts) ||
	    tmk_workspace_create(&ws, "smoke", &ws_opts))
		goto fail;
	memset(tmk_region_data(region), 1, tmk_region_bytes(region));
	tmk_region_put(region);
	TMK_WORKSPACE_SCOPE(ws) {
		if (tmk_tensor_create(&a, TMK_F32, 2, shape) ||
		    tmk_tensor_create(&b, TMK_F32, 2, shape) ||
		    tmk_tensor_fill(a, 3) ||
		    tmk_gemm(b, 1, a, false, a, true, 0))
			goto fail;
		c = (float *)tmk_tensor_data(b);
		printf("%s %g\n", tmk_version(), (double)c[3]);
	}
	if (tmk_workspace_destroy(ws) || tmk_close())
		goto fail;
	return TMK_IOC_ABI_VERSION != 1;
fail:
	fprintf(stderr, "%s\n", tmk_error_last());
	return 1;
}
EOF
cp "$work/smoke.c" "$work/smoke.cc"
version=$(sed -n 's/^Version: *//p' META)
soname=libtmk.so.$(sed -n 's/^Soname: *//p' META)

flags() { pkg-config "$@" libtmk; }
installed() {
	make -s install DESTDIR="$root" PREFIX="$prefix" || return 1
	local f
	for f in include/tmk/tmk.h include/tmk/region.h include/linux/tmk.h \
		lib/libtmk.a lib/libtmk.so "lib/$soname" "lib/$soname.0.0" \
		lib/pkgconfig/libtmk.pc bin/tmkctl; do
		[ -e "$root$prefix/$f" ] || { echo "no $f" && return 1; }
	done
}
no_paths() {
	! grep -r "$PWD\|$root" "$root$prefix/include" "$lib/pkgconfig"
}
pc_says() {
	[ "$(flags --modversion)" = "$version" ] &&
		[ "$(PKG_CONFIG_SYSROOT_DIR='' flags --variable=libdir)" = \
			"$prefix/lib" ] &&
		[ "$(PKG_CONFIG_SYSROOT_DIR='' flags --libs)" = \
			"-L$prefix/lib -ltmk " ]
}
soname_is() { readelf -d "$lib/libtmk.so" | grep -q "SONAME.*\[$soname\]"; }
exports() {
	local others
	others=$(nm -D --defined-only "$lib/libtmk.so" |
		grep -v ' T tmk_[a-z0-9_]*@@TMK_1\.0$\| D tmk_workspace_innermost@@TMK_1\.0$\| A TMK_1\.0')
	[ -z "$others" ] || { echo "$others" && return 1; }
}
smoke() {
	local want="$version 18" got
	got=$(LD_LIBRARY_PATH=$lib "$1") || return 1
	[ "$got" = "$want" ] || { echo "got '$got', not '$want'" && return 1; }
}
# shellcheck disable=SC2046 # the flags are words
build_c() {
	gcc -std=c11 -Wall -Wextra -Werror -o "$work/c" "$work/smoke.c" \
		$(flags --cflags --libs) && smoke "$work/c"
}
# shellcheck disable=SC2046
build_cxx() {
	g++ -std="$1" -Wall -Wextra -Wpedantic -Werror -o "$work/cxx" "$work/smoke.cc" \
		$(flags --cflags --libs) && smoke "$work/cxx"
}
# shellcheck disable=SC2046
build_static() {
	rm -f "$work/only/libtmk.a"
	mkdir -p "$work/only"
	cp "$lib/libtmk.a" "$work/only/"
	gcc -Wall -Werror -o "$work/static" "$work/smoke.c" \
		$(flags --cflags) -L"$work/only" \
		$(PKG_CONFIG_SYSROOT_DIR='' flags --static --libs) || return 1
	! ldd "$work/static" | grep -q libtmk && smoke "$work/static"
}
tmkctl_runs() { "$root$prefix/bin/tmkctl" --help | grep -qi usage; }
headers_alone() {
	local h
	for h in "$root$prefix"/include/tmk/*.h; do
		echo "#include <tmk/${h##*/}>" | gcc -std=c11 -Wall -Wextra \
			-Wpedantic -Werror -I"$root$prefix/include" -x c \
			-fsyntax-only - || return 1
	done
}

echo "KTAP version 1"
echo "1..11"
check "make install" installed
check "no path of the build is left in it" no_paths
check "pkg-config" pc_says
check "soname" soname_is
check "exports are tmk_ functions of one version, and one object" exports
check "each header stands alone" headers_alone
check "C" build_c
check "C++17" build_cxx c++17
check "C++20" build_cxx c++20
check "static" build_static
check "tmkctl finds the library" tmkctl_runs
exit $failed
