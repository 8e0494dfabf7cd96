/*
 * netvsp_receive_test.c - the Hyper-V network device: frames that come to the guest, and a ring
 * that is full.
 */
#include "tests/unit/netvsp_guest.h"

static void test_receive(void)
{
	struct guest *g;
	uint8_t frame[1514];
	struct packet_in in;
	struct nvsp_message message;
	uint32_t words[15];

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
	for (uint32_t i = 0; i < 5; i++) {
		tap_send(frame, 1514 - i * 300, false);
		CU_ASSERT_FATAL(packet_take(g, &in));
		CU_ASSERT_EQUAL(in.d.type, VM_PKT_DATA_USING_XFER_PAGES);
		CU_ASSERT_EQUAL(in.d.flags, 1);
		CU_ASSERT_EQUAL(in.payload_at, 32);
		CU_ASSERT_EQUAL(in.transfer.xfer_pageset_id, NETVSC_RECEIVE_BUFFER_ID);
		message = nvsp_of(&in);
		CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG1_TYPE_SEND_RNDIS_PKT);
		CU_ASSERT_EQUAL(message.u.send_rndis_pkt.channel_type, NVSP_RMC_DATA);
		CU_ASSERT_EQUAL(message.u.send_rndis_pkt.send_buf_section_index, 0xFFFFFFFFu);
		memcpy(words, slot_at(g, &in), sizeof(words));
		CU_ASSERT_EQUAL(words[0], RNDIS_MSG_PACKET);
		CU_ASSERT_EQUAL(words[1], in.range.byte_count);
		CU_ASSERT_EQUAL(words[3], 1514 - i * 300);
		CU_ASSERT_EQUAL(words[8], 0); /* no info: nothing is known of the checksum */
		CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 1514 - i * 300), 0);
		slot_return(g, in.d.trans_id);
	}
	CU_ASSERT_FALSE(packet_take(g, &in));
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_NVSP, 7), 0);
	slot_return(g, in.d.trans_id); /* 0 */
	slot_return(g, g->slot_count); /* not out */
	slot_return(g, g->slot_count + 1);
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_NVSP, 7), 3);
	tap_send(frame, 1515, false); /* above the MTU */
	CU_ASSERT_FALSE(packet_take(g, &in));
	guest_free(g);
}

static uint32_t receive_checksum_info(struct guest *g, const uint8_t *frame, uint32_t len)
{
	struct packet_in in;
	uint32_t words[15];

	tap_send(frame, len, true);
	CU_ASSERT_FATAL(packet_take(g, &in));
	memcpy(words, slot_at(g, &in), sizeof(words));
	slot_return(g, in.d.trans_id);
	if (words[8] == 0) {
		return 0;
	}
	CU_ASSERT_EQUAL(words[7], 36);
	CU_ASSERT_EQUAL(words[8], 16);
	CU_ASSERT_EQUAL(words[11], 16);
	CU_ASSERT_EQUAL(words[12], RNDIS_PPI_TCPIP_CHECKSUM);
	CU_ASSERT_EQUAL(words[13], 12);
	return words[14];
}

static void test_receive_checksum(void)
{
	struct guest *g;
	uint8_t frame[100];
	uint8_t params[28] = {NDIS_OBJECT_TYPE_DEFAULT, 3, 28, 0, 0, 1, 1, 1, 1};
	struct packet_in in;
	uint32_t words[8];

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_tcp(frame, sizeof(frame), guest_mac, sizeof(frame) - 14);
	memcpy(frame + 6, tap_mac, 6);
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
	frame[23] = 17;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_UDP_SUCCEEDED);
	frame[23] = 1;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), 0);
	frame[12] = 0x86;
	frame[13] = 0xDD;
	frame[20] = 6;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
	frame[20] = 17;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_UDP_SUCCEEDED);
	/* switched off: nothing is said, and the guest is told what is in force */
	CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_TCP_OFFLOAD_PARAMETERS, params, sizeof(params)), 0);
	CU_ASSERT(packet_take(g, &in));
	memcpy(words, slot_at(g, &in), sizeof(words));
	CU_ASSERT_EQUAL(words[0], RNDIS_MSG_INDICATE);
	CU_ASSERT_EQUAL(words[1], in.range.byte_count);
	CU_ASSERT_EQUAL(words[2], RNDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG);
	CU_ASSERT_EQUAL(words[3], 156);
	CU_ASSERT_EQUAL(words[4], 12);
	slot_return(g, in.d.trans_id);
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), 0);
	guest_free(g);
}

