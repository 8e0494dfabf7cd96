/*
 * scsi.c - SCSI commands of a disk (SPC-3, SBC-3), answered as Hyper-V's virtual disks do. Contract: scsi.h.
 *
 * Guests know these disks: vendor "Msft", SPC-3, a LUN that is absent still answers INQUIRY with qualifier 3 (a
 * failure without data would look like a disk to Linux), REPORT LUNS works on each path and target.
 */
#include "base/check.h"
#include "vmbus/scsi.h"

#define SECTOR_SHIFT 9u

/* CDB offsets and bits */
#define FUA_BIT 0x08u
#define BYTCHK_MASK 0x06u

typedef void scsi_handler(const struct scsi_bus *bus, struct scsi_command *command);

#define SPEC_ROW(number, name, status, handler, clause) static scsi_handler handler;
#include "specs/scsi.def"
#undef SPEC_ROW

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint8_t opcode;
	enum row_status status;
	scsi_handler *handle;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/scsi.def"
#undef SPEC_ROW
};

/* ------------------------------------------------------------------ big-endian, statuses */

static uint32_t get_be(const uint8_t *at, uint32_t bytes)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < bytes; i++) {
		value = value << 8 | at[i];
	}
	return value;
}

static void put_be(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		at[i] = (uint8_t)(value >> (bytes - 1 - i) * 8);
	}
}

static void fill_sense(uint8_t *sense, uint8_t key, uint8_t code)
{
	memset(sense, 0, VSTOR_SENSE_BYTES);
	sense[0] = SCSI_SENSE_FIXED_CURRENT;
	sense[2] = key;
	sense[7] = SCSI_SENSE_FIXED_BYTES - 8;
	sense[12] = code;
}

static void fail(struct scsi_command *command, uint8_t key, uint8_t code)
{
	command->action = SCSI_DONE;
	command->srb_status = SRB_STATUS_ERROR | SRB_STATUS_AUTOSENSE_VALID;
	command->scsi_status = SAM_STAT_CHECK_CONDITION;
	command->transfer_bytes = 0;
	command->sense_bytes = SCSI_SENSE_FIXED_BYTES;
	fill_sense(command->sense, key, code);
}

