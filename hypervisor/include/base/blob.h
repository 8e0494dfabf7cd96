/*
 * blob.h - the flat configuration that the host's pack.py writes and ring 0 reads.
 *
 * janus.toml is checked and packed on the host, so no text is parsed in ring 0. The blob is one
 * GRUB module, whose string is BLOB_MODULE_NAME:
 *
 *	struct blob_header
 *	struct blob_switch	[switch_count]
 *	struct blob_module	[module_count]
 *	struct blob_guest_row	[guest_count]	names, and where each record is
 *	struct blob_guest	[guest_count]	each with a checksum of its own
 *
 * The header's checksum covers all before the first record (header_bytes): if it is wrong nothing
 * can be believed. A record's checksum covers that record: if it is wrong this guest is left out,
 * by the name in its row, and the others run. Little endian, all counts bounded, every string ends
 * with a NUL inside its array. The same layout, written again in Python, is in
 * hypervisor/tools/blobfmt.py; tests/unit/pack_test.py proves that both agree.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_MAGIC "JANUSCF1"
#define BLOB_VERSION 2u
#define BLOB_MODULE_NAME "janus.blob"

#define BLOB_GUESTS_MAX 16u
#define BLOB_SWITCHES_MAX 8u
#define BLOB_MODULES_MAX 31u
#define BLOB_DISKS_MAX 8u
#define BLOB_NICS_MAX 8u
#define BLOB_VCPUS_MAX 64u
#define BLOB_NAME_BYTES 32u
#define BLOB_SOURCE_BYTES 40u /* a GPT partition name has up to 36 characters */
#define BLOB_CMDLINE_BYTES 1024u
#define BLOB_BOOT_MODULES_MAX 16u
#define BLOB_BOOT_STRING_BYTES 124u
#define BLOB_NO_MODULE 0xffffffffu

enum blob_face {
	BLOB_FACE_HYPERV = 1,
	BLOB_FACE_XEN = 2,
	BLOB_FACE_BOTH = 3,
};

enum blob_kernel {
	BLOB_KERNEL_PVH_ELF = 1, /* an ELF of either class with XEN_ELFNOTE_PHYS32_ENTRY */
	BLOB_KERNEL_MULTIBOOT = 2, /* a file with a Multiboot (1) header */
};

enum blob_disk_kind {
	BLOB_DISK_RAM = 1, /* a module; what is written is gone when Janus ends */
	BLOB_DISK_WHOLE = 2, /* a host disk, by name */
	BLOB_DISK_PARTITION = 3, /* a GPT partition, by name */
};

#define BLOB_KEEP_BOOT_CPU 1u /* blob_header.flags: it runs no guest, if there are others */
#define BLOB_DISK_READ_ONLY 1u /* blob_disk.flags */
#define BLOB_GUEST_AUTOSTART 1u /* blob_guest.flags */

struct blob_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes; /* header and its three tables: where the first record starts */
	uint32_t total_bytes;
	uint32_t guest_count;
	uint32_t switch_count;
	uint32_t module_count;
	uint32_t crc32; /* of header_bytes bytes, this field being zero */
	uint32_t flags; /* BLOB_KEEP_* */
} __attribute__((packed));

struct blob_switch {
	char name[BLOB_NAME_BYTES];
} __attribute__((packed));

struct blob_module {
	char name[BLOB_NAME_BYTES]; /* the multiboot2 module's string */
	uint64_t bytes;
	uint64_t sum; /* blob_sum() of its bytes */
} __attribute__((packed));

struct blob_guest_row {
	char name[BLOB_NAME_BYTES];
	uint32_t offset; /* of its record, from the start of the blob */
	uint32_t bytes;
} __attribute__((packed));

struct blob_disk {
	uint32_t kind; /* enum blob_disk_kind */
	uint32_t flags; /* BLOB_DISK_* */
	uint32_t module; /* BLOB_DISK_RAM: index; else BLOB_NO_MODULE */
	uint32_t reserved;
	char source[BLOB_SOURCE_BYTES]; /* disk or partition name; RAM: the file's name, to show */
} __attribute__((packed));

struct blob_nic {
	uint32_t switch_index;
	uint8_t mac[6];
	uint16_t reserved;
} __attribute__((packed));

/* A file that the kernel gets with it: an initrd, or a module. */
struct blob_boot_module {
	uint32_t module;
	char string[BLOB_BOOT_STRING_BYTES]; /* its own words; an initrd has none */
} __attribute__((packed));

