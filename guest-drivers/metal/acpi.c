/*
 * acpi.c - see acpi.h. \_S5 is found by its name in the DSDT's bytes, as no interpreter is here: a
 * package of small integers, which is all that the specification lets it be.
 */
#include "guest-drivers/metal/acpi.h"

#define RSDP_SIGNATURE UINT64_C(0x2052545020445352) /* "RSD PTR " */
#define BIOS_FIRST 0xe0000u
#define BIOS_END 0x100000u
#define EBDA_SEGMENT_AT 0x40eu
#define EBDA_BYTES 1024u
#define TABLES_MAX 64u
#define TABLE_BYTES_MAX (1u << 20)
#define FACP 0x50434146u
#define SPACE_IO 1u

struct PACKED rsdp {
	uint64_t signature;
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	/* from revision 2 on: */
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
};
#define RSDP_OLD_BYTES 20u

struct PACKED table_head {
	uint32_t signature, length;
	uint8_t rest[28];
};
_Static_assert(sizeof(struct table_head) == 36, "table_head");

struct PACKED address {
	uint8_t space, width, offset, access;
	uint64_t at;
};

struct PACKED fadt {
	struct table_head head;
	uint32_t facs, dsdt;
	uint8_t model, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	uint8_t middle[60]; /* up to 140 */
	uint64_t x_dsdt;
	struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
};
_Static_assert(offsetof(struct fadt, pm1a_control) == 64, "fadt.pm1a_control");
_Static_assert(offsetof(struct fadt, x_dsdt) == 140, "fadt.x_dsdt");
_Static_assert(offsetof(struct fadt, x_pm1a_control) == 172, "fadt.x_pm1a_control");
#define FADT_OLD_BYTES 116u

/* ---------------------------------------------------------------- the root */

static bool sums_to_zero(const uint8_t *bytes, uint32_t count)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < count; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	return sum == 0;
}

static bool is_rsdp(const struct memory_window *memory, uint64_t at, struct rsdp *out)
{
	memset(out, 0, sizeof(*out));
	if (!memory_read(memory, at, out, RSDP_OLD_BYTES) || out->signature != RSDP_SIGNATURE ||
	    !sums_to_zero((const uint8_t *)out, RSDP_OLD_BYTES)) {
		return false;
	}
	return out->revision < 2 || memory_read(memory, at, out, sizeof(*out));
}

static bool scan(const struct memory_window *memory, uint64_t first, uint64_t end, struct rsdp *out)
{
	for (uint64_t at = first; at < end; at += 16) {
		if (is_rsdp(memory, at, out)) {
			return true;
		}
	}
	return false;
}

static bool find_rsdp(const struct memory_window *memory, uint64_t rsdp, struct rsdp *out)
{
	uint16_t segment = 0;

	if (rsdp != 0) {
		return is_rsdp(memory, rsdp, out);
	}
	if (memory_read(memory, EBDA_SEGMENT_AT, &segment, sizeof(segment)) && segment >= 0x8000 &&
	    segment < 0xa000 &&
	    scan(memory, (uint64_t)segment << 4, ((uint64_t)segment << 4) + EBDA_BYTES, out)) {
		return true;
	}
	return scan(memory, BIOS_FIRST, BIOS_END, out);
}

/* ---------------------------------------------------------------- tables */

/* Where the table at @at is found, its length in @bytes; NULL: it is not whole. */
static const uint8_t *table_at(const struct memory_window *memory, uint64_t at, uint32_t *bytes)
{
	struct table_head head;
	const uint8_t *found;

	if (!memory_read(memory, at, &head, sizeof(head)) || head.length < sizeof(head) ||
	    head.length > TABLE_BYTES_MAX) {
		return NULL;
	}
	found = memory_at(memory, at, head.length);
	*bytes = head.length;
	return found != NULL && sums_to_zero(found, head.length) ? found : NULL;
}

/* The first table called @signature that the root at @root lists in entries of @entry_bytes; 0: none. */
static uint64_t find_table(const struct memory_window *memory, uint64_t root, uint32_t entry_bytes,
                           uint32_t signature)
{
	uint32_t bytes = 0;
	uint32_t name = 0;

	if (table_at(memory, root, &bytes) == NULL) {
		return 0;
	}
	bytes -= (uint32_t)sizeof(struct table_head);
	for (uint32_t i = 0; i < bytes / entry_bytes && i < TABLES_MAX; i++) {
		uint64_t at = 0;

		if (memory_read(memory, root + sizeof(struct table_head) + (uint64_t)i * entry_bytes, &at,
		                entry_bytes) &&
		    memory_read(memory, at, &name, sizeof(name)) && name == signature) {
			return at;
		}
	}
	return 0;
}

