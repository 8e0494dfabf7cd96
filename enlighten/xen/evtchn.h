/*
 * evtchn.h - event channels, as the hypervisor's own backends (domain 0 to the guest) use them.
 *
 * Follows Xen's event_channel.h, two-level form. All of it takes the guest's RANK_EVENT lock: call it
 * with locks of lower ranks at most.
 */
#ifndef ENLIGHTEN_XEN_EVTCHN_H
#define ENLIGHTEN_XEN_EVTCHN_H

#include "base/compiler.h"

struct vm;

/*
 * Our end of a port. @notify runs when the guest sends: on the sender's exit, no lock held; it should
 * just queue a vm_work. A sender that was on its way when the port was unbound may still call it once:
 * @context lives until the guest's reset or teardown.
 */
struct evtchn_backend {
	void (*notify)(void *context);
	void *context;
};

/* A new port of the guest that is bound to us already (store, console). 0 if there is none left. */
uint32_t evtchn_backend_alloc(struct vm *vm, const struct evtchn_backend *be);

/*
 * Binds @port (as the guest wrote it, unchecked) that the guest left unbound for domain 0, and sets it
 * pending once as EVTCHNOP_bind_interdomain does. False if it is not such a port.
 */
bool evtchn_backend_bind(struct vm *vm, uint32_t port, const struct evtchn_backend *be);

/* Back to unbound for domain 0; nothing if it is not bound to us any more. */
void evtchn_backend_unbind(struct vm *vm, uint32_t port);

/* From us to the guest; nothing if it is not bound to us any more. */
void evtchn_backend_notify(struct vm *vm, uint32_t port);

#endif /* ENLIGHTEN_XEN_EVTCHN_H */
