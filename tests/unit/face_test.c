/*
 * face_test.c - guest-drivers/face.c against a table of made-up processors.
 */
#include "guest-drivers/face.h"

#include <string.h>

#include "tests/unit/unit.h"

#define LEAVES 24u

struct leaf {
	uint32_t number;
	uint32_t eax;
	const char *text; /* EBX, ECX, EDX */
	uint32_t ebx;
};

struct machine {
	bool is_virtual;
	uint32_t others[4]; /* what leaves say that do not exist */
	struct leaf leaves[LEAVES];
	uint32_t asked; /* leaves beyond the hypervisors' */
};

static void op_cpuid(void *context, uint32_t number, uint32_t subleaf, uint32_t regs[4])
{
	struct machine *machine = context;

	CU_ASSERT_EQUAL(subleaf, 0);
	memcpy(regs, machine->others, 4 * sizeof(uint32_t));
	if (number == 1) {
		regs[2] = machine->is_virtual ? 1u << 31 : 0;
		return;
	}
	machine->asked += number < 0x40000000 || number > 0x4000ffff;
	for (uint32_t i = 0; i < LEAVES; i++) {
		const struct leaf *leaf = &machine->leaves[i];

		if (leaf->number == number) {
			memset(regs, 0, 4 * sizeof(uint32_t));
			regs[0] = leaf->eax;
			regs[1] = leaf->ebx;
			if (leaf->text != NULL) {
				memcpy(&regs[1], leaf->text, 12);
			}
		}
	}
}

static struct face_found find(struct machine machine)
{
	static const struct guest_ops ops = {.cpuid = op_cpuid};
	struct guest guest = {.ops = &ops, .context = &machine};
	struct face_found found;

	memset(&found, 0xaa, sizeof(found));
	face_find(&found, &guest);
	CU_ASSERT_EQUAL(machine.asked, 0);
	return found;
}

#define HV_ROWS                                                                      \
	{0x40000000, 0x4000000b, "Microsoft Hv", 0}, {0x40000001, 0x31237648, NULL, 0}, \
		{0x40000002, 20348, NULL, 10u << 16 | 3}
#define XEN_ROWS(base) {(base), (base) + 5, "XenVMMXenVMM", 0}, {(base) + 1, 4u << 16 | 17, NULL, 0}

static void test_none(void)
{
	struct face_found found = find((struct machine){.is_virtual = true});

	CU_ASSERT_EQUAL(found.count, 0);
	CU_ASSERT_EQUAL(found.hyperv_base, 0);
	CU_ASSERT_EQUAL(found.xen_base, 0);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "none");
}

static void test_not_virtual(void)
{
	struct face_found found = find((struct machine){.leaves = {HV_ROWS, XEN_ROWS(0x40000100)}});

	CU_ASSERT_EQUAL(found.count, 0);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "none");
}

static void test_kvm(void)
{
	struct face_found found =
	        find((struct machine){.is_virtual = true, .leaves = {{0x40000000, 0x40000001, "KVMKVMKVM\0\0\0", 0}}});

	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_STRING_EQUAL(found.signatures[0].text, "KVMKVMKVM");
	CU_ASSERT_EQUAL(found.signatures[0].max, 0x40000001);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "none");
	found = find((struct machine){.is_virtual = true, .leaves = {{0x40000000, 0, "KVMKVMKVM\0\0\0", 0}}});
	CU_ASSERT_EQUAL(found.count, 1); /* as its first ones said it */
}

static void test_hyperv(void)
{
	struct face_found found = find((struct machine){.is_virtual = true, .leaves = {HV_ROWS}});

	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_STRING_EQUAL(found.signatures[0].text, "Microsoft Hv");
	CU_ASSERT_EQUAL(found.hyperv_base, 0x40000000);
	CU_ASSERT_EQUAL(found.hyperv_max, 0x4000000b);
	CU_ASSERT_EQUAL(found.hyperv_major, 10);
	CU_ASSERT_EQUAL(found.hyperv_minor, 3);
	CU_ASSERT_EQUAL(found.hyperv_build, 20348);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "hyperv");
}

static void test_xen(void)
{
	struct face_found found = find((struct machine){.is_virtual = true, .leaves = {XEN_ROWS(0x40000000)}});

	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_EQUAL(found.xen_base, 0x40000000);
	CU_ASSERT_EQUAL(found.xen_max, 0x40000005);
	CU_ASSERT_EQUAL(found.xen_major, 4);
	CU_ASSERT_EQUAL(found.xen_minor, 17);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "xen");
	found = find((struct machine){.is_virtual = true, .leaves = {XEN_ROWS(0x4000ff00)}});
	CU_ASSERT_EQUAL(found.xen_base, 0x4000ff00); /* the last place */
	found = find((struct machine){.is_virtual = true, .leaves = {XEN_ROWS(0x40010000)}});
	CU_ASSERT_EQUAL(found.count, 0);
	found = find((struct machine){.is_virtual = true, .leaves = {XEN_ROWS(0x40000200), XEN_ROWS(0x40000300)}});
	CU_ASSERT_EQUAL(found.xen_base, 0x40000200); /* the first of two */
	CU_ASSERT_EQUAL(found.count, 2);
}

