/*
 * vmbus_net.h - netvsp: NVSP messages (versions 1 to 6.1) and the RNDIS messages that they carry.
 *
 * Part of vmbus.h.
 */
#ifndef ABI_VMBUS_NET_H
#define ABI_VMBUS_NET_H

#include "abi/vmbus.h"

#define NVSP_PROTOCOL_VERSION_1 0x00000002u
#define NVSP_PROTOCOL_VERSION_2 0x00030002u
#define NVSP_PROTOCOL_VERSION_4 0x00040000u
#define NVSP_PROTOCOL_VERSION_5 0x00050000u
#define NVSP_PROTOCOL_VERSION_6 0x00060000u
#define NVSP_PROTOCOL_VERSION_61 0x00060001u

enum nvsp_message_type {
	NVSP_MSG_TYPE_INIT = 1,
	NVSP_MSG_TYPE_INIT_COMPLETE = 2,
	NVSP_MSG1_TYPE_SEND_NDIS_VER = 100,
	NVSP_MSG1_TYPE_SEND_RECV_BUF = 101,
	NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE = 102,
	NVSP_MSG1_TYPE_REVOKE_RECV_BUF = 103,
	NVSP_MSG1_TYPE_SEND_SEND_BUF = 104,
	NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE = 105,
	NVSP_MSG1_TYPE_REVOKE_SEND_BUF = 106,
	NVSP_MSG1_TYPE_SEND_RNDIS_PKT = 107,
	NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE = 108,
	NVSP_MSG2_TYPE_SEND_NDIS_CONFIG = 125,
	NVSP_MSG4_TYPE_SEND_VF_ASSOCIATION = 128,
	NVSP_MSG4_TYPE_SWITCH_DATA_PATH = 129,
	NVSP_MSG5_TYPE_SUBCHANNEL = 133,
	NVSP_MSG5_TYPE_SEND_INDIRECTION_TABLE = 134,
};

#define NVSP_STAT_NONE 0u
#define NVSP_STAT_SUCCESS 1u
#define NVSP_STAT_FAIL 2u
#define NVSP_STAT_PROTOCOL_TOO_NEW 3u
#define NVSP_STAT_PROTOCOL_TOO_OLD 4u
#define NVSP_STAT_INVALID_RNDIS_PKT 5u
#define NVSP_STAT_BUSY 6u

#define NVSP_MESSAGE_BYTES 28u /* up to version 6 */
#define NVSP_MESSAGE_BYTES_61 40u /* 6.1, and what Linux sends always */
#define NVSP_INVALID_PROTOCOL_VERSION 0xFFFFFFFFu
#define NVSP_INVALID_SECTION_INDEX 0xFFFFFFFFu
#define NETVSC_RECEIVE_BUFFER_ID 0xCAFEu
#define NVSP_RMC_DATA 0u
#define NVSP_RMC_CONTROL 1u

struct nvsp_msg_init {
	uint32_t min_protocol_ver;
	uint32_t max_protocol_ver;
} PACKED;
VMBUS_SIZE(nvsp_msg_init, 8);

struct nvsp_msg_init_complete {
	uint32_t negotiated_protocol_ver;
	uint32_t max_mdl_chain_len;
	uint32_t status;
} PACKED;
VMBUS_SIZE(nvsp_msg_init_complete, 12);

struct nvsp_1_send_ndis_ver {
	uint32_t ndis_major_ver;
	uint32_t ndis_minor_ver;
} PACKED;
VMBUS_SIZE(nvsp_1_send_ndis_ver, 8);

/* SEND_RECV_BUF and SEND_SEND_BUF */
struct nvsp_1_send_buf {
	uint32_t gpadl_handle;
	uint16_t id;
	uint16_t reserved;
} PACKED;
VMBUS_SIZE(nvsp_1_send_buf, 8);

struct nvsp_1_receive_buffer_section {
	uint32_t offset;
	uint32_t sub_alloc_size;
	uint32_t num_sub_allocs;
	uint32_t end_offset;
} PACKED;
VMBUS_SIZE(nvsp_1_receive_buffer_section, 16);

struct nvsp_1_send_recv_buf_complete {
	uint32_t status;
	uint32_t num_sections; /* 1 */
	struct nvsp_1_receive_buffer_section section;
} PACKED;
VMBUS_SIZE(nvsp_1_send_recv_buf_complete, 24);

