# Janus: one flat file. `make help` lists what there is to make.

B := build
CC := gcc
CLANG := clang
PYTHON := /usr/bin/python3

WARN := -Wall -Wextra -Wconversion -Wshadow -Werror
INC := -Ihypervisor/include -I.
RING0 := -std=c17 $(WARN) $(INC) -O2 -g -ffreestanding -mgeneral-regs-only -mno-red-zone -mcmodel=kernel \
	-fno-pic -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
	-fcf-protection=none -fno-strict-aliasing
HOST_INC := -Itests/host/include $(INC)
HOSTED := -std=gnu17 $(WARN) $(HOST_INC) -O1 -g -fno-strict-aliasing -pthread
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
UNCOVERED := -fsanitize-coverage-ignorelist=tests/fuzz/uncovered.txt
FUZ := -O2 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer $(UNCOVERED)
TRACED := cmp1 cmp2 cmp4 cmp8 const_cmp1 const_cmp2 const_cmp4 const_cmp8

# ---- what runs in ring 0 ----

FACES := $(wildcard enlighten/*.c enlighten/*/*.c synic/*.c vmbus/*.c)
BACKENDS := $(wildcard hypervisor/backend/*.c)
PLATFORM := $(wildcard hypervisor/platform/*.c)
PURE := $(wildcard hypervisor/arch/x86/insn*.c) $(addprefix hypervisor/arch/x86/,walk.c cpuid_policy.c msr_policy.c isolation.c svm/judge.c vmx/judge.c) \
	$(addprefix hypervisor/core/,format.c tlb.c elf.c multiboot.c watch.c)
METAL := $(filter-out $(PURE),$(wildcard hypervisor/core/*.c hypervisor/arch/x86/*.c hypervisor/arch/x86/*/*.c)) \
	$(wildcard hypervisor/drivers/*.c)
METAL_S := $(wildcard hypervisor/arch/x86/*/*.S)
AML := dsdt rtc vmbus

RING0_OBJ := $(patsubst %,$(B)/ring0/%.o,$(FACES) $(BACKENDS) $(PLATFORM) $(PURE) $(METAL) $(METAL_S) \
	hypervisor/platform/aml.S)

$(B)/ring0/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(RING0) -MMD -MP -c -o $@ $<

$(B)/ring0/%.S.o: %.S
	@mkdir -p $(@D)
	$(CC) $(INC) -Wa,-I$(B)/aml -MMD -MP -c -o $@ $<

$(B)/aml/%.aml: hypervisor/platform/%.asl
	@mkdir -p $(@D)
	iasl -p $(B)/aml/$* $< > $(B)/aml/$*.log || { cat $(B)/aml/$*.log; exit 1; }

$(B)/ring0/hypervisor/platform/aml.S.o: $(AML:%=$(B)/aml/%.aml)

$(B)/janus.elf: $(RING0_OBJ) hypervisor/arch/x86/janus.lds
	ld -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none --fatal-warnings \
		-T hypervisor/arch/x86/janus.lds -o $@ $(RING0_OBJ)

# ---- the same code, hosted ----

# Of guest-drivers/metal only what touches no machine; its programs' own program_main() not at all.
DRIVERS_METAL_PURE := $(addprefix guest-drivers/metal/,acpi.c boot_info.c)
DRIVERS_HOSTED := $(DRIVERS_METAL_PURE) $(filter-out guest-drivers/metal/% guest-drivers/examples/% guest-drivers/certify/metal_%, \
	$(wildcard guest-drivers/*.c guest-drivers/*/*.c))
