/*
 * elf.h - reads a 64-bit ELF with Xen's PVH note. Pure: no memory of ours, all bounds checked.
 */
#ifndef CORE_ELF_H
#define CORE_ELF_H

#include "base/compiler.h"

#define ELF_SEGMENTS_MAX 16u

struct elf_segment {
	uint64_t offset; /* in the file; offset + file_bytes lies in it */
	uint64_t file_bytes; /* at most memory_bytes */
	uint64_t paddr;
	uint64_t memory_bytes;
};

struct elf_pvh {
	uint32_t entry; /* XEN_ELFNOTE_PHYS32_ENTRY */
	uint64_t end; /* first address after all segments */
	uint32_t segment_count;
	struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/* False if it is not such a file, or lies about itself. */
MUST_CHECK bool elf_read_pvh(const void *file, uint64_t bytes, struct elf_pvh *out);

#endif /* CORE_ELF_H */
