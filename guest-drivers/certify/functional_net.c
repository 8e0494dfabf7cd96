/*
 * functional_net.c - the first card of either face: frames of all sizes to a peer and back.
 *
 * The peer is another guest in mode=echo on the same switch: it sends what it gets back to where it came from.
 */
#include "guest-drivers/certify/functional.h"

#define FRAME_MIN 60u
#define HEADER 14u
#define WAIT_US 1000000u
#define FRAMES 64u
#define TRIES 3u

static struct hv_netvsc netvsc;
static struct xen_netfront netfront;

/* ------------------------------------------------------------------ cards */

static void take_frame(struct io_card *card, const uint8_t *bytes, uint32_t length)
{
	if (length < HEADER || length > IO_FRAME_MAX || bytes[12] != CERTIFY_ETHERTYPE >> 8 ||
	    bytes[13] != (CERTIFY_ETHERTYPE & 0xFF)) {
		return;
	}
	memcpy(card->bytes, bytes, length);
	card->length = length;
	card->received++;
	if (card->take != NULL) {
		card->take(card);
	}
}

static void hv_received(void *context, const struct hv_net_frame *frame)
{
	take_frame(context, frame->bytes, frame->len);
}

static void xen_received(void *context, const struct xen_net_frame *frame)
{
	take_frame(context, frame->bytes, frame->len);
}

static bool hv_open(struct probe *p, struct io_card *card)
{
	struct hv_guest *hv = certify_hv_connected(p);

	if (hv == NULL) {
		return false;
	}
	if (hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_NETWORK, 0) == NULL) {
		probe_skip(p, "no network card is offered");
		return false;
	}
	memset(&netvsc, 0, sizeof(netvsc));
	if (!probe_check(p, hv_netvsc_open(&netvsc, hv, 0, hv_received, card), "netvsc does not open")) {
		return false;
	}
	memcpy(card->mac, netvsc.mac, 6);
	return true;
}

static bool xen_open(struct probe *p, struct io_card *card)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x == NULL) {
		return false;
	}
	if (xen_store_list(x, 0, "device/vif") <= 0) {
		probe_skip(p, "no network device in the store");
		return false;
	}
	memset(&netfront, 0, sizeof(netfront));
	if (!probe_check(p, xen_netfront_open(&netfront, x, 0, xen_received, card),
	                 "netfront does not open")) {
		(void)xen_netfront_close(&netfront);
		return false;
	}
	memcpy(card->mac, netfront.mac, 6);
	return true;
}

bool io_card_open(struct probe *p, struct io_card *card, enum io_face face)
{
	void (*take)(struct io_card *) = card->take;

	memset(card, 0, sizeof(*card));
	card->face = face;
	card->c = p->c;
	card->take = take;
	if (face == IO_HYPERV && p->c->faces.hyperv_base == 0) {
		probe_skip(p, "no Hyper-V here");
		return false;
	}
	if (face == IO_XEN && p->c->faces.xen_base == 0) {
		probe_skip(p, "no Xen here");
		return false;
	}
	return face == IO_HYPERV ? hv_open(p, card) : xen_open(p, card);
}

void io_card_close(struct probe *p, struct io_card *card)
{
	if (card->face == IO_HYPERV) {
		(void)probe_check(p, hv_netvsc_close(&netvsc), "netvsc does not close");
	} else {
		(void)probe_check(p, xen_netfront_close(&netfront), "netfront does not close");
	}
}

bool io_card_send(struct io_card *card, const uint8_t to[6], const uint8_t *payload, uint32_t length)
{
	uint8_t bytes[IO_FRAME_MAX];
	const struct hv_net_frame hv_frame = {.bytes = bytes, .len = length};
	const struct xen_net_frame xen_frame = {.bytes = bytes, .len = length};

	if (length < HEADER || length > IO_FRAME_MAX) {
		return false;
	}
	memcpy(bytes, to, 6);
	memcpy(bytes + 6, card->mac, 6);
	bytes[12] = CERTIFY_ETHERTYPE >> 8;
	bytes[13] = CERTIFY_ETHERTYPE & 0xFF;
	memcpy(bytes + HEADER, payload, length - HEADER);
	return card->face == IO_HYPERV ? hv_netvsc_send(&netvsc, &hv_frame, 1)
	                               : xen_netfront_send(&netfront, &xen_frame);
}

void io_card_poll(struct io_card *card)
{
	if (card->face == IO_HYPERV) {
		hv_poll(&card->c->hv);
	} else {
		xen_poll(&card->c->xen);
		xen_netfront_poll(&netfront);
	}
}

/* ------------------------------------------------------------------ the probes */

/* An echo that is waited for: its own payload, since one that was given up may still come. */
struct awaited {
	struct io_card *card;
	const uint8_t *payload;
	uint32_t length;
};

static bool has_come(void *context)
{
	struct awaited *awaited = context;
	struct io_card *card = awaited->card;

	io_card_poll(card);
	return card->length == awaited->length && memcmp(card->bytes, card->mac, 6) == 0 &&
	       memcmp(card->bytes + HEADER, awaited->payload, awaited->length - HEADER) == 0;
}

/* Sends one frame, again if it is lost on the way, as frames may be; true if its echo comes. */
static bool round_trip(struct io_card *card, const uint8_t to[6], uint32_t length, uint32_t seed)
{
	uint8_t payload[IO_FRAME_MAX];
	struct awaited awaited = {card, payload, length};

	for (uint32_t i = 0; i < length; i++) {
		payload[i] = (uint8_t)(seed * 29 + i * 3);
	}
	card->length = 0;
	for (uint32_t try = 0; try < TRIES; try++) {
		if (io_card_send(card, to, payload, length) &&
		    certify_wait(card->c, has_come, &awaited, WAIT_US)) {
			return true;
		}
	}
	return false;
}

static void probe_net(struct probe *p, enum io_face face)
{
	static const uint8_t everyone[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
	static struct io_card card;
	uint8_t peer[6];

	card.take = NULL;
	if (!io_card_open(p, &card, face)) {
		return;
	}
	if (!round_trip(&card, everyone, FRAME_MIN, 0)) {
		probe_skip(p, "no peer answers: no other guest in mode=echo on this switch");
		io_card_close(p, &card);
		return;
	}
	memcpy(peer, card.bytes + 6, 6);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t length = FRAME_MIN + i * (IO_FRAME_MAX - FRAME_MIN) / (FRAMES - 1);

		(void)probe_check(p, round_trip(&card, peer, length, i),
		                  "a frame of %u bytes does not come back whole", length);
	}
	probe_note(p, "peer %x:%x:%x:%x:%x:%x", peer[0], peer[1], peer[2], peer[3], peer[4], peer[5]);
	io_card_close(p, &card);
}

void probe_hyperv_net(struct probe *p)
{
	probe_net(p, IO_HYPERV);
}

void probe_xen_net(struct probe *p)
{
	probe_net(p, IO_XEN);
}
