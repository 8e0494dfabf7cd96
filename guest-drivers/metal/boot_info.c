/*
 * boot_info.c - see boot_info.h. Xen's arch-x86/hvm/start_info.h (PVH, versions 0 and 1); Multiboot 0.6.96,
 * section 3.3; Multiboot 2.0, section 3.6.
 */
#include "guest-drivers/metal/boot_info.h"

#define PVH_MAGIC 0x336ec578u
#define PAGE 4096u

/* ---------------------------------------------------------------- what all protocols fill */

static void add_range(struct boot_info *info, uint64_t base, uint64_t bytes, uint32_t type)
{
	if (bytes == 0 || base + bytes < base) {
		return;
	}
	if (info->range_count == BOOT_RANGES_MAX) {
		info->cut = true;
		return;
	}
	info->ranges[info->range_count++] = (struct boot_range){base, bytes, type};
}

static void add_module(struct boot_info *info, const struct memory_window *memory, uint64_t at,
                       uint64_t bytes, uint64_t name)
{
	struct boot_module *module = &info->modules[info->module_count];

	if (info->module_count == BOOT_MODULES_MAX || memory_at(memory, at, bytes) == NULL) {
		info->cut = true;
		return;
	}
	info->module_count++;
	module->at = at;
	module->bytes = bytes;
	(void)memory_read_text(memory, name, module->name, sizeof(module->name));
}

static void set_cmdline(struct boot_info *info, const struct memory_window *memory, uint64_t at)
{
	if (at != 0 && !memory_read_text(memory, at, info->cmdline, sizeof(info->cmdline))) {
		info->cut = true;
	}
}

static void set_screen(struct boot_info *info, const struct memory_window *memory,
                       struct boot_framebuffer screen, uint32_t type, uint32_t bits)
{
	uint64_t line = (uint64_t)screen.width * (type == 2 ? 2 : 4);

	screen.kind = BOOT_SCREEN_OTHER;
	if (memory_at(memory, screen.address, (uint64_t)screen.pitch * screen.height) != NULL &&
	    line <= screen.pitch && line != 0) {
		screen.kind = type == 2                 ? BOOT_SCREEN_TEXT
		              : type == 1 && bits == 32 ? BOOT_SCREEN_PIXELS
		                                        : BOOT_SCREEN_OTHER;
	}
	info->framebuffer = screen;
}

/* ---------------------------------------------------------------- PVH */

struct pvh_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp;
	uint64_t map; /* from version 1 on, as what follows */
	uint32_t map_count, reserved;
};
_Static_assert(sizeof(struct pvh_info) == 56, "pvh_info");
#define PVH_VERSION_0_BYTES offsetof(struct pvh_info, map)

struct pvh_module {
	uint64_t at, bytes, name, reserved;
};

struct pvh_range {
	uint64_t base, bytes;
	uint32_t type, reserved;
};

static bool read_pvh(struct boot_info *info, const struct memory_window *memory, uint64_t at)
{
	struct pvh_info raw = {0};
	struct pvh_module module;
	struct pvh_range range;

	if (!memory_read(memory, at, &raw, PVH_VERSION_0_BYTES) || raw.magic != PVH_MAGIC) {
		return false;
	}
	if (raw.version != 0 && !memory_read(memory, at, &raw, sizeof(raw))) {
		return false;
	}
	info->kind = BOOT_PVH;
	set_cmdline(info, memory, raw.cmdline);
	info->rsdp = raw.rsdp;
	for (uint32_t i = 0; i < raw.map_count && i < BOOT_RANGES_MAX; i++) {
		if (memory_read(memory, raw.map + i * sizeof(range), &range, sizeof(range))) {
			add_range(info, range.base, range.bytes, range.type);
		}
	}
	for (uint32_t i = 0; i < raw.module_count && i < BOOT_MODULES_MAX; i++) {
		if (memory_read(memory, raw.modules + i * sizeof(module), &module, sizeof(module))) {
			add_module(info, memory, module.at, module.bytes, module.name);
		}
	}
	info->cut |= raw.map_count > BOOT_RANGES_MAX || raw.module_count > BOOT_MODULES_MAX;
	return true;
}

/* ---------------------------------------------------------------- Multiboot 1 */

struct PACKED multiboot1_info {
	uint32_t flags, lower_kib, upper_kib, boot_device, cmdline, module_count, modules;
	uint32_t symbols[4];
	uint32_t map_bytes, map, drives_bytes, drives, config, loader, apm;
	uint32_t vbe[4];
	uint64_t screen;
	uint32_t pitch, width, height;
	uint8_t bits, type;
};
_Static_assert(sizeof(struct multiboot1_info) == 110, "multiboot1_info");

#define MB1_MEMORY BIT(0)
#define MB1_CMDLINE BIT(2)
#define MB1_MODULES BIT(3)
#define MB1_MAP BIT(6)
#define MB1_SCREEN BIT(12)
#define MB1_WITHOUT_SCREEN offsetof(struct multiboot1_info, screen)

