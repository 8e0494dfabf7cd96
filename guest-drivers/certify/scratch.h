/*
 * scratch.h - which disk the probes may write to.
 */
#ifndef GUEST_DRIVERS_CERTIFY_SCRATCH_H
#define GUEST_DRIVERS_CERTIFY_SCRATCH_H

#include "base/compiler.h"

/* True if a disk whose first sector is @sector was made to be written to (CERTIFY_MARKER). */
bool scratch_marked(const uint8_t sector[512]);

#endif /* GUEST_DRIVERS_CERTIFY_SCRATCH_H */
