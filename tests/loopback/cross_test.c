/*
 * cross_test.c - one guest with the Hyper-V face and one with the Xen face, on one disk image and
 * on one switch: what is written through storvsc is read through blkfront and the other way round,
 * netvsc and netfront send to each other.
 */
#include "guest-drivers/xen/xen.h"
#include "tests/loopback/hv_rig.h"

#define VBD_ID (202u << 8)
#define CHUNK_SECTORS 8u /* a page: what both sides move at a time here */

static struct loop_guest xen_loop;
static struct xen_guest xen;
static struct xen_blkfront blk;
static struct xen_netfront net;
static struct guest_page page;
static uint8_t last[65536];
static struct xen_net_frame last_frame;
static uint32_t received, done;
static int done_status;

/* ------------------------------------------------------------------ both guests */

static void both_up(void)
{
	struct loop_config config = {
		.id = 2,
		.disk_count = 1,
		.disks = {{.block = &hv_rig.disks[0]}},
		.nic_count = 1,
		.nic_switch = &hv_rig.lan,
		.first_mac = 0x40,
	};

	switch_init(&hv_rig.lan, "lan");
	hv_media_fill();
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	hv_rig_up(0, VERSION_WIN10_V5_3, 2, 1);
	loop_xen_new(&xen_loop, &config);
	CU_ASSERT_EQUAL_FATAL(xen_start(&xen, &xen_loop.guest), 0);
	CU_ASSERT_EQUAL_FATAL(xen_store_start(&xen), 0);
}

static void both_down(void)
{
	xen_stop(&xen);
	CU_ASSERT_FALSE(host_vm_killed(xen_loop.vm));
	loop_xen_free(&xen_loop, true);
	hv_rig_down(0);
}

static void poll_both(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		hv_poll(&hv_rig.hvs[0]);
		xen_poll(&xen);
	}
}

/* ------------------------------------------------------------------ the disk */

static void blk_done(void *context, int status)
{
	(void)context;
	done_status = status;
	done++;
}

static void xen_transfer(bool write, uint64_t sector)
{
	const struct xen_blk_piece piece = {.gfn = page.gfn, .first = 0, .last = CHUNK_SECTORS - 1};
	uint32_t before = done;

	CU_ASSERT_TRUE_FATAL(xen_blkfront_submit(&blk, write ? BLKIF_OP_WRITE : BLKIF_OP_READ, sector,
						 &piece, 1, blk_done, NULL));
	for (uint32_t i = 0; i < 100 && done == before; i++) {
		xen_poll(&xen);
	}
	CU_ASSERT_EQUAL_FATAL(done, before + 1);
	CU_ASSERT_EQUAL(done_status, BLKIF_RSP_OKAY);
}

static void hv_transfer(struct hv_io *io, bool write, uint64_t sector)
{
	hv_io_shape(io, write, sector, CHUNK_SECTORS, (uint32_t)(hv_random64() % 1024) * 4);
	CU_ASSERT_TRUE_FATAL(hv_io_submit(io));
	hv_io_wait(io);
	CU_ASSERT_EQUAL_FATAL(io->result.srb_status, SRB_STATUS_SUCCESS);
}

static uint64_t io_checksum(const struct hv_io *io)
{
	uint8_t bytes[PAGE_BYTES];
	uint32_t head = PAGE_BYTES - io->buffer.offset;

	memcpy(bytes, io->pages[0].bytes + io->buffer.offset, head);
	memcpy(bytes + head, io->pages[1].bytes, PAGE_BYTES - head);
	return hv_checksum(bytes, PAGE_BYTES);
}

