/*
 * xen_io.h - Xen's shared rings and the store's wire format: constants and layouts.
 *
 * Follows Xen's public io/ headers (ring.h, xs_wire.h, xenbus.h, blkif.h, netif.h, console.h,
 * protocols.h). Part of xen.h: include that one.
 */
#ifndef ABI_XEN_IO_H
#define ABI_XEN_IO_H

#include "base/compiler.h"

/* ------------------------------------------------------------------ shared ring (io/ring.h) */

#define XEN_RING_REQ_PROD 0u
#define XEN_RING_REQ_EVENT 4u
#define XEN_RING_RSP_PROD 8u
#define XEN_RING_RSP_EVENT 12u
#define XEN_RING_HEADER_BYTES 64u

struct xen_ring_header {
	uint32_t req_prod;
	uint32_t req_event;
	uint32_t rsp_prod;
	uint32_t rsp_event;
	uint8_t private_bytes[48];
} PACKED;
XEN_SIZE(xen_ring_header, 64);
XEN_AT(xen_ring_header, req_event, 4);
XEN_AT(xen_ring_header, rsp_prod, 8);
XEN_AT(xen_ring_header, rsp_event, 12);

/* Entries of a ring of @pages pages: the largest power of two that fits. */
static inline uint32_t xen_ring_entries(uint32_t pages, uint32_t entry_bytes)
{
	uint32_t room = (pages * 4096u - XEN_RING_HEADER_BYTES) / entry_bytes;

	return 1u << (31u - (uint32_t)__builtin_clz(room));
}

/* ------------------------------------------------------------------ xenstore (io/xs_wire.h) */

enum {
	XS_CONTROL = 0,
	XS_DIRECTORY = 1,
	XS_READ = 2,
	XS_GET_PERMS = 3,
	XS_WATCH = 4,
	XS_UNWATCH = 5,
	XS_TRANSACTION_START = 6,
	XS_TRANSACTION_END = 7,
	XS_INTRODUCE = 8,
	XS_RELEASE = 9,
	XS_GET_DOMAIN_PATH = 10,
	XS_WRITE = 11,
	XS_MKDIR = 12,
	XS_RM = 13,
	XS_SET_PERMS = 14,
	XS_WATCH_EVENT = 15,
	XS_ERROR = 16,
	XS_IS_DOMAIN_INTRODUCED = 17,
	XS_RESUME = 18,
	XS_SET_TARGET = 19,
	XS_RESET_WATCHES = 21,
	XS_DIRECTORY_PART = 22,
};

#define XENSTORE_PAYLOAD_MAX 4096u
#define XENSTORE_ABS_PATH_MAX 3072u
#define XENSTORE_REL_PATH_MAX 2048u
#define XENSTORE_RING_SIZE 1024u
#define MASK_XENSTORE_IDX(idx) ((idx) & (XENSTORE_RING_SIZE - 1u))

struct xen_xs_message {
	uint32_t type;
	uint32_t req_id;
	uint32_t tx_id;
	uint32_t len; /* of what follows, in bytes */
} PACKED;
XEN_SIZE(xen_xs_message, 16);
XEN_AT(xen_xs_message, req_id, 4);
XEN_AT(xen_xs_message, tx_id, 8);
XEN_AT(xen_xs_message, len, 12);

struct xen_xs_ring {
	uint8_t req[XENSTORE_RING_SIZE]; /* guest to store */
	uint8_t rsp[XENSTORE_RING_SIZE]; /* store to guest */
	uint32_t req_cons;
	uint32_t req_prod;
	uint32_t rsp_cons;
	uint32_t rsp_prod;
	uint32_t server_features;
	uint32_t connection;
	uint32_t error;
	uint32_t evtchn_port; /* newer than Xen 4.17's header */
} PACKED;
XEN_SIZE(xen_xs_ring, 2080);
XEN_AT(xen_xs_ring, rsp, 1024);
XEN_AT(xen_xs_ring, req_cons, 2048);
XEN_AT(xen_xs_ring, req_prod, 2052);
XEN_AT(xen_xs_ring, rsp_cons, 2056);
XEN_AT(xen_xs_ring, rsp_prod, 2060);
XEN_AT(xen_xs_ring, server_features, 2064);
XEN_AT(xen_xs_ring, connection, 2068);
XEN_AT(xen_xs_ring, error, 2072);

#define XENSTORE_SERVER_FEATURE_RECONNECTION 1u
#define XENSTORE_SERVER_FEATURE_ERROR 2u
#define XENSTORE_CONNECTED 0u
#define XENSTORE_RECONNECT 1u
#define XENSTORE_ERROR_NONE 0u
#define XENSTORE_ERROR_COMM 1u
#define XENSTORE_ERROR_RINGIDX 2u
#define XENSTORE_ERROR_PROTO 3u

