/*
 * judge_test.c - which CPUs are good enough: SVM's and VMX's probes, judged by made-up facts.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "hypervisor/arch/x86/svm/judge.h"
#include "hypervisor/arch/x86/svm/vmcb.h"
#include "hypervisor/arch/x86/vmx/judge.h"
#include "tests/unit/unit.h"

static bool says(struct hvm_fitness fitness, const char *word)
{
	return fitness.is_there && fitness.missing != NULL && strstr(fitness.missing, word) != NULL;
}

static bool fits(struct hvm_fitness fitness)
{
	return fitness.is_there && fitness.missing == NULL;
}

/* ---- SVM ---- */

static struct svm_facts good_svm(void)
{
	return (struct svm_facts){0x8000001fu, BIT(2), BIT(0), 0, BIT(26)};
}

static void test_svm(void)
{
	struct svm_facts facts = good_svm();

	CU_ASSERT_TRUE(fits(svm_judge(&facts)));
	CU_ASSERT_TRUE(svm_judge(&facts).huge_pages);
	facts.leaf_80000001_edx = 0;
	CU_ASSERT_TRUE(fits(svm_judge(&facts)));
	CU_ASSERT_FALSE(svm_judge(&facts).huge_pages);
	facts.vm_cr = VM_CR_SVMDIS;
	CU_ASSERT_TRUE(says(svm_judge(&facts), "firmware"));
	facts = good_svm();
	facts.leaf_8000000a_edx = 0;
	CU_ASSERT_TRUE(says(svm_judge(&facts), "nested paging"));
	facts = good_svm();
	facts.leaf_80000001_ecx = 0;
	CU_ASSERT_FALSE(svm_judge(&facts).is_there);
	facts = good_svm();
	facts.max_extended_leaf = 0x80000008u;
	CU_ASSERT_FALSE(svm_judge(&facts).is_there);
}

/* ---- VMX ---- */

/* What Bochs' corei7_skylake_x says of itself, which is what such a CPU says. */
static struct vmx_facts good_vmx(void)
{
	struct vmx_facts facts = {.has_vmx = true, .has_rdtscp = true, .has_invpcid = true, .feature_control = 5};

	facts.word[VMX_FACT_BASIC] = 0x00d810000000002bull;
	facts.word[VMX_FACT_PROCBASED2] = 0x02177fffull << 32;
	facts.word[VMX_FACT_EPT_VPID_CAP] = 0xf0106334141ull;
	facts.word[VMX_FACT_PIN] = 0x0000007f00000016ull;
	facts.word[VMX_FACT_PROC] = 0xf7f9fffe04006172ull;
	facts.word[VMX_FACT_EXIT] = 0x007fffff00036dfbull;
	facts.word[VMX_FACT_ENTRY] = 0x0000ffff000011fbull;
	return facts;
}

static void test_vmx_is_good(void)
{
	struct vmx_facts facts = good_vmx();

	CU_ASSERT_TRUE(fits(vmx_judge(&facts)));
	CU_ASSERT_TRUE(vmx_judge(&facts).huge_pages);
	facts.word[VMX_FACT_EPT_VPID_CAP] &= ~EPT_CAP_1G;
	CU_ASSERT_TRUE(fits(vmx_judge(&facts)));
	CU_ASSERT_FALSE(vmx_judge(&facts).huge_pages);
	facts.feature_control = 0; /* not locked: Janus turns it on itself */
	CU_ASSERT_TRUE(fits(vmx_judge(&facts)));
	facts.has_vmx = false;
	CU_ASSERT_FALSE(vmx_judge(&facts).is_there);
}

static void test_vmx_is_locked_off(void)
{
	struct vmx_facts facts = good_vmx();

	facts.feature_control = FEATURE_CONTROL_LOCKED;
	CU_ASSERT_TRUE(says(vmx_judge(&facts), "firmware"));
	facts.feature_control = FEATURE_CONTROL_LOCKED | BIT64(1); /* inside SMX only */
	CU_ASSERT_TRUE(says(vmx_judge(&facts), "firmware"));
}

