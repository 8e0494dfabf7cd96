/*
 * netvsc_frame.c - what travels on a network channel that is up: frames in both directions and the
 * answers to control messages.
 *
 * To the host: RNDIS PACKET messages in a section of the send buffer (several of them, if they fit)
 * or in pages of the driver. From the host: ranges of the receive buffer, each copied before it is
 * parsed, and given back by a completion.
 */
#include "guest-drivers/hyperv/hyperv.h"

#define COMPLETION_ROOM 128u
#define OFFSET_BASE ((uint32_t)sizeof(struct rndis_message_header))
#define INFO_MAX 16u

struct head {
	struct rndis_message_header header;
	struct rndis_packet body;
} PACKED;

struct info {
	struct rndis_per_packet_info header;
	uint32_t value;
} PACKED;

#define HEAD_BYTES_MAX (sizeof(struct head) + 3 * sizeof(struct info))

/* ------------------------------------------------------------------ pages */

void hv_pages_put(const struct guest_page *pages, uint32_t offset, const void *from, uint32_t len)
{
	const uint8_t *at = from;

	while (len != 0) {
		uint32_t here = PAGE_BYTES - offset % PAGE_BYTES;

		here = here < len ? here : len;
		memcpy(pages[offset / PAGE_BYTES].bytes + offset % PAGE_BYTES, at, here);
		offset += here;
		at += here;
		len -= here;
	}
}

static void pages_get(const struct guest_page *pages, uint32_t offset, uint8_t *to, uint32_t len)
{
	while (len != 0) {
		uint32_t here = PAGE_BYTES - offset % PAGE_BYTES;

		here = here < len ? here : len;
		memcpy(to, pages[offset / PAGE_BYTES].bytes + offset % PAGE_BYTES, here);
		offset += here;
		to += here;
		len -= here;
	}
}

/* ------------------------------------------------------------------ a frame's header */

static void info_add(struct head *head, uint8_t *bytes, uint32_t type, uint32_t value)
{
	const struct info info = {
	        .header = {sizeof(info), type, sizeof(info.header)},
	        .value = value,
	};

	memcpy(bytes + sizeof(*head) + head->body.per_pkt_info_len, &info, sizeof(info));
	head->body.per_pkt_info_len += (uint32_t)sizeof(info);
}

static void infos_add(struct head *head, uint8_t *bytes, const struct hv_net_frame *frame)
{
	uint32_t offset = frame->transport_offset;

	if (frame->segment_bytes != 0) {
		info_add(head, bytes, RNDIS_PPI_TCP_LARGESEND,
		         frame->segment_bytes | offset << RNDIS_LSO_TCP_OFFSET_SHIFT | RNDIS_LSO_V2 |
		                 (frame->ipv6 ? RNDIS_LSO_IPV6 : 0));
	} else if (frame->checksum_blank) {
		info_add(head, bytes, RNDIS_PPI_TCPIP_CHECKSUM,
		         (frame->ipv6 ? RNDIS_CHECKSUM_TX_IPV6 : RNDIS_CHECKSUM_TX_IPV4) |
		                 (frame->udp ? RNDIS_CHECKSUM_TX_UDP : RNDIS_CHECKSUM_TX_TCP) |
		                 offset << RNDIS_CHECKSUM_TX_TCP_OFFSET_SHIFT);
	}
	if (frame->tagged) {
		info_add(head, bytes, RNDIS_PPI_IEEE_8021Q, (uint32_t)frame->vlan << RNDIS_VLAN_ID_SHIFT);
	}
}

/* Returns the bytes of @bytes used; the message has @padding behind the frame. */
static uint32_t head_build(const struct hv_net_frame *frame, uint32_t align, uint8_t bytes[HEAD_BYTES_MAX],
                           uint32_t *padding)
{
	struct head head = {.header.ndis_msg_type = RNDIS_MSG_PACKET};
	uint32_t len;

	infos_add(&head, bytes, frame);
	len = (uint32_t)sizeof(head) + head.body.per_pkt_info_len;
	if (head.body.per_pkt_info_len != 0) {
		head.body.per_pkt_info_offset = sizeof(head.body);
	}
	head.body.data_offset = len - OFFSET_BASE;
	head.body.data_len = frame->len;
	*padding = (align - (len + frame->len) % align) % align;
	head.header.msg_len = len + frame->len + *padding;
	memcpy(bytes, &head, sizeof(head));
	return len;
}

