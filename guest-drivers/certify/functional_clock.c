/*
 * functional_clock.c - the faces' clocks against each other and the TSC, on all CPUs; and their timers.
 */
#include "base/bits.h"
#include "guest-drivers/certify/functional.h"

#define LOOKS 2000u
#define APART_NS 1000u /* two clocks read one after the other; Hyper-V's counts by 100 */
#define RATE_NS 50000000u
#define TIMER_NS 2000000u
#define TIMER_ROUNDS 8u
#define TIMER_WAIT_US 3000000u
#define VECTOR_DIRECT 0xE5u

/* ------------------------------------------------------------------ reading */

uint64_t clock_hyperv_ns(struct certify *c)
{
	uint64_t count = 0;

	(void)certify_rdmsr(c, HV_X64_MSR_TIME_REF_COUNT, &count);
	return count * 100;
}

/* @cpu's Xen clock when its TSC is @tsc. */
static uint64_t xen_ns(struct certify *c, uint32_t cpu, uint64_t tsc)
{
	const volatile struct xen_shared_info64 *page = (const volatile void *)c->xen.shared;
	const volatile struct xen_vcpu_time_info *time = &page->vcpu_info[cpu].time;
	uint32_t before;
	uint64_t value;

	do {
		uint64_t ticks;

		before = time->version;
		ticks = tsc < time->tsc_timestamp ? 0 : tsc - time->tsc_timestamp;
		ticks = time->tsc_shift < 0 ? ticks >> -time->tsc_shift : ticks << time->tsc_shift;
		value = time->system_time + mul_div(ticks, time->tsc_to_system_mul, UINT64_C(1) << 32);
	} while ((before & 1) != 0 || before != time->version);
	return value;
}

uint64_t clock_xen_ns(struct certify *c)
{
	return xen_ns(c, 0, c->machine == NULL ? 0 : c->machine->tsc());
}

static uint64_t page_ns(const volatile struct hv_reference_tsc_page *page, uint64_t tsc, bool *valid)
{
	uint32_t before;
	uint64_t value;

	do {
		before = page->tsc_sequence;
		value = (mul_high(tsc, page->tsc_scale) + (uint64_t)page->tsc_offset) * 100;
	} while (before != page->tsc_sequence);
	*valid = before != 0;
	return value;
}

