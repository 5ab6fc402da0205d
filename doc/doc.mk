# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# Manual pages. A page of section 3 is about several functions: each name in its
# NAME gets a link to it.

MANDIR ?= $(PREFIX)/share/man
MAN_PAGES := $(wildcard doc/man/*.[1-8])

.PHONY: install-man
install: install-man
install-man: ## the manual pages to $(DESTDIR)$(MANDIR)
	$(Q)for page in $(MAN_PAGES); do \
		to=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
		install -d $$to && install -m 644 $$page $$to/ || exit 1; \
	done
	$(Q)for page in $(filter %.3,$(MAN_PAGES)); do \
		sed -n '/^\.SH NAME/,/^\.SH SYNOPSIS/p' $$page | tr ',\n' '  ' | \
			sed 's/\.SH NAME//; s/ \\-.*//' | tr -s ' ' '\n' | \
			grep . | while read -r name; do \
			ln -sf $${page##*/} $(DESTDIR)$(MANDIR)/man3/$$name.3; \
		done; \
	done
