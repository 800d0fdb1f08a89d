# sbx: one Makefile. `make help` lists the targets. Objects go to build/$(MODE)/, programs to build/bin/.

MODE ?= release
ifdef DEBUG
MODE := debug
endif
CC ?= gcc
B := build/$(MODE)
BIN := build/bin
PREFIX ?= /usr/local
V ?= 0
ifeq ($(V),0)
Q := @
say = @echo "  $(1) $(2)"
else
Q :=
say = @:
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla \
	-Wundef -Wwrite-strings -Wpointer-arith -Wimplicit-fallthrough -Wformat=2 -Werror
HARDEN := -fPIE -fstack-protector-strong -fno-common -fno-strict-aliasing -fno-delete-null-pointer-checks
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -g -I. -MMD -MP $(WARN) $(HARDEN) $(CFLAGS)
LIBS_sbx := -ljson-c -lseccomp
LDFLAGS_release := -static-pie -Wl,-z,relro,-z,now -Wl,--gc-sections
LDFLAGS_debug := -fsanitize=address,undefined -pie
LDFLAGS_tsan := -fsanitize=thread -pie
CFLAGS_release := -O2 -DSBX_STATIC=1 -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections
CFLAGS_debug := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	-DSBX_DEBUG -DSBX_LOCK_CHECK
CFLAGS_tsan := -O1 -fsanitize=thread -DSBX_DEBUG

