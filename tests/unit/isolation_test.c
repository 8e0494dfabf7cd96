/*
 * isolation_test.c - each row of specs/isolation.def with its condition on and off, CPUs as they are, and the log's line.
 * The bits are written down here again, by the vendors' papers, so that a wrong one in the table is noticed.
 */
#include "tests/unit/unit.h"

#include "hypervisor/arch/x86/isolation.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define IBPB ISOLATION_IBPB
#define RSB ISOLATION_FILL_RSB
#define VERW ISOLATION_VERW
#define L1D ISOLATION_L1D_FLUSH

#define INTEL ISOLATION_VENDOR_INTEL
#define AMD ISOLATION_VENDOR_AMD
#define HYGON ISOLATION_VENDOR_HYGON
#define OTHER ISOLATION_VENDOR_OTHER

/* CPUID.(7,0):EDX */
#define MD_CLEAR 0x00000400u
#define SPEC_CTRL 0x04000000u
#define L1D_CMD 0x10000000u
#define ARCH_CAP 0x20000000u
/* CPUID.(7,0):EBX */
#define RTM 0x00000800u
/* CPUID.80000008:EBX and CPUID.80000021 */
#define AMD_IBPB 0x00001000u
#define VERW_CLEAR 0x00000020u
#define TSA_SQ_NO 0x2u
#define TSA_L1_NO 0x4u
/* IA32_ARCH_CAPABILITIES */
#define RDCL_NO 0x1u
#define SKIP_L1DFL 0x8u
#define MDS_NO 0x20u
#define TAA_NO 0x100u
#define SBDR_SSDP_NO 0x2000u
#define FBSDP_NO 0x4000u
#define PSDP_NO 0x8000u
#define FB_CLEAR 0x20000u
#define RFDS_NO 0x8000000u
#define RFDS_CLEAR 0x10000000u

struct expectation {
	const char *what;
	struct isolation_facts facts;
	uint32_t set;
};

static void expect(const struct expectation *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t set = isolation_judge(&rows[i].facts);

		if (set != rows[i].set) {
			printf("\n%s: %#x, not %#x\n", rows[i].what, set, rows[i].set);
		}
		CU_ASSERT_EQUAL(set, rows[i].set);
	}
}

#define EXPECT(rows) expect(rows, COUNT(rows))

/* A change of the table has to come with one here. */
static void test_count_of_rows(void)
{
	static const char *const clauses[] = {
#define ISOLATION(action, vendors, exposed, means, safe, clause) clause,
#include "specs/isolation.def"
	};
	static const char *const tests[] = {
#define ISOLATION_TEST(name, field, bits, text) text,
#include "specs/isolation.def"
	};

	CU_ASSERT_EQUAL(COUNT(clauses), 9);
	CU_ASSERT_EQUAL(COUNT(tests), 14);
	for (size_t i = 0; i < COUNT(clauses); i++) {
		CU_ASSERT_TRUE(clauses[i][0] == '[');
	}
}

static void test_vendors(void)
{
	uint32_t r[3];

	memcpy(r, "GenuineIntel", 12);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0], r[1], r[2]), INTEL);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0], r[1], r[2] + 1), OTHER);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0], r[1] + 1, r[2]), OTHER);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0] + 1, r[1], r[2]), OTHER);
	memcpy(r, "AuthenticAMD", 12);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0], r[1], r[2]), AMD);
	memcpy(r, "HygonGenuine", 12);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0], r[1], r[2]), HYGON);
	memcpy(r, "CentaurHauls", 12);
	CU_ASSERT_EQUAL(isolation_vendor_of(r[0], r[1], r[2]), OTHER);
	CU_ASSERT_EQUAL(isolation_vendor_of(0, 0, 0), OTHER);
}

/* Return predictions are overwritten everywhere; all else needs a CPU that can. */
static void test_nothing_shown(void)
{
	static const struct expectation rows[] = {
		{"Intel", {.vendor = INTEL}, RSB},
		{"AMD", {.vendor = AMD}, RSB},
		{"Hygon", {.vendor = HYGON}, RSB},
		{"another", {.vendor = OTHER}, RSB},
	};

	EXPECT(rows);
}

