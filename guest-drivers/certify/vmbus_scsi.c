/*
 * vmbus_scsi.c - probes of specs/scsi.def: what a disk says of itself, and what it refuses (SPC-3, SBC-3). Reading and
 * writing: vmbus_scsi_transfer.c.
 *
 * An allocation length cuts an answer, and is no error; what is not known is ILLEGAL REQUEST, 20/00, a wrong field 24/00.
 */
#include "guest-drivers/certify/vmbus_disk.h"

#define ALLOCATION 255u
#define RESERVED_VPD 0x7Fu
#define RESERVED_MODE_PAGE 0x3Eu
#define CHANGEABLE 0x40u
#define ABSENT_LUN 63u
#define RESERVED_ACTION 0x1Fu
#define MODE_HEAD_6 4u
#define MODE_HEAD_10 8u

/* The command that puts its allocation length into @bytes bytes at @at. */
static struct cdb allocating(struct cdb cdb, uint32_t at, uint32_t bytes, uint32_t allocation)
{
	disk_put_be(cdb.bytes + at, allocation, bytes);
	return cdb;
}

/*
 * The answer of @len bytes is cut to each allocation length below that, to none of it with 0, and is whole, with nothing
 * behind it, with more. And to the buffer, if that is smaller.
 */
static void check_allocation(struct probe *p, struct disk *d, struct cdb cdb, uint32_t at, uint32_t bytes,
                             uint32_t len)
{
	uint32_t tries[] = {0, 1, len / 2, len - 1, len, len + 1, ALLOCATION};

	for (uint32_t i = 0; i < ARRAY_COUNT(tries); i++) {
		uint32_t wanted = tries[i] < len ? tries[i] : len;

		disk_read(d, allocating(cdb, at, bytes, tries[i]), PAGE_BYTES);
		(void)disk_check_good(p, d, wanted, "an allocation length");
	}
	disk_read(d, allocating(cdb, at, bytes, ALLOCATION), len - 1);
	(void)disk_check_good(p, d, len - 1, "a buffer smaller than the allocation length");
}

static void check_field(struct probe *p, struct disk *d, struct cdb cdb, const char *what)
{
	disk_read(d, cdb, PAGE_BYTES);
	(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB, what);
}

/* ------------------------------------------------------------------ INQUIRY, REPORT LUNS */

static struct cdb inquiry_of(uint8_t vital, uint8_t page)
{
	return (struct cdb){{SCSI_INQUIRY, vital, page}};
}

/* Qualifier 3, type 1F: no device can be there. It is a good answer: else guests see a disk. */
static void check_absent_inquiry(struct probe *p, struct disk *d, uint8_t path, uint8_t target, uint8_t lun)
{
	d->path = path;
	d->target = target;
	d->lun = lun;
	disk_read(d, allocating(inquiry_of(0, 0), 3, 2, SCSI_INQUIRY_BYTES), SCSI_INQUIRY_BYTES);
	if (disk_check_good(p, d, SCSI_INQUIRY_BYTES, "INQUIRY of a LUN that is not there")) {
		(void)probe_equal(p, d->data[0], SCSI_INQUIRY_ABSENT, "type of a LUN that is not there");
	}
	d->path = 0;
	d->target = 0;
	d->lun = 0;
}

static void check_vital_page(struct probe *p, struct disk *d, uint8_t page)
{
	struct cdb cdb = inquiry_of(1, page);
	uint32_t len;

	disk_read(d, allocating(cdb, 3, 2, PAGE_BYTES), PAGE_BYTES);
	len = 4 + (uint32_t)disk_get_be(d->data + 2, 2);
	if (disk_check_good(p, d, len, "a page of vital data")) {
		(void)probe_check(p, d->data[0] == 0 && d->data[1] == page, "page 0x%x: head 0x%x 0x%x", page,
		                  d->data[0], d->data[1]);
		check_allocation(p, d, cdb, 3, 2, len);
	}
}

