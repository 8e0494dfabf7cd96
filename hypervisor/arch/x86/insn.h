/*
 * insn.h - decodes one guest instruction, and executes the few kinds that exits need executed.
 *
 * For what the hardware does not say: the length of an intercepted instruction where the CPU gives
 * no next RIP, the operands of an access to an emulated device, and of string port I/O. Clauses:
 * AMD64 APM vol. 3 chapter 1 and appendix A (encodings), vol. 2 15.7 (intercepts); Intel SDM vol. 2
 * chapter 2. Pure code: no lock, no global state, no host instruction; any context may call it.
 */
#ifndef ARCH_X86_INSN_H
#define ARCH_X86_INSN_H

#include "base/regs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_BYTES_MAX 15u /* a longer instruction is #GP */
#define INSN_NO_REG 0xffu

/* The code segment's default: CS.L, CS.D. Real and virtual-8086 mode are 16-bit. */
enum insn_mode {
	INSN_MODE_16,
	INSN_MODE_32,
	INSN_MODE_64,
};

enum insn_status {
	INSN_OK,
	INSN_SHORT, /* ends behind the bytes given: fetch more, or take the page fault there */
	INSN_TOO_LONG, /* over 15 bytes: #GP(0) */
	INSN_UNKNOWN, /* undefined, or of an encoding (VEX, EVEX, XOP) that no exit needs */
	INSN_MISMATCH, /* not of the class expected: the code changed under us, so enter again */
};

enum insn_class {
	INSN_OTHER = 0, /* its length is right, nothing else is told of it */
	/* What is intercepted. */
	INSN_CPUID,
	INSN_VMMCALL,
	INSN_VMCALL,
	INSN_HLT,
	INSN_PAUSE,
	INSN_RDMSR,
	INSN_WRMSR,
	INSN_RDTSC,
	INSN_RDTSCP,
	INSN_RDPMC,
	INSN_RDPRU,
	INSN_IN,
	INSN_OUT,
	INSN_INS,
	INSN_OUTS,
	INSN_XGETBV,
	INSN_XSETBV,
	INSN_INVD,
	INSN_WBINVD, /* and WBNOINVD */
	INSN_INVLPG,
	INSN_INVLPGA,
	INSN_INVPCID,
	INSN_MOV_FROM_CR,
	INSN_MOV_TO_CR,
	INSN_MOV_FROM_DR,
	INSN_MOV_TO_DR,
	INSN_CLTS,
	INSN_LMSW,
	INSN_SMSW,
	INSN_MONITOR, /* and MONITORX */
	INSN_MWAIT, /* and MWAITX */
	INSN_VMRUN,
	INSN_VMLOAD,
	INSN_VMSAVE,
	INSN_STGI,
	INSN_CLGI,
	INSN_SKINIT,
	INSN_VMX, /* any VMX instruction but VMCALL */
	INSN_INT1,
	INSN_INT3,
	INSN_INT,
	INSN_INTO,
	INSN_IRET,
	INSN_PUSHF,
	INSN_POPF,
	INSN_RSM,
	INSN_SGDT,
	INSN_SIDT,
	INSN_LGDT,
	INSN_LIDT,
	INSN_SLDT,
	INSN_STR,
	INSN_LLDT,
	INSN_LTR,
	/* What insn_exec_mmio() executes when its operand is in memory. */
	INSN_MOV,
	INSN_MOVZX,
	INSN_MOVSX, /* and MOVSXD */
	INSN_ALU, /* of two operands, see enum insn_alu */
	INSN_UNARY,
	INSN_BIT,
	INSN_XCHG,
	INSN_XADD,
	INSN_CMPXCHG,
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_CLASS_COUNT,
};

/* The operation of an INSN_ALU, INSN_UNARY or INSN_BIT; the first eight are in encoding order. */
enum insn_alu {
	INSN_ADD,
	INSN_OR,
	INSN_ADC,
	INSN_SBB,
	INSN_AND,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP,
	INSN_TEST,
	INSN_INC,
	INSN_DEC,
	INSN_NOT,
	INSN_NEG,
	INSN_BT,
	INSN_BTS,
	INSN_BTR,
	INSN_BTC,
};

/* Which operand is the destination and which the source. */
enum insn_form {
	INSN_FORM_NONE,
	INSN_FORM_RM_REG,
	INSN_FORM_REG_RM,
	INSN_FORM_RM_IMM,
	INSN_FORM_RM,
};

enum insn_segment {
	INSN_SEG_ES,
	INSN_SEG_CS,
	INSN_SEG_SS,
	INSN_SEG_DS,
	INSN_SEG_FS,
	INSN_SEG_GS,
	INSN_SEG_COUNT,
};

#define INSN_PREFIX_OPSIZE 0x01u /* 66 */
#define INSN_PREFIX_ADSIZE 0x02u /* 67 */
#define INSN_PREFIX_LOCK 0x04u
#define INSN_PREFIX_REPNE 0x08u /* F2, where it came after any F3 */
#define INSN_PREFIX_REP 0x10u /* F3, where it came after any F2 */
#define INSN_PREFIX_SEGMENT 0x20u

