/*
 * xen.h - Xen's guest interface for x86 HVM and PVH guests: constants and layouts.
 *
 * Follows Xen's public headers (xen.h, memory.h, vcpu.h, sched.h, event_channel.h, grant_table.h,
 * version.h, those of hvm and of arch-x86), as they are seen by 64-bit callers and, where the layout
 * differs, by 32-bit ones: structures that end in 64 and 32 are the two forms of one. Grants and shared
 * memory are in xen_shared.h, rings and the store's wire format in xen_io.h, both included here.
 */
#ifndef ABI_XEN_H
#define ABI_XEN_H

#include "base/compiler.h"

/* Proofs of a layout: whole size, and one field's place. */
#define XEN_SIZE(tag, bytes) _Static_assert(sizeof(struct tag) == (bytes), #tag " size")
#define XEN_AT(tag, field, off) \
	_Static_assert(offsetof(struct tag, field) == (off), #tag "." #field " offset")

#include "abi/xen_io.h"
#include "abi/xen_shared.h"

/* ------------------------------------------------------------------ error numbers (errno.h) */

#define XEN_EPERM 1
#define XEN_ENOENT 2
#define XEN_ESRCH 3
#define XEN_ENXIO 6
#define XEN_E2BIG 7
#define XEN_EAGAIN 11
#define XEN_ENOMEM 12
#define XEN_EACCES 13
#define XEN_EFAULT 14
#define XEN_EBUSY 16
#define XEN_EEXIST 17
#define XEN_EXDEV 18
#define XEN_EINVAL 22
#define XEN_ENOSPC 28
#define XEN_ERANGE 34
#define XEN_ENOSYS 38
#define XEN_ENODATA 61
#define XEN_ETIME 62
#define XEN_EOVERFLOW 75
#define XEN_EOPNOTSUPP 95

/* ------------------------------------------------------------------ domains */

#define DOMID_FIRST_RESERVED 0x7FF0u
#define DOMID_SELF 0x7FF0u
#define DOMID_IO 0x7FF1u
#define DOMID_XEN 0x7FF2u
#define DOMID_COW 0x7FF3u
#define DOMID_INVALID 0x7FF4u

/* ------------------------------------------------------------------ CPUID (arch-x86/cpuid.h), MSR */

#define XEN_CPUID_FIRST_LEAF 0x40000000u
#define XEN_CPUID_LEAF_STRIDE 0x100u
#define XEN_CPUID_SIGNATURE_EBX 0x566E6558u /* "XenV" */
#define XEN_CPUID_SIGNATURE_ECX 0x65584D4Du /* "MMXe" */
#define XEN_CPUID_SIGNATURE_EDX 0x4D4D566Eu /* "nVMM" */
#define XEN_CPUID_MAX_NUM_LEAVES 5u
#define XEN_CPUID_TSC_EMULATED 0x1u
#define XEN_CPUID_HOST_TSC_RELIABLE 0x2u
#define XEN_HVM_CPUID_APIC_ACCESS_VIRT 0x01u
#define XEN_HVM_CPUID_X2APIC_VIRT 0x02u
#define XEN_HVM_CPUID_IOMMU_MAPPINGS 0x04u
#define XEN_HVM_CPUID_VCPU_ID_PRESENT 0x08u
#define XEN_HVM_CPUID_DOMID_PRESENT 0x10u
#define XEN_HVM_CPUID_EXT_DEST_ID 0x20u
#define XEN_HVM_CPUID_UPCALL_VECTOR 0x40u

#define XEN_MSR_BASE 0x40000000u /* without Hyper-V's leaves */
#define XEN_MSR_BASE_HYPERV 0x40000200u /* beside them */
#define XEN_HYPERCALL_STUB_BYTES 32u

/* ------------------------------------------------------------------ hypercall numbers (xen.h) */

#define __HYPERVISOR_platform_op 7u
#define __HYPERVISOR_memory_op 12u
#define __HYPERVISOR_multicall 13u
#define __HYPERVISOR_set_timer_op 15u
#define __HYPERVISOR_xen_version 17u
#define __HYPERVISOR_console_io 18u
#define __HYPERVISOR_grant_table_op 20u
#define __HYPERVISOR_vm_assist 21u
#define __HYPERVISOR_iret 23u
#define __HYPERVISOR_vcpu_op 24u
#define __HYPERVISOR_mmuext_op 26u
#define __HYPERVISOR_xsm_op 27u
#define __HYPERVISOR_sched_op 29u
#define __HYPERVISOR_event_channel_op 32u
#define __HYPERVISOR_physdev_op 33u
#define __HYPERVISOR_hvm_op 34u
#define __HYPERVISOR_sysctl 35u
#define __HYPERVISOR_domctl 36u
#define __HYPERVISOR_argo_op 39u
#define __HYPERVISOR_xenpmu_op 40u
#define __HYPERVISOR_dm_op 41u
#define __HYPERVISOR_hypfs_op 42u

struct xen_multicall64 {
	uint64_t op;
	uint64_t result;
	uint64_t args[6];
} PACKED;
XEN_SIZE(xen_multicall64, 64);
XEN_AT(xen_multicall64, result, 8);
XEN_AT(xen_multicall64, args, 16);

struct xen_multicall32 {
	uint32_t op;
	uint32_t result;
	uint32_t args[6];
} PACKED;
XEN_SIZE(xen_multicall32, 32);
XEN_AT(xen_multicall32, result, 4);
XEN_AT(xen_multicall32, args, 8);

#define VMASST_CMD_enable 0u
#define VMASST_CMD_disable 1u
#define VMASST_TYPE_runstate_update_flag 5u

/* ------------------------------------------------------------------ xen_version (version.h, features.h) */

#define XENVER_version 0u
#define XENVER_extraversion 1u
#define XENVER_compile_info 2u
#define XENVER_capabilities 3u
#define XENVER_changeset 4u
#define XENVER_platform_parameters 5u
#define XENVER_get_features 6u
#define XENVER_pagesize 7u
#define XENVER_guest_handle 8u
#define XENVER_commandline 9u
#define XENVER_build_id 10u

struct xen_compile_info_text {
	char compiler[64];
	char compile_by[16];
	char compile_domain[32];
	char compile_date[32];
} PACKED;
XEN_SIZE(xen_compile_info_text, 144);
XEN_AT(xen_compile_info_text, compile_by, 64);
XEN_AT(xen_compile_info_text, compile_domain, 80);
XEN_AT(xen_compile_info_text, compile_date, 112);

struct xen_feature_submap {
	uint32_t submap_idx;
	uint32_t submap;
} PACKED;
XEN_SIZE(xen_feature_submap, 8);
XEN_AT(xen_feature_submap, submap, 4);

#define XENFEAT_writable_page_tables 0
#define XENFEAT_auto_translated_physmap 2
#define XENFEAT_hvm_callback_vector 8
#define XENFEAT_hvm_safe_pvclock 9
#define XENFEAT_hvm_pirqs 10
#define XENFEAT_memory_op_vnode_supported 13
#define XENFEAT_not_direct_mapped 16
#define XENFEAT_runstate_phys_area 18
#define XENFEAT_vcpu_time_phys_area 19

/* ------------------------------------------------------------------ memory_op (memory.h) */

#define MEMOP_EXTENT_SHIFT 6u /* progress of a preempted call lies above the command */
#define MEMOP_CMD_MASK 0x3Fu
#define XENMEM_increase_reservation 0u
#define XENMEM_decrease_reservation 1u
#define XENMEM_maximum_ram_page 2u
#define XENMEM_current_reservation 3u
#define XENMEM_maximum_reservation 4u
#define XENMEM_machphys_mfn_list 5u
#define XENMEM_populate_physmap 6u
#define XENMEM_add_to_physmap 7u
#define XENMEM_memory_map 9u
#define XENMEM_machine_memory_map 10u
#define XENMEM_exchange 11u
#define XENMEM_machphys_mapping 12u
#define XENMEM_set_memory_map 13u
#define XENMEM_maximum_gpfn 14u
#define XENMEM_remove_from_physmap 15u
#define XENMEM_set_pod_target 16u
#define XENMEM_get_pod_target 17u
#define XENMEM_add_to_physmap_batch 23u
#define XENMEM_claim_pages 24u
#define XENMEM_machphys_compat_mfn_list 25u
#define XENMEM_get_vnumainfo 26u
#define XENMEM_reserved_device_memory_map 27u
#define XENMEM_acquire_resource 28u

#define XENMAPSPACE_shared_info 0u
#define XENMAPSPACE_grant_table 1u
#define XENMAPSPACE_gmfn 2u
#define XENMAPSPACE_gmfn_range 3u
#define XENMAPSPACE_gmfn_foreign 4u
#define XENMAPIDX_grant_table_status 0x80000000u

#define XENMEMF_populate_on_demand (1u << 16)

struct xen_reservation64 {
	uint64_t extent_start;
	uint64_t nr_extents;
	uint32_t extent_order;
	uint32_t mem_flags;
	uint16_t domid;
	uint16_t pad[3];
} PACKED;
XEN_SIZE(xen_reservation64, 32);
XEN_AT(xen_reservation64, nr_extents, 8);
XEN_AT(xen_reservation64, extent_order, 16);
XEN_AT(xen_reservation64, mem_flags, 20);
XEN_AT(xen_reservation64, domid, 24);

struct xen_reservation32 {
	uint32_t extent_start;
	uint32_t nr_extents;
	uint32_t extent_order;
	uint32_t mem_flags;
	uint16_t domid;
	uint16_t pad;
} PACKED;
XEN_SIZE(xen_reservation32, 20);
XEN_AT(xen_reservation32, nr_extents, 4);
XEN_AT(xen_reservation32, extent_order, 8);
XEN_AT(xen_reservation32, mem_flags, 12);
XEN_AT(xen_reservation32, domid, 16);

struct xen_add_to_physmap64 {
	uint16_t domid;
	uint16_t size;
	uint32_t space;
	uint64_t idx;
	uint64_t gpfn;
} PACKED;
XEN_SIZE(xen_add_to_physmap64, 24);
XEN_AT(xen_add_to_physmap64, size, 2);
XEN_AT(xen_add_to_physmap64, space, 4);
XEN_AT(xen_add_to_physmap64, idx, 8);
XEN_AT(xen_add_to_physmap64, gpfn, 16);

struct xen_add_to_physmap32 {
	uint16_t domid;
	uint16_t size;
	uint32_t space;
	uint32_t idx;
	uint32_t gpfn;
} PACKED;
XEN_SIZE(xen_add_to_physmap32, 16);
XEN_AT(xen_add_to_physmap32, idx, 8);
XEN_AT(xen_add_to_physmap32, gpfn, 12);

struct xen_add_to_physmap_batch64 {
	uint16_t domid;
	uint16_t space;
	uint16_t size;
	uint16_t foreign_domid;
	uint64_t idxs;
	uint64_t gpfns;
	uint64_t errs;
} PACKED;
XEN_SIZE(xen_add_to_physmap_batch64, 32);
XEN_AT(xen_add_to_physmap_batch64, space, 2);
XEN_AT(xen_add_to_physmap_batch64, size, 4);
XEN_AT(xen_add_to_physmap_batch64, foreign_domid, 6);
XEN_AT(xen_add_to_physmap_batch64, idxs, 8);
XEN_AT(xen_add_to_physmap_batch64, gpfns, 16);
XEN_AT(xen_add_to_physmap_batch64, errs, 24);

struct xen_add_to_physmap_batch32 {
	uint16_t domid;
	uint16_t space;
	uint16_t size;
	uint16_t foreign_domid;
	uint32_t idxs;
	uint32_t gpfns;
	uint32_t errs;
} PACKED;
XEN_SIZE(xen_add_to_physmap_batch32, 20);
XEN_AT(xen_add_to_physmap_batch32, errs, 16);

struct xen_remove_from_physmap64 {
	uint16_t domid;
	uint16_t pad[3];
	uint64_t gpfn;
} PACKED;
XEN_SIZE(xen_remove_from_physmap64, 16);
XEN_AT(xen_remove_from_physmap64, gpfn, 8);

struct xen_remove_from_physmap32 {
	uint16_t domid;
	uint16_t pad;
	uint32_t gpfn;
} PACKED;
XEN_SIZE(xen_remove_from_physmap32, 8);
XEN_AT(xen_remove_from_physmap32, gpfn, 4);

struct xen_memory_map64 {
	uint32_t nr_entries;
	uint32_t pad;
	uint64_t buffer;
} PACKED;
XEN_SIZE(xen_memory_map64, 16);
XEN_AT(xen_memory_map64, buffer, 8);

struct xen_memory_map32 {
	uint32_t nr_entries;
	uint32_t buffer;
} PACKED;
XEN_SIZE(xen_memory_map32, 8);
XEN_AT(xen_memory_map32, buffer, 4);

struct xen_foreign_memory_map64 {
	uint16_t domid;
	uint16_t pad[3];
	struct xen_memory_map64 map;
} PACKED;
XEN_SIZE(xen_foreign_memory_map64, 24);
XEN_AT(xen_foreign_memory_map64, map, 8);

struct xen_foreign_memory_map32 {
	uint16_t domid;
	uint16_t pad;
	struct xen_memory_map32 map;
} PACKED;
XEN_SIZE(xen_foreign_memory_map32, 12);
XEN_AT(xen_foreign_memory_map32, map, 4);

struct xen_e820_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
} PACKED;
XEN_SIZE(xen_e820_entry, 20);

