/*
 * judge.h - what Janus needs of a CPU's VMX, and the facts that it judges by.
 */
#ifndef ARCH_X86_VMX_JUDGE_H
#define ARCH_X86_VMX_JUDGE_H

#include "hypervisor/arch/x86/hvm_ops.h"
#include "hypervisor/arch/x86/vmx/vmcs.h"

/* Capability MSRs; 0 where the CPU has no such register. */
enum vmx_fact {
	VMX_FACT_BASIC,
	VMX_FACT_PROCBASED2,
	VMX_FACT_EPT_VPID_CAP,
	VMX_FACT_PIN, /* this and those below: the TRUE ones */
	VMX_FACT_PROC,
	VMX_FACT_EXIT,
	VMX_FACT_ENTRY,
	VMX_FACT_COUNT,
};

struct vmx_facts {
	bool has_vmx, has_rdtscp, has_invpcid;
	uint64_t feature_control;
	uint64_t word[VMX_FACT_COUNT];
};

#define VMX_PIN_NEEDED (PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER)
/* The windows and CR8 are asked for entry by entry. */
#define VMX_PRIMARY_ALWAYS                                                                       \
	(PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_RDPMC | PRIMARY_TPR_SHADOW | \
	 PRIMARY_IO | PRIMARY_MSR_BITMAP | PRIMARY_MONITOR | PRIMARY_SECONDARY)
#define VMX_PRIMARY_NEEDED                                                                       \
	(VMX_PRIMARY_ALWAYS | PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW | PRIMARY_CR8_LOAD | \
	 PRIMARY_PAUSE)
#define VMX_EXIT_NEEDED \
	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACKNOWLEDGE | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define VMX_ENTRY_NEEDED (ENTRY_LOAD_DEBUG | ENTRY_GUEST_64 | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

/* Whether the CPU with these @facts will do. */
struct hvm_fitness vmx_judge(const struct vmx_facts *facts);

/* Control bits for a CPU with this @capability MSR: of those @wanted what may be 1, and what must be. */
uint32_t vmx_controls(uint64_t capability, uint32_t wanted);

#endif /* ARCH_X86_VMX_JUDGE_H */
