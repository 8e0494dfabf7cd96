/*
 * cpuid_msr_fuzz.c - libFuzzer: leaves and MSRs, those of the processor over any host's CPUID and
 * those of the faces, of a guest with the Hyper-V face, with Xen's, or with both.
 *
 * Input: byte 0 the faces, then the host's CPUID, then steps. What must hold: the host is asked for
 * no leaf behind its last; a bit is shown only if it is listed, and with the bit on which it stands;
 * a value that is taken is one that the register may hold, and one that is refused changes nothing;
 * a vCPU's own register is not another's.
 */
#include "tests/fuzz/fuzz_input.h"

#include "abi/hyperv.h"
#include "base/compiler.h"
#include "hypervisor/arch/x86/cpuid_policy.h"
#include "hypervisor/arch/x86/msr_policy.h"
#include "tests/host/host.h"
#include "vm/face.h"

#define VCPUS 3u
#define STEPS_MAX 100u
#define EXTENDED 0x80000000u
#define EFER_LMA 0x400u
#define EFER_LME 0x100u
#define CR0_PG 0x80000000u

struct processor {
	uint32_t last_leaf, last_extended;
	struct cpuid_regs regs[16]; /* of the host's leaves, by number modulo 16 */
	struct cpuid_host host;
	struct cpuid_input cpuid;
	struct msr_env env;
	struct msr_store store;
};

static void host_cpuid(void *context, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	const struct processor *p = context;
	uint32_t last = (leaf & EXTENDED) != 0 ? p->last_extended : p->last_leaf;

	must((leaf & ~EXTENDED) == 0 || leaf <= last);
	*out = p->regs[(leaf + subleaf * 5) % 16];
	if ((leaf & ~EXTENDED) == 0) {
		out->eax = last;
	}
}

static void take_processor(struct input *in, struct processor *p)
{
	static const uint32_t vendors[] = {0x68747541, 0x756e6547, 0x6f677948, 0};
	uint8_t flags = take8(in);

	memset(p, 0, sizeof(*p));
	p->last_leaf = take8(in) % 0x20u;
	p->last_extended = (flags & 1) != 0 ? take32(in) : EXTENDED + take8(in) % 0x20u;
	take(in, p->regs, sizeof(p->regs));
	p->regs[0].ebx = (flags & 2) != 0 ? vendors[flags >> 6] : p->regs[0].ebx;
	p->host = (struct cpuid_host){.get = host_cpuid, .ctx = p};
	cpuid_policy_know(&p->host);
	p->cpuid = (struct cpuid_input){
	        .host = &p->host,
	        .vcpu_index = take8(in),
	        .vcpu_count = take8(in) + 1u,
	        .xcr0 = 1,
	        .osxsave = (flags & 4) != 0,
	        .apic_base = take16(in),
	        .invariant_tsc = (flags & 8) != 0,
	        .phys_bits_max = take8(in),
	};
	p->env.efer_mask = p->host.efer_mask;
	p->env.amd = p->host.amd;
	p->env.rdtscp = (flags & 16) != 0;
	msr_store_reset(&p->store);
}

/* ------------------------------------------------------------------ the processor's leaves */

static uint32_t listed(enum cpuid_word word)
{
	uint32_t bits = 0;

#define CPUID_FEATURE(w, bit, name, rule) bits |= word == CPUID_WORD_##w ? 1u << (bit) : 0u;
#include "specs/cpuid.def"
	return bits;
}

static bool is_listed_leaf(uint32_t leaf)
{
	bool found = false;

#define CPUID_LEAF(number, name, handler, clause) found = found || leaf == (number);
#include "specs/cpuid.def"
	return found;
}

static bool shows(const struct processor *p, enum cpuid_word word, uint32_t bit)
{
	return (cpuid_policy_features(&p->cpuid, word) >> bit & 1) != 0;
}