static void test_receive_tagged(void)
{
	static const uint64_t capability[] = {NVSP_2_VSC_CAPABILITY_IEEE8021Q, 0};
	uint8_t frame[1518];
	struct packet_in in;
	uint32_t words[15];

	for (uint32_t i = 0; i < 2; i++) {
		struct guest *g;

		tap_start(0);
		g = guest_new(0, &sw);
		guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, capability[i]);
		frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
		memcpy(frame + 12, (uint8_t[4]){0x81, 0x00, 0xA2, 0x34}, 4);
		tap_send(frame, sizeof(frame), false);
		CU_ASSERT_FATAL(packet_take(g, &in));
		memcpy(words, slot_at(g, &in), sizeof(words));
		CU_ASSERT_EQUAL(words[3], i == 0 ? 1514u : 1518u);
		if (i == 0) {
			CU_ASSERT_EQUAL(words[12], RNDIS_PPI_IEEE_8021Q);
			CU_ASSERT_EQUAL(words[14], 5u | 0x234u << 4);
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 12), 0);
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 20 + words[2], frame + 16, 1502), 0);
		} else {
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 1518), 0);
		}
		guest_free(g);
	}
}

static void test_receive_filter(void)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t group[6] = {1, 0, 0x5E, 0, 0, 1};
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 77};
	const uint8_t *to[4] = {guest_mac, broadcast, group, other};
	static const struct {
		uint32_t filter;
		uint32_t taken; /* bit i: to[i] */
	} cases[] = {{0, 0}, {1, 1}, {8, 2}, {4, 4}, {2, 4}, {0xD, 7}, {0x20, 15}};
	struct guest *g;
	uint8_t frame[64];
	struct packet_in in;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
		CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &cases[i].filter, 4), 0);
		for (uint32_t j = 0; j < 4; j++) {
			bool taken;

			frame_fill(frame, sizeof(frame), to[j], tap_mac);
			tap_send(frame, sizeof(frame), false);
			taken = packet_take(g, &in);
			CU_ASSERT_EQUAL(taken, (cases[i].taken >> j & 1) != 0);
			if (taken) {
				slot_return(g, in.d.trans_id);
			}
		}
	}
	guest_free(g);
}

static void test_receive_full(void)
{
	struct guest *g;
	uint8_t frame[64];
	struct packet_in in;
	uint64_t ids[256];
	uint32_t count = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	g->receive_bytes = 0x20000; /* 72 slots: less than the ring has room for */
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
	for (uint32_t i = 0; i < 100; i++) {
		tap_send(frame, sizeof(frame), false);
		while (packet_take(g, &in)) {
			for (uint32_t j = 0; j < count; j++) {
				CU_ASSERT_NOT_EQUAL(ids[j], in.d.trans_id);
			}
			ids[count++] = in.d.trans_id;
		}
	}
	CU_ASSERT_EQUAL(count, g->slot_count - 16); /* control messages have theirs */
	CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &(uint32_t){0xD}, 4), 0);
	slot_return(g, ids[17]);
	slot_return(g, ids[17]);
	for (uint32_t i = 0; i < 2; i++) {
		tap_send(frame, sizeof(frame), false);
	}
	CU_ASSERT(packet_take(g, &in));
	CU_ASSERT_EQUAL(in.d.trans_id, ids[17]);
	CU_ASSERT_FALSE(packet_take(g, &in));
	guest_free(g);
}

/* The guest does not read: frames are dropped, completions and replies wait for room. */
static void test_ring_full(void)
{
	struct guest *g;
	uint8_t frame[64];
	uint32_t keepalive[3] = {RNDIS_MSG_KEEPALIVE, 12, 99};
	struct packet_in in;
	uint32_t at_index, sent = 0, frames = 0, completions = 0, replies = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	g->receive_bytes = 0xC0000; /* more slots than the ring has room for */
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
	for (uint32_t i = 0; i < 400; i++) {
		tap_send(frame, sizeof(frame), false);
	}
	memcpy(at(g, DATA_AT), keepalive, sizeof(keepalive));
	for (uint32_t i = 0; i < 10; i++, sent++) {
		rndis_write(g, 0x6000 + i, NVSP_RMC_CONTROL, DATA_AT, sizeof(keepalive));
	}
	signal_host(g);
	CU_ASSERT_NOT_EQUAL(*ring_word(g, false, VMBUS_RING_PENDING_SEND_SZ), 0);
	/* some room: it is for what waits, not for the next frame */
	for (; frames < 5; frames++) {
		CU_ASSERT(packet_take(g, &in));
	}
	at_index = *ring_word(g, false, VMBUS_RING_WRITE_INDEX);
	tap_send(frame, sizeof(frame), false);
	CU_ASSERT_EQUAL(*ring_word(g, false, VMBUS_RING_WRITE_INDEX), at_index);
	signal_host(g);
	while (packet_take(g, &in)) {
		uint32_t type = 0;

		if (in.d.type == VM_PKT_COMP) {
			CU_ASSERT_EQUAL(in.d.trans_id, 0x6000 + completions);
			completions++;
		} else {
			memcpy(&type, slot_at(g, &in), 4);
			frames += type == RNDIS_MSG_PACKET;
			replies += type == RNDIS_MSG_KEEPALIVE_C;
			slot_return(g, in.d.trans_id); /* signals: more comes */
		}
	}
	CU_ASSERT_EQUAL(completions, sent);
	CU_ASSERT_EQUAL(replies, sent);
	CU_ASSERT(frames > 200);
	CU_ASSERT(frames < 400);
	guest_free(g);
}

