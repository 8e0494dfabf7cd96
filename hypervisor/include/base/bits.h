/*
 * bits.h - single bits, powers of two, sums and products that may not wrap.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/compiler.h"

#define BIT(n) (1u << (n))
#define BIT64(n) (1ull << (n))

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t power_of_two)
{
	return value & ~(power_of_two - 1);
}

/* @word must not be 0. */
static inline unsigned int bit_lowest(uint64_t word)
{
	return (unsigned int)__builtin_ctzll(word);
}

/* @word must not be 0. */
static inline unsigned int bit_highest(uint64_t word)
{
	return 63u - (unsigned int)__builtin_clzll(word);
}

/* How many bits are set. (The compiler's own may become a call into its library, which ring 0 has not.) */
static inline unsigned int bit_count(uint64_t word)
{
	unsigned int count = 0;

	for (; word != 0; word &= word - 1) {
		count++;
	}
	return count;
}

/* True if @offset + @len is at most @limit and nothing wraps. */
static inline bool range_fits(uint64_t offset, uint64_t len, uint64_t limit)
{
	return offset <= limit && len <= limit - offset;
}

/* High 64 bits of the 128-bit product. */
static inline uint64_t mul_high(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)(((wide)a * b) >> 64);
}

/* a * b / c with a 128-bit product. UINT64_MAX if the quotient does not fit, or c is 0. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t high = mul_high(a, b);
	uint64_t low = a * b;

	if (high >= c) {
		return UINT64_MAX;
	}
	__asm__("divq %2" : "+a"(low), "+d"(high) : "r"(c) : "cc");
	return low;
}

#endif /* BASE_BITS_H */
