/*
 * vmbus_card.h - the first network device, brought up by the driver, and RNDIS to it: objects, messages, frames.
 */
#ifndef GUEST_DRIVERS_CERTIFY_VMBUS_CARD_H
#define GUEST_DRIVERS_CERTIFY_VMBUS_CARD_H

#include "guest-drivers/certify/vmbus_device.h"

#define CARD_VALUE_BYTES 900u
#define CARD_FRAME_BYTES 1514u
#define CARD_NO_REPLY 0xFFFFFFFFu

struct card {
	struct hv_netvsc net;
	uint32_t value_bytes; /* of the last query's answer */
	uint8_t value[CARD_VALUE_BYTES] ALIGNED(8);
	uint32_t echo_count; /* frames of CERTIFY_ETHERTYPE that came */
	uint32_t echo_len; /* the last one */
	uint8_t echo[CARD_FRAME_BYTES];
	uint8_t frame[CARD_FRAME_BYTES]; /* the last one sent */
};

typedef void card_body(struct probe *p, struct card *card);

/* Opens the device, with its filter open; runs @body; closes. Skipped if there is none. */
void card_probe(struct probe *p, card_body *body);

/* ------------------------------------------------------------------ objects */

/* QUERY with @bytes of @in; RNDIS_STATUS_* or CARD_NO_REPLY. What it says is in card->value; a check looks at its form. */
uint32_t card_query(struct probe *p, struct card *card, uint32_t oid, const void *in, uint32_t bytes);
uint32_t card_set(struct card *card, uint32_t oid, const void *value, uint32_t bytes);
/*
 * Queries the row's object with no input, with some, with much and with input outside the message: it has @min to @max
 * bytes. False: it is not offered here (told by probe_offer()), or a check has failed.
 */
bool card_check_query(struct probe *p, struct card *card, uint32_t min, uint32_t max);
/* Neither set nor changed by trying. */
void card_check_read_only(struct probe *p, struct card *card);
/* The row's object cannot be queried. */
void card_check_set_only(struct probe *p, struct card *card);
/* A set of the row's object that is refused, whatever the reason. */
void card_check_bad_set(struct probe *p, struct card *card, const void *value, uint32_t bytes,
                        const char *what);
bool card_check_set(struct probe *p, struct card *card, const void *value, uint32_t bytes);
uint32_t card_value32(const struct card *card);
uint64_t card_value64(const struct card *card);
/* The object's first 4 bytes; 0: it is not there. */
uint32_t card_get32(struct probe *p, struct card *card, uint32_t oid);
/* A message that nothing must answer, sent as it is. */
void card_check_silent(struct probe *p, struct card *card, const void *message, uint32_t bytes,
                       const char *what);

/* ------------------------------------------------------------------ frames */

/* Sends a frame of @len bytes (60 and up) for a peer in mode=echo; a check fails if it cannot be sent. */
bool card_send(struct probe *p, struct card *card, uint32_t len);
/* The frame sent last has come back within two seconds. */
bool card_echoed(struct card *card);
/* Whether there is a peer; if not, the probe is skipped. */
bool card_has_peer(struct probe *p, struct card *card);
/* Time in which a frame comes that comes at all. */
void card_settle(struct card *card);

/* ------------------------------------------------------------------ vmbus_rndis_object.c: bodies of objects' rows */

card_body card_body_zero, card_body_number, card_body_statistic;
card_body card_body_supported_list, card_body_frame_size, card_body_total_size, card_body_lookahead;
card_body card_body_link_speed, card_body_max_link_speed, card_body_link_state, card_body_vendor_id;
card_body card_body_vendor_description, card_body_version, card_body_accept, card_body_friendly_name;
card_body card_body_refused;
/* vmbus_rndis_set.c: of those that are set. */
card_body card_body_filter, card_body_permanent_address, card_body_current_address, card_body_multicast_list;
card_body card_body_config, card_body_encapsulation, card_body_offload_current, card_body_offload_parameters;
card_body card_body_offload_capabilities;
/* vmbus_rndis_count.c: statistics that frames move. */
card_body card_body_sent, card_body_received, card_body_send_errors;

#endif /* GUEST_DRIVERS_CERTIFY_VMBUS_CARD_H */
