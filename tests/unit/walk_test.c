/*
 * walk_test.c - guest_walk() in each paging mode: addresses, permissions one by one, error codes,
 * reserved bits, accessed and dirty bits, and races against other CPUs.
 */
#include "tests/unit/unit.h"

#include "hypervisor/arch/x86/walk.h"

#include <string.h>

#define CR0_PG 0x80000000u
#define CR0_WP 0x00010000u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_LA57 0x1000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u
#define AC 0x40000u

#define P UINT64_C(0x01)
#define W UINT64_C(0x02)
#define U UINT64_C(0x04)
#define A UINT64_C(0x20)
#define D UINT64_C(0x40)
#define PS UINT64_C(0x80)
#define NX (UINT64_C(1) << 63)

/* Guest memory of eight pages, with the tables in them. */
static struct {
	uint8_t bytes[8 * 4096];
	unsigned int exchange_count;
	unsigned int change_count; /* how many exchanges find that another CPU was faster */
	bool read_only;
} memory;

static bool memory_read(void *m, uint64_t at, uint8_t bytes, uint64_t *value)
{
	(void)m;
	CU_ASSERT_EQUAL(at % bytes, 0);
	if (at + bytes > sizeof(memory.bytes)) {
		return false;
	}
	*value = 0;
	memcpy(value, memory.bytes + at, bytes);
	return true;
}

static enum walk_exchange memory_exchange(void *m, uint64_t at, uint8_t bytes, uint64_t old,
					  uint64_t new)
{
	uint64_t now;

	memory.exchange_count++;
	if (memory.read_only || !memory_read(m, at, bytes, &now)) {
		return WALK_ABSENT;
	}
	if (memory.change_count != 0) {
		memory.change_count--;
		return WALK_CHANGED;
	}
	CU_ASSERT_EQUAL(now, old);
	memcpy(memory.bytes + at, &new, bytes);
	return WALK_EXCHANGED;
}

static void put(uint64_t at, uint8_t bytes, uint64_t value)
{
	memcpy(memory.bytes + at, &value, bytes);
}

static uint64_t get(uint64_t at, uint8_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, memory.bytes + at, bytes);
	return value;
}

static struct walk_ctx context(uint64_t cr4, uint64_t efer)
{
	memset(&memory, 0, sizeof(memory));
	return (struct walk_ctx){.cr0 = CR0_PG | CR0_WP | 1,
				 .cr3 = 0x1000,
				 .cr4 = cr4,
				 .efer = efer,
				 .phys_bits = 40,
				 .read = memory_read,
				 .exchange = memory_exchange};
}

/* Four levels at 0x1000, 0x2000, 0x3000, 0x4000, all index 1: linear 0x8040201000 maps @leaf. */
#define LINEAR_4 UINT64_C(0x8040201000)

static struct walk_ctx four_levels(uint64_t leaf)
{
	struct walk_ctx ctx = context(CR4_PAE, EFER_LMA | EFER_NXE);

	put(0x1008, 8, 0x2000 | P | W | U);
	put(0x2008, 8, 0x3000 | P | W | U);
	put(0x3008, 8, 0x4000 | P | W | U);
	put(0x4008, 8, leaf);
	return ctx;
}

/* The walk's outcome: the address, or a fault's error code with the top bit set. */
#define FAULT(error) (UINT64_C(1) << 63 | (error))
#define STATUS(status) (UINT64_C(1) << 62 | (uint64_t)(status))

static uint64_t walk(const struct walk_ctx *ctx, uint64_t linear, uint32_t access)
{
	uint64_t at = 0;
	uint32_t error = 0;
	enum walk_status status = guest_walk(ctx, linear, access, &at, &error);

	if (status == WALK_FAULT) {
		return FAULT(error);
	}
	return status == WALK_OK ? at : STATUS(status);
}

