/*
 * xen_abi_test.c - abi/xen.h against Xen's own public headers (libxen-dev): each constant's value, each
 * 64-bit structure's size and offsets. 32-bit layouts are proved by xen.h's own assertions, shared info
 * of 32 bits also here.
 *
 * Ours are noted first; then Xen's headers define the same names again.
 */
#include <stddef.h>
#include <string.h>

#include "abi/xen.h"
#include "tests/unit/unit.h"

#define CONSTANTS(X) \
	X(DOMID_FIRST_RESERVED) X(DOMID_SELF) X(DOMID_IO) X(DOMID_XEN) X(DOMID_COW) \
	X(DOMID_INVALID) X(XEN_CPUID_FIRST_LEAF) X(XEN_CPUID_SIGNATURE_EBX) \
	X(XEN_CPUID_SIGNATURE_ECX) X(XEN_CPUID_SIGNATURE_EDX) X(XEN_CPUID_MAX_NUM_LEAVES) \
	X(XEN_HVM_CPUID_APIC_ACCESS_VIRT) X(XEN_HVM_CPUID_X2APIC_VIRT) \
	X(XEN_HVM_CPUID_IOMMU_MAPPINGS) X(XEN_HVM_CPUID_VCPU_ID_PRESENT) \
	X(XEN_HVM_CPUID_DOMID_PRESENT) X(XEN_HVM_CPUID_EXT_DEST_ID) X(XEN_HVM_CPUID_UPCALL_VECTOR) \
	X(__HYPERVISOR_platform_op) X(__HYPERVISOR_memory_op) X(__HYPERVISOR_multicall) \
	X(__HYPERVISOR_set_timer_op) X(__HYPERVISOR_xen_version) X(__HYPERVISOR_console_io) \
	X(__HYPERVISOR_grant_table_op) X(__HYPERVISOR_vm_assist) X(__HYPERVISOR_iret) \
	X(__HYPERVISOR_vcpu_op) X(__HYPERVISOR_mmuext_op) X(__HYPERVISOR_xsm_op) \
	X(__HYPERVISOR_sched_op) X(__HYPERVISOR_event_channel_op) X(__HYPERVISOR_physdev_op) \
	X(__HYPERVISOR_hvm_op) X(__HYPERVISOR_sysctl) X(__HYPERVISOR_domctl) \
	X(__HYPERVISOR_argo_op) X(__HYPERVISOR_xenpmu_op) X(__HYPERVISOR_dm_op) \
	X(__HYPERVISOR_hypfs_op) X(VMASST_CMD_enable) X(VMASST_CMD_disable) \
	X(VMASST_TYPE_runstate_update_flag) X(XENVER_version) X(XENVER_extraversion) \
	X(XENVER_compile_info) X(XENVER_capabilities) X(XENVER_changeset) \
	X(XENVER_platform_parameters) X(XENVER_get_features) X(XENVER_pagesize) \
	X(XENVER_guest_handle) X(XENVER_commandline) X(XENVER_build_id) \
	X(XENFEAT_writable_page_tables) X(XENFEAT_auto_translated_physmap) \
	X(XENFEAT_hvm_callback_vector) X(XENFEAT_hvm_safe_pvclock) X(XENFEAT_hvm_pirqs) \
	X(XENFEAT_memory_op_vnode_supported) X(XENFEAT_not_direct_mapped) \
	X(XENMEM_increase_reservation) X(XENMEM_decrease_reservation) X(XENMEM_maximum_ram_page) \
	X(XENMEM_current_reservation) X(XENMEM_maximum_reservation) X(XENMEM_machphys_mfn_list) \
	X(XENMEM_populate_physmap) X(XENMEM_add_to_physmap) X(XENMEM_memory_map) \
	X(XENMEM_machine_memory_map) X(XENMEM_exchange) X(XENMEM_machphys_mapping) \
	X(XENMEM_set_memory_map) X(XENMEM_maximum_gpfn) X(XENMEM_remove_from_physmap) \
	X(XENMEM_set_pod_target) X(XENMEM_get_pod_target) X(XENMEM_add_to_physmap_batch) \
	X(XENMEM_machphys_compat_mfn_list) X(XENMEM_get_vnumainfo) X(XENMEM_acquire_resource) \
	X(XENMAPSPACE_shared_info) X(XENMAPSPACE_grant_table) X(XENMAPSPACE_gmfn) \
	X(XENMAPSPACE_gmfn_range) X(XENMAPSPACE_gmfn_foreign) X(XENMAPIDX_grant_table_status) \
	X(XENMEMF_populate_on_demand) X(VCPUOP_initialise) X(VCPUOP_up) X(VCPUOP_down) \
	X(VCPUOP_is_up) X(VCPUOP_get_runstate_info) X(VCPUOP_register_runstate_memory_area) \
	X(VCPUOP_set_periodic_timer) X(VCPUOP_stop_periodic_timer) X(VCPUOP_set_singleshot_timer) \
	X(VCPUOP_stop_singleshot_timer) X(VCPUOP_register_vcpu_info) X(VCPUOP_send_nmi) \
	X(VCPUOP_get_physid) X(VCPUOP_register_vcpu_time_memory_area) X(RUNSTATE_running) \
	X(RUNSTATE_runnable) X(RUNSTATE_blocked) X(RUNSTATE_offline) X(XEN_RUNSTATE_UPDATE) \
	X(VCPU_HVM_MODE_32B) X(VCPU_HVM_MODE_64B) X(SCHEDOP_yield) X(SCHEDOP_block) \
	X(SCHEDOP_shutdown) X(SCHEDOP_poll) X(SCHEDOP_remote_shutdown) X(SCHEDOP_shutdown_code) \
	X(SCHEDOP_watchdog) X(SCHEDOP_pin_override) X(SHUTDOWN_poweroff) X(SHUTDOWN_reboot) \
	X(SHUTDOWN_suspend) X(SHUTDOWN_crash) X(SHUTDOWN_watchdog) X(SHUTDOWN_soft_reset) \
	X(EVTCHNOP_bind_interdomain) X(EVTCHNOP_bind_virq) X(EVTCHNOP_bind_pirq) X(EVTCHNOP_close) \
	X(EVTCHNOP_send) X(EVTCHNOP_status) X(EVTCHNOP_alloc_unbound) X(EVTCHNOP_bind_ipi) \
	X(EVTCHNOP_bind_vcpu) X(EVTCHNOP_unmask) X(EVTCHNOP_reset) X(EVTCHNOP_init_control) \
	X(EVTCHNOP_expand_array) X(EVTCHNOP_set_priority) X(EVTCHNSTAT_closed) \
	X(EVTCHNSTAT_unbound) X(EVTCHNSTAT_interdomain) X(EVTCHNSTAT_pirq) X(EVTCHNSTAT_virq) \
	X(EVTCHNSTAT_ipi) X(VIRQ_TIMER) X(VIRQ_DEBUG) X(VIRQ_CONSOLE) X(VIRQ_DOM_EXC) X(VIRQ_ARGO) \
	X(VIRQ_XENPMU) X(NR_VIRQS) X(HVMOP_set_param) X(HVMOP_get_param) X(HVMOP_flush_tlbs) \
	X(HVMOP_pagetable_dying) X(HVMOP_get_time) X(HVMOP_xentrace) X(HVMOP_get_mem_type) \
	X(HVMOP_set_evtchn_upcall_vector) X(HVMOP_guest_request_vm_event) X(HVMOP_altp2m) \
	X(HVM_PARAM_CALLBACK_IRQ) X(HVM_PARAM_STORE_PFN) X(HVM_PARAM_STORE_EVTCHN) \
	X(HVM_PARAM_VM86_TSS) X(HVM_PARAM_CONSOLE_PFN) X(HVM_PARAM_CONSOLE_EVTCHN) \
	X(HVM_PARAM_ACPI_IOPORTS_LOCATION) X(HVM_PARAM_VM_GENERATION_ID_ADDR) X(HVM_PARAM_ALTP2M) \
	X(HVM_PARAM_X87_FIP_WIDTH) X(HVM_PARAM_VM86_TSS_SIZED) X(HVM_PARAM_MCA_CAP) \
	X(HVM_NR_PARAMS) X(HVM_PARAM_CALLBACK_TYPE_GSI) X(HVM_PARAM_CALLBACK_TYPE_PCI_INTX) \
	X(HVM_PARAM_CALLBACK_TYPE_VECTOR) X(GNTTABOP_map_grant_ref) X(GNTTABOP_unmap_grant_ref) \
	X(GNTTABOP_setup_table) X(GNTTABOP_dump_table) X(GNTTABOP_transfer) X(GNTTABOP_copy) \
	X(GNTTABOP_query_size) X(GNTTABOP_unmap_and_replace) X(GNTTABOP_set_version) \
	X(GNTTABOP_get_status_frames) X(GNTTABOP_get_version) X(GNTTABOP_swap_grant_ref) \
	X(GNTTABOP_cache_flush) X(GTF_invalid) X(GTF_permit_access) X(GTF_accept_transfer) \
	X(GTF_transitive) X(GTF_type_mask) X(GTF_readonly) X(GTF_reading) X(GTF_writing) \
	X(GTF_sub_page) X(GNTMAP_device_map) X(GNTMAP_host_map) X(GNTMAP_readonly) \
	X(GNTMAP_application_map) X(GNTMAP_contains_pte) X(GNTCOPY_source_gref) \
	X(GNTCOPY_dest_gref) X(GNTTAB_RESERVED_CONSOLE) X(GNTTAB_RESERVED_XENSTORE) \
	X(GNTTAB_NR_RESERVED_ENTRIES) X(GNTST_okay) X(GNTST_general_error) X(GNTST_bad_domain) \
	X(GNTST_bad_gntref) X(GNTST_bad_handle) X(GNTST_bad_virt_addr) X(GNTST_bad_dev_addr) \
	X(GNTST_no_device_space) X(GNTST_permission_denied) X(GNTST_bad_page) \
	X(GNTST_bad_copy_arg) X(GNTST_address_too_big) X(GNTST_eagain) X(GNTST_no_space) \
	X(XEN_PVCLOCK_TSC_STABLE_BIT) X(XEN_PVCLOCK_GUEST_STOPPED) X(XEN_LEGACY_MAX_VCPUS) \
	X(XENSTORE_PAYLOAD_MAX) X(XENSTORE_ABS_PATH_MAX) X(XENSTORE_REL_PATH_MAX) \
	X(XENSTORE_RING_SIZE) X(XENSTORE_SERVER_FEATURE_RECONNECTION) \
	X(XENSTORE_SERVER_FEATURE_ERROR) X(XENSTORE_CONNECTED) X(XENSTORE_RECONNECT) \
	X(XENSTORE_ERROR_NONE) X(XENSTORE_ERROR_COMM) X(XENSTORE_ERROR_RINGIDX) \
	X(XENSTORE_ERROR_PROTO) X(BLKIF_OP_READ) X(BLKIF_OP_WRITE) X(BLKIF_OP_WRITE_BARRIER) \
	X(BLKIF_OP_FLUSH_DISKCACHE) X(BLKIF_OP_DISCARD) X(BLKIF_OP_INDIRECT) \
	X(BLKIF_MAX_SEGMENTS_PER_REQUEST) X(BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST) \
	X(BLKIF_DISCARD_SECURE) X(BLKIF_RSP_EOPNOTSUPP) X(BLKIF_RSP_ERROR) X(BLKIF_RSP_OKAY) \
	X(VDISK_CDROM) X(VDISK_REMOVABLE) X(VDISK_READONLY) X(NETTXF_csum_blank) \
	X(NETTXF_data_validated) X(NETTXF_more_data) X(NETTXF_extra_info) X(NETRXF_data_validated) \
	X(NETRXF_csum_blank) X(NETRXF_more_data) X(NETRXF_extra_info) X(NETRXF_gso_prefix) \
	X(XEN_NETIF_EXTRA_TYPE_GSO) X(XEN_NETIF_EXTRA_TYPE_MCAST_ADD) \
	X(XEN_NETIF_EXTRA_TYPE_MCAST_DEL) X(XEN_NETIF_EXTRA_TYPE_HASH) \
	X(XEN_NETIF_EXTRA_FLAG_MORE) X(XEN_NETIF_GSO_TYPE_TCPV4) X(XEN_NETIF_GSO_TYPE_TCPV6) \
	X(XEN_NETIF_NR_SLOTS_MIN)