/* Device states (io/xenbus.h). */
enum {
	XenbusStateUnknown = 0,
	XenbusStateInitialising = 1,
	XenbusStateInitWait = 2,
	XenbusStateInitialised = 3,
	XenbusStateConnected = 4,
	XenbusStateClosing = 5,
	XenbusStateClosed = 6,
	XenbusStateReconfiguring = 7,
	XenbusStateReconfigured = 8,
};

/* ------------------------------------------------------------------ blkif (io/blkif.h, io/protocols.h) */

#define XEN_IO_PROTO_ABI_X86_32 "x86_32-abi"
#define XEN_IO_PROTO_ABI_X86_64 "x86_64-abi"

#define BLKIF_OP_READ 0u
#define BLKIF_OP_WRITE 1u
#define BLKIF_OP_WRITE_BARRIER 2u
#define BLKIF_OP_FLUSH_DISKCACHE 3u
#define BLKIF_OP_DISCARD 5u
#define BLKIF_OP_INDIRECT 6u
#define BLKIF_MAX_SEGMENTS_PER_REQUEST 11u
#define BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST 8u
#define BLKIF_SECTOR_BYTES 512u
#define BLKIF_SEGMENTS_PER_INDIRECT_PAGE 512u
#define BLKIF_DISCARD_SECURE 1u
#define BLKIF_RSP_EOPNOTSUPP (-2)
#define BLKIF_RSP_ERROR (-1)
#define BLKIF_RSP_OKAY 0
#define VDISK_CDROM 0x1u
#define VDISK_REMOVABLE 0x2u
#define VDISK_READONLY 0x4u

struct xen_blkif_segment {
	uint32_t gref;
	uint8_t first_sect;
	uint8_t last_sect; /* inclusive */
	uint16_t pad;
} PACKED;
XEN_SIZE(xen_blkif_segment, 8);
XEN_AT(xen_blkif_segment, first_sect, 4);
XEN_AT(xen_blkif_segment, last_sect, 5);

struct xen_blkif_request64 {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle;
	uint32_t pad;
	uint64_t id;
	uint64_t sector_number;
	struct xen_blkif_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
} PACKED;
XEN_SIZE(xen_blkif_request64, 112);
XEN_AT(xen_blkif_request64, id, 8);
XEN_AT(xen_blkif_request64, sector_number, 16);
XEN_AT(xen_blkif_request64, seg, 24);

struct xen_blkif_request32 {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle;
	uint64_t id;
	uint64_t sector_number;
	struct xen_blkif_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
} PACKED;
XEN_SIZE(xen_blkif_request32, 108);
XEN_AT(xen_blkif_request32, id, 4);
XEN_AT(xen_blkif_request32, sector_number, 12);
XEN_AT(xen_blkif_request32, seg, 20);

struct xen_blkif_discard64 {
	uint8_t operation;
	uint8_t flag;
	uint16_t handle;
	uint32_t pad;
	uint64_t id;
	uint64_t sector_number;
	uint64_t nr_sectors;
} PACKED;
XEN_SIZE(xen_blkif_discard64, 32);
XEN_AT(xen_blkif_discard64, nr_sectors, 24);

struct xen_blkif_discard32 {
	uint8_t operation;
	uint8_t flag;
	uint16_t handle;
	uint64_t id;
	uint64_t sector_number;
	uint64_t nr_sectors;
} PACKED;
XEN_SIZE(xen_blkif_discard32, 28);
XEN_AT(xen_blkif_discard32, nr_sectors, 20);

struct xen_blkif_indirect64 {
	uint8_t operation;
	uint8_t indirect_op;
	uint16_t nr_segments;
	uint32_t pad;
	uint64_t id;
	uint64_t sector_number;
	uint16_t handle;
	uint16_t pad2;
	uint32_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
	uint32_t pad3;
} PACKED;
XEN_SIZE(xen_blkif_indirect64, 64);
XEN_AT(xen_blkif_indirect64, id, 8);
XEN_AT(xen_blkif_indirect64, sector_number, 16);
XEN_AT(xen_blkif_indirect64, handle, 24);
XEN_AT(xen_blkif_indirect64, indirect_grefs, 28);

struct xen_blkif_indirect32 {
	uint8_t operation;
	uint8_t indirect_op;
	uint16_t nr_segments;
	uint64_t id;
	uint64_t sector_number;
	uint16_t handle;
	uint16_t pad2;
	uint32_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
} PACKED;
XEN_SIZE(xen_blkif_indirect32, 56);
XEN_AT(xen_blkif_indirect32, handle, 20);
XEN_AT(xen_blkif_indirect32, indirect_grefs, 24);

/* A ring slot is as long as a request: 112 bytes, 108 for a 32-bit guest. */
#define BLKIF_SLOT_BYTES_64 112u
#define BLKIF_SLOT_BYTES_32 108u

