/*
 * evtchn_test.c - event channels: every call's rules, two-level delivery in both widths, upcalls, the
 * hypervisor's own ends, poll.
 */
#include <pthread.h>

#include "tests/unit/xen_guest.h"

#define PENDING 2048u
#define MASK 2560u

static bool bit_at(struct vm *vm, uint64_t base, uint32_t bit)
{
	return (guest_get8(vm, base + bit / 8) >> (bit % 8) & 1) != 0;
}

static int64_t one_port(struct vm *vm, uint64_t op, uint32_t port)
{
	return GUEST_OP(vm, event_channel_op, op, port);
}

static uint32_t alloc_unbound(struct vm *vm, uint16_t remote)
{
	struct xen_evtchn_alloc_unbound arg = {DOMID_SELF, remote, 0};
	int64_t result = GUEST_OP(vm, event_channel_op, EVTCHNOP_alloc_unbound, arg);

	return result == 0 ? arg.port : 0;
}

static uint32_t bind_ipi(struct vm *vm, uint32_t vcpu)
{
	struct xen_evtchn_bind_ipi arg = {vcpu, 0};

	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_ipi, arg), 0);
	return arg.port;
}

static int64_t bind_virq(struct vm *vm, uint32_t virq, uint32_t vcpu, uint32_t *port)
{
	struct xen_evtchn_bind_virq arg = {virq, vcpu, 0};
	int64_t result = GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_virq, arg);

	*port = arg.port;
	return result;
}

static int64_t bind_vcpu(struct vm *vm, uint32_t port, uint32_t vcpu)
{
	struct xen_evtchn_bind_vcpu arg = {port, vcpu};

	return GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_vcpu, arg);
}

static struct xen_evtchn_status status_of(struct vm *vm, uint32_t port)
{
	struct xen_evtchn_status arg = {.dom = DOMID_SELF, .port = port};

	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_status, arg), 0);
	return arg;
}

static int64_t set_vector(struct vm *vm, uint32_t vcpu, uint8_t vector)
{
	struct xen_hvm_upcall_vector arg = {.vcpu = vcpu, .vector = vector};

	return GUEST_OP(vm, hvm_op, HVMOP_set_evtchn_upcall_vector, arg);
}

static int64_t set_callback(struct vm *vm, uint64_t value)
{
	struct xen_hvm_param_arg arg = {.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = value};

	return GUEST_OP(vm, hvm_op, HVMOP_set_param, arg);
}

static void test_ports_are_lowest_first(void)
{
	struct vm *vm = guest_new(1);

	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 1);
	CU_ASSERT_EQUAL(bind_ipi(vm, 0), 2);
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 3);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 2), 0);
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 2);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 4), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 4096), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, UINT32_MAX), -XEN_EINVAL);
	guest_free(vm);
}

static void test_port_limits(void)
{
	struct vm *vm = guest_new(1);
	struct xen_evtchn_alloc_unbound arg = {DOMID_SELF, 0, 0};
	uint16_t dom = DOMID_SELF;
	uint32_t port;

	for (uint32_t i = 1; i < 4096; i++) {
		CU_ASSERT_EQUAL(alloc_unbound(vm, 0), i);
	}
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_alloc_unbound, arg), -XEN_ENOSPC);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 0, &port), -XEN_ENOSPC);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 4095), 0);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 0, &port), 0);
	CU_ASSERT_EQUAL(port, 4095);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_reset, dom), 0);
	CU_ASSERT_TRUE(guest_again_count >= 15); /* bounded steps */
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 1);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 0, &port), 0);
	dom = 3;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_reset, dom), -XEN_ESRCH);
	guest_free(vm);
}

static void test_alloc_unbound_domains(void)
{
	struct vm *vm = guest_new(1);
	struct xen_evtchn_alloc_unbound arg = {0, DOMID_SELF, 0};

	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_alloc_unbound, arg), -XEN_EPERM);
	arg.dom = GUEST_DOMID;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_alloc_unbound, arg), 0);
	CU_ASSERT_EQUAL(status_of(vm, arg.port).u.unbound.dom, GUEST_DOMID);
	guest_free(vm);
}

