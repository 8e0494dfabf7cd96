/*
 * host_acpi.c - the few ACPI tables that the host side itself needs: MADT for the CPUs, FADT for
 * the PM timer and the century register (ACPI specification 6.5, 5.2). Read-only, no AML.
 */
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"

#define SDT_HEADER_BYTES 36u
#define SDT_BYTES_MAX (1u << 24)

#define RSDP_RSDT 16u
#define RSDP_LENGTH 20u
#define RSDP_XSDT 24u
#define RSDP_V1_BYTES 20u
#define RSDP_V2_BYTES 36u

#define FADT_PM_TMR_BLK 76u
#define FADT_PM_TMR_LEN 91u
#define FADT_CENTURY 108u
#define FADT_FLAGS 112u
#define FADT_X_PM_TMR_BLK 208u
#define FADT_TMR_VAL_EXT (1u << 8)

#define MADT_ENTRIES 44u
#define MADT_LOCAL_APIC 0u
#define MADT_LOCAL_X2APIC 9u
#define MADT_ENABLED 1u

/* The RSDT or XSDT; NULL if there is none. */
static const uint8_t *root;
static uint32_t root_pointer_bytes;

static uint32_t read32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t read64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static bool sums_to_zero(const uint8_t *from, uint32_t bytes)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < bytes; i++) {
		sum = (uint8_t)(sum + from[i]);
	}
	return sum == 0;
}

/* Does the direct map show [at, at + bytes)? All below 4 GiB but page 0; above, what is memory. */
static bool is_reachable(uint64_t at, uint64_t bytes)
{
	const struct host_boot *boot = host_boot();

	if (at < PAGE_BYTES || at + bytes < at) {
		return false;
	}
	if (at + bytes <= UINT64_C(1) << 32) {
		return true;
	}
	return ranges_covered(boot->map, boot->map_count, at, at + bytes,
	                      (1u << HOST_MEMORY_RAM) | (1u << HOST_MEMORY_ACPI) | (1u << HOST_MEMORY_NVS)) ==
	       bytes;
}

/* The whole table at @at if it is one, else NULL. */
static const uint8_t *table_check(uint64_t at)
{
	const uint8_t *table = host_direct(hpa(at));
	uint32_t bytes;

	if (!is_reachable(at, SDT_HEADER_BYTES)) {
		return NULL;
	}
	bytes = read32(table + 4);
	if (bytes < SDT_HEADER_BYTES || bytes > SDT_BYTES_MAX || !is_reachable(at, bytes) ||
	    !sums_to_zero(table, bytes)) {
		return NULL;
	}
	return table;
}

void acpi_start(void)
{
	const struct host_boot *boot = host_boot();

	if (boot->rsdp_bytes >= RSDP_V2_BYTES && read32(boot->rsdp + RSDP_LENGTH) >= RSDP_V2_BYTES &&
	    sums_to_zero(boot->rsdp, RSDP_V2_BYTES)) {
		root = table_check(read64(boot->rsdp + RSDP_XSDT));
		root_pointer_bytes = 8;
	}
	if (root == NULL && boot->rsdp_bytes >= RSDP_V1_BYTES && sums_to_zero(boot->rsdp, RSDP_V1_BYTES)) {
		root = table_check(read32(boot->rsdp + RSDP_RSDT));
		root_pointer_bytes = 4;
	}
}

const void *host_acpi_table(const char *signature, size_t *bytes)
{
	uint32_t end = root == NULL ? 0 : read32(root + 4);

	for (uint32_t i = SDT_HEADER_BYTES; i + root_pointer_bytes <= end; i += root_pointer_bytes) {
		uint64_t at = root_pointer_bytes == 8 ? read64(root + i) : read32(root + i);
		const uint8_t *table = table_check(at);

		if (table != NULL && memcmp(table, signature, 4) == 0) {
			*bytes = read32(table + 4);
			return table;
		}
	}
	*bytes = 0;
	return NULL;
}

static void cpu_add(uint32_t *apic_ids, uint32_t *count, uint32_t room, uint32_t apic_id)
{
	for (uint32_t i = 0; i < *count; i++) {
		if (apic_ids[i] == apic_id) {
			return;
		}
	}
	if (*count < room) {
		apic_ids[(*count)++] = apic_id;
	}
}

/* An entry of at least 2 bytes, whose length is within the table. */
static void madt_take(const uint8_t *entry, uint32_t *apic_ids, uint32_t *count, uint32_t room)
{
	if (entry[0] == MADT_LOCAL_APIC && entry[1] >= 8 && entry[3] != 0xff &&
	    (read32(entry + 4) & MADT_ENABLED) != 0) {
		cpu_add(apic_ids, count, room, entry[3]);
	}
	if (entry[0] == MADT_LOCAL_X2APIC && entry[1] >= 16 && read32(entry + 4) != 0xffffffff &&
	    (read32(entry + 8) & MADT_ENABLED) != 0) {
		cpu_add(apic_ids, count, room, read32(entry + 4));
	}
}

uint32_t acpi_cpus(uint32_t *apic_ids, uint32_t room)
{
	size_t bytes;
	const uint8_t *madt = host_acpi_table("APIC", &bytes);
	uint32_t count = 0;

	for (size_t at = MADT_ENTRIES; madt != NULL && at + 2 <= bytes;) {
		size_t len = madt[at + 1];

		if (len < 2 || len > bytes - at) {
			break;
		}
		madt_take(madt + at, apic_ids, &count, room);
		at += len;
	}
	return count;
}

uint16_t acpi_pm_timer(bool *is_32bit)
{
	size_t bytes;
	const uint8_t *fadt = host_acpi_table("FACP", &bytes);
	uint32_t port;

	*is_32bit = false;
	if (fadt == NULL || bytes < FADT_FLAGS + 4) {
		return 0;
	}
	*is_32bit = (read32(fadt + FADT_FLAGS) & FADT_TMR_VAL_EXT) != 0;
	port = fadt[FADT_PM_TMR_LEN] == 4 ? read32(fadt + FADT_PM_TMR_BLK) : 0;
	/* Generic address: space 1 is ports; its address follows 4 bytes of description. */
	if (port == 0 && bytes >= FADT_X_PM_TMR_BLK + 12 && fadt[FADT_X_PM_TMR_BLK] == 1) {
		port = read32(fadt + FADT_X_PM_TMR_BLK + 4);
	}
	return port <= 0xfffc ? (uint16_t)port : 0;
}

uint8_t acpi_century_register(void)
{
	size_t bytes;
	const uint8_t *fadt = host_acpi_table("FACP", &bytes);

	return fadt != NULL && bytes > FADT_CENTURY ? fadt[FADT_CENTURY] : 0;
}
