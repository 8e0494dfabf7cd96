/*
 * host_disk.c - disks of the host and their partitions (UEFI 2.10, 5.3), by name, and which guest has which
 * part.
 *
 * A disk is "virtio0", "virtio1" ... in the order of the bus, and has its device's serial number as a
 * second name. Finding, opening and closing are the boot CPU's, between exits; polling and requests are any
 * CPU's. A table of partitions is read at boot, and again before its next use if a guest could have written
 * to it.
 */
#include "backend/gpt.h"
#include "base/bits.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/drivers/virtio_blk.h"

#define DISKS_MAX 16u
#define PARTITIONS_MAX 128u /* of all disks */
#define FUNCTIONS_MAX 64u
#define OPENINGS_MAX (VM_COUNT_MAX * VM_DISK_MAX)
#define ANSWER_SECONDS 5u
#define MEMORY_ORDER 2u /* 16 KiB */
#define NAME_BYTES (GPT_NAME_UNITS * 3u + 1u)

_Static_assert((PAGE_BYTES << MEMORY_ORDER) == VIRTIO_BLK_MEMORY_BYTES, "memory of a disk");

struct host_disk {
	struct virtio_blk virtio;
	struct block whole;
	char name[12];
	bool table_is_stale;
};

struct partition {
	struct host_disk *disk;
	uint64_t first_sector;
	uint64_t sector_count;
	char name[NAME_BYTES]; /* UTF-8 */
};

/* A part of a disk that a guest has. */
struct opening {
	const struct block *block; /* NULL: a free row */
	struct host_disk *disk;
	uint64_t first_sector;
	uint64_t sector_count;
	bool read_only;
};

static struct host_disk *disks[DISKS_MAX];
static uint32_t disk_count; /* atomic: a disk is counted when it is ready */
static struct partition partitions[PARTITIONS_MAX];
static uint32_t partition_count;
static struct opening openings[OPENINGS_MAX];

