# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# libtmk: every .c below lib/, twice. Once position-independent, for the shared
# and for the static library; once with fault points (TMK__FAULTS), for the
# library that the unit tests link.

LIB_SRC := $(sort $(wildcard lib/*.c lib/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIB_TEST_OBJ := $(LIB_SRC:lib/%.c=$(B)/lib/test/%.o)
LIB_HEADERS := $(sort $(wildcard include/tmk/*.h))
LIB_LIBS := -lopenblas -lm
LIB_SONAME := libtmk.so.$(META_SONAME)
LIB_REAL := $(LIB_SONAME).0.0
LIB_CFLAGS := -Ilib -DTMK_VERSION_STRING='"$(META_VERSION)"'
LIB_TEST_A := $(B)/lib/libtmk-test.a

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

.PHONY: install install-lib
lib: $(B)/lib/libtmk.a $(B)/lib/libtmk.so $(B)/lib/libtmk.pc $(LIB_TEST_A)

$(B)/lib/%.o: lib/%.c META
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LIB_CFLAGS) -fPIC -c -o $@ $<

$(B)/lib/test/%.o: lib/%.c META
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LIB_CFLAGS) -DTMK__FAULTS -c -o $@ $<

$(B)/lib/libtmk.a: $(LIB_OBJ)
$(LIB_TEST_A): $(LIB_TEST_OBJ)
$(B)/lib/libtmk.a $(LIB_TEST_A):
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

# What is exported is what the headers declare, under the version that META says.
$(B)/lib/libtmk.map: lib/libtmk.map lib/map-check $(LIB_HEADERS) META
	$(call say,MAP,$@)
	$(Q)mkdir -p $(@D)
	$(Q)lib/map-check $< $(META_SONAME) $(LIB_HEADERS)
	$(Q)cp $< $@

$(B)/lib/$(LIB_REAL): $(LIB_OBJ) $(B)/lib/libtmk.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(LIB_SONAME) \
		-Wl,--version-script=$(B)/lib/libtmk.map \
		-Wl,--no-undefined-version $(if $(SAN),,-Wl,-z,defs) \
		-o $@ $(LIB_OBJ) $(LDFLAGS_ALL) $(LIB_LIBS)

$(B)/lib/$(LIB_SONAME): $(B)/lib/$(LIB_REAL)
	$(Q)ln -sf $(LIB_REAL) $@

$(B)/lib/libtmk.so: $(B)/lib/$(LIB_SONAME)
	$(Q)ln -sf $(LIB_SONAME) $@

# Paths below the prefix are said in terms of it, so that the file can be moved.
lib-pc = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(META_VERSION)|' \
	-e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' \
	-e 's|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' \
	lib/libtmk.pc.in

$(B)/lib/libtmk.pc: lib/libtmk.pc.in META
	$(Q)mkdir -p $(@D)
	$(Q)$(lib-pc) >$@

install: install-lib ## the library, and what the other parts install
install-lib: lib ## headers and library to $(DESTDIR)$(PREFIX)
	$(Q)install -d $(DESTDIR)$(INCLUDEDIR)/tmk \
		$(DESTDIR)$(INCLUDEDIR)/linux $(DESTDIR)$(LIBDIR)/pkgconfig
	$(Q)install -m 644 $(LIB_HEADERS) include/tmk/tmk.hpp \
		$(DESTDIR)$(INCLUDEDIR)/tmk/
	$(Q)install -m 644 include/uapi/linux/tmk.h \
		$(DESTDIR)$(INCLUDEDIR)/linux/
	$(Q)install -m 644 $(B)/lib/libtmk.a $(DESTDIR)$(LIBDIR)/
	$(Q)install -m 755 $(B)/lib/$(LIB_REAL) $(DESTDIR)$(LIBDIR)/
	$(Q)ln -sf $(LIB_REAL) $(DESTDIR)$(LIBDIR)/$(LIB_SONAME)
	$(Q)ln -sf $(LIB_SONAME) $(DESTDIR)$(LIBDIR)/libtmk.so
	$(Q)$(lib-pc) >$(DESTDIR)$(LIBDIR)/pkgconfig/libtmk.pc
	$(Q)chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libtmk.pc

-include $(LIB_OBJ:.o=.d) $(LIB_TEST_OBJ:.o=.d)