HOSTED_C := $(FACES) $(BACKENDS) $(PLATFORM) $(PURE) $(wildcard tests/host/*.c) $(DRIVERS_HOSTED)
UNIT_C := $(wildcard tests/unit/*_test.c)
LOOPBACK_C := $(wildcard tests/loopback/*_test.c)
LOOPBACK_LIB := $(filter-out $(LOOPBACK_C),$(wildcard tests/loopback/*.c))
FAULT_C := $(wildcard tests/faults/*_test.c)
FAULT_LIB := $(filter-out $(FAULT_C),$(wildcard tests/faults/*.c)) \
	$(addprefix tests/loopback/,loopback.c xen_loopback.c hv_loopback.c)
FUZZ_C := $(wildcard tests/fuzz/*_fuzz.c)
UNIT_BIN := $(UNIT_C:tests/unit/%.c=$(B)/unit/%)
LOOPBACK_BIN := $(LOOPBACK_C:tests/loopback/%.c=$(B)/loopback/%)
FAULT_BIN := $(FAULT_C:tests/faults/%.c=$(B)/faults/%)
LOOPBACK_TSAN := $(LOOPBACK_C:tests/loopback/%.c=$(B)/tsan/%)
FUZZ_BIN := $(FUZZ_C:tests/fuzz/%.c=$(B)/fuzz/%)

# $(1): folder under build, $(2): compiler and flags. An archive, so that a test links only what it uses.
define hosted_rules
$(B)/$(1)/obj/%.c.o: %.c
	@mkdir -p $$(@D)
	$(2) -MMD -MP -c -o $$@ $$<
$(B)/$(1)/obj/%.S.o: %.S $(AML:%=$(B)/aml/%.aml)
	@mkdir -p $$(@D)
	$(CC) $(INC) -Wa,-I$(B)/aml -c -o $$@ $$<
$(B)/$(1)/libjanus.a: $(patsubst %,$(B)/$(1)/obj/%.o,$(HOSTED_C) hypervisor/platform/aml.S)
	rm -f $$@
	ar rcs $$@ $$^
endef
$(eval $(call hosted_rules,san,$(CC) $(HOSTED) $(SAN)))
$(eval $(call hosted_rules,thr,$(CLANG) $(HOSTED) -fsanitize=thread))
$(eval $(call hosted_rules,fuz,$(CLANG) $(HOSTED) $(FUZ)))
$(eval $(call hosted_rules,cov,$(CC) $(HOSTED) --coverage))

$(B)/unit/%: tests/unit/%.c $(B)/san/libjanus.a
	@mkdir -p $(@D)
	$(CC) $(HOSTED) $(SAN) -MMD -MP -o $@ $< $(wildcard tests/unit/$*_support.c) $(B)/san/libjanus.a -lcunit

$(B)/loopback/%: tests/loopback/%.c $(B)/san/libjanus.a $(LOOPBACK_LIB)
	@mkdir -p $(@D)
	$(CC) $(HOSTED) $(SAN) -MMD -MP -o $@ $< $(LOOPBACK_LIB) $(B)/san/libjanus.a -lcunit

# The certification guest in a process, against the faces (tests/certify).
CERTIFY_LIB := tests/certify/hosted.c $(addprefix tests/loopback/,loopback.c)
$(B)/certify/hosted: $(CERTIFY_LIB) $(B)/san/libjanus.a
	@mkdir -p $(@D)
	$(CC) $(HOSTED) $(SAN) -MMD -MP -o $@ $(CERTIFY_LIB) $(B)/san/libjanus.a

FAULT_OBJ := $(FAULT_LIB:%=$(B)/san/obj/%.o)
$(B)/faults/%: tests/faults/%.c $(FAULT_OBJ) $(B)/san/libjanus.a
	@mkdir -p $(@D)
	$(CC) $(HOSTED) $(SAN) -MMD -MP -o $@ $< $(FAULT_OBJ) $(B)/san/libjanus.a -lcunit

$(B)/tsan/%: tests/loopback/%.c $(B)/thr/libjanus.a $(LOOPBACK_LIB)
	@mkdir -p $(@D)
	$(CLANG) $(HOSTED) -fsanitize=thread -MMD -MP -o $@ $< $(LOOPBACK_LIB) $(B)/thr/libjanus.a -lcunit

$(B)/fuzz/%: tests/fuzz/%.c $(B)/fuz/libjanus.a tests/fuzz/trace.c tests/fuzz/uncovered.txt
	@mkdir -p $(@D)
	$(CLANG) $(HOSTED) -O2 -fsanitize=fuzzer,address,undefined -fno-omit-frame-pointer $(UNCOVERED) -o $@ $< tests/fuzz/trace.c \
		$(B)/fuz/libjanus.a $(TRACED:%=-Wl,--wrap=__sanitizer_cov_trace_%)

$(B)/covbin/%: tests/unit/%.c $(B)/cov/libjanus.a
	@mkdir -p $(@D)
	$(CC) $(HOSTED) --coverage -o $@ $< $(wildcard tests/unit/$*_support.c) $(B)/cov/libjanus.a -lcunit

$(B)/covbin/%: tests/loopback/%.c $(B)/cov/libjanus.a $(LOOPBACK_LIB)
	@mkdir -p $(@D)
	$(CC) $(HOSTED) --coverage -o $@ $< $(LOOPBACK_LIB) $(B)/cov/libjanus.a -lcunit

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.DELETE_ON_ERROR:

# ---- what people make ----

.DEFAULT_GOAL := help
.SECONDARY: $(FAULT_OBJ)
.PHONY: help deps guests iso certify-iso examples run shell test unit loopback faults faults-quick tsan fuzz-smoke fuzz fuzz-check mutants \
	system soak hostile lint format cover bench bench-check bench-baseline certify certify-hosted certify-quick certify-guest certify-peers \
	certify-verify certify-browser certify-seeded clean own-guests

help:
	@echo 'make run        boot two Debian guests, one on each face, and judge what they report (FAULT=disk|net|crash)'
	@echo '                CPU=intel, also for shell, bench and system: in Bochs with VMX, not in QEMU with SVM'
	@echo 'make shell      the same machine, yours: keys go to COM1, Ctrl-A is the monitor, quit ends it'
	@echo 'make test       lint, unit, loopback, fuzz smoke and system tests'
	@echo 'make soak       all system tests with the long ones, on both CPUs: hours; CPU=amd takes 15 minutes'
	@echo 'make soak H=2   for two hours: both faces at work, hostile guests come and go (SEED=N: as in an earlier run)'
	@echo 'make hostile    guests that do what none should, beside neighbours that must not notice, three times over'
	@echo 'make bench      emulated instructions of the exit path, on both faces, beside Xen and KVM (PEERS=none: without)'
	@echo 'make certify    every row of specs/ probed from inside a guest, then real guests: build/certify/report.html'
	@echo '                CPU=intel|all; certify-peers: the same on Xen and KVM; certify-verify PACK=...: checks a pack'
	@echo 'make iso        build/run/janus.iso: BIOS and UEFI'
	@echo 'make certify-iso  build/certify/certify.iso: the certification guest, for any hypervisor (CMDLINE="options")'
	@echo 'make examples   build/examples: guests built on guest-drivers/, see its README.md'
	@echo 'make unit loopback faults-quick tsan fuzz-smoke system lint cover   the parts'
	@echo 'make fuzz S=60  every fuzz target for S seconds; make fuzz-check: does each find its seeded bugs'
	@echo 'make faults     every fault at every point: disks, memory, doorbells, clocks, ends, power cuts; 10,000 cycles'
	@echo 'make mutants    does a test notice each check that is taken out'
	@echo 'make deps       install what is missing (done by run and test); make clean removes build/'

# Package and what needs it. One that is there is not asked for again, so a built tree needs no network.
DEPS := gcc:compiler binutils:linker clang:lint,fuzzing clang-format:lint clang-tidy:lint cppcheck:lint universal-ctags:lint \
	libclang-rt-14-dev:fuzzing libcunit1-dev:unit-tests libxen-dev:ABI-test acpica-tools:ACPI-tables \
	grub-common:ISO,font grub-pc-bin:ISO-for-BIOS grub-efi-amd64-bin:ISO-for-UEFI xorriso:ISO mtools:ISO \
	qemu-system-x86:test-machine bochs:Intel-test-machine bochsbios:Intel-test-machine \
	vgabios:Intel-test-machine ovmf:UEFI-test python3:tools python3-pytest:system-tests \
	python3-pexpect:system-tests python3-pytest-xdist:system-tests lz4:kernel-unpacking zstd:kernel-unpacking xz-utils:kernel-unpacking \
	python3-jinja2:certification-report gcovr:coverage apt-utils:packages
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

deps:
	@missing=; for row in $(DEPS); do name=$${row%%:*}; \
		dpkg-query -W -f '$${Status}' $$name 2>/dev/null | grep -q 'ok installed' || { \
			echo "missing: $$name (for $${row#*:})"; missing="$$missing $$name"; }; done; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

guests: deps
	$(PYTHON) hypervisor/tools/mkguest.py

# Headers of Linux and Xen that the ABI tests compare with.
include tests/abi.mk

# Guests of our own: a program on guest-drivers/ and its metal, which are an archive, so that each links what it uses.
OWN_FLAGS := -std=c17 $(WARN) $(INC) -O2 -g -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing
OWN_LDS := guest-drivers/metal/metal.lds
OWN_ALWAYS := $(B)/guest-obj/guest-drivers/metal/boot.S.o $(B)/guest-obj/guest-drivers/metal/font.S.o
OWN_LIB := $(B)/guest-obj/libguest.a
OWN_LIB_OBJ := $(patsubst %,$(B)/guest-obj/%.o,$(wildcard $(addprefix guest-drivers/,*.c hyperv/*.c xen/*.c metal/*.c)))
$(B)/guest-obj/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(OWN_FLAGS) -MMD -MP -c -o $@ $<
$(B)/guest-obj/%.S.o: %.S
	@mkdir -p $(@D)
	$(CC) $(OWN_FLAGS) -Wa,-I$(B)/guest-obj -MMD -MP -c -o $@ $<
$(B)/guest-obj/font.bin: guest-drivers/metal/font.py
	@mkdir -p $(@D)
	$(PYTHON) $< $@
$(B)/guest-obj/guest-drivers/metal/font.S.o: $(B)/guest-obj/font.bin
$(OWN_LIB): $(OWN_LIB_OBJ)
	rm -f $@
	ar rcs $@ $^
# $(1): the program, without .elf, under build. $(2): its sources.
define own_rule
$(B)/$(1).elf: $(patsubst %,$(B)/guest-obj/%.o,$(2)) $(OWN_ALWAYS) $(OWN_LIB) $(OWN_LDS)
	@mkdir -p $$(@D)
	ld -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none --no-warn-rwx-segments \
		--fatal-warnings -T $(OWN_LDS) -o $$@ $(patsubst %,$(B)/guest-obj/%.o,$(2)) $(OWN_ALWAYS) $(OWN_LIB)
endef

# Those that the tests boot.
OWN := both full halt hammer hostile kinds neighbour nmi pause smp spin storm stuck ticks triple
$(foreach p,$(OWN),$(eval $(call own_rule,tests/guest/$(p),tests/guest/$(p).c $(wildcard tests/guest/$(p)_*.[cS]))))
# The same program as other kinds of kernel: kinds.elf is an ELF64 with a PVH note and Multiboot headers.
OWN_KINDS := kinds-i386 kinds-x32 kinds-multiboot
$(B)/tests/guest/kinds-i386.elf: AS_KIND := -O elf32-i386
$(B)/tests/guest/kinds-x32.elf: AS_KIND := -O elf32-x86-64
$(B)/tests/guest/kinds-multiboot.elf: AS_KIND := -O elf32-i386 -R .note.pvh
$(OWN_KINDS:%=$(B)/tests/guest/%.elf): $(B)/tests/guest/kinds.elf
	objcopy $(AS_KIND) $< $@

EXAMPLES := $(patsubst guest-drivers/examples/%.c,%,$(wildcard guest-drivers/examples/*.c))
$(foreach p,$(EXAMPLES),$(eval $(call own_rule,examples/$(p),guest-drivers/examples/$(p).c)))
examples: $(EXAMPLES:%=$(B)/examples/%.elf)

# The certification guest, and an ISO that boots it anywhere.
$(eval $(call own_rule,certify/certify,$(wildcard guest-drivers/certify/*.[cS])))
certify-guest: $(B)/certify/certify.elf
certify-iso: deps
	@$(MAKE) --no-print-directory certify-guest
	$(PYTHON) hypervisor/tools/mkiso.py --guest $(B)/certify/certify.elf --title 'Janus certification' \
		--cmdline '$(CMDLINE)' --out $(B)/certify/certify.iso

own-guests: $(OWN:%=$(B)/tests/guest/%.elf) $(OWN_KINDS:%=$(B)/tests/guest/%.elf) examples certify-guest

# CPU=intel: run, shell, bench and system on Bochs, which has VMX; else QEMU, which has SVM. CPU=all: system on both.
comma := ,
OF_CPU = $(if $(CPU),--cpu $(CPU))

iso: deps guests
	$(MAKE) $(B)/janus.elf
	mkdir -p $(B)/run
	$(PYTHON) hypervisor/tools/pack.py --out $(B)/run --files $(B)/guests --cache $(B)/kernels tests/system/run.toml
	$(PYTHON) hypervisor/tools/mkiso.py --elf $(B)/janus.elf --packed $(B)/run --out $(B)/run/janus.iso

run: deps guests
	@$(MAKE) --no-print-directory -j2 $(B)/janus.elf
	$(PYTHON) tests/system/run.py $(OF_CPU) $(if $(FAULT),--fault $(FAULT))

shell: deps guests
	@$(MAKE) --no-print-directory -j2 $(B)/janus.elf
	$(PYTHON) tests/system/run.py $(OF_CPU) --shell

lint:
	$(PYTHON) tests/lint/lint.py
	$(PYTHON) tests/lint/analyse.py $(RING0)

format:
	git ls-files '*.c' '*.h' | grep -v '^tests/' | xargs clang-format -i

# Runs each program; the last line says how many passed.
define run_all
	@passed=0; failed=0; for t in $(1); do \
		if timeout 300 $$t > $$t.log 2>&1; then passed=$$((passed + 1)); \
		else failed=$$((failed + 1)); echo "FAILED: $$t"; tail -n 40 $$t.log; fi; done; \
	grep -h -E '^ +(tests|asserts)' $(addsuffix .log,$(1)) | awk '{n[$$1] += $$3; p[$$1] += $$4; f[$$1] += $$5} \
		END {for (k in n) printf "%s: %d run, %d passed, %d failed\n", k, n[k], p[k], f[k]}'; \
	echo "$(2): $$passed programs passed, $$failed failed"; [ $$failed = 0 ]
endef

unit: $(UNIT_BIN)
	$(call run_all,$(UNIT_BIN),unit)
	$(PYTHON) -m pytest -q tests/unit tests/certify

loopback: $(LOOPBACK_BIN)
	$(call run_all,$(LOOPBACK_BIN),loopback)

tsan: $(LOOPBACK_TSAN)
	$(call run_all,$(LOOPBACK_TSAN),loopback under the thread sanitizer)

# Faults of our own side. $(1): nothing, or --full for every point. Prints the table of what was swept.
define fault_all
	@failed=0; for t in $(FAULT_BIN); do \
		timeout 600 $$t $(1) > $$t.log 2>&1 || { failed=$$((failed + 1)); echo "FAILED: $$t $(1)"; tail -n 40 $$t.log; }; done; \
	printf '%-34s %-7s %9s\n' fault face passed; \
	grep -h '^fault: ' $(addsuffix .log,$(FAULT_BIN)) | sed 's/^fault: //'; \
	cat $(addsuffix .log,$(FAULT_BIN)) | awk '/^fault: / {kinds++; for (i = 2; i < NF; i++) if ($$i == "xen" || $$i == "hyperv" || $$i == "both") points += $$(i + 1)} \
		/acknowledged writes checked/ {for (i = 1; i < NF; i++) {if ($$i == "checked:") n += $$(i + 1); if ($$i == "lost:") lost += $$(i + 1)}} \
		END {printf "faults: %d sweeps, %d points passed; acknowledged writes checked: %d, lost: %d\n", kinds, points, n, lost}'; \
	echo "faults: $(words $(FAULT_BIN)) programs, $$failed failed"; [ $$failed = 0 ]
endef

faults: $(FAULT_BIN)
	$(call fault_all,--full)

faults-quick: $(FAULT_BIN)
	$(call fault_all)

COVER_BIN := $(UNIT_C:tests/unit/%.c=$(B)/covbin/%) $(LOOPBACK_C:tests/loopback/%.c=$(B)/covbin/%)
cover: $(COVER_BIN)
	@find $(B)/cov -name '*.gcda' -delete
	$(call run_all,$(COVER_BIN),coverage)
	gcovr -r . --fail-under-line 85 --object-directory $(B)/cov -f 'enlighten/' -f 'synic/' -f 'vmbus/' -f 'hypervisor/backend/' $(B)/cov/obj

S ?= 60

# Each committed input once, then 2 s from there.
fuzz-smoke: $(FUZZ_BIN)
	$(PYTHON) tests/fuzz/runner.py --replay
	$(PYTHON) tests/fuzz/runner.py --fresh --seconds 2

# LEDGER=1: a line in tests/fuzz/ledger.md if nothing is found. Corpora for the tree: tests/fuzz/runner.py --keep.
fuzz: $(FUZZ_BIN)
	$(PYTHON) tests/fuzz/runner.py --seconds $(S) $(if $(LEDGER),--ledger)

system: guests
	$(MAKE) -j2 $(B)/janus.elf own-guests
	$(PYTHON) -m pytest -q -rfE -n 2 --dist load tests/system $(OF_CPU)

soak: guests
	$(MAKE) -j2 $(B)/janus.elf own-guests
	$(if $(H),$(PYTHON) tests/system/soak_load.py --hours $(H) $(if $(SEED),--seed $(SEED)), \
		$(PYTHON) -m pytest -q -rfE -n 2 --dist load tests/system --soak --cpu $(or $(CPU),all))

# Hostile guests, all of them, both in real time and by counted instructions; prints the table.
hostile: deps own-guests
	$(MAKE) -j2 $(B)/janus.elf
	$(PYTHON) tests/system/hostile_yard.py --times 3

# Every row of specs/ probed from inside a guest, on each face; then real guests; the evidence pack.
certify: deps guests
	@$(MAKE) --no-print-directory -j2 $(B)/janus.elf $(B)/certify/certify.elf
	$(PYTHON) tests/certify/certify.py $(OF_CPU) $(ARGS)

# The same guest on Debian's own Xen and KVM, fetched and built in build/; then the report anew. PEERS=names: only those.
# One that fails or cannot be had is told in the report, and the others go on.
PEERS_ALL := xen-4.17-pvh xen-4.17-pvh-viridian xen-4.17-hvm-viridian kvm-6.1-hyperv kvm-6.12-hyperv kvm-6.12-xen kvm-6.12-both
certify-peers: deps certify-guest
	@for peer in $(or $(PEERS),$(PEERS_ALL)); do echo "== $$peer"; $(PYTHON) tests/certify/peers/peer.py --peer $$peer --net \
		--guest $(B)/certify/certify.elf --cmdline mode=probe --out $(B)/certify/peers/$$peer || echo "$$peer: status $$?"; done
	$(PYTHON) tests/certify/certify.py --report-only

certify-verify:
	$(PYTHON) tests/certify/verify.py $(PACK) $(if $(HASH),--hash $(HASH))

certify-browser: deps
	@dpkg-query -W chromium > /dev/null 2>&1 || $(SUDO) apt-get install -y -qq --no-install-recommends chromium > /dev/null
	$(PYTHON) tests/certify/browser.py $(PACK)

# What make test runs of it: each face once in a process, and ten seeded wrong answers; each face once, booted.
certify-hosted: $(B)/certify/hosted
	$(PYTHON) tests/certify/certify.py --hosted $(B)/certify/hosted --out $(B)/certify-hosted
	$(PYTHON) tests/certify/seeded.py --quick
certify-quick: guests certify-guest
	$(MAKE) --no-print-directory -j2 $(B)/janus.elf
	$(PYTHON) tests/certify/certify.py --quick --no-guests --out $(B)/certify-quick

# Does a wrong answer make its own row fail, and only that?
certify-seeded: deps
	$(PYTHON) tests/certify/seeded.py
	$(PYTHON) tests/certify/seeded.py --metal

# Does each fuzz target find the bug that was seeded for it? Does a test notice each check that was taken out?
fuzz-check: deps
	$(PYTHON) tests/fuzz/seeded.py

mutants: deps
	$(PYTHON) tests/mutants.py

# What leaving a guest costs, beside Xen and KVM in the same emulator (PEERS=none, xen or kvm: less of it). bench-check, which
# is part of make test, compares with tests/bench/baseline.json; bench-baseline writes that.
bench: deps guests
	$(MAKE) -j2 $(B)/janus.elf certify-guest
	$(PYTHON) tests/bench/bench.py $(if $(CPU),$(OF_CPU),--guests --peers $(or $(PEERS),xen$(comma)kvm))
bench-check: $(B)/janus.elf certify-guest
	$(PYTHON) tests/bench/bench.py --check
bench-baseline: deps guests
	$(MAKE) -j2 $(B)/janus.elf certify-guest
	$(PYTHON) tests/bench/bench.py --guests --write-baseline

PARTS := lint unit loopback faults-quick tsan fuzz-smoke system certify-hosted certify-quick bench-check
test: deps guests abi-headers
	@$(MAKE) --no-print-directory -j2 $(B)/janus.elf own-guests $(UNIT_BIN) $(LOOPBACK_BIN) $(FAULT_BIN) $(LOOPBACK_TSAN) $(FUZZ_BIN) > $(B)/build.log 2>&1 \
		|| { grep -E 'error|Error' $(B)/build.log | head -n 20; exit 1; }
	@for part in $(PARTS); do start=$$(date +%s); echo "== $$part"; \
		$(MAKE) --no-print-directory $$part || { echo "FAILED: make $$part"; exit 1; }; \
		echo "$$part: $$(( $$(date +%s) - start )) s" >> $(B)/times.new; done; \
	echo '== how long'; cat $(B)/times.new; mv $(B)/times.new $(B)/times

clean:
	rm -rf $(B)
