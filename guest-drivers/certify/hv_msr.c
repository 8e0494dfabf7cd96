/*
 * hv_msr.c - probes of specs/hv_msr.def: the hypercall page, what a processor and the partition know of themselves, time,
 * crash; and that what is not offered faults (TLFS). The SynIC is in hv_msr_synic.c, the timers in hv_stimer.c.
 */
#include "guest-drivers/certify/hv_probe.h"

#define OS_ID 0x8100FFEE00010002ull
#define OS_ID_CLOSED 0x0001040A00001234ull
#define CPUS_LOOKED_AT 64u
#define CODE_BYTES 32u
#define RET 0xC3u
#define UNITS_PER_US 10ull
#define RUNTIME_US 100000u
#define RUNTIME_TICK_US 10000u
#define HZ_MIN 1000000ull
#define HZ_MAX 20000000000ull
#define PER_MILLE_TIME 20u /* how far two clocks of one machine may be apart over PACE_US */
#define PACE_US 20000u
#define PAGE_UNITS_MAX 100u /* between the reference TSC page and the counter */

/* ------------------------------------------------------------------ the hypercall interface */

static bool offers(struct probe *p, uint32_t privilege)
{
	struct hv_says says;

	hv_probe_says(p->c, &says);
	return hv_probe_offers_msr(p, (says.privileges & privilege) != 0);
}

static void probe_os_id(struct probe *p)
{
	if (!offers(p, HV_MSR_HYPERCALL_AVAILABLE)) {
		return;
	}
	certify_hv_down(p->c);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_GUEST_OS_ID), 0, "before it is told");
	hv_probe_keeps(p, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	hv_probe_keeps(p, HV_X64_MSR_GUEST_OS_ID, OS_ID_CLOSED);
	hv_probe_keeps(p, HV_X64_MSR_GUEST_OS_ID, 0);
}

/* Code that returns stands there, where there were only A5 or 5A bytes. */
static void look_at_code(struct probe *p, const uint8_t *page)
{
	bool returns = false;

	for (uint32_t i = 0; i < CODE_BYTES; i++) {
		returns = returns || page[i] == RET;
	}
	(void)probe_check(p, returns, "the hypercall page does not begin with code that returns");
	probe_note(p, "code 0x%x 0x%x 0x%x 0x%x", page[0], page[1], page[2], page[3]);
}

/* Not before the identity is told, and no longer when it is taken back. */
static void check_identity_first(struct probe *p, const struct guest_page *page)
{
	uint64_t value = page->gfn << PAGE_SHIFT | HV_OVERLAY_ENABLE;

	(void)hv_probe_put(p, HV_X64_MSR_GUEST_OS_ID, 0);
	(void)hv_probe_put(p, HV_X64_MSR_HYPERCALL, value);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_HYPERCALL) & HV_OVERLAY_ENABLE, 0,
	                  "enabled without an identity");
	(void)hv_probe_put(p, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	(void)hv_probe_put(p, HV_X64_MSR_HYPERCALL, value);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_HYPERCALL), value, "the page's place");
	(void)hv_probe_put(p, HV_X64_MSR_GUEST_OS_ID, 0);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_HYPERCALL) & HV_OVERLAY_ENABLE, 0,
	                  "enabled after the identity was taken back");
}

