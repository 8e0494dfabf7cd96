/*
 * insn_alu.h - x86's integer arithmetic with its flags, in portable C. Private to the emulator.
 */
#ifndef ARCH_X86_INSN_ALU_H
#define ARCH_X86_INSN_ALU_H

#include "hypervisor/arch/x86/insn.h"

/* The low @bytes (1, 2, 4 or 8) of @value. */
static inline uint64_t insn_truncate(uint64_t value, uint8_t bytes)
{
	return bytes >= 8 ? value : value & ((UINT64_C(1) << (bytes * 8u)) - 1);
}

/* @value of @bytes, with its sign carried to 64 bits. */
static inline uint64_t insn_extend_sign(uint64_t value, uint8_t bytes)
{
	uint64_t sign = UINT64_C(1) << (bytes * 8u - 1);

	return (insn_truncate(value, bytes) ^ sign) - sign;
}

/*
 * @a @op @b on operands of @bytes; @b counts for nothing in an operation of one operand, and is a
 * bit's number in one on bits. Takes the carry from @rflags and leaves the arithmetic flags
 * there; those that the manuals leave undefined are cleared after logic and kept after bit
 * operations. Returns the result, which CMP, TEST and BT do not store.
 */
uint64_t insn_alu_run(enum insn_alu op, uint64_t a, uint64_t b, uint8_t bytes, uint64_t *rflags);

/* Whether @op has a result to store. */
bool insn_alu_stores(enum insn_alu op);

#endif /* ARCH_X86_INSN_ALU_H */
