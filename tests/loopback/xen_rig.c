/*
 * xen_rig.c - the rig of the Xen loopback tests.
 */
#include "tests/loopback/xen_rig.h"

struct rig rig;

uint64_t rig_random64(void)
{
	static uint64_t state = 0x9E3779B97F4A7C15ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

void rig_up(uint32_t i, uint32_t disk_count, uint32_t nic_count)
{
	struct loop_config config = {
		.id = i + 1,
		.disk_count = disk_count,
		.disks = {{.block = &rig.disk}},
		.nic_count = nic_count,
		.nic_switch = &rig.lan,
		.first_mac = (uint8_t)(0x10 + i),
	};

	loop_xen_new(&rig.loops[i], &config);
	CU_ASSERT_EQUAL_FATAL(xen_start(&rig.xens[i], &rig.loops[i].guest), 0);
	CU_ASSERT_EQUAL_FATAL(xen_store_start(&rig.xens[i]), 0);
}

void rig_down(uint32_t i)
{
	xen_stop(&rig.xens[i]);
	CU_ASSERT_FALSE(host_vm_killed(rig.loops[i].vm));
	loop_xen_free(&rig.loops[i], true);
}

static void rig_io_done(void *context, int status)
{
	struct rig_io *io = context;

	CU_ASSERT_TRUE(io->busy);
	io->busy = false;
	io->status = status;
	rig.done_count++;
}

void rig_io_alloc(struct rig_io *io)
{
	memset(io, 0, sizeof(*io));
	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		CU_ASSERT_TRUE_FATAL(guest_page_alloc(&rig.loops[0].guest, &io->pages[i]));
		io->pieces[i].gfn = io->pages[i].gfn;
	}
}

void rig_io_free(struct rig_io *io)
{
	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		guest_page_free(&rig.loops[0].guest, &io->pages[i]);
	}
}

/* Random pieces, and for a write random bytes. */
void rig_io_shape(struct rig_io *io, uint8_t operation, uint64_t sector)
{
	io->operation = operation;
	io->sector = sector;
	io->sectors = 0;
	io->piece_count = 1 + (uint32_t)(rig_random64() % BLKIF_MAX_SEGMENTS_PER_REQUEST);
	for (uint32_t i = 0; i < io->piece_count; i++) {
		io->pieces[i].first = (uint8_t)(rig_random64() % 8);
		io->pieces[i].last = (uint8_t)(io->pieces[i].first +
					       rig_random64() % (8u - io->pieces[i].first));
		io->sectors += io->pieces[i].last - io->pieces[i].first + 1u;
		for (uint32_t n = 0; operation == BLKIF_OP_WRITE && n < PAGE_BYTES; n += 8) {
			uint64_t word = rig_random64();

			memcpy(io->pages[i].bytes + n, &word, 8);
		}
	}
}

bool rig_io_submit(struct rig_io *io)
{
	io->busy = xen_blkfront_submit(&rig.blk, io->operation, io->sector, io->pieces,
				       io->piece_count, rig_io_done, io);
	return io->busy;
}

void rig_io_wait(const struct rig_io *io)
{
	for (uint32_t i = 0; i < 1000 && io->busy; i++) {
		xen_poll(&rig.xens[0]);
	}
	CU_ASSERT_FALSE_FATAL(io->busy);
}

/* Copies the pieces' bytes to (or compares them with) what the disk should hold. */
bool rig_io_apply(const struct rig_io *io)
{
	uint8_t *at = rig.expected + io->sector * 512;
	bool same = true;

	for (uint32_t i = 0; i < io->piece_count; i++) {
		const uint8_t *bytes = io->pages[i].bytes + io->pieces[i].first * 512;
		size_t len = (io->pieces[i].last - io->pieces[i].first + 1u) * 512;

		if (io->operation == BLKIF_OP_WRITE) {
			memcpy(at, bytes, len);
		} else {
			same = memcmp(at, bytes, len) == 0 && same;
		}
		at += len;
	}
	return same;
}

void rig_disk_up(bool read_only)
{
	for (uint32_t i = 0; i < DISK_BYTES; i++) {
		rig.medium[i] = (uint8_t)(i / 512 * 7 + i);
	}
	memcpy(rig.expected, rig.medium, DISK_BYTES);
	block_ram_open(&rig.disk, rig.medium, DISK_BYTES, read_only, "loop");
	rig_up(0, 1, 0);
	CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
}

void rig_disk_down(void)
{
	CU_ASSERT_TRUE(xen_blkfront_close(&rig.blk));
	CU_ASSERT_EQUAL(rig.blk.lost_pages, 0);
	rig_down(0);
}

static void rig_net_received(void *context, const struct xen_net_frame *frame)
{
	struct rig_end *end = context;

	memcpy(end->last, frame->bytes, frame->len);
	end->frame = *frame;
	end->frame.bytes = end->last;
	end->count++;
}

bool rig_net_open(uint32_t i)
{
	rig.ends[i].count = 0;
	return xen_netfront_open(&rig.ends[i].net, &rig.xens[i], 0, rig_net_received, &rig.ends[i]);
}

void rig_net_up(void)
{
	switch_init(&rig.lan, "lan");
	for (uint32_t i = 0; i < 2; i++) {
		rig_up(i, 0, 1);
		CU_ASSERT_TRUE_FATAL(rig_net_open(i));
	}
}

void rig_net_down(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(xen_netfront_close(&rig.ends[i].net));
		CU_ASSERT_EQUAL(rig.ends[i].net.lost_pages, 0);
		CU_ASSERT_EQUAL(rig.ends[i].net.send_error_count, 0);
		CU_ASSERT_EQUAL(rig.ends[i].net.receive_error_count, 0);
		CU_ASSERT_FALSE(rig.ends[i].net.tx.broken || rig.ends[i].net.rx.broken);
		rig_down(i);
	}
}

void rig_net_settle(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		xen_poll(&rig.xens[0]);
		xen_poll(&rig.xens[1]);
	}
}

void rig_packet_fill(uint32_t from, uint32_t len)
{
	memcpy(rig.packet, rig.ends[1 - from].net.mac, 6);
	memcpy(rig.packet + 6, rig.ends[from].net.mac, 6);
	rig.packet[12] = 0x88; /* for experiments */
	rig.packet[13] = 0xB5;
	for (uint32_t i = 14; i < len; i++) {
		rig.packet[i] = (uint8_t)rig_random64();
	}
}

bool rig_packet_send(uint32_t from, uint32_t len)
{
	struct xen_net_frame frame = {.bytes = rig.packet, .len = len};

	return xen_netfront_send(&rig.ends[from].net, &frame);
}