/* REVOKE_RECV_BUF and REVOKE_SEND_BUF */
struct nvsp_1_revoke_buf {
	uint16_t id;
} PACKED;
VMBUS_SIZE(nvsp_1_revoke_buf, 2);

struct nvsp_1_send_send_buf_complete {
	uint32_t status;
	uint32_t section_size;
} PACKED;
VMBUS_SIZE(nvsp_1_send_send_buf_complete, 8);

struct nvsp_1_send_rndis_pkt {
	uint32_t channel_type; /* NVSP_RMC_* */
	uint32_t send_buf_section_index;
	uint32_t send_buf_section_size;
} PACKED;
VMBUS_SIZE(nvsp_1_send_rndis_pkt, 12);

struct nvsp_1_send_rndis_pkt_complete {
	uint32_t status;
} PACKED;
VMBUS_SIZE(nvsp_1_send_rndis_pkt_complete, 4);

#define NVSP_2_VSC_CAPABILITY_VMQ 0x01ull
#define NVSP_2_VSC_CAPABILITY_CHIMNEY 0x02ull
#define NVSP_2_VSC_CAPABILITY_SRIOV 0x04ull
#define NVSP_2_VSC_CAPABILITY_IEEE8021Q 0x08ull
#define NVSP_2_VSC_CAPABILITY_CORRELATION_ID 0x10ull
#define NVSP_2_VSC_CAPABILITY_TEAMING 0x20ull
#define NVSP_2_VSC_CAPABILITY_VIRTUAL_SUBNET 0x40ull
#define NVSP_2_VSC_CAPABILITY_RSC 0x80ull

struct nvsp_2_send_ndis_config {
	uint32_t mtu; /* with the Ethernet header */
	uint32_t reserved;
	uint64_t capability;
} PACKED;
VMBUS_SIZE(nvsp_2_send_ndis_config, 16);

struct nvsp_4_send_vf_association {
	uint32_t allocated;
	uint32_t serial;
} PACKED;
VMBUS_SIZE(nvsp_4_send_vf_association, 8);

struct nvsp_4_sw_datapath {
	uint32_t active_datapath; /* 0 synthetic, 1 VF */
} PACKED;
VMBUS_SIZE(nvsp_4_sw_datapath, 4);

#define NVSP_SUBCHANNEL_ALLOCATE 1u

struct nvsp_5_subchannel_request {
	uint32_t op;
	uint32_t num_subchannels;
} PACKED;
VMBUS_SIZE(nvsp_5_subchannel_request, 8);

struct nvsp_5_subchannel_complete {
	uint32_t status;
	uint32_t num_subchannels;
} PACKED;
VMBUS_SIZE(nvsp_5_subchannel_complete, 8);

struct nvsp_5_send_indirect_table {
	uint32_t count;
	uint32_t offset; /* from the start of the message */
} PACKED;
VMBUS_SIZE(nvsp_5_send_indirect_table, 8);

struct nvsp_message {
	uint32_t msg_type;
	union {
		struct nvsp_msg_init init;
		struct nvsp_msg_init_complete init_complete;
		struct nvsp_1_send_ndis_ver send_ndis_ver;
		struct nvsp_1_send_buf send_buf;
		struct nvsp_1_send_recv_buf_complete send_recv_buf_complete;
		struct nvsp_1_revoke_buf revoke_buf;
		struct nvsp_1_send_send_buf_complete send_send_buf_complete;
		struct nvsp_1_send_rndis_pkt send_rndis_pkt;
		struct nvsp_1_send_rndis_pkt_complete send_rndis_pkt_complete;
		struct nvsp_2_send_ndis_config send_ndis_config;
		struct nvsp_4_send_vf_association vf_association;
		struct nvsp_4_sw_datapath sw_datapath;
		struct nvsp_5_subchannel_request subchannel_request;
		struct nvsp_5_subchannel_complete subchannel_complete;
		struct nvsp_5_send_indirect_table send_indirect_table;
		uint8_t bytes[36];
	} u;
} PACKED;
VMBUS_SIZE(nvsp_message, NVSP_MESSAGE_BYTES_61);
VMBUS_AT(nvsp_message, u, 4);

/* ------------------------------------------------------------------ RNDIS */

