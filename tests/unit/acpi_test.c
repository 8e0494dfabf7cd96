/*
 * acpi_test.c - the ACPI tables: found as an operating system finds them, checksums, what each face
 * changes.
 *
 * Also writes the tables to build/acpi/ and has iasl disassemble and compile them again, if it is
 * there.
 */
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "hypervisor/platform/acpi.h"
#include "hypervisor/platform/acpi_layout.h"
#include "hypervisor/platform/aml.h"
#include "hypervisor/platform/pm.h"
#include "tests/unit/platform_fake.h"

#define GPA 0xFC000000ull
#define ROOM 0x10000u
#define OUT_DIR "build/acpi"

static uint8_t memory[ROOM + 16];
static size_t used;
static uint64_t rsdp_gpa;

static bool build(bool hyperv, bool xen, uint32_t vcpu_count)
{
	struct acpi_config config = {hyperv, xen, vcpu_count};

	memset(memory, 0xA5, sizeof(memory));
	rsdp_gpa = 0;
	used = acpi_build(memory, ROOM, GPA, &config, &rsdp_gpa);
	return used != 0;
}

static void *at(uint64_t gpa)
{
	return gpa >= GPA && gpa < GPA + ROOM ? memory + (gpa - GPA) : NULL;
}

static uint8_t sum(const void *bytes, size_t len)
{
	uint8_t total = 0;

	for (size_t i = 0; i < len; i++) {
		total = (uint8_t)(total + ((const uint8_t *)bytes)[i]);
	}
	return total;
}

/* Table number @nth with @signature in the XSDT, checked; NULL if there is none. */
static void *find(const char *signature, unsigned int nth)
{
	struct acpi_rsdp *rsdp = at(rsdp_gpa);
	struct acpi_header *xsdt = at(rsdp->xsdt_address);
	struct acpi_header *rsdt = at(rsdp->rsdt_address);
	unsigned int count = (unsigned int)((xsdt->length - sizeof(*xsdt)) / 8);

	CU_ASSERT_EQUAL((rsdt->length - sizeof(*rsdt)) / 4, count);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t gpa;
		uint32_t gpa32;
		struct acpi_header *h;

		memcpy(&gpa, (uint8_t *)xsdt + sizeof(*xsdt) + i * 8, 8);
		memcpy(&gpa32, (uint8_t *)rsdt + sizeof(*rsdt) + i * 4, 4);
		CU_ASSERT_EQUAL(gpa, gpa32);
		h = at(gpa);
		CU_ASSERT_PTR_NOT_NULL_FATAL(h);
		CU_ASSERT_EQUAL(sum(h, h->length), 0);
		if (memcmp(h->signature, signature, 4) == 0 && nth-- == 0) {
			return h;
		}
	}
	return NULL;
}

static bool has_ssdt(const char *oem_table_id)
{
	struct acpi_header *h;

	for (unsigned int i = 0; (h = find("SSDT", i)) != NULL; i++) {
		if (memcmp(h->oem_table_id, oem_table_id, 8) == 0) {
			return true;
		}
	}
	return false;
}

static void test_root(void)
{
	struct acpi_rsdp *r;
	struct acpi_header *h;

	CU_ASSERT_TRUE_FATAL(build(true, false, 2));
	CU_ASSERT_EQUAL(rsdp_gpa, GPA);
	r = at(rsdp_gpa);
	CU_ASSERT_EQUAL(memcmp(r->signature, "RSD PTR ", 8), 0);
	CU_ASSERT_EQUAL(r->revision, 2);
	CU_ASSERT_EQUAL(sum(r, 20), 0);
	CU_ASSERT_EQUAL(sum(r, 36), 0);
	h = at(r->xsdt_address);
	CU_ASSERT_EQUAL(memcmp(h->signature, "XSDT", 4), 0);
	CU_ASSERT_EQUAL(sum(h, h->length), 0);
	h = at(r->rsdt_address);
	CU_ASSERT_EQUAL(memcmp(h->signature, "RSDT", 4), 0);
	CU_ASSERT_EQUAL(sum(h, h->length), 0);
	CU_ASSERT_TRUE(used <= ACPI_ROOM_BYTES);
}

