/*
 * hv_net_test.c - two netvscs over netvsp and the switch: all versions, all sizes, all ways of
 * sending, checksums and large sends, tags, bursts.
 */
#include "tests/loopback/hv_rig.h"

#define MAC(i) hv_rig.ends[i].net.mac

static bool send_packet(uint32_t from, uint32_t len)
{
	const struct hv_net_frame frame = {.bytes = hv_rig.packet, .len = len};

	return hv_netvsc_send(&hv_rig.ends[from].net, &frame, 1);
}

static void test_net_versions(void)
{
	static const uint32_t versions[] = {
		NVSP_PROTOCOL_VERSION_61, NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_5,
		NVSP_PROTOCOL_VERSION_4,  NVSP_PROTOCOL_VERSION_2, NVSP_PROTOCOL_VERSION_1,
	};
	static const uint32_t sizes[] = {156, 156, 156, 144, 112, 112};

	switch_init(&hv_rig.lan, "lan");
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	hv_rig_up(0, VERSION_WIN10_V5_3, 0, 1);
	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		struct hv_netvsc *net = &hv_rig.ends[0].net;

		net->version_max = versions[i];
		CU_ASSERT_TRUE_FATAL(hv_net_open(0));
		CU_ASSERT_EQUAL(net->version, versions[i]);
		CU_ASSERT_EQUAL(net->offload.header.size, sizes[i]);
		CU_ASSERT_TRUE(net->connected);
		CU_ASSERT_EQUAL(net->mac[5], 0x20);
		CU_ASSERT_EQUAL(net->slot_bytes, 256 + 1514 + 36);
		CU_ASSERT_TRUE(net->indication_count >= 1); /* of the offloads just set */
		CU_ASSERT_TRUE(hv_netvsc_close(net));
		CU_ASSERT_EQUAL(net->channel.lost_pages, 0);
	}
	hv_rig_down(0);
}

static void test_net_objects(void)
{
	struct hv_netvsc *net = &hv_rig.ends[0].net;
	uint32_t value = 0;
	uint8_t mac[6];

	hv_net_up(HV_NET_ANY);
	CU_ASSERT_EQUAL(hv_netvsc_query(net, RNDIS_OID_GEN_MAXIMUM_FRAME_SIZE, &value, 4), 4);
	CU_ASSERT_EQUAL(value, 1500);
	CU_ASSERT_EQUAL(hv_netvsc_query(net, RNDIS_OID_802_3_CURRENT_ADDRESS, mac, 6), 6);
	CU_ASSERT_EQUAL(memcmp(mac, net->mac, 6), 0);
	CU_ASSERT_EQUAL(hv_netvsc_query(net, 0x12345678, &value, 4), 0);
	CU_ASSERT_EQUAL(hv_netvsc_query(net, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &value, 4), 4);
	CU_ASSERT_EQUAL(value, 0xD);
	CU_ASSERT_FALSE(hv_netvsc_set(net, 0x12345678, &value, 4));
	CU_ASSERT_TRUE(hv_netvsc_keepalive(net));
	value = 0;
	CU_ASSERT_TRUE(hv_netvsc_set(net, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &value, 4));
	hv_packet_fill(MAC(0), MAC(1), 100);
	CU_ASSERT_TRUE(send_packet(1, 100));
	hv_net_settle();
	CU_ASSERT_EQUAL(hv_rig.ends[0].count, 0); /* the filter is shut */
	hv_net_down();
}

static void all_sizes(enum hv_net_way way)
{
	hv_net_up(way);
	for (uint32_t len = 60; len <= 1514; len++) {
		uint32_t from = len % 2;
		struct hv_end *to = &hv_rig.ends[1 - from];

		hv_packet_fill(MAC(1 - from), MAC(from), len);
		CU_ASSERT_TRUE_FATAL(send_packet(from, len));
		hv_net_settle();
		CU_ASSERT_EQUAL_FATAL(to->count, (len - 60) / 2 + 1);
		CU_ASSERT_EQUAL(to->frame.len, len);
		CU_ASSERT_EQUAL(memcmp(to->last, hv_rig.packet, len), 0);
	}
	hv_net_down();
}

static void test_net_sizes_sections(void)
{
	all_sizes(HV_NET_ANY);
}

static void test_net_sizes_pages(void)
{
	all_sizes(HV_NET_PAGES);
}

static void test_net_sizes_apart(void)
{
	all_sizes(HV_NET_APART);
}

