/*
 * host_main.c - the order in which the host side comes up on the boot CPU, and the memory that it
 * keeps for itself. Ends in core's janus_main().
 */
#include "base/check.h"
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"
#include "hypervisor/drivers/uart.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

static struct host_boot boot;

const struct host_boot *host_boot(void)
{
	return &boot;
}

/* RAM in whole pages, less everything that the map or we ourselves say is taken. */
static void free_list_make(void)
{
	for (uint32_t i = 0; i < boot.map_count; i++) {
		struct host_range range = boot.map[i];
		uint64_t start = (range.start.v + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
		uint64_t end = (range.start.v + range.bytes) & ~(uint64_t)PAGE_MASK;

		if (end > HOST_DIRECT_BYTES) {
			end = HOST_DIRECT_BYTES;
		}
		if (range.type == HOST_MEMORY_RAM && end > start) {
			range = (struct host_range){hpa(start), end - start, HOST_MEMORY_RAM};
			(void)ranges_add(boot.free, &boot.free_count, range);
		}
	}
	for (uint32_t i = 0; i < boot.map_count; i++) {
		if (boot.map[i].type != HOST_MEMORY_RAM) {
			uint64_t end = boot.map[i].start.v + boot.map[i].bytes;

			ranges_subtract(boot.free, &boot.free_count,
			                boot.map[i].start.v & ~(uint64_t)PAGE_MASK,
			                (end + PAGE_MASK) & ~(uint64_t)PAGE_MASK);
		}
	}
}

static void free_list_reserve(void)
{
	ranges_subtract(boot.free, &boot.free_count, 0, MIB);
	ranges_subtract(boot.free, &boot.free_count, boot.image_start.v,
	                boot.image_start.v + boot.image_bytes);
	for (uint32_t i = 0; i < boot.module_count; i++) {
		uint64_t end = boot.modules[i].start.v + boot.modules[i].bytes;

		ranges_subtract(boot.free, &boot.free_count, boot.modules[i].start.v & ~(uint64_t)PAGE_MASK,
		                (end + PAGE_MASK) & ~(uint64_t)PAGE_MASK);
	}
}

hpa_t boot_pages_take(uint64_t pages)
{
	uint64_t bytes = pages * PAGE_BYTES;

	for (uint32_t i = boot.free_count; i > 0; i--) {
		struct host_range *range = &boot.free[i - 1];
		uint64_t end = range->start.v + range->bytes;

		end = end < 4 * GIB ? end : 4 * GIB;
		if (range->start.v < end && end - range->start.v >= bytes) {
			ranges_subtract(boot.free, &boot.free_count, end - bytes, end);
			memset(host_direct(hpa(end - bytes)), 0, bytes);
			return hpa(end - bytes);
		}
	}
	PANIC("no memory below 4 GiB for %lu pages of page tables and stacks", pages);
}

static bool low_page_is_free(uint64_t at)
{
	if (ranges_covered(boot.map, boot.map_count, at, at + PAGE_BYTES, 1u << HOST_MEMORY_RAM) !=
	    PAGE_BYTES) {
		return false;
	}
	if (ranges_covered(boot.map, boot.map_count, at, at + PAGE_BYTES, ~(1u << HOST_MEMORY_RAM)) != 0) {
		return false;
	}
	for (uint32_t i = 0; i < boot.module_count; i++) {
		if (boot.modules[i].start.v < at + PAGE_BYTES &&
		    boot.modules[i].start.v + boot.modules[i].bytes > at) {
			return false;
		}
	}
	return true;
}

hpa_t boot_low_page(void)
{
	for (uint64_t at = 0x9f000; at >= PAGE_BYTES; at -= PAGE_BYTES) {
		if (low_page_is_free(at)) {
			return hpa(at);
		}
	}
	return hpa(0);
}

/* On the boot CPU's own guarded stack from here on. */
static void boot_go_on(void)
{
	apic_start();
	time_start();
	paging_seal();
	janus_main();
}

NORETURN void host_boot_enter(uint64_t information)
{
	(void)uart_init();
	irq_pic_disable();
	cpu_start(0, 0, false);
	cpu_features_start();
	if (information == 0 || information >= 4 * GIB) {
		PANIC("boot information at %lx", information);
	}
	multiboot2_parse(host_direct(hpa(information)), &boot);
	boot.image_start = host_hpa_of(image_start);
	boot.image_bytes = (uint64_t)(image_end - image_start);
	free_list_make();
	free_list_reserve();
	paging_start();
	acpi_start();
	apic_find();
	smp_find();
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++) {
		paging_map_stacks(cpu);
	}
	cpu_use_stacks(0);
	boot_switch_stack(paging_stack_top(0, 0), boot_go_on);
}
