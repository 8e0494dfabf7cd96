/*
 * vmbus_scsi_transfer.c - probes of the rows of specs/scsi.def that read, write, verify and flush (SBC-3).
 *
 * What a disk holds is not known: so a read is compared with other reads of the same row. Writes go to scratch disks
 * only, from CERTIFY_SCRATCH_SECTOR on.
 */
#include "guest-drivers/certify/vmbus_disk.h"

#define FUA 0x08u
#define BYTCHK 0x02u
#define RUN 8u /* sectors that are compared */
#define UNALIGNED 100u
#define SHORT_FORM_MAX 256u /* sectors that a count of 0 means in the 6 byte form */
#define RANGE_TEXT "beyond the end"

/* Sectors that are put aside, to be compared. */
static uint8_t aside[RUN * PAGE_BYTES];

static bool is_short(const struct probe *p)
{
	return disk_cdb_bytes((uint8_t)p->row->number) == 6;
}

static struct cdb range_of(const struct probe *p, uint64_t sector, uint32_t count)
{
	return disk_range((uint8_t)p->row->number, sector, count);
}

/* Moves @count sectors at @sector with a buffer of @bytes. */
typedef void move(struct disk *disk, struct cdb cdb, uint32_t bytes);

/* Ranges that the disk does not have; in the long forms also those whose upper half counts. */
static void check_ranges(struct probe *p, struct disk *d, move *move_sectors)
{
	uint32_t bytes = 2 * d->sector_bytes;
	bool reachable = !is_short(p) || d->sectors < 1u << 21;

	if (reachable) {
		move_sectors(d, range_of(p, d->sectors, 1), bytes);
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
		                       "the sector behind the last");
		move_sectors(d, range_of(p, d->sectors - 1, 2), bytes);
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
		                       "the last sector and one more");
	}
	if (!is_short(p) && d->sectors < UINT32_MAX) {
		move_sectors(d, range_of(p, UINT32_MAX, 1), bytes);
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
		                       "sector 4294967295");
	}
	if (disk_cdb_bytes((uint8_t)p->row->number) == 16) {
		move_sectors(d, range_of(p, 1ull << 32, 1), bytes);
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
		                       "sector 4294967296");
		move_sectors(d, range_of(p, UINT64_MAX, 1), bytes);
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
		                       "the greatest sector there is");
	}
}

/* The maximum of page B0, and one more, at the scratch area, where writing is harmless. */
static void check_maximum(struct probe *p, struct disk *d, move *move_sectors)
{
	uint32_t bytes = (d->max_sectors + 1) * d->sector_bytes;
	uint32_t at = CERTIFY_SCRATCH_SECTOR;

	if (d->max_sectors == 0 || d->max_sectors >= DISK_DATA_BYTES / d->sector_bytes ||
	    d->sectors < at + SHORT_FORM_MAX) {
		probe_note(p, "the maximum of %u sectors is not tried", d->max_sectors);
		return;
	}
	move_sectors(d, range_of(p, at, d->max_sectors), bytes);
	(void)disk_check_good(p, d, bytes - d->sector_bytes, "as many sectors as there may be");
	/* In the short form the count ends at 255, and 0 is 256. */
	move_sectors(d, range_of(p, at, is_short(p) ? 0 : d->max_sectors + 1), bytes);
	(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB,
	                       "more sectors than there may be");
}

/* Nothing to move: good, but not beyond the end. */
static void check_nothing(struct probe *p, struct disk *d, move *move_sectors)
{
	if (is_short(p)) {
		return;
	}
	move_sectors(d, range_of(p, CERTIFY_SCRATCH_SECTOR, 0), PAGE_BYTES);
	(void)disk_check_good(p, d, 0, "0 sectors");
	move_sectors(d, range_of(p, CERTIFY_SCRATCH_SECTOR, 0), 0);
	(void)disk_check_good(p, d, 0, "0 sectors without a buffer");
	if (d->sectors < UINT32_MAX) {
		move_sectors(d, range_of(p, UINT32_MAX, 0), PAGE_BYTES);
		(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
		                       "0 sectors beyond the end");
	}
}

/* ------------------------------------------------------------------ reading */

static bool read_good(struct probe *p, struct disk *d, uint64_t sector, uint32_t count, const char *what)
{
	disk_read(d, range_of(p, sector, count), count * d->sector_bytes);
	return disk_check_good(p, d, count * d->sector_bytes, what);
}

