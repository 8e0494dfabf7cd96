/*
 * rndis.h - Remote NDIS, the language in which a Hyper-V network device speaks of frames and of
 * itself.
 *
 * Pure: bytes in, bytes out; no guest, no locks, no memory of its own. Every function works on a
 * copy of the guest's message that nobody changes meanwhile. Messages and objects (OIDs) stand in
 * specs/rndis.def.
 */
#ifndef VMBUS_RNDIS_H
#define VMBUS_RNDIS_H

#include "base/compiler.h"

#define RNDIS_HEAD_BYTES 512u /* of a PACKET message: its header and per-packet-info lie in here */
#define RNDIS_CONTROL_BYTES 2048u /* of a control message that we look at */
#define RNDIS_REPLY_BYTES 640u /* no reply is longer */
#define RNDIS_RECEIVE_OFFSET 128u /* the frame's place in a PACKET that we build */
#define RNDIS_SEND_PACKETS 8u /* PACKET messages back to back in one send */
#define RNDIS_SLOT_HEADER_BYTES 256u
#define RNDIS_SLOT_FOOTER_BYTES 36u

#define RNDIS_MTU_MIN 1514u /* with the Ethernet header */
#define RNDIS_MTU_MAX 9216u
#define RNDIS_LSO_BYTES_MAX 62780u

/* ------------------------------------------------------------------ frames */

/* What a PACKET message asks for: all checked against the message's length. */
struct rndis_send {
	uint32_t data_offset; /* from the message's start */
	uint32_t data_bytes;
	bool checksum_blank;
	uint16_t segment_bytes; /* large send: TCP payload a segment. 0: none */
	bool tagged; /* an 802.1Q tag is to be put in */
	uint16_t tag; /* as on the wire: priority 15:13, DEI 12, VLAN 11:0 */
};

/*
 * @head holds the first @head_bytes (message_bytes, RNDIS_HEAD_BYTES at most) of a message that may
 * be as long as @room_bytes. Gives the message's own length in @message_bytes. False: it is no
 * PACKET, or a length or offset in it is wrong.
 */
MUST_CHECK bool rndis_parse_packet(const uint8_t *head, uint32_t head_bytes, uint32_t room_bytes,
                                   struct rndis_send *send, uint32_t *message_bytes);

/*
 * Of the checksum's info, beside RNDIS_CHECKSUM_RX_*: the field does not hold the checksum that was
 * found good.
 */
#define RNDIS_RX_TCP_VALUE_INVALID 0x80u

struct rndis_receive {
	uint32_t data_bytes;
	uint32_t checksum; /* RNDIS_CHECKSUM_RX_*; 0: nothing is known */
	bool tagged; /* a tag was taken out */
	uint16_t tag;
};

/*
 * The header of a PACKET whose frame stands at RNDIS_RECEIVE_OFFSET. Returns the bytes of @header
 * used.
 */
uint32_t rndis_build_packet(const struct rndis_receive *receive, uint8_t header[RNDIS_RECEIVE_OFFSET]);
static inline uint32_t rndis_packet_bytes(uint32_t data_bytes)
{
	return RNDIS_RECEIVE_OFFSET + data_bytes;
}

/* ------------------------------------------------------------------ control */

enum rndis_offload {
	RNDIS_TX_TCP4 = 0x001,
	RNDIS_TX_UDP4 = 0x002,
	RNDIS_TX_TCP6 = 0x004,
	RNDIS_TX_UDP6 = 0x008,
	RNDIS_RX_TCP4 = 0x010,
	RNDIS_RX_UDP4 = 0x020,
	RNDIS_RX_TCP6 = 0x040,
	RNDIS_RX_UDP6 = 0x080,
	RNDIS_LSO4 = 0x100,
	RNDIS_LSO6 = 0x200,
	RNDIS_OFFLOADS = 0x3FF,
};

struct rndis_counts {
	uint64_t sent_frames, sent_bytes, send_errors;
	uint64_t received_frames, received_bytes, dropped_frames;
};

/* What one network device is, in this language. The owner has a lock around it. */
struct rndis {
	bool operational; /* between INITIALIZE and HALT */
	bool offloads_changed; /* an indication of the offloads is due */
	uint8_t offload_revision; /* of NDIS_OFFLOAD that the guest's version knows: 1 to 3 */
	uint8_t mac[6];
	uint8_t permanent_mac[6];
	uint32_t mtu_bytes; /* with the Ethernet header */
	uint32_t filter; /* NDIS_PACKET_TYPE_* */
	uint32_t offloads; /* enum rndis_offload */
	struct rndis_counts counts;
};

void rndis_init(struct rndis *rndis, const uint8_t mac[6]);

struct rndis_answer {
	bool valid; /* false: not a message that can be answered */
	uint32_t reply_bytes; /* 0: there is no reply to this one */
	uint32_t row; /* in specs/rndis.def, or SPEC_UNKNOWN */
	bool refused;
	bool has_object; /* it was about an object: */
	uint32_t object_row;
};

/*
 * One control message of @bytes (what exceeds RNDIS_CONTROL_BYTES may be left out); the answer goes to
 * @reply, which holds RNDIS_REPLY_BYTES.
 */
void rndis_control(struct rndis *rndis, const uint8_t *message, uint32_t bytes, uint8_t *reply,
                   struct rndis_answer *answer);

/* INDICATE_STATUS with the offloads in force. Returns its length. */
uint32_t rndis_build_offload_status(const struct rndis *rndis, uint8_t *reply);

/* True if the filter and the address let a frame to @destination in. */
bool rndis_accepts(const struct rndis *rndis, const uint8_t destination[6]);

/* The row of PACKET in specs/rndis.def. */
#define RNDIS_ROW_PACKET 0u

#endif /* VMBUS_RNDIS_H */
