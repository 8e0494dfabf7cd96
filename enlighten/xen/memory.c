/*
 * memory.c - memory_op: ballooning, the memory map, and where pages of ours appear.
 *
 * Follows Xen's memory.h. A preempted call keeps its progress above the command in the first argument; it is
 * the guest's to forge, so it only says where to go on, never what has been checked.
 */
#include "enlighten/xen/xen_state.h"

#define EXTENT_ORDER_MAX 4u /* so that no extent is more than one exit's work */
#define E820_A_STEP 16u

static uint64_t progress(const struct xen_call *call)
{
	return call->args[0] >> MEMOP_EXTENT_SHIFT;
}

static void set_progress(struct xen_call *call, uint64_t done)
{
	call->args[0] = (call->args[0] & MEMOP_CMD_MASK) | done << MEMOP_EXTENT_SHIFT;
	call->again = true;
}

static uint32_t long_bytes(const struct xen_call *call)
{
	return call->narrow ? 4 : 8;
}

/* ------------------------------------------------------------------ reservations */

struct reservation {
	uint64_t extents; /* a list of frame numbers */
	uint64_t count;
	uint32_t order;
	uint32_t flags;
	uint16_t domid;
};

static bool get_reservation(struct xen_call *call, struct reservation *out)
{
	struct xen_reservation64 wide;
	struct xen_reservation32 narrow;

	if (!call->narrow) {
		if (!xen_get(call, call->args[1], &wide, sizeof(wide))) {
			return false;
		}
		*out = (struct reservation){wide.extent_start, wide.nr_extents, wide.extent_order,
		                            wide.mem_flags, wide.domid};
		return true;
	}
	if (!xen_get(call, call->args[1], &narrow, sizeof(narrow))) {
		return false;
	}
	*out = (struct reservation){narrow.extent_start, narrow.nr_extents, narrow.extent_order,
	                            narrow.mem_flags, narrow.domid};
	return true;
}

static bool take_extent(struct vm *vm, gpa_t at, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++) {
		if (!vm_is_ram(vm, gpa(at.v + (uint64_t)i * PAGE_BYTES))) {
			return false;
		}
	}
	for (uint32_t i = 0; i < pages; i++) {
		if (vm_ram_take(vm, gpa(at.v + (uint64_t)i * PAGE_BYTES)) != VM_OK) {
			return false;
		}
	}
	return true;
}

/* All pages of the extent, or none. */
static bool give_extent(struct vm *vm, gpa_t at, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++) {
		gpa_t here = gpa(at.v + (uint64_t)i * PAGE_BYTES);

		if (vm_page_at(vm, here) == NULL && vm_ram_give(vm, here) == VM_OK) {
			continue;
		}
		while (i-- > 0) { /* what another vCPU took back meanwhile is gone anyway */
			(void)!vm_ram_take(vm, gpa(at.v + (uint64_t)i * PAGE_BYTES));
		}
		return false;
	}
	return true;
}

static bool move_extent(struct xen_call *call, const struct reservation *r, uint64_t index, bool give)
{
	uint32_t pages = 1u << r->order;
	uint64_t raw_gfn;
	gpa_t at;

	if (!xen_get_long(call, r->extents + index * long_bytes(call), &raw_gfn) || raw_gfn % pages != 0 ||
	    !xen_gfn_to_gpa(raw_gfn, &at)) {
		return false;
	}
	return give ? give_extent(call->vm, at, pages) : take_extent(call->vm, at, pages);
}

/* Returns extents done, also when it ends early: never an error (memory.h). */
static int64_t move_extents(struct xen_call *call, bool give)
{
	uint64_t done = progress(call);
	struct reservation r;

	if (!get_reservation(call, &r) || !xen_domid_is_self(call->xen, r.domid) ||
	    r.order > EXTENT_ORDER_MAX || (r.flags & XENMEMF_populate_on_demand) != 0) {
		return (int64_t)done;
	}
	while (done < r.count) {
		int32_t cost = (give ? XEN_COST_PAGE : XEN_COST_STEP) << r.order;

		if (!xen_call_spend(call, cost)) {
			set_progress(call, done);
			return 0;
		}
		if (!move_extent(call, &r, done, give)) {
			break;
		}
		done++;
	}
	return (int64_t)done;
}

