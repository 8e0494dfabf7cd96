/*
 * cpuid_policy_test.c - what guests see over a host that has everything, one that has little, and
 * the CPU that runs this test.
 */
#include "tests/unit/unit.h"

#include "hypervisor/arch/x86/cpuid_policy.h"

#include <cpuid.h>
#include <string.h>

#define APIC_ENABLED 0xfee00900u

/* A host by a rule: all leaves up to the maxima are ones. */
struct fake_host {
	uint32_t basic_max;
	uint32_t extended_max;
	const char *vendor; /* in EBX, EDX, ECX order */
	uint32_t fill;
	uint32_t leaf_1_ecx_clear;
	uint32_t leaf_d_eax;
};

static void fake_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	const struct fake_host *h = ctx;

	*out = (struct cpuid_regs){h->fill, h->fill, h->fill, h->fill};
	if (leaf == 0 || leaf == 0x80000000) {
		out->eax = leaf == 0 ? h->basic_max : h->extended_max;
		memcpy(&out->ebx, h->vendor, 4);
		memcpy(&out->edx, h->vendor + 4, 4);
		memcpy(&out->ecx, h->vendor + 8, 4);
	} else if (leaf == 1) {
		*out = (struct cpuid_regs){0x00800f12, 0x05060807, h->fill & ~h->leaf_1_ecx_clear,
					   h->fill};
	} else if (leaf == 4) {
		/* L1 data, L1 code, L2, L3, none; all shared as widely as can be */
		static const uint32_t types[4] = {0x21, 0x22, 0x43, 0x63};

		out->eax = subleaf < 4 ? types[subleaf] | 0xffffc100 : 0;
	} else if (leaf == 0xd) {
		out->eax = h->leaf_d_eax;
	} else if (leaf == 0x80000008) {
		out->eax = 0x00003934;
	}
}

static struct fake_host host_full(void)
{
	return (struct fake_host){.basic_max = 0x20,
				  .extended_max = 0x80000028,
				  .vendor = "AuthenticAMD",
				  .fill = 0xffffffff,
				  .leaf_d_eax = 0xffffffff};
}

static struct cpuid_host known;

static struct cpuid_input input_of(struct fake_host *host)
{
	known = (struct cpuid_host){.get = fake_cpuid, .ctx = host};
	cpuid_policy_know(&known);
	return (struct cpuid_input){.host = &known,
				    .vcpu_index = 2,
				    .vcpu_count = 3,
				    .xcr0 = 1,
				    .osxsave = true,
				    .apic_base = APIC_ENABLED};
}

static struct cpuid_regs get(const struct cpuid_input *in, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs out;

	cpuid_policy_know(&known); /* the test may have changed the host */
	memset(&out, 0xa5, sizeof(out));
	cpuid_policy_get(in, leaf, subleaf, &out);
	return out;
}

/* Anew, as the test may have changed the host. */
static const struct cpuid_host *host_known(void)
{
	cpuid_policy_know(&known);
	return &known;
}

static bool is_zero(struct cpuid_regs r)
{
	return (r.eax | r.ebx | r.ecx | r.edx) == 0;
}

static void test_vendor_and_maxima(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);
	struct cpuid_regs r = get(&in, 0, 7);

	CU_ASSERT_TRUE(r.eax == 0xd && r.ebx == 0x68747541 && r.edx == 0x69746e65 &&
		       r.ecx == 0x444d4163);
	r = get(&in, 0x80000000, 0);
	CU_ASSERT_TRUE(r.eax == 0x80000008 && r.ebx == 0x68747541);
	CU_ASSERT_TRUE(host_known()->amd);
	host.vendor = "HygoenuinneG"; /* Hygon's first word is what counts */
	CU_ASSERT_TRUE(host_known()->amd);
	host.vendor = "GenuineIntel";
	CU_ASSERT_FALSE(host_known()->amd);
	/* A host with few leaves: the synthetic ones are shown all the same. */
	host.basic_max = 7;
	host.fill = 0;
	CU_ASSERT_EQUAL(get(&in, 0, 0).eax, 0xb);
	CU_ASSERT_EQUAL(get(&in, 0xb, 1).ebx, 3);
}

