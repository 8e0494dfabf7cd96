/*
 * insn.c - the decoder: prefixes, opcode, ModRM and SIB, displacement, immediate; and the address
 * that they make. AMD64 APM vol. 3, chapter 1.
 *
 * Bytes come through a cursor that remembers the first thing that went wrong, so that the steps
 * need no error paths of their own.
 */
#include "hypervisor/arch/x86/insn.h"

#include "base/mem.h"
#include "hypervisor/arch/x86/insn_alu.h"
#include "hypervisor/arch/x86/insn_table.h"

struct cursor {
	const uint8_t *bytes;
	size_t count;
	uint8_t at;
	enum insn_status status;
};

static uint8_t take_byte(struct cursor *c)
{
	if (c->status != INSN_OK) {
		return 0;
	}
	if (c->at >= INSN_BYTES_MAX) {
		c->status = INSN_TOO_LONG;
		return 0;
	}
	if (c->at >= c->count) {
		c->status = INSN_SHORT;
		return 0;
	}
	return c->bytes[c->at++];
}

/* The next @bytes, least significant first, without sign. */
static uint64_t take(struct cursor *c, uint8_t bytes)
{
	uint64_t value = 0;

	for (uint8_t i = 0; i < bytes; i++) {
		value |= (uint64_t)take_byte(c) << (i * 8u);
	}
	return value;
}

static int64_t take_signed(struct cursor *c, uint8_t bytes)
{
	return (int64_t)insn_extend_sign(take(c, bytes), bytes);
}

/* In 64-bit code the four flat segments' prefixes are null prefixes. */
static void note_segment(struct insn *insn, enum insn_segment segment)
{
	if (insn->mode == INSN_MODE_64 && segment < INSN_SEG_FS) {
		return;
	}
	insn->prefixes |= INSN_PREFIX_SEGMENT;
	insn->segment = (uint8_t)segment;
}

static void note_repeat(struct insn *insn, uint8_t which)
{
	insn->prefixes &= (uint8_t) ~(INSN_PREFIX_REP | INSN_PREFIX_REPNE);
	insn->prefixes |= which;
}

/* Returns false if @byte is not a legacy prefix. */
static bool note_prefix(struct insn *insn, uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		note_segment(insn, (enum insn_segment)(byte >> 3 & 3));
		return true;
	case 0x64:
	case 0x65:
		note_segment(insn, (enum insn_segment)(byte & 7));
		return true;
	case 0x66:
		insn->prefixes |= INSN_PREFIX_OPSIZE;
		return true;
	case 0x67:
		insn->prefixes |= INSN_PREFIX_ADSIZE;
		return true;
	case 0xf0:
		insn->prefixes |= INSN_PREFIX_LOCK;
		return true;
	case 0xf2:
		note_repeat(insn, INSN_PREFIX_REPNE);
		return true;
	case 0xf3:
		note_repeat(insn, INSN_PREFIX_REP);
		return true;
	default:
		return false;
	}
}

/*
 * Takes all prefixes. Returns the first byte that is none. A REX counts only right before the
 * opcode.
 */
static uint8_t decode_prefixes(struct cursor *c, struct insn *insn)
{
	uint8_t byte = take_byte(c);

	while (c->status == INSN_OK) {
		if (note_prefix(insn, byte)) {
			insn->rex = 0;
		} else if (insn->mode == INSN_MODE_64 && (byte & 0xf0) == 0x40) {
			insn->rex = byte;
		} else {
			break;
		}
		byte = take_byte(c);
	}
	return byte;
}

static void decode_opcode(struct cursor *c, struct insn *insn, uint8_t byte)
{
	insn->map = 0;
	if (byte == 0x0f) {
		insn->map = 1;
		byte = take_byte(c);
		if (byte == 0x38 || byte == 0x3a) {
			insn->map = byte == 0x38 ? 2 : 3;
			byte = take_byte(c);
		}
	}
	insn->opcode = byte;
}

static void decode_sizes(struct insn *insn, uint16_t flags)
{
	bool opsize = (insn->prefixes & INSN_PREFIX_OPSIZE) != 0;
	bool adsize = (insn->prefixes & INSN_PREFIX_ADSIZE) != 0;

	switch (insn->mode) {
	case INSN_MODE_16:
		insn->op_bytes = opsize ? 4 : 2;
		insn->address_bytes = adsize ? 4 : 2;
		break;
	case INSN_MODE_32:
		insn->op_bytes = opsize ? 2 : 4;
		insn->address_bytes = adsize ? 2 : 4;
		break;
	default:
		insn->op_bytes = opsize ? 2 : 4;
		insn->address_bytes = adsize ? 4 : 8;
		break;
	}
	if ((insn->rex & INSN_REX_W) != 0) {
		insn->op_bytes = 8;
	}
	if ((flags & OP_BYTE) != 0) {
		insn->op_bytes = 1;
	}
}

