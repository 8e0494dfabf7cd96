/*
 * vmbus.h - VMBus: messages, offers, rings and packets, versions 4.0 to 5.3.
 *
 * The bus's own layouts; those of its devices are in vmbus_scsi.h, vmbus_net.h and vmbus_ic.h, included at
 * the end. Names are those of Linux's include/linux/hyperv.h where it has one, so that a test can compare.
 * Little-endian. A structure is as long as the message that is sent; a receiver takes at least that.
 */
#ifndef ABI_VMBUS_H
#define ABI_VMBUS_H

#include "base/compiler.h"

#define VMBUS_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#define VMBUS_AT(type, field, bytes) _Static_assert(offsetof(struct type, field) == (bytes), #type "." #field)

/* A GUID as it goes over the wire: three little-endian fields, then eight bytes in order. */
struct vmbus_guid {
	uint8_t b[16];
} PACKED;
VMBUS_SIZE(vmbus_guid, 16);

#define VMBUS_GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)                                                  \
	{                                                                                                    \
		{                                                                                            \
			(uint8_t)((a)&0xFF), (uint8_t)((a) >> 8 & 0xFF), (uint8_t)((a) >> 16 & 0xFF),        \
			        (uint8_t)((a) >> 24 & 0xFF), (uint8_t)((b)&0xFF),                            \
			        (uint8_t)((b) >> 8 & 0xFF), (uint8_t)((c)&0xFF), (uint8_t)((c) >> 8 & 0xFF), \
			        d0, d1, d2, d3, d4, d5, d6, d7                                               \
		}                                                                                            \
	}

/* Classes of devices, and instances where guests expect one. */
#define VMBUS_CLASS_NETWORK \
	VMBUS_GUID(0xF8615163u, 0xDF3Eu, 0x46C5u, 0x91, 0x3F, 0xF2, 0xD2, 0xF9, 0x65, 0xED, 0x0E)
#define VMBUS_CLASS_SCSI \
	VMBUS_GUID(0xBA6163D9u, 0x04A1u, 0x4D29u, 0xB6, 0x05, 0x72, 0xE2, 0xFF, 0xB1, 0xDC, 0x7F)
#define VMBUS_CLASS_HEARTBEAT \
	VMBUS_GUID(0x57164F39u, 0x9115u, 0x4E78u, 0xAB, 0x55, 0x38, 0x2F, 0x3B, 0xD5, 0x42, 0x2D)
#define VMBUS_CLASS_SHUTDOWN \
	VMBUS_GUID(0x0E0B6031u, 0x5213u, 0x4934u, 0x81, 0x8B, 0x38, 0xD9, 0x0C, 0xED, 0x39, 0xDB)
#define VMBUS_CLASS_TIMESYNC \
	VMBUS_GUID(0x9527E630u, 0xD0AEu, 0x497Bu, 0xAD, 0xCE, 0xE8, 0x0A, 0xB0, 0x17, 0x5C, 0xAF)
#define VMBUS_INSTANCE_SHUTDOWN \
	VMBUS_GUID(0xB6650FF7u, 0x33BCu, 0x4840u, 0x80, 0x48, 0xE0, 0x67, 0x67, 0x86, 0xF3, 0x93)
#define VMBUS_INSTANCE_TIMESYNC \
	VMBUS_GUID(0x2DD1CE17u, 0x079Eu, 0x403Cu, 0xB3, 0x52, 0xA1, 0x92, 0x1E, 0xE2, 0x07, 0xEE)

/* ------------------------------------------------------------------ connection */

#define VMBUS_MESSAGE_CONNECTION_ID 1u /* always accepted */
#define VMBUS_MESSAGE_CONNECTION_ID_4 4u /* what guests use from 5.0 on */
#define VMBUS_MESSAGE_SINT 2u

