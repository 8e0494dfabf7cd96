/*
 * xen_vcpu_test.c - vcpu_op: start and stop, contexts, vcpu_info of offline and running vCPUs.
 */
#include "tests/unit/xen_guest.h"

static struct xen_vcpu_hvm_context context32(void)
{
	struct xen_vcpu_hvm_context c = {.mode = VCPU_HVM_MODE_32B};
	struct xen_vcpu_x86_32 *r = &c.cpu_regs.x86_32;

	*r = (struct xen_vcpu_x86_32){.eax = 1,
	                              .ecx = 2,
	                              .edx = 3,
	                              .ebx = 4,
	                              .esp = 5,
	                              .ebp = 6,
	                              .esi = 7,
	                              .edi = 8,
	                              .eip = 0x1000,
	                              .cr0 = 0x11,
	                              .cr3 = 0x2000,
	                              .cr4 = 0x20,
	                              .cs_limit = UINT32_MAX,
	                              .ds_limit = UINT32_MAX,
	                              .ss_limit = UINT32_MAX,
	                              .es_limit = UINT32_MAX,
	                              .tr_limit = 0x67,
	                              .ds_base = 0x10,
	                              .cs_ar = 0xC9B,
	                              .ds_ar = 0xC93,
	                              .ss_ar = 0xC93,
	                              .es_ar = 0xC93,
	                              .tr_ar = 0x8B};
	return c;
}

static int64_t initialise(struct vm *vm, uint32_t id, const struct xen_vcpu_hvm_context *c)
{
	return guest_vcpu_op(vm, 0, VCPUOP_initialise, id, c, sizeof(*c));
}

static void test_initialise_32(void)
{
	struct vm *vm = guest_new(2);
	struct xen_vcpu_hvm_context c = context32();
	const struct vcpu_context *got;

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_up, 1, NULL, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(initialise(vm, 1, &c), 0);
	got = host_vcpu_context(vm_vcpu(vm, 1));
	CU_ASSERT_EQUAL(got->regs.rip, 0x1000);
	CU_ASSERT_EQUAL(got->regs.rflags, RFLAGS_FIXED);
	CU_ASSERT_EQUAL(got->regs.gpr[REG_RBX], 4);
	CU_ASSERT_EQUAL(got->regs.gpr[REG_RDI], 8);
	CU_ASSERT_TRUE(got->cr0 == 0x11 && got->cr3 == 0x2000 && got->cr4 == 0x20);
	CU_ASSERT_TRUE(got->ds.base == 0x10 && got->cs.attributes == 0xC9B && got->tr.limit == 0x67);
	CU_ASSERT_EQUAL(initialise(vm, 1, &c), -XEN_EEXIST);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_is_up, 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_up, 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_up, 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_is_up, 1, NULL, 0), 1);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, 1ull << 39),
	                -XEN_EFAULT);
	guest_free(vm);
}

static void test_initialise_64(void)
{
	struct vm *vm = guest_new(2);
	struct xen_vcpu_hvm_context c = {.mode = VCPU_HVM_MODE_64B};
	const struct vcpu_context *got;

	c.cpu_regs.x86_64 = (struct xen_vcpu_x86_64){.rax = 1ull << 40,
	                                             .rsp = 0x7000,
	                                             .rip = 0xFFFFFFFF81000000ull,
	                                             .rflags = 0x200,
	                                             .cr0 = 0x80000011,
	                                             .cr3 = 0x5000,
	                                             .cr4 = 0x20,
	                                             .efer = 0x500};
	CU_ASSERT_EQUAL(initialise(vm, 1, &c), 0);
	got = host_vcpu_context(vm_vcpu(vm, 1));
	CU_ASSERT_EQUAL(got->regs.gpr[REG_RAX], 1ull << 40);
	CU_ASSERT_EQUAL(got->regs.rip, 0xFFFFFFFF81000000ull);
	CU_ASSERT_EQUAL(got->regs.rflags, 0x202);
	CU_ASSERT_EQUAL(got->efer, 0x500);
	CU_ASSERT_EQUAL(got->cs.attributes, 0xA9B);
	CU_ASSERT_EQUAL(got->ss.attributes, 0xC93);
	CU_ASSERT_EQUAL(got->tr.attributes, 0x8B);
	guest_free(vm);
}

static void refused(struct vm *vm, const struct xen_vcpu_hvm_context *c)
{
	CU_ASSERT_EQUAL(initialise(vm, 1, c), -XEN_EINVAL);
	CU_ASSERT_FALSE(host_vcpu_is_initialised(vm_vcpu(vm, 1)));
}

