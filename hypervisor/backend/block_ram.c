/*
 * block_ram.c - a disk in memory of ours: a boot module that guests may read and write. Contract:
 * backend/block.h.
 *
 * Two requests for the same sectors may mix, as on a disk; guests order their own requests by
 * completions.
 */
#include "backend/block.h"

static void ram_submit(void *medium, struct block_request *request)
{
	uint8_t *at = (uint8_t *)medium + request->sector * BLOCK_SECTOR_BYTES;

	for (uint32_t i = 0; i < request->segment_count; i++) {
		const struct io_segment *segment = &request->segments[i];

		if (request->operation == BLOCK_READ) {
			memcpy(segment->bytes, at, segment->len_bytes);
		} else {
			memcpy(at, segment->bytes, segment->len_bytes);
		}
		at += segment->len_bytes;
	}
	block_done(request, BLOCK_OK);
}

static const struct block_medium_ops ram_ops = {.submit = ram_submit};

void block_ram_open(struct block *block, uint8_t *base, uint64_t bytes, bool read_only, const char *serial)
{
	block_open(block, &ram_ops, base, bytes / BLOCK_SECTOR_BYTES, read_only, serial);
}
