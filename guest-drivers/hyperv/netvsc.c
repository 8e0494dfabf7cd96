/*
 * netvsc.c - the network device's driver: NVSP from 6.1 down, its two buffers, and RNDIS control
 * messages (abi/vmbus_net.h). Frames are netvsc_frame.c's.
 *
 * NVSP and RNDIS are asked one question at a time. Ids are never used twice: an answer counts only
 * to what is asked.
 */
#include "guest-drivers/hyperv/hyperv.h"

#define SETUP_ID 0xFFu /* low byte of the ids; frames have their entry's index there */
#define CONTROL_ID 0xFEu
#define MTU_BYTES 1514u
#define SLOT_BYTES_MIN 68u
#define RNDIS_TRANSFER_MAX 0x4000u
#define FILTER (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST)

/* ------------------------------------------------------------------ NVSP */

static bool nvsp_tell(struct hv_netvsc *net, const struct nvsp_message *message)
{
	return hv_channel_send(&net->channel, ++net->sequence << 8 | SETUP_ID, false, message,
	                       sizeof(*message));
}

/* The answer is in net->setup, of type @answer. */
static bool nvsp_ask(struct hv_netvsc *net, const struct nvsp_message *message, uint32_t type)
{
	net->setup_done = false;
	net->setup_id = ++net->sequence << 8 | SETUP_ID;
	if (!hv_channel_send(&net->channel, net->setup_id, true, message, sizeof(*message))) {
		return false;
	}
	for (uint32_t i = 0; i < net->channel.hv->guest->poll_max && !net->setup_done; i++) {
		hv_poll(net->channel.hv);
	}
	net->setup_id = 0;
	return net->setup_done && net->setup.msg_type == type;
}

static bool agree_version(struct hv_netvsc *net)
{
	static const uint32_t versions[] = {
	        NVSP_PROTOCOL_VERSION_61, NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_5,
	        NVSP_PROTOCOL_VERSION_4,  NVSP_PROTOCOL_VERSION_2, NVSP_PROTOCOL_VERSION_1,
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		const struct nvsp_message message = {
		        .msg_type = NVSP_MSG_TYPE_INIT,
		        .u.init = {versions[i], versions[i]},
		};

		if (net->version_max != 0 && versions[i] > net->version_max) {
			continue;
		}
		if (!nvsp_ask(net, &message, NVSP_MSG_TYPE_INIT_COMPLETE)) {
			return false;
		}
		if (net->setup.u.init_complete.status == NVSP_STAT_SUCCESS) {
			net->version = versions[i];
			return true;
		}
	}
	return false;
}

static bool send_configuration(struct hv_netvsc *net)
{
	struct nvsp_message config = {.msg_type = NVSP_MSG2_TYPE_SEND_NDIS_CONFIG};
	const struct nvsp_message ndis = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_NDIS_VER,
	        .u.send_ndis_ver = {6, net->version > NVSP_PROTOCOL_VERSION_4 ? 30 : 1},
	};

	config.u.send_ndis_config.mtu = MTU_BYTES;
	config.u.send_ndis_config.capability = net->takes_tags ? NVSP_2_VSC_CAPABILITY_IEEE8021Q : 0;
	return (net->version < NVSP_PROTOCOL_VERSION_2 || nvsp_tell(net, &config)) && nvsp_tell(net, &ndis);
}

/* The host has cut the buffer into slots: one section that starts at 0, as Linux asks for. */
static bool take_section(struct hv_netvsc *net)
{
	const struct nvsp_1_send_recv_buf_complete *answer = &net->setup.u.send_recv_buf_complete;

	if (answer->status != NVSP_STAT_SUCCESS || answer->num_sections != 1 || answer->section.offset != 0 ||
	    answer->section.sub_alloc_size < SLOT_BYTES_MIN ||
	    (uint64_t)answer->section.sub_alloc_size * answer->section.num_sub_allocs >
	            (uint64_t)HV_NET_RECEIVE_PAGES * PAGE_BYTES) {
		return false;
	}
	net->slot_bytes = answer->section.sub_alloc_size;
	net->slot_count = answer->section.num_sub_allocs;
	return true;
}

static bool give_receive_buffer(struct hv_netvsc *net)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF};

	net->receive_gpadl = hv_gpadl_create(&net->channel, net->receive_pages, HV_NET_RECEIVE_PAGES);
	message.u.send_buf = (struct nvsp_1_send_buf){net->receive_gpadl, NETVSC_RECEIVE_BUFFER_ID, 0};
	return net->receive_gpadl != 0 && nvsp_ask(net, &message, NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE) &&
	       take_section(net);
}