/* ------------------------------------------------------------------ vcpu_op (vcpu.h, hvm/hvm_vcpu.h) */

#define VCPUOP_initialise 0u
#define VCPUOP_up 1u
#define VCPUOP_down 2u
#define VCPUOP_is_up 3u
#define VCPUOP_get_runstate_info 4u
#define VCPUOP_register_runstate_memory_area 5u
#define VCPUOP_set_periodic_timer 6u
#define VCPUOP_stop_periodic_timer 7u
#define VCPUOP_set_singleshot_timer 8u
#define VCPUOP_stop_singleshot_timer 9u
#define VCPUOP_register_vcpu_info 10u
#define VCPUOP_send_nmi 11u
#define VCPUOP_get_physid 12u
#define VCPUOP_register_vcpu_time_memory_area 13u
#define VCPUOP_register_runstate_phys_area 14u
#define VCPUOP_register_vcpu_time_phys_area 15u

#define RUNSTATE_running 0u
#define RUNSTATE_runnable 1u
#define RUNSTATE_blocked 2u
#define RUNSTATE_offline 3u
#define XEN_RUNSTATE_UPDATE (1ull << 63)

struct xen_runstate64 {
	uint32_t state;
	uint32_t pad;
	uint64_t state_entry_time;
	uint64_t time[4];
} PACKED;
XEN_SIZE(xen_runstate64, 48);
XEN_AT(xen_runstate64, state_entry_time, 8);
XEN_AT(xen_runstate64, time, 16);

