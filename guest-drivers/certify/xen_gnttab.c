/*
 * xen_gnttab.c - probes of specs/xen_gnttab.def: the grant table, version 1, by grant_table.h.
 */
#include "guest-drivers/certify/xen_probe.h"

#define REFS_A_FRAME 512u
#define NO_REF 0x0FFFFFFFu
#define NO_HANDLE 0xFFFFu
#define COUNT_BELOW_0 0x80000000u
#define MANY_COPIES 100u
#define COPY_BYTES 1024u

static int64_t call(struct probe *p, struct xen_guest *x, uint64_t at, uint64_t count)
{
	return xen_call(x, __HYPERVISOR_grant_table_op, p->row->number, at, count);
}

/* The row's operation on one structure. */
static int64_t op(struct probe *p, struct xen_guest *x, void *argument, size_t len)
{
	int64_t result;

	memcpy(x->args.bytes, argument, len);
	result = call(p, x, x->args.gfn << PAGE_SHIFT, 1);
	memcpy(argument, x->args.bytes, len);
	return result;
}

static void check_count(struct probe *p, struct xen_guest *x, bool array)
{
	uint64_t at = x->args.gfn << PAGE_SHIFT;

	(void)xp_result(p, call(p, x, at, 0), array ? 0 : -XEN_EINVAL, "a count of 0");
	(void)xp_result(p, call(p, x, at, COUNT_BELOW_0), -XEN_EINVAL, "a count below 0");
	if (!array) {
		(void)xp_result(p, call(p, x, at, 2), -XEN_EINVAL, "a count of 2");
	}
	(void)xp_result(p, call(p, x, XP_BAD, 1), -XEN_EFAULT, "an argument where there is no memory");
}

/* The status in a structure whose call did not fail. */
static void check_status(struct probe *p, int64_t result, int16_t got, int16_t wanted, const char *what)
{
	(void)xp_result(p, result, 0, what);
	(void)xp_result(p, got, wanted, what);
}

/* ------------------------------------------------------------------ entries of our own */

static struct xen_grant_entry_v1 *entry_at(struct xen_guest *x, uint32_t ref)
{
	return (struct xen_grant_entry_v1 *)(void *)(x->grants[ref / REFS_A_FRAME] +
	                                             ref % REFS_A_FRAME * sizeof(struct xen_grant_entry_v1));
}

/* A page granted to the domain itself. */
static uint32_t grant_own(struct xen_guest *x, uint64_t gfn, bool read_only)
{
	uint32_t ref = xen_grant(x, gfn, read_only);

	if (ref != XEN_GRANT_NONE) {
		entry_at(x, ref)->domid = (uint16_t)x->domid;
	}
	return ref;
}

static void grant_end(struct probe *p, struct xen_guest *x, uint32_t ref)
{
	if (ref != XEN_GRANT_NONE) {
		(void)probe_check(p, xen_grant_end(x, ref), "grant %u stays in use", ref);
	}
}

/* ------------------------------------------------------------------ map, unmap */

static void check_map(struct probe *p, struct xen_guest *x, struct xen_gnttab_map *map, int16_t wanted,
                      const char *what)
{
	int64_t result = op(p, x, map, sizeof(*map));

	check_status(p, result, map->status, wanted, what);
}

/* Elsewhere than in Janus a bad reference is looked at: mapping is offered there. */
static void probe_map_grant_ref(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_gnttab_map map = {.flags = GNTMAP_host_map, .ref = NO_REF};
	int64_t result;

	if (x == NULL) {
		return;
	}
	map.host_addr = x->args.gfn << PAGE_SHIFT; /* of domain 0, which is there everywhere */
	result = op(p, x, &map, sizeof(map));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "mapping a reference that there is not");
	probe_offer(p, map.status != GNTST_no_space);
	(void)XP_RESULT_OF(p, map.status, "its status", GNTST_no_space, GNTST_bad_gntref);
	map.flags = GNTMAP_device_map | GNTMAP_host_map;
	check_map(p, x, &map, GNTST_general_error, "mapping for a device");
	map.flags = 0;
	check_map(p, x, &map, GNTST_bad_gntref, "mapping for nothing");
	map.flags = GNTMAP_host_map | GNTMAP_contains_pte;
	check_map(p, x, &map, GNTST_general_error, "mapping by PTE");
	map.flags = GNTMAP_host_map;
	map.dom = XP_NO_DOMID;
	check_map(p, x, &map, GNTST_bad_domain, "mapping of a domain that there is not");
	map.dom = DOMID_SELF;
	check_map(p, x, &map, GNTST_bad_domain, "mapping of SELF, which is no domain's number");
	check_count(p, x, true);
}

