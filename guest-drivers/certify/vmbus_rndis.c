/*
 * vmbus_rndis.c - probes of specs/rndis.def: the messages; the objects' bodies are in vmbus_rndis_object.c, _set.c and
 * _count.c.
 *
 * Remote NDIS specification, control and data messages. A message that is shorter than its type needs has no reply, for
 * there is nothing in it to reply to.
 */
#include "guest-drivers/certify/vmbus_card.h"

#define OFFSET_BASE ((uint32_t)sizeof(struct rndis_message_header))
#define PERMANENT_ADDRESS 0x01010101u
#define PACKET_FILTER 0x0001010Eu
#define UNKNOWN_OBJECT 0x0001FFFFu
#define MESSAGE_SET_EX 9u
#define ALL_FILTERS (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST)

/* Any message: head, request's id, and more. */
struct message {
	struct rndis_message_header header;
	uint32_t words[8];
} PACKED;

static struct message message_of(uint32_t type, uint32_t bytes)
{
	return (struct message){.header = {type, bytes}, .words = {0xABCD}};
}

/* The reply's second word, which is the status of most; CARD_NO_REPLY. */
static uint32_t ask(struct card *card, struct message *message, uint32_t bytes)
{
	uint32_t status;

	if (!hv_netvsc_ask(&card->net, message, bytes)) {
		return CARD_NO_REPLY;
	}
	memcpy(&status, card->net.control + OFFSET_BASE + 4, sizeof(status));
	return status;
}

/* Nothing that is too short, or says that it is longer than it is, is answered. */
static void check_lengths(struct probe *p, struct card *card, uint32_t needs)
{
	struct message message = message_of((uint32_t)p->row->number, needs - 4);

	card_check_silent(p, card, &message, needs - 4, "a message that is too short");
	message.header.msg_len = 4096;
	card_check_silent(p, card, &message, needs, "a message longer than its bytes");
	message.header.msg_len = 0;
	card_check_silent(p, card, &message, needs, "a message of length 0");
}

