/*
 * synic.c - the guest's side of the SynIC: one message slot and one area of event flags, both of
 * SINT 2, looked at when the platform polls (TLFS, inter-partition communication).
 */
#include "guest-drivers/hyperv/hyperv.h"

#define MESSAGES_MAX 128u /* handled in one poll */

static bool write_msr(struct hv_guest *hv, uint32_t msr, uint64_t value)
{
	return hv->guest->ops->wrmsr(hv->guest->context, msr, value);
}

/* Lets the host put its page where @below is; then the page is found anew. */
static uint8_t *overlay_on(struct hv_guest *hv, uint32_t msr, struct guest_page *below)
{
	if (!guest_page_alloc(hv->guest, below) ||
	    !write_msr(hv, msr, below->gfn << PAGE_SHIFT | HV_OVERLAY_ENABLE)) {
		return NULL;
	}
	return hv->guest->ops->page_at(hv->guest->context, below->gfn);
}

bool hv_synic_start(struct hv_guest *hv)
{
	hv->messages = overlay_on(hv, HV_X64_MSR_SIMP, &hv->messages_below);
	hv->events = overlay_on(hv, HV_X64_MSR_SIEFP, &hv->events_below);
	return hv->messages != NULL && hv->events != NULL &&
	       write_msr(hv, HV_X64_MSR_SINT2, HV_SYNIC_SINT_AUTO_EOI | HV_SINT_VECTOR) &&
	       write_msr(hv, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
}

static void overlay_off(struct hv_guest *hv, uint32_t msr, struct guest_page *below)
{
	if (below->bytes != NULL) {
		(void)write_msr(hv, msr, 0);
		guest_page_free(hv->guest, below);
	}
}

void hv_synic_stop(struct hv_guest *hv)
{
	if (!hv->has_synic) {
		return;
	}
	(void)write_msr(hv, HV_X64_MSR_SINT2, HV_SYNIC_SINT_MASKED | HV_SINT_VECTOR);
	(void)write_msr(hv, HV_X64_MSR_SCONTROL, 0);
	overlay_off(hv, HV_X64_MSR_SIMP, &hv->messages_below);
	overlay_off(hv, HV_X64_MSR_SIEFP, &hv->events_below);
	hv->messages = NULL;
	hv->events = NULL;
}

/* The message in the slot, copied, and the slot given back. False: there is none. */
static bool message_take(struct hv_guest *hv, uint32_t *type, uint8_t *bytes, uint32_t *size)
{
	uint8_t *slot = hv->messages + HV_SYNIC_VMBUS_SINT * HV_MESSAGE_SIZE;
	uint8_t *flags = slot + offsetof(struct hv_message_header, message_flags);

	*type = guest_load32(slot);
	if (*type == HVMSG_NONE) {
		return false;
	}
	*size = __atomic_load_n(slot + offsetof(struct hv_message_header, payload_size), __ATOMIC_RELAXED);
	*size = *size < HV_MESSAGE_PAYLOAD_BYTE_COUNT ? *size : HV_MESSAGE_PAYLOAD_BYTE_COUNT;
	memcpy(bytes, slot + sizeof(struct hv_message_header), *size);
	guest_store32(slot, HVMSG_NONE);
	guest_barrier();
	if ((__atomic_load_n(flags, __ATOMIC_ACQUIRE) & HV_MESSAGE_FLAG_PENDING) != 0) {
		(void)write_msr(hv, HV_X64_MSR_EOM, 0);
	}
	return true;
}

static void messages_handle(struct hv_guest *hv)
{
	uint8_t bytes[HV_MESSAGE_PAYLOAD_BYTE_COUNT];
	uint32_t type, size;

	for (uint32_t i = 0; i < MESSAGES_MAX && message_take(hv, &type, bytes, &size); i++) {
		if (type == HVMSG_VMBUS) {
			hv_bus_message(hv, bytes, size);
		} else {
			hv->bus.bad_messages++;
		}
	}
}

static void events_handle(struct hv_guest *hv)
{
	const uint32_t words = HV_EVENT_FLAGS_COUNT / 64;
	uint64_t *flags = (uint64_t *)(void *)hv->events + HV_SYNIC_VMBUS_SINT * words;

	for (uint32_t word = 0; word < words; word++) {
		uint64_t set;

		if (__atomic_load_n(&flags[word], __ATOMIC_RELAXED) == 0) {
			continue;
		}
		for (set = __atomic_exchange_n(&flags[word], 0, __ATOMIC_SEQ_CST); set != 0; set &= set - 1) {
			uint32_t bit = (uint32_t)__builtin_ctzll(set);

			hv->spurious_events += !hv_bus_event(hv, word * 64 + bit);
		}
	}
}

void hv_poll(struct hv_guest *hv)
{
	guest_poll(hv->guest);
	if (hv->messages != NULL && hv->events != NULL) {
		messages_handle(hv);
		events_handle(hv);
	}
	for (uint32_t i = 0; i < HV_CHANNEL_MAX; i++) {
		struct hv_channel *channel = hv->bus.channels[i];

		if (channel != NULL && channel->again) {
			channel->again = false;
			channel->event(channel->context);
		}
	}
}
