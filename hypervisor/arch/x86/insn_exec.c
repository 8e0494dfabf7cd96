/*
 * insn_exec.c - executes one decoded instruction whose operand is in memory, by callbacks: an
 * access to an emulated device. AMD64 APM vol. 3, chapter 3, instruction by instruction.
 *
 * Each function probes what it will write, reads, computes, writes, and only then changes
 * registers and flags; so a refusal leaves the guest as it was before the instruction.
 */
#include "hypervisor/arch/x86/insn_alu.h"

/* AH, CH, DH and BH are numbers 4 to 7 of byte operands, unless there is a REX. */
static bool is_high_byte(const struct insn *insn, uint8_t reg, uint8_t bytes)
{
	return bytes == 1 && insn->rex == 0 && reg >= 4 && reg < 8;
}

uint64_t insn_get_reg(const struct insn *insn, const struct cpu_regs *regs, uint8_t reg, uint8_t bytes)
{
	if (is_high_byte(insn, reg, bytes)) {
		return regs->gpr[reg - 4] >> 8 & 0xff;
	}
	return insn_truncate(regs->gpr[reg & 15], bytes);
}

void insn_set_reg(const struct insn *insn, struct cpu_regs *regs, uint8_t reg, uint8_t bytes, uint64_t value)
{
	uint64_t *target = &regs->gpr[reg & 15];
	uint64_t keep = ~insn_truncate(~UINT64_C(0), bytes);

	if (is_high_byte(insn, reg, bytes)) {
		target = &regs->gpr[reg - 4];
		*target = (*target & ~UINT64_C(0xff00)) | (value & 0xff) << 8;
		return;
	}
	if (bytes == 4) {
		keep = 0;
	}
	*target = (*target & keep) | insn_truncate(value, bytes);
}

void insn_advance(const struct insn *insn, struct cpu_regs *regs)
{
	regs->rip += insn->length;
	if (insn->mode != INSN_MODE_64) {
		regs->rip = insn_truncate(regs->rip, 4);
	}
	regs->rflags &= ~(uint64_t)RFLAGS_RF;
}

static bool probe(const struct insn_machine *m, uint64_t linear, uint8_t bytes, bool write)
{
	return m->probe == NULL || m->probe(m->ctx, linear, bytes, write);
}

/* Reads the memory operand, after a probe that it can be written if @write is set. */
static bool load(const struct insn_machine *m, uint64_t linear, uint8_t bytes, bool write, uint64_t *value)
{
	if (write && !probe(m, linear, bytes, true)) {
		return false;
	}
	if (!m->read(m->ctx, linear, bytes, value)) {
		return false;
	}
	*value = insn_truncate(*value, bytes);
	return true;
}

static uint64_t source_of(const struct insn *insn, const struct insn_machine *m)
{
	if (insn->form == INSN_FORM_RM_REG || insn->form == INSN_FORM_REG_RM) {
		return insn_get_reg(insn, m->regs, insn->reg, insn->op_bytes);
	}
	return insn_truncate(insn->immediate, insn->op_bytes);
}

static bool exec_mov(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	uint64_t value;

	if (insn->form != INSN_FORM_REG_RM) {
		return m->write(m->ctx, linear, insn->op_bytes, source_of(insn, m));
	}
	if (!load(m, linear, insn->op_bytes, false, &value)) {
		return false;
	}
	insn_set_reg(insn, m->regs, insn->reg, insn->op_bytes, value);
	return true;
}

/* MOVZX, MOVSX, MOVSXD. */
static bool exec_mov_extend(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	uint64_t value;

	if (!load(m, linear, insn->source_bytes, false, &value)) {
		return false;
	}
	if (insn->class == INSN_MOVSX) {
		value = insn_extend_sign(value, insn->source_bytes);
	}
	insn_set_reg(insn, m->regs, insn->reg, insn->op_bytes, value);
	return true;
}

/* The ALU operations with a register as destination: op reg, r/m. */
static bool exec_alu_to_reg(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	uint64_t memory;
	uint64_t result;

	if (!load(m, linear, insn->op_bytes, false, &memory)) {
		return false;
	}
	result = insn_alu_run(insn->alu, source_of(insn, m), memory, insn->op_bytes, &m->regs->rflags);
	if (insn_alu_stores(insn->alu)) {
		insn_set_reg(insn, m->regs, insn->reg, insn->op_bytes, result);
	}
	return true;
}

/* Those with memory as destination, of one or two operands. */
static bool exec_alu_to_memory(const struct insn *insn, const struct insn_machine *m, uint64_t linear,
                               uint64_t source)
{
	bool stores = insn_alu_stores(insn->alu);
	uint64_t rflags = m->regs->rflags;
	uint64_t value;

	if (!load(m, linear, insn->op_bytes, stores, &value)) {
		return false;
	}
	value = insn_alu_run(insn->alu, value, source, insn->op_bytes, &rflags);
	if (stores && !m->write(m->ctx, linear, insn->op_bytes, value)) {
		return false;
	}
	m->regs->rflags = rflags;
	return true;
}