static void test_ibpb(void)
{
	static const struct expectation rows[] = {
		{"Intel by leaf 7", {.vendor = INTEL, .leaf_7_edx = SPEC_CTRL}, IBPB | RSB},
		{"Intel, all but it", {.vendor = INTEL, .leaf_7_edx = ~(SPEC_CTRL | MD_CLEAR | L1D_CMD)}, RSB},
		{"Intel with AMD's bit", {.vendor = INTEL, .leaf_80000008_ebx = AMD_IBPB}, RSB},
		{"AMD by 80000008", {.vendor = AMD, .leaf_80000008_ebx = AMD_IBPB}, IBPB | RSB},
		{"AMD, all but it", {.vendor = AMD, .leaf_80000008_ebx = ~AMD_IBPB}, RSB},
		{"AMD with Intel's bit", {.vendor = AMD, .leaf_7_edx = SPEC_CTRL}, RSB},
		{"Hygon by 80000008", {.vendor = HYGON, .leaf_80000008_ebx = AMD_IBPB}, IBPB | RSB},
		{"another vendor", {.vendor = OTHER, .leaf_7_edx = SPEC_CTRL, .leaf_80000008_ebx = AMD_IBPB}, RSB},
	};

	EXPECT(rows);
}

#define CAPS(value) .has_arch_capabilities = true, .arch_capabilities = (value)

static void test_verw_for_mds(void)
{
	static const struct expectation rows[] = {
		{"on", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR}, RSB | VERW},
		{"no promise", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, CAPS(0)}, RSB | VERW},
		{"all but it", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, CAPS(~(uint64_t)MDS_NO)}, RSB | VERW},
		{"safe", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, CAPS(MDS_NO)}, RSB},
		{"not read", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, .arch_capabilities = MDS_NO}, RSB | VERW},
		{"no means", {.vendor = INTEL, .leaf_7_edx = ~(MD_CLEAR | SPEC_CTRL | L1D_CMD)}, RSB},
		{"AMD", {.vendor = AMD, .leaf_7_edx = MD_CLEAR}, RSB},
	};

	EXPECT(rows);
}

static void test_verw_for_taa(void)
{
	static const struct expectation rows[] = {
		{"on", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, .leaf_7_ebx = RTM, CAPS(MDS_NO)}, RSB | VERW},
		{"no TSX", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, .leaf_7_ebx = ~RTM, CAPS(MDS_NO)}, RSB},
		{"safe", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, .leaf_7_ebx = RTM, CAPS(MDS_NO | TAA_NO)}, RSB},
		{"no means", {.vendor = INTEL, .leaf_7_ebx = RTM, CAPS(MDS_NO)}, RSB},
		{"MDS needs it still", {.vendor = INTEL, .leaf_7_edx = MD_CLEAR, .leaf_7_ebx = RTM, CAPS(TAA_NO)},
		 RSB | VERW},
		{"AMD", {.vendor = AMD, .leaf_7_edx = MD_CLEAR, .leaf_7_ebx = RTM}, RSB},
	};

	EXPECT(rows);
}

static void test_verw_by_capabilities(void)
{
	static const uint64_t mmio_no = SBDR_SSDP_NO | FBSDP_NO | PSDP_NO;
	const struct expectation rows[] = {
		{"fill buffers", {.vendor = INTEL, CAPS(FB_CLEAR)}, RSB | VERW},
		{"fill buffers, safe", {.vendor = INTEL, CAPS(FB_CLEAR | mmio_no)}, RSB},
		{"but one", {.vendor = INTEL, CAPS(FB_CLEAR | (mmio_no & ~(uint64_t)SBDR_SSDP_NO))}, RSB | VERW},
		{"but another", {.vendor = INTEL, CAPS(FB_CLEAR | (mmio_no & ~(uint64_t)FBSDP_NO))}, RSB | VERW},
		{"but the third", {.vendor = INTEL, CAPS(FB_CLEAR | (mmio_no & ~(uint64_t)PSDP_NO))}, RSB | VERW},
		{"register file", {.vendor = INTEL, CAPS(RFDS_CLEAR)}, RSB | VERW},
		{"register file, safe", {.vendor = INTEL, CAPS(RFDS_CLEAR | RFDS_NO)}, RSB},
		{"neither", {.vendor = INTEL, CAPS(~(uint64_t)(FB_CLEAR | RFDS_CLEAR))}, RSB},
		{"not read", {.vendor = INTEL, .arch_capabilities = FB_CLEAR | RFDS_CLEAR}, RSB},
		{"shown on AMD", {.vendor = AMD, CAPS(FB_CLEAR | RFDS_CLEAR)}, RSB},
	};

	EXPECT(rows);
}