#define REFUSED_WITH(field, value)                           \
	do {                                                 \
		struct xen_vcpu_hvm_context x = context32(); \
		x.cpu_regs.x86_32.field = (value);           \
		refused(vm, &x);                             \
	} while (0)

static void test_bad_contexts(void)
{
	struct vm *vm = guest_new(2);
	struct xen_vcpu_hvm_context c = context32();

	c.mode = 2;
	refused(vm, &c);
	c = context32();
	c.pad = 1;
	refused(vm, &c);
	REFUSED_WITH(pad1, 1);
	REFUSED_WITH(pad2[1], 1);
	REFUSED_WITH(cs_ar, 0);
	REFUSED_WITH(cs_ar, 0xC93); /* data */
	REFUSED_WITH(cs_ar, 0x1C9B); /* reserved */
	REFUSED_WITH(cs_ar, 0xC1B); /* not present */
	REFUSED_WITH(cs_ar, 0xC8B); /* system */
	REFUSED_WITH(cs_limit, 0xFFF);
	REFUSED_WITH(ss_ar, 0);
	REFUSED_WITH(ss_ar, 0xC91); /* read-only */
	REFUSED_WITH(ss_ar, 0xC9B); /* code */
	REFUSED_WITH(ss_ar, 0xCF3); /* another privilege */
	REFUSED_WITH(ds_ar, 0xC99); /* execute only */
	REFUSED_WITH(tr_ar, 0);
	REFUSED_WITH(tr_ar, 0x9B);
	c = context32();
	c.cpu_regs.x86_32.ds_ar = 0; /* these may be null */
	c.cpu_regs.x86_32.es_ar = 0;
	CU_ASSERT_EQUAL(initialise(vm, 1, &c), 0);
	guest_free(vm);
}

static void test_down(void)
{
	struct vm *vm = guest_new(3);
	struct xen_vcpu_hvm_context c = context32();
	enum vm_stop_how how;

	CU_ASSERT_EQUAL(initialise(vm, 1, &c), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_up, 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_down, 0, NULL, 0), 0); /* itself */
	CU_ASSERT_FALSE(vcpu_is_up(vm_vcpu(vm, 0)));
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 1, VCPUOP_down, 1, NULL, 0), 0); /* the last */
	CU_ASSERT_TRUE(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_POWEROFF);
	guest_free(vm);
}

static void test_unknown_vcpus(void)
{
	struct vm *vm = guest_new(2);

	for (uint64_t op = 0; op < 20; op++) {
		CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, op, 2, NULL, 0), -XEN_ENOENT);
		CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, op, UINT32_MAX, NULL, 0), -XEN_ENOENT);
	}
	guest_free(vm);
}

static void test_nmi(void)
{
	struct vm *vm = guest_new(2);

	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_send_nmi, 1, NULL, 0), 0);
	CU_ASSERT_TRUE(host_vcpu_take_nmi(vm_vcpu(vm, 1)));
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_send_nmi, 1, "", 1), -XEN_EINVAL);
	guest_free(vm);
}

static void test_bad_pointers(void)
{
	struct vm *vm = guest_new(1);
	static const uint8_t ops[] = {4, 5, 6, 8, 10, 13, 14, 15};

	for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
		CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vcpu_op, ops[i], 0, 1ull << 39),
		                -XEN_EFAULT);
	}
	guest_free(vm);
}

/* ------------------------------------------------------------------ vcpu_info */

static int64_t register_info(struct vm *vm, uint32_t self, uint32_t id, uint64_t gfn, uint32_t offset)
{
	struct xen_register_vcpu_info arg = {gfn, offset, 0};

	return guest_vcpu_op(vm, self, VCPUOP_register_vcpu_info, id, &arg, sizeof(arg));
}