static void default_segment(struct insn *insn, enum insn_segment segment)
{
	if ((insn->prefixes & INSN_PREFIX_SEGMENT) == 0) {
		insn->segment = (uint8_t)segment;
	}
}

static void decode_memory_16(struct cursor *c, struct insn *insn)
{
	static const uint8_t bases[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP,
	                                 REG_RSI, REG_RDI, REG_RBP, REG_RBX};
	static const uint8_t indexes[4] = {REG_RSI, REG_RDI, REG_RSI, REG_RDI};
	uint8_t mod = insn->modrm >> 6;
	uint8_t rm = insn->modrm & 7;

	insn->base = bases[rm];
	if (rm < 4) {
		insn->index = indexes[rm];
	}
	if (mod == 0 && rm == 6) {
		insn->base = INSN_NO_REG;
		insn->displacement = take_signed(c, 2);
	} else if (mod != 0) {
		insn->displacement = take_signed(c, mod == 1 ? 1 : 2);
	}
	default_segment(insn, insn->base == REG_RBP ? INSN_SEG_SS : INSN_SEG_DS);
}

/* Returns whether the base is "none, and a 4-byte displacement". */
static bool decode_sib(struct cursor *c, struct insn *insn)
{
	uint8_t sib = take_byte(c);
	uint8_t index = sib >> 3 & 7;

	if ((insn->rex & INSN_REX_X) != 0) {
		index |= 8;
	}
	if (index != REG_RSP) {
		insn->index = index;
		insn->scale = (uint8_t)(1u << (sib >> 6));
	}
	insn->base = sib & 7;
	return insn->modrm >> 6 == 0 && insn->base == REG_RBP;
}

static void decode_memory_32_64(struct cursor *c, struct insn *insn)
{
	uint8_t mod = insn->modrm >> 6;
	bool no_base;

	insn->base = insn->modrm & 7;
	if (insn->base == REG_RSP) {
		no_base = decode_sib(c, insn);
	} else {
		no_base = mod == 0 && insn->base == REG_RBP;
		insn->rip_relative = no_base && insn->mode == INSN_MODE_64;
	}
	if (no_base) {
		insn->base = INSN_NO_REG;
		insn->displacement = take_signed(c, 4);
	} else if ((insn->rex & INSN_REX_B) != 0) {
		insn->base |= 8;
	}
	if (mod != 0) {
		insn->displacement = take_signed(c, mod == 1 ? 1 : 4);
	}
	default_segment(insn, insn->base == REG_RSP || insn->base == REG_RBP ? INSN_SEG_SS : INSN_SEG_DS);
}

static void decode_modrm(struct cursor *c, struct insn *insn, uint16_t flags)
{
	insn->has_modrm = true;
	insn->modrm = take_byte(c);
	insn->reg = insn->modrm >> 3 & 7;
	insn->rm = insn->modrm & 7;
	if ((insn->rex & INSN_REX_R) != 0) {
		insn->reg |= 8;
	}
	insn->has_memory = insn->modrm >> 6 != 3 && (flags & OP_NOMEM) == 0;
	if (!insn->has_memory) {
		if ((insn->rex & INSN_REX_B) != 0) {
			insn->rm |= 8;
		}
		return;
	}
	if (insn->address_bytes == 2) {
		decode_memory_16(c, insn);
	} else {
		decode_memory_32_64(c, insn);
	}
}

/* MOV between the accumulator and an absolute address: as if ModRM had named both. */
static void decode_moffs(struct cursor *c, struct insn *insn)
{
	insn->has_memory = true;
	insn->reg = REG_RAX;
	insn->displacement = (int64_t)take(c, insn->address_bytes);
	default_segment(insn, INSN_SEG_DS);
}

/* The width of the immediate that @flags announce, without ENTER's and EXTRQ's second one. */
static uint8_t immediate_bytes(const struct insn *insn, uint16_t flags)
{
	uint8_t z_bytes = insn->op_bytes == 2 ? 2 : 4;

	if ((flags & OP_GROUP3) != 0) {
		if ((insn->modrm >> 3 & 7) > 1) {
			return 0;
		}
		return insn->op_bytes == 1 ? 1 : z_bytes;
	}
	if ((flags & OP_IMM16) != 0) {
		return 2;
	}
	if ((flags & OP_IMM8) != 0) {
		return 1;
	}
	if ((flags & OP_IMMV) != 0) {
		return insn->op_bytes;
	}
	/*
	 * A near branch with prefix 66 has two bytes in 64-bit code: AMD's rule, Intel ignores 66.
	 */
	return (flags & (OP_IMMZ | OP_FAR)) != 0 ? z_bytes : 0;
}