struct blob_guest {
	uint32_t record_bytes;
	uint32_t crc32; /* of record_bytes bytes, this field being zero */
	char name[BLOB_NAME_BYTES];
	uint32_t face; /* enum blob_face */
	uint32_t vcpu_count;
	uint64_t memory_bytes; /* a multiple of 1 MiB */
	uint32_t kernel_kind; /* enum blob_kernel */
	uint32_t kernel_module;
	uint32_t boot_module_count;
	uint32_t flags; /* BLOB_GUEST_* */
	uint32_t disk_count;
	uint32_t nic_count;
	struct blob_disk disks[BLOB_DISKS_MAX];
	struct blob_nic nics[BLOB_NICS_MAX];
	struct blob_boot_module boot_modules[BLOB_BOOT_MODULES_MAX]; /* an initrd is the first */
	char cmdline[BLOB_CMDLINE_BYTES];
} __attribute__((packed));

_Static_assert(sizeof(struct blob_header) == 40, "blob_header");
_Static_assert(offsetof(struct blob_header, version) == 8, "blob_header.version");
_Static_assert(offsetof(struct blob_header, header_bytes) == 12, "blob_header.header_bytes");
_Static_assert(offsetof(struct blob_header, total_bytes) == 16, "blob_header.total_bytes");
_Static_assert(offsetof(struct blob_header, guest_count) == 20, "blob_header.guest_count");
_Static_assert(offsetof(struct blob_header, switch_count) == 24, "blob_header.switch_count");
_Static_assert(offsetof(struct blob_header, module_count) == 28, "blob_header.module_count");
_Static_assert(offsetof(struct blob_header, crc32) == 32, "blob_header.crc32");
_Static_assert(sizeof(struct blob_switch) == 32, "blob_switch");
_Static_assert(sizeof(struct blob_module) == 48, "blob_module");
_Static_assert(offsetof(struct blob_module, bytes) == 32, "blob_module.bytes");
_Static_assert(offsetof(struct blob_module, sum) == 40, "blob_module.sum");
_Static_assert(sizeof(struct blob_guest_row) == 40, "blob_guest_row");
_Static_assert(offsetof(struct blob_guest_row, offset) == 32, "blob_guest_row.offset");
_Static_assert(sizeof(struct blob_disk) == 56, "blob_disk");
_Static_assert(offsetof(struct blob_disk, source) == 16, "blob_disk.source");
_Static_assert(sizeof(struct blob_nic) == 12, "blob_nic");
_Static_assert(offsetof(struct blob_nic, mac) == 4, "blob_nic.mac");
_Static_assert(sizeof(struct blob_boot_module) == 128, "blob_boot_module");
_Static_assert(sizeof(struct blob_guest) == 3696, "blob_guest");
_Static_assert(offsetof(struct blob_guest, crc32) == 4, "blob_guest.crc32");
_Static_assert(offsetof(struct blob_guest, name) == 8, "blob_guest.name");
_Static_assert(offsetof(struct blob_guest, face) == 40, "blob_guest.face");
_Static_assert(offsetof(struct blob_guest, memory_bytes) == 48, "blob_guest.memory_bytes");
_Static_assert(offsetof(struct blob_guest, kernel_kind) == 56, "blob_guest.kernel_kind");
_Static_assert(offsetof(struct blob_guest, flags) == 68, "blob_guest.flags");
_Static_assert(offsetof(struct blob_guest, disks) == 80, "blob_guest.disks");
_Static_assert(offsetof(struct blob_guest, nics) == 528, "blob_guest.nics");
_Static_assert(offsetof(struct blob_guest, boot_modules) == 624, "blob_guest.boot_modules");
_Static_assert(offsetof(struct blob_guest, cmdline) == 2672, "blob_guest.cmdline");

/* One 8-byte word, little endian; fewer than 8 bytes are filled with zeros. */
static inline uint64_t blob_load_word(const uint8_t *at, size_t len)
{
	uint64_t word = 0;

	__builtin_memcpy(&word, at, len < 8 ? len : 8);
	return word;
}

/*
 * The checksum of a module, which may have 60 MB: under one instruction a byte.
 *
 * With words w1..wn of 8 bytes, a0 = BLOB_SUM_SEED ^ bytes and ak = a(k-1) + wk, it is
 * an + 2 * (a0 + a1 + ... + an), modulo 2^64. Each word's weight is odd, hence invertible: a change
 * within one word is always seen; order and length count too. It finds accidents, not forgery.
 */
#define BLOB_SUM_SEED 0x9e3779b97f4a7c15ull

static inline uint64_t blob_sum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t run = BLOB_SUM_SEED ^ (uint64_t)bytes;
	uint64_t total = run;
	size_t left = bytes;

	for (; left >= 8; left -= 8, at += 8) {
		run += blob_load_word(at, 8);
		total += run;
	}
	if (left != 0) {
		run += blob_load_word(at, left);
		total += run;
	}
	return run + 2 * total;
}

