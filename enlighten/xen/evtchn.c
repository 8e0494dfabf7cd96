/*
 * evtchn.c - event channels: the port table, raising, upcalls, the hypervisor's own ends.
 *
 * Follows Xen's event_channel.h and, of xen.h, shared_info and vcpu_info: the two-level form. Who may use a
 * port stands in our table under event_lock; what is pending and masked stands in pages that the guest
 * writes too, so each step there is one atomic operation and nothing read there is an index.
 */
#include "enlighten/xen/xen_state.h"

/* Bit numbers in the shared info. Both widths are little-endian bit arrays from the same kind of start. */
#define PENDING_BIT (offsetof(struct xen_shared_info64, evtchn_pending) * 8)
#define MASK_BIT_64 (offsetof(struct xen_shared_info64, evtchn_mask) * 8)
#define MASK_BIT_32 (offsetof(struct xen_shared_info32, evtchn_mask) * 8)

static size_t pending_bit(uint32_t port)
{
	return PENDING_BIT + port;
}

static size_t mask_bit(const struct xen_vm *xen, uint32_t port)
{
	return (xen->narrow ? MASK_BIT_32 : MASK_BIT_64) + port;
}

uint32_t evtchn_port_limit(const struct xen_vm *xen)
{
	return xen->narrow ? EVTCHN_2L_NR_CHANNELS_32 : EVTCHN_2L_NR_CHANNELS_64;
}

/* ------------------------------------------------------------------ upcalls */

static struct vm_page *info_page(const struct xen_vcpu *v)
{
	return __atomic_load_n(&v->info_page, __ATOMIC_ACQUIRE);
}

bool evtchn_upcall_is_pending(const struct xen_vcpu *v)
{
	const struct vm_page *page = info_page(v);
	uint32_t off = __atomic_load_n(&v->info_off, __ATOMIC_RELAXED);

	/* Between two places a wrong byte may be looked at: an upcall too many. */
	return page != NULL && vm_page_load8(page, off) != 0;
}

void evtchn_deliver(struct xen_vcpu *v)
{
	uint8_t vector = __atomic_load_n(&v->upcall_vector, __ATOMIC_ACQUIRE);

	if (vector != XEN_NO_VECTOR) {
		vcpu_post_vector(v->vcpu, vector);
	} else {
		vcpu_post_upcall(v->vcpu);
	}
}

/* The vCPU shall look at the ports of @port's word. */
static void select_port(struct xen_vcpu *v, uint32_t port)
{
	struct vm_page *page = info_page(v);
	bool narrow = v->xen->narrow;
	size_t sel;

	if (page == NULL) {
		return;
	}
	sel = narrow ? (v->info_off + offsetof(struct xen_vcpu_info32, evtchn_pending_sel)) * 8 + port / 32
	             : (v->info_off + offsetof(struct xen_vcpu_info64, evtchn_pending_sel)) * 8 + port / 64;
	if (!vm_page_set_bit(page, sel) && vm_page_exchange8(page, v->info_off, 1) == 0) {
		evtchn_deliver(v);
	}
}

void evtchn_select_all_locked(struct xen_vcpu *v)
{
	struct vm_page *page = info_page(v);

	if (page == NULL) {
		return;
	}
	if (v->xen->narrow) {
		vm_page_store32(page, v->info_off + 4, UINT32_MAX);
	} else { /* two halves: a place registered while the width was 32 is aligned to 4 */
		vm_page_store32(page, v->info_off + 8, UINT32_MAX);
		vm_page_store32(page, v->info_off + 12, UINT32_MAX);
	}
	vm_page_barrier();
	vm_page_store8(page, v->info_off, 1);
	evtchn_deliver(v);
}

/* ------------------------------------------------------------------ raising */

static void wake_pollers(struct xen_vm *xen, uint32_t port)
{
	uint64_t left = __atomic_load_n(&xen->poll_mask, __ATOMIC_RELAXED);

	while (left != 0) {
		uint32_t id = bit_lowest(left);
		struct xen_vcpu *v = xen->vcpus[id];

		left &= left - 1;
		if (v->poll_port == 0 || v->poll_port == port) {
			vcpu_wake(v->vcpu);
		}
	}
}

