/*
 * gpadl.h - a guest-physical address descriptor list: a buffer of the guest's, named by its frames, pinned.
 *
 * Built word by word as its messages come; each page is pinned when its frame number arrives. The object
 * only: the bus keeps the table, the lock and the answers. What this file offers to devices is in channel.h.
 */
#ifndef VMBUS_GPADL_H
#define VMBUS_GPADL_H

#include "vmbus/channel.h"

#define GPADL_RANGE_MAX 16u

struct gpadl_range {
	uint32_t first_page; /* index into pages */
	uint32_t offset; /* below 4096 */
	uint32_t len_bytes;
};

enum gpadl_life {
	GPADL_BUILDING,
	GPADL_READY,
	GPADL_DYING, /* not found any more; released when use_count is 0 */
};

struct vmbus_gpadl {
	struct vmbus *bus;
	uint32_t id;
	uint32_t channel_id;
	enum gpadl_life life;
	bool answer_teardown;
	uint32_t use_count;
	uint32_t words_left; /* of the list, still to come */
	uint32_t pages_left; /* of the last range */
	uint32_t range_count, range_target;
	uint32_t page_count, page_room;
	struct gpadl_range ranges[GPADL_RANGE_MAX];
	struct vm_page **pages;
};

enum gpadl_progress {
	GPADL_MORE,
	GPADL_DONE,
	GPADL_BAD, /* a range or a frame is not right: what is pinned stays until the release */
};

/* @list_bytes and @range_count as in the header. NULL: they cannot be right, or out of quota. */
MUST_CHECK struct vmbus_gpadl *gpadl_create(struct vm *vm, uint32_t list_bytes, uint32_t range_count);
/* @count words of 8 bytes from @words (any alignment); those past the end of the list are not looked at. */
MUST_CHECK enum gpadl_progress gpadl_add(struct vm *vm, struct vmbus_gpadl *gpadl, const uint8_t *words,
                                         uint32_t count);
/* Unpins up to @max pages. True: all is given back and @gpadl is gone. */
MUST_CHECK bool gpadl_release(struct vm *vm, struct vmbus_gpadl *gpadl, uint32_t max);
/* Is it one range of whole pages, as a ring needs? */
bool gpadl_is_ring(const struct vmbus_gpadl *gpadl);

#endif /* VMBUS_GPADL_H */
