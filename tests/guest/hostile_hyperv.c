/*
 * hostile_hyperv.c - Hyper-V's MSRs, pages, hypercalls, synthetic interrupts and timers, and ends.
 */
#include "guest-drivers/hyperv/hyperv.h"
#include "tests/guest/hostile.h"

#define PLAY (UINT64_C(22) << 20) /* 4 MiB of RAM that nothing else uses */
#define PLAY_PAGES 1024u
#define FAST HV_HYPERCALL_FAST_BIT
#define DIRECT_VECTOR 0x51u

static const uint32_t page_msrs[] = {HV_X64_MSR_HYPERCALL, HV_X64_MSR_VP_ASSIST_PAGE, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP,
                                     HV_X64_MSR_REFERENCE_TSC};
static struct hv_guest hv;
static volatile uint32_t stop;
static volatile uint64_t done_count;

static uint16_t call(uint64_t control, uint64_t input, uint64_t output)
{
	return (uint16_t)machine->ops->hypercall_hyperv(NULL, control, input, output);
}

static bool start(void)
{
	bool ok = hv_start(&hv, machine);

	claim(ok, "Hyper-V is there");
	return ok;
}

/* ---------------------------------------------------------------- MSRs and pages */

static uint64_t address;

/* #GP where a page is shown that may only be read. */
static void write_there(void *unused)
{
	(void)unused;
	*(volatile uint64_t *)(uintptr_t)address = address;
}

static void page_msrs_wild(void)
{
	uint64_t space = UINT64_C(1) << (cpuid(0x80000008, 0).eax & 0xff);

	claim(msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 0x8100000000000001), "the OS id");
	for (size_t m = 0; m < ARRAY_COUNT(page_msrs); m++) {
		for (uint32_t i = 0; i < WILD_COUNT; i++) {
			uint64_t at = wild(i) & ~UINT64_C(0xfff);

			claim(at < space || !msr_write_safe(page_msrs[m], at | 1), "a page beyond the address space: #GP");
			(void)msr_write_safe(page_msrs[m], at | 1); /* below that it may lie where no memory is */
			(void)msr_write_safe(page_msrs[m], at | 0xffe);
		}
		(void)msr_write_safe(page_msrs[m], 0);
	}
	/* All on one page, in turn and at once, over all of 4 MiB. */
	for (uint32_t p = 0; p < PLAY_PAGES; p++) {
		for (size_t m = 0; m < ARRAY_COUNT(page_msrs); m++) {
			(void)msr_write_safe(page_msrs[m], (PLAY + p * 4096u) | 1);
		}
		address = PLAY + p * 4096u + 8 * (p % 512);
		claim(try_call(write_there, NULL) != VECTOR_PF, "written, or #GP");
	}
	for (size_t m = 0; m < ARRAY_COUNT(page_msrs); m++) {
		(void)msr_write_safe(page_msrs[m], 0);
	}
	for (uint32_t p = 0; p < PLAY_PAGES - 1; p++) { /* what lay below is there again */
		claim(*(volatile uint64_t *)(uintptr_t)(PLAY + p * 4096u) == 0 || p % 512 == 0, "the page below");
	}
}

static void ap_flip(unsigned int cpu)
{
	for (uint32_t i = 0; stop == 0; i++) {
		uint32_t msr = page_msrs[(i + cpu) % ARRAY_COUNT(page_msrs)];

		(void)msr_write_safe(msr, (PLAY + (i & 1) * 4096u) | (i >> 1 & 1));
		done_count++;
	}
}

/* Two CPUs switch the pages on and off on the same frames; the third writes to them. */
static void pages_flip(void)
{
	(void)msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 0x8100000000000001);
	claim_number(cpus_start(ap_flip), 3, "CPUs");
	while (blowing()) {
		address = PLAY + (random_number() & 0x1ff8);
		(void)try_call(write_there, NULL);
		(void)msr_write_safe(HV_X64_MSR_SCONTROL, random_number() & 1);
	}
	stop = 1;
	claim(done_count != 0, "the others ran");
}

