/*
 * msr_policy_test.c - the allow-list, each kind of row, and what Linux touches without a fault
 * handler.
 */
#include "tests/unit/unit.h"

#include "hypervisor/arch/x86/msr_policy.h"

#include <string.h>

#define EFER 0xc0000080u
#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u
#define EFER_SVME 0x1000u
#define PAT 0x277u

static struct msr_store store;
static struct msr_env env;

static void start(void)
{
	msr_store_reset(&store);
	env = (struct msr_env){.cr0 = 0x80000011,
			       .efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME,
			       .efer_mask = EFER_SCE | EFER_LME | EFER_NXE,
			       .amd = true,
			       .rdtscp = true};
}

#define NOT_READ UINT64_C(0xbad0bad0bad0bad0)

static uint64_t read_ok(uint32_t msr)
{
	uint64_t value = NOT_READ;

	CU_ASSERT_EQUAL(msr_policy_read(&store, &env, msr, &value), MSR_OK);
	return value;
}

static enum msr_result read_result(uint32_t msr)
{
	uint64_t value = NOT_READ;
	enum msr_result result = msr_policy_read(&store, &env, msr, &value);

	if (result != MSR_OK) {
		CU_ASSERT_EQUAL(value, NOT_READ);
	}
	return result;
}

static enum msr_result write_to(uint32_t msr, uint64_t value)
{
	return msr_policy_write(&store, &env, msr, value);
}

static void test_unknown(void)
{
	static const uint32_t unknown[] = {
		0, 1, 0x11, 0x2a, 0x3a, 0x3b, 0x48, 0x49, 0x79, 0xe7, 0x17b, 0x1db, 0x200,
		0x20f, 0x250, 0x26f, 0x400, 0x6a0, 0x6e0, 0x7ff, 0x900, 0xda0, 0x3fffffff,
		0x40010000, 0xc000007f, 0xc0000085, 0xc00000ff, 0xc0000104, 0xc0010000,
		0xc0010114, 0xc0010117, 0xc0010140, 0xc0010141, 0xc0011020, 0xffffffff
	};

	start();
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		CU_ASSERT_EQUAL(read_result(unknown[i]), MSR_GP);
		CU_ASSERT_EQUAL(write_to(unknown[i], 0), MSR_GP);
		CU_ASSERT_PTR_NULL(msr_policy_name(unknown[i]));
	}
}

/* The search by halves needs rows that rise. */
static void test_rows_rise(void)
{
	static const uint32_t limits[][2] = {
#define MSR(first, last, name, kind, reset, writable, clause) {first, last},
#include "specs/msr.def"
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		CU_ASSERT_TRUE(limits[i][0] <= limits[i][1]);
		CU_ASSERT_TRUE(i == 0 || limits[i - 1][1] < limits[i][0]);
		CU_ASSERT_PTR_NOT_NULL(msr_policy_name(limits[i][0]));
		CU_ASSERT_PTR_EQUAL(msr_policy_name(limits[i][0]), msr_policy_name(limits[i][1]));
	}
	CU_ASSERT_STRING_EQUAL(msr_policy_name(0x830), "X2APIC");
}

static void test_elsewhere(void)
{
	start();
	CU_ASSERT_EQUAL(read_result(0x10), MSR_AT_CLOCK);
	CU_ASSERT_EQUAL(write_to(0x10, 5), MSR_AT_CLOCK);
	CU_ASSERT_EQUAL(read_result(0x1b), MSR_AT_PLATFORM);
	CU_ASSERT_EQUAL(write_to(0x80b, 0), MSR_AT_PLATFORM);
	CU_ASSERT_EQUAL(read_result(0x8ff), MSR_AT_PLATFORM);
	CU_ASSERT_EQUAL(read_result(0x40000000), MSR_AT_FACE);
	CU_ASSERT_EQUAL(write_to(0x40000118, 1), MSR_AT_FACE);
	CU_ASSERT_EQUAL(read_result(0xc0000101), MSR_AT_VENDOR);
	CU_ASSERT_EQUAL(write_to(0xc0000081, UINT64_MAX), MSR_AT_VENDOR);
}

