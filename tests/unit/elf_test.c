/*
 * elf_test.c - kernel files of guests: ELF of both classes, the PVH note, Multiboot headers, and every way in which each can
 * be wrong. A file lies in memory of exactly its length, so that the sanitizer sees a read past its end.
 */
#include "tests/unit/unit.h"

#include "base/compiler.h"
#include "hypervisor/core/elf.h"
#include "hypervisor/core/multiboot.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BYTES 9000u
#define LOAD_AT 0x100000u
#define MACHINE_AT 18u
#define SEGMENT_OFFSET 0x1000u
#define SEGMENT_BYTES 0x800u
#define SEGMENT_MEMORY 0x3000u
#define NOTE_OFFSET 0x200u
#define HEADER_AT 0x1000u /* in the segment, at its start */

static uint8_t file[FILE_BYTES];
static uint32_t file_bytes;
static bool is_64;
static struct elf_image image;

static void put16(uint32_t at, uint16_t value)
{
	memcpy(file + at, &value, sizeof(value));
}

static void put32(uint32_t at, uint32_t value)
{
	memcpy(file + at, &value, sizeof(value));
}

/* A word of the class. */
static void put_word(uint32_t at, uint64_t value)
{
	memcpy(file + at, &value, is_64 ? 8 : 4);
}

static uint32_t phdr_at(uint32_t index)
{
	return is_64 ? 64 + index * 56 : 52 + index * 32;
}

enum field { OFFSET, VADDR, PADDR, FILESZ, MEMSZ };

static uint32_t field_at(uint32_t index, enum field field)
{
	return phdr_at(index) + (is_64 ? 8 + 8 * (uint32_t)field : 4 + 4 * (uint32_t)field);
}

static void set_phdr(uint32_t index, uint32_t type, const uint64_t fields[5])
{
	put32(phdr_at(index), type);
	for (uint32_t i = 0; i < 5; i++) {
		put_word(field_at(index, (enum field)i), fields[i]);
	}
}

static void set_note(uint32_t desc_bytes, uint64_t entry)
{
	put32(NOTE_OFFSET, 4);
	put32(NOTE_OFFSET + 4, desc_bytes);
	put32(NOTE_OFFSET + 8, 18);
	memcpy(file + NOTE_OFFSET + 12, "Xen", 4);
	memcpy(file + NOTE_OFFSET + 16, &entry, desc_bytes < 8 ? 4 : 8);
	put_word(field_at(1, FILESZ), 16 + desc_bytes);
}

/* One segment, linked 0x40000000 above where it is loaded, and the note. */
static void make_elf(bool wide, uint16_t machine)
{
	const uint64_t load[5] = {SEGMENT_OFFSET, LOAD_AT + 0x40000000u, LOAD_AT, SEGMENT_BYTES, SEGMENT_MEMORY};
	const uint64_t note[5] = {NOTE_OFFSET, 0, 0, 0, 0};

	memset(file, 0, sizeof(file));
	file_bytes = sizeof(file);
	is_64 = wide;
	memcpy(file, "\x7f" "ELF", 4);
	file[4] = wide ? 2 : 1;
	file[5] = 1;
	file[6] = 1;
	put16(MACHINE_AT, machine);
	put_word(24, LOAD_AT + 0x40000000u + 0x10);
	put_word(wide ? 32 : 28, phdr_at(0));
	put16(wide ? 54 : 42, wide ? 56 : 32);
	put16(wide ? 56 : 44, 2);
	set_phdr(0, 1, load);
	set_phdr(1, 4, note);
	set_note(wide ? 8 : 4, LOAD_AT + 0x20);
}

typedef enum elf_status (*reader)(const void *bytes, uint64_t count, struct elf_image *out);

static enum elf_status read_by(reader read)
{
	uint8_t *exact = malloc(file_bytes + 1u);
	enum elf_status status;

	memcpy(exact, file, file_bytes);
	status = read(exact, file_bytes, &image);
	free(exact);
	return status;
}

static enum elf_status read_pvh(void)
{
	return read_by(elf_read_pvh);
}