static void check_features(const struct processor *p)
{
	bool avx = shows(p, CPUID_WORD_1_ECX, 28), xsave = shows(p, CPUID_WORD_1_ECX, 26);

	for (enum cpuid_word word = 0; word <= CPUID_WORD_80000001_ECX; word++) {
		must((cpuid_policy_features(&p->cpuid, word) & ~listed(word)) == 0);
	}
	must(shows(p, CPUID_WORD_1_ECX, 31));
	must(!avx || xsave);
	must(avx || !(shows(p, CPUID_WORD_1_ECX, 12) || shows(p, CPUID_WORD_1_ECX, 29) ||
	              shows(p, CPUID_WORD_7_EBX, 5)));
	must(!shows(p, CPUID_WORD_1_ECX, 27) || (xsave && p->cpuid.osxsave));
	must(!shows(p, CPUID_WORD_7_EBX, 10) || shows(p, CPUID_WORD_1_ECX, 17));
	must(!shows(p, CPUID_WORD_1_EDX, 9) || (p->cpuid.apic_base & 0x800) != 0);
}

static void check_leaf(const struct processor *p, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r, again;

	cpuid_policy_get(&p->cpuid, leaf, subleaf, &r);
	cpuid_policy_get(&p->cpuid, leaf, subleaf, &again);
	must(memcmp(&r, &again, sizeof(r)) == 0);
	must(is_listed_leaf(leaf) || (r.eax | r.ebx | r.ecx | r.edx) == 0);
	if (leaf == 1) {
		must(r.ecx == cpuid_policy_features(&p->cpuid, CPUID_WORD_1_ECX));
		must(r.ebx >> 24 == (p->cpuid.vcpu_index & 0xFF));
	} else if (leaf == 7) {
		must((r.ebx & ~listed(CPUID_WORD_7_EBX)) == 0 && (r.eax | r.ecx | r.edx) == 0);
	} else if (leaf == 0xD && subleaf == 0) {
		must(r.ebx <= r.ecx && (r.eax & ~7u) == 0 && r.edx == 0);
	} else if (leaf == EXTENDED + 8 && p->cpuid.phys_bits_max != 0) {
		must((r.eax & 0xFF) <= p->cpuid.phys_bits_max && (r.eax >> 8 & 0xFF) == 48);
	} else if (leaf == 0 || leaf == EXTENDED) {
		must(is_listed_leaf(r.eax));
	}
}

static void set_xcr0(struct processor *p, uint64_t value)
{
	bool avx = (value & XCR0_AVX) != 0;

	if (cpuid_policy_xcr0_valid(&p->cpuid, value)) {
		must((value & XCR0_X87) != 0 && value <= 7 && (!avx || (value & XCR0_SSE) != 0));
		must(shows(p, CPUID_WORD_1_ECX, 26) && (!avx || shows(p, CPUID_WORD_1_ECX, 28)));
		p->cpuid.xcr0 = value;
	}
}

static void use_cpuid(struct processor *p, struct input *in)
{
	uint8_t which = take8(in);

	if (which == 0xFF) {
		check_leaf(p, take32(in), take32(in));
	} else if (which >= 0xF0) {
		set_xcr0(p, take8(in) % 2 == 0 ? take8(in) : take64(in));
	} else {
		check_leaf(p, (which & 0x40u) << 25 | which % 0x20u, take8(in));
	}
	check_features(p);
}

/* ------------------------------------------------------------------ the processor's MSRs */

static uint32_t take_msr(struct input *in)
{
	static const uint32_t rows[] = {
#define MSR(first, last, name, kind, reset, writable, clause) first, last,
#include "specs/msr.def"
	};
	uint8_t which = take8(in);

	if (which == 0xFF) {
		return take32(in);
	}
	return rows[which % ARRAY_COUNT(rows)] + (which >= 0xC0 ? take8(in) - 128u : 0);
}

static bool is_type(uint64_t type)
{
	return type <= 7 && type != 2 && type != 3;
}

static void check_address(uint32_t msr, uint64_t value)
{
	bool address = msr == 0x175 || msr == 0x176 || msr == 0xC0000082 || msr == 0xC0000083 ||
	               (msr >= 0xC0000100 && msr <= 0xC0000102);

	must(!address || value >> 47 == 0 || value >> 47 == 0x1FFFF);
}