void evtchn_raise_locked(struct xen_vm *xen, uint32_t port)
{
	if (port >= evtchn_port_limit(xen) || vm_page_set_bit(xen->shared, pending_bit(port))) {
		return;
	}
	if (!vm_page_test_bit(xen->shared, mask_bit(xen, port))) {
		select_port(xen->vcpus[xen->ports[port].vcpu], port);
	}
	wake_pollers(xen, port);
}

void evtchn_raise_virq_locked(struct xen_vcpu *v, uint32_t virq)
{
	if (v->virq_port[virq] != 0) {
		evtchn_raise_locked(v->xen, v->virq_port[virq]);
	}
}

void evtchn_unmask_locked(struct xen_vm *xen, uint32_t port)
{
	if (port < evtchn_port_limit(xen) && vm_page_clear_bit(xen->shared, mask_bit(xen, port)) &&
	    vm_page_test_bit(xen->shared, pending_bit(port))) {
		select_port(xen->vcpus[xen->ports[port].vcpu], port);
	}
}

bool evtchn_is_pending(const struct xen_vm *xen, uint32_t port)
{
	return port < evtchn_port_limit(xen) && vm_page_test_bit(xen->shared, pending_bit(port));
}

/* ------------------------------------------------------------------ the table */

struct evtchn_port *evtchn_port_at(struct xen_vm *xen, uint32_t raw_port)
{
	if (raw_port == 0 || raw_port >= EVTCHN_2L_NR_CHANNELS_64 ||
	    xen->ports[raw_port].state == EVTCHNSTAT_closed) {
		return NULL;
	}
	return &xen->ports[raw_port];
}

uint32_t evtchn_port_alloc_locked(struct xen_vm *xen)
{
	for (uint32_t word = 0; word < evtchn_port_limit(xen) / 64; word++) {
		uint64_t unused = ~xen->port_used[word];
		uint32_t port;

		if (unused == 0) {
			continue;
		}
		port = word * 64 + bit_lowest(unused);
		xen->port_used[word] |= BIT64(port % 64);
		xen->ports[port] = (struct evtchn_port){.state = EVTCHNSTAT_unbound};
		return port;
	}
	return 0;
}

/* What hangs on the port besides its own row: the other end of a loopback, a vCPU's VIRQ. */
static void unhook(struct xen_vm *xen, const struct evtchn_port *p)
{
	if (p->state == EVTCHNSTAT_virq) {
		/* A domain's VIRQ hangs on vCPU 0, whoever takes its events. */
		xen->vcpus[p->virq == VIRQ_ARGO ? 0 : p->vcpu]->virq_port[p->virq] = 0;
	}
	if (p->state == EVTCHNSTAT_interdomain && !p->ours) {
		struct evtchn_port *peer = &xen->ports[p->remote_port];

		if (peer != p) {
			peer->state = EVTCHNSTAT_unbound;
			peer->remote_port = 0;
		}
	}
}

static void number_free(struct xen_vm *xen, uint32_t port)
{
	xen->port_used[port / 64] &= ~BIT64(port % 64);
}

/*
 * When a guest closes the store's or the console's port, our end stays, as domain 0's does in Xen: there is no other way
 * to it. Ends of devices go: a frontend makes another port.
 */
void evtchn_port_free_locked(struct xen_vm *xen, uint32_t port)
{
	struct evtchn_port *p = &xen->ports[port];
	bool left = p->ours && (port == xen->store_port || port == xen->console_port);

	unhook(xen, p);
	*p = (struct evtchn_port){.state = EVTCHNSTAT_closed, .left = left, .be = p->be};
	if (!left) {
		p->be = (struct evtchn_backend){0};
		number_free(xen, port);
	}
	if (port < evtchn_port_limit(xen)) {
		vm_page_clear_bit(xen->shared, pending_bit(port));
	}
}

/* ------------------------------------------------------------------ vcpu_info and widths */

static void place_info(struct xen_vcpu *v, struct vm_page *page, uint32_t off)
{
	__atomic_store_n(&v->info_off, off, __ATOMIC_RELAXED);
	__atomic_store_n(&v->info_page, page, __ATOMIC_RELEASE);
}

static void place_info_default(struct xen_vcpu *v)
{
	v->info_registered = false;
	if (v->id < XEN_LEGACY_MAX_VCPUS) {
		place_info(v, v->xen->shared, v->id * (uint32_t)sizeof(struct xen_vcpu_info64));
	} else {
		place_info(v, NULL, 0);
	}
}

