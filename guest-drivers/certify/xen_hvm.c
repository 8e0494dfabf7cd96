/*
 * xen_hvm.c - probes of specs/xen_hvm.def: parameters and services, by hvm/params.h and hvm/hvm_op.h.
 */
#include "guest-drivers/certify/xen_probe.h"

#define NO_PARAM 1000u
#define PATTERN 0x1122334455667788ull
#define TRACE_BYTES_MAX 28u
#define VECTOR_MIN 16u

static int64_t op(struct probe *p, struct xen_guest *x, void *argument, size_t len)
{
	return xp_op(p, x, __HYPERVISOR_hvm_op, argument, len);
}

/* ------------------------------------------------------------------ parameters */

/* Get or set, as the row is. */
static int64_t param(struct probe *p, struct xen_guest *x, uint32_t index, uint16_t domid, uint64_t *value)
{
	struct xen_hvm_param_arg arg = {.domid = domid, .index = index, .value = *value};
	int64_t result = op(p, x, &arg, sizeof(arg));

	*value = arg.value;
	return result;
}

/* The same refusals for both. */
static void check_rights(struct probe *p, struct xen_guest *x)
{
	static const uint8_t toolstacks[] = {5, 6, 9, 10, 11, 12, 14, 16, 31, 32, 33, 38};
	static const uint8_t gone[] = {4, 13, 20, 21, 22, 23, 25, 30};
	uint64_t value = 0;

	for (uint32_t i = 0; i < ARRAY_COUNT(toolstacks); i++) {
		int64_t result = param(p, x, toolstacks[i], DOMID_SELF, &value);

		(void)probe_check(p, result == -XEN_EPERM, "parameter %u, the toolstack's: %ld",
		                  toolstacks[i], (long)result);
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(gone); i++) {
		int64_t result = param(p, x, gone[i], DOMID_SELF, &value);

		(void)probe_check(p, result == -XEN_EINVAL, "parameter %u, that is no more: %ld", gone[i],
		                  (long)result);
	}
	(void)xp_result(p, param(p, x, NO_PARAM, DOMID_SELF, &value), -XEN_EINVAL,
	                "a parameter that there is not");
	(void)xp_result(p, param(p, x, HVM_PARAM_STORE_EVTCHN, XP_NO_DOMID, &value), -XEN_ESRCH,
	                "of a domain that there is not");
	xp_check_fault(p, x, __HYPERVISOR_hvm_op);
}

/* What the guest may set, reads so afterwards. */
static void check_kept(struct probe *p, struct xen_guest *x)
{
	uint64_t before = 0;
	uint64_t value = PATTERN;

	(void)xp_result(p, xen_param_get(x, HVM_PARAM_VM_GENERATION_ID_ADDR, &before), 0, "a parameter");
	(void)xp_result(p, param(p, x, HVM_PARAM_VM_GENERATION_ID_ADDR, DOMID_SELF, &value), 0, "setting it");
	(void)xp_result(p, xen_param_get(x, HVM_PARAM_VM_GENERATION_ID_ADDR, &value), 0, "reading it again");
	(void)probe_equal(p, value, PATTERN, "its value");
	(void)xp_result(p, param(p, x, HVM_PARAM_VM_GENERATION_ID_ADDR, DOMID_SELF, &before), 0,
	                "setting it as it was");
}

