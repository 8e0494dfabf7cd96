/*
 * hostile_cpu.c - registers, interrupts, exceptions, other CPUs and ends: what any guest can do.
 */
#include "abi/hyperv.h"
#include "tests/guest/hostile.h"

#define X2_ICR 0x830u
#define X2_SELF 0x83fu
#define ICR_TO_SELF 0x40000u
#define ICR_TO_ALL 0x80000u
#define ICR_NMI 0x400u
#define ICR_INIT 0x4500u
#define ICR_SIPI 0x4600u
#define RFLAGS_TF 0x100u
#define RFLAGS_AC 0x40000u
#define CR0_AM 0x40000u

static volatile uint64_t taken;
static volatile uint32_t stop;
static volatile uint64_t ap_rounds;

static void count_and_end(struct frame *frame)
{
	(void)frame;
	taken++;
	apic_eoi();
}

static void count_only(struct frame *frame)
{
	(void)frame;
	taken++;
}

static void take_interrupts(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* ---------------------------------------------------------------- MSRs */

static void msr_read_all(void)
{
	static const uint32_t ranges[][2] = {
		{0, 0x1000}, {0x40000000, 0x40000400}, {0x40001000, 0x400010b0}, {0x4000ff00, 0x40010010},
		{0xc0000000, 0xc0000200}, {0xc0010000, 0xc0010200}, {0xc0011000, 0xc0011040}, {0xfffffff0, 0xffffffff},
	};
	uint64_t value;
	uint32_t there = 0;

	for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
		for (uint32_t msr = ranges[i][0]; msr < ranges[i][1]; msr++) {
			if (msr != HV_X64_MSR_GUEST_IDLE) { /* sleeps until an interrupt, and they are off */
				there += msr_read_safe(msr, &value) ? 1 : 0;
			}
		}
	}
	for (uint32_t i = 0; i < 2000; i++) {
		(void)msr_read_safe((uint32_t)random_number(), &value);
	}
	report("there=%u", there);
	claim(there > 10, "the MSRs that are there read");
	claim(!msr_read_safe(0x12345, &value), "an unknown MSR is #GP");
	claim(!msr_read_safe(0xc0010114, &value), "SVM's VM_CR is #GP"); /* specs/msr.def has no row */
	claim(!msr_read_safe(0x480, &value), "VMX's MSRs are #GP");
}

/* Not those that this program lives by: GS base, APIC base, x2APIC, the faces'. */
static bool msr_is_spared(uint32_t msr)
{
	return msr == 0xc0000101 || msr == 0x1b || (msr >= 0x800 && msr < 0x900) || msr >> 16 == 0x4000;
}

static void msr_write_all(void)
{
	static const uint32_t ranges[][2] = {
		{0, 0x800}, {0xc0000080, 0xc0000110}, {0xc0010000, 0xc0010140}, {0xc0011000, 0xc0011040},
	};
	uint64_t old;

	for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
		for (uint32_t msr = ranges[i][0]; msr < ranges[i][1]; msr++) {
			if (msr_is_spared(msr) || !msr_read_safe(msr, &old)) {
				continue;
			}
			for (uint32_t w = 0; w < WILD_COUNT; w++) {
				(void)msr_write_safe(msr, wild(w));
			}
			if (msr != 0x10) {
				claim(msr_write_safe(msr, old) || msr == 0x17 || msr == 0xfe || msr == 0x179,
				      "its old value is taken back");
			}
		}
	}
	/* Addresses that are not canonical are not among the claims: the CPU checks them, QEMU 7.2 does not. */
	claim(!msr_write_safe(0xc0000080, 0x1d01), "EFER.SVME: #GP");
	claim(!msr_write_safe(0xc0000080, 1), "EFER.LME while paging: #GP");
	claim(!msr_write_safe(0x277, 0x0202020202020202), "PAT of no type: #GP");
	claim(!msr_write_safe(0x12345, 0), "an unknown MSR is #GP");
}

static void msr_storm(void)
{
	uint64_t value, rounds = 0;

	while (blowing()) {
		(void)msr_read_safe(0x12345, &value);
		(void)msr_write_safe(0x3a, rounds);
		(void)msr_write_safe(0xc0010114, rounds++);
	}
	report("rounds=%lu", (unsigned long)rounds);
}