/* Macros of ours that are enumerators in Xen. */
#define MEMORY_TYPES(X) X(HVMMEM_ram_rw) X(HVMMEM_ram_ro) X(HVMMEM_mmio_dm)

#define ERRORS(X) \
	X(EPERM) X(ENOENT) X(ESRCH) X(ENXIO) X(E2BIG) X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT) \
	X(EBUSY) X(EEXIST) X(EXDEV) X(EINVAL) X(ENOSPC) X(ERANGE) X(ENOSYS) X(ENODATA) X(ETIME) \
	X(EOVERFLOW) X(EOPNOTSUPP)

#define ENUMERATORS(X) \
	X(XS_CONTROL) X(XS_DIRECTORY) X(XS_READ) X(XS_GET_PERMS) X(XS_WATCH) X(XS_UNWATCH) \
	X(XS_TRANSACTION_START) X(XS_TRANSACTION_END) X(XS_INTRODUCE) X(XS_RELEASE) \
	X(XS_GET_DOMAIN_PATH) X(XS_WRITE) X(XS_MKDIR) X(XS_RM) X(XS_SET_PERMS) X(XS_WATCH_EVENT) \
	X(XS_ERROR) X(XS_IS_DOMAIN_INTRODUCED) X(XS_RESUME) X(XS_SET_TARGET) X(XS_RESET_WATCHES) \
	X(XS_DIRECTORY_PART) X(XenbusStateUnknown) X(XenbusStateInitialising) \
	X(XenbusStateInitWait) X(XenbusStateInitialised) X(XenbusStateConnected) \
	X(XenbusStateClosing) X(XenbusStateClosed) X(XenbusStateReconfiguring) \
	X(XenbusStateReconfigured)

