/*
 * hyperv_abi_rows.h - what hyperv_abi_test compares, by the name that both headers have. Included
 * twice: once where abi/hyperv.h defines the names, once where Linux's header does.
 */
#ifndef TESTS_UNIT_HYPERV_ABI_ROWS_H
#define TESTS_UNIT_HYPERV_ABI_ROWS_H

#include <stddef.h>
#include <stdint.h>

struct abi_row {
	const char *name;
	uint64_t value;
};

extern const struct abi_row hyperv_linux_rows[];
extern const size_t hyperv_linux_row_count; /* 0: Linux's header is not there */

#define ABI_MSRS(ROW)                                                                              \
	ROW(HV_X64_MSR_GUEST_OS_ID) ROW(HV_X64_MSR_HYPERCALL) ROW(HV_X64_MSR_VP_INDEX)             \
	ROW(HV_X64_MSR_RESET) ROW(HV_X64_MSR_VP_RUNTIME) ROW(HV_X64_MSR_TIME_REF_COUNT)            \
	ROW(HV_X64_MSR_REFERENCE_TSC) ROW(HV_X64_MSR_TSC_FREQUENCY) ROW(HV_X64_MSR_APIC_FREQUENCY) \
	ROW(HV_X64_MSR_EOI) ROW(HV_X64_MSR_ICR) ROW(HV_X64_MSR_TPR) ROW(HV_X64_MSR_VP_ASSIST_PAGE) \
	ROW(HV_X64_MSR_SCONTROL) ROW(HV_X64_MSR_SVERSION) ROW(HV_X64_MSR_SIEFP)                    \
	ROW(HV_X64_MSR_SIMP) ROW(HV_X64_MSR_EOM) ROW(HV_X64_MSR_SINT0) ROW(HV_X64_MSR_SINT1)       \
	ROW(HV_X64_MSR_SINT2) ROW(HV_X64_MSR_SINT3) ROW(HV_X64_MSR_SINT4) ROW(HV_X64_MSR_SINT5)    \
	ROW(HV_X64_MSR_SINT6) ROW(HV_X64_MSR_SINT7) ROW(HV_X64_MSR_SINT8) ROW(HV_X64_MSR_SINT9)    \
	ROW(HV_X64_MSR_SINT10) ROW(HV_X64_MSR_SINT11) ROW(HV_X64_MSR_SINT12)                       \
	ROW(HV_X64_MSR_SINT13) ROW(HV_X64_MSR_SINT14) ROW(HV_X64_MSR_SINT15)                       \
	ROW(HV_X64_MSR_STIMER0_CONFIG) ROW(HV_X64_MSR_STIMER0_COUNT)                               \
	ROW(HV_X64_MSR_STIMER1_CONFIG) ROW(HV_X64_MSR_STIMER1_COUNT)                               \
	ROW(HV_X64_MSR_STIMER2_CONFIG) ROW(HV_X64_MSR_STIMER2_COUNT)                               \
	ROW(HV_X64_MSR_STIMER3_CONFIG) ROW(HV_X64_MSR_STIMER3_COUNT) ROW(HV_X64_MSR_GUEST_IDLE)    \
	ROW(HV_X64_MSR_CRASH_P0) ROW(HV_X64_MSR_CRASH_P1) ROW(HV_X64_MSR_CRASH_P2)                 \
	ROW(HV_X64_MSR_CRASH_P3) ROW(HV_X64_MSR_CRASH_P4) ROW(HV_X64_MSR_CRASH_CTL)                \
	ROW(HV_X64_MSR_REENLIGHTENMENT_CONTROL) ROW(HV_X64_MSR_TSC_EMULATION_CONTROL)              \
	ROW(HV_X64_MSR_TSC_EMULATION_STATUS) ROW(HV_X64_MSR_TSC_INVARIANT_CONTROL)                 \
	ROW(HV_X64_MSR_NESTED_SCONTROL) ROW(HV_X64_MSR_NESTED_SVERSION)                            \
	ROW(HV_X64_MSR_NESTED_SIEFP) ROW(HV_X64_MSR_NESTED_SIMP) ROW(HV_X64_MSR_NESTED_EOM)        \
	ROW(HV_X64_MSR_NESTED_SINT0) ROW(HV_X64_MSR_CRASH_PARAMS)                                  \
	ROW(HV_CRASH_CTL_CRASH_NOTIFY) ROW(HV_CRASH_CTL_CRASH_NOTIFY_MSG)