/* Several messages back to back in one section. */
static void test_net_batches(void)
{
	static uint8_t bytes[HV_NET_BATCH_MAX][700];
	struct hv_net_frame frames[HV_NET_BATCH_MAX];
	uint32_t sent = 0, total = 0;

	hv_net_up(HV_NET_ANY);
	CU_ASSERT_EQUAL(hv_rig.ends[0].net.batch_max, HV_NET_BATCH_MAX);
	for (uint32_t round = 0; round < 300; round++) {
		uint32_t count = 1 + round % HV_NET_BATCH_MAX;

		for (uint32_t i = 0; i < count; i++) {
			uint32_t len = 60 + (uint32_t)(hv_random64() % 600);

			hv_packet_fill(MAC(1), MAC(0), len);
			memcpy(bytes[i], hv_rig.packet, len);
			frames[i] = (struct hv_net_frame){.bytes = bytes[i], .len = len};
			total += len;
		}
		CU_ASSERT_TRUE_FATAL(hv_netvsc_send(&hv_rig.ends[0].net, frames, count));
		hv_net_settle();
		sent += count;
		CU_ASSERT_EQUAL_FATAL(hv_rig.ends[1].count, sent);
		CU_ASSERT_EQUAL(hv_rig.ends[1].bytes, total);
		CU_ASSERT_EQUAL(memcmp(hv_rig.ends[1].last, bytes[count - 1], frames[count - 1].len), 0);
	}
	hv_net_down();
}

/* A blank checksum arrives filled in: netvsp takes none that is blank. */
static void test_net_checksum(void)
{
	hv_net_up(HV_NET_ANY);
	for (uint32_t round = 0; round < 200; round++) {
		bool udp = round % 2 == 0;
		uint32_t len = hv_packet_fill_ip(MAC(1), MAC(0), udp, round * 7);
		const struct hv_net_frame frame = {.bytes = hv_rig.packet, .len = len,
						   .checksum_blank = true, .udp = udp,
						   .transport_offset = 34};

		CU_ASSERT_FALSE(hv_packet_sum_is_right(hv_rig.packet, len));
		hv_rig.ends[0].net.way = (enum hv_net_way)(round % 3);
		CU_ASSERT_TRUE_FATAL(hv_netvsc_send(&hv_rig.ends[0].net, &frame, 1));
		hv_net_settle();
		CU_ASSERT_EQUAL_FATAL(hv_rig.ends[1].count, round + 1);
		CU_ASSERT_TRUE(hv_packet_sum_is_right(hv_rig.ends[1].last,
						      hv_rig.ends[1].frame.len));
		CU_ASSERT_TRUE(hv_rig.ends[1].frame.checksum_good);
	}
	hv_net_down();
}

/* A large send arrives cut, every piece with a right checksum, all bytes once and in order. */
static uint8_t joined[65536];
static uint32_t joined_bytes, bad_sums;

static void join(void *context, const struct hv_net_frame *frame)
{
	uint32_t payload = ((uint32_t)frame->bytes[16] << 8 | frame->bytes[17]) - 40;

	hv_net_received(context, frame);
	bad_sums += !hv_packet_sum_is_right(frame->bytes, frame->len);
	memcpy(joined + joined_bytes, frame->bytes + 54, payload);
	joined_bytes += payload;
}

static void test_net_large(void)
{
	static const uint32_t sizes[] = {1461, 3000, 17000, 40000, 62000, 65000 - 54};

	hv_net_up(HV_NET_ANY);
	hv_rig.ends[1].net.receive = join;
	for (uint32_t i = 0; i < 2 * ARRAY_COUNT(sizes); i++) {
		uint32_t payload = sizes[i / 2];
		uint32_t len = hv_packet_fill_ip(MAC(1), MAC(0), false, payload);
		const struct hv_net_frame frame = {.bytes = hv_rig.packet, .len = len,
						   .segment_bytes = 1460, .transport_offset = 34};

		hv_rig.ends[0].net.way = i % 2 == 0 ? HV_NET_ANY : HV_NET_APART;
		hv_rig.ends[1].count = 0;
		joined_bytes = 0;
		CU_ASSERT_TRUE_FATAL(hv_netvsc_send(&hv_rig.ends[0].net, &frame, 1));
		hv_net_settle();
		CU_ASSERT_EQUAL(hv_rig.ends[1].count, (payload + 1459) / 1460);
		CU_ASSERT_EQUAL_FATAL(joined_bytes, payload);
		CU_ASSERT_EQUAL(memcmp(joined, hv_rig.packet + 54, payload), 0);
		CU_ASSERT_EQUAL(bad_sums, 0);
	}
	hv_net_down();
}

