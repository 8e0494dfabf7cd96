/*
 * virtio_ring.h - the driver's side of a split virtqueue (virtio 1.2, 2.7), without indirect descriptors
 * and without event indices.
 *
 * Nothing that the device may write is believed: what the driver needs to know of its own descriptors it
 * keeps beside them. The owner of a ring has a lock for it; virtio_ring_has_used() needs none.
 */
#ifndef DRIVERS_VIRTIO_RING_H
#define DRIVERS_VIRTIO_RING_H

#include "base/addr.h"
#include "base/compiler.h"

#define VIRTIO_RING_SIZE_MAX 256u

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[VIRTIO_RING_SIZE_MAX];
};

struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};

struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem ring[VIRTIO_RING_SIZE_MAX];
};

_Static_assert(sizeof(struct virtq_desc) == 16, "virtq_desc");
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "virtq_avail.ring");
_Static_assert(offsetof(struct virtq_used, ring) == 4, "virtq_used.ring");
_Static_assert(sizeof(struct virtq_used_elem) == 8, "virtq_used_elem");

#define VIRTQ_DESC_F_NEXT 1u
#define VIRTQ_DESC_F_WRITE 2u
#define VIRTQ_USED_F_NO_NOTIFY 1u

/* What the device shares: physically in one piece. */
struct virtio_ring_memory {
	struct virtq_desc desc[VIRTIO_RING_SIZE_MAX] ALIGNED(4096);
	struct virtq_avail avail;
	struct virtq_used used ALIGNED(16);
};

/* One descriptor to be. */
struct virtio_piece {
	hpa_t at;
	uint32_t len_bytes;
	bool device_writes;
};

struct virtio_ring {
	struct virtio_ring_memory *memory;
	uint16_t size; /* a power of two */
	uint16_t free_head;
	uint16_t free_count;
	uint16_t avail_next;
	uint16_t used_seen; /* atomic: written under the lock, read without */
	uint16_t in_flight;
	uint16_t next[VIRTIO_RING_SIZE_MAX];
	uint16_t chain_count[VIRTIO_RING_SIZE_MAX]; /* at a chain's head, as the two below */
	uint32_t writable_bytes[VIRTIO_RING_SIZE_MAX];
	void *tokens[VIRTIO_RING_SIZE_MAX]; /* NULL: no chain starts here */
};

enum virtio_ring_status {
	VIRTIO_RING_EMPTY,
	VIRTIO_RING_TAKEN,
	VIRTIO_RING_BROKEN, /* the device returned what it was not given, or more than it was given */
};

struct virtio_ring_done {
	void *token;
	uint16_t head;
	uint32_t len_bytes;
};

/* @memory is zeroed. @size is a power of two up to VIRTIO_RING_SIZE_MAX. */
void virtio_ring_init(struct virtio_ring *ring, struct virtio_ring_memory *memory, uint16_t size);

/* The head that the next virtio_ring_add() will use, if there is room. */
uint16_t virtio_ring_next_head(const struct virtio_ring *ring);

/*
 * Makes a chain and offers it. False if there are not @count free descriptors. @token is not NULL, @count
 * not 0.
 */
MUST_CHECK bool virtio_ring_add(struct virtio_ring *ring, const struct virtio_piece *pieces, uint32_t count,
                                void *token);

/* After adding: does the device want to be notified? */
bool virtio_ring_wants_notify(const struct virtio_ring *ring);

/* Is there something to take? Any CPU, without a lock. */
bool virtio_ring_has_used(const struct virtio_ring *ring);

/*
 * The next chain that the device has done with, in its order. After VIRTIO_RING_BROKEN: only
 * virtio_ring_take_back().
 */
enum virtio_ring_status virtio_ring_take(struct virtio_ring *ring, struct virtio_ring_done *done);

/*
 * The token of a chain that the device still has, taken from it; NULL if none is left. The device has been
 * stopped.
 */
void *virtio_ring_take_back(struct virtio_ring *ring);

#endif /* DRIVERS_VIRTIO_RING_H */