#define VERSION_WS2008 0x0000000Du
#define VERSION_WIN7 0x00010001u
#define VERSION_WIN8 0x00020004u
#define VERSION_WIN8_1 0x00030000u
#define VERSION_WIN10 0x00040000u
#define VERSION_WIN10_V4_1 0x00040001u
#define VERSION_WIN10_V5 0x00050000u
#define VERSION_WIN10_V5_1 0x00050001u
#define VERSION_WIN10_V5_2 0x00050002u
#define VERSION_WIN10_V5_3 0x00050003u

#define VMBUS_MAX_CHANNEL_ID 2047u /* flag 0 of the event page is not used */
#define VMBUS_VP_NONE 0xFFFFFFFFu /* a channel without interrupts */
#define VMBUS_MESSAGE_BYTES_MAX 240u

/* VERSION_RESPONSE, connection state */
#define VMBUS_CONNECTION_SUCCESSFUL 0u
#define VMBUS_CONNECTION_LOW_RESOURCES 1u
#define VMBUS_CONNECTION_FAILED 2u

/* Status fields of replies: NTSTATUS values. */
#define VMBUS_STATUS_SUCCESS 0x00000000u
#define VMBUS_STATUS_UNSUCCESSFUL 0xC0000001u
#define VMBUS_STATUS_INVALID_PARAMETER 0xC000000Du
#define VMBUS_STATUS_INVALID_DEVICE_REQUEST 0xC0000010u
#define VMBUS_STATUS_REVISION_MISMATCH 0xC0000059u
#define VMBUS_STATUS_INSUFFICIENT_RESOURCES 0xC000009Au
#define VMBUS_STATUS_DEVICE_NOT_CONNECTED 0xC000009Du
#define VMBUS_STATUS_DEVICE_DOES_NOT_EXIST 0xC00000C0u
#define VMBUS_STATUS_INVALID_DEVICE_STATE 0xC0000184u
#define VMBUS_STATUS_CONNECTION_REFUSED 0xC0000236u

/* ------------------------------------------------------------------ messages */

enum vmbus_channel_message_type {
	CHANNELMSG_INVALID = 0,
	CHANNELMSG_OFFERCHANNEL = 1,
	CHANNELMSG_RESCIND_CHANNELOFFER = 2,
	CHANNELMSG_REQUESTOFFERS = 3,
	CHANNELMSG_ALLOFFERS_DELIVERED = 4,
	CHANNELMSG_OPENCHANNEL = 5,
	CHANNELMSG_OPENCHANNEL_RESULT = 6,
	CHANNELMSG_CLOSECHANNEL = 7,
	CHANNELMSG_GPADL_HEADER = 8,
	CHANNELMSG_GPADL_BODY = 9,
	CHANNELMSG_GPADL_CREATED = 10,
	CHANNELMSG_GPADL_TEARDOWN = 11,
	CHANNELMSG_GPADL_TORNDOWN = 12,
	CHANNELMSG_RELID_RELEASED = 13,
	CHANNELMSG_INITIATE_CONTACT = 14,
	CHANNELMSG_VERSION_RESPONSE = 15,
	CHANNELMSG_UNLOAD = 16,
	CHANNELMSG_UNLOAD_RESPONSE = 17,
	CHANNELMSG_OPEN_RESERVED_CHANNEL = 18,
	CHANNELMSG_CLOSE_RESERVED_CHANNEL = 19,
	CHANNELMSG_CLOSE_RESERVED_RESPONSE = 20,
	CHANNELMSG_TL_CONNECT_REQUEST = 21,
	CHANNELMSG_MODIFYCHANNEL = 22,
	CHANNELMSG_TL_CONNECT_RESULT = 23,
	CHANNELMSG_MODIFYCHANNEL_RESPONSE = 24,
	CHANNELMSG_MODIFY_CONNECTION = 25,
	CHANNELMSG_MODIFY_CONNECTION_RESPONSE = 26,
	CHANNELMSG_PAUSE = 27,
	CHANNELMSG_PAUSE_RESPONSE = 28,
	CHANNELMSG_RESUME = 29,
};

