/*
 * hv_stimer.c - probes of the synthetic timers (TLFS, timers), and the timer that other probes of the SynIC use.
 *
 * A timer's messages are looked for in their slot, so that no interrupt is needed; where there is a machine, its
 * interrupts are counted too. Time is the reference counter's, which is what the timers run by.
 */
#include "guest-drivers/certify/hv_probe.h"

#define SECOND_US 1000000u
#define SOON_US 50000u /* "at once", on an emulated machine too */
#define UNITS_PER_US 10ull /* of reference time */
#define FAR_UNITS (600ull * HV_CLOCK_HZ)
#define EXPIRIES 4u
#define DELAY_HOSTED_US 150u
#define DELAY_MACHINE_US 3000u
#define IDLE_READS_MAX 16u

static uint32_t config_msr(uint32_t index)
{
	return HV_X64_MSR_STIMER0_CONFIG + 2 * index;
}

static uint32_t count_msr(uint32_t index)
{
	return HV_X64_MSR_STIMER0_COUNT + 2 * index;
}

uint32_t hv_timer_delay_us(const struct certify *c)
{
	return c->machine == NULL ? DELAY_HOSTED_US : DELAY_MACHINE_US;
}

/* ------------------------------------------------------------------ the slot */

static uint8_t *slot_of(const struct hv_timer *timer)
{
	return timer->hv->messages + timer->sint * HV_MESSAGE_SIZE;
}

/* By the guest's protocol: the type first, then a look at the pending flag. */
static void slot_give_back(struct hv_timer *timer)
{
	const uint8_t *flags = slot_of(timer) + offsetof(struct hv_message_header, message_flags);

	guest_store32(slot_of(timer), HVMSG_NONE);
	guest_barrier();
	if ((__atomic_load_n(flags, __ATOMIC_ACQUIRE) & HV_MESSAGE_FLAG_PENDING) != 0) {
		(void)hv_probe_put(timer->p, HV_X64_MSR_EOM, 0);
	}
}

static bool slot_is_full(void *context)
{
	const struct hv_timer *timer = context;

	return guest_load32(slot_of(timer)) != HVMSG_NONE;
}

bool hv_timer_wait(struct hv_timer *timer, uint32_t us)
{
	return certify_wait(timer->p->c, slot_is_full, timer, us);
}

bool hv_timer_take(struct hv_timer *timer)
{
	if (!slot_is_full(timer)) {
		return false;
	}
	memcpy(&timer->message, slot_of(timer), sizeof(timer->message));
	memcpy(&timer->payload, timer->message.payload, sizeof(timer->payload));
	slot_give_back(timer);
	(void)hv_probe_count(timer->p->c, HV_PROBE_VECTOR);
	return true;
}

/* ------------------------------------------------------------------ up, down, start, stop */

void hv_timer_stop(struct hv_timer *timer)
{
	(void)hv_probe_put(timer->p, count_msr(timer->index), 0);
	(void)hv_probe_put(timer->p, config_msr(timer->index), 0);
}

bool hv_timer_up(struct hv_timer *timer, struct probe *p, uint32_t index, uint32_t sint)
{
	const uint32_t needed =
	        HV_MSR_SYNIC_AVAILABLE | HV_MSR_SYNTIMER_AVAILABLE | HV_MSR_TIME_REF_COUNT_AVAILABLE;
	struct hv_says says;

	*timer = (struct hv_timer){.p = p, .index = index, .sint = sint};
	hv_probe_says(p->c, &says);
	if ((says.privileges & needed) != needed) {
		probe_note(p,
		           "no SynIC, no synthetic timers or no reference counter: nothing to send messages");
		return false;
	}
	timer->hv = certify_hv_started(p);
	if (timer->hv == NULL) {
		return false;
	}
	hv_probe_watch(p->c, HV_PROBE_VECTOR);
	timer->sint_before = hv_probe_get(p, HV_X64_MSR_SINT0 + sint);
	hv_timer_stop(timer);
	slot_give_back(timer);
	return sint == 0 || hv_probe_put(p, HV_X64_MSR_SINT0 + sint, HV_PROBE_VECTOR);
}