/* The lock bit is left alone: only a reset would clear it. */
static void probe_hypercall(struct probe *p)
{
	struct guest_page page = {0};

	if (!offers(p, HV_MSR_HYPERCALL_AVAILABLE)) {
		return;
	}
	certify_hv_down(p->c);
	if (guest_page_alloc(p->c->guest, &page)) {
		check_identity_first(p, &page);
	}
	(void)hv_probe_put(p, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	(void)hv_probe_put(p, HV_X64_MSR_HYPERCALL, 0);
	hv_probe_overlay_beyond(p, false);
	hv_probe_overlay(p, look_at_code);
	(void)hv_probe_put(p, HV_X64_MSR_HYPERCALL, 0);
	(void)hv_probe_put(p, HV_X64_MSR_GUEST_OS_ID, 0);
	guest_page_free(p->c->guest, &page);
}

/* ------------------------------------------------------------------ processor and partition */

struct remote_read {
	struct certify *c;
	uint32_t msr;
	bool done;
	uint64_t value;
};

static void read_there(void *context)
{
	struct remote_read *read = context;

	read->done = certify_rdmsr(read->c, read->msr, &read->value);
}

/* Reads the row's MSR on processor @cpu. */
static uint64_t get_on(struct probe *p, uint32_t cpu)
{
	struct remote_read read = {.c = p->c, .msr = (uint32_t)p->row->number};

	(void)probe_check(p, certify_cpu_run(p->c, cpu, read_there, &read) && read.done,
	                  "processor %u does not read MSR 0x%x", cpu, read.msr);
	return read.value;
}

static uint32_t cpu_count(const struct probe *p)
{
	uint32_t count = p->c->machine == NULL ? 1 : p->c->machine->cpu_count;

	return count < CPUS_LOOKED_AT ? count : CPUS_LOOKED_AT;
}

/* Each processor has another. */
static void probe_vp_index(struct probe *p)
{
	uint64_t seen[CPUS_LOOKED_AT];
	struct hv_says says;

	hv_probe_says(p->c, &says);
	if (!offers(p, HV_MSR_VP_INDEX_AVAILABLE)) {
		return;
	}
	seen[0] = hv_probe_get(p, HV_X64_MSR_VP_INDEX);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_VP_INDEX), seen[0], "the index, again");
	hv_probe_put_faults(p, HV_X64_MSR_VP_INDEX, seen[0]);
	for (uint32_t i = 0; i < cpu_count(p); i++) {
		seen[i] = i == 0 ? seen[0] : get_on(p, i);
		(void)probe_check(p, seen[i] < says.vp_max, "index %lu of at most %u", (unsigned long)seen[i],
		                  says.vp_max);
		for (uint32_t other = 0; other < i; other++) {
			(void)probe_check(p, seen[i] != seen[other], "processors %u and %u have index %lu",
			                  other, i, (unsigned long)seen[i]);
		}
	}
	probe_note(p, "vp_index %lu of %u processors", (unsigned long)seen[0], cpu_count(p));
}

/* That it resets is for others to see. */
static void probe_reset(struct probe *p)
{
	if (offers(p, HV_MSR_RESET_AVAILABLE)) {
		(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_RESET), 0, "the value");
		(void)hv_probe_put(p, HV_X64_MSR_RESET, 0);
		(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_RESET), 0, "the value after 0 was written");
	}
}

/*
 * Rises as this processor runs, and not faster than time. Some count by ticks of their own clock: at most a hundred a
 * second, as no document says how fine it is.
 */
static void probe_vp_runtime(struct probe *p)
{
	const uint32_t us = p->c->machine == NULL ? hv_timer_delay_us(p->c) : RUNTIME_US;
	const uint64_t tick = p->c->machine == NULL ? UNITS_PER_US : RUNTIME_TICK_US * UNITS_PER_US;
	uint64_t first, second, time, ran;

	if (!offers(p, HV_MSR_VP_RUNTIME_AVAILABLE)) {
		return;
	}
	hv_probe_put_faults(p, HV_X64_MSR_VP_RUNTIME, 0);
	time = hv_probe_time(p->c);
	first = hv_probe_get(p, HV_X64_MSR_VP_RUNTIME);
	hv_probe_pass(p, us);
	second = hv_probe_get(p, HV_X64_MSR_VP_RUNTIME);
	time = hv_probe_time(p->c) - time;
	ran = second - first;
	(void)probe_check(p, second > first, "it does not rise: %lu, then %lu", (unsigned long)first,
	                  (unsigned long)second);
	(void)probe_check(p, time == 0 || ran <= time + time / 50 + tick,
	                  "%lu units of running in %lu of time", (unsigned long)ran, (unsigned long)time);
	probe_note(p, "%lu units of running in %lu of time", (unsigned long)ran, (unsigned long)time);
}

static void look_at_assist(struct probe *p, const uint8_t *page)
{
	(void)probe_equal(p, page[0] & 1u, 0, "'no EOI required' before any interrupt");
}

/*
 * Linux uses the page whatever the privilege says, so it may be there without: then the answer tells. Only the word that
 * the guest and the hypervisor share is looked at.
 */
static void probe_vp_assist(struct probe *p)
{
	struct hv_says says;
	uint64_t value = 0;
	bool answers = certify_rdmsr(p->c, HV_X64_MSR_VP_ASSIST_PAGE, &value);

	hv_probe_says(p->c, &says);
	if (!hv_probe_offers_msr(p, answers || (says.privileges & HV_MSR_APIC_ACCESS_AVAILABLE) != 0)) {
		return;
	}
	if ((says.privileges & HV_MSR_APIC_ACCESS_AVAILABLE) == 0) {
		probe_note(p, "answers without its privilege (leaf 3, EAX bit 4)");
	}
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_VP_ASSIST_PAGE) & HV_OVERLAY_ENABLE, 0, "disabled");
	hv_probe_overlay(p, look_at_assist);
	hv_probe_overlay_beyond(p, true);
}