static bool needs_machine(struct probe *p)
{
	if (p->c->machine == NULL) {
		probe_skip(p, "needs a machine: a TSC, interrupts, CPUs");
	}
	return p->c->machine == NULL;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* Brings up what there is of the two faces. False: a check has failed. */
static bool faces_up(struct probe *p)
{
	bool good = p->c->faces.hyperv_base == 0 || certify_hv_started(p) != NULL;

	return (p->c->faces.xen_base == 0 || certify_xen_started(p) != NULL) && good;
}

/* ------------------------------------------------------------------ none goes back */

struct look {
	struct certify *c;
	uint32_t cpu;
	uint64_t latest[3]; /* TSC, Hyper-V's counter, Xen's clock */
	uint32_t slips[3];
};

/* Reads all clocks once; each must not be before what was read last, on whichever CPU. */
static void look_once(struct look *look)
{
	struct certify *c = look->c;
	uint64_t now[3];

	now[0] = c->machine->tsc();
	now[1] = c->faces.hyperv_base == 0 ? 0 : clock_hyperv_ns(c);
	now[2] = c->faces.xen_base == 0 || look->cpu >= XEN_LEGACY_MAX_VCPUS
	                 ? look->latest[2]
	                 : xen_ns(c, look->cpu, c->machine->tsc());
	for (uint32_t i = 0; i < 3; i++) {
		look->slips[i] += now[i] < look->latest[i] ? 1 : 0;
		look->latest[i] = now[i];
	}
}

static void look_often(void *context)
{
	for (uint32_t i = 0; i < LOOKS; i++) {
		look_once(context);
	}
}

void probe_clocks_monotonic(struct probe *p)
{
	struct look look = {.c = p->c};

	if (needs_machine(p) || !faces_up(p)) {
		return;
	}
	look_often(&look);
	for (uint32_t cpu = 1; cpu < p->c->machine->cpu_count; cpu++) {
		look.cpu = cpu;
		(void)probe_check(p, certify_cpu_run(p->c, cpu, look_often, &look), "CPU %u does not answer",
		                  cpu);
		look.cpu = 0;
		look_often(&look);
	}
	(void)probe_equal(p, look.slips[0], 0, "times that the TSC went back");
	(void)probe_equal(p, look.slips[1], 0, "times that Hyper-V's counter went back");
	(void)probe_equal(p, look.slips[2], 0, "times that Xen's clock went back");
	probe_note(p, "%u CPUs, %u looks each", p->c->machine->cpu_count, LOOKS);
}

/* ------------------------------------------------------------------ one time, one rate */

void probe_hyperv_page_and_counter(struct probe *p)
{
	struct guest_page page;
	const volatile struct hv_reference_tsc_page *tsc_page;
	uint64_t old = 0;
	bool valid;

	if (p->c->faces.hyperv_base == 0) {
		probe_skip(p, "no Hyper-V here");
		return;
	}
	if (needs_machine(p) || certify_hv_started(p) == NULL) {
		return;
	}
	if (!certify_rdmsr(p->c, HV_X64_MSR_REFERENCE_TSC, &old)) {
		probe_skip(p, "no reference TSC page is offered");
		return;
	}
	if (!probe_check(p, guest_page_alloc(p->c->guest, &page), "no page left")) {
		return;
	}
	(void)probe_check(p, certify_wrmsr(p->c, HV_X64_MSR_REFERENCE_TSC, page.gfn << PAGE_SHIFT | 1),
	                  "the page is refused");
	tsc_page = (const volatile void *)p->c->guest->ops->page_at(p->c->guest->context, page.gfn);
	for (uint32_t i = 0; i < LOOKS; i++) {
		uint64_t before = page_ns(tsc_page, p->c->machine->tsc(), &valid);
		uint64_t count = clock_hyperv_ns(p->c);
		uint64_t after = page_ns(tsc_page, p->c->machine->tsc(), &valid);

		if (!probe_check(p, !valid || (count + 100 >= before && count <= after + 100),
		                 "the counter's time lies %lu ns outside",
		                 (unsigned long)distance(count, before))) {
			break;
		}
	}
	probe_note(p, "the page is %s", valid ? "valid" : "not valid: only the counter counts");
	(void)probe_check(p, certify_wrmsr(p->c, HV_X64_MSR_REFERENCE_TSC, old), "the old value is refused");
	guest_page_free(p->c->guest, &page);
}

void probe_xen_clock_rate(struct probe *p)
{
	const struct certify_machine *machine = p->c->machine;
	uint64_t tsc;
	uint64_t ns;
	uint64_t by_tsc;

	if (p->c->faces.xen_base == 0) {
		probe_skip(p, "no Xen here");
		return;
	}
	if (needs_machine(p) || certify_xen_started(p) == NULL) {
		return;
	}
	tsc = machine->tsc();
	ns = xen_ns(p->c, 0, tsc);
	machine->wait_ns(RATE_NS, false);
	by_tsc = machine->tsc();
	ns = xen_ns(p->c, 0, by_tsc) - ns;
	by_tsc = mul_div(by_tsc - tsc, 1000000000u, machine->tsc_hz);
	(void)probe_check(p, distance(ns, by_tsc) <= by_tsc / 1000, "%lu ns where the TSC says %lu",
	                  (unsigned long)ns, (unsigned long)by_tsc);
	probe_note(p, "%lu ns, by the TSC %lu", (unsigned long)ns, (unsigned long)by_tsc);
}

/* Xen's clock at a moment between two looks at Hyper-V's. */
struct both_clocks {
	uint64_t hyperv_before, xen, hyperv_after;
};

static struct both_clocks read_both(struct certify *c)
{
	struct both_clocks clocks;

	clocks.hyperv_before = clock_hyperv_ns(c);
	clocks.xen = clock_xen_ns(c);
	clocks.hyperv_after = clock_hyperv_ns(c);
	return clocks;
}

void probe_clocks_of_both_faces(struct probe *p)
{
	struct both_clocks first;
	struct both_clocks last;
	uint64_t took;

	if (p->c->faces.hyperv_base == 0 || p->c->faces.xen_base == 0) {
		probe_skip(p, "not both faces here");
		return;
	}
	if (needs_machine(p) || !faces_up(p)) {
		return;
	}
	first = read_both(p->c);
	p->c->machine->wait_ns(RATE_NS, false);
	last = read_both(p->c);
	took = last.xen - first.xen;
	(void)probe_check(p,
	                  took + APART_NS >= last.hyperv_before - first.hyperv_after &&
	                          took <= last.hyperv_after - first.hyperv_before + APART_NS,
	                  "Hyper-V's took %lu to %lu ns, Xen's %lu",
	                  (unsigned long)(last.hyperv_before - first.hyperv_after),
	                  (unsigned long)(last.hyperv_after - first.hyperv_before), (unsigned long)took);
	probe_note(p, "%lu and %lu ns", (unsigned long)(last.hyperv_before - first.hyperv_before),
	           (unsigned long)took);
}

/* ------------------------------------------------------------------ timers */

/* How late the rounds of a timer were; early is 0 or a failed check. */
struct lateness {
	uint64_t least, most;
};

static void late_add(struct probe *p, struct lateness *late, uint64_t asked, uint64_t came)
{
	if (probe_check(p, came >= asked, "a timer is %lu ns early", (unsigned long)(asked - came))) {
		late->least = came - asked < late->least ? came - asked : late->least;
		late->most = came - asked > late->most ? came - asked : late->most;
	}
}

/* Waits until @vector has come @count times; false: it has not. */
static bool await_vector(struct certify *c, uint8_t vector, uint32_t count)
{
	for (uint64_t start = c->machine->tsc(); c->machine->vector_count(0, vector) < count;) {
		if (c->machine->tsc() - start > c->machine->tsc_hz / 1000000 * TIMER_WAIT_US) {
			return false;
		}
		c->machine->wait_ns(1000, false);
	}
	return true;
}

static void hyperv_timer_rounds(struct probe *p)
{
	struct certify *c = p->c;
	struct lateness late = {UINT64_MAX, 0};
	uint64_t config =
	        HV_STIMER_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)VECTOR_DIRECT << HV_STIMER_VECTOR_SHIFT;

	c->machine->vector_watch(VECTOR_DIRECT, true);
	for (uint32_t i = 0; i < TIMER_ROUNDS; i++) {
		uint32_t before = c->machine->vector_count(0, VECTOR_DIRECT);
		uint64_t at = clock_hyperv_ns(c) + TIMER_NS;

		(void)probe_check(p, certify_wrmsr(c, HV_X64_MSR_STIMER0_COUNT, at / 100),
		                  "the deadline is refused");
		(void)probe_check(p, certify_wrmsr(c, HV_X64_MSR_STIMER0_CONFIG, config),
		                  "the timer is refused");
		if (!probe_check(p, await_vector(c, VECTOR_DIRECT, before + 1), "the timer does not come")) {
			break;
		}
		late_add(p, &late, at / 100 * 100, clock_hyperv_ns(c));
	}
	(void)certify_wrmsr(c, HV_X64_MSR_STIMER0_CONFIG, 0);
	probe_note(p, "late by %lu to %lu ns", (unsigned long)late.least, (unsigned long)late.most);
}

