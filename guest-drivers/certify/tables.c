/*
 * tables.c - all tables that are probed, in the order of the plan: the machine, what each face says of itself and does, its
 * devices, and all of it together.
 */
#include "guest-drivers/certify/certify.h"

#define TABLE(name) extern const struct row_table table_##name;
#include "guest-drivers/certify/tables.def"
#undef TABLE

const struct row_table *const certify_tables[] = {
#define TABLE(name) &table_##name,
#include "guest-drivers/certify/tables.def"
#undef TABLE
        NULL,
};