static void test_bad_pointers(void)
{
	struct vm *vm = guest_new(1);

	for (uint64_t op = 0; op <= EVTCHNOP_reset; op++) {
		if (op != EVTCHNOP_bind_pirq) {
			CU_ASSERT_EQUAL(
			        guest_call_on(vm, 0, __HYPERVISOR_event_channel_op, op, 1ull << 39, 0),
			        -XEN_EFAULT);
		}
	}
	guest_free(vm);
}

static void test_loopback(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	struct xen_evtchn_bind_interdomain arg = {.remote_dom = DOMID_SELF};
	struct xen_evtchn_status s;
	uint32_t a = alloc_unbound(vm, DOMID_SELF);

	arg.remote_port = a;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), 0);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, arg.local_port)); /* at bind */
	CU_ASSERT_FALSE(bit_at(vm, shared + PENDING, a));
	s = status_of(vm, a);
	CU_ASSERT_EQUAL(s.status, EVTCHNSTAT_interdomain);
	CU_ASSERT_EQUAL(s.u.interdomain.dom, GUEST_DOMID);
	CU_ASSERT_EQUAL(s.u.interdomain.port, arg.local_port);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, arg.local_port), 0);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, a));
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, arg.local_port), 0);
	s = status_of(vm, a);
	CU_ASSERT_EQUAL(s.status, EVTCHNSTAT_unbound); /* still ours to bind again */
	CU_ASSERT_EQUAL(s.u.unbound.dom, GUEST_DOMID);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), 0);
	arg.remote_dom = 0;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), -XEN_EINVAL);
	arg.remote_dom = 5;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), -XEN_ESRCH);
	arg.remote_dom = DOMID_SELF;
	arg.remote_port = alloc_unbound(vm, 0); /* for domain 0, not for us */
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), -XEN_EINVAL);
	guest_free(vm);
}

static void test_loopback_without_a_port_left(void)
{
	struct vm *vm = guest_new(1);
	struct xen_evtchn_bind_interdomain arg = {.remote_dom = DOMID_SELF, .remote_port = 1};

	while (alloc_unbound(vm, DOMID_SELF) != 0) {
	}
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg), -XEN_ENOSPC);
	CU_ASSERT_EQUAL(status_of(vm, 1).status, EVTCHNSTAT_unbound);
	guest_free(vm);
}

static void test_virqs(void)
{
	struct vm *vm = guest_new(2);
	uint32_t port;

	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 1, &port), 0);
	CU_ASSERT_EQUAL(status_of(vm, port).status, EVTCHNSTAT_virq);
	CU_ASSERT_EQUAL(status_of(vm, port).vcpu, 1);
	CU_ASSERT_EQUAL(bind_vcpu(vm, port, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 1, &port), -XEN_EEXIST);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 0, &port), 0);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_DEBUG, 0, &port), 0);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_TIMER, 2, &port), -XEN_ENOENT);
	CU_ASSERT_EQUAL(bind_virq(vm, NR_VIRQS, 0, &port), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_CONSOLE, 1, &port), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_CONSOLE, 0, &port), -XEN_EBUSY);
	/* A domain's own may move, and is found again when it is closed. */
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_ARGO, 0, &port), 0);
	CU_ASSERT_EQUAL(bind_vcpu(vm, port, 1), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, port), 0);
	CU_ASSERT_EQUAL(bind_virq(vm, VIRQ_ARGO, 0, &port), 0);
	guest_free(vm);
}

static void test_status_and_bind_vcpu(void)
{
	struct vm *vm = guest_new(2);
	struct xen_evtchn_status s = {.dom = 3, .port = 1};
	struct xen_evtchn_bind_ipi ipi = {9, 0};
	uint32_t port = bind_ipi(vm, 1);

	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_status, s), -XEN_ESRCH);
	s = (struct xen_evtchn_status){.dom = DOMID_SELF, .port = 4096};
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_status, s), -XEN_EINVAL);
	CU_ASSERT_EQUAL(status_of(vm, 77).status, EVTCHNSTAT_closed);
	CU_ASSERT_EQUAL(status_of(vm, port).status, EVTCHNSTAT_ipi);
	CU_ASSERT_EQUAL(status_of(vm, port).vcpu, 1);
	CU_ASSERT_EQUAL(bind_vcpu(vm, port, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_vcpu(vm, 77, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_vcpu(vm, port, 2), -XEN_ENOENT);
	port = alloc_unbound(vm, 0);
	CU_ASSERT_EQUAL(bind_vcpu(vm, port, 1), 0);
	CU_ASSERT_EQUAL(status_of(vm, port).vcpu, 1);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_ipi, ipi), -XEN_ENOENT);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0); /* unbound: dropped */
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, 99), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_unmask, 99), -XEN_EINVAL);
	guest_free(vm);
}

