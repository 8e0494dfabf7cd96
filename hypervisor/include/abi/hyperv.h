/*
 * hyperv.h - the numbers and layouts of the Hyper-V guest interface (Hypervisor Top Level
 * Functional Specification).
 *
 * Everything but VMBus (abi/vmbus.h). Little-endian; a "reference time" counts 100 ns. Names are
 * the specification's as its drivers spell them, so that a test can compare them with Linux's
 * headers.
 */
#ifndef ABI_HYPERV_H
#define ABI_HYPERV_H

#include "base/addr.h"
#include "base/bits.h"

/* ------------------------------------------------------------------ CPUID */

#define HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS 0x40000000u
#define HYPERV_CPUID_INTERFACE 0x40000001u
#define HYPERV_CPUID_VERSION 0x40000002u
#define HYPERV_CPUID_FEATURES 0x40000003u
#define HYPERV_CPUID_ENLIGHTMENT_INFO 0x40000004u
#define HYPERV_CPUID_IMPLEMENT_LIMITS 0x40000005u
#define HYPERV_CPUID_HARDWARE_FEATURES 0x40000006u
#define HYPERV_CPUID_CPU_MANAGEMENT_FEATURES 0x40000007u
#define HYPERV_CPUID_SVM_FEATURES 0x40000008u
#define HYPERV_CPUID_NESTED_PRIVILEGES 0x40000009u
#define HYPERV_CPUID_NESTED_FEATURES 0x4000000Au
#define HYPERV_CPUID_ISOLATION_CONFIG 0x4000000Cu
#define HYPERV_CPUID_VIRT_STACK_VENDOR 0x40000080u
#define HYPERV_CPUID_VIRT_STACK_INTERFACE 0x40000081u
#define HYPERV_CPUID_VIRT_STACK_PROPERTIES 0x40000082u

#define HYPERV_VENDOR_EBX 0x7263694Du /* "Micr" */
#define HYPERV_VENDOR_ECX 0x666F736Fu /* "osof" */
#define HYPERV_VENDOR_EDX 0x76482074u /* "t Hv" */
#define HYPERV_INTERFACE_EAX 0x31237648u /* "Hv#1" */

/* Leaf 3 EAX: groups of MSRs that may be used. */
#define HV_MSR_VP_RUNTIME_AVAILABLE BIT(0)
#define HV_MSR_TIME_REF_COUNT_AVAILABLE BIT(1)
#define HV_MSR_SYNIC_AVAILABLE BIT(2)
#define HV_MSR_SYNTIMER_AVAILABLE BIT(3)
#define HV_MSR_APIC_ACCESS_AVAILABLE BIT(4)
#define HV_MSR_HYPERCALL_AVAILABLE BIT(5)
#define HV_MSR_VP_INDEX_AVAILABLE BIT(6)
#define HV_MSR_RESET_AVAILABLE BIT(7)
#define HV_MSR_STAT_PAGES_AVAILABLE BIT(8)
#define HV_MSR_REFERENCE_TSC_AVAILABLE BIT(9)
#define HV_MSR_GUEST_IDLE_AVAILABLE BIT(10)
#define HV_ACCESS_FREQUENCY_MSRS BIT(11)
#define HV_ACCESS_REENLIGHTENMENT BIT(13)
#define HV_ACCESS_TSC_INVARIANT BIT(15)

/* Leaf 3 EBX: privileges of the partition. */
#define HV_CREATE_PARTITIONS BIT(0)
#define HV_ACCESS_PARTITION_ID BIT(1)
#define HV_ACCESS_MEMORY_POOL BIT(2)
#define HV_ADJUST_MESSAGE_BUFFERS BIT(3)
#define HV_POST_MESSAGES BIT(4)
#define HV_SIGNAL_EVENTS BIT(5)
#define HV_CREATE_PORT BIT(6)
#define HV_CONNECT_PORT BIT(7)
#define HV_ACCESS_STATS BIT(8)
#define HV_DEBUGGING BIT(11)
#define HV_CPU_MANAGEMENT BIT(12)
#define HV_ENABLE_EXTENDED_HYPERCALLS BIT(20)
#define HV_ISOLATION BIT(22)

