/*
 * cpu_ops.h - single instructions of an x86-64 CPU in ring 0, by name (AMD64 APM 3, Intel SDM 2).
 *
 * Nothing here has a policy. The _safe ones survive #GP and #PF: the faulting instruction has a
 * row in the section .fixup, and the exception handler goes on at the row's second address.
 */
#ifndef ARCH_X86_CPU_OPS_H
#define ARCH_X86_CPU_OPS_H

#include "base/compiler.h"

#define FIXUP_ROW(from, to)              \
	".pushsection .fixup, \"a\"\n\t" \
	".balign 8\n\t"                  \
	".quad " from ", " to "\n\t"     \
	".popsection\n\t"

struct cpuid_result {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

static inline struct cpuid_result cpu_id(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

/* ---- Ports. ---- */

static inline void port_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_write16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t port_read16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* ---- Model-specific registers. ---- */

static inline uint64_t msr_read(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return ((uint64_t)high << 32) | low;
}

static inline void msr_write(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* False if the CPU has no such register; *@value is then 0. Emulators may read 0 and say true. */
MUST_CHECK static inline bool msr_read_safe(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0;
	uint32_t high = 0;
	uint32_t done = 0;

	__asm__ volatile("1: rdmsr\n\t"
	                 "movl $1, %[done]\n\t"
	                 "2:\n\t" FIXUP_ROW("1b", "2b")
	                 : [done] "+r"(done), "+a"(low), "+d"(high)
	                 : "c"(msr)
	                 : "memory");
	*value = done != 0 ? ((uint64_t)high << 32) | low : 0;
	return done != 0;
}

/* False if the CPU has no such register or refuses the value. */
MUST_CHECK static inline bool msr_write_safe(uint32_t msr, uint64_t value)
{
	uint32_t done = 0;

	__asm__ volatile("1: wrmsr\n\t"
	                 "movl $1, %[done]\n\t"
	                 "2:\n\t" FIXUP_ROW("1b", "2b")
	                 : [done] "+r"(done)
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
	return done != 0;
}

/* Eight bytes at any address, mapped or not. For the backtrace of a panic. */
MUST_CHECK static inline bool memory_read_safe(uint64_t address, uint64_t *value)
{
	uint32_t done = 0;
	uint64_t read = 0;

	__asm__ volatile("1: movq (%[from]), %[read]\n\t"
	                 "movl $1, %[done]\n\t"
	                 "2:\n\t" FIXUP_ROW("1b", "2b")
	                 : [done] "+r"(done), [read] "+r"(read)
	                 : [from] "r"(address)
	                 : "memory");
	*value = read;
	return done != 0;
}

/* ---- Control and debug registers. ---- */

#define CPU_OPS_REGISTER(name, reg)                                                \
	static inline uint64_t name##_read(void)                                   \
	{                                                                          \
		uint64_t value;                                                    \
		__asm__ volatile("movq %%" reg ", %0" : "=r"(value) : : "memory"); \
		return value;                                                      \
	}                                                                          \
	static inline void name##_write(uint64_t value)                            \
	{                                                                          \
		__asm__ volatile("movq %0, %%" reg : : "r"(value) : "memory");     \
	}

CPU_OPS_REGISTER(cr0, "cr0")
CPU_OPS_REGISTER(cr2, "cr2")
CPU_OPS_REGISTER(cr3, "cr3")
CPU_OPS_REGISTER(cr4, "cr4")
CPU_OPS_REGISTER(dr0, "db0")
CPU_OPS_REGISTER(dr1, "db1")
CPU_OPS_REGISTER(dr2, "db2")
CPU_OPS_REGISTER(dr3, "db3")
CPU_OPS_REGISTER(dr6, "db6")
CPU_OPS_REGISTER(dr7, "db7")

static inline uint64_t rflags_read(void)
{
	uint64_t value;

	__asm__ volatile("pushfq; popq %0" : "=r"(value) : : "memory");
	return value;
}

static inline void tlb_flush_page(uint64_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void cache_flush_all(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}

/* ---- Descriptor tables. ---- */

struct PACKED descriptor_table {
	uint16_t limit;
	uint64_t base;
};

static inline struct descriptor_table gdt_read(void)
{
	struct descriptor_table table;

	__asm__ volatile("sgdt %0" : "=m"(table));
	return table;
}

static inline struct descriptor_table idt_read(void)
{
	struct descriptor_table table;

	__asm__ volatile("sidt %0" : "=m"(table));
	return table;
}

static inline void gdt_write(uint64_t base, uint16_t limit)
{
	struct descriptor_table table = {limit, base};

	__asm__ volatile("lgdt %0" : : "m"(table) : "memory");
}

static inline void idt_write(uint64_t base, uint16_t limit)
{
	struct descriptor_table table = {limit, base};

	__asm__ volatile("lidt %0" : : "m"(table) : "memory");
}

static inline void tr_write(uint16_t selector)
{
	__asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

/*
 * ---- Extended state (Intel SDM 1, 13). Areas are 64-byte aligned; @mask selects components.
 * ----
 */

static inline uint64_t xcr_read(uint32_t index)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index) : "memory");
	return ((uint64_t)high << 32) | low;
}

static inline void xcr_write(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv"
	                 :
	                 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

/* False if the CPU refuses the value (#GP). */
MUST_CHECK static inline bool xcr_write_safe(uint32_t index, uint64_t value)
{
	uint32_t done = 0;

	__asm__ volatile("1: xsetbv\n\t"
	                 "movl $1, %[done]\n\t"
	                 "2:\n\t" FIXUP_ROW("1b", "2b")
	                 : [done] "+r"(done)
	                 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
	return done != 0;
}

static inline void cpu_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

static inline void cpu_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

/* False if the area is malformed (#GP): for one whose header a restored record filled. */
MUST_CHECK static inline bool cpu_xrstor_safe(const void *area, uint64_t mask)
{
	uint32_t done = 0;

	__asm__ volatile("1: xrstor64 (%[area])\n\t"
	                 "movl $1, %[done]\n\t"
	                 "2:\n\t" FIXUP_ROW("1b", "2b")
	                 : [done] "+r"(done)
	                 : [area] "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
	return done != 0;
}

/* For a CPU without XSAVE: 512 bytes, 16-byte aligned. */
static inline void cpu_fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void cpu_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* ---- Time and waiting. ---- */

static inline uint64_t tsc_read(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return ((uint64_t)high << 32) | low;
}

/* Not before the loads that stand before it (Intel SDM 2, RDTSC). */
static inline uint64_t tsc_read_ordered(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return ((uint64_t)high << 32) | low;
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void cpu_fence(void)
{
	__asm__ volatile("mfence; lfence" : : : "memory");
}

static inline void interrupts_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* For good: only an NMI, #MC or reset reaches this CPU again. */
NORETURN static inline void cpu_halt(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt" : : : "memory");
	}
}

#endif /* ARCH_X86_CPU_OPS_H */