static int64_t decrease_reservation(struct xen_call *call)
{
	return move_extents(call, false);
}

static int64_t populate_physmap(struct xen_call *call)
{
	return move_extents(call, true);
}

static int64_t refuse_extents(struct xen_call *call)
{
	return (int64_t)progress(call);
}

/* ------------------------------------------------------------------ how much there is */

/* The structure of these is a domid. 0, or -errno. */
static int64_t check_domid(struct xen_call *call)
{
	uint16_t raw_domid;

	if (!xen_get(call, call->args[1], &raw_domid, sizeof(raw_domid))) {
		return -XEN_EFAULT;
	}
	return xen_domid_is_self(call->xen, raw_domid) ? 0 : -XEN_ESRCH;
}

static int64_t maximum_ram_page(struct xen_call *call)
{
	return (int64_t)vm_max_gfn(call->vm);
}

static int64_t current_reservation(struct xen_call *call)
{
	int64_t error = check_domid(call);

	return error != 0 ? error : (int64_t)vm_ram_pages(call->vm);
}

static int64_t maximum_reservation(struct xen_call *call)
{
	int64_t error = check_domid(call);

	return error != 0 ? error : (int64_t)vm_ram_max_pages(call->vm);
}

static int64_t maximum_gpfn(struct xen_call *call)
{
	int64_t error = check_domid(call);

	return error != 0 ? error : (int64_t)vm_max_gfn(call->vm);
}

/* ------------------------------------------------------------------ the map */

static bool get_map(struct xen_call *call, uint64_t from, struct xen_memory_map64 *map)
{
	struct xen_memory_map32 narrow;

	if (!call->narrow) {
		return xen_get(call, from, map, sizeof(*map));
	}
	if (!xen_get(call, from, &narrow, sizeof(narrow))) {
		return false;
	}
	*map = (struct xen_memory_map64){.nr_entries = narrow.nr_entries, .buffer = narrow.buffer};
	return true;
}

/* Entry @index of what the guest set itself, or else of its map at start. False past the end. */
static bool map_entry_locked(const struct xen_vm *xen, uint32_t index, struct xen_e820_entry *entry)
{
	struct vm_range range;

	if (xen->map_count != 0) {
		if (index < xen->map_count) {
			*entry = xen->map[index];
		}
		return index < xen->map_count;
	}
	if (index >= XEN_E820_MAX || !vm_memory_map(xen->vm, index, &range)) {
		return false;
	}
	*entry = (struct xen_e820_entry){range.base, range.len_bytes, range.type};
	return true;
}

static uint32_t map_entries(struct xen_vm *xen, uint32_t from, uint32_t room,
                            struct xen_e820_entry entries[E820_A_STEP])
{
	uint32_t count = 0;

	spin_lock(&xen->grant_lock);
	while (count < E820_A_STEP && count < room && map_entry_locked(xen, from + count, &entries[count])) {
		count++;
	}
	spin_unlock(&xen->grant_lock);
	return count;
}

static int64_t memory_map(struct xen_call *call)
{
	struct xen_e820_entry entries[E820_A_STEP];
	struct xen_memory_map64 map;
	uint32_t done = 0;
	uint32_t here;

	if (!get_map(call, call->args[1], &map)) {
		return -XEN_EFAULT;
	}
	do {
		here = map_entries(call->xen, done, map.nr_entries - done, entries);
		if (here != 0 && !xen_put(call, map.buffer + done * sizeof(entries[0]), entries,
		                          here * sizeof(entries[0]))) {
			return -XEN_EFAULT;
		}
		done += here;
	} while (here == E820_A_STEP);
	return xen_put(call, call->args[1], &done, sizeof(done)) ? 0 : -XEN_EFAULT;
}

static bool get_foreign_map(struct xen_call *call, uint16_t *raw_domid, struct xen_memory_map64 *map)
{
	uint64_t at = call->args[1] + (call->narrow ? offsetof(struct xen_foreign_memory_map32, map)
	                                            : offsetof(struct xen_foreign_memory_map64, map));

	return xen_get(call, call->args[1], raw_domid, sizeof(*raw_domid)) && get_map(call, at, map);
}

