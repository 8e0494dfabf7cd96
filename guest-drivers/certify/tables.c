/*
 * tables.c - all tables that are probed, in the order of the plan: what a face says of itself, what it does, its devices.
 */
#include "guest-drivers/certify/certify.h"

extern const struct row_table table_cpuid;
extern const struct row_table table_functional;
extern const struct row_table table_msr;
extern const struct row_table table_ports;
extern const struct row_table table_xen_version;

const struct row_table *const certify_tables[] = {
        &table_cpuid, &table_msr, &table_ports, &table_xen_version, &table_functional, NULL,
};