/* Leaf 3 EDX: features. */
#define HV_X64_MWAIT_AVAILABLE BIT(0)
#define HV_X64_GUEST_DEBUGGING_AVAILABLE BIT(1)
#define HV_X64_PERF_MONITOR_AVAILABLE BIT(2)
#define HV_X64_CPU_DYNAMIC_PARTITIONING_AVAILABLE BIT(3)
#define HV_X64_HYPERCALL_XMM_INPUT_AVAILABLE BIT(4)
#define HV_X64_GUEST_IDLE_STATE_AVAILABLE BIT(5)
#define HV_FEATURE_FREQUENCY_MSRS_AVAILABLE BIT(8)
#define HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE BIT(10)
#define HV_FEATURE_DEBUG_MSRS_AVAILABLE BIT(11)
#define HV_FEATURE_EXT_GVA_RANGES_FLUSH BIT(14)
#define HV_X64_HYPERCALL_XMM_OUTPUT_AVAILABLE BIT(15)
#define HV_STIMER_DIRECT_MODE_AVAILABLE BIT(19)

/* Leaf 4 EAX: recommendations. */
#define HV_X64_AS_SWITCH_RECOMMENDED BIT(0)
#define HV_X64_LOCAL_TLB_FLUSH_RECOMMENDED BIT(1)
#define HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED BIT(2)
#define HV_X64_APIC_ACCESS_RECOMMENDED BIT(3)
#define HV_X64_SYSTEM_RESET_RECOMMENDED BIT(4)
#define HV_X64_RELAXED_TIMING_RECOMMENDED BIT(5)
#define HV_X64_X2APIC_MSRS_RECOMMENDED BIT(8)
#define HV_DEPRECATING_AEOI_RECOMMENDED BIT(9)
#define HV_X64_CLUSTER_IPI_RECOMMENDED BIT(10)
#define HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED BIT(11)
#define HV_X64_HYPERV_NESTED BIT(12)
#define HV_X64_ENLIGHTENED_VMCS_RECOMMENDED BIT(14)

/* Leaf 6 EAX: hardware features in use. */
#define HV_HARDWARE_NESTED_PAGING BIT(3)

/* ------------------------------------------------------------------ MSRs */

