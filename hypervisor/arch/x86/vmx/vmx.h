/*
 * vmx.h - what the files of this folder share: one vCPU's own memory, and the way to its VMCS.
 *
 * A VMCS can be read and written only on the CPU where it is loaded (Intel SDM 3C, 24.1). So what another CPU sets (the state
 * that a vCPU starts in) waits in memory for the next entry.
 */
#ifndef ARCH_X86_VMX_VMX_H
#define ARCH_X86_VMX_VMX_H

#include "base/check.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/arch/x86/hvm_ops.h"
#include "hypervisor/arch/x86/vmx/vmcs.h"

#define MSR_PAT 0x277u
#define MSR_EFER 0xc0000080u
#define EFER_LMA BIT64(10)

/* Not in the VMCS: in the CPU's own registers while the vCPU is loaded. The order of syscall_msrs in vmx_state.c. */
#define SYSCALL_MSR_COUNT 5u

struct vmx_vcpu {
	hpa_t vmcs;
	hpa_t apic_page;
	uint8_t *apic; /* the same page; only its TPR is used */
	bool is_filled; /* the VMCS has its constant fields */
	bool is_launched;
	bool is_loaded; /* on the CPU that asks: only that one may ask */
	uint32_t host_cpu; /* 1 + the CPU whose side stands in the VMCS; 0: none yet */
	struct hvm_state state; /* for the next entry, if state_waits */
	bool state_waits;
	uint64_t cr2, dr6;
	uint64_t syscall[SYSCALL_MSR_COUNT];
	/* What stands in the VMCS: written only when it changes. */
	uint64_t tsc_offset;
	uint32_t vpid;
	uint32_t primary;
	uint32_t blocked; /* interruptibility */
};

static inline struct vmx_vcpu *vmx_of(const struct hvm_vcpu *vcpu)
{
	return vcpu->backend;
}

static inline uint64_t vmcs_read(enum vmcs_field field)
{
	uint64_t value;
	bool failed;

	__asm__ volatile("vmread %[field], %[value]"
	                 : [value] "=r"(value), "=@ccbe"(failed)
	                 : [field] "r"((uint64_t)field)
	                 : "memory");
	CHECK(!failed);
	return value;
}

static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %[value], %[field]"
	                 : "=@ccbe"(failed)
	                 : [value] "r"(value), [field] "r"((uint64_t)field)
	                 : "memory");
	CHECK(!failed);
}

/* ---- vmx_setup.c ---- */

struct hvm_fitness vmx_probe(void);
void vmx_cpu_enable(void);
/* The preemption timer counts once in 2^this ticks of the TSC (A.6). */
uint32_t vmx_timer_shift(void);
void vmx_vcpu_create(struct hvm_vcpu *vcpu, void *const *pages);
/* Makes the VMCS this CPU's current one, with the host's side and all that is not switched at an entry. */
void vmx_load(struct hvm_vcpu *vcpu);
void vmx_unload(struct hvm_vcpu *vcpu);

/* ---- vmx_state.c ---- */

/* Puts what waits in v->state into the VMCS. */
void vmx_state_apply(struct vmx_vcpu *v);
/* The registers that an entry does not switch: into the CPU, and back. */
void vmx_registers_load(const struct vmx_vcpu *v);
void vmx_registers_save(struct vmx_vcpu *v);
/* An exit by MOV to CR0 or CR4 (@qualification of 27.2.1). False: #GP. */
bool vmx_write_control_register(const struct hvm_vcpu *vcpu, uint64_t qualification);
/* MSRs that never exit: their numbers, and how many. */
const uint32_t *vmx_free_msrs(size_t *count);
void vmx_state_get(const struct hvm_vcpu *vcpu, struct hvm_state *state);
void vmx_state_set(struct hvm_vcpu *vcpu, const struct hvm_state *state);
void vmx_paging_get(const struct hvm_vcpu *vcpu, struct hvm_paging *paging);
bool vmx_msr_get(const struct hvm_vcpu *vcpu, uint32_t msr, uint64_t *value);
bool vmx_msr_set(struct hvm_vcpu *vcpu, uint32_t msr, uint64_t value);

/* ---- entry.S ---- */

bool vmx_enter(struct cpu_regs *regs, bool launched);
extern uint8_t vmx_exit[];

#endif /* ARCH_X86_VMX_VMX_H */
