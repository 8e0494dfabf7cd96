/*
 * xen_test.c - the Xen frontends against the Xen face and its backends, in one process: the protocols as they run,
 * and their ends at every moment.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "guest-drivers/xen/xen.h"
#include "tests/loopback/loopback.h"
#include "tests/unit/unit.h"

#define DISK_BYTES (4u << 20)
#define DISK_SECTORS (DISK_BYTES / 512)
#define VBD_ID (202u << 8)

static uint8_t medium[DISK_BYTES];
static struct block disk;
static struct ether_switch lan;
static struct loop_guest loops[2];
static struct xen_guest xens[2];

static uint64_t random64(void)
{
	static uint64_t state = 0x9E3779B97F4A7C15ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void xen_up(uint32_t i, uint32_t disk_count, uint32_t nic_count)
{
	struct loop_config config = {
		.id = i + 1,
		.disk_count = disk_count,
		.disks = {{.block = &disk}},
		.nic_count = nic_count,
		.nic_switch = &lan,
		.first_mac = (uint8_t)(0x10 + i),
	};

	loop_xen_new(&loops[i], &config);
	CU_ASSERT_EQUAL_FATAL(xen_start(&xens[i], &loops[i].guest), 0);
	CU_ASSERT_EQUAL_FATAL(xen_store_start(&xens[i]), 0);
}

static void xen_down(uint32_t i)
{
	xen_stop(&xens[i]);
	CU_ASSERT_FALSE(host_vm_killed(loops[i].vm));
	loop_xen_free(&loops[i], true);
}

/* ------------------------------------------------------------------ start, events, grants */

static void test_start(void)
{
	uint64_t value;

	xen_up(0, 0, 0);
	CU_ASSERT_EQUAL(xens[0].version >> 16, 4);
	CU_ASSERT_EQUAL(xens[0].domid, 1);
	CU_ASSERT_EQUAL(xen_param_get(&xens[0], HVM_PARAM_STORE_PFN, &value), 0);
	CU_ASSERT_EQUAL(value << 12, vm_special_page(loops[0].vm, VM_SPECIAL_XENSTORE).v);
	CU_ASSERT_EQUAL(xens[0].grant_free_count, XEN_GRANT_REFS - 8);
	xen_down(0);
}

static uint32_t handled;

static void count_event(void *context)
{
	(void)context;
	handled++;
}

static void test_ports(void)
{
	int64_t port;

	xen_up(0, 0, 0);
	port = xen_port_alloc(&xens[0], count_event, NULL);
	CU_ASSERT_TRUE(port > 0);
	CU_ASSERT_EQUAL(xen_port_close(&xens[0], (uint32_t)port), 0);
	CU_ASSERT_NOT_EQUAL(xen_port_close(&xens[0], (uint32_t)port), 0);
	for (uint32_t i = 0; i < XEN_HANDLER_MAX + 4; i++) {
		port = xen_port_alloc(&xens[0], count_event, NULL);
	}
	CU_ASSERT_EQUAL(port, -XEN_ENOSPC);
	xen_down(0);
}

static void test_grants(void)
{
	static uint32_t refs[XEN_GRANT_REFS];
	uint32_t count = 0;

	xen_up(0, 0, 0);
	while ((refs[count] = xen_grant(&xens[0], 5, false)) != XEN_GRANT_NONE) {
		count++;
	}
	CU_ASSERT_EQUAL(count, XEN_GRANT_REFS - 8);
	while (count != 0) {
		CU_ASSERT_TRUE(xen_grant_end(&xens[0], refs[--count]));
	}
	xen_down(0);
}

/* ------------------------------------------------------------------ the store */