static void apic_base(void)
{
	uint64_t old = msr_read(MSR_APIC_BASE);

	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		if (msr_write_safe(MSR_APIC_BASE, (wild(i) & ~UINT64_C(0xfff)) | 0xd00)) {
			report("taken=%lx", (unsigned long)wild(i));
		}
		(void)msr_write_safe(MSR_APIC_BASE, old);
	}
	claim(!msr_write_safe(MSR_APIC_BASE, old | 1), "a reserved bit: #GP");
	claim(!apic_is_x2() || !msr_write_safe(MSR_APIC_BASE, (old & ~UINT64_C(0xc00)) | 0x400),
	      "x2APIC without the APIC: #GP");
	claim(!apic_is_x2() || !msr_write_safe(MSR_APIC_BASE, (old & ~UINT64_C(0xc00)) | 0x800),
	      "from x2APIC to xAPIC: #GP");
	claim_number(msr_read(MSR_APIC_BASE), old, "APIC base");
}

static void apic_msrs(void)
{
	uint64_t value;

	for (uint32_t msr = 0x800; msr < 0x840; msr++) {
		(void)msr_read_safe(msr, &value);
		if (msr == X2_ICR || msr == X2_SELF || msr == 0x80b) {
			continue;
		}
		for (uint32_t i = 0; i < WILD_COUNT; i++) {
			(void)msr_write_safe(msr, wild(i));
			(void)msr_write_safe(msr, wild(i) & 0xffffffff);
		}
	}
	for (uint32_t msr = 0x840; msr < 0x900; msr++) {
		claim(!msr_read_safe(msr, &value) && !msr_write_safe(msr, 0), "no such register: #GP");
	}
	claim(!msr_write_safe(0x802, 0), "the id is read-only: #GP");
	claim(!msr_write_safe(0x80b, 1), "EOI of not 0: #GP");
	claim(!msr_write_safe(0x80f, 0xffffffff), "reserved bits of SVR: #GP");
}

/* Counts of 0, 1 and the most; a period of 1; deadlines that have gone or never come. */
static void apic_timer(void)
{
	static const uint64_t deadlines[] = {1, UINT64_MAX, 0, 1};

	interrupt_handle(VECTOR_TIMER, count_and_end);
	(void)msr_write_safe(0x83e, 0xb);
	(void)msr_write_safe(0x832, 0x20000 | VECTOR_TIMER); /* periodic */
	(void)msr_write_safe(0x838, 1);
	while (blowing()) {
		take_interrupts();
		cpu_pause();
	}
	(void)msr_write_safe(0x838, 0);
	claim(taken != 0, "a period of 1 comes");
	report("ticks=%lu", (unsigned long)taken);
	(void)msr_write_safe(0x832, VECTOR_TIMER);
	(void)msr_write_safe(0x838, UINT32_MAX);
	for (uint32_t i = 0; i < 1000; i++) {
		(void)msr_write_safe(0x838, 1);
		(void)msr_write_safe(0x83e, i & 0xb);
	}
	(void)msr_write_safe(0x832, 0x40000 | VECTOR_TIMER);
	for (size_t i = 0; i < ARRAY_COUNT(deadlines); i++) {
		(void)msr_write_safe(0x6e0, deadlines[i]);
	}
	(void)msr_write_safe(0x832, 0x60000 | VECTOR_TIMER);
	(void)msr_write_safe(0x838, 1);
	take_interrupts();
}

/* ---------------------------------------------------------------- interrupts */

static void ipi_storm(void)
{
	interrupt_handle(VECTOR_IPI, count_and_end);
	while (blowing()) {
		msr_write(X2_SELF, VECTOR_IPI);
		take_interrupts();
	}
	claim(taken > 1000, "self IPIs come");
	report("taken=%lu", (unsigned long)taken);
}

/* Three vectors of rising priority, none ever ended. */
static void ipi_no_eoi(void)
{
	interrupt_handle(0x41, count_only);
	interrupt_handle(0x81, count_only);
	interrupt_handle(0xc1, count_only);
	while (blowing()) {
		msr_write(X2_SELF, 0x41);
		take_interrupts();
		msr_write(X2_SELF, 0x81);
		take_interrupts();
		msr_write(X2_SELF, 0xc1);
		take_interrupts();
	}
	claim_number(taken, 3, "each once, until it is ended");
}

