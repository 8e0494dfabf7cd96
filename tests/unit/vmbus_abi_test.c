/*
 * vmbus_abi_test.c - abi/vmbus.h against Linux's header: each number, size and place. The devices' protocols stand in no
 * header of Linux's: those are held by their _Static_asserts and by the drivers themselves.
 */
#include <string.h>

#include "abi/vmbus.h"
#include "tests/unit/unit.h"
#include "tests/unit/vmbus_abi_rows.h"

static const struct vmbus_abi_row rows[] = {VMBUS_ABI_ROWS};

static void test_rows(void)
{
	if (vmbus_linux_row_count == 0) {
		printf("\nNOT COMPARED: no build/abi/linux-vmbus.h\n");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(vmbus_linux_row_count, ARRAY_COUNT(rows));
	CU_ASSERT(ARRAY_COUNT(rows) > 140);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CU_ASSERT_STRING_EQUAL_FATAL(rows[i].name, vmbus_linux_rows[i].name);
		CU_ASSERT_EQUAL(rows[i].value, vmbus_linux_rows[i].value);
		if (rows[i].value != vmbus_linux_rows[i].value) {
			printf("\n%s: 0x%llx here, 0x%llx in Linux\n", rows[i].name,
			       (unsigned long long)rows[i].value,
			       (unsigned long long)vmbus_linux_rows[i].value);
		}
	}
}

/* A GUID's text and its bytes on the wire. */
static void test_guid(void)
{
	const struct vmbus_guid scsi = VMBUS_CLASS_SCSI;
	static const uint8_t wire[16] = {0xD9, 0x63, 0x61, 0xBA, 0xA1, 0x04, 0x29, 0x4D,
	                                 0xB6, 0x05, 0x72, 0xE2, 0xFF, 0xB1, 0xDC, 0x7F};

	CU_ASSERT_EQUAL(memcmp(scsi.b, wire, 16), 0);
}

UNIT_MAIN("vmbus_abi", UNIT_TEST(test_rows), UNIT_TEST(test_guid))
