/*
 * cpuid.h - the four registers of a CPUID answer.
 */
#ifndef BASE_CPUID_H
#define BASE_CPUID_H

#include <stdint.h>

struct cpuid_regs {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

#endif /* BASE_CPUID_H */