#define HV_X64_MSR_GUEST_OS_ID 0x40000000u
#define HV_X64_MSR_HYPERCALL 0x40000001u
#define HV_X64_MSR_VP_INDEX 0x40000002u
#define HV_X64_MSR_RESET 0x40000003u
#define HV_X64_MSR_VP_RUNTIME 0x40000010u
#define HV_X64_MSR_TIME_REF_COUNT 0x40000020u
#define HV_X64_MSR_REFERENCE_TSC 0x40000021u
#define HV_X64_MSR_TSC_FREQUENCY 0x40000022u
#define HV_X64_MSR_APIC_FREQUENCY 0x40000023u
#define HV_X64_MSR_NPIEP_CONFIG 0x40000040u
#define HV_X64_MSR_EOI 0x40000070u
#define HV_X64_MSR_ICR 0x40000071u
#define HV_X64_MSR_TPR 0x40000072u
#define HV_X64_MSR_VP_ASSIST_PAGE 0x40000073u
#define HV_X64_MSR_SCONTROL 0x40000080u
#define HV_X64_MSR_SVERSION 0x40000081u
#define HV_X64_MSR_SIEFP 0x40000082u
#define HV_X64_MSR_SIMP 0x40000083u
#define HV_X64_MSR_EOM 0x40000084u
#define HV_X64_MSR_SIRBP 0x40000085u
#define HV_X64_MSR_SINT0 0x40000090u
#define HV_X64_MSR_SINT1 0x40000091u
#define HV_X64_MSR_SINT2 0x40000092u
#define HV_X64_MSR_SINT3 0x40000093u
#define HV_X64_MSR_SINT4 0x40000094u
#define HV_X64_MSR_SINT5 0x40000095u
#define HV_X64_MSR_SINT6 0x40000096u
#define HV_X64_MSR_SINT7 0x40000097u
#define HV_X64_MSR_SINT8 0x40000098u
#define HV_X64_MSR_SINT9 0x40000099u
#define HV_X64_MSR_SINT10 0x4000009Au
#define HV_X64_MSR_SINT11 0x4000009Bu
#define HV_X64_MSR_SINT12 0x4000009Cu
#define HV_X64_MSR_SINT13 0x4000009Du
#define HV_X64_MSR_SINT14 0x4000009Eu
#define HV_X64_MSR_SINT15 0x4000009Fu
#define HV_X64_MSR_STIMER0_CONFIG 0x400000B0u
#define HV_X64_MSR_STIMER0_COUNT 0x400000B1u
#define HV_X64_MSR_STIMER1_CONFIG 0x400000B2u
#define HV_X64_MSR_STIMER1_COUNT 0x400000B3u
#define HV_X64_MSR_STIMER2_CONFIG 0x400000B4u
#define HV_X64_MSR_STIMER2_COUNT 0x400000B5u
#define HV_X64_MSR_STIMER3_CONFIG 0x400000B6u
#define HV_X64_MSR_STIMER3_COUNT 0x400000B7u
#define HV_X64_MSR_GUEST_IDLE 0x400000F0u
#define HV_X64_MSR_SYNDBG_CONTROL 0x400000F1u
#define HV_X64_MSR_SYNDBG_STATUS 0x400000F2u
#define HV_X64_MSR_SYNDBG_SEND_BUFFER 0x400000F3u
#define HV_X64_MSR_SYNDBG_RECV_BUFFER 0x400000F4u
#define HV_X64_MSR_SYNDBG_PENDING_BUFFER 0x400000F5u
#define HV_X64_MSR_SYNDBG_OPTIONS 0x400000FFu
#define HV_X64_MSR_CRASH_P0 0x40000100u
#define HV_X64_MSR_CRASH_P1 0x40000101u
#define HV_X64_MSR_CRASH_P2 0x40000102u
#define HV_X64_MSR_CRASH_P3 0x40000103u
#define HV_X64_MSR_CRASH_P4 0x40000104u
#define HV_X64_MSR_CRASH_CTL 0x40000105u
#define HV_X64_MSR_REENLIGHTENMENT_CONTROL 0x40000106u
#define HV_X64_MSR_TSC_EMULATION_CONTROL 0x40000107u
#define HV_X64_MSR_TSC_EMULATION_STATUS 0x40000108u
#define HV_X64_MSR_STIME_UNHALTED_TIMER_CONFIG 0x40000114u
#define HV_X64_MSR_STIME_UNHALTED_TIMER_COUNT 0x40000115u
#define HV_X64_MSR_TSC_INVARIANT_CONTROL 0x40000118u
#define HV_X64_MSR_NESTED_VP_INDEX 0x40001002u
#define HV_X64_MSR_NESTED_SCONTROL 0x40001080u
#define HV_X64_MSR_NESTED_SVERSION 0x40001081u
#define HV_X64_MSR_NESTED_SIEFP 0x40001082u
#define HV_X64_MSR_NESTED_SIMP 0x40001083u
#define HV_X64_MSR_NESTED_EOM 0x40001084u
#define HV_X64_MSR_NESTED_SINT0 0x40001090u
#define HV_X64_MSR_NESTED_SINT15 0x4000109Fu

