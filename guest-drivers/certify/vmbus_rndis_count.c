/*
 * vmbus_rndis_count.c - probes of the rows of specs/rndis.def that count frames: what was sent, received and refused.
 */
#include "guest-drivers/certify/vmbus_card.h"

#define XMIT_OK 0x00020101u
#define RCV_OK 0x00020102u
#define FRAMES 5u
#define FRAME_BYTES 200u
#define NVSP_POLLS 64u

/* The row's count now: 4 or 8 bytes. */
static uint64_t count_now(struct probe *p, struct card *card)
{
	uint32_t status = card_query(p, card, (uint32_t)p->row->number, NULL, 0);

	(void)probe_equal(p, status, RNDIS_STATUS_SUCCESS, "status");
	return card_value64(card);
}

static void wait_sent(struct card *card)
{
	for (uint32_t i = 0; i < NVSP_POLLS && card->net.used_count != 0; i++) {
		hv_poll(card->net.channel.hv);
	}
}

static bool counts_bytes(const struct probe *p)
{
	return p->row->number != XMIT_OK && p->row->number != RCV_OK;
}

/* Frames that others send may come on top of ours. */
static void check_moved(struct probe *p, uint64_t before, uint64_t now, const char *what)
{
	uint64_t least = counts_bytes(p) ? FRAMES * FRAME_BYTES : FRAMES;

	(void)probe_check(p, now - before >= least && now - before < 100 * least, "%s: %lu more, not %lu",
	                  what, (unsigned long)(now - before), (unsigned long)least);
}

void card_body_sent(struct probe *p, struct card *card)
{
	uint64_t before;

	if (!card_check_query(p, card, 4, 8)) {
		return;
	}
	card_check_read_only(p, card);
	before = count_now(p, card);
	(void)probe_equal(p, count_now(p, card), before, "the count, nothing being sent");
	for (uint32_t i = 0; i < FRAMES; i++) {
		(void)card_send(p, card, FRAME_BYTES);
		wait_sent(card);
	}
	check_moved(p, before, count_now(p, card), "5 frames of 200 bytes sent");
	(void)probe_equal(p, card->net.send_error_count, 0, "frames that were refused");
}

void card_body_received(struct probe *p, struct card *card)
{
	uint64_t before;

	if (!card_check_query(p, card, 4, 8)) {
		return;
	}
	card_check_read_only(p, card);
	if (!card_has_peer(p, card)) {
		return;
	}
	before = count_now(p, card);
	for (uint32_t i = 0; i < FRAMES; i++) {
		(void)(card_send(p, card, FRAME_BYTES) &&
		       probe_check(p, card_echoed(card), "a frame is not answered"));
	}
	check_moved(p, before, count_now(p, card), "5 frames of 200 bytes received");
}

/* A frame that cannot be one: through an entry of the driver's, so that its completion is taken. */
static bool send_bad(struct card *card)
{
	struct hv_netvsc *net = &card->net;
	struct hv_net_entry *entry = &net->entries[HV_NET_ENTRIES - 1];
	const struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	        .u.send_rndis_pkt = {NVSP_RMC_DATA, NVSP_INVALID_SECTION_INDEX, 0},
	};
	const struct hv_buffer buffer = {.bytes = 64, .gfns = &net->control_page.gfn};

	memset(net->control_page.bytes, 0xEE, 64);
	entry->used = true;
	entry->id = ++net->sequence << 8 | (HV_NET_ENTRIES - 1);
	net->used_count++;
	if (!hv_channel_send_buffers(&net->channel, entry->id, &buffer, 1, &message, sizeof(message))) {
		entry->used = false;
		net->used_count--;
		return false;
	}
	wait_sent(card);
	return !entry->used;
}

void card_body_send_errors(struct probe *p, struct card *card)
{
	uint64_t before;

	if (!card_check_query(p, card, 4, 8)) {
		return;
	}
	card_check_read_only(p, card);
	before = count_now(p, card);
	for (uint32_t i = 0; i < FRAMES; i++) {
		(void)probe_check(p, send_bad(card), "a frame that is no message is not completed");
	}
	(void)probe_equal(p, card->net.send_error_count, FRAMES, "frames that were refused");
	(void)probe_equal(p, count_now(p, card) - before, FRAMES, "errors counted");
}