#define RNDIS_MSG_COMPLETION 0x80000000u
#define RNDIS_MSG_PACKET 0x00000001u
#define RNDIS_MSG_INIT 0x00000002u
#define RNDIS_MSG_INIT_C (RNDIS_MSG_INIT | RNDIS_MSG_COMPLETION)
#define RNDIS_MSG_HALT 0x00000003u
#define RNDIS_MSG_QUERY 0x00000004u
#define RNDIS_MSG_QUERY_C (RNDIS_MSG_QUERY | RNDIS_MSG_COMPLETION)
#define RNDIS_MSG_SET 0x00000005u
#define RNDIS_MSG_SET_C (RNDIS_MSG_SET | RNDIS_MSG_COMPLETION)
#define RNDIS_MSG_RESET 0x00000006u
#define RNDIS_MSG_RESET_C (RNDIS_MSG_RESET | RNDIS_MSG_COMPLETION)
#define RNDIS_MSG_INDICATE 0x00000007u
#define RNDIS_MSG_KEEPALIVE 0x00000008u
#define RNDIS_MSG_KEEPALIVE_C (RNDIS_MSG_KEEPALIVE | RNDIS_MSG_COMPLETION)

#define RNDIS_STATUS_SUCCESS 0x00000000u
#define RNDIS_STATUS_FAILURE 0xC0000001u
#define RNDIS_STATUS_NOT_SUPPORTED 0xC00000BBu
#define RNDIS_STATUS_INVALID_DATA 0xC0010015u
#define RNDIS_STATUS_INVALID_LENGTH 0xC0010014u
#define RNDIS_STATUS_MEDIA_CONNECT 0x4001000Bu
#define RNDIS_STATUS_MEDIA_DISCONNECT 0x4001000Cu
#define RNDIS_STATUS_LINK_SPEED_CHANGE 0x40010013u
#define RNDIS_STATUS_NETWORK_CHANGE 0x40010018u
#define RNDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG 0x40020006u

#define RNDIS_MAJOR_VERSION 1u
#define RNDIS_MINOR_VERSION 0u
#define RNDIS_DF_CONNECTIONLESS 1u
#define RNDIS_MEDIUM_802_3 0u
#define RNDIS_MEDIA_STATE_CONNECTED 0u

struct rndis_message_header {
	uint32_t ndis_msg_type;
	uint32_t msg_len; /* of the whole message */
} PACKED;
VMBUS_SIZE(rndis_message_header, 8);

/* The bodies follow the header; offsets in rndis_packet count from its first byte. */
struct rndis_packet {
	uint32_t data_offset;
	uint32_t data_len;
	uint32_t oob_data_offset;
	uint32_t oob_data_len;
	uint32_t num_oob_data_elements;
	uint32_t per_pkt_info_offset;
	uint32_t per_pkt_info_len;
	uint32_t vc_handle;
	uint32_t reserved;
} PACKED;
VMBUS_SIZE(rndis_packet, 36);
VMBUS_AT(rndis_packet, per_pkt_info_offset, 20);

struct rndis_initialize_request {
	uint32_t req_id;
	uint32_t major_ver;
	uint32_t minor_ver;
	uint32_t max_xfer_size;
} PACKED;
VMBUS_SIZE(rndis_initialize_request, 16);

struct rndis_initialize_complete {
	uint32_t req_id;
	uint32_t status;
	uint32_t major_ver;
	uint32_t minor_ver;
	uint32_t dev_flags;
	uint32_t medium;
	uint32_t max_pkt_per_msg;
	uint32_t max_xfer_size;
	uint32_t pkt_alignment_factor; /* shift */
	uint32_t af_list_offset;
	uint32_t af_list_size;
} PACKED;
VMBUS_SIZE(rndis_initialize_complete, 44);
VMBUS_AT(rndis_initialize_complete, max_pkt_per_msg, 24);

struct rndis_halt_request {
	uint32_t req_id;
} PACKED;
VMBUS_SIZE(rndis_halt_request, 4);

/* QUERY and SET; the offset counts from req_id. */
struct rndis_query_request {
	uint32_t req_id;
	uint32_t oid;
	uint32_t info_buflen;
	uint32_t info_buf_offset;
	uint32_t dev_vc_handle;
} PACKED;
VMBUS_SIZE(rndis_query_request, 20);

struct rndis_query_complete {
	uint32_t req_id;
	uint32_t status;
	uint32_t info_buflen;
	uint32_t info_buf_offset;
} PACKED;
VMBUS_SIZE(rndis_query_complete, 16);

/* SET_C, KEEPALIVE_C */
struct rndis_set_complete {
	uint32_t req_id;
	uint32_t status;
} PACKED;
VMBUS_SIZE(rndis_set_complete, 8);