/* What the register holds now must be a value that the CPU would take. */
static void check_held(struct processor *p, uint32_t msr, uint64_t value)
{
	uint64_t held = msr_policy_stored(&p->store, msr);

	if (msr == 0x277) {
		must(held == value);
		for (uint32_t i = 0; i < 64; i += 8) {
			must(is_type(held >> i & 0xFF));
		}
	} else if (msr == 0x2FF) {
		must(held == value && (held & ~0xCFFull) == 0 && is_type(held & 0xFF) && (held & 0xFF) != 7);
	} else if (msr == 0xC0000080) {
		must((held & ~(p->env.efer_mask | EFER_LMA)) == 0);
		must((p->env.cr0 & CR0_PG) == 0 || ((held ^ p->env.efer) & EFER_LME) == 0);
		must(((held ^ p->env.efer) & EFER_LMA) == 0);
		p->env.efer = held;
	} else if (msr == 0xC0000103) {
		must(held == value && held <= UINT32_MAX && p->env.rdtscp);
	}
}

static void write_own_msr(struct processor *p, uint32_t msr, uint64_t value)
{
	struct msr_store before = p->store;
	enum msr_result result = msr_policy_write(&p->store, &p->env, msr, value);

	must(msr_policy_name(msr) != NULL || result == MSR_GP);
	must(p->env.amd || msr < 0xC0010000 || msr > 0xC0011FFF || result == MSR_GP);
	if (result == MSR_OK || result == MSR_LOAD) {
		check_held(p, msr, value);
	} else {
		must(memcmp(&before, &p->store, sizeof(before)) == 0);
	}
	if (result == MSR_AT_VENDOR) {
		check_address(msr, value);
	}
}

static void read_own_msr(const struct processor *p, uint32_t msr)
{
	uint64_t value = 0x5A5A5A5A5A5A5A5A;
	enum msr_result result = msr_policy_read(&p->store, &p->env, msr, &value);

	must(result != MSR_LOAD);
	must(msr_policy_name(msr) != NULL || result == MSR_GP);
	must(result == MSR_OK || value == 0x5A5A5A5A5A5A5A5A);
}

static void use_msr(struct processor *p, struct input *in)
{
	uint32_t msr = take_msr(in);
	uint8_t how = take8(in);
	uint64_t value = 0;

	if (how % 8 == 0) {
		read_own_msr(p, msr);
		return;
	}
	if (how % 8 < 4) {
		value = take64(in);
	} else if (msr_policy_read(&p->store, &p->env, msr, &value) == MSR_OK) {
		value ^= 1ull << how / 8 % 64 | 1ull << take8(in) % 64;
	}
	write_own_msr(p, msr, value);
}

/* ------------------------------------------------------------------ the faces */

static uint32_t take_face_msr(struct input *in)
{
	static const uint32_t starts[] = {0x40000000, 0x40000020, 0x40000070, 0x40000080,
	                                  0x40000090, 0x400000B0, 0x400000F0, 0x40000100,
	                                  0x40000108, 0x40000118, 0x40000200, 0x40001080};
	uint8_t which = take8(in);

	if (which >= 0xF8) { /* any, and those about the last */
		return which == 0xFF ? 0x40000000u + take16(in) : 0x40001080u + take8(in);
	}
	return starts[which % ARRAY_COUNT(starts)] + which / ARRAY_COUNT(starts);
}

/* Kept as it was written, once it was taken. */
static bool is_kept(uint32_t msr)
{
	return msr == HV_X64_MSR_GUEST_OS_ID || msr == HV_X64_MSR_VP_ASSIST_PAGE || msr == HV_X64_MSR_SIMP ||
	       msr == HV_X64_MSR_SIEFP || msr == HV_X64_MSR_SCONTROL ||
	       (msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15) ||
	       (msr >= HV_X64_MSR_CRASH_P0 && msr <= HV_X64_MSR_CRASH_P4);
}

static uint64_t face_read(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value = 0;

	must(personality.msr_read(vcpu, msr, &value) == FACE_MSR_OK);
	return value;
}

