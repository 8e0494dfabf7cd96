/*
 * build.c - lays out a guest's memory and loads what it starts from, by Xen's PVH boot protocol or by Multiboot.
 *
 * One layout for both faces:
 *
 *	0x00001000	what the kernel is told: boot_info.c
 *	0x000A0000	reserved; ACPI tables at 0x000E0000
 *	0x00100000	RAM up to 3 GiB, the kernel where its ELF says, its modules at the end
 *	0xFEFF8000	special pages: store and console rings
 *	0x100000000	the rest of RAM
 */
#include "base/bits.h"
#include "hypervisor/core/boot_info.h"
#include "hypervisor/core/elf.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/core/multiboot.h"
#include "hypervisor/platform/acpi.h"

#define LOW_END 0xC0000000ull
#define HIGH_START 0x100000000ull
#define ACPI_GPA 0xE0000u
#define SPECIAL_GPA 0xFEFF8000ull
#define SPECIAL_BYTES 0x8000u
#define BOOT_MAP_END 0x40000000ull /* Linux's first page table: everything it starts from lies below */

#define BREATHE_BYTES 0x10000u /* interrupts are let in that often */

#define E820_RAM 1u
#define E820_RESERVED 2u
#define E820_ACPI 3u

/* Nothing runs yet. */
bool build_put(struct vm *vm, uint64_t to, const void *from, uint64_t len)
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
	add_range(vm, 0, LOW_RAM_END, E820_RAM);
	add_range(vm, LOW_RAM_END, ACPI_GPA, E820_RESERVED);
	add_range(vm, ACPI_GPA, ACPI_GPA + ACPI_ROOM_BYTES, E820_ACPI);
	add_range(vm, ACPI_GPA + ACPI_ROOM_BYTES, HIGH_RAM_GPA, E820_RESERVED);
	add_range(vm, HIGH_RAM_GPA, low, E820_RAM);
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
	if (p2m_populate(&vm->p2m, gpa(0), low) &&
	    (high == 0 || p2m_populate(&vm->p2m, gpa(HIGH_START), high)) &&
	    p2m_populate(&vm->p2m, gpa(SPECIAL_GPA), SPECIAL_BYTES)) {
		return true;
	}
	log_line("guest %s: too little memory: it was used up on the way to %lu MiB", vm->name,
	         (unsigned long)(vm->config.memory_bytes >> 20));
	return false;
}

/* Not where something else lies: only RAM that boot_info.c does not use. */
static bool place_is_free(const struct vm *vm, const struct elf_segment *s)
{
	uint64_t end = s->paddr + s->memory_bytes;

	return s->paddr >= HIGH_RAM_GPA ? end <= low_bytes(vm)
	                                : s->paddr >= BOOT_INFO_END && end <= LOW_RAM_END;
}

static bool check_places(const struct vm *vm, const struct elf_image *image)
{
	if (image->end > low_bytes(vm)) {
		log_line("guest %s: too little memory: its kernel reaches to %lu MiB", vm->name,
		         (unsigned long)(image->end >> 20));
		return false;
	}
	for (uint32_t i = 0; i < image->segment_count; i++) {
		if (!place_is_free(vm, &image->segments[i])) {
			log_line("guest %s: its kernel wants to lie at %lx, which is not free", vm->name,
			         (unsigned long)image->segments[i].paddr);
			return false;
		}
	}
	return true;
}

static bool load_kernel(struct vm *vm, const struct host_module *module, struct elf_image *image)
{
	const uint8_t *file = host_direct(module->start);
	enum elf_status status = vm->record->kernel_kind == BLOB_KERNEL_MULTIBOOT
	                                 ? multiboot_read(file, module->bytes, image)
	                                 : elf_read_pvh(file, module->bytes, image);

	if (status != ELF_OK) {
		log_line("guest %s: its kernel %s", vm->name, elf_status_text(status));
		return false;
	}
	if (!check_places(vm, image)) {
		return false;
	}
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];

		if (!build_put(vm, s->paddr, file + s->offset, s->file_bytes)) {
			return false;
		}
	}
	return true;
}

