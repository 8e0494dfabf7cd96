/*
 * block.h - a disk as a guest's device sees it, whichever face the device has.
 *
 * A device (storvsp, blkback) checks and pins first; what arrives here is right by construction,
 * except that the range may lie past the end. The backend never sees a guest.
 */
#ifndef BACKEND_BLOCK_H
#define BACKEND_BLOCK_H

#include "base/io.h"
#include "base/list.h"

#define BLOCK_SECTOR_BYTES 512u
#define BLOCK_SEGMENT_MAX 32u
#define BLOCK_REQUEST_BYTES_MAX 65536u

enum block_operation {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH, /* no segments: all writes completed before are on the medium when it completes */
};

enum block_status {
	BLOCK_OK,
	BLOCK_EIO,
	BLOCK_ERANGE, /* past the end */
	BLOCK_EREADONLY,
};

struct block_request {
	enum block_operation operation;
	uint64_t sector; /* in 512 bytes; the backend's after block_submit() */
	uint32_t segment_count;
	struct io_segment
	        segments[BLOCK_SEGMENT_MAX]; /* lengths are multiples of 512; the sum at most 64 KiB */
	/*
	 * Called exactly once, with no lock held: in block_submit() itself or later in any context.
	 * The segments stay pinned and the request stays in place until then.
	 */
	void (*done)(struct block_request *request, enum block_status status);
	struct list_node node; /* the backend's, between submit and done */
	uint64_t scratch; /* the backend's */
	struct block *block; /* the backend's */
};

/*
 * What a driver of a medium offers: RAM disk, host virtio disk. submit gets requests already
 * checked for range and mode, with sectors of the medium, and ends each by block_done(), in submit
 * or later.
 */
struct block_medium_ops {
	void (*submit)(void *medium, struct block_request *request);
};

/* One guest's open disk: a window onto a medium. */
struct block {
	const struct block_medium_ops *ops;
	void *medium;
	uint64_t first_sector; /* of the window on the medium */
	uint64_t sector_count;
	bool read_only;
	char serial[20]; /* NUL-terminated; stable over reboots */
	uint64_t read_count, write_count, flush_count, error_count; /* atomic, for the monitor */
	uint64_t in_flight; /* atomic: submitted and not done */
};

/* Size in 512-byte sectors. */
uint64_t block_sector_count(const struct block *block);
bool block_is_read_only(const struct block *block);
const char *block_serial(const struct block *block);

/*
 * Starts a request; done is called exactly once. Holding locks up to RANK_DEVICE at most; done may
 * be called before it returns.
 */
void block_submit(struct block *block, struct block_request *request);

/* For media: ends a request, with no lock held. Counts a failure against its disk. */
void block_done(struct block_request *request, enum block_status status);

/* Makes @block the whole of a medium of @sector_count sectors. @serial is cut to 19 characters. */
void block_open(struct block *block, const struct block_medium_ops *ops, void *medium, uint64_t sector_count,
                bool read_only, const char *serial);

/*
 * Makes @block a window of @sector_count sectors at @first_sector of @whole: a partition. False if
 * it does not lie in it, or is to be written and @whole is read-only.
 */
MUST_CHECK bool block_open_window(struct block *block, const struct block *whole, uint64_t first_sector,
                                  uint64_t sector_count, bool read_only, const char *serial);

/*
 * Makes @block a RAM disk of @bytes (a part of a sector at the end is left out) at @base, ours and
 * never a guest's. A flush of RAM is done when it is asked.
 */
void block_ram_open(struct block *block, uint8_t *base, uint64_t bytes, bool read_only, const char *serial);

#endif /* BACKEND_BLOCK_H */