static void test_fadt(void)
{
	struct acpi_fadt *f;
	struct acpi_header *dsdt;
	struct acpi_facs *facs;

	CU_ASSERT_TRUE_FATAL(build(false, false, 1));
	f = find("FACP", 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(f->header.revision, 5);
	CU_ASSERT_EQUAL(f->header.length, 268);
	CU_ASSERT_EQUAL(f->flags & 1u << 20, 0); /* not hardware-reduced */
	CU_ASSERT_EQUAL(f->flags & 1u << 4, 0);  /* a fixed power button */
	CU_ASSERT_EQUAL(f->flags & 1u << 10, 1u << 10);
	CU_ASSERT_EQUAL(f->sci_int, 9);
	CU_ASSERT_EQUAL(f->smi_cmd, 0);
	CU_ASSERT_EQUAL(f->pm_tmr_blk, 0xB008);
	CU_ASSERT_EQUAL(f->x_pm_tmr_blk.address, 0xB008);
	CU_ASSERT_EQUAL(f->x_pm_tmr_blk.bit_width, 32);
	CU_ASSERT_EQUAL(f->reset_reg.address, 0xCF9);
	CU_ASSERT_EQUAL(f->reset_value, 6);
	CU_ASSERT_EQUAL(f->century, 0x32);
	dsdt = at(f->x_dsdt);
	CU_ASSERT_EQUAL(f->dsdt, f->x_dsdt);
	CU_ASSERT_EQUAL(memcmp(dsdt->signature, "DSDT", 4), 0);
	CU_ASSERT_EQUAL(dsdt->length, aml_dsdt_bytes);
	CU_ASSERT_EQUAL(sum(dsdt, dsdt->length), 0);
	CU_ASSERT_EQUAL(f->firmware_ctrl % 64, 0);
	facs = at(f->firmware_ctrl);
	CU_ASSERT_EQUAL(memcmp(facs->signature, "FACS", 4), 0);
	CU_ASSERT_EQUAL(facs->length, 64);
	CU_ASSERT_EQUAL(facs->global_lock, 0);
}

static void test_faces(void)
{
	static const struct {
		bool hyperv, xen, vmbus, rtc;
		uint16_t boot_arch;
	} want[] = {
		{false, false, false, true, 0x04},
		{true, false, true, true, 0x04},
		{false, true, false, false, 0x24},
		{true, true, true, false, 0x24},
	};

	for (unsigned int i = 0; i < ARRAY_COUNT(want); i++) {
		struct acpi_fadt *f;

		CU_ASSERT_TRUE_FATAL(build(want[i].hyperv, want[i].xen, 4));
		f = find("FACP", 0);
		CU_ASSERT_EQUAL(f->iapc_boot_arch, want[i].boot_arch);
		CU_ASSERT_EQUAL(has_ssdt("VMBUS   "), want[i].vmbus);
		CU_ASSERT_EQUAL(has_ssdt("RTC     "), want[i].rtc);
		CU_ASSERT_TRUE(has_ssdt("BOARD   "));
		CU_ASSERT_PTR_NOT_NULL(find("WAET", 0));
		CU_ASSERT_PTR_NULL(find("HPET", 0));
	}
}

/* Walks the MADT of @count vCPUs: each once, in order, by the form its id needs. */
static void check_madt(uint32_t count)
{
	struct acpi_madt *m;
	uint8_t *p;
	uint8_t *end;
	uint32_t next = 0;
	unsigned int others = 0;

	CU_ASSERT_TRUE_FATAL(build(true, true, count));
	m = find("APIC", 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->lapic_address, 0xFEE00000);
	CU_ASSERT_EQUAL(m->flags, 0);
	end = (uint8_t *)m + m->header.length;
	for (p = (uint8_t *)m + sizeof(*m); p < end; p += p[1]) {
		struct madt_lapic *l = (void *)p;
		struct madt_x2apic *x = (void *)p;
		struct madt_ioapic *io = (void *)p;
		struct madt_override *o = (void *)p;

		CU_ASSERT_TRUE_FATAL(p[1] >= 2 && p + p[1] <= end);
		switch (p[0]) {
		case MADT_LAPIC:
			CU_ASSERT_TRUE(next < 255 && l->apic_id == next &&
				       l->processor_id == next && l->flags == 1);
			next++;
			break;
		case MADT_X2APIC:
			CU_ASSERT_TRUE(next >= 255 && x->apic_id == next &&
				       x->processor_id == next && x->flags == 1);
			next++;
			break;
		case MADT_IOAPIC:
			CU_ASSERT_TRUE(io->address == 0xFEC00000 && io->gsi_base == 0);
			others++;
			break;
		case MADT_OVERRIDE:
			CU_ASSERT_TRUE(o->bus == 0 && o->source == 9 && o->gsi == 9 &&
				       o->flags == 0xD);
			others++;
			break;
		default:
			CU_FAIL("an entry that nobody asked for");
			break;
		}
	}
	CU_ASSERT_EQUAL(next, count);
	CU_ASSERT_EQUAL(others, 2);
}

static void test_madt(void)
{
	check_madt(1);
	check_madt(64);
	check_madt(255);
	check_madt(256);
	check_madt(300);
}

static void test_wrong_arguments(void)
{
	struct acpi_config config = {true, false, 64};
	uint64_t gpa = 0;
	size_t need;

	CU_ASSERT_FALSE(build(true, false, 0));
	CU_ASSERT_FALSE(build(true, false, ACPI_VCPUS_MAX + 1));
	CU_ASSERT_EQUAL(acpi_build(memory, ROOM, 0, &config, &gpa), 0);
	CU_ASSERT_EQUAL(acpi_build(memory, ROOM, GPA + 32, &config, &gpa), 0);
	CU_ASSERT_EQUAL(acpi_build(memory, ROOM, 0x100000000ull, &config, &gpa), 0);
	CU_ASSERT_EQUAL(acpi_build(memory, ROOM, 0xFFFFFFC0ull, &config, &gpa), 0);
	/* Every room that is too small is refused, and not overrun. */
	need = acpi_build(memory, ROOM, GPA, &config, &gpa);
	CU_ASSERT_TRUE(need > 0 && need <= ACPI_ROOM_BYTES);
	for (size_t room = 0; room < need; room += 3) {
		memset(memory, 0xA5, sizeof(memory));
		CU_ASSERT_EQUAL(acpi_build(memory, room, GPA, &config, &gpa), 0);
		CU_ASSERT_EQUAL(memory[room], 0xA5);
	}
	CU_ASSERT_EQUAL(acpi_build(memory, need, GPA, &config, &gpa), need);
}

/* No byte of what was there before is left anywhere in the room. */
static void test_nothing_leaks(void)
{
	static uint8_t first[ROOM];
	struct acpi_config config = {true, true, 7};
	uint64_t gpa;

	memset(memory, 0xA5, sizeof(memory));
	used = acpi_build(memory, ROOM, GPA, &config, &gpa);
	memcpy(first, memory, ROOM);
	memset(memory, 0x5A, sizeof(memory));
	CU_ASSERT_EQUAL(acpi_build(memory, ROOM, GPA, &config, &gpa), used);
	CU_ASSERT_EQUAL(memcmp(first, memory, ROOM), 0);
	for (size_t i = used; i < ROOM; i++) {
		CU_ASSERT_EQUAL(memory[i], 0);
	}
	CU_ASSERT_EQUAL(memory[ROOM], 0x5A);
}

static void write_table(const char *name, const struct acpi_header *h)
{
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), OUT_DIR "/%s.aml", name);
	file = fopen(path, "wb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(h, 1, h->length, file), h->length);
	CU_ASSERT_EQUAL(fclose(file), 0);
}

