/*
 * vmbus_abi_rows.h - what vmbus_abi_test compares, by the name that both headers have. Included twice: once where
 * abi/vmbus.h defines the names, once where Linux's header does.
 */
#ifndef TESTS_UNIT_VMBUS_ABI_ROWS_H
#define TESTS_UNIT_VMBUS_ABI_ROWS_H

#include <stddef.h>
#include <stdint.h>

struct vmbus_abi_row {
	const char *name;
	uint64_t value;
};

extern const struct vmbus_abi_row vmbus_linux_rows[];
extern const size_t vmbus_linux_row_count; /* 0: Linux's header is not there */

#define NUMBER(name) {#name, (uint64_t)(name)},
#define SIZE(type) {#type, sizeof(struct type)},
#define AT(type, field) {#type "." #field, offsetof(struct type, field)},

#define VMBUS_ABI_NUMBERS                                                                                                                            \
	NUMBER(VERSION_WS2008)                                                                                                                       \
	NUMBER(VERSION_WIN7) NUMBER(VERSION_WIN8) NUMBER(VERSION_WIN8_1) NUMBER(VERSION_WIN10) NUMBER(VERSION_WIN10_V4_1) NUMBER(                    \
	        VERSION_WIN10_V5) NUMBER(VERSION_WIN10_V5_1) NUMBER(VERSION_WIN10_V5_2) NUMBER(VERSION_WIN10_V5_3) NUMBER(VMBUS_PIPE_TYPE_BYTE)      \
	        NUMBER(VMBUS_PIPE_TYPE_MESSAGE) NUMBER(VMBUS_CHANNEL_ENUMERATE_DEVICE_INTERFACE) NUMBER(VMBUS_CHANNEL_NAMED_PIPE_MODE) NUMBER(       \
	                VMBUS_CHANNEL_LOOPBACK_OFFER) NUMBER(VMBUS_CHANNEL_PARENT_OFFER) NUMBER(VMBUS_CHANNEL_REQUEST_MONITORED_NOTIFICATION)        \
	                NUMBER(VMBUS_CHANNEL_TLNPI_PROVIDER_OFFER) NUMBER(VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED) NUMBER(                       \
	                        VM_PKT_INVALID) NUMBER(VM_PKT_DATA_INBAND) NUMBER(VM_PKT_DATA_USING_XFER_PAGES) NUMBER(VM_PKT_DATA_USING_GPADL)      \
	                        NUMBER(VM_PKT_DATA_USING_GPA_DIRECT) NUMBER(VM_PKT_CANCEL_REQUEST) NUMBER(VM_PKT_COMP) NUMBER(                       \
	                                VM_PKT_DATA_USING_ADDITIONAL_PKT) NUMBER(VM_PKT_ADDITIONAL_DATA) NUMBER(CHANNELMSG_OFFERCHANNEL)             \
	                                NUMBER(CHANNELMSG_RESCIND_CHANNELOFFER) NUMBER(CHANNELMSG_REQUESTOFFERS) NUMBER(                             \
	                                        CHANNELMSG_ALLOFFERS_DELIVERED) NUMBER(CHANNELMSG_OPENCHANNEL) NUMBER(CHANNELMSG_OPENCHANNEL_RESULT) \
	                                        NUMBER(CHANNELMSG_CLOSECHANNEL) NUMBER(CHANNELMSG_GPADL_HEADER) NUMBER(                              \
	                                                CHANNELMSG_GPADL_BODY) NUMBER(CHANNELMSG_GPADL_CREATED) NUMBER(CHANNELMSG_GPADL_TEARDOWN)    \
	                                                NUMBER(CHANNELMSG_GPADL_TORNDOWN) NUMBER(CHANNELMSG_RELID_RELEASED) NUMBER(                  \
	                                                        CHANNELMSG_INITIATE_CONTACT) NUMBER(CHANNELMSG_VERSION_RESPONSE)                     \
	                                                        NUMBER(CHANNELMSG_UNLOAD) NUMBER(CHANNELMSG_UNLOAD_RESPONSE) NUMBER(                 \
	                                                                CHANNELMSG_TL_CONNECT_REQUEST) NUMBER(CHANNELMSG_MODIFYCHANNEL)              \
	                                                                NUMBER(CHANNELMSG_TL_CONNECT_RESULT) NUMBER(                                 \
	                                                                        CHANNELMSG_MODIFYCHANNEL_RESPONSE) NUMBER(ICMSGTYPE_NEGOTIATE)       \
	                                                                        NUMBER(ICMSGTYPE_HEARTBEAT) NUMBER(                                  \
	                                                                                ICMSGTYPE_KVPEXCHANGE) NUMBER(ICMSGTYPE_SHUTDOWN)            \
	                                                                                NUMBER(ICMSGTYPE_TIMESYNC) NUMBER(                           \
	                                                                                        ICMSGTYPE_VSS) NUMBER(ICMSGHDRFLAG_TRANSACTION)      \
	                                                                                        NUMBER(ICMSGHDRFLAG_REQUEST) NUMBER(                 \
	                                                                                                ICMSGHDRFLAG_RESPONSE)                       \
	                                                                                                NUMBER(ICTIMESYNCFLAG_PROBE) NUMBER(         \
	                                                                                                        ICTIMESYNCFLAG_SYNC)                 \
	                                                                                                        NUMBER(ICTIMESYNCFLAG_SAMPLE)

