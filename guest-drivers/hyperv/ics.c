/*
 * ics.c - the guest's end of the integration components heartbeat, shutdown and time sync
 * (abi/vmbus_ic.h): versions are agreed on, then every message is answered.
 *
 * An answer is the message itself, changed: so it has the length and the transaction of what was
 * asked.
 */
#include "guest-drivers/hyperv/hyperv.h"

#define HEAD_BYTES (sizeof(struct vmpipe_proto_header) + sizeof(struct icmsg_hdr))
#define ANSWER_ROOM 2304u /* the longest message and its packet */
#define VERSIONS_MAX 16u

/* Our newest of each kind; any older one is fine. */
static uint32_t newest(uint16_t type)
{
	switch (type) {
	case ICMSGTYPE_SHUTDOWN:
		return IC_VERSION(3, 2);
	case ICMSGTYPE_TIMESYNC:
		return IC_VERSION(4, 0);
	default:
		return IC_VERSION(3, 0);
	}
}

/* Major above minor, so that versions compare. */
static uint32_t rank(uint32_t version)
{
	return version << 16 | version >> 16;
}

/* The highest of @count versions at @at that is not above @max; 0: none. */
static uint32_t choose(const uint8_t *at, uint32_t count, uint32_t max)
{
	uint32_t best = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t version;

		memcpy(&version, at + i * 4, sizeof(version));
		if (rank(version) <= rank(max) && rank(version) > rank(best)) {
			best = version;
		}
	}
	return best;
}

/* Each of these changes @body of @bytes (our copy) into the answer; false: it makes no sense. */
static bool negotiate(struct hv_ic *ic, uint8_t *body, uint32_t bytes)
{
	struct icmsg_negotiate head;
	uint32_t chosen[2];

	if (bytes < sizeof(head) + sizeof(chosen)) {
		return false;
	}
	memcpy(&head, body, sizeof(head));
	if (head.icframe_vercnt > VERSIONS_MAX || head.icmsg_vercnt > VERSIONS_MAX ||
	    sizeof(head) + (head.icframe_vercnt + head.icmsg_vercnt) * sizeof(chosen[0]) > bytes) {
		return false;
	}
	chosen[0] = choose(body + sizeof(head), head.icframe_vercnt, IC_VERSION(3, 0));
	chosen[1] =
	        choose(body + sizeof(head) + head.icframe_vercnt * 4u, head.icmsg_vercnt, newest(ic->type));
	ic->ready = chosen[0] != 0 && chosen[1] != 0;
	ic->framework = chosen[0];
	ic->version = chosen[1];
	head.icframe_vercnt = ic->ready ? 1 : 0;
	head.icmsg_vercnt = head.icframe_vercnt;
	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), chosen, sizeof(chosen));
	return true;
}

static bool answer_heartbeat(struct hv_ic *ic, uint8_t *body, uint32_t bytes)
{
	if (bytes < sizeof(ic->heartbeat)) {
		return false;
	}
	memcpy(&ic->heartbeat, body, sizeof(ic->heartbeat));
	ic->heartbeat++;
	memcpy(body, &ic->heartbeat, sizeof(ic->heartbeat));
	return true;
}

static bool answer_shutdown(struct hv_ic *ic, uint8_t *body, uint32_t bytes)
{
	if (bytes < sizeof(struct shutdown_msg_data)) {
		return false;
	}
	memcpy(&ic->shutdown_flags, body + offsetof(struct shutdown_msg_data, flags),
	       sizeof(ic->shutdown_flags));
	ic->shutdown_asked = !ic->refuses;
	return true;
}