/* ------------------------------------------------------------------ time */

/* Of @a and @b one is at most @per_mille of a thousandth larger. */
static bool are_close(uint64_t a, uint64_t b, uint32_t per_mille)
{
	uint64_t apart = a > b ? a - b : b - a;

	return apart <= b / 1000 * per_mille + 1;
}

/* Against the TSC, where it can be read and its rate is known. */
static void check_rate(struct probe *p)
{
	const struct certify_machine *machine = p->c->machine;
	uint64_t time, tsc, expected;

	if (machine == NULL || machine->tsc_hz == 0) {
		return;
	}
	time = hv_probe_time(p->c);
	tsc = machine->tsc();
	hv_probe_pass(p, PACE_US);
	time = hv_probe_time(p->c) - time;
	tsc = machine->tsc() - tsc;
	expected = tsc * HV_CLOCK_HZ / machine->tsc_hz;
	(void)probe_check(p, are_close(time, expected, PER_MILLE_TIME), "%lu units by it, %lu by the TSC",
	                  (unsigned long)time, (unsigned long)expected);
	for (uint32_t cpu = 1; cpu < cpu_count(p); cpu++) {
		uint64_t before = hv_probe_time(p->c);
		uint64_t there = get_on(p, cpu);

		(void)probe_check(p, there >= before && hv_probe_time(p->c) >= there,
		                  "processor %u: %lu, and here %lu before", cpu, (unsigned long)there,
		                  (unsigned long)before);
	}
}

static void probe_time_ref_count(struct probe *p)
{
	uint64_t last, now = 0;
	bool falls = false;

	if (!offers(p, HV_MSR_TIME_REF_COUNT_AVAILABLE)) {
		return;
	}
	hv_probe_put_faults(p, HV_X64_MSR_TIME_REF_COUNT, 0);
	last = hv_probe_get(p, HV_X64_MSR_TIME_REF_COUNT);
	for (uint32_t i = 0; i < 100; i++) {
		guest_poll(p->c->guest);
		now = hv_probe_time(p->c);
		falls = falls || now < last;
		last = now;
	}
	(void)probe_check(p, !falls, "it goes back");
	hv_probe_pass(p, hv_timer_delay_us(p->c));
	(void)probe_check(p, hv_probe_time(p->c) > now, "it stands still at %lu", (unsigned long)now);
	check_rate(p);
}

static uint64_t high_64(uint64_t a, uint64_t b)
{
	return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

static uint64_t page_time(const struct hv_reference_tsc_page *page, uint64_t tsc)
{
	return high_64(tsc, page->tsc_scale) + (uint64_t)page->tsc_offset;
}

/* The page's time lies between two readings of the counter; its rate is the TSC's. */
static void look_at_clock(struct probe *p, const uint8_t *bytes)
{
	const struct certify_machine *machine = p->c->machine;
	struct hv_reference_tsc_page page;
	uint64_t before, by_page, after, tsc_hz = 0;

	memcpy(&page, bytes, sizeof(page));
	if (page.tsc_sequence == 0) {
		probe_note(p, "sequence 0: the counter is to be used instead");
		return;
	}
	(void)probe_check(p, page.tsc_sequence != UINT32_MAX, "the sequence is one that was invalid once");
	if (certify_rdmsr(p->c, HV_X64_MSR_TSC_FREQUENCY, &tsc_hz)) {
		uint64_t second = high_64(tsc_hz, page.tsc_scale);

		(void)probe_check(p, are_close(second, HV_CLOCK_HZ, 1), "a second of the TSC is %lu units",
		                  (unsigned long)second);
	}
	if (machine != NULL && hv_probe_time(p->c) != 0) {
		before = hv_probe_time(p->c);
		by_page = page_time(&page, machine->tsc());
		after = hv_probe_time(p->c);
		(void)probe_check(p, by_page + PAGE_UNITS_MAX >= before && by_page <= after + PAGE_UNITS_MAX,
		                  "%lu by the page, and %lu to %lu by the counter", (unsigned long)by_page,
		                  (unsigned long)before, (unsigned long)after);
	}
	probe_note(p, "sequence %u, scale 0x%lx, offset %ld", page.tsc_sequence,
	           (unsigned long)page.tsc_scale, (long)page.tsc_offset);
}

/* Also before the guest says who it is: Linux does it then. */
static void probe_reference_tsc(struct probe *p)
{
	if (offers(p, HV_MSR_REFERENCE_TSC_AVAILABLE)) {
		certify_hv_down(p->c);
		hv_probe_overlay(p, look_at_clock);
		hv_probe_overlay_beyond(p, true);
	}
}

static uint64_t probe_frequency(struct probe *p)
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t hz = hv_probe_get(p, msr);

	(void)probe_check(p, hz >= HZ_MIN && hz <= HZ_MAX, "%lu Hz", (unsigned long)hz);
	(void)probe_equal(p, hv_probe_get(p, msr), hz, "the frequency, again");
	hv_probe_put_faults(p, msr, hz);
	probe_note(p, "%lu Hz", (unsigned long)hz);
	return hz;
}

