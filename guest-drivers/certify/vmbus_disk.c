/*
 * vmbus_disk.c - SCSI commands by hand. Contract: vmbus_disk.h; SPC-3 4.5.3 (sense data, fixed format).
 */
#include "guest-drivers/certify/vmbus_disk.h"

#include "guest-drivers/certify/scratch.h"
#include "guest-drivers/certify/vmbus_storvsp.h"

#define TIMEOUT_S 60u
#define ABSENT_LUN 63u
#define WRITE_PROTECTED 0x80u

static struct disk the_disk;

uint64_t disk_get_be(const uint8_t *at, uint32_t bytes)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < bytes; i++) {
		value = value << 8 | at[i];
	}
	return value;
}

void disk_put_be(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		at[i] = (uint8_t)(value >> (bytes - 1 - i) * 8);
	}
}

/* ------------------------------------------------------------------ commands */

uint8_t disk_cdb_bytes(uint8_t operation)
{
	static const uint8_t bytes[8] = {6, 10, 10, 16, 16, 12, 16, 16};

	return bytes[operation >> 5];
}

struct cdb disk_range(uint8_t operation, uint64_t sector, uint32_t count)
{
	struct cdb cdb = {{operation}};

	switch (disk_cdb_bytes(operation)) {
	case 6:
		disk_put_be(cdb.bytes + 1, sector & 0x1FFFFF, 3);
		cdb.bytes[4] = (uint8_t)count;
		break;
	case 10:
		disk_put_be(cdb.bytes + 2, sector, 4);
		disk_put_be(cdb.bytes + 7, count, 2);
		break;
	case 12:
		disk_put_be(cdb.bytes + 2, sector, 4);
		disk_put_be(cdb.bytes + 6, count, 4);
		break;
	default:
		disk_put_be(cdb.bytes + 2, sector, 8);
		disk_put_be(cdb.bytes + 10, count, 4);
		break;
	}
	return cdb;
}

static void run(struct disk *disk, const struct cdb *cdb, uint8_t direction, uint32_t bytes)
{
	const struct hv_buffer buffer = {.offset = disk->offset, .bytes = bytes, .gfns = disk->gfns};
	struct vstor_packet packet = {
	        .operation = VSTOR_OPERATION_EXECUTE_SRB,
	        .flags = VSTOR_REQUEST_COMPLETION_FLAG,
	        .u.vm_srb = {.length = sizeof(struct vmscsi_request),
	                     .path_id = disk->path,
	                     .target_id = disk->target,
	                     .lun = disk->lun,
	                     .cdb_length = disk_cdb_bytes(cdb->bytes[0]),
	                     .sense_info_length = VSTOR_SENSE_BYTES,
	                     .data_in = direction,
	                     .data_transfer_length = bytes,
	                     .time_out_value = TIMEOUT_S},
	};

	memcpy(packet.u.vm_srb.u.cdb, cdb->bytes, sizeof(cdb->bytes));
	disk->answered = bytes == 0 ? device_ask(disk->dev, &packet, sizeof(packet))
	                            : device_ask_buffers(disk->dev, &buffer, 1, &packet, sizeof(packet));
	memcpy(&packet, disk->dev->answer, sizeof(packet));
	disk->answered = disk->answered && packet.status == VMBUS_STATUS_SUCCESS &&
	                 disk->dev->answer_bytes == sizeof(packet);
	disk->srb = packet.u.vm_srb;
}

/* The buffer's bytes, from or to the pages that the host sees. */
static void copy(struct disk *disk, bool out)
{
	uint32_t at = disk->offset, done = 0;

	while (at < DISK_DATA_BYTES) {
		uint32_t here = PAGE_BYTES - at % PAGE_BYTES;
		uint8_t *page = disk->dev->pages[at / PAGE_BYTES].bytes + at % PAGE_BYTES;

		if (out) {
			memcpy(page, disk->data + done, here);
		} else {
			memcpy(disk->data + done, page, here);
		}
		at += here;
		done += here;
	}
}

void disk_read(struct disk *disk, struct cdb cdb, uint32_t bytes)
{
	memset(disk->data, DISK_FILL, sizeof(disk->data));
	copy(disk, true);
	run(disk, &cdb, VSTOR_DATA_IN, bytes);
	copy(disk, false);
}