struct rndis_reset_complete {
	uint32_t status;
	uint32_t addr_reset;
} PACKED;
VMBUS_SIZE(rndis_reset_complete, 8);

struct rndis_indicate_status {
	uint32_t status;
	uint32_t status_buflen;
	uint32_t status_buf_offset;
} PACKED;
VMBUS_SIZE(rndis_indicate_status, 12);

/* Per-packet info. */
#define RNDIS_PPI_TCPIP_CHECKSUM 0u
#define RNDIS_PPI_IPSEC 1u
#define RNDIS_PPI_TCP_LARGESEND 2u
#define RNDIS_PPI_IEEE_8021Q 6u
#define RNDIS_PPI_NBL_HASH_VALUE 8u
#define RNDIS_PPI_NBL_HASH_INFO 9u
#define RNDIS_PPI_INTERNAL 0x80000000u
#define RNDIS_PPI_PKTINFO_ID 1u /* with INTERNAL */

struct rndis_per_packet_info {
	uint32_t size; /* of the whole entry */
	uint32_t type; /* with RNDIS_PPI_INTERNAL in bit 31 */
	uint32_t ppi_offset; /* of the data, from the start of the entry */
} PACKED;
VMBUS_SIZE(rndis_per_packet_info, 12);

#define RNDIS_CHECKSUM_TX_IPV4 0x00000001u
#define RNDIS_CHECKSUM_TX_IPV6 0x00000002u
#define RNDIS_CHECKSUM_TX_TCP 0x00000004u
#define RNDIS_CHECKSUM_TX_UDP 0x00000008u
#define RNDIS_CHECKSUM_TX_IP_HEADER 0x00000010u
#define RNDIS_CHECKSUM_TX_TCP_OFFSET_SHIFT 16u
#define RNDIS_CHECKSUM_TX_TCP_OFFSET_MASK 0x3FFu
#define RNDIS_CHECKSUM_RX_TCP_FAILED 0x00000001u
#define RNDIS_CHECKSUM_RX_UDP_FAILED 0x00000002u
#define RNDIS_CHECKSUM_RX_IP_FAILED 0x00000004u
#define RNDIS_CHECKSUM_RX_TCP_SUCCEEDED 0x00000008u
#define RNDIS_CHECKSUM_RX_UDP_SUCCEEDED 0x00000010u
#define RNDIS_CHECKSUM_RX_IP_SUCCEEDED 0x00000020u
#define RNDIS_CHECKSUM_RX_LOOPBACK 0x00000040u

#define RNDIS_LSO_MSS_MASK 0x000FFFFFu
#define RNDIS_LSO_TCP_OFFSET_SHIFT 20u
#define RNDIS_LSO_TCP_OFFSET_MASK 0x3FFu
#define RNDIS_LSO_V2 0x40000000u
#define RNDIS_LSO_IPV6 0x80000000u

#define RNDIS_VLAN_ID_SHIFT 4u
#define RNDIS_VLAN_ID_MASK 0xFFFu