#define ABI_CPUID(ROW)                                                                             \
	ROW(HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS) ROW(HYPERV_CPUID_INTERFACE)                     \
	ROW(HYPERV_CPUID_VERSION) ROW(HYPERV_CPUID_FEATURES) ROW(HYPERV_CPUID_ENLIGHTMENT_INFO)    \
	ROW(HYPERV_CPUID_IMPLEMENT_LIMITS) ROW(HYPERV_CPUID_CPU_MANAGEMENT_FEATURES)               \
	ROW(HYPERV_CPUID_NESTED_FEATURES) ROW(HYPERV_CPUID_ISOLATION_CONFIG)                       \
	ROW(HYPERV_CPUID_VIRT_STACK_INTERFACE) ROW(HYPERV_CPUID_VIRT_STACK_PROPERTIES)             \
	ROW(HV_MSR_VP_RUNTIME_AVAILABLE) ROW(HV_MSR_TIME_REF_COUNT_AVAILABLE)                      \
	ROW(HV_MSR_SYNIC_AVAILABLE) ROW(HV_MSR_SYNTIMER_AVAILABLE)                                 \
	ROW(HV_MSR_APIC_ACCESS_AVAILABLE) ROW(HV_MSR_HYPERCALL_AVAILABLE)                          \
	ROW(HV_MSR_VP_INDEX_AVAILABLE) ROW(HV_MSR_RESET_AVAILABLE)                                 \
	ROW(HV_MSR_STAT_PAGES_AVAILABLE) ROW(HV_MSR_REFERENCE_TSC_AVAILABLE)                       \
	ROW(HV_MSR_GUEST_IDLE_AVAILABLE) ROW(HV_ACCESS_FREQUENCY_MSRS)                             \
	ROW(HV_ACCESS_REENLIGHTENMENT) ROW(HV_ACCESS_TSC_INVARIANT) ROW(HV_CREATE_PARTITIONS)      \
	ROW(HV_ACCESS_PARTITION_ID) ROW(HV_ACCESS_MEMORY_POOL) ROW(HV_ADJUST_MESSAGE_BUFFERS)      \
	ROW(HV_POST_MESSAGES) ROW(HV_SIGNAL_EVENTS) ROW(HV_CREATE_PORT) ROW(HV_CONNECT_PORT)       \
	ROW(HV_ACCESS_STATS) ROW(HV_DEBUGGING) ROW(HV_CPU_MANAGEMENT)                              \
	ROW(HV_ENABLE_EXTENDED_HYPERCALLS) ROW(HV_ISOLATION) ROW(HV_X64_MWAIT_AVAILABLE)           \
	ROW(HV_X64_GUEST_DEBUGGING_AVAILABLE) ROW(HV_X64_PERF_MONITOR_AVAILABLE)                   \
	ROW(HV_X64_CPU_DYNAMIC_PARTITIONING_AVAILABLE)                                             \
	ROW(HV_X64_HYPERCALL_XMM_INPUT_AVAILABLE) ROW(HV_X64_GUEST_IDLE_STATE_AVAILABLE)           \
	ROW(HV_FEATURE_FREQUENCY_MSRS_AVAILABLE) ROW(HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE)         \
	ROW(HV_FEATURE_DEBUG_MSRS_AVAILABLE) ROW(HV_FEATURE_EXT_GVA_RANGES_FLUSH)                  \
	ROW(HV_X64_HYPERCALL_XMM_OUTPUT_AVAILABLE) ROW(HV_STIMER_DIRECT_MODE_AVAILABLE)            \
	ROW(HV_X64_AS_SWITCH_RECOMMENDED) ROW(HV_X64_LOCAL_TLB_FLUSH_RECOMMENDED)                  \
	ROW(HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED) ROW(HV_X64_APIC_ACCESS_RECOMMENDED)               \
	ROW(HV_X64_SYSTEM_RESET_RECOMMENDED) ROW(HV_X64_RELAXED_TIMING_RECOMMENDED)                \
	ROW(HV_DEPRECATING_AEOI_RECOMMENDED) ROW(HV_X64_CLUSTER_IPI_RECOMMENDED)                   \
	ROW(HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED) ROW(HV_X64_HYPERV_NESTED)                       \
	ROW(HV_X64_ENLIGHTENED_VMCS_RECOMMENDED)

