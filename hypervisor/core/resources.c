/*
 * resources.c - what a guest holds of the host, gathered from where each kind is kept: for the monitor, and to see at a
 * guest's end that nothing is left.
 */
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"

void resources_get(struct vm *vm, struct resources *resources)
{
	resources->ram_pages = vm->p2m.ram_pages;
	resources->page_count = __atomic_load_n(&vm->page_count, __ATOMIC_RELAXED);
	resources->limbo_pages = frames_limbo_of(vm->config.id);
	resources->heap_bytes = __atomic_load_n(&vm->heap_bytes, __ATOMIC_RELAXED);
	resources->pin_count = __atomic_load_n(&vm->pin_count, __ATOMIC_RELAXED);
	resources->timer_count = vm->life == VM_RUNNING ? timer_count(vm) : 0;
	wiring_count(vm, &resources->face);
}

void resources_note_leaks(struct vm *vm)
{
	uint32_t timers;

	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		if (vm->vcpus[i] != NULL) {
			vcpu_disarm(vm->vcpus[i]);
		}
	}
	timers = timer_count(vm);
	if (vm->heap_bytes != 0 || vm->page_count != 0 || vm->pin_count != 0 || timers != 0) {
		log_line("guest %s: leak: %lu bytes, %lu pages, %lu pins, %u timers not given back", vm->name,
		         (unsigned long)vm->heap_bytes, (unsigned long)vm->page_count,
		         (unsigned long)vm->pin_count, timers);
	}
}
