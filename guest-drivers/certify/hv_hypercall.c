/*
 * hv_hypercall.c - probes of specs/hv_hypercall.def: the calling convention, messages and events, and that what is not
 * offered is refused (TLFS, hypercall interface and hypercall reference). Flushes and IPIs are in hv_hypercall_flush.c.
 *
 * The order in which errors are found is the hypervisor's: so each call is wrong in one point only. Input in registers
 * that would need XMM is never tried, as where it is not offered it ends in #UD.
 */
#include "guest-drivers/certify/hv_probe.h"

#define UNKNOWN_CONNECTION 0x00FEDCB8u /* of 24 bits; no one has given it to us */
#define CONTACT_VERSION 0x7FFF7FFFu /* of VMBus: there is none such */
#define ALIGNMENT 8u

/* ------------------------------------------------------------------ calls */

uint64_t hv_probe_call(struct hv_guest *hv, uint64_t control, uint64_t input, uint64_t output)
{
	return hv->guest->ops->hypercall_hyperv(hv->guest->context, control, input, output);
}

static uint64_t input_gpa(const struct hv_guest *hv)
{
	return hv->input.gfn << PAGE_SHIFT;
}

/* With the input at @offset in the page; what does not fit there is left out. */
static uint64_t call_at(struct probe *p, struct hv_guest *hv, uint64_t control, const void *input,
                        uint32_t len, uint32_t offset)
{
	uint32_t room = PAGE_BYTES - offset;

	memset(hv->input.bytes, 0, PAGE_BYTES);
	memcpy(hv->input.bytes + offset, input, len < room ? len : room);
	/* There is no output: where it would go is not looked at. */
	return hv_probe_call(hv, p->row->number | control, input_gpa(hv) + offset, UINT64_MAX);
}

uint64_t hv_probe_call_with(struct probe *p, struct hv_guest *hv, uint64_t control, const void *input,
                            uint32_t len)
{
	return call_at(p, hv, control, input, len, 0);
}

void hv_probe_status(struct probe *p, uint64_t result, uint16_t wanted, const char *what)
{
	(void)probe_check(p, HV_RESULT_STATUS(result) == wanted, "%s: status 0x%x, not 0x%x", what,
	                  HV_RESULT_STATUS(result), wanted);
}

void hv_probe_fails(struct probe *p, uint64_t result, const char *what)
{
	(void)probe_check(p, HV_RESULT_STATUS(result) != HV_STATUS_SUCCESS, "%s: success", what);
}

/* ------------------------------------------------------------------ the convention */

static void check_control(struct probe *p, struct hv_guest *hv, const struct hv_shape *shape,
                          uint64_t control, const char *what)
{
	hv_probe_status(p, hv_probe_call_with(p, hv, control, shape->header, shape->header_bytes),
	                HV_STATUS_INVALID_HYPERCALL_INPUT, what);
}

static void check_counts(struct probe *p, struct hv_guest *hv, const struct hv_shape *shape)
{
	const uint64_t reserved = HV_HYPERCALL_RSVD0_MASK | HV_HYPERCALL_RSVD1_MASK | HV_HYPERCALL_RSVD2_MASK;
	uint64_t no_reps = shape->control & ~HV_HYPERCALL_REP_COMP_MASK;

	for (uint64_t bits = reserved; bits != 0; bits &= bits - 1) {
		check_control(p, hv, shape, shape->control | (bits & -bits), "a reserved bit of the control");
	}
	if (shape->is_rep) {
		check_control(p, hv, shape, no_reps, "a rep call without reps");
		check_control(p, hv, shape, no_reps | HV_REPS(2) | HV_REP_START(2),
		              "a start behind the last rep");
		check_control(p, hv, shape, no_reps | HV_REPS(2) | HV_REP_START(0xFFF), "a start far behind");
	} else {
		check_control(p, hv, shape, shape->control | HV_REPS(1), "a simple call with a rep");
		check_control(p, hv, shape, shape->control | HV_REPS(0xFFF), "a simple call with 4095 reps");
	}
	if (!shape->is_variable) {
		check_control(p, hv, shape, shape->control | HV_BANKS(1),
		              "a variable header, and there is none");
	}
}

