/*
 * personality.c - shares a guest's CPUID leaves, MSRs and hypercalls out among the faces that it
 * has.
 *
 * With both, as Xen does it for its own Hyper-V emulation: Hyper-V's leaves at 0x40000000 and Xen's
 * at 0x40000100, Xen's MSRs from 0x40000200, and of hypercalls those with bit 31 of EAX set are
 * Hyper-V's. Its hypercall page sets that bit; no number of Xen's has it.
 */
#include "enlighten/personality.h"

#include "abi/hyperv.h"
#include "enlighten/hyperv/hyperv.h"
#include "enlighten/xen/xen.h"

#define FACES_MAX 2u

/* The faces of @vm, in the order in which they are asked. Returns how many. */
static uint32_t faces_of(const struct vm *vm, const struct face *faces[FACES_MAX])
{
	const struct vm_config *config = vm_config(vm);
	uint32_t count = 0;

	if (config->hyperv_face) {
		faces[count++] = &hyperv_face;
	}
	if (config->xen_face) {
		faces[count++] = &xen_face;
	}
	return count;
}

static bool personality_create(struct vm *vm)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vm, faces);

	for (uint32_t i = 0; i < count; i++) {
		if (!faces[i]->create(vm)) {
			while (i-- > 0) {
				faces[i]->teardown(vm);
			}
			return false;
		}
	}
	return true;
}

static bool personality_reset(struct vm *vm)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vm, faces);
	bool all = true;

	for (uint32_t i = 0; i < count; i++) {
		all = faces[i]->reset(vm) && all;
	}
	return all;
}

static void personality_teardown(struct vm *vm)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vm, faces);

	while (count-- > 0) {
		faces[count]->teardown(vm);
	}
}

static bool personality_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);

	for (uint32_t i = 0; i < count; i++) {
		if (faces[i]->cpuid(vcpu, leaf, subleaf, out)) {
			return true;
		}
	}
	return false;
}

static enum face_msr personality_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);
	enum face_msr answer = FACE_MSR_ABSENT;

	for (uint32_t i = 0; i < count && answer == FACE_MSR_ABSENT; i++) {
		answer = faces[i]->msr_read(vcpu, msr, value);
	}
	return answer;
}

static enum face_msr personality_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);
	enum face_msr answer = FACE_MSR_ABSENT;

	for (uint32_t i = 0; i < count && answer == FACE_MSR_ABSENT; i++) {
		answer = faces[i]->msr_write(vcpu, msr, value);
	}
	return answer;
}

static enum face_call personality_hypercall(struct vcpu *vcpu)
{
	const struct vm_config *config = vm_config(vcpu_vm(vcpu));
	bool marked = ((uint32_t)vcpu_regs(vcpu)->gpr[REG_RAX] & HV_CALL_MARK_EAX) != 0;

	if (config->hyperv_face && (marked || !config->xen_face)) {
		return hyperv_face.hypercall(vcpu);
	}
	return config->xen_face ? xen_face.hypercall(vcpu) : FACE_CALL_UD;
}

static int personality_upcall(struct vcpu *vcpu)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);
	int vector = -1;

	for (uint32_t i = 0; i < count && vector < 0; i++) {
		vector = faces[i]->upcall != NULL ? faces[i]->upcall(vcpu) : -1;
	}
	return vector;
}

static void personality_lapic_enabled(struct vcpu *vcpu)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);

	for (uint32_t i = 0; i < count; i++) {
		if (faces[i]->lapic_enabled != NULL) {
			faces[i]->lapic_enabled(vcpu);
		}
	}
}

static void personality_eoi(struct vcpu *vcpu, uint8_t vector)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);

	for (uint32_t i = 0; i < count; i++) {
		if (faces[i]->eoi != NULL) {
			faces[i]->eoi(vcpu, vector);
		}
	}
}

static void personality_scheduled(struct vcpu *vcpu)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);

	for (uint32_t i = 0; i < count; i++) {
		if (faces[i]->scheduled != NULL) {
			faces[i]->scheduled(vcpu);
		}
	}
}

static void personality_vcpu_reset(struct vcpu *vcpu)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vcpu_vm(vcpu), faces);

	for (uint32_t i = 0; i < count; i++) {
		if (faces[i]->vcpu_reset != NULL) {
			faces[i]->vcpu_reset(vcpu);
		}
	}
}

static void personality_count(struct vm *vm, struct face_counts *counts)
{
	const struct face *faces[FACES_MAX];
	uint32_t count = faces_of(vm, faces);

	for (uint32_t i = 0; i < count; i++) {
		if (faces[i]->count != NULL) {
			faces[i]->count(vm, counts);
		}
	}
}

const struct face personality = {
        .create = personality_create,
        .reset = personality_reset,
        .teardown = personality_teardown,
        .cpuid = personality_cpuid,
        .msr_read = personality_msr_read,
        .msr_write = personality_msr_write,
        .hypercall = personality_hypercall,
        .upcall = personality_upcall,
        .lapic_enabled = personality_lapic_enabled,
        .eoi = personality_eoi,
        .scheduled = personality_scheduled,
        .vcpu_reset = personality_vcpu_reset,
        .count = personality_count,
};