void disk_write(struct disk *disk, struct cdb cdb, uint32_t bytes)
{
	copy(disk, true);
	run(disk, &cdb, VSTOR_DATA_OUT, bytes);
}

void disk_run(struct disk *disk, struct cdb cdb)
{
	run(disk, &cdb, VSTOR_DATA_NONE, 0);
}

/* ------------------------------------------------------------------ how a command ended */

bool disk_check_good(struct probe *p, const struct disk *disk, uint32_t bytes, const char *what)
{
	const struct vmscsi_request *srb = &disk->srb;
	bool untouched = true;

	for (uint32_t i = bytes; srb->data_in == VSTOR_DATA_IN && i < DISK_DATA_BYTES - disk->offset; i++) {
		untouched = untouched && disk->data[i] == DISK_FILL;
	}
	return probe_check(p, disk->answered, "%s: no answer", what) &&
	       probe_check(p, srb->srb_status == SRB_STATUS_SUCCESS && srb->scsi_status == SAM_STAT_GOOD,
	                   "%s: SRB status 0x%x, SCSI status 0x%x, sense 0x%x", what, srb->srb_status,
	                   srb->scsi_status, srb->u.sense_data[12]) &&
	       probe_check(p, srb->data_transfer_length == bytes, "%s: %u bytes, not %u", what,
	                   srb->data_transfer_length, bytes) &&
	       probe_check(p, untouched, "%s: more than %u bytes are written", what, bytes);
}

/* Fixed format, a current error, with as much behind it as it says. */
static bool check_sense_data(struct probe *p, const struct vmscsi_request *srb, uint8_t key, uint8_t code,
                             const char *what)
{
	const uint8_t *sense = srb->u.sense_data;

	return probe_check(p, srb->scsi_status == SAM_STAT_CHECK_CONDITION, "%s: SCSI status 0x%x", what,
	                   srb->scsi_status) &&
	       probe_check(p, (srb->srb_status & SRB_STATUS_AUTOSENSE_VALID) != 0, "%s: no sense data",
	                   what) &&
	       probe_check(p,
	                   srb->sense_info_length >= SCSI_SENSE_FIXED_BYTES &&
	                           (sense[0] & 0x7F) == SCSI_SENSE_FIXED_CURRENT && sense[7] >= 10,
	                   "%s: %u bytes of sense, format 0x%x", what, srb->sense_info_length, sense[0]) &&
	       probe_check(p, (sense[2] & 0xF) == key && sense[12] == code && sense[13] == 0,
	                   "%s: sense 0x%x/0x%x/0x%x, not 0x%x/0x%x", what, sense[2] & 0xFu, sense[12],
	                   sense[13], key, code) &&
	       probe_check(p, srb->data_transfer_length == 0, "%s: %u bytes moved", what,
	                   srb->data_transfer_length);
}

bool disk_check_sense(struct probe *p, const struct disk *disk, uint8_t key, uint8_t code, const char *what)
{
	uint32_t status = disk->srb.srb_status & ~(SRB_STATUS_AUTOSENSE_VALID | SRB_STATUS_QUEUE_FROZEN);

	return probe_check(p, disk->answered, "%s: no answer", what) &&
	       probe_check(p, status == SRB_STATUS_ERROR, "%s: SRB status 0x%x", what,
	                   disk->srb.srb_status) &&
	       check_sense_data(p, &disk->srb, key, code, what);
}

bool disk_check_failed(struct probe *p, const struct disk *disk, const char *what)
{
	return probe_check(p, disk->answered, "%s: no answer", what) &&
	       probe_check(p, disk->srb.srb_status != SRB_STATUS_SUCCESS, "%s: good", what);
}

static void check_absent_at(struct probe *p, struct disk *disk, struct cdb cdb, uint8_t path, uint8_t lun)
{
	uint32_t status;

	disk->path = path;
	disk->lun = lun;
	disk_read(disk, cdb, 512);
	status = disk->srb.srb_status & ~(SRB_STATUS_AUTOSENSE_VALID | SRB_STATUS_QUEUE_FROZEN);
	if (probe_check(p, disk->answered && status == SRB_STATUS_INVALID_LUN,
	                "path %u, LUN %u, which is not there: SRB status 0x%x", path, lun,
	                disk->srb.srb_status)) {
		(void)check_sense_data(p, &disk->srb, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED,
		                       "a LUN that is not there");
	}
	disk->path = 0;
	disk->lun = 0;
}

