/*
 * vmbus_card.c - RNDIS to a network device that the driver has brought up. Contract: vmbus_card.h.
 *
 * Remote NDIS specification, control messages: offsets count from the request's id. A query that is refused has no bytes,
 * at offset 0: guests look at that, not at the status.
 */
#include "guest-drivers/certify/vmbus_card.h"

#define OFFSET_BASE ((uint32_t)sizeof(struct rndis_message_header))
#define INPUT_BYTES 512u
#define ECHO_US 2000000u
#define SETTLE_US 300000u
#define ETHER_BYTES 14u

static struct card the_card;
static struct certify *certify; /* whose time is waited */

enum peer {
	PEER_UNKNOWN,
	PEER_THERE,
	PEER_NONE,
};

static enum peer peer;

/* ------------------------------------------------------------------ objects */

struct object_message {
	struct rndis_message_header header;
	struct rndis_query_request body;
	uint8_t in[INPUT_BYTES];
} PACKED;

static struct object_message message_of(uint32_t type, uint32_t oid, const void *in, uint32_t bytes)
{
	struct object_message message = {
	        .header.ndis_msg_type = type,
	        .body = {.oid = oid, .info_buflen = bytes, .info_buf_offset = sizeof(message.body)},
	};

	if (bytes != 0) {
		memcpy(message.in, in, bytes < INPUT_BYTES ? bytes : INPUT_BYTES);
	}
	return message;
}

static uint32_t bytes_of(uint32_t in_bytes)
{
	return (uint32_t)offsetof(struct object_message, in) + in_bytes;
}

/* The answer to a query: in the message, or nothing. */
static uint32_t take_value(struct probe *p, struct card *card, uint32_t oid)
{
	uint32_t room = card->net.control_bytes - OFFSET_BASE;
	struct rndis_query_complete reply;

	if (!probe_check(p, card->net.control_bytes >= OFFSET_BASE + sizeof(reply),
	                 "object 0x%x: a reply of %u bytes", oid, card->net.control_bytes)) {
		return CARD_NO_REPLY;
	}
	memcpy(&reply, card->net.control + OFFSET_BASE, sizeof(reply));
	if (reply.status != RNDIS_STATUS_SUCCESS) {
		(void)probe_check(p, reply.info_buflen == 0 && reply.info_buf_offset == 0,
		                  "object 0x%x: refused, with %u bytes at %u", oid, reply.info_buflen,
		                  reply.info_buf_offset);
		return reply.status;
	}
	if (!probe_check(p,
	                 reply.info_buf_offset >= sizeof(reply) && reply.info_buf_offset <= room &&
	                         reply.info_buflen <= room - reply.info_buf_offset &&
	                         reply.info_buflen <= sizeof(card->value),
	                 "object 0x%x: %u bytes at %u of %u", oid, reply.info_buflen, reply.info_buf_offset,
	                 room)) {
		return CARD_NO_REPLY;
	}
	card->value_bytes = reply.info_buflen;
	memcpy(card->value, card->net.control + OFFSET_BASE + reply.info_buf_offset, reply.info_buflen);
	return reply.status;
}

uint32_t card_query(struct probe *p, struct card *card, uint32_t oid, const void *in, uint32_t bytes)
{
	struct object_message message = message_of(RNDIS_MSG_QUERY, oid, in, bytes);

	card->value_bytes = 0;
	memset(card->value, 0, sizeof(card->value));
	if (!probe_check(p, hv_netvsc_ask(&card->net, &message, bytes_of(bytes)), "object 0x%x: no reply",
	                 oid)) {
		return CARD_NO_REPLY;
	}
	return take_value(p, card, oid);
}

uint32_t card_set(struct card *card, uint32_t oid, const void *value, uint32_t bytes)
{
	struct object_message message = message_of(RNDIS_MSG_SET, oid, value, bytes);
	struct rndis_set_complete reply;

	if (!hv_netvsc_ask(&card->net, &message, bytes_of(bytes)) ||
	    card->net.control_bytes < OFFSET_BASE + sizeof(reply)) {
		return CARD_NO_REPLY;
	}
	memcpy(&reply, card->net.control + OFFSET_BASE, sizeof(reply));
	return reply.status;
}

