/*
 * hyperv_abi_test.c - abi/hyperv.h against Linux's header: each number and each place.
 */
#include <string.h>

#include "abi/hyperv.h"
#include "tests/unit/hyperv_abi_rows.h"
#include "tests/unit/unit.h"

uint64_t hyperv_linux_stimer(unsigned int field);

static const struct abi_row rows[] = {ABI_ALL_ROWS};

static bool is_comparable(void)
{
	if (hyperv_linux_row_count == 0) {
		printf("\nNOT COMPARED: no build/abi/hyperv-tlfs.h (make abi-headers)\n");
	}
	return hyperv_linux_row_count != 0;
}

static void test_rows(void)
{
	if (!is_comparable()) {
		return;
	}
	CU_ASSERT_EQUAL_FATAL(hyperv_linux_row_count, ARRAY_COUNT(rows));
	CU_ASSERT(ARRAY_COUNT(rows) > 200);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CU_ASSERT_STRING_EQUAL_FATAL(rows[i].name, hyperv_linux_rows[i].name);
		CU_ASSERT_EQUAL(rows[i].value, hyperv_linux_rows[i].value);
		if (rows[i].value != hyperv_linux_rows[i].value) {
			printf("\n%s: 0x%llx here, 0x%llx in Linux\n", rows[i].name,
			       (unsigned long long)rows[i].value,
			       (unsigned long long)hyperv_linux_rows[i].value);
		}
	}
}

static void test_stimer_config(void)
{
	static const uint64_t fields[] = {
		HV_STIMER_ENABLE,      HV_STIMER_PERIODIC,    HV_STIMER_LAZY,      HV_STIMER_AUTOENABLE,
		HV_STIMER_DIRECT_MODE, HV_STIMER_VECTOR_MASK, HV_STIMER_SINT_MASK,
	};
	uint64_t all = 0;

	for (unsigned int i = 0; i < ARRAY_COUNT(fields); i++) {
		CU_ASSERT(hyperv_linux_row_count == 0 || fields[i] == hyperv_linux_stimer(i));
		all |= fields[i];
	}
	CU_ASSERT_EQUAL(all, HV_STIMER_DEFINED_MASK);
}

/* What the header says to itself. */
static void test_text(void)
{
	static const uint32_t vendor[] = {HYPERV_VENDOR_EBX, HYPERV_VENDOR_ECX, HYPERV_VENDOR_EDX};
	const uint32_t interface = HYPERV_INTERFACE_EAX;

	CU_ASSERT_EQUAL(memcmp(vendor, "Microsoft Hv", 12), 0);
	CU_ASSERT_EQUAL(memcmp(&interface, "Hv#1", 4), 0);
	CU_ASSERT_EQUAL(HV_HYPERCALL_CODE_MASK | HV_HYPERCALL_FAST_BIT | HV_HYPERCALL_VARHEAD_MASK |
				HV_HYPERCALL_RSVD0_MASK | HV_HYPERCALL_NESTED |
				HV_HYPERCALL_REP_COMP_MASK | HV_HYPERCALL_RSVD1_MASK |
				HV_HYPERCALL_REP_START_MASK | HV_HYPERCALL_RSVD2_MASK,
			UINT64_MAX);
}

UNIT_MAIN("hyperv_abi", UNIT_TEST(test_rows), UNIT_TEST(test_stimer_config), UNIT_TEST(test_text))
