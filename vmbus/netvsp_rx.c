/*
 * netvsp_rx.c - what goes to the guest: frames and control messages in slots of its receive buffer,
 * and completions.
 *
 * NVSP 1, receive buffer: a slot is 256 bytes for the RNDIS header, the MTU, and 36 bytes that are
 * never filled (some Windows drivers mishandle them). A transfer-page packet names one slot; it is
 * the guest's until it completes that packet, whose transaction id is the slot's number plus 1.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "vmbus/netvsp.h"

#define MAC_BYTES 12u
#define ETHER_BYTES 14u
#define TAG_BYTES 4u
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86DDu
#define PROTO_TCP 6u
#define PROTO_UDP 17u
#define HEAD_BYTES 64u /* of a frame: a tag, and IPv4's or IPv6's own header */

/* ------------------------------------------------------------------ slots; lock held */

static uint32_t slot_take_bit(struct netvsp *net, uint32_t word, uint64_t allowed)
{
	uint64_t free = ~net->slots_busy[word] & allowed;
	uint32_t slot;

	if (free == 0) {
		return NETVSP_SLOT_NONE;
	}
	slot = word * 64 + bit_lowest(free);
	net->slots_busy[word] |= BIT64(slot % 64);
	return slot;
}

/* The slots of a word that are there and are for frames. */
static uint64_t slot_frames_mask(const struct netvsp *net, uint32_t word)
{
	uint64_t mask = word == 0 ? ~(BIT64(NETVSP_SLOT_CONTROL) - 1) : ~0ull;
	uint32_t end = net->slot_count - word * 64;

	return end < 64 ? mask & (BIT64(end) - 1) : mask;
}

static uint32_t slot_take(struct netvsp *net)
{
	uint32_t word_count = (net->slot_count + 63) / 64;

	for (uint32_t i = 0; i < word_count; i++) {
		uint32_t word = net->slot_hint;
		uint32_t slot = slot_take_bit(net, word, slot_frames_mask(net, word));

		if (slot != NETVSP_SLOT_NONE) {
			return slot;
		}
		net->slot_hint = word + 1 < word_count ? word + 1 : 0;
	}
	return NETVSP_SLOT_NONE;
}

static uint32_t slot_take_control(struct netvsp *net)
{
	return net->slot_count == 0 ? NETVSP_SLOT_NONE
	                            : slot_take_bit(net, 0, BIT64(NETVSP_SLOT_CONTROL) - 1);
}

static void slot_give(struct netvsp *net, uint32_t slot)
{
	net->slots_busy[slot / 64] &= ~BIT64(slot % 64);
}

/* The pages of the first @len bytes of a slot; 0 if the guest's buffer is in too many small pieces. */
static uint32_t slot_segments(const struct netvsp *net, uint32_t slot, uint32_t len,
                              struct io_segment segments[NETVSP_SLOT_PAGES])
{
	return vmbus_gpadl_segments(net->receive_buffer, (uint64_t)slot * net->slot_bytes, len, segments,
	                            NETVSP_SLOT_PAGES);
}

static uint64_t slot_transaction(uint32_t slot)
{
	return (uint64_t)slot + 1;
}

/* ------------------------------------------------------------------ the receive buffer */

bool netvsp_set_receive_buffer(struct netvsp *net, struct vmbus_gpadl *gpadl)
{
	uint64_t count;

	spin_lock(&net->lock);
	net->slot_bytes = RNDIS_SLOT_HEADER_BYTES + net->rndis.mtu_bytes + RNDIS_SLOT_FOOTER_BYTES;
	count = vmbus_gpadl_bytes(gpadl) / net->slot_bytes;
	if (count > NETVSP_SLOT_CONTROL) {
		net->receive_buffer = gpadl;
		net->slot_count = count < NETVSP_SLOT_MAX ? (uint32_t)count : NETVSP_SLOT_MAX;
		net->slot_hint = 0;
		memset(net->slots_busy, 0, sizeof(net->slots_busy));
	}
	spin_unlock(&net->lock);
	return count > NETVSP_SLOT_CONTROL;
}

struct vmbus_gpadl *netvsp_take_receive_buffer(struct netvsp *net)
{
	struct vmbus_gpadl *gpadl;

	spin_lock(&net->lock);
	gpadl = net->receive_buffer;
	net->receive_buffer = NULL;
	net->slot_count = 0;
	spin_unlock(&net->lock);
	return gpadl;
}

bool netvsp_free_slot(struct netvsp *net, uint64_t raw_transaction_id)
{
	uint64_t raw_slot = raw_transaction_id - 1;
	bool busy = false;

	spin_lock(&net->lock);
	if (raw_slot < net->slot_count) {
		busy = (net->slots_busy[raw_slot / 64] & BIT64(raw_slot % 64)) != 0;
		slot_give(net, (uint32_t)raw_slot);
	}
	spin_unlock(&net->lock);
	return busy;
}

/* ------------------------------------------------------------------ sending; lock held */

