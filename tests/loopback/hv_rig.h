/*
 * hv_rig.h - what the Hyper-V loopback tests share: two guests, two disks in memory, a switch, and
 * what is sent and stored. One rig in a process, used by one test at a time. Anything that goes
 * wrong is a failed assert.
 */
#ifndef TESTS_LOOPBACK_HV_RIG_H
#define TESTS_LOOPBACK_HV_RIG_H

#include <stdlib.h>
#include <string.h>

#include "guest-drivers/hyperv/hyperv.h"
#include "tests/loopback/hv_loopback.h"
#include "tests/unit/unit.h"

#define HV_DISK_BYTES (4u << 20)
#define HV_DISK_SECTORS (HV_DISK_BYTES / 512)
#define HV_IO_PAGES 17u

/* A disk request and its pages. */
struct hv_io {
	struct guest_page pages[HV_IO_PAGES];
	uint64_t gfns[HV_IO_PAGES];
	struct hv_buffer buffer;
	uint64_t sector;
	bool write, busy;
	struct hv_scsi_result result;
};

/* A network device and what came in last. */
struct hv_end {
	struct hv_netvsc net;
	uint8_t last[65536];
	struct hv_net_frame frame; /* its bytes are in last */
	uint32_t count, bytes;
};

struct hv_rig {
	struct loop_guest loops[2];
	struct hv_guest hvs[2];
	uint8_t medium[HV_DISK_BYTES];   /* what is on the disk */
	uint8_t expected[HV_DISK_BYTES]; /* what should be, see hv_io_apply() */
	uint8_t second_medium[1u << 20];
	struct block disks[2]; /* of both guests; the second is read-only */
	struct hv_storvsc stor; /* of guest 0 */
	struct hv_disk disk;
	struct ether_switch lan;
	struct hv_end ends[2];
	uint8_t packet[65536];
};
extern struct hv_rig hv_rig;

uint64_t hv_random64(void);
/* FNV-1a, so that a test can say what is stored without keeping it. */
uint64_t hv_checksum(const void *bytes, size_t len);

/* Guest @i with its bus connected (at most @version) and its offers, no device open. */
void hv_rig_up(uint32_t i, uint32_t version, uint32_t disk_count, uint32_t nic_count);
/* Only the machine, nothing started in it. */
void hv_rig_new(uint32_t i, uint32_t disk_count, uint32_t nic_count);
/* Unloads and ends; nothing may be left. */
void hv_rig_down(uint32_t i);
/* As after a reset: no page is anybody's. */
void hv_rig_forget_pages(uint32_t i);

void hv_media_fill(void);
void hv_disk_up(uint32_t version);
void hv_disk_down(void);
void hv_io_alloc(struct hv_io *io, uint32_t guest);
void hv_io_free(struct hv_io *io, uint32_t guest);
/* @sectors at @sector, in memory from @offset (4-byte steps) on; random bytes for a write. */
void hv_io_shape(struct hv_io *io, bool write, uint64_t sector, uint32_t sectors, uint32_t offset);
bool hv_io_submit(struct hv_io *io);
void hv_io_wait(const struct hv_io *io);
/* After a write: enters it in expected. After a read: true if it brought what is there. */
bool hv_io_apply(const struct hv_io *io);
void hv_io_done(void *context, const struct hv_scsi_result *result);

void hv_net_up(enum hv_net_way way);
void hv_net_down(void);
void hv_net_received(void *context, const struct hv_net_frame *frame);
bool hv_net_open(uint32_t i);
void hv_net_settle(void);
/* hv_rig.packet becomes a random frame of @len bytes between two addresses. */
void hv_packet_fill(const uint8_t to[6], const uint8_t from[6], uint32_t len);
/* An IPv4 TCP or UDP packet with @payload bytes; returns its length. Checksums are left blank. */
uint32_t hv_packet_fill_ip(const uint8_t to[6], const uint8_t from[6], bool udp, uint32_t payload);
/* True if the TCP or UDP checksum of an IPv4 frame is right as it stands. */
bool hv_packet_sum_is_right(const uint8_t *bytes, uint32_t len);

/*
 * Of guest 0, from nothing: the bus, disk and network, data, and down again. It may fail anywhere
 * and says nothing of it.
 */
void hv_life(void);
/* After a reset of its machine: all comes up and goes again but for the bus; asserted. */
void hv_life_again(void);

#endif /* TESTS_LOOPBACK_HV_RIG_H */
