/*
 * build.c - lays out a guest's memory and loads what it starts from (Xen's PVH boot protocol, version 1).
 *
 * One layout for both faces:
 *
 *	0x00001000	start_info, module list, memory map, command line
 *	0x000A0000	reserved; ACPI tables at 0x000E0000
 *	0x00100000	RAM up to 3 GiB, the kernel where its ELF says, the initrd at the end
 *	0xFEFF8000	special pages: store and console rings
 *	0x100000000	the rest of RAM
 */
#include "base/bits.h"
#include "hypervisor/core/elf.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/platform/acpi.h"

#define LOW_END 0xC0000000ull
#define HIGH_START 0x100000000ull
#define INFO_GPA 0x1000u
#define MODLIST_GPA 0x1100u
#define MEMMAP_GPA 0x1200u
#define CMDLINE_GPA 0x2000u
#define ACPI_GPA 0xE0000u
#define SPECIAL_GPA 0xFEFF8000ull
#define SPECIAL_BYTES 0x8000u
#define BOOT_MAP_END 0x40000000ull /* Linux's first page table: everything it starts from lies below */

#define BREATHE_BYTES 0x10000u /* interrupts are let in that often */

#define E820_RAM 1u
#define E820_RESERVED 2u
#define E820_ACPI 3u

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

/* vm_write() without its limit of 64 KiB: nothing runs yet. */
static bool put(struct vm *vm, uint64_t to, const void *from, uint64_t len)
{
	const uint8_t *bytes = from;

	while (len != 0) {
		size_t here = len < 4096 ? (size_t)len : 4096;

		if (vm_write(vm, gpa(to), bytes, here) != VM_OK) {
			return false;
		}
		to += here;
		bytes += here;
		len -= here;
		if (to % BREATHE_BYTES == 0) {
			cpu_breathe();
		}
	}
	return true;
}

static void add_range(struct vm *vm, uint64_t base, uint64_t end, uint32_t type)
{
	if (end > base) {
		vm->map[vm->map_count++] = (struct vm_range){base, end - base, type};
	}
}

static uint64_t low_bytes(const struct vm *vm)
{
	return vm->config.memory_bytes < LOW_END ? vm->config.memory_bytes : LOW_END;
}

static void make_map(struct vm *vm)
{
	uint64_t low = low_bytes(vm);

	vm->map_count = 0;
	add_range(vm, 0, 0xA0000, E820_RAM);
	add_range(vm, 0xA0000, ACPI_GPA, E820_RESERVED);
	add_range(vm, ACPI_GPA, ACPI_GPA + ACPI_ROOM_BYTES, E820_ACPI);
	add_range(vm, ACPI_GPA + ACPI_ROOM_BYTES, 0x100000, E820_RESERVED);
	add_range(vm, 0x100000, low, E820_RAM);
	add_range(vm, ACPI_WINDOW_LOW_FIRST, ACPI_WINDOW_LOW_LAST + 1, E820_RESERVED);
	add_range(vm, 0xFEC00000u, 0xFEC01000u, E820_RESERVED);
	add_range(vm, 0xFEE00000u, 0xFEE01000u, E820_RESERVED);
	add_range(vm, SPECIAL_GPA, SPECIAL_GPA + SPECIAL_BYTES, E820_RESERVED);
	add_range(vm, HIGH_START, HIGH_START + vm->config.memory_bytes - low, E820_RAM);
	add_range(vm, ACPI_WINDOW_HIGH_FIRST, ACPI_WINDOW_HIGH_LAST + 1, E820_RESERVED);
}

static bool populate(struct vm *vm)
{
	uint64_t low = low_bytes(vm);
	uint64_t high = vm->config.memory_bytes - low;
	uint64_t need = (vm->config.memory_bytes + SPECIAL_BYTES) >> PAGE_SHIFT;

	if (need + need / 256 > frames_free_count()) {
		log_line("guest %s: too little memory: %lu MiB asked for, %lu MiB free", vm->name,
		         (unsigned long)(vm->config.memory_bytes >> 20),
		         (unsigned long)(frames_free_count() >> 8));
		return false;
	}
	vm->special[VM_SPECIAL_XENSTORE] = gpa(SPECIAL_GPA + 0x4000);
	vm->special[VM_SPECIAL_CONSOLE] = gpa(SPECIAL_GPA + 0x7000);
	return p2m_populate(&vm->p2m, gpa(0), low) &&
	       (high == 0 || p2m_populate(&vm->p2m, gpa(HIGH_START), high)) &&
	       p2m_populate(&vm->p2m, gpa(SPECIAL_GPA), SPECIAL_BYTES);
}