static void check_place(struct probe *p, struct hv_guest *hv, const struct hv_shape *shape)
{
	uint32_t padded = (shape->input_bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);

	hv_probe_status(p,
	                call_at(p, hv, shape->control, shape->header, shape->header_bytes,
	                        (uint32_t)PAGE_BYTES - padded),
	                shape->status, "input that ends with its page");
	for (uint32_t offset = 1; offset < ALIGNMENT; offset += offset) {
		hv_probe_status(p, call_at(p, hv, shape->control, shape->header, shape->header_bytes, offset),
		                HV_STATUS_INVALID_ALIGNMENT, "input that is not aligned");
	}
	if (padded > ALIGNMENT) {
		hv_probe_status(p,
		                call_at(p, hv, shape->control, shape->header, shape->header_bytes,
		                        (uint32_t)PAGE_BYTES - ALIGNMENT),
		                HV_STATUS_INVALID_ALIGNMENT, "input in two pages");
	}
	hv_probe_status(p, hv_probe_call(hv, p->row->number | shape->control, HV_PROBE_BAD_ADDRESS, 0),
	                HV_STATUS_INVALID_ALIGNMENT, "input beyond the end of memory");
	hv_probe_status(p, hv_probe_call(hv, p->row->number | shape->control, ~7ull, 0),
	                HV_STATUS_INVALID_ALIGNMENT, "input at the end of all addresses");
}

void hv_probe_convention(struct probe *p, struct hv_guest *hv, const struct hv_shape *shape)
{
	hv_probe_status(p, hv_probe_call_with(p, hv, shape->control, shape->header, shape->header_bytes),
	                shape->status, "the call as it should be");
	check_counts(p, hv, shape);
	check_place(p, hv, shape);
}

/* ------------------------------------------------------------------ not offered */

/* A count that no call of its kind takes: one that is served does nothing. */
static uint16_t call_wrong(struct probe *p, struct hv_guest *hv, bool is_rep)
{
	static const uint8_t nothing[1];

	return HV_RESULT_STATUS(hv_probe_call_with(p, hv, is_rep ? 0 : HV_REPS(1), nothing, sizeof(nothing)));
}

static bool is_refusal(uint16_t status)
{
	return status == HV_STATUS_INVALID_HYPERCALL_CODE || status == HV_STATUS_ACCESS_DENIED;
}

bool hv_probe_recommends(struct probe *p, bool recommended, bool is_rep)
{
	struct hv_guest *hv;
	uint16_t status;

	probe_offer(p, recommended);
	if (!recommended) {
		hv = certify_hv_started(p);
		status = hv == NULL ? 0 : call_wrong(p, hv, is_rep);
		(void)probe_check(p, is_refusal(status) || status == HV_STATUS_INVALID_HYPERCALL_INPUT,
		                  "not recommended, and gets status 0x%x", status);
		probe_note(p, "not recommended; status 0x%x", status);
	}
	return recommended;
}

/* What the hypervisor says of a call that Janus refuses. */
struct told {
	bool is_rep;
	bool by_bit; /* a bit says whether it is there */
	bool only_hint; /* and a clear one does not say that it is not */
	bool bit;
};

static struct told told_of(struct probe *p)
{
	struct hv_says says;