#define RNDIS_OID_GEN_SUPPORTED_LIST 0x00010101u
#define RNDIS_OID_GEN_HARDWARE_STATUS 0x00010102u
#define RNDIS_OID_GEN_MEDIA_SUPPORTED 0x00010103u
#define RNDIS_OID_GEN_MEDIA_IN_USE 0x00010104u
#define RNDIS_OID_GEN_MAXIMUM_LOOKAHEAD 0x00010105u
#define RNDIS_OID_GEN_MAXIMUM_FRAME_SIZE 0x00010106u
#define RNDIS_OID_GEN_LINK_SPEED 0x00010107u
#define RNDIS_OID_GEN_TRANSMIT_BUFFER_SPACE 0x00010108u
#define RNDIS_OID_GEN_RECEIVE_BUFFER_SPACE 0x00010109u
#define RNDIS_OID_GEN_TRANSMIT_BLOCK_SIZE 0x0001010Au
#define RNDIS_OID_GEN_RECEIVE_BLOCK_SIZE 0x0001010Bu
#define RNDIS_OID_GEN_VENDOR_ID 0x0001010Cu
#define RNDIS_OID_GEN_VENDOR_DESCRIPTION 0x0001010Du
#define RNDIS_OID_GEN_CURRENT_PACKET_FILTER 0x0001010Eu
#define RNDIS_OID_GEN_CURRENT_LOOKAHEAD 0x0001010Fu
#define RNDIS_OID_GEN_DRIVER_VERSION 0x00010110u
#define RNDIS_OID_GEN_MAXIMUM_TOTAL_SIZE 0x00010111u
#define RNDIS_OID_GEN_PROTOCOL_OPTIONS 0x00010112u
#define RNDIS_OID_GEN_MAC_OPTIONS 0x00010113u
#define RNDIS_OID_GEN_MEDIA_CONNECT_STATUS 0x00010114u
#define RNDIS_OID_GEN_MAXIMUM_SEND_PACKETS 0x00010115u
#define RNDIS_OID_GEN_VENDOR_DRIVER_VERSION 0x00010116u
#define RNDIS_OID_GEN_RECEIVE_SCALE_CAPABILITIES 0x00010203u
#define RNDIS_OID_GEN_RECEIVE_SCALE_PARAMETERS 0x00010204u
#define RNDIS_OID_GEN_LINK_STATE 0x00010207u
#define RNDIS_OID_GEN_FRIENDLY_NAME 0x00020216u
#define RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER 0x0001021Bu
#define RNDIS_OID_GEN_XMIT_OK 0x00020101u
#define RNDIS_OID_GEN_RCV_OK 0x00020102u
#define RNDIS_OID_GEN_XMIT_ERROR 0x00020103u
#define RNDIS_OID_GEN_RCV_ERROR 0x00020104u
#define RNDIS_OID_GEN_RCV_NO_BUFFER 0x00020105u
#define RNDIS_OID_802_3_PERMANENT_ADDRESS 0x01010101u
#define RNDIS_OID_802_3_CURRENT_ADDRESS 0x01010102u
#define RNDIS_OID_802_3_MULTICAST_LIST 0x01010103u
#define RNDIS_OID_802_3_MAXIMUM_LIST_SIZE 0x01010104u
#define RNDIS_OID_TCP_OFFLOAD_CURRENT_CONFIG 0xFC01020Bu
#define RNDIS_OID_TCP_OFFLOAD_PARAMETERS 0xFC01020Cu
#define RNDIS_OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES 0xFC01020Du

#define NDIS_PACKET_TYPE_DIRECTED 0x1u
#define NDIS_PACKET_TYPE_MULTICAST 0x2u
#define NDIS_PACKET_TYPE_ALL_MULTICAST 0x4u
#define NDIS_PACKET_TYPE_BROADCAST 0x8u
#define NDIS_PACKET_TYPE_PROMISCUOUS 0x20u

#define NDIS_OBJECT_TYPE_DEFAULT 0x80u
#define NDIS_OBJECT_TYPE_RSS_CAPABILITIES 0x88u
#define NDIS_OBJECT_TYPE_RSS_PARAMETERS 0x89u
#define NDIS_OBJECT_TYPE_OFFLOAD 0xA7u

struct ndis_object_header {
	uint8_t type;
	uint8_t revision;
	uint16_t size;
} PACKED;
VMBUS_SIZE(ndis_object_header, 4);

struct ndis_csum_offload {
	uint32_t ip4_txenc;
	uint32_t ip4_txcsum;
	uint32_t ip4_rxenc;
	uint32_t ip4_rxcsum;
	uint32_t ip6_txenc;
	uint32_t ip6_txcsum;
	uint32_t ip6_rxenc;
	uint32_t ip6_rxcsum;
} PACKED;
VMBUS_SIZE(ndis_csum_offload, 32);

#define NDIS_OFFLOAD_ENCAPSULATION_802_3 0x2u
#define NDIS_TXCSUM_CAP_IP4OPT 0x001u
#define NDIS_TXCSUM_CAP_TCP4OPT 0x004u
#define NDIS_TXCSUM_CAP_TCP4 0x010u
#define NDIS_TXCSUM_CAP_UDP4 0x040u
#define NDIS_TXCSUM_CAP_IP4 0x100u
#define NDIS_TXCSUM_CAP_IP6EXT 0x001u
#define NDIS_TXCSUM_CAP_TCP6OPT 0x004u
#define NDIS_TXCSUM_CAP_TCP6 0x010u
#define NDIS_TXCSUM_CAP_UDP6 0x040u
#define NDIS_LSOV2_CAP_IP6EXT 0x001u
#define NDIS_LSOV2_CAP_TCP6OPT 0x004u

struct ndis_lsov1_offload {
	uint32_t encap;
	uint32_t maxsize;
	uint32_t minsegs;
	uint32_t options;
} PACKED;
VMBUS_SIZE(ndis_lsov1_offload, 16);

