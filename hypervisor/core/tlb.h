/*
 * tlb.h - which CPU may hold which translations: the one place that knows, above SVM and VMX.
 *
 * Two kinds of cached entries, with two ways to get rid of them:
 *
 * What comes from a guest's own page tables is tagged with an address-space id (ASID, VPID). Each CPU hands out
 * ids in turn; when they are used up it starts a new generation with one flush of everything. A vCPU may use its
 * id only on the CPU and in the generation that gave it; else, and after any request to flush, it gets a new one,
 * under which nothing can be cached. So a flush of one vCPU costs no other vCPU its translations.
 *
 * What comes from the nested tables alone is tagged with the ASID on AMD (APM 2, TLB Control), so the above is all
 * that it needs. On Intel (SDM 3C, Caching Translation Information) it is tagged with the tables' root, and outlives
 * any VPID. Hence a count of all changes that took something away: each guest's tables know the last one of theirs, each
 * CPU what the count was before it last dropped all nested entries. A new guest's root may be a page that was another's:
 * that is a change too.
 *
 * The order that all of it rests on. A change: the entry's store, tlb_space_changed(), the request to each vCPU, then the
 * look whether it is in the guest. An entry: tlb_enter(), the mark that it is in the guest, then the look for requests.
 * Of the two who mark first and look then, one sees the other. tests/unit/tlb_test.c has a model of both vendors.
 */
#ifndef CORE_TLB_H
#define CORE_TLB_H

#include "base/compiler.h"

/* One guest's nested tables. */
struct tlb_space {
	uint64_t changed; /* atomic: the count of changes when they last lost an entry or a right */
};

/* Its own CPU only. */
struct tlb_cpu {
	uint32_t asid_count; /* ids 1 to asid_count - 1 are handed out */
	uint32_t next;
	uint64_t generation;
	bool flush_pending; /* the generation has begun, its flush has not been yet */
	uint64_t nested_seen; /* every change up to this count was before the last flush of nested entries */
};

/* Zeroed at the vCPU's birth. Its own CPU, or whoever has it while it is on none. */
struct tlb_vcpu {
	uint32_t cpu;
	uint32_t asid; /* 0: has none */
	uint64_t generation;
};

struct tlb_choice {
	uint32_t asid;
	bool flush_all; /* drop what is tagged with an id, of all ids, on this CPU before the entry */
	bool flush_nested; /* drop what is tagged with a root, of all roots, on this CPU before the entry */
	uint64_t nested_seen; /* for tlb_entered() */
};

/* @asid_count: as the CPU has them, with 0, which nobody gets; 1 is given even if there is none. What is cached is unknown. */
void tlb_cpu_init(struct tlb_cpu *cpu, uint32_t asid_count);

/* New nested tables, empty. Any CPU. Before any entry with them. */
void tlb_space_init(struct tlb_space *space);

/*
 * An entry of these tables has gone, or another stands there, or it has lost a right. Any CPU, no lock needed. After the
 * entry's store and before the flush requests to the guest's vCPUs, which the caller still has to make.
 */
void tlb_space_changed(struct tlb_space *space);

/* @vcpu's translations are no longer right, wherever they are cached. Its own CPU, or while it is on none. */
void tlb_forget(struct tlb_vcpu *vcpu);

/*
 * What an entry of @vcpu with @space's tables needs on @cpu, whose number is @index. On that CPU. The choice is
 * for the next entry of this CPU, or for none: without one, nothing is lost and the next choice asks again.
 */
struct tlb_choice tlb_enter(struct tlb_cpu *cpu, uint32_t index, struct tlb_vcpu *vcpu,
                            const struct tlb_space *space);

/* The CPU has entered as @choice asked, so its flushes have been. On that CPU, before its next choice. */
void tlb_entered(struct tlb_cpu *cpu, const struct tlb_choice *choice);

#endif /* CORE_TLB_H */