/* Every mode, every shorthand, vectors that are none, CPUs that are none. Not INIT or SIPI to itself. */
static void ipi_wild(void)
{
	interrupt_handle(VECTOR_IPI, count_and_end);
	for (uint32_t round = 0; round < 4000; round++) {
		uint64_t r = random_number();
		uint32_t command = (uint32_t)r & 0xcffff;
		uint32_t mode = command >> 8 & 7;
		uint64_t to = 1 + (r >> 40);

		if ((mode == 5 || mode == 6) && (command & 0xc0000) != 0) {
			continue;
		}
		if (mode < 2 || mode == 4) {
			command &= ~0xcf0fffu;
			command |= mode << 8 | ((uint32_t)r & 0xf);
			to = (r & 1) != 0 ? to : 0;
		}
		(void)msr_write_safe(X2_ICR, to << 32 | (command & 0xcffff));
	}
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		(void)msr_write_safe(X2_SELF, wild(i) | 0x100);
	}
	claim(!msr_write_safe(X2_ICR, UINT64_C(0x100000)), "reserved bits of ICR: #GP");
	taken = 0;
	msr_write(X2_SELF, VECTOR_IPI);
	take_interrupts();
	claim_number(taken, 1, "a good one still comes");
}

static void nmi_storm(void)
{
	uint64_t sent = 0;

	interrupt_handle(2, count_only);
	while (blowing()) {
		msr_write(X2_ICR, ICR_NMI | ICR_TO_SELF);
		sent++;
	}
	claim(taken != 0 && taken <= sent, "NMIs come, and no more than were sent");
	report("taken=%lu", (unsigned long)taken);
}

static void eoi_storm(void)
{
	uint64_t rounds = 0;

	while (blowing()) {
		apic_eoi();
		rounds++;
	}
	report("rounds=%lu", (unsigned long)rounds);
}

/* ---------------------------------------------------------------- exceptions */

static bool forever;

static void step(struct frame *frame)
{
	taken++;
	if (!forever && !blowing()) {
		frame->rflags &= ~(uint64_t)RFLAGS_TF;
	}
}

static void db_storm(void)
{
	interrupt_handle(VECTOR_DB, step);
	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq; nop" : : "i"(RFLAGS_TF) : "memory", "cc");
	while (blowing()) {
		cpu_pause();
	}
	claim(taken > 100, "each instruction traps");
	report("taken=%lu", (unsigned long)taken);
}

static void db_loop(void)
{
	forever = true;
	db_storm();
	for (;;) {
		cpu_pause();
	}
}

static void return_to_it(struct frame *frame)
{
	(void)frame;
	taken++;
}

/* In ring 3 with alignment checks on: the handler goes back to what faulted. */
static void ac_loop(void)
{
	static const uint8_t code[] = {0x48, 0x8b, 0x44, 0x24, 0x01, 0xeb, 0xf9}; /* 1: mov 1(%rsp), %rax; jmp 1b */
	struct registers regs = {.rip = (uintptr_t)code, .rflags = RFLAGS_AC | RFLAGS_IF};

	__asm__ volatile("mov %%cr0, %%rax; or %0, %%rax; mov %%rax, %%cr0" : : "i"(CR0_AM) : "rax");
	interrupt_handle(VECTOR_AC, return_to_it);
	(void)run_mode(RING3_64, &regs);
}

static void pf_loop(void)
{
	interrupt_handle(VECTOR_PF, return_to_it);
	*entry_of(24u << 20) = 0;
	flush_tlb();
	(void)*(volatile uint8_t *)(uintptr_t)(24u << 20);
}

static void triple_fault(void)
{
	const struct PACKED {
		uint16_t limit;
		uint64_t base;
	} none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

/* Every vector of an IDT that is MMIO: the third fault in a row. */
static void idt_in_mmio(void)
{
	const struct PACKED {
		uint16_t limit;
		uint64_t base;
	} none = {0xfff, 0xd0000000};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

/* Page tables where no memory is. */
static void tables_in_mmio(void)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(UINT64_C(0xd0000000)) : "memory");
	for (;;) {
		cpu_pause();
	}
}

