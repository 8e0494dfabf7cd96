/*
 * gpt_test.c - the search for a partition, on disks that this test makes and then breaks.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/gpt.h"
#include "base/blob.h"
#include "tests/unit/unit.h"

#define SECTORS 512u
#define TABLE_SECTORS 32u

static uint8_t image[SECTORS * 512];
static struct block disk;
static struct gpt_search search;
static enum gpt_status last;
static uint32_t found_count;

static void put(size_t at, uint64_t value, size_t bytes)
{
	memcpy(image + at, &value, bytes); /* little endian on both */
}

struct layout {
	uint32_t entry_count, entry_bytes;
};
static struct layout layout = {128, 128};

static uint32_t table_bytes(void)
{
	return layout.entry_count * layout.entry_bytes;
}

static void header_put(uint64_t sector, uint64_t other, uint64_t table)
{
	size_t at = sector * 512;

	memset(image + at, 0, 512);
	memcpy(image + at, "EFI PART", 8);
	put(at + 8, 0x10000, 4);
	put(at + 12, 92, 4);
	put(at + 24, sector, 8);
	put(at + 32, other, 8);
	put(at + 40, 34, 8);
	put(at + 48, SECTORS - 34, 8);
	put(at + 72, table, 8);
	put(at + 80, layout.entry_count, 4);
	put(at + 84, layout.entry_bytes, 4);
	put(at + 88, blob_crc32(image + table * 512, table_bytes()), 4);
	put(at + 16, blob_crc32(image + at, 92), 4);
}

static void entry_put(uint32_t index, const char *name, uint64_t first, uint64_t end)
{
	size_t at = 1024 + index * layout.entry_bytes;

	memset(image + at, 0x11, 16);
	memset(image + at + 16, (int)(0x20 + index), 16);
	put(at + 32, first, 8);
	put(at + 40, end, 8);
	memset(image + at + 56, 0, 72);
	for (size_t i = 0; name[i] != 0; i++) {
		put(at + 56 + 2 * i, (uint8_t)name[i], 2);
	}
}

/* Headers and the backup's table, from the first one. */
static void seal(void)
{
	memmove(image + (SECTORS - 1 - TABLE_SECTORS) * 512, image + 1024, TABLE_SECTORS * 512);
	header_put(1, SECTORS - 1, 2);
	header_put(SECTORS - 1, 1, SECTORS - 1 - TABLE_SECTORS);
}

static void make(void)
{
	memset(image, 0, sizeof(image));
	layout = (struct layout){128, 128};
	entry_put(0, "boot", 40, 49);
	entry_put(1, "web", 50, 99);
	entry_put(127, "last", 100, 100);
	seal();
	block_ram_open(&disk, image, sizeof(image), true, "disk");
}

static void found(struct gpt_search *ended, enum gpt_status status)
{
	CU_ASSERT_PTR_EQUAL(ended, &search);
	last = status;
	found_count++;
}

static enum gpt_status find(const char *name)
{
	found_count = 0;
	memset(&search, 0xEE, sizeof(search));
	gpt_find(&search, &disk, name, found);
	CU_ASSERT_EQUAL(found_count, 1);
	return last;
}

static void test_found(void)
{
	make();
	CU_ASSERT_EQUAL(find("web"), GPT_OK);
	CU_ASSERT_EQUAL(search.first_sector, 50);
	CU_ASSERT_EQUAL(search.sector_count, 50);
	CU_ASSERT_EQUAL(search.id[0], 0x21);
	CU_ASSERT_FALSE(search.from_backup);
	CU_ASSERT_EQUAL(find("last"), GPT_OK);
	CU_ASSERT_EQUAL(search.sector_count, 1);
	CU_ASSERT_EQUAL(find("we"), GPT_EABSENT);
	CU_ASSERT_EQUAL(find("webb"), GPT_EABSENT);
	CU_ASSERT_EQUAL(disk.error_count, 0);
}