/* Over a host with every bit set, exactly the listed bits come out. */
static void test_features_are_masked(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);
	struct cpuid_regs r = get(&in, 1, 0);

	CU_ASSERT_EQUAL(r.eax, 0x00800f12);
	CU_ASSERT_EQUAL(r.ebx, 0x02030800);
	CU_ASSERT_EQUAL(r.ecx, 0xfefa3203);
	CU_ASSERT_EQUAL(r.edx, 0x178bbb79);
	r = get(&in, 7, 0);
	CU_ASSERT_TRUE(r.eax == 0 && r.ecx == 0 && r.edx == 0);
	CU_ASSERT_EQUAL(r.ebx, 0x209c27e9);
	CU_ASSERT_TRUE(is_zero(get(&in, 7, 1)));
	r = get(&in, 0x80000001, 0);
	CU_ASSERT_EQUAL(r.ebx, 0);
	CU_ASSERT_EQUAL(r.ecx, 0x000001e3);
	CU_ASSERT_EQUAL(r.edx, 0x2d93bb79);
	/* What must never be seen: MONITOR, VMX, TSC deadline; SVM, TOPOEXT; MCE, MCA, PBE. */
	CU_ASSERT_EQUAL(get(&in, 1, 0).ecx & (1u << 3 | 1u << 5 | 1u << 24), 0);
	CU_ASSERT_EQUAL(get(&in, 1, 0).edx & (1u << 7 | 1u << 14 | 1u << 31), 0);
	CU_ASSERT_EQUAL(r.ecx & (1u << 2 | 1u << 22 | 1u << 9), 0);
}

static void test_features_need_the_host(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);

	host.fill = 0;
	host.leaf_d_eax = 0;
	CU_ASSERT_EQUAL(get(&in, 1, 0).ecx, 1u << 31 | 1u << 21);
	CU_ASSERT_EQUAL(get(&in, 1, 0).edx, 1u << 9 | 1u << 12 | 1u << 28);
	CU_ASSERT_EQUAL(get(&in, 7, 0).ebx, 0);
	CU_ASSERT_EQUAL(get(&in, 0x80000001, 0).edx, 1u << 9 | 1u << 12);
	CU_ASSERT_EQUAL(host_known()->efer_mask, 0);
	host.fill = 0xffffffff;
	CU_ASSERT_EQUAL(host_known()->efer_mask, 0x901);
	/* Beyond the host's last leaf Intel answers with another: not believed. */
	host.basic_max = 1;
	CU_ASSERT_EQUAL(get(&in, 7, 0).ebx, 0);
	host.extended_max = 0;
	CU_ASSERT_EQUAL(get(&in, 0x80000001, 0).ecx, 1u << 1);
	CU_ASSERT_TRUE(is_zero(get(&in, 0x80000002, 0)));
}

static void test_avx_needs_xsave(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);

	host.leaf_1_ecx_clear = 1u << 26;
	CU_ASSERT_EQUAL(host_known()->xcr0_mask, 0);
	CU_ASSERT_EQUAL(get(&in, 1, 0).ecx & 0x3c001000, 0);
	CU_ASSERT_EQUAL(get(&in, 7, 0).ebx & 1u << 5, 0);
	CU_ASSERT_TRUE(is_zero(get(&in, 0xd, 0)));
	CU_ASSERT_FALSE(cpuid_policy_xcr0_valid(&in, 1));
	host.leaf_1_ecx_clear = 1u << 28;
	CU_ASSERT_EQUAL(host_known()->xcr0_mask, 3);
	CU_ASSERT_EQUAL(get(&in, 1, 0).ecx & (1u << 12 | 1u << 28 | 1u << 29), 0);
	CU_ASSERT_EQUAL(get(&in, 0xd, 0).ecx, 576);
	CU_ASSERT_TRUE(is_zero(get(&in, 0xd, 2)));
	host.leaf_1_ecx_clear = 0;
	host.leaf_d_eax = 3;
	CU_ASSERT_EQUAL(host_known()->xcr0_mask, 3);
	/* INVPCID without PCID is nothing. */
	host.leaf_1_ecx_clear = 1u << 17;
	CU_ASSERT_EQUAL(get(&in, 7, 0).ebx & 1u << 10, 0);
}

