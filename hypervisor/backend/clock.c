/*
 * clock.c - one scale for both faces' clocks. Contract: backend/clock.h.
 *
 * Xen's form is the master (xen/include/public/xen.h, vcpu_time_info): 32-bit multiplier with bit
 * 31 set, and a shift. Hyper-V's scale (TLFS 12.7, reference TSC page) is derived from it and not
 * from the frequency, so that the rounding of the one is that of the other.
 */
#include "backend/clock.h"

#include "base/check.h"

#define NS_PER_SECOND 1000000000ull
#define HZ_MIN 1000000ull
#define HZ_MAX 100000000000ull

void clock_init(struct clock *clock, uint64_t tsc_hz, bool stable, uint64_t wall_ns)
{
	uint32_t up = 0, down = 0;

	CHECK(tsc_hz >= HZ_MIN && tsc_hz <= HZ_MAX);
	/*
	 * The shifted frequency lies above 1 GHz, up to 2 GHz: the multiplier from 2^31 to below
	 * 2^32.
	 */
	while (tsc_hz << up <= NS_PER_SECOND) {
		up++;
	}
	while (tsc_hz > NS_PER_SECOND * 2 << down) {
		down++;
	}
	*clock = (struct clock){
	        .tsc_hz = tsc_hz,
	        .stable = stable,
	        .wall_ns = wall_ns,
	        .mult = mul_div(NS_PER_SECOND << 32, 1ull << down, tsc_hz << up),
	        .shift = (int8_t)((int)up - (int)down),
	};
}

uint64_t clock_tsc_to_ns(const struct clock *clock, uint64_t tsc)
{
	uint64_t shifted = clock->shift < 0 ? tsc >> -clock->shift : tsc << clock->shift;

	return mul_high(shifted, clock->mult) << 32 | (shifted * clock->mult) >> 32;
}

uint64_t clock_ns_to_tsc(const struct clock *clock, uint64_t ns)
{
	/* The least shifted value whose product with mult reaches ns * 2^32. */
	uint64_t shifted = mul_div(ns, 1ull << 32, clock->mult);
	uint64_t limit = UINT64_MAX >> (clock->shift < 0 ? -clock->shift : 0);

	if (shifted != UINT64_MAX && shifted * clock->mult != ns << 32) {
		shifted++;
	}
	if (shifted >= limit) {
		return UINT64_MAX;
	}
	if (clock->shift < 0) {
		return shifted << -clock->shift;
	}
	return (shifted >> clock->shift) + ((shifted & ((1ull << clock->shift) - 1)) != 0);
}

uint64_t clock_reference_scale(const struct clock *clock)
{
	/* mult * 2^(shift - 32) is ns a tick; 2^64 / 100 makes it 0.64 units of 100 ns. */
	uint64_t scale = mul_div(clock->mult, 1ull << (32 + clock->shift), 100);

	return scale == UINT64_MAX ? 0 : scale;
}

uint64_t clock_tsc_to_reference(const struct clock *clock, uint64_t tsc)
{
	uint64_t scale = clock_reference_scale(clock);

	return scale != 0 ? mul_high(tsc, scale) : clock_tsc_to_ns(clock, tsc) / 100;
}