static bool give_send_buffer(struct hv_netvsc *net)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF};

	net->send_gpadl = hv_gpadl_create(&net->channel, net->send_pages, HV_NET_SEND_PAGES);
	message.u.send_buf.gpadl_handle = net->send_gpadl;
	if (net->send_gpadl == 0 || !nvsp_ask(net, &message, NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE) ||
	    net->setup.u.send_send_buf_complete.status != NVSP_STAT_SUCCESS ||
	    net->setup.u.send_send_buf_complete.section_size < SLOT_BYTES_MIN) {
		return false;
	}
	net->section_bytes = net->setup.u.send_send_buf_complete.section_size;
	net->section_count = HV_NET_SEND_PAGES * PAGE_BYTES / net->section_bytes;
	return net->section_count != 0;
}

static void revoke_buffers(struct hv_netvsc *net)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF};

	message.u.revoke_buf.id = NETVSC_RECEIVE_BUFFER_ID;
	if (net->slot_bytes != 0) {
		(void)!nvsp_tell(net, &message);
	}
	message.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF;
	message.u.revoke_buf.id = 0;
	if (net->section_bytes != 0) {
		(void)!nvsp_tell(net, &message);
	}
}

/* ------------------------------------------------------------------ RNDIS control */

static bool control_ended(const struct hv_netvsc *net)
{
	return net->control_completed && net->control_replied;
}

/* RESET's reply has its status where others have the request's id. */
static uint32_t reply_id(uint32_t type, uint32_t request)
{
	return type == RNDIS_MSG_RESET ? RNDIS_STATUS_SUCCESS : request;
}

bool hv_netvsc_ask(struct hv_netvsc *net, void *message, uint32_t bytes)
{
	struct rndis_message_header *header = message;
	const struct nvsp_message nvsp = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	        .u.send_rndis_pkt = {NVSP_RMC_CONTROL, NVSP_INVALID_SECTION_INDEX, 0},
	};
	const struct hv_buffer buffer = {.bytes = bytes, .gfns = &net->control_page.gfn};
	uint32_t request = (uint32_t)++net->sequence;

	header->msg_len = bytes;
	memcpy(net->control_page.bytes, message, bytes);
	memcpy(net->control_page.bytes + sizeof(*header), &request, sizeof(request));
	net->control_type = header->ndis_msg_type | RNDIS_MSG_COMPLETION;
	net->control_request = reply_id(header->ndis_msg_type, request);
	net->control_completed = false;
	net->control_replied = false;
	net->control_id = (uint64_t)request << 8 | CONTROL_ID;
	if (!hv_channel_send_buffers(&net->channel, net->control_id, &buffer, 1, &nvsp, sizeof(nvsp))) {
		net->control_type = 0;
		return false;
	}
	for (uint32_t i = 0; i < net->channel.hv->guest->poll_max && !control_ended(net); i++) {
		hv_poll(net->channel.hv);
	}
	net->control_type = 0;
	return control_ended(net);
}

static bool rndis_initialize(struct hv_netvsc *net)
{
	struct {
		struct rndis_message_header header;
		struct rndis_initialize_request body;
	} PACKED message = {
	        .header.ndis_msg_type = RNDIS_MSG_INIT,
	        .body = {.major_ver = RNDIS_MAJOR_VERSION, .max_xfer_size = RNDIS_TRANSFER_MAX},
	};
	struct rndis_initialize_complete reply;

	if (!hv_netvsc_ask(net, &message, sizeof(message)) ||
	    net->control_bytes < sizeof(message.header) + sizeof(reply)) {
		return false;
	}
	memcpy(&reply, net->control + sizeof(message.header), sizeof(reply));
	net->batch_max = reply.max_pkt_per_msg < HV_NET_BATCH_MAX ? reply.max_pkt_per_msg : HV_NET_BATCH_MAX;
	net->batch_max = net->batch_max == 0 ? 1 : net->batch_max;
	net->align_shift = reply.pkt_alignment_factor;
	return reply.status == RNDIS_STATUS_SUCCESS && net->align_shift <= 7;
}