/* ------------------------------------------------------------------ delivery */

static void test_delivery_by_own_vector(void)
{
	struct vm *vm = guest_new(2);
	struct vcpu *vcpu = vm_vcpu(vm, 1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_ipi(vm, 1);

	CU_ASSERT_EQUAL(set_vector(vm, 1, 15), -XEN_EINVAL);
	CU_ASSERT_EQUAL(set_vector(vm, 2, 0xF3), -XEN_ENOENT);
	CU_ASSERT_EQUAL(set_vector(vm, 1, 0xF3), 0);
	CU_ASSERT_TRUE(host_vcpu_take_this_vector(vcpu, 0xF3)); /* once, by itself */
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, port));
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 64 + 8), 1); /* pending_sel of vCPU 1 */
	CU_ASSERT_EQUAL(guest_get8(vm, shared + 64), 1);
	CU_ASSERT_TRUE(host_vcpu_take_this_vector(vcpu, 0xF3));
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0); /* still pending: no edge */
	CU_ASSERT_FALSE(host_vcpu_take_this_vector(vcpu, 0xF3));
	/* Pending, but this vCPU has the byte still set: no second edge. */
	guest_put32(vm, shared + PENDING, 0);
	guest_put64(vm, shared + 64 + 8, 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_FALSE(host_vcpu_take_this_vector(vcpu, 0xF3));
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), -1); /* never past the APIC */
	guest_free(vm);
}

static void test_lapic_enable_raises_again(void)
{
	struct vm *vm = guest_new(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint32_t port = bind_ipi(vm, 0);

	xen_face.lapic_enabled(vcpu);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, 0xF3), 0);
	host_vcpu_set_lapic(vcpu, false);
	CU_ASSERT_EQUAL(set_vector(vm, 0, 0xF3), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_FALSE(host_vcpu_vector_posted(vcpu, 0xF3));
	host_vcpu_set_lapic(vcpu, true);
	xen_face.lapic_enabled(vcpu);
	CU_ASSERT_TRUE(host_vcpu_vector_posted(vcpu, 0xF3));
	guest_free(vm);
}

static void test_delivery_by_callback(void)
{
	struct vm *vm = guest_new(2);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_ipi(vm, 0);

	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), -1); /* no callback yet */
	host_vcpu_take_upcall(vcpu);
	CU_ASSERT_EQUAL(set_callback(vm, 2ull << 56 | 0x40), 0);
	CU_ASSERT_TRUE(host_vcpu_take_upcall(vcpu)); /* what was pending */
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), 0x40);
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), 0x40); /* as a level */
	CU_ASSERT_EQUAL(xen_face.upcall(vm_vcpu(vm, 1)), -1);
	guest_put(vm, shared, "", 1);
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), -1);
	guest_put32(vm, shared + PENDING, 0);
	guest_put64(vm, shared + 8, 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_TRUE(host_vcpu_take_upcall(vcpu));
	CU_ASSERT_EQUAL(set_callback(vm, 2ull << 56 | 15), 0); /* an exception's number: none */
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), -1);
	CU_ASSERT_EQUAL(set_callback(vm, 3ull << 56 | 0x40), 0);
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), -1);
	CU_ASSERT_EQUAL(set_callback(vm, 2ull << 56 | 0x41), 0);
	CU_ASSERT_EQUAL(set_vector(vm, 0, 0xF3), 0);
	CU_ASSERT_EQUAL(xen_face.upcall(vcpu), -1); /* its own vector comes first */
	guest_free(vm);
}

static void test_mask_and_unmask(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_ipi(vm, 0);

	guest_put64(vm, shared + MASK, UINT64_MAX);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, port));
	CU_ASSERT_EQUAL(guest_get8(vm, shared), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_unmask, port), 0);
	CU_ASSERT_FALSE(bit_at(vm, shared + MASK, port));
	CU_ASSERT_TRUE(bit_at(vm, shared + MASK, port + 1));
	CU_ASSERT_EQUAL(guest_get8(vm, shared), 1);
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 8), 1);
	/* Not masked: unmask does nothing, though it is pending. */
	guest_put(vm, shared, "", 1);
	guest_put64(vm, shared + 8, 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_unmask, port), 0);
	CU_ASSERT_EQUAL(guest_get8(vm, shared), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, port), 0);
	CU_ASSERT_FALSE(bit_at(vm, shared + PENDING, port));
	guest_free(vm);
}

