/*
 * insn_lengths.h - the row of the tables insn_lengths_16.h, _32.h and _64.h.
 */
#ifndef TESTS_UNIT_INSN_LENGTHS_H
#define TESTS_UNIT_INSN_LENGTHS_H

#include <stdint.h>

struct insn_length_row {
	uint8_t length;
	uint8_t bytes[15];
};

#endif /* TESTS_UNIT_INSN_LENGTHS_H */
