/*
 * msr_policy.h - which MSRs a guest may touch, and what they hold: specs/msr.def turned into
 * answers.
 *
 * The store is plain data, one for each vCPU, used by the CPU that runs it and nobody else. Pure
 * code: any context may call it, holding anything.
 */
#ifndef ARCH_X86_MSR_POLICY_H
#define ARCH_X86_MSR_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum msr_row_index {
#define MSR(first, last, name, kind, reset, writable, clause) MSR_ROW_##name,
#include "specs/msr.def"
	MSR_ROW_COUNT,
};

/* The values of the rows that are stored; to be saved by MSR number, not by index. */
struct msr_store {
	uint64_t value[MSR_ROW_COUNT];
};

/* What answers depend on beside the store. */
struct msr_env {
	uint64_t efer; /* as the guest's CPU has it now; bits not its own may be set */
	uint64_t cr0;
	uint64_t efer_mask; /* struct cpuid_host's */
	bool amd; /* struct cpuid_host's */
	bool rdtscp; /* shown to the guest: TSC_AUX exists */
};

enum msr_result {
	MSR_OK,
	MSR_LOAD, /* written: load msr_policy_stored() before the next entry (EFER, PAT, TSC_AUX) */
	MSR_GP,
	/* Elsewhere; nothing was done, and a write's value has passed the check of its row. */
	MSR_AT_VENDOR, /* in the state that SVM or VMX code keeps */
	MSR_AT_PLATFORM, /* the local APIC: APIC_BASE and x2APIC */
	MSR_AT_CLOCK, /* the TSC */
	MSR_AT_FACE,
};

/* Power-on values. An INIT leaves the store alone. */
void msr_store_reset(struct msr_store *store);

/* RDMSR of @msr. *value is set with MSR_OK alone. */
enum msr_result msr_policy_read(const struct msr_store *store, const struct msr_env *env, uint32_t msr,
                                uint64_t *value);

/* WRMSR of @raw_value. Nothing changes unless MSR_OK or MSR_LOAD. */
enum msr_result msr_policy_write(struct msr_store *store, const struct msr_env *env, uint32_t msr,
                                 uint64_t raw_value);

/* The stored value of @msr, which must be one that MSR_LOAD names. */
uint64_t msr_policy_stored(const struct msr_store *store, uint32_t msr);

/*
 * The MSRs that need no intercept. Start with *cursor = 0; each call gives the next in *msr.
 * Returns false behind the last one.
 */
bool msr_policy_next_direct(uint32_t *cursor, uint32_t *msr);

/* The row's name, for the tracer and the support matrix; null if there is no row. */
const char *msr_policy_name(uint32_t msr);

#endif /* ARCH_X86_MSR_POLICY_H */