/* Input that does not lie in the message. */
static void check_outside(struct probe *p, struct card *card, uint32_t type)
{
	static const struct {
		uint32_t bytes, offset;
	} wrong[] = {{8, 4096}, {4096, sizeof(struct rndis_query_request)}, {UINT32_MAX, 8}, {8, UINT32_MAX}};

	for (uint32_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		struct object_message message = message_of(type, (uint32_t)p->row->number, NULL, 0);
		uint32_t status = RNDIS_STATUS_SUCCESS;

		message.body.info_buflen = wrong[i].bytes;
		message.body.info_buf_offset = wrong[i].offset;
		if (hv_netvsc_ask(&card->net, &message, bytes_of(16))) {
			memcpy(&status, card->net.control + OFFSET_BASE + 4, sizeof(status));
			(void)probe_check(p, status != RNDIS_STATUS_SUCCESS,
			                  "input of %u bytes at %u, outside the message, is taken",
			                  wrong[i].bytes, wrong[i].offset);
		} else {
			(void)probe_check(p, false, "input outside the message: no reply");
		}
	}
}

bool card_check_query(struct probe *p, struct card *card, uint32_t min, uint32_t max)
{
	static const uint8_t zeros[INPUT_BYTES];
	uint32_t oid = (uint32_t)p->row->number;
	uint32_t status = card_query(p, card, oid, NULL, 0);
	uint32_t bytes = card->value_bytes;

	if (status == RNDIS_STATUS_NOT_SUPPORTED) {
		probe_offer(p, false);
		return false;
	}
	if (!probe_equal(p, status, RNDIS_STATUS_SUCCESS, "status") ||
	    !probe_check(p, bytes >= min && bytes <= max, "%u bytes, not %u to %u", bytes, min, max)) {
		return false;
	}
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t in = i == 0 ? 1 : i == 1 ? bytes % INPUT_BYTES : INPUT_BYTES;

		status = card_query(p, card, oid, zeros, in);
		(void)probe_check(p, status == RNDIS_STATUS_SUCCESS && card->value_bytes == bytes,
		                  "with %u bytes of input: status 0x%x, %u bytes", in, status,
		                  card->value_bytes);
	}
	check_outside(p, card, RNDIS_MSG_QUERY);
	return probe_equal(p, card_query(p, card, oid, NULL, 0), RNDIS_STATUS_SUCCESS, "status at last");
}