# ---- rooms -------------------------------------------------------------------------------------------
# Every .c and .S file of a room but its tests and its programs' main files.
MAINS := sentry/boot/main.c sentry/cmd/main.c gofer/main.c netstack/nat/main.c cvm-host/main.c cvm-host/guest/main.c
FREESTANDING := $(wildcard platform/systrap/stub/*.c platform/systrap/stub/*.S)
RULES_GEN := platform/host/rules_gen.c
ROOM_DIRS := $(shell find platform netstack gofer sentry cvm-host tests/harness -type d 2>/dev/null)
ALL_SRC := $(foreach d,$(ROOM_DIRS),$(wildcard $(d)/*.c $(d)/*.S))
TEST_SRC := $(filter %_test.c,$(ALL_SRC))
LIB_SRC := $(filter-out $(TEST_SRC) $(MAINS) $(FREESTANDING) $(RULES_GEN) tests/%,$(ALL_SRC))
obj = $(patsubst %,$(B)/%.o,$(basename $(1)))
confined_obj = $(patsubst %,$(B)/$(MUSL)%.o,$(basename $(1)))

HOST_ROOMS := sentry/cmd/% sentry/oci/%
GOFER_SERVER := gofer/server% gofer/session% gofer/handle% gofer/hostfs% gofer/filter%
SBX_SRC := $(filter $(HOST_ROOMS) sentry/control/% platform/base/% platform/host/% netstack/nat/rule.c,$(LIB_SRC)) sentry/cmd/main.c
SENTRY_SRC := $(filter-out $(HOST_ROOMS) $(GOFER_SERVER) netstack/nat/% cvm-host/%,$(LIB_SRC)) sentry/boot/main.c
GOFER_SRC := $(filter platform/arch/% platform/base/% platform/host/% gofer/%,$(LIB_SRC)) gofer/main.c

NET_SRC := $(filter platform/base/% platform/host/% netstack/nat/%,$(LIB_SRC)) netstack/nat/main.c

CVM_SRC := $(filter-out cvm-host/guest/%,$(filter platform/base/% platform/host/% cvm-host/%,$(LIB_SRC))) cvm-host/main.c
# PID 1 of a confidential VM: static, the client's half of the broker protocol, no verifier.
GUEST_INIT_SRC := $(filter cvm-host/guest/% cvm-host/volume/% cvm-host/image/cpio.c cvm-host/launch/verbs.c \
	$(patsubst %,cvm-host/kbs/%.c,client protocol http json util jwe jwk jws tls manifest merkle tee_json) cvm-host/attest/names.c \
	platform/base/%,$(LIB_SRC)) cvm-host/guest/main.c

PROGRAMS := $(BIN)/sbx $(BIN)/sbx-sentry $(BIN)/sbx-gofer $(BIN)/sbx-net $(BIN)/sbx-cvm $(BIN)/sbx-guest

# sbx-cvm is an ordinary host program: it links shared libraries, and is no part of running a sandbox.
CVM_LIBS := -lssl -lcrypto -ljansson -lcbor -lxml2
LIBS_sbx-cvm := $(CVM_LIBS)
LIBS_sbx-guest := -lssl -lcrypto -ljansson
# libcrypto names functions of libc that a static program should not call, and that nothing here reaches
$(B)/prog/sbx-guest: LDFLAGS_release += -Wl,--no-warnings -s
$(B)/prog/sbx-cvm: LDFLAGS_release := -pie -Wl,-z,relro,-z,now -Wl,--gc-sections
$(B)/cvm-host/%.o: CFLAGS_ALL += -I/usr/include/libxml2

.PHONY: all
all: $(PROGRAMS)

$(B)/prog/sbx: $(call obj,$(SBX_SRC)) $(B)/gen/filters.o
$(B)/prog/sbx-net: $(call obj,$(NET_SRC)) $(B)/gen/filters.o
$(B)/prog/sbx-cvm: $(call obj,$(CVM_SRC))
$(B)/prog/sbx-guest: $(call obj,$(GUEST_INIT_SRC))
$(B)/prog/%:
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_$(MODE)) $(LDFLAGS_$(MODE)) -o $@ $(filter %.o,$^) $(LIBS_$*) -lpthread

# build/bin holds the programs of the mode that was built last.
$(BIN)/%: $(B)/prog/% $(BIN)/.mode
	@mkdir -p $(BIN)
	$(Q)cp -f $< $@

.PHONY: FORCE
$(BIN)/.mode: FORCE
	@mkdir -p $(BIN); [ "$$(cat $@ 2>/dev/null)" = "$(MODE)" ] || echo "$(MODE)" > $@

# a test may cut a path of its own making
$(B)/%_test.o: FILE_CFLAGS := -Wno-format-truncation

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(CFLAGS_$(MODE)) $(FILE_CFLAGS) -c -o $@ $<

$(B)/%.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(CFLAGS_$(MODE)) -c -o $@ $<

# ---- the seccomp lists: made from the HOSTCALL lines of hostcall.c by a program that runs now --------------
$(B)/gen/rules_gen: $(RULES_GEN)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -fno-toplevel-reorder -I. -MMD -MP $(WARN) -o $@ $< -lseccomp
$(B)/gen/filters.c: $(B)/gen/rules_gen
	$(Q)$< >$@.new && mv $@.new $@
$(B)/gen/filters.o: $(B)/gen/filters.c
	$(Q)$(CC) $(CFLAGS_ALL) $(CFLAGS_$(MODE)) -c -o $@ $<

# ---- the stub of platform systrap: freestanding, at a fixed address, embedded as a flat image -------------
STUB_CFLAGS := -std=gnu11 -O2 -I. -MMD -MP -Wall -Wextra -Werror -ffreestanding -fPIE -fvisibility=hidden \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-jump-tables -fcf-protection=none -mno-red-zone \
	-mgeneral-regs-only
STUB_OBJ := $(patsubst %,$(B)/%.stub.o,$(basename $(FREESTANDING)))
STUB_BIN := $(B)/platform/systrap/stub.bin
$(B)/%.stub.o: %.c
	@mkdir -p $(@D)
	$(call say,STUB,$<)
	$(Q)$(CC) $(STUB_CFLAGS) -c -o $@ $<
$(B)/%.stub.o: %.S
	@mkdir -p $(@D)
	$(call say,STUB,$<)
	$(Q)$(CC) $(STUB_CFLAGS) -c -o $@ $<
$(STUB_BIN): $(STUB_OBJ) platform/systrap/stub/stub.lds
	$(Q)$(LD) -T platform/systrap/stub/stub.lds --no-dynamic-linker -static -nostdlib -o $(@:.bin=.elf) $(STUB_OBJ)
	$(Q)objcopy -O binary -j .text $(@:.bin=.elf) $@
$(B)/platform/systrap/blob.o: CFLAGS_ALL += -DSTUB_BLOB=\"$(STUB_BIN)\"
$(B)/platform/systrap/blob.o: $(STUB_BIN)

# ---- the sentry and the gofer are linked against musl: a static program of glibc's asks the processor some forty
# questions before main, and on a virtual machine each is a journey to the host. Debug builds keep glibc, whose
# sanitizers they need, and so does everybody who has no musl.
MUSL_ARCH := $(shell uname -m)-linux-musl
ifeq ($(MODE),release)
MUSL_LIB := $(dir $(firstword $(wildcard /usr/lib/$(MUSL_ARCH)/libc.a)))
endif
ifneq ($(MUSL_LIB),)
MUSL := musl/
# musl's headers, the compiler's, and the kernel's through links: the folder that they share with glibc's can't be named
MUSL_CFLAGS := -nostdinc -isystem /usr/include/$(MUSL_ARCH) -isystem $(shell $(CC) -print-file-name=include) \
	-isystem $(B)/musl/include
MUSL_LINK := -nostdlib -static-pie -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--no-dynamic-linker \
	$(MUSL_LIB)rcrt1.o $(MUSL_LIB)crti.o
MUSL_LIBS := $(MUSL_LIB)libc.a $(shell $(CC) -print-file-name=libgcc.a) $(MUSL_LIB)crtn.o
$(B)/musl/include/.done:
	@mkdir -p $(@D)
	$(Q)ln -sfn /usr/include/linux /usr/include/asm-generic $(@D)
	$(Q)ln -sfn $$(dirname $$(echo '#include <asm/errno.h>' | $(CC) -E -M - | grep -o '/[^ ]*asm/errno.h')) $(@D)/asm
	@touch $@
$(B)/musl/%.o: %.c $(B)/musl/include/.done
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(filter-out -D_FORTIFY_SOURCE=%,$(CFLAGS_$(MODE))) $(MUSL_CFLAGS) $(FILE_CFLAGS) -c -o $@ $<
$(B)/musl/%.o: %.S $(B)/musl/include/.done
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(MUSL_CFLAGS) -c -o $@ $<
$(B)/musl/gen/filters.o: $(B)/gen/filters.c $(B)/musl/include/.done
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(MUSL_CFLAGS) -c -o $@ $<
$(B)/musl/platform/systrap/blob.o: CFLAGS_ALL += -DSTUB_BLOB=\"$(STUB_BIN)\"
$(B)/musl/platform/systrap/blob.o: $(STUB_BIN)
# the compiler may not see the functions in themselves
$(B)/musl/platform/arch/x86_64/mem.o: FILE_CFLAGS := -fno-builtin -fno-tree-loop-distribute-patterns
link_confined = $(CC) $(MUSL_LINK) $(1) -o $@ $(filter %.o,$^) $(MUSL_LIBS)
else
link_confined = $(CC) $(CFLAGS_$(MODE)) $(LDFLAGS_$(MODE)) $(1) -o $@ $(filter %.o,$^) -lpthread
endif
$(B)/prog/sbx-sentry: $(call confined_obj,$(SENTRY_SRC)) $(B)/$(MUSL)gen/filters.o
$(B)/prog/sbx-gofer: $(call confined_obj,$(GOFER_SRC)) $(B)/$(MUSL)gen/filters.o
$(B)/prog/sbx-sentry $(B)/prog/sbx-gofer:
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(call link_confined,)

# `make room R=sentry/vfs` compiles one room.
.PHONY: room
room: $(call obj,$(filter $(R)/%,$(LIB_SRC) $(MAINS)))

# ---- unit tests: one program of all *_test.c files, linked against everything ---------------------------
comma := ,
UNIT := $(B)/unit-tests
$(UNIT): $(call obj,$(TEST_SRC) $(wildcard tests/harness/*.c)) $(B)/libsbx.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_$(MODE)) $(filter-out -static-pie -Wl$(comma)--gc-sections,$(LDFLAGS_$(MODE))) -pie -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(B)/libsbx.a -Wl,--end-group $(CVM_LIBS) -lcriterion $(LIBS_sbx) -lpthread

$(B)/libsbx.a: $(call obj,$(LIB_SRC)) $(B)/gen/filters.o
	$(Q)rm -f $@ && ar rcs $@ $^

.PHONY: check-unit
check-unit: $(UNIT)
	$(Q)$(UNIT) -j2 --timeout 60

.PHONY: clean
clean:
	rm -rf build

-include tests/tests.mk
-include $(shell find $(B) -name '*.d' 2>/dev/null)
