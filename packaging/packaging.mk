# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# What an operator's machine gets beside the library: the module's sources for
# DKMS, and who may open the device.

UDEVDIR ?= /usr/lib/udev/rules.d
SYSUSERSDIR ?= /usr/lib/sysusers.d
MODPROBEDIR ?= /usr/lib/modprobe.d
MODULESLOADDIR ?= /usr/lib/modules-load.d
DKMSDIR ?= /usr/src/tmk-$(META_VERSION)

# Of Kernel-Min 6.1 and Kernel-Max 6.12: 6.1 to 6.12.
META_MINORS := $(shell seq $(word 2,$(subst ., ,$(firstword $(META_KERNELS)))) \
	$(word 2,$(subst ., ,$(lastword $(META_KERNELS)))))
META_MAJOR := $(firstword $(subst ., ,$(firstword $(META_KERNELS))))
empty :=
space := $(empty) $(empty)
DKMS_KERNELS := ^$(META_MAJOR)[.]($(subst $(space),|,$(META_MINORS)))([^0-9]|$$)

.PHONY: install-dkms install-system
install-dkms: ## the module's sources for DKMS to $(DESTDIR)$(DKMSDIR)
	$(Q)install -d $(DESTDIR)$(DKMSDIR)
	$(Q)cp -r --parents Kbuild META kmod include/uapi LICENSES \
		$(DESTDIR)$(DKMSDIR)
	$(Q)sed -e 's/@VERSION@/$(META_VERSION)/' \
		-e 's/@KERNELS@/$(DKMS_KERNELS)/' packaging/dkms/dkms.conf.in \
		>$(DESTDIR)$(DKMSDIR)/dkms.conf

install-system: ## udev rule, group, module options to $(DESTDIR)/usr/lib
	$(Q)install -D -m 644 -t $(DESTDIR)$(UDEVDIR) packaging/udev/60-tmk.rules
	$(Q)install -D -m 644 -t $(DESTDIR)$(SYSUSERSDIR) \
		packaging/sysusers.d/tmk.conf
	$(Q)install -D -m 644 -t $(DESTDIR)$(MODPROBEDIR) \
		packaging/modprobe.d/tmk.conf
	$(Q)install -D -m 644 -t $(DESTDIR)$(MODULESLOADDIR) \
		packaging/modules-load.d/tmk.conf
