/*
 * xen_cpuid.c - probes of specs/xen_cpuid.def: Xen's leaves by arch-x86/cpuid.h, and the MSR that fills a hypercall page.
 */
#include "guest-drivers/certify/xen_probe.h"

#define LEAVES_EACH 0x100u
#define STUBS (PAGE_BYTES / XEN_HYPERCALL_STUB_BYTES)
#define HVM_FEATURES 0x7Fu

/* The row's leaf. False: above the highest one, where zeros stand; the row is not offered. */
static bool leaf_get(struct probe *p, uint32_t subleaf, uint32_t regs[4])
{
	uint32_t base = p->c->faces.xen_base;
	uint32_t leaf = base + (uint32_t)p->row->number;

	certify_cpuid(p->c, base, 0, regs);
	if (regs[0] < leaf) {
		certify_cpuid(p->c, leaf, subleaf, regs);
		probe_offer(p, false);
		(void)probe_check(p, (regs[0] | regs[1] | regs[2] | regs[3]) == 0,
		                  "a leaf above the highest is not zeros");
		return false;
	}
	certify_cpuid(p->c, leaf, subleaf, regs);
	return true;
}

static void check_zeros(struct probe *p, uint32_t leaf, uint32_t subleaf)
{
	uint32_t regs[4];

	certify_cpuid(p->c, leaf, subleaf, regs);
	(void)probe_check(p, (regs[0] | regs[1] | regs[2] | regs[3]) == 0, "leaf 0x%x.%u is not zeros", leaf,
	                  subleaf);
}

/* Beside Hyper-V's leaves, Xen's come behind them. */
static void probe_signature(struct probe *p)
{
	uint32_t base = p->c->faces.xen_base;
	uint32_t regs[4];

	certify_cpuid(p->c, base, 0, regs);
	(void)probe_equal(p, regs[1], XEN_CPUID_SIGNATURE_EBX, "signature, EBX");
	(void)probe_equal(p, regs[2], XEN_CPUID_SIGNATURE_ECX, "signature, ECX");
	(void)probe_equal(p, regs[3], XEN_CPUID_SIGNATURE_EDX, "signature, EDX");
	(void)probe_check(p, base % LEAVES_EACH == 0 && base > p->c->faces.hyperv_base,
	                  "the leaves begin at 0x%x", base);
	if (!probe_check(p, regs[0] - base >= 2 && regs[0] - base <= XEN_CPUID_MAX_NUM_LEAVES,
	                 "the highest leaf is 0x%x", regs[0])) {
		return;
	}
	probe_note(p, "leaves 0x%x to 0x%x", base, regs[0]);
	check_zeros(p, regs[0] + 1, 0);
	check_zeros(p, base + LEAVES_EACH - 1, 0);
}

static void probe_leaf_version(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t regs[4];

	if (x == NULL || !leaf_get(p, 0, regs)) {
		return;
	}
	(void)probe_equal(p, regs[0], (uint64_t)xen_call(x, __HYPERVISOR_xen_version, XENVER_version, 0, 0),
	                  "the version, against the hypercall's");
	(void)probe_check(p, regs[0] >> 16 >= 4, "a major version of %u", regs[0] >> 16);
	(void)probe_check(p, (regs[1] | regs[2] | regs[3]) == 0, "more than a version stands there");
	probe_note(p, "%u.%u", regs[0] >> 16, regs[0] & 0xFFFF);
}

/* ------------------------------------------------------------------ the hypercall page */

/* MOV EAX, number; VMCALL or VMMCALL; RET. The number of IRET, which is no hypercall here, may be UD2. */
static bool stub_is_right(const uint8_t *stub, uint32_t number)
{
	uint32_t found;

	memcpy(&found, stub + 1, sizeof(found));
	if (number == __HYPERVISOR_iret && stub[0] == 0x0F && stub[1] == 0x0B) {
		return true;
	}
	return stub[0] == 0xB8 && found == number && stub[5] == 0x0F && stub[6] == 0x01 &&
	       (stub[7] == 0xC1 || stub[7] == 0xD9) && stub[8] == 0xC3;
}

/* Filled once, when it is written; nothing stays mapped. */
static void check_page(struct probe *p, uint32_t msr)
{
	struct guest_page page;
	uint32_t wrong = 0;

	if (!xp_pages(p, &page, 1)) {
		return;
	}
	memset(page.bytes, 0xA5, PAGE_BYTES);
	(void)probe_check(p, certify_wrmsr(p->c, msr, page.gfn << PAGE_SHIFT), "the page is refused");
	for (uint32_t i = 0; i < STUBS; i++) {
		wrong += !stub_is_right(page.bytes + i * XEN_HYPERCALL_STUB_BYTES, i);
	}
	(void)probe_equal(p, wrong, 0, "stubs that are no hypercall");
	memset(page.bytes, 0xA5, PAGE_BYTES);
	(void)probe_check(p, !certify_wrmsr(p->c, msr, (page.gfn << PAGE_SHIFT) | 1),
	                  "a second page is taken, of the one that there is");
	(void)probe_equal(p, page.bytes[0], 0xA5, "the page after a refusal");
	xp_pages_free(p, &page, 1);
}

