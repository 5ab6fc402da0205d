# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# The example programs, built as a user would: public headers and libtmk.so.

EXAMPLES_LINK = $(LDFLAGS_ALL) -L$(B)/lib -ltmk -Wl,-rpath,'$$ORIGIN/../lib'

DIGITS_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard examples/digits*.c))
HELLO_OBJ := $(B)/examples/hello.o

examples: $(B)/examples/digits $(B)/examples/hello

$(B)/examples/digits: $(DIGITS_OBJ) $(B)/lib/libtmk.so
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(DIGITS_OBJ) $(EXAMPLES_LINK) -lz -lm

$(B)/examples/hello: $(HELLO_OBJ) $(B)/lib/libtmk.so
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(HELLO_OBJ) $(EXAMPLES_LINK)

$(B)/examples/%.o: examples/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

-include $(DIGITS_OBJ:.o=.d) $(HELLO_OBJ:.o=.d)
