/*
 * xen_memory.c - probes of specs/xen_memory.def: memory_op's reservations and sizes, by memory.h. The map and Xen's own
 * pages are in xen_physmap.c.
 *
 * What is taken is given back: an increase is never made (it cannot be undone), nor RAM removed without its page freed.
 */
#include "guest-drivers/certify/xen_memory.h"

#define FILL 0xA5u
#define ORDER_TOO_HIGH 20u /* above what any domain may ask for */
#define MANY_PAGES 80u /* more than one exit does */

int64_t memory_op(struct probe *p, struct xen_guest *x, void *argument, size_t len)
{
	return xp_op(p, x, __HYPERVISOR_memory_op, argument, len);
}

/* ------------------------------------------------------------------ reservations */

/* The row's operation with a list of @count frame numbers, in a page of its own. */
static int64_t extents(struct probe *p, struct xen_guest *x, const struct guest_page *list, uint64_t count,
                       uint32_t order, uint16_t domid)
{
	struct xen_reservation64 reservation = {
	        .extent_start = list->gfn << PAGE_SHIFT,
	        .nr_extents = count,
	        .extent_order = order,
	        .domid = domid,
	};

	return memory_op(p, x, &reservation, sizeof(reservation));
}

static void set_gfn(const struct guest_page *list, uint32_t at, uint64_t gfn)
{
	memcpy(list->bytes + at * sizeof(gfn), &gfn, sizeof(gfn));
}

/* Never an error, but the extents done: 0 of what cannot be. */
static void check_no_extents(struct probe *p, struct xen_guest *x, const struct guest_page *list)
{
	struct xen_reservation64 nowhere = {.extent_start = XP_BAD, .nr_extents = 1, .domid = DOMID_SELF};

	(void)xp_result(p, extents(p, x, list, 1, ORDER_TOO_HIGH, DOMID_SELF), 0, "an order of 20");
	(void)xp_result(p, extents(p, x, list, 1, 0, XP_NO_DOMID), 0, "a domain that there is not");
	(void)xp_result(p, extents(p, x, list, 0, 0, DOMID_SELF), 0, "no extents");
	(void)xp_result(p, xen_call(x, __HYPERVISOR_memory_op, p->row->number, XP_BAD, 0), 0,
	                "an argument where there is no memory");
	if (p->row->number != XENMEM_increase_reservation) {
		(void)xp_result(p, memory_op(p, x, &nowhere, sizeof(nowhere)), 0,
		                "a list where there is no memory");
	}
}

static void probe_increase_reservation(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page list;

	if (x != NULL && xp_pages(p, &list, 1)) {
		if (xp_offered(p, extents(p, x, &list, 0, 0, DOMID_SELF))) {
			check_no_extents(p, x, &list);
			probe_note(p, "nothing is increased here: it could not be undone");
		}
		xp_pages_free(p, &list, 1);
	}
}

static int64_t current_pages(struct xen_guest *x)
{
	uint16_t domid = DOMID_SELF;

	return xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_current_reservation, &domid, sizeof(domid));
}

static int64_t maximum_pages(struct xen_guest *x)
{
	uint16_t domid = DOMID_SELF;

	return xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_maximum_reservation, &domid, sizeof(domid));
}

/* What is gone is no RAM, does not count, and cannot go again; what comes is empty. */
static void check_one_page(struct probe *p, struct xen_guest *x, struct guest_page *page)
{
	int64_t before = current_pages(x);
	uint32_t filled = 0;

	memset(page->bytes, FILL, PAGE_BYTES);
	(void)xp_result(p, xp_reserve(x, XENMEM_decrease_reservation, page->gfn), 1, "giving a page away");
	(void)xp_result(p, current_pages(x), before - 1, "pages owned without it");
	check_type(p, x, page->gfn, HVMMEM_mmio_dm, "what is there then");
	(void)xp_result(p, xp_reserve(x, XENMEM_decrease_reservation, page->gfn), 0, "giving it away again");
	(void)xp_result(p, current_pages(x), before - 1, "pages owned after that");
	xp_page_restore(p, x, page);
	(void)xp_result(p, current_pages(x), before, "pages owned with it");
	check_type(p, x, page->gfn, HVMMEM_ram_rw, "what is there again");
	for (uint32_t i = 0; page->bytes != NULL && i < PAGE_BYTES; i++) {
		filled += page->bytes[i] != 0;
	}
	(void)probe_equal(p, filled, 0, "bytes in a new page");
}

