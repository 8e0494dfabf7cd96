/*
 * string.c - base/mem.h for ring 0. String instructions, as they are short, fast on long blocks
 * and need no vector registers. They can be interrupted but not bounded here: callers copy at
 * most 64 KiB in one step.
 */
#include "base/mem.h"

#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *at = to;
	size_t words = len / 8;
	size_t rest = len % 8;

	__asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t len)
{
	void *at = to;
	size_t words = len / 8;
	size_t rest = len % 8;
	uint64_t pattern = (uint8_t)byte * 0x0101010101010101ull;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(pattern) : "memory");
	return to;
}

/*
 * From the end, where @to overlaps what is still to be read. An interrupt gate's code clears DF
 * itself.
 */
static void copy_backwards(void *to, const void *from, size_t len)
{
	uint8_t *last_to = (uint8_t *)to + len - 1;
	const uint8_t *last_from = (const uint8_t *)from + len - 1;

	__asm__ volatile("std; rep movsb; cld" : "+D"(last_to), "+S"(last_from), "+c"(len) : : "memory");
}

void *memmove(void *to, const void *from, size_t len)
{
	if ((uintptr_t)to - (uintptr_t)from >= len) {
		return memcpy(to, from, len);
	}
	copy_backwards(to, from, len);
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	for (size_t i = 0; i < len; i++) {
		if (x[i] != y[i]) {
			return x[i] < y[i] ? -1 : 1;
		}
	}
	return 0;
}
