/*
 * cpu.h - the machine of a guest on the metal: instructions, interrupts, the local APIC, other CPUs,
 * clocks, hypercalls.
 *
 * The local APIC is used as x2APIC if CPUID shows one and the option `apic=xapic` is not given,
 * else by its page.
 */
#ifndef GUEST_DRIVERS_METAL_CPU_H
#define GUEST_DRIVERS_METAL_CPU_H

#include "guest-drivers/metal/lib.h"

struct face_found;

#define CPUS_MAX 64u
#define RFLAGS_IF 0x200u
#define MSR_APIC_BASE 0x1bu

#define VECTOR_TIMER 0xe0u
#define VECTOR_IPI 0xe1u
#define VECTOR_RING 0xe2u
#define VECTOR_SPURIOUS 0xffu

#define NS_PER_SECOND 1000000000u

/* What the entry of a vector leaves on the stack. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
};

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/* ---------------------------------------------------------------- instructions */

static inline void port_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_write16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t port_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t port_read16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t msr_read(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void msr_write(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t tsc_read(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Interrupts are off. Sleeps until one has been taken, then they are off again. */
static inline void cpu_sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/*
 * Interrupts are off. Takes one that waits, if any does, and then they are off again. The instruction behind STI still runs
 * without them; it is no PAUSE, behind which QEMU's emulated CPU forgets to end STI's shadow if no one intercepts it.
 */
static inline void interrupts_take(void)
{
	__asm__ volatile("pause; sti; nop; cli" : : : "memory");
}

/* VMMCALL here; cpu_init() makes each of these a VMCALL on Intel's CPUs. */
#define HYPERCALL_INSN   \
	"661: vmmcall\n" \
	".pushsection .call_site, \"a\"\n.quad 661b\n.popsection\n"

/* ---------------------------------------------------------------- interrupts */

/* Once, on the first CPU, before cpu_init(): by CPUID alone. */
void cpu_find_faces(void);
/* Once, on the first CPU. */
void cpu_init(void);

/* The handler of a vector of 32 and above; it ends the interrupt by apic_eoi() itself. */
void interrupt_handle(uint8_t vector, void (*handler)(struct frame *frame));

/* Puts @entry, which is no function but the start of a handler in assembly, into the IDT. */
void interrupt_set_entry(uint8_t vector, const void *entry);

/* The number of this CPU: its APIC id. */
unsigned int cpu_number(void);

/* Reads an MSR that may not be there: false if that was #GP. */
bool msr_read_safe(uint32_t msr, uint64_t *value);

/* ---------------------------------------------------------------- local APIC */

bool apic_is_x2(void);
void apic_eoi(void);
void apic_send(unsigned int cpu, uint8_t vector);
/* To all but this CPU. */
void apic_send_others(uint8_t vector);
/* One shot on VECTOR_TIMER after @ticks of apic_hz(); 0: none. */
void apic_timer_start(uint32_t ticks);
/* How fast the timer counts: what Hyper-V says of it or, without that, measured against the TSC. */
uint64_t apic_hz(void);

/* ---------------------------------------------------------------- other CPUs */

/* How many the command line says there are (cpus=N), or CPUID leaf 0xB, or 1. */
unsigned int cpu_count(void);
/* Starts all others; each runs @run(its number) with interrupts off. Gives how many CPUs run in the end. */
unsigned int cpus_start(void (*run)(unsigned int cpu));

/* ---------------------------------------------------------------- clocks */

/* The option tsc_hz=, what Hyper-V's MSR or Xen's leaf say, as measured against ACPI's timer, or 1 GHz. */
uint64_t tsc_hz(void);
uint64_t tsc_to_ns(uint64_t ticks);
void delay_us(uint32_t us);

/* ---------------------------------------------------------------- faces */

bool has_hyperv(void);
/* All that showed itself. */
const struct face_found *faces_found(void);
/* Xen's first CPUID leaf, or 0. */
uint32_t xen_base(void);
/* "hyperv", "xen", "both" or "none". */
const char *face_name(void);
/* Sets the guest's id and the hypercall page; gives the page, or NULL. */
void *hyperv_open(void);

#endif /* GUEST_DRIVERS_METAL_CPU_H */