void card_check_read_only(struct probe *p, struct card *card)
{
	static const uint8_t value[64] = {1, 2, 3, 4};
	uint32_t oid = (uint32_t)p->row->number;

	(void)probe_equal(p, card_set(card, oid, value, 4), RNDIS_STATUS_NOT_SUPPORTED, "status of SET");
	(void)probe_equal(p, card_set(card, oid, value, 0), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of SET without a value");
	(void)probe_equal(p, card_set(card, oid, value, sizeof(value)), RNDIS_STATUS_NOT_SUPPORTED,
	                  "status of SET of 64 bytes");
}

void card_check_set_only(struct probe *p, struct card *card)
{
	uint32_t status = card_query(p, card, (uint32_t)p->row->number, NULL, 0);

	(void)probe_equal(p, status, RNDIS_STATUS_NOT_SUPPORTED, "status of QUERY");
	check_outside(p, card, RNDIS_MSG_SET);
}

void card_check_bad_set(struct probe *p, struct card *card, const void *value, uint32_t bytes,
                        const char *what)
{
	uint32_t status = card_set(card, (uint32_t)p->row->number, value, bytes);

	(void)probe_check(p, status != RNDIS_STATUS_SUCCESS && status != CARD_NO_REPLY, "%s: status 0x%x",
	                  what, status);
}

bool card_check_set(struct probe *p, struct card *card, const void *value, uint32_t bytes)
{
	uint32_t status = card_set(card, (uint32_t)p->row->number, value, bytes);

	return probe_check(p, status == RNDIS_STATUS_SUCCESS, "SET of %u bytes: status 0x%x", bytes, status);
}

uint32_t card_value32(const struct card *card)
{
	uint32_t value;

	memcpy(&value, card->value, sizeof(value));
	return value;
}

uint64_t card_value64(const struct card *card)
{
	uint64_t value;

	memcpy(&value, card->value, sizeof(value));
	return value;
}

uint32_t card_get32(struct probe *p, struct card *card, uint32_t oid)
{
	return card_query(p, card, oid, NULL, 0) == RNDIS_STATUS_SUCCESS ? card_value32(card) : 0;
}

void card_check_silent(struct probe *p, struct card *card, const void *message, uint32_t bytes,
                       const char *what)
{
	uint64_t strays = card->net.receive_error_count;

	(void)probe_check(p, hv_netvsc_tell(&card->net, message, bytes), "%s: no completion", what);
	(void)probe_check(p, hv_netvsc_keepalive(&card->net), "%s, and KEEPALIVE is not answered", what);
	(void)probe_check(p, card->net.receive_error_count == strays, "%s is answered", what);
}

/* ------------------------------------------------------------------ frames */

static void receive(void *context, const struct hv_net_frame *frame)
{
	struct card *card = context;

	if (frame->len > sizeof(card->echo) || frame->len < ETHER_BYTES ||
	    frame->bytes[12] != CERTIFY_ETHERTYPE >> 8 || frame->bytes[13] != (CERTIFY_ETHERTYPE & 0xFF)) {
		return;
	}
	card->echo_count++;
	card->echo_len = frame->len;
	memcpy(card->echo, frame->bytes, frame->len);
}

/* To everybody, with a payload of its own each time. */
bool card_send(struct probe *p, struct card *card, uint32_t len)
{
	static uint32_t serial;
	const struct hv_net_frame frame = {.bytes = card->frame, .len = len};

	memset(card->frame, 0xFF, 6);
	memcpy(card->frame + 6, card->net.mac, 6);
	card->frame[12] = CERTIFY_ETHERTYPE >> 8;
	card->frame[13] = CERTIFY_ETHERTYPE & 0xFF;
	serial++;
	for (uint32_t i = ETHER_BYTES; i < len; i++) {
		card->frame[i] = (uint8_t)(i * 7 + serial);
	}
	memcpy(card->frame + ETHER_BYTES, &serial, sizeof(serial));
	card->echo_len = 0;
	return probe_check(p, hv_netvsc_send(&card->net, &frame, 1), "a frame of %u bytes cannot be sent",
	                   len);
}

/* The payload; an echo is addressed to who asked. */
static bool echo_is_here(void *context)
{
	struct card *card = context;

	hv_poll(card->net.channel.hv);
	return card->echo_len >= 60 &&
	       memcmp(card->echo + ETHER_BYTES, card->frame + ETHER_BYTES, card->echo_len - ETHER_BYTES) == 0;
}

bool card_echoed(struct card *card)
{
	return certify_wait(certify, echo_is_here, card, ECHO_US);
}

static bool never(void *context)
{
	struct card *card = context;

	hv_poll(card->net.channel.hv);
	return false;
}

void card_settle(struct card *card)
{
	(void)certify_wait(certify, never, card, SETTLE_US);
}

bool card_has_peer(struct probe *p, struct card *card)
{
	if (peer == PEER_UNKNOWN && card_send(p, card, 60)) {
		peer = card_echoed(card) ? PEER_THERE : PEER_NONE;
	}
	if (peer == PEER_NONE) {
		probe_skip(p, "no peer answers");
	}
	return peer == PEER_THERE;
}

/* ------------------------------------------------------------------ life */

void card_probe(struct probe *p, card_body *body)
{
	struct hv_guest *hv = certify_hv_connected(p);

	if (hv == NULL) {
		return;
	}
	if (hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_NETWORK, 0) == NULL) {
		probe_skip(p, NO_DEVICE);
		return;
	}
	certify = p->c;
	memset(&the_card, 0, sizeof(the_card));
	if (!probe_check(p, hv_netvsc_open(&the_card.net, hv, 0, receive, &the_card),
	                 "the network device does not come up")) {
		return;
	}
	body(p, &the_card);
	(void)probe_check(p, !the_card.net.channel.broken,
	                  "the channel is broken: the host's answers are wrong");
	if (!probe_check(p, hv_netvsc_close(&the_card.net), "the host does not let go of the channel")) {
		certify_hv_down(p->c);
	}
}
