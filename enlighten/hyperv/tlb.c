/*
 * tlb.c - the four calls that flush translations on other processors (TLFS, virtual MMU).
 *
 * Each drops all translations of the processors named, which is more than was asked and always
 * right. So the address space and the list of ranges are not looked at, and a rep call is done in
 * one step.
 */
#include "enlighten/hyperv/hyperv_private.h"

#define FLUSH_FLAGS_KNOWN                                                                                    \
	(HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES | HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY | \
	 HV_FLUSH_USE_EXTENDED_RANGE_FORMAT)

static void flush(struct vcpu *vcpu, uint64_t vcpus)
{
	if (vcpus != 0) {
		vcpu_flush_tlbs(vcpu, vcpus);
	}
}

uint16_t hyperv_call_flush(struct hyperv_call *call)
{
	const struct hv_tlb_flush *input = &call->header.flush;
	uint64_t all = hyperv_all_vcpus(vcpu_vm(call->vcpu));

	if ((input->flags & ~FLUSH_FLAGS_KNOWN) != 0) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	/* Windows Server 2012 passes an empty mask and means all. */
	if ((input->flags & HV_FLUSH_ALL_PROCESSORS) != 0 || input->processor_mask == 0) {
		flush(call->vcpu, all);
	} else {
		flush(call->vcpu, input->processor_mask & all);
	}
	return HV_STATUS_SUCCESS;
}

uint16_t hyperv_call_flush_ex(struct hyperv_call *call)
{
	const struct hv_tlb_flush_ex *input = &call->header.flush_ex;
	uint64_t vcpus = hyperv_all_vcpus(vcpu_vm(call->vcpu));
	uint16_t status = HV_STATUS_SUCCESS;

	if ((input->flags & ~FLUSH_FLAGS_KNOWN) != 0) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	if ((input->flags & HV_FLUSH_ALL_PROCESSORS) == 0) {
		status = hyperv_read_vpset(call, &input->hv_vp_set, sizeof(*input), &vcpus);
	}
	if (status == HV_STATUS_SUCCESS) {
		flush(call->vcpu, vcpus);
	}
	return status;
}