struct xen_blkif_response64 {
	uint64_t id;
	uint8_t operation;
	uint8_t pad;
	int16_t status;
	uint32_t pad2;
} PACKED;
XEN_SIZE(xen_blkif_response64, 16);
XEN_AT(xen_blkif_response64, operation, 8);
XEN_AT(xen_blkif_response64, status, 10);

struct xen_blkif_response32 {
	uint64_t id;
	uint8_t operation;
	uint8_t pad;
	int16_t status;
} PACKED;
XEN_SIZE(xen_blkif_response32, 12);
XEN_AT(xen_blkif_response32, status, 10);

/* ------------------------------------------------------------------ netif (io/netif.h) */

#define NETTXF_csum_blank 1u
#define NETTXF_data_validated 2u
#define NETTXF_more_data 4u
#define NETTXF_extra_info 8u
#define NETRXF_data_validated 1u
#define NETRXF_csum_blank 2u
#define NETRXF_more_data 4u
#define NETRXF_extra_info 8u
#define NETRXF_gso_prefix 16u
#define XEN_NETIF_RSP_OKAY 0
#define XEN_NETIF_RSP_ERROR (-1)
#define XEN_NETIF_RSP_DROPPED (-2)
#define XEN_NETIF_RSP_NULL 1
#define XEN_NETIF_EXTRA_TYPE_GSO 1u
#define XEN_NETIF_EXTRA_TYPE_MCAST_ADD 2u
#define XEN_NETIF_EXTRA_TYPE_MCAST_DEL 3u
#define XEN_NETIF_EXTRA_TYPE_HASH 4u
#define XEN_NETIF_EXTRA_FLAG_MORE 1u
#define XEN_NETIF_GSO_TYPE_TCPV4 1u
#define XEN_NETIF_GSO_TYPE_TCPV6 2u
#define XEN_NETIF_NR_SLOTS_MIN 18u

struct xen_netif_tx_request_slot {
	uint32_t gref;
	uint16_t offset;
	uint16_t flags;
	uint16_t id;
	uint16_t size; /* first slot: the whole packet */
} PACKED;
XEN_SIZE(xen_netif_tx_request_slot, 12);
XEN_AT(xen_netif_tx_request_slot, offset, 4);
XEN_AT(xen_netif_tx_request_slot, flags, 6);
XEN_AT(xen_netif_tx_request_slot, id, 8);
XEN_AT(xen_netif_tx_request_slot, size, 10);

struct xen_netif_tx_response_slot {
	uint16_t id;
	int16_t status;
} PACKED;
XEN_SIZE(xen_netif_tx_response_slot, 4);
XEN_AT(xen_netif_tx_response_slot, status, 2);

struct xen_netif_rx_request_slot {
	uint16_t id;
	uint16_t pad;
	uint32_t gref;
} PACKED;
XEN_SIZE(xen_netif_rx_request_slot, 8);
XEN_AT(xen_netif_rx_request_slot, gref, 4);

struct xen_netif_rx_response_slot {
	uint16_t id;
	uint16_t offset;
	uint16_t flags;
	int16_t status; /* bytes, or a negative error */
} PACKED;
XEN_SIZE(xen_netif_rx_response_slot, 8);
XEN_AT(xen_netif_rx_response_slot, offset, 2);
XEN_AT(xen_netif_rx_response_slot, flags, 4);
XEN_AT(xen_netif_rx_response_slot, status, 6);

struct xen_netif_extra_slot {
	uint8_t type;
	uint8_t flags;
	union {
		struct {
			uint16_t size;
			uint8_t type;
			uint8_t pad;
			uint16_t features;
		} gso;
		uint8_t mcast_addr[6];
		uint8_t raw[6];
	} u;
} PACKED;
XEN_SIZE(xen_netif_extra_slot, 8);
XEN_AT(xen_netif_extra_slot, flags, 1);
XEN_AT(xen_netif_extra_slot, u, 2);

#define XEN_NETIF_TX_SLOT_BYTES 12u
#define XEN_NETIF_RX_SLOT_BYTES 8u

/* ------------------------------------------------------------------ console (io/console.h) */

#define XENCONS_IN_BYTES 1024u
#define XENCONS_OUT_BYTES 2048u

struct xen_console_ring {
	uint8_t in[XENCONS_IN_BYTES]; /* to the guest */
	uint8_t out[XENCONS_OUT_BYTES]; /* from the guest */
	uint32_t in_cons;
	uint32_t in_prod;
	uint32_t out_cons;
	uint32_t out_prod;
} PACKED;
XEN_SIZE(xen_console_ring, 3088);
XEN_AT(xen_console_ring, out, 1024);
XEN_AT(xen_console_ring, in_cons, 3072);
XEN_AT(xen_console_ring, in_prod, 3076);
XEN_AT(xen_console_ring, out_cons, 3080);
XEN_AT(xen_console_ring, out_prod, 3084);

#endif /* ABI_XEN_IO_H */