struct xen_runstate32 {
	uint32_t state;
	uint64_t state_entry_time;
	uint64_t time[4];
} PACKED;
XEN_SIZE(xen_runstate32, 44);
XEN_AT(xen_runstate32, state_entry_time, 4);
XEN_AT(xen_runstate32, time, 12);

struct xen_set_singleshot_timer {
	uint64_t timeout_abs_ns;
	uint32_t flags; /* a 64-bit caller's structure has four bytes more */
} PACKED;
XEN_SIZE(xen_set_singleshot_timer, 12);
XEN_AT(xen_set_singleshot_timer, flags, 8);

struct xen_register_vcpu_info {
	uint64_t mfn; /* a guest frame number */
	uint32_t offset;
	uint32_t rsvd;
} PACKED;
XEN_SIZE(xen_register_vcpu_info, 16);
XEN_AT(xen_register_vcpu_info, offset, 8);

#define VCPU_HVM_MODE_32B 0u
#define VCPU_HVM_MODE_64B 1u

struct xen_vcpu_x86_32 {
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, eip, eflags;
	uint32_t cr0, cr3, cr4, pad1;
	uint64_t efer;
	uint32_t cs_base, ds_base, ss_base, es_base, tr_base;
	uint32_t cs_limit, ds_limit, ss_limit, es_limit, tr_limit;
	uint16_t cs_ar, ds_ar, ss_ar, es_ar, tr_ar;
	uint16_t pad2[3];
} PACKED;
XEN_SIZE(xen_vcpu_x86_32, 120);
XEN_AT(xen_vcpu_x86_32, eip, 32);
XEN_AT(xen_vcpu_x86_32, cr0, 40);
XEN_AT(xen_vcpu_x86_32, efer, 56);
XEN_AT(xen_vcpu_x86_32, cs_base, 64);
XEN_AT(xen_vcpu_x86_32, cs_limit, 84);
XEN_AT(xen_vcpu_x86_32, cs_ar, 104);
XEN_AT(xen_vcpu_x86_32, pad2, 114);

