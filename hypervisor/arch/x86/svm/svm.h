/*
 * svm.h - what the files of this folder share. A VMCB is memory: any CPU may read and write it while the vCPU does not run.
 */
#ifndef ARCH_X86_SVM_SVM_H
#define ARCH_X86_SVM_SVM_H

#include "base/bits.h"
#include "base/check.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/arch/x86/hvm_ops.h"
#include "hypervisor/arch/x86/svm/vmcb.h"

#define MSR_EFER 0xc0000080u
#define VECTOR_DB 1u
#define VECTOR_AC 17u
#define VECTOR_MC 18u

static inline struct vmcb *vmcb_of(const struct hvm_vcpu *vcpu)
{
	return vcpu->backend;
}

/* ---- svm_setup.c ---- */

struct hvm_fitness svm_probe(void);
void svm_cpu_enable(void);
void svm_vcpu_create(struct hvm_vcpu *vcpu, void *const *pages);
/* Where this CPU keeps what VMSAVE saves of the host. */
hpa_t svm_host_extra(void);

/* ---- svm_state.c ---- */

void svm_state_get(const struct hvm_vcpu *vcpu, struct hvm_state *state);
void svm_state_set(struct hvm_vcpu *vcpu, const struct hvm_state *state);
void svm_paging_get(const struct hvm_vcpu *vcpu, struct hvm_paging *paging);
bool svm_msr_get(const struct hvm_vcpu *vcpu, uint32_t msr, uint64_t *value);
bool svm_msr_set(struct hvm_vcpu *vcpu, uint32_t msr, uint64_t value);

/* ---- entry.S ---- */

void svm_enter(struct cpu_regs *regs, uint64_t vmcb_pa, uint64_t host_vmcb_pa);

#endif /* ARCH_X86_SVM_SVM_H */