static bool text_equal(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* ------------------------------------------------------------------ polling: any CPU */

void host_disks_poll(void)
{
	uint32_t count = __atomic_load_n(&disk_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count; i++) {
		const char *why = virtio_blk_poll(&disks[i]->virtio);

		if (why != NULL) {
			log_line("disk %s: stopped: %s: its requests fail from now on", disks[i]->name, why);
		}
	}
}

bool host_disks_pending(void)
{
	uint32_t count = __atomic_load_n(&disk_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count; i++) {
		if (virtio_blk_is_pending(&disks[i]->virtio)) {
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------ reading a table, waiting for it */

/* The boot CPU reads one table at a time. */
static struct {
	struct gpt_search search;
	struct block_request request;
	uint8_t page[PAGE_BYTES] ALIGNED(4096);
	enum gpt_status gpt_status;
	enum block_status read_status;
	uint32_t ended; /* atomic */
} table;

/*
 * Until what was begun has ended. A disk that does not answer in time is given up, which ends all that it
 * has: so nothing of @table is still in use when this comes back.
 */
static void wait_ended(struct host_disk *disk)
{
	uint64_t start = tsc_read();
	bool is_late = false;

	while (__atomic_load_n(&table.ended, __ATOMIC_ACQUIRE) == 0) {
		host_disks_poll();
		if (!is_late && tsc_read() - start > ANSWER_SECONDS * host_tsc_hz()) {
			log_line("disk %s: stopped: no answer in %u seconds", disk->name, ANSWER_SECONDS);
			virtio_blk_give_up(&disk->virtio, "it did not answer");
			is_late = true;
		}
		cpu_pause();
	}
}

static void found(struct gpt_search *search, enum gpt_status status)
{
	(void)search;
	table.gpt_status = status;
	__atomic_store_n(&table.ended, 1, __ATOMIC_RELEASE);
}

static void read_done(struct block_request *request, enum block_status status)
{
	(void)request;
	table.read_status = status;
	__atomic_store_n(&table.ended, 1, __ATOMIC_RELEASE);
}

/* Is there a valid table? gpt_find() checks all of it, whatever name it looks for. */
static enum gpt_status table_check(struct host_disk *disk)
{
	table.ended = 0;
	gpt_find(&table.search, &disk->whole, "-", found);
	wait_ended(disk);
	return table.gpt_status;
}

/* Reads a page of the table, or what is left of it, to table.page. */
static bool table_read(struct host_disk *disk, uint64_t sector, uint32_t bytes)
{
	table.request = (struct block_request){
	        .operation = BLOCK_READ,
	        .sector = sector,
	        .segment_count = 1,
	        .done = read_done,
	};
	table.request.segments[0] = (struct io_segment){
	        .bytes = table.page,
	        .len_bytes = (uint32_t)align_up(bytes, BLOCK_SECTOR_BYTES),
	};
	table.ended = 0;
	block_submit(&disk->whole, &table.request);
	wait_ended(disk);
	return table.read_status == BLOCK_OK;
}

/* ------------------------------------------------------------------ what is in it */

/* UEFI 2.10, table 5.6. */
struct gpt_row {
	uint8_t type[16];
	uint8_t id[16];
	uint64_t first_lba;
	uint64_t last_lba;
	uint64_t attributes;
	uint16_t name[GPT_NAME_UNITS];
} PACKED;
_Static_assert(sizeof(struct gpt_row) == 128, "gpt_row");

/* Appends one character below 0x10000. */
static size_t utf8_put(char *to, uint32_t code)
{
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (char)(0xC0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	to[0] = (char)(0xE0 | code >> 12);
	to[1] = (char)(0x80 | (code >> 6 & 0x3F));
	to[2] = (char)(0x80 | (code & 0x3F));
	return 3;
}

/*
 * UTF-16 to UTF-8. False for a name that is empty, or that a log line could not show as it is: control
 * characters and surrogates. Such a partition has no name here.
 */
static bool name_convert(char *to, const struct gpt_row *row)
{
	size_t len = 0;

	for (uint32_t i = 0; i < GPT_NAME_UNITS && row->name[i] != 0; i++) {
		uint32_t unit = row->name[i];

		if (unit < 0x20 || (unit >= 0x7F && unit < 0xA0) || (unit >= 0xD800 && unit < 0xE000)) {
			return false;
		}
		len += utf8_put(to + len, unit);
	}
	to[len] = 0;
	return len != 0;
}

static bool row_is_used(const struct gpt_row *row)
{
	static const uint8_t unused[16];

	return memcmp(row->type, unused, sizeof(unused)) != 0 && row->first_lba <= row->last_lba &&
	       row->first_lba >= table.search.first_usable && row->last_lba <= table.search.last_usable;
}

static void row_take(struct host_disk *disk, const struct gpt_row *row)
{
	struct partition *partition = &partitions[partition_count];

	if (!row_is_used(row)) {
		return;
	}
	if (partition_count == PARTITIONS_MAX) {
		log_line("disk %s: a partition left out: there are more than %u", disk->name, PARTITIONS_MAX);
		return;
	}
	if (!name_convert(partition->name, row)) {
		log_line("disk %s: a partition at sector %lu has no name to show", disk->name,
		         (unsigned long)row->first_lba);
		return;
	}
	partition->disk = disk;
	partition->first_sector = row->first_lba;
	partition->sector_count = row->last_lba - row->first_lba + 1;
	partition_count++;
	log_line("disk %s: partition \"%s\": %lu KiB at sector %lu", disk->name, partition->name,
	         (unsigned long)(partition->sector_count / 2), (unsigned long)row->first_lba);
}

static void rows_take(struct host_disk *disk)
{
	const struct gpt_search *search = &table.search;

	for (uint32_t at = 0; at < search->table_bytes; at += PAGE_BYTES) {
		uint32_t left = search->table_bytes - at;
		uint32_t here = left < PAGE_BYTES ? left : PAGE_BYTES;

		if (!table_read(disk, search->table_sector + at / BLOCK_SECTOR_BYTES, here)) {
			log_line("disk %s: its partition table could not be read", disk->name);
			return;
		}
		for (uint32_t off = 0; off < here; off += search->entry_bytes) {
			struct gpt_row row;

			memcpy(&row, table.page + off, sizeof(row));
			row_take(disk, &row);
		}
	}
}

static void partitions_forget(const struct host_disk *disk)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < partition_count; i++) {
		if (partitions[i].disk != disk) {
			partitions[kept++] = partitions[i];
		}
	}
	partition_count = kept;
}

static void partitions_read(struct host_disk *disk)
{
	partitions_forget(disk);
	disk->table_is_stale = false;
	switch (table_check(disk)) {
	case GPT_OK:
	case GPT_EABSENT:
	case GPT_EAMBIGUOUS:
		if (table.search.from_backup) {
			log_line("disk %s: its first partition table is damaged: using the backup",
			         disk->name);
		}
		rows_take(disk);
		return;
	case GPT_EIO:
		log_line("disk %s: its partition table could not be read", disk->name);
		return;
	case GPT_ENONE:
	case GPT_ENAME:
		log_line("disk %s: no partition table", disk->name);
		return;
	}
}

/* ------------------------------------------------------------------ finding disks */

static void disk_announce(const struct host_disk *disk)
{
	const struct virtio_blk *virtio = &disk->virtio;

	log_line("disk %s: %lu KiB, serial \"%s\"%s%s, %s", disk->name,
	         (unsigned long)(virtio->sector_count / 2), virtio->serial,
	         virtio_blk_is_read_only(virtio) ? ", read-only" : "",
	         virtio_blk_has_flush(virtio) ? "" : ", no flush: an ended write is taken as stable",
	         virtio->has_interrupt ? "MSI-X" : "no interrupt: polled");
}

static void disk_name(struct host_disk *disk, uint32_t number)
{
	size_t len = 6;

	memcpy(disk->name, "virtio", len);
	if (number >= 10) {
		disk->name[len++] = (char)('0' + number / 10);
	}
	disk->name[len++] = (char)('0' + number % 10);
	disk->name[len] = 0;
}

/* What a failed device was given is not freed: it has been told our vectors and addresses. */
static void disk_add(const struct pci_function *at)
{
	struct vm_page *memory = frames_alloc(MEMORY_ORDER, FRAME_HOST, 0);
	struct host_disk *disk = heap_alloc(sizeof(*disk));
	const char *why = "no memory";

	if (memory == NULL || disk == NULL ||
	    !virtio_blk_open(&disk->virtio, at, host_direct(frames_hpa(memory)), disk_count % cpu_count(),
	                     &why)) {
		log_line("disk at PCI %02x:%02x.%u left out: %s", at->bus, at->device, at->function, why);
		return;
	}
	disk_name(disk, disk_count);
	block_open(&disk->whole, &virtio_blk_ops, &disk->virtio, disk->virtio.sector_count,
	           virtio_blk_is_read_only(&disk->virtio), disk->virtio.serial);
	disks[disk_count] = disk;
	__atomic_store_n(&disk_count, disk_count + 1, __ATOMIC_RELEASE);
	disk_announce(disk);
	partitions_read(disk);
}

void host_disks_init(void)
{
	struct pci_function found_functions[FUNCTIONS_MAX];
	bool has_ecam = pci_init();
	uint32_t count = pci_find(VIRTIO_PCI_VENDOR, found_functions, FUNCTIONS_MAX);

	count = count < FUNCTIONS_MAX ? count : FUNCTIONS_MAX;
	for (uint32_t i = 0; i < count; i++) {
		if (!virtio_blk_is(&found_functions[i])) {
			continue;
		}
		if (disk_count == DISKS_MAX) {
			log_line("disks left out: there are more than %u", DISKS_MAX);
			break;
		}
		disk_add(&found_functions[i]);
	}
	log_line("disks of the host: %u, PCI by %s", disk_count, has_ecam ? "ECAM" : "ports");
}

/* ------------------------------------------------------------------ by name */

static bool disk_has_name(const struct host_disk *disk, const char *name)
{
	return text_equal(disk->name, name) ||
	       (disk->virtio.serial[0] != 0 && text_equal(disk->virtio.serial, name));
}

static struct host_disk *disk_named(const char *name)
{
	struct host_disk *match = NULL;

	for (uint32_t i = 0; i < disk_count; i++) {
		if (!disk_has_name(disks[i], name)) {
			continue;
		}
		if (match != NULL) {
			log_line("disk \"%s\": refused: both %s and %s have that name", name, match->name,
			         disks[i]->name);
			return NULL;
		}
		match = disks[i];
	}
	return match;
}

static const struct partition *partition_named(const char *name)
{
	const struct partition *match = NULL;

	for (uint32_t i = 0; i < disk_count; i++) {
		if (disks[i]->table_is_stale) {
			partitions_read(disks[i]);
		}
	}
	for (uint32_t i = 0; i < partition_count; i++) {
		if (!text_equal(partitions[i].name, name)) {
			continue;
		}
		if (match != NULL) {
			log_line("partition \"%s\": refused: there are two, on %s and %s", name,
			         match->disk->name, partitions[i].disk->name);
			return NULL;
		}
		match = &partitions[i];
	}
	return match;
}

/* ------------------------------------------------------------------ openings */

static bool overlaps(const struct opening *a, const struct opening *b)
{
	return a->disk == b->disk && a->first_sector < b->first_sector + b->sector_count &&
	       b->first_sector < a->first_sector + a->sector_count;
}

/*
 * A free row for @wanted; NULL if there is none, or another's part overlaps and one of the two is written.
 */
static struct opening *opening_allow(const struct opening *wanted)
{
	struct opening *row = NULL;

	for (uint32_t i = 0; i < OPENINGS_MAX; i++) {
		if (openings[i].block == NULL) {
			row = &openings[i];
		} else if (overlaps(&openings[i], wanted) && !(openings[i].read_only && wanted->read_only)) {
			return NULL;
		}
	}
	return row;
}

static bool range_named(bool partition, const char *name, struct opening *wanted)
{
	const struct partition *match = partition ? partition_named(name) : NULL;
	struct host_disk *disk = partition ? NULL : disk_named(name);

	if (match != NULL) {
		wanted->disk = match->disk;
		wanted->first_sector = match->first_sector;
		wanted->sector_count = match->sector_count;
	} else if (disk != NULL) {
		wanted->disk = disk;
		wanted->sector_count = disk->whole.sector_count;
	}
	return wanted->disk != NULL;
}

bool host_disk_open(struct block *block, bool partition, const char *name, bool read_only, const char *serial)
{
	struct opening wanted = {.block = block, .read_only = read_only};
	struct opening *row;

	host_disk_close(block);
	if (!range_named(partition, name, &wanted)) {
		return false;
	}
	row = opening_allow(&wanted);
	if (row == NULL) {
		log_line("\"%s\" on disk %s: refused: in use, and to be written by one of the two", name,
		         wanted.disk->name);
		return false;
	}
	if (!block_open_window(block, &wanted.disk->whole, wanted.first_sector, wanted.sector_count,
	                       read_only, serial)) {
		log_line("\"%s\" on disk %s: refused: to be written, but read-only", name, wanted.disk->name);
		return false;
	}
	*row = wanted;
	return true;
}

void host_disk_close(struct block *block)
{
	for (uint32_t i = 0; i < OPENINGS_MAX; i++) {
		struct opening *row = &openings[i];

		if (row->block == block) {
			row->block = NULL;
			/* Who had the disk from its start may have written another table. */
			row->disk->table_is_stale |= !row->read_only && row->first_sector == 0;
		}
	}
}