static void decode_immediate(struct cursor *c, struct insn *insn, uint16_t flags)
{
	uint8_t extrq = INSN_PREFIX_OPSIZE | INSN_PREFIX_REPNE;

	insn->immediate_bytes = immediate_bytes(insn, flags);
	if (insn->immediate_bytes != 0) {
		insn->immediate = (uint64_t)take_signed(c, insn->immediate_bytes);
	}
	if ((flags & OP_FAR) != 0) {
		(void)take(c, 2);
	}
	if ((flags & (OP_IMM16 | OP_IMM8)) == (OP_IMM16 | OP_IMM8)) {
		(void)take_byte(c);
	}
	if ((flags & OP_EXTRQ) != 0 && (insn->prefixes & extrq) != 0) {
		(void)take(c, 2);
	}
}

/* Whether the bytes so far are no instruction of the maps that we know. */
static bool is_unknown(const struct insn *insn, uint16_t flags)
{
	bool long_mode = insn->mode == INSN_MODE_64;

	if ((flags & OP_BAD) != 0 || (long_mode && (flags & (OP_NOT64 | OP_VEX)) != 0)) {
		return true;
	}
	if ((flags & OP_VEX) != 0 && insn->has_modrm && !insn->has_memory) {
		return true;
	}
	return (flags & OP_XOP) != 0 && (insn->modrm >> 3 & 7) != 0;
}

static void decode_operands(struct cursor *c, struct insn *insn, uint16_t flags)
{
	decode_sizes(insn, flags);
	if ((flags & OP_MODRM) != 0) {
		decode_modrm(c, insn, flags);
	}
	if ((flags & OP_MOFFS) != 0) {
		decode_moffs(c, insn);
	}
	if (c->status == INSN_OK && is_unknown(insn, flags)) {
		c->status = INSN_UNKNOWN;
	}
	decode_immediate(c, insn, flags);
}

enum insn_status insn_decode(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *insn)
{
	struct cursor c = {.bytes = bytes, .count = count, .status = INSN_OK};
	uint16_t flags;
	uint8_t byte;

	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->segment = INSN_SEG_DS;
	insn->base = INSN_NO_REG;
	insn->index = INSN_NO_REG;
	insn->scale = 1;
	byte = decode_prefixes(&c, insn);
	decode_opcode(&c, insn, byte);
	flags = insn_table_flags(insn->map, insn->opcode);
	if (c.status == INSN_OK && is_unknown(insn, flags & (OP_BAD | OP_NOT64 | OP_VEX))) {
		c.status = INSN_UNKNOWN;
	}
	if (c.status == INSN_OK) {
		decode_operands(&c, insn, flags);
	}
	if (c.status != INSN_OK) {
		return c.status;
	}
	insn->length = c.at;
	insn_classify(insn);
	return INSN_OK;
}

enum insn_status insn_length(const uint8_t *bytes, size_t count, enum insn_mode mode,
                             enum insn_class expected, struct insn *insn)
{
	enum insn_status status = insn_decode(bytes, count, mode, insn);
	bool either = expected == INSN_RDTSC && insn->class == INSN_RDTSCP;

	if (status == INSN_UNKNOWN) {
		return INSN_MISMATCH;
	}
	if (status == INSN_OK && insn->class != expected && !either) {
		return INSN_MISMATCH;
	}
	return status;
}

uint64_t insn_effective_address(const struct insn *insn, const struct cpu_regs *regs,
                                const uint64_t segment_base[INSN_SEG_COUNT])
{
	uint64_t address = (uint64_t)insn->displacement;

	if (insn->rip_relative) {
		address += regs->rip + insn->length;
	}
	if (insn->base != INSN_NO_REG) {
		address += regs->gpr[insn->base & 15];
	}
	if (insn->index != INSN_NO_REG) {
		address += regs->gpr[insn->index & 15] * insn->scale;
	}
	address = insn_truncate(address, insn->address_bytes);
	if (insn->mode != INSN_MODE_64) {
		return insn_truncate(address + segment_base[insn->segment], 4);
	}
	return insn->segment >= INSN_SEG_FS ? address + segment_base[insn->segment] : address;
}