static void test_high_ports_select_their_word(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = 0;

	while (port != 4095) {
		port = bind_ipi(vm, 0);
	}
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, 4095), 0);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, 4095));
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 8), 1ull << 63);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, 64), 0);
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 8), 1ull << 63 | 2);
	guest_free(vm);
}

static void test_narrow_layout_and_relatch(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint32_t port = 0;

	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(xen_face.msr_write(vcpu, XEN_MSR_BASE, 0x50000), FACE_MSR_OK);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 2308),
	                (uint32_t)5000000001u); /* the wall clock came along */
	while (port != 1023) {
		port = bind_ipi(vm, 0);
	}
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, 40), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 4), 2); /* words of 32 */
	guest_put32(vm, shared + 2176 + 8, 0xFFFFFFFF); /* masks of ports 64 to 95 */
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, 70), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 4), 2);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_unmask, 70), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 4), 2 | 4);
	/* A 64-bit kernel has set its masks, then latches. */
	guest_set_narrow(vm, 0, false);
	guest_put64(vm, shared + MASK, UINT64_MAX);
	CU_ASSERT_EQUAL(set_callback(vm, 1), 0);
	CU_ASSERT_EQUAL(guest_get64(vm, shared + MASK), UINT64_MAX);
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 2176), 0); /* no port above 1023 was pending */
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 8), UINT64_MAX);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, 40));
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 1024);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 3076), (uint32_t)5000000001u);
	/* And back: what lies above is not reached any more. */
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 1024), 0);
	CU_ASSERT_EQUAL(bind_ipi(vm, 0), 1024);
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(set_callback(vm, 1), 0);
	guest_put32(vm, shared + 2176, 0x55);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, 1024), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_unmask, 1024), 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, 1024), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, shared + 2176), 0x55);
	guest_free(vm);
}

/* ------------------------------------------------------------------ our own ends */

static void count_up(void *context)
{
	++*(uint32_t *)context;
}

static void test_backend_ports(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t sends = 0;
	struct evtchn_backend be = {count_up, &sends};
	uint32_t port = evtchn_backend_alloc(vm, &be);
	struct xen_evtchn_status s = status_of(vm, port);

	CU_ASSERT_EQUAL(port, 1);
	CU_ASSERT_EQUAL(s.status, EVTCHNSTAT_interdomain);
	CU_ASSERT_EQUAL(s.u.interdomain.dom, 0);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_EQUAL(sends, 1);
	CU_ASSERT_FALSE(bit_at(vm, shared + PENDING, port));
	evtchn_backend_notify(vm, port);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, port));
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, port), 0);
	evtchn_backend_notify(vm, port); /* nothing: it is free */
	CU_ASSERT_FALSE(bit_at(vm, shared + PENDING, port));
	CU_ASSERT_EQUAL(bind_ipi(vm, 0), port);
	evtchn_backend_notify(vm, port); /* nothing: it is another's */
	evtchn_backend_unbind(vm, port);
	CU_ASSERT_FALSE(bit_at(vm, shared + PENDING, port));
	CU_ASSERT_EQUAL(status_of(vm, port).status, EVTCHNSTAT_ipi);
	guest_free(vm);
}

static int64_t bind_zeros(struct vm *vm, uint32_t remote_port, uint32_t *port)
{
	struct xen_evtchn_bind_interdomain arg = {.remote_dom = 0, .remote_port = remote_port};
	int64_t error = GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_interdomain, arg);

	*port = arg.local_port;
	return error;
}

