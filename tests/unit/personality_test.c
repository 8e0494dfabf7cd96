/*
 * personality_test.c - who is asked for a leaf, an MSR, a hypercall, with one face, with both, with
 * none. The Hyper-V face is the real one, Xen's is a fake that records.
 */
#include "enlighten/personality.h"
#include "enlighten/xen/xen.h"
#include "tests/unit/hyperv_support.h"

static struct {
	bool alive, refuse_create, refuse_reset;
	uint32_t creates, resets, teardowns, calls, upcalls, lapics, eois, scheduled, inits;
	int upcall;
} fake;

static bool fake_create(struct vm *vm)
{
	(void)vm;
	fake.creates++;
	fake.alive = !fake.refuse_create;
	return fake.alive;
}

static bool fake_reset(struct vm *vm)
{
	(void)vm;
	fake.resets++;
	return !fake.refuse_reset;
}

static void fake_teardown(struct vm *vm)
{
	(void)vm;
	fake.teardowns++;
	fake.alive = false;
}

/* As Xen's: 0x100 higher beside Hyper-V's. */
static uint32_t fake_base(struct vcpu *vcpu)
{
	return vm_config(vcpu_vm(vcpu))->hyperv_face ? 0x40000100 : 0x40000000;
}

static bool fake_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)subleaf;
	*out = (struct cpuid_regs){.ebx = 0x566E6558};
	return leaf == fake_base(vcpu);
}

static uint32_t fake_msr(struct vcpu *vcpu)
{
	return vm_config(vcpu_vm(vcpu))->hyperv_face ? 0x40000200 : 0x40000000;
}

static enum face_msr fake_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	*value = 77;
	return msr == fake_msr(vcpu) ? FACE_MSR_OK : FACE_MSR_ABSENT;
}

static enum face_msr fake_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)value;
	return msr == fake_msr(vcpu) ? FACE_MSR_OK : FACE_MSR_ABSENT;
}

static enum face_call fake_hypercall(struct vcpu *vcpu)
{
	fake.calls++;
	vcpu_regs(vcpu)->gpr[REG_RAX] = 0x1234;
	return FACE_CALL_DONE;
}

static int fake_upcall(struct vcpu *vcpu)
{
	(void)vcpu;
	fake.upcalls++;
	return fake.upcall;
}

static void fake_lapic_enabled(struct vcpu *vcpu)
{
	(void)vcpu;
	fake.lapics++;
}

static void fake_eoi(struct vcpu *vcpu, uint8_t vector)
{
	(void)vcpu;
	(void)vector;
	fake.eois++;
}

static void fake_scheduled(struct vcpu *vcpu)
{
	(void)vcpu;
	fake.scheduled++;
}

static void fake_vcpu_reset(struct vcpu *vcpu)
{
	(void)vcpu;
	fake.inits++;
}

const struct face xen_face = {
	.create = fake_create,
	.reset = fake_reset,
	.teardown = fake_teardown,
	.cpuid = fake_cpuid,
	.msr_read = fake_msr_read,
	.msr_write = fake_msr_write,
	.hypercall = fake_hypercall,
	.upcall = fake_upcall,
	.lapic_enabled = fake_lapic_enabled,
	.eoi = fake_eoi,
	.scheduled = fake_scheduled,
	.vcpu_reset = fake_vcpu_reset,
};

static struct vm *vm;
static struct vcpu *vcpu;

static void prepare(bool hyperv, bool xen)
{
	struct host_vm_config config = {.vm = {.hyperv_face = hyperv, .xen_face = xen}};

	memset(&fake, 0, sizeof(fake));
	fake.upcall = -1;
	vm = host_vm_new(&config);
	vcpu = vm_vcpu(vm, 0);
}

static void begin(bool hyperv, bool xen)
{
	prepare(hyperv, xen);
	CU_ASSERT_FATAL(personality.create(vm));
}

static void end(void)
{
	personality.teardown(vm);
	CU_ASSERT_FALSE(fake.alive);
	CU_ASSERT(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

static enum face_call call(uint64_t rax, uint64_t rcx)
{
	struct cpu_regs *regs = vcpu_regs(vcpu);

	memset(regs->gpr, 0, sizeof(regs->gpr));
	regs->gpr[REG_RAX] = rax;
	regs->gpr[REG_RCX] = rcx;
	return personality.hypercall(vcpu);
}

/* EBX of a leaf, 0 if no one has it. */
static uint32_t leaf(uint32_t number)
{
	struct cpuid_regs out = {0};

	return personality.cpuid(vcpu, number, 0, &out) ? out.ebx : 0;
}

static const uint64_t spin = HVCALL_NOTIFY_LONG_SPIN_WAIT | FAST;

static void test_hyperv_alone(void)
{
	uint64_t value;

	begin(true, false);
	CU_ASSERT_EQUAL(fake.creates, 0);
	CU_ASSERT_EQUAL(leaf(0x40000000), HYPERV_VENDOR_EBX);
	CU_ASSERT_EQUAL(leaf(0x40000100), 0);
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x40000002, &value), FACE_MSR_OK);
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x40000200, &value), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(call(0, spin), FACE_CALL_DONE);
	CU_ASSERT_EQUAL(call(HV_CALL_MARK_EAX, spin), FACE_CALL_DONE);
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vcpu), 2);
	CU_ASSERT_EQUAL(personality.upcall(vcpu), -1);
	personality.lapic_enabled(vcpu);
	personality.eoi(vcpu, 0x30);
	personality.scheduled(vcpu);
	personality.vcpu_reset(vcpu);
	CU_ASSERT(personality.reset(vm));
	end();
	CU_ASSERT_EQUAL(fake.teardowns + fake.calls + fake.eois + fake.inits, 0);
}

