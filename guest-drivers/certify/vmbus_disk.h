/*
 * vmbus_disk.h - SCSI commands to the first disk of the first storage channel, and what must come back.
 */
#ifndef GUEST_DRIVERS_CERTIFY_VMBUS_DISK_H
#define GUEST_DRIVERS_CERTIFY_VMBUS_DISK_H

#include "guest-drivers/certify/vmbus_device.h"

#define DISK_PAGES 18u /* of a buffer: 64 KiB, what is too much, and an offset */
#define DISK_DATA_BYTES (DISK_PAGES * PAGE_BYTES)
#define DISK_FILL 0xA5u

enum scsi_operation {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_READ_6 = 0x08,
	SCSI_WRITE_6 = 0x0A,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SENSE_6 = 0x1A,
	SCSI_READ_CAPACITY_10 = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_SERVICE_ACTION_IN_16 = 0x9E,
	SCSI_REPORT_LUNS = 0xA0,
};

struct cdb {
	uint8_t bytes[VSTOR_CDB_BYTES];
};

struct disk {
	struct vmbus_device *dev;
	uint8_t path, target, lun;
	uint32_t offset; /* of the buffer in its first page */
	uint64_t gfns[DISK_PAGES];
	/* The last command's end. */
	bool answered;
	struct vmscsi_request srb;
	/* What was read (and DISK_FILL where nothing was), or what is written. */
	uint8_t data[DISK_DATA_BYTES];

	uint64_t sectors; /* of disk_size() */
	uint32_t sector_bytes;
	uint32_t max_sectors; /* of one command; 0: not told */
};

/* The controller's channel, initialized; NULL: skipped, or a check has failed. */
struct disk *disk_open(struct probe *p);
void disk_close(struct probe *p, struct disk *disk);
/* Is there a disk at LUN 0? False: skipped, or a check has failed. */
bool disk_is_there(struct probe *p, struct disk *disk);
/* How large it is: sectors, sector_bytes, max_sectors. The same. */
bool disk_size(struct probe *p, struct disk *disk);
/* May it be written? False: skipped, as it carries no marker. @protected: it may, but says that it cannot be. */
bool disk_is_scratch(struct probe *p, struct disk *disk, bool *protected);

uint64_t disk_get_be(const uint8_t *at, uint32_t bytes);
void disk_put_be(uint8_t *at, uint64_t value, uint32_t bytes);
/* The CDB's length, by its operation. */
uint8_t disk_cdb_bytes(uint8_t operation);
/* The CDB of an operation on @count sectors at @sector, in its operation's form. */
struct cdb disk_range(uint8_t operation, uint64_t sector, uint32_t count);

/* Runs a command with a buffer of @bytes (0: none); the end is in @disk. */
void disk_read(struct disk *disk, struct cdb cdb, uint32_t bytes);
void disk_write(struct disk *disk, struct cdb cdb, uint32_t bytes);
void disk_run(struct disk *disk, struct cdb cdb);

/* The command ended well, with @bytes moved, and nothing beyond them was written. */
bool disk_check_good(struct probe *p, const struct disk *disk, uint32_t bytes, const char *what);
/* CHECK CONDITION with this sense, in fixed format, and nothing moved. */
bool disk_check_sense(struct probe *p, const struct disk *disk, uint8_t key, uint8_t code, const char *what);
/* It did not end well: whichever way. */
bool disk_check_failed(struct probe *p, const struct disk *disk, const char *what);
/* @cdb to LUNs that are not there: they say so. */
void disk_check_absent(struct probe *p, struct disk *disk, struct cdb cdb);

/* vmbus_scsi_transfer.c: bodies of the rows that read, write and verify. */
typedef void disk_body(struct probe *p, struct disk *disk);
disk_body disk_body_read;
disk_body disk_body_write;
disk_body disk_body_verify;
disk_body disk_body_flush;

#endif /* GUEST_DRIVERS_CERTIFY_VMBUS_DISK_H */
