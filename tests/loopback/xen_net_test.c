/*
 * xen_net_test.c - two netfronts over netback and the switch: all sizes, large sends, bursts, and
 * lying rings.
 */
#include "tests/loopback/xen_rig.h"

/* ------------------------------------------------------------------ the network */

static void test_net_addresses(void)
{
	rig_net_up();
	CU_ASSERT_EQUAL(rig.ends[0].net.mac[5], 0x10);
	CU_ASSERT_EQUAL(rig.ends[1].net.mac[5], 0x11);
	CU_ASSERT_EQUAL(rig.ends[1].net.mac[0], 2);
	rig_net_down();
}

static void test_net_sizes(void)
{
	rig_net_up();
	for (uint32_t len = 60; len <= 1514; len++) {
		uint32_t from = len % 2;

		rig.ends[from].net.first_bytes = len % 3 == 0 ? 14 + len % 100 : 0;
		rig.ends[from].net.send_offset = len % 5 == 0 ? len : 0;
		rig_packet_fill(from, len);
		CU_ASSERT_TRUE_FATAL(rig_packet_send(from, len));
		rig_net_settle();
		CU_ASSERT_EQUAL_FATAL(rig.ends[1 - from].count, (len - 60) / 2 + 1);
		CU_ASSERT_EQUAL(rig.ends[1 - from].frame.len, len);
		CU_ASSERT_EQUAL(memcmp(rig.ends[1 - from].last, rig.packet, len), 0);
	}
	rig_net_down();
}

/* As many as there is room for, both ways at once. */
static void test_net_burst(void)
{
	uint32_t sent[2] = {0, 0};

	rig_net_up();
	rig_packet_fill(0, 60);
	CU_ASSERT_TRUE(rig_packet_send(0, 60));
	rig_packet_fill(1, 60);
	CU_ASSERT_TRUE(rig_packet_send(1, 60));
	rig_net_settle();
	CU_ASSERT_EQUAL(rig.ends[0].count + rig.ends[1].count, 2);
	for (uint32_t round = 0; round < 500; round++) {
		for (uint32_t from = 0; from < 2; from++) {
			rig_packet_fill(from, 1514);
			while (rig_packet_send(from, 1514)) {
				sent[from]++;
			}
		}
		rig_net_settle();
	}
	CU_ASSERT_TRUE(sent[0] >= 500 * XEN_NET_SEND_PAGES);
	CU_ASSERT_EQUAL(rig.ends[1].count, sent[0] + 1);
	CU_ASSERT_EQUAL(rig.ends[0].count, sent[1] + 1);
	rig_net_down();
}

/* ------------------------------------------------------------------ large sends */

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* A TCP packet over IPv4 or IPv6 with @payload bytes; returns its length. */
static uint32_t tcp_fill(uint32_t from, bool ipv6, uint32_t payload)
{
	uint32_t l4 = ipv6 ? 54 : 34, len = l4 + 20 + payload;

	rig_packet_fill(from, len);
	memset(rig.packet + 12, 0, l4 + 20 - 12);
	put16(rig.packet + 12, ipv6 ? 0x86DD : 0x0800);
	if (ipv6) {
		rig.packet[14] = 0x60;
		put16(rig.packet + 18, 20 + payload);
		rig.packet[20] = 6;
	} else {
		rig.packet[14] = 0x45;
		put16(rig.packet + 16, 40 + payload);
		rig.packet[23] = 6;
	}
	rig.packet[l4 + 12] = 0x50;
	rig.packet[l4 + 13] = 0x10;
	return len;
}

static void test_net_large(void)
{
	static const uint32_t sizes[] = {1,	1448,  1449,  2896,	      4096,
					 20000, 60001, 65000, 65535 - 40 - 34};

	rig_net_up();
	rig_packet_fill(1, 60);
	CU_ASSERT_TRUE(rig_packet_send(1, 60));
	rig_net_settle();
	for (uint32_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool ipv6 = i % 2 != 0;
		uint32_t payload = sizes[i / 2], len = tcp_fill(0, ipv6, payload);
		struct xen_net_frame frame = {
			.bytes = rig.packet,
			.len = len,
			.checksum_blank = true,
			.gso_bytes = 1448,
			.gso_type = ipv6 ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4,
		};

		rig.ends[0].net.first_bytes = i % 3 == 0 ? 128 : 0;
		CU_ASSERT_TRUE_FATAL(xen_netfront_send(&rig.ends[0].net, &frame));
		rig_net_settle();
		CU_ASSERT_EQUAL_FATAL(rig.ends[1].count, i + 1);
		CU_ASSERT_EQUAL(rig.ends[1].frame.len, len);
		CU_ASSERT_TRUE(rig.ends[1].frame.checksum_blank);
		CU_ASSERT_EQUAL(rig.ends[1].frame.gso_bytes, payload > 1448 ? 1448 : 0);
		CU_ASSERT_EQUAL(rig.ends[1].frame.gso_type, payload > 1448 ? frame.gso_type : 0);
		CU_ASSERT_EQUAL(memcmp(rig.ends[1].last + (len - payload),
				       rig.packet + (len - payload), payload),
				0);
	}
	CU_ASSERT_EQUAL(rig.loops[0].ports[0].counts.dropped_frames, 0);
	rig_net_down();
}

