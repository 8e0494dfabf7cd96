/*
 * multiboot2.c - what the boot loader said, copied into struct host_boot (Multiboot2
 * specification, 3.6). The loader is trusted to mean well, not to be right: sizes are checked all
 * the same.
 */
#include "base/check.h"
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"

#define MULTIBOOT_TAG_TYPE_END 0u
#define MULTIBOOT_TAG_TYPE_CMDLINE 1u
#define MULTIBOOT_TAG_TYPE_MODULE 3u
#define MULTIBOOT_TAG_TYPE_MMAP 6u
#define MULTIBOOT_TAG_TYPE_ACPI_OLD 14u
#define MULTIBOOT_TAG_TYPE_ACPI_NEW 15u

#define INFORMATION_BYTES_MAX (1u << 20)

struct tag {
	uint32_t type;
	uint32_t size;
};

struct tag_module {
	struct tag tag;
	uint32_t mod_start;
	uint32_t mod_end;
};

struct tag_mmap {
	struct tag tag;
	uint32_t entry_size;
	uint32_t entry_version;
};

struct mmap_entry {
	uint64_t addr;
	uint64_t len;
	uint32_t type;
	uint32_t zero;
};

_Static_assert(sizeof(struct mmap_entry) == 24, "Multiboot2 3.6.8");

/* At most @room - 1 characters of the @len bytes at @from, up to a NUL. */
static void copy_string(char *to, size_t room, const uint8_t *from, size_t len)
{
	size_t n = 0;

	while (n < len && n < room - 1 && from[n] != 0) {
		to[n] = (char)from[n];
		n++;
	}
	to[n] = 0;
}

static void take_module(const uint8_t *at, uint32_t size, struct host_boot *boot)
{
	struct tag_module tag;
	struct host_module *module;

	if (size < sizeof(tag)) {
		return;
	}
	memcpy(&tag, at, sizeof(tag));
	if (boot->module_count == HOST_MODULES_MAX) {
		PANIC("more than %u boot modules", HOST_MODULES_MAX);
	}
	if (tag.mod_end < tag.mod_start) {
		PANIC("boot module %u ends before it starts", boot->module_count);
	}
	module = &boot->modules[boot->module_count++];
	module->start = hpa(tag.mod_start);
	module->bytes = tag.mod_end - tag.mod_start;
	copy_string(module->string, sizeof(module->string), at + sizeof(tag), size - sizeof(tag));
}

/* The specification's types 1, 3, 4 and 5; whatever else there may be is reserved. */
static enum host_memory_type memory_type(uint32_t type)
{
	bool is_known = type == 1 || type == 3 || type == 4 || type == 5;

	return is_known ? (enum host_memory_type)type : HOST_MEMORY_RESERVED;
}

static void take_map(const uint8_t *at, uint32_t size, struct host_boot *boot)
{
	struct tag_mmap tag;
	struct mmap_entry entry;

	if (size < sizeof(tag)) {
		return;
	}
	memcpy(&tag, at, sizeof(tag));
	if (tag.entry_size < sizeof(entry)) {
		PANIC("memory map entries of %u bytes", tag.entry_size);
	}
	for (uint32_t i = sizeof(tag); i + sizeof(entry) <= size; i += tag.entry_size) {
		struct host_range range;

		memcpy(&entry, at + i, sizeof(entry));
		range = (struct host_range){hpa(entry.addr), entry.len, memory_type(entry.type)};
		/* A full list may lose RAM, but must not lose what takes RAM away. */
		if (!ranges_add(boot->map, &boot->map_count, range) && range.type != HOST_MEMORY_RAM) {
			PANIC("a memory map of more than %u ranges", HOST_RANGES_MAX);
		}
	}
}

/* The newer RSDP wins, whichever comes first. */
static void take_rsdp(const uint8_t *at, uint32_t size, struct host_boot *boot)
{
	uint32_t bytes = size - (uint32_t)sizeof(struct tag);

	if (bytes > sizeof(boot->rsdp)) {
		bytes = sizeof(boot->rsdp);
	}
	if (bytes >= 20 && bytes > boot->rsdp_bytes) {
		memcpy(boot->rsdp, at + sizeof(struct tag), bytes);
		boot->rsdp_bytes = bytes;
	}
}

static void take_tag(const uint8_t *at, struct tag tag, struct host_boot *boot)
{
	switch (tag.type) {
	case MULTIBOOT_TAG_TYPE_CMDLINE:
		copy_string(boot->command_line, sizeof(boot->command_line), at + sizeof(tag),
		            tag.size - sizeof(tag));
		break;
	case MULTIBOOT_TAG_TYPE_MODULE:
		take_module(at, tag.size, boot);
		break;
	case MULTIBOOT_TAG_TYPE_MMAP:
		take_map(at, tag.size, boot);
		break;
	case MULTIBOOT_TAG_TYPE_ACPI_OLD:
	case MULTIBOOT_TAG_TYPE_ACPI_NEW:
		take_rsdp(at, tag.size, boot);
		break;
	default:
		break;
	}
}

void multiboot2_parse(const uint8_t *from, struct host_boot *boot)
{
	uint32_t total;
	uint32_t at = 8;

	memcpy(&total, from, sizeof(total));
	if (total < 16 || total > INFORMATION_BYTES_MAX) {
		PANIC("boot information of %u bytes", total);
	}
	while (at + sizeof(struct tag) <= total) {
		struct tag tag;

		memcpy(&tag, from + at, sizeof(tag));
		if (tag.size < sizeof(tag) || tag.size > total - at) {
			PANIC("boot information: tag %u of %u bytes", tag.type, tag.size);
		}
		if (tag.type == MULTIBOOT_TAG_TYPE_END) {
			break;
		}
		take_tag(from + at, tag, boot);
		at += (tag.size + 7u) & ~7u;
	}
	if (boot->map_count == 0) {
		PANIC("the boot loader gave no memory map");
	}
}
