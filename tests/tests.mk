# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# Test programs are found by place. Kselftests are static, so that they run in
# a bare initramfs; unit tests see the library's insides and link it statically.

UNIT_PROGS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,\
	$(wildcard tests/unit/*.c))
KSELF_PROGS := $(patsubst tests/kselftest/%.c,build/tests/kselftest/%,\
	$(wildcard tests/kselftest/*.c))
KDEBUG_PROGS := $(patsubst tests/kselftest-debug/%.c,\
	build/tests/kselftest-debug/%,$(wildcard tests/kselftest-debug/*.c))
SHIM_PROGS := $(patsubst tests/shim/%.c,$(B)/tests/shim/%,\
	$(wildcard tests/shim/*.c))

.PHONY: tests-unit tests-kselftest tests-kselftest-debug tests-shim
tests: tests-unit tests-kselftest tests-kselftest-debug tests-shim
tests-unit: $(UNIT_PROGS)
tests-kselftest: $(KSELF_PROGS)
tests-kselftest-debug: $(KDEBUG_PROGS)
tests-shim: $(SHIM_PROGS)

$(B)/tests/unit/%: tests/unit/%.c $(LIB_TEST_A)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -Itests/harness -Ilib -Itests/unit -o $@ $< \
		$(LIB_TEST_A) $(LDFLAGS_ALL) $(LIB_LIBS)

build/tests/kselftest/%: tests/kselftest/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out $(SAN_FLAGS),$(CFLAGS_ALL)) -Itests/harness \
		-Itests/kselftest -o $@ $< -static -pthread

build/tests/kselftest-debug/%: tests/kselftest-debug/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out $(SAN_FLAGS),$(CFLAGS_ALL)) -Itests/harness \
		-Itests/kselftest -o $@ $< -static -pthread

# Pure kernel code in user space, on stand-ins for the kernel's headers.
$(B)/tests/shim/%: tests/shim/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -Itests/shim/include -Ikmod $(CFLAGS_ALL) -Itests/harness \
		-o $@ $< $(LDFLAGS_ALL)

.PHONY: test-debug fuzz-kernel stress-kernel test-storm
test-storm: ## heavy: 1,000 rounds of killing processes (ROUNDS=N)
	$(Q)scripts/test-storm --rounds $(or $(ROUNDS),1000)

fuzz-kernel: ## heavy: fuzz the module for 30 minutes (MINUTES=N)
	$(Q)tests/fuzz/kernel/run --minutes $(or $(MINUTES),30)

stress-kernel: ## heavy: stress-ng on the device for 10 minutes (MINUTES=N)
	$(Q)tests/fuzz/kernel/stress --minutes $(or $(MINUTES),10)

test-debug: ## heavy: every kselftest on a kernel that looks for bugs
	$(Q)scripts/test-debug

-include $(UNIT_PROGS:=.d) $(KSELF_PROGS:=.d) $(KDEBUG_PROGS:=.d) \
	$(SHIM_PROGS:=.d)