static void probe_unmap_grant_ref(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_gnttab_unmap unmaps[3] = {
	        {.handle = NO_HANDLE}, {.handle = UINT32_MAX}, {.handle = NO_HANDLE}};
	int64_t result;

	if (x == NULL) {
		return;
	}
	memcpy(x->args.bytes, unmaps, sizeof(unmaps));
	result = call(p, x, x->args.gfn << PAGE_SHIFT, 3);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "three handles that there are not");
	memcpy(unmaps, x->args.bytes, sizeof(unmaps));
	for (uint32_t i = 0; i < ARRAY_COUNT(unmaps); i++) {
		(void)xp_result(p, unmaps[i].status, GNTST_bad_handle, "the status of one");
	}
	check_count(p, x, true);
}

/* ------------------------------------------------------------------ the table */

static int64_t setup(struct probe *p, struct xen_guest *x, uint16_t domid, uint32_t frames, uint64_t list,
                     int16_t *status)
{
	struct xen_gnttab_setup64 arg = {.dom = domid, .nr_frames = frames, .frame_list = list};
	int64_t result = op(p, x, &arg, sizeof(arg));

	*status = arg.status;
	return result;
}

static int64_t size_read(struct xen_guest *x, uint16_t domid, struct xen_gnttab_query_size *size)
{
	int64_t result;

	*size = (struct xen_gnttab_query_size){.dom = domid, .status = 1};
	memcpy(x->args.bytes, size, sizeof(*size));
	result = xen_call(x, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, x->args.gfn << PAGE_SHIFT, 1);
	memcpy(size, x->args.bytes, sizeof(*size));
	return result;
}

/* Frames are told where we have them; one more than we have is made, and is nowhere. */
static void check_frames(struct probe *p, struct xen_guest *x, const struct guest_page *list)
{
	const uint64_t *gfns = (const uint64_t *)(const void *)list->bytes;
	struct xen_gnttab_query_size size;
	int16_t status;
	int64_t result = setup(p, x, DOMID_SELF, XEN_GRANT_FRAMES + 1, list->gfn << PAGE_SHIFT, &status);

	check_status(p, result, status, GNTST_okay, "a table of five frames");
	for (uint32_t i = 0; i < XEN_GRANT_FRAMES; i++) {
		(void)probe_equal(p, gfns[i], x->grant_below[i].gfn, "where a frame is");
	}
	(void)probe_equal(p, gfns[XEN_GRANT_FRAMES], UINT64_MAX, "where a frame is that is nowhere");
	(void)size_read(x, DOMID_SELF, &size);
	(void)probe_check(p, size.nr_frames > XEN_GRANT_FRAMES, "the table has %u frames", size.nr_frames);
	result = setup(p, x, DOMID_SELF, size.max_nr_frames + 1, list->gfn << PAGE_SHIFT, &status);
	check_status(p, result, status, GNTST_general_error, "a frame more than there may be");
}

static void probe_setup_table(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page list;
	int16_t status;
	int64_t result;

	if (x == NULL || !xp_pages(p, &list, 1)) {
		return;
	}
	result = setup(p, x, DOMID_SELF, 0, list.gfn << PAGE_SHIFT, &status);
	if (xp_offered(p, result)) {
		check_status(p, result, status, GNTST_okay, "no frames");
		check_frames(p, x, &list);
		result = setup(p, x, XP_NO_DOMID, 1, list.gfn << PAGE_SHIFT, &status);
		check_status(p, result, status, GNTST_bad_domain, "of a domain that there is not");
		result = setup(p, x, DOMID_SELF, 1, XP_BAD, &status);
		check_status(p, result, status, GNTST_bad_virt_addr, "a list where there is no memory");
		check_count(p, x, false);
	}
	xp_pages_free(p, &list, 1);
}