/* Page 0 lists those that there are, in rising order; the five that Hyper-V's disks have are among them. */
static void check_vital_data(struct probe *p, struct disk *d)
{
	static const uint8_t needed[] = {SCSI_VPD_SUPPORTED, SCSI_VPD_SERIAL, SCSI_VPD_DEVICE_ID,
	                                 SCSI_VPD_BLOCK_LIMITS, SCSI_VPD_BLOCK_CHARACTERISTICS};
	uint8_t list[64];
	uint32_t count, found = 0;

	disk_read(d, allocating(inquiry_of(1, 0), 3, 2, PAGE_BYTES), PAGE_BYTES);
	count = (uint32_t)disk_get_be(d->data + 2, 2);
	if (!disk_check_good(p, d, 4 + count, "page 0 of vital data") ||
	    !probe_check(p, count <= sizeof(list), "%u pages of vital data", count)) {
		return;
	}
	memcpy(list, d->data + 4, count);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t n = 0; n < sizeof(needed); n++) {
			found += needed[n] == list[i];
		}
		(void)probe_check(p, i == 0 || list[i - 1] < list[i], "page 0x%x is listed behind 0x%x",
		                  list[i], list[i == 0 ? 0 : i - 1]);
		check_vital_page(p, d, list[i]);
	}
	(void)probe_equal(p, found, sizeof(needed), "listed of the five pages 00, 80, 83, B0, B1");
	check_field(p, d, allocating(inquiry_of(1, RESERVED_VPD), 3, 2, ALLOCATION),
	            "a page that there is not");
}

static void body_inquiry(struct probe *p, struct disk *d)
{
	uint32_t len;

	check_absent_inquiry(p, d, 0, 0, ABSENT_LUN);
	check_absent_inquiry(p, d, 7, 0, 0);
	check_absent_inquiry(p, d, 0, 1, 0);
	if (!disk_is_there(p, d)) {
		return;
	}
	disk_read(d, allocating(inquiry_of(0, 0), 3, 2, ALLOCATION), PAGE_BYTES);
	len = d->data[4] + 5u;
	if (!disk_check_good(p, d, len, "INQUIRY")) {
		return;
	}
	(void)probe_check(p, len >= SCSI_INQUIRY_BYTES, "%u bytes of INQUIRY", len);
	(void)probe_check(p, d->data[0] == 0 && (d->data[1] & 0x80) == 0, "not a disk, or a removable one");
	(void)probe_check(p, d->data[2] >= 5 && (d->data[3] & 0xF) == 2, "not SPC-3: version %u, format %u",
	                  d->data[2], d->data[3] & 0xFu);
	d->data[32] = 0;
	probe_note(p, "\"%s\"", (const char *)d->data + 8);
	check_allocation(p, d, inquiry_of(0, 0), 3, 2, len);
	check_field(p, d, allocating(inquiry_of(0, SCSI_VPD_SERIAL), 3, 2, ALLOCATION),
	            "a page of ordinary data");
	check_vital_data(p, d);
}

/* How many LUNs a target lists, the list in d->data; UINT32_MAX: a check has failed. */
static uint32_t luns_at(struct probe *p, struct disk *d, uint8_t path, uint8_t target)
{
	const struct cdb cdb = allocating((struct cdb){{SCSI_REPORT_LUNS}}, 6, 4, PAGE_BYTES);
	uint32_t len;

	d->path = path;
	d->target = target;
	disk_read(d, cdb, PAGE_BYTES);
	d->path = 0;
	d->target = 0;
	len = 8 + (uint32_t)disk_get_be(d->data, 4);
	if (!disk_check_good(p, d, len, "REPORT LUNS") ||
	    !probe_check(p, len % 8 == 0, "REPORT LUNS: a list of %u bytes", len - 8)) {
		return UINT32_MAX;
	}
	return len / 8 - 1;
}

/* SPC wanted room for 16 bytes, SPC-3 takes less as well. */
static void check_small_list(struct probe *p, struct disk *d)
{
	disk_read(d, allocating((struct cdb){{SCSI_REPORT_LUNS}}, 6, 4, 8), PAGE_BYTES);
	if (d->srb.scsi_status == SAM_STAT_CHECK_CONDITION) {
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB,
		                       "an allocation length of 8");
	} else {
		(void)disk_check_good(p, d, 8, "an allocation length of 8");
	}
}

