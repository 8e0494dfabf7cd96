/*
 * xencons.h - the PV console's ring (Xen's io/console.h), between the guest's page and backend/console.h.
 */
#ifndef XEN_XENCONS_H
#define XEN_XENCONS_H

#include "backend/console.h"
#include "enlighten/xen/evtchn.h"
#include "vm/vm.h"

/* Only its own work touches the page and the indexes, so there is no lock. */
struct xencons {
	struct vm *vm;
	struct console *console;
	struct vm_page *page; /* NULL: not open */
	struct evtchn_backend backend;
	struct vm_work work;
	uint32_t port;
	uint32_t out_cons, in_prod; /* ours */
	bool used; /* the guest uses the ring: it may have the console's input */
};

/*
 * Takes the console's special page and a port. True also if the guest has no console. False: no page or no
 * port.
 */
MUST_CHECK bool xencons_open(struct xencons *xc, struct vm *vm);
/* The guest does not run. */
void xencons_close(struct xencons *xc);

#endif /* XEN_XENCONS_H */
