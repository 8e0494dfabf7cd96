/*
 * xen_memory.h - what the two files of specs/xen_memory.def share.
 */
#ifndef GUEST_DRIVERS_CERTIFY_XEN_MEMORY_H
#define GUEST_DRIVERS_CERTIFY_XEN_MEMORY_H

#include "guest-drivers/certify/xen_probe.h"

#define XEN_ENOBUFS 105

/* The row's operation with @len bytes at @argument. */
int64_t memory_op(struct probe *p, struct xen_guest *x, void *argument, size_t len);
/* HVMMEM_* of a page, or an error. */
int64_t memory_type(struct xen_guest *x, uint64_t gfn);
/* Is the page of type @wanted? Nothing where types are not told. */
void check_type(struct probe *p, struct xen_guest *x, uint64_t gfn, uint32_t wanted, const char *what);

/* In xen_physmap.c. */
void probe_add_to_physmap(struct probe *p);
void probe_add_to_physmap_batch(struct probe *p);
void probe_remove_from_physmap(struct probe *p);
void probe_memory_map(struct probe *p);
void probe_set_memory_map(struct probe *p);

#endif /* GUEST_DRIVERS_CERTIFY_XEN_MEMORY_H */