/* Each sector of a run alone, and the run at an odd place in memory, are what the run was. */
static void check_same(struct probe *p, struct disk *d, uint64_t sector)
{
	uint32_t size = d->sector_bytes;

	if (!read_good(p, d, sector, RUN, "8 sectors")) {
		return;
	}
	memcpy(aside, d->data, (size_t)RUN * size);
	for (uint32_t i = 0; i < RUN; i++) {
		(void)(read_good(p, d, sector + i, 1, "one sector") &&
		       probe_check(p, memcmp(d->data, aside + (size_t)i * size, size) == 0,
		                   "sector %u of 8 alone is another", i));
	}
	d->offset = UNALIGNED;
	(void)(read_good(p, d, sector, RUN, "a buffer at an odd place") &&
	       probe_check(p, memcmp(d->data, aside, (size_t)RUN * size) == 0,
	                   "to a buffer at an odd place come other data"));
	d->offset = 0;
	/* A buffer with room left keeps it. */
	disk_read(d, range_of(p, sector, 1), 4 * size);
	(void)(disk_check_good(p, d, size, "a buffer that is larger") &&
	       probe_check(p, memcmp(d->data, aside, size) == 0, "to a larger buffer come other data"));
}

static void check_small_buffer(struct probe *p, struct disk *d)
{
	uint32_t size = d->sector_bytes;
	bool kept = true;

	disk_read(d, range_of(p, 0, RUN), size);
	(void)disk_check_failed(p, d, "8 sectors to a buffer for one");
	for (uint32_t i = size; i < DISK_DATA_BYTES; i++) {
		kept = kept && d->data[i] == DISK_FILL;
	}
	(void)probe_check(p, kept, "bytes behind a buffer that is too small are written");
}

void disk_body_read(struct probe *p, struct disk *d)
{
	uint64_t last;

	if (!disk_size(p, d)) {
		return;
	}
	last = is_short(p) && d->sectors > 1u << 21 ? (1u << 21) - 1 : d->sectors - 1;
	check_same(p, d, 0);
	check_same(p, d, last - RUN + 1);
	check_same(p, d, last / 2);
	check_small_buffer(p, d);
	check_ranges(p, d, disk_read);
	check_maximum(p, d, disk_read);
	check_nothing(p, d, disk_read);
	disk_check_absent(p, d, range_of(p, 0, 1));
	(void)read_good(p, d, 0, 1, "after all that one sector");
	probe_note(p, "%lu sectors of %u bytes, %u a command", (unsigned long)d->sectors, d->sector_bytes,
	           d->max_sectors);
}

/* ------------------------------------------------------------------ writing */

static void pattern_fill(uint8_t *to, uint32_t bytes, uint32_t seed)
{
	for (uint32_t i = 0; i < bytes; i++) {
		seed = seed * 1664525u + 1013904223u;
		to[i] = (uint8_t)(seed >> 24);
	}
}

static uint32_t pattern_seed;

/* What is written is made here: the same for every piece of a run that starts at one seed. */
static void write_pattern(struct disk *d, struct cdb cdb, uint32_t bytes)
{
	pattern_fill(d->data, DISK_DATA_BYTES, pattern_seed);
	disk_write(d, cdb, bytes);
}

/* The disk's @count sectors at @sector begin the pattern of the seed of now. */
static bool check_written(struct probe *p, struct disk *d, uint64_t sector, uint32_t count, const char *what)
{
	pattern_fill(aside, count * d->sector_bytes, pattern_seed);
	disk_read(d, disk_range(SCSI_READ_10, sector, count), count * d->sector_bytes);
	return probe_check(p,
	                   d->answered && d->srb.srb_status == SRB_STATUS_SUCCESS &&
	                           memcmp(d->data, aside, (size_t)count * d->sector_bytes) == 0,
	                   "%s: not what was written is read", what);
}

static void write_good(struct probe *p, struct disk *d, struct cdb cdb, uint64_t sector, uint32_t count,
                       const char *what)
{
	pattern_seed += 77;
	write_pattern(d, cdb, count * d->sector_bytes);
	if (disk_check_good(p, d, count * d->sector_bytes, what)) {
		(void)check_written(p, d, sector, count, what);
	}
}

/* @count sectors in the middle of 8: what is on both sides stays. */
static void check_neighbours(struct probe *p, struct disk *d)
{
	uint64_t sector = CERTIFY_SCRATCH_SECTOR;
	uint32_t size = d->sector_bytes;

	write_good(p, d, range_of(p, sector, RUN), sector, RUN, "8 sectors");
	write_good(p, d, range_of(p, sector + 3, 2), sector + 3, 2, "2 sectors among 8");
	pattern_seed -= 77;
	(void)check_written(p, d, sector, 3, "the sectors before");
	disk_read(d, disk_range(SCSI_READ_10, sector, RUN), RUN * size);
	pattern_fill(aside, RUN * size, pattern_seed);
	(void)probe_check(p,
	                  memcmp(d->data + (size_t)5 * size, aside + (size_t)5 * size, (size_t)3 * size) == 0,
	                  "the sectors behind: not what was written is read");
	pattern_seed += 77;
}

