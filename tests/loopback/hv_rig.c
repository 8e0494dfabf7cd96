/*
 * hv_rig.c - the rig of the Hyper-V loopback tests.
 */
#include "tests/loopback/hv_rig.h"

struct hv_rig hv_rig;

uint64_t hv_random64(void)
{
	static uint64_t state = 0xD1B54A32D192ED03ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint64_t hv_checksum(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t sum = 0xCBF29CE484222325ull;

	for (size_t i = 0; i < len; i++) {
		sum = (sum ^ at[i]) * 0x100000001B3ull;
	}
	return sum;
}

/* ------------------------------------------------------------------ guests */

void hv_rig_new(uint32_t i, uint32_t disk_count, uint32_t nic_count)
{
	struct loop_config config = {
		.id = i + 1,
		.memory_bytes = 8u << 20,
		.disk_count = disk_count,
		.disks = {{.block = &hv_rig.disks[0]},
			  {.block = &hv_rig.disks[1], .read_only = true}},
		.nic_count = nic_count,
		.nic_switch = &hv_rig.lan,
		.first_mac = (uint8_t)(0x20 + i),
	};

	loop_hv_new(&hv_rig.loops[i], &config);
}

void hv_rig_up(uint32_t i, uint32_t version, uint32_t disk_count, uint32_t nic_count)
{
	hv_rig_new(i, disk_count, nic_count);
	CU_ASSERT_TRUE_FATAL(hv_start(&hv_rig.hvs[i], &hv_rig.loops[i].guest));
	CU_ASSERT_TRUE_FATAL(hv_bus_connect(&hv_rig.hvs[i], version));
	CU_ASSERT_EQUAL(hv_rig.hvs[i].bus.version, version);
	CU_ASSERT_TRUE_FATAL(hv_bus_offers(&hv_rig.hvs[i]));
}

void hv_rig_down(uint32_t i)
{
	CU_ASSERT_TRUE(hv_bus_unload(&hv_rig.hvs[i]));
	CU_ASSERT_EQUAL(hv_rig.hvs[i].bus.bad_messages, 0);
	CU_ASSERT_FALSE(host_vm_killed(hv_rig.loops[i].vm));
	hv_stop(&hv_rig.hvs[i]);
	loop_hv_free(&hv_rig.loops[i], true);
}

void hv_rig_forget_pages(uint32_t i)
{
	memset(hv_rig.loops[i].page_used, 0, hv_rig.loops[i].page_count);
	hv_rig.loops[i].pages_out = 0;
}

/* ------------------------------------------------------------------ disks */

void hv_media_fill(void)
{
	for (uint32_t i = 0; i < HV_DISK_BYTES; i++) {
		hv_rig.medium[i] = (uint8_t)(i / 512 * 7 + i);
	}
	memcpy(hv_rig.expected, hv_rig.medium, HV_DISK_BYTES);
	memset(hv_rig.second_medium, 0x5A, sizeof(hv_rig.second_medium));
	block_ram_open(&hv_rig.disks[0], hv_rig.medium, HV_DISK_BYTES, false, "loop-0");
	block_ram_open(&hv_rig.disks[1], hv_rig.second_medium, sizeof(hv_rig.second_medium), true,
		       "loop-1");
}

void hv_disk_up(uint32_t version)
{
	hv_media_fill();
	hv_rig_up(0, version, 2, 0);
	CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
	CU_ASSERT_TRUE_FATAL(hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0));
}

void hv_disk_down(void)
{
	CU_ASSERT_FALSE(hv_rig.stor.channel.broken);
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	CU_ASSERT_EQUAL(hv_rig.stor.channel.lost_pages, 0);
	hv_rig_down(0);
}

void hv_io_alloc(struct hv_io *io, uint32_t guest)
{
	memset(io, 0, sizeof(*io));
	for (uint32_t i = 0; i < HV_IO_PAGES; i++) {
		CU_ASSERT_TRUE_FATAL(
			guest_page_alloc(&hv_rig.loops[guest].guest, &io->pages[i]));
		io->gfns[i] = io->pages[i].gfn;
	}
}

void hv_io_free(struct hv_io *io, uint32_t guest)
{
	for (uint32_t i = 0; i < HV_IO_PAGES; i++) {
		guest_page_free(&hv_rig.loops[guest].guest, &io->pages[i]);
	}
}

