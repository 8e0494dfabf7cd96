/*
 * hv_msr_synic.c - probes of the SynIC's registers (TLFS, inter-partition communication: SynIC MSRs).
 *
 * What they do is seen by a timer's messages; SINT 5 and its slot belong to the probes alone.
 */
#include "guest-drivers/certify/hv_probe.h"

#define SECOND_US 1000000u
#define UNITS_PER_US 10ull
#define LOWEST_VECTOR HV_SYNIC_FIRST_VALID_VECTOR

static bool offers_synic(struct probe *p)
{
	struct hv_says says;

	hv_probe_says(p->c, &says);
	return hv_probe_offers_msr(p, (says.privileges & HV_MSR_SYNIC_AVAILABLE) != 0);
}

static uint64_t due_soon(const struct probe *p)
{
	return hv_probe_time(p->c) + UNITS_PER_US * hv_timer_delay_us(p->c);
}

/* ------------------------------------------------------------------ SCONTROL, SVERSION */

/* Nothing is placed in the page of a processor whose SynIC is off. */
static void check_disabled(struct probe *p)
{
	struct hv_timer timer = {0};

	if (hv_timer_up(&timer, p, 0, HV_PROBE_SINT)) {
		(void)hv_probe_put(p, HV_X64_MSR_SCONTROL, 0);
		hv_timer_start(&timer, 0, due_soon(p));
		hv_probe_pass(p, 4 * hv_timer_delay_us(p->c));
		(void)probe_check(p, !hv_timer_wait(&timer, 0),
		                  "a message comes while the SynIC is disabled");
		(void)hv_probe_put(p, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
		(void)hv_probe_put(p, HV_X64_MSR_EOM, 0);
		probe_note(p, "what expired meanwhile %s",
		           hv_timer_wait(&timer, hv_timer_delay_us(p->c)) ? "comes then" : "is dropped");
		(void)hv_timer_take(&timer);
		hv_timer_stop(&timer);
		(void)hv_timer_expect(&timer, due_soon(p));
	}
	hv_timer_down(&timer);
}

void hv_probe_scontrol(struct probe *p)
{
	if (!offers_synic(p)) {
		return;
	}
	certify_hv_down(p->c);
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_SCONTROL) & HV_SYNIC_CONTROL_ENABLE, 0, "disabled");
	if (certify_hv_started(p) == NULL) {
		return;
	}
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_SCONTROL) & HV_SYNIC_CONTROL_ENABLE,
	                  HV_SYNIC_CONTROL_ENABLE, "enabled");
	check_disabled(p);
}

void hv_probe_sversion(struct probe *p)
{
	if (offers_synic(p)) {
		(void)probe_equal(p, (uint32_t)hv_probe_get(p, HV_X64_MSR_SVERSION), HV_SYNIC_VERSION_1,
		                  "the SynIC's version");
		hv_probe_put_faults(p, HV_X64_MSR_SVERSION, 0);
		hv_probe_put_faults(p, HV_X64_MSR_SVERSION, HV_SYNIC_VERSION_1);
	}
}

/* ------------------------------------------------------------------ the pages */

/* A message finds the page at its new place. */
static void check_message_there(struct probe *p, const struct guest_page *page)
{
	struct hv_timer timer = {0};
	uint64_t before = hv_probe_get(p, HV_X64_MSR_SIMP);

	if (hv_timer_up(&timer, p, 1, HV_PROBE_SINT) &&
	    hv_probe_put(p, HV_X64_MSR_SIMP, page->gfn << PAGE_SHIFT | HV_SYNIC_SIMP_ENABLE)) {
		uint8_t *messages = timer.hv->messages;

		timer.hv->messages = p->c->guest->ops->page_at(p->c->guest->context, page->gfn);
		if (probe_check(p, timer.hv->messages != NULL, "no page where it was placed")) {
			(void)hv_timer_expect(&timer, due_soon(p));
		}
		timer.hv->messages = messages;
		(void)hv_probe_put(p, HV_X64_MSR_SIMP, before);
		(void)hv_timer_expect(&timer, due_soon(p));
	}
	hv_timer_down(&timer);
}

void hv_probe_simp(struct probe *p)
{
	struct guest_page page = {0};

	if (!offers_synic(p) || certify_hv_started(p) == NULL) {
		return;
	}
	if (guest_page_alloc(p->c->guest, &page)) {
		check_message_there(p, &page);
		guest_page_free(p->c->guest, &page);
	}
	certify_hv_down(p->c);
	hv_probe_overlay(p, NULL);
	hv_probe_overlay_beyond(p, true);
}

void hv_probe_siefp(struct probe *p)
{
	if (offers_synic(p)) {
		certify_hv_down(p->c);
		hv_probe_overlay(p, NULL);
		hv_probe_overlay_beyond(p, true);
	}
}

/* ------------------------------------------------------------------ EOM */

