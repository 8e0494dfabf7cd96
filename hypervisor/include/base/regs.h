/*
 * regs.h - the integer registers of a vCPU, as the exits, the emulator and the faces share them.
 *
 * Numbers are those of x86's encodings (Intel SDM vol. 2, 2.1.5), so that a decoded register field
 * is an index.
 */
#ifndef BASE_REGS_H
#define BASE_REGS_H

#include <stdint.h>

enum cpu_reg {
	REG_RAX = 0,
	REG_RCX,
	REG_RDX,
	REG_RBX,
	REG_RSP,
	REG_RBP,
	REG_RSI,
	REG_RDI,
	REG_R8,
	REG_R9,
	REG_R10,
	REG_R11,
	REG_R12,
	REG_R13,
	REG_R14,
	REG_R15,
	REG_COUNT,
};

struct cpu_regs {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
};

#define RFLAGS_CF 0x00000001u
#define RFLAGS_FIXED 0x00000002u /* always reads as one */
#define RFLAGS_PF 0x00000004u
#define RFLAGS_AF 0x00000010u
#define RFLAGS_ZF 0x00000040u
#define RFLAGS_SF 0x00000080u
#define RFLAGS_TF 0x00000100u
#define RFLAGS_IF 0x00000200u
#define RFLAGS_DF 0x00000400u
#define RFLAGS_OF 0x00000800u
#define RFLAGS_IOPL 0x00003000u
#define RFLAGS_NT 0x00004000u
#define RFLAGS_RF 0x00010000u
#define RFLAGS_VM 0x00020000u
#define RFLAGS_AC 0x00040000u
#define RFLAGS_VIF 0x00080000u
#define RFLAGS_VIP 0x00100000u
#define RFLAGS_ID 0x00200000u

#endif /* BASE_REGS_H */