/* ------------------------------------------------------------------ sending */

static uint32_t entry_take(const struct hv_netvsc *net, uint32_t first, uint32_t end)
{
	uint32_t index = first;

	while (index < end && net->entries[index].used) {
		index++;
	}
	return index;
}

static bool entry_send(struct hv_netvsc *net, uint32_t index, uint32_t section_bytes,
                       const struct hv_buffer *buffers, uint32_t count)
{
	const struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	        .u.send_rndis_pkt = {NVSP_RMC_DATA, section_bytes != 0 ? index : NVSP_INVALID_SECTION_INDEX,
	                             section_bytes},
	};
	struct hv_net_entry *entry = &net->entries[index];
	bool sent;

	entry->id = ++net->sequence << 8 | index;
	entry->used = true;
	net->used_count++;
	sent = count == 0 ? hv_channel_send(&net->channel, entry->id, true, &message, sizeof(message))
	                  : hv_channel_send_buffers(&net->channel, entry->id, buffers, count, &message,
	                                            sizeof(message));
	if (!sent) {
		entry->used = false;
		net->used_count--;
	}
	net->sent_count += sent;
	return sent;
}

/* Bytes that the frames need in one section. */
static uint32_t section_need(const struct hv_netvsc *net, const struct hv_net_frame *frames, uint32_t count)
{
	uint8_t bytes[HEAD_BYTES_MAX];
	uint32_t need = 0, padding;

	for (uint32_t i = 0; i < count; i++) {
		if (frames[i].len > net->section_bytes) {
			return UINT32_MAX;
		}
		need += head_build(&frames[i], 1u << net->align_shift, bytes, &padding);
		need += frames[i].len + padding;
	}
	return need;
}

static bool send_section(struct hv_netvsc *net, const struct hv_net_frame *frames, uint32_t count)
{
	uint32_t end = net->section_count < HV_NET_ENTRIES ? net->section_count : HV_NET_ENTRIES;
	uint32_t index = entry_take(net, HV_NET_LARGE, end); /* those with pages are for others first */
	uint8_t head[HEAD_BYTES_MAX];
	uint32_t start, at, padding;

	index = index < end ? index : entry_take(net, 0, end);
	if (index >= end) {
		return false;
	}
	start = index * net->section_bytes;
	at = start;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t len =
		        head_build(&frames[i], i + 1 < count ? 1u << net->align_shift : 1, head, &padding);

		hv_pages_put(net->send_pages, at, head, len);
		hv_pages_put(net->send_pages, at + len, frames[i].bytes, frames[i].len);
		at += len + frames[i].len + padding;
	}
	return entry_send(net, index, at - start, NULL, 0);
}

/* One range a page, as Linux has it. */
static uint32_t page_ranges(const struct hv_net_entry *entry, uint32_t bytes,
                            struct hv_buffer buffers[HV_NET_LARGE_PAGES])
{
	uint32_t count = 0;

	for (; bytes != 0; count++) {
		buffers[count] = (struct hv_buffer){
		        .bytes = bytes < PAGE_BYTES ? bytes : PAGE_BYTES,
		        .gfns = &entry->pages[count].gfn,
		};
		bytes -= buffers[count].bytes;
	}
	return count;
}

static bool send_pages(struct hv_netvsc *net, const struct hv_net_frame *frame)
{
	uint32_t index = entry_take(net, 0, HV_NET_LARGE);
	struct hv_buffer buffers[HV_NET_LARGE_PAGES];
	struct hv_net_entry *entry;
	uint8_t head[HEAD_BYTES_MAX];
	uint32_t len, padding, count;
	bool apart = net->way == HV_NET_APART && index < net->section_count;

	if (index == HV_NET_LARGE || frame->len > HV_NET_FRAME_MAX) {
		return false;
	}
	entry = &net->entries[index];
	len = head_build(frame, 1, head, &padding);
	if (apart) {
		hv_pages_put(net->send_pages, index * net->section_bytes, head, len);
	} else {
		hv_pages_put(entry->pages, 0, head, len);
	}
	hv_pages_put(entry->pages, apart ? 0 : len, frame->bytes, frame->len);
	count = page_ranges(entry, frame->len + (apart ? 0 : len), buffers);
	return entry_send(net, index, apart ? len : 0, buffers, count);
}