static void stack_in_mmio(void)
{
	__asm__ volatile("mov %0, %%rsp; ud2" : : "r"(UINT64_C(0xd0001000)));
}

/* ---------------------------------------------------------------- control registers, instructions */

static uint64_t cr_value;

static void to_cr0(void *unused)
{
	(void)unused;
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr_value) : "memory");
}

static void to_cr3(void *unused)
{
	(void)unused;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr_value) : "memory");
}

static void to_cr4(void *unused)
{
	(void)unused;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr_value) : "memory");
}

static void to_cr8(void *unused)
{
	(void)unused;
	__asm__ volatile("mov %0, %%cr8" : : "r"(cr_value) : "memory");
}

static void to_dr7(void *unused)
{
	(void)unused;
	__asm__ volatile("mov %0, %%dr7" : : "r"(cr_value) : "memory");
}

static void to_xcr0(void *unused)
{
	(void)unused;
	__asm__ volatile("xsetbv" : : "a"((uint32_t)cr_value), "d"((uint32_t)(cr_value >> 32)), "c"(0));
}

static int try_value(void (*code)(void *), uint64_t value)
{
	cr_value = value;
	return try_call(code, NULL);
}

static void control_registers(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	(void)try_value(to_cr4, cr4 | 1u << 18);
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		claim(try_value(to_xcr0, wild(i)) != TRAP_NONE, "a wild XCR0 faults");
	}
	claim(try_value(to_xcr0, 0) != TRAP_NONE, "XCR0 without x87 faults");
	(void)try_value(to_cr4, cr4);
}

/* Reserved bits and combinations: #GP each. */
static void cr8_reserved(void)
{
	claim_number((uint32_t)try_value(to_cr8, 0x10), VECTOR_GP, "CR8 of 16");
	(void)try_value(to_cr8, 0);
}

static void cr0_reserved(void)
{
	uint64_t cr0, cr3;

	__asm__ volatile("mov %%cr0, %0; mov %%cr3, %1" : "=r"(cr0), "=r"(cr3));
	claim_number((uint32_t)try_value(to_cr0, cr0 & ~UINT64_C(1)), VECTOR_GP, "paging without protection");
	claim_number((uint32_t)try_value(to_cr0, cr0 | UINT64_C(1) << 40), VECTOR_GP, "CR0's upper half");
	claim_number((uint32_t)try_value(to_cr0, (cr0 | 1u << 29) & ~(UINT64_C(1) << 30)), VECTOR_GP, "NW without CD");
	claim_number((uint32_t)try_value(to_dr7, UINT64_C(1) << 32), VECTOR_GP, "DR7's upper half");
	claim_number((uint32_t)try_value(to_cr3, cr3 | UINT64_C(1) << 62), VECTOR_GP, "CR3's upper bits");
	(void)try_value(to_cr3, cr3);
}

/* Bits that CPUID shows nothing for: #GP each. */
static void cr4_reserved(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	claim_number((uint32_t)try_value(to_cr4, cr4 & ~UINT64_C(0x20)), VECTOR_GP, "long mode without PAE");
	for (uint32_t bit = 13; bit < 64; bit++) {
		if (bit == 13 || bit == 15 || bit == 19 || bit >= 24) {
			claim_number((uint32_t)try_value(to_cr4, cr4 | UINT64_C(1) << bit), VECTOR_GP, "a reserved bit of CR4");
			(void)try_value(to_cr4, cr4);
		}
	}
}

struct instruction {
	const char *name;
	uint8_t count;
	uint8_t bytes[7];
};

static void must_fault(const struct instruction *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int vector = try_bytes(list[i].bytes, list[i].count);

		if (vector != VECTOR_UD && vector != VECTOR_GP) {
			report("went=%s: %u", list[i].name, (uint32_t)vector);
			claim(false, list[i].name);
		}
	}
}