/* Nothing that is refused writes anything. */
static void check_kept(struct probe *p, struct disk *d, move *refused, uint32_t bytes, const char *what)
{
	uint64_t sector = CERTIFY_SCRATCH_SECTOR;

	write_good(p, d, range_of(p, sector, RUN), sector, RUN, "8 sectors");
	pattern_seed += 1000;
	refused(d, range_of(p, sector, RUN), bytes);
	(void)disk_check_failed(p, d, what);
	pattern_seed -= 1000;
	(void)check_written(p, d, sector, RUN, what);
}

static void check_forced(struct probe *p, struct disk *d)
{
	uint64_t sector = CERTIFY_SCRATCH_SECTOR;
	struct cdb cdb = range_of(p, sector, RUN);

	if (!is_short(p)) {
		cdb.bytes[1] |= FUA;
		write_good(p, d, cdb, sector, RUN, "8 sectors with FUA");
	}
}

static void check_protected(struct probe *p, struct disk *d)
{
	disk_read(d, disk_range(SCSI_READ_10, CERTIFY_SCRATCH_SECTOR, 1), d->sector_bytes);
	memcpy(aside, d->data, d->sector_bytes);
	write_pattern(d, range_of(p, CERTIFY_SCRATCH_SECTOR, 1), d->sector_bytes);
	(void)disk_check_sense(p, d, SCSI_SENSE_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED,
	                       "writing to a disk that says WP");
	disk_read(d, disk_range(SCSI_READ_10, CERTIFY_SCRATCH_SECTOR, 1), d->sector_bytes);
	(void)probe_check(p, memcmp(aside, d->data, d->sector_bytes) == 0, "a protected disk was written");
	probe_note(p, "the disk is write-protected");
}

void disk_body_write(struct probe *p, struct disk *d)
{
	bool protected = false;
	uint64_t last;

	if (!disk_is_scratch(p, d, &protected) || !disk_size(p, d)) {
		return;
	}
	if (protected) {
		check_protected(p, d);
		return;
	}
	last = is_short(p) && d->sectors > 1u << 21 ? (1u << 21) - 1 : d->sectors - 1;
	pattern_seed = (uint32_t)p->row->number << 16;
	check_neighbours(p, d);
	write_good(p, d, range_of(p, last, 1), last, 1, "the last sector");
	check_ranges(p, d, write_pattern);
	(void)check_written(p, d, last, 1, "the last sector, after writes " RANGE_TEXT);
	check_maximum(p, d, write_pattern);
	check_nothing(p, d, write_pattern);
	check_forced(p, d);
	d->offset = UNALIGNED;
	write_good(p, d, range_of(p, CERTIFY_SCRATCH_SECTOR, RUN), CERTIFY_SCRATCH_SECTOR, RUN,
	           "from a buffer at an odd place");
	d->offset = 0;
	check_kept(p, d, write_pattern, d->sector_bytes, "8 sectors from a buffer of one");
	disk_check_absent(p, d, range_of(p, CERTIFY_SCRATCH_SECTOR, 1));
}

/* ------------------------------------------------------------------ verifying and flushing */

/* No data move, whatever the buffer. */
static void verify(struct disk *disk, struct cdb cdb, uint32_t bytes)
{
	(void)bytes;
	disk_run(disk, cdb);
}

void disk_body_verify(struct probe *p, struct disk *d)
{
	struct cdb compare;

	if (!disk_size(p, d)) {
		return;
	}
	disk_run(d, range_of(p, 0, RUN));
	(void)disk_check_good(p, d, 0, "8 sectors");
	disk_run(d, range_of(p, d->sectors - 1, 1));
	(void)disk_check_good(p, d, 0, "the last sector");
	check_nothing(p, d, verify);
	check_ranges(p, d, verify);
	compare = range_of(p, 0, 1);
	compare.bytes[1] |= BYTCHK;
	disk_write(d, compare, d->sector_bytes);
	(void)disk_check_sense(p, d, SCSI_SENSE_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB,
	                       "comparing with data (BYTCHK)");
	disk_check_absent(p, d, range_of(p, 0, 1));
}

/* The whole cache, or of a range that there is. */
void disk_body_flush(struct probe *p, struct disk *d)
{
	if (!disk_size(p, d)) {
		return;
	}
	disk_run(d, range_of(p, 0, 0));
	(void)disk_check_good(p, d, 0, "the whole disk");
	disk_run(d, range_of(p, d->sectors - 1, 1));
	(void)disk_check_good(p, d, 0, "the last sector");
	disk_check_absent(p, d, range_of(p, 0, 0));
}