	hv_probe_says(p->c, &says);
	switch (p->row->number) {
	case HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE:
		return (struct told){false, true, true, (says.hints & HV_X64_AS_SWITCH_RECOMMENDED) != 0};
	case HVCALL_ENABLE_PARTITION_VTL:
	case HVCALL_ENABLE_VP_VTL:
	case HVCALL_VTL_CALL:
	case HVCALL_VTL_RETURN:
		return (struct told){false, true, false, (says.partition & HV_ACCESS_VSM) != 0};
	case HVCALL_GET_PARTITION_ID:
		return (struct told){false, true, false, (says.partition & HV_ACCESS_PARTITION_ID) != 0};
	case HVCALL_GET_VP_REGISTERS:
	case HVCALL_SET_VP_REGISTERS:
		return (struct told){true, true, false, (says.partition & HV_ACCESS_VP_REGISTERS) != 0};
	case HVCALL_POST_DEBUG_DATA:
	case HVCALL_RETRIEVE_DEBUG_DATA:
	case HVCALL_RESET_DEBUG_SESSION:
		return (struct told){false, true, false, (says.partition & HV_DEBUGGING) != 0};
	case HVCALL_START_VP:
		return (struct told){false, true, false, (says.partition & HV_START_VIRTUAL_PROCESSOR) != 0};
	case HVCALL_GET_VP_ID_FROM_APIC_ID:
		return (struct told){true, true, false, (says.partition & HV_START_VIRTUAL_PROCESSOR) != 0};
	case HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE:
		return (struct told){false, true, false, (says.nested & HV_NESTED_FLUSH) != 0};
	case HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_LIST:
		return (struct told){true, true, false, (says.nested & HV_NESTED_FLUSH) != 0};
	case HVCALL_MMIO_READ:
	case HVCALL_MMIO_WRITE:
		return (struct told){false, true, true, (says.hints & HV_HINT_MMIO_HYPERCALLS) != 0};
	case HV_EXT_CALL_QUERY_CAPABILITIES:
		return (struct told){false, true, false,
		                     (says.partition & HV_ENABLE_EXTENDED_HYPERCALLS) != 0};
	case HV_EXT_CALL_GET_BOOT_ZEROED_MEMORY: /* these two have a capability of their own besides */
		return (struct told){false, (says.partition & HV_ENABLE_EXTENDED_HYPERCALLS) == 0, false,
		                     false};
	case HV_EXT_CALL_MEMORY_HEAT_HINT:
		return (struct told){true, (says.partition & HV_ENABLE_EXTENDED_HYPERCALLS) == 0, false,
		                     false};
	default: /* 0x52, 0x7E: only the answer tells */
		return (struct told){.is_rep = false};
	}
}

static void probe_unknown(struct probe *p)
{
	struct hv_guest *hv = certify_hv_started(p);
	struct told told = told_of(p);
	uint16_t status;

	if (hv == NULL) {
		return;
	}
	status = call_wrong(p, hv, told.is_rep);
	probe_offer(p, told.by_bit ? told.bit : !is_refusal(status));
	(void)probe_check(p, is_refusal(status) || status == HV_STATUS_INVALID_HYPERCALL_INPUT,
	                  "a wrong rep count gets status 0x%x", status);
	if (told.by_bit && !told.only_hint) {
		(void)probe_check(p, is_refusal(status) != told.bit, "it is %s, and gets status 0x%x",
		                  told.bit ? "offered" : "not offered", status);
	}
	probe_note(p, "status 0x%x", status);
}

/* The call as it should be, too: it can do no harm. Nothing is written. */
static void probe_denied(struct probe *p)
{
	struct hv_guest *hv = certify_hv_started(p);
	bool untouched = true;
	uint64_t result;

	probe_unknown(p);
	if (hv == NULL || p->offered) {
		return;
	}
	memset(hv->input.bytes, 0xA5, PAGE_BYTES);
	result = hv_probe_call(hv, p->row->number, 0, input_gpa(hv));
	(void)probe_check(p, is_refusal(HV_RESULT_STATUS(result)), "not offered, and gets status 0x%x",
	                  HV_RESULT_STATUS(result));
	for (uint32_t i = 0; i < PAGE_BYTES; i++) {
		untouched = untouched && hv->input.bytes[i] == 0xA5;
	}
	(void)probe_check(p, untouched, "not offered, and writes an answer");
}

/* ------------------------------------------------------------------ NotifyLongSpinWait */

/* A count of how often to try says that it is wanted. */
static void probe_spin_wait(struct probe *p)
{
	const uint32_t spins[2] = {4096, 0};
	const struct hv_shape shape = {
	        .header = spins,
	        .header_bytes = sizeof(spins),
	        .input_bytes = sizeof(spins),
	        .status = HV_STATUS_SUCCESS,
	};
	struct hv_guest *hv;
	struct hv_says says;

	hv_probe_says(p->c, &says);
	if (!hv_probe_recommends(p, says.spin_count != 0 && says.spin_count != UINT32_MAX, false)) {
		return;
	}
	hv = certify_hv_started(p);
	if (hv != NULL) {
		hv_probe_convention(p, hv, &shape);
		for (uint64_t count = 0; count < 3; count++) {
			hv_probe_status(
			        p, hv_probe_call(hv, p->row->number | HV_HYPERCALL_FAST_BIT, count * 4096, 0),
			        HV_STATUS_SUCCESS, "in registers");
		}
		hv_probe_status(p,
		                hv_probe_call(hv, p->row->number | HV_HYPERCALL_FAST_BIT | HV_REPS(1), 0, 0),
		                HV_STATUS_INVALID_HYPERCALL_INPUT, "in registers, with a rep");
	}
}

