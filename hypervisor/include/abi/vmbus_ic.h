/*
 * vmbus_ic.h - integration components: heartbeat, shutdown and time synchronization, in message pipe mode.
 *
 * Part of vmbus.h. After the pipe header of 8 bytes each message starts with icmsg_hdr.
 */
#ifndef ABI_VMBUS_IC_H
#define ABI_VMBUS_IC_H

#include "abi/vmbus.h"

#define ICMSGTYPE_NEGOTIATE 0u
#define ICMSGTYPE_HEARTBEAT 1u
#define ICMSGTYPE_KVPEXCHANGE 2u
#define ICMSGTYPE_SHUTDOWN 3u
#define ICMSGTYPE_TIMESYNC 4u
#define ICMSGTYPE_VSS 5u

#define ICMSGHDRFLAG_TRANSACTION 1u
#define ICMSGHDRFLAG_REQUEST 2u
#define ICMSGHDRFLAG_RESPONSE 4u

#define HV_S_OK 0x00000000u
#define HV_E_FAIL 0x80004005u

/* major | minor << 16, as the two u16 lie in memory. */
#define IC_VERSION(major, minor) ((uint32_t)(major) | (uint32_t)(minor) << 16)

struct icmsg_hdr {
	uint32_t icverframe; /* IC_VERSION */
	uint16_t icmsgtype;
	uint32_t icvermsg; /* IC_VERSION */
	uint16_t icmsgsize;
	uint32_t status;
	uint8_t ictransaction_id;
	uint8_t icflags;
	uint8_t reserved[2];
} PACKED;
VMBUS_SIZE(icmsg_hdr, 20);
VMBUS_AT(icmsg_hdr, icmsgtype, 4);
VMBUS_AT(icmsg_hdr, icvermsg, 6);
VMBUS_AT(icmsg_hdr, icmsgsize, 10);
VMBUS_AT(icmsg_hdr, status, 12);
VMBUS_AT(icmsg_hdr, ictransaction_id, 16);
VMBUS_AT(icmsg_hdr, icflags, 17);

/* IC_VERSIONs follow: those of the frame, then those of the message. */
struct icmsg_negotiate {
	uint16_t icframe_vercnt;
	uint16_t icmsg_vercnt;
	uint32_t reserved;
} PACKED;
VMBUS_SIZE(icmsg_negotiate, 8);

struct heartbeat_msg_data {
	uint64_t seq_num;
	uint32_t reserved[8];
} PACKED;
VMBUS_SIZE(heartbeat_msg_data, 40);

#define IC_SHUTDOWN_REASON_PLANNED 0x80000000u
#define IC_SHUTDOWN_FLAG_FORCE 1u
#define IC_SHUTDOWN_FLAG_RESTART 2u

struct shutdown_msg_data {
	uint32_t reason_code;
	uint32_t timeout_seconds;
	uint32_t flags;
	uint8_t display_message[2048];
} PACKED;
VMBUS_SIZE(shutdown_msg_data, 2060);

#define ICTIMESYNCFLAG_PROBE 0u
#define ICTIMESYNCFLAG_SYNC 1u
#define ICTIMESYNCFLAG_SAMPLE 2u

/* 100 ns from 1601-01-01 to 1970-01-01. */
#define IC_EPOCH_100NS 116444736000000000ull

/* Versions 1.0 and 3.0. */
struct ictimesync_data {
	uint64_t parenttime;
	uint64_t childtime;
	uint64_t roundtriptime;
	uint8_t flags;
	uint8_t reserved[3];
} PACKED;
VMBUS_SIZE(ictimesync_data, 28);
VMBUS_AT(ictimesync_data, flags, 24);

/* Version 4.0. */
struct ictimesync_ref_data {
	uint64_t parenttime;
	uint64_t vmreferencetime;
	uint8_t flags;
	uint8_t leapflags;
	uint8_t stratum;
	uint8_t reserved[5];
} PACKED;
VMBUS_SIZE(ictimesync_ref_data, 24);
VMBUS_AT(ictimesync_ref_data, flags, 16);
VMBUS_AT(ictimesync_ref_data, stratum, 18);

#endif /* ABI_VMBUS_IC_H */
