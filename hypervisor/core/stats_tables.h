/*
 * stats_tables.h - one array of rows for each table of specs/, and the list of them. Only stats.c includes it.
 */
#ifndef CORE_STATS_TABLES_H
#define CORE_STATS_TABLES_H

/* The three tables of the machine itself have columns of their own. */
#define CPUID_LEAF(number, name, handler, clause) {(uint32_t)(number), #name},
#define CPUID_FEATURE(word, bit, name, rule)
static const struct stats_row rows_cpuid[] = {
#include "specs/cpuid.def"
};
#undef CPUID_LEAF
#undef CPUID_FEATURE

#define MSR(first, last, name, kind, reset, writable, clause) {(uint32_t)(first), #name},
static const struct stats_row rows_msr[] = {
#include "specs/msr.def"
};
#undef MSR

#define PORT(first, last, name, clause) {(uint32_t)(first), #name},
static const struct stats_row rows_ports[] = {
#include "specs/ports.def"
};
#undef PORT

static const struct stats_row rows_hv_cpuid[] = {
#include "specs/hv_cpuid.def"
};
static const struct stats_row rows_hv_msr[] = {
#include "specs/hv_msr.def"
};
static const struct stats_row rows_hv_hypercall[] = {
#include "specs/hv_hypercall.def"
};
static const struct stats_row rows_vmbus_message[] = {
#include "specs/vmbus_message.def"
};
static const struct stats_row rows_storvsp[] = {
#include "specs/storvsp.def"
};
static const struct stats_row rows_scsi[] = {
#include "specs/scsi.def"
};
static const struct stats_row rows_nvsp[] = {
#include "specs/nvsp.def"
};
static const struct stats_row rows_rndis[] = {
#include "specs/rndis.def"
};
static const struct stats_row rows_xen_cpuid[] = {
#include "specs/xen_cpuid.def"
};
static const struct stats_row rows_xen_hypercall[] = {
#include "specs/xen_hypercall.def"
};
static const struct stats_row rows_xen_version[] = {
#include "specs/xen_version.def"
};
static const struct stats_row rows_xen_memory[] = {
#include "specs/xen_memory.def"
};
static const struct stats_row rows_xen_vcpu[] = {
#include "specs/xen_vcpu.def"
};
static const struct stats_row rows_xen_sched[] = {
#include "specs/xen_sched.def"
};
static const struct stats_row rows_xen_evtchn[] = {
#include "specs/xen_evtchn.def"
};
static const struct stats_row rows_xen_hvm[] = {
#include "specs/xen_hvm.def"
};
static const struct stats_row rows_xen_gnttab[] = {
#include "specs/xen_gnttab.def"
};
static const struct stats_row rows_xenstore[] = {
#include "specs/xenstore.def"
};
static const struct stats_row rows_blkif[] = {
#include "specs/blkif.def"
};

#define STATS_TABLE(id, file, text) {text, rows_##file, (uint32_t)ARRAY_COUNT(rows_##file)},
static const struct stats_table stats_tables[] = {SPEC_TABLES(STATS_TABLE)};
#undef STATS_TABLE

#endif /* CORE_STATS_TABLES_H */
