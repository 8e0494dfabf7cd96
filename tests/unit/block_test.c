/*
 * block_test.c - block.c and block_ram.c: range, mode, windows, counts, and the bytes themselves.
 */
#include <string.h>

#include "backend/block.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

#define SECTORS 64u

static uint8_t medium[SECTORS * 512];
static enum block_status last_status;
static uint32_t done_count;

static void request_done(struct block_request *request, enum block_status status)
{
	(void)request;
	last_status = status;
	done_count++;
}

static enum block_status go(struct block *block, enum block_operation operation, uint64_t sector,
			    uint8_t *bytes, uint32_t len)
{
	struct block_request request = {
		.operation = operation, .sector = sector, .done = request_done};

	if (len != 0) { /* two segments, uneven */
		request.segments[0] = (struct io_segment){.bytes = bytes, .len_bytes = 512};
		request.segments[1] =
			(struct io_segment){.bytes = bytes + 512, .len_bytes = len - 512};
		request.segment_count = len > 512 ? 2 : 1;
	}
	done_count = 0;
	block_submit(block, &request);
	CU_ASSERT_EQUAL(done_count, 1);
	return last_status;
}

static void medium_fill(void)
{
	for (size_t i = 0; i < sizeof(medium); i++) {
		medium[i] = (uint8_t)(i / 512 + i);
	}
}

static void test_read_and_write(void)
{
	struct block block;
	uint8_t bytes[2048];

	medium_fill();
	block_ram_open(&block, medium, sizeof(medium) + 100, false, "disk-0");
	CU_ASSERT_EQUAL(block_sector_count(&block), SECTORS);
	CU_ASSERT_FALSE(block_is_read_only(&block));
	CU_ASSERT_STRING_EQUAL(block_serial(&block), "disk-0");
	CU_ASSERT_EQUAL(go(&block, BLOCK_READ, 3, bytes, 2048), BLOCK_OK);
	CU_ASSERT_EQUAL(memcmp(bytes, medium + 3 * 512, 2048), 0);
	memset(bytes, 0xA5, sizeof(bytes));
	CU_ASSERT_EQUAL(go(&block, BLOCK_WRITE, 62, bytes, 1024), BLOCK_OK);
	CU_ASSERT_EQUAL(medium[62 * 512], 0xA5);
	CU_ASSERT_EQUAL(medium[63 * 512 + 511], 0xA5);
	CU_ASSERT_NOT_EQUAL(medium[62 * 512 - 1], 0xA5);
	CU_ASSERT_EQUAL(go(&block, BLOCK_FLUSH, 0, NULL, 0), BLOCK_OK);
	CU_ASSERT_EQUAL(block.read_count, 1);
	CU_ASSERT_EQUAL(block.write_count, 1);
	CU_ASSERT_EQUAL(block.flush_count, 1);
	CU_ASSERT_EQUAL(block.error_count, 0);
}

static void test_range(void)
{
	struct block block;
	uint8_t bytes[1024] = {0};

	medium_fill();
	block_ram_open(&block, medium, sizeof(medium), false, NULL);
	CU_ASSERT_STRING_EQUAL(block_serial(&block), "");
	CU_ASSERT_EQUAL(go(&block, BLOCK_READ, 63, bytes, 1024), BLOCK_ERANGE);
	CU_ASSERT_EQUAL(go(&block, BLOCK_WRITE, 64, bytes, 512), BLOCK_ERANGE);
	CU_ASSERT_EQUAL(go(&block, BLOCK_WRITE, UINT64_MAX, bytes, 512), BLOCK_ERANGE);
	CU_ASSERT_EQUAL(go(&block, BLOCK_WRITE, UINT64_MAX, bytes, 1024), BLOCK_ERANGE);
	CU_ASSERT_EQUAL(go(&block, BLOCK_READ, 64, NULL, 0), BLOCK_OK); /* nothing, at the end */
	CU_ASSERT_EQUAL(block.error_count, 4);
	CU_ASSERT_EQUAL(bytes[0], 0);
}