static void test_each_class(void)
{
	static const struct {
		bool wide;
		uint16_t machine;
		enum elf_status status;
	} rows[] = {
	        {true, 62, ELF_OK},  {false, 62, ELF_OK},            {false, 3, ELF_OK},
	        {true, 3, ELF_OTHER_MACHINE}, {true, 183, ELF_OTHER_MACHINE}, {false, 40, ELF_OTHER_MACHINE},
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		make_elf(rows[i].wide, rows[i].machine);
		CU_ASSERT_EQUAL(read_pvh(), rows[i].status);
		if (rows[i].status == ELF_OK) {
			CU_ASSERT_EQUAL(image.entry, LOAD_AT + 0x20);
			CU_ASSERT_EQUAL(image.end, LOAD_AT + SEGMENT_MEMORY);
			CU_ASSERT_EQUAL(image.start, LOAD_AT + 0x10);
			CU_ASSERT_EQUAL(image.segment_count, 1);
			CU_ASSERT_EQUAL(image.segments[0].offset, SEGMENT_OFFSET);
			CU_ASSERT_EQUAL(image.segments[0].file_bytes, SEGMENT_BYTES);
			CU_ASSERT_EQUAL(image.segments[0].paddr, LOAD_AT);
			CU_ASSERT_EQUAL(image.segments[0].memory_bytes, SEGMENT_MEMORY);
		}
	}
}

static void test_no_elf(void)
{
	make_elf(false, 3);
	file[1] = 'e';
	CU_ASSERT_EQUAL(read_pvh(), ELF_NO_ELF);
	for (uint8_t bad = 0; bad < 4; bad++) {
		make_elf(false, 3);
		file[4] = bad; /* class */
		CU_ASSERT_EQUAL(read_pvh() == ELF_OK, bad == 1);
		make_elf(true, 62);
		file[5] = bad; /* byte order */
		CU_ASSERT_EQUAL(read_pvh(), bad == 1 ? ELF_OK : ELF_OTHER_MACHINE);
	}
	file_bytes = 0;
	CU_ASSERT_EQUAL(read_pvh(), ELF_NO_ELF);
}

/* Cut anywhere: never read past, never taken before all that is loaded is there. */
static void test_cut(void)
{
	for (int wide = 0; wide < 2; wide++) {
		make_elf(wide != 0, 62);
		for (uint32_t bytes = 7; bytes < SEGMENT_OFFSET + SEGMENT_BYTES; bytes++) {
			file_bytes = bytes;
			if (read_pvh() != ELF_CUT) {
				CU_FAIL("a cut file is taken");
			}
		}
		file_bytes = SEGMENT_OFFSET + SEGMENT_BYTES;
		CU_ASSERT_EQUAL(read_pvh(), ELF_OK);
	}
}

static void test_segments(void)
{
	static const struct {
		enum field field;
		uint64_t value;
		enum elf_status status;
	} rows[] = {
	        {MEMSZ, SEGMENT_BYTES - 1, ELF_BAD_SEGMENT},  {FILESZ, 0, ELF_OK},
	        {FILESZ, 0xffffffff, ELF_CUT},                 {OFFSET, 0xffffffff, ELF_CUT},
	        {OFFSET, FILE_BYTES - SEGMENT_BYTES, ELF_OK},  {OFFSET, FILE_BYTES - SEGMENT_BYTES + 1, ELF_CUT},
	        {PADDR, 0xffffffff, ELF_BAD_SEGMENT},          {MEMSZ, 0xffffffff, ELF_BAD_SEGMENT},
	        {MEMSZ, 0xfff00000, ELF_OK},                   {MEMSZ, 0xfff00001, ELF_BAD_SEGMENT},
	        {MEMSZ, 0, ELF_BAD_ENTRY},                     {PADDR, 0x200000, ELF_BAD_ENTRY},
	};
	static const uint64_t wide_values[] = {UINT64_MAX, UINT64_MAX - 0xfff, 1ull << 63, 1ull << 32};

	for (size_t i = 0; i < 2 * ARRAY_COUNT(rows); i++) {
		make_elf(i % 2 != 0, 62);
		put_word(field_at(0, rows[i / 2].field), rows[i / 2].value);
		CU_ASSERT_EQUAL(read_pvh(), rows[i / 2].status);
	}
	for (size_t i = 0; i < 5 * ARRAY_COUNT(wide_values); i++) {
		make_elf(true, 62);
		put_word(field_at(0, (enum field)(i % 5)), wide_values[i / 5]);
		CU_ASSERT_EQUAL(read_pvh() == ELF_OK, i % 5 == VADDR);
	}
}