static void probe_query_size(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_gnttab_query_size size;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = size_read(x, DOMID_SELF, &size);
	if (!xp_offered(p, result)) {
		return;
	}
	check_status(p, result, size.status, GNTST_okay, "the size");
	(void)probe_check(p, size.nr_frames >= XEN_GRANT_FRAMES && size.max_nr_frames >= size.nr_frames,
	                  "%u frames of %u", size.nr_frames, size.max_nr_frames);
	probe_note(p, "%u frames of %u", size.nr_frames, size.max_nr_frames);
	result = size_read(x, XP_NO_DOMID, &size);
	check_status(p, result, size.status, GNTST_bad_domain, "of a domain that there is not");
	check_count(p, x, false);
}

/* ------------------------------------------------------------------ versions */

static int64_t version_set(struct xen_guest *x, uint32_t *version)
{
	return xen_call_struct(x, __HYPERVISOR_grant_table_op, GNTTABOP_set_version, version,
	                       sizeof(*version));
}

/* Whatever is asked for, the version in force is told. No grant of ours is open now. */
static void probe_set_version(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t version = 1;
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = version_set(x, &version);
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "version 1");
	(void)probe_equal(p, version, 1, "the version after that");
	version = 0;
	(void)xp_result(p, version_set(x, &version), -XEN_EINVAL, "version 0");
	(void)probe_equal(p, version, 1, "the version after that");
	version = 3;
	(void)xp_result(p, version_set(x, &version), -XEN_EINVAL, "version 3");
	(void)probe_equal(p, version, 1, "the version after that");
	(void)xp_result(p, xen_call(x, __HYPERVISOR_grant_table_op, p->row->number, XP_BAD, 1), -XEN_EFAULT,
	                "an argument where there is no memory");
	version = 2;
	result = version_set(x, &version);
	(void)XP_RESULT_OF(p, result, "version 2", -XEN_ENOSYS, 0);
	(void)probe_equal(p, version, result == 0 ? 2 : 1, "the version after that");
	version = 1;
	(void)xp_result(p, version_set(x, &version), 0, "version 1 again");
}

static void probe_get_version(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_gnttab_get_version arg = {.dom = DOMID_SELF};
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = op(p, x, &arg, sizeof(arg));
	if (!xp_offered(p, result)) {
		return;
	}
	(void)xp_result(p, result, 0, "the version");
	(void)probe_equal(p, arg.version, 1, "the version");
	arg.dom = XP_NO_DOMID;
	(void)xp_result(p, op(p, x, &arg, sizeof(arg)), -XEN_ESRCH, "of a domain that there is not");
	(void)xp_result(p, call(p, x, XP_BAD, 1), -XEN_EFAULT, "an argument where there is no memory");
}

/* ------------------------------------------------------------------ copy */

static struct xen_gnttab_copy64 copy_of(uint64_t from, uint64_t to, uint16_t flags)
{
	return (struct xen_gnttab_copy64){
	        .source = {.ref_or_gmfn = from, .domid = DOMID_SELF, .offset = 100},
	        .dest = {.ref_or_gmfn = to, .domid = DOMID_SELF, .offset = 3000},
	        .len = COPY_BYTES,
	        .flags = flags,
	        .status = 1,
	};
}

static void check_copy(struct probe *p, struct xen_guest *x, struct xen_gnttab_copy64 arg, int16_t wanted,
                       const char *what)
{
	int64_t result = op(p, x, &arg, sizeof(arg));

	check_status(p, result, arg.status, wanted, what);
}

/* The bytes asked for, all of them, and none beside them. */
static void check_bytes(struct probe *p, const struct guest_page pages[2])
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < PAGE_BYTES; i++) {
		bool copied = i >= 3000 && i < 3000 + COPY_BYTES;

		wrong += pages[1].bytes[i] != (copied ? pages[0].bytes[i - 3000 + 100] : 0xA5);
	}
	(void)probe_equal(p, wrong, 0, "wrong bytes after a copy");
	memset(pages[1].bytes, 0xA5, PAGE_BYTES);
}