static void test_store(void)
{
	struct xen_guest *x = &xens[0];
	struct xen_event event;
	char text[XEN_VALUE_BYTES];
	uint64_t number;
	uint32_t tx;

	xen_up(0, 1, 1);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "domid", text, sizeof(text)), 1);
	CU_ASSERT_STRING_EQUAL(text, "1");
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "no/such", text, sizeof(text)), -XEN_ENOENT);
	CU_ASSERT_EQUAL(xen_store_write(x, 0, "domid", "7"), -XEN_EACCES);
	CU_ASSERT_EQUAL(xen_store_write_number(x, 0, "data/n", 12345678901234), 0);
	CU_ASSERT_EQUAL(xen_store_read_number(x, 0, "data/n", &number), 0);
	CU_ASSERT_EQUAL(number, 12345678901234);
	CU_ASSERT_EQUAL(xen_store_watch(x, "data", "mine"), 0);
	CU_ASSERT_TRUE(xen_store_event(x, &event)); /* each watch fires once at first */
	CU_ASSERT_STRING_EQUAL(event.path, "data");
	CU_ASSERT_STRING_EQUAL(event.token, "mine");
	CU_ASSERT_EQUAL(xen_store_begin(x, &tx), 0);
	CU_ASSERT_EQUAL(xen_store_write(x, tx, "data/t", "in"), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/t", text, sizeof(text)), -XEN_ENOENT);
	CU_ASSERT_EQUAL(xen_store_end(x, tx, true), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/t", text, sizeof(text)), 2);
	CU_ASSERT_TRUE(xen_store_event(x, &event));
	CU_ASSERT_STRING_EQUAL(event.path, "data/t");
	CU_ASSERT_EQUAL(xen_store_begin(x, &tx), 0);
	CU_ASSERT_EQUAL(xen_store_write(x, tx, "data/t", "out"), 0);
	CU_ASSERT_EQUAL(xen_store_end(x, tx, false), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/t", text, sizeof(text)), 2);
	CU_ASSERT_EQUAL(xen_store_list(x, 0, "data"), 4);
	CU_ASSERT_EQUAL(memcmp(x->store.payload, "n\0t", 4), 0);
	CU_ASSERT_EQUAL(xen_store_unwatch(x, "data", "mine"), 0);
	CU_ASSERT_TRUE(xen_store_remove(x, 0, "data/t") >= 0);
	CU_ASSERT_FALSE(xen_store_event(x, &event));
	CU_ASSERT_EQUAL(x->store.lost_events, 0);
	CU_ASSERT_FALSE(x->store.broken);
	xen_down(0);
}

/* Messages as long as they may be, over the 1 KiB ring. */
static void test_store_long(void)
{
	struct xen_guest *x = &xens[0];
	static char payload[XENSTORE_PAYLOAD_MAX];

	xen_up(0, 0, 0);
	for (uint32_t len = 100; len <= 2000; len += 317) {
		memset(payload, 'v', sizeof(payload));
		memcpy(payload, "data/long", 10);
		CU_ASSERT_TRUE(xen_store_request(x, XS_WRITE, 0, payload, 10 + len) >= 0);
		memset(x->store.payload, 0, sizeof(x->store.payload));
		CU_ASSERT_EQUAL(xen_store_request(x, XS_READ, 0, payload, 10), len);
		CU_ASSERT_EQUAL(memcmp(x->store.payload, payload + 10, len), 0);
	}
	CU_ASSERT_FALSE(x->store.broken);
	xen_down(0);
}

/* Another change between begin and end: once more. */
static void test_store_conflict(void)
{
	struct xen_guest *x = &xens[0];
	char text[XEN_VALUE_BYTES];
	uint32_t a, b;

	xen_up(0, 0, 0);
	CU_ASSERT_EQUAL(xen_store_write(x, 0, "data/c", "0"), 0);
	CU_ASSERT_EQUAL(xen_store_begin(x, &a), 0);
	CU_ASSERT_EQUAL(xen_store_begin(x, &b), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, a, "data/c", text, sizeof(text)), 1);
	CU_ASSERT_EQUAL(xen_store_write(x, a, "data/c", "1"), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, b, "data/c", text, sizeof(text)), 1);
	CU_ASSERT_EQUAL(xen_store_write(x, b, "data/c", "2"), 0);
	CU_ASSERT_EQUAL(xen_store_end(x, a, true), 0);
	CU_ASSERT_EQUAL(xen_store_end(x, b, true), -XEN_EAGAIN);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/c", text, sizeof(text)), 1);
	CU_ASSERT_STRING_EQUAL(text, "1");
	xen_down(0);
}

/* ------------------------------------------------------------------ the disk */

struct io {
	struct guest_page pages[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	struct xen_blk_piece pieces[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	uint32_t piece_count, sectors;
	uint64_t sector;
	uint8_t operation;
	bool busy;
	int status;
};

static struct xen_blkfront blk;
static uint8_t expected[DISK_BYTES];
static uint32_t done_count;

static void io_done(void *context, int status)
{
	struct io *io = context;

	CU_ASSERT_TRUE(io->busy);
	io->busy = false;
	io->status = status;
	done_count++;
}

static void io_alloc(struct io *io)
{
	memset(io, 0, sizeof(*io));
	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		CU_ASSERT_TRUE_FATAL(guest_page_alloc(&loops[0].guest, &io->pages[i]));
		io->pieces[i].gfn = io->pages[i].gfn;
	}
}

static void io_free(struct io *io)
{
	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		guest_page_free(&loops[0].guest, &io->pages[i]);
	}
}

/* Random pieces, and for a write random bytes. */
static void io_shape(struct io *io, uint8_t operation, uint64_t sector)
{
	io->operation = operation;
	io->sector = sector;
	io->sectors = 0;
	io->piece_count = 1 + (uint32_t)(random64() % BLKIF_MAX_SEGMENTS_PER_REQUEST);
	for (uint32_t i = 0; i < io->piece_count; i++) {
		io->pieces[i].first = (uint8_t)(random64() % 8);
		io->pieces[i].last = (uint8_t)(io->pieces[i].first +
					       random64() % (8u - io->pieces[i].first));
		io->sectors += io->pieces[i].last - io->pieces[i].first + 1u;
		for (uint32_t n = 0; operation == BLKIF_OP_WRITE && n < PAGE_BYTES; n += 8) {
			uint64_t word = random64();

			memcpy(io->pages[i].bytes + n, &word, 8);
		}
	}
}

static bool io_submit(struct io *io)
{
	io->busy = xen_blkfront_submit(&blk, io->operation, io->sector, io->pieces, io->piece_count,
				       io_done, io);
	return io->busy;
}

static void io_wait(const struct io *io)
{
	for (uint32_t i = 0; i < 1000 && io->busy; i++) {
		xen_poll(&xens[0]);
	}
	CU_ASSERT_FALSE_FATAL(io->busy);
}

/* Copies the pieces' bytes to (or compares them with) what the disk should hold. */
static bool io_apply(const struct io *io)
{
	uint8_t *at = expected + io->sector * 512;
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

static void disk_up(bool read_only)
{
	for (uint32_t i = 0; i < DISK_BYTES; i++) {
		medium[i] = (uint8_t)(i / 512 * 7 + i);
	}
	memcpy(expected, medium, DISK_BYTES);
	block_ram_open(&disk, medium, DISK_BYTES, read_only, "loop");
	xen_up(0, 1, 0);
	CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xens[0], VBD_ID));
}

