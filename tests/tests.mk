# tests.mk: what `make check` runs. Each part ends with a line "N passed, N failed, N skipped"; the total is
# printed at the end.

PLATFORMS ?= ptrace systrap
GUEST_SRC := $(wildcard tests/guest/*.c)
GUEST_BIN := $(patsubst tests/guest/%.c,build/guest/%,$(GUEST_SRC))
HOSTILE_SRC := $(wildcard tests/guest/hostile/*.c)
HOSTILE_BIN := $(patsubst tests/guest/hostile/%.c,build/hostile/%,$(HOSTILE_SRC))

build/guest/%: tests/guest/%.c tests/guest/guest.h tests/guest/inet.h
	@mkdir -p $(@D)
	$(call say,GUEST,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wno-stringop-overflow -Wno-stringop-overread -Wno-unused-result -I. -static -o $@ $< -lpthread

build/hostile/%: tests/guest/hostile/%.c tests/guest/guest.h
	@mkdir -p $(@D)
	$(call say,GUEST,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wno-stringop-overflow -Wno-stringop-overread -Wno-unused-result -I. -static -o $@ $< -lpthread

# A real dockerd with sbx as a runtime, beside runc: needs root and the packages of `tests/deps docker`.
.PHONY: check-docker
check-docker: all
	$(Q)tests/deps docker
	$(Q)tests/docker/run

.PHONY: guests
guests: $(GUEST_BIN) $(HOSTILE_BIN)

# The guest programs on the host and under each platform, outputs compared.
.PHONY: check-guest
check-guest: all $(GUEST_BIN)
	$(Q)tests/guest/run $(PLATFORMS)

# Hostile programs for SECONDS each against the build in build/bin (use DEBUG=1).
SECONDS ?= 5
.PHONY: check-hostile
check-hostile: all $(HOSTILE_BIN)
	$(Q)tests/guest/hostile/run $(SECONDS) $(PLATFORMS)

# Fuzz targets (libFuzzer) over the rooms that they look at, FUZZ_SECONDS each; a target is tests/fuzz/NAME_fuzz.c.
FUZZ_SECONDS ?= 10
FUZZ_ROOMS := platform/base platform/host sentry/cred sentry/mem sentry/mm sentry/vfs sentry/fs/tmpfs sentry/loader
FUZZ_FLAGS := -std=gnu11 -D_GNU_SOURCE -g -I. -O1 -w -MMD -MP -fno-sanitize-recover=undefined
FUZZ_LIB := $(patsubst %.c,build/fuzz/%.o,$(filter-out %_test.c %/rules_gen.c %/filters.c,$(foreach d,$(FUZZ_ROOMS),$(wildcard $(d)/*.c))) \
	gofer/wire.c sentry/kernel/bpf.c)
FUZZ_BIN := $(patsubst tests/fuzz/%_fuzz.c,build/fuzz/bin/%,$(filter $(patsubst %,tests/fuzz/%_fuzz.c,wire elf bpf path),$(wildcard tests/fuzz/*_fuzz.c)))
build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<
build/fuzz/lib.a: $(FUZZ_LIB)
	$(Q)rm -f $@ && ar rcs $@ $^
build/fuzz/bin/%: tests/fuzz/%_fuzz.c build/fuzz/lib.a
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $< build/fuzz/lib.a -lpthread
# the bundles' JSON, with the libraries that read it
FUZZ_SPEC := $(patsubst %.c,build/fuzz/%.o,$(addprefix sentry/oci/,spec.c spec_linux.c json.c seccomp.c log.c))
build/fuzz/bin/spec: tests/fuzz/spec_fuzz.c $(FUZZ_SPEC) build/fuzz/lib.a
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ -ljson-c -lseccomp -lpthread
FUZZ_BIN += build/fuzz/bin/spec
-include $(shell find build/fuzz -name '*.d' 2>/dev/null)
.PHONY: fuzz-smoke
fuzz-smoke: $(FUZZ_BIN)
	$(Q)tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ_BIN)
# sbx-sentry and sbx-gofer as a guest that took them over would use them: release builds only, as the lists are.
BREAK_OBJ := $(call confined_obj,tests/break/attempts.c tests/break/special.c)
BREAK_BIN := $(foreach w,sentry gofer,$(addprefix build/break/$(w)/,sbx sbx-sentry sbx-gofer))
$(B)/tests/break/%.o $(B)/musl/tests/break/%.o: FILE_CFLAGS := -Wno-missing-field-initializers
build/break/sentry/sbx-sentry: $(call confined_obj,$(SENTRY_SRC) tests/break/sentry.c) $(B)/$(MUSL)gen/filters.o $(BREAK_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(call link_confined,-Wl$(comma)--wrap=process_confine)
build/break/gofer/sbx-gofer: $(call confined_obj,$(GOFER_SRC) tests/break/gofer.c) $(B)/$(MUSL)gen/filters.o $(BREAK_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(call link_confined,-Wl$(comma)--wrap=gofer_confine -Wl$(comma)--wrap=server_init)
build/break/sentry/%: $(B)/prog/%
	@mkdir -p $(@D)
	$(Q)cp -f $< $@
build/break/gofer/%: $(B)/prog/%
	@mkdir -p $(@D)
	$(Q)cp -f $< $@
.PHONY: check-break
check-break: all $(BREAK_BIN)
	$(Q)tests/break/run $(PLATFORMS)

.PHONY: check-integration
check-integration: all
	$(Q)tests/integration/run $(PLATFORMS)

# The confidential host's programs: broker and client against strangers and tampering (ONLY=name); without QUICK also
# guests that boot in QEMU under TCG (packages of `tests/deps cvm`, Debian's cloud kernel), some four minutes.
.PHONY: check-cvm
check-cvm: all
	$(Q)[ -n "$(QUICK)" ] || tests/deps cvm || true
	$(Q)[ -n "$(QUICK)" ] || tests/cvm/kernel || true
	$(Q)tests/cvm/run

# Fuzz targets of the confidential host, SECONDS each.
.PHONY: fuzz-cvm
fuzz-cvm:
	$(Q)tests/fuzz/cvm $(SECONDS)

# The verifier's fuzz targets under ASan and UBSan, FUZZ_SECONDS each; needs clang. Corpora are kept in build/fuzz.
FUZZ_SECONDS ?= 20
FUZZ_ATTEST := attest_fuzz attest_parsers_fuzz
FUZZ_ATTEST_SRC := $(filter cvm-host/attest/% cvm-host/measure/% cvm-host/hex.c,$(LIB_SRC))
build/fuzz/attest%: tests/fuzz/attest%.c $(FUZZ_ATTEST_SRC)
	@mkdir -p $@.corpus
	$(call say,FUZZ,$@)
	$(Q)clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -std=gnu11 -D_GNU_SOURCE -I. \
		-I/usr/include/libxml2 -o $@ $< $(FUZZ_ATTEST_SRC) $(CVM_LIBS)
.PHONY: fuzz-attest
fuzz-attest: $(FUZZ_ATTEST:%=build/fuzz/%)
	$(Q)tests/fuzz/attest_corpus build/fuzz
	$(Q)for t in $(FUZZ_ATTEST); do build/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=1500 \
		-print_final_stats=0 build/fuzz/$$t.corpus || exit 1; done

.PHONY: lint
lint:
	$(Q)tests/lint/run

.PHONY: check
check: deps-test
	$(Q)tests/check

.PHONY: demo
demo: deps-build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo

.PHONY: deps-build deps-test
deps-build:
	$(Q)tests/deps build
deps-test:
	$(Q)tests/deps test

.PHONY: syscalls
syscalls: all
	$(Q)build/bin/sbx syscalls

.PHONY: format format-check
FORMATTED := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format:
	$(Q)clang-format -i $(FORMATTED)
format-check:
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

.PHONY: install uninstall
install: all
	install -D -m 755 build/bin/sbx $(DESTDIR)$(PREFIX)/bin/sbx
	install -D -m 755 build/bin/sbx-sentry $(DESTDIR)$(PREFIX)/libexec/sbx/sbx-sentry
	install -D -m 755 build/bin/sbx-gofer $(DESTDIR)$(PREFIX)/libexec/sbx/sbx-gofer
	install -D -m 755 build/bin/sbx-net $(DESTDIR)$(PREFIX)/libexec/sbx/sbx-net
	install -D -m 755 build/bin/sbx-cvm $(DESTDIR)$(PREFIX)/libexec/sbx/sbx-cvm
	install -D -m 644 sentry/cmd/sbx.1 $(DESTDIR)$(PREFIX)/share/man/man1/sbx.1
	install -D -m 644 sentry/cmd/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sbx

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/sbx $(DESTDIR)$(PREFIX)/share/man/man1/sbx.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sbx
	rm -rf $(DESTDIR)$(PREFIX)/libexec/sbx

.PHONY: help
help:
	@echo "make              build sbx, sbx-sentry, sbx-gofer, sbx-cvm into build/bin"
	@echo "make demo         install build dependencies, build, run a real program"
	@echo "make check        install test dependencies, run every test"
	@echo "make DEBUG=1      with ASan, UBSan, slab poisoning and the lock-order checker"
	@echo "make check-unit | check-guest | check-hostile | check-integration | check-cvm | lint | bench | syscalls | format"
	@echo "make install PREFIX=/usr/local"

# ROUNDS=, ROWS=a,b, PLATFORM=, PEER=runc, CORES=both,one, OUT=file
.PHONY: bench
bench: all
	$(Q)tests/bench/run
