# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tmk.ko for each kernel under build/kernels. The sources are copied first,
# because kbuild writes beside them.

KMOD_SRC := Kbuild META $(shell find kmod include/uapi -type f ! -name '*.md')
KMOD_KO := $(META_KERNELS:%=build/kmod/%/tmk.ko)

.PHONY: kmod kmod-sparse
kmod: $(KMOD_KO)

build/kmod/%/tmk.ko: $(KMOD_SRC) scripts/build-kmod build/kernels/%/release
	$(call say,KBUILD,$@)
	$(Q)scripts/build-kmod $* $(if $(V),V=1) KCFLAGS=-Werror

build/kernels/%/release:
	$(Q)scripts/get-kernels $*

kmod-sparse: $(META_KERNELS:%=kmod-sparse-%) ## check the module with sparse
kmod-sparse-%: | build/kernels/%/release
	$(call say,SPARSE,$*)
	$(Q)scripts/build-kmod --sparse $*
