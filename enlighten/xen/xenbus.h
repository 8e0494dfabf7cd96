/*
 * xenbus.h - a guest's store and its PV devices: what the personality calls.
 *
 * At start: xen_face.create(), then xenbus_create(). At reset: xenbus_teardown(), xen_face.reset(),
 * xenbus_reset(). At the end: xenbus_teardown(), xen_face.teardown(). No vCPU of the guest runs in any of
 * them, and no lock is held.
 */
#ifndef XEN_XENBUS_H
#define XEN_XENBUS_H

#include "vm/vm.h"

/*
 * Builds the tree from vm_config(), takes the store's and the console's port, attaches to the console and
 * to the lifecycle, and puts each backend into state 2 (InitWait). False: out of quota; nothing is left
 * behind.
 */
MUST_CHECK bool xenbus_create(struct vm *vm);
/* As after xenbus_create(); tears down first what is still there. False as for create. */
MUST_CHECK bool xenbus_reset(struct vm *vm);
/* Adds its connected devices to @channels. Any CPU, no lock held; nothing without create. */
void xenbus_count(struct vm *vm, uint32_t *channels);
/* Lets go of all grants, ports, pages and memory. Waits for block requests that are under way. */
void xenbus_teardown(struct vm *vm);

#endif /* XEN_XENBUS_H */
