/*
 * platform_ports.c - probes of specs/ports.def: the I/O ports of the board.
 */
#include "base/bits.h"
#include "guest-drivers/certify/certify.h"

#define UART_SCRATCH 7u
#define RTC_SECONDS 0u
#define RTC_STATUS_D 0x0Du
#define RTC_VALID 0x80u
#define PM_TIMER 8u /* from the row's first port on */
#define PM_TIMER_HZ 3579545u
#define PM_WAIT_NS 2000000u

static uint16_t first_port(const struct probe *p)
{
	return (uint16_t)p->row->number;
}

static uint32_t in(struct probe *p, uint16_t port, uint32_t bytes)
{
	return p->c->machine->port_in(port, bytes);
}

static void out(struct probe *p, uint16_t port, uint8_t value)
{
	p->c->machine->port_out(port, 1, value);
}

static bool needs_machine(struct probe *p)
{
	if (p->c->machine == NULL) {
		probe_skip(p, "needs a machine: its ports");
	}
	return p->c->machine == NULL;
}

/* All ones, and again: nobody answers. */
static bool offered(struct probe *p)
{
	uint32_t value = in(p, first_port(p), 1);
	uint32_t again = in(p, first_port(p), 1);

	probe_offer(p, value != 0xFF || again != 0xFF);
	probe_note(p, "0x%x 0x%x", value, again);
	return p->offered;
}

/* Channel 2 of a PIT that counts, or 0, as if it had come to its end: a loop that waits for that ends. */
static void port_pit2(struct probe *p)
{
	if (!needs_machine(p)) {
		(void)probe_check(p, offered(p) || in(p, first_port(p), 1) == 0xFF,
		                  "it answers now and then");
	}
}

static void port_port61(struct probe *p)
{
	if (!needs_machine(p)) {
		(void)probe_check(p, !offered(p) || (in(p, first_port(p), 1) & 0xC0) == 0, "NMI reasons");
	}
}

/* No controller is all ones; one that is there is not busy for ever. */
static void port_kbc(struct probe *p)
{
	if (!needs_machine(p)) {
		uint32_t value = in(p, first_port(p), 1);

		(void)probe_check(p, value == 0xFF || (value & 0xC0) == 0, "status 0x%x", value);
		probe_note(p, "0x%x", value);
	}
}

static bool is_bcd(uint32_t value, uint32_t most)
{
	return (value & 0xF) <= 9 && (value >> 4) * 10 + (value & 0xF) <= most;
}

static void port_rtc(struct probe *p)
{
	uint32_t seconds;
	uint32_t valid;

	if (needs_machine(p)) {
		return;
	}
	out(p, first_port(p), RTC_SECONDS);
	seconds = in(p, (uint16_t)(first_port(p) + 1), 1);
	out(p, first_port(p), RTC_STATUS_D);
	valid = in(p, (uint16_t)(first_port(p) + 1), 1);
	probe_offer(p, seconds != 0xFF || valid != 0xFF);
	(void)probe_check(p, (seconds == 0xFF && valid == 0xFF) || is_bcd(seconds, 59) || seconds <= 59,
	                  "0x%x seconds", seconds);
	(void)probe_check(p, (valid & RTC_VALID) != 0, "the clock says that it is not valid: 0x%x", valid);
	probe_note(p, "seconds 0x%x, register D 0x%x", seconds, valid);
}

static void port_debug(struct probe *p)
{
	if (!needs_machine(p)) {
		uint32_t value = in(p, first_port(p), 1);

		probe_offer(p, value == 0xE9);
		(void)probe_check(p, value == 0xE9 || value == 0xFF, "it reads 0x%x", value);
	}
}

static void port_uart(struct probe *p)
{
	uint16_t scratch = (uint16_t)(first_port(p) + UART_SCRATCH);
	uint32_t old;
	uint32_t seen;

	if (needs_machine(p)) {
		return;
	}
	old = in(p, scratch, 1);
	out(p, scratch, 0x5A);
	seen = in(p, scratch, 1);
	out(p, scratch, (uint8_t)old);
	probe_offer(p, seen == 0x5A);
	(void)probe_check(p, seen == 0x5A || seen == 0xFF, "the scratch register reads 0x%x", seen);
}

static void port_reset(struct probe *p)
{
	if (!needs_machine(p)) {
		uint32_t value = in(p, first_port(p), 1);

		(void)probe_check(p, value == 0xFF || (value & 0x4) == 0, "it reads 0x%x: reset is on",
		                  value);
		probe_note(p, "0x%x", value);
	}
}

/* Status bits are cleared by ones (ACPI 5.0 4.8.4.1.1). */
static void port_gpe0(struct probe *p)
{
	if (!needs_machine(p)) {
		uint32_t value = in(p, first_port(p), 2);
		uint32_t again;

		p->c->machine->port_out(first_port(p), 2, 0xFFFF);
		again = in(p, first_port(p), 2);
		probe_offer(p, value != 0xFFFF || again != 0xFFFF);
		(void)probe_check(p, again == 0 || (value == 0xFFFF && again == 0xFFFF),
		                  "0x%x after it was cleared", again);
		probe_note(p, "status 0x%x", value);
	}
}

static uint64_t pm_ticks(struct probe *p, uint64_t tsc)
{
	return mul_div(tsc, PM_TIMER_HZ, p->c->machine->tsc_hz);
}

/* Its timer counts at its rate, to a hundredth, in 24 bits or 32. */
static void port_pm(struct probe *p)
{
	uint16_t timer = (uint16_t)(first_port(p) + PM_TIMER);
	uint32_t ticks;
	uint64_t outer; /* from before the first reading to behind the last, and what lies between them */
	uint64_t inner;

	if (needs_machine(p)) {
		return;
	}
	outer = p->c->machine->tsc();
	ticks = in(p, timer, 4);
	inner = p->c->machine->tsc();
	probe_offer(p, ticks != UINT32_MAX);
	if (ticks == UINT32_MAX) {
		(void)probe_equal(p, in(p, timer, 4), UINT32_MAX, "the timer that there is not");
		return;
	}
	p->c->machine->wait_ns(PM_WAIT_NS, false);
	inner = pm_ticks(p, p->c->machine->tsc() - inner);
	ticks = (in(p, timer, 4) - ticks) & 0xFFFFFF;
	outer = pm_ticks(p, p->c->machine->tsc() - outer);
	(void)probe_check(p, ticks + inner / 50 + 50 >= inner && ticks <= outer + outer / 50 + 50,
	                  "%u ticks where the TSC says %lu to %lu", ticks, (unsigned long)inner,
	                  (unsigned long)outer);
	probe_note(p, "%u ticks, by the TSC %lu to %lu", ticks, (unsigned long)inner, (unsigned long)outer);
}

#define PORT(first, last, name, clause) {#name, first, true, clause, port_##name},
static const struct row rows[] = {
#include "specs/ports.def"
};
ROW_TABLE(ports, NEED_NOTHING)
