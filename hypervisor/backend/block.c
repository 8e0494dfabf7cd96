/*
 * block.c - a guest's window onto a medium: range, mode and counts. Contract: backend/block.h.
 */
#include "backend/block.h"

#include "base/bits.h"
#include "base/check.h"

static void count(uint64_t *counter)
{
	(void)__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void serial_set(struct block *block, const char *serial)
{
	size_t i = 0;

	for (; serial != NULL && serial[i] != 0 && i < sizeof(block->serial) - 1; i++) {
		block->serial[i] = serial[i];
	}
	block->serial[i] = 0;
}

void block_open(struct block *block, const struct block_medium_ops *ops, void *medium, uint64_t sector_count,
                bool read_only, const char *serial)
{
	*block = (struct block){
	        .ops = ops,
	        .medium = medium,
	        .sector_count = sector_count,
	        .read_only = read_only,
	};
	serial_set(block, serial);
}

bool block_open_window(struct block *block, const struct block *whole, uint64_t first_sector,
                       uint64_t sector_count, bool read_only, const char *serial)
{
	if (!range_fits(first_sector, sector_count, whole->sector_count) ||
	    (whole->read_only && !read_only)) {
		return false;
	}
	block_open(block, whole->ops, whole->medium, sector_count, read_only, serial);
	block->first_sector = whole->first_sector + first_sector;
	return true;
}

uint64_t block_sector_count(const struct block *block)
{
	return block->sector_count;
}

bool block_is_read_only(const struct block *block)
{
	return block->read_only;
}

const char *block_serial(const struct block *block)
{
	return block->serial;
}

/* The device has checked and pinned: a wrong shape is ours. Returns the sectors to move. */
static uint64_t request_sectors(const struct block_request *request)
{
	uint64_t bytes = 0;

	CHECK(request->segment_count <= BLOCK_SEGMENT_MAX);
	CHECK(request->operation != BLOCK_FLUSH || request->segment_count == 0);
	for (uint32_t i = 0; i < request->segment_count; i++) {
		CHECK(request->segments[i].len_bytes % BLOCK_SECTOR_BYTES == 0);
		bytes += request->segments[i].len_bytes;
	}
	CHECK(bytes <= BLOCK_REQUEST_BYTES_MAX);
	return bytes / BLOCK_SECTOR_BYTES;
}

static enum block_status request_check(const struct block *block, const struct block_request *request)
{
	uint64_t sectors = request_sectors(request);

	if (request->operation == BLOCK_FLUSH) {
		return BLOCK_OK;
	}
	if (!range_fits(request->sector, sectors, block->sector_count)) {
		return BLOCK_ERANGE;
	}
	if (request->operation == BLOCK_WRITE && block->read_only) {
		return BLOCK_EREADONLY;
	}
	return BLOCK_OK;
}

static uint64_t *operation_counter(struct block *block, enum block_operation operation)
{
	switch (operation) {
	case BLOCK_READ:
		return &block->read_count;
	case BLOCK_WRITE:
		return &block->write_count;
	case BLOCK_FLUSH:
		break;
	}
	return &block->flush_count;
}

void block_submit(struct block *block, struct block_request *request)
{
	enum block_status status = request_check(block, request);

	request->block = block;
	count(operation_counter(block, request->operation));
	count(&block->in_flight);
	if (status != BLOCK_OK) {
		block_done(request, status);
		return;
	}
	request->sector += block->first_sector;
	block->ops->submit(block->medium, request);
}

void block_done(struct block_request *request, enum block_status status)
{
	struct block *block = request->block;

	if (status != BLOCK_OK) {
		count(&block->error_count);
	}
	request->done(request, status);
	__atomic_fetch_sub(&block->in_flight, 1, __ATOMIC_RELEASE);
}
