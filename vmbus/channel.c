/*
 * channel.c - a channel: opening and closing its device, packets to and from its rings. Contract: channel.h.
 */
#include "vmbus/bus_private.h"

#include "base/bits.h"
#include "vm/page.h"

struct vm *vmbus_channel_vm(const struct vmbus_channel *channel)
{
	return channel->bus->vm;
}

uint32_t vmbus_channel_id(const struct vmbus_channel *channel)
{
	return channel->id;
}

void vmbus_channel_kick(struct vmbus_channel *channel)
{
	vm_work_queue(&channel->work);
}

static bool is_broken(const struct vmbus_channel *channel)
{
	return __atomic_load_n(&channel->broken, __ATOMIC_RELAXED);
}

void vmbus_channel_break(struct vmbus_channel *channel, const char *why)
{
	if (!__atomic_exchange_n(&channel->broken, true, __ATOMIC_SEQ_CST)) {
		vm_log(channel->bus->vm, "vmbus: channel %u (%s) stops: %s", channel->id, channel->spec.name,
		       why);
	}
}

static void signal_guest(struct vmbus_channel *channel)
{
	uint32_t vp = __atomic_load_n(&channel->target_vp, __ATOMIC_SEQ_CST);

	if (vp != VMBUS_VP_NONE) {
		(void)synic_signal_event(vm_vcpu(channel->bus->vm, vp), VMBUS_MESSAGE_SINT, channel->id);
	}
}

/* ------------------------------------------------------------------ its work */

/* The bus's lock held: the rings are not used any more. */
static void let_go(struct vmbus_channel *channel)
{
	channel->ring_gpadl->use_count--;
	channel->ring_gpadl = NULL;
	channel->state = CHANNEL_CLOSED;
}

static bool open_device(struct vmbus_channel *channel)
{
	struct vm_page *const *pages = channel->ring_gpadl->pages;
	uint32_t down = channel->send_page;

	__atomic_store_n(&channel->broken, false, __ATOMIC_RELAXED);
	channel->saw_empty = false;
	return ring_open_receiver(&channel->in, pages, down) &&
	       ring_open_sender(&channel->out, pages + down, channel->ring_gpadl->page_count - down) &&
	       channel->spec.ops->open(channel->spec.device);
}

static void step_opening(struct vmbus_channel *channel)
{
	struct vmbus *bus = channel->bus;
	bool opened = open_device(channel);

	spin_lock(&bus->lock);
	channel->answer_open = true;
	channel->open_status = opened ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_UNSUCCESSFUL;
	if (opened) {
		channel->state = CHANNEL_OPEN;
	} else {
		let_go(channel);
	}
	spin_unlock(&bus->lock);
	vm_work_queue(&bus->work);
}

static void step_closing(struct vmbus_channel *channel)
{
	struct vmbus *bus = channel->bus;

	if (!channel->spec.ops->close(channel->spec.device)) {
		return;
	}
	spin_lock(&bus->lock);
	let_go(channel);
	spin_unlock(&bus->lock);
	vm_work_queue(&bus->work);
}

/* While we look, the guest need not signal; what comes between the last look and unmasking is looked for again. */
static bool step_open(struct vmbus_channel *channel)
{
	bool more;

	if (is_broken(channel)) {
		return false;
	}
	ring_set_mask(&channel->in, true);
	channel->saw_empty = false;
	more = channel->spec.ops->step(channel->spec.device);
	if (ring_publish(&channel->in)) {
		signal_guest(channel);
	}
	ring_set_mask(&channel->in, false);
	more = more || (channel->saw_empty && ring_has_packet(&channel->in));
	return more && !is_broken(channel);
}

static bool channel_step(struct vm_work *work)
{
	struct vmbus_channel *channel = CONTAINER_OF(work, struct vmbus_channel, work);
	enum channel_state state;
	bool answered;

	spin_lock(&channel->bus->lock);
	state = channel->state;
	answered = !channel->answer_open;
	spin_unlock(&channel->bus->lock);
	switch (state) {
	case CHANNEL_OPENING:
		step_opening(channel);
		return false;
	case CHANNEL_OPEN:
		return answered && step_open(channel); /* the answer goes out first, then it is queued */
	case CHANNEL_CLOSING:
		step_closing(channel);
		return false;
	case CHANNEL_CLOSED:
		break;
	}
	return false;
}

struct vmbus_channel *vmbus_channel_add(struct vmbus *bus, const struct vmbus_channel_spec *spec)
{
	struct vmbus_channel *channel;

