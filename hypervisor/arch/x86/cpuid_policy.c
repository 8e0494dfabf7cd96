/*
 * cpuid_policy.c - specs/cpuid.def turned into answers. AMD64 APM vol. 3 appendix E; Intel SDM
 * vol. 2, CPUID.
 */
#include "hypervisor/arch/x86/cpuid_policy.h"

#include "base/compiler.h"

#define EXTENDED_BASE 0x80000000u
#define EXTENDED_MAX 0x80000008u
#define TOPOLOGY_LEAF 0x0bu
#define XSAVE_LEAF 0x0du

#define BIT_XSAVE (1u << 26)
#define BIT_OSXSAVE (1u << 27)
#define BIT_AVX (1u << 28)
#define BITS_NEED_AVX (1u << 12 | 1u << 28 | 1u << 29) /* FMA, AVX, F16C */
#define BIT_PCID (1u << 17)
#define BIT_AVX2 (1u << 5)
#define BIT_INVPCID (1u << 10)
#define BIT_APIC (1u << 9)
#define BIT_HTT (1u << 28)
#define BIT_CMP_LEGACY (1u << 1)
#define BIT_SYSCALL (1u << 11)
#define BIT_NX (1u << 20)
#define BIT_LM (1u << 29)
/* The bits of 1.EDX that AMD repeats in 80000001.EDX. */
#define AMD_REPEATED_EDX 0x0183f3ffu

#define APIC_BASE_ENABLE (1u << 11)
#define EFER_SCE 0x001u
#define EFER_LME 0x100u
#define EFER_NXE 0x800u

#define XSAVE_LEGACY_BYTES 576u /* x87 and SSE with the header */
#define XSAVE_AVX_BYTES 256u

#define VENDOR_AUTH 0x68747541u /* "Auth"enticAMD in EBX */
#define VENDOR_HYGO 0x6f677948u /* "Hygo"nGenuine */

enum rule {
	RULE_HOST,
	RULE_ALWAYS,
	RULE_STATE,
};

/* The bits of @word with @rule in the table; folded by the compiler. */
static uint32_t listed(enum cpuid_word word, enum rule rule)
{
	uint32_t bits = 0;

#define CPUID_FEATURE(w, bit, name, r) bits |= word == CPUID_WORD_##w && rule == RULE_##r ? 1u << (bit) : 0u;
#include "specs/cpuid.def"
	return bits;
}

/* The host's leaf, or zeros behind the host's last one, where Intel would repeat another leaf. */
static struct cpuid_regs host_leaf(const struct cpuid_host *host, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs regs = {0, 0, 0, 0};

	if (leaf <= host->basic_max || (leaf >= EXTENDED_BASE && leaf <= host->extended_max)) {
		host->get(host->ctx, leaf, subleaf, &regs);
	}
	return regs;
}

static uint32_t host_word(const struct cpuid_host *host, enum cpuid_word word)
{
	switch (word) {
	case CPUID_WORD_1_ECX:
		return host_leaf(host, 1, 0).ecx;
	case CPUID_WORD_1_EDX:
		return host_leaf(host, 1, 0).edx;
	case CPUID_WORD_7_EBX:
		return host_leaf(host, 7, 0).ebx;
	case CPUID_WORD_80000001_ECX:
		return host_leaf(host, EXTENDED_BASE + 1, 0).ecx;
	default:
		return host_leaf(host, EXTENDED_BASE + 1, 0).edx;
	}
}

static uint64_t xcr0_mask_of(const struct cpuid_host *host)
{
	uint32_t needed = BIT_XSAVE | BIT_AVX;
	uint32_t has = host_leaf(host, 1, 0).ecx & needed;
	uint32_t states = host_leaf(host, XSAVE_LEAF, 0).eax;

	if ((has & BIT_XSAVE) == 0) {
		return 0;
	}
	if (has == needed && (states & XCR0_AVX) != 0) {
		return XCR0_X87 | XCR0_SSE | XCR0_AVX;
	}
	return XCR0_X87 | XCR0_SSE;
}

