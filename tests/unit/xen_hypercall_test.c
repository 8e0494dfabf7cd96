/*
 * xen_hypercall_test.c - calling convention, dispatch, counting, multicall, versions, parameters, CPUID,
 * MSR, scheduling calls, life of the Xen face.
 */
#include "tests/unit/xen_guest.h"

static void test_privilege_and_modes(void)
{
	struct vm *vm = guest_new(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);

	host_vcpu_set_mode(
	        vcpu,
	        (struct vcpu_mode){.cpl = 3, .protected_mode = true, .long_mode = true, .code64 = true});
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, 0, 0, 0), -XEN_EPERM);
	host_vcpu_set_mode(vcpu, (struct vcpu_mode){.vm86 = true, .protected_mode = true});
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, 0, 0, 0), -XEN_EPERM);
	host_vcpu_set_mode(vcpu, (struct vcpu_mode){0}); /* real mode may */
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, 0, 0, 0), 4 << 16 | 17);
	guest_free(vm);
}

static void test_unknown_numbers(void)
{
	struct vm *vm = guest_new(1);
	static const uint64_t numbers[] = {0, 6, 16, 19, 43, 127, 1ull << 31, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		CU_ASSERT_EQUAL(guest_call_on(vm, 0, numbers[i], 0, 0, 0), -XEN_ENOSYS);
	}
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_XEN_HYPERCALL, SPEC_UNKNOWN), ARRAY_COUNT(numbers));
	/* In 32-bit mode the upper half of RAX is not the caller's. */
	guest_set_narrow(vm, 0, true);
	vcpu_regs(vm_vcpu(vm, 0))->gpr[REG_RAX] = 0;
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, 0xF00000000ull | __HYPERVISOR_xen_version, 0, 0, 0),
	                4 << 16 | 17);
	guest_free(vm);
}

