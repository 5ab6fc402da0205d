#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The inlined allocation as programs get it: compiled with and without
# optimisation by each compiler, in a library that is loaded at run time, and from
# a language that has no headers.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export TMK_BACKEND=user

program() {
	cat <<'END'
#include <stdio.h>
#include <tmk/tmk.h>

#ifdef __cplusplus
extern "C"
#endif
int step(void);

int step(void)
{
	struct tmk_workspace_opts opts = TMK_WORKSPACE_OPTS_INIT;
	struct tmk_workspace_info info;
	struct tmk_workspace *ws;
	void *p, *first = NULL;
	int i, err;

	opts.initial_bytes = 1 << 20;
	err = tmk_workspace_create(&ws, "inline", &opts) ||
	      tmk_workspace_push(ws);
	for (i = 0; i < 100 && !err; i++) {
		err = tmk_workspace_alloc(&p, ws, 100, false);
		first = first ? first : p;
	}
	if (err || tmk_workspace_info(&info, ws))
		return puts(tmk_error_last()), 1;
	printf("%d, then %d\n", (int)((char *)p - (char *)first),
	       (int)info.offset);
	return tmk_workspace_pop(ws) || tmk_workspace_destroy(ws);
}

#ifdef MAIN
int main(void)
{
	return step();
}
#endif
END
}

SAID='^12672, then 12800$'

san_flags() {
	case $B in
	*/asan) echo "-fsanitize=address,undefined" ;;
	*/tsan) echo "-fsanitize=thread" ;;
	esac
}

# What object $1 takes from the library.
takes() {
	nm -u "$1" | sed 's/^ *U //'
}

test_every_compiler() {
	local compiler language level

	program >"$TMP/step.c"
	for compiler in "gcc c" "g++ c++" "clang-14 c" "clang++-14 c++"; do
		read -r compiler language <<<"$compiler"
		command -v "$compiler" >/dev/null || continue
		for level in -O0 -O2; do
			run "$compiler" -x "$language" "$level" -Wall -Wextra -Wpedantic -Werror \
				-DMAIN -Iinclude -c -o "$TMP/step.o" "$TMP/step.c"
			expect_rc 0
			if [ "$level" = -O0 ]; then
				takes "$TMP/step.o" | grep -qx tmk_workspace_alloc
			else
				takes "$TMP/step.o" | grep -qx tmk_workspace_innermost
			fi || fail "$compiler $level: $(takes "$TMP/step.o")"
			# shellcheck disable=SC2046
			run gcc -o "$TMP/step" "$TMP/step.o" $(san_flags) -L"$B/lib" -ltmk \
				-Wl,-rpath,"$TOP/$B/lib"
			expect_rc 0
			run "$TMP/step"
			expect_rc 0
			expect_out "$SAID"
		done
	done
}

test_static() {
	program >"$TMP/step.c"
	# shellcheck disable=SC2046
	run gcc -O2 -DMAIN -Iinclude -o "$TMP/step" "$TMP/step.c" $(san_flags) "$B/lib/libtmk.a" \
		-lopenblas -lm -pthread
	expect_rc 0
	run "$TMP/step"
	expect_rc 0
	expect_out "$SAID"
}

# Neither the plugin nor libtmk is there when the program starts.
test_plugin() {
	program >"$TMP/step.c"
	[ "$B" = build ] || skip "a sanitizer's runtime must be there first"
	run gcc -O2 -fPIC -shared -Iinclude -o "$TMP/step.so" "$TMP/step.c" -L"$B/lib" -ltmk \
		-Wl,-rpath,"$TOP/$B/lib"
	expect_rc 0
	cat >"$TMP/main.c" <<-'END'
		#include <dlfcn.h>
		#include <stdio.h>

		int main(int argc, char **argv)
		{
			void *lib = dlopen(argv[argc - 1], RTLD_NOW);
			int (*step)(void) = lib ? dlsym(lib, "step") : NULL;

			return step ? step() : (puts(dlerror()), 2);
		}
	END
	run gcc -o "$TMP/main" "$TMP/main.c"
	expect_rc 0
	run "$TMP/main" "$TMP/step.so"
	expect_rc 0
	expect_out "$SAID"
}

test_no_headers() {
	[ "$B" = build ] || skip "a sanitizer's runtime must be there first"
	cat >"$TMP/step.py" <<-'END'
		import ctypes as c, sys

		tmk = c.CDLL(sys.argv[1])
		ws, p, first = c.c_void_p(), c.c_void_p(), None
		assert not tmk.tmk_workspace_create(c.byref(ws), b"python", None)
		for cycle in range(2):
		    assert not tmk.tmk_workspace_push(ws)
		    for i in range(100):
		        assert not tmk.tmk_workspace_alloc(c.byref(p), ws, c.c_size_t(100), False)
		        first = p.value if not i else first
		    assert not tmk.tmk_workspace_pop(ws)
		print(p.value - first)
	END
	run python3 "$TMP/step.py" "$B/lib/libtmk.so"
	expect_rc 0
	expect_out '^12672$'
}

ktap_main