static void test_verw_for_tsa(void)
{
	static const struct expectation rows[] = {
		{"on", {.vendor = AMD, .leaf_80000021_eax = VERW_CLEAR}, RSB | VERW},
		{"one half safe", {.vendor = AMD, .leaf_80000021_eax = VERW_CLEAR, .leaf_80000021_ecx = TSA_SQ_NO},
		 RSB | VERW},
		{"the other", {.vendor = AMD, .leaf_80000021_eax = VERW_CLEAR, .leaf_80000021_ecx = TSA_L1_NO},
		 RSB | VERW},
		{"safe", {.vendor = AMD, .leaf_80000021_eax = VERW_CLEAR, .leaf_80000021_ecx = TSA_SQ_NO | TSA_L1_NO},
		 RSB},
		{"no means", {.vendor = AMD, .leaf_80000021_eax = ~VERW_CLEAR}, RSB},
		{"Hygon", {.vendor = HYGON, .leaf_80000021_eax = VERW_CLEAR}, RSB},
		{"Intel", {.vendor = INTEL, .leaf_80000021_eax = VERW_CLEAR}, RSB},
	};

	EXPECT(rows);
}

static void test_l1d_flush(void)
{
	static const struct expectation rows[] = {
		{"on", {.vendor = INTEL, .leaf_7_edx = L1D_CMD}, RSB | L1D},
		{"safe", {.vendor = INTEL, .leaf_7_edx = L1D_CMD, CAPS(RDCL_NO)}, RSB},
		{"all but it", {.vendor = INTEL, .leaf_7_edx = L1D_CMD, CAPS(MDS_NO | TAA_NO | RFDS_NO)}, RSB | L1D},
		{"someone else flushes", {.vendor = INTEL, .leaf_7_edx = L1D_CMD, CAPS(SKIP_L1DFL)}, RSB | L1D},
		{"not read", {.vendor = INTEL, .leaf_7_edx = L1D_CMD, .arch_capabilities = RDCL_NO}, RSB | L1D},
		{"no means", {.vendor = INTEL, .leaf_7_edx = ~(L1D_CMD | MD_CLEAR | SPEC_CTRL)}, RSB},
		{"AMD", {.vendor = AMD, .leaf_7_edx = L1D_CMD}, RSB},
	};

	EXPECT(rows);
}

/* What such CPUs show with the microcode of 2019 and later, in the words that the table looks at. */
static const struct isolation_facts skylake_server = {
	.vendor = INTEL, .leaf_7_ebx = RTM, .leaf_7_edx = MD_CLEAR | SPEC_CTRL | L1D_CMD | ARCH_CAP, CAPS(0)
};
static const struct isolation_facts cascade_lake = {
	.vendor = INTEL, .leaf_7_ebx = RTM, .leaf_7_edx = MD_CLEAR | SPEC_CTRL | L1D_CMD | ARCH_CAP,
	CAPS(RDCL_NO | SKIP_L1DFL | MDS_NO)
};
static const struct isolation_facts ice_lake_server = {
	.vendor = INTEL, .leaf_7_ebx = RTM, .leaf_7_edx = MD_CLEAR | SPEC_CTRL | L1D_CMD | ARCH_CAP,
	CAPS(RDCL_NO | SKIP_L1DFL | MDS_NO | TAA_NO | FB_CLEAR)
};
static const struct isolation_facts sapphire_rapids = {
	.vendor = INTEL, .leaf_7_ebx = RTM, .leaf_7_edx = MD_CLEAR | SPEC_CTRL | L1D_CMD | ARCH_CAP,
	CAPS(RDCL_NO | SKIP_L1DFL | MDS_NO | TAA_NO | SBDR_SSDP_NO | FBSDP_NO | PSDP_NO | FB_CLEAR | RFDS_NO)
};
static const struct isolation_facts haswell_2014 = {.vendor = INTEL, .leaf_7_ebx = RTM};
static const struct isolation_facts zen_2 = {.vendor = AMD, .leaf_80000008_ebx = 0x7d205};
static const struct isolation_facts zen_2_nothing = {.vendor = AMD, .leaf_80000008_ebx = 0x205};
static const struct isolation_facts dhyana = {.vendor = HYGON, .leaf_80000008_ebx = 0x1007};
/* QEMU's TCG as EPYC and Bochs as skylake_x: none of it. */
static const struct isolation_facts tcg_epyc = {.vendor = AMD};
static const struct isolation_facts bochs_skylake_x = {.vendor = INTEL, .leaf_7_ebx = RTM};