static void fail_field(struct scsi_command *command)
{
	fail(command, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

/* The first @bytes of data are the answer, as far as @allocation and the buffer go. */
static void answer(struct scsi_command *command, uint32_t bytes, uint32_t allocation)
{
	if (bytes > allocation) {
		bytes = allocation;
	}
	command->transfer_bytes = bytes < command->buffer_bytes ? bytes : command->buffer_bytes;
}

static const struct scsi_disk *find_disk(const struct scsi_bus *bus, const struct scsi_command *command)
{
	if (command->path != 0 || command->target != 0 || command->lun >= bus->disk_count) {
		return NULL;
	}
	return &bus->disks[command->lun];
}

/* Of a command that needs_disk(): scsi_decode() has looked. */
static const struct scsi_disk *get_disk(const struct scsi_bus *bus, const struct scsi_command *command)
{
	const struct scsi_disk *disk = find_disk(bus, command);

	CHECK(disk != NULL);
	return disk;
}

static bool is_read_only(const struct scsi_disk *disk)
{
	return disk->read_only || block_is_read_only(disk->block);
}

/* ------------------------------------------------------------------ reading and writing */

/* Are @count sectors at @sector on the disk? Else the command has failed. */
static bool check_range(const struct scsi_disk *disk, struct scsi_command *command, uint64_t sector,
                        uint32_t count)
{
	uint64_t size = block_sector_count(disk->block);

	if (sector > size || count > size - sector) {
		fail(command, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
		return false;
	}
	return true;
}

static void transfer(const struct scsi_bus *bus, struct scsi_command *command, enum scsi_action action,
                     uint64_t sector, uint32_t count)
{
	const struct scsi_disk *disk = get_disk(bus, command);

	if (action == SCSI_WRITE && is_read_only(disk)) {
		fail(command, SCSI_SENSE_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
		return;
	}
	if (!check_range(disk, command, sector, count)) {
		return;
	}
	if (count > BLOCK_REQUEST_BYTES_MAX >> SECTOR_SHIFT ||
	    count << SECTOR_SHIFT > command->buffer_bytes) {
		fail_field(command);
		return;
	}
	if (count == 0) {
		return; /* nothing to move: good */
	}
	command->action = action;
	command->block = disk->block;
	command->sector = sector;
	command->transfer_bytes = count << SECTOR_SHIFT;
}

static void transfer_6(const struct scsi_bus *bus, struct scsi_command *command, enum scsi_action action)
{
	uint32_t count = command->cdb[4];

	transfer(bus, command, action, get_be(&command->cdb[1], 3) & 0x1FFFFFu, count == 0 ? 256 : count);
}

/* Address and length of the 10, 12 and 16 byte forms. */
static uint64_t cdb_sector(const struct scsi_command *command, uint32_t *count)
{
	switch (command->cdb[0] >> 5) {
	case 1: /* 10 bytes */
	case 2:
		*count = get_be(&command->cdb[7], 2);
		return get_be(&command->cdb[2], 4);
	case 5: /* 12 bytes */
		*count = get_be(&command->cdb[6], 4);
		return get_be(&command->cdb[2], 4);
	default: /* 16 bytes */
		*count = get_be(&command->cdb[10], 4);
		return (uint64_t)get_be(&command->cdb[2], 4) << 32 | get_be(&command->cdb[6], 4);
	}
}

static void transfer_long(const struct scsi_bus *bus, struct scsi_command *command, enum scsi_action action)
{
	uint32_t count;
	uint64_t sector = cdb_sector(command, &count);

	transfer(bus, command, action, sector, count);
	command->fua = command->action == SCSI_WRITE && (command->cdb[1] & FUA_BIT) != 0;
}

static void scsi_read_6(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_6(bus, command, SCSI_READ);
}

static void scsi_write_6(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_6(bus, command, SCSI_WRITE);
}

static void scsi_read_10(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_long(bus, command, SCSI_READ);
}

static void scsi_write_10(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_long(bus, command, SCSI_WRITE);
}

static void scsi_read_12(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_long(bus, command, SCSI_READ);
}

static void scsi_write_12(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_long(bus, command, SCSI_WRITE);
}

static void scsi_read_16(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_long(bus, command, SCSI_READ);
}

static void scsi_write_16(const struct scsi_bus *bus, struct scsi_command *command)
{
	transfer_long(bus, command, SCSI_WRITE);
}

static void scsi_verify_10(const struct scsi_bus *bus, struct scsi_command *command)
{
	uint32_t count;
	uint64_t sector = cdb_sector(command, &count);

	if ((command->cdb[1] & BYTCHK_MASK) != 0) {
		fail_field(command);
		return;
	}
	(void)check_range(get_disk(bus, command), command, sector, count);
}

static void scsi_verify_12(const struct scsi_bus *bus, struct scsi_command *command)
{
	scsi_verify_10(bus, command);
}

static void scsi_verify_16(const struct scsi_bus *bus, struct scsi_command *command)
{
	scsi_verify_10(bus, command);
}

static void scsi_synchronize_cache(const struct scsi_bus *bus, struct scsi_command *command)
{
	command->action = SCSI_FLUSH;
	command->block = get_disk(bus, command)->block;
}

void scsi_finish_io(struct scsi_command *command, enum block_status status)
{
	bool writing = command->action != SCSI_READ;

	command->action = SCSI_DONE;
	switch (status) {
	case BLOCK_OK:
		break;
	case BLOCK_ERANGE:
		fail(command, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
		break;
	case BLOCK_EREADONLY:
		fail(command, SCSI_SENSE_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
		break;
	case BLOCK_EIO:
		fail(command, SCSI_SENSE_MEDIUM_ERROR,
		     writing ? SCSI_ASC_WRITE_ERROR : SCSI_ASC_UNRECOVERED_READ_ERROR);
		break;
	}
}

/* ------------------------------------------------------------------ who and how large */

static void inquiry_standard(const struct scsi_disk *disk, struct scsi_command *command)
{
	uint8_t *data = command->data;

	if (command->cdb[2] != 0) {
		fail_field(command);
		return;
	}
	data[0] = disk == NULL ? SCSI_INQUIRY_ABSENT : 0;
	data[2] = 5; /* SPC-3 */
	data[3] = 2; /* form of this data */
	data[4] = SCSI_INQUIRY_BYTES - 5;
	data[7] = 2; /* CmdQue */
	memcpy(&data[8], "Msft    Virtual Disk    1.0 ", 28);
	answer(command, SCSI_INQUIRY_BYTES, get_be(&command->cdb[3], 2));
}

static uint32_t serial_bytes(const char *serial)
{
	uint32_t bytes = 0;

	while (bytes < 20 && serial[bytes] != 0) {
		bytes++;
	}
	return bytes;
}

/* FNV-1a of what names the disk: its serial number, or the guest and the LUN. */
static uint64_t identity(const struct scsi_bus *bus, const struct scsi_command *command, const char *serial,
                         uint64_t seed)
{
	uint64_t hash = 0xCBF29CE484222325ull ^ seed;
	uint32_t count = serial_bytes(serial);

	for (uint32_t i = 0; i < count; i++) {
		hash = (hash ^ (uint8_t)serial[i]) * 0x100000001B3ull;
	}
	for (uint32_t i = 0; count == 0 && i < sizeof(bus->uuid); i++) {
		hash = (hash ^ bus->uuid[i]) * 0x100000001B3ull;
	}
	return count == 0 ? (hash ^ command->lun) * 0x100000001B3ull : hash;
}

/* NAA 6, the OUI that Hyper-V's disks have, 100 bits of identity; then the T10 form with the serial number. */
static uint32_t vpd_device_id(const struct scsi_bus *bus, struct scsi_command *command, const char *serial)
{
	uint8_t *naa = &command->data[4], *t10 = naa + 20;
	uint32_t count = serial_bytes(serial);
	uint64_t high = identity(bus, command, serial, 1) & 0xFFFFFFFFFull;

	naa[0] = 0x01; /* binary */
	naa[1] = 0x03; /* of the LUN, NAA */
	naa[3] = 16;
	put_be(&naa[4], 6ull << 60 | 0x002248ull << 36 | high, 8);
	put_be(&naa[12], identity(bus, command, serial, 0), 8);
	t10[0] = 0x02; /* ASCII */
	t10[1] = 0x01; /* of the LUN, T10 vendor */
	t10[3] = (uint8_t)(8 + count);
	memcpy(&t10[4], "Msft    ", 8);
	memcpy(&t10[12], serial, count);
	return 20 + 12 + count;
}

/* The page's length behind its head of 4 bytes; false: no such page. */
static bool fill_vpd(const struct scsi_bus *bus, struct scsi_command *command, const char *serial,
                     uint32_t *bytes)
{
	static const uint8_t supported[] = {SCSI_VPD_SUPPORTED, SCSI_VPD_SERIAL, SCSI_VPD_DEVICE_ID,
	                                    SCSI_VPD_BLOCK_LIMITS, SCSI_VPD_BLOCK_CHARACTERISTICS};
	uint8_t *page = &command->data[4];

	switch (command->cdb[2]) {
	case SCSI_VPD_SUPPORTED:
		*bytes = sizeof(supported);
		memcpy(page, supported, sizeof(supported));
		return true;
	case SCSI_VPD_SERIAL:
		*bytes = serial_bytes(serial);
		memcpy(page, serial, *bytes);
		return true;
	case SCSI_VPD_DEVICE_ID:
		*bytes = vpd_device_id(bus, command, serial);
		return true;
	case SCSI_VPD_BLOCK_LIMITS:
		*bytes = 60;
		put_be(&page[4], BLOCK_REQUEST_BYTES_MAX >> SECTOR_SHIFT, 4); /* maximum */
		put_be(&page[8], BLOCK_REQUEST_BYTES_MAX >> SECTOR_SHIFT, 4); /* optimal */
		return true;
	case SCSI_VPD_BLOCK_CHARACTERISTICS:
		*bytes = 60;
		put_be(page, 1, 2); /* does not rotate */
		return true;
	default:
		return false;
	}
}

static void scsi_inquiry(const struct scsi_bus *bus, struct scsi_command *command)
{
	const struct scsi_disk *disk = find_disk(bus, command);
	uint32_t bytes;

	if ((command->cdb[1] & 1) == 0) {
		inquiry_standard(disk, command);
		return;
	}
	if (disk == NULL) {
		fail(command, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
		command->srb_status = SRB_STATUS_INVALID_LUN | SRB_STATUS_AUTOSENSE_VALID;
		return;
	}
	if (!fill_vpd(bus, command, block_serial(disk->block), &bytes)) {
		fail_field(command);
		return;
	}
	command->data[1] = command->cdb[2];
	put_be(&command->data[2], bytes, 2);
	answer(command, 4 + bytes, get_be(&command->cdb[3], 2));
}

static void scsi_report_luns(const struct scsi_bus *bus, struct scsi_command *command)
{
	uint32_t count = command->path == 0 && command->target == 0 ? bus->disk_count : 0;

	put_be(command->data, count * 8ull, 4);
	for (uint32_t i = 0; i < count; i++) {
		command->data[8 + i * 8 + 1] = (uint8_t)i;
	}
	answer(command, 8 + count * 8, get_be(&command->cdb[6], 4));
}

static void scsi_read_capacity_10(const struct scsi_bus *bus, struct scsi_command *command)
{
	uint64_t last = block_sector_count(get_disk(bus, command)->block) - 1;

	put_be(&command->data[0], last < UINT32_MAX ? last : UINT32_MAX, 4);
	put_be(&command->data[4], BLOCK_SECTOR_BYTES, 4);
	answer(command, 8, 8);
}

static void scsi_service_action_in(const struct scsi_bus *bus, struct scsi_command *command)
{
	if ((command->cdb[1] & 0x1F) != SCSI_READ_CAPACITY_16) {
		fail_field(command);
		return;
	}
	put_be(&command->data[0], block_sector_count(get_disk(bus, command)->block) - 1, 8);
	put_be(&command->data[8], BLOCK_SECTOR_BYTES, 4);
	answer(command, 32, get_be(&command->cdb[10], 4));
}

/* ------------------------------------------------------------------ state */

static void scsi_test_unit_ready(const struct scsi_bus *bus, struct scsi_command *command)
{
	(void)bus;
	(void)command; /* always ready: good */
}

static void scsi_start_stop(const struct scsi_bus *bus, struct scsi_command *command)
{
	(void)bus;
	(void)command;
}

static void scsi_request_sense(const struct scsi_bus *bus, struct scsi_command *command)
{
	(void)bus;
	fill_sense(command->data, SCSI_SENSE_NO_SENSE, SCSI_ASC_NONE);
	answer(command, SCSI_SENSE_FIXED_BYTES, command->cdb[4]);
}

/* The caching page at @page: write cache enabled, so that guests flush. Its length; 0: page not known. */
static uint32_t fill_mode_page(const struct scsi_command *command, uint8_t *page)
{
	uint8_t code = command->cdb[2] & 0x3F;
	bool changeable = command->cdb[2] >> 6 == 1;

	if (code != SCSI_MODE_PAGE_CACHING && code != SCSI_MODE_PAGE_ALL) {
		return 0;
	}
	page[0] = SCSI_MODE_PAGE_CACHING;
	page[1] = 18;
	page[2] = changeable ? 0 : 0x04; /* WCE */
	return 20;
}

/* WP, and that FUA is understood. */
static uint8_t mode_parameter(const struct scsi_bus *bus, const struct scsi_command *command)
{
	return is_read_only(get_disk(bus, command)) ? 0x90 : 0x10;
}

static void scsi_mode_sense_6(const struct scsi_bus *bus, struct scsi_command *command)
{
	uint32_t bytes = fill_mode_page(command, &command->data[4]);

	if (bytes == 0) {
		fail_field(command);
		return;
	}
	command->data[0] = (uint8_t)(3 + bytes);
	command->data[2] = mode_parameter(bus, command);
	answer(command, 4 + bytes, command->cdb[4]);
}

static void scsi_mode_sense_10(const struct scsi_bus *bus, struct scsi_command *command)
{
	uint32_t bytes = fill_mode_page(command, &command->data[8]);

	if (bytes == 0) {
		fail_field(command);
		return;
	}
	put_be(&command->data[0], 6 + bytes, 2);
	command->data[3] = mode_parameter(bus, command);
	answer(command, 8 + bytes, get_be(&command->cdb[7], 2));
}

static void scsi_refuse(const struct scsi_bus *bus, struct scsi_command *command)
{
	(void)bus;
	fail(command, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

/* ------------------------------------------------------------------ dispatch */

static void prepare(struct scsi_command *command)
{
	uint8_t given = command->cdb_bytes < VSTOR_CDB_BYTES ? command->cdb_bytes : VSTOR_CDB_BYTES;

	memset(&command->cdb[given], 0, VSTOR_CDB_BYTES - given);
	command->row = SPEC_UNKNOWN;
	command->action = SCSI_DONE;
	command->block = NULL;
	command->sector = 0;
	command->fua = false;
	command->transfer_bytes = 0;
	command->srb_status = SRB_STATUS_SUCCESS;
	command->scsi_status = SAM_STAT_GOOD;
	command->sense_bytes = 0;
	memset(command->sense, 0, sizeof(command->sense));
	memset(command->data, 0, sizeof(command->data));
}

/* What is answered also by a LUN that is not there. */
static bool needs_disk(uint8_t opcode)
{
	return opcode != 0x12 && opcode != 0xA0;
}

void scsi_decode(const struct scsi_bus *bus, struct scsi_command *command)
{
	uint32_t row = 0;

	prepare(command);
	while (row < ARRAY_COUNT(rows) && rows[row].opcode != command->cdb[0]) {
		row++;
	}
	if (row < ARRAY_COUNT(rows)) {
		command->row = row;
	}
	if (needs_disk(command->cdb[0]) && find_disk(bus, command) == NULL) {
		fail(command, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
		command->srb_status = SRB_STATUS_INVALID_LUN | SRB_STATUS_AUTOSENSE_VALID;
	} else if (row == ARRAY_COUNT(rows)) {
		scsi_refuse(bus, command);
	} else {
		rows[row].handle(bus, command);
	}
	command->refused = command->scsi_status != SAM_STAT_GOOD ||
	                   (row < ARRAY_COUNT(rows) && rows[row].status == REFUSED);
}