static void test_refused_rows(void)
{
	struct vm *vm = guest_new(1);
	static const struct {
		uint64_t number, op;
		int64_t error;
	} rows[] = {
	        {__HYPERVISOR_platform_op, 0, -XEN_ENOSYS},
	        {__HYPERVISOR_console_io, 0, -XEN_ENOSYS},
	        {__HYPERVISOR_mmuext_op, 0, -XEN_ENOSYS},
	        {__HYPERVISOR_physdev_op, 0, -XEN_ENOSYS},
	        {__HYPERVISOR_sysctl, 0, -XEN_EPERM},
	        {__HYPERVISOR_domctl, 0, -XEN_EPERM},
	        {__HYPERVISOR_dm_op, 0, -XEN_EPERM},
	        {__HYPERVISOR_argo_op, 0, -XEN_ENOSYS},
	        {__HYPERVISOR_memory_op, 10, -XEN_EPERM},
	        {__HYPERVISOR_memory_op, 11, -XEN_EOPNOTSUPP},
	        {__HYPERVISOR_memory_op, 8, -XEN_ENOSYS},
	        {__HYPERVISOR_memory_op, 26, -XEN_EOPNOTSUPP},
	        {__HYPERVISOR_memory_op, 5, -XEN_ENOSYS},
	        {__HYPERVISOR_vcpu_op, 12, -XEN_EINVAL},
	        {__HYPERVISOR_vcpu_op, 16, -XEN_ENOSYS},
	        {__HYPERVISOR_sched_op, 4, -XEN_EPERM},
	        {__HYPERVISOR_sched_op, 7, -XEN_EPERM},
	        {__HYPERVISOR_sched_op, 8, -XEN_ENOSYS},
	        {__HYPERVISOR_event_channel_op, 2, -XEN_EPERM},
	        {__HYPERVISOR_event_channel_op, 11, -XEN_ENOSYS},
	        {__HYPERVISOR_event_channel_op, 12, -XEN_ENOSYS},
	        {__HYPERVISOR_event_channel_op, 13, -XEN_ENOSYS},
	        {__HYPERVISOR_event_channel_op, 14, -XEN_ENOSYS},
	        {__HYPERVISOR_hvm_op, 2, -XEN_ENOSYS},
	        {__HYPERVISOR_hvm_op, 9, -XEN_EINVAL},
	        {__HYPERVISOR_hvm_op, 24, -XEN_ENOSYS},
	        {__HYPERVISOR_hvm_op, 25, -XEN_EOPNOTSUPP},
	        {__HYPERVISOR_grant_table_op, 3, -XEN_ENOSYS},
	        {__HYPERVISOR_grant_table_op, 9, -XEN_ENOSYS},
	        {__HYPERVISOR_xen_version, 10, -XEN_ENODATA},
	        {__HYPERVISOR_xen_version, 11, -XEN_ENOSYS},
	        {__HYPERVISOR_multicall, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CU_ASSERT_EQUAL(guest_call_on(vm, 0, rows[i].number, rows[i].op, 0, 0), rows[i].error);
	}
	guest_free(vm);
}

static void test_versions(void)
{
	struct vm *vm = guest_new(1);
	char text[1024];
	struct xen_feature_submap features = {0};

	memset(text, 0x55, sizeof(text));
	guest_put(vm, GUEST_DATA, text, sizeof(text));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_extraversion, GUEST_DATA, 0),
	                0);
	guest_get(vm, GUEST_DATA, text, 17);
	CU_ASSERT_STRING_EQUAL(text, ".0-janus");
	CU_ASSERT_EQUAL(text[15], 0);
	CU_ASSERT_EQUAL(text[16], 0x55); /* not a byte more */
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_compile_info, GUEST_DATA, 0),
	                0);
	guest_get(vm, GUEST_DATA, text, 145);
	CU_ASSERT_STRING_EQUAL(text + 64, "janus");
	CU_ASSERT_EQUAL(text[144], 0x55);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_capabilities, GUEST_DATA, 0),
	                0);
	guest_get(vm, GUEST_DATA, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "hvm-3.0-x86_64"));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_changeset, GUEST_DATA, 0), 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_commandline, GUEST_DATA, 0), 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_pagesize, 0, 0), 4096);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_guest_handle, GUEST_DATA, 0),
	                0);
	guest_get(vm, GUEST_DATA, text, 16);
	CU_ASSERT_EQUAL(text[15], 16);
	guest_put64(vm, GUEST_DATA, 99);
	CU_ASSERT_EQUAL(
	        guest_call_on(vm, 0, __HYPERVISOR_xen_version, XENVER_platform_parameters, GUEST_DATA, 0), 0);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA), 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, xen_version, XENVER_get_features, features), 0);
	CU_ASSERT_EQUAL(features.submap & (1u << 2 | 1u << 8 | 1u << 9 | 1u << 10),
	                1u << 2 | 1u << 8 | 1u << 9);
	features.submap_idx = 1;
	CU_ASSERT_EQUAL(GUEST_OP(vm, xen_version, XENVER_get_features, features), -XEN_EINVAL);
	for (uint64_t op = XENVER_extraversion; op <= XENVER_commandline; op++) {
		if (op != XENVER_pagesize) {
			CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_xen_version, op, 1ull << 39, 0),
			                -XEN_EFAULT);
		}
	}
	guest_free(vm);
}

static void fill_multicall(struct vm *vm, uint32_t n, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
	struct xen_multicall64 entry = {.op = op, .result = 77, .args = {a, b, c}};

	guest_put(vm, GUEST_DATA + n * sizeof(entry), &entry, sizeof(entry));
}

static void test_multicall(void)
{
	struct vm *vm = guest_new(1);

	fill_multicall(vm, 0, __HYPERVISOR_xen_version, XENVER_pagesize, 0, 0);
	fill_multicall(vm, 1, 999, 0, 0, 0);
	fill_multicall(vm, 2, __HYPERVISOR_multicall, GUEST_DATA, 3, 0);
	fill_multicall(vm, 3, __HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, GUEST_DATA, 4, 0), 0);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 8), 4096);
	CU_ASSERT_EQUAL((int64_t)guest_get64(vm, GUEST_DATA + 64 + 8), -XEN_ENOSYS);
	CU_ASSERT_EQUAL((int64_t)guest_get64(vm, GUEST_DATA + 128 + 8), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 192 + 8), 0);
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vm_vcpu(vm, 0)), 1);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, 1ull << 39, 1, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_multicall_is_preempted(void)
{
	struct vm *vm = guest_new(1);
	const uint32_t count = 300;

	for (uint32_t i = 0; i < count; i++) {
		fill_multicall(vm, i, __HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0);
	}
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, GUEST_DATA, count, 0), 0);
	CU_ASSERT_EQUAL(guest_again_count, 4); /* 64 an exit */
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vm_vcpu(vm, 0)), count);
	for (uint32_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + i * 64 + 8), 0);
	}
	guest_free(vm);
}