static void test_segment_count(void)
{
	for (uint32_t count = ELF_SEGMENTS_MAX; count <= ELF_SEGMENTS_MAX + 1; count++) {
		make_elf(false, 3);
		put16(44, (uint16_t)(count + 1));
		for (uint32_t i = 1; i <= count; i++) {
			memcpy(file + 0x400 + i * 32, file + phdr_at(0), 32);
		}
		memcpy(file + 0x400, file + phdr_at(1), 32);
		put32(28, 0x400);
		CU_ASSERT_EQUAL(read_pvh(), count == ELF_SEGMENTS_MAX ? ELF_OK : ELF_TOO_MANY);
	}
}

static void test_program_headers(void)
{
	for (int wide = 0; wide < 2; wide++) {
		make_elf(wide != 0, 62);
		put16(wide != 0 ? 54 : 42, 40);
		CU_ASSERT_EQUAL(read_pvh(), ELF_CUT);
		make_elf(wide != 0, 62);
		put16(wide != 0 ? 56 : 44, 0xffff);
		CU_ASSERT_EQUAL(read_pvh(), ELF_CUT);
		make_elf(wide != 0, 62);
		put_word(wide != 0 ? 32 : 28, wide != 0 ? UINT64_MAX - 63 : 0xfffffff0u);
		CU_ASSERT_EQUAL(read_pvh(), ELF_CUT);
		make_elf(wide != 0, 62);
		put16(wide != 0 ? 56 : 44, 0);
		CU_ASSERT_EQUAL(read_pvh(), ELF_NO_NOTE);
	}
}

/* Both forms of the note in both classes. */
static void test_notes(void)
{
	for (int i = 0; i < 4; i++) {
		make_elf(i % 2 != 0, 62);
		set_note(i / 2 != 0 ? 8 : 4, LOAD_AT + 0x30);
		CU_ASSERT_EQUAL(read_pvh(), ELF_OK);
		CU_ASSERT_EQUAL(image.entry, LOAD_AT + 0x30);
		set_note(i / 2 != 0 ? 8 : 4, LOAD_AT + SEGMENT_MEMORY);
		CU_ASSERT_EQUAL(read_pvh(), ELF_BAD_ENTRY);
		set_note(i / 2 != 0 ? 8 : 4, LOAD_AT - 1);
		CU_ASSERT_EQUAL(read_pvh(), ELF_BAD_ENTRY);
	}
	make_elf(false, 3);
	set_note(8, (1ull << 32) + LOAD_AT); /* its high half counts */
	CU_ASSERT_EQUAL(read_pvh(), ELF_BAD_ENTRY);
}

static void test_other_notes(void)
{
	static const struct {
		uint32_t at, value;
	} rows[] = {
	        {NOTE_OFFSET, 0xffffffff},     {NOTE_OFFSET, 5},     {NOTE_OFFSET + 4, 0xffffffff},
	        {NOTE_OFFSET + 4, 9},          {NOTE_OFFSET + 4, 3}, {NOTE_OFFSET + 8, 17},
	        {NOTE_OFFSET + 12, 0x00656e58}, {NOTE_OFFSET + 4, 0},
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		make_elf(false, 3);
		put32(rows[i].at, rows[i].value);
		CU_ASSERT_EQUAL(read_pvh(), ELF_NO_NOTE);
	}
	/* Another note before it is stepped over; of two entries the first counts. */
	make_elf(false, 3);
	put32(NOTE_OFFSET + 8, 5);
	memcpy(file + NOTE_OFFSET + 20, file + NOTE_OFFSET, 20);
	put32(NOTE_OFFSET + 28, 18);
	memcpy(file + NOTE_OFFSET + 40, file + NOTE_OFFSET + 20, 20);
	put32(NOTE_OFFSET + 56, LOAD_AT + 0x50);
	put_word(field_at(1, FILESZ), 60);
	CU_ASSERT_EQUAL(read_pvh(), ELF_OK);
	CU_ASSERT_EQUAL(image.entry, LOAD_AT + 0x20);
}

/* ------------------------------------------------------------------ Multiboot */

static void put_header(uint32_t at, uint32_t flags)
{
	put32(at, 0x1BADB002u);
	put32(at + 4, flags);
	put32(at + 8, -(0x1BADB002u + flags));
}

