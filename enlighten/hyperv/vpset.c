/*
 * vpset.c - sets of virtual processors as hypercalls carry them (TLFS, HV_VP_SET).
 *
 * Numbers of processors are dense from 0 and below VM_VCPU_MAX, so that a set is one word.
 */
#include "enlighten/hyperv/hyperv_private.h"

_Static_assert(VM_VCPU_MAX <= HV_VCPUS_PER_SPARSE_BANK, "all vCPUs are in bank 0");

uint64_t hyperv_all_vcpus(const struct vm *vm)
{
	uint32_t count = vm_vcpu_count(vm);

	return count >= 64 ? UINT64_MAX : BIT64(count) - 1;
}

uint16_t hyperv_read_vpset(const struct hyperv_call *call, const struct hv_vpset *set, uint32_t offset,
                           uint64_t *vcpus)
{
	uint64_t all = hyperv_all_vcpus(vcpu_vm(call->vcpu));
	uint64_t bank = 0;

	/* The format first: a set of all may come without any bank. */
	if (set->format == HV_GENERIC_SET_ALL) {
		*vcpus = all;
		return HV_STATUS_SUCCESS;
	}
	if (set->format != HV_GENERIC_SET_SPARSE_4K) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	if (call->variable_words != (uint32_t)bit_count(set->valid_bank_mask)) {
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	}
	if ((set->valid_bank_mask & 1) != 0 && !hyperv_call_read(call, offset, &bank, sizeof(bank))) {
		return HV_STATUS_INVALID_ALIGNMENT;
	}
	*vcpus = bank & all;
	return HV_STATUS_SUCCESS;
}