struct multiboot1_module {
	uint32_t at, end, name, reserved;
};

struct PACKED multiboot1_range {
	uint32_t size; /* of what follows */
	uint64_t base, bytes;
	uint32_t type;
};

static void read_map1(struct boot_info *info, const struct memory_window *memory,
                      const struct multiboot1_info *raw)
{
	struct multiboot1_range range;
	uint64_t done = 0;

	if ((raw->flags & MB1_MAP) == 0) {
		if ((raw->flags & MB1_MEMORY) != 0) {
			add_range(info, 0, (uint64_t)raw->lower_kib << 10, BOOT_RAM);
			add_range(info, 0x100000, (uint64_t)raw->upper_kib << 10, BOOT_RAM);
		}
		return;
	}
	for (uint32_t i = 0; i < 2 * BOOT_RANGES_MAX && done + sizeof(range) <= raw->map_bytes; i++) {
		if (!memory_read(memory, raw->map + done, &range, sizeof(range)) ||
		    range.size < sizeof(range) - sizeof(range.size)) {
			info->cut = true;
			return;
		}
		add_range(info, range.base, range.bytes, range.type);
		done += (uint64_t)range.size + sizeof(range.size);
	}
}

static void read_modules1(struct boot_info *info, const struct memory_window *memory,
                          const struct multiboot1_info *raw)
{
	struct multiboot1_module module;

	for (uint32_t i = 0; i < raw->module_count && i < BOOT_MODULES_MAX; i++) {
		if (memory_read(memory, raw->modules + i * sizeof(module), &module, sizeof(module)) &&
		    module.end >= module.at) {
			add_module(info, memory, module.at, module.end - module.at, module.name);
		} else {
			info->cut = true;
		}
	}
	info->cut |= raw->module_count > BOOT_MODULES_MAX;
}

static bool read_multiboot1(struct boot_info *info, const struct memory_window *memory, uint64_t at)
{
	struct multiboot1_info raw = {0};
	struct boot_framebuffer screen;

	if (!memory_read(memory, at, &raw, MB1_WITHOUT_SCREEN)) {
		return false;
	}
	info->kind = BOOT_MULTIBOOT1;
	if ((raw.flags & MB1_CMDLINE) != 0) {
		set_cmdline(info, memory, raw.cmdline);
	}
	read_map1(info, memory, &raw);
	if ((raw.flags & MB1_MODULES) != 0) {
		read_modules1(info, memory, &raw);
	}
	if ((raw.flags & MB1_SCREEN) != 0 && memory_read(memory, at, &raw, sizeof(raw))) {
		screen = (struct boot_framebuffer){.address = raw.screen};
		screen.pitch = raw.pitch;
		screen.width = raw.width;
		screen.height = raw.height;
		set_screen(info, memory, screen, raw.type, raw.bits);
	}
	return true;
}

/* ---------------------------------------------------------------- Multiboot 2 */

#define MB2_BYTES_MAX (1u << 20)
#define MB2_TAGS_MAX 256u

enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_MODULE = 3,
	TAG_MAP = 6,
	TAG_SCREEN = 8,
	TAG_RSDP_OLD = 14,
	TAG_RSDP_NEW = 15,
};

struct multiboot2_tag {
	uint32_t type, size; /* with these 8 bytes */
};

struct multiboot2_module {
	struct multiboot2_tag tag;
	uint32_t at, end; /* its name follows */
};

struct multiboot2_map {
	struct multiboot2_tag tag;
	uint32_t row_bytes, row_version;
};

struct multiboot2_range {
	uint64_t base, bytes;
	uint32_t type, reserved;
};

struct PACKED multiboot2_screen {
	struct multiboot2_tag tag;
	uint64_t address;
	uint32_t pitch, width, height;
	uint8_t bits, type;
};

static void read_map2(struct boot_info *info, const struct memory_window *memory, uint64_t at, uint32_t size)
{
	struct multiboot2_map map;
	struct multiboot2_range range;

	if (size < sizeof(map) || !memory_read(memory, at, &map, sizeof(map)) ||
	    map.row_bytes < sizeof(range) || map.row_bytes > PAGE) {
		info->cut = true;
		return;
	}
	for (uint64_t row = sizeof(map); row + sizeof(range) <= size; row += map.row_bytes) {
		if (info->range_count == BOOT_RANGES_MAX ||
		    !memory_read(memory, at + row, &range, sizeof(range))) {
			info->cut = true;
			return;
		}
		add_range(info, range.base, range.bytes, range.type);
	}
}

static void read_module2(struct boot_info *info, const struct memory_window *memory, uint64_t at,
                         uint32_t size)
{
	struct multiboot2_module module;

	if (size < sizeof(module) || !memory_read(memory, at, &module, sizeof(module)) ||
	    module.end < module.at) {
		info->cut = true;
		return;
	}
	add_module(info, memory, module.at, module.end - module.at, at + sizeof(module));
}