static bool exec_alu(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	if (insn->form == INSN_FORM_REG_RM) {
		return exec_alu_to_reg(insn, m, linear);
	}
	return exec_alu_to_memory(insn, m, linear, source_of(insn, m));
}

/*
 * BT and its like. A bit number in a register is a signed offset from the operand's address,
 * counted in operands; one in an immediate stays inside the operand.
 */
static bool exec_bit(const struct insn *insn, const struct insn_machine *m)
{
	uint64_t number = source_of(insn, m);
	struct insn moved = *insn;

	if (insn->form == INSN_FORM_RM_REG) {
		int64_t bits = (int64_t)insn_extend_sign(number, insn->op_bytes);
		int64_t bytes = (bits - (int64_t)(number & (insn->op_bytes * 8u - 1))) / 8;

		moved.displacement = (int64_t)((uint64_t)moved.displacement + (uint64_t)bytes);
	}
	return exec_alu_to_memory(insn, m, insn_effective_address(&moved, m->regs, m->segment_base), number);
}

static bool exec_xchg(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	uint64_t value;

	if (!load(m, linear, insn->op_bytes, true, &value) ||
	    !m->write(m->ctx, linear, insn->op_bytes, source_of(insn, m))) {
		return false;
	}
	insn_set_reg(insn, m->regs, insn->reg, insn->op_bytes, value);
	return true;
}

static bool exec_xadd(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	uint64_t rflags = m->regs->rflags;
	uint64_t value;
	uint64_t sum;

	if (!load(m, linear, insn->op_bytes, true, &value)) {
		return false;
	}
	sum = insn_alu_run(INSN_ADD, value, source_of(insn, m), insn->op_bytes, &rflags);
	if (!m->write(m->ctx, linear, insn->op_bytes, sum)) {
		return false;
	}
	m->regs->rflags = rflags;
	insn_set_reg(insn, m->regs, insn->reg, insn->op_bytes, value);
	return true;
}

/* The memory operand is written in either case, with its old value if the comparison failed. */
static bool exec_cmpxchg(const struct insn *insn, const struct insn_machine *m, uint64_t linear)
{
	uint64_t expected = insn_get_reg(insn, m->regs, REG_RAX, insn->op_bytes);
	uint64_t rflags = m->regs->rflags;
	uint64_t value;
	bool equal;

	if (!load(m, linear, insn->op_bytes, true, &value)) {
		return false;
	}
	(void)insn_alu_run(INSN_CMP, expected, value, insn->op_bytes, &rflags);
	equal = expected == value;
	if (!m->write(m->ctx, linear, insn->op_bytes, equal ? source_of(insn, m) : value)) {
		return false;
	}
	m->regs->rflags = rflags;
	if (!equal) {
		insn_set_reg(insn, m->regs, REG_RAX, insn->op_bytes, value);
	}
	return true;
}

static bool exec_one(const struct insn *insn, const struct insn_machine *m)
{
	uint64_t linear = insn_effective_address(insn, m->regs, m->segment_base);

	switch (insn->class) {
	case INSN_MOV:
		return exec_mov(insn, m, linear);
	case INSN_MOVZX:
	case INSN_MOVSX:
		return exec_mov_extend(insn, m, linear);
	case INSN_ALU:
		return exec_alu(insn, m, linear);
	case INSN_UNARY:
		return exec_alu_to_memory(insn, m, linear, 0);
	case INSN_BIT:
		return exec_bit(insn, m);
	case INSN_XCHG:
		return exec_xchg(insn, m, linear);
	case INSN_XADD:
		return exec_xadd(insn, m, linear);
	default:
		return exec_cmpxchg(insn, m, linear);
	}
}

/* One iteration of a string instruction: from and to are linear. */
typedef bool string_step(const struct insn *insn, const struct insn_machine *m, uint64_t from, uint64_t to);

static bool step_movs(const struct insn *insn, const struct insn_machine *m, uint64_t from, uint64_t to)
{
	uint64_t value;

	return probe(m, to, insn->op_bytes, true) && m->read(m->ctx, from, insn->op_bytes, &value) &&
	       m->write(m->ctx, to, insn->op_bytes, insn_truncate(value, insn->op_bytes));
}

static bool step_stos(const struct insn *insn, const struct insn_machine *m, uint64_t from, uint64_t to)
{
	(void)from;
	return m->write(m->ctx, to, insn->op_bytes, insn_get_reg(insn, m->regs, REG_RAX, insn->op_bytes));
}