/* An MSR that places an overlay page: HYPERCALL, REFERENCE_TSC, VP_ASSIST_PAGE, SIMP, SIEFP. */
#define HV_OVERLAY_ENABLE 1ull
#define HV_OVERLAY_ADDRESS_MASK (~0xFFFull)

/* RESET */
#define HV_RESET_NOW 1ull

/* CRASH_CTL */
#define HV_X64_MSR_CRASH_PARAMS 5u
#define HV_CRASH_CTL_CRASH_NOTIFY_MSG BIT64(62)
#define HV_CRASH_CTL_CRASH_NOTIFY BIT64(63)
#define HV_CRASH_MESSAGE_BYTES_MAX 4096u

/* ------------------------------------------------------------------ hypercalls */

#define HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE 0x0001u
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE 0x0002u
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST 0x0003u
#define HVCALL_NOTIFY_LONG_SPIN_WAIT 0x0008u
#define HVCALL_SEND_IPI 0x000Bu
#define HVCALL_ENABLE_PARTITION_VTL 0x000Du
#define HVCALL_ENABLE_VP_VTL 0x000Fu
#define HVCALL_VTL_CALL 0x0011u
#define HVCALL_VTL_RETURN 0x0012u
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX 0x0013u
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX 0x0014u
#define HVCALL_SEND_IPI_EX 0x0015u
#define HVCALL_GET_PARTITION_ID 0x0046u
#define HVCALL_GET_VP_REGISTERS 0x0050u
#define HVCALL_SET_VP_REGISTERS 0x0051u
#define HVCALL_TRANSLATE_VIRTUAL_ADDRESS 0x0052u
#define HVCALL_POST_MESSAGE 0x005Cu
#define HVCALL_SIGNAL_EVENT 0x005Du
#define HVCALL_POST_DEBUG_DATA 0x0069u
#define HVCALL_RETRIEVE_DEBUG_DATA 0x006Au
#define HVCALL_RESET_DEBUG_SESSION 0x006Bu
#define HVCALL_RETARGET_INTERRUPT 0x007Eu
#define HVCALL_START_VP 0x0099u
#define HVCALL_GET_VP_ID_FROM_APIC_ID 0x009Au
#define HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE 0x00AFu
#define HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_LIST 0x00B0u
#define HVCALL_MMIO_READ 0x0106u
#define HVCALL_MMIO_WRITE 0x0107u
#define HV_EXT_CALL_QUERY_CAPABILITIES 0x8001u
#define HV_EXT_CALL_GET_BOOT_ZEROED_MEMORY 0x8002u
#define HV_EXT_CALL_MEMORY_HEAT_HINT 0x8003u

/* The input value: fields of a 64-bit word. */
#define HV_HYPERCALL_CODE_MASK 0xFFFFull
#define HV_HYPERCALL_FAST_BIT BIT64(16)
#define HV_HYPERCALL_VARHEAD_OFFSET 17u
#define HV_HYPERCALL_VARHEAD_MASK (0x3FFull << 17)
#define HV_HYPERCALL_RSVD0_MASK (0xFull << 27)
#define HV_HYPERCALL_NESTED BIT64(31)
#define HV_HYPERCALL_REP_COMP_OFFSET 32u
#define HV_HYPERCALL_REP_COMP_MASK (0xFFFull << 32)
#define HV_HYPERCALL_RSVD1_MASK (0xFull << 44)
#define HV_HYPERCALL_REP_START_OFFSET 48u
#define HV_HYPERCALL_REP_START_MASK (0xFFFull << 48)
#define HV_HYPERCALL_RSVD2_MASK (0xFull << 60)
#define HV_HYPERCALL_RESULT_MASK 0xFFFFull

/* Input in registers: two of 8 bytes, with XMM0 to XMM5 112. */
#define HV_FAST_INPUT_BYTES 16u
#define HV_FAST_XMM_INPUT_BYTES 112u

