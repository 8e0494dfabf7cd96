/*
 * gnttab.c - the grant table: its frames, and holding what was granted.
 *
 * Follows Xen's grant_table.h, version 1. The guest writes its entries at any time: flags and domid are one
 * 32-bit compare-exchange, the frame number is read once, after it, and kept while the entry is in use.
 */
#include "enlighten/xen/xen_state.h"

#define PIN_TRIES 5u

/* ------------------------------------------------------------------ frames */

static uint32_t entry_off(uint32_t ref)
{
	return ref % XEN_GRANTS_A_FRAME * (uint32_t)sizeof(struct xen_grant_entry_v1);
}

static bool grow_locked(struct xen_vm *xen)
{
	struct vm_page *page = vm_page_alloc(xen->vm);
	struct gnttab_active *active = vm_alloc(xen->vm, XEN_GRANTS_A_FRAME * sizeof(*active));

	if (page == NULL || active == NULL) {
		if (page != NULL) {
			vm_page_free(xen->vm, page);
		}
		if (active != NULL) {
			vm_free(xen->vm, active);
		}
		return false;
	}
	xen->frames[xen->frame_count] = page;
	xen->active[xen->frame_count] = active;
	xen->frame_count++;
	return true;
}

/* Frames between are made too. What is made stays, so a call out of budget simply runs again. */
struct vm_page *gnttab_frame_locked(struct xen_call *call, uint64_t raw_index)
{
	struct xen_vm *xen = call->xen;

	if (raw_index >= XEN_GRANT_FRAMES_MAX) {
		return NULL;
	}
	while (xen->frame_count <= raw_index) {
		if (!xen_call_spend(call, XEN_COST_FRAME)) {
			call->again = true;
			return NULL;
		}
		if (!grow_locked(xen)) {
			return NULL;
		}
	}
	return xen->frames[raw_index];
}

/* ------------------------------------------------------------------ holding */

struct gnttab_active *gnttab_active_locked(struct xen_vm *xen, uint32_t raw_ref)
{
	if (raw_ref >= xen->frame_count * XEN_GRANTS_A_FRAME) {
		return NULL;
	}
	return &xen->active[raw_ref / XEN_GRANTS_A_FRAME][raw_ref % XEN_GRANTS_A_FRAME];
}

/* Sets the guest's bits for this use, if the entry grants it. */
static int16_t mark_entry(struct vm_page *frame, uint32_t off, uint16_t domid, bool write)
{
	uint32_t marks = GTF_reading | (write ? GTF_writing : 0);

	for (uint32_t i = 0; i < PIN_TRIES; i++) {
		uint32_t raw_word = vm_page_load32(frame, off);

		if ((raw_word & (GTF_type_mask | GTF_sub_page)) != GTF_permit_access ||
		    raw_word >> 16 != domid || (write && (raw_word & GTF_readonly) != 0)) {
			return GNTST_general_error;
		}
		if (vm_page_compare_exchange32(frame, off, raw_word, raw_word | marks)) {
			return GNTST_okay;
		}
	}
	return GNTST_general_error;
}

static void clear_flag(struct vm_page *frame, uint32_t off, uint32_t flag)
{
	vm_page_clear_bit(frame, off * 8 + bit_lowest(flag));
}

/* Bits that no user of the entry stands behind any more. */
static void unmark_entry(struct vm_page *frame, uint32_t off, const struct gnttab_active *active)
{
	if (active->write_count == 0) {
		clear_flag(frame, off, GTF_writing);
	}
	if (active->hold_count == 0) {
		clear_flag(frame, off, GTF_reading);
	}
}

int16_t gnttab_hold_locked(struct xen_vm *xen, uint32_t raw_ref, uint16_t domid, bool write,
                           struct gnttab_hold *hold)
{
	struct gnttab_active *active = gnttab_active_locked(xen, raw_ref);
	uint32_t off = entry_off(raw_ref);
	struct vm_page *frame;
	int16_t status;

