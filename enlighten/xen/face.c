/*
 * face.c - the Xen face as core sees it: its life, upcalls and runstates.
 *
 * Follows Xen's hvm/hvm_op.h (upcall vector) and hvm/params.h (HVM_PARAM_CALLBACK_IRQ).
 */
#include "enlighten/xen/xen_state.h"

static void free_vcpus(struct xen_vm *xen)
{
	for (uint32_t i = 0; i < vm_vcpu_count(xen->vm); i++) {
		if (xen->vcpus[i] != NULL) {
			time_reset(xen->vcpus[i]);
			vcpu_slot_set(vm_vcpu(xen->vm, i), VM_SLOT_XEN, NULL);
			vm_free(xen->vm, xen->vcpus[i]);
			xen->vcpus[i] = NULL;
		}
	}
}

static bool create_vcpus(struct xen_vm *xen)
{
	for (uint32_t i = 0; i < vm_vcpu_count(xen->vm); i++) {
		struct xen_vcpu *v = vm_alloc(xen->vm, sizeof(*v));

		if (v == NULL) {
			return false;
		}
		v->xen = xen;
		v->vcpu = vm_vcpu(xen->vm, i);
		v->id = i;
		spin_init(&v->area_lock, RANK_EVENT);
		time_create(v);
		xen->vcpus[i] = v;
	}
	return true;
}

static void xen_teardown(struct vm *vm)
{
	struct xen_vm *xen = xen_of_vm(vm);

	if (xen == NULL) {
		return;
	}
	sched_reset(xen);
	gnttab_teardown(xen);
	evtchn_teardown(xen);
	free_vcpus(xen);
	vm_slot_set(vm, VM_SLOT_XEN, NULL);
	vm_free(vm, xen);
}

static bool xen_create(struct vm *vm)
{
	struct xen_vm *xen = vm_alloc(vm, sizeof(*xen));

	if (xen == NULL) {
		return false;
	}
	xen->vm = vm;
	spin_init(&xen->event_lock, RANK_EVENT);
	spin_init(&xen->grant_lock, RANK_GRANT);
	sched_create(xen);
	vm_slot_set(vm, VM_SLOT_XEN, xen);
	if (!create_vcpus(xen) || !evtchn_create(xen) || !gnttab_create(xen)) {
		xen_teardown(vm);
		return false;
	}
	for (uint32_t i = 0; i < vm_vcpu_count(vm); i++) {
		vcpu_slot_set(vm_vcpu(vm, i), VM_SLOT_XEN, xen->vcpus[i]);
	}
	return true;
}

static bool xen_reset(struct vm *vm)
{
	struct xen_vm *xen = xen_of_vm(vm);

	sched_reset(xen);
	for (uint32_t i = 0; i < vm_vcpu_count(vm); i++) {
		time_reset(xen->vcpus[i]);
	}
	gnttab_reset(xen);
	evtchn_reset(xen);
	xen->store_port = 0;
	xen->console_port = 0;
	xen->map_count = 0;
	memset(xen->params, 0, sizeof(xen->params));
	return true;
}

/* Asked before each entry: no lock. */
static int xen_upcall(struct vcpu *vcpu)
{
	const struct xen_vcpu *v = xen_of_vcpu(vcpu);
	uint8_t vector = __atomic_load_n(&v->xen->callback_vector, __ATOMIC_ACQUIRE);

	if (vector == XEN_NO_VECTOR ||
	    __atomic_load_n(&v->upcall_vector, __ATOMIC_ACQUIRE) != XEN_NO_VECTOR) {
		return -1;
	}
	return evtchn_upcall_is_pending(v) ? vector : -1;
}

/* No edge of the byte would come any more if it was set while the APIC was off. */
static void xen_lapic_enabled(struct vcpu *vcpu)
{
	struct xen_vcpu *v = xen_of_vcpu(vcpu);

	if (evtchn_upcall_is_pending(v)) {
		evtchn_deliver(v);
	}
}

static void xen_eoi(struct vcpu *vcpu, uint8_t vector)
{
	(void)vcpu;
	(void)vector;
}

static void xen_scheduled(struct vcpu *vcpu)
{
	struct xen_vcpu *v = xen_of_vcpu(vcpu);

	sched_poll_ended(v);
	time_update_runstate(v);
}

/* INIT leaves vcpu_info, timers and the upcall vector alone: they are Xen's, not the processor's. */
static void xen_vcpu_reset(struct vcpu *vcpu)
{
	(void)vcpu;
}

static void xen_count(struct vm *vm, struct face_counts *counts)
{
	struct xen_vm *xen = xen_of_vm(vm);

	spin_lock(&xen->event_lock);
	for (uint32_t word = 0; word < ARRAY_COUNT(xen->port_used); word++) {
		counts->ports += bit_count(xen->port_used[word]);
	}
	counts->ports--; /* port 0, which is marked and no one's */
	spin_unlock(&xen->event_lock);
	spin_lock(&xen->grant_lock);
	counts->grants += xen->held_count;
	spin_unlock(&xen->grant_lock);
}

void xen_set_store_port(struct vm *vm, uint32_t port)
{
	struct xen_vm *xen = xen_of_vm(vm);

	xen->store_port = port;
	xen->params[HVM_PARAM_STORE_EVTCHN] = port;
}

void xen_set_console_port(struct vm *vm, uint32_t port)
{
	struct xen_vm *xen = xen_of_vm(vm);

	xen->console_port = port;
	xen->params[HVM_PARAM_CONSOLE_EVTCHN] = port;
}

const struct face xen_face = {
        .create = xen_create,
        .reset = xen_reset,
        .teardown = xen_teardown,
        .cpuid = xen_cpuid,
        .msr_read = xen_msr_read,
        .msr_write = xen_msr_write,
        .hypercall = xen_hypercall,
        .upcall = xen_upcall,
        .lapic_enabled = xen_lapic_enabled,
        .eoi = xen_eoi,
        .scheduled = xen_scheduled,
        .vcpu_reset = xen_vcpu_reset,
        .count = xen_count,
};
