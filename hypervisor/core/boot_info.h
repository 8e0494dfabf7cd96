/*
 * boot_info.h - what a guest's kernel finds in low memory when it starts: command line, memory map, modules.
 */
#ifndef CORE_BOOT_INFO_H
#define CORE_BOOT_INFO_H

#include "hypervisor/core/machine.h"

/* All of it lies here; no kernel may be loaded there. */
#define BOOT_INFO_GPA 0x1000u
#define BOOT_INFO_END 0x4000u

/* RAM below the hole at 640 KiB, and from 1 MiB on. */
#define LOW_RAM_END 0xA0000u
#define HIGH_RAM_GPA 0x100000u

/* A boot module, as it was put into the guest's memory. Its words are in the guest's record. */
struct boot_module {
	uint64_t paddr;
	uint64_t size;
};

/*
 * Writes Xen's start_info, or Multiboot's information, for the first vCPU of @vm, whose map and record say the rest:
 * @modules has boot_module_count rows. False if the memory is not there. Control path; nothing of @vm runs.
 */
MUST_CHECK bool boot_info_put_pvh(struct vm *vm, const struct boot_module *modules, uint64_t rsdp);
MUST_CHECK bool boot_info_put_multiboot(struct vm *vm, const struct boot_module *modules);

/* build.c: vm_write() without its limit of 64 KiB. */
MUST_CHECK bool build_put(struct vm *vm, uint64_t to, const void *from, uint64_t len);

#endif /* CORE_BOOT_INFO_H */
