/*
 * channel.c - a channel of the bus: its rings' memory (GPADLs), open and close, and packets.
 */
#include "guest-drivers/hyperv/hyperv.h"

/* ------------------------------------------------------------------ GPADLs */

#define HEADER_FRAMES (VMBUS_GPADL_HEADER_WORDS_MAX - 1)

/* The frames behind the header's. */
static bool post_bodies(struct hv_guest *hv, uint32_t id, const struct guest_page *pages, uint32_t count)
{
	struct {
		struct vmbus_channel_gpadl_body head;
		uint64_t frames[VMBUS_GPADL_BODY_WORDS_MAX];
	} PACKED body = {.head = {.header.msgtype = CHANNELMSG_GPADL_BODY, .gpadl = id}};

	while (count != 0) {
		uint32_t here = count < VMBUS_GPADL_BODY_WORDS_MAX ? count : VMBUS_GPADL_BODY_WORDS_MAX;

		for (uint32_t i = 0; i < here; i++) {
			body.frames[i] = pages[i].gfn;
		}
		if (!hv_bus_post(hv, &body, (uint32_t)sizeof(body.head) + here * 8)) {
			return false;
		}
		pages += here;
		count -= here;
	}
	return true;
}

static bool post_gpadl(struct hv_channel *channel, uint32_t id, const struct guest_page *pages,
                       uint32_t count)
{
	struct {
		struct vmbus_channel_gpadl_header head;
		struct gpa_range range;
		uint64_t frames[HEADER_FRAMES];
	} PACKED message = {
	        .head = {.header.msgtype = CHANNELMSG_GPADL_HEADER,
	                 .child_relid = channel->relid,
	                 .gpadl = id,
	                 .range_buflen =
	                         (uint16_t)(sizeof(message.range) + count * sizeof(message.frames[0])),
	                 .rangecount = 1},
	        .range = {.byte_count = count * PAGE_BYTES},
	};
	uint32_t here = count < HEADER_FRAMES ? count : HEADER_FRAMES;
	uint32_t size = (uint32_t)offsetof(__typeof__(message), frames) + here * 8;

	for (uint32_t i = 0; i < here; i++) {
		message.frames[i] = pages[i].gfn;
	}
	return hv_bus_post(channel->hv, &message, size) &&
	       post_bodies(channel->hv, id, pages + here, count - here);
}

void hv_pages_lose(struct hv_channel *channel, struct guest_page *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		channel->lost_pages += pages[i].bytes != NULL;
		pages[i].bytes = NULL;
	}
}

/* True: answered, and @id says how; false: nobody knows what the host has. */
static bool gpadl_ask(struct hv_channel *channel, const struct guest_page *pages, uint32_t count,
                      uint32_t *id)
{
	struct vmbus_channel_gpadl_created created;
	struct hv_guest *hv = channel->hv;

	*id = hv->bus.next_gpadl++;
	hv_bus_expect(hv, CHANNELMSG_GPADL_CREATED, 2, channel->relid, *id);
	if (!post_gpadl(channel, *id, pages, count) || !hv_bus_await(hv)) {
		return false;
	}
	memcpy(&created, hv->bus.wait.bytes, sizeof(created));
	if (created.creation_status != VMBUS_STATUS_SUCCESS) {
		*id = 0;
		hv_poll(hv);
	}
	return true;
}

uint32_t hv_gpadl_create(struct hv_channel *channel, struct guest_page *pages, uint32_t count)
{
	uint32_t id;

	if (!gpadl_ask(channel, pages, count, &id)) {
		hv_pages_lose(channel, pages, count);
		return 0;
	}
	return id;
}

bool hv_gpadl_end(struct hv_channel *channel, uint32_t gpadl)
{
	const struct vmbus_channel_gpadl_teardown teardown = {
	        .header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
	        .child_relid = channel->relid,
	        .gpadl = gpadl,
	};

	hv_bus_expect(channel->hv, CHANNELMSG_GPADL_TORNDOWN, 1, gpadl, 0);
	return hv_bus_post(channel->hv, &teardown, sizeof(teardown)) && hv_bus_await(channel->hv);
}

