/*
 * functional.c - the table of functional probes: what faces and devices do together.
 */
#include "guest-drivers/certify/functional.h"

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##handler)
static const struct row rows[] = {
#include "guest-drivers/certify/functional.def"
};
ROW_TABLE(functional, NEED_NOTHING)