static void disk_down(void)
{
	CU_ASSERT_TRUE(xen_blkfront_close(&blk));
	CU_ASSERT_EQUAL(blk.lost_pages, 0);
	xen_down(0);
}

static void test_disk_properties(void)
{
	disk_up(false);
	CU_ASSERT_EQUAL(blk.sector_count, DISK_SECTORS);
	CU_ASSERT_EQUAL(blk.sector_bytes, 512);
	CU_ASSERT_TRUE(blk.flush);
	CU_ASSERT_FALSE(blk.read_only);
	disk_down();
	disk_up(true);
	CU_ASSERT_TRUE(blk.read_only);
	disk_down();
}

/* Many requests in flight, in random shapes, over disjoint places; then all of the disk is compared. */
static void test_disk_random(void)
{
	enum { IOS = 24 };
	static struct io ios[IOS];
	uint32_t submitted = 0;

	disk_up(false);
	for (uint32_t i = 0; i < IOS; i++) {
		io_alloc(&ios[i]);
	}
	done_count = 0;
	for (uint32_t round = 0; round < 150; round++) {
		for (uint32_t i = 0; i < IOS; i++) {
			uint64_t sector = i * (DISK_SECTORS / IOS) + random64() % 200;

			io_shape(&ios[i], random64() % 2 ? 0 : 1, sector); /* read, write */
			CU_ASSERT_TRUE_FATAL(io_submit(&ios[i]));
			submitted++;
		}
		for (uint32_t i = 0; i < IOS; i++) {
			io_wait(&ios[i]);
			CU_ASSERT_EQUAL(ios[i].status, BLKIF_RSP_OKAY);
			CU_ASSERT_TRUE(io_apply(&ios[i]));
		}
	}
	CU_ASSERT_EQUAL(done_count, submitted);
	CU_ASSERT_EQUAL(memcmp(medium, expected, DISK_BYTES), 0);
	CU_ASSERT_EQUAL(disk.error_count, 0);
	for (uint32_t i = 0; i < IOS; i++) {
		io_free(&ios[i]);
	}
	disk_down();
}

static void test_disk_full_ring(void)
{
	static struct io ios[XEN_BLK_ENTRIES];
	struct io more;

	disk_up(false);
	io_alloc(&more);
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		io_alloc(&ios[i]);
		io_shape(&ios[i], BLKIF_OP_READ, i * 100);
		CU_ASSERT_TRUE(io_submit(&ios[i]));
	}
	io_shape(&more, BLKIF_OP_READ, 0);
	CU_ASSERT_FALSE(io_submit(&more)); /* no slot */
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		io_wait(&ios[i]);
		CU_ASSERT_TRUE(io_apply(&ios[i]));
		io_free(&ios[i]);
	}
	CU_ASSERT_TRUE(io_submit(&more));
	io_wait(&more);
	CU_ASSERT_TRUE(io_apply(&more));
	io_free(&more);
	disk_down();
}

static void test_disk_errors(void)
{
	struct io io;
	static const uint8_t refused[] = {BLKIF_OP_WRITE_BARRIER, BLKIF_OP_DISCARD, 17};

	disk_up(true);
	io_alloc(&io);
	io_shape(&io, BLKIF_OP_WRITE, 5);
	CU_ASSERT_TRUE(io_submit(&io));
	io_wait(&io);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_ERROR); /* read-only */
	io_shape(&io, BLKIF_OP_READ, DISK_SECTORS);
	CU_ASSERT_TRUE(io_submit(&io));
	io_wait(&io);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_ERROR); /* past the end */
	for (uint32_t i = 0; i < sizeof(refused); i++) {
		io_shape(&io, refused[i], 0);
		CU_ASSERT_TRUE(io_submit(&io));
		io_wait(&io);
		CU_ASSERT_EQUAL(io.status, BLKIF_RSP_EOPNOTSUPP);
	}
	io_shape(&io, BLKIF_OP_FLUSH_DISKCACHE, 0);
	io.piece_count = 0;
	CU_ASSERT_TRUE(io_submit(&io));
	io_wait(&io);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_OKAY);
	io_shape(&io, BLKIF_OP_READ, 0);
	CU_ASSERT_TRUE(io_submit(&io)); /* it goes on */
	io_wait(&io);
	CU_ASSERT_TRUE(io_apply(&io));
	CU_ASSERT_EQUAL(memcmp(medium, expected, DISK_BYTES), 0);
	io_free(&io);
	disk_down();
}

static void test_disk_reconnects(void)
{
	struct io io;

	disk_up(false);
	for (uint32_t i = 0; i < 20; i++) {
		io_alloc(&io);
		io_shape(&io, BLKIF_OP_WRITE, i * 50);
		CU_ASSERT_TRUE(io_submit(&io));
		if (i % 2 == 0) {
			io_wait(&io);
		}
		CU_ASSERT_TRUE_FATAL(xen_blkfront_close(&blk)); /* with a request under way, too */
		CU_ASSERT_FALSE(io.busy);
		CU_ASSERT_EQUAL(io.status, BLKIF_RSP_OKAY);
		io_free(&io);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xens[0], VBD_ID));
	}
	disk_down();
}

