/*
 * cpuid_policy.h - the CPUID that a guest sees below 0x40000000 and from 0x80000000 on.
 *
 * An allow-list over the host's CPUID, given by specs/cpuid.def. The range 0x40000000 to
 * 0x4FFFFFFF is the faces' and reads as zero here, as does all that is not listed. Topology: one
 * package, one core a vCPU, one thread a core. Pure code: any context may call it, holding
 * anything.
 */
#ifndef ARCH_X86_CPUID_POLICY_H
#define ARCH_X86_CPUID_POLICY_H

#include "base/cpuid.h"

#include <stdbool.h>
#include <stdint.h>

/* The words of feature bits in specs/cpuid.def. */
enum cpuid_word {
	CPUID_WORD_1_ECX,
	CPUID_WORD_1_EDX,
	CPUID_WORD_7_EBX,
	CPUID_WORD_80000001_ECX,
	CPUID_WORD_80000001_EDX,
	CPUID_WORD_COUNT,
};

/* The host's CPUID, and what follows from it alone: the same for all guests, from boot on. */
struct cpuid_host {
	/* Unchanged. */
	void (*get)(void *ctx, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);
	void *ctx;
	/* cpuid_policy_know() fills these. */
	uint32_t basic_max;
	uint32_t extended_max; /* 0: there are none */
	uint32_t features[CPUID_WORD_COUNT]; /* shown to a guest, but for what follows a vCPU's state */
	uint64_t xcr0_mask; /* bits that a guest may set in XCR0: x87, SSE and AVX at most, 0 without XSAVE */
	uint64_t efer_mask; /* and in EFER: of SCE, LME and NXE, those it is shown */
	bool amd; /* by the vendor string, or Hygon, which is the same core: AMD's MSRs exist */
};

/* From @get and @ctx, which are set. Once. */
void cpuid_policy_know(struct cpuid_host *host);

struct cpuid_input {
	const struct cpuid_host *host;
	/* The guest and its vCPU. */
	uint32_t vcpu_index;
	uint32_t vcpu_count; /* 1 or more */
	uint64_t xcr0; /* as the guest has set it */
	bool osxsave; /* CR4.OSXSAVE */
	uint64_t apic_base; /* the APIC base MSR: its enable bit shows as 1.EDX[9] */
	bool invariant_tsc; /* the clock backend's judgement, not the host's CPUID */
	uint8_t phys_bits_max; /* limit of the physical address width; 0 for the host's */
	uint32_t tsc_khz; /* for the faces' timing leaves: 0x15 and 0x16 are not shown */
	uint32_t apic_bus_hz;
};

#define XCR0_X87 0x1u
#define XCR0_SSE 0x2u
#define XCR0_AVX 0x4u

/* The APIC ID of a vCPU. The one place that says so: ACPI, x2APIC and both faces ask here. */
static inline uint32_t cpuid_policy_apic_id(uint32_t vcpu_index)
{
	return vcpu_index;
}

/* What the guest gets for CPUID @leaf (EAX) and @subleaf (ECX). */
void cpuid_policy_get(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

/* The guest's feature bits of one word. */
uint32_t cpuid_policy_features(const struct cpuid_input *in, enum cpuid_word word);

/* Whether XSETBV of @raw_value to XCR0 is allowed; if not, #GP(0). */
bool cpuid_policy_xcr0_valid(const struct cpuid_input *in, uint64_t raw_value);

#endif /* ARCH_X86_CPUID_POLICY_H */
