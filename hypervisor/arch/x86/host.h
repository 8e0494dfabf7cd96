/*
 * host.h - the machine that Janus runs on, as core sees it.
 *
 * Made before janus_main(): long mode, W^X image, direct map of all RAM, one descriptor table and
 * one set of guarded stacks a CPU, exceptions, local APIC, timer, TSC frequency, wall clock, and a
 * checked copy of what the boot loader said. Other CPUs wait until host_cpus_start().
 *
 * Rules for all callers:
 *  - Ring 0 runs with interrupts off. Only cpu_idle(), cpu_take_interrupts() and core's own entry
 *    into a guest open them, and each returns with them off again.
 *  - GS belongs to the host whenever an interrupt, NMI or exception can arrive: after an SVM exit
 *    load the host's GS base (VMLOAD) before STGI.
 *  - A VMX exit by NMI is not delivered by the CPU: call cpu_take_nmi().
 *  - No function here takes a lock unless it says so; none sleeps.
 */
#ifndef ARCH_X86_HOST_H
#define ARCH_X86_HOST_H

#include "base/addr.h"
#include "base/compiler.h"
#include "hypervisor/arch/x86/cpu_ops.h"

#define HOST_CPUS_MAX 64u
#define HOST_MODULES_MAX 32u
#define HOST_RANGES_MAX 256u
#define HOST_STRING_BYTES 256u
#define HOST_COMMAND_LINE_BYTES 1024u

/* ---- Core's side: core defines these. ---- */

/* Runs on CPU 0, on its own stack, interrupts off. Must not return. */
NORETURN void janus_main(void);

/* ---- What the boot loader said (Multiboot2 specification, 3.6). ---- */

/* The numbers are those of the ACPI specification (15.1) and of Multiboot2. */
enum host_memory_type {
	HOST_MEMORY_RAM = 1,
	HOST_MEMORY_RESERVED = 2,
	HOST_MEMORY_ACPI = 3, /* tables: readable through the direct map */
	HOST_MEMORY_NVS = 4,
	HOST_MEMORY_BAD = 5,
};

struct host_range {
	hpa_t start;
	uint64_t bytes;
	enum host_memory_type type;
};

struct host_module {
	hpa_t start;
	uint64_t bytes;
	char string[HOST_STRING_BYTES]; /* the words after the file name; cut if longer */
};

struct host_boot {
	/* As reported: sorted by start, neighbours of one type joined. */
	uint32_t map_count;
	struct host_range map[HOST_RANGES_MAX];

	/*
	 * What core may hand out: RAM in whole pages, above 1 MiB, sorted, without the image, the
	 * modules and what the host side took for page tables and stacks. All of it is in the
	 * direct map. Contents are not zero.
	 */
	uint32_t free_count;
	struct host_range free[HOST_RANGES_MAX];

	uint32_t module_count;
	struct host_module modules[HOST_MODULES_MAX];

	hpa_t image_start; /* text, data and bss, whole pages */
	uint64_t image_bytes;

	uint32_t rsdp_bytes; /* 0: the loader gave none; 20: ACPI 1.0; 36 and up: ACPI 2.0 */
	uint8_t rsdp[64];

	char command_line[HOST_COMMAND_LINE_BYTES];
};

/* Constant once janus_main() runs. Any CPU. */
const struct host_boot *host_boot(void);

/* ---- Memory. ---- */

#define HOST_DIRECT_BASE UINT64_C(0xffff800000000000)
#define HOST_DIRECT_BYTES (UINT64_C(64) << 40)
#define HOST_IMAGE_BASE UINT64_C(0xffffffff80000000)
#define HOST_STACKS_BASE UINT64_C(0xffffc00000000000)

/*
 * Where the direct map shows @at: all RAM, ACPI tables and NVS write-back; the rest of the first
 * 4 GiB uncached; never executable. Physical page 0 is not mapped, so a forgotten address faults.
 */
static inline void *host_direct(hpa_t at)
{
	return (void *)(uintptr_t)(HOST_DIRECT_BASE + at.v);
}

/* The way back, from the direct map or from an object of the image. Not for stack variables. */
static inline hpa_t host_hpa_of(const void *p)
{
	uint64_t va = (uint64_t)(uintptr_t)p;

	return hpa(va >= HOST_IMAGE_BASE ? va - HOST_IMAGE_BASE : va - HOST_DIRECT_BASE);
}

