/*
 * tlb.c - see tlb.h.
 */
#include "hypervisor/core/tlb.h"

void tlb_cpu_init(struct tlb_cpu *cpu, uint32_t asid_count)
{
	cpu->asid_count = asid_count < 2 ? 2 : asid_count;
	cpu->next =
	        cpu->asid_count; /* the first choice starts a generation, so whatever was cached before goes */
	cpu->generation = 0;
}

void tlb_forget(struct tlb_vcpu *vcpu)
{
	vcpu->asid = 0;
}

struct tlb_choice tlb_enter(struct tlb_cpu *cpu, uint32_t index, struct tlb_vcpu *vcpu)
{
	struct tlb_choice choice = {vcpu->asid, false};

	if (vcpu->asid != 0 && vcpu->cpu == index && vcpu->generation == cpu->generation) {
		return choice;
	}
	if (cpu->next >= cpu->asid_count) {
		cpu->next = 1;
		cpu->generation++;
		choice.flush_all = true;
	}
	vcpu->cpu = index;
	vcpu->generation = cpu->generation;
	vcpu->asid = cpu->next++;
	choice.asid = vcpu->asid;
	return choice;
}