/* A long call within a list goes on where it was: its progress is in the list. */
static void test_multicall_of_long_call(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation64 r = {.extent_start = 0x40000, .nr_extents = 200, .domid = DOMID_SELF};
	uint64_t before = vm_ram_pages(vm);

	for (uint32_t i = 0; i < 200; i++) {
		guest_put64(vm, 0x40000 + i * 8, 0x200 + i);
	}
	guest_put(vm, GUEST_ARGS, &r, sizeof(r));
	fill_multicall(vm, 0, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, GUEST_ARGS, 0);
	fill_multicall(vm, 1, __HYPERVISOR_xen_version, XENVER_pagesize, 0, 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, GUEST_DATA, 2, 0), 0);
	CU_ASSERT_TRUE(guest_again_count >= 3);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 8), 200);
	CU_ASSERT_EQUAL(guest_get64(vm, GUEST_DATA + 64 + 8), 4096);
	CU_ASSERT_EQUAL(vm_ram_pages(vm), before - 200);
	guest_free(vm);
}

static void test_multicall_narrow(void)
{
	struct vm *vm = guest_new(1);
	struct xen_multicall32 list[2] = {
	        {.op = __HYPERVISOR_xen_version, .args = {XENVER_pagesize}},
	        {.op = __HYPERVISOR_xen_version, .args = {XENVER_extraversion, 0xFFFFF000}},
	};

	guest_set_narrow(vm, 0, true);
	guest_put(vm, GUEST_DATA, list, sizeof(list));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, GUEST_DATA, 2, 0), 0);
	guest_get(vm, GUEST_DATA, list, sizeof(list));
	CU_ASSERT_EQUAL(list[0].result, 4096);
	CU_ASSERT_EQUAL((int32_t)list[1].result, -XEN_EFAULT);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, 0xFFFFF000, 1, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_multicall_narrow_preempted(void)
{
	struct vm *vm = guest_new(1);
	struct xen_reservation32 r = {.extent_start = 0x40000, .nr_extents = 150, .domid = DOMID_SELF};
	struct xen_multicall32 entry = {.op = __HYPERVISOR_memory_op,
	                                .args = {XENMEM_decrease_reservation, GUEST_ARGS}};

	for (uint32_t i = 0; i < 150; i++) {
		guest_put32(vm, 0x40000 + i * 4, 0x200 + i);
	}
	guest_set_narrow(vm, 0, true);
	guest_put(vm, GUEST_ARGS, &r, sizeof(r));
	guest_put(vm, GUEST_DATA, &entry, sizeof(entry));
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_multicall, GUEST_DATA, 1, 0), 0);
	CU_ASSERT_EQUAL(guest_get32(vm, GUEST_DATA + 4), 150);
	CU_ASSERT_TRUE(guest_again_count >= 2);
	guest_free(vm);
}

static void test_vm_assist(void)
{
	struct vm *vm = guest_new(1);

	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 0, 5, 0), 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 1, 5, 0), 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 0, 4, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 2, 5, 0), -XEN_ENOSYS);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_vm_assist, 2, 4, 0), -XEN_EINVAL);
	guest_free(vm);
}

/* ------------------------------------------------------------------ CPUID and MSR */

static struct cpuid_regs leaf(struct vm *vm, uint32_t id, uint32_t number, uint32_t sub)
{
	struct cpuid_regs out = {1, 2, 3, 4};

	CU_ASSERT_TRUE(xen_face.cpuid(vm_vcpu(vm, id), number, sub, &out));
	return out;
}

