/*
 * host_time.c - how fast the TSC and the local APIC's timer run, measured at boot against the
 * ACPI PM timer (ACPI 6.5, 4.8.3.3) or, without one, the PIT (8254). CPUID is not asked:
 * emulators show figures there that are not theirs.
 */
#include "base/check.h"
#include "hypervisor/arch/x86/host_internal.h"

#define PM_HZ 3579545u
#define PIT_HZ 1193182u
#define PORT_PIT_2 0x42u
#define PORT_PIT_COMMAND 0x43u
#define PORT_GATE 0x61u

#define TRIES 5u
#define WINDOW_PER_SECOND 50u /* 20 ms each: well inside the PIT's 55 ms */
#define SAMPLE_READS 8u

#define NS_PER_SECOND UINT64_C(1000000000)

/* The clock that all is measured against; counts up, modulo mask + 1. */
struct reference {
	uint16_t pm_port; /* 0: the PIT */
	uint32_t mask;
	uint32_t hz;
};

struct sample {
	uint64_t tsc;
	uint32_t reference;
	uint32_t apic;
};

static struct reference reference;
static uint64_t tsc_hz;
static uint64_t apic_hz;
static uint64_t apic_per_tsc; /* apic_hz / tsc_hz, 32 bits after the point */
static bool rate_is_steady;
static bool is_in_step;
static uint64_t step_bound;
static uint64_t wall_ns_at_boot;
static uint64_t boot_tsc;

static uint32_t reference_read(void)
{
	uint32_t low;
	uint32_t high;

	if (reference.pm_port != 0) {
		return port_read32(reference.pm_port) & reference.mask;
	}
	port_write8(PORT_PIT_COMMAND, 0x80); /* latch counter 2 */
	low = port_read8(PORT_PIT_2);
	high = port_read8(PORT_PIT_2);
	return ~(high << 8 | low) & reference.mask;
}

/* Counter 2 runs through all 65536 values, its gate open, the speaker off. */
static void pit_start(void)
{
	uint8_t gate = port_read8(PORT_GATE);

	port_write8(PORT_GATE, (uint8_t)((gate & ~2u) | 1u));
	port_write8(PORT_PIT_COMMAND, 0xb4); /* counter 2, both bytes, mode 2, binary */
	port_write8(PORT_PIT_2, 0);
	port_write8(PORT_PIT_2, 0);
	reference = (struct reference){0, 0xffff, PIT_HZ};
}

static bool reference_runs(void)
{
	uint32_t first = reference_read();

	for (unsigned int i = 0; i < 100000; i++) {
		if (reference_read() != first) {
			return true;
		}
	}
	return false;
}

static void reference_choose(void)
{
	bool is_32bit;
	uint16_t port = acpi_pm_timer(&is_32bit);

	reference = (struct reference){port, is_32bit ? 0xffffffffu : 0xffffffu, PM_HZ};
	if (port == 0 || !reference_runs()) {
		pit_start();
		if (!reference_runs()) {
			PANIC("neither an ACPI PM timer nor a PIT that counts");
		}
	}
}

/* All three clocks at one moment: the tightest of several readings, as any may be interrupted. */
static struct sample sample_take(void)
{
	struct sample best = {0, 0, 0};
	uint64_t best_width = UINT64_MAX;

	for (unsigned int i = 0; i < SAMPLE_READS; i++) {
		uint64_t before = tsc_read_ordered();
		uint32_t ref = reference_read();
		uint32_t apic = apic_timer_left();
		uint64_t width = tsc_read_ordered() - before;

		if (width < best_width) {
			best_width = width;
			best = (struct sample){before + width / 2, ref, apic};
		}
	}
	return best;
}

static uint32_t reference_passed(uint32_t since, uint32_t now)
{
	return (now - since) & reference.mask;
}

/* One window: both rates. */
static void rates_measure(uint64_t *tsc_rate, uint64_t *apic_rate)
{
	struct sample first;
	struct sample last;
	uint64_t passed;

	apic_timer_set(UINT32_MAX, true);
	first = sample_take();
	while (reference_passed(first.reference, reference_read()) < reference.hz / WINDOW_PER_SECOND) {
		cpu_pause();
	}
	last = sample_take();
	passed = reference_passed(first.reference, last.reference);
	*tsc_rate = (last.tsc - first.tsc) * reference.hz / passed;
	*apic_rate = (uint64_t)(first.apic - last.apic) * reference.hz / passed;
}

static void sort(uint64_t *values, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++) {
		for (unsigned int j = i; j > 0 && values[j] < values[j - 1]; j--) {
			uint64_t swap = values[j];

			values[j] = values[j - 1];
			values[j - 1] = swap;
		}
	}
}

/* The median counts. Steady: the inner three of five within 0.2 % of each other. */
static void rates_find(void)
{
	uint64_t tsc[TRIES];
	uint64_t apic[TRIES];

	for (unsigned int i = 0; i < TRIES; i++) {
		rates_measure(&tsc[i], &apic[i]);
	}
	apic_timer_set(0, true);
	sort(tsc, TRIES);
	sort(apic, TRIES);
	tsc_hz = tsc[TRIES / 2];
	apic_hz = apic[TRIES / 2];
	rate_is_steady = tsc[TRIES - 2] - tsc[1] <= tsc_hz / 500;
	if (tsc_hz < 1000000 || apic_hz < 1000 || apic_hz > UINT32_MAX) {
		PANIC("the TSC at %lu Hz or the APIC timer at %lu Hz cannot be", tsc_hz, apic_hz);
	}
	apic_per_tsc = (apic_hz << 32) / tsc_hz;
}

void time_start(void)
{
	reference_choose();
	rates_find();
	boot_tsc = tsc_read_ordered();
	wall_ns_at_boot = rtc_read_seconds() * NS_PER_SECOND;
	is_in_step = cpu_count() == 1;
}

void time_set_synchrony(bool in_step, uint64_t offset_bound)
{
	is_in_step = in_step;
	step_bound = offset_bound;
}

uint64_t host_tsc_hz(void)
{
	return tsc_hz;
}

bool host_tsc_stable(void)
{
	return rate_is_steady && is_in_step;
}

uint64_t host_tsc_offset_bound(void)
{
	return step_bound;
}

uint64_t host_wall_ns_at_boot(void)
{
	return wall_ns_at_boot;
}

uint64_t host_boot_tsc(void)
{
	return boot_tsc;
}

void host_delay_us(uint32_t us)
{
	uint64_t ticks = tsc_hz / 1000 * (us < 1000000 ? us : 1000000) / 1000;
	uint64_t start = tsc_read();

	while (tsc_read() - start < ticks) {
		cpu_pause();
	}
}

/* One tick more than the quotient, so that it fires after the deadline, not just before. */
void host_timer_arm(uint64_t tsc_deadline)
{
	uint64_t now = tsc_read();
	uint64_t left = tsc_deadline > now ? tsc_deadline - now : 0;
	unsigned __int128 ticks = (((unsigned __int128)left * apic_per_tsc) >> 32) + 1;

	apic_timer_set(ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX, false);
}

void host_timer_stop(void)
{
	apic_timer_set(0, true);
}
