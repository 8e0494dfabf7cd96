/*
 * host_cpu.c - what each CPU needs before it can take an interrupt: GDT, TSS with stacks for NMI,
 * #DF and #MC (AMD64 APM 2, 12.2), the shared IDT, GS, control registers.
 */
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"

#define MSR_GS_BASE 0xc0000101u
#define MSR_PAT 0x277u

/*
 * The value at reset: index 0 write-back, index 3 (PCD and PWT) uncached, which paging relies
 * on.
 */
#define PAT_AT_RESET UINT64_C(0x0007040600070406)

#define CR4_MCE (UINT64_C(1) << 6)
#define CR4_PGE (UINT64_C(1) << 7)
#define CR4_OSFXSR (UINT64_C(1) << 9)
#define CR4_OSXMMEXCPT (UINT64_C(1) << 10)
#define CR4_OSXSAVE (UINT64_C(1) << 18)

/* x87, SSE, AVX, the three of AVX-512, PKRU. Others (MPX, AMX) stay off. */
#define XCR0_KNOWN UINT64_C(0x2e7)

#define IST_NMI 1u
#define IST_DF 2u
#define IST_MC 3u

struct PACKED tss {
	uint32_t reserved_0;
	uint64_t rsp[3];
	uint64_t reserved_1;
	uint64_t ist[7];
	uint64_t reserved_2;
	uint16_t reserved_3;
	uint16_t io_map;
};

_Static_assert(sizeof(struct tss) == 104, "AMD64 APM 2, 12.2.5");

struct gate {
	uint16_t offset_0;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t reserved;
};

_Static_assert(sizeof(struct gate) == 16, "AMD64 APM 2, 4.8.4");

/* The public part first: GS points to it. */
struct ALIGNED(64) cpu_area {
	struct host_cpu cpu;
	uint64_t gdt[5];
	struct tss tss;
};

_Static_assert(offsetof(struct host_cpu, index) == 8, "cpu_self()");
_Static_assert(offsetof(struct host_cpu, local) == 16, "cpu_local_get()");
_Static_assert(offsetof(struct host_cpu, timer_fired) == 24, "host_timer_fired()");
_Static_assert(offsetof(struct host_cpu, kick_taken) == 28, "host_kick_taken()");

static struct cpu_area areas[HOST_CPUS_MAX];
static struct gate idt[256];

/* For faults before the real stacks are mapped: those end in a panic, so one will do. */
static uint8_t early_stack[4096] ALIGNED(16);

static uint64_t xcr0;
static uint32_t xsave_bytes = 512;

struct host_cpu *cpu_by_index(unsigned int cpu)
{
	return &areas[cpu].cpu;
}

uint32_t cpu_apic_id(unsigned int cpu)
{
	return areas[cpu].cpu.apic_id;
}

uint64_t host_xcr0(void)
{
	return xcr0;
}

uint32_t host_xsave_bytes(void)
{
	return xsave_bytes;
}

static uint8_t ist_of(unsigned int vector)
{
	switch (vector) {
	case 2:
		return IST_NMI;
	case 8:
		return IST_DF;
	case 18:
		return IST_MC;
	default:
		return 0;
	}
}

/* All are interrupt gates: a handler runs with interrupts off. */
static void idt_fill(void)
{
	for (unsigned int vector = 0; vector < 256; vector++) {
		uint64_t to = (uint64_t)(uintptr_t)trap_gates + vector * 16;

		idt[vector] = (struct gate){
		        .offset_0 = (uint16_t)to,
		        .selector = HOST_CS,
		        .ist = ist_of(vector),
		        .type = 0x8e,
		        .offset_16 = (uint16_t)(to >> 16),
		        .offset_32 = (uint32_t)(to >> 32),
		};
	}
}

static void gdt_fill(struct cpu_area *area)
{
	uint64_t tss = (uint64_t)(uintptr_t)&area->tss;

	area->gdt[0] = 0;
	area->gdt[HOST_CS / 8] = UINT64_C(0x00af9b000000ffff);
	area->gdt[HOST_DS / 8] = UINT64_C(0x00cf93000000ffff);
	area->gdt[HOST_TR / 8] = (sizeof(area->tss) - 1) | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
	                         (tss >> 24 & 0xff) << 56;
	area->gdt[HOST_TR / 8 + 1] = tss >> 32;
}

/* CS, SS and the rest: those of the boot GDT have the same numbers, but are loaded afresh. */
static void selectors_load(void)
{
	__asm__ volatile("pushq %[cs]\n\t"
	                 "leaq 1f(%%rip), %%rax\n\t"
	                 "pushq %%rax\n\t"
	                 "lretq\n\t"
	                 "1:\n\t"
	                 "movl %[ds], %%ds\n\t"
	                 "movl %[ds], %%es\n\t"
	                 "movl %[ds], %%ss\n\t"
	                 "lldt %w[none]\n\t"
	                 :
	                 : [cs] "i"(HOST_CS), [ds] "r"(HOST_DS), [none] "r"(0)
	                 : "rax", "memory");
}

void cpu_start(unsigned int cpu, uint32_t apic_id, bool ist)
{
	struct cpu_area *area = &areas[cpu];

	if (cpu == 0) {
		idt_fill();
	}
	memset(area, 0, sizeof(*area));
	area->cpu.self = &area->cpu;
	area->cpu.index = cpu;
	area->cpu.apic_id = apic_id;
	area->tss.io_map = sizeof(area->tss);
	for (unsigned int i = 0; i < STACK_IST_COUNT; i++) {
		area->tss.ist[i] = (uint64_t)(uintptr_t)early_stack + sizeof(early_stack);
	}
	if (ist) {
		cpu_use_stacks(cpu);
	}
	gdt_fill(area);
	gdt_write((uint64_t)(uintptr_t)area->gdt, sizeof(area->gdt) - 1);
	selectors_load();
	idt_write((uint64_t)(uintptr_t)idt, sizeof(idt) - 1);
	tr_write(HOST_TR);
	msr_write(MSR_GS_BASE, (uint64_t)(uintptr_t)area);
}

void cpu_use_stacks(unsigned int cpu)
{
	for (unsigned int which = 1; which <= STACK_IST_COUNT; which++) {
		areas[cpu].tss.ist[which - 1] = paging_stack_top(cpu, which);
	}
}

static void xsave_start(void)
{
	struct cpuid_result leaf = cpu_id(0xd, 0);
	uint64_t supported = ((uint64_t)leaf.edx << 32) | leaf.eax;

	cr4_write(cr4_read() | CR4_OSXSAVE);
	xcr0 = supported & XCR0_KNOWN;
	xcr_write(0, xcr0);
	xsave_bytes = cpu_id(0xd, 0).ebx;
}

void cpu_features_start(void)
{
	struct cpuid_result leaf = cpu_id(1, 0);

	cr4_write(cr4_read() | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if ((leaf.ecx & (1u << 26)) != 0) {
		xsave_start();
	}
	if ((leaf.edx & (1u << 16)) != 0) {
		msr_write(MSR_PAT, PAT_AT_RESET);
	}
}

void host_cpu_state_get(struct host_cpu_state *state)
{
	const struct cpu_area *area = &areas[cpu_self()];

	state->cr3 = paging_root();
	state->gdt_base = (uint64_t)(uintptr_t)area->gdt;
	state->idt_base = (uint64_t)(uintptr_t)idt;
	state->tss_base = (uint64_t)(uintptr_t)&area->tss;
	state->gs_base = (uint64_t)(uintptr_t)area;
}