static enum elf_status read_multiboot(void)
{
	return read_by(multiboot_read);
}

static void test_multiboot_elf(void)
{
	static const bool wide[] = {false, true, false};
	static const uint16_t machine[] = {3, 62, 62};

	for (size_t i = 0; i < ARRAY_COUNT(wide); i++) {
		make_elf(wide[i], machine[i]);
		CU_ASSERT_EQUAL(read_multiboot(), ELF_NO_MULTIBOOT);
		put_header(HEADER_AT, 3);
		CU_ASSERT_EQUAL(read_multiboot(), ELF_OK);
		CU_ASSERT_EQUAL(image.entry, LOAD_AT + 0x10); /* linked elsewhere than loaded */
		CU_ASSERT_EQUAL(image.segment_count, 1);
		put_word(24, LOAD_AT + 0x18); /* some give a physical address */
		CU_ASSERT_EQUAL(read_multiboot(), ELF_OK);
		CU_ASSERT_EQUAL(image.entry, LOAD_AT + 0x18);
		put_word(24, 0);
		CU_ASSERT_EQUAL(read_multiboot(), ELF_BAD_ENTRY);
	}
	make_elf(false, 40);
	put_header(HEADER_AT, 0);
	CU_ASSERT_EQUAL(read_multiboot(), ELF_OTHER_MACHINE);
	file[0] = 0;
	CU_ASSERT_EQUAL(read_multiboot(), ELF_NO_ELF);
}

static void test_multiboot_place(void)
{
	static const struct {
		uint32_t at;
		enum elf_status status;
	} rows[] = {{8192 - 12, ELF_OK},          {8192 - 8, ELF_NO_MULTIBOOT}, {8192, ELF_NO_MULTIBOOT},
	            {HEADER_AT + 2, ELF_NO_MULTIBOOT}, {HEADER_AT + 4, ELF_OK}};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		make_elf(false, 3);
		put_header(rows[i].at, 0);
		CU_ASSERT_EQUAL(read_multiboot(), rows[i].status);
	}
	make_elf(false, 3);
	put_header(HEADER_AT, 0);
	put32(HEADER_AT + 8, 0); /* checksum */
	CU_ASSERT_EQUAL(read_multiboot(), ELF_NO_MULTIBOOT);
	put_header(HEADER_AT + 64, 0); /* the search goes on */
	CU_ASSERT_EQUAL(read_multiboot(), ELF_OK);
}

static void test_multiboot_wishes(void)
{
	for (uint32_t bit = 0; bit < 32; bit++) {
		make_elf(false, 3);
		put_header(HEADER_AT, 1u << bit);
		if (bit != 16) { /* what must be understood is in the lower half */
			CU_ASSERT_EQUAL(read_multiboot(), bit < 2 || bit > 15 ? ELF_OK : ELF_UNKNOWN_WISH);
		}
	}
}

/* Flag 16: header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr. */
static void put_addresses(uint32_t at, const uint32_t addresses[5])
{
	put_header(at, 1u << 16);
	for (uint32_t i = 0; i < 5; i++) {
		put32(at + 12 + 4 * i, addresses[i]);
	}
}

static void test_multiboot_addresses(void)
{
	static const uint32_t right[5] = {0x100010, 0x100000, 0x100800, 0x101000, 0x100400};
	static const struct {
		uint32_t index, value;
		enum elf_status status;
	} rows[] = {
	        {0, 0x0fffff, ELF_BAD_ADDRESSES},  {0, 0x100200, ELF_OK}, /* load from the file's first byte */
	        {0, 0x100201, ELF_BAD_ADDRESSES},  {1, 0x0ffe10, ELF_OK},
	        {1, 0x0ffe0f, ELF_BAD_ADDRESSES},  {1, 0x100011, ELF_BAD_ADDRESSES},
	        {2, 0x0fffff, ELF_BAD_ADDRESSES},  {2, 0x100000, ELF_BAD_ADDRESSES},
	        {2, 0xffffffff, ELF_BAD_ADDRESSES}, {3, 0x1007ff, ELF_BAD_ADDRESSES},
	        {3, 0x100800, ELF_OK},             {3, 0xffffffff, ELF_OK},
	        {4, 0x100fff, ELF_OK},             {4, 0x101000, ELF_BAD_ENTRY},
	        {4, 0, ELF_BAD_ENTRY},
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t addresses[5];

		memcpy(addresses, right, sizeof(addresses));
		addresses[rows[i].index] = rows[i].value;
		memset(file, 0, sizeof(file));
		file_bytes = sizeof(file);
		put_addresses(0x200, addresses);
		CU_ASSERT_EQUAL(read_multiboot(), rows[i].status);
	}
}

