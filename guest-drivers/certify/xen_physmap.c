/*
 * xen_physmap.c - probes of specs/xen_memory.def that place Xen's pages among the guest's, and of the memory map.
 */
#include "guest-drivers/certify/xen_memory.h"

#define ENTRIES_MAX 128u
#define ENTRIES_FAR_TOO_MANY 0x10000000u
#define FIRST_FREE_FRAME XEN_GRANT_FRAMES /* of the grant table: the driver has those below */
#define MANY_PLACES 100u /* more than one exit does */
#define MARK 0x4A414E5553ull
#define AT_MARK offsetof(struct xen_shared_info64, arch[5]) /* of no use to such guests */

int64_t memory_type(struct xen_guest *x, uint64_t gfn)
{
	struct xen_hvm_mem_type type = {.domid = DOMID_SELF, .pfn = gfn};
	int64_t error = xen_call_struct(x, __HYPERVISOR_hvm_op, HVMOP_get_mem_type, &type, sizeof(type));

	return error != 0 ? error : type.mem_type;
}

void check_type(struct probe *p, struct xen_guest *x, uint64_t gfn, uint32_t wanted, const char *what)
{
	int64_t type = memory_type(x, gfn);

	if (type != -XEN_ENOSYS) {
		(void)xp_result(p, type, wanted, what);
	}
}

static uint64_t mark_at(struct xen_guest *x, uint64_t gfn)
{
	const uint8_t *page = x->guest->ops->page_at(x->guest->context, gfn);
	uint64_t mark = 0;

	if (page != NULL) {
		memcpy(&mark, page + AT_MARK, sizeof(mark));
	}
	return mark;
}

/* ------------------------------------------------------------------ add, remove */

/* The shared info goes to another page, which becomes Xen's, and back; it is in one place at a time. */
static void check_shared_info(struct probe *p, struct xen_guest *x)
{
	const uint64_t mark = MARK;
	uint64_t home = x->shared_below.gfn;
	struct guest_page page;

	if (!xp_pages(p, &page, 1)) {
		return;
	}
	memcpy(x->shared + AT_MARK, &mark, sizeof(mark));
	(void)xp_result(p, xp_map(x, XENMAPSPACE_shared_info, 1, page.gfn), -XEN_EINVAL,
	                "a second page of shared info");
	if (!xp_result(p, xp_map(x, XENMAPSPACE_shared_info, 0, page.gfn), 0, "the shared info at a page")) {
		xp_pages_free(p, &page, 1);
		return;
	}
	(void)probe_equal(p, mark_at(x, page.gfn), mark, "what stands in it there");
	check_type(p, x, home, HVMMEM_mmio_dm, "what is where it was");
	if (!xp_result(p, xp_map(x, XENMAPSPACE_shared_info, 0, home), 0, "the shared info where it was")) {
		struct guest_page hole = x->shared_below;

		x->shared_below = page; /* it stays where it is now */
		page = hole;
	}
	home = x->shared_below.gfn;
	x->shared = x->guest->ops->page_at(x->guest->context, home);
	(void)probe_equal(p, mark_at(x, home), mark, "what stands in it again");
	memset(x->shared + AT_MARK, 0, sizeof(mark));
	xp_page_restore(p, x, &page);
	xp_pages_free(p, &page, 1);
}

/* A frame that the table does not have yet is made; it may be moved, and is taken away as it came. */
static void check_grant_frame(struct probe *p, struct xen_guest *x)
{
	struct xen_gnttab_query_size size = {.dom = DOMID_SELF};
	const uint64_t args[3] = {GNTTABOP_query_size, x->args.gfn << PAGE_SHIFT, 1};
	struct guest_page pages[2];

	memcpy(x->args.bytes, &size, sizeof(size));
	if (!xp_result(p, xen_call(x, __HYPERVISOR_grant_table_op, args[0], args[1], args[2]), 0,
	               "the grant table's size") ||
	    !xp_pages(p, pages, 2)) {
		return;
	}
	memcpy(&size, x->args.bytes, sizeof(size));
	(void)xp_result(p, xp_map(x, XENMAPSPACE_grant_table, size.max_nr_frames, pages[0].gfn), -XEN_EINVAL,
	                "a frame behind the last");
	(void)xp_result(p, xp_map(x, XENMAPSPACE_grant_table, FIRST_FREE_FRAME, pages[0].gfn), 0,
	                "a new frame at a page");
	(void)xp_result(p, xp_map(x, XENMAPSPACE_grant_table, FIRST_FREE_FRAME, pages[1].gfn), 0,
	                "the same at another");
	check_type(p, x, pages[0].gfn, HVMMEM_mmio_dm, "what is where it was");
	(void)xp_result(p, xp_unmap(x, pages[1].gfn), 0, "taking it away");
	xp_page_restore(p, x, &pages[0]);
	xp_page_restore(p, x, &pages[1]);
	xp_pages_free(p, pages, 2);
}