/* ------------------------------------------------------------------ life */

static bool pages_alloc(struct hv_channel *channel)
{
	uint32_t half = channel->ring_pages;

	for (uint32_t i = 0; i < 2 * half; i++) {
		if (!guest_page_alloc(channel->hv->guest, &channel->pages[i])) {
			return false;
		}
	}
	hv_ring_init(&channel->out, channel->pages, half);
	hv_ring_init(&channel->in, channel->pages + half, half);
	for (uint32_t i = 0; i < 2; i++) {
		guest_store32(channel->pages[i * half].bytes + VMBUS_RING_FEATURE_BITS,
		              VMBUS_RING_FEAT_PENDING_SEND_SZ);
	}
	return true;
}

static void pages_free(struct hv_channel *channel)
{
	for (uint32_t i = 0; i < 2 * HV_RING_PAGES_MAX; i++) {
		guest_page_free(channel->hv->guest, &channel->pages[i]);
	}
}

static bool place_take(struct hv_channel *channel)
{
	struct hv_channel **channels = channel->hv->bus.channels;

	for (uint32_t i = 0; i < HV_CHANNEL_MAX; i++) {
		if (channels[i] == NULL) {
			channels[i] = channel;
			return true;
		}
	}
	return false;
}

static void place_give(struct hv_channel *channel)
{
	for (uint32_t i = 0; i < HV_CHANNEL_MAX; i++) {
		if (channel->hv->bus.channels[i] == channel) {
			channel->hv->bus.channels[i] = NULL;
		}
	}
}

static bool post_open(struct hv_channel *channel)
{
	const struct vmbus_channel_open_channel open = {
	        .header.msgtype = CHANNELMSG_OPENCHANNEL,
	        .child_relid = channel->relid,
	        .openid = channel->relid,
	        .ringbuffer_gpadlhandle = channel->gpadl,
	        .target_vp = channel->hv->vp_index,
	        .downstream_ringbuffer_pageoffset = channel->ring_pages,
	};
	struct vmbus_channel_open_result result;

	hv_bus_expect(channel->hv, CHANNELMSG_OPENCHANNEL_RESULT, 2, channel->relid, channel->relid);
	if (!hv_bus_post(channel->hv, &open, sizeof(open)) || !hv_bus_await(channel->hv)) {
		return false;
	}
	memcpy(&result, channel->hv->bus.wait.bytes, sizeof(result));
	return result.status == VMBUS_STATUS_SUCCESS;
}

bool hv_channel_open(struct hv_channel *channel, struct hv_guest *hv,
                     const struct vmbus_channel_offer_channel *offer, uint32_t ring_pages,
                     void (*event)(void *context), void *context)
{
	*channel = (struct hv_channel){
	        .hv = hv,
	        .relid = offer->child_relid,
	        .connection_id = offer->connection_id,
	        .ring_pages = ring_pages,
	        .event = event,
	        .context = context,
	};
	if (!place_take(channel)) {
		return false;
	}
	if (!pages_alloc(channel)) {
		place_give(channel);
		pages_free(channel);
		return false;
	}
	if (!gpadl_ask(channel, channel->pages, 2 * ring_pages, &channel->gpadl)) {
		hv_pages_lose(channel, channel->pages, 2 * ring_pages);
	}
	channel->open = channel->gpadl != 0 && channel->lost_pages == 0 && post_open(channel);
	channel->again = channel->open; /* the host may have signalled behind its answer */
	if (!channel->open) {
		(void)hv_channel_close(channel);
	}
	return channel->open;
}

static bool post_relid(struct hv_channel *channel, uint32_t type)
{
	const struct vmbus_channel_relid message = {
	        .header.msgtype = type,
	        .child_relid = channel->relid,
	};

	return hv_bus_post(channel->hv, &message, sizeof(message));
}