static bool step_lods(const struct insn *insn, const struct insn_machine *m, uint64_t from, uint64_t to)
{
	uint64_t value;

	(void)to;
	if (!m->read(m->ctx, from, insn->op_bytes, &value)) {
		return false;
	}
	insn_set_reg(insn, m->regs, REG_RAX, insn->op_bytes, value);
	return true;
}

/* The port is read last but one: its value would be lost if the write then failed. */
static bool step_ins(const struct insn *insn, const struct insn_machine *m, uint64_t from, uint64_t to)
{
	uint32_t value = 0;

	(void)from;
	return probe(m, to, insn->op_bytes, true) &&
	       m->port_in(m->ctx, (uint16_t)m->regs->gpr[REG_RDX], insn->op_bytes, &value) &&
	       m->write(m->ctx, to, insn->op_bytes, insn_truncate(value, insn->op_bytes));
}

static bool step_outs(const struct insn *insn, const struct insn_machine *m, uint64_t from, uint64_t to)
{
	uint64_t value = 0;

	(void)to;
	return m->read(m->ctx, from, insn->op_bytes, &value) &&
	       m->port_out(m->ctx, (uint16_t)m->regs->gpr[REG_RDX], insn->op_bytes,
	                   (uint32_t)insn_truncate(value, insn->op_bytes));
}

/* The linear address that @reg points to in @segment, by the instruction's address size. */
static uint64_t string_address(const struct insn *insn, const struct insn_machine *m, uint8_t reg,
                               uint8_t segment)
{
	struct insn at = *insn;

	at.base = reg;
	at.segment = segment;
	return insn_effective_address(&at, m->regs, m->segment_base);
}

static void string_move(const struct insn *insn, struct cpu_regs *regs, uint8_t reg)
{
	uint64_t by = insn->op_bytes;

	if ((regs->rflags & RFLAGS_DF) != 0) {
		by = 0 - by;
	}
	insn_set_reg(insn, regs, reg, insn->address_bytes, regs->gpr[reg] + by);
}

static bool string_iterate(const struct insn *insn, const struct insn_machine *m, string_step *step)
{
	bool reads = insn->class != INSN_STOS && insn->class != INSN_INS;
	bool writes = insn->class != INSN_LODS && insn->class != INSN_OUTS;
	uint64_t from = string_address(insn, m, REG_RSI, insn->segment);
	uint64_t to = string_address(insn, m, REG_RDI, INSN_SEG_ES);

	if (!step(insn, m, from, to)) {
		return false;
	}
	if (reads) {
		string_move(insn, m->regs, REG_RSI);
	}
	if (writes) {
		string_move(insn, m->regs, REG_RDI);
	}
	return true;
}

static enum insn_exec string_run(const struct insn *insn, const struct insn_machine *m, string_step *step)
{
	bool repeats = (insn->prefixes & (INSN_PREFIX_REP | INSN_PREFIX_REPNE)) != 0;
	uint64_t left = repeats ? insn_truncate(m->regs->gpr[REG_RCX], insn->address_bytes) : 1;
	uint32_t budget = m->iteration_max != 0 ? m->iteration_max : 1;

	for (; left != 0 && budget != 0; budget--) {
		if (!string_iterate(insn, m, step)) {
			return INSN_EXEC_FAULT;
		}
		left--;
		if (repeats) {
			insn_set_reg(insn, m->regs, REG_RCX, insn->address_bytes, left);
		}
	}
	if (left != 0) {
		return INSN_EXEC_AGAIN;
	}
	insn_advance(insn, m->regs);
	return INSN_EXEC_DONE;
}

enum insn_exec insn_exec_mmio(const struct insn *insn, const struct insn_machine *m)
{
	switch (insn->class) {
	case INSN_MOVS:
		return string_run(insn, m, step_movs);
	case INSN_STOS:
		return string_run(insn, m, step_stos);
	case INSN_LODS:
		return string_run(insn, m, step_lods);
	default:
		break;
	}
	if (insn->class < INSN_MOV || insn->class >= INSN_CLASS_COUNT || !insn->has_memory) {
		return INSN_EXEC_UNSUPPORTED;
	}
	if (!exec_one(insn, m)) {
		return INSN_EXEC_FAULT;
	}
	insn_advance(insn, m->regs);
	return INSN_EXEC_DONE;
}

enum insn_exec insn_exec_string_io(const struct insn *insn, const struct insn_machine *m)
{
	switch (insn->class) {
	case INSN_INS:
		return string_run(insn, m, step_ins);
	case INSN_OUTS:
		return string_run(insn, m, step_outs);
	default:
		return INSN_EXEC_UNSUPPORTED;
	}
}
