/*
 * boot_info.h - what the loader said, by whichever of three protocols, as one struct: copied, every
 * count cut to its array, every address checked against the window.
 *
 * Pure: no instruction but loads from the window, so tests run it on made-up memory.
 */
#ifndef GUEST_DRIVERS_METAL_BOOT_INFO_H
#define GUEST_DRIVERS_METAL_BOOT_INFO_H

#include "guest-drivers/metal/memory.h"

#define MULTIBOOT_MAGIC 0x2badb002u
#define MULTIBOOT2_MAGIC 0x36d76289u

#define BOOT_CMDLINE_BYTES 1024u
#define BOOT_RANGES_MAX 128u
#define BOOT_MODULES_MAX 16u
#define BOOT_NAME_BYTES 128u
#define BOOT_RAM 1u /* a range's type, as in the PC's and in Xen's memory map; all others are no RAM */

enum boot_kind {
	BOOT_NONE, /* not understood: all else is empty */
	BOOT_PVH,
	BOOT_MULTIBOOT1,
	BOOT_MULTIBOOT2,
};

struct boot_range {
	uint64_t base, bytes; /* bytes is not 0, the end does not wrap */
	uint32_t type;
};

struct boot_module {
	uint64_t at, bytes; /* in the window */
	char name[BOOT_NAME_BYTES]; /* its string, perhaps cut */
};

enum boot_screen {
	BOOT_SCREEN_UNKNOWN, /* nothing was said */
	BOOT_SCREEN_TEXT, /* cells of 2 bytes: character, attribute */
	BOOT_SCREEN_PIXELS, /* 32 bits each */
	BOOT_SCREEN_OTHER, /* there is one, of a kind that is not used here */
};

struct boot_framebuffer {
	enum boot_screen kind;
	uint64_t address;
	uint32_t pitch; /* bytes from one line to the next */
	uint32_t width, height; /* in pixels, or in characters; the whole is in the window */
};

struct boot_info {
	enum boot_kind kind;
	char cmdline[BOOT_CMDLINE_BYTES];
	bool cut; /* something did not fit its array, or lay outside the window */
	uint32_t range_count;
	struct boot_range ranges[BOOT_RANGES_MAX];
	uint32_t module_count;
	struct boot_module modules[BOOT_MODULES_MAX];
	uint64_t rsdp; /* where it is, or a copy of it; 0: not said */
	struct boot_framebuffer framebuffer;
	uint64_t block_at,
	        block_bytes; /* the loader's own words, which @rsdp may lie in; 0: nowhere to keep */
};

/*
 * Reads what a loader left with @eax and @ebx in the registers of that name. False: by no known
 * protocol, info->kind is BOOT_NONE.
 */
bool boot_info_read(struct boot_info *info, const struct memory_window *memory, uint32_t eax, uint64_t ebx);

/* "pvh", "multiboot1", "multiboot2" or "none". */
const char *boot_kind_name(enum boot_kind kind);

/*
 * Finds @bytes (of whole pages) of RAM that nothing lies in: not before @first and within the window,
 * no module, not the loader's words. As near to @first as can be. 0: nowhere.
 */
uint64_t boot_info_find_ram(const struct boot_info *info, const struct memory_window *memory, uint64_t first,
                            uint64_t bytes);

#endif /* GUEST_DRIVERS_METAL_BOOT_INFO_H */
