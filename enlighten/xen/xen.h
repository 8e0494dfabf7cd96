/*
 * xen.h - the Xen face, for enlighten/personality.c and the backends of enlighten/xen.
 *
 * The face serves hypercalls, event channels, grants and time (Xen's public headers, HVM and PVH part).
 * The store and the devices are modules beside it. Order: at start xen_face.create() comes before theirs;
 * at reset and teardown they let go of ports and grants first, then xen_face's runs, and after a reset
 * they start again.
 */
#ifndef ENLIGHTEN_XEN_XEN_H
#define ENLIGHTEN_XEN_XEN_H

#include "vm/face.h"

extern const struct face xen_face;

/*
 * The guest's port of the store's and of the console's ring, for HVM_PARAM_STORE_* and _CONSOLE_*. 0: there
 * is none, and the page is told as 0 too. Before the guest runs, or at its reset.
 */
void xen_set_store_port(struct vm *vm, uint32_t port);
void xen_set_console_port(struct vm *vm, uint32_t port);

#endif /* ENLIGHTEN_XEN_XEN_H */