struct vmbus_channel_message_header {
	uint32_t msgtype;
	uint32_t padding;
} PACKED;
VMBUS_SIZE(vmbus_channel_message_header, 8);

struct vmbus_channel_initiate_contact {
	struct vmbus_channel_message_header header;
	uint32_t vmbus_version_requested;
	uint32_t target_vcpu; /* messages go there */
	uint8_t msg_sint; /* from 5.0 on; before: 8 bytes, the interrupt page, not used from 2.4 on */
	uint8_t msg_vtl; /* from 5.1 on */
	uint8_t reserved[2];
	uint32_t feature_flags; /* from 6.0 on */
	uint64_t monitor_page1; /* host to guest */
	uint64_t monitor_page2;
} PACKED;
VMBUS_SIZE(vmbus_channel_initiate_contact, 40);
VMBUS_AT(vmbus_channel_initiate_contact, target_vcpu, 12);
VMBUS_AT(vmbus_channel_initiate_contact, msg_sint, 16);
VMBUS_AT(vmbus_channel_initiate_contact, msg_vtl, 17);
VMBUS_AT(vmbus_channel_initiate_contact, monitor_page1, 24);

struct vmbus_channel_version_response {
	struct vmbus_channel_message_header header;
	uint8_t version_supported;
	uint8_t connection_state;
	uint16_t padding;
	uint32_t msg_conn_id; /* from 5.0 on: what the guest posts to; before: the version */
} PACKED;
VMBUS_SIZE(vmbus_channel_version_response, 16);
VMBUS_AT(vmbus_channel_version_response, connection_state, 9);
VMBUS_AT(vmbus_channel_version_response, msg_conn_id, 12);

#define VMBUS_CHANNEL_ENUMERATE_DEVICE_INTERFACE 0x1u
#define VMBUS_CHANNEL_NAMED_PIPE_MODE 0x10u
#define VMBUS_CHANNEL_LOOPBACK_OFFER 0x100u
#define VMBUS_CHANNEL_PARENT_OFFER 0x200u
#define VMBUS_CHANNEL_REQUEST_MONITORED_NOTIFICATION 0x400u
#define VMBUS_CHANNEL_TLNPI_PROVIDER_OFFER 0x2000u

#define VMBUS_PIPE_TYPE_BYTE 0u
#define VMBUS_PIPE_TYPE_MESSAGE 4u
#define VMBUS_MONITOR_NONE 0xFFu

struct vmbus_channel_offer_channel {
	struct vmbus_channel_message_header header;
	struct vmbus_guid if_type;
	struct vmbus_guid if_instance;
	uint64_t reserved1;
	uint64_t reserved2;
	uint16_t chn_flags;
	uint16_t mmio_megabytes;
	union {
		uint8_t user_def[120];
		struct {
			uint32_t pipe_mode;
			uint8_t rest[116];
		} PACKED pipe;
	} u;
	uint16_t sub_channel_index;
	uint16_t mmio_megabytes_optional;
	uint32_t child_relid;
	uint8_t monitorid;
	uint8_t monitor_allocated; /* bit 0 */
	uint16_t is_dedicated_interrupt; /* bit 0 */
	uint32_t connection_id;
} PACKED;
VMBUS_SIZE(vmbus_channel_offer_channel, 196);
VMBUS_AT(vmbus_channel_offer_channel, if_instance, 24);
VMBUS_AT(vmbus_channel_offer_channel, chn_flags, 56);
VMBUS_AT(vmbus_channel_offer_channel, u, 60);
VMBUS_AT(vmbus_channel_offer_channel, sub_channel_index, 180);
VMBUS_AT(vmbus_channel_offer_channel, child_relid, 184);
VMBUS_AT(vmbus_channel_offer_channel, monitorid, 188);
VMBUS_AT(vmbus_channel_offer_channel, monitor_allocated, 189);
VMBUS_AT(vmbus_channel_offer_channel, is_dedicated_interrupt, 190);
VMBUS_AT(vmbus_channel_offer_channel, connection_id, 192);