#define ABI_CALLS(ROW)                                                                             \
	ROW(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE) ROW(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST)             \
	ROW(HVCALL_NOTIFY_LONG_SPIN_WAIT) ROW(HVCALL_SEND_IPI) ROW(HVCALL_ENABLE_VP_VTL)           \
	ROW(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX) ROW(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX)       \
	ROW(HVCALL_SEND_IPI_EX) ROW(HVCALL_GET_PARTITION_ID) ROW(HVCALL_GET_VP_REGISTERS)          \
	ROW(HVCALL_SET_VP_REGISTERS) ROW(HVCALL_POST_MESSAGE) ROW(HVCALL_SIGNAL_EVENT)             \
	ROW(HVCALL_POST_DEBUG_DATA) ROW(HVCALL_RETRIEVE_DEBUG_DATA)                                \
	ROW(HVCALL_RESET_DEBUG_SESSION) ROW(HVCALL_RETARGET_INTERRUPT) ROW(HVCALL_START_VP)        \
	ROW(HVCALL_GET_VP_ID_FROM_APIC_ID) ROW(HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE)          \
	ROW(HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_LIST) ROW(HVCALL_MMIO_READ)                        \
	ROW(HVCALL_MMIO_WRITE) ROW(HV_EXT_CALL_QUERY_CAPABILITIES)                                 \
	ROW(HV_EXT_CALL_MEMORY_HEAT_HINT) ROW(HV_HYPERCALL_FAST_BIT)                               \
	ROW(HV_HYPERCALL_VARHEAD_OFFSET) ROW(HV_HYPERCALL_VARHEAD_MASK) ROW(HV_HYPERCALL_NESTED)   \
	ROW(HV_HYPERCALL_REP_COMP_OFFSET) ROW(HV_HYPERCALL_REP_COMP_MASK)                          \
	ROW(HV_HYPERCALL_RSVD1_MASK) ROW(HV_HYPERCALL_REP_START_OFFSET)                            \
	ROW(HV_HYPERCALL_REP_START_MASK) ROW(HV_HYPERCALL_RSVD2_MASK)                              \
	ROW(HV_HYPERCALL_RESULT_MASK) ROW(HV_STATUS_SUCCESS) ROW(HV_STATUS_INVALID_HYPERCALL_CODE) \
	ROW(HV_STATUS_INVALID_HYPERCALL_INPUT) ROW(HV_STATUS_INVALID_ALIGNMENT)                    \
	ROW(HV_STATUS_INVALID_PARAMETER) ROW(HV_STATUS_ACCESS_DENIED)                              \
	ROW(HV_STATUS_OPERATION_DENIED) ROW(HV_STATUS_INSUFFICIENT_MEMORY)                         \
	ROW(HV_STATUS_INVALID_PORT_ID) ROW(HV_STATUS_INVALID_CONNECTION_ID)                        \
	ROW(HV_STATUS_INSUFFICIENT_BUFFERS) ROW(HV_STATUS_TIME_OUT)                                \
	ROW(HV_STATUS_VTL_ALREADY_ENABLED) ROW(HV_PARTITION_ID_SELF) ROW(HV_VP_INDEX_SELF)         \
	ROW(HV_GENERIC_SET_SPARSE_4K) ROW(HV_GENERIC_SET_ALL) ROW(HV_MAX_SPARSE_VCPU_BANKS)        \
	ROW(HV_VCPUS_PER_SPARSE_BANK) ROW(HV_FLUSH_ALL_PROCESSORS)                                 \
	ROW(HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES) ROW(HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY)            \
	ROW(HV_FLUSH_USE_EXTENDED_RANGE_FORMAT) ROW(HV_IPI_LOW_VECTOR) ROW(HV_IPI_HIGH_VECTOR)