static void check_leaves(struct vm *vm, uint32_t base, uint32_t msr)
{
	struct cpuid_regs out = leaf(vm, 0, base, 0);

	CU_ASSERT_EQUAL(out.eax, base + 5);
	CU_ASSERT_EQUAL(memcmp(&out.ebx, "XenV", 4), 0);
	CU_ASSERT_EQUAL(memcmp(&out.ecx, "MMXe", 4), 0);
	CU_ASSERT_EQUAL(memcmp(&out.edx, "nVMM", 4), 0);
	CU_ASSERT_EQUAL(leaf(vm, 0, base + 1, 0).eax, 4 << 16 | 17);
	out = leaf(vm, 0, base + 2, 0);
	CU_ASSERT_EQUAL(out.eax, 1);
	CU_ASSERT_EQUAL(out.ebx, msr);
	out = leaf(vm, 0, base + 3, 0);
	CU_ASSERT_EQUAL(out.ecx, 2000000);
	CU_ASSERT_EQUAL(leaf(vm, 0, base + 3, 1).ecx, (uint32_t)vm_config(vm)->clock->mult);
	CU_ASSERT_EQUAL(leaf(vm, 0, base + 3, 2).eax, 2000000);
	CU_ASSERT_EQUAL(leaf(vm, 0, base + 3, 3).eax, 0);
	out = leaf(vm, 1, base + 4, 0);
	CU_ASSERT_EQUAL(out.eax, 1u << 3 | 1u << 4 | 1u << 6);
	CU_ASSERT_EQUAL(out.ebx, 1);
	CU_ASSERT_EQUAL(out.ecx, GUEST_DOMID);
	CU_ASSERT_EQUAL(leaf(vm, 1, base + 4, 1).eax, 0);
	CU_ASSERT_EQUAL(leaf(vm, 0, base + 5, 0).ebx, 0);
	out = leaf(vm, 0, base + 6, 0);
	CU_ASSERT_EQUAL(out.eax | out.ebx | out.ecx | out.edx, 0);
	CU_ASSERT_FALSE(xen_face.cpuid(vm_vcpu(vm, 0), base + 0x100, 0, &out));
	CU_ASSERT_FALSE(xen_face.cpuid(vm_vcpu(vm, 0), base - 1, 0, &out));
}

static void test_cpuid(void)
{
	struct vm *vm = guest_new(2);

	check_leaves(vm, 0x40000000, 0x40000000);
	CU_ASSERT_EQUAL(leaf(vm, 0, 0x40000003, 0).eax, XEN_CPUID_HOST_TSC_RELIABLE);
	guest_free(vm);
	vm = guest_new_with(2, true, false);
	check_leaves(vm, 0x40000100, 0x40000200);
	CU_ASSERT_EQUAL(leaf(vm, 0, 0x40000103, 0).eax, 0);
	guest_free(vm);
}