/* A call that came through the page of a guest with both faces (Xen's numbers never have it). */
#define HV_CALL_MARK_EAX 0x80000000u

#define HV_STATUS_SUCCESS 0x0u
#define HV_STATUS_INVALID_HYPERCALL_CODE 0x2u
#define HV_STATUS_INVALID_HYPERCALL_INPUT 0x3u
#define HV_STATUS_INVALID_ALIGNMENT 0x4u
#define HV_STATUS_INVALID_PARAMETER 0x5u
#define HV_STATUS_ACCESS_DENIED 0x6u
#define HV_STATUS_INVALID_PARTITION_STATE 0x7u
#define HV_STATUS_OPERATION_DENIED 0x8u
#define HV_STATUS_UNKNOWN_PROPERTY 0x9u
#define HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE 0xAu
#define HV_STATUS_INSUFFICIENT_MEMORY 0xBu
#define HV_STATUS_INVALID_PARTITION_ID 0xDu
#define HV_STATUS_INVALID_VP_INDEX 0xEu
#define HV_STATUS_NOT_FOUND 0x10u
#define HV_STATUS_INVALID_PORT_ID 0x11u
#define HV_STATUS_INVALID_CONNECTION_ID 0x12u
#define HV_STATUS_INSUFFICIENT_BUFFERS 0x13u
#define HV_STATUS_NOT_ACKNOWLEDGED 0x14u
#define HV_STATUS_INVALID_VP_STATE 0x15u
#define HV_STATUS_ACKNOWLEDGED 0x16u
#define HV_STATUS_INVALID_SAVE_RESTORE_STATE 0x17u
#define HV_STATUS_INVALID_SYNIC_STATE 0x18u
#define HV_STATUS_OBJECT_IN_USE 0x19u
#define HV_STATUS_NO_DATA 0x1Bu
#define HV_STATUS_INACTIVE 0x1Cu
#define HV_STATUS_NO_RESOURCES 0x1Du
#define HV_STATUS_FEATURE_UNAVAILABLE 0x1Eu
#define HV_STATUS_TIME_OUT 0x78u
#define HV_STATUS_CALL_PENDING 0x79u
#define HV_STATUS_VTL_ALREADY_ENABLED 0x86u

#define HV_PARTITION_ID_SELF UINT64_MAX
#define HV_VP_INDEX_SELF 0xFFFFFFFEu
#define HV_VP_INDEX_ANY 0xFFFFFFFFu

/* A set of processors in its sparse form; bank_contents follow, one for each bit of the mask. */
#define HV_GENERIC_SET_SPARSE_4K 0u
#define HV_GENERIC_SET_ALL 1u
#define HV_MAX_SPARSE_VCPU_BANKS 64u
#define HV_VCPUS_PER_SPARSE_BANK 64u

struct hv_vpset {
	uint64_t format;
	uint64_t valid_bank_mask;
} PACKED;
_Static_assert(sizeof(struct hv_vpset) == 16, "VP set");

#define HV_FLUSH_ALL_PROCESSORS BIT64(0)
#define HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES BIT64(1)
#define HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY BIT64(2)
#define HV_FLUSH_USE_EXTENDED_RANGE_FORMAT BIT64(3)
#define HV_FLUSH_USE_TARGET_VTL BIT64(4)

/* FlushVirtualAddressSpace and -List: the list's ranges follow, a u64 each. */
struct hv_tlb_flush {
	uint64_t address_space;
	uint64_t flags;
	uint64_t processor_mask;
} PACKED;
_Static_assert(sizeof(struct hv_tlb_flush) == 24, "flush");
_Static_assert(offsetof(struct hv_tlb_flush, processor_mask) == 16, "flush");

/* The Ex forms: the banks follow, then the list's ranges. */
struct hv_tlb_flush_ex {
	uint64_t address_space;
	uint64_t flags;
	struct hv_vpset hv_vp_set;
} PACKED;
_Static_assert(sizeof(struct hv_tlb_flush_ex) == 32, "flush ex");
_Static_assert(offsetof(struct hv_tlb_flush_ex, hv_vp_set) == 16, "flush ex");

