/*
 * hv_disk_test.c - storvsc over storvsp: what the disks say of themselves, reads and writes of all
 * sizes and alignments, many at once, errors, and the bus reset.
 */
#include "tests/loopback/hv_rig.h"

static void test_disks(void)
{
	uint8_t luns[8];
	struct hv_disk second;

	hv_disk_up(VERSION_WIN10_V5_3);
	CU_ASSERT_EQUAL(hv_rig.stor.version, VMSTOR_PROTO_VERSION_WIN10);
	CU_ASSERT_EQUAL(hv_rig.stor.max_transfer_bytes, BLOCK_REQUEST_BYTES_MAX);
	CU_ASSERT_EQUAL(hv_storvsc_luns(&hv_rig.stor, luns, 8), 2);
	CU_ASSERT_EQUAL(luns[0], 0);
	CU_ASSERT_EQUAL(luns[1], 1);
	CU_ASSERT_EQUAL(hv_rig.disk.sector_count, HV_DISK_SECTORS);
	CU_ASSERT_EQUAL(hv_rig.disk.sector_bytes, 512);
	CU_ASSERT_FALSE(hv_rig.disk.read_only);
	CU_ASSERT_STRING_EQUAL(hv_rig.disk.vendor, "Msft    ");
	CU_ASSERT_TRUE(hv_disk_open(&second, &hv_rig.stor, 1));
	CU_ASSERT_TRUE(second.read_only);
	CU_ASSERT_EQUAL(second.sector_count, sizeof(hv_rig.second_medium) / 512);
	CU_ASSERT_FALSE(hv_disk_open(&second, &hv_rig.stor, 2)); /* absent */
	hv_disk_down();
}

