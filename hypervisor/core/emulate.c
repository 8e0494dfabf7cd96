/*
 * emulate.c - instructions that the CPU left to us: their length, their port or their memory access.
 *
 * The bytes are fetched through the guest's own tables and checked to be what the exit said: another vCPU may
 * have changed them since. Then the guest simply runs on, and the new instruction exits, or not, by itself.
 */
#include "base/bits.h"
#include "hypervisor/arch/x86/insn.h"
#include "hypervisor/arch/x86/walk.h"
#include "hypervisor/core/machine.h"
#include "vm/page.h"

#define ITERATIONS_AT_ONCE 64u

/* One instruction being executed: whose, and the fault that its accesses met. */
struct emulation {
	struct vcpu *vcpu;
	bool faulted;
	uint8_t vector;
	uint32_t error;
	uint64_t address;
};

static enum insn_mode code_mode(struct vcpu *vcpu)
{
	const struct hvm_paging *p = vcpu_paging(vcpu);

	if ((p->efer & BIT(10)) != 0 && p->cs_long) {
		return INSN_MODE_64;
	}
	return p->cs_default32 ? INSN_MODE_32 : INSN_MODE_16;
}

static uint64_t code_address(struct vcpu *vcpu)
{
	const struct hvm_paging *p = vcpu_paging(vcpu);
	uint64_t rip = vcpu->hvm.regs.rip;

	return code_mode(vcpu) == INSN_MODE_64 ? rip : (uint32_t)(p->cs_base + rip);
}

/* As many of the 15 bytes at RIP as can be read. */
static size_t fetch(struct vcpu *vcpu, uint8_t *bytes)
{
	uint64_t at = code_address(vcpu);
	size_t first = PAGE_BYTES - (at & PAGE_MASK);
	uint32_t access = WALK_FETCH | (vcpu_paging(vcpu)->cpl == 3 ? WALK_USER : 0);
	uint32_t error;
	size_t count = 0;
	gpa_t from;

	first = first < INSN_BYTES_MAX ? first : INSN_BYTES_MAX;
	if (core_walk(vcpu, at, access, &from, &error) == WALK_OK &&
	    vm_read(vcpu->vm, from, bytes, first) == VM_OK) {
		count = first;
	}
	if (count == first && first < INSN_BYTES_MAX &&
	    core_walk(vcpu, at + first, access, &from, &error) == WALK_OK &&
	    vm_read(vcpu->vm, from, bytes + first, INSN_BYTES_MAX - first) == VM_OK) {
		count = INSN_BYTES_MAX;
	}
	return count;
}

static void end_shadow(struct vcpu *vcpu)
{
	vcpu->hvm.shadow = false;
	vcpu->shadow_rip = UINT64_MAX;
}

bool emulate_step_over(struct vcpu *vcpu, const struct hvm_exit *exit, int expected)
{
	uint8_t bytes[INSN_BYTES_MAX];
	struct insn insn;

	if (exit->next_rip != 0) {
		vcpu->hvm.regs.rip = exit->next_rip;
		end_shadow(vcpu);
		return true;
	}
	if (insn_length(bytes, fetch(vcpu, bytes), code_mode(vcpu), (enum insn_class)expected, &insn) !=
	    INSN_OK) {
		return false;
	}
	insn_advance(&insn, &vcpu->hvm.regs);
	end_shadow(vcpu);
	return true;
}

bool emulate_move_to_cr8(struct vcpu *vcpu, const struct hvm_exit *exit, uint8_t *reg)
{
	uint8_t bytes[INSN_BYTES_MAX];
	struct insn insn;

	(void)exit;
	if (insn_length(bytes, fetch(vcpu, bytes), code_mode(vcpu), INSN_MOV_TO_CR, &insn) != INSN_OK ||
	    insn.reg != 8) {
		return false;
	}
	*reg = insn.rm;
	insn_advance(&insn, &vcpu->hvm.regs);
	end_shadow(vcpu);
	return true;
}

/* ---- ports ---- */

static void port_in_to_rax(struct vcpu *vcpu, uint8_t bytes, uint32_t value)
{
	uint64_t *rax = &vcpu->hvm.regs.gpr[REG_RAX];

	if (bytes == 4) {
		*rax = value;
	} else {
		uint64_t mask = (1ull << bytes * 8) - 1;

		*rax = (*rax & ~mask) | (value & mask);
	}
}

