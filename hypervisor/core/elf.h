/*
 * elf.h - reads the kernel file of a guest: ELF of either class, with Xen's PVH note or a Multiboot header. Pure: no memory
 * of ours, all bounds checked.
 */
#ifndef CORE_ELF_H
#define CORE_ELF_H

#include "base/compiler.h"

#define ELF_SEGMENTS_MAX 16u

enum elf_status {
	ELF_OK = 0,
	ELF_NO_ELF,
	ELF_OTHER_MACHINE,
	ELF_CUT,
	ELF_BAD_SEGMENT,
	ELF_TOO_MANY,
	ELF_NO_NOTE,
	ELF_NO_MULTIBOOT,
	ELF_BAD_ENTRY,
	ELF_UNKNOWN_WISH,
	ELF_BAD_ADDRESSES,
};

struct elf_segment {
	uint64_t offset; /* in the file; offset + file_bytes lies in it */
	uint64_t file_bytes; /* at most memory_bytes */
	uint64_t vaddr;
	uint64_t paddr; /* paddr + memory_bytes is at most 4 GiB */
	uint64_t memory_bytes; /* not 0 */
};

struct elf_image {
	uint32_t entry; /* physical; lies in a segment */
	bool has_note; /* XEN_ELFNOTE_PHYS32_ENTRY */
	uint64_t note_entry; /* what that says */
	uint64_t start; /* what the ELF header says, as a physical address; it may be in no segment */
	uint64_t end; /* first address after all segments */
	uint32_t segment_count;
	struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/*
 * Reads an ELF64 for x86-64, or an ELF32 for i386 or x86-64, in @bytes bytes at @file: all of @out but its entry. Not
 * ELF_OK: it is not such a file, or lies about itself. Any caller.
 */
MUST_CHECK enum elf_status elf_read(const void *file, uint64_t bytes, struct elf_image *out);

/* The same, with Xen's PVH entry in @out->entry. */
MUST_CHECK enum elf_status elf_read_pvh(const void *file, uint64_t bytes, struct elf_image *out);

/* True if @at lies in one of @image's segments. */
MUST_CHECK bool elf_holds(const struct elf_image *image, uint64_t at);

/* One clear clause, for "guest NAME: its kernel ...". */
const char *elf_status_text(enum elf_status status);

#endif /* CORE_ELF_H */
