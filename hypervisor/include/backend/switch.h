/*
 * switch.h - a learning Ethernet switch between guests' network devices, of either face.
 *
 * A frame goes straight from the sender's pinned pages into each receiver's buffers: one copy, made
 * by the receiver's deliver operation. Checksum and segmentation requests travel with the frame; a
 * large send arrives whole where the receiver can take it and is else cut into segments here, once;
 * a checksum left blank is filled in here if the receiver cannot take it blank. Where a receiver
 * has no room the frame is dropped for it and counted: nothing is queued.
 */
#ifndef BACKEND_SWITCH_H
#define BACKEND_SWITCH_H

#include "base/io.h"
#include "base/lock.h"

#define SWITCH_PORT_MAX 64u
#define SWITCH_SEGMENT_MAX 24u /* of a frame sent; one delivered may have one more */
#define SWITCH_FRAME_BYTES_MAX 65550u /* a 64 KiB IP packet and its Ethernet header */
#define SWITCH_CUT_MAX 256u /* segments that one large send is cut into, at most */

enum switch_offload {
	SWITCH_CHECKSUM_IPV4 = 1, /* takes TCP and UDP over IPv4 with a blank checksum */
	SWITCH_CHECKSUM_IPV6 = 2,
	SWITCH_SEGMENT_IPV4 = 4, /* takes TCP over IPv4 above the MTU, to be cut by itself */
	SWITCH_SEGMENT_IPV6 = 8,
};

/*
 * One frame, from the sender's device. All of it is the sender's claim: the switch parses the
 * headers from its own copy before it trusts an offset, and what it delivers starts with that copy.
 *
 * A frame delivered with checksum_blank is TCP or UDP over IP, has a right pseudo-header sum there
 * and, over IPv4, a right header checksum; one with segment_bytes is TCP, has checksum_blank and a
 * right IP length (a sender may leave these fields as its interface says: zero, or any value).
 */
struct switch_frame {
	const struct io_segment *segments;
	uint32_t segment_count;
	uint32_t len_bytes; /* sum of the segments */
	bool checksum_blank; /* TCP or UDP checksum holds only the pseudo-header sum */
	bool checksum_good; /* the receiver need not verify */
	uint16_t segment_bytes; /* TCP payload a segment; 0 = send as it is */
};

struct switch_port_ops {
	/*
	 * Copies the frame into the receiver's buffers. False if there is no room now: the frame is
	 * dropped. Called with the switch's lock held; may take locks of RANK_RECEIVE and above.
	 * Bounded: one frame.
	 */
	bool (*deliver)(void *device, const struct switch_frame *frame);
};

struct switch_counts {
	uint64_t sent_frames, sent_bytes, received_frames, received_bytes, dropped_frames;
	uint64_t sent_whole; /* large sends that a receiver took whole */
	uint64_t sent_segmented; /* large sends that the switch cut */
	uint64_t checksums_filled;
	uint64_t spoofed_frames; /* sent from another port's own address: dropped, and counted there too */
};

struct ether_switch;

struct switch_port {
	struct ether_switch *owner;
	const struct switch_port_ops *ops; /* NULL while no device is connected */
	void *device;
	uint32_t offloads; /* of the receiver, enum switch_offload */
	uint32_t index;
	struct switch_counts counts;
};

/*
 * Each port has four places of its own, so that no sender's inventions push out another's address.
 */
#define SWITCH_PORT_ADDRESSES 4u
#define SWITCH_ADDRESS_COUNT (SWITCH_PORT_MAX * SWITCH_PORT_ADDRESSES)

struct switch_address {
	uint64_t mac; /* first byte lowest; 0 = empty */
	bool is_own; /* of its port by configuration: never learned elsewhere, never forgotten */
};

struct ether_switch {
	struct spinlock lock; /* RANK_SWITCH */
	char name[32];
	struct switch_port *ports[SWITCH_PORT_MAX];
	uint32_t port_end; /* above the highest port in use */
	struct switch_address addresses[SWITCH_ADDRESS_COUNT]; /* of port n from 4n on */
	uint8_t address_hands[SWITCH_PORT_MAX]; /* the place to use next */
};

void switch_init(struct ether_switch *sw, const char *name);
/* Adds a port without a device. False if the switch is full. */
MUST_CHECK bool switch_add_port(struct ether_switch *sw, struct switch_port *port);
/*
 * The address that the configuration gives the port's device, as it stands in a frame. What another port sends as from it is dropped;
 * what is for it goes here alone. Once, before switch_connect(). Nothing if it is a group's, none, or another port's already.
 */
void switch_set_address(struct switch_port *port, const uint8_t mac[6]);
/* No device is connected to it any more. */
void switch_remove_port(struct switch_port *port);

/*
 * A device starts to receive. @offloads: what it negotiated. Not while holding RANK_SWITCH or
 * above.
 */
void switch_connect(struct switch_port *port, const struct switch_port_ops *ops, void *device,
                    uint32_t offloads);
void switch_set_offloads(struct switch_port *port, uint32_t offloads);
/* On return no deliver call runs or will come. Learned addresses of the port are forgotten. */
void switch_disconnect(struct switch_port *port);

/*
 * Sends one frame. The segments stay pinned by the caller until it returns; the caller holds no
 * lock of RANK_SWITCH or above. Frames that are too short, too long or not what their flags say are
 * dropped and counted. At most 64 KiB are copied a receiver; a broadcast goes to at most
 * SWITCH_PORT_MAX ports.
 */
void switch_send(struct switch_port *port, const struct switch_frame *frame);

void switch_counts_get(struct switch_port *port, struct switch_counts *counts);

#endif /* BACKEND_SWITCH_H */
