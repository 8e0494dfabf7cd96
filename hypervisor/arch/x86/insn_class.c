/*
 * insn_class.c - sorts a decoded instruction: which intercept it belongs to, or what it does to a
 * memory operand. AMD64 APM vol. 3 appendix A.2 (opcode maps and ModRM groups).
 */
#include "hypervisor/arch/x86/insn_table.h"

/* A class given by the opcode alone. What is absent is INSN_OTHER or a group. */
static const uint8_t one_byte_classes[256] = {
        [0x63] = INSN_MOVSX, [0x6c] = INSN_INS,  [0x6d] = INSN_INS,  [0x6e] = INSN_OUTS,  [0x6f] = INSN_OUTS,
        [0x84] = INSN_ALU,   [0x85] = INSN_ALU,  [0x86] = INSN_XCHG, [0x87] = INSN_XCHG,  [0x88] = INSN_MOV,
        [0x89] = INSN_MOV,   [0x8a] = INSN_MOV,  [0x8b] = INSN_MOV,  [0x9c] = INSN_PUSHF, [0x9d] = INSN_POPF,
        [0xa0] = INSN_MOV,   [0xa1] = INSN_MOV,  [0xa2] = INSN_MOV,  [0xa3] = INSN_MOV,   [0xa4] = INSN_MOVS,
        [0xa5] = INSN_MOVS,  [0xaa] = INSN_STOS, [0xab] = INSN_STOS, [0xac] = INSN_LODS,  [0xad] = INSN_LODS,
        [0xcc] = INSN_INT3,  [0xcd] = INSN_INT,  [0xce] = INSN_INTO, [0xcf] = INSN_IRET,  [0xe4] = INSN_IN,
        [0xe5] = INSN_IN,    [0xe6] = INSN_OUT,  [0xe7] = INSN_OUT,  [0xec] = INSN_IN,    [0xed] = INSN_IN,
        [0xee] = INSN_OUT,   [0xef] = INSN_OUT,  [0xf1] = INSN_INT1, [0xf4] = INSN_HLT,
};

static const uint8_t two_byte_classes[256] = {
        [0x06] = INSN_CLTS,        [0x08] = INSN_INVD,        [0x09] = INSN_WBINVD,
        [0x20] = INSN_MOV_FROM_CR, [0x21] = INSN_MOV_FROM_DR, [0x22] = INSN_MOV_TO_CR,
        [0x23] = INSN_MOV_TO_DR,   [0x30] = INSN_WRMSR,       [0x31] = INSN_RDTSC,
        [0x32] = INSN_RDMSR,       [0x33] = INSN_RDPMC,       [0xa2] = INSN_CPUID,
        [0xa3] = INSN_BIT,         [0xaa] = INSN_RSM,         [0xab] = INSN_BIT,
        [0xb0] = INSN_CMPXCHG,     [0xb1] = INSN_CMPXCHG,     [0xb3] = INSN_BIT,
        [0xb6] = INSN_MOVZX,       [0xb7] = INSN_MOVZX,       [0xba] = INSN_BIT,
        [0xbb] = INSN_BIT,         [0xbe] = INSN_MOVSX,       [0xbf] = INSN_MOVSX,
        [0xc0] = INSN_XADD,        [0xc1] = INSN_XADD,        [0xc3] = INSN_MOV,
};

/* 0F 01 with a register form: the rm field has a meaning of its own. */
static const uint8_t group7_registers[64] = {
        [0x01] = INSN_VMCALL,  [0x02] = INSN_VMX,    [0x03] = INSN_VMX,     [0x04] = INSN_VMX,
        [0x08] = INSN_MONITOR, [0x09] = INSN_MWAIT,  [0x10] = INSN_XGETBV,  [0x11] = INSN_XSETBV,
        [0x14] = INSN_VMX,     [0x18] = INSN_VMRUN,  [0x19] = INSN_VMMCALL, [0x1a] = INSN_VMLOAD,
        [0x1b] = INSN_VMSAVE,  [0x1c] = INSN_STGI,   [0x1d] = INSN_CLGI,    [0x1e] = INSN_SKINIT,
        [0x1f] = INSN_INVLPGA, [0x20] = INSN_SMSW,   [0x21] = INSN_SMSW,    [0x22] = INSN_SMSW,
        [0x23] = INSN_SMSW,    [0x24] = INSN_SMSW,   [0x25] = INSN_SMSW,    [0x26] = INSN_SMSW,
        [0x27] = INSN_SMSW,    [0x30] = INSN_LMSW,   [0x31] = INSN_LMSW,    [0x32] = INSN_LMSW,
        [0x33] = INSN_LMSW,    [0x34] = INSN_LMSW,   [0x35] = INSN_LMSW,    [0x36] = INSN_LMSW,
        [0x37] = INSN_LMSW,    [0x39] = INSN_RDTSCP, [0x3a] = INSN_MONITOR, [0x3b] = INSN_MWAIT,
        [0x3d] = INSN_RDPRU,
};