static void svm_instructions(void)
{
	static const struct instruction list[] = {
		{"vmrun", 3, {0x0f, 0x01, 0xd8}}, {"vmload", 3, {0x0f, 0x01, 0xda}}, {"vmsave", 3, {0x0f, 0x01, 0xdb}},
		{"stgi", 3, {0x0f, 0x01, 0xdc}}, {"clgi", 3, {0x0f, 0x01, 0xdd}}, {"skinit", 3, {0x0f, 0x01, 0xde}},
		{"invlpga", 3, {0x0f, 0x01, 0xdf}},
	};

	claim((cpuid(0x80000001, 0).ecx & 4) == 0, "CPUID shows no SVM");
	claim(!msr_write_safe(0xc0000080, msr_read(0xc0000080) | 1u << 12), "EFER.SVME: #GP");
	must_fault(list, ARRAY_COUNT(list));
}

static void vmx_instructions(void)
{
	static const struct instruction list[] = {
		{"vmlaunch", 3, {0x0f, 0x01, 0xc2}}, {"vmresume", 3, {0x0f, 0x01, 0xc3}}, {"vmxoff", 3, {0x0f, 0x01, 0xc4}},
		{"vmread", 3, {0x0f, 0x78, 0xc0}}, {"vmwrite", 3, {0x0f, 0x79, 0xc0}}, {"vmptrld", 3, {0x0f, 0xc7, 0x34}},
		{"getsec", 2, {0x0f, 0x37}}, {"vmfunc", 3, {0x0f, 0x01, 0xd4}},
	};

	claim((cpuid(1, 0).ecx & 0x20) == 0, "CPUID shows no VMX");
	must_fault(list, ARRAY_COUNT(list));
}

/* Outside of SMM: #UD. */
static void rsm(void)
{
	static const uint8_t code[] = {0x0f, 0xaa};

	claim_number((uint32_t)try_bytes(code, sizeof(code)), VECTOR_UD, "RSM");
}

static void odd_instructions(void)
{
	static const struct instruction list[] = {
		{"monitor", 3, {0x0f, 0x01, 0xc8}}, {"rdpmc", 2, {0x0f, 0x33}}, 
		{"lock nop", 2, {0xf0, 0x90}}, {"mov cr1", 3, {0x0f, 0x20, 0xc8}},
		{"mov cr7", 3, {0x0f, 0x22, 0xf8}}, {"ud0", 3, {0x0f, 0xff, 0xc0}},
	};
	static const uint8_t wbinvd[] = {0x0f, 0x09};
	static const uint8_t invd[] = {0x0f, 0x08};

	must_fault(list, ARRAY_COUNT(list));
	while (blowing()) {
		claim(try_bytes(wbinvd, sizeof(wbinvd)) == TRAP_NONE && try_bytes(invd, sizeof(invd)) == TRAP_NONE,
		      "WBINVD and INVD are let go");
	}
}

static void cpuid_storm(void)
{
	uint32_t leaf = 0;

	while (blowing()) {
		(void)cpuid(leaf, leaf >> 3);
		(void)cpuid(0x40000000 + (leaf & 0xfff), leaf);
		(void)cpuid((uint32_t)random_number(), (uint32_t)random_number());
		leaf++;
	}
	claim(cpuid(0, 0).eax >= 1, "CPUID answers");
}

static void pause_storm(void)
{
	while (blowing()) {
		cpu_pause();
	}
}

static void hlt_storm(void)
{
	interrupt_handle(VECTOR_TIMER, count_and_end);
	while (blowing()) {
		apic_timer_start(1);
		cpu_sleep();
	}
	claim(taken > 10, "it wakes each time");
}

static void never_yields(void)
{
	report("doing=nothing, forever");
	__asm__ volatile("cli; 1: jmp 1b");
}

static void halts_for_good(void)
{
	__asm__ volatile("cli; hlt");
}

/* ---------------------------------------------------------------- other CPUs */

static void ap_spin(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		ap_rounds++;
	}
}

static void ap_take(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		take_interrupts();
		cpu_pause();
	}
}

static void all_spin(void)
{
	claim_number(cpus_start(ap_spin), cpu_count(), "CPUs started");
	while (blowing()) {
	}
	stop = 1;
	claim(ap_rounds != 0, "the others ran");
}

