/*
 * clock_test.c - the host's time goes in steps (a nanosecond, an hour, an hour in which no timer
 * ran) and its TSC at any rate, stable or not: a guest's clocks never go back and agree with each
 * other, and no timer comes early or twice.
 */
#include "backend/clock.h"
#include "tests/faults/fault_rig.h"

#define HOUR_NS 3600000000000ull
#define VECTOR_ONCE 0x41u
#define VECTOR_PERIODIC 0x42u
#define PERIOD_NS 10000000ull
#define CONFIG(vector)                                                                           \
	(HV_STIMER_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)(vector) << HV_STIMER_VECTOR_SHIFT)

static const uint64_t rates[] = {1000000000, 2400000000, 3141592653, 999999937, 33000000, 20000000000, 5000000};

static struct clock clock_now;
static uint64_t random_state;

static uint64_t steps(void)
{
	return fault_full ? 3000 : 150;
}

/* One step of the host. With a short period running, no long steps with each of its callbacks. */
static void step(struct fault_guest *g, bool periodic)
{
	static const uint64_t sizes[] = {1, 99, 1000, 777777, 10000000, 1000000000, HOUR_NS};
	uint64_t size = sizes[fault_random(&random_state) % ARRAY_COUNT(sizes)];

	if (size > 1) {
		size = size / 2 + fault_random(&random_state) % size;
	}
	if (fault_random(&random_state) % 4 == 0 || (periodic && size > 1000000000)) {
		host_time_jump_ns(g->loop.vm, size);
	} else {
		host_time_advance_ns(g->loop.vm, size);
	}
	(void)host_run_timers(g->loop.vm);
}

/* An hour in which no timer ran, and a millisecond after it: no period of these tests is shorter. */
static void stand_still(struct fault_guest *g)
{
	host_time_jump_ns(g->loop.vm, HOUR_NS);
	for (uint32_t i = 0; i < 1000; i++) {
		/* Nor does the host's CPU pay for them. */
		FAULT_CHECK(host_run_timers(g->loop.vm) <= 4, clock_now.tsc_hz, i);
		host_time_advance_ns(g->loop.vm, 1000);
		if (g->face == FAULT_XEN) {
			(void)xen_events_handle(&g->xen);
		}
	}
}

static struct fault_guest *up(enum fault_face face, uint64_t hz, bool stable)
{
	struct fault_guest *g;

	fault_point(stable ? "stable TSC of this rate" : "unstable TSC of this rate", hz);
	clock_init(&clock_now, hz, stable, 1700000000000000000ull);
	host_default_clock(&clock_now);
	g = fault_up(0, face, NULL, false);
	host_default_clock(NULL);
	random_state = fault_seed * 2 + hz;
	return g;
}

/* ------------------------------------------------------------------ Hyper-V */

struct hv_clock {
	struct guest_page page;
	const uint8_t *bytes; /* NULL: no page clock */
	uint64_t last_msr, last_page;
};

static uint64_t rdmsr(struct fault_guest *g, uint32_t msr)
{
	uint64_t value = 0;

	CU_ASSERT_TRUE_FATAL(g->ops.rdmsr(&g->loop, msr, &value));
	return value;
}

static void wrmsr(struct fault_guest *g, uint32_t msr, uint64_t value)
{
	CU_ASSERT_TRUE_FATAL(g->ops.wrmsr(&g->loop, msr, value));
}

static void hv_clock_up(struct fault_guest *g, struct hv_clock *c)
{
	struct hv_reference_tsc_page page;
	uint32_t regs[4];

	memset(c, 0, sizeof(*c));
	g->ops.cpuid(&g->loop, HYPERV_CPUID_FEATURES, 0, regs);
	if ((regs[0] & HV_MSR_REFERENCE_TSC_AVAILABLE) == 0) {
		return;
	}
	CU_ASSERT_TRUE_FATAL(guest_page_alloc(&g->loop.guest, &c->page));
	wrmsr(g, HV_X64_MSR_REFERENCE_TSC, c->page.gfn << PAGE_SHIFT | HV_OVERLAY_ENABLE);
	c->bytes = g->ops.page_at(&g->loop, c->page.gfn);
	memcpy(&page, c->bytes, sizeof(page));
	c->bytes = page.tsc_sequence != 0 ? c->bytes : NULL;
}

static void hv_clock_down(struct fault_guest *g, struct hv_clock *c)
{
	if (c->page.bytes != NULL) {
		wrmsr(g, HV_X64_MSR_REFERENCE_TSC, 0);
		guest_page_free(&g->loop.guest, &c->page);
	}
}

