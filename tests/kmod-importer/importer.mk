# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The module that stands for a device in the test of dma-bufs.

IMPORTER_KO := $(META_KERNELS:%=build/kmod/%/tmk_importer.ko)

.PHONY: kmod-importer
kmod: kmod-importer
kmod-importer: $(IMPORTER_KO)

build/kmod/%/tmk_importer.ko: $(wildcard tests/kmod-importer/*) \
		build/kernels/%/release
	$(call say,KBUILD,$@)
	$(Q)tests/kmod-importer/build $* $(if $(V),V=1) KCFLAGS=-Werror