static void test_paging_off(void)
{
	struct walk_ctx ctx = context(0, 0);

	ctx.cr0 = 1;
	CU_ASSERT_EQUAL(walk(&ctx, 0x12345678, WALK_WRITE | WALK_USER), 0x12345678);
	CU_ASSERT_EQUAL(walk(&ctx, 0x1ffffffff, 0), 0xffffffff);
	CU_ASSERT_EQUAL(memory.exchange_count, 0);
}

static void test_32bit(void)
{
	struct walk_ctx ctx = context(CR4_PSE, 0);

	put(0x1004, 4, 0x2000 | P | W | U);
	put(0x2008, 4, 0xabcde000u | P | U);
	CU_ASSERT_EQUAL(walk(&ctx, 0x402123, WALK_USER), 0xabcde123);
	CU_ASSERT_EQUAL(get(0x1004, 4), 0x2000 | P | W | U | A);
	CU_ASSERT_EQUAL(get(0x2008, 4), 0xabcde000u | P | U | A);
	CU_ASSERT_EQUAL(walk(&ctx, 0xf00000402123, WALK_USER), 0xabcde123);
	CU_ASSERT_EQUAL(walk(&ctx, 0x402123, WALK_USER | WALK_WRITE),
			FAULT(WALK_ERROR_PRESENT | WALK_ERROR_WRITE | WALK_ERROR_USER));
	CU_ASSERT_EQUAL(walk(&ctx, 0x403123, WALK_USER), FAULT(WALK_ERROR_USER));
	/* No NX in 32-bit paging, and no fetch bit either. */
	ctx.efer = EFER_NXE;
	CU_ASSERT_EQUAL(walk(&ctx, 0x402123, WALK_FETCH), 0xabcde123);
	CU_ASSERT_EQUAL(walk(&ctx, 0x403123, WALK_FETCH), FAULT(0));
	CU_ASSERT_EQUAL(walk(&ctx, 0x803123, 0), FAULT(0));
}

static void test_pse(void)
{
	struct walk_ctx ctx = context(CR4_PSE, 0);

	put(0x1008, 4, 0x00c00000u | 0xab << 13 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, 0xbff123, WALK_WRITE), 0xab00fff123);
	CU_ASSERT_EQUAL(get(0x1008, 4) & 0xfff, PS | P | W | A | D);
	put(0x1008, 4, 0x00c00000u | 1u << 21 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, 0xbff123, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	/* Without CR4.PSE the bit is nothing, and the entry points to a table. */
	ctx.cr4 = 0;
	put(0x1008, 4, 0x2000 | PS | P | W);
	put(0x2ffc, 4, 0x5000 | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, 0xbff123, 0), 0x5123);
}

static void test_pae(void)
{
	struct walk_ctx ctx = context(CR4_PAE, EFER_NXE);

	ctx.cr3 = 0x1020; /* aligned to 32 bytes only */
	put(0x1038, 8, 0x2000 | P);
	put(0x2008, 8, 0x3000 | P | W | U);
	put(0x3010, 8, 0xab00000000 | P | W | U);
	CU_ASSERT_EQUAL(walk(&ctx, 0xc0202044, WALK_USER | WALK_WRITE), 0xab00000044);
	CU_ASSERT_EQUAL(get(0x1038, 8), 0x2000 | P); /* has no accessed bit */
	CU_ASSERT_EQUAL(get(0x2008, 8), 0x3000 | P | W | U | A);
	CU_ASSERT_EQUAL(get(0x3010, 8), 0xab00000000 | P | W | U | A | D);
	put(0x2008, 8, 0xab00400000 | PS | P | NX);
	CU_ASSERT_EQUAL(walk(&ctx, 0xc0202044, 0), 0xab00402044);
	CU_ASSERT_EQUAL(walk(&ctx, 0xc0202044, WALK_FETCH),
			FAULT(WALK_ERROR_PRESENT | WALK_ERROR_FETCH));
	put(0x2008, 8, 0xab00400000 | PS | P | UINT64_C(1) << 52);
	CU_ASSERT_EQUAL(walk(&ctx, 0xc0202044, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	put(0x2008, 8, 0xab00400000 | PS | P);
	put(0x1038, 8, 0x2000 | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, 0xc0202044, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	put(0x1038, 8, 0x2000 | P | NX);
	CU_ASSERT_EQUAL(walk(&ctx, 0xc0202044, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	CU_ASSERT_EQUAL(walk(&ctx, 0x80000000, 0), FAULT(0));
}

static void test_long_mode(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P | W | U);

	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4 + 0xabc, WALK_USER), 0x5abc);
	for (uint64_t at = 0x1008; at < 0x5000; at += 0x1000) {
		CU_ASSERT_EQUAL(get(at, 8) & 0xfff, P | W | U | A);
	}
	CU_ASSERT_EQUAL(memory.exchange_count, 4);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_USER), 0x5000);
	CU_ASSERT_EQUAL(memory.exchange_count, 4); /* nothing left to set */
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE), 0x5000);
	CU_ASSERT_EQUAL(memory.exchange_count, 5);
	CU_ASSERT_EQUAL(get(0x4008, 8) & 0xfff, P | W | U | A | D);
	CU_ASSERT_EQUAL(get(0x3008, 8) & D, 0);
}