static const uint8_t group7_memory[8] = {
        INSN_SGDT, INSN_SIDT, INSN_LGDT, INSN_LIDT, INSN_SMSW, INSN_OTHER, INSN_LMSW, INSN_INVLPG,
};

static const uint8_t group6[8] = {INSN_SLDT, INSN_STR, INSN_LLDT, INSN_LTR};

static uint8_t group_of(const struct insn *insn)
{
	return insn->modrm >> 3 & 7;
}

static void set(struct insn *insn, enum insn_class class, enum insn_alu alu, enum insn_form form)
{
	insn->class = class;
	insn->alu = alu;
	insn->form = form;
}

/* 00 to 3F: eight operations, each with four forms on ModRM and two on the accumulator. */
static void classify_alu_row(struct insn *insn)
{
	if ((insn->opcode & 7) < 4) {
		set(insn, INSN_ALU, (enum insn_alu)(insn->opcode >> 3),
		    (insn->opcode & 2) != 0 ? INSN_FORM_REG_RM : INSN_FORM_RM_REG);
	}
}

/* F6 and F7: TEST, TEST, NOT, NEG; multiplication and division are left out. */
static void classify_group3(struct insn *insn)
{
	switch (group_of(insn)) {
	case 0:
	case 1:
		set(insn, INSN_ALU, INSN_TEST, INSN_FORM_RM_IMM);
		break;
	case 2:
		set(insn, INSN_UNARY, INSN_NOT, INSN_FORM_RM);
		break;
	case 3:
		set(insn, INSN_UNARY, INSN_NEG, INSN_FORM_RM);
		break;
	default:
		break;
	}
}

static void classify_one_byte_group(struct insn *insn)
{
	uint8_t group = group_of(insn);

	switch (insn->opcode) {
	case 0x80:
	case 0x81:
	case 0x82:
	case 0x83:
		set(insn, INSN_ALU, (enum insn_alu)group, INSN_FORM_RM_IMM);
		break;
	case 0xc6:
	case 0xc7:
		if (group == 0) {
			set(insn, INSN_MOV, INSN_ADD, INSN_FORM_RM_IMM);
		}
		break;
	case 0xf6:
	case 0xf7:
		classify_group3(insn);
		break;
	case 0xfe:
	case 0xff:
		if (group < 2) {
			set(insn, INSN_UNARY, group == 0 ? INSN_INC : INSN_DEC, INSN_FORM_RM);
		}
		break;
	default:
		break;
	}
}

/* The direction of the one-byte opcodes that one_byte_classes names. */
static void classify_one_byte_form(struct insn *insn)
{
	switch (insn->opcode) {
	case 0x63:
		insn->source_bytes = insn->op_bytes == 2 ? 2 : 4;
		insn->form = INSN_FORM_REG_RM;
		if (insn->mode != INSN_MODE_64) {
			insn->class = INSN_OTHER; /* ARPL */
		}
		break;
	case 0x84:
	case 0x85:
		set(insn, INSN_ALU, INSN_TEST, INSN_FORM_RM_REG);
		break;
	case 0x8a:
	case 0x8b:
	case 0xa0:
	case 0xa1:
		insn->form = INSN_FORM_REG_RM;
		break;
	default:
		insn->form = INSN_FORM_RM_REG;
		break;
	}
}

/* A port is never eight bytes wide. */
static void narrow_port(struct insn *insn)
{
	bool port = insn->class == INSN_IN || insn->class == INSN_OUT || insn->class == INSN_INS ||
	            insn->class == INSN_OUTS;

	if (port && insn->op_bytes == 8) {
		insn->op_bytes = 4;
	}
	if (port) {
		insn->immediate &= 0xff;
	}
}