/* The old field, a port, or else the new one if that is a port. */
static uint16_t port_of(uint32_t old, const struct address *new)
{
	if (old != 0) {
		return old <= UINT16_MAX ? (uint16_t)old : 0;
	}
	return new->space == SPACE_IO &&new->at <= UINT16_MAX ? (uint16_t) new->at : 0;
}

/* ---------------------------------------------------------------- \_S5 */

/* A small integer of AML: 0, 1, or a byte. Gives the bytes it takes; 0: it is something else. */
static uint32_t aml_integer(const uint8_t *at, uint32_t room, uint8_t *value)
{
	if (room >= 1 && at[0] <= 1) {
		*value = at[0];
		return 1;
	}
	if (room >= 2 && at[0] == 0x0a) {
		*value = at[1];
		return 2;
	}
	return 0;
}

/* Name(\_S5, Package { a, b ...}): 08 [5c] "_S5_" 12 length count a b. */
static bool read_s5(struct acpi *acpi, const uint8_t *at, uint32_t room)
{
	uint32_t used = 4;
	uint32_t step;

	if (room < 8 || at[used++] != 0x12) {
		return false;
	}
	used += 1 + (at[used] >> 6); /* the length says itself how many bytes it has */
	used += 1; /* the count */
	if (used >= room) {
		return false;
	}
	step = aml_integer(at + used, room - used, &acpi->s5_a);
	if (step == 0) {
		return false;
	}
	used += step;
	if (used >= room || aml_integer(at + used, room - used, &acpi->s5_b) == 0) {
		acpi->s5_b = acpi->s5_a;
	}
	acpi->s5_a &= 7;
	acpi->s5_b &= 7;
	return true;
}

static void find_s5(struct acpi *acpi, const struct memory_window *memory, uint64_t dsdt)
{
	uint32_t bytes = 0;
	const uint8_t *aml = table_at(memory, dsdt, &bytes);
	uint32_t name = 0;

	if (aml == NULL) {
		return;
	}
	for (uint32_t i = sizeof(struct table_head); i + 4 <= bytes && !acpi->has_s5; i++) {
		memcpy(&name, aml + i, sizeof(name));
		if (name == 0x5f35535f) { /* "_S5_" */
			acpi->has_s5 = read_s5(acpi, aml + i, bytes - i);
		}
	}
}

/* ---------------------------------------------------------------- all */

static void read_fadt(struct acpi *acpi, const struct memory_window *memory, uint64_t at)
{
	struct fadt fadt = {0};
	const struct address none = {0};
	uint32_t bytes = 0;
	const uint8_t *found = table_at(memory, at, &bytes);

	if (found == NULL || bytes < FADT_OLD_BYTES) {
		return;
	}
	memcpy(&fadt, found, bytes < sizeof(fadt) ? bytes : sizeof(fadt));
	acpi->has_fadt = true;
	acpi->pm1a_control = port_of(fadt.pm1a_control, &fadt.x_pm1a_control);
	acpi->pm1b_control = port_of(fadt.pm1b_control, &fadt.x_pm1b_control);
	acpi->pm_timer = port_of(fadt.pm_timer, &none);
	acpi->smi_command = port_of(fadt.smi_command, &none);
	acpi->enable_value = fadt.acpi_enable;
	find_s5(acpi, memory, fadt.x_dsdt != 0 ? fadt.x_dsdt : fadt.dsdt);
}

bool acpi_read(struct acpi *acpi, const struct memory_window *memory, uint64_t rsdp)
{
	struct rsdp root;
	uint64_t fadt = 0;

	memset(acpi, 0, sizeof(*acpi));
	if (!find_rsdp(memory, rsdp, &root)) {
		return false;
	}
	memcpy(acpi->oem, root.oem, sizeof(root.oem));
	for (uint32_t i = sizeof(root.oem); i != 0 && acpi->oem[i - 1] == ' '; i--) {
		acpi->oem[i - 1] = 0;
	}
	if (root.revision >= 2 && root.xsdt != 0) {
		fadt = find_table(memory, root.xsdt, 8, FACP);
	}
	if (fadt == 0) {
		fadt = find_table(memory, root.rsdt, 4, FACP);
	}
	if (fadt != 0) {
		read_fadt(acpi, memory, fadt);
	}
	return true;
}
