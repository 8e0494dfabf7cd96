/*
 * host_internal.h - what the files of the host side share; nobody else includes it.
 *
 * The order at boot (host_main.c): cpu, boot information, paging, ACPI, CPUs' list, stacks, APIC,
 * time, the list of free memory. Each function below says what must have been done before.
 */
#ifndef ARCH_X86_HOST_INTERNAL_H
#define ARCH_X86_HOST_INTERNAL_H

#include "hypervisor/arch/x86/host.h"

/* ---- Bounds of the image, from the linker script. ---- */

extern uint8_t image_start[];
extern uint8_t image_text_end[];
extern uint8_t image_rodata_end[];
extern uint8_t image_end[];

/* ---- boot/header.S ---- */

extern uint64_t boot_pml4[];
NORETURN void boot_switch_stack(uint64_t top, void (*go_on)(void));
NORETURN void host_boot_enter(uint64_t information);

/* ---- boot/multiboot2.c: fills @boot from the information at @from; panics on nonsense. ---- */

void multiboot2_parse(const uint8_t *from, struct host_boot *boot);

/* ---- boot/ranges.c: lists of memory, sorted by start. ---- */

/* Adds one; joins it with neighbours of the same type. False if the list is full. */
bool ranges_add(struct host_range *list, uint32_t *count, struct host_range range);

/* Takes [start, end) out. If a split finds no room, the smaller half is given up. */
void ranges_subtract(struct host_range *list, uint32_t *count, uint64_t start, uint64_t end);

/*
 * How much of [start, end) the list's ranges of a type in @type_mask (1 << type) cover, in
 * bytes.
 */
uint64_t ranges_covered(const struct host_range *list, uint32_t count, uint64_t start, uint64_t end,
                        uint32_t type_mask);

/* ---- host_main.c ---- */

/*
 * Zeroed pages out of the free list, below 4 GiB, for good; panics if there are none. Boot only.
 */
hpa_t boot_pages_take(uint64_t pages);

/* A page of RAM between 4 KiB and 640 KiB for the trampoline; 0 if there is none. */
hpa_t boot_low_page(void);

/* ---- host_paging.c ---- */

/* Needs the free list. Builds the final tables and loads them. */
void paging_start(void);

/* From here on the free list is core's; tables come out of the reserve. */
void paging_seal(void);

/* The final tables' CR3. */
uint64_t paging_root(void);

#define STACK_SLOT_PAGES 16u
#define STACK_MAIN_PAGES 4u
#define STACK_IST_PAGES 2u
#define STACK_IST_COUNT 3u

/* Maps @cpu's four stacks, each above a page left out. */
void paging_map_stacks(unsigned int cpu);

/* First address past a stack: @which 0 is the main one, 1 to 3 are the IST's. */
uint64_t paging_stack_top(unsigned int cpu, unsigned int which);

/* Is @address in the page left out under one of a CPU's stacks? */
bool paging_is_guard(uint64_t address);

/* ---- host_cpu.c ---- */

/*
 * Descriptor tables, control registers and GS of the CPU that runs this. @ist: are its stacks
 * mapped?
 */
void cpu_start(unsigned int cpu, uint32_t apic_id, bool ist);

/* Its IST entries, once its stacks are mapped. */
void cpu_use_stacks(unsigned int cpu);

struct host_cpu *cpu_by_index(unsigned int cpu);

static inline struct host_cpu *cpu_this(void)
{
	struct host_cpu *cpu;

	__asm__("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* Turns XSAVE and the rest of CR4 on; the same on each CPU. */
void cpu_features_start(void);

/* ---- host_trap.c ---- */

/* What boot/traps.S and the CPU leave on the stack. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
};

extern uint8_t trap_gates[];
void trap_dispatch(struct trap_frame *frame);

/* ---- host_panic.c ---- */

NORETURN void panic_exception(const struct trap_frame *frame);

/* Is another CPU ending the machine? Then the NMI that asks halts its receiver. */
bool panic_by_other(void);

/* Halts this CPU, and leaves where it was for the one that ends the machine. */
NORETURN void panic_stop_here(const struct trap_frame *frame);

/* ---- host_irq.c ---- */

void irq_dispatch(unsigned int vector);

/* Both 8259s out of the way: remapped to 0x20..0x2f and masked. */
void irq_pic_disable(void);

/* ---- host_apic.c ---- */

/* Needs the direct map. Chooses xAPIC or x2APIC by what the firmware left. */
void apic_find(void);

/* Software-enables the APIC of the CPU that runs this, its local sources masked. */
void apic_start(void);

uint32_t apic_id_read(void);
void apic_eoi(void);
bool apic_in_service(unsigned int vector);

/* An IPI: @command is the ICR's low half. Delivery is awaited, bounded. */
void apic_send(uint32_t apic_id, uint32_t command);

#define APIC_FIXED 0x4000u
#define APIC_NMI 0x4400u
#define APIC_INIT 0x4500u
#define APIC_STARTUP 0x4600u

/* The timer, in its own ticks; 0 stops it. Masked: counts, without an interrupt. */
void apic_timer_set(uint32_t ticks, bool masked);
uint32_t apic_timer_left(void);

/* ---- host_acpi.c ---- */

/* Needs the direct map. */
void acpi_start(void);

/* APIC ids of usable CPUs in the MADT, without repeats, at most @room. */
uint32_t acpi_cpus(uint32_t *apic_ids, uint32_t room);

/*
 * The PM timer's port, 0 if there is none; whether it has 32 bits; the RTC's century register or
 * 0.
 */
uint16_t acpi_pm_timer(bool *is_32bit);
uint8_t acpi_century_register(void);

/* ---- host_time.c, host_rtc.c ---- */

/* Needs ACPI and the APIC. Measures the TSC and the APIC's timer; reads the wall clock. */
void time_start(void);

/* What host_smp.c found out about the TSCs of the other CPUs. */
void time_set_synchrony(bool in_step, uint64_t offset_bound);

uint64_t rtc_read_seconds(void);

/* ---- host_smp.c ---- */

/* Needs ACPI and the APIC's id. Lists the CPUs, ourselves first. */
void smp_find(void);
NORETURN void smp_enter(void);

/* Does that CPU run our code? */
bool smp_is_ours(unsigned int cpu);

/* An NMI to every CPU that runs our code, but ourselves. */
void smp_stop_others(void);
extern uint64_t smp_trampoline_cr3;
extern uint64_t smp_trampoline_stack;

#endif /* ARCH_X86_HOST_INTERNAL_H */
