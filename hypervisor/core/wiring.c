/*
 * wiring.c - ties a guest to its faces and devices: the one file that knows them all. Nobody includes it.
 */
#include "enlighten/xen/xenbus.h"
#include "hypervisor/core/machine.h"
#include "vm/face.h"
#include "vmbus/bus.h"

bool wiring_create(struct vm *vm)
{
	if (!personality.create(vm)) {
		return false;
	}
	if (vm->config.hyperv_face && !vmbus_create(vm)) {
		return false;
	}
	return !vm->config.xen_face || xenbus_create(vm);
}

void wiring_count(struct vm *vm, struct face_counts *counts)
{
	memset(counts, 0, sizeof(*counts));
	if (vm->life != VM_RUNNING) {
		return;
	}
	personality.count(vm, counts);
	if (vm->config.xen_face) {
		xenbus_count(vm, &counts->channels);
	}
	if (vm->config.hyperv_face) {
		vmbus_count(vm, &counts->channels, &counts->buffers);
	}
}

/* Devices let go of ports, grants and pages first. Each teardown bears that its create has not come, or failed. */
void wiring_teardown(struct vm *vm)
{
	if (vm->config.xen_face) {
		xenbus_teardown(vm);
	}
	if (vm->config.hyperv_face) {
		vmbus_teardown(vm);
	}
	personality.teardown(vm);
}
