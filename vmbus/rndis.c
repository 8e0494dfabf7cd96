/*
 * rndis.c - Remote NDIS PACKET messages: what a guest asks for a frame, and what we say of one.
 *
 * Remote NDIS specification, data channel messages; NDIS, per-packet information. Offsets in the
 * message are relative to its data-offset field, 8 bytes behind its start.
 *
 * What the headers of a frame hold under an offload: for a checksum both Windows and Linux put the
 * pseudo-header's sum, length included, where the checksum goes. For a large send that sum is
 * without the length, and the IP length is 0. The switch (backend/switch.h) computes both fields
 * itself for every frame that carries such a mark, from the frame's own length, so neither is
 * converted here: what the guest left there is not looked at.
 */
#include "vmbus/rndis.h"

#include "abi/vmbus.h"
#include "base/bits.h"
#include "base/mem.h"

#define OFFSET_BASE ((uint32_t)sizeof(struct rndis_message_header))
#define INFO_MAX 16u /* per-packet-info entries looked at */

struct packet {
	struct rndis_message_header header;
	struct rndis_packet body;
} PACKED;

/* One entry of per-packet info with a value of 4 bytes, as all of ours. */
struct info {
	struct rndis_per_packet_info header;
	uint32_t value;
} PACKED;

/* Between the forms of a tag: per-packet info has the priority lowest, the wire has it highest. */
static uint16_t tag_from_info(uint32_t value)
{
	return (uint16_t)((value & 7) << 13 | (value & 8) << 9 | (value >> 4 & 0xFFF));
}

static uint32_t tag_to_info(uint16_t tag)
{
	return (uint32_t)tag >> 13 | (tag >> 9 & 8u) | (tag & 0xFFFu) << 4;
}

/* ------------------------------------------------------------------ from the guest */

static bool info_apply(struct rndis_send *send, uint32_t type, uint32_t value)
{
	switch (type) {
	case RNDIS_PPI_TCPIP_CHECKSUM:
		send->checksum_blank |= (value & (RNDIS_CHECKSUM_TX_TCP | RNDIS_CHECKSUM_TX_UDP)) != 0;
		return true;
	case RNDIS_PPI_TCP_LARGESEND:
		send->segment_bytes = (uint16_t)(value & RNDIS_LSO_MSS_MASK);
		return (value & RNDIS_LSO_V2) != 0 && (value & RNDIS_LSO_MSS_MASK) != 0 &&
		       (value & RNDIS_LSO_MSS_MASK) <= UINT16_MAX;
	case RNDIS_PPI_IEEE_8021Q:
		send->tagged = true;
		send->tag = tag_from_info(value);
		return true;
	default:
		return true; /* hashes and what the future brings */
	}
}

/* One entry at @at of @left bytes. Its size, or 0 if it is wrong. */
static uint32_t info_parse(struct rndis_send *send, const uint8_t *at, uint32_t left)
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
		return info.header.size; /* none that we know */
	}
	memcpy(&info.value, at + info.header.ppi_offset, sizeof(info.value));
	return info_apply(send, info.header.type, info.value) ? info.header.size : 0;
}

static bool infos_parse(struct rndis_send *send, const uint8_t *at, uint32_t left)
{
	for (uint32_t i = 0; i < INFO_MAX && left != 0; i++) {
		uint32_t size = info_parse(send, at, left);

		if (size == 0) {
			return false;
		}
		at += size;
		left -= size;
	}
	return left == 0;
}

bool rndis_parse_packet(const uint8_t *head, uint32_t head_bytes, uint32_t room_bytes,
                        struct rndis_send *send, uint32_t *message_bytes)
{
	struct packet raw;
	uint32_t body_bytes;

	*send = (struct rndis_send){0};
	if (head_bytes < sizeof(raw)) {
		return false;
	}
	memcpy(&raw, head, sizeof(raw));
	if (raw.header.ndis_msg_type != RNDIS_MSG_PACKET || raw.header.msg_len < sizeof(raw) ||
	    raw.header.msg_len > room_bytes) {
		return false;
	}
	body_bytes = raw.header.msg_len - OFFSET_BASE;
	if (!range_fits(raw.body.data_offset, raw.body.data_len, body_bytes)) {
		return false;
	}
	*message_bytes = raw.header.msg_len;
	send->data_offset = OFFSET_BASE + raw.body.data_offset;
	send->data_bytes = raw.body.data_len;
	if (raw.body.per_pkt_info_len == 0) {
		return true;
	}
	body_bytes = (raw.header.msg_len < head_bytes ? raw.header.msg_len : head_bytes) - OFFSET_BASE;
	return range_fits(raw.body.per_pkt_info_offset, raw.body.per_pkt_info_len, body_bytes) &&
	       infos_parse(send, head + OFFSET_BASE + raw.body.per_pkt_info_offset,
	                   raw.body.per_pkt_info_len);
}

/* ------------------------------------------------------------------ to the guest */

static void info_add(struct packet *packet, uint8_t *header, uint32_t type, uint32_t value)
{
	struct info info = {
	        .header = {.size = sizeof(info), .type = type, .ppi_offset = sizeof(info.header)},
	        .value = value,
	};

	memcpy(header + sizeof(*packet) + packet->body.per_pkt_info_len, &info, sizeof(info));
	packet->body.per_pkt_info_len += (uint32_t)sizeof(info);
}

uint32_t rndis_build_packet(const struct rndis_receive *receive, uint8_t header[RNDIS_RECEIVE_OFFSET])
{
	struct packet packet = {
	        .header = {RNDIS_MSG_PACKET, rndis_packet_bytes(receive->data_bytes)},
	        .body = {.data_offset = RNDIS_RECEIVE_OFFSET - OFFSET_BASE, .data_len = receive->data_bytes},
	};

	if (receive->checksum != 0) {
		info_add(&packet, header, RNDIS_PPI_TCPIP_CHECKSUM, receive->checksum);
	}
	if (receive->tagged) {
		info_add(&packet, header, RNDIS_PPI_IEEE_8021Q, tag_to_info(receive->tag));
	}
	if (packet.body.per_pkt_info_len != 0) {
		packet.body.per_pkt_info_offset = sizeof(packet.body);
	}
	memcpy(header, &packet, sizeof(packet));
	return (uint32_t)sizeof(packet) + packet.body.per_pkt_info_len;
}
