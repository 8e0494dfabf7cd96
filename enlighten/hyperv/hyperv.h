/*
 * hyperv.h - the Hyper-V face without its bus: CPUID, MSRs and hypercalls, for
 * enlighten/personality.c and core's wiring.
 *
 * Order: hyperv_face.create() before VMBus's own (it makes the SynIC that the bus uses); at reset
 * and teardown the bus lets go of its connections first, then hyperv_face's runs.
 */
#ifndef ENLIGHTEN_HYPERV_HYPERV_H
#define ENLIGHTEN_HYPERV_HYPERV_H

#include "vm/face.h"

/* Rate of the local APIC's timer before its divider, as the platform's vlapic.h has it. */
#define VLAPIC_BUS_HZ 1000000000u

/* A hook that is NULL has nothing to do. create, reset and teardown as face.h says. */
extern const struct face hyperv_face;

/*
 * What the guest said of its crash through the crash MSRs since its last reset: one line, or NULL
 * if it has said nothing. Good until its reset or teardown; the guest must not be running.
 */
const char *hyperv_crash_reason(const struct vm *vm);

#endif /* ENLIGHTEN_HYPERV_HYPERV_H */
