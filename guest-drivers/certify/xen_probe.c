/*
 * xen_probe.c - what the probes of Xen's tables share.
 */
#include "guest-drivers/certify/xen_probe.h"

#define AT_PENDING offsetof(struct xen_shared_info64, evtchn_pending)
#define AT_MASK offsetof(struct xen_shared_info64, evtchn_mask)
#define AT_TIME offsetof(struct xen_vcpu_info64, time)
#define AT_SELECTOR offsetof(struct xen_vcpu_info64, evtchn_pending_sel)
#define VCPU_SEARCH_MAX 128u

/* ------------------------------------------------------------------ results */

bool xp_result(struct probe *p, int64_t got, int64_t wanted, const char *what)
{
	return probe_check(p, got == wanted, "%s: %ld, not %ld", what, (long)got, (long)wanted);
}

bool xp_result_of(struct probe *p, int64_t got, const int64_t *wanted, uint32_t count, const char *what)
{
	bool found = false;

	for (uint32_t i = 0; i < count; i++) {
		found = found || got == wanted[i];
	}
	if (found && got != wanted[0]) {
		probe_note(p, "%s: %ld", what, (long)got);
	}
	return probe_check(p, found, "%s: %ld, not %ld", what, (long)got, (long)wanted[0]);
}

bool xp_offered(struct probe *p, int64_t got)
{
	if (got != -XEN_ENOSYS) {
		return true;
	}
	probe_offer(p, false);
	probe_note(p, "refused with -ENOSYS");
	return !probe_check(p, true, "refused");
}

void xp_refused(struct probe *p, int64_t got, const int64_t *documented, uint32_t count)
{
	probe_offer(p, got >= 0);
	probe_note(p, "result %ld", (long)got);
	if (got < 0) {
		(void)xp_result_of(p, got, documented, count, "the refusal");
	} else {
		(void)probe_check(p, true, "offered");
	}
}

int64_t xp_op(struct probe *p, struct xen_guest *x, uint32_t number, void *argument, size_t len)
{
	return xen_call_struct(x, number, p->row->number, argument, len);
}

void xp_check_fault(struct probe *p, struct xen_guest *x, uint32_t number)
{
	(void)xp_result(p, xen_call(x, number, p->row->number, XP_BAD, 0), -XEN_EFAULT,
	                "an argument where there is no memory");
}

/* ------------------------------------------------------------------ time */

/* By vCPU 0's time information and the TSC. */
static uint64_t pvclock_now(struct certify *c)
{
	struct xen_vcpu_time_info time;
	const uint8_t *at = c->xen.shared + AT_TIME;
	uint64_t ticks;

	memcpy(&time, at, sizeof(time));
	for (uint32_t i = 0; i < 1000 && ((time.version & 1) != 0 || guest_load32(at) != time.version); i++) {
		memcpy(&time, at, sizeof(time));
	}
	ticks = c->machine->tsc() - time.tsc_timestamp;
	ticks = time.tsc_shift >= 0 ? ticks << time.tsc_shift : ticks >> -time.tsc_shift;
	return time.system_time + (ticks >> 32) * time.tsc_to_system_mul +
	       ((ticks & 0xFFFFFFFFu) * time.tsc_to_system_mul >> 32);
}

uint64_t xp_now(struct certify *c)
{
	uint64_t now = 0;

	if (xen_call_struct(&c->xen, __HYPERVISOR_hvm_op, HVMOP_get_time, &now, sizeof(now)) == 0) {
		return now;
	}
	return c->machine != NULL ? pvclock_now(c) : 0;
}

static bool never(void *context)
{
	(void)context;
	return false;
}

void xp_pause(struct certify *c, uint32_t us)
{
	(void)certify_wait(c, never, NULL, us);
}

/* ------------------------------------------------------------------ ports */

static uint64_t *word_at(struct xen_guest *x, size_t array, uint32_t port)
{
	return (uint64_t *)(void *)(x->shared + array + port / 64 * 8);
}

static bool bit_get(struct xen_guest *x, size_t array, uint32_t port)
{
	return (__atomic_load_n(word_at(x, array, port), __ATOMIC_ACQUIRE) >> (port % 64) & 1) != 0;
}

bool xp_is_pending(struct xen_guest *x, uint32_t port)
{
	return bit_get(x, AT_PENDING, port);
}

bool xp_is_masked(struct xen_guest *x, uint32_t port)
{
	return bit_get(x, AT_MASK, port);
}

void xp_mask(struct xen_guest *x, uint32_t port, bool mask)
{
	uint64_t bit = 1ull << (port % 64);

	if (mask) {
		(void)__atomic_fetch_or(word_at(x, AT_MASK, port), bit, __ATOMIC_SEQ_CST);
	} else {
		(void)__atomic_fetch_and(word_at(x, AT_MASK, port), ~bit, __ATOMIC_SEQ_CST);
	}
}

void xp_clear(struct xen_guest *x, uint32_t port)
{
	(void)__atomic_fetch_and(word_at(x, AT_PENDING, port), ~(1ull << (port % 64)), __ATOMIC_SEQ_CST);
}

struct port_wait {
	struct xen_guest *x;
	uint32_t port;
};

static bool port_came(void *context)
{
	const struct port_wait *wait = context;

	return xp_is_pending(wait->x, wait->port);
}