struct xen_vcpu_x86_64 {
	uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, rip, rflags;
	uint64_t cr0, cr3, cr4, efer;
} PACKED;
XEN_SIZE(xen_vcpu_x86_64, 112);
XEN_AT(xen_vcpu_x86_64, rip, 64);
XEN_AT(xen_vcpu_x86_64, cr0, 80);
XEN_AT(xen_vcpu_x86_64, efer, 104);

struct xen_vcpu_hvm_context {
	uint32_t mode;
	uint32_t pad;
	union {
		struct xen_vcpu_x86_32 x86_32;
		struct xen_vcpu_x86_64 x86_64;
	} cpu_regs;
} PACKED;
XEN_SIZE(xen_vcpu_hvm_context, 128);
XEN_AT(xen_vcpu_hvm_context, cpu_regs, 8);

/* ------------------------------------------------------------------ sched_op (sched.h) */

#define SCHEDOP_yield 0u
#define SCHEDOP_block 1u
#define SCHEDOP_shutdown 2u
#define SCHEDOP_poll 3u
#define SCHEDOP_remote_shutdown 4u
#define SCHEDOP_shutdown_code 5u
#define SCHEDOP_watchdog 6u
#define SCHEDOP_pin_override 7u

#define SHUTDOWN_poweroff 0u
#define SHUTDOWN_reboot 1u
#define SHUTDOWN_suspend 2u
#define SHUTDOWN_crash 3u
#define SHUTDOWN_watchdog 4u
#define SHUTDOWN_soft_reset 5u

