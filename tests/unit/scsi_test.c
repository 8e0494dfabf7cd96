/*
 * scsi_test.c - each SCSI command: right, past the end, read-only, cut short, and to LUNs that are not there.
 */
#include <string.h>

#include "tests/host/host.h"
#include "tests/unit/unit.h"
#include "vmbus/scsi.h"

#define SECTORS 2048u

static uint8_t medium[SECTORS * 512];
static struct block blocks[3];
static struct scsi_bus bus;
static struct scsi_command command;

static void set_up(void)
{
	block_ram_open(&blocks[0], medium, sizeof(medium), false, "A1");
	block_ram_open(&blocks[1], medium, sizeof(medium), true, "");
	block_ram_open(&blocks[2], medium, sizeof(medium), false, "");
	blocks[2].sector_count = 0x200000000ull;
	bus = (struct scsi_bus){.disk_count = 3, .uuid = {1, 2, 3}};
	for (uint32_t i = 0; i < 3; i++) {
		bus.disks[i].block = &blocks[i];
	}
}

/* @cdb is cut after @bytes. */
static void run_on(uint8_t path, uint8_t lun, const uint8_t *cdb, uint8_t bytes, uint32_t buffer)
{
	set_up();
	memset(&command, 0xEE, sizeof(command));
	command.path = path;
	command.target = 0;
	command.lun = lun;
	command.cdb_bytes = bytes;
	memcpy(command.cdb, cdb, bytes);
	command.buffer_bytes = buffer;
	scsi_decode(&bus, &command);
}

#define RUN(lun, buffer, ...)                               \
	do {                                                \
		const uint8_t cdb_[] = {__VA_ARGS__};       \
		run_on(0, lun, cdb_, sizeof(cdb_), buffer); \
	} while (0)

static void check_good(enum scsi_action action, uint32_t bytes)
{
	CU_ASSERT_EQUAL(command.action, action);
	CU_ASSERT_EQUAL(command.srb_status, SRB_STATUS_SUCCESS);
	CU_ASSERT_EQUAL(command.scsi_status, SAM_STAT_GOOD);
	CU_ASSERT_EQUAL(command.transfer_bytes, bytes);
	CU_ASSERT_EQUAL(command.sense_bytes, 0);
	CU_ASSERT_FALSE(command.refused);
}

static void check_failed(uint8_t key, uint8_t code)
{
	CU_ASSERT_EQUAL(command.action, SCSI_DONE);
	CU_ASSERT_EQUAL(command.srb_status & 0x80, 0x80);
	CU_ASSERT_EQUAL(command.scsi_status, SAM_STAT_CHECK_CONDITION);
	CU_ASSERT_EQUAL(command.transfer_bytes, 0);
	CU_ASSERT_EQUAL(command.sense_bytes, 18);
	CU_ASSERT_EQUAL(command.sense[0], 0x70);
	CU_ASSERT_EQUAL(command.sense[2], key);
	CU_ASSERT_EQUAL(command.sense[7], 10);
	CU_ASSERT_EQUAL(command.sense[12], code);
}

static void test_reads_and_writes(void)
{
	RUN(0, 65536, 0x08, 0x00, 0x01, 0x02, 3, 0);
	check_good(SCSI_READ, 3 * 512);
	CU_ASSERT_EQUAL(command.sector, 0x102);
	CU_ASSERT_PTR_EQUAL(command.block, &blocks[0]);
	RUN(0, 65536, 0x0A, 0xE0, 0, 0, 1, 0); /* the LUN field of old is not an address */
	check_good(SCSI_WRITE, 512);
	CU_ASSERT_EQUAL(command.sector, 0);
	RUN(0, 65536, 0x28, 0, 0, 0, 1, 2, 0, 0, 128, 0);
	check_good(SCSI_READ, 65536);
	CU_ASSERT_EQUAL(command.sector, 0x102);
	RUN(0, 65536, 0x2A, 0x08, 0, 0, 0, 2, 0, 0, 1, 0);
	check_good(SCSI_WRITE, 512);
	CU_ASSERT_TRUE(command.fua);
	RUN(0, 65536, 0xA8, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0);
	check_good(SCSI_READ, 2048);
	CU_ASSERT_EQUAL(command.sector, 9);
	RUN(0, 65536, 0xAA, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0);
	check_good(SCSI_WRITE, 2048);
	CU_ASSERT_FALSE(command.fua);
	RUN(2, 65536, 0x88, 0, 0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89, 0, 0, 0, 1, 0, 0);
	check_good(SCSI_READ, 512);
	CU_ASSERT_EQUAL(command.sector, 0x123456789ull);
	RUN(2, 65536, 0x8A, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0);
	check_good(SCSI_WRITE, 512);
	RUN(0, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0); /* nothing */
	check_good(SCSI_DONE, 0);
}