static void check_frames_copied(struct probe *p, struct xen_guest *x, const struct guest_page pages[2])
{
	struct xen_gnttab_copy64 copy = copy_of(pages[0].gfn, pages[1].gfn, 0);

	check_copy(p, x, copy, GNTST_okay, "a copy from page to page");
	check_bytes(p, pages);
	copy.len = 0;
	check_copy(p, x, copy, GNTST_okay, "a copy of no bytes");
	copy.source.offset = PAGE_BYTES + 1;
	check_copy(p, x, copy, GNTST_bad_copy_arg, "a copy of no bytes from beyond a page");
	copy = copy_of(pages[0].gfn, pages[1].gfn, 0);
	copy.dest.offset = PAGE_BYTES - COPY_BYTES + 1;
	check_copy(p, x, copy, GNTST_bad_copy_arg, "a copy over the end of a page");
	copy = copy_of(pages[0].gfn, pages[1].gfn, 0);
	copy.source.offset = PAGE_BYTES - 1;
	check_copy(p, x, copy, GNTST_bad_copy_arg, "a copy from over the end of a page");
	copy = copy_of(pages[0].gfn, pages[1].gfn, 0);
	copy.source.domid = 0;
	check_copy(p, x, copy, GNTST_permission_denied, "a copy from a page of domain 0's");
	check_copy(p, x, copy_of(XP_BAD_GFN, pages[1].gfn, 0), GNTST_bad_page,
	           "a copy from where there is no memory");
	check_copy(p, x, copy_of(NO_REF, pages[1].gfn, GNTCOPY_source_gref), GNTST_bad_gntref,
	           "a copy from a reference that there is not");
	copy = copy_of(GNTTAB_NR_RESERVED_ENTRIES, pages[1].gfn, GNTCOPY_source_gref);
	copy.source.domid = XP_NO_DOMID;
	check_copy(p, x, copy, GNTST_bad_domain, "a copy from a domain that there is not");
	copy.source.domid = 0;
	(void)op(p, x, &copy, sizeof(copy));
	(void)XP_RESULT_OF(p, copy.status, "a copy from what domain 0 has not granted", GNTST_bad_gntref,
	                   GNTST_general_error, GNTST_permission_denied);
	(void)probe_check(p, pages[1].bytes[3000] == 0xA5, "a refused copy was made");
}

/* Through grants of the domain to itself: used while the call runs, no longer. */
static void check_grants_copied(struct probe *p, struct xen_guest *x, const struct guest_page pages[2])
{
	uint32_t from = grant_own(x, pages[0].gfn, true);
	uint32_t to = grant_own(x, pages[1].gfn, false);
	uint32_t zeros = xen_grant(x, pages[0].gfn, false);
	uint16_t both = GNTCOPY_source_gref | GNTCOPY_dest_gref;

	check_copy(p, x, copy_of(from, to, both), GNTST_okay, "a copy from grant to grant");
	check_bytes(p, pages);
	(void)probe_equal(p, entry_at(x, from)->flags, GTF_permit_access | GTF_readonly,
	                  "the source's flags after it");
	(void)probe_equal(p, entry_at(x, to)->flags, GTF_permit_access, "the destination's flags after it");
	check_copy(p, x, copy_of(to, from, both), GNTST_general_error, "a copy to what may be read only");
	check_copy(p, x, copy_of(zeros, to, both), GNTST_general_error, "a copy from a grant to domain 0");
	grant_end(p, x, from);
	check_copy(p, x, copy_of(from, to, both), GNTST_general_error, "a copy from a grant that has ended");
	grant_end(p, x, to);
	grant_end(p, x, zeros);
	(void)probe_check(p, pages[1].bytes[3000] == 0xA5, "a refused copy was made");
}

/* Each has its own status, and an error in one does not end the others. */
static void check_many(struct probe *p, struct xen_guest *x, const struct guest_page pages[2])
{
	struct xen_gnttab_copy64 copy = copy_of(pages[0].gfn, pages[1].gfn, 0);
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < MANY_COPIES; i++) {
		copy.source.ref_or_gmfn = i == 50 ? XP_BAD_GFN : pages[0].gfn;
		memcpy(x->args.bytes + i * sizeof(copy), &copy, sizeof(copy));
	}
	(void)xp_result(p, call(p, x, x->args.gfn << PAGE_SHIFT, MANY_COPIES), 0, "100 copies");
	for (uint32_t i = 0; i < MANY_COPIES; i++) {
		memcpy(&copy, x->args.bytes + i * sizeof(copy), sizeof(copy));
		wrong += copy.status != (i == 50 ? GNTST_bad_page : GNTST_okay);
	}
	(void)probe_equal(p, wrong, 0, "wrong results among 100 copies");
	check_bytes(p, pages);
}

