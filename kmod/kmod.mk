# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tmk.ko for each kernel under build/kernels. The sources are copied first,
# because kbuild writes beside them.

KMOD_SRC := Kbuild META $(shell find kmod include/uapi -type f)
KMOD_KO := $(META_KERNELS:%=build/kmod/%/tmk.ko)

.PHONY: kmod kmod-sparse
kmod: $(KMOD_KO)

build/kmod/%/tmk.ko: $(KMOD_SRC)
	$(call say,KBUILD,$@)
	+$(Q)scripts/build-kmod $* $(if $(V),V=1) KCFLAGS=-Werror W=1

kmod-sparse: $(META_KERNELS:%=kmod-sparse-%) ## check the module with sparse
kmod-sparse-%:
	$(call say,SPARSE,$*)
	+$(Q)scripts/build-kmod --sparse $*