/* CLOSECHANNEL, RELID_RELEASED, RESCIND_CHANNELOFFER, CLOSE_RESERVED_RESPONSE */
struct vmbus_channel_relid {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
} PACKED;
VMBUS_SIZE(vmbus_channel_relid, 12);

struct vmbus_channel_open_channel {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t openid;
	uint32_t ringbuffer_gpadlhandle;
	uint32_t target_vp;
	uint32_t downstream_ringbuffer_pageoffset;
	uint8_t userdata[120];
} PACKED;
VMBUS_SIZE(vmbus_channel_open_channel, 148);
VMBUS_AT(vmbus_channel_open_channel, openid, 12);
VMBUS_AT(vmbus_channel_open_channel, ringbuffer_gpadlhandle, 16);
VMBUS_AT(vmbus_channel_open_channel, target_vp, 20);
VMBUS_AT(vmbus_channel_open_channel, downstream_ringbuffer_pageoffset, 24);

struct vmbus_channel_open_result {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t openid;
	uint32_t status;
} PACKED;
VMBUS_SIZE(vmbus_channel_open_result, 20);

/* Words of 8 bytes follow: ranges {bytes u32, offset u32} and their frame numbers. */
struct vmbus_channel_gpadl_header {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t gpadl;
	uint16_t range_buflen;
	uint16_t rangecount;
} PACKED;
VMBUS_SIZE(vmbus_channel_gpadl_header, 20);
VMBUS_AT(vmbus_channel_gpadl_header, range_buflen, 16);
VMBUS_AT(vmbus_channel_gpadl_header, rangecount, 18);

struct vmbus_channel_gpadl_body {
	struct vmbus_channel_message_header header;
	uint32_t msgnumber; /* not checked: Linux leaves it 0 */
	uint32_t gpadl;
} PACKED;
VMBUS_SIZE(vmbus_channel_gpadl_body, 16);

#define VMBUS_GPADL_HEADER_WORDS_MAX 27u
#define VMBUS_GPADL_BODY_WORDS_MAX 28u

struct vmbus_channel_gpadl_created {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t gpadl;
	uint32_t creation_status;
} PACKED;
VMBUS_SIZE(vmbus_channel_gpadl_created, 20);

struct vmbus_channel_gpadl_teardown {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t gpadl;
} PACKED;
VMBUS_SIZE(vmbus_channel_gpadl_teardown, 16);

struct vmbus_channel_gpadl_torndown {
	struct vmbus_channel_message_header header;
	uint32_t gpadl;
} PACKED;
VMBUS_SIZE(vmbus_channel_gpadl_torndown, 12);

struct vmbus_channel_modifychannel {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t target_vp;
} PACKED;
VMBUS_SIZE(vmbus_channel_modifychannel, 16);

struct vmbus_channel_modifychannel_response {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t status;
} PACKED;
VMBUS_SIZE(vmbus_channel_modifychannel_response, 16);

struct vmbus_channel_tl_connect_request {
	struct vmbus_channel_message_header header;
	struct vmbus_guid guest_endpoint_id;
	struct vmbus_guid host_service_id; /* from 5.2 on a third one follows */
} PACKED;
VMBUS_SIZE(vmbus_channel_tl_connect_request, 40);

struct vmbus_channel_tl_connect_result {
	struct vmbus_channel_message_header header;
	struct vmbus_guid guest_endpoint_id;
	struct vmbus_guid host_service_id;
	uint32_t status;
} PACKED;
VMBUS_SIZE(vmbus_channel_tl_connect_result, 44);

/* ------------------------------------------------------------------ rings */