static void test_multiboot_flat(void)
{
	static const uint32_t whole[5] = {0x100010, 0x100000, 0, 0, 0x100020};
	static const uint32_t high[5] = {0xfffff010, 0xfffff000, 0, 0, 0xfffff020};

	memset(file, 0, sizeof(file));
	file_bytes = 0x900;
	put_addresses(0x10, whole);
	CU_ASSERT_EQUAL(read_multiboot(), ELF_OK);
	CU_ASSERT_EQUAL(image.segments[0].offset, 0);
	CU_ASSERT_EQUAL(image.segments[0].file_bytes, 0x900);
	CU_ASSERT_EQUAL(image.segments[0].memory_bytes, 0x900);
	CU_ASSERT_EQUAL(image.end, 0x100900);
	CU_ASSERT_EQUAL(image.entry, 0x100020);
	put_addresses(0x10, high);
	file_bytes = 0x1001;
	CU_ASSERT_EQUAL(read_multiboot(), ELF_BAD_ADDRESSES);
	file_bytes = 0x1000;
	CU_ASSERT_EQUAL(read_multiboot(), ELF_OK);
	/* Its last field is not in the file, or not in the first 8 KiB. */
	file_bytes = 0x10 + 31;
	CU_ASSERT_EQUAL(read_multiboot(), ELF_NO_MULTIBOOT);
	memset(file, 0, sizeof(file));
	file_bytes = sizeof(file);
	put_addresses(8192 - 28, whole);
	CU_ASSERT_EQUAL(read_multiboot(), ELF_NO_MULTIBOOT);
}

/* No byte of a header, whatever it says, leads outside the file or makes a segment that lies. */
static void check_image(void)
{
	CU_ASSERT(image.segment_count >= 1 && image.segment_count <= ELF_SEGMENTS_MAX);
	CU_ASSERT(elf_holds(&image, image.entry));
	for (uint32_t i = 0; i < image.segment_count; i++) {
		const struct elf_segment *s = &image.segments[i];

		if (s->offset > file_bytes || s->file_bytes > file_bytes - s->offset ||
		    s->file_bytes > s->memory_bytes || s->paddr + s->memory_bytes > 1ull << 32) {
			CU_FAIL("a segment lies");
		}
	}
}

static void test_altered_bytes(void)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	static const uint32_t whole[5] = {0x100010, 0x100000, 0x100800, 0x101000, 0x100400};

	for (uint32_t at = 0; at < 0x300; at++) {
		for (size_t i = 0; i < 3 * ARRAY_COUNT(values); i++) {
			make_elf(i % 3 != 0, 62);
			if (i % 3 == 2) {
				put_addresses(0x280, whole);
			} else {
				put_header(0x280, 0);
			}
			file[at] = values[i / 3];
			if (read_pvh() == ELF_OK) {
				check_image();
			}
			if (read_multiboot() == ELF_OK) {
				check_image();
			}
		}
	}
}

static void test_texts(void)
{
	for (int i = ELF_OK; i <= ELF_BAD_ADDRESSES; i++) {
		CU_ASSERT(strlen(elf_status_text((enum elf_status)i)) > 5);
	}
}

UNIT_MAIN("elf", UNIT_TEST(test_each_class), UNIT_TEST(test_no_elf), UNIT_TEST(test_cut), UNIT_TEST(test_segments),
	  UNIT_TEST(test_segment_count), UNIT_TEST(test_program_headers), UNIT_TEST(test_notes), UNIT_TEST(test_other_notes),
	  UNIT_TEST(test_multiboot_elf), UNIT_TEST(test_multiboot_place), UNIT_TEST(test_multiboot_wishes),
	  UNIT_TEST(test_multiboot_addresses), UNIT_TEST(test_multiboot_flat), UNIT_TEST(test_altered_bytes),
	  UNIT_TEST(test_texts))