/* ------------------------------------------------------------------ a medium that takes its time */

static struct block_request *queue[64];
static uint32_t queue_count;

static void slow_submit(void *context, struct block_request *request)
{
	(void)context;
	queue[queue_count++] = request;
}

/* Answers the request at @at of the queue. */
static void slow_answer(uint32_t at, enum block_status status)
{
	struct block_request *request = queue[at];
	uint64_t off = request->sector * 512;

	queue[at] = queue[--queue_count];
	for (uint32_t i = 0; i < request->segment_count; i++) {
		struct io_segment *segment = &request->segments[i];

		if (request->operation == BLOCK_READ) {
			memcpy(segment->bytes, medium + off, segment->len_bytes);
		} else {
			memcpy(medium + off, segment->bytes, segment->len_bytes);
		}
		off += segment->len_bytes;
	}
	block_done(request, status);
}

static void slow_medium(struct loop_guest *loop)
{
	(void)loop;
	if (queue_count != 0 && random64() % 4 == 0) {
		slow_answer((uint32_t)(random64() % queue_count), BLOCK_OK);
	}
}

static void test_disk_slow(void)
{
	static const struct block_medium_ops slow_ops = {.submit = slow_submit};
	enum { IOS = 16 };
	static struct io ios[IOS];

	disk_up(false);
	disk.ops = &slow_ops;
	for (uint32_t i = 0; i < IOS; i++) {
		io_alloc(&ios[i]);
	}
	loops[0].at_exit = slow_medium;
	for (uint32_t round = 0; round < 30; round++) {
		for (uint32_t i = 0; i < IOS; i++) {
			io_shape(&ios[i], BLKIF_OP_READ, i * 300 + random64() % 200);
			CU_ASSERT_TRUE_FATAL(io_submit(&ios[i]));
		}
		if (round % 3 == 2) { /* closes while requests are out: waits for them */
			CU_ASSERT_TRUE_FATAL(xen_blkfront_close(&blk));
			CU_ASSERT_EQUAL(queue_count, 0);
			CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xens[0], VBD_ID));
		}
		for (uint32_t i = 0; i < IOS; i++) {
			io_wait(&ios[i]);
			CU_ASSERT_EQUAL(ios[i].status, BLKIF_RSP_OKAY);
			CU_ASSERT_TRUE(io_apply(&ios[i]));
		}
	}
	loops[0].at_exit = NULL;
	CU_ASSERT_TRUE(io_submit(&ios[0]));
	(void)loop_run_all();
	slow_answer(0, BLOCK_EIO);
	io_wait(&ios[0]);
	CU_ASSERT_EQUAL(ios[0].status, BLKIF_RSP_ERROR);
	for (uint32_t i = 0; i < IOS; i++) {
		io_free(&ios[i]);
	}
	disk_down();
}

/* ------------------------------------------------------------------ the network */

struct net_end {
	struct xen_netfront net;
	uint8_t last[65536];
	struct xen_net_frame frame; /* its bytes are in last */
	uint32_t count;
};

static struct net_end ends[2];

static void net_received(void *context, const struct xen_net_frame *frame)
{
	struct net_end *end = context;

	memcpy(end->last, frame->bytes, frame->len);
	end->frame = *frame;
	end->frame.bytes = end->last;
	end->count++;
}

static bool net_open(uint32_t i)
{
	ends[i].count = 0;
	return xen_netfront_open(&ends[i].net, &xens[i], 0, net_received, &ends[i]);
}

static void net_up(void)
{
	switch_init(&lan, "lan");
	for (uint32_t i = 0; i < 2; i++) {
		xen_up(i, 0, 1);
		CU_ASSERT_TRUE_FATAL(net_open(i));
	}
}

static void net_down(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(xen_netfront_close(&ends[i].net));
		CU_ASSERT_EQUAL(ends[i].net.lost_pages, 0);
		CU_ASSERT_EQUAL(ends[i].net.send_error_count, 0);
		CU_ASSERT_EQUAL(ends[i].net.receive_error_count, 0);
		CU_ASSERT_FALSE(ends[i].net.tx.broken || ends[i].net.rx.broken);
		xen_down(i);
	}
}

static void net_settle(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		xen_poll(&xens[0]);
		xen_poll(&xens[1]);
	}
}

static uint8_t packet[65536];

static void packet_fill(uint32_t from, uint32_t len)
{
	memcpy(packet, ends[1 - from].net.mac, 6);
	memcpy(packet + 6, ends[from].net.mac, 6);
	packet[12] = 0x88; /* for experiments */
	packet[13] = 0xB5;
	for (uint32_t i = 14; i < len; i++) {
		packet[i] = (uint8_t)random64();
	}
}

static bool packet_send(uint32_t from, uint32_t len)
{
	struct xen_net_frame frame = {.bytes = packet, .len = len};

	return xen_netfront_send(&ends[from].net, &frame);
}

static void test_net_addresses(void)
{
	net_up();
	CU_ASSERT_EQUAL(ends[0].net.mac[5], 0x10);
	CU_ASSERT_EQUAL(ends[1].net.mac[5], 0x11);
	CU_ASSERT_EQUAL(ends[1].net.mac[0], 2);
	net_down();
}

