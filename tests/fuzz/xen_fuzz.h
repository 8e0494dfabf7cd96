/*
 * xen_fuzz.h - for the grammars of the Xen face: a hypercall, and what a signal to a port has to do.
 */
#ifndef TESTS_FUZZ_XEN_FUZZ_H
#define TESTS_FUZZ_XEN_FUZZ_H

#include "enlighten/xen/xen_state.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/host/host.h"

#define XEN_FUZZ_ARGS 0x10000ull
#define XEN_FUZZ_AGAIN_MAX 5000u

/* number(op, &@args, @count) by vCPU @id, in the layout of its mode, until it is done. */
static inline int64_t xen_fuzz_call(struct vm *vm, uint32_t id, uint64_t number, uint64_t op,
                                    const void *args, size_t len, uint64_t count)
{
	struct vcpu *vcpu = vm_vcpu(vm, id);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	bool narrow = !vcpu_mode(vcpu).code64;

	require(vm_write(vm, gpa(XEN_FUZZ_ARGS), args, len) == VM_OK, "arguments are RAM");
	regs->gpr[REG_RAX] = number;
	regs->gpr[narrow ? REG_RBX : REG_RDI] = op;
	regs->gpr[narrow ? REG_RCX : REG_RSI] = XEN_FUZZ_ARGS;
	regs->gpr[REG_RDX] = count;
	for (uint32_t i = 0; xen_face.hypercall(vcpu) == FACE_CALL_AGAIN; i++) {
		require(i < XEN_FUZZ_AGAIN_MAX, "a preempted call ends");
	}
	return narrow ? (int32_t)regs->gpr[REG_RAX] : (int64_t)regs->gpr[REG_RAX];
}

/* ------------------------------------------------------------------ what a signal has to do */

static inline size_t mask_bit(const struct xen_vm *xen, uint32_t port)
{
	return (xen->narrow ? offsetof(struct xen_shared_info32, evtchn_mask)
	                    : offsetof(struct xen_shared_info64, evtchn_mask)) *
	               8 +
	       port;
}

static inline size_t select_bit(const struct xen_vcpu *v, uint32_t port)
{
	return v->xen->narrow ? (v->info_off + 4) * 8 + port / 32 : (v->info_off + 8) * 8 + port / 64;
}

struct signal {
	uint32_t port; /* 0: none is to be raised */
	bool pending, masked, selected, upcall;
};

static inline struct signal signal_of(struct vm *vm, uint32_t port)
{
	const struct xen_vm *xen = xen_of_vm(vm);
	struct signal sig = {.port = port < evtchn_port_limit(xen) ? port : 0};
	const struct xen_vcpu *v;

	if (sig.port != 0) {
		v = xen->vcpus[xen->ports[port].vcpu];
		sig.pending = evtchn_is_pending(xen, port);
		sig.masked = vm_page_test_bit(xen->shared, mask_bit(xen, port));
		sig.selected = vm_page_test_bit(v->info_page, select_bit(v, port));
		sig.upcall = evtchn_upcall_is_pending(v);
		(void)host_vcpu_take_upcall(v->vcpu);
	}
	return sig;
}

static inline void check_signal(struct vm *vm, const struct signal *before)
{
	const struct xen_vm *xen = xen_of_vm(vm);
	const struct xen_vcpu *v;

	if (before->port == 0) {
		return;
	}
	require(evtchn_is_pending(xen, before->port), "what is signalled is pending");
	if (before->pending || before->masked) {
		return;
	}
	v = xen->vcpus[xen->ports[before->port].vcpu];
	require(vm_page_test_bit(v->info_page, select_bit(v, before->port)), "its word is selected");
	if (!before->selected) {
		require(evtchn_upcall_is_pending(v), "its vCPU is to be called");
	}
	if (!before->selected && !before->upcall && v->upcall_vector == 0) {
		require(host_vcpu_take_upcall(v->vcpu), "its vCPU is called");
	}
}

#endif /* TESTS_FUZZ_XEN_FUZZ_H */
