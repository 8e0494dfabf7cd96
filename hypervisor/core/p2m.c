/*
 * p2m.c - see p2m.h. Four levels of 512 entries; leaves of 4 KiB (level 0), 2 MiB (1), and 1 GiB (2) where the CPU has them.
 *
 * SVM's and EPT's entries agree in what is read here: bit 0 is set if present, bit 1 if writable, bit 7
 * marks a leaf above level 0, bits 51:12 are the address. They are made by hvm->page_entry() only.
 */
#include "hypervisor/core/p2m.h"

#include "base/bits.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/arch/x86/hvm_ops.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"

#define ENTRY_PRESENT BIT64(0)
#define ENTRY_WRITABLE BIT64(1)
#define ENTRY_LARGE BIT64(7)
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define LARGE_BYTES 0x200000ull
#define HUGE_BYTES 0x40000000ull
#define RAM_ACCESS (HVM_PAGE_READ | HVM_PAGE_WRITE | HVM_PAGE_EXECUTE)

static bool has_huge; /* leaves of 1 GiB may be made */

void p2m_allow_huge(bool allowed)
{
	has_huge = allowed;
}

static uint64_t *table_at(uint64_t entry)
{
	return host_direct(hpa(entry & ENTRY_ADDRESS));
}

static unsigned int index_at(gpa_t at, unsigned int level)
{
	return (unsigned int)(at.v >> (12 + 9 * level)) & 511u;
}

static uint64_t leaf_bytes(unsigned int level)
{
	return (uint64_t)PAGE_BYTES << (9 * level);
}

static enum hvm_page_size leaf_size(unsigned int level)
{
	return level == 0 ? HVM_PAGE_4K : level == 1 ? HVM_PAGE_2M : HVM_PAGE_1G;
}