static void test_addresses_are_canonical(void)
{
	static const uint32_t msrs[] = {0x175,	    0x176,	0xc0000082, 0xc0000083,
					0xc0000100, 0xc0000101, 0xc0000102};

	start();
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		CU_ASSERT_EQUAL(write_to(msrs[i], UINT64_C(0x00007fffffffffff)), MSR_AT_VENDOR);
		CU_ASSERT_EQUAL(write_to(msrs[i], UINT64_C(0xffff800000000000)), MSR_AT_VENDOR);
		CU_ASSERT_EQUAL(write_to(msrs[i], UINT64_C(0x0000800000000000)), MSR_GP);
		CU_ASSERT_EQUAL(write_to(msrs[i], UINT64_C(0xffff7fffffffffff)), MSR_GP);
	}
}

static void test_direct_list(void)
{
	static const uint32_t want[] = {0x174,	    0x175,	0x176,	    0xc0000081, 0xc0000082,
					0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};
	uint32_t cursor = 0;
	uint32_t msr = 0;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		CU_ASSERT_TRUE(msr_policy_next_direct(&cursor, &msr));
		CU_ASSERT_EQUAL(msr, want[i]);
	}
	CU_ASSERT_FALSE(msr_policy_next_direct(&cursor, &msr));
	CU_ASSERT_FALSE(msr_policy_next_direct(&cursor, &msr));
}

static void test_efer(void)
{
	start();
	CU_ASSERT_EQUAL(read_ok(EFER), EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	CU_ASSERT_EQUAL(write_to(EFER, EFER_LME | EFER_LMA), MSR_LOAD);
	CU_ASSERT_EQUAL(msr_policy_stored(&store, EFER), EFER_LME | EFER_LMA);
	/* LMA stays as it is; LME may not change while paging is on. */
	CU_ASSERT_EQUAL(write_to(EFER, EFER_LME | EFER_SCE), MSR_LOAD);
	CU_ASSERT_EQUAL(msr_policy_stored(&store, EFER), EFER_LME | EFER_LMA | EFER_SCE);
	CU_ASSERT_EQUAL(write_to(EFER, EFER_SCE), MSR_GP);
	CU_ASSERT_EQUAL(write_to(EFER, EFER_LME | EFER_SVME), MSR_GP);
	CU_ASSERT_EQUAL(write_to(EFER, EFER_LME | UINT64_C(1) << 63), MSR_GP);
	CU_ASSERT_EQUAL(msr_policy_stored(&store, EFER), EFER_LME | EFER_LMA | EFER_SCE);
	env.cr0 = 0x11;
	env.efer = 0;
	CU_ASSERT_EQUAL(write_to(EFER, EFER_LME | EFER_LMA), MSR_LOAD);
	CU_ASSERT_EQUAL(msr_policy_stored(&store, EFER), EFER_LME);
	env.efer_mask = EFER_SCE | EFER_LME;
	CU_ASSERT_EQUAL(write_to(EFER, EFER_NXE), MSR_GP);
}

static void test_pat(void)
{
	start();
	CU_ASSERT_EQUAL(read_ok(PAT), UINT64_C(0x0007040600070406));
	CU_ASSERT_EQUAL(write_to(PAT, UINT64_C(0x0706050401000706)), MSR_LOAD);
	CU_ASSERT_EQUAL(read_ok(PAT), UINT64_C(0x0706050401000706));
	CU_ASSERT_EQUAL(msr_policy_stored(&store, PAT), UINT64_C(0x0706050401000706));
	for (uint32_t byte = 0; byte < 8; byte++) {
		for (uint32_t type = 0; type < 256; type++) {
			bool valid = type <= 1 || (type >= 4 && type <= 7);

			CU_ASSERT_EQUAL(write_to(PAT, (uint64_t)type << byte * 8),
					valid ? MSR_LOAD : MSR_GP);
		}
	}
}

static void test_mtrr(void)
{
	start();
	CU_ASSERT_EQUAL(read_ok(0xfe), 0x400);
	CU_ASSERT_EQUAL(write_to(0xfe, 0x400), MSR_GP);
	CU_ASSERT_EQUAL(read_ok(0x2ff), 0x806);
	/* Linux turns them off around its PAT set-up, and on again. */
	CU_ASSERT_EQUAL(write_to(0x2ff, 0x000), MSR_OK);
	CU_ASSERT_EQUAL(read_ok(0x2ff), 0);
	CU_ASSERT_EQUAL(write_to(0x2ff, 0xc06), MSR_OK);
	CU_ASSERT_EQUAL(write_to(0x2ff, 0x802), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0x2ff, 0x807), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0x2ff, 0x906), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0x2ff, UINT64_C(1) << 32 | 6), MSR_GP);
	CU_ASSERT_EQUAL(read_ok(0x2ff), 0xc06);
}