static void test_xsave(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);
	struct cpuid_regs r = get(&in, 0xd, 0);

	CU_ASSERT_TRUE(r.eax == 7 && r.ebx == 576 && r.ecx == 832 && r.edx == 0);
	in.xcr0 = 7;
	CU_ASSERT_EQUAL(get(&in, 0xd, 0).ebx, 832);
	CU_ASSERT_TRUE(is_zero(get(&in, 0xd, 1)));
	r = get(&in, 0xd, 2);
	CU_ASSERT_TRUE(r.eax == 256 && r.ebx == 576 && r.ecx == 0 && r.edx == 0);
	for (uint32_t i = 3; i < 64; i++) {
		CU_ASSERT_TRUE(is_zero(get(&in, 0xd, i)));
	}
	CU_ASSERT_TRUE(cpuid_policy_xcr0_valid(&in, 1));
	CU_ASSERT_TRUE(cpuid_policy_xcr0_valid(&in, 3));
	CU_ASSERT_TRUE(cpuid_policy_xcr0_valid(&in, 7));
	CU_ASSERT_FALSE(cpuid_policy_xcr0_valid(&in, 0));
	CU_ASSERT_FALSE(cpuid_policy_xcr0_valid(&in, 2));
	CU_ASSERT_FALSE(cpuid_policy_xcr0_valid(&in, 5));
	CU_ASSERT_FALSE(cpuid_policy_xcr0_valid(&in, 0xe7));
	CU_ASSERT_FALSE(cpuid_policy_xcr0_valid(&in, UINT64_C(1) << 63 | 7));
}

static void test_state_bits(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);

	in.osxsave = false;
	in.apic_base = 0xfee00100;
	in.vcpu_count = 1;
	CU_ASSERT_EQUAL(get(&in, 1, 0).ecx & 1u << 27, 0);
	CU_ASSERT_EQUAL(get(&in, 1, 0).edx & (1u << 9 | 1u << 28), 0);
	CU_ASSERT_EQUAL(get(&in, 0x80000001, 0).edx & 1u << 9, 0);
	CU_ASSERT_EQUAL(get(&in, 0x80000001, 0).ecx & 1u << 1, 0);
	CU_ASSERT_EQUAL(get(&in, 0x80000007, 0).edx, 0);
	in.invariant_tsc = true;
	CU_ASSERT_EQUAL(get(&in, 0x80000007, 0).edx, 0x100);
	CU_ASSERT_EQUAL(get(&in, 0x80000007, 0).ebx, 0);
	CU_ASSERT_EQUAL(get(&in, 6, 0).eax, 4);
}

static void test_topology(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);
	struct cpuid_regs r = get(&in, 0xb, 0);

	CU_ASSERT_TRUE(r.eax == 0 && r.ebx == 1 && r.ecx == 0x100 && r.edx == 2);
	r = get(&in, 0xb, 1);
	CU_ASSERT_TRUE(r.eax == 2 && r.ebx == 3 && r.ecx == 0x201 && r.edx == 2);
	r = get(&in, 0xb, 0x1234);
	CU_ASSERT_TRUE(r.eax == 0 && r.ebx == 0 && r.ecx == 0x34 && r.edx == 2);
	in.vcpu_count = 1;
	CU_ASSERT_EQUAL(get(&in, 0xb, 1).eax, 0);
	in.vcpu_count = 300;
	in.vcpu_index = 299;
	CU_ASSERT_EQUAL(get(&in, 0xb, 1).eax, 9);
	CU_ASSERT_EQUAL(get(&in, 0xb, 1).edx, 299);
	CU_ASSERT_EQUAL(get(&in, 1, 0).ebx >> 16, 0x2bff);
	CU_ASSERT_EQUAL(get(&in, 0x80000008, 0).ecx, 0x80ff);
}