static void test_known_cpus(void)
{
	const struct expectation rows[] = {
		{"Skylake server", skylake_server, IBPB | RSB | VERW | L1D},
		{"Cascade Lake", cascade_lake, IBPB | RSB | VERW}, /* TSX without TAA_NO */
		{"Ice Lake server", ice_lake_server, IBPB | RSB | VERW}, /* stale fill buffers */
		{"Sapphire Rapids", sapphire_rapids, IBPB | RSB},
		{"Haswell with its first microcode", haswell_2014, RSB},
		{"Zen 2", zen_2, IBPB | RSB},
		{"Zen 2 without the bit", zen_2_nothing, RSB},
		{"Hygon Dhyana", dhyana, IBPB | RSB},
		{"QEMU's TCG", tcg_epyc, RSB},
		{"Bochs", bochs_skylake_x, RSB},
	};
	struct isolation_facts without_tsx = cascade_lake;

	EXPECT(rows);
	without_tsx.leaf_7_ebx = 0;
	CU_ASSERT_EQUAL(isolation_judge(&without_tsx), IBPB | RSB);
}

static const char *text_of(const struct isolation_facts *facts, uint32_t done)
{
	static char text[ISOLATION_TEXT_BYTES];

	return isolation_text(facts, done, text, sizeof(text));
}

static void test_text(void)
{
	CU_ASSERT_STRING_EQUAL(text_of(&skylake_server, IBPB | RSB | VERW | L1D),
			       "between guests: IBPB, RSB filling, VERW, L1D flush");
	CU_ASSERT_STRING_EQUAL(text_of(&cascade_lake, IBPB | RSB | VERW),
			       "between guests: IBPB, RSB filling, VERW; not: L1D flush (CPU says RDCL_NO)");
	CU_ASSERT_STRING_EQUAL(text_of(&sapphire_rapids, IBPB | RSB),
			       "between guests: IBPB, RSB filling; not: VERW (CPU says MDS_NO), "
			       "L1D flush (CPU says RDCL_NO)");
	CU_ASSERT_STRING_EQUAL(text_of(&zen_2, IBPB | RSB),
			       "between guests: IBPB, RSB filling; not: VERW (CPU has no VERW_CLEAR), "
			       "L1D flush (no row for this vendor)");
	CU_ASSERT_STRING_EQUAL(text_of(&bochs_skylake_x, RSB),
			       "between guests: RSB filling; not: IBPB (CPU has no IBPB), VERW (CPU has no MD_CLEAR), "
			       "L1D flush (CPU has no L1D_FLUSH)");
}

/* MDS_NO does not hide that TSX's half is open without means. */
static void test_text_names_what_is_open(void)
{
	struct isolation_facts facts = cascade_lake;

	facts.leaf_7_edx &= ~MD_CLEAR;
	CU_ASSERT_EQUAL(isolation_judge(&facts), IBPB | RSB);
	CU_ASSERT_PTR_NOT_NULL(strstr(text_of(&facts, IBPB | RSB), "VERW (CPU has no MD_CLEAR)"));
}

static void test_text_of_refused(void)
{
	CU_ASSERT_STRING_EQUAL(text_of(&skylake_server, RSB | VERW),
			       "between guests: RSB filling, VERW; not: IBPB (CPU refused it), "
			       "L1D flush (CPU refused it)");
	CU_ASSERT_STRING_EQUAL(text_of(&zen_2, 0),
			       "between guests: nothing; not: IBPB (CPU refused it), RSB filling (CPU refused it), "
			       "VERW (CPU has no VERW_CLEAR), L1D flush (no row for this vendor)");
}