static void test_xen_alone(void)
{
	uint64_t value;

	begin(false, true);
	CU_ASSERT_EQUAL(leaf(0x40000000), 0x566E6558);
	CU_ASSERT_EQUAL(personality.msr_write(vcpu, 0x40000000, 0x1000), FACE_MSR_OK);
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x40000002, &value), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(call(HV_CALL_MARK_EAX, spin), FACE_CALL_DONE);
	CU_ASSERT_EQUAL(fake.calls, 1);
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vcpu), 0);
	fake.upcall = 0xF3;
	CU_ASSERT_EQUAL(personality.upcall(vcpu), 0xF3);
	personality.eoi(vcpu, 1);
	personality.lapic_enabled(vcpu);
	personality.scheduled(vcpu);
	personality.vcpu_reset(vcpu);
	CU_ASSERT(fake.eois == 1 && fake.lapics == 1 && fake.scheduled == 1 && fake.inits == 1);
	CU_ASSERT(personality.reset(vm));
	CU_ASSERT_EQUAL(fake.resets, 1);
	end();
	CU_ASSERT_EQUAL(fake.teardowns, 1);
}

static void test_both(void)
{
	uint64_t value = 0;

	begin(true, true);
	CU_ASSERT_EQUAL(leaf(0x40000000), HYPERV_VENDOR_EBX);
	CU_ASSERT_EQUAL(leaf(0x40000100), 0x566E6558);
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x40000200, &value), FACE_MSR_OK);
	CU_ASSERT_EQUAL(value, 77);
	CU_ASSERT_EQUAL(personality.msr_write(vcpu, 0x40000200, 0), FACE_MSR_OK);
	CU_ASSERT_EQUAL(personality.msr_write(vcpu, 0x40000000, 5), FACE_MSR_OK);
	CU_ASSERT_EQUAL(personality.msr_write(vcpu, 0x40000118, 5), FACE_MSR_GP);
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x4000FFFF, &value), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(call(29, spin), FACE_CALL_DONE);
	CU_ASSERT(fake.calls == 1 && host_vcpu_yield_count(vcpu) == 0);
	CU_ASSERT_EQUAL(call(HV_CALL_MARK_EAX | 29, spin), FACE_CALL_DONE);
	CU_ASSERT(fake.calls == 1 && host_vcpu_yield_count(vcpu) == 1);
	/* Bits above EAX are no mark. */
	CU_ASSERT_EQUAL(call(1ull << 63, spin), FACE_CALL_DONE);
	CU_ASSERT(fake.calls == 2 && host_vcpu_yield_count(vcpu) == 1);
	/* A 32-bit caller's mark stands in the input value itself, where it is no request. */
	host_vcpu_set_mode(vcpu, (struct vcpu_mode){.protected_mode = true});
	CU_ASSERT_EQUAL(call(HV_CALL_MARK_EAX | spin, 0), FACE_CALL_DONE);
	CU_ASSERT_EQUAL(vcpu_regs(vcpu)->gpr[REG_RAX], 0);
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vcpu), 2);
	fake.refuse_reset = true;
	CU_ASSERT_FALSE(personality.reset(vm));
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x40000000, &value), FACE_MSR_OK);
	CU_ASSERT_EQUAL(value, 0);
	end();
}

static void test_page_of_both(void)
{
	static const uint8_t start[] = {0xF3, 0x0F, 0x1E, 0xFA, 0x0D, 0x00, 0x00, 0x00, 0x80};
	uint8_t page[16];

	begin(true, true);
	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, 1);
	wr(vcpu, HV_X64_MSR_HYPERCALL, 0x5000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(0x5000), page, sizeof(page)), VM_OK);
	CU_ASSERT_EQUAL(memcmp(page, start, sizeof(start)), 0);
	CU_ASSERT_EQUAL(memcmp(page + 9, vm_hypercall_opcode(vm), 3), 0);
	CU_ASSERT_EQUAL(page[12], 0xC3);
	end();
}

static void test_neither(void)
{
	uint64_t value;

	begin(false, false);
	CU_ASSERT_EQUAL(leaf(0x40000000), 0);
	CU_ASSERT_EQUAL(personality.msr_read(vcpu, 0x40000000, &value), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(personality.msr_write(vcpu, 0x40000000, 1), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(call(HV_CALL_MARK_EAX, spin), FACE_CALL_UD);
	CU_ASSERT_EQUAL(personality.upcall(vcpu), -1);
	CU_ASSERT(personality.reset(vm));
	end();
	CU_ASSERT_EQUAL(fake.creates + fake.teardowns, 0);
}

static void test_create_fails(void)
{
	prepare(true, true);
	fake.refuse_create = true;
	CU_ASSERT_FALSE(personality.create(vm));
	CU_ASSERT(host_vm_check_no_leaks(vm));
	CU_ASSERT_EQUAL(fake.teardowns, 0);
	fake.refuse_create = false;
	host_fail_alloc_after(vm, 2);
	CU_ASSERT_FALSE(personality.create(vm));
	CU_ASSERT_EQUAL(fake.creates, 1);
	host_fail_alloc_never(vm);
	CU_ASSERT(personality.create(vm));
	end();
}

UNIT_MAIN("personality", UNIT_TEST(test_hyperv_alone), UNIT_TEST(test_xen_alone),
	  UNIT_TEST(test_both), UNIT_TEST(test_page_of_both), UNIT_TEST(test_neither),
	  UNIT_TEST(test_create_fails))
