/*
 * metal_bench_hyperv.c - what Hyper-V's hypercalls, MSRs and timers cost.
 */
#include "guest-drivers/certify/metal_bench.h"

#define HV_UNKNOWN_CALL 0x8001u
#define BAD_CONNECTION 0x00FEDCBAu
#define SINT5 (HV_X64_MSR_SINT0 + 5)
#define VECTOR_STIMER 0xE9u

static struct hv_guest *hv;

/* Through the hypercall page; @input in RDX. */
static uint64_t call(uint64_t control, uint64_t input)
{
	register uint64_t given __asm__("r14") = input;

	return TICKS_AROUND("movq %%r14, %%rdx\n xorl %%r8d, %%r8d\n call *%%rbx\n", "c"(control), "r"(given),
	                    "b"(hv->hypercall_page.bytes)
	                    : "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
}

static uint64_t time_spin_wait(void)
{
	return call(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST_BIT, 0);
}

static uint64_t time_unknown(void)
{
	return call(HV_UNKNOWN_CALL, 0);
}

static uint64_t time_flush(void)
{
	struct hv_tlb_flush *input = (void *)hv->input.bytes;

	*input =
	        (struct hv_tlb_flush){.flags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES};
	return call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, hv->input.gfn << PAGE_SHIFT);
}

static uint64_t time_flush_list(void)
{
	struct hv_tlb_flush *input = (void *)hv->input.bytes;

	*input =
	        (struct hv_tlb_flush){.flags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES};
	*(uint64_t *)(void *)(hv->input.bytes + sizeof(*input)) = 0x100000;
	return call(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | UINT64_C(1) << 32, hv->input.gfn << PAGE_SHIFT);
}

static uint64_t time_signal(void)
{
	return call(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST_BIT, BAD_CONNECTION);
}

static uint64_t read_msr(uint32_t msr)
{
	return TICKS_AROUND("rdmsr\n", "c"(msr) : "memory");
}

static uint64_t time_vp_index(void)
{
	return read_msr(HV_X64_MSR_VP_INDEX);
}

static uint64_t time_reference_count(void)
{
	return read_msr(HV_X64_MSR_TIME_REF_COUNT);
}

static uint64_t time_vp_runtime(void)
{
	return read_msr(HV_X64_MSR_VP_RUNTIME);
}

static uint64_t time_tsc_frequency(void)
{
	return read_msr(HV_X64_MSR_TSC_FREQUENCY);
}

static uint64_t time_sint(void)
{
	return read_msr(SINT5);
}

static uint64_t time_eom(void)
{
	return TICKS_AROUND("xorl %%eax, %%eax\n xorl %%edx, %%edx\n wrmsr\n", "c"(HV_X64_MSR_EOM)
	                    : "memory");
}

/* A deadline that is over: two writes of the timer, until its handler. */
static uint64_t time_stimer(void)
{
	const uint64_t config =
	        HV_STIMER_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)VECTOR_STIMER << HV_STIMER_VECTOR_SHIFT;
	uint64_t before;

	bench_irq_tsc = 0;
	interrupts_on();
	before = tsc_read();
	msr_write(HV_X64_MSR_STIMER0_COUNT, 1);
	msr_write(HV_X64_MSR_STIMER0_CONFIG, config);
	while (bench_irq_tsc == 0) {
		cpu_pause();
	}
	interrupts_off();
	apic_eoi();
	return bench_irq_tsc - before;
}

static bool has_msr(uint32_t msr)
{
	uint64_t value;

	return msr_read_safe(msr, &value);
}

bool bench_hyperv(struct certify *c)
{
	static const struct row row = {.name = "bench"};
	struct probe p = {.c = c, .row = &row};
	uint32_t features[4];

	hv = certify_hv_started(&p);
	if (hv == NULL) {
		return false;
	}
	certify_cpuid(c, c->faces.hyperv_base + 3, 0, features);
	bench_measure(c, "hv_spin_wait", time_spin_wait);
	bench_measure(c, "hv_unknown", time_unknown);
	bench_measure(c, "hv_flush_space", time_flush);
	bench_measure(c, "hv_flush_list", time_flush_list);
	bench_measure(c, "hv_signal_refused", time_signal);
	bench_measure(c, "hv_vp_index", time_vp_index);
	bench_measure(c, "hv_reference_count", time_reference_count);
	if (has_msr(HV_X64_MSR_VP_RUNTIME)) {
		bench_measure(c, "hv_vp_runtime", time_vp_runtime);
	}
	if (has_msr(HV_X64_MSR_TSC_FREQUENCY)) {
		bench_measure(c, "hv_tsc_frequency", time_tsc_frequency);
	}
	bench_measure(c, "hv_sint_read", time_sint);
	bench_measure(c, "hv_eom", time_eom);
	if ((features[3] & HV_STIMER_DIRECT_MODE_AVAILABLE) != 0) {
		interrupt_set_entry(VECTOR_STIMER, bench_irq_entry);
		bench_measure(c, "hv_stimer_expired", time_stimer);
	}
	certify_hv_down(c);
	return true;
}