/* The TSC's ticks in a time by the reference counter. */
static void probe_tsc_frequency(struct probe *p)
{
	uint64_t hz, time, tsc, expected;

	if (!offers(p, HV_ACCESS_FREQUENCY_MSRS)) {
		return;
	}
	hz = probe_frequency(p);
	if (p->c->machine == NULL || hv_probe_time(p->c) == 0) {
		return;
	}
	time = hv_probe_time(p->c);
	tsc = p->c->machine->tsc();
	hv_probe_pass(p, PACE_US);
	time = hv_probe_time(p->c) - time;
	tsc = p->c->machine->tsc() - tsc;
	expected = hz / 1000 * time / (HV_CLOCK_HZ / 1000);
	(void)probe_check(p, are_close(tsc, expected, PER_MILLE_TIME), "%lu ticks where %lu were to be",
	                  (unsigned long)tsc, (unsigned long)expected);
}

static void probe_apic_frequency(struct probe *p)
{
	if (offers(p, HV_ACCESS_FREQUENCY_MSRS)) {
		(void)probe_frequency(p);
	}
}

/* ------------------------------------------------------------------ crash */

static bool offers_crash(struct probe *p)
{
	struct hv_says says;

	hv_probe_says(p->c, &says);
	return hv_probe_offers_msr(p, (says.features & HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE) != 0);
}

/* Storage of 64 bits each, of its own. */
static void probe_crash_parameter(struct probe *p)
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t before;

	if (!offers_crash(p)) {
		return;
	}
	before = hv_probe_get(p, msr);
	for (uint32_t i = 0; i < HV_X64_MSR_CRASH_PARAMS; i++) {
		(void)hv_probe_put(p, HV_X64_MSR_CRASH_P0 + i, 0x1111111111111111ull * i);
	}
	hv_probe_keeps(p, msr, 0xFEDCBA9876543210ull);
	for (uint32_t i = 0; i < HV_X64_MSR_CRASH_PARAMS; i++) {
		if (HV_X64_MSR_CRASH_P0 + i != msr) {
			(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_CRASH_P0 + i),
			                  0x1111111111111111ull * i, "another parameter");
		}
		(void)hv_probe_put(p, HV_X64_MSR_CRASH_P0 + i, 0);
	}
	(void)hv_probe_put(p, msr, before);
}

/* It reads as what may be asked of it. Nothing is asked: that would be this guest's end. */
static void probe_crash_control(struct probe *p)
{
	uint64_t value;

	if (!offers_crash(p)) {
		return;
	}
	value = hv_probe_get(p, HV_X64_MSR_CRASH_CTL);
	(void)probe_check(p, (value & HV_CRASH_CTL_CRASH_NOTIFY) != 0, "no notification: 0x%lx",
	                  (unsigned long)value);
	(void)probe_check(p, value << 6 == 0, "bits that mean nothing: 0x%lx", (unsigned long)value);
	(void)hv_probe_put(p, HV_X64_MSR_CRASH_CTL, 0);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_CRASH_CTL), value, "after 0 was written");
	probe_note(p, "takes %s", (value & HV_CRASH_CTL_CRASH_NOTIFY_MSG) != 0 ? "a message" : "no message");
}

/* ------------------------------------------------------------------ the SynIC */

static void probe_synic(struct probe *p)
{
	uint32_t msr = (uint32_t)p->row->number;

	if (msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15) {
		hv_probe_sint(p);
	} else if (msr >= HV_X64_MSR_STIMER0_CONFIG && msr <= HV_X64_MSR_STIMER3_COUNT) {
		((msr & 1) == 0 ? hv_probe_stimer_config : hv_probe_stimer_count)(p);
	} else if (msr == HV_X64_MSR_SCONTROL) {
		hv_probe_scontrol(p);
	} else if (msr == HV_X64_MSR_SVERSION) {
		hv_probe_sversion(p);
	} else if (msr == HV_X64_MSR_SIEFP) {
		hv_probe_siefp(p);
	} else if (msr == HV_X64_MSR_SIMP) {
		hv_probe_simp(p);
	} else if (msr == HV_X64_MSR_EOM) {
		hv_probe_eom(p);
	}
}