void probe_hyperv_timer(struct probe *p)
{
	uint32_t regs[4];

	if (p->c->faces.hyperv_base == 0) {
		probe_skip(p, "no Hyper-V here");
		return;
	}
	if (needs_machine(p) || certify_hv_started(p) == NULL) {
		return;
	}
	certify_cpuid(p->c, p->c->faces.hyperv_base + 3, 0, regs);
	if ((regs[3] & HV_STIMER_DIRECT_MODE_AVAILABLE) == 0) {
		probe_skip(p, "no direct mode of synthetic timers is offered");
		return;
	}
	hyperv_timer_rounds(p);
}

static void note_event(void *context)
{
	*(uint32_t *)context += 1;
}

static bool event_came(void *context)
{
	return *(volatile uint32_t *)context != 0;
}

/* Polls the store's guest until the port has fired. */
struct xen_wait {
	struct xen_guest *x;
	uint32_t events;
};

static bool xen_event_came(void *context)
{
	struct xen_wait *wait = context;

	(void)xen_events_handle(wait->x);
	return event_came(&wait->events);
}

static void xen_timer_rounds(struct probe *p, struct xen_guest *x, struct xen_wait *wait)
{
	struct lateness late = {UINT64_MAX, 0};

	for (uint32_t i = 0; i < TIMER_ROUNDS; i++) {
		struct xen_set_singleshot_timer timer = {.timeout_abs_ns = clock_xen_ns(p->c) + TIMER_NS};

		wait->events = 0;
		memset(x->args.bytes, 0, 16);
		memcpy(x->args.bytes, &timer, sizeof(timer));
		(void)probe_equal(p,
		                  (uint64_t)xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0,
		                                     x->args.gfn << PAGE_SHIFT),
		                  0, "setting the timer");
		if (!probe_check(p, certify_wait(p->c, xen_event_came, wait, TIMER_WAIT_US),
		                 "the timer does not come")) {
			break;
		}
		late_add(p, &late, timer.timeout_abs_ns, clock_xen_ns(p->c));
	}
	probe_note(p, "late by %lu to %lu ns", (unsigned long)late.least, (unsigned long)late.most);
}

