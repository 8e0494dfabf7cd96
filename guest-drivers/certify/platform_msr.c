/*
 * platform_msr.c - probes of specs/msr.def: the MSRs of the processor itself, by kind. One range is one row, and its first
 * number is what is probed.
 */
#include "base/bits.h"
#include "guest-drivers/certify/certify.h"

#define AMD_FIRST 0xC0010000u
#define AMD_LAST 0xC0011FFFu
#define VENDOR_INTEL_EBX 0x756E6547u
#define EFER_LONG (BIT64(8) | BIT64(10))
#define EFER_RESERVED BIT64(63)
#define BAD_TYPE 2u /* no memory type */
#define X2APIC_ID 0x802u
#define X2APIC_HOLE 0x800u
#define APIC_BASE_ENABLED BIT64(11)
#define APIC_BASE_X2 BIT64(10)

/* Reads the row's MSR. False: it is not there, and the probe is over. */
static bool read_row(struct probe *p, uint64_t *value)
{
	uint32_t number = (uint32_t)p->row->number;
	uint32_t vendor[4];
	bool there;

	if (p->c->machine == NULL) {
		probe_skip(p, "needs a machine: the processor's own MSRs");
		return false;
	}
	certify_cpuid(p->c, 0, 0, vendor);
	if (number >= AMD_FIRST && number <= AMD_LAST && vendor[1] == VENDOR_INTEL_EBX) {
		probe_skip(p, "not on Intel's CPUs");
		return false;
	}
	there = certify_rdmsr(p->c, number, value);
	probe_offer(p, there);
	if (!there) {
		(void)probe_check(p, !certify_wrmsr(p->c, number, 0), "0x%x cannot be read, but written",
		                  number);
		probe_note(p, "reading it is #GP");
		return false;
	}
	probe_note(p, "0x%lx", (unsigned long)*value);
	return true;
}

static bool write_row(struct probe *p, uint64_t value)
{
	return certify_wrmsr(p->c, (uint32_t)p->row->number, value);
}

/* What is written is read back, and the old value put there again. */
static void check_keeps(struct probe *p, uint64_t value)
{
	uint64_t old = 0;
	uint64_t seen = 0;

	if (read_row(p, &old)) {
		(void)probe_check(p, write_row(p, value), "writing 0x%lx is #GP", (unsigned long)value);
		(void)probe_check(p, certify_rdmsr(p->c, (uint32_t)p->row->number, &seen),
		                  "reading it again is #GP");
		(void)probe_check(p, write_row(p, old), "the old value is #GP");
		(void)probe_equal(p, seen, value, "what is read back");
	}
}

static void probe_DIRECT(struct probe *p)
{
	check_keeps(p, 0x10);
}

static void probe_ADDRESS(struct probe *p)
{
	check_keeps(p, UINT64_C(0xFFFF800000001000));
}

static void probe_TSC_AUX(struct probe *p)
{
	check_keeps(p, 0x12345678);
}

static void probe_CONST(struct probe *p)
{
	uint64_t value;

	if (read_row(p, &value)) {
		(void)probe_check(p, !write_row(p, ~value), "it can be written");
	}
}

/* Kept or dropped: what it reads as may be written. */
static void probe_STORED(struct probe *p)
{
	uint64_t value;
	uint64_t again = 0;

	if (read_row(p, &value)) {
		(void)probe_check(p, write_row(p, value), "its own value is #GP");
		(void)probe_check(p, certify_rdmsr(p->c, (uint32_t)p->row->number, &again) && again == value,
		                  "it reads 0x%lx after that", (unsigned long)again);
	}
}

static void probe_IGNORED(struct probe *p)
{
	probe_STORED(p);
}

static void probe_EFER(struct probe *p)
{
	uint64_t value;

	if (read_row(p, &value)) {
		(void)probe_equal(p, value & EFER_LONG, EFER_LONG, "LME and LMA in long mode");
		(void)probe_check(p, !write_row(p, value | EFER_RESERVED), "a reserved bit can be set");
		(void)probe_check(p, write_row(p, value), "its own value is #GP");
	}
}

static void probe_PAT(struct probe *p)
{
	uint64_t value;

	if (read_row(p, &value)) {
		(void)probe_check(p, !write_row(p, BAD_TYPE), "a type that there is not is taken");
		(void)probe_check(p, write_row(p, value), "its own value is #GP");
	}
}

static void probe_MTRR_TYPE(struct probe *p)
{
	uint64_t value;

	if (read_row(p, &value)) {
		(void)probe_check(p, !write_row(p, (value & ~UINT64_C(0xFF)) | BAD_TYPE),
		                  "a type that there is not is taken");
		(void)probe_check(p, write_row(p, value), "its own value is #GP");
	}
}

static void probe_CLOCK(struct probe *p)
{
	uint64_t first;
	uint64_t last = 0;

	if (read_row(p, &first)) {
		(void)probe_check(p, certify_rdmsr(p->c, (uint32_t)p->row->number, &last) && last > first,
		                  "it does not go on");
	}
}

/* The local APIC's: its base, and its registers as MSRs where they are enabled. */
static void probe_PLATFORM(struct probe *p)
{
	uint64_t base = 0;
	uint64_t value;

	if (p->c->machine == NULL) {
		probe_skip(p, "needs a machine: the processor's own MSRs");
		return;
	}
	if (!probe_check(p, certify_rdmsr(p->c, 0x1B, &base), "APIC_BASE is #GP")) {
		return;
	}
	(void)probe_check(p, (base & APIC_BASE_ENABLED) != 0, "the local APIC is off: 0x%lx",
	                  (unsigned long)base);
	probe_note(p, "APIC_BASE 0x%lx", (unsigned long)base);
	if (p->row->number != 0x1B) {
		bool x2 = (base & APIC_BASE_X2) != 0;

		(void)probe_check(p, certify_rdmsr(p->c, X2APIC_ID, &value) == x2, "the id is %s",
		                  x2 ? "#GP" : "there in xAPIC mode");
		(void)probe_check(p, !certify_rdmsr(p->c, X2APIC_HOLE, &value),
		                  "a register that there is not can be read");
	}
}

/* The synthetic range as a whole: its end is nobody's. */
static void probe_FACE(struct probe *p)
{
	uint64_t value;

	if (p->c->machine == NULL) {
		probe_skip(p, "needs a machine: the processor's own MSRs");
		return;
	}
	(void)probe_check(p, !certify_rdmsr(p->c, 0x4000FFFFu, &value), "4000ffff can be read");
	(void)probe_check(p, !certify_wrmsr(p->c, 0x4000FFFFu, 0), "4000ffff can be written");
}

#define MSR(first, last, name, kind, reset, writable, clause) \
	{#name, (uint64_t)(first), true, clause, probe_##kind},
static const struct row rows[] = {
#include "specs/msr.def"
};
ROW_TABLE(msr, NEED_NOTHING)