uint32_t hv_netvsc_query(struct hv_netvsc *net, uint32_t oid, void *to, uint32_t room)
{
	struct {
		struct rndis_message_header header;
		struct rndis_query_request body;
		struct ndis_offload object; /* the offload query brings one along */
	} PACKED message = {
	        .header.ndis_msg_type = RNDIS_MSG_QUERY,
	        .body = {.oid = oid, .info_buf_offset = sizeof(message.body)},
	        .object.header = {NDIS_OBJECT_TYPE_OFFLOAD, 3, NDIS_OFFLOAD_SIZE_6_30},
	};
	struct rndis_query_complete reply;
	uint32_t bytes = sizeof(message);

	if (oid == RNDIS_OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES) {
		message.body.info_buflen = sizeof(message.object);
	} else {
		bytes -= (uint32_t)sizeof(message.object);
	}
	if (!hv_netvsc_ask(net, &message, bytes) ||
	    net->control_bytes < sizeof(message.header) + sizeof(reply)) {
		return 0;
	}
	bytes = net->control_bytes - (uint32_t)sizeof(message.header);
	memcpy(&reply, net->control + sizeof(message.header), sizeof(reply));
	if (reply.info_buf_offset < sizeof(reply) || reply.info_buf_offset > bytes ||
	    reply.info_buflen > bytes - reply.info_buf_offset || reply.info_buflen > room) {
		return 0;
	}
	memcpy(to, net->control + sizeof(message.header) + reply.info_buf_offset, reply.info_buflen);
	return reply.info_buflen;
}

bool hv_netvsc_set(struct hv_netvsc *net, uint32_t oid, const void *value, uint32_t len)
{
	struct {
		struct rndis_message_header header;
		struct rndis_query_request body;
		uint8_t value[64];
	} PACKED message = {
	        .header.ndis_msg_type = RNDIS_MSG_SET,
	        .body = {.oid = oid, .info_buflen = len, .info_buf_offset = sizeof(message.body)},
	};
	struct rndis_set_complete reply;

	if (len > sizeof(message.value)) {
		return false;
	}
	memcpy(message.value, value, len);
	if (!hv_netvsc_ask(net, &message, (uint32_t)offsetof(__typeof__(message), value) + len) ||
	    net->control_bytes < sizeof(message.header) + sizeof(reply)) {
		return false;
	}
	memcpy(&reply, net->control + sizeof(message.header), sizeof(reply));
	return reply.status == RNDIS_STATUS_SUCCESS;
}

bool hv_netvsc_keepalive(struct hv_netvsc *net)
{
	struct {
		struct rndis_message_header header;
		uint32_t request;
	} PACKED message = {.header.ndis_msg_type = RNDIS_MSG_KEEPALIVE};

	return hv_netvsc_ask(net, &message, sizeof(message));
}

bool hv_netvsc_tell(struct hv_netvsc *net, const void *message, uint32_t bytes)
{
	const struct nvsp_message nvsp = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	        .u.send_rndis_pkt = {NVSP_RMC_CONTROL, NVSP_INVALID_SECTION_INDEX, 0},
	};
	const struct hv_buffer buffer = {.bytes = bytes, .gfns = &net->control_page.gfn};

	memcpy(net->control_page.bytes, message, bytes);
	net->control_id = ++net->sequence << 8 | CONTROL_ID;
	net->control_completed = false;
	if (!hv_channel_send_buffers(&net->channel, net->control_id, &buffer, 1, &nvsp, sizeof(nvsp))) {
		return false;
	}
	for (uint32_t i = 0; i < net->channel.hv->guest->poll_max && !net->control_completed; i++) {
		hv_poll(net->channel.hv);
	}
	return net->control_completed;
}

static void rndis_halt(struct hv_netvsc *net)
{
	const struct {
		struct rndis_message_header header;
		struct rndis_halt_request body;
	} PACKED message = {.header = {RNDIS_MSG_HALT, sizeof(message)}};

	(void)!hv_netvsc_tell(net, &message, sizeof(message));
}

/* ------------------------------------------------------------------ bring-up, in Linux's order */

static bool read_offload(struct hv_netvsc *net)
{
	struct ndis_offload_params params = {
	        .header = {NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(params)},
	        .tcp_ip_v4_csum = NDIS_OFFLOAD_TX_RX_ON,
	        .udp_ip_v4_csum = NDIS_OFFLOAD_TX_RX_ON,
	        .tcp_ip_v6_csum = NDIS_OFFLOAD_TX_RX_ON,
	        .udp_ip_v6_csum = NDIS_OFFLOAD_TX_RX_ON,
	        .lso_v2_ipv4 = NDIS_OFFLOAD_LSOV2_ON,
	        .lso_v2_ipv6 = NDIS_OFFLOAD_LSOV2_ON,
	};
	uint32_t bytes = hv_netvsc_query(net, RNDIS_OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, &net->offload,
	                                 sizeof(net->offload));

	if (bytes < NDIS_OFFLOAD_SIZE_6_0 || net->offload.header.type != NDIS_OBJECT_TYPE_OFFLOAD ||
	    net->offload.header.revision == 0) {
		return false;
	}
	if (net->version <= NVSP_PROTOCOL_VERSION_4) {
		params.header.size = offsetof(struct ndis_offload_params, rsc_ipv4);
	}
	return hv_netvsc_set(net, RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, params.header.size);
}