static void write_face_msr(struct vm *vm, struct input *in)
{
	uint32_t msr = take_face_msr(in), index = take8(in) % VCPUS;
	struct vcpu *vcpu = vm_vcpu(vm, index), *other = vm_vcpu(vm, (index + 1) % VCPUS);
	bool own = is_kept(msr) && vm_config(vm)->hyperv_face;
	bool shared = msr == HV_X64_MSR_GUEST_OS_ID || msr >= HV_X64_MSR_CRASH_P0;
	uint8_t how = take8(in);
	uint64_t value = (how & 1) != 0 ? take64(in) : (how >> 2) * 0x1000ull + (take8(in) & 0xFF);
	uint64_t before = own ? face_read(vcpu, msr) : 0, others = own ? face_read(other, msr) : 0;
	enum face_msr result = personality.msr_write(vcpu, msr, value);

	must(result == FACE_MSR_OK || result == FACE_MSR_GP || result == FACE_MSR_ABSENT);
	if (own) {
		must(face_read(vcpu, msr) == (result == FACE_MSR_OK ? value : before));
		must(face_read(other, msr) == (shared ? face_read(vcpu, msr) : others));
	}
	/* No SINT may bring the CPU a vector of its exceptions. */
	if (msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15 && result == FACE_MSR_OK) {
		must((value & HV_SYNIC_SINT_MASKED) != 0 || (value & 0xFF) >= 16);
	}
}

static void read_face_msr(struct vm *vm, struct input *in)
{
	uint32_t msr = take_face_msr(in);
	struct vcpu *vcpu = vm_vcpu(vm, take8(in) % VCPUS);
	uint64_t value = 0x5A5A5A5A5A5A5A5A;
	enum face_msr result = personality.msr_read(vcpu, msr, &value);

	must(result == FACE_MSR_OK || value == 0x5A5A5A5A5A5A5A5A || result == FACE_MSR_GP);
}

static void use_face_leaf(struct vm *vm, struct input *in)
{
	struct vcpu *vcpu = vm_vcpu(vm, take8(in) % VCPUS);
	uint32_t leaf = 0x40000000u + take16(in) % 0x300u, subleaf = take8(in);
	struct cpuid_regs r = {0}, again = {0};
	bool mine = personality.cpuid(vcpu, leaf, subleaf, &r);

	must(personality.cpuid(vcpu, leaf, subleaf, &again) == mine);
	must(memcmp(&r, &again, sizeof(r)) == 0);
	must(mine || (r.eax | r.ebx | r.ecx | r.edx) == 0);
	must(mine == (leaf < 0x40000100u ||
	              (leaf < 0x40000200u && vm_config(vm)->hyperv_face && vm_config(vm)->xen_face)));
}

/* Its faces are there. */
static struct vm *guest_of(uint8_t faces)
{
	static struct host_snapshot *starts[3];
	static struct vm *vms[3];
	struct host_vm_config config = {.vm = {.vcpu_count = VCPUS, .memory_bytes = 16 * PAGE_BYTES}};

	faces %= 3;
	if (vms[faces] == NULL) {
		config.vm.hyperv_face = faces != 1;
		config.vm.xen_face = faces != 0;
		vms[faces] = host_vm_new(&config);
		must(personality.create(vms[faces]));
		starts[faces] = host_snapshot_take(vms[faces]);
	} else {
		host_snapshot_restore(starts[faces]);
	}
	return vms[faces];
}

static void step(struct vm *vm, struct processor *p, struct input *in)
{
	uint8_t what = take8(in);

	switch (what % 8) {
	case 0:
		use_cpuid(p, in);
		break;
	case 1:
	case 2:
		use_msr(p, in);
		break;
	case 3:
		p->env.cr0 = what >= 0x80 ? CR0_PG : 0;
		p->env.efer = (p->env.efer & ~(uint64_t)EFER_LMA) |
		              (what >= 0x80 && (p->env.efer & EFER_LME) != 0 ? EFER_LMA : 0u);
		break;
	case 4:
		use_face_leaf(vm, in);
		break;
	case 5:
		read_face_msr(vm, in);
		break;
	case 6:
		write_face_msr(vm, in);
		break;
	default:
		host_time_advance_ns(vm, (uint64_t)what * 1000);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct vm *vm = guest_of(take8(&in));
	struct processor processor;

	take_processor(&in, &processor);
	check_features(&processor);
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(vm, &processor, &in);
	}
	must(host_vm_leaks(vm).pins == 0);
	must(personality.reset(vm));
	personality.teardown(vm);
	host_vm_reset(vm); /* panics on a leak */
	return 0;
}
