/*
 * multiboot.c - see multiboot.h. Sections 3.1 (the header) and 3.1.3 (its address fields).
 */
#include "hypervisor/core/multiboot.h"

#include "base/bits.h"
#include "base/mem.h"

#define MULTIBOOT_HEADER_MAGIC 0x1BADB002u
#define MULTIBOOT_SEARCH 8192u
#define MULTIBOOT_PAGE_ALIGN BIT(0) /* modules are always on pages */
#define MULTIBOOT_MEMORY_INFO BIT(1) /* always given */
#define MULTIBOOT_AOUT_KLUDGE BIT(16)
#define MUST_UNDERSTAND 0xffffu
#define ADDRESS_MAX 0x100000000ull

struct PACKED multiboot_header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	/* With MULTIBOOT_AOUT_KLUDGE: */
	uint32_t header_addr;
	uint32_t load_addr;
	uint32_t load_end_addr; /* 0: to the end of the file */
	uint32_t bss_end_addr; /* 0: no bss */
	uint32_t entry_addr;
};
_Static_assert(sizeof(struct multiboot_header) == 32, "multiboot_header");
#define FIRST_PART 12u

/* Gives the header's place in the file, which is below @bytes, and the header; UINT64_MAX if there is none. */
static uint64_t find_header(const uint8_t *file, uint64_t bytes, struct multiboot_header *out)
{
	uint64_t limit = bytes < MULTIBOOT_SEARCH ? bytes : MULTIBOOT_SEARCH;

	for (uint64_t at = 0; at + FIRST_PART <= limit; at += 4) {
		memset(out, 0, sizeof(*out));
		memcpy(out, file + at, FIRST_PART);
		if (out->magic != MULTIBOOT_HEADER_MAGIC || out->magic + out->flags + out->checksum != 0) {
			continue;
		}
		if ((out->flags & MULTIBOOT_AOUT_KLUDGE) == 0) {
			return at;
		}
		if (at + sizeof(*out) <= limit) {
			memcpy(out, file + at, sizeof(*out));
			return at;
		}
	}
	return UINT64_MAX;
}

/* One segment, by the header's own addresses. @at: the header's place in the file. */
static enum elf_status read_addresses(const struct multiboot_header *header, uint64_t at, uint64_t bytes,
                                      struct elf_image *out)
{
	uint64_t before = (uint64_t)header->header_addr - header->load_addr;
	struct elf_segment s = {.vaddr = header->load_addr, .paddr = header->load_addr};

	memset(out, 0, sizeof(*out));
	if (header->header_addr < header->load_addr || before > at) {
		return ELF_BAD_ADDRESSES;
	}
	s.offset = at - before;
	s.file_bytes = bytes - s.offset;
	if (header->load_end_addr != 0) {
		if (header->load_end_addr <= header->load_addr ||
		    header->load_end_addr - header->load_addr > s.file_bytes) {
			return ELF_BAD_ADDRESSES;
		}
		s.file_bytes = header->load_end_addr - header->load_addr;
	}
	s.memory_bytes = s.file_bytes;
	if (header->bss_end_addr != 0) {
		if (header->bss_end_addr < s.paddr + s.file_bytes) {
			return ELF_BAD_ADDRESSES;
		}
		s.memory_bytes = header->bss_end_addr - s.paddr;
	}
	if (!range_fits(s.paddr, s.memory_bytes, ADDRESS_MAX)) {
		return ELF_BAD_ADDRESSES;
	}
	out->segments[0] = s;
	out->segment_count = 1;
	out->start = header->entry_addr;
	out->end = s.paddr + s.memory_bytes;
	return ELF_OK;
}

enum elf_status multiboot_read(const void *file, uint64_t bytes, struct elf_image *out)
{
	struct multiboot_header header;
	uint64_t at = find_header(file, bytes, &header);
	enum elf_status status;

	memset(out, 0, sizeof(*out));
	if (at == UINT64_MAX) {
		return ELF_NO_MULTIBOOT;
	}
	if ((header.flags & MUST_UNDERSTAND & ~(MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO)) != 0) {
		return ELF_UNKNOWN_WISH;
	}
	status = (header.flags & MULTIBOOT_AOUT_KLUDGE) != 0 ? read_addresses(&header, at, bytes, out)
	                                                     : elf_read(file, bytes, out);
	if (status == ELF_OK && !elf_holds(out, out->start)) {
		return ELF_BAD_ENTRY;
	}
	out->entry = (uint32_t)out->start;
	return status;
}