#define HV_IPI_LOW_VECTOR 0x10u
#define HV_IPI_HIGH_VECTOR 0xFFu

struct hv_send_ipi {
	uint32_t vector;
	uint32_t reserved; /* target VTL in its low byte */
	uint64_t cpu_mask;
} PACKED;
_Static_assert(sizeof(struct hv_send_ipi) == 16, "IPI");
_Static_assert(offsetof(struct hv_send_ipi, cpu_mask) == 8, "IPI");

struct hv_send_ipi_ex {
	uint32_t vector;
	uint32_t reserved;
	struct hv_vpset vp_set;
} PACKED;
_Static_assert(sizeof(struct hv_send_ipi_ex) == 24, "IPI ex");
_Static_assert(offsetof(struct hv_send_ipi_ex, vp_set) == 8, "IPI ex");

/* VTL byte: number in the low bits, and "use it". */
#define HV_INPUT_VTL_USE BIT(4)

/* ------------------------------------------------------------------ SynIC */

#define HV_SYNIC_SINT_COUNT 16u
#define HV_SYNIC_VERSION_1 1u
#define HV_SYNIC_FIRST_VALID_VECTOR 16u
#define HV_SYNIC_CONTROL_ENABLE 1ull
#define HV_SYNIC_SIMP_ENABLE 1ull
#define HV_SYNIC_SIEFP_ENABLE 1ull
#define HV_SYNIC_SINT_VECTOR_MASK 0xFFull
#define HV_SYNIC_SINT_MASKED BIT64(16)
#define HV_SYNIC_SINT_AUTO_EOI BIT64(17)
#define HV_SYNIC_SINT_POLLING BIT64(18)

#define HV_SYNIC_VMBUS_SINT 2u

#define HV_MESSAGE_SIZE 256u
#define HV_MESSAGE_PAYLOAD_BYTE_COUNT 240u

#define HVMSG_NONE 0x00000000u
#define HVMSG_VMBUS 0x00000001u
#define HVMSG_TIMER_EXPIRED 0x80000010u
#define HVMSG_HYPERVISOR_BIT 0x80000000u /* guests may not post these types */

#define HV_MESSAGE_FLAG_PENDING 1u

struct hv_message_header {
	uint32_t message_type; /* 0: the slot is empty */
	uint8_t payload_size;
	uint8_t message_flags;
	uint8_t reserved[2];
	uint64_t sender;
} PACKED;
_Static_assert(sizeof(struct hv_message_header) == 16, "message header");
_Static_assert(offsetof(struct hv_message_header, payload_size) == 4, "message header");
_Static_assert(offsetof(struct hv_message_header, message_flags) == 5, "message header");
_Static_assert(offsetof(struct hv_message_header, sender) == 8, "message header");

struct hv_message {
	struct hv_message_header header;
	uint8_t payload[HV_MESSAGE_PAYLOAD_BYTE_COUNT];
} PACKED;
_Static_assert(sizeof(struct hv_message) == HV_MESSAGE_SIZE, "message");

struct hv_message_page {
	struct hv_message sint_message[HV_SYNIC_SINT_COUNT];
} PACKED;
_Static_assert(sizeof(struct hv_message_page) == PAGE_BYTES, "message page");

struct hv_timer_message_payload {
	uint32_t timer_index;
	uint32_t reserved;
	uint64_t expiration_time;
	uint64_t delivery_time;
} PACKED;
_Static_assert(sizeof(struct hv_timer_message_payload) == 24, "timer payload");
_Static_assert(offsetof(struct hv_timer_message_payload, expiration_time) == 8, "timer payload");
_Static_assert(offsetof(struct hv_timer_message_payload, delivery_time) == 16, "timer payload");

