/*
 * metal_bench.c - mode=bench: what it costs to leave a guest and come back, for what every machine has.
 */
#include "guest-drivers/certify/metal_bench.h"

#define WARM_UPS 16u
#define SAMPLES 1000u
#define VECTOR_SELF 0xE8u
#define UNCLAIMED_PORT "0x1234"
#define MSR_EFER 0xC0000080u
#define MSR_X2APIC_ICR 0x830u
#define APIC_PAGE_ICR 0xFEE00300u
#define ICR_TO_SELF (0x40000u | 0x4000u | VECTOR_SELF)

static uint8_t nothing_to_lower;
uint8_t *bench_irq_lower = &nothing_to_lower;
volatile uint64_t bench_irq_tsc;
static uint64_t samples[SAMPLES];

void bench_measure(struct certify *c, const char *name, uint64_t (*time)(void))
{
	uint64_t median;
	unsigned int same = 0;

	for (unsigned int i = 0; i < WARM_UPS; i++) {
		(void)time();
	}
	for (unsigned int i = 0; i < SAMPLES; i++) {
		samples[i] = time();
	}
	sort_numbers(samples, SAMPLES);
	median = samples[SAMPLES / 2];
	for (unsigned int i = 0; i < SAMPLES; i++) {
		same += samples[i] == median ? 1 : 0;
	}
	certify_say(c, "# bench %s median=%lu min=%lu same=%u unit=tsc", name, (unsigned long)median,
	            (unsigned long)samples[0], same);
}

static uint64_t time_nothing(void)
{
	return TICKS_AROUND("", "i"(0) : "memory");
}

static uint64_t time_port_in(void)
{
	return TICKS_AROUND("movl $" UNCLAIMED_PORT ", %%edx\n inb %%dx, %%al\n", "i"(0) : "memory");
}

static uint64_t time_port_out(void)
{
	return TICKS_AROUND("movl $" UNCLAIMED_PORT ", %%edx\n outb %%al, %%dx\n", "i"(0) : "memory");
}

static uint64_t cpuid_of(uint32_t leaf)
{
	return TICKS_AROUND("movl %%esi, %%eax\n cpuid\n", "S"(leaf) : "rbx", "rcx", "memory");
}

static uint64_t time_cpuid_0(void)
{
	return cpuid_of(0);
}

static uint64_t time_cpuid_1(void)
{
	return cpuid_of(1);
}

static uint64_t time_cpuid_face(void)
{
	return cpuid_of(0x40000000u);
}

static uint64_t time_apic_base(void)
{
	return TICKS_AROUND("rdmsr\n", "c"(MSR_APIC_BASE) : "memory");
}

static uint64_t time_efer(void)
{
	return TICKS_AROUND("rdmsr\n", "c"(MSR_EFER) : "memory");
}

/* From before the command is sent until the handler's first instruction. */
static uint64_t time_self_ipi(void)
{
	uint64_t before;

	bench_irq_tsc = 0;
	interrupts_on();
	before = tsc_read();
	if (apic_is_x2()) {
		msr_write(MSR_X2APIC_ICR, ICR_TO_SELF);
	} else {
		*(volatile uint32_t *)(uintptr_t)APIC_PAGE_ICR = ICR_TO_SELF;
	}
	while (bench_irq_tsc == 0) {
		cpu_pause();
	}
	interrupts_off();
	apic_eoi();
	return bench_irq_tsc - before;
}

void metal_bench(struct certify *c)
{
	bool good = true;

	certify_find(c);
	certify_say(c, "# janus-certify-bench 1");
	certify_say(c, "# identity: hyperv=0x%x xen=0x%x boot=%s tsc_hz=%lu apic=%s", c->faces.hyperv_base,
	            c->faces.xen_base, c->options.boot, (unsigned long)c->machine->tsc_hz,
	            apic_is_x2() ? "x2apic" : "xapic");
	interrupt_set_entry(VECTOR_SELF, bench_irq_entry);
	bench_measure(c, "rdtsc", time_nothing);
	bench_measure(c, "port_in", time_port_in);
	bench_measure(c, "port_out", time_port_out);
	bench_measure(c, "cpuid_0", time_cpuid_0);
	bench_measure(c, "cpuid_1", time_cpuid_1);
	bench_measure(c, "cpuid_40000000", time_cpuid_face);
	bench_measure(c, "apic_base", time_apic_base);
	bench_measure(c, "efer", time_efer);
	bench_measure(c, "self_ipi", time_self_ipi);
	if (c->faces.hyperv_base != 0) {
		good = bench_hyperv(c) && good;
	}
	if (c->faces.xen_base != 0) {
		good = bench_xen(c) && good;
	}
	certify_say(c, good ? "# end" : "Bail out! a face does not come up");
}