static bool answer_timesync(struct hv_ic *ic, uint8_t *body, uint32_t bytes)
{
	struct ictimesync_ref_data with_reference;
	struct ictimesync_data data;

	if ((ic->version & 0xFFFF) >= 4) {
		if (bytes < sizeof(with_reference)) {
			return false;
		}
		memcpy(&with_reference, body, sizeof(with_reference));
		ic->host_time = with_reference.parenttime;
		ic->time_flags = with_reference.flags;
		return true;
	}
	if (bytes < offsetof(struct ictimesync_data, reserved)) {
		return false;
	}
	memcpy(&data, body, offsetof(struct ictimesync_data, reserved));
	ic->host_time = data.parenttime;
	ic->time_flags = data.flags;
	return true;
}

static bool answer(struct hv_ic *ic, uint16_t type, uint8_t *body, uint32_t bytes)
{
	if (type == ICMSGTYPE_NEGOTIATE) {
		return negotiate(ic, body, bytes);
	}
	if (type != ic->type || !ic->ready) {
		return false;
	}
	ic->message_count++;
	switch (type) {
	case ICMSGTYPE_HEARTBEAT:
		return answer_heartbeat(ic, body, bytes);
	case ICMSGTYPE_SHUTDOWN:
		return answer_shutdown(ic, body, bytes);
	default:
		return answer_timesync(ic, body, bytes);
	}
}

static void ic_take(void *context, const struct hv_packet *packet)
{
	struct hv_ic *ic = context;
	uint8_t *message = (uint8_t *)(uintptr_t)packet->payload; /* the channel's copy is ours */
	struct vmpipe_proto_header pipe;
	struct icmsg_hdr head;

	if (packet->type != VM_PKT_DATA_INBAND || packet->payload_bytes < HEAD_BYTES) {
		ic->bad_count++;
		return;
	}
	memcpy(&pipe, message, sizeof(pipe));
	memcpy(&head, message + sizeof(pipe), sizeof(head));
	if (pipe.pkt_type != VMBUS_PIPE_DATA || pipe.data_size < sizeof(head) ||
	    pipe.data_size > packet->payload_bytes - sizeof(pipe) ||
	    head.icmsgsize > pipe.data_size - sizeof(head) ||
	    !answer(ic, head.icmsgtype, message + HEAD_BYTES, head.icmsgsize)) {
		ic->bad_count++;
		return;
	}
	head.icflags = ICMSGHDRFLAG_TRANSACTION | ICMSGHDRFLAG_RESPONSE;
	head.status = ic->refuses ? HV_E_FAIL : HV_S_OK;
	memcpy(message + sizeof(pipe), &head, sizeof(head));
	(void)!hv_channel_send(&ic->channel, packet->id, false, message, packet->payload_bytes);
}

static void ic_event(void *context)
{
	struct hv_ic *ic = context;

	hv_channel_drain(&ic->channel, ANSWER_ROOM, false, ic_take);
}

bool hv_ic_open(struct hv_ic *ic, struct hv_guest *hv, uint16_t type)
{
	static const struct vmbus_guid classes[] = {
	        [ICMSGTYPE_HEARTBEAT] = VMBUS_CLASS_HEARTBEAT,
	        [ICMSGTYPE_SHUTDOWN] = VMBUS_CLASS_SHUTDOWN,
	        [ICMSGTYPE_TIMESYNC] = VMBUS_CLASS_TIMESYNC,
	};
	const struct vmbus_channel_offer_channel *offer;

	memset(ic, 0, sizeof(*ic));
	ic->type = type;
	ic->channel.hv = hv;
	if (type != ICMSGTYPE_HEARTBEAT && type != ICMSGTYPE_SHUTDOWN && type != ICMSGTYPE_TIMESYNC) {
		return false;
	}
	offer = hv_bus_find(hv, classes[type], 0);
	return offer != NULL && (offer->chn_flags & VMBUS_CHANNEL_NAMED_PIPE_MODE) != 0 &&
	       hv_channel_open(&ic->channel, hv, offer, HV_IC_RING_PAGES, ic_event, ic);
}

bool hv_ic_close(struct hv_ic *ic)
{
	ic->ready = false;
	return hv_channel_close(&ic->channel);
}