static void set_bits(struct isolation_facts *facts, uint32_t pattern)
{
	static const uint64_t caps[] = {RDCL_NO, MDS_NO, TAA_NO, SBDR_SSDP_NO | FBSDP_NO | PSDP_NO,
					FB_CLEAR, RFDS_NO, RFDS_CLEAR};

	facts->leaf_7_edx = ((pattern & 1) != 0 ? MD_CLEAR : 0) | ((pattern & 2) != 0 ? SPEC_CTRL : 0) |
			    ((pattern & 4) != 0 ? L1D_CMD : 0);
	facts->leaf_7_ebx = (pattern & 8) != 0 ? RTM : 0;
	facts->leaf_80000008_ebx = (pattern & 2) != 0 ? AMD_IBPB : 0;
	facts->leaf_80000021_eax = (pattern & 1) != 0 ? VERW_CLEAR : 0;
	facts->leaf_80000021_ecx = (pattern & 4) != 0 ? TSA_SQ_NO | TSA_L1_NO : 0;
	facts->has_arch_capabilities = true;
	facts->arch_capabilities = 0;
	for (size_t i = 0; i < COUNT(caps); i++) {
		facts->arch_capabilities |= (pattern >> 4 & 1u << i) != 0 ? caps[i] : 0;
	}
}

/* Of every CPU that the table can tell apart: the line is whole, and fits; what it does not do it says. */
static void test_every_text_fits(void)
{
	static const enum isolation_vendor vendors[] = {INTEL, AMD, HYGON, OTHER};
	char text[2 * ISOLATION_TEXT_BYTES];
	size_t longest = 0;

	for (uint32_t i = 0; i < 4u << 11; i++) {
		struct isolation_facts facts = {.vendor = vendors[i >> 11]};
		uint32_t set;

		set_bits(&facts, i & 0x7ff);
		set = isolation_judge(&facts);
		CU_ASSERT_TRUE((set & RSB) != 0 && set <= (IBPB | RSB | VERW | L1D));
		for (uint32_t done = 0; done < 16; done++) {
			size_t length = strlen(isolation_text(&facts, set & done, text, sizeof(text)));

			longest = length > longest ? length : longest;
			CU_ASSERT_EQUAL(strstr(text, "; not: ") != NULL, (set & done) != 15);
			CU_ASSERT_EQUAL(strstr(text, "refused") != NULL, (set & done) != set);
		}
	}
	CU_ASSERT_TRUE(longest > 100 && longest < ISOLATION_TEXT_BYTES);
}

static void test_text_is_cut(void)
{
	char whole[ISOLATION_TEXT_BYTES];
	char text[ISOLATION_TEXT_BYTES];
	size_t length;

	length = strlen(isolation_text(&zen_2, RSB, whole, sizeof(whole)));
	for (size_t room = 1; room <= length + 1; room++) {
		memset(text, '#', sizeof(text));
		CU_ASSERT_PTR_EQUAL(isolation_text(&zen_2, RSB, text, room), text);
		CU_ASSERT_EQUAL(strlen(text), room - 1);
		CU_ASSERT_EQUAL(strncmp(text, whole, room - 1), 0);
		CU_ASSERT_EQUAL(text[room], '#');
	}
}

UNIT_MAIN("isolation", UNIT_TEST(test_count_of_rows), UNIT_TEST(test_vendors), UNIT_TEST(test_nothing_shown),
	  UNIT_TEST(test_ibpb), UNIT_TEST(test_verw_for_mds), UNIT_TEST(test_verw_for_taa),
	  UNIT_TEST(test_verw_by_capabilities), UNIT_TEST(test_verw_for_tsa), UNIT_TEST(test_l1d_flush),
	  UNIT_TEST(test_known_cpus), UNIT_TEST(test_text), UNIT_TEST(test_text_names_what_is_open),
	  UNIT_TEST(test_text_of_refused), UNIT_TEST(test_every_text_fits), UNIT_TEST(test_text_is_cut))