bool hv_channel_close(struct hv_channel *channel)
{
	bool gone = true;

	if (channel->open) {
		gone = post_relid(channel, CHANNELMSG_CLOSECHANNEL);
	}
	channel->open = false;
	if (channel->gpadl != 0) {
		gone = hv_gpadl_end(channel, channel->gpadl) && gone;
		channel->gpadl = 0;
	}
	if (channel->rescinded) {
		gone = post_relid(channel, CHANNELMSG_RELID_RELEASED) && gone;
	}
	if (!gone) {
		hv_pages_lose(channel, channel->pages, 2 * HV_RING_PAGES_MAX);
	}
	place_give(channel);
	pages_free(channel);
	return gone;
}

bool hv_channel_modify(struct hv_channel *channel, uint32_t vp)
{
	const struct vmbus_channel_modifychannel modify = {
	        .header.msgtype = CHANNELMSG_MODIFYCHANNEL,
	        .child_relid = channel->relid,
	        .target_vp = vp,
	};
	struct vmbus_channel_modifychannel_response response;
	struct hv_guest *hv = channel->hv;

	if (hv->bus.version < VERSION_WIN10_V4_1) {
		return false;
	}
	hv_bus_expect(hv, CHANNELMSG_MODIFYCHANNEL_RESPONSE, 1, channel->relid, 0);
	if (!hv_bus_post(hv, &modify, sizeof(modify))) {
		return false;
	}
	if (hv->bus.version < VERSION_WIN10_V5_3) {
		return true;
	}
	if (!hv_bus_await(hv)) {
		return false;
	}
	memcpy(&response, hv->bus.wait.bytes, sizeof(response));
	return response.status == VMBUS_STATUS_SUCCESS;
}

void hv_channel_break(struct hv_channel *channel)
{
	channel->broken = true;
}

/* ------------------------------------------------------------------ sending */

static void signal_host(struct hv_channel *channel)
{
	channel->signal_count++;
	(void)hv_signal_event(channel->hv, channel->connection_id, 0);
}

static bool send_parts(struct hv_channel *channel, const struct hv_part *parts, uint32_t count)
{
	enum hv_ring_status status;
	bool signal = false;

	if (!channel->open || channel->broken || channel->rescinded) {
		return false;
	}
	status = hv_ring_send(&channel->out, parts, count, &signal);
	if (status == HV_RING_BROKEN) {
		hv_channel_break(channel);
	}
	if (signal) {
		signal_host(channel);
	}
	return status == HV_RING_OK;
}

static struct vmpacket_descriptor descriptor(uint16_t type, uint32_t head_bytes, uint32_t len, uint64_t id,
                                             bool wants_completion)
{
	return (struct vmpacket_descriptor){
	        .type = type,
	        .offset8 = (uint16_t)(head_bytes / 8),
	        .len8 = (uint16_t)((head_bytes + len + 7) / 8),
	        .flags = wants_completion ? VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED : 0,
	        .trans_id = id,
	};
}

static bool send_simple(struct hv_channel *channel, uint16_t type, uint64_t id, bool wants_completion,
                        const void *payload, uint32_t len)
{
	const struct vmpacket_descriptor d = descriptor(type, sizeof(d), len, id, wants_completion);
	const struct hv_part parts[] = {{&d, sizeof(d)}, {payload, len}};

	return send_parts(channel, parts, ARRAY_COUNT(parts));
}

bool hv_channel_send(struct hv_channel *channel, uint64_t id, bool wants_completion, const void *payload,
                     uint32_t len)
{
	return send_simple(channel, VM_PKT_DATA_INBAND, id, wants_completion, payload, len);
}

bool hv_channel_complete(struct hv_channel *channel, uint64_t id, const void *payload, uint32_t len)
{
	return send_simple(channel, VM_PKT_COMP, id, false, payload, len);
}

