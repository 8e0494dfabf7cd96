/*
 * vmbus_rndis_object.c - probes of the rows of specs/rndis.def that are objects to be read (NDIS, general objects and
 * statistics): their sizes, what they say, and that no SET is taken.
 */
#include "guest-drivers/certify/vmbus_card.h"

#define ETHER_BYTES 14u
#define MTU_LEAST 1500u
#define SUPPORTED_LIST 0x00010101u
#define MAXIMUM_FRAME_SIZE 0x00010106u
#define LINK_SPEED 0x00010107u
#define LINK_STATE 0x00010207u
#define LINK_STATE_SPEED 16u /* of sending, in the object */
#define RECEIVE_SCALE_CAPABILITIES 0x00010203u
#define LINK_STATE_BYTES 40u

/* Ready, 802.3, connected, no errors: all 0. */
void card_body_zero(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 4, 4)) {
		(void)probe_equal(p, card_value32(card), 0, "value");
		card_check_read_only(p, card);
	}
}

/* Some number that is not 0. */
void card_body_number(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 4, 4)) {
		(void)probe_check(p, card_value32(card) != 0, "value 0");
		probe_note(p, "%u", card_value32(card));
		card_check_read_only(p, card);
	}
}

/* A count that nothing here moves. */
void card_body_statistic(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 4, 8)) {
		probe_note(p, "%u", card_value32(card));
		card_check_read_only(p, card);
	}
}

void card_body_refused(struct probe *p, struct card *card)
{
	static const uint8_t value[40];
	uint32_t status = card_query(p, card, (uint32_t)p->row->number, NULL, 0);

	probe_offer(p, status == RNDIS_STATUS_SUCCESS);
	if (status == RNDIS_STATUS_SUCCESS) {
		probe_note(p, "%u bytes", card->value_bytes);
		return;
	}
	(void)probe_equal(p, status, RNDIS_STATUS_NOT_SUPPORTED, "status of QUERY");
	(void)probe_equal(p, card_set(card, (uint32_t)p->row->number, value, sizeof(value)),
	                  RNDIS_STATUS_NOT_SUPPORTED, "status of SET");
}

/* ------------------------------------------------------------------ the list of objects */

static bool lists(const struct card *card, uint32_t oid)
{
	for (uint32_t at = 0; at + 4 <= card->value_bytes; at += 4) {
		if (memcmp(card->value + at, &oid, sizeof(oid)) == 0) {
			return true;
		}
	}
	return false;
}

/* What the list names can be queried or set: not both are refused for want of support. */
static void check_listed(struct probe *p, struct card *card, uint32_t oid)
{
	uint32_t status = card_query(p, card, oid, NULL, 0);

	if (status == RNDIS_STATUS_NOT_SUPPORTED) {
		status = card_set(card, oid, NULL, 0);
	}
	(void)probe_check(p, status != RNDIS_STATUS_NOT_SUPPORTED && status != CARD_NO_REPLY,
	                  "object 0x%x is listed and not known: status 0x%x", oid, status);
}

void card_body_supported_list(struct probe *p, struct card *card)
{
	static const uint32_t needed[] = {SUPPORTED_LIST, 0x0001010Eu, 0x01010101u, 0x00010106u, 0x00010114u};
	static uint32_t list[CARD_VALUE_BYTES / 4];
	uint32_t count;

	if (!card_check_query(p, card, 4, CARD_VALUE_BYTES)) {
		return;
	}
	(void)probe_equal(p, card->value_bytes % 4, 0, "bytes behind the last object");
	for (uint32_t i = 0; i < ARRAY_COUNT(needed); i++) {
		(void)probe_check(p, lists(card, needed[i]), "object 0x%x is not listed", needed[i]);
	}
	count = card->value_bytes / 4;
	memcpy(list, card->value, (size_t)count * 4);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < i; j++) {
			(void)probe_check(p, list[i] != list[j], "object 0x%x is listed twice", list[i]);
		}
		check_listed(p, card, list[i]);
	}
	probe_note(p, "%u objects", count);
	if (card_query(p, card, RECEIVE_SCALE_CAPABILITIES, NULL, 0) == RNDIS_STATUS_NOT_SUPPORTED) {
		(void)card_query(p, card, SUPPORTED_LIST, NULL, 0);
		(void)probe_check(p, !lists(card, RECEIVE_SCALE_CAPABILITIES), "what is refused is listed");
	}
	card_check_read_only(p, card);
}

/* ------------------------------------------------------------------ sizes and speeds */

void card_body_frame_size(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 4, 4)) {
		(void)probe_check(p, card_value32(card) >= MTU_LEAST && card_value32(card) <= 65535,
		                  "%u bytes without the header", card_value32(card));
		probe_note(p, "%u bytes", card_value32(card));
		card_check_read_only(p, card);
	}
}

/* With the Ethernet header. */
void card_body_total_size(struct probe *p, struct card *card)
{
	uint32_t total;

	if (card_check_query(p, card, 4, 4)) {
		total = card_value32(card);
		(void)probe_equal(p, total, card_get32(p, card, MAXIMUM_FRAME_SIZE) + ETHER_BYTES,
		                  "bytes with the header");
		card_check_read_only(p, card);
	}
}