/* The old block goes along; then everything counts as pending, so that nothing is lost on the way. */
static void move_info_locked(struct xen_vcpu *v, struct vm_page *page, uint32_t off)
{
	struct xen_vcpu_info64 info = {0};

	if (v->info_page != NULL) {
		vm_page_read(v->info_page, v->info_off, &info, sizeof(info));
	}
	vm_page_write(page, off, &info, sizeof(info));
	time_write_info(v->xen, page, off + (uint32_t)offsetof(struct xen_vcpu_info64, time));
	place_info(v, page, off);
	v->info_registered = true;
	evtchn_select_all_locked(v);
}

int64_t evtchn_register_info(struct xen_vcpu *v, uint64_t raw_gfn, uint32_t raw_offset)
{
	struct xen_vm *xen = v->xen;
	struct vm_page *page;
	bool busy;
	gpa_t at;

	if (raw_offset > PAGE_BYTES - sizeof(struct xen_vcpu_info64) ||
	    raw_offset % (__atomic_load_n(&xen->narrow, __ATOMIC_RELAXED) ? 4u : 8u) != 0) {
		return -XEN_ENXIO;
	}
	if (!xen_gfn_to_gpa(raw_gfn, &at)) {
		return -XEN_EINVAL;
	}
	page = vm_page_pin(xen->vm, at);
	if (page == NULL) {
		return -XEN_EINVAL;
	}
	spin_lock(&xen->event_lock);
	busy = v->info_registered;
	if (!busy) {
		move_info_locked(v, page, raw_offset);
	}
	spin_unlock(&xen->event_lock);
	if (busy) {
		vm_page_unpin(xen->vm, page);
	}
	return busy ? -XEN_EBUSY : 0;
}

/*
 * In the 32-bit layout the masks and the wall clock lie where the 64-bit one has the pending bits of ports
 * 1024 and up, which no 32-bit guest has: clear them. The new masks are the guest's already.
 */
static void clear_high_pending(struct xen_vm *xen)
{
	uint32_t from = offsetof(struct xen_shared_info32, evtchn_mask);
	uint32_t to = offsetof(struct xen_shared_info64, evtchn_mask);

	for (uint32_t off = from; off < to; off += 8) {
		vm_page_store64(xen->shared, off, 0);
	}
}

void evtchn_latch_width(struct xen_vm *xen, bool narrow)
{
	spin_lock(&xen->event_lock);
	if (xen->narrow != narrow) {
		__atomic_store_n(&xen->narrow, narrow, __ATOMIC_RELAXED);
		if (!narrow) {
			clear_high_pending(xen);
		}
		for (uint32_t i = 0; i < vm_vcpu_count(xen->vm); i++) {
			if (evtchn_upcall_is_pending(xen->vcpus[i])) {
				evtchn_select_all_locked(xen->vcpus[i]);
			}
		}
	}
	time_write_wallclock_locked(xen);
	spin_unlock(&xen->event_lock);
}

/* ------------------------------------------------------------------ life */

static void fill_shared(struct xen_vm *xen)
{
	uint64_t zeros[32] = {0};

	for (uint32_t off = 0; off < PAGE_BYTES; off += sizeof(zeros)) {
		vm_page_write(xen->shared, off, zeros, sizeof(zeros));
	}
	for (uint32_t i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) {
		time_write_info(xen, xen->shared,
		                i * (uint32_t)sizeof(struct xen_vcpu_info64) +
		                        (uint32_t)offsetof(struct xen_vcpu_info64, time));
	}
	time_write_wallclock_locked(xen);
}

static void drop_infos(struct xen_vm *xen)
{
	for (uint32_t i = 0; i < vm_vcpu_count(xen->vm); i++) {
		struct xen_vcpu *v = xen->vcpus[i];

		if (v != NULL && v->info_registered) {
			vm_page_unpin(xen->vm, v->info_page);
			v->info_registered = false;
		}
	}
}

/* All as new. No vCPU runs. */
static void start(struct xen_vm *xen)
{
	xen->narrow = false;
	xen->poll_mask = 0;
	xen->callback_vector = XEN_NO_VECTOR;
	xen->runstate_flag = false;
	memset(xen->ports, 0, EVTCHN_2L_NR_CHANNELS_64 * sizeof(xen->ports[0]));
	memset(xen->port_used, 0, sizeof(xen->port_used));
	xen->port_used[0] = 1; /* port 0 is never valid */
	for (uint32_t i = 0; i < vm_vcpu_count(xen->vm); i++) {
		struct xen_vcpu *v = xen->vcpus[i];

		v->upcall_vector = XEN_NO_VECTOR;
		v->poll_port = 0;
		memset(v->virq_port, 0, sizeof(v->virq_port));
		place_info_default(v);
	}
	fill_shared(xen);
}