static void test_net_sizes(void)
{
	net_up();
	for (uint32_t len = 60; len <= 1514; len++) {
		uint32_t from = len % 2;

		ends[from].net.first_bytes = len % 3 == 0 ? 14 + len % 100 : 0;
		ends[from].net.send_offset = len % 5 == 0 ? len : 0;
		packet_fill(from, len);
		CU_ASSERT_TRUE_FATAL(packet_send(from, len));
		net_settle();
		CU_ASSERT_EQUAL_FATAL(ends[1 - from].count, (len - 60) / 2 + 1);
		CU_ASSERT_EQUAL(ends[1 - from].frame.len, len);
		CU_ASSERT_EQUAL(memcmp(ends[1 - from].last, packet, len), 0);
	}
	net_down();
}

/* As many as there is room for, both ways at once. */
static void test_net_burst(void)
{
	uint32_t sent[2] = {0, 0};

	net_up();
	packet_fill(0, 60);
	CU_ASSERT_TRUE(packet_send(0, 60));
	packet_fill(1, 60);
	CU_ASSERT_TRUE(packet_send(1, 60));
	net_settle();
	CU_ASSERT_EQUAL(ends[0].count + ends[1].count, 2);
	for (uint32_t round = 0; round < 500; round++) {
		for (uint32_t from = 0; from < 2; from++) {
			packet_fill(from, 1514);
			while (packet_send(from, 1514)) {
				sent[from]++;
			}
		}
		net_settle();
	}
	CU_ASSERT_TRUE(sent[0] >= 500 * XEN_NET_SEND_PAGES);
	CU_ASSERT_EQUAL(ends[1].count, sent[0] + 1);
	CU_ASSERT_EQUAL(ends[0].count, sent[1] + 1);
	net_down();
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

	packet_fill(from, len);
	memset(packet + 12, 0, l4 + 20 - 12);
	put16(packet + 12, ipv6 ? 0x86DD : 0x0800);
	if (ipv6) {
		packet[14] = 0x60;
		put16(packet + 18, 20 + payload);
		packet[20] = 6;
	} else {
		packet[14] = 0x45;
		put16(packet + 16, 40 + payload);
		packet[23] = 6;
	}
	packet[l4 + 12] = 0x50;
	packet[l4 + 13] = 0x10;
	return len;
}

static void test_net_large(void)
{
	static const uint32_t sizes[] = {1, 1448, 1449, 2896, 4096, 20000, 60001, 65000, 65535 - 40 - 34};

	net_up();
	packet_fill(1, 60);
	CU_ASSERT_TRUE(packet_send(1, 60));
	net_settle();
	for (uint32_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool ipv6 = i % 2 != 0;
		uint32_t payload = sizes[i / 2], len = tcp_fill(0, ipv6, payload);
		struct xen_net_frame frame = {
			.bytes = packet,
			.len = len,
			.checksum_blank = true,
			.gso_bytes = 1448,
			.gso_type = ipv6 ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4,
		};

		ends[0].net.first_bytes = i % 3 == 0 ? 128 : 0;
		CU_ASSERT_TRUE_FATAL(xen_netfront_send(&ends[0].net, &frame));
		net_settle();
		CU_ASSERT_EQUAL_FATAL(ends[1].count, i + 1);
		CU_ASSERT_EQUAL(ends[1].frame.len, len);
		CU_ASSERT_TRUE(ends[1].frame.checksum_blank);
		CU_ASSERT_EQUAL(ends[1].frame.gso_bytes, payload > 1448 ? 1448 : 0);
		CU_ASSERT_EQUAL(ends[1].frame.gso_type, payload > 1448 ? frame.gso_type : 0);
		CU_ASSERT_EQUAL(memcmp(ends[1].last + (len - payload), packet + (len - payload), payload), 0);
	}
	CU_ASSERT_EQUAL(loops[0].ports[0].counts.dropped_frames, 0);
	net_down();
}

/* To a receiver that takes nothing: cut here, each segment whole and summed. */
static void test_net_cut(void)
{
	struct xen_net_frame frame = {.bytes = packet, .checksum_blank = true, .gso_bytes = 1448,
				      .gso_type = XEN_NETIF_GSO_TYPE_TCPV4};

	net_up();
	packet_fill(1, 60);
	CU_ASSERT_TRUE(packet_send(1, 60));
	net_settle();
	switch_set_offloads(&loops[1].ports[0], 0);
	frame.len = tcp_fill(0, false, 60000);
	CU_ASSERT_TRUE(xen_netfront_send(&ends[0].net, &frame));
	net_settle();
	CU_ASSERT_EQUAL(ends[1].count, 42);
	CU_ASSERT_FALSE(ends[1].frame.checksum_blank);
	CU_ASSERT_TRUE(ends[1].frame.checksum_good);
	CU_ASSERT_EQUAL(ends[1].frame.len, 54 + 60000 % 1448);
	CU_ASSERT_EQUAL(memcmp(ends[1].last + 54, packet + frame.len - 60000 % 1448, 60000 % 1448), 0);
	net_down();
}

static void test_net_reconnects(void)
{
	net_up();
	for (uint32_t i = 0; i < 12; i++) {
		packet_fill(0, 100);
		CU_ASSERT_TRUE(packet_send(0, 100));
		CU_ASSERT_TRUE_FATAL(xen_netfront_close(&ends[i % 2].net));
		CU_ASSERT_EQUAL(ends[i % 2].net.lost_pages, 0);
		CU_ASSERT_TRUE_FATAL(net_open(i % 2));
		packet_fill(1, 100);
		CU_ASSERT_TRUE(packet_send(1, 100));
		net_settle();
		CU_ASSERT_EQUAL(ends[0].frame.len, 100);
		CU_ASSERT_EQUAL(memcmp(ends[0].last, packet, 100), 0);
	}
	net_down();
}