static void msrs_wild(void)
{
	uint64_t value;

	for (uint32_t msr = 0x40000000; msr < 0x40000200; msr++) {
		if (msr == HV_X64_MSR_RESET || msr == HV_X64_MSR_CRASH_CTL || msr == HV_X64_MSR_GUEST_IDLE) {
			continue;
		}
		(void)msr_read_safe(msr, &value);
		for (uint32_t i = 0; i < WILD_COUNT; i++) {
			(void)msr_write_safe(msr, wild(i));
		}
		(void)msr_write_safe(msr, 0);
	}
	claim(!msr_write_safe(HV_X64_MSR_VP_INDEX, 1), "the VP index is read-only: #GP");
	claim(!msr_write_safe(HV_X64_MSR_TIME_REF_COUNT, 1), "the counter is read-only: #GP");
	claim(!msr_write_safe(HV_X64_MSR_SINT0, 15), "a vector below 16, not masked: #GP");
	claim(!msr_read_safe(HV_X64_MSR_NPIEP_CONFIG, &value), "what is not offered: #GP");
	claim(!msr_read_safe(HV_X64_MSR_NESTED_VP_INDEX, &value), "nested: #GP");
}

/* Not offered: CPUID says so, and their use is refused. */
static void apic_msrs(void)
{
	uint64_t value;

	claim((cpuid(HYPERV_CPUID_FEATURES, 0).eax & HV_MSR_APIC_ACCESS_AVAILABLE) == 0, "CPUID shows no APIC MSRs");
	while (blowing()) {
		claim(!msr_write_safe(HV_X64_MSR_EOI, 0) && !msr_write_safe(HV_X64_MSR_ICR, 0x40000) &&
		              !msr_read_safe(HV_X64_MSR_TPR, &value),
		      "EOI, ICR, TPR: #GP");
	}
}

static void eom_storm(void)
{
	if (!start()) {
		return;
	}
	while (blowing()) {
		claim(msr_write_safe(HV_X64_MSR_EOM, 0), "EOM");
	}
}

/* ---------------------------------------------------------------- calls */

static uint64_t scratch[64];

static uint64_t input(bool nowhere)
{
	if (nowhere) {
		return wild((uint32_t)random_number());
	}
	for (size_t i = 0; i < ARRAY_COUNT(scratch); i++) {
		scratch[i] = random_wild();
	}
	return (uintptr_t)scratch;
}

static void calls(void)
{
	static const uint64_t shapes[] = {0, FAST, UINT64_C(1) << 32, UINT64_C(4095) << 32, UINT64_C(0x3ff) << 17,
	                                  UINT64_C(0x7ff07ff) << 32, HV_HYPERCALL_NESTED, UINT64_C(1) << 27, UINT64_C(1) << 63};

	(void)msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 0x8100000000000001);
	for (uint64_t code = 0; code < 0x140; code++) {
		for (uint32_t i = 0; i < 40; i++) {
			uint64_t control = code | shapes[i % ARRAY_COUNT(shapes)] | (i >= 32 ? random_number() << 16 : 0);
			struct registers regs = {.rcx = control, .rdx = input((i & 1) != 0), .r8 = random_wild()};

			(void)call_mode(RING0_64, &regs); /* #UD where XMM registers would be input */
		}
	}
	claim_number(call(0x7777, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE, "no such call");
	claim_number(call(HVCALL_POST_MESSAGE, (uintptr_t)scratch + 1, 0), HV_STATUS_INVALID_ALIGNMENT, "an odd address");
	claim_number(call(HVCALL_POST_MESSAGE, wild(0), 0), HV_STATUS_INVALID_ALIGNMENT, "input where no memory is");
	claim_number(call(HVCALL_SEND_IPI | UINT64_C(1) << 32, 0, 0), HV_STATUS_INVALID_HYPERCALL_INPUT, "repeats of none");
}

static void calls_32(void)
{
	(void)msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 0x8100000000000001);
	for (uint64_t code = 0; code < 0x140; code++) {
		for (uint32_t i = 0; i < 20; i++) {
			struct registers regs = {.rax = code | (i % 4 == 0 ? FAST : 0), .rdx = i < 10 ? 0 : random_number(),
			                         .rbx = 0, .rcx = input((i & 1) != 0), .rdi = random_wild(), .rsi = random_wild()};

			(void)call_mode(RING0_32, &regs);
		}
	}
	struct registers regs = {.rax = 0x7777};
	claim(call_mode(RING0_32, &regs), "a 32-bit call returns");
	claim_number((uint32_t)regs.rax, HV_STATUS_INVALID_HYPERCALL_CODE, "no such call");
}