static void test_read_only(void)
{
	struct block block;
	uint8_t bytes[512] = {0};

	medium_fill();
	block_ram_open(&block, medium, sizeof(medium), true,
		       "a serial that is longer than it may be");
	CU_ASSERT_STRING_EQUAL(block_serial(&block), "a serial that is lo");
	CU_ASSERT_TRUE(block_is_read_only(&block));
	CU_ASSERT_EQUAL(go(&block, BLOCK_WRITE, 5, bytes, 512), BLOCK_EREADONLY);
	CU_ASSERT_NOT_EQUAL(medium[5 * 512 + 1], 0);
	CU_ASSERT_EQUAL(go(&block, BLOCK_READ, 5, bytes, 512), BLOCK_OK);
	CU_ASSERT_EQUAL(go(&block, BLOCK_FLUSH, 5, NULL, 0), BLOCK_OK);
}

static void test_windows(void)
{
	struct block whole, part, inner;
	uint8_t bytes[512];

	medium_fill();
	block_ram_open(&whole, medium, sizeof(medium), true, "whole");
	CU_ASSERT_FALSE(block_open_window(&part, &whole, 10, 20, false, "part")); /* not writable */
	CU_ASSERT_FALSE(block_open_window(&part, &whole, 60, 5, true, "part"));
	CU_ASSERT_FALSE(block_open_window(&part, &whole, UINT64_MAX, 2, true, "part"));
	CU_ASSERT_TRUE(block_open_window(&part, &whole, 10, 20, true, "part"));
	CU_ASSERT_TRUE(block_open_window(&inner, &part, 5, 15, true, "inner"));
	CU_ASSERT_EQUAL(go(&inner, BLOCK_READ, 14, bytes, 512), BLOCK_OK);
	CU_ASSERT_EQUAL(memcmp(bytes, medium + 29 * 512, 512), 0);
	CU_ASSERT_EQUAL(go(&inner, BLOCK_READ, 15, bytes, 512), BLOCK_ERANGE);
}

/* A medium that fails later: the failure counts against its disk. */
static struct block_request *held;

static void hold_submit(void *context, struct block_request *request)
{
	*(uint64_t *)context = request->sector;
	held = request;
}

static void test_failure_later(void)
{
	static const struct block_medium_ops ops = {.submit = hold_submit};
	struct block whole, part;
	struct block_request request = {.operation = BLOCK_FLUSH, .done = request_done};
	uint64_t seen = 0;

	block_open(&whole, &ops, &seen, 100, false, "slow");
	CU_ASSERT_TRUE(block_open_window(&part, &whole, 50, 50, false, "part"));
	done_count = 0;
	request.operation = BLOCK_READ;
	request.sector = 7;
	block_submit(&part, &request);
	CU_ASSERT_EQUAL(done_count, 0);
	CU_ASSERT_EQUAL(seen, 57);
	block_done(held, BLOCK_EIO);
	CU_ASSERT_EQUAL(done_count, 1);
	CU_ASSERT_EQUAL(last_status, BLOCK_EIO);
	CU_ASSERT_EQUAL(part.error_count, 1);
	CU_ASSERT_EQUAL(whole.error_count, 0);
}

static void submit_odd(void *context)
{
	struct block_request request = {.operation = BLOCK_READ, .done = request_done};

	request.segment_count = 1;
	request.segments[0] = (struct io_segment){.bytes = medium, .len_bytes = 100};
	block_submit(context, &request);
}

static void submit_big(void *context)
{
	struct block_request request = {.operation = BLOCK_READ, .done = request_done};

	request.segment_count = 32;
	for (uint32_t i = 0; i < 32; i++) {
		request.segments[i] = (struct io_segment){.bytes = medium, .len_bytes = 4096};
	}
	block_submit(context, &request);
}

static void test_wrong_shape_is_ours(void)
{
	struct block block;

	block_ram_open(&block, medium, sizeof(medium), false, "disk");
	CU_ASSERT_TRUE(host_panics(submit_odd, &block));
	CU_ASSERT_TRUE(host_panics(submit_big, &block));
}

UNIT_MAIN("block", UNIT_TEST(test_read_and_write), UNIT_TEST(test_range),
	  UNIT_TEST(test_read_only), UNIT_TEST(test_windows), UNIT_TEST(test_failure_later),
	  UNIT_TEST(test_wrong_shape_is_ours))