/* What is no place, no space, or not ours. */
static void check_spaces(struct probe *p, struct xen_guest *x)
{
	struct xen_add_to_physmap64 map = {.domid = XP_NO_DOMID, .gpfn = x->shared_below.gfn};
	int64_t moved = xp_map(x, XENMAPSPACE_gmfn, XP_BAD_GFN, XP_BAD_GFN - 1);

	(void)xp_result(p, memory_op(p, x, &map, sizeof(map)), -XEN_ESRCH, "in a domain that there is not");
	(void)xp_result(p, xp_map(x, XENMAPSPACE_shared_info, 0, UINT64_MAX), -XEN_EINVAL,
	                "at the page of all ones");
	(void)XP_RESULT_OF(p, moved, "a page of the guest's that there is not", -XEN_EOPNOTSUPP, -XEN_EINVAL);
	probe_note(p, "pages of the guest's own: %ld", (long)moved);
	map = (struct xen_add_to_physmap64){.domid = DOMID_SELF,
	                                    .size = 1,
	                                    .space = XENMAPSPACE_gmfn_range,
	                                    .idx = XP_BAD_GFN,
	                                    .gpfn = XP_BAD_GFN - 2};
	(void)XP_RESULT_OF(p, memory_op(p, x, &map, sizeof(map)), "a range of such", -XEN_EOPNOTSUPP,
	                   -XEN_EINVAL);
	(void)xp_result(p, xp_map(x, XENMAPSPACE_gmfn_foreign, 0, XP_BAD_GFN - 1), -XEN_ENOSYS,
	                "a page of another domain");
	(void)XP_RESULT_OF(p, xp_map(x, 99, 0, XP_BAD_GFN - 1), "a space that there is not", -XEN_ENOSYS,
	                   -XEN_EINVAL);
}

/* The structure may lie over the end of a page. */
static void check_crossing(struct probe *p, struct xen_guest *x)
{
	struct xen_add_to_physmap64 map = {
	        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = x->shared_below.gfn};
	const uint64_t off = PAGE_BYTES - sizeof(map) / 2;
	struct guest_page pair[2];

	if (xp_pair(p, pair)) {
		memcpy(pair[0].bytes + off, &map, sizeof(map));
		(void)xp_result(p,
		                xen_call(x, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
		                         (pair[0].gfn << PAGE_SHIFT) + off, 0),
		                0, "an argument over two pages");
		xp_pages_free(p, pair, 2);
	}
}

void probe_add_to_physmap(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		check_shared_info(p, x);
		check_grant_frame(p, x);
		check_spaces(p, x);
		check_crossing(p, x);
		xp_check_fault(p, x, __HYPERVISOR_memory_op);
	}
}

void probe_remove_from_physmap(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_remove_from_physmap64 map = {.domid = XP_NO_DOMID};
	struct guest_page page;
	int64_t result;

	if (x == NULL || !xp_pages(p, &page, 1)) {
		return;
	}
	map.gpfn = page.gfn;
	result = memory_op(p, x, &map, sizeof(map));
	if (!xp_offered(p, result)) {
		xp_pages_free(p, &page, 1);
		return;
	}
	(void)xp_result(p, result, -XEN_ESRCH, "in a domain that there is not");
	if (xp_result(p, xp_map(x, XENMAPSPACE_grant_table, FIRST_FREE_FRAME, page.gfn), 0,
	              "a page of Xen's, to be taken away")) {
		(void)xp_result(p, xp_unmap(x, page.gfn), 0, "taking it away");
		check_type(p, x, page.gfn, HVMMEM_mmio_dm, "what is there then");
		(void)xp_result(p, xp_unmap(x, page.gfn), -XEN_ENOENT, "taking away what is not there");
		xp_page_restore(p, x, &page);
	}
	(void)xp_result(p, xp_unmap(x, XP_BAD_GFN), -XEN_ENOENT, "a page that no guest has");
	xp_check_fault(p, x, __HYPERVISOR_memory_op);
	xp_pages_free(p, &page, 1);
}

/* ------------------------------------------------------------------ batch */