/* Replies that the guest never returns use up the slots set apart; then there is none. */
static void test_control_slots(void)
{
	struct guest *g;
	uint32_t keepalive[3] = {RNDIS_MSG_KEEPALIVE, 12, 99};
	struct packet_in in;
	uint32_t replies = 0;
	uint64_t last = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	memcpy(at(g, DATA_AT), keepalive, sizeof(keepalive));
	for (uint32_t i = 0; i < 20; i++) {
		rndis_write(g, i, NVSP_RMC_CONTROL, DATA_AT, sizeof(keepalive));
		signal_host(g);
		CU_ASSERT_EQUAL(completion_take(g, i), NVSP_STAT_SUCCESS);
		if (packet_take(g, &in)) {
			replies++;
			last = in.d.trans_id;
		}
	}
	CU_ASSERT_EQUAL(replies, 16);
	CU_ASSERT(host_log_has(g->vm, "without a receive slot"));
	slot_return(g, last);
	rndis_write(g, 1, NVSP_RMC_CONTROL, DATA_AT, sizeof(keepalive));
	signal_host(g);
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT(packet_take(g, &in));
	guest_free(g);
}

static void test_mtu(void)
{
	static const uint32_t given[] = {100, 1514, 9014, 100000};
	static const uint32_t wanted[] = {1514, 1514, 9014, 9216};
	static uint8_t frame[9014];
	struct packet_in in;
	uint32_t words[4];

	for (uint32_t i = 0; i < 4; i++) {
		struct guest *g;

		tap_start(0);
		g = guest_new(0, &sw);
		guest_up(g, NVSP_PROTOCOL_VERSION_61, given[i], 0);
		CU_ASSERT_EQUAL(g->slot_bytes, 256 + wanted[i] + 36);
		nvsp_config(g, 2000, 0); /* too late */
		if (i == 2) {
			frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
			tap_send(frame, sizeof(frame), false);
			CU_ASSERT_FATAL(packet_take(g, &in));
			memcpy(words, slot_at(g, &in), sizeof(words));
			CU_ASSERT_EQUAL(words[3], 9014);
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 9014), 0);
		}
		guest_free(g);
	}
}