/* What the guest closes of the store's and console's ports, closed singly or all at once, it can bind again. */
static void test_left_ports(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t sends = 0;
	struct evtchn_backend be = {count_up, &sends};
	uint32_t store = evtchn_backend_alloc(vm, &be), console = evtchn_backend_alloc(vm, &be);
	uint32_t device = evtchn_backend_alloc(vm, &be), port;
	uint16_t dom = DOMID_SELF;

	xen_set_store_port(vm, store);
	xen_set_console_port(vm, console);
	CU_ASSERT_EQUAL(bind_zeros(vm, store, &port), -XEN_EINVAL); /* it is bound */
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, store), 0);
	CU_ASSERT_EQUAL(status_of(vm, store).status, EVTCHNSTAT_closed);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, store), -XEN_EINVAL);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_close, store), -XEN_EINVAL);
	evtchn_backend_notify(vm, store); /* nothing: nobody is there */
	CU_ASSERT_FALSE(bit_at(vm, shared + PENDING, store));
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), 4); /* its number is kept */
	CU_ASSERT_EQUAL(bind_zeros(vm, store, &port), 0);
	CU_ASSERT_EQUAL(port, store);
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, store));
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, store), 0);
	CU_ASSERT_EQUAL(sends, 1);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_reset, dom), 0);
	CU_ASSERT_EQUAL(bind_zeros(vm, device, &port), -XEN_EINVAL); /* a device's goes */
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), device);
	CU_ASSERT_EQUAL(bind_zeros(vm, 0, &port), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_zeros(vm, 4096, &port), -XEN_EINVAL);
	CU_ASSERT_EQUAL(bind_zeros(vm, store, &port), 0);
	CU_ASSERT_EQUAL(bind_zeros(vm, store, &port), -XEN_EINVAL);
	evtchn_backend_unbind(vm, console); /* its owner has gone meanwhile */
	CU_ASSERT_EQUAL(bind_zeros(vm, console, &port), -XEN_EINVAL);
	CU_ASSERT_EQUAL(alloc_unbound(vm, 0), console);
	evtchn_backend_unbind(vm, UINT32_MAX);
	guest_free(vm);
}

static void test_backend_bind(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	uint32_t sends = 0;
	struct evtchn_backend be = {count_up, &sends};
	uint32_t port = alloc_unbound(vm, 0);

	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_TRUE(evtchn_backend_bind(vm, port, &be));
	CU_ASSERT_TRUE(bit_at(vm, shared + PENDING, port));
	CU_ASSERT_FALSE(evtchn_backend_bind(vm, port, &be));
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_EQUAL(sends, 1);
	evtchn_backend_unbind(vm, port);
	CU_ASSERT_EQUAL(status_of(vm, port).status, EVTCHNSTAT_unbound);
	CU_ASSERT_EQUAL(one_port(vm, EVTCHNOP_send, port), 0);
	CU_ASSERT_EQUAL(sends, 1);
	CU_ASSERT_TRUE(evtchn_backend_bind(vm, port, &be));
	CU_ASSERT_FALSE(evtchn_backend_bind(vm, 0, &be));
	CU_ASSERT_FALSE(evtchn_backend_bind(vm, 4096, &be));
	CU_ASSERT_FALSE(evtchn_backend_bind(vm, alloc_unbound(vm, DOMID_SELF), &be));
	CU_ASSERT_FALSE(evtchn_backend_bind(vm, bind_ipi(vm, 0), &be));
	while (alloc_unbound(vm, 0) != 0) {
	}
	CU_ASSERT_EQUAL(evtchn_backend_alloc(vm, &be), 0);
	guest_free(vm);
}

/* ------------------------------------------------------------------ poll */

static int64_t poll(struct vm *vm, uint32_t count, uint64_t timeout)
{
	struct xen_sched_poll64 arg = {GUEST_DATA, count, 0, timeout};

	return GUEST_OP(vm, sched_op, SCHEDOP_poll, arg);
}

static void test_poll(void)
{
	struct vm *vm = guest_new(2);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint64_t shared = guest_map_shared(vm);
	uint32_t port = bind_ipi(vm, 0);
	uint32_t other = bind_ipi(vm, 0);

	guest_put64(vm, shared + MASK, UINT64_MAX); /* masked makes no difference */
	guest_put32(vm, GUEST_DATA, port);
	CU_ASSERT_EQUAL(poll(vm, 1, 0), 0);
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vcpu));
	host_vcpu_set_runstate(vcpu, VCPU_BLOCKED);
	xen_face.scheduled(vcpu);
	CU_ASSERT_EQUAL(guest_op_on(vm, 1, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &other, 4), 0);
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vcpu));
	CU_ASSERT_EQUAL(guest_op_on(vm, 1, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &port, 4), 0);
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	host_vcpu_set_runstate(vcpu, VCPU_RUNNING);
	xen_face.scheduled(vcpu);
	CU_ASSERT_EQUAL(poll(vm, 1, 0), 0); /* pending by now */
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	guest_free(vm);
}

