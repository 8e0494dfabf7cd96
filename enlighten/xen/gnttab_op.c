/*
 * gnttab_op.c - grant_table_op: what a guest asks of its own grant table.
 *
 * Follows Xen's grant_table.h, as far as HVM guests may go. Each entry of an array is copied in once, done,
 * and answered in its status; a preempted call goes on with the rest of the array.
 */
#include "enlighten/xen/xen_state.h"

#define COPY_STEP_BYTES 256u
#define COPY_COST 512 /* beside the bytes themselves */

typedef bool entry_fn(struct xen_call *call, uint64_t at);

/* Runs @one over the array; false from it means its entry cannot be read or written. */
static int64_t for_each_entry(struct xen_call *call, size_t entry_bytes, entry_fn *one)
{
	while ((uint32_t)call->args[2] != 0) {
		if (!xen_call_spend(call, COPY_COST)) {
			call->again = true;
			return 0;
		}
		if (!one(call, call->args[1])) {
			return -XEN_EFAULT;
		}
		call->args[1] += entry_bytes;
		call->args[2] = (uint32_t)call->args[2] - 1u;
	}
	return 0;
}

/* ------------------------------------------------------------------ map, unmap */

/* What Xen answers when a domain's limit of handles is 0. The domain is named by its number: SELF is none. */
static int16_t map_status(const struct xen_vm *xen, const struct xen_gnttab_map *arg)
{
	if ((arg->flags & (GNTMAP_device_map | GNTMAP_application_map | GNTMAP_contains_pte)) != 0) {
		return GNTST_general_error;
	}
	if ((arg->flags & GNTMAP_host_map) == 0) {
		return GNTST_bad_gntref;
	}
	if (arg->dom == DOMID_SELF || (!xen_domid_is_self(xen, arg->dom) && arg->dom != XEN_DOMID_BACKENDS)) {
		return GNTST_bad_domain;
	}
	return GNTST_no_space;
}

static bool map_one(struct xen_call *call, uint64_t at)
{
	struct xen_gnttab_map arg;

	if (!xen_get(call, at, &arg, sizeof(arg))) {
		return false;
	}
	arg.status = map_status(call->xen, &arg);
	return xen_put(call, at, &arg, sizeof(arg));
}

static int64_t map_refs(struct xen_call *call)
{
	return for_each_entry(call, sizeof(struct xen_gnttab_map), map_one);
}

static bool unmap_one(struct xen_call *call, uint64_t at)
{
	int16_t bad_handle = GNTST_bad_handle;
	struct xen_gnttab_unmap arg;

	return xen_get(call, at, &arg, sizeof(arg)) &&
	       xen_put(call, at + offsetof(struct xen_gnttab_unmap, status), &bad_handle, sizeof(bad_handle));
}

static int64_t unmap_refs(struct xen_call *call)
{
	return for_each_entry(call, sizeof(struct xen_gnttab_unmap), unmap_one);
}

/* ------------------------------------------------------------------ copy */

/* One end of a copy, decoded. */
struct copy_end {
	bool is_ref;
	uint64_t raw_place; /* a grant reference or a frame number */
	uint16_t domid;
	uint16_t offset;
};

struct copy_request {
	struct copy_end source, dest;
	uint16_t len;
};

static void decode_copy(const struct xen_gnttab_copy64 *arg, struct copy_request *out)
{
	bool source_ref = (arg->flags & GNTCOPY_source_gref) != 0;
	bool dest_ref = (arg->flags & GNTCOPY_dest_gref) != 0;

	*out = (struct copy_request){
	        .source = {source_ref,
	                   source_ref ? (uint32_t)arg->source.ref_or_gmfn : arg->source.ref_or_gmfn,
	                   arg->source.domid, arg->source.offset},
	        .dest = {dest_ref, dest_ref ? (uint32_t)arg->dest.ref_or_gmfn : arg->dest.ref_or_gmfn,
	                 arg->dest.domid, arg->dest.offset},
	        .len = arg->len,
	};
}

static void widen_copy(const struct xen_gnttab_copy32 *in, struct xen_gnttab_copy64 *out)
{
	*out = (struct xen_gnttab_copy64){
	        .source = {in->source.ref_or_gmfn, in->source.domid, in->source.offset, 0},
	        .dest = {in->dest.ref_or_gmfn, in->dest.domid, in->dest.offset, 0},
	        .len = in->len,
	        .flags = in->flags,
	};
}

static bool get_copy(struct xen_call *call, uint64_t at, struct copy_request *out)
{
	struct xen_gnttab_copy64 wide;
	struct xen_gnttab_copy32 narrow;

	if (call->narrow) {
		if (!xen_get(call, at, &narrow, sizeof(narrow))) {
			return false;
		}
		widen_copy(&narrow, &wide);
	} else if (!xen_get(call, at, &wide, sizeof(wide))) {
		return false;
	}
	decode_copy(&wide, out);
	return true;
}

