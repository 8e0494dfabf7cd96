/*
 * ipi.c - interrupts between processors by hypercall (TLFS, HvCallSendSyntheticClusterIpi and -Ex).
 */
#include "enlighten/hyperv/hyperv_private.h"

/* There is one trust level, 0: it may be named, or left to be the caller's own. */
static bool is_valid(uint32_t raw_vector, uint32_t raw_vtl)
{
	return raw_vector >= HV_IPI_LOW_VECTOR && raw_vector <= HV_IPI_HIGH_VECTOR &&
	       (raw_vtl & ~HV_INPUT_VTL_USE) == 0;
}

static void post(struct vm *vm, uint64_t vcpus, uint8_t vector)
{
	for (; vcpus != 0; vcpus &= vcpus - 1) {
		vcpu_post_vector(vm_vcpu(vm, bit_lowest(vcpus)), vector);
	}
}

uint16_t hyperv_call_send_ipi(struct hyperv_call *call)
{
	const struct hv_send_ipi *input = &call->header.ipi;
	struct vm *vm = vcpu_vm(call->vcpu);

	if (!is_valid(input->vector, input->reserved)) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	post(vm, input->cpu_mask & hyperv_all_vcpus(vm), (uint8_t)input->vector);
	return HV_STATUS_SUCCESS;
}

uint16_t hyperv_call_send_ipi_ex(struct hyperv_call *call)
{
	const struct hv_send_ipi_ex *input = &call->header.ipi_ex;
	uint64_t vcpus = 0;
	uint16_t status;

	if (!is_valid(input->vector, input->reserved)) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	status = hyperv_read_vpset(call, &input->vp_set, sizeof(*input), &vcpus);
	if (status == HV_STATUS_SUCCESS) {
		post(vcpu_vm(call->vcpu), vcpus, (uint8_t)input->vector);
	}
	return status;
}
