/*
 * hv_probe.c - what the probes of the Hyper-V face's tables stand on: what it says, MSRs, overlay pages.
 */
#include "guest-drivers/certify/hv_probe.h"

#define COUNT_WAIT_NS 20000u
#define COUNT_TRIES_MAX 50000u /* together a second */
#define BELOW_A 0xA5u
#define BELOW_B 0x5Au
#define PASS_SLICE_US 50u

/* ------------------------------------------------------------------ what it says */

static void leaf_read(struct certify *c, const struct hv_says *says, uint32_t leaf, uint32_t regs[4])
{
	memset(regs, 0, 4 * sizeof(regs[0]));
	if (leaf <= says->leaf_max) {
		certify_cpuid(c, leaf, 0, regs);
	}
}

void hv_probe_says(struct certify *c, struct hv_says *says)
{
	uint32_t regs[4];

	certify_cpuid(c, HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS, 0, regs);
	says->leaf_max = regs[0];
	leaf_read(c, says, HYPERV_CPUID_FEATURES, regs);
	says->privileges = regs[0];
	says->partition = regs[1];
	says->features = regs[3];
	leaf_read(c, says, HYPERV_CPUID_ENLIGHTMENT_INFO, regs);
	says->hints = regs[0];
	says->spin_count = regs[1];
	leaf_read(c, says, HYPERV_CPUID_IMPLEMENT_LIMITS, regs);
	says->vp_max = regs[0];
	leaf_read(c, says, HYPERV_CPUID_NESTED_FEATURES, regs);
	says->nested = regs[0];
}

/* ------------------------------------------------------------------ MSRs */

uint64_t hv_probe_get(struct probe *p, uint32_t msr)
{
	uint64_t value = 0;

	(void)probe_check(p, certify_rdmsr(p->c, msr, &value), "reading MSR 0x%x faults", msr);
	return value;
}

bool hv_probe_put(struct probe *p, uint32_t msr, uint64_t value)
{
	return probe_check(p, certify_wrmsr(p->c, msr, value), "writing 0x%lx to MSR 0x%x faults",
	                   (unsigned long)value, msr);
}

void hv_probe_keeps(struct probe *p, uint32_t msr, uint64_t value)
{
	if (hv_probe_put(p, msr, value)) {
		(void)probe_equal(p, hv_probe_get(p, msr), value, "what was written");
	}
}

void hv_probe_put_faults(struct probe *p, uint32_t msr, uint64_t value)
{
	(void)probe_check(p, !certify_wrmsr(p->c, msr, value), "writing 0x%lx to MSR 0x%x does not fault",
	                  (unsigned long)value, msr);
}

bool hv_probe_offers_msr(struct probe *p, bool offered)
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t value = 0;

	probe_offer(p, offered);
	if (!offered &&
	    probe_check(p, !certify_rdmsr(p->c, msr, &value), "MSR 0x%x is not offered, and reads as 0x%lx",
	                msr, (unsigned long)value)) {
		(void)probe_check(p, !certify_wrmsr(p->c, msr, 0),
		                  "MSR 0x%x is not offered, and takes a write", msr);
	}
	return offered;
}

/* ------------------------------------------------------------------ overlay pages */

static bool page_is_filled(struct probe *p, const struct guest_page *page, uint8_t fill)
{
	const uint8_t *bytes = p->c->guest->ops->page_at(p->c->guest->context, page->gfn);
	bool same = bytes != NULL;

	for (size_t i = 0; same && i < PAGE_BYTES; i++) {
		same = bytes[i] == fill;
	}
	return same;
}

/* Over @page, and looked at. */
static void overlay_place(struct probe *p, const struct guest_page *page,
                          void (*look)(struct probe *p, const uint8_t *page))
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t value = page->gfn << PAGE_SHIFT | HV_OVERLAY_ENABLE;
	const uint8_t *bytes;

	if (!hv_probe_put(p, msr, value)) {
		return;
	}
	(void)probe_equal(p, hv_probe_get(p, msr), value, "the page's place");
	bytes = p->c->guest->ops->page_at(p->c->guest->context, page->gfn);
	if (probe_check(p, bytes != NULL, "there is no page where it was placed") && look != NULL) {
		look(p, bytes);
	}
}