static void test_names(void)
{
	static const char long_name[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	size_t at;

	make();
	entry_put(2, long_name, 200, 201);
	entry_put(3, "?", 202, 202);
	at = 1024 + 3 * 128 + 56;
	put(at, 0xE9, 2);       /* e acute */
	put(at + 2, 0x20AC, 2); /* euro */
	put(at + 4, 0xD83D, 2); /* U+1F600 */
	put(at + 6, 0xDE00, 2);
	put(at + 10, 'x', 2); /* behind the NUL: not part of it */
	seal();
	CU_ASSERT_EQUAL(find(long_name), GPT_OK);
	CU_ASSERT_EQUAL(search.first_sector, 200);
	CU_ASSERT_EQUAL(find("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), GPT_OK);
	CU_ASSERT_EQUAL(search.first_sector, 202);
	CU_ASSERT_EQUAL(find(""), GPT_ENAME);
	CU_ASSERT_EQUAL(find("0123456789abcdefghijklmnopqrstuvwxyz+"), GPT_ENAME);
	CU_ASSERT_EQUAL(find("0123456789abcdefghijklmnopqrstuvwxy\xF0\x9F\x98\x80"), GPT_ENAME);
	CU_ASSERT_EQUAL(find("\x80"), GPT_ENAME);
	CU_ASSERT_EQUAL(find("\xC3"), GPT_ENAME);         /* cut short */
	CU_ASSERT_EQUAL(find("\xC0\xAF"), GPT_ENAME);     /* longer than need be */
	CU_ASSERT_EQUAL(find("\xED\xA0\x80"), GPT_ENAME); /* a surrogate */
	CU_ASSERT_EQUAL(find("\xF8\x80"), GPT_ENAME);
}

static void test_ambiguous(void)
{
	make();
	entry_put(5, "web", 300, 301);
	seal();
	CU_ASSERT_EQUAL(find("web"), GPT_EAMBIGUOUS);
	CU_ASSERT_EQUAL(find("boot"), GPT_OK);
}

static void test_entries_out_of_bounds(void)
{
	make();
	entry_put(6, "low", 10, 60);
	entry_put(7, "high", 400, SECTORS - 1);
	entry_put(8, "turned", 300, 299);
	entry_put(9, "unused", 300, 300);
	memset(image + 1024 + 9 * 128, 0, 16);
	seal();
	CU_ASSERT_EQUAL(find("low"), GPT_EABSENT);
	CU_ASSERT_EQUAL(find("high"), GPT_EABSENT);
	CU_ASSERT_EQUAL(find("turned"), GPT_EABSENT);
	CU_ASSERT_EQUAL(find("unused"), GPT_EABSENT);
}

static void test_backup(void)
{
	make();
	image[512 + 40] ^= 1; /* the first header's checksum is wrong */
	CU_ASSERT_EQUAL(find("web"), GPT_OK);
	CU_ASSERT_TRUE(search.from_backup);
	make();
	image[1024 + 5 * 128] ^= 1; /* its table's is */
	CU_ASSERT_EQUAL(find("web"), GPT_OK);
	CU_ASSERT_TRUE(search.from_backup);
	image[(SECTORS - 1) * 512] = 'X';
	CU_ASSERT_EQUAL(find("web"), GPT_ENONE);
	make();
	image[1024] ^= 1;
	image[(SECTORS - 2) * 512] ^= 1; /* both tables */
	CU_ASSERT_EQUAL(find("web"), GPT_ENONE);
}

/* Every field of the header that is wrong under a right checksum. */
static void test_bad_headers(void)
{
	static const struct {
		uint32_t at, bytes;
		uint64_t value;
	} wrong[] = {
		{8, 4, 0x20000},         /* revision */
		{12, 4, 91},             /* its length */
		{12, 4, 513},            {24, 8, 2},
		{40, 8, SECTORS},        /* first usable above last */
		{48, 8, SECTORS},        /* last usable past the end */
		{72, 8, SECTORS - 31},   /* table past the end */
		{72, 8, UINT64_MAX},     {80, 4, 0},
		{80, 4, 0xFFFFFFFF},     {80, 4, 1025},
		{84, 4, 64},             {84, 4, 0},
		{84, 4, 192},            {84, 4, 8192},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint32_t len;

		make();
		memset(image + (SECTORS - 1) * 512, 0, 512);
		put(512 + wrong[i].at, wrong[i].value, wrong[i].bytes);
		memcpy(&len, image + 512 + 12, 4);
		put(512 + 16, 0, 4);
		put(512 + 16, blob_crc32(image + 512, len <= 512 ? len : 92), 4);
		CU_ASSERT_EQUAL(find("web"), GPT_ENONE);
	}
}

static void test_other_layouts(void)
{
	make();
	memset(image + 1024, 0, TABLE_SECTORS * 512);
	layout = (struct layout){5, 256}; /* not a whole sector at the end */
	entry_put(4, "four", 60, 61);
	seal();
	CU_ASSERT_EQUAL(find("four"), GPT_OK);
	CU_ASSERT_EQUAL(search.first_sector, 60);
	memset(image + 1024, 0, TABLE_SECTORS * 512);
	layout = (struct layout){4, 4096};
	entry_put(3, "three", 70, 71);
	seal();
	CU_ASSERT_EQUAL(find("three"), GPT_OK);
}

static void test_small_disks(void)
{
	for (uint64_t sectors = 0; sectors < 4; sectors++) {
		make();
		block_ram_open(&disk, image, sectors * 512, true, "disk");
		CU_ASSERT_NOT_EQUAL(find("web"), GPT_OK);
	}
}

/*
 * ------------------------------------------------------------------ a disk that answers later, or
 * fails
 */

static struct block_request *held;
static uint32_t fail_at, read_count;

static void later_submit(void *medium, struct block_request *request)
{
	(void)medium;
	held = request;
}

static void answer(void)
{
	struct block_request *request = held;

	held = NULL;
	read_count++;
	if (read_count == fail_at) {
		block_done(request, BLOCK_EIO);
		return;
	}
	memcpy(request->segments[0].bytes, image + request->sector * 512,
	       request->segments[0].len_bytes);
	block_done(request, BLOCK_OK);
}

static enum gpt_status find_later(const char *name, uint32_t failing)
{
	static const struct block_medium_ops ops = {.submit = later_submit};

	block_open(&disk, &ops, NULL, SECTORS, true, "later");
	found_count = 0;
	fail_at = failing;
	read_count = 0;
	gpt_find(&search, &disk, name, found);
	while (held != NULL) {
		CU_ASSERT_EQUAL(found_count, 0);
		answer();
	}
	CU_ASSERT_EQUAL(found_count, 1);
	return last;
}

static void test_asynchronous(void)
{
	make();
	CU_ASSERT_EQUAL(find_later("web", 0), GPT_OK);
	CU_ASSERT_EQUAL(read_count, 5); /* a header and four pages */
	CU_ASSERT_EQUAL(find_later("web", 1), GPT_OK);
	CU_ASSERT_TRUE(search.from_backup);
	CU_ASSERT_EQUAL(find_later("web", 3), GPT_OK);
	CU_ASSERT_TRUE(search.from_backup);
	image[512] = 0;
	CU_ASSERT_EQUAL(find_later("web", 2), GPT_EIO); /* the backup's header */
	CU_ASSERT_EQUAL(find_later("web", 6), GPT_EIO); /* its table's end */
}

/* No image, however broken, breaks the search or leads out of the disk. */
static void test_random_damage(void)
{
	srand(1);
	for (int round = 0; round < 500; round++) {
		make();
		for (int i = 0; i < 4; i++) {
			image[512 + rand() % 1536] = (uint8_t)rand();
		}
		if (round % 2 == 0) {
			put(512 + 16, 0, 4);
			put(512 + 16, blob_crc32(image + 512, 92), 4);
		}
		if (find("web") == GPT_OK) {
			CU_ASSERT_TRUE(search.first_sector + search.sector_count <= SECTORS);
		}
	}
	CU_ASSERT_EQUAL(disk.error_count, 0);
}

UNIT_MAIN("gpt", UNIT_TEST(test_found), UNIT_TEST(test_names), UNIT_TEST(test_ambiguous),
	  UNIT_TEST(test_entries_out_of_bounds), UNIT_TEST(test_backup),
	  UNIT_TEST(test_bad_headers), UNIT_TEST(test_other_layouts), UNIT_TEST(test_small_disks),
	  UNIT_TEST(test_asynchronous), UNIT_TEST(test_random_damage))
