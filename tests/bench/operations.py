"""The operations of mode=bench of the certification guest (guest-drivers/certify/metal_bench*.c), for readers."""

# key of the guest's line -> what a reader calls it; in the order of the table. A face's own begin with its prefix.
COMMON = {
    "rdtsc": "RDTSC back to back",
    "port_in": "IN from a port that no one has",
    "port_out": "OUT to a port that no one has",
    "cpuid_0": "CPUID leaf 0",
    "cpuid_1": "CPUID leaf 1",
    "cpuid_40000000": "CPUID leaf 0x40000000",
    "apic_base": "RDMSR APIC_BASE",
    "efer": "RDMSR EFER",
    "self_ipi": "self-IPI until its handler",
}
OF_FACE = {
    "hyperv": {
        "hv_spin_wait": "HvNotifyLongSpinWait",
        "hv_unknown": "hypercall that is not there: 8001",
        "hv_flush_space": "HvFlushVirtualAddressSpace",
        "hv_flush_list": "HvFlushVirtualAddressList, one range",
        "hv_signal_refused": "HvSignalEvent, no such connection",
        "hv_vp_index": "RDMSR HV_X64_MSR_VP_INDEX",
        "hv_reference_count": "RDMSR HV_X64_MSR_TIME_REF_COUNT",
        "hv_vp_runtime": "RDMSR HV_X64_MSR_VP_RUNTIME",
        "hv_tsc_frequency": "RDMSR HV_X64_MSR_TSC_FREQUENCY",
        "hv_sint_read": "RDMSR HV_X64_MSR_SINT5",
        "hv_eom": "WRMSR HV_X64_MSR_EOM",
        "hv_stimer_expired": "stimer0, direct, expired: until its handler",
    },
    "xen": {
        "xen_version": "XENVER_version",
        "xen_unknown": "hypercall that is not there: 63",
        "xen_yield": "SCHEDOP_yield",
        "xen_send_masked": "EVTCHNOP_send, IPI port, masked",
        "xen_send_pending": "EVTCHNOP_send, already pending",
        "xen_send_handled": "EVTCHNOP_send until the upcall's handler",
    },
}


def operations(face):
    """{key: text} of what is measured on @face."""
    return {**COMMON, **OF_FACE[face]}