/* An unknown kind of callback is none; ours is set again. */
static void check_callback(struct probe *p, struct xen_guest *x)
{
	uint64_t ours = (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << HVM_PARAM_CALLBACK_IRQ_TYPE_SHIFT |
	                XEN_CALLBACK_VECTOR;
	uint64_t unknown = 200ull << HVM_PARAM_CALLBACK_IRQ_TYPE_SHIFT;
	uint64_t gsi = 1;
	uint64_t value = 0;

	(void)xp_result(p, param(p, x, HVM_PARAM_CALLBACK_IRQ, DOMID_SELF, &unknown), 0,
	                "a callback of no known kind");
	(void)xp_result(p, param(p, x, HVM_PARAM_CALLBACK_IRQ, DOMID_SELF, &gsi), 0, "a callback by GSI 1");
	(void)xp_result(p, param(p, x, HVM_PARAM_CALLBACK_IRQ, DOMID_SELF, &ours), 0, "a callback by vector");
	(void)xp_result(p, xen_param_get(x, HVM_PARAM_CALLBACK_IRQ, &value), 0, "the callback");
	(void)probe_equal(p, value, ours, "the callback");
}

static void probe_set_param(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint64_t value = 0;

	if (x == NULL) {
		return;
	}
	check_kept(p, x);
	check_callback(p, x);
	check_rights(p, x);
	(void)xp_result(p, param(p, x, HVM_PARAM_STORE_PFN, DOMID_SELF, &value), -XEN_EPERM,
	                "the store's page, which is the toolstack's to set");
	(void)xp_result(p, param(p, x, HVM_PARAM_CONSOLE_PFN, DOMID_SELF, &value), -XEN_EPERM,
	                "the console's page, which is the toolstack's to set");
	/* Xen 4.17 does not tell it from what is the toolstack's; later ones do. */
	(void)XP_RESULT_OF(p, param(p, x, HVM_PARAM_ALTP2M, DOMID_SELF, &value), "what is set once",
	                   -XEN_EEXIST, -XEN_EPERM);
	value = 3;
	(void)xp_result(p, param(p, x, HVM_PARAM_X87_FIP_WIDTH, DOMID_SELF, &value), -XEN_EINVAL,
	                "an x87 pointer of 3 bytes");
}

static void probe_get_param(struct probe *p)
{
	static const uint8_t readable[] = {
	        HVM_PARAM_CALLBACK_IRQ,          HVM_PARAM_STORE_PFN,      HVM_PARAM_STORE_EVTCHN,
	        HVM_PARAM_CONSOLE_PFN,           HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_ACPI_IOPORTS_LOCATION,
	        HVM_PARAM_VM_GENERATION_ID_ADDR, HVM_PARAM_ALTP2M,         HVM_PARAM_X87_FIP_WIDTH,
	};
	struct xen_guest *x = certify_xen_started(p);
	uint64_t value = 0;

	if (x == NULL) {
		return;
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(readable); i++) {
		int64_t result = param(p, x, readable[i], DOMID_SELF, &value);

		(void)probe_check(p, result == 0, "parameter %u: %ld", readable[i], (long)result);
	}
	(void)param(p, x, HVM_PARAM_STORE_EVTCHN, DOMID_SELF, &value);
	(void)probe_equal(p, value, x->store.port, "the store's port");
	(void)param(p, x, HVM_PARAM_STORE_PFN, DOMID_SELF, &value);
	(void)probe_check(p, x->guest->ops->page_at(x->guest->context, value) == x->store.ring,
	                  "the store's page 0x%lx is not its ring's", (unsigned long)value);
	check_rights(p, x);
}

/* ------------------------------------------------------------------ services */

/* Where emulated lines were set from, before dm_op. */
static void probe_of_line(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES);
		XP_REFUSED(p, xen_call(x, __HYPERVISOR_hvm_op, p->row->number, x->args.gfn << PAGE_SHIFT, 0),
		           -XEN_ENOSYS);
	}
}

#define probe_set_pci_intx_level probe_of_line
#define probe_set_isa_irq_level probe_of_line
#define probe_set_pci_link_route probe_of_line

static void probe_flush_tlbs(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = xen_call(x, __HYPERVISOR_hvm_op, p->row->number, 0, 0);
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 0, "a flush");
		(void)xp_result(
		        p, xen_call(x, __HYPERVISOR_hvm_op, p->row->number, x->args.gfn << PAGE_SHIFT, 0),
		        -XEN_EINVAL, "a flush with an argument");
	}
}

/* Linux asks once: an error means that it need not be called. */
static void probe_pagetable_dying(struct probe *p)
{
	struct {
		uint16_t domid;
		uint16_t pad[3];
		uint64_t gpa;
	} dying = {.domid = DOMID_SELF};
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, op(p, x, &dying, sizeof(dying)), -XEN_EINVAL, -XEN_ENOSYS);
	}
}

static void probe_get_time(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint64_t first = 0;
	uint64_t next = 0;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, &first, sizeof(first));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "the time");
	for (uint32_t i = 0; i < 100; i++) {
		(void)op(p, x, &next, sizeof(next));
		if (!probe_check(p, next >= first, "time goes back by %lu ns",
		                 (unsigned long)(first - next))) {
			break;
		}
		first = next;
	}
	xp_pause(p->c, 200);
	(void)op(p, x, &next, sizeof(next));
	(void)probe_check(p, next - first >= 100000 && next - first < 1000 * XP_MS_NS, "200 us take %lu ns",
	                  (unsigned long)(next - first));
	xp_check_fault(p, x, __HYPERVISOR_hvm_op);
}

static void probe_xentrace(struct probe *p)
{
	static const uint16_t too_long[] = {TRACE_BYTES_MAX + 1, TRACE_BYTES_MAX + 4, 0xFFFF};
	struct xen_hvm_trace trace = {.extra_bytes = 0};
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, &trace, sizeof(trace));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "a trace of no bytes");
	trace.extra_bytes = TRACE_BYTES_MAX;
	(void)xp_result(p, op(p, x, &trace, sizeof(trace)), 0, "a trace of 28 bytes");
	for (uint32_t i = 0; i < ARRAY_COUNT(too_long); i++) {
		trace.extra_bytes = too_long[i];
		(void)xp_result(p, op(p, x, &trace, sizeof(trace)), -XEN_EINVAL, "a trace of more");
	}
	xp_check_fault(p, x, __HYPERVISOR_hvm_op);
}