void disk_check_absent(struct probe *p, struct disk *disk, struct cdb cdb)
{
	check_absent_at(p, disk, cdb, 0, ABSENT_LUN);
	check_absent_at(p, disk, cdb, 7, 0);
}

/* ------------------------------------------------------------------ the disk */

struct disk *disk_open(struct probe *p)
{
	struct vmbus_device *dev = device_open(p, (struct vmbus_guid)VMBUS_CLASS_SCSI);

	if (dev == NULL) {
		return NULL;
	}
	memset(&the_disk, 0, sizeof(the_disk));
	the_disk.dev = dev;
	for (uint32_t i = 0; i < DISK_PAGES; i++) {
		the_disk.gfns[i] = dev->pages[i].gfn;
	}
	if (!stor_initialize(p, dev)) {
		device_close(p, dev);
		return NULL;
	}
	return &the_disk;
}

void disk_close(struct probe *p, struct disk *disk)
{
	(void)probe_equal(p, disk->dev->stray_count, 0, "answers to nothing asked");
	device_close(p, disk->dev);
}

bool disk_is_there(struct probe *p, struct disk *disk)
{
	const struct cdb inquiry = {{SCSI_INQUIRY, 0, 0, 0, SCSI_INQUIRY_BYTES}};

	disk_read(disk, inquiry, SCSI_INQUIRY_BYTES);
	if (!disk_check_good(p, disk, SCSI_INQUIRY_BYTES, "INQUIRY")) {
		return false;
	}
	if (disk->data[0] != 0) {
		probe_skip(p, "no disk at path 0, target 0, LUN 0");
	}
	return disk->data[0] == 0;
}

/* Of VPD page B0, where there is one. */
static uint32_t max_sectors(struct disk *disk)
{
	const struct cdb limits = {{SCSI_INQUIRY, 1, SCSI_VPD_BLOCK_LIMITS, 0, 64}};

	disk_read(disk, limits, 64);
	if (!disk->answered || disk->srb.srb_status != SRB_STATUS_SUCCESS ||
	    disk->srb.data_transfer_length < 12) {
		return 0;
	}
	return (uint32_t)disk_get_be(disk->data + 8, 4);
}

bool disk_size(struct probe *p, struct disk *disk)
{
	const struct cdb short_form = {{SCSI_READ_CAPACITY_10}};

	disk_read(disk, short_form, 8);
	if (!disk_check_good(p, disk, 8, "READ CAPACITY(10)")) {
		return false;
	}
	disk->sectors = disk_get_be(disk->data, 4) + 1;
	disk->sector_bytes = (uint32_t)disk_get_be(disk->data + 4, 4);
	disk->max_sectors = max_sectors(disk);
	return probe_check(
	        p, disk->sectors >= 64 && disk->sector_bytes >= 512 && disk->sector_bytes <= PAGE_BYTES,
	        "%lu sectors of %u bytes", (unsigned long)disk->sectors, disk->sector_bytes);
}

bool disk_is_scratch(struct probe *p, struct disk *disk, bool *protected)
{
	const struct cdb mode = {{SCSI_MODE_SENSE_6, 0, SCSI_MODE_PAGE_ALL, 0, 192}};

	disk_read(disk, disk_range(SCSI_READ_10, 0, 1), PAGE_BYTES);
	if (!probe_check(p, disk->answered && disk->srb.srb_status == SRB_STATUS_SUCCESS,
	                 "sector 0 cannot be read")) {
		return false;
	}
	if (!scratch_marked(disk->data)) {
		probe_skip(p, "scratch disk without marker");
		return false;
	}
	disk_read(disk, mode, 192);
	*protected = disk->answered && disk->srb.srb_status == SRB_STATUS_SUCCESS &&
	             (disk->data[2] & WRITE_PROTECTED) != 0;
	return true;
}