static void read_screen2(struct boot_info *info, const struct memory_window *memory, uint64_t at,
                         uint32_t size)
{
	struct multiboot2_screen raw;
	struct boot_framebuffer screen = {0};

	if (size < sizeof(raw) || !memory_read(memory, at, &raw, sizeof(raw))) {
		info->cut = true;
		return;
	}
	screen.address = raw.address;
	screen.pitch = raw.pitch;
	screen.width = raw.width;
	screen.height = raw.height;
	set_screen(info, memory, screen, raw.type, raw.bits);
}

static void read_tag(struct boot_info *info, const struct memory_window *memory, uint64_t at,
                     struct multiboot2_tag tag)
{
	switch (tag.type) {
	case TAG_CMDLINE:
		set_cmdline(info, memory, at + sizeof(tag));
		break;
	case TAG_MODULE:
		read_module2(info, memory, at, tag.size);
		break;
	case TAG_MAP:
		read_map2(info, memory, at, tag.size);
		break;
	case TAG_SCREEN:
		read_screen2(info, memory, at, tag.size);
		break;
	case TAG_RSDP_OLD:
		info->rsdp = info->rsdp == 0 ? at + sizeof(tag) : info->rsdp;
		break;
	case TAG_RSDP_NEW:
		info->rsdp = at + sizeof(tag);
		break;
	default:
		break;
	}
}

static bool read_multiboot2(struct boot_info *info, const struct memory_window *memory, uint64_t at)
{
	struct multiboot2_tag tag;
	uint32_t total;
	uint64_t done = sizeof(tag);

	if (!memory_read(memory, at, &total, sizeof(total)) || total > MB2_BYTES_MAX ||
	    memory_at(memory, at, total) == NULL) {
		return false;
	}
	info->kind = BOOT_MULTIBOOT2;
	info->block_at = at;
	info->block_bytes = total;
	for (uint32_t i = 0; i < MB2_TAGS_MAX && done + sizeof(tag) <= total; i++) {
		if (!memory_read(memory, at + done, &tag, sizeof(tag)) || tag.type == TAG_END) {
			return true;
		}
		if (tag.size < sizeof(tag) || tag.size > total - done) {
			break;
		}
		read_tag(info, memory, at + done, tag);
		done = align_up(done + tag.size, 8);
	}
	info->cut = true;
	return true;
}

/* ---------------------------------------------------------------- all */

bool boot_info_read(struct boot_info *info, const struct memory_window *memory, uint32_t eax, uint64_t ebx)
{
	memset(info, 0, sizeof(*info));
	if (eax == MULTIBOOT_MAGIC) {
		return read_multiboot1(info, memory, ebx);
	}
	if (eax == MULTIBOOT2_MAGIC) {
		return read_multiboot2(info, memory, ebx);
	}
	return read_pvh(info, memory, ebx);
}

const char *boot_kind_name(enum boot_kind kind)
{
	static const char *const names[] = {"none", "pvh", "multiboot1", "multiboot2"};

	return (unsigned int)kind < ARRAY_COUNT(names) ? names[kind] : "none";
}

/* ---------------------------------------------------------------- free memory */

/* If [*at, *at + bytes) and [base, base + len) meet, moves *at behind the latter. True: it was moved. */
static bool step_over(uint64_t *at, uint64_t bytes, uint64_t base, uint64_t len)
{
	if (len == 0 || *at >= base + len || base >= *at + bytes) {
		return false;
	}
	*at = align_up(base + len, PAGE);
	return true;
}

/* The first place from @at on that nothing lies in; in RAM or not. Each round passes one thing for good. */
static uint64_t pass_obstacles(const struct boot_info *info, uint64_t at, uint64_t bytes)
{
	bool moved = true;

	while (moved) {
		moved = step_over(&at, bytes, info->block_at, info->block_bytes);
		for (uint32_t i = 0; i < info->module_count; i++) {
			moved |= step_over(&at, bytes, info->modules[i].at, info->modules[i].bytes);
		}
		for (uint32_t i = 0; i < info->range_count; i++) {
			if (info->ranges[i].type != BOOT_RAM) {
				moved |= step_over(&at, bytes, info->ranges[i].base, info->ranges[i].bytes);
			}
		}
	}
	return at;
}

uint64_t boot_info_find_ram(const struct boot_info *info, const struct memory_window *memory, uint64_t first,
                            uint64_t bytes)
{
	uint64_t best = 0;

	for (uint32_t i = 0; i < info->range_count; i++) {
		const struct boot_range *range = &info->ranges[i];
		uint64_t end = range->base + range->bytes;
		uint64_t at = range->base > first ? range->base : first;

		if (range->type != BOOT_RAM || range->base >= memory->bytes) {
			continue;
		}
		end = end < memory->bytes ? end : memory->bytes;
		at = pass_obstacles(info, align_up(at, PAGE), bytes);
		if (at < end && end - at >= bytes && (best == 0 || at < best)) {
			best = at;
		}
	}
	return best;
}