/* Finds each module's file, and how much room all need, each from a page's start. */
static bool find_modules(const struct vm *vm, uint32_t count, const struct host_module **files,
                         uint64_t *need_bytes)
{
	*need_bytes = 0;
	for (uint32_t i = 0; i < count; i++) {
		files[i] = config_module(vm->blob, vm->record->boot_modules[i].module);
		if (files[i] == NULL) {
			log_line("guest %s: its module %u is not there", vm->name, i);
			return false;
		}
		*need_bytes += align_up(files[i]->bytes, PAGE_BYTES);
	}
	return true;
}

/* As high as Linux can reach it at first. 0 if there is no room. */
static uint64_t place_modules(const struct vm *vm, uint64_t need_bytes, uint64_t kernel_end)
{
	uint64_t top = low_bytes(vm) < BOOT_MAP_END ? low_bytes(vm) : BOOT_MAP_END;
	uint64_t first = kernel_end < HIGH_RAM_GPA ? HIGH_RAM_GPA : kernel_end;

	return first <= top && need_bytes <= top - first ? top - need_bytes : 0;
}

static bool load_modules(struct vm *vm, uint64_t kernel_end, struct boot_module *out)
{
	const struct host_module *files[BLOB_BOOT_MODULES_MAX];
	const uint32_t count = vm->record->boot_module_count;
	uint64_t need_bytes;
	uint64_t at;

	if (!find_modules(vm, count, files, &need_bytes)) {
		return false;
	}
	at = place_modules(vm, need_bytes, kernel_end);
	if (at == 0) {
		log_line("guest %s: too little memory: no room for modules of %lu KiB", vm->name,
		         (unsigned long)(need_bytes >> 10));
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		out[i] = (struct boot_module){at, files[i]->bytes};
		if (!build_put(vm, at, host_direct(files[i]->start), files[i]->bytes)) {
			return false;
		}
		at += align_up(files[i]->bytes, PAGE_BYTES);
	}
	return true;
}

static bool put_acpi(struct vm *vm, uint64_t *rsdp)
{
	static uint8_t tables[ACPI_ROOM_BYTES];
	const struct acpi_config config = {vm->config.hyperv_face, vm->config.xen_face,
	                                   vm->config.vcpu_count};

	return acpi_build(tables, sizeof(tables), ACPI_GPA, &config, rsdp) != 0 &&
	       build_put(vm, ACPI_GPA, tables, sizeof(tables));
}

/* What the kernel is told, and the registers that it is told it by. */
static bool put_boot_info(struct vm *vm, const struct elf_image *image, const struct boot_module *modules,
                          uint64_t rsdp)
{
	if (vm->record->kernel_kind == BLOB_KERNEL_MULTIBOOT) {
		vcpu_set_boot_entry(vm->vcpus[0], image->entry, MULTIBOOT_BOOTLOADER_MAGIC, BOOT_INFO_GPA);
		return boot_info_put_multiboot(vm, modules);
	}
	vcpu_set_boot_entry(vm->vcpus[0], image->entry, 0, BOOT_INFO_GPA);
	return boot_info_put_pvh(vm, modules, rsdp);
}

bool build_guest(struct vm *vm)
{
	const struct host_module *kernel = config_module(vm->blob, vm->record->kernel_module);
	struct boot_module modules[BLOB_BOOT_MODULES_MAX];
	struct elf_image image;
	uint64_t rsdp;

	if (kernel == NULL) {
		log_line("guest %s: its kernel is not there", vm->name);
		return false;
	}
	make_map(vm);
	return populate(vm) && load_kernel(vm, kernel, &image) && load_modules(vm, image.end, modules) &&
	       put_acpi(vm, &rsdp) && put_boot_info(vm, &image, modules, rsdp);
}