static void test_transfers_refused(void)
{
	RUN(0, 65536, 0x28, 0, 0, 0, 0x08, 0, 0, 0, 1, 0); /* one past the end */
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(0, 65536, 0x28, 0, 0, 0, 0x07, 0xFF, 0, 0, 2, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(0, 65536, 0x88, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2, 0, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(0, 1 << 20, 0x28, 0, 0, 0, 0, 0, 0, 0, 129, 0); /* above 64 KiB */
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(0, 1 << 20, 0x08, 0, 0, 0, 0, 0); /* 256 blocks */
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(0, 1023, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0); /* a buffer too small */
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(2, UINT32_MAX, 0xA8, 0, 0, 0, 0, 0, 0x80, 0, 0, 1, 0, 0); /* lengths that would wrap */
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(1, 65536, 0x2A, 0, 0, 0, 0, 0, 0, 0, 1, 0); /* read-only */
	check_failed(SCSI_SENSE_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	CU_ASSERT_TRUE(command.refused);
	RUN(0, 0, 0x93, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	CU_ASSERT_NOT_EQUAL(command.row, SPEC_UNKNOWN);
	RUN(0, 0, 0xFF, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	CU_ASSERT_EQUAL(command.row, SPEC_UNKNOWN);
}

static void test_verify_and_flush(void)
{
	RUN(0, 0, 0x2F, 0, 0, 0, 7, 0xFF, 0, 0, 1, 0);
	check_good(SCSI_DONE, 0);
	RUN(0, 0, 0x2F, 2, 0, 0, 0, 0, 0, 0, 1, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(0, 0, 0x8F, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(0, 0, 0xAF, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0);
	check_good(SCSI_DONE, 0);
	RUN(0, 0, 0x35, 0);
	check_good(SCSI_FLUSH, 0);
	CU_ASSERT_PTR_EQUAL(command.block, &blocks[0]);
	RUN(2, 0, 0x91, 0);
	check_good(SCSI_FLUSH, 0);
	RUN(0, 0, 0x00, 0);
	check_good(SCSI_DONE, 0);
	RUN(0, 0, 0x1B, 0, 0, 0, 1, 0);
	check_good(SCSI_DONE, 0);
	RUN(0, 100, 0x03, 0, 0, 0, 252, 0);
	check_good(SCSI_DONE, 18);
	CU_ASSERT_EQUAL(command.data[0], 0x70);
	CU_ASSERT_EQUAL(command.data[2], 0);
}

static void test_inquiry(void)
{
	RUN(0, 255, 0x12, 0, 0, 0, 255, 0);
	check_good(SCSI_DONE, 36);
	CU_ASSERT_EQUAL(command.data[0], 0);
	CU_ASSERT_EQUAL(command.data[2], 5);
	CU_ASSERT_EQUAL(command.data[4], 31);
	CU_ASSERT_EQUAL(memcmp(&command.data[8], "Msft    Virtual Disk    1.0 ", 28), 0);
	RUN(0, 255, 0x12, 0, 0, 0, 10, 0);
	check_good(SCSI_DONE, 10);
	RUN(0, 6, 0x12, 0, 0, 0, 255, 0);
	check_good(SCSI_DONE, 6);
	RUN(0, 255, 0x12, 0, 0x80, 0, 255, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(3, 255, 0x12, 0, 0, 0, 36, 0); /* absent: but it answers */
	check_good(SCSI_DONE, 36);
	CU_ASSERT_EQUAL(command.data[0], 0x7F);
	RUN(3, 255, 0x12, 1, 0, 0, 36, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	RUN(3, 255, 0x00, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	CU_ASSERT_EQUAL(command.srb_status, 0xA0);
}

static void test_vpd(void)
{
	uint8_t first[16];

	RUN(0, 255, 0x12, 1, 0x00, 0, 255, 0);
	check_good(SCSI_DONE, 9);
	CU_ASSERT_EQUAL(memcmp(command.data, "\0\0\0\5\0\x80\x83\xB0\xB1", 9), 0);
	RUN(0, 255, 0x12, 1, 0x80, 0, 255, 0);
	check_good(SCSI_DONE, 6);
	CU_ASSERT_EQUAL(memcmp(command.data, "\0\x80\0\2A1", 6), 0);
	RUN(0, 255, 0x12, 1, 0x83, 0, 255, 0);
	check_good(SCSI_DONE, 4 + 20 + 14);
	CU_ASSERT_EQUAL(command.data[3], 34);
	CU_ASSERT_EQUAL(memcmp(&command.data[4], "\1\3\0\x10\x60\x02\x24", 7), 0);
	CU_ASSERT_EQUAL(command.data[11] >> 4, 8);
	CU_ASSERT_EQUAL(memcmp(&command.data[24], "\2\1\0\x0AMsft    A1", 14), 0);
	memcpy(first, &command.data[8], 16);
	RUN(1, 255, 0x12, 1, 0x83, 0, 255, 0); /* no serial number: by guest and LUN */
	check_good(SCSI_DONE, 36);
	CU_ASSERT_NOT_EQUAL(memcmp(first, &command.data[8], 16), 0);
	memcpy(first, &command.data[8], 16);
	RUN(2, 255, 0x12, 1, 0x83, 0, 255, 0);
	CU_ASSERT_NOT_EQUAL(memcmp(first, &command.data[8], 16), 0);
	RUN(0, 255, 0x12, 1, 0xB0, 0, 255, 0);
	check_good(SCSI_DONE, 64);
	CU_ASSERT_EQUAL(command.data[11], 128);
	CU_ASSERT_EQUAL(command.data[15], 128);
	RUN(0, 255, 0x12, 1, 0xB1, 0, 255, 0);
	check_good(SCSI_DONE, 64);
	CU_ASSERT_EQUAL(command.data[5], 1);
	RUN(0, 255, 0x12, 1, 0xB2, 0, 255, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void test_report_luns(void)
{
	static const uint8_t cdb[] = {0xA0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0}; /* 4096 bytes */

	RUN(0, 4096, 0xA0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0);
	check_good(SCSI_DONE, 32);
	CU_ASSERT_EQUAL(command.data[3], 24);
	CU_ASSERT_EQUAL(command.data[9], 0);
	CU_ASSERT_EQUAL(command.data[17], 1);
	CU_ASSERT_EQUAL(command.data[25], 2);
	run_on(0, 9, cdb, sizeof(cdb), 4096); /* also from a LUN that is not there */
	check_good(SCSI_DONE, 32);
	run_on(3, 0, cdb, sizeof(cdb), 4096); /* another path: none, but good */
	check_good(SCSI_DONE, 8);
	CU_ASSERT_EQUAL(command.data[3], 0);
}

static void test_capacity(void)
{
	RUN(0, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	check_good(SCSI_DONE, 8);
	CU_ASSERT_EQUAL(memcmp(command.data, "\0\0\x07\xFF\0\0\2\0", 8), 0);
	RUN(2, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(memcmp(command.data, "\xFF\xFF\xFF\xFF\0\0\2\0", 8), 0);
	RUN(2, 32, 0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	check_good(SCSI_DONE, 32);
	CU_ASSERT_EQUAL(memcmp(command.data, "\0\0\0\1\xFF\xFF\xFF\xFF\0\0\2\0", 12), 0);
	RUN(2, 32, 0x9E, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void test_mode_sense(void)
{
	RUN(0, 255, 0x1A, 0, 0x3F, 0, 255, 0);
	check_good(SCSI_DONE, 24);
	CU_ASSERT_EQUAL(command.data[0], 23);
	CU_ASSERT_EQUAL(command.data[2], 0x10);
	CU_ASSERT_EQUAL(command.data[4], 8);
	CU_ASSERT_EQUAL(command.data[6], 4);
	RUN(1, 255, 0x1A, 0, 0x08, 0, 4, 0);
	check_good(SCSI_DONE, 4);
	CU_ASSERT_EQUAL(command.data[2], 0x90);
	RUN(1, 255, 0x5A, 0, 0x48, 0, 0, 0, 0, 0, 255, 0); /* what can be changed: nothing */
	check_good(SCSI_DONE, 28);
	CU_ASSERT_EQUAL(command.data[1], 26);
	CU_ASSERT_EQUAL(command.data[3], 0x90);
	CU_ASSERT_EQUAL(command.data[10], 0);
	RUN(0, 255, 0x1A, 0, 0x0A, 0, 255, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(0, 255, 0x5A, 0, 0x0A, 0, 0, 0, 0, 0, 255, 0);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void test_endings_of_io(void)
{
	RUN(0, 65536, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	scsi_finish_io(&command, BLOCK_OK);
	check_good(SCSI_DONE, 512);
	RUN(0, 65536, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	scsi_finish_io(&command, BLOCK_EIO);
	check_failed(SCSI_SENSE_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
	RUN(0, 65536, 0x2A, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	scsi_finish_io(&command, BLOCK_EIO);
	check_failed(SCSI_SENSE_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	scsi_finish_io(&command, BLOCK_ERANGE);
	check_failed(SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	scsi_finish_io(&command, BLOCK_EREADONLY);
	check_failed(SCSI_SENSE_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
}

/* Every opcode and every first byte behind it: nothing is ever answered beyond the buffers. */
static void test_all_opcodes(void)
{
	for (uint32_t i = 0; i < 65536; i++) {
		const uint8_t cdb[16] = {(uint8_t)i, (uint8_t)(i >> 8), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
		                         0xFF};

		run_on(0, 0, cdb, 16, 65536);
		if (command.action == SCSI_DONE ? command.transfer_bytes > SCSI_DATA_BYTES_MAX
		                                : command.transfer_bytes > 65536) {
			CU_FAIL_FATAL("too long an answer");
		}
	}
}

UNIT_MAIN("scsi", UNIT_TEST(test_reads_and_writes), UNIT_TEST(test_transfers_refused),
          UNIT_TEST(test_verify_and_flush), UNIT_TEST(test_inquiry), UNIT_TEST(test_vpd),
          UNIT_TEST(test_report_luns), UNIT_TEST(test_capacity), UNIT_TEST(test_mode_sense),
          UNIT_TEST(test_endings_of_io), UNIT_TEST(test_all_opcodes))