static void overlay_run(struct probe *p, struct guest_page *a, struct guest_page *b,
                        void (*look)(struct probe *p, const uint8_t *page))
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t before = hv_probe_get(p, msr);

	memset(a->bytes, BELOW_A, PAGE_BYTES);
	memset(b->bytes, BELOW_B, PAGE_BYTES);
	overlay_place(p, a, look);
	overlay_place(p, b, look);
	(void)probe_check(p, page_is_filled(p, a, BELOW_A),
	                  "the page moved away, and the memory below it is not as it was");
	if (hv_probe_put(p, msr, b->gfn << PAGE_SHIFT)) {
		(void)probe_equal(p, hv_probe_get(p, msr) & HV_OVERLAY_ENABLE, 0, "disabled");
	}
	(void)probe_check(p, page_is_filled(p, b, BELOW_B),
	                  "the page is disabled, and the memory below it is not as it was");
	(void)hv_probe_put(p, msr, before);
}

void hv_probe_overlay(struct probe *p, void (*look)(struct probe *p, const uint8_t *page))
{
	struct guest_page a = {0};
	struct guest_page b = {0};

	if (guest_page_alloc(p->c->guest, &a) && guest_page_alloc(p->c->guest, &b)) {
		overlay_run(p, &a, &b, look);
	} else {
		probe_skip(p, "no memory");
	}
	guest_page_free(p->c->guest, &a);
	guest_page_free(p->c->guest, &b);
}

void hv_probe_overlay_beyond(struct probe *p, bool may_stay)
{
	uint32_t msr = (uint32_t)p->row->number;
	uint64_t before = hv_probe_get(p, msr);
	bool taken = certify_wrmsr(p->c, msr, HV_PROBE_BAD_ADDRESS | HV_OVERLAY_ENABLE);

	if (may_stay) {
		probe_note(p, "an address beyond the end %s", taken ? "is taken" : "faults");
	} else {
		(void)probe_check(p, !taken, "an address beyond the end of memory does not fault");
	}
	if (taken) {
		(void)hv_probe_put(p, msr, before);
	}
	(void)probe_equal(p, hv_probe_get(p, msr), before, "after an address beyond the end");
}

/* ------------------------------------------------------------------ time */

uint64_t hv_probe_time(struct certify *c)
{
	uint64_t value = 0;

	return certify_rdmsr(c, HV_X64_MSR_TIME_REF_COUNT, &value) ? value : 0;
}

struct passing {
	struct certify *c;
	uint64_t until; /* of the reference counter */
};

static bool passed(void *context)
{
	const struct passing *passing = context;

	return hv_probe_time(passing->c) >= passing->until;
}

static bool never(void *context)
{
	(void)context;
	return false;
}

void hv_probe_pass(struct probe *p, uint32_t us)
{
	struct passing passing = {p->c, hv_probe_time(p->c) + (uint64_t)us * 10u};

	if (hv_probe_time(p->c) == 0) {
		(void)certify_wait(p->c, never, NULL, us);
		return;
	}
	(void)certify_wait(p->c, passed, &passing, 20 * us + PASS_SLICE_US);
}

/* ------------------------------------------------------------------ interrupts */

void hv_probe_watch(struct certify *c, uint8_t vector)
{
	if (c->machine != NULL) {
		c->machine->vector_watch(vector, true);
	}
}

uint32_t hv_probe_count(struct certify *c, uint8_t vector)
{
	if (c->machine == NULL) {
		return 0;
	}
	c->machine->wait_ns(COUNT_WAIT_NS, false);
	return c->machine->vector_count(0, vector);
}

uint32_t hv_probe_count_to(struct certify *c, uint8_t vector, uint32_t wanted)
{
	for (uint32_t i = 0; i < COUNT_TRIES_MAX && hv_probe_count(c, vector) < wanted; i++) {
	}
	return hv_probe_count(c, vector);
}
