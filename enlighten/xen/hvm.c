/*
 * hvm.c - hvm_op: parameters, the upcall vector, and small services.
 *
 * Follows Xen's hvm/hvm_op.h and hvm/params.h. Callbacks by GSI or PCI INTx are taken and never delivered,
 * as on a PVH guest of Xen's without IO-APIC.
 */
#include "enlighten/xen/xen_state.h"

#define VECTOR_MIN 16u

/* ------------------------------------------------------------------ parameters */

enum param_right {
	PARAM_NONE = 0,
	PARAM_GET = 1,
	PARAM_SET = 2,
	PARAM_BOTH = 3,
	PARAM_GONE = 4,
	PARAM_ONCE = 8
};

/* What a guest may do with each; what does not stand here is the device model's or the toolstack's. */
static const uint8_t param_rights[HVM_NR_PARAMS] = {
        [HVM_PARAM_CALLBACK_IRQ] = PARAM_BOTH,
        [HVM_PARAM_STORE_PFN] = PARAM_GET,
        [HVM_PARAM_STORE_EVTCHN] = PARAM_BOTH,
        [HVM_PARAM_VM86_TSS] = PARAM_BOTH,
        [HVM_PARAM_CONSOLE_PFN] = PARAM_GET,
        [HVM_PARAM_CONSOLE_EVTCHN] = PARAM_BOTH,
        [HVM_PARAM_ACPI_IOPORTS_LOCATION] = PARAM_BOTH,
        [HVM_PARAM_VM_GENERATION_ID_ADDR] = PARAM_BOTH,
        [HVM_PARAM_ALTP2M] = PARAM_GET | PARAM_ONCE,
        [HVM_PARAM_X87_FIP_WIDTH] = PARAM_BOTH,
        [HVM_PARAM_VM86_TSS_SIZED] = PARAM_BOTH,
        /* Deprecated, or rings of a monitor that there is not. */
        [4] = PARAM_GONE,
        [7] = PARAM_GONE,
        [13] = PARAM_GONE,
        [20] = PARAM_GONE,
        [21] = PARAM_GONE,
        [22] = PARAM_GONE,
        [23] = PARAM_GONE,
        [24] = PARAM_GONE,
        [25] = PARAM_GONE,
        [26] = PARAM_GONE,
        [27] = PARAM_GONE,
        [28] = PARAM_GONE,
        [29] = PARAM_GONE,
        [30] = PARAM_GONE,
};

/* 0 if the guest may, else -errno. */
static int64_t check_param(struct xen_call *call, const struct xen_hvm_param_arg *arg, enum param_right right)
{
	uint8_t rights;

	if (arg->index >= HVM_NR_PARAMS) {
		return -XEN_EINVAL;
	}
	if (!xen_domid_is_self(call->xen, arg->domid)) {
		return -XEN_ESRCH;
	}
	rights = param_rights[arg->index];
	if ((rights & PARAM_GONE) != 0) {
		return -XEN_EINVAL;
	}
	if ((rights & right) != 0) {
		return 0;
	}
	return (rights & PARAM_ONCE) != 0 ? -XEN_EEXIST : -XEN_EPERM;
}

/* Vectors below 16 are exceptions: as no callback. */
static void set_callback(struct xen_call *call, uint64_t raw_value)
{
	struct xen_vm *xen = call->xen;
	uint8_t vector = XEN_NO_VECTOR;

	if (raw_value >> HVM_PARAM_CALLBACK_IRQ_TYPE_SHIFT == HVM_PARAM_CALLBACK_TYPE_VECTOR &&
	    (uint8_t)raw_value >= VECTOR_MIN) {
		vector = (uint8_t)raw_value;
	}
	evtchn_latch_width(xen, call->narrow);
	__atomic_store_n(&xen->callback_vector, vector, __ATOMIC_RELEASE);
	for (uint32_t i = 0; vector != XEN_NO_VECTOR && i < vm_vcpu_count(xen->vm); i++) {
		struct xen_vcpu *v = xen->vcpus[i];

		if (__atomic_load_n(&v->upcall_vector, __ATOMIC_ACQUIRE) == XEN_NO_VECTOR &&
		    evtchn_upcall_is_pending(v)) {
			vcpu_post_upcall(v->vcpu);
		}
	}
}