struct ndis_ipsecv1_offload {
	uint32_t words[7];
} PACKED;
VMBUS_SIZE(ndis_ipsecv1_offload, 28);

struct ndis_lsov2_offload {
	uint32_t ip4_encap;
	uint32_t ip4_maxsz;
	uint32_t ip4_minsg;
	uint32_t ip6_encap;
	uint32_t ip6_maxsz;
	uint32_t ip6_minsg;
	uint32_t ip6_opts;
} PACKED;
VMBUS_SIZE(ndis_lsov2_offload, 28);

#define NDIS_OFFLOAD_SIZE_6_0 112u
#define NDIS_OFFLOAD_SIZE_6_1 144u
#define NDIS_OFFLOAD_SIZE_6_30 156u

struct ndis_offload {
	struct ndis_object_header header;
	struct ndis_csum_offload csum;
	struct ndis_lsov1_offload lsov1;
	struct ndis_ipsecv1_offload ipsecv1;
	struct ndis_lsov2_offload lsov2;
	uint32_t flags;
	uint8_t ipsecv2[32]; /* revision 2 */
	uint8_t rsc[12]; /* revision 3 */
} PACKED;
VMBUS_SIZE(ndis_offload, NDIS_OFFLOAD_SIZE_6_30);
VMBUS_AT(ndis_offload, csum, 4);
VMBUS_AT(ndis_offload, lsov1, 36);
VMBUS_AT(ndis_offload, ipsecv1, 52);
VMBUS_AT(ndis_offload, lsov2, 80);
VMBUS_AT(ndis_offload, flags, 108);
VMBUS_AT(ndis_offload, ipsecv2, NDIS_OFFLOAD_SIZE_6_0);
VMBUS_AT(ndis_offload, rsc, NDIS_OFFLOAD_SIZE_6_1);

#define NDIS_OFFLOAD_NO_CHANGE 0u
#define NDIS_OFFLOAD_OFF 1u
#define NDIS_OFFLOAD_LSOV2_ON 2u
#define NDIS_OFFLOAD_TX_RX_ON 4u

/* 22 bytes up to NVSP 4; 28 from 5 on. */
struct ndis_offload_params {
	struct ndis_object_header header;
	uint8_t ip_v4_csum;
	uint8_t tcp_ip_v4_csum;
	uint8_t udp_ip_v4_csum;
	uint8_t tcp_ip_v6_csum;
	uint8_t udp_ip_v6_csum;
	uint8_t lso_v1;
	uint8_t ip_sec_v1;
	uint8_t lso_v2_ipv4;
	uint8_t lso_v2_ipv6;
	uint8_t tcp_connection_ipv4;
	uint8_t tcp_connection_ipv6;
	uint8_t reserved1;
	uint32_t flags;
	uint8_t ip_sec_v2;
	uint8_t ip_sec_v2_ipv4;
	uint8_t rsc_ipv4;
	uint8_t rsc_ipv6;
	uint8_t encapsulated[4];
} PACKED;
VMBUS_SIZE(ndis_offload_params, 28);
VMBUS_AT(ndis_offload_params, lso_v2_ipv4, 11);
VMBUS_AT(ndis_offload_params, flags, 16);
VMBUS_AT(ndis_offload_params, rsc_ipv4, 22);

struct ndis_recv_scale_cap {
	struct ndis_object_header header;
	uint32_t cap;
	uint32_t num_int_msg;
	uint32_t num_recv_que;
	uint16_t num_indirect_tabent;
	uint16_t padding;
} PACKED;
VMBUS_SIZE(ndis_recv_scale_cap, 20);

struct ndis_recv_scale_param {
	struct ndis_object_header header;
	uint16_t flags;
	uint16_t base_cpu;
	uint32_t hashinfo;
	uint16_t indirect_tabsize; /* bytes */
	uint16_t padding1;
	uint32_t indirect_taboffset;
	uint16_t hashkey_size;
	uint16_t padding2;
	uint32_t hashkey_offset;
	uint32_t processor_masks_offset;
	uint32_t num_processor_masks;
	uint32_t processor_masks_entry_size;
} PACKED;
VMBUS_SIZE(ndis_recv_scale_param, 40);
VMBUS_AT(ndis_recv_scale_param, indirect_taboffset, 16);
VMBUS_AT(ndis_recv_scale_param, hashkey_offset, 24);

#endif /* ABI_VMBUS_NET_H */