static void probe_copy(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page pages[2];
	int64_t result;

	if (x == NULL || !xp_pages(p, pages, 2)) {
		return;
	}
	result = call(p, x, x->args.gfn << PAGE_SHIFT, 0);
	if (xp_offered(p, result)) {
		for (uint32_t i = 0; i < PAGE_BYTES; i++) {
			pages[0].bytes[i] = (uint8_t)(i * 7 + i / 256);
		}
		memset(pages[1].bytes, 0xA5, PAGE_BYTES);
		check_frames_copied(p, x, pages);
		check_many(p, x, pages);
		check_count(p, x, true);
		if (x->domid != 0) {
			check_grants_copied(p, x, pages);
		} else {
			probe_note(p, "the domain's number is not known: no grant to itself");
		}
	}
	xp_pages_free(p, pages, 2);
}

/* ------------------------------------------------------------------ swap */

static int64_t swap(struct probe *p, struct xen_guest *x, uint32_t a, uint32_t b, int16_t *status)
{
	struct xen_gnttab_swap arg = {.ref_a = a, .ref_b = b, .status = 1};
	int64_t result = op(p, x, &arg, sizeof(arg));

	*status = arg.status;
	return result;
}

static void check_swap(struct probe *p, struct xen_guest *x, uint32_t a, uint32_t b)
{
	struct xen_grant_entry_v1 was[2] = {*entry_at(x, a), *entry_at(x, b)};
	int16_t status;
	int64_t result = swap(p, x, a, b, &status);

	check_status(p, result, status, GNTST_okay, "a swap");
	(void)probe_check(p,
	                  memcmp(entry_at(x, a), &was[1], sizeof(was[1])) == 0 &&
	                          memcmp(entry_at(x, b), &was[0], sizeof(was[0])) == 0,
	                  "the entries are not swapped");
	result = swap(p, x, a, b, &status);
	check_status(p, result, status, GNTST_okay, "swapping them back");
	result = swap(p, x, a, a, &status);
	check_status(p, result, status, GNTST_okay, "a swap with itself");
	(void)probe_check(p, memcmp(entry_at(x, a), &was[0], sizeof(was[0])) == 0,
	                  "the entry is another one after that");
	result = swap(p, x, a, NO_REF, &status);
	check_status(p, result, status, GNTST_bad_gntref, "a swap with a reference that there is not");
	result = swap(p, x, NO_REF, a, &status);
	check_status(p, result, status, GNTST_bad_gntref, "the same the other way round");
	(void)probe_check(p, memcmp(entry_at(x, a), &was[0], sizeof(was[0])) == 0,
	                  "the entry is another one after that");
}

/* What a backend uses now stays where it is. */
static void check_swap_in_use(struct probe *p, struct xen_guest *x, uint32_t a)
{
	const struct xen_blkfront *blk = xp_disk_open(p);
	int16_t status;
	int64_t result;

	if (blk == NULL) {
		probe_note(p, "no disk: no grant that is in use");
		return;
	}
	result = swap(p, x, blk->ring.ref, a, &status);
	check_status(p, result, status, GNTST_eagain, "a swap with a grant in use");
	result = swap(p, x, a, blk->ring.ref, &status);
	check_status(p, result, status, GNTST_eagain, "the same the other way round");
	xp_disk_close(p);
}

static void probe_swap_grant_ref(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;
	uint32_t a;
	uint32_t b;

	if (x == NULL) {
		return;
	}
	result = call(p, x, x->args.gfn << PAGE_SHIFT, 0);
	if (!xp_offered(p, result)) {
		return;
	}
	a = xen_grant(x, x->args.gfn, true);
	b = xen_grant(x, x->stubs.gfn, false);
	if (probe_check(p, a != XEN_GRANT_NONE && b != XEN_GRANT_NONE, "no references left")) {
		check_swap(p, x, a, b);
		check_swap_in_use(p, x, a);
	}
	grant_end(p, x, b);
	grant_end(p, x, a);
	check_count(p, x, true);
}

/* ------------------------------------------------------------------ not for such guests */

static void probe_of_none(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		memset(x->args.bytes, 0, PAGE_BYTES);
		XP_REFUSED(p, call(p, x, x->args.gfn << PAGE_SHIFT, 1), -XEN_ENOSYS);
		XP_REFUSED(p, call(p, x, x->args.gfn << PAGE_SHIFT, 0), -XEN_ENOSYS);
	}
}

#define probe_dump_table probe_of_none
#define probe_transfer probe_of_none
#define probe_unmap_and_replace probe_of_none
#define probe_get_status_frames probe_of_none
#define probe_cache_flush probe_of_none

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_gnttab.def"
};
ROW_TABLE(xen_gnttab, NEED_XEN)
