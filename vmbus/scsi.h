/*
 * scsi.h - the disks behind a SCSI controller: what a command asks, decoded apart from doing it.
 *
 * Touches no guest memory: the command is a copy, what is answered goes into the command. Reading and writing
 * are left to the caller. Rows in specs/scsi.def. Pure functions, any context, no lock.
 */
#ifndef VMBUS_SCSI_H
#define VMBUS_SCSI_H

#include "abi/vmbus.h"
#include "backend/block.h"
#include "vm/vm.h"

#define SCSI_DATA_BYTES_MAX 128u

struct scsi_disk {
	struct block *block;
	bool read_only;
};

/* Disk n is LUN n of path 0, target 0. */
struct scsi_bus {
	uint32_t disk_count;
	struct scsi_disk disks[VM_DISK_MAX];
	uint8_t uuid[16]; /* for the identity of disks without a serial number */
};

enum scsi_action {
	SCSI_DONE, /* the statuses, sense and data are the answer */
	SCSI_READ, /* read transfer_bytes at sector, then scsi_finish_io() */
	SCSI_WRITE, /* write; if fua then flush; then scsi_finish_io() */
	SCSI_FLUSH,
};

struct scsi_command {
	/* in */
	uint8_t path, target, lun;
	uint8_t cdb_bytes;
	uint8_t cdb[VSTOR_CDB_BYTES];
	uint32_t buffer_bytes; /* that the guest has for data */

	/* out */
	uint32_t row; /* of specs/scsi.def, or SPEC_UNKNOWN */
	bool refused;
	enum scsi_action action;
	struct block *block;
	uint64_t sector;
	bool fua;
	uint32_t transfer_bytes; /* of data moved, or to move */
	uint8_t srb_status, scsi_status;
	uint8_t sense_bytes; /* 0: none */
	uint8_t sense[VSTOR_SENSE_BYTES];
	uint8_t data[SCSI_DATA_BYTES_MAX]; /* SCSI_DONE: transfer_bytes of it are the answer */
};

/* Reads the "in" part, fills all of the "out" part. */
void scsi_decode(const struct scsi_bus *bus, struct scsi_command *command);
/* The disk has ended a read, write or flush: sets statuses, sense and transfer_bytes. */
void scsi_finish_io(struct scsi_command *command, enum block_status status);

#endif /* VMBUS_SCSI_H */