/* ------------------------------------------------------------------ console, lifecycle */

static void test_console(void)
{
	struct xen_console console;
	char text[64];
	static char big[6000];

	xen_up(0, 0, 0);
	CU_ASSERT_TRUE(xen_console_open(&console, &xens[0]));
	CU_ASSERT_EQUAL(xen_console_write(&console, "hello\n", 6), 6);
	xen_poll(&xens[0]);
	CU_ASSERT_STRING_EQUAL(loops[0].console_text, "hello\n");
	CU_ASSERT_EQUAL(console_input(&loops[0].console, "keys", 4), 4);
	xen_poll(&xens[0]);
	CU_ASSERT_EQUAL(xen_console_read(&console, text, sizeof(text)), 4);
	CU_ASSERT_EQUAL(memcmp(text, "keys", 4), 0);
	memset(big, 'x', sizeof(big)); /* more than the ring holds */
	for (size_t i = 99; i < sizeof(big); i += 100) {
		big[i] = '\n';
	}
	loops[0].console_len = 0;
	CU_ASSERT_EQUAL(xen_console_write(&console, big, sizeof(big)), sizeof(big));
	xen_poll(&xens[0]);
	CU_ASSERT_EQUAL(loops[0].console_len, sizeof(big));
	CU_ASSERT_EQUAL(memcmp(loops[0].console_text, big, sizeof(big)), 0);
	xen_console_close(&console);
	xen_down(0);
}

static void test_shutdown(void)
{
	struct xen_event event;
	enum vm_stop_how how;
	char text[XEN_VALUE_BYTES];

	xen_up(0, 0, 0);
	CU_ASSERT_FALSE(lifecycle_ask(&loops[0].lifecycle, LIFECYCLE_POWEROFF)); /* no driver yet */
	CU_ASSERT_EQUAL(xen_store_watch(&xens[0], "control/shutdown", "s"), 0);
	CU_ASSERT_TRUE(xen_store_event(&xens[0], &event));
	CU_ASSERT_TRUE(lifecycle_ask(&loops[0].lifecycle, LIFECYCLE_REBOOT));
	xen_poll(&xens[0]);
	CU_ASSERT_TRUE(xen_store_event(&xens[0], &event));
	CU_ASSERT_STRING_EQUAL(event.token, "s");
	CU_ASSERT_TRUE(xen_store_read(&xens[0], 0, "control/shutdown", text, sizeof(text)) > 0);
	CU_ASSERT_STRING_EQUAL(text, "reboot");
	CU_ASSERT_EQUAL(xen_store_write(&xens[0], 0, "control/shutdown", ""), 0);
	CU_ASSERT_EQUAL(loops[0].lifecycle.answer_count, 1);
	(void)xen_shutdown(&xens[0], SHUTDOWN_reboot);
	CU_ASSERT_TRUE(host_vm_stopped(loops[0].vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_REBOOT);
	xen_down(0);
}

/* ------------------------------------------------------------------ ends at every moment */

/*
 * Brings disk and network up, moves data and closes, while the machine is reset at hypercall or poll number @at.
 * The guest goes on as if nothing had happened: it may fail everywhere and must break nothing of ours.
 */
static uint64_t end_at;

static void reset_at(struct loop_guest *loop)
{
	if (loop->exit_count == end_at) {
		loop_xen_reset(loop);
	}
}

static void whole_life(uint64_t at)
{
	struct io io;

	memset(&ends[0], 0, sizeof(ends[0]));
	end_at = at;
	loops[0].at_exit = reset_at;
	io_alloc(&io);
	if (xen_blkfront_open(&blk, &xens[0], VBD_ID)) {
		io_shape(&io, BLKIF_OP_WRITE, 9);
		if (io_submit(&io)) {
			xen_poll(&xens[0]);
		}
		(void)xen_blkfront_close(&blk);
	}
	if (xen_netfront_open(&ends[0].net, &xens[0], 0, net_received, &ends[0])) {
		packet_fill(0, 200);
		(void)!packet_send(0, 200);
		xen_poll(&xens[0]);
		(void)xen_netfront_close(&ends[0].net);
	}
	io_free(&io);
	loops[0].at_exit = NULL;
}

static void test_reset_anywhere(void)
{
	uint64_t last = 1;

	block_ram_open(&disk, medium, DISK_BYTES, false, "loop");
	for (uint64_t at = 0; at <= last; at++) {
		switch_init(&lan, "lan");
		xen_up(0, 1, 1);
		loops[0].exit_count = 0;
		whole_life(at);
		last = at == 0 ? loops[0].exit_count : last;
		CU_ASSERT_FALSE(host_vm_killed(loops[0].vm));
		/* The machine is as new: all comes up again. */
		loop_xen_reset(&loops[0]);
		memset(loops[0].page_used, 0, loops[0].page_count);
		loops[0].pages_out = 0;
		CU_ASSERT_EQUAL_FATAL(xen_start(&xens[0], &loops[0].guest), 0);
		CU_ASSERT_EQUAL_FATAL(xen_store_start(&xens[0]), 0);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xens[0], VBD_ID));
		CU_ASSERT_TRUE_FATAL(xen_blkfront_close(&blk));
		xen_down(0);
	}
	CU_ASSERT_TRUE(last > 100);
}

