/*
 * hypercall.c - finding Xen (arch-x86/cpuid.h), hypercalls, parameters, and Xen's pages over ours.
 */
#include "guest-drivers/xen/xen.h"

#define BASES 0x100u /* the signature may stand at 256 bases */

int64_t xen_call(struct xen_guest *x, uint32_t number, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t args[5] = {a, b, c, 0, 0};

	return x->guest->ops->hypercall_xen(x->guest->context, number, args);
}

int64_t xen_call_struct(struct xen_guest *x, uint32_t number, uint64_t op, void *argument, size_t len)
{
	int64_t result;

	memcpy(x->args.bytes, argument, len);
	result = xen_call(x, number, op, x->args.gfn << PAGE_SHIFT, 0);
	memcpy(argument, x->args.bytes, len);
	return result;
}

int64_t xen_param_get(struct xen_guest *x, uint32_t index, uint64_t *value)
{
	struct xen_hvm_param_arg param = {.domid = DOMID_SELF, .index = index};
	int64_t result = xen_call_struct(x, __HYPERVISOR_hvm_op, HVMOP_get_param, &param, sizeof(param));

	*value = param.value;
	return result;
}

int64_t xen_param_set(struct xen_guest *x, uint32_t index, uint64_t value)
{
	struct xen_hvm_param_arg param = {.domid = DOMID_SELF, .index = index, .value = value};

	return xen_call_struct(x, __HYPERVISOR_hvm_op, HVMOP_set_param, &param, sizeof(param));
}

uint8_t *xen_map(struct xen_guest *x, uint32_t space, uint64_t index, struct guest_page *below)
{
	struct xen_add_to_physmap64 map = {.domid = DOMID_SELF, .space = space, .idx = index};

	if (below->bytes == NULL && !guest_page_alloc(x->guest, below)) {
		return NULL;
	}
	map.gpfn = below->gfn;
	if (xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map, sizeof(map)) != 0) {
		return NULL;
	}
	return x->guest->ops->page_at(x->guest->context, below->gfn);
}

/* Xen's page took the place of our RAM there: asks for RAM again. */
static bool repopulate(struct xen_guest *x, uint64_t gfn)
{
	const size_t list_at = sizeof(struct xen_reservation64);
	struct xen_reservation64 reservation = {
	        .extent_start = (x->args.gfn << PAGE_SHIFT) + list_at,
	        .nr_extents = 1,
	        .domid = DOMID_SELF,
	};

	memcpy(x->args.bytes + list_at, &gfn, sizeof(gfn));
	return xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &reservation,
	                       sizeof(reservation)) == 1;
}

/* Takes Xen's page @mapped away and brings ours back. A page that cannot be had again is lost. */
static void unmap(struct xen_guest *x, struct guest_page *below, uint8_t **mapped)
{
	struct xen_remove_from_physmap64 map = {.domid = DOMID_SELF, .gpfn = below->gfn};

	if (*mapped != NULL &&
	    (xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &map, sizeof(map)) != 0 ||
	     !repopulate(x, below->gfn))) {
		below->bytes = NULL;
	}
	*mapped = NULL;
	guest_page_free(x->guest, below);
}

int64_t xen_shutdown(struct xen_guest *x, uint32_t reason)
{
	return xen_call_struct(x, __HYPERVISOR_sched_op, SCHEDOP_shutdown, &reason, sizeof(reason));
}

/* ------------------------------------------------------------------ start */

static void cpuid(struct xen_guest *x, uint32_t leaf, uint32_t regs[4])
{
	x->guest->ops->cpuid(x->guest->context, leaf, 0, regs);
}

static bool find_base(struct xen_guest *x)
{
	uint32_t regs[4];

	for (uint32_t i = 0; i < BASES; i++) {
		uint32_t base = XEN_CPUID_FIRST_LEAF + i * XEN_CPUID_LEAF_STRIDE;

		cpuid(x, base, regs);
		if (regs[1] == XEN_CPUID_SIGNATURE_EBX && regs[2] == XEN_CPUID_SIGNATURE_ECX &&
		    regs[3] == XEN_CPUID_SIGNATURE_EDX && regs[0] >= base + 2 &&
		    regs[0] < base + XEN_CPUID_LEAF_STRIDE) {
			x->cpuid_base = base;
			return true;
		}
	}
	return false;
}

/* The hypercall page: one page, asked for by an MSR that a leaf names. */
static bool start_stubs(struct xen_guest *x)
{
	uint32_t regs[4];

	cpuid(x, x->cpuid_base + 1, regs);
	x->version = regs[0];
	cpuid(x, x->cpuid_base + 2, regs);
	if (regs[0] != 1 || !guest_page_alloc(x->guest, &x->stubs)) {
		return false;
	}
	return x->guest->ops->wrmsr(x->guest->context, regs[1], x->stubs.gfn << PAGE_SHIFT);
}

static void read_domid(struct xen_guest *x)
{
	uint32_t regs[4];

	cpuid(x, x->cpuid_base, regs);
	if (regs[0] >= x->cpuid_base + 4) {
		cpuid(x, x->cpuid_base + 4, regs);
		x->domid = (regs[0] & XEN_HVM_CPUID_DOMID_PRESENT) != 0 ? regs[2] : 0;
	}
}

int64_t xen_start(struct xen_guest *x, struct guest *guest)
{
	uint64_t via = (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << HVM_PARAM_CALLBACK_IRQ_TYPE_SHIFT;

	memset(x, 0, sizeof(*x));
	x->guest = guest;
	if (!find_base(x)) {
		return -XEN_ENOENT;
	}
	if (!guest_page_alloc(guest, &x->args)) {
		return -XEN_ENOMEM;
	}
	if (!start_stubs(x)) {
		return -XEN_ENXIO;
	}
	read_domid(x);
	x->shared = xen_map(x, XENMAPSPACE_shared_info, 0, &x->shared_below);
	if (x->shared == NULL) {
		return -XEN_EFAULT;
	}
	x->guest->xen_upcall = x->shared + offsetof(struct xen_vcpu_info64, evtchn_upcall_pending);
	if (!xen_grants_start(x)) {
		return -XEN_ENOMEM;
	}
	return xen_param_set(x, HVM_PARAM_CALLBACK_IRQ, via | XEN_CALLBACK_VECTOR);
}

void xen_stop(struct xen_guest *x)
{
	if (x->args.bytes != NULL) {
		(void)xen_param_set(x, HVM_PARAM_CALLBACK_IRQ, 0);
		for (uint32_t i = 0; i < XEN_GRANT_FRAMES; i++) {
			unmap(x, &x->grant_below[i], &x->grants[i]);
		}
		x->guest->xen_upcall = NULL;
		unmap(x, &x->shared_below, &x->shared);
	}
	guest_page_free(x->guest, &x->stubs);
	guest_page_free(x->guest, &x->args);
}