static void calls_user(void)
{
	for (uint64_t code = 0; code < 0x140; code++) {
		for (uint32_t mode = RING3_64; mode <= RING3_32; mode++) {
			struct registers regs = {.rcx = code, .rax = code, .rdx = (uintptr_t)scratch};

			claim(!call_mode((enum mode)mode, &regs) && trapped()->vector == VECTOR_UD, "a user's call is #UD");
		}
	}
}

static void before_id(void)
{
	(void)msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 0);
	(void)msr_write_safe(HV_X64_MSR_HYPERCALL, PLAY | 1);
	claim((msr_read(HV_X64_MSR_HYPERCALL) & 1) == 0, "no page without an OS id");
	(void)msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 1);
	(void)msr_write_safe(HV_X64_MSR_HYPERCALL, PLAY | 1);
	claim((msr_read(HV_X64_MSR_HYPERCALL) & 1) == 1, "then it is there");
	(void)msr_write_safe(HV_X64_MSR_GUEST_OS_ID, 0);
	claim((msr_read(HV_X64_MSR_HYPERCALL) & 1) == 0, "and goes with the id");
	(void)msr_write_safe(HV_X64_MSR_HYPERCALL, PLAY | 3);
	(void)msr_write_safe(HV_X64_MSR_HYPERCALL, 0);
}

static void signal_storm(void)
{
	uint64_t taken = 0;

	if (!start()) {
		return;
	}
	while (blowing()) {
		uint64_t id = random_wild() & 0xffffffff;

		taken += call(HVCALL_SIGNAL_EVENT | FAST, id | (random_number() & 0xffff) << 32, 0) == HV_STATUS_SUCCESS ? 1 : 0;
	}
	claim_number(taken, 0, "a signal to no connection is taken");
}

static void ap_wait(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		__asm__ volatile("sti; pause; cli");
	}
}

static void take_ipi(struct frame *frame)
{
	(void)frame;
	done_count++;
	apic_eoi();
}

static void ipi_storm(void)
{
	interrupt_handle(VECTOR_IPI, take_ipi);
	claim_number(cpus_start(ap_wait), cpu_count(), "CPUs");
	while (blowing()) {
		claim_number(call(HVCALL_SEND_IPI | FAST, VECTOR_IPI, 0xf), HV_STATUS_SUCCESS, "an IPI");
		claim_number(call(HVCALL_SEND_IPI | FAST, 15, 0xf), HV_STATUS_INVALID_PARAMETER, "vector 15");
		claim_number(call(HVCALL_SEND_IPI | FAST, 256, 0xf), HV_STATUS_INVALID_PARAMETER, "vector 256");
		(void)call(HVCALL_SEND_IPI | FAST, VECTOR_IPI, random_wild());
		__asm__ volatile("sti; nop; cli");
	}
	stop = 1;
	claim(done_count != 0, "IPIs come");
}

static void flush_storm(void)
{
	static struct {
		struct hv_tlb_flush flush;
		uint64_t list[400];
	} in __attribute__((aligned(4096)));

	claim_number(cpus_start(ap_wait), cpu_count(), "CPUs");
	in.flush = (struct hv_tlb_flush){.flags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES};
	for (uint32_t i = 0; i < ARRAY_COUNT(in.list); i++) {
		in.list[i] = wild(i) | 0xfff;
	}
	while (blowing()) {
		(void)call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, (uintptr_t)&in, 0);
		(void)call(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | UINT64_C(400) << 32, (uintptr_t)&in, 0);
		in.flush.processor_mask = random_wild();
		in.flush.flags = random_wild() & 0x1f;
	}
	stop = 1;
}

static void idle_forever(void)
{
	uint64_t value;

	report("doing=idle with interrupts off");
	for (;;) {
		(void)call(HVCALL_NOTIFY_LONG_SPIN_WAIT | FAST, UINT32_MAX, 0);
		(void)msr_read_safe(HV_X64_MSR_GUEST_IDLE, &value);
	}
}

/* ---------------------------------------------------------------- timers */

static void take_tick(struct frame *frame)
{
	(void)frame;
	done_count++;
	apic_eoi();
}

