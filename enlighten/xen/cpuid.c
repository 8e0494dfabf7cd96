/*
 * cpuid.c - Xen's CPUID leaves and the MSR that fills a hypercall page.
 *
 * Follows Xen's arch-x86/cpuid.h. The leaves and the MSR move when the guest has the Hyper-V face too.
 */
#include "enlighten/xen/xen_state.h"

static uint32_t msr_base(const struct vm *vm)
{
	return vm_config(vm)->hyperv_face ? XEN_MSR_BASE_HYPERV : XEN_MSR_BASE;
}

static uint32_t leaf_base(const struct vm *vm)
{
	return XEN_CPUID_FIRST_LEAF + (vm_config(vm)->hyperv_face ? XEN_CPUID_LEAF_STRIDE : 0);
}

static void leaf_signature(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)subleaf;
	out->eax = leaf_base(vcpu_vm(vcpu)) + XEN_CPUID_MAX_NUM_LEAVES;
	out->ebx = XEN_CPUID_SIGNATURE_EBX;
	out->ecx = XEN_CPUID_SIGNATURE_ECX;
	out->edx = XEN_CPUID_SIGNATURE_EDX;
}

static void leaf_version(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)vcpu;
	(void)subleaf;
	out->eax = XEN_VERSION_MAJOR << 16 | XEN_VERSION_MINOR;
}

static void leaf_hypercall(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)subleaf;
	out->eax = 1;
	out->ebx = msr_base(vcpu_vm(vcpu));
}

static void leaf_time(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
	const struct clock *clock = vm_config(vcpu_vm(vcpu))->clock;
	uint32_t khz = (uint32_t)(clock->tsc_hz / 1000);

	switch (subleaf) {
	case 0:
		out->eax = clock->stable ? XEN_CPUID_HOST_TSC_RELIABLE : 0;
		out->ecx = khz;
		break;
	case 1: /* offset 0: both start at 0 */
		out->ecx = (uint32_t)clock->mult;
		out->edx = (uint32_t)(int32_t)clock->shift;
		break;
	case 2:
		out->eax = khz;
		break;
	default:
		break;
	}
}

static void leaf_hvm(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
	if (subleaf == 0) {
		out->eax = XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT |
		           XEN_HVM_CPUID_UPCALL_VECTOR;
		out->ebx = vcpu_index(vcpu);
		out->ecx = vm_config(vcpu_vm(vcpu))->id;
	}
}

static void leaf_pv(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)vcpu;
	(void)subleaf;
	(void)out;
}

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_cpuid.def"
#undef SPEC_ROW
};

static const struct {
	void (*leaf)(struct vcpu *vcpu, uint32_t subleaf, struct cpuid_regs *out);
	uint16_t row;
	uint8_t status;
} leaves[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_cpuid.def"
#undef SPEC_ROW
};

/* All 256 leaves from the base are Xen's; those past the last read as zeros. */
bool xen_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	struct vm *vm = vcpu_vm(vcpu);
	uint32_t index = leaf - leaf_base(vm);

	if (index >= XEN_CPUID_LEAF_STRIDE) {
		return false;
	}
	*out = (struct cpuid_regs){0};
	if (index >= ARRAY_COUNT(leaves)) {
		vm_count(vm, SPEC_XEN_CPUID, SPEC_UNKNOWN, true);
		return true;
	}
	leaves[index].leaf(vcpu, subleaf, out);
	vm_count(vm, SPEC_XEN_CPUID, leaves[index].row, false);
	return true;
}

/* MOV EAX, number; VMCALL or VMMCALL; RET. The number of IRET, which HVM has no use for, is UD2. */
static void fill_stub(uint8_t *stub, uint32_t number, const uint8_t *opcode)
{
	if (number == __HYPERVISOR_iret) {
		stub[0] = 0x0F;
		stub[1] = 0x0B;
		return;
	}
	stub[0] = 0xB8;
	memcpy(stub + 1, &number, sizeof(number));
	memcpy(stub + 5, opcode, 3);
	stub[8] = 0xC3;
}

#define STUBS_A_STEP 8u

static bool write_page(struct vm *vm, gpa_t at)
{
	const uint8_t *opcode = vm_hypercall_opcode(vm);

	for (uint32_t n = 0; n < PAGE_BYTES / XEN_HYPERCALL_STUB_BYTES; n += STUBS_A_STEP) {
		uint8_t stubs[STUBS_A_STEP * XEN_HYPERCALL_STUB_BYTES] = {0};

		for (uint32_t i = 0; i < STUBS_A_STEP; i++) {
			fill_stub(stubs + i * XEN_HYPERCALL_STUB_BYTES, n + i, opcode);
		}
		if (vm_write(vm, gpa(at.v + (uint64_t)n * XEN_HYPERCALL_STUB_BYTES), stubs, sizeof(stubs)) !=
		    VM_OK) {
			return false;
		}
	}
	return true;
}

enum face_msr xen_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	if (msr != msr_base(vcpu_vm(vcpu))) {
		return FACE_MSR_ABSENT;
	}
	*value = 0;
	return FACE_MSR_OK;
}

enum face_msr xen_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vm *vm = vcpu_vm(vcpu);

	if (msr != msr_base(vm)) {
		return FACE_MSR_ABSENT;
	}
	if ((value & PAGE_MASK) != 0 || !write_page(vm, gpa(value))) {
		return FACE_MSR_GP;
	}
	evtchn_latch_width(xen_of_vm(vm), !vcpu_mode(vcpu).code64);
	return FACE_MSR_OK;
}