bool xp_wait_pending(struct probe *p, uint32_t port, uint32_t us)
{
	struct port_wait wait = {&p->c->xen, port};

	return certify_wait(p->c, port_came, &wait, us);
}

bool xp_upcall(struct xen_guest *x)
{
	return __atomic_load_n(x->shared, __ATOMIC_ACQUIRE) != 0;
}

void xp_upcall_clear(struct xen_guest *x)
{
	__atomic_store_n(x->shared, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n((uint64_t *)(void *)(x->shared + AT_SELECTOR), 0, __ATOMIC_SEQ_CST);
}

uint32_t xp_port_timer(struct probe *p, struct xen_guest *x)
{
	struct xen_evtchn_bind_virq bind = {.virq = VIRQ_TIMER};

	/* Xen starts a vCPU with a periodic timer. */
	(void)xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
	if (!xp_result(p,
	               xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &bind,
	                               sizeof(bind)),
	               0, "a port for VIRQ_TIMER")) {
		return 0;
	}
	xp_mask(x, bind.port, true);
	return bind.port;
}

uint32_t xp_port_ipi(struct probe *p, struct xen_guest *x)
{
	struct xen_evtchn_bind_ipi bind = {0};

	return xp_result(p,
	                 xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &bind,
	                                 sizeof(bind)),
	                 0, "a port for an IPI")
	               ? bind.port
	               : 0;
}

uint32_t xp_port_unbound(struct probe *p, struct xen_guest *x, uint16_t remote)
{
	struct xen_evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = remote};

	return xp_result(p,
	                 xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &alloc,
	                                 sizeof(alloc)),
	                 0, "a port to be bound")
	               ? alloc.port
	               : 0;
}

int64_t xp_port_status(struct xen_guest *x, uint32_t port, struct xen_evtchn_status *status)
{
	*status = (struct xen_evtchn_status){.dom = DOMID_SELF, .port = port};
	return xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_status, status, sizeof(*status));
}

void xp_port_close(struct probe *p, struct xen_guest *x, uint32_t port)
{
	if (port != 0) {
		(void)xp_result(p, xen_port_close(x, port), 0, "closing a port");
		xp_mask(x, port, false);
	}
}

uint32_t xp_vcpu_down(struct xen_guest *x)
{
	for (uint32_t i = 1; i < VCPU_SEARCH_MAX; i++) {
		int64_t up = xen_call(x, __HYPERVISOR_vcpu_op, VCPUOP_is_up, i, 0);

		if (up <= 0) {
			return up == 0 ? i : 0;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------ memory */

bool xp_pages(struct probe *p, struct guest_page *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!guest_page_alloc(p->c->guest, &pages[i])) {
			xp_pages_free(p, pages, i);
			return probe_check(p, false, "the guest has no page left");
		}
	}
	return true;
}

void xp_pages_free(struct probe *p, struct guest_page *pages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		guest_page_free(p->c->guest, &pages[i]);
	}
}

/* In the guest's memory, and where we find them. */
static bool beside(const struct guest_page *first, const struct guest_page *second)
{
	return second->gfn == first->gfn + 1 && second->bytes == first->bytes + PAGE_BYTES;
}

bool xp_pair(struct probe *p, struct guest_page pair[2])
{
	static struct guest_page pages[XP_PAIR_TRIES];
	uint32_t count = 0;
	bool found = false;

	while (count < XP_PAIR_TRIES && !found && guest_page_alloc(p->c->guest, &pages[count])) {
		for (uint32_t i = 0; i < count && !found; i++) {
			bool up = beside(&pages[i], &pages[count]);

			found = up || beside(&pages[count], &pages[i]);
			if (found) {
				pair[0] = pages[up ? i : count];
				pair[1] = pages[up ? count : i];
				pages[i].bytes = NULL;
				pages[count].bytes = NULL;
			}
		}
		count++;
	}
	xp_pages_free(p, pages, count);
	return probe_check(p, found, "the guest has no two pages side by side");
}

int64_t xp_reserve(struct xen_guest *x, uint64_t op, uint64_t gfn)
{
	const size_t list_at = sizeof(struct xen_reservation64);
	struct xen_reservation64 reservation = {
	        .extent_start = (x->args.gfn << PAGE_SHIFT) + list_at,
	        .nr_extents = 1,
	        .domid = DOMID_SELF,
	};

	memcpy(x->args.bytes + list_at, &gfn, sizeof(gfn));
	return xen_call_struct(x, __HYPERVISOR_memory_op, op, &reservation, sizeof(reservation));
}

void xp_page_restore(struct probe *p, struct xen_guest *x, struct guest_page *page)
{
	if (xp_result(p, xp_reserve(x, XENMEM_populate_physmap, page->gfn), 1, "RAM again at a page")) {
		page->bytes = x->guest->ops->page_at(x->guest->context, page->gfn);
	} else {
		page->bytes = NULL;
	}
}

int64_t xp_map(struct xen_guest *x, uint32_t space, uint64_t index, uint64_t gfn)
{
	struct xen_add_to_physmap64 map = {.domid = DOMID_SELF, .space = space, .idx = index, .gpfn = gfn};

	return xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map, sizeof(map));
}

int64_t xp_unmap(struct xen_guest *x, uint64_t gfn)
{
	struct xen_remove_from_physmap64 map = {.domid = DOMID_SELF, .gpfn = gfn};

	return xen_call_struct(x, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &map, sizeof(map));
}