#define OURS(name) static const int64_t ours_##name = (int64_t)(name);
CONSTANTS(OURS)
ENUMERATORS(OURS)
MEMORY_TYPES(OURS)
#define OUR_ERROR(name) static const int64_t ours_XEN_##name = (int64_t)(XEN_##name);
ERRORS(OUR_ERROR)
static const char our_protocol_32[] = XEN_IO_PROTO_ABI_X86_32;
static const char our_protocol_64[] = XEN_IO_PROTO_ABI_X86_64;

#undef HVMMEM_ram_rw
#undef HVMMEM_ram_ro
#undef HVMMEM_mmio_dm

/* Xen's enumerators get other names: C has one space for them. */
#define XS_CONTROL theirs_XS_CONTROL
#define XS_DIRECTORY theirs_XS_DIRECTORY
#define XS_READ theirs_XS_READ
#define XS_GET_PERMS theirs_XS_GET_PERMS
#define XS_WATCH theirs_XS_WATCH
#define XS_UNWATCH theirs_XS_UNWATCH
#define XS_TRANSACTION_START theirs_XS_TRANSACTION_START
#define XS_TRANSACTION_END theirs_XS_TRANSACTION_END
#define XS_INTRODUCE theirs_XS_INTRODUCE
#define XS_RELEASE theirs_XS_RELEASE
#define XS_GET_DOMAIN_PATH theirs_XS_GET_DOMAIN_PATH
#define XS_WRITE theirs_XS_WRITE
#define XS_MKDIR theirs_XS_MKDIR
#define XS_RM theirs_XS_RM
#define XS_SET_PERMS theirs_XS_SET_PERMS
#define XS_WATCH_EVENT theirs_XS_WATCH_EVENT
#define XS_ERROR theirs_XS_ERROR
#define XS_IS_DOMAIN_INTRODUCED theirs_XS_IS_DOMAIN_INTRODUCED
#define XS_RESUME theirs_XS_RESUME
#define XS_SET_TARGET theirs_XS_SET_TARGET
#define XS_RESET_WATCHES theirs_XS_RESET_WATCHES
#define XS_DIRECTORY_PART theirs_XS_DIRECTORY_PART
#define XenbusStateUnknown theirs_XenbusStateUnknown
#define XenbusStateInitialising theirs_XenbusStateInitialising
#define XenbusStateInitWait theirs_XenbusStateInitWait
#define XenbusStateInitialised theirs_XenbusStateInitialised
#define XenbusStateConnected theirs_XenbusStateConnected
#define XenbusStateClosing theirs_XenbusStateClosing
#define XenbusStateClosed theirs_XenbusStateClosed
#define XenbusStateReconfiguring theirs_XenbusStateReconfiguring
#define XenbusStateReconfigured theirs_XenbusStateReconfigured

