/*
 * face.c - the Hyper-V face's life: what it keeps for a guest, from create to teardown.
 */
#include "enlighten/hyperv/hyperv_private.h"

static void fill_pages(struct vm *vm, struct hyperv_vm *state)
{
	hyperv_fill_hypercall_page(vm, state->hypercall_page.page);
	hyperv_fill_tsc_page(state->tsc_page.page, vm_config(vm)->clock);
}

static bool create_vm_state(struct vm *vm)
{
	struct hyperv_vm *state = vm_alloc(vm, sizeof(*state));

	if (state == NULL) {
		return false;
	}
	spin_init(&state->lock, RANK_EVENT);
	vm_slot_set(vm, VM_SLOT_HYPERV, state);
	hyperv_crash_init(vm);
	if (!synic_overlay_create(vm, &state->hypercall_page) ||
	    !synic_overlay_create(vm, &state->tsc_page)) {
		return false;
	}
	fill_pages(vm, state);
	return true;
}

static bool create_vcpu_state(struct vm *vm, struct vcpu *vcpu)
{
	struct hyperv_vcpu *state = vm_alloc(vm, sizeof(*state));

	if (state == NULL) {
		return false;
	}
	vcpu_slot_set(vcpu, VM_SLOT_HYPERV, state);
	return synic_overlay_create(vm, &state->assist_page);
}

static void hyperv_teardown(struct vm *vm)
{
	struct hyperv_vm *state = hyperv_of_vm(vm);

	synic_teardown(vm);
	for (uint32_t i = 0; i < vm_vcpu_count(vm); i++) {
		struct hyperv_vcpu *own = hyperv_of_vcpu(vm_vcpu(vm, i));

		if (own != NULL) {
			synic_overlay_destroy(vm, &own->assist_page);
			vcpu_slot_set(vm_vcpu(vm, i), VM_SLOT_HYPERV, NULL);
			vm_free(vm, own);
		}
	}
	if (state != NULL) {
		hyperv_crash_forget(vm);
		synic_overlay_destroy(vm, &state->hypercall_page);
		synic_overlay_destroy(vm, &state->tsc_page);
		vm_slot_set(vm, VM_SLOT_HYPERV, NULL);
		vm_free(vm, state);
	}
}

static bool hyperv_create(struct vm *vm)
{
	bool complete = create_vm_state(vm);

	for (uint32_t i = 0; complete && i < vm_vcpu_count(vm); i++) {
		complete = create_vcpu_state(vm, vm_vcpu(vm, i));
	}
	complete = complete && synic_create(vm);
	if (!complete) {
		hyperv_teardown(vm);
	}
	return complete;
}

static bool hyperv_reset(struct vm *vm)
{
	struct hyperv_vm *state = hyperv_of_vm(vm);

	synic_reset(vm);
	for (uint32_t i = 0; i < vm_vcpu_count(vm); i++) {
		synic_overlay_reset(vm, &hyperv_of_vcpu(vm_vcpu(vm, i))->assist_page);
	}
	synic_overlay_reset(vm, &state->hypercall_page);
	synic_overlay_reset(vm, &state->tsc_page);
	fill_pages(vm, state);
	state->os_id = 0;
	hyperv_crash_forget(vm);
	memset(state->crash, 0, sizeof(state->crash));
	state->crash_reason[0] = '\0';
	state->crash_reports = 0;
	return true;
}

static void hyperv_count(struct vm *vm, struct face_counts *counts)
{
	counts->ports += synic_port_count(vm);
}

const struct face hyperv_face = {
        .create = hyperv_create,
        .reset = hyperv_reset,
        .teardown = hyperv_teardown,
        .cpuid = hyperv_cpuid,
        .msr_read = hyperv_msr_read,
        .msr_write = hyperv_msr_write,
        .hypercall = hyperv_hypercall,
        .eoi = synic_eoi,
        .count = hyperv_count,
};