static int64_t set_memory_map(struct xen_call *call)
{
	struct xen_vm *xen = call->xen;
	struct xen_e820_entry entries[XEN_E820_MAX];
	struct xen_memory_map64 map;
	uint16_t raw_domid;

	if (!get_foreign_map(call, &raw_domid, &map)) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(xen, raw_domid)) {
		return -XEN_EPERM;
	}
	if (map.nr_entries > XEN_E820_MAX) {
		return -XEN_EINVAL;
	}
	if (map.nr_entries != 0 && !xen_get(call, map.buffer, entries, map.nr_entries * sizeof(entries[0]))) {
		return -XEN_EFAULT;
	}
	spin_lock(&xen->grant_lock);
	memcpy(xen->map, entries, map.nr_entries * sizeof(entries[0]));
	xen->map_count = map.nr_entries;
	spin_unlock(&xen->grant_lock);
	return 0;
}

/* ------------------------------------------------------------------ pages of ours */

static bool page_is_ours_locked(const struct xen_vm *xen, const struct vm_page *page)
{
	bool ours = page == xen->shared;

	for (uint32_t i = 0; i < xen->frame_count; i++) {
		ours = ours || page == xen->frames[i];
	}
	return ours;
}

/*
 * Shows @page at @at. As Xen does, RAM that is there is freed, not hidden, and another page of the Xen face's
 * is unhooked; a page of the other face's stays.
 */
static int64_t place_page_locked(struct xen_vm *xen, struct vm_page *page, gpa_t at)
{
	struct vm_page *there = vm_page_at(xen->vm, at);

	if (there == page) {
		return 0;
	}
	if (there != NULL && !page_is_ours_locked(xen, there)) {
		return -XEN_EBUSY;
	}
	if (there != NULL) {
		vm_page_hide(xen->vm, there);
	}
	if (vm_is_ram(xen->vm, at) && vm_ram_take(xen->vm, at) != VM_OK) {
		return -XEN_EBUSY;
	}
	switch (vm_page_show(xen->vm, page, at, VM_ACCESS_READ | VM_ACCESS_WRITE)) {
	case VM_OK:
		return 0;
	case VM_EBUSY:
		return -XEN_EBUSY;
	default: /* a device's window, or past the guest's physical width */
		return -XEN_EPERM;
	}
}

/* The page that @space and @idx name. NULL: *error says why. */
static struct vm_page *page_of_space_locked(struct xen_call *call, uint32_t raw_space, uint64_t raw_idx,
                                            int64_t *error)
{
	struct vm_page *page;

	switch (raw_space) {
	case XENMAPSPACE_shared_info:
		*error = -XEN_EINVAL;
		return raw_idx == 0 ? call->xen->shared : NULL;
	case XENMAPSPACE_grant_table:
		page = gnttab_frame_locked(call, raw_idx);
		*error = raw_idx < XEN_GRANT_FRAMES_MAX ? -XEN_ENOMEM : -XEN_EINVAL;
		return page;
	case XENMAPSPACE_gmfn:
	case XENMAPSPACE_gmfn_range:
		*error = -XEN_EOPNOTSUPP;
		return NULL;
	default:
		*error = -XEN_ENOSYS;
		return NULL;
	}
}

/* With call->again set nothing was placed, and it is to be called again. */
static int64_t add_page(struct xen_call *call, uint32_t raw_space, uint64_t raw_idx, uint64_t raw_gpfn)
{
	struct xen_vm *xen = call->xen;
	struct vm_page *page;
	int64_t error;
	gpa_t at;

	if (!xen_gfn_to_gpa(raw_gpfn, &at)) {
		return -XEN_EINVAL;
	}
	spin_lock(&xen->grant_lock);
	page = page_of_space_locked(call, raw_space, raw_idx, &error);
	if (page != NULL) {
		error = place_page_locked(xen, page, at);
	}
	spin_unlock(&xen->grant_lock);
	return error;
}