static void probe_leaf_hypercall(struct probe *p)
{
	uint32_t regs[4];
	uint32_t msr = p->c->faces.hyperv_base != 0 ? XEN_MSR_BASE_HYPERV : XEN_MSR_BASE;
	uint64_t value = 1;

	if (certify_xen_started(p) == NULL || !leaf_get(p, 0, regs)) {
		return;
	}
	(void)probe_equal(p, regs[0], 1, "hypercall pages");
	(void)probe_equal(p, regs[1], msr, "their MSR");
	(void)probe_check(p, (regs[2] | regs[3]) == 0, "features of PV guests: 0x%x", regs[2]);
	(void)probe_check(p, certify_rdmsr(p->c, regs[1], &value) && value == 0, "the MSR reads as 0x%lx",
	                  (unsigned long)value);
	(void)probe_check(p, !certify_wrmsr(p->c, regs[1], XP_BAD), "a page where there is no memory");
	check_page(p, regs[1]);
}

/* ------------------------------------------------------------------ time */

/* The rate that a multiplier (ns = ticks << shift, times 32.32 fraction) stands for. */
static uint64_t khz_of(uint32_t multiplier, int32_t shift)
{
	if (multiplier == 0 || shift < -8 || shift > 20) {
		return 0;
	}
	return (1000000ull << (32 - shift)) / multiplier;
}

static bool about(uint64_t a, uint64_t b)
{
	uint64_t apart = a > b ? a - b : b - a;

	return apart <= b / 100;
}

static void probe_leaf_time(struct probe *p)
{
	uint32_t regs[4];
	uint32_t leaf = p->c->faces.xen_base + (uint32_t)p->row->number;
	uint32_t scale[4];
	uint64_t khz;

	if (!leaf_get(p, 0, regs)) {
		return;
	}
	(void)probe_check(p, (regs[0] & ~7u) == 0 && regs[1] <= 2, "flags 0x%x, TSC mode %u", regs[0],
	                  regs[1]);
	(void)probe_check(p, regs[2] != 0, "the guest TSC has no rate");
	certify_cpuid(p->c, leaf, 1, scale);
	khz = khz_of(scale[2], (int32_t)scale[3]);
	(void)probe_check(p, about(khz, regs[2]), "the scale means %lu kHz, the rate is %u",
	                  (unsigned long)khz, regs[2]);
	if (p->c->machine != NULL) {
		(void)probe_check(p, about(p->c->machine->tsc_hz / 1000, regs[2]),
		                  "measured: %lu kHz, not %u", (unsigned long)(p->c->machine->tsc_hz / 1000),
		                  regs[2]);
	}
	certify_cpuid(p->c, leaf, 2, scale);
	(void)probe_check(p, scale[0] != 0 && (scale[1] | scale[2] | scale[3]) == 0, "the host's rate: %u",
	                  scale[0]);
	check_zeros(p, leaf, 3);
	probe_note(p, "guest TSC %u kHz, flags 0x%x, mode %u", regs[2], regs[0], regs[1]);
}

/* ------------------------------------------------------------------ the kinds of guests */

static void probe_leaf_hvm(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t regs[4];

	if (x == NULL || !leaf_get(p, 0, regs)) {
		return;
	}
	(void)probe_check(p, (regs[0] & XEN_HVM_CPUID_VCPU_ID_PRESENT) != 0, "no vCPU number: 0x%x", regs[0]);
	(void)probe_equal(p, regs[1], 0, "the boot processor's vCPU number");
	(void)probe_check(p, (regs[0] & XEN_HVM_CPUID_DOMID_PRESENT) != 0 || regs[2] == 0,
	                  "a domain number without its bit");
	(void)probe_check(p, (regs[0] & ~HVM_FEATURES) == 0 && regs[3] == 0, "unknown features: 0x%x",
	                  regs[0]);
	(void)probe_check(p, regs[2] < DOMID_FIRST_RESERVED, "domain number %u", regs[2]);
	probe_note(p, "features 0x%x, domain %u", regs[0], regs[2]);
	check_zeros(p, p->c->faces.xen_base + (uint32_t)p->row->number, 1);
}

static void probe_leaf_pv(struct probe *p)
{
	uint32_t regs[4];

	if (leaf_get(p, 0, regs)) {
		(void)probe_check(p, (regs[0] | regs[1] | regs[2] | regs[3]) == 0,
		                  "a PV guest's leaf is not zeros");
		check_zeros(p, p->c->faces.xen_base + (uint32_t)p->row->number, 1);
	}
}

#define probe_leaf_signature probe_signature
#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##handler)
static const struct row rows[] = {
#include "specs/xen_cpuid.def"
};
ROW_TABLE(xen_cpuid, NEED_XEN)
