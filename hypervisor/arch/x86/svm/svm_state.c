/*
 * svm_state.c - a vCPU's registers, segments and MSRs, to and from its VMCB (AMD64 APM volume 2, appendix B).
 */
#include "hypervisor/arch/x86/svm/svm.h"

static struct vmcb_segment *segment_of(struct vmcb *vmcb, unsigned int name)
{
	struct vmcb_segment *const table[HVM_SEGMENT_COUNT] = {
	        [HVM_ES] = &vmcb->es, [HVM_CS] = &vmcb->cs, [HVM_SS] = &vmcb->ss,     [HVM_DS] = &vmcb->ds,
	        [HVM_FS] = &vmcb->fs, [HVM_GS] = &vmcb->gs, [HVM_LDTR] = &vmcb->ldtr, [HVM_TR] = &vmcb->tr,
	};

	return table[name];
}

void svm_state_get(const struct hvm_vcpu *vcpu, struct hvm_state *state)
{
	struct vmcb *vmcb = vmcb_of(vcpu);

	for (unsigned int i = 0; i < HVM_SEGMENT_COUNT; i++) {
		const struct vmcb_segment *s = segment_of(vmcb, i);

		state->segments[i] = (struct hvm_segment){s->base, s->limit, s->selector, s->attributes};
	}
	state->gdt_base = vmcb->gdtr.base;
	state->gdt_limit = (uint16_t)vmcb->gdtr.limit;
	state->idt_base = vmcb->idtr.base;
	state->idt_limit = (uint16_t)vmcb->idtr.limit;
	state->cr0 = vmcb->cr0;
	state->cr2 = vmcb->cr2;
	state->cr3 = vmcb->cr3;
	state->cr4 = vmcb->cr4;
	state->efer = vmcb->efer & ~EFER_SVME;
	state->dr6 = vmcb->dr6;
	state->dr7 = vmcb->dr7;
}

void svm_state_set(struct hvm_vcpu *vcpu, const struct hvm_state *state)
{
	struct vmcb *vmcb = vmcb_of(vcpu);

	for (unsigned int i = 0; i < HVM_SEGMENT_COUNT; i++) {
		const struct hvm_segment *s = &state->segments[i];

		*segment_of(vmcb, i) = (struct vmcb_segment){s->selector, s->attributes, s->limit, s->base};
	}
	vmcb->gdtr = (struct vmcb_segment){0, 0, state->gdt_limit, state->gdt_base};
	vmcb->idtr = (struct vmcb_segment){0, 0, state->idt_limit, state->idt_base};
	vmcb->cpl = (uint8_t)(state->segments[HVM_SS].attributes >> 5 & 3);
	vmcb->cr0 = state->cr0;
	vmcb->cr2 = state->cr2;
	vmcb->cr3 = state->cr3;
	vmcb->cr4 = state->cr4;
	vmcb->efer = state->efer | EFER_SVME;
	vmcb->dr6 = state->dr6;
	vmcb->dr7 = state->dr7;
}

void svm_paging_get(const struct hvm_vcpu *vcpu, struct hvm_paging *paging)
{
	const struct vmcb *vmcb = vmcb_of(vcpu);

	paging->cr0 = vmcb->cr0;
	paging->cr3 = vmcb->cr3;
	paging->cr4 = vmcb->cr4;
	paging->efer = vmcb->efer & ~EFER_SVME;
	paging->cs_base = vmcb->cs.base;
	paging->cs_long = (vmcb->cs.attributes & BIT(9)) != 0;
	paging->cs_default32 = (vmcb->cs.attributes & BIT(10)) != 0;
	paging->cpl = vmcb->cpl;
}

static uint64_t *msr_home(struct vmcb *vmcb, uint32_t msr)
{
	switch (msr) {
	case 0x174:
		return &vmcb->sysenter_cs;
	case 0x175:
		return &vmcb->sysenter_esp;
	case 0x176:
		return &vmcb->sysenter_eip;
	case 0x277:
		return &vmcb->g_pat;
	case 0xc0000081u:
		return &vmcb->star;
	case 0xc0000082u:
		return &vmcb->lstar;
	case 0xc0000083u:
		return &vmcb->cstar;
	case 0xc0000084u:
		return &vmcb->sfmask;
	case 0xc0000100u:
		return &vmcb->fs.base;
	case 0xc0000101u:
		return &vmcb->gs.base;
	case 0xc0000102u:
		return &vmcb->kernel_gs_base;
	default:
		return NULL;
	}
}

bool svm_msr_get(const struct hvm_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vmcb *vmcb = vmcb_of(vcpu);
	const uint64_t *home = msr_home(vmcb, msr);

	if (msr == MSR_EFER) {
		*value = vmcb->efer & ~EFER_SVME;
		return true;
	}
	if (home != NULL) {
		*value = *home;
	}
	return home != NULL;
}

bool svm_msr_set(struct hvm_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vmcb *vmcb = vmcb_of(vcpu);
	uint64_t *home = msr_home(vmcb, msr);

	if (msr == MSR_EFER) {
		vmcb->efer = value | EFER_SVME;
		return true;
	}
	if (home != NULL) {
		*home = value;
	}
	return home != NULL;
}
