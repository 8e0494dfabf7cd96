/*
 * insn_alu.c - integer arithmetic with flags. AMD64 APM vol. 3 chapter 3, each instruction's
 * "rFLAGS affected".
 */
#include "hypervisor/arch/x86/insn_alu.h"

#define FLAGS_ARITHMETIC (uint64_t)(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static bool sign_of(uint64_t value, uint8_t bytes)
{
	return (value >> (bytes * 8u - 1) & 1) != 0;
}

/* Zero, sign and parity (of the low byte) of a result. */
static uint64_t flags_of(uint64_t result, uint8_t bytes)
{
	uint64_t flags = 0;

	if (result == 0) {
		flags |= RFLAGS_ZF;
	}
	if (sign_of(result, bytes)) {
		flags |= RFLAGS_SF;
	}
	if (__builtin_parity((unsigned int)(result & 0xff)) == 0) {
		flags |= RFLAGS_PF;
	}
	return flags;
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t carry, uint8_t bytes, uint64_t *flags)
{
	uint64_t result = insn_truncate(a + b + carry, bytes);
	/* The carry out of each bit, found from the operands and the sum. */
	uint64_t carries = (a & b) | ((a | b) & ~result);

	*flags = flags_of(result, bytes) | ((a ^ b ^ result) & RFLAGS_AF);
	if (sign_of(carries, bytes)) {
		*flags |= RFLAGS_CF;
	}
	if (sign_of((a ^ result) & (b ^ result), bytes)) {
		*flags |= RFLAGS_OF;
	}
	return result;
}

static uint64_t subtract(uint64_t a, uint64_t b, uint64_t borrow, uint8_t bytes, uint64_t *flags)
{
	uint64_t result = insn_truncate(a - b - borrow, bytes);
	uint64_t borrows = (~a & b) | ((~a | b) & result);

	*flags = flags_of(result, bytes) | ((a ^ b ^ result) & RFLAGS_AF);
	if (sign_of(borrows, bytes)) {
		*flags |= RFLAGS_CF;
	}
	if (sign_of((a ^ b) & (a ^ result), bytes)) {
		*flags |= RFLAGS_OF;
	}
	return result;
}

static uint64_t logic(enum insn_alu op, uint64_t a, uint64_t b, uint8_t bytes, uint64_t *flags)
{
	uint64_t result = a & b;

	if (op == INSN_OR) {
		result = a | b;
	} else if (op == INSN_XOR) {
		result = a ^ b;
	}
	*flags = flags_of(result, bytes);
	return result;
}

/* BT and its like touch the carry alone. */
static uint64_t bit(enum insn_alu op, uint64_t a, uint64_t b, uint8_t bytes, uint64_t *rflags)
{
	uint64_t mask = UINT64_C(1) << (b & (bytes * 8u - 1));

	*rflags &= ~(uint64_t)RFLAGS_CF;
	if ((a & mask) != 0) {
		*rflags |= RFLAGS_CF;
	}
	switch (op) {
	case INSN_BTS:
		return a | mask;
	case INSN_BTR:
		return a & ~mask;
	case INSN_BTC:
		return a ^ mask;
	default:
		return a;
	}
}

static uint64_t arithmetic(enum insn_alu op, uint64_t a, uint64_t b, uint8_t bytes, uint64_t carry,
                           uint64_t *flags)
{
	switch (op) {
	case INSN_ADD:
		return add(a, b, 0, bytes, flags);
	case INSN_ADC:
		return add(a, b, carry, bytes, flags);
	case INSN_INC:
		return add(a, 1, 0, bytes, flags);
	case INSN_SBB:
		return subtract(a, b, carry, bytes, flags);
	case INSN_SUB:
	case INSN_CMP:
		return subtract(a, b, 0, bytes, flags);
	case INSN_DEC:
		return subtract(a, 1, 0, bytes, flags);
	case INSN_NEG:
		return subtract(0, a, 0, bytes, flags);
	default:
		return logic(op, a, b, bytes, flags);
	}
}

uint64_t insn_alu_run(enum insn_alu op, uint64_t a, uint64_t b, uint8_t bytes, uint64_t *rflags)
{
	uint64_t changed = FLAGS_ARITHMETIC;
	uint64_t flags;
	uint64_t result;

	a = insn_truncate(a, bytes);
	if (op >= INSN_BT) {
		return bit(op, a, b, bytes, rflags);
	}
	if (op == INSN_NOT) {
		return insn_truncate(~a, bytes);
	}
	b = insn_truncate(b, bytes);
	result = arithmetic(op, a, b, bytes, *rflags & RFLAGS_CF, &flags);
	if (op == INSN_INC || op == INSN_DEC) {
		changed &= ~(uint64_t)RFLAGS_CF;
	}
	*rflags = (*rflags & ~changed) | (flags & changed);
	return result;
}

bool insn_alu_stores(enum insn_alu op)
{
	return op != INSN_CMP && op != INSN_TEST && op != INSN_BT;
}