void emulate_port(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	struct board *board = &vcpu->vm->board;
	uint32_t value = UINT32_MAX;

	if (!emulate_step_over(vcpu, exit, exit->io.in ? INSN_IN : INSN_OUT)) {
		return;
	}
	if (exit->io.in) {
		(void)board_port_read(board, vcpu->index, exit->io.port, exit->io.bytes, &value);
		port_in_to_rax(vcpu, exit->io.bytes, value);
	} else {
		(void)board_port_write(board, vcpu->index, exit->io.port, exit->io.bytes,
		                       (uint32_t)vcpu->hvm.regs.gpr[REG_RAX]);
	}
}

/* ---- memory ---- */

static void note_fault(struct emulation *e, uint8_t vector, uint32_t error, uint64_t address)
{
	e->faulted = true;
	e->vector = vector;
	e->error = error;
	e->address = address;
}

static bool translate(struct emulation *e, uint64_t linear, bool write, gpa_t *at)
{
	uint32_t access = (write ? WALK_WRITE : 0) | (vcpu_paging(e->vcpu)->cpl == 3 ? WALK_USER : 0);
	uint32_t error = 0;

	switch (core_walk(e->vcpu, linear, access, at, &error)) {
	case WALK_OK:
		return true;
	case WALK_FAULT:
		note_fault(e, 14, error, linear);
		return false;
	case WALK_NONCANONICAL:
		note_fault(e, 13, 0, 0);
		return false;
	default:
		return false; /* enter again: the CPU's own walk decides */
	}
}

static bool read_here(struct vcpu *vcpu, gpa_t at, uint8_t bytes, uint64_t *value)
{
	*value = 0;
	if (board_owns_mmio(at.v)) {
		return board_mmio_read(&vcpu->vm->board, vcpu->index, at.v, bytes, value);
	}
	if (vm_read(vcpu->vm, at, value, bytes) != VM_OK) {
		vcpu->vm->mmio_absent_count++;
		*value = UINT64_MAX; /* nothing there: the bus floats */
	}
	return true;
}

static bool write_here(struct vcpu *vcpu, gpa_t at, uint8_t bytes, uint64_t value)
{
	if (board_owns_mmio(at.v)) {
		return board_mmio_write(&vcpu->vm->board, vcpu->index, at.v, bytes, value);
	}
	if (vm_write(vcpu->vm, at, &value, bytes) != VM_OK) {
		vcpu->vm->mmio_absent_count++;
	}
	return true;
}

static bool crosses_page(uint64_t linear, uint8_t bytes)
{
	return (linear & PAGE_MASK) + bytes > PAGE_BYTES;
}

/* An access over a page's end is made byte by byte; the probe has seen both pages. */
static bool machine_read(void *ctx, uint64_t linear, uint8_t bytes, uint64_t *value)
{
	struct emulation *e = ctx;
	uint64_t byte;
	gpa_t at;

	if (!crosses_page(linear, bytes)) {
		return translate(e, linear, false, &at) && read_here(e->vcpu, at, bytes, value);
	}
	*value = 0;
	for (uint8_t i = 0; i < bytes; i++) {
		if (!translate(e, linear + i, false, &at) || !read_here(e->vcpu, at, 1, &byte)) {
			return false;
		}
		*value |= (byte & 0xff) << i * 8;
	}
	return true;
}

static bool machine_write(void *ctx, uint64_t linear, uint8_t bytes, uint64_t value)
{
	struct emulation *e = ctx;
	gpa_t at;

	if (!crosses_page(linear, bytes)) {
		return translate(e, linear, true, &at) && write_here(e->vcpu, at, bytes, value);
	}
	for (uint8_t i = 0; i < bytes; i++) {
		if (!translate(e, linear + i, true, &at) ||
		    !write_here(e->vcpu, at, 1, value >> i * 8 & 0xff)) {
			return false;
		}
	}
	return true;
}

static bool machine_probe(void *ctx, uint64_t linear, uint8_t bytes, bool write)
{
	struct emulation *e = ctx;
	gpa_t at;

	return translate(e, linear, write, &at) &&
	       (!crosses_page(linear, bytes) || translate(e, linear + bytes - 1, write, &at));
}