/* Two guests: a large send of one arrives in pieces at the other, with right checksums. */
static void test_two_guests(void)
{
	struct guest *a, *b;
	static uint8_t frame[54 + 5000];
	struct packet_in in;
	uint32_t words[15], total = 0, bytes;
	static const uint8_t b_mac[6] = {2, 0, 0, 0, 0, 2};

	tap_start(0);
	a = guest_new(0, &sw);
	b = guest_new(1, &sw);
	guest_up(a, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	guest_up(b, NVSP_PROTOCOL_VERSION_5, 1514, 0);
	frame_tcp(frame, sizeof(frame), b_mac, 0);
	bytes = packet_fill(at(a, DATA_AT), frame, sizeof(frame), RNDIS_PPI_TCP_LARGESEND,
	                    RNDIS_LSO_V2 | 1460);
	rndis_write(a, 1, NVSP_RMC_DATA, DATA_AT, bytes);
	signal_host(a);
	CU_ASSERT_EQUAL(completion_take(a, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT_FALSE(packet_take(a, &in));
	while (packet_take(b, &in)) {
		const uint8_t *data = slot_at(b, &in);

		memcpy(words, data, sizeof(words));
		data += 8 + words[2];
		CU_ASSERT_EQUAL(words[14], RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
		CU_ASSERT_EQUAL(tcp_sum(data, words[3]), 0xFFFF);
		CU_ASSERT_EQUAL(memcmp(data + 54, frame + 54 + total, words[3] - 54), 0);
		total += words[3] - 54;
		slot_return(b, in.d.trans_id);
	}
	CU_ASSERT_EQUAL(total, 5000);
	guest_free(a);
	guest_free(b);
}

/* A slot in more pieces than pages: nothing comes in it, and nothing is lost but that. */
static void test_receive_pieces(void)
{
	static const uint32_t first_pages[] = {3, 7}; /* pieces in slot 7, and in the first for frames */
	uint32_t query[7] = {RNDIS_MSG_QUERY, 28, 1, RNDIS_OID_GEN_FRIENDLY_NAME, 0, 20, 0};
	uint8_t frame[1514], reply[2048];
	struct packet_in in;

	for (uint32_t i = 0; i < 2; i++) {
		struct guest *g;

		tap_start(0);
		g = guest_new(0, &sw);
		CU_ASSERT_EQUAL_FATAL(channel_open(g), 0);
		CU_ASSERT_EQUAL_FATAL(nvsp_init(g, NVSP_PROTOCOL_VERSION_61), NVSP_STAT_SUCCESS);
		gpadl_make_pieces(g, GPADL_RECEIVE, RECEIVE_AT, first_pages[i], 60);
		CU_ASSERT_EQUAL_FATAL(nvsp_receive_buffer(g, GPADL_RECEIVE), NVSP_STAT_SUCCESS);
		CU_ASSERT_EQUAL(rndis_initialize(g), 0);
		CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &(uint32_t){1}, 4), 0);
		for (uint32_t j = 0; j < 7; j++) { /* seven are out, the next is in pieces */
			rndis_write(g, j, NVSP_RMC_CONTROL, DATA_AT, 28);
			memcpy(at(g, DATA_AT), query, 28);
			signal_host(g);
			CU_ASSERT_EQUAL(completion_take(g, j), NVSP_STAT_SUCCESS);
			CU_ASSERT(packet_take(g, &in));
		}
		CU_ASSERT_EQUAL(control_call(g, query, 28, reply), i == 0 ? 0u : 536u);
		frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
		tap_send(frame, sizeof(frame), false);
		CU_ASSERT_EQUAL(packet_take(g, &in), i == 0);
		tap_send(frame, 64, false);
		CU_ASSERT(packet_take(g, &in));
		guest_free(g);
	}
}

/*
 * Both guests' work on two threads, and frames from a third: for the lock, and for the thread
 * sanitizer.
 */
static void test_threads(void)
{
	struct guest *a, *b;
	uint8_t frame[200];
	struct packet_in in;
	struct vm *vms[2];
	struct host_threads *threads;
	uint32_t bytes, completions = 0, others = 0, received = 0;
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

	tap_start(0);
	a = guest_new(0, &sw);
	b = guest_new(1, &sw);
	guest_up(a, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	guest_up(b, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), broadcast, guest_mac);
	bytes = packet_fill(at(a, DATA_AT), frame, sizeof(frame), UINT32_MAX, 0);
	for (uint32_t i = 0; i < 50; i++) {
		rndis_write(a, i, NVSP_RMC_DATA, DATA_AT, bytes);
	}
	vms[0] = a->vm;
	vms[1] = b->vm;
	threads = host_threads_start(vms, 2, 2);
	signal_queue(a);
	frame_fill(frame, sizeof(frame), broadcast, tap_mac);
	for (uint32_t i = 0; i < 50; i++) {
		tap_send(frame, sizeof(frame), false);
		signal_queue(b);
	}
	host_threads_stop(threads);
	(void)host_run_work(a->vm);
	(void)host_run_work(b->vm);
	CU_ASSERT_EQUAL(tap.count, 50);
	while (packet_take(a, &in)) {
		completions += in.d.type == VM_PKT_COMP;
		others += in.d.type != VM_PKT_COMP;
	}
	while (packet_take(b, &in)) {
		received++;
	}
	CU_ASSERT_EQUAL(completions, 50);
	CU_ASSERT_EQUAL(others, 50);
	CU_ASSERT_EQUAL(received, 100);
	guest_free(a);
	guest_free(b);
}

UNIT_MAIN("netvsp receive", UNIT_TEST(test_receive), UNIT_TEST(test_receive_checksum),
          UNIT_TEST(test_receive_tagged), UNIT_TEST(test_receive_filter), UNIT_TEST(test_receive_full),
          UNIT_TEST(test_ring_full), UNIT_TEST(test_control_slots), UNIT_TEST(test_mtu),
          UNIT_TEST(test_two_guests), UNIT_TEST(test_receive_pieces), UNIT_TEST(test_threads))
