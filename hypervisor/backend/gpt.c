/*
 * gpt.c - the search of backend/gpt.h: header, its table page by page, and if either is wrong the
 * backup's.
 *
 * A read may end inside block_submit() or later on another CPU. Both ways lead to one loop and
 * never to recursion: of the two events "submit returned" and "read done", the second one goes on
 * (see pump).
 */
#include "backend/gpt.h"

#include "base/bits.h"
#include "base/blob.h"
#include "base/mem.h"

#define PAGE_SIZE 4096u
#define HEADER_BYTES_MIN 92u
#define ENTRY_BYTES_MIN 128u
#define REVISION 0x00010000u
#define PUMP_RETURNED 1u
#define PUMP_DONE 2u

/* UEFI 2.10, table 5.5. */
struct gpt_header {
	char signature[8];
	uint32_t revision;
	uint32_t header_bytes;
	uint32_t header_crc;
	uint32_t reserved;
	uint64_t my_lba;
	uint64_t alternate_lba;
	uint64_t first_usable_lba;
	uint64_t last_usable_lba;
	uint8_t disk_guid[16];
	uint64_t entry_lba;
	uint32_t entry_count;
	uint32_t entry_bytes;
	uint32_t entry_crc;
} PACKED;
_Static_assert(sizeof(struct gpt_header) == HEADER_BYTES_MIN, "gpt_header");

/* Table 5.6. */
struct gpt_entry {
	uint8_t type[16];
	uint8_t id[16];
	uint64_t first_lba;
	uint64_t last_lba;
	uint64_t attributes;
	uint16_t name[GPT_NAME_UNITS];
} PACKED;
_Static_assert(sizeof(struct gpt_entry) == ENTRY_BYTES_MIN, "gpt_entry");

/* ------------------------------------------------------------------ the name */

/* How many continuation bytes follow a lead byte, and its own bits; -1 if it is none. */
static int utf8_lead(uint8_t byte, uint32_t *bits)
{
	static const struct {
		uint8_t mask, lead;
		int rest;
	} forms[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 1}, {0xF0, 0xE0, 2}, {0xF8, 0xF0, 3}};

	for (uint32_t i = 0; i < ARRAY_COUNT(forms); i++) {
		if ((byte & forms[i].mask) == forms[i].lead) {
			*bits = byte & (uint8_t)~forms[i].mask;
			return forms[i].rest;
		}
	}
	return -1;
}

/*
 * Takes one character off *@text. False if it is no UTF-8. Stops at a NUL by itself: that is no
 * continuation.
 */
static bool utf8_next(const char **text, uint32_t *code)
{
	static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
	int rest = utf8_lead((uint8_t) * (*text)++, code);

	if (rest < 0) {
		return false;
	}
	for (int i = 0; i < rest; i++) {
		uint8_t byte = (uint8_t) * *text;

		if ((byte & 0xC0) != 0x80) {
			return false;
		}
		*code = *code << 6 | (byte & 0x3Fu);
		(*text)++;
	}
	return *code >= least[rest] && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF);
}

/* UTF-8 to UTF-16, padded with zeros. */
static bool name_convert(uint16_t *to, const char *text)
{
	uint32_t units = 0;
	uint32_t code;

	memset(to, 0, GPT_NAME_UNITS * sizeof(*to));
	while (*text != 0) {
		if (!utf8_next(&text, &code) || units + (code > 0xFFFF) >= GPT_NAME_UNITS) {
			return false;
		}
		if (code > 0xFFFF) {
			to[units++] = (uint16_t)(0xD7C0 + (code >> 10));
			code = 0xDC00 + (code & 0x3FF);
		}
		to[units++] = (uint16_t)code;
	}
	return units != 0;
}

/* Units after a NUL in the entry do not count. */
static bool name_matches(const uint16_t *wanted, const struct gpt_entry *entry)
{
	for (uint32_t i = 0; i < GPT_NAME_UNITS; i++) {
		if (entry->name[i] != wanted[i]) {
			return false;
		}
		if (wanted[i] == 0) {
			return true;
		}
	}
	return true;
}

/* ------------------------------------------------------------------ what was read */

static uint64_t disk_end(const struct gpt_search *search)
{
	return block_sector_count(search->disk);
}

static bool header_bounds_are_right(const struct gpt_search *search, const struct gpt_header *header)
{
	uint64_t bytes = (uint64_t)header->entry_count * header->entry_bytes;

	return header->my_lba == search->header_sector &&
	       header->first_usable_lba <= header->last_usable_lba &&
	       header->last_usable_lba < disk_end(search) && header->entry_bytes >= ENTRY_BYTES_MIN &&
	       header->entry_bytes <= PAGE_SIZE && (header->entry_bytes & (header->entry_bytes - 1)) == 0 &&
	       bytes != 0 && bytes <= GPT_TABLE_BYTES_MAX &&
	       range_fits(header->entry_lba, (bytes + BLOCK_SECTOR_BYTES - 1) / BLOCK_SECTOR_BYTES,
	                  disk_end(search));
}