	if (bus->channel_count == VMBUS_CHANNEL_COUNT_MAX) {
		return NULL;
	}
	channel = vm_alloc(bus->vm, sizeof(*channel));
	if (channel == NULL) {
		return NULL;
	}
	channel->bus = bus;
	channel->spec = *spec;
	vm_work_init(&channel->work, bus->vm, channel_step);
	bus->channels[bus->channel_count++] = channel;
	channel->id = bus->channel_count;
	return channel;
}

/* ------------------------------------------------------------------ guest to host */

/* The ranges of a GPA-direct packet, all in the channel's copy. False: they are not right. */
static bool check_ranges(const uint8_t *copy, uint32_t payload_at, struct vmbus_packet *packet)
{
	struct vmdata_gpa_direct head;
	uint32_t at = sizeof(head);
	uint64_t bytes = 0;

	if (payload_at < sizeof(head)) {
		return false;
	}
	memcpy(&head, copy, sizeof(head));
	for (uint32_t i = 0; i < head.range_cnt; i++) {
		struct gpa_range range;
		uint64_t pages;

		if (payload_at - at < sizeof(range)) {
			return false;
		}
		memcpy(&range, copy + at, sizeof(range));
		at += (uint32_t)sizeof(range);
		pages = ((uint64_t)range.byte_offset + range.byte_count + PAGE_MASK) / PAGE_BYTES;
		if (range.byte_count == 0 || range.byte_offset >= PAGE_BYTES ||
		    pages > (payload_at - at) / 8) {
			return false;
		}
		at += (uint32_t)pages * 8;
		bytes += range.byte_count;
	}
	packet->ranges = copy + sizeof(head);
	packet->range_count = head.range_cnt;
	packet->range_bytes = (uint32_t)bytes;
	return true;
}

/* What the descriptor says, from the copy. False: not a packet that a guest sends. */
static bool parse_packet(const uint8_t *copy, uint32_t len, struct vmbus_packet *packet)
{
	struct vmpacket_descriptor d;
	uint32_t payload_at;

	memcpy(&d, copy, sizeof(d));
	payload_at = d.offset8 * 8u;
	*packet = (struct vmbus_packet){
	        .type = d.type,
	        .completion_requested = (d.flags & VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED) != 0,
	        .transaction_id = d.trans_id,
	        .payload = copy + payload_at,
	        .payload_bytes = len - payload_at,
	};
	switch (d.type) {
	case VM_PKT_DATA_INBAND:
	case VM_PKT_COMP:
		return true;
	case VM_PKT_DATA_USING_GPA_DIRECT:
		return check_ranges(copy, payload_at, packet);
	default:
		return false;
	}
}

enum vmbus_receive vmbus_channel_receive(struct vmbus_channel *channel, struct vmbus_packet *packet)
{
	enum ring_status status;
	uint32_t len = 0;

	if (is_broken(channel)) {
		return VMBUS_RECEIVE_BROKEN;
	}
	status = ring_receive(&channel->in, channel->packet, sizeof(channel->packet), &len);
	if (status == RING_EMPTY) {
		channel->saw_empty = true;
		return VMBUS_RECEIVE_EMPTY;
	}
	if (status != RING_OK) {
		vmbus_channel_break(channel, "an index or a length in the ring is out of bounds");
		return VMBUS_RECEIVE_BROKEN;
	}
	if (!parse_packet(channel->packet, len, packet)) {
		vmbus_channel_break(channel, "a packet of the wrong type or with wrong ranges");
		return VMBUS_RECEIVE_BROKEN;
	}
	return VMBUS_RECEIVE_OK;
}

/* One range from @at of the copy; moves @at behind it. */
static enum vmbus_pin_status pin_range(struct vm *vm, const uint8_t **at, struct io_segment *segments,
                                       struct vm_page **pages, uint32_t max, uint32_t *count)
{
	struct gpa_range range;
	uint32_t left, off;

	memcpy(&range, *at, sizeof(range));
	*at += sizeof(range);
	off = range.byte_offset;
	for (left = range.byte_count; left != 0; *at += 8) {
		uint32_t here = PAGE_BYTES - off < left ? PAGE_BYTES - off : left;
		uint64_t frame;

		if (*count == max) {
			return VMBUS_PIN_TOO_MANY;
		}
		memcpy(&frame, *at, sizeof(frame));
		pages[*count] =
		        frame >> (64 - PAGE_SHIFT) == 0 ? vm_page_pin(vm, gpa(frame << PAGE_SHIFT)) : NULL;
		if (pages[*count] == NULL) {
			return VMBUS_PIN_FAULT;
		}
		segments[*count] = (struct io_segment){vm_page_bytes(pages[*count]) + off, here};
		(*count)++;
		left -= here;
		off = 0;
	}
	return VMBUS_PIN_OK;
}

