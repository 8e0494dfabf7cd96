/*
 * netvsp_tx.c - frames from the guest: found in its send buffer or its own pages, given to the
 * switch in place.
 *
 * NVSP 1, RNDIS packet: the message is the used part of a send section, then all ranges, end to
 * end. A section may hold several PACKET messages. Only headers are copied; the frame's bytes go
 * from the guest's pages into the receiver's. A frame in more pieces than the switch takes has its
 * first ones put together.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "vmbus/netvsp.h"

#define MAC_BYTES 12u
#define TAG_BYTES 4u
#define ETHERTYPE_VLAN 0x8100u
#define ETHER_BYTES 14u
#define PADDING_BYTES 8u /* what is shorter at the end is no message */

/* ------------------------------------------------------------------ the packet's bytes */

/* The segments of the send section. False: there is none such. */
static bool section_open(struct netvsp *net, const struct nvsp_1_send_rndis_pkt *raw,
                         struct netvsp_message_in *message)
{
	uint64_t offset = (uint64_t)raw->send_buf_section_index * NETVSP_SECTION_BYTES;

	if (raw->send_buf_section_index == NVSP_INVALID_SECTION_INDEX) {
		return true;
	}
	if (raw->send_buf_section_index >= net->section_count ||
	    raw->send_buf_section_size > NETVSP_SECTION_BYTES) {
		return false;
	}
	if (raw->send_buf_section_size == 0) {
		return true;
	}
	message->segment_count = vmbus_gpadl_segments(net->send_buffer, offset, raw->send_buf_section_size,
	                                              net->segments, NETVSP_SECTION_PAGES);
	message->bytes = raw->send_buf_section_size;
	return message->segment_count != 0;
}

uint32_t netvsp_open_message(struct netvsp *net, const struct vmbus_packet *packet,
                             const struct nvsp_1_send_rndis_pkt *raw, struct netvsp_message_in *message)
{
	*message = (struct netvsp_message_in){0};
	if (!section_open(net, raw, message)) {
		return NVSP_STAT_FAIL;
	}
	if (packet->range_bytes > NETVSP_SEND_BYTES_MAX - message->bytes) {
		return NVSP_STAT_INVALID_RNDIS_PKT;
	}
	if (packet->range_count != 0) {
		if (vmbus_packet_pin(net->channel, packet, net->segments + message->segment_count, net->pages,
		                     NETVSP_PIN_MAX, &message->pin_count) != VMBUS_PIN_OK) {
			return NVSP_STAT_FAIL;
		}
		message->segment_count += message->pin_count;
		message->bytes += packet->range_bytes;
	}
	return NVSP_STAT_SUCCESS;
}

void netvsp_close_message(struct netvsp *net, const struct netvsp_message_in *message)
{
	vmbus_pages_unpin(net->channel, net->pages, message->pin_count);
}

/* ------------------------------------------------------------------ one frame */

/*
 * Appends [@offset, @offset + @len) of the message to the @count segments of the frame. Returns the
 * new count.
 */
static uint32_t slice(struct netvsp *net, const struct netvsp_message_in *message, uint32_t offset,
                      uint32_t len, uint32_t count)
{
	for (uint32_t i = 0; i < message->segment_count && len != 0; i++) {
		uint32_t here = net->segments[i].len_bytes;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here = here - offset < len ? here - offset : len;
		net->frame_segments[count++] =
		        (struct io_segment){.bytes = net->segments[i].bytes + offset, .len_bytes = here};
		len -= here;
		offset = 0;
	}
	return count;
}

/*
 * At most as many segments as the switch takes: the first ones are copied together if there are
 * more.
 */
static uint32_t gather(struct netvsp *net, uint32_t count)
{
	struct io_segment *segments = net->frame_segments;
	uint32_t over = count - (SWITCH_SEGMENT_MAX - 1);
	uint32_t done = 0;

	if (count <= SWITCH_SEGMENT_MAX) {
		return count;
	}
	for (uint32_t i = 0; i < over; i++) {
		memcpy(net->bounce + done, segments[i].bytes, segments[i].len_bytes);
		done += segments[i].len_bytes;
	}
	segments[0] = (struct io_segment){.bytes = net->bounce, .len_bytes = done};
	memmove(segments + 1, segments + over, (count - over) * sizeof(segments[0]));
	return SWITCH_SEGMENT_MAX;
}