static void test_poll_many_and_none(void)
{
	struct vm *vm = guest_new(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint32_t ports[2] = {bind_ipi(vm, 0), bind_ipi(vm, 0)};

	guest_put(vm, GUEST_DATA, ports, sizeof(ports));
	CU_ASSERT_EQUAL(poll(vm, 2, 5000), 0);
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vcpu));
	CU_ASSERT_EQUAL(host_vcpu_wait_deadline_ns(vcpu), 5000);
	CU_ASSERT_EQUAL(guest_op_on(vm, 0, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &ports[1], 4), 0);
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	CU_ASSERT_TRUE(host_vcpu_take_upcall(vcpu));
	host_time_set(vm, 6000);
	CU_ASSERT_EQUAL(poll(vm, 0, 6000), 0); /* over already */
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	CU_ASSERT_EQUAL(poll(vm, 0, 7000), 0); /* a sleep */
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vcpu));
	CU_ASSERT_EQUAL(poll(vm, 129, 0), -XEN_EINVAL);
	guest_put32(vm, GUEST_DATA, 4096);
	CU_ASSERT_EQUAL(poll(vm, 1, 0), -XEN_EINVAL);
	guest_put32(vm, GUEST_DATA, 0);
	CU_ASSERT_EQUAL(poll(vm, 1, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_sched_op, SCHEDOP_poll, 1ull << 39, 0),
	                -XEN_EFAULT);
	guest_free(vm);
}

static void test_poll_narrow(void)
{
	struct vm *vm = guest_new(1);
	struct xen_sched_poll32 arg = {GUEST_DATA, 1, 9000};

	guest_put32(vm, GUEST_DATA, bind_ipi(vm, 0));
	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GUEST_OP(vm, sched_op, SCHEDOP_poll, arg), 0);
	CU_ASSERT_EQUAL(host_vcpu_wait_deadline_ns(vm_vcpu(vm, 0)), 9000);
	arg.ports = 0xFFFFF000;
	CU_ASSERT_EQUAL(GUEST_OP(vm, sched_op, SCHEDOP_poll, arg), -XEN_EFAULT);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_sched_op, SCHEDOP_poll, 0xFFFFF000, 0),
	                -XEN_EFAULT);
	guest_free(vm);
}

/* ------------------------------------------------------------------ several vCPUs at once */

#define RACE_SENDS 20000u
#define RACE_PORTS 4u

struct race {
	struct vm *vm;
	uint8_t *shared;
	uint32_t ports[RACE_PORTS]; /* IPIs to vCPU 1 */
	uint32_t sent, seen; /* of ports[0], which has one sender: it waits for each to be seen */
	uint32_t stop;
	bool lost;
};

