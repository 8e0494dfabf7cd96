/*
 * clock.h - one origin and one scale for all the clocks that a guest is shown.
 *
 * Guest time is nanoseconds since creation, computed from the guest's TSC. Every face derives its
 * own form (Xen's 32.32 multiplier and shift, Hyper-V's 0.64 scale) here, so that they agree.
 */
#ifndef BACKEND_CLOCK_H
#define BACKEND_CLOCK_H

#include "base/bits.h"

struct clock {
	uint64_t tsc_hz; /* of the guest's TSC, which is 0 at creation and runs at the host's rate */
	bool stable; /* measured: constant and in step on all CPUs; page clocks may be shown */
	uint64_t wall_ns; /* Unix time at guest time 0 */
	uint64_t mult; /* ns = (tsc << shift or >> -shift) * mult >> 32: Xen's form, the master */
	int8_t shift;
};

/* Sets up for a TSC of @tsc_hz (1 MHz to 100 GHz), so that mult has bit 31 set. */
void clock_init(struct clock *clock, uint64_t tsc_hz, bool stable, uint64_t wall_ns);

/*
 * Guest TSC to guest time, exactly as a guest computes it from Xen's vcpu_time_info with both bases
 * 0.
 */
uint64_t clock_tsc_to_ns(const struct clock *clock, uint64_t tsc);
/* The first TSC value at which clock_tsc_to_ns() is at least @ns; UINT64_MAX if none is. */
uint64_t clock_ns_to_tsc(const struct clock *clock, uint64_t ns);

/*
 * Hyper-V's scale: time in 100 ns = high64(tsc * scale), derived from mult and shift so that both
 * faces' clocks agree to one unit for as long as a machine can run. 0 if there is no such scale,
 * for a TSC of 10 MHz or less: show no page.
 */
uint64_t clock_reference_scale(const struct clock *clock);
/* The reference count that the page gives for @tsc; by nanoseconds if there is no scale. */
uint64_t clock_tsc_to_reference(const struct clock *clock, uint64_t tsc);

#endif /* BACKEND_CLOCK_H */