/* Lists of a batch in one page: indexes, places, errors. */
struct batch_lists {
	uint64_t idxs[MANY_PLACES];
	uint64_t gpfns[MANY_PLACES];
	int32_t errs[MANY_PLACES];
};

static int64_t batch(struct probe *p, struct xen_guest *x, const struct guest_page *lists, uint16_t space,
                     uint16_t count, uint16_t domid)
{
	uint64_t at = lists->gfn << PAGE_SHIFT;
	struct xen_add_to_physmap_batch64 arg = {
	        .domid = domid,
	        .space = space,
	        .size = count,
	        .idxs = at + offsetof(struct batch_lists, idxs),
	        .gpfns = at + offsetof(struct batch_lists, gpfns),
	        .errs = at + offsetof(struct batch_lists, errs),
	};

	return memory_op(p, x, &arg, sizeof(arg));
}

/* One frame to and fro between two places, and one index that is none. */
static void check_batch(struct probe *p, struct xen_guest *x, const struct guest_page *page,
                        struct guest_page places[2])
{
	struct batch_lists *lists = (struct batch_lists *)(void *)page->bytes;
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < MANY_PLACES; i++) {
		lists->idxs[i] = i == 1 ? UINT32_MAX : FIRST_FREE_FRAME;
		lists->gpfns[i] = places[i % 2].gfn;
		lists->errs[i] = 1;
	}
	if (!xp_result(p, batch(p, x, page, XENMAPSPACE_grant_table, MANY_PLACES, DOMID_SELF), 0,
	               "a batch")) {
		return;
	}
	for (uint32_t i = 0; i < MANY_PLACES; i++) {
		wrong += lists->errs[i] != (i == 1 ? -XEN_EINVAL : 0);
	}
	(void)probe_equal(p, wrong, 0, "wrong results in a batch");
	check_type(p, x, places[0].gfn, HVMMEM_mmio_dm, "what is where it was before");
	(void)xp_result(p, xp_unmap(x, places[(MANY_PLACES - 1) % 2].gfn), 0, "taking away what it left");
	xp_page_restore(p, x, &places[0]);
	xp_page_restore(p, x, &places[1]);
}

void probe_add_to_physmap_batch(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page pages[3];
	struct xen_add_to_physmap_batch64 nowhere = {.domid = DOMID_SELF,
	                                             .space = XENMAPSPACE_grant_table,
	                                             .size = 1,
	                                             .idxs = XP_BAD,
	                                             .gpfns = XP_BAD,
	                                             .errs = XP_BAD};
	struct batch_lists *lists;
	int64_t result;

	if (x == NULL || !xp_pages(p, pages, 3)) {
		return;
	}
	lists = (struct batch_lists *)(void *)pages[0].bytes;
	result = batch(p, x, &pages[0], XENMAPSPACE_grant_table, 0, DOMID_SELF);
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 0, "a batch of nothing");
		check_batch(p, x, &pages[0], &pages[1]);
		(void)xp_result(p, batch(p, x, &pages[0], XENMAPSPACE_gmfn_range, 1, DOMID_SELF),
		                -XEN_EOPNOTSUPP, "a batch of ranges");
		(void)xp_result(p, batch(p, x, &pages[0], XENMAPSPACE_grant_table, 1, XP_NO_DOMID),
		                -XEN_ESRCH, "in a domain that there is not");
		lists->errs[0] = 0;
		result = batch(p, x, &pages[0], XENMAPSPACE_gmfn_foreign, 1, DOMID_SELF);
		(void)XP_RESULT_OF(p, result != 0 ? result : lists->errs[0], "a page of another domain",
		                   -XEN_EPERM, -XEN_EACCES, -XEN_EINVAL, -XEN_ESRCH, -XEN_ENOSYS);
		(void)xp_result(p, memory_op(p, x, &nowhere, sizeof(nowhere)), -XEN_EFAULT,
		                "lists where there is no memory");
		xp_check_fault(p, x, __HYPERVISOR_memory_op);
	}
	xp_pages_free(p, pages, 3);
}

/* ------------------------------------------------------------------ the map */

/* Up to @room entries at @page; how many are told in *@count. */
static int64_t map_read(struct xen_guest *x, const struct guest_page *page, uint32_t room, uint32_t *count)
{
	struct xen_memory_map64 map = {.nr_entries = room, .buffer = page->gfn << PAGE_SHIFT};
	int64_t result = xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_memory_map, &map, sizeof(map));

	*count = map.nr_entries;
	return result;
}