static void test_disk(void)
{
	static uint64_t sums[HV_DISK_SECTORS / CHUNK_SECTORS];
	struct hv_io io;

	both_up();
	CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
	CU_ASSERT_TRUE_FATAL(hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0));
	CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xen, VBD_ID));
	CU_ASSERT_EQUAL(blk.sector_count, hv_rig.disk.sector_count);
	CU_ASSERT_TRUE_FATAL(guest_page_alloc(&xen_loop.guest, &page));
	hv_io_alloc(&io, 0);
	/* Even chunks are written by one, odd ones by the other. */
	for (uint32_t i = 0; i < ARRAY_COUNT(sums); i++) {
		if (i % 2 == 0) {
			hv_transfer(&io, true, i * CHUNK_SECTORS);
			sums[i] = io_checksum(&io);
		} else {
			for (uint32_t n = 0; n < PAGE_BYTES; n++) {
				page.bytes[n] = (uint8_t)hv_random64();
			}
			sums[i] = hv_checksum(page.bytes, PAGE_BYTES);
			xen_transfer(true, i * CHUNK_SECTORS);
		}
	}
	/* Each reads what the other wrote, and its own. */
	for (uint32_t i = 0; i < ARRAY_COUNT(sums); i++) {
		memset(page.bytes, 0, PAGE_BYTES);
		xen_transfer(false, i * CHUNK_SECTORS);
		CU_ASSERT_EQUAL_FATAL(hv_checksum(page.bytes, PAGE_BYTES), sums[i]);
		hv_transfer(&io, false, i * CHUNK_SECTORS);
		CU_ASSERT_EQUAL_FATAL(io_checksum(&io), sums[i]);
	}
	hv_io_free(&io, 0);
	guest_page_free(&xen_loop.guest, &page);
	CU_ASSERT_TRUE(xen_blkfront_close(&blk));
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	both_down();
}

/* ------------------------------------------------------------------ the network */

static void net_received(void *context, const struct xen_net_frame *frame)
{
	(void)context;
	memcpy(last, frame->bytes, frame->len);
	last_frame = *frame;
	received++;
}

static void net_up(void)
{
	both_up();
	received = 0;
	CU_ASSERT_TRUE_FATAL(hv_net_open(0));
	CU_ASSERT_TRUE_FATAL(xen_netfront_open(&net, &xen, 0, net_received, NULL));
}

static void net_down(void)
{
	CU_ASSERT_TRUE(xen_netfront_close(&net));
	CU_ASSERT_EQUAL(net.send_error_count + net.receive_error_count + net.lost_pages, 0);
	CU_ASSERT_FALSE(hv_rig.ends[0].net.channel.broken);
	CU_ASSERT_EQUAL(hv_rig.ends[0].net.send_error_count, 0);
	CU_ASSERT_TRUE(hv_netvsc_close(&hv_rig.ends[0].net));
	both_down();
}

static void to_xen(uint32_t len, const struct hv_net_frame *how)
{
	struct hv_net_frame frame = *how;

	frame.bytes = hv_rig.packet;
	frame.len = len;
	CU_ASSERT_TRUE_FATAL(hv_netvsc_send(&hv_rig.ends[0].net, &frame, 1));
	poll_both();
}

static void to_hyperv(uint32_t len, const struct xen_net_frame *how)
{
	struct xen_net_frame frame = *how;

	frame.bytes = hv_rig.packet;
	frame.len = len;
	CU_ASSERT_TRUE_FATAL(xen_netfront_send(&net, &frame));
	poll_both();
}

static void test_net_sizes(void)
{
	const struct hv_net_frame hv_plain = {.len = 0};
	const struct xen_net_frame xen_plain = {.len = 0};
	uint32_t count = 0;

	net_up();
	for (uint32_t len = 60; len <= 1514; len++) {
		count++;
		hv_rig.ends[0].net.way = (enum hv_net_way)(len % 3);
		hv_packet_fill(net.mac, hv_rig.ends[0].net.mac, len);
		to_xen(len, &hv_plain);
		CU_ASSERT_EQUAL_FATAL(received, count);
		CU_ASSERT_EQUAL(last_frame.len, len);
		CU_ASSERT_EQUAL(memcmp(last, hv_rig.packet, len), 0);
		hv_packet_fill(hv_rig.ends[0].net.mac, net.mac, len);
		to_hyperv(len, &xen_plain);
		CU_ASSERT_EQUAL_FATAL(hv_rig.ends[0].count, count);
		CU_ASSERT_EQUAL(hv_rig.ends[0].frame.len, len);
		CU_ASSERT_EQUAL(memcmp(hv_rig.ends[0].last, hv_rig.packet, len), 0);
	}
	net_down();
}