static void test_hypercall_page(void)
{
	struct vm *vm = guest_new(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint64_t value = 1;
	uint8_t page[4096];

	CU_ASSERT_EQUAL(xen_face.msr_write(vcpu, XEN_MSR_BASE, 0x50000), FACE_MSR_OK);
	guest_get(vm, 0x50000, page, sizeof(page));
	for (uint32_t n = 0; n < 128; n++) {
		const uint8_t *stub = page + n * 32;

		if (n == __HYPERVISOR_iret) {
			CU_ASSERT_TRUE(stub[0] == 0x0F && stub[1] == 0x0B);
			continue;
		}
		CU_ASSERT_TRUE(stub[0] == 0xB8 && stub[1] == n && stub[2] == 0 && stub[4] == 0);
		CU_ASSERT_TRUE(stub[5] == 0x0F && stub[6] == 0x01 && stub[8] == 0xC3);
		CU_ASSERT_TRUE(stub[7] == 0xC1 || stub[7] == 0xD9);
	}
	CU_ASSERT_EQUAL(xen_face.msr_write(vcpu, XEN_MSR_BASE, 0x50001), FACE_MSR_GP);
	CU_ASSERT_EQUAL(xen_face.msr_write(vcpu, XEN_MSR_BASE, 1ull << 39), FACE_MSR_GP);
	CU_ASSERT_EQUAL(xen_face.msr_write(vcpu, XEN_MSR_BASE + 1, 0), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(xen_face.msr_read(vcpu, XEN_MSR_BASE, &value), FACE_MSR_OK);
	CU_ASSERT_EQUAL(value, 0);
	CU_ASSERT_EQUAL(xen_face.msr_read(vcpu, XEN_MSR_BASE_HYPERV, &value), FACE_MSR_ABSENT);
	guest_free(vm);
}

/* ------------------------------------------------------------------ hvm_op */

static int64_t param(struct vm *vm, bool set, uint16_t domid, uint32_t index, uint64_t *value)
{
	struct xen_hvm_param_arg arg = {.domid = domid, .index = index, .value = *value};
	int64_t result = GUEST_OP(vm, hvm_op, set ? HVMOP_set_param : HVMOP_get_param, arg);

	*value = arg.value;
	return result;
}

static void test_params(void)
{
	struct vm *vm = guest_new(1);
	uint64_t value = 5;

	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, HVM_PARAM_STORE_PFN, &value), 0);
	CU_ASSERT_EQUAL(value, 0); /* no store */
	xen_set_store_port(vm, 3);
	xen_set_console_port(vm, 4);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, HVM_PARAM_STORE_PFN, &value), 0);
	CU_ASSERT_EQUAL(value, vm_special_page(vm, VM_SPECIAL_XENSTORE).v >> 12);
	CU_ASSERT_EQUAL(param(vm, false, GUEST_DOMID, HVM_PARAM_STORE_EVTCHN, &value), 0);
	CU_ASSERT_EQUAL(value, 3);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, HVM_PARAM_CONSOLE_PFN, &value), 0);
	CU_ASSERT_EQUAL(value, vm_special_page(vm, VM_SPECIAL_CONSOLE).v >> 12);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, HVM_PARAM_CONSOLE_EVTCHN, &value), 0);
	CU_ASSERT_EQUAL(value, 4);
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_STORE_PFN, &value), -XEN_EPERM);
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_ALTP2M, &value), -XEN_EEXIST);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, 5, &value), -XEN_EPERM);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, 27, &value), -XEN_EINVAL);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, 39, &value), -XEN_EINVAL);
	CU_ASSERT_EQUAL(param(vm, false, 9, 0, &value), -XEN_ESRCH);
	value = 3;
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_X87_FIP_WIDTH, &value), -XEN_EINVAL);
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_ACPI_IOPORTS_LOCATION, &value), -XEN_EINVAL);
	value = 8;
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_X87_FIP_WIDTH, &value), 0);
	value = 0;
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, HVM_PARAM_X87_FIP_WIDTH, &value), 0);
	CU_ASSERT_EQUAL(value, 8);
	value = 1; /* Linux's note to the toolstack: GSI 1, never delivered */
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &value), 0);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_hvm_op, 0, 1ull << 39, 0), -XEN_EFAULT);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_hvm_op, 1, 1ull << 39, 0), -XEN_EFAULT);
	guest_free(vm);
}

static void test_hvm_services(void)
{
	struct vm *vm = guest_new(3);
	struct xen_hvm_mem_type type = {.domid = DOMID_SELF, .pfn = 0x10};
	struct xen_hvm_trace trace = {.extra_bytes = 28};
	uint64_t now = 0;

	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_hvm_op, HVMOP_flush_tlbs, 0, 0), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vm_vcpu(vm, 0)), 7);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_hvm_op, HVMOP_flush_tlbs, 8, 0), -XEN_EINVAL);
	host_time_set(vm, 12345);
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_get_time, now), 0);
	CU_ASSERT_EQUAL(now, 12345);
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_get_mem_type, type), 0);
	CU_ASSERT_EQUAL(type.mem_type, HVMMEM_ram_rw);
	type.pfn = 0x900;
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_get_mem_type, type), 0);
	CU_ASSERT_EQUAL(type.mem_type, HVMMEM_mmio_dm);
	type.pfn = UINT64_MAX;
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_get_mem_type, type), 0);
	CU_ASSERT_EQUAL(type.mem_type, HVMMEM_mmio_dm);
	type.domid = 1;
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_get_mem_type, type), -XEN_ESRCH);
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_xentrace, trace), 0);
	trace.extra_bytes = 29;
	CU_ASSERT_EQUAL(GUEST_OP(vm, hvm_op, HVMOP_xentrace, trace), -XEN_EINVAL);
	for (uint64_t op = HVMOP_get_time; op <= HVMOP_set_evtchn_upcall_vector; op++) {
		int64_t result = guest_call_on(vm, 0, __HYPERVISOR_hvm_op, op, 1ull << 39, 0);

		CU_ASSERT_TRUE(result == -XEN_EFAULT || result == -XEN_ENOSYS);
	}
	guest_free(vm);
}

/* ------------------------------------------------------------------ sched_op */

