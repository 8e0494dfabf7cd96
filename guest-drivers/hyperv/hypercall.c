/*
 * hypercall.c - finding Hyper-V, its hypercall page, and the two calls that VMBus needs (TLFS:
 * feature discovery, hypercall interface, PostMessage, SignalEvent).
 */
#include "guest-drivers/hyperv/hyperv.h"

#define OS_ID 0x8100000000000001ull /* open source, none of the known ones */
#define HYPERCALL_FAST (1ull << 16)

static bool find(struct hv_guest *hv)
{
	uint32_t regs[4];

	hv->guest->ops->cpuid(hv->guest->context, HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS, 0, regs);
	if (regs[0] < HYPERV_CPUID_IMPLEMENT_LIMITS || regs[1] != HYPERV_VENDOR_EBX ||
	    regs[2] != HYPERV_VENDOR_ECX || regs[3] != HYPERV_VENDOR_EDX) {
		return false;
	}
	hv->guest->ops->cpuid(hv->guest->context, HYPERV_CPUID_INTERFACE, 0, regs);
	if (regs[0] != HYPERV_INTERFACE_EAX) {
		return false;
	}
	hv->guest->ops->cpuid(hv->guest->context, HYPERV_CPUID_FEATURES, 0, regs);
	hv->has_synic = (regs[0] & HV_MSR_SYNIC_AVAILABLE) != 0;
	hv->has_messages =
	        hv->has_synic && (regs[1] & HV_POST_MESSAGES) != 0 && (regs[1] & HV_SIGNAL_EVENTS) != 0;
	return (regs[0] & HV_MSR_HYPERCALL_AVAILABLE) != 0;
}

/* The page's contents are the host's; the operation that calls it is the platform's. */
static bool page_on(struct hv_guest *hv)
{
	const struct guest_ops *ops = hv->guest->ops;
	void *context = hv->guest->context;
	uint64_t value;

	if (!ops->wrmsr(context, HV_X64_MSR_GUEST_OS_ID, OS_ID) ||
	    !ops->wrmsr(context, HV_X64_MSR_HYPERCALL,
	                hv->hypercall_page.gfn << PAGE_SHIFT | HV_OVERLAY_ENABLE) ||
	    !ops->rdmsr(context, HV_X64_MSR_HYPERCALL, &value)) {
		return false;
	}
	return (value & HV_OVERLAY_ENABLE) != 0;
}

bool hv_start(struct hv_guest *hv, struct guest *guest)
{
	uint64_t vp_index;

	memset(hv, 0, sizeof(*hv));
	hv->guest = guest;
	if (!find(hv) || !guest_page_alloc(guest, &hv->hypercall_page) ||
	    !guest_page_alloc(guest, &hv->input) || !page_on(hv) ||
	    !guest->ops->rdmsr(guest->context, HV_X64_MSR_VP_INDEX, &vp_index)) {
		return false;
	}
	hv->vp_index = (uint32_t)vp_index;
	return !hv->has_synic || hv_synic_start(hv);
}

void hv_stop(struct hv_guest *hv)
{
	const struct guest_ops *ops = hv->guest->ops;

	hv_synic_stop(hv);
	if (hv->hypercall_page.bytes != NULL) {
		(void)ops->wrmsr(hv->guest->context, HV_X64_MSR_HYPERCALL, 0);
		(void)ops->wrmsr(hv->guest->context, HV_X64_MSR_GUEST_OS_ID, 0);
	}
	guest_page_free(hv->guest, &hv->hypercall_page);
	guest_page_free(hv->guest, &hv->input);
}

uint16_t hv_call(struct hv_guest *hv, uint64_t control, uint64_t input, uint64_t output)
{
	return (uint16_t)hv->guest->ops->hypercall_hyperv(hv->guest->context, control, input, output);
}

uint16_t hv_post_message(struct hv_guest *hv, uint32_t connection_id, const void *message, uint32_t size)
{
	const struct hv_input_post_message input = {
	        .connection_id = connection_id,
	        .message_type = HVMSG_VMBUS,
	        .payload_size = size,
	};

	if (size > HV_MESSAGE_PAYLOAD_BYTE_COUNT) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	memcpy(hv->input.bytes, &input, sizeof(input));
	memcpy(hv->input.bytes + sizeof(input), message, size);
	return hv_call(hv, HVCALL_POST_MESSAGE, hv->input.gfn << PAGE_SHIFT, 0);
}

uint16_t hv_signal_event(struct hv_guest *hv, uint32_t connection_id, uint16_t flag)
{
	return hv_call(hv, HVCALL_SIGNAL_EVENT | HYPERCALL_FAST, connection_id | (uint64_t)flag << 32, 0);
}