#define HV_EVENT_FLAGS_COUNT 2048u

struct hv_synic_event_flags_page {
	uint64_t sint_flags[HV_SYNIC_SINT_COUNT][HV_EVENT_FLAGS_COUNT / 64];
};
_Static_assert(sizeof(struct hv_synic_event_flags_page) == PAGE_BYTES, "event flags page");

/* PostMessage's input; the payload follows. */
struct hv_input_post_message {
	uint32_t connection_id;
	uint32_t reserved;
	uint32_t message_type;
	uint32_t payload_size;
} PACKED;
_Static_assert(sizeof(struct hv_input_post_message) == 16, "PostMessage");
_Static_assert(offsetof(struct hv_input_post_message, message_type) == 8, "PostMessage");
_Static_assert(offsetof(struct hv_input_post_message, payload_size) == 12, "PostMessage");

struct hv_input_signal_event {
	uint32_t connection_id;
	uint16_t flag_number;
	uint16_t reserved;
} PACKED;
_Static_assert(sizeof(struct hv_input_signal_event) == 8, "SignalEvent");
_Static_assert(offsetof(struct hv_input_signal_event, flag_number) == 4, "SignalEvent");

/* ------------------------------------------------------------------ time */

#define HV_CLOCK_HZ 10000000u /* reference time */
#define HV_REFERENCE_NS 100u

struct hv_reference_tsc_page {
	uint32_t tsc_sequence; /* 0: not valid */
	uint32_t reserved1;
	uint64_t tsc_scale;
	int64_t tsc_offset;
} PACKED;
_Static_assert(sizeof(struct hv_reference_tsc_page) == 24, "reference TSC page");
_Static_assert(offsetof(struct hv_reference_tsc_page, tsc_scale) == 8, "reference TSC page");
_Static_assert(offsetof(struct hv_reference_tsc_page, tsc_offset) == 16, "reference TSC page");

#define HV_SYNIC_STIMER_COUNT 4u

/* STIMERn_CONFIG */
#define HV_STIMER_ENABLE BIT64(0)
#define HV_STIMER_PERIODIC BIT64(1)
#define HV_STIMER_LAZY BIT64(2)
#define HV_STIMER_AUTOENABLE BIT64(3)
#define HV_STIMER_VECTOR_SHIFT 4u
#define HV_STIMER_VECTOR_MASK (0xFFull << 4)
#define HV_STIMER_DIRECT_MODE BIT64(12)
#define HV_STIMER_SINT_SHIFT 16u
#define HV_STIMER_SINT_MASK (0xFull << 16)
#define HV_STIMER_DEFINED_MASK 0xF1FFFull

/* ------------------------------------------------------------------ VP assist page */

struct hv_vp_assist_page {
	uint32_t apic_assist; /* bit 0: no EOI required */
	uint32_t reserved1;
	uint32_t vtl_entry_reason;
	uint32_t vtl_reserved;
	uint64_t vtl_ret_x64rax;
	uint64_t vtl_ret_x64rcx;
	uint32_t nested_features;
	uint32_t nested_hypercall_controls;
	uint8_t enlighten_vmentry;
	uint8_t reserved2[7];
	uint64_t current_nested_vmcs;
	uint8_t synthetic_time_unhalted_timer_expired;
	uint8_t reserved3[7];
	uint8_t virtualization_fault_information[40];
	uint64_t reserved4;
	uint8_t intercept_message[256];
	uint8_t vtl_ret_actions[256];
} PACKED;
_Static_assert(sizeof(struct hv_vp_assist_page) == 624, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, vtl_entry_reason) == 8, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, nested_features) == 32, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, enlighten_vmentry) == 40, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, current_nested_vmcs) == 48, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, virtualization_fault_information) == 64, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, intercept_message) == 112, "VP assist page");

#endif /* ABI_HYPERV_H */