/* Set by protocols, to no effect on what comes. */
void card_body_lookahead(struct probe *p, struct card *card)
{
	const uint32_t value[2] = {128, 0};

	if (card_check_query(p, card, 4, 4)) {
		(void)probe_check(p, card_value32(card) != 0, "value 0");
		(void)card_check_set(p, card, value, 4);
		(void)probe_check(p, card_get32(p, card, (uint32_t)p->row->number) != 0, "value 0 after SET");
	}
}

/* The same as LINK_STATE says, where there is one. */
void card_body_link_speed(struct probe *p, struct card *card)
{
	uint32_t units;
	uint64_t speed;

	if (!card_check_query(p, card, 4, 4)) {
		return;
	}
	units = card_value32(card);
	(void)probe_check(p, units >= 10000, "%u times 100 bit/s", units);
	probe_note(p, "%u Mbit/s", units / 10000);
	card_check_read_only(p, card);
	if (card_query(p, card, LINK_STATE, NULL, 0) == RNDIS_STATUS_SUCCESS) {
		memcpy(&speed, card->value + LINK_STATE_SPEED, sizeof(speed));
		(void)probe_equal(p, units, speed / 100, "speed, against the link's state");
	}
}

/* Sending and receiving, in bit/s; LINK_SPEED is in 100 bit/s. */
void card_body_max_link_speed(struct probe *p, struct card *card)
{
	uint64_t speeds[2];

	if (card_check_query(p, card, 16, 16)) {
		memcpy(speeds, card->value, sizeof(speeds));
		(void)probe_check(p, speeds[0] != 0 && speeds[1] != 0, "speed 0");
		(void)probe_check(p, speeds[0] / 100 >= card_get32(p, card, LINK_SPEED),
		                  "%lu bit/s at most, which is less than the link's",
		                  (unsigned long)speeds[0]);
		card_check_read_only(p, card);
	}
}

void card_body_link_state(struct probe *p, struct card *card)
{
	struct ndis_object_header header;
	uint32_t connected;
	uint64_t speed;

	if (!card_check_query(p, card, LINK_STATE_BYTES, LINK_STATE_BYTES + 8)) {
		return;
	}
	memcpy(&header, card->value, sizeof(header));
	memcpy(&connected, card->value + 4, sizeof(connected));
	memcpy(&speed, card->value + LINK_STATE_SPEED, sizeof(speed));
	(void)probe_check(p,
	                  header.type == NDIS_OBJECT_TYPE_DEFAULT && header.revision >= 1 &&
	                          header.size == LINK_STATE_BYTES,
	                  "head 0x%x %u %u", header.type, header.revision, header.size);
	(void)probe_equal(p, connected, 1, "connection state");
	(void)probe_equal(p, speed / 100, card_get32(p, card, LINK_SPEED), "speed, in 100 bit/s");
	card_check_read_only(p, card);
}

/* ------------------------------------------------------------------ names */

void card_body_vendor_id(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 4, 4)) {
		(void)probe_check(p, (card_value32(card) & 0xFFFFFF) != 0, "no vendor's code");
		probe_note(p, "0x%x", card_value32(card));
		card_check_read_only(p, card);
	}
}

void card_body_vendor_description(struct probe *p, struct card *card)
{
	bool printable = true;

	if (!card_check_query(p, card, 2, 256)) {
		return;
	}
	for (uint32_t i = 0; i + 1 < card->value_bytes; i++) {
		printable = printable &&
		            (card->value[i] == 0 || (card->value[i] >= ' ' && card->value[i] <= '~'));
	}
	(void)probe_check(p, printable && card->value[0] != 0 && card->value[card->value_bytes - 1] == 0,
	                  "not a text that ends");
	probe_note(p, "\"%s\"", (const char *)card->value);
	card_check_read_only(p, card);
}

/* NDIS's version in two bytes; a driver's own in two or four, as hosts differ. */
void card_body_version(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 2, 4)) {
		(void)probe_check(p, card_value32(card) != 0, "version 0");
		probe_note(p, "0x%x, %u bytes", card_value32(card), card->value_bytes);
		card_check_read_only(p, card);
	}
}

/* UTF-16, ended by a NUL. */
void card_body_friendly_name(struct probe *p, struct card *card)
{
	char name[64] = {0};
	bool ends = false;

	if (!card_check_query(p, card, 4, 512)) {
		return;
	}
	(void)probe_equal(p, card->value_bytes % 2, 0, "odd bytes");
	for (uint32_t i = 0; i + 1 < card->value_bytes && !ends; i += 2) {
		ends = card->value[i] == 0 && card->value[i + 1] == 0;
		if (!ends && i / 2 < sizeof(name) - 1) {
			name[i / 2] = card->value[i + 1] == 0 ? (char)card->value[i] : '?';
		}
	}
	(void)probe_check(p, ends && name[0] != 0, "not a text that ends");
	probe_note(p, "\"%s\"", name);
	card_check_read_only(p, card);
}

/* Set by protocols, to no effect; there is nothing to read. */
void card_body_accept(struct probe *p, struct card *card)
{
	static const uint8_t value[16] = {1};

	(void)card_check_set(p, card, value, 4);
	(void)card_check_set(p, card, value, sizeof(value));
	card_check_set_only(p, card);
	(void)probe_check(p, hv_netvsc_keepalive(&card->net), "after it KEEPALIVE is not answered");
}