	*hold = (struct gnttab_hold){.ref = raw_ref, .write = write};
	if (active == NULL) {
		return GNTST_bad_gntref;
	}
	if (active->hold_count == UINT16_MAX || (active->hold_count != 0 && active->domid != domid)) {
		return GNTST_general_error;
	}
	frame = xen->frames[raw_ref / XEN_GRANTS_A_FRAME];
	if (active->hold_count == 0 || (write && active->write_count == 0)) {
		status = mark_entry(frame, off, domid, write);
		if (status != GNTST_okay) {
			return status;
		}
	}
	if (active->hold_count == 0) {
		active->frame = vm_page_load32(frame, off + 4);
		active->domid = domid;
	}
	hold->page = vm_page_pin(xen->vm, gpa((uint64_t)active->frame << PAGE_SHIFT));
	if (hold->page == NULL) {
		unmark_entry(frame, off, active);
		return GNTST_bad_page;
	}
	xen->held_count += active->hold_count == 0;
	active->hold_count++;
	active->write_count = (uint16_t)(active->write_count + write);
	return GNTST_okay;
}

void gnttab_release_locked(struct xen_vm *xen, struct gnttab_hold *hold)
{
	struct gnttab_active *active = gnttab_active_locked(xen, hold->ref);

	CHECK(active != NULL && active->hold_count != 0);
	CHECK(!hold->write || active->write_count != 0);
	vm_page_unpin(xen->vm, hold->page);
	hold->page = NULL;
	active->hold_count--;
	xen->held_count -= active->hold_count == 0;
	active->write_count = (uint16_t)(active->write_count - hold->write);
	unmark_entry(xen->frames[hold->ref / XEN_GRANTS_A_FRAME], entry_off(hold->ref), active);
}

int16_t gnttab_hold(struct vm *vm, uint32_t ref, bool write, struct gnttab_hold *hold)
{
	struct xen_vm *xen = xen_of_vm(vm);
	int16_t status;

	spin_lock(&xen->grant_lock);
	status = gnttab_hold_locked(xen, ref, XEN_DOMID_BACKENDS, write, hold);
	spin_unlock(&xen->grant_lock);
	return status;
}

void gnttab_release(struct vm *vm, struct gnttab_hold *hold)
{
	struct xen_vm *xen = xen_of_vm(vm);

	if (hold->page == NULL) {
		return;
	}
	spin_lock(&xen->grant_lock);
	gnttab_release_locked(xen, hold);
	spin_unlock(&xen->grant_lock);
}

/* ------------------------------------------------------------------ life */

static void write_reserved(struct xen_vm *xen, uint32_t ref, enum vm_special which)
{
	struct xen_grant_entry_v1 entry = {
	        .flags = GTF_permit_access,
	        .domid = XEN_DOMID_BACKENDS,
	        .frame = (uint32_t)(vm_special_page(xen->vm, which).v >> PAGE_SHIFT),
	};

	vm_page_write(xen->frames[0], entry_off(ref), &entry, sizeof(entry));
}

/* GRUB takes the first entry whose flags are 0: these two must not look free. */
static void write_all_reserved(struct xen_vm *xen)
{
	write_reserved(xen, GNTTAB_RESERVED_CONSOLE, VM_SPECIAL_CONSOLE);
	write_reserved(xen, GNTTAB_RESERVED_XENSTORE, VM_SPECIAL_XENSTORE);
}

bool gnttab_create(struct xen_vm *xen)
{
	if (!grow_locked(xen)) {
		return false;
	}
	write_all_reserved(xen);
	return true;
}

static void drop_frames(struct xen_vm *xen, uint32_t keep_count)
{
	while (xen->frame_count > keep_count) {
		xen->frame_count--;
		vm_page_free(xen->vm, xen->frames[xen->frame_count]);
		vm_free(xen->vm, xen->active[xen->frame_count]);
		xen->frames[xen->frame_count] = NULL;
		xen->active[xen->frame_count] = NULL;
	}
}

void gnttab_reset(struct xen_vm *xen)
{
	uint64_t zeros[32] = {0};

	drop_frames(xen, 1);
	vm_page_hide(xen->vm, xen->frames[0]);
	for (uint32_t off = 0; off < PAGE_BYTES; off += sizeof(zeros)) {
		vm_page_write(xen->frames[0], off, zeros, sizeof(zeros));
	}
	memset(xen->active[0], 0, XEN_GRANTS_A_FRAME * sizeof(xen->active[0][0]));
	write_all_reserved(xen);
}

void gnttab_teardown(struct xen_vm *xen)
{
	drop_frames(xen, 0);
}
