/*
 * vcpu.c - vcpu_op: starting and stopping vCPUs, their areas, their timers.
 *
 * Follows Xen's vcpu.h and hvm/hvm_vcpu.h. All of it works on a vCPU that was never started: a guest
 * prepares its processors before they run.
 */
#include "enlighten/xen/xen_state.h"

#define PERIOD_MIN_NS 1000000ull
#define PERIOD_MAX_NS ((1ull << 62) - 1)

/* Segment attributes as in vcpu_hvm_x86_32: type 3:0, S 4, DPL 6:5, P 7, ... G 11. */
#define AR_WRITABLE 0x0002u /* of data; readable, of code */
#define AR_CODE 0x0008u
#define AR_S 0x0010u
#define AR_DPL 0x0060u
#define AR_P 0x0080u
#define AR_RESERVED 0xF000u
#define AR_CODE64_FLAT 0x0A9Bu
#define AR_DATA_FLAT 0x0C93u
#define AR_TSS 0x008Bu
#define TSS_LIMIT 0x67u

/* The vCPU of the second argument; xen_vcpu_op() has checked it. */
static struct xen_vcpu *target(struct xen_call *call)
{
	return call->xen->vcpus[(uint32_t)call->args[1]];
}

/* ------------------------------------------------------------------ initialise */

enum segment_kind {
	SEGMENT_CODE,
	SEGMENT_DATA,
	SEGMENT_STACK,
	SEGMENT_TASK
};

static bool segment_is_legal(uint16_t ar, enum segment_kind kind)
{
	if ((ar & AR_RESERVED) != 0) {
		return false;
	}
	if (ar == 0) {
		return kind == SEGMENT_DATA;
	}
	if ((ar & AR_P) == 0 || ((ar & AR_S) == 0) != (kind == SEGMENT_TASK)) {
		return false;
	}
	switch (kind) {
	case SEGMENT_CODE:
		return (ar & AR_CODE) != 0;
	case SEGMENT_STACK:
		return (ar & AR_CODE) == 0 && (ar & AR_WRITABLE) != 0;
	case SEGMENT_DATA:
		return (ar & AR_CODE) == 0 || (ar & AR_WRITABLE) != 0;
	case SEGMENT_TASK:
		return true;
	}
	return false;
}

static bool context32_is_legal(const struct xen_vcpu_x86_32 *in)
{
	uint32_t pads = in->pad1 | in->pad2[0] | in->pad2[1] | in->pad2[2];

	return pads == 0 && segment_is_legal(in->cs_ar, SEGMENT_CODE) &&
	       segment_is_legal(in->ds_ar, SEGMENT_DATA) && segment_is_legal(in->ss_ar, SEGMENT_STACK) &&
	       segment_is_legal(in->es_ar, SEGMENT_DATA) && segment_is_legal(in->tr_ar, SEGMENT_TASK) &&
	       in->eip <= in->cs_limit && (in->cs_ar & AR_DPL) == (in->ss_ar & AR_DPL);
}

static struct vcpu_segment segment(uint32_t base, uint32_t limit, uint16_t ar)
{
	return (struct vcpu_segment){.base = base, .limit = limit, .attributes = ar};
}

static void decode32(const struct xen_vcpu_x86_32 *in, struct vcpu_context *out)
{
	uint64_t *gpr = out->regs.gpr;

	gpr[REG_RAX] = in->eax;
	gpr[REG_RCX] = in->ecx;
	gpr[REG_RDX] = in->edx;
	gpr[REG_RBX] = in->ebx;
	gpr[REG_RSP] = in->esp;
	gpr[REG_RBP] = in->ebp;
	gpr[REG_RSI] = in->esi;
	gpr[REG_RDI] = in->edi;
	out->regs.rip = in->eip;
	out->regs.rflags = in->eflags | RFLAGS_FIXED;
	out->cr0 = in->cr0;
	out->cr3 = in->cr3;
	out->cr4 = in->cr4;
	out->efer = in->efer;
	out->cs = segment(in->cs_base, in->cs_limit, in->cs_ar);
	out->ds = segment(in->ds_base, in->ds_limit, in->ds_ar);
	out->ss = segment(in->ss_base, in->ss_limit, in->ss_ar);
	out->es = segment(in->es_base, in->es_limit, in->es_ar);
	out->tr = segment(in->tr_base, in->tr_limit, in->tr_ar);
}