/*
 * A device's registers, uncached; below 4 GiB or above. NULL if @at overlaps RAM, lies outside the
 * direct map's reach, or the reserve of page tables (32 pages) is used up. Boot CPU only, or under
 * a lock of the caller's. There is no unmap.
 */
void *host_mmio_map(hpa_t at, uint64_t bytes);

/* ---- ACPI. ---- */

/*
 * The first table of that 4-letter @signature with a right checksum, in the direct map, header
 * included; NULL if there is none. *@bytes gets its length. Any CPU.
 */
const void *host_acpi_table(const char *signature, size_t *bytes);

/* ---- CPUs. They are numbered from 0 (the boot CPU) without holes. ---- */

/* Found at GS:0. Core uses the inlines below, which know these offsets. */
struct host_cpu {
	struct host_cpu *self; /* 0 */
	uint32_t index; /* 8 */
	uint32_t apic_id; /* 12 */
	void *local; /* 16: core's own */
	uint32_t timer_fired; /* 24 */
	uint32_t kick_taken; /* 28 */
	uint64_t interrupt_count; /* 32: all vectors from 32 up; for the monitor */
};

/*
 * Before host_cpus_start(): CPUs that the firmware lists (at most HOST_CPUS_MAX). After: those
 * that came up. So what was sized by it before is large enough afterwards.
 */
unsigned int cpu_count(void);

static inline unsigned int cpu_self(void)
{
	unsigned int index;

	__asm__("movl %%gs:8, %0" : "=r"(index));
	return index;
}

/* Core's pointer of this CPU; NULL at first. */
static inline void *cpu_local_get(void)
{
	void *local;

	__asm__ volatile("movq %%gs:16, %0" : "=r"(local));
	return local;
}

static inline void cpu_local_set(void *local)
{
	__asm__ volatile("movq %0, %%gs:16" : : "r"(local) : "memory");
}

/* Of a CPU that runs: for all but CPU 0, only after host_cpus_start(). */
uint32_t cpu_apic_id(unsigned int cpu);

/*
 * Wakes every other CPU, measures how their TSCs stand to ours, and then lets each run
 * @entry(its number) on its own stack with interrupts off; @entry must not return. Boot CPU, once.
 * Comes back when all are on their way. A CPU that does not answer within a second is left out.
 */
void host_cpus_start(void (*entry)(unsigned int cpu));

/* A fixed IPI: ends that CPU's cpu_idle() or its stay in a guest. Any CPU, to any, also itself. */
void cpu_kick(unsigned int cpu);

/*
 * To a CPU that runs. An NMI: does nothing there but to end a stay in a guest (or to stop the
 * CPU during a panic).
 */
void host_nmi_send(unsigned int cpu);

/* Runs the host's NMI handler; for the exit by NMI of VMX. */
static inline void cpu_take_nmi(void)
{
	__asm__ volatile("int $2" : : : "memory");
}

/* Runs the handler of interrupt @vector, which an exit of VMX has acknowledged, and ends it. Interrupts are off. */
void host_interrupt_taken(uint8_t vector);