static void body_report_luns(struct probe *p, struct disk *d)
{
	uint32_t count = luns_at(p, d, 0, 0);
	bool zero = false;

	for (uint32_t i = 0; count != UINT32_MAX && i < count; i++) {
		const uint8_t *lun = d->data + 8 + i * 8;

		zero = zero || disk_get_be(lun, 8) == 0;
		(void)probe_check(p, lun[0] == 0 && disk_get_be(lun + 2, 6) == 0,
		                  "LUN %u of the list has not the short form", i);
	}
	probe_note(p, "%u LUNs", count);
	(void)probe_check(p, luns_at(p, d, 7, 1) != UINT32_MAX, "path 7, target 1: no list");
	(void)probe_check(p, luns_at(p, d, 0, 1) != UINT32_MAX, "path 0, target 1: no list");
	d->lun = ABSENT_LUN; /* the command is the target's */
	(void)probe_equal(p, luns_at(p, d, 0, 0), count, "LUNs, asked by one that is not there");
	d->lun = 0;
	check_small_list(p, d);
	disk_read(d, allocating((struct cdb){{SCSI_REPORT_LUNS}}, 6, 4, 16), PAGE_BYTES);
	(void)disk_check_good(p, d, count == 0 ? 8 : 16, "an allocation length of 16");
	if (disk_is_there(p, d)) {
		(void)probe_check(p, zero, "LUN 0 answers INQUIRY and is not listed");
	}
}

/* ------------------------------------------------------------------ capacity */

static void body_read_capacity(struct probe *p, struct disk *d)
{
	const struct cdb cdb = {{SCSI_READ_CAPACITY_10}};
	uint32_t size;

	disk_read(d, cdb, PAGE_BYTES);
	if (disk_check_good(p, d, 8, "READ CAPACITY(10)")) {
		size = (uint32_t)disk_get_be(d->data + 4, 4);
		(void)probe_check(p, size >= 512 && size <= PAGE_BYTES && (size & (size - 1)) == 0,
		                  "sectors of %u bytes", size);
		(void)probe_check(p, disk_get_be(d->data, 4) != 0, "one sector, or none");
		probe_note(p, "last sector %lu, of %u bytes", (unsigned long)disk_get_be(d->data, 4), size);
	}
	disk_read(d, cdb, 4);
	(void)disk_check_good(p, d, 4, "READ CAPACITY(10) to a small buffer");
	disk_check_absent(p, d, cdb);
}

static void body_service_action_in(struct probe *p, struct disk *d)
{
	struct cdb cdb = {{SCSI_SERVICE_ACTION_IN_16, SCSI_READ_CAPACITY_16}};
	uint64_t last, short_last;

	disk_read(d, allocating(cdb, 10, 4, ALLOCATION), PAGE_BYTES);
	if (disk_check_good(p, d, 32, "READ CAPACITY(16)")) {
		last = disk_get_be(d->data, 8);
		disk_read(d, (struct cdb){{SCSI_READ_CAPACITY_10}}, 8);
		short_last = disk_get_be(d->data, 4);
		(void)probe_check(p, short_last == (last < UINT32_MAX ? last : UINT32_MAX),
		                  "last sector %lu, and %lu by READ CAPACITY(10)", (unsigned long)last,
		                  (unsigned long)short_last);
		probe_note(p, "last sector %lu", (unsigned long)last);
		check_allocation(p, d, cdb, 10, 4, 32);
	}
	disk_check_absent(p, d, cdb);
	cdb.bytes[1] = RESERVED_ACTION;
	check_field(p, d, allocating(cdb, 10, 4, 32), "a service action that there is not");
	cdb.bytes[1] = 0;
	check_field(p, d, allocating(cdb, 10, 4, 32), "service action 0");
}

/* ------------------------------------------------------------------ MODE SENSE */

/* Head, block descriptors, then pages; the caching page is among those of @page. */
static void check_mode_page(struct probe *p, struct disk *d, struct cdb cdb, uint8_t page)
{
	bool is_short = p->row->number == SCSI_MODE_SENSE_6;
	uint32_t head = is_short ? MODE_HEAD_6 : MODE_HEAD_10;
	uint32_t at, len, field = is_short ? 1 : 2;
	bool found = false;

	cdb.bytes[2] = page;
	disk_read(d, allocating(cdb, is_short ? 4 : 7, field, ALLOCATION), PAGE_BYTES);
	len = (uint32_t)disk_get_be(d->data, field) + field;
	if (!disk_check_good(p, d, len, "MODE SENSE")) {
		return;
	}
	at = head + (is_short ? d->data[3] : (uint32_t)disk_get_be(d->data + 6, 2));
	(void)probe_equal(p, d->data[is_short ? 1 : 2], 0, "medium type");
	for (uint32_t i = 0; i < 32 && at + 2 <= len; i++) {
		if ((d->data[at] & 0x3F) == SCSI_MODE_PAGE_CACHING) {
			found = true;
			(void)probe_equal(p, d->data[at + 1], 18, "length of the caching page");
		}
		at += 2u + d->data[at + 1];
	}
	(void)probe_check(p, found && at == len, "no caching page, or pages that end at %u of %u", at, len);
	check_allocation(p, d, cdb, is_short ? 4 : 7, field, len);
}