void probe_xen_timer(struct probe *p)
{
	struct xen_evtchn_bind_virq bind = {.virq = VIRQ_TIMER};
	struct xen_guest *x;
	struct xen_wait wait;

	if (p->c->faces.xen_base == 0) {
		probe_skip(p, "no Xen here");
		return;
	}
	x = needs_machine(p) ? NULL : certify_xen_started(p);
	if (x == NULL) {
		return;
	}
	wait = (struct xen_wait){x, 0};
	(void)xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
	if (!probe_equal(p,
	                 (uint64_t)xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq,
	                                           &bind, sizeof(bind)),
	                 0, "binding VIRQ_TIMER") ||
	    !probe_check(p, xen_port_handle(x, bind.port, note_event, &wait.events),
	                 "no room for its handler")) {
		return;
	}
	xen_timer_rounds(p, x, &wait);
	(void)probe_equal(p, (uint64_t)xen_port_close(x, bind.port), 0, "closing its port");
}

void probe_apic_timer(struct probe *p)
{
	const struct certify_machine *machine = p->c->machine;
	struct lateness late = {UINT64_MAX, 0};

	if (needs_machine(p)) {
		return;
	}
	for (uint32_t i = 0; i < TIMER_ROUNDS; i++) {
		uint64_t start = machine->tsc();
		uint64_t took;

		(void)probe_check(p, machine->apic_timer(TIMER_NS), "the timer does not come");
		took = mul_div(machine->tsc() - start, 1000000000u, machine->tsc_hz);
		late_add(p, &late, TIMER_NS - TIMER_NS / 100,
		         took); /* its clock is measured, to a hundredth */
	}
	probe_note(p, "late by %lu to %lu ns, less a hundredth", (unsigned long)late.least,
	           (unsigned long)late.most);
}
