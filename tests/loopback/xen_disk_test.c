/*
 * xen_disk_test.c - blkfront against blkback: bytes, errors, slow disks, closing, and each side
 * lying to the other.
 */
#include "tests/loopback/xen_rig.h"

/* ------------------------------------------------------------------ the disk */

static void test_disk_properties(void)
{
	rig_disk_up(false);
	CU_ASSERT_EQUAL(rig.blk.sector_count, DISK_SECTORS);
	CU_ASSERT_EQUAL(rig.blk.sector_bytes, 512);
	CU_ASSERT_TRUE(rig.blk.flush);
	CU_ASSERT_FALSE(rig.blk.read_only);
	rig_disk_down();
	rig_disk_up(true);
	CU_ASSERT_TRUE(rig.blk.read_only);
	rig_disk_down();
}

/*
 * Many requests in flight, in random shapes, over disjoint places; then all of the disk is
 * compared.
 */
static void test_disk_random(void)
{
	enum { IOS = 24 };
	static struct rig_io ios[IOS];
	uint32_t submitted = 0;

	rig_disk_up(false);
	for (uint32_t i = 0; i < IOS; i++) {
		rig_io_alloc(&ios[i]);
	}
	rig.done_count = 0;
	for (uint32_t round = 0; round < 150; round++) {
		for (uint32_t i = 0; i < IOS; i++) {
			uint64_t sector = i * (DISK_SECTORS / IOS) + rig_random64() % 200;

			rig_io_shape(&ios[i], rig_random64() % 2 ? 0 : 1, sector); /* read, write */
			CU_ASSERT_TRUE_FATAL(rig_io_submit(&ios[i]));
			submitted++;
		}
		for (uint32_t i = 0; i < IOS; i++) {
			rig_io_wait(&ios[i]);
			CU_ASSERT_EQUAL(ios[i].status, BLKIF_RSP_OKAY);
			CU_ASSERT_TRUE(rig_io_apply(&ios[i]));
		}
	}
	CU_ASSERT_EQUAL(rig.done_count, submitted);
	CU_ASSERT_EQUAL(memcmp(rig.medium, rig.expected, DISK_BYTES), 0);
	CU_ASSERT_EQUAL(rig.disk.error_count, 0);
	for (uint32_t i = 0; i < IOS; i++) {
		rig_io_free(&ios[i]);
	}
	rig_disk_down();
}

static void test_disk_full_ring(void)
{
	static struct rig_io ios[XEN_BLK_ENTRIES];
	struct rig_io more;

	rig_disk_up(false);
	rig_io_alloc(&more);
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		rig_io_alloc(&ios[i]);
		rig_io_shape(&ios[i], BLKIF_OP_READ, i * 100);
		CU_ASSERT_TRUE(rig_io_submit(&ios[i]));
	}
	rig_io_shape(&more, BLKIF_OP_READ, 0);
	CU_ASSERT_FALSE(rig_io_submit(&more)); /* no slot */
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		rig_io_wait(&ios[i]);
		CU_ASSERT_TRUE(rig_io_apply(&ios[i]));
		rig_io_free(&ios[i]);
	}
	CU_ASSERT_TRUE(rig_io_submit(&more));
	rig_io_wait(&more);
	CU_ASSERT_TRUE(rig_io_apply(&more));
	rig_io_free(&more);
	rig_disk_down();
}

static void test_disk_errors(void)
{
	struct rig_io io;
	static const uint8_t refused[] = {BLKIF_OP_WRITE_BARRIER, BLKIF_OP_DISCARD, 17};

	rig_disk_up(true);
	rig_io_alloc(&io);
	rig_io_shape(&io, BLKIF_OP_WRITE, 5);
	CU_ASSERT_TRUE(rig_io_submit(&io));
	rig_io_wait(&io);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_ERROR); /* read-only */
	rig_io_shape(&io, BLKIF_OP_READ, DISK_SECTORS);
	CU_ASSERT_TRUE(rig_io_submit(&io));
	rig_io_wait(&io);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_ERROR); /* past the end */
	for (uint32_t i = 0; i < sizeof(refused); i++) {
		rig_io_shape(&io, refused[i], 0);
		CU_ASSERT_TRUE(rig_io_submit(&io));
		rig_io_wait(&io);
		CU_ASSERT_EQUAL(io.status, BLKIF_RSP_EOPNOTSUPP);
	}
	rig_io_shape(&io, BLKIF_OP_FLUSH_DISKCACHE, 0);
	io.piece_count = 0;
	CU_ASSERT_TRUE(rig_io_submit(&io));
	rig_io_wait(&io);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_OKAY);
	rig_io_shape(&io, BLKIF_OP_READ, 0);
	CU_ASSERT_TRUE(rig_io_submit(&io)); /* it goes on */
	rig_io_wait(&io);
	CU_ASSERT_TRUE(rig_io_apply(&io));
	CU_ASSERT_EQUAL(memcmp(rig.medium, rig.expected, DISK_BYTES), 0);
	rig_io_free(&io);
	rig_disk_down();
}