/* ------------------------------------------------------------------ PostMessage */

/* A privilege of the partition's. Without it: refused. */
static bool offers_privilege(struct probe *p, uint32_t privilege)
{
	struct hv_guest *hv;
	struct hv_says says;
	uint16_t status;

	hv_probe_says(p->c, &says);
	probe_offer(p, (says.partition & privilege) != 0);
	if (!p->offered) {
		hv = certify_hv_started(p);
		status = hv == NULL ? HV_STATUS_SUCCESS : call_wrong(p, hv, false);
		(void)probe_check(p, is_refusal(status), "not offered, and gets status 0x%x", status);
	}
	return p->offered;
}

static uint64_t post(struct probe *p, struct hv_guest *hv, uint32_t connection_id, uint32_t type,
                     uint32_t size)
{
	const struct hv_input_post_message input = {
	        .connection_id = connection_id,
	        .message_type = type,
	        .payload_size = size,
	};

	return hv_probe_call_with(p, hv, 0, &input, sizeof(input));
}

/* Asks VMBus for a version that there is not: harmless, and answered. False: there is no VMBus. */
static bool contact(struct hv_guest *hv)
{
	const struct vmbus_channel_initiate_contact message = {
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = CONTACT_VERSION,
	        .target_vcpu = hv->vp_index,
	};

	hv->bus.connection_id = VMBUS_MESSAGE_CONNECTION_ID;
	hv_bus_expect(hv, CHANNELMSG_VERSION_RESPONSE, 0, 0, 0);
	return hv_bus_post(hv, &message, sizeof(message));
}

static void check_contact(struct probe *p, struct hv_guest *hv)
{
	struct vmbus_channel_version_response response;

	if (probe_check(p, hv_bus_await(hv), "a message was posted, and not answered")) {
		memcpy(&response, hv->bus.wait.bytes, sizeof(response));
		(void)probe_equal(p, response.version_supported, 0, "a version that there is not, supported");
	}
}

/* With a connection that is there the parameter alone is wrong; without one either may be told. */
static void check_message(struct probe *p, struct hv_guest *hv, bool is_there, uint32_t type, uint32_t size)
{
	uint16_t status = HV_RESULT_STATUS(
	        post(p, hv, is_there ? VMBUS_MESSAGE_CONNECTION_ID : UNKNOWN_CONNECTION, type, size));

	(void)probe_check(p,
	                  status == HV_STATUS_INVALID_PARAMETER ||
	                          (!is_there && status == HV_STATUS_INVALID_CONNECTION_ID),
	                  "type 0x%x, size %u: status 0x%x", type, size, status);
}

static void check_post(struct probe *p, struct hv_guest *hv, bool is_there)
{
	const struct hv_input_post_message input = {.connection_id = UNKNOWN_CONNECTION,
	                                            .message_type = HVMSG_VMBUS,
	                                            .payload_size = HV_MESSAGE_PAYLOAD_BYTE_COUNT};
	const struct hv_shape shape = {
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = sizeof(input) + HV_MESSAGE_PAYLOAD_BYTE_COUNT,
	        .status = HV_STATUS_INVALID_CONNECTION_ID,
	};

	hv_probe_convention(p, hv, &shape);
	hv_probe_status(p, call_at(p, hv, 0, &input, sizeof(input), PAGE_BYTES - HV_MESSAGE_SIZE + 8),
	                HV_STATUS_INVALID_ALIGNMENT, "a payload whose end is in the next page");
	hv_probe_fails(
	        p, hv_probe_call(hv, p->row->number | HV_HYPERCALL_FAST_BIT, UNKNOWN_CONNECTION, HVMSG_VMBUS),
	        "in registers, to a connection that there is not");
	check_message(p, hv, is_there, HVMSG_NONE, 8);
	check_message(p, hv, is_there, HVMSG_HYPERVISOR_BIT, 8);
	check_message(p, hv, is_there, HVMSG_TIMER_EXPIRED, 8);
	check_message(p, hv, is_there, HVMSG_VMBUS, HV_MESSAGE_PAYLOAD_BYTE_COUNT + 1);
	check_message(p, hv, is_there, HVMSG_VMBUS, UINT32_MAX);
}

