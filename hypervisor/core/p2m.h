/*
 * p2m.h - one guest's memory: which frame stands at which guest-physical page.
 *
 * The table is the nested page table that the CPU walks, so there is one truth. Readers take no lock: entries
 * change atomically, tables are freed only with the guest, and frames only when no CPU can still
 * reach them (frames.h). Changes are made under the lock, told to tlb.h, and followed by a flush of all the guest's
 * vCPUs, which is the caller's (memory.c) task.
 */
#ifndef CORE_P2M_H
#define CORE_P2M_H

#include "base/addr.h"
#include "base/lock.h"
#include "hypervisor/core/tlb.h"
#include "vm/page.h"

#define P2M_OVERLAY_MAX 512u
#define P2M_ADDRESS_BITS 40u /* what CPUID tells the guest at least, and what we map at most */

struct p2m_overlay {
	struct vm_page *page; /* of ours; NULL: free slot */
	struct vm_page *below; /* the RAM that it hides, or NULL */
	uint64_t gfn;
};

struct p2m {
	struct spinlock lock; /* RANK_MEMORY */
	uint16_t owner;
	hpa_t root;
	struct tlb_space space; /* what of it CPUs may still hold */
	uint64_t ram_pages;
	uint64_t ram_max_pages;
	uint64_t max_gfn;
	uint32_t huge_count; /* leaves of 1 GiB that it began with */
	uint32_t overlay_count;
	struct p2m_overlay overlays[P2M_OVERLAY_MAX];
};

/* What stands at a page now. page is NULL for a hole. */
struct p2m_view {
	struct vm_page *page;
	bool writable;
};

/* Whether the boot CPU can walk leaves of 1 GiB. Before the first guest. */
void p2m_allow_huge(bool allowed);
MUST_CHECK bool p2m_create(struct p2m *p2m, uint16_t owner);
/* No vCPU of the guest runs, and none will. */
void p2m_destroy(struct p2m *p2m);

/* Backs [@from, @from + @bytes) with zeroed RAM, in pages of 1 GiB and 2 MiB where they fit. Control path. False without memory. */
MUST_CHECK bool p2m_populate(struct p2m *p2m, gpa_t from, uint64_t bytes);

struct p2m_view p2m_find(const struct p2m *p2m, gpa_t at);

/* All of these: 0 on success; under no lock of RANK_MEMORY or above. */
enum p2m_result {
	P2M_OK,
	P2M_NOTHING, /* nothing there to take */
	P2M_OCCUPIED,
	P2M_FULL, /* no memory for tables, or no overlay slot */
};
MUST_CHECK enum p2m_result p2m_give(struct p2m *p2m, gpa_t at);
/* Takes RAM away. *@taken is to be retired, after the flush is requested: else a CPU may pass between the two. */
MUST_CHECK enum p2m_result p2m_take(struct p2m *p2m, gpa_t at, struct vm_page **taken);
MUST_CHECK enum p2m_result p2m_show(struct p2m *p2m, struct vm_page *page, gpa_t at, uint32_t access);
/* False if it showed nowhere. */
bool p2m_hide(struct p2m *p2m, struct vm_page *page);

#endif /* CORE_P2M_H */
