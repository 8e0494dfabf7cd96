/*
 * vmbus_scsi.h - storvsp's packets (versions 5.1 to 6.2), and the part of SCSI (SPC-3, SBC-3) that its disks speak.
 *
 * Part of vmbus.h. CDBs, sense and parameter data are big-endian bytes.
 */
#ifndef ABI_VMBUS_SCSI_H
#define ABI_VMBUS_SCSI_H

#include "abi/vmbus.h"

#define VMSTOR_PROTO_VERSION_WIN6 0x0200u
#define VMSTOR_PROTO_VERSION_WIN7 0x0402u
#define VMSTOR_PROTO_VERSION_WIN8 0x0501u
#define VMSTOR_PROTO_VERSION_WIN8_1 0x0600u
#define VMSTOR_PROTO_VERSION_WIN10 0x0602u

enum vstor_packet_operation {
	VSTOR_OPERATION_COMPLETE_IO = 1,
	VSTOR_OPERATION_REMOVE_DEVICE = 2,
	VSTOR_OPERATION_EXECUTE_SRB = 3,
	VSTOR_OPERATION_RESET_LUN = 4,
	VSTOR_OPERATION_RESET_ADAPTER = 5,
	VSTOR_OPERATION_RESET_BUS = 6,
	VSTOR_OPERATION_BEGIN_INITIALIZATION = 7,
	VSTOR_OPERATION_END_INITIALIZATION = 8,
	VSTOR_OPERATION_QUERY_PROTOCOL_VERSION = 9,
	VSTOR_OPERATION_QUERY_PROPERTIES = 10,
	VSTOR_OPERATION_ENUMERATE_BUS = 11,
	VSTOR_OPERATION_FCHBA_DATA = 12,
	VSTOR_OPERATION_CREATE_SUB_CHANNELS = 13,
	VSTOR_OPERATION_EVENT_NOTIFICATION = 14,
};

#define VSTOR_REQUEST_COMPLETION_FLAG 1u

#define VSTOR_CDB_BYTES 16u
#define VSTOR_SENSE_BYTES 20u
#define VSTOR_PACKET_BYTES_WIN7 48u

#define VSTOR_DATA_OUT 0u /* guest to disk */
#define VSTOR_DATA_IN 1u
#define VSTOR_DATA_NONE 2u

#define SRB_STATUS_PENDING 0x00u
#define SRB_STATUS_SUCCESS 0x01u
#define SRB_STATUS_ABORTED 0x02u
#define SRB_STATUS_ERROR 0x04u
#define SRB_STATUS_BUSY 0x05u
#define SRB_STATUS_INVALID_REQUEST 0x06u
#define SRB_STATUS_DATA_OVERRUN 0x12u
#define SRB_STATUS_INVALID_LUN 0x20u
#define SRB_STATUS_INTERNAL_ERROR 0x30u
#define SRB_STATUS_QUEUE_FROZEN 0x40u
#define SRB_STATUS_AUTOSENSE_VALID 0x80u

struct vmscsi_request {
	uint16_t length;
	uint8_t srb_status;
	uint8_t scsi_status;
	uint8_t port_number;
	uint8_t path_id;
	uint8_t target_id;
	uint8_t lun;
	uint8_t cdb_length;
	uint8_t sense_info_length;
	uint8_t data_in; /* VSTOR_DATA_* */
	uint8_t reserved;
	uint32_t data_transfer_length;
	union {
		uint8_t cdb[VSTOR_CDB_BYTES];
		uint8_t sense_data[VSTOR_SENSE_BYTES];
	} u;
	uint16_t reserve;
	uint8_t queue_tag;
	uint8_t queue_action;
	uint32_t srb_flags;
	uint32_t time_out_value;
	uint32_t queue_sort_ey;
} PACKED;
VMBUS_SIZE(vmscsi_request, 52);
VMBUS_AT(vmscsi_request, data_in, 10);
VMBUS_AT(vmscsi_request, data_transfer_length, 12);
VMBUS_AT(vmscsi_request, u, 16);
VMBUS_AT(vmscsi_request, queue_tag, 38);
VMBUS_AT(vmscsi_request, srb_flags, 40);
VMBUS_AT(vmscsi_request, queue_sort_ey, 48);

#define STORAGE_CHANNEL_SUPPORTS_MULTI_CHANNEL 0x1u

struct vmstorage_channel_properties {
	uint32_t reserved;
	uint16_t max_channel_cnt; /* sub-channels */
	uint16_t reserved1;
	uint32_t flags;
	uint32_t max_transfer_bytes;
	uint64_t reserved2;
} PACKED;
VMBUS_SIZE(vmstorage_channel_properties, 24);
VMBUS_AT(vmstorage_channel_properties, max_channel_cnt, 4);
VMBUS_AT(vmstorage_channel_properties, flags, 8);
VMBUS_AT(vmstorage_channel_properties, max_transfer_bytes, 12);

struct vmstorage_protocol_version {
	uint16_t major_minor;
	uint16_t revision;
} PACKED;
VMBUS_SIZE(vmstorage_protocol_version, 4);

struct vstor_packet {
	uint32_t operation;
	uint32_t flags;
	uint32_t status;
	union {
		struct vmscsi_request vm_srb;
		struct vmstorage_channel_properties storage_channel_properties;
		struct vmstorage_protocol_version version;
		uint16_t sub_channel_count;
	} u;
} PACKED;
VMBUS_SIZE(vstor_packet, 64);
VMBUS_AT(vstor_packet, u, 12);

/* ------------------------------------------------------------------ SCSI */

#define SAM_STAT_GOOD 0x00u
#define SAM_STAT_CHECK_CONDITION 0x02u

#define SCSI_SENSE_NO_SENSE 0x0u
#define SCSI_SENSE_MEDIUM_ERROR 0x3u
#define SCSI_SENSE_HARDWARE_ERROR 0x4u
#define SCSI_SENSE_ILLEGAL_REQUEST 0x5u
#define SCSI_SENSE_DATA_PROTECT 0x7u

#define SCSI_ASC_NONE 0x00u
#define SCSI_ASC_WRITE_ERROR 0x0Cu
#define SCSI_ASC_UNRECOVERED_READ_ERROR 0x11u
#define SCSI_ASC_INVALID_OPCODE 0x20u
#define SCSI_ASC_LBA_OUT_OF_RANGE 0x21u
#define SCSI_ASC_INVALID_FIELD_IN_CDB 0x24u
#define SCSI_ASC_LUN_NOT_SUPPORTED 0x25u
#define SCSI_ASC_WRITE_PROTECTED 0x27u

/* Fixed format, current error. */
#define SCSI_SENSE_FIXED_BYTES 18u
#define SCSI_SENSE_FIXED_CURRENT 0x70u

#define SCSI_INQUIRY_BYTES 36u
#define SCSI_INQUIRY_ABSENT 0x7Fu /* peripheral qualifier 3, type 1Fh */
#define SCSI_VPD_SUPPORTED 0x00u
#define SCSI_VPD_SERIAL 0x80u
#define SCSI_VPD_DEVICE_ID 0x83u
#define SCSI_VPD_BLOCK_LIMITS 0xB0u
#define SCSI_VPD_BLOCK_CHARACTERISTICS 0xB1u
#define SCSI_MODE_PAGE_CACHING 0x08u
#define SCSI_MODE_PAGE_ALL 0x3Fu
#define SCSI_READ_CAPACITY_16 0x10u /* service action */

#endif /* ABI_VMBUS_SCSI_H */
