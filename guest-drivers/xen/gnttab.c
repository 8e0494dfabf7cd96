/*
 * gnttab.c - granting pages to domain 0, version 1 entries (grant_table.h).
 */
#include "guest-drivers/xen/xen.h"

#define REFS_A_FRAME 512u

static uint8_t *entry_at(struct xen_guest *x, uint32_t ref)
{
	return x->grants[ref / REFS_A_FRAME] + ref % REFS_A_FRAME * sizeof(struct xen_grant_entry_v1);
}

bool xen_grants_start(struct xen_guest *x)
{
	for (uint32_t i = 0; i < XEN_GRANT_FRAMES; i++) {
		x->grants[i] = xen_map(x, XENMAPSPACE_grant_table, i, &x->grant_below[i]);
		if (x->grants[i] == NULL) {
			return false;
		}
	}
	x->grant_free = GNTTAB_NR_RESERVED_ENTRIES;
	for (uint32_t i = GNTTAB_NR_RESERVED_ENTRIES; i < XEN_GRANT_REFS; i++) {
		x->grant_next[i] = (uint16_t)(i + 1 < XEN_GRANT_REFS ? i + 1 : XEN_GRANT_NONE);
	}
	x->grant_free_count = XEN_GRANT_REFS - GNTTAB_NR_RESERVED_ENTRIES;
	return true;
}

uint32_t xen_grant(struct xen_guest *x, uint64_t gfn, bool read_only)
{
	uint32_t ref = x->grant_free;
	struct xen_grant_entry_v1 entry = {.domid = 0, .frame = (uint32_t)gfn};
	uint16_t flags = read_only ? GTF_permit_access | GTF_readonly : GTF_permit_access;

	if (ref == XEN_GRANT_NONE) {
		return ref;
	}
	x->grant_free = x->grant_next[ref];
	x->grant_free_count--;
	memcpy(entry_at(x, ref), &entry, sizeof(entry));
	/* The flags last: they make the entry valid. */
	__atomic_store_n((uint16_t *)(void *)entry_at(x, ref), flags, __ATOMIC_SEQ_CST);
	return ref;
}

bool xen_grant_end(struct xen_guest *x, uint32_t ref)
{
	uint16_t *flags_at = (uint16_t *)(void *)entry_at(x, ref);
	uint16_t flags = __atomic_load_n(flags_at, __ATOMIC_ACQUIRE);

	do {
		if ((flags & (GTF_reading | GTF_writing)) != 0) {
			return false;
		}
	} while (
	        !__atomic_compare_exchange_n(flags_at, &flags, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	x->grant_next[ref] = x->grant_free;
	x->grant_free = (uint16_t)ref;
	x->grant_free_count++;
	return true;
}