void hv_io_shape(struct hv_io *io, bool write, uint64_t sector, uint32_t sectors, uint32_t offset)
{
	io->write = write;
	io->sector = sector;
	io->buffer = (struct hv_buffer){offset, sectors * 512, io->gfns};
	for (uint32_t i = 0; i < HV_IO_PAGES; i++) {
		for (uint32_t n = 0; write && n < PAGE_BYTES; n += 8) {
			uint64_t word = hv_random64();

			memcpy(io->pages[i].bytes + n, &word, 8);
		}
		if (!write) {
			memset(io->pages[i].bytes, 0xEE, PAGE_BYTES);
		}
	}
}

void hv_io_done(void *context, const struct hv_scsi_result *result)
{
	struct hv_io *io = context;

	CU_ASSERT_TRUE(io->busy);
	io->busy = false;
	io->result = *result;
}

bool hv_io_submit(struct hv_io *io)
{
	io->busy = true;
	if (!hv_disk_submit(&hv_rig.disk, io->write ? HV_DISK_WRITE : HV_DISK_READ, io->sector,
			    &io->buffer, hv_io_done, io)) {
		io->busy = false;
		return false;
	}
	return true;
}

void hv_io_wait(const struct hv_io *io)
{
	for (uint32_t i = 0; i < 1000 && io->busy; i++) {
		hv_poll(&hv_rig.hvs[0]);
	}
	CU_ASSERT_FALSE_FATAL(io->busy);
}

bool hv_io_apply(const struct hv_io *io)
{
	uint8_t *at = hv_rig.expected + io->sector * 512;
	uint32_t offset = io->buffer.offset, left = io->buffer.bytes;
	bool same = true;

	for (uint32_t i = 0; left != 0; i++) {
		uint32_t here = PAGE_BYTES - offset < left ? PAGE_BYTES - offset : left;

		if (io->write) {
			memcpy(at, io->pages[i].bytes + offset, here);
		} else {
			same = memcmp(at, io->pages[i].bytes + offset, here) == 0 && same;
		}
		at += here;
		left -= here;
		offset = 0;
	}
	return same;
}

/* ------------------------------------------------------------------ network */

void hv_net_received(void *context, const struct hv_net_frame *frame)
{
	struct hv_end *end = context;

	memcpy(end->last, frame->bytes, frame->len);
	end->frame = *frame;
	end->frame.bytes = end->last;
	end->count++;
	end->bytes += frame->len;
}

bool hv_net_open(uint32_t i)
{
	return hv_netvsc_open(&hv_rig.ends[i].net, &hv_rig.hvs[i], 0, hv_net_received,
			      &hv_rig.ends[i]);
}

void hv_net_up(enum hv_net_way way)
{
	switch_init(&hv_rig.lan, "lan");
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	for (uint32_t i = 0; i < 2; i++) {
		hv_rig_up(i, VERSION_WIN10_V5_3, 0, 1);
		hv_rig.ends[i].net.way = way;
		CU_ASSERT_TRUE_FATAL(hv_net_open(i));
	}
}

void hv_net_down(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_FALSE(hv_rig.ends[i].net.channel.broken);
		CU_ASSERT_TRUE(hv_netvsc_close(&hv_rig.ends[i].net));
		CU_ASSERT_EQUAL(hv_rig.ends[i].net.channel.lost_pages, 0);
		CU_ASSERT_EQUAL(hv_rig.ends[i].net.send_error_count, 0);
		CU_ASSERT_EQUAL(hv_rig.ends[i].net.receive_error_count, 0);
		CU_ASSERT_EQUAL(hv_rig.ends[i].net.used_count, 0);
		hv_rig_down(i);
	}
}

void hv_net_settle(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		hv_poll(&hv_rig.hvs[0]);
		hv_poll(&hv_rig.hvs[1]);
	}
}

void hv_packet_fill(const uint8_t to[6], const uint8_t from[6], uint32_t len)
{
	memcpy(hv_rig.packet, to, 6);
	memcpy(hv_rig.packet + 6, from, 6);
	hv_rig.packet[12] = 0x88; /* for experiments */
	hv_rig.packet[13] = 0xB5;
	for (uint32_t i = 14; i < len; i++) {
		hv_rig.packet[i] = (uint8_t)hv_random64();
	}
}

