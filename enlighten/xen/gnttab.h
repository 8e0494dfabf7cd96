/*
 * gnttab.h - what a guest granted to domain 0, as the hypervisor's own backends use it.
 *
 * Follows Xen's grant_table.h, version 1. All of it takes the guest's RANK_GRANT lock: call it with locks
 * of lower ranks at most.
 */
#ifndef ENLIGHTEN_XEN_GNTTAB_H
#define ENLIGHTEN_XEN_GNTTAB_H

#include "base/compiler.h"

struct vm;
struct vm_page;

struct gnttab_hold {
	struct vm_page *page; /* pinned; NULL in a hold that was not taken */
	uint32_t ref;
	bool write;
};

/*
 * Takes @ref (unchecked) for reading, or reading and writing: sets the entry's reading and writing bits,
 * pins its page. Returns GNTST_okay or a negative GNTST_*, @hold->page then being NULL.
 */
int16_t gnttab_hold(struct vm *vm, uint32_t ref, bool write, struct gnttab_hold *hold);

/*
 * Gives it back: the last one clears the bits. Every hold is released once, before the guest's reset and
 * teardown. @hold->page is NULL after it; releasing such a one does nothing.
 */
void gnttab_release(struct vm *vm, struct gnttab_hold *hold);

#endif /* ENLIGHTEN_XEN_GNTTAB_H */
