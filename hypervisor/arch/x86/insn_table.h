/*
 * insn_table.h - what follows each opcode: the facts that give an instruction its length, and the
 * sorting of opcodes into classes. Private to the decoder.
 */
#ifndef ARCH_X86_INSN_TABLE_H
#define ARCH_X86_INSN_TABLE_H

#include "hypervisor/arch/x86/insn.h"

#define OP_MODRM 0x0001u
#define OP_BYTE 0x0002u /* byte operands */
#define OP_IMM8 0x0004u /* an immediate byte, sign-extended */
#define OP_IMMZ 0x0008u /* 2 or 4 bytes by the operand size, never 8 */
#define OP_IMMV 0x0010u /* 2, 4 or 8 bytes by the operand size */
#define OP_IMM16 0x0020u
#define OP_MOFFS 0x0040u /* an address in place of ModRM */
#define OP_FAR 0x0080u /* offset by the operand size, and a selector */
#define OP_NOT64 0x0100u /* undefined in 64-bit code */
#define OP_BAD 0x0200u /* undefined, a prefix, or an escape */
#define OP_NOMEM 0x0400u /* ModRM names two registers, whatever its mod field holds */
#define OP_VEX 0x0800u /* another encoding in 64-bit code, and elsewhere if mod is 3 */
#define OP_XOP 0x1000u /* another encoding unless reg is 0 */
#define OP_GROUP3 0x2000u /* an immediate only if reg is 0 or 1 (TEST) */
#define OP_EXTRQ 0x4000u /* two immediate bytes with prefix 66 or F2 */

/* The OP_ flags of @opcode in @map (0 to 3). */
uint16_t insn_table_flags(uint8_t map, uint8_t opcode);

/*
 * Sets class, alu, form, source_bytes and, where the class wants it, op_bytes of a decoded
 * @insn.
 */
void insn_classify(struct insn *insn);

#endif /* ARCH_X86_INSN_TABLE_H */
