/*
 * xen_shared.h - Xen's grant tables and the memory it shares with a guest: constants and layouts.
 *
 * Follows Xen's grant_table.h, and of xen.h and arch-x86 the structures shared_info, vcpu_info and
 * vcpu_time_info. Part of xen.h: include that one.
 */
#ifndef ABI_XEN_SHARED_H
#define ABI_XEN_SHARED_H

#include "base/compiler.h"

/* ------------------------------------------------------------------ grant tables (grant_table.h) */

#define GNTTABOP_map_grant_ref 0u
#define GNTTABOP_unmap_grant_ref 1u
#define GNTTABOP_setup_table 2u
#define GNTTABOP_dump_table 3u
#define GNTTABOP_transfer 4u
#define GNTTABOP_copy 5u
#define GNTTABOP_query_size 6u
#define GNTTABOP_unmap_and_replace 7u
#define GNTTABOP_set_version 8u
#define GNTTABOP_get_status_frames 9u
#define GNTTABOP_get_version 10u
#define GNTTABOP_swap_grant_ref 11u
#define GNTTABOP_cache_flush 12u

#define GTF_invalid 0u
#define GTF_permit_access 1u
#define GTF_accept_transfer 2u
#define GTF_transitive 3u
#define GTF_type_mask 3u
#define GTF_readonly 0x04u
#define GTF_reading 0x08u
#define GTF_writing 0x10u
#define GTF_sub_page 0x100u

#define GNTMAP_device_map 0x01u
#define GNTMAP_host_map 0x02u
#define GNTMAP_readonly 0x04u
#define GNTMAP_application_map 0x08u
#define GNTMAP_contains_pte 0x10u

#define GNTCOPY_source_gref 0x1u
#define GNTCOPY_dest_gref 0x2u

#define GNTTAB_RESERVED_CONSOLE 0u
#define GNTTAB_RESERVED_XENSTORE 1u
#define GNTTAB_NR_RESERVED_ENTRIES 8u

#define GNTST_okay 0
#define GNTST_general_error (-1)
#define GNTST_bad_domain (-2)
#define GNTST_bad_gntref (-3)
#define GNTST_bad_handle (-4)
#define GNTST_bad_virt_addr (-5)
#define GNTST_bad_dev_addr (-6)
#define GNTST_no_device_space (-7)
#define GNTST_permission_denied (-8)
#define GNTST_bad_page (-9)
#define GNTST_bad_copy_arg (-10)
#define GNTST_address_too_big (-11)
#define GNTST_eagain (-12)
#define GNTST_no_space (-13)

struct xen_grant_entry_v1 {
	uint16_t flags;
	uint16_t domid;
	uint32_t frame;
} PACKED;
XEN_SIZE(xen_grant_entry_v1, 8);
XEN_AT(xen_grant_entry_v1, domid, 2);
XEN_AT(xen_grant_entry_v1, frame, 4);

struct xen_gnttab_map {
	uint64_t host_addr;
	uint32_t flags;
	uint32_t ref;
	uint16_t dom;
	int16_t status; /* out */
	uint32_t handle; /* out */
	uint64_t dev_bus_addr; /* out */
} PACKED;
XEN_SIZE(xen_gnttab_map, 32);
XEN_AT(xen_gnttab_map, flags, 8);
XEN_AT(xen_gnttab_map, ref, 12);
XEN_AT(xen_gnttab_map, dom, 16);
XEN_AT(xen_gnttab_map, status, 18);
XEN_AT(xen_gnttab_map, handle, 20);
XEN_AT(xen_gnttab_map, dev_bus_addr, 24);

struct xen_gnttab_unmap {
	uint64_t host_addr;
	uint64_t dev_bus_addr;
	uint32_t handle;
	int16_t status; /* out */
	uint16_t pad;
} PACKED;
XEN_SIZE(xen_gnttab_unmap, 24);
XEN_AT(xen_gnttab_unmap, handle, 16);
XEN_AT(xen_gnttab_unmap, status, 20);

