/*
 * hv_cpuid_test.c - the Hyper-V leaves: what they say, and that it is true of the MSRs behind them.
 */
#include "tests/unit/hyperv_support.h"

static struct cpuid_regs leaf(struct vm *vm, uint32_t number)
{
	struct cpuid_regs regs;

	memset(&regs, 0xAA, sizeof(regs));
	CU_ASSERT(hyperv_face.cpuid(vm_vcpu(vm, 0), number, 0, &regs));
	return regs;
}

static void test_identity(void)
{
	struct vm *vm = hyperv_guest(1);
	struct cpuid_regs regs = leaf(vm, 0x40000000);
	char vendor[13] = {0};

	memcpy(vendor, &regs.ebx, 4);
	memcpy(vendor + 4, &regs.ecx, 4);
	memcpy(vendor + 8, &regs.edx, 4);
	CU_ASSERT_STRING_EQUAL(vendor, "Microsoft Hv");
	CU_ASSERT_EQUAL(regs.eax, 0x40000006);
	regs = leaf(vm, 0x40000001);
	CU_ASSERT_EQUAL(memcmp(&regs.eax, "Hv#1", 4), 0);
	CU_ASSERT_EQUAL(regs.ebx | regs.ecx | regs.edx, 0);
	regs = leaf(vm, 0x40000002);
	CU_ASSERT_EQUAL(regs.eax, 14393);
	CU_ASSERT_EQUAL(regs.ebx, 10u << 16);
	hyperv_guest_free(vm);
}

static void test_features(void)
{
	struct vm *vm = hyperv_guest(1);
	struct cpuid_regs regs = leaf(vm, 0x40000003);

	CU_ASSERT_EQUAL(regs.eax, 0xEEF);
	CU_ASSERT_EQUAL(regs.ebx, 0x30); /* and no bit of a root partition */
	CU_ASSERT_EQUAL(regs.ecx, 0);
	CU_ASSERT_EQUAL(regs.edx, 1u << 5 | 1u << 8 | 1u << 10 | 1u << 19);
	regs = leaf(vm, 0x40000004);
	CU_ASSERT_EQUAL(regs.eax, 1u << 2 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11);
	CU_ASSERT_EQUAL(regs.ebx, 0xFFF);
	CU_ASSERT_EQUAL(regs.ecx | regs.edx, 0);
	regs = leaf(vm, 0x40000005);
	CU_ASSERT_EQUAL(regs.eax, VM_VCPU_MAX);
	regs = leaf(vm, 0x40000006);
	CU_ASSERT_EQUAL(regs.eax, 8);
	hyperv_guest_free(vm);
}

static void test_unstable_tsc(void)
{
	struct clock clock;
	struct host_vm_config config = {.vm = {.hyperv_face = true, .clock = &clock}};
	struct vm *vm;

	clock_init(&clock, 2000000000, false, 0);
	vm = host_vm_new(&config);
	CU_ASSERT_FATAL(hyperv_face.create(vm));
	CU_ASSERT_EQUAL(leaf(vm, 0x40000003).eax & HV_MSR_REFERENCE_TSC_AVAILABLE, 0);
	CU_ASSERT(rd_faults(vm_vcpu(vm, 0), HV_X64_MSR_REFERENCE_TSC));
	CU_ASSERT(wr_faults(vm_vcpu(vm, 0), HV_X64_MSR_REFERENCE_TSC, 0x5001));
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 0), HV_X64_MSR_TSC_FREQUENCY), 2000000000);
	hyperv_guest_free(vm);
}

static void test_refused_rows_read_zero(void)
{
	struct vm *vm = hyperv_guest(1);
	uint32_t row = 0;

#define OFFERED false
#define REFUSED true
#define SPEC_ROW(number, name, refused, handler, clause)                                           \
	if (refused) {                                                                             \
		struct cpuid_regs regs = leaf(vm, number);                                         \
		CU_ASSERT_EQUAL(regs.eax | regs.ebx | regs.ecx | regs.edx, 0);                     \
		CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_CPUID, row), 1);                    \
	} else {                                                                                   \
		CU_ASSERT_NOT_EQUAL(leaf(vm, number).eax, 0);                                      \
		CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_CPUID, row), 0);                    \
		CU_ASSERT_EQUAL(host_count_used(vm, SPEC_HV_CPUID, row), 1);                       \
	}                                                                                          \
	row++;
#include "specs/hv_cpuid.def"
#undef SPEC_ROW
	CU_ASSERT_EQUAL(row, 15);
	hyperv_guest_free(vm);
}

static void test_other_leaves(void)
{
	struct vm *vm = hyperv_guest(1);
	struct cpuid_regs regs = leaf(vm, 0x400000FF);

	CU_ASSERT_EQUAL(regs.eax | regs.ebx | regs.ecx | regs.edx, 0);
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_CPUID, SPEC_UNKNOWN), 1);
	CU_ASSERT_FALSE(hyperv_face.cpuid(vm_vcpu(vm, 0), 0x40000100, 0, &regs));
	CU_ASSERT_FALSE(hyperv_face.cpuid(vm_vcpu(vm, 0), 0x4FFFFFFF, 0, &regs));
	hyperv_guest_free(vm);
}

/* Which bit of leaf 3 grants which MSR; register 0 is EAX, 3 is EDX. */
static const struct {
	uint8_t reg, bit;
	uint32_t msr;
} grants[] = {
	{0, 0, 0x40000010}, {0, 1, 0x40000020}, {0, 2, 0x40000080},  {0, 2, 0x4000009F},
	{0, 3, 0x400000B0}, {0, 3, 0x400000B7}, {0, 4, 0x40000071},  {0, 4, 0x40000072},
	{0, 5, 0x40000000}, {0, 5, 0x40000001}, {0, 6, 0x40000002},  {0, 7, 0x40000003},
	{0, 9, 0x40000021}, {0, 10, 0x400000F0}, {0, 11, 0x40000022}, {0, 11, 0x40000023},
	{0, 12, 0x400000F1}, {0, 13, 0x40000106}, {0, 15, 0x40000118}, {3, 10, 0x40000100},
	{3, 10, 0x40000105}, {3, 12, 0x40000040}, {3, 23, 0x40000114}, {3, 8, 0x40000022},
};

static void test_bits_tell_the_truth(void)
{
	struct vm *vm = hyperv_guest(1);
	struct cpuid_regs regs = leaf(vm, 0x40000003);

	for (size_t i = 0; i < ARRAY_COUNT(grants); i++) {
		uint32_t word = grants[i].reg == 0 ? regs.eax : regs.edx;
		bool granted = (word >> grants[i].bit & 1) != 0;

		CU_ASSERT_EQUAL(rd_faults(vm_vcpu(vm, 0), grants[i].msr), !granted);
	}
	hyperv_guest_free(vm);
}

UNIT_MAIN("hv_cpuid", UNIT_TEST(test_identity), UNIT_TEST(test_features),
	  UNIT_TEST(test_unstable_tsc), UNIT_TEST(test_refused_rows_read_zero),
	  UNIT_TEST(test_other_leaves), UNIT_TEST(test_bits_tell_the_truth))
