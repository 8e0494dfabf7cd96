/*
 * boot_info.c - see boot_info.h. Xen's PVH boot protocol, version 1 (start_info.h), and section 3.3 of the Multiboot
 * Specification 0.6.96.
 *
 *	0x1000	start_info or multiboot_info
 *	0x1100	list of modules
 *	0x1400	memory map
 *	0x2000	command line
 *	0x2800	name of the boot loader
 *	0x3000	words of the modules
 */
#include "hypervisor/core/boot_info.h"

#include "hypervisor/core/multiboot.h"

#define MODLIST_GPA 0x1100u
#define MEMMAP_GPA 0x1400u
#define CMDLINE_GPA 0x2000u
#define LOADER_GPA 0x2800u
#define STRINGS_GPA 0x3000u

struct PACKED start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "start_info");

struct PACKED start_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};
_Static_assert(sizeof(struct start_module) == 32, "start_module");

struct PACKED start_memory {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};
_Static_assert(sizeof(struct start_memory) == 24, "start_memory");

#define START_MAGIC 0x336ec578u

_Static_assert(MODLIST_GPA + BLOB_BOOT_MODULES_MAX * sizeof(struct start_module) <= MEMMAP_GPA,
               "list of modules");
_Static_assert(MEMMAP_GPA + 16 * sizeof(struct start_memory) <= CMDLINE_GPA, "memory map");
_Static_assert(CMDLINE_GPA + BLOB_CMDLINE_BYTES <= LOADER_GPA, "command line");
_Static_assert(STRINGS_GPA + BLOB_BOOT_MODULES_MAX * BLOB_BOOT_STRING_BYTES <= BOOT_INFO_END,
               "words of the modules");

static uint32_t string_gpa(uint32_t index)
{
	return STRINGS_GPA + index * BLOB_BOOT_STRING_BYTES;
}

/* The command line, and each module's words. */
static bool put_strings(struct vm *vm)
{
	const struct blob_guest *record = vm->record;

	for (uint32_t i = 0; i < record->boot_module_count; i++) {
		if (!build_put(vm, string_gpa(i), record->boot_modules[i].string, BLOB_BOOT_STRING_BYTES)) {
			return false;
		}
	}
	return build_put(vm, CMDLINE_GPA, record->cmdline, sizeof(record->cmdline));
}

/* ---- Xen's ---- */

static bool put_start_modules(struct vm *vm, const struct boot_module *modules)
{
	for (uint32_t i = 0; i < vm->record->boot_module_count; i++) {
		bool has_words = vm->record->boot_modules[i].string[0] != 0;
		const struct start_module row = {modules[i].paddr, modules[i].size,
		                                 has_words ? string_gpa(i) : 0, 0};

		if (!build_put(vm, MODLIST_GPA + i * sizeof(row), &row, sizeof(row))) {
			return false;
		}
	}
	return true;
}

static bool put_start_memory(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->map_count; i++) {
		const struct start_memory row = {vm->map[i].base, vm->map[i].len_bytes, vm->map[i].type, 0};

		if (!build_put(vm, MEMMAP_GPA + i * sizeof(row), &row, sizeof(row))) {
			return false;
		}
	}
	return true;
}

bool boot_info_put_pvh(struct vm *vm, const struct boot_module *modules, uint64_t rsdp)
{
	uint32_t count = vm->record->boot_module_count;
	const struct start_info info = {
	        .magic = START_MAGIC,
	        .version = 1,
	        .nr_modules = count,
	        .modlist_paddr = count == 0 ? 0 : MODLIST_GPA,
	        .cmdline_paddr = CMDLINE_GPA,
	        .rsdp_paddr = rsdp,
	        .memmap_paddr = MEMMAP_GPA,
	        .memmap_entries = vm->map_count,
	};

	return build_put(vm, BOOT_INFO_GPA, &info, sizeof(info)) && put_strings(vm) &&
	       put_start_modules(vm, modules) && put_start_memory(vm);
}

/* ---- Multiboot's ---- */

static bool put_multiboot_modules(struct vm *vm, const struct boot_module *modules)
{
	for (uint32_t i = 0; i < vm->record->boot_module_count; i++) {
		const struct multiboot_module row = {
		        .mod_start = (uint32_t)modules[i].paddr,
		        .mod_end = (uint32_t)(modules[i].paddr + modules[i].size),
		        .string = string_gpa(i),
		};

		if (!build_put(vm, MODLIST_GPA + i * sizeof(row), &row, sizeof(row))) {
			return false;
		}
	}
	return true;
}

static bool put_multiboot_memory(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->map_count; i++) {
		const struct multiboot_memory row = {sizeof(row) - sizeof(row.size), vm->map[i].base,
		                                     vm->map[i].len_bytes, vm->map[i].type};

		if (!build_put(vm, MEMMAP_GPA + i * sizeof(row), &row, sizeof(row))) {
			return false;
		}
	}
	return true;
}

/* KiB of RAM from 1 MiB to the first hole. */
static uint32_t upper_kib(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->map_count; i++) {
		if (vm->map[i].base == HIGH_RAM_GPA) {
			return (uint32_t)(vm->map[i].len_bytes >> 10);
		}
	}
	return 0;
}

bool boot_info_put_multiboot(struct vm *vm, const struct boot_module *modules)
{
	static const char loader[] = "Janus";
	const struct multiboot_info info = {
	        .flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS |
	                 MULTIBOOT_INFO_MEM_MAP | MULTIBOOT_INFO_BOOT_LOADER_NAME,
	        .mem_lower = LOW_RAM_END / 1024,
	        .mem_upper = upper_kib(vm),
	        .cmdline = CMDLINE_GPA,
	        .mods_count = vm->record->boot_module_count,
	        .mods_addr = MODLIST_GPA,
	        .mmap_length = vm->map_count * (uint32_t)sizeof(struct multiboot_memory),
	        .mmap_addr = MEMMAP_GPA,
	        .boot_loader_name = LOADER_GPA,
	};

	return build_put(vm, BOOT_INFO_GPA, &info, sizeof(info)) && put_strings(vm) &&
	       build_put(vm, LOADER_GPA, loader, sizeof(loader)) && put_multiboot_modules(vm, modules) &&
	       put_multiboot_memory(vm);
}