static void test_large_pages(void)
{
	struct walk_ctx ctx = four_levels(0);

	put(0x3008, 8, 0xff00200000 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4 + 0x42, 0), 0xff00201042);
	put(0x3008, 8, 0xff00200000 | PS | P | W | 0x1000); /* the PAT bit is no address */
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4 + 0x42, 0), 0xff00201042);
	put(0x3008, 8, 0xff00202000 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	put(0x2008, 8, 0x40000000 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4 + 0x42, WALK_WRITE), 0x40201042);
	CU_ASSERT_EQUAL(get(0x2008, 8), 0x40000000 | PS | P | W | A | D);
	put(0x2008, 8, 0x40200000 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	put(0x1008, 8, 0x2000 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
}

static void test_five_levels(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P | W);
	uint64_t linear = LINEAR_4 | UINT64_C(2) << 48;

	ctx.cr4 |= CR4_LA57;
	ctx.cr3 = 0x6000;
	put(0x6010, 8, 0x1000 | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, linear, WALK_WRITE), 0x5000);
	CU_ASSERT_EQUAL(get(0x6010, 8), 0x1000 | P | W | A);
	CU_ASSERT_EQUAL(walk(&ctx, linear | UINT64_C(1) << 56, 0), STATUS(WALK_NONCANONICAL));
	ctx.cr4 &= ~(uint64_t)CR4_LA57;
	CU_ASSERT_EQUAL(walk(&ctx, linear, 0), STATUS(WALK_NONCANONICAL));
}

static void test_canonical(void)
{
	struct walk_ctx ctx = four_levels(0);

	put(0x1ff8, 8, 0x2000 | P | W);
	put(0x2ff8, 8, 0x40000000 | PS | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, UINT64_C(0xffffffffffffffff), 0), 0x7fffffff);
	CU_ASSERT_EQUAL(walk(&ctx, UINT64_C(0x0000800000000000), 0), STATUS(WALK_NONCANONICAL));
	CU_ASSERT_EQUAL(walk(&ctx, UINT64_C(0xffff7fffffffffff), 0), STATUS(WALK_NONCANONICAL));
	CU_ASSERT_EQUAL(walk(&ctx, UINT64_C(0x00007fffffffffff), 0), FAULT(0));
}

