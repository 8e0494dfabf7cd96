/*
 * elf.c - see elf.h. System V ABI, ELF-64; notes as in Xen's elfnote.h.
 */
#include "hypervisor/core/elf.h"

#include "base/bits.h"
#include "base/mem.h"

#define PT_LOAD 1u
#define PT_NOTE 4u
#define EM_X86_64 62u
#define XEN_ELFNOTE_PHYS32_ENTRY 18u
#define ADDRESS_MAX 0x100000000ull

struct PACKED elf64_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf64_header) == 64, "elf64_header");

struct PACKED elf64_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_phdr) == 56, "elf64_phdr");

struct PACKED elf_note {
	uint32_t namesz, descsz, type;
};

static bool take_load(const struct elf64_phdr *ph, struct elf_pvh *out)
{
	struct elf_segment *s;

	if (ph->memsz == 0) {
		return true;
	}
	if (out->segment_count == ELF_SEGMENTS_MAX || ph->filesz > ph->memsz ||
	    !range_fits(ph->paddr, ph->memsz, ADDRESS_MAX)) {
		return false;
	}
	s = &out->segments[out->segment_count++];
	*s = (struct elf_segment){ph->offset, ph->filesz, ph->paddr, ph->memsz};
	out->end = s->paddr + s->memory_bytes > out->end ? s->paddr + s->memory_bytes : out->end;
	return true;
}

/* Looks through the notes for the entry; the first one counts. */
static void take_notes(const uint8_t *at, uint64_t bytes, struct elf_pvh *out)
{
	while (bytes >= sizeof(struct elf_note)) {
		struct elf_note note;
		uint64_t desc;
		uint64_t total;

		memcpy(&note, at, sizeof(note));
		desc = sizeof(note) + align_up(note.namesz, 4);
		total = desc + align_up(note.descsz, 4);
		if (total > bytes) {
			return;
		}
		if (note.type == XEN_ELFNOTE_PHYS32_ENTRY && note.namesz == 4 && out->entry == 0 &&
		    memcmp(at + sizeof(note), "Xen", 4) == 0 && note.descsz >= 4) {
			memcpy(&out->entry, at + desc, sizeof(out->entry));
		}
		at += total;
		bytes -= total;
	}
}

bool elf_read_pvh(const void *file, uint64_t bytes, struct elf_pvh *out)
{
	static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	struct elf64_header header;

	memset(out, 0, sizeof(*out));
	if (bytes < sizeof(header)) {
		return false;
	}
	memcpy(&header, file, sizeof(header));
	if (memcmp(header.ident, ident, sizeof(ident)) != 0 || header.machine != EM_X86_64 ||
	    header.phentsize != sizeof(struct elf64_phdr) ||
	    !range_fits(header.phoff, (uint64_t)header.phnum * sizeof(struct elf64_phdr), bytes)) {
		return false;
	}
	for (uint32_t i = 0; i < header.phnum; i++) {
		struct elf64_phdr ph;

		memcpy(&ph, (const uint8_t *)file + header.phoff + i * sizeof(ph), sizeof(ph));
		if ((ph.type == PT_LOAD || ph.type == PT_NOTE) && !range_fits(ph.offset, ph.filesz, bytes)) {
			return false;
		}
		if (ph.type == PT_LOAD && !take_load(&ph, out)) {
			return false;
		}
		if (ph.type == PT_NOTE) {
			take_notes((const uint8_t *)file + ph.offset, ph.filesz, out);
		}
	}
	return out->entry != 0 && out->segment_count != 0;
}