/* The guest's end with everything open: nothing of it is left. */
static void test_end_while_open(void)
{
	struct io io;

	switch_init(&lan, "lan");
	block_ram_open(&disk, medium, DISK_BYTES, false, "loop");
	for (uint32_t polls = 0; polls < 4; polls++) {
		xen_up(0, 1, 1);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xens[0], VBD_ID));
		memset(&ends[0], 0, sizeof(ends[0]));
		CU_ASSERT_TRUE_FATAL(net_open(0));
		io_alloc(&io);
		io_shape(&io, BLKIF_OP_READ, 0);
		CU_ASSERT_TRUE(io_submit(&io));
		packet_fill(0, 500);
		CU_ASSERT_TRUE(packet_send(0, 500));
		for (uint32_t i = 0; i < polls; i++) {
			xen_poll(&xens[0]);
		}
		loop_xen_free(&loops[0], false); /* panics if anything is left */
	}
}

/* ------------------------------------------------------------------ a host that lies to its guest */

static void test_frontends_do_not_trust(void)
{
	struct io io;
	uint8_t *page;

	disk_up(false);
	io_alloc(&io);
	io_shape(&io, BLKIF_OP_READ, 0);
	CU_ASSERT_TRUE(io_submit(&io));
	page = blk.ring.page.bytes;
	guest_store32(page + XEN_RING_RSP_PROD, 5); /* more answers than questions */
	xen_blkfront_poll(&blk);
	CU_ASSERT_TRUE(blk.ring.broken);
	CU_ASSERT_TRUE(io.busy);
	blk.ring.broken = false;
	guest_store32(page + XEN_RING_RSP_PROD, 1);
	page[XEN_RING_HEADER_BYTES] = 77; /* an id that was never given */
	xen_blkfront_poll(&blk);
	CU_ASSERT_TRUE(blk.ring.broken);
	CU_ASSERT_TRUE(io.busy);
	CU_ASSERT_FALSE(xen_blkfront_submit(&blk, BLKIF_OP_READ, 0, io.pieces, 1, io_done, &io));
	CU_ASSERT_TRUE(xen_blkfront_close(&blk));
	CU_ASSERT_FALSE(io.busy);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_ERROR);
	io_free(&io);
	guest_store32(xens[0].store.ring + offsetof(struct xen_xs_ring, rsp_prod), 0x90000);
	CU_ASSERT_TRUE(xen_store_write(&xens[0], 0, "data/x", "1") < 0);
	CU_ASSERT_TRUE(xens[0].store.broken);
	xen_down(0);
}

/* ------------------------------------------------------------------ a guest that lies to its host */

/* Each byte of a request is fetched once, whatever becomes of it. */
static void test_requests_are_fetched_once(void)
{
	struct io io;

	disk_up(false);
	io_alloc(&io);
	host_fetch_watch(loops[0].vm, (blk.ring.page.gfn << 12) + XEN_RING_HEADER_BYTES, 4096 - 64);
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		io_shape(&io, (uint8_t)(i % 4), i);
		CU_ASSERT_TRUE(io_submit(&io));
		io_wait(&io);
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	io_free(&io);
	disk_down();
	net_up();
	host_fetch_watch(loops[0].vm, (ends[0].net.tx.page.gfn << 12) + XEN_RING_HEADER_BYTES, 4096 - 64);
	for (uint32_t i = 0; i < 100; i++) {
		packet_fill(0, 1500);
		CU_ASSERT_TRUE(packet_send(0, 1500));
		net_settle();
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_watch(loops[1].vm, (ends[1].net.rx.page.gfn << 12) + XEN_RING_HEADER_BYTES, 4096 - 64);
	for (uint32_t i = 0; i < 100; i++) {
		packet_fill(0, 1500);
		CU_ASSERT_TRUE(packet_send(0, 1500));
		net_settle();
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	net_down();
}

/* The rings change under the backend with each look: it refuses, breaks off, and lets go of all. */
static void test_scribbled_rings(void)
{
	struct io io;

	block_ram_open(&disk, medium, DISK_BYTES, false, "loop");
	switch_init(&lan, "lan");
	for (uint32_t round = 0; round < 60; round++) {
		uint64_t gfn;

		xen_up(0, 1, 1);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&blk, &xens[0], VBD_ID));
		memset(&ends[0], 0, sizeof(ends[0]));
		CU_ASSERT_TRUE_FATAL(net_open(0));
		io_alloc(&io);
		gfn = round % 3 == 0 ? blk.ring.page.gfn
		      : round % 3 == 1 ? ends[0].net.tx.page.gfn : ends[0].net.rx.page.gfn;
		host_scribble(loops[0].vm, (gfn << 12) + round % 2 * 64, 4096 - 64, round + 1);
		for (uint32_t i = 0; i < 20; i++) {
			io_shape(&io, (uint8_t)(i % 2), i);
			(void)io_submit(&io);
			packet_fill(0, 1500);
			(void)!packet_send(0, 1500);
			host_time_advance_ns(loops[0].vm, 1000);
			(void)loop_run_all();
		}
		host_load_hook(NULL, NULL);
		CU_ASSERT_FALSE(host_vm_killed(loops[0].vm));
		loop_xen_free(&loops[0], false);
	}
}

/* ------------------------------------------------------------------ threads */

struct worker {
	uint32_t index;
	uint32_t errors;
	struct xen_blkfront disk;
	struct xen_netfront *net;
	uint32_t done_count, received_count;
};