static bool load_kernel(struct vm *vm, const struct host_module *module, struct elf_pvh *elf)
{
	const uint8_t *file = host_direct(module->start);

	if (!elf_read_pvh(file, module->bytes, elf)) {
		log_line("guest %s: its kernel is no 64-bit ELF with a PVH entry", vm->name);
		return false;
	}
	if (elf->end > low_bytes(vm)) {
		log_line("guest %s: too little memory: its kernel reaches to %lu MiB", vm->name,
		         (unsigned long)(elf->end >> 20));
		return false;
	}
	for (uint32_t i = 0; i < elf->segment_count; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (!put(vm, s->paddr, file + s->offset, s->file_bytes)) {
			return false;
		}
	}
	return true;
}

/* As high as Linux can reach it at first, page aligned. 0 if there is no room. */
static uint64_t place_initrd(const struct vm *vm, uint64_t bytes, uint64_t kernel_end)
{
	uint64_t top = low_bytes(vm) < BOOT_MAP_END ? low_bytes(vm) : BOOT_MAP_END;
	uint64_t at;

	if (bytes > top) {
		return 0;
	}
	at = align_down(top - bytes, PAGE_BYTES);
	return at >= kernel_end ? at : 0;
}

static bool load_initrd(struct vm *vm, uint64_t kernel_end, struct start_module *out)
{
	const struct host_module *module = config_module(vm->blob, vm->record->initrd_module);

	if (module == NULL) {
		log_line("guest %s: its initrd is not there", vm->name);
		return false;
	}
	out->size = module->bytes;
	out->paddr = place_initrd(vm, module->bytes, kernel_end);
	if (out->paddr == 0) {
		log_line("guest %s: too little memory: no room for an initrd of %lu KiB", vm->name,
		         (unsigned long)(module->bytes >> 10));
		return false;
	}
	return put(vm, out->paddr, host_direct(module->start), module->bytes);
}

static bool put_acpi(struct vm *vm, uint64_t *rsdp)
{
	static uint8_t tables[ACPI_ROOM_BYTES];
	const struct acpi_config config = {vm->config.hyperv_face, vm->config.xen_face,
	                                   vm->config.vcpu_count};

	return acpi_build(tables, sizeof(tables), ACPI_GPA, &config, rsdp) != 0 &&
	       put(vm, ACPI_GPA, tables, sizeof(tables));
}

static bool put_memmap(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->map_count; i++) {
		const struct start_memory row = {vm->map[i].base, vm->map[i].len_bytes, vm->map[i].type, 0};

		if (!put(vm, MEMMAP_GPA + i * sizeof(row), &row, sizeof(row))) {
			return false;
		}
	}
	return true;
}

static bool put_start_info(struct vm *vm, const struct start_module *initrd, uint64_t rsdp)
{
	const struct start_info info = {
	        .magic = START_MAGIC,
	        .version = 1,
	        .nr_modules = initrd->size == 0 ? 0 : 1,
	        .modlist_paddr = initrd->size == 0 ? 0 : MODLIST_GPA,
	        .cmdline_paddr = CMDLINE_GPA,
	        .rsdp_paddr = rsdp,
	        .memmap_paddr = MEMMAP_GPA,
	        .memmap_entries = vm->map_count,
	};

	return put(vm, INFO_GPA, &info, sizeof(info)) && put(vm, MODLIST_GPA, initrd, sizeof(*initrd)) &&
	       put(vm, CMDLINE_GPA, vm->record->cmdline, sizeof(vm->record->cmdline)) && put_memmap(vm);
}

bool build_guest(struct vm *vm)
{
	const struct host_module *kernel = config_module(vm->blob, vm->record->kernel_module);
	struct start_module initrd = {0, 0, 0, 0};
	struct elf_pvh elf;
	uint64_t rsdp;

	if (kernel == NULL) {
		log_line("guest %s: its kernel is not there", vm->name);
		return false;
	}
	make_map(vm);
	if (!populate(vm) || !load_kernel(vm, kernel, &elf)) {
		return false;
	}
	if (vm->record->initrd_module != BLOB_NO_MODULE && !load_initrd(vm, elf.end, &initrd)) {
		return false;
	}
	if (!put_acpi(vm, &rsdp) || !put_start_info(vm, &initrd, rsdp)) {
		return false;
	}
	vcpu_set_pvh_entry(vm->vcpus[0], elf.entry, INFO_GPA);
	return true;
}
