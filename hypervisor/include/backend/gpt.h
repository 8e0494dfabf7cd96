/*
 * gpt.h - finds a partition of a disk by its name (UEFI specification 2.10, 5.3: GUID Partition
 * Table).
 *
 * Asynchronous and bounded: at most two headers and two tables of GPT_TABLE_BYTES_MAX are read, a
 * page at a time. A guest may have written the disk: nothing in it is believed without its
 * checksum, nor with it beyond the disk's end.
 */
#ifndef BACKEND_GPT_H
#define BACKEND_GPT_H

#include "backend/block.h"

#define GPT_NAME_UNITS 36u /* UTF-16 code units of a name */
#define GPT_TABLE_BYTES_MAX 131072u

enum gpt_status {
	GPT_OK,
	GPT_EIO, /* the disk failed */
	GPT_ENONE, /* no valid table: neither the first nor the backup */
	GPT_EABSENT, /* no partition of that name */
	GPT_EAMBIGUOUS, /* more than one of that name: none is taken */
	GPT_ENAME, /* the name asked for is empty, too long or no UTF-8 */
};

/*
 * One search. Its owner keeps it in place until found is called; 4 KiB aligned, because a segment
 * crosses no page.
 */
struct gpt_search {
	uint8_t page[4096] __attribute__((aligned(4096)));
	struct block *disk;
	/* Called once, with no lock held: in gpt_find() or later in any context. */
	void (*found)(struct gpt_search *search, enum gpt_status status);
	/* The partition; valid with GPT_OK. In sectors of @disk. */
	uint64_t first_sector;
	uint64_t sector_count;
	uint8_t id[16]; /* its unique GUID */
	bool from_backup;

	/* its own from here */
	uint16_t name[GPT_NAME_UNITS];
	struct block_request request;
	uint32_t pump; /* atomic: see gpt.c */
	enum block_status read_status;
	bool in_table;
	uint64_t header_sector;
	uint64_t table_sector, first_usable, last_usable;
	uint32_t table_bytes, table_done, entry_bytes, table_crc, crc;
	uint32_t match_count;
};

/* Looks for the partition @name (UTF-8) of @disk, of 512-byte sectors. The caller holds no lock. */
void gpt_find(struct gpt_search *search, struct block *disk, const char *name,
              void (*found)(struct gpt_search *search, enum gpt_status status));

#endif /* BACKEND_GPT_H */