/* vCPU 0: sends on the first port and waits until vCPU 1 has seen it. */
static void *race_send(void *context)
{
	struct race *r = context;
	struct cpu_regs *regs = vcpu_regs(vm_vcpu(r->vm, 0));

	for (uint32_t i = 1; i <= RACE_SENDS && !r->lost; i++) {
		uint64_t spins = 0;

		regs->gpr[REG_RAX] = __HYPERVISOR_event_channel_op;
		regs->gpr[REG_RDI] = EVTCHNOP_send;
		regs->gpr[REG_RSI] = GUEST_DATA;
		__atomic_store_n(&r->sent, i, __ATOMIC_RELEASE);
		(void)xen_face.hypercall(vm_vcpu(r->vm, 0));
		while (__atomic_load_n(&r->seen, __ATOMIC_ACQUIRE) != i && !r->lost) {
			r->lost = ++spins > 2000000000ull;
		}
	}
	__atomic_store_n(&r->stop, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* vCPU 2: noise on the other ports, and a backend's port that comes and goes. */
static void *race_noise(void *context)
{
	struct race *r = context;
	struct cpu_regs *regs = vcpu_regs(vm_vcpu(r->vm, 2));
	uint32_t count = 0;
	struct evtchn_backend be = {count_up, &count};

	for (uint32_t i = 0; __atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == 0; i++) {
		uint32_t port = evtchn_backend_alloc(r->vm, &be);

		regs->gpr[REG_RAX] = __HYPERVISOR_event_channel_op;
		regs->gpr[REG_RDI] = EVTCHNOP_send;
		regs->gpr[REG_RSI] = GUEST_DATA + 64 + i % (RACE_PORTS - 1) * 4;
		(void)xen_face.hypercall(vm_vcpu(r->vm, 2));
		evtchn_backend_notify(r->vm, port);
		regs->gpr[REG_RAX] = __HYPERVISOR_event_channel_op;
		regs->gpr[REG_RDI] = EVTCHNOP_close;
		regs->gpr[REG_RSI] = GUEST_DATA + 128;
		guest_put32(r->vm, GUEST_DATA + 128, port);
		(void)xen_face.hypercall(vm_vcpu(r->vm, 2));
	}
	return NULL;
}

/* vCPU 1: takes upcalls as Linux does: byte, selector, pending words. */
static void race_take(struct race *r)
{
	uint64_t *sel = (uint64_t *)(void *)(r->shared + 64 + 8);
	uint64_t *pending = (uint64_t *)(void *)(r->shared + PENDING);
	uint64_t words, bits;

	__atomic_store_n(r->shared + 64, 0, __ATOMIC_SEQ_CST);
	words = __atomic_exchange_n(sel, 0, __ATOMIC_SEQ_CST);
	if ((words & 1) == 0) {
		return;
	}
	bits = __atomic_exchange_n(&pending[0], 0, __ATOMIC_SEQ_CST);
	if ((bits >> r->ports[0] & 1) != 0) {
		__atomic_store_n(&r->seen, __atomic_load_n(&r->sent, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	}
}

static void *race_receive(void *context)
{
	struct race *r = context;
	struct vcpu *vcpu = vm_vcpu(r->vm, 1);

	while (__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == 0) {
		if (xen_face.upcall(vcpu) == 0x40) {
			race_take(r);
		}
		xen_face.scheduled(vcpu);
	}
	return NULL;
}

/* No event is lost, whoever else sends, binds and closes. */
static void test_no_event_is_lost(void)
{
	struct vm *vm = guest_new(3);
	struct race r = {.vm = vm};
	pthread_t threads[3];

	r.shared = host_vm_bytes(vm, guest_map_shared(vm), 4096);
	for (uint32_t i = 0; i < RACE_PORTS; i++) {
		r.ports[i] = bind_ipi(vm, 1);
		guest_put32(vm, i == 0 ? GUEST_DATA : GUEST_DATA + 64 + (i - 1) * 4, r.ports[i]);
	}
	CU_ASSERT_EQUAL(set_callback(vm, 2ull << 56 | 0x40), 0);
	CU_ASSERT_EQUAL(pthread_create(&threads[0], NULL, race_receive, &r), 0);
	CU_ASSERT_EQUAL(pthread_create(&threads[1], NULL, race_noise, &r), 0);
	CU_ASSERT_EQUAL(pthread_create(&threads[2], NULL, race_send, &r), 0);
	for (uint32_t i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
	}
	CU_ASSERT_FALSE(r.lost);
	CU_ASSERT_EQUAL(r.seen, RACE_SENDS);
	guest_free(vm);
}

UNIT_MAIN("evtchn", UNIT_TEST(test_ports_are_lowest_first), UNIT_TEST(test_port_limits),
          UNIT_TEST(test_alloc_unbound_domains), UNIT_TEST(test_bad_pointers), UNIT_TEST(test_loopback),
          UNIT_TEST(test_loopback_without_a_port_left), UNIT_TEST(test_virqs),
          UNIT_TEST(test_status_and_bind_vcpu), UNIT_TEST(test_delivery_by_own_vector),
          UNIT_TEST(test_lapic_enable_raises_again), UNIT_TEST(test_delivery_by_callback),
          UNIT_TEST(test_mask_and_unmask), UNIT_TEST(test_high_ports_select_their_word),
          UNIT_TEST(test_narrow_layout_and_relatch), UNIT_TEST(test_backend_ports), UNIT_TEST(test_left_ports),
          UNIT_TEST(test_backend_bind), UNIT_TEST(test_poll), UNIT_TEST(test_poll_many_and_none),
          UNIT_TEST(test_poll_narrow), UNIT_TEST(test_no_event_is_lost))