static void body_mode_sense(struct probe *p, struct disk *d)
{
	struct cdb cdb = {{(uint8_t)p->row->number}};
	uint8_t parameter;

	check_mode_page(p, d, cdb, SCSI_MODE_PAGE_CACHING);
	check_mode_page(p, d, cdb, SCSI_MODE_PAGE_ALL);
	check_mode_page(p, d, cdb, SCSI_MODE_PAGE_CACHING | CHANGEABLE);
	cdb.bytes[2] = SCSI_MODE_PAGE_ALL;
	cdb.bytes[p->row->number == SCSI_MODE_SENSE_6 ? 4 : 8] = 192;
	disk_read(d, cdb, PAGE_BYTES);
	parameter = d->data[p->row->number == SCSI_MODE_SENSE_6 ? 2 : 3];
	probe_note(p, "%s, FUA %s", (parameter & 0x80) != 0 ? "write-protected" : "writable",
	           (parameter & 0x10) != 0 ? "understood" : "not understood");
	(void)probe_equal(p, parameter & 0x6Fu, 0, "reserved bits of the parameter");
	disk_check_absent(p, d, cdb);
	cdb.bytes[2] = RESERVED_MODE_PAGE;
	check_field(p, d, cdb, "a page that there is not");
}

/* ------------------------------------------------------------------ the rest */

static void body_ready(struct probe *p, struct disk *d)
{
	const struct cdb cdb = {{SCSI_TEST_UNIT_READY}};

	disk_run(d, cdb);
	(void)disk_check_good(p, d, 0, "TEST UNIT READY");
	disk_read(d, cdb, 512);
	(void)disk_check_good(p, d, 0, "TEST UNIT READY with a buffer");
	disk_check_absent(p, d, cdb);
}

/* Errors bring their sense: nothing is left to ask for. */
static void body_request_sense(struct probe *p, struct disk *d)
{
	const struct cdb cdb = {{(uint8_t)p->row->number, 0, 0, 0, SCSI_SENSE_FIXED_BYTES}};
	const struct cdb unknown = {{0x1F}};

	disk_run(d, unknown);
	(void)disk_check_failed(p, d, "operation 1F");
	disk_read(d, cdb, PAGE_BYTES);
	if (disk_check_good(p, d, SCSI_SENSE_FIXED_BYTES, "REQUEST SENSE")) {
		(void)probe_check(p,
		                  (d->data[0] & 0x7F) == SCSI_SENSE_FIXED_CURRENT && d->data[7] >= 10 &&
		                          (d->data[2] & 0xF) == SCSI_SENSE_NO_SENSE && d->data[12] == 0 &&
		                          d->data[13] == 0,
		                  "format 0x%x, sense 0x%x/0x%x/0x%x", d->data[0], d->data[2] & 0xFu,
		                  d->data[12], d->data[13]);
		check_allocation(p, d, cdb, 4, 1, SCSI_SENSE_FIXED_BYTES);
	}
	disk_check_absent(p, d, cdb);
}

/* Only starts: that changes nothing on any disk that runs. */
static void body_start(struct probe *p, struct disk *d)
{
	const struct cdb start = {{(uint8_t)p->row->number, 0, 0, 0, 1}};
	const struct cdb immediate = {{(uint8_t)p->row->number, 1, 0, 0, 1}};

	disk_run(d, start);
	(void)disk_check_good(p, d, 0, "START");
	disk_run(d, immediate);
	(void)disk_check_good(p, d, 0, "START, immediate");
	disk_run(d, (struct cdb){{SCSI_TEST_UNIT_READY}});
	(void)disk_check_good(p, d, 0, "TEST UNIT READY after START");
	disk_check_absent(p, d, start);
}

/* ------------------------------------------------------------------ what is not offered */

/*
 * A CDB that does nothing where the command is known: no parameters, a reserved action, a sector that there is not. Then
 * it is offered; else it is 20/00.
 */
static struct cdb harmless(uint8_t operation)
{
	struct cdb cdb = {{operation}};