/* Periods and times of 0, 1 and the most, by vector and by messages that are never taken. */
static void stimers(void)
{
	static const uint64_t counts[] = {0, 1, 2, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, 1000};
	uint64_t rounds = 0;

	if (!start()) {
		return;
	}
	interrupt_handle(DIRECT_VECTOR, take_tick);
	while (blowing()) {
		for (uint32_t timer = 0; timer < HV_SYNIC_STIMER_COUNT; timer++) {
			uint32_t msr = HV_X64_MSR_STIMER0_CONFIG + 2 * timer;
			uint64_t config = HV_STIMER_ENABLE | (rounds & 2) | (rounds & 4) | (rounds & 8);

			config |= timer < 2 ? HV_STIMER_DIRECT_MODE | (uint64_t)DIRECT_VECTOR << HV_STIMER_VECTOR_SHIFT
			                    : UINT64_C(3) << HV_STIMER_SINT_SHIFT;
			(void)msr_write_safe(msr, config);
			(void)msr_write_safe(msr + 1, counts[(rounds + timer) % ARRAY_COUNT(counts)]);
			__asm__ volatile("sti; nop; nop; cli");
		}
		rounds++;
	}
	for (uint32_t msr = HV_X64_MSR_STIMER0_CONFIG; msr <= HV_X64_MSR_STIMER3_COUNT; msr++) {
		(void)msr_write_safe(msr, random_number());
		(void)msr_write_safe(msr, 0);
	}
	report("ticks=%lu", (unsigned long)done_count);
}

/* One timer of the shortest period, on a SINT of its own: its interrupt comes as fast as it is taken. */
static void stimer_storm(void)
{
	if (!start()) {
		return;
	}
	interrupt_handle(DIRECT_VECTOR, take_tick);
	for (uint32_t timer = 0; timer < HV_SYNIC_STIMER_COUNT; timer++) {
		(void)msr_write_safe(HV_X64_MSR_STIMER0_COUNT + 2 * timer, 1);
		(void)msr_write_safe(HV_X64_MSR_STIMER0_CONFIG + 2 * timer,
		                     HV_STIMER_ENABLE | HV_STIMER_PERIODIC | HV_STIMER_DIRECT_MODE |
		                             (uint64_t)DIRECT_VECTOR << HV_STIMER_VECTOR_SHIFT);
	}
	while (blowing()) {
		__asm__ volatile("sti; nop; nop; pause; cli");
	}
	report("ticks=%lu", (unsigned long)done_count);
}

/* ---------------------------------------------------------------- ends */

static void crash(void)
{
	for (uint32_t i = 0; i < HV_X64_MSR_CRASH_PARAMS; i++) {
		(void)msr_write_safe(HV_X64_MSR_CRASH_P0 + i, wild(i));
	}
	(void)msr_write_safe(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG);
	for (;;) {
		cpu_pause();
	}
}

/* Again and again, with messages of every place and length: the log has a limit. */
static void crash_storm(void)
{
	for (uint64_t i = 0;; i++) {
		(void)msr_write_safe(HV_X64_MSR_CRASH_P3, (i & 1) != 0 ? PLAY : wild((uint32_t)i));
		(void)msr_write_safe(HV_X64_MSR_CRASH_P4, (i & 2) != 0 ? 4096 : wild((uint32_t)i));
		(void)msr_write_safe(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG);
	}
}

static void reset(void)
{
	if (start()) {
		(void)msr_write_safe(HV_X64_MSR_RESET, UINT64_MAX - 1);
		(void)msr_write_safe(HV_X64_MSR_RESET, 1);
	}
	delay_us(1000000);
}

const struct hostile_case cases_hyperv[] = {
	{"hv_page_msrs", page_msrs_wild}, {"hv_pages_flip", pages_flip}, {"hv_msrs_wild", msrs_wild},
	{"hv_apic_msrs", apic_msrs}, {"hv_eom_storm", eom_storm}, {"hv_calls", calls}, {"hv_calls_32", calls_32},
	{"hv_calls_user", calls_user}, {"hv_before_id", before_id}, {"hv_signal_storm", signal_storm},
	{"hv_ipi_storm", ipi_storm}, {"hv_flush_storm", flush_storm}, {"hv_idle_forever", idle_forever},
	{"hv_stimers", stimers}, {"hv_stimer_storm", stimer_storm}, {"hv_crash", crash}, {"hv_crash_storm", crash_storm},
	{"hv_reset", reset}, {NULL, NULL},
};