static void check_shutdown(uint32_t reason, enum vm_stop_how how)
{
	struct vm *vm = guest_new(1);
	enum vm_stop_how got = VM_STOP_SUSPEND;

	CU_ASSERT_EQUAL(GUEST_OP(vm, sched_op, SCHEDOP_shutdown, reason), 0);
	CU_ASSERT_TRUE(host_vm_stopped(vm, &got));
	CU_ASSERT_EQUAL(got, how);
	CU_ASSERT_TRUE(host_vm_reason(vm)[0] != '\0');
	guest_free(vm);
}

static void test_shutdown(void)
{
	struct vm *vm = guest_new(1);
	uint32_t reason = SHUTDOWN_suspend;
	enum vm_stop_how how;

	CU_ASSERT_EQUAL(GUEST_OP(vm, sched_op, SCHEDOP_shutdown, reason), 1); /* cancelled */
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	reason = SHUTDOWN_crash;
	CU_ASSERT_EQUAL(GUEST_OP(vm, sched_op, SCHEDOP_shutdown_code, reason), 0);
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	reason = SHUTDOWN_poweroff;
	CU_ASSERT_EQUAL(GUEST_OP(vm, sched_op, SCHEDOP_shutdown, reason), 0);
	CU_ASSERT_TRUE(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_CRASH); /* the first reason */
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_sched_op, SCHEDOP_shutdown, 1ull << 39, 0),
	                -XEN_EFAULT);
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_sched_op, SCHEDOP_shutdown_code, 1ull << 39, 0),
	                -XEN_EFAULT);
	guest_free(vm);
	check_shutdown(SHUTDOWN_poweroff, VM_STOP_POWEROFF);
	check_shutdown(SHUTDOWN_reboot | 0x100, VM_STOP_REBOOT);
	check_shutdown(SHUTDOWN_crash, VM_STOP_CRASH);
	check_shutdown(SHUTDOWN_watchdog, VM_STOP_CRASH);
	check_shutdown(SHUTDOWN_soft_reset, VM_STOP_REBOOT);
	check_shutdown(200, VM_STOP_CRASH);
}

static int64_t watchdog(struct vm *vm, uint32_t id, uint32_t seconds)
{
	struct xen_sched_watchdog arg = {id, seconds};

	return GUEST_OP(vm, sched_op, SCHEDOP_watchdog, arg);
}

static void test_watchdog(void)
{
	struct vm *vm = guest_new(1);
	enum vm_stop_how how;

	CU_ASSERT_EQUAL(watchdog(vm, 1, 5), -XEN_EINVAL); /* not in use */
	CU_ASSERT_EQUAL(watchdog(vm, 0, 0), -XEN_EINVAL);
	CU_ASSERT_EQUAL(watchdog(vm, 3, 1), -XEN_EINVAL);
	CU_ASSERT_EQUAL(watchdog(vm, 0, 10), 1);
	CU_ASSERT_EQUAL(watchdog(vm, 0, 10), 2);
	CU_ASSERT_EQUAL(watchdog(vm, 0, 10), -XEN_ENOSPC);
	CU_ASSERT_EQUAL(watchdog(vm, 2, 0), 0);
	host_time_advance_ns(vm, 9000000000ull);
	CU_ASSERT_EQUAL(watchdog(vm, 1, 10), 0);
	host_time_advance_ns(vm, 9000000000ull);
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	host_time_advance_ns(vm, 1000000001ull);
	CU_ASSERT_TRUE(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_CRASH);
	CU_ASSERT_STRING_EQUAL(host_vm_reason(vm), "watchdog");
	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_sched_op, SCHEDOP_watchdog, 1ull << 39, 0),
	                -XEN_EFAULT);
	guest_free(vm);
}

static void test_block(void)
{
	struct vm *vm = guest_new(1);

	CU_ASSERT_EQUAL(guest_call_on(vm, 0, __HYPERVISOR_sched_op, SCHEDOP_block, 0, 0), 0);
	CU_ASSERT_TRUE(host_vcpu_is_waiting(vm_vcpu(vm, 0)));
	CU_ASSERT_EQUAL(host_vcpu_wait_deadline_ns(vm_vcpu(vm, 0)), 0);
	guest_free(vm);
}

/* ------------------------------------------------------------------ life */