static uint32_t sum16(const uint8_t *bytes, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	}
	while (sum >> 16 != 0) {
		sum = (sum & 0xFFFF) + (sum >> 16);
	}
	return sum;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint32_t hv_packet_fill_ip(const uint8_t to[6], const uint8_t from[6], bool udp, uint32_t payload)
{
	uint8_t *ip = hv_rig.packet + 14, *transport = ip + 20;
	uint32_t head = udp ? 8 : 20, len = 14 + 20 + head + payload;

	hv_packet_fill(to, from, len);
	put16(hv_rig.packet + 12, 0x0800);
	memset(ip, 0, 20 + head);
	ip[0] = 0x45;
	put16(ip + 2, 20 + head + payload);
	ip[8] = 64;
	ip[9] = udp ? 17 : 6;
	memcpy(ip + 12, "\x0A\x00\x00\x01\x0A\x00\x00\x02", 8);
	put16(ip + 10, ~sum16(ip, 20, 0) & 0xFFFF);
	put16(transport, 1000);
	put16(transport + 2, 2000);
	if (udp) {
		put16(transport + 4, 8 + payload);
	} else {
		transport[12] = 5 << 4;
		transport[13] = 0x10; /* ACK */
		put16(transport + 14, 1000);
	}
	put16(transport + (udp ? 6 : 16), sum16(ip + 12, 8, (uint32_t)ip[9] + head + payload));
	return len;
}

bool hv_packet_sum_is_right(const uint8_t *bytes, uint32_t len)
{
	const uint8_t *ip = bytes + 14;
	uint32_t total = (uint32_t)ip[2] << 8 | ip[3];

	return len >= 34 && ip[0] == 0x45 && total <= len - 14 && sum16(ip, 20, 0) == 0xFFFF &&
	       sum16(ip + 20, total - 20, sum16(ip + 12, 8, ip[9] + total - 20)) == 0xFFFF;
}

/* ------------------------------------------------------------------ a whole life */

void hv_life(void)
{
	struct hv_guest *hv = &hv_rig.hvs[0];
	static struct hv_ic ic;
	struct hv_netvsc *net = &hv_rig.ends[0].net;
	static struct hv_io io;
	struct hv_net_frame frame = {.bytes = hv_rig.packet, .len = 300};

	memset(&io, 0, sizeof(io));
	memset(&hv_rig.ends[0], 0, sizeof(hv_rig.ends[0]));
	if (!hv_start(hv, &hv_rig.loops[0].guest) ||
	    !hv_bus_connect(hv, VERSION_WIN10_V5_3) || !hv_bus_offers(hv)) {
		return;
	}
	if (hv_storvsc_open(&hv_rig.stor, hv, 0)) {
		hv_io_alloc(&io, 0);
		hv_io_shape(&io, true, 9, 60, 4);
		if (hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0) && hv_io_submit(&io)) {
			hv_poll(hv);
		}
		if (hv_storvsc_close(&hv_rig.stor)) {
			hv_io_free(&io, 0);
		}
	}
	if (hv_ic_open(&ic, hv, ICMSGTYPE_HEARTBEAT)) {
		(void)hv_ic_close(&ic);
	}
	if (hv_net_open(0)) {
		hv_packet_fill(net->mac, net->mac, 300);
		(void)!hv_netvsc_send(net, &frame, 1);
		hv_poll(hv);
		(void)hv_netvsc_close(net);
	}
	(void)!hv_bus_unload(hv);
	hv_stop(hv);
}

void hv_life_again(void)
{
	struct hv_guest *hv = &hv_rig.hvs[0];

	hv_rig_forget_pages(0);
	CU_ASSERT_TRUE_FATAL(hv_start(hv, &hv_rig.loops[0].guest));
	CU_ASSERT_TRUE_FATAL(hv_bus_connect(hv, VERSION_WIN10_V5_3));
	CU_ASSERT_TRUE_FATAL(hv_bus_offers(hv));
	CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&hv_rig.stor, hv, 0));
	CU_ASSERT_TRUE(hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0));
	CU_ASSERT_TRUE_FATAL(hv_net_open(0));
	CU_ASSERT_TRUE(hv_netvsc_close(&hv_rig.ends[0].net));
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
}
