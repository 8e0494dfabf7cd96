/*
 * host_paging.c - the hypervisor's own page tables (AMD64 APM 2, 5.3): the image W^X, the direct
 * map of memory never executable, stacks with a page left out below each. All CPUs share them,
 * and nothing is ever unmapped, so no TLB needs to be told.
 */
#include "base/check.h"
#include "hypervisor/arch/x86/host_internal.h"

#define PTE_P (UINT64_C(1) << 0)
#define PTE_W (UINT64_C(1) << 1)
#define PTE_PWT (UINT64_C(1) << 3)
#define PTE_PCD (UINT64_C(1) << 4)
#define PTE_PS (UINT64_C(1) << 7)
#define PTE_G (UINT64_C(1) << 8)
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

#define MAP_CODE (PTE_P | PTE_G)
#define MAP_CONST (PTE_P | PTE_G | PTE_NX)
#define MAP_DATA (PTE_P | PTE_G | PTE_NX | PTE_W)
#define MAP_DEVICE (MAP_DATA | PTE_PCD | PTE_PWT)

#define SIZE_4K (UINT64_C(1) << 12)
#define SIZE_2M (UINT64_C(1) << 21)
#define SIZE_1G (UINT64_C(1) << 30)

#define MEMORY_TYPES ((1u << HOST_MEMORY_RAM) | (1u << HOST_MEMORY_ACPI) | (1u << HOST_MEMORY_NVS))

/* Tables for host_mmio_map(), which may be called when the free list is no longer ours. */
#define RESERVE_PAGES 32u

static hpa_t root;
static hpa_t reserve;
static uint32_t reserve_left;
static bool has_1g_pages;
static bool is_booting;

static uint64_t *table_at(hpa_t at)
{
	return (uint64_t *)host_direct(at);
}

/* A zeroed page for a table; 0 if the reserve is used up. */
static hpa_t table_take(void)
{
	if (is_booting) {
		return boot_pages_take(1);
	}
	if (reserve_left == 0) {
		return hpa(0);
	}
	reserve_left--;
	return hpa(reserve.v + (uint64_t)reserve_left * PAGE_BYTES);
}

/* The entry for @va at the level whose entries span @size; NULL if no table was left to make. */
static uint64_t *entry_find(uint64_t va, uint64_t size)
{
	hpa_t table = root;
	unsigned int shift = 39;

	while ((UINT64_C(1) << shift) > size) {
		uint64_t *entry = &table_at(table)[(va >> shift) & 511u];

		if ((*entry & PTE_P) == 0) {
			hpa_t fresh = table_take();

			if (fresh.v == 0) {
				return NULL;
			}
			*entry = fresh.v | PTE_P | PTE_W;
		}
		if ((*entry & PTE_PS) != 0) {
			return NULL;
		}
		table = hpa(*entry & PTE_ADDRESS);
		shift -= 9;
	}
	return &table_at(table)[(va >> shift) & 511u];
}

static void page_map(uint64_t va, uint64_t pa, uint64_t size, uint64_t flags)
{
	uint64_t *entry = entry_find(va, size);

	CHECK(entry != NULL && *entry == 0);
	*entry = pa | flags | (size == SIZE_4K ? 0 : PTE_PS);
}

static void image_map(const uint8_t *from, const uint8_t *to, uint64_t flags)
{
	for (const uint8_t *p = from; p < to; p += SIZE_4K) {
		page_map((uint64_t)(uintptr_t)p, host_hpa_of(p).v, SIZE_4K, flags);
	}
}

static uint64_t memory_in(uint64_t start, uint64_t bytes)
{
	const struct host_boot *boot = host_boot();

	return ranges_covered(boot->map, boot->map_count, start, start + bytes, MEMORY_TYPES);
}

/*
 * The first 2 MiB in small pages, as fixed MTRRs give parts of it other types (Intel SDM 3A,
 * 11.11.9), and without page 0.
 */
static void direct_map_low(void)
{
	for (uint64_t at = SIZE_4K; at < SIZE_2M; at += SIZE_4K) {
		page_map(HOST_DIRECT_BASE + at, at, SIZE_4K,
		         memory_in(at, SIZE_4K) != 0 ? MAP_DATA : MAP_DEVICE);
	}
}

/* [start, end) in the largest pages that do not mix memory with the rest. */
static void direct_map_span(uint64_t start, uint64_t end, bool with_devices)
{
	uint64_t at = start;

	while (at < end) {
		uint64_t size = SIZE_2M;
		uint64_t memory;

		if (has_1g_pages && (at & (SIZE_1G - 1)) == 0 && end - at >= SIZE_1G) {
			memory = memory_in(at, SIZE_1G);
			size = memory == SIZE_1G || memory == 0 ? SIZE_1G : SIZE_2M;
		}
		memory = memory_in(at, size);
		if (memory != 0 || with_devices) {
			page_map(HOST_DIRECT_BASE + at, at, size, memory != 0 ? MAP_DATA : MAP_DEVICE);
		}
		at += size;
	}
}

