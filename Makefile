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

# ---- what runs in ring 0 ----

FACES := $(wildcard enlighten/*.c enlighten/*/*.c synic/*.c vmbus/*.c)
BACKENDS := $(wildcard hypervisor/backend/*.c)
PLATFORM := $(wildcard hypervisor/platform/*.c)
PURE := $(wildcard hypervisor/arch/x86/insn*.c) $(addprefix hypervisor/arch/x86/,walk.c cpuid_policy.c msr_policy.c) \
	$(addprefix hypervisor/core/,format.c tlb.c elf.c)
METAL := $(filter-out $(PURE),$(wildcard hypervisor/core/*.c hypervisor/arch/x86/*.c)) \
	$(wildcard hypervisor/arch/x86/*/*.c hypervisor/drivers/*.c)
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

HOSTED_C := $(FACES) $(BACKENDS) $(PLATFORM) $(PURE) $(wildcard tests/host/*.c guest-drivers/*.c guest-drivers/*/*.c)
UNIT_C := $(wildcard tests/unit/*_test.c)
LOOPBACK_C := $(wildcard tests/loopback/*_test.c)
FUZZ_C := $(wildcard tests/fuzz/*_fuzz.c)
UNIT_BIN := $(UNIT_C:tests/unit/%.c=$(B)/unit/%)
LOOPBACK_BIN := $(LOOPBACK_C:tests/loopback/%.c=$(B)/loopback/%)
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
$(eval $(call hosted_rules,thr,$(CC) $(HOSTED) -fsanitize=thread))
$(eval $(call hosted_rules,fuz,$(CLANG) $(HOSTED) -fsanitize=fuzzer-no-link,address,undefined))
$(eval $(call hosted_rules,cov,$(CC) $(HOSTED) --coverage))

$(B)/unit/%: tests/unit/%.c $(B)/san/libjanus.a
	@mkdir -p $(@D)
	$(CC) $(HOSTED) $(SAN) -MMD -MP -o $@ $< $(wildcard tests/unit/$*_support.c) $(B)/san/libjanus.a -lcunit

$(B)/loopback/%: tests/loopback/%.c $(B)/san/libjanus.a $(wildcard tests/loopback/*_loopback.c)
	@mkdir -p $(@D)
	$(CC) $(HOSTED) $(SAN) -MMD -MP -o $@ $< $(wildcard tests/loopback/*_loopback.c) $(B)/san/libjanus.a -lcunit

$(B)/tsan/%: tests/loopback/%.c $(B)/thr/libjanus.a $(wildcard tests/loopback/*_loopback.c)
	@mkdir -p $(@D)
	$(CC) $(HOSTED) -fsanitize=thread -MMD -MP -o $@ $< $(wildcard tests/loopback/*_loopback.c) $(B)/thr/libjanus.a -lcunit

$(B)/fuzz/%: tests/fuzz/%.c $(B)/fuz/libjanus.a
	@mkdir -p $(@D)
	$(CLANG) $(HOSTED) -fsanitize=fuzzer,address,undefined -o $@ $< $(B)/fuz/libjanus.a

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.DELETE_ON_ERROR:
