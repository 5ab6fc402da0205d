# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tmkctl. It uses what every user of the library has: the public headers and
# libtmk.so, which is found beside it ($ORIGIN/../lib) or where the loader looks.

TMKCTL_SRC := $(wildcard tools/*.c)
TMKCTL_OBJ := $(TMKCTL_SRC:%.c=$(B)/%.o)
TMKCTL_CFLAGS := -DTMK_META_VERSION='"$(META_VERSION)"' \
	-DTMK_META_KERNEL_MIN='"$(call meta,Kernel-Min)"' \
	-DTMK_META_KERNEL_MAX='"$(call meta,Kernel-Max)"'

tools: $(B)/tools/tmkctl

$(B)/tools/tmkctl: $(TMKCTL_OBJ) $(B)/lib/libtmk.so
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(TMKCTL_OBJ) $(LDFLAGS_ALL) -L$(B)/lib -ltmk \
		-Wl,-rpath,'$$ORIGIN/../lib'

$(B)/tools/%.o: tools/%.c META
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(TMKCTL_CFLAGS) -c -o $@ $<

-include $(TMKCTL_OBJ:.o=.d)

.PHONY: install-tools
install: install-tools
install-tools: tools
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(Q)install -m 755 $(B)/tools/tmkctl $(DESTDIR)$(PREFIX)/bin/
	$(Q)install -m 644 tools/completion/tmkctl.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/tmkctl