static int64_t add_to_physmap(struct xen_call *call)
{
	struct xen_add_to_physmap64 arg;
	struct xen_add_to_physmap32 narrow;

	if (call->narrow) {
		if (!xen_get(call, call->args[1], &narrow, sizeof(narrow))) {
			return -XEN_EFAULT;
		}
		arg = (struct xen_add_to_physmap64){narrow.domid, narrow.size, narrow.space, narrow.idx,
		                                    narrow.gpfn == UINT32_MAX ? UINT64_MAX : narrow.gpfn};
	} else if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(call->xen, arg.domid)) {
		return -XEN_ESRCH;
	}
	return add_page(call, arg.space, arg.idx, arg.gpfn);
}

static bool get_batch(struct xen_call *call, struct xen_add_to_physmap_batch64 *batch)
{
	struct xen_add_to_physmap_batch32 narrow;

	if (!call->narrow) {
		return xen_get(call, call->args[1], batch, sizeof(*batch));
	}
	if (!xen_get(call, call->args[1], &narrow, sizeof(narrow))) {
		return false;
	}
	*batch = (struct xen_add_to_physmap_batch64){narrow.domid,         narrow.space, narrow.size,
	                                             narrow.foreign_domid, narrow.idxs,  narrow.gpfns,
	                                             narrow.errs};
	return true;
}

/* False: the guest's lists cannot be read or written. */
static bool add_one(struct xen_call *call, const struct xen_add_to_physmap_batch64 *batch, uint64_t n)
{
	uint64_t raw_idx;
	uint64_t raw_gpfn;
	int32_t error;

	if (!xen_get_long(call, batch->idxs + n * long_bytes(call), &raw_idx) ||
	    !xen_get_long(call, batch->gpfns + n * long_bytes(call), &raw_gpfn)) {
		return false;
	}
	error = (int32_t)add_page(call, batch->space, raw_idx, raw_gpfn);
	return call->again || xen_put(call, batch->errs + n * sizeof(error), &error, sizeof(error));
}

static int64_t add_to_physmap_batch(struct xen_call *call)
{
	struct xen_add_to_physmap_batch64 batch;

	if (!get_batch(call, &batch)) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(call->xen, batch.domid)) {
		return -XEN_ESRCH;
	}
	if (batch.space >= XENMAPSPACE_gmfn_range) {
		return batch.space == XENMAPSPACE_gmfn_range ? -XEN_EOPNOTSUPP : -XEN_EPERM;
	}
	for (uint64_t n = progress(call); n < batch.size; n++) {
		if (!xen_call_spend(call, XEN_COST_STEP)) {
			set_progress(call, n);
			return 0;
		}
		if (!add_one(call, &batch, n)) {
			return -XEN_EFAULT;
		}
		if (call->again) {
			set_progress(call, n);
			return 0;
		}
	}
	return 0;
}

static int64_t remove_page(struct xen_vm *xen, uint64_t raw_gpfn)
{
	struct vm_page *there;
	int64_t error;
	gpa_t at;

	if (!xen_gfn_to_gpa(raw_gpfn, &at)) {
		return -XEN_ENOENT;
	}
	spin_lock(&xen->grant_lock);
	there = vm_page_at(xen->vm, at);
	if (there == NULL) {
		error = vm_ram_take(xen->vm, at) == VM_OK ? 0 : -XEN_ENOENT;
	} else if (page_is_ours_locked(xen, there)) {
		vm_page_hide(xen->vm, there);
		error = 0;
	} else {
		error = -XEN_EPERM;
	}
	spin_unlock(&xen->grant_lock);
	return error;
}

static int64_t remove_from_physmap(struct xen_call *call)
{
	struct xen_remove_from_physmap64 arg;
	struct xen_remove_from_physmap32 narrow;

	if (call->narrow) {
		if (!xen_get(call, call->args[1], &narrow, sizeof(narrow))) {
			return -XEN_EFAULT;
		}
		arg = (struct xen_remove_from_physmap64){.domid = narrow.domid, .gpfn = narrow.gpfn};
	} else if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(call->xen, arg.domid)) {
		return -XEN_ESRCH;
	}
	return remove_page(call->xen, arg.gpfn);
}

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_memory.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_memory.def"
#undef SPEC_ROW
};

int64_t xen_memory_op(struct xen_call *call)
{
	return xen_dispatch(call, SPEC_XEN_MEMORY, rows, ARRAY_COUNT(rows), call->args[0] & MEMOP_CMD_MASK);
}