/* The tag goes behind the addresses: these 16 bytes are ours, the rest is the guest's. */
static uint32_t slice_tagged(struct netvsp *net, const struct netvsp_message_in *message,
                             const struct rndis_send *send, uint8_t head[MAC_BYTES + TAG_BYTES])
{
	(void)io_copy_out(net->segments, message->segment_count, send->data_offset, head, MAC_BYTES);
	head[MAC_BYTES] = ETHERTYPE_VLAN >> 8;
	head[MAC_BYTES + 1] = ETHERTYPE_VLAN & 0xFF;
	head[MAC_BYTES + 2] = (uint8_t)(send->tag >> 8);
	head[MAC_BYTES + 3] = (uint8_t)send->tag;
	net->frame_segments[0] = (struct io_segment){.bytes = head, .len_bytes = MAC_BYTES + TAG_BYTES};
	return slice(net, message, send->data_offset + MAC_BYTES, send->data_bytes - MAC_BYTES, 1);
}

/* @send was checked against the message. False: no frame is that short or long. */
static bool frame_send(struct netvsp *net, const struct netvsp_message_in *message,
                       const struct rndis_send *send)
{
	uint8_t head[MAC_BYTES + TAG_BYTES];
	struct switch_frame frame = {
	        .segments = net->frame_segments,
	        .len_bytes = send->data_bytes + (send->tagged ? TAG_BYTES : 0),
	        .checksum_blank = send->checksum_blank || send->segment_bytes != 0,
	        .segment_bytes = send->segment_bytes,
	};

	if (send->data_bytes < ETHER_BYTES || send->data_bytes > SWITCH_FRAME_BYTES_MAX - TAG_BYTES) {
		return false;
	}
	frame.segment_count = send->tagged ? slice_tagged(net, message, send, head)
	                                   : slice(net, message, send->data_offset, send->data_bytes, 0);
	frame.segment_count = gather(net, frame.segment_count);
	net->rndis.counts.sent_frames++;
	net->rndis.counts.sent_bytes += frame.len_bytes;
	switch_send(net->port, &frame);
	return true;
}

/* The PACKET message at @offset. Its length, or 0 if it is wrong. */
static uint32_t packet_send(struct netvsp *net, const struct netvsp_message_in *message, uint32_t offset)
{
	uint8_t head[RNDIS_HEAD_BYTES];
	uint32_t left = message->bytes - offset;
	uint32_t head_bytes = left < sizeof(head) ? left : (uint32_t)sizeof(head);
	struct rndis_send send;
	uint32_t bytes;

	(void)io_copy_out(net->segments, message->segment_count, offset, head, head_bytes);
	if (!rndis_parse_packet(head, head_bytes, left, &send, &bytes)) {
		return 0;
	}
	send.data_offset += offset;
	return frame_send(net, message, &send) ? bytes : 0;
}

uint32_t netvsp_send_frames(struct netvsp *net, const struct netvsp_message_in *message)
{
	uint32_t offset = 0;

	if (!net->rndis.operational || !net->connected) {
		return NVSP_STAT_FAIL;
	}
	for (uint32_t i = 0; i < RNDIS_SEND_PACKETS && message->bytes - offset >= PADDING_BYTES; i++) {
		uint32_t bytes = packet_send(net, message, offset);

		vm_count(net->vm, SPEC_RNDIS, RNDIS_ROW_PACKET, bytes == 0);
		if (bytes == 0) {
			net->rndis.counts.send_errors++;
			return NVSP_STAT_INVALID_RNDIS_PKT;
		}
		offset += bytes;
	}
	return offset != 0 && message->bytes - offset < PADDING_BYTES ? NVSP_STAT_SUCCESS
	                                                              : NVSP_STAT_INVALID_RNDIS_PKT;
}