#define VMBUS_ABI_MESSAGES                                                                                                     \
	SIZE(vmbus_channel_message_header)                                                                                     \
	SIZE(vmbus_channel_initiate_contact) AT(vmbus_channel_initiate_contact, vmbus_version_requested) AT(                   \
	        vmbus_channel_initiate_contact,                                                                                \
	        target_vcpu) AT(vmbus_channel_initiate_contact,                                                                \
	                        msg_sint) AT(vmbus_channel_initiate_contact,                                                   \
	                                     monitor_page1) AT(vmbus_channel_initiate_contact,                                 \
	                                                       monitor_page2) SIZE(vmbus_channel_version_response)             \
	        AT(vmbus_channel_version_response, version_supported) AT(vmbus_channel_version_response, connection_state) AT( \
	                vmbus_channel_version_response,                                                                        \
	                msg_conn_id) SIZE(vmbus_channel_offer_channel) AT(vmbus_channel_offer_channel,                         \
	                                                                  child_relid) AT(vmbus_channel_offer_channel,         \
	                                                                                  monitorid)                           \
	                AT(vmbus_channel_offer_channel, connection_id) SIZE(vmbus_channel_open_channel) AT(                    \
	                        vmbus_channel_open_channel,                                                                    \
	                        child_relid) AT(vmbus_channel_open_channel,                                                    \
	                                        openid) AT(vmbus_channel_open_channel,                                         \
	                                                   ringbuffer_gpadlhandle) AT(vmbus_channel_open_channel,              \
	                                                                              target_vp)                               \
	                        AT(vmbus_channel_open_channel, downstream_ringbuffer_pageoffset) AT(                           \
	                                vmbus_channel_open_channel,                                                            \
	                                userdata) SIZE(vmbus_channel_open_result) AT(vmbus_channel_open_result,                \
	                                                                             openid)                                   \
	                                AT(vmbus_channel_open_result, status) SIZE(vmbus_channel_modifychannel) AT(            \
	                                        vmbus_channel_modifychannel,                                                   \
	                                        target_vp) SIZE(vmbus_channel_modifychannel_response)                          \
	                                        AT(vmbus_channel_modifychannel_response, status) AT(                           \
	                                                vmbus_channel_gpadl_header,                                            \
	                                                child_relid) AT(vmbus_channel_gpadl_header,                            \
	                                                                gpadl) AT(vmbus_channel_gpadl_header,                  \
	                                                                          range_buflen)                                \
	                                                AT(vmbus_channel_gpadl_header, rangecount) AT(                         \
	                                                        vmbus_channel_gpadl_body,                                      \
	                                                        msgnumber) AT(vmbus_channel_gpadl_body,                        \
	                                                                      gpadl)                                           \
	                                                        SIZE(vmbus_channel_gpadl_created) AT(                          \
	                                                                vmbus_channel_gpadl_created,                           \
	                                                                creation_status)                                       \
	                                                                SIZE(vmbus_channel_gpadl_teardown) AT(                 \
	                                                                        vmbus_channel_gpadl_teardown,                  \
	                                                                        gpadl) SIZE(vmbus_channel_gpadl_torndown)      \
	                                                                        AT(vmbus_channel_gpadl_torndown,               \
	                                                                           gpadl)

#define VMBUS_ABI_RINGS                                                                                     \
	SIZE(hv_ring_buffer)                                                                                \
	AT(hv_ring_buffer, write_index) AT(hv_ring_buffer, read_index) AT(hv_ring_buffer, interrupt_mask)   \
	        AT(hv_ring_buffer, pending_send_sz) SIZE(vmpacket_descriptor) AT(vmpacket_descriptor, type) \
	                AT(vmpacket_descriptor, offset8) AT(vmpacket_descriptor, len8)                      \
	                        AT(vmpacket_descriptor, flags) AT(vmpacket_descriptor, trans_id)            \
	                                SIZE(vmtransfer_page_range) AT(vmtransfer_page_range, byte_offset)  \
	                                        AT(vmtransfer_page_packet_header, xfer_pageset_id)          \
	                                                AT(vmtransfer_page_packet_header, range_cnt)        \
	                                                        AT(vmdata_gpa_direct, range_cnt)            \
	                                                                AT(gpa_range, byte_count)           \
	                                                                        AT(gpa_range, byte_offset)

#define VMBUS_ABI_COMPONENTS                                                                                \
	SIZE(icmsg_hdr)                                                                                     \
	AT(icmsg_hdr, icverframe) AT(icmsg_hdr, icmsgtype) AT(icmsg_hdr, icvermsg) AT(icmsg_hdr, icmsgsize) \
	        AT(icmsg_hdr, status) AT(icmsg_hdr, ictransaction_id) AT(icmsg_hdr, icflags)                \
	                AT(icmsg_negotiate, icframe_vercnt) AT(icmsg_negotiate, icmsg_vercnt) SIZE(         \
	                        heartbeat_msg_data) AT(heartbeat_msg_data, seq_num) SIZE(shutdown_msg_data) \
	                        AT(shutdown_msg_data, reason_code) AT(shutdown_msg_data, timeout_seconds)   \
	                                AT(shutdown_msg_data, flags) AT(shutdown_msg_data, display_message) \
	                                        AT(ictimesync_data, parenttime) AT(ictimesync_data, flags)  \
	                                                AT(ictimesync_ref_data,                             \
	                                                   vmreferencetime) AT(ictimesync_ref_data, flags)  \
	                                                        AT(ictimesync_ref_data, leapflags)          \
	                                                                AT(ictimesync_ref_data, stratum)

#define VMBUS_ABI_ROWS VMBUS_ABI_NUMBERS VMBUS_ABI_MESSAGES VMBUS_ABI_RINGS VMBUS_ABI_COMPONENTS

#endif /* TESTS_UNIT_VMBUS_ABI_ROWS_H */