struct xen_gnttab_setup64 {
	uint16_t dom;
	uint16_t pad;
	uint32_t nr_frames;
	int16_t status; /* out */
	uint16_t pad2[3];
	uint64_t frame_list;
} PACKED;
XEN_SIZE(xen_gnttab_setup64, 24);
XEN_AT(xen_gnttab_setup64, nr_frames, 4);
XEN_AT(xen_gnttab_setup64, status, 8);
XEN_AT(xen_gnttab_setup64, frame_list, 16);

struct xen_gnttab_setup32 {
	uint16_t dom;
	uint16_t pad;
	uint32_t nr_frames;
	int16_t status; /* out */
	uint16_t pad2;
	uint32_t frame_list;
} PACKED;
XEN_SIZE(xen_gnttab_setup32, 16);
XEN_AT(xen_gnttab_setup32, status, 8);
XEN_AT(xen_gnttab_setup32, frame_list, 12);

struct xen_gnttab_copy_side64 {
	uint64_t ref_or_gmfn; /* a reference is its low 32 bits */
	uint16_t domid;
	uint16_t offset;
	uint32_t pad;
} PACKED;
XEN_SIZE(xen_gnttab_copy_side64, 16);
XEN_AT(xen_gnttab_copy_side64, domid, 8);
XEN_AT(xen_gnttab_copy_side64, offset, 10);

struct xen_gnttab_copy64 {
	struct xen_gnttab_copy_side64 source;
	struct xen_gnttab_copy_side64 dest;
	uint16_t len;
	uint16_t flags;
	int16_t status; /* out */
	uint16_t pad;
} PACKED;
XEN_SIZE(xen_gnttab_copy64, 40);
XEN_AT(xen_gnttab_copy64, dest, 16);
XEN_AT(xen_gnttab_copy64, len, 32);
XEN_AT(xen_gnttab_copy64, flags, 34);
XEN_AT(xen_gnttab_copy64, status, 36);

struct xen_gnttab_copy_side32 {
	uint32_t ref_or_gmfn;
	uint16_t domid;
	uint16_t offset;
} PACKED;
XEN_SIZE(xen_gnttab_copy_side32, 8);

struct xen_gnttab_copy32 {
	struct xen_gnttab_copy_side32 source;
	struct xen_gnttab_copy_side32 dest;
	uint16_t len;
	uint16_t flags;
	int16_t status; /* out */
	uint16_t pad;
} PACKED;
XEN_SIZE(xen_gnttab_copy32, 24);
XEN_AT(xen_gnttab_copy32, dest, 8);
XEN_AT(xen_gnttab_copy32, len, 16);
XEN_AT(xen_gnttab_copy32, flags, 18);
XEN_AT(xen_gnttab_copy32, status, 20);

struct xen_gnttab_query_size {
	uint16_t dom;
	uint16_t pad;
	uint32_t nr_frames; /* out from here */
	uint32_t max_nr_frames;
	int16_t status;
	uint16_t pad2;
} PACKED;
XEN_SIZE(xen_gnttab_query_size, 16);
XEN_AT(xen_gnttab_query_size, nr_frames, 4);
XEN_AT(xen_gnttab_query_size, max_nr_frames, 8);
XEN_AT(xen_gnttab_query_size, status, 12);

struct xen_gnttab_get_version {
	uint16_t dom;
	uint16_t pad;
	uint32_t version; /* out */
} PACKED;
XEN_SIZE(xen_gnttab_get_version, 8);
XEN_AT(xen_gnttab_get_version, version, 4);

struct xen_gnttab_swap {
	uint32_t ref_a;
	uint32_t ref_b;
	int16_t status; /* out */
	uint16_t pad;
} PACKED;
XEN_SIZE(xen_gnttab_swap, 12);
XEN_AT(xen_gnttab_swap, status, 8);