static void decode64(const struct xen_vcpu_x86_64 *in, struct vcpu_context *out)
{
	uint64_t *gpr = out->regs.gpr;

	gpr[REG_RAX] = in->rax;
	gpr[REG_RCX] = in->rcx;
	gpr[REG_RDX] = in->rdx;
	gpr[REG_RBX] = in->rbx;
	gpr[REG_RSP] = in->rsp;
	gpr[REG_RBP] = in->rbp;
	gpr[REG_RSI] = in->rsi;
	gpr[REG_RDI] = in->rdi;
	out->regs.rip = in->rip;
	out->regs.rflags = in->rflags | RFLAGS_FIXED;
	out->cr0 = in->cr0;
	out->cr3 = in->cr3;
	out->cr4 = in->cr4;
	out->efer = in->efer;
	out->cs = segment(0, UINT32_MAX, AR_CODE64_FLAT);
	out->ds = segment(0, UINT32_MAX, AR_DATA_FLAT);
	out->ss = out->ds;
	out->es = out->ds;
	out->tr = segment(0, TSS_LIMIT, AR_TSS);
}

/* False: no CPU may start so. What is about control registers, core checks. */
static bool decode_context(const struct xen_vcpu_hvm_context *in, struct vcpu_context *out)
{
	*out = (struct vcpu_context){0};
	if (in->pad != 0) {
		return false;
	}
	switch (in->mode) {
	case VCPU_HVM_MODE_32B:
		decode32(&in->cpu_regs.x86_32, out);
		return context32_is_legal(&in->cpu_regs.x86_32);
	case VCPU_HVM_MODE_64B:
		decode64(&in->cpu_regs.x86_64, out);
		return true;
	default:
		return false;
	}
}

static int64_t initialise(struct xen_call *call)
{
	struct xen_vcpu_hvm_context raw_context;
	struct vcpu_context context;

	if (!xen_get(call, call->args[2], &raw_context, sizeof(raw_context))) {
		return -XEN_EFAULT;
	}
	if (!decode_context(&raw_context, &context)) {
		return -XEN_EINVAL;
	}
	switch (vcpu_initialise(target(call)->vcpu, &context)) {
	case VM_OK:
		return 0;
	case VM_EBUSY:
		return -XEN_EEXIST;
	default:
		return -XEN_EINVAL;
	}
}

/* ------------------------------------------------------------------ up and down */

static int64_t up(struct xen_call *call)
{
	return vcpu_up(target(call)->vcpu) == VM_OK ? 0 : -XEN_EINVAL;
}

/* Two that take each other down meet in event_lock: the second is the last. */
static int64_t down(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct vcpu *vcpu = target(call)->vcpu;
	bool last = true;

	spin_lock(&xen->event_lock);
	for (uint32_t i = 0; i < vm_vcpu_count(call->vm); i++) {
		last = last && (xen->vcpus[i]->vcpu == vcpu || !vcpu_is_up(xen->vcpus[i]->vcpu));
	}
	if (!last) {
		vcpu_down(vcpu);
	}
	spin_unlock(&xen->event_lock);
	if (last) {
		vm_stop(call->vm, VM_STOP_POWEROFF, "VCPUOP_down of the last vCPU");
	}
	return 0;
}

static int64_t is_up(struct xen_call *call)
{
	return vcpu_is_up(target(call)->vcpu);
}

static int64_t send_nmi(struct xen_call *call)
{
	if (call->args[2] != 0) {
		return -XEN_EINVAL;
	}
	vcpu_post_nmi(target(call)->vcpu);
	return 0;
}

/* ------------------------------------------------------------------ areas */