bool hv_netvsc_send(struct hv_netvsc *net, const struct hv_net_frame *frames, uint32_t count)
{
	if (count == 0 || count > net->batch_max) {
		return false;
	}
	if (net->way == HV_NET_ANY && section_need(net, frames, count) <= net->section_bytes) {
		return send_section(net, frames, count);
	}
	return count == 1 && send_pages(net, &frames[0]);
}

/* ------------------------------------------------------------------ receiving */

/* One entry of per-packet info at @at; 0: wrong, else its size. */
static uint32_t info_take(struct hv_net_frame *frame, const uint8_t *at, uint32_t left)
{
	struct info info = {0};

	if (left < sizeof(info.header)) {
		return 0;
	}
	memcpy(&info, at, sizeof(info.header));
	if (info.header.size < sizeof(info.header) || info.header.size > left ||
	    info.header.ppi_offset > info.header.size) {
		return 0;
	}
	if (info.header.size - info.header.ppi_offset < sizeof(info.value)) {
		return info.header.size;
	}
	memcpy(&info.value, at + info.header.ppi_offset, sizeof(info.value));
	if (info.header.type == RNDIS_PPI_TCPIP_CHECKSUM) {
		frame->checksum_good =
		        (info.value & (RNDIS_CHECKSUM_RX_TCP_SUCCEEDED | RNDIS_CHECKSUM_RX_UDP_SUCCEEDED)) !=
		        0;
	} else if (info.header.type == RNDIS_PPI_IEEE_8021Q) {
		frame->tagged = true;
		frame->vlan = (uint16_t)(info.value >> RNDIS_VLAN_ID_SHIFT & RNDIS_VLAN_ID_MASK);
	}
	return info.header.size;
}

static bool infos_take(struct hv_net_frame *frame, const uint8_t *at, uint32_t left)
{
	for (uint32_t i = 0; i < INFO_MAX && left != 0; i++) {
		uint32_t size = info_take(frame, at, left);

		if (size == 0) {
			return false;
		}
		at += size;
		left -= size;
	}
	return left == 0;
}

static bool lies_within(uint32_t offset, uint32_t len, uint32_t bytes)
{
	return offset <= bytes && len <= bytes - offset;
}

/* A PACKET message of @bytes in net->frame. */
static bool take_frame(struct hv_netvsc *net, uint32_t bytes)
{
	struct hv_net_frame frame = {0};
	struct head head;

	if (bytes < sizeof(head)) {
		return false;
	}
	memcpy(&head, net->frame, sizeof(head));
	if (!lies_within(head.body.data_offset, head.body.data_len, bytes - OFFSET_BASE) ||
	    !lies_within(head.body.per_pkt_info_offset, head.body.per_pkt_info_len, bytes - OFFSET_BASE) ||
	    !infos_take(&frame, net->frame + OFFSET_BASE + head.body.per_pkt_info_offset,
	                head.body.per_pkt_info_len)) {
		return false;
	}
	frame.bytes = net->frame + OFFSET_BASE + head.body.data_offset;
	frame.len = head.body.data_len;
	net->received_count++;
	net->receive(net->context, &frame);
	return true;
}

/* An answer counts if it is to what is asked now. */
static bool take_reply(struct hv_netvsc *net, uint32_t type, uint32_t bytes)
{
	uint32_t request;

	if (net->control_type == 0 || type != net->control_type || net->control_replied ||
	    bytes < sizeof(struct rndis_message_header) + sizeof(request) || bytes > HV_NET_CONTROL_BYTES) {
		return false;
	}
	memcpy(&request, net->frame + sizeof(struct rndis_message_header), sizeof(request));
	if (request != net->control_request) {
		return false;
	}
	memcpy(net->control, net->frame, bytes);
	net->control_bytes = bytes;
	net->control_replied = true;
	return true;
}

static bool take_indication(struct hv_netvsc *net, uint32_t bytes)
{
	struct rndis_indicate_status status;

	if (bytes < sizeof(struct rndis_message_header) + sizeof(status)) {
		return false;
	}
	memcpy(&status, net->frame + sizeof(struct rndis_message_header), sizeof(status));
	net->indication_count++;
	if (status.status == RNDIS_STATUS_MEDIA_CONNECT || status.status == RNDIS_STATUS_MEDIA_DISCONNECT) {
		net->connected = status.status == RNDIS_STATUS_MEDIA_CONNECT;
	}
	return true;
}