/* What was queued before the stop may still come. The SINT: a value of 0x10000 is not taken back everywhere. */
void hv_timer_down(struct hv_timer *timer)
{
	struct certify *c;

	if (timer->hv == NULL) {
		return;
	}
	c = timer->p->c;
	hv_timer_stop(timer);
	for (uint32_t i = 0; i < HV_SYNIC_STIMER_COUNT && slot_is_full(timer); i++) {
		slot_give_back(timer);
	}
	(void)hv_probe_count(c, HV_PROBE_VECTOR);
	if (!certify_wrmsr(c, HV_X64_MSR_SINT0 + timer->sint, timer->sint_before)) {
		(void)hv_probe_put(timer->p, HV_X64_MSR_SINT0 + timer->sint,
		                   HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR);
	}
}

void hv_timer_start(struct hv_timer *timer, uint64_t config, uint64_t count)
{
	uint64_t sint = (uint64_t)timer->sint << HV_STIMER_SINT_SHIFT;

	(void)hv_probe_put(timer->p, config_msr(timer->index), config | sint);
	(void)hv_probe_put(timer->p, count_msr(timer->index), count);
	(void)hv_probe_put(timer->p, config_msr(timer->index), config | sint | HV_STIMER_ENABLE);
}

bool hv_timer_enabled(struct hv_timer *timer)
{
	return (hv_probe_get(timer->p, config_msr(timer->index)) & HV_STIMER_ENABLE) != 0;
}

/* ------------------------------------------------------------------ what a message must say */

static void check_message(struct hv_timer *timer, uint64_t now)
{
	const struct hv_message_header *header = &timer->message.header;
	struct probe *p = timer->p;

	(void)probe_equal(p, header->message_type, HVMSG_TIMER_EXPIRED, "the message's type");
	(void)probe_check(p, header->payload_size >= sizeof(timer->payload), "a payload of %u bytes",
	                  header->payload_size);
	(void)probe_equal(p, timer->payload.timer_index, timer->index, "the timer's index");
	(void)probe_check(p, timer->payload.delivery_time >= timer->payload.expiration_time,
	                  "delivered %lu units before it expires",
	                  (unsigned long)(timer->payload.expiration_time - timer->payload.delivery_time));
	(void)probe_check(p, timer->payload.delivery_time <= now, "delivered at %lu, and it is %lu",
	                  (unsigned long)timer->payload.delivery_time, (unsigned long)now);
}

/* The wait is over at the slot's first sight, so that now is not much later than the delivery. */
static uint64_t receive(struct hv_timer *timer, uint64_t due)
{
	struct probe *p = timer->p;
	uint64_t now;

	if (!probe_check(p, hv_timer_wait(timer, SECOND_US), "no message of timer %u in a second",
	                 timer->index)) {
		return 0;
	}
	now = hv_probe_time(p->c);
	(void)hv_timer_take(timer);
	check_message(timer, now);
	(void)probe_check(p, now >= due && timer->payload.delivery_time >= due, "%lu units too early",
	                  (unsigned long)(due - timer->payload.delivery_time));
	return timer->payload.delivery_time;
}

uint64_t hv_timer_expect(struct hv_timer *timer, uint64_t due)
{
	uint64_t delivered;

	hv_timer_start(timer, 0, due);
	delivered = receive(timer, due);
	if (delivered != 0) {
		(void)probe_equal(timer->p, timer->payload.expiration_time, due, "the expiration time");
		(void)probe_check(timer->p, !hv_timer_enabled(timer),
		                  "a one-shot timer is enabled after it expired");
	}
	return delivered;
}

/* ------------------------------------------------------------------ COUNT */