static uint64_t entry_load(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static void entry_store(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* A leaf where there may be one: CPUs may hold what it said. What was absent is never cached, and needs nothing. */
static void leaf_replace(struct p2m *p2m, uint64_t *slot, uint64_t value)
{
	bool was_there = *slot != 0;

	entry_store(slot, value);
	if (was_there) {
		tlb_space_changed(&p2m->space);
	}
}

bool p2m_create(struct p2m *p2m, uint16_t owner)
{
	struct vm_page *root = frames_alloc(0, FRAME_HOST, owner);

	if (root == NULL) {
		return false;
	}
	memset(p2m, 0, sizeof(*p2m));
	spin_init(&p2m->lock, RANK_MEMORY);
	p2m->owner = owner;
	p2m->root = frames_hpa(root);
	tlb_space_init(&p2m->space);
	return true;
}

/* What a leaf at @level shows at @at. */
static inline struct p2m_view view_of(uint64_t leaf, gpa_t at, unsigned int level)
{
	uint64_t inside = leaf_bytes(level) - 1;

	return (struct p2m_view){
	        .page = frames_page(hpa((leaf & ENTRY_ADDRESS & ~inside) + (at.v & inside))),
	        .writable = (leaf & ENTRY_WRITABLE) != 0,
	};
}

struct p2m_view p2m_find(const struct p2m *p2m, gpa_t at)
{
	const struct p2m_view nothing = {NULL, false};
	uint64_t entry = p2m->root.v;

	if (at.v >> P2M_ADDRESS_BITS != 0) {
		return nothing;
	}
	for (unsigned int level = 3;; level--) {
		entry = entry_load(&table_at(entry)[index_at(at, level)]);
		if ((entry & ENTRY_PRESENT) == 0) {
			return nothing;
		}
		if (level == 0 || (entry & ENTRY_LARGE) != 0) {
			return view_of(entry, at, level);
		}
	}
}

/*
 * Makes of the large leaf at @level 512 entries of the level below, with the same meaning. False without memory.
 *
 * No change for tlb.h: a CPU that still holds the large translation reads and writes the same bytes with the same rights
 * by it. When one of the small entries changes later, that change's flush drops the large one too, as no flush here
 * is for a single page.
 */
static bool split_large(struct p2m *p2m, uint64_t *slot, unsigned int level)
{
	struct vm_page *table = frames_alloc(0, FRAME_HOST, p2m->owner);
	uint64_t base = *slot & ENTRY_ADDRESS & ~(leaf_bytes(level) - 1);

	if (table == NULL) {
		return false;
	}
	for (unsigned int i = 0; i < 512; i++) {
		((uint64_t *)(void *)table->bytes)[i] = hvm->page_entry(hpa(base + i * leaf_bytes(level - 1)),
		                                                        leaf_size(level - 1), RAM_ACCESS);
	}
	entry_store(slot, hvm->page_entry(frames_hpa(table), HVM_PAGE_TABLE, 0));
	return true;
}

/* The entry for @at at @level, tables made as needed. NULL without memory. Under the lock. */
static uint64_t *entry_for(struct p2m *p2m, gpa_t at, unsigned int level)
{
	uint64_t *table = host_direct(p2m->root);

	for (unsigned int here = 3; here > level; here--) {
		uint64_t *slot = &table[index_at(at, here)];
		uint64_t entry = *slot;

		if ((entry & ENTRY_PRESENT) == 0) {
			struct vm_page *page = frames_alloc(0, FRAME_HOST, p2m->owner);

			if (page == NULL) {
				return NULL;
			}
			entry_store(slot, hvm->page_entry(frames_hpa(page), HVM_PAGE_TABLE, 0));
		} else if ((entry & ENTRY_LARGE) != 0 && !split_large(p2m, slot, here)) {
			return NULL;
		}
		table = table_at(*slot);
	}
	return &table[index_at(at, level)];
}

/* A leaf of RAM at @level, where nothing is yet. */
static bool place_leaf(struct p2m *p2m, gpa_t at, unsigned int level, const struct vm_page *page)
{
	uint64_t *slot;

	spin_lock(&p2m->lock);
	slot = entry_for(p2m, at, level);
	if (slot != NULL) {
		entry_store(slot, hvm->page_entry(frames_hpa(page), leaf_size(level), RAM_ACCESS));
		p2m->ram_pages += leaf_bytes(level) >> PAGE_SHIFT;
	}
	spin_unlock(&p2m->lock);
	return slot != NULL;
}

static bool populate_large(struct p2m *p2m, gpa_t at)
{
	struct vm_page *page = frames_alloc(FRAME_ORDER_2M, FRAME_RAM, p2m->owner);

	if (page == NULL) {
		return false;
	}
	if (!place_leaf(p2m, at, 1, page)) {
		frames_free(page, FRAME_ORDER_2M);
		return false;
	}
	cpu_breathe();
	return true;
}

/* All blocks of 2 MiB of a leaf at @level. */
static void free_blocks(struct vm_page *page, unsigned int level)
{
	for (uint64_t i = 0; i < leaf_bytes(level) >> PAGE_SHIFT; i += LARGE_BYTES >> PAGE_SHIFT) {
		frames_free(page + i, FRAME_ORDER_2M);
		cpu_breathe();
	}
}

/* Zeroed block by block, so that interrupts are let in between. */
static bool populate_huge(struct p2m *p2m, gpa_t at)
{
	struct vm_page *page = frames_reserve(FRAME_ORDER_1G);

	if (page == NULL) {
		return false;
	}
	for (uint64_t i = 0; i < HUGE_BYTES >> PAGE_SHIFT; i += LARGE_BYTES >> PAGE_SHIFT) {
		frames_open(page + i, FRAME_ORDER_2M, FRAME_RAM, p2m->owner);
		cpu_breathe();
	}
	if (!place_leaf(p2m, at, 2, page)) {
		free_blocks(page, 2);
		return false;
	}
	p2m->huge_count++;
	return true;
}

static void note_top(struct p2m *p2m, uint64_t gfn)
{
	p2m->max_gfn = gfn > p2m->max_gfn ? gfn : p2m->max_gfn;
}

bool p2m_populate(struct p2m *p2m, gpa_t from, uint64_t bytes)
{
	uint64_t end = from.v + bytes;

	note_top(p2m, (end >> PAGE_SHIFT) - 1);
	p2m->ram_max_pages += bytes >> PAGE_SHIFT;
	for (uint64_t at = from.v; at < end;) {
		if (has_huge && at % HUGE_BYTES == 0 && end - at >= HUGE_BYTES &&
		    populate_huge(p2m, gpa(at))) {
			at += HUGE_BYTES;
		} else if (at % LARGE_BYTES == 0 && end - at >= LARGE_BYTES && populate_large(p2m, gpa(at))) {
			at += LARGE_BYTES;
		} else if (p2m_give(p2m, gpa(at)) == P2M_OK) {
			at += PAGE_BYTES;
		} else {
			return false;
		}
	}
	return true;
}

static struct p2m_overlay *overlay_at(struct p2m *p2m, uint64_t gfn)
{
	for (uint32_t i = 0; i < p2m->overlay_count; i++) {
		if (p2m->overlays[i].page != NULL && p2m->overlays[i].gfn == gfn) {
			return &p2m->overlays[i];
		}
	}
	return NULL;
}

static struct p2m_overlay *overlay_free(struct p2m *p2m)
{
	for (uint32_t i = 0; i < p2m->overlay_count; i++) {
		if (p2m->overlays[i].page == NULL) {
			return &p2m->overlays[i];
		}
	}
	return p2m->overlay_count < P2M_OVERLAY_MAX ? &p2m->overlays[p2m->overlay_count++] : NULL;
}

static struct vm_page *leaf_page(uint64_t entry)
{
	return (entry & ENTRY_PRESENT) == 0 ? NULL : frames_page(hpa(entry & ENTRY_ADDRESS));
}

static enum p2m_result give_locked(struct p2m *p2m, gpa_t at, struct vm_page *page)
{
	uint64_t *slot = entry_for(p2m, at, 0);
	struct p2m_overlay *over = overlay_at(p2m, at.v >> PAGE_SHIFT);

	if (slot == NULL) {
		return P2M_FULL;
	}
	if (over != NULL) {
		if (over->below != NULL) {
			return P2M_OCCUPIED;
		}
		over->below = page;
	} else {
		if ((*slot & ENTRY_PRESENT) != 0) {
			return P2M_OCCUPIED;
		}
		entry_store(slot, hvm->page_entry(frames_hpa(page), HVM_PAGE_4K, RAM_ACCESS));
	}
	p2m->ram_pages++;
	note_top(p2m, at.v >> PAGE_SHIFT);
	return P2M_OK;
}

enum p2m_result p2m_give(struct p2m *p2m, gpa_t at)
{
	struct vm_page *page = frames_alloc(0, FRAME_RAM, p2m->owner);
	enum p2m_result result;

	if (page == NULL) {
		return P2M_FULL;
	}
	spin_lock(&p2m->lock);
	result = give_locked(p2m, at, page);
	spin_unlock(&p2m->lock);
	if (result != P2M_OK) {
		frames_free(page, 0);
	}
	return result;
}

enum p2m_result p2m_take(struct p2m *p2m, gpa_t at, struct vm_page **taken)
{
	struct p2m_overlay *over;
	struct vm_page *page = NULL;
	uint64_t *slot;

	*taken = NULL;
	if (p2m_find(p2m, at).page == NULL) {
		return P2M_NOTHING; /* do not build tables for what is not there */
	}
	spin_lock(&p2m->lock);
	slot = entry_for(p2m, at, 0);
	over = overlay_at(p2m, at.v >> PAGE_SHIFT);
	if (over != NULL) {
		page = over->below;
		over->below = NULL;
	} else if (slot != NULL) {
		page = leaf_page(*slot);
		leaf_replace(p2m, slot, 0);
	}
	if (page != NULL) {
		p2m->ram_pages--;
	}
	spin_unlock(&p2m->lock);
	if (page != NULL) {
		*taken = page;
		return P2M_OK;
	}
	return slot == NULL ? P2M_FULL : P2M_NOTHING;
}

/* Under the lock. False if it shows nowhere. */
static bool hide_locked(struct p2m *p2m, struct vm_page *page)
{
	struct p2m_overlay *over;
	uint64_t *slot;

	if (page->shown_at == FRAME_SHOWN_NOWHERE) {
		return false;
	}
	over = overlay_at(p2m, page->shown_at >> PAGE_SHIFT);
	slot = entry_for(p2m, gpa(page->shown_at), 0);
	CHECK(over != NULL && over->page == page && slot != NULL);
	leaf_replace(p2m, slot,
	             over->below == NULL ? 0
	                                 : hvm->page_entry(frames_hpa(over->below), HVM_PAGE_4K, RAM_ACCESS));
	over->page = NULL;
	over->below = NULL;
	page->shown_at = FRAME_SHOWN_NOWHERE;
	return true;
}

static enum p2m_result show_locked(struct p2m *p2m, struct vm_page *page, gpa_t at, uint32_t access)
{
	struct p2m_overlay *over = overlay_at(p2m, at.v >> PAGE_SHIFT);
	uint64_t *slot = entry_for(p2m, at, 0);

	if (over != NULL) {
		if (over->page != page) {
			return P2M_OCCUPIED;
		}
	} else {
		over = slot == NULL ? NULL : overlay_free(p2m);
		if (over == NULL) {
			return P2M_FULL;
		}
		(void)hide_locked(p2m, page);
		over->page = page;
		over->gfn = at.v >> PAGE_SHIFT;
		over->below = leaf_page(*slot);
	}
	page->shown_at = at.v & ~(uint64_t)PAGE_MASK;
	page->access = (uint8_t)access;
	if (slot != NULL) {
		leaf_replace(p2m, slot, hvm->page_entry(frames_hpa(page), HVM_PAGE_4K, access));
	}
	return P2M_OK;
}

enum p2m_result p2m_show(struct p2m *p2m, struct vm_page *page, gpa_t at, uint32_t access)
{
	enum p2m_result result;

	spin_lock(&p2m->lock);
	result = show_locked(p2m, page, at, access);
	spin_unlock(&p2m->lock);
	return result;
}

bool p2m_hide(struct p2m *p2m, struct vm_page *page)
{
	bool shown;

	spin_lock(&p2m->lock);
	shown = hide_locked(p2m, page);
	spin_unlock(&p2m->lock);
	return shown;
}

/* No CPU can reach it any more: each has passed since the guest's last vCPU left it. Only a pin can hold it. */
static void free_ram(struct vm_page *page)
{
	if (page->kind != FRAME_RAM) {
		return; /* a page of ours: its own end comes apart */
	}
	if (__atomic_load_n(&page->pin_count, __ATOMIC_ACQUIRE) == 0) {
		frames_free(page, 0);
	} else {
		frames_retire(page);
	}
}

/* Frees all below @entry, whose tables are of @level. Depth is that of the table: four. */
static void destroy_level(uint64_t entry, unsigned int level)
{
	uint64_t *table = table_at(entry);

	for (unsigned int i = 0; i < 512; i++) {
		uint64_t child = table[i];

		if ((child & ENTRY_PRESENT) == 0) {
			continue;
		}
		if (level == 0) {
			struct vm_page *page = leaf_page(child);

			if (page != NULL) {
				free_ram(page);
			}
		} else if ((child & ENTRY_LARGE) != 0) {
			free_blocks(frames_page(hpa(child & ENTRY_ADDRESS & ~(leaf_bytes(level) - 1))),
			            level);
		} else {
			destroy_level(child, level - 1);
			cpu_breathe();
		}
	}
	frames_free(frames_page(hpa(entry & ENTRY_ADDRESS)), 0);
}

void p2m_destroy(struct p2m *p2m)
{
	for (uint32_t i = 0; i < p2m->overlay_count; i++) {
		CHECK(p2m->overlays[i].page == NULL);
	}
	destroy_level(p2m->root.v, 3);
	p2m->root = hpa(0);
	p2m->ram_pages = 0;
}