static void test_stored(void)
{
	start();
	/* Read-only bits must be written back as they are. */
	CU_ASSERT_EQUAL(read_ok(0x1a0), 0x1801);
	CU_ASSERT_EQUAL(write_to(0x1a0, 0x401800), MSR_OK);
	CU_ASSERT_EQUAL(read_ok(0x1a0), 0x401800);
	CU_ASSERT_EQUAL(write_to(0x1a0, 0x0001), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0x1a0, 0x41801), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0xc0000103, 0xffffffff), MSR_LOAD);
	CU_ASSERT_EQUAL(read_ok(0xc0000103), 0xffffffff);
	CU_ASSERT_EQUAL(write_to(0xc0000103, UINT64_C(1) << 32), MSR_GP);
	env.rdtscp = false;
	CU_ASSERT_EQUAL(read_result(0xc0000103), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0xc0000103, 0), MSR_GP);
	msr_store_reset(&store);
	CU_ASSERT_EQUAL(read_ok(0x1a0), 0x1801);
}

static void test_ignored_and_constant(void)
{
	start();
	CU_ASSERT_EQUAL(write_to(0x8b, UINT64_MAX), MSR_OK);
	CU_ASSERT_EQUAL(read_ok(0x8b), 0);
	CU_ASSERT_EQUAL(write_to(0x1d9, 2), MSR_OK);
	CU_ASSERT_EQUAL(read_ok(0x1d9), 0);
	CU_ASSERT_EQUAL(write_to(0x1d9, 0x40), MSR_GP);
	CU_ASSERT_EQUAL(read_ok(0x17), 0);
	CU_ASSERT_EQUAL(write_to(0x17, 0), MSR_GP);
	CU_ASSERT_EQUAL(read_ok(0x179), 0);
	CU_ASSERT_EQUAL(write_to(0x17a, 0), MSR_OK);
	CU_ASSERT_EQUAL(write_to(0x17a, 4), MSR_GP);
}

/* Each would be an oops in Linux on an AMD host, see msr.def. */
static void test_linux_on_amd(void)
{
	start();
	CU_ASSERT_EQUAL(read_ok(0xc0010015) & 1u << 24, 1u << 24);
	CU_ASSERT_EQUAL(write_to(0xc0010015, read_ok(0xc0010015) | 1u << 18), MSR_OK);
	CU_ASSERT_EQUAL(read_ok(0xc001001f), 0);
	CU_ASSERT_EQUAL(write_to(0xc001001f, UINT64_C(1) << 46), MSR_OK);
	CU_ASSERT_EQUAL(read_ok(0xc001001f), UINT64_C(1) << 46);
	CU_ASSERT_EQUAL(read_ok(0xc0010010), 0);
	CU_ASSERT_EQUAL(read_ok(0xc0010055), 0);
	CU_ASSERT_EQUAL(read_ok(0xc0011029), 2);
	CU_ASSERT_EQUAL(write_to(0xc0011029, 2), MSR_OK);
	env.amd = false;
	CU_ASSERT_EQUAL(read_result(0xc0010015), MSR_GP);
	CU_ASSERT_EQUAL(write_to(0xc001001f, 0), MSR_GP);
	CU_ASSERT_EQUAL(msr_policy_stored(&store, 0xffffffff), 0);
}

UNIT_MAIN("msr_policy", UNIT_TEST(test_unknown), UNIT_TEST(test_rows_rise),
	  UNIT_TEST(test_elsewhere), UNIT_TEST(test_addresses_are_canonical),
	  UNIT_TEST(test_direct_list), UNIT_TEST(test_efer), UNIT_TEST(test_pat),
	  UNIT_TEST(test_mtrr), UNIT_TEST(test_stored), UNIT_TEST(test_ignored_and_constant),
	  UNIT_TEST(test_linux_on_amd))