/* One RNDIS message of a slot. False: no room in the ring. */
static bool slot_send(struct netvsp *net, uint64_t transaction_id, const struct vmtransfer_page_range *range,
                      uint32_t channel_type)
{
	struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	        .u.send_rndis_pkt = {.channel_type = channel_type,
	                             .send_buf_section_index = NVSP_INVALID_SECTION_INDEX},
	};

	return vmbus_channel_send_transfer_pages(net->channel, transaction_id, NETVSC_RECEIVE_BUFFER_ID,
	                                         range, 1, &message, netvsp_message_bytes(net));
}

static bool output_send(struct netvsp *net, const struct netvsp_output *output)
{
	if (output->is_completion) {
		return vmbus_channel_send_completion(net->channel, output->transaction_id, &output->message,
		                                     output->message_bytes);
	}
	return slot_send(net, output->transaction_id, &output->range, NVSP_RMC_CONTROL);
}

/* In order: sent at once only if nothing waits. */
static void output_add(struct netvsp *net, const struct netvsp_output *output)
{
	if (net->output_count == 0 && output_send(net, output)) {
		return;
	}
	CHECK(net->output_count < NETVSP_OUTPUT_MAX);
	net->outputs[net->output_count++] = *output;
}

/* A message of @bytes in the control slot @slot. */
static void control_send(struct netvsp *net, uint32_t slot, const uint8_t *reply, uint32_t bytes)
{
	struct netvsp_output output = {
	        .transaction_id = slot_transaction(slot),
	        .range = {.byte_count = bytes, .byte_offset = slot * net->slot_bytes},
	};
	struct io_segment segments[NETVSP_SLOT_PAGES];
	uint32_t count = slot_segments(net, slot, bytes, segments);

	if (count == 0) {
		slot_give(net, slot);
		return;
	}
	(void)io_copy_in(segments, count, 0, reply, bytes);
	output_add(net, &output);
}

/* ------------------------------------------------------------------ for the step */

void netvsp_complete(struct netvsp *net, uint64_t transaction_id, const struct nvsp_message *message,
                     uint32_t message_bytes)
{
	struct netvsp_output output = {
	        .is_completion = true,
	        .transaction_id = transaction_id,
	        .message = *message,
	        .message_bytes = message_bytes,
	};

	spin_lock(&net->lock);
	output_add(net, &output);
	spin_unlock(&net->lock);
}

bool netvsp_control(struct netvsp *net, const uint8_t *message, uint32_t bytes, struct rndis_answer *answer)
{
	uint8_t reply[RNDIS_REPLY_BYTES];
	uint32_t slot;

	spin_lock(&net->lock);
	slot = slot_take_control(net);
	if (slot != NETVSP_SLOT_NONE) {
		rndis_control(&net->rndis, message, bytes, reply, answer);
		if (answer->reply_bytes != 0) {
			control_send(net, slot, reply, answer->reply_bytes);
		} else {
			slot_give(net, slot);
		}
	}
	spin_unlock(&net->lock);
	return slot != NETVSP_SLOT_NONE;
}

void netvsp_indicate(struct netvsp *net)
{
	uint8_t reply[RNDIS_REPLY_BYTES];
	uint32_t slot;

	if (!net->rndis.offloads_changed) {
		return;
	}
	spin_lock(&net->lock);
	slot = slot_take_control(net);
	if (slot != NETVSP_SLOT_NONE) {
		net->rndis.offloads_changed = false;
		control_send(net, slot, reply, rndis_build_offload_status(&net->rndis, reply));
	}
	spin_unlock(&net->lock);
}

bool netvsp_flush(struct netvsp *net)
{
	uint32_t done = 0;
	bool empty;

	spin_lock(&net->lock);
	while (done < net->output_count && output_send(net, &net->outputs[done])) {
		done++;
	}
	net->output_count -= done;
	memmove(net->outputs, net->outputs + done, net->output_count * sizeof(net->outputs[0]));
	empty = net->output_count == 0;
	spin_unlock(&net->lock);
	return empty;
}

/* ------------------------------------------------------------------ frames from the switch */

static uint32_t load16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/*
 * The verdict on the checksum as this guest wants it, of a frame whose type and network header are
 * at @at.
 */
static uint32_t checksum_info(const struct netvsp *net, const struct switch_frame *frame, const uint8_t *at)
{
	bool ipv4 = load16(at) == ETHERTYPE_IPV4;
	uint32_t tcp = ipv4 ? RNDIS_RX_TCP4 : RNDIS_RX_TCP6;
	uint32_t udp = ipv4 ? RNDIS_RX_UDP4 : RNDIS_RX_UDP6;
	uint32_t proto = ipv4 ? at[2 + 9] : at[2 + 6];

	if (!(frame->checksum_good || frame->checksum_blank) || (!ipv4 && load16(at) != ETHERTYPE_IPV6)) {
		return 0;
	}
	if (proto == PROTO_TCP && (net->rndis.offloads & tcp) != 0) {
		return RNDIS_CHECKSUM_RX_TCP_SUCCEEDED |
		       (frame->checksum_blank ? RNDIS_RX_TCP_VALUE_INVALID : 0);
	}
	if (proto == PROTO_UDP && (net->rndis.offloads & udp) != 0) {
		return RNDIS_CHECKSUM_RX_UDP_SUCCEEDED;
	}
	return 0;
}