static int64_t get_runstate_info(struct xen_call *call)
{
	uint8_t record[sizeof(struct xen_runstate64)];
	size_t len = time_encode_runstate(target(call)->vcpu, call->narrow, record);

	return xen_put(call, call->args[2], record, len) ? 0 : -XEN_EFAULT;
}

static size_t runstate_bytes(const struct xen_call *call)
{
	return call->narrow ? sizeof(struct xen_runstate32) : sizeof(struct xen_runstate64);
}

/* The address in the structure is 64 bits long for every caller. */
static bool get_address(struct xen_call *call, uint64_t *raw_address)
{
	return xen_get(call, call->args[2], raw_address, sizeof(*raw_address));
}

static int64_t register_runstate(struct xen_call *call)
{
	struct xen_vcpu *v = target(call);
	uint64_t raw_linear;

	return get_address(call, &raw_linear)
	               ? time_area_linear(call, v, &v->runstate, raw_linear, runstate_bytes(call))
	               : -XEN_EFAULT;
}

static int64_t register_runstate_phys(struct xen_call *call)
{
	struct xen_vcpu *v = target(call);
	uint64_t raw_gpa;

	return get_address(call, &raw_gpa)
	               ? time_area_physical(call, v, &v->runstate, raw_gpa, runstate_bytes(call))
	               : -XEN_EFAULT;
}

static int64_t register_time(struct xen_call *call)
{
	struct xen_vcpu *v = target(call);
	uint64_t raw_linear;

	return get_address(call, &raw_linear)
	               ? time_area_linear(call, v, &v->time, raw_linear, sizeof(struct xen_vcpu_time_info))
	               : -XEN_EFAULT;
}

static int64_t register_time_phys(struct xen_call *call)
{
	struct xen_vcpu *v = target(call);
	uint64_t raw_gpa;

	return get_address(call, &raw_gpa)
	               ? time_area_physical(call, v, &v->time, raw_gpa, sizeof(struct xen_vcpu_time_info))
	               : -XEN_EFAULT;
}

/* Of a vCPU that runs elsewhere the block may not move. */
static int64_t register_vcpu_info(struct xen_call *call)
{
	struct xen_vcpu *v = target(call);
	struct xen_register_vcpu_info arg;

	if (!xen_get(call, call->args[2], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (v != call->self && vcpu_is_up(v->vcpu)) {
		return -XEN_EINVAL;
	}
	return evtchn_register_info(v, arg.mfn, arg.offset);
}

/* ------------------------------------------------------------------ timers */

static int64_t set_periodic_timer(struct xen_call *call)
{
	uint64_t raw_period;

	if (!xen_get(call, call->args[2], &raw_period, sizeof(raw_period))) {
		return -XEN_EFAULT;
	}
	if (raw_period < PERIOD_MIN_NS || raw_period > PERIOD_MAX_NS) {
		return -XEN_EINVAL;
	}
	time_set_periodic(target(call), raw_period);
	return 0;
}

static int64_t stop_periodic_timer(struct xen_call *call)
{
	time_set_periodic(target(call), 0);
	return 0;
}

/* flags is VCPU_SSHOTTMR_future at most, which Xen 4.17 takes no notice of. */
static int64_t set_singleshot_timer(struct xen_call *call)
{
	struct xen_set_singleshot_timer arg;

	if (target(call) != call->self) {
		return -XEN_EINVAL;
	}
	if (!xen_get(call, call->args[2], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	time_set_singleshot(call->self, arg.timeout_abs_ns);
	return 0;
}

static int64_t stop_singleshot_timer(struct xen_call *call)
{
	if (target(call) != call->self) {
		return -XEN_EINVAL;
	}
	time_stop_singleshot(call->self);
	return 0;
}

/* ------------------------------------------------------------------ dispatch */

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_vcpu.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_vcpu.def"
#undef SPEC_ROW
};

int64_t xen_vcpu_op(struct xen_call *call)
{
	if (xen_vcpu_at(call->xen, (uint32_t)call->args[1]) == NULL) {
		return -XEN_ENOENT;
	}
	return xen_dispatch(call, SPEC_XEN_VCPU, rows, ARRAY_COUNT(rows), (uint32_t)call->args[0]);
}