/* Beside the frame on both sides, or in it where the receiver wants that. */
static void test_net_tags(void)
{
	struct hv_net_frame frame = {.bytes = hv_rig.packet, .len = 200, .tagged = true, .vlan = 77};

	switch_init(&hv_rig.lan, "lan");
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	hv_rig.ends[0].net.takes_tags = true;
	for (uint32_t i = 0; i < 2; i++) {
		hv_rig_up(i, VERSION_WIN10_V5_3, 0, 1);
		CU_ASSERT_TRUE_FATAL(hv_net_open(i));
	}
	hv_packet_fill(MAC(1), MAC(0), 200);
	CU_ASSERT_TRUE(hv_netvsc_send(&hv_rig.ends[0].net, &frame, 1));
	hv_net_settle();
	CU_ASSERT_EQUAL(hv_rig.ends[1].count, 1);
	CU_ASSERT_EQUAL(hv_rig.ends[1].frame.len, 204);
	CU_ASSERT_FALSE(hv_rig.ends[1].frame.tagged);
	CU_ASSERT_EQUAL(memcmp(hv_rig.ends[1].last + 12, "\x81\x00\x00\x4D", 4), 0);
	hv_packet_fill(MAC(0), MAC(1), 200);
	CU_ASSERT_TRUE(hv_netvsc_send(&hv_rig.ends[1].net, &frame, 1));
	hv_net_settle();
	CU_ASSERT_EQUAL(hv_rig.ends[0].count, 1);
	CU_ASSERT_TRUE(hv_rig.ends[0].frame.tagged);
	CU_ASSERT_EQUAL(hv_rig.ends[0].frame.vlan, 77);
	CU_ASSERT_EQUAL(hv_rig.ends[0].frame.len, 200);
	CU_ASSERT_EQUAL(memcmp(hv_rig.ends[0].last, hv_rig.packet, 200), 0);
	hv_net_down();
}

/* As many as there is room for, both ways at once; none is lost on the way out. */
static void test_net_burst(void)
{
	uint32_t sent[2] = {0, 0};

	hv_net_up(HV_NET_ANY);
	for (uint32_t from = 0; from < 2; from++) {
		hv_packet_fill(MAC(1 - from), MAC(from), 60);
		CU_ASSERT_TRUE(send_packet(from, 60));
	}
	hv_net_settle();
	for (uint32_t round = 0; round < 500; round++) {
		for (uint32_t from = 0; from < 2; from++) {
			hv_rig.ends[from].net.way = (enum hv_net_way)(round % 3);
			hv_packet_fill(MAC(1 - from), MAC(from), 1514);
			while (send_packet(from, 1514)) {
				sent[from]++;
			}
		}
		hv_net_settle();
	}
	CU_ASSERT_TRUE(sent[0] >= 500 * HV_NET_LARGE);
	CU_ASSERT_EQUAL(hv_rig.ends[1].count, sent[0] + 1);
	CU_ASSERT_EQUAL(hv_rig.ends[0].count, sent[1] + 1);
	hv_net_down();
}

/* Frames that arrive while the guest does not look: what fits is kept, the rest dropped, no more. */
static void test_net_slow_receiver(void)
{
	uint32_t sent = 0;

	hv_net_up(HV_NET_ANY);
	for (uint32_t round = 0; round < 200; round++) {
		hv_packet_fill(MAC(1), MAC(0), 1000);
		while (send_packet(0, 1000)) {
			sent++;
		}
		hv_poll(&hv_rig.hvs[0]); /* not the other one */
	}
	hv_net_settle();
	CU_ASSERT_TRUE(hv_rig.ends[1].count > 100 && hv_rig.ends[1].count < sent);
	hv_packet_fill(MAC(1), MAC(0), 1000);
	sent = hv_rig.ends[1].count;
	CU_ASSERT_TRUE(send_packet(0, 1000));
	hv_net_settle();
	CU_ASSERT_EQUAL(hv_rig.ends[1].count, sent + 1);
	CU_ASSERT_EQUAL(memcmp(hv_rig.ends[1].last, hv_rig.packet, 1000), 0);
	hv_net_down();
}

UNIT_MAIN("hyper-v network loopback", UNIT_TEST(test_net_versions), UNIT_TEST(test_net_objects),
	  UNIT_TEST(test_net_sizes_sections), UNIT_TEST(test_net_sizes_pages),
	  UNIT_TEST(test_net_sizes_apart), UNIT_TEST(test_net_batches),
	  UNIT_TEST(test_net_checksum), UNIT_TEST(test_net_large), UNIT_TEST(test_net_tags),
	  UNIT_TEST(test_net_burst), UNIT_TEST(test_net_slow_receiver))
