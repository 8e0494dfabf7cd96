/*
 * hypercall.c - how a hypercall is taken, dispatched, counted, preempted; and multicall.
 *
 * Follows Xen's arch-x86/xen-x86_64.h and xen-x86_32.h (registers) and xen.h (numbers). The rows come
 * from specs/xen_hypercall.def.
 */
#include "enlighten/xen/xen_state.h"

static const uint8_t wide_args[5] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8};
static const uint8_t narrow_args[5] = {REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI};

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_hypercall.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_hypercall.def"
#undef SPEC_ROW
};

int64_t xen_refuse_enosys(struct xen_call *call)
{
	(void)call;
	return -XEN_ENOSYS;
}

int64_t xen_refuse_eperm(struct xen_call *call)
{
	(void)call;
	return -XEN_EPERM;
}

int64_t xen_refuse_eacces(struct xen_call *call)
{
	(void)call;
	return -XEN_EACCES;
}

int64_t xen_refuse_einval(struct xen_call *call)
{
	(void)call;
	return -XEN_EINVAL;
}

int64_t xen_refuse_eopnotsupp(struct xen_call *call)
{
	(void)call;
	return -XEN_EOPNOTSUPP;
}

int64_t xen_refuse_enodata(struct xen_call *call)
{
	(void)call;
	return -XEN_ENODATA;
}

int64_t xen_dispatch(struct xen_call *call, enum spec_table table, const struct xen_row *table_rows,
                     uint32_t row_count, uint64_t raw_number)
{
	const struct xen_row *row;
	int64_t result;

	if (raw_number >= row_count || table_rows[raw_number].status == XEN_ROW_NONE) {
		vm_count(call->vm, table, SPEC_UNKNOWN, true);
		return -XEN_ENOSYS;
	}
	row = &table_rows[raw_number];
	result = row->call != NULL ? row->call(call) : -XEN_ENOSYS;
	if (!call->again) {
		vm_count(call->vm, table, row->row, row->status == XEN_ROW_REFUSED || result < 0);
	}
	return result;
}

/* ------------------------------------------------------------------ multicall */

static bool get_entry(struct xen_call *call, uint64_t at, uint64_t *op, uint64_t args[6])
{
	struct xen_multicall64 wide;
	struct xen_multicall32 narrow;

	if (!call->narrow) {
		if (!xen_get(call, at, &wide, sizeof(wide))) {
			return false;
		}
		*op = wide.op;
		memcpy(args, wide.args, sizeof(wide.args));
		return true;
	}
	if (!xen_get(call, at, &narrow, sizeof(narrow))) {
		return false;
	}
	*op = narrow.op;
	for (uint32_t i = 0; i < 6; i++) {
		args[i] = narrow.args[i];
	}
	return true;
}

static bool put_result(struct xen_call *call, uint64_t at, int64_t result)
{
	return call->narrow ? xen_put(call, at + offsetof(struct xen_multicall32, result), &result, 4)
	                    : xen_put(call, at + offsetof(struct xen_multicall64, result), &result, 8);
}

/* Where a preempted entry goes on stays in the guest's list, and is checked again as all of it. */
static bool put_args(struct xen_call *call, uint64_t at, const uint64_t args[6])
{
	uint32_t narrow[6];

	if (!call->narrow) {
		return xen_put(call, at + offsetof(struct xen_multicall64, args), args, 6 * sizeof(args[0]));
	}
	for (uint32_t i = 0; i < 6; i++) {
		narrow[i] = (uint32_t)args[i];
	}
	return xen_put(call, at + offsetof(struct xen_multicall32, args), narrow, sizeof(narrow));
}

/* One entry. 0, or the error that ends the list. */
static int64_t run_entry(struct xen_call *outer, uint64_t at)
{
	struct xen_call call = *outer;
	uint64_t raw_op;
	int64_t result;

	if (!get_entry(outer, at, &raw_op, call.args)) {
		return -XEN_EFAULT;
	}
	call.multicall = true;
	result = xen_dispatch(&call, SPEC_XEN_HYPERCALL, rows, ARRAY_COUNT(rows), raw_op);
	outer->budget = call.budget;
	if (call.again) {
		outer->again = put_args(outer, at, call.args);
		return outer->again ? 0 : -XEN_EFAULT;
	}
	return put_result(outer, at, result) ? 0 : -XEN_EFAULT;
}

int64_t xen_multicall(struct xen_call *call)
{
	uint32_t entry_bytes = call->narrow ? sizeof(struct xen_multicall32) : sizeof(struct xen_multicall64);

	if (call->multicall) {
		return -XEN_EINVAL;
	}
	while ((uint32_t)call->args[1] != 0) {
		int64_t error;

		if (!xen_call_spend(call, XEN_COST_STEP)) {
			call->again = true;
			return 0;
		}
		error = run_entry(call, call->args[0]);
		if (error != 0 || call->again) {
			return error;
		}
		call->args[0] += entry_bytes;
		call->args[1] = (uint32_t)call->args[1] - 1u;
	}
	return 0;
}

/* ------------------------------------------------------------------ vm_assist */

int64_t xen_vm_assist(struct xen_call *call)
{
	uint32_t raw_command = (uint32_t)call->args[0];

	if ((uint32_t)call->args[1] != VMASST_TYPE_runstate_update_flag) {
		return -XEN_EINVAL;
	}
	if (raw_command > VMASST_CMD_disable) {
		return -XEN_ENOSYS;
	}
	__atomic_store_n(&call->xen->runstate_flag, raw_command == VMASST_CMD_enable, __ATOMIC_RELAXED);
	return 0;
}

/* ------------------------------------------------------------------ the instruction */

static void set_args(struct xen_call *call, struct cpu_regs *regs)
{
	const uint8_t *from = call->narrow ? narrow_args : wide_args;

	for (uint32_t i = 0; i < 5; i++) {
		regs->gpr[from[i]] = call->narrow ? (uint32_t)call->args[i] : call->args[i];
	}
}

static void get_args(struct xen_call *call, const struct cpu_regs *regs)
{
	const uint8_t *from = call->narrow ? narrow_args : wide_args;

	for (uint32_t i = 0; i < 5; i++) {
		call->args[i] = call->narrow ? (uint32_t)regs->gpr[from[i]] : regs->gpr[from[i]];
	}
}

static void set_result(struct cpu_regs *regs, bool narrow, int64_t result)
{
	regs->gpr[REG_RAX] = narrow ? (uint32_t)result : (uint64_t)result;
}

enum face_call xen_hypercall(struct vcpu *vcpu)
{
	struct xen_vcpu *self = xen_of_vcpu(vcpu);
	struct vcpu_mode mode = vcpu_mode(vcpu);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	struct xen_call call = {
	        .xen = self->xen,
	        .self = self,
	        .vm = self->xen->vm,
	        .vcpu = vcpu,
	        .narrow = !mode.code64,
	        .budget = XEN_BUDGET,
	};
	uint64_t raw_number;
	int64_t result;

	if (mode.cpl != 0 || mode.vm86) {
		set_result(regs, call.narrow, -XEN_EPERM);
		return FACE_CALL_DONE;
	}
	raw_number = call.narrow ? (uint32_t)regs->gpr[REG_RAX] : regs->gpr[REG_RAX];
	get_args(&call, regs);
	result = xen_dispatch(&call, SPEC_XEN_HYPERCALL, rows, ARRAY_COUNT(rows), raw_number);
	if (call.again) {
		set_args(&call, regs);
		return FACE_CALL_AGAIN;
	}
	set_result(regs, call.narrow, result);
	return FACE_CALL_DONE;
}