static int64_t set_param(struct xen_call *call)
{
	struct xen_hvm_param_arg arg;
	int64_t error;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	error = check_param(call, &arg, PARAM_SET);
	if (error != 0) {
		return error;
	}
	if (arg.index == HVM_PARAM_X87_FIP_WIDTH && arg.value != 0 && arg.value != 4 && arg.value != 8) {
		return -XEN_EINVAL;
	}
	if (arg.index == HVM_PARAM_ACPI_IOPORTS_LOCATION && arg.value > 1) {
		return -XEN_EINVAL;
	}
	if (arg.index == HVM_PARAM_CALLBACK_IRQ) {
		set_callback(call, arg.value);
	}
	__atomic_store_n(&call->xen->params[arg.index], arg.value, __ATOMIC_RELAXED);
	return 0;
}

static uint64_t special_gfn(const struct vm *vm, enum vm_special which, uint32_t port)
{
	return port != 0 ? vm_special_page(vm, which).v >> PAGE_SHIFT : 0;
}

static uint64_t param_value(const struct xen_vm *xen, uint32_t index)
{
	switch (index) {
	case HVM_PARAM_STORE_PFN:
		return special_gfn(xen->vm, VM_SPECIAL_XENSTORE, xen->store_port);
	case HVM_PARAM_CONSOLE_PFN:
		return special_gfn(xen->vm, VM_SPECIAL_CONSOLE, xen->console_port);
	default:
		return __atomic_load_n(&xen->params[index], __ATOMIC_RELAXED);
	}
}

static int64_t get_param(struct xen_call *call)
{
	struct xen_hvm_param_arg arg;
	int64_t error;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	error = check_param(call, &arg, PARAM_GET);
	if (error != 0) {
		return error;
	}
	arg.value = param_value(call->xen, arg.index);
	return xen_put(call, call->args[1], &arg, sizeof(arg)) ? 0 : -XEN_EFAULT;
}

/* ------------------------------------------------------------------ the rest */

static int64_t flush_tlbs(struct xen_call *call)
{
	uint32_t count = vm_vcpu_count(call->vm);

	if (call->args[1] != 0) {
		return -XEN_EINVAL;
	}
	vcpu_flush_tlbs(call->vcpu, UINT64_MAX >> (64 - count));
	return 0;
}

static int64_t get_time(struct xen_call *call)
{
	uint64_t now = vm_time_ns(call->vm);

	return xen_put(call, call->args[1], &now, sizeof(now)) ? 0 : -XEN_EFAULT;
}

static int64_t take_trace(struct xen_call *call)
{
	struct xen_hvm_trace arg;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	return arg.extra_bytes > sizeof(arg.extra) ? -XEN_EINVAL : 0;
}

static int64_t get_mem_type(struct xen_call *call)
{
	struct xen_hvm_mem_type arg;
	bool ram = false;
	gpa_t at;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(call->xen, arg.domid)) {
		return -XEN_ESRCH;
	}
	if (xen_gfn_to_gpa(arg.pfn, &at)) {
		ram = vm_is_ram(call->vm, at) || vm_page_at(call->vm, at) != NULL;
	}
	arg.mem_type = ram ? HVMMEM_ram_rw : HVMMEM_mmio_dm;
	return xen_put(call, call->args[1], &arg, sizeof(arg)) ? 0 : -XEN_EFAULT;
}

static int64_t set_upcall_vector(struct xen_call *call)
{
	struct xen_hvm_upcall_vector arg;
	struct xen_vcpu *v;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (arg.vector < VECTOR_MIN) {
		return -XEN_EINVAL;
	}
	v = xen_vcpu_at(call->xen, arg.vcpu);
	if (v == NULL) {
		return -XEN_ENOENT;
	}
	__atomic_store_n(&v->upcall_vector, arg.vector, __ATOMIC_RELEASE);
	vcpu_post_vector(v->vcpu, arg.vector);
	return 0;
}

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_hvm.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_hvm.def"
#undef SPEC_ROW
};

int64_t xen_hvm_op(struct xen_call *call)
{
	return xen_dispatch(call, SPEC_XEN_HVM, rows, ARRAY_COUNT(rows), (uint32_t)call->args[0]);
}