/* @room bytes of net->frame are a message from the host. */
static bool take_message(struct hv_netvsc *net, uint32_t room)
{
	struct rndis_message_header header;

	if (room < sizeof(header)) {
		return false;
	}
	memcpy(&header, net->frame, sizeof(header));
	if (header.msg_len < sizeof(header) || header.msg_len > room) {
		return false;
	}
	if (header.ndis_msg_type == RNDIS_MSG_PACKET) {
		return take_frame(net, header.msg_len);
	}
	if (header.ndis_msg_type == RNDIS_MSG_INDICATE) {
		return take_indication(net, header.msg_len);
	}
	return take_reply(net, header.ndis_msg_type, header.msg_len);
}

static bool take_range(struct hv_netvsc *net, const struct vmtransfer_page_range *range)
{
	if (range->byte_count > net->slot_bytes || range->byte_count > sizeof(net->frame) ||
	    !lies_within(range->byte_offset, range->byte_count, HV_NET_RECEIVE_PAGES * PAGE_BYTES)) {
		return false;
	}
	pages_get(net->receive_pages, range->byte_offset, net->frame, range->byte_count);
	return take_message(net, range->byte_count);
}

static void take_transfer(struct hv_netvsc *net, const struct hv_packet *packet)
{
	struct nvsp_message answer = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE,
	        .u.send_rndis_pkt_complete.status = NVSP_STAT_SUCCESS,
	};
	uint32_t type = 0;

	if (packet->payload_bytes >= sizeof(type)) {
		memcpy(&type, packet->payload, sizeof(type));
	}
	if (type != NVSP_MSG1_TYPE_SEND_RNDIS_PKT || packet->pageset != NETVSC_RECEIVE_BUFFER_ID ||
	    net->slot_bytes == 0) {
		hv_channel_break(&net->channel);
		return;
	}
	for (uint32_t i = 0; i < packet->range_count; i++) {
		struct vmtransfer_page_range range;

		memcpy(&range, packet->ranges + i * sizeof(range), sizeof(range));
		if (!take_range(net, &range)) {
			net->receive_error_count++;
			answer.u.send_rndis_pkt_complete.status = NVSP_STAT_FAIL;
		}
	}
	(void)!hv_channel_complete(&net->channel, packet->id, &answer,
	                           offsetof(struct nvsp_message, u) +
	                                   sizeof(answer.u.send_rndis_pkt_complete));
}

/* A frame's pages and section are ours again. */
static void entry_end(struct hv_netvsc *net, uint32_t index, const struct nvsp_message *message)
{
	net->entries[index].used = false;
	net->used_count--;
	net->send_error_count += message->msg_type != NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE ||
	                         message->u.send_rndis_pkt_complete.status != NVSP_STAT_SUCCESS;
}

static void take_completion(struct hv_netvsc *net, const struct hv_packet *packet)
{
	uint32_t index = (uint32_t)(packet->id & 0xFF);
	struct nvsp_message message = {0};
	uint32_t bytes =
	        packet->payload_bytes < sizeof(message) ? packet->payload_bytes : (uint32_t)sizeof(message);

	memcpy(&message, packet->payload, bytes);
	if (packet->id == net->setup_id && net->setup_id != 0 && !net->setup_done) {
		net->setup = message;
		net->setup_done = true;
	} else if (packet->id == net->control_id && !net->control_completed) {
		net->control_completed = true;
	} else if (index < HV_NET_ENTRIES && net->entries[index].used &&
	           net->entries[index].id == packet->id) {
		entry_end(net, index, &message);
	} else {
		hv_channel_break(&net->channel);
	}
}

static void net_take(void *context, const struct hv_packet *packet)
{
	struct hv_netvsc *net = context;

	switch (packet->type) {
	case VM_PKT_COMP:
		take_completion(net, packet);
		break;
	case VM_PKT_DATA_USING_XFER_PAGES:
		take_transfer(net, packet);
		break;
	default:
		break; /* in-band: virtual functions and the like, not for us */
	}
}

void hv_netvsc_event(void *context)
{
	struct hv_netvsc *net = context;

	hv_channel_drain(&net->channel, COMPLETION_ROOM, true, net_take);
}