static void test_create_fails_at_each_allocation(void)
{
	struct host_vm_config config = {.vm = {.vcpu_count = 3, .xen_face = true}};
	struct vm *vm = host_vm_new(&config);
	uint32_t tries = 0;

	for (;;) {
		host_fail_alloc_after(vm, tries);
		if (xen_face.create(vm)) {
			break;
		}
		CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
		tries++;
		CU_ASSERT_TRUE_FATAL(tries < 100);
	}
	CU_ASSERT_TRUE(tries >= 7);
	host_fail_alloc_never(vm);
	guest_free(vm);
}

static void test_teardown_of_nothing(void)
{
	struct vm *vm = host_vm_new(NULL);

	xen_face.teardown(vm);
	host_vm_free(vm);
}

static void test_reset(void)
{
	struct vm *vm = guest_new(2);
	struct xen_evtchn_bind_virq virq = {VIRQ_TIMER, 1, 0};
	struct xen_register_vcpu_info info = {.mfn = 0x60, .offset = 64};
	uint64_t shared = guest_map_shared(vm);
	uint64_t value = 2ull << 56 | 0x55;

	guest_map_grants(vm);
	CU_ASSERT_EQUAL(guest_add_to_physmap(vm, XENMAPSPACE_grant_table, 5, GUEST_GRANT_GFN + 1), 0);
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_virq, virq), 0);
	CU_ASSERT_EQUAL(param(vm, true, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &value), 0);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_info, 1, &info, sizeof(info)), 0);
	CU_ASSERT_EQUAL(watchdog(vm, 0, 1), 1);
	value = 5000000;
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_set_periodic_timer, 1, &value, sizeof(value)), 0);
	xen_set_store_port(vm, 9);
	guest_put64(vm, shared + 2560, UINT64_MAX);
	CU_ASSERT_TRUE(xen_face.reset(vm));
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pins, 0);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).timers, 0);
	CU_ASSERT_EQUAL(host_vm_leaks(vm).pages, 2);
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(shared)));
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(GUEST_GRANT_GFN << 12)));
	CU_ASSERT_EQUAL(xen_face.upcall(vm_vcpu(vm, 1)), -1);
	CU_ASSERT_EQUAL(param(vm, false, DOMID_SELF, HVM_PARAM_STORE_PFN, &value), 0);
	CU_ASSERT_EQUAL(value, 0);
	shared = guest_map_shared(vm);
	CU_ASSERT_EQUAL(guest_get64(vm, shared + 2560), 0);
	CU_ASSERT_NOT_EQUAL(guest_get32(vm, shared + 64 + 32 + 24), 0); /* the clock of vCPU 1 */
	CU_ASSERT_EQUAL(GUEST_OP(vm, event_channel_op, EVTCHNOP_bind_virq, virq), 0);
	CU_ASSERT_EQUAL(virq.port, 1);
	CU_ASSERT_EQUAL(guest_vcpu_op(vm, 0, VCPUOP_register_vcpu_info, 1, &info, sizeof(info)), 0);
	CU_ASSERT_EQUAL(watchdog(vm, 0, 1), 1);
	guest_free(vm);
}

static void test_small_face_calls(void)
{
	struct vm *vm = guest_new(1);

	xen_face.eoi(vm_vcpu(vm, 0), 0x50);
	xen_face.vcpu_reset(vm_vcpu(vm, 0));
	CU_ASSERT_EQUAL(xen_face.upcall(vm_vcpu(vm, 0)), -1);
	guest_free(vm);
}

UNIT_MAIN("xen_hypercall", UNIT_TEST(test_privilege_and_modes), UNIT_TEST(test_unknown_numbers),
          UNIT_TEST(test_refused_rows), UNIT_TEST(test_versions), UNIT_TEST(test_multicall),
          UNIT_TEST(test_multicall_is_preempted), UNIT_TEST(test_multicall_of_long_call),
          UNIT_TEST(test_multicall_narrow), UNIT_TEST(test_multicall_narrow_preempted),
          UNIT_TEST(test_vm_assist), UNIT_TEST(test_cpuid), UNIT_TEST(test_hypercall_page),
          UNIT_TEST(test_params), UNIT_TEST(test_hvm_services), UNIT_TEST(test_shutdown),
          UNIT_TEST(test_watchdog), UNIT_TEST(test_block), UNIT_TEST(test_create_fails_at_each_allocation),
          UNIT_TEST(test_teardown_of_nothing), UNIT_TEST(test_reset), UNIT_TEST(test_small_face_calls))
