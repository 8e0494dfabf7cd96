/*
 * fuzz_input.h - the input of a fuzz target as a stream: behind its end come zeros.
 */
#ifndef TESTS_FUZZ_FUZZ_INPUT_H
#define TESTS_FUZZ_FUZZ_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/unwatched.h"

struct input {
	const uint8_t *bytes;
	size_t left;
};

/* What must hold; says what did not. */
#define must(condition) must_at((condition), #condition, __FILE__, __LINE__)

static inline void must_at(bool holds, const char *what, const char *file, int line)
{
	if (!holds) {
		(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
		abort();
	}
}

/* As must(), in words. */
static inline void require(bool holds, const char *what)
{
	must_at(holds, what, "invariant", 0);
}

static inline void take(struct input *in, void *to, size_t len)
{
	size_t have = in->left < len ? in->left : len;

	memset(to, 0, len);
	memcpy(to, in->bytes, have);
	in->bytes += have;
	in->left -= have;
}

/* The next @bytes of the input (at most 8), little-endian. */
static inline uint64_t take_number(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	take(in, &value, bytes);
	return value;
}

static inline uint8_t take8(struct input *in)
{
	uint8_t value;

	take(in, &value, sizeof(value));
	return value;
}

static inline uint16_t take16(struct input *in)
{
	uint16_t value;

	take(in, &value, sizeof(value));
	return value;
}

static inline uint32_t take32(struct input *in)
{
	uint32_t value;

	take(in, &value, sizeof(value));
	return value;
}

static inline uint64_t take64(struct input *in)
{
	uint64_t value;

	take(in, &value, sizeof(value));
	return value;
}

/* Below @limit, which is at most 256. */
static inline uint32_t take_below(struct input *in, uint32_t limit)
{
	return take8(in) % limit;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* TESTS_FUZZ_FUZZ_INPUT_H */