#define __XEN_INTERFACE_VERSION__ 0x00040d00
#define XEN_ERRNO(name, value) theirs_##name = (value),
enum {
#include <xen/errno.h>
};
#include <xen/xen.h>
#include <xen/version.h>
#include <xen/features.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include <xen/sched.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/io/blkif.h>
#include <xen/io/netif.h>
#include <xen/io/console.h>
#include <xen/io/protocols.h>
#include <xen/io/xs_wire.h>
#include <xen/io/xenbus.h>
#include <xen/foreign/x86_32.h>

static void same(const char *name, int64_t ours, int64_t theirs)
{
	if (ours != theirs) {
		printf("%s: %lld, in Xen %lld\n", name, (long long)ours, (long long)theirs);
	}
	CU_ASSERT_EQUAL(ours, theirs);
}

static void test_constants(void)
{
#define COMPARE(name) same(#name, ours_##name, (int64_t)(name));
	CONSTANTS(COMPARE)
#undef COMPARE
}

static void test_errors(void)
{
#define COMPARE(name) same(#name, ours_XEN_##name, theirs_##name);
	ERRORS(COMPARE)
#undef COMPARE
}

static void test_enumerators(void)
{
#define COMPARE(name) same(#name, ours_##name, (int64_t)(name));
	ENUMERATORS(COMPARE)
	MEMORY_TYPES(COMPARE)
#undef COMPARE
	CU_ASSERT_STRING_EQUAL(our_protocol_32, XEN_IO_PROTO_ABI_X86_32);
	CU_ASSERT_STRING_EQUAL(our_protocol_64, XEN_IO_PROTO_ABI_X86_64);
	same("XENCONS", sizeof(struct xen_console_ring), sizeof(struct xencons_interface));
}

#define SIZE(ours, theirs) same(#theirs, sizeof(struct ours), sizeof(struct theirs));
#define AT(ours, our_field, theirs, field)                            \
	same(#theirs "." #field, (int64_t)offsetof(struct ours, our_field), \
	     (int64_t)offsetof(struct theirs, field));