/* Each capability that is needed, taken away alone, is named. */
static void test_vmx_lacks_one(void)
{
	static const struct {
		enum vmx_fact fact;
		uint64_t bits;
		const char *word;
	} rows[] = {
	        {VMX_FACT_PROCBASED2, (uint64_t)SECONDARY_EPT << 32, "EPT"},
	        {VMX_FACT_PROCBASED2, (uint64_t)SECONDARY_UNRESTRICTED << 32, "unrestricted guest"},
	        {VMX_FACT_PROCBASED2, (uint64_t)SECONDARY_VPID << 32, "VPID"},
	        {VMX_FACT_PROCBASED2, (uint64_t)SECONDARY_WBINVD << 32, "WBINVD"},
	        {VMX_FACT_PROCBASED2, (uint64_t)SECONDARY_RDTSCP << 32, "RDTSCP"},
	        {VMX_FACT_PROCBASED2, (uint64_t)SECONDARY_INVPCID << 32, "INVPCID"},
	        {VMX_FACT_BASIC, BIT64(55), "TRUE"},
	        {VMX_FACT_EPT_VPID_CAP, EPT_CAP_LEVELS_4, "4 levels"},
	        {VMX_FACT_EPT_VPID_CAP, EPT_CAP_2M, "2 MiB"},
	        {VMX_FACT_EPT_VPID_CAP, BIT64(26), "INVEPT"},
	        {VMX_FACT_EPT_VPID_CAP, BIT64(42), "INVVPID"},
	        {VMX_FACT_PIN, (uint64_t)PIN_PREEMPTION_TIMER << 32, "preemption timer"},
	        {VMX_FACT_PIN, (uint64_t)PIN_VIRTUAL_NMI << 32, "virtual NMIs"},
	        {VMX_FACT_PROC, (uint64_t)PRIMARY_TPR_SHADOW << 32, "TPR shadow"},
	        {VMX_FACT_PROC, (uint64_t)PRIMARY_NMI_WINDOW << 32, "windows"},
	        {VMX_FACT_EXIT, (uint64_t)EXIT_LOAD_EFER << 32, "EFER"},
	        {VMX_FACT_ENTRY, (uint64_t)ENTRY_LOAD_PAT << 32, "PAT"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct vmx_facts facts = good_vmx();

		facts.word[rows[i].fact] &= ~rows[i].bits;
		CU_ASSERT_TRUE(says(vmx_judge(&facts), rows[i].word));
	}
}

/* A CPU without VMX's later registers reads 0 in their place: the first thing missing is named. */
static void test_vmx_of_long_ago(void)
{
	struct vmx_facts facts = {.has_vmx = true, .feature_control = 5};

	facts.word[VMX_FACT_BASIC] = 0x005a080000000001ull;
	CU_ASSERT_TRUE(says(vmx_judge(&facts), "no EPT"));
}

static void test_what_is_not_shown_need_not_work(void)
{
	struct vmx_facts facts = good_vmx();

	facts.has_invpcid = false;
	facts.word[VMX_FACT_PROCBASED2] &= ~((uint64_t)SECONDARY_INVPCID << 32);
	CU_ASSERT_TRUE(fits(vmx_judge(&facts)));
}

static void test_controls(void)
{
	/* may be 1: 7, 3, 0; must be 1: 0 */
	uint64_t capability = 0x89ull << 32 | 0x01;

	CU_ASSERT_EQUAL(vmx_controls(capability, 0), 0x01);
	CU_ASSERT_EQUAL(vmx_controls(capability, 0x80), 0x81);
	CU_ASSERT_EQUAL(vmx_controls(capability, 0xff), 0x89);
}

UNIT_MAIN("judge", UNIT_TEST(test_svm), UNIT_TEST(test_vmx_is_good), UNIT_TEST(test_vmx_is_locked_off),
          UNIT_TEST(test_vmx_lacks_one), UNIT_TEST(test_vmx_of_long_ago),
          UNIT_TEST(test_what_is_not_shown_need_not_work), UNIT_TEST(test_controls))