/* As TLFS 12.7 has a guest compute it. */
static uint64_t page_time(const struct hv_clock *c, uint64_t tsc)
{
	struct hv_reference_tsc_page page;

	memcpy(&page, c->bytes, sizeof(page));
	return mul_high(tsc, page.tsc_scale) + (uint64_t)page.tsc_offset;
}

/* The reference time now, by all ways. */
static uint64_t hv_clock_look(struct fault_guest *g, struct hv_clock *c, uint64_t n)
{
	uint64_t msr = rdmsr(g, HV_X64_MSR_TIME_REF_COUNT), page;

	FAULT_CHECK(msr >= c->last_msr, clock_now.tsc_hz, n);
	FAULT_CHECK(msr == vm_time_ns(g->loop.vm) / 100, clock_now.tsc_hz, n);
	c->last_msr = msr;
	if (c->bytes != NULL) {
		/* One unit of 100 ns of rounding, and what one tick of the TSC is. */
		uint64_t slack = 1 + 10000000 / clock_now.tsc_hz;

		page = page_time(c, host_tsc(g->loop.vm));
		FAULT_CHECK(page >= c->last_page, clock_now.tsc_hz, n);
		FAULT_CHECK(page + slack >= msr && page <= msr + slack, clock_now.tsc_hz, n);
		c->last_page = page;
	}
	return msr;
}

static uint64_t posts(struct fault_guest *g, uint8_t vector)
{
	return host_vcpu_post_count(g->loop.vcpu, vector);
}

static uint64_t hv_rate(uint64_t hz, bool stable)
{
	struct fault_guest *g = up(FAULT_HYPERV, hz, stable);
	uint64_t begun, due = 0, expected = 0, before;
	struct hv_clock c;

	hv_clock_up(g, &c);
	CU_ASSERT_EQUAL_FATAL(c.bytes != NULL, stable && clock_reference_scale(&clock_now) != 0);
	wrmsr(g, HV_X64_MSR_STIMER1_COUNT, PERIOD_NS / 100);
	wrmsr(g, HV_X64_MSR_STIMER1_CONFIG, CONFIG(VECTOR_PERIODIC) | HV_STIMER_PERIODIC);
	begun = hv_clock_look(g, &c, 0);
	for (uint64_t n = 1; n <= steps(); n++) {
		uint64_t now, then = c.last_msr;

		if (due == 0) {
			due = c.last_msr + 1 + fault_random(&random_state) % (n % 3 == 0 ? HOUR_NS / 100 : 10000);
			wrmsr(g, HV_X64_MSR_STIMER0_COUNT, due);
			wrmsr(g, HV_X64_MSR_STIMER0_CONFIG, CONFIG(VECTOR_ONCE));
		}
		before = posts(g, VECTOR_PERIODIC);
		step(g, true);
		now = hv_clock_look(g, &c, n);
		expected += now >= due;
		FAULT_CHECK(posts(g, VECTOR_ONCE) == expected, hz, n); /* not early, not twice, not late */
		due = now >= due ? 0 : due;
		FAULT_CHECK(posts(g, VECTOR_PERIODIC) <= (now - begun) / (PERIOD_NS / 100), hz, n);
		FAULT_CHECK(posts(g, VECTOR_PERIODIC) > before || now - then < 2 * PERIOD_NS / 100, hz, n);
	}
	CU_ASSERT_TRUE(expected > steps() / 8);
	CU_ASSERT_TRUE(posts(g, VECTOR_PERIODIC) > steps() / 8);
	before = posts(g, VECTOR_PERIODIC);
	stand_still(g);
	FAULT_CHECK(posts(g, VECTOR_PERIODIC) - before <= 1 + 3, hz, 0); /* not all that was missed */
	for (uint32_t msr = HV_X64_MSR_STIMER0_CONFIG; msr <= HV_X64_MSR_STIMER1_CONFIG; msr += 2) {
		wrmsr(g, msr, 0);
	}
	hv_clock_down(g, &c);
	fault_down(g);
	return steps();
}

/* ------------------------------------------------------------------ Xen */

static uint64_t ticks;

static void tick(void *context)
{
	(void)context;
	ticks++;
}