	switch (operation) {
	case 0x04: /* FORMAT UNIT: a defect list in a reserved form */
		cdb.bytes[1] = 0x1F;
		break;
	case 0x41: /* WRITE SAME */
		disk_put_be(cdb.bytes + 2, UINT32_MAX, 4);
		cdb.bytes[8] = 1;
		break;
	case 0x93:
		disk_put_be(cdb.bytes + 2, UINT64_MAX, 8);
		cdb.bytes[13] = 1;
		break;
	case 0x5E: /* PERSISTENT RESERVE, MAINTENANCE */
	case 0x5F:
	case 0xA3:
		cdb.bytes[1] = RESERVED_ACTION;
		break;
	default:
		break;
	}
	return cdb;
}

static void body_refused(struct probe *p, struct disk *d)
{
	uint8_t code;

	disk_read(d, harmless((uint8_t)p->row->number), 512);
	if (!probe_check(p, d->answered, "no answer")) {
		return;
	}
	code = d->srb.u.sense_data[12];
	probe_offer(p, d->srb.srb_status == SRB_STATUS_SUCCESS || code != SCSI_ASC_INVALID_OPCODE);
	if (p->offered) {
		probe_note(p, "known here: SRB status 0x%x, sense 0x%x", d->srb.srb_status, code);
		return;
	}
	(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE, p->row->name);
	disk_run(d, harmless((uint8_t)p->row->number));
	(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE, p->row->name);
	disk_run(d, (struct cdb){{SCSI_TEST_UNIT_READY}});
	(void)disk_check_good(p, d, 0, "TEST UNIT READY after it");
}

/* Those that would write, if a disk knew them and our fields as well. */
static void body_refused_write(struct probe *p, struct disk *d)
{
	bool protected = false;

	if (disk_is_scratch(p, d, &protected)) {
		body_refused(p, d);
	}
}

/* ------------------------------------------------------------------ rows */

/* @anywhere: also where there is no disk. */
static void disk_probe(struct probe *p, bool anywhere, disk_body *body)
{
	struct disk *d = disk_open(p);

	if (d == NULL) {
		return;
	}
	if (anywhere || disk_is_there(p, d)) {
		body(p, d);
	}
	disk_close(p, d);
}

#define DISK_PROBE(name, anywhere, body)          \
	static void probe_##name(struct probe *p) \
	{                                         \
		disk_probe(p, anywhere, body);    \
	}

DISK_PROBE(TEST_UNIT_READY, false, body_ready)
DISK_PROBE(REQUEST_SENSE, false, body_request_sense)
DISK_PROBE(FORMAT_UNIT, false, body_refused_write)
DISK_PROBE(READ_6, false, disk_body_read)
DISK_PROBE(WRITE_6, false, disk_body_write)
DISK_PROBE(INQUIRY, true, body_inquiry)
DISK_PROBE(MODE_SELECT_6, false, body_refused)
DISK_PROBE(MODE_SENSE_6, false, body_mode_sense)
DISK_PROBE(START_STOP_UNIT, false, body_start)
DISK_PROBE(PREVENT_ALLOW_MEDIUM_REMOVAL, false, body_refused)
DISK_PROBE(READ_CAPACITY_10, false, body_read_capacity)
DISK_PROBE(READ_10, false, disk_body_read)
DISK_PROBE(WRITE_10, false, disk_body_write)
DISK_PROBE(VERIFY_10, false, disk_body_verify)
DISK_PROBE(SYNCHRONIZE_CACHE_10, false, disk_body_flush)
DISK_PROBE(WRITE_SAME_10, false, body_refused_write)
DISK_PROBE(UNMAP, false, body_refused_write)
DISK_PROBE(MODE_SENSE_10, false, body_mode_sense)
DISK_PROBE(PERSISTENT_RESERVE_IN, false, body_refused)
DISK_PROBE(PERSISTENT_RESERVE_OUT, false, body_refused)
DISK_PROBE(READ_16, false, disk_body_read)
DISK_PROBE(WRITE_16, false, disk_body_write)
DISK_PROBE(VERIFY_16, false, disk_body_verify)
DISK_PROBE(SYNCHRONIZE_CACHE_16, false, disk_body_flush)
DISK_PROBE(WRITE_SAME_16, false, body_refused_write)
DISK_PROBE(SERVICE_ACTION_IN_16, false, body_service_action_in)
DISK_PROBE(REPORT_LUNS, true, body_report_luns)
DISK_PROBE(MAINTENANCE_IN, false, body_refused)
DISK_PROBE(READ_12, false, disk_body_read)
DISK_PROBE(WRITE_12, false, disk_body_write)
DISK_PROBE(VERIFY_12, false, disk_body_verify)

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/scsi.def"
};
ROW_TABLE(scsi, NEED_HYPERV)