bool evtchn_create(struct xen_vm *xen)
{
	xen->shared = vm_page_alloc(xen->vm);
	xen->ports = vm_alloc(xen->vm, EVTCHN_2L_NR_CHANNELS_64 * sizeof(xen->ports[0]));
	if (xen->shared == NULL || xen->ports == NULL) {
		return false;
	}
	start(xen);
	return true;
}

void evtchn_reset(struct xen_vm *xen)
{
	drop_infos(xen);
	vm_page_hide(xen->vm, xen->shared);
	start(xen);
}

void evtchn_teardown(struct xen_vm *xen)
{
	drop_infos(xen);
	if (xen->shared != NULL) {
		vm_page_free(xen->vm, xen->shared);
	}
	if (xen->ports != NULL) {
		vm_free(xen->vm, xen->ports);
	}
}

/* ------------------------------------------------------------------ the hypervisor's own ends */

static void bind_ours(struct evtchn_port *p, uint32_t port, const struct evtchn_backend *be)
{
	p->state = EVTCHNSTAT_interdomain;
	p->ours = true;
	p->remote_dom = XEN_DOMID_BACKENDS;
	p->remote_port = port;
	p->be = *be;
}

int64_t evtchn_port_take_left_locked(struct xen_vm *xen, uint32_t raw_port)
{
	struct evtchn_backend be;

	if (raw_port >= evtchn_port_limit(xen) || !xen->ports[raw_port].left) {
		return -XEN_EINVAL;
	}
	be = xen->ports[raw_port].be;
	xen->ports[raw_port].left = false;
	bind_ours(&xen->ports[raw_port], raw_port, &be);
	evtchn_raise_locked(xen, raw_port);
	return 0;
}

uint32_t evtchn_backend_alloc(struct vm *vm, const struct evtchn_backend *be)
{
	struct xen_vm *xen = xen_of_vm(vm);
	uint32_t port;

	spin_lock(&xen->event_lock);
	port = evtchn_port_alloc_locked(xen);
	if (port != 0) {
		bind_ours(&xen->ports[port], port, be);
	}
	spin_unlock(&xen->event_lock);
	return port;
}

bool evtchn_backend_bind(struct vm *vm, uint32_t port, const struct evtchn_backend *be)
{
	struct xen_vm *xen = xen_of_vm(vm);
	struct evtchn_port *p;
	bool bound;

	spin_lock(&xen->event_lock);
	p = evtchn_port_at(xen, port);
	bound = p != NULL && p->state == EVTCHNSTAT_unbound && p->remote_dom == XEN_DOMID_BACKENDS;
	if (bound) {
		bind_ours(p, port, be);
		evtchn_raise_locked(xen, port);
	}
	spin_unlock(&xen->event_lock);
	return bound;
}

static bool is_ours(struct xen_vm *xen, uint32_t port)
{
	const struct evtchn_port *p = evtchn_port_at(xen, port);

	return p != NULL && p->state == EVTCHNSTAT_interdomain && p->ours;
}

void evtchn_backend_unbind(struct vm *vm, uint32_t port)
{
	struct xen_vm *xen = xen_of_vm(vm);

	spin_lock(&xen->event_lock);
	if (is_ours(xen, port)) {
		xen->ports[port].state = EVTCHNSTAT_unbound;
		xen->ports[port].ours = false;
		xen->ports[port].remote_port = 0;
		xen->ports[port].be = (struct evtchn_backend){0};
	} else if (port < EVTCHN_2L_NR_CHANNELS_64 && xen->ports[port].left) {
		xen->ports[port] = (struct evtchn_port){.state = EVTCHNSTAT_closed};
		number_free(xen, port);
	}
	spin_unlock(&xen->event_lock);
}

void evtchn_backend_notify(struct vm *vm, uint32_t port)
{
	struct xen_vm *xen = xen_of_vm(vm);

	spin_lock(&xen->event_lock);
	if (is_ours(xen, port)) {
		evtchn_raise_locked(xen, port);
	}
	spin_unlock(&xen->event_lock);
}
