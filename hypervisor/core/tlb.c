/*
 * tlb.c - see tlb.h. None of the counts can wrap: at one each nanosecond, 64 bits last 584 years.
 */
#include "hypervisor/core/tlb.h"

static uint64_t change_count; /* atomic: changes to all guests' nested tables; the first is 1 */

void tlb_cpu_init(struct tlb_cpu *cpu, uint32_t asid_count)
{
	cpu->asid_count = asid_count;
	/* The first choice starts a generation, and no tables have changed at 0: whatever was cached before goes. */
	cpu->next = cpu->asid_count;
	cpu->generation = 0;
	cpu->flush_pending = false;
	cpu->nested_seen = 0;
}

void tlb_space_init(struct tlb_space *space)
{
	__atomic_store_n(&space->changed, __atomic_add_fetch(&change_count, 1, __ATOMIC_SEQ_CST),
	                 __ATOMIC_SEQ_CST);
}

void tlb_space_changed(struct tlb_space *space)
{
	uint64_t count = __atomic_add_fetch(&change_count, 1, __ATOMIC_SEQ_CST);
	uint64_t old = __atomic_load_n(&space->changed, __ATOMIC_SEQ_CST);

	/* Never back: another CPU's later change may be in already. One more turn only for each CPU that changes it now. */
	while (old < count && !__atomic_compare_exchange_n(&space->changed, &old, count, false,
	                                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
	}
}

void tlb_forget(struct tlb_vcpu *vcpu)
{
	vcpu->asid = 0;
}

static bool id_is_good(const struct tlb_cpu *cpu, uint32_t index, const struct tlb_vcpu *vcpu)
{
	return vcpu->asid != 0 && vcpu->cpu == index && vcpu->generation == cpu->generation;
}

static void give_id(struct tlb_cpu *cpu, uint32_t index, struct tlb_vcpu *vcpu)
{
	if (cpu->next >= cpu->asid_count) {
		cpu->next = 1;
		cpu->generation++;
		cpu->flush_pending = true;
	}
	vcpu->cpu = index;
	vcpu->generation = cpu->generation;
	vcpu->asid = cpu->next++;
}

struct tlb_choice tlb_enter(struct tlb_cpu *cpu, uint32_t index, struct tlb_vcpu *vcpu,
                            const struct tlb_space *space)
{
	struct tlb_choice choice = {0};

	if (!id_is_good(cpu, index, vcpu)) {
		give_id(cpu, index, vcpu);
	}
	choice.asid = vcpu->asid;
	choice.flush_all = cpu->flush_pending;
	choice.flush_nested = __atomic_load_n(&space->changed, __ATOMIC_SEQ_CST) > cpu->nested_seen;
	/* Read before the flush: a change that comes after this may come after the flush too. */
	choice.nested_seen =
	        choice.flush_nested ? __atomic_load_n(&change_count, __ATOMIC_SEQ_CST) : cpu->nested_seen;
	return choice;
}

void tlb_entered(struct tlb_cpu *cpu, const struct tlb_choice *choice)
{
	cpu->flush_pending = cpu->flush_pending && !choice->flush_all;
	cpu->nested_seen = choice->nested_seen;
}