static bool rndis_up(struct hv_netvsc *net)
{
	const uint32_t filter = FILTER;
	uint32_t state = RNDIS_MEDIA_STATE_CONNECTED;

	if (!rndis_initialize(net) ||
	    hv_netvsc_query(net, RNDIS_OID_802_3_PERMANENT_ADDRESS, net->mac, 6) != 6 || !read_offload(net)) {
		return false;
	}
	(void)hv_netvsc_query(net, RNDIS_OID_GEN_MEDIA_CONNECT_STATUS, &state, sizeof(state));
	net->connected = state == RNDIS_MEDIA_STATE_CONNECTED;
	return hv_netvsc_set(net, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter));
}

static bool pages_alloc(struct guest *guest, struct guest_page *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!guest_page_alloc(guest, &pages[i])) {
			return false;
		}
	}
	return true;
}

static bool all_pages_alloc(struct hv_netvsc *net, struct guest *guest)
{
	if (!pages_alloc(guest, net->receive_pages, HV_NET_RECEIVE_PAGES) ||
	    !pages_alloc(guest, net->send_pages, HV_NET_SEND_PAGES) ||
	    !pages_alloc(guest, &net->control_page, 1)) {
		return false;
	}
	for (uint32_t i = 0; i < HV_NET_LARGE; i++) {
		if (!pages_alloc(guest, net->entries[i].pages, HV_NET_LARGE_PAGES)) {
			return false;
		}
	}
	return true;
}

static void pages_free(struct guest *guest, struct guest_page *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		guest_page_free(guest, &pages[i]);
	}
}

static void all_pages_free(struct hv_netvsc *net)
{
	struct guest *guest = net->channel.hv->guest;

	pages_free(guest, net->receive_pages, HV_NET_RECEIVE_PAGES);
	pages_free(guest, net->send_pages, HV_NET_SEND_PAGES);
	pages_free(guest, &net->control_page, 1);
	for (uint32_t i = 0; i < HV_NET_LARGE; i++) {
		pages_free(guest, net->entries[i].pages, HV_NET_LARGE_PAGES);
	}
}

static void prepare(struct hv_netvsc *net, struct hv_guest *hv, hv_net_receive_fn *receive, void *context)
{
	uint32_t version_max = net->version_max;
	bool takes_tags = net->takes_tags;
	enum hv_net_way way = net->way;

	memset(net, 0, sizeof(*net));
	net->version_max = version_max;
	net->takes_tags = takes_tags;
	net->way = way;
	net->receive = receive;
	net->context = context;
	net->channel.hv = hv;
}

bool hv_netvsc_open(struct hv_netvsc *net, struct hv_guest *hv, uint32_t index, hv_net_receive_fn *receive,
                    void *context)
{
	const struct vmbus_channel_offer_channel *offer =
	        hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_NETWORK, index);

	prepare(net, hv, receive, context);
	if (offer == NULL) {
		return false;
	}
	if (!all_pages_alloc(net, hv->guest) ||
	    !hv_channel_open(&net->channel, hv, offer, HV_NET_RING_PAGES, hv_netvsc_event, net)) {
		all_pages_free(net);
		return false;
	}
	if (!agree_version(net) || !send_configuration(net) || !give_receive_buffer(net) ||
	    !give_send_buffer(net) || !rndis_up(net)) {
		(void)hv_netvsc_close(net);
		return false;
	}
	return true;
}

/* Buffers of the host's hands are lost. */
static bool gpadl_take_back(struct hv_netvsc *net, uint32_t *gpadl, struct guest_page *pages, uint32_t count)
{
	bool gone = *gpadl == 0 || hv_gpadl_end(&net->channel, *gpadl);

	if (!gone) {
		hv_pages_lose(&net->channel, pages, count);
	}
	*gpadl = 0;
	return gone;
}

bool hv_netvsc_close(struct hv_netvsc *net)
{
	bool gone;

	rndis_halt(net);
	revoke_buffers(net);
	gone = hv_channel_close(&net->channel); /* from 4.0 on the buffers' lists go after it */
	if (!gone) {
		hv_pages_lose(&net->channel, &net->control_page, 1);
		for (uint32_t i = 0; i < HV_NET_LARGE; i++) {
			hv_pages_lose(&net->channel, net->entries[i].pages, HV_NET_LARGE_PAGES);
		}
	}
	gone = gpadl_take_back(net, &net->receive_gpadl, net->receive_pages, HV_NET_RECEIVE_PAGES) && gone;
	gone = gpadl_take_back(net, &net->send_gpadl, net->send_pages, HV_NET_SEND_PAGES) && gone;
	all_pages_free(net);
	return gone;
}