static void test_caches(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);

	/* Three vCPUs take two bits of APIC ID; L1 and L2 are a core's own. */
	CU_ASSERT_EQUAL(get(&in, 4, 0).eax, 3u << 26 | 0x121);
	CU_ASSERT_EQUAL(get(&in, 4, 2).eax, 3u << 26 | 0x143);
	CU_ASSERT_EQUAL(get(&in, 4, 3).eax, 3u << 26 | 3u << 14 | 0x163);
	CU_ASSERT_EQUAL(get(&in, 4, 4).eax, 0);
	CU_ASSERT_EQUAL(get(&in, 2, 0).eax, 0xffffffff);
}

static void test_widths(void)
{
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);
	struct cpuid_regs r = get(&in, 0x80000008, 0);

	CU_ASSERT_TRUE(r.eax == 0x3034 && r.ebx == 0 && r.ecx == 0x2002 && r.edx == 0);
	in.phys_bits_max = 40;
	CU_ASSERT_EQUAL(get(&in, 0x80000008, 0).eax, 0x3028);
	in.phys_bits_max = 64;
	CU_ASSERT_EQUAL(get(&in, 0x80000008, 0).eax, 0x3034);
	host.vendor = "GenuineIntel";
	CU_ASSERT_EQUAL(get(&in, 0x80000008, 0).ecx, 0);
	CU_ASSERT_EQUAL(get(&in, 0x80000001, 0).edx, 0x2c100800); /* Intel repeats nothing */
	host.extended_max = 0x80000007;
	CU_ASSERT_EQUAL(get(&in, 0x80000008, 0).eax, 0x3024);
}

/* All that is not listed is zero, the faces' leaves above all. */
static void test_hidden_leaves(void)
{
	static const uint32_t hidden[] = {
		3, 5, 8, 9, 0xa, 0xc, 0xf, 0x10, 0x12, 0x14, 0x15, 0x16, 0x1f, 0x20,
		0x40000000, 0x40000001, 0x40000100, 0x4fffffff, 0x80000009, 0x8000000a,
		0x80000019, 0x8000001d, 0x8000001e, 0x8000001f, 0x80000021, 0xc0000000,
		0xffffffff
	};
	struct fake_host host = host_full();
	struct cpuid_input in = input_of(&host);

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		CU_ASSERT_TRUE(is_zero(get(&in, hidden[i], 0)));
		CU_ASSERT_TRUE(is_zero(get(&in, hidden[i], 1)));
	}
}

static void real_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)ctx;
	__cpuid_count(leaf, subleaf, out->eax, out->ebx, out->ecx, out->edx);
}

/* On a real CPU no bit is shown that it lacks, but for those that we emulate. */
static void test_real_host(void)
{
	struct fake_host unused = host_full();
	struct cpuid_input in = input_of(&unused);
	struct cpuid_regs host;
	struct cpuid_regs r;

	known.get = real_cpuid;
	cpuid_policy_know(&known);
	real_cpuid(NULL, 1, 0, &host);
	r = get(&in, 1, 0);
	CU_ASSERT_EQUAL(r.ecx & ~host.ecx & ~(1u << 31 | 1u << 21 | 1u << 27), 0);
	CU_ASSERT_EQUAL(r.edx & ~host.edx & ~(1u << 9 | 1u << 12 | 1u << 28), 0);
	CU_ASSERT_EQUAL(r.edx & 0x07800171, 0x07800171 & host.edx);
	real_cpuid(NULL, 7, 0, &host);
	CU_ASSERT_EQUAL(get(&in, 7, 0).ebx & ~host.ebx, 0);
	real_cpuid(NULL, 0x80000001, 0, &host);
	CU_ASSERT_EQUAL(host_known()->efer_mask, 0x901);
}

UNIT_MAIN("cpuid_policy", UNIT_TEST(test_vendor_and_maxima), UNIT_TEST(test_features_are_masked),
	  UNIT_TEST(test_features_need_the_host), UNIT_TEST(test_avx_needs_xsave),
	  UNIT_TEST(test_xsave), UNIT_TEST(test_state_bits), UNIT_TEST(test_topology),
	  UNIT_TEST(test_caches), UNIT_TEST(test_widths), UNIT_TEST(test_hidden_leaves),
	  UNIT_TEST(test_real_host))