/* Do the entries have @gfn as RAM, and no byte twice? */
static void check_entries(struct probe *p, const struct guest_page *page, uint32_t count, uint64_t gfn)
{
	const struct xen_e820_entry *entries = (const struct xen_e820_entry *)(const void *)page->bytes;
	bool ram = false;
	uint32_t twice = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct xen_e820_entry *e = &entries[i];

		ram = ram || (e->type == 1 && gfn << PAGE_SHIFT >= e->addr &&
		              (gfn << PAGE_SHIFT) - e->addr < e->size);
		for (uint32_t j = 0; j < i; j++) {
			twice += e->addr < entries[j].addr + entries[j].size &&
			         entries[j].addr < e->addr + e->size;
		}
	}
	(void)probe_check(p, ram, "a page of ours is no RAM in the map");
	(void)probe_equal(p, twice, 0, "entries that overlap");
}

/* Less room: fewer entries, and no byte behind them. */
static void check_room(struct probe *p, struct xen_guest *x, const struct guest_page *page)
{
	struct xen_memory_map64 map = {.nr_entries = 1, .buffer = XP_BAD};
	uint32_t touched = 0;
	uint32_t count = 0;

	memset(page->bytes, 0xA5, PAGE_BYTES);
	(void)xp_result(p, map_read(x, page, 1, &count), 0, "the map, with room for one");
	(void)probe_equal(p, count, 1, "entries in a room for one");
	for (uint32_t i = sizeof(struct xen_e820_entry); i < PAGE_BYTES; i++) {
		touched += page->bytes[i] != 0xA5;
	}
	(void)probe_equal(p, touched, 0, "bytes written behind the room");
	(void)xp_result(p, memory_op(p, x, &map, sizeof(map)), -XEN_EFAULT, "room where there is no memory");
	xp_check_fault(p, x, __HYPERVISOR_memory_op);
}

void probe_memory_map(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page page;
	uint32_t count = 0;
	int64_t result;

	if (x == NULL || !xp_pages(p, &page, 1)) {
		return;
	}
	result = map_read(x, &page, ENTRIES_MAX, &count);
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 0, "the map");
		if (probe_check(p, count != 0 && count <= ENTRIES_MAX, "%u entries", count)) {
			check_entries(p, &page, count, page.gfn);
			check_room(p, x, &page);
		}
		probe_note(p, "%u entries", count);
	}
	xp_pages_free(p, &page, 1);
}

static int64_t map_write(struct probe *p, struct xen_guest *x, uint64_t buffer, uint32_t count,
                         uint16_t domid)
{
	struct xen_foreign_memory_map64 map = {.domid = domid,
	                                       .map = {.nr_entries = count, .buffer = buffer}};

	return memory_op(p, x, &map, sizeof(map));
}

/* The map that there is, set once more: it is told again as it was. */
void probe_set_memory_map(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page pages[2];
	uint32_t count = 0;
	uint32_t again = 0;
	int64_t result;

	if (x == NULL || !xp_pages(p, pages, 2)) {
		return;
	}
	result = map_read(x, &pages[0], ENTRIES_MAX, &count);
	if (result == 0) {
		result = map_write(p, x, pages[0].gfn << PAGE_SHIFT, count, DOMID_SELF);
	}
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 0, "setting the map");
		(void)xp_result(p, map_read(x, &pages[1], ENTRIES_MAX, &again), 0,
		                "the map, after it was set");
		(void)probe_equal(p, again, count, "its entries");
		(void)probe_check(
		        p, memcmp(pages[0].bytes, pages[1].bytes, count * sizeof(struct xen_e820_entry)) == 0,
		        "the map is another one than was set");
		(void)XP_RESULT_OF(p, map_write(p, x, XP_BAD, ENTRIES_MAX + 1, DOMID_SELF), "129 entries",
		                   -XEN_EINVAL, -XEN_EFAULT);
		(void)xp_result(p, map_write(p, x, XP_BAD, ENTRIES_FAR_TOO_MANY, DOMID_SELF), -XEN_EINVAL,
		                "far too many entries");
		(void)xp_result(p, map_write(p, x, XP_BAD, 1, DOMID_SELF), -XEN_EFAULT,
		                "entries where there is no memory");
		(void)XP_RESULT_OF(p, map_write(p, x, pages[0].gfn << PAGE_SHIFT, 1, XP_NO_DOMID),
		                   "of a domain that there is not", -XEN_ESRCH, -XEN_EPERM);
		xp_check_fault(p, x, __HYPERVISOR_memory_op);
	}
	xp_pages_free(p, pages, 2);
}
