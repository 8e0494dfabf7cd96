/*
 * tap.h - the report as TAP version 14: one test point a row, its evidence in YAML below.
 */
#ifndef GUEST_DRIVERS_CERTIFY_TAP_H
#define GUEST_DRIVERS_CERTIFY_TAP_H

#include "guest-drivers/certify/certify.h"

/* The version line, what was found below, the plan. */
void tap_begin(struct certify *c, uint32_t rows);
/* A probe starts: if nothing follows, it is the one that hangs. */
void tap_probe_begin(struct certify *c, const struct row_table *table, const struct row *row);
/* Its test point; counts it in @p->c. */
void tap_probe_end(struct probe *p);
/* The sums. */
void tap_end(struct certify *c);

#endif /* GUEST_DRIVERS_CERTIFY_TAP_H */