#define INSN_REX_B 0x01u
#define INSN_REX_X 0x02u
#define INSN_REX_R 0x04u
#define INSN_REX_W 0x08u

struct insn {
	enum insn_mode mode;
	enum insn_class class;
	enum insn_alu alu; /* valid for the three classes that it names */
	enum insn_form form;
	uint8_t length;
	uint8_t map; /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	uint8_t opcode; /* the last opcode byte */
	uint8_t prefixes;
	uint8_t rex; /* 0, or 40..4F */
	uint8_t segment; /* enum insn_segment of the memory operand, override or default */
	uint8_t op_bytes; /* 1, 2, 4 or 8; the port's width for IN, OUT, INS and OUTS */
	uint8_t source_bytes; /* of the source of MOVZX and MOVSX, otherwise op_bytes */
	uint8_t address_bytes; /* 2, 4 or 8 */
	bool has_modrm;
	bool has_memory; /* a memory operand by ModRM or moffs; not the implied one of a string */
	bool rip_relative;
	uint8_t modrm;
	uint8_t reg; /* REX.R included; a control register's number for MOV CR */
	uint8_t rm; /* REX.B included; the register where has_memory is false */
	uint8_t base; /* register, or INSN_NO_REG */
	uint8_t index; /* register, or INSN_NO_REG */
	uint8_t scale; /* 1, 2, 4 or 8 */
	uint8_t immediate_bytes; /* 0 if there is none */
	int64_t displacement;
	uint64_t immediate; /* sign-extended; the port of IN and OUT with an immediate */
};

/*
 * Decodes the instruction at the start of @bytes, of which @count (any number; 15 are enough) were
 * fetched. Fills @insn, which is complete only with INSN_OK. Lock prefixes and privilege are not
 * checked: the guest's CPU did that before it exited.
 */
enum insn_status insn_decode(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *insn);

/*
 * As insn_decode(), for an exit that says which instruction it was: INSN_MISMATCH if the bytes
 * are now of another class. RDTSC stands for RDTSCP too, as some CPUs have one intercept for
 * both. With INSN_OK, insn->length is what to advance by.
 */
enum insn_status insn_length(const uint8_t *bytes, size_t count, enum insn_mode mode,
                             enum insn_class expected, struct insn *insn);

/*
 * The linear address of @insn's memory operand (has_memory must be set), for registers @regs as
 * they were before the instruction, and the bases of the six segments by enum insn_segment.
 * Segment limits are not checked. A bit string's register offset (BT and its like) is not
 * included.
 */
uint64_t insn_effective_address(const struct insn *insn, const struct cpu_regs *regs,
                                const uint64_t segment_base[INSN_SEG_COUNT]);

/* Reads and writes register @reg as an operand of @bytes, by the rules of the instruction's REX. */
uint64_t insn_get_reg(const struct insn *insn, const struct cpu_regs *regs, uint8_t reg, uint8_t bytes);
void insn_set_reg(const struct insn *insn, struct cpu_regs *regs, uint8_t reg, uint8_t bytes, uint64_t value);

/*
 * Moves RIP behind the instruction, wraps it to 32 bits outside 64-bit code, and clears
 * RFLAGS.RF.
 */
void insn_advance(const struct insn *insn, struct cpu_regs *regs);

enum insn_exec {
	INSN_EXEC_DONE, /* complete, RIP is behind it; a pending single step is the caller's */
	INSN_EXEC_AGAIN, /* some iterations done and counted, RIP still at it: enter again */
	INSN_EXEC_FAULT, /* a callback refused; nothing changed since the last whole iteration */
	INSN_EXEC_UNSUPPORTED, /* not one that this function executes; nothing was done */
};

/*
 * What an instruction acts on. Each callback gets @ctx, a linear address and 1, 2, 4 or 8 bytes,
 * which may cross a page, and returns false if it cannot be done; it has then noted the fault (or
 * the death of the guest) in @ctx. @probe says whether an access will succeed, without side
 * effect, before the first one is made; null means always. An instruction makes one read and one
 * write at most, a string instruction so many for each iteration.
 */
struct insn_machine {
	struct cpu_regs *regs;
	const uint64_t *segment_base; /* INSN_SEG_COUNT of them */
	void *ctx;
	bool (*probe)(void *ctx, uint64_t linear, uint8_t bytes, bool write);
	bool (*read)(void *ctx, uint64_t linear, uint8_t bytes, uint64_t *value);
	bool (*write)(void *ctx, uint64_t linear, uint8_t bytes, uint64_t value);
	bool (*port_in)(void *ctx, uint16_t port, uint8_t bytes, uint32_t *value);
	bool (*port_out)(void *ctx, uint16_t port, uint8_t bytes, uint32_t value);
	uint32_t iteration_max; /* of a rep in one call; 0 counts as 1 */
};

/* Executes a decoded instruction that has a memory operand (classes INSN_MOV and after). */
enum insn_exec insn_exec_mmio(const struct insn *insn, const struct insn_machine *m);

/* Executes INS or OUTS, with or without rep. The I/O permission was checked by the CPU. */
enum insn_exec insn_exec_string_io(const struct insn *insn, const struct insn_machine *m);

#endif /* ARCH_X86_INSN_H */
