/*
 * elf.c - see elf.h. System V ABI, ELF-32 and ELF-64; notes as in Xen's elfnote.h, whose header has the same three 32-bit
 * words in both classes.
 */
#include "hypervisor/core/elf.h"

#include "base/bits.h"
#include "base/mem.h"

#define PT_LOAD 1u
#define PT_NOTE 4u
#define EI_CLASS 4u
#define ELFCLASS32 1u
#define ELFCLASS64 2u
#define EM_386 3u
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

struct PACKED elf32_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint32_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf32_header) == 52, "elf32_header");

struct PACKED elf64_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_phdr) == 56, "elf64_phdr");

struct PACKED elf32_phdr {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_phdr) == 32, "elf32_phdr");

struct PACKED elf_note {
	uint32_t namesz, descsz, type;
};

/* Of either class. */
struct program_headers {
	bool is_64;
	uint64_t entry;
	uint64_t offset; /* all of them lie in the file */
	uint32_t count;
};

static enum elf_status take_load(const struct elf64_phdr *ph, struct elf_image *out)
{
	struct elf_segment *s;

	if (ph->memsz == 0) {
		return ELF_OK;
	}
	if (out->segment_count == ELF_SEGMENTS_MAX) {
		return ELF_TOO_MANY;
	}
	if (ph->filesz > ph->memsz || !range_fits(ph->paddr, ph->memsz, ADDRESS_MAX)) {
		return ELF_BAD_SEGMENT;
	}
	s = &out->segments[out->segment_count++];
	*s = (struct elf_segment){ph->offset, ph->filesz, ph->vaddr, ph->paddr, ph->memsz};
	out->end = s->paddr + s->memory_bytes > out->end ? s->paddr + s->memory_bytes : out->end;
	return ELF_OK;
}

/* Looks through the notes for the entry; the first one counts. */
static void take_notes(const uint8_t *at, uint64_t bytes, struct elf_image *out)
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
		if (note.type == XEN_ELFNOTE_PHYS32_ENTRY && note.namesz == 4 && !out->has_note &&
		    memcmp(at + sizeof(note), "Xen", 4) == 0 && note.descsz >= 4) {
			memcpy(&out->note_entry, at + desc, note.descsz < 8 ? 4 : 8);
			out->has_note = true;
		}
		at += total;
		bytes -= total;
	}
}

static enum elf_status read_header_32(const uint8_t *file, uint64_t bytes, struct program_headers *out)
{
	struct elf32_header header;

	if (bytes < sizeof(header)) {
		return ELF_CUT;
	}
	memcpy(&header, file, sizeof(header));
	*out = (struct program_headers){false, header.entry, header.phoff, header.phnum};
	if (header.machine != EM_386 && header.machine != EM_X86_64) {
		return ELF_OTHER_MACHINE;
	}
	return header.phentsize == sizeof(struct elf32_phdr) ? ELF_OK : ELF_CUT;
}

static enum elf_status read_header_64(const uint8_t *file, uint64_t bytes, struct program_headers *out)
{
	struct elf64_header header;

	if (bytes < sizeof(header)) {
		return ELF_CUT;
	}
	memcpy(&header, file, sizeof(header));
	*out = (struct program_headers){true, header.entry, header.phoff, header.phnum};
	if (header.machine != EM_X86_64) {
		return ELF_OTHER_MACHINE;
	}
	return header.phentsize == sizeof(struct elf64_phdr) ? ELF_OK : ELF_CUT;
}

static enum elf_status read_header(const uint8_t *file, uint64_t bytes, struct program_headers *out)
{
	static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
	static const uint8_t little_endian[2] = {1, 1};
	enum elf_status status;