struct xen_sched_poll64 {
	uint64_t ports;
	uint32_t nr_ports;
	uint32_t pad;
	uint64_t timeout;
} PACKED;
XEN_SIZE(xen_sched_poll64, 24);
XEN_AT(xen_sched_poll64, nr_ports, 8);
XEN_AT(xen_sched_poll64, timeout, 16);

struct xen_sched_poll32 {
	uint32_t ports;
	uint32_t nr_ports;
	uint64_t timeout;
} PACKED;
XEN_SIZE(xen_sched_poll32, 16);
XEN_AT(xen_sched_poll32, nr_ports, 4);
XEN_AT(xen_sched_poll32, timeout, 8);

struct xen_sched_watchdog {
	uint32_t id;
	uint32_t timeout; /* seconds */
} PACKED;
XEN_SIZE(xen_sched_watchdog, 8);
XEN_AT(xen_sched_watchdog, timeout, 4);

/* ------------------------------------------------------------------ event_channel_op (event_channel.h) */

#define EVTCHNOP_bind_interdomain 0u
#define EVTCHNOP_bind_virq 1u
#define EVTCHNOP_bind_pirq 2u
#define EVTCHNOP_close 3u
#define EVTCHNOP_send 4u
#define EVTCHNOP_status 5u
#define EVTCHNOP_alloc_unbound 6u
#define EVTCHNOP_bind_ipi 7u
#define EVTCHNOP_bind_vcpu 8u
#define EVTCHNOP_unmask 9u
#define EVTCHNOP_reset 10u
#define EVTCHNOP_init_control 11u
#define EVTCHNOP_expand_array 12u
#define EVTCHNOP_set_priority 13u

#define EVTCHNSTAT_closed 0u
#define EVTCHNSTAT_unbound 1u
#define EVTCHNSTAT_interdomain 2u
#define EVTCHNSTAT_pirq 3u
#define EVTCHNSTAT_virq 4u
#define EVTCHNSTAT_ipi 5u

#define VIRQ_TIMER 0u
#define VIRQ_DEBUG 1u
#define VIRQ_CONSOLE 2u
#define VIRQ_DOM_EXC 3u
#define VIRQ_ARGO 11u
#define VIRQ_XENPMU 13u
#define NR_VIRQS 24u

#define EVTCHN_2L_NR_CHANNELS_64 4096u
#define EVTCHN_2L_NR_CHANNELS_32 1024u

struct xen_evtchn_bind_interdomain {
	uint16_t remote_dom;
	uint16_t pad;
	uint32_t remote_port;
	uint32_t local_port; /* out */
} PACKED;
XEN_SIZE(xen_evtchn_bind_interdomain, 12);
XEN_AT(xen_evtchn_bind_interdomain, remote_port, 4);
XEN_AT(xen_evtchn_bind_interdomain, local_port, 8);

struct xen_evtchn_bind_virq {
	uint32_t virq;
	uint32_t vcpu;
	uint32_t port; /* out */
} PACKED;
XEN_SIZE(xen_evtchn_bind_virq, 12);
XEN_AT(xen_evtchn_bind_virq, vcpu, 4);
XEN_AT(xen_evtchn_bind_virq, port, 8);

struct xen_evtchn_status {
	uint16_t dom;
	uint16_t pad;
	uint32_t port;
	uint32_t status; /* out from here */
	uint32_t vcpu;
	union {
		struct {
			uint16_t dom;
			uint16_t pad;
		} unbound;
		struct {
			uint16_t dom;
			uint16_t pad;
			uint32_t port;
		} interdomain;
		uint32_t pirq;
		uint32_t virq;
	} u;
} PACKED;
XEN_SIZE(xen_evtchn_status, 24);
XEN_AT(xen_evtchn_status, port, 4);
XEN_AT(xen_evtchn_status, status, 8);
XEN_AT(xen_evtchn_status, vcpu, 12);
XEN_AT(xen_evtchn_status, u, 16);