static void probe_post_message(struct probe *p)
{
	struct hv_guest *hv;
	bool is_there;

	if (!offers_privilege(p, HV_POST_MESSAGES)) {
		return;
	}
	hv = certify_hv_started(p);
	if (hv == NULL) {
		return;
	}
	is_there = contact(hv);
	if (is_there) {
		check_contact(p, hv);
	} else {
		probe_note(p, "no VMBus: no connection to post to");
	}
	check_post(p, hv, is_there);
}

/* ------------------------------------------------------------------ SignalEvent */

static uint64_t ring(struct probe *p, struct hv_guest *hv, uint32_t connection_id, uint16_t flag, bool fast)
{
	const struct hv_input_signal_event input = {.connection_id = connection_id, .flag_number = flag};
	uint64_t word;

	memcpy(&word, &input, sizeof(word));
	if (fast) {
		return hv_probe_call(hv, p->row->number | HV_HYPERCALL_FAST_BIT, word, 0);
	}
	return hv_probe_call_with(p, hv, 0, &input, sizeof(input));
}

/* The channel of the heartbeat: any would do. */
static void check_channel(struct probe *p)
{
	static struct hv_ic ic;
	struct hv_guest *hv = certify_hv_connected(p);

	if (hv == NULL) {
		return;
	}
	memset(&ic, 0, sizeof(ic));
	if (!hv_ic_open(&ic, hv, ICMSGTYPE_HEARTBEAT)) {
		probe_note(p, "no heartbeat: no connection to signal");
		(void)hv_ic_close(&ic);
		return;
	}
	for (uint32_t fast = 0; fast < 2; fast++) {
		hv_probe_status(p, ring(p, hv, ic.channel.connection_id, 0, fast != 0), HV_STATUS_SUCCESS,
		                "a connection that is there");
		hv_probe_status(p, ring(p, hv, ic.channel.connection_id, HV_EVENT_FLAGS_COUNT, fast != 0),
		                HV_STATUS_INVALID_PARAMETER, "flag 2048");
		hv_probe_status(p, ring(p, hv, ic.channel.connection_id, UINT16_MAX, fast != 0),
		                HV_STATUS_INVALID_PARAMETER, "flag 65535");
	}
	(void)probe_check(p, hv_ic_close(&ic), "the heartbeat's channel does not close");
}

static void probe_signal_event(struct probe *p)
{
	const struct hv_input_signal_event input = {.connection_id = UNKNOWN_CONNECTION};
	const struct hv_shape shape = {
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = sizeof(input),
	        .status = HV_STATUS_INVALID_CONNECTION_ID,
	};
	struct hv_guest *hv;

	if (!offers_privilege(p, HV_SIGNAL_EVENTS)) {
		return;
	}
	hv = certify_hv_started(p);
	if (hv == NULL) {
		return;
	}
	hv_probe_convention(p, hv, &shape);
	hv_probe_status(p, ring(p, hv, UNKNOWN_CONNECTION, 0, true), HV_STATUS_INVALID_CONNECTION_ID,
	                "in registers, to a connection that there is not");
	hv_probe_status(p, ring(p, hv, 0, 0, true), HV_STATUS_INVALID_CONNECTION_ID, "connection 0");
	if (contact(hv)) {
		(void)probe_check(p, hv_bus_await(hv), "a message was posted, and not answered");
		check_channel(p);
	} else {
		probe_note(p, "no VMBus: no connection to signal");
	}
}

/* ------------------------------------------------------------------ the table */

#define probe_flush_space hv_probe_flush_space
#define probe_flush_list hv_probe_flush_list
#define probe_flush_space_ex hv_probe_flush_space_ex
#define probe_flush_list_ex hv_probe_flush_list_ex
#define probe_send_ipi hv_probe_send_ipi
#define probe_send_ipi_ex hv_probe_send_ipi_ex

/* Not by certify.h's ROW: the names are macros. */
#define SPEC_ROW(number, name, status, handler, clause) \
	{#name, (uint64_t)(number), ROW_##status, clause, probe_##handler},
static const struct row rows[] = {
#include "specs/hv_hypercall.def"
};
ROW_TABLE(hv_hypercall, NEED_HYPERV)