static void ipi_to_all(void)
{
	interrupt_handle(VECTOR_IPI, count_and_end);
	claim_number(cpus_start(ap_take), cpu_count(), "CPUs started");
	while (blowing()) {
		msr_write(X2_ICR, ICR_TO_ALL | VECTOR_IPI);
		take_interrupts();
	}
	stop = 1;
	claim(taken != 0, "IPIs come");
}

/* The others are started anew again and again, with a vector that is no code of theirs now and then. */
static void sipi_storm(void)
{
	uint32_t rounds = 0;

	(void)cpus_start(ap_spin);
	while (blowing()) {
		msr_write(X2_ICR, UINT64_C(1) << 32 | ICR_INIT);
		msr_write(X2_ICR, UINT64_C(1) << 32 | ICR_SIPI | 8);
		msr_write(X2_ICR, UINT64_C(1) << 32 | ICR_SIPI | 8);
		delay_us(rounds % 200);
		rounds++;
	}
	report("rounds=%u", rounds);
}

/* Another CPU starts in memory that is not there: it faults three times, and with it goes the guest. */
static void sipi_to_nowhere(void)
{
	msr_write(X2_ICR, UINT64_C(1) << 32 | ICR_INIT);
	delay_us(10000);
	msr_write(X2_ICR, UINT64_C(1) << 32 | ICR_SIPI | 0xa0);
	delay_us(2000000);
}

/* ---------------------------------------------------------------- log and ends */

static void log_storm(void)
{
	uint32_t lines = 0;

	while (blowing()) {
		report("storm=%u 0123456789012345678901234567890123456789012345678901234567890123456789", lines++);
	}
	claim(lines > 10, "lines were taken");
}

/* Bytes of every value, without an end of line. */
static void console_bytes(void)
{
	uint32_t count = 0;

	while (blowing()) {
		uint8_t c = (uint8_t)(count++ * 7);

		port_write8(0xe9, c == '\n' ? 0 : c);
		port_write8(0x3f8, c == '\n' ? 27 : c);
	}
	port_write8(0xe9, '\n');
	port_write8(0x3f8, '\n');
}

static void resets_forever(void)
{
	report("doing=reset");
	port_write8(0xcf9, 6);
	delay_us(1000000);
}

static void resets_by_keyboard(void)
{
	static const uint8_t commands[] = {0xfe, 0xd1, 0xdf};

	for (;;) {
		for (size_t i = 0; i < sizeof(commands); i++) {
			port_write8(0x64, commands[i]);
		}
	}
}

const struct hostile_case cases_cpu[] = {
	{"msr_read_all", msr_read_all}, {"msr_write_all", msr_write_all}, {"msr_storm", msr_storm},
	{"apic_base", apic_base}, {"apic_msrs", apic_msrs}, {"apic_timer", apic_timer}, {"ipi_storm", ipi_storm},
	{"ipi_no_eoi", ipi_no_eoi}, {"ipi_wild", ipi_wild}, {"nmi_storm", nmi_storm}, {"eoi_storm", eoi_storm},
	{"db_storm", db_storm}, {"db_loop", db_loop}, {"ac_loop", ac_loop}, {"pf_loop", pf_loop},
	{"triple_fault", triple_fault}, {"idt_in_mmio", idt_in_mmio}, {"tables_in_mmio", tables_in_mmio},
	{"stack_in_mmio", stack_in_mmio}, {"control_registers", control_registers},
	{"svm_instructions", svm_instructions}, {"vmx_instructions", vmx_instructions},
	{"odd_instructions", odd_instructions}, {"rsm", rsm},
	{"cr0_reserved", cr0_reserved}, {"cr8_reserved", cr8_reserved}, {"cr4_reserved", cr4_reserved}, {"cpuid_storm", cpuid_storm}, {"pause_storm", pause_storm},
	{"hlt_storm", hlt_storm}, {"never_yields", never_yields}, {"halts_for_good", halts_for_good},
	{"all_spin", all_spin}, {"ipi_to_all", ipi_to_all}, {"sipi_storm", sipi_storm},
	{"sipi_to_nowhere", sipi_to_nowhere}, {"log_storm", log_storm}, {"console_bytes", console_bytes},
	{"resets_forever", resets_forever}, {"resets_and_starts", resets_forever}, {"resets_by_keyboard", resets_by_keyboard}, {NULL, NULL},
};