#define ABI_SYNIC(ROW)                                                                             \
	ROW(HV_SYNIC_SINT_COUNT) ROW(HV_SYNIC_VERSION_1) ROW(HV_SYNIC_FIRST_VALID_VECTOR)          \
	ROW(HV_SYNIC_CONTROL_ENABLE) ROW(HV_SYNIC_SIMP_ENABLE) ROW(HV_SYNIC_SIEFP_ENABLE)          \
	ROW(HV_SYNIC_SINT_VECTOR_MASK) ROW(HV_SYNIC_SINT_MASKED) ROW(HV_SYNIC_SINT_AUTO_EOI)       \
	ROW(HV_MESSAGE_SIZE) ROW(HV_MESSAGE_PAYLOAD_BYTE_COUNT) ROW(HVMSG_NONE)                    \
	ROW(HVMSG_TIMER_EXPIRED) ROW(HV_EVENT_FLAGS_COUNT) ROW(HV_CLOCK_HZ)                        \
	ROW(HV_SYNIC_STIMER_COUNT)

#define ABI_LAYOUTS(SIZE, OFFSET)                                                                  \
	SIZE(struct hv_vpset) OFFSET(struct hv_vpset, valid_bank_mask) SIZE(struct hv_tlb_flush)   \
	OFFSET(struct hv_tlb_flush, flags) OFFSET(struct hv_tlb_flush, processor_mask)             \
	SIZE(struct hv_tlb_flush_ex) OFFSET(struct hv_tlb_flush_ex, flags)                         \
	OFFSET(struct hv_tlb_flush_ex, hv_vp_set) SIZE(struct hv_send_ipi)                         \
	OFFSET(struct hv_send_ipi, cpu_mask) SIZE(struct hv_send_ipi_ex)                           \
	OFFSET(struct hv_send_ipi_ex, vp_set) SIZE(struct hv_message_header)                       \
	OFFSET(struct hv_message_header, message_type)                                             \
	OFFSET(struct hv_message_header, payload_size)                                             \
	OFFSET(struct hv_message_header, message_flags) OFFSET(struct hv_message_header, sender)   \
	SIZE(struct hv_message) SIZE(struct hv_message_page)                                       \
	SIZE(struct hv_timer_message_payload)                                                      \
	OFFSET(struct hv_timer_message_payload, timer_index)                                       \
	OFFSET(struct hv_timer_message_payload, expiration_time)                                   \
	OFFSET(struct hv_timer_message_payload, delivery_time) SIZE(struct hv_reference_tsc_page)  \
	OFFSET(struct hv_reference_tsc_page, tsc_sequence)                                         \
	OFFSET(struct hv_reference_tsc_page, tsc_scale)                                            \
	OFFSET(struct hv_reference_tsc_page, tsc_offset) SIZE(struct hv_vp_assist_page)            \
	OFFSET(struct hv_vp_assist_page, apic_assist)                                              \
	OFFSET(struct hv_vp_assist_page, vtl_entry_reason)                                         \
	OFFSET(struct hv_vp_assist_page, vtl_ret_x64rcx)                                           \
	OFFSET(struct hv_vp_assist_page, enlighten_vmentry)                                        \
	OFFSET(struct hv_vp_assist_page, current_nested_vmcs)                                      \
	OFFSET(struct hv_vp_assist_page, synthetic_time_unhalted_timer_expired)                    \
	OFFSET(struct hv_vp_assist_page, virtualization_fault_information)                         \
	OFFSET(struct hv_vp_assist_page, intercept_message)                                        \
	OFFSET(struct hv_vp_assist_page, vtl_ret_actions)

#define ABI_VALUE_ROW(name) {#name, (uint64_t)(name)},
#define ABI_SIZE_ROW(type) {"sizeof " #type, sizeof(type)},
#define ABI_OFFSET_ROW(type, field) {#type "." #field, offsetof(type, field)},

/* The bits of a timer's CONFIG have names of their own in each header: see the two files. */
#define ABI_ALL_ROWS                                                                            \
	ABI_MSRS(ABI_VALUE_ROW) ABI_CPUID(ABI_VALUE_ROW) ABI_CALLS(ABI_VALUE_ROW)               \
	ABI_SYNIC(ABI_VALUE_ROW) ABI_LAYOUTS(ABI_SIZE_ROW, ABI_OFFSET_ROW)

#endif /* TESTS_UNIT_HYPERV_ABI_ROWS_H */
