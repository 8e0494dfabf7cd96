/*
 * spec.h - the tables of specs/, by number, for counting what guests touch.
 *
 * Each specs/<name>.def holds rows SPEC_ROW(number, NAME, STATUS, handler, "clause"), with STATUS one of
 * OFFERED or REFUSED (known, answered with its documented error). The dispatcher of a table includes it,
 * so a row's index is its place in the file; core/specs.c includes all of them for the names.
 */
#ifndef VM_SPEC_H
#define VM_SPEC_H

/* One line a table: enum name, file name in specs/ without .def, text for people. */
#define SPEC_TABLES(TABLE)                                          \
	TABLE(SPEC_CPUID, cpuid, "CPUID leaf")                      \
	TABLE(SPEC_MSR, msr, "MSR")                                 \
	TABLE(SPEC_PORT, ports, "port")                             \
	TABLE(SPEC_HV_CPUID, hv_cpuid, "Hyper-V leaf")              \
	TABLE(SPEC_HV_MSR, hv_msr, "Hyper-V MSR")                   \
	TABLE(SPEC_HV_HYPERCALL, hv_hypercall, "Hyper-V hypercall") \
	TABLE(SPEC_VMBUS_MESSAGE, vmbus_message, "VMBus message")   \
	TABLE(SPEC_STORVSP, storvsp, "storvsp operation")           \
	TABLE(SPEC_SCSI, scsi, "SCSI command")                      \
	TABLE(SPEC_NVSP, nvsp, "NVSP message")                      \
	TABLE(SPEC_RNDIS, rndis, "RNDIS message")                   \
	TABLE(SPEC_XEN_CPUID, xen_cpuid, "Xen leaf")                \
	TABLE(SPEC_XEN_HYPERCALL, xen_hypercall, "Xen hypercall")   \
	TABLE(SPEC_XEN_VERSION, xen_version, "xen_version")         \
	TABLE(SPEC_XEN_MEMORY, xen_memory, "memory_op")             \
	TABLE(SPEC_XEN_VCPU, xen_vcpu, "vcpu_op")                   \
	TABLE(SPEC_XEN_SCHED, xen_sched, "sched_op")                \
	TABLE(SPEC_XEN_EVTCHN, xen_evtchn, "event_channel_op")      \
	TABLE(SPEC_XEN_HVM, xen_hvm, "hvm_op")                      \
	TABLE(SPEC_XEN_GNTTAB, xen_gnttab, "grant_table_op")        \
	TABLE(SPEC_XENSTORE, xenstore, "xenstore message")          \
	TABLE(SPEC_BLKIF, blkif, "blkif operation")

#define SPEC_ENUM(id, file, text) id,
enum spec_table {
	SPEC_TABLES(SPEC_ENUM) SPEC_TABLE_COUNT
};
#undef SPEC_ENUM

#define SPEC_ROW_MAX 128u /* rows a table */
#define SPEC_UNKNOWN 0xFFFFu /* a number that stands in no row */

#endif /* VM_SPEC_H */