/* Continues a CRC-32 (ISO-HDLC, as in zlib) over @bytes more bytes; @state starts as ~0u. */
static inline uint32_t blob_crc32_step(uint32_t state, const void *data, size_t bytes)
{
	static const uint32_t nibbles[16] = {
	        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
	        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const uint8_t *at = data;

	for (size_t i = 0; i < bytes; i++) {
		state ^= at[i];
		state = state >> 4 ^ nibbles[state & 15];
		state = state >> 4 ^ nibbles[state & 15];
	}
	return state;
}

/* The CRC-32 of @bytes bytes. */
static inline uint32_t blob_crc32(const void *data, size_t bytes)
{
	return ~blob_crc32_step(~0u, data, bytes);
}

/* The same, with the 4 bytes at @hole taken as zero. @hole + 4 <= @bytes. */
static inline uint32_t blob_crc32_hole(const void *data, size_t bytes, size_t hole)
{
	const uint8_t *at = data;
	const uint32_t zero = 0;
	uint32_t state = blob_crc32_step(~0u, at, hole);

	state = blob_crc32_step(state, &zero, 4);
	return ~blob_crc32_step(state, at + hole + 4, bytes - hole - 4);
}

/* Does a NUL end the string within its array? */
static inline bool blob_string_ends(const char *s, size_t array_bytes)
{
	size_t len = 0;

	while (len < array_bytes && s[len] != 0) {
		len++;
	}
	return len < array_bytes;
}

enum blob_status {
	BLOB_OK = 0,
	BLOB_TOO_SHORT, /* fewer bytes than the header says, or than a header has */
	BLOB_NOT_A_BLOB, /* the magic is another */
	BLOB_BAD_VERSION, /* made by a pack.py of another version */
	BLOB_BAD_SUM, /* the checksum does not match */
	BLOB_BAD_SHAPE, /* out of bounds although the checksum matches */
};

static inline const struct blob_switch *blob_switches(const struct blob_header *header)
{
	return (const struct blob_switch *)(header + 1);
}

static inline const struct blob_module *blob_modules(const struct blob_header *header)
{
	return (const struct blob_module *)(blob_switches(header) + header->switch_count);
}

static inline const struct blob_guest_row *blob_guest_rows(const struct blob_header *header)
{
	return (const struct blob_guest_row *)(blob_modules(header) + header->module_count);
}

/* Are the counts within bounds, and do the tables and records fill the sizes exactly? */
static inline bool blob_shape_ok(const struct blob_header *header)
{
	size_t tables;

	if (header->guest_count > BLOB_GUESTS_MAX || header->switch_count > BLOB_SWITCHES_MAX ||
	    header->module_count > BLOB_MODULES_MAX) {
		return false;
	}
	tables = sizeof(*header) + header->switch_count * sizeof(struct blob_switch) +
	         header->module_count * sizeof(struct blob_module) +
	         header->guest_count * sizeof(struct blob_guest_row);
	return header->header_bytes == tables &&
	       header->total_bytes == tables + header->guest_count * sizeof(struct blob_guest);
}

/* Do all names in the tables end, and is each record where it has to be? Shape checked before. */
static inline bool blob_tables_ok(const struct blob_header *header)
{
	for (uint32_t i = 0; i < header->switch_count; i++) {
		if (!blob_string_ends(blob_switches(header)[i].name, BLOB_NAME_BYTES)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < header->module_count; i++) {
		if (!blob_string_ends(blob_modules(header)[i].name, BLOB_NAME_BYTES)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < header->guest_count; i++) {
		const struct blob_guest_row *row = &blob_guest_rows(header)[i];

		if (!blob_string_ends(row->name, BLOB_NAME_BYTES) ||
		    row->bytes != sizeof(struct blob_guest) ||
		    row->offset != header->header_bytes + i * sizeof(struct blob_guest)) {
			return false;
		}
	}
	return true;
}

/*
 * Checks the header and its tables, in a module of @bytes bytes. Only after BLOB_OK may the other
 * functions here be called on it. The records are not looked at.
 */
static inline enum blob_status blob_check_header(const void *data, size_t bytes)
{
	const struct blob_header *header = data;

	if (bytes < sizeof(*header)) {
		return BLOB_TOO_SHORT;
	}
	if (__builtin_memcmp(header->magic, BLOB_MAGIC, sizeof(header->magic)) != 0) {
		return BLOB_NOT_A_BLOB;
	}
	if (header->version != BLOB_VERSION) {
		return BLOB_BAD_VERSION;
	}
	if (header->header_bytes < sizeof(*header) || header->header_bytes > bytes ||
	    header->total_bytes > bytes) {
		return BLOB_TOO_SHORT;
	}
	if (blob_crc32_hole(data, header->header_bytes, offsetof(struct blob_header, crc32)) !=
	    header->crc32) {
		return BLOB_BAD_SUM;
	}
	return blob_shape_ok(header) && blob_tables_ok(header) ? BLOB_OK : BLOB_BAD_SHAPE;
}

/* The record of guest @index (below guest_count), not yet checked: see blob_check_guest(). */
static inline const struct blob_guest *blob_guest_record(const struct blob_header *header, uint32_t index)
{
	const uint8_t *base = (const uint8_t *)header;

	return (const struct blob_guest *)(const void *)(base + blob_guest_rows(header)[index].offset);
}

/* Disks and network cards of a record: counts, kinds, indices and names. */
static inline bool blob_devices_ok(const struct blob_header *header, const struct blob_guest *guest)
{
	if (guest->disk_count > BLOB_DISKS_MAX || guest->nic_count > BLOB_NICS_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < guest->disk_count; i++) {
		const struct blob_disk *disk = &guest->disks[i];
		bool is_ram = disk->kind == BLOB_DISK_RAM;

		if (disk->kind < BLOB_DISK_RAM || disk->kind > BLOB_DISK_PARTITION ||
		    (is_ram ? disk->module >= header->module_count : disk->module != BLOB_NO_MODULE) ||
		    !blob_string_ends(disk->source, BLOB_SOURCE_BYTES)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < guest->nic_count; i++) {
		if (guest->nics[i].switch_index >= header->switch_count) {
			return false;
		}
	}
	return true;
}

/* Kernel and boot modules of a record: kind, count, indices and strings. */
static inline bool blob_boot_ok(const struct blob_header *header, const struct blob_guest *guest)
{
	if (guest->kernel_kind < BLOB_KERNEL_PVH_ELF || guest->kernel_kind > BLOB_KERNEL_MULTIBOOT ||
	    guest->kernel_module >= header->module_count ||
	    guest->boot_module_count > BLOB_BOOT_MODULES_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < guest->boot_module_count; i++) {
		const struct blob_boot_module *module = &guest->boot_modules[i];

		if (module->module >= header->module_count ||
		    !blob_string_ends(module->string, BLOB_BOOT_STRING_BYTES)) {
			return false;
		}
	}
	return true;
}

/*
 * Checks the record of guest @index: checksum, then each value's bounds, so that what passes can be
 * used as it is. Anything but BLOB_OK: leave this guest out, and name it by its row.
 */
static inline enum blob_status blob_check_guest(const struct blob_header *header, uint32_t index)
{
	const struct blob_guest *guest = blob_guest_record(header, index);
	uint32_t crc = blob_crc32_hole(guest, sizeof(*guest), offsetof(struct blob_guest, crc32));

	if (crc != guest->crc32) {
		return BLOB_BAD_SUM;
	}
	if (guest->record_bytes != sizeof(*guest) || !blob_string_ends(guest->name, BLOB_NAME_BYTES) ||
	    !blob_string_ends(guest->cmdline, BLOB_CMDLINE_BYTES) || guest->face < BLOB_FACE_HYPERV ||
	    guest->face > BLOB_FACE_BOTH || guest->vcpu_count == 0 || guest->vcpu_count > BLOB_VCPUS_MAX ||
	    guest->memory_bytes < 16u << 20 || guest->memory_bytes % (1u << 20) != 0) {
		return BLOB_BAD_SHAPE;
	}
	return blob_boot_ok(header, guest) && blob_devices_ok(header, guest) ? BLOB_OK : BLOB_BAD_SHAPE;
}

/* One clear clause for a status, for "configuration: ..." or "guest NAME: ...". */
static inline const char *blob_status_text(enum blob_status status)
{
	switch (status) {
	case BLOB_OK:
		return "right";
	case BLOB_TOO_SHORT:
		return "it did not arrive whole";
	case BLOB_NOT_A_BLOB:
		return "it does not start with " BLOB_MAGIC ": make it with pack.py";
	case BLOB_BAD_VERSION:
		return "it is of another version: make it again with this tree's pack.py";
	case BLOB_BAD_SUM:
		return "its checksum is wrong: make it again with pack.py";
	case BLOB_BAD_SHAPE:
		return "a count or a value in it is out of bounds: make it again with pack.py";
	}
	return "unknown";
}

#endif /* BASE_BLOB_H */
