/*
 * hypercall.c - the Hyper-V hypercalls: the calling convention, and the dispatch by
 * specs/hv_hypercall.def.
 *
 * TLFS, hypercall interface. The input value is checked, then the input's place in memory, then the
 * fixed header is fetched, once; the call's own function checks what it says and acts. No call here
 * has output, and no rep call needs more than one step.
 */
#include "enlighten/hyperv/hyperv_private.h"

#define INPUT_RESERVED (HV_HYPERCALL_RSVD0_MASK | HV_HYPERCALL_RSVD1_MASK | HV_HYPERCALL_RSVD2_MASK)

/* ------------------------------------------------------------------ calls of few words */

static uint16_t notify_spin_wait(struct hyperv_call *call)
{
	vcpu_yield(call->vcpu);
	return HV_STATUS_SUCCESS;
}

static uint16_t post_message(struct hyperv_call *call)
{
	const struct hv_input_post_message *input = &call->header.post;
	uint8_t payload[HV_MESSAGE_PAYLOAD_BYTE_COUNT];

	if (input->payload_size > sizeof(payload) || input->message_type == HVMSG_NONE ||
	    (input->message_type & HVMSG_HYPERVISOR_BIT) != 0) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	if (!hyperv_call_read(call, sizeof(*input), payload, input->payload_size)) {
		return call->fast ? HV_STATUS_INVALID_HYPERCALL_INPUT : HV_STATUS_INVALID_ALIGNMENT;
	}
	return synic_port_post(call->vcpu, input->connection_id, input->message_type, payload,
	                       input->payload_size);
}

static uint16_t signal_event(struct hyperv_call *call)
{
	const struct hv_input_signal_event *input = &call->header.signal;

	if (input->flag_number >= HV_EVENT_FLAGS_COUNT) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	return synic_port_signal(call->vcpu, input->connection_id, input->flag_number);
}

static const struct hyperv_call_kind kind_unknown = {.refusal = HV_STATUS_INVALID_HYPERCALL_CODE};
static const struct hyperv_call_kind kind_denied = {.refusal = HV_STATUS_ACCESS_DENIED};
static const struct hyperv_call_kind kind_flush_space = {
        .header_bytes = sizeof(struct hv_tlb_flush),
        .run = hyperv_call_flush,
};
static const struct hyperv_call_kind kind_flush_list = {
        .header_bytes = sizeof(struct hv_tlb_flush),
        .rep_bytes = sizeof(uint64_t),
        .run = hyperv_call_flush,
};
static const struct hyperv_call_kind kind_flush_space_ex = {
        .header_bytes = sizeof(struct hv_tlb_flush_ex),
        .variable = true,
        .run = hyperv_call_flush_ex,
};
static const struct hyperv_call_kind kind_flush_list_ex = {
        .header_bytes = sizeof(struct hv_tlb_flush_ex),
        .variable = true,
        .rep_bytes = sizeof(uint64_t),
        .run = hyperv_call_flush_ex,
};
static const struct hyperv_call_kind kind_send_ipi = {
        .header_bytes = sizeof(struct hv_send_ipi),
        .run = hyperv_call_send_ipi,
};
static const struct hyperv_call_kind kind_send_ipi_ex = {
        .header_bytes = sizeof(struct hv_send_ipi_ex),
        .variable = true,
        .run = hyperv_call_send_ipi_ex,
};
static const struct hyperv_call_kind kind_spin_wait = {
        .header_bytes = sizeof(uint32_t),
        .run = notify_spin_wait,
};
static const struct hyperv_call_kind kind_post_message = {
        .header_bytes = sizeof(struct hv_input_post_message),
        .tail_bytes_max = HV_MESSAGE_PAYLOAD_BYTE_COUNT,
        .run = post_message,
};
static const struct hyperv_call_kind kind_signal_event = {
        .header_bytes = sizeof(struct hv_input_signal_event),
        .run = signal_event,
};

/* ------------------------------------------------------------------ the table */