static bool is_up(struct probe *p, struct card *card)
{
	return card_query(p, card, PERMANENT_ADDRESS, NULL, 0) == RNDIS_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ INITIALIZE, HALT, RESET, KEEPALIVE */

static uint32_t initialize(struct card *card, uint32_t major)
{
	struct message message = message_of(RNDIS_MSG_INIT, 0);

	message.words[1] = major;
	message.words[3] = 0x4000;
	return ask(card, &message, OFFSET_BASE + 16);
}

static void body_initialize(struct probe *p, struct card *card)
{
	const uint32_t all = ALL_FILTERS;
	struct rndis_initialize_complete reply;

	if (!probe_equal(p, initialize(card, RNDIS_MAJOR_VERSION), RNDIS_STATUS_SUCCESS, "status") ||
	    !probe_check(p, card->net.control_bytes >= OFFSET_BASE + sizeof(reply), "a reply of %u bytes",
	                 card->net.control_bytes)) {
		return;
	}
	memcpy(&reply, card->net.control + OFFSET_BASE, sizeof(reply));
	(void)probe_check(p, reply.major_ver == RNDIS_MAJOR_VERSION && reply.minor_ver == 0, "version %u.%u",
	                  reply.major_ver, reply.minor_ver);
	(void)probe_equal(p, reply.dev_flags & RNDIS_DF_CONNECTIONLESS, RNDIS_DF_CONNECTIONLESS, "flags");
	(void)probe_equal(p, reply.medium, RNDIS_MEDIUM_802_3, "medium");
	(void)probe_check(p, reply.max_pkt_per_msg != 0 && reply.pkt_alignment_factor <= 7,
	                  "%u packets a message, aligned to 2^%u", reply.max_pkt_per_msg,
	                  reply.pkt_alignment_factor);
	(void)probe_check(p, reply.max_xfer_size >= 0x4000, "%u bytes a message", reply.max_xfer_size);
	probe_note(p, "%u packets a message, aligned to 2^%u", reply.max_pkt_per_msg,
	           reply.pkt_alignment_factor);
	(void)probe_check(p, initialize(card, 2) != RNDIS_STATUS_SUCCESS, "version 2.0 is taken");
	(void)probe_check(p, is_up(p, card), "after a wrong version nothing works");
	check_lengths(p, card, OFFSET_BASE + 16);
	(void)probe_equal(p, card_set(card, PACKET_FILTER, &all, 4), RNDIS_STATUS_SUCCESS,
	                  "status of the filter");
}

/* It has no reply. Behind it nothing is answered with success, until INITIALIZE, which starts with filter 0. */
static void body_halt(struct probe *p, struct card *card)
{
	struct message message = message_of(RNDIS_MSG_HALT, OFFSET_BASE + 4);
	const uint32_t filter = NDIS_PACKET_TYPE_DIRECTED;
	uint32_t status;

	card_check_silent(p, card, &message, OFFSET_BASE + 4, "HALT");
	status = card_query(p, card, PERMANENT_ADDRESS, NULL, 0);
	(void)probe_check(p, status != RNDIS_STATUS_SUCCESS, "an object can be queried after HALT");
	status = card_set(card, PACKET_FILTER, &filter, 4);
	(void)probe_check(p, status != RNDIS_STATUS_SUCCESS, "an object can be set after HALT");
	(void)probe_equal(p, initialize(card, RNDIS_MAJOR_VERSION), RNDIS_STATUS_SUCCESS,
	                  "status of INITIALIZE after HALT");
	(void)probe_check(p, is_up(p, card), "after INITIALIZE nothing works");
	(void)probe_equal(p, card_query(p, card, PACKET_FILTER, NULL, 0), RNDIS_STATUS_SUCCESS,
	                  "status of the filter");
	(void)probe_equal(p, card_value32(card), 0, "the filter after INITIALIZE");
}

/* Its reply has the status where others have the id, then whether the filter has to be set again. */
static void body_reset(struct probe *p, struct card *card)
{
	struct message message = message_of(RNDIS_MSG_RESET, OFFSET_BASE + 4);
	uint32_t addressing = ask(card, &message, OFFSET_BASE + 4);

	if (!probe_check(p, addressing != CARD_NO_REPLY, "no reply with status 0")) {
		return;
	}
	(void)probe_check(p, addressing <= 1, "addressing 0x%x", addressing);
	(void)probe_check(p, is_up(p, card), "after it nothing works");
	if (addressing == 0) {
		(void)card_query(p, card, PACKET_FILTER, NULL, 0);
		(void)probe_equal(p, card_value32(card), ALL_FILTERS,
		                  "the filter, which has not to be set again");
	}
}

static void body_keepalive(struct probe *p, struct card *card)
{
	struct message message = message_of(RNDIS_MSG_KEEPALIVE, 0);

	for (uint32_t i = 0; i < 40; i++) {
		if (!probe_equal(p, ask(card, &message, OFFSET_BASE + 4), RNDIS_STATUS_SUCCESS, "status")) {
			return;
		}
	}
	check_lengths(p, card, OFFSET_BASE + 4);
	message.header.ndis_msg_type = 0x77;
	message.header.msg_len = sizeof(message);
	card_check_silent(p, card, &message, sizeof(message), "a message of an unknown type");
}

/* ------------------------------------------------------------------ QUERY, SET */

static void body_query(struct probe *p, struct card *card)
{
	static const uint8_t input[64];

	(void)probe_equal(p, card_query(p, card, UNKNOWN_OBJECT, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of an unknown object");
	(void)probe_equal(p, card_query(p, card, UNKNOWN_OBJECT, input, sizeof(input)),
	                  RNDIS_STATUS_NOT_SUPPORTED, "status of an unknown object with input");
	(void)probe_equal(p, card_query(p, card, 0, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of object 0");
	(void)probe_equal(p, card_query(p, card, RNDIS_MSG_QUERY, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of object 4");
	(void)probe_equal(p, card_query(p, card, UINT32_MAX, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of object 4294967295");
	check_lengths(p, card, OFFSET_BASE + sizeof(struct rndis_query_request));
	(void)probe_check(p, is_up(p, card) && card->value_bytes == 6, "after that nothing works");
}

static void body_set(struct probe *p, struct card *card)
{
	static const uint8_t value[64];
	const uint32_t filter = NDIS_PACKET_TYPE_DIRECTED;

	(void)probe_equal(p, card_set(card, UNKNOWN_OBJECT, value, 4), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of an unknown object");
	(void)probe_equal(p, card_set(card, UNKNOWN_OBJECT, value, 0), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of an unknown object without a value");
	(void)probe_equal(p, card_set(card, 0, value, 4), RNDIS_STATUS_NOT_SUPPORTED, "status of object 0");
	(void)probe_equal(p, card_set(card, PERMANENT_ADDRESS, value, 6), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of an object that is only read");
	check_lengths(p, card, OFFSET_BASE + sizeof(struct rndis_query_request));
	(void)probe_equal(p, card_set(card, PACKET_FILTER, &filter, 4), RNDIS_STATUS_SUCCESS,
	                  "status of the filter");
	(void)card_query(p, card, PACKET_FILTER, NULL, 0);
	(void)probe_equal(p, card_value32(card), filter, "the filter that was set");
}

/* Refused in the form of QUERY's reply. */
static void body_set_ex(struct probe *p, struct card *card)
{
	struct message message = message_of(MESSAGE_SET_EX, 0);
	uint32_t status = ask(card, &message, OFFSET_BASE + 24);

	probe_offer(p, false);
	(void)probe_equal(p, status, RNDIS_STATUS_NOT_SUPPORTED, "status");
	(void)probe_check(p, is_up(p, card), "after it nothing works");
}

/* ------------------------------------------------------------------ PACKET */

static void body_packet(struct probe *p, struct card *card)
{
	static const uint32_t sizes[] = {60, 61, 64, 999, 1500, CARD_FRAME_BYTES};
	struct message message = message_of(RNDIS_MSG_PACKET, sizeof(message));

	card_check_silent(p, card, &message, sizeof(message), "PACKET as a control message");
	for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		(void)card_send(p, card, sizes[i]);
	}
	for (uint32_t i = 0; i < p->c->guest->poll_max && card->net.used_count != 0; i++) {
		hv_poll(card->net.channel.hv);
	}
	(void)probe_equal(p, card->net.used_count, 0, "frames that are not completed");
	(void)probe_equal(p, card->net.send_error_count, 0, "frames that are refused");
	if (!card_has_peer(p, card)) {
		return;
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		if (card_send(p, card, sizes[i]) &&
		    probe_check(p, card_echoed(card), "a frame of %u bytes does not come back", sizes[i])) {
			(void)probe_equal(p, card->echo_len, sizes[i], "bytes of the frame that came back");
			(void)probe_check(p, memcmp(card->echo, card->net.mac, 6) == 0,
			                  "it is to somebody else");
		}
	}
	(void)probe_equal(p, card->net.receive_error_count, 0, "wrong messages from the host");
}

/* ------------------------------------------------------------------ rows */

#define CARD_PROBE(name, body)                    \
	static void probe_##name(struct probe *p) \
	{                                         \
		card_probe(p, body);              \
	}

CARD_PROBE(PACKET, body_packet)
CARD_PROBE(INITIALIZE, body_initialize)
CARD_PROBE(HALT, body_halt)
CARD_PROBE(QUERY, body_query)
CARD_PROBE(SET, body_set)
CARD_PROBE(RESET, body_reset)
CARD_PROBE(KEEPALIVE, body_keepalive)
CARD_PROBE(SET_EX, body_set_ex)
CARD_PROBE(OID_GEN_SUPPORTED_LIST, card_body_supported_list)
CARD_PROBE(OID_GEN_HARDWARE_STATUS, card_body_zero)
CARD_PROBE(OID_GEN_MEDIA_SUPPORTED, card_body_zero)
CARD_PROBE(OID_GEN_MEDIA_IN_USE, card_body_zero)
CARD_PROBE(OID_GEN_MAXIMUM_LOOKAHEAD, card_body_number)
CARD_PROBE(OID_GEN_MAXIMUM_FRAME_SIZE, card_body_frame_size)
CARD_PROBE(OID_GEN_LINK_SPEED, card_body_link_speed)
CARD_PROBE(OID_GEN_TRANSMIT_BUFFER_SPACE, card_body_number)
CARD_PROBE(OID_GEN_RECEIVE_BUFFER_SPACE, card_body_number)
CARD_PROBE(OID_GEN_TRANSMIT_BLOCK_SIZE, card_body_number)
CARD_PROBE(OID_GEN_RECEIVE_BLOCK_SIZE, card_body_number)
CARD_PROBE(OID_GEN_VENDOR_ID, card_body_vendor_id)
CARD_PROBE(OID_GEN_VENDOR_DESCRIPTION, card_body_vendor_description)
CARD_PROBE(OID_GEN_CURRENT_PACKET_FILTER, card_body_filter)
CARD_PROBE(OID_GEN_CURRENT_LOOKAHEAD, card_body_lookahead)
CARD_PROBE(OID_GEN_DRIVER_VERSION, card_body_version)
CARD_PROBE(OID_GEN_MAXIMUM_TOTAL_SIZE, card_body_total_size)
CARD_PROBE(OID_GEN_PROTOCOL_OPTIONS, card_body_accept)
CARD_PROBE(OID_GEN_MAC_OPTIONS, card_body_number)
CARD_PROBE(OID_GEN_MEDIA_CONNECT_STATUS, card_body_zero)
CARD_PROBE(OID_GEN_MAXIMUM_SEND_PACKETS, card_body_number)
CARD_PROBE(OID_GEN_VENDOR_DRIVER_VERSION, card_body_version)
CARD_PROBE(OID_GEN_NETWORK_LAYER_ADDRESSES, card_body_accept)
CARD_PROBE(OID_GEN_RECEIVE_SCALE_CAPABILITIES, card_body_refused)
CARD_PROBE(OID_GEN_RECEIVE_SCALE_PARAMETERS, card_body_refused)
CARD_PROBE(OID_GEN_MAX_LINK_SPEED, card_body_max_link_speed)
CARD_PROBE(OID_GEN_LINK_STATE, card_body_link_state)
CARD_PROBE(OID_GEN_RNDIS_CONFIG_PARAMETER, card_body_config)
CARD_PROBE(OID_GEN_XMIT_OK, card_body_sent)
CARD_PROBE(OID_GEN_RCV_OK, card_body_received)
CARD_PROBE(OID_GEN_XMIT_ERROR, card_body_send_errors)
CARD_PROBE(OID_GEN_RCV_ERROR, card_body_zero)
CARD_PROBE(OID_GEN_RCV_NO_BUFFER, card_body_statistic)
CARD_PROBE(OID_GEN_FRIENDLY_NAME, card_body_friendly_name)
CARD_PROBE(OID_GEN_BYTES_RCV, card_body_received)
CARD_PROBE(OID_GEN_BYTES_XMIT, card_body_sent)
CARD_PROBE(OID_802_3_PERMANENT_ADDRESS, card_body_permanent_address)
CARD_PROBE(OID_802_3_CURRENT_ADDRESS, card_body_current_address)
CARD_PROBE(OID_802_3_MULTICAST_LIST, card_body_multicast_list)
CARD_PROBE(OID_802_3_MAXIMUM_LIST_SIZE, card_body_number)
CARD_PROBE(OID_OFFLOAD_ENCAPSULATION, card_body_encapsulation)
CARD_PROBE(OID_802_3_RCV_ERROR_ALIGNMENT, card_body_zero)
CARD_PROBE(OID_802_3_XMIT_ONE_COLLISION, card_body_zero)
CARD_PROBE(OID_802_3_XMIT_MORE_COLLISIONS, card_body_zero)
CARD_PROBE(OID_TCP_OFFLOAD_CURRENT_CONFIG, card_body_offload_current)
CARD_PROBE(OID_TCP_OFFLOAD_PARAMETERS, card_body_offload_parameters)
CARD_PROBE(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, card_body_offload_capabilities)

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/rndis.def"
};
ROW_TABLE(rndis, NEED_HYPERV)
