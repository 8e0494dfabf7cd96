/*
 * bus.h - the VMBus of a guest with the Hyper-V face: what core calls.
 */
#ifndef VMBUS_BUS_H
#define VMBUS_BUS_H

#include "vm/vm.h"

/*
 * Before the guest's first run, after the face's create (the SynIC has to be there): makes the bus and the devices that
 * the configuration asks for. False: out of quota, and nothing is left behind.
 */
MUST_CHECK bool vmbus_create(struct vm *vm);

/*
 * The machine was reset, no vCPU runs, no lock held: closes all channels (waits for disk requests under way),
 * gives back all pins; as after create. True always: it needs no memory.
 */
bool vmbus_reset(struct vm *vm);

/*
 * Adds the channels that are not closed and the GPADLs that are there. Any CPU, no lock held; nothing without create.
 */
void vmbus_count(struct vm *vm, uint32_t *channels, uint32_t *buffers);

/* The guest is gone, no vCPU runs, no lock held; before the face's teardown. Harmless without create. */
void vmbus_teardown(struct vm *vm);

#endif /* VMBUS_BUS_H */