/* Pins one end. A frame number is the caller's own; so is every grant that there is to it. */
static int16_t hold_end(struct xen_vm *xen, const struct copy_end *end, bool write, struct gnttab_hold *hold)
{
	int16_t status;
	gpa_t at;

	*hold = (struct gnttab_hold){0};
	if (!end->is_ref) {
		if (end->domid != DOMID_SELF) {
			return GNTST_permission_denied;
		}
		if (xen_gfn_to_gpa(end->raw_place, &at)) {
			hold->page = vm_page_pin(xen->vm, at);
		}
		return hold->page != NULL ? GNTST_okay : GNTST_bad_page;
	}
	if (!xen_domid_is_self(xen, end->domid)) {
		return end->domid == XEN_DOMID_BACKENDS ? GNTST_bad_gntref : GNTST_bad_domain;
	}
	spin_lock(&xen->grant_lock);
	status = gnttab_hold_locked(xen, (uint32_t)end->raw_place, (uint16_t)vm_config(xen->vm)->id, write,
	                            hold);
	spin_unlock(&xen->grant_lock);
	return status;
}

static void release_end(struct xen_vm *xen, const struct copy_end *end, struct gnttab_hold *hold)
{
	if (hold->page == NULL) {
		return;
	}
	if (end->is_ref) {
		gnttab_release(xen->vm, hold);
	} else {
		vm_page_unpin(xen->vm, hold->page);
	}
}

static void copy_bytes(struct vm_page *from, uint32_t from_off, struct vm_page *to, uint32_t to_off,
                       uint32_t len)
{
	uint8_t bytes[COPY_STEP_BYTES];

	for (uint32_t done = 0; done < len; done += COPY_STEP_BYTES) {
		uint32_t here = len - done < COPY_STEP_BYTES ? len - done : COPY_STEP_BYTES;

		vm_page_read(from, from_off + done, bytes, here);
		vm_page_write(to, to_off + done, bytes, here);
	}
}

static int16_t copy_checked(struct xen_vm *xen, const struct copy_request *r)
{
	struct gnttab_hold source;
	struct gnttab_hold dest = {0};
	int16_t status = hold_end(xen, &r->source, false, &source);

	if (status == GNTST_okay) {
		status = hold_end(xen, &r->dest, true, &dest);
	}
	if (status == GNTST_okay) {
		copy_bytes(source.page, r->source.offset, dest.page, r->dest.offset, r->len);
	}
	release_end(xen, &r->dest, &dest);
	release_end(xen, &r->source, &source);
	return status;
}

static bool copy_one(struct xen_call *call, uint64_t at)
{
	struct copy_request r;
	int16_t status = GNTST_bad_copy_arg;

	if (!get_copy(call, at, &r)) {
		return false;
	}
	if ((uint32_t)r.source.offset + r.len <= PAGE_BYTES &&
	    (uint32_t)r.dest.offset + r.len <= PAGE_BYTES) {
		call->budget -= r.len;
		status = copy_checked(call->xen, &r);
	}
	return xen_put(call,
	               at + (call->narrow ? offsetof(struct xen_gnttab_copy32, status)
	                                  : offsetof(struct xen_gnttab_copy64, status)),
	               &status, sizeof(status));
}

static int64_t copy_refs(struct xen_call *call)
{
	return for_each_entry(
	        call, call->narrow ? sizeof(struct xen_gnttab_copy32) : sizeof(struct xen_gnttab_copy64),
	        copy_one);
}

/* ------------------------------------------------------------------ the table itself */

/* Where frame @index shows, in the caller's width; all ones: nowhere. */
static bool put_frame_gfn(struct xen_call *call, uint64_t list, uint32_t index)
{
	uint32_t bytes = call->narrow ? 4 : 8;
	uint64_t gfn = UINT64_MAX;
	gpa_t at;

	if (vm_page_where(call->vm, call->xen->frames[index], &at)) {
		gfn = at.v >> PAGE_SHIFT;
	}
	return xen_put(call, list + (uint64_t)index * bytes, &gfn, bytes);
}

static int16_t setup_status(struct xen_call *call, uint16_t raw_domid, uint32_t raw_count)
{
	struct xen_vm *xen = call->xen;
	int16_t status = GNTST_okay;

	if (!xen_domid_is_self(xen, raw_domid)) {
		return GNTST_bad_domain;
	}
	if (raw_count > XEN_GRANT_FRAMES_MAX) {
		return GNTST_general_error;
	}
	spin_lock(&xen->grant_lock);
	if (raw_count != 0 && gnttab_frame_locked(call, raw_count - 1) == NULL) {
		status = GNTST_general_error;
	}
	spin_unlock(&xen->grant_lock);
	return status;
}

static bool get_setup(struct xen_call *call, struct xen_gnttab_setup64 *arg)
{
	struct xen_gnttab_setup32 narrow;

	if (!call->narrow) {
		return xen_get(call, call->args[1], arg, sizeof(*arg));
	}
	if (!xen_get(call, call->args[1], &narrow, sizeof(narrow))) {
		return false;
	}
	*arg = (struct xen_gnttab_setup64){
	        .dom = narrow.dom, .nr_frames = narrow.nr_frames, .frame_list = narrow.frame_list};
	return true;
}