/* Above 4 GiB only what the map lists: the space between may be devices or nothing. */
static void direct_map_high(void)
{
	const struct host_boot *boot = host_boot();
	uint64_t done = 4 * SIZE_1G;

	for (uint32_t i = 0; i < boot->map_count; i++) {
		uint64_t start = boot->map[i].start.v & ~(SIZE_2M - 1);
		uint64_t end = boot->map[i].start.v + boot->map[i].bytes;

		end = (end + SIZE_2M - 1) & ~(SIZE_2M - 1);
		start = start > done ? start : done;
		end = end < HOST_DIRECT_BYTES ? end : HOST_DIRECT_BYTES;
		if ((MEMORY_TYPES & (1u << boot->map[i].type)) != 0 && start < end) {
			direct_map_span(start, end, false);
			done = end;
		}
	}
}

void paging_start(void)
{
	is_booting = true;
	has_1g_pages = (cpu_id(0x80000001, 0).edx & (1u << 26)) != 0;
	root = boot_pages_take(1);
	reserve = boot_pages_take(RESERVE_PAGES);
	reserve_left = RESERVE_PAGES;
	image_map(image_start, image_text_end, MAP_CODE);
	image_map(image_text_end, image_rodata_end, MAP_CONST);
	image_map(image_rodata_end, image_end, MAP_DATA);
	direct_map_low();
	direct_map_span(SIZE_2M, 4 * SIZE_1G, true);
	direct_map_high();
	cr3_write(root.v);
}

void paging_seal(void)
{
	is_booting = false;
}

uint64_t paging_root(void)
{
	return root.v;
}

/* Pages from the slot's start to a stack's first page: a page left out stands before each. */
static uint64_t stack_first_page(unsigned int which)
{
	return which == 0 ? 1 : 2 + STACK_MAIN_PAGES + (which - 1) * (STACK_IST_PAGES + 1);
}

static uint64_t stack_pages(unsigned int which)
{
	return which == 0 ? STACK_MAIN_PAGES : STACK_IST_PAGES;
}

static uint64_t stack_slot(unsigned int cpu)
{
	return HOST_STACKS_BASE + (uint64_t)cpu * STACK_SLOT_PAGES * PAGE_BYTES;
}

uint64_t paging_stack_top(unsigned int cpu, unsigned int which)
{
	return stack_slot(cpu) + (stack_first_page(which) + stack_pages(which)) * PAGE_BYTES;
}

void paging_map_stacks(unsigned int cpu)
{
	for (unsigned int which = 0; which <= STACK_IST_COUNT; which++) {
		hpa_t pages = boot_pages_take(stack_pages(which));
		uint64_t va = stack_slot(cpu) + stack_first_page(which) * PAGE_BYTES;

		for (uint64_t i = 0; i < stack_pages(which); i++) {
			page_map(va + i * PAGE_BYTES, pages.v + i * PAGE_BYTES, SIZE_4K, MAP_DATA);
		}
	}
}

bool paging_is_guard(uint64_t address)
{
	uint64_t slots = (uint64_t)HOST_CPUS_MAX * STACK_SLOT_PAGES * PAGE_BYTES;
	uint64_t page = (address - HOST_STACKS_BASE) / PAGE_BYTES % STACK_SLOT_PAGES;

	if (address < HOST_STACKS_BASE || address >= HOST_STACKS_BASE + slots) {
		return false;
	}
	for (unsigned int which = 0; which <= STACK_IST_COUNT; which++) {
		if (page + 1 == stack_first_page(which)) {
			return true;
		}
	}
	return false;
}

/* Only the 2 MiB pages that are not there yet: several devices may share one. */
static bool mmio_map_high(uint64_t start, uint64_t end)
{
	for (uint64_t at = start & ~(SIZE_2M - 1); at < end; at += SIZE_2M) {
		uint64_t *entry = entry_find(HOST_DIRECT_BASE + at, SIZE_2M);

		/* A page that memory has a part in is cached: no place for registers. */
		if (entry == NULL || (*entry != 0 && (*entry & PTE_PCD) == 0)) {
			return false;
		}
		*entry = at | MAP_DEVICE | PTE_PS;
	}
	return true;
}

void *host_mmio_map(hpa_t at, uint64_t bytes)
{
	uint64_t end = at.v + bytes;

	if (bytes == 0 || end < at.v || end > HOST_DIRECT_BYTES || memory_in(at.v, bytes) != 0) {
		return NULL;
	}
	if (end > 4 * SIZE_1G) {
		uint64_t start = at.v > 4 * SIZE_1G ? at.v : 4 * SIZE_1G;

		if (!mmio_map_high(start, end)) {
			return NULL;
		}
	}
	return host_direct(at);
}