static void test_structures(void)
{
	SIZE(xen_multicall64, multicall_entry)
	AT(xen_multicall64, result, multicall_entry, result)
	AT(xen_multicall64, args, multicall_entry, args)
	SIZE(xen_compile_info_text, xen_compile_info)
	AT(xen_compile_info_text, compile_by, xen_compile_info, compile_by)
	AT(xen_compile_info_text, compile_domain, xen_compile_info, compile_domain)
	AT(xen_compile_info_text, compile_date, xen_compile_info, compile_date)
	SIZE(xen_feature_submap, xen_feature_info)
	AT(xen_feature_submap, submap, xen_feature_info, submap)
	SIZE(xen_reservation64, xen_memory_reservation)
	AT(xen_reservation64, extent_start, xen_memory_reservation, extent_start)
	AT(xen_reservation64, nr_extents, xen_memory_reservation, nr_extents)
	AT(xen_reservation64, extent_order, xen_memory_reservation, extent_order)
	AT(xen_reservation64, mem_flags, xen_memory_reservation, mem_flags)
	AT(xen_reservation64, domid, xen_memory_reservation, domid)
	SIZE(xen_add_to_physmap64, xen_add_to_physmap)
	AT(xen_add_to_physmap64, domid, xen_add_to_physmap, domid)
	AT(xen_add_to_physmap64, size, xen_add_to_physmap, size)
	AT(xen_add_to_physmap64, space, xen_add_to_physmap, space)
	AT(xen_add_to_physmap64, idx, xen_add_to_physmap, idx)
	AT(xen_add_to_physmap64, gpfn, xen_add_to_physmap, gpfn)
	SIZE(xen_add_to_physmap_batch64, xen_add_to_physmap_batch)
	AT(xen_add_to_physmap_batch64, space, xen_add_to_physmap_batch, space)
	AT(xen_add_to_physmap_batch64, size, xen_add_to_physmap_batch, size)
	AT(xen_add_to_physmap_batch64, foreign_domid, xen_add_to_physmap_batch, u)
	AT(xen_add_to_physmap_batch64, idxs, xen_add_to_physmap_batch, idxs)
	AT(xen_add_to_physmap_batch64, gpfns, xen_add_to_physmap_batch, gpfns)
	AT(xen_add_to_physmap_batch64, errs, xen_add_to_physmap_batch, errs)
	SIZE(xen_remove_from_physmap64, xen_remove_from_physmap)
	AT(xen_remove_from_physmap64, gpfn, xen_remove_from_physmap, gpfn)
	SIZE(xen_memory_map64, xen_memory_map)
	AT(xen_memory_map64, buffer, xen_memory_map, buffer)
	SIZE(xen_foreign_memory_map64, xen_foreign_memory_map)
	AT(xen_foreign_memory_map64, map, xen_foreign_memory_map, map)
	SIZE(xen_runstate64, vcpu_runstate_info)
	AT(xen_runstate64, state_entry_time, vcpu_runstate_info, state_entry_time)
	AT(xen_runstate64, time, vcpu_runstate_info, time)
	SIZE(xen_register_vcpu_info, vcpu_register_vcpu_info)
	AT(xen_register_vcpu_info, offset, vcpu_register_vcpu_info, offset)
	AT(xen_register_vcpu_info, rsvd, vcpu_register_vcpu_info, rsvd)
	SIZE(xen_vcpu_x86_32, vcpu_hvm_x86_32)
	AT(xen_vcpu_x86_32, eip, vcpu_hvm_x86_32, eip)
	AT(xen_vcpu_x86_32, eflags, vcpu_hvm_x86_32, eflags)
	AT(xen_vcpu_x86_32, cr0, vcpu_hvm_x86_32, cr0)
	AT(xen_vcpu_x86_32, cr4, vcpu_hvm_x86_32, cr4)
	AT(xen_vcpu_x86_32, pad1, vcpu_hvm_x86_32, pad1)
	AT(xen_vcpu_x86_32, efer, vcpu_hvm_x86_32, efer)
	AT(xen_vcpu_x86_32, cs_base, vcpu_hvm_x86_32, cs_base)
	AT(xen_vcpu_x86_32, tr_base, vcpu_hvm_x86_32, tr_base)
	AT(xen_vcpu_x86_32, cs_limit, vcpu_hvm_x86_32, cs_limit)
	AT(xen_vcpu_x86_32, tr_limit, vcpu_hvm_x86_32, tr_limit)
	AT(xen_vcpu_x86_32, cs_ar, vcpu_hvm_x86_32, cs_ar)
	AT(xen_vcpu_x86_32, tr_ar, vcpu_hvm_x86_32, tr_ar)
	AT(xen_vcpu_x86_32, pad2, vcpu_hvm_x86_32, pad2)
	SIZE(xen_vcpu_x86_64, vcpu_hvm_x86_64)
	AT(xen_vcpu_x86_64, rcx, vcpu_hvm_x86_64, rcx)
	AT(xen_vcpu_x86_64, rsp, vcpu_hvm_x86_64, rsp)
	AT(xen_vcpu_x86_64, rip, vcpu_hvm_x86_64, rip)
	AT(xen_vcpu_x86_64, rflags, vcpu_hvm_x86_64, rflags)
	AT(xen_vcpu_x86_64, cr0, vcpu_hvm_x86_64, cr0)
	AT(xen_vcpu_x86_64, cr3, vcpu_hvm_x86_64, cr3)
	AT(xen_vcpu_x86_64, cr4, vcpu_hvm_x86_64, cr4)
	AT(xen_vcpu_x86_64, efer, vcpu_hvm_x86_64, efer)
	SIZE(xen_vcpu_hvm_context, vcpu_hvm_context)
	AT(xen_vcpu_hvm_context, cpu_regs, vcpu_hvm_context, cpu_regs)
	SIZE(xen_sched_poll64, sched_poll)
	AT(xen_sched_poll64, nr_ports, sched_poll, nr_ports)
	AT(xen_sched_poll64, timeout, sched_poll, timeout)
	SIZE(xen_sched_watchdog, sched_watchdog)
	AT(xen_sched_watchdog, timeout, sched_watchdog, timeout)
	SIZE(xen_evtchn_bind_interdomain, evtchn_bind_interdomain)
	AT(xen_evtchn_bind_interdomain, remote_port, evtchn_bind_interdomain, remote_port)
	AT(xen_evtchn_bind_interdomain, local_port, evtchn_bind_interdomain, local_port)
	SIZE(xen_evtchn_bind_virq, evtchn_bind_virq)
	AT(xen_evtchn_bind_virq, vcpu, evtchn_bind_virq, vcpu)
	AT(xen_evtchn_bind_virq, port, evtchn_bind_virq, port)
	SIZE(xen_evtchn_status, evtchn_status)
	AT(xen_evtchn_status, port, evtchn_status, port)
	AT(xen_evtchn_status, status, evtchn_status, status)
	AT(xen_evtchn_status, vcpu, evtchn_status, vcpu)
	AT(xen_evtchn_status, u, evtchn_status, u)
	AT(xen_evtchn_status, u.interdomain.port, evtchn_status, u.interdomain.port)
	SIZE(xen_evtchn_alloc_unbound, evtchn_alloc_unbound)
	AT(xen_evtchn_alloc_unbound, remote_dom, evtchn_alloc_unbound, remote_dom)
	AT(xen_evtchn_alloc_unbound, port, evtchn_alloc_unbound, port)
	SIZE(xen_evtchn_bind_ipi, evtchn_bind_ipi)
	AT(xen_evtchn_bind_ipi, port, evtchn_bind_ipi, port)
	SIZE(xen_evtchn_bind_vcpu, evtchn_bind_vcpu)
	AT(xen_evtchn_bind_vcpu, vcpu, evtchn_bind_vcpu, vcpu)
	SIZE(xen_hvm_param_arg, xen_hvm_param)
	AT(xen_hvm_param_arg, index, xen_hvm_param, index)
	AT(xen_hvm_param_arg, value, xen_hvm_param, value)
	SIZE(xen_hvm_mem_type, xen_hvm_get_mem_type)
	AT(xen_hvm_mem_type, mem_type, xen_hvm_get_mem_type, mem_type)
	AT(xen_hvm_mem_type, pfn, xen_hvm_get_mem_type, pfn)
	SIZE(xen_hvm_trace, xen_hvm_xentrace)
	AT(xen_hvm_trace, extra_bytes, xen_hvm_xentrace, extra_bytes)
	AT(xen_hvm_trace, extra, xen_hvm_xentrace, extra)
	SIZE(xen_hvm_upcall_vector, xen_hvm_evtchn_upcall_vector)
	AT(xen_hvm_upcall_vector, vector, xen_hvm_evtchn_upcall_vector, vector)
	SIZE(xen_grant_entry_v1, grant_entry_v1)
	AT(xen_grant_entry_v1, domid, grant_entry_v1, domid)
	AT(xen_grant_entry_v1, frame, grant_entry_v1, frame)
	SIZE(xen_gnttab_map, gnttab_map_grant_ref)
	AT(xen_gnttab_map, flags, gnttab_map_grant_ref, flags)
	AT(xen_gnttab_map, ref, gnttab_map_grant_ref, ref)
	AT(xen_gnttab_map, dom, gnttab_map_grant_ref, dom)
	AT(xen_gnttab_map, status, gnttab_map_grant_ref, status)
	AT(xen_gnttab_map, handle, gnttab_map_grant_ref, handle)
	AT(xen_gnttab_map, dev_bus_addr, gnttab_map_grant_ref, dev_bus_addr)
	SIZE(xen_gnttab_unmap, gnttab_unmap_grant_ref)
	AT(xen_gnttab_unmap, dev_bus_addr, gnttab_unmap_grant_ref, dev_bus_addr)
	AT(xen_gnttab_unmap, handle, gnttab_unmap_grant_ref, handle)
	AT(xen_gnttab_unmap, status, gnttab_unmap_grant_ref, status)
	SIZE(xen_gnttab_setup64, gnttab_setup_table)
	AT(xen_gnttab_setup64, nr_frames, gnttab_setup_table, nr_frames)
	AT(xen_gnttab_setup64, status, gnttab_setup_table, status)
	AT(xen_gnttab_setup64, frame_list, gnttab_setup_table, frame_list)
	SIZE(xen_gnttab_copy64, gnttab_copy)
	AT(xen_gnttab_copy64, source.domid, gnttab_copy, source.domid)
	AT(xen_gnttab_copy64, source.offset, gnttab_copy, source.offset)
	AT(xen_gnttab_copy64, dest, gnttab_copy, dest)
	AT(xen_gnttab_copy64, len, gnttab_copy, len)
	AT(xen_gnttab_copy64, flags, gnttab_copy, flags)
	AT(xen_gnttab_copy64, status, gnttab_copy, status)
	SIZE(xen_gnttab_query_size, gnttab_query_size)
	AT(xen_gnttab_query_size, nr_frames, gnttab_query_size, nr_frames)
	AT(xen_gnttab_query_size, max_nr_frames, gnttab_query_size, max_nr_frames)
	AT(xen_gnttab_query_size, status, gnttab_query_size, status)
	SIZE(xen_gnttab_get_version, gnttab_get_version)
	AT(xen_gnttab_get_version, version, gnttab_get_version, version)
	SIZE(xen_gnttab_swap, gnttab_swap_grant_ref)
	AT(xen_gnttab_swap, ref_b, gnttab_swap_grant_ref, ref_b)
	AT(xen_gnttab_swap, status, gnttab_swap_grant_ref, status)
	SIZE(xen_vcpu_time_info, vcpu_time_info)
	AT(xen_vcpu_time_info, tsc_timestamp, vcpu_time_info, tsc_timestamp)
	AT(xen_vcpu_time_info, system_time, vcpu_time_info, system_time)
	AT(xen_vcpu_time_info, tsc_to_system_mul, vcpu_time_info, tsc_to_system_mul)
	AT(xen_vcpu_time_info, tsc_shift, vcpu_time_info, tsc_shift)
	AT(xen_vcpu_time_info, flags, vcpu_time_info, flags)
	SIZE(xen_vcpu_info64, vcpu_info)
	AT(xen_vcpu_info64, evtchn_upcall_mask, vcpu_info, evtchn_upcall_mask)
	AT(xen_vcpu_info64, evtchn_pending_sel, vcpu_info, evtchn_pending_sel)
	AT(xen_vcpu_info64, arch, vcpu_info, arch)
	AT(xen_vcpu_info64, time, vcpu_info, time)
	SIZE(xen_vcpu_info32, vcpu_info_x86_32)
	AT(xen_vcpu_info32, evtchn_upcall_mask, vcpu_info_x86_32, evtchn_upcall_mask)
	AT(xen_vcpu_info32, evtchn_pending_sel, vcpu_info_x86_32, evtchn_pending_sel)
	AT(xen_vcpu_info32, arch, vcpu_info_x86_32, arch)
	AT(xen_vcpu_info32, time, vcpu_info_x86_32, time)
	SIZE(xen_shared_info64, shared_info)
	AT(xen_shared_info64, evtchn_pending, shared_info, evtchn_pending)
	AT(xen_shared_info64, evtchn_mask, shared_info, evtchn_mask)
	AT(xen_shared_info64, wc_version, shared_info, wc_version)
	AT(xen_shared_info64, wc_sec, shared_info, wc_sec)
	AT(xen_shared_info64, wc_nsec, shared_info, wc_nsec)
	AT(xen_shared_info64, wc_sec_hi, shared_info, wc_sec_hi)
	AT(xen_shared_info64, arch, shared_info, arch)
	SIZE(xen_xs_message, xsd_sockmsg)
	AT(xen_xs_message, req_id, xsd_sockmsg, req_id)
	AT(xen_xs_message, tx_id, xsd_sockmsg, tx_id)
	AT(xen_xs_message, len, xsd_sockmsg, len)
	SIZE(xen_blkif_segment, blkif_request_segment)
	AT(xen_blkif_segment, first_sect, blkif_request_segment, first_sect)
	AT(xen_blkif_segment, last_sect, blkif_request_segment, last_sect)
	SIZE(xen_blkif_request64, blkif_request)
	AT(xen_blkif_request64, nr_segments, blkif_request, nr_segments)
	AT(xen_blkif_request64, handle, blkif_request, handle)
	AT(xen_blkif_request64, id, blkif_request, id)
	AT(xen_blkif_request64, sector_number, blkif_request, sector_number)
	AT(xen_blkif_request64, seg, blkif_request, seg)
	SIZE(xen_blkif_discard64, blkif_request_discard)
	AT(xen_blkif_discard64, flag, blkif_request_discard, flag)
	AT(xen_blkif_discard64, id, blkif_request_discard, id)
	AT(xen_blkif_discard64, sector_number, blkif_request_discard, sector_number)
	AT(xen_blkif_discard64, nr_sectors, blkif_request_discard, nr_sectors)
	SIZE(xen_blkif_indirect64, blkif_request_indirect)
	AT(xen_blkif_indirect64, indirect_op, blkif_request_indirect, indirect_op)
	AT(xen_blkif_indirect64, nr_segments, blkif_request_indirect, nr_segments)
	AT(xen_blkif_indirect64, id, blkif_request_indirect, id)
	AT(xen_blkif_indirect64, sector_number, blkif_request_indirect, sector_number)
	AT(xen_blkif_indirect64, handle, blkif_request_indirect, handle)
	AT(xen_blkif_indirect64, indirect_grefs, blkif_request_indirect, indirect_grefs)
	SIZE(xen_blkif_response64, blkif_response)
	AT(xen_blkif_response64, operation, blkif_response, operation)
	AT(xen_blkif_response64, status, blkif_response, status)
	SIZE(xen_netif_tx_request_slot, netif_tx_request)
	AT(xen_netif_tx_request_slot, offset, netif_tx_request, offset)
	AT(xen_netif_tx_request_slot, flags, netif_tx_request, flags)
	AT(xen_netif_tx_request_slot, id, netif_tx_request, id)
	AT(xen_netif_tx_request_slot, size, netif_tx_request, size)
	SIZE(xen_netif_tx_response_slot, netif_tx_response)
	AT(xen_netif_tx_response_slot, status, netif_tx_response, status)
	SIZE(xen_netif_rx_request_slot, netif_rx_request)
	AT(xen_netif_rx_request_slot, gref, netif_rx_request, gref)
	SIZE(xen_netif_rx_response_slot, netif_rx_response)
	AT(xen_netif_rx_response_slot, offset, netif_rx_response, offset)
	AT(xen_netif_rx_response_slot, flags, netif_rx_response, flags)
	AT(xen_netif_rx_response_slot, status, netif_rx_response, status)
	SIZE(xen_netif_extra_slot, netif_extra_info)
	AT(xen_netif_extra_slot, flags, netif_extra_info, flags)
	AT(xen_netif_extra_slot, u, netif_extra_info, u)
	AT(xen_netif_extra_slot, u.gso.features, netif_extra_info, u.gso.features)
}