/* Offsets in a ring's control page; the data area starts with the next page. */
#define VMBUS_RING_WRITE_INDEX 0u
#define VMBUS_RING_READ_INDEX 4u
#define VMBUS_RING_INTERRUPT_MASK 8u
#define VMBUS_RING_PENDING_SEND_SZ 12u
#define VMBUS_RING_FEATURE_BITS 64u
#define VMBUS_RING_FEAT_PENDING_SEND_SZ 1u
#define VMBUS_RING_TRAILER_BYTES 8u

struct hv_ring_buffer {
	uint32_t write_index;
	uint32_t read_index;
	uint32_t interrupt_mask; /* 1: the consumer wants no signals */
	uint32_t pending_send_sz; /* room that the producer waits for; 0: none */
	uint32_t reserved1[12];
	uint32_t feature_bits;
	uint8_t reserved2[4096 - 68];
} PACKED;
VMBUS_SIZE(hv_ring_buffer, 4096);
VMBUS_AT(hv_ring_buffer, read_index, VMBUS_RING_READ_INDEX);
VMBUS_AT(hv_ring_buffer, interrupt_mask, VMBUS_RING_INTERRUPT_MASK);
VMBUS_AT(hv_ring_buffer, pending_send_sz, VMBUS_RING_PENDING_SEND_SZ);
VMBUS_AT(hv_ring_buffer, feature_bits, VMBUS_RING_FEATURE_BITS);

/* ------------------------------------------------------------------ packets */

enum vmbus_packet_type {
	VM_PKT_INVALID = 0,
	VM_PKT_DATA_INBAND = 6,
	VM_PKT_DATA_USING_XFER_PAGES = 7,
	VM_PKT_DATA_USING_GPADL = 8,
	VM_PKT_DATA_USING_GPA_DIRECT = 9,
	VM_PKT_CANCEL_REQUEST = 10,
	VM_PKT_COMP = 11,
	VM_PKT_DATA_USING_ADDITIONAL_PKT = 12,
	VM_PKT_ADDITIONAL_DATA = 13,
};

#define VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED 1u

struct vmpacket_descriptor {
	uint16_t type;
	uint16_t offset8; /* of the payload, in 8 bytes */
	uint16_t len8; /* descriptor and payload, without the trailer */
	uint16_t flags;
	uint64_t trans_id;
} PACKED;
VMBUS_SIZE(vmpacket_descriptor, 16);
VMBUS_AT(vmpacket_descriptor, flags, 6);
VMBUS_AT(vmpacket_descriptor, trans_id, 8);

struct vmtransfer_page_range {
	uint32_t byte_count;
	uint32_t byte_offset;
} PACKED;
VMBUS_SIZE(vmtransfer_page_range, 8);

/* Ranges follow. */
struct vmtransfer_page_packet_header {
	struct vmpacket_descriptor d;
	uint16_t xfer_pageset_id;
	uint8_t sender_owns_set;
	uint8_t reserved;
	uint32_t range_cnt;
} PACKED;
VMBUS_SIZE(vmtransfer_page_packet_header, 24);
VMBUS_AT(vmtransfer_page_packet_header, range_cnt, 20);

/* Ranges follow, each with its frame numbers. */
struct vmdata_gpa_direct {
	struct vmpacket_descriptor d;
	uint32_t reserved;
	uint32_t range_cnt;
} PACKED;
VMBUS_SIZE(vmdata_gpa_direct, 24);

struct gpa_range {
	uint32_t byte_count;
	uint32_t byte_offset;
	/* uint64_t pfn_array[] */
} PACKED;
VMBUS_SIZE(gpa_range, 8);

/* Pipe mode: what each payload starts with. */
#define VMBUS_PIPE_DATA 1u
#define VMBUS_PIPE_BYTES_MAX 16384u

struct vmpipe_proto_header {
	uint32_t pkt_type;
	uint32_t data_size; /* that follows */
} PACKED;
VMBUS_SIZE(vmpipe_proto_header, 8);

#include "abi/vmbus_ic.h"
#include "abi/vmbus_net.h"
#include "abi/vmbus_scsi.h"

#endif /* ABI_VMBUS_H */