static void worker_done(void *context, int status)
{
	struct worker *worker = context;

	worker->errors += status != BLKIF_RSP_OKAY;
	worker->done_count++;
}

static void worker_received(void *context, const struct xen_net_frame *frame)
{
	struct worker *worker = context;

	worker->received_count++;
	for (uint32_t i = 14; i < frame->len; i++) {
		worker->errors += frame->bytes[i] != (uint8_t)frame->len;
	}
}

/* Writes a sector of its own and reads it again. */
static void worker_disk(struct worker *worker, struct guest_page *page, uint32_t round)
{
	struct xen_blk_piece piece = {.gfn = page->gfn, .first = 2, .last = 2};
	uint64_t sector = worker->index * 1000 + round % 500;
	uint32_t before = worker->done_count;

	for (uint8_t operation = BLKIF_OP_READ; operation <= BLKIF_OP_WRITE; operation++) {
		bool write = operation == BLKIF_OP_READ; /* first write, then read */

		memset(page->bytes + 1024, write ? (int)(round & 0xFF) : 0, 512);
		if (!xen_blkfront_submit(&worker->disk, write ? 1 : 0, sector, &piece, 1, worker_done,
					 worker)) {
			worker->errors++;
			return;
		}
		while (worker->done_count == before) {
			xen_poll(worker->disk.front.x);
			xen_blkfront_poll(&worker->disk);
		}
		before++;
	}
	worker->errors += page->bytes[1024] != (uint8_t)round || page->bytes[1535] != (uint8_t)round;
}

static void worker_net(struct worker *worker, uint32_t round)
{
	uint8_t bytes[1514] = {2, 0, 0, 0, 0, (uint8_t)(0x11 - worker->index),
			       2, 0, 0, 0, 0, (uint8_t)(0x10 + worker->index), 0x88, 0xB5};
	struct xen_net_frame frame = {.bytes = bytes, .len = 60 + round % 1400};

	memset(bytes + 14, (uint8_t)frame.len, sizeof(bytes) - 14);
	(void)!xen_netfront_send(worker->net, &frame);
	xen_netfront_poll(worker->net);
}

static void *worker_main(void *context)
{
	struct worker *worker = context;
	struct xen_guest *x = &xens[worker->index];
	struct guest_page page;

	worker->errors += !guest_page_alloc(x->guest, &page);
	for (uint32_t life = 0; life < 3; life++) {
		worker->errors += !xen_blkfront_open(&worker->disk, x, VBD_ID) ||
				  !xen_netfront_open(worker->net, x, 0, worker_received, worker);
		for (uint32_t round = 0; round < 150 && worker->errors == 0; round++) {
			worker_disk(worker, &page, round);
			worker_net(worker, round);
		}
		worker->errors += !xen_netfront_close(worker->net);
		worker->errors += !xen_blkfront_close(&worker->disk);
		worker->errors += worker->disk.lost_pages + worker->net->lost_pages;
	}
	guest_page_free(x->guest, &page);
	return NULL;
}

static void test_threads(void)
{
	static struct worker workers[2];
	struct host_threads *threads;
	pthread_t ids[2];
	struct vm *vms[2];

	block_ram_open(&disk, medium, DISK_BYTES, false, "loop");
	switch_init(&lan, "lan");
	for (uint32_t i = 0; i < 2; i++) {
		xen_up(i, 1, 1);
		loops[i].threaded = true;
		loops[i].guest.poll_max = 10000000;
		host_time_real(loops[i].vm);
		vms[i] = loops[i].vm;
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].index = i;
		workers[i].net = &ends[i].net;
	}
	threads = host_threads_start(vms, 2, 2);
	for (uint32_t i = 0; i < 2; i++) {
		pthread_create(&ids[i], NULL, worker_main, &workers[i]);
	}
	for (uint32_t i = 0; i < 2; i++) {
		pthread_join(ids[i], NULL);
		CU_ASSERT_EQUAL(workers[i].errors, 0);
		CU_ASSERT_EQUAL(workers[i].done_count, 3 * 150 * 2);
	}
	CU_ASSERT_TRUE(workers[0].received_count + workers[1].received_count > 0);
	host_threads_stop(threads);
	for (uint32_t i = 0; i < 2; i++) {
		xen_down(i);
	}
}

UNIT_MAIN("xen loopback", UNIT_TEST(test_start), UNIT_TEST(test_ports), UNIT_TEST(test_grants),
	  UNIT_TEST(test_store), UNIT_TEST(test_store_long), UNIT_TEST(test_store_conflict),
	  UNIT_TEST(test_disk_properties), UNIT_TEST(test_disk_random),
	  UNIT_TEST(test_disk_full_ring), UNIT_TEST(test_disk_errors),
	  UNIT_TEST(test_disk_reconnects), UNIT_TEST(test_disk_slow),
	  UNIT_TEST(test_net_addresses), UNIT_TEST(test_net_sizes), UNIT_TEST(test_net_burst),
	  UNIT_TEST(test_net_large), UNIT_TEST(test_net_cut), UNIT_TEST(test_net_reconnects),
	  UNIT_TEST(test_console), UNIT_TEST(test_shutdown), UNIT_TEST(test_reset_anywhere),
	  UNIT_TEST(test_end_while_open), UNIT_TEST(test_frontends_do_not_trust),
	  UNIT_TEST(test_requests_are_fetched_once), UNIT_TEST(test_scribbled_rings),
	  UNIT_TEST(test_threads))
