# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# Benchmarks: tests/bench/run-guest and run-host build and run them. They print
# JSON and decide nothing.

# alloc_work is what host_alloc runs, of more than one source.
BENCH_HOST := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,\
	$(wildcard tests/bench/host_*.c) tests/bench/alloc_work.c)
BENCH_GUEST := $(patsubst tests/bench/%.c,build/tests/bench/%,\
	$(wildcard tests/bench/guest_*.c))

.PHONY: bench
bench: $(BENCH_HOST) $(BENCH_GUEST) ## the benchmarks (not run)
tests: bench

$(B)/tests/bench/alloc_work: tests/bench/alloc_replay.c \
			     tests/bench/alloc_threads.c

$(BENCH_HOST): $(B)/tests/bench/%: tests/bench/%.c $(B)/lib/libtmk.so
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -Itests/harness -o $@ $(filter tests/bench/%.c,$^) \
		$(LDFLAGS_ALL) -L$(B)/lib -ltmk \
		-Wl,-rpath,'$$ORIGIN/../../lib'

# Static, so that they run in a bare initramfs.
$(BENCH_GUEST): build/tests/bench/%: tests/bench/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out $(SAN_FLAGS),$(CFLAGS_ALL)) -o $@ $< -static

-include $(BENCH_HOST:=.d) $(BENCH_GUEST:=.d)
