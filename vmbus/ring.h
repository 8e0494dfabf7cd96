/*
 * ring.h - one ring of a channel in a guest's pinned pages: a control page and a data area of whole pages.
 *
 * All of it can be written by the guest at any time. We keep our own index to ourselves and only publish it; the
 * guest's is loaded, checked and used as a copy. No locks: the caller serializes each ring.
 */
#ifndef VMBUS_RING_H
#define VMBUS_RING_H

#include "abi/vmbus.h"
#include "vm/vm.h"

struct ring {
	struct vm_page *control;
	struct vm_page *const *data;
	uint32_t data_bytes;
	uint32_t own; /* the index that we move: read of a ring received from, write of one sent on */
	uint32_t published; /* of @own: what the guest has been shown */
	bool waiting; /* sent on: pending send size is set */
};

enum ring_status {
	RING_OK,
	RING_EMPTY,
	RING_FULL,
	RING_BROKEN, /* an index or a packet is out of bounds */
};

struct ring_part {
	const void *bytes;
	uint32_t len_bytes;
};

/*
 * The @page_count (2 or more) pages at @pages, which stay pinned as long as the ring is used. Goes on where the control
 * page stands. False: its indexes are out of bounds. ring_open_sender() tells the guest that we use pending send size.
 */
MUST_CHECK bool ring_open_receiver(struct ring *ring, struct vm_page *const *pages, uint32_t page_count);
MUST_CHECK bool ring_open_sender(struct ring *ring, struct vm_page *const *pages, uint32_t page_count);

/*
 * Copies the next packet, descriptor and payload without trailer, to @to (8-byte aligned, @room bytes, 16 or more).
 * RING_OK: @len is its length, a multiple of 8, from 16 to @room; offset8 is within it. RING_EMPTY. RING_BROKEN.
 */
MUST_CHECK enum ring_status ring_receive(struct ring *ring, void *to, uint32_t room, uint32_t *len);
/* Shows the guest what was taken. True: it waits for this much room, signal it. */
MUST_CHECK bool ring_publish(struct ring *ring);
/* Whether the guest needs to signal us for new packets. */
void ring_set_mask(struct ring *ring, bool masked);
/* After unmasking: is there a packet? (Also true for a broken index, so that someone looks.) */
bool ring_has_packet(const struct ring *ring);

/*
 * Puts the @count parts (together @len bytes, descriptor first) as one packet. RING_OK: @signal says whether the guest waits
 * for it. RING_FULL: nothing is written but the room that we wait for; the guest signals when it is there.
 */
MUST_CHECK enum ring_status ring_send(struct ring *ring, const struct ring_part *parts, uint32_t count,
                                      uint32_t len, bool *signal);

#endif /* VMBUS_RING_H */