static void check_one_shot(struct hv_timer *timer)
{
	struct probe *p = timer->p;
	uint64_t due = hv_probe_time(p->c) + UNITS_PER_US * hv_timer_delay_us(p->c);
	uint64_t delivered = hv_timer_expect(timer, due);

	if (delivered != 0) {
		probe_note(p, "one-shot: %lu units late", (unsigned long)(delivered - due));
	}
}

static void check_past(struct hv_timer *timer)
{
	struct probe *p = timer->p;
	uint64_t now = hv_probe_time(p->c);

	hv_timer_start(timer, 0, now - 1);
	(void)probe_check(p, hv_timer_wait(timer, SOON_US), "a time in the past does not expire at once");
	(void)receive(timer, now - 1);
	hv_timer_start(timer, 0, 1);
	(void)receive(timer, 1);
}

/* Nothing comes of a timer for a time long enough that it would. */
static void check_silent(struct hv_timer *timer, const char *what)
{
	(void)hv_probe_count(timer->p->c, HV_PROBE_VECTOR);
	for (uint32_t i = 0; i < HV_SYNIC_STIMER_COUNT && slot_is_full(timer); i++) {
		slot_give_back(timer);
	}
	hv_probe_pass(timer->p, 4 * hv_timer_delay_us(timer->p->c));
	(void)probe_check(timer->p, !slot_is_full(timer), "%s: a message comes", what);
}

/* COUNT 0: never starts, stops what runs, whatever AutoEnable says. */
static void check_zero(struct hv_timer *timer)
{
	struct probe *p = timer->p;
	uint64_t soon = UNITS_PER_US * hv_timer_delay_us(p->c);
	uint64_t sint = (uint64_t)timer->sint << HV_STIMER_SINT_SHIFT;

	(void)hv_probe_put(p, count_msr(timer->index), 0);
	(void)hv_probe_put(p, config_msr(timer->index), sint | HV_STIMER_ENABLE);
	check_silent(timer, "enabled with a count of 0");
	hv_timer_stop(timer);
	hv_timer_start(timer, 0, hv_probe_time(p->c) + FAR_UNITS);
	(void)probe_check(p, hv_timer_enabled(timer), "a timer for later is not enabled");
	(void)hv_probe_put(p, count_msr(timer->index), 0);
	(void)probe_check(p, !hv_timer_enabled(timer), "a count of 0 leaves the timer enabled");
	hv_timer_start(timer, HV_STIMER_AUTOENABLE, hv_probe_time(p->c) + soon);
	(void)hv_probe_put(p, count_msr(timer->index), 0);
	(void)probe_check(p, !hv_timer_enabled(timer), "a count of 0 enables a timer that enables itself");
	check_silent(timer, "stopped by a count of 0");
	hv_timer_stop(timer);
}

static uint32_t index_of(const struct probe *p)
{
	return ((uint32_t)p->row->number - HV_X64_MSR_STIMER0_CONFIG) / 2;
}

/* False: not offered, and refused; or it cannot be tried. */
static bool timer_of_row(struct hv_timer *timer, struct probe *p)
{
	struct hv_says says;

	hv_probe_says(p->c, &says);
	return hv_probe_offers_msr(p, (says.privileges & HV_MSR_SYNTIMER_AVAILABLE) != 0) &&
	       hv_timer_up(timer, p, index_of(p), HV_PROBE_SINT);
}

void hv_probe_stimer_count(struct probe *p)
{
	struct hv_timer timer = {0};

	if (timer_of_row(&timer, p)) {
		hv_probe_keeps(p, (uint32_t)p->row->number, FAR_UNITS + 12345);
		hv_probe_keeps(p, (uint32_t)p->row->number, 0);
		check_one_shot(&timer);
		check_past(&timer);
		check_zero(&timer);
	}
	hv_timer_down(&timer);
}

/* ------------------------------------------------------------------ CONFIG */

