/*
 * ticks.c - how late a guest that sleeps is woken: one-shot timers with HLT, judged by the TSC.
 *
 * Options: count=N wake-ups, period_us=N, spread_us=N (each period is longer by a random part of
 * this, so that the wake-ups meet a neighbour's time slice at every point), limit_us=N (the latest
 * that is right), early_ns=N (as much too early as the measured rates of two clocks may be wrong).
 * Lateness counts from when the timer was set, exits included.
 */
#include "base/bits.h"
#include "guest-drivers/metal/cpu.h"

#define COUNT_MAX 10000u

static volatile uint64_t fired_tsc;
static uint64_t late_ns[COUNT_MAX];
static uint64_t earliest_ns;

static void take_timer(struct frame *frame)
{
	(void)frame;
	fired_tsc = tsc_read();
	apic_eoi();
}

/* Gives how late the wake-up came. */
static uint64_t sleep_once(uint64_t period_us)
{
	uint32_t ticks = (uint32_t)(apic_hz() * period_us / 1000000);
	uint64_t due = tsc_read() + mul_div(tsc_hz(), period_us, 1000000);
	uint64_t early;

	fired_tsc = 0;
	apic_timer_start(ticks);
	while (fired_tsc == 0) {
		cpu_sleep();
	}
	if (fired_tsc >= due) {
		return tsc_to_ns(fired_tsc - due);
	}
	early = tsc_to_ns(due - fired_tsc);
	earliest_ns = early > earliest_ns ? early : earliest_ns;
	return 0;
}

void program_main(void)
{
	uint64_t count = option_number("count", 1000);
	uint64_t period_us = option_number("period_us", 2000);
	uint64_t spread_us = option_number("spread_us", 0);
	uint64_t limit_ns = option_number("limit_us", 10000) * 1000;
	uint64_t too_late = 0;

	count = count > COUNT_MAX ? COUNT_MAX : count;
	interrupt_handle(VECTOR_TIMER, take_timer);
	report("face=%s", face_name());
	report("tsc_hz=%lu", (unsigned long)tsc_hz());
	report("apic_hz=%lu", (unsigned long)apic_hz());
	for (uint64_t i = 0; i < count; i++) {
		late_ns[i] = sleep_once(period_us + (spread_us == 0 ? 0 : random_number() % spread_us));
		too_late += late_ns[i] > limit_ns ? 1 : 0;
	}
	sort_numbers(late_ns, count);
	report("wakeups=%lu", (unsigned long)count);
	report("earliest_ns=%lu", (unsigned long)earliest_ns);
	report("median_late_ns=%lu", (unsigned long)late_ns[count / 2]);
	report("largest_late_ns=%lu", (unsigned long)late_ns[count - 1]);
	report("too_late=%lu", (unsigned long)too_late);
	finish(too_late == 0 && earliest_ns <= option_number("early_ns", 20000));
}