/* ------------------------------------------------------------------ shared memory (xen.h, arch-x86/xen-*.h) */

struct xen_vcpu_time_info {
	uint32_t version;
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad1[2];
} PACKED;
XEN_SIZE(xen_vcpu_time_info, 32);
XEN_AT(xen_vcpu_time_info, tsc_timestamp, 8);
XEN_AT(xen_vcpu_time_info, system_time, 16);
XEN_AT(xen_vcpu_time_info, tsc_to_system_mul, 24);
XEN_AT(xen_vcpu_time_info, tsc_shift, 28);
XEN_AT(xen_vcpu_time_info, flags, 29);

#define XEN_PVCLOCK_TSC_STABLE_BIT 0x01u
#define XEN_PVCLOCK_GUEST_STOPPED 0x02u

/* The same size for both widths; only the place of evtchn_pending_sel differs. */
struct xen_vcpu_info64 {
	uint8_t evtchn_upcall_pending;
	uint8_t evtchn_upcall_mask;
	uint8_t pad[6];
	uint64_t evtchn_pending_sel;
	uint64_t arch[2];
	struct xen_vcpu_time_info time;
} PACKED;
XEN_SIZE(xen_vcpu_info64, 64);
XEN_AT(xen_vcpu_info64, evtchn_upcall_mask, 1);
XEN_AT(xen_vcpu_info64, evtchn_pending_sel, 8);
XEN_AT(xen_vcpu_info64, time, 32);

struct xen_vcpu_info32 {
	uint8_t evtchn_upcall_pending;
	uint8_t evtchn_upcall_mask;
	uint8_t pad[2];
	uint32_t evtchn_pending_sel;
	uint32_t arch[6];
	struct xen_vcpu_time_info time;
} PACKED;
XEN_SIZE(xen_vcpu_info32, 64);
XEN_AT(xen_vcpu_info32, evtchn_pending_sel, 4);
XEN_AT(xen_vcpu_info32, time, 32);

#define XEN_LEGACY_MAX_VCPUS 32u

struct xen_shared_info64 {
	struct xen_vcpu_info64 vcpu_info[XEN_LEGACY_MAX_VCPUS];
	uint64_t evtchn_pending[64];
	uint64_t evtchn_mask[64];
	uint32_t wc_version;
	uint32_t wc_sec;
	uint32_t wc_nsec;
	uint32_t wc_sec_hi;
	uint64_t arch[6];
} PACKED;
XEN_SIZE(xen_shared_info64, 3136);
XEN_AT(xen_shared_info64, evtchn_pending, 2048);
XEN_AT(xen_shared_info64, evtchn_mask, 2560);
XEN_AT(xen_shared_info64, wc_version, 3072);
XEN_AT(xen_shared_info64, wc_sec, 3076);
XEN_AT(xen_shared_info64, wc_nsec, 3080);
XEN_AT(xen_shared_info64, wc_sec_hi, 3084);

struct xen_shared_info32 {
	struct xen_vcpu_info32 vcpu_info[XEN_LEGACY_MAX_VCPUS];
	uint32_t evtchn_pending[32];
	uint32_t evtchn_mask[32];
	uint32_t wc_version;
	uint32_t wc_sec;
	uint32_t wc_nsec;
	uint32_t arch[6];
	uint32_t wc_sec_hi; /* the last word of arch */
} PACKED;
XEN_SIZE(xen_shared_info32, 2344);
XEN_AT(xen_shared_info32, evtchn_pending, 2048);
XEN_AT(xen_shared_info32, evtchn_mask, 2176);
XEN_AT(xen_shared_info32, wc_version, 2304);
XEN_AT(xen_shared_info32, wc_sec, 2308);
XEN_AT(xen_shared_info32, wc_nsec, 2312);
XEN_AT(xen_shared_info32, wc_sec_hi, 2340);

#endif /* ABI_XEN_SHARED_H */