static void classify_one_byte(struct insn *insn)
{
	if (insn->opcode < 0x40) {
		classify_alu_row(insn);
		return;
	}
	if (insn->opcode == 0x90) {
		bool pause = (insn->prefixes & INSN_PREFIX_REP) != 0;

		insn->class = pause && (insn->rex & INSN_REX_B) == 0 ? INSN_PAUSE : INSN_OTHER;
		return;
	}
	insn->class = (enum insn_class)one_byte_classes[insn->opcode];
	if (insn->class == INSN_OTHER) {
		classify_one_byte_group(insn);
		return;
	}
	classify_one_byte_form(insn);
	narrow_port(insn);
}

static void classify_bit(struct insn *insn)
{
	if (insn->opcode == 0xba) {
		if (group_of(insn) < 4) {
			set(insn, INSN_OTHER, INSN_ADD, INSN_FORM_NONE);
			return;
		}
		set(insn, INSN_BIT, (enum insn_alu)(INSN_BT + (group_of(insn) & 3)), INSN_FORM_RM_IMM);
		return;
	}
	set(insn, INSN_BIT, (enum insn_alu)(INSN_BT + (insn->opcode >> 3 & 3)), INSN_FORM_RM_REG);
}

/* 0F C7: VMPTRLD and its kind in memory; RDRAND and RDSEED in registers are not ours. */
static void classify_group9(struct insn *insn)
{
	if (insn->has_memory && group_of(insn) >= 6) {
		insn->class = INSN_VMX;
	}
}

static void classify_group7(struct insn *insn)
{
	uint8_t class =
	        insn->has_memory ? group7_memory[group_of(insn)] : group7_registers[insn->modrm & 0x3f];

	insn->class = (enum insn_class) class;
}

/* MOV to and from control registers: eight bytes in 64-bit code whatever the prefixes say. */
static void classify_control_register(struct insn *insn)
{
	bool control = insn->class == INSN_MOV_FROM_CR || insn->class == INSN_MOV_TO_CR;

	insn->op_bytes = insn->mode == INSN_MODE_64 ? 8 : 4;
	/* LOCK MOV CR0 is AMD's way to CR8 outside 64-bit code. */
	if (control && (insn->prefixes & INSN_PREFIX_LOCK) != 0 && insn->reg == 0) {
		insn->reg = 8;
	}
}

static void classify_two_byte(struct insn *insn)
{
	insn->class = (enum insn_class)two_byte_classes[insn->opcode];
	switch (insn->opcode) {
	case 0x00:
		insn->class = (enum insn_class)group6[group_of(insn)];
		break;
	case 0x01:
		classify_group7(insn);
		break;
	case 0x20:
	case 0x21:
	case 0x22:
	case 0x23:
		classify_control_register(insn);
		break;
	case 0x78:
	case 0x79:
		if ((insn->prefixes & (INSN_PREFIX_OPSIZE | INSN_PREFIX_REPNE)) == 0) {
			insn->class = INSN_VMX; /* VMREAD, VMWRITE; with a prefix, SSE4A */
		}
		break;
	case 0xc7:
		classify_group9(insn);
		break;
	default:
		break;
	}
}

/* Forms and widths of the 0F opcodes that act on memory. */
static void classify_two_byte_memory(struct insn *insn)
{
	switch (insn->class) {
	case INSN_BIT:
		classify_bit(insn);
		break;
	case INSN_MOVZX:
	case INSN_MOVSX:
		insn->source_bytes = (insn->opcode & 1) != 0 ? 2 : 1;
		insn->form = INSN_FORM_REG_RM;
		break;
	case INSN_MOV: /* MOVNTI */
	case INSN_XADD:
	case INSN_CMPXCHG:
		insn->form = INSN_FORM_RM_REG;
		break;
	default:
		break;
	}
}

static void classify_three_byte(struct insn *insn)
{
	if (insn->map != 2 || (insn->prefixes & INSN_PREFIX_OPSIZE) == 0) {
		return;
	}
	if (insn->opcode == 0x80 || insn->opcode == 0x81) {
		insn->class = INSN_VMX; /* INVEPT, INVVPID */
	} else if (insn->opcode == 0x82) {
		insn->class = INSN_INVPCID;
	}
}

void insn_classify(struct insn *insn)
{
	set(insn, INSN_OTHER, INSN_ADD, INSN_FORM_NONE);
	insn->source_bytes = insn->op_bytes;
	if (insn->map == 0) {
		classify_one_byte(insn);
	} else if (insn->map == 1) {
		classify_two_byte(insn);
		classify_two_byte_memory(insn);
	} else {
		classify_three_byte(insn);
	}
}
