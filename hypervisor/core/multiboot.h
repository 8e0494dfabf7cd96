/*
 * multiboot.h - the Multiboot Specification, version 0.6.96: a kernel's header, and what it gets. Pure.
 */
#ifndef CORE_MULTIBOOT_H
#define CORE_MULTIBOOT_H

#include "hypervisor/core/elf.h"

#define MULTIBOOT_BOOTLOADER_MAGIC 0x2BADB002u /* in EAX */

#define MULTIBOOT_INFO_MEMORY 0x001u
#define MULTIBOOT_INFO_CMDLINE 0x004u
#define MULTIBOOT_INFO_MODS 0x008u
#define MULTIBOOT_INFO_MEM_MAP 0x040u
#define MULTIBOOT_INFO_BOOT_LOADER_NAME 0x200u

/* At EBX. What @flags does not announce is zero. */
struct PACKED multiboot_info {
	uint32_t flags; /* MULTIBOOT_INFO_* */
	uint32_t mem_lower; /* KiB from 0 */
	uint32_t mem_upper; /* KiB from 1 MiB to the first hole */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length; /* bytes */
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint8_t video[44];
};
_Static_assert(sizeof(struct multiboot_info) == 116, "multiboot_info");
_Static_assert(__builtin_offsetof(struct multiboot_info, mmap_length) == 44, "multiboot_info");
_Static_assert(__builtin_offsetof(struct multiboot_info, boot_loader_name) == 64, "multiboot_info");

struct PACKED multiboot_module {
	uint32_t mod_start;
	uint32_t mod_end; /* first address after it */
	uint32_t string;
	uint32_t reserved;
};
_Static_assert(sizeof(struct multiboot_module) == 16, "multiboot_module");

struct PACKED multiboot_memory {
	uint32_t size; /* of what follows it */
	uint64_t addr;
	uint64_t len;
	uint32_t type; /* as of ACPI's E820 */
};
_Static_assert(sizeof(struct multiboot_memory) == 24, "multiboot_memory");

/*
 * Reads a kernel with a Multiboot header, in @bytes bytes at @file: an ELF of either class or, if the header's flag 16
 * says so, a file of any kind with the addresses in the header. All of @out; its entry is a physical address. Any caller.
 */
MUST_CHECK enum elf_status multiboot_read(const void *file, uint64_t bytes, struct elf_image *out);

#endif /* CORE_MULTIBOOT_H */