static void test_xen_without_its_leaves(void)
{
	struct face_found found =
	        find((struct machine){.is_virtual = true, .leaves = {{0x40000000, 0x40000001, "XenVMMXenVMM", 0}}});

	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_EQUAL(found.xen_base, 0);
}

static void test_both(void)
{
	struct face_found found = find((struct machine){
	        .is_virtual = true,
	        .leaves = {HV_ROWS, XEN_ROWS(0x40000100), {0x40000200, 0x40000201, "KVMKVMKVM\0\0\0", 0}}});

	CU_ASSERT_EQUAL(found.count, 3);
	CU_ASSERT_EQUAL(found.signatures[1].base, 0x40000100);
	CU_ASSERT_EQUAL(found.hyperv_base, 0x40000000);
	CU_ASSERT_EQUAL(found.xen_base, 0x40000100);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "both");
}

static void test_hyperv_with_a_foreign_interface(void)
{
	struct face_found found = find((struct machine){
	        .is_virtual = true,
	        .leaves = {{0x40000000, 0x4000000b, "Microsoft Hv", 0}, {0x40000001, 0x31237649, NULL, 0}}});

	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_EQUAL(found.hyperv_base, 0);
	CU_ASSERT_STRING_EQUAL(face_name_of(&found), "none");
}

static void test_hyperv_elsewhere_or_short(void)
{
	struct face_found found = find((struct machine){
	        .is_virtual = true,
	        .leaves = {{0x40000100, 0x4000010b, "Microsoft Hv", 0}, {0x40000101, 0x31237648, NULL, 0}}});

	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_EQUAL(found.hyperv_base, 0);
	found = find((struct machine){
	        .is_virtual = true,
	        .leaves = {{0x40000000, 0x40000004, "Microsoft Hv", 0}, {0x40000001, 0x31237648, NULL, 0}}});
	CU_ASSERT_EQUAL(found.hyperv_base, 0);
}

/* As Intel's CPUs answer for leaves beyond the last: with the last one's. */
static void test_garbage(void)
{
	struct machine machine = {.is_virtual = true, .others = {7, 0x340, 0x12345678, 0xffffffff}};
	struct face_found found = find(machine);

	CU_ASSERT_EQUAL(found.count, 0);
	memset(machine.others, 0xff, sizeof(machine.others));
	found = find(machine);
	CU_ASSERT_EQUAL(found.count, 0);
	machine.others[0] = 0x40000000; /* the same signature wherever one asks: it stands once */
	memcpy(&machine.others[1], "XenVMMXenVMM", 12);
	found = find(machine);
	CU_ASSERT_EQUAL(found.count, 1);
	CU_ASSERT_EQUAL(found.xen_base, 0);
}

static void test_strange_signatures(void)
{
	struct machine machine = {.is_virtual = true};
	struct face_found found;

	machine.leaves[0] = (struct leaf){0x40000000, 0x40000000, "\x01\xff\"\\~ \0abcd\x7f", 0};
	for (uint32_t i = 1; i < 12; i++) {
		machine.leaves[i] = (struct leaf){0x40000000 + i * 0x100, 0x40000000 + i * 0x100, "bhyve bhyve ", 0};
	}
	found = find(machine);
	CU_ASSERT_STRING_EQUAL(found.signatures[0].text, "\\x01\\xff\\x22\\x5c~ \\x00abcd\\x7f");
	CU_ASSERT_STRING_EQUAL(found.signatures[7].text, "bhyve bhyve ");
	CU_ASSERT_EQUAL(found.count, FACE_SIGNATURES_MAX);
	CU_ASSERT_EQUAL(found.lost, 4);
	machine.leaves[0].text = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
	found = find(machine);
	CU_ASSERT_EQUAL(strlen(found.signatures[0].text), FACE_TEXT_BYTES - 1);
	machine.leaves[9] = (struct leaf){0x40000900, 0x40000905, "XenVMMXenVMM", 0};
	found = find(machine);
	CU_ASSERT_EQUAL(found.xen_base, 0x40000900); /* found, though there was no room to list it */
}

UNIT_MAIN("face", UNIT_TEST(test_none), UNIT_TEST(test_not_virtual), UNIT_TEST(test_kvm), UNIT_TEST(test_hyperv),
          UNIT_TEST(test_xen), UNIT_TEST(test_xen_without_its_leaves), UNIT_TEST(test_both),
          UNIT_TEST(test_hyperv_with_a_foreign_interface), UNIT_TEST(test_hyperv_elsewhere_or_short),
          UNIT_TEST(test_garbage), UNIT_TEST(test_strange_signatures))
