/*
 * kernel_fuzz.c - libFuzzer: the kernel file of a guest, as an ELF with the PVH note and as a Multiboot kernel.
 *
 * A right file of one of four shapes, at whose headers the input changes words; it lies in memory of exactly its length. What
 * is taken must be what core may copy: inside the file, inside 4 GiB, and it starts inside what is loaded.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "hypervisor/core/elf.h"
#include "hypervisor/core/multiboot.h"
#include "tests/fuzz/fuzz_input.h"

#define FILE_BYTES 2048u
#define NOTE_AT 0x180u
#define HEADER_AT 0x1c0u
#define HEADERS_END 0x1e0u
#define LOAD_AT 0x100000u

static uint8_t build[FILE_BYTES];

static void put(uint32_t at, uint64_t value, size_t bytes)
{
	memcpy(build + at, &value, bytes);
}

static void put_phdr(uint32_t at, bool wide, uint32_t type, const uint64_t fields[5])
{
	uint32_t bytes = wide ? 8 : 4;

	put(at, type, 4);
	for (uint32_t i = 0; i < 5; i++) {
		put(at + bytes * (i + 1), fields[i], bytes);
	}
}

static void make_elf(bool wide)
{
	static const uint64_t load[5] = {0, LOAD_AT, LOAD_AT, FILE_BYTES / 2, 0x3000};
	static const uint64_t note[5] = {NOTE_AT, 0, 0, 20, 20};
	uint32_t first = wide ? 64 : 52, each = wide ? 56 : 32;

	memcpy(build, "\x7f" "ELF", 4);
	put(4, wide ? 0x010102 : 0x010101, 3);
	put(18, wide ? 62 : 3, 2);
	put(24, LOAD_AT + 0x10, wide ? 8 : 4);
	put(wide ? 32 : 28, first, wide ? 8 : 4);
	put(wide ? 54 : 42, each, 2);
	put(wide ? 56 : 44, 3, 2);
	put_phdr(first, wide, 1, load);
	put_phdr(first + each, wide, 4, note);
	put(NOTE_AT, 4, 4);
	put(NOTE_AT + 4, 4, 4);
	put(NOTE_AT + 8, 18, 4);
	memcpy(build + NOTE_AT + 12, "Xen", 4);
	put(NOTE_AT + 16, LOAD_AT + 0x20, 4);
}

/* The checksum is right, whatever the flags are. */
static void put_header(uint32_t flags)
{
	static const uint32_t fields[5] = {LOAD_AT + HEADER_AT, LOAD_AT, LOAD_AT + 0x400, LOAD_AT + 0x1000, LOAD_AT + 0x40};

	put(HEADER_AT, 0x1BADB002u, 4);
	put(HEADER_AT + 4, flags, 4);
	put(HEADER_AT + 8, (uint32_t) - (0x1BADB002u + flags), 4);
	memcpy(build + HEADER_AT + 12, fields, sizeof(fields));
}

static void change(struct input *in)
{
	static const uint32_t some[] = {0, 1, 2, 4, 16, 17, FILE_BYTES, FILE_BYTES + 1, UINT32_MAX, 1u << 31, LOAD_AT - 1,
	                                0xfffffffc};
	uint32_t at = (uint32_t)take_number(in, 2) % HEADERS_END;
	uint32_t raw = take8(in), bytes = 1u << take_below(in, 4);

	put(at, raw < 200 ? some[raw % ARRAY_COUNT(some)] : take_number(in, 4), bytes);
}

static void check(const struct elf_image *image, size_t bytes)
{
	require(image->segment_count >= 1 && image->segment_count <= ELF_SEGMENTS_MAX, "segments have a place");
	require(elf_holds(image, image->entry), "it starts in a segment");
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];

		require(s->offset <= bytes && s->file_bytes <= bytes - s->offset, "a segment is in the file");
		require(s->file_bytes <= s->memory_bytes && s->memory_bytes <= 1ull << 32, "and not larger than its memory");
		require(s->paddr <= (1ull << 32) - s->memory_bytes, "which is below 4 GiB");
		require(s->paddr + s->memory_bytes <= image->end, "and ends before the end");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint32_t shape = take8(&in);
	struct elf_image image;
	size_t bytes = FILE_BYTES;
	uint8_t *file;

	memset(build, 0, sizeof(build));
	make_elf(shape % 2 != 0);
	put_header(shape % 4 >= 2 ? 1u << 16 : 3);
	while (in.left != 0) {
		if (take_below(&in, 16) == 0) {
			bytes = take_number(&in, 2) % (FILE_BYTES + 1);
		} else {
			change(&in);
		}
	}
	file = malloc(bytes != 0 ? bytes : 1);
	require(file != NULL, "memory");
	memcpy(file, build, bytes);
	if (elf_read_pvh(file, bytes, &image) == ELF_OK) {
		check(&image, bytes);
	} else {
		require(size > 1, "a right ELF is taken");
	}
	if (multiboot_read(file, bytes, &image) == ELF_OK) {
		check(&image, bytes);
	} else {
		require(size > 1, "a right Multiboot kernel is taken");
	}
	free(file);
	return 0;
}
