/*
 * xen_probe.h - what the probes of Xen's tables share: results told as numbers, time, ports, pages.
 *
 * A row that this hypervisor refuses with -ENOSYS is not offered: no failure of the probe (who compares `offered` with
 * `specified` judges). A row that Janus refuses may be offered elsewhere: then only its documented form is looked at.
 */
#ifndef GUEST_DRIVERS_CERTIFY_XEN_PROBE_H
#define GUEST_DRIVERS_CERTIFY_XEN_PROBE_H

#include "guest-drivers/certify/certify.h"

#define XP_BAD 0x000FFFFFFFFFF000ull /* linear or physical: no guest has memory there */
#define XP_BAD_GFN (XP_BAD >> PAGE_SHIFT)
#define XP_UNMAPPED 0x00007FFFFFFFF000ull /* canonical, but nothing is mapped there */
#define XP_NO_DOMID 0x7ABCu /* no domain has this number */
#define XP_NO_VCPU 0x7FFFu /* nor any vCPU this */
#define XP_NO_PORT 0x3FFFFFFFu /* nor is there such a port in any form */
#define XP_MS_NS 1000000ull
#define XP_PATIENCE_US 1000000u
#define XP_PAIR_TRIES 256u

/* ------------------------------------------------------------------ results */

/* The result of a call must be @wanted. */
bool xp_result(struct probe *p, int64_t got, int64_t wanted, const char *what);
/* It must be one of @count. */
bool xp_result_of(struct probe *p, int64_t got, const int64_t *wanted, uint32_t count, const char *what);
#define XP_RESULT_OF(p, got, what, ...)                      \
	xp_result_of(p, got, (const int64_t[]){__VA_ARGS__}, \
	             sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), what)

/* False: -ENOSYS, the row is not offered here, and nothing more is to be probed. */
bool xp_offered(struct probe *p, int64_t got);
/* For a row that Janus refuses: an error of those documented (the first: Janus's), or it is offered here. */
void xp_refused(struct probe *p, int64_t got, const int64_t *documented, uint32_t count);
#define XP_REFUSED(p, got, ...)                            \
	xp_refused(p, got, (const int64_t[]){__VA_ARGS__}, \
	           sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* (op, pointer) calls of hypercall @number, row's operation: -EFAULT for a pointer to no memory. */
void xp_check_fault(struct probe *p, struct xen_guest *x, uint32_t number);
/* The row's operation of hypercall @number with @len bytes at @argument. */
int64_t xp_op(struct probe *p, struct xen_guest *x, uint32_t number, void *argument, size_t len);

/* ------------------------------------------------------------------ time */

/* Xen's system time in ns; 0: it cannot be had. */
uint64_t xp_now(struct certify *c);
void xp_pause(struct certify *c, uint32_t us);

/* ------------------------------------------------------------------ ports */

bool xp_is_pending(struct xen_guest *x, uint32_t port);
bool xp_is_masked(struct xen_guest *x, uint32_t port);
void xp_mask(struct xen_guest *x, uint32_t port, bool mask);
void xp_clear(struct xen_guest *x, uint32_t port);
bool xp_wait_pending(struct probe *p, uint32_t port, uint32_t us);
/* Is vCPU 0's upcall asked for? Clearing it, and all selectors with it. */
bool xp_upcall(struct xen_guest *x);
void xp_upcall_clear(struct xen_guest *x);
/* A port of VIRQ_TIMER, an IPI's of vCPU 0, one unbound for @remote. 0: a check has failed. */
uint32_t xp_port_timer(struct probe *p, struct xen_guest *x);
uint32_t xp_port_ipi(struct probe *p, struct xen_guest *x);
uint32_t xp_port_unbound(struct probe *p, struct xen_guest *x, uint16_t remote);
/* What EVTCHNOP_status says of @port of this domain. */
int64_t xp_port_status(struct xen_guest *x, uint32_t port, struct xen_evtchn_status *status);
void xp_port_close(struct probe *p, struct xen_guest *x, uint32_t port);
/* A vCPU that is there and down; 0: none. */
uint32_t xp_vcpu_down(struct xen_guest *x);

/* ------------------------------------------------------------------ memory */

/* Pages of ours. False: a check has failed, none is held. */
bool xp_pages(struct probe *p, struct guest_page *pages, uint32_t count);
void xp_pages_free(struct probe *p, struct guest_page *pages, uint32_t count);
/* Two that lie side by side. */
bool xp_pair(struct probe *p, struct guest_page pair[2]);
/* XENMEM_* @op of one page. Returns extents done. */
int64_t xp_reserve(struct xen_guest *x, uint64_t op, uint64_t gfn);
/* RAM is to be at the page again, where it was taken away; lost if it does not come. */
void xp_page_restore(struct probe *p, struct xen_guest *x, struct guest_page *page);
/* XENMEM_add_to_physmap of this domain. */
int64_t xp_map(struct xen_guest *x, uint32_t space, uint64_t index, uint64_t gfn);
int64_t xp_unmap(struct xen_guest *x, uint64_t gfn);

/* ------------------------------------------------------------------ the disk: xen_blkif.c */

/* The face's first disk, connected. NULL: there is none, or a check has failed. Closed by xp_disk_close(). */
struct xen_blkfront *xp_disk_open(struct probe *p);
void xp_disk_close(struct probe *p);

#endif /* GUEST_DRIVERS_CERTIFY_XEN_PROBE_H */