static void test_disk_reconnects(void)
{
	struct rig_io io;

	rig_disk_up(false);
	for (uint32_t i = 0; i < 20; i++) {
		rig_io_alloc(&io);
		rig_io_shape(&io, BLKIF_OP_WRITE, i * 50);
		CU_ASSERT_TRUE(rig_io_submit(&io));
		if (i % 2 == 0) {
			rig_io_wait(&io);
		}
		CU_ASSERT_TRUE_FATAL(
			xen_blkfront_close(&rig.blk)); /* with a request under way, too */
		CU_ASSERT_FALSE(io.busy);
		CU_ASSERT_EQUAL(io.status, BLKIF_RSP_OKAY);
		rig_io_free(&io);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
	}
	rig_disk_down();
}

/*
 * ------------------------------------------------------------------ a medium that takes its time
 */

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
			memcpy(segment->bytes, rig.medium + off, segment->len_bytes);
		} else {
			memcpy(rig.medium + off, segment->bytes, segment->len_bytes);
		}
		off += segment->len_bytes;
	}
	block_done(request, status);
}

static void slow_medium(struct loop_guest *loop)
{
	(void)loop;
	if (queue_count != 0 && rig_random64() % 4 == 0) {
		slow_answer((uint32_t)(rig_random64() % queue_count), BLOCK_OK);
	}
}

static void test_disk_slow(void)
{
	static const struct block_medium_ops slow_ops = {.submit = slow_submit};
	enum { IOS = 16 };
	static struct rig_io ios[IOS];

	rig_disk_up(false);
	rig.disk.ops = &slow_ops;
	for (uint32_t i = 0; i < IOS; i++) {
		rig_io_alloc(&ios[i]);
	}
	rig.loops[0].at_exit = slow_medium;
	for (uint32_t round = 0; round < 30; round++) {
		for (uint32_t i = 0; i < IOS; i++) {
			rig_io_shape(&ios[i], BLKIF_OP_READ, i * 300 + rig_random64() % 200);
			CU_ASSERT_TRUE_FATAL(rig_io_submit(&ios[i]));
		}
		if (round % 3 == 2) { /* closes while requests are out: waits for them */
			CU_ASSERT_TRUE_FATAL(xen_blkfront_close(&rig.blk));
			CU_ASSERT_EQUAL(queue_count, 0);
			CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
		}
		for (uint32_t i = 0; i < IOS; i++) {
			rig_io_wait(&ios[i]);
			CU_ASSERT_EQUAL(ios[i].status, BLKIF_RSP_OKAY);
			CU_ASSERT_TRUE(rig_io_apply(&ios[i]));
		}
	}
	rig.loops[0].at_exit = NULL;
	CU_ASSERT_TRUE(rig_io_submit(&ios[0]));
	(void)loop_run_all();
	slow_answer(0, BLOCK_EIO);
	rig_io_wait(&ios[0]);
	CU_ASSERT_EQUAL(ios[0].status, BLKIF_RSP_ERROR);
	for (uint32_t i = 0; i < IOS; i++) {
		rig_io_free(&ios[i]);
	}
	rig_disk_down();
}

/*
 * ------------------------------------------------------------------ a host that lies to its guest
 */

static void test_frontends_do_not_trust(void)
{
	struct rig_io io, more;
	uint8_t *page;

	rig_disk_up(false);
	rig_io_alloc(&io);
	rig_io_shape(&io, BLKIF_OP_READ, 0);
	CU_ASSERT_TRUE(rig_io_submit(&io));
	page = rig.blk.ring.page.bytes;
	guest_store32(page + XEN_RING_RSP_PROD, 5); /* more answers than questions */
	xen_blkfront_poll(&rig.blk);
	CU_ASSERT_TRUE(rig.blk.ring.broken);
	CU_ASSERT_TRUE(io.busy);
	rig.blk.ring.broken = false;
	guest_store32(page + XEN_RING_RSP_PROD, 1);
	page[XEN_RING_HEADER_BYTES] = 77; /* an id that was never given */
	xen_blkfront_poll(&rig.blk);
	CU_ASSERT_TRUE(rig.blk.ring.broken);
	CU_ASSERT_TRUE(io.busy);
	more = io;
	CU_ASSERT_FALSE(rig_io_submit(&more));
	CU_ASSERT_TRUE(xen_blkfront_close(&rig.blk));
	CU_ASSERT_FALSE(io.busy);
	CU_ASSERT_EQUAL(io.status, BLKIF_RSP_ERROR);
	rig_io_free(&io);
	guest_store32(rig.xens[0].store.ring + offsetof(struct xen_xs_ring, rsp_prod), 0x90000);
	CU_ASSERT_TRUE(xen_store_write(&rig.xens[0], 0, "data/x", "1") < 0);
	CU_ASSERT_TRUE(rig.xens[0].store.broken);
	rig_down(0);
}

UNIT_MAIN("xen disk", UNIT_TEST(test_disk_properties), UNIT_TEST(test_disk_random),
	  UNIT_TEST(test_disk_full_ring), UNIT_TEST(test_disk_errors),
	  UNIT_TEST(test_disk_reconnects), UNIT_TEST(test_disk_slow),
	  UNIT_TEST(test_frontends_do_not_trust))