/* To a receiver that takes nothing: cut here, each segment whole and summed. */
static void test_net_cut(void)
{
	struct xen_net_frame frame = {.bytes = rig.packet,
				      .checksum_blank = true,
				      .gso_bytes = 1448,
				      .gso_type = XEN_NETIF_GSO_TYPE_TCPV4};

	rig_net_up();
	rig_packet_fill(1, 60);
	CU_ASSERT_TRUE(rig_packet_send(1, 60));
	rig_net_settle();
	switch_set_offloads(&rig.loops[1].ports[0], 0);
	frame.len = tcp_fill(0, false, 60000);
	CU_ASSERT_TRUE(xen_netfront_send(&rig.ends[0].net, &frame));
	rig_net_settle();
	CU_ASSERT_EQUAL(rig.ends[1].count, 42);
	CU_ASSERT_FALSE(rig.ends[1].frame.checksum_blank);
	CU_ASSERT_TRUE(rig.ends[1].frame.checksum_good);
	CU_ASSERT_EQUAL(rig.ends[1].frame.len, 54 + 60000 % 1448);
	CU_ASSERT_EQUAL(
		memcmp(rig.ends[1].last + 54, rig.packet + frame.len - 60000 % 1448, 60000 % 1448),
		0);
	rig_net_down();
}

static void test_net_reconnects(void)
{
	rig_net_up();
	for (uint32_t i = 0; i < 12; i++) {
		rig_packet_fill(0, 100);
		CU_ASSERT_TRUE(rig_packet_send(0, 100));
		CU_ASSERT_TRUE_FATAL(xen_netfront_close(&rig.ends[i % 2].net));
		CU_ASSERT_EQUAL(rig.ends[i % 2].net.lost_pages, 0);
		CU_ASSERT_TRUE_FATAL(rig_net_open(i % 2));
		rig_packet_fill(1, 100);
		CU_ASSERT_TRUE(rig_packet_send(1, 100));
		rig_net_settle();
		CU_ASSERT_EQUAL(rig.ends[0].frame.len, 100);
		CU_ASSERT_EQUAL(memcmp(rig.ends[0].last, rig.packet, 100), 0);
	}
	rig_net_down();
}

/*
 * ------------------------------------------------------------------ a guest that lies to its host
 */

/* Each byte of a request is fetched once, whatever becomes of it. */
static void test_requests_are_fetched_once(void)
{
	struct rig_io io;

	rig_disk_up(false);
	rig_io_alloc(&io);
	host_fetch_watch(rig.loops[0].vm, (rig.blk.ring.page.gfn << 12) + XEN_RING_HEADER_BYTES,
			 4096 - 64);
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		rig_io_shape(&io, (uint8_t)(i % 4), i);
		CU_ASSERT_TRUE(rig_io_submit(&io));
		rig_io_wait(&io);
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	rig_io_free(&io);
	rig_disk_down();
	rig_net_up();
	host_fetch_watch(rig.loops[0].vm,
			 (rig.ends[0].net.tx.page.gfn << 12) + XEN_RING_HEADER_BYTES, 4096 - 64);
	for (uint32_t i = 0; i < 100; i++) {
		rig_packet_fill(0, 1500);
		CU_ASSERT_TRUE(rig_packet_send(0, 1500));
		rig_net_settle();
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_watch(rig.loops[1].vm,
			 (rig.ends[1].net.rx.page.gfn << 12) + XEN_RING_HEADER_BYTES, 4096 - 64);
	for (uint32_t i = 0; i < 100; i++) {
		rig_packet_fill(0, 1500);
		CU_ASSERT_TRUE(rig_packet_send(0, 1500));
		rig_net_settle();
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	rig_net_down();
}

/* The rings change under the backend with each look: it refuses, breaks off, and lets go of all. */
static void test_scribbled_rings(void)
{
	struct rig_io io;

	block_ram_open(&rig.disk, rig.medium, DISK_BYTES, false, "loop");
	switch_init(&rig.lan, "lan");
	for (uint32_t round = 0; round < 60; round++) {
		uint64_t gfn;

		rig_up(0, 1, 1);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
		memset(&rig.ends[0], 0, sizeof(rig.ends[0]));
		CU_ASSERT_TRUE_FATAL(rig_net_open(0));
		rig_io_alloc(&io);
		gfn = round % 3 == 0 ? rig.blk.ring.page.gfn
		      : round % 3 == 1 ? rig.ends[0].net.tx.page.gfn : rig.ends[0].net.rx.page.gfn;
		host_scribble(rig.loops[0].vm, (gfn << 12) + round % 2 * 64, 4096 - 64, round + 1);
		for (uint32_t i = 0; i < 20; i++) {
			rig_io_shape(&io, (uint8_t)(i % 2), i);
			(void)rig_io_submit(&io);
			rig_packet_fill(0, 1500);
			(void)!rig_packet_send(0, 1500);
			host_time_advance_ns(rig.loops[0].vm, 1000);
			(void)loop_run_all();
		}
		host_load_hook(NULL, NULL);
		CU_ASSERT_FALSE(host_vm_killed(rig.loops[0].vm));
		loop_xen_free(&rig.loops[0], false);
	}
}

UNIT_MAIN("xen net", UNIT_TEST(test_net_addresses), UNIT_TEST(test_net_sizes),
	  UNIT_TEST(test_net_burst), UNIT_TEST(test_net_large), UNIT_TEST(test_net_cut),
	  UNIT_TEST(test_net_reconnects), UNIT_TEST(test_requests_are_fetched_once),
	  UNIT_TEST(test_scribbled_rings))