/* A table only grows, so what setup_status() found is still there. */
static int64_t setup_table(struct xen_call *call)
{
	struct xen_gnttab_setup64 arg;
	int16_t status;

	if ((uint32_t)call->args[2] != 1) {
		return -XEN_EINVAL;
	}
	if (!get_setup(call, &arg)) {
		return -XEN_EFAULT;
	}
	status = setup_status(call, arg.dom, arg.nr_frames);
	if (call->again) {
		return 0;
	}
	for (uint32_t i = 0; status == GNTST_okay && i < arg.nr_frames; i++) {
		if (!put_frame_gfn(call, arg.frame_list, i)) {
			status = GNTST_bad_virt_addr;
		}
	}
	return xen_put(call, call->args[1] + offsetof(struct xen_gnttab_setup64, status), &status,
	               sizeof(status))
	               ? 0
	               : -XEN_EFAULT;
}

static int64_t query_size(struct xen_call *call)
{
	struct xen_gnttab_query_size arg;

	if ((uint32_t)call->args[2] != 1) {
		return -XEN_EINVAL;
	}
	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (xen_domid_is_self(call->xen, arg.dom)) {
		spin_lock(&call->xen->grant_lock);
		arg.nr_frames = call->xen->frame_count;
		spin_unlock(&call->xen->grant_lock);
		arg.max_nr_frames = XEN_GRANT_FRAMES_MAX;
		arg.status = GNTST_okay;
	} else {
		arg.status = GNTST_bad_domain;
	}
	return xen_put(call, call->args[1], &arg, sizeof(arg)) ? 0 : -XEN_EFAULT;
}

/* The version in force is written back whatever was asked for. */
static int64_t set_version(struct xen_call *call)
{
	uint32_t raw_version;
	uint32_t version = 1;

	if (!xen_get(call, call->args[1], &raw_version, sizeof(raw_version))) {
		return -XEN_EFAULT;
	}
	if (!xen_put(call, call->args[1], &version, sizeof(version))) {
		return -XEN_EFAULT;
	}
	if (raw_version == 0 || raw_version > 2) {
		return -XEN_EINVAL;
	}
	return raw_version == 1 ? 0 : -XEN_ENOSYS;
}

static int64_t get_version(struct xen_call *call)
{
	struct xen_gnttab_get_version arg;

	if (!xen_get(call, call->args[1], &arg, sizeof(arg))) {
		return -XEN_EFAULT;
	}
	if (!xen_domid_is_self(call->xen, arg.dom)) {
		return -XEN_ESRCH;
	}
	arg.version = 1;
	return xen_put(call, call->args[1], &arg, sizeof(arg)) ? 0 : -XEN_EFAULT;
}

/* ------------------------------------------------------------------ swap */

static struct vm_page *frame_of(struct xen_vm *xen, uint32_t ref)
{
	return xen->frames[ref / XEN_GRANTS_A_FRAME];
}

static int16_t swap_locked(struct xen_vm *xen, uint32_t raw_a, uint32_t raw_b)
{
	const struct gnttab_active *a = gnttab_active_locked(xen, raw_a);
	const struct gnttab_active *b = gnttab_active_locked(xen, raw_b);
	size_t bytes = sizeof(struct xen_grant_entry_v1);
	uint32_t off_a = raw_a % XEN_GRANTS_A_FRAME * (uint32_t)bytes;
	uint32_t off_b = raw_b % XEN_GRANTS_A_FRAME * (uint32_t)bytes;
	uint64_t entry;

	if (a == NULL || b == NULL) {
		return GNTST_bad_gntref;
	}
	if (a->hold_count != 0 || b->hold_count != 0) {
		return GNTST_eagain;
	}
	entry = vm_page_load64(frame_of(xen, raw_a), off_a);
	vm_page_store64(frame_of(xen, raw_a), off_a, vm_page_load64(frame_of(xen, raw_b), off_b));
	vm_page_store64(frame_of(xen, raw_b), off_b, entry);
	return GNTST_okay;
}

static bool swap_one(struct xen_call *call, uint64_t at)
{
	struct xen_gnttab_swap arg;

	if (!xen_get(call, at, &arg, sizeof(arg))) {
		return false;
	}
	spin_lock(&call->xen->grant_lock);
	arg.status = swap_locked(call->xen, arg.ref_a, arg.ref_b);
	spin_unlock(&call->xen->grant_lock);
	return xen_put(call, at, &arg, sizeof(arg));
}

static int64_t swap_refs(struct xen_call *call)
{
	return for_each_entry(call, sizeof(struct xen_gnttab_swap), swap_one);
}

/* ------------------------------------------------------------------ dispatch */

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_gnttab.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_gnttab.def"
#undef SPEC_ROW
};

int64_t xen_gnttab_op(struct xen_call *call)
{
	if ((int32_t)(uint32_t)call->args[2] < 0) {
		return -XEN_EINVAL;
	}
	return xen_dispatch(call, SPEC_XEN_GNTTAB, rows, ARRAY_COUNT(rows), (uint32_t)call->args[0]);
}