static bool machine_port_in(void *ctx, uint16_t port, uint8_t bytes, uint32_t *value)
{
	struct emulation *e = ctx;

	*value = UINT32_MAX;
	(void)board_port_read(&e->vcpu->vm->board, e->vcpu->index, port, bytes, value);
	return true;
}

static bool machine_port_out(void *ctx, uint16_t port, uint8_t bytes, uint32_t value)
{
	struct emulation *e = ctx;

	(void)board_port_write(&e->vcpu->vm->board, e->vcpu->index, port, bytes, value);
	return true;
}

static void segment_bases(struct vcpu *vcpu, uint64_t base[INSN_SEG_COUNT])
{
	static const enum hvm_segment_name names[INSN_SEG_COUNT] = {
	        [INSN_SEG_ES] = HVM_ES, [INSN_SEG_CS] = HVM_CS, [INSN_SEG_SS] = HVM_SS,
	        [INSN_SEG_DS] = HVM_DS, [INSN_SEG_FS] = HVM_FS, [INSN_SEG_GS] = HVM_GS,
	};
	bool flat = code_mode(vcpu) == INSN_MODE_64;
	struct hvm_state state;

	hvm->state_get(&vcpu->hvm, &state);
	for (unsigned int i = 0; i < INSN_SEG_COUNT; i++) {
		bool has_base = !flat || i == INSN_SEG_FS || i == INSN_SEG_GS;

		base[i] = has_base ? state.segments[names[i]].base : 0;
	}
}

static void raise(struct emulation *e)
{
	if (e->vector == 14) {
		struct hvm_state state;

		hvm->state_get(&e->vcpu->hvm, &state);
		state.cr2 = e->address;
		hvm->state_set(&e->vcpu->hvm, &state);
	}
	vcpu_inject_exception(e->vcpu, e->vector, true, e->error);
}

static void execute(struct vcpu *vcpu,
                    enum insn_exec (*exec)(const struct insn *, const struct insn_machine *),
                    const char *what)
{
	struct emulation e = {.vcpu = vcpu};
	uint64_t base[INSN_SEG_COUNT];
	uint8_t bytes[INSN_BYTES_MAX];
	struct insn insn;
	size_t count = fetch(vcpu, bytes);
	enum insn_status status = insn_decode(bytes, count, code_mode(vcpu), &insn);
	struct insn_machine machine = {
	        .regs = &vcpu->hvm.regs,
	        .segment_base = base,
	        .ctx = &e,
	        .probe = machine_probe,
	        .read = machine_read,
	        .write = machine_write,
	        .port_in = machine_port_in,
	        .port_out = machine_port_out,
	        .iteration_max = ITERATIONS_AT_ONCE,
	};

	if (count == 0) {
		return; /* the code has gone: its fault comes by itself */
	}
	segment_bases(vcpu, base);
	switch (status == INSN_OK ? exec(&insn, &machine) : INSN_EXEC_UNSUPPORTED) {
	case INSN_EXEC_DONE:
		end_shadow(vcpu);
		break;
	case INSN_EXEC_AGAIN:
		break;
	case INSN_EXEC_FAULT:
		if (e.faulted) {
			raise(&e);
		}
		break;
	case INSN_EXEC_UNSUPPORTED:
		vm_log(vcpu->vm, "no emulation of %s at %lx: %02x %02x %02x %02x %02x %02x", what,
		       (unsigned long)vcpu->hvm.regs.rip, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
		       bytes[5]);
		vm_kill(vcpu->vm, "an instruction that Janus cannot emulate touched a device");
		break;
	}
}

void emulate_memory(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	struct p2m_view view = p2m_find(&vcpu->vm->p2m, gpa(exit->memory.gpa));
	bool write = (exit->memory.access & HVM_MEMORY_WRITE) != 0;
	bool fetch_access = (exit->memory.access & HVM_MEMORY_FETCH) != 0;

	if (view.page != NULL && !fetch_access && (!write || view.writable)) {
		return; /* it came there meanwhile */
	}
	if (fetch_access || view.page != NULL) {
		/* Code from where there is none, or a write to a page that the guest may only read. */
		vcpu_inject_exception(vcpu, 13, true, 0);
		return;
	}
	execute(vcpu, insn_exec_mmio, "a memory access");
}

void emulate_string_io(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	(void)exit;
	execute(vcpu, insn_exec_string_io, "string port I/O");
}