struct xen_evtchn_alloc_unbound {
	uint16_t dom;
	uint16_t remote_dom;
	uint32_t port; /* out */
} PACKED;
XEN_SIZE(xen_evtchn_alloc_unbound, 8);
XEN_AT(xen_evtchn_alloc_unbound, remote_dom, 2);
XEN_AT(xen_evtchn_alloc_unbound, port, 4);

struct xen_evtchn_bind_ipi {
	uint32_t vcpu;
	uint32_t port; /* out */
} PACKED;
XEN_SIZE(xen_evtchn_bind_ipi, 8);
XEN_AT(xen_evtchn_bind_ipi, port, 4);

struct xen_evtchn_bind_vcpu {
	uint32_t port;
	uint32_t vcpu;
} PACKED;
XEN_SIZE(xen_evtchn_bind_vcpu, 8);
XEN_AT(xen_evtchn_bind_vcpu, vcpu, 4);

/* ------------------------------------------------------------------ hvm_op (hvm/hvm_op.h, hvm/params.h) */

#define HVMOP_set_param 0u
#define HVMOP_get_param 1u
#define HVMOP_set_pci_intx_level 2u
#define HVMOP_set_isa_irq_level 3u
#define HVMOP_set_pci_link_route 4u
#define HVMOP_flush_tlbs 5u
#define HVMOP_pagetable_dying 9u
#define HVMOP_get_time 10u
#define HVMOP_xentrace 11u
#define HVMOP_get_mem_type 15u
#define HVMOP_set_evtchn_upcall_vector 23u
#define HVMOP_guest_request_vm_event 24u
#define HVMOP_altp2m 25u

#define HVMMEM_ram_rw 0u
#define HVMMEM_ram_ro 1u
#define HVMMEM_mmio_dm 2u

struct xen_hvm_param_arg {
	uint16_t domid;
	uint16_t pad;
	uint32_t index;
	uint64_t value;
} PACKED;
XEN_SIZE(xen_hvm_param_arg, 16);
XEN_AT(xen_hvm_param_arg, index, 4);
XEN_AT(xen_hvm_param_arg, value, 8);

struct xen_hvm_mem_type {
	uint16_t domid;
	uint16_t mem_type; /* out */
	uint16_t pad[2];
	uint64_t pfn;
} PACKED;
XEN_SIZE(xen_hvm_mem_type, 16);
XEN_AT(xen_hvm_mem_type, mem_type, 2);
XEN_AT(xen_hvm_mem_type, pfn, 8);

struct xen_hvm_trace {
	uint16_t event;
	uint16_t extra_bytes;
	uint8_t extra[28];
} PACKED;
XEN_SIZE(xen_hvm_trace, 32);

struct xen_hvm_upcall_vector {
	uint32_t vcpu;
	uint8_t vector;
	uint8_t pad[3];
} PACKED;
XEN_SIZE(xen_hvm_upcall_vector, 8);
XEN_AT(xen_hvm_upcall_vector, vector, 4);

#define HVM_PARAM_CALLBACK_IRQ 0u
#define HVM_PARAM_STORE_PFN 1u
#define HVM_PARAM_STORE_EVTCHN 2u
#define HVM_PARAM_VM86_TSS 15u
#define HVM_PARAM_CONSOLE_PFN 17u
#define HVM_PARAM_CONSOLE_EVTCHN 18u
#define HVM_PARAM_ACPI_IOPORTS_LOCATION 19u
#define HVM_PARAM_VM_GENERATION_ID_ADDR 34u
#define HVM_PARAM_ALTP2M 35u
#define HVM_PARAM_X87_FIP_WIDTH 36u
#define HVM_PARAM_VM86_TSS_SIZED 37u
#define HVM_PARAM_MCA_CAP 38u
#define HVM_NR_PARAMS 39u

#define HVM_PARAM_CALLBACK_IRQ_TYPE_SHIFT 56u
#define HVM_PARAM_CALLBACK_TYPE_GSI 0u
#define HVM_PARAM_CALLBACK_TYPE_PCI_INTX 1u
#define HVM_PARAM_CALLBACK_TYPE_VECTOR 2u

#endif /* ABI_XEN_H */