/* Reserved bits are the specification's to use: only the defined ones are looked at. */
static void check_fields(struct hv_timer *timer)
{
	const uint64_t sint = (uint64_t)timer->sint << HV_STIMER_SINT_SHIFT;
	const uint64_t tried[] = {sint, sint | HV_STIMER_PERIODIC, sint | HV_STIMER_PERIODIC | HV_STIMER_LAZY,
	                          sint | HV_STIMER_AUTOENABLE, 0};

	for (uint32_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		hv_probe_keeps(timer->p, config_msr(timer->index), tried[i]);
	}
}

/* SINT 0 is the hypervisor's own: no timer may be enabled with it. */
static void check_sint_0(struct hv_timer *timer)
{
	struct probe *p = timer->p;

	(void)hv_probe_put(p, config_msr(timer->index), 0);
	(void)hv_probe_put(p, count_msr(timer->index), hv_probe_time(p->c) + FAR_UNITS);
	(void)hv_probe_put(p, config_msr(timer->index), HV_STIMER_ENABLE);
	(void)probe_check(p, !hv_timer_enabled(timer), "a timer for SINT 0 is enabled");
	hv_timer_stop(timer);
}

/* Each expiry at its time or later; it goes on until it is stopped. */
static void check_periodic(struct hv_timer *timer, uint64_t flags, const char *what)
{
	struct probe *p = timer->p;
	uint64_t period = UNITS_PER_US * hv_timer_delay_us(p->c);
	uint64_t begin = hv_probe_time(p->c);
	uint64_t last = 0;
	uint32_t i = 0;

	hv_timer_start(timer, HV_STIMER_PERIODIC | flags, period);
	for (; i < EXPIRIES && receive(timer, begin + (i + 1) * period) != 0; i++) {
		(void)probe_check(p, timer->payload.expiration_time > last, "%s: the same expiry twice",
		                  what);
		last = timer->payload.expiration_time;
		(void)probe_check(p, hv_timer_enabled(timer), "%s: disabled by expiry %u", what, i + 1);
	}
	(void)probe_check(p, i == EXPIRIES, "%s: %u expiries of %u", what, i, EXPIRIES);
	(void)hv_probe_put(p, count_msr(timer->index), 0);
	(void)probe_check(p, !hv_timer_enabled(timer), "%s: a count of 0 does not disable it", what);
	check_silent(timer, what);
	hv_timer_stop(timer);
}

/* Enabled by its count, again and again, as Linux does it. */
static void check_auto_enable(struct hv_timer *timer)
{
	struct probe *p = timer->p;
	uint64_t sint = (uint64_t)timer->sint << HV_STIMER_SINT_SHIFT;

	(void)hv_probe_put(p, count_msr(timer->index), 0);
	(void)hv_probe_put(p, config_msr(timer->index), sint | HV_STIMER_AUTOENABLE | HV_STIMER_ENABLE);
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t due = hv_probe_time(p->c) + UNITS_PER_US * hv_timer_delay_us(p->c);

		(void)hv_probe_put(p, count_msr(timer->index), due);
		(void)probe_check(p, hv_timer_enabled(timer) || hv_probe_time(p->c) >= due,
		                  "a count does not enable the timer");
		if (receive(timer, due) != 0) {
			(void)probe_check(p, !hv_timer_enabled(timer),
			                  "a one-shot timer that enables itself is enabled after it expired");
		}
	}
	hv_timer_stop(timer);
}

struct direct {
	struct hv_timer *timer;
	uint64_t due;
	uint32_t count_before;
	bool early;
};

/* The timer's enable bit goes when it has expired. What was counted before is not later than what is read after. */
static bool direct_is_over(void *context)
{
	struct direct *direct = context;
	struct certify *c = direct->timer->p->c;
	bool fired = hv_probe_count(c, HV_PROBE_DIRECT_VECTOR) != direct->count_before ||
	             !hv_timer_enabled(direct->timer);

	direct->early = direct->early || (fired && hv_probe_time(c) < direct->due);
	return fired;
}