/* The first extent that cannot be taken ends the call; those before are gone, those behind are not. */
static void check_stop(struct probe *p, struct xen_guest *x, const struct guest_page *list,
                       struct guest_page pages[2])
{
	set_gfn(list, 0, pages[0].gfn);
	set_gfn(list, 1, XP_BAD_GFN);
	set_gfn(list, 2, pages[1].gfn);
	if (p->row->number == XENMEM_decrease_reservation &&
	    xp_result(p, extents(p, x, list, 3, 0, DOMID_SELF), 1, "a list whose second cannot be")) {
		check_type(p, x, pages[0].gfn, HVMMEM_mmio_dm, "its first, after the call");
		check_type(p, x, pages[1].gfn, HVMMEM_ram_rw, "its third, after the call");
		xp_page_restore(p, x, &pages[0]);
	}
	(void)extents(p, x, list, 3, ORDER_TOO_HIGH, DOMID_SELF);
	/* Progress above the operation says where to go on; nothing is left there. */
	(void)xp_result(p,
	                xen_call(x, __HYPERVISOR_memory_op, p->row->number | 5u << MEMOP_EXTENT_SHIFT,
	                         x->args.gfn << PAGE_SHIFT, 0),
	                5, "going on behind the end of the list");
}

/* A list that runs out of the guest's memory: what stands before is done. */
static void check_torn(struct probe *p, struct xen_guest *x, struct guest_page *page)
{
	bool take = p->row->number == XENMEM_decrease_reservation;
	struct guest_page pair[2];
	struct xen_reservation64 reservation = {.nr_extents = 2, .domid = DOMID_SELF};

	if (!xp_pair(p, pair)) {
		return;
	}
	memcpy(pair[0].bytes + PAGE_BYTES - sizeof(page->gfn), &page->gfn, sizeof(page->gfn));
	reservation.extent_start = (pair[1].gfn << PAGE_SHIFT) - sizeof(page->gfn);
	(void)xp_result(p, xp_reserve(x, XENMEM_decrease_reservation, pair[1].gfn), 1, "making a hole");
	if (take || xp_reserve(x, XENMEM_decrease_reservation, page->gfn) == 1) {
		(void)xp_result(p, memory_op(p, x, &reservation, sizeof(reservation)), 1,
		                "a list that ends in a hole");
		check_type(p, x, page->gfn, take ? HVMMEM_mmio_dm : HVMMEM_ram_rw,
		           "its first, after the call");
	}
	if (memory_type(x, page->gfn) != HVMMEM_ram_rw) {
		xp_page_restore(p, x, page);
	}
	xp_page_restore(p, x, &pair[1]);
	xp_pages_free(p, pair, 2);
}

/* More pages than one exit takes or gives, away and back. */
static void check_many(struct probe *p, struct xen_guest *x, const struct guest_page *list)
{
	static struct guest_page pages[MANY_PAGES];
	struct xen_reservation64 reservation = {
	        .extent_start = list->gfn << PAGE_SHIFT, .nr_extents = MANY_PAGES, .domid = DOMID_SELF};

	if (!xp_pages(p, pages, MANY_PAGES)) {
		return;
	}
	for (uint32_t i = 0; i < MANY_PAGES; i++) {
		set_gfn(list, i, pages[i].gfn);
	}
	(void)xp_result(p,
	                xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, &reservation,
	                                sizeof(reservation)),
	                MANY_PAGES, "giving 80 pages away");
	(void)xp_result(p,
	                xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &reservation,
	                                sizeof(reservation)),
	                MANY_PAGES, "having them back");
	for (uint32_t i = 0; i < MANY_PAGES; i++) {
		if (memory_type(x, pages[i].gfn) != HVMMEM_ram_rw) {
			pages[i].bytes = NULL; /* lost */
		}
	}
	xp_pages_free(p, pages, MANY_PAGES);
}

