/*
 * virtio_blk.h - a host's virtio disk (virtio 1.2, 5.2) as a medium of backend/block.h.
 *
 * Data moves between the device and the request's segments themselves. Requests that find no room in the
 * queue wait in a list of their own nodes, so the callers' pools bound it. Completions are found by
 * polling; an interrupt only ends a CPU's halt or stay in a guest.
 *
 * A device that breaks its contract is stopped and stays so: each request, then and later, fails with
 * BLOCK_EIO. One that merely does not answer is waited for without end, but at boot.
 */
#ifndef DRIVERS_VIRTIO_BLK_H
#define DRIVERS_VIRTIO_BLK_H

#include "backend/block.h"
#include "base/lock.h"
#include "hypervisor/drivers/virtio_pci.h"

#define VIRTIO_BLK_ID_BYTES 20u
#define VIRTIO_BLK_MEMORY_BYTES 16384u

struct virtio_blk_memory;

enum virtio_blk_state {
	VIRTIO_BLK_LIVE,
	VIRTIO_BLK_BREAKING, /* one CPU is stopping the device */
	VIRTIO_BLK_BROKEN,
};

struct virtio_blk {
	struct virtio_pci device;
	struct virtio_blk_memory *memory;
	uint64_t features;
	uint64_t sector_count; /* of 512 bytes */
	uint32_t piece_bytes_max;
	bool has_interrupt;
	char serial[VIRTIO_BLK_ID_BYTES + 1]; /* empty: the device has none */

	struct spinlock lock; /* RANK_HOST_DEVICE: what follows */
	struct virtio_ring ring;
	struct list_node waiting;
	const char *broken_why;
	/* written under the lock, read without: atomic */
	uint32_t state;
	uint32_t must_look; /* there is something for a poll beside the used ring */
	uint32_t config_changed; /* written by the interrupt */
	uint64_t interrupt_count;
};

extern const struct block_medium_ops virtio_blk_ops;

/* Is @at a virtio block device, modern or transitional? */
bool virtio_blk_is(const struct pci_function *at);

/*
 * Starts the device. @memory is VIRTIO_BLK_MEMORY_BYTES zeroed and physically in one piece, page-aligned.
 * @cpu gets the interrupts. False: the disk cannot be used, and *@why says so; the device is stopped. Boot
 * CPU; may spin for some seconds.
 */
MUST_CHECK bool virtio_blk_open(struct virtio_blk *disk, const struct pci_function *at, void *memory,
                                unsigned int cpu, const char **why);

bool virtio_blk_is_read_only(const struct virtio_blk *disk);
/* False: the device has no cache to flush, and a write that has ended is stable. */
bool virtio_blk_has_flush(const struct virtio_blk *disk);

/* Is there something for virtio_blk_poll() to do? Any CPU; a few loads. */
bool virtio_blk_is_pending(const struct virtio_blk *disk);

/*
 * Ends some requests (16 at most) that the device has done with, and starts some that wait. Any CPU,
 * holding no lock. Returns why the device is broken, once, on the CPU that found out; else NULL.
 */
const char *virtio_blk_poll(struct virtio_blk *disk);

/*
 * Gives the device up as if it had broken its contract; polls then fail what is pending. Any CPU, holding
 * no lock.
 */
void virtio_blk_give_up(struct virtio_blk *disk, const char *why);

#endif /* DRIVERS_VIRTIO_BLK_H */