/* The byte code must also compile again from its disassembly; data tables are only disassembled. */
static void disassemble(const char *name, bool again)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		       "cd " OUT_DIR
		       " && iasl -d %s.aml >%s.log 2>&1 && ! grep -qi 'error\\|invalid\\|"
		       "unknown' %s.dsl",
		       name, name, name);
	CU_ASSERT_EQUAL(system(command), 0);
	if (again) {
		(void)snprintf(command, sizeof(command),
			       "cd " OUT_DIR " && iasl -p %s.again %s.dsl >>%s.log 2>&1", name,
			       name, name);
		CU_ASSERT_EQUAL(system(command), 0);
	}
}

static void test_iasl(void)
{
	static const char *const ssdts[] = {"ssdt-cpus", "ssdt-rtc", "ssdt-vmbus"};
	struct acpi_fadt *f;

	CU_ASSERT_TRUE_FATAL(build(true, false, 64));
	(void)mkdir("build", 0777);
	(void)mkdir(OUT_DIR, 0777);
	f = find("FACP", 0);
	write_table("facp", &f->header);
	write_table("dsdt", at(f->x_dsdt));
	write_table("apic", find("APIC", 0));
	write_table("waet", find("WAET", 0));
	for (unsigned int i = 0; i < ARRAY_COUNT(ssdts); i++) {
		struct acpi_header *h = find("SSDT", i);

		CU_ASSERT_PTR_NOT_NULL_FATAL(h);
		write_table(ssdts[i], h);
	}
	CU_ASSERT_PTR_NULL(find("SSDT", ARRAY_COUNT(ssdts)));
	if (system("command -v iasl >/dev/null 2>&1") != 0) {
		printf("iasl is not there: tables written, not disassembled ");
		return;
	}
	disassemble("facp", false);
	disassemble("apic", false);
	disassemble("waet", false);
	disassemble("dsdt", true);
	for (unsigned int i = 0; i < ARRAY_COUNT(ssdts); i++) {
		disassemble(ssdts[i], true);
	}
}

/* The windows of vmbus.asl are those that acpi.h tells core to keep free. */
static void test_windows(void)
{
	static const uint64_t want[] = {ACPI_WINDOW_LOW_FIRST, ACPI_WINDOW_LOW_LAST,
					ACPI_WINDOW_HIGH_FIRST, ACPI_WINDOW_HIGH_LAST};

	for (unsigned int i = 0; i < ARRAY_COUNT(want); i++) {
		size_t len = i < 2 ? 4 : 8;
		bool found = false;

		for (size_t off = 36; off + len <= aml_vmbus_bytes; off++) {
			found = found || memcmp(aml_vmbus + off, &want[i], len) == 0;
		}
		CU_ASSERT_TRUE(found);
	}
}

UNIT_MAIN("acpi", UNIT_TEST(test_root), UNIT_TEST(test_fadt), UNIT_TEST(test_faces),
	  UNIT_TEST(test_madt), UNIT_TEST(test_wrong_arguments), UNIT_TEST(test_nothing_leaks),
	  UNIT_TEST(test_iasl), UNIT_TEST(test_windows))