enum vmbus_pin_status vmbus_packet_pin(struct vmbus_channel *channel, const struct vmbus_packet *packet,
                                       struct io_segment *segments, struct vm_page **pages, uint32_t max,
                                       uint32_t *count)
{
	enum vmbus_pin_status status = VMBUS_PIN_OK;
	const uint8_t *at = packet->ranges;

	*count = 0;
	for (uint32_t i = 0; i < packet->range_count && status == VMBUS_PIN_OK; i++) {
		status = pin_range(channel->bus->vm, &at, segments, pages, max, count);
	}
	if (status != VMBUS_PIN_OK) {
		vmbus_pages_unpin(channel, pages, *count);
		*count = 0;
	}
	return status;
}

void vmbus_pages_unpin(struct vmbus_channel *channel, struct vm_page *const *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		vm_page_unpin(channel->bus->vm, pages[i]);
	}
}

/* ------------------------------------------------------------------ host to guest */

static bool send_parts(struct vmbus_channel *channel, const struct ring_part *parts, uint32_t count,
                       uint32_t len)
{
	enum ring_status status;
	bool signal = false;

	CHECK(len <= VMBUS_SEND_BYTES_MAX);
	if (is_broken(channel)) {
		return true;
	}
	status = ring_send(&channel->out, parts, count, len, &signal);
	if (status == RING_FULL) {
		return false;
	}
	if (status != RING_OK) {
		vmbus_channel_break(channel, "the index that the guest reads at is out of bounds");
	}
	if (signal) {
		signal_guest(channel);
	}
	return true;
}

static struct vmpacket_descriptor descriptor(uint16_t type, uint32_t head_bytes, uint32_t len,
                                             bool completion_requested, uint64_t transaction_id)
{
	return (struct vmpacket_descriptor){
	        .type = type,
	        .offset8 = (uint16_t)(head_bytes / 8),
	        .len8 = (uint16_t)(align_up(head_bytes + len, 8) / 8),
	        .flags = completion_requested ? VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED : 0,
	        .trans_id = transaction_id,
	};
}

static bool send_simple(struct vmbus_channel *channel, const struct vmpacket_descriptor *d,
                        const void *payload, uint32_t len)
{
	const struct ring_part parts[] = {{d, sizeof(*d)}, {payload, len}};

	return send_parts(channel, parts, ARRAY_COUNT(parts), (uint32_t)sizeof(*d) + len);
}

bool vmbus_channel_send_inband(struct vmbus_channel *channel, uint64_t transaction_id,
                               bool completion_requested, const void *payload, uint32_t len)
{
	const struct vmpacket_descriptor d =
	        descriptor(VM_PKT_DATA_INBAND, sizeof(d), len, completion_requested, transaction_id);

	return send_simple(channel, &d, payload, len);
}

bool vmbus_channel_send_completion(struct vmbus_channel *channel, uint64_t transaction_id,
                                   const void *payload, uint32_t len)
{
	const struct vmpacket_descriptor d = descriptor(VM_PKT_COMP, sizeof(d), len, false, transaction_id);

	return send_simple(channel, &d, payload, len);
}

bool vmbus_channel_send_transfer_pages(struct vmbus_channel *channel, uint64_t transaction_id,
                                       uint16_t pageset_id, const struct vmtransfer_page_range *ranges,
                                       uint32_t range_count, const void *payload, uint32_t len)
{
	uint32_t ranges_bytes = range_count * (uint32_t)sizeof(ranges[0]);
	uint32_t head_bytes = (uint32_t)sizeof(struct vmtransfer_page_packet_header) + ranges_bytes;
	const struct vmtransfer_page_packet_header head = {
	        .d = descriptor(VM_PKT_DATA_USING_XFER_PAGES, head_bytes, len, true, transaction_id),
	        .xfer_pageset_id = pageset_id,
	        .range_cnt = range_count,
	};
	const struct ring_part parts[] = {{&head, sizeof(head)}, {ranges, ranges_bytes}, {payload, len}};

	return send_parts(channel, parts, ARRAY_COUNT(parts), head_bytes + len);
}