/* An interrupt instead of a message. */
static void check_direct(struct hv_timer *timer)
{
	const uint64_t config = HV_STIMER_DIRECT_MODE | (uint64_t)HV_PROBE_DIRECT_VECTOR
	                                                        << HV_STIMER_VECTOR_SHIFT;
	struct probe *p = timer->p;
	struct direct direct = {.timer = timer};

	hv_probe_watch(p->c, HV_PROBE_DIRECT_VECTOR);
	direct.count_before = hv_probe_count(p->c, HV_PROBE_DIRECT_VECTOR);
	direct.due = hv_probe_time(p->c) + UNITS_PER_US * hv_timer_delay_us(p->c);
	hv_timer_start(timer, config, direct.due);
	(void)probe_check(p, certify_wait(p->c, direct_is_over, &direct, SECOND_US),
	                  "direct mode: it does not expire in a second");
	(void)probe_check(p, !direct.early, "direct mode: too early");
	(void)probe_check(p, !slot_is_full(timer), "direct mode: a message came");
	if (p->c->machine != NULL) {
		uint32_t count = direct.count_before + 1u;

		(void)probe_equal(p, hv_probe_count_to(p->c, HV_PROBE_DIRECT_VECTOR, count), count,
		                  "direct mode: interrupts so far");
	}
	(void)probe_check(p, !hv_timer_enabled(timer), "direct mode: enabled after it expired");
	hv_timer_stop(timer);
}

void hv_probe_stimer_config(struct probe *p)
{
	struct hv_timer timer = {0};
	struct hv_says says;

	hv_probe_says(p->c, &says);
	if (timer_of_row(&timer, p)) {
		check_fields(&timer);
		check_sint_0(&timer);
		check_periodic(&timer, 0, "periodic");
		check_periodic(&timer, HV_STIMER_LAZY, "lazy");
		check_auto_enable(&timer);
		if ((says.features & HV_STIMER_DIRECT_MODE_AVAILABLE) != 0) {
			check_direct(&timer);
		} else {
			probe_note(p, "no direct mode");
		}
	}
	hv_timer_down(&timer);
}

/* ------------------------------------------------------------------ GUEST_IDLE */

/*
 * Asleep until an interrupt is there to be taken, whatever RFLAGS.IF is; the value is 0. A timer's ends it; others may
 * before, so it is read again until the time is over. In a process no interrupt is ever taken, so one that waits since
 * an earlier probe ends it at once, and nothing is said of the time.
 */
static void check_idle(struct hv_timer *timer)
{
	struct probe *p = timer->p;
	uint64_t due = hv_probe_time(p->c) + UNITS_PER_US * hv_timer_delay_us(p->c);
	uint32_t reads = 0;

	(void)hv_probe_count(p->c, HV_PROBE_VECTOR);
	hv_timer_start(timer, 0, due);
	do {
		(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_GUEST_IDLE), 0, "the value");
		(void)hv_probe_count(p->c, HV_PROBE_VECTOR);
		reads++;
	} while (p->c->machine != NULL && hv_probe_time(p->c) < due && reads < IDLE_READS_MAX);
	if (p->c->machine != NULL) {
		(void)probe_check(p, hv_probe_time(p->c) >= due,
		                  "%u reads end before an interrupt can be there", reads);
		probe_note(p, "%u reads until a timer's interrupt", reads);
	}
	(void)receive(timer, due);
}

void hv_probe_guest_idle(struct probe *p)
{
	struct hv_timer timer = {0};
	struct hv_says says;

	hv_probe_says(p->c, &says);
	if (!hv_probe_offers_msr(p, (says.privileges & HV_MSR_GUEST_IDLE_AVAILABLE) != 0)) {
		return;
	}
	hv_probe_put_faults(p, HV_X64_MSR_GUEST_IDLE, 0);
	if (hv_timer_up(&timer, p, 0, HV_PROBE_SINT)) {
		check_idle(&timer);
	}
	hv_timer_down(&timer);
}