/* Each of the four levels can take a permission away. */
static void test_each_level_restricts(void)
{
	for (uint64_t at = 0x1008; at < 0x5000; at += 0x1000) {
		struct walk_ctx ctx = four_levels(0x5000 | P | W | U);
		uint64_t entry = get(at, 8);

		put(at, 8, entry & ~W);
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE),
				FAULT(WALK_ERROR_PRESENT | WALK_ERROR_WRITE));
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), 0x5000);
		put(at, 8, entry & ~U);
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_USER),
				FAULT(WALK_ERROR_PRESENT | WALK_ERROR_USER));
		put(at, 8, entry | NX);
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_FETCH | WALK_USER),
				FAULT(WALK_ERROR_PRESENT | WALK_ERROR_USER | WALK_ERROR_FETCH));
		put(at, 8, entry & ~P);
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_FETCH), FAULT(WALK_ERROR_FETCH));
		put(at, 8, entry | UINT64_C(1) << 40);
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE),
				FAULT(WALK_ERROR_PRESENT | WALK_ERROR_WRITE | WALK_ERROR_RESERVED));
		ctx.efer = EFER_LMA;
		put(at, 8, entry | NX); /* reserved while NX is off, and fetches are not told */
		CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_FETCH),
				FAULT(WALK_ERROR_PRESENT | WALK_ERROR_RESERVED));
	}
}

static void test_write_protect(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P | U);

	ctx.cr0 &= ~(uint64_t)CR0_WP;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE), 0x5000);
	CU_ASSERT_EQUAL(get(0x4008, 8) & D, D);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE | WALK_USER),
			FAULT(WALK_ERROR_PRESENT | WALK_ERROR_WRITE | WALK_ERROR_USER));
}

static void test_smep_smap(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P | W | U);

	ctx.cr4 |= CR4_SMEP;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_FETCH),
			FAULT(WALK_ERROR_PRESENT | WALK_ERROR_FETCH));
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_FETCH | WALK_USER), 0x5000);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), 0x5000);
	ctx.cr4 = CR4_PAE | CR4_SMAP;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), FAULT(WALK_ERROR_PRESENT));
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_FETCH), 0x5000);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_USER), 0x5000);
	ctx.rflags = AC;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE), 0x5000);
	ctx.cpl = 3; /* an implicit access, for which AC is nothing */
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE),
			FAULT(WALK_ERROR_PRESENT | WALK_ERROR_WRITE));
	/* A supervisor page is none of SMAP's business. */
	ctx.rflags = 0;
	put(0x4008, 8, 0x5000 | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE), 0x5000);
}

static void test_bad_tables(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P | W);

	put(0x2008, 8, 0x900000 | P | W);
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), STATUS(WALK_NO_TABLE));
	put(0x2008, 8, 0x3000 | P | W);
	memory.read_only = true;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), STATUS(WALK_NO_TABLE));
	memory.read_only = false;
	ctx.cr3 = 0xffffff000;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, 0), STATUS(WALK_NO_TABLE));
}

static void test_races(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P | W);

	memory.change_count = 3;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE), 0x5000);
	CU_ASSERT_EQUAL(memory.exchange_count, 3 + 4);
	ctx = four_levels(0x5000 | P | W);
	memory.change_count = 1000;
	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE), STATUS(WALK_RETRY));
	CU_ASSERT_EQUAL(memory.exchange_count, WALK_TRIES);
}

/* A walk that faults has set nothing. */
static void test_fault_sets_nothing(void)
{
	struct walk_ctx ctx = four_levels(0x5000 | P);

	CU_ASSERT_EQUAL(walk(&ctx, LINEAR_4, WALK_WRITE),
			FAULT(WALK_ERROR_PRESENT | WALK_ERROR_WRITE));
	CU_ASSERT_EQUAL(memory.exchange_count, 0);
}

UNIT_MAIN("walk", UNIT_TEST(test_paging_off), UNIT_TEST(test_32bit), UNIT_TEST(test_pse),
	  UNIT_TEST(test_pae), UNIT_TEST(test_long_mode), UNIT_TEST(test_large_pages),
	  UNIT_TEST(test_five_levels), UNIT_TEST(test_canonical),
	  UNIT_TEST(test_each_level_restricts),
	  UNIT_TEST(test_write_protect), UNIT_TEST(test_smep_smap), UNIT_TEST(test_bad_tables),
	  UNIT_TEST(test_races), UNIT_TEST(test_fault_sets_nothing))
