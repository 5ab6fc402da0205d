# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# One non-recursive build. Each part brings its own fragment; everything that
# is generated goes under build/. `make help` lists the targets.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

meta = $(shell sed -n 's/^$(1): *//p' META)
META_VERSION := $(call meta,Version)
META_SONAME := $(call meta,Soname)
META_KERNELS := $(call meta,Kernel-Min) $(call meta,Kernel-Max)

# SAN=address|thread builds the same tree with sanitizers beside the plain one.
SAN ?=
ifeq ($(SAN),)
B := build
else ifeq ($(SAN),address)
B := build/asan
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	     -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
B := build/tsan
SAN_FLAGS := -fsanitize=thread -fno-omit-frame-pointer
else
$(error SAN must be empty, address or thread)
endif

CC := gcc
WERROR ?= -Werror
CFLAGS ?= -O2 -g
# Inside of the library a structure's members can be another one's: lib/ws.h.
ANON_MEMBERS := -fms-extensions -Wno-microsoft-anon-tag
CFLAGS_ALL = -std=gnu11 $(CFLAGS) -Wall -Wextra -Wmissing-prototypes \
	     -Wstrict-prototypes -Wshadow -Wvla -Wformat=2 -Wpointer-arith \
	     -Wundef $(WERROR) -fvisibility=hidden -pthread \
	     -Iinclude -Iinclude/uapi $(ANON_MEMBERS) $(SAN_FLAGS) -MMD -MP
LDFLAGS_ALL = $(LDFLAGS) -pthread $(SAN_FLAGS)

# V=1 shows the commands.
ifeq ($(V),1)
Q :=
say = @:
else ifneq ($(findstring s,$(filter-out --%,$(firstword $(MAKEFLAGS)))),)
Q := @
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

PARTS := lib/lib.mk tools/tools.mk examples/examples.mk tests/tests.mk \
	 tests/bench/bench.mk tests/kmod-importer/importer.mk kmod/kmod.mk \
	 doc/doc.mk packaging/packaging.mk
include $(wildcard $(PARTS))

.PHONY: all lib tools examples tests kmod check test clean help
all: lib tools examples ## library, tools and examples
lib: ## libtmk, static and shared
tools: ## tmkctl
examples: ## the example programs
tests: ## every test program (not run)
kmod: ## tmk.ko for each kernel under build/kernels

check: ## style, layers, ABI and documentation rules
	$(Q)for c in scripts/check-*; do $$c || exit 1; done

test: ## everything that CI runs
	$(Q)scripts/test

clean: ## remove what was built, keep the downloaded kernels
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name kernels ! -name cache \
		-exec rm -rf {} + 2>/dev/null || true

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## */\1 /p' Makefile $(wildcard $(PARTS)) | \
		awk '{ n = $$1; $$1 = ""; printf "  %-12s%s\n", n, $$0 }'