/* What is told of the frame whose beginning is @head: its tag is taken out if the guest wants that. */
static struct rndis_receive frame_describe(const struct netvsp *net, const struct switch_frame *frame,
                                           const uint8_t head[HEAD_BYTES])
{
	struct rndis_receive receive = {.data_bytes = frame->len_bytes};
	const uint8_t *type = head + MAC_BYTES;

	if (load16(type) == ETHERTYPE_VLAN && frame->len_bytes >= ETHER_BYTES + TAG_BYTES) {
		receive.tagged = net->takes_tags;
		receive.tag = (uint16_t)load16(type + 2);
		receive.data_bytes -= receive.tagged ? TAG_BYTES : 0;
		type += TAG_BYTES;
	}
	receive.checksum = checksum_info(net, frame, type);
	return receive;
}

/* Copies the frame from @skip on to @offset of the slot. */
static void frame_copy(const struct switch_frame *frame, uint32_t skip, const struct io_segment *to,
                       uint32_t to_count, uint32_t offset)
{
	for (uint32_t i = 0; i < frame->segment_count; i++) {
		const struct io_segment *from = &frame->segments[i];

		if (skip >= from->len_bytes) {
			skip -= from->len_bytes;
			continue;
		}
		(void)io_copy_in(to, to_count, offset, from->bytes + skip, from->len_bytes - skip);
		offset += from->len_bytes - skip;
		skip = 0;
	}
}

/* Header and frame into the slot, and the packet into the ring. False: no room. */
static bool frame_put(struct netvsp *net, uint32_t slot, const struct switch_frame *frame,
                      const struct rndis_receive *receive, const uint8_t head[HEAD_BYTES])
{
	struct vmtransfer_page_range range = {
	        .byte_count = rndis_packet_bytes(receive->data_bytes),
	        .byte_offset = slot * net->slot_bytes,
	};
	uint8_t header[RNDIS_RECEIVE_OFFSET];
	struct io_segment to[NETVSP_SLOT_PAGES];
	uint32_t count = slot_segments(net, slot, range.byte_count, to);
	uint32_t tag_bytes = receive->tagged ? TAG_BYTES : 0;

	if (count == 0) {
		return false;
	}
	(void)io_copy_in(to, count, 0, header, rndis_build_packet(receive, header));
	(void)io_copy_in(to, count, RNDIS_RECEIVE_OFFSET, head, MAC_BYTES);
	frame_copy(frame, MAC_BYTES + tag_bytes, to, count, RNDIS_RECEIVE_OFFSET + MAC_BYTES);
	return slot_send(net, slot_transaction(slot), &range, NVSP_RMC_DATA);
}

/* A tag that stays in the frame comes on top of the MTU. */
static bool frame_fits(const struct netvsp *net, const struct rndis_receive *receive,
                       const uint8_t head[HEAD_BYTES])
{
	bool tag_inside = !receive->tagged && load16(head + MAC_BYTES) == ETHERTYPE_VLAN;

	return receive->data_bytes <= net->rndis.mtu_bytes + (tag_inside ? TAG_BYTES : 0);
}

/* Lock held. */
static bool frame_receive(struct netvsp *net, const struct switch_frame *frame,
                          const struct rndis_receive *receive, const uint8_t head[HEAD_BYTES])
{
	uint32_t slot = NETVSP_SLOT_NONE;
	bool sent = false;

	if (frame_fits(net, receive, head) && net->output_count == 0) {
		slot = slot_take(net);
	}
	if (slot != NETVSP_SLOT_NONE) {
		sent = frame_put(net, slot, frame, receive, head);
		if (!sent) {
			slot_give(net, slot);
		}
	}
	if (sent) {
		net->rndis.counts.received_frames++;
		net->rndis.counts.received_bytes += receive->data_bytes;
	} else {
		net->rndis.counts.dropped_frames++;
	}
	return sent;
}

static bool netvsp_deliver(void *device, const struct switch_frame *frame)
{
	struct netvsp *net = device;
	uint8_t head[HEAD_BYTES] = {0};
	struct rndis_receive receive;
	bool taken = true; /* what the filter keeps out is not dropped for want of room */

	(void)io_copy_out(frame->segments, frame->segment_count, 0, head, sizeof(head));
	spin_lock(&net->lock);
	if (rndis_accepts(&net->rndis, head)) {
		receive = frame_describe(net, frame, head);
		taken = frame_receive(net, frame, &receive, head);
	}
	spin_unlock(&net->lock);
	return taken;
}

const struct switch_port_ops netvsp_port_ops = {.deliver = netvsp_deliver};