/* As xen.h has a guest compute it. */
static uint64_t xen_time(struct fault_guest *g)
{
	struct xen_vcpu_time_info info;
	uint64_t delta;

	memcpy(&info, g->xen.shared + offsetof(struct xen_vcpu_info64, time), sizeof(info));
	CU_ASSERT_EQUAL_FATAL(info.version % 2, 0);
	delta = host_tsc(g->loop.vm) - info.tsc_timestamp;
	delta = info.tsc_shift < 0 ? delta >> -info.tsc_shift : delta << info.tsc_shift;
	return info.system_time + (mul_high(delta, info.tsc_to_system_mul) << 32 |
				   (delta * info.tsc_to_system_mul) >> 32);
}

static uint64_t last_xen;

static uint64_t xen_look(struct fault_guest *g, uint64_t n)
{
	uint64_t now = xen_time(g), truth = vm_time_ns(g->loop.vm);

	FAULT_CHECK(now >= last_xen, clock_now.tsc_hz, n);
	FAULT_CHECK(now >= truth && now - truth <= 1 + 2000000000 / clock_now.tsc_hz, clock_now.tsc_hz, n);
	last_xen = now;
	(void)xen_events_handle(&g->xen);
	return truth;
}

static void xen_once(struct fault_guest *g)
{
	uint64_t due = 0, expected = 0;

	for (uint64_t n = 1; n <= steps(); n++) {
		uint64_t now = xen_look(g, n);

		if (due == 0) {
			due = now + 1 + fault_random(&random_state) % (n % 3 == 0 ? HOUR_NS : 1000000);
			CU_ASSERT_EQUAL_FATAL(xen_call(&g->xen, __HYPERVISOR_set_timer_op, due, 0, 0), 0);
		}
		step(g, false);
		now = xen_look(g, n);
		expected += now >= due;
		FAULT_CHECK(ticks == expected, clock_now.tsc_hz, n);
		due = now >= due ? 0 : due;
	}
	CU_ASSERT_TRUE(expected > steps() / 8);
	CU_ASSERT_EQUAL_FATAL(xen_call(&g->xen, __HYPERVISOR_set_timer_op, 0, 0, 0), 0);
}

static void xen_periodic(struct fault_guest *g)
{
	uint64_t period = PERIOD_NS, begun, before, now = 0;

	ticks = 0;
	memcpy(g->xen.args.bytes, &period, sizeof(period));
	CU_ASSERT_EQUAL_FATAL(xen_call(&g->xen, __HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0,
				       g->xen.args.gfn << PAGE_SHIFT), 0);
	begun = vm_time_ns(g->loop.vm);
	for (uint64_t n = 1; n <= steps(); n++) {
		uint64_t then = now;

		before = ticks;
		step(g, true);
		now = xen_look(g, n);
		FAULT_CHECK(ticks <= (now - begun) / PERIOD_NS, clock_now.tsc_hz, n);
		FAULT_CHECK(then == 0 || now - then < 2 * PERIOD_NS || ticks > before, clock_now.tsc_hz, n);
	}
	CU_ASSERT_TRUE(ticks > steps() / 8);
	before = ticks;
	stand_still(g);
	(void)xen_look(g, 0);
	FAULT_CHECK(ticks - before <= 2, clock_now.tsc_hz, 0); /* not all that was missed */
	CU_ASSERT_EQUAL_FATAL(xen_call(&g->xen, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
}

static uint64_t xen_rate(uint64_t hz, bool stable)
{
	struct fault_guest *g = up(FAULT_XEN, hz, stable);
	struct xen_evtchn_bind_virq bind = {.virq = VIRQ_TIMER};

	ticks = 0;
	last_xen = 0;
	CU_ASSERT_EQUAL_FATAL(xen_call_struct(&g->xen, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &bind,
					      sizeof(bind)), 0);
	CU_ASSERT_TRUE_FATAL(xen_port_handle(&g->xen, bind.port, tick, NULL));
	xen_once(g);
	xen_periodic(g);
	CU_ASSERT_EQUAL_FATAL(xen_port_close(&g->xen, bind.port), 0);
	fault_down(g);
	return 2 * steps();
}

static void sweep(enum fault_face face, uint64_t (*rate)(uint64_t hz, bool stable))
{
	uint64_t points = 0;

	for (uint32_t i = 0; i < ARRAY_COUNT(rates); i++) {
		points += rate(rates[i], true) + rate(rates[i], false);
	}
	fault_report("clock steps, TSC of 7 rates", face, points, "steps of the host's time");
}

static void test_xen(void)
{
	sweep(FAULT_XEN, xen_rate);
}

static void test_hyperv(void)
{
	sweep(FAULT_HYPERV, hv_rate);
}

FAULT_MAIN("clocks", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv))