static void test_register_info(void)
{
	struct vm *vm = guest_new(2);
	uint64_t shared = guest_map_shared(vm);
	struct xen_evtchn_bind_ipi ipi = {0, 0};
	uint32_t port;

	guest_put64(vm, shared + 16, 0xABCD); /* arch part: goes along */
	CU_ASSERT_EQUAL(register_info(vm, 0, 0, 0x60, 128), 0);
	CU_ASSERT_EQUAL(guest_get8(vm, 0x60080), 1);
	CU_ASSERT_EQUAL(guest_get64(vm, 0x60088), UINT64_MAX);
	CU_ASSERT_EQUAL(guest_get64(vm, 0x60090), 0xABCD);
	CU_ASSERT_NOT_EQUAL(guest_get32(vm, 0x60080 + 32 + 24), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x60080 + 32) % 2, 0);
	CU_ASSERT_TRUE(host_vcpu_take_upcall(vm_vcpu(vm, 0)));
	CU_ASSERT_EQUAL(register_info(vm, 0, 0, 0x61, 128), -XEN_EBUSY);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pins, 1);
	guest_put64(vm, 0x60080, 0);
	guest_put64(vm, 0x60088, 0);
	guest_put64(vm, shared, 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_ipi, ipi), 0);
	port = ipi.port;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_send, port), 0);
	CU_ASSERT_EQUAL(guest_get8(vm, 0x60080), 1); /* here now */
	CU_ASSERT_EQUAL(guest_get8(vm, shared), 0);
	/* It may be ballooned away: the pin holds the frame, the guest just sees no more of it. */
	CU_ASSERT_EQUAL(vm_ram_take(vm, gpa(0x60000)), VM_OK);
	guest_put64(vm, shared + 2048, 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_send, port), 0);
	guest_free(vm);
}

static void test_register_info_refusals(void)
{
	struct vm *vm = guest_new(2);
	struct xen_vcpu_hvm_context c = context32();

	CU_ASSERT_EQUAL(register_info(vm, 0, 0, 0x60, 4096 - 56), -XEN_ENXIO);
	CU_ASSERT_EQUAL(register_info(vm, 0, 0, 0x60, 12), -XEN_ENXIO);
	CU_ASSERT_EQUAL(register_info(vm, 0, 0, 0x900, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(register_info(vm, 0, 0, 1ull << 52, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(initialise(vm, 1, &c), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_up, 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(register_info(vm, 0, 1, 0x60, 0), -XEN_EINVAL); /* it runs */
	CU_ASSERT_EQUAL(register_info(vm, 1, 1, 0x60, 4096 - 64), 0); /* on itself it may */
	guest_free(vm);
}

static void test_offline_vcpus_are_prepared(void)
{
	struct vm *vm = guest_new(40);
	struct xen_evtchn_bind_virq virq = {VIRQ_TIMER, 39, 0};
	struct xen_evtchn_bind_ipi ipi = {39, 0};
	struct xen_hvm_upcall_vector vector = {.vcpu = 39, .vector = 0xF3};
	uint32_t port;

	/* Above 31 there is no place in the shared info: nothing arrives until one is registered. */
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_ipi, ipi), 0);
	port = ipi.port;
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_send, port), 0);
	CU_ASSERT_EQUAL(xen_face.upcall(vm_vcpu(vm, 39)), -1);
	CU_ASSERT_EQUAL(register_info(vm, 0, 39, 0x60, 64), 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_set_evtchn_upcall_vector, vector), 0);
	CU_ASSERT_TRUE(host_vcpu_vector_posted(vm_vcpu(vm, 39), 0xF3));
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_virq, virq), 0);
	CU_ASSERT_EQUAL(guest_get8(vm, 0x60040), 1);
	guest_free(vm);
}

static void test_narrow_info(void)
{
	struct vm *vm = guest_new(1);
	uint64_t shared = guest_map_shared(vm);
	struct xen_hvm_param_arg arg = {.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 1};
	struct xen_register_vcpu_info info = {0x60, 4, 0};

	guest_set_narrow(vm, 0, true);
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_set_param, arg), 0); /* latches */
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_info, 0, &info, sizeof(info)), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x60004 + 4), UINT32_MAX);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x60004 + 8), 0);
	/* The wide latch finds it at its odd place and tells all of it again. */
	guest_set_narrow(vm, 0, false);
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_set_param, arg), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x60004 + 8), UINT32_MAX);
	CU_ASSERT_EQUAL(guest_get32(vm, 0x60004 + 12), UINT32_MAX);
	(void)shared;
	guest_free(vm);
}

UNIT_MAIN("xen_vcpu", UNIT_TEST(test_initialise_32), UNIT_TEST(test_initialise_64),
          UNIT_TEST(test_bad_contexts), UNIT_TEST(test_down), UNIT_TEST(test_unknown_vcpus),
          UNIT_TEST(test_nmi), UNIT_TEST(test_bad_pointers), UNIT_TEST(test_register_info),
          UNIT_TEST(test_register_info_refusals), UNIT_TEST(test_offline_vcpus_are_prepared),
          UNIT_TEST(test_narrow_info))