static void test_structures_that_differ_in_length(void)
{
	/* A 64-bit timer structure has four bytes of padding that no one reads. */
	AT(xen_set_singleshot_timer, flags, vcpu_set_singleshot_timer, flags)
	/* 4.17's page ends before evtchn_port. */
	AT(xen_xs_ring, rsp, xenstore_domain_interface, rsp)
	AT(xen_xs_ring, req_cons, xenstore_domain_interface, req_cons)
	AT(xen_xs_ring, req_prod, xenstore_domain_interface, req_prod)
	AT(xen_xs_ring, rsp_cons, xenstore_domain_interface, rsp_cons)
	AT(xen_xs_ring, rsp_prod, xenstore_domain_interface, rsp_prod)
	AT(xen_xs_ring, server_features, xenstore_domain_interface, server_features)
	AT(xen_xs_ring, connection, xenstore_domain_interface, connection)
	AT(xen_xs_ring, error, xenstore_domain_interface, error)
	AT(xen_console_ring, out, xencons_interface, out)
	AT(xen_console_ring, in_cons, xencons_interface, in_cons)
	AT(xen_console_ring, out_prod, xencons_interface, out_prod)
	/* Xen's foreign header gives every 32-bit guest's wc_sec_hi a place of its own; x86's is in arch. */
	AT(xen_shared_info32, evtchn_pending, shared_info_x86_32, evtchn_pending)
	AT(xen_shared_info32, evtchn_mask, shared_info_x86_32, evtchn_mask)
	AT(xen_shared_info32, wc_version, shared_info_x86_32, wc_version)
	AT(xen_shared_info32, wc_nsec, shared_info_x86_32, wc_nsec)
}

UNIT_MAIN("xen_abi", UNIT_TEST(test_constants), UNIT_TEST(test_errors), UNIT_TEST(test_enumerators),
	  UNIT_TEST(test_structures), UNIT_TEST(test_structures_that_differ_in_length))
