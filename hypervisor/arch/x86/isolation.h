/*
 * isolation.h - what a CPU has to do between two guests: specs/isolation.def turned into answers.
 *
 * Pure code: any context may call it, holding anything. host_isolation.c reads the facts and acts.
 */
#ifndef ARCH_X86_ISOLATION_H
#define ARCH_X86_ISOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum isolation_vendor {
	ISOLATION_VENDOR_OTHER = 1,
	ISOLATION_VENDOR_INTEL = 2,
	ISOLATION_VENDOR_AMD = 4,
	ISOLATION_VENDOR_HYGON = 8,
	ISOLATION_VENDOR_ANY = 15,
};

/* A set of these is what a CPU does. */
enum isolation_action {
	ISOLATION_IBPB = 1, /* older indirect branches have no say in later predictions */
	ISOLATION_FILL_RSB = 2, /* predicted returns lead nowhere */
	ISOLATION_VERW = 4, /* store and fill buffers, load ports, register file: overwritten */
	ISOLATION_L1D_FLUSH = 8, /* first-level data cache written back and emptied */
};

/* What the CPU says. A leaf that it does not have is 0. */
struct isolation_facts {
	enum isolation_vendor vendor; /* isolation_vendor_of() */
	uint32_t leaf_7_ebx; /* subleaf 0 */
	uint32_t leaf_7_edx;
	uint32_t leaf_80000008_ebx;
	uint32_t leaf_80000021_eax;
	uint32_t leaf_80000021_ecx;
	bool has_arch_capabilities; /* the MSR exists and could be read; else its value counts for nothing */
	uint64_t arch_capabilities;
};

/* By EBX, EDX and ECX of CPUID leaf 0. */
enum isolation_vendor isolation_vendor_of(uint32_t ebx, uint32_t edx, uint32_t ecx);

/* The set of enum isolation_action that the table asks for. */
uint32_t isolation_judge(const struct isolation_facts *facts);

/* Enough for the longest text of isolation_text(). */
#define ISOLATION_TEXT_BYTES 200u

/*
 * One line for the log into @to, cut to @room bytes with the final NUL (@room is not 0): which actions are in @done, and for
 * each other one why it is not. One that isolation_judge() gives but @done has not was refused by the CPU. Returns @to.
 */
const char *isolation_text(const struct isolation_facts *facts, uint32_t done, char *to, size_t room);

#endif /* ARCH_X86_ISOLATION_H */