static void probe_of_reservation(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct guest_page pages[3];
	int64_t gone;

	if (x == NULL || !xp_pages(p, pages, 3)) {
		return;
	}
	gone = xp_reserve(x, XENMEM_decrease_reservation, pages[0].gfn);
	if (xp_offered(p, gone)) {
		(void)xp_result(p, gone, 1, "giving a page away");
		xp_page_restore(p, x, &pages[0]);
		if (pages[0].bytes != NULL) {
			check_one_page(p, x, &pages[0]);
			check_no_extents(p, x, &pages[2]);
			check_stop(p, x, &pages[2], pages);
			check_torn(p, x, &pages[1]);
			check_many(p, x, &pages[2]);
		}
	}
	xp_pages_free(p, pages, 3);
}

static void probe_decrease_reservation(struct probe *p)
{
	probe_of_reservation(p);
}

/* Where RAM is there is none to be had, nor more than a domain may own; none on demand by itself. */
static void probe_populate_physmap(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_reservation64 on_demand = {
	        .nr_extents = 1, .mem_flags = XENMEMF_populate_on_demand, .domid = DOMID_SELF};
	struct guest_page page;

	probe_of_reservation(p);
	if (x == NULL || !p->offered || !xp_pages(p, &page, 1)) {
		return;
	}
	set_gfn(&page, 0, page.gfn);
	on_demand.extent_start = page.gfn << PAGE_SHIFT;
	(void)xp_result(p, memory_op(p, x, &on_demand, sizeof(on_demand)), 0, "a page on demand");
	if (current_pages(x) == maximum_pages(x)) {
		(void)xp_result(p, extents(p, x, &page, 1, 0, DOMID_SELF), 0,
		                "a page more than there may be");
	} else {
		probe_note(p, "the limit is not reached: no page more is asked for");
	}
	xp_pages_free(p, &page, 1);
}

/* ------------------------------------------------------------------ how much there is */

static void probe_maximum_ram_page(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t highest;

	if (x != NULL) {
		highest = xen_call(x, __HYPERVISOR_memory_op, p->row->number, 0, 0);
		if (!xp_offered(p, highest)) {
			return;
		}
		(void)probe_check(p, highest >= (int64_t)(x->args.gfn != 0), "the highest page is %ld",
		                  (long)highest);
		probe_note(p, "0x%lx", (unsigned long)highest);
	}
}

/* A number of a domain's. */
static int64_t domain_number(struct probe *p, struct xen_guest *x)
{
	uint16_t domid = DOMID_SELF;
	int64_t number = memory_op(p, x, &domid, sizeof(domid));

	if (!xp_offered(p, number)) {
		return -XEN_ENOSYS;
	}
	(void)probe_check(p, number > 0, "result %ld", (long)number);
	probe_note(p, "%ld", (long)number);
	domid = (uint16_t)x->domid;
	(void)xp_result(p, x->domid != 0 ? memory_op(p, x, &domid, sizeof(domid)) : number, number,
	                "the same by the domain's number");
	domid = XP_NO_DOMID;
	(void)xp_result(p, memory_op(p, x, &domid, sizeof(domid)), -XEN_ESRCH,
	                "of a domain that there is not");
	xp_check_fault(p, x, __HYPERVISOR_memory_op);
	return number;
}

static void probe_current_reservation(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t number;

	if (x != NULL && (number = domain_number(p, x)) > 0) {
		(void)probe_check(p, number <= maximum_pages(x), "more pages than the limit");
	}
}