static void probe_guest_idle(struct probe *p)
{
	hv_probe_guest_idle(p);
}

/* ------------------------------------------------------------------ what Janus refuses */

/* By its privilege, where it has one; else by its answer. */
static bool is_offered(struct probe *p, uint32_t msr)
{
	struct hv_says says;
	uint64_t value;

	hv_probe_says(p->c, &says);
	switch (msr) {
	case HV_X64_MSR_NPIEP_CONFIG:
		return (says.features & HV_FEATURE_NPIEP) != 0;
	case HV_X64_MSR_EOI:
	case HV_X64_MSR_ICR:
	case HV_X64_MSR_TPR:
		return (says.privileges & HV_MSR_APIC_ACCESS_AVAILABLE) != 0;
	case HV_X64_MSR_REENLIGHTENMENT_CONTROL:
	case HV_X64_MSR_TSC_EMULATION_CONTROL:
	case HV_X64_MSR_TSC_EMULATION_STATUS:
		return (says.privileges & HV_ACCESS_REENLIGHTENMENT) != 0;
	case HV_X64_MSR_STIME_UNHALTED_TIMER_CONFIG:
	case HV_X64_MSR_STIME_UNHALTED_TIMER_COUNT:
		return (says.features & HV_FEATURE_TIME_UNHALTED_TIMER) != 0;
	case HV_X64_MSR_TSC_INVARIANT_CONTROL:
		return (says.privileges & HV_ACCESS_TSC_INVARIANT) != 0;
	case HV_X64_MSR_SIRBP:
		return certify_rdmsr(p->c, msr, &value);
	default:
		return msr >= HV_X64_MSR_SYNDBG_CONTROL && msr <= HV_X64_MSR_SYNDBG_OPTIONS
		               ? (says.privileges & HV_ACCESS_DEBUG_MSRS) != 0
		               : (says.hints & HV_X64_HYPERV_NESTED) != 0;
	}
}

/* A priority is kept; the end of an interrupt may be said though there is none; and no one reads it. */
static void check_apic(struct probe *p, uint32_t msr)
{
	uint64_t value = 0;
	uint64_t before;

	if (msr == HV_X64_MSR_EOI) {
		(void)probe_check(p, !certify_rdmsr(p->c, msr, &value), "EOI reads as 0x%lx",
		                  (unsigned long)value);
		(void)hv_probe_put(p, msr, 0);
	} else if (msr == HV_X64_MSR_TPR) {
		before = hv_probe_get(p, msr);
		hv_probe_keeps(p, msr, 0x20);
		hv_probe_keeps(p, msr, before);
	} else {
		(void)hv_probe_get(p, msr);
	}
}

/* The nested SINTs are one row. */
static void check_nested_sints(struct probe *p)
{
	uint64_t value;

	for (uint32_t msr = HV_X64_MSR_NESTED_SINT0; msr <= HV_X64_MSR_NESTED_SINT15; msr++) {
		(void)probe_check(p, !certify_rdmsr(p->c, msr, &value), "MSR 0x%x is not offered, and reads",
		                  msr);
		(void)probe_check(p, !certify_wrmsr(p->c, msr, HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR),
		                  "MSR 0x%x is not offered, and takes a write", msr);
	}
}

/* What another hypervisor offers of these is only looked at: it could change how the machine runs. */
static void probe_none(struct probe *p)
{
	uint32_t msr = (uint32_t)p->row->number;

	if (!hv_probe_offers_msr(p, is_offered(p, msr))) {
		if (msr == HV_X64_MSR_NESTED_SINT0) {
			check_nested_sints(p);
		}
		return;
	}
	if (msr >= HV_X64_MSR_EOI && msr <= HV_X64_MSR_TPR) {
		check_apic(p, msr);
	} else {
		probe_note(p, "0x%lx", (unsigned long)hv_probe_get(p, msr));
	}
}

/* Not by certify.h's ROW: the names are macros. */
#define SPEC_ROW(number, name, status, handler, clause) \
	{#name, (uint64_t)(number), ROW_##status, clause, probe_##handler},
static const struct row rows[] = {
#include "specs/hv_msr.def"
};
ROW_TABLE(hv_msr, NEED_HYPERV)
