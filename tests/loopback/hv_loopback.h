/*
 * hv_loopback.h - loop guests with the Hyper-V face, through the personality as core has it, and
 * the bus with its devices behind it.
 */
#ifndef TESTS_LOOPBACK_HV_LOOPBACK_H
#define TESTS_LOOPBACK_HV_LOOPBACK_H

#include "tests/loopback/loopback.h"

void loop_hv_new(struct loop_guest *loop, const struct loop_config *config);
/* As a reset of the machine: the bus, then the face. */
void loop_hv_reset(struct loop_guest *loop);
void loop_hv_free(struct loop_guest *loop, bool strict);

#endif /* TESTS_LOOPBACK_HV_LOOPBACK_H */