/* A blank checksum stays blank for netfront, which takes that, and is filled in for netvsc. */
static void test_net_checksum(void)
{
	const struct xen_net_frame xen_blank = {.checksum_blank = true};
	struct hv_net_frame hv_blank = {.checksum_blank = true, .transport_offset = 34};
	uint32_t len;

	net_up();
	for (uint32_t round = 0; round < 100; round++) {
		hv_blank.udp = round % 2 == 0;
		len = hv_packet_fill_ip(net.mac, hv_rig.ends[0].net.mac, hv_blank.udp, round * 13);
		to_xen(len, &hv_blank);
		CU_ASSERT_EQUAL_FATAL(received, round + 1);
		CU_ASSERT_TRUE(last_frame.checksum_blank || hv_packet_sum_is_right(last, len));
		CU_ASSERT_EQUAL(memcmp(last + 54, hv_rig.packet + 54, len > 54 ? len - 54 : 0), 0);
		len = hv_packet_fill_ip(hv_rig.ends[0].net.mac, net.mac, hv_blank.udp, round * 13);
		to_hyperv(len, &xen_blank);
		CU_ASSERT_EQUAL_FATAL(hv_rig.ends[0].count, round + 1);
		CU_ASSERT_TRUE(hv_packet_sum_is_right(hv_rig.ends[0].last, len));
	}
	net_down();
}

/* A large send arrives whole at netfront, and cut at netvsc. */
static uint32_t pieces, piece_bytes, bad_pieces;

static void take_piece(void *context, const struct hv_net_frame *frame)
{
	uint32_t payload = ((uint32_t)frame->bytes[16] << 8 | frame->bytes[17]) - 40;

	(void)context;
	pieces++;
	bad_pieces += !hv_packet_sum_is_right(frame->bytes, frame->len) ||
		      memcmp(frame->bytes + 54, hv_rig.packet + 54 + piece_bytes, payload) != 0;
	piece_bytes += payload;
}

static void test_net_large(void)
{
	const struct xen_net_frame xen_large = {.checksum_blank = true, .gso_bytes = 1400,
						.gso_type = XEN_NETIF_GSO_TYPE_TCPV4};
	const struct hv_net_frame hv_large = {.segment_bytes = 1400, .transport_offset = 34};
	static const uint32_t sizes[] = {1401, 5000, 30000, 60000, 64900};
	uint32_t len;

	net_up();
	hv_rig.ends[0].net.receive = take_piece;
	for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		len = hv_packet_fill_ip(net.mac, hv_rig.ends[0].net.mac, false, sizes[i]);
		to_xen(len, &hv_large);
		CU_ASSERT_EQUAL_FATAL(received, i + 1);
		CU_ASSERT_EQUAL(last_frame.len, len);
		CU_ASSERT_EQUAL(last_frame.gso_bytes, 1400);
		CU_ASSERT_EQUAL(memcmp(last + 54, hv_rig.packet + 54, sizes[i]), 0);
		len = hv_packet_fill_ip(hv_rig.ends[0].net.mac, net.mac, false, sizes[i]);
		pieces = 0;
		piece_bytes = 0;
		to_hyperv(len, &xen_large);
		CU_ASSERT_EQUAL(piece_bytes, sizes[i]);
		CU_ASSERT_EQUAL(pieces, (sizes[i] + 1399) / 1400);
		CU_ASSERT_EQUAL(bad_pieces, 0);
	}
	net_down();
}

UNIT_MAIN("hyper-v and xen loopback", UNIT_TEST(test_disk), UNIT_TEST(test_net_sizes),
	  UNIT_TEST(test_net_checksum), UNIT_TEST(test_net_large))