	if (bytes < EI_CLASS + 3 || memcmp(file, magic, sizeof(magic)) != 0) {
		return ELF_NO_ELF;
	}
	if (file[EI_CLASS] < ELFCLASS32 || file[EI_CLASS] > ELFCLASS64 ||
	    memcmp(file + EI_CLASS + 1, little_endian, sizeof(little_endian)) != 0) {
		return ELF_OTHER_MACHINE;
	}
	status = file[EI_CLASS] == ELFCLASS64 ? read_header_64(file, bytes, out)
	                                      : read_header_32(file, bytes, out);
	if (status == ELF_OK && !range_fits(out->offset,
	                                    (uint64_t)out->count * (out->is_64 ? sizeof(struct elf64_phdr)
	                                                                       : sizeof(struct elf32_phdr)),
	                                    bytes)) {
		return ELF_CUT;
	}
	return status;
}

/* Program header @index, as if it were of an ELF64. */
static struct elf64_phdr read_phdr(const uint8_t *file, const struct program_headers *all, uint32_t index)
{
	struct elf64_phdr ph;
	struct elf32_phdr narrow;

	if (all->is_64) {
		memcpy(&ph, file + all->offset + index * sizeof(ph), sizeof(ph));
		return ph;
	}
	memcpy(&narrow, file + all->offset + index * sizeof(narrow), sizeof(narrow));
	return (struct elf64_phdr){narrow.type,  narrow.flags,  narrow.offset, narrow.vaddr,
	                           narrow.paddr, narrow.filesz, narrow.memsz,  narrow.align};
}

/* An ELF's entry is where its segment is linked, not where that is loaded; unless it is in none, and is physical. */
static uint64_t find_start(const struct elf_image *image, uint64_t entry)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];

		if (entry - s->vaddr < s->memory_bytes) {
			return s->paddr + (entry - s->vaddr);
		}
	}
	return entry;
}

enum elf_status elf_read(const void *file, uint64_t bytes, struct elf_image *out)
{
	struct program_headers all;
	enum elf_status status;

	memset(out, 0, sizeof(*out));
	status = read_header(file, bytes, &all);
	for (uint32_t i = 0; status == ELF_OK && i < all.count; i++) {
		struct elf64_phdr ph = read_phdr(file, &all, i);

		if (ph.type != PT_LOAD && ph.type != PT_NOTE) {
			continue;
		}
		if (!range_fits(ph.offset, ph.filesz, bytes)) {
			status = ELF_CUT;
		} else if (ph.type == PT_LOAD) {
			status = take_load(&ph, out);
		} else {
			take_notes((const uint8_t *)file + ph.offset, ph.filesz, out);
		}
	}
	if (status == ELF_OK) {
		out->start = find_start(out, all.entry);
	}
	return status;
}

bool elf_holds(const struct elf_image *image, uint64_t at)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		if (at - image->segments[i].paddr < image->segments[i].memory_bytes) {
			return true;
		}
	}
	return false;
}

enum elf_status elf_read_pvh(const void *file, uint64_t bytes, struct elf_image *out)
{
	enum elf_status status = elf_read(file, bytes, out);

	if (status != ELF_OK) {
		return status;
	}
	if (!out->has_note) {
		return ELF_NO_NOTE;
	}
	if (!elf_holds(out, out->note_entry)) {
		return ELF_BAD_ENTRY;
	}
	out->entry = (uint32_t)out->note_entry;
	return ELF_OK;
}

const char *elf_status_text(enum elf_status status)
{
	static const char *const texts[] = {
	        [ELF_OK] = "is right",
	        [ELF_NO_ELF] = "is no ELF file",
	        [ELF_OTHER_MACHINE] = "is an ELF file for another machine than x86",
	        [ELF_CUT] = "did not arrive whole: a header or a segment lies outside the file",
	        [ELF_BAD_SEGMENT] =
	                "has a segment that lies above 4 GiB or is smaller than its part of the file",
	        [ELF_TOO_MANY] = "has more than 16 segments",
	        [ELF_NO_NOTE] = "has no PVH note",
	        [ELF_NO_MULTIBOOT] = "has no Multiboot header in its first 8 KiB",
	        [ELF_BAD_ENTRY] = "starts outside its segments",
	        [ELF_UNKNOWN_WISH] =
	                "asks Multiboot for what Janus does not have: flags other than 0, 1 and 16",
	        [ELF_BAD_ADDRESSES] = "has addresses in its Multiboot header that do not fit the file",
	};

	return texts[status];
}