/* Two timers of one SINT: the second's message waits for the slot, says so there, and comes with EOM. */
static void check_busy_slot(struct probe *p, struct hv_timer *first, struct hv_timer *second)
{
	const struct hv_message_header *header =
	        (const void *)(first->hv->messages + first->sint * HV_MESSAGE_SIZE);

	hv_timer_start(first, 0, due_soon(p));
	if (!probe_check(p, hv_timer_wait(first, SECOND_US), "no message of timer 0")) {
		return;
	}
	hv_timer_start(second, 0, due_soon(p));
	hv_probe_pass(p, 4 * hv_timer_delay_us(p->c));
	(void)probe_check(
	        p, (__atomic_load_n(&header->message_flags, __ATOMIC_ACQUIRE) & HV_MESSAGE_FLAG_PENDING) != 0,
	        "a message waits for the slot, and the one in it does not say so");
	(void)hv_timer_take(first);
	(void)probe_equal(p, first->payload.timer_index, first->index, "whose message is in the slot");
	if (probe_check(p, hv_timer_wait(second, SECOND_US), "no message of timer 1 after EOM")) {
		(void)hv_timer_take(second);
		(void)probe_equal(p, second->payload.timer_index, second->index, "whose message comes then");
	}
}

void hv_probe_eom(struct probe *p)
{
	struct hv_timer first = {0};
	struct hv_timer second = {0};

	if (!offers_synic(p)) {
		return;
	}
	(void)probe_equal(p, hv_probe_get(p, HV_X64_MSR_EOM), 0, "what reads from EOM");
	(void)hv_probe_put(p, HV_X64_MSR_EOM, 0);
	if (hv_timer_up(&first, p, 0, HV_PROBE_SINT) && hv_timer_up(&second, p, 1, HV_PROBE_SINT)) {
		check_busy_slot(p, &first, &second);
		second.sint_before = first.sint_before;
	}
	hv_timer_down(&second);
	hv_timer_down(&first);
}

/* ------------------------------------------------------------------ SINTx */

static void check_vectors(struct probe *p)
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t before = hv_probe_get(p, msr);

	hv_probe_keeps(p, msr, HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR);
	hv_probe_put_faults(p, msr, 0);
	hv_probe_put_faults(p, msr, LOWEST_VECTOR - 1);
	hv_probe_put_faults(p, msr, HV_SYNIC_SINT_AUTO_EOI | 1);
	(void)probe_equal(p, hv_probe_get(p, msr), HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR,
	                  "after vectors that are not valid");
	hv_probe_keeps(p, msr, LOWEST_VECTOR);
	hv_probe_keeps(p, msr, 0xFF);
	hv_probe_keeps(p, msr, HV_SYNIC_SINT_AUTO_EOI | HV_PROBE_VECTOR);
	(void)hv_probe_put(p, msr, HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR);
	probe_note(p, "masked with vector 0: %s",
	           certify_wrmsr(p->c, msr, HV_SYNIC_SINT_MASKED) ? "taken" : "#GP");
	if (!certify_wrmsr(p->c, msr, before)) {
		(void)hv_probe_put(p, msr, HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR);
	}
}

/* Its own slot and no other's; the interrupt only if it is not masked. */
static void check_delivery(struct hv_timer *timer)
{
	struct probe *p = timer->p;
	const uint8_t *next = timer->hv->messages + (timer->sint + 1) % HV_SYNIC_SINT_COUNT * HV_MESSAGE_SIZE;
	uint32_t count = hv_probe_count(p->c, HV_PROBE_VECTOR);

	(void)hv_timer_expect(timer, due_soon(p));
	(void)probe_equal(p, guest_load32(next), HVMSG_NONE, "the type in the next SINT's slot");
	if (p->c->machine != NULL) {
		(void)probe_equal(p, hv_probe_count_to(p->c, HV_PROBE_VECTOR, count + 1u), count + 1u,
		                  "interrupts so far");
	}
	(void)hv_probe_put(p, HV_X64_MSR_SINT0 + timer->sint, HV_SYNIC_SINT_MASKED | HV_PROBE_VECTOR);
	count = hv_probe_count(p->c, HV_PROBE_VECTOR);
	hv_timer_start(timer, 0, due_soon(p));
	(void)probe_check(p, hv_timer_wait(timer, SECOND_US), "masked: the message does not come either");
	(void)hv_timer_take(timer);
	(void)probe_equal(p, hv_probe_count(p->c, HV_PROBE_VECTOR), count, "masked: interrupts so far");
}

void hv_probe_sint(struct probe *p)
{
	uint32_t sint = (uint32_t)p->row->number - HV_X64_MSR_SINT0;
	struct hv_timer timer = {0};

	if (!offers_synic(p) || certify_hv_started(p) == NULL) {
		return;
	}
	check_vectors(p);
	/* SINT 0 is the hypervisor's: nothing a guest can do sends a message there. */
	if (sint != 0 && hv_timer_up(&timer, p, sint % HV_SYNIC_STIMER_COUNT, sint)) {
		check_delivery(&timer);
	}
	hv_timer_down(&timer);
}