bool cpuid_policy_xcr0_valid(const struct cpuid_input *in, uint64_t raw_value)
{
	bool avx_alone = (raw_value & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX;

	return (raw_value & XCR0_X87) != 0 && !avx_alone && (raw_value & ~in->host->xcr0_mask) == 0;
}

/* Bits whose base is not shown would promise what cannot be used. */
static uint32_t without_orphans(const struct cpuid_host *host, enum cpuid_word word, uint32_t bits)
{
	bool avx = (host->xcr0_mask & XCR0_AVX) != 0;

	if (word == CPUID_WORD_1_ECX && !avx) {
		bits &= ~BITS_NEED_AVX;
	}
	if (word == CPUID_WORD_7_EBX && !avx) {
		bits &= ~BIT_AVX2;
	}
	if (word == CPUID_WORD_7_EBX && (host_word(host, CPUID_WORD_1_ECX) & BIT_PCID) == 0) {
		bits &= ~BIT_INVPCID;
	}
	return bits;
}

static uint64_t efer_mask_of(uint32_t shown)
{
	uint64_t mask = 0;

	mask |= (shown & BIT_SYSCALL) != 0 ? EFER_SCE : 0;
	mask |= (shown & BIT_LM) != 0 ? EFER_LME : 0;
	mask |= (shown & BIT_NX) != 0 ? EFER_NXE : 0;
	return mask;
}

void cpuid_policy_know(struct cpuid_host *host)
{
	struct cpuid_regs regs;

	host->get(host->ctx, 0, 0, &regs);
	host->basic_max = (regs.eax & EXTENDED_BASE) == 0 ? regs.eax : 0;
	host->amd = regs.ebx == VENDOR_AUTH || regs.ebx == VENDOR_HYGO;
	host->get(host->ctx, EXTENDED_BASE, 0, &regs);
	host->extended_max = (regs.eax & EXTENDED_BASE) != 0 ? regs.eax : 0;
	host->xcr0_mask = xcr0_mask_of(host);
	for (uint32_t word = 0; word < CPUID_WORD_COUNT; word++) {
		uint32_t bits =
		        host_word(host, (enum cpuid_word)word) & listed((enum cpuid_word)word, RULE_HOST);

		host->features[word] = without_orphans(host, (enum cpuid_word)word, bits) |
		                       listed((enum cpuid_word)word, RULE_ALWAYS);
	}
	host->efer_mask = efer_mask_of(host->features[CPUID_WORD_80000001_EDX]);
}

static uint32_t state_bits(const struct cpuid_input *in, enum cpuid_word word)
{
	uint32_t bits = 0;

	switch (word) {
	case CPUID_WORD_1_ECX:
		return in->osxsave && in->host->xcr0_mask != 0 ? BIT_OSXSAVE : 0;
	case CPUID_WORD_1_EDX:
		bits |= (in->apic_base & APIC_BASE_ENABLE) != 0 ? BIT_APIC : 0;
		bits |= in->vcpu_count > 1 ? BIT_HTT : 0;
		return bits;
	case CPUID_WORD_80000001_ECX:
		return in->vcpu_count > 1 && in->host->amd ? BIT_CMP_LEGACY : 0;
	case CPUID_WORD_80000001_EDX:
		if (in->host->amd) {
			bits = cpuid_policy_features(in, CPUID_WORD_1_EDX) & AMD_REPEATED_EDX;
		}
		return bits;
	default:
		return 0;
	}
}

uint32_t cpuid_policy_features(const struct cpuid_input *in, enum cpuid_word word)
{
	return in->host->features[word] | state_bits(in, word);
}

/* The least n with 2^n >= count. */
static uint32_t log2_up(uint32_t count)
{
	uint32_t bits = 0;

	while (bits < 31 && UINT32_C(1) << bits < count) {
		bits++;
	}
	return bits;
}

static void cpuid_leaf_host(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                            struct cpuid_regs *out)
{
	(void)subleaf;
	*out = host_leaf(in->host, leaf, 0);
}

static void cpuid_leaf_basic_max(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                 struct cpuid_regs *out)
{
	cpuid_leaf_host(in, leaf, subleaf, out);
	out->eax = in->host->xcr0_mask != 0 ? XSAVE_LEAF : TOPOLOGY_LEAF;
}

static void cpuid_leaf_features(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                struct cpuid_regs *out)
{
	uint32_t id = cpuid_policy_apic_id(in->vcpu_index) & 0xff;
	uint32_t count = in->vcpu_count < 255 ? in->vcpu_count : 255;

	cpuid_leaf_host(in, leaf, subleaf, out);
	out->ebx = (out->ebx & 0xff00) | count << 16 | id << 24; /* CLFLUSH's line is the host's */
	out->ecx = cpuid_policy_features(in, CPUID_WORD_1_ECX);
	out->edx = cpuid_policy_features(in, CPUID_WORD_1_EDX);
}

/* Intel's caches: the first two levels belong to a core, the rest to the package. AMD has zeros. */
static void cpuid_leaf_caches(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                              struct cpuid_regs *out)
{
	uint32_t ids = (UINT32_C(1) << log2_up(in->vcpu_count)) - 1;
	uint32_t level;

	*out = host_leaf(in->host, leaf, subleaf);
	if ((out->eax & 0x1f) == 0) {
		return;
	}
	level = out->eax >> 5 & 7;
	out->eax &= 0x3fff;
	out->eax |= (level > 2 ? ids & 0xfff : 0) << 14 | (ids & 0x3f) << 26;
}

static void cpuid_leaf_power(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                             struct cpuid_regs *out)
{
	(void)in;
	(void)leaf;
	(void)subleaf;
	out->eax = 1u << 2; /* the emulated APIC timer never stops */
}

static void cpuid_leaf_structured(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                  struct cpuid_regs *out)
{
	(void)leaf;
	if (subleaf == 0) {
		out->ebx = cpuid_policy_features(in, CPUID_WORD_7_EBX);
	}
}

static void cpuid_leaf_topology(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                struct cpuid_regs *out)
{
	(void)leaf;
	out->ecx = subleaf & 0xff;
	out->edx = cpuid_policy_apic_id(in->vcpu_index);
	if (subleaf == 0) { /* threads: one */
		out->ebx = 1;
		out->ecx |= 1u << 8;
	} else if (subleaf == 1) { /* cores */
		out->eax = log2_up(in->vcpu_count);
		out->ebx = in->vcpu_count & 0xffff;
		out->ecx |= 2u << 8;
	}
}

/* No compaction, no XSAVEOPT: what they remember of the last XRSTOR would be another guest's. */
static void cpuid_leaf_xsave(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                             struct cpuid_regs *out)
{
	uint64_t mask = in->host->xcr0_mask;
	bool avx = (mask & XCR0_AVX) != 0;

	(void)leaf;
	if (mask == 0) {
		return;
	}
	if (subleaf == 0) {
		out->eax = (uint32_t)mask;
		out->ebx = XSAVE_LEGACY_BYTES;
		out->ecx = XSAVE_LEGACY_BYTES + (avx ? XSAVE_AVX_BYTES : 0);
		if (avx && (in->xcr0 & XCR0_AVX) != 0) {
			out->ebx = out->ecx;
		}
	} else if (subleaf == 2 && avx) {
		out->eax = XSAVE_AVX_BYTES;
		out->ebx = XSAVE_LEGACY_BYTES;
	}
}

static void cpuid_leaf_extended_max(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                    struct cpuid_regs *out)
{
	cpuid_leaf_host(in, leaf, subleaf, out);
	out->eax = EXTENDED_MAX;
}

static void cpuid_leaf_extended_features(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                         struct cpuid_regs *out)
{
	cpuid_leaf_host(in, leaf, subleaf, out);
	out->ebx = 0;
	out->ecx = cpuid_policy_features(in, CPUID_WORD_80000001_ECX);
	out->edx = cpuid_policy_features(in, CPUID_WORD_80000001_EDX);
}

static void cpuid_leaf_invariant_tsc(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                                     struct cpuid_regs *out)
{
	(void)leaf;
	(void)subleaf;
	out->edx = in->invariant_tsc ? 1u << 8 : 0;
}

/* Five-level paging is not shown, so linear addresses have 48 bits. */
static void cpuid_leaf_widths(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                              struct cpuid_regs *out)
{
	uint32_t cores = in->vcpu_count < 256 ? in->vcpu_count : 256;
	uint32_t phys_bits;

	cpuid_leaf_host(in, leaf, subleaf, out);
	phys_bits = out->eax != 0 ? out->eax & 0xff : 36;
	if (in->phys_bits_max != 0 && phys_bits > in->phys_bits_max) {
		phys_bits = in->phys_bits_max;
	}
	*out = (struct cpuid_regs){.eax = phys_bits | 48u << 8};
	if (in->host->amd) {
		out->ecx = (cores - 1) | log2_up(cores) << 12;
	}
}

typedef void cpuid_handler(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf,
                           struct cpuid_regs *out);

struct leaf_row {
	uint32_t leaf;
	cpuid_handler *handler;
};

static const struct leaf_row leaf_rows[] = {
#define CPUID_LEAF(number, name, handler, clause) {number, cpuid_leaf_##handler},
#include "specs/cpuid.def"
};

void cpuid_policy_get(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	*out = (struct cpuid_regs){0, 0, 0, 0};
	for (uint32_t i = 0; i < ARRAY_COUNT(leaf_rows); i++) {
		if (leaf_rows[i].leaf == leaf) {
			leaf_rows[i].handler(in, leaf, subleaf, out);
			return;
		}
	}
}
