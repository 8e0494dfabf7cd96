/*
 * kinds.c - says how it was started and what it was given: by Xen's PVH protocol or by Multiboot
 * (which of them the registers tell), the command line, memory, and modules with their sums.
 *
 * Options: any.
 */
#include "base/blob.h"
#include "guest-drivers/metal/cpu.h"

#define E820_RAM 1u
#define MODULES_MAX 16u

struct pvh_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t map_count;
};

struct pvh_module {
	uint64_t at, bytes, string, reserved;
};

struct pvh_memory {
	uint64_t base, bytes;
	uint32_t type, reserved;
};

struct multiboot_info {
	uint32_t flags, lower_kib, upper_kib, boot_device, cmdline, module_count, modules;
	uint32_t symbols[4];
	uint32_t map_bytes, map, drives_bytes, drives, config, loader;
};

struct multiboot_module {
	uint32_t at, end, string, reserved;
};

struct PACKED multiboot_memory {
	uint32_t size;
	uint64_t base, bytes;
	uint32_t type;
};

#define MULTIBOOT_ALL (0x1u | 0x4u | 0x8u | 0x40u | 0x200u)

static uint32_t filled[2] = {0x12345678u, 0x9abcdef0u};
static uint32_t zeroed[2048];
static bool all_right = true;
static uint64_t ram_kib;
static uint64_t last_end; /* of the module before */

static void expect(bool holds, const char *what)
{
	if (!holds) {
		report("wrong=%s", what);
		all_right = false;
	}
}

static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static size_t text_bytes(const char *text)
{
	size_t count = 0;

	while (text[count] != 0) {
		count++;
	}
	return count;
}

static void report_cmdline(const char *line)
{
	size_t bytes = text_bytes(line);

	report("cmdline=%lu %lx", (unsigned long)bytes, (unsigned long)blob_crc32(line, bytes));
}

static void report_module(unsigned int index, uint64_t start, uint64_t bytes, const char *string)
{
	const char letter[2] = {(char)('a' + index), 0};

	expect(start % 4096 == 0, "a module does not start on a page");
	expect(start >= last_end && start >= 0x100000, "a module lies over something");
	last_end = start + bytes;
	report("module_%s=%lu %lx %s", letter, (unsigned long)bytes, (unsigned long)blob_crc32(at(start), bytes),
	       string);
}

static void add_range(uint64_t base, uint64_t bytes, uint32_t type)
{
	ram_kib += type == E820_RAM ? bytes >> 10 : 0;
	expect(base + bytes > base, "a range of memory is empty");
}

static void read_pvh(void)
{
	const struct pvh_info *info = at(boot_registers.ebx);
	const struct pvh_module *modules = at(info->modules);
	const struct pvh_memory *map = at(info->map);

	report("boot=pvh");
	report_cmdline(at(info->cmdline));
	for (unsigned int i = 0; i < info->map_count; i++) {
		add_range(map[i].base, map[i].bytes, map[i].type);
	}
	report("modules=%u", info->module_count);
	for (unsigned int i = 0; i < info->module_count && i < MODULES_MAX; i++) {
		report_module(i, modules[i].at, modules[i].bytes,
		              modules[i].string == 0 ? "" : at(modules[i].string));
	}
	expect(*(const uint64_t *)at(info->rsdp) == 0x2052545020445352u, "no RSDP where start_info says");
}

static void read_multiboot(void)
{
	const struct multiboot_info *info = at(boot_registers.ebx);
	const struct multiboot_module *modules = at(info->modules);

	report("boot=multiboot");
	expect(info->flags == MULTIBOOT_ALL, "the information is not what was to be given");
	report_cmdline(at(info->cmdline));
	report("lower=%u", info->lower_kib);
	report("upper=%u", info->upper_kib);
	report("loader=%s", (const char *)at(info->loader));
	for (uint32_t done = 0; done < info->map_bytes;) {
		struct multiboot_memory row;

		memcpy(&row, at(info->map + done), sizeof(row));
		add_range(row.base, row.bytes, row.type);
		expect(row.size == sizeof(row) - sizeof(row.size), "a range of memory has another size");
		done += row.size + (uint32_t)sizeof(row.size);
	}
	report("modules=%u", info->module_count);
	for (unsigned int i = 0; i < info->module_count && i < MODULES_MAX; i++) {
		report_module(i, modules[i].at, modules[i].end - modules[i].at, at(modules[i].string));
	}
}

/* As ACPI says for a computer with a BIOS: a Multiboot guest is not told where the RSDP is. */
static void find_rsdp(void)
{
	for (uintptr_t place = 0xe0000; place < 0x100000; place += 16) {
		if (*(const uint64_t *)at(place) == 0x2052545020445352u) {
			report("rsdp=%lx", (unsigned long)place);
			return;
		}
	}
	expect(false, "no RSDP below 1 MiB");
}

void program_main(void)
{
	if (boot_registers.eax == MULTIBOOT_MAGIC) {
		read_multiboot();
	} else {
		read_pvh();
	}
	find_rsdp();
	report("face=%s", face_name());
	report("ram=%lu", (unsigned long)ram_kib);
	expect(((volatile uint32_t *)filled)[1] == 0x9abcdef0u, "the data is not loaded");
	for (unsigned int i = 0; i < ARRAY_COUNT(zeroed); i++) {
		expect(((volatile uint32_t *)zeroed)[i] == 0, "the bss is not zero");
	}
	finish(all_right);
}