static void test_protocol_versions(void)
{
	static const uint16_t versions[] = {VMSTOR_PROTO_VERSION_WIN10, VMSTOR_PROTO_VERSION_WIN8_1,
					    VMSTOR_PROTO_VERSION_WIN8};

	hv_media_fill();
	hv_rig_up(0, VERSION_WIN10_V5_3, 2, 0);
	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		hv_rig.stor.version_max = versions[i];
		CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
		CU_ASSERT_EQUAL(hv_rig.stor.version, versions[i]);
		CU_ASSERT_TRUE(hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0));
		CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	}
	hv_rig.stor.version_max = 0x0402; /* older than all: refused, closed, and open again */
	CU_ASSERT_FALSE(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
	hv_rig.stor.version_max = 0;
	CU_ASSERT_TRUE(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
	hv_disk_down();
}

static void transfer(struct hv_io *io, bool write, uint64_t sector, uint32_t sectors,
		     uint32_t offset)
{
	hv_io_shape(io, write, sector, sectors, offset);
	CU_ASSERT_TRUE_FATAL(hv_io_submit(io));
	hv_io_wait(io);
	CU_ASSERT_EQUAL_FATAL(io->result.srb_status, SRB_STATUS_SUCCESS);
	CU_ASSERT_EQUAL(io->result.bytes, sectors * 512);
	CU_ASSERT_TRUE_FATAL(hv_io_apply(io));
}

/* Every length up to the largest, at every kind of place in memory, also where bounce is needed. */
static void test_sizes(void)
{
	static const uint32_t offsets[] = {0, 4, 8, 256, 508, 512, 1000, 2048, 3584, 4092};
	struct hv_io io;

	hv_disk_up(VERSION_WIN10_V5_3);
	hv_io_alloc(&io, 0);
	for (uint32_t sectors = 1; sectors <= 128; sectors++) {
		for (uint32_t i = 0; i < ARRAY_COUNT(offsets); i++) {
			uint64_t sector = hv_random64() % (HV_DISK_SECTORS - sectors + 1);

			if (sectors % 8 > 1 && i % 4 != sectors % 4) {
				continue;
			}
			transfer(&io, true, sector, sectors, offsets[i]);
			transfer(&io, false, sector, sectors, offsets[(i + 3) % ARRAY_COUNT(offsets)]);
		}
	}
	CU_ASSERT_EQUAL(hv_checksum(hv_rig.medium, HV_DISK_BYTES),
			hv_checksum(hv_rig.expected, HV_DISK_BYTES));
	hv_io_free(&io, 0);
	hv_disk_down();
}

/* As many as there are slots, each its own part of the disk, in any order. */
static void test_many(void)
{
	static struct hv_io ios[HV_STOR_SLOTS];
	uint32_t done = 0;

	hv_disk_up(VERSION_WIN10_V5_1);
	for (uint32_t i = 0; i < HV_STOR_SLOTS; i++) {
		hv_io_alloc(&ios[i], 0);
	}
	for (uint32_t round = 0; done < 3000; round++) {
		uint32_t i = (uint32_t)(hv_random64() % HV_STOR_SLOTS);
		uint32_t sectors = 1 + (uint32_t)(hv_random64() % 40);

		if (ios[i].busy) {
			hv_poll(&hv_rig.hvs[0]);
			continue;
		}
		if (ios[i].result.answered) {
			CU_ASSERT_EQUAL_FATAL(ios[i].result.srb_status, SRB_STATUS_SUCCESS);
			CU_ASSERT_TRUE_FATAL(hv_io_apply(&ios[i]));
			done++;
		}
		hv_io_shape(&ios[i], round % 2 == 0, i * 200 + hv_random64() % 150, sectors,
			    (uint32_t)(hv_random64() % 1024) * 4);
		ios[i].result.answered = false;
		while (!hv_io_submit(&ios[i])) {
			hv_poll(&hv_rig.hvs[0]);
		}
	}
	for (uint32_t i = 0; i < HV_STOR_SLOTS; i++) {
		hv_io_wait(&ios[i]);
		CU_ASSERT_TRUE(!ios[i].result.answered || hv_io_apply(&ios[i]));
		hv_io_free(&ios[i], 0);
	}
	CU_ASSERT_EQUAL(memcmp(hv_rig.medium, hv_rig.expected, HV_DISK_BYTES), 0);
	hv_disk_down();
}

static void test_flush(void)
{
	struct hv_io io = {.busy = true};
	uint64_t before;

	hv_disk_up(VERSION_WIN10);
	before = hv_rig.disks[0].flush_count;
	CU_ASSERT_TRUE(hv_disk_submit(&hv_rig.disk, HV_DISK_FLUSH, 0, NULL, hv_io_done, &io));
	hv_io_wait(&io);
	CU_ASSERT_EQUAL(io.result.srb_status, SRB_STATUS_SUCCESS);
	CU_ASSERT_EQUAL(hv_rig.disks[0].flush_count, before + 1);
	hv_disk_down();
}

static void expect_sense(const struct hv_scsi_result *result, uint8_t key, uint8_t code)
{
	CU_ASSERT_EQUAL(result->srb_status, SRB_STATUS_ERROR | SRB_STATUS_AUTOSENSE_VALID);
	CU_ASSERT_EQUAL(result->scsi_status, SAM_STAT_CHECK_CONDITION);
	CU_ASSERT_EQUAL(result->bytes, 0);
	CU_ASSERT_EQUAL(result->sense[2], key);
	CU_ASSERT_EQUAL(result->sense[12], code);
}

static void test_errors(void)
{
	struct hv_scsi_command command = {.cdb_bytes = 6, .direction = VSTOR_DATA_NONE};
	struct hv_scsi_result result;
	struct hv_io io;

	hv_disk_up(VERSION_WIN10_V5_2);
	hv_io_alloc(&io, 0);
	hv_io_shape(&io, false, HV_DISK_SECTORS - 3, 4, 0);
	CU_ASSERT_TRUE(hv_io_submit(&io));
	hv_io_wait(&io);
	expect_sense(&io.result, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	hv_io_shape(&io, true, 0, 8, 0);
	hv_rig.disk.lun = 1;
	CU_ASSERT_TRUE(hv_io_submit(&io));
	hv_io_wait(&io);
	expect_sense(&io.result, SCSI_SENSE_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	hv_rig.disk.lun = 5;
	CU_ASSERT_TRUE(hv_io_submit(&io));
	hv_io_wait(&io);
	CU_ASSERT_EQUAL(io.result.srb_status & ~SRB_STATUS_AUTOSENSE_VALID & 0xFF,
			SRB_STATUS_INVALID_LUN);
	command.cdb[0] = 0xC1; /* nobody's */
	CU_ASSERT_TRUE(hv_storvsc_run(&hv_rig.stor, &command, &result));
	expect_sense(&result, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	/* A frame that is no memory. */
	io.gfns[1] = 1ull << 30;
	hv_rig.disk.lun = 0;
	hv_io_shape(&io, false, 0, 16, 0);
	CU_ASSERT_TRUE(hv_io_submit(&io));
	hv_io_wait(&io);
	CU_ASSERT_EQUAL(io.result.srb_status, SRB_STATUS_INVALID_REQUEST);
	CU_ASSERT_EQUAL(io.result.bytes, 0);
	hv_io_free(&io, 0);
	CU_ASSERT_TRUE(hv_storvsc_reset(&hv_rig.stor));
	hv_disk_down();
}

/* A close with requests under way: they end, answered or not, and nothing is kept. */
static void test_close_busy(void)
{
	static struct hv_io ios[8];

	hv_disk_up(VERSION_WIN10_V5_3);
	for (uint32_t i = 0; i < ARRAY_COUNT(ios); i++) {
		hv_io_alloc(&ios[i], 0);
		hv_io_shape(&ios[i], false, i * 64, 64, 4);
		CU_ASSERT_TRUE(hv_io_submit(&ios[i]));
	}
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	CU_ASSERT_EQUAL(hv_rig.stor.used_count, 0);
	for (uint32_t i = 0; i < ARRAY_COUNT(ios); i++) {
		CU_ASSERT_FALSE(ios[i].busy);
		hv_io_free(&ios[i], 0);
	}
	CU_ASSERT_TRUE(hv_storvsc_open(&hv_rig.stor, &hv_rig.hvs[0], 0));
	hv_disk_down();
}

UNIT_MAIN("hyper-v disk loopback", UNIT_TEST(test_disks), UNIT_TEST(test_protocol_versions),
	  UNIT_TEST(test_sizes), UNIT_TEST(test_many), UNIT_TEST(test_flush),
	  UNIT_TEST(test_errors), UNIT_TEST(test_close_busy))