static const struct {
	uint16_t code;
	const struct hyperv_call_kind *kind;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {name, &kind_##handler},
#include "specs/hv_hypercall.def"
#undef SPEC_ROW
};

#define SPEC_ROW(number, name, status, handler, clause) \
	_Static_assert((number) == (name), "hv_hypercall.def and abi/hyperv.h");
#include "specs/hv_hypercall.def"
#undef SPEC_ROW

enum call_row {
#define SPEC_ROW(number, name, status, handler, clause) ROW_##name,
#include "specs/hv_hypercall.def"
#undef SPEC_ROW
	CALL_ROW_COUNT
};

/* The doorbell and the other calls that guests make all the time: row plus one, by code. */
static const uint8_t row_by_code[HVCALL_SIGNAL_EVENT + 1] = {
        [HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE] = ROW_HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE + 1,
        [HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST] = ROW_HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST + 1,
        [HVCALL_SEND_IPI] = ROW_HVCALL_SEND_IPI + 1,
        [HVCALL_SIGNAL_EVENT] = ROW_HVCALL_SIGNAL_EVENT + 1,
};

static uint32_t find_row(uint16_t code)
{
	if (code < ARRAY_COUNT(row_by_code) && row_by_code[code] != 0) {
		return row_by_code[code] - 1u;
	}
	for (uint32_t row = 0; row < ARRAY_COUNT(rows); row++) {
		if (rows[row].code == code) {
			return row;
		}
	}
	return SPEC_UNKNOWN;
}

/* ------------------------------------------------------------------ registers */

struct call_registers {
	uint64_t input;
	uint64_t first; /* input GPA, or the first 8 bytes of a fast call */
	uint64_t second; /* output GPA, or the second 8 bytes */
};

static uint64_t pair(const struct cpu_regs *regs, enum cpu_reg high, enum cpu_reg low)
{
	return regs->gpr[high] << 32 | (uint32_t)regs->gpr[low];
}

static struct call_registers read_registers(const struct cpu_regs *regs, bool code64)
{
	if (code64) {
		return (struct call_registers){regs->gpr[REG_RCX], regs->gpr[REG_RDX], regs->gpr[REG_R8]};
	}
	return (struct call_registers){pair(regs, REG_RDX, REG_RAX), pair(regs, REG_RBX, REG_RCX),
	                               pair(regs, REG_RDI, REG_RSI)};
}

static void write_result(struct cpu_regs *regs, bool code64, uint16_t status, uint32_t reps_done)
{
	uint64_t result = status | (uint64_t)reps_done << HV_HYPERCALL_REP_COMP_OFFSET;

	if (code64) {
		regs->gpr[REG_RAX] = result;
	} else {
		regs->gpr[REG_RAX] = (uint32_t)result;
		regs->gpr[REG_RDX] = result >> 32;
	}
}

/* ------------------------------------------------------------------ decoding */

/*
 * Bit 31 asks for the hypervisor below this one. But a 32-bit caller's is the mark of the page for
 * both faces.
 */
static bool has_reserved_bits(const struct hyperv_call *call, uint64_t raw_input)
{
	bool may_be_marked = !call->code64 && vm_config(vcpu_vm(call->vcpu))->xen_face;

	return (raw_input & INPUT_RESERVED) != 0 ||
	       ((raw_input & HV_HYPERCALL_NESTED) != 0 && !may_be_marked);
}

static uint16_t decode_input(struct hyperv_call *call, uint64_t raw_input)
{
	bool is_rep = call->kind->rep_bytes != 0;

	call->fast = (raw_input & HV_HYPERCALL_FAST_BIT) != 0;
	call->variable_words =
	        (uint32_t)((raw_input & HV_HYPERCALL_VARHEAD_MASK) >> HV_HYPERCALL_VARHEAD_OFFSET);
	call->rep_count =
	        (uint32_t)((raw_input & HV_HYPERCALL_REP_COMP_MASK) >> HV_HYPERCALL_REP_COMP_OFFSET);
	call->rep_start =
	        (uint32_t)((raw_input & HV_HYPERCALL_REP_START_MASK) >> HV_HYPERCALL_REP_START_OFFSET);
	if (has_reserved_bits(call, raw_input) || (call->variable_words != 0 && !call->kind->variable) ||
	    is_rep != (call->rep_count != 0) || (is_rep && call->rep_start >= call->rep_count) ||
	    (!is_rep && call->rep_start != 0)) {
		call->rep_start = 0;
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	}
	return HV_STATUS_SUCCESS;
}

/* Header, variable header and elements; at most 32 + 8 * 1023 + 8 * 4095 bytes. */
static uint32_t input_bytes(const struct hyperv_call *call)
{
	return call->kind->header_bytes + call->variable_words * 8u + call->rep_count * call->kind->rep_bytes;
}

static bool fits_page(const struct hyperv_call *call, uint32_t len)
{
	return range_fits(call->input_gpa & PAGE_MASK, len, PAGE_BYTES);
}

/* One status for all of these (TLFS, common status codes): not aligned, in two pages, not in memory. */
static uint16_t fetch_header(struct hyperv_call *call)
{
	if ((call->input_gpa & 7) != 0 || !fits_page(call, input_bytes(call)) ||
	    vm_read(vcpu_vm(call->vcpu), gpa(call->input_gpa), &call->header, call->kind->header_bytes) !=
	            VM_OK) {
		return HV_STATUS_INVALID_ALIGNMENT;
	}
	return HV_STATUS_SUCCESS;
}

bool hyperv_call_read(const struct hyperv_call *call, uint32_t offset, void *to, uint32_t len)
{
	return !call->fast && fits_page(call, offset + len) &&
	       vm_read(vcpu_vm(call->vcpu), gpa(call->input_gpa + offset), to, len) == VM_OK;
}

/* Input that would need the XMM registers, which are not offered, is an undefined opcode. */
static bool needs_xmm(const struct hyperv_call *call)
{
	uint32_t bytes = input_bytes(call) + call->kind->tail_bytes_max;

	return call->fast && bytes > HV_FAST_INPUT_BYTES && bytes <= HV_FAST_XMM_INPUT_BYTES;
}

static uint16_t take_fast(struct hyperv_call *call, const struct call_registers *raw)
{
	if (input_bytes(call) + call->kind->tail_bytes_max > HV_FAST_INPUT_BYTES) {
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	}
	call->header.words[0] = raw->first;
	call->header.words[1] = raw->second;
	return HV_STATUS_SUCCESS;
}

static uint16_t fetch_and_run(struct hyperv_call *call, const struct call_registers *raw)
{
	uint16_t status;

	if (call->fast) {
		status = take_fast(call, raw);
	} else {
		call->input_gpa = raw->first;
		status = fetch_header(call);
	}
	return status == HV_STATUS_SUCCESS ? call->kind->run(call) : status;
}

static bool may_call(struct vcpu_mode mode)
{
	return mode.cpl == 0 && mode.protected_mode && !mode.vm86;
}

enum face_call hyperv_hypercall(struct vcpu *vcpu)
{
	struct vcpu_mode mode = vcpu_mode(vcpu);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	struct hyperv_call call = {.vcpu = vcpu, .code64 = mode.code64};
	struct call_registers raw = read_registers(regs, mode.code64);
	uint32_t row = find_row((uint16_t)(raw.input & HV_HYPERCALL_CODE_MASK));
	uint16_t status;

	if (!may_call(mode)) {
		return FACE_CALL_UD;
	}
	call.kind = row == SPEC_UNKNOWN ? &kind_unknown : rows[row].kind;
	if (call.kind->run == NULL) {
		status = call.kind->refusal;
	} else {
		status = decode_input(&call, raw.input);
	}
	if (status == HV_STATUS_SUCCESS && needs_xmm(&call)) {
		vm_count(vcpu_vm(vcpu), SPEC_HV_HYPERCALL, row, true);
		return FACE_CALL_UD;
	}
	if (status == HV_STATUS_SUCCESS) {
		status = fetch_and_run(&call, &raw);
	}
	vm_count(vcpu_vm(vcpu), SPEC_HV_HYPERCALL, row, status != HV_STATUS_SUCCESS);
	write_result(regs, mode.code64, status,
	             status == HV_STATUS_SUCCESS ? call.rep_count : call.rep_start);
	return FACE_CALL_DONE;
}
