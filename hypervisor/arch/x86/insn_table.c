/*
 * insn_table.c - the two large opcode maps: AMD64 APM vol. 3, appendix A, tables.
 * The maps 0F 38 and 0F 3A are regular and need no table.
 */
#include "hypervisor/arch/x86/insn_table.h"

#define M OP_MODRM
#define MB (OP_MODRM | OP_BYTE)
#define B OP_BYTE
#define I8 OP_IMM8
#define IZ OP_IMMZ
#define N64 OP_NOT64
#define UD OP_BAD

/* The rows of eight that ADD to CMP share, before the differences at 26, 27 and their like. */
#define ALU_ROW MB, M, MB, M, B | I8, IZ, N64, N64

static const uint16_t one_byte_map[256] = {
	/* 00 */ MB, M, MB, M, B | I8, IZ, N64, N64,
	/* 08 */ MB, M, MB, M, B | I8, IZ, N64, UD,
	/* 10 */ ALU_ROW,
	/* 18 */ ALU_ROW,
	/* 20 */ MB, M, MB, M, B | I8, IZ, UD, N64,
	/* 28 */ MB, M, MB, M, B | I8, IZ, UD, N64,
	/* 30 */ MB, M, MB, M, B | I8, IZ, UD, N64,
	/* 38 */ MB, M, MB, M, B | I8, IZ, UD, N64,
	/* 40 */ N64, N64, N64, N64, N64, N64, N64, N64,
	/* 48 */ N64, N64, N64, N64, N64, N64, N64, N64,
	/* 50 */ 0, 0, 0, 0, 0, 0, 0, 0,
	/* 58 */ 0, 0, 0, 0, 0, 0, 0, 0,
	/* 60 */ N64, N64, M | OP_VEX, M, UD, UD, UD, UD,
	/* 68 */ IZ, M | IZ, I8, M | I8, B, 0, B, 0,
	/* 70 */ I8, I8, I8, I8, I8, I8, I8, I8,
	/* 78 */ I8, I8, I8, I8, I8, I8, I8, I8,
	/* 80 */ MB | I8, M | IZ, MB | I8 | N64, M | I8, MB, M, MB, M,
	/* 88 */ MB, M, MB, M, M, M, M, M | OP_XOP,
	/* 90 */ 0, 0, 0, 0, 0, 0, 0, 0,
	/* 98 */ 0, 0, OP_FAR | N64, 0, 0, 0, 0, 0,
	/* A0 */ OP_MOFFS | B, OP_MOFFS, OP_MOFFS | B, OP_MOFFS, B, 0, B, 0,
	/* A8 */ B | I8, IZ, B, 0, B, 0, B, 0,
	/* B0 */ B | I8, B | I8, B | I8, B | I8, B | I8, B | I8, B | I8, B | I8,
	/* B8 */ OP_IMMV, OP_IMMV, OP_IMMV, OP_IMMV, OP_IMMV, OP_IMMV, OP_IMMV, OP_IMMV,
	/* C0 */ MB | I8, M | I8, OP_IMM16, 0, M | OP_VEX, M | OP_VEX, MB | I8, M | IZ,
	/* C8 */ OP_IMM16 | I8, 0, OP_IMM16, 0, 0, I8, N64, 0,
	/* D0 */ MB, M, MB, M, I8 | N64, I8 | N64, N64, 0,
	/* D8 */ M, M, M, M, M, M, M, M,
	/* E0 */ I8, I8, I8, I8, B | I8, I8, B | I8, I8,
	/* E8 */ IZ, IZ, OP_FAR | N64, I8, B, 0, B, 0,
	/* F0 */ UD, 0, UD, UD, 0, 0, MB | OP_GROUP3, M | OP_GROUP3,
	/* F8 */ 0, 0, 0, 0, 0, 0, MB, M,
};

static const uint16_t two_byte_map[256] = {
	/* 00 */ M, M, M, M, UD, 0, 0, 0,
	/* 08 */ 0, 0, UD, 0, UD, M, 0, M | I8,
	/* 10 */ M, M, M, M, M, M, M, M,
	/* 18 */ M, M, M, M, M, M, M, M,
	/* 20 */ M | OP_NOMEM, M | OP_NOMEM, M | OP_NOMEM, M | OP_NOMEM, UD, UD, UD, UD,
	/* 28 */ M, M, M, M, M, M, M, M,
	/* 30 */ 0, 0, 0, 0, 0, 0, UD, 0,
	/* 38 */ UD, UD, UD, UD, UD, UD, UD, UD,
	/* 40 */ M, M, M, M, M, M, M, M,
	/* 48 */ M, M, M, M, M, M, M, M,
	/* 50 */ M, M, M, M, M, M, M, M,
	/* 58 */ M, M, M, M, M, M, M, M,
	/* 60 */ M, M, M, M, M, M, M, M,
	/* 68 */ M, M, M, M, M, M, M, M,
	/* 70 */ M | I8, M | I8, M | I8, M | I8, M, M, M, 0,
	/* 78 */ M | OP_EXTRQ, M, UD, UD, M, M, M, M,
	/* 80 */ IZ, IZ, IZ, IZ, IZ, IZ, IZ, IZ,
	/* 88 */ IZ, IZ, IZ, IZ, IZ, IZ, IZ, IZ,
	/* 90 */ MB, MB, MB, MB, MB, MB, MB, MB,
	/* 98 */ MB, MB, MB, MB, MB, MB, MB, MB,
	/* A0 */ 0, 0, 0, M, M | I8, M, UD, UD,
	/* A8 */ 0, 0, 0, M, M | I8, M, M, M,
	/* B0 */ MB, M, M, M, M, M, M, M,
	/* B8 */ M, M, M | I8, M, M, M, M, M,
	/* C0 */ MB, M, M | I8, M, M | I8, M | I8, M | I8, M,
	/* C8 */ 0, 0, 0, 0, 0, 0, 0, 0,
	/* D0 */ M, M, M, M, M, M, M, M,
	/* D8 */ M, M, M, M, M, M, M, M,
	/* E0 */ M, M, M, M, M, M, M, M,
	/* E8 */ M, M, M, M, M, M, M, M,
	/* F0 */ M, M, M, M, M, M, M, M,
	/* F8 */ M, M, M, M, M, M, M, M,
};

uint16_t insn_table_flags(uint8_t map, uint8_t opcode)
{
	switch (map) {
	case 0:
		return one_byte_map[opcode];
	case 1:
		return two_byte_map[opcode];
	case 2:
		return OP_MODRM;
	default:
		return OP_MODRM | OP_IMM8;
	}
}