static bool header_take(struct gpt_search *search)
{
	struct gpt_header header;

	memcpy(&header, search->page, sizeof(header));
	if (memcmp(header.signature, "EFI PART", 8) != 0 || header.revision != REVISION ||
	    header.header_bytes < HEADER_BYTES_MIN || header.header_bytes > BLOCK_SECTOR_BYTES) {
		return false;
	}
	if (blob_crc32_hole(search->page, header.header_bytes, offsetof(struct gpt_header, header_crc)) !=
	            header.header_crc ||
	    !header_bounds_are_right(search, &header)) {
		return false;
	}
	search->table_sector = header.entry_lba;
	search->table_bytes = header.entry_count * header.entry_bytes;
	search->entry_bytes = header.entry_bytes;
	search->table_crc = header.entry_crc;
	search->first_usable = header.first_usable_lba;
	search->last_usable = header.last_usable_lba;
	search->table_done = 0;
	search->crc = ~0u;
	search->match_count = 0;
	search->in_table = true;
	return true;
}

static void entry_look(struct gpt_search *search, const struct gpt_entry *entry)
{
	static const uint8_t unused[16];

	if (memcmp(entry->type, unused, sizeof(unused)) == 0 || !name_matches(search->name, entry) ||
	    entry->first_lba > entry->last_lba || entry->first_lba < search->first_usable ||
	    entry->last_lba > search->last_usable) {
		return;
	}
	search->match_count++;
	search->first_sector = entry->first_lba;
	search->sector_count = entry->last_lba - entry->first_lba + 1;
	memcpy(search->id, entry->id, sizeof(search->id));
}

/* Bytes of the table in the page now wanted or read. */
static uint32_t table_here(const struct gpt_search *search)
{
	uint32_t left = search->table_bytes - search->table_done;

	return left < PAGE_SIZE ? left : PAGE_SIZE;
}

static void table_take(struct gpt_search *search)
{
	uint32_t here = table_here(search);

	search->crc = blob_crc32_step(search->crc, search->page, here);
	for (uint32_t off = 0; off < here; off += search->entry_bytes) {
		struct gpt_entry entry;

		memcpy(&entry, search->page + off, sizeof(entry));
		entry_look(search, &entry);
	}
	search->table_done += here;
}

/* ------------------------------------------------------------------ going on */

/* The first table failed: the backup's turn. False if this was the backup. */
static bool backup_try(struct gpt_search *search)
{
	if (search->from_backup || disk_end(search) < 3) {
		return false;
	}
	search->from_backup = true;
	search->in_table = false;
	search->header_sector = disk_end(search) - 1;
	return true;
}

static bool table_ended(struct gpt_search *search, enum gpt_status *status)
{
	if (~search->crc != search->table_crc) {
		*status = GPT_ENONE;
		return !backup_try(search);
	}
	*status = search->match_count == 0 ? GPT_EABSENT : search->match_count == 1 ? GPT_OK : GPT_EAMBIGUOUS;
	return true;
}

/* Takes what was read. True if the search has ended with @status. */
static bool search_step(struct gpt_search *search, enum gpt_status *status)
{
	if (search->read_status != BLOCK_OK) {
		*status = GPT_EIO;
		return !backup_try(search);
	}
	if (!search->in_table) {
		*status = GPT_ENONE;
		return !header_take(search) && !backup_try(search);
	}
	table_take(search);
	return search->table_done == search->table_bytes && table_ended(search, status);
}

static void search_read(struct gpt_search *search);

static void search_go(struct gpt_search *search)
{
	enum gpt_status status = GPT_ENONE;

	for (;;) {
		search_read(search);
		if ((__atomic_fetch_or(&search->pump, PUMP_RETURNED, __ATOMIC_ACQ_REL) & PUMP_DONE) == 0) {
			return; /* read_done() goes on */
		}
		if (search_step(search, &status)) {
			search->found(search, status);
			return;
		}
	}
}

static void read_done(struct block_request *request, enum block_status read_status)
{
	struct gpt_search *search = CONTAINER_OF(request, struct gpt_search, request);
	enum gpt_status status = GPT_ENONE;

	search->read_status = read_status;
	if ((__atomic_fetch_or(&search->pump, PUMP_DONE, __ATOMIC_ACQ_REL) & PUMP_RETURNED) == 0) {
		return; /* search_go() goes on */
	}
	if (search_step(search, &status)) {
		search->found(search, status);
		return;
	}
	search_go(search);
}

static void search_read(struct gpt_search *search)
{
	struct block_request *request = &search->request;
	uint32_t bytes = BLOCK_SECTOR_BYTES;

	*request = (struct block_request){.operation = BLOCK_READ, .done = read_done};
	request->sector = search->header_sector;
	if (search->in_table) {
		request->sector = search->table_sector + search->table_done / BLOCK_SECTOR_BYTES;
		bytes = (uint32_t)align_up(table_here(search), BLOCK_SECTOR_BYTES);
	}
	request->segment_count = 1;
	request->segments[0] = (struct io_segment){.bytes = search->page, .len_bytes = bytes};
	__atomic_store_n(&search->pump, 0, __ATOMIC_RELEASE);
	block_submit(search->disk, request);
}

void gpt_find(struct gpt_search *search, struct block *disk, const char *name,
              void (*found)(struct gpt_search *search, enum gpt_status status))
{
	search->disk = disk;
	search->found = found;
	search->from_backup = false;
	search->in_table = false;
	search->header_sector = 1;
	if (!name_convert(search->name, name)) {
		found(search, GPT_ENAME);
		return;
	}
	search_go(search);
}
