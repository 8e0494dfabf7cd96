/*
 * xen_rig.h - what the Xen loopback tests share: two guests, a disk in memory, a switch, and what
 * is sent and stored.
 *
 * One rig in a process, used by one test at a time. Anything that goes wrong is a failed assert.
 */
#ifndef TESTS_LOOPBACK_XEN_RIG_H
#define TESTS_LOOPBACK_XEN_RIG_H

#include <stdlib.h>
#include <string.h>

#include "guest-drivers/xen/xen.h"
#include "tests/loopback/loopback.h"
#include "tests/unit/unit.h"

#define DISK_BYTES (4u << 20)
#define DISK_SECTORS (DISK_BYTES / 512)
#define VBD_ID (202u << 8)

/* A disk request and its pages. */
struct rig_io {
	struct guest_page pages[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	struct xen_blk_piece pieces[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	uint32_t piece_count, sectors;
	uint64_t sector;
	uint8_t operation;
	bool busy;
	int status;
};

/* A network device and what came in last. */
struct rig_end {
	struct xen_netfront net;
	uint8_t last[65536];
	struct xen_net_frame frame; /* its bytes are in last */
	uint32_t count;
};

struct rig {
	struct loop_guest loops[2];
	struct xen_guest xens[2];
	uint8_t medium[DISK_BYTES];   /* what is on the disk */
	uint8_t expected[DISK_BYTES]; /* what should be, see rig_io_apply() */
	struct block disk;            /* of both guests */
	struct xen_blkfront blk;      /* of guest 0 */
	uint32_t done_count;          /* of its requests */
	struct ether_switch lan;
	struct rig_end ends[2];
	uint8_t packet[65536]; /* to be sent */
};
extern struct rig rig;

uint64_t rig_random64(void);

/* Guest @i with its face, store client, and devices (not opened) of rig.disk and rig.lan. */
void rig_up(uint32_t i, uint32_t disk_count, uint32_t nic_count);
/* Its end; nothing may be left. */
void rig_down(uint32_t i);

/* Guest 0 with an opened disk of known contents. */
void rig_disk_up(bool read_only);
void rig_disk_down(void);
void rig_io_alloc(struct rig_io *io);
void rig_io_free(struct rig_io *io);
/* Random pieces at @sector, with random bytes for a write. */
void rig_io_shape(struct rig_io *io, uint8_t operation, uint64_t sector);
bool rig_io_submit(struct rig_io *io);
void rig_io_wait(const struct rig_io *io);
/* After a write: enters it in rig.expected. After a read: true if it brought what is there. */
bool rig_io_apply(const struct rig_io *io);

/* Both guests with an opened network device. */
void rig_net_up(void);
void rig_net_down(void);
bool rig_net_open(uint32_t i);
/* Lets everything under way arrive. */
void rig_net_settle(void);
/* rig.packet becomes a random frame of @len bytes from one guest to the other. */
void rig_packet_fill(uint32_t from, uint32_t len);
bool rig_packet_send(uint32_t from, uint32_t len);

#endif /* TESTS_LOOPBACK_XEN_RIG_H */
