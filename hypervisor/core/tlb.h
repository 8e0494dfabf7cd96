/*
 * tlb.h - which CPU may hold which vCPU's translations: the one place that knows, above SVM and VMX.
 *
 * Translations are tagged with an address-space id (ASID, VPID). Each CPU hands out ids in turn; when they
 * are used up it starts a new generation with one flush of everything. A vCPU may use its id only on the
 * CPU and in the generation that gave it; else, and after any request to flush, it gets a new one, under
 * which nothing can be cached. So a flush of one vCPU costs no other vCPU its translations.
 */
#ifndef CORE_TLB_H
#define CORE_TLB_H

#include "base/compiler.h"

struct tlb_cpu {
	uint32_t asid_count; /* ids 1 to asid_count - 1 are handed out */
	uint32_t next;
	uint64_t generation;
};

struct tlb_vcpu {
	uint32_t cpu;
	uint32_t asid; /* 0: has none */
	uint64_t generation;
};

struct tlb_choice {
	uint32_t asid;
	bool flush_all; /* drop everything on this CPU before the entry */
};

void tlb_cpu_init(struct tlb_cpu *cpu, uint32_t asid_count);
/* @vcpu's translations are no longer right, wherever they are cached. Its own CPU, or while it is on none. */
void tlb_forget(struct tlb_vcpu *vcpu);
/* Before an entry of @vcpu on CPU number @index. */
struct tlb_choice tlb_enter(struct tlb_cpu *cpu, uint32_t index, struct tlb_vcpu *vcpu);

#endif /* CORE_TLB_H */