static void probe_maximum_reservation(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t number;

	if (x != NULL && (number = domain_number(p, x)) > 0) {
		(void)probe_check(p, number >= current_pages(x), "a limit below the pages owned");
	}
}

static void probe_maximum_gpfn(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t number;

	if (x != NULL && (number = domain_number(p, x)) > 0) {
		(void)probe_check(p, number >= (int64_t)x->args.gfn, "a page of ours lies above it");
	}
}

/* ------------------------------------------------------------------ refused */

/* The row's operation with @len bytes of zeros, and the domain's number at @domid_at. */
static int64_t call_zeros(struct probe *p, struct xen_guest *x, size_t domid_at, uint16_t domid)
{
	memset(x->args.bytes, 0, PAGE_BYTES);
	memcpy(x->args.bytes + domid_at, &domid, sizeof(domid));
	return xen_call(x, __HYPERVISOR_memory_op, p->row->number, x->args.gfn << PAGE_SHIFT, 0);
}

/* Lists of Xen's own table, of which none is asked for; harmless where they are given out. */
static void probe_machphys_mfn_list(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, 0, 0), -XEN_ENOSYS, -XEN_EOPNOTSUPP);
	}
}

#define probe_machphys_compat_mfn_list probe_machphys_mfn_list

static void probe_machphys_mapping(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, 0, 0), -XEN_ENOSYS);
	}
}

static void probe_machine_memory_map(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, 0, 0), -XEN_EPERM, -XEN_ENOSYS);
	}
}

/* Nothing to be exchanged, and more than there is: counts stand behind the list's address, twice. */
static void probe_exchange(struct probe *p)
{
	const uint64_t too_many = UINT64_MAX;
	struct xen_guest *x = certify_xen_started(p);

	if (x == NULL) {
		return;
	}
	memset(x->args.bytes, 0, PAGE_BYTES);
	memcpy(x->args.bytes + offsetof(struct xen_reservation64, nr_extents), &too_many, sizeof(too_many));
	XP_REFUSED(p, xen_call(x, __HYPERVISOR_memory_op, p->row->number, x->args.gfn << PAGE_SHIFT, 0),
	           -XEN_EOPNOTSUPP, -XEN_EINVAL, -XEN_ENOSYS);
	(void)XP_RESULT_OF(p, call_zeros(p, x, 0, 0), "an exchange of nothing", -XEN_EOPNOTSUPP, 0,
	                   -XEN_ENOSYS);
}

static void probe_of_pod_target(struct probe *p)
{
	const size_t domid_at = 4 * sizeof(uint64_t);
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, domid_at, DOMID_SELF), -XEN_EPERM, -XEN_ENOSYS);
	}
}

#define probe_set_pod_target probe_of_pod_target
#define probe_get_pod_target probe_of_pod_target

static void probe_claim_pages(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, offsetof(struct xen_reservation64, domid), (uint16_t)x->domid),
		           -XEN_EPERM, -XEN_EINVAL, -XEN_ENOSYS);
	}
}

static void probe_get_vnumainfo(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t result;

	if (x == NULL) {
		return;
	}
	result = call_zeros(p, x, 0, DOMID_SELF);
	if (result == -XEN_ENOBUFS) { /* there is some, more than the room of 0 that was given */
		probe_offer(p, true);
		(void)probe_check(p, true, "offered");
		return;
	}
	XP_REFUSED(p, result, -XEN_EOPNOTSUPP, -XEN_ENOSYS);
}

static void probe_reserved_device_memory_map(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, 0, 0), -XEN_EPERM, -XEN_ENOSYS, -XEN_EOPNOTSUPP, -XEN_ENOBUFS);
	}
}

/* The size of a resource of ours: a guest is not its own device model. */
static void probe_acquire_resource(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p, call_zeros(p, x, 0, (uint16_t)x->domid), -XEN_EACCES, -XEN_EPERM, -XEN_ESRCH,
		           -XEN_ENOSYS);
	}
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_memory.def"
};
ROW_TABLE(xen_memory, NEED_XEN)