/* Halts until any interrupt was taken. What was posted since interrupts went off is not lost. */
static inline void cpu_idle(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* Takes what is pending, and comes back. */
static inline void cpu_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/* Selectors and bases of this CPU, for the host-state area of a VMCS. */
#define HOST_CS 0x08u
#define HOST_DS 0x10u
#define HOST_TR 0x18u

struct host_cpu_state {
	uint64_t cr3;
	uint64_t gdt_base;
	uint64_t idt_base;
	uint64_t tss_base;
	uint64_t gs_base;
};

void host_cpu_state_get(struct host_cpu_state *state);

/*
 * ---- Extended state. CR4 has OSFXSR, and OSXSAVE if the CPU has XSAVE; ring 0 itself uses
 * none. ----
 */

/* The XCR0 that every CPU runs with: all that is known here and supported; 0 without XSAVE. */
uint64_t host_xcr0(void);

/* Bytes of the standard-format XSAVE area for host_xcr0(); 512 without XSAVE. */
uint32_t host_xsave_bytes(void);

/* ---- Between guests. ---- */

/*
 * Finds out what this machine can do when a CPU goes from one guest to another (specs/isolation.def), and tries what
 * can be refused. Boot CPU, once, before any guest and before host_cpus_start(); the other CPUs are taken to be of its
 * kind.
 */
void host_isolation_start(void);

/* What host_isolation_start() found, in one line for the log; constant from then on. */
const char *host_isolation_text(void);

/*
 * Does it, on the CPU that runs this: after the last instruction of one guest and before the first of another. It
 * protects the two guests from each other; not the host from either. Any CPU.
 */
void host_isolation_switch(void);

/* ---- Interrupts. ---- */

#define HOST_VECTOR_DEVICE_FIRST 0x30u
#define HOST_VECTOR_DEVICE_LAST 0xefu
#define HOST_VECTOR_TIMER 0xf0u
#define HOST_VECTOR_KICK 0xf1u
#define HOST_VECTOR_SPURIOUS 0xffu

/*
 * A vector, the same on all CPUs, for a device's MSI or MSI-X; -1 if all are taken. @handler runs
 * on the CPU that took it, interrupts off, inside cpu_idle() or cpu_take_interrupts(); it must be
 * short and take no lock that core may hold when it opens interrupts. The EOI is done for it. Boot
 * CPU only, or under a lock of the caller's.
 */
int host_irq_alloc(void (*handler)(void *context), void *context);

/*
 * The MSI message (Intel SDM 3A, 11.11) for @vector at @cpu, which must run. False if its APIC id
 * does not fit in 8 bits.
 */
MUST_CHECK bool host_msi_compose(unsigned int vector, unsigned int cpu, uint64_t *address, uint32_t *data);

/* ---- Time. ---- */

/* Measured against the ACPI PM timer, or the PIT if there is none. */
uint64_t host_tsc_hz(void);

/*
 * Measured: the TSC kept one rate at boot, and no CPU saw it step back against CPU 0. True only
 * after host_cpus_start() for a machine of several CPUs.
 */
bool host_tsc_stable(void);

/*
 * The largest distance, in TSC ticks, that two CPUs' TSCs can have by that measurement. Some
 * hundred ticks; but milliseconds in an emulator whose CPUs had to share one host thread
 * meanwhile, when "stable" says no more than that nothing spoke against it. UINT64_MAX: could not
 * be measured.
 */
uint64_t host_tsc_offset_bound(void);

/*
 * Wall clock (CMOS RTC, taken as UTC), Unix nanoseconds, to a second, at the moment
 * host_boot_tsc().
 */
uint64_t host_wall_ns_at_boot(void);
uint64_t host_boot_tsc(void);

/* Spins. At most a second. Any CPU. */
void host_delay_us(uint32_t us);

/*
 * This CPU's one-shot timer: one interrupt at or soon after @tsc_deadline, at once if that has
 * passed. Replaces what was armed. A deadline further off than the counter reaches (seconds) fires
 * early: look at the TSC, and arm again. UINT64_MAX is as good as never.
 */
void host_timer_arm(uint64_t tsc_deadline);

/* An interrupt already on its way may still set host_timer_fired(). */
void host_timer_stop(void);

/* Did this CPU's timer fire, or a kick come, since last asked? */
static inline bool host_timer_fired(void)
{
	uint32_t fired = 0;

	__asm__ volatile("xchgl %0, %%gs:24" : "+r"(fired) : : "memory");
	return fired != 0;
}

static inline bool host_kick_taken(void)
{
	uint32_t taken = 0;

	__asm__ volatile("xchgl %0, %%gs:28" : "+r"(taken) : : "memory");
	return taken != 0;
}

/* ---- The end. ---- */

/*
 * Called last in a panic, on the panicking CPU, the others being stopped; prints with uart_put().
 * NULL at first.
 */
extern void (*host_panic_hook)(void);

/* Values that QEMU's isa-debug-exit gets; its status is (value << 1) | 1. */
#define HOST_EXIT_PANIC 0x10u

/*
 * Stops the other CPUs and ends an emulator (QEMU: by port 0xf4; Bochs: by port 0x8900), else
 * halts.
 */
NORETURN void host_exit(unsigned int code);

#endif /* ARCH_X86_HOST_H */