static void probe_get_mem_type(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_hvm_mem_type type = {.domid = DOMID_SELF};
	int64_t result;

	if (x == NULL) {
		return;
	}
	type.pfn = x->args.gfn;
	result = op(p, x, &type, sizeof(type));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "a page of RAM");
	(void)probe_equal(p, type.mem_type, HVMMEM_ram_rw, "its type");
	type.pfn = x->shared_below.gfn;
	(void)xp_result(p, op(p, x, &type, sizeof(type)), 0, "the shared info's page");
	(void)probe_equal(p, type.mem_type, HVMMEM_ram_rw, "its type");
	type.pfn = XP_BAD_GFN;
	(void)xp_result(p, op(p, x, &type, sizeof(type)), 0, "a page where there is no memory");
	(void)probe_equal(p, type.mem_type, HVMMEM_mmio_dm, "its type");
	type.domid = XP_NO_DOMID;
	(void)xp_result(p, op(p, x, &type, sizeof(type)), -XEN_ESRCH, "of a domain that there is not");
	xp_check_fault(p, x, __HYPERVISOR_hvm_op);
}

/* ------------------------------------------------------------------ a vector of a vCPU's own */

struct awaited {
	const struct certify_machine *machine;
	uint32_t before; /* interrupts of the vector */
};

static bool vector_came(void *context)
{
	const struct awaited *awaited = context;

	awaited->machine->wait_ns(XP_MS_NS, false);
	return awaited->machine->vector_count(0, XEN_CALLBACK_VECTOR) != awaited->before;
}

/* Setting it raises it once. There is no way back, so it is the vector that the domain has anyway. */
static void check_own_vector(struct probe *p, struct xen_guest *x, struct xen_hvm_upcall_vector *arg)
{
	struct awaited awaited = {.machine = p->c->machine};
	bool watched = awaited.machine != NULL && arg->vcpu == 0;

	if (watched) {
		awaited.machine->vector_watch(XEN_CALLBACK_VECTOR, true);
		awaited.before = awaited.machine->vector_count(0, XEN_CALLBACK_VECTOR);
	}
	(void)xp_result(p, op(p, x, arg, sizeof(*arg)), 0, "a vector of a vCPU's own");
	if (watched) {
		(void)probe_check(p, certify_wait(p->c, vector_came, &awaited, XP_PATIENCE_US),
		                  "setting the vector does not raise it");
	}
}

static void probe_set_evtchn_upcall_vector(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_hvm_upcall_vector arg = {.vcpu = 0, .vector = 0};
	int64_t result;
	uint32_t regs[4];

	if (x == NULL) {
		return;
	}
	result = op(p, x, &arg, sizeof(arg));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, -XEN_EINVAL, "vector 0");
	arg.vector = VECTOR_MIN - 1;
	(void)xp_result(p, op(p, x, &arg, sizeof(arg)), -XEN_EINVAL, "vector 15");
	arg = (struct xen_hvm_upcall_vector){.vcpu = XP_NO_VCPU, .vector = XEN_CALLBACK_VECTOR};
	(void)xp_result(p, op(p, x, &arg, sizeof(arg)), -XEN_ENOENT, "of a vCPU that there is not");
	xp_check_fault(p, x, __HYPERVISOR_hvm_op);
	certify_cpuid(p->c, p->c->faces.xen_base + 4, 0, regs);
	(void)probe_check(p, (regs[0] & XEN_HVM_CPUID_UPCALL_VECTOR) != 0,
	                  "no CPUID bit says that it is offered: 0x%x", regs[0]);
	arg.vcpu = xp_vcpu_down(x); /* 0: there is no other */
	check_own_vector(p, x, &arg);
}

/* ------------------------------------------------------------------ not built in */

/* With an argument that there must not be: no monitor is told. */
static void probe_guest_request_vm_event(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, xen_call(x, __HYPERVISOR_hvm_op, p->row->number, x->args.gfn << PAGE_SHIFT, 0),
		           -XEN_ENOSYS, -XEN_EINVAL);
	}
}

static void probe_altp2m(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES);
		XP_REFUSED(p, xen_call(x, __HYPERVISOR_hvm_op, p->row->number, x->args.gfn << PAGE_SHIFT, 0),
		           -XEN_EOPNOTSUPP, -XEN_EINVAL, -XEN_ENOSYS);
	}
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_hvm.def"
};
ROW_TABLE(xen_hvm, NEED_XEN)
