/*
 * bench.c - how much it costs to leave a guest and come back: the TSC around one instruction, 1000
 * times.
 *
 * With -icount the emulated TSC counts executed instructions, those of the hypervisor included:
 * then the unit is emulated instructions. Each line is `NAME=MEDIAN MINIMUM SAME`, SAME being how
 * many of the samples equal the median. RDTSC itself, and what puts an operation's arguments into
 * EAX and EDX, are in the figures.
 */
#include "abi/hyperv.h"
#include "abi/xen.h"
#include "guest-drivers/metal/cpu.h"

#define WARM_UPS 16u
#define SAMPLES 1000u
#define VECTOR_SELF 0xe8u
#define UNCLAIMED_PORT "0x1234"
#define MSR_X2APIC_ICR 0x830u
#define APIC_PAGE_ICR 0xfee00300u
#define ICR_TO_SELF (0x40000u | 0x4000u | VECTOR_SELF)
#define HV_FAST (UINT64_C(1) << 16)
#define HV_UNKNOWN_CALL 0x8001u
#define XEN_UNKNOWN_CALL 63u

extern const uint8_t bench_irq_entry[];
extern volatile uint64_t bench_irq_tsc;

volatile uint64_t bench_irq_tsc;
static void *hypercall_page;
static uint64_t samples[SAMPLES];

/*
 * TSC, @body, TSC: the ticks between. RDTSC takes EAX and EDX, so @body sets those itself; what
 * else it needs comes as operands and what it changes is in the clobbers. Between two RDTSCs with
 * no @body lie two moves.
 */
#define TICKS_AROUND(body, ...)                                                                           \
	__extension__({                                                                                   \
		register uint64_t first_low __asm__("r12");                                               \
		register uint64_t first_high __asm__("r13");                                              \
		uint64_t last_low;                                                                        \
		uint64_t last_high;                                                                       \
		__asm__ volatile("rdtsc\n"                                                                \
		                 "movl %%eax, %%r12d\n"                                                   \
		                 "movl %%edx, %%r13d\n" body "rdtsc\n"                                    \
		                 : "=&r"(first_low), "=&r"(first_high), "=&a"(last_low), "=&d"(last_high) \
		                 : __VA_ARGS__);                                                          \
		(last_high << 32 | last_low) - (first_high << 32 | first_low);                            \
	})

static uint64_t time_nothing(void)
{
	return TICKS_AROUND("", "i"(0) : "memory");
}

static uint64_t time_port_in(void)
{
	return TICKS_AROUND("movl $" UNCLAIMED_PORT ", %%edx\n inb %%dx, %%al\n", "i"(0) : "memory");
}

static uint64_t time_cpuid(void)
{
	return TICKS_AROUND("xorl %%eax, %%eax\n cpuid\n", "i"(0) : "rbx", "rcx", "memory");
}

static uint64_t time_apic_base(void)
{
	return TICKS_AROUND("rdmsr\n", "c"(MSR_APIC_BASE) : "memory");
}

static uint64_t time_vp_index(void)
{
	return TICKS_AROUND("rdmsr\n", "c"(HV_X64_MSR_VP_INDEX) : "memory");
}

static uint64_t time_reference_count(void)
{
	return TICKS_AROUND("rdmsr\n", "c"(HV_X64_MSR_TIME_REF_COUNT) : "memory");
}

static uint64_t xen_call(uint64_t number)
{
	register uint64_t nr __asm__("r14") = number;

	return TICKS_AROUND("movl %%r14d, %%eax\n" HYPERCALL_INSN, "r"(nr), "D"(UINT64_C(0)), "S"(UINT64_C(0))
	                    : "r8", "r9", "r10", "r11", "rcx", "memory");
}

static uint64_t time_xen_version(void)
{
	return xen_call(__HYPERVISOR_xen_version);
}

static uint64_t time_xen_unknown(void)
{
	return xen_call(XEN_UNKNOWN_CALL);
}

static uint64_t hyperv_call(uint64_t control)
{
	return TICKS_AROUND("xorl %%edx, %%edx\n xorl %%r8d, %%r8d\n call *%%rbx\n", "c"(control),
	                    "b"(hypercall_page)
	                    : "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
}

static uint64_t time_hyperv_spin_wait(void)
{
	return hyperv_call(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_FAST);
}

static uint64_t time_hyperv_unknown(void)
{
	return hyperv_call(HV_UNKNOWN_CALL);
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

static void measure(const char *name, uint64_t (*time)(void))
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
	report("%s=%lu %lu %u", name, (unsigned long)median, (unsigned long)samples[0], same);
}

static bool measure_hyperv(void)
{
	hypercall_page = hyperv_open();
	if (hypercall_page == NULL) {
		report("error=the hypercall page stays off");
		return false;
	}
	measure("hv_spin_wait", time_hyperv_spin_wait);
	measure("hv_unknown", time_hyperv_unknown);
	measure("hv_vp_index", time_vp_index);
	measure("hv_reference_count", time_reference_count);
	return true;
}

void program_main(void)
{
	bool ok = true;

	interrupt_set_entry(VECTOR_SELF, bench_irq_entry);
	report("face=%s", face_name());
	report("apic=%s", apic_is_x2() ? "x2apic" : "xapic");
	measure("rdtsc", time_nothing);
	measure("port_in", time_port_in);
	measure("cpuid", time_cpuid);
	measure("apic_base", time_apic_base);
	measure("self_ipi", time_self_ipi);
	if (has_hyperv()) {
		ok = measure_hyperv();
	}
	if (xen_base() != 0) {
		measure("xen_version", time_xen_version);
		measure("xen_unknown", time_xen_unknown);
	}
	finish(ok);
}
