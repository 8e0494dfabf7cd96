/*
 * trace.c - what libFuzzer is told of comparisons. Linked with --wrap, so that each call comes by here first.
 *
 * Half of an execution's time went into telling it of comparisons that are of no use to it: of equal values, and of those that
 * the sanitizers put in (is this pointer aligned, is this byte a bool, does this addition to a pointer wrap round). What libFuzzer
 * 14 does with a comparison is to keep the pair, if it has 4 or 8 bytes, and to put one value for the other into an input; its
 * profile of values, which would count all of them, is not in use.
 */
#include <stdint.h>

#include "tests/fuzz/unwatched.h"

void __real___sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b);
void __real___sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b);
void __real___sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b);
void __real___sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b);
void __wrap___sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b);
void __wrap___sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b);
void __wrap___sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b);
void __wrap___sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b);
void __wrap___sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b);
void __wrap___sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b);
void __wrap___sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b);
void __wrap___sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b);

/* Both lie where our heap, libraries and stack do. */
UNWATCHED static inline int are_ours(uint64_t a, uint64_t b)
{
	return (a >> 44) - 5 <= 2 && (b >> 44) - 5 <= 2;
}

/* Counts, and offsets in a page: libFuzzer would look for them as 8 bytes in a row, which no grammar takes for such a number. */
UNWATCHED static inline int are_small(uint64_t a, uint64_t b)
{
	return (a | b) < 8192;
}

UNWATCHED void __wrap___sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b)
{
	(void)a;
	(void)b;
}

UNWATCHED void __wrap___sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b)
{
	(void)a;
	(void)b;
}

UNWATCHED void __wrap___sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b)
{
	if (a != b) {
		__real___sanitizer_cov_trace_cmp4(a, b);
	}
}

UNWATCHED void __wrap___sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b)
{
	if (a != b && !are_small(a, b) && !are_ours(a, b)) {
		__real___sanitizer_cov_trace_cmp8(a, b);
	}
}

UNWATCHED void __wrap___sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b)
{
	(void)a;
	(void)b;
}

UNWATCHED void __wrap___sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b)
{
	(void)a;
	(void)b;
}

UNWATCHED void __wrap___sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b)
{
	if (a != b) {
		__real___sanitizer_cov_trace_const_cmp4(a, b);
	}
}

UNWATCHED void __wrap___sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b)
{
	if (a != b && !are_small(a, b)) {
		__real___sanitizer_cov_trace_const_cmp8(a, b);
	}
}