bool hv_channel_send_buffers(struct hv_channel *channel, uint64_t id, const struct hv_buffer *buffers,
                             uint32_t buffer_count, const void *payload, uint32_t len)
{
	struct vmdata_gpa_direct head = {.range_cnt = buffer_count};
	struct gpa_range ranges[HV_BUFFERS_MAX];
	struct hv_part parts[2 + 2 * HV_BUFFERS_MAX];
	uint32_t head_bytes = sizeof(head), count = 1;

	if (buffer_count > HV_BUFFERS_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < buffer_count; i++) {
		uint32_t frames = (buffers[i].offset + buffers[i].bytes + PAGE_MASK) / PAGE_BYTES;

		ranges[i] = (struct gpa_range){buffers[i].bytes, buffers[i].offset};
		parts[count++] = (struct hv_part){&ranges[i], sizeof(ranges[i])};
		parts[count++] = (struct hv_part){buffers[i].gfns, frames * 8};
		head_bytes += (uint32_t)sizeof(ranges[i]) + frames * 8;
	}
	head.d = descriptor(VM_PKT_DATA_USING_GPA_DIRECT, head_bytes, len, id, true);
	parts[0] = (struct hv_part){&head, sizeof(head)};
	parts[count++] = (struct hv_part){payload, len};
	return send_parts(channel, parts, count);
}

/* ------------------------------------------------------------------ receiving */

/* @len bytes of @copy hold a packet whose offset and length were checked. */
static bool parse(const uint8_t *copy, uint32_t len, struct hv_packet *packet)
{
	struct vmtransfer_page_packet_header transfer;
	struct vmpacket_descriptor d;
	uint32_t payload_at;

	memcpy(&d, copy, sizeof(d));
	payload_at = d.offset8 * 8u;
	*packet = (struct hv_packet){
	        .type = d.type,
	        .completion_requested = (d.flags & VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED) != 0,
	        .id = d.trans_id,
	        .payload = copy + payload_at,
	        .payload_bytes = len - payload_at,
	};
	if (d.type == VM_PKT_DATA_INBAND || d.type == VM_PKT_COMP) {
		return true;
	}
	if (d.type != VM_PKT_DATA_USING_XFER_PAGES || payload_at < sizeof(transfer)) {
		return false;
	}
	memcpy(&transfer, copy, sizeof(transfer));
	packet->pageset = transfer.xfer_pageset_id;
	packet->range_count = transfer.range_cnt;
	packet->ranges = copy + sizeof(transfer);
	return transfer.range_cnt <= (payload_at - sizeof(transfer)) / sizeof(struct vmtransfer_page_range);
}

/* False: there is none, or the channel is broken now. */
static bool receive(struct hv_channel *channel, struct hv_packet *packet)
{
	enum hv_ring_status status;
	bool signal = false;
	uint32_t len = 0;

	status = hv_ring_receive(&channel->in, channel->packet, sizeof(channel->packet), &len, &signal);
	if (status == HV_RING_BROKEN || (status == HV_RING_OK && !parse(channel->packet, len, packet))) {
		hv_channel_break(channel);
	}
	if (signal) {
		signal_host(channel);
	}
	return status == HV_RING_OK && !channel->broken;
}

/* True: stopped for want of room. */
static bool drain_once(struct hv_channel *channel, uint32_t room,
                       void (*take)(void *context, const struct hv_packet *packet))
{
	uint32_t left = channel->in.data_bytes / 24; /* more packets than that do not fit */
	struct hv_packet packet;

	for (; left != 0 && channel->open && !channel->broken; left--) {
		if (hv_ring_room(&channel->out) < room) {
			return true;
		}
		if (!receive(channel, &packet)) {
			return false;
		}
		take(channel->context, &packet);
	}
	return channel->open && !channel->broken && hv_ring_has_packet(&channel->in);
}

void hv_channel_drain(struct hv_channel *channel, uint32_t room, bool batched,
                      void (*take)(void *context, const struct hv_packet *packet))
{
	if (!channel->open || channel->broken) {
		return;
	}
	if (!batched) {
		channel->again = drain_once(channel, room, take);
		return;
	}
	hv_ring_mask(&channel->in, true);
	channel->again = drain_once(channel, room, take);
	if (!channel->open) {
		return;
	}
	hv_ring_mask(&channel->in, false);
	channel->again = channel->again || (!channel->broken && hv_ring_has_packet(&channel->in));
}
